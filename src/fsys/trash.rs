//! The trash beside a root: `.janitor-trash/RUN/…`, on the same file system, where files are renamed to, and a note for
//! each run, `.janitor-trash/RUN.json`, that is on the disk before its first file.
//!
//! A file is at its place or, under the same relative path, in the trash of its run, at every moment: a rename is one
//! step. So the note of the run is all that a crash needs.

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

/// The directory that the trash of every target in it lies in.
const TRASH: &[u8] = b".janitor-trash";

/// What the note of a run ends in.
const NOTE: &str = ".json";

/// No note is longer.
const LONGEST: u64 = 64 * 1024;

/// An inode, and when it was made, where the file system keeps that.
pub type Born = (u64, Option<Stamp>);

/// No mark is longer.
const LONGEST_MARK: u64 = 64 * 1024 * 1024;

/// The trash beside a root.
#[derive(Debug)]
pub struct Trash {
    dir: Dir,
}

/// One run in it, held so that nobody else changes it meanwhile.
#[derive(Debug)]
pub struct TrashedRun {
    name: String,
    /// What its note says.
    pub note: String,
    _held: OwnedFd,
}

/// How many files, and their allocated bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Weight {
    /// Files.
    pub files: u64,
    /// Bytes.
    pub bytes: u64,
}

impl Trash {
    /// Opens the trash beside the root at `root`, which is absolute and without links; makes it if asked to.
    ///
    /// # Errors
    /// What is there is not a private directory of ours, or it cannot be made or opened; `NotFound` when it is not
    /// there.
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

    /// Its handle.
    #[must_use]
    pub fn dir(&self) -> &Dir {
        &self.dir
    }

    /// Begins the trash of a run: where its files are renamed to. The note is on the disk when this returns.
    ///
    /// # Errors
    /// What the system says.
    pub fn begin(&self, run: &str, note: &str) -> io::Result<Destination> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let name = format!("{run}{NOTE}");
        let file = loop {
            let file = openat(self.dir.fd(), path(name.as_bytes()), flags, Mode::RUSR | Mode::WUSR)?;
            rustix::io::retry_on_intr(|| flock(&file, FlockOperation::LockExclusive))?;
            // Before it was held, somebody may have taken it for what a killed run has left.
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

    /// The runs whose files are in it, by name, without those that somebody else works on.
    ///
    /// # Errors
    /// What the system says.
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

    /// One run; `None` when it is not there, or somebody else works on it.
    ///
    /// # Errors
    /// What the system says.
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
        // It may have been removed before it was held.
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
            // A crash between the note and the directory, or between the end of the directory and that of the note.
            Err(error) if is(&error, Errno::NOENT) => Ok(None),
            done => done.map(Some),
        }
    }

    /// What the files of a run weigh.
    ///
    /// # Errors
    /// What the system says.
    pub fn weigh(&self, run: &TrashedRun) -> io::Result<Weight> {
        let mut weight = Weight::default();
        if let Some(files) = self.files(run)? {
            below(&files, &mut |visit| {
                if let Visit::Entry { dir, name, .. } = visit {
                    weight.files += 1;
                    // What cannot be looked at weighs nothing.
                    weight.bytes += dir.look(name).map_or(0, |found| found.facts.allocated);
                }
                Ok(())
            })?;
        }
        Ok(weight)
    }

    /// The inodes and birth times of the files and directories of a run; `None` when these are more than `most`.
    ///
    /// # Errors
    /// What the system says.
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

    /// Removes the files of a run for good.
    ///
    /// # Errors
    /// What the system says; what is left then is still in the trash.
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

    /// Whether there is nothing but its note: it was killed as it began, or all its files went.
    ///
    /// # Errors
    /// What the system says.
    pub fn is_bare(&self, run: &TrashedRun) -> io::Result<bool> {
        Ok(self.files(run)?.is_none())
    }

    /// Takes away the note of a run that has [nothing else](Self::is_bare).
    ///
    /// # Errors
    /// What the system says.
    pub fn forget_bare(&self, run: &TrashedRun) -> io::Result<()> {
        if self.is_bare(run)? { self.forget(run) } else { Ok(()) }
    }

    /// Takes the note of a run away, which has no files any more.
    fn forget(&self, run: &TrashedRun) -> io::Result<()> {
        self.dir.remove(format!("{}{NOTE}", run.name).as_bytes())
    }

    /// Puts what a run took back below `root`, each under its path, and never over anything.
    ///
    /// # Errors
    /// When the trash cannot be read.
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

    /// Leaves a mark, or renews it: at every moment there is the old one or the new one, whole.
    ///
    /// # Errors
    /// What the system says.
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

    /// What a mark says; `None` when there is none.
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
