//! The handle by which the rest of the process talks to the supervisor.

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

/// Talks to the supervisor. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Handle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) status: watch::Receiver<Arc<Status>>,
}

/// What the supervisor can be told.
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
    /// A task that is not the supervisor's died, or is back.
    Task {
        name: &'static str,
        dead: Option<String>,
    },
}

/// Why the supervisor did not do what it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// No target has this name.
    UnknownTarget(String),
    /// Nothing is held there: it was released already, or a later run took the place of this one.
    NotHeld(Release),
    /// The target is not enabled.
    Disabled(TargetName),
    /// A sweep of it is at work, or waits for a thread: every target that was asked for.
    Running(Vec<Busy>),
    /// The config on disk is not one that can be put in force.
    Rejected(Rejection),
    /// The config is still being read: a file system does not answer.
    Late,
    /// The daemon is shutting down.
    ShuttingDown,
    /// What was to answer has died, and is started anew.
    Died,
}

/// What is to be released.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Release {
    /// The held run of this id.
    Run(RunId),
    /// The held run of the target of this name.
    Target(String),
}

/// Whether the operator's word is written down, so that it survives the daemon; why not, in words.
pub type Kept = Result<(), String>;

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

    /// Starts the schedule, of one target or of all. Answers once that is written down, or cannot be.
    ///
    /// # Errors
    /// [`Refusal::UnknownTarget`], [`Refusal::Disabled`], [`Refusal::ShuttingDown`].
    pub async fn start(&self, target: Option<String>) -> Result<(Switched, Kept), Refusal> {
        self.ask(|answer| Command::Start { target, answer }).await
    }

    /// Stops the schedule, of one target or of all; and what is being swept, if that is asked for.
    ///
    /// # Errors
    /// As [`Handle::start`].
    pub async fn stop(&self, target: Option<String>, at_work: AtWork) -> Result<(Switched, Kept), Refusal> {
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
    pub async fn release(&self, which: Release) -> Result<StartedRun, Refusal> {
        self.ask(|answer| Command::Release { which, answer }).await
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
        answered.await.map_err(|_| if self.is_alive() { Refusal::Died } else { Refusal::ShuttingDown })?
    }

    /// Tells that a task that is not the supervisor's died: why; or that it is back.
    pub async fn note_task(&self, name: &'static str, dead: Option<String>) {
        // A supervisor that is gone need not know.
        drop(self.commands.send(Command::Task { name, dead }).await);
    }
}
