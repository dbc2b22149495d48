//! The protections, and their words.

/// Protections share one table: the enum, the list of all and their words come from it.
macro_rules! protections {
    ($($(#[$attribute:meta])* $name:ident = $word:literal,)*) => {
        /// A protection: a key of the config, or what else keeps an entry.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Protection {
            $($(#[$attribute])* $name,)*
        }

        impl Protection {
            /// Every protection.
            pub const ALL: &[Self] = &[$(Self::$name,)*];

            /// Returns its key of the config, or its word.
            #[must_use]
            pub const fn word(self) -> &'static str {
                match self {
                    $(Self::$name => $word,)*
                }
            }
        }
    };
}

protections! {
    /// An `exclude` pattern.
    Exclude = "exclude",
    /// A pattern that is built in.
    BuiltInExclude = "built-in exclude",
    /// `min_age`.
    MinAge = "min_age",
    /// A stamp in the future.
    FutureDate = "future date",
    /// No birth time where an age is counted from it.
    NoBirthTime = "no birth time",
    /// Something is mounted on the entry.
    MountPoint = "mount point",
    /// A subvolume or a snapshot.
    OtherFileSystem = "other file system",
    /// The immutable or append-only attribute, of the entry or its directory.
    Immutable = "immutable",
    /// The system refused the removal.
    System = "the system",
    /// `keep_newest`.
    KeepNewest = "keep_newest",
    /// `skip_open`.
    SkipOpen = "skip_open",
    /// `require`.
    Require = "require",
    /// Another entry of a directory that goes or stays whole.
    WholeDirs = "whole_dirs",
    /// A change after the verdict.
    Changed = "changed",
    /// A lock (flock(2)).
    Locked = "locked",
    /// An undo within a day.
    Restored = "restored",
    /// Another file under the name.
    Conflict = "conflict",
    /// A directory in which nothing can be verified.
    Unverifiable = "unverifiable",
    /// An entry that cannot be looked at.
    Unreadable = "unreadable",
    /// The sticky bit, below `/run/user`.
    StickyBit = "sticky bit",
    /// The work directory of an overlay.
    Overlay = "overlay",
    /// Missing rights of the janitor's user.
    NotAllowed = "not allowed",
    /// Another target, nested in this one.
    OtherTarget = "other target",
    /// A directory that somebody makes deeper as it is walked.
    Growing = "growing",
    /// `max_deletes`.
    MaxDeletes = "max_deletes",
}
