//! Copies of files to another file system, verified before they get a name.
//!
//! A copy has no name while it grows (`O_TMPFILE`): however it ends, nothing is left of it, and nobody can put another
//! file in its place. Where a file system does not support `O_TMPFILE`, the copy grows under a name like
//! `.janitor-move-…` at the top of the destination, and is locked meanwhile. The next run removes copies that a killed
//! one has left there ([`remove_left_over`]).

use std::fs::File;
use std::io::{self, Seek};
use std::os::fd::AsFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{
    Advice, AtFlags, CWD, FlockOperation, Gid, Mode, OFlags, SeekFrom, StatxTimestamp, Timespec, Timestamps, Uid,
    chownat, fadvise, fchmod, fchown, flock, fstat, futimens, linkat, openat, readlinkat, seek, symlinkat, utimensat,
};
use rustix::io::Errno;

use super::dir::{Dir, again, path};
use super::permissions::{drop_acls, mode_without_acl};
use super::pin::{Pinned, identity_at};
use super::place::{is, link_to, rename_to, under_a_free_name, write_down};
use super::refusal::Refusal;
use super::transfer::{Destination, GoOn};
use crate::entry::{Facts, Identity, Kind};
use crate::names::Escaped;
use crate::units::Bytes;

/// Size of a read, in bytes.
const CHUNK: usize = 256 * 1024;

/// Number of bytes after which a copy is written to the disk, so that no single step takes long.
const FLUSH: u64 = 32 * 1024 * 1024;

/// Prefix of the temporary name of a copy where the file system does not support `O_TMPFILE`.
const TEMPORARY: &[u8] = b".janitor-move-";

/// Space in bytes that a copy leaves free: this, or a hundredth of the file system where that is less.
const MARGIN: u64 = 16 * 1024 * 1024;

/// A complete copy on another file system that has no final name yet.
pub(super) enum Copy<'a> {
    File(Grown<'a>),
    Link { text: std::ffi::CString, source: &'a Pinned, into: &'a Dir },
}

/// A growing file that has no name, or a temporary one.
pub(super) struct Grown<'a> {
    file: File,
    into: &'a Dir,
    temporary: Option<(&'a Dir, Vec<u8>)>,
}

/// A copy that has its name on another file system.
pub(super) struct Placed<'a> {
    into: &'a Dir,
    name: Vec<u8>,
    identity: Identity,
}

impl Drop for Grown<'_> {
    fn drop(&mut self) {
        if let Some((top, name)) = &self.temporary {
            // The next run removes the copy if this fails.
            drop(top.remove(name));
        }
    }
}

impl Placed<'_> {
    /// Removes the copy again, if it is still there.
    pub(super) fn take_back(self) {
        if identity_at(self.into, &self.name).is_ok_and(|there| there == self.identity) {
            // If this fails, a second copy is left over.
            drop(self.into.remove(&self.name));
        }
    }
}

/// Copies the held entry, to be placed in the directory `into` of `to`. `go_on` is called again and again.
///
/// # Errors
/// [`Refusal::Changed`] when the source changes meanwhile, and any refusal of `go_on`.
pub(super) fn make<'a>(
    source: &'a Pinned,
    to: &'a Destination,
    into: &'a Dir,
    go_on: GoOn<'_>,
) -> Result<Copy<'a>, Refusal> {
    match source.found().kind {
        Kind::File => {}
        Kind::Symlink => {
            let text = readlinkat(source.fd(), c"", Vec::new()).map_err(io::Error::from)?;
            return Ok(Copy::Link { text, source, into });
        }
        Kind::Special | Kind::Directory => return Err(Refusal::Failed(Errno::XDEV.into())),
    }
    fits(need(&source.found().facts), into)?;
    let grown = match unnamed(into)? {
        Some(file) => Grown { file, into, temporary: None },
        None => {
            let (name, file) = create(to.dir())?;
            Grown { file, into, temporary: Some((to.dir(), name)) }
        }
    };
    fill(source, &grown.file, go_on)?;
    Ok(Copy::File(grown))
}

