//! Continuing from the state of the daemon before.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use tracing::{info, warn};

use super::news::News;
use super::supervisor::Supervisor;
use crate::history::{Change, Event, Hold, Remembered, Stops};
use crate::names::TargetName;
use crate::target::CatchUp;

impl Supervisor {
    /// Drops the persisted state of targets that are not in the config any more.
    pub(super) fn forget_others(&mut self) {
        let known: BTreeSet<_> = self.config.targets.iter().map(|target| target.name.clone()).collect();
        // Stops are kept, also while the config does not have the target: a target stays stopped until it is started.
        self.memory.leave_out_holds(|name| known.contains(name));
        self.last_runs.retain(|name, _| known.contains(name));
        self.last_measured.retain(|name, _| known.contains(name));
        self.last_successes.retain(|name, _| known.contains(name));
        self.last_due.retain(|name, _| known.contains(name));
        if self.stopped {
            self.paused.extend(known);
        }
    }

    /// Finds the targets that became due since their last due time, while no daemon was running.
    pub(super) fn find_missed(&mut self, due: &BTreeMap<TargetName, Timestamp>, now: Timestamp) {
        for target in &self.config.targets {
            if !target.enabled || self.paused.contains(&target.name) {
                continue;
            }
            let missed = due.get(&target.name).and_then(|last| target.schedule.next_after(*last, &target.zone.tz));
            match missed.filter(|missed| *missed <= now) {
                Some(_) if target.catch_up == CatchUp::Once => {
                    self.missed.insert(target.name.clone());
                }
                _ => {}
            }
            // New targets are recorded, too: if the daemon were not running at their first due time, that run would
            // count as missed.
            self.memory.due(&target.name, now);
        }
    }

    /// Logs the state carried over from before the restart.
    pub(super) fn say_remembered(&self) {
        if let Some(why) = &self.word.unknown {
            warn!("The schedule is stopped, since nobody can say whether it was; `janitor start` starts it: {why}");
        } else if self.stopped {
            warn!("The schedule is stopped, as it was before the restart; `janitor start` starts it");
        } else {
            self.say_paused();
        }
        for hold in self.memory.holds() {
            warn!(target_name = %hold.target, "Run {} is still held: {}", hold.run, hold.why);
        }
        for name in &self.missed {
            info!(target_name = %name, "It was due while the daemon was not there, and is swept now");
        }
        if let Some(why) = self.health.error() {
            warn!("Nothing will be remembered until the state can be used, which is tried again and again: {why}");
        }
        if let Some(why) = self.memory.clock_problem(self.now) {
            warn!("The clock is not trusted, so runs that ask for ages will be held: {why}");
        }
    }

    fn say_paused(&self) {
        let paused: Vec<&str> = self
            .config
            .targets
            .iter()
            .map(|target| &target.name)
            .filter(|name| self.paused.contains(*name))
            .map(TargetName::as_str)
            .collect();
        if !paused.is_empty() {
            warn!("Stopped, as before the restart: {}", paused.join(", "));
        }
    }

    /// Adopts the stops that were unknown until now.
    fn on_word(&mut self, stops: Stops) {
        // The operator has given a new word meanwhile, which takes precedence.
        if self.word.unknown.take().is_none() {
            return;
        }
        info!("What is stopped is known now");
        (self.stopped, self.paused) = (stops.all, stops.targets.clone());
        self.word.told(stops);
        if self.stopped {
            self.paused.extend(self.config.targets.iter().map(|target| target.name.clone()));
            warn!("The schedule is stopped, as it was before the restart; `janitor start` starts it");
        }
        self.say_paused();
        self.lay_out(self.now.wall);
        self.surface.tell(News::Switched { target: None, is_running: !self.stopped });
    }

    /// Merges the content of a database that can be used from now on, where this daemon has nothing newer.
    fn on_returned(&mut self, remembered: &Remembered) {
        let known: BTreeSet<TargetName> = self.config.targets.iter().map(|target| target.name.clone()).collect();
        let seen: BTreeSet<TargetName> = self.last_runs.keys().cloned().collect();
        // A new database lacks the runs of this daemon.
        for (target, report) in &self.last_runs {
            if remembered.last_runs.get(target).is_none_or(|other| other.started < report.started) {
                self.memory.remember(Change::Ended(report.clone()));
                if self.memory.hold_of(target.as_str()).is_none() && report.held.is_some() {
                    self.memory.remember(Change::Released(report.run.clone()));
                }
            }
        }
        let is_told = |hold: &&Hold| remembered.holds.iter().any(|other| other.run == hold.run);
        let untold: Vec<_> =
            self.memory.holds().filter(|hold| !is_told(hold)).map(|hold| hold.report.clone()).collect();
        untold.into_iter().for_each(|report| self.memory.remember(Change::Held(report)));
        let is_news = |target: &TargetName| known.contains(target) && !seen.contains(target);
        self.memory.take_over(remembered, is_news);
        for (target, report) in remembered.last_runs.iter().filter(|(target, _)| is_news(target)) {
            self.last_runs.insert(target.clone(), report.clone());
        }
        for (target, at) in remembered.last_successes.iter().filter(|(target, _)| known.contains(*target)) {
            self.last_successes.entry(target.clone()).or_insert(*at);
        }
        let mut due = remembered.due.clone();
        due.retain(|target, _| is_news(target) && !self.last_due.contains_key(target));
        self.find_missed(&due, self.now.wall);
    }

    /// Handles an event of the state store.
    pub(super) fn on_state(&mut self, event: Event) {
        match event {
            Event::Kept { number, result } => self.word.kept(number, &result),
            Event::Word(stops) => self.on_word(stops),
            Event::Returned(remembered) => self.on_returned(&remembered),
        }
    }
}
