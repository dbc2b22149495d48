//! Directories that go or stay whole: taken aside by one rename, judged again, and then gone or back.

use std::fs::{self, File, FileTimes, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::needs;
use super::users::{Hold, VICTIM, can_be_others};
use super::yard::Yard;

const DAY: Duration = Duration::from_secs(86_400);

/// Writes a config for one directory whose first-level directories go whole.
fn config(yard: &Yard, policy: &str) {
    yard.directory("in");
    let target = "[admin]\nlisten = \"off\"\n[[target]]\npath = \"in\"\nschedule = \"@daily\"\nwhole_dirs = true\n";
    yard.config(&format!("{target}{policy}\n"));
}

/// Makes everything at and below a path old.
fn age(path: &Path) {
    if path.is_dir() {
        for entry in fs::read_dir(path).expect("readable") {
            age(&entry.expect("readable").path());
        }
    }
    #[expect(clippy::disallowed_methods, reason = "real files have real ages")]
    let times = FileTimes::new().set_modified(SystemTime::now() - 3 * DAY);
    File::open(path).expect("there").set_times(times).expect("ours");
}

/// A directory with two files and an empty directory, three days old.
fn unit(yard: &Yard, name: &str) {
    for file in ["a", "deep/b"] {
        yard.file(format!("in/{name}/{file}"));
    }
    yard.directory(&format!("in/{name}/deep/empty"));
    age(&yard.path(format!("in/{name}")));
}

/// What is left but for the slots, which stay.
fn left(yard: &Yard) -> Vec<String> {
    yard.left("in").into_iter().filter(|path| !path.starts_with(".janitor-slots/")).collect()
}

/// What is left in the slots.
fn in_slots(yard: &Yard) -> Vec<String> {
    yard.left("in").into_iter().filter(|path| path.starts_with(".janitor-slots/")).collect()
}

const WHOLE: [&str; 2] = ["one/a", "one/deep/b"];

#[test]
fn another_directory_under_the_name_of_the_one_that_was_judged_stays_whole() {
    use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};
    if !needs::tool("strace") || !needs::tracing() {
        return;
    }
    let precious = ["precious/.git/HEAD", "precious/keep.db", "precious/text"];
    for action in ["delete", "trash", "move:ARCHIVE"] {
        let yard = Yard::new();
        let action = action.replace("ARCHIVE", yard.directory("archive").to_str().expect("text"));
        let rules = "include = [\"run*\"]\nexclude = [\"keep.db\"]\nolder_than = \"1d\"";
        config(&yard, &format!("{rules}\naction = \"{action}\""));
        fs::set_permissions(yard.path("in"), Permissions::from_mode(0o777)).expect("ours");
        for path in precious {
            yard.file(format!("in/{path}"));
        }
        for number in 0..3000 {
            yard.file(format!("in/run1/z/{number}"));
        }
        let (run, other) = (yard.path("in/run1"), yard.path("in/precious"));
        for path in [&run, &other] {
            age(path);
        }
        // Somebody exchanges the two while what is in the first is looked at, or before it is taken aside, which waits.
        let watch = init(CreateFlags::CLOEXEC).expect("there is inotify");
        add_watch(&watch, run.join("z"), WatchFlags::OPEN).expect("it is there");
        let ran = std::thread::scope(|scope| {
            let exchanged = scope.spawn(|| {
                let mut buffer = [std::mem::MaybeUninit::uninit(); 4096];
                Reader::new(&watch, &mut buffer).next().expect("it is opened");
                renameat_with(CWD, &run, CWD, &other, RenameFlags::EXCHANGE).expect("both are there");
            });
            let delay = "inject=renameat2:delay_enter=1000000:when=1";
            let mut traced = std::process::Command::new("strace");
            traced.args(["-f", "-qq", "-o", "/dev/null", "-e", "trace=renameat2", "-e", delay, super::yard::JANITOR]);
            traced.args(["clean", "--json"]).current_dir(yard.path("")).env("TZ", "UTC").env("HOME", "/nonexistent");
            let ran = super::yard::Ran::of(traced.output().expect("strace runs"));
            exchanged.join().expect("no panic");
            ran
        });
        // It has the other's name now.
        let all = yard.left("in/run1");
        assert_eq!(all, [".git/HEAD", "keep.db", "text"], "{action}: {ran:?}");
        assert_eq!(yard.left("in/precious").len(), 3000, "{action}");
        let remarks = ran.json()["runs"][0]["remarks"].to_string();
        assert!(remarks.contains("(`run1`): changed since it was judged"), "{remarks}");
    }
}