impl<'a> Copy<'a> {
    /// Gives the copy the first free name like `name`, and writes the directory to the disk.
    pub(super) fn place(self, name: &[u8]) -> io::Result<Placed<'a>> {
        let (into, placed, identity) = match self {
            Self::File(mut grown) => {
                let into = grown.into;
                let placed = under_a_free_name(name, |free| grown.finish(free))?;
                let about = fstat(&grown.file)?;
                (into, placed, Identity { device: about.st_dev, inode: about.st_ino })
            }
            Self::Link { text, source, into } => {
                let placed = under_a_free_name(name, |free| again(|| symlinkat(&text, into.fd(), path(free))))?;
                give(&text, source, into, &placed)?;
                let identity = identity_at(into, &placed)?;
                (into, placed, identity)
            }
        };
        let placed = Placed { into, name: placed, identity };
        match write_down(into) {
            Ok(()) => Ok(placed),
            Err(error) => {
                placed.take_back();
                Err(error)
            }
        }
    }
}

impl Grown<'_> {
    /// Gives the file its name, and never over another.
    fn finish(&mut self, free: &[u8]) -> io::Result<()> {
        let Some((top, temporary)) = &self.temporary else {
            let (into, free) = (self.into.fd(), path(free));
            return match again(|| linkat(self.file.as_fd(), c"", into, free, AtFlags::EMPTY_PATH)) {
                // Without CAP_DAC_READ_SEARCH the file has to be linked by its path in `/proc`.
                Err(error) if is(&error, Errno::NOENT) => {
                    let itself = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&self.file));
                    again(|| linkat(CWD, &itself, into, free, AtFlags::SYMLINK_FOLLOW))
                }
                done => done,
            };
        };
        match rename_to(top, temporary, self.into, free) {
            Err(error) if is(&error, Errno::INVAL) => {
                link_to(top, temporary, self.into, free)?;
                top.remove(temporary)?;
            }
            done => done?,
        }
        self.temporary = None;
        let about = fstat(&self.file)?;
        // Somebody who may write in the destination can have put another file under the name.
        if identity_at(self.into, free)? == (Identity { device: about.st_dev, inode: about.st_ino }) {
            return Ok(());
        }
        Err(io::Error::other("somebody has replaced the copy in the destination"))
    }
}

/// Gives a symbolic link that was just made the owner and the stamps of its source. The link is changed by handle, and
/// only if the entry is that link: somebody may have put another under its name.
fn give(text: &std::ffi::CStr, source: &Pinned, into: &Dir, name: &[u8]) -> io::Result<()> {
    let made = Pinned::at(into, name)?;
    let ours = made.stat.stx_uid == rustix::process::geteuid().as_raw();
    let is_link = made.found().kind == Kind::Symlink && made.stat.stx_nlink == 1;
    if !ours || !is_link || readlinkat(made.fd(), c"", Vec::new())?.as_c_str() != text {
        return Err(io::Error::other("somebody has replaced the link in the destination"));
    }
    // Owner and stamps matter little to a link, so errors are ignored.
    let (owner, group) = owner(source);
    chownat(made.fd(), c"", owner, group, AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW).ok();
    utimensat(made.fd(), c"", &times(source), AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW).ok();
    Ok(())
}

/// Returns the bytes that a copy takes at least: of a sparse file only the allocated ones, of a compressed file not
/// more than its size.
pub(super) fn need(facts: &Facts) -> u64 {
    facts.allocated.min(facts.size)
}

/// Fails where a copy of `need` bytes cannot fit.
pub(super) fn fits(need: u64, into: &Dir) -> io::Result<()> {
    let space = into.space()?;
    let margin = MARGIN.min(space.total / 100);
    if space.total == 0 || space.free >= need.saturating_add(margin) {
        return Ok(());
    }
    let text = format!("{} do not fit: {} are free in the destination", Bytes(need), Bytes(space.free));
    Err(io::Error::new(io::ErrorKind::StorageFull, text))
}

