//! What is worked off together: files that go by their names, and files that were judged a while ago.

use std::ffi::CStr;

use super::*;
use crate::entry::Facts;
use crate::fsys::Dir;
use crate::sweep::act::{Act, Hands, How, Remove, Undone};
use crate::sweep::batch::Opened;
use crate::sweep::emptied::Emptied;
use crate::sweep::pass::Pass;
use crate::sweep::queue::Queue;
use crate::sweep::sample::EXACT;
use crate::sweep::walk::Worker;
use crate::verdict::{Because, Reason};

fn alone(order: Order) -> Order {
    let target = Target { threads: NonZeroUsize::new(1), ..(*order.target).clone() };
    Order { target: Arc::new(target), ..order }
}

#[test]
fn where_only_names_are_asked_for_what_came_back_is_known_from_some_of_them() {
    let yard = Yard::new();
    for number in 0..4000 {
        yard.file(&format!("{number}"), Duration::ZERO);
        if number % 2 == 0 {
            // One block, and then four of them, in turn.
            fs::write(yard.root.join(number.to_string()), [1; 4 * 4096]).expect("written");
        }
    }
    let report = swept(&alone(yard.order(policy(&["*"], &[]))));
    assert_eq!((report.outcome, report.counts.deleted, report.counts.candidates), (Outcome::Done, 4000, 4000));
    assert_eq!(yard.files(), set(&[]));
    let Counts { unseen, freed, eligible, .. } = report.counts;
    assert!((3800..4000 - EXACT).contains(&unseen), "{unseen}");
    assert!((9_000 * 4096..11_000 * 4096).contains(&freed), "10000 blocks of 4096 bytes: {freed}");
    assert_eq!(freed, eligible);
}

