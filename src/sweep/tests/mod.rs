use std::collections::BTreeSet;
use std::fs::{self, File, FileTimes};
use std::num::NonZeroUsize;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, SystemTime};

use jiff::tz::TimeZone;

mod forest;
mod group;
mod held;
mod opened;
mod oracle;
mod ranked;
mod refusing;
mod wish;

use super::*;
use crate::globs::Globs;
use crate::names::TargetName;
use crate::protected::Place;
use crate::schedule::Schedule;
use crate::target::{Missing, Policy, Sandbox, Unverifiable, Zone};

const NOW: i64 = 1_700_000_000;
const DAY: u64 = 86_400;

struct Yard {
    _temporary: tempfile::TempDir,
    root: PathBuf,
}

impl Yard {
    fn new() -> Self {
        // In memory if there is such a place: ten thousand random trees are made here.
        let temporary =
            tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary directory");
        let root = temporary.path().canonicalize().expect("it exists").join("root");
        fs::create_dir(&root).expect("made");
        Self { _temporary: temporary, root }
    }

    fn file(&self, path: &str, age: Duration) {
        let path = self.root.join(path);
        fs::create_dir_all(path.parent().expect("below the root")).expect("made");
        fs::write(&path, path.as_os_str().as_bytes()).expect("written");
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW as u64) - age;
        let file = File::options().write(true).open(&path).expect("just written");
        file.set_times(FileTimes::new().set_modified(modified)).expect("ours");
    }

    fn files(&self) -> BTreeSet<String> {
        fn below(directory: &Path, root: &Path, found: &mut BTreeSet<String>) {
            for entry in fs::read_dir(directory).expect("readable") {
                let path = entry.expect("readable").path();
                if path.is_dir() && !path.is_symlink() {
                    below(&path, root, found);
                } else {
                    found.insert(path.strip_prefix(root).expect("below").to_string_lossy().into_owned());
                }
            }
        }
        let mut found = BTreeSet::new();
        below(&self.root, &self.root, &mut found);
        found
    }

    fn order(&self, policy: Policy) -> Order {
        let name = TargetName::new("yard").expect("a name");
        let schedule = Schedule::parse("0 2 * * *").expect("a schedule");
        let zone = Zone { name: "UTC".into(), tz: TimeZone::UTC };
        let target = Target::new(name, self.root.clone(), schedule, zone, policy);
        let target = Target { missing: Missing::Create, threads: NonZeroUsize::new(3), ..target };
        let now = Timestamp::from_second(NOW).expect("in range");
        Order {
            run: RunId::new(now),
            target: Arc::new(target),
            trigger: Trigger::Manual,
            dry_run: false,
            protected: Arc::new(Protected::default()),
            now,
            guards: Guards::default(),
        }
    }
}

fn policy(include: &[&str], exclude: &[&str]) -> Policy {
    Policy::new(Globs::new(include.iter().copied(), exclude.iter().copied()).expect("good patterns"))
}

fn swept(order: &Order) -> Report {
    sweep(order, &Control::default(), &|_| {})
}

fn set(names: &[&str]) -> BTreeSet<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn top_level_files_go_and_subdirectories_are_skipped_and_told() {
    let yard = Yard::new();
    for path in ["a", "b", "sub/c"] {
        yard.file(path, Duration::ZERO);
    }
    let told = Mutex::new(Vec::new());
    let report = sweep(&yard.order(policy(&["*"], &[])), &Control::default(), &|event| match event {
        Event::SkippedDirectory { at, because } => told.lock().expect("no panic").push(format!("{at}: {because}")),
        Event::Removed { at, .. } => assert!(["a", "b"].contains(&at.to_string().as_str())),
        other => panic!("{other:?}"),
    });
    assert_eq!(report.outcome, Outcome::Done);
    assert_eq!((report.counts.deleted, report.counts.skipped_directories, report.counts.examined), (2, 1, 3));
    assert!(report.counts.freed > 0);
    assert_eq!(told.into_inner().expect("no panic"), ["sub: no include reaches into it"]);
    assert_eq!(yard.files(), set(&["sub/c"]));
}

#[test]
fn an_explanation_that_is_cancelled_does_not_call_an_entry_gone() {
    let yard = Yard::new();
    yard.file("unit/a", Duration::ZERO);
    let order = yard.order(Policy { whole_dirs: true, ..policy(&["*"], &[]) });
    let control = Control::default();
    assert!(explain(&order, &control, b"unit").is_ok());
    control.cancel("the client left");
    assert_eq!(explain(&order, &control, b"unit").map(drop), Err("cancelled: the client left".to_owned()));
}

