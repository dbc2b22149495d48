//! Directories that only the janitor's user can enter.

use std::io;
use std::ops::ControlFlow;

use rustix::fs::{Mode, fstat, mkdirat};
use rustix::io::Errno;

use super::dir::{Dir, ListingBuffer, again, path};
use super::place::{is, write_down};
use crate::names::Escaped;

fn is_private(dir: &Dir) -> io::Result<bool> {
    let stat = fstat(dir.fd())?;
    Ok(stat.st_uid == rustix::process::geteuid().as_raw() && stat.st_mode & 0o7777 == 0o700)
}

fn not_ours(name: &[u8]) -> io::Error {
    io::Error::other(format!("`{}` is not a private directory of the janitor's user; remove it", Escaped(name)))
}

/// Makes a directory that only we can enter, or opens the one that is there. It is refused if it is not that.
pub(super) fn private_directory(parent: &Dir, name: &[u8]) -> io::Result<Dir> {
    let made = match again(|| mkdirat(parent.fd(), path(name), Mode::RWXU)) {
        Ok(()) => true,
        Err(error) if is(&error, Errno::EXIST) => false,
        Err(error) => return Err(error),
    };
    let dir = open_private(parent, name)?;
    if made {
        write_down(parent)?;
    }
    Ok(dir)
}

/// Opens a directory, and refuses it if anybody else can enter it.
pub(super) fn open_private(parent: &Dir, name: &[u8]) -> io::Result<Dir> {
    let dir = parent.open(name).map_err(|error| {
        let odd = [Errno::LOOP, Errno::NOTDIR, Errno::XDEV, Errno::ACCESS];
        if odd.iter().any(|errno| is(&error, *errno)) { not_ours(name) } else { error }
    })?;
    if is_private(&dir)? { Ok(dir) } else { Err(not_ours(name)) }
}

impl Dir {
    /// Every name in it, for directories of our own that hold few.
    pub(super) fn names(&self) -> io::Result<Vec<Vec<u8>>> {
        let mut names = Vec::new();
        self.rewind()?;
        self.for_each(&mut ListingBuffer::new(), |entry| {
            names.push(entry.name.to_vec());
            ControlFlow::Continue(())
        })?;
        Ok(names)
    }
}