#[test]
fn where_anything_but_the_name_is_asked_for_every_file_is_looked_at() {
    let asks = |change: fn(&mut Policy)| {
        let mut policy = policy(&["*"], &[]);
        change(&mut policy);
        policy
    };
    let policies = [
        asks(|policy| policy.older_than = Some(Duration::from_secs(1))),
        asks(|policy| policy.min_age = Some(Duration::from_secs(1))),
        asks(|policy| policy.larger_than = Some(1)),
        asks(|policy| policy.smaller_than = Some(1 << 20)),
        asks(|policy| policy.skip_open = true),
        asks(|policy| policy.keep_newest = NonZeroUsize::new(1)),
        asks(|policy| policy.max_files = Some(1)),
    ];
    for policy in policies {
        let yard = Yard::new();
        for number in 0..100 {
            yard.file(&number.to_string(), Duration::from_secs(DAY));
        }
        let report = swept(&yard.order(policy.clone()));
        assert!(report.counts.deleted >= 99, "{policy:?}: {report:?}");
        assert_eq!(report.counts.unseen, 0, "{policy:?}");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a file of its own, by another than the sweep")]
fn what_is_no_file_any_more_is_found_out_when_it_cannot_be_removed_by_its_name() {
    let yard = Yard::new();
    for number in 0..2000 {
        yard.file(&format!("{number:04}"), Duration::ZERO);
    }
    let last = yard.root.join("1999");
    let order = alone(yard.order(policy(&["*"], &[])));
    let stays = Mutex::new(Vec::new());
    let report = sweep(&order, &Control::default(), &|event| match event {
        Event::Removed { .. } if last.is_file() => {
            fs::remove_file(&last).expect("ours");
            fs::create_dir(&last).expect("made");
        }
        Event::Stays { at, because } => stays.lock().expect("no panic").push(format!("{at}: {because}")),
        _ => {}
    });
    assert_eq!((report.outcome, report.counts.deleted, report.counts.kept), (Outcome::Done, 1999, 1), "{report:?}");
    assert!(last.is_dir());
    assert_eq!(*stays.lock().expect("no panic"), ["1999: a directory, not a regular file"]);
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a file of its own, by another than the sweep")]
fn what_was_changed_since_it_was_judged_stays() {
    let yard = Yard::new();
    for name in ["same", "written", "touched", "replaced", "gone"] {
        yard.file(name, Duration::from_secs(DAY));
    }
    let mut policy = policy(&["*"], &[]);
    policy.older_than = Some(Duration::from_secs(60));
    let order = yard.order(policy);
    let control = Control::default();
    let root = crate::fsys::resolve(&yard.root, false).expect("it exists");
    let observer = |_: &Event<'_>| {};
    let act = Remove(Unverifiable::Skip);
    let sweep = run::begin(&order, &control, &observer, &act, &root, run::Before::default());
    let (pass, queue) = (Pass::Act(Vec::new()), Queue::default());
    let worker = Worker::new(&sweep, &pass, &queue, 1);
    let place = sweep.policy().globs.root();
    let dir = root.dir.open(b".").expect("the root");
    let directory = crate::sweep::batch::Opened::new(dir, crate::sweep::tree::Node::root(), Vec::new(), place);
    let judged = [c"same", c"written", c"touched", c"replaced", c"gone"]
        .map(|name| (name, directory.dir.look(name.to_bytes()).expect("it exists")));
    fs::write(yard.root.join("written"), b"something else, which is longer").expect("written");
    File::open(yard.root.join("touched")).expect("there").set_modified(SystemTime::UNIX_EPOCH).expect("ours");
    yard.file("new", Duration::from_secs(DAY));
    fs::rename(yard.root.join("new"), yard.root.join("replaced")).expect("renamed");
    fs::remove_file(yard.root.join("gone")).expect("ours");
    let done = judged.map(|(name, found)| worker.is_same(&directory, name, &found));
    assert!(
        matches!(
            &done,
            [
                Ok(()),
                Err(Undone::Stays(Because::Changed)),
                Err(Undone::Stays(Because::Changed)),
                Err(Undone::Stays(Because::Changed)),
                Err(Undone::Failed(_)),
            ]
        ),
        "{done:?}"
    );
    assert_eq!(yard.files(), set(&["same", "written", "touched", "replaced"]));
}

#[test]
fn what_is_changed_between_its_look_and_its_removal_stays() {
    let yard = Yard::new();
    // They are looked at in the order of their inodes; what is told of the first comes when all were looked at.
    yard.file("young", Duration::ZERO);
    yard.file("old", Duration::from_secs(DAY));
    yard.file("older", Duration::from_secs(2 * DAY));
    let mut policy = policy(&["*"], &[]);
    policy.older_than = Some(Duration::from_secs(60));
    let old = yard.root.join("old");
    let report = sweep(&alone(yard.order(policy)), &Control::default(), &|event| {
        if matches!(event, Event::Stays { at, .. } if at.name == b"young") {
            File::open(&old).expect("there").set_modified(SystemTime::UNIX_EPOCH).expect("ours");
        }
    });
    assert_eq!((report.counts.deleted, report.counts.kept), (1, 2), "{report:?}");
    assert_eq!(yard.files(), set(&["old", "young"]));
}

#[test]
fn nothing_goes_without_a_look_where_others_can_write_or_files_are_counted_or_moved() {
    use std::os::unix::fs::PermissionsExt;
    let unseen = |prepare: &dyn Fn(&Yard, &mut Target)| {
        let yard = Yard::new();
        for number in 0..200 {
            yard.file(&number.to_string(), Duration::ZERO);
        }
        let order = yard.order(policy(&["*"], &[]));
        let mut target = (*order.target).clone();
        prepare(&yard, &mut target);
        let report = swept(&Order { target: Arc::new(target), ..order });
        assert_eq!((report.outcome, report.counts.deleted), (Outcome::Done, 200), "{report:?}");
        let left: Vec<_> = yard.files().into_iter().filter(|path| !path.starts_with(".janitor-slots/")).collect();
        assert!(left.is_empty(), "{left:?}");
        report.counts.unseen
    };
    assert!(unseen(&|_, _| {}) > 100);
    let open_to_all = |yard: &Yard| fs::set_permissions(&yard.root, fs::Permissions::from_mode(0o777)).expect("ours");
    assert_eq!(unseen(&|yard, _| open_to_all(yard)), 0, "a directory that others can write");
    assert_eq!(unseen(&|_, target| target.max_deletes = Some(500)), 0, "max_deletes");
    assert_eq!(unseen(&|_, target| target.action = Action::Trash), 0, "trash");
    let archive = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary directory");
    let archive = archive.path().canonicalize().expect("it exists");
    assert_eq!(unseen(&|_, target| target.action = Action::MoveTo(archive.clone())), 0, "move");
}

#[test]
fn what_several_names_have_is_given_back_by_the_last() {
    let yard = Yard::new();
    yard.file("a", Duration::from_secs(DAY));
    fs::hard_link(yard.root.join("a"), yard.root.join("b")).expect("made");
    let allocated = {
        use std::os::unix::fs::MetadataExt;
        yard.root.join("a").symlink_metadata().expect("there").blocks() * 512
    };
    let mut policy = policy(&["*"], &[]);
    policy.older_than = Some(Duration::from_secs(60));
    let report = swept(&yard.order(policy));
    assert_eq!((report.counts.deleted, report.counts.freed), (2, allocated), "{report:?}");
    assert!(allocated > 0);
}

/// What a worker does to one name of a file changes what another sees under another name of it.
#[test]
fn several_names_of_a_file_go_at_the_same_time() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let near = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).expect("a temporary directory");
    let far = crate::needs::another_file_system(near.path());
    let archives = std::iter::once(&near).chain(&far);
    let moves = archives.map(|archive| Action::MoveTo(archive.path().canonicalize().expect("it exists")));
    let gone = |action: &Action, mode: u32, skip_open: bool| {
        // A test beside this one that starts a program has, for a moment, copies of all descriptors: then a file is in
        // use that is not.
        let began = crate::clock::mark();
        let mut rounds_with_some_in_use = 0;
        for _ in 0..25 {
            let yard = Yard::new();
            for directory in ["a", "b", "c", "d"] {
                for number in 0..8 {
                    let (first, path) = (format!("a/{number}"), format!("{directory}/{number}"));
                    if first == path {
                        yard.file(&first, Duration::from_secs(DAY));
                    } else {
                        fs::create_dir_all(yard.root.join(directory)).expect("made");
                        fs::hard_link(yard.root.join(first), yard.root.join(path)).expect("made");
                    }
                }
                fs::set_permissions(yard.root.join(directory), fs::Permissions::from_mode(mode)).expect("ours");
            }
            let allocated: u64 =
                (0..8).map(|number| yard.root.join(format!("a/{number}")).metadata().expect("there").blocks()).sum();
            let mut policy = policy(&["**"], &[]);
            policy.older_than = Some(Duration::from_secs(60));
            policy.skip_open = skip_open;
            let order = yard.order(policy);
            let target = Target { action: action.clone(), ..(*order.target).clone() };
            let order = Order { target: Arc::new(target), ..order };
            let (mut deleted, mut freed, mut in_use) = (0, 0, false);
            while deleted < 32 {
                let report = sweep(&order, &Control::default(), &|event| {
                    if let Event::Stays { at, because } = event {
                        assert!(matches!(because, Because::InUse | Because::Locked), "{at} stays: {because}");
                    }
                });
                deleted += report.counts.deleted;
                freed += report.counts.freed;
                // A lease that such a copy keeps may be in the way of who copies the file.
                in_use |= report.counts.kept + report.counts.failed > 0;
                assert!(report.counts.failed == 0 || skip_open, "{action:?}, {mode:o}: {report:?}");
                assert!(began.elapsed() < Duration::from_secs(60) && deleted <= 32, "{action:?}, {mode:o}: {report:?}");
            }
            rounds_with_some_in_use += u32::from(in_use);
            if *action == Action::Delete {
                assert_eq!(freed, allocated * 512, "{mode:o}");
            }
        }
        assert!(rounds_with_some_in_use < 13, "half of all: {action:?}, {mode:o}, {skip_open}");
    };
    for action in [Action::Delete, Action::Trash].into_iter().chain(moves) {
        for (mode, skip_open) in [(0o755, false), (0o777, false), (0o755, true)] {
            gone(&action, mode, skip_open);
        }
    }
}

/// What cannot be reached is the place that files are moved to, not the files.
#[test]
fn a_move_to_what_is_no_directory_any_more_has_failed_and_nothing_has_vanished() {
    let yard = Yard::new();
    for path in ["link/a", "file/b", "good/c", "d"] {
        yard.file(path, Duration::from_secs(DAY));
    }
    let archive = yard.root.parent().expect("it has one").join("archive");
    fs::create_dir(&archive).expect("made");
    symlink("/tmp", archive.join("link")).expect("made");
    fs::write(archive.join("file"), "").expect("written");
    let order = yard.order(policy(&["**"], &[]));
    let target = Target { action: Action::MoveTo(archive.clone()), ..(*order.target).clone() };
    let order = Order { target: Arc::new(target), ..order };
    let report = swept(&order);
    let Counts { deleted, failed, vanished, .. } = report.counts;
    assert_eq!((report.outcome, deleted, failed, vanished), (Outcome::Partial, 2, 2, 0), "{report:?}");
    assert_eq!(yard.files(), set(&["file/b", "link/a"]));
    let told = format!("{:?}", report.failures);
    assert!(told.contains("where it was to go: ") && told.contains("link/a") && told.contains("file/b"), "{told}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "what somebody else removes")]
fn a_move_to_a_directory_that_is_gone_has_failed_too() {
    let yard = Yard::new();
    yard.file("sub/a", Duration::from_secs(DAY));
    let archive = yard.root.parent().expect("it has one").join("archive");
    fs::create_dir(&archive).expect("made");
    let order = yard.order(policy(&["**"], &[]));
    let act = crate::sweep::act::Move(crate::fsys::Destination::open(&archive).expect("it exists"), Unverifiable::Skip);
    fs::remove_dir(&archive).expect("empty");
    let report = execute(&order, &Control::default(), &|_| {}, &act, &Dir::space);
    let Counts { deleted, failed, vanished, .. } = report.counts;
    assert_eq!((deleted, failed, vanished), (0, 1, 0), "{report:?}");
    assert_eq!(yard.files(), set(&["sub/a"]));
}

/// Ends the run while it is at a file.
struct EndsTheRun<'a> {
    control: &'a Control,
    files: std::sync::atomic::AtomicU64,
}

impl Act for EndsTheRun<'_> {
    fn may_change(&self) -> bool {
        true
    }

    fn by_name(&self, _: &Opened, _: &CStr, _: Option<&Facts>, _: &Reason, _: &Dir) -> Result<How, Undone> {
        Ok(How::Plain)
    }

    fn act(&self, _: &Opened, _: &CStr, _: &crate::fsys::Found, _: &Reason, _: Hands<'_>) -> Result<How, Undone> {
        self.files.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // So that the others have come to where they wait; should one not have, the test only sees less.
        std::thread::sleep(Duration::from_millis(50));
        self.control.cancel("enough");
        Ok(How::Verified)
    }

    fn directory(&self, _: &Dir, _: &[u8], _: Emptied<'_>, _: Hands<'_>) -> Result<(), Undone> {
        Ok(())
    }
}

#[test]
fn a_name_whose_turn_comes_after_the_end_stays() {
    let yard = Yard::new();
    yard.file("a/0", Duration::from_secs(DAY));
    for directory in ["b", "c", "d"] {
        fs::create_dir_all(yard.root.join(directory)).expect("made");
        fs::hard_link(yard.root.join("a/0"), yard.root.join(directory).join("0")).expect("made");
    }
    let control = Control::default();
    let act = EndsTheRun { control: &control, files: std::sync::atomic::AtomicU64::new(0) };
    let report = execute(&yard.order(policy(&["**"], &[])), &control, &|_| {}, &act, &Dir::space);
    let Counts { deleted, failed, vanished, .. } = report.counts;
    assert_eq!((report.outcome, deleted, failed, vanished), (Outcome::Cancelled, 1, 0, 0), "{report:?}");
    assert_eq!(act.files.into_inner(), 1, "who waited did not begin");
}

/// Finds that somebody has taken the name of every file.
struct Conflicts;

impl Act for Conflicts {
    fn may_change(&self) -> bool {
        true
    }

    fn by_name(&self, _: &Opened, _: &CStr, _: Option<&Facts>, _: &Reason, _: &Dir) -> Result<How, Undone> {
        Err(Undone::Stays(Because::Conflict(".janitor-slots/0/file/planted".into())))
    }

    fn act(&self, _: &Opened, _: &CStr, _: &crate::fsys::Found, _: &Reason, _: Hands<'_>) -> Result<How, Undone> {
        Err(Undone::Stays(Because::Conflict(".janitor-slots/0/file/planted".into())))
    }

    fn directory(&self, _: &Dir, _: &[u8], _: Emptied<'_>, _: Hands<'_>) -> Result<(), Undone> {
        Ok(())
    }
}

#[test]
fn what_everybody_is_told_of_a_conflict_names_no_file() {
    let yard = Yard::new();
    yard.file("planted", Duration::from_secs(DAY));
    let report = execute(&yard.order(policy(&["**"], &[])), &Control::default(), &|_| {}, &Conflicts, &Dir::space);
    let said = |words: fn(&crate::report::Remark) -> &str| report.remarks.iter().map(words).collect::<String>();
    let (whole, open) = (said(crate::report::Remark::text), said(crate::report::Remark::open));
    assert!(whole.contains("`planted: kept as .janitor-slots/0/file/planted`"), "{report:?}");
    assert!(open.contains("1 file stays that was to go") && !open.contains("planted"), "{report:?}");
}
