//! Putting back the files that killed runs have left in slots.

use std::collections::BTreeSet;
use std::io;

use rustix::io::Errno;

use super::dir::Dir;
use super::origin::{Origin, find, is_name};
use super::pin::identity_at;
use super::place::is;
use super::private::open_private;
use super::slot::{FILE, back, hold, own_slots};
use crate::entry::Identity;
use crate::names::{Escaped, Shortened};

/// Result of looking into the slots that earlier runs used.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Paths of the files that are back in their directories, escaped.
    pub restored: Vec<String>,
    /// Identities of the same files.
    pub back: BTreeSet<Identity>,
    /// Files that wait in a slot: paths in the slot, escaped, and the reason.
    pub waiting: Vec<String>,
}

/// A directory left in a slot: its place, its handle, its name, and the names in it.
struct Left {
    place: String,
    shelf: Dir,
    origin: Vec<u8>,
    names: Vec<Vec<u8>>,
}

/// Puts back the files that killed runs have left in slots below this root. Slots in use are left alone. A file that
/// cannot be put back, because its name is taken or its directory is gone, stays and is reported.
///
/// # Errors
/// Fails when a directory of slots cannot be read, or something in it is not a private directory of ours.
pub fn recover(root: &Dir) -> io::Result<Recovered> {
    let mut recovered = Recovered::default();
    let (mut all, mut held) = (Vec::new(), Vec::new());
    for (slots, name) in own_slots(root)? {
        for number in slots.names()? {
            let slot = open_private(&slots, &number)?;
            if hold(&slot)? {
                left_in(&slot, &format!("{}/{}", Escaped(&name), Escaped(&number)), &mut all)?;
                held.push(slot);
            }
        }
    }
    let wanted: BTreeSet<Vec<u8>> = all.iter().map(|left| &left.origin).filter(|name| is_name(name)).cloned().collect();
    let found = find(root, &wanted);
    for Left { place, shelf, origin, names } in all {
        for name in names {
            let put = found.get(&origin).ok_or_else(|| "its directory is gone, or another by now".to_owned());
            let put = put.and_then(|directory| restore(root, directory, &origin, &shelf, &name));
            match put {
                Ok((path, identity)) => {
                    recovered.restored.push(path);
                    recovered.back.insert(identity);
                }
                Err(why) => recovered.waiting.push(format!("`{place}/{}`: {why}", Escaped(&name))),
            }
        }
    }
    Ok(recovered)
}

fn left_in(slot: &Dir, place: &str, all: &mut Vec<Left>) -> io::Result<()> {
    let shelves = match open_private(slot, FILE) {
        // The run was killed while it made the slot.
        Err(error) if is(&error, Errno::NOENT) => return Ok(()),
        done => done?,
    };
    for origin in shelves.names()? {
        let shelf = open_private(&shelves, &origin)?;
        let names = shelf.names()?;
        if names.is_empty() {
            drop(shelves.remove_directory(&origin));
        } else {
            all.push(Left { place: format!("{place}/file/{}", Escaped(&origin)), shelf, origin, names });
        }
    }
    Ok(())
}

/// Puts one file back. Returns its path, escaped, and its identity; or the reason why it stays.
fn restore(
    root: &Dir,
    directory: &[u8],
    origin: &[u8],
    shelf: &Dir,
    name: &[u8],
) -> Result<(String, Identity), String> {
    let open = if directory.is_empty() { root.open(b".") } else { root.open_beneath(directory) };
    let to = open.map_err(|error| error.to_string())?;
    match Origin::of(&to) {
        Ok(there) if there.name().as_bytes() == origin => {}
        _ => return Err("its directory has been replaced".to_owned()),
    }
    let put = identity_at(shelf, name).and_then(|identity| back(shelf, name, &to).map(|()| identity));
    let identity = put.map_err(|error| error.to_string())?;
    let slash = if directory.is_empty() { "" } else { "/" };
    Ok((format!("{}{slash}{}", Shortened::path(directory), Shortened::name(name)), identity))
}
