//! Handle with which the rest of the process talks to the supervisor.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::status::{Rejection, Status};
use super::word::SwitchAnswer;
use crate::config::Sharing;
use crate::names::{RunId, TargetName};
use crate::protected::Protected;
use crate::report::Report;
use crate::sweep::Guards;
use crate::target::Target;

/// Handle to the supervisor. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) status: watch::Receiver<Arc<Status>>,
}

/// Commands to the supervisor.
#[derive(Debug)]
pub(super) enum Command {
    Manual {
        target: Option<String>,
        dry_run: bool,
        answer: oneshot::Sender<Result<ManualRuns, Refusal>>,
    },
    Start {
        target: Option<String>,
        answer: SwitchAnswer,
    },
    Stop {
        target: Option<String>,
        at_work: AtWork,
        answer: SwitchAnswer,
    },
    Reload {
        answer: oneshot::Sender<Result<Reloaded, Refusal>>,
    },
    Release {
        which: Release,
        answer: oneshot::Sender<Result<StartedRun, Refusal>>,
    },
    InForce {
        answer: oneshot::Sender<Result<InForce, Refusal>>,
    },
    Guards {
        target: TargetName,
        answer: oneshot::Sender<Result<Guards, Refusal>>,
    },
    /// Report that a task other than the supervisor's died, or is back.
    Task {
        name: &'static str,
        dead: Option<String>,
    },
}

/// Reason why the supervisor refused a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No target has this name.
    UnknownTarget(String),
    /// No run is held there: it was released already, or a later held run has replaced this one.
    NotHeld(Release),
    /// The target is not enabled.
    Disabled(TargetName),
    /// Sweeps of all requested targets are at work already, or wait for a thread.
    Running(Vec<Busy>),
    /// The config on disk cannot be put in force.
    Rejected(Rejection),
    /// The config is still being read: a file system does not answer.
    Late,
    /// The daemon is shutting down.
    ShuttingDown,
    /// The task that was to answer has died, and is being restarted.
    Died,
}

/// Held run to release.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Release {
    /// Id of the held run.
    Run(RunId),
    /// Name of the target whose held run is meant.
    Target(String),
}

/// Whether the operator's start or stop is persisted, so that it survives the daemon. The error is the reason in words.
pub type Kept = Result<(), String>;

/// A target that is being swept already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Busy {
    /// The target.
    pub target: TargetName,
    /// Id of the run at work.
    pub run: RunId,
}

/// Runs started by a manual request.
#[derive(Debug)]
pub struct ManualRuns {
    /// Runs that were started, in the order of the config.
    pub started: Vec<StartedRun>,
    /// Targets of a request for several that are being swept already.
    pub busy: Vec<Busy>,
}

/// A run that was started.
#[derive(Debug)]
pub struct StartedRun {
    /// Id of the run.
    pub run: RunId,
    /// Target of the run.
    pub target: TargetName,
    /// Receiver of the report, once the run has ended.
    pub done: oneshot::Receiver<Arc<Report>>,
}

/// Treatment of the sweeps at work when the schedule is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtWork {
    /// Sweeps continue to their end.
    GoesOn,
    /// Sweeps stop before their next file.
    Stops,
}

/// Result of a start or a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switched {
    /// The state was changed as requested.
    Changed,
    /// The state was as requested already.
    Already,
}

/// Changes made by a reload.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// Generation in force now.
    pub generation: u64,
    /// Number of new targets.
    pub added: usize,
    /// Number of targets whose policy or schedule changed.
    pub changed: usize,
    /// Number of targets that are gone.
    pub removed: usize,
    /// Whether anything differed at all.
    pub any_change: bool,
}

/// Targets of the config in force.
#[derive(Clone, Debug)]
pub struct InForce {
    /// All targets, in the order of the config.
    pub targets: Vec<Arc<Target>>,
    /// Targets that share their directory with others.
    pub sharing: Sharing,
    /// Paths that no target may be.
    pub protected: Arc<Protected>,
}

