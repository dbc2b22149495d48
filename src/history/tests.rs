use std::fs;

use super::*;
use crate::entry::Identity;
use crate::report::{Counts, Failures, FileSystem, Guard, RootSeen, Stalled, Trigger};

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + second).expect("in range")
}

fn name(text: &str) -> TargetName {
    TargetName::new(text).expect("a name")
}

fn report(target: &str, second: i64, outcome: Outcome) -> Report {
    let mut failures = Failures::default();
    failures.add("Permission denied", "a");
    let identity = Identity { device: 1, inode: 2 };
    Report {
        run: RunId::new(at(second)),
        target: name(target),
        trigger: Trigger::Schedule,
        dry_run: false,
        started: at(second),
        took: Duration::from_millis(12),
        outcome,
        counts: Counts { deleted: 3, ..Counts::default() },
        failures,
        held: (outcome == Outcome::Held).then_some(Held { guard: Guard::MaxDeletes, files: Some(9) }),
        root: Some(("/srv/x".into(), RootSeen { identity, file_system: FileSystem::default() })),
        sandbox: Some("landlock".into()),
        stalled: None,
        message: (outcome == Outcome::Held).then(|| "too many".into()),
        skipped: false,
        unmet: [(crate::report::LimitKey::MaxSize, 7)].into(),
        remarks: vec!["a remark".to_owned().into()],
        hints: Vec::new(),
    }
}

fn open(dir: &Path) -> (Store, Remembered) {
    let (store, remembered) = Store::open(dir, at(0)).expect("nobody else has it");
    assert_eq!(store.health().error(), None);
    (store, remembered)
}

#[test]
fn what_was_told_is_remembered() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (store, nothing) = open(dir.path());
    assert_eq!(nothing, Remembered::default());
    let (done, held) = (report("done", 5, Outcome::Done), report("held", 7, Outcome::Held));
    store.due(&name("done"), at(3));
    store.due(&name("done"), at(4));
    store.paused(true, &[name("p")].into());
    store.clock(-12);
    store.ended(Arc::new(report("done", 1, Outcome::Failed)));
    store.ended(Arc::new(done.clone()));
    store.ended(Arc::new(held.clone()));
    drop(store);
    let (store, remembered) = open(dir.path());
    // Its root is kept elsewhere, and is not that of a run that was held.
    let last = Report { root: None, ..done.clone() };
    assert_eq!(remembered.last_runs[&name("done")], Arc::new(last));
    assert_eq!(remembered.due, [(name("done"), at(4))].into());
    assert_eq!((remembered.stopped, &remembered.paused), (true, &[name("p")].into()));
    assert_eq!((remembered.newest_run, remembered.clock_offset), (Some(at(5)), Some(-12)));
    let [hold] = remembered.holds.as_slice() else { panic!("{:?}", remembered.holds) };
    assert_eq!((&hold.run, hold.held.files, hold.why.as_str()), (&held.run, Some(9), "too many"));
    assert_eq!(remembered.roots.keys().collect::<Vec<_>>(), [&name("done")]);
    assert_eq!(Some(&remembered.roots[&name("done")].seen), done.root.as_ref().map(|(_, seen)| seen));
    let runs = runs(dir.path(), None, None, 2).expect("readable beside the daemon");
    assert_eq!(runs.iter().map(|run| &run.run).collect::<Vec<_>>(), [&held.run, &done.run]);
    store.released(&held.run);
    drop(store);
    assert!(open(dir.path()).1.holds.is_empty());
}

#[test]
fn a_run_that_went_on_ends_the_hold_and_a_newer_hold_takes_its_place() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (store, _) = open(dir.path());
    for target in ["one", "two"] {
        store.ended(Arc::new(report(target, 1, Outcome::Held)));
    }
    let newer = report("one", 2, Outcome::Held);
    store.ended(Arc::new(newer.clone()));
    store.ended(Arc::new(Report { dry_run: true, ..report("two", 3, Outcome::Done) }));
    drop(store);
    let (store, remembered) = open(dir.path());
    assert_eq!(remembered.holds.len(), 2, "a dry run releases nothing");
    assert!(remembered.holds.iter().any(|hold| hold.run == newer.run));
    store.ended(Arc::new(report("two", 4, Outcome::Partial)));
    drop(store);
    assert_eq!(open(dir.path()).1.holds.len(), 1);
}

