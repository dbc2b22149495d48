//! Threads that sweep, one for each run.

use std::any::Any;
use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tracing::{error, warn};

use crate::clock;
use crate::history::Settler;
use crate::history::{self, TargetLock, Turn};
use crate::names::TargetName;
use crate::report::{Outcome, Report, Trigger};
use crate::sweep::{self, Control, LogLines, Order};

/// Function that carries out an order. The daemon is given [`sweeper`]; a test may give another.
pub type Sweeper = Arc<dyn Fn(&Order, &Control) -> Report + Send + Sync>;

/// Returns a function that sweeps, one process at a time for each target, and logs the events. The locks are in the
/// state directory.
#[must_use]
pub fn sweeper(state_dir: PathBuf) -> Sweeper {
    // Hints of the last run of each target: only new ones are logged.
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
            // A sweep runs even if the state cannot be written.
            warn!(target_name = %order.target.name, "A run of another process is not kept out: {why}");
            Ok(None)
        }
    }
}

/// Starter of sweep threads, whose reports go to a channel.
pub(super) struct Sweeps {
    sweeper: Sweeper,
    /// Blocks until the due time of the target has been persisted.
    settler: Settler,
    ended: mpsc::UnboundedSender<Report>,
    /// Scheduled runs for which the system had no thread.
    waiting: Mutex<VecDeque<(Order, Arc<Control>)>>,
}

/// Time between attempts to start a thread.
const AGAIN: Duration = Duration::from_secs(1);

impl Sweeps {
    /// Returns the starter and the receiver of the reports.
    pub(super) fn new(sweeper: Sweeper, settler: Settler) -> (Self, mpsc::UnboundedReceiver<Report>) {
        let (ended, reports) = mpsc::unbounded_channel();
        (Self { sweeper, settler, ended, waiting: Mutex::default() }, reports)
    }

    /// Carries out an order on a thread of its own. A scheduled run waits if the system has no thread.
    pub(super) fn launch(&self, order: Order, control: Arc<Control>) {
        let Err(error) = self.spawn(order.clone(), control.clone()) else { return };
        if order.trigger == Trigger::Manual {
            let report = order.not_run(Outcome::Failed, format!("cannot start a thread: {error}"));
            LogLines::begin(&order).end(&report, |_| true);
            drop(self.ended.send(report));
            return;
        }
        let mut waiting = self.waiting();
        if waiting.is_empty() {
            warn!(target_name = %order.target.name, "Cannot start a thread, the run waits for one: {error}");
        }
        waiting.push_back((order, control));
    }

    /// Starts the runs that wait for a thread, as long as the system has threads.
    pub(super) fn retry(&self) {
        let mut waiting = self.waiting();
        while let Some((order, control)) = waiting.front() {
            // Ages are counted from the start of the work.
            let order = Order { now: clock::wall(), ..order.clone() };
            if self.spawn(order, control.clone()).is_err() {
                return;
            }
            waiting.pop_front();
        }
    }

    /// Cancels the runs that wait for a thread, since the daemon ends.
    pub(super) fn give_up(&self) {
        for (order, _) in self.waiting().drain(..) {
            let report = order.not_run(Outcome::Cancelled, "the daemon shuts down");
            LogLines::begin(&order).end(&report, |_| true);
            drop(self.ended.send(report));
        }
    }

    /// Returns the longest time to sleep.
    pub(super) fn patience(&self) -> Duration {
        if self.waiting().is_empty() { Duration::MAX } else { AGAIN }
    }

    fn waiting(&self) -> MutexGuard<'_, VecDeque<(Order, Arc<Control>)>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn spawn(&self, order: Order, control: Arc<Control>) -> io::Result<()> {
        let (sweeper, ended, settler) = (self.sweeper.clone(), self.ended.clone(), self.settler.clone());
        let work = move || {
            if order.trigger != Trigger::Manual {
                settler.wait();
            }
            let report = caught(&sweeper, &order, &control);
            // The supervisor outlives the sweeps, unless it was told not to wait for them.
            drop(ended.send(report));
        };
        std::thread::Builder::new().name("sweep".into()).spawn(work).map(drop)
    }
}

/// Sweeps. A panic ends only this sweep.
fn caught(sweeper: &Sweeper, order: &Order, control: &Control) -> Report {
    let began = clock::mark();
    catch_unwind(AssertUnwindSafe(|| sweeper(order, control))).unwrap_or_else(|panic| {
        const BUG: &str = "it panicked, which is a bug in the janitor";
        error!(target_name = %order.target.name, "Cleanup failed: {BUG}: {}", words(panic.as_ref()));
        // The message of the panic may name a file, and the status is for everybody.
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
