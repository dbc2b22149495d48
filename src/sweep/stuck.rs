//! Files that were to go and could not: in use, locked, refused by the system. Quotas count them as staying, and have
//! the next candidates go instead.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::act::Act;
use super::batch::Opened;
use super::pass::{Limit, Pass};
use super::queue::Queue;
use super::remarks;
use super::run::{Plan, Spacious};
use super::walk::{Sweep, Worker, walk};
use super::walked::Walked;
use crate::entry::{Facts, Identity};
use crate::fsys::Dir;
use crate::judge::Standing;
use crate::judge::limits::{Amount, Cut};
use crate::report::LimitKey;
use crate::verdict::{Because, Reason};

/// Most files that are told apart. With more, limits may be missed, which is reported.
const MOST: usize = 64 * 1024;

/// Most rounds in which a survey finds what goes instead.
const ROUNDS: usize = 16;

/// Entries that could not go, by their paths. Another name of the same file can lie where it may go.
#[derive(Debug, Default)]
pub(super) struct Stuck(Mutex<Known>);

type Known = BTreeMap<Box<[u8]>, (Identity, Because)>;

impl Stuck {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, path: &[u8], identity: Identity, because: Because) {
        let mut known = self.known();
        if known.len() < MOST {
            known.insert(path.into(), (identity, because));
        }
    }

    /// Returns why the entry at a path could not go, if that was tried.
    fn because(&self, path: &[u8], identity: Identity) -> Option<Because> {
        self.known().get(path).filter(|(stuck, _)| *stuck == identity).map(|(_, because)| because.clone())
    }

    fn is_empty(&self) -> bool {
        self.known().is_empty()
    }

    fn count(&self) -> usize {
        self.known().len()
    }
}

impl<A: Act> Sweep<'_, A> {
    /// Removes the next candidates in place of those that could not go, until the quotas hold or nothing more can go.
    /// Returns the last plan, with the candidates and the limits that are not met.
    pub(super) fn make_up(&self, plan: Plan, walked: &mut Walked, spacious: &Spacious<'_>) -> Plan {
        let mut plan = plan;
        let mut known = 0;
        let (mut is_settled, mut has_ended) = (!self.over_guard.load(Ordering::Relaxed), false);
        for _ in 0..ROUNDS {
            let stuck = self.stuck.count();
            if self.control.cancelled().is_some() {
                return plan;
            }
            if stuck == known && has_ended {
                // Nothing has gone since the limits were looked at, and nothing else is known to be in the way.
                return short(plan);
            }
            if stuck == known && is_settled {
                return plan;
            }
            known = stuck;
            let Ok(again) = self.plan(spacious) else { return plan };
            plan = again;
            let need = plan.need;
            let reason = plan.quotas.iter().find(|limit| limit.cut != Cut::Nothing).map(|limit| limit.reason.clone());
            let (Some(reason), true) = (reason, need != Amount::default()) else { return plan };
            let pass = Pass::Act(vec![Limit { cut: Cut::All, reason }]);
            let first = walk(self, &Pass::First(Vec::new())).gathered.into_first();
            let queue = Queue::default();
            let mut worker = Worker::new(self, &pass, &queue, 1);
            let mut last = None;
            for next in &first {
                let gone = &worker.walked.gone;
                // The bytes that go with the last of several links are only known when everything is counted anew.
                if worker.is_cancelled() || gone.amount.meets(need) || gone.has_links {
                    break;
                }
                worker.take(next, &mut last);
            }
            let (gone, stale) = (worker.walked.gone, worker.walked.stale);
            walked.merge_second_look(worker.walked);
            is_settled = gone.amount.meets(need);
            // If names have changed hands meanwhile, a new search finds what goes first.
            has_ended = gone.amount.files == 0 && stale == 0;
        }
        // Somebody keeps files from going as fast as they are found.
        match self.plan(spacious) {
            Ok(again) => short(again),
            Err(_) => plan,
        }
    }
}

/// Adds each limit for which something more would have to go to the unmet limits, unless it is among them.
fn short(mut plan: Plan) -> Plan {
    for limit in plan.quotas.iter().filter(|limit| limit.cut != Cut::Nothing) {
        let (key, missing) = match limit.reason {
            Reason::MaxFiles { .. } => (LimitKey::MaxFiles, plan.need.files),
            _ => (LimitKey::MaxSize, plan.need.bytes),
        };
        if missing > 0 && plan.unmet.iter().all(|unmet| unmet.limit != key) {
            plan.unmet.push(remarks::unmet(key, missing, &plan.overview));
        }
    }
    plan
}

impl<A: Act> Worker<'_, A> {
    /// Returns whether the sticky bit says that a file is to stay. A file of which this cannot be told stays, too.
    pub(super) fn is_sticky(&self, dir: &Dir, name: &[u8]) -> bool {
        self.sweep.heeds_sticky && dir.has_sticky_bit(name).unwrap_or(true)
    }

    /// Protects a file that was put back from the trash within a day.
    pub(super) fn protect_restored(&self, standing: &mut Standing, facts: &Facts) {
        if matches!(standing, Standing::Goes(_) | Standing::Waits(_))
            && self.sweep.restored.as_ref().is_some_and(|restored| restored.holds(facts))
        {
            *standing = Standing::Protected(Because::Restored);
        }
    }

    /// Notes an entry that was to go and could not, if its facts are known. Only limits have others go instead.
    pub(super) fn could_not_go(&mut self, directory: &Opened, name: &[u8], facts: Option<&Facts>, because: &Because) {
        if let Some(facts) = facts
            && self.sweep.policy().has_limits()
        {
            self.write_path(directory, name);
            self.sweep.stuck.add(&self.path, facts.identity, because.clone());
        }
    }

    /// In a survey of what goes instead, protects an entry that could not go.
    pub(super) fn protect_stuck(&mut self, standing: &mut Standing, directory: &Opened, name: &[u8], facts: &Facts) {
        if !matches!(standing, Standing::Goes(_) | Standing::Waits(_)) || self.acts() || self.sweep.stuck.is_empty() {
            return;
        }
        self.write_path(directory, name);
        if let Some(because) = self.sweep.stuck.because(&self.path, facts.identity) {
            *standing = Standing::Protected(because);
        }
    }
}
