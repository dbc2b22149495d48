//! The sweeps at work, and those that wait for a thread.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::ops::RangeInclusive;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

use super::handle::Busy;
use crate::clock;
use crate::history::{self, TargetLock, Turn};
use crate::names::{RunId, TargetName};
use crate::protected::Protected;
use crate::report::{Outcome, Report, Trigger};
use crate::sweep::{self, Control, Guards, LogLines, Order};
use crate::target::Target;

/// What is done for an order. The daemon is given [`sweeper`]; a test may give another.
pub type Sweeper = Arc<dyn Fn(&Order, &Control) -> Report + Send + Sync>;

/// Sweeps, one process at a time for each target, and writes what happens to the log. The locks lie in the state
/// directory.
#[must_use]
pub fn sweeper(state_dir: PathBuf) -> Sweeper {
    // The hints of the last run of each target: they are told when they are news.
    let told: Mutex<BTreeMap<TargetName, Vec<String>>> = Mutex::default();
    Arc::new(move |order, control| {
        let lines = LogLines::begin(order);
        let report = match turn(&state_dir, order) {
            Ok(_lock) => sweep::sweep(order, control, &|event| lines.see(event)),
            Err(report) => *report,
        };
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        let before = told.insert(order.target.name.clone(), report.hints.clone()).unwrap_or_default();
        drop(told);
        lines.end(&report, |hint| before.iter().all(|known| known != hint));
        report
    })
}

/// Takes the lock of an order's target; a dry run needs none.
fn turn(state_dir: &Path, order: &Order) -> Result<Option<TargetLock>, Box<Report>> {
    if order.is_dry() {
        return Ok(None);
    }
    let who = format!("the daemon (process {}), run {}", std::process::id(), order.run);
    match history::lock_target(state_dir, &order.target.name, &who) {
        Ok(Turn::Ours(lock)) => Ok(Some(lock)),
        Ok(Turn::Busy(who)) => Err(Box::new(order.skipped(&who))),
        Err(why) => {
            // A state that cannot be written stops no sweep.
            warn!(target_name = %order.target.name, "A run of another process is not kept out: {why}");
            Ok(None)
        }
    }
}

/// As many sweeps at once as there are cores, within these: more make a disk slower, not faster, and fewer would let one
/// file system that hangs hold up the targets on all others.
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

/// A sweep that has ended.
pub(super) struct Finished {
    report: Report,
}

/// The sweeps at work, one for a target at most, and those that wait for a thread.
pub(super) struct Runs {
    active: BTreeMap<TargetName, Active>,
    queue: VecDeque<Queued>,
    /// What has begun since that was last asked for.
    begun: Vec<Order>,
    limit: usize,
    /// As many of them may work on one file system.
    per_filesystem: usize,
    sweeper: Sweeper,
    /// Waits until it is on the disk that the target was due.
    settle: Arc<dyn Fn() + Send + Sync>,
    finished: mpsc::UnboundedSender<Finished>,
}

impl Runs {
    pub(super) fn new(
        sweeper: Sweeper,
        per_filesystem: usize,
        settle: Arc<dyn Fn() + Send + Sync>,
    ) -> (Self, mpsc::UnboundedReceiver<Finished>) {
        let (finished, ended) = mpsc::unbounded_channel();
        let limit = std::thread::available_parallelism().map_or(1, usize::from).clamp(*AT_ONCE.start(), *AT_ONCE.end());
        let (active, queue, begun) = (BTreeMap::new(), VecDeque::new(), Vec::new());
        (Self { active, queue, begun, limit, per_filesystem, sweeper, settle, finished }, ended)
    }

    /// From now on as many sweeps may work on one file system.
    pub(super) fn share(&mut self, per_filesystem: usize) {
        self.per_filesystem = per_filesystem;
        self.fill();
    }

    /// Whether one more sweep may work on the target's file system. One that is not known is nobody else's.
    fn has_room(&self, target: &Target) -> bool {
        let same = |active: &&Active| active.order.target.device == target.device;
        target.device.is_none() || self.active.values().filter(same).count() < self.per_filesystem
    }

    /// The run that is at work on a target, or waits.
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

