//! Two targets: `bad`, where something goes wrong, and `good`, where nothing does.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::daemon::{Daemon, PORT_ANY, wait_for};
use crate::disk::sh;
use crate::yard::Yard;

/// So fast the status has to be answered, whatever goes wrong.
const AT_ONCE: Duration = Duration::from_millis(100);

/// A daemon with both.
pub struct Pair<'a>(pub Daemon<'a>);

/// Writes the config: with this policy for `bad`.
pub fn configure(yard: &Yard, bad: &str) {
    let target = |path: &str| format!("[[target]]\npath = \"{path}\"\nschedule = \"0 0 1 1 *\"\nthreads = 1\n");
    let good = format!("{}include = [\"*\"]\n", target("good"));
    yard.config(&format!("sweeps_per_filesystem = 2\n{PORT_ANY}{}{bad}\n{good}", target("bad")));
    yard.directory("bad");
}

/// Makes `a`, `b`, `c` and `sub/d` in `bad`, of two days ago.
pub fn lay(yard: &Yard) {
    for path in ["a", "b", "c", "sub/d"] {
        yard.aged(&format!("bad/{path}"), Duration::from_secs(2 * 86_400));
    }
}

/// The files in `bad`, but for the janitor's own.
pub fn left(yard: &Yard) -> Vec<String> {
    yard.left("bad").into_iter().filter(|path| !path.starts_with(".janitor-slots/")).collect()
}

/// Runs a script in a yard.
#[track_caller]
pub fn script(yard: &Yard, script: &str) {
    sh(&format!("cd \"$1\" && {script}"), &[&yard.path("")]);
}

impl<'a> Pair<'a> {
    /// Starts it, with this policy for `bad`.
    pub fn start(yard: &'a Yard, bad: &str) -> Self {
        configure(yard, bad);
        Self(Daemon::start(yard))
    }

    /// Sweeps both. `good` is done and the daemon well, whatever happens to `bad`, whose run this is.
    #[track_caller]
    pub fn swept(&mut self) -> Value {
        self.0.yard.file("good/x");
        let answer = self.0.post("/cleanup/manual");
        assert_eq!(answer.status, 200, "{answer:?}");
        let json = answer.json();
        let run = |name: &str| {
            let runs = json["runs"].as_array().expect("a list");
            runs.iter().find(|run| run["target"] == name).cloned().unwrap_or_else(|| panic!("{name} in {json}"))
        };
        let good = run("good");
        assert_eq!((&good["outcome"], &good["deleted"]), (&"done".into(), &1.into()), "{json}");
        assert!(self.0.yard.left("good").is_empty());
        self.is_well();
        run("bad")
    }

    /// `bad` is done, and nothing is left there.
    #[track_caller]
    pub fn is_mended(&mut self) {
        let run = self.swept();
        assert_eq!((&run["outcome"], &run["failed"]), (&"done".into(), &0.into()), "{run}");
        assert_eq!(left(self.0.yard), [""; 0], "{run}");
    }

    /// The daemon is up and answers at once: in the median, since a machine that does other things has its moments.
    #[track_caller]
    pub fn is_well(&mut self) {
        assert!(self.0.is_running(), "{}", self.0.stderr());
        assert!(!self.0.stderr().contains("panicked"), "{}", self.0.stderr());
        let mut took: Vec<Duration> = (0..21)
            .map(|_| {
                #[expect(clippy::disallowed_methods, reason = "it is real time that is measured")]
                let began = std::time::Instant::now();
                assert_eq!(self.0.get("/cleanup/status").status, 200);
                began.elapsed()
            })
            .collect();
        took.sort_unstable();
        assert!(took[took.len() / 2] < AT_ONCE, "{took:?}");
    }
}

/// The report counts these files, and no others, under this class.
#[track_caller]
pub fn counts(run: &Value, class: &str, files: &[&str]) {
    let classes = run["failures"].as_array().expect("a list");
    let found = classes.iter().find(|failure| failure["class"].as_str().is_some_and(|known| known.contains(class)));
    let found = found.unwrap_or_else(|| panic!("no `{class}` in {run}"));
    assert_eq!(found["count"], files.len(), "{run}");
    let mut examples: Vec<&str> =
        found["examples"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
    examples.sort_unstable();
    assert_eq!(examples, files, "{run}");
}

/// strace at work on a daemon: the system calls on some paths fail, or take long, until it is dropped.
pub struct Injected(Child);

impl Injected {
    /// Has calls on these paths be as `what` says, in the words of strace.
    pub fn into(daemon: &Daemon<'_>, what: &str, paths: &[&Path]) -> Self {
        let mut command = Command::new("strace");
        command.args(["-f", "-o", "/dev/null", "-e", &format!("inject={what}"), "-p", &daemon.id().to_string()]);
        for path in paths {
            command.arg("-P").arg(path);
        }
        let said = daemon.yard.path("strace");
        command.stdin(Stdio::null()).stderr(std::fs::File::create(&said).expect("made"));
        let child = command.spawn().expect("strace runs");
        wait_for("strace", || {
            std::fs::read_to_string(&said).is_ok_and(|said| said.contains(" attached")).then_some(())
        });
        Self(child)
    }
}

impl Drop for Injected {
    fn drop(&mut self) {
        // Told so it lets go of the daemon, which may take until a call that it holds is over.
        _ = kill_process(Pid::from_child(&self.0), Signal::TERM);
        drop(self.0.wait());
    }
}
