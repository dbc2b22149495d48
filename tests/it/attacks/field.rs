//! Where an attack takes place, and who sweeps there: the program under test, or a naive sweeper, which shows that the
//! attack would succeed against a program without care.

use std::cell::RefCell;
use std::fs::{self, Permissions};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::naive::{self, Rule};
use super::{DAY, Told, watch};
use crate::yard::{Filter, Yard};

/// What a run does with what goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    Delete,
    Trash,
    /// `move:`, to a directory of the same file system.
    Within,
    /// `move:`, to another file system.
    Across,
    /// `whole_dirs`, deleted.
    Whole,
}

impl Action {
    pub const ALL: [Self; 5] = [Self::Delete, Self::Trash, Self::Within, Self::Across, Self::Whole];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Trash => "trash",
            Self::Within => "move within",
            Self::Across => "move across",
            Self::Whole => "whole_dirs",
        }
    }

    /// The include that names everything that this action may take.
    pub const fn everything(self) -> &'static str {
        if matches!(self, Self::Whole) { "*" } else { "**" }
    }
}

/// Who sweeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sweeper {
    Janitor,
    /// The program where it opens name by name.
    WithoutOpenat2,
    Naive,
}

/// Longer than any attack takes to succeed once, where it can.
const PATIENCE: Duration = Duration::from_secs(30);

/// How many files are in a directory that goes whole.
pub const IN_UNIT: usize = 3;

/// What files say that must not be lost.
const FRESH: &str = "fresh";

/// Makes what is old and what is fresh.
pub struct Maker {
    pub yard: Yard,
    action: Action,
    /// The names of what is made begin like this, as long as it is aside.
    aside: &'static str,
}

/// The place of one attack with one action.
pub struct Field {
    pub yard: Yard,
    pub action: Action,
    maker: Maker,
    /// On another file system.
    elsewhere: Option<Yard>,
    sweeper: Sweeper,
    rule: RefCell<Rule>,
    began: Instant,
    lasts: Duration,
    kept: AtomicU64,
}

impl Field {
    pub fn new(below: &Path, elsewhere: Option<&Path>, action: Action, sweeper: Sweeper, lasts: Duration) -> Self {
        let yard = Yard::below(below);
        let yard = if sweeper == Sweeper::WithoutOpenat2 { yard.behind(Filter::NoOpenat2) } else { yard };
        for directory in ["archive", "kept"] {
            yard.directory(directory);
        }
        #[expect(clippy::disallowed_methods, reason = "an attack has a length")]
        let began = Instant::now();
        let elsewhere = elsewhere.map(Yard::below);
        let rule = RefCell::new(Rule::default());
        let maker = Maker { yard: Yard::at(&yard.path("")), action, aside: "aside" };
        Self { yard, action, maker, elsewhere, sweeper, rule, began, lasts, kept: AtomicU64::new(0) }
    }

    /// For another thread.
    pub fn maker(&self) -> Maker {
        Maker { yard: Yard::at(&self.yard.path("")), action: self.action, aside: "beside" }
    }

    /// Makes something old that is to go, aside: a file, or a directory where these go whole.
    pub fn old(&self) -> PathBuf {
        self.maker.old()
    }

    /// Makes something fresh, aside, and watches a file of it.
    pub fn fresh(&self) -> (PathBuf, OwnedFd) {
        self.maker.fresh()
    }

    /// Whether the attack goes on: for its time, on a busy machine until it has tried something; against the naive
    /// sweeper until it has succeeded.
    pub fn goes_on(&self, told: &Told) -> bool {
        let time = self.began.elapsed();
        match self.sweeper {
            Sweeper::Janitor | Sweeper::WithoutOpenat2 => time < self.lasts || (told.removed == 0 && time < PATIENCE),
            Sweeper::Naive => told.losses + told.escapes == 0 && time < PATIENCE,
        }
    }

    /// Whether the program under test sweeps.
    pub fn is_janitor(&self) -> bool {
        self.sweeper != Sweeper::Naive
    }

    /// The directory that files are put into; for actions that keep them.
    pub fn destination(&self) -> PathBuf {
        match (self.action, &self.elsewhere) {
            (Action::Trash, _) => self.yard.path(".janitor-trash"),
            (Action::Across, Some(elsewhere)) => elsewhere.path(""),
            _ => self.yard.path("archive"),
        }
    }

