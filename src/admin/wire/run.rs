//! Runs and their reports.

use std::collections::BTreeMap;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Serialize;

use super::rfc3339;
use crate::daemon::Busy;
use crate::history::Hold;
use crate::report::{Failure, Held, Remark, Report};

/// A run, by its id and its target.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::admin) struct RunRef {
    /// The id of the run.
    pub(in crate::admin) run: String,
    /// The name of the target.
    pub(in crate::admin) target: String,
}

impl From<&Busy> for RunRef {
    fn from(busy: &Busy) -> Self {
        Self { run: busy.run.to_string(), target: busy.target.to_string() }
    }
}

/// Result of a manual run.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::admin) struct ManualDone<'a> {
    /// Whether all was done whole.
    pub(in crate::admin) success: bool,
    /// `run_failed`, when it was not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::admin) error: Option<&'static str>,
    pub(in crate::admin) message: String,
    /// The reports; of a run that was not waited for, its id.
    pub(in crate::admin) runs: Vec<ManualRun<'a>>,
    /// Targets that were being swept already and were left to that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(in crate::admin) busy: Vec<RunRef>,
}

/// One run of a manual request.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(untagged)]
pub(in crate::admin) enum ManualRun<'a> {
    /// A run that has ended.
    Ended(Box<Run<'a>>),
    /// A run that was not waited for, or that had not ended when the daemon did.
    Begun(RunRef),
}

/// The report of a run.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Run<'a> {
    /// Id of the run.
    run: &'a str,
    /// Name of the target, unless the object around it has it.
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    /// Cause of the run: `schedule`, `catch-up` or `manual`.
    trigger: String,
    /// Action of the target: `delete`, `trash` or `move`. Older records say `delete` whatever it was; a trash target
    /// deletes files that go for `min_free`.
    action: &'static str,
    /// Whether the run only told what it would remove.
    dry_run: bool,
    /// Time at which the run began.
    started: String,
    /// Duration in seconds.
    took_s: f64,
    /// `done`, `partial`, `held`, `cancelled` or `failed`.
    outcome: String,
    /// Entries that were read.
    examined: u64,
    /// Files that passed the filters.
    candidates: u64,
    /// Allocated bytes of what was to go.
    eligible_bytes: u64,
    /// Files removed.
    deleted: u64,
    /// Of these, how many by verified removal.
    verified: u64,
    /// Bytes given back.
    freed_bytes: u64,
    /// Of these bytes, how many are an estimate, by what the files took: no disk was asked.
    estimated_bytes: u64,
    /// Of the files removed, how many went without a look, since nothing but their names is asked for: what these gave
    /// back is estimated.
    unseen: u64,
    /// Files that could not be removed.
    failed: u64,
    /// Files that stayed.
    kept: u64,
    /// Directories that were not entered.
    skipped_directories: u64,
    /// Files that somebody else removed meanwhile.
    vanished: u64,
    /// Directories removed.
    directories: u64,
    /// Guard that held the run.
    held: Option<HeldBy>,
    /// Sandbox of its threads; null without one.
    sandbox: Option<&'a str>,
    /// Reason for which the run failed, was held or was cancelled.
    message: Option<&'a str>,
    /// The limits that could not be met (`max_size`, `max_files`, `min_free`), and how much is missing: bytes, for
    /// `max_files` files.
    unmet: BTreeMap<&'static str, u64>,
    /// The limits that its target is over, each in words; empty when it is within them.
    over_limits: Vec<String>,
    /// Remarks on the run.
    remarks: Vec<&'a str>,
    /// Every error, by class.
    failures: Vec<FailureClass<'a>>,
}

/// Guard that held a run.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct HeldBy {
    /// `max_deletes`, `require`, `root` or `clock`.
    pub(super) guard: String,
    /// Files that would have gone, where that was counted.
    pub(super) files: Option<u64>,
}

impl HeldBy {
    pub(super) fn new(held: &Held) -> Self {
        Self { guard: held.guard.to_string(), files: held.files }
    }
}

/// A held run, which waits to be released.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Hold")]
pub(in crate::admin) struct Waiting<'a> {
    /// The id of the run.
    run: &'a str,
    target: &'a str,
    /// Time at which the held run began.
    at: String,
    /// `max_deletes`, `require`, `root` or `clock`.
    guard: String,
    /// Files that would have gone, where that was counted.
    files: Option<u64>,
    why: &'a str,
}

impl<'a> Waiting<'a> {
    pub(in crate::admin) fn new(hold: &'a Hold, zone: &TimeZone) -> Self {
        let HeldBy { guard, files } = HeldBy::new(&hold.held);
        let (run, target) = (hold.run.as_str(), hold.target.as_str());
        Self { run, target, at: rfc3339(hold.at, zone), guard, files, why: &hold.why }
    }
}

