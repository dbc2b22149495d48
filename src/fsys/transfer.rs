//! Moving files away, to an archive.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::fs::{Gid, Mode, Uid, fchmod, fchown, fstat, mkdirat};
use rustix::io::Errno;

use super::claimed::Claimed;
use super::copy;
use super::dir::{Dir, Found, again, path};
use super::permissions::{drop_acls, mode_without_acl};
use super::pin::Pinned;
use super::place::{is, put, rename, under_a_free_name, write_down};
use super::refusal::Refusal;
use super::root::{Root, RootError, resolve};
use super::slot::Taken;
use crate::entry::{Identity, Kind};

/// Function called again and again during a long operation; an error ends the operation with that refusal.
pub type GoOn<'a> = &'a (dyn Fn() -> Result<(), Refusal> + 'a);

/// A directory into which files are moved, held open.
#[derive(Debug)]
pub struct Destination {
    dir: Dir,
    identity: Identity,
    /// Whether files of another file system are copied.
    copies: bool,
    /// Whether a rename to this directory has failed because it is on another mount.
    is_apart: AtomicBool,
    /// Owner and mode of a file made here for its owner alone, once queried.
    made: OnceLock<Option<(u32, u32)>>,
    /// Lock held so that nobody else works on the directory.
    _held: Option<OwnedFd>,
}

impl Destination {
    /// Opens the directory at `path`, which is absolute, by the rules of [`resolve`]. The directory must exist: files
    /// for an archive's unmounted disk must not fill the disk below the mount point.
    ///
    /// # Errors
    /// A [`RootError`] as the inner error, which names the place: of the kind `NotFound` when the directory does not
    /// exist, `PermissionDenied` when others can replace a symbolic link on the way, `TimedOut` when a file system does
    /// not answer, otherwise that of the system's error.
    pub fn open(path: &Path) -> io::Result<Self> {
        let root = resolve(path, false).map_err(|error| {
            let kind = match &error {
                RootError::Missing(_) | RootError::MissingParent(_) => io::ErrorKind::NotFound,
                RootError::UnsafeLink(_) => io::ErrorKind::PermissionDenied,
                RootError::Unreachable(_) => io::ErrorKind::TimedOut,
                RootError::Io(_, error) => error.kind(),
            };
            io::Error::new(kind, error)
        })?;
        Ok(Self::of(root))
    }

    /// Takes a directory that has been opened.
    #[must_use]
    pub fn of(root: Root) -> Self {
        let is_apart = AtomicBool::new(false);
        let made = OnceLock::new();
        Self { dir: root.dir, identity: root.identity, copies: true, is_apart, made, _held: None }
    }

    /// Returns a destination that takes only files that can be renamed to it.
    pub(super) fn only_here(dir: Dir) -> io::Result<Self> {
        let (identity, _) = dir.look_at_itself()?;
        let (is_apart, made) = (AtomicBool::new(false), OnceLock::new());
        Ok(Self { dir, identity, copies: false, is_apart, made, _held: None })
    }

    /// Returns this destination, which keeps `held` open as long as it lives.
    pub(super) fn holding(self, held: OwnedFd) -> Self {
        Self { _held: Some(held), ..self }
    }

    /// Returns the handle of the directory.
    #[must_use]
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Returns the identity of the directory.
    #[must_use]
    pub fn identity(&self) -> Identity {
        self.identity
    }

    /// Returns whether files of this directory are copied, because it lies on another file system.
    #[must_use]
    pub fn copies_from(&self, directory: Identity) -> bool {
        self.copies && (self.is_apart.load(Ordering::Relaxed) || directory.device != self.identity.device)
    }

    /// Records why a rename to this destination has failed, and marks an error of the destination as such.
    #[must_use]
    pub fn failed(&self, error: io::Error) -> io::Error {
        self.note(&error);
        let of_the_place = [Errno::STALE, Errno::NOENT, Errno::NOTDIR, Errno::LOOP, Errno::ISDIR];
        match of_the_place.iter().any(|errno| is(&error, *errno)) {
            true => io::Error::new(error.kind(), format!("where it was to go: {error}")),
            false => error,
        }
    }

    fn note(&self, error: &io::Error) {
        if self.copies && is(error, Errno::XDEV) {
            self.is_apart.store(true, Ordering::Relaxed);
        }
    }

    /// Removes the unfinished copies of files that killed runs have left here. Returns their names, escaped.
    ///
    /// # Errors
    /// Fails with the system's error.
    pub fn remove_left_over(&self) -> io::Result<Vec<String>> {
        copy::remove_left_over(&self.dir)
    }

    /// Moves the entry `name` of a directory `into` a directory of this destination, by name, to the first free name of
    /// `name`, `name (2)`, `name (3)` and so on. Nothing is ever overwritten. Only where nobody else can change which
    /// entry has that name, and only within the file system.
    ///
    /// # Errors
    /// `EXDEV` where the entry has to be copied, which [`Destination::copies_from`] returns from then on; `EEXIST` when
    /// all names up to the ten thousandth are taken; any other kernel error.
    pub fn take_by_name(&self, from: &Dir, name: &[u8], into: &Dir) -> io::Result<()> {
        put(from, name, into).inspect_err(|error| self.note(error))
    }

    /// Works like [`Destination::take_by_name`], also to other file systems, where others may change the entry of
    /// that name and no better way is available. An entry that turns out to be another than the `judged` one is put
    /// back.
    ///
    /// To another file system, a regular file is copied and a symbolic link made anew. The copy has no name until it is
    /// on the disk, read back and compared; only then is the source removed. Whenever this is interrupted, the file
    /// exists whole at least once; a crash may leave a second copy. A copy has the content with its holes, the
    /// permissions (without set-user-ID, set-group-ID and sticky bit), mtime and atime, and the owner and group if the
    /// janitor may give files away. It lacks extended attributes and with them ACLs, capabilities and labels, hard
    /// links to other names, ctime and birth time.
    ///
    /// # Errors
    /// After any error the source is left as it is, except where the text says otherwise. [`Refusal::Changed`] when the
    /// file is not, or does not stay, the judged one: everything counts but the atime and the allocated bytes. So of a
    /// file with two names, judged before either was moved, only one is moved. `EXDEV` for a FIFO, socket or device to
    /// another file system; `EISDIR` when `name` is a directory; `EEXIST`, `ENOSPC` and any other kernel error. A few
    /// errors have no number, but a text that says what happened.
    pub fn take(
        &self,
        from: &Taken<'_>,
        name: &[u8],
        judged: &Found,
        into: &Dir,
        go_on: GoOn<'_>,
    ) -> Result<(), Refusal> {
        self.take_held(from, name, judged, into, (None, go_on))
    }

    /// Works like [`Destination::take`], for a file that is held meanwhile so that nobody else has it open or
    /// locked.
    ///
    /// # Errors
    /// Same as [`Destination::take`], and [`Refusal::InUse`] when somebody has opened the file since.
    pub fn take_held(
        &self,
        from: &Taken<'_>,
        name: &[u8],
        judged: &Found,
        into: &Dir,
        (claimed, go_on): (Option<&Claimed>, GoOn<'_>),
    ) -> Result<(), Refusal> {
        let pin = || -> Result<Pinned, Refusal> {
            let pinned = match judged.kind {
                Kind::Directory => return Err(Refusal::Failed(Errno::ISDIR.into())),
                Kind::File => Pinned::open(from.dir, name)?,
                Kind::Symlink | Kind::Special => Pinned::at(from.dir, name)?,
            };
            Ok(pinned)
        };
        let own;
        let source = match claimed {
            // Opening the file once more would end its lease.
            Some(claimed) => claimed.pinned(),
            None => {
                own = pin()?;
                &own
            }
        };
        source.expect(&judged.facts)?;
        if !self.copies_from(from.origin.identity) {
            match rename(from.dir, name, source, into) {
                Err(error) if is(&error, Errno::XDEV) && self.copies => self.note(&error),
                done => return Ok(done?),
            }
        }
        let undisturbed = || claimed.map_or(Ok(()), Claimed::expect_undisturbed);
        let placed = copy::make(source, self, into, &|| undisturbed().and_then(|()| go_on()))?.place(name)?;
        // Writing the copy to the disk has taken a while.
        if let Err(why) = undisturbed() {
            placed.take_back();
            return Err(why);
        }
        let is_there = || source.is_at(from.dir, name);
        let moved = source.expect_unchanged().and_then(|()| match is_there()? {
            true => from.dir.remove(name),
            false => Err(Errno::STALE.into()),
        });
        let Err(error) = moved else { return Ok(()) };
        // The copy is removed only while the source is seen: over a network, a removal may be reported as failed and
        // have happened.
        match is_there() {
            Ok(true) => placed.take_back(),
            Err(gone) if is(&gone, Errno::NOENT) => return Ok(()),
            _ => {}
        }
        Err(error.into())
    }

    /// Opens the directory at `relative` below this one: a relative path of any length, empty for this directory
    /// itself, without `.`, `..` and empty components. Missing directories are made like those at the same path below
    /// `like`: with their mode and owner, or closed to everybody else where these cannot be had. An existing directory
    /// that lets in somebody whom its model keeps out is passed over, for `name (2)` and so on. No symbolic link is
    /// followed and no mount point entered on the way.
    ///
    /// # Errors
    /// `EXDEV` where a component is a mount point, `ELOOP` or `ENOTDIR` where one is a symbolic link, `ENOTDIR` where
    /// one is a file; any other kernel error.
    pub fn directory(&self, relative: &[u8], like: &Dir) -> io::Result<Dir> {
        let mut at = self.dir.open(b".")?;
        if relative.is_empty() {
            return Ok(at);
        }
        if !self.copies {
            // In the trash of a run, everything was made by us.
            match at.open_beneath(relative) {
                Err(error) if is(&error, Errno::NOENT) => {}
                done => return done,
            }
        }
        let mut model = like.open(b".").ok();
        for name in relative.split(|byte| *byte == b'/') {
            model = model.and_then(|above| above.open(name).ok());
            let mut next = None;
            under_a_free_name(name, |free| {
                next = Some(self.step(&at, free, model.as_ref())?);
                Ok(())
            })?;
            at = next.ok_or(Errno::NOENT)?;
        }
        Ok(at)
    }

    /// Opens or makes one directory. Fails with `EEXIST` when an unsuitable one has the name.
    fn step(&self, parent: &Dir, name: &[u8], like: Option<&Dir>) -> io::Result<Dir> {
        let there = match parent.open(name) {
            Err(error) if is(&error, Errno::NOENT) => match self.make(parent, name, like) {
                // Another worker, or somebody else, has just made it.
                Err(error) if is(&error, Errno::EXIST) => parent.open(name)?,
                done => return done,
            },
            done => done?,
        };
        if self.suits(&there, like)? { Ok(there) } else { Err(Errno::EXIST.into()) }
    }

    /// Returns whether an existing directory lets in nobody whom `like` keeps out, as far as the file system has
    /// permissions.
    fn suits(&self, there: &Dir, like: Option<&Dir>) -> io::Result<bool> {
        if !self.copies || there.opens_no_more_than(like)? {
            return Ok(true);
        }
        let made = self.made.get_or_init(|| copy::owner_and_mode(&self.dir).ok());
        let Some((owner, mode)) = *made else { return Ok(false) };
        let now = fstat(there.fd())?;
        // Without permissions (FAT) all directories are alike, and a directory that we make may belong to another user
        // (NFS, for root).
        Ok(now.st_uid == owner && (mode & 0o077 != 0 || now.st_mode & 0o077 == 0))
    }

    fn make(&self, parent: &Dir, name: &[u8], like: Option<&Dir>) -> io::Result<Dir> {
        // In the trash, which only we can enter, this mode marks that the real one is not known yet, also when this run
        // is killed here.
        let mode = if self.copies { Mode::RWXU } else { Mode::from_raw_mode(CLOSED) };
        again(|| mkdirat(parent.fd(), path(name), mode))?;
        if self.copies {
            // With files from another file system, the directory is on the disk before the files are gone there.
            write_down(parent)?;
        }
        let made = parent.open(name)?;
        if let Some(like) = like {
            become_like(&made, like)?;
        }
        Ok(made)
    }
}

/// Mode of a directory in the trash whose model's permissions are not known.
pub(super) const CLOSED: u32 = 0o1700;

/// Gives a directory that was just made the owner and the mode of another. Leaves it closed to everybody else where the
/// owner cannot be set, or where the mode would close it to the janitor's own user.
pub(super) fn become_like(made: &Dir, like: &Dir) -> io::Result<()> {
    let (now, then) = (fstat(made.fd())?, fstat(like.fd())?);
    let user = rustix::process::geteuid();
    // Somebody who may write in the parent can have put another directory there. A directory that is open, not ours or
    // not empty is such a one.
    if now.st_uid != user.as_raw() || ![0o700, CLOSED].contains(&(now.st_mode & 0o7777)) || !made.names()?.is_empty() {
        return Ok(());
    }
    let owner = (now.st_uid, now.st_gid);
    let mode = mode_without_acl(like.fd(), then.st_mode & 0o7777);
    let (wanted, mode) = ((then.st_uid, then.st_gid), Mode::from_raw_mode(mode));
    if !user.is_root() && !mode.contains(Mode::RWXU) {
        return Ok(());
    }
    if drop_acls(made.fd()).is_err() {
        return Ok(());
    }
    let give = |(owner, group)| fchown(made.fd(), Some(Uid::from_raw(owner)), Some(Gid::from_raw(group)));
    if wanted != owner && give(wanted).is_err() {
        return Ok(());
    }
    if fchmod(made.fd(), mode).is_err() {
        // The file system has no permissions. The owner is given back, so that the directory is closed.
        give(owner).ok();
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests;
