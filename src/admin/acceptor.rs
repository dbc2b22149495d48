//! Acceptance of connections, on a thread of its own that does nothing else and waits for nobody.
//!
//! Whoever floods the port fills the queue of the kernel, from which connections come in turn. So this thread has to be
//! quicker than the flood. It asks the kernel for the user of each connection, takes a place for the connection or
//! turns it away, and goes on, whatever the requests on other connections cost.

use std::collections::VecDeque;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SendFlags, Shutdown, SocketFlags, accept_with, acceptfrom_with, send, shutdown};
use tokio::runtime::Handle;
use tokio::sync::mpsc;

use super::answer::Answer;
use super::caller::Who;
use super::connection::{Limits, Stream};
use super::listen::{Bound, Listener};
use super::peer::{Peer, PeerUidLookup};
use super::places::{Place, Places};
use super::seldom::Seldom;
use super::wall::Wall;
use crate::clock;
use crate::names::Escaped;

/// Maximum number of connections accepted in one go from one listener, before the others have their turn.
const BATCH: usize = 128;

/// Pause when a connection cannot be accepted, most likely for want of file descriptors.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

/// Interval between looks whether the socket still has its name, and the time that the thread sleeps for that.
const LOOK: Duration = Duration::from_secs(5);
const UNTIL_LOOK: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// Time in which a client that is turned away can read the answer.
const TURNED_AWAY: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };

/// Maximum number of connections held open to be turned away.
const MOST_TURNED_AWAY: usize = 32;

/// Flags of accepted sockets.
const FLAGS: SocketFlags = SocketFlags::CLOEXEC.union(SocketFlags::NONBLOCK);

/// A connection that has a place.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) stream: Stream,
    pub(super) peer: Peer,
    pub(super) place: Place,
    pub(super) wall: Wall,
}

/// Guard that lets the thread accept until dropped.
#[derive(Debug)]
pub(super) struct Accepting {
    _open: UnixStream,
}

/// State of the thread.
#[derive(Debug)]
struct Acceptor {
    entrances: Vec<Entrance>,
    stop: UnixStream,
    admission: Admission,
}

/// One socket that is listened on.
#[derive(Debug)]
struct Entrance {
    listener: Listener,
    wall: Wall,
    /// Places, shared by the sockets of one port.
    places: Arc<Places>,
}

/// State that decides about connections.
#[derive(Debug)]
struct Admission {
    /// Users who get a place when nobody else does.
    trusted: Vec<u32>,
    lookup: PeerUidLookup,
    runtime: Handle,
    to: mpsc::UnboundedSender<Incoming>,
    failures: Seldom,
    turned_away: TurnedAway,
}

/// Starts the thread. Its connections come out of the receiver, which ends when nothing is listened on any more.
///
/// # Errors
/// Fails when the system has no thread or no descriptor left.
pub(super) fn start(
    bound: Vec<Bound>,
    limits: &Limits,
    trusted: Vec<u32>,
    lookup: PeerUidLookup,
) -> io::Result<(Accepting, mpsc::UnboundedReceiver<Incoming>)> {
    let (open, stop) = UnixStream::pair()?;
    let (to, incoming) = mpsc::unbounded_channel();
    let entrances = bound.into_iter().flat_map(|Bound { listeners, wall, .. }| {
        let places = Arc::new(Places::new(limits));
        listeners.into_iter().map(move |listener| Entrance { listener, wall, places: places.clone() })
    });
    let entrances = entrances.collect();
    let admission = Admission {
        trusted,
        lookup,
        runtime: Handle::current(),
        to,
        failures: Seldom::default(),
        turned_away: TurnedAway::default(),
    };
    let acceptor = Acceptor { entrances, stop, admission };
    let dispatch = tracing::dispatcher::get_default(Clone::clone);
    std::thread::Builder::new()
        .name("admin-accept".to_owned())
        .spawn(move || tracing::dispatcher::with_default(&dispatch, || acceptor.run()))?;
    Ok((Accepting { _open: open }, incoming))
}

impl Acceptor {
    fn run(self) {
        // The variables are dropped from the last to the first: when the channel ends, the name of the socket has gone.
        let Self { mut admission, stop, mut entrances } = self;
        let mut looked = clock::mark();
        loop {
            if looked.elapsed() >= LOOK {
                looked = clock::mark();
                entrances.iter_mut().for_each(|entrance| admission.renew(entrance));
            }
            let mut polled: Vec<PollFd<'_>> =
                entrances.iter().map(|entrance| PollFd::new(&entrance.listener, PollFlags::IN)).collect();
            polled.push(PollFd::new(&stop, PollFlags::IN));
            let has_socket = entrances.iter().any(|entrance| entrance.listener.path().is_some());
            let patience = match (admission.turned_away.0.is_empty(), has_socket) {
                (false, _) => Some(&TURNED_AWAY),
                (true, true) => Some(&UNTIL_LOOK),
                (true, false) => None,
            };
            match poll(&mut polled, patience) {
                Ok(0) => admission.turned_away.0.clear(),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return tracing::error!("The admin port and socket are served no more: {error}"),
            }
            // Nothing is ever sent to `stop`: an event means that its other end was dropped.
            if polled.pop().is_none_or(|stop| !stop.revents().is_empty()) {
                return;
            }
            let mut failed = None;
            for (entrance, polled) in entrances.iter().zip(&polled) {
                if !polled.revents().is_empty() {
                    failed = failed.or(admission.accept(entrance).err());
                }
            }
            let Some(error) = failed else { continue };
            admission.turned_away.0.clear();
            if let Some(held_back) = admission.failures.now() {
                tracing::warn!("Cannot accept an admin connection: {error}{held_back}");
            }
            // This wait ends early only to stop, which the next round sees.
            _ = poll(&mut [PollFd::new(&stop, PollFlags::IN)], Some(&PAUSE));
        }
    }
}

