//! Reports of sweeps.

mod file_system;
mod guard;
mod limit;
mod stalled;

pub use file_system::FileSystem;
pub use guard::{Guard, Held};
pub use limit::LimitKey;
pub use stalled::Stalled;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::entry::{ActionKind, Identity};
use crate::names::{RunId, TargetName};

/// Trigger of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Trigger {
    /// The schedule.
    Schedule,
    /// The schedule, later: the daemon was not there when the run was due.
    CatchUp,
    /// A person or a script.
    Manual,
}

impl fmt::Display for Trigger {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Schedule => "schedule",
            Self::CatchUp => "catch-up",
            Self::Manual => "manual",
        })
    }
}

/// Outcome of a sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// Everything was judged, and everything that was to go went.
    Done,
    /// Some files or directories could not be read or removed; the rest was done.
    Partial,
    /// A guard refused the run as a whole: nothing was removed.
    Held,
    /// The run was stopped between two files: a shutdown, or a new config that changed or removed the target.
    Cancelled,
    /// The run could not begin, could not measure its candidates, had too many errors, or panicked.
    Failed,
}

impl fmt::Display for Outcome {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Done => "done",
            Self::Partial => "partial",
            Self::Held => "held",
            Self::Cancelled => "cancelled",
            Self::Failed => "failed",
        })
    }
}

/// Failures of a run: by class, each with a count and a few examples.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures(BTreeMap<String, Failure>);

/// Class of failures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// Number of times that it happened.
    pub count: u64,
    /// First [`Failures::EXAMPLES`] paths that it happened to, relative to the root, escaped.
    pub examples: Vec<String>,
}

impl Failures {
    /// Most paths of a class that are kept as examples.
    pub const EXAMPLES: usize = 10;

    /// Counts a failure. `class` is the system's message for the error, `path` the escaped path that it happened to.
    pub fn add(&mut self, class: impl fmt::Display, path: impl fmt::Display) {
        let failure = self.0.entry(class.to_string()).or_default();
        failure.count += 1;
        if failure.examples.len() < Self::EXAMPLES {
            failure.examples.push(path.to_string());
        }
    }

    /// Adds the failures that another worker counted.
    pub fn merge(&mut self, other: Self) {
        for (class, theirs) in other.0 {
            let ours = self.0.entry(class).or_default();
            ours.count += theirs.count;
            let room = Self::EXAMPLES.saturating_sub(ours.examples.len());
            ours.examples.extend(theirs.examples.into_iter().take(room));
        }
    }

    /// Returns the number of failures.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.values().map(|failure| failure.count).sum()
    }

    /// Returns whether there were no failures.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the classes with their failures, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Failure)> {
        self.0.iter().map(|(class, failure)| (class.as_str(), failure))
    }
}

/// Counts of a sweep.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Entries that were read, directories included.
    pub examined: u64,
    /// Files that passed the filters, whether they go or stay.
    pub candidates: u64,
    /// Allocated bytes of the files that were to go, whether they went or not; a file with other links counts nothing.
    pub eligible: u64,
    /// Files removed; in a dry run, files that would be.
    pub deleted: u64,
    /// Removed files that were seen to be the very files that were judged, and in use by nobody.
    pub verified: u64,
    /// Bytes given back by the removals: the allocated bytes of files whose last link went.
    pub freed: u64,
    /// Part of the freed bytes that is an estimate, by what the files took: no disk was asked.
    pub estimated: u64,
    /// Removed files that nobody has looked at, since nothing but their names is asked for. The bytes that they gave
    /// back are estimated from the ones that were looked at.
    pub unseen: u64,
    /// Directories removed; in a dry run, directories that would be.
    pub directories: u64,
    /// Files that were to go and could not be removed.
    pub failed: u64,
    /// Files that stayed.
    pub kept: u64,
    /// Directories that no include reaches into, or that an exclude prunes, and that were therefore not entered.
    pub skipped_directories: u64,
    /// Files that somebody else removed between being read and being removed.
    pub vanished: u64,
}

impl Counts {
    /// Returns a word to go before [`Counts::freed`] where that is an estimate.
    #[must_use]
    pub fn about(&self) -> &'static str {
        about(self.estimated)
    }
}

/// Returns a word to go before the bytes given back, where `estimated` bytes of them are an estimate.
#[must_use]
pub fn about(estimated: u64) -> &'static str {
    if estimated > 0 { "about " } else { "" }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        // Destructured, so that no new counter is forgotten here.
        let Self {
            examined,
            candidates,
            eligible,
            deleted,
            verified,
            freed,
            estimated,
            unseen,
            directories,
            failed,
            kept,
            skipped_directories,
            vanished,
        } = other;
        self.examined += examined;
        self.candidates += candidates;
        self.eligible += eligible;
        self.deleted += deleted;
        self.verified += verified;
        self.freed += freed;
        self.estimated += estimated;
        self.unseen += unseen;
        self.directories += directories;
        self.failed += failed;
        self.kept += kept;
        self.skipped_directories += skipped_directories;
        self.vanished += vanished;
    }
}

