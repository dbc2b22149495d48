//! World around the supervisor: random events, and the checks after each.

mod state;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::super::handle::{Command, Kept, Refusal, Release, StartedRun, Switched};
use super::super::reload::{Found, Reading};
use super::super::supervisor::{Effect, Event, Supervisor};
use super::super::tests::{beginning, config, target};
use super::super::word::PATIENCE;
use super::Dice;
use super::disk::Disk;
use super::model::{Job, Model, at_work, job};
use crate::clock::Moment;
use crate::config::Config;
use crate::history::Stops;
use crate::names::TargetName;
use crate::needs;
use crate::report::{Counts as Counted, Guard, Held, Outcome, Report, Trigger};
use crate::sweep::{Control, Order};
use crate::target::Target;

const NAMES: [&str; 4] = ["a", "b", "c", "d"];
const SCHEDULES: [(&str, i64); 4] =
    [("*/10 * * * * *", 10), ("*/30 * * * * *", 30), ("* * * * *", 60), ("*/5 * * * *", 300)];

/// Number of files that would be removed where a target is held.
const FILES: u64 = 100;

/// Variants of one target, of which a config may have one.
type Pool = Vec<(Arc<Target>, Job)>;

/// All variants of each target.
static POOL: LazyLock<Vec<Pool>> = LazyLock::new(|| {
    let all = |name: &&str| {
        let mut pool = Vec::new();
        for (schedule, period) in SCHEDULES {
            let plain = target(name, schedule);
            for version in 0..2 {
                for enabled in [true, true, false] {
                    // Half of the targets share a file system.
                    let device = (**name > *"b").then_some(7);
                    let target = Target { enabled, device, max_deletes: Some(version + 1), ..(*plain).clone() };
                    let job = job(&target, period, version);
                    pool.push((Arc::new(target), job));
                }
            }
        }
        pool
    };
    NAMES.iter().map(all).collect()
});

/// Number of times that each kind of event happened.
#[derive(Debug, Default)]
pub(super) struct Counts(BTreeMap<&'static str, u64>);

impl Counts {
    fn one(&mut self, what: &'static str) {
        *self.0.entry(what).or_default() += 1;
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (what, count) in &other.0 {
            *self.0.entry(what).or_default() += count;
        }
    }

    pub(super) fn all(&self) -> &BTreeMap<&'static str, u64> {
        &self.0
    }
}

/// A requester that waits for the answer to a start or a stop.
struct Asked {
    answer: oneshot::Receiver<Result<(Switched, Kept), Refusal>>,
    number: u64,
    since: Duration,
}

pub(super) struct World {
    pub(super) dice: Dice,
    pub(super) counts: Counts,
    is_told: bool,
    now: Moment,
    core: Supervisor,
    model: Model,
    config: Config,
    disk: Disk,
    active: BTreeMap<TargetName, (Order, Arc<Control>)>,
    /// Targets in which a sweep would be held.
    full: BTreeMap<TargetName, bool>,
    asked: Vec<Asked>,
    /// Words that may be found after a restart: the last acknowledged one, and those after it.
    words: VecDeque<(u64, Stops)>,
    /// Whether the state was lost in a way that cannot be made up for.
    is_void: bool,
    dead: bool,
}

fn name(text: &str) -> TargetName {
    TargetName::new(text).expect("a name")
}

fn draw(dice: &mut Dice) -> (Config, BTreeMap<TargetName, Job>) {
    let (mut targets, mut jobs) = (Vec::new(), BTreeMap::new());
    for pool in POOL.iter() {
        if !dice.once_in(4) {
            let (target, job) = dice.pick(pool);
            targets.push(target.clone());
            jobs.insert(target.name.clone(), job.clone());
        }
    }
    (config(targets), jobs)
}

impl World {
    pub(super) fn new(seed: u64, is_told: bool) -> Self {
        let mut dice = Dice(seed);
        let wall = Timestamp::from_second(1_900_000_000 + dice.below(1000) as i64).expect("in range");
        let now = Moment { wall, since_boot: Duration::from_secs(1000) };
        let (config, jobs) = draw(&mut dice);
        let mut disk = Disk::new();
        disk.file_fails = dice.once_in(20);
        let (word, remembered) = disk.open();
        let core =
            Supervisor::new(super::super::supervisor::Beginning { word, remembered, ..beginning(config.clone()) }, now);
        let mut model = Model::default();
        model.begin(jobs, now.wall.as_second());
        let mut world = Self {
            dice,
            counts: Counts::default(),
            is_told,
            now,
            core,
            model,
            config,
            disk,
            active: BTreeMap::new(),
            full: BTreeMap::new(),
            asked: Vec::new(),
            words: VecDeque::from([(0, Stops::default())]),
            is_void: false,
            dead: false,
        };
        world.handle(Event::Tick);
        world
    }

    fn seconds(&self) -> i64 {
        self.now.wall.as_second()
    }

