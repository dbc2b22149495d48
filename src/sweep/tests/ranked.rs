//! Names that change hands between the verdict and the act.

use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::fsys::Space;
use crate::sweep::act::Remove;
use crate::target::Watermark;

/// What one file has on the disk.
const ONE: u64 = 4096;

/// Makes something that is there look this old.
fn grow_old(path: &Path, age: Duration) {
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(NOW as u64) - age;
    File::open(path).expect("there").set_times(FileTimes::new().set_modified(modified)).expect("ours");
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
