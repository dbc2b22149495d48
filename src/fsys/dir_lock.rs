//! Locks of directories (flock(2)): how programs say that a directory and everything below it is to be left alone, as
//! tmpfiles.d(5) documents.

use std::io;

use rustix::fs::{FlockOperation, flock};
use rustix::io::{Errno, retry_on_intr};

use super::dir::Dir;

/// Errors of file systems without locks for directories, where nobody can hold one: NFS locks exclusively only files
/// that are open for writing, which a directory never is.
const NO_LOCKS: [Errno; 4] = [Errno::BADF, Errno::INVAL, Errno::NOSYS, Errno::OPNOTSUPP];

impl Dir {
    /// Takes the lock of this directory for this handle, without waiting. Returns whether nobody else holds one, shared
    /// or exclusive. The lock ends with [`Dir::unlock`], or with the handle.
    ///
    /// # Errors
    /// Fails with the kernel's error when the lock's state cannot be told.
    pub fn try_lock(&self) -> io::Result<bool> {
        match retry_on_intr(|| flock(self.fd(), FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) => Ok(true),
            Err(Errno::WOULDBLOCK) => Ok(false),
            Err(error) if NO_LOCKS.contains(&error) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Releases the lock of this handle.
    pub fn unlock(&self) {
        // Releasing a lock that was never taken is not an error, and closing the handle releases any lock that is left.
        _ = retry_on_intr(|| flock(self.fd(), FlockOperation::Unlock));
    }
}

#[cfg(test)]
mod tests {
    use crate::fsys::resolve;

    #[test]
    fn a_lock_of_anybody_else_is_seen_and_our_own_ends() {
        let yard = tempfile::tempdir().expect("a temporary directory");
        let dir = resolve(yard.path(), false).expect("it exists").dir;
        let other = std::fs::File::open(yard.path()).expect("ours");
        for shared in [true, false] {
            if shared { other.lock_shared() } else { other.lock() }.expect("nobody has it");
            assert!(!dir.try_lock().expect("a local file system"), "shared: {shared}");
            other.unlock().expect("ours");
            assert!(dir.try_lock().expect("a local file system"));
            assert!(matches!(other.try_lock_shared(), Err(std::fs::TryLockError::WouldBlock)));
            dir.unlock();
        }
        other.try_lock().expect("given up");
    }
}
