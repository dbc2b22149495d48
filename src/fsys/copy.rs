//! Copies to another file system, which are verified before they get a name.
//!
//! A copy has no name while it grows (`O_TMPFILE`): whatever ends it, nothing is left of it, and nobody can put another
//! file in its place. Where a file system has no such files it grows under a name like `.janitor-move-…` at the top of the
//! destination, is held locked, and what a killed run has left there is removed by the next ([`remove_left_over`]).

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

/// How much is read at a time, in bytes.
const CHUNK: usize = 256 * 1024;

/// After so many bytes a copy is written to the disk, so that none of its steps takes long.
const FLUSH: u64 = 32 * 1024 * 1024;

/// What a copy without the help of the file system is called while it grows.
const TEMPORARY: &[u8] = b".janitor-move-";

/// Space that a copy leaves free: this, or a hundredth of the file system where that is less.
const MARGIN: u64 = 16 * 1024 * 1024;

/// What is whole on another file system, and has no name there yet.
pub(super) enum Copy<'a> {
    File(Grown<'a>),
    Link { text: std::ffi::CString, source: &'a Pinned, into: &'a Dir },
}

/// A file that has no name, or one of ours.
pub(super) struct Grown<'a> {
    file: File,
    into: &'a Dir,
    temporary: Option<(&'a Dir, Vec<u8>)>,
}

/// What has its name on another file system.
pub(super) struct Placed<'a> {
    into: &'a Dir,
    name: Vec<u8>,
    identity: Identity,
}

impl Drop for Grown<'_> {
    fn drop(&mut self) {
        if let Some((top, name)) = &self.temporary {
            // If it cannot be removed now, it is by the next run.
            drop(top.remove(name));
        }
    }
}

impl Placed<'_> {
    /// Removes it again, if it is still there.
    pub(super) fn take_back(self) {
        if identity_at(self.into, &self.name).is_ok_and(|there| there == self.identity) {
            // A second copy is all that is left if this fails.
            drop(self.into.remove(&self.name));
        }
    }
}

