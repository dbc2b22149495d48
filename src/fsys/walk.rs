//! The walk from `/`, by handle and name by name, to a directory or to the directory of a file.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, Mode, OFlags, Stat, fstat, mkdirat, openat, readlinkat};
use rustix::io::Errno;

use super::trust::{Breach, Denied, Fault, Purpose, Trust, Weight, stat_of};

/// Most symbolic links in one path: the limit of the kernel.
pub(super) const MAX_LINKS: usize = 40;

/// Components that a walk judges.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Symbolic links: for the root of a target, which may lie in a directory of others.
    Links,
    /// Everything: the rule of trust for the janitor's own files.
    Trust(Purpose),
}

/// The end of a walk.
#[derive(Debug)]
pub(super) struct Reached {
    /// The directory; the handle only names it (`O_PATH`).
    pub(super) at: OwnedFd,
    /// Path of the directory, with no symbolic link left in it.
    pub(super) path: PathBuf,
    /// Name of the file in the directory, for a walk to a file.
    pub(super) name: OsString,
    /// The directories that had to be made, outermost first.
    pub(super) created: Vec<PathBuf>,
    /// Breaches that are warnings.
    pub(super) warnings: Vec<Breach>,
}

pub(super) struct Walk<'a> {
    trust: &'a Trust,
    rule: Rule,
    /// Mode for missing directories that are made.
    make: Option<Mode>,
    /// The directory that has been reached.
    at: OwnedFd,
    path: PathBuf,
    /// Components still to be walked; `/` starts again at the root.
    todo: VecDeque<OsString>,
    /// Name of the file at which the walk to a file ended.
    name: Option<OsString>,
    links: usize,
    created: Vec<PathBuf>,
    warnings: Vec<Breach>,
    /// Breaches that are warnings if the last directory is ours alone.
    doubts: Vec<Breach>,
}

