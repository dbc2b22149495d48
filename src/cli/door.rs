//! The way to a daemon: its socket or its port, and who really is behind it.
//!
//! While the daemon is down, anybody can listen on its port. So the kernel is asked who has accepted the connection
//! before a token goes over it, and before an answer is believed.

use std::io::{Error, ErrorKind};
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::time::Duration;

use tokio::net::{TcpStream, UnixStream};
use tokio::time::{sleep, timeout};

use crate::admin::PeerUidLookup;
use crate::clock;
use crate::fsys::{self, Trust};
use crate::names::Escaped;

/// Time in which a connection has to be made.
const CONNECT: Duration = Duration::from_secs(5);

/// Time in which somebody has to accept a connection; a daemon does so at once.
const ACCEPT: Duration = Duration::from_secs(5);

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_millis(5);

/// Address at which a daemon may be.
pub(super) enum Door {
    Port(String),
    Socket(PathBuf),
}

impl std::fmt::Display for Door {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Port(address) => out.write_str(address),
            Self::Socket(path) => write!(out, "{}", Escaped(path.as_os_str().as_bytes())),
        }
    }
}

/// A connection to a door.
pub(super) enum Stream {
    Port(TcpStream),
    Socket(UnixStream),
}

/// The user at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Server {
    /// A user of this machine.
    Uid(u32),
    /// An unknown user of this machine, since the kernel does not tell such things here.
    Unknown,
    /// No user, since nobody whom the kernel knows has accepted the connection.
    Nobody,
    /// Another machine.
    Remote,
}

impl Door {
    /// Connects, and finds out who is at the other end.
    ///
    /// # Errors
    /// Fails with the reason in words, and whether nobody is there.
    pub(super) async fn connect(&self) -> Result<(Stream, Server), (String, bool)> {
        let connected = timeout(CONNECT, async {
            Ok(match self {
                Self::Port(address) => Stream::Port(TcpStream::connect(address).await?),
                Self::Socket(path) => Stream::Socket(loop {
                    match fsys::connect_to(path) {
                        // The queue of waiting connections is full.
                        Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(PAUSE).await,
                        connected => break UnixStream::from_std(connected?)?,
                    }
                }),
            })
        });
        match connected.await {
            Ok(Ok(Stream::Socket(stream))) => {
                let server = stream.peer_cred().map_or(Server::Unknown, |known| Server::Uid(known.uid()));
                Ok((Stream::Socket(stream), server))
            }
            Ok(Ok(Stream::Port(stream))) => {
                let server = server(&stream).await;
                Ok((Stream::Port(stream), server))
            }
            Ok(Err(error)) => Err(self.unreachable_because(&error)),
            Err(_) => Err((format!("no answer in {} s", CONNECT.as_secs()), false)),
        }
    }

    /// Returns why nobody could be reached, and whether the reason is that nobody is there.
    fn unreachable_because(&self, error: &Error) -> (String, bool) {
        let is_absent = matches!(error.kind(), ErrorKind::ConnectionRefused | ErrorKind::NotFound);
        let hint = match self {
            Self::Port(_) if is_absent => {
                " (is `janitor run` running? If admin.listen was changed, it still listens where it did: say so with \
                 --admin)"
            }
            Self::Socket(_) if is_absent => " (is `janitor run` running?)",
            Self::Port(_) | Self::Socket(_) => "",
        };
        (format!("{error}{hint}"), is_absent)
    }
}

/// Asks the kernel who has accepted a connection.
async fn server(stream: &TcpStream) -> Server {
    let (Ok(ours), Ok(theirs)) = (stream.local_addr(), stream.peer_addr()) else { return Server::Unknown };
    // A machine connects to an address of its own from that same address.
    if !theirs.ip().to_canonical().is_loopback() && ours.ip() != theirs.ip() {
        return Server::Remote;
    }
    let mut lookup = PeerUidLookup::new();
    if !lookup.can_tell(stream) {
        return Server::Unknown;
    }
    let begun = clock::mark();
    loop {
        match lookup.server(stream) {
            Some(uid) => return Server::Uid(uid),
            None if begun.elapsed() < ACCEPT => sleep(PAUSE).await,
            None => return Server::Nobody,
        }
    }
}

/// Returns the address at which a client finds a port, also one that listens everywhere.
pub(super) fn reachable(mut listen: SocketAddr) -> SocketAddr {
    if listen.ip().is_unspecified() {
        listen.set_ip(if listen.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    listen
}

/// Users that are taken for the daemon.
pub(super) struct Servers {
    /// Users whose answers are believed: root, this user, the owner of the state, who is the daemon's user, and an
    /// owner that the command line names.
    pub(super) believed: Trust,
    /// Users who get the token. An ordinary user may have been given a config by somebody else, which then says who the
    /// owner of the state is, and which file holds the token.
    pub(super) confided_in: Trust,
    /// Whether the command line names the address.
    pub(super) is_named: bool,
}

impl Servers {
    /// Checks whether this server may be asked at all.
    ///
    /// # Errors
    /// Fails with the reason in words.
    pub(super) fn check(&self, door: &Door, server: Server) -> Result<(), String> {
        match server {
            Server::Uid(uid) if !self.is_named && !self.believed.is_trusted(uid) => Err(format!(
                "what answers at {door} is not the daemon: it runs as user {uid}, who is neither root, nor you, nor the \
                 owner of state_dir; nothing was sent to it (is `janitor run` running? If that is the daemon's user: \
                 --trust-owner {uid})"
            )),
            // A server that waits before it accepts is not known, and would be believed.
            Server::Nobody if !self.is_named => Err(format!(
                "nobody has accepted the connection to {door} within {} s, so it is not known who answers there (if it is \
                 passed on to elsewhere, name it with --admin {door})",
                ACCEPT.as_secs()
            )),
            _ => Ok(()),
        }
    }

    /// Checks whether this server may get the token.
    ///
    /// # Errors
    /// Fails with the reason in words.
    pub(super) fn check_for_token(&self, door: &Door, server: Server) -> Result<(), String> {
        match server {
            Server::Uid(uid) if self.confided_in.is_trusted(uid) => Ok(()),
            Server::Remote if self.is_named => Ok(()),
            Server::Uid(uid) => Err(format!(
                "the token was not sent to {door}, since that runs as user {uid} (if that is the daemon's user: \
                 --trust-owner {uid})"
            )),
            Server::Unknown | Server::Nobody => Err(format!(
                "the token was not sent to {door}, since the kernel does not tell who listens there (use admin.socket)"
            )),
            Server::Remote => Err(format!(
                "the token was not sent to {door}, since that is another machine (name it with --admin {door})"
            )),
        }
    }
}
