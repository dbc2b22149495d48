//! The thread that owns the state. It carries out its orders in turn, tries again what cannot be done now, and reports
//! what became of each.

use std::collections::VecDeque;
use std::ffi::OsStr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use super::db::{self, Db};
use super::lock::Lock;
use super::stops::{self, Stops, Word};
use super::{Change, Event, InUse, MODE, Remembered, StateHealth, cannot_use, shown};
use crate::clock::{self, Mark};
use crate::entry::Identity;
use crate::fsys::{Denied, OwnDir, Purpose, Trust};

/// Pause before a state that cannot be used is tried again.
const RETRY: Duration = Duration::from_secs(5);

/// Interval between looks at a state that can be used: somebody may have removed it.
const LOOK: Duration = Duration::from_secs(30);

/// Maximum number of changes that wait until they can be written. The oldest are dropped when there are more.
const MOST_WAITING: usize = 10_000;

/// Order to the thread.
pub(super) enum Told {
    Change(Change),
    /// Stops that apply from now on. The number comes back with the result.
    Keep(Stops, u64),
    /// Request to answer once everything that was told before is on the disk, or cannot be for now.
    Settle(mpsc::Sender<()>),
    /// End of the work.
    End,
    #[cfg(test)]
    With(Box<dyn FnOnce(&mut Db) + Send>),
}

/// Listener for events of the state.
pub(super) type Hear = Box<dyn FnMut(Event) + Send>;

/// The state directory, ours alone.
struct Place {
    own: OwnDir,
    _lock: Lock,
}

/// The open database, and the identity of its file.
struct OpenDb {
    db: Db,
    file: Identity,
}

/// Owner of the state.
pub(super) struct Keeper {
    dir: PathBuf,
    boot: String,
    place: Option<Place>,
    db: Option<OpenDb>,
    /// Stops, with the number of the last order that set them; `None` while they are not known.
    word: Option<(Stops, u64)>,
    is_kept: bool,
    waiting: VecDeque<Change>,
    health: Arc<StateHealth>,
    looked: Mark,
    hear: Hear,
}

/// Reason for which the state cannot be used.
enum Trouble {
    InUse(InUse),
    /// The reason in words, and whether the rule of trust was broken.
    Other(String, bool),
}

impl Trouble {
    fn of(why: impl std::fmt::Display) -> Self {
        Self::Other(why.to_string(), false)
    }
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::InUse(in_use) => in_use.fmt(out),
            Self::Other(why, _) => out.write_str(why),
        }
    }
}

impl Keeper {
    /// Opens what can be opened. Returns what is known of the operator's word, and what is remembered.
    ///
    /// # Errors
    /// Fails with [`InUse`] when another daemon has the state.
    pub(super) fn open(dir: PathBuf, health: Arc<StateHealth>) -> Result<(Self, Word, Remembered), InUse> {
        let mut keeper = Self {
            dir,
            boot: super::boot(),
            place: None,
            db: None,
            word: None,
            is_kept: false,
            waiting: VecDeque::new(),
            health,
            looked: clock::mark(),
            hear: Box::new(|_| {}),
        };
        let opened = keeper.take_place().and_then(|()| {
            keeper.check()?;
            keeper.learn(&keeper.read_word());
            keeper.take_db()
        });
        let (word, remembered) = match opened {
            Ok(remembered) => (keeper.read_word(), remembered.unwrap_or_default()),
            Err(Trouble::InUse(in_use)) => return Err(in_use),
            Err(Trouble::Other(why, is_breach)) => {
                keeper.health.set(Some(why.clone()));
                // A file that breaks the rule of trust was put there by somebody who may have taken another away.
                let word = if is_breach { Word::Unknown(why) } else { keeper.read_word() };
                (word, Remembered::default())
            }
        };
        keeper.learn(&word);
        Ok((keeper, word, remembered))
    }

    /// Takes over the stops that were read.
    fn learn(&mut self, word: &Word) {
        self.is_kept = matches!(word, Word::Known(_));
        self.word = match word {
            Word::Known(stops) => Some((stops.clone(), 0)),
            Word::New => Some((Stops::default(), 0)),
            Word::Unknown(_) => None,
        };
    }