    fn say(&self, what: impl FnOnce() -> String) {
        if self.is_told {
            needs::say(&format!("{} {}", self.now.wall, what()));
        }
    }

    /// Plays one random event.
    pub(super) fn step(&mut self) {
        self.pass();
        match self.dice.below(20) {
            0 => self.switch(true),
            1 | 2 => self.switch(false),
            3 => self.manual(),
            4 => self.release(),
            5 => self.reload(),
            6..=9 => self.end_one(),
            10 => self.trouble(),
            11 => self.fill(),
            12 => self.task(),
            13 => self.restart(),
            14..=16 => self.look_at_disk(),
            _ => self.handle(Event::Tick),
        }
    }

    /// Lets time pass, or sets the clock.
    fn pass(&mut self) {
        let by = match self.dice.below(12) {
            0 => 0,
            1 => 600 + self.dice.below(6000) as i64,
            2 => -(self.dice.below(10_000) as i64),
            3 => -(self.dice.below(50) as i64),
            _ => self.dice.below(35) as i64,
        };
        if by < 0 {
            self.counts.one("clock set back");
        }
        self.now.wall += jiff::SignedDuration::from_secs(by);
        self.now.since_boot += Duration::from_secs(by.clamp(1, 8000).unsigned_abs());
    }

    fn handle(&mut self, event: Event) {
        let skipped = self.core.skipped_ticks.clone();
        self.core.handle(event, self.now);
        let due = if self.core.shutting_down { Vec::new() } else { self.model.due(self.seconds()) };
        for name in due {
            let is_skipped = self.core.skipped_ticks.get(&name) > skipped.get(&name);
            assert!(is_skipped || self.core.runs.busy(&name).is_some(), "a tick of {name} is lost");
            self.counts.one(if is_skipped { "tick skipped" } else { "tick" });
            if !is_skipped {
                self.model.may_begin.insert(name);
            }
        }
        self.carry_out();
        self.look();
    }

    fn carry_out(&mut self) {
        for effect in self.core.take_effects() {
            match effect {
                Effect::Launch(order, control) => self.launch(*order, control),
                Effect::Remember(change) => self.disk.change(change),
                Effect::Keep(stops, number) => {
                    assert_eq!(stops, self.model.stops, "what is kept is what was said");
                    self.say(|| format!("keep {number} {stops:?}"));
                    self.words.push_back((number, stops.clone()));
                    self.disk.keep(stops, number);
                }
                // A dead task answers nobody.
                Effect::Read(_) => self.counts.one("config asked for"),
            }
        }
    }

    fn launch(&mut self, order: Order, control: Arc<Control>) {
        let name = order.target.name.clone();
        self.say(|| format!("begins {name} {:?} {:?}", order.trigger, order.guards.released));
        if order.trigger != Trigger::Manual {
            assert!(!self.model.is_stopped(&name), "{name} is swept though it is stopped");
            assert!(self.model.may_begin.remove(&name), "{name} is swept though it is not due");
            assert!(order.guards.released.is_none(), "the schedule releases nothing");
        }
        if order.guards.released.is_some() {
            assert!(self.model.released.contains(&name), "{name} was not released");
        }
        assert!(self.active.insert(name, (order, control)).is_none(), "two sweeps of one target at once");
    }

    /// Checks the invariants after each event.
    fn look(&mut self) {
        let (core, model) = (&self.core, &self.model);
        assert_eq!((core.stopped, &core.paused), (model.stops.all, &model.stops.targets), "what is stopped");
        assert_eq!(core.word.unknown.is_some(), model.is_unknown, "whether that is known");
        let holds: BTreeMap<_, _> = core.memory.holds().map(|hold| (hold.target.clone(), hold.run.clone())).collect();
        assert_eq!(holds, model.holds, "what is held");
        let names = self.active.keys().filter(|name| core.runs.active(name).is_none()).count();
        assert_eq!(names, 0, "a sweep that nobody knows of");
        if !core.shutting_down {
            let sleep = core.sleep();
            let rest = model.rest(self.now.wall.as_second()).map_or(30, |rest| rest.clamp(0, 30));
            assert!(sleep <= Duration::from_secs(rest.unsigned_abs()), "it sleeps for {sleep:?} of {rest} s");
        }
        assert_eq!(!core.dead_tasks.is_empty(), self.dead);
        let now = self.now.since_boot;
        let (kept, counts) = (self.disk.kept, &mut self.counts);
        self.asked.retain_mut(|asked| match asked.answer.try_recv() {
            Ok(Ok((_, Ok(())))) => {
                assert!(kept >= asked.number, "word {} is acknowledged and not written", asked.number);
                counts.one("kept");
                false
            }
            Ok(_) => {
                counts.one("not kept, and told");
                false
            }
            Err(_) => {
                assert!(now - asked.since < PATIENCE, "an answer is late");
                true
            }
        });
    }

