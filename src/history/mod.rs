//! What must survive the daemon: runs with their reports, when each target was last due, pauses, held runs, and which
//! directory each root was.
//!
//! It lies in one SQLite file in the state directory, which anybody may query. One thread owns it and does what it is
//! told in turn, so that nobody waits for the disk who does not want to. A state that is broken, full or read-only
//! stops nothing: it is told, and everything goes on without a memory.

mod db;
mod lock;
mod target_lock;
#[cfg(test)]
mod tests;

pub use target_lock::{TargetLock, Turn, lock_target};

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;

use crate::fsys::{self, Denied, OwnDir, Purpose, Trust};
use crate::names::{RunId, TargetName};
use crate::report::{Held, KnownRoot, Outcome, Report, Stalled};
use db::Db;
use lock::Lock;

/// The mode of a state directory that is made.
const MODE: u32 = 0o700;

/// How long anybody waits for the disk, at the most.
const PATIENCE: Duration = Duration::from_secs(5);

/// A run that was held, and waits to be released.
#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    /// The run.
    pub run: RunId,
    /// Its target.
    pub target: TargetName,
    /// When it was held.
    pub at: Timestamp,
    /// By which guard, and what it would have taken.
    pub held: Held,
    /// Why, in words.
    pub why: String,
}

/// What was remembered when the state was opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remembered {
    /// The last run of each target.
    pub last_runs: BTreeMap<TargetName, Arc<Report>>,
    /// When a run of each target that was a success ended last.
    pub last_successes: BTreeMap<TargetName, Timestamp>,
    /// When each target was last due, or known not to be.
    pub due: BTreeMap<TargetName, Timestamp>,
    /// Whether the schedule was stopped as a whole.
    pub stopped: bool,
    /// The targets that were paused.
    pub paused: BTreeSet<TargetName>,
    /// The held runs.
    pub holds: Vec<Hold>,
    /// The roots.
    pub roots: BTreeMap<TargetName, KnownRoot>,
    /// Targets on whose file systems deleting freed nothing.
    pub stalled: BTreeMap<TargetName, Stalled>,
    /// The newest beginning of a run that was not held.
    pub newest_run: Option<Timestamp>,
    /// By how much the wall clock was ahead of the time since the machine was started, in nanoseconds, when that was
    /// noted in this boot.
    pub clock_offset: Option<i128>,
}

/// How the state is doing.
#[derive(Debug, Default)]
pub struct StateHealth {
    error: Mutex<Option<String>>,
    is_distrusted: AtomicBool,
}

impl StateHealth {
    /// Why nothing is remembered at the moment; `None` while it is.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether the state was not opened because somebody else could have written it. Then it is not known whether the
    /// schedule was stopped, so it is.
    #[must_use]
    pub fn is_distrusted(&self) -> bool {
        self.is_distrusted.load(Ordering::Relaxed)
    }

    fn set(&self, error: Option<String>) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }
}

type Job = Box<dyn FnOnce(&mut Db) -> Result<(), rusqlite::Error> + Send>;

/// What the thread is told.
enum Told {
    Do(Job),
    /// Everything that was told before is on the disk.
    Settle(mpsc::Sender<()>),
    /// There is nothing more to do.
    End,
}

/// The state of one daemon. Dropping it waits for what was told, but not for ever.
#[derive(Debug)]
pub struct Store {
    told: Option<mpsc::Sender<Told>>,
    health: Arc<StateHealth>,
    ended: mpsc::Receiver<()>,
    thread: Option<JoinHandle<()>>,
    boot: String,
}

/// Why the state cannot be had at all.
#[derive(Debug, PartialEq, Eq)]
pub struct InUse(pub PathBuf);

impl std::fmt::Display for InUse {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = crate::names::Escaped(self.0.as_os_str().as_encoded_bytes());
        write!(out, "another janitor works with the state directory `{shown}`; each needs a `state_dir` of its own")
    }
}

impl std::error::Error for InUse {}

/// Which start of the machine this is.
fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

