//! What can be trusted where others can write: verified removal, the sandbox, what a killed run leaves behind.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::daemon::{Daemon, wait_for};
use super::needs;
use super::yard::{Ran, Yard};

const DAY: Duration = Duration::from_secs(86_400);

/// A config for one directory that everybody can write in, with this policy.
fn square(yard: &Yard, policy: &str) {
    fs::set_permissions(yard.directory("square"), Permissions::from_mode(0o777)).expect("ours");
    let target = "[admin]\nlisten = \"127.0.0.1:0\"\n[[target]]\npath = \"square\"\nschedule = \"@daily\"\n";
    yard.config(&format!("{target}{policy}\n"));
}

fn cleaned(yard: &Yard) -> (Ran, serde_json::Value) {
    let ran = yard.run(&["clean", "--json"]);
    let run = ran.json()["runs"][0].clone();
    (ran, run)
}

/// What is left but for the slots, which stay.
fn left(yard: &Yard) -> Vec<String> {
    yard.left("square").into_iter().filter(|path| !path.starts_with(".janitor-slots/")).collect()
}

#[test]
fn where_others_can_write_each_file_is_verified_and_where_not_none_is() {
    if !needs::leases() {
        return;
    }
    let yard = Yard::new();
    square(&yard, "include = [\"**\"]\nolder_than = \"1d\"\nremove_empty_dirs = true");
    for name in ["a", "b", "sub/c", "sub/d"] {
        yard.aged(&format!("square/{name}"), DAY * 3);
    }
    yard.file("square/fresh");
    let (ran, run) = cleaned(&yard);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    // `sub` is ours alone, so its two files went by their names.
    assert_eq!((&run["deleted"], &run["verified"]), (&4.into(), &2.into()), "{run}");
    assert_eq!(left(&yard), ["fresh"]);
    // Nobody sees the slots: not as a skipped directory, not as something examined.
    assert_eq!((&run["skipped_directories"], &run["kept"], &run["directories"]), (&0.into(), &1.into(), &1.into()));
    let mode = fs::metadata(yard.path("square/.janitor-slots")).expect("it stays").permissions().mode();
    assert_eq!(mode & 0o7777, 0o700);
    let (_, again) = cleaned(&yard);
    assert_eq!((&again["examined"], &again["remarks"]), (&1.into(), &serde_json::json!([])), "{again}");
}

#[test]
fn an_open_or_locked_file_stays_where_others_can_write_and_the_run_says_so() {
    if !needs::leases() {
        return;
    }
    let yard = Yard::new();
    square(&yard, "include = [\"*\"]\nolder_than = \"1d\"");
    for name in ["open", "locked", "free"] {
        yard.aged(&format!("square/{name}"), DAY * 3);
    }
    let open = File::open(yard.path("square/open")).expect("ours");
    let locked = File::open(yard.path("square/locked")).expect("ours");
    locked.lock().expect("ours");
    let (ran, run) = cleaned(&yard);
    assert_eq!(ran.code, Some(0), "it is no failure: {ran:?}");
    assert_eq!(left(&yard), ["locked", "open"]);
    let remarks = run["remarks"].to_string();
    assert!(remarks.contains("1 file stays that was to go (`open`): in use by a process"), "{remarks}");
    assert!(remarks.contains("1 file stays that was to go (`locked`): locked by a process"), "{remarks}");
    drop((open, locked));
    cleaned(&yard);
    assert!(left(&yard).is_empty());
}

#[test]
fn a_directory_that_somebody_has_put_in_the_place_of_the_slots_keeps_the_files() {
    let yard = Yard::new();
    square(&yard, "include = [\"*\"]\nolder_than = \"1d\"");
    yard.aged("square/a", DAY * 3);
    yard.directory("elsewhere");
    symlink("../elsewhere", yard.path("square/.janitor-slots")).expect("made");
    let (_, run) = cleaned(&yard);
    assert_eq!(left(&yard), [".janitor-slots", "a"]);
    let remarks = run["remarks"].to_string();
    assert!(remarks.contains("cannot be verified") && remarks.contains("not a private directory"), "{remarks}");
    assert!(yard.left("elsewhere").is_empty());
    // Who wants it may have it without.
    square(&yard, "include = [\"*\"]\nolder_than = \"1d\"\non_unverifiable = \"plain\"");
    let (_, run) = cleaned(&yard);
    assert_eq!((&run["deleted"], &run["verified"]), (&1.into(), &0.into()), "{run}");
    assert_eq!(left(&yard), [".janitor-slots"]);
}

#[test]
fn a_directory_that_goes_whole_is_verified_file_by_file() {
    if !needs::leases() {
        return;
    }
    let yard = Yard::new();
    square(&yard, "include = [\"*\"]\nwhole_dirs = true");
    yard.file("square/one/a");
    symlink("nowhere", yard.path("square/one/link")).expect("made");
    let open = File::open(yard.file("square/two/deep/b")).expect("ours");
    for directory in ["one", "two", "two/deep"] {
        let mode = Permissions::from_mode(0o777);
        fs::set_permissions(yard.path(format!("square/{directory}")), mode).expect("ours");
    }
    let (_, run) = cleaned(&yard);
    assert_eq!(left(&yard), ["two/deep/b"], "{run}");
    assert_eq!((&run["deleted"], &run["verified"]), (&2.into(), &2.into()), "{run}");
    drop(open);
}

