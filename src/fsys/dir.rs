//! A directory held open, and the operations in it.

use std::ffi::{CStr, OsStr};
use std::fmt;
use std::io;
use std::mem::MaybeUninit;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RawDir, SeekFrom, StatVfsMountFlags, Statx, StatxAttributes, StatxFlags, fstatvfs,
    seek, statx, syncfs, unlinkat,
};
use rustix::io::Errno;
use rustix::path::Arg;

use super::beneath::{Mounts, open_beneath};
use super::identity_of;
use crate::entry::{Asked, Facts, Identity, Kind, Stamp, Stamps};

/// Flags to open a directory for reading.
pub(super) const READ: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Length at which longer paths are split into hops, in bytes: the kernel takes paths of less than 4096 bytes.
const HOP: usize = 4000;

/// Number of times a step is tried again when the kernel could not tell whether the path stays beneath, because
/// something was renamed meanwhile (`EAGAIN`), or when a signal came (`EINTR`).
const TRIES: usize = 100;

/// A directory held open. The handle stays on the same directory wherever the name of the directory goes.
#[derive(Debug)]
pub struct Dir {
    fd: OwnedFd,
}

/// Metadata of an entry, as [`Dir::look`] returns it.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Kind of the entry.
    pub kind: Kind,
    /// Size, links and stamps of the entry.
    pub facts: Facts,
    /// Whether something is mounted on the entry.
    pub mount_point: bool,
}

/// Size and free space of a file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// Total space, in bytes.
    pub total: u64,
    /// Space that an ordinary user can still fill, in bytes: the figure that `df` calls available.
    pub free: u64,
}

/// One entry of a listing.
#[derive(Clone, Copy, Debug)]
pub struct Listed<'a> {
    /// Name of the entry.
    pub name: &'a [u8],
    /// Kind of the entry, if the file system gives it in its listing.
    pub kind: Option<Kind>,
    /// Inode number of the entry, as the listing gives it.
    pub inode: u64,
    /// Whether the kernel was called just now; other entries come from the same answer as the entry before.
    pub just_listed: bool,
}

/// Memory for [`Dir::for_each`], reusable for each directory.
pub struct ListingBuffer(Box<[MaybeUninit<u8>]>);

impl ListingBuffer {
    /// Returns a buffer for some thousand names at a time.
    #[must_use]
    pub fn new() -> Self {
        Self(Box::new_uninit_slice(256 * 1024))
    }
}

/// An empty buffer, to stand in for a buffer that is taken for a while.
impl Default for ListingBuffer {
    fn default() -> Self {
        Self(Box::default())
    }
}

impl fmt::Debug for ListingBuffer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("ListingBuffer")
    }
}

fn kind_of(kind: FileType) -> Option<Kind> {
    match kind {
        FileType::RegularFile => Some(Kind::File),
        FileType::Directory => Some(Kind::Directory),
        FileType::Symlink => Some(Kind::Symlink),
        FileType::Unknown => None,
        _ => Some(Kind::Special),
    }
}

pub(super) fn found(stat: &Statx) -> Found {
    let stamp = |at: rustix::fs::StatxTimestamp| Stamp::new(at.tv_sec, at.tv_nsec);
    let has = |field: StatxFlags| stat.stx_mask & field.bits() != 0;
    Found {
        kind: kind_of(FileType::from_raw_mode(stat.stx_mode.into())).unwrap_or(Kind::Special),
        facts: Facts {
            size: stat.stx_size,
            allocated: stat.stx_blocks.saturating_mul(512),
            links: stat.stx_nlink,
            identity: identity_of(stat),
            stamps: Stamps {
                modified: stamp(stat.stx_mtime),
                accessed: stamp(stat.stx_atime),
                changed: stamp(stat.stx_ctime),
                created: has(StatxFlags::BTIME).then(|| stamp(stat.stx_btime)),
            },
            immutable: stat.stx_attributes.intersects(StatxAttributes::IMMUTABLE | StatxAttributes::APPEND),
        },
        mount_point: stat.stx_attributes.contains(StatxAttributes::MOUNT_ROOT),
    }
}

/// Tries a step again while the kernel asks for it.
///
/// Inlined, as is everything that leads from one system call of a group to the next: calls of our own in between make
/// the kernel's own returns harder to predict (measured on a kernel that guards its returns: a fifth of the time of a
/// scan).
#[inline(always)]
pub(super) fn again<T>(mut step: impl FnMut() -> rustix::io::Result<T>) -> io::Result<T> {
    let mut tries = 0;
    loop {
        match step() {
            Err(Errno::AGAIN | Errno::INTR) if tries < TRIES => tries += 1,
            done => return done.map_err(io::Error::from),
        }
    }
}

