//! The agenda: the times at which targets are due. Pure: the time is an argument.
//!
//! The agenda does not decide what a due target does (run, wait, be skipped because a sweep of it is still at work).

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::names::TargetName;
use crate::schedule::Schedule;

/// Largest change of the clock that is treated as cron treats it (the limit of Debian's and Vixie's cron).
const CRON_LIMIT: Duration = Duration::from_secs(3 * 60 * 60);

/// Smallest step back that counts as a clock that was set. A smaller step is an adjustment, and nothing follows from
/// it.
const ADJUSTMENT: Duration = Duration::from_secs(60);

/// Schedules of all targets, with the next run of each.
#[derive(Clone, Debug, Default)]
pub struct Agenda {
    jobs: BTreeMap<TargetName, Job>,
    seen: Option<Timestamp>,
}

#[derive(Clone, Debug)]
struct Job {
    schedule: Schedule,
    zone: TimeZone,
    next: Option<Timestamp>,
}

impl Agenda {
    /// Puts a target on the agenda. A target that is on it already with the same schedule and zone keeps its next run.
    pub fn put(&mut self, name: &TargetName, schedule: &Schedule, zone: &TimeZone, now: Timestamp) {
        if let Some(job) = self.jobs.get(name)
            && job.schedule == *schedule
            && job.zone == *zone
        {
            return;
        }
        let next = schedule.next_after(now, zone);
        self.jobs.insert(name.clone(), Job { schedule: schedule.clone(), zone: zone.clone(), next });
    }

    /// Takes a target off the agenda.
    pub fn drop(&mut self, name: &TargetName) {
        self.jobs.remove(name);
    }

    /// Takes every target off the agenda that `keep` does not want.
    pub fn retain(&mut self, mut keep: impl FnMut(&TargetName) -> bool) {
        self.jobs.retain(|name, _| keep(name));
    }

    /// Returns the time at which a target is next due; `None` when it is not on the agenda, or never due again.
    #[must_use]
    pub fn next_of(&self, name: &TargetName) -> Option<Timestamp> {
        self.jobs.get(name)?.next
    }

    /// Returns the time at which the first target is due.
    #[must_use]
    pub fn next(&self) -> Option<Timestamp> {
        self.jobs.values().filter_map(|job| job.next).min()
    }

    /// Returns the targets that are due at `now`, by name, and moves their next run past `now`. Each target is returned
    /// at most once, however often it was due since the last call.
    pub fn take_due(&mut self, now: Timestamp) -> Vec<TargetName> {
        let mut due = Vec::new();
        for (name, job) in &mut self.jobs {
            if job.next.is_some_and(|next| next <= now) {
                job.next = job.schedule.next_after(now, &job.zone);
                due.push(name.clone());
            }
        }
        due
    }

    /// Looks at the wall clock. Returns by how much it was set back since the last look, if it was.
    ///
    /// A clock that was set back is treated as cron treats it. A schedule that follows the clock is counted anew. A
    /// schedule with fixed times keeps its next run, so that what ran does not run twice. A step back of more than
    /// three hours is a new time rather than a changed one, and every schedule is counted anew. Steps forward need
    /// nothing: a time that was passed is due, once.
    pub fn look_at_clock(&mut self, now: Timestamp) -> Option<Duration> {
        let seen = self.seen.replace(now)?;
        let back = Duration::try_from(seen.duration_since(now)).ok().filter(|back| *back >= ADJUSTMENT)?;
        for job in self.jobs.values_mut() {
            if job.schedule.follows_clock() || back > CRON_LIMIT {
                job.next = job.schedule.next_after(now, &job.zone);
            }
        }
        Some(back)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("an instant")
    }

    fn name(text: &str) -> TargetName {
        TargetName::new(text).expect("a name")
    }

    fn agenda(schedule: &str, now: &str) -> Agenda {
        let mut agenda = Agenda::default();
        agenda.look_at_clock(at(now));
        agenda.put(&name("a"), &Schedule::parse(schedule).expect("a schedule"), &TimeZone::UTC, at(now));
        agenda
    }

