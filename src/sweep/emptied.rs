//! Removal of directories once nothing is in them: the one that was judged, and no other that has its name by now.

use super::act::{Hands, Undone};
use crate::entry::Kind;
use crate::fsys::{Dir, Found, Origin, Refusal, Taken};
use crate::target::Unverifiable;
use crate::verdict::Because;

/// Directory that is to be removed, with what tells it from others.
#[derive(Clone, Copy)]
pub(super) struct Emptied<'a> {
    /// Origin of the directory when it was judged.
    pub(super) then: Origin,
    /// Handle of the directory, if it has been held locked since.
    pub(super) held: Option<&'a Dir>,
    /// Whether to ask for the lock of the directory if it is not held and no worker of this sweep can have it.
    pub(super) asks_lock: bool,
}

/// Removes the directory `name` of `parent`, if it is the one that was judged and is empty.
pub(super) fn remove(
    parent: &Dir,
    name: &[u8],
    emptied: Emptied<'_>,
    hands: Hands<'_>,
    on_unverifiable: Unverifiable,
) -> Result<(), Undone> {
    let opened;
    let dir = match emptied.held {
        Some(held) => held,
        None => {
            opened = parent.open(name)?;
            if Origin::of(&opened)? != emptied.then {
                return Err(Undone::Stays(Because::Changed));
            }
            if emptied.asks_lock && !opened.try_lock()? {
                return Err(Undone::Stays(Because::Locked));
            }
            &opened
        }
    };
    // The open handle keeps the inode number from being another's from here on.
    let (identity, _) = dir.look_at_itself()?;
    if identity != emptied.then.identity {
        return Err(Undone::Stays(Because::Changed));
    }
    let is_it = |found: &Found| found.kind == Kind::Directory && found.facts.identity == identity;
    if !is_it(&parent.look(name)?) {
        return Err(Undone::Stays(Because::Changed));
    }
    if !parent.is_trusted()? {
        // A directory with something in it is not even touched.
        dir.expect_empty()?;
        let from = Taken { dir: parent, origin: Origin::of(parent)? };
        match hands.aside.remove_directory(hands.worker, &from, name, &is_it) {
            Err(Refusal::Unverifiable(_)) if on_unverifiable == Unverifiable::Plain => {}
            done => return Ok(done?),
        }
    }
    Ok(parent.remove_directory(name)?)
}
