//! Copies of whole directories to another file system.
//!
//! A copy grows as [`INSIDE`] in a private directory of the destination, `.janitor-move-whole-…`, which is locked
//! meanwhile. The copy is renamed out of there, to its name, only when all of it is on the disk. So a copy in such a
//! directory has never had a name, and its source is still in place: the next run removes copies left by a killed one
//! ([`Destination::remove_whole_left_over`]). The owner of the destination can give any directory in it such a name,
//! but can make nothing inside a directory that is closed to him. So a directory that holds anything else is no copy,
//! and stays.

use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Mode, Stat, StatxFlags, Timespec, Timestamps, fstat, futimens};
use rustix::fs::{mkdirat, statx};
use rustix::io::Errno;

use super::copy;
use super::dir::{Dir, ListingBuffer, again, path};
use super::permissions::mode_without_acl;
use super::pin::{Pinned, identity_at};
use super::place::{is, under_a_free_name, write_down};
use super::private::open_private;
use super::refusal::Refusal;
use super::transfer::{Destination, GoOn};
use super::tree::{below, remove};
use super::way::Way;
use super::whole_slot::rename_free;
use crate::entry::Kind;
use crate::names::Escaped;

/// Prefix of the temporary name of a copy.
const TEMPORARY: &[u8] = b".janitor-move-whole-";

/// Name of the copy in the private directory, and its only entry.
const INSIDE: &[u8] = b".janitor-copy";

/// A copy of a whole directory that has no name of its own yet. The copy is removed when this is dropped.
#[derive(Debug)]
pub struct WholeCopy<'a> {
    to: &'a Destination,
    /// Name of the directory in which the copy grows.
    name: Vec<u8>,
    /// Directory in which the copy grows.
    around: Dir,
    dir: Dir,
    /// Metadata of the source when the copy was started: the source may be made writable later, to be taken aside.
    source: Stat,
    is_placed: bool,
}

/// Maps a refusal to the error of the copy.
fn error_of(refusal: Refusal) -> io::Error {
    match refusal {
        Refusal::Failed(error) | Refusal::Unverifiable(error) => error,
        Refusal::Stopped => io::Error::other("the run was stopped"),
        Refusal::InUse | Refusal::Locked | Refusal::Changed | Refusal::Conflict(_) => Errno::STALE.into(),
    }
}

fn mount_of(dir: &Dir) -> io::Result<u64> {
    again(|| statx(dir.fd(), c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)).map(|stat| stat.stx_mnt_id)
}

/// Gives a copy of a directory the owner, mode and stamps of its source.
fn like(copy: &Dir, source: &Stat) -> io::Result<()> {
    copy::become_its(copy.fd(), (source.st_uid, source.st_gid), source.st_mode & 0o1777)?;
    let time =
        |seconds: i64, nanoseconds: u64| Timespec { tv_sec: seconds, tv_nsec: i64::try_from(nanoseconds).unwrap_or(0) };
    let times = Timestamps {
        last_access: time(source.st_atime, source.st_atime_nsec),
        last_modification: time(source.st_mtime, source.st_mtime_nsec),
    };
    futimens(copy.fd(), &times)?;
    write_down(copy)
}

impl Destination {
    /// Returns whether a directory cannot be renamed to this destination, so that its contents have to be copied.
    ///
    /// # Errors
    /// Fails with the kernel's error.
    pub fn is_apart_from(&self, dir: &Dir) -> io::Result<bool> {
        let (there, here) = (dir.look_at_itself()?.0, self.dir().look_at_itself()?.0);
        Ok(there.device != here.device || mount_of(dir)? != mount_of(self.dir())?)
    }

