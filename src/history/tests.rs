use std::fs;

use super::*;
use crate::entry::{ActionKind, Identity};
use crate::report::{Counts, Failures, FileSystem, Guard, Held, RootSeen, Stalled, Trigger};

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
        action: ActionKind::Delete,
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
    let (store, remembered, _) = listened(dir, |_| {});
    assert_eq!(store.health().error(), None);
    (store, remembered)
}

fn listened(dir: &Path, hear: impl FnMut(Event) + Send + 'static) -> (Store, Remembered, Word) {
    let opened = super::open(dir).expect("nobody else has it");
    let (remembered, word) = (opened.remembered.clone(), opened.word.clone());
    (opened.start(hear).expect("a thread"), remembered, word)
}

/// Waits until something is so.
#[track_caller]
fn wait_until(what: &str, is_so: impl Fn() -> bool) {
    for _ in 0..3000 {
        if is_so() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("waited in vain for {what}");
}

#[test]
fn what_was_told_is_remembered() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (store, nothing) = open(dir.path());
    assert_eq!(nothing, Remembered::default());
    let (done, held) = (report("done", 5, Outcome::Done), report("held", 7, Outcome::Held));
    store.change(Change::Due(name("done"), at(3)));
    store.change(Change::Due(name("done"), at(4)));
    store.change(Change::Clock(-12));
    store.change(Change::Ended(Arc::new(report("done", 1, Outcome::Failed))));
    store.change(Change::Ended(Arc::new(done.clone())));
    store.change(Change::Ended(Arc::new(held.clone())));
    drop(store);
    let (store, remembered) = open(dir.path());
    // Its root is kept elsewhere, and is not that of a run that was held.
    let last = Report { root: None, ..done.clone() };
    assert_eq!(remembered.last_runs[&name("done")], Arc::new(last));
    assert_eq!(remembered.due, [(name("done"), at(4))].into());
    assert_eq!((remembered.newest_run, remembered.clock_offset), (Some(at(5)), Some(-12)));
    let [hold] = remembered.holds.as_slice() else { panic!("{:?}", remembered.holds) };
    assert_eq!((&hold.run, hold.held.files, hold.why.as_str()), (&held.run, Some(9), "too many"));
    assert_eq!(remembered.roots.keys().collect::<Vec<_>>(), [&name("done")]);
    assert_eq!(Some(&remembered.roots[&name("done")].seen), done.root.as_ref().map(|(_, seen)| seen));
    let runs = runs(dir.path(), None, None, 2).expect("readable beside the daemon");
    assert_eq!(runs.iter().map(|run| &run.run).collect::<Vec<_>>(), [&held.run, &done.run]);
    store.change(Change::Released(held.run.clone()));
    drop(store);
    assert!(open(dir.path()).1.holds.is_empty());
}

#[test]
fn a_run_that_went_on_ends_the_hold_and_a_newer_hold_takes_its_place() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (store, _) = open(dir.path());
    for target in ["one", "two"] {
        store.change(Change::Ended(Arc::new(report(target, 1, Outcome::Held))));
    }
    let many = Some(Held { guard: Guard::MaxDeletes, files: Some(90) });
    let newer = Report { held: many, ..report("one", 2, Outcome::Held) };
    store.change(Change::Ended(Arc::new(newer.clone())));
    store.change(Change::Ended(Arc::new(Report { dry_run: true, ..report("two", 3, Outcome::Done) })));
    drop(store);
    let (store, remembered) = open(dir.path());
    assert_eq!(remembered.holds.len(), 2, "a dry run releases nothing");
    assert!(remembered.holds.iter().any(|hold| hold.run == newer.run));
    store.change(Change::Ended(Arc::new(report("two", 4, Outcome::Partial))));
    drop(store);
    assert_eq!(open(dir.path()).1.holds.len(), 1);
}

#[test]
fn there_is_one_daemon_for_each_directory() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (store, _) = open(dir.path());
    assert_eq!(super::open(dir.path()).err(), Some(InUse(dir.path().to_path_buf())));
    drop(store);
    let (store, _) = open(dir.path());
    drop(store);
}

