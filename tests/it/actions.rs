//! Every action is as careful as delete: what is open, locked or exchanged stays, and what was closed stays closed.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::needs;
use super::users::{ATTACKER, Hold, VICTIM, can_be_others};
use super::yard::{JANITOR, Yard};

const DAY: Duration = Duration::from_secs(86_400);

/// A directory that everybody can write in, and a target with this policy.
fn square(yard: &Yard, mode: u32, policy: &str) {
    fs::set_permissions(yard.directory("target"), Permissions::from_mode(mode)).expect("ours");
    configure(yard, "target", policy);
}

fn configure(yard: &Yard, path: &str, policy: &str) {
    yard.config(&format!(
        "[admin]\nlisten = \"off\"\n[[target]]\nname = \"t\"\npath = \"{path}\"\nschedule = \"@daily\"\ninclude = [\"**\"]\n{policy}\n"
    ));
}

/// What is left but for the slots, which stay.
fn left(yard: &Yard) -> Vec<String> {
    yard.left("target").into_iter().filter(|path| !path.starts_with(".janitor-slots")).collect()
}

fn cleaned(yard: &Yard) -> serde_json::Value {
    let ran = yard.run_within(Duration::from_secs(120), &["clean", "--json"]);
    assert!(matches!(ran.code, Some(0 | 1)), "{ran:?}");
    ran.json()["runs"][0].clone()
}

/// Another file system than that of the yard.
fn elsewhere(yard: &Yard) -> Option<tempfile::TempDir> {
    let there = tempfile::tempdir_in("/dev/shm").ok()?;
    let device = |path: &Path| fs::metadata(path).map(|about| about.dev()).ok();
    (device(there.path()) != device(&yard.path(""))).then_some(there)
}

/// Each action, with a directory on another file system where there is one.
fn each_action(mut with: impl FnMut(&Yard, &str)) {
    let mut actions = vec!["action = \"delete\"".to_owned(), "action = \"trash\"".to_owned(), String::new()];
    let yard = Yard::new();
    let there = elsewhere(&yard);
    match &there {
        Some(there) => actions.push(format!("action = \"move:{}\"", there.path().to_string_lossy())),
        None => drop(needs::missing("a second file system at /dev/shm")),
    }
    for action in actions {
        let yard = Yard::new();
        let archive = yard.directory("archive");
        let within = format!("action = \"move:{}\"", archive.to_string_lossy());
        with(&yard, if action.is_empty() { &within } else { &action });
    }
}

#[test]
fn an_open_or_locked_file_stays_for_every_action() {
    if !needs::leases() || !can_be_others() {
        return;
    }
    each_action(|yard, action| {
        square(yard, 0o1777, &format!("older_than = \"1d\"\n{action}"));
        for name in ["open", "written", "locked", "free"] {
            VICTIM.owns(&yard.aged(&format!("target/{name}"), DAY * 3));
        }
        let held = [(Hold::Open, "open"), (Hold::Written, "written"), (Hold::Lock, "locked")]
            .map(|(how, name)| VICTIM.holds(yard, how, &format!("target/{name}")));
        let run = cleaned(yard);
        assert_eq!(left(yard), ["locked", "open", "written"], "{action}: {run}");
        assert_eq!((&run["deleted"], &run["verified"], &run["failed"]), (&1.into(), &1.into(), &0.into()), "{run}");
        drop(held);
        let run = cleaned(yard);
        assert!(left(yard).is_empty(), "{action}: {run}");
    });
}

/// Somebody takes the old file away when its copy is there, and a program makes a fresh one under its name.
#[test]
fn a_fresh_file_stays_while_the_old_one_is_copied_away() {
    let yard = Yard::new();
    let Some(there) = elsewhere(&yard) else {
        needs::missing("a second file system at /dev/shm");
        return;
    };
    if !needs::leases() || !needs::tool("strace") {
        return;
    }
    square(&yard, 0o777, &format!("older_than = \"1d\"\naction = \"move:{}\"", there.path().to_string_lossy()));
    yard.aged("target/app.pid", DAY * 3);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o", "/dev/null", "-e", "trace=unlinkat", "-e", "inject=unlinkat:delay_enter=500000"]);
    strace.args([JANITOR, "clean"]).current_dir(yard.path("")).env("HOME", "/nonexistent");
    let mut running = strace.spawn().expect("strace runs");
    super::daemon::wait_for("the copy", || there.path().join("app.pid").exists().then_some(()));
    let path = yard.path("target/app.pid");
    drop(fs::rename(&path, yard.path("taken")));
    fs::write(&path, "fresh").expect("written");
    running.wait().expect("it ends");
    assert_eq!(fs::read_to_string(&path).expect("it is there"), "fresh");
    assert_eq!(fs::read_to_string(there.path().join("app.pid")).expect("there"), "content");
}

/// Somebody opens the file and writes to it while its copy is written down, where only root can write.
#[test]
fn a_file_that_is_opened_while_it_is_copied_away_stays_with_skip_open() {
    let yard = Yard::new();
    let Some(there) = elsewhere(&yard) else {
        needs::missing("a second file system at /dev/shm");
        return;
    };
    if !needs::leases() || !needs::tool("strace") {
        return;
    }
    let to = there.path().to_string_lossy();
    square(&yard, 0o755, &format!("older_than = \"1d\"\nskip_open = true\naction = \"move:{to}\""));
    let path = yard.aged("target/app.log", DAY * 3);
    let mut strace = Command::new("strace");
    strace.args(["-f", "-o", "/dev/null", "-e", "trace=fsync", "-e", "inject=fsync:delay_enter=500000"]);
    strace.args([JANITOR, "clean"]).current_dir(yard.path("")).env("HOME", "/nonexistent");
    let mut running = strace.spawn().expect("strace runs");
    super::daemon::wait_for("the copy", || there.path().join("app.log").exists().then_some(()));
    // This waits until the file is let go.
    let mut open = fs::File::options().append(true).open(&path).expect("it is there");
    running.wait().expect("it ends");
    std::io::Write::write_all(&mut open, b"LATE").expect("ours");
    assert_eq!(fs::read_to_string(&path).expect("it is there"), "contentLATE");
    assert!(!there.path().join("app.log").exists(), "its copy is taken back");
}

