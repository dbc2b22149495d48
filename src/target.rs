//! A target: a directory with its policy and its schedule, valid by construction.

use std::fmt;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::entry::{ActionKind, AgeBy};
use crate::globs::Globs;
use crate::names::TargetName;
use crate::schedule::Schedule;
use crate::units::Bytes;

/// A time zone and the name it goes by in the config: `local`, or an IANA name.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    /// The name as written.
    pub name: String,
    /// The zone itself.
    pub tz: TimeZone,
}

/// Order in which a rule on all files together takes some of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum GoesFirst {
    /// The oldest, as `age_by` has it.
    #[default]
    Oldest,
    /// The largest, by allocated bytes.
    Largest,
}

/// Free space that a file system is to have.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Watermark {
    /// Number of bytes.
    Bytes(u64),
    /// Share of the file system, in hundredths of a percent of its size: 10 % is 1000.
    Share(u16),
}

impl Watermark {
    /// Returns the bytes that are to be free on a file system of this size.
    #[must_use]
    pub fn of(self, total: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            // The share is at most all of it, so it fits.
            Self::Share(share) => (u128::from(total) * u128::from(share) / 10_000) as u64,
        }
    }
}

impl fmt::Display for Watermark {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bytes(bytes) => Bytes(*bytes).fmt(out),
            Self::Share(share) if share % 100 == 0 => write!(out, "{}%", share / 100),
            Self::Share(share) => write!(out, "{}%", f64::from(*share) / 100.0),
        }
    }
}

/// Action on a file that goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Action {
    /// The file is removed.
    #[default]
    Delete,
    /// The file is moved below this directory, under its path relative to the root.
    MoveTo(PathBuf),
    /// The file is renamed into the trash beside the root, from where it can be put back.
    Trash,
}

impl Action {
    /// Returns the kind of the action.
    #[must_use]
    pub const fn kind(&self) -> ActionKind {
        match self {
            Self::Delete => ActionKind::Delete,
            Self::MoveTo(_) => ActionKind::Move,
            Self::Trash => ActionKind::Trash,
        }
    }
}

/// Treatment of a file in a directory that others can write, where it cannot be verified what is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Unverifiable {
    /// The file stays.
    #[default]
    Skip,
    /// The file is removed by its name: whatever has that name by then.
    Plain,
}

/// Confinement of the threads of a sweep to its target, by the kernel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Sandbox {
    /// The threads are confined where the kernel can do it.
    #[default]
    Prefer,
    /// The run fails where the kernel cannot do it.
    Require,
    /// The threads are not confined.
    Off,
}

/// Rule for a run whose root is not what it was in the last run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RootRule {
    /// The run is held if the root lies on another file system.
    #[default]
    Same,
    /// The run is never held for its root.
    Any,
}

/// Treatment of runs that were missed because no daemon was there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CatchUp {
    /// One run makes up for all of them.
    #[default]
    Once,
    /// No run makes up for them.
    None,
}

/// Rules for what may go from a directory. `None` means that the key is absent: nothing is asked.
#[derive(Clone, Debug, PartialEq)]
pub struct Policy {
    /// `include` and `exclude`, and the built-in excludes.
    pub globs: Globs,
    /// Filter: only files of more than this many bytes (apparent size).
    pub larger_than: Option<u64>,
    /// Filter: only files of less than this many bytes (apparent size).
    pub smaller_than: Option<u64>,
    /// Reason: an age of at least this.
    pub older_than: Option<Duration>,
    /// Stamp that an age is counted from.
    pub age_by: AgeBy,
    /// Protection: files younger than this stay.
    pub min_age: Option<Duration>,
    /// Reason: the candidates have more allocated bytes than this together.
    pub max_size: Option<u64>,
    /// Reason: there are more candidates than this.
    pub max_files: Option<u64>,
    /// Reason: the file system has less free space than this.
    pub min_free: Option<Watermark>,
    /// Order in which the three limits above take candidates.
    pub order: GoesFirst,
    /// Protection: this many of the newest candidates of each directory stay.
    pub keep_newest: Option<NonZeroUsize>,
    /// Whether each directory directly below the root is one unit, which goes or stays whole.
    pub whole_dirs: bool,
    /// Whether directories that are empty, or become so, go too.
    pub remove_empty_dirs: bool,
    /// Protection: whether files that a process has open stay.
    pub skip_open: bool,
}

impl Policy {
    /// Returns a policy of these globs, and nothing else.
    #[must_use]
    pub fn new(globs: Globs) -> Self {
        Self {
            globs,
            larger_than: None,
            smaller_than: None,
            older_than: None,
            age_by: AgeBy::default(),
            min_age: None,
            max_size: None,
            max_files: None,
            min_free: None,
            order: GoesFirst::default(),
            keep_newest: None,
            whole_dirs: false,
            remove_empty_dirs: false,
            skip_open: false,
        }
    }

