//! Verdicts: whether one entry goes or stays, and why, with the values that decided it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::entry::Kind;
use crate::units::{Bytes, Span};

mod protection;

pub use protection::Protection;

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
    /// The candidates are larger together than `max_size`, and it is among the first to go.
    MaxSize {
        /// What they have together, in allocated bytes.
        total: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// There are more candidates than `max_files`, and it is among the first to go.
    MaxFiles {
        /// How many there are.
        total: u64,
        /// The limit.
        limit: u64,
    },
    /// The file system has less free space than `min_free`, and it is among the first to go.
    MinFree {
        /// What was free, in bytes.
        free: u64,
        /// What is to be free, in bytes.
        limit: u64,
    },
    /// A directory that has become empty in this run.
    Emptied,
    /// A directory that was empty before, for long enough.
    Empty {
        /// Its age.
        age: Duration,
        /// The limit.
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
    /// Protection: a directory of another file system that is no mount point: a subvolume or a snapshot.
    OtherFileSystem,
    /// Protection: it is immutable or append-only, so nothing can remove it.
    Immutable,
    /// Protection: its directory is immutable or append-only, so nothing can be removed from it.
    InImmutable,
    /// Protection: the system refused to remove it.
    Refused(Box<str>),
    /// Protection: `keep_newest`.
    KeepNewest(usize),
    /// Protection: `skip_open`, and a process has it open, mapped or executing.
    InUse,
    /// Protection: `skip_open`, and this system cannot tell whether it is in use.
    UseUnknown(Box<str>),
    /// Protection: it is what `require` asks for.
    Required,
    /// Protection: this entry of a directory that goes or stays whole is to stay.
    Inside {
        /// Its path relative to that directory, escaped.
        entry: Box<str>,
        /// Why it is to stay.
        because: Box<Because>,
    },
    /// Protection: it was changed after it was judged.
    Changed,
    /// Protection: a process holds a lock on it (flock(2)).
    Locked,
    /// Protection: another file was under its name. It could not be put back, and is kept at this path.
    Conflict(Box<str>),
    /// Protection: others can write in its directory, and it cannot be verified there that it is the file that was judged.
    Unverifiable(Box<str>),
    /// Protection: it was put back from the trash within a day.
    Restored,
    /// Protection: it cannot be looked at.
    Unreadable(Box<str>),
    /// Protection: it has the sticky bit, below `/run/user`: a program says that it is to stay (XDG base directories).
    Sticky,
    /// Protection: the work directory of an overlay, which is empty and in use.
    OverlayWork,
    /// Protection: the system does not let the janitor's user remove it, for this reason.
    NotAllowed(&'static str),
    /// Protection: it belongs to this other target, which is nested in this one.
    OtherTarget(Arc<str>),
    /// Protection: a directory deeper than a path can say in one piece, and made after the run began: somebody makes
    /// the tree deeper as fast as it is walked.
    Growing,
    /// Guard: more files than `max_deletes` would go.
    MaxDeletes(u64),
    /// No reason: every limit holds without it.
    WithinLimits,
    /// A directory that no include reaches into.
    Unreached,
}

impl Because {
    /// Whether a process uses it, or that cannot be told. A survey asks for that only where `skip_open` says so.
    #[must_use]
    pub fn is_use(&self) -> bool {
        match self {
            Self::InUse | Self::Locked | Self::UseUnknown(_) | Self::Unverifiable(_) => true,
            Self::Inside { because, .. } => because.is_use(),
            _ => false,
        }
    }

    /// Returns the protection; `None` for filters and missing reasons.
    #[must_use]
    pub fn protection(&self) -> Option<Protection> {
        Some(match self {
            Self::Excluded(_) => Protection::Exclude,
            Self::BuiltIn(_) => Protection::BuiltInExclude,
            Self::MinAge { .. } => Protection::MinAge,
            Self::Future => Protection::FutureDate,
            Self::NoBirthTime => Protection::NoBirthTime,
            Self::MountPoint => Protection::MountPoint,
            Self::OtherFileSystem => Protection::OtherFileSystem,
            Self::Immutable | Self::InImmutable => Protection::Immutable,
            Self::Refused(_) => Protection::System,
            Self::KeepNewest(_) => Protection::KeepNewest,
            Self::InUse | Self::UseUnknown(_) => Protection::SkipOpen,
            Self::Required => Protection::Require,
            Self::Inside { .. } => Protection::WholeDirs,
            Self::Changed => Protection::Changed,
            Self::Locked => Protection::Locked,
            Self::Restored => Protection::Restored,
            Self::Conflict(_) => Protection::Conflict,
            Self::Unverifiable(_) => Protection::Unverifiable,
            Self::Unreadable(_) => Protection::Unreadable,
            Self::Sticky => Protection::StickyBit,
            Self::OverlayWork => Protection::Overlay,
            Self::NotAllowed(_) => Protection::NotAllowed,
            Self::OtherTarget(_) => Protection::OtherTarget,
            Self::Growing => Protection::Growing,
            Self::MaxDeletes(_) => Protection::MaxDeletes,
            Self::NotRegular(_)
            | Self::NotIncluded
            | Self::NotLarger { .. }
            | Self::NotSmaller { .. }
            | Self::NotOld { .. }
            | Self::WithinLimits
            | Self::Unreached => return None,
        })
    }
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
            Self::MaxSize { total, limit } => {
                write!(out, "{} together > max_size {}", Bytes(*total), Bytes(*limit))
            }
            Self::MaxFiles { total, limit } => write!(out, "{total} files > max_files {limit}"),
            Self::MinFree { free, limit } => write!(out, "{} free < min_free {}", Bytes(*free), Bytes(*limit)),
            Self::Emptied => out.write_str("it has become empty"),
            Self::Empty { age, limit } => write!(out, "empty for {} >= {}", Span(*age), Span(*limit)),
        }
    }
}

