//! What goes wrong around it. Each of these tests is named after a fault, makes it, and sees that the daemon stays up and
//! answers, that the report counts the error with examples, that another target is swept all the same, and that the
//! next run does what this one could not.

mod injected;
mod limits;
mod pair;
mod refused;
mod storage;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::process::Command;

use super::daemon::{Daemon, PORT_ANY, wait_for};
use super::disk::{self, can_mount, in_private, sh};
use super::needs;
use super::yard::Yard;

/// The faults that take mounts of their own: their names, and what is done in a yard on an ext4 of its own.
type Fault = (&'static str, fn(&Yard));

/// Tests that are run in a mount namespace of their own, by the names of functions in `made`.
macro_rules! with_mounts {
    ($($fault:ident)*) => {
        pub(super) const FAULTS: &[super::Fault] = &[$((stringify!($fault), made::$fault)),*];
        $(#[test] fn $fault() { super::play(stringify!($fault)); })*
    };
}
use with_mounts;

fn play(fault: &str) {
    if can_mount() && needs::tool("chattr") && needs::tool("setpriv") {
        in_private("faults::made", fault);
    }
}

/// Not a test: what the tests with mounts start in a mount namespace.
#[test]
#[ignore = "it is a part of other tests"]
fn made() {
    let Some(about) = disk::about() else { return };
    let mut all = refused::FAULTS.iter().chain(storage::FAULTS).chain(limits::FAULTS);
    let (_, fault) = all.find(|(name, _)| *name == about).expect("a fault");
    let outer = Yard::new();
    sh("mount -t tmpfs -o mode=755 none \"$1\"", &[&outer.path("")]);
    let yard = outer.directory("ext4");
    sh(
        "truncate -s 24M \"$1\" && mkfs.ext4 -q -m 0 -I 256 \"$1\" && mount -o loop \"$1\" \"$2\" && chmod 755 \"$2\"",
        &[&outer.path("image"), &yard],
    );
    fault(&Yard::at(&yard));
    sh("umount -R -l \"$1\"", &[&outer.path("")]);
}

#[test]
fn a_port_in_use_is_a_clear_error() {
    let yard = Yard::new();
    let daemon = Daemon::with(&yard, "");
    let other = Yard::new();
    other.config(&format!("[admin]\nlisten = \"{}\"\n", daemon.port()));
    let ran = other.run(&["run"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let port = daemon.port().to_string();
    assert!(ran.err.contains(&port) && ran.err.to_lowercase().contains("in use"), "{ran:?}");
}

#[test]
fn without_a_port_it_works_all_the_same() {
    let yard = Yard::new();
    yard.file("a/file");
    yard.config("[admin]\nlisten = \"off\"\n[[target]]\npath = \"a\"\nschedule = \"* * * * * *\"\ninclude = [\"*\"]\n");
    let daemon = Daemon::start(&yard);
    wait_for("the run", || yard.left("a").is_empty().then_some(()));
    assert!(daemon.log().contains("Admin port is off"));
}

#[test]
fn a_read_only_directory_fails_file_by_file_and_disturbs_no_other_target() {
    let yard = Yard::new();
    for name in ["locked/a", "locked/b", "open/c"] {
        yard.file(name);
    }
    yard.config(&format!(
        "{PORT_ANY}[defaults]\nschedule = \"0 0 1 1 *\"\ninclude = [\"*\"]\n[[target]]\npath = \"locked\"\n[[target]]\npath = \"open\"\n"
    ));
    fs::set_permissions(yard.path("locked"), Permissions::from_mode(0o555)).expect("ours");
    // Root removes files anywhere, so as root the daemon is somebody else.
    let mut daemon = if needs::is_root() {
        for path in ["", "open", "open/c"] {
            chown(yard.path(path), Some(65534), Some(65534)).expect("root may");
        }
        Daemon::as_nobody(&yard)
    } else {
        Daemon::start(&yard)
    };
    let answer = daemon.post("/cleanup/manual");
    assert_eq!(answer.status, 200, "{answer:?}");
    let json = answer.json();
    assert_eq!((&json["success"], &json["error"]), (&false.into(), &"run_failed".into()), "{json}");
    let [locked, open] = json["runs"].as_array().expect("a list").as_slice() else { panic!("two runs: {json}") };
    assert_eq!((&locked["outcome"], &locked["failed"], &locked["deleted"]), (&"partial".into(), &2.into(), &0.into()));
    assert_eq!((&open["outcome"], &open["deleted"]), (&"done".into(), &1.into()));
    for name in ["a", "b"] {
        let line = format!(" - locked - ERROR - Failed to delete {name}: Permission denied");
        assert_eq!(daemon.count(&line), 1, "{}", daemon.log());
    }
    assert!(daemon.log().contains(" - locked - INFO - Cleanup completed. Deleted: 0 files, Failed: 2 files"));
    assert_eq!(yard.left("locked"), ["a", "b"]);
    assert!(daemon.is_running());
    fs::set_permissions(yard.path("locked"), Permissions::from_mode(0o755)).expect("ours");
}

#[test]
fn a_directory_that_cannot_be_read_is_counted_and_the_rest_is_done() {
    let yard = Yard::new();
    for name in ["a/closed/x", "a/y"] {
        yard.file(name);
    }
    yard.config("[[target]]\npath = \"a\"\nschedule = \"@daily\"\ninclude = [\"**\"]\n[log]\nfile = \"/dev/null\"\n");
    fs::set_permissions(yard.path("a/closed"), Permissions::from_mode(0o000)).expect("ours");
    let ran = if needs::is_root() {
        chown(yard.path("a"), Some(65534), Some(65534)).expect("root may");
        yard.run_as_nobody(&["clean", "--json"])
    } else {
        yard.run(&["clean", "--json"])
    };
    fs::set_permissions(yard.path("a/closed"), Permissions::from_mode(0o755)).expect("ours");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let run = &ran.json()["runs"][0];
    assert_eq!((&run["outcome"], &run["deleted"]), (&"partial".into(), &1.into()), "{run}");
    assert_eq!(run["failures"][0]["examples"][0], "closed");
    assert_eq!(yard.left("a"), ["closed/x"]);
}

#[test]
fn targets_that_cannot_be_swept_fail_alone() {
    let yard = Yard::new();
    yard.file("file");
    yard.file("good/x");
    symlink("nowhere", yard.path("dangling")).expect("made");
    let target = |path: &str| {
        format!("[[target]]\npath = \"{path}\"\nschedule = \"@daily\"\ninclude = [\"*\"]\nmissing = \"fail\"\n")
    };
    let all: String = ["file", "absent", "dangling", "good"].map(target).concat();
    let daemon = Daemon::with(&yard, &all);
    let json = daemon.post("/cleanup/manual").json();
    let outcomes: Vec<_> = json["runs"].as_array().expect("a list").iter().map(|run| run["outcome"].clone()).collect();
    assert_eq!(outcomes, ["failed", "failed", "failed", "done"], "{json}");
    assert!(daemon.log().contains(" - absent - ERROR - Cleanup failed: `"), "{}", daemon.log());
    assert!(yard.left("good").is_empty());
}

#[test]
fn a_protected_directory_is_refused_before_anything_starts() {
    let yard = Yard::new();
    symlink("/etc", yard.path("innocent")).expect("made");
    for path in ["/", "/etc", "/usr/bin", "innocent", ".", "config", "state"] {
        yard.config(&format!(
            "[[target]]\npath = \"{path}\"\nname = \"x\"\nschedule = \"@daily\"\ninclude = [\"*\"]\n"
        ));
        for command in ["run", "check", "clean", "preview"] {
            let ran = yard.run(&[command]);
            assert_eq!(ran.code, Some(78), "{command} {path}: {ran:?}");
            assert!(ran.err.contains("this directory is protected"), "{path}: {ran:?}");
        }
    }
}

#[test]
fn a_target_that_becomes_a_way_to_a_protected_directory_is_refused_at_its_run() {
    let yard = Yard::new();
    yard.directory("target");
    yard.directory("precious");
    yard.file("precious/file");
    yard.config(&format!(
        "state_dir = \"precious\"\n{PORT_ANY}[[target]]\npath = \"target\"\nschedule = \"@daily\"\ninclude = [\"*\"]\n"
    ));
    let daemon = Daemon::start(&yard);
    fs::rename(yard.path("target"), yard.path("old")).expect("renamed");
    symlink("precious", yard.path("target")).expect("made");
    let json = daemon.post("/cleanup/manual").json();
    assert_eq!(json["runs"][0]["outcome"], "failed", "{json}");
    assert!(json["runs"][0]["message"].as_str().expect("words").contains("the janitor's own state"), "{json}");
    assert!(yard.path("precious/file").exists());
}

#[test]
fn few_file_handles_are_enough_for_a_deep_tree() {
    let yard = Yard::new();
    let mut path = "deep".to_owned();
    for _ in 0..300 {
        path.push_str("/d");
        yard.file(format!("{path}/file"));
    }
    yard.config("[[target]]\npath = \"deep\"\nschedule = \"@daily\"\ninclude = [\"**\"]\n");
    let limited = format!("ulimit -n 24 && exec {} clean --json", super::yard::JANITOR);
    let output = Command::new("sh").args(["-c", &limited]).current_dir(yard.path("")).env("TZ", "UTC").output();
    let output = output.expect("sh runs");
    assert!(output.status.success(), "{output:?}");
    assert!(yard.left("deep").is_empty());
}

/// Ten thousand levels, some with the longest names there are, and 64 handles: all of it goes, without recursion.
#[test]
fn a_chain_of_ten_thousand_directories_goes_with_few_file_handles() {
    use rustix::fs::{Mode, OFlags, mkdirat, open, openat};
    const LEVELS: usize = 10_000;
    let yard = Yard::new();
    yard.directory("deep");
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = open(yard.path("deep"), flags, Mode::empty()).expect("just made");
    for level in 0..LEVELS {
        let name = if level % 20 == 0 { "n".repeat(255) } else { "d".to_owned() };
        mkdirat(&at, &name, Mode::RWXU).expect("made");
        at = openat(&at, &name, flags, Mode::empty()).expect("just made");
    }
    let file = openat(&at, "file", OFlags::WRONLY | OFlags::CREATE | OFlags::CLOEXEC, Mode::RUSR).expect("made");
    drop((at, file));
    // With a sandbox the kernel goes up to the root for each of them.
    yard.config(
        "[[target]]\npath = \"deep\"\nschedule = \"@daily\"\ninclude = [\"**\"]\nremove_empty_dirs = true\n\
         sandbox = \"off\"\n",
    );
    let limited = format!("ulimit -n 64 && exec {} clean --json", super::yard::JANITOR);
    let output = Command::new("sh").args(["-c", &limited]).current_dir(yard.path("")).env("TZ", "UTC").output();
    let output = output.expect("sh runs");
    assert!(output.status.success(), "{output:?}");
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let run = &told["runs"][0];
    assert_eq!(
        (&run["outcome"], &run["deleted"], &run["directories"]),
        (&"done".into(), &1.into(), &LEVELS.into()),
        "{run}"
    );
    assert!(yard.path("deep").read_dir().expect("it stays").next().is_none());
}
