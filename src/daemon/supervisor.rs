//! The supervisor: sole owner of what is due, running and stopped. It takes events and returns effects. It never waits,
//! reads no clock and starts no thread; the shell around it (`shell`) does that.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tracing::{error, info, warn};

use super::handle::{Command, InForce};
use super::memory::Memory;
use super::news::News;
use super::reload::{Answer, Found};
use super::runs::Runs;
use super::status::{ConfigStatus, Status};
use super::surface::{LogHealth, Surface};
use super::word::{self, OperatorWord};
use crate::agenda::Agenda;
use crate::clock::{Mark, Moment};
use crate::config::Config;
use crate::history::{self, Change, Remembered, StateHealth, Stops, Word};
use crate::names::TargetName;
use crate::report::{Report, Trigger};
use crate::sweep::{Control, Order};
use crate::target::Target;
use crate::units::Span;

/// Longest sleep: a wall clock that was set, or a machine that was suspended, is noticed after this time.
const LOOK: Duration = Duration::from_secs(30);

/// Input of the supervisor.
pub(super) enum Event {
    /// Time has passed.
    Tick,
    /// The daemon received SIGHUP.
    Hangup,
    /// A command was sent through a handle.
    Command(Command),
    /// A sweep has ended.
    Ended(Report),
    /// The config was read.
    Found(Found),
    /// The state store reports an event.
    State(history::Event),
    /// A task died, with the reason, or is back.
    Task(&'static str, Option<String>),
    /// The daemon shuts down.
    ShutDown,
}

/// Action that the supervisor requests.
pub(super) enum Effect {
    /// Start a sweep on a thread of its own.
    Launch(Box<Order>, Arc<Control>),
    /// Persist this change.
    Remember(Change),
    /// Persist the stopped schedules; the event that confirms it has this number.
    Keep(Stops, u64),
    /// Read the config again, and report the result to the requester.
    Read(Option<Answer>),
}

/// Initial state of a supervisor.
pub(super) struct Beginning {
    /// Config in force.
    pub(super) config: Config,
    pub(super) about_config: ConfigStatus,
    /// Path of the config file, whether it exists or not.
    pub(super) file: PathBuf,
    pub(super) surface: Box<dyn Surface>,
    pub(super) log: Arc<LogHealth>,
    /// Persisted stops, as far as they are known.
    pub(super) word: Word,
    /// State that an earlier daemon persisted.
    pub(super) remembered: Remembered,
    pub(super) health: Arc<StateHealth>,
    /// Monotonic time of the start.
    pub(super) mark: Mark,
}

/// All scheduling state.
pub(super) struct Supervisor {
    pub(super) config: Config,
    pub(super) agenda: Agenda,
    pub(super) runs: Runs,
    /// Whether the schedule is stopped as a whole: targets that a reload adds are paused, too.
    pub(super) stopped: bool,
    pub(super) paused: BTreeSet<TargetName>,
    pub(super) word: OperatorWord,
    pub(super) last_runs: BTreeMap<TargetName, Arc<Report>>,
    /// Last runs that measured their targets against their limits.
    pub(super) last_measured: BTreeMap<TargetName, Arc<Report>>,
    /// Times at which the last successful runs ended.
    pub(super) last_successes: BTreeMap<TargetName, Timestamp>,
    /// Times at which targets were last due or caught up.
    pub(super) last_due: BTreeMap<TargetName, Timestamp>,
    pub(super) skipped_ticks: BTreeMap<TargetName, u64>,
    pub(super) memory: Memory,
    /// Targets that were due while no daemon was running.
    pub(super) missed: BTreeSet<TargetName>,
    pub(super) about_config: ConfigStatus,
    /// Path of the config file, whether it exists or not.
    pub(super) file: PathBuf,
    pub(super) started: (Timestamp, Mark),
    pub(super) shutting_down: bool,
    pub(super) surface: Box<dyn Surface>,
    pub(super) log: Arc<LogHealth>,
    pub(super) health: Arc<StateHealth>,
    pub(super) dead_tasks: BTreeMap<&'static str, String>,
    /// Clock readings at the event being handled.
    pub(super) now: Moment,
    pub(super) effects: Vec<Effect>,
}

impl Supervisor {
    /// Makes a supervisor, with the agenda laid out.
    pub(super) fn new(beginning: Beginning, now: Moment) -> Self {
        let Beginning { config, about_config, file, surface, log, word, remembered, health, mark } = beginning;
        let memory = Memory::new(&remembered, now);
        let Remembered { last_runs, last_successes, due, .. } = remembered;
        // The last due time of a target that was never run is unknown: the persisted due time may be that of its
        // addition.
        let scheduled = last_runs.iter().filter(|(_, run)| run.trigger != Trigger::Manual);
        let last_due = scheduled.map(|(name, run)| (name.clone(), run.started)).collect();
        let measured = last_runs.iter().filter(|(_, run)| run.has_measured());
        let last_measured = measured.map(|(name, run)| (name.clone(), run.clone())).collect();
        let mut operator = OperatorWord::default();
        let Stops { all, targets } = match word {
            Word::Known(stops) => {
                operator.told(stops.clone());
                stops
            }
            Word::New => Stops::default(),
            Word::Unknown(why) => {
                operator.unknown = Some(why);
                Stops { all: true, targets: BTreeSet::new() }
            }
        };
        let mut agenda = Agenda::default();
        agenda.look_at_clock(now.wall);
        let mut supervisor = Self {
            runs: Runs::new(config.settings.sweeps_per_filesystem),
            config,
            agenda,
            stopped: all,
            paused: targets,
            word: operator,
            last_runs,
            last_measured,
            last_successes,
            last_due,
            skipped_ticks: BTreeMap::new(),
            memory,
            missed: BTreeSet::new(),
            about_config,
            file,
            started: (now.wall, mark),
            shutting_down: false,
            surface,
            log,
            health,
            dead_tasks: BTreeMap::new(),
            now,
            effects: Vec::new(),
        };
        supervisor.forget_others();
        supervisor.lay_out(now.wall);
        supervisor.find_missed(&due, now.wall);
        supervisor.keep_word_if_changed();
        supervisor
    }

