//! Verified removal.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::{Call, Scene, Wrong, Yard, account, cleaned, found, fresh, old, put, remember, replace, state_is_whole};

/// Files of two directories, of which two have the same name, and somebody who puts a new file in the place of each of
/// those two just before the janitor takes it aside.
pub struct Strict;

/// The same, and the name is taken again before the new file can be put back.
pub struct Conflict;

const DIRECTORIES: [&str; 2] = ["square", "square/deep"];

fn lay(yard: &Yard) -> Vec<String> {
    for directory in DIRECTORIES {
        for name in ["old-0", "old-1", "old-2"] {
            old(yard, &format!("{directory}/{name}"));
        }
        fresh(yard, &format!("{directory}/fresh"));
        let path = format!("{directory}/old-0");
        put(yard, &spare(&path), "fresh", &path);
        fs::set_permissions(yard.path(directory), Permissions::from_mode(0o777)).expect("ours");
    }
    yard.config(
        "[[target]]\npath = \"square\"\nschedule = \"@daily\"\ninclude = [\"**\"]\nolder_than = \"1d\"\nthreads = 1\n",
    );
    ["clean", "--json"].map(str::to_owned).into()
}

/// Where the new file of a path waits.
fn spare(path: &str) -> String {
    format!("spare/{}", path.replace('/', "-"))
}

/// The directory below the yard that an `old-0` is being taken from, if that is what a call does.
fn takes(yard: &Yard, call: &Call) -> Option<&'static str> {
    let (from, name) = call.renames().filter(|(_, name)| name == "old-0")?;
    (name == "old-0").then(|| DIRECTORIES.into_iter().find(|directory| yard.path(directory) == from))?
}

fn replace_what_is_taken(yard: &Yard, call: &Call) {
    if let Some(directory) = takes(yard, call) {
        let path = format!("{directory}/old-0");
        replace(yard, &spare(&path), &yard.path(&path));
    }
}

/// What must be there: the fresh files, of which those that wait are nobody's business yet.
fn kept(yard: &Yard) -> Vec<String> {
    let mut kept: Vec<String> = DIRECTORIES.iter().map(|directory| format!("fresh {directory}/fresh")).collect();
    for directory in DIRECTORIES {
        let path = format!("{directory}/old-0");
        if !yard.path(spare(&path)).exists() {
            kept.push(format!("fresh {path}"));
        }
    }
    kept
}

fn may_go() -> Vec<String> {
    let names = ["old-0", "old-1", "old-2"];
    DIRECTORIES.iter().flat_map(|directory| names.map(|name| format!("old {directory}/{name}"))).collect()
}

/// A slot holds a file under its own name.
fn in_slot(place: &str, belongs: &str) -> bool {
    super::in_slot("square", place, belongs)
}

impl Scene for Strict {
    fn name(&self) -> &'static str {
        "a verified sweep"
    }

    fn lay(&self, yard: &Yard) -> Vec<String> {
        remember(yard);
        lay(yard)
    }

    fn meanwhile(&self, yard: &Yard, call: &Call) {
        replace_what_is_taken(yard, call);
    }

    fn at_once(&self, yard: &Yard) -> Result<bool, Wrong> {
        account(&found(yard, &["square"]), &kept(yard), &may_go(), in_slot)
    }

    fn afterwards(&self, yard: &Yard) -> Result<(), Wrong> {
        let run = cleaned(yard)?;
        let aside = account(&found(yard, &["square"]), &kept(yard), &[], |_, _| false)?;
        assert!(!aside);
        state_is_whole(yard, &[run["run"].as_str().ok_or("no id")?])
    }
}

impl Scene for Conflict {
    fn name(&self) -> &'static str {
        "a verified sweep with a name that is taken again"
    }

    fn lay(&self, yard: &Yard) -> Vec<String> {
        let arguments = lay(yard);
        for directory in DIRECTORIES {
            put(yard, &format!("spare/again-{}", directory.replace('/', "-")), "fresh", &format!("again {directory}"));
        }
        arguments
    }

    fn meanwhile(&self, yard: &Yard, call: &Call) {
        // The way back begins in a slot.
        if let Some((from, name)) = call.renames()
            && name == "old-0"
            && from.parent().is_some_and(|above| above.ends_with("file"))
        {
            for directory in DIRECTORIES {
                if !yard.path(format!("{directory}/old-0")).exists() {
                    let spare = format!("spare/again-{}", directory.replace('/', "-"));
                    replace(yard, &spare, &yard.path(format!("{directory}/old-0")));
                }
            }
        }
        replace_what_is_taken(yard, call);
    }

    fn at_once(&self, yard: &Yard) -> Result<bool, Wrong> {
        let (mut kept, again) = (kept(yard), again(yard));
        kept.extend(again.iter().cloned());
        account(&found(yard, &["square"]), &kept, &may_go(), |place, belongs| {
            in_slot(place, belongs) || is_again(place, belongs)
        })
    }

    fn afterwards(&self, yard: &Yard) -> Result<(), Wrong> {
        let run = cleaned(yard)?;
        let (mut kept, again) = (kept(yard), again(yard));
        kept.extend(again.iter().cloned());
        let found = found(yard, &["square"]);
        account(&found, &kept, &[], |place, belongs| in_slot(place, belongs) || is_again(place, belongs))?;
        // What stays in a slot stays because its place is taken, and is told.
        for (content, places) in &found {
            let Some(waits) = places.iter().find(|place| place.contains("/.janitor-slots/")) else { continue };
            let belongs = content.split_once(' ').map_or("", |(_, path)| path);
            let told = run["remarks"].to_string();
            let place = waits.trim_start_matches("square/");
            if !again.iter().any(|taken| belongs.starts_with(&taken["fresh again ".len()..])) {
                return Err(format!("{content} waits in {waits}, and nothing is in its place"));
            }
            if !told.contains(place) {
                return Err(format!("{content} waits in {waits}, and the run does not say so: {told}"));
            }
        }
        Ok(())
    }
}

/// The files that took a name again.
fn again(yard: &Yard) -> Vec<String> {
    let taken = |directory: &&&str| !yard.path(format!("spare/again-{}", directory.replace('/', "-"))).exists();
    DIRECTORIES.iter().filter(taken).map(|directory| format!("fresh again {directory}")).collect()
}

fn is_again(place: &str, belongs: &str) -> bool {
    belongs.strip_prefix("again ").is_some_and(|directory| place == format!("{directory}/old-0"))
}
