//! What the daemon says of itself: an immutable snapshot, published whole after each change.

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

/// The published snapshot.
#[derive(Clone, Debug)]
pub struct Status {
    /// When the daemon started.
    pub started: Timestamp,
    /// The same on the clock that is never set.
    pub started_mark: Mark,
    /// The zone in which times are shown.
    pub zone: TimeZone,
    /// Whether the schedule runs: it was not stopped.
    pub is_running: bool,
    /// Whether the daemon is shutting down.
    pub shutting_down: bool,
    /// Every target of the config in force, in its order.
    pub targets: Vec<TargetStatus>,
    /// About the config.
    pub config: ConfigStatus,
    /// About the log.
    pub log: Arc<LogHealth>,
    /// About what is remembered.
    pub state: Arc<StateHealth>,
    /// Runs that were held, and wait to be released.
    pub holds: Vec<Hold>,
    /// Why the wall clock cannot be trusted; `None` when it can.
    pub clock: Option<String>,
    /// Why it is not known what was stopped, so that everything is; `None` when it is known.
    pub stop_unknown: Option<String>,
    /// Why it is not written down what is stopped; `None` when it is.
    pub stop_not_kept: Option<String>,
    /// The tasks of the daemon that are dead, and why.
    pub dead_tasks: BTreeMap<&'static str, String>,
}

impl Status {
    /// The picture of the supervisor as it is now.
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

    /// The earliest next run of any target; `None` while nothing is scheduled.
    #[must_use]
    pub fn next_run(&self) -> Option<Timestamp> {
        self.targets.iter().filter_map(|target| target.next_run).min()
    }

    /// The number of enabled targets.
    #[must_use]
    pub fn total_jobs(&self) -> usize {
        self.targets.iter().filter(|target| target.enabled).count()
    }
}

/// One target in the snapshot.
#[derive(Clone, Debug)]
pub struct TargetStatus {
    /// Its name.
    pub name: TargetName,
    /// Its directory, as the config writes it.
    pub written_path: String,
    /// Its schedule, as the config writes it.
    pub schedule: String,
    /// The name of the zone the schedule is meant in.
    pub zone_name: String,
    /// Whether it is enabled.
    pub enabled: bool,
    /// When it is swept next; `None` while it is paused or disabled.
    pub next_run: Option<Timestamp>,
    /// Whether its schedule is stopped.
    pub is_paused: bool,
    /// What it is doing.
    pub state: TargetState,
    /// The sweep that is at work.
    pub running: Option<RunningStatus>,
    /// The last sweep that ended.
    pub last_run: Option<Arc<Report>>,
    /// The last sweep that tells how it stands to its limits.
    pub last_measured: Option<Arc<Report>>,
    /// When a run of it that was a success ended last.
    pub last_success: Option<Timestamp>,
    /// When it was last due, or made up for that; `None` when that is not known.
    pub last_due: Option<Timestamp>,
    /// How many times it was due while a sweep of it was still at work.
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

/// What a target is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TargetState {
    /// Waiting for its next run.
    Scheduled,
    /// Waiting for a free thread.
    Queued,
    /// Being swept.
    Running,
    /// Its schedule is stopped; a manual run still works.
    Paused,
    /// Waiting for its next run, and its file system does not answer.
    Unreachable,
    /// `enabled = false`.
    Disabled,
}

impl TargetState {
    /// The word for it in JSON and on the command line.
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
    /// Its id.
    pub run: RunId,
    /// When it began.
    pub started: Timestamp,
    /// What it has counted so far.
    pub progress: Arc<Progress>,
}

/// About the config.
#[derive(Clone, Debug)]
pub struct ConfigStatus {
    /// The file; `None` when there is none and the built-in target stands in.
    pub path: Option<PathBuf>,
    /// Counts the configs that were put in force, from 1.
    pub generation: u64,
    /// Since when the config in force is in force.
    pub in_force_since: Timestamp,
    /// The newest text, if it was refused; `None` when what is on disk is in force.
    pub rejection: Option<Rejection>,
    /// Settings that differ from those in force and wait for a restart, such as `admin.listen`.
    pub needs_restart: Vec<String>,
    /// Settings that could not be applied and why, such as a log file that cannot be opened.
    pub not_applied: Vec<String>,
}

/// Why a config was not put in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// When it was refused.
    pub at: Timestamp,
    /// One line per problem: `config/janitor.toml:7:1: unknown key …`.
    pub problems: Vec<String>,
    /// The same for people, with each line and a caret below it; long ones are cut.
    pub shown: String,
}
