//! Status of the daemon: an immutable snapshot, published whole after each change.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::supervisor::Supervisor;
use super::surface::LogHealth;
use crate::clock::Mark;
use crate::fsys;
use crate::history::{Hold, StateHealth};
use crate::names::{RunId, TargetName};
use crate::report::Report;
use crate::sweep::Progress;
use crate::target::Target;

/// Published snapshot of the daemon's state.
#[derive(Clone, Debug)]
pub struct Status {
    /// Time at which the daemon started.
    pub started: Timestamp,
    /// The same time on the monotonic clock.
    pub started_mark: Mark,
    /// Time zone in which times are shown.
    pub zone: TimeZone,
    /// Whether the schedule runs, that is, was not stopped.
    pub is_running: bool,
    /// Whether the daemon is shutting down.
    pub shutting_down: bool,
    /// Every target of the config in force, in the order of the config.
    pub targets: Vec<TargetStatus>,
    /// Status of the config.
    pub config: ConfigStatus,
    /// Health of the log.
    pub log: Arc<LogHealth>,
    /// Health of the persisted state.
    pub state: Arc<StateHealth>,
    /// Held runs that wait for release.
    pub holds: Vec<Hold>,
    /// Reason why the wall clock cannot be trusted; `None` when it can.
    pub clock: Option<String>,
    /// Reason why the stopped schedules are unknown, so that all are stopped; `None` when they are known.
    pub stop_unknown: Option<String>,
    /// Reason why the stopped schedules are not persisted; `None` when they are.
    pub stop_not_kept: Option<String>,
    /// Tasks of the daemon that are dead, with the reason for each.
    pub dead_tasks: BTreeMap<&'static str, String>,
}

impl Status {
    /// Takes a snapshot of the supervisor.
    pub(super) fn of(supervisor: &Supervisor) -> Self {
        let (started, started_mark) = supervisor.started;
        let config = &supervisor.config;
        Self {
            started,
            started_mark,
            zone: config.settings.zone.tz.clone(),
            is_running: !supervisor.stopped,
            shutting_down: supervisor.shutting_down,
            targets: config.targets.iter().map(|target| TargetStatus::of(supervisor, target)).collect(),
            config: supervisor.about_config.clone(),
            log: supervisor.log.clone(),
            state: supervisor.health.clone(),
            holds: supervisor.memory.holds().cloned().collect(),
            clock: supervisor.memory.clock_problem(supervisor.now),
            stop_unknown: supervisor.word.unknown.clone(),
            stop_not_kept: supervisor.word.not_kept.clone(),
            dead_tasks: supervisor.dead_tasks.clone(),
        }
    }

    /// Returns the earliest next run of any target; `None` while nothing is scheduled.
    #[must_use]
    pub fn next_run(&self) -> Option<Timestamp> {
        self.targets.iter().filter_map(|target| target.next_run).min()
    }

    /// Returns the number of enabled targets.
    #[must_use]
    pub fn total_jobs(&self) -> usize {
        self.targets.iter().filter(|target| target.enabled).count()
    }
}

/// Status of one target.
#[derive(Clone, Debug)]
pub struct TargetStatus {
    /// Name of the target.
    pub name: TargetName,
    /// Directory of the target, as written in the config.
    pub written_path: String,
    /// Schedule of the target, as written in the config.
    pub schedule: String,
    /// Name of the time zone of the schedule.
    pub zone_name: String,
    /// Whether the target is enabled.
    pub enabled: bool,
    /// Time of the next run; `None` while the target is paused or disabled.
    pub next_run: Option<Timestamp>,
    /// Whether the schedule of the target is stopped.
    pub is_paused: bool,
    /// Current state of the target.
    pub state: TargetState,
    /// Sweep at work on the target.
    pub running: Option<RunningStatus>,
    /// Report of the last sweep that ended.
    pub last_run: Option<Arc<Report>>,
    /// Report of the last sweep that measured the target against its limits.
    pub last_measured: Option<Arc<Report>>,
    /// Time at which the last successful run ended.
    pub last_success: Option<Timestamp>,
    /// Time at which the target was last due or caught up; `None` when that is not known.
    pub last_due: Option<Timestamp>,
    /// Number of times the target was due while a sweep of it was still at work.
    pub skipped_ticks: u64,
}

impl TargetStatus {
    fn of(supervisor: &Supervisor, target: &Target) -> Self {
        let name = &target.name;
        let active = supervisor.runs.active(name);
        let state = if active.is_some() {
            TargetState::Running
        } else if supervisor.runs.queued(name).is_some() {
            TargetState::Queued
        } else if !target.enabled {
            TargetState::Disabled
        } else if supervisor.paused.contains(name) {
            TargetState::Paused
        } else if fsys::is_unreachable(&target.path) {
            TargetState::Unreachable
        } else {
            TargetState::Scheduled
        };
        Self {
            name: name.clone(),
            written_path: target.written_path.clone(),
            schedule: target.schedule.text().to_owned(),
            zone_name: target.zone.name.clone(),
            enabled: target.enabled,
            next_run: supervisor.agenda.next_of(name),
            is_paused: supervisor.paused.contains(name),
            state,
            running: active.map(|active| RunningStatus {
                run: active.order.run.clone(),
                started: active.order.now,
                progress: active.control.progress.clone(),
            }),
            last_run: supervisor.last_runs.get(name).cloned(),
            last_measured: supervisor.last_measured.get(name).cloned(),
            last_success: supervisor.last_successes.get(name).copied(),
            last_due: supervisor.last_due.get(name).copied(),
            skipped_ticks: supervisor.skipped_ticks.get(name).copied().unwrap_or_default(),
        }
    }
}

/// State of a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetState {
    /// The target waits for its next run.
    Scheduled,
    /// A run waits for a free thread.
    Queued,
    /// The target is being swept.
    Running,
    /// The schedule of the target is stopped; a manual run still works.
    Paused,
    /// The target waits for its next run, and its file system does not answer.
    Unreachable,
    /// The target has `enabled = false`.
    Disabled,
}

impl TargetState {
    /// Returns the name of the state in JSON and on the command line.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Queued => "queued",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Unreachable => "unreachable",
            Self::Disabled => "disabled",
        }
    }
}

/// A sweep at work.
#[derive(Clone, Debug)]
pub struct RunningStatus {
    /// Id of the run.
    pub run: RunId,
    /// Time at which the sweep began.
    pub started: Timestamp,
    /// Counts of the sweep so far.
    pub progress: Arc<Progress>,
}

/// Status of the config.
#[derive(Clone, Debug)]
pub struct ConfigStatus {
    /// Path of the config file; `None` when there is no file and the built-in target stands in.
    pub path: Option<PathBuf>,
    /// Generation of the config in force: from 1, and one more with each reload that changed something.
    pub generation: u64,
    /// Time since which the config is in force.
    pub in_force_since: Timestamp,
    /// Rejection of the newest text; `None` when the config on disk is in force.
    pub rejection: Option<Rejection>,
    /// Settings that differ from those in force and wait for a restart, such as `admin.listen`.
    pub needs_restart: Vec<String>,
    /// Settings that could not be applied, with the reason, such as a log file that cannot be opened.
    pub not_applied: Vec<String>,
}

/// Reason why a config was not put in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Time of the rejection.
    pub at: Timestamp,
    /// Problems found, one line each: `config/janitor.toml:7:1: unknown key …`.
    pub problems: Vec<String>,
    /// Problems formatted for people, with each line and a caret below it; long texts are cut.
    pub shown: String,
}