#[test]
fn only_regular_files_go_and_links_are_leaves() {
    let yard = Yard::new();
    yard.file("old", Duration::ZERO);
    fs::create_dir(yard.root.join("../outside")).expect("made");
    fs::write(yard.root.join("../outside/precious"), "").expect("written");
    symlink("../outside", yard.root.join("directory")).expect("made");
    symlink("../outside/precious", yard.root.join("file")).expect("made");
    symlink("nowhere", yard.root.join("dangling")).expect("made");
    let report = swept(&yard.order(policy(&["**"], &[])));
    assert_eq!((report.outcome, report.counts.deleted, report.counts.kept), (Outcome::Done, 1, 3));
    assert!(yard.root.join("../outside/precious").exists());
    assert!(yard.root.join("dangling").is_symlink());
}

#[test]
fn a_hard_link_goes_alone_and_frees_nothing() {
    let yard = Yard::new();
    yard.file("twice", Duration::ZERO);
    fs::hard_link(yard.root.join("twice"), yard.root.join("../elsewhere")).expect("made");
    let report = swept(&yard.order(policy(&["*"], &[])));
    assert_eq!((report.counts.deleted, report.counts.freed), (1, 0));
    assert!(yard.root.join("../elsewhere").exists());
}

#[test]
fn a_missing_directory_is_made_by_a_sweep_and_not_by_a_preview() {
    let yard = Yard::new();
    fs::rename(&yard.root, yard.root.with_extension("away")).expect("moved");
    let order = yard.order(policy(&["*"], &[]));
    let report = preview(&order, &Control::default(), &|event| panic!("{event:?}"));
    assert_eq!(report.outcome, Outcome::Done);
    assert!(report.message.is_some_and(|message| message.contains("does not exist; a run would make it")));
    assert!(!yard.root.exists());
    let never =
        Order { target: Arc::new(Target { missing: Missing::Fail, ..(*order.target).clone() }), ..order.clone() };
    assert_eq!(swept(&never).outcome, Outcome::Failed);
    assert!(!yard.root.exists());
    let made = AtomicU64::new(0);
    let report = sweep(&order, &Control::default(), &|event| {
        made.fetch_add(u64::from(matches!(event, Event::Created(_))), Ordering::Relaxed);
    });
    assert_eq!((report.outcome, made.into_inner()), (Outcome::Done, 1));
    assert!(yard.root.is_dir());
}

#[test]
fn a_protected_root_is_refused_at_the_run_too() {
    let yard = Yard::new();
    yard.file("a", Duration::ZERO);
    let mut order = yard.order(policy(&["*"], &[]));
    order.protected = Arc::new(Protected::new(vec![Place {
        path: yard.root.clone(),
        what: "dear to us".into(),
        with_all_below: false,
        identities: Vec::new(),
    }]));
    let report = swept(&order);
    assert_eq!(report.outcome, Outcome::Failed);
    assert!(report.message.is_some_and(|message| message.contains("is dear to us")));
    assert_eq!(yard.files(), set(&["a"]));
}

#[test]
fn a_cancelled_sweep_stops_before_its_next_files() {
    let yard = Yard::new();
    for name in 0..1000 {
        yard.file(&name.to_string(), Duration::ZERO);
    }
    let control = Control::default();
    let report = sweep(&yard.order(policy(&["*"], &[])), &control, &|_| control.cancel("enough"));
    assert_eq!((report.outcome, report.message.as_deref()), (Outcome::Cancelled, Some("enough")));
    // That the first is gone is told when those are gone that it was looked at with.
    assert!((1..=32).contains(&report.counts.deleted), "{report:?}");
    assert_eq!(yard.files().len(), 1000 - report.counts.deleted as usize);
    assert_eq!(control.progress.deleted.load(Ordering::Relaxed), report.counts.deleted);
}