impl Handle {
    /// Returns the newest snapshot.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        self.status.borrow().clone()
    }

    /// Waits until the daemon begins to shut down, or is gone.
    pub async fn shutdown_begun(&self) {
        let mut status = self.status.clone();
        // An error means that the publisher is gone, which is the end, too.
        drop(status.wait_for(|status| status.shutting_down).await);
    }

    /// Returns whether the supervisor still accepts commands.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.commands.is_closed()
    }

    /// Starts a sweep of one target, or of every enabled one.
    ///
    /// # Errors
    /// [`Refusal::UnknownTarget`], [`Refusal::Disabled`], [`Refusal::Running`] when every requested target is being
    /// swept already, [`Refusal::ShuttingDown`].
    pub async fn manual(&self, target: Option<String>, dry_run: bool) -> Result<ManualRuns, Refusal> {
        self.ask(|answer| Command::Manual { target, dry_run, answer }).await
    }

    /// Starts the schedule of one target, or of all. Returns once the start is persisted, or cannot be.
    ///
    /// # Errors
    /// [`Refusal::UnknownTarget`], [`Refusal::Disabled`], [`Refusal::ShuttingDown`].
    pub async fn start(&self, target: Option<String>) -> Result<(Switched, Kept), Refusal> {
        self.ask(|answer| Command::Start { target, answer }).await
    }

    /// Stops the schedule of one target, or of all, and with [`AtWork::Stops`] also the sweeps at work. Returns once
    /// the stop is persisted, or cannot be.
    ///
    /// # Errors
    /// Same as [`Handle::start`].
    pub async fn stop(&self, target: Option<String>, at_work: AtWork) -> Result<(Switched, Kept), Refusal> {
        self.ask(|answer| Command::Stop { target, at_work, answer }).await
    }

    /// Reloads the config now.
    ///
    /// # Errors
    /// [`Refusal::Rejected`] when the config cannot be put in force, [`Refusal::Late`] when a file system does not
    /// answer, [`Refusal::Died`], [`Refusal::ShuttingDown`].
    pub async fn reload(&self) -> Result<Reloaded, Refusal> {
        self.ask(|answer| Command::Reload { answer }).await
    }

    /// Releases a held run: its target is swept once without the guard that held it.
    ///
    /// # Errors
    /// [`Refusal::NotHeld`], [`Refusal::UnknownTarget`] or [`Refusal::Disabled`] when the target is gone or not enabled
    /// any more, [`Refusal::Running`], [`Refusal::ShuttingDown`].
    pub async fn release(&self, which: Release) -> Result<StartedRun, Refusal> {
        self.ask(|answer| Command::Release { which, answer }).await
    }

    /// Returns the targets of the config in force.
    ///
    /// # Errors
    /// [`Refusal::ShuttingDown`].
    pub async fn in_force(&self) -> Result<InForce, Refusal> {
        self.ask(|answer| Command::InForce { answer }).await
    }

    /// Returns the guards of a target's next run.
    ///
    /// # Errors
    /// [`Refusal::ShuttingDown`].
    pub async fn guards(&self, target: TargetName) -> Result<Guards, Refusal> {
        self.ask(|answer| Command::Guards { target, answer }).await
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<Result<T, Refusal>>) -> Command) -> Result<T, Refusal> {
        let (answer, answered) = oneshot::channel();
        // A closed channel means that the supervisor is shutting down.
        self.commands.send(command(answer)).await.map_err(|_| Refusal::ShuttingDown)?;
        answered.await.map_err(|_| if self.is_alive() { Refusal::Died } else { Refusal::ShuttingDown })?
    }

    /// Reports that a task other than the supervisor's died, with the reason; or, with `None`, that it is back.
    pub async fn note_task(&self, name: &'static str, dead: Option<String>) {
        // A supervisor that is gone does not need the report.
        drop(self.commands.send(Command::Task { name, dead }).await);
    }
}
