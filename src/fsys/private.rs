//! Directories that only the janitor's user can enter.

use std::io;
use std::ops::ControlFlow;

use rustix::fs::{AtFlags, FileType, Mode, fstat, mkdirat, statat};
use rustix::io::Errno;

use super::dir::{Dir, ListingBuffer, again, path};
use super::place::{is, write_down};
use super::users;
use crate::names::Escaped;

fn is_private(dir: &Dir) -> io::Result<bool> {
    let stat = fstat(dir.fd())?;
    Ok(stat.st_uid == rustix::process::geteuid().as_raw() && stat.st_mode & 0o7777 == 0o700)
}

/// Returns the error of a refused directory, with the reason and the remedy. The directory may hold files that are to
/// be put back, so the remedy is never to remove it.
fn not_ours(parent: &Dir, name: &[u8]) -> io::Error {
    let us = rustix::process::geteuid().as_raw();
    let stat = again(|| statat(parent.fd(), path(name), AtFlags::SYMLINK_NOFOLLOW));
    let why = match stat {
        Ok(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::Directory => {
            "is no directory; move it away".to_owned()
        }
        Ok(stat) if stat.st_uid != us => {
            let (owner, us) = (users::sudo_user(stat.st_uid), users::sudo_user(us));
            format!(
                "belongs to `{owner}`, and not to `{us}`, as whom janitor runs here; what it holds can still be put back: \
                 run janitor as `{owner}` again, or put it back as `{owner}` first"
            )
        }
        Ok(stat) => {
            let mode = stat.st_mode & 0o7777;
            format!(
                "is not private, others can enter it (mode {mode:04o}); see that nobody has changed what it holds, and `chmod 700` it"
            )
        }
        Err(error) => format!("cannot be looked at: {error}"),
    };
    io::Error::other(format!("`{}` {why}", Escaped(name)))
}

/// Returns whether this is the error of a directory that exists and is not private.
pub(super) fn is_foreign(error: &io::Error) -> bool {
    error.raw_os_error().is_none()
}

/// Makes a directory that only we can enter, or opens the one that is there, which is refused unless it is private.
pub(super) fn private_directory(parent: &Dir, name: &[u8]) -> io::Result<Dir> {
    let (dir, made) = make_private(parent, name)?;
    if made {
        write_down(parent)?;
    }
    Ok(dir)
}

/// Works like [`private_directory`], without writing it to the disk. Also returns whether the directory was made.
pub(super) fn make_private(parent: &Dir, name: &[u8]) -> io::Result<(Dir, bool)> {
    let made = match again(|| mkdirat(parent.fd(), path(name), Mode::RWXU)) {
        Ok(()) => true,
        Err(error) if is(&error, Errno::EXIST) => false,
        Err(error) => return Err(error),
    };
    Ok((open_private(parent, name)?, made))
}

/// Opens a directory, and refuses it if anybody else can enter it.
pub(super) fn open_private(parent: &Dir, name: &[u8]) -> io::Result<Dir> {
    let dir = parent.open(name).map_err(|error| {
        let odd = [Errno::LOOP, Errno::NOTDIR, Errno::XDEV, Errno::ACCESS];
        if odd.iter().any(|errno| is(&error, *errno)) { not_ours(parent, name) } else { error }
    })?;
    if is_private(&dir)? { Ok(dir) } else { Err(not_ours(parent, name)) }
}

impl Dir {
    /// Returns every name in the directory. For directories of our own, which hold few.
    pub(super) fn names(&self) -> io::Result<Vec<Vec<u8>>> {
        self.names_that(|_| true)
    }

    /// Checks that the directory is empty.
    ///
    /// # Errors
    /// `ENOTEMPTY` when it is not, and any other kernel error.
    pub fn expect_empty(&self) -> io::Result<()> {
        if self.names()?.is_empty() { Ok(()) } else { Err(Errno::NOTEMPTY.into()) }
    }

    /// Returns every wanted name in the directory.
    pub(super) fn names_that(&self, is_wanted: impl Fn(&[u8]) -> bool) -> io::Result<Vec<Vec<u8>>> {
        let mut names = Vec::new();
        // Reading has a handle of its own: others may be reading this one.
        let dir = self.open(b".")?;
        dir.for_each(&mut ListingBuffer::new(), |entry| {
            if is_wanted(entry.name) {
                names.push(entry.name.to_vec());
            }
            ControlFlow::Continue(())
        })?;
        Ok(names)
    }
}