#[test]
fn only_the_newest_runs_of_each_target_are_kept() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (store, _) = open(dir.path());
    for second in 0..130 {
        store.change(Change::Ended(Arc::new(report("busy", second, Outcome::Done))));
    }
    store.change(Change::Ended(Arc::new(report("calm", 1, Outcome::Done))));
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
        store.change(Change::Ended(Arc::new(report("a", 1, Outcome::Done))));
        drop(store);
        fs::write(dir.path().join("janitor.sqlite"), damage).expect("ours");
        let (store, remembered) = open(dir.path());
        assert!(remembered.last_runs.is_empty());
        store.change(Change::Ended(Arc::new(report("a", 2, Outcome::Done))));
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
    let (store, remembered, word) = listened(&dir.path().join("file/state"), |_| {});
    assert!(store.health().error().is_some_and(|error| error.contains("state directory")));
    assert_eq!(remembered, Remembered::default());
    assert!(matches!(word, Word::Unknown(_)), "{word:?}");
    store.change(Change::Due(name("a"), at(1)));
    store.settler().wait();
    // A file that a newer version wrote is left as it is.
    let (store, _) = open(dir.path());
    drop(store);
    let file = rusqlite::Connection::open(dir.path().join("janitor.sqlite")).expect("there");
    file.pragma_update(None, "user_version", 99).expect("written");
    drop(file);
    let (store, _, word) = listened(dir.path(), |_| {});
    assert!(store.health().error().is_some_and(|error| error.contains("version 99")), "{:?}", store.health());
    assert_eq!(word, Word::Known(Stops::default()));
}

#[test]
fn a_disk_that_is_full_is_told_and_works_again_when_there_is_room() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (store, _) = open(dir.path());
    store.tell(Told::With(Box::new(|db| db.limit(4).expect("a pragma"))));
    for second in 0..50 {
        store.change(Change::Ended(Arc::new(report("a", second, Outcome::Done))));
    }
    store.settler().wait();
    assert!(store.health().error().is_some_and(|error| error.contains("full")), "{:?}", store.health());
    store.tell(Told::With(Box::new(|db| db.limit(100_000).expect("a pragma"))));
    store.change(Change::Ended(Arc::new(report("a", 60, Outcome::Done))));
    wait_until("the state to be written", || store.health().error().is_none());
    drop(store);
    assert_eq!(open(dir.path()).1.last_runs[&name("a")].started, at(60));
    let all: Vec<_> = runs(dir.path(), None, None, 1000).expect("readable").iter().map(|run| run.started).collect();
    assert_eq!(all.len(), 51, "nothing was lost meanwhile");
}

#[test]
fn that_deleting_freed_nothing_is_remembered_until_it_frees() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let seen = Stalled { at: at(3), free: 7, probed: true };
    let known = || known(dir.path(), &name("a")).expect("readable").stalled;
    let (store, _) = open(dir.path());
    store.change(Change::Ended(Arc::new(Report { stalled: Some(seen), ..report("a", 1, Outcome::Done) })));
    drop(store);
    assert_eq!(known(), Some(seen));
    // A run that no daemon did knows it and tells it, and one that was held knows nothing new.
    add(dir.path(), &Report { stalled: None, ..report("a", 2, Outcome::Held) }, at(9)).expect("written");
    assert_eq!(open(dir.path()).1.stalled, [(name("a"), seen)].into());
    add(dir.path(), &Report { stalled: None, ..report("a", 3, Outcome::Done) }, at(9)).expect("written");
    assert_eq!((known(), open(dir.path()).1.stalled.len()), (None, 0));
}

#[test]
fn a_hold_stays_while_the_cause_is_the_same() {
    let held = |guard, files, why: &str| Report {
        held: Some(Held { guard, files }),
        message: Some(why.into()),
        ..report("a", 1, Outcome::Held)
    };
    let first = Hold::of(&held(Guard::MaxDeletes, Some(20), "20 files")).expect("held");
    for (later, is_same) in [
        (held(Guard::MaxDeletes, Some(20), "20 files"), true),
        (held(Guard::MaxDeletes, Some(22), "22 files"), true),
        (held(Guard::MaxDeletes, Some(3), "3 files"), true),
        (held(Guard::MaxDeletes, Some(23), "23 files"), false),
        (held(Guard::MaxDeletes, None, "?"), false),
        (held(Guard::Root, Some(20), "20 files"), false),
    ] {
        let later = Hold::of(&later).expect("held");
        assert_eq!(first.is_confirmed_by(&later), is_same, "{later:?}");
    }
    let root = Hold::of(&held(Guard::Root, None, "one")).expect("held");
    assert!(root.is_confirmed_by(&Hold::of(&held(Guard::Root, None, "one")).expect("held")));
    assert!(!root.is_confirmed_by(&Hold::of(&held(Guard::Root, None, "two")).expect("held")));
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (store, _) = open(dir.path());
    let (one, two) = (report("one", 1, Outcome::Held), report("one", 2, Outcome::Held));
    store.change(Change::Ended(Arc::new(one.clone())));
    store.change(Change::Ended(Arc::new(two)));
    drop(store);
    let [hold] = &open(dir.path()).1.holds[..] else { panic!("one") };
    assert_eq!(hold.run, one.run);
}

/// What the thread tells.
fn heard() -> (Arc<Mutex<Vec<Event>>>, impl FnMut(Event) + Send + 'static) {
    let heard = Arc::new(Mutex::new(Vec::new()));
    let also = heard.clone();
    (heard, move |event| also.lock().expect("not poisoned").push(event))
}

