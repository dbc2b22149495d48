//! The status: the daemon, its config, and its targets.

use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::Ordering;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Serialize;

use super::{Run, Waiting, local, rfc3339};
use crate::daemon::{ConfigStatus, Rejection, RunningStatus, Status, TargetStatus};
use crate::fsys::{Space, Trust, opening, unconfinable};
use crate::history::Hold;
use crate::names::Escaped;
use crate::report::Report;
use crate::target::{Action, Target as InForce};

/// The target whose directory the status has always named.
const SEED_TARGET: &str = "marked_images";

/// The answer of `/cleanup/status`.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Status")]
pub(in crate::admin) struct StatusAnswer<'a> {
    success: bool,
    scheduler_status: SchedulerStatus<'a>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct SchedulerStatus<'a> {
    /// Whether the schedule runs: it was not stopped.
    is_running: bool,
    /// The earliest next run, local time; null while the schedule is stopped.
    next_run: Option<String>,
    /// Enabled targets.
    total_jobs: usize,
    /// The directory of the target `marked_images`, else of the first.
    marked_images_dir: Option<&'a str>,
    targets: Vec<Target<'a>>,
    /// Runs that were held, and wait to be released.
    holds: Vec<Waiting<'a>>,
    /// Why the wall clock cannot be trusted.
    clock_problem: Option<&'a str>,
    config: Config<'a>,
    state: State<'a>,
    kernel: Kernel,
    log: Log,
    /// The tasks of the daemon that are dead, and are started anew.
    dead_tasks: Vec<DeadTask<'a>>,
    /// The owner beside root and the daemon's user whose files are trusted (`--trust-owner`): `UID` or `UID:GID`.
    trusted_owner: Option<String>,
    version: &'static str,
    uptime_s: u64,
}

impl<'a> StatusAnswer<'a> {
    pub(in crate::admin) fn new(status: &'a Status) -> Self {
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
            state: State {
                error: status.state.error(),
                stop_unknown: status.stop_unknown.as_deref(),
                stop_not_kept: status.stop_not_kept.as_deref(),
            },
            kernel: Kernel::new(),
            dead_tasks: status.dead_tasks.iter().map(|(name, why)| DeadTask { name, why }).collect(),
            log: Log { lost_records: status.log.lost(), error: status.log.last_error() },
            trusted_owner: Trust::of_process().extra().map(|owner| owner.to_string()),
            version: env!("CARGO_PKG_VERSION"),
            uptime_s: status.started_mark.elapsed().as_secs(),
        };
        Self { success: true, scheduler_status }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
struct Target<'a> {
    name: &'a str,
    /// Directory, as the config writes it.
    path: &'a str,
    schedule: &'a str,
    timezone: &'a str,
    /// Local time.
    next_run: Option<String>,
    /// `scheduled`, `queued`, `running`, `paused`, `disabled` or `unreachable`.
    state: &'static str,
    running: Option<Running<'a>>,
    last_run: Option<Run<'a>>,
    /// The limits that it is over, each in words, by the last run that told; empty when it is within them.
    over_limits: Vec<String>,
    /// Number of times at which the target was due while a sweep of it was still at work.
    skipped_ticks: u64,
}

/// A page of targets.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::admin) struct Targets<'a> {
    pub(in crate::admin) success: bool,
    pub(in crate::admin) targets: Vec<TargetDetail<'a>>,
    /// To be given as `after` for those that come next; null when there are none.
    pub(in crate::admin) next: Option<&'a str>,
}

/// One target.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::admin) struct OneTarget<'a> {
    pub(in crate::admin) success: bool,
    pub(in crate::admin) target: TargetDetail<'a>,
}

/// A target with its policy.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::admin) struct TargetDetail<'a> {
    #[serde(flatten)]
    target: Target<'a>,
    enabled: bool,
    dry_run: bool,
    /// `delete`, `trash` or `move:/dir`.
    action: String,
    /// The policy in one sentence.
    policy: String,
    /// Remarks on the target, those on its safety among them.
    remarks: Vec<String>,
    /// File system of the target; null when it does not answer.
    disk: Option<Disk>,
    /// Held run of the target.
    hold: Option<Waiting<'a>>,
}

/// Space of a file system.
#[derive(Clone, Copy, Debug, Serialize, JsonSchema)]
pub(in crate::admin) struct Disk {
    pub(in crate::admin) total_bytes: u64,
    /// Bytes that `df` calls available.
    pub(in crate::admin) available_bytes: u64,
    /// The watermark (`min_free`).
    pub(in crate::admin) min_free_bytes: Option<u64>,
}

impl Disk {
    /// Returns the space of a target's file system.
    pub(in crate::admin) fn new(target: &InForce, space: Space) -> Self {
        let min_free_bytes = target.policy.min_free.map(|limit| limit.of(space.total));
        Self { total_bytes: space.total, available_bytes: space.free, min_free_bytes }
    }
}

impl<'a> TargetDetail<'a> {
    pub(in crate::admin) fn new(
        status: &'a TargetStatus,
        target: &InForce,
        (policy, remarks): (String, Vec<String>),
        disk: Option<Disk>,
        hold: Option<&'a Hold>,
        zone: &TimeZone,
    ) -> Self {
        let action = match &target.action {
            Action::Delete => "delete".to_owned(),
            Action::Trash => "trash".to_owned(),
            Action::MoveTo(to) => format!("move:{}", shown(to)),
        };
        Self {
            target: Target::new(status, zone),
            enabled: target.enabled,
            dry_run: target.dry_run,
            action,
            policy,
            remarks,
            disk,
            hold: hold.map(|hold| Waiting::new(hold, zone)),
        }
    }
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
            over_limits: target.last_measured.as_deref().map(Report::over_limits).unwrap_or_default(),
            skipped_ticks: target.skipped_ticks,
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
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

#[derive(Debug, Serialize, JsonSchema)]
struct Config<'a> {
    path: Option<String>,
    generation: u64,
    in_force_since: String,
    rejection: Option<Rejected<'a>>,
    needs_restart: &'a [String],
    not_applied: &'a [String],
}

#[derive(Debug, Serialize, JsonSchema)]
struct Rejected<'a> {
    at: String,
    /// One line for each problem.
    problems: &'a [String],
    /// The same for people, with each line and a caret below it.
    shown: &'a str,
}

impl<'a> Config<'a> {
    fn new(config: &'a ConfigStatus, zone: &TimeZone) -> Self {
        let rejected =
            |Rejection { at, problems, shown }: &'a Rejection| Rejected { at: rfc3339(*at, zone), problems, shown };
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

#[derive(Debug, Serialize, JsonSchema)]
struct State<'a> {
    /// Why nothing is remembered at the moment.
    error: Option<String>,
    /// Why it is not known what was stopped. Then the schedule is.
    stop_unknown: Option<&'a str>,
    /// Why it is not written down what is stopped. A restart forgets it then.
    stop_not_kept: Option<&'a str>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Kernel {
    /// How directories are opened below a target: `openat2` or `openat`.
    opening: &'static str,
    /// Why no sweep has a sandbox, where that is known beforehand.
    sandbox_problem: Option<String>,
}

impl Kernel {
    fn new() -> Self {
        Self { opening: opening().word(), sandbox_problem: unconfinable() }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
struct DeadTask<'a> {
    name: &'a str,
    why: &'a str,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Log {
    lost_records: u64,
    error: Option<String>,
}
