//! The janitor's own files, opened by the rule of trust (`fsys::trust`): found by handle, read with a bound, appended to,
//! made and replaced, renamed and removed within their directory.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, OFlags, RenameFlags, ResolveFlags, Stat, Uid, fchmod, fchown, fstat, fsync, openat,
    openat2, renameat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

use super::dir::{Dir, ListingBuffer, again};
use super::trust::{Breach, Denied, Fault, Purpose, Trust, stat_of};
use super::walk::{Reached, Rule, Walk};
use crate::entry::Identity;

/// How often a file is looked for again that appears or vanishes while it is opened.
const TRIES: usize = 10;

/// What no open of a file of ours may do: follow a link at its name, wait for the other side of a FIFO, or make a
/// terminal ours.
const CAREFULLY: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

const READABLE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A directory that files of ours lie in. It stays the same directory wherever its name goes.
#[derive(Debug)]
pub struct OwnDir {
    at: OwnedFd,
    path: PathBuf,
    trust: Trust,
    purpose: Purpose,
    warnings: Vec<Breach>,
}

/// The name of a file of ours in its directory; whether there is such a file is not said.
#[derive(Debug)]
pub struct OwnFile {
    /// The directory.
    pub dir: OwnDir,
    /// The name there.
    pub name: OsString,
}

/// What is known of a file in an [`OwnDir`].
#[derive(Clone, Copy, Debug)]
pub struct OwnEntry {
    /// Which inode it is.
    pub identity: Identity,
    /// Whether it is a regular file of somebody trusted, and has no other name.
    pub is_ours_alone: bool,
    /// When it was last modified, in seconds since 1970.
    pub modified: i64,
    /// Its size in bytes.
    pub size: u64,
}

impl Trust {
    /// Walks to the directory at `path`, which is absolute, by the rule of trust. With `make`, directories that are
    /// missing are made, with this mode.
    ///
    /// # Errors
    /// See [`Denied`].
    pub fn directory(&self, purpose: Purpose, path: &Path, make: Option<u32>) -> Result<OwnDir, Denied> {
        let make = make.map(Mode::from_raw_mode);
        let reached = Walk::to_directory(path, Rule::Trust(purpose), self, make)?;
        Ok(OwnDir::new(reached, *self, purpose).0)
    }

    /// Walks to the directory of the file at `path`, which is absolute, by the rule of trust. Where the path ends in a
    /// symbolic link that nobody else can replace, the file is what that leads to. With `make`, directories that are
    /// missing are made, with this mode.
    ///
    /// # Errors
    /// See [`Denied`].
    pub fn file(&self, purpose: Purpose, path: &Path, make: Option<u32>) -> Result<OwnFile, Denied> {
        let make = make.map(Mode::from_raw_mode);
        let reached = Walk::to_file(path, Rule::Trust(purpose), self, make)?;
        let (dir, name) = OwnDir::new(reached, *self, purpose);
        Ok(OwnFile { dir, name })
    }
}

fn identity_of(stat: &Stat) -> Identity {
    Identity { device: stat.st_dev, inode: stat.st_ino }
}

fn is_regular(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile
}

impl OwnDir {
    fn new(reached: Reached, trust: Trust, purpose: Purpose) -> (Self, OsString) {
        let Reached { at, path, name, warnings, .. } = reached;
        (Self { at, path, trust, purpose, warnings }, name)
    }

