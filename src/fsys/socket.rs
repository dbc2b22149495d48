//! A Unix socket of the janitor's own: made, in the place of one that was left behind, and removed.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, StatxFlags, chmodat, openat2, statx};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with};

use super::dir::{BENEATH, Dir, again, path as name_of};
use super::identity_of;
use super::root::{RootError, resolve};
use crate::entry::Identity;

/// Its owner and its group may connect: both need to write it.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR).union(Mode::RGRP).union(Mode::WGRP);

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 128;

/// The name of a socket of ours in its directory; with this dropped, it is removed.
#[derive(Debug)]
pub struct OwnSocket {
    dir: Dir,
    name: Box<OsStr>,
    identity: Identity,
}

/// Why a socket cannot be had.
#[derive(Debug)]
pub enum SocketError {
    /// Somebody listens on it.
    InUse,
    /// Something is there that is no socket.
    SomethingElse,
    /// A socket that this user left there.
    NotOurs(u32),
    /// Its directory cannot be had.
    Directory(RootError),
    /// The system refused.
    Io(io::Error),
}

impl fmt::Display for SocketError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InUse => out.write_str("somebody listens there already (is another janitor running?)"),
            Self::SomethingElse => out.write_str("something is there that is no socket, and it is left alone"),
            Self::NotOurs(uid) => write!(out, "a socket of user {uid} is there, and it is left alone"),
            Self::Directory(error) => write!(out, "{error}"),
            Self::Io(error) => write!(out, "{error}"),
        }
    }
}

impl std::error::Error for SocketError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Directory(error) => Some(error),
            Self::Io(error) => Some(error),
            Self::InUse | Self::SomethingElse | Self::NotOurs(_) => None,
        }
    }
}

impl From<io::Error> for SocketError {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<Errno> for SocketError {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// What has a name in a directory; `None` for nothing.
fn look(dir: &Dir, name: &OsStr) -> io::Result<Option<(Identity, FileType, u32)>> {
    let wanted = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::UID;
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    match again(|| statx(dir.fd(), name_of(name.as_bytes()), flags, wanted)) {
        Ok(found) => Ok(Some((identity_of(&found), FileType::from_raw_mode(found.stx_mode.into()), found.stx_uid))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Never waits for the other side.
fn new_socket() -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?)
}

/// Makes a socket at `path`, which is absolute, for its owner and its group, and listens on it. One that a janitor of
/// this user left behind is replaced; nothing else is.
///
/// # Errors
/// See [`SocketError`].
pub fn bind_own(path: &Path) -> Result<(UnixListener, OwnSocket), SocketError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::INVAL.into()) };
    let dir = resolve(parent, false).map_err(SocketError::Directory)?.dir;
    let address = SocketAddrUnix::new(path)?;
    make_room(&dir, name, &address)?;
    let socket = new_socket()?;
    match bind(&socket, &address) {
        Err(Errno::ADDRINUSE) => return Err(SocketError::InUse),
        bound => bound?,
    }
    let made = look(&dir, name)?.filter(|(_, kind, uid)| *kind == FileType::Socket && *uid == own());
    // The path leads elsewhere by now than to the directory that was opened.
    let (identity, ..) = made.ok_or(Errno::STALE)?;
    // Dropping it removes the socket, also where the next step fails.
    let own = OwnSocket { dir, name: name.into(), identity };
    own.open_up()?;
    // Nobody gets through before this, whatever the mode was until now.
    listen(&socket, BACKLOG)?;
    Ok((UnixListener::from(socket), own))
}

fn own() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Removes a socket of ours that nobody listens on any more.
fn make_room(dir: &Dir, name: &OsStr, address: &SocketAddrUnix) -> Result<(), SocketError> {
    let Some((identity, kind, uid)) = look(dir, name)? else { return Ok(()) };
    if kind != FileType::Socket {
        return Err(SocketError::SomethingElse);
    }
    match connect(&new_socket()?, address) {
        Err(Errno::CONNREFUSED) if uid == own() => {}
        Err(Errno::CONNREFUSED | Errno::ACCESS) => return Err(SocketError::NotOurs(uid)),
        Err(Errno::NOENT) => return Ok(()),
        // It listens, and as many wait as may.
        Ok(()) | Err(Errno::AGAIN) => return Err(SocketError::InUse),
        Err(error) => return Err(error.into()),
    }
    // Whoever could put something else here since could remove it himself; no directory goes this way.
    match look(dir, name)? {
        Some((now, ..)) if now == identity => Ok(dir.remove(name.as_bytes())?),
        Some(_) => Err(SocketError::InUse),
        None => Ok(()),
    }
}

