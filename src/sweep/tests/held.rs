//! What processes hold, and what they keep by that, in the words of the oracle.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use rustix::fs::{FlockOperation, flock};

use super::forest::Seen;
use super::wish::Wish;

/// What processes hold.
#[derive(Default)]
pub(super) struct Held {
    /// The inodes of files that are open.
    pub(super) open: BTreeSet<u64>,
    /// The inodes of files that refuse to go, wherever they are.
    pub(super) refused: BTreeSet<u64>,
    /// The paths of directories that are locked.
    pub(super) locked: BTreeSet<String>,
}

impl Held {
    /// Whether a file stays because somebody uses it. That is asked where others can write, and everywhere with
    /// `skip_open`.
    pub(super) fn uses(&self, wish: &Wish, file: &Seen) -> bool {
        self.refused.contains(&file.inode)
            || ((wish.skip_open || file.open_to_others) && self.open.contains(&file.inode))
    }

    /// Whether the directory, or one on the way to the entry, is locked.
    pub(super) fn is_locked(&self, path: &str) -> bool {
        self.locked.iter().any(|locked| path == locked || path.starts_with(&format!("{locked}/")))
    }
}

/// Holds what the wish says, as processes do: handles of open files, locks on some of them and on directories.
pub(super) fn hold(wish: &Wish, root: &Path, seen: &[Seen]) -> (Vec<File>, Held) {
    let (mut handles, mut held) = (Vec::new(), Held::default());
    let mut take = |entry: &Seen, lock: bool| {
        let file = File::open(root.join(&entry.path)).expect("ours");
        if lock {
            flock(&file, FlockOperation::NonBlockingLockExclusive).expect("nobody else has it");
        }
        handles.push(file);
    };
    let files = seen.iter().filter(|entry| !entry.is_directory && !entry.is_link);
    for (at, entry) in wish.holds.open.into_iter().flat_map(|one_in| files.clone().step_by(one_in)).enumerate() {
        // Of one with several names a second lock is refused.
        take(entry, at % 2 == 0 && held.open.insert(entry.inode));
        held.open.insert(entry.inode);
    }
    let directories = seen.iter().filter(|entry| entry.is_directory);
    for entry in wish.holds.locked.into_iter().flat_map(|one_in| directories.clone().step_by(one_in)) {
        take(entry, true);
        held.locked.insert(entry.path.clone());
    }
    (handles, held)
}
