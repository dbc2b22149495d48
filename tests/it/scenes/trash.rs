//! The trash, and the way back.

use super::{
    Call, Scene, Wrong, Yard, account, cleaned, found, fresh, old, put, remember, remembered, replace, state_is_whole,
    well,
};

/// A sweep into the trash, and somebody who puts a new file in the place of one just before it is taken.
pub struct ToTrash;

/// The same where others can write, so that each file is taken to a slot first.
pub struct OpenToTrash;

/// The undo of a run.
pub struct Undo;

/// The undo of a second run, after that of a first.
pub struct Again;

/// The undo of a run that took whole directories, of which one has been made anew since.
pub struct UndoWhole;

const FILES: [&str; 4] = ["target/a", "target/deep/a", "target/deep/er/b", "target/deep/c"];
const FRESH: &str = "target/deep/fresh";
const REPLACED: &str = "target/deep/c";

fn lay(yard: &Yard, more: &str) {
    fresh(yard, FRESH);
    for path in FILES {
        old(yard, path);
    }
    yard.config(&format!(
        "[admin]\nlisten = \"off\"\n[[target]]\npath = \"target\"\nschedule = \"@daily\"\ninclude = [\"**\"]\nolder_than = \"1d\"\naction = \
         \"trash\"\nthreads = 1\n{more}"
    ));
    remember(yard);
}

fn undo(run: &str) -> Vec<String> {
    ["undo", run].map(str::to_owned).into()
}

fn contents() -> Vec<String> {
    FILES.iter().map(|path| format!("old {path}")).chain([format!("fresh {FRESH}")]).collect()
}

/// In the trash of a run a file has the path that it had below the target.
fn in_trash(place: &str, belongs: &str) -> bool {
    let inside = place.strip_prefix(".janitor-trash/").and_then(|rest| rest.split_once('/'));
    inside.is_some_and(|(_, path)| belongs.strip_prefix("target/") == Some(path))
}

/// The same, or in a slot under its own name.
fn in_trash_or_slot(place: &str, belongs: &str) -> bool {
    in_trash(place, belongs) || super::in_slot("target", place, belongs)
}

/// The runs that the trash lists.
fn runs(yard: &Yard) -> Result<Vec<String>, Wrong> {
    let listed = well(yard.run(&["trash", "--json"]))?;
    let listed = listed.as_array().ok_or("no list")?;
    Ok(listed.iter().filter_map(|run| run["run"].as_str().map(str::to_owned)).collect())
}

/// Undoes every run in the trash, and sees everything back and nothing left.
fn undo_all(yard: &Yard, kept: &[String]) -> Result<(), Wrong> {
    for run in runs(yard)? {
        let undone = yard.run(&["undo", &run]);
        if undone.code != Some(0) {
            return Err(format!("undo {run}: {undone:?}"));
        }
    }
    account(&found(yard, &["target", ".janitor-trash"]), kept, &[], |_, _| false)?;
    let left = yard.path(".janitor-trash");
    let left: Vec<_> = std::fs::read_dir(left).into_iter().flatten().flatten().map(|entry| entry.file_name()).collect();
    // The mark, which says what was put back, stays; so may one that was not finished.
    match left.iter().find(|name| !name.to_string_lossy().starts_with("target.restored")) {
        Some(name) => Err(format!("in the trash is left: {}", name.to_string_lossy())),
        None => Ok(()),
    }
}

impl ToTrash {
    fn kept(yard: &Yard) -> Vec<String> {
        let mut kept = contents();
        if !yard.path("spare/new").exists() {
            // It was written over the old one, by its owner.
            kept.retain(|content| *content != format!("old {REPLACED}"));
            kept.push(format!("fresh {REPLACED}"));
        }
        kept
    }
}

impl Scene for ToTrash {
    fn name(&self) -> &'static str {
        "a sweep into the trash"
    }

    fn lay(&self, yard: &Yard) -> Vec<String> {
        lay(yard, "remove_empty_dirs = true\n");
        put(yard, "spare/new", "fresh", REPLACED);
        ["clean", "--json"].map(str::to_owned).into()
    }

    fn meanwhile(&self, yard: &Yard, call: &Call) {
        if let Some((from, name)) = call.renames()
            && name == "c"
            && from == yard.path("target/deep")
        {
            replace(yard, "spare/new", &yard.path(REPLACED));
        }
    }

    fn at_once(&self, yard: &Yard) -> Result<bool, Wrong> {
        account(&found(yard, &["target", ".janitor-trash"]), &Self::kept(yard), &[], in_trash)
    }

    fn afterwards(&self, yard: &Yard) -> Result<(), Wrong> {
        let run = cleaned(yard)?;
        let kept = Self::kept(yard);
        account(&found(yard, &["target", ".janitor-trash"]), &kept, &[], in_trash)?;
        // What was replaced may have been taken by the run that was killed, which could not put it back any more.
        if let Some(stays) = FILES.iter().find(|path| **path != REPLACED && yard.path(path).exists()) {
            return Err(format!("{stays} was to go: {run}"));
        }
        state_is_whole(yard, &[run["run"].as_str().ok_or("no id")?])?;
        undo_all(yard, &kept)
    }
}

