//! The trash beside a root: `.janitor-trash/RUN/…`, on the same file system, into which files are renamed, and a note
//! for each run, `.janitor-trash/RUN.json`, that is on the disk before the run's first file is moved.
//!
//! At every moment a file is either at its place or, under the same relative path, in the trash of its run, since a
//! rename is one step. So the note of the run is enough to recover from a crash.

use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{FlockOperation, Mode, OFlags, RenameFlags, flock, fsync, mkdirat, openat, renameat_with};
use rustix::io::Errno;

use super::dir::{Dir, again, path};
use super::place::{is, write_down};
use super::private::{is_foreign, open_private, private_directory};
use super::put_back::{PutBack, put_back};
use super::root::resolve;
use super::transfer::Destination;
use super::tree::{Visit, below, remove};
use crate::entry::Stamp;

/// Name of the directory that holds the trash of every target beside it.
const TRASH: &[u8] = b".janitor-trash";

/// Suffix of the name of a run's note.
const NOTE: &str = ".json";

/// Most bytes that are read of a note.
const LONGEST: u64 = 64 * 1024;

/// Inode number of a file and its birth time, if the file system keeps one.
pub type Born = (u64, Option<Stamp>);

/// Most bytes that are read of a mark.
const LONGEST_MARK: u64 = 64 * 1024 * 1024;

/// The trash beside a root.
#[derive(Debug)]
pub struct Trash {
    dir: Dir,
}

/// A run in the trash, locked so that nobody else changes it meanwhile.
#[derive(Debug)]
pub struct TrashedRun {
    name: String,
    /// Text of the run's note.
    pub note: String,
    _held: OwnedFd,
}

