//! The JSON of the admin port.
//!
//! Instants are RFC 3339 with an offset, in the zone of the daemon; only the `next_run`s are written as scripts know
//! them, local time without one. The status names no files; a report that was asked for by a manual run does.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::Ordering;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::daemon::{Busy, ConfigStatus, Rejection, RunningStatus, Status, TargetStatus};
use crate::history::Hold;
use crate::names::Escaped;
use crate::report::{Failure, Held, Report};

/// The target whose directory the status has always named.
const SEED_TARGET: &str = "marked_images";

/// `2024-09-25 02:00:00`.
fn local(instant: Timestamp, zone: &TimeZone) -> String {
    instant.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `2024-09-25T02:00:00+02:00`.
pub(super) fn rfc3339(instant: Timestamp, zone: &TimeZone) -> String {
    instant.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// An error.
#[derive(Debug, Serialize)]
pub(super) struct Refused<'a> {
    success: bool,
    error: &'static str,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    runs: Option<Vec<RunRef>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problems: Option<&'a [String]>,
}

impl<'a> Refused<'a> {
    pub(super) fn new(error: &'static str, message: impl Into<String>) -> Self {
        Self { success: false, error, message: message.into(), runs: None, problems: None }
    }

    pub(super) fn with_runs(self, busy: &[Busy]) -> Self {
        Self { runs: Some(busy.iter().map(RunRef::from).collect()), ..self }
    }

    pub(super) fn with_problems(self, problems: &'a [String]) -> Self {
        Self { problems: Some(problems), ..self }
    }
}

/// Which run of which target.
#[derive(Debug, Serialize)]
pub(super) struct RunRef {
    pub(super) run: String,
    pub(super) target: String,
}

impl From<&Busy> for RunRef {
    fn from(busy: &Busy) -> Self {
        Self { run: busy.run.to_string(), target: busy.target.to_string() }
    }
}

/// Something was done.
#[derive(Debug, Serialize)]
pub(super) struct Done {
    pub(super) success: bool,
    pub(super) message: String,
}

/// `/healthz` and `/readyz`.
#[derive(Debug, Serialize)]
pub(super) struct Well {
    pub(super) success: bool,
    pub(super) status: &'static str,
}

/// What a reload did.
#[derive(Debug, Serialize)]
pub(super) struct ReloadDone {
    pub(super) success: bool,
    pub(super) message: &'static str,
    pub(super) generation: u64,
    pub(super) added: usize,
    pub(super) changed: usize,
    pub(super) removed: usize,
    pub(super) changed_anything: bool,
}

/// What a manual run did. `busy` holds the targets that were being swept already and were left to that.
#[derive(Debug, Serialize)]
pub(super) struct ManualDone<'a> {
    pub(super) success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) error: Option<&'static str>,
    pub(super) message: String,
    pub(super) runs: Vec<ManualRun<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) busy: Vec<RunRef>,
}

/// One run of a manual request.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum ManualRun<'a> {
    /// It has ended.
    Ended(Box<Run<'a>>),
    /// It was not waited for, or the daemon ended before it.
    Begun(RunRef),
}

/// A report.
#[derive(Debug, Serialize)]
pub(super) struct Run<'a> {
    run: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    target: Option<&'a str>,
    trigger: String,
    dry_run: bool,
    started: String,
    took_s: f64,
    outcome: String,
    examined: u64,
    deleted: u64,
    verified: u64,
    freed_bytes: u64,
    failed: u64,
    kept: u64,
    skipped_directories: u64,
    vanished: u64,
    directories: u64,
    held: Option<HeldBy>,
    sandbox: Option<&'a str>,
    message: Option<&'a str>,
    remarks: Vec<&'a str>,
    failures: Vec<FailureClass<'a>>,
}

/// By what a run was held.
#[derive(Debug, Serialize)]
struct HeldBy {
    guard: String,
    files: Option<u64>,
}

impl HeldBy {
    fn new(held: &Held) -> Self {
        Self { guard: held.guard.to_string(), files: held.files }
    }
}

/// A held run, which waits to be released.
#[derive(Debug, Serialize)]
struct Waiting<'a> {
    run: &'a str,
    target: &'a str,
    at: String,
    guard: String,
    files: Option<u64>,
    why: &'a str,
}

impl<'a> Waiting<'a> {
    fn new(hold: &'a Hold, zone: &TimeZone) -> Self {
        let HeldBy { guard, files } = HeldBy::new(&hold.held);
        let (run, target) = (hold.run.as_str(), hold.target.as_str());
        Self { run, target, at: rfc3339(hold.at, zone), guard, files, why: &hold.why }
    }
}

/// Failures of one class.
#[derive(Debug, Serialize)]
struct FailureClass<'a> {
    class: &'a str,
    count: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    examples: Option<&'a [String]>,
}

impl<'a> Run<'a> {
    /// The whole report, with names of files.
    pub(super) fn full(report: &'a Report, zone: &TimeZone) -> Self {
        Self {
            target: Some(report.target.as_str()),
            ..Self::with(report, zone, |failure| Some(failure.examples.as_slice()))
        }
    }

    /// The report without names of files, for the status.
    fn nameless(report: &'a Report, zone: &TimeZone) -> Self {
        Self::with(report, zone, |_| None)
    }

