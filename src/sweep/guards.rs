//! What holds a run as a whole, before its first file, beside what its target asks for.

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

/// What a run is told about the world, to be held by.
#[derive(Clone, Debug, Default)]
pub struct Guards {
    /// Which directory the root was in the last run.
    pub root: Option<KnownRoot>,
    /// Why the wall clock cannot be trusted; `None` when it can.
    pub clock: Option<String>,
    /// What is known of a file system on which deleting frees nothing.
    pub stalled: Option<Stalled>,
    /// What somebody has released this run from.
    pub released: Option<Held>,
}

/// The directory that a root is, and its file system.
pub(super) fn seen(root: &Root) -> RootSeen {
    RootSeen { identity: root.identity, file_system: root.dir.file_system() }
}

impl Guards {
    /// Whether somebody has released the run from this guard.
    pub(super) fn is_released(&self, guard: Guard) -> bool {
        self.released.is_some_and(|held| held.guard == guard)
    }

    /// How many files may go, where `max_deletes` says so: somewhat more than were counted when the run was held, if it
    /// was released from that.
    pub(super) fn most_deletes(&self, max_deletes: Option<u64>) -> Option<u64> {
        let released = self.released.filter(|held| held.guard == Guard::MaxDeletes);
        max_deletes.map(|most| most.max(released.and_then(Held::released_files).unwrap_or(0)))
    }
}

/// Whether the root still lies on the file system where it was, and the clock can be trusted where ages are asked for.
/// What is to be noted of the root.
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
    // One that we have just made is no surprise.
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
    /// Whether so many more files may go before `max_deletes` says no. The survey has counted them before; this holds
    /// what came since.
    pub(super) fn within_guard(&self, files: u64) -> Result<(), Because> {
        let Some(most) = self.sweep.max_deletes else { return Ok(()) };
        let more = |taken: u64| taken.checked_add(files).filter(|taken| *taken <= most);
        // What is refused takes no place: something smaller may still have it.
        let taken = self.sweep.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more);
        taken.map(drop).map_err(|_| {
            self.sweep.over_guard.store(true, Ordering::Relaxed);
            Because::MaxDeletes(most)
        })
    }

    /// Files that stayed leave their places to others.
    pub(super) fn give_back_guard(&self, files: u64) {
        if self.sweep.max_deletes.is_some() {
            let less = |taken: u64| Some(taken.saturating_sub(files));
            // It is never refused.
            _ = self.sweep.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less);
        }
    }

    /// A file that stayed has left its place, which is not to be given to others yet.
    pub(super) fn take_guard_again(&self) {
        if self.sweep.max_deletes.is_some() {
            self.sweep.taken.fetch_add(1, Ordering::Relaxed);
        }
    }
}