/// Number of files, and their allocated bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Trash {
    /// Opens the trash beside the root at `root`, which is absolute and without links. With `make`, a missing trash is
    /// made.
    ///
    /// # Errors
    /// Fails when the directory is not a private directory of ours, or cannot be made or opened; with `NotFound` when
    /// there is none.
    pub fn beside(root: &Path, make: bool) -> io::Result<Self> {
        let parent = root.parent().ok_or(Errno::INVAL)?;
        let parent = resolve(parent, false).map_err(io::Error::other)?.dir;
        let dir = if make { private_directory(&parent, TRASH) } else { open_private(&parent, TRASH) };
        match dir {
            Ok(dir) => Ok(Self { dir }),
            Err(error) if is_foreign(&error) => {
                let what =
                    "`janitor trash` lists it, `janitor undo RUN` puts it back, `janitor trash --empty` purges it";
                Err(io::Error::other(format!("{error} ({what})")))
            }
            Err(error) => Err(error),
        }
    }

    /// Returns the handle of the trash.
    #[must_use]
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Starts the trash of a run, and returns the destination for its files. The note is on the disk when this returns.
    ///
    /// # Errors
    /// Fails with the system's error.
    pub fn begin(&self, run: &str, note: &str) -> io::Result<Destination> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let name = format!("{run}{NOTE}");
        let file = loop {
            let file = openat(self.dir.fd(), path(name.as_bytes()), flags, Mode::RUSR | Mode::WUSR)?;
            rustix::io::retry_on_intr(|| flock(&file, FlockOperation::LockExclusive))?;
            // Before the lock was taken, somebody may have removed the note as the remains of a killed run.
            if rustix::fs::fstat(&file)?.st_nlink > 0 {
                break file;
            }
        };
        let mut file = std::fs::File::from(file);
        file.write_all(note.as_bytes())?;
        fsync(&file)?;
        again(|| mkdirat(self.dir.fd(), path(run.as_bytes()), Mode::RWXU))?;
        write_down(&self.dir)?;
        Ok(Destination::only_here(self.dir.open(run.as_bytes())?)?.holding(file.into()))
    }

    /// Returns the runs in the trash, sorted by name, without those that another process works on.
    ///
    /// # Errors
    /// Fails with the system's error.
    pub fn runs(&self) -> io::Result<Vec<TrashedRun>> {
        let mut names: Vec<String> =
            self.dir.names()?.into_iter().filter_map(|name| String::from_utf8(name).ok()).collect();
        names.sort_unstable();
        let mut runs = Vec::new();
        for name in names {
            if let Some(run) = name.strip_suffix(NOTE)
                && let Some(found) = self.run(run)?
            {
                runs.push(found);
            }
        }
        Ok(runs)
    }

    /// Returns one run; `None` when it is not there, or another process works on it.
    ///
    /// # Errors
    /// Fails with the system's error.
    pub fn run(&self, run: &str) -> io::Result<Option<TrashedRun>> {
        if run.contains('/') {
            return Ok(None);
        }
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let name = format!("{run}{NOTE}");
        let file = match openat(self.dir.fd(), path(name.as_bytes()), flags, Mode::empty()) {
            Err(Errno::NOENT) => return Ok(None),
            done => done?,
        };
        match rustix::io::retry_on_intr(|| flock(&file, FlockOperation::NonBlockingLockExclusive)) {
            Err(Errno::WOULDBLOCK) => return Ok(None),
            done => done?,
        }
        // The note may have been removed before the lock was taken.
        if rustix::fs::fstat(&file)?.st_nlink == 0 {
            return Ok(None);
        }
        let mut note = String::new();
        let held = file.try_clone()?;
        std::fs::File::from(file).take(LONGEST).read_to_string(&mut note)?;
        Ok(Some(TrashedRun { name: run.to_owned(), note, _held: held }))
    }

    fn files(&self, run: &TrashedRun) -> io::Result<Option<Dir>> {
        match self.dir.open(run.name.as_bytes()) {
            // A crash came between the note and the directory, or between the removal of the directory and that of the
            // note.
            Err(error) if is(&error, Errno::NOENT) => Ok(None),
            done => done.map(Some),
        }
    }

    /// Counts the files of a run and their allocated bytes.
    ///
    /// # Errors
    /// Fails with the system's error.
    pub fn weigh(&self, run: &TrashedRun) -> io::Result<Weight> {
        let mut weight = Weight::default();
        if let Some(files) = self.files(run)? {
            below(&files, &mut |visit| {
                if let Visit::Entry { dir, name, .. } = visit {
                    weight.files += 1;
                    // A file that cannot be looked at counts as zero bytes.
                    weight.bytes += dir.look(name).map_or(0, |found| found.facts.allocated);
                }
                Ok(())
            })?;
        }
        Ok(weight)
    }

    /// Returns the inode numbers and birth times of the files and directories of a run; `None` when there are more than
    /// `most`.
    ///
    /// # Errors
    /// Fails with the system's error.
    pub fn inodes(&self, run: &TrashedRun, most: usize) -> io::Result<Option<Vec<Born>>> {
        let mut inodes = Vec::new();
        if let Some(files) = self.files(run)? {
            below(&files, &mut |visit| {
                let (dir, name) = match visit {
                    Visit::Entry { dir, name, .. } => (dir, name),
                    Visit::Left { parent, name } => (parent, name),
                };
                if inodes.len() <= most {
                    let facts = dir.look(name)?.facts;
                    inodes.push((facts.identity.inode, facts.stamps.created));
                }
                Ok(())
            })?;
        }
        Ok((inodes.len() <= most).then_some(inodes))
    }

    /// Removes the files of a run for good, and returns their number and bytes.
    ///
    /// # Errors
    /// Fails with the system's error; the remaining files are still in the trash then.
    pub fn purge(&self, run: &TrashedRun) -> io::Result<Weight> {
        let mut weight = Weight::default();
        if let Some(files) = self.files(run)? {
            below(&files, &mut |visit| {
                if let Visit::Entry { dir, name, .. } = visit {
                    weight.bytes += dir.look(name).map_or(0, |found| found.facts.allocated);
                    weight.files += 1;
                }
                remove(&visit)
            })?;
            self.dir.remove_directory(run.name.as_bytes())?;
        }
        self.forget(run)?;
        Ok(weight)
    }

    /// Returns whether the run has nothing but its note: it was killed at its start, or all its files are gone.
    ///
    /// # Errors
    /// Fails with the system's error.
    pub fn is_bare(&self, run: &TrashedRun) -> io::Result<bool> {
        Ok(self.files(run)?.is_none())
    }

    /// Removes the note of a run that has [nothing else](Self::is_bare).
    ///
    /// # Errors
    /// Fails with the system's error.
    pub fn forget_bare(&self, run: &TrashedRun) -> io::Result<()> {
        if self.is_bare(run)? { self.forget(run) } else { Ok(()) }
    }

    /// Removes the note of a run that has no files any more.
    fn forget(&self, run: &TrashedRun) -> io::Result<()> {
        self.dir.remove(format!("{}{NOTE}", run.name).as_bytes())
    }

    /// Puts the files of a run back below `root`, each under its path, and never over another entry.
    ///
    /// # Errors
    /// Fails when the trash cannot be read.
    pub fn put_back(&self, run: &TrashedRun, root: &Dir) -> io::Result<PutBack> {
        let Some(files) = self.files(run)? else {
            self.forget(run)?;
            return Ok(PutBack::default());
        };
        let done = put_back(&files, root)?;
        if done.occupied.is_empty() && done.failed.is_empty() {
            self.dir.remove_directory(run.name.as_bytes())?;
            self.forget(run)?;
        }
        Ok(done)
    }

    /// Writes or replaces a mark. At every moment the old or the new mark is there, whole.
    ///
    /// # Errors
    /// Fails with the system's error.
    pub fn mark(&self, name: &str, text: &str) -> io::Result<()> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let new = format!("{name}.new");
        let file = openat(self.dir.fd(), path(new.as_bytes()), flags, Mode::RUSR | Mode::WUSR)?;
        let mut file = std::fs::File::from(file);
        file.write_all(text.as_bytes())?;
        fsync(&file)?;
        let (new, name) = (path(new.as_bytes()), path(name.as_bytes()));
        again(|| renameat_with(self.dir.fd(), new, self.dir.fd(), name, RenameFlags::empty()))?;
        write_down(&self.dir)
    }

    /// Returns the text of a mark; `None` when there is none.
    #[must_use]
    pub fn read_mark(&self, name: &str) -> Option<String> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = openat(self.dir.fd(), path(name.as_bytes()), flags, Mode::empty()).ok()?;
        let mut text = String::new();
        std::fs::File::from(file).take(LONGEST_MARK).read_to_string(&mut text).ok()?;
        Some(text)
    }
}

impl TrashedRun {
    /// The id of the run.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.name
    }
}

#[cfg(test)]
mod tests;
