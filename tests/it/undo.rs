//! The undo of a run brings back all that it took, as it was, and opens nothing that was closed.

use std::collections::BTreeMap;
use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::users::{ATTACKER, VICTIM, can_be_others};
use super::yard::Yard;

const DAY: Duration = Duration::from_secs(86_400);

/// Writes a config for one target whose files, or directories, go to the trash.
fn config(yard: &Yard, policy: &str) {
    yard.directory("target");
    yard.config(&format!(
        "state_dir = \"state\"\n[log]\nfile = \"log/log\"\n[admin]\nlisten = \"off\"\nsocket = \"off\"\n[[target]]\nname = \"t\"\n\
         path = \"target\"\nschedule = \"@daily\"\nolder_than = \"1d\"\naction = \"trash\"\n{policy}\n"
    ));
}

/// Makes everything below a path old.
fn age(path: &Path) {
    for entry in fs::read_dir(path).expect("readable") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            age(&path);
        }
        #[expect(clippy::disallowed_methods, reason = "real files have real ages")]
        let times = FileTimes::new().set_modified(SystemTime::now() - 3 * DAY);
        File::open(path).expect("there").set_times(times).expect("ours");
    }
}

/// Inode, mode, user, group and modification of everything below a directory but the slots.
type Tree = BTreeMap<String, (u64, u32, u32, u32, i64, i64)>;

fn tree(top: &Path) -> Tree {
    fn add(at: &Path, top: &Path, tree: &mut Tree) {
        for entry in fs::read_dir(at).expect("readable") {
            let path = entry.expect("readable").path();
            let about = fs::symlink_metadata(&path).expect("there");
            let name = path.strip_prefix(top).expect("below").to_string_lossy().into_owned();
            if name.starts_with(".janitor-slots") {
                continue;
            }
            let owner = (about.uid(), about.gid());
            tree.insert(name, (about.ino(), about.mode(), owner.0, owner.1, about.mtime(), about.mtime_nsec()));
            if about.is_dir() {
                add(&path, top, tree);
            }
        }
    }
    let mut tree = Tree::new();
    add(top, top, &mut tree);
    tree
}

/// Runs as the user of the yard, cleans, and returns the id of the run.
fn cleaned(ran: &super::yard::Ran) -> String {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran.json()["runs"][0]["run"].as_str().expect("an id").to_owned()
}

#[test]
fn whole_directories_come_back_as_they_were_with_those_that_are_empty() {
    for as_user in [false, true] {
        if as_user && !can_be_others() {
            continue;
        }
        let yard = Yard::new();
        config(&yard, "include = [\"*\"]\nwhole_dirs = true\nage_by = \"modified\"");
        for directory in ["unit/cur", "unit/new", "unit/sub/deep", "closed/in", "bare"] {
            yard.directory(&format!("target/{directory}"));
        }
        for file in ["unit/cur/mail", "closed/file", "closed/in/file"] {
            yard.file(format!("target/{file}"));
        }
        for (path, mode) in [("unit/new", 0o2750), ("closed/in", 0o555), ("closed", 0o555), ("bare", 0o711)] {
            fs::set_permissions(yard.path(format!("target/{path}")), Permissions::from_mode(mode)).expect("ours");
        }
        age(&yard.path("target"));
        if as_user {
            for own in ["state", "log"] {
                yard.directory(own);
            }
            let chown =
                std::process::Command::new("chown").arg("-R").arg(VICTIM.id.to_string()).arg(yard.path("")).status();
            assert!(chown.expect("chown runs").success());
        } else if can_be_others() {
            VICTIM.owns(&yard.path("target/unit/new"));
            fs::set_permissions(yard.path("target/unit/new"), Permissions::from_mode(0o2750)).expect("ours");
        }
        let run = |arguments: &[&str]| if as_user { VICTIM.janitor(&yard, arguments) } else { yard.run(arguments) };
        let before = tree(&yard.path("target"));
        let id = cleaned(&run(&["clean", "--json"]));
        assert_eq!(tree(&yard.path("target")), Tree::new());
        let undone = run(&["undo", &id, "--json"]);
        assert_eq!((undone.code, &undone.json()["restored"]), (Some(0), &3.into()), "{undone:?}");
        assert_eq!(tree(&yard.path("target")), before, "as a user: {as_user}");
        // For a day no run takes them again, those without files neither.
        let again = run(&["clean", "--json"]);
        assert_eq!((again.code, tree(&yard.path("target"))), (Some(0), before), "{again:?}");
    }
}

#[test]
fn a_closed_directory_in_the_trash_can_be_purged_by_an_ordinary_user() {
    if !can_be_others() {
        return;
    }
    let yard = Yard::new();
    config(&yard, "include = [\"*\"]\nwhole_dirs = true");
    for path in ["target/one/deep/file", "target/one/file"] {
        yard.file(path);
    }
    age(&yard.path("target"));
    for path in ["target/one/deep", "target/one"] {
        fs::set_permissions(yard.path(path), Permissions::from_mode(0o555)).expect("ours");
    }
    for own in ["state", "log"] {
        yard.directory(own);
    }
    let chown = std::process::Command::new("chown").arg("-R").arg(VICTIM.id.to_string()).arg(yard.path("")).status();
    assert!(chown.expect("chown runs").success());
    cleaned(&VICTIM.janitor(&yard, &["clean", "--json"]));
    let emptied = VICTIM.janitor(&yard, &["trash", "--empty", "--yes"]);
    assert_eq!(emptied.code, Some(0), "{emptied:?}");
    assert_eq!(tree(&yard.path(".janitor-trash")), Tree::new());
}

#[test]
fn nothing_goes_back_into_a_directory_of_somebody_else_that_has_taken_the_name() {
    if !can_be_others() {
        return;
    }
    for policy in ["include = [\"*\"]\nwhole_dirs = true", "include = [\"**\"]\nremove_empty_dirs = true"] {
        let yard = Yard::new();
        config(&yard, policy);
        fs::set_permissions(yard.path("target"), Permissions::from_mode(0o1777)).expect("ours");
        VICTIM.script(&yard, "umask 022; mkdir -m 700 target/private; echo SECRET > target/private/key");
        age(&yard.path("target"));
        let before = tree(&yard.path("target"));
        let id = cleaned(&yard.run(&["clean", "--json"]));
        ATTACKER.script(&yard, "mkdir target/private; chmod 777 target/private");
        let undone = yard.run(&["undo", &id, "--json"]);
        assert_eq!(undone.code, Some(1), "{undone:?}");
        assert_eq!(undone.json()["occupied"], serde_json::json!(["private/key"]), "{policy}: {undone:?}");
        let read = ATTACKER.try_script(&yard, "cat target/private/key");
        assert!(read.code != Some(0) && !read.out.contains("SECRET"), "{policy}: {read:?}");
        // Once the name is free it is back, closed as it was.
        ATTACKER.script(&yard, "rmdir target/private");
        assert_eq!(yard.run(&["undo", &id]).code, Some(0));
        let about = |tree: &Tree, path: &str| tree.get(path).map(|(_, mode, user, group, ..)| (*mode, *user, *group));
        let after = tree(&yard.path("target"));
        for path in ["private", "private/key"] {
            assert_eq!(about(&before, path), about(&after, path), "{policy}: {path}");
        }
    }
}