impl Admission {
    /// Makes a socket anew whose name somebody has removed.
    fn renew(&mut self, entrance: &mut Entrance) {
        match entrance.listener.renew() {
            Ok(false) => {}
            Ok(true) => {
                let path = entrance.listener.path().unwrap_or(Path::new(""));
                tracing::warn!(
                    "The admin socket was removed, and is made again: {}",
                    Escaped(path.as_os_str().as_bytes())
                );
            }
            Err(error) => {
                if let Some(held_back) = self.failures.now() {
                    tracing::warn!("The admin socket was removed, and cannot be made again: {error}{held_back}");
                }
            }
        }
    }

    /// Accepts the connections that wait, up to a number, and decides about each.
    ///
    /// # Errors
    /// Fails when a connection that waits cannot be accepted.
    fn accept(&mut self, entrance: &Entrance) -> io::Result<()> {
        // Streams are made for the runtime that is entered here.
        let runtime = self.runtime.clone();
        let _entered = runtime.enter();
        match &entrance.listener {
            Listener::Port(listener) => {
                let (accepted, failed) = batch(|| {
                    let (stream, address) = acceptfrom_with(listener, FLAGS)?;
                    let address = address.and_then(|address| SocketAddr::try_from(address).ok());
                    Ok((TcpStream::from(stream), address.ok_or(Errno::NOTCONN)?))
                });
                let peers = self.lookup.peers(accepted.iter().map(|(stream, address)| (stream, *address)));
                for ((stream, _), peer) in accepted.into_iter().zip(peers) {
                    if let Some(place) = self.place(entrance, peer.who()) {
                        let stream = tokio::net::TcpStream::from_std(stream)?;
                        self.admit(entrance, Stream::Port(stream), peer, place);
                    } else {
                        self.turned_away.add(stream.into());
                    }
                }
                failed
            }
            Listener::Socket(listener, _) => {
                let (accepted, failed) = batch(|| accept_with(listener, FLAGS));
                for stream in accepted {
                    let stream = tokio::net::UnixStream::from_std(stream.into())?;
                    let peer = Peer::of_socket(&stream)?;
                    match self.place(entrance, peer.who()) {
                        Some(place) => self.admit(entrance, Stream::Socket(stream), peer, place),
                        None => self.turned_away.add(stream.into_std()?.into()),
                    }
                }
                failed
            }
        }
    }

    fn place(&self, entrance: &Entrance, who: Who) -> Option<Place> {
        entrance.places.take(who, matches!(who, Who::Uid(uid) if self.trusted.contains(&uid)))
    }

    fn admit(&self, entrance: &Entrance, stream: Stream, peer: Peer, place: Place) {
        // Nobody receives the connection when the daemon ends.
        self.to.send(Incoming { stream, peer, place, wall: entrance.wall }).ok();
    }
}

/// Accepts until no connection waits, or enough have come for once.
fn batch<T>(mut accept: impl FnMut() -> Result<T, Errno>) -> (Vec<T>, io::Result<()>) {
    let mut accepted = Vec::new();
    for _ in 0..BATCH {
        match accept() {
            Ok(one) => accepted.push(one),
            Err(Errno::AGAIN) => break,
            // This connection has gone while it waited; the next may be there.
            Err(Errno::INTR | Errno::CONNABORTED | Errno::CONNRESET | Errno::NOTCONN) => {}
            // The connections that have come are served first; some descriptors may come back with them.
            Err(_) if !accepted.is_empty() => break,
            Err(error) => return (accepted, Err(error.into())),
        }
    }
    (accepted, Ok(()))
}

/// Connections that were turned away last. Were they closed at once, what their clients send would be answered with a
/// reset, and the clients might never read why they were turned away.
#[derive(Debug, Default)]
struct TurnedAway(VecDeque<OwnedFd>);

impl TurnedAway {
    /// Tells a client that there is no place, if that can be sent at once.
    fn add(&mut self, stream: OwnedFd) {
        let message = "too many connections; try again later";
        let body = Answer::error(StatusCode::SERVICE_UNAVAILABLE, "too_many_connections", message).into_body();
        let head = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nconnection: close\r\n";
        let mut bytes = format!("{head}content-length: {}\r\n\r\n", body.len()).into_bytes();
        bytes.extend(body);
        let sent = send(&stream, &bytes, SendFlags::NOSIGNAL).and_then(|_| shutdown(&stream, Shutdown::Write));
        if let Err(error) = sent {
            return tracing::debug!("Cannot turn an admin connection away: {error}");
        }
        if self.0.len() == MOST_TURNED_AWAY {
            self.0.pop_front();
        }
        self.0.push_back(stream);
    }
}
