//! Directories that go whole.

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::{Call, DAY, OTHER, Scene, Wrong, Yard, cleaned, found, old, put, remember, state_is_whole};

/// What becomes of a directory that goes whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unit {
    Deleted,
    MovedAcross,
}

/// Three directories that are old, one of them with a directory that cannot be written in, and a fresh one; and somebody
/// who puts another fresh one in the place of an old one just before it is taken.
pub struct Whole(pub Unit);

const UNITS: [&str; 3] = ["one", "two", "three"];
const FILES: [&str; 3] = ["a", "deep/b", "deep/er/c"];
const REPLACED: &str = "three";

/// What the name of a copy begins with while it grows.
const GROWING: &str = ".janitor-move";

/// Makes a directory with files in it that belong to `target/unit`.
fn lay_unit(yard: &Yard, at: &str, what: &str, unit: &str) {
    for file in FILES {
        put(yard, &format!("{at}/{file}"), what, &format!("target/{unit}/{file}"));
    }
    fs::set_permissions(yard.path(at), Permissions::from_mode(0o777)).expect("ours");
    if what == "old" {
        for directory in [format!("{at}/deep/er"), format!("{at}/deep"), at.to_owned()] {
            yard.grow_old(&directory, DAY * 3);
        }
    }
}

impl Whole {
    fn is_replaced(yard: &Yard) -> bool {
        !yard.path("spare/new").exists()
    }

    /// Writes the config. The yard may be at another place after an interruption.
    fn configure(&self, yard: &Yard) {
        let action = match self.0 {
            Unit::Deleted => String::new(),
            Unit::MovedAcross => {
                let other = yard.path(OTHER).canonicalize().expect("it is there");
                format!("action = \"move:{}\"\n", other.to_string_lossy())
            }
        };
        yard.config(&format!(
            "[admin]\nlisten = \"off\"\n[[target]]\npath = \"target\"\nschedule = \"@daily\"\ninclude = [\"*\"]\n\
             exclude = [\"file\"]\nolder_than = \"1d\"\nwhole_dirs = true\nthreads = 1\n{action}"
        ));
    }

    /// Checks what is there. Whether something is on its way.
    fn check(&self, yard: &Yard) -> Result<bool, Wrong> {
        let found = found(yard, &["target", OTHER]);
        // The files of each unit that are at their place, in the archive, or on the way there, or aside.
        let mut units: BTreeMap<(&str, &str, &str), usize> = BTreeMap::new();
        for (content, places) in &found {
            for place in places.iter().filter(|place| !place.contains(GROWING)) {
                let Some((what, belongs)) = content.split_once(' ') else {
                    return Err(format!("{place} holds {content:?}, which nobody wrote"));
                };
                let unit = belongs.split('/').nth(1).unwrap_or_default();
                let archived = place.strip_prefix("other/").is_some_and(|path| {
                    let (top, inside) = path.split_once('/').unwrap_or((path, ""));
                    top.split(" (").next() == Some(unit) && belongs.ends_with(&format!("/{unit}/{inside}"))
                });
                let at = match place.as_str() {
                    place if place == belongs => "place",
                    place if place.starts_with("target/.janitor-slots/") => "aside",
                    _ if archived => "archive",
                    _ => return Err(format!("{content:?} is at {place}")),
                };
                *units.entry((unit, what, at)).or_default() += 1;
            }
        }
        let count = |unit, what, at| units.get(&(unit, what, at)).copied().unwrap_or(0);
        let is_growing = found.values().flatten().any(|place| place.contains(GROWING));
        let mut caught = is_growing;
        let mut fresh = vec!["fresh"];
        if Self::is_replaced(yard) {
            fresh.push(REPLACED);
        }
        for unit in fresh {
            let there = ["place", "aside"].map(|at| count(unit, "fresh", at));
            caught |= there[1] > 0;
            if there != [FILES.len(), 0] && there != [0, FILES.len()] {
                return Err(format!("{unit}, which is fresh, is not whole: {units:?}"));
            }
            if count(unit, "fresh", "archive") > 0 {
                return Err(format!("{unit}, which is fresh, was moved: {units:?}"));
            }
        }
        for unit in UNITS {
            let [place, aside, archive] = ["place", "aside", "archive"].map(|at| count(unit, "old", at));
            caught |= aside > 0;
            if !(place == 0 || place == FILES.len()) {
                return Err(format!("{unit} is torn: {units:?}"));
            }
            // Where it was moved to another may be, of a run that was killed before the source had gone.
            let whole = |many: usize| many > 0 && many.is_multiple_of(FILES.len());
            let is_there = place > 0 || aside == FILES.len() || whole(archive);
            // Its owner may have taken it away, and not yet put another in its place.
            let is_taken_away = unit == REPLACED && yard.path("spare/gone").exists();
            let may_be_gone = self.0 == Unit::Deleted || is_taken_away;
            if !(is_there || may_be_gone) || (archive > 0 && !whole(archive)) {
                return Err(format!("{unit} is lost or torn: {units:?}"));
            }
        }
        Ok(caught)
    }
}

impl Scene for Whole {
    fn name(&self) -> &'static str {
        match self.0 {
            Unit::Deleted => "a removal of whole directories",
            Unit::MovedAcross => "a move of whole directories to another file system",
        }
    }

    fn needs_other(&self) -> bool {
        self.0 == Unit::MovedAcross
    }

    fn lay(&self, yard: &Yard) -> Vec<String> {
        yard.directory("target");
        for unit in UNITS {
            lay_unit(yard, &format!("target/{unit}"), "old", unit);
        }
        fs::set_permissions(yard.path("target/two/deep"), Permissions::from_mode(0o555)).expect("ours");
        lay_unit(yard, "target/fresh", "fresh", "fresh");
        lay_unit(yard, "spare/new", "fresh", REPLACED);
        old(yard, "target/file");
        self.configure(yard);
        remember(yard);
        ["clean", "--json"].map(str::to_owned).into()
    }

    fn meanwhile(&self, yard: &Yard, call: &Call) {
        if let Some((from, name)) = call.renames()
            && name == REPLACED
            && from == yard.path("target")
            && !Self::is_replaced(yard)
        {
            // What is there goes away, as its owner may do, and a fresh one takes its name.
            fs::rename(yard.path(format!("target/{REPLACED}")), yard.path("spare/gone")).expect("ours");
            fs::rename(yard.path("spare/new"), yard.path(format!("target/{REPLACED}"))).expect("ours");
        }
    }

    fn at_once(&self, yard: &Yard) -> Result<bool, Wrong> {
        self.check(yard)
    }

    fn afterwards(&self, yard: &Yard) -> Result<(), Wrong> {
        self.configure(yard);
        let run = cleaned(yard)?;
        if self.check(yard)? {
            return Err(format!("something is still on its way: {:?}; {run}", found(yard, &["target", OTHER])));
        }
        if let Some(stays) = UNITS.iter().find(|unit| {
            yard.path(format!("target/{unit}")).exists() && !(**unit == REPLACED && Self::is_replaced(yard))
        }) {
            return Err(format!("{stays} was to go: {run}"));
        }
        if !yard.path("target/file").exists() {
            return Err("a file that is excluded went".to_owned());
        }
        state_is_whole(yard, &[run["run"].as_str().ok_or("no id")?])
    }
}
