//! A supervisor for tests of the frontends: it answers as told, on a thread of its own.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::handle::{AtWork, Command, Handle, InForce, ManualRuns, Refusal, Reloaded, Switched};
use super::status::Status;
use crate::protected::Protected;
use crate::sweep::Guards;

/// Behaviour of a test's supervisor.
pub(crate) trait Supervisor: Send + 'static {
    fn manual(&mut self, target: Option<String>, dry_run: bool) -> Result<ManualRuns, Refusal>;
    fn start(&mut self, target: Option<String>) -> Result<Switched, Refusal>;
    fn stop(&mut self, target: Option<String>, at_work: AtWork) -> Result<Switched, Refusal>;
    fn reload(&mut self) -> Result<Reloaded, Refusal>;
}

/// Returns a handle on `supervisor`, which works until the last clone of the handle is dropped, and the sender that
/// publishes the status.
pub(crate) fn handle(status: Status, mut supervisor: impl Supervisor) -> (Handle, watch::Sender<Arc<Status>>) {
    let (commands, mut told) = mpsc::channel(16);
    let (publish, status) = watch::channel(Arc::new(status));
    std::thread::spawn(move || {
        // An answer is lost when the caller has gone.
        while let Some(command) = told.blocking_recv() {
            match command {
                Command::Manual { target, dry_run, answer } => drop(answer.send(supervisor.manual(target, dry_run))),
                Command::Start { target, answer } => {
                    drop(answer.send(supervisor.start(target).map(|switched| (switched, Ok(())))))
                }
                Command::Stop { target, at_work, answer } => {
                    drop(answer.send(supervisor.stop(target, at_work).map(|switched| (switched, Ok(())))))
                }
                Command::Release { which, answer } => drop(answer.send(Err(Refusal::NotHeld(which)))),
                Command::InForce { answer } => {
                    let protected = Arc::new(Protected::default());
                    drop(answer.send(Ok(InForce { targets: Vec::new(), sharing: Default::default(), protected })));
                }
                Command::Guards { answer, .. } => drop(answer.send(Ok(Guards::default()))),
                Command::Task { .. } => {}
                Command::Reload { answer } => drop(answer.send(supervisor.reload())),
            }
        }
    });
    (Handle { commands, status }, publish)
}
