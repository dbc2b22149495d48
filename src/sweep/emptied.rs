//! Directories that are removed once nothing is in them: the one that was judged, and no other that has its name by now.

use super::act::{Hands, Undone};
use crate::entry::Kind;
use crate::fsys::{Dir, Found, Origin, Refusal, Taken};
use crate::target::Unverifiable;
use crate::verdict::Because;

/// A directory that is to be removed, as it is told from others.
#[derive(Clone, Copy)]
pub(super) struct Emptied<'a> {
    /// Which it was when it was judged.
    pub(super) then: Origin,
    /// Its handle, where it is held locked since.
    pub(super) held: Option<&'a Dir>,
    /// Whether to ask for its lock where it is not, and nobody here can have it.
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
    // From here on its number is not another's: it is held open.
    let (identity, _) = dir.look_at_itself()?;
    if identity != emptied.then.identity {
        return Err(Undone::Stays(Because::Changed));
    }
    let is_it = |found: &Found| found.kind == Kind::Directory && found.facts.identity == identity;
    if !is_it(&parent.look(name)?) {
        return Err(Undone::Stays(Because::Changed));
    }
    if !parent.is_trusted()? {
        // What is in use is not even touched.
        dir.expect_empty()?;
        let from = Taken { dir: parent, origin: Origin::of(parent)? };
        match hands.aside.remove_directory(hands.worker, &from, name, &is_it) {
            Err(Refusal::Unverifiable(_)) if on_unverifiable == Unverifiable::Plain => {}
            done => return Ok(done?),
        }
    }
    Ok(parent.remove_directory(name)?)
}
