//! What holds a run as a whole, before its first file, beside what its target asks for.

use super::Order;
use super::run::Refused;
use crate::fsys::Root;
use crate::names::Escaped;
use crate::report::{Guard, Held, KnownRoot, RootSeen};

/// What a run is told about the world, to be held by.
#[derive(Clone, Debug, Default)]
pub struct Guards {
    /// Which directory the root was in the last run.
    pub root: Option<KnownRoot>,
    /// Why the wall clock cannot be trusted; `None` when it can.
    pub clock: Option<String>,
    /// What somebody has released this run from.
    pub released: Option<Held>,
}

/// The directory that a root is.
pub(super) fn seen(root: &Root) -> RootSeen {
    // Where that cannot be told, it is compared like one on a disk.
    RootSeen { identity: root.identity, in_memory: root.dir.is_in_memory().unwrap_or(false) }
}

impl Guards {
    /// Whether somebody has released the run from this guard.
    pub(super) fn is_released(&self, guard: Guard) -> bool {
        self.released.is_some_and(|held| held.guard == guard)
    }

    /// How many files may go, where `max_deletes` says so: somewhat more than were counted when the run was held, if it
    /// was released from that.
    pub(super) fn most_deletes(&self, max_deletes: Option<u64>) -> Option<u64> {
        let counted = self.released.filter(|held| held.guard == Guard::MaxDeletes).and_then(|held| held.files);
        max_deletes.map(|most| most.max(counted.map_or(0, |files| files.saturating_add(files / 10))))
    }
}

/// Whether the root is still the directory it was, and the clock can be trusted where ages are asked for.
pub(super) fn check(order: &Order, root: &Root) -> Result<(), Refused> {
    let guards = &order.guards;
    // One that we have just made is no surprise.
    if let (Some(known), true) = (&guards.root, root.created.is_empty())
        && known.path == root.path
        && !guards.is_released(Guard::Root)
    {
        let (was, is) = (known.seen.identity, root.identity);
        // A device may get another number when the machine is started.
        if was.inode != is.inode || (known.same_boot && was.device != is.device) {
            let path = Escaped(root.path.as_os_str().as_encoded_bytes());
            let why = format!(
                "`{path}` is not the directory that it was in the last run (inode {} on device {}, was inode {} on {}): \
                 something is mounted there, or no longer mounted, or it was replaced",
                is.inode, is.device, was.inode, was.device
            );
            return Err(Refused::held(Guard::Root, None, why));
        }
    }
    match &guards.clock {
        Some(why) if order.target.policy.asks_for_age() && !guards.is_released(Guard::Clock) => {
            Err(Refused::held(Guard::Clock, None, why.clone()))
        }
        _ => Ok(()),
    }
}
