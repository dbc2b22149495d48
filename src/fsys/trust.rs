//! The rule of trust for every file that janitor opens for itself: config, log, state, token, socket.
//!
//! The file and its directory belong to root or the janitor's user, and only they can write there. On the way to the
//! directory nobody else can replace anything: each directory belongs to root or the janitor's user, and is writable by
//! them alone or sticky. A group counts as others, unless it is root's or holds nobody but the user (`fsys::users`). A
//! directory on a read-only mount counts as one that nobody can write. The walk is in `fsys::walk`; the operations on
//! files that pass are in `fsys::private_files`.

use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::OnceLock;

use rustix::fs::{Mode, Stat, StatVfsMountFlags, fstat, fstatvfs, getxattr};
use rustix::io::Errno;

use super::users;
use crate::names::Escaped;

/// Lowest group of users: lower numbers belong to the system, by login.defs(5).
const FIRST_USER_GROUP: u32 = 1000;

/// An additional trusted owner (`--trust-owner UID[:GID]`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Owner {
    /// The user.
    pub uid: u32,
    /// A group that may write, too.
    pub gid: Option<u32>,
}

impl FromStr for Owner {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = |text: &str| -> Result<u32, Self::Err> {
            let digits = text.bytes().all(|byte| byte.is_ascii_digit());
            // The last number means "no id" in chown(2).
            let id = text.parse().ok().filter(|id| digits && *id != u32::MAX);
            id.ok_or("write numbers, UID or UID:GID, as in 1000:1000")
        };
        let (uid, gid) = text.split_once(':').map_or((text, None), |(uid, gid)| (uid, Some(gid)));
        Ok(Self { uid: number(uid)?, gid: gid.map(number).transpose()? })
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.uid)?;
        self.gid.map_or(Ok(()), |gid| write!(out, ":{gid}"))
    }
}

/// Owner named on the command line.
static EXTRA: OnceLock<Option<Owner>> = OnceLock::new();

/// Trusts an additional owner from here on, in the whole process. Has to be called before [`Trust::of_process`]; only
/// the first call counts.
pub fn trust_owner(owner: Option<Owner>) {
    EXTRA.get_or_init(|| owner);
}

/// Purpose of a file. For an ordinary user, a breach of the rule is only a warning where the file is a config or a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The config, or one of its drop-ins.
    Config,
    /// The log and its rotated files.
    Log,
    /// The state directory and its contents.
    State,
    /// The bearer token.
    Token,
    /// The admin socket.
    Socket,
}

/// Users and groups that may own and write the janitor's own files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trust {
    /// The janitor's user.
    pub(super) user: u32,
    /// Whether the process has no more privileges than an ordinary user.
    pub(super) is_ordinary: bool,
    pub(super) extra: Option<Owner>,
    /// User of the daemon that this process is a client of.
    pub(super) daemon: Option<u32>,
}

impl Trust {
    /// Returns the trust of this process: root, its own user, and the owner named on the command line.
    #[must_use]
    pub fn of_process() -> Self {
        let user = rustix::process::geteuid().as_raw();
        // Where the system cannot tell, the process counts as privileged.
        let has_capabilities = rustix::thread::capabilities(None).map_or(true, |sets| !sets.effective.is_empty());
        let extra = EXTRA.get().copied().flatten();
        Self { user, is_ordinary: user != 0 && !has_capabilities, extra, daemon: None }
    }

    /// Returns this trust with the daemon's user added, for a client of that daemon.
    #[must_use]
    pub fn in_daemon_of(self, user: u32) -> Self {
        Self { daemon: Some(user), ..self }
    }

    /// Returns the owner named on the command line.
    #[must_use]
    pub fn extra(&self) -> Option<Owner> {
        self.extra
    }

    /// Returns whether this user is root, the janitor's user, or named on the command line.
    #[must_use]
    pub fn is_trusted(&self, uid: u32) -> bool {
        uid == 0 || uid == self.user || self.daemon == Some(uid) || self.extra.is_some_and(|extra| extra.uid == uid)
    }

    /// Returns whether a breach is only a warning.
    pub(super) fn is_lenient(&self, purpose: Purpose) -> bool {
        self.is_ordinary && matches!(purpose, Purpose::Config | Purpose::Log)
    }

