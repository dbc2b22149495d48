//! Guards hold a whole run, and count what goes in it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{CWD, FileType, mknodat};

use super::needs;
use super::yard::Yard;

const DAY: Duration = Duration::from_secs(86_400);

/// Writes a config for one directory whose first-level directories go whole.
fn config(yard: &Yard, policy: &str) {
    yard.directory("in");
    let target = "[admin]\nlisten = \"off\"\n[[target]]\nname = \"t\"\npath = \"in\"\nschedule = \"@daily\"\n";
    yard.config(&format!("{target}include = [\"*\"]\nwhole_dirs = true\n{policy}\n"));
}

/// A directory with so many files, so old.
fn unit(yard: &Yard, name: &str, files: u32, age: Duration) {
    for file in 0..files {
        yard.aged(&format!("in/{name}/{file}"), age);
    }
    yard.grow_old(&format!("in/{name}"), age);
}

fn cleaned(yard: &Yard, code: i32) -> serde_json::Value {
    let ran = yard.run(&["clean", "--json"]);
    assert_eq!(ran.code, Some(code), "{ran:?}");
    ran.json()["runs"][0].clone()
}

#[test]
fn a_run_that_is_held_removes_nothing_and_tells_what_it_has_put_back() {
    for guard in ["require = \".mounted\"", "max_deletes = 1"] {
        let yard = Yard::new();
        let policy = "older_than = \"1d\"\naction = \"trash\"";
        config(&yard, policy);
        unit(&yard, "one", 1, 3 * DAY);
        let run = cleaned(&yard, 0)["run"].as_str().expect("an id").to_owned();
        // Its time in the trash is over.
        let note = yard.path(format!(".janitor-trash/{run}.json"));
        let text = fs::read_to_string(&note).expect("there");
        let (before, after) = text.split_once("\"keep_s\":").expect("it says how long");
        let rest = after.trim_start_matches(|digit: char| digit.is_ascii_digit());
        fs::write(&note, format!("{before}\"keep_s\":0{rest}")).expect("ours");
        for (name, files) in [("aside", 2), ("going", 2), ("four", 2)] {
            unit(&yard, name, files, 3 * DAY);
        }
        let slot = yard.path("in/.janitor-slots/whole-0");
        for place in ["aside", "going"] {
            fs::rename(yard.path("in").join(place), slot.join(place).join(place)).expect("ours");
        }
        config(&yard, &format!("{policy}\n{guard}"));
        let held = cleaned(&yard, 75);
        assert!(yard.path(format!(".janitor-trash/{run}/one/0")).exists(), "{guard}: the trash is as it was");
        assert!(slot.join("going/going/0").exists(), "{guard}: what was being removed is as it was");
        assert!(yard.path("in/aside/0").exists() && yard.path("in/four/0").exists());
        let said = held["remarks"].to_string();
        assert!(said.contains("`aside` is back"), "{held}");
        assert!(!said.contains("purged") && !said.contains("is gone"), "{held}");
        config(&yard, policy);
        let said = cleaned(&yard, 0)["remarks"].to_string();
        assert!(said.contains("purged from the trash") && said.contains("`going` is gone"), "{said}");
        assert!(!yard.path(format!(".janitor-trash/{run}")).exists() && !slot.join("going/going").exists());
    }
}

#[test]
fn a_unit_that_fails_leaves_its_place_to_the_next_and_a_missed_limit_is_told() {
    let yard = Yard::new();
    let device = |path: &Path| fs::metadata(path).map(|about| about.dev()).ok();
    let there = tempfile::tempdir_in("/dev/shm").ok().filter(|there| device(there.path()) != device(&yard.path("")));
    let Some(archive) = there else {
        needs::missing("a second file system at /dev/shm");
        return;
    };
    yard.directory("in/a");
    // A FIFO cannot be copied.
    mknodat(CWD, yard.path("in/a/fifo"), FileType::Fifo, 0o600.into(), 0).expect("made");
    let old = rustix::fs::Timespec { tv_sec: 1_700_000_000, tv_nsec: 0 };
    let times = rustix::fs::Timestamps { last_access: old, last_modification: old };
    rustix::fs::utimensat(CWD, yard.path("in/a/fifo"), &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).expect("ours");
    unit(&yard, "a", 1, 30 * DAY);
    unit(&yard, "b", 5, 20 * DAY);
    unit(&yard, "c", 5, 10 * DAY);
    let action = format!("action = \"move:{}\"", archive.path().to_string_lossy());
    // `a` would be enough, `b` is more than may go.
    config(&yard, &format!("max_files = 10\nmax_deletes = 4\n{action}"));
    let run = cleaned(&yard, 1);
    assert_eq!((&run["deleted"], &run["unmet"]["max_files"]), (&0.into(), &2.into()), "{run}");
    // And here it may, since `a` has given its place back.
    config(&yard, &format!("max_files = 10\nmax_deletes = 6\n{action}"));
    let ran = yard.run(&["clean"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.out.contains("t: moved 5 file(s), 1 failed"), "{ran:?}");
    assert!(ran.err.contains("something in it cannot be copied to another file system: a FIFO"), "{ran:?}");
    assert!(!ran.err.contains("over its limit"), "{ran:?}");
    assert!(archive.path().join("b").exists() && !yard.path("in/b").exists() && yard.path("in/a/fifo").exists());
}
