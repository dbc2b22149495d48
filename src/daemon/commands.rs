//! Commands of the supervisor.

use std::sync::Arc;

use tokio::sync::oneshot;
use tracing::info;

use super::handle::{AtWork, Busy, ManualRuns, Refusal, Release, StartedRun, Switched};
use super::news::News;
use super::supervisor::Supervisor;
use crate::history::Hold;
use crate::names::TargetName;
use crate::report::{Outcome, Trigger};
use crate::target::Target;

/// Returns the target that a request named; `None` when it named none.
fn only<'a>(name: Option<&str>, targets: &'a [Arc<Target>]) -> Option<&'a TargetName> {
    name.and_then(|_| targets.first()).map(|target| &target.name)
}

impl Supervisor {
    /// Returns the targets of a request: the named one, or every enabled one.
    fn asked_for(&self, name: Option<&str>) -> Result<Vec<Arc<Target>>, Refusal> {
        let Some(name) = name else {
            return Ok(self.config.targets.iter().filter(|target| target.enabled).cloned().collect());
        };
        let target = self.target(name).ok_or_else(|| Refusal::UnknownTarget(name.to_owned()))?;
        if target.enabled { Ok(vec![target]) } else { Err(Refusal::Disabled(target.name.clone())) }
    }

    pub(super) fn manual(&mut self, name: Option<&str>, dry_run: bool) -> Result<ManualRuns, Refusal> {
        let mut runs = ManualRuns { started: Vec::new(), busy: Vec::<Busy>::new() };
        for target in self.asked_for(name)? {
            if let Some(busy) = self.runs.busy(&target.name) {
                runs.busy.push(busy);
                continue;
            }
            let (tell, done) = oneshot::channel();
            let protected = self.config.protected.clone();
            let guards = self.memory.guards(&target.name, self.now);
            let now = self.now.wall;
            let run = self.runs.begin(target.clone(), protected, (Trigger::Manual, dry_run), vec![tell], guards, now);
            runs.started.push(StartedRun { run, target: target.name.clone(), done });
        }
        if runs.started.is_empty() && !runs.busy.is_empty() {
            return Err(Refusal::Running(runs.busy));
        }
        Ok(runs)
    }

    pub(super) fn start(&mut self, name: Option<&str>) -> Result<Switched, Refusal> {
        let targets = self.asked_for(name)?;
        let mut changed = std::mem::take(&mut self.stopped);
        for target in &targets {
            changed |= self.paused.remove(&target.name);
        }
        if name.is_none() {
            self.paused.clear();
        }
        let now = self.now.wall;
        self.lay_out(now);
        for target in &targets {
            // Runs missed while the target was stopped are not caught up.
            self.memory.due(&target.name, now);
        }
        self.keep_word();
        if !changed {
            return Ok(Switched::Already);
        }
        self.surface.tell(News::Switched { target: only(name, &targets), is_running: true });
        match name {
            None => info!("Background cleanup scheduler started successfully"),
            Some(name) => info!(target_name = %name, "Schedule started"),
        }
        Ok(Switched::Changed)
    }

    pub(super) fn stop(&mut self, name: Option<&str>, at_work: AtWork) -> Result<Switched, Refusal> {
        let targets = self.asked_for(name)?;
        let mut changed = false;
        if name.is_none() {
            changed = !std::mem::replace(&mut self.stopped, true);
        }
        for target in &targets {
            changed |= self.paused.insert(target.name.clone());
            // A run that waits for a thread has not begun, so the stop still prevents it.
            let why = "the schedule was stopped";
            let unqueued = match at_work {
                AtWork::GoesOn => self.runs.unschedule(&target.name, why),
                AtWork::Stops => {
                    changed |= self.runs.busy(&target.name).is_some();
                    self.runs.cancel(&target.name, why)
                }
            };
            if let Some(report) = unqueued {
                self.note_report(report);
            }
        }
        self.missed.retain(|name| !self.paused.contains(name));
        self.lay_out(self.now.wall);
        self.keep_word();
        if !changed {
            return Ok(Switched::Already);
        }
        self.surface.tell(News::Switched { target: only(name, &targets), is_running: false });
        match name {
            None => info!("Background cleanup scheduler stopped"),
            Some(name) => info!(target_name = %name, "Schedule stopped"),
        }
        Ok(Switched::Changed)
    }

    /// Returns the hold to release: that of a run, or that of a target.
    fn hold_to_release(&self, which: &Release) -> Result<Hold, Refusal> {
        let hold = match which {
            Release::Run(run) => self.memory.hold(run).or_else(|| {
                // A later run held by the same cause left the hold as it was.
                let later =
                    self.last_runs.values().find(|report| report.run == *run && report.outcome == Outcome::Held)?;
                self.memory.hold_of(later.target.as_str())
            }),
            Release::Target(name) => {
                let target = self.target(name).ok_or_else(|| Refusal::UnknownTarget(name.clone()))?;
                self.memory.hold_of(target.name.as_str())
            }
        };
        hold.cloned().ok_or_else(|| Refusal::NotHeld(which.clone()))
    }

    /// Sweeps the target of a held run once, without the guard that held it.
    pub(super) fn release(&mut self, which: &Release) -> Result<StartedRun, Refusal> {
        let hold = self.hold_to_release(which)?;
        let target = self.target(hold.target.as_str());
        let target = target.ok_or_else(|| Refusal::UnknownTarget(hold.target.to_string()))?;
        if !target.enabled {
            return Err(Refusal::Disabled(hold.target));
        }
        if let Some(busy) = self.runs.busy(&hold.target) {
            return Err(Refusal::Running(vec![busy]));
        }
        let guards = self.memory.release(&hold, self.now);
        self.surface.tell(News::Released { run: &hold.run, target: &hold.target });
        let (tell, done) = oneshot::channel();
        let (protected, now) = (self.config.protected.clone(), self.now.wall);
        let released = self.runs.begin(target, protected, (Trigger::Manual, false), vec![tell], guards, now);
        Ok(StartedRun { run: released, target: hold.target, done })
    }
}
