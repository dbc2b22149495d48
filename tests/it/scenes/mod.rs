//! What the program is interrupted at, by a kill or by a power cut: each scene lays out files, names a command, and knows
//! by itself what has to hold when that was interrupted, and what once the janitor was called again.
//!
//! A file's content says to which path it belongs, and whether it may go (`old`) or must never be lost (`fresh`). So
//! what is found can be judged without knowing where the program was.

mod across;
mod state;
mod strict;
mod trash;
mod whole;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Duration;

use serde_json::Value;

use super::tracer::Call;
use super::yard::{Ran, Yard};

pub use across::Across;
pub use state::{Begun, Commits, Damaged, Migration};
pub use strict::{Conflict, Strict};
pub use trash::{Again, OpenToTrash, ToTrash, Undo, UndoWhole};
pub use whole::{Unit, Whole};

/// The directory of a yard that is on another file system, for scenes that take one.
pub const OTHER: &str = "other";

/// As many points of interruption are tried in a scene on every day.
const POINTS: usize = 600;

/// Of so many points only every so manyth is tried; `None` for all. `JANITOR_EVERY_POINT` asks for all.
pub fn step(points: usize) -> Option<usize> {
    (points > POINTS && std::env::var_os("JANITOR_EVERY_POINT").is_none()).then(|| points.div_ceil(POINTS))
}

const DAY: Duration = Duration::from_secs(86_400);

/// What is wrong, in words.
pub type Wrong = String;

/// Something that may be interrupted.
pub trait Scene: Sync {
    fn name(&self) -> &'static str;

    /// Lays everything out, and says which command is to be interrupted.
    fn lay(&self, yard: &Yard) -> Vec<String>;

    /// Whether it takes a second file system, at [`OTHER`].
    fn needs_other(&self) -> bool {
        false
    }

    /// What somebody else does just before the program makes this call.
    fn meanwhile(&self, _yard: &Yard, _call: &Call) {}

    /// Whether what is there right after the interruption is right; and whether it caught the program in the middle of
    /// something, a file being in neither of the places where it belongs.
    fn at_once(&self, yard: &Yard) -> Result<bool, Wrong>;

    /// Calls the janitor again, and tells whether everything is right then.
    fn afterwards(&self, yard: &Yard) -> Result<(), Wrong>;
}

/// A file of a scene, whose content says what it is.
pub fn put(yard: &Yard, path: &str, what: &str, belongs: &str) {
    fs::write(yard.file(path), format!("{what} {belongs}")).expect("written");
    if what == "old" {
        yard.grow_old(path, DAY * 3);
    }
}

/// An old file, at its place.
pub fn old(yard: &Yard, path: &str) {
    put(yard, path, "old", path);
}

/// A fresh file, at its place.
pub fn fresh(yard: &Yard, path: &str) {
    put(yard, path, "fresh", path);
}

/// The files below these directories: where each content was found.
pub fn found(yard: &Yard, below: &[&str]) -> BTreeMap<String, Vec<String>> {
    fn walk(top: &Path, at: &Path, found: &mut BTreeMap<String, Vec<String>>) {
        for entry in fs::read_dir(at).into_iter().flatten().flatten() {
            let path = entry.path();
            if path.is_dir() {
                walk(top, &path, found);
                continue;
            }
            let shown = path.strip_prefix(top).expect("below").to_string_lossy().into_owned();
            // What the janitor writes for itself: the modes of whole directories, and the notes of the trash.
            if path.is_symlink() || at.ends_with(".janitor-trash") {
                continue;
            }
            let content = fs::read(&path).unwrap_or_else(|error| format!("unreadable: {error}").into_bytes());
            found.entry(String::from_utf8_lossy(&content).into_owned()).or_default().push(shown);
        }
    }
    let mut all = BTreeMap::new();
    let top = yard.path("");
    for directory in below {
        walk(&top, &top.join(directory), &mut all);
    }
    all
}

/// Whether a place is in a slot of this target, and the file is there under its own name.
pub fn in_slot(target: &str, place: &str, belongs: &str) -> bool {
    let slot = place.strip_prefix(&format!("{target}/.janitor-slots/")).and_then(|rest| rest.split_once("/file/"));
    // In between is what stands for the directory that it is from.
    let name = slot.and_then(|(_, inside)| inside.split_once('/')).map(|(_, name)| name);
    name.is_some_and(|name| Path::new(belongs).ends_with(name))
}

