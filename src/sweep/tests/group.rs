//! What is worked off together: files that go by their names, and files that were judged a while ago.

use super::*;
use crate::sweep::act::{Remove, Undone};
use crate::sweep::pass::Pass;
use crate::sweep::queue::Queue;
use crate::sweep::sample::EXACT;
use crate::sweep::walk::Worker;
use crate::verdict::Because;

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
    let sweep = run::begin(&order, &control, &observer, &act, &root, None);
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
    let done = judged.map(|(name, found)| worker.remove_if_same(&directory, name, &found));
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
    assert_eq!(yard.files(), set(&["written", "touched", "replaced"]));
}
