//! A sweep: one execution for one target, from its root to its report.
//!
//! [`sweep`] and [`preview`] share every line up to the removal. The action on a file that goes is an `act`, and that
//! of the preview has no way to remove anything.

mod act;
mod aside;
mod batch;
mod close;
mod emptied;
mod event;
mod explain;
mod gather;
mod group;
mod guards;
mod hold;
mod locks;
mod log;
mod meter;
mod nested;
mod next;
mod note;
mod owner;
mod pass;
mod queue;
mod read;
mod remarks;
mod run;
mod sample;
mod settle;
mod stamps_before;
mod stuck;
#[cfg(test)]
mod tests;
mod trash;
mod tree;
mod undo;
mod walk;
mod walked;
mod watermark;
mod whole;

pub use event::{At, Event};
pub use explain::{Explanation, explain};
pub use guards::Guards;
pub use log::LogLines;
pub use owner::{owners, owners_by_name};
pub use remarks::near_miss_of;
pub use trash::Note;
pub use undo::{Beside, UndoError, in_trash, trashes, undo};

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock;
use crate::fsys::{self, Destination, Dir, May, Root, RootError, Trash};
use crate::names::RunId;
use crate::protected::Protected;
use crate::report::{Counts, Failures, Outcome, Report, Trigger};
use crate::target::{Action, Missing, Sandbox, Target};
use act::{Act, Move, Preview, Remove};
use trash::ToTrash;

/// Longest time that a file system may take to answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// Order for one sweep: its target, its trigger and its circumstances.
#[derive(Clone, Debug)]
pub struct Order {
    /// The id of the run.
    pub run: RunId,
    /// The target.
    pub target: Arc<Target>,
    /// Trigger of the run.
    pub trigger: Trigger,
    /// Whether the run only reports what it would remove. A target can ask for the same with its `dry_run`.
    pub dry_run: bool,
    /// Directories that no target may be; checked again now that the root is open.
    pub protected: Arc<Protected>,
    /// Time at which the run begins, and from which ages are counted back.
    pub now: Timestamp,
    /// Guards that may hold the run, beside those that the target asks for.
    pub guards: Guards,
}

impl Order {
    /// Returns whether this run only reports what it would remove.
    #[must_use]
    pub fn is_dry(&self) -> bool {
        self.dry_run || self.target.dry_run
    }

    /// Returns the report of a run that did not begin, since another process, `who`, sweeps the target.
    #[must_use]
    pub fn skipped(&self, who: &str) -> Report {
        let why = format!("the target is being swept by {who}");
        Report { skipped: true, ..self.not_run(Outcome::Cancelled, why) }
    }

    /// Returns the report of a run that never got to work, with its outcome and the reason in `message`.
    #[must_use]
    pub fn not_run(&self, outcome: Outcome, message: impl Into<String>) -> Report {
        Report {
            run: self.run.clone(),
            target: self.target.name.clone(),
            trigger: self.trigger,
            action: self.target.action.kind(),
            dry_run: self.is_dry(),
            started: self.now,
            took: std::time::Duration::ZERO,
            outcome,
            counts: Counts::default(),
            failures: Failures::default(),
            held: None,
            root: None,
            sandbox: None,
            stalled: self.guards.stalled,
            message: Some(message.into()),
            skipped: false,
            unmet: BTreeMap::new(),
            remarks: Vec::new(),
            hints: Vec::new(),
        }
    }
}

/// Control of a running sweep: its progress for others to read, and a way to stop it.
#[derive(Debug, Default)]
pub struct Control {
    /// Counts of the sweep so far.
    pub progress: Arc<Progress>,
    cancelled: OnceLock<String>,
    /// Flag of a signal handler: not 0 once the process was interrupted.
    interrupted: Arc<AtomicUsize>,
}

impl Control {
    /// Returns a control that cancels the sweep once `interrupted` is not 0 any more: a signal handler can do no more
    /// than set a number.
    #[must_use]
    pub fn watching(interrupted: Arc<AtomicUsize>) -> Self {
        Self { interrupted, ..Self::default() }
    }

    /// Stops the sweep before its next file. The first reason counts.
    pub fn cancel(&self, why: impl Into<String>) {
        // A second cancel finds the reason set, which is as good.
        drop(self.cancelled.set(why.into()));
    }

    /// Returns the reason for which the sweep is to stop, if it is.
    #[must_use]
    pub fn cancelled(&self) -> Option<&str> {
        if self.interrupted.load(Ordering::Relaxed) != 0 {
            self.cancel("it was interrupted");
        }
        self.cancelled.get().map(String::as_str)
    }
}

