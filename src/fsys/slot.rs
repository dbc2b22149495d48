//! Verified removal: what is unlinked is what was judged, and nobody has it open.
//!
//! Between a look at a name and `unlinkat` somebody who can write in the directory can put another file under the name,
//! and no second look helps. So a file is first taken aside, by a rename into a directory that nobody else can enter (a
//! slot); what was taken is compared with what was judged, and only then unlinked, or put back. Where it belongs is
//! written to the disk before, so that what a crash leaves in a slot finds its way back ([`recover`]).
//!
//! Slots lie in `.janitor-slots`, directly below the root: on the same mount, whatever the root is. They stay there, so
//! that a full disk does not keep anybody from cleaning it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::fs::{FlockOperation, Mode, OFlags, RenameFlags, fdatasync, flock, openat, renameat_with};
use rustix::io::Errno;

use super::dir::{BENEATH, Dir, again, path};
use super::origin::Origin;
use super::pin::Pinned;
use super::place::{is, link_to, rename_to, write_down};
use super::private::{open_private, private_directory};
use crate::entry::{Facts, Identity, Kind, Stamps};
use crate::names::Escaped;

#[cfg(test)]
mod tests;

/// The directory below a root that slots are in.
pub const SLOTS: &[u8] = b".janitor-slots";

/// In a slot: the directory that files are taken to.
const FILE: &[u8] = b"file";

/// In a slot: where what is in it belongs.
pub(super) const ORIGIN: &[u8] = b"origin";

/// As many slots are tried before none is free.
const MOST: usize = 256;

/// Why a file was not removed.
#[derive(Debug)]
pub enum Refusal {
    /// Some process has it open, mapped or executing.
    InUse,
    /// Some process holds a lock on it (flock(2)), which is how programs say that a file is to be left alone.
    Locked,
    /// It is not, or did not stay, what was judged.
    Changed,
    /// Another file was under the name, and could not be put back: somebody has taken the name meanwhile. It is kept,
    /// at this path relative to the root.
    Conflict(String),
    /// It cannot be verified here.
    Unverifiable(io::Error),
    /// The system refused.
    Failed(io::Error),
}

/// A directory that files are taken from.
#[derive(Clone, Copy, Debug)]
pub struct Taken<'a> {
    /// The directory.
    pub dir: &'a Dir,
    /// Which it is.
    pub identity: Identity,
    /// Its path relative to the root; empty for the root itself.
    pub path: &'a [u8],
}

/// A private directory that files are taken to, one at a time.
#[derive(Debug)]
pub struct Slot {
    number: usize,
    file: Dir,
    origin: Origin,
    /// Something in it could not be put back, so it belongs to that from now on.
    stuck: bool,
    /// Held locked while this slot is in use.
    _lock: Dir,
}

/// What came of a look into the slots that earlier runs used.
#[derive(Debug, Default)]
pub struct Recovered {
    /// Files that are back in their directories: their paths, escaped.
    pub restored: Vec<String>,
    /// Files that wait in a slot: their paths there, escaped, and why.
    pub waiting: Vec<String>,
}

fn is_empty(dir: &Dir) -> io::Result<bool> {
    Ok(dir.names()?.is_empty())
}