/// Copies what is held, so that it can be placed in the directory `into` of `to`.
///
/// # Errors
/// [`Refusal::Changed`] when the source changes meanwhile, and what `go_on` says, which is asked again and again.
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
    /// Gives the copy the first free name like this one, on the disk.
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
    /// Gives it a name, and never over another.
    fn finish(&mut self, free: &[u8]) -> io::Result<()> {
        let Some((top, temporary)) = &self.temporary else {
            let (into, free) = (self.into.fd(), path(free));
            return match again(|| linkat(self.file.as_fd(), c"", into, free, AtFlags::EMPTY_PATH)) {
                // Without CAP_DAC_READ_SEARCH it has to be named.
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

/// Gives a link that was just made the owner and the stamps of its source. By its handle, and only if it is that link:
/// somebody may have put another under its name.
fn give(text: &std::ffi::CStr, source: &Pinned, into: &Dir, name: &[u8]) -> io::Result<()> {
    let made = Pinned::at(into, name)?;
    let ours = made.stat.stx_uid == rustix::process::geteuid().as_raw();
    let is_link = made.found().kind == Kind::Symlink && made.stat.stx_nlink == 1;
    if !ours || !is_link || readlinkat(made.fd(), c"", Vec::new())?.as_c_str() != text {
        return Err(io::Error::other("somebody has replaced the link in the destination"));
    }
    // Neither matters to a link.
    let (owner, group) = owner(source);
    chownat(made.fd(), c"", owner, group, AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW).ok();
    utimensat(made.fd(), c"", &times(source), AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW).ok();
    Ok(())
}

/// Bytes that a copy takes at least: of a sparse file only what it takes, of one that is compressed not more than its size.
pub(super) fn need(facts: &Facts) -> u64 {
    facts.allocated.min(facts.size)
}

/// Fails where a copy that needs so much cannot fit.
pub(super) fn fits(need: u64, into: &Dir) -> io::Result<()> {
    let space = into.space()?;
    let margin = MARGIN.min(space.total / 100);
    if space.total == 0 || space.free >= need.saturating_add(margin) {
        return Ok(());
    }
    let text = format!("{} do not fit: {} are free in the destination", Bytes(need), Bytes(space.free));
    Err(io::Error::new(io::ErrorKind::StorageFull, text))
}

/// A new file without a name; `None` where the file system has no such files.
fn unnamed(into: &Dir) -> io::Result<Option<File>> {
    let flags = OFlags::RDWR | OFlags::TMPFILE | OFlags::CLOEXEC;
    match again(|| openat(into.fd(), c".", flags, Mode::RUSR | Mode::WUSR)) {
        Ok(fd) => Ok(Some(File::from(fd))),
        Err(error) if [Errno::OPNOTSUPP, Errno::ISDIR, Errno::INVAL].iter().any(|errno| is(&error, *errno)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A new file that only the janitor's user can read, locked, and its name.
fn create(top: &Dir) -> io::Result<(Vec<u8>, File)> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = [TEMPORARY, format!("{}-{number}", std::process::id()).as_bytes()].concat();
        match again(|| openat(top.fd(), path(&name), flags, Mode::RUSR | Mode::WUSR)) {
            // Left over from a janitor that crashed and had the same process id.
            Err(error) if is(&error, Errno::EXIST) => {}
            Err(error) => return Err(error),
            Ok(file) => {
                again(|| flock(&file, FlockOperation::NonBlockingLockExclusive))?;
                // Before it was locked, somebody may have taken it for what a killed run has left.
                if fstat(&file)?.st_nlink > 0 {
                    return Ok((name, File::from(file)));
                }
            }
        }
    }
}

/// Owner and mode of a file that is made for its owner alone, which a file system may choose.
///
/// # Errors
/// What the kernel says.
pub(super) fn owner_and_mode(top: &Dir) -> io::Result<(u32, u32)> {
    if let Some(file) = unnamed(top)? {
        return Ok(fstat(&file).map(|stat| (stat.st_uid, stat.st_mode & 0o777))?);
    }
    let (name, file) = create(top)?;
    let stat = fstat(&file);
    top.remove(&name)?;
    Ok(stat.map(|stat| (stat.st_uid, stat.st_mode & 0o777))?)
}

/// Removes copies of ours that no process makes any more. Returns their names, escaped.
///
/// # Errors
/// When the directory cannot be read.
pub(super) fn remove_left_over(top: &Dir) -> io::Result<Vec<String>> {
    // None have a name where they need none.
    if unnamed(top)?.is_some() { Ok(Vec::new()) } else { remove_named(top) }
}

fn remove_named(top: &Dir) -> io::Result<Vec<String>> {
    let mut removed = Vec::new();
    for name in top.names_that(|name| name.starts_with(TEMPORARY))? {
        // What cannot be told to be ours stays.
        let Ok(found) = top.look(&name) else { continue };
        if found.kind != Kind::File {
            continue;
        }
        let Ok(left) = Pinned::open(top, &name) else { continue };
        // Who owns the destination can give a file in it such a name, and could as well remove it.
        let ours = left.stat.stx_uid == rustix::process::geteuid().as_raw() && left.stat.stx_nlink == 1;
        if ours && left.lock().is_ok() && left.is_at(top, &name).unwrap_or(false) {
            top.remove(&name)?;
            removed.push(Escaped(&name).to_string());
        }
    }
    Ok(removed)
}

/// Copies content, owner, permissions and stamps, and compares what was written.
fn fill(source: &Pinned, copy: &File, go_on: GoOn<'_>) -> Result<(), Refusal> {
    // A descriptor of its own, since where it reads is moved about.
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
        // It ends in a hole. To cut a file to a length is not among what a confined thread may do.
        copy.write_all_at(&[0], source.stat.stx_size - 1)?;
    }
    let (owner, group) = (source.stat.stx_uid, source.stat.stx_gid);
    let mode = mode_without_acl(source.fd(), u32::from(source.stat.stx_mode) & 0o777);
    become_its(copy, (owner, group), mode)?;
    copy.sync_all()?;
    // A hint, so that what is compared comes from the disk.
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

/// Reads the data of a file, piece by piece with its place, and leaves out its holes. No more than `size`, or a file that
/// grows would never end.
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
            // A hole up to the end.
            Err(Errno::NXIO) => break,
            // A file system that does not tell where its holes are.
            Err(Errno::INVAL | Errno::OPNOTSUPP) => at,
            Err(error) => return Err(io::Error::from(error).into()),
        };
        let end = seek(file, SeekFrom::Hole(start)).unwrap_or(size).clamp(start, size);
        if start == end {
            // It was cut off meanwhile.
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
    // What was cut off reads like a hole.
    if file.metadata()?.len() < size { Err(Refusal::Changed) } else { Ok(()) }
}

/// Gives a copy the owner, group and mode of its source; or closes it to everybody else, where it cannot be given away: its
/// group and the others are not those whom the mode of the source is about.
pub(super) fn become_its(copy: impl AsFd, (owner, group): (u32, u32), mode: u32) -> io::Result<()> {
    drop_acls(&copy)?;
    // One without the other is better than neither, and an ordinary user may give a file to a group of his.
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