    /// Reads the stops, also from a directory that is not ours, but can be read.
    fn read_word(&self) -> Word {
        if let Some(place) = &self.place {
            return stops::read(&place.own);
        }
        match Trust::of_process().directory(Purpose::State, &self.dir, None) {
            Ok(own) => stops::read(&own),
            Err(denied) if denied.is_missing() => Word::New,
            Err(denied) => Word::Unknown(cannot_use(&self.dir, &denied)),
        }
    }

    /// Carries out orders until the end, and reports to `hear` what becomes of them.
    pub(super) fn serve(mut self, work: &mpsc::Receiver<Told>, hear: Hear) {
        self.hear = hear;
        loop {
            let pause = if self.is_well() { LOOK } else { RETRY };
            let told = match work.recv_timeout(pause.saturating_sub(self.looked.elapsed())) {
                Ok(told) => Some(told),
                Err(mpsc::RecvTimeoutError::Timeout) => None,
                Err(mpsc::RecvTimeoutError::Disconnected) => Some(Told::End),
            };
            let is_end = matches!(told, Some(Told::End));
            // A mistake of ours must not end the thread: every later order would be forgotten without a word.
            let step = catch_unwind(AssertUnwindSafe(|| {
                self.told(told);
                if is_end || self.looked.elapsed() >= pause {
                    self.look();
                }
            }));
            if step.is_err() {
                self.trouble(&"the janitor panicked in it, which is a bug");
                (self.db, self.place) = (None, None);
                // The change at hand may be the one that causes the panic.
                self.waiting.pop_front();
                self.looked = clock::mark();
            }
            if is_end {
                return;
            }
        }
    }

    fn told(&mut self, told: Option<Told>) {
        match told {
            Some(Told::Change(change)) => {
                self.waiting.push_back(change);
                if self.waiting.len() > MOST_WAITING {
                    self.waiting.pop_front();
                }
                // A state that is in trouble is tried again only after a pause.
                if self.health.error().is_none() {
                    self.catch_up();
                }
            }
            Some(Told::Keep(stops, number)) => {
                self.word = Some((stops, number));
                self.keep();
            }
            // The one who waits may have given up.
            Some(Told::Settle(done)) => drop(done.send(())),
            Some(Told::End) | None => {}
            #[cfg(test)]
            Some(Told::With(work)) => {
                if let Some(open) = &mut self.db {
                    work(&mut open.db);
                }
            }
        }
    }

    /// Returns whether nothing has to be tried again.
    fn is_well(&self) -> bool {
        self.health.error().is_none() && self.db.is_some() && self.word.is_some() && self.is_kept
    }

    fn trouble(&self, why: &dyn std::fmt::Display) {
        if self.health.error().is_none() {
            tracing::error!("The state cannot be used, and what happens is remembered once it can be: {why}");
        }
        self.health.set(Some(why.to_string()));
    }

    /// Checks whether everything is as it should be, and tries to make it so.
    fn look(&mut self) {
        self.looked = clock::mark();
        let looked = self.take_place().and_then(|()| self.check());
        if let Err(trouble) = looked {
            return self.trouble(&trouble);
        }
        self.look_at_word();
        match self.take_db() {
            Ok(returned) => {
                if let Some(remembered) = returned {
                    (self.hear)(Event::Returned(Box::new(remembered)));
                }
                self.catch_up();
            }
            Err(trouble) => self.trouble(&trouble),
        }
    }

    /// Takes the directory, unless it is ours already.
    fn take_place(&mut self) -> Result<(), Trouble> {
        if let Some(place) = &self.place {
            if place.own.is_still_there() {
                return Ok(());
            }
            tracing::error!("The state directory `{}` is gone, or another one is in its place", shown(&self.dir));
            (self.db, self.place, self.is_kept) = (None, None, false);
        }
        let denied = |denied: Denied| Trouble::Other(cannot_use(&self.dir, &denied), denied.is_breach());
        let own = Trust::of_process().directory(Purpose::State, &self.dir, Some(MODE)).map_err(denied)?;
        let lock = Lock::take(&own).map_err(denied)?;
        let Some(lock) = lock else { return Err(Trouble::InUse(InUse(self.dir.clone()))) };
        for warning in own.warnings() {
            tracing::warn!("The state directory `{}` may not be trusted: {warning}", shown(&self.dir));
        }
        self.place = Some(Place { own, _lock: lock });
        Ok(())
    }

