//! How the supervisor goes on where the one before it ended.

use std::collections::BTreeMap;

use jiff::Timestamp;
use tracing::{info, warn};

use super::supervisor::Supervisor;
use crate::names::TargetName;
use crate::target::CatchUp;

impl Supervisor {
    /// Leaves out what was remembered of targets that are not in the config any more.
    pub(super) fn forget_others(&mut self) {
        let known: std::collections::BTreeSet<_> =
            self.config.targets.iter().map(|target| target.name.clone()).collect();
        self.paused.retain(|name| known.contains(name));
        self.last_runs.retain(|name, _| known.contains(name));
        self.last_measured.retain(|name, _| known.contains(name));
        self.last_successes.retain(|name, _| known.contains(name));
        self.last_due.retain(|name, _| known.contains(name));
        if self.stopped {
            self.paused.extend(known);
        }
    }

    /// Finds the targets that were due since they were last, while no daemon was there.
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
            // Also what is new: were the daemon away when it is due for the first time, that would be missed too.
            self.memory.store.due(&target.name, now);
        }
    }

    /// Says what is as it was before the restart.
    pub(super) fn say_remembered(&self) {
        let state = self.memory.store.health();
        if self.stopped && state.is_distrusted() {
            warn!("The schedule is stopped, since nobody can say whether it was; `janitor start` starts it");
        } else if self.stopped {
            warn!("The schedule is stopped, as it was before the restart; `janitor start` starts it");
        } else if !self.paused.is_empty() {
            let paused: Vec<&str> = self.paused.iter().map(TargetName::as_str).collect();
            warn!("Stopped, as before the restart: {}", paused.join(", "));
        }
        for hold in self.memory.holds() {
            warn!(target_name = %hold.target, "Run {} is still held: {}", hold.run, hold.why);
        }
        for name in &self.missed {
            info!(target_name = %name, "It was due while the daemon was not there, and is swept now");
        }
        if let Some(why) = state.error() {
            warn!("Nothing will be remembered: {why}");
        }
        if let Some(why) = self.memory.clock_problem() {
            warn!("The clock is not trusted, so runs that ask for ages will be held: {why}");
        }
    }
}
