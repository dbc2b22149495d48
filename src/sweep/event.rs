//! Events of a sweep, which its observer gets.

use std::fmt;
use std::io;
use std::path::Path;

use crate::entry::Facts;
use crate::names::Shortened;
use crate::verdict::{Because, Reason};

/// Location of an entry: its directory, relative to the root (empty for the root), and its name. Printed as a relative
/// path, [`Shortened`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct At<'a> {
    /// Path of the directory relative to the root; empty for the root itself.
    pub directory: &'a [u8],
    /// Name in the directory; empty when the directory itself is meant.
    pub name: &'a [u8],
}

impl At<'_> {
    /// Returns the path relative to the root, as bytes.
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
            (b"", name) => write!(out, "{}", Shortened::name(name)),
            (directory, b"") => write!(out, "{}", Shortened::path(directory)),
            (directory, name) => write!(out, "{}/{}", Shortened::path(directory), Shortened::name(name)),
        }
    }
}

/// Event of a sweep.
#[derive(Debug)]
pub enum Event<'a> {
    /// The target's directory, or one that leads to it, was made.
    Created(&'a Path),
    /// A file went.
    Removed {
        /// The file.
        at: At<'a>,
        /// Reason for its removal.
        reason: &'a Reason,
    },
    /// A file would go, if this were no preview.
    WouldRemove {
        /// The file.
        at: At<'a>,
        /// Facts known about the file.
        facts: &'a Facts,
        /// Reason for its removal.
        reason: &'a Reason,
    },
    /// A directory went: it was or became empty, or all in it went with it.
    RemovedDirectory {
        /// The directory.
        at: At<'a>,
        /// Reason for its removal.
        reason: &'a Reason,
    },
    /// A directory would go, if this were no preview.
    WouldRemoveDirectory {
        /// The directory.
        at: At<'a>,
        /// Reason for its removal.
        reason: &'a Reason,
    },
    /// A file or a directory was to go and could not be removed.
    NotRemoved {
        /// The entry.
        at: At<'a>,
        /// Error of the system.
        error: &'a io::Error,
    },
    /// An entry could not be looked at, or a directory could not be read, or not to its end.
    Unreadable {
        /// The entry.
        at: At<'a>,
        /// Error of the system.
        error: &'a io::Error,
    },
    /// An entry stays.
    Stays {
        /// The entry.
        at: At<'a>,
        /// Reason for which the entry stays.
        because: &'a Because,
    },
    /// A directory is not entered.
    SkippedDirectory {
        /// The directory.
        at: At<'a>,
        /// Reason for which the directory is not entered.
        because: &'a Because,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_nobody_can_use_is_printed_without_its_middle() {
        let short = vec!["d".repeat(255); 16].join("/");
        let at = At { directory: short.as_bytes(), name: b"file" };
        assert_eq!(at.to_string(), format!("{short}/file"));
        let long: Vec<String> = (0..10_000).map(|level| format!("{level:05}\n{}", "é".repeat(100))).collect();
        let long = long.join("/");
        for (name, tail) in [("file", "é/file"), ("", "é")] {
            let shown = At { directory: long.as_bytes(), name: name.as_bytes() }.to_string();
            assert!(shown.len() < 1100, "{shown}");
            assert!(shown.starts_with("00000\\né") && shown.ends_with(tail), "{shown}");
            assert!(shown.contains("é/\\[2069172 bytes]/09998\\né"), "{shown}");
        }
    }
}
