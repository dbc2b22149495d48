//! The admin port: a small HTTP/1.1 server on loopback; and the admin socket, with the same routes.
//!
//! Each has connection places of its own, so that a port that is flooded leaves the socket answering. A request passes, in this order: the limits on connections and heads ([`serve`]), the wall (is it meant for us, and
//! not from a web page), the token (beyond loopback), the route and its method, the caller (for what changes
//! something or names files: the daemon's user, root or the token), the query, the body (read and ignored), the supervisor. What is
//! not HTTP/1.1 at all is answered by hyper, without a body.
//!
//! The routes are in one table, from which `/openapi.json` is written, too.
//!
//! A manual run of several targets leaves those that are being swept already to that, and names them under `busy`; the
//! others decide about success. If a run was not done whole, the answer is 200 with `"success":false` and
//! `"error":"run_failed"`. A client that leaves while it waits stops nothing.

mod access;
mod answer;
mod attempts;
mod bulletin;
mod caller;
mod changes;
mod connection;
mod events;
mod feed;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod inquiry;
mod listen;
mod metrics;
mod openapi;
mod page;
mod peer;
mod places;
mod policy;
mod query;
mod records;
mod roster;
mod routes;
mod seldom;
mod visit;
mod wall;
mod wire;

#[cfg(test)]
mod tests;

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};

pub use access::{Access, Token, TokenError};
pub use bulletin::Bulletin;
pub use listen::{BindError, Bound, bind, bind_socket};
pub use policy::{remarks, sentence};
pub use wire::{Explained, Listed, Previewed, Rule, Run};

use crate::daemon::Handle;
use answer::Answer;
use attempts::Attempts;
use caller::Who;
use connection::{Limits, Stream};
use listen::Listener;
use peer::Callers;
use places::{Place, Places};
use seldom::Seldom;
use visit::{Door, Inside, Visit};
use wall::Wall;

/// How long to wait when a connection cannot be accepted, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What is behind the port and the socket.
#[derive(Debug)]
pub struct Served {
    /// The supervisor.
    pub handle: Handle,
    /// What it tells.
    pub bulletin: Bulletin,
    /// Where it remembers its runs.
    pub state_dir: PathBuf,
}

/// Answers on the port and the socket until `shutdown` is ready. Then nothing new is accepted, and what is being worked
/// on has one second to end.
pub async fn serve(bound: Vec<Bound>, served: Served, access: Access, shutdown: impl Future<Output = ()>) {
    // 0 twice, when the daemon is root.
    let trusted = vec![0, rustix::process::geteuid().as_raw()];
    Server { limits: Limits::DEFAULT, trusted, tables: Callers::kernel_tables() }
        .serve(bound, served, access, shutdown)
        .await;
}

/// The server; tests choose other limits and users.
#[derive(Debug)]
struct Server {
    limits: Limits,
    trusted: Vec<u32>,
    tables: Vec<PathBuf>,
}

impl Server {
    async fn serve(self, bound: Vec<Bound>, served: Served, access: Access, shutdown: impl Future<Output = ()>) {
        let limits = self.limits;
        let (callers, reader) = Callers::new(self.tables);
        let Served { handle, bulletin, state_dir } = served;
        let door = Arc::new(Door {
            inside: Inside { handle, bulletin, state_dir: state_dir.into() },
            access,
            attempts: Attempts::new(limits.wrong_tokens),
            callers,
            trusted: self.trusted,
            body_time: limits.body,
            denials: Seldom::default(),
        });
        let reader = tokio::spawn(reader);
        // With the sender gone, the doorways close.
        let (open, closing) = watch::channel(());
        let mut doorways = JoinSet::new();
        for bound in bound {
            let doorway = Doorway { door: door.clone(), wall: bound.wall, limits };
            doorways.spawn(doorway.serve(bound, closing.clone()));
        }
        shutdown.await;
        drop(open);
        while let Some(ended) = doorways.join_next().await {
            note_panic(ended);
        }
        reader.abort();
    }
}

/// The port, or the socket.
struct Doorway {
    door: Arc<Door>,
    wall: Wall,
    limits: Limits,
}

impl Doorway {
    async fn serve(self, bound: Bound, mut closing: watch::Receiver<()>) {
        let Self { door, wall, limits } = self;
        let listener = match Listener::new(bound) {
            Ok(listener) => listener,
            Err(error) => return tracing::error!("The admin port or socket cannot be served: {error}"),
        };
        let places = Arc::new(Places::new(&limits));
        let graceful = GracefulShutdown::new();
        let failures = Seldom::default();
        // Dropping the set ends what is left in it.
        let mut tasks = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                _ = closing.changed() => break,
                Some(ended) = tasks.join_next() => {
                    note_panic(ended);
                    continue;
                }
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let visit = Visit { door: door.clone(), wall, peer: Arc::new(peer) };
                    let arrival = Arrival { stream, visit, limits, watcher: graceful.watcher() };
                    arrival.settle(&places, &mut tasks);
                }
                // It has gone while it waited; the next one may be there.
                Err(error) if has_gone(&error) => {}
                Err(error) => {
                    if let Some(held_back) = failures.now() {
                        tracing::warn!("Cannot accept an admin connection: {error}{held_back}");
                    }
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
        drop(listener);
        if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
            tracing::debug!("Admin connections were still open at the end");
        }
        tasks.shutdown().await;
    }
}

/// Whether an error is about one connection only, whose client has left before it was accepted.
fn has_gone(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionReset, NotConnected};
    matches!(error.kind(), ConnectionAborted | ConnectionReset | NotConnected)
}

/// A panic ends the connection that it happened on, and nothing else.
fn note_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("An admin connection failed inside the daemon: {error}");
    }
}

/// A connection that was just accepted.
struct Arrival {
    stream: Stream,
    visit: Visit,
    limits: Limits,
    watcher: Watcher,
}

impl Arrival {
    /// Finds a place for it: while half of them are free, one of these; after that one for which has to be known who it
    /// is. Whoever finds none is turned away.
    fn settle(self, places: &Arc<Places>, tasks: &mut JoinSet<()>) {
        if let Some(place) = places.unasked() {
            tasks.spawn(self.serve(place));
        } else if let Some(waiting) = places.screened() {
            let places = places.clone();
            tasks.spawn(async move {
                let Door { trusted, callers, .. } = &*self.visit.door;
                let who = self.visit.peer.who(callers).await;
                let is_trusted = matches!(who, Who::Uid(uid) if trusted.contains(&uid));
                let place = places.of(who, is_trusted);
                drop(waiting);
                match place {
                    Some(place) => self.serve(place).await,
                    None => self.turn_away(),
                }
            });
        } else {
            self.turn_away();
        }
    }

    async fn serve(self, _place: Place) {
        let Self { stream, visit, limits, watcher } = self;
        connection::serve(stream, &limits, watcher, |request| {
            let visit = visit.clone();
            async move { visit.answer(request).await.into_response() }
        })
        .await;
    }

    /// Says that there is no place, if that can be said at once.
    fn turn_away(self) {
        let message = "too many connections; try again later";
        let body = Answer::error(StatusCode::SERVICE_UNAVAILABLE, "too_many_connections", message).into_body();
        let head = "HTTP/1.1 503 Service Unavailable\r\ncontent-type: application/json\r\nconnection: close\r\n";
        let mut bytes = format!("{head}content-length: {}\r\n\r\n", body.len()).into_bytes();
        bytes.extend(body);
        if let Err(error) = self.stream.try_write(&bytes) {
            tracing::debug!("Cannot turn an admin connection away: {error}");
        }
    }
}
