//! Verified removal and moves: only an entry that is the judged one, and that nobody has open, is removed or moved.
//!
//! Between a look at a name and `unlinkat` or `renameat`, anybody who can write in the directory can put another file
//! under the name, and no second look helps. So the file is opened, compared with the judged one, locked and leased.
//! Then it is taken aside by a rename into a directory that nobody else can enter (a slot). The renamed file is
//! compared with the held one, and only then unlinked or renamed on; otherwise it is put back.
//!
//! A slot has one directory for each directory that files come from, named after that source ([`Origin`]): so a file
//! that a crash leaves in a slot finds its way back ([`recover`](super::recover::recover)). Slots lie in
//! `.janitor-slots`, directly below the root: on the same mount, whatever the root is. Slots stay there after a run, so
//! that a full disk does not keep anybody from cleaning it. Where somebody else has made a directory of that name,
//! slots lie in a directory with an unpredictable name.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::AsFd;

use rustix::fs::{FlockOperation, RenameFlags, flock, renameat_with};
use rustix::io::Errno;

use super::copy;
use super::dir::{Dir, Found, again, path};
use super::origin::Origin;
use super::pin::Pinned;
use super::place::{is, link_to, put, rename_to, write_down};
use super::private::{is_foreign, make_private, open_private, private_directory};
use super::refusal::Refusal;
use super::transfer::{Destination, GoOn};
use crate::entry::{Facts, Kind, Stamps};
use crate::names::Escaped;

mod emptied;
#[cfg(test)]
mod tests;

/// Name of the directory of slots below a root.
const SLOTS: &[u8] = b".janitor-slots";

/// Name of the directory in a slot that holds the directories for files.
pub(super) const FILE: &[u8] = b"file";

/// Name of the spare directory in a slot, for a disk so full that no other can be made.
const SPARE: &[u8] = b"spare";

/// Number of slots tried before giving up.
const MOST: usize = 256;

/// Returns whether an entry of a root is a directory of slots, by its name.
#[must_use]
pub fn is_slots(name: &[u8]) -> bool {
    name.strip_prefix(SLOTS).is_some_and(|rest| rest.is_empty() || rest[0] == b'-')
}

/// A directory from which files are taken.
#[derive(Clone, Copy, Debug)]
pub struct Taken<'a> {
    /// The directory.
    pub dir: &'a Dir,
    /// Identity and birth time of the directory.
    pub origin: Origin,
}

/// A private directory into which files are taken, one at a time.
#[derive(Debug)]
pub struct Slot {
    /// Path of the slot relative to the root, escaped.
    place: String,
    /// The directory, locked while this slot is in use.
    dir: Dir,
    /// The directory that holds the directories for files.
    shelves: Dir,
    shelf: Option<Shelf>,
    /// Whether the slot holds a file that could not be put back.
    stuck: bool,
}

/// The directory in a slot for the files of one source directory.
#[derive(Debug)]
struct Shelf {
    origin: Origin,
    dir: Dir,
    /// Whether this is the spare directory.
    is_spare: bool,
}

fn is_empty(dir: &Dir) -> io::Result<bool> {
    Ok(dir.names()?.is_empty())
}

