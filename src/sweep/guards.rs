//! Guards that hold a run as a whole, before its first file, beside those that its target asks for.

use std::sync::atomic::Ordering;

use super::Order;
use super::act::Act;
use super::run::Refused;
use super::walk::Worker;
use crate::fsys::Root;
use crate::names::Escaped;
use crate::report::{Guard, Held, KnownRoot, RootSeen, Stalled};
use crate::target::RootRule;
use crate::verdict::Because;

/// Facts about the world that a run may be held by.
#[derive(Clone, Debug, Default)]
pub struct Guards {
    /// Root as it was in the last run.
    pub root: Option<KnownRoot>,
    /// Reason for which the wall clock cannot be trusted; `None` when it can.
    pub clock: Option<String>,
    /// State of a file system on which deleting frees nothing.
    pub stalled: Option<Stalled>,
    /// Hold from which somebody has released this run.
    pub released: Option<Held>,
}

/// Returns the directory that a root is, and its file system.
pub(super) fn seen(root: &Root) -> RootSeen {
    RootSeen { identity: root.identity, file_system: root.dir.file_system() }
}

impl Guards {
    /// Returns whether somebody has released the run from this guard.
    pub(super) fn is_released(&self, guard: Guard) -> bool {
        self.released.is_some_and(|held| held.guard == guard)
    }

    /// Returns the most files that may go, if `max_deletes` is set: somewhat more than were counted when the run was
    /// held, if it was released from that.
    pub(super) fn most_deletes(&self, max_deletes: Option<u64>) -> Option<u64> {
        let released = self.released.filter(|held| held.guard == Guard::MaxDeletes);
        max_deletes.map(|most| most.max(released.and_then(Held::released_files).unwrap_or(0)))
    }
}

/// Checks that the root still lies on the same file system as before, and that the clock can be trusted where ages are
/// asked for. Returns a note on the root, if there is one.
pub(super) fn check(order: &Order, root: &Root, seen: &RootSeen) -> Result<Option<String>, Refused> {
    let guards = &order.guards;
    let noted = check_root(order, root, seen)?;
    match &guards.clock {
        Some(why) if order.target.policy.asks_for_age() && !guards.is_released(Guard::Clock) => {
            Err(Refused::held(Guard::Clock, None, why.clone()))
        }
        _ => Ok(noted),
    }
}

fn check_root(order: &Order, root: &Root, seen: &RootSeen) -> Result<Option<String>, Refused> {
    let Some(known) = &order.guards.root else { return Ok(None) };
    // A root that this run has just made is no surprise.
    let is_compared = order.target.root == RootRule::Same && root.created.is_empty() && known.path == root.path;
    if !is_compared || order.guards.is_released(Guard::Root) {
        return Ok(None);
    }
    let path = Escaped(root.path.as_os_str().as_encoded_bytes());
    if let Some(how) = seen.file_system.differs_from(&known.seen.file_system) {
        let why = format!(
            "`{path}` lies on another file system than in the last run ({how}): something is mounted there, or no longer \
             mounted; where that is meant to be, `root = \"any\"` turns this guard off"
        );
        return Err(Refused::held(Guard::Root, None, why));
    }
    let is_anew = seen.identity.inode != known.seen.identity.inode;
    Ok(is_anew.then(|| {
        format!("`{path}` is another directory than in the last run, on the same file system: it was made anew")
    }))
}

impl<A: Act> Worker<'_, A> {
    /// Counts so many more files against `max_deletes`, or refuses them. The survey has counted them before; this guard
    /// holds the files that came since.
    pub(super) fn within_guard(&self, files: u64) -> Result<(), Because> {
        let Some(most) = self.sweep.max_deletes else { return Ok(()) };
        let more = |taken: u64| taken.checked_add(files).filter(|taken| *taken <= most);
        // Refused files are not counted: something smaller may still go.
        let taken = self.sweep.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.map(drop).map_err(|_| {
            self.sweep.over_guard.store(true, Ordering::Relaxed);
            Because::MaxDeletes(most)
        })
    }

    /// Takes files that stayed off the count, so that others may go.
    pub(super) fn give_back_guard(&self, files: u64) {
        if self.sweep.max_deletes.is_some() {
            let less = |taken: u64| Some(taken.saturating_sub(files));
            // The update is never refused.
            _ = self.sweep.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
    }

    /// Puts a file that stayed back on the count: its share is not to be given to others yet.
    pub(super) fn take_guard_again(&self) {
        if self.sweep.max_deletes.is_some() {
            self.sweep.taken.fetch_add(1, Ordering::Relaxed);
        }
    }
}
