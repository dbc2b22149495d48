//! What is done to what goes.

use std::io;

use super::event::At;
use crate::entry::Facts;
use crate::fsys::{Destination, Dir};

/// What is done to what goes.
pub(super) trait Act: Sync {
    /// Whether this changes anything on disk.
    fn may_change(&self) -> bool;

    /// Does it to an entry of `directory` that is none itself.
    fn act(&self, directory: &Dir, at: At<'_>, facts: &Facts) -> io::Result<()>;

    /// Removes the directory `name` in `parent`, which must be empty.
    fn directory(&self, parent: &Dir, name: &[u8]) -> io::Result<()>;
}

/// The sweep's: it goes.
pub(super) struct Remove;

impl Act for Remove {
    fn may_change(&self) -> bool {
        true
    }

    fn act(&self, directory: &Dir, at: At<'_>, _: &Facts) -> io::Result<()> {
        directory.remove(at.name)
    }

    fn directory(&self, parent: &Dir, name: &[u8]) -> io::Result<()> {
        parent.remove_directory(name)
    }
}

/// The sweep's, where files are not removed but moved away.
pub(super) struct Move(pub(super) Destination);

impl Act for Move {
    fn may_change(&self) -> bool {
        true
    }

    fn act(&self, directory: &Dir, at: At<'_>, facts: &Facts) -> io::Result<()> {
        self.0.take(directory, at.directory, at.name, facts)
    }

    fn directory(&self, parent: &Dir, name: &[u8]) -> io::Result<()> {
        parent.remove_directory(name)
    }
}

/// The preview's: nothing.
pub(super) struct Preview;

impl Act for Preview {
    fn may_change(&self) -> bool {
        false
    }

    fn act(&self, _: &Dir, _: At<'_>, _: &Facts) -> io::Result<()> {
        Ok(())
    }

    fn directory(&self, _: &Dir, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}