/// Locks the slot, until the handle is closed. Returns whether nobody else holds it.
pub(super) fn hold(slot: &Dir) -> io::Result<bool> {
    let fd = slot.fd();
    match rustix::io::retry_on_intr(|| flock(fd.as_fd(), FlockOperation::NonBlockingLockExclusive)) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Opens our directories of slots below a root, with their names: the usual one, if it is ours, otherwise those with a
/// random name.
pub(super) fn own_slots(root: &Dir) -> io::Result<Vec<(Dir, Vec<u8>)>> {
    match open_private(root, SLOTS) {
        Ok(dir) => return Ok(vec![(dir, SLOTS.to_vec())]),
        // Nobody but us can have removed or replaced the usual directory here, so there are no others.
        Err(error) if is(&error, Errno::NOENT) && root.is_trusted()? => return Ok(Vec::new()),
        Err(error) if is(&error, Errno::NOENT) || is_foreign(&error) => {}
        Err(error) => return Err(error),
    }
    let mut own = Vec::new();
    for name in root.names_that(|name| name != SLOTS && is_slots(name))? {
        // Directories that are not ours are skipped.
        own.extend(open_private(root, &name).ok().map(|dir| (dir, name)));
    }
    Ok(own)
}

/// Opens our directory of slots below a root, or makes one.
pub(super) fn open_slots(root: &Dir) -> io::Result<(Dir, Vec<u8>)> {
    if let Some(own) = own_slots(root)?.into_iter().next() {
        return Ok(own);
    }
    let foreign = match private_directory(root, SLOTS) {
        Ok(dir) => return Ok((dir, SLOTS.to_vec())),
        Err(error) if is_foreign(&error) => error,
        Err(error) => return Err(error),
    };
    for _ in 0..MOST {
        // A new random name each time, from the system's random numbers.
        let name = [SLOTS, format!("-{:016x}", RandomState::new().build_hasher().finish()).as_bytes()].concat();
        match make_private(root, &name) {
            Ok((dir, true)) => return write_down(root).map(|()| (dir, name)),
            Ok((_, false)) => {}
            Err(error) if is_foreign(&error) => {}
            Err(error) => return Err(error),
        }
    }
    Err(foreign)
}

impl Slot {
    /// Takes the first free slot below this root, and makes one if there is none.
    ///
    /// # Errors
    /// Fails when no private directory of ours can be made there, or all slots are taken.
    pub fn take(root: &Dir) -> io::Result<Self> {
        let (slots, name) = open_slots(root)?;
        for number in 0..MOST {
            let (dir, made) = make_private(&slots, number.to_string().as_bytes())?;
            if !hold(&dir)? {
                continue;
            }
            let (shelves, _) = make_private(&dir, FILE)?;
            for left in shelves.names()? {
                // An empty directory was left by a run that was killed.
                drop(shelves.remove_directory(&left));
            }
            if !is_empty(&shelves)? {
                // Files that an earlier run could not put back wait here.
                continue;
            }
            make_private(&dir, SPARE)?;
            if made {
                write_down(&dir)?;
                write_down(&slots)?;
            }
            let place = format!("{}/{number}", Escaped(&name));
            return Ok(Self { place, dir, shelves, shelf: None, stuck: false });
        }
        Err(io::Error::other(format!("all {MOST} slots in `{}` are taken", Escaped(&name))))
    }

    /// Returns whether the slot holds a file that could not be put back.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.stuck
    }

    /// Removes the entry `name` of `from`, which must not be a directory, if it is still the `judged` one and no
    /// process has it open or locked.
    ///
    /// # Errors
    /// See [`Refusal`]. After any refusal but a conflict the file is where it was.
    pub fn remove(&mut self, from: &Taken<'_>, name: &[u8], judged: &Found) -> Result<(), Refusal> {
        let source = claim(from, name, judged)?;
        let shelf = self.take_aside(from, name, &source)?;
        let removed = shelf.remove(name);
        removed.map_err(|error| self.put_back(from, name, Refusal::Failed(error)))
    }

    /// Moves the entry `name` of `from`, which must not be a directory, `into` a directory of `to`, under the same
    /// conditions as [`Slot::remove`]. A copy to another file system is made while the file is at its place; only then
    /// is the file taken aside and removed.
    ///
    /// # Errors
    /// Same as [`Slot::remove`].
    pub fn transfer(
        &mut self,
        from: &Taken<'_>,
        name: &[u8],
        judged: &Found,
        to: &Destination,
        into: &Dir,
        go_on: GoOn<'_>,
    ) -> Result<(), Refusal> {
        let mut source = claim(from, name, judged)?;
        if !to.copies_from(from.origin.identity) {
            let shelf = self.take_aside(from, name, &source)?;
            let failed = match put(shelf, name, into) {
                Ok(()) => return Ok(()),
                Err(error) => to.failed(error),
            };
            let why = self.put_back(from, name, Refusal::Failed(failed));
            if matches!(why, Refusal::Conflict(_)) || !to.copies_from(from.origin.identity) {
                return Err(why);
            }
            // The rename there and back has changed the ctime, and nobody can have changed anything else.
            source = source.renewed()?;
        }
        let is_file = judged.kind == Kind::File;
        let undisturbed = || if !is_file || source.is_claimed() { go_on() } else { Err(Refusal::InUse) };
        let copied = copy::make(&source, to, into, &undisturbed)?;
        let shelf = self.take_aside(from, name, &source)?;
        let placed = match copied.place(name) {
            Ok(placed) => placed,
            Err(error) => return Err(self.put_back(from, name, Refusal::Failed(error))),
        };
        // Writing the copy to the disk has taken a while.
        let why = match undisturbed() {
            Ok(()) => match shelf.remove(name) {
                Ok(()) => return Ok(()),
                Err(error) => Refusal::Failed(error),
            },
            Err(why) => why,
        };
        placed.take_back();
        Err(self.put_back(from, name, why))
    }

    /// Takes the held file aside, and verifies that the file taken is the held one and still used by nobody. Returns
    /// the directory that it is in.
    fn take_aside(&mut self, from: &Taken<'_>, name: &[u8], source: &Pinned) -> Result<&Dir, Refusal> {
        self.aim(from.origin).map_err(Refusal::Unverifiable)?;
        let shelf = self.shelf()?;
        rename_aside(from.dir, name, shelf)?;
        // From here on nobody else can reach the file by name, unless it has other links.
        let why = if !is_judged(shelf, name, source) {
            Refusal::Changed
        } else if source.found().kind == Kind::File && !source.is_claimed() {
            Refusal::InUse
        } else {
            return self.shelf();
        };
        Err(self.put_back(from, name, why))
    }

    fn shelf(&self) -> Result<&Dir, Refusal> {
        let shelf = self.shelf.as_ref().map(|shelf| &shelf.dir);
        shelf.ok_or_else(|| Refusal::Failed(io::ErrorKind::NotFound.into()))
    }

    /// Makes the directory for the files of this source the current one.
    fn aim(&mut self, origin: Origin) -> io::Result<()> {
        if self.shelf.as_ref().is_some_and(|shelf| shelf.origin == origin) {
            return Ok(());
        }
        self.leave_shelf();
        let name = origin.name().into_bytes();
        let full = match make_private(&self.shelves, &name) {
            Ok((dir, _)) => {
                self.shelf = Some(Shelf { origin, dir, is_spare: false });
                return Ok(());
            }
            Err(error) if is(&error, Errno::NOSPC) || is(&error, Errno::DQUOT) => error,
            Err(error) => return Err(error),
        };
        self.aim_spare(origin, &name).map_err(|_| full)
    }

    /// Works like [`Slot::aim`] with the spare directory, on a full disk.
    fn aim_spare(&mut self, origin: Origin, name: &[u8]) -> io::Result<()> {
        let spare = open_private(&self.dir, SPARE)?;
        // The directory had another name before. The first sync makes the removals of that time durable before the
        // rename; the second makes the rename durable before any file is taken here. So the order in which a file
        // system writes does not matter.
        write_down(&spare)?;
        let (old, new) = (path(SPARE), path(name));
        again(|| renameat_with(self.dir.fd(), old, self.shelves.fd(), new, RenameFlags::empty()))?;
        self.shelf = Some(Shelf { origin, dir: spare, is_spare: true });
        write_down(&self.shelves)
    }

    /// Removes the current directory for files, if it is empty; the spare one is renamed back.
    fn leave_shelf(&mut self) {
        let Some(Shelf { origin, dir, is_spare }) = self.shelf.take() else { return };
        let name = origin.name().into_bytes();
        if !is_spare {
            drop(self.shelves.remove_directory(&name));
        } else if is_empty(&dir).unwrap_or(false) {
            let (old, new) = (path(&name), path(SPARE));
            drop(again(|| renameat_with(self.shelves.fd(), old, self.dir.fd(), new, RenameFlags::empty())));
        }
    }

    /// Puts a file back under its name and returns `why`; or keeps the file in the slot, where the name is taken.
    fn put_back(&mut self, to: &Taken<'_>, name: &[u8], why: Refusal) -> Refusal {
        match self.shelf().map(|shelf| back(shelf, name, to.dir)) {
            Ok(Ok(())) => why,
            _ => {
                self.stuck = true;
                Refusal::Conflict(format!("{}/file/{}/{}", self.place, to.origin.name(), Escaped(name)))
            }
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.leave_shelf();
    }
}

/// Holds the entry, if it is the judged one and nobody uses it.
fn claim(from: &Taken<'_>, name: &[u8], judged: &Found) -> Result<Pinned, Refusal> {
    let pinned = match judged.kind {
        Kind::Directory => return Err(Refusal::Failed(Errno::ISDIR.into())),
        // Nobody reads or writes through a link, and special files must not be opened.
        Kind::Symlink | Kind::Special => Pinned::at(from.dir, name).map_err(Refusal::Failed)?,
        Kind::File => Pinned::open(from.dir, name)?,
    };
    if pinned.found().kind != judged.kind || pinned.expect(&judged.facts).is_err() {
        return Err(Refusal::Changed);
    }
    if judged.kind == Kind::File {
        pinned.claim()?;
    }
    Ok(pinned)
}

fn rename_aside(from: &Dir, name: &[u8], shelf: &Dir) -> Result<(), Refusal> {
    let renamed = match rename_to(from, name, shelf, name) {
        // The file system cannot promise not to overwrite. Nobody else has names in the slot, so a look is enough.
        Err(error) if is(&error, Errno::INVAL) => match shelf.look(name) {
            Err(free) if is(&free, Errno::NOENT) => {
                again(|| renameat_with(from.fd(), path(name), shelf.fd(), path(name), RenameFlags::empty()))
            }
            _ => Err(Errno::EXIST.into()),
        },
        done => done,
    };
    renamed.map_err(|error| {
        // The name is taken in the slot by an earlier file of the same directory that could not be put back.
        let unverifiable = [Errno::XDEV, Errno::INVAL, Errno::NOSPC, Errno::EXIST, Errno::DQUOT];
        match unverifiable.iter().any(|errno| is(&error, *errno)) {
            true => Refusal::Unverifiable(error),
            false => Refusal::Failed(error),
        }
    })
}

/// Returns whether the taken file is the pinned one, and unchanged since it was judged.
fn is_judged(shelf: &Dir, name: &[u8], pinned: &Pinned) -> bool {
    let then = pinned.found().facts;
    // The rename has changed the ctime. On an overlay the rename has copied the file up, so the birth time is new and
    // the inode number may differ. The file is pinned, so no other file can have its number.
    let same = |now: Facts| {
        let Stamps { changed, created, .. } = then.stamps;
        let stamps = Stamps { changed, created, ..now.stamps };
        super::pin::is_unchanged(&Facts { identity: then.identity, stamps, ..now }, &then)
    };
    match shelf.look(name) {
        Ok(found) if found.facts.identity == then.identity => same(found.facts),
        Ok(_) => pinned.is_at(shelf, name).unwrap_or(false) && pinned.now().is_ok_and(same),
        Err(_) => false,
    }
}

/// Renames a file out of a slot, and never over another.
pub(super) fn back(shelf: &Dir, name: &[u8], to: &Dir) -> io::Result<()> {
    match rename_to(shelf, name, to, name) {
        Err(error) if is(&error, Errno::INVAL) => {
            link_to(shelf, name, to, name)?;
            shelf.remove(name)
        }
        done => done,
    }
}
