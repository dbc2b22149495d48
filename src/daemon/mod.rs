//! The long-lived part: tokio and async begin here.
//!
//! One object, the supervisor, owns all scheduling state. It is pure: it takes events and gives back effects. The shell
//! around it is one task, which waits for events and carries effects out. Others hold a [`Handle`]: they send it messages,
//! or read the [`Status`] it publishes. Sweeps run on threads of their own, one for each; the config is watched and read by
//! a task that hands on what it read, and is started anew when it dies.

mod apply;
mod commands;
#[cfg(test)]
pub(crate) mod fake;
mod handle;
mod memory;
mod news;
mod reader;
mod reload;
mod resume;
mod runs;
mod shell;
mod signals;
#[cfg(test)]
mod simulation;
mod status;
mod supervisor;
mod surface;
mod sweeps;
#[cfg(test)]
mod tests;
mod watch;
mod word;
mod worker;

pub use handle::{AtWork, Busy, Handle, InForce, Kept, ManualRuns, Refusal, Release, Reloaded, StartedRun, Switched};
pub use memory::guards_of;
pub use news::News;
pub use reload::Source;
pub use shell::{Daemon, Start, Stopped};
pub use signals::Signals;
pub use status::{ConfigStatus, Rejection, RunningStatus, Status, TargetState, TargetStatus};
pub use surface::{Applied, LogHealth, Surface};
pub use sweeps::{Sweeper, sweeper};