#[test]
fn a_directory_inside_that_may_not_be_written_goes_with_the_rest() {
    for as_user in [false, true] {
        if as_user && !can_be_others() {
            continue;
        }
        let yard = Yard::new();
        config(&yard, "include = [\"*\"]\nolder_than = \"1d\"\n");
        let text = fs::read_to_string(yard.path("config/janitor.toml")).expect("ours");
        yard.config(&format!(
            "state_dir = \"state\"\n{}",
            text.replace("[admin]", "[log]\nfile = \"log/log\"\n[admin]")
        ));
        unit(&yard, "one");
        for path in ["in/one/deep", "in/one"] {
            fs::set_permissions(yard.path(path), Permissions::from_mode(0o555)).expect("ours");
        }
        let ran = if as_user {
            for path in ["in", "in/one", "in/one/a", "in/one/deep", "in/one/deep/b", "in/one/deep/empty"] {
                VICTIM.owns(&yard.path(path));
            }
            for own in ["state", "log"] {
                VICTIM.owns(&yard.directory(own));
            }
            VICTIM.janitor(&yard, &["clean"])
        } else {
            yard.run(&["clean"])
        };
        assert_eq!((ran.code, left(&yard), in_slots(&yard)), (Some(0), Vec::new(), Vec::new()), "{ran:?}");
        assert!(!yard.path("in/one").exists());
    }
}

#[test]
fn one_immutable_file_keeps_all_of_it_and_its_age() {
    if !needs::root() || !needs::tool("chattr") {
        return;
    }
    for action in ["delete", "trash"] {
        let yard = Yard::new();
        config(&yard, &format!("include = [\"*\"]\nolder_than = \"1d\"\naction = \"{action}\""));
        unit(&yard, "one");
        unit(&yard, "two");
        let chattr = |how: &str| {
            let mut command = std::process::Command::new("chattr");
            command.arg(how).arg(yard.path("in/one/deep/b")).output().expect("chattr runs").status.success()
        };
        if !chattr("+i") {
            needs::say("\n*** NOT RUN: no immutable files on the file system of the temporary directory ***\n");
            return;
        }
        let before = ["in/one", "in/one/deep"].map(|path| fs::metadata(yard.path(path)).expect("there").ctime_nsec());
        let ran = yard.run(&["clean"]);
        let after = ["in/one", "in/one/deep"].map(|path| fs::metadata(yard.path(path)).expect("there").ctime_nsec());
        assert!(chattr("-i"));
        assert_eq!(
            (ran.code, left(&yard), in_slots(&yard)),
            (Some(0), WHOLE.map(String::from).to_vec(), vec![]),
            "{ran:?}"
        );
        assert_eq!(before, after, "it was not even touched");
        assert_eq!(yard.run(&["clean"]).code, Some(0));
        assert_eq!(left(&yard), [""; 0]);
    }
}