    /// Returns whether a rule looks at all candidates together, so that no verdict can be had from one of them alone.
    #[must_use]
    pub fn has_limits(&self) -> bool {
        self.max_size.is_some() || self.max_files.is_some() || self.min_free.is_some()
    }

    /// Returns whether a verdict needs the age of a file.
    #[must_use]
    pub fn asks_for_age(&self) -> bool {
        self.older_than.is_some()
            || self.min_age.is_some()
            || self.keep_newest.is_some()
            || (self.has_limits() && self.order == GoesFirst::Oldest)
    }

    /// Returns whether a verdict needs to know more of a file than its name and its kind.
    #[must_use]
    pub fn asks_for_facts(&self) -> bool {
        self.asks_for_age()
            || self.has_limits()
            || self.larger_than.is_some()
            || self.smaller_than.is_some()
            || self.skip_open
    }
}

/// Directory that is kept clean.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Unique name of the target.
    pub name: TargetName,
    /// The directory as the config writes it; shown to people.
    pub written_path: String,
    /// The directory, absolute. Links in it are resolved anew for each sweep.
    pub path: PathBuf,
    /// Schedule of the sweeps.
    pub schedule: Schedule,
    /// Zone in which the schedule is meant.
    pub zone: Zone,
    /// Whether the target is enabled. A target that is not enabled is checked and shown, and never swept.
    pub enabled: bool,
    /// Treatment of runs that were missed.
    pub catch_up: CatchUp,
    /// Treatment of a run when the directory is missing.
    pub missing: Missing,
    /// Whether the sweeps only report what they would remove.
    pub dry_run: bool,
    /// Number of threads of a sweep; as many as the machine has cores, eight at most, if it does not say.
    pub threads: Option<NonZeroUsize>,
    /// Whether the sweeps take only what processor and disk have left over.
    pub idle: bool,
    /// Action on a file that goes.
    pub action: Action,
    /// Time for which the trash keeps the files that a run put there.
    pub trash_keep: Duration,
    /// Treatment of a file that cannot be verified where that is needed.
    pub on_unverifiable: Unverifiable,
    /// Confinement of the sweeps to the target, by the kernel.
    pub sandbox: Sandbox,
    /// Guard: a run that would take more files than this is held.
    pub max_deletes: Option<u64>,
    /// Guard: whether a run is held whose root lies on another file system than in the last.
    pub root: RootRule,
    /// Guard: entry that must exist in the root; without it the run is held. The entry itself never goes.
    pub require: Option<Box<str>>,
    /// Device number of the target's file system when the config was read; `None` when that cannot be told.
    pub device: Option<u64>,
    /// Other targets that keep space free on the same file system.
    pub same_disk: Vec<TargetName>,
    /// Other targets whose directories lie below this one's, each of which owns its own directory: their names, and
    /// their paths with no symbolic link left.
    pub nested: Vec<(TargetName, PathBuf)>,
    /// Rules for what may go.
    pub policy: Policy,
}

/// Treatment of a run when the directory is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// The run fails.
    #[default]
    Fail,
    /// The run is done: there is nothing to do.
    Skip,
    /// The run makes the directory. Its parent has to be there.
    Create,
}

impl Target {
    /// Time for which the trash keeps the files that a run put there, if the target does not say.
    pub const TRASH_KEEP: Duration = Duration::from_secs(7 * 24 * 60 * 60);

    /// Returns an enabled target with the defaults for everything that is not given here.
    #[must_use]
    pub fn new(name: TargetName, path: PathBuf, schedule: Schedule, zone: Zone, policy: Policy) -> Self {
        Self {
            written_path: path.to_string_lossy().into_owned(),
            name,
            path,
            schedule,
            zone,
            enabled: true,
            catch_up: CatchUp::default(),
            missing: Missing::default(),
            dry_run: false,
            threads: None,
            idle: false,
            action: Action::default(),
            trash_keep: Self::TRASH_KEEP,
            on_unverifiable: Unverifiable::default(),
            sandbox: Sandbox::default(),
            max_deletes: None,
            root: RootRule::default(),
            require: None,
            device: None,
            same_disk: Vec::new(),
            nested: Vec::new(),
            policy,
        }
    }

    /// Most threads of a sweep by default: more make a disk slower, not faster.
    pub const MOST_THREADS: usize = 8;

    /// Returns the number of threads of a sweep.
    #[must_use]
    pub fn threads(&self) -> usize {
        // Read once: a thread that is confined could not read what the control group allows.
        static CORES: OnceLock<usize> = OnceLock::new();
        let count = || std::thread::available_parallelism().map_or(1, usize::from).min(Self::MOST_THREADS);
        let cores = || *CORES.get_or_init(count);
        self.threads.map_or_else(cores, usize::from)
    }
}