#[test]
fn a_deep_chain_is_swept_without_recursion_and_with_few_handles() {
    use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
    const DEPTH: usize = 3000;
    let yard = Yard::new();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = openat(CWD, &yard.root, flags, Mode::empty()).expect("opened");
    for _ in 0..DEPTH {
        mkdirat(&at, "directory", Mode::RWXU).expect("made");
        at = openat(&at, "directory", flags, Mode::empty()).expect("opened");
        openat(&at, "file", OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::RWXU).expect("made");
    }
    let report = swept(&yard.order(policy(&["**"], &[])));
    assert_eq!((report.outcome, report.counts.deleted), (Outcome::Done, DEPTH as u64), "{:?}", report.failures);
    // The path of the last directory is far longer than the kernel takes at once, so it is opened in hops.
    let root = crate::fsys::resolve(&yard.root, false).expect("there");
    let path = vec!["directory"; DEPTH].join("/");
    root.dir.open_beneath(path.as_bytes()).expect("opened in hops");
    // A temporary directory this deep has to be taken apart from within.
    let mut empty = std::process::Command::new("rm");
    assert!(empty.arg("-rf").arg(&yard.root).status().expect("rm runs").success());
}

#[test]
fn no_way_below_the_root_follows_a_link() {
    let yard = Yard::new();
    fs::create_dir_all(yard.root.join("real/deep")).expect("made");
    symlink("real", yard.root.join("link")).expect("made");
    symlink("/", yard.root.join("slash")).expect("made");
    let root = crate::fsys::resolve(&yard.root, false).expect("there");
    for way in ["link", "link/deep", "slash", "..", "../root"] {
        assert!(root.dir.open_beneath(way.as_bytes()).is_err(), "{way}");
    }
    root.dir.open_beneath(b"real/deep").expect("opened");
}

#[test]
fn ages_are_counted_from_the_order() {
    let yard = Yard::new();
    yard.file("old", Duration::from_secs(DAY));
    yard.file("young", Duration::from_secs(DAY - 1));
    let mut policy = policy(&["*"], &[]);
    policy.older_than = Some(Duration::from_secs(DAY));
    swept(&yard.order(policy));
    assert_eq!(yard.files(), set(&["young"]));
}

#[test]
fn a_sweep_holds_the_locks_of_the_directories_it_is_in_and_a_preview_none() {
    let yard = Yard::new();
    yard.file("sub/deep/a", Duration::ZERO);
    let order = yard.order(policy(&["**"], &[]));
    let is_free = |name: &str| fs::File::open(yard.root.join(name)).expect("there").try_lock_shared().is_ok();
    let seen = Mutex::new(Vec::new());
    let look = |event: &Event<'_>| {
        if matches!(event, Event::WouldRemove { .. } | Event::Removed { .. }) {
            seen.lock().expect("no panic").push(["", "sub", "sub/deep"].map(is_free));
        }
    };
    preview(&order, &Control::default(), &look);
    sweep(&order, &Control::default(), &look);
    let after = ["", "sub", "sub/deep"].map(is_free);
    assert_eq!(seen.into_inner().expect("no panic"), [[true; 3], [true, false, false]]);
    assert_eq!(after, [true; 3]);
}

#[test]
fn what_is_made_in_a_directory_while_it_is_removed_is_put_back() {
    use rustix::fs::{CWD, Mode, OFlags, openat};
    let yard = Yard::new();
    for path in ["unit/a/old", "unit/b/old", "unit/c/old", "other/old"] {
        yard.file(path, Duration::ZERO);
    }
    let mut policy = policy(&["*"], &[]);
    policy.whole_dirs = true;
    let order = yard.order(policy);
    // Somebody has had a handle since before the run, and no name leads there any more.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let handles = ["a", "b", "c"]
        .map(|name| openat(CWD, yard.root.join("unit").join(name), flags, Mode::empty()).expect("it is there"));
    let made = AtomicU64::new(0);
    let report = sweep(&order, &Control::default(), &|event| {
        if let Event::Removed { at, .. } = event
            && at.directory.starts_with(b"unit/")
            && made.fetch_add(1, Ordering::Relaxed) == 0
        {
            for handle in &handles {
                openat(handle, "fresh", OFlags::CREATE | OFlags::WRONLY | OFlags::CLOEXEC, Mode::RWXU).expect("made");
            }
        }
    });
    let left: Vec<String> = yard.files().into_iter().collect();
    assert_eq!(left.iter().filter(|path| path.ends_with("/fresh")).count(), 3, "{left:?}");
    assert!(left.iter().all(|path| path.starts_with("unit/")), "{left:?}");
    assert!(made.into_inner() >= 1, "something went first");
    let said = format!("{:?}", report.remarks);
    assert!(said.contains("was changed or opened while it was removed: what is left of it is back"), "{said}");
}

