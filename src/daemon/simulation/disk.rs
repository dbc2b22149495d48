//! A state store that fails on demand.

use std::collections::VecDeque;
use std::sync::Arc;

use crate::history::{Change, Event, Hold, Remembered, Stops, Word, went_on};
use crate::report::KnownRoot;

/// State of the file of stops.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum File {
    Missing,
    Damaged,
    Whole(Stops),
}

/// The state on its disk, and the thread that owns it.
#[derive(Debug)]
pub(super) struct Disk {
    pub(super) file: File,
    /// Content of the database, if there is one.
    pub(super) database: Option<Remembered>,
    /// Whether writing the file fails.
    pub(super) file_fails: bool,
    /// Whether the database can neither be read nor written.
    pub(super) database_fails: bool,
    /// Whether nothing is answered.
    pub(super) hangs: bool,
    /// State of the file before it was damaged.
    pub(super) saved: Option<File>,
    /// Newest number written since the daemon started.
    pub(super) kept: u64,
    wanted: Option<(Stops, u64)>,
    waiting: VecDeque<Change>,
    is_open: bool,
    asked: VecDeque<(Stops, u64)>,
    events: VecDeque<Event>,
}

impl Disk {
    pub(super) fn new() -> Self {
        Self {
            file: File::Missing,
            database: None,
            file_fails: false,
            database_fails: false,
            hangs: false,
            saved: None,
            kept: 0,
            wanted: None,
            waiting: VecDeque::new(),
            is_open: false,
            asked: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Opens the store for a daemon that starts. Requests of the daemon before that were not carried out are lost.
    pub(super) fn open(&mut self) -> (Word, Remembered) {
        self.kept = 0;
        (self.waiting, self.asked, self.events) = (VecDeque::new(), VecDeque::new(), VecDeque::new());
        let word = match &self.file {
            File::Whole(stops) => Word::Known(stops.clone()),
            File::Missing if self.database.is_none() => Word::New,
            File::Missing => Word::Unknown("it is missing".into()),
            File::Damaged => Word::Unknown("it is damaged".into()),
        };
        self.wanted = match &word {
            Word::Known(stops) => Some((stops.clone(), 0)),
            Word::New => Some((Stops::default(), 0)),
            Word::Unknown(_) => None,
        };
        self.is_open = false;
        if self.file == File::Missing && self.wanted.is_some() && !self.file_fails {
            self.file = File::Whole(Stops::default());
        }
        (word, self.take_database().unwrap_or_default())
    }

    /// Opens the database, unless it is open.
    fn take_database(&mut self) -> Option<Remembered> {
        if self.is_open || self.database_fails || self.wanted.is_some() && self.file == File::Missing {
            return None;
        }
        self.is_open = true;
        Some(self.database.get_or_insert_default().clone())
    }

    pub(super) fn change(&mut self, change: Change) {
        self.waiting.push_back(change);
        self.catch_up();
    }

    pub(super) fn keep(&mut self, stops: Stops, number: u64) {
        self.asked.push_back((stops, number));
        self.answer();
    }

    /// Plays a round of the thread: failed work is tried again.
    pub(super) fn look(&mut self) {
        if self.hangs {
            return;
        }
        self.answer();
        match (&self.wanted, &self.file) {
            (Some((stops, _)), File::Whole(kept)) if stops == kept => {}
            (Some((stops, number)), _) => {
                let result = if self.file_fails { Err("no".into()) } else { Ok(()) };
                if result.is_ok() {
                    self.file = File::Whole(stops.clone());
                    self.kept = *number;
                }
                self.events.push_back(Event::Kept { number: *number, result });
            }
            (None, File::Whole(kept)) => {
                self.wanted = Some((kept.clone(), 0));
                self.events.push_back(Event::Word(kept.clone()));
            }
            (None, _) => {}
        }
        if let Some(remembered) = self.take_database() {
            self.events.push_back(Event::Returned(Box::new(remembered)));
        }
        self.catch_up();
    }

    /// Removes the whole state.
    pub(super) fn vanish(&mut self) {
        (self.file, self.database, self.is_open) = (File::Missing, None, false);
    }

    /// Removes the database, as if it was put aside.
    pub(super) fn lose_database(&mut self) {
        (self.database, self.is_open) = (None, false);
    }

    /// Returns whether the database can be used and has everything that the daemon knows.
    pub(super) fn is_written(&self) -> bool {
        let is_untold = self.events.iter().any(|event| matches!(event, Event::Returned(_)));
        self.is_open && !is_untold && self.database.is_some() && self.waiting.is_empty() && !self.database_fails
    }

    /// Returns the next event for the daemon.
    pub(super) fn event(&mut self) -> Option<Event> {
        self.events.pop_front()
    }

    fn answer(&mut self) {
        while !self.hangs
            && let Some((stops, number)) = self.asked.pop_front()
        {
            let result = if self.file_fails { Err("no".to_owned()) } else { Ok(()) };
            if result.is_ok() {
                self.file = File::Whole(stops.clone());
                self.kept = number;
            }
            self.wanted = Some((stops, number));
            self.events.push_back(Event::Kept { number, result });
        }
    }

    fn catch_up(&mut self) {
        if self.hangs || self.database_fails || !self.is_open {
            return;
        }
        let Some(known) = &mut self.database else { return };
        for change in self.waiting.drain(..) {
            match change {
                Change::Due(target, at) => drop(known.due.insert(target, at)),
                Change::Held(report) => {
                    known.holds.retain(|hold| hold.target != report.target);
                    known.holds.extend(Hold::of(&report));
                }
                Change::Released(run) => known.holds.retain(|hold| hold.run != run),
                Change::Clock(offset) => known.clock_offset = Some(offset),
                Change::Ended(report) => {
                    let target = report.target.clone();
                    let before = known.holds.iter().find(|hold| hold.target == target);
                    match Hold::of(&report) {
                        Some(hold) if before.is_some_and(|before| before.is_confirmed_by(&hold)) => {}
                        Some(hold) => {
                            known.holds.retain(|hold| hold.target != target);
                            known.holds.push(hold);
                        }
                        None if went_on(&report) => known.holds.retain(|hold| hold.target != target),
                        None => {}
                    }
                    if let Some((path, seen)) = &report.root {
                        known.roots.insert(target.clone(), KnownRoot { path: path.clone(), seen: seen.clone() });
                    }
                    known.last_runs.insert(target, Arc::clone(&report));
                }
            }
        }
    }
}