#[test]
fn a_directory_that_was_closed_stays_closed_in_the_archive_in_the_trash_and_after_an_undo() {
    if !can_be_others() {
        return;
    }
    each_action(|yard, action| {
        if action.contains("delete") {
            return;
        }
        square(yard, 0o1777, &format!("remove_empty_dirs = true\n{action}"));
        let make = "umask 022; mkdir -m 700 target/private; mkdir -m 2750 target/private/shared; \
                    echo SECRET > target/private/shared/diary; touch -d '1 hour ago' target/private/shared target/private";
        VICTIM.script(yard, make);
        let run = cleaned(yard);
        assert_eq!(run["deleted"], 1, "{action}: {run}");
        let place = match action.strip_prefix("action = \"move:") {
            Some(archive) => Path::new(archive.trim_end_matches('"')).to_owned(),
            None => {
                assert_eq!(yard.run(&["undo", run["run"].as_str().expect("an id")]).code, Some(0), "{run}");
                yard.path("target")
            }
        };
        let about = |path: &str| fs::metadata(place.join(path)).map(|about| (about.mode() & 0o7777, about.uid()));
        let victim = fs::metadata(place.join("private/shared/diary")).expect("there").uid();
        assert_ne!(victim, 0);
        assert_eq!(about("private").expect("there"), (0o700, victim), "{action}");
        assert_eq!(about("private/shared").expect("there"), (0o2750, victim), "{action}");
        let read = ATTACKER.try_script(yard, &format!("cat {}/private/shared/diary", place.to_string_lossy()));
        assert!(read.code != Some(0) && !read.out.contains("SECRET"), "{action}: {read:?}");
    });
}

#[test]
fn an_undo_puts_nothing_into_another_directory() {
    let yard = Yard::new();
    for directory in ["a", "b"] {
        yard.directory(directory);
    }
    yard.file("a/one");
    configure(&yard, "a", "action = \"trash\"");
    let run = cleaned(&yard)["run"].as_str().expect("an id").to_owned();
    configure(&yard, "b", "action = \"trash\"");
    let undone = yard.run(&["undo", &run]);
    assert_eq!(undone.code, Some(1), "{undone:?}");
    assert!(undone.err.contains("is another directory") && undone.err.contains(&run), "{undone:?}");
    assert!(yard.left("a").is_empty() && yard.left("b").is_empty());
    // A directory that was made anew at the same path is another, too.
    configure(&yard, "a", "action = \"trash\"");
    fs::rename(yard.path("a"), yard.path("away")).expect("ours");
    yard.directory("a");
    assert_eq!(yard.run(&["undo", &run]).code, Some(1));
    assert!(yard.left("a").is_empty());
    fs::rename(yard.path("a"), yard.path("c")).expect("ours");
    fs::rename(yard.path("away"), yard.path("a")).expect("ours");
    assert_eq!(yard.run(&["undo", &run]).code, Some(0));
    assert_eq!(yard.left("a"), ["one"]);
}

#[test]
fn an_undo_protects_what_it_put_back_and_nothing_else() {
    let yard = Yard::new();
    yard.aged("target/deep/back", DAY * 3);
    configure(&yard, "target", "older_than = \"1d\"\naction = \"trash\"");
    let run = cleaned(&yard)["run"].as_str().expect("an id").to_owned();
    assert_eq!(yard.run(&["undo", &run]).code, Some(0));
    // Both are changed after the undo, as the file system sees it.
    yard.aged("target/other", DAY * 3);
    yard.aged("target/deep/new", DAY * 3);
    let run = cleaned(&yard);
    assert_eq!((run["deleted"].as_u64(), yard.left("target")), (Some(2), vec!["deep/back".to_owned()]), "{run}");
}

/// The first run on a disk that is so full that the private directory cannot be made.
#[test]
fn a_full_disk_without_slots_is_partial_and_says_what_to_do() {
    if !needs::root() || !needs::tool("unshare") || !needs::leases() {
        return;
    }
    let yard = Yard::new();
    yard.directory("target");
    configure(&yard, "target", "older_than = \"1d\"");
    let script = format!(
        "set -e; mount -t tmpfs -o mode=1777,nr_inodes=20 none target; \
         i=0; while : > target/f$i; do i=$((i+1)); done 2>/dev/null || true; touch -d '3 days ago' target/f*; \
         {JANITOR} clean --json || echo code $?; rm target/f0 target/f1 target/f2 target/f3 target/f4; \
         {JANITOR} clean --json; ls target"
    );
    let mut shell = Command::new("unshare");
    shell.args(["-m", "--propagation", "private", "bash", "-c", &script]).current_dir(yard.path("")).env("TZ", "UTC");
    let output = shell.output().expect("unshare runs");
    let out = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{output:?}");
    let (first, second) = out.split_once("code 1").unwrap_or_else(|| panic!("the first run did not fail: {out}"));
    assert!(first.contains("\"outcome\": \"partial\"") && first.contains("Free some space or inodes"), "{first}");
    assert!(second.contains("\"outcome\": \"done\"") && !second.contains("\nf"), "{second}");
}