    /// Its path, without symbolic links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn at(&self) -> BorrowedFd<'_> {
        self.at.as_fd()
    }

    /// Breaches of the rule on the way that are warnings.
    #[must_use]
    pub fn warnings(&self) -> &[Breach] {
        &self.warnings
    }

    /// Which directory it is.
    ///
    /// # Errors
    /// What the system says.
    pub fn identity(&self) -> io::Result<Identity> {
        Ok(identity_of(&fstat(&self.at)?))
    }

    /// Returns whether its path still leads to it, by the rule of trust.
    #[must_use]
    pub fn is_still_there(&self) -> bool {
        let now = self.trust.directory(self.purpose, &self.path, None).ok().and_then(|dir| dir.identity().ok());
        now.is_some_and(|now| self.identity().is_ok_and(|then| then == now))
    }

    /// What has this name; `None` when nothing has. A symbolic link is not followed.
    ///
    /// # Errors
    /// What the system says.
    pub fn entry(&self, name: &OsStr) -> io::Result<Option<OwnEntry>> {
        let stat = match statat(&self.at, name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(Errno::NOENT) => return Ok(None),
            found => found?,
        };
        Ok(Some(OwnEntry {
            identity: identity_of(&stat),
            is_ours_alone: is_regular(&stat) && self.trust.is_trusted(stat.st_uid) && stat.st_nlink == 1,
            modified: stat.st_mtime,
            size: u64::try_from(stat.st_size).unwrap_or(0),
        }))
    }

    /// Every name in it, for directories with few.
    ///
    /// # Errors
    /// What the system says.
    pub fn names(&self) -> io::Result<Vec<OsString>> {
        use std::os::unix::ffi::OsStringExt;
        let mut names = Vec::new();
        Dir::of(self.handle()?.into()).for_each(&mut ListingBuffer::new(), |entry| {
            names.push(OsString::from_vec(entry.name.to_vec()));
            ControlFlow::Continue(())
        })?;
        Ok(names)
    }

    /// Renames a file within the directory, and never over another.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken, and what else the system says.
    pub fn rename_to(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(renameat_with(&self.at, from, &self.at, to, RenameFlags::NOREPLACE)?)
    }

    /// Removes a file.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.at, name, AtFlags::empty())?)
    }

    /// Judges a file that another library opens by its path; one that is missing passes.
    ///
    /// # Errors
    /// See [`Denied`].
    pub fn check(&self, name: &OsStr) -> Result<(), Denied> {
        // A handle that only names the file: closing another would take away the locks that the process has on it.
        match self.open(name, OFlags::PATH) {
            Ok(_) | Err(Denied::Missing(_)) => Ok(()),
            Err(denied) => Err(denied),
        }
    }

    /// Opens a file to read and write it, and makes it where it is missing, for its owner only.
    ///
    /// # Errors
    /// See [`Denied`].
    pub fn open_or_make(&self, name: &OsStr) -> Result<File, Denied> {
        self.open_or_make_with(name, OFlags::RDWR, READABLE).map(|(file, _)| file)
    }

    fn open_or_make_with(&self, name: &OsStr, flags: OFlags, mode: Mode) -> Result<(File, Option<Breach>), Denied> {
        let failed = |error: io::Error| Denied::Io(self.path.join(name), error);
        for _ in 0..TRIES {
            match self.open(name, flags) {
                Err(Denied::Missing(_)) => {}
                done => return done.map(|(file, _, warning)| (File::from(file), warning)),
            }
            let make = flags | CAREFULLY | OFlags::CREATE | OFlags::EXCL;
            match openat(&self.at, name, make, mode) {
                Err(Errno::EXIST | Errno::INTR) => {}
                made => return made.map(|file| (File::from(file), None)).map_err(|error| failed(error.into())),
            }
        }
        Err(failed(io::Error::other("it comes and goes")))
    }

    /// Opens the directory itself, to lock it or to have it written to the disk.
    ///
    /// # Errors
    /// What the system says.
    pub fn handle(&self) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(File::from(openat(&self.at, c".", flags, Mode::empty())?))
    }

    fn sync(&self) -> io::Result<()> {
        Ok(fsync(self.handle()?)?)
    }

    /// Judges a file in it that has been opened; returns the breach where that is a warning.
    fn judge(&self, file: &OwnedFd, name: &OsStr) -> Result<(Stat, Option<Breach>), Denied> {
        let path = self.path.join(name);
        let stat = stat_of(file, &path)?;
        if !is_regular(&stat) {
            return Err(Denied::NotRegular(path));
        }
        let fault = self.trust.judge(file, &stat);
        // Where others may have write access to the directory, they may have linked a file of ours to the name; what is
        // appended to has to be what it seems.
        let is_written = matches!(self.purpose, Purpose::Log | Purpose::State);
        if is_written && stat.st_nlink > 1 && (self.purpose == Purpose::State || !self.warnings.is_empty()) {
            return Err(Denied::Breach(Box::new(Breach::new(&path, &stat, Fault::Names))));
        }
        let warning = match fault {
            None => None,
            Some(fault) => {
                let breach = Breach::new(&path, &stat, fault);
                if !self.trust.is_lenient(self.purpose) {
                    return Err(Denied::Breach(Box::new(breach)));
                }
                Some(breach)
            }
        };
        Ok((stat, warning))
    }

    /// Opens a file that is there.
    fn open(&self, name: &OsStr, flags: OFlags) -> Result<(OwnedFd, Stat, Option<Breach>), Denied> {
        let path = self.path.join(name);
        // A handle that only names a file is refused with other flags than these.
        let only_names = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let flags = if flags == OFlags::PATH { only_names } else { flags | CAREFULLY };
        let strictly = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let opened = again(|| openat2(&self.at, name, flags, Mode::empty(), strictly));
        let file = opened.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Denied::Missing(path.clone()),
            // What a symbolic link, a FIFO that nobody reads, or a directory says.
            _ if [Errno::LOOP, Errno::NXIO, Errno::ISDIR]
                .iter()
                .any(|odd| error.raw_os_error() == Some(odd.raw_os_error())) =>
            {
                Denied::NotRegular(path.clone())
            }
            _ => Denied::Io(path.clone(), error),
        })?;
        let (stat, warning) = self.judge(&file, name)?;
        Ok((file, stat, warning))
    }
}

