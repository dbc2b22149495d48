//! Entries of a walk: their kind, and the facts that the file system tells about them.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

/// Kind of an entry. Only a [`Kind::File`] can ever go by itself; a directory goes empty or whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A regular file.
    File,
    /// A directory.
    Directory,
    /// A symbolic link: a leaf, never followed.
    Symlink,
    /// A FIFO, a socket or a device.
    Special,
}

impl fmt::Display for Kind {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::File => "regular file",
            Self::Directory => "directory",
            Self::Symlink => "symbolic link",
            Self::Special => "special file",
        })
    }
}

/// Stamp of a file from which its age is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AgeBy {
    /// Last change of the content (mtime).
    #[default]
    Modified,
    /// Last reading (atime, as far as the mount keeps it).
    Accessed,
    /// Last change of content, name or attributes (ctime).
    Changed,
    /// Creation (btime, where the file system keeps it).
    Created,
    /// Newest of modified, changed and created.
    Newest,
}

impl AgeBy {
    /// Returns whether this needs the birth time, which not every file system has.
    #[must_use]
    pub fn needs_birth_time(self) -> bool {
        matches!(self, Self::Created | Self::Newest)
    }

    /// Returns whether this needs the access time, which not every mount keeps.
    #[must_use]
    pub fn needs_access_time(self) -> bool {
        self == Self::Accessed
    }

    /// Returns the word for it in the config.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Modified => "modified",
            Self::Accessed => "accessed",
            Self::Changed => "changed",
            Self::Created => "created",
            Self::Newest => "newest",
        }
    }
}

/// Time stamp of a file, in nanoseconds since 1970. File systems hold stamps far outside any calendar's range, so this
/// is wider than a [`Timestamp`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(i128);

impl Stamp {
    /// Returns the stamp that `statx` gives as seconds and nanoseconds.
    #[must_use]
    pub fn new(seconds: i64, nanoseconds: u32) -> Self {
        Self(i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds))
    }

    /// Returns the nanoseconds since 1970.
    #[must_use]
    pub fn nanoseconds(self) -> i128 {
        self.0
    }

    /// Returns the nanoseconds from the stamp to `now`; negative when the stamp lies after `now`.
    #[must_use]
    pub fn before(self, now: Timestamp) -> i128 {
        now.as_nanosecond() - self.0
    }

    /// Returns the time from the stamp to `now`; `None` when the stamp lies after `now`.
    #[must_use]
    pub fn age(self, now: Timestamp) -> Option<Duration> {
        let age = u128::try_from(self.before(now)).ok()?;
        // 2^64 seconds are more than any i64 stamp can be away, so the conversion holds.
        Some(Duration::new(u64::try_from(age / 1_000_000_000).ok()?, (age % 1_000_000_000) as u32))
    }

    /// Returns the stamp as a calendar instant, where the calendar reaches that far.
    #[must_use]
    pub fn timestamp(self) -> Option<Timestamp> {
        Timestamp::from_nanosecond(self.0).ok()
    }
}

impl From<Timestamp> for Stamp {
    fn from(at: Timestamp) -> Self {
        Self(at.as_nanosecond())
    }
}

/// Stamps of one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stamps {
    /// mtime.
    pub modified: Stamp,
    /// atime.
    pub accessed: Stamp,
    /// ctime.
    pub changed: Stamp,
    /// btime; `None` where the file system keeps none.
    pub created: Option<Stamp>,
}

impl Stamps {
    /// Returns these stamps as those of a directory, with mtime for atime. Anybody who looks into a directory has read
    /// it, the janitor among them, so its atime says nothing.
    #[must_use]
    pub fn of_directory(self) -> Self {
        Self { accessed: self.modified, ..self }
    }

    /// Returns the stamp that an age is counted from; `None` when that needs a birth time and there is none.
    #[must_use]
    pub fn by(&self, age_by: AgeBy) -> Option<Stamp> {
        match age_by {
            AgeBy::Modified => Some(self.modified),
            AgeBy::Accessed => Some(self.accessed),
            AgeBy::Changed => Some(self.changed),
            AgeBy::Created => self.created,
            AgeBy::Newest => Some(self.modified.max(self.changed).max(self.created?)),
        }
    }
}