    /// Handles an event that happened at `now`.
    pub(super) fn handle(&mut self, event: Event, now: Moment) {
        self.now = now;
        match event {
            Event::Tick => {}
            Event::Hangup => self.on_hangup(),
            Event::Command(command) => self.obey(command),
            Event::Ended(report) => self.note_end(report),
            Event::Found(found) => self.on_found(found),
            Event::State(event) => self.on_state(event),
            Event::Task(name, dead) => self.note_task(name, dead),
            Event::ShutDown => self.shut_down(),
        }
        self.word.look(now.since_boot);
        if !self.shutting_down {
            self.tick();
        }
        self.tell_begun();
    }

    /// Returns the effects since the last call. Changes to persist come before the sweeps that wait for them.
    pub(super) fn take_effects(&mut self) -> Vec<Effect> {
        let mut effects: Vec<Effect> = self.memory.take_changes().into_iter().map(Effect::Remember).collect();
        effects.append(&mut self.effects);
        effects.extend(
            self.runs.take_launches().into_iter().map(|(order, control)| Effect::Launch(Box::new(order), control)),
        );
        effects
    }

    /// Returns the time until the next action, if no event comes before.
    pub(super) fn sleep(&self) -> Duration {
        let next = self.agenda.next().and_then(|next| Duration::try_from(next.duration_since(self.now.wall)).ok());
        let look = if self.word.is_awaited() { word::PATIENCE } else { LOOK };
        next.unwrap_or(look).min(look)
    }

    /// Returns whether no sweep is at work any more, and nobody waits for an answer.
    pub(super) fn is_at_rest(&self) -> bool {
        self.runs.is_idle() && !self.word.is_awaited()
    }

    /// Returns the snapshot for the frontends.
    pub(super) fn status(&self) -> Status {
        Status::of(self)
    }

    fn note_task(&mut self, name: &'static str, dead: Option<String>) {
        match dead {
            Some(why) => {
                error!("A task of the daemon died, which is a bug, and is started anew: {name}: {why}");
                self.dead_tasks.insert(name, why);
            }
            None if self.dead_tasks.remove(name).is_some() => info!("A task of the daemon is back: {name}"),
            None => {}
        }
    }

    fn shut_down(&mut self) {
        info!("Shutting down");
        self.shutting_down = true;
        self.runs.cancel_all("the daemon shuts down");
    }

    /// Puts enabled targets that are not paused on the agenda, and removes all others.
    pub(super) fn lay_out(&mut self, now: Timestamp) {
        let mut wanted = BTreeSet::new();
        for target in &self.config.targets {
            if target.enabled && !self.paused.contains(&target.name) {
                self.agenda.put(&target.name, &target.schedule, &target.zone.tz, now);
                wanted.insert(target.name.clone());
            }
        }
        self.agenda.retain(|name| wanted.contains(name));
    }

