//! A target: a directory with its policy and its schedule, valid by construction.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::entry::AgeBy;
use crate::globs::Globs;
use crate::names::TargetName;
use crate::schedule::Schedule;

/// A time zone and the name it goes by in the config: `local`, or an IANA name.
#[derive(Clone, Debug, PartialEq)]
pub struct Zone {
    /// The name as written.
    pub name: String,
    /// The zone itself.
    pub tz: TimeZone,
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
}

impl Policy {
    /// Whether a verdict needs the age of a file.
    #[must_use]
    pub fn asks_for_age(&self) -> bool {
        self.older_than.is_some() || self.min_age.is_some()
    }
}

/// A directory that is kept clean.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Its unique name.
    pub name: TargetName,
    /// The directory as the config writes it; shown to people.
    pub written_path: String,
    /// The directory, absolute; a relative one stands below the working directory at start. Links in it are resolved
    /// anew for each sweep.
    pub path: PathBuf,
    /// When it is swept.
    pub schedule: Schedule,
    /// The zone in which the schedule is meant.
    pub zone: Zone,
    /// A target that is not enabled is checked and shown, and never swept.
    pub enabled: bool,
    /// A missing directory is made (its parent must exist).
    pub create: bool,
    /// Its sweeps only say what they would remove.
    pub dry_run: bool,
    /// On how many threads a sweep of it works; as many as the machine has cores, eight at most, if it does not say.
    pub threads: Option<NonZeroUsize>,
    /// What may go.
    pub policy: Policy,
}

impl Target {
    /// More threads than this make a disk slower, not faster.
    pub const MOST_THREADS: usize = 8;

    /// On how many threads a sweep of it works.
    #[must_use]
    pub fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from).min(Self::MOST_THREADS);
        self.threads.map_or_else(cores, usize::from)
    }
}