    fn is_trusted_group(&self, gid: u32) -> bool {
        let users = [Some(self.user), self.daemon, self.extra.map(|extra| extra.uid)];
        gid == 0
            || self.extra.is_some_and(|extra| extra.gid == Some(gid))
            || users.into_iter().flatten().any(|uid| users::is_private_group(gid, uid))
    }

    /// Returns who can write a file or directory beside the trusted users. A read-only mount counts as one that nobody can
    /// write, although the file system may be mounted elsewhere, too: a ConfigMap would otherwise be open to everybody.
    fn other_writers(&self, handle: &OwnedFd, stat: &Stat) -> Option<Fault> {
        let mode = Mode::from_raw_mode(stat.st_mode);
        let writers = if mode.contains(Mode::WOTH) {
            Fault::Everybody
        } else if !mode.contains(Mode::WGRP) {
            return None;
        } else if !self.is_trusted_group(stat.st_gid) {
            Fault::Group(stat.st_gid)
        } else if has_acl(handle) {
            // The group bits hold the mask of the ACL, and do not show whom the ACL lets in.
            Fault::Acl
        } else {
            return None;
        };
        (!is_read_only(handle)).then_some(writers)
    }

    /// Judges a directory on the way: nobody else may be able to replace the next component in it.
    pub(super) fn judge_way(&self, handle: &OwnedFd, stat: &Stat) -> Option<(Fault, Weight)> {
        if !self.is_trusted(stat.st_uid) {
            return Some((Fault::Owner, Weight::Breach));
        }
        // The next component belongs to a trusted user, and in a sticky directory only its owner can replace it.
        if Mode::from_raw_mode(stat.st_mode).contains(Mode::SVTX) {
            return None;
        }
        let fault = self.other_writers(handle, stat)?;
        let is_system_group = |gid: u32| stat.st_uid == 0 && gid < FIRST_USER_GROUP;
        let weight = match fault {
            Fault::Group(gid) if self.is_ordinary || is_system_group(gid) => Weight::WarningIfLastIsOurs,
            _ => Weight::Breach,
        };
        Some((fault, weight))
    }

    /// Judges a file, or its directory: only trusted users may be able to write there.
    pub(super) fn judge(&self, handle: &OwnedFd, stat: &Stat) -> Option<Fault> {
        if self.is_trusted(stat.st_uid) { self.other_writers(handle, stat) } else { Some(Fault::Owner) }
    }

    /// Returns whether only trusted users can replace a symbolic link in its directory.
    pub(super) fn is_safe_link(&self, link: &Stat, directory: &OwnedFd, about: &Stat) -> bool {
        let is_sticky = Mode::from_raw_mode(about.st_mode).contains(Mode::SVTX);
        self.is_trusted(link.st_uid)
            && self.is_trusted(about.st_uid)
            && (is_sticky || self.other_writers(directory, about).is_none())
    }
}

/// Returns whether a file has an ACL; also true where the system cannot tell.
fn has_acl(handle: &OwnedFd) -> bool {
    // The handle may only name the file (O_PATH), for which fgetxattr(2) is refused.
    let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
    let found = getxattr(path, c"system.posix_acl_access", &mut [0; 0][..]);
    !matches!(found, Err(Errno::NODATA | Errno::OPNOTSUPP))
}

/// Returns whether the mount is read-only. Other mounts of the same file system are not seen from here.
fn is_read_only(handle: &OwnedFd) -> bool {
    fstatvfs(handle).is_ok_and(|about| about.f_flag.contains(StatVfsMountFlags::RDONLY))
}

/// Severity of a breach on the way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    Breach,
    WarningIfLastIsOurs,
}

/// Cause of a breach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The owner is not trusted.
    Owner,
    /// The group with this gid can write.
    Group(u32),
    /// Users or groups in an ACL can write.
    Acl,
    /// All users can write.
    Everybody,
    /// Others can replace the symbolic link.
    Link,
    /// The file has other names, which may lie where others can write.
    Names,
}

