//! State that outlives the supervisor, and the guards of the next run that follow from it: held runs, roots, and
//! whether the clock can be trusted.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::{self, Moment};
use crate::history::{Change, Hold, Known, Remembered, went_on};
use crate::names::{RunId, TargetName};
use crate::report::{Guard, KnownRoot, Report, Stalled};
use crate::sweep::Guards;
use crate::units::Span;

/// Movement of the wall clock against the time since boot beyond which the clock counts as set.
const STEP: Duration = Duration::from_secs(24 * 60 * 60);

/// Most by which a trusted clock may be adjusted back.
const ADJUSTMENT: Duration = Duration::from_secs(60 * 60);

/// Knowledge of the wall clock.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct KnownClock {
    /// Lead of the wall clock over the time since boot when the clock was trusted, in nanoseconds.
    offset: Option<i128>,
    /// Start of the newest run.
    newest_run: Option<Timestamp>,
}

/// Returns the lead of the wall clock over the time since boot, in nanoseconds.
fn offset(now: Timestamp, since_boot: Duration) -> i128 {
    now.as_nanosecond() - i128::try_from(since_boot.as_nanos()).unwrap_or(i128::MAX)
}

impl KnownClock {
    /// Returns why the wall clock cannot be trusted; `None` when it can.
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

/// Returns the guards of a run that is made without a daemon.
#[must_use]
pub fn guards_of(known: Known, now: Moment) -> Guards {
    let Known { root, stalled, newest_run, clock_offset } = known;
    let clock = KnownClock { offset: clock_offset, newest_run };
    Guards { root, stalled, clock: clock.distrust(now.wall, now.since_boot, clock::built()), released: None }
}

/// State that outlives the supervisor.
#[derive(Debug, Default)]
pub(super) struct Memory {
    holds: BTreeMap<TargetName, Hold>,
    roots: BTreeMap<TargetName, KnownRoot>,
    stalled: BTreeMap<TargetName, Stalled>,
    clock: KnownClock,
    /// Whether the clock was trusted because nothing was known of it.
    is_clock_guessed: bool,
    /// Changes to persist that were not handed on yet.
    changes: Vec<Change>,
}

impl Memory {
    /// Makes the memory from the persisted state. A clock of which nothing is known is trusted from now on.
    pub(super) fn new(remembered: &Remembered, now: Moment) -> Self {
        let Remembered { holds, roots, stalled, newest_run, clock_offset, .. } = remembered;
        let mut memory = Self {
            holds: holds.iter().map(|hold| (hold.target.clone(), hold.clone())).collect(),
            roots: roots.clone(),
            stalled: stalled.clone(),
            clock: KnownClock { offset: *clock_offset, newest_run: *newest_run },
            is_clock_guessed: clock_offset.is_none(),
            changes: Vec::new(),
        };
        if memory.is_clock_guessed {
            memory.trust_clock(now);
        }
        memory
    }

    /// Adopts the persisted state of targets that `is_news` selects, now that it can be read.
    pub(super) fn take_over(&mut self, remembered: &Remembered, is_news: impl Fn(&TargetName) -> bool) {
        let Remembered { holds, roots, stalled, newest_run, clock_offset, .. } = remembered;
        for hold in holds.iter().filter(|hold| is_news(&hold.target)) {
            self.holds.insert(hold.target.clone(), hold.clone());
        }
        for (target, root) in roots.iter().filter(|(target, _)| is_news(target)) {
            self.roots.insert(target.clone(), root.clone());
        }
        for (target, stalled) in stalled.iter().filter(|(target, _)| is_news(target)) {
            self.stalled.insert(target.clone(), *stalled);
        }
        self.clock.newest_run = self.clock.newest_run.max(*newest_run);
        if let Some(known) = clock_offset.filter(|_| self.is_clock_guessed) {
            self.clock.offset = Some(known);
            self.is_clock_guessed = false;
        }
        // The guessed offset may have been written meanwhile, and a new database has none.
        self.changes.extend(self.clock.offset.map(Change::Clock));
    }

    /// Queues a change to be persisted.
    pub(super) fn remember(&mut self, change: Change) {
        self.changes.push(change);
    }

    /// Records that a target was due, or is new and was not due before.
    pub(super) fn due(&mut self, target: &TargetName, at: Timestamp) {
        self.changes.push(Change::Due(target.clone(), at));
    }

    /// Returns the changes to persist since the last call.
    pub(super) fn take_changes(&mut self) -> Vec<Change> {
        std::mem::take(&mut self.changes)
    }

    fn trust_clock(&mut self, now: Moment) {
        let offset = offset(now.wall, now.since_boot);
        self.clock.offset = Some(offset);
        self.changes.push(Change::Clock(offset));
    }

    /// Returns why the wall clock cannot be trusted; `None` when it can.
    pub(super) fn clock_problem(&self, now: Moment) -> Option<String> {
        self.clock.distrust(now.wall, now.since_boot, clock::built())
    }

    /// Returns the guards of a target's next run.
    pub(super) fn guards(&self, target: &TargetName, now: Moment) -> Guards {
        let (root, stalled) = (self.roots.get(target).cloned(), self.stalled.get(target).copied());
        Guards { root, stalled, clock: self.clock_problem(now), released: None }
    }

    /// Returns the holds.
    pub(super) fn holds(&self) -> impl Iterator<Item = &Hold> {
        self.holds.values()
    }

    /// Drops the holds of unknown targets.
    pub(super) fn leave_out_holds(&mut self, is_known: impl Fn(&TargetName) -> bool) {
        self.holds.retain(|target, _| is_known(target));
    }

    /// Returns the hold of this run.
    pub(super) fn hold(&self, run: &RunId) -> Option<&Hold> {
        self.holds.values().find(|hold| hold.run == *run)
    }

    /// Returns the hold of this target.
    pub(super) fn hold_of(&self, target: &str) -> Option<&Hold> {
        self.holds.get(target)
    }

    /// Releases a held run once. Returns the guards of the released run.
    pub(super) fn release(&mut self, hold: &Hold, now: Moment) -> Guards {
        self.holds.remove(&hold.target);
        self.changes.push(Change::Released(hold.run.clone()));
        if hold.held.guard == Guard::Clock {
            // Releasing a run that the clock held confirms the clock.
            self.clock.newest_run = None;
            self.is_clock_guessed = false;
            self.trust_clock(now);
        }
        Guards { released: Some(hold.held), ..self.guards(&hold.target, now) }
    }

    /// Records the end of a run.
    pub(super) fn ended(&mut self, report: &Arc<Report>) {
        let target = &report.target;
        if let Some(hold) = Hold::of(report) {
            // The hold stays that of the first run while the cause is the same.
            if !self.holds.get(target).is_some_and(|known| known.is_confirmed_by(&hold)) {
                self.holds.insert(target.clone(), hold);
            }
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
        self.changes.push(Change::Ended(report.clone()));
    }

    /// Drops a target that is gone from the config.
    pub(super) fn forget(&mut self, target: &TargetName) {
        if let Some(hold) = self.holds.remove(target) {
            self.changes.push(Change::Released(hold.run));
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
