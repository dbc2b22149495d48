//! What the walk sees: the kind of an entry and the facts the file system tells about it.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

/// What an entry is. Only a [`Kind::File`] can ever go.
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

/// Which stamp of a file its age is counted from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AgeBy {
    /// Its content was last changed (mtime).
    #[default]
    Modified,
    /// It was last read (atime, as far as the mount keeps it).
    Accessed,
    /// Its content, name or attributes were last changed (ctime).
    Changed,
    /// It was created (btime, where the file system keeps it).
    Created,
    /// The newest of modified, changed and created.
    Newest,
}

impl AgeBy {
    /// Whether this needs the birth time, which not every file system has.
    #[must_use]
    pub fn needs_birth_time(self) -> bool {
        matches!(self, Self::Created | Self::Newest)
    }

    /// Whether this needs the access time, which not every mount keeps.
    #[must_use]
    pub fn needs_access_time(self) -> bool {
        self == Self::Accessed
    }

    /// The word for it in the config.
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

/// A time stamp of a file, in nanoseconds since 1970. File systems hold stamps far outside any calendar's range, so
/// this is wider than a [`Timestamp`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Stamp(i128);

impl Stamp {
    /// From what `statx` gives.
    #[must_use]
    pub fn new(seconds: i64, nanoseconds: u32) -> Self {
        Self(i128::from(seconds) * 1_000_000_000 + i128::from(nanoseconds))
    }

    /// Nanoseconds since 1970.
    #[must_use]
    pub fn nanoseconds(self) -> i128 {
        self.0
    }

    /// How many nanoseconds before `now` the stamp lies; negative when it lies after it.
    #[must_use]
    pub fn before(self, now: Timestamp) -> i128 {
        now.as_nanosecond() - self.0
    }

    /// How long before `now` the stamp lies; `None` when it lies after it.
    #[must_use]
    pub fn age(self, now: Timestamp) -> Option<Duration> {
        let age = u128::try_from(self.before(now)).ok()?;
        // 2^64 seconds are more than any i64 stamp can be away, so the conversion holds.
        Some(Duration::new(u64::try_from(age / 1_000_000_000).ok()?, (age % 1_000_000_000) as u32))
    }

    /// The stamp as a calendar instant, where the calendar reaches that far.
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

/// The stamps of one file.
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
    /// These, as those of a directory: who looks into a directory has read it, the janitor among them, so that it was
    /// read says nothing.
    #[must_use]
    pub fn of_directory(self) -> Self {
        Self { accessed: self.modified, ..self }
    }

    /// The stamp an age is counted from; `None` when it needs a birth time and there is none.
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

/// Which stamps of a file are asked for. A file system may tell more than that, and what it was not asked for may be
/// wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asked {
    /// Whether mtime is.
    pub modified: bool,
    /// Whether atime is.
    pub accessed: bool,
    /// Whether ctime is.
    pub changed: bool,
    /// Whether btime is.
    pub created: bool,
}

impl Asked {
    /// All of them.
    pub const ALL: Self = Self { modified: true, accessed: true, changed: true, created: true };

    /// Those that an age is counted from.
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

/// Which inode something is: the same for every name and every path it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Identity {
    /// The device.
    pub device: u64,
    /// The inode number on it.
    pub inode: u64,
}

/// What the file system says about one regular file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The apparent size, in bytes: what `ls -l` shows.
    pub size: u64,
    /// The allocated bytes: what removing the last link gives back.
    pub allocated: u64,
    /// The number of hard links.
    pub links: u32,
    /// Which inode it is.
    pub identity: Identity,
    /// The stamps.
    pub stamps: Stamps,
    /// Whether it is immutable or append-only (chattr(1)), so that nobody can remove it.
    pub immutable: bool,
}

/// The kind of action that a target takes on files that go.
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

    /// Returns what a run says of the files that went, or would go: `deleted`, `would move`.
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