#[test]
fn the_report_and_the_status_say_what_the_sandbox_was() {
    let yard = Yard::new();
    square(&yard, "include = [\"*\"]\nsandbox = \"require\"");
    yard.file("square/a");
    let daemon = Daemon::start(&yard);
    let run = daemon.post("/cleanup/manual").json()["runs"][0].clone();
    if run["outcome"] == "failed" {
        assert!(run["message"].as_str().expect("words").contains("Landlock"), "{run}");
        assert_eq!(left(&yard), ["a"], "without the sandbox that is required nothing goes");
        needs::say("\n*** NOT RUN: this kernel has no Landlock ***\n");
        return;
    }
    assert_eq!((&run["sandbox"], &run["outcome"]), (&"landlock".into(), &"done".into()), "{run}");
    assert_eq!(daemon.target("square")["last_run"]["sandbox"], "landlock");
    square(&yard, "include = [\"*\"]\nsandbox = \"off\"");
    assert_eq!(daemon.post("/cleanup/reload").status, 200);
    assert_eq!(daemon.post("/cleanup/manual").json()["runs"][0]["sandbox"], "off");
}

#[test]
fn what_a_sweep_moves_away_arrives_though_it_is_confined() {
    let yard = Yard::new();
    let archive = yard.directory("archive");
    square(&yard, &format!("include = [\"**\"]\naction = \"move:{}\"", archive.to_string_lossy()));
    yard.file("square/deep/a");
    let (_, run) = cleaned(&yard);
    assert_eq!(yard.left("archive"), ["deep/a"], "{run}");
    assert_ne!(run["sandbox"], "off");
}

/// Not a test: what the tests below start as another user.
#[test]
#[ignore = "it is the attacker of other tests"]
fn attacker() {
    let Some(square) = std::env::var_os("JANITOR_ATTACKED") else { return };
    std::env::set_current_dir(square).expect("it is there");
    let exchange = |one: &str, other: &str| {
        let here = rustix::fs::CWD;
        _ = rustix::fs::renameat_with(here, one, here, other, rustix::fs::RenameFlags::EXCHANGE);
    };
    loop {
        for depth in ["dir", "a/dir", "a/b/c/dir"] {
            exchange(depth, &depth.replace("dir", "link"));
        }
    }
}

/// Kills it at the end of the test.
struct Attacker(Child);

impl Drop for Attacker {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn attack(yard: &Yard) -> Attacker {
    let itself = std::env::current_exe().expect("this program");
    let mut command = if needs::is_root() {
        let mut other = Command::new("setpriv");
        other.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(itself);
        other
    } else {
        Command::new(itself)
    };
    command.args(["--exact", "trust::attacker", "--ignored"]).env("JANITOR_ATTACKED", yard.path("square"));
    let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("it starts");
    Attacker(child)
}

/// Directories are exchanged, without pause, for links to a directory full of old files.
#[test]
fn nothing_is_removed_through_a_link_that_is_swapped_in() {
    if !needs::tool("setpriv") {
        return;
    }
    let yard = Yard::new();
    square(&yard, "include = [\"**\"]\nolder_than = \"1d\"\nremove_empty_dirs = true");
    let victims: Vec<String> = (0..20).map(|number| format!("victim/{number}")).collect();
    for victim in &victims {
        yard.aged(victim, DAY * 3);
    }
    for parent in ["", "a/", "a/b/c/"] {
        symlink(yard.path("victim"), yard.directory(&format!("square/{parent}")).join("link")).expect("made");
        yard.directory(&format!("square/{parent}dir"));
    }
    for directory in ["square", "square/a", "square/a/b", "square/a/b/c"] {
        fs::set_permissions(yard.path(directory), Permissions::from_mode(0o777)).expect("ours");
    }
    let attacker = attack(&yard);
    let link = yard.path("square/dir");
    wait_for("the attacker", || link.is_symlink().then_some(()));
    let seconds = std::env::var("JANITOR_ATTACK_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(2);
    #[expect(clippy::disallowed_methods, reason = "an attack has a length")]
    let began = std::time::Instant::now();
    let (mut sweeps, mut removed) = (0, 0);
    while began.elapsed() < Duration::from_secs(seconds) {
        for parent in ["", "a/", "a/b/c/"] {
            // Where the directory is just now.
            for name in ["dir", "link"] {
                let path = yard.path(format!("square/{parent}{name}"));
                if !path.is_symlink() && fs::create_dir_all(&path).is_ok() {
                    drop(fs::write(path.join("old"), "content"));
                }
            }
        }
        let (ran, run) = cleaned(&yard);
        assert!(matches!(ran.code, Some(0 | 1)), "{ran:?}");
        sweeps += 1;
        removed += run["deleted"].as_u64().expect("a number");
        let lost: Vec<_> = victims.iter().filter(|victim| !yard.path(victim).exists()).collect();
        assert!(lost.is_empty(), "after {sweeps} sweeps: {lost:?}: {run}");
    }
    drop(attacker);
    needs::say(&format!("{sweeps} sweeps, {removed} files removed, 0 of {} victims", victims.len()));
    assert!(sweeps > 3);
}
