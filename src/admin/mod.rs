//! The admin port: a small HTTP/1.1 server on loopback; and the admin socket, with the same routes.
//!
//! The port and the socket have connection places of their own, so that a port that is flooded leaves the socket
//! answering. A request passes, in this order: the limits on connections and heads ([`serve`]), the wall (is it meant
//! for us, and not from a web page), the token (beyond loopback), the route and its method, the caller (for what
//! changes something or names files: the daemon's user, root or the token), the query, the body (empty or `{}`), the
//! supervisor. A request that is not HTTP/1.1 at all is answered by hyper, without a body.
//!
//! Connections are accepted on a thread of their own (`acceptor`), which knows the user of each before it has a place.
//!
//! The routes are in one table, from which `/openapi.json` is written, too.
//!
//! A manual run of several targets leaves those that are being swept already to their run, and names them under `busy`;
//! the others decide about success. If a run was not done whole, the answer is 200 with `"success":false` and
//! `"error":"run_failed"`. A client that leaves while it waits stops nothing.

mod acceptor;
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
mod threads;
mod visit;
mod wall;
mod wire;

#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;

use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::sync::Semaphore;
use tokio::task::{JoinError, JoinSet};

pub use access::{Access, Token, TokenError};
pub use bulletin::Bulletin;
pub use listen::{BindError, Bound, bind, bind_socket};
pub use peer::PeerUidLookup;
pub use policy::{remarks, sentence};
pub use wire::{Explained, Listed, Previewed, Rule, Run};

use crate::daemon::Handle;
use crate::history::Settler;
use acceptor::Incoming;
use attempts::Attempts;
use connection::{Limits, Stream};
use places::Place;
use seldom::Seldom;
use visit::{Door, Inside, TURNS, Visit};

/// The parts of the daemon behind the port and the socket. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Served {
    /// Handle of the supervisor.
    pub handle: Handle,
    /// Listener for the supervisor's events.
    pub bulletin: Bulletin,
    /// Directory in which the supervisor remembers its runs.
    pub state_dir: PathBuf,
    /// Handle to wait until the runs are written down.
    pub settler: Settler,
}

/// Answers on the port and the socket until `shutdown` is ready. Then nothing new is accepted, and requests that are
/// being worked on have one second to end.
///
/// # Errors
/// Fails, with the reason in words, when the service ends before that.
pub async fn serve(
    bound: Vec<Bound>,
    served: Served,
    access: Access,
    shutdown: impl Future<Output = ()>,
) -> Result<(), String> {
    // The list has 0 twice, when the daemon is root.
    let trusted = vec![0, rustix::process::geteuid().as_raw()];
    let server = Server { limits: Limits::DEFAULT, trusted, lookup: PeerUidLookup::new() };
    server.serve(bound, served, access, shutdown).await
}

/// The server; tests choose other limits and users.
#[derive(Debug)]
struct Server {
    limits: Limits,
    trusted: Vec<u32>,
    lookup: PeerUidLookup,
}

impl Server {
    async fn serve(
        self,
        bound: Vec<Bound>,
        served: Served,
        access: Access,
        shutdown: impl Future<Output = ()>,
    ) -> Result<(), String> {
        let Self { limits, trusted, lookup } = self;
        let mut shutdown = pin!(shutdown);
        let started = acceptor::start(bound, &limits, trusted.clone(), lookup);
        let (accepting, mut incoming) = started.map_err(|error| format!("they cannot be served: {error}"))?;
        let Served { handle, bulletin, state_dir, settler } = served;
        let door = Arc::new(Door {
            inside: Inside { handle, bulletin, state_dir: state_dir.into(), settler },
            access,
            attempts: Attempts::new(limits.wrong_tokens),
            trusted,
            turns: Semaphore::new(TURNS),
            body_time: limits.body,
            denials: Seldom::default(),
        });
        let graceful = GracefulShutdown::new();
        // Dropping the set ends the tasks that are left in it.
        let mut tasks = JoinSet::new();
        loop {
            tokio::select! {
                () = &mut shutdown => break,
                Some(ended) = tasks.join_next() => note_panic(ended),
                accepted = incoming.recv() => {
                    let Some(Incoming { stream, peer, place, wall }) = accepted else {
                        return Err("the thread that accepts connections ended".to_owned());
                    };
                    let visit = Visit { door: door.clone(), wall, peer: Arc::new(peer) };
                    tasks.spawn(answer(stream, visit, place, limits, graceful.watcher()));
                }
            }
        }
        drop(accepting);
        // The channel ends once nothing is listened on any more. A connection that has come in at the last moment is
        // not served.
        while incoming.recv().await.is_some() {}
        if tokio::time::timeout(limits.drain, graceful.shutdown()).await.is_err() {
            tracing::debug!("Admin connections were still open at the end");
        }
        tasks.shutdown().await;
        Ok(())
    }
}

/// Answers the requests of one connection.
async fn answer(stream: Stream, visit: Visit, _place: Place, limits: Limits, watcher: Watcher) {
    connection::serve(stream, &limits, watcher, |request| {
        let visit = visit.clone();
        async move { visit.answer(request).await.into_response() }
    })
    .await;
}

/// Logs a panic, which ends the connection that it happened on, and nothing else.
fn note_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!("An admin connection failed inside the daemon: {error}");
    }
}
