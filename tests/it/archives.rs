//! What lies in the destination of a move: archives, copies that grow, and directories of somebody else.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::needs;
use super::users::{ATTACKER, VICTIM, can_be_others};
use super::yard::Yard;

const DAY: Duration = Duration::from_secs(86_400);

/// Writes a config for one target whose files, or directories with `more`, are moved to an archive.
fn config(yard: &Yard, archive: &Path, more: &str) {
    yard.directory("target");
    yard.config(&format!(
        "state_dir = \"state\"\n[log]\nfile = \"log/log\"\n[admin]\nlisten = \"off\"\nsocket = \"off\"\n[[target]]\nname = \"t\"\n\
         path = \"target\"\nschedule = \"@daily\"\nolder_than = \"1d\"\naction = \"move:{}\"\n{more}\n",
        archive.to_string_lossy()
    ));
}

/// A directory on another file system than the yard, where there is one.
fn elsewhere(yard: &Yard) -> Option<tempfile::TempDir> {
    let there = tempfile::tempdir_in("/dev/shm").ok()?;
    let device = |path: &Path| fs::metadata(path).map(|about| about.dev()).ok();
    let found = (device(there.path()) != device(&yard.path(""))).then_some(there);
    if found.is_none() {
        needs::missing("a second file system at /dev/shm");
    }
    found
}

#[test]
fn the_owner_of_the_destination_has_nothing_removed_that_was_archived_there() {
    let yard = Yard::new();
    let Some(there) = elsewhere(&yard) else { return };
    if !can_be_others() {
        return;
    }
    ATTACKER.owns(there.path());
    config(&yard, there.path(), "include = [\"**\"]");
    fs::set_permissions(yard.directory("target/private"), Permissions::from_mode(0o700)).expect("ours");
    yard.aged("target/private/precious", DAY * 3);
    assert_eq!(yard.run(&["clean"]).code, Some(0));
    let taken = there.path().join(".janitor-move-whole-1-1");
    ATTACKER.script(&yard, &format!("mv {}/private {}", there.path().to_string_lossy(), taken.to_string_lossy()));
    let ran = yard.run(&["clean"]);
    assert_eq!(fs::read_to_string(taken.join("precious")).expect("it was archived"), "content", "{ran:?}");
}

#[test]
fn what_a_killed_move_has_left_is_removed_and_told() {
    let yard = Yard::new();
    let there = yard.directory("archive");
    config(&yard, &there, "include = [\"*\"]\nwhole_dirs = true");
    let left = there.join(".janitor-move-whole-1-1");
    fs::create_dir_all(left.join(".janitor-copy/deep")).expect("made");
    fs::write(left.join(".janitor-copy/deep/file"), "half of it").expect("written");
    for path in [left.join(".janitor-copy"), left.clone()] {
        fs::set_permissions(path, Permissions::from_mode(0o700)).expect("ours");
    }
    let ran = yard.run(&["clean", "--json"]);
    let remarks = ran.json()["runs"][0]["remarks"].to_string();
    assert!(remarks.contains("what a killed move had left there: `.janitor-move-whole-1-1`"), "{ran:?}");
    assert_eq!(fs::read_dir(&there).expect("readable").count(), 0);
}

#[test]
fn files_of_a_closed_directory_go_into_no_open_one_of_somebody_else_that_has_its_name_in_the_archive() {
    if !can_be_others() {
        return;
    }
    for across in [false, true] {
        let yard = Yard::new();
        let there = if across { elsewhere(&yard) } else { tempfile::tempdir_in(yard.path("")).ok() };
        let Some(there) = there else { continue };
        fs::set_permissions(there.path(), Permissions::from_mode(0o1777)).expect("ours");
        config(&yard, there.path(), "include = [\"**\"]\nmin_age = \"0s\"");
        fs::set_permissions(yard.path("target"), Permissions::from_mode(0o1777)).expect("ours");
        VICTIM.script(&yard, "umask 022; mkdir -m 700 target/private; echo SECRET > target/private/key");
        yard.grow_old("target/private/key", DAY * 3);
        let theirs = there.path().join("private");
        ATTACKER.script(&yard, &format!("mkdir {0}; chmod 777 {0}", theirs.to_string_lossy()));
        let ran = yard.run(&["clean"]);
        assert_eq!((ran.code, fs::read_dir(&theirs).expect("readable").count()), (Some(0), 0), "{ran:?}");
        let moved = there.path().join("private (2)");
        let about = fs::metadata(&moved).expect("made");
        assert_eq!((about.mode() & 0o7777, about.uid()), (0o700, VICTIM.id), "across: {across}");
        assert_eq!(fs::read_to_string(moved.join("key")).expect("moved"), "SECRET\n");
        let read = ATTACKER.try_script(&yard, &format!("cat {}/*/key", there.path().to_string_lossy()));
        assert!(!read.out.contains("SECRET"), "{read:?}");
    }
}

