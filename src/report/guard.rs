//! Guards, and the runs that they hold.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A guard, which refuses a run as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    /// More files than `max_deletes` would go.
    MaxDeletes,
    /// The entry that `require` asks for is not there.
    Require,
    /// The root lies on another file system than in the last run.
    Root,
    /// The wall clock cannot be trusted, and ages are asked for.
    Clock,
}

impl fmt::Display for Guard {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::MaxDeletes => "max_deletes",
            Self::Require => "require",
            Self::Root => "root",
            Self::Clock => "clock",
        })
    }
}

/// Hold on a run, with the guard that it is held by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The guard.
    pub guard: Guard,
    /// Files that would have gone, where that was counted.
    pub files: Option<u64>,
}

impl Held {
    /// Returns the number of files that a release lets go, if they were counted: a tenth more than there were.
    #[must_use]
    pub fn released_files(self) -> Option<u64> {
        self.files.map(|files| files.saturating_add(files / 10))
    }
}