    /// Judges the database by the rule of trust.
    fn check(&self) -> Result<(), Trouble> {
        let denied = |denied: Denied| Trouble::Other(cannot_use(&self.dir, &denied), denied.is_breach());
        self.place.as_ref().map_or(Ok(()), |place| db::check(&place.own).map_err(denied))
    }

    /// Writes the stops down where the file does not have them; or learns them from the file, where they were not
    /// known.
    fn look_at_word(&mut self) {
        let read = self.read_word();
        match (&self.word, read) {
            (Some((stops, _)), Word::Known(read)) if *stops == read => self.is_kept = true,
            (Some(_), _) => self.keep(),
            (None, Word::Known(read)) => {
                self.word = Some((read.clone(), 0));
                self.is_kept = true;
                (self.hear)(Event::Word(read));
            }
            // A state that is new now was not known to be new before.
            (None, Word::New | Word::Unknown(_)) => {}
        }
    }

    /// Writes the stops down, and reports the result.
    fn keep(&mut self) {
        let Some((stops, number)) = self.word.clone() else { return };
        let written = self.take_place().and_then(|()| match &self.place {
            Some(place) => stops::write(&place.own, &stops).map_err(|error| {
                let at = shown(&self.dir.join(crate::config::STOPS_FILE));
                Trouble::of(format!("what is stopped cannot be written to `{at}`: {error}"))
            }),
            None => Err(Trouble::of("the state directory cannot be used")),
        });
        self.is_kept = written.is_ok();
        if let Err(trouble) = &written {
            self.trouble(trouble);
        }
        let result = written.map_err(|trouble| trouble.to_string());
        (self.hear)(Event::Kept { number, result });
    }

    /// Opens the database, unless it is open. Returns what the database remembers if it was opened now.
    fn take_db(&mut self) -> Result<Option<Remembered>, Trouble> {
        let Some(place) = &self.place else { return Ok(None) };
        let file = |own: &OwnDir| own.entry(OsStr::new(db::FILE)).ok().flatten().map(|entry| entry.identity);
        if let Some(open) = &self.db {
            if file(&place.own) == Some(open.file) {
                return Ok(None);
            }
            tracing::error!("The database in `{}` is gone, or another one is in its place", shown(&self.dir));
            self.db = None;
        }
        if self.word.is_some() && !self.is_kept {
            // A state that has a database has the file of the stops, too, so that file comes first.
            self.keep();
            if !self.is_kept && file(&self.place.as_ref().ok_or_else(|| Trouble::of("it is gone"))?.own).is_none() {
                return Err(Trouble::of(self.health.error().unwrap_or_default()));
            }
        }
        let Some(place) = &self.place else { return Ok(None) };
        let opened = Db::open(&place.own, clock::wall()).and_then(|mut db| {
            let remembered = db.remembered(&self.boot)?;
            Ok((db, remembered))
        });
        let cannot = |error| format!("the state in `{}` cannot be used: {error}", shown(&self.dir));
        let (db, remembered) = opened.map_err(|error| Trouble::of(cannot(error)))?;
        let file = file(&place.own).ok_or_else(|| Trouble::of("the database was removed while it was opened"))?;
        self.db = Some(OpenDb { db, file });
        Ok(Some(remembered))
    }

    /// Writes the changes that wait.
    fn catch_up(&mut self) {
        let is_there = self.take_place().and_then(|()| self.take_db());
        match is_there {
            Ok(None) => {}
            Ok(Some(remembered)) => (self.hear)(Event::Returned(Box::new(remembered))),
            Err(trouble) => return self.trouble(&trouble),
        }
        if let (Some(open), Some(_)) = (&self.db, self.health.error()) {
            // The disk may be full of our own journal.
            open.db.shrink();
        }
        while let (Some(open), Some(change)) = (&mut self.db, self.waiting.front()) {
            match open.db.apply(change, &self.boot) {
                Err(error) if db::may_pass(&error) => {
                    // A damaged database is put aside when it is opened.
                    if db::is_no_good(&error) {
                        self.db = None;
                    }
                    return self.trouble(&error);
                }
                Err(error) => tracing::error!("A change of the state cannot be written, and is forgotten: {error}"),
                Ok(()) => {}
            }
            self.waiting.pop_front();
        }
        if self.db.is_some() && (self.is_kept || self.word.is_none()) && self.health.error().is_some() {
            tracing::info!("The state can be used again");
            self.health.set(None);
        }
    }
}
