//! The other end of a connection, and the user it belongs to. The kernel tells the user of a Unix socket outright
//! (`SO_PEERCRED`). The user of a TCP connection of this machine is looked up.

mod lookup;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};

use tokio::net::UnixStream;

use super::caller::Who;
use lookup::Ends;
pub use lookup::PeerUidLookup;

/// The other end of one connection.
#[derive(Debug)]
pub(super) enum Peer {
    /// Peer on the port.
    Port {
        address: SocketAddr,
        /// Id of the user; `None` where the kernel does not tell.
        uid: Option<u32>,
    },
    /// Peer on the socket, as it was when it connected.
    Socket { uid: u32, pid: Option<i32> },
}

impl Peer {
    /// Returns the peer of a connection to the socket.
    ///
    /// # Errors
    /// Fails when the kernel does not tell who it is.
    pub(super) fn of_socket(stream: &UnixStream) -> io::Result<Self> {
        let known = stream.peer_cred()?;
        Ok(Self::Socket { uid: known.uid(), pid: known.pid() })
    }

    /// Returns the id of the process, where the kernel tells it.
    pub(super) fn pid(&self) -> Option<i32> {
        match self {
            Self::Port { .. } => None,
            Self::Socket { pid, .. } => *pid,
        }
    }

    /// Returns the uid of its process; `None` where the kernel does not tell.
    pub(super) fn uid(&self) -> Option<u32> {
        match self {
            Self::Port { uid, .. } => *uid,
            Self::Socket { uid, .. } => Some(*uid),
        }
    }

    /// Returns the caller for whom limits are counted: the user, or the address.
    pub(super) fn who(&self) -> Who {
        match self {
            Self::Socket { uid, .. } | Self::Port { uid: Some(uid), .. } => Who::Uid(*uid),
            Self::Port { uid: None, address } => Who::at(address.ip()),
        }
    }
}

impl PeerUidLookup {
    /// Returns the peers of connections to the port that were just accepted, in the same order.
    pub(super) fn peers<'a>(
        &mut self,
        accepted: impl Iterator<Item = (&'a TcpStream, SocketAddr)> + Clone,
    ) -> Vec<Peer> {
        let ends = |(stream, address): (&TcpStream, SocketAddr)| {
            // A stream without an address of its own has gone already, and its peer is found nowhere.
            Ends::of_peer(address, stream.local_addr().unwrap_or(address))
        };
        let asked: Vec<Ends> = accepted.clone().map(ends).collect();
        let uids = self.uids(&asked);
        let peer = |((stream, address), uid): ((&TcpStream, SocketAddr), Option<u32>)| {
            // Had the connection been reset before the lookup, another process could have come by the same two ports
            // since, and the answer would be about that one. A socket that was reset has no peer.
            Peer::Port { address, uid: uid.filter(|_| stream.peer_addr().is_ok()) }
        };
        accepted.zip(uids).map(peer).collect()
    }

    /// Returns whether the kernel tells the user of a connection here: it must know our own end of this connection.
    pub fn can_tell(&mut self, stream: &tokio::net::TcpStream) -> bool {
        let (Ok(ours), Ok(theirs)) = (stream.local_addr(), stream.peer_addr()) else { return false };
        self.uid(Ends::of_peer(ours, theirs)) == Some(rustix::process::geteuid().as_raw())
    }

    /// Returns the uid of the process that has accepted this connection, which we have made; `None` where nobody has
    /// accepted it yet, or the kernel does not tell.
    pub fn server(&mut self, stream: &tokio::net::TcpStream) -> Option<u32> {
        let ends = Ends::of_peer(stream.peer_addr().ok()?, stream.local_addr().ok()?);
        // See `peers`.
        self.uid(ends).filter(|_| stream.peer_addr().is_ok())
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Port { address, .. } => write!(out, "{address}"),
            Self::Socket { uid, pid: Some(pid) } => write!(out, "the socket, uid {uid} (pid {pid})"),
            Self::Socket { uid, pid: None } => write!(out, "the socket, uid {uid}"),
        }
    }
}
