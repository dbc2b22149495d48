//! The listeners that people connect to: the admin port, and the admin socket.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use rustix::io::Errno;

use super::wall::Wall;
use crate::fsys::{self, OwnSocket, Trust};
use crate::names::Escaped;

/// A port or a socket that is ours, and not served yet.
#[derive(Debug)]
pub struct Bound {
    pub(super) listeners: Vec<Listener>,
    pub(super) wall: Wall,
    /// Addresses of a port.
    addresses: Vec<SocketAddr>,
    /// Address for which `localhost` may stand too, and the reason for which it is not ours.
    missing: Option<(SocketAddr, io::Error)>,
}

/// One socket that is listened on.
#[derive(Debug)]
pub(super) enum Listener {
    Port(TcpListener),
    Socket(UnixListener, OwnSocket),
}

impl AsFd for Listener {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Port(listener) => listener.as_fd(),
            Self::Socket(listener, _) => listener.as_fd(),
        }
    }
}

impl Listener {
    /// Makes a socket anew whose name somebody has removed. Returns whether that was needed.
    ///
    /// # Errors
    /// Fails when the socket cannot be had; the old one, which nobody finds, stays.
    pub(super) fn renew(&mut self) -> Result<bool, BindError> {
        let Self::Socket(listener, own) = self else { return Ok(false) };
        if own.is_there() {
            return Ok(false);
        }
        (*listener, *own) = own_socket(own.path())?;
        Ok(true)
    }

    /// Returns the path of a socket.
    pub(super) fn path(&self) -> Option<&Path> {
        match self {
            Self::Port(_) => None,
            Self::Socket(_, own) => Some(own.path()),
        }
    }
}

impl Bound {
    /// Returns the first address of a port, with the number that the system chose if it was asked for port 0.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        self.addresses.first().copied()
    }

    /// Returns every address of a port: of 127.0.0.1 and ::1 both, where there is IPv6.
    #[must_use]
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Returns why the name `localhost` is refused, if it is because somebody else may be meant by it.
    #[must_use]
    pub fn no_localhost(&self) -> Option<String> {
        let (other, error) = self.missing.as_ref()?;
        Some(format!(
            "{other} is not to be had ({error}), and a browser may mean that by localhost: requests to \"localhost\" \
             are refused, those to the address of the port are not"
        ))
    }

    /// Returns whether the port can be reached from other machines.
    #[must_use]
    pub fn is_beyond_loopback(&self) -> bool {
        !self.wall.is_local()
    }
}

/// Reason for which a port or a socket cannot be listened on.
#[derive(Debug)]
pub struct BindError {
    at: String,
    why: Why,
}

#[derive(Debug)]
enum Why {
    Port(io::Error),
    Socket(fsys::SocketError),
}

impl fmt::Display for BindError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "cannot listen on {}: ", self.at)?;
        match &self.why {
            Why::Port(error) if error.kind() == io::ErrorKind::AddrInUse => {
                out.write_str("address already in use (is another janitor running?)")
            }
            Why::Port(error) => write!(out, "{error}"),
            Why::Socket(error) => write!(out, "{error}"),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.why {
            Why::Port(error) => Some(error),
            Why::Socket(error) => Some(error),
        }
    }
}

/// Maximum number of connections that wait to be accepted; the kernel takes less where `net.core.somaxconn` is less.
const BACKLOG: i32 = 4096;

/// Maximum number of ports tried where the system chooses one.
const TRIES: usize = 16;

/// Takes a port. From here on connections queue up; [`serve`](super::serve) answers them.
///
/// Of 127.0.0.1 and ::1, the other address is taken along, since `localhost` is both. Browsers try ::1 first, and a
/// page of whoever has that address would have the origin of ours.
///
/// # Errors
/// Fails when the system does not give the port to us.
pub fn bind(listen: SocketAddr) -> Result<Bound, BindError> {
    let mut tries = if listen.port() == 0 { TRIES } else { 1 };
    loop {
        let bound = both(listen).map_err(|error| BindError { at: listen.to_string(), why: Why::Port(error) })?;
        tries -= 1;
        if bound.missing.is_none() || tries == 0 {
            return Ok(bound);
        }
    }
}

fn both(listen: SocketAddr) -> io::Result<Bound> {
    let (first, address) = one(listen)?;
    let mut listeners = vec![Listener::Port(first)];
    let mut addresses = vec![address];
    let mut missing = None;
    let other: Option<IpAddr> = match address.ip() {
        IpAddr::V4(Ipv4Addr::LOCALHOST) => Some(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::LOCALHOST) => Some(Ipv4Addr::LOCALHOST.into()),
        _ => None,
    };
    let other = other.map(|ip| SocketAddr::new(ip, address.port()));
    if let Some(other) = other {
        match one(other) {
            Ok((listener, other)) => {
                listeners.push(Listener::Port(listener));
                addresses.push(other);
            }
            // This machine has no IPv6, so nobody else can have the address either.
            Err(error) if is_no_address(&error) => {}
            Err(error) => missing = Some((other, error)),
        }
    }
    let wall = Wall::of(address, other.is_some() && missing.is_none());
    Ok(Bound { listeners, wall, addresses, missing })
}

fn one(listen: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    // The standard library sets SO_REUSEADDR, so that a restart does not wait for old connections to be forgotten.
    let listener = TcpListener::bind(listen)?;
    listener.set_nonblocking(true)?;
    // The queue of the standard library is short enough to be filled by anybody.
    rustix::net::listen(&listener, BACKLOG)?;
    let address = listener.local_addr()?;
    Ok((listener, address))
}

fn is_no_address(error: &io::Error) -> bool {
    let errnos = [Errno::AFNOSUPPORT, Errno::ADDRNOTAVAIL];
    errnos.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Takes a socket, at an absolute path. The socket is removed again when it is served no more.
///
/// # Errors
/// Fails when somebody listens there, when there is something that no janitor of this user left, or when the system
/// refuses.
pub fn bind_socket(path: &Path) -> Result<Bound, BindError> {
    let (listener, own) = own_socket(path)?;
    Ok(Bound {
        listeners: vec![Listener::Socket(listener, own)],
        wall: Wall::Socket,
        addresses: Vec::new(),
        missing: None,
    })
}

fn own_socket(path: &Path) -> Result<(UnixListener, OwnSocket), BindError> {
    fsys::bind_own(path, &Trust::of_process()).map_err(|error| {
        let at = format!("the socket {}", Escaped(path.as_os_str().as_bytes()));
        BindError { at, why: Why::Socket(error) }
    })
}
