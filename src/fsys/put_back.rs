//! Putting the files of a run back from the trash.
//!
//! Each entry of a run is renamed to its place, a directory with everything in it. So directories, even those without
//! files, keep their mode, owner and stamps. Only where another directory has the place are the entries put back one by
//! one, and only if that directory lets in nobody whom the one in the trash keeps out. A rename is one step, so the
//! next undo finishes one that was killed.

use std::io;
use std::ops::ControlFlow;

use rustix::fs::{Mode, Timespec, Timestamps, fchmod, fstat, futimens, mkdirat};
use rustix::io::Errno;

use super::dir::{Dir, ListingBuffer, again, path};
use super::place::{is, link_to, rename_to};
use super::transfer::{CLOSED, become_like};
use super::tree::{Visit, below, parent_of};
use super::whole_slot::rename_free;
use crate::entry::{Identity, Kind};
use crate::names::Shortened;

/// Result of putting files back.
#[derive(Debug, Default)]
pub struct PutBack {
    /// Number of files that are back.
    pub restored: u64,
    /// Paths of the files that stay in the trash because their place is taken, escaped.
    pub occupied: Vec<String>,
    /// Paths of the files that stay in the trash for another reason, with the reason.
    pub failed: Vec<String>,
}

/// A directory that exists both in the trash and at its place.
struct Level {
    from: Identity,
    to: Identity,
    /// Subdirectories that exist on both sides, too, with the stamps that those at their place get at the end.
    waiting: Vec<(Vec<u8>, Option<Timestamps>)>,
    /// Stamps that this directory gets at the end.
    stamps: Option<Timestamps>,
}

/// Result of putting a directory back.
enum Step {
    /// The directory is back, with this number of files.
    Back(u64),
    /// The directory exists on both sides.
    Both(Option<Timestamps>),
    /// The place is taken by something else, or by a directory that lets others in.
    Occupied,
}

/// Current directory of the undo, on both sides.
struct Way<'a> {
    files: &'a Dir,
    root: &'a Dir,
    from: Dir,
    to: Dir,
    /// Path of the directory below both.
    path: Vec<u8>,
    buffer: ListingBuffer,
    done: PutBack,
}

/// Puts everything below `files` at the same paths below `root`, and never over anything.
///
/// # Errors
/// Fails when the trash cannot be read.
pub(super) fn put_back(files: &Dir, root: &Dir) -> io::Result<PutBack> {
    let (from, to) = (files.open(b".")?, root.open(b".")?);
    let (buffer, done) = (ListingBuffer::new(), PutBack::default());
    let mut way = Way { files, root, from, to, path: Vec::new(), buffer, done };
    let mut levels = vec![way.entries(None)?];
    while let Some(level) = levels.last_mut() {
        if let Some((name, stamps)) = level.waiting.pop() {
            way.down(&name)?;
            levels.push(way.entries(stamps)?);
            continue;
        }
        let Some(Level { stamps, .. }) = levels.pop() else { break };
        let Some(above) = levels.last() else { break };
        if let Some(stamps) = stamps {
            // Best effort: the files are back.
            futimens(way.to.fd(), &stamps).ok();
        }
        way.up(above)?;
    }
    way.done.occupied.sort();
    way.done.failed.sort();
    Ok(way.done)
}

/// Opens the parent directory, which must be `expected`: by `..`, or by its path where that fails.
fn above(dir: &Dir, expected: Identity, top: &Dir, path: &[u8]) -> io::Result<Dir> {
    parent_of(dir, expected).or_else(|_| if path.is_empty() { top.open(b".") } else { top.open_beneath(path) })
}

