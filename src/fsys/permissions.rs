//! Permissions and attributes of directories and files.

use std::ffi::CStr;
use std::io;
use std::os::fd::AsFd;

use rustix::fs::{AtFlags, Mode, StatxFlags, fchmod, fgetxattr_query, fremovexattr, fstat, statx};
use rustix::io::Errno;

use super::dir::{Dir, again, path};
use super::place::is;

/// Extended attributes of the ACL of a file or directory (acl(5)), and of the default ACL for entries made in a
/// directory.
const ACL: &CStr = c"system.posix_acl_access";
const DEFAULT_ACL: &CStr = c"system.posix_acl_default";

/// Returns whether a file may have an ACL; also true where the system cannot tell.
fn may_have_acl(handle: impl AsFd) -> bool {
    !matches!(fgetxattr_query(handle, ACL), Err(Errno::NODATA | Errno::OPNOTSUPP))
}

/// Returns the mode that a substitute for a file without the file's ACL may have. With an ACL the group bits are the
/// most that the ACL gives to anybody, and say nothing about the group.
pub(super) fn mode_without_acl(handle: impl AsFd, mode: u32) -> u32 {
    if may_have_acl(handle) { mode & !0o070 } else { mode }
}

/// Removes the ACLs that a file has inherited from the directory in which it was made.
///
/// # Errors
/// Fails with the kernel's error.
pub(super) fn drop_acls(handle: impl AsFd) -> io::Result<()> {
    for acl in [ACL, DEFAULT_ACL] {
        match fremovexattr(&handle, acl) {
            Err(Errno::NODATA | Errno::OPNOTSUPP) => {}
            done => done?,
        }
    }
    Ok(())
}

impl Dir {
    /// Returns whether this process may add and remove names in this directory, or may allow itself to because it owns
    /// the directory.
    ///
    /// # Errors
    /// Fails with the kernel's error.
    pub fn may_be_emptied(&self) -> io::Result<bool> {
        if fstat(self.fd())?.st_uid == rustix::process::geteuid().as_raw() {
            return Ok(true);
        }
        let access = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
        match again(|| rustix::fs::accessat(self.fd(), c".", access, AtFlags::EACCESS)) {
            Ok(()) => Ok(true),
            Err(error) if is(&error, Errno::ACCESS) || is(&error, Errno::PERM) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns whether the entry `name` has the sticky bit.
    ///
    /// # Errors
    /// Fails with the kernel's error.
    pub fn has_sticky_bit(&self, name: &[u8]) -> io::Result<bool> {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        let stat = again(|| statx(self.fd(), path(name), flags, StatxFlags::MODE))?;
        Ok(stat.stx_mode & 0o1000 != 0)
    }

    /// Returns whether nobody has any permission here, as in the work directories that the kernel makes for an overlay.
    ///
    /// # Errors
    /// Fails with the kernel's error.
    pub fn is_closed_to_all(&self) -> io::Result<bool> {
        Ok(fstat(self.fd())?.st_mode & 0o777 == 0)
    }

    /// Returns whether this directory protects the files of other users from this process (the sticky bit).
    ///
    /// # Errors
    /// Fails with the kernel's error.
    pub fn is_sticky_for_us(&self) -> io::Result<bool> {
        let stat = fstat(self.fd())?;
        let us = rustix::process::geteuid();
        Ok(stat.st_mode & 0o1000 != 0 && stat.st_uid != us.as_raw() && !us.is_root())
    }

    /// Returns whether this directory lets in nobody whom `other` keeps out: its owner is that of `other`, root or the
    /// janitor's user, and its mode gives nobody more. Without `other`, returns whether it is closed to everybody but
    /// its owner.
    ///
    /// # Errors
    /// Fails with the kernel's error.
    pub(super) fn opens_no_more_than(&self, other: Option<&Self>) -> io::Result<bool> {
        let now = fstat(self.fd())?;
        let then = other.map(|other| fstat(other.fd())).transpose()?;
        let us = [0, rustix::process::geteuid().as_raw()];
        let is_in_good_hands = us.contains(&now.st_uid) || then.is_some_and(|then| then.st_uid == now.st_uid);
        let mode = other.zip(then).map_or(0, |(other, then)| mode_without_acl(other.fd(), then.st_mode));
        let (group, rest) = (mode >> 3 & 7, mode & 7);
        // A member of one group, or a user in an ACL, may be anybody to the other directory.
        let is_same_group = then.is_some_and(|then| then.st_gid == now.st_gid) && !may_have_acl(self.fd());
        let (group, rest) = match is_same_group {
            true => (group, rest),
            false => (group & rest, group & rest),
        };
        let gives_more = (now.st_mode >> 3 & 7) & !group != 0 || (now.st_mode & 7) & !rest != 0;
        // Without the sticky bit, anybody who may write may also replace.
        let protects_less = mode & !now.st_mode & 0o1000 != 0 && now.st_mode & 0o022 != 0;
        Ok(is_in_good_hands && !gives_more && !protects_less)
    }

    /// Makes this directory writable for its owner, if that is us, and returns the earlier mode if it was changed. The
    /// sticky bit, which means nothing to the owner, marks that the change was ours.
    ///
    /// # Errors
    /// Fails with the kernel's error.
    pub fn make_writable(&self) -> io::Result<Option<u32>> {
        let stat = fstat(self.fd())?;
        let mode = stat.st_mode & 0o7777;
        if stat.st_uid != rustix::process::geteuid().as_raw() || mode & 0o300 == 0o300 {
            return Ok(None);
        }
        again(|| fchmod(self.fd(), Mode::from_raw_mode(mode | 0o1700)))?;
        Ok(Some(mode))
    }
}
