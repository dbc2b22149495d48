//! One daemon for each state directory.

use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;

/// Held while the daemon lives. It is on the directory itself: a file could be deleted, and made and locked anew.
#[derive(Debug)]
pub(super) struct Lock(#[expect(dead_code, reason = "held, and given back with the handle")] File);

impl Lock {
    /// Takes it; `None` when another process has it.
    pub(super) fn take(dir: &Path) -> Result<Option<Self>, String> {
        let failed = |error: std::io::Error| format!("cannot use the state directory `{}`: {error}", super::shown(dir));
        loop {
            DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(failed)?;
            let open = File::open(dir).map_err(failed)?;
            match open.try_lock() {
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(error)) => return Err(failed(error)),
            }
            let ours = open.metadata().map_err(failed)?;
            // Somebody may have replaced it between the two.
            let there = dir.metadata().map(|there| (there.dev(), there.ino()));
            if there.is_ok_and(|there| there == (ours.dev(), ours.ino())) {
                return Ok(Some(Self(open)));
            }
        }
    }
}
