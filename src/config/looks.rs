//! Metadata of the paths in a config, queried once for each, with a deadline: one file system that does not answer must
//! not keep the others from being swept. Metadata that is missing here is queried again at each run.

use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::places::{device, identity, resolved};
use crate::entry::Identity;
use crate::fsys;

/// Time limit for a file system to answer.
pub(super) const PATIENCE: Duration = Duration::from_secs(2);

/// Metadata of a path.
#[derive(Clone, Debug)]
pub(super) struct Look {
    /// Whether the path does not exist.
    pub(super) is_missing: bool,
    /// Path with its links resolved, as far as it exists; the path itself if that is not known.
    pub(super) real: PathBuf,
    /// Identity of the inode that the path leads to.
    pub(super) identity: Option<Identity>,
    /// File system that the path is on, or will be on when it is made.
    pub(super) device: Option<u64>,
}

impl Look {
    fn at(path: &Path) -> Self {
        let is_none = |kind| matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory);
        Self {
            is_missing: path.symlink_metadata().is_err_and(|error| is_none(error.kind())),
            real: resolved(path),
            identity: identity(path).ok(),
            device: device(path),
        }
    }

    fn unreachable(path: &Path) -> Self {
        Self { is_missing: false, real: path.to_path_buf(), identity: None, device: None }
    }
}

/// Metadata queried so far.
#[derive(Debug, Default)]
pub(super) struct Looks(BTreeMap<PathBuf, Look>);

impl Looks {
    /// Queries many paths at once, which is quicker than one after the other.
    pub(super) fn take(&mut self, paths: impl Iterator<Item = PathBuf>) {
        let wanted: BTreeSet<PathBuf> = paths.filter(|path| !self.0.contains_key(path)).collect();
        let paths: Vec<PathBuf> = wanted.into_iter().collect();
        fsys::each_within(PATIENCE, paths.clone(), Look::at, |at, look| {
            let path = &paths[at];
            self.0.insert(path.clone(), look.unwrap_or_else(|_| Look::unreachable(path)));
            true
        });
    }

    /// Returns the metadata of a path.
    pub(super) fn of(&mut self, path: &Path) -> &Look {
        if !self.0.contains_key(path) {
            self.take(std::iter::once(path.to_path_buf()));
        }
        self.0.entry(path.to_path_buf()).or_insert_with(|| Look::unreachable(path))
    }
}
