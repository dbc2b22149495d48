//! Putting a config in force: the targets that change, and those that continue as they are.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::sync::Arc;

use tracing::{error, info, warn};

use super::handle::{Refusal, Reloaded};
use super::news::News;
use super::reload::{Reading, Wrong};
use super::status::Rejection;
use super::supervisor::Supervisor;
use super::surface::Applied;
use crate::config::Config;
use crate::fsys;
use crate::names::{Escaped, TargetName};
use crate::target::Target;

/// Difference between the targets of two configs.
#[derive(Debug, Default, PartialEq)]
struct Difference {
    added: Vec<TargetName>,
    changed: Vec<TargetName>,
    removed: Vec<TargetName>,
}

fn difference(old: &[Arc<Target>], new: &[Arc<Target>]) -> Difference {
    let mut before: BTreeMap<&TargetName, &Arc<Target>> = old.iter().map(|target| (&target.name, target)).collect();
    let mut found = Difference::default();
    for target in new {
        match before.remove(&target.name) {
            None => found.added.push(target.name.clone()),
            Some(known) if known != target => found.changed.push(target.name.clone()),
            Some(_) => {}
        }
    }
    found.removed = before.into_keys().cloned().collect();
    found
}

/// Returns why a valid config is not put in force while the daemon runs.
fn unfit(new: &Config, in_force: &Config) -> Option<&'static str> {
    let loses_all = in_force.names_targets && !new.names_targets;
    loses_all.then_some("the file names no [[target]] any more; to stop a target, set enabled = false")
}

impl Supervisor {
    /// Puts a reading in force, or returns the reason why not and keeps the config in force.
    pub(super) fn take_over(
        &mut self,
        reading: &Reading,
        checked: Option<Result<Config, Wrong>>,
    ) -> Result<Reloaded, Refusal> {
        match (reading, checked) {
            (Reading::Text(_), Some(Ok(config))) => match unfit(&config, &self.config) {
                Some(why) => Err(self.reject(why.into())),
                None => Ok(self.put_in_force(config)),
            },
            (Reading::Text(_), Some(Err(problems))) => Err(self.reject(problems)),
            // There never was a file, so the built-in config is the wanted one.
            (Reading::Absent(_), _) if self.about_config.path.is_none() => {
                Ok(Reloaded { generation: self.about_config.generation, ..Reloaded::default() })
            }
            (Reading::Absent(why) | Reading::Unreadable(why), _) => Err(self.reject(why.as_str().into())),
            (Reading::Text(_), None) => Err(self.reject("the file was not checked".into())),
        }
    }

    fn reject(&mut self, Wrong { problems, shown }: Wrong) -> Refusal {
        error!("Config rejected, the last good one stays in force: {} problem(s)", problems.len());
        for problem in &problems {
            error!("Config problem: {problem}");
        }
        let rejection = Rejection { at: self.now.wall, problems, shown };
        self.surface.tell(News::Rejected(&rejection));
        self.about_config.rejection = Some(rejection.clone());
        Refusal::Rejected(rejection)
    }

    fn put_in_force(&mut self, config: Config) -> Reloaded {
        let difference = difference(&self.config.targets, &config.targets);
        // The protected paths follow from the settings and the disk; a change of them is no change of the config.
        let any_change = self.config.settings != config.settings || self.config.targets != config.targets;
        let was_rejected = self.about_config.rejection.take().is_some();
        // The built-in config may have stood in before; there is a file now.
        self.about_config.path = Some(self.file.clone());
        let now = self.now.wall;
        for (names, why) in
            [(&difference.changed, "the config changed"), (&difference.removed, "the config dropped it")]
        {
            for name in names {
                if let Some(report) = self.runs.cancel(name, why) {
                    self.note_report(report);
                }
            }
        }
        if self.stopped {
            // A stopped schedule stops new targets, too, and those that were not enabled before.
            self.paused.extend(config.targets.iter().map(|target| target.name.clone()));
        }
        for name in &difference.removed {
            self.memory.forget(name);
            self.last_runs.remove(name);
            self.last_measured.remove(name);
            self.last_successes.remove(name);
            self.last_due.remove(name);
            self.skipped_ticks.remove(name);
        }
        if any_change {
            self.about_config.generation += 1;
            self.about_config.in_force_since = now;
        }
        // Settings are applied even without a change: the token in its file may have changed, and a failed setting may
        // work now.
        let Applied { needs_restart, failed } = self.surface.apply(&config.settings);
        self.about_config.needs_restart = needs_restart;
        self.about_config.not_applied = failed;
        self.config = config;
        self.runs.share(self.config.settings.sweeps_per_filesystem, now);
        self.lay_out(now);
        self.keep_word_if_changed();
        for name in difference.added.iter().chain(&difference.changed) {
            self.memory.due(name, now);
        }
        let reloaded = Reloaded {
            generation: self.about_config.generation,
            added: difference.added.len(),
            changed: difference.changed.len(),
            removed: difference.removed.len(),
            any_change,
        };
        self.surface.tell(News::Reloaded(&reloaded));
        self.say_reloaded(&reloaded, was_rejected);
        reloaded
    }

    fn say_reloaded(&self, reloaded: &Reloaded, was_rejected: bool) {
        let Reloaded { generation, added, changed, removed, any_change } = reloaded;
        if *any_change {
            info!("Config reloaded: {added} added, {changed} changed, {removed} removed (generation {generation})");
        } else if was_rejected {
            info!("Config is good again and nothing in it has changed (generation {generation})");
        } else {
            info!("Config read again, nothing in it has changed (generation {generation})");
        }
        for key in &self.about_config.needs_restart {
            warn!("The new value of {key} waits for a restart");
        }
        for failure in &self.about_config.not_applied {
            error!("Could not be applied, it stays as it was: {failure}");
        }
        self.say_unreachable();
    }

    /// Warns of targets whose file system does not answer.
    pub(super) fn say_unreachable(&self) {
        for target in self.config.targets.iter().filter(|target| fsys::is_unreachable(&target.path)) {
            let path = Escaped(target.path.as_os_str().as_bytes());
            warn!(target_name = %target.name, "Unreachable: `{path}` does not answer; runs fail until it does");
        }
    }
}