    #[test]
    fn what_is_due_is_taken_once_however_often_it_was_due() {
        let mut agenda = agenda("0 * * * *", "2026-03-01T00:30:00Z");
        assert_eq!(agenda.next(), Some(at("2026-03-01T01:00:00Z")));
        assert!(agenda.take_due(at("2026-03-01T00:59:59.999Z")).is_empty());
        assert_eq!(agenda.take_due(at("2026-03-01T09:10:00Z")), [name("a")]);
        assert_eq!(agenda.next(), Some(at("2026-03-01T10:00:00Z")));
        assert!(agenda.take_due(at("2026-03-01T09:10:00Z")).is_empty());
    }

    #[test]
    fn a_run_at_the_very_instant_is_not_due_again() {
        let mut agenda = agenda("0 2 * * *", "2026-03-01T01:00:00Z");
        assert_eq!(agenda.take_due(at("2026-03-01T02:00:00Z")), [name("a")]);
        assert_eq!(agenda.next(), Some(at("2026-03-02T02:00:00Z")));
    }

    #[test]
    fn the_same_schedule_put_again_keeps_its_next_run_and_a_new_one_does_not() {
        let mut agenda = agenda("0 2 * * *", "2026-03-01T01:00:00Z");
        let later = at("2026-03-01T03:00:00Z");
        agenda.put(&name("a"), &Schedule::parse("0 2 * * *").expect("good"), &TimeZone::UTC, later);
        assert_eq!(agenda.next(), Some(at("2026-03-01T02:00:00Z")), "still due");
        agenda.put(&name("a"), &Schedule::parse("0 4 * * *").expect("good"), &TimeZone::UTC, later);
        assert_eq!(agenda.next(), Some(at("2026-03-01T04:00:00Z")));
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        agenda.put(&name("a"), &Schedule::parse("0 4 * * *").expect("good"), &zone, later);
        assert_eq!(agenda.next(), Some(at("2026-03-02T03:00:00Z")));
    }

    #[test]
    fn a_clock_set_back_repeats_no_fixed_time() {
        let mut agenda = agenda("0 2 * * *", "2026-03-01T01:59:00Z");
        assert_eq!(agenda.look_at_clock(at("2026-03-01T02:00:00Z")), None);
        assert_eq!(agenda.take_due(at("2026-03-01T02:00:00Z")), [name("a")]);
        assert_eq!(agenda.look_at_clock(at("2026-03-01T01:00:00Z")), Some(Duration::from_secs(3600)));
        assert_eq!(agenda.next(), Some(at("2026-03-02T02:00:00Z")));
    }

    #[test]
    fn a_clock_set_back_by_days_is_a_new_time() {
        let mut agenda = agenda("0 2 * * *", "2098-03-01T01:59:00Z");
        assert!(agenda.look_at_clock(at("2026-03-01T01:00:00Z")).is_some());
        assert_eq!(agenda.next(), Some(at("2026-03-01T02:00:00Z")));
    }

    #[test]
    fn a_schedule_that_follows_the_clock_follows_it_back() {
        let mut agenda = agenda("*/15 * * * *", "2026-03-01T02:00:00Z");
        assert!(agenda.look_at_clock(at("2026-03-01T01:00:00Z")).is_some());
        assert_eq!(agenda.next(), Some(at("2026-03-01T01:15:00Z")));
    }

    #[test]
    fn a_small_adjustment_repeats_nothing() {
        let mut agenda = agenda("* * * * *", "2026-03-01T02:00:00Z");
        assert_eq!(agenda.take_due(at("2026-03-01T02:01:00Z")), [name("a")]);
        agenda.look_at_clock(at("2026-03-01T02:01:00Z"));
        assert_eq!(agenda.look_at_clock(at("2026-03-01T02:00:59.5Z")), None);
        assert!(agenda.take_due(at("2026-03-01T02:01:00Z")).is_empty());
    }
}
