//! The stops of the operator: a small file of its own beside the database, so that a database that is damaged, locked,
//! newer, full or gone cannot lose them.
//!
//! The file is there from the first start on, also while nothing is stopped. So a state without the file has lost it,
//! and then nobody can say what was stopped.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;

use serde::{Deserialize, Serialize};

use super::db;
use crate::config::STOPS_FILE;
use crate::fsys::{Denied, OwnDir};
use crate::names::TargetName;

/// Size of the largest file that is read, in bytes. The file holds names of targets, of which nobody has more.
const LONGEST: u64 = 16 << 20;

/// Stops of the operator.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stops {
    /// Whether the schedule is stopped as a whole, also for targets that are new.
    pub all: bool,
    /// Targets whose schedule is stopped, by name, whether or not the config has them.
    pub targets: BTreeSet<TargetName>,
}

/// Knowledge of the operator's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Word {
    /// The stops are known.
    Known(Stops),
    /// The state is new, so nothing is stopped.
    New,
    /// The stops cannot be known, for this reason. The schedule is stopped then.
    Unknown(String),
}

impl Stops {
    /// Parses the text of the file.
    fn parse(text: &[u8]) -> Result<Self, String> {
        if text.is_empty() {
            return Err("it is empty".to_owned());
        }
        serde_json::from_slice(text).map_err(|error| error.to_string())
    }

    fn text(&self) -> io::Result<Vec<u8>> {
        let mut text = serde_json::to_vec(self)?;
        text.push(b'\n');
        Ok(text)
    }
}

/// Returns the operator's word in the file. A state without a file is new where it has no database either.
fn word(read: Result<Vec<u8>, Denied>, has_database: bool) -> Word {
    let unknown = |why: &dyn std::fmt::Display| {
        Word::Unknown(format!("`{STOPS_FILE}` in the state directory says what is stopped, and {why}"))
    };
    match read {
        Ok(text) => Stops::parse(&text).map_or_else(|why| unknown(&format!("cannot be read: {why}")), Word::Known),
        Err(denied) if denied.is_missing() && !has_database => Word::New,
        Err(denied) if denied.is_missing() => unknown(&"is not there, though there is a database"),
        Err(denied) => unknown(&format!("cannot be read: {denied}")),
    }
}

/// Returns whether a state directory has a database, or remains of one.
fn has_database(dir: &OwnDir) -> bool {
    // A directory that cannot be listed is taken to have one.
    let is_of_one = |name: &std::ffi::OsString| name.as_encoded_bytes().starts_with(db::FILE.as_bytes());
    dir.names().map_or(true, |names| names.iter().any(is_of_one))
}

/// Reads the stops.
pub(super) fn read(dir: &OwnDir) -> Word {
    let text = dir.file(OsStr::new(STOPS_FILE)).and_then(|file| file.read(LONGEST)).map(|read| read.bytes);
    word(text, has_database(dir))
}

/// Writes the stops whole or not at all. They are on the disk before this function returns.
pub(super) fn write(dir: &OwnDir, stops: &Stops) -> io::Result<()> {
    dir.file(OsStr::new(STOPS_FILE)).map_err(io::Error::other)?.put(&stops.text()?)
}

/// Makes the file in a new state, before the database: a state that has a database has the file.
pub(super) fn begin(dir: &OwnDir) -> io::Result<()> {
    if has_database(dir) {
        return Ok(());
    }
    match dir.file(OsStr::new(STOPS_FILE)).map_err(io::Error::other)?.begin(&Stops::default().text()?) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        done => done,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> TargetName {
        TargetName::new(text).expect("a name")
    }

    #[test]
    fn what_is_written_is_read_and_anything_else_is_unknown() {
        for stops in [
            Stops::default(),
            Stops { all: true, targets: BTreeSet::new() },
            Stops { all: false, targets: [name("a"), name("ü \"x\"")].into() },
        ] {
            assert_eq!(word(Ok(stops.text().expect("text")), true), Word::Known(stops));
        }
        for text in [
            "",
            "\n",
            "{",
            "{}",
            "[]",
            "null",
            "{\"all\":true}",
            "{\"all\":1,\"targets\":[]}",
            "{\"all\":false,\"targets\":[],\"until\":1}",
            "{\"all\":false,\"targets\":[\"\"]}",
            "{\"all\":false,\"targets\":[]}{}",
            "\0\0\0\0",
        ] {
            assert!(matches!(word(Ok(text.into()), true), Word::Unknown(_)), "{text}");
        }
        // Every half of what was written.
        let whole = Stops { all: false, targets: [name("a"), name("b")].into() }.text().expect("text");
        for end in 0..whole.len() - 2 {
            assert!(matches!(word(Ok(whole[..end].to_vec()), true), Word::Unknown(_)), "{end}");
        }
    }

    #[test]
    fn a_state_without_the_file_is_new_only_where_nothing_else_is_there() {
        let missing = || Err(Denied::Missing(STOPS_FILE.into()));
        assert_eq!(word(missing(), false), Word::New);
        assert!(matches!(word(missing(), true), Word::Unknown(_)));
        for has_database in [false, true] {
            assert!(matches!(word(Err(Denied::NotRegular(STOPS_FILE.into())), has_database), Word::Unknown(_)));
        }
    }
}
