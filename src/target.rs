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

/// Which file goes first when a whole-set rule takes some of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum GoesFirst {
    /// The oldest, as `age_by` has it.
    #[default]
    Oldest,
    /// The largest, by allocated bytes.
    Largest,
}

/// How much of a file system is to be free.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Watermark {
    /// So many bytes.
    Bytes(u64),
    /// So many hundredths of a percent of its size: 10 % is 1000.
    Share(u16),
}

impl Watermark {
    /// The bytes that are to be free on a file system of this size.
    #[must_use]
    pub fn of(self, total: u64) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes,
            // At most all of it, so it fits.
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

/// What is done to a file that goes.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub enum Action {
    /// It is removed.
    #[default]
    Delete,
    /// It is moved below this directory, under its path relative to the root.
    MoveTo(PathBuf),
    /// It is renamed into the trash beside the root, from where it can be put back.
    Trash,
}

impl Action {
    /// Returns its kind.
    #[must_use]
    pub const fn kind(&self) -> ActionKind {
        match self {
            Self::Delete => ActionKind::Delete,
            Self::MoveTo(_) => ActionKind::Move,
            Self::Trash => ActionKind::Trash,
        }
    }
}

/// What becomes of a file in a directory that others can write, where it cannot be verified what is removed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Unverifiable {
    /// It stays.
    #[default]
    Skip,
    /// It is removed by its name: whatever has that name by then.
    Plain,
}

/// Whether the kernel keeps the threads of a sweep to its target.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Sandbox {
    /// Where it can.
    #[default]
    Prefer,
    /// Where it cannot, the run fails.
    Require,
    /// Not at all.
    Off,
}

/// What holds a run whose root is not what it was in the last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RootRule {
    /// That it lies on another file system.
    #[default]
    Same,
    /// Nothing.
    Any,
}

/// What becomes of runs that were missed because no daemon was there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum CatchUp {
    /// One run makes up for all of them.
    #[default]
    Once,
    /// Nothing.
    None,
}

/// What may go from a directory. `None` means that the key is absent: nothing is asked.
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
    /// Which stamp an age is counted from.
    pub age_by: AgeBy,
    /// Protection: files younger than this stay.
    pub min_age: Option<Duration>,
    /// Reason: the candidates have more allocated bytes than this together.
    pub max_size: Option<u64>,
    /// Reason: there are more candidates than this.
    pub max_files: Option<u64>,
    /// Reason: the file system has less free space than this.
    pub min_free: Option<Watermark>,
    /// Which candidates those three take first.
    pub order: GoesFirst,
    /// Protection: as many of the newest candidates of each directory stay.
    pub keep_newest: Option<NonZeroUsize>,
    /// Each directory directly below the root is one unit, which goes or stays whole.
    pub whole_dirs: bool,
    /// Directories that are empty, or become so, go too.
    pub remove_empty_dirs: bool,
    /// Protection: files that a process has open stay.
    pub skip_open: bool,
}

impl Policy {
    /// What these globs say, and nothing else.
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

    /// Whether a rule looks at all candidates together, so that no verdict can be had from one of them alone.
    #[must_use]
    pub fn has_limits(&self) -> bool {
        self.max_size.is_some() || self.max_files.is_some() || self.min_free.is_some()
    }

    /// Whether a verdict needs the age of a file.
    #[must_use]
    pub fn asks_for_age(&self) -> bool {
        self.older_than.is_some()
            || self.min_age.is_some()
            || self.keep_newest.is_some()
            || (self.has_limits() && self.order == GoesFirst::Oldest)
    }

    /// Whether a verdict needs to know more of a file than its name and what it is.
    #[must_use]
    pub fn asks_for_facts(&self) -> bool {
        self.asks_for_age()
            || self.has_limits()
            || self.larger_than.is_some()
            || self.smaller_than.is_some()
            || self.skip_open
    }
}

/// A directory that is kept clean.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Its unique name.
    pub name: TargetName,
    /// The directory as the config writes it; shown to people.
    pub written_path: String,
    /// The directory, absolute. Links in it are resolved anew for each sweep.
    pub path: PathBuf,
    /// When it is swept.
    pub schedule: Schedule,
    /// The zone in which the schedule is meant.
    pub zone: Zone,
    /// A target that is not enabled is checked and shown, and never swept.
    pub enabled: bool,
    /// What becomes of runs that were missed.
    pub catch_up: CatchUp,
    /// What becomes of a run when the directory is missing.
    pub missing: Missing,
    /// Its sweeps only say what they would remove.
    pub dry_run: bool,
    /// On how many threads a sweep of it works; as many as the machine has cores, eight at most, if it does not say.
    pub threads: Option<NonZeroUsize>,
    /// Whether its sweeps take only what processor and disk have left over.
    pub idle: bool,
    /// What is done to a file that goes.
    pub action: Action,
    /// How long the trash keeps what a run put there.
    pub trash_keep: Duration,
    /// What becomes of a file that cannot be verified where that is needed.
    pub on_unverifiable: Unverifiable,
    /// Whether the kernel keeps its sweeps to it.
    pub sandbox: Sandbox,
    /// Guard: a run that would take more files than this is held.
    pub max_deletes: Option<u64>,
    /// Guard: whether a run is held whose root lies on another file system than in the last.
    pub root: RootRule,
    /// Guard: this entry must exist in the root; without it the run is held. It never goes itself.
    pub require: Option<Box<str>>,
    /// The file system it is on, as it was when the config was read; `None` when that cannot be told.
    pub device: Option<u64>,
    /// Other targets that keep space free on the same file system.
    pub same_disk: Vec<TargetName>,
    /// Other targets whose directories lie below this one's: each owns its own. Their names, and their paths with no
    /// symbolic link left.
    pub nested: Vec<(TargetName, PathBuf)>,
    /// What may go.
    pub policy: Policy,
}

/// What becomes of a run when the directory is missing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Missing {
    /// It fails.
    #[default]
    Fail,
    /// It is done: there is nothing to do.
    Skip,
    /// It makes the directory. The one above it has to be there.
    Create,
}

impl Target {
    /// How long the trash keeps what a run put there, if the target does not say.
    pub const TRASH_KEEP: Duration = Duration::from_secs(7 * 24 * 60 * 60);

    /// Returns an enabled target for which the config says no more than this.
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

    /// More threads than this make a disk slower, not faster.
    pub const MOST_THREADS: usize = 8;

    /// On how many threads a sweep of it works.
    #[must_use]
    pub fn threads(&self) -> usize {
        // Asked once: a thread that is confined could not read what the control group allows.
        static CORES: OnceLock<usize> = OnceLock::new();
        let count = || std::thread::available_parallelism().map_or(1, usize::from).min(Self::MOST_THREADS);
        let cores = || *CORES.get_or_init(count);
        self.threads.map_or_else(cores, usize::from)
    }
}
