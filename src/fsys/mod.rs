//! System calls on targets: no other module opens, stats or unlinks anything below a target.
//!
//! All calls go through handles. [`resolve`] walks from `/` to a target's root and opens the root. Everything below is
//! opened beneath a handle, which refuses symbolic links, magic links, mount points and any way out of the handle's
//! directory (`beneath`). Names are bytes and single components. No path below a root is ever handed to the kernel,
//! except the relative ones that [`Dir::open_beneath`] resolves beneath the root.

#[cfg(test)]
mod attacks;
mod beneath;
mod claimed;
mod confine;
mod copy;
mod dir;
mod dir_lock;
mod filesystem;
mod idle;
mod lease;
mod origin;
mod permissions;
mod pin;
mod place;
mod private;
mod private_files;
mod processes;
mod put_back;
mod reach;
mod recover;
mod refusal;
mod root;
mod slot;
mod socket;
mod transfer;
mod trash;
mod tree;
mod trust;
mod users;
mod walk;
mod way;
mod whole_copy;
mod whole_slot;

pub use beneath::{Opening, opening};
pub use claimed::Claimed;
pub use confine::{ASK_FOR_LANDLOCK, May, ask_for_landlock, confine, is_confined, note_confined, unconfinable};
pub use dir::{Dir, Found, Listed, ListingBuffer, Space};
pub use idle::{become_idle, give_back_memory};
pub use lease::Usage;
pub use origin::Origin;
pub use private_files::{OwnDir, OwnEntry, OwnFile, ReadFile};
pub use processes::Processes;
pub use put_back::PutBack;
pub use reach::{Unreachable, each_within, is_unreachable, within};
pub use recover::{Recovered, recover};
pub use refusal::Refusal;
pub use root::{Root, RootError, resolve, resolve_now};
pub use slot::{Slot, Taken, is_slots};
pub use socket::{OwnSocket, SocketError, bind_own, connect_to};
pub use transfer::{Destination, GoOn};
pub use trash::{Trash, TrashedRun, Weight};
pub use trust::{Breach, Denied, Owner, Purpose, Trust, owner_of, sudo_user, trust_owner};
pub use whole_copy::WholeCopy;
pub use whole_slot::{NotTaken, WholeRecovered, WholeSlot, finish_whole, recover_whole};

use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Statx, StatxFlags, makedev, statx};

use crate::entry::Identity;

fn identity_of(found: &Statx) -> Identity {
    Identity { device: makedev(found.stx_dev_major, found.stx_dev_minor), inode: found.stx_ino }
}

/// Returns the inode that a path leads to, following links; `None` when nothing is there. For the janitor's own files,
/// never for anything below a target.
///
/// # Errors
/// Fails when the path cannot be looked at.
pub fn identity(path: &Path) -> io::Result<Option<Identity>> {
    match statx(CWD, path, AtFlags::empty(), StatxFlags::INO) {
        Ok(found) => Ok(Some(identity_of(&found))),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