#[test]
fn an_old_directory_that_is_moved_into_one_while_that_is_removed_is_not_removed_with_it() {
    use rustix::fs::{CWD, Mode, OFlags, openat, renameat};
    let yard = Yard::new();
    for path in ["unit/a/old", "unit/b/old", "unit/c/old"] {
        yard.file(path, Duration::ZERO);
    }
    let mut policy = policy(&["*"], &[]);
    policy.whole_dirs = true;
    let order = yard.order(policy);
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let elsewhere = tempfile::tempdir_in(yard.root.parent().expect("below the yard")).expect("made");
    let handles = ["a", "b", "c"].map(|name| {
        fs::create_dir(elsewhere.path().join(name)).expect("made");
        fs::write(elsewhere.path().join(name).join("kept"), "").expect("written");
        (name, openat(CWD, yard.root.join("unit").join(name), flags, Mode::empty()).expect("it is there"))
    });
    // What is renamed from here on is changed later than all in there.
    let now = || {
        fs::write(elsewhere.path().join("clock"), "").expect("written");
        fs::metadata(elsewhere.path().join("clock")).expect("there").modified().expect("known")
    };
    let then = now();
    while now() == then {}
    let moved = AtomicU64::new(0);
    let (ask, asked) = std::sync::mpsc::channel::<Vec<u8>>();
    let (done, is_done) = std::sync::mpsc::channel();
    let is_done = Mutex::new(is_done);
    std::thread::scope(|scope| {
        // The sweep's own thread is confined to the target.
        let (handles, elsewhere) = (&handles, &elsewhere);
        scope.spawn(move || {
            let Ok(emptied) = asked.recv() else { return };
            // Not into the one that is being emptied, which would not go.
            for (name, handle) in handles.iter().filter(|(name, _)| !emptied.ends_with(name.as_bytes())) {
                renameat(CWD, elsewhere.path().join(name), handle, "moved").expect("moved");
            }
            done.send(()).expect("it is waited for");
        });
        sweep(&order, &Control::default(), &|event| {
            if let Event::Removed { at, .. } = event
                && at.directory.starts_with(b"unit/")
                && moved.fetch_add(1, Ordering::Relaxed) == 0
            {
                ask.send(at.directory.to_vec()).expect("it waits");
                is_done.lock().expect("no panic").recv().expect("moved");
            }
        });
        drop(ask);
    });
    let left: Vec<String> = yard.files().into_iter().filter(|path| path.ends_with("moved/kept")).collect();
    assert_eq!(left.len(), 2, "{:?}", yard.files());
    assert!(left.iter().all(|path| path.starts_with("unit/")), "{left:?}");
}

#[test]
fn a_directory_that_changes_once_it_is_aside_is_put_back_as_it_was() {
    let yard = Yard::new();
    yard.file("unit/deep/old", Duration::ZERO);
    let root = crate::fsys::resolve(&yard.root, false).expect("there").dir;
    let held = root.open(b"unit").expect("there");
    let before = held.look_at_itself().expect("ours").1.facts.stamps.modified;
    let mut slot = crate::fsys::WholeSlot::take(&root).expect("there is room");
    // Not the one that is held.
    fs::create_dir(yard.root.join("other")).expect("made");
    let taken = slot.take_aside(&root, b"other", &held);
    assert!(matches!(taken, Err(crate::fsys::NotTaken::Changed)), "{taken:?}");
    assert!(yard.root.join("other").is_dir());
    slot.take_aside(&root, b"unit", &held).expect("it is held");
    assert!(!yard.root.join("unit").exists());
    // Its name is taken meanwhile: it is kept, and told where.
    fs::create_dir(yard.root.join("unit")).expect("made");
    let kept = slot.put_back(&root, b"unit", &held);
    assert!(matches!(&kept, Err(crate::fsys::NotTaken::Conflict(kept)) if kept.ends_with("aside/unit")), "{kept:?}");
    assert!(slot.is_stuck());
    fs::rename(yard.root.join("unit"), yard.root.join("away")).expect("ours");
    slot.put_back(&root, b"unit", &held).expect("the name is free");
    assert_eq!(held.look_at_itself().expect("ours").1.facts.stamps.modified, before, "no work of ours renews its age");
    assert!(yard.files().contains("unit/deep/old"));
}
