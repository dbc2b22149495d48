//! Events of the daemon that are reported to its frontends, in the order in which they happen.

use std::sync::Arc;

use super::handle::Reloaded;
use super::status::Rejection;
use crate::names::{RunId, TargetName};
use crate::report::Report;
use crate::sweep::Order;

/// An event of the daemon.
#[derive(Clone, Copy, Debug)]
pub enum News<'a> {
    /// A run has begun to work. Runs that wait for a thread are not reported.
    RunStarted(&'a Order),
    /// A run has ended, or was cancelled before it began.
    RunFinished(&'a Arc<Report>),
    /// The config was read and is in force.
    Reloaded(&'a Reloaded),
    /// The config was read and is not put in force.
    Rejected(&'a Rejection),
    /// The schedule was started or stopped, of one target or of all.
    Switched {
        /// Target; `None` for all.
        target: Option<&'a TargetName>,
        /// Whether the schedule runs now.
        is_running: bool,
    },
    /// A held run was released.
    Released {
        /// Id of the run.
        run: &'a RunId,
        /// Target of the run.
        target: &'a TargetName,
    },
}
