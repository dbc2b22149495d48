//! What can be trusted where others can write: verified removal, the sandbox, what a killed run leaves behind.

use std::fs::{self, File, Permissions};
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::process::{Command, Stdio};
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

/// Holds files in every way that there is, then says so, and waits to be killed.
const HOLDER: &str = r#"
import array, mmap, os, socket, subprocess, sys, time
def reading(name): return os.open(name, os.O_RDONLY)
kept = [reading("reading"), os.open("writing", os.O_WRONLY), os.open("append", os.O_WRONLY | os.O_APPEND)]
maps = []
for name, access in (("mapped", mmap.ACCESS_READ), ("mapped-shared", mmap.ACCESS_WRITE), ("mapped-private", mmap.ACCESS_COPY)):
    fd = os.open(name, os.O_RDWR)
    maps.append(mmap.mmap(fd, 0, access=access))
    os.close(fd)
try:
    held = [subprocess.Popen(["./executing", "600"])]
except PermissionError:
    sys.stderr.write("\n*** NOT RUN: nothing can be executed here ***\n")
    held, kept = [], kept + [reading("executing")]
fd = reading("inherited")
held.append(subprocess.Popen(["sleep", "600"], pass_fds=[fd]))
os.close(fd)
one, other = socket.socketpair()
fd = reading("sent")
socket.send_fds(one, [b"x"], [fd])
os.close(fd)
kept.append(reading("../elsewhere/other-name"))
print("ready", flush=True)
try:
    sys.stdin.read()
finally:
    for process in held:
        process.kill()
"#;

const HELD: [&str; 10] = [
    "append",
    "executing",
    "inherited",
    "linked",
    "mapped",
    "mapped-private",
    "mapped-shared",
    "reading",
    "sent",
    "writing",
];

#[test]
fn a_file_in_use_in_any_way_stays_on_the_disk_and_in_memory() {
    if !needs::tool("python3") || !needs::leases() {
        return;
    }
    for place in needs::file_systems() {
        let yard = Yard::below(&place.path);
        square(&yard, "include = [\"*\"]\nolder_than = \"1d\"");
        for name in HELD.iter().chain(&["free", "path-only"]) {
            yard.aged(&format!("square/{name}"), DAY * 3);
        }
        let sleep = fs::read("/bin/sleep").expect("it is there");
        fs::write(yard.path("square/executing"), sleep).expect("ours");
        fs::set_permissions(yard.path("square/executing"), Permissions::from_mode(0o755)).expect("ours");
        yard.grow_old("square/executing", DAY * 3);
        yard.directory("elsewhere");
        fs::hard_link(yard.path("square/linked"), yard.path("elsewhere/other-name")).expect("made");
        let mut holder = Command::new("python3");
        holder.args(["-c", HOLDER]).current_dir(yard.path("square")).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = holder.spawn().expect("python3 runs");
        let mut ready = [0; 6];
        holder.stdout.as_mut().expect("piped").read_exact(&mut ready).expect("it says so");
        // Who holds a file only by its path cannot read it.
        let path_only = rustix::fs::OFlags::PATH;
        let by_path = rustix::fs::open(yard.path("square/path-only"), path_only, rustix::fs::Mode::empty());
        let (_, run) = cleaned(&yard);
        assert_eq!(left(&yard), HELD, "on {}: {run}", place.kind);
        assert_eq!(run["deleted"], 2, "on {}: {run}", place.kind);
        drop((holder.stdin.take(), by_path));
        holder.wait().expect("it ends");
        let all = || {
            cleaned(&yard);
            left(&yard).is_empty().then_some(())
        };
        wait_for("what nobody holds any more to go", all);
    }
}

#[test]
fn a_directory_that_somebody_has_put_in_the_place_of_the_slots_turns_nothing_off() {
    if !needs::leases() {
        return;
    }
    let yard = Yard::new();
    square(&yard, "include = [\"*\"]\nolder_than = \"1d\"");
    yard.directory("elsewhere");
    let place = yard.path("square/.janitor-slots");
    let ways: [fn(&std::path::Path); 2] = [
        |place| symlink("../elsewhere", place).expect("made"),
        |place| {
            fs::create_dir(place).expect("made");
            fs::set_permissions(place, Permissions::from_mode(0o777)).expect("ours");
        },
    ];
    for (number, prepare) in ways.into_iter().enumerate() {
        yard.aged("square/a", DAY * 3);
        prepare(&place);
        let (ran, run) = cleaned(&yard);
        let left: Vec<_> = left(&yard).into_iter().filter(|path| !path.starts_with(".janitor-slots")).collect();
        assert!(left.is_empty() && ran.code == Some(0), "{left:?}: {run}");
        assert_eq!((&run["deleted"], &run["verified"]), (&1.into(), &1.into()), "{run}");
        assert!(yard.left("elsewhere").is_empty());
        fs::rename(&place, yard.path(format!("away-{number}"))).expect("ours");
    }
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
