//! What an observer of a sweep is told.

use std::fmt;
use std::io;
use std::path::Path;

use crate::entry::Facts;
use crate::names::Escaped;
use crate::verdict::{Because, Reason};

/// Where an entry is: its directory, relative to the root (empty for the root), and its name. Printed as a relative
/// path, escaped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At<'a> {
    /// The directory's path relative to the root; empty for the root itself.
    pub directory: &'a [u8],
    /// The name in it; empty when the directory itself is meant.
    pub name: &'a [u8],
}

impl At<'_> {
    /// The path relative to the root, as bytes.
    #[must_use]
    pub fn path(&self) -> Vec<u8> {
        let slash: &[u8] = if self.directory.is_empty() || self.name.is_empty() { b"" } else { b"/" };
        [self.directory, slash, self.name].concat()
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.directory, self.name) {
            (b"", b"") => out.write_str("."),
            (b"", only) | (only, b"") => Escaped(only).fmt(out),
            (directory, name) => write!(out, "{}/{}", Escaped(directory), Escaped(name)),
        }
    }
}

/// One thing that happened in a sweep.
#[derive(Debug)]
pub enum Event<'a> {
    /// The target's directory, or one that leads to it, was made.
    Created(&'a Path),
    /// A file went.
    Removed {
        /// Which.
        at: At<'a>,
        /// Why.
        reason: &'a Reason,
    },
    /// A file would go, if this were no preview.
    WouldRemove {
        /// Which.
        at: At<'a>,
        /// What is known about it.
        facts: &'a Facts,
        /// Why.
        reason: &'a Reason,
    },
    /// A directory went: it was or became empty, or all in it went with it.
    RemovedDirectory {
        /// Which.
        at: At<'a>,
        /// Why.
        reason: &'a Reason,
    },
    /// A directory would go, if this were no preview.
    WouldRemoveDirectory {
        /// Which.
        at: At<'a>,
        /// Why.
        reason: &'a Reason,
    },
    /// A file was to go and could not be removed.
    NotRemoved {
        /// Which.
        at: At<'a>,
        /// What the system said.
        error: &'a io::Error,
    },
    /// An entry could not be looked at, or a directory not be read (on).
    Unreadable {
        /// Which.
        at: At<'a>,
        /// What the system said.
        error: &'a io::Error,
    },
    /// An entry stays.
    Stays {
        /// Which.
        at: At<'a>,
        /// Why.
        because: &'a Because,
    },
    /// A directory is not entered.
    SkippedDirectory {
        /// Which.
        at: At<'a>,
        /// Why.
        because: &'a Because,
    },
}