/// With the capabilities to read all, but not to give anything away.
#[test]
fn a_copy_that_cannot_be_given_to_its_owner_is_closed_to_everybody_else() {
    if !can_be_others() {
        return;
    }
    for policy in ["include = [\"*\"]\nwhole_dirs = true", "include = [\"**\"]"] {
        let yard = Yard::new();
        let Some(there) = elsewhere(&yard) else { return };
        config(&yard, there.path(), policy);
        for own in ["state", "log", "target", ""] {
            ATTACKER.owns(&yard.directory(own));
        }
        ATTACKER.owns(there.path());
        ATTACKER.owns(&yard.path("config/janitor.toml"));
        ATTACKER.owns(&yard.path("config"));
        yard.aged("target/unit/sub/file", DAY * 3);
        for (path, mode) in [("target/unit", 0o770), ("target/unit/sub", 0o771), ("target/unit/sub/file", 0o664)] {
            VICTIM.owns(&yard.path(path));
            fs::set_permissions(yard.path(path), Permissions::from_mode(mode)).expect("ours");
        }
        for path in ["target/unit/sub", "target/unit"] {
            yard.grow_old(path, DAY * 3);
        }
        let id = ATTACKER.id.to_string();
        let all = "+dac_override,+dac_read_search,+fowner,+lease";
        let mut command = std::process::Command::new("setpriv");
        command.args(["--reuid", &id, "--regid", &id, "--clear-groups", "--inh-caps", all, "--ambient-caps", all]);
        command.args(["--bounding-set", &format!("-all,{all}"), super::yard::JANITOR, "clean"]);
        command.current_dir(yard.path("")).env("HOME", "/nonexistent").env("TZ", "UTC");
        let ran = super::yard::Ran::of(command.output().expect("setpriv runs"));
        assert_eq!(ran.code, Some(0), "{ran:?}");
        for (path, mode) in [("unit", 0o700), ("unit/sub", 0o700), ("unit/sub/file", 0o600)] {
            let about = fs::metadata(there.path().join(path)).expect("moved");
            assert_eq!((about.mode() & 0o7777, about.uid()), (mode, ATTACKER.id), "{policy}: {path}");
        }
    }
}

#[test]
fn a_whole_directory_that_cannot_fit_is_not_begun() {
    if !needs::root() || !needs::tool("unshare") {
        return;
    }
    let yard = Yard::new();
    let there = yard.directory("archive");
    config(&yard, &there, "include = [\"*\"]\nwhole_dirs = true\nage_by = \"modified\"");
    for name in ["1", "2", "3"] {
        fs::write(yard.file(format!("target/unit/{name}")), vec![7; 4_000_000]).expect("written");
        yard.grow_old(&format!("target/unit/{name}"), DAY * 3);
    }
    yard.grow_old("target/unit", DAY * 3);
    let script =
        format!("mount -t tmpfs -o size=9m none archive && {} clean --json; ls -A archive", super::yard::JANITOR);
    let mut shell = std::process::Command::new("unshare");
    shell.args(["-m", "--propagation", "private", "sh", "-c", &script]).current_dir(yard.path(""));
    let output = shell.env("TZ", "UTC").env("HOME", "/nonexistent").output().expect("unshare runs");
    let out = String::from_utf8_lossy(&output.stdout);
    // As a whole: each of its files alone would fit.
    assert!(out.contains("12.0 MB do not fit"), "{output:?}");
    assert!(out.trim_end().ends_with('}'), "something is left in the archive: {out}");
    assert_eq!(yard.left("target").iter().filter(|path| path.starts_with("unit/")).count(), 3, "{out}");
}

#[test]
fn an_acl_opens_nothing_that_was_closed_neither_that_of_the_source_nor_that_of_the_archive() {
    if !can_be_others() || !needs::tool("setfacl") {
        return;
    }
    let yard = Yard::new();
    let Some(there) = elsewhere(&yard) else { return };
    let setfacl = |rules: &str, path: &Path| {
        let status = Command::new("setfacl").args(["-m", rules]).arg(path).status().expect("setfacl runs");
        assert!(status.success(), "{rules}: {status}");
    };
    // Who is in the group of root, whom the source does not let in, and one whom the archive lets into all in it.
    let attacker = ATTACKER.id;
    fs::set_permissions(there.path(), Permissions::from_mode(0o755)).expect("ours");
    setfacl(&format!("d:u:{attacker}:rwx"), there.path());
    for (more, number) in [("include = [\"**\"]", 0), ("include = [\"*\"]\nwhole_dirs = true", 1)] {
        config(&yard, there.path(), more);
        let name = format!("closed-{number}");
        let file = format!("target/{name}/file");
        yard.aged(&file, DAY * 3);
        for path in [format!("target/{name}"), file] {
            fs::set_permissions(yard.path(&path), Permissions::from_mode(0o700)).expect("ours");
            // The mask is in the place of the group.
            setfacl("g::---,u:12345:rwx", &yard.path(&path));
        }
        yard.grow_old(&format!("target/{name}"), DAY * 3);
        let ran = yard.run(&["clean"]);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        for path in [there.path().join(&name), there.path().join(&name).join("file")] {
            let mode = fs::metadata(&path).expect("it was moved").permissions().mode() & 0o777;
            assert_eq!(mode, 0o700, "{}", path.to_string_lossy());
            let told = Command::new("getfacl").args(["-cp"]).arg(&path).output().expect("getfacl runs");
            let told = String::from_utf8_lossy(&told.stdout).into_owned();
            assert!(!told.contains(&attacker.to_string()) && !told.contains("12345"), "{told}");
        }
    }
}
