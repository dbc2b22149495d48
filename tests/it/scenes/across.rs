//! A move to another file system.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::{Call, OTHER, Scene, Wrong, Yard, cleaned, found, fresh, old, put, remember, replace, state_is_whole};

/// Files of a directory that is ours alone and of one that others can write in, and somebody who puts a new file in the
/// place of one there just before it is taken.
pub struct Across;

const FILES: [&str; 5] = ["target/a", "target/deep/a", "target/open/a", "target/open/b", "target/open/c"];
const FRESH: &str = "target/open/fresh";
const REPLACED: &str = "target/open/c";

/// What the name of a copy begins with while it grows.
const GROWING: &str = ".janitor-move";

impl Across {
    /// Writes the config. The yard may be at another place after an interruption.
    fn configure(yard: &Yard) {
        let other = yard.path(OTHER).canonicalize().expect("it is there");
        yard.config(&format!(
            "[admin]\nlisten = \"off\"\n[[target]]\npath = \"target\"\nschedule = \"@daily\"\ninclude = [\"**\"]\n\
             older_than = \"1d\"\naction = \"move:{}\"\nthreads = 1\n",
            other.to_string_lossy()
        ));
    }

    /// What must be there whole, somewhere.
    fn kept(yard: &Yard) -> Vec<String> {
        let old = FILES.iter().filter(|path| **path != REPLACED).map(|path| format!("old {path}"));
        let replaced = if yard.path("spare/new").exists() { "old" } else { "fresh" };
        old.chain([format!("fresh {FRESH}"), format!("{replaced} {REPLACED}")]).collect()
    }
}

/// Whether a place is one where a file may be that belongs to another: its place in the archive, or a slot.
fn may_be(place: &str, belongs: &str) -> bool {
    let archived = place.strip_prefix("other/").is_some_and(|path| {
        // A second copy, since the first was finished and the source had not gone.
        let path = path.split(" (").next().unwrap_or(path);
        belongs.strip_prefix("target/") == Some(path)
    });
    archived || super::in_slot("target", place, belongs)
}

/// Checks what is there: everything that must be is, whole, and nothing fresh is in the archive. Whether something was on
/// its way.
fn check(yard: &Yard) -> Result<bool, Wrong> {
    let kept = Across::kept(yard);
    let found = found(yard, &["target", OTHER]);
    let mut caught = false;
    for (content, places) in &found {
        let (finished, growing): (Vec<_>, Vec<_>) = places.iter().partition(|place| !place.contains(GROWING));
        caught |= !growing.is_empty();
        let Some((what, belongs)) = content.split_once(' ').filter(|_| !finished.is_empty()) else {
            if finished.is_empty() {
                continue;
            }
            return Err(format!("{finished:?} holds {content:?}, which nobody wrote"));
        };
        // One that was replaced by its owner may have been copied before.
        if !kept.contains(content) && content != &format!("old {REPLACED}") {
            return Err(format!("{finished:?} holds {content:?}, which nobody wrote"));
        }
        for place in finished {
            if place != belongs && !may_be(place, belongs) {
                return Err(format!("{content:?} is at {place}"));
            }
            if what == "fresh" && place.starts_with(OTHER) {
                return Err(format!("{content:?} was moved to {place}"));
            }
            caught |= place.contains("/.janitor-slots/");
        }
    }
    let is_there = |content: &&String| {
        found.get(*content).is_some_and(|places| places.iter().any(|place| !place.contains(GROWING)))
    };
    match kept.iter().find(|content| !is_there(content)) {
        Some(lost) => Err(format!("lost: {lost:?}; there are {found:?}")),
        None => Ok(caught),
    }
}

impl Scene for Across {
    fn name(&self) -> &'static str {
        "a move to another file system"
    }

    fn needs_other(&self) -> bool {
        true
    }

    fn lay(&self, yard: &Yard) -> Vec<String> {
        fresh(yard, FRESH);
        for path in FILES {
            old(yard, path);
        }
        put(yard, "spare/new", "fresh", REPLACED);
        fs::set_permissions(yard.path("target/open"), Permissions::from_mode(0o777)).expect("ours");
        Self::configure(yard);
        remember(yard);
        ["clean", "--json"].map(str::to_owned).into()
    }

    fn meanwhile(&self, yard: &Yard, call: &Call) {
        if let Some((from, name)) = call.renames()
            && name == "c"
            && from == yard.path("target/open")
        {
            replace(yard, "spare/new", &yard.path(REPLACED));
        }
    }

    fn at_once(&self, yard: &Yard) -> Result<bool, Wrong> {
        check(yard)
    }

    fn afterwards(&self, yard: &Yard) -> Result<(), Wrong> {
        Self::configure(yard);
        let run = cleaned(yard)?;
        if check(yard)? {
            return Err(format!("something is still on its way: {:?}", found(yard, &["target", OTHER])));
        }
        if let Some(stays) = FILES.iter().find(|path| **path != REPLACED && yard.path(path).exists()) {
            return Err(format!("{stays} was to go: {run}"));
        }
        state_is_whole(yard, &[run["run"].as_str().ok_or("no id")?])
    }
}
