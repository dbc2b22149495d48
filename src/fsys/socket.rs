//! The janitor's own Unix socket: making it, replacing one that was left behind, and removing it.

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Gid, Mode, OFlags, StatxFlags, chmodat, chownat, fstat, open, statx};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with};

use super::beneath::{Mounts, open_beneath};
use super::dir::{again, path as name_of};
use super::identity_of;
use super::private_files::OwnDir;
use super::trust::{Denied, Purpose, Trust};
use crate::entry::Identity;

/// Mode of a socket for its owner alone. Connecting needs write permission.
const PRIVATE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Mode of a socket for its owner and a group.
const SHARED: Mode = PRIVATE.union(Mode::RGRP).union(Mode::WGRP);

/// Mode of directories made for the socket.
const DIRECTORY: u32 = 0o700;

/// Number of connections that may wait to be accepted; the kernel's `net.core.somaxconn` may lower it.
const BACKLOG: i32 = 4096;

/// Longest path at which a socket can be reached, in bytes: `sun_path` of unix(7), without the NUL at its end.
const LONGEST: usize = 107;

/// Name of our socket in its directory. The socket is removed when this is dropped.
#[derive(Debug)]
pub struct OwnSocket {
    path: PathBuf,
    dir: OwnDir,
    name: Box<OsStr>,
    identity: Identity,
}

/// Reason why a socket cannot be made.
#[derive(Debug)]
pub enum SocketError {
    /// The socket has a listener.
    InUse,
    /// The path is taken by something that is not a socket.
    SomethingElse,
    /// The path is taken by a socket of another user, whose uid this is.
    NotOurs(u32),
    /// The directory of the socket cannot be opened, or others can write there.
    Directory(Denied),
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

/// Returns the identity, type and owner of the entry of a directory that has this name; `None` when there is none.
fn look(dir: &OwnDir, name: &OsStr) -> io::Result<Option<(Identity, FileType, u32)>> {
    let wanted = StatxFlags::TYPE | StatxFlags::INO | StatxFlags::UID;
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    match again(|| statx(dir.at(), name_of(name.as_bytes()), flags, wanted)) {
        Ok(found) => Ok(Some((identity_of(&found), FileType::from_raw_mode(found.stx_mode.into()), found.stx_uid))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Makes a new socket, which never blocks.
fn new_socket() -> io::Result<OwnedFd> {
    Ok(socket_with(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, None)?)
}

/// Returns the address of a socket in an open directory: its path or, where the path is too long, one by way of the
/// handle.
fn address(dir: BorrowedFd<'_>, path: &Path, name: &OsStr) -> io::Result<SocketAddrUnix> {
    if path.as_os_str().len() <= LONGEST {
        return Ok(SocketAddrUnix::new(path)?);
    }
    let handle = Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string());
    Ok(SocketAddrUnix::new(handle.join(name))?)
}

/// Connects to the socket at `path`, which may be longer than the kernel takes. The stream does not block.
///
/// # Errors
/// Fails when nobody listens there, or the system refuses. `WouldBlock` means that too many connections wait already.
pub fn connect_to(path: &Path) -> io::Result<UnixStream> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::INVAL.into()) };
    let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
    let dir = open(parent, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    let socket = new_socket()?;
    connect(&socket, &address(std::os::fd::AsFd::as_fd(&dir), path, name)?)?;
    Ok(UnixStream::from(socket))
}

/// Makes a socket at `path`, which is absolute, and listens on it. A missing directory is made. The socket is for its
/// owner, and for the group of its directory where the directory is open to the group. A socket that a janitor of this
/// user left behind is replaced; nothing else is.
///
/// # Errors
/// See [`SocketError`].
pub fn bind_own(path: &Path, trust: &Trust) -> Result<(UnixListener, OwnSocket), SocketError> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::INVAL.into()) };
    let dir = trust.directory(Purpose::Socket, parent, Some(DIRECTORY)).map_err(SocketError::Directory)?;
    let address = address(dir.at(), path, name)?;
    make_room(&dir, name, &address)?;
    let socket = new_socket()?;
    match bind(&socket, &address) {
        Err(Errno::ADDRINUSE) => return Err(SocketError::InUse),
        bound => bound?,
    }
    let made = look(&dir, name)?.filter(|(_, kind, uid)| *kind == FileType::Socket && *uid == own());
    // The path no longer leads to the directory that was opened.
    let (identity, ..) = made.ok_or(Errno::STALE)?;
    // Dropping `own` removes the socket, also where the next step fails.
    let own = OwnSocket { path: path.into(), dir, name: name.into(), identity };
    own.set_mode()?;
    // No connection is accepted before `listen`, whatever the mode was until now.
    listen(&socket, BACKLOG)?;
    Ok((UnixListener::from(socket), own))
}

fn own() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Removes a socket of ours that nobody listens on any more.
fn make_room(dir: &OwnDir, name: &OsStr, address: &SocketAddrUnix) -> Result<(), SocketError> {
    let Some((identity, kind, uid)) = look(dir, name)? else { return Ok(()) };
    if kind != FileType::Socket {
        return Err(SocketError::SomethingElse);
    }
    match connect(&new_socket()?, address) {
        Err(Errno::CONNREFUSED) if uid == own() => {}
        Err(Errno::CONNREFUSED | Errno::ACCESS) => return Err(SocketError::NotOurs(uid)),
        Err(Errno::NOENT) => return Ok(()),
        // A process listens there, and its backlog may be full.
        Ok(()) | Err(Errno::AGAIN) => return Err(SocketError::InUse),
        Err(error) => return Err(error.into()),
    }
    // Anybody who could put something else here meanwhile could remove it himself. No directory is removed by this.
    match look(dir, name)? {
        Some((now, ..)) if now == identity => Ok(dir.remove(name)?),
        Some(_) => Err(SocketError::InUse),
        None => Ok(()),
    }
}