/// Makes a new file without a name; `None` where the file system does not support this.
fn unnamed(into: &Dir) -> io::Result<Option<File>> {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    match again(|| openat(into.fd(), c".", flags, Mode::RUSR | Mode::WUSR)) {
        Ok(fd) => Ok(Some(File::from(fd))),
        Err(error) if [Errno::OPNOTSUPP, Errno::ISDIR, Errno::INVAL].iter().any(|errno| is(&error, *errno)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes a new file that only the janitor's user can read, locked. Returns its name, too.
fn create(top: &Dir) -> io::Result<(Vec<u8>, File)> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = [TEMPORARY, format!("{}-{number}", std::process::id()).as_bytes()].concat();
        match again(|| openat(top.fd(), path(&name), flags, Mode::RUSR | Mode::WUSR)) {
            // A copy of this name was left over by a janitor that crashed and had the same process id.
            Err(error) if is(&error, Errno::EXIST) => {}
            Err(error) => return Err(error),
            Ok(file) => {
                again(|| flock(&file, FlockOperation::NonBlockingLockExclusive))?;
                // Before it was locked, somebody may have removed it as the remains of a killed run.
                if fstat(&file)?.st_nlink > 0 {
                    return Ok((name, File::from(file)));
                }
            }
        }
    }
}

/// Returns the owner and mode that a new file for its owner alone gets here, which a file system may choose.
///
/// # Errors
/// Fails with the kernel's error.
pub(super) fn owner_and_mode(top: &Dir) -> io::Result<(u32, u32)> {
    if let Some(file) = unnamed(top)? {
        return Ok(fstat(&file).map(|stat| (stat.st_uid, stat.st_mode & 0o777))?);
    }
    let (name, file) = create(top)?;
    let stat = fstat(&file);
    top.remove(&name)?;
    Ok(stat.map(|stat| (stat.st_uid, stat.st_mode & 0o777))?)
}

/// Removes copies of ours that no process works on any more. Returns their names, escaped.
///
/// # Errors
/// Fails when the directory cannot be read.
pub(super) fn remove_left_over(top: &Dir) -> io::Result<Vec<String>> {
    // Copies have no name here, so none can be left over.
    if unnamed(top)?.is_some() { Ok(Vec::new()) } else { remove_named(top) }
}

fn remove_named(top: &Dir) -> io::Result<Vec<String>> {
    let mut removed = Vec::new();
    for name in top.names_that(|name| name.starts_with(TEMPORARY))? {
        // Files not known to be ours stay.
        let Ok(found) = top.look(&name) else { continue };
        if found.kind != Kind::File {
            continue;
        }
        let Ok(left) = Pinned::open(top, &name) else { continue };
        // The owner of the destination can give a file in it such a name, but could as well remove it.
        let ours = left.stat.stx_uid == rustix::process::geteuid().as_raw() && left.stat.stx_nlink == 1;
        if ours && left.lock().is_ok() && left.is_at(top, &name).unwrap_or(false) {
            top.remove(&name)?;
            removed.push(Escaped(&name).to_string());
        }
    }
    Ok(removed)
}

/// Copies content, owner, permissions and stamps, and compares the written content.
fn fill(source: &Pinned, copy: &File, go_on: GoOn<'_>) -> Result<(), Refusal> {
    // A separate descriptor, since its read position is moved.
    let original = File::from(source.fd().try_clone_to_owned()?);
    let (mut unwritten, mut end) = (0, 0);
    let mut buffer = vec![0; CHUNK];
    each_piece(&original, source.stat.stx_size, &mut buffer, |at, piece| {
        go_on()?;
        copy.write_all_at(piece, at)?;
        end = at + piece.len() as u64;
        unwritten += piece.len() as u64;
        if unwritten >= FLUSH {
            unwritten = 0;
            copy.sync_data()?;
        }
        Ok(())
    })?;
    if end < source.stat.stx_size {
        // The file ends in a hole. A confined thread may not truncate files, so the last byte is written.
        copy.write_all_at(&[0], source.stat.stx_size - 1)?;
    }
    let (owner, group) = (source.stat.stx_uid, source.stat.stx_gid);
    let mode = mode_without_acl(source.fd(), u32::from(source.stat.stx_mode) & 0o777);
    become_its(copy, (owner, group), mode)?;
    copy.sync_all()?;
    // Hints that the comparison should read from the disk.
    fadvise(copy, 0, None, Advice::DontNeed).ok();
    let mut written = vec![0; CHUNK];
    each_piece(&original, source.stat.stx_size, &mut buffer, |at, piece| {
        go_on()?;
        let written = &mut written[..piece.len()];
        copy.read_exact_at(written, at)?;
        if piece == written {
            return Ok(());
        }
        source.expect_unchanged()?;
        Err(io::Error::other("the copy reads back differently").into())
    })?;
    futimens(copy, &times(source)).map_err(io::Error::from)?;
    copy.sync_all()?;
    Ok(source.expect_unchanged()?)
}

/// Reads the data of a file piece by piece, each with its position, and skips its holes. Reading stops at `size`, since
/// a growing file would never end.
fn each_piece(
    mut file: &File,
    size: u64,
    buffer: &mut [u8],
    mut each: impl FnMut(u64, &[u8]) -> Result<(), Refusal>,
) -> Result<(), Refusal> {
    let mut at = 0;
    while at < size {
        let start = match seek(file, SeekFrom::Data(at)) {
            Ok(start) => start.min(size),
            // A hole reaches up to the end.
            Err(Errno::NXIO) => break,
            // The file system does not report holes.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => at,
            Err(error) => return Err(io::Error::from(error).into()),
        };
        let end = seek(file, SeekFrom::Hole(start)).unwrap_or(size).clamp(start, size);
        if start == end {
            // The file was truncated meanwhile.
            break;
        }
        at = start;
        while at < end {
            let most = usize::try_from(end - at).unwrap_or(CHUNK).min(buffer.len());
            match file.read_at(&mut buffer[..most], at) {
                Ok(0) => return Err(Refusal::Changed),
                Ok(read) => {
                    each(at, &buffer[..read])?;
                    at += read as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    file.rewind()?;
    // A truncated part reads like a hole.
    if file.metadata()?.len() < size { Err(Refusal::Changed) } else { Ok(()) }
}

/// Gives a copy the owner, group and mode of its source. If the owner or group cannot be set, the copy is closed to
/// everybody else, since the mode of the source is about another group and other users.
pub(super) fn become_its(copy: impl AsFd, (owner, group): (u32, u32), mode: u32) -> io::Result<()> {
    drop_acls(&copy)?;
    // One without the other is better than neither, and an ordinary user may give a file to one of his groups.
    fchown(&copy, None, Some(Gid::from_raw(group))).ok();
    fchown(&copy, Some(Uid::from_raw(owner)), None).ok();
    let now = fstat(&copy)?;
    let mode = if (now.st_uid, now.st_gid) == (owner, group) { mode } else { mode & 0o700 };
    match fchmod(&copy, Mode::from_raw_mode(mode)) {
        // The copy is ours, so this is a file system without permissions, such as FAT.
        Err(Errno::PERM | Errno::OPNOTSUPP) => Ok(()),
        done => Ok(done?),
    }
}

fn owner(source: &Pinned) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(source.stat.stx_uid)), Some(Gid::from_raw(source.stat.stx_gid)))
}

fn times(source: &Pinned) -> Timestamps {
    let time = |at: StatxTimestamp| Timespec { tv_sec: at.tv_sec, tv_nsec: at.tv_nsec.into() };
    Timestamps { last_access: time(source.stat.stx_atime), last_modification: time(source.stat.stx_mtime) }
}

#[cfg(test)]
mod tests;