#[test]
fn trash_takes_all_of_it_in_one_step_and_undo_brings_it_back() {
    let yard = Yard::new();
    config(&yard, "include = [\"*\"]\nolder_than = \"1d\"\naction = \"trash\"");
    unit(&yard, "one");
    let inode = |path: &str| fs::metadata(yard.path(path)).expect("there").ino();
    let before = inode("in/one");
    let ran = yard.run(&["clean", "--json"]);
    let run = ran.json()["runs"][0].clone();
    assert_eq!((&run["deleted"], &run["directories"]), (&2.into(), &3.into()), "{run}");
    let id = run["id"].as_str().or(run["run"].as_str()).expect("an id").to_owned();
    assert_eq!(inode(&format!(".janitor-trash/{id}/one")), before, "it was renamed");
    assert!(yard.path(format!(".janitor-trash/{id}/one/deep/empty")).is_dir());
    let log = fs::read_to_string(yard.path("cleanup_scheduler.log")).expect("written");
    for line in ["file: one/a", "file: one/deep/b", "directory: one/deep", "directory: one"] {
        assert!(log.contains(line), "{line}: {log}");
    }
    let undone = yard.run(&["undo", &id]);
    assert_eq!((undone.code, left(&yard)), (Some(0), WHOLE.map(String::from).to_vec()), "{undone:?}");
}

#[test]
fn move_takes_all_of_it_within_the_file_system_and_across() {
    for there in [std::env::temp_dir(), "/dev/shm".into()] {
        let archive = tempfile::tempdir_in(&there).expect("a temporary directory");
        let archive = archive.path().canonicalize().expect("it exists");
        let yard = Yard::new();
        let action = format!("action = \"move:{}\"", archive.to_str().expect("text"));
        config(&yard, &format!("include = [\"*\"]\nolder_than = \"1d\"\n{action}"));
        fs::create_dir(archive.join("one")).expect("made");
        unit(&yard, "one");
        let ran = yard.run(&["clean"]);
        assert_eq!((ran.code, left(&yard), in_slots(&yard)), (Some(0), vec![], vec![]), "{ran:?}");
        assert!(!yard.path("in/one").exists());
        // The name was taken.
        let moved = archive.join("one (2)");
        assert_eq!(fs::read_to_string(moved.join("deep/b")).expect("moved"), "content");
        assert!(moved.join("deep/empty").is_dir());
        let age = |path: &Path| fs::metadata(path).expect("there").modified().expect("known").elapsed().expect("past");
        assert!(age(&moved.join("deep")) > DAY && age(&moved.join("a")) > DAY);
        assert_eq!(fs::read_dir(&archive).expect("readable").count(), 2, "nothing else is left there");
        // What cannot be copied keeps all of it here.
        if there == Path::new("/dev/shm")
            && yard.path("in").metadata().expect("there").dev() != archive.metadata().expect("there").dev()
        {
            unit(&yard, "one");
            let made = rustix::fs::mknodat(CWD, yard.path("in/one/pipe"), rustix::fs::FileType::Fifo, 0o600.into(), 0);
            made.expect("made");
            age_down(&yard.path("in/one"));
            let ran = yard.run(&["clean"]);
            assert_eq!(ran.code, Some(1), "{ran:?}");
            assert_eq!(left(&yard).len(), 3);
            assert_eq!(fs::read_dir(&archive).expect("readable").count(), 2);
        }
    }
}

/// Makes a directory old again after something was put into it.
fn age_down(path: &Path) {
    #[expect(clippy::disallowed_methods, reason = "real files have real ages")]
    let old = SystemTime::now() - 3 * DAY;
    let time = old.duration_since(SystemTime::UNIX_EPOCH).expect("past").as_secs();
    let spec = rustix::fs::Timespec { tv_sec: time.cast_signed(), tv_nsec: 0 };
    let times = rustix::fs::Timestamps { last_access: spec, last_modification: spec };
    for entry in [path.join("pipe"), path.to_owned()] {
        rustix::fs::utimensat(CWD, &entry, &times, rustix::fs::AtFlags::SYMLINK_NOFOLLOW).expect("ours");
    }
}

