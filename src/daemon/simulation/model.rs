//! Model of what must hold, independent of the supervisor: naive, and with schedules that are multiples of seconds.

use std::collections::{BTreeMap, BTreeSet};

use super::super::handle::AtWork;
use crate::history::Stops;
use crate::names::{RunId, TargetName};
use crate::target::Target;

/// A target of the model.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Job {
    pub(super) enabled: bool,
    /// Period in seconds: the target is due whenever the seconds since 1970 are a multiple of this.
    pub(super) period: i64,
    /// Version of the policy.
    pub(super) version: u64,
}

/// Everything that the supervisor has promised.
#[derive(Debug, Default)]
pub(super) struct Model {
    pub(super) jobs: BTreeMap<TargetName, Job>,
    pub(super) stops: Stops,
    pub(super) is_unknown: bool,
    /// Next due times of targets that are neither stopped nor disabled, in seconds.
    pub(super) next: BTreeMap<TargetName, i64>,
    /// Targets whose scheduled run may begin.
    pub(super) may_begin: BTreeSet<TargetName>,
    /// Held targets, with the id of the held run.
    pub(super) holds: BTreeMap<TargetName, RunId>,
    /// Targets that were released and have not been swept since.
    pub(super) released: BTreeSet<TargetName>,
    seen: i64,
}

impl Model {
    pub(super) fn is_stopped(&self, target: &TargetName) -> bool {
        self.stops.targets.contains(target)
    }

    /// Starts a daemon that knows of no stops.
    pub(super) fn begin(&mut self, jobs: BTreeMap<TargetName, Job>, now: i64) {
        let holds = std::mem::take(&mut self.holds);
        *self = Self { jobs, holds, seen: now, ..Self::default() };
        self.lay_out(now);
    }

    /// Makes every new or changed target due at its next multiple, and no stopped target.
    pub(super) fn lay_out(&mut self, now: i64) {
        let Self { jobs, stops, next, may_begin, .. } = self;
        let is_on = |name: &TargetName, job: &Job| job.enabled && !stops.targets.contains(name);
        next.retain(|name, _| jobs.get(name).is_some_and(|job| is_on(name, job)));
        may_begin.retain(|name| jobs.get(name).is_some_and(|job| is_on(name, job)));
        for (name, job) in jobs.iter().filter(|(name, job)| is_on(name, job)) {
            next.entry(name.clone()).or_insert_with(|| after(now, job.period));
        }
    }

    pub(super) fn reload(&mut self, new: BTreeMap<TargetName, Job>, now: i64) {
        for (name, old) in &self.jobs {
            match new.get(name) {
                Some(job) if job.period == old.period => {}
                _ => drop(self.next.remove(name)),
            }
            if new.get(name) != Some(old) {
                self.may_begin.remove(name);
            }
            if !new.contains_key(name) {
                self.holds.remove(name);
            }
        }
        self.jobs = new;
        if self.stops.all {
            self.stops.targets.extend(self.jobs.keys().cloned());
        }
        self.lay_out(now);
    }

    pub(super) fn stop(&mut self, target: Option<&TargetName>, now: i64) {
        match target {
            Some(target) => drop(self.stops.targets.insert(target.clone())),
            None => {
                self.stops.all = true;
                let enabled = self.jobs.iter().filter(|(_, job)| job.enabled).map(|(name, _)| name.clone());
                self.stops.targets.extend(enabled);
            }
        }
        self.is_unknown = false;
        self.lay_out(now);
    }

    pub(super) fn start(&mut self, target: Option<&TargetName>, now: i64) {
        self.stops.all = false;
        match target {
            Some(target) => drop(self.stops.targets.remove(target)),
            None => self.stops.targets.clear(),
        }
        self.is_unknown = false;
        self.lay_out(now);
    }

    /// Adopts these stops.
    pub(super) fn learn(&mut self, stops: &Stops, now: i64) {
        self.stops = stops.clone();
        if self.stops.all {
            self.stops.targets.extend(self.jobs.keys().cloned());
        }
        self.lay_out(now);
    }

    /// Returns the targets that are due.
    pub(super) fn due(&mut self, now: i64) -> Vec<TargetName> {
        let is_set_back = self.seen - now >= 60;
        self.seen = now;
        let mut due = Vec::new();
        for (name, next) in &mut self.next {
            let period = self.jobs[name].period;
            if is_set_back {
                *next = after(now, period);
            }
            if *next <= now {
                due.push(name.clone());
                *next = after(now, period);
            }
        }
        due
    }

    /// Returns the seconds until the next due time.
    pub(super) fn rest(&self, now: i64) -> Option<i64> {
        self.next.values().map(|next| next - now).min()
    }
}

/// Returns the first multiple after an instant.
pub(super) fn after(now: i64, period: i64) -> i64 {
    (now.div_euclid(period) + 1) * period
}

/// A target of the model.
pub(super) fn job(target: &Target, period: i64, version: u64) -> Job {
    Job { enabled: target.enabled, period, version }
}

/// Returns the treatment of sweeps at work; `stops` stops them.
pub(super) fn at_work(stops: bool) -> AtWork {
    if stops { AtWork::Stops } else { AtWork::GoesOn }
}
