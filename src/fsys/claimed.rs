//! A file held while something is done to it by its name.

use super::dir::Dir;
use super::pin::Pinned;
use super::refusal::Refusal;
use crate::entry::{Facts, Identity};

/// A regular file held open, locked and leased, so that nobody else uses it. The lock and the lease end when this is
/// dropped.
pub struct Claimed(Pinned);

impl Claimed {
    /// Holds the regular file `name` of a directory, if it is this inode and nobody else has it open or locked.
    ///
    /// # Errors
    /// [`Refusal::InUse`], [`Refusal::Locked`], [`Refusal::Changed`] when the name is another file by now,
    /// [`Refusal::Unverifiable`] where the system cannot tell, [`Refusal::Failed`] otherwise.
    pub fn of(dir: &Dir, name: &[u8], identity: Identity) -> Result<Self, Refusal> {
        let pinned = Pinned::open(dir, name)?;
        if pinned.identity() != identity {
            return Err(Refusal::Changed);
        }
        pinned.claim()?;
        Ok(Self(pinned))
    }

    /// Checks that the file is still the judged one, and that nobody has opened it since or waits to open it.
    ///
    /// # Errors
    /// [`Refusal::Changed`] or [`Refusal::InUse`].
    pub fn expect(&self, judged: &Facts) -> Result<(), Refusal> {
        self.0.expect(judged)?;
        self.expect_undisturbed()
    }

    /// Checks that nobody has opened the file since it is held, or waits to open it.
    pub(super) fn expect_undisturbed(&self) -> Result<(), Refusal> {
        if self.0.is_claimed() { Ok(()) } else { Err(Refusal::InUse) }
    }

    pub(super) fn pinned(&self) -> &Pinned {
        &self.0
    }
}
