//! What the supervisor remembers beyond its own life, and what follows from it for the next run: held runs, roots, and
//! whether the clock can be trusted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock;
use crate::history::{Hold, Store, went_on};
use crate::names::{RunId, TargetName};
use crate::report::{Guard, KnownRoot, Report, Stalled};
use crate::sweep::Guards;
use crate::units::Span;

/// A wall clock that moves by more than this against the time since the machine was started was set.
const STEP: Duration = Duration::from_secs(24 * 60 * 60);

/// As much may a clock be adjusted back without being wrong.
const ADJUSTMENT: Duration = Duration::from_secs(60 * 60);

/// What is known of the wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct KnownClock {
    /// By how much it was ahead of the time since the machine was started when it was trusted, in nanoseconds.
    offset: Option<i128>,
    /// When the newest run began.
    newest_run: Option<Timestamp>,
}

/// By how much the wall clock is ahead of the time since the machine was started.
fn offset(now: Timestamp, since_boot: Duration) -> i128 {
    now.as_nanosecond() - i128::try_from(since_boot.as_nanos()).unwrap_or(i128::MAX)
}

impl KnownClock {
    /// Why the wall clock cannot be trusted; `None` when it can.
    fn distrust(&self, now: Timestamp, since_boot: Duration, built: Timestamp) -> Option<String> {
        if now < built {
            return Some(format!("the clock shows {now:.0}, and this janitor was built at {built:.0}"));
        }
        if let Some(newest) = self.newest_run
            && newest.duration_since(now) > jiff::SignedDuration::try_from(ADJUSTMENT).unwrap_or_default()
        {
            return Some(format!("the clock shows {now:.0}, and the newest run began at {newest:.0}"));
        }
        let moved = offset(now, since_boot) - self.offset?;
        let by = Duration::from_nanos(u64::try_from(moved.unsigned_abs()).unwrap_or(u64::MAX));
        let how = if moved > 0 { "forward" } else { "back" };
        (by > STEP).then(|| format!("the clock was set {how} by {}", Span(Duration::from_secs(by.as_secs()))))
    }
}

/// What outlives the supervisor.
#[derive(Debug)]
pub(super) struct Memory {
    pub(super) store: Store,
    holds: BTreeMap<TargetName, Hold>,
    roots: BTreeMap<TargetName, KnownRoot>,
    stalled: BTreeMap<TargetName, Stalled>,
    clock: KnownClock,
}

impl Memory {
    /// From what was remembered. A clock that nothing is known of is trusted from now on.
    pub(super) fn new(
        store: Store,
        holds: Vec<Hold>,
        roots: BTreeMap<TargetName, KnownRoot>,
        stalled: BTreeMap<TargetName, Stalled>,
        known: (Option<i128>, Option<Timestamp>),
    ) -> Self {
        let (offset, newest_run) = known;
        let clock = KnownClock { offset, newest_run };
        let holds = holds.into_iter().map(|hold| (hold.target.clone(), hold)).collect();
        let mut memory = Self { store, holds, roots, stalled, clock };
        if memory.clock.offset.is_none() {
            memory.trust_clock(clock::wall());
        }
        memory
    }

    fn trust_clock(&mut self, now: Timestamp) {
        let offset = offset(now, clock::since_boot());
        self.clock.offset = Some(offset);
        self.store.clock(offset);
    }

    /// Why the wall clock cannot be trusted; `None` when it can.
    pub(super) fn clock_problem(&self) -> Option<String> {
        self.clock.distrust(clock::wall(), clock::since_boot(), clock::built())
    }

    /// What the next run of a target is held by.
    pub(super) fn guards(&self, target: &TargetName) -> Guards {
        let (root, stalled) = (self.roots.get(target).cloned(), self.stalled.get(target).copied());
        Guards { root, stalled, clock: self.clock_problem(), released: None }
    }

    /// The held runs.
    pub(super) fn holds(&self) -> impl Iterator<Item = &Hold> {
        self.holds.values()
    }

    /// The hold of this run.
    pub(super) fn hold(&self, run: &RunId) -> Option<&Hold> {
        self.holds.values().find(|hold| hold.run == *run)
    }

    /// Releases a held run, once; with what the run is then to be told.
    pub(super) fn release(&mut self, hold: &Hold) -> Guards {
        self.holds.remove(&hold.target);
        self.store.released(&hold.run);
        if hold.held.guard == Guard::Clock {
            // Who says that this run is in order says that the clock is.
            self.clock.newest_run = None;
            self.trust_clock(clock::wall());
        }
        Guards { released: Some(hold.held), ..self.guards(&hold.target) }
    }

    /// A run has ended.
    pub(super) fn ended(&mut self, report: &Arc<Report>) {
        let target = &report.target;
        if let Some(hold) = Hold::of(report) {
            self.holds.insert(target.clone(), hold);
        } else if went_on(report) {
            self.holds.remove(target);
            self.clock.newest_run = Some(report.started);
            if let Some((path, seen)) = &report.root {
                let known = KnownRoot { path: path.clone(), seen: seen.clone() };
                self.roots.insert(target.clone(), known);
            }
            match report.stalled {
                Some(stalled) => drop(self.stalled.insert(target.clone(), stalled)),
                None => drop(self.stalled.remove(target)),
            }
        }
        self.store.ended(report.clone());
    }

    /// A target is gone from the config.
    pub(super) fn forget(&mut self, target: &TargetName) {
        if let Some(hold) = self.holds.remove(target) {
            self.store.released(&hold.run);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    #[test]
    fn a_clock_is_distrusted_when_it_was_set_and_not_when_it_runs() {
        let built = at("2026-01-01T00:00:00Z");
        let began = at("2026-11-01T00:00:00Z");
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        let known = KnownClock { offset: Some(offset(began, hours(100))), newest_run: Some(began) };
        let distrust = |now: &str, since: u64| known.distrust(at(now), hours(since), built);
        // It runs, also while the machine sleeps; and it may be adjusted.
        assert_eq!(distrust("2026-11-02T00:00:00Z", 124), None);
        assert_eq!(distrust("2026-12-01T00:00:00Z", 100 + 30 * 24), None);
        assert_eq!(distrust("2026-11-02T20:00:00Z", 124), None);
        assert_eq!(distrust("2026-10-31T23:10:00Z", 100), None);
        for (now, since, why) in [
            ("2026-11-03T00:00:01Z", 124, "set forward by 1d"),
            ("2098-11-02T00:00:00Z", 124, "set forward by"),
            ("2026-11-02T00:00:00Z", 172, "set back by 2d"),
            ("2026-10-31T22:00:00Z", 98, "the newest run began at 2026-11-01"),
            ("1970-01-01T00:01:00Z", 101, "was built at 2026-01-01"),
        ] {
            let told = distrust(now, since).unwrap_or_default();
            assert!(told.contains(why), "{now}: {told}");
        }
        assert_eq!(KnownClock::default().distrust(at("2098-01-01T00:00:00Z"), hours(1), built), None);
    }
}
