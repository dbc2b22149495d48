//! The janitor's own files, opened by the rule of trust (`fsys::trust`): found by handle, read with a bound, appended
//! to, made and replaced, renamed and removed within their directory.

mod file;

pub use file::ReadFile;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::ops::ControlFlow;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, FileType, Mode, OFlags, RenameFlags, Stat, fstat, fsync, openat, renameat_with, statat, unlinkat,
};
use rustix::io::Errno;

use super::beneath::{Mounts, open_beneath};
use super::dir::{Dir, ListingBuffer};
use super::trust::{Breach, Denied, Fault, Purpose, Trust, stat_of};
use super::walk::{Reached, Rule, Walk};
use crate::entry::Identity;

/// Number of times a file is looked for again that appears or vanishes while it is opened.
const TRIES: usize = 10;

/// Flags of every open of a file of ours: no following a link at its name, no waiting for the other side of a FIFO, no
/// controlling terminal.
const CAREFULLY: OFlags = OFlags::NOFOLLOW.union(OFlags::NONBLOCK).union(OFlags::NOCTTY).union(OFlags::CLOEXEC);

const READABLE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A directory for files of ours. The handle stays on the same directory wherever its name goes.
#[derive(Debug)]
pub struct OwnDir {
    at: OwnedFd,
    path: PathBuf,
    trust: Trust,
    purpose: Purpose,
    warnings: Vec<Breach>,
}

/// Name of a file of ours in its directory; the file may not exist.
#[derive(Debug)]
pub struct OwnFile {
    /// The directory.
    pub dir: OwnDir,
    /// Name of the file in the directory.
    pub name: OsString,
}

/// Metadata of a file in an [`OwnDir`].
#[derive(Clone, Copy, Debug)]
pub struct OwnEntry {
    /// Identity of the file.
    pub identity: Identity,
    /// Whether the file is regular, belongs to a trusted user, and has no other name.
    pub is_ours_alone: bool,
    /// Time of the last modification, in seconds since 1970.
    pub modified: i64,
    /// Size of the file in bytes.
    pub size: u64,
}

impl Trust {
    /// Walks to the directory at `path`, which is absolute, by the rule of trust. With `make`, missing directories are
    /// made, with this mode.
    ///
    /// # Errors
    /// See [`Denied`].
    pub fn directory(&self, purpose: Purpose, path: &Path, make: Option<u32>) -> Result<OwnDir, Denied> {
        let make = make.map(Mode::from_raw_mode);
        let reached = Walk::to_directory(path, Rule::Trust(purpose), self, make)?;
        Ok(OwnDir::new(reached, *self, purpose).0)
    }

    /// Walks to the directory of the file at `path`, which is absolute, by the rule of trust. A symbolic link at the
    /// end of the path that nobody else can replace is followed. With `make`, missing directories are made, with this
    /// mode.
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

    /// Returns the path of the directory, without symbolic links.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn at(&self) -> BorrowedFd<'_> {
        self.at.as_fd()
    }

    /// Returns the breaches of the rule on the way that are warnings.
    #[must_use]
    pub fn warnings(&self) -> &[Breach] {
        &self.warnings
    }

    /// Returns the identity of the directory.
    ///
    /// # Errors
    /// Fails with the system's error.
    pub fn identity(&self) -> io::Result<Identity> {
        Ok(identity_of(&fstat(&self.at)?))
    }

    /// Returns whether the path still leads to this directory, by the rule of trust.
    #[must_use]
    pub fn is_still_there(&self) -> bool {
        let now = self.trust.directory(self.purpose, &self.path, None).ok().and_then(|dir| dir.identity().ok());
        now.is_some_and(|now| self.identity().is_ok_and(|then| then == now))
    }

    /// Returns the entry of this name; `None` when there is none. A symbolic link is not followed.
    ///
    /// # Errors
    /// Fails with the system's error.
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

    /// Returns every name in the directory. For directories with few names.
    ///
    /// # Errors
    /// Fails with the system's error.
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
    /// `AlreadyExists` when the name is taken, and any other system error.
    pub fn rename_to(&self, from: &OsStr, to: &OsStr) -> io::Result<()> {
        Ok(renameat_with(&self.at, from, &self.at, to, RenameFlags::NOREPLACE)?)
    }

    /// Removes a file.
    ///
    /// # Errors
    /// Fails with the system's error.
    pub fn remove(&self, name: &OsStr) -> io::Result<()> {
        Ok(unlinkat(&self.at, name, AtFlags::empty())?)
    }

    /// Judges a file that another library opens by its path. A missing file passes.
    ///
    /// # Errors
    /// See [`Denied`].
    pub fn check(&self, name: &OsStr) -> Result<(), Denied> {
        // The handle only names the file: closing another kind would release the locks that the process has on the
        // file.
        match self.open(name, OFlags::PATH) {
            Ok(_) | Err(Denied::Missing(_)) => Ok(()),
            Err(denied) => Err(denied),
        }
    }

    /// Opens a file for reading and writing, and makes a missing one, for its owner only.
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

    /// Returns the handle of a file in this directory, by name; the file need not exist.
    ///
    /// # Errors
    /// See [`Denied`].
    pub fn file(&self, name: &OsStr) -> Result<OwnFile, Denied> {
        let at = self.at.try_clone().map_err(|error| Denied::Io(self.path.join(name), error))?;
        let Self { path, trust, purpose, warnings, .. } = self;
        let dir = Self { at, path: path.clone(), trust: *trust, purpose: *purpose, warnings: warnings.clone() };
        Ok(OwnFile { dir, name: name.into() })
    }

    /// Opens the directory itself, for a lock or to write it to the disk.
    ///
    /// # Errors
    /// Fails with the system's error.
    pub fn handle(&self) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(File::from(openat(&self.at, c".", flags, Mode::empty())?))
    }

    fn sync(&self) -> io::Result<()> {
        Ok(fsync(self.handle()?)?)
    }

    /// Judges an opened file of this directory. Returns the breach if it is only a warning.
    fn judge(&self, file: &OwnedFd, name: &OsStr) -> Result<(Stat, Option<Breach>), Denied> {
        let path = self.path.join(name);
        let stat = stat_of(file, &path)?;
        if !is_regular(&stat) {
            return Err(Denied::NotRegular(path));
        }
        let fault = self.trust.judge(file, &stat);
        // Where others may have write access to the directory, they may have linked a file of ours to the name. A file
        // that is appended to must be the expected one.
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

    /// Opens an existing file.
    fn open(&self, name: &OsStr, flags: OFlags) -> Result<(OwnedFd, Stat, Option<Breach>), Denied> {
        let path = self.path.join(name);
        // A handle that only names a file is refused with flags other than these.
        let only_names = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let flags = if flags == OFlags::PATH { only_names } else { flags | CAREFULLY };
        let opened = open_beneath(self.at.as_fd(), Path::new(name), flags, Mounts::Cross);
        let file = opened.map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Denied::Missing(path.clone()),
            // Errors for a symbolic link, a FIFO that nobody reads, and a directory.
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

#[cfg(test)]
mod tests;
