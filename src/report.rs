//! Reports: what one sweep did.

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

/// What set a sweep off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Trigger {
    /// The schedule.
    Schedule,
    /// The schedule, later: the daemon was not there when it was due.
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

/// How a sweep ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// Everything was judged, and everything that was to go went.
    Done,
    /// Some files or directories could not be read or removed; the rest was done.
    Partial,
    /// A guard refused it as a whole: nothing was removed.
    Held,
    /// It was stopped between two files: a shutdown, or a new config that changed or removed the target.
    Cancelled,
    /// It could not begin, or it panicked.
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

/// The failures of a run: by class, each with a count and a few examples.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failures(BTreeMap<String, Failure>);

/// One class of failures.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// How often it happened.
    pub count: u64,
    /// The first [`Failures::EXAMPLES`] paths it happened to, relative to the root, escaped.
    pub examples: Vec<String>,
}

impl Failures {
    /// How many paths of a class are kept as examples.
    pub const EXAMPLES: usize = 10;

    /// Counts one failure. `class` is the system's message for the error, `path` the escaped path it happened to.
    pub fn add(&mut self, class: impl fmt::Display, path: impl fmt::Display) {
        let failure = self.0.entry(class.to_string()).or_default();
        failure.count += 1;
        if failure.examples.len() < Self::EXAMPLES {
            failure.examples.push(path.to_string());
        }
    }

    /// Adds those that another worker counted.
    pub fn merge(&mut self, other: Self) {
        for (class, theirs) in other.0 {
            let ours = self.0.entry(class).or_default();
            ours.count += theirs.count;
            let room = Self::EXAMPLES.saturating_sub(ours.examples.len());
            ours.examples.extend(theirs.examples.into_iter().take(room));
        }
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.0.values().map(|failure| failure.count).sum()
    }

    /// Whether there were none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The classes with their failures, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Failure)> {
        self.0.iter().map(|(class, failure)| (class.as_str(), failure))
    }
}

/// What a sweep counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Counts {
    /// Entries that were read, directories included.
    pub examined: u64,
    /// Files that passed the filters, whether they go or stay.
    pub candidates: u64,
    /// Allocated bytes of what was to go, whether it went or not; a file with other links counts nothing.
    pub eligible: u64,
    /// Files removed; in a dry run, files that would be.
    pub deleted: u64,
    /// Of these, how many were seen to be the very files that were judged, and in use by nobody.
    pub verified: u64,
    /// Bytes given back by that: the allocated bytes of files whose last link went.
    pub freed: u64,
    /// Of these bytes, how many are an estimate, by what the files took: no disk was asked.
    pub estimated: u64,
    /// Of the files removed, how many nobody has looked at, since nothing but their names is asked for: what they gave
    /// back is estimated, by those of them that were looked at.
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
    /// A word before [`Counts::freed`] where that is an estimate.
    #[must_use]
    pub fn about(&self) -> &'static str {
        about(self.estimated)
    }
}

/// A word before the bytes given back, where so many of them are an estimate.
#[must_use]
pub fn about(estimated: u64) -> &'static str {
    if estimated > 0 { "about " } else { "" }
}

impl std::ops::AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        // Taken apart, so that no new counter is forgotten here.
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

/// Which directory a root was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootSeen {
    /// The directory.
    pub identity: Identity,
    /// Its file system.
    #[serde(default)]
    pub file_system: FileSystem,
}

/// Which directory the root of a target was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownRoot {
    /// Its path, without links.
    pub path: PathBuf,
    /// Which directory it was.
    pub seen: RootSeen,
}

/// What else is to be said of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Remark {
    /// It names no file.
    Open(String),
    /// It names files, which is not for everybody.
    Naming {
        /// The whole of it.
        text: String,
        /// The same without the names.
        open: String,
    },
}

impl Remark {
    /// The whole of it.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Self::Open(text) | Self::Naming { text, .. } => text,
        }
    }

    /// As much of it as names no file.
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

/// What one sweep of one target did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The id of the run.
    pub run: RunId,
    /// The target.
    pub target: TargetName,
    /// What set it off.
    pub trigger: Trigger,
    /// The kind of action that was taken on what went.
    #[serde(default)]
    pub action: ActionKind,
    /// Whether it only said what it would remove.
    pub dry_run: bool,
    /// When it began.
    pub started: Timestamp,
    /// How long it took.
    pub took: Duration,
    /// How it ended.
    pub outcome: Outcome,
    /// What it counted.
    pub counts: Counts,
    /// Every error, by class: of files that could not be removed and of directories that could not be read.
    pub failures: Failures,
    /// By what it was held, if a guard can be released.
    #[serde(default)]
    pub held: Option<Held>,
    /// The root, without links, and which directory it was. Not kept with the report.
    #[serde(skip)]
    pub root: Option<(PathBuf, RootSeen)>,
    /// What kept its threads to the target, in a word or two; `None` when it never got to work.
    pub sandbox: Option<String>,
    /// What is known of a file system on which deleting frees nothing, after it.
    #[serde(default)]
    pub stalled: Option<Stalled>,
    /// Why it failed, was held or was cancelled.
    pub message: Option<String>,
    /// Whether another process was sweeping the target, so that this run did not begin.
    #[serde(default)]
    pub skipped: bool,
    /// The limits that could not be met, and how much is missing: bytes, for `max_files` files.
    #[serde(default)]
    pub unmet: BTreeMap<LimitKey, u64>,
    /// What else is to be said of it: limits that could not be met, and why.
    pub remarks: Vec<Remark>,
    /// What is news only the first time: rules that had nothing to do.
    pub hints: Vec<String>,
}

impl Report {
    /// Whether it did all that the target asks for. A dry run that somebody asked for does not; those of a target that
    /// is dry itself do.
    #[must_use]
    pub fn is_success(&self) -> bool {
        self.outcome == Outcome::Done && (!self.dry_run || self.trigger != Trigger::Manual)
    }

    /// Whether it tells how its target stands to its limits: it was neither held, nor kept from beginning, nor stopped half
    /// way, nor a dry run that somebody asked for.
    #[must_use]
    pub fn has_measured(&self) -> bool {
        matches!(self.outcome, Outcome::Done | Outcome::Partial)
            && !self.skipped
            && (!self.dry_run || self.trigger != Trigger::Manual)
    }

    /// The limits that it is over, each in words.
    #[must_use]
    pub fn over_limits(&self) -> Vec<String> {
        let said = |begin: String| {
            let remark = self.remarks.iter().map(Remark::open).find(|remark| remark.starts_with(&begin));
            remark.map_or_else(|| begin.clone(), str::to_owned)
        };
        self.unmet.iter().map(|(limit, missing)| said(limit.short_of(*missing))).collect()
    }

    /// When it ended.
    #[must_use]
    pub fn ended(&self) -> Timestamp {
        self.started.checked_add(self.took).unwrap_or(self.started)
    }
}