impl OwnSocket {
    /// Returns the path at which the socket was made.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Returns whether the path still leads to the socket: somebody may have removed the socket or its directory. Where
    /// the system cannot tell, the socket counts as there.
    #[must_use]
    pub fn is_there(&self) -> bool {
        let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
        match statx(CWD, &self.path, flags, StatxFlags::INO) {
            Ok(found) => identity_of(&found) == self.identity,
            Err(error) => !matches!(error, Errno::NOENT | Errno::NOTDIR),
        }
    }

    /// Sets the mode of the socket, whatever the umask is. The mode is set by handle, because setting it by path would
    /// follow a link there.
    fn set_mode(&self) -> io::Result<()> {
        let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let name = name_of(self.name.as_bytes());
        let handle = open_beneath(self.dir.at(), name, flags, Mounts::Stay)?;
        let found = again(|| statx(&handle, c"", AtFlags::EMPTY_PATH, StatxFlags::INO | StatxFlags::GID))?;
        if identity_of(&found) != self.identity {
            return Err(Errno::STALE.into());
        }
        let path = format!("/proc/self/fd/{}", handle.as_raw_fd());
        let dir = fstat(self.dir.at())?;
        let is_open = Mode::from_raw_mode(dir.st_mode).contains(Mode::XGRP);
        // The socket gets the group of its directory. If the group cannot be set, the socket is for its owner alone.
        let is_shared = is_open
            && (found.stx_gid == dir.st_gid
                || chownat(CWD, path.as_str(), None, Some(Gid::from_raw(dir.st_gid)), AtFlags::empty()).is_ok());
        let mode = if is_shared { SHARED } else { PRIVATE };
        again(|| chmodat(CWD, path.as_str(), mode, AtFlags::empty()))
    }
}

impl Drop for OwnSocket {
    fn drop(&mut self) {
        // Another janitor may have taken the place. A socket that stays is replaced at the next start.
        if let Ok(Some((identity, ..))) = look(&self.dir, &self.name)
            && identity == self.identity
        {
            drop(self.dir.remove(&self.name));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};

    use super::*;

    fn bind_own(path: &Path) -> Result<(UnixListener, OwnSocket), SocketError> {
        super::bind_own(path, &Trust::of_process())
    }

    fn mode(path: &Path) -> u32 {
        path.metadata().expect("there").permissions().mode() & 0o7777
    }

    fn yard() -> tempfile::TempDir {
        tempfile::tempdir().expect("a temporary directory")
    }

    #[test]
    fn a_socket_is_for_its_owner_and_goes_with_its_janitor() {
        let yard = yard();
        let path = yard.path().join("made/for/it/admin.sock");
        let (listener, own) = bind_own(&path).expect("made");
        assert!(path.metadata().expect("there").file_type().is_socket());
        assert_eq!((mode(&path), mode(&yard.path().join("made/for/it"))), (0o600, 0o700));
        let client = connect_to(&path).expect("it listens");
        drop((listener, client, own));
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_is_for_the_group_that_its_directory_is_open_to() {
        let yard = yard();
        for (directory, expected) in [(0o700, 0o600), (0o750, 0o660), (0o755, 0o660), (0o705, 0o600)] {
            let at = yard.path().join(format!("{directory:o}"));
            std::fs::create_dir(&at).expect("made");
            std::fs::set_permissions(&at, std::fs::Permissions::from_mode(directory)).expect("ours");
            let path = at.join("admin.sock");
            let _bound = bind_own(&path).expect("made");
            assert_eq!(mode(&path), expected, "{directory:o}");
        }
    }

    #[test]
    fn the_group_is_that_of_the_directory() {
        use std::os::unix::fs::MetadataExt;
        if !crate::needs::root() {
            return;
        }
        let yard = yard();
        let at = yard.path().join("shared");
        std::fs::create_dir(&at).expect("made");
        std::os::unix::fs::chown(&at, None, Some(65534)).expect("root may");
        std::fs::set_permissions(&at, std::fs::Permissions::from_mode(0o750)).expect("ours");
        let path = at.join("admin.sock");
        let _bound = bind_own(&path).expect("made");
        let about = path.metadata().expect("there");
        assert_eq!((about.uid(), about.gid(), mode(&path)), (0, 65534, 0o660));
    }

    #[test]
    fn a_path_may_be_longer_than_the_kernel_takes() {
        let yard = yard();
        let path = yard.path().join("a-long-name".repeat(10)).join("b".repeat(80)).join("admin.sock");
        let bound = bind_own(&path).expect("made");
        connect_to(&path).expect("it listens");
        assert!(matches!(bind_own(&path), Err(SocketError::InUse)), "it is not stolen");
        drop(bound);
        assert!(!path.exists());
        let error = connect_to(&path).expect_err("gone");
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        let name = yard.path().join("n".repeat(120));
        assert!(matches!(bind_own(&name), Err(SocketError::Io(_))), "a name that long cannot be had");
    }

    #[test]
    fn where_others_can_write_there_is_no_socket() {
        let yard = yard();
        let at = yard.path().join("open");
        std::fs::create_dir(&at).expect("made");
        std::fs::set_permissions(&at, std::fs::Permissions::from_mode(0o777)).expect("ours");
        let error = bind_own(&at.join("admin.sock")).expect_err("others can write there");
        assert!(matches!(&error, SocketError::Directory(denied) if denied.is_breach()), "{error}");
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
        let error = bind_own(&at("file/where")).expect_err("no directory");
        assert!(matches!(error, SocketError::Directory(_)), "{error}");
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