/// A breach of the rule of trust.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breach {
    path: PathBuf,
    owner: u32,
    fault: Fault,
    /// Whether the path is a directory like `/tmp`, whose mode nobody wants changed.
    is_sticky: bool,
}

impl Breach {
    pub(super) fn new(path: &Path, stat: &Stat, fault: Fault) -> Self {
        let is_sticky = Mode::from_raw_mode(stat.st_mode).contains(Mode::SVTX);
        Self { path: path.into(), owner: stat.st_uid, fault, is_sticky }
    }

    /// Returns the file or directory that breaks the rule.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = Escaped(self.path.as_os_str().as_bytes());
        let owner = users::shown_user(self.owner);
        match self.fault {
            Fault::Owner => write!(
                out,
                "`{path}` belongs to {owner}, who could put anything there; run it as that user (sudo -u {} janitor …), \
                 or accept this owner with `--trust-owner {}`",
                users::sudo_user(self.owner),
                self.owner
            ),
            Fault::Group(_) | Fault::Acl | Fault::Everybody => {
                write!(out, "`{path}`, which belongs to {owner}, can be written by ")?;
                match self.fault {
                    Fault::Group(gid) => write!(out, "the group {}; ", users::shown_group(gid))?,
                    Fault::Acl => out.write_str("those whom its ACL names; ")?,
                    _ => out.write_str("everybody; ")?,
                }
                match self.fault {
                    _ if self.is_sticky => out.write_str("choose a directory that only its owner can write"),
                    Fault::Group(_) => write!(out, "run: chmod g-w {path}"),
                    Fault::Acl => write!(out, "run: setfacl -b {path}"),
                    _ => write!(out, "run: chmod go-w {path}"),
                }
            }
            Fault::Link => write!(
                out,
                "the symbolic link `{path}`, which belongs to {owner}, can be replaced by others; name what it leads to"
            ),
            Fault::Names => write!(
                out,
                "`{path}`, which belongs to {owner}, has other names, which others may have made; remove it"
            ),
        }
    }
}

/// Reason why one of the janitor's own files is not opened.
#[derive(Debug)]
pub enum Denied {
    /// The file breaks the rule of trust.
    Breach(Box<Breach>),
    /// Nothing exists at this path.
    Missing(PathBuf),
    /// On the way to a target, the directory above it at this path does not exist.
    MissingParent(PathBuf),
    /// The path is not a regular file.
    NotRegular(PathBuf),
    /// The file has more bytes than allowed.
    TooLarge(PathBuf),
    /// The system refused at this path.
    Io(PathBuf, io::Error),
}

impl Denied {
    /// Returns whether the rule of trust was broken, and nothing failed.
    #[must_use]
    pub fn is_breach(&self) -> bool {
        matches!(self, Self::Breach(_) | Self::NotRegular(_))
    }

    /// Returns whether the file or a directory above it does not exist.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Missing(_) | Self::MissingParent(_))
    }
}

impl fmt::Display for Denied {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |path: &PathBuf| Escaped(path.as_os_str().as_bytes()).to_string();
        match self {
            Self::Breach(breach) => write!(out, "{breach}"),
            Self::Missing(path) | Self::MissingParent(path) => write!(out, "`{}` does not exist", shown(path)),
            Self::NotRegular(path) => write!(out, "`{}` is not a regular file", shown(path)),
            Self::TooLarge(path) => write!(out, "`{}` is too large", shown(path)),
            Self::Io(path, error) => write!(out, "`{}`: {error}", shown(path)),
        }
    }
}

impl std::error::Error for Denied {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(_, error) => Some(error),
            _ => None,
        }
    }
}

/// Returns the owner of the file or directory at a path, following links; `None` where the system cannot tell.
#[must_use]
pub fn owner_of(path: &Path) -> Option<u32> {
    rustix::fs::stat(path).ok().map(|stat| stat.st_uid)
}

/// Returns the form of a user that `sudo -u` takes.
#[must_use]
pub fn sudo_user(uid: u32) -> String {
    users::sudo_user(uid)
}

pub(super) fn stat_of(handle: &OwnedFd, path: &Path) -> Result<Stat, Denied> {
    fstat(handle).map_err(|error| Denied::Io(path.into(), error.into()))
}
