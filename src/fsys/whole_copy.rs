//! Copies of whole directories, to another file system.
//!
//! A copy grows in a private directory of the destination, `.janitor-move-whole-…`, which is held locked. Only when all of
//! it is on the disk does it get its name. What a run that was killed has left of one is removed by the next
//! ([`Destination::remove_whole_left_over`]).

use std::io;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{AtFlags, Gid, Mode, Stat, StatxFlags, Timespec, Timestamps, Uid, fchmod, fchown, fstat, futimens};
use rustix::fs::{mkdirat, statx};
use rustix::io::Errno;

use super::copy;
use super::dir::{Dir, ListingBuffer, again, path};
use super::pin::{Pinned, identity_at};
use super::place::{is, rename_to, under_a_free_name, write_down};
use super::refusal::Refusal;
use super::transfer::{Destination, GoOn};
use super::tree::{Visit, below};
use super::way::Way;
use crate::entry::Kind;

/// What the name of a copy begins with while it grows.
const TEMPORARY: &[u8] = b".janitor-move-whole-";

/// A copy of a whole directory that has no name of its own yet. Dropped, it is removed.
#[derive(Debug)]
pub struct WholeCopy<'a> {
    to: &'a Destination,
    name: Vec<u8>,
    dir: Dir,
    is_placed: bool,
}

/// Returns the error of a copy that was not made.
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
    // One without the other is better than neither, as with files.
    fchown(copy.fd(), None, Some(Gid::from_raw(source.st_gid))).ok();
    fchown(copy.fd(), Some(Uid::from_raw(source.st_uid)), None).ok();
    match fchmod(copy.fd(), Mode::from_raw_mode(source.st_mode & 0o1777)) {
        // The copy is ours, so this is a file system without permissions, such as FAT.
        Err(Errno::PERM | Errno::OPNOTSUPP) => {}
        done => done?,
    }
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
    /// Whether a directory cannot be renamed to here, so that all in it has to be copied.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn is_apart_from(&self, dir: &Dir) -> io::Result<bool> {
        let (there, here) = (dir.look_at_itself()?.0, self.dir().look_at_itself()?.0);
        Ok(there.device != here.device || mount_of(dir)? != mount_of(self.dir())?)
    }

    /// Copies the directory with all that is in it; `go_on` is asked again and again. It is read by its handle, wherever
    /// its name goes meanwhile; who calls this makes sure that nothing in it has changed.
    ///
    /// # Errors
    /// `EXDEV` when a FIFO, socket, device or mount point is in it; what `go_on` and the kernel say. Then nothing is left.
    pub fn copy_whole(&self, source: &Dir, go_on: GoOn<'_>) -> io::Result<WholeCopy<'_>> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let (name, dir) = loop {
            let number = NUMBER.fetch_add(1, Ordering::Relaxed).to_string();
            let name = [TEMPORARY, std::process::id().to_string().as_bytes(), b"-", number.as_bytes()].concat();
            match again(|| mkdirat(self.dir().fd(), path(&name), Mode::RWXU)) {
                // Left over from a janitor that had the same process id.
                Err(error) if is(&error, Errno::EXIST) => {}
                done => {
                    done?;
                    break (name.clone(), super::private::open_private(self.dir(), &name)?);
                }
            }
        };
        let copy = WholeCopy { to: self, name, dir, is_placed: false };
        copy.dir.try_lock()?;
        copy.fill(source, go_on)?;
        Ok(copy)
    }

    /// Removes what copies of whole directories that were killed have left here.
    ///
    /// # Errors
    /// What the system says.
    pub fn remove_whole_left_over(&self) -> io::Result<()> {
        let mut names = Vec::new();
        self.dir().open(b".")?.for_each(&mut ListingBuffer::new(), |entry| {
            if entry.name.starts_with(TEMPORARY) {
                names.push(entry.name.to_vec());
            }
            ControlFlow::Continue(())
        })?;
        for name in names {
            // What is not ours alone, or held by another process that is at work, stays.
            let Ok(dir) = super::private::open_private(self.dir(), &name) else { continue };
            if dir.try_lock()? {
                clear(&dir)?;
                self.dir().remove_directory(&name)?;
            }
        }
        Ok(())
    }
}

/// Removes all that is in a directory of ours.
fn clear(dir: &Dir) -> io::Result<()> {
    below(dir, &mut |visit| match visit {
        Visit::Entry { dir, name, .. } => match dir.remove(name) {
            Err(error) if is(&error, Errno::ACCESS) && dir.make_writable()?.is_some() => dir.remove(name),
            done => done,
        },
        Visit::Left { parent, name } => match parent.remove_directory(name) {
            Err(error) if is(&error, Errno::ACCESS) && parent.make_writable()?.is_some() => {
                parent.remove_directory(name)
            }
            done => done,
        },
    })
}

impl WholeCopy<'_> {
    fn open(&self, relative: &[u8]) -> io::Result<Dir> {
        if relative.is_empty() { self.dir.open(b".") } else { self.dir.open_beneath(relative) }
    }

    fn copy(&self, source: &Pinned, into: &Dir, name: &[u8], go_on: GoOn<'_>) -> io::Result<()> {
        copy::make(source, self.to, into, go_on).map_err(error_of)?.place(name).map(drop)
    }

    fn fill(&self, source: &Dir, go_on: GoOn<'_>) -> io::Result<()> {
        // What waits, and whether what is in it is copied already.
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

    /// Gives the copy the first free name like this one and makes it like its source, on the disk.
    ///
    /// # Errors
    /// What the kernel says, or that somebody has replaced it in the destination.
    pub fn place(mut self, name: &[u8], source: &Dir) -> io::Result<()> {
        let to = self.to.dir();
        let placed = under_a_free_name(name, |free| rename_to(to, &self.name, to, free))?;
        // From here on it has a name of its own, and is nobody's to remove.
        self.is_placed = true;
        if identity_at(to, &placed)? != self.dir.look_at_itself()?.0 {
            return Err(io::Error::other("somebody has replaced the copy in the destination"));
        }
        like(&self.dir, &fstat(source.fd())?)?;
        write_down(to)
    }
}

impl Drop for WholeCopy<'_> {
    fn drop(&mut self) {
        if !self.is_placed && clear(&self.dir).is_ok() {
            // What cannot be removed now is by the next run.
            drop(self.to.dir().remove_directory(&self.name));
        }
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
        assert!(to.copy_whole(&source, &stops).is_err());
        drop(to.copy_whole(&source, &|| Ok(())).expect("there is room"));
        assert_eq!(count(), 0);
        to.copy_whole(&source, &|| Ok(())).expect("there is room").place(b"unit", &source).expect("free");
        let copy = there.path().join("unit");
        assert_eq!(fs::read_to_string(copy.join("link")).expect("all there"), "text");
        assert!(copy.join("deep/empty").is_dir());
        assert_eq!(fs::metadata(copy.join("deep")).expect("there").permissions().mode() & 0o7777, 0o555);
        // What a killed run has left goes; what is held by a run at work does not.
        let left = there.path().join(".janitor-move-whole-1-1");
        fs::create_dir_all(left.join("sub")).expect("made");
        fs::set_permissions(&left, fs::Permissions::from_mode(0o700)).expect("ours");
        let at_work = to.copy_whole(&source, &|| Ok(())).expect("there is room");
        to.remove_whole_left_over().expect("ours");
        assert_eq!((left.exists(), count()), (false, 2));
        drop(at_work);
        for path in [copy, unit] {
            fs::set_permissions(path.join("deep"), fs::Permissions::from_mode(0o755)).expect("ours");
        }
    }
}