    /// What has begun since this was last asked for.
    pub(super) fn take_begun(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.begun)
    }

    pub(super) fn is_idle(&self) -> bool {
        self.active.is_empty()
    }

    /// The targets being swept.
    pub(super) fn at_work(&self) -> impl Iterator<Item = &TargetName> {
        self.active.keys()
    }

    /// Begins a sweep of a target that is not [`busy`](Self::busy), or queues it.
    pub(super) fn begin(
        &mut self,
        target: Arc<Target>,
        protected: Arc<Protected>,
        trigger: Trigger,
        dry_run: bool,
        waiting: Waiting,
        guards: Guards,
    ) -> RunId {
        let now = clock::wall();
        let run = RunId::new(now);
        let order = Order { run: run.clone(), target, trigger, dry_run, protected, now, guards };
        self.queue.push_back(Queued { order, waiting });
        self.fill();
        run
    }

    /// Starts what waits, as long as there is room.
    fn fill(&mut self) {
        while self.active.len() < self.limit {
            let Some(next) = self.queue.iter().position(|queued| self.has_room(&queued.order.target)) else { return };
            let Some(Queued { mut order, waiting }) = self.queue.remove(next) else { return };
            // Ages are counted from when the work begins, not from when it was asked for.
            order.now = clock::wall();
            let control = Arc::new(Control::default());
            let name = order.target.name.clone();
            self.begun.push(order.clone());
            self.active.insert(name, Active { order: order.clone(), control: control.clone(), waiting });
            self.spawn(order, control);
        }
    }

    fn spawn(&self, order: Order, control: Arc<Control>) {
        let (sweeper, finished, settle) = (self.sweeper.clone(), self.finished.clone(), self.settle.clone());
        let also = order.clone();
        let work = move || {
            if order.trigger != Trigger::Manual {
                settle();
            }
            let report = caught(&sweeper, &order, &control);
            // The supervisor outlives the sweeps, unless it was told not to wait for them.
            drop(finished.send(Finished { report }));
        };
        if let Err(error) = std::thread::Builder::new().name("sweep".into()).spawn(work) {
            let report = also.not_run(Outcome::Failed, format!("cannot start a thread: {error}"));
            LogLines::begin(&also).end(&report, |_| true);
            drop(self.finished.send(Finished { report }));
        }
    }

    /// Takes note that a sweep has ended, tells those who wait for it, and starts the next.
    pub(super) fn end(&mut self, Finished { report }: Finished) -> Arc<Report> {
        let report = Arc::new(report);
        if let Some(active) = self.active.remove(&report.target) {
            tell(active.waiting, &report);
        }
        self.fill();
        report
    }

    /// Stops the sweep of a target before its next file, or before it begins.
    pub(super) fn cancel(&mut self, target: &TargetName, why: &str) -> Option<Arc<Report>> {
        if let Some(active) = self.active.get(target) {
            active.control.cancel(why);
        }
        self.unqueue(why, |order| order.target.name == *target)
    }

    /// Takes a scheduled run of a target out of the queue. One that is at work goes on.
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

    /// Stops them all.
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
        // Who asked may have gone meanwhile.
        drop(one.send(report.clone()));
    }
}

/// Sweeps; a panic ends this sweep and nothing else.
fn caught(sweeper: &Sweeper, order: &Order, control: &Control) -> Report {
    let began = clock::mark();
    catch_unwind(AssertUnwindSafe(|| sweeper(order, control))).unwrap_or_else(|panic| {
        const BUG: &str = "it panicked, which is a bug in the janitor";
        error!(target_name = %order.target.name, "Cleanup failed: {BUG}: {}", words(panic.as_ref()));
        // The words may name a file, and the status is for everybody.
        let mut report = order.not_run(Outcome::Failed, format!("{BUG}; the log has its words"));
        report.took = began.elapsed();
        report.counts.examined = control.progress.examined.load(Ordering::Relaxed);
        report.counts.deleted = control.progress.deleted.load(Ordering::Relaxed);
        report.counts.freed = control.progress.freed.load(Ordering::Relaxed);
        report.counts.failed = control.progress.failed.load(Ordering::Relaxed);
        report
    })
}

fn words(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}