impl OwnSocket {
    /// Lets the group in, whatever the umask says. The mode of a path cannot be set without following a link there, so
    /// it is set by handle.
    fn open_up(&self) -> io::Result<()> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let name = name_of(self.name.as_bytes());
        let handle = again(|| openat2(self.dir.fd(), name, flags, Mode::empty(), BENEATH))?;
        let found = again(|| statx(&handle, c"", AtFlags::EMPTY_PATH, StatxFlags::INO))?;
        if identity_of(&found) != self.identity {
            return Err(Errno::STALE.into());
        }
        again(|| chmodat(CWD, format!("/proc/self/fd/{}", handle.as_raw_fd()), MODE, AtFlags::empty()))
    }
}

impl Drop for OwnSocket {
    fn drop(&mut self) {
        // Another janitor may have taken the place. One that stays is replaced at the next start.
        if let Ok(Some((identity, ..))) = look(&self.dir, &self.name)
            && identity == self.identity
        {
            drop(self.dir.remove(self.name.as_bytes()));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
    use std::os::unix::net::UnixStream;

    use super::*;

    fn yard() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary directory")
    }

    #[test]
    fn a_socket_is_for_its_owner_and_group_and_goes_with_its_janitor() {
        let yard = yard();
        let path = yard.path().join("admin.sock");
        let (listener, own) = bind_own(&path).expect("made");
        let about = path.metadata().expect("there");
        assert!(about.file_type().is_socket());
        assert_eq!(about.permissions().mode() & 0o7777, 0o660);
        let client = UnixStream::connect(&path).expect("it listens");
        drop((listener, client, own));
        assert!(!path.exists());
    }

    #[test]
    fn one_that_was_left_behind_is_replaced_and_one_in_use_is_not() {
        let yard = yard();
        let path = yard.path().join("admin.sock");
        drop(UnixListener::bind(&path).expect("made"));
        let (_listener, _own) = bind_own(&path).expect("nobody listens there");
        assert!(matches!(bind_own(&path), Err(SocketError::InUse)));
        UnixStream::connect(&path).expect("the first is still there");
    }

    #[test]
    fn a_full_backlog_is_in_use_and_nobody_waits() {
        let yard = yard();
        let path = yard.path().join("admin.sock");
        let address = SocketAddrUnix::new(&path).expect("short");
        let socket = new_socket().expect("made");
        bind(&socket, &address).expect("bound");
        listen(&socket, 0).expect("listening");
        let waiting: Vec<_> = (0..8).map(|_| new_socket().expect("made")).collect();
        let full = waiting.iter().any(|one| connect(one, &address) == Err(Errno::AGAIN));
        assert!(full, "the backlog takes no more");
        assert!(matches!(bind_own(&path), Err(SocketError::InUse)));
    }

    #[test]
    fn what_is_no_socket_is_left_alone() {
        let yard = yard();
        let at = |name: &str| yard.path().join(name);
        std::fs::write(at("file"), "text").expect("written");
        std::fs::create_dir(at("directory")).expect("made");
        drop(UnixListener::bind(at("left")).expect("made"));
        symlink(at("left"), at("link")).expect("made");
        symlink(at("nowhere"), at("dangling")).expect("made");
        for name in ["file", "directory", "link", "dangling"] {
            let error = bind_own(&at(name)).expect_err("taken");
            assert!(matches!(error, SocketError::SomethingElse), "{name}: {error}");
            assert!(at(name).symlink_metadata().is_ok(), "{name}");
        }
        assert_eq!(std::fs::read_to_string(at("file")).expect("there"), "text");
        let error = bind_own(&at("no/where")).expect_err("no directory").to_string();
        assert!(error.contains("does not exist"), "{error}");
    }

    #[test]
    fn what_took_the_place_of_ours_stays() {
        let yard = yard();
        let path = yard.path().join("admin.sock");
        let (_listener, own) = bind_own(&path).expect("made");
        std::fs::rename(&path, yard.path().join("away")).expect("ours");
        std::fs::write(&path, "text").expect("written");
        drop(own);
        assert!(path.exists());
    }

    #[test]
    fn a_socket_of_somebody_else_is_left_alone() {
        if !crate::needs::root() {
            return;
        }
        let yard = yard();
        let path = yard.path().join("admin.sock");
        drop(UnixListener::bind(&path).expect("made"));
        std::os::unix::fs::chown(&path, Some(65534), None).expect("root may");
        assert!(matches!(bind_own(&path), Err(SocketError::NotOurs(65534))));
        assert!(path.exists());
    }
}
