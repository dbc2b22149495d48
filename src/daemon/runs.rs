//! Sweeps at work, and runs that wait for a thread. Pure: sweeps to start are handed to the caller.

use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::sync::Arc;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::handle::Busy;
use crate::names::{RunId, TargetName};
use crate::protected::Protected;
use crate::report::{Outcome, Report, Trigger};
use crate::sweep::{Control, Guards, Order};
use crate::target::Target;

/// Range of the number of sweeps at once, which is otherwise the number of cores: more make a disk slower, not faster,
/// and fewer would let one hanging file system hold up the targets on all others.
const AT_ONCE: RangeInclusive<usize> = 4..=8;

type Waiting = Vec<oneshot::Sender<Arc<Report>>>;

/// A sweep at work.
pub(super) struct Active {
    pub(super) order: Order,
    pub(super) control: Arc<Control>,
    waiting: Waiting,
}

struct Queued {
    order: Order,
    waiting: Waiting,
}

/// Sweeps at work, one per target at most, and runs that wait for a thread.
pub(super) struct Runs {
    active: BTreeMap<TargetName, Active>,
    queue: VecDeque<Queued>,
    /// Runs begun since the last [`Runs::take_begun`].
    begun: Vec<Order>,
    limit: usize,
    /// Most sweeps at once on one file system.
    per_filesystem: usize,
    /// Sweeps to start, each on a thread of its own.
    launches: Vec<(Order, Arc<Control>)>,
}

impl Runs {
    pub(super) fn new(per_filesystem: usize) -> Self {
        let limit = std::thread::available_parallelism().map_or(1, usize::from).clamp(*AT_ONCE.start(), *AT_ONCE.end());
        let (active, queue, begun, launches) = (BTreeMap::new(), VecDeque::new(), Vec::new(), Vec::new());
        Self { active, queue, begun, limit, per_filesystem, launches }
    }

    /// Returns the sweeps to start since the last call.
    pub(super) fn take_launches(&mut self) -> Vec<(Order, Arc<Control>)> {
        std::mem::take(&mut self.launches)
    }

    /// Sets the number of sweeps that may work on one file system at once.
    pub(super) fn share(&mut self, per_filesystem: usize, now: Timestamp) {
        self.per_filesystem = per_filesystem;
        self.fill(now);
    }

    /// Returns whether another sweep may work on the target's file system. An unknown file system counts as one that no
    /// other target is on.
    fn has_room(&self, target: &Target) -> bool {
        let same = |active: &&Active| active.order.target.device == target.device;
        target.device.is_none() || self.active.values().filter(same).count() < self.per_filesystem
    }

    /// Returns the run that is at work on a target, or waits.
    pub(super) fn busy(&self, target: &TargetName) -> Option<Busy> {
        let active = self.active.get(target).map(|active| &active.order);
        let order = active.or_else(|| self.queued(target))?;
        Some(Busy { target: target.clone(), run: order.run.clone() })
    }

    pub(super) fn active(&self, target: &TargetName) -> Option<&Active> {
        self.active.get(target)
    }

    pub(super) fn queued(&self, target: &TargetName) -> Option<&Order> {
        self.queue.iter().map(|queued| &queued.order).find(|order| order.target.name == *target)
    }

    /// Returns the runs begun since the last call.
    pub(super) fn take_begun(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.begun)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.active.is_empty()
    }

    /// Returns the targets being swept.
    pub(super) fn at_work(&self) -> impl Iterator<Item = &TargetName> {
        self.active.keys()
    }

    /// Starts a sweep of a target that is not [`busy`](Self::busy), or queues it.
    pub(super) fn begin(
        &mut self,
        target: Arc<Target>,
        protected: Arc<Protected>,
        (trigger, dry_run): (Trigger, bool),
        waiting: Waiting,
        guards: Guards,
        now: Timestamp,
    ) -> RunId {
        let run = RunId::new(now);
        let order = Order { run: run.clone(), target, trigger, dry_run, protected, now, guards };
        self.queue.push_back(Queued { order, waiting });
        self.fill(now);
        run
    }

    /// Starts waiting runs as long as there is room.
    fn fill(&mut self, now: Timestamp) {
        while self.active.len() < self.limit {
            let Some(next) = self.queue.iter().position(|queued| self.has_room(&queued.order.target)) else { return };
            let Some(Queued { mut order, waiting }) = self.queue.remove(next) else { return };
            // Ages are counted from the start of the work, not from the request.
            order.now = now;
            let control = Arc::new(Control::default());
            let name = order.target.name.clone();
            self.begun.push(order.clone());
            self.active.insert(name, Active { order: order.clone(), control: control.clone(), waiting });
            self.launches.push((order, control));
        }
    }

    /// Records that a sweep has ended, sends its report to the requesters, and starts the next run.
    pub(super) fn end(&mut self, report: Report, now: Timestamp) -> Arc<Report> {
        let report = Arc::new(report);
        if let Some(active) = self.active.remove(&report.target) {
            tell(active.waiting, &report);
        }
        self.fill(now);
        report
    }

    /// Stops the sweep of a target before its next file, or its waiting run before it begins.
    pub(super) fn cancel(&mut self, target: &TargetName, why: &str) -> Option<Arc<Report>> {
        if let Some(active) = self.active.get(target) {
            active.control.cancel(why);
        }
        self.unqueue(why, |order| order.target.name == *target)
    }

    /// Removes a scheduled run of a target from the queue. A sweep at work continues.
    pub(super) fn unschedule(&mut self, target: &TargetName, why: &str) -> Option<Arc<Report>> {
        self.unqueue(why, |order| order.target.name == *target && order.trigger != Trigger::Manual)
    }

    fn unqueue(&mut self, why: &str, which: impl Fn(&Order) -> bool) -> Option<Arc<Report>> {
        let at = self.queue.iter().position(|queued| which(&queued.order))?;
        let queued = self.queue.remove(at)?;
        let report = Arc::new(queued.order.not_run(Outcome::Cancelled, why));
        tell(queued.waiting, &report);
        Some(report)
    }

    /// Stops all runs.
    pub(super) fn cancel_all(&mut self, why: &str) {
        for queued in std::mem::take(&mut self.queue) {
            tell(queued.waiting, &Arc::new(queued.order.not_run(Outcome::Cancelled, why)));
        }
        for active in self.active.values() {
            active.control.cancel(why);
        }
    }
}

fn tell(waiting: Waiting, report: &Arc<Report>) {
    for one in waiting {
        // The requester may have gone meanwhile.
        drop(one.send(report.clone()));
    }
}
