//! Holding one entry by a descriptor, from the verdict to the removal or move.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FlockOperation, Mode, OFlags, Statx, StatxFlags, flock, openat, statx};
use rustix::io::Errno;

use super::dir::{Dir, Found, again, found, open_below, path};
use super::identity_of;
use super::refusal::Refusal;
use crate::entry::{Facts, Identity, Kind, Stamps};

/// An entry held by a descriptor: the descriptor stays on the same inode wherever its name goes, and the inode number
/// is not reused.
pub(super) struct Pinned {
    fd: OwnedFd,
    /// Metadata of the entry when it was pinned.
    pub(super) stat: Statx,
}

fn look(fd: BorrowedFd<'_>) -> io::Result<Statx> {
    again(|| statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::BASIC_STATS | StatxFlags::BTIME))
}

/// Returns the inode that a directory has under a name, without following a symbolic link.
pub(super) fn identity_at(dir: &Dir, name: &[u8]) -> io::Result<Identity> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    again(|| statx(dir.fd(), path(name), flags, StatxFlags::INO)).map(|stat| identity_of(&stat))
}

/// Returns whether two sets of facts are the same, except for those that change without the file being changed: the
/// access time, and the number of blocks, which a file system may choose late.
pub(super) fn is_unchanged(now: &Facts, then: &Facts) -> bool {
    let stamps = Stamps { accessed: then.stamps.accessed, ..now.stamps };
    Facts { allocated: then.allocated, stamps, ..*now } == *then
}

