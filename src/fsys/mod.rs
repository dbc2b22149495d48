//! Every system call on a target (being written).

use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, StatxFlags, makedev, statx};

use crate::entry::Identity;

/// Which inode a path leads to, links followed; `None` when nothing is there.
///
/// # Errors
/// When the path cannot be looked at.
pub fn identity(path: &Path) -> io::Result<Option<Identity>> {
    match statx(CWD, path, AtFlags::empty(), StatxFlags::INO) {
        Ok(found) => {
            Ok(Some(Identity { device: makedev(found.stx_dev_major, found.stx_dev_minor), inode: found.stx_ino }))
        }
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error.into()),
    }
}