/// Counts of a sweep so far, read while the sweep is at work.
#[derive(Debug, Default)]
pub struct Progress {
    /// Entries that were read in surveys, before any final verdict.
    pub surveyed: AtomicU64,
    /// Entries that were read.
    pub examined: AtomicU64,
    /// Files removed (in a dry run: that would be).
    pub deleted: AtomicU64,
    /// Bytes freed.
    pub freed: AtomicU64,
    /// Files that could not be removed.
    pub failed: AtomicU64,
}

impl Progress {
    /// Adds what a worker has counted since its last call: `now` less `before`.
    fn add(&self, now: Counts, before: Counts) {
        // Readers want a picture, and the counters need not add up.
        self.examined.fetch_add(now.examined - before.examined, Ordering::Relaxed);
        self.deleted.fetch_add(now.deleted - before.deleted, Ordering::Relaxed);
        self.freed.fetch_add(now.freed - before.freed, Ordering::Relaxed);
        self.failed.fetch_add(now.failed - before.failed, Ordering::Relaxed);
    }

    fn surveyed(&self, more: u64) {
        self.surveyed.fetch_add(more, Ordering::Relaxed);
    }
}

/// Callback for each event as it happens. Every worker of the sweep calls it, so it is called from several threads at
/// once.
pub type Observer<'a> = dyn Fn(&Event<'_>) + Sync + 'a;

/// Sweeps a target: walks, judges, removes, reports. A dry run (of the order or of the target) is a [`preview`].
///
/// Blocks until the sweep is done, or until [`Control::cancel`]. Never fails: all errors are in the report.
pub fn sweep(order: &Order, control: &Control, observer: &Observer<'_>) -> Report {
    if order.is_dry() {
        return preview(order, control, observer);
    }
    match &order.target.action {
        Action::Delete => execute(order, control, observer, &Remove(order.target.on_unverifiable), &Dir::space),
        Action::Trash => match open_trash(order) {
            Ok(trash) => execute(order, control, observer, &ToTrash::new(order, trash), &Dir::space),
            Err((outcome, why)) => order.not_run(outcome, why),
        },
        Action::MoveTo(to) => match open_destination(order, to) {
            Ok(to) => execute(order, control, observer, &Move(to, order.target.on_unverifiable), &Dir::space),
            Err(error) => {
                let to = crate::names::Escaped(to.as_os_str().as_encoded_bytes());
                order.not_run(Outcome::Failed, format!("cannot move anything to `{to}`: {error}"))
            }
        },
    }
}

/// Opens the directory that files are moved to, and checks it again: its path may lead elsewhere than when the config
/// was checked.
fn open_destination(order: &Order, to: &Path) -> Result<Destination, String> {
    let root = fsys::resolve(to, false).map_err(|error| error.to_string())?;
    let path = root.path.clone();
    let above = move || path.ancestors().skip(1).filter_map(|above| fsys::identity(above).ok().flatten()).collect();
    let above: Vec<_> = fsys::within(PATIENCE, &root.path, above).map_err(|error| error.to_string())?;
    let way: Vec<_> = [root.identity].into_iter().chain(above).collect();
    let protected = &order.protected;
    let refused = protected.refuse(&root.path, Some(root.identity));
    match refused.or_else(|| protected.refuse_destination(&root.path, &way)) {
        Some(why) => Err(why),
        None => Ok(Destination::of(root)),
    }
}

/// Opens the trash beside the root of an order's target.
fn open_trash(order: &Order) -> Result<Trash, (Outcome, String)> {
    let failed = |message: String| (Outcome::Failed, message);
    let root = find_root(order, true)?;
    let trash = Trash::beside(&root.path, true).map_err(|error| failed(format!("there is no trash: {error}")))?;
    let same = trash.dir().look_at_itself().is_ok_and(|(there, _)| there.device == root.identity.device);
    if same {
        return Ok(trash);
    }
    let root = crate::names::Escaped(root.path.as_os_str().as_encoded_bytes()).to_string();
    Err(failed(format!("`{root}` is a mount point, so nothing beside it is on its file system: there can be no trash")))
}