    fn switch(&mut self, is_start: bool) {
        let target = self.dice.once_in(2).then(|| name(NAMES[self.dice.below(4) as usize]));
        let (tell, answer) = oneshot::channel();
        let given = target.as_ref().map(ToString::to_string);
        self.say(|| format!("{} {given:?}", if is_start { "start" } else { "stop" }));
        let is_refused = target.as_ref().is_some_and(|name| self.model.jobs.get(name).is_none_or(|job| !job.enabled));
        let now = self.seconds();
        let command = if is_start {
            if !is_refused {
                self.model.start(target.as_ref(), now);
            }
            Command::Start { target: given, answer: tell }
        } else {
            if !is_refused {
                self.model.stop(target.as_ref(), now);
            }
            Command::Stop { target: given, at_work: at_work(self.dice.once_in(3)), answer: tell }
        };
        self.counts.one(if is_start { "start" } else { "stop" });
        if !is_refused {
            let number = self.words.back().map_or(0, |(number, _)| *number) + 1;
            self.asked.push(Asked { answer, number, since: self.now.since_boot });
        }
        self.handle(Event::Command(command));
    }

    fn manual(&mut self) {
        let target = self.dice.once_in(2).then(|| (*self.dice.pick(&NAMES)).to_owned());
        let (answer, _gone) = oneshot::channel();
        self.counts.one("manual");
        self.handle(Event::Command(Command::Manual { target, dry_run: false, answer }));
    }

    /// Releases a held run, and tries to release it once more.
    fn release(&mut self) {
        let Some((name, run)) = self.model.holds.iter().next().map(|(name, run)| (name.clone(), run.clone())) else {
            return;
        };
        let which = if self.dice.once_in(2) { Release::Run(run) } else { Release::Target(name.to_string()) };
        let may = self.model.jobs.get(&name).is_some_and(|job| job.enabled) && self.core.runs.busy(&name).is_none();
        if may {
            self.model.holds.remove(&name);
            self.model.released.insert(name.clone());
            self.counts.one("released");
        }
        for is_first in [true, false] {
            let (tell, mut answer) = oneshot::channel::<Result<StartedRun, Refusal>>();
            self.handle(Event::Command(Command::Release { which: which.clone(), answer: tell }));
            let answer = answer.try_recv().expect("at once");
            self.say(|| format!("release {which:?}: {answer:?}"));
            assert_eq!(answer.is_ok(), may && is_first, "a release is used once");
        }
    }

    fn reload(&mut self) {
        let (config, jobs) = draw(&mut self.dice);
        let (answer, now) = (None, self.seconds());
        let reading = Reading::Text("a text".into());
        let found = match self.dice.below(5) {
            0 => Found { reading: Reading::Absent("it is gone".into()), checked: None, answer },
            1 => Found { reading, checked: Some(Err("it is wrong".into())), answer },
            _ => {
                self.say(|| format!("reload {jobs:?}"));
                self.counts.one("reload");
                self.model.reload(jobs, now);
                self.config = config.clone();
                Found { reading, checked: Some(Ok(config)), answer }
            }
        };
        self.handle(Event::Found(found));
    }

    /// Ends a sweep.
    fn end_one(&mut self) {
        let at = self.dice.below(self.active.len().max(1) as u64) as usize;
        let Some(name) = self.active.keys().nth(at).cloned() else { return };
        let (order, control) = self.active.remove(&name).expect("it is there");
        let report = self.swept(&order, &control);
        self.say(|| format!("ends {name} {}", report.outcome));
        self.model.released.remove(&name);
        if self.model.jobs.contains_key(&name) {
            match report.outcome {
                Outcome::Held => drop(self.model.holds.entry(name).or_insert_with(|| report.run.clone())),
                Outcome::Done => drop(self.model.holds.remove(&name)),
                _ => {}
            }
        }
        self.handle(Event::Ended(report));
    }

    /// Returns the report of a sweep.
    fn swept(&mut self, order: &Order, control: &Control) -> Report {
        if let Some(why) = control.cancelled() {
            self.counts.one("cancelled");
            return order.not_run(Outcome::Cancelled, why);
        }
        if self.dice.once_in(15) {
            self.counts.one("failed");
            return order.not_run(Outcome::Failed, "it panicked");
        }
        let full = self.full.entry(order.target.name.clone()).or_default();
        let guard = Guard::MaxDeletes;
        if *full && order.guards.released.is_none_or(|held| held.guard != guard) {
            self.counts.one("held");
            let held = Some(Held { guard, files: Some(FILES) });
            return Report { held, ..order.not_run(Outcome::Held, "too many") };
        }
        if *full {
            self.counts.one("swept what was held");
            assert!(self.model.released.contains(&order.target.name), "swept though it was not released");
            *full = false;
        }
        Report {
            counts: Counted { deleted: 1, ..Counted::default() },
            message: None,
            ..order.not_run(Outcome::Done, "")
        }
    }
}
