//! The state that must survive the daemon: runs with their reports, the time at which each target was last due, pauses,
//! held runs, and the directory that each root was.
//!
//! The state lies in one SQLite file in the state directory, which anybody may query. Stops of the operator lie in a
//! file of their own beside it (`stops`). One thread owns both and does its work in turn (`keeper`), so that nobody
//! waits for the disk who does not want to. A state that is broken, full or read-only stops nothing: the trouble is
//! reported, the state is tried again, and changes that happen meanwhile are written later. Where it is not known what
//! was stopped, the schedule is stopped.

mod db;
mod hold;
mod keeper;
mod lock;
mod stops;
mod target_lock;
#[cfg(test)]
mod tests;

pub use hold::Hold;
pub use stops::{Stops, Word};
pub use target_lock::{TargetLock, Turn, lock_target};

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;

use crate::fsys::{self, Denied, OwnDir, Purpose, Trust};
use crate::names::{RunId, TargetName};
use crate::report::{KnownRoot, Outcome, Report, Stalled};
use db::Db;
use keeper::{Keeper, Told};

/// Mode of a state directory that is made.
const MODE: u32 = 0o700;

/// Longest time that anybody waits for the disk.
const PATIENCE: Duration = Duration::from_secs(5);

/// Contents of the state when it was opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remembered {
    /// Last run of each target.
    pub last_runs: BTreeMap<TargetName, Arc<Report>>,
    /// Time at which the last successful run of each target ended.
    pub last_successes: BTreeMap<TargetName, Timestamp>,
    /// Time at which each target was last due, or known not to be.
    pub due: BTreeMap<TargetName, Timestamp>,
    /// Held runs.
    pub holds: Vec<Hold>,
    /// Known root of each target.
    pub roots: BTreeMap<TargetName, KnownRoot>,
    /// Targets on whose file systems deleting freed nothing.
    pub stalled: BTreeMap<TargetName, Stalled>,
    /// Start of the newest run that was not held.
    pub newest_run: Option<Timestamp>,
    /// Nanoseconds by which the wall clock was ahead of the time since the machine was started, when that was noted in
    /// this boot.
    pub clock_offset: Option<i128>,
}

/// Health of the state.
#[derive(Debug, Default)]
pub struct StateHealth {
    error: Mutex<Option<String>>,
}

impl StateHealth {
    /// Returns why nothing is remembered at the moment; `None` while the state works.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, error: Option<String>) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }
}

/// Knowledge, kept in the state, that the next run of a target goes by.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// Directory that was the root of the target.
    pub root: Option<KnownRoot>,
    /// Finding that deleting freed nothing on the file system of the target.
    pub stalled: Option<Stalled>,
    /// Start of the newest run that was not held, of any target.
    pub newest_run: Option<Timestamp>,
    /// See [`Remembered::clock_offset`].
    pub clock_offset: Option<i128>,
}

/// A change that is to be remembered.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A target was due, or is new and was not due before.
    Due(TargetName, Timestamp),
    /// A run has ended.
    Ended(Arc<Report>),
    /// A run is now the held one of its target.
    Held(Arc<Report>),
    /// A held run waits no more.
    Released(RunId),
    /// The wall clock is taken to be right: it is ahead of the time since the machine was started by this many
    /// nanoseconds.
    Clock(i128),
}

/// An event of the state.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The stops were written down, or could not be. Writing is tried again until it succeeds.
    Kept {
        /// Number of the last order that the event is about.
        number: u64,
        /// Result; an error has the reason in words.
        result: Result<(), String>,
    },
    /// The stops were not known, and now are.
    Word(Stops),
    /// The database could not be used, or was gone, and now can be used; this is what it remembers.
    Returned(Box<Remembered>),
}

/// The state of one daemon. Dropping it waits for the changes that were told, but not for ever.
#[derive(Debug)]
pub struct Store {
    told: mpsc::Sender<Told>,
    health: Arc<StateHealth>,
    ended: mpsc::Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

/// A state that was opened, and its contents.
pub struct Opened {
    /// Knowledge of the operator's word.
    pub word: Word,
    /// Remembered contents; none where the state cannot be used for now.
    pub remembered: Remembered,
    health: Arc<StateHealth>,
    keeper: Keeper,
}

/// Error that another daemon has the state directory of this path.
#[derive(Debug, PartialEq, Eq)]
pub struct InUse(pub PathBuf);

impl std::fmt::Display for InUse {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = crate::names::Escaped(self.0.as_os_str().as_encoded_bytes());
        write!(out, "another janitor works with the state directory `{shown}`; each needs a `state_dir` of its own")
    }
}

impl std::error::Error for InUse {}

/// Returns the id of this start of the machine.
fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}

/// Opens the state in a directory, for the one daemon that may work with it, and makes what is missing. A damaged
/// database is put aside. Where the state cannot be used, [`StateHealth`] says why, and the state is tried again.
///
/// # Errors
/// Fails with [`InUse`] when another daemon has the state.
pub fn open(dir: &Path) -> Result<Opened, InUse> {
    let health = Arc::new(StateHealth::default());
    let (keeper, word, remembered) = Keeper::open(dir.to_path_buf(), health.clone())?;
    Ok(Opened { word, remembered, health, keeper })
}

impl Opened {
    /// Returns the health of the state.
    #[must_use]
    pub fn health(&self) -> Arc<StateHealth> {
        self.health.clone()
    }