/// Whether nobody else holds the slot. It is held until the handle is closed.
fn hold(slot: &Dir) -> io::Result<bool> {
    match again_unless_held(slot.fd()) {
        Ok(()) => Ok(true),
        Err(Errno::WOULDBLOCK) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn again_unless_held(fd: impl AsFd) -> rustix::io::Result<()> {
    rustix::io::retry_on_intr(|| flock(&fd, FlockOperation::NonBlockingLockExclusive))
}

impl Slot {
    /// Takes the first slot below this root that nobody uses, and makes one if there is none.
    ///
    /// # Errors
    /// `.janitor-slots` is not a private directory of ours, or cannot be made.
    pub fn take(root: &Dir) -> io::Result<Self> {
        let slots = private_directory(root, SLOTS)?;
        for number in 0..MOST {
            let name = number.to_string();
            let slot = private_directory(&slots, name.as_bytes())?;
            if !hold(&slot)? {
                continue;
            }
            let file = private_directory(&slot, FILE)?;
            if !is_empty(&file)? {
                // What an earlier run could not put back waits here.
                continue;
            }
            let origin = Origin::open(&slot)?;
            return Ok(Self { number, file, origin, stuck: false, _lock: slot });
        }
        Err(io::Error::other(format!("all {MOST} slots in `.janitor-slots` are taken")))
    }

    /// Whether it holds something that could not be put back. Such a slot is good for no other directory.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.stuck
    }

    /// Removes the entry `name` of `from`, which is no directory, if it is still what `facts` say, and no process has it
    /// open.
    ///
    /// # Errors
    /// See [`Refusal`]. With each the file is where it was, but for a conflict.
    pub fn remove(&mut self, from: &Taken<'_>, name: &[u8], facts: &Facts) -> Result<(), Refusal> {
        let Taken { dir: from, identity, path: directory } = *from;
        let pinned = Pinned::at(from, name).map_err(Refusal::Failed)?;
        if pinned.expect(facts).is_err() {
            return Err(Refusal::Changed);
        }
        let open;
        let lease = match pinned.found().kind {
            Kind::Directory => return Err(Refusal::Failed(Errno::ISDIR.into())),
            // Nobody reads or writes through a link, and the others must not be opened.
            Kind::Symlink | Kind::Special => None,
            Kind::File => {
                open = unused(&pinned)?;
                let lease = janitor_lease::try_write_lease(open.as_fd()).map_err(Refusal::Unverifiable)?;
                Some(lease.ok_or(Refusal::InUse)?)
            }
        };
        self.aim(identity, directory).map_err(Refusal::Unverifiable)?;
        self.take_aside(from, name)?;
        // From here on nobody else can reach it by a name, unless it has others.
        if !self.is_judged(name, &pinned) {
            return Err(self.put_back(from, name, Refusal::Changed));
        }
        if lease.as_ref().is_some_and(|lease| !lease.is_held()) {
            return Err(self.put_back(from, name, Refusal::InUse));
        }
        match self.file.remove(name) {
            Ok(()) => Ok(()),
            Err(error) => Err(self.put_back(from, name, Refusal::Failed(error))),
        }
    }

    /// Writes down where the next files belong.
    fn aim(&mut self, identity: Identity, directory: &[u8]) -> io::Result<()> {
        if self.origin.is(identity, directory) {
            return Ok(());
        }
        if self.stuck {
            return Err(io::Error::other("something in the slot could not be put back"));
        }
        // What was removed here is gone for good before the slot belongs to another directory: a power cut brings back
        // what was not written down, and then it must not come back elsewhere.
        write_down(&self.file)?;
        self.origin.write(identity, directory)
    }

    fn take_aside(&self, from: &Dir, name: &[u8]) -> Result<(), Refusal> {
        let renamed = match rename_to(from, name, &self.file, name) {
            // A file system that cannot promise not to overwrite: nobody else has names here.
            Err(error) if is(&error, Errno::INVAL) => match self.file.look(name) {
                Err(free) if is(&free, Errno::NOENT) => {
                    again(|| renameat_with(from.fd(), path(name), self.file.fd(), path(name), RenameFlags::empty()))
                }
                _ => Err(Errno::EXIST.into()),
            },
            done => done,
        };
        renamed.map_err(|error| {
            // The name is taken in the slot by one of the same directory that could not be put back.
            let unverifiable = [Errno::XDEV, Errno::INVAL, Errno::NOSPC, Errno::EXIST, Errno::DQUOT];
            match unverifiable.iter().any(|errno| is(&error, *errno)) {
                true => Refusal::Unverifiable(error),
                false => Refusal::Failed(error),
            }
        })
    }

    /// Whether what was taken is what was pinned, and unchanged since it was judged.
    fn is_judged(&self, name: &[u8], pinned: &Pinned) -> bool {
        let then = pinned.found().facts;
        // The rename has changed its ctime; on an overlay it has copied the file up, so that it was made anew and may
        // have another number. It is pinned, so its number is not another's.
        let same = |now: Facts| {
            let Stamps { changed, created, .. } = then.stamps;
            let stamps = Stamps { changed, created, ..now.stamps };
            super::pin::is_unchanged(&Facts { identity: then.identity, stamps, ..now }, &then)
        };
        match self.file.look(name) {
            Ok(found) if found.facts.identity == then.identity => same(found.facts),
            Ok(_) => pinned.is_at(&self.file, name).unwrap_or(false) && pinned.now().is_ok_and(same),
            Err(_) => false,
        }
    }

    /// Puts a file back under its name, and hands on why; or keeps it, where the name is taken.
    fn put_back(&mut self, to: &Dir, name: &[u8], why: Refusal) -> Refusal {
        match back(&self.file, name, to) {
            Ok(()) => why,
            Err(_) => {
                self.stuck = true;
                Refusal::Conflict(place(self.number, name))
            }
        }
    }
}

/// Opens the file, and makes sure that nobody has it locked.
fn unused(pinned: &Pinned) -> Result<OwnedFd, Refusal> {
    let open = match pinned.reopen() {
        // Somebody has it open and a lease on it.
        Err(Errno::AGAIN | Errno::TXTBSY) => return Err(Refusal::InUse),
        done => done.map_err(|error| Refusal::Unverifiable(error.into()))?,
    };
    match again_unless_held(&open) {
        Ok(()) => Ok(open),
        Err(Errno::WOULDBLOCK) => Err(Refusal::Locked),
        Err(error) => Err(Refusal::Unverifiable(error.into())),
    }
}

/// Where a file in a slot is, relative to the root.
fn place(number: usize, name: &[u8]) -> String {
    format!(".janitor-slots/{number}/file/{}", Escaped(name))
}

/// Renames out of a slot, and never over another.
fn back(slot: &Dir, name: &[u8], to: &Dir) -> io::Result<()> {
    match rename_to(slot, name, to, name) {
        Err(error) if is(&error, Errno::INVAL) => {
            link_to(slot, name, to, name)?;
            slot.remove(name)
        }
        done => done,
    }
}

/// Puts back what earlier runs that were killed have left in slots below this root. Slots that are in use are left
/// alone. What cannot be put back, because its name is taken or its directory is gone, stays and is told.
///
/// # Errors
/// `.janitor-slots` is there, and is not a private directory of ours; or it cannot be read.
pub fn recover(root: &Dir) -> io::Result<Recovered> {
    let mut recovered = Recovered::default();
    let slots = match open_private(root, SLOTS) {
        Err(error) if is(&error, Errno::NOENT) => return Ok(recovered),
        done => done?,
    };
    for name in slots.names()? {
        let number = std::str::from_utf8(&name).ok().and_then(|name| name.parse::<usize>().ok());
        let Some(number) = number else { continue };
        let slot = open_private(&slots, &name)?;
        if !hold(&slot)? {
            continue;
        }
        match open_private(&slot, FILE) {
            Ok(file) => recover_slot(root, number, &slot, &file, &mut recovered)?,
            // It was killed while it was made.
            Err(error) if is(&error, Errno::NOENT) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(recovered)
}

fn recover_slot(root: &Dir, number: usize, slot: &Dir, file: &Dir, recovered: &mut Recovered) -> io::Result<()> {
    let left = file.names()?;
    if left.is_empty() {
        return Ok(());
    }
    let origin = Origin::read(slot);
    for name in left {
        let put = origin.as_ref().map_err(ToString::to_string).and_then(|(identity, directory)| {
            let open = if directory.is_empty() { root.open(b".") } else { root.open_beneath(directory) };
            let to = open.map_err(|error| error.to_string())?;
            match to.look_at_itself() {
                // Not the device: that may have another number since the machine was started.
                Ok((there, _)) if there.inode == identity.inode => {}
                _ => return Err("its directory has been replaced".to_owned()),
            }
            back(file, &name, &to).map_err(|error| error.to_string())?;
            let slash: &[u8] = if directory.is_empty() { b"" } else { b"/" };
            Ok(Escaped(&[directory, slash, &name].concat()).to_string())
        });
        match put {
            Ok(path) => recovered.restored.push(path),
            Err(why) => recovered.waiting.push(format!("`{}`: {why}", place(number, &name))),
        }
    }
    Ok(())
}

/// Opens a file of ours in a slot.
pub(super) fn own_file(slot: &Dir, flags: OFlags) -> io::Result<OwnedFd> {
    let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mode = Mode::RUSR | Mode::WUSR;
    if flags.contains(OFlags::CREATE) {
        // openat2 refuses a mode where nothing is made, so it has a call of its own.
        return Ok(openat(slot.fd(), path(ORIGIN), flags, mode)?);
    }
    again(|| rustix::fs::openat2(slot.fd(), path(ORIGIN), flags, Mode::empty(), BENEATH))
}

pub(super) fn written(file: &OwnedFd) -> io::Result<()> {
    match again(|| fdatasync(file)) {
        // The file system has no such thing.
        Err(error) if is(&error, Errno::INVAL) => Ok(()),
        done => done,
    }
}
