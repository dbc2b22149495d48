//! What happens in the daemon, as its doors are told of it, in the order in which it happens.

use std::sync::Arc;

use super::handle::Reloaded;
use super::status::Rejection;
use crate::names::{RunId, TargetName};
use crate::report::Report;
use crate::sweep::Order;

/// One thing that happened.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// A run has begun to work; what waits for a thread has not.
    RunStarted(&'a Order),
    /// A run has ended, or was cancelled before it began.
    RunFinished(&'a Arc<Report>),
    /// The config was read and is in force.
    Reloaded(&'a Reloaded),
    /// The config was read and is not put in force.
    Rejected(&'a Rejection),
    /// The schedule was started or stopped: that of one target, or of all.
    Switched {
        /// The target; all of them without one.
        target: Option<&'a TargetName>,
        /// Whether it runs now.
        is_running: bool,
    },
    /// A held run was released.
    Released {
        /// The run.
        run: &'a RunId,
        /// Its target.
        target: &'a TargetName,
    },
}
