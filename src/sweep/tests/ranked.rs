//! Names that change hands between the ranking and the act.

use std::collections::BTreeSet;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::sync::Once;

use super::refusing::Refusing;
use super::*;
use crate::fsys::Space;
use crate::sweep::act::{Act, Remove};
use crate::target::Watermark;

/// What one file has on the disk.
const ONE: u64 = 4096;

/// Makes something that is there look this old.
fn grow_old(path: &Path, age: Duration) {
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW as u64) - age;
    File::open(path).expect("there").set_times(FileTimes::new().set_modified(modified)).expect("ours");
}

/// Exchanges the names of the youngest and of the one that goes last of eight once the first has gone. Returns whether the
/// youngest is still there.
fn youngest_stays<A: Act>(yard: &Yard, policy: Policy, act: &A) -> bool {
    let once = Once::new();
    let swap = |event: &Event<'_>| {
        if matches!(event, Event::Removed { .. }) {
            once.call_once(|| {
                let at = |name: &str| yard.root.join(name);
                for (from, to) in [("4", "away"), ("1", "4"), ("away", "1")] {
                    fs::rename(at(from), at(to)).expect("ours");
                }
            });
        }
    };
    // Each that goes gives its space back.
    let spacious = |_: &Dir| Ok(Space { total: 1 << 40, free: (8 - yard.files().len() as u64) * ONE });
    let report = execute(&yard.order(policy), &Control::default(), &swap, act, &spacious);
    assert_eq!((report.outcome, once.is_completed()), (Outcome::Done, true), "{report:?}");
    let content = |path: &String| fs::read_to_string(yard.root.join(path)).expect("there");
    let youngest = yard.root.join("1");
    yard.files().iter().any(|path| content(path).starts_with(&*youngest.to_string_lossy()))
}

#[test]
fn what_takes_the_name_of_what_was_ranked_stays() {
    let mut lost = Vec::new();
    for (whole, by_quota) in [(false, false), (true, false), (false, true)] {
        let yard = Yard::new();
        for age in 1..=8_u64 {
            let age = (age.to_string(), Duration::from_secs(age * DAY));
            yard.file(&if whole { format!("{}/file", age.0) } else { age.0.clone() }, age.1);
            grow_old(&yard.root.join(age.0), age.1);
        }
        let mut policy = policy(&["*"], &[]);
        policy.whole_dirs = whole;
        let inode = |name: &str| yard.root.join(name).metadata().expect("there").ino();
        let refused: BTreeSet<u64> =
            if by_quota { ["8", "7", "6"].map(inode).into_iter().collect() } else { BTreeSet::new() };
        let stays = if by_quota {
            // Three are to go, and these refuse to.
            policy.max_files = Some(5);
            youngest_stays(&yard, policy, &Refusing::new(&refused))
        } else {
            policy.min_free = Some(Watermark::Bytes(5 * ONE));
            youngest_stays(&yard, policy, &Remove(Unverifiable::Skip))
        };
        lost.extend((!stays).then_some((whole, by_quota)));
    }
    assert!(lost.is_empty(), "whole, by a quota: {lost:?}");
}

#[test]
fn a_fresh_directory_under_the_name_of_the_empty_one_stays() {
    let mut wrong = Vec::new();
    for (mode, by_limit) in [(0o755, false), (0o777, false), (0o755, true), (0o777, true)] {
        for is_exchanged in [false, true] {
            let yard = Yard::new();
            yard.file("sub/a", Duration::from_secs(DAY));
            grow_old(&yard.root.join("sub"), Duration::from_secs(DAY));
            fs::set_permissions(&yard.root, fs::Permissions::from_mode(mode)).expect("ours");
            let mut policy = policy(&["**"], &[]);
            policy.remove_empty_dirs = true;
            policy.min_free = by_limit.then_some(Watermark::Bytes(ONE));
            let exchange = |event: &Event<'_>| {
                if is_exchanged && matches!(event, Event::Removed { .. }) {
                    fs::rename(yard.root.join("sub"), yard.root.join("../away")).expect("ours");
                    fs::create_dir(yard.root.join("sub")).expect("made");
                }
            };
            let spacious = |_: &Dir| Ok(Space { total: 1 << 40, free: (1 - yard.files().len() as u64) * ONE });
            let act = Remove(Unverifiable::Skip);
            let mut order = yard.order(policy);
            // What is done in between is done by the thread that sweeps.
            order.target = Arc::new(Target { sandbox: Sandbox::Off, ..(*order.target).clone() });
            let report = execute(&order, &Control::default(), &exchange, &act, &spacious);
            assert_eq!((report.outcome, report.counts.deleted), (Outcome::Done, 1), "{report:?}");
            let went = u64::from(!is_exchanged);
            let told = (report.counts.directories, yard.root.join("sub").exists());
            wrong.extend((told != (went, is_exchanged)).then_some((mode, by_limit, is_exchanged)));
        }
    }
    assert!(wrong.is_empty(), "mode, by a limit, exchanged: {wrong:?}");
}