    /// Writes the config: a target at `path` that takes what `include` names, and is older than a day if `aged` says so.
    pub fn configure(&self, path: &str, include: &str, aged: bool, more: &str) {
        let action = match self.action {
            Action::Delete => String::new(),
            Action::Trash => "action = \"trash\"".to_owned(),
            Action::Within | Action::Across => format!("action = \"move:{}\"", self.destination().to_string_lossy()),
            Action::Whole => "whole_dirs = true".to_owned(),
        };
        let age = if aged { "older_than = \"1d\"\n" } else { "" };
        super::config(&self.yard, path, &format!("include = [\"{include}\"]\n{age}{action}\n{more}"));
        let target = self.yard.path(path);
        *self.rule.borrow_mut() =
            Rule { target, include: include.to_owned(), aged, action: Some(self.action), to: self.destination() };
    }

    /// One run, which has to end. Counts what it did.
    pub fn sweep(&self, told: &mut Told) -> Value {
        let run = match self.sweeper {
            Sweeper::Janitor | Sweeper::WithoutOpenat2 => super::cleaned(&self.yard),
            Sweeper::Naive => json!({ "deleted": naive::sweep(&self.rule.borrow()), "remarks": [] }),
        };
        told.count(&run);
        self.empty_destination(&run, told);
        run
    }

    /// Takes what has arrived out of the destination. What is fresh there has been lost, and loses its last name; unless
    /// the run says where it is, since it could not put it back.
    fn empty_destination(&self, run: &Value, told: &mut Told) {
        if matches!(self.action, Action::Delete | Action::Whole) {
            return;
        }
        let said = run["remarks"].to_string();
        for path in files_below(&self.destination()) {
            let name = path.file_name().expect("it has a name").to_string_lossy().into_owned();
            if fs::read(&path).is_ok_and(|content| content.starts_with(FRESH.as_bytes())) && said.contains(&name) {
                told.conflicts += 1;
                let number = self.kept.fetch_add(1, Ordering::Relaxed);
                drop(fs::rename(&path, self.yard.path(format!("kept/told-{number}"))));
            } else if !name.ends_with(".json") {
                #[expect(clippy::disallowed_methods, reason = "nobody attacks the destination of this")]
                drop(fs::remove_file(&path));
            }
        }
    }
}

impl Maker {
    /// Makes something old that is to go, aside: a file, or a directory where these go whole.
    pub fn old(&self) -> PathBuf {
        let name = format!("{}-old", self.aside);
        if self.action == Action::Whole { self.unit(&name, "content", true) } else { self.yard.aged(&name, DAY * 30) }
    }

    /// Makes something fresh, aside, and watches a file of it.
    pub fn fresh(&self) -> (PathBuf, OwnedFd) {
        let name = format!("{}-fresh", self.aside);
        if self.action == Action::Whole {
            let unit = self.unit(&name, FRESH, false);
            let watched = watch(&unit.join("0"));
            return (unit, watched);
        }
        let made = self.yard.path(name);
        fs::write(&made, FRESH).expect("written");
        let watched = watch(&made);
        (made, watched)
    }

    fn unit(&self, name: &str, content: &str, old: bool) -> PathBuf {
        let path = self.yard.directory(name);
        fs::set_permissions(&path, Permissions::from_mode(0o777)).expect("ours");
        for number in 0..IN_UNIT {
            fs::write(path.join(number.to_string()), content).expect("written");
            if old {
                self.yard.grow_old(&format!("{name}/{number}"), DAY * 30);
            }
        }
        if old {
            self.yard.grow_old(name, DAY * 30);
        }
        path
    }
}

/// The files below a directory, whose directories nobody swaps.
pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_path_buf()];
    while let Some(at) = waiting.pop() {
        for entry in fs::read_dir(&at).into_iter().flatten().flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                waiting.push(entry.path());
            } else {
                found.push(entry.path());
            }
        }
    }
    found
}

/// The inodes of a file, or of the files in a directory that goes whole.
pub fn inodes(path: &Path) -> Vec<u64> {
    if path.is_dir() && !path.is_symlink() {
        return files_below(path).iter().filter_map(|file| Some(fs::symlink_metadata(file).ok()?.ino())).collect();
    }
    fs::symlink_metadata(path).map(|about| about.ino()).into_iter().collect()
}
