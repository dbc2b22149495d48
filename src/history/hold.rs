//! Runs that are held.

use std::sync::Arc;

use jiff::Timestamp;

use crate::names::{RunId, TargetName};
use crate::report::{Guard, Held, Outcome, Report};

/// A run that was held, and waits to be released.
#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    /// Id of the run.
    pub run: RunId,
    /// Target of the run.
    pub target: TargetName,
    /// Time at which the run that was held started.
    pub at: Timestamp,
    /// Guard that held the run, and what the run would have taken.
    pub held: Held,
    /// Reason for which the run was held, in words.
    pub why: String,
    /// Whole report of the run.
    pub report: Arc<Report>,
}

impl Hold {
    /// Returns the hold of a run, if the run is held and can be released.
    #[must_use]
    pub fn of(report: &Report) -> Option<Self> {
        let held = report.held.filter(|_| report.outcome == Outcome::Held)?;
        let why = report.message.clone().unwrap_or_default();
        let report = Arc::new(report.clone());
        Some(Self { run: report.run.clone(), target: report.target.clone(), at: report.started, held, why, report })
    }

    /// Returns whether a later run of the target was held by the same cause, so that this hold stays. The cause is the
    /// same when the guard is the same and, where files are counted, there are not many more of them than a release
    /// would let go.
    #[must_use]
    pub fn is_confirmed_by(&self, later: &Self) -> bool {
        let guard = self.held.guard;
        let is_same_cause = match guard {
            Guard::MaxDeletes => later.held.files.unwrap_or(u64::MAX) <= self.held.released_files().unwrap_or(0),
            Guard::Require | Guard::Root => later.why == self.why,
            // The words tell the time, and differ.
            Guard::Clock => true,
        };
        later.held.guard == guard && is_same_cause
    }
}
