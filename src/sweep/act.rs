//! What is done to a file that goes.

use std::io;

use crate::fsys::Dir;

/// What is done to a file that goes.
pub(super) trait Act: Sync {
    /// Whether this changes anything on disk.
    fn may_change(&self) -> bool;

    /// Does it to the file `name` in `directory`.
    fn act(&self, directory: &Dir, name: &[u8]) -> io::Result<()>;
}

/// The sweep's: it goes.
pub(super) struct Remove;

impl Act for Remove {
    fn may_change(&self) -> bool {
        true
    }

    fn act(&self, directory: &Dir, name: &[u8]) -> io::Result<()> {
        directory.remove(name)
    }
}

/// The preview's: nothing.
pub(super) struct Preview;

impl Act for Preview {
    fn may_change(&self) -> bool {
        false
    }

    fn act(&self, _: &Dir, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}