/// Checks what was found: every content is one of those that are known, whole, and is there once at the most; and what
/// must not be lost is there. `aside` tells whether a path is a place where the program keeps the file that belongs to
/// another. Whether one was found there.
pub fn account(
    found: &BTreeMap<String, Vec<String>>,
    kept: &[String],
    may_go: &[String],
    aside: impl Fn(&str, &str) -> bool,
) -> Result<bool, Wrong> {
    let mut caught = false;
    for (content, places) in found {
        if !kept.contains(content) && !may_go.contains(content) {
            return Err(format!("{places:?} holds {content:?}, which nobody wrote, or which was to go"));
        }
        let [place] = places.as_slice() else { return Err(format!("{content:?} is there more than once: {places:?}")) };
        let belongs = content.split_once(' ').map_or("", |(_, path)| path);
        if place == belongs {
            continue;
        }
        if !aside(place, belongs) {
            return Err(format!("{content:?} is at {place}"));
        }
        caught = true;
    }
    match kept.iter().find(|content| !found.contains_key(*content)) {
        Some(lost) => Err(format!("lost: {lost:?}; there are {found:?}")),
        None => Ok(caught),
    }
}

/// A state that remembers one run, and which. A scene begins with it, and it must never forget.
fn remembered() -> &'static (Vec<u8>, String) {
    static STATE: OnceLock<(Vec<u8>, String)> = OnceLock::new();
    STATE.get_or_init(|| {
        let yard = Yard::new();
        yard.config("[[target]]\npath = \"known\"\nschedule = \"@daily\"\ninclude = [\"*\"]\n");
        yard.directory("known");
        let run = cleaned(&yard).expect("it works")["run"].as_str().expect("an id").to_owned();
        (fs::read(yard.path("state/janitor.sqlite")).expect("it is there"), run)
    })
}

/// Lays out that state.
pub fn remember(yard: &Yard) {
    lay_state(yard, &remembered().0);
}

/// Lays out a state with this database, in which nothing is stopped.
pub fn lay_state(yard: &Yard, database: &[u8]) {
    let state = yard.directory("state");
    fs::write(state.join("janitor.sqlite"), database).expect("written");
    fs::write(state.join("stops.json"), "{\"all\":false,\"targets\":[]}\n").expect("written");
}

/// The ids of the runs that are remembered.
pub fn history(yard: &Yard) -> Result<Vec<String>, Wrong> {
    // By a config without doors, so that no daemon is asked: not one of another, and not what only holds the port.
    // In a directory of its own, since a config beside files of others is not trusted.
    let reader = tempfile::tempdir().expect("made");
    let config = reader.path().join("janitor.toml");
    let target = "[[target]]\npath = \"nothing\"\nschedule = \"@daily\"\ninclude = [\"*\"]\n";
    let doors = "[admin]\nlisten = \"off\"\nsocket = \"off\"\n";
    let text = format!("state_dir = {:?}\n{doors}{target}", yard.path("state"));
    fs::write(&config, text).expect("written");
    let told = well(yard.run(&["history", "--json", "--config", &config.to_string_lossy()]))?;
    let runs = told.as_array().ok_or("no list of runs")?;
    Ok(runs.iter().filter_map(|run| run["id"].as_str().map(str::to_owned)).collect())
}

/// The state is a whole database that remembers the run it began with, and these.
pub fn state_is_whole(yard: &Yard, also: &[&str]) -> Result<(), Wrong> {
    let runs = history(yard)?;
    let known = remembered().1.as_str();
    if let Some(forgotten) = [known].iter().chain(also).find(|run| !runs.iter().any(|known| known == *run)) {
        return Err(format!("the run {forgotten} is forgotten; there are {runs:?}"));
    }
    integrity(yard)
}

/// SQLite finds nothing wrong with the state, and it was never put aside as damaged.
pub fn integrity(yard: &Yard) -> Result<(), Wrong> {
    let path = yard.path("state/janitor.sqlite");
    let check = || -> rusqlite::Result<String> {
        rusqlite::Connection::open(&path)?.query_row("PRAGMA integrity_check", [], |row| row.get(0))
    };
    match check() {
        Ok(fine) if fine == "ok" => {}
        other => return Err(format!("the state is not whole: {other:?}")),
    }
    match yard.left("state").iter().find(|name| name.contains("damaged")) {
        Some(name) => Err(format!("the state was taken to be damaged: {name}")),
        None => Ok(()),
    }
}

/// What a command printed as JSON, if it succeeded and had nothing to complain of.
pub fn well(ran: Ran) -> Result<Value, Wrong> {
    if ran.code != Some(0) || !ran.err.is_empty() {
        return Err(format!("{ran:?}"));
    }
    Ok(ran.json())
}

/// One run by hand, which has to be done completely. A program that another test is just starting has, for a moment,
/// copies of the handles by which this one wrote its files, so a run that met one in use is made again.
pub fn cleaned(yard: &Yard) -> Result<Value, Wrong> {
    let mut run = Value::Null;
    for _ in 0..10 {
        run = well(yard.run(&["clean", "--json"]))?["runs"][0].clone();
        if run["outcome"] != "done" {
            return Err(format!("{run}"));
        }
        if !run["remarks"].to_string().contains("in use by a process") {
            break;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(run)
}

/// Puts `spare` in the place of `path`, once, as somebody does who writes a file anew.
pub fn replace(yard: &Yard, spare: &str, path: &Path) {
    let spare: PathBuf = yard.path(spare);
    if spare.exists() {
        fs::rename(spare, path).expect("ours");
    }
}