#[test]
fn there_is_one_daemon_for_each_directory() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (store, _) = open(dir.path());
    assert_eq!(Store::open(dir.path(), at(0)).expect_err("taken"), InUse(dir.path().to_path_buf()));
    drop(store);
    let (store, _) = open(dir.path());
    drop(store);
}

#[test]
fn only_the_newest_runs_of_each_target_are_kept() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (store, _) = open(dir.path());
    for second in 0..130 {
        store.ended(Arc::new(report("busy", second, Outcome::Done)));
    }
    store.ended(Arc::new(report("calm", 1, Outcome::Done)));
    drop(store);
    let count = |target| runs(dir.path(), Some(target), None, 1000).expect("readable").len();
    assert_eq!((count("busy"), count("calm"), count("nobody")), (100, 1, 0));
    assert_eq!(runs(dir.path(), Some("busy"), None, 1).expect("readable")[0].started, at(129));
}

#[test]
fn a_damaged_file_is_put_aside_and_a_new_one_begun() {
    for damage in [&b"this is no database at all, but text that somebody wrote over it............"[..], &[0; 5000]] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let (store, _) = open(dir.path());
        store.ended(Arc::new(report("a", 1, Outcome::Done)));
        drop(store);
        fs::write(dir.path().join("janitor.sqlite"), damage).expect("ours");
        let (store, remembered) = open(dir.path());
        assert!(remembered.last_runs.is_empty());
        store.ended(Arc::new(report("a", 2, Outcome::Done)));
        drop(store);
        assert_eq!(open(dir.path()).1.last_runs.len(), 1);
        let names = fs::read_dir(dir.path()).expect("ours").map(|entry| entry.expect("ours").file_name());
        let kept = names.filter(|name| name.to_string_lossy().contains(".damaged-")).count();
        assert!(kept >= 1, "it is kept");
    }
}

#[test]
fn a_directory_that_cannot_be_used_stops_nothing() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    fs::write(dir.path().join("file"), "").expect("written");
    let (store, remembered) = Store::open(&dir.path().join("file/state"), at(0)).expect("no other daemon");
    assert!(store.health().error().is_some_and(|error| error.contains("state directory")));
    assert_eq!(remembered, Remembered::default());
    store.due(&name("a"), at(1));
    store.settler()();
    // A file that a newer version wrote is left as it is.
    let (store, _) = open(dir.path());
    drop(store);
    let file = rusqlite::Connection::open(dir.path().join("janitor.sqlite")).expect("there");
    file.pragma_update(None, "user_version", 99).expect("written");
    drop(file);
    let (store, _) = Store::open(dir.path(), at(0)).expect("no other daemon");
    assert!(store.health().error().is_some_and(|error| error.contains("version 99")), "{:?}", store.health());
}

#[test]
fn a_disk_that_is_full_is_told_and_works_again_when_there_is_room() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (store, _) = open(dir.path());
    store.tell(|db| db.limit(4));
    for second in 0..50 {
        store.ended(Arc::new(report("a", second, Outcome::Done)));
    }
    store.settler()();
    assert!(store.health().error().is_some_and(|error| error.contains("full")), "{:?}", store.health());
    store.tell(|db| db.limit(100_000));
    store.ended(Arc::new(report("a", 60, Outcome::Done)));
    store.settler()();
    assert_eq!(store.health().error(), None);
    drop(store);
    assert_eq!(open(dir.path()).1.last_runs[&name("a")].started, at(60));
}

#[test]
fn that_deleting_freed_nothing_is_remembered_until_it_frees() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let seen = Stalled { at: at(3), free: 7, probed: true };
    let known = || stalled(dir.path(), &name("a")).expect("readable");
    let (store, _) = open(dir.path());
    store.ended(Arc::new(Report { stalled: Some(seen), ..report("a", 1, Outcome::Done) }));
    drop(store);
    assert_eq!(known(), Some(seen));
    // A run that no daemon did knows it and tells it, and one that was held knows nothing new.
    add(dir.path(), &Report { stalled: None, ..report("a", 2, Outcome::Held) }, at(9)).expect("written");
    assert_eq!(open(dir.path()).1.stalled, [(name("a"), seen)].into());
    add(dir.path(), &Report { stalled: None, ..report("a", 3, Outcome::Done) }, at(9)).expect("written");
    assert_eq!((known(), open(dir.path()).1.stalled.len()), (None, 0));
}
