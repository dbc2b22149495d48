//! The lock that allows one daemon for each state directory.

use std::ffi::OsStr;
use std::fs::{File, Permissions, TryLockError};
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use crate::entry::Identity;
use crate::fsys::{Denied, OwnDir};

/// Name of the file that is locked. Only its owner can open the file, so nobody else can hold its lock. Since the file
/// could be deleted and made anew, the directory is locked, too. Where others can open the directory, their lock on it
/// counts for nothing.
const FILE: &str = crate::config::LOCK_FILE;

/// Number of times the file is opened when somebody removes it meanwhile.
const TRIES: usize = 100;

/// The lock, held while the daemon lives: on the file, and on the directory where that can be had.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "held, and given back with the handles")] (File, File));

impl Lock {
    /// Takes the lock; `None` when another process has it.
    pub(super) fn take(dir: &OwnDir) -> Result<Option<Self>, Denied> {
        let name = OsStr::new(FILE);
        let failed = |error: std::io::Error| Denied::Io(dir.path().join(name), error);
        for _ in 0..TRIES {
            let file = dir.open_or_make(name)?;
            let about = file.metadata().map_err(failed)?;
            if about.mode() & 0o077 != 0 {
                file.set_permissions(Permissions::from_mode(0o600)).map_err(failed)?;
            }
            match file.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            // Somebody may have removed the file, and made it anew, before it was locked.
            let identity = Identity { device: about.dev(), inode: about.ino() };
            if dir.entry(name).map_err(failed)?.is_some_and(|entry| entry.identity == identity) {
                let directory = dir.handle().map_err(failed)?;
                let about = directory.metadata().map_err(failed)?;
                let is_taken = matches!(directory.try_lock(), Err(TryLockError::WouldBlock));
                let is_ours_alone = about.mode() & 0o044 == 0;
                return Ok((!is_taken || !is_ours_alone).then_some(Self((file, directory))));
            }
        }
        Err(failed(std::io::Error::other("it comes and goes")))
    }
}