#[test]
fn a_directory_that_a_process_works_in_stays_where_others_can_write_and_with_skip_open() {
    if !can_be_others() || !needs::leases() {
        return;
    }
    for (mode, more, stays) in [(0o1777, "", true), (0o755, "skip_open = true", true), (0o755, "", false)] {
        let yard = Yard::new();
        config(&yard, &format!("include = [\"*\"]\nolder_than = \"1d\"\n{more}"));
        fs::set_permissions(yard.path("in"), Permissions::from_mode(mode)).expect("ours");
        unit(&yard, "one");
        let holder = VICTIM.holds(&yard, Hold::WorkingDirectory, "in/one/deep");
        let explained = yard.run(&["explain", "in/one"]);
        assert_eq!(explained.out.contains("`deep` in it stays: in use by a process"), stays, "{explained:?}");
        let ran = yard.run(&["clean"]);
        assert_eq!((ran.code, left(&yard).len()), (Some(0), if stays { 2 } else { 0 }), "{mode:o} {more}: {ran:?}");
        drop(holder);
        assert_eq!(yard.run(&["clean"]).code, Some(0));
        assert_eq!(left(&yard), [""; 0]);
    }
}

#[test]
fn an_open_file_keeps_all_of_it_where_others_can_write() {
    if !can_be_others() || !needs::leases() {
        return;
    }
    let yard = Yard::new();
    config(&yard, "include = [\"*\"]\nolder_than = \"1d\"");
    fs::set_permissions(yard.path("in"), Permissions::from_mode(0o1777)).expect("ours");
    unit(&yard, "one");
    for path in ["in/one", "in/one/a", "in/one/deep", "in/one/deep/b", "in/one/deep/empty"] {
        VICTIM.owns(&yard.path(path));
    }
    let holder = VICTIM.holds(&yard, Hold::Open, "in/one/deep/b");
    let changed = fs::metadata(yard.path("in/one")).expect("there").ctime_nsec();
    let ran = yard.run(&["clean"]);
    assert_eq!((ran.code, left(&yard)), (Some(0), WHOLE.map(String::from).to_vec()), "{ran:?}");
    assert_eq!(fs::metadata(yard.path("in/one")).expect("there").ctime_nsec(), changed, "it was not even touched");
    drop(holder);
    assert_eq!(yard.run(&["clean"]).code, Some(0));
    assert_eq!(left(&yard), [""; 0]);
}

#[test]
fn what_a_killed_run_had_aside_is_back_and_what_it_was_removing_is_gone() {
    let yard = Yard::new();
    config(&yard, "include = [\"*\"]\nolder_than = \"1d\"");
    unit(&yard, "one");
    assert_eq!(yard.run(&["clean"]).code, Some(0));
    let slot = yard.path("in/.janitor-slots/whole-0");
    for name in ["one", "two"] {
        unit(&yard, name);
    }
    age(&yard.path("in/one"));
    fs::rename(yard.path("in/one"), slot.join("aside/one")).expect("ours");
    fs::rename(yard.path("in/two"), slot.join("going/two")).expect("ours");
    fs::rename(slot.join("going/two/a"), yard.path("removed")).expect("ours");
    yard.config(&fs::read_to_string(yard.path("config/janitor.toml")).expect("ours").replace("1d", "30d"));
    let ran = yard.run(&["clean", "--json"]);
    let remarks = ran.json()["runs"][0]["remarks"].to_string();
    assert_eq!(
        (ran.code, left(&yard), in_slots(&yard)),
        (Some(0), WHOLE.map(String::from).to_vec(), vec![]),
        "{ran:?}"
    );
    assert!(remarks.contains("`one` is back") && remarks.contains("`two` is gone"), "{remarks}");
    // A name that is taken: kept and told, and back once it is free.
    fs::rename(yard.path("in/one"), slot.join("aside/one")).expect("ours");
    fs::create_dir(yard.path("in/one")).expect("made");
    let ran = yard.run(&["clean", "--json"]);
    assert!(ran.json()["runs"][0]["remarks"].to_string().contains("whole-0/aside/one"), "{ran:?}");
    assert_eq!((left(&yard).len(), in_slots(&yard).len()), (0, 2));
    fs::rename(yard.path("in/one"), yard.path("away")).expect("ours");
    assert_eq!(yard.run(&["clean"]).code, Some(0));
    assert_eq!((left(&yard), in_slots(&yard)), (WHOLE.map(String::from).to_vec(), vec![]));
    // What was made in it after it was to go is nobody's to remove.
    fs::rename(yard.path("in/one"), slot.join("going/one")).expect("ours");
    let fresh = File::create(slot.join("going/one/fresh")).expect("ours");
    let since = fs::metadata(slot.join("going")).expect("there").modified().expect("known");
    fresh.set_times(FileTimes::new().set_modified(since + Duration::from_secs(1))).expect("ours");
    assert_eq!(yard.run(&["clean"]).code, Some(0));
    assert!(left(&yard).contains(&"one/fresh".to_owned()), "{:?}", yard.left("in"));
}