impl Way<'_> {
    fn down(&mut self, name: &[u8]) -> io::Result<()> {
        let (from, to) = (self.from.open(name)?, self.to.open(name)?);
        (self.from, self.to) = (from, to);
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
        Ok(())
    }

    /// Goes up, and removes the directory left behind in the trash, if it is empty.
    fn up(&mut self, level: &Level) -> io::Result<()> {
        let slash = self.path.iter().rposition(|byte| *byte == b'/');
        let name = self.path[slash.map_or(0, |slash| slash + 1)..].to_vec();
        self.path.truncate(slash.unwrap_or(0));
        self.from = above(&self.from, level.from, self.files, &self.path)?;
        self.to = above(&self.to, level.to, self.root, &self.path)?;
        drop(self.from.remove_directory(&name));
        Ok(())
    }

    /// Puts back the entries of the directory. Subdirectories on both sides are left for later.
    fn entries(&mut self, stamps: Option<Timestamps>) -> io::Result<Level> {
        let (from, to) = (self.from.look_at_itself()?.0, self.to.look_at_itself()?.0);
        let mut names = Vec::new();
        self.from.for_each(&mut self.buffer, |entry| {
            names.push((entry.name.to_vec(), entry.kind));
            ControlFlow::Continue(())
        })?;
        let mut waiting = Vec::new();
        for (name, kind) in names {
            let kind = match kind {
                Some(kind) => kind,
                None => self.from.look(&name)?.kind,
            };
            if kind != Kind::Directory {
                match self.file(&name) {
                    Ok(()) => self.done.restored += 1,
                    Err(error) if is(&error, Errno::EXIST) => self.done.occupied.push(self.shown(&name)),
                    Err(error) => self.done.failed.push(format!("{}: {error}", self.shown(&name))),
                }
                continue;
            }
            match self.directory(&name) {
                Ok(Step::Back(files)) => self.done.restored += files,
                Ok(Step::Both(stamps)) => waiting.push((name, stamps)),
                Ok(Step::Occupied) => self.stays(&name, None)?,
                Err(error) => self.stays(&name, Some(&error))?,
            }
        }
        Ok(Level { from, to, waiting, stamps })
    }

    fn shown(&self, name: &[u8]) -> String {
        let slash = if self.path.is_empty() { "" } else { "/" };
        format!("{}{slash}{}", Shortened::path(&self.path), Shortened::name(name))
    }

    fn file(&self, name: &[u8]) -> io::Result<()> {
        match rename_to(&self.from, name, &self.to, name) {
            // The file system cannot promise not to overwrite. A link never overwrites.
            Err(error) if is(&error, Errno::INVAL) => {
                link_to(&self.from, name, &self.to, name)?;
                self.from.remove(name)
            }
            done => done,
        }
    }

    fn directory(&self, name: &[u8]) -> io::Result<Step> {
        let held = self.from.open(name)?;
        match self.to.look(name) {
            Err(error) if is(&error, Errno::NOENT) => {}
            Ok(found) if found.kind == Kind::Directory => return self.both(name, &held, None),
            Ok(_) => return Ok(Step::Occupied),
            Err(error) => return Err(error),
        }
        let files = count(&held)?;
        let Err(error) = self.whole(name, &held) else { return Ok(Step::Back(files)) };
        // Somebody has taken the place, or the directory cannot be moved in one step.
        let now = fstat(held.fd())?;
        match again(|| mkdirat(self.to.fd(), path(name), Mode::RWXU)) {
            Ok(()) => {
                become_like(&self.to.open(name)?, &held)?;
                held.make_writable()?;
                self.both(name, &held, Some(stamps_of(&now)))
            }
            Err(exists) if is(&exists, Errno::EXIST) && is(&error, Errno::EXIST) => self.both(name, &held, None),
            Err(_) => Err(error),
        }
    }

    /// Renames a directory to its place, with everything in it.
    fn whole(&self, name: &[u8], held: &Dir) -> io::Result<()> {
        let rename = || rename_free(&self.from, name, &self.to, name);
        match rename() {
            // The rename rewrites the `..` of the directory, which the mode of the directory may not allow.
            Err(error) if is(&error, Errno::ACCESS) => match held.make_writable()? {
                Some(mode) => {
                    let done = rename();
                    again(|| fchmod(held.fd(), Mode::from_raw_mode(mode)))?;
                    done?;
                }
                None => return Err(error),
            },
            done => done?,
        }
        if fstat(held.fd())?.st_mode & 0o7777 == CLOSED {
            again(|| fchmod(held.fd(), Mode::RWXU))?;
        }
        Ok(())
    }

    /// Returns [`Step::Both`] if the directory at the place may take the entries of the one in the trash.
    fn both(&self, name: &[u8], held: &Dir, stamps: Option<Timestamps>) -> io::Result<Step> {
        let there = match self.to.open(name) {
            Err(error) if is(&error, Errno::NOTDIR) => return Ok(Step::Occupied),
            done => done?,
        };
        let is_unknown = fstat(held.fd())?.st_mode & 0o7777 == CLOSED;
        let fits = if is_unknown { is_older(&there, held)? } else { there.opens_no_more_than(Some(held))? };
        // Without files nothing can be exposed: a killed run has made the directory and put nothing there.
        Ok(if fits || count(held)? == 0 { Step::Both(stamps) } else { Step::Occupied })
    }

    /// Records each file of a directory as staying in the trash, with the reason unless its place is taken.
    fn stays(&mut self, name: &[u8], error: Option<&io::Error>) -> io::Result<()> {
        let top = self.shown(name);
        let mut told = Vec::new();
        let listed = self.from.open(name).and_then(|held| {
            below(&held, &mut |visit| {
                if let Visit::Entry { path, name, .. } = visit {
                    let slash = if path.is_empty() { "" } else { "/" };
                    told.push(format!("{top}/{}{slash}{}", Shortened::path(path), Shortened::name(name)));
                }
                Ok(())
            })
        });
        if told.is_empty() {
            told.push(top);
        }
        match error {
            None => self.done.occupied.append(&mut told),
            Some(error) => self.done.failed.extend(told.iter().map(|path| format!("{path}: {error}"))),
        }
        if error.is_some() { Ok(()) } else { listed }
    }
}

/// Counts the files below a directory.
fn count(dir: &Dir) -> io::Result<u64> {
    let mut files = 0;
    below(dir, &mut |visit| {
        files += u64::from(matches!(visit, Visit::Entry { .. }));
        Ok(())
    })?;
    Ok(files)
}

/// Returns whether a directory was made no later than another, if the file system keeps birth times.
fn is_older(there: &Dir, other: &Dir) -> io::Result<bool> {
    let made = |dir: &Dir| dir.look_at_itself().map(|(_, found)| found.facts.stamps.created);
    Ok(made(there)?.zip(made(other)?).is_some_and(|(there, other)| there <= other))
}

fn stamps_of(stat: &rustix::fs::Stat) -> Timestamps {
    let time =
        |seconds: i64, nanoseconds: u64| Timespec { tv_sec: seconds, tv_nsec: i64::try_from(nanoseconds).unwrap_or(0) };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}
