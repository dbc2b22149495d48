//! The handle by which the rest of the process talks to the supervisor.

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot, watch};

use super::status::{Rejection, Status};
use crate::config::Sharing;
use crate::names::{RunId, TargetName};
use crate::protected::Protected;
use crate::report::Report;
use crate::sweep::Guards;
use crate::target::Target;

/// Talks to the supervisor. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) status: watch::Receiver<Arc<Status>>,
}

/// What the supervisor can be told.
#[derive(Debug)]
pub(super) enum Command {
    Manual { target: Option<String>, dry_run: bool, answer: oneshot::Sender<Result<ManualRuns, Refusal>> },
    Start { target: Option<String>, answer: oneshot::Sender<Result<Switched, Refusal>> },
    Stop { target: Option<String>, at_work: AtWork, answer: oneshot::Sender<Result<Switched, Refusal>> },
    Reload { answer: oneshot::Sender<Result<Reloaded, Refusal>> },
    Release { run: RunId, answer: oneshot::Sender<Result<StartedRun, Refusal>> },
    InForce { answer: oneshot::Sender<Result<InForce, Refusal>> },
    Guards { target: TargetName, answer: oneshot::Sender<Result<Guards, Refusal>> },
}

/// Why the supervisor did not do what it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No target has this name.
    UnknownTarget(String),
    /// No held run has this id: it was released already, or a later run took its place.
    NotHeld(RunId),
    /// The target is not enabled.
    Disabled(TargetName),
    /// A sweep of it is at work, or waits for a thread: every target that was asked for.
    Running(Vec<Busy>),
    /// The config on disk is not one that can be put in force.
    Rejected(Rejection),
    /// The daemon is shutting down.
    ShuttingDown,
}

/// A target that is being swept already.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Busy {
    /// The target.
    pub target: TargetName,
    /// The run that is at work.
    pub run: RunId,
}

/// The runs that a manual request set off.
#[derive(Debug)]
pub struct ManualRuns {
    /// Those that began, in the order of the config.
    pub started: Vec<StartedRun>,
    /// Targets that were asked for together with others and are being swept already.
    pub busy: Vec<Busy>,
}

/// A run that began.
#[derive(Debug)]
pub struct StartedRun {
    /// Its id.
    pub run: RunId,
    /// Its target.
    pub target: TargetName,
    /// Its report, once it has ended.
    pub done: oneshot::Receiver<Arc<Report>>,
}

/// What becomes of the sweeps at work when the schedule is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AtWork {
    /// They go on to their end.
    GoesOn,
    /// They stop before their next file.
    Stops,
}

/// What a start or a stop changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Switched {
    /// It is now as asked.
    Changed,
    /// It was like that already.
    Already,
}

/// What a reload changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Reloaded {
    /// The generation in force now.
    pub generation: u64,
    /// Targets that are new.
    pub added: usize,
    /// Targets whose policy or schedule changed.
    pub changed: usize,
    /// Targets that are gone.
    pub removed: usize,
    /// Whether anything differed at all.
    pub any_change: bool,
}

/// What a config in force says of targets.
#[derive(Clone, Debug)]
pub struct InForce {
    /// All of them, in the order of the config.
    pub targets: Vec<Arc<Target>>,
    /// Those that have their directory in common with others.
    pub sharing: Sharing,
    /// What none of them may be.
    pub protected: Arc<Protected>,
}

impl Handle {
    /// The newest snapshot.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        self.status.borrow().clone()
    }

    /// Returns when the daemon begins to shut down, or is gone.
    pub async fn shutdown_begun(&self) {
        let mut status = self.status.clone();
        // An error means that the publisher is gone, which is the end too.
        drop(status.wait_for(|status| status.shutting_down).await);
    }

    /// Whether the supervisor is still there to be told anything.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !self.commands.is_closed()
    }

    /// Sets off a sweep of one target, or of every enabled one.
    ///
    /// # Errors
    /// [`Refusal::UnknownTarget`], [`Refusal::Disabled`], [`Refusal::Running`] when every target asked for is being
    /// swept already, [`Refusal::ShuttingDown`].
    pub async fn manual(&self, target: Option<String>, dry_run: bool) -> Result<ManualRuns, Refusal> {
        self.ask(|answer| Command::Manual { target, dry_run, answer }).await
    }

    /// Starts the schedule, of one target or of all.
    ///
    /// # Errors
    /// [`Refusal::UnknownTarget`], [`Refusal::Disabled`], [`Refusal::ShuttingDown`].
    pub async fn start(&self, target: Option<String>) -> Result<Switched, Refusal> {
        self.ask(|answer| Command::Start { target, answer }).await
    }

    /// Stops the schedule, of one target or of all; and what is being swept, if that is asked for.
    ///
    /// # Errors
    /// As [`Handle::start`].
    pub async fn stop(&self, target: Option<String>, at_work: AtWork) -> Result<Switched, Refusal> {
        self.ask(|answer| Command::Stop { target, at_work, answer }).await
    }

    /// Reads the config again, now.
    ///
    /// # Errors
    /// [`Refusal::Rejected`] when it cannot be put in force, [`Refusal::ShuttingDown`].
    pub async fn reload(&self) -> Result<Reloaded, Refusal> {
        self.ask(|answer| Command::Reload { answer }).await
    }

    /// Releases a held run: its target is swept once without the guard that held it.
    ///
    /// # Errors
    /// [`Refusal::NotHeld`], [`Refusal::UnknownTarget`] or [`Refusal::Disabled`] when its target is not there any more,
    /// [`Refusal::Running`], [`Refusal::ShuttingDown`].
    pub async fn release(&self, run: RunId) -> Result<StartedRun, Refusal> {
        self.ask(|answer| Command::Release { run, answer }).await
    }

    /// The targets of the config in force.
    ///
    /// # Errors
    /// [`Refusal::ShuttingDown`].
    pub async fn in_force(&self) -> Result<InForce, Refusal> {
        self.ask(|answer| Command::InForce { answer }).await
    }

    /// What the next run of a target would be held by.
    ///
    /// # Errors
    /// [`Refusal::ShuttingDown`].
    pub async fn guards(&self, target: TargetName) -> Result<Guards, Refusal> {
        self.ask(|answer| Command::Guards { target, answer }).await
    }

    async fn ask<T>(&self, command: impl FnOnce(oneshot::Sender<Result<T, Refusal>>) -> Command) -> Result<T, Refusal> {
        let (answer, answered) = oneshot::channel();
        // A supervisor that is gone, or that goes before it answers, is one that shuts down.
        self.commands.send(command(answer)).await.map_err(|_| Refusal::ShuttingDown)?;
        answered.await.map_err(|_| Refusal::ShuttingDown)?
    }
}
