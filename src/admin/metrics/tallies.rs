//! Counters of the daemon's events.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use prometheus_client::metrics::histogram::Histogram;

use crate::daemon::{News, Status};
use crate::names::TargetName;
use crate::report::{Outcome, Report};

/// Upper bounds of the classes of durations, in seconds.
const DURATIONS: [f64; 10] = [0.01, 0.1, 1.0, 10.0, 60.0, 300.0, 900.0, 3600.0, 10_800.0, 36_000.0];

/// Maximum number of classes of failures told apart. The classes are messages of the system, so there are not many.
const CLASSES: usize = 32;

/// Class in which further failures are counted.
const OTHER: &str = "other";

/// All outcomes, in their order.
pub(super) const OUTCOMES: [Outcome; 5] =
    [Outcome::Done, Outcome::Partial, Outcome::Held, Outcome::Cancelled, Outcome::Failed];

/// Counters of the daemon's events, and the histogram of durations.
#[derive(Debug)]
pub(in crate::admin) struct Tallies {
    counted: Mutex<Tallied>,
    durations: Histogram,
}

/// Counts since the start.
#[derive(Clone, Debug, Default)]
pub(super) struct Tallied {
    /// Counts of the targets that are in the config.
    pub(super) targets: BTreeMap<TargetName, Tally>,
    pub(super) reloads: Reloads,
    classes: BTreeSet<Arc<str>>,
}

/// Reloads of the config, by result.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Reloads {
    pub(super) applied: u64,
    pub(super) unchanged: u64,
    pub(super) rejected: u64,
}

/// Counts of one target.
#[derive(Clone, Debug, Default)]
pub(super) struct Tally {
    /// Number of runs by outcome.
    pub(super) runs: [u64; OUTCOMES.len()],
    /// Number of dry runs by outcome. Nothing else is counted of dry runs.
    pub(super) dry_runs: [u64; OUTCOMES.len()],
    pub(super) files: u64,
    pub(super) directories: u64,
    pub(super) freed: u64,
    pub(super) failures: BTreeMap<Arc<str>, u64>,
}

impl Default for Tallies {
    fn default() -> Self {
        Self { counted: Mutex::default(), durations: Histogram::new(DURATIONS) }
    }
}

impl Tallies {
    /// Counts an event of the daemon.
    pub(in crate::admin) fn tell(&self, news: News<'_>) {
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        match news {
            News::RunFinished(report) => {
                counted.add(report);
                if !report.dry_run {
                    self.durations.observe(report.took.as_secs_f64());
                }
            }
            News::Reloaded(reloaded) if reloaded.any_change => counted.reloads.applied += 1,
            News::Reloaded(_) => counted.reloads.unchanged += 1,
            News::Rejected(_) => counted.reloads.rejected += 1,
            News::RunStarted(_) | News::Switched { .. } | News::Released { .. } => {}
        }
    }

    /// Returns the durations of runs.
    pub(super) fn durations(&self) -> Histogram {
        self.durations.clone()
    }

    /// Returns the counts of the targets that there are. Other targets are forgotten, so that the counts stay small.
    pub(super) fn of(&self, status: &Status) -> Tallied {
        let known: BTreeSet<&TargetName> = status.targets.iter().map(|target| &target.name).collect();
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        counted.targets.retain(|name, _| known.contains(name));
        counted.clone()
    }
}

impl Tallied {
    fn add(&mut self, report: &Report) {
        let Self { targets, classes, .. } = self;
        let tally = targets.entry(report.target.clone()).or_default();
        if report.dry_run {
            tally.dry_runs[report.outcome as usize] += 1;
            return;
        }
        tally.runs[report.outcome as usize] += 1;
        tally.files += report.counts.deleted;
        tally.directories += report.counts.directories;
        tally.freed += report.counts.freed;
        for (class, failure) in report.failures.iter() {
            let class = match classes.get(class) {
                Some(class) => class.clone(),
                None if classes.len() < CLASSES => {
                    let class: Arc<str> = class.into();
                    classes.insert(class.clone());
                    class
                }
                None => OTHER.into(),
            };
            *tally.failures.entry(class).or_default() += failure.count;
        }
    }
}