/// A file that was read.
#[derive(Debug)]
pub struct ReadFile {
    /// What is in it.
    pub bytes: Vec<u8>,
    /// Its permissions.
    pub mode: u32,
    /// Breaches of the rule of trust that are warnings.
    pub warnings: Vec<Breach>,
}

impl OwnFile {
    /// Its path, without symbolic links.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.dir.path.join(&self.name)
    }

    /// What has its name now; `None` when nothing has.
    ///
    /// # Errors
    /// What the system says.
    pub fn entry(&self) -> io::Result<Option<OwnEntry>> {
        self.dir.entry(&self.name)
    }

    /// Reads the file, which has at most `most` bytes.
    ///
    /// # Errors
    /// See [`Denied`].
    pub fn read(self, most: u64) -> Result<ReadFile, Denied> {
        let (file, stat, warning) = self.dir.open(&self.name, OFlags::RDONLY)?;
        let path = self.path();
        let mut bytes = Vec::new();
        let read = File::from(file).take(most.saturating_add(1)).read_to_end(&mut bytes);
        read.map_err(|error| Denied::Io(path.clone(), error))?;
        if bytes.len() as u64 > most {
            return Err(Denied::TooLarge(path));
        }
        let mut warnings = self.dir.warnings;
        warnings.extend(warning);
        Ok(ReadFile { bytes, mode: stat.st_mode & 0o7777, warnings })
    }

    /// Opens the file to append to it, and makes it where it is missing, with this mode. Returns a warning beside it.
    ///
    /// # Errors
    /// See [`Denied`].
    pub fn append(&self, mode: u32) -> Result<(File, Option<Breach>), Denied> {
        self.dir.open_or_make_with(&self.name, OFlags::WRONLY | OFlags::APPEND, Mode::from_raw_mode(mode))
    }

    /// Makes the file, which only its owner can read, on the disk before this returns, and never over another.
    ///
    /// # Errors
    /// `AlreadyExists` when something has the name, and what else the system says.
    pub fn create(&self, content: &[u8]) -> io::Result<()> {
        self.write(&self.name, content, None)?;
        self.dir.sync()
    }

    /// Puts a file that only its owner can read in the place of the one that is there, at once; it gets the owner of
    /// that.
    ///
    /// # Errors
    /// What the system says; the old file is there as before then.
    pub fn replace(&self, content: &[u8]) -> io::Result<()> {
        let old = statat(&self.dir.at, &self.name, AtFlags::SYMLINK_NOFOLLOW)?;
        if !is_regular(&old) {
            return Err(io::Error::other("it is not a regular file"));
        }
        let mut new = OsString::from(".");
        new.push(&self.name);
        new.push(format!(".{}", std::process::id()));
        self.write(&new, content, Some(&old))?;
        if let Err(error) = renameat(&self.dir.at, &new, &self.dir.at, &self.name) {
            // What was made is of no use; that the rename failed is what is told.
            drop(self.dir.remove(&new));
            return Err(error.into());
        }
        self.dir.sync()
    }

    /// Writes a new file with mode 0600; `like` has the owner that it gets.
    fn write(&self, name: &OsStr, content: &[u8], like: Option<&Stat>) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | CAREFULLY;
        let mut file = File::from(openat(&self.dir.at, name, flags, READABLE)?);
        let mut write = || -> io::Result<()> {
            let now = fstat(&file)?;
            if let Some(like) = like
                && (like.st_uid, like.st_gid) != (now.st_uid, now.st_gid)
            {
                fchown(&file, Some(Uid::from_raw(like.st_uid)), Some(Gid::from_raw(like.st_gid)))?;
            }
            // Whatever the umask took away.
            fchmod(&file, READABLE)?;
            file.write_all(content)?;
            file.sync_all()
        };
        write().inspect_err(|_| drop(self.dir.remove(name)))
    }
}

#[cfg(test)]
mod tests;