impl Store {
    /// One that remembers nothing.
    #[must_use]
    pub fn nowhere() -> Self {
        let (_, ended) = mpsc::channel();
        Self { told: None, health: Arc::default(), ended, thread: None, boot: String::new() }
    }

    /// Opens the state in a directory, for the one daemon that may work with it, and makes what is missing. A file that
    /// is no good is put aside. Where it cannot be had, it is one that remembers nothing, and [`StateHealth`] says why.
    ///
    /// # Errors
    /// [`InUse`] when another daemon has it.
    pub fn open(dir: &Path, now: Timestamp) -> Result<(Self, Remembered), InUse> {
        let broken = |why: String| {
            let nowhere = Self::nowhere();
            nowhere.health.set(Some(why));
            (nowhere, Remembered::default())
        };
        let refused = |denied: &Denied| {
            let (nowhere, nothing) = broken(cannot_use(dir, denied));
            nowhere.health.is_distrusted.store(denied.is_breach(), Ordering::Relaxed);
            (nowhere, Remembered { stopped: denied.is_breach(), ..nothing })
        };
        let own = match Trust::of_process().directory(Purpose::State, dir, Some(MODE)) {
            Ok(own) => own,
            Err(denied) => return Ok(refused(&denied)),
        };
        for warning in own.warnings() {
            tracing::warn!("The state directory `{}` may not be trusted: {warning}", shown(dir));
        }
        let lock = match Lock::take(&own) {
            Ok(Some(lock)) => lock,
            Ok(None) => return Err(InUse(dir.to_path_buf())),
            Err(denied) => return Ok(refused(&denied)),
        };
        if let Err(denied) = db::check(&own) {
            return Ok(refused(&denied));
        }
        let boot = boot();
        let opened = Db::open(&own, now).and_then(|mut db| {
            let remembered = db.remembered(&boot)?;
            Ok((db, remembered))
        });
        let (db, remembered) = match opened {
            Ok(opened) => opened,
            Err(error) => return Ok(broken(format!("the state in `{}` cannot be used: {error}", shown(dir)))),
        };
        let health = Arc::new(StateHealth::default());
        let (told, work) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let also = health.clone();
        let work = move || {
            serve(db, &work, &also);
            drop((lock, end));
        };
        match std::thread::Builder::new().name("state".into()).spawn(work) {
            Ok(thread) => Ok((Self { told: Some(told), health, ended, thread: Some(thread), boot }, remembered)),
            Err(error) => Ok(broken(format!("cannot start a thread: {error}"))),
        }
    }

    /// How it is doing.
    #[must_use]
    pub fn health(&self) -> Arc<StateHealth> {
        self.health.clone()
    }

    fn tell(&self, job: impl FnOnce(&mut Db) -> Result<(), rusqlite::Error> + Send + 'static) {
        if let Some(told) = &self.told {
            // A thread that has ended has said why in the health.
            drop(told.send(Told::Do(Box::new(job))));
        }
    }

    /// A target was due, or is new and was not due before.
    pub fn due(&self, target: &TargetName, at: Timestamp) {
        let target = target.clone();
        self.tell(move |db| db.due(&target, at));
    }

    /// What is stopped and paused is now this.
    pub fn paused(&self, stopped: bool, paused: &BTreeSet<TargetName>) {
        let paused = paused.clone();
        self.tell(move |db| db.paused(stopped, &paused));
    }

    /// A run has ended.
    pub fn ended(&self, report: Arc<Report>) {
        let boot = self.boot.clone();
        self.tell(move |db| db.ended(&report, &boot));
    }

    /// A held run waits no more.
    pub fn released(&self, run: &RunId) {
        let run = run.clone();
        self.tell(move |db| db.released(&run));
    }

    /// The wall clock is taken to be right: it is so much ahead of the time since the machine was started.
    pub fn clock(&self, offset: i128) {
        let boot = self.boot.clone();
        self.tell(move |db| db.clock(&boot, offset));
    }