    fn with(report: &'a Report, zone: &TimeZone, examples: fn(&'a Failure) -> Option<&'a [String]>) -> Self {
        // Every field by name, so that a new one is not forgotten here.
        let Report {
            run,
            target: _,
            trigger,
            dry_run,
            started,
            took,
            outcome,
            counts,
            failures,
            held,
            root: _,
            sandbox,
            message,
            remarks,
            hints,
        } = report;
        let class = |(class, failure): (&'a str, &'a Failure)| FailureClass {
            class,
            count: failure.count,
            examples: examples(failure),
        };
        Self {
            run: run.as_str(),
            target: None,
            trigger: trigger.to_string(),
            dry_run: *dry_run,
            started: rfc3339(*started, zone),
            took_s: took.as_secs_f64(),
            outcome: outcome.to_string(),
            examined: counts.examined,
            deleted: counts.deleted,
            verified: counts.verified,
            freed_bytes: counts.freed,
            failed: counts.failed,
            kept: counts.kept,
            skipped_directories: counts.skipped_directories,
            vanished: counts.vanished,
            directories: counts.directories,
            held: held.as_ref().map(HeldBy::new),
            sandbox: sandbox.as_deref(),
            message: message.as_deref(),
            remarks: remarks.iter().chain(hints).map(String::as_str).collect(),
            failures: failures.iter().map(class).collect(),
        }
    }
}

/// The answer of `/cleanup/status`.
#[derive(Debug, Serialize)]
pub(super) struct StatusAnswer<'a> {
    success: bool,
    scheduler_status: SchedulerStatus<'a>,
}

#[derive(Debug, Serialize)]
struct SchedulerStatus<'a> {
    is_running: bool,
    next_run: Option<String>,
    total_jobs: usize,
    marked_images_dir: Option<&'a str>,
    targets: Vec<Target<'a>>,
    holds: Vec<Waiting<'a>>,
    clock_problem: Option<&'a str>,
    config: Config<'a>,
    state: State,
    log: Log,
    version: &'static str,
    uptime_s: u64,
}

impl<'a> StatusAnswer<'a> {
    pub(super) fn new(status: &'a Status) -> Self {
        let zone = &status.zone;
        // What scripts know as the directory: that of the target of this name, else of the first.
        let seed = status.targets.iter().find(|target| target.name.as_str() == SEED_TARGET);
        let scheduler_status = SchedulerStatus {
            is_running: status.is_running,
            next_run: status.next_run().filter(|_| status.is_running).map(|next| local(next, zone)),
            total_jobs: status.total_jobs(),
            marked_images_dir: seed.or(status.targets.first()).map(|target| target.written_path.as_str()),
            targets: status.targets.iter().map(|target| Target::new(target, zone)).collect(),
            holds: status.holds.iter().map(|hold| Waiting::new(hold, zone)).collect(),
            clock_problem: status.clock.as_deref(),
            config: Config::new(&status.config, zone),
            state: State { error: status.state.error() },
            log: Log { lost_records: status.log.lost(), error: status.log.last_error() },
            version: env!("CARGO_PKG_VERSION"),
            uptime_s: status.started_mark.elapsed().as_secs(),
        };
        Self { success: true, scheduler_status }
    }
}

#[derive(Debug, Serialize)]
struct Target<'a> {
    name: &'a str,
    path: &'a str,
    schedule: &'a str,
    timezone: &'a str,
    next_run: Option<String>,
    state: &'static str,
    running: Option<Running<'a>>,
    last_run: Option<Run<'a>>,
    skipped_ticks: u64,
}

impl<'a> Target<'a> {
    fn new(target: &'a TargetStatus, zone: &TimeZone) -> Self {
        Self {
            name: target.name.as_str(),
            path: &target.written_path,
            schedule: &target.schedule,
            timezone: &target.zone_name,
            next_run: target.next_run.map(|next| local(next, zone)),
            state: target.state.word(),
            running: target.running.as_ref().map(|running| Running::new(running, zone)),
            last_run: target.last_run.as_deref().map(|report| Run::nameless(report, zone)),
            skipped_ticks: target.skipped_ticks,
        }
    }
}

#[derive(Debug, Serialize)]
struct Running<'a> {
    run: &'a str,
    started: String,
    examined: u64,
    deleted: u64,
    freed_bytes: u64,
    failed: u64,
}

impl<'a> Running<'a> {
    fn new(running: &'a RunningStatus, zone: &TimeZone) -> Self {
        let progress = &running.progress;
        Self {
            run: running.run.as_str(),
            started: rfc3339(running.started, zone),
            examined: progress.examined.load(Ordering::Relaxed),
            deleted: progress.deleted.load(Ordering::Relaxed),
            freed_bytes: progress.freed.load(Ordering::Relaxed),
            failed: progress.failed.load(Ordering::Relaxed),
        }
    }
}

#[derive(Debug, Serialize)]
struct Config<'a> {
    path: Option<String>,
    generation: u64,
    in_force_since: String,
    rejection: Option<Rejected<'a>>,
    needs_restart: &'a [String],
    not_applied: &'a [String],
}

#[derive(Debug, Serialize)]
struct Rejected<'a> {
    at: String,
    problems: &'a [String],
}

impl<'a> Config<'a> {
    fn new(config: &'a ConfigStatus, zone: &TimeZone) -> Self {
        let rejected = |Rejection { at, problems }: &'a Rejection| Rejected { at: rfc3339(*at, zone), problems };
        Self {
            path: config.path.as_deref().map(shown),
            generation: config.generation,
            in_force_since: rfc3339(config.in_force_since, zone),
            rejection: config.rejection.as_ref().map(rejected),
            needs_restart: &config.needs_restart,
            not_applied: &config.not_applied,
        }
    }
}

/// A path as text: itself where it is text, since JSON escapes what needs it.
fn shown(path: &Path) -> String {
    match path.to_str() {
        Some(text) => text.to_owned(),
        None => Escaped(path.as_os_str().as_bytes()).to_string(),
    }
}

#[derive(Debug, Serialize)]
struct State {
    error: Option<String>,
}

#[derive(Debug, Serialize)]
struct Log {
    lost_records: u64,
    error: Option<String>,
}
