//! Operations on one file of the janitor's own.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::path::PathBuf;

use rustix::fs::{
    AtFlags, Gid, Mode, OFlags, RenameFlags, Stat, Uid, fchmod, fchown, fstat, openat, renameat, renameat_with, statat,
};
use rustix::io::Errno;

use super::{CAREFULLY, OwnEntry, OwnFile, READABLE, is_regular};
use crate::fsys::trust::{Breach, Denied};

/// A file that was read.
#[derive(Debug)]
pub struct ReadFile {
    /// Content of the file.
    pub bytes: Vec<u8>,
    /// Permissions of the file.
    pub mode: u32,
    /// Breaches of the rule of trust that are warnings.
    pub warnings: Vec<Breach>,
}

impl OwnFile {
    /// Returns the path of the file, without symbolic links.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.dir.path.join(&self.name)
    }

    /// Returns the entry that has the file's name now; `None` when there is none.
    ///
    /// # Errors
    /// Fails with the system's error.
    pub fn entry(&self) -> io::Result<Option<OwnEntry>> {
        self.dir.entry(&self.name)
    }

    /// Reads the file, which may have `most` bytes at most.
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

    /// Opens the file to append to it, and makes a missing file with this mode. A breach that is only a warning is
    /// returned, too.
    ///
    /// # Errors
    /// See [`Denied`].
    pub fn append(&self, mode: u32) -> Result<(File, Option<Breach>), Denied> {
        self.dir.open_or_make_with(&self.name, OFlags::WRONLY | OFlags::APPEND, Mode::from_raw_mode(mode))
    }

    /// Makes the file, readable only by its owner, and never over another. The file is on the disk before this returns.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken, and any other system error.
    pub fn create(&self, content: &[u8]) -> io::Result<()> {
        self.write(&self.name, content, None)?;
        self.dir.sync()
    }

    /// Replaces the existing file atomically with one that only its owner can read. The new file gets the owner of the
    /// old one.
    ///
    /// # Errors
    /// Fails with the system's error; the old file is unchanged then.
    pub fn replace(&self, content: &[u8]) -> io::Result<()> {
        let old = statat(&self.dir.at, &self.name, AtFlags::SYMLINK_NOFOLLOW)?;
        if !is_regular(&old) {
            return Err(io::Error::other("it is not a regular file"));
        }
        let new = self.aside(content, Some(&old))?;
        self.settle(&new, renameat(&self.dir.at, &new, &self.dir.at, &self.name))
    }

    /// Makes or replaces the file atomically. The file is on the disk before this returns.
    ///
    /// # Errors
    /// Fails with the system's error; the earlier content is unchanged then.
    pub fn put(&self, content: &[u8]) -> io::Result<()> {
        match self.replace(content) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => self.begin(content),
            done => done,
        }
    }

    /// Makes the file whole or not at all, and never over another.
    ///
    /// # Errors
    /// `AlreadyExists` when the name is taken, and any other system error.
    pub fn begin(&self, content: &[u8]) -> io::Result<()> {
        let new = self.aside(content, None)?;
        self.settle(&new, renameat_with(&self.dir.at, &new, &self.dir.at, &self.name, RenameFlags::NOREPLACE))
    }

    /// Writes a temporary file beside this one, to be renamed. A file left by a killed process with this process id is
    /// removed.
    fn aside(&self, content: &[u8], like: Option<&Stat>) -> io::Result<OsString> {
        let mut new = OsString::from(".");
        new.push(&self.name);
        new.push(format!(".{}", std::process::id()));
        match self.write(&new, content, like) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                self.dir.remove(&new)?;
                self.write(&new, content, like)?;
            }
            done => done?,
        }
        Ok(new)
    }

    fn settle(&self, new: &OsStr, renamed: Result<(), Errno>) -> io::Result<()> {
        if let Err(error) = renamed {
            // The temporary file is of no use; the error returned is that of the rename.
            drop(self.dir.remove(new));
            return Err(error.into());
        }
        self.dir.sync()
    }

    /// Writes a new file with mode 0600, and with the owner of `like`.
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
            // The umask may have taken bits away.
            fchmod(&file, READABLE)?;
            file.write_all(content)?;
            file.sync_all()
        };
        write().inspect_err(|_| drop(self.dir.remove(name)))
    }
}
