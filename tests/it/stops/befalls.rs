//! What befalls a state between two daemons.

use std::any::Any;
use std::fs;

use crate::yard::Yard;

/// Held until the daemon has ended.
pub type Held = Box<dyn Any>;

/// Something that befalls a state between two daemons.
pub struct Befall {
    pub name: &'static str,
    pub befall: fn(&Yard) -> Held,
    /// Whether it can still be known what was stopped.
    pub is_known: bool,
    /// Whether the database can be used.
    pub is_usable: bool,
}

fn nothing() -> Held {
    Box::new(())
}

pub fn away(yard: &Yard, name: &str) {
    let away = yard.directory("away");
    fs::rename(yard.path("state").join(name), away.join(name)).expect("ours");
}

fn database(yard: &Yard) -> rusqlite::Connection {
    rusqlite::Connection::open(yard.path("state/janitor.sqlite")).expect("it is there")
}

pub fn locked(yard: &Yard) -> Held {
    let backup = database(yard);
    backup.execute_batch("BEGIN EXCLUSIVE").expect("it is free");
    Box::new(backup)
}

fn newer(yard: &Yard) -> Held {
    database(yard).pragma_update(None, "user_version", 99).expect("written");
    nothing()
}

fn damaged(yard: &Yard) -> Held {
    fs::write(
        yard.path("state/janitor.sqlite"),
        "this is no database at all, and it is long enough to tell. ".repeat(99),
    )
    .expect("ours");
    nothing()
}

fn damaged_inside(yard: &Yard) -> Held {
    let path = yard.path("state/janitor.sqlite");
    let mut bytes = fs::read(&path).expect("ours");
    bytes[100..].fill(0x55);
    fs::write(path, bytes).expect("ours");
    nothing()
}

fn empty(yard: &Yard) -> Held {
    fs::write(yard.path("state/janitor.sqlite"), "").expect("ours");
    nothing()
}

fn gone(yard: &Yard) -> Held {
    away(yard, "janitor.sqlite");
    nothing()
}

fn directory(yard: &Yard) -> Held {
    away(yard, "janitor.sqlite");
    yard.directory("state/janitor.sqlite");
    nothing()
}

fn link(yard: &Yard) -> Held {
    away(yard, "janitor.sqlite");
    std::os::unix::fs::symlink("../away/janitor.sqlite", yard.path("state/janitor.sqlite")).expect("made");
    nothing()
}

fn stops_gone(yard: &Yard) -> Held {
    away(yard, "stops.json");
    nothing()
}

fn stops_empty(yard: &Yard) -> Held {
    fs::write(yard.path("state/stops.json"), "").expect("ours");
    nothing()
}

fn stops_cut(yard: &Yard) -> Held {
    let path = yard.path("state/stops.json");
    let text = fs::read(&path).expect("ours");
    fs::write(path, &text[..text.len() / 2]).expect("ours");
    nothing()
}

fn stops_directory(yard: &Yard) -> Held {
    away(yard, "stops.json");
    yard.directory("state/stops.json");
    nothing()
}

fn state_is_a_file(yard: &Yard) -> Held {
    fs::rename(yard.path("state"), yard.path("away")).expect("ours");
    fs::write(yard.path("state"), "").expect("ours");
    nothing()
}

pub const BEFALLS: [Befall; 13] = [
    Befall { name: "locked by a backup", befall: locked, is_known: true, is_usable: false },
    Befall { name: "of a newer version", befall: newer, is_known: true, is_usable: false },
    Befall { name: "damaged", befall: damaged, is_known: true, is_usable: true },
    Befall { name: "damaged inside", befall: damaged_inside, is_known: true, is_usable: true },
    Befall { name: "an empty file", befall: empty, is_known: true, is_usable: true },
    Befall { name: "gone", befall: gone, is_known: true, is_usable: true },
    Befall { name: "a directory", befall: directory, is_known: false, is_usable: false },
    Befall { name: "a link", befall: link, is_known: false, is_usable: false },
    Befall { name: "without what says what is stopped", befall: stops_gone, is_known: false, is_usable: true },
    Befall { name: "with an empty file of that", befall: stops_empty, is_known: false, is_usable: true },
    Befall { name: "with half a file of that", befall: stops_cut, is_known: false, is_usable: true },
    Befall { name: "with a directory instead", befall: stops_directory, is_known: false, is_usable: true },
    Befall { name: "a file instead of its directory", befall: state_is_a_file, is_known: false, is_usable: false },
];