/// Root, as a run saw it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootSeen {
    /// Identity of the directory.
    pub identity: Identity,
    /// File system of the directory.
    #[serde(default)]
    pub file_system: FileSystem,
}

/// Root of a target, as an earlier run saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownRoot {
    /// Path of the root, without links.
    pub path: PathBuf,
    /// Root, as a run saw it at that path.
    pub seen: RootSeen,
}

/// Remark on a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Remark {
    /// Remark that names no file.
    Open(String),
    /// Remark that names files, which is not for everybody.
    Naming {
        /// The whole text.
        text: String,
        /// The text without the names.
        open: String,
    },
}

impl Remark {
    /// Returns the whole text.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Open(text) | Self::Naming { text, .. } => text,
        }
    }

    /// Returns the text without names of files.
    #[must_use]
    pub fn open(&self) -> &str {
        match self {
            Self::Open(text) | Self::Naming { open: text, .. } => text,
        }
    }
}

impl From<String> for Remark {
    fn from(text: String) -> Self {
        Self::Open(text)
    }
}

impl fmt::Display for Remark {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(self.text())
    }
}

/// Report of one sweep of one target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The id of the run.
    pub run: RunId,
    /// The target.
    pub target: TargetName,
    /// Trigger of the run.
    pub trigger: Trigger,
    /// Kind of the target's action. Runs recorded before this field existed read as [`ActionKind::Delete`]. A trash target
    /// deletes files that go for `min_free`.
    #[serde(default)]
    pub action: ActionKind,
    /// Whether the run only reported what it would remove.
    pub dry_run: bool,
    /// Time at which the run began.
    pub started: Timestamp,
    /// Time that the run took.
    pub took: Duration,
    /// Outcome of the run.
    pub outcome: Outcome,
    /// Counts of the run.
    pub counts: Counts,
    /// Errors, by class: of files that could not be removed and of directories that could not be read.
    pub failures: Failures,
    /// Hold on the run, if a guard can be released.
    #[serde(default)]
    pub held: Option<Held>,
    /// Path of the root, without links, and the root itself. Not kept with the report.
    #[serde(skip)]
    pub root: Option<(PathBuf, RootSeen)>,
    /// Confinement of the threads to the target, in a word or two; `None` when the run never got to work.
    pub sandbox: Option<String>,
    /// State of a file system on which deleting frees nothing, after the run.
    #[serde(default)]
    pub stalled: Option<Stalled>,
    /// Reason for which the run failed, was held or was cancelled.
    pub message: Option<String>,
    /// Whether another process was sweeping the target, so that this run did not begin.
    #[serde(default)]
    pub skipped: bool,
    /// Limits that could not be met, with the amount that is missing: bytes, and for `max_files` files.
    #[serde(default)]
    pub unmet: BTreeMap<LimitKey, u64>,
    /// Further remarks on the run: limits that could not be met, and why.
    pub remarks: Vec<Remark>,
    /// Hints that are news only the first time: rules that had nothing to do.
    pub hints: Vec<String>,
}

impl Report {
    /// Returns whether the run did all that the target asks for. A dry run that somebody asked for does not; dry runs
    /// of a target that is dry itself do.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.outcome == Outcome::Done && (!self.dry_run || self.trigger != Trigger::Manual)
    }

    /// Returns whether the report tells how the target stands to its limits. A run that was held, kept from beginning
    /// or stopped half way does not tell, and neither does a dry run that somebody asked for.
    #[must_use]
    pub fn has_measured(&self) -> bool {
        matches!(self.outcome, Outcome::Done | Outcome::Partial)
            && !self.skipped
            && (!self.dry_run || self.trigger != Trigger::Manual)
    }

    /// Returns the limits that the run is over, each in words.
    #[must_use]
    pub fn over_limits(&self) -> Vec<String> {
        let said = |begin: String| {
            let remark = self.remarks.iter().map(Remark::open).find(|remark| remark.starts_with(&begin));
            remark.map_or_else(|| begin.clone(), str::to_owned)
        };
        self.unmet.iter().map(|(limit, missing)| said(limit.short_of(*missing))).collect()
    }

    /// Returns the time at which the run ended.
    #[must_use]
    pub fn ended(&self) -> Timestamp {
        self.started.checked_add(self.took).unwrap_or(self.started)
    }
}
