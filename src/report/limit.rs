//! The limits of a target that a run can miss.

use serde::{Deserialize, Serialize};

use crate::units::Bytes;

/// A limit on all candidates together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitKey {
    /// `max_size`, in bytes.
    MaxSize,
    /// `max_files`, in files.
    MaxFiles,
    /// `min_free`, in bytes.
    MinFree,
}

impl LimitKey {
    /// Returns the key in the config.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::MaxSize => "max_size",
            Self::MaxFiles => "max_files",
            Self::MinFree => "min_free",
        }
    }

    /// Returns how much is missing to the limit, in words.
    #[must_use]
    pub fn short_of(self, missing: u64) -> String {
        let over = if self == Self::MinFree { "below" } else { "over" };
        let short = match self {
            Self::MaxFiles => format!("{missing} files"),
            Self::MaxSize | Self::MinFree => Bytes(missing).to_string(),
        };
        format!("still {short} {over} {}", self.word())
    }
}
