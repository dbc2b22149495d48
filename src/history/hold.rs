//! Runs that are held.

use std::sync::Arc;

use jiff::Timestamp;

use crate::names::{RunId, TargetName};
use crate::report::{Guard, Held, Outcome, Report};

/// A run that was held, and waits to be released.
#[derive(Clone, Debug, PartialEq)]
pub struct Hold {
    /// The run.
    pub run: RunId,
    /// Its target.
    pub target: TargetName,
    /// When it was held.
    pub at: Timestamp,
    /// By which guard, and what it would have taken.
    pub held: Held,
    /// Why, in words.
    pub why: String,
    /// The whole of what is known of the run.
    pub report: Arc<Report>,
}

impl Hold {
    /// What a run is held by, if it is held and can be released.
    #[must_use]
    pub fn of(report: &Report) -> Option<Self> {
        let held = report.held.filter(|_| report.outcome == Outcome::Held)?;
        let why = report.message.clone().unwrap_or_default();
        let report = Arc::new(report.clone());
        Some(Self { run: report.run.clone(), target: report.target.clone(), at: report.started, held, why, report })
    }

    /// Returns whether a later run of the target was held by the same cause, so that this hold stays: by the same guard,
    /// and where files are counted not by many more than a release would let go.
    #[must_use]
    pub fn is_confirmed_by(&self, later: &Self) -> bool {
        let guard = self.held.guard;
        let is_same_cause = match guard {
            Guard::MaxDeletes => later.held.files.unwrap_or(u64::MAX) <= self.held.released_files().unwrap_or(0),
            Guard::Require | Guard::Root => later.why == self.why,
            // The words tell the time.
            Guard::Clock => true,
        };
        later.held.guard == guard && is_same_cause
    }
}
