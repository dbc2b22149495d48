//! Verdicts: whether one entry goes or stays, and why, with the values that decided.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::entry::{ActionKind, Kind};
use crate::units::{Bytes, Span};

mod protection;

pub use protection::Protection;

/// The verdict on one entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The entry goes, for this reason.
    Goes(Reason),
    /// The entry stays, because of this.
    Stays(Because),
}

/// A reason to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// An include names the entry, and the policy asks for nothing more.
    Included,
    /// The entry has reached the age limit.
    OlderThan {
        /// Age of the entry.
        age: Duration,
        /// The limit, `older_than`.
        limit: Duration,
    },
    /// The candidates are larger together than `max_size`, and this one is among the first to go.
    MaxSize {
        /// Allocated bytes of all candidates.
        total: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// There are more candidates than `max_files`, and this one is among the first to go.
    MaxFiles {
        /// Number of candidates.
        total: u64,
        /// The limit.
        limit: u64,
    },
    /// The file system has less free space than `min_free`, and this candidate is among the first to go.
    MinFree {
        /// Free space, in bytes.
        free: u64,
        /// Space that is to be free, in bytes.
        limit: u64,
    },
    /// A directory that has become empty in this run.
    Emptied,
    /// A directory that was empty before, for long enough.
    Empty {
        /// Age of the directory.
        age: Duration,
        /// The limit.
        limit: Duration,
    },
}

/// Cause for which an entry stays: a filter that it does not pass, no reason to go, or a protection that holds it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Because {
    /// Filter: the entry is not a regular file.
    NotRegular(Kind),
    /// Filter: no include names the entry.
    NotIncluded,
    /// Filter: `larger_than`.
    NotLarger {
        /// Apparent size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// Filter: `smaller_than`.
    NotSmaller {
        /// Apparent size in bytes.
        size: u64,
        /// The limit in bytes.
        limit: u64,
    },
    /// No reason: the entry has not reached `older_than`.
    NotOld {
        /// Age of the entry.
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
        /// Age of the entry.
        age: Duration,
        /// The limit, `min_age`.
        limit: Duration,
    },
    /// Protection: the stamp lies in the future, so the entry has no age.
    Future,
    /// Protection: the age is asked for, and the entry has no birth time.
    NoBirthTime,
    /// Protection: something is mounted on the entry, which so belongs to another file system.
    MountPoint,
    /// Protection: a directory of another file system that is no mount point: a subvolume or a snapshot.
    OtherFileSystem,
    /// Protection: the entry is immutable or append-only, so nothing can remove it.
    Immutable,
    /// Protection: the directory of the entry is immutable or append-only, so nothing can be removed from it.
    InImmutable,
    /// Protection: the system refused to remove the entry.
    Refused(Box<str>),
    /// Protection: `keep_newest`.
    KeepNewest(usize),
    /// Protection: `skip_open`, and a process has the file open, mapped or executing.
    InUse,
    /// Protection: `skip_open`, and this system cannot tell whether the file is in use.
    UseUnknown(Box<str>),
    /// Protection: the entry is the one that `require` asks for.
    Required,
    /// Protection: this entry of a directory that goes or stays whole is to stay.
    Inside {
        /// Path of the entry relative to that directory, escaped.
        entry: Box<str>,
        /// Cause for which the entry is to stay.
        because: Box<Because>,
    },
    /// Protection: the entry was changed after it was judged.
    Changed,
    /// Protection: a process holds a lock on the entry (flock(2)).
    Locked,
    /// Protection: another file was under the name. That file could not be put back, and is kept at this path.
    Conflict(Box<str>),
    /// Protection: others can write in the directory, and it cannot be verified there that the file is the one that was
    /// judged.
    Unverifiable(Box<str>),
    /// Protection: the entry was put back from the trash within a day.
    Restored,
    /// Protection: the entry cannot be looked at.
    Unreadable(Box<str>),
    /// Protection: the entry has the sticky bit, below `/run/user`: a program says that it is to stay (XDG base
    /// directories).
    Sticky,
    /// Protection: the work directory of an overlay, which is empty and in use.
    OverlayWork,
    /// Protection: the system does not let the janitor's user remove the entry, for this reason.
    NotAllowed(&'static str),
    /// Protection: the entry belongs to this other target, which is nested in this one.
    OtherTarget(Arc<str>),
    /// Protection: a directory deeper than a path can say in one piece, and made after the run began: somebody makes
    /// the tree deeper as fast as it is walked.
    Growing,
    /// Guard: more files than `max_deletes` would go.
    MaxDeletes(u64),
    /// No reason: every limit holds without the entry.
    WithinLimits,
    /// A directory that no include reaches into.
    Unreached,
}

impl Because {
    /// Returns whether a process uses the entry, or that cannot be told. A survey asks for uses only where `skip_open`
    /// says so.
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
    /// Returns whether the entry goes.
    #[must_use]
    pub fn goes(&self) -> bool {
        matches!(self, Self::Goes(_))
    }
}

impl Reason {
    /// Returns the action on a file that goes for this reason from a target with this action. A trash makes no room, so
    /// files that go for `min_free` are deleted.
    #[must_use]
    pub fn action(&self, of_target: ActionKind) -> ActionKind {
        match (of_target, self) {
            (ActionKind::Trash, Self::MinFree { .. }) => ActionKind::Delete,
            _ => of_target,
        }
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
    /// Returns the text without names of files, for readers who may not see these.
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

    /// Returns the name of the other file that the text is about, if there is one.
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
