//! The long-lived part: tokio and async begin here.
//!
//! One task, the supervisor, owns all scheduling state. Others hold a [`Handle`]: they send it messages, or read the
//! [`Status`] it publishes.

mod handle;
mod status;
mod surface;

pub use handle::{Busy, Handle, ManualRuns, Refusal, Reloaded, StartedRun, Switched};
pub use status::{ConfigStatus, Rejection, RunningStatus, Status, TargetState, TargetStatus};
pub use surface::{LogHealth, Surface};