/// Stamps of a file that are asked for. A file system may tell more stamps, but any that it was not asked for may be
/// wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Whether mtime is asked for.
    pub modified: bool,
    /// Whether atime is asked for.
    pub accessed: bool,
    /// Whether ctime is asked for.
    pub changed: bool,
    /// Whether btime is asked for.
    pub created: bool,
}

impl Asked {
    /// All stamps.
    pub const ALL: Self = Self { modified: true, accessed: true, changed: true, created: true };

    /// Returns the stamps that an age is counted from.
    #[must_use]
    pub fn by(age_by: AgeBy) -> Self {
        let newest = age_by == AgeBy::Newest;
        Self {
            modified: newest || age_by == AgeBy::Modified,
            accessed: age_by == AgeBy::Accessed,
            changed: newest || age_by == AgeBy::Changed,
            created: newest || age_by == AgeBy::Created,
        }
    }
}

/// Identity of an inode: the same for every name and every path of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The device.
    pub device: u64,
    /// Inode number on the device.
    pub inode: u64,
}

/// Facts that the file system tells about one regular file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// Apparent size, in bytes: the size that `ls -l` shows.
    pub size: u64,
    /// Allocated bytes: the bytes that removing the last link gives back.
    pub allocated: u64,
    /// Number of hard links.
    pub links: u32,
    /// Identity of the inode.
    pub identity: Identity,
    /// The stamps.
    pub stamps: Stamps,
    /// Whether the file is immutable or append-only (chattr(1)), so that nobody can remove it.
    pub immutable: bool,
}

/// Kind of the action that a target takes on files that go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ActionKind {
    /// Files are deleted.
    #[default]
    Delete,
    /// Files are put into the trash.
    Trash,
    /// Files are moved to a directory.
    Move,
}

impl ActionKind {
    /// Returns the verb.
    #[must_use]
    pub const fn verb(self) -> &'static str {
        match self {
            Self::Delete => "delete",
            Self::Trash => "trash",
            Self::Move => "move",
        }
    }

    /// Returns the participle.
    #[must_use]
    pub const fn done(self) -> &'static str {
        match self {
            Self::Delete => "deleted",
            Self::Trash => "trashed",
            Self::Move => "moved",
        }
    }

    /// Returns the words of a run for the files that went, or would go: `deleted`, `would move`.
    #[must_use]
    pub fn told(self, dry_run: bool) -> String {
        if dry_run { format!("would {}", self.verb()) } else { self.done().to_owned() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_stamp_is_taken_and_a_missing_birth_time_is_not_made_up() {
        let stamp = |seconds| Stamp::new(seconds, 0);
        let mut stamps = Stamps { modified: stamp(1), accessed: stamp(9), changed: stamp(3), created: Some(stamp(2)) };
        assert_eq!(stamps.by(AgeBy::Newest), Some(stamp(3)));
        assert_eq!(stamps.by(AgeBy::Created), Some(stamp(2)));
        stamps.created = None;
        assert_eq!(stamps.by(AgeBy::Newest), None);
        assert_eq!(stamps.by(AgeBy::Created), None);
        assert_eq!(stamps.by(AgeBy::Modified), Some(stamp(1)));
    }

    #[test]
    fn an_age_is_exact_to_the_nanosecond_and_a_future_stamp_has_none() {
        let now = Timestamp::from_nanosecond(1_000_000_000_000_000_001).expect("in range");
        assert_eq!(Stamp::new(1_000_000_000, 0).age(now), Some(Duration::from_nanos(1)));
        assert_eq!(Stamp::new(1_000_000_000, 1).age(now), Some(Duration::ZERO));
        assert_eq!(Stamp::new(1_000_000_000, 2).age(now), None);
    }

    #[test]
    fn the_strangest_stamps_have_an_age() {
        let now = Timestamp::from_second(1_700_000_000).expect("in range");
        assert!(Stamp::new(i64::MIN, 0).age(now).is_some());
        assert_eq!(Stamp::new(i64::MAX, 999_999_999).age(now), None);
        assert_eq!(Stamp::new(-1, 0).age(now), Some(Duration::from_secs(1_700_000_001)));
        assert!(Stamp::new(i64::MIN, 0).timestamp().is_none());
    }
}
