//! The long-running part of the program; tokio and async code are used only from here on.
//!
//! The supervisor owns all scheduling state. It is pure: it takes events and returns effects. The shell around it is
//! one task, which waits for events and carries out effects. Other parts of the process hold a [`Handle`], with which
//! they send commands and read the published [`Status`]. Each sweep runs on a thread of its own. A separate task
//! watches and reads the config, passes on each reading, and is restarted when it dies.

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
