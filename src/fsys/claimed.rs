//! A file that is held while something is done to it by its name.

use super::dir::Dir;
use super::pin::Pinned;
use super::refusal::Refusal;
use crate::entry::{Facts, Identity};

/// A regular file that is held open, locked and leased: nobody else uses it. All of that ends when this is dropped.
pub struct Claimed(Pinned);

impl Claimed {
    /// Holds the regular file `name` of a directory, if it is this inode and nobody else has it open or locked.
    ///
    /// # Errors
    /// [`Refusal::InUse`], [`Refusal::Locked`], [`Refusal::Changed`] when it is another file by now,
    /// [`Refusal::Unverifiable`] where it cannot be told, [`Refusal::Failed`] otherwise.
    pub fn of(dir: &Dir, name: &[u8], identity: Identity) -> Result<Self, Refusal> {
        let pinned = Pinned::open(dir, name)?;
        if pinned.identity() != identity {
            return Err(Refusal::Changed);
        }
        pinned.claim()?;
        Ok(Self(pinned))
    }

    /// Whether it still is what was judged, and nobody has opened it since, or waits to.
    ///
    /// # Errors
    /// [`Refusal::Changed`] or [`Refusal::InUse`].
    pub fn expect(&self, judged: &Facts) -> Result<(), Refusal> {
        self.0.expect(judged)?;
        self.expect_undisturbed()
    }

    /// Whether nobody has opened it since it is held, or waits to.
    pub(super) fn expect_undisturbed(&self) -> Result<(), Refusal> {
        if self.0.is_claimed() { Ok(()) } else { Err(Refusal::InUse) }
    }

    pub(super) fn pinned(&self) -> &Pinned {
        &self.0
    }
}
