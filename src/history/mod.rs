//! What must survive the daemon: runs with their reports, when each target was last due, pauses, held runs, and which
//! directory each root was.
//!
//! It lies in one SQLite file in the state directory, which anybody may query; what the operator has stopped lies in a
//! file of its own beside it (`stops`). One thread owns both and does what it is told in turn (`keeper`), so that nobody
//! waits for the disk who does not want to. A state that is broken, full or read-only stops nothing: it is told, tried
//! again, and what happens meanwhile is written later. Where it is not known what was stopped, the schedule is.

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

/// The mode of a state directory that is made.
const MODE: u32 = 0o700;

/// How long anybody waits for the disk, at the most.
const PATIENCE: Duration = Duration::from_secs(5);

/// What was remembered when the state was opened.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Remembered {
    /// The last run of each target.
    pub last_runs: BTreeMap<TargetName, Arc<Report>>,
    /// When a run of each target that was a success ended last.
    pub last_successes: BTreeMap<TargetName, Timestamp>,
    /// When each target was last due, or known not to be.
    pub due: BTreeMap<TargetName, Timestamp>,
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
}

impl StateHealth {
    /// Why nothing is remembered at the moment; `None` while it is.
    #[must_use]
    pub fn error(&self) -> Option<String> {
        self.error.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, error: Option<String>) {
        *self.error.lock().unwrap_or_else(PoisonError::into_inner) = error;
    }
}

/// What the next run of a target goes by, as the state has it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// Which directory its root was.
    pub root: Option<KnownRoot>,
    /// That deleting freed nothing on its file system.
    pub stalled: Option<Stalled>,
    /// The newest beginning of a run that was not held, of any target.
    pub newest_run: Option<Timestamp>,
    /// See [`Remembered::clock_offset`].
    pub clock_offset: Option<i128>,
}

/// Something that is to be remembered.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// A target was due, or is new and was not due before.
    Due(TargetName, Timestamp),
    /// A run has ended.
    Ended(Arc<Report>),
    /// This run is the one that is held of its target.
    Held(Arc<Report>),
    /// A held run waits no more.
    Released(RunId),
    /// The wall clock is taken to be right: it is so many nanoseconds ahead of the time since the machine was started.
    Clock(i128),
}

/// Something that happened to the state.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// What was stopped was written down, or could not be. It is tried again until it can be.
    Kept {
        /// The number of the last word that this is about.
        number: u64,
        /// Why it could not be, in words.
        result: Result<(), String>,
    },
    /// What is stopped was not known, and now is.
    Word(Stops),
    /// The database could not be used, or was gone, and now can be: what it remembers.
    Returned(Box<Remembered>),
}

/// The state of one daemon. Dropping it waits for what was told, but not for ever.
#[derive(Debug)]
pub struct Store {
    told: mpsc::Sender<Told>,
    health: Arc<StateHealth>,
    ended: mpsc::Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

/// A state that was opened, and what it said.
pub struct Opened {
    /// What is known of the operator's word.
    pub word: Word,
    /// What is remembered; nothing where the state cannot be used for now.
    pub remembered: Remembered,
    health: Arc<StateHealth>,
    keeper: Keeper,
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

/// Opens the state in a directory, for the one daemon that may work with it, and makes what is missing. A database that
/// is damaged is put aside. Where the state cannot be used, [`StateHealth`] says why, and it is tried again.
///
/// # Errors
/// [`InUse`] when another daemon has it.
pub fn open(dir: &Path) -> Result<Opened, InUse> {
    let health = Arc::new(StateHealth::default());
    let (keeper, word, remembered) = Keeper::open(dir.to_path_buf(), health.clone())?;
    Ok(Opened { word, remembered, health, keeper })
}

impl Opened {
    /// How the state is doing.
    #[must_use]
    pub fn health(&self) -> Arc<StateHealth> {
        self.health.clone()
    }

    /// Starts the thread that owns the state. It tells `hear` what happens to that.
    ///
    /// # Errors
    /// When the system has no thread.
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
    /// How it is doing.
    #[must_use]
    pub fn health(&self) -> Arc<StateHealth> {
        self.health.clone()
    }

    fn tell(&self, told: Told) {
        // The thread ends when this is dropped, and not before.
        drop(self.told.send(told));
    }

    /// Remembers something.
    pub fn change(&self, change: Change) {
        self.tell(Told::Change(change));
    }

    /// Writes down what is stopped from now on. [`Event::Kept`] comes back with this number, or a later one.
    pub fn keep(&self, stops: Stops, number: u64) {
        self.tell(Told::Keep(stops, number));
    }

    /// For those who wait until something is on the disk.
    #[must_use]
    pub fn settler(&self) -> Settler {
        Settler(Some(self.told.clone()))
    }
}

/// Waits for the thread that owns the state. Cheap to clone; the default waits for nothing.
#[derive(Clone, Debug, Default)]
pub struct Settler(Option<mpsc::Sender<Told>>);

impl Settler {
    /// Waits until everything that was told before is on the disk, or a few seconds.
    pub fn wait(&self) {
        let (done, settled) = mpsc::channel();
        if self.0.as_ref().is_some_and(|told| told.send(Told::Settle(done)).is_ok()) {
            _ = settled.recv_timeout(PATIENCE);
        }
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        // Others, who wait for something to be settled, may keep the channel open.
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

/// What the next run of a target goes by, for a run that no daemon does. Where there is no state, nothing is known.
///
/// # Errors
/// In words.
pub fn known(dir: &Path, target: &TargetName) -> Result<Known, String> {
    if !exists(dir) {
        return Ok(Known::default());
    }
    let own = directory(dir)?;
    Db::look(&own).and_then(|db| db.known(target.as_str(), &boot())).map_err(|error| error.to_string())
}

/// Whether a directory holds a database.
#[must_use]
pub fn exists(dir: &Path) -> bool {
    dir.join(db::FILE).exists()
}

/// Adds a run that no daemon did, and what follows from it for the next. A state that is missing is begun.
///
/// # Errors
/// In words, when it cannot be written down.
pub fn add(dir: &Path, report: &Report, now: Timestamp) -> Result<(), String> {
    let own = Trust::of_process().directory(Purpose::State, dir, Some(MODE));
    let own = own.map_err(|denied| cannot_use(dir, &denied))?;
    stops::begin(&own).map_err(|error| format!("the state in `{}` cannot be begun: {error}", shown(dir)))?;
    Db::open(&own, now).and_then(|mut db| db.ended(report, &boot())).map_err(|error| error.to_string())
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

/// Whether a run got past the guards: it was neither held nor kept from beginning, and no dry run. One that was cancelled
/// did where it had removed something.
#[must_use]
pub fn went_on(report: &Report) -> bool {
    let is_past = match report.outcome {
        Outcome::Done | Outcome::Partial => true,
        Outcome::Cancelled => report.counts.deleted > 0,
        Outcome::Held | Outcome::Failed => false,
    };
    !report.dry_run && !report.skipped && is_past
}