    /// Copies the directory with everything in it, `need` bytes at least. The copy is not started where it cannot fit.
    /// `go_on` is called again and again. The source is read by its handle, wherever its name goes meanwhile; the
    /// caller makes sure that nothing in it has changed.
    ///
    /// # Errors
    /// `EXDEV` when the source holds a FIFO, socket, device or mount point; any error of `go_on` and of the kernel.
    /// Nothing is left of the copy then.
    pub fn copy_whole(&self, source: &Dir, need: u64, go_on: GoOn<'_>) -> io::Result<WholeCopy<'_>> {
        copy::fits(need, self.dir())?;
        let mut about = fstat(source.fd())?;
        about.st_mode = mode_without_acl(source.fd(), about.st_mode);
        let copy = self.begin_whole(about)?;
        copy.fill(source, go_on)?;
        Ok(copy)
    }

    fn begin_whole(&self, source: Stat) -> io::Result<WholeCopy<'_>> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed).to_string();
            let name = [TEMPORARY, std::process::id().to_string().as_bytes(), b"-", number.as_bytes()].concat();
            match again(|| mkdirat(self.dir().fd(), path(&name), Mode::RWXU)) {
                // A copy of this name was left over by a janitor that had the same process id.
                Err(error) if is(&error, Errno::EXIST) => continue,
                done => done?,
            }
            match begin_in(self.dir(), &name) {
                Ok(Some((around, dir))) => {
                    return Ok(WholeCopy { to: self, name, around, dir, source, is_placed: false });
                }
                Ok(None) => {}
                Err(error) => {
                    drop(self.dir().remove_directory(&name));
                    return Err(error);
                }
            }
        }
    }

    /// Removes the unfinished copies of whole directories that killed runs have left here. Returns their names,
    /// escaped.
    ///
    /// # Errors
    /// Fails with the system's error; copies that could be removed are gone all the same.
    pub fn remove_whole_left_over(&self) -> io::Result<Vec<String>> {
        let mut removed = Vec::new();
        let mut failed = None;
        for name in self.dir().names_that(|name| name.starts_with(TEMPORARY))? {
            match remove_left_over(self.dir(), &name) {
                Ok(true) => removed.push(Escaped(&name).to_string()),
                Ok(false) => {}
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        failed.map_or(Ok(removed), Err)
    }
}

/// Starts a copy in a directory that was just made. Returns `None` when another process takes the directory for a
/// left-over copy.
fn begin_in(top: &Dir, name: &[u8]) -> io::Result<Option<(Dir, Dir)>> {
    let around = open_private(top, name)?;
    if !around.try_lock()? {
        return Ok(None);
    }
    if !around.names()?.is_empty() {
        return Err(io::Error::other("somebody has replaced the copy in the destination"));
    }
    match again(|| mkdirat(around.fd(), path(INSIDE), Mode::RWXU)) {
        // The directory was removed before it was locked.
        Err(error) if is(&error, Errno::NOENT) => return Ok(None),
        done => done?,
    }
    let dir = open_private(&around, INSIDE)?;
    Ok(Some((around, dir)))
}

/// Removes one copy left by a killed run. Returns whether the directory was such a copy.
fn remove_left_over(top: &Dir, name: &[u8]) -> io::Result<bool> {
    // Directories that are not ours alone, or locked by another process at work, stay.
    let Ok(around) = open_private(top, name) else { return Ok(false) };
    if !around.try_lock()? {
        return Ok(false);
    }
    match around.names()?.as_slice() {
        // Anybody who can rename an empty directory can remove it as well.
        [] => {}
        [only] if only == INSIDE => {
            clear(&open_private(&around, INSIDE)?)?;
            around.remove_directory(INSIDE)?;
        }
        _ => return Ok(false),
    }
    top.remove_directory(name)?;
    Ok(true)
}

/// Removes everything in a directory of ours.
fn clear(dir: &Dir) -> io::Result<()> {
    below(dir, &mut |visit| remove(&visit))
}

impl WholeCopy<'_> {
    fn open(&self, relative: &[u8]) -> io::Result<Dir> {
        if relative.is_empty() { self.dir.open(b".") } else { self.dir.open_beneath(relative) }
    }

    fn copy(&self, source: &Pinned, into: &Dir, name: &[u8], go_on: GoOn<'_>) -> io::Result<()> {
        copy::make(source, self.to, into, go_on).map_err(error_of)?.place(name).map(drop)
    }

    fn fill(&self, source: &Dir, go_on: GoOn<'_>) -> io::Result<()> {
        // Directories that wait, each with whether its contents are copied already.
        let mut waiting = vec![(Way::default(), false)];
        while let Some((way, is_full)) = waiting.pop() {
            let relative = way.path();
            go_on().map_err(error_of)?;
            let from = if relative.is_empty() { source.open(b".")? } else { source.open_beneath(&relative)? };
            let into = self.open(&relative)?;
            if is_full {
                // The copy itself stays private until it has its name.
                if !relative.is_empty() {
                    like(&into, &fstat(from.fd())?)?;
                }
                continue;
            }
            waiting.push((way.clone(), true));
            let mut names = Vec::new();
            from.for_each(&mut ListingBuffer::new(), |entry| {
                names.push(entry.name.to_vec());
                ControlFlow::Continue(())
            })?;
            for name in names {
                go_on().map_err(error_of)?;
                let pinned = Pinned::at(&from, &name)?;
                if pinned.found().mount_point {
                    return Err(Errno::XDEV.into());
                }
                match pinned.found().kind {
                    Kind::Directory => {
                        again(|| mkdirat(into.fd(), path(&name), Mode::RWXU))?;
                        waiting.push((way.to(&name), false));
                    }
                    Kind::File => {
                        let opened = Pinned::open(&from, &name).map_err(error_of)?;
                        opened.expect(&pinned.found().facts)?;
                        self.copy(&opened, &into, &name, go_on)?;
                    }
                    Kind::Symlink => self.copy(&pinned, &into, &name, go_on)?,
                    Kind::Special => return Err(Errno::XDEV.into()),
                }
            }
        }
        Ok(())
    }

    /// Gives the copy the first free name like `name`, makes it like its source, and writes it to the disk.
    ///
    /// # Errors
    /// Fails with the kernel's error, or when somebody has replaced the copy in the destination.
    pub fn place(mut self, name: &[u8]) -> io::Result<()> {
        let to = self.to.dir();
        let placed = under_a_free_name(name, |free| rename_free(&self.around, INSIDE, to, free))?;
        // From here on the copy has a name of its own, and must not be removed.
        self.is_placed = true;
        if identity_at(to, &placed)? != self.dir.look_at_itself()?.0 {
            return Err(io::Error::other("somebody has replaced the copy in the destination"));
        }
        like(&self.dir, &self.source)?;
        write_down(to)
    }
}