fn open_slash() -> Result<OwnedFd, Denied> {
    openat(rustix::fs::CWD, c"/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| Denied::Io("/".into(), error.into()))
}

fn steps(path: &Path) -> impl DoubleEndedIterator<Item = OsString> {
    path.components().filter(|part| !matches!(part, Component::CurDir)).map(|part| part.as_os_str().to_owned())
}

impl<'a> Walk<'a> {
    /// Walks to the directory at `path`, which is absolute. With `make`, missing directories are made.
    pub(super) fn to_directory(
        path: &Path,
        rule: Rule,
        trust: &'a Trust,
        make: Option<Mode>,
    ) -> Result<Reached, Denied> {
        let mut walk = Self::begin(path, rule, trust, make)?;
        while let Some(step) = walk.todo.pop_front() {
            walk.step(&step, false)?;
        }
        walk.end()
    }

    /// Walks to the directory of the file at `path`, which is absolute. A symbolic link at the end of the path is
    /// followed, too. The file itself need not exist.
    pub(super) fn to_file(path: &Path, rule: Rule, trust: &'a Trust, make: Option<Mode>) -> Result<Reached, Denied> {
        let mut walk = Self::begin(path, rule, trust, make)?;
        while let Some(step) = walk.todo.pop_front() {
            let is_last = walk.todo.is_empty();
            walk.step(&step, is_last)?;
        }
        if walk.name.is_none() {
            return Err(Denied::NotRegular(walk.path));
        }
        walk.end()
    }

    fn begin(path: &Path, rule: Rule, trust: &'a Trust, make: Option<Mode>) -> Result<Self, Denied> {
        if !path.is_absolute() {
            return Err(Denied::Io(path.into(), Errno::INVAL.into()));
        }
        Ok(Self {
            trust,
            rule,
            make,
            at: open_slash()?,
            path: "/".into(),
            todo: steps(path).collect(),
            name: None,
            links: 0,
            created: Vec::new(),
            warnings: Vec::new(),
            doubts: Vec::new(),
        })
    }

    /// Walks one component on. With `is_file`, the component is the name of the file.
    fn step(&mut self, step: &OsStr, is_file: bool) -> Result<(), Denied> {
        if step == "/" {
            self.at = open_slash()?;
            self.path = "/".into();
            return Ok(());
        }
        let here = self.path.join(step);
        let failed = |error: Errno| Denied::Io(here.clone(), error.into());
        if !is_file {
            self.judge_way()?;
        }
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let next = match openat(&self.at, step, flags, Mode::empty()) {
            Err(Errno::NOENT) if is_file => {
                self.name = Some(step.into());
                return Ok(());
            }
            // Nothing is made above a target's directory: the missing directory may be a file system that is not
            // mounted.
            Err(Errno::NOENT) if self.rule == Rule::Links && !self.todo.is_empty() => {
                return Err(Denied::MissingParent(here));
            }
            Err(Errno::NOENT) => self.make(step, &here, flags)?,
            other => other.map_err(failed)?,
        };
        let stat = fstat(&next).map_err(failed)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => self.follow(&next, &stat, &here)?,
            _ if is_file && step != ".." => self.name = Some(step.into()),
            FileType::Directory if step == ".." => {
                self.at = next;
                self.path.pop();
            }
            FileType::Directory => {
                self.at = next;
                self.path = here;
            }
            _ => return Err(failed(Errno::NOTDIR)),
        }
        Ok(())
    }

    fn make(&mut self, step: &OsStr, here: &Path, flags: OFlags) -> Result<OwnedFd, Denied> {
        let failed = |error: Errno| Denied::Io(here.into(), error.into());
        let Some(mode) = self.make else { return Err(Denied::Missing(here.into())) };
        match mkdirat(&self.at, step, mode) {
            Ok(()) => self.created.push(here.into()),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(failed(error)),
        }
        openat(&self.at, step, flags, Mode::empty()).map_err(failed)
    }

    /// Puts the components of a symbolic link's target before those still to be walked.
    fn follow(&mut self, link: &OwnedFd, stat: &Stat, here: &Path) -> Result<(), Denied> {
        let failed = |error: Errno| Denied::Io(here.into(), error.into());
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(failed(Errno::LOOP));
        }
        let directory = fstat(&self.at).map_err(failed)?;
        if !self.trust.is_safe_link(stat, &self.at, &directory) {
            self.note(Breach::new(here, stat, Fault::Link))?;
        }
        let target = readlinkat(link, c"", Vec::new()).map_err(failed)?;
        let target = PathBuf::from(OsString::from_vec(target.into_bytes()));
        for step in steps(&target).rev() {
            self.todo.push_front(step);
        }
        Ok(())
    }

    /// Returns a breach as an error, or keeps it as a warning.
    fn note(&mut self, breach: Breach) -> Result<(), Denied> {
        match self.rule {
            Rule::Trust(purpose) if self.trust.is_lenient(purpose) => self.warnings.push(breach),
            _ => return Err(Denied::Breach(Box::new(breach))),
        }
        Ok(())
    }

    /// Judges the current directory as one on the way.
    fn judge_way(&mut self) -> Result<(), Denied> {
        if self.rule == Rule::Links {
            return Ok(());
        }
        let stat = stat_of(&self.at, &self.path)?;
        let Some((fault, weight)) = self.trust.judge_way(&self.at, &stat) else { return Ok(()) };
        let breach = Breach::new(&self.path, &stat, fault);
        match weight {
            Weight::Breach => self.note(breach),
            Weight::WarningIfLastIsOurs => {
                self.doubts.push(breach);
                Ok(())
            }
        }
    }

    fn end(mut self) -> Result<Reached, Denied> {
        if self.rule != Rule::Links {
            let stat = stat_of(&self.at, &self.path)?;
            match self.trust.judge(&self.at, &stat) {
                None => self.warnings.append(&mut self.doubts),
                Some(fault) => {
                    for doubt in std::mem::take(&mut self.doubts) {
                        self.note(doubt)?;
                    }
                    self.note(Breach::new(&self.path, &stat, fault))?;
                }
            }
        }
        self.warnings.dedup();
        let Self { at, path, created, warnings, name, .. } = self;
        Ok(Reached { at, path, name: name.unwrap_or_default(), created, warnings })
    }
}