#[test]
fn what_was_moved_into_a_directory_that_a_killed_run_was_removing_is_not_removed_with_it() {
    let yard = Yard::new();
    config(&yard, "include = [\"*\"]\nolder_than = \"1d\"\nage_by = \"modified\"");
    unit(&yard, "one");
    assert_eq!(yard.run(&["clean"]).code, Some(0));
    let going = yard.path("in/.janitor-slots/whole-0/going");
    for what in ["kept/file", "kept/directory/file"] {
        unit(&yard, "one");
        yard.file(what);
        age(&yard.path("kept"));
        let moved = yard.path(what.trim_end_matches("directory/file").to_owned() + "directory");
        let moved = if what.contains("directory") { moved } else { yard.path(what) };
        // The clock of the file system has to go on, or nothing is later than anything.
        super::daemon::wait_for("a later stamp", || {
            fs::write(yard.path("clock"), "").expect("written");
            let now = fs::metadata(yard.path("clock")).expect("there").modified().expect("known");
            (now > fs::metadata(&moved).map(|about| ctime(&about)).expect("there")).then_some(())
        });
        fs::rename(yard.path("in/one"), going.join("one")).expect("ours");
        let since = fs::metadata(&going).expect("there").modified().expect("known");
        // Who had entered it moves in what is old.
        let to = going.join("one/deep").join(moved.file_name().expect("a name"));
        super::daemon::wait_for("a later stamp", || {
            fs::rename(&moved, &to).expect("ours");
            let is_later = ctime(&fs::metadata(&to).expect("there")) > since;
            if !is_later {
                fs::rename(&to, &moved).expect("ours");
            }
            is_later.then_some(())
        });
        let ran = yard.run(&["clean", "--json"]);
        let place = Path::new("in/one/deep").join(moved.file_name().expect("a name"));
        assert!(yard.path(&place).exists(), "{what}: {:?} {ran:?}", yard.left("in"));
        assert!(ran.json()["runs"][0]["remarks"].to_string().contains("`one` is back"), "{ran:?}");
        fs::rename(yard.path("in/one"), yard.path(format!("away {}", what.len()))).expect("ours");
    }
    // Without it the rest goes, and is counted.
    unit(&yard, "one");
    fs::rename(yard.path("in/one"), going.join("one")).expect("ours");
    let ran = yard.run(&["clean", "--json"]);
    assert_eq!((&ran.json()["runs"][0]["deleted"], in_slots(&yard)), (&2.into(), vec![]), "{ran:?}");
}

fn ctime(about: &fs::Metadata) -> SystemTime {
    let nanoseconds = u32::try_from(about.ctime_nsec()).expect("less than a second");
    SystemTime::UNIX_EPOCH + Duration::new(about.ctime().cast_unsigned(), nanoseconds)
}