impl Pinned {
    /// Pins the entry `name` of a directory by an `O_PATH` descriptor. Nothing blocks, whatever the entry is.
    pub(super) fn at(dir: &Dir, name: &[u8]) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = open_below(dir.fd(), name, flags)?;
        let stat = look(fd.as_fd())?;
        Ok(Self { fd, stat })
    }

    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    pub(super) fn identity(&self) -> Identity {
        identity_of(&self.stat)
    }

    /// Returns the metadata of the entry when it was pinned.
    pub(super) fn found(&self) -> Found {
        found(&self.stat)
    }

    /// Fails with `ESTALE` unless these facts were true when the entry was pinned.
    pub(super) fn expect(&self, facts: &Facts) -> io::Result<()> {
        if is_unchanged(&self.found().facts, facts) { Ok(()) } else { Err(Errno::STALE.into()) }
    }

    /// Returns the same entry with its current metadata.
    pub(super) fn renewed(self) -> io::Result<Self> {
        Ok(Self { stat: look(self.fd())?, ..self })
    }

    /// Returns the current facts of the entry.
    pub(super) fn now(&self) -> io::Result<Facts> {
        Ok(found(&look(self.fd())?).facts)
    }

    /// Fails with `ESTALE` when the entry was changed since it was pinned.
    pub(super) fn expect_unchanged(&self) -> io::Result<()> {
        self.expect(&self.now()?)
    }

    /// Returns whether the entry is the one that a directory has under this name.
    pub(super) fn is_at(&self, dir: &Dir, name: &[u8]) -> io::Result<bool> {
        // Both are queried now: on an overlay a file may get another number when it is copied up.
        Ok(identity_of(&look(self.fd())?) == identity_at(dir, name)?)
    }

    /// Opens the regular file `name` of a directory for reading, without changing its access time where the system
    /// allows that. Only for a name just seen to be a regular file: opening a device can have an effect. If a FIFO has
    /// taken the name since, nothing blocks.
    ///
    /// # Errors
    /// [`Refusal::Changed`] when the name is not a regular file by now, [`Refusal::InUse`] when somebody holds a lease
    /// on the file, [`Refusal::Unverifiable`] when it may not be read, [`Refusal::Failed`] otherwise.
    pub(super) fn open(dir: &Dir, name: &[u8]) -> Result<Self, Refusal> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        // EAGAIN is not retried: here it means that somebody has a lease on the file.
        let open = |flags| rustix::io::retry_on_intr(|| openat(dir.fd(), path(name), flags, Mode::empty()));
        let opened = match open(flags | OFlags::NOATIME) {
            // `O_NOATIME` is for the file's owner and CAP_FOWNER only.
            Err(Errno::PERM) => open(flags),
            done => done,
        };
        let fd = opened.map_err(|error| match error {
            Errno::AGAIN | Errno::TXTBSY => Refusal::InUse,
            Errno::LOOP | Errno::NXIO | Errno::NODEV => Refusal::Changed,
            Errno::ACCESS | Errno::PERM => Refusal::Unverifiable(error.into()),
            error => Refusal::Failed(error.into()),
        })?;
        let stat = look(fd.as_fd()).map_err(Refusal::Failed)?;
        let pinned = Self { fd, stat };
        if pinned.found().kind == Kind::File { Ok(pinned) } else { Err(Refusal::Changed) }
    }

    /// Locks the [opened](Self::open) file and takes a lease on it, so that nobody else has it locked or open. Lock and
    /// lease end when this is dropped.
    ///
    /// # Errors
    /// [`Refusal::Locked`], [`Refusal::InUse`], or [`Refusal::Unverifiable`] where the system cannot tell.
    pub(super) fn claim(&self) -> Result<(), Refusal> {
        self.lock()?;
        match janitor_lease::try_write_lease(self.fd()) {
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(Refusal::InUse),
            Err(error) => Err(Refusal::Unverifiable(error)),
        }
    }

    /// Locks the [opened](Self::open) file.
    pub(super) fn lock(&self) -> Result<(), Refusal> {
        match rustix::io::retry_on_intr(|| flock(&self.fd, FlockOperation::NonBlockingLockExclusive)) {
            Ok(()) => Ok(()),
            Err(Errno::WOULDBLOCK) => Err(Refusal::Locked),
            Err(error) => Err(Refusal::Unverifiable(error.into())),
        }
    }

    /// Returns whether nobody has opened the file, or waits to, since it was [claimed](Self::claim).
    pub(super) fn is_claimed(&self) -> bool {
        janitor_lease::holds_write_lease(self.fd())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::sync::atomic::{AtomicBool, Ordering};

    use super::*;
    use crate::entry::{Kind, Stamp};
    use crate::fsys::resolve;

    #[test]
    fn what_is_moved_away_meanwhile_is_gone_and_no_mount_point() {
        let yard = tempfile::tempdir().expect("a temporary directory");
        let (here, there) = (yard.path().join("here"), yard.path().join("there"));
        for directory in [&here, &there] {
            fs::create_dir(directory).expect("made");
        }
        fs::write(here.join("file"), "text").expect("written");
        fs::create_dir(here.join("directory")).expect("made");
        let root = resolve(&here, false).expect("it exists").dir;
        let done = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(Ordering::Relaxed) {
                    for name in ["file", "directory"] {
                        fs::rename(here.join(name), there.join(name)).expect("ours");
                        fs::rename(there.join(name), here.join(name)).expect("ours");
                    }
                }
            });
            let mut said = Vec::new();
            for _ in 0..100_000 {
                said.extend(Pinned::at(&root, b"file").err());
                said.extend(root.open(b"directory").err());
            }
            done.store(true, Ordering::Relaxed);
            let gone = |error: &io::Error| error.raw_os_error() == Some(Errno::NOENT.raw_os_error());
            assert!(!said.is_empty(), "the two did not meet");
            assert!(said.iter().all(gone), "{:?}", said.iter().find(|error| !gone(error)));
        });
    }

    #[test]
    fn a_link_is_pinned_itself_and_is_not_what_it_leads_to() {
        let yard = tempfile::tempdir().expect("a temporary directory");
        fs::write(yard.path().join("real"), "x").expect("written");
        symlink("real", yard.path().join("link")).expect("made");
        let dir = resolve(yard.path(), false).expect("it exists").dir;
        let (real, link) = (Pinned::at(&dir, b"real").expect("there"), Pinned::at(&dir, b"link").expect("there"));
        assert_eq!((real.found().kind, link.found().kind), (Kind::File, Kind::Symlink));
        let is_at = |pinned: &Pinned, name: &[u8]| pinned.is_at(&dir, name).expect("there");
        assert_eq!([is_at(&real, b"real"), is_at(&real, b"link")], [true, false]);
        assert_eq!([is_at(&link, b"real"), is_at(&link, b"link")], [false, true]);
    }

    #[test]
    fn a_file_that_was_only_read_or_given_blocks_is_the_same() {
        let stamp = |seconds| Stamp::new(seconds, 0);
        let stamps = Stamps { modified: stamp(1), accessed: stamp(2), changed: stamp(3), created: Some(stamp(4)) };
        let then = Facts {
            size: 5,
            allocated: 6,
            links: 1,
            identity: Identity { device: 7, inode: 8 },
            stamps,
            immutable: false,
        };
        let read = Facts { allocated: 9, stamps: Stamps { accessed: stamp(9), ..stamps }, ..then };
        assert!(is_unchanged(&then, &then) && is_unchanged(&read, &then));
        for other in [
            Facts { size: 9, ..then },
            Facts { links: 2, ..then },
            Facts { identity: Identity { device: 9, inode: 8 }, ..then },
            Facts { identity: Identity { device: 7, inode: 9 }, ..then },
            Facts { stamps: Stamps { modified: stamp(9), ..stamps }, ..then },
            Facts { stamps: Stamps { changed: stamp(9), ..stamps }, ..then },
            Facts { stamps: Stamps { created: None, ..stamps }, ..then },
        ] {
            assert!(!is_unchanged(&other, &then), "{other:?}");
        }
    }
}
