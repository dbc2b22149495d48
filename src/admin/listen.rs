//! Taking what people connect to: the admin port, and the admin socket.

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::Path;

use super::connection::Stream;
use super::peer::Peer;
use super::wall::Wall;
use crate::fsys::{self, OwnSocket};
use crate::names::Escaped;

/// A port or a socket that is ours, and not served yet.
#[derive(Debug)]
pub struct Bound {
    listening: Listening,
    pub(super) wall: Wall,
}

#[derive(Debug)]
enum Listening {
    Port(TcpListener, SocketAddr),
    Socket(UnixListener, OwnSocket),
}

impl Bound {
    /// The address of a port, with the number that the system chose if it was asked for port 0.
    #[must_use]
    pub fn address(&self) -> Option<SocketAddr> {
        match &self.listening {
            Listening::Port(_, address) => Some(*address),
            Listening::Socket(..) => None,
        }
    }

    /// Whether others than this machine's can reach it.
    #[must_use]
    pub fn is_beyond_loopback(&self) -> bool {
        !self.wall.is_local()
    }
}

/// Why a port or a socket cannot be listened on.
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

/// Takes a port. From here on connections queue up; [`serve`](super::serve) answers them.
///
/// # Errors
/// When the system does not give it to us.
pub fn bind(listen: SocketAddr) -> Result<Bound, BindError> {
    let bind = || {
        // The standard library sets SO_REUSEADDR, so that a restart does not wait for old connections to be forgotten.
        let listener = TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Bound { listening: Listening::Port(listener, address), wall: Wall::of(address) })
    };
    bind().map_err(|error| BindError { at: listen.to_string(), why: Why::Port(error) })
}

/// Takes a socket, at a path that is absolute. It is removed again when it is served no more.
///
/// # Errors
/// When somebody listens there, when there is something that no janitor of this user left, or when the system refuses.
pub fn bind_socket(path: &Path) -> Result<Bound, BindError> {
    match fsys::bind_own(path) {
        Ok((listener, own)) => Ok(Bound { listening: Listening::Socket(listener, own), wall: Wall::Socket }),
        Err(error) => {
            let at = format!("the socket {}", Escaped(path.as_os_str().as_bytes()));
            Err(BindError { at, why: Why::Socket(error) })
        }
    }
}

/// What accepts connections.
#[derive(Debug)]
pub(super) enum Listener {
    Port(tokio::net::TcpListener),
    Socket(tokio::net::UnixListener, #[expect(dead_code, reason = "held, not read")] OwnSocket),
}

impl Listener {
    pub(super) fn new(bound: Bound) -> io::Result<Self> {
        Ok(match bound.listening {
            Listening::Port(listener, _) => Self::Port(tokio::net::TcpListener::from_std(listener)?),
            Listening::Socket(listener, own) => Self::Socket(tokio::net::UnixListener::from_std(listener)?, own),
        })
    }

    pub(super) async fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Port(listener) => {
                let (stream, address) = listener.accept().await?;
                let peer = Peer::new(&stream, address)?;
                Ok((Stream::Port(stream), peer))
            }
            Self::Socket(listener, _) => {
                let (stream, _) = listener.accept().await?;
                let peer = Peer::of_socket(&stream)?;
                Ok((Stream::Socket(stream), peer))
            }
        }
    }
}
