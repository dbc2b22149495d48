//! The guards, and what they hold.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A guard, which refuses a run as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Guard {
    /// More files than `max_deletes` would go.
    MaxDeletes,
    /// What `require` asks for is not there.
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

/// By what a run was held.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// The guard.
    pub guard: Guard,
    /// Files that would have gone, where that was counted.
    pub files: Option<u64>,
}

impl Held {
    /// How many files a release lets go, where they were counted: somewhat more than there were.
    #[must_use]
    pub fn released_files(self) -> Option<u64> {
        self.files.map(|files| files.saturating_add(files / 10))
    }
}
