//! Verdicts: whether one entry goes or stays, and why, with the values that decided it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::entry::Kind;
use crate::units::{Bytes, Span};

/// The verdict on one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It goes, for this reason.
    Goes(Reason),
    /// It stays, because of this.
    Stays(Because),
}

/// A reason to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// An include names it, and the policy asks for nothing more.
    Included,
    /// It has reached the age limit.
    OlderThan {
        /// Its age.
        age: Duration,
        /// The limit, `older_than`.
        limit: Duration,
    },
}

/// Why an entry stays: a filter it does not pass, no reason to go, or a protection that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Because {
    /// Filter: it is not a regular file.
    NotRegular(Kind),
    /// Filter: no include names it.
    NotIncluded,
    /// Filter: `larger_than`.
    NotLarger {
        /// Its apparent size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// Filter: `smaller_than`.
    NotSmaller {
        /// Its apparent size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// No reason: it has not reached `older_than`.
    NotOld {
        /// Its age.
        age: Duration,
        /// The limit, `older_than`.
        limit: Duration,
    },
    /// Protection: this `exclude` pattern.
    Excluded(Arc<str>),
    /// Protection: this built-in exclude.
    BuiltIn(&'static str),
    /// Protection: `min_age`.
    MinAge {
        /// Its age.
        age: Duration,
        /// The limit, `min_age`.
        limit: Duration,
    },
    /// Protection: its stamp lies in the future, so it has no age.
    Future,
    /// Protection: its age is asked for, and it has no birth time.
    NoBirthTime,
    /// Protection: something is mounted on it, so it belongs to another file system.
    MountPoint,
    /// A directory that no include reaches into.
    Unreached,
}

impl Verdict {
    /// Whether the entry goes.
    #[must_use]
    pub fn goes(&self) -> bool {
        matches!(self, Self::Goes(_))
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Included => out.write_str("named by an include"),
            Self::OlderThan { age, limit } => write!(out, "age {} >= older_than {}", Span(*age), Span(*limit)),
        }
    }
}

impl fmt::Display for Because {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotRegular(kind) => write!(out, "a {kind}, not a regular file"),
            Self::NotIncluded => out.write_str("no include names it"),
            Self::NotLarger { size, limit } => {
                write!(out, "size {} is not larger_than {}", Bytes(*size), Bytes(*limit))
            }
            Self::NotSmaller { size, limit } => {
                write!(out, "size {} is not smaller_than {}", Bytes(*size), Bytes(*limit))
            }
            Self::NotOld { age, limit } => write!(out, "age {} < older_than {}", Span(*age), Span(*limit)),
            Self::Excluded(pattern) => write!(out, "excluded by `{pattern}`"),
            Self::BuiltIn(pattern) => write!(out, "excluded by the built-in `{pattern}`"),
            Self::MinAge { age, limit } => write!(out, "age {} < min_age {}", Span(*age), Span(*limit)),
            Self::Future => out.write_str("its time stamp lies in the future"),
            Self::NoBirthTime => out.write_str("the file system keeps no birth time"),
            Self::MountPoint => out.write_str("a mount point"),
            Self::Unreached => out.write_str("no include reaches into it"),
        }
    }
}