/// Opens an entry beneath a directory, on the same mount.
pub(super) fn open_below(dir: BorrowedFd<'_>, name: &[u8], flags: OFlags) -> io::Result<OwnedFd> {
    open_beneath(dir, path(name), flags, Mounts::Stay)
}

pub(super) fn path(bytes: &[u8]) -> &Path {
    Path::new(OsStr::from_bytes(bytes))
}

impl Dir {
    pub(super) fn of(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Returns the handle, for other modules of this layer.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Opens the directory `name` in this directory.
    ///
    /// # Errors
    /// `ELOOP` for a symbolic link, `EXDEV` for a mount point, `ENOTDIR`, `ENOENT`, `EACCES` and any other kernel
    /// error.
    pub fn open(&self, name: &[u8]) -> io::Result<Self> {
        open_below(self.fd(), name, READ).map(Self::of)
    }

    /// Opens the directory at `relative`, a path of any length without `.`, `..` and empty components. Every component
    /// is resolved beneath this directory; links and mount points are refused.
    ///
    /// # Errors
    /// Same as [`Dir::open`].
    pub fn open_beneath(&self, relative: &[u8]) -> io::Result<Self> {
        let mut rest = relative;
        let mut hop: Option<OwnedFd> = None;
        while rest.len() > HOP {
            // A component has 255 bytes at most, so a slash is within reach.
            let Some(cut) = rest[..HOP].iter().rposition(|byte| *byte == b'/') else {
                return Err(Errno::NAMETOOLONG.into());
            };
            let from = hop.as_ref().unwrap_or(&self.fd).as_fd();
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            hop = Some(open_below(from, &rest[..cut], flags)?);
            rest = &rest[cut + 1..];
        }
        let from = hop.as_ref().unwrap_or(&self.fd).as_fd();
        open_below(from, rest, READ).map(Self::of)
    }

    /// Makes the next [`Dir::for_each`] start at the beginning again.
    ///
    /// # Errors
    /// Fails with the kernel's error.
    pub fn rewind(&self) -> io::Result<()> {
        again(|| seek(&self.fd, SeekFrom::Start(0))).map(drop)
    }

    /// Reads on in the directory, entry by entry, without `.` and `..`, until `each` breaks. After a break the rest of the
    /// kernel's answer is lost: only [`Dir::rewind`] makes a further call complete. Entries may be removed meanwhile.
    ///
    /// # Errors
    /// Fails when reading cannot continue; entries read until then have been handed to `each`.
    pub fn for_each(
        &self,
        buffer: &mut ListingBuffer,
        mut each: impl FnMut(Listed<'_>) -> ControlFlow<()>,
    ) -> io::Result<()> {
        let mut listing = RawDir::new(self.fd.as_fd(), &mut buffer.0);
        let mut just_listed = false;
        loop {
            just_listed |= listing.is_buffer_empty();
            let Some(entry) = listing.next() else { return Ok(()) };
            let entry = match entry {
                Ok(entry) => entry,
                Err(Errno::INTR) => continue,
                // The directory itself was removed, so it is empty.
                Err(Errno::NOENT) => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            let name = entry.file_name().to_bytes();
            if name == b"." || name == b".." {
                continue;
            }
            let listed = Listed { name, kind: kind_of(entry.file_type()), inode: entry.ino(), just_listed };
            just_listed = false;
            if each(listed).is_break() {
                return Ok(());
            }
        }
    }

    /// Returns the metadata of the entry `name`, without following a symbolic link or triggering an automount.
    ///
    /// # Errors
    /// `ENOENT` when the entry is gone, and any other kernel error.
    pub fn look(&self, name: &[u8]) -> io::Result<Found> {
        self.look_for(name, Asked::ALL)
    }

    /// Like [`Dir::look`], for a name in the kernel's form, reading only the stamps in `asked`: a file system on a
    /// network may have to query each stamp.
    ///
    /// # Errors
    /// Same as [`Dir::look`].
    #[inline(always)]
    pub fn look_listed(&self, name: &CStr, asked: Asked) -> io::Result<Found> {
        self.look_for(name, asked)
    }

    #[inline(always)]
    fn look_for(&self, name: impl Arg + Copy, asked: Asked) -> io::Result<Found> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let Asked { modified, accessed, changed, created } = asked;
        let mut wanted = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::NLINK | StatxFlags::SIZE | StatxFlags::BLOCKS;
        wanted.set(StatxFlags::MTIME, modified);
        wanted.set(StatxFlags::ATIME, accessed);
        wanted.set(StatxFlags::CTIME, changed);
        wanted.set(StatxFlags::BTIME, created);
        again(|| statx(&self.fd, name, flags, wanted)).map(|stat| found(&stat))
    }

    /// Returns the identity and metadata of the directory itself.
    ///
    /// # Errors
    /// Fails with the kernel's error.
    pub fn look_at_itself(&self) -> io::Result<(Identity, Found)> {
        let wanted = StatxFlags::BASIC_STATS | StatxFlags::BTIME;
        again(|| statx(&self.fd, c"", AtFlags::EMPTY_PATH, wanted)).map(|stat| (identity_of(&stat), found(&stat)))
    }

    /// Returns whether only root and the janitor's user can change the names in this directory: the directory is owned
    /// by one of these two users, and nobody else may write. (The mask of an ACL shows in the group bits.)
    ///
    /// # Errors
    /// Fails with the kernel's error.
    pub fn is_trusted(&self) -> io::Result<bool> {
        let stat = again(|| rustix::fs::fstat(&self.fd))?;
        let ours = stat.st_uid == 0 || stat.st_uid == rustix::process::geteuid().as_raw();
        Ok(ours && !Mode::from_raw_mode(stat.st_mode).intersects(Mode::WGRP | Mode::WOTH))
    }

    /// Removes the entry `name`, which must not be a directory. The entry that has the name by now is removed, whatever
    /// it is, so this is only for a directory that [is trusted](Self::is_trusted), or for runs without verification.
    ///
    /// # Errors
    /// `ENOENT` when the entry is gone, `EISDIR` when it is a directory by now, and any other kernel error.
    pub fn remove(&self, name: &[u8]) -> io::Result<()> {
        self.unlink(name)
    }

    /// Like [`Dir::remove`], for a name in the kernel's form, which need not be copied.
    ///
    /// # Errors
    /// Same as [`Dir::remove`].
    #[inline(always)]
    pub fn remove_listed(&self, name: &CStr) -> io::Result<()> {
        self.unlink(name)
    }

    #[inline(always)]
    fn unlink(&self, name: impl Arg + Copy) -> io::Result<()> {
        again(|| unlinkat(&self.fd, name, AtFlags::empty()))
    }

    /// Removes the directory `name`, which must be empty.
    ///
    /// # Errors
    /// `ENOTEMPTY` when the directory is not empty, `EBUSY` when something is mounted on it, and any other kernel
    /// error.
    pub fn remove_directory(&self, name: &[u8]) -> io::Result<()> {
        again(|| unlinkat(&self.fd, name, AtFlags::REMOVEDIR))
    }

    /// Returns whether reads of files here update their access times: the mount does not have `noatime`.
    ///
    /// # Errors
    /// Fails with the kernel's error.
    pub fn keeps_access_times(&self) -> io::Result<bool> {
        again(|| fstatvfs(&self.fd)).map(|stat| !stat.f_flag.contains(StatVfsMountFlags::NOATIME))
    }

    /// Returns whether the file system of this directory is in memory (tmpfs, ramfs), and gone after a reboot.
    ///
    /// # Errors
    /// Fails with the kernel's error.
    pub fn is_in_memory(&self) -> io::Result<bool> {
        /// `TMPFS_MAGIC` and `RAMFS_MAGIC` of statfs(2).
        const IN_MEMORY: [i64; 2] = [0x0102_1994, 0x8584_58f6];
        let stat = again(|| rustix::fs::fstatfs(&self.fd))?;
        #[expect(clippy::useless_conversion, reason = "its width differs between architectures")]
        Ok(IN_MEMORY.contains(&i64::from(stat.f_type)))
    }

    /// Returns the size and free space of the file system of this directory.
    ///
    /// # Errors
    /// Fails with the kernel's error.
    pub fn space(&self) -> io::Result<Space> {
        let stat = again(|| fstatvfs(&self.fd))?;
        let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
        Ok(Space { total: bytes(stat.f_blocks), free: bytes(stat.f_bavail) })
    }

    /// Writes the pending changes of the file system to the disk (`syncfs`).
    ///
    /// # Errors
    /// Fails with the kernel's error.
    pub fn sync(&self) -> io::Result<()> {
        again(|| syncfs(&self.fd))
    }
}

#[cfg(test)]
mod tests;