impl Drop for WholeCopy<'_> {
    fn drop(&mut self) {
        if !self.is_placed && clear(&self.dir).is_ok() {
            drop(self.around.remove_directory(INSIDE));
        }
        // The next run removes the copy if this fails.
        drop(self.to.dir().remove_directory(&self.name));
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::fsys::resolve;

    #[test]
    fn a_copy_has_all_that_is_in_its_source_and_one_that_is_not_finished_leaves_nothing() {
        let here = tempfile::tempdir().expect("a temporary directory");
        let Some(there) = crate::needs::another_file_system(here.path()) else { return };
        let unit = here.path().join("unit");
        fs::create_dir_all(unit.join("deep/empty")).expect("made");
        fs::write(unit.join("deep/file"), "text").expect("written");
        std::os::unix::fs::symlink("deep/file", unit.join("link")).expect("made");
        fs::set_permissions(unit.join("deep"), fs::Permissions::from_mode(0o555)).expect("ours");
        let source = resolve(&unit, false).expect("it exists").dir;
        let to = Destination::open(&there.path().canonicalize().expect("it exists")).expect("it exists");
        assert!(to.is_apart_from(&source).expect("both are there"));
        let count = || fs::read_dir(there.path()).expect("readable").count();
        let stops = || Err(Refusal::Stopped);
        assert!(to.copy_whole(&source, 0, &stops).is_err());
        let made = fs::metadata(there.path()).expect("there").modified().expect("known");
        let error = to.copy_whole(&source, u64::MAX / 2, &|| Ok(())).expect_err("no disk is so large");
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{error}");
        assert_eq!(fs::metadata(there.path()).expect("there").modified().expect("known"), made, "it was not begun");
        drop(to.copy_whole(&source, 0, &|| Ok(())).expect("there is room"));
        assert_eq!(count(), 0);
        let whole = to.copy_whole(&source, 0, &|| Ok(())).expect("there is room");
        let mode = fs::metadata(&unit).expect("there").permissions();
        // As it may be once it is aside.
        fs::set_permissions(&unit, fs::Permissions::from_mode(0o1777)).expect("ours");
        whole.place(b"unit").expect("free");
        assert_eq!(fs::metadata(there.path().join("unit")).expect("there").permissions(), mode);
        let copy = there.path().join("unit");
        assert_eq!(fs::read_to_string(copy.join("link")).expect("all there"), "text");
        assert!(copy.join("deep/empty").is_dir());
        assert_eq!(fs::metadata(copy.join("deep")).expect("there").permissions().mode() & 0o7777, 0o555);
        assert_eq!(count(), 1);
        for path in [copy, unit] {
            fs::set_permissions(path.join("deep"), fs::Permissions::from_mode(0o755)).expect("ours");
        }
    }

    #[test]
    fn what_a_killed_copy_has_left_goes_and_what_is_only_called_so_or_is_at_work_stays() {
        let yard = tempfile::tempdir().expect("a temporary directory");
        let (here, there) = (yard.path().join("here"), yard.path().join("there"));
        for directory in [&here, &there] {
            fs::create_dir(directory).expect("made");
        }
        let source = resolve(&here, false).expect("it exists").dir;
        let to = Destination::open(&there.canonicalize().expect("it exists")).expect("it exists");
        let make = |name: &str, inside: &[&str]| {
            let top = there.join(format!(".janitor-move-whole-1-{name}"));
            for path in inside {
                fs::create_dir_all(top.join(path)).expect("made");
            }
            for path in inside.iter().chain([&""]) {
                fs::set_permissions(top.join(path), fs::Permissions::from_mode(0o700)).expect("ours");
            }
        };
        make("killed", &[".janitor-copy", ".janitor-copy/sub"]);
        make("begun", &[""]);
        // Directories that were archived, and renamed there by the owner of the destination.
        make("archived", &["sub"]);
        make("more", &[".janitor-copy", "sub"]);
        let at_work = to.copy_whole(&source, 0, &|| Ok(())).expect("there is room");
        let mut removed = to.remove_whole_left_over().expect("ours");
        removed.sort();
        assert_eq!(removed, [".janitor-move-whole-1-begun", ".janitor-move-whole-1-killed"]);
        drop(at_work);
        let mut left: Vec<_> =
            fs::read_dir(&there).expect("readable").map(|entry| entry.expect("ours").file_name()).collect();
        left.sort();
        assert_eq!(left, [".janitor-move-whole-1-archived", ".janitor-move-whole-1-more"]);
        assert!(there.join(".janitor-move-whole-1-archived/sub").is_dir());
    }
}