    /// Starts the thread that owns the state. The thread tells `hear` what happens to the state.
    ///
    /// # Errors
    /// Fails when the system has no thread.
    pub fn start(self, hear: impl FnMut(Event) + Send + 'static) -> io::Result<Store> {
        let Self { health, keeper, .. } = self;
        let (told, work) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let work = move || {
            keeper.serve(&work, Box::new(hear));
            drop(end);
        };
        let thread = Some(std::thread::Builder::new().name("state".into()).spawn(work)?);
        Ok(Store { told, health, ended, thread })
    }
}

impl Store {
    /// Returns the health of the state.
    #[must_use]
    pub fn health(&self) -> Arc<StateHealth> {
        self.health.clone()
    }

    fn tell(&self, told: Told) {
        // The thread ends when the store is dropped, and not before.
        drop(self.told.send(told));
    }

    /// Tells the thread to remember a change.
    pub fn change(&self, change: Change) {
        self.tell(Told::Change(change));
    }

    /// Tells the thread to write down what is stopped from now on. [`Event::Kept`] comes back with this number, or a
    /// later one.
    pub fn keep(&self, stops: Stops, number: u64) {
        self.tell(Told::Keep(stops, number));
    }

    /// Returns a handle for those who wait until something is on the disk.
    #[must_use]
    pub fn settler(&self) -> Settler {
        Settler(Some(self.told.clone()))
    }
}

/// Handle to wait for the thread that owns the state. Cheap to clone; the default waits for nothing.
#[derive(Clone, Debug, Default)]
pub struct Settler(Option<mpsc::Sender<Told>>);

impl Settler {
    /// Waits until everything that was told before is on the disk, but no more than a few seconds.
    pub fn wait(&self) {
        let (done, settled) = mpsc::channel();
        if self.0.as_ref().is_some_and(|told| told.send(Told::Settle(done)).is_ok()) {
            _ = settled.recv_timeout(PATIENCE);
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Others who wait for the thread may keep the channel open.
        self.tell(Told::End);
        // A disk that hangs must not keep the process.
        if self.ended.recv_timeout(PATIENCE) == Err(mpsc::RecvTimeoutError::Disconnected)
            && let Some(thread) = self.thread.take()
        {
            drop(thread.join());
        }
    }
}

fn shown(path: &Path) -> String {
    crate::names::Escaped(path.as_os_str().as_encoded_bytes()).to_string()
}

/// Returns the runs in the state of a directory, newest first: of one target, or of all; those before a run, or from
/// the newest on. The runs are read beside a daemon that is at work.
///
/// # Errors
/// Fails, with the reason in words, when the state cannot be read.
pub fn runs(dir: &Path, target: Option<&str>, before: Option<&RunId>, count: usize) -> Result<Vec<Report>, String> {
    let own = directory(dir)?;
    Db::look(&own).and_then(|db| db.runs(target, before, count)).map_err(|error| error.to_string())
}

/// Returns one run, by its id; `None` when the run is not remembered.
///
/// # Errors
/// Fails, with the reason in words, when the state cannot be read.
pub fn run(dir: &Path, run: &RunId) -> Result<Option<Report>, String> {
    let own = directory(dir)?;
    Db::look(&own).and_then(|db| db.run(run)).map_err(|error| error.to_string())
}

/// Returns the knowledge that the next run of a target goes by, for a run that no daemon does. Where there is no state,
/// nothing is known.
///
/// # Errors
/// Fails, with the reason in words, when the state cannot be read.
pub fn known(dir: &Path, target: &TargetName) -> Result<Known, String> {
    if !exists(dir) {
        return Ok(Known::default());
    }
    let own = directory(dir)?;
    Db::look(&own).and_then(|db| db.known(target.as_str(), &boot())).map_err(|error| error.to_string())
}

/// Returns whether a directory holds a database.
#[must_use]
pub fn exists(dir: &Path) -> bool {
    dir.join(db::FILE).exists()
}

/// Adds a run that no daemon did, and what follows from it for the next run. A state that is missing is begun.
///
/// # Errors
/// Fails, with the reason in words, when the run cannot be written down.
pub fn add(dir: &Path, report: &Report, now: Timestamp) -> Result<(), String> {
    let own = Trust::of_process().directory(Purpose::State, dir, Some(MODE));
    let own = own.map_err(|denied| cannot_use(dir, &denied))?;
    stops::begin(&own).map_err(|error| format!("the state in `{}` cannot be begun: {error}", shown(dir)))?;
    Db::open(&own, now).and_then(|mut db| db.ended(report, &boot())).map_err(|error| error.to_string())
}

/// Opens the directory, to read what is in it. Its owner counts as the daemon's user, who may be another than this one.
fn directory(dir: &Path) -> Result<OwnDir, String> {
    let trust = Trust::of_process();
    let trust = fsys::owner_of(dir).map_or(trust, |owner| trust.in_daemon_of(owner));
    trust.directory(Purpose::State, dir, None).map_err(|denied| cannot_use(dir, &denied))
}

fn cannot_use(dir: &Path, denied: &Denied) -> String {
    format!("the state directory `{}` cannot be used: {denied}", shown(dir))
}

/// Returns whether a run counts as one that got past the guards: it was neither held nor kept from beginning, and no
/// dry run. A cancelled run counts if it had removed something. A failed run never does, whatever it had removed: its
/// hold and the remembered root stay.
#[must_use]
pub fn went_on(report: &Report) -> bool {
    let is_past = match report.outcome {
        Outcome::Done | Outcome::Partial => true,
        Outcome::Cancelled => report.counts.deleted > 0,
        Outcome::Held | Outcome::Failed => false,
    };
    !report.dry_run && !report.skipped && is_past
}
