//! Stamps of directories before their first file went.
//!
//! A removal renews the stamps of its directory. Files that go for a limit go in more than one walk, and a directory
//! that is emptied by the last walk is judged by its stamps before the first.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};

use crate::entry::{Identity, Stamps};
use crate::fsys::{Dir, Found, Origin};

/// Most directories that are remembered. The age of further directories is not known, so they stay.
const MOST: usize = 64 * 1024;

/// State of a directory before its first file went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Then {
    /// Origin of the directory, which tells it from others.
    pub(super) origin: Origin,
    pub(super) stamps: Stamps,
}

/// States of some directories before their first file went, by their paths relative to the root.
#[derive(Debug, Default)]
pub(super) struct StampsBefore(Mutex<BTreeMap<Vec<u8>, Then>>);

impl Then {
    /// Returns the state of a directory now.
    pub(super) fn of(dir: &Dir) -> io::Result<Self> {
        dir.look_at_itself().map(|(identity, found)| Self::found(identity, &found))
    }

    /// Returns the state of a directory that was looked at.
    pub(super) fn found(identity: Identity, found: &Found) -> Self {
        let stamps = found.facts.stamps;
        Self { origin: Origin { identity, created: stamps.created }, stamps: stamps.of_directory() }
    }
}

impl StampsBefore {
    /// Remembers the state of a directory. The first one that is noted counts.
    pub(super) fn note(&self, path: &[u8], then: Then) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MOST && !known.contains_key(path) {
            known.insert(path.to_vec(), then);
        }
    }

    /// Remembers the state of a directory now, unless an earlier one is known.
    pub(super) fn note_of(&self, path: &[u8], dir: &Dir) {
        if self.get(path).is_none()
            && let Ok(then) = Then::of(dir)
        {
            self.note(path, then);
        }
    }

    /// Returns the state that is known of a directory.
    pub(super) fn get(&self, path: &[u8]) -> Option<Then> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(path).copied()
    }
}
