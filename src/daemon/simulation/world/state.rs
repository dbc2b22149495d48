//! Trouble with the state, and its effects on a daemon at work or starting.

use std::collections::{BTreeMap, VecDeque};

use super::super::super::supervisor::{Beginning, Event, Supervisor};
use super::super::super::tests::beginning;
use super::super::disk::{Disk, File};
use super::super::model::after;
use super::{NAMES, World, name};
use crate::history::{self, Stops, Word};
use crate::names::TargetName;

impl World {
    pub(super) fn fill(&mut self) {
        self.full.insert(name(NAMES[self.dice.below(4) as usize]), true);
    }

    /// Kills a task, or brings it back.
    pub(super) fn task(&mut self) {
        self.dead = !self.dead;
        self.counts.one("task");
        self.handle(Event::Task("config reader", self.dead.then(|| "it panicked".to_owned())));
    }

    /// Plays a random trouble with the state.
    pub(super) fn trouble(&mut self) {
        let disk = &mut self.disk;
        match self.dice.below(7) {
            0 => disk.file_fails = !disk.file_fails,
            1 => disk.database_fails = !disk.database_fails,
            2 => disk.hangs = !disk.hangs,
            3 => {
                disk.vanish();
                // The state is gone until the thread looks.
                self.is_void = true;
            }
            4..=6 if disk.file == File::Damaged => {
                // Somebody restores the file.
                disk.file = disk.saved.take().unwrap_or(File::Damaged);
                if let File::Whole(stops) = &disk.file {
                    self.words.push_front((0, stops.clone()));
                }
            }
            _ => (disk.file_fails, disk.database_fails, disk.hangs) = (false, false, false),
        }
        let Disk { file, file_fails, database_fails, hangs, .. } = &self.disk;
        self.say(|| format!("state: {file:?}, fails: {file_fails} {database_fails}, hangs: {hangs}"));
        self.counts.one("trouble");
        self.handle(Event::Tick);
    }

    /// Lets the thread of the state look at its disk, and passes its events on.
    pub(super) fn look_at_disk(&mut self) {
        self.disk.look();
        while let Some(event) = self.disk.event() {
            self.say(|| format!("{event:?}"));
            self.hear(event);
        }
        if matches!(self.disk.file, File::Whole(_)) {
            self.is_void = false;
        }
    }

    fn hear(&mut self, event: history::Event) {
        let now = self.seconds();
        match &event {
            history::Event::Kept { number, result: Ok(()) } => self.words.retain(|(other, _)| other >= number),
            history::Event::Kept { .. } => {}
            history::Event::Word(stops) if self.model.is_unknown => {
                self.counts.one("word learnt");
                self.model.is_unknown = false;
                self.model.learn(stops, now);
                self.words = VecDeque::from([(0, stops.clone())]);
            }
            history::Event::Word(_) => {}
            history::Event::Returned(remembered) => {
                self.counts.one("state returned");
                let late =
                    |name: &TargetName| remembered.due.contains_key(name) && !self.core.last_due.contains_key(name);
                let late: Vec<_> = self.model.next.keys().filter(|name| late(name)).cloned().collect();
                self.model.may_begin.extend(late);
                for hold in remembered.holds.iter().filter(|hold| self.model.jobs.contains_key(&hold.target)) {
                    if !self.core.last_runs.contains_key(&hold.target) {
                        self.model.holds.insert(hold.target.clone(), hold.run.clone());
                    }
                }
            }
        }
        self.handle(Event::State(event));
    }

    /// Ends the daemon, cleanly or not, and starts another.
    pub(super) fn restart(&mut self) {
        if self.dice.once_in(2) {
            self.handle(Event::ShutDown);
            while !self.active.is_empty() {
                self.end_one();
            }
            self.disk.look();
        }
        self.counts.one("restart");
        let is_written = self.disk.is_written();
        self.asked.clear();
        self.active.clear();
        self.dead = false;
        self.model.released.clear();
        let befalls = self.dice.below(12);
        match befalls {
            0 if self.disk.file != File::Damaged => {
                self.disk.saved = Some(std::mem::replace(&mut self.disk.file, File::Damaged));
            }
            1 => {
                self.disk.file = File::Missing;
                // A store with nothing left looks new.
                self.is_void |= self.disk.database.is_none();
            }
            2 => self.disk.lose_database(),
            _ => {}
        }
        self.pass();
        let (word, remembered) = self.disk.open();
        self.say(|| format!("restart: {word:?}"));
        self.judge(&word);
        let expected: BTreeMap<_, _> = remembered
            .holds
            .iter()
            .map(|hold| (hold.target.clone(), hold.run.clone()))
            .filter(|(name, _)| self.model.jobs.contains_key(name))
            .collect();
        if is_written && befalls != 2 && self.disk.is_written() {
            assert_eq!(expected, self.model.holds, "what was held before");
        }
        let beginning =
            Beginning { word: word.clone(), remembered: remembered.clone(), ..beginning(self.config.clone()) };
        self.core = Supervisor::new(beginning, self.now);
        let now = self.seconds();
        let jobs = std::mem::take(&mut self.model.jobs);
        self.model.begin(jobs, now);
        self.model.holds = expected;
        self.words = VecDeque::from([(0, Stops::default())]);
        match &word {
            Word::Known(stops) => {
                self.words = VecDeque::from([(0, stops.clone())]);
                self.model.learn(stops, now);
            }
            Word::New => {}
            Word::Unknown(_) => {
                self.counts.one("unknown");
                // Earlier stops are lost, until the operator gives a new word.
                self.is_void = true;
                self.model.is_unknown = true;
                self.model.learn(&Stops { all: true, targets: [].into() }, now);
            }
        }
        let is_missed = |name: &&TargetName| {
            let due = remembered.due.get(*name).map(|due| after(due.as_second(), self.model.jobs[*name].period));
            due.is_some_and(|due| due <= now)
        };
        let missed: Vec<_> = self.model.next.keys().filter(is_missed).cloned().collect();
        self.model.may_begin.extend(missed.iter().cloned());
        self.handle(Event::Tick);
        for name in missed {
            self.counts.one("caught up");
            assert!(self.core.runs.busy(&name).is_some(), "{name} was due while no daemon was there");
        }
    }

    /// Checks that a starting daemon knows the acknowledged stops, or knows that it does not.
    fn judge(&self, word: &Word) {
        match word {
            Word::Known(stops) => {
                let is_said = self.words.iter().any(|(_, said)| said == stops);
                assert!(is_said || self.is_void, "{stops:?} was not the last word: {:?}", self.words);
            }
            Word::New => {
                let is_said = self.words.iter().any(|(_, said)| *said == Stops::default());
                assert!(is_said || self.is_void, "forgotten: {:?}", self.words);
            }
            Word::Unknown(_) => {}
        }
    }
}
