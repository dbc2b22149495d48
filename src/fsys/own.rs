//! The janitor's own files: rotating and pruning its log.

use std::ffi::OsStr;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, RenameFlags, openat, renameat_with, unlinkat};

fn open(directory: &Path) -> io::Result<OwnedFd> {
    Ok(openat(CWD, directory, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Renames a file within a directory, and never over another.
///
/// # Errors
/// `AlreadyExists` when the name is taken, and what else the system says.
pub fn rename_own(directory: &Path, from: &OsStr, to: &OsStr) -> io::Result<()> {
    let directory = open(directory)?;
    Ok(renameat_with(&directory, from, &directory, to, RenameFlags::NOREPLACE)?)
}

/// Removes a file in a directory.
///
/// # Errors
/// What the system says.
pub fn remove_own(directory: &Path, name: &OsStr) -> io::Result<()> {
    Ok(unlinkat(open(directory)?, name, AtFlags::empty())?)
}
