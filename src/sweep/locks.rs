//! Locks of directories: a directory that anybody else has locked stays, with all below it.
//!
//! The lock is taken on the walk's own handle. A sweep that acts holds it while it works in the directory or below it;
//! a survey or a preview gives it up at once. The root is exempt: whoever may read it could lock it, and so keep
//! everybody's files.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::process::{Resource, getrlimit};

use super::walk::Sweep;
use crate::fsys::Dir;

/// Most directories held locked above those that are worked in: each costs an open file. Directories near the root come
/// first, so only in a tree that is deeper than this is a directory given up before everything below it is done.
const MOST_HELD: usize = 128;

/// Share of the files that the process may have open which these locks may take: one in so many.
const SHARE: u64 = 8;

/// Returns the counter of directories that are held. Directories that a process with few open files may not hold are
/// counted from the start.
pub(super) fn counter() -> Arc<AtomicUsize> {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let most = usize::try_from(limit / SHARE).unwrap_or(usize::MAX);
    Arc::new(AtomicUsize::new(MOST_HELD.saturating_sub(most)))
}

/// Lock of one directory, held until this value is dropped.
#[derive(Debug)]
pub(super) struct Lock {
    dir: Arc<Dir>,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Unlocks explicitly: a process that is being started may hold copies of all handles for a moment.
        self.dir.unlock();
    }
}

/// Lock of a directory, held until everything below it is done.
#[derive(Debug)]
pub(super) struct HeldAbove {
    lock: Arc<Lock>,
    count: Arc<AtomicUsize>,
}

impl HeldAbove {
    /// Keeps a lock, unless too many are kept already.
    pub(super) fn keep(lock: &Arc<Lock>, count: &Arc<AtomicUsize>) -> Option<Self> {
        if count.fetch_add(1, Ordering::Relaxed) >= MOST_HELD {
            count.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Self { lock: lock.clone(), count: count.clone() })
    }

    /// Returns the directory.
    pub(super) fn dir(&self) -> &Dir {
        &self.lock.dir
    }
}

impl Drop for HeldAbove {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Answer to the question whether a directory is locked.
pub(super) enum Asked {
    /// The directory is not locked by anybody else. A sweep that acts holds the lock from now on.
    Free(Option<Arc<Lock>>),
    /// The directory is locked by somebody else.
    Locked,
}

/// Asks whether anybody else has a directory locked, and takes the lock if it is to be held.
pub(super) fn ask(dir: &Arc<Dir>, holds: bool) -> io::Result<Asked> {
    if !dir.try_lock()? {
        return Ok(Asked::Locked);
    }
    let lock = Lock { dir: dir.clone() };
    Ok(Asked::Free(holds.then(|| Arc::new(lock))))
}

impl<A> Sweep<'_, A> {
    /// Returns the shortest beginning of a path below the root whose directory somebody has locked.
    ///
    /// # Errors
    /// Fails when a directory on the way cannot be opened or asked.
    pub(super) fn locked_on_the_way<'p>(&self, path: &'p [u8]) -> io::Result<Option<&'p [u8]>> {
        let mut above: Option<Dir> = None;
        let mut end = 0;
        for name in path.split(|byte| *byte == b'/').filter(|name| !name.is_empty()) {
            let dir = above.as_ref().unwrap_or(self.root).open(name)?;
            end += name.len();
            if !dir.try_lock()? {
                return Ok(Some(&path[..end]));
            }
            dir.unlock();
            above = Some(dir);
            end += 1;
        }
        Ok(None)
    }
}