impl Scene for OpenToTrash {
    fn name(&self) -> &'static str {
        "a verified sweep into the trash"
    }

    fn lay(&self, yard: &Yard) -> Vec<String> {
        let arguments = ToTrash.lay(yard);
        for directory in ["target", "target/deep", "target/deep/er"] {
            std::fs::set_permissions(yard.path(directory), std::os::unix::fs::PermissionsExt::from_mode(0o777))
                .expect("ours");
        }
        arguments
    }

    fn meanwhile(&self, yard: &Yard, call: &Call) {
        ToTrash.meanwhile(yard, call);
    }

    fn at_once(&self, yard: &Yard) -> Result<bool, Wrong> {
        account(&found(yard, &["target", ".janitor-trash"]), &ToTrash::kept(yard), &[], in_trash_or_slot)
    }

    fn afterwards(&self, yard: &Yard) -> Result<(), Wrong> {
        ToTrash.afterwards(yard)
    }
}

impl Scene for Undo {
    fn name(&self) -> &'static str {
        "an undo"
    }

    fn lay(&self, yard: &Yard) -> Vec<String> {
        lay(yard, "remove_empty_dirs = true\n");
        undo(cleaned(yard).expect("it works")["run"].as_str().expect("an id"))
    }

    fn at_once(&self, yard: &Yard) -> Result<bool, Wrong> {
        account(&found(yard, &["target", ".janitor-trash"]), &contents(), &[], in_trash)
    }

    fn afterwards(&self, yard: &Yard) -> Result<(), Wrong> {
        undo_all(yard, &contents())?;
        // For a day no run takes them again.
        let run = cleaned(yard)?;
        if run["deleted"] != 0 {
            return Err(format!("what was put back is taken again: {run}"));
        }
        state_is_whole(yard, &[remembered().1.as_str()])
    }
}

impl Scene for Again {
    fn name(&self) -> &'static str {
        "an undo after another"
    }

    fn lay(&self, yard: &Yard) -> Vec<String> {
        lay(yard, "");
        let first = cleaned(yard).expect("it works")["run"].as_str().expect("an id").to_owned();
        old(yard, "target/second");
        let second = cleaned(yard).expect("it works")["run"].as_str().expect("an id").to_owned();
        assert_eq!(yard.run(&["undo", &first]).code, Some(0));
        undo(&second)
    }

    fn at_once(&self, yard: &Yard) -> Result<bool, Wrong> {
        let mut kept = contents();
        kept.push("old target/second".to_owned());
        account(&found(yard, &["target", ".janitor-trash"]), &kept, &[], in_trash)
    }

    fn afterwards(&self, yard: &Yard) -> Result<(), Wrong> {
        let caught = self.at_once(yard)?;
        let run = cleaned(yard)?;
        if run["deleted"] != 0 {
            return Err(format!("what was put back is taken again, and something was in the trash: {caught}: {run}"));
        }
        Ok(())
    }
}

/// Directories of the units, with their modes; those of the last one are made anew.
const UNITS: [(&str, u32); 5] = [
    ("target/one", 0o755),
    ("target/one/empty", 0o2750),
    ("target/one/deep", 0o711),
    ("target/two/bare", 0o700),
    ("target/two", 0o755),
];

const IN_UNITS: [&str; 4] = ["target/one/a", "target/one/deep/b", "target/two/a", "target/two/c"];

impl Scene for UndoWhole {
    fn name(&self) -> &'static str {
        "an undo of whole directories"
    }

    fn lay(&self, yard: &Yard) -> Vec<String> {
        for (path, mode) in UNITS {
            std::fs::set_permissions(yard.directory(path), std::os::unix::fs::PermissionsExt::from_mode(mode))
                .expect("ours");
        }
        for path in IN_UNITS {
            old(yard, path);
        }
        for (path, _) in UNITS.iter().rev() {
            yard.grow_old(path, super::DAY * 3);
        }
        yard.config(
            "[admin]\nlisten = \"off\"\n[[target]]\npath = \"target\"\nschedule = \"@daily\"\ninclude = [\"*\"]\n\
             older_than = \"1d\"\nage_by = \"modified\"\naction = \"trash\"\nwhole_dirs = true\nthreads = 1\n",
        );
        remember(yard);
        let run = cleaned(yard).expect("it works")["run"].as_str().expect("an id").to_owned();
        assert!(!yard.path("target/one").exists());
        yard.directory("target/two");
        undo(&run)
    }

    fn at_once(&self, yard: &Yard) -> Result<bool, Wrong> {
        let kept: Vec<_> = IN_UNITS.iter().map(|path| format!("old {path}")).collect();
        account(&found(yard, &["target", ".janitor-trash"]), &kept, &[], in_trash)
    }

    fn afterwards(&self, yard: &Yard) -> Result<(), Wrong> {
        let kept: Vec<_> = IN_UNITS.iter().map(|path| format!("old {path}")).collect();
        undo_all(yard, &kept)?;
        for (path, mode) in UNITS {
            let about = std::fs::metadata(yard.path(path)).map_err(|error| format!("{path}: {error}"))?;
            let is = std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o7777;
            let age = about.modified().ok().and_then(|time| time.elapsed().ok()).unwrap_or_default();
            if is != mode || (path != "target/two" && age < super::DAY) {
                return Err(format!("{path} has mode {is:o} and is {age:?} old"));
            }
        }
        let run = cleaned(yard)?;
        if run["deleted"] != 0 {
            return Err(format!("what was put back is taken again: {run}"));
        }
        Ok(())
    }
}