/// Opens the root of an order's target. Where the root is missing, the target decides the outcome of the run.
fn find_root(order: &Order, may_change: bool) -> Result<Root, (Outcome, String)> {
    let Target { path, missing, .. } = &*order.target;
    fsys::resolve(path, *missing == Missing::Create && may_change).map_err(|error| match (&error, missing) {
        (RootError::Missing(_) | RootError::MissingParent(_), Missing::Skip) => {
            (Outcome::Done, format!("{error}; nothing to do (missing = \"skip\")"))
        }
        (RootError::Missing(_), Missing::Create) if !may_change => {
            (Outcome::Done, format!("{error}; a run would make it"))
        }
        (RootError::MissingParent(_), Missing::Create) => (
            Outcome::Failed,
            format!("{error}; missing = \"create\" makes the last directory of a path, and not those above it"),
        ),
        _ => (Outcome::Failed, error.to_string()),
    })
}

/// Runs everything that [`sweep`] runs, up to the removal.
pub fn preview(order: &Order, control: &Control, observer: &Observer<'_>) -> Report {
    let order = Order { dry_run: true, ..order.clone() };
    execute(&order, control, observer, &Preview, &Dir::space)
}

fn execute<A: Act>(
    order: &Order,
    control: &Control,
    observer: &Observer<'_>,
    act: &A,
    spacious: &run::Spacious<'_>,
) -> Report {
    let began = clock::mark();
    let mut report = match open_root(order, act, observer) {
        Ok(root) => {
            let seen = guards::seen(&root);
            let report = match guards::check(order, &root, &seen) {
                Err(refused) => refused.report(order),
                Ok(noted) => {
                    let before = run::Before::of(order, &root);
                    let mut report = confined(order, control, observer, act, (&root, before), spacious);
                    report.hints.extend(noted);
                    report
                }
            };
            Report { root: Some((root.path.clone(), seen)), ..report }
        }
        Err((outcome, message)) => order.not_run(outcome, message),
    };
    report.took = began.elapsed();
    report
}

/// Runs the sweep on a thread of its own, which the kernel confines to the target where it can. Where it cannot, the run
/// fails with `sandbox = "require"`, and otherwise goes on with a hint. With `sandbox = "off"` it stays on this thread.
fn confined<A: Act>(
    order: &Order,
    control: &Control,
    observer: &Observer<'_>,
    act: &A,
    (root, before): (&Root, run::Before),
    spacious: &run::Spacious<'_>,
) -> Report {
    let target = &order.target;
    let run = || run::run(order, control, observer, act, root, before, spacious);
    if target.sandbox == Sandbox::Off {
        return Report { sandbox: Some("off".to_owned()), ..run() };
    }
    // The number of threads depends on files outside of the target, so it is read before.
    _ = target.threads();
    let may = if act.may_change() { May::Change } else { May::Look };
    let work = || {
        let mut allowed = vec![(&root.dir, may)];
        allowed.extend(act.also());
        let held = fsys::confine(&allowed);
        if let (Err(why), Sandbox::Require) = (&held, target.sandbox) {
            return order.not_run(Outcome::Failed, format!("sandbox = \"require\", and there is none: {why}"));
        }
        let mut report = run();
        match held {
            Ok(()) => report.sandbox = Some("landlock".to_owned()),
            Err(why) => {
                report.hints.push(format!("the sweep has no sandbox: {why}"));
                report.sandbox = Some(format!("none: {why}"));
            }
        }
        report
    };
    std::thread::scope(|scope| match std::thread::Builder::new().name("sweep".into()).spawn_scoped(scope, work) {
        Ok(thread) => thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
        Err(error) => order.not_run(Outcome::Failed, format!("cannot start a thread: {error}")),
    })
}

/// Opens the root and checks that this run may begin; otherwise returns the outcome of the run and the reason.
fn open_root<A: Act>(order: &Order, act: &A, observer: &Observer<'_>) -> Result<Root, (Outcome, String)> {
    let target = &order.target;
    let failed = |message: String| (Outcome::Failed, message);
    let root = find_root(order, act.may_change())?;
    for made in &root.created {
        observer(&Event::Created(made));
    }
    if let Some(why) = order.protected.refuse(&root.path, Some(root.identity)) {
        return Err(failed(why));
    }
    let policy = &target.policy;
    if policy.asks_for_age() {
        let word = policy.age_by.word();
        if policy.age_by.needs_birth_time() && !root.has_birth_times {
            return Err(failed(format!("the file system keeps no birth times, which age_by = \"{word}\" needs")));
        }
        if policy.age_by.needs_access_time() && !root.has_access_times {
            let why =
                format!("no access times are kept here (the mount says noatime), which age_by = \"{word}\" needs");
            return Err(failed(why));
        }
    }
    Ok(root)
}