/// Failures of one class.
#[derive(Debug, Serialize, JsonSchema)]
struct FailureClass<'a> {
    /// The system's message.
    class: &'a str,
    count: u64,
    /// Some of the paths, for those who may see them.
    #[serde(skip_serializing_if = "Option::is_none")]
    examples: Option<&'a [String]>,
}

/// Reader of a report.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Reader {
    /// Caller who may see the names of files.
    Trusted,
    Anybody,
}

impl<'a> Run<'a> {
    /// The whole report, with names of files.
    #[must_use]
    pub fn full(report: &'a Report, zone: &TimeZone) -> Self {
        Self { target: Some(report.target.as_str()), ..Self::with(report, zone, Reader::Trusted) }
    }

    /// The report with its target, without names of files.
    pub(in crate::admin) fn open(report: &'a Report, zone: &TimeZone) -> Self {
        Self { target: Some(report.target.as_str()), ..Self::nameless(report, zone) }
    }

    /// The report without names of files, for where the target is named already.
    pub(super) fn nameless(report: &'a Report, zone: &TimeZone) -> Self {
        Self::with(report, zone, Reader::Anybody)
    }

    fn with(report: &'a Report, zone: &TimeZone, reader: Reader) -> Self {
        // Every field by name, so that a new one is not forgotten here.
        let Report {
            run,
            target: _,
            trigger,
            action,
            dry_run,
            started,
            took,
            outcome,
            counts,
            failures,
            held,
            skipped: _,
            root: _,
            sandbox,
            stalled: _,
            message,
            unmet,
            remarks,
            hints,
        } = report;
        let class = |(class, failure): (&'a str, &'a Failure)| FailureClass {
            class,
            count: failure.count,
            examples: (reader == Reader::Trusted).then_some(failure.examples.as_slice()),
        };
        let said = if reader == Reader::Trusted { Remark::text } else { Remark::open };
        Self {
            run: run.as_str(),
            target: None,
            trigger: trigger.to_string(),
            action: action.verb(),
            dry_run: *dry_run,
            started: rfc3339(*started, zone),
            took_s: took.as_secs_f64(),
            outcome: outcome.to_string(),
            examined: counts.examined,
            candidates: counts.candidates,
            eligible_bytes: counts.eligible,
            deleted: counts.deleted,
            verified: counts.verified,
            freed_bytes: counts.freed,
            estimated_bytes: counts.estimated,
            unseen: counts.unseen,
            failed: counts.failed,
            kept: counts.kept,
            skipped_directories: counts.skipped_directories,
            vanished: counts.vanished,
            directories: counts.directories,
            held: held.as_ref().map(HeldBy::new),
            sandbox: sandbox.as_deref(),
            message: message.as_deref(),
            unmet: unmet.iter().map(|(limit, missing)| (limit.word(), *missing)).collect(),
            over_limits: report.over_limits(),
            remarks: remarks.iter().map(said).chain(hints.iter().map(String::as_str)).collect(),
            failures: failures.iter().map(class).collect(),
        }
    }
}

/// An event: a run has ended.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::admin) struct RunFinished<'a> {
    /// Time of the event.
    pub(in crate::admin) at: String,
    #[serde(flatten)]
    pub(in crate::admin) run: Run<'a>,
}

/// Runs, newest first.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::admin) struct Runs<'a> {
    pub(in crate::admin) success: bool,
    pub(in crate::admin) runs: Vec<Run<'a>>,
    /// To be given as `before` for those that come next; null when there are none.
    pub(in crate::admin) next: Option<&'a str>,
}

/// One run.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::admin) struct OneRun<'a> {
    pub(in crate::admin) success: bool,
    pub(in crate::admin) run: Run<'a>,
    /// Files of the run that are in the trash and can be put back.
    pub(in crate::admin) undo: Option<InTrash>,
}

/// Files that a run has put into the trash.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::admin) struct InTrash {
    pub(in crate::admin) files: u64,
    pub(in crate::admin) bytes: u64,
    /// Time from which they are purged.
    pub(in crate::admin) until: String,
}

/// Result of an undo.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::admin) struct UndoDone {
    /// Whether everything was put back.
    pub(in crate::admin) success: bool,
    /// `undo_incomplete`, when something stayed in the trash.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in crate::admin) error: Option<&'static str>,
    pub(in crate::admin) message: String,
    pub(in crate::admin) run: String,
    pub(in crate::admin) target: String,
    /// Files that are back.
    pub(in crate::admin) restored: u64,
    /// Paths that other files have taken, so that the files from there stayed in the trash.
    pub(in crate::admin) occupied: Vec<String>,
    /// Other files that stayed in the trash, and the reasons.
    pub(in crate::admin) failed: Vec<String>,
}
