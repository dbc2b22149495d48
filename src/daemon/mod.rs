//! The long-lived part: tokio and async begin here.
//!
//! One task, the supervisor, owns all scheduling state. Others hold a [`Handle`]: they send it messages, or read the
//! [`Status`] it publishes. Sweeps run on threads of their own, one for each; the config is watched and read by a task
//! that hands on what it read.

mod apply;
mod commands;
#[cfg(test)]
pub(crate) mod fake;
mod handle;
mod memory;
mod news;
mod reload;
mod resume;
mod runs;
mod signals;
mod status;
mod supervisor;
mod surface;
#[cfg(test)]
mod tests;
mod watch;

pub use handle::{AtWork, Busy, Handle, InForce, ManualRuns, Refusal, Reloaded, StartedRun, Switched};
pub use news::News;
pub use reload::Source;
pub use runs::{Sweeper, sweeper};
pub use status::{ConfigStatus, Rejection, RunningStatus, Status, TargetState, TargetStatus};
pub use supervisor::{Daemon, Start, Stopped};
pub use surface::{Applied, LogHealth, Surface};
