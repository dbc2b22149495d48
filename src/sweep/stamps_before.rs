//! Stamps that directories had before their first file went.
//!
//! A removal renews the stamps of its directory. What goes for a limit goes in more than one walk, and a directory that is
//! emptied by the last of them is judged by what it was before the first.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use crate::entry::Stamps;
use crate::fsys::Dir;

/// As many directories are remembered. Of those beyond, the age is not known, so they stay.
const MOST: usize = 64 * 1024;

/// The stamps of directories, by their paths relative to the root.
#[derive(Debug, Default)]
pub(super) struct StampsBefore(Mutex<BTreeMap<Vec<u8>, Stamps>>);

impl StampsBefore {
    /// Remembers the stamps of a directory. The first ones count.
    pub(super) fn note(&self, path: &[u8], stamps: Stamps) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() < MOST && !known.contains_key(path) {
            known.insert(path.to_vec(), stamps);
        }
    }

    /// Remembers the stamps that a directory has now, unless earlier ones are known.
    pub(super) fn note_of(&self, path: &[u8], dir: &Dir) {
        if self.get(path).is_none()
            && let Ok((_, found)) = dir.look_at_itself()
        {
            self.note(path, found.facts.stamps.of_directory());
        }
    }

    /// Returns the stamps that are known of a directory.
    pub(super) fn get(&self, path: &[u8]) -> Option<Stamps> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(path).copied()
    }
}