impl Because {
    /// Returns the words without names of files, for whoever may not see these.
    #[must_use]
    pub fn without_names(&self) -> String {
        match self {
            Self::Inside { because, .. } => format!("something in it stays: {}", because.without_names()),
            Self::Conflict(_) => {
                "another file was under its name, and somebody took that name meanwhile; it is kept aside".to_owned()
            }
            _ => self.to_string(),
        }
    }

    /// Returns the name of another file that it is about.
    #[must_use]
    pub fn named(&self) -> Option<String> {
        match self {
            Self::Inside { entry, because } => Some(match because.named() {
                Some(inner) => format!("{entry}, {inner}"),
                None => entry.to_string(),
            }),
            Self::Conflict(kept) => Some(format!("kept as {kept}")),
            _ => None,
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
            Self::OtherFileSystem => out.write_str("another file system: a subvolume or a snapshot"),
            Self::Immutable => out.write_str("immutable or append-only (lsattr shows it)"),
            Self::InImmutable => out.write_str("its directory is immutable or append-only (lsattr -d shows it)"),
            Self::Refused(why) => write!(out, "cannot be removed: {why}"),
            Self::KeepNewest(1) => out.write_str("the newest of its directory (keep_newest 1)"),
            Self::KeepNewest(count) => write!(out, "among the newest of its directory (keep_newest {count})"),
            Self::InUse => out.write_str("in use by a process"),
            Self::UseUnknown(why) => write!(out, "cannot tell whether it is in use: {why}"),
            Self::Required => out.write_str("it is what `require` asks for"),
            Self::Inside { entry, because } => write!(out, "`{entry}` in it stays: {because}"),
            Self::Changed => out.write_str("changed since it was judged"),
            Self::Restored => out.write_str("put back from the trash within a day"),
            Self::Locked => out.write_str("locked by a process"),
            Self::Conflict(kept) => {
                write!(
                    out,
                    "another file was under its name, and somebody took that name meanwhile; it is kept as `{kept}`"
                )
            }
            Self::Unverifiable(why) => {
                write!(out, "others can write in its directory, and what would go cannot be verified: {why}")
            }
            Self::Unreadable(why) => write!(out, "cannot be looked at: {why}"),
            Self::Sticky => out.write_str("it has the sticky bit, which below /run/user says that it is to stay"),
            Self::OverlayWork => out.write_str("the work directory of an overlay"),
            Self::NotAllowed(why) => write!(out, "the janitor's user may not remove it: {why}"),
            Self::OtherTarget(name) => write!(out, "belongs to the target {name}"),
            Self::Growing => out.write_str("so deep, and made after the run began: the tree grows as it is walked"),
            Self::MaxDeletes(limit) => write!(out, "more than max_deletes {limit} would go"),
            Self::WithinLimits => out.write_str("the limits hold without it"),
            Self::Unreached => out.write_str("no include reaches into it"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_for_everybody_name_no_file() {
        let conflict = || Because::Conflict("a/secret".into());
        let inside = |because: Because| Because::Inside { entry: "b/secret".into(), because: Box::new(because) };
        for (because, named) in [
            (conflict(), "kept as a/secret"),
            (inside(Because::InUse), "b/secret"),
            (inside(conflict()), "b/secret, kept as a/secret"),
            (inside(inside(Because::Locked)), "b/secret, b/secret"),
        ] {
            assert!(because.to_string().contains("secret"), "{because}");
            assert!(!because.without_names().contains("secret"), "{}", because.without_names());
            assert_eq!(because.named().as_deref(), Some(named));
        }
        assert_eq!((Because::InUse.without_names(), Because::InUse.named()), (Because::InUse.to_string(), None));
    }
}
