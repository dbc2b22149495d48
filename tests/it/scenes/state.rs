//! The state.

use std::net::{SocketAddr, TcpListener};
use std::sync::OnceLock;

use super::{
    Scene, Wrong, Yard, account, cleaned, found, history, integrity, lay_state, old, remembered, state_is_whole,
};

/// A state that an older janitor has left is brought to the version of this one. The oldest there is has nothing in it.
pub struct Migration;

/// A daemon begins a state, where there is none, and ends because its port is taken.
pub struct Begun;

/// A state that is damaged is put aside.
pub struct Damaged;

const GARBAGE: &str =
    "this is no database, and it is long enough to be looked at: .............................................";

fn lay(yard: &Yard, state: &[u8]) -> Vec<String> {
    old(yard, "target/a");
    yard.config("[[target]]\npath = \"target\"\nschedule = \"@daily\"\ninclude = [\"*\"]\nthreads = 1\n");
    lay_state(yard, state);
    ["clean", "--json"].map(str::to_owned).into()
}

fn the_file(yard: &Yard) -> Result<bool, Wrong> {
    account(&found(yard, &["target"]), &[], &["old target/a".to_owned()], |_, _| false)
}

impl Scene for Migration {
    fn name(&self) -> &'static str {
        "a migration of the state"
    }

    fn lay(&self, yard: &Yard) -> Vec<String> {
        lay(yard, b"")
    }

    fn at_once(&self, yard: &Yard) -> Result<bool, Wrong> {
        the_file(yard)
    }

    fn afterwards(&self, yard: &Yard) -> Result<(), Wrong> {
        let run = cleaned(yard)?;
        let run = run["run"].as_str().ok_or("no id")?;
        let runs = history(yard)?;
        if runs.first().map(String::as_str) != Some(run) || runs.len() > 2 {
            return Err(format!("{run} is not the newest of {runs:?}"));
        }
        integrity(yard)
    }
}

impl Begun {
    /// A port that is taken as long as the tests run.
    fn taken() -> SocketAddr {
        static TAKEN: OnceLock<TcpListener> = OnceLock::new();
        let taken = TAKEN.get_or_init(|| TcpListener::bind("127.0.0.1:0").expect("a port"));
        taken.local_addr().expect("it is bound")
    }
}

impl Scene for Begun {
    fn name(&self) -> &'static str {
        "a state that is begun"
    }

    fn lay(&self, yard: &Yard) -> Vec<String> {
        yard.directory("target");
        let target = "[[target]]\npath = \"target\"\nschedule = \"@yearly\"\ninclude = [\"*\"]\n";
        yard.config(&format!("[admin]\nlisten = \"{}\"\n{target}", Self::taken()));
        vec!["run".to_owned()]
    }

    fn at_once(&self, _yard: &Yard) -> Result<bool, Wrong> {
        Ok(false)
    }

    fn afterwards(&self, yard: &Yard) -> Result<(), Wrong> {
        let ran = yard.run(&["run"]);
        if ran.code != Some(1) || !ran.err.contains(&Self::taken().to_string()) || ran.err.contains("state") {
            return Err(format!("{ran:?}"));
        }
        let run = cleaned(yard)?;
        if history(yard)? != [run["run"].as_str().ok_or("no id")?] {
            return Err(format!("the history does not have {run}"));
        }
        integrity(yard)
    }
}

impl Scene for Damaged {
    fn name(&self) -> &'static str {
        "a damaged state that is put aside"
    }

    fn lay(&self, yard: &Yard) -> Vec<String> {
        lay(yard, GARBAGE.as_bytes())
    }

    fn at_once(&self, yard: &Yard) -> Result<bool, Wrong> {
        let caught = the_file(yard)?;
        match found(yard, &["state"]).contains_key(GARBAGE) {
            true => Ok(caught),
            false => Err("what was in the damaged state is lost".to_owned()),
        }
    }

    fn afterwards(&self, yard: &Yard) -> Result<(), Wrong> {
        // Where there is no state, only a daemon begins one.
        let begun = yard.path("state/janitor.sqlite").exists();
        let ran = yard.run(&["clean", "--json"]);
        if ran.code != Some(0) {
            return Err(format!("{ran:?}"));
        }
        self.at_once(yard)?;
        let runs = history(yard)?;
        if begun && runs.is_empty() || runs.contains(&remembered().1) {
            return Err(format!("{runs:?}"));
        }
        Ok(())
    }
}

/// Nothing but the end of a run, which is written down.
pub struct Commits;

impl Scene for Commits {
    fn name(&self) -> &'static str {
        "runs that are remembered"
    }

    fn lay(&self, yard: &Yard) -> Vec<String> {
        lay(yard, &remembered().0)
    }

    fn at_once(&self, yard: &Yard) -> Result<bool, Wrong> {
        the_file(yard)
    }

    fn afterwards(&self, yard: &Yard) -> Result<(), Wrong> {
        let run = cleaned(yard)?;
        state_is_whole(yard, &[run["run"].as_str().ok_or("no id")?])
    }
}