    /// Starts the runs that are due.
    fn tick(&mut self) {
        let now = self.now.wall;
        self.surface.look_after_log();
        if let Some(back) = self.agenda.look_at_clock(now) {
            warn!("The wall clock was set back by {}; next runs are counted anew where they follow it", Span(back));
        }
        for name in std::mem::take(&mut self.missed) {
            self.start_scheduled(&name, Trigger::CatchUp, now);
        }
        for name in self.agenda.take_due(now) {
            self.memory.due(&name, now);
            self.start_scheduled(&name, Trigger::Schedule, now);
        }
    }

    fn start_scheduled(&mut self, name: &TargetName, trigger: Trigger, now: Timestamp) {
        let Some(target) = self.target(name.as_str()) else { return };
        self.last_due.insert(name.clone(), now);
        if let Some(busy) = self.runs.busy(name) {
            let skipped = self.skipped_ticks.entry(name.clone()).or_default();
            *skipped += 1;
            warn!(target_name = %name, "Skipped a scheduled run: run {} is still at work ({skipped} so far)", busy.run);
            return;
        }
        let protected = self.config.protected.clone();
        let guards = self.memory.guards(name, self.now);
        self.runs.begin(target, protected, (trigger, false), Vec::new(), guards, now);
    }

    pub(super) fn target(&self, name: &str) -> Option<Arc<Target>> {
        self.config.targets.iter().find(|target| target.name.as_str() == name).cloned()
    }

    fn obey(&mut self, command: Command) {
        // The requester may have stopped waiting for the answer; the command is carried out all the same.
        match command {
            Command::Manual { target, dry_run, answer } => drop(answer.send(self.manual(target.as_deref(), dry_run))),
            Command::Start { target, answer } => {
                let switched = self.start(target.as_deref());
                self.answer_when_kept(switched, answer);
            }
            Command::Stop { target, at_work, answer } => {
                let switched = self.stop(target.as_deref(), at_work);
                self.answer_when_kept(switched, answer);
            }
            Command::Release { which, answer } => drop(answer.send(self.release(&which))),
            Command::InForce { answer } => {
                let Config { targets, sharing, protected, .. } = self.config.clone();
                drop(answer.send(Ok(InForce { targets, sharing, protected })));
            }
            Command::Guards { target, answer } => drop(answer.send(Ok(self.memory.guards(&target, self.now)))),
            Command::Task { name, dead } => self.note_task(name, dead),
            Command::Reload { answer } => self.effects.push(Effect::Read(Some(answer))),
        }
    }

    fn on_hangup(&mut self) {
        self.surface.reopen_log();
        info!("SIGHUP: reading the config again");
        self.effects.push(Effect::Read(None));
    }

    fn on_found(&mut self, found: Found) {
        let Found { reading, checked, answer } = found;
        let outcome = self.take_over(&reading, checked);
        if let Some(answer) = answer {
            drop(answer.send(outcome));
        }
    }

    fn note_end(&mut self, report: Report) {
        let report = self.runs.end(report, self.now.wall);
        self.note_report(report);
    }

    /// Reports the runs that have begun to the frontends.
    fn tell_begun(&mut self) {
        for order in self.runs.take_begun() {
            self.surface.tell(News::RunStarted(&order));
        }
    }

    /// Keeps the last report of a target that still exists.
    pub(super) fn note_report(&mut self, report: Arc<Report>) {
        self.tell_begun();
        self.memory.ended(&report);
        self.surface.tell(News::RunFinished(&report));
        if self.target(report.target.as_str()).is_some() {
            if report.is_success() {
                self.last_successes.insert(report.target.clone(), report.ended());
            }
            if report.has_measured() {
                self.last_measured.insert(report.target.clone(), report.clone());
            }
            self.last_runs.insert(report.target.clone(), report);
        } else {
            // A hold of a target that is gone cannot be released.
            self.memory.forget(&report.target);
        }
    }

    pub(super) fn say_started(&self) {
        const SAID: usize = 20;
        info!("Background cleanup scheduler started successfully");
        for target in self.config.targets.iter().take(SAID) {
            let next = self.agenda.next_of(&target.name);
            let next = next.map(|next| {
                next.to_zoned_datetime(target.zone.tz.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
            });
            let next = next.as_deref().unwrap_or(if target.enabled { "never" } else { "never, it is disabled" });
            info!(target_name = %target.name, "Next run: {next} ({})", target.schedule.text());
        }
        if let Some(more) = self.config.targets.len().checked_sub(SAID).filter(|more| *more > 0) {
            info!("… and {more} more targets");
        }
        self.say_unreachable();
    }
}
