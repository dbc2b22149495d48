//! Removal of empty directories by way of a slot.

use rustix::io::Errno;

use super::{Slot, Taken, rename_aside};
use crate::fsys::dir::Found;
use crate::fsys::place::is;
use crate::fsys::refusal::Refusal;

impl Slot {
    /// Removes the directory `name` of `from`, which must be empty, if `is_it` accepts it.
    ///
    /// # Errors
    /// See [`Refusal`]. After any refusal but a conflict the directory is where it was.
    pub fn remove_directory(
        &mut self,
        from: &Taken<'_>,
        name: &[u8],
        is_it: &dyn Fn(&Found) -> bool,
    ) -> Result<(), Refusal> {
        self.aim(from.origin).map_err(Refusal::Unverifiable)?;
        let shelf = self.shelf()?;
        rename_aside(from.dir, name, shelf).map_err(|refused| match refused {
            // The rename rewrites the `..` of the directory, which the mode of the directory may not allow.
            Refusal::Failed(error) if is(&error, Errno::ACCESS) => Refusal::Unverifiable(error),
            refused => refused,
        })?;
        let why = match shelf.look(name) {
            Ok(found) if is_it(&found) => match shelf.remove_directory(name) {
                Ok(()) => return Ok(()),
                Err(error) => Refusal::Failed(error),
            },
            _ => Refusal::Changed,
        };
        Err(self.put_back(from, name, why))
    }
}