#[test]
fn what_is_stopped_survives_everything_that_befalls_the_database() {
    let stops = Stops { all: false, targets: [name("a")].into() };
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (events, hear) = heard();
    let (store, _, word) = listened(dir.path(), hear);
    assert_eq!(word, Word::Known(Stops::default()), "it is new, and begun");
    store.keep(stops.clone(), 7);
    store.settler().wait();
    assert_eq!(*events.lock().expect("not poisoned"), [Event::Kept { number: 7, result: Ok(()) }]);
    drop(store);
    let file = dir.path().join("janitor.sqlite");
    let befalls: [&dyn Fn(); 3] = [
        &|| fs::write(&file, "").expect("ours"),
        &|| fs::rename(&file, dir.path().join("away")).expect("ours"),
        &|| fs::write(&file, "this is no database, whoever looks at it, and however long").expect("ours"),
    ];
    for befall in befalls {
        befall();
        let (store, _, word) = listened(dir.path(), |_| {});
        assert_eq!(word, Word::Known(stops.clone()));
        drop(store);
    }
    // Without the file, nobody knows.
    fs::rename(dir.path().join("stops.json"), dir.path().join("away too")).expect("ours");
    let (store, _, word) = listened(dir.path(), |_| {});
    assert!(matches!(&word, Word::Unknown(why) if why.contains("stops.json")), "{word:?}");
    assert_eq!(store.health().error(), None);
    drop(store);
    assert!(!dir.path().join("stops.json").exists(), "nobody has spoken");
}

#[test]
fn a_state_that_is_removed_under_the_daemon_is_made_anew_with_what_is_stopped() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let state = dir.path().join("state");
    let (events, hear) = heard();
    let (store, ..) = listened(&state, hear);
    let stops = Stops { all: true, targets: [].into() };
    store.keep(stops.clone(), 1);
    store.settler().wait();
    fs::rename(&state, dir.path().join("away")).expect("ours");
    store.change(Change::Due(name("a"), at(3)));
    store.settler().wait();
    let returned = Event::Returned(Box::default());
    assert!(events.lock().expect("not poisoned").contains(&returned), "the supervisor tells again what it knows");
    drop(store);
    let (store, remembered, word) = listened(&state, |_| {});
    assert_eq!((word, remembered.due.len()), (Word::Known(stops.clone()), 1));
    // Without a word in between, too: at the latest when the daemon ends.
    fs::rename(&state, dir.path().join("away too")).expect("ours");
    drop(store);
    assert_eq!(listened(&state, |_| {}).2, Word::Known(stops));
}

#[test]
fn what_cannot_be_kept_is_told_and_tried_again() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let state = dir.path().join("state");
    fs::write(&state, "in the way").expect("ours");
    let (events, hear) = heard();
    let (store, ..) = listened(&state, hear);
    let stops = Stops { all: true, targets: [].into() };
    store.keep(stops.clone(), 1);
    store.settler().wait();
    let told = events.lock().expect("not poisoned").clone();
    assert!(matches!(&told[..], [Event::Kept { number: 1, result: Err(_) }]), "{told:?}");
    fs::rename(&state, dir.path().join("file")).expect("ours");
    wait_until("another try", || {
        events.lock().expect("not poisoned").contains(&Event::Kept { number: 1, result: Ok(()) })
    });
    wait_until("the database", || store.health().error().is_none());
    drop(store);
    assert_eq!(listened(&state, |_| {}).2, Word::Known(stops));
}

#[test]
fn a_word_that_was_not_known_is_learnt_when_it_can_be_read_and_not_made_up() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let (state, away) = (dir.path().join("state"), dir.path().join("away"));
    let stops = Stops { all: false, targets: [name("a")].into() };
    let (store, ..) = listened(&state, |_| {});
    store.keep(stops.clone(), 1);
    drop(store);
    fs::rename(&state, &away).expect("ours");
    fs::write(&state, "in the way").expect("ours");
    let (events, hear) = heard();
    let (store, _, word) = listened(&state, hear);
    assert!(matches!(word, Word::Unknown(_)));
    fs::rename(&state, dir.path().join("file")).expect("ours");
    fs::rename(&away, &state).expect("ours");
    let is_told = || events.lock().expect("not poisoned").contains(&Event::Word(stops.clone()));
    wait_until("the word", is_told);
    drop(store);
    // A state that is empty says nothing to a daemon that did not know.
    fs::write(state.join("stops.json"), "").expect("ours");
    let (events, hear) = heard();
    let (store, _, word) = listened(&state, hear);
    assert!(matches!(word, Word::Unknown(_)));
    fs::rename(&state, &away).expect("ours");
    store.change(Change::Due(name("a"), at(3)));
    store.settler().wait();
    drop(store);
    assert!(!events.lock().expect("not poisoned").iter().any(|event| matches!(event, Event::Word(_))));
}
