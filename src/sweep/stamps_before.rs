//! What directories were before their first file went.
//!
//! A removal renews the stamps of its directory. What goes for a limit goes in more than one walk, and a directory that is
//! emptied by the last of them is judged by what it was before the first.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, PoisonError};

use crate::entry::{Identity, Stamps};
use crate::fsys::{Dir, Found, Origin};

/// As many directories are remembered. Of those beyond, the age is not known, so they stay.
const MOST: usize = 64 * 1024;

/// What a directory was before its first file went.
#[derive(Clone, Copy, Debug)]
pub(super) struct Then {
    /// Which one it is.
    pub(super) origin: Origin,
    pub(super) stamps: Stamps,
}

/// The same of some directories, by their paths relative to the root.
#[derive(Debug, Default)]
pub(super) struct StampsBefore(Mutex<BTreeMap<Vec<u8>, Then>>);

impl Then {
    /// Returns what a directory is now.
    pub(super) fn of(dir: &Dir) -> io::Result<Self> {
        dir.look_at_itself().map(|(identity, found)| Self::found(identity, &found))
    }

    /// Returns what a directory was found to be.
    pub(super) fn found(identity: Identity, found: &Found) -> Self {
        let stamps = found.facts.stamps;
        Self { origin: Origin { identity, created: stamps.created }, stamps: stamps.of_directory() }
    }
}

impl StampsBefore {
    /// Remembers what a directory was. What is said first counts.
    pub(super) fn note(&self, path: &[u8], then: Then) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MOST && !known.contains_key(path) {
            known.insert(path.to_vec(), then);
        }
    }

    /// Remembers what a directory is now, unless more is known.
    pub(super) fn note_of(&self, path: &[u8], dir: &Dir) {
        if self.get(path).is_none()
            && let Ok(then) = Then::of(dir)
        {
            self.note(path, then);
        }
    }

    /// Returns what is known of a directory.
    pub(super) fn get(&self, path: &[u8]) -> Option<Then> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(path).copied()
    }
}