    /// Something that waits until everything that was told before is on the disk, or a few seconds.
    pub fn settler(&self) -> impl Fn() + Send + Sync + 'static {
        let told = Mutex::new(self.told.clone());
        move || {
            let told = told.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let (done, settled) = mpsc::channel();
            if told.is_some_and(|told| told.send(Told::Settle(done)).is_ok()) {
                _ = settled.recv_timeout(PATIENCE);
            }
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if let Some(told) = self.told.take() {
            // Others, who wait for something to be settled, may keep it open.
            drop(told.send(Told::End));
        }
        // A disk that hangs must not keep the process.
        if self.ended.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Disconnected)
            && let Some(thread) = self.thread.take()
        {
            drop(thread.join());
        }
    }
}

fn serve(mut db: Db, work: &mpsc::Receiver<Told>, health: &StateHealth) {
    while let Ok(told) = work.recv() {
        match told {
            Told::Do(job) => match job(&mut db) {
                Ok(()) => health.set(None),
                Err(error) => {
                    if health.error().is_none() {
                        tracing::error!("The state cannot be written, and what happens is not remembered: {error}");
                    }
                    health.set(Some(error.to_string()));
                }
            },
            // Who waits may have given up.
            Told::Settle(done) => drop(done.send(())),
            Told::End => return,
        }
    }
}

fn shown(path: &Path) -> String {
    crate::names::Escaped(path.as_os_str().as_encoded_bytes()).to_string()
}

/// The runs in the state of a directory, newest first: of one target, or of all; those before a run, or from the newest
/// on. They are read beside a daemon that is at work.
///
/// # Errors
/// In words.
pub fn runs(dir: &Path, target: Option<&str>, before: Option<&RunId>, count: usize) -> Result<Vec<Report>, String> {
    let own = directory(dir)?;
    Db::look(&own).and_then(|db| db.runs(target, before, count)).map_err(|error| error.to_string())
}

/// One run, by its id; `None` when it is not remembered.
///
/// # Errors
/// In words.
pub fn run(dir: &Path, run: &RunId) -> Result<Option<Report>, String> {
    let own = directory(dir)?;
    Db::look(&own).and_then(|db| db.run(run)).map_err(|error| error.to_string())
}

/// What is known of the file system of a target, if deleting freed nothing there; for a run that no daemon does.
///
/// # Errors
/// In words.
pub fn stalled(dir: &Path, target: &TargetName) -> Result<Option<Stalled>, String> {
    let own = directory(dir)?;
    Db::look(&own).and_then(|db| db.stalled(target.as_str())).map_err(|error| error.to_string())
}

/// Whether a directory holds a state at all.
#[must_use]
pub fn exists(dir: &Path) -> bool {
    dir.join(db::FILE).exists()
}

/// Adds a run that no daemon did.
///
/// # Errors
/// In words, when it cannot be written down.
pub fn add(dir: &Path, report: &Report, now: Timestamp) -> Result<(), String> {
    let own = Trust::of_process().directory(Purpose::State, dir, Some(MODE));
    let own = own.map_err(|denied| cannot_use(dir, &denied))?;
    Db::open(&own, now).and_then(|mut db| db.ended_elsewhere(report)).map_err(|error| error.to_string())
}

/// Returns the directory, to read what is in it: its owner is the daemon's user, who may be another than this one.
fn directory(dir: &Path) -> Result<OwnDir, String> {
    let trust = Trust::of_process();
    let trust = fsys::owner_of(dir).map_or(trust, |owner| trust.in_daemon_of(owner));
    trust.directory(Purpose::State, dir, None).map_err(|denied| cannot_use(dir, &denied))
}

fn cannot_use(dir: &Path, denied: &Denied) -> String {
    format!("the state directory `{}` cannot be used: {denied}", shown(dir))
}

/// Whether a run went on to judge: it was neither held nor kept from beginning, and no dry run.
#[must_use]
pub fn went_on(report: &Report) -> bool {
    !report.dry_run
        && !report.skipped
        && matches!(report.outcome, Outcome::Done | Outcome::Partial | Outcome::Cancelled)
}
