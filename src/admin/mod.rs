//! The admin port: a small HTTP/1.1 server on loopback.
//!
//! A request passes, in this order: the limits on connections and heads ([`serve`]), the wall (is it meant for us, and
//! not from a web page), the token (beyond loopback), the route and its method, the caller (for what changes
//! something or names files: the daemon's user, root or the token), the query, the body (read and ignored), the supervisor. What is
//! not HTTP/1.1 at all is answered by hyper, without a body.
//!
//! | route | answers | errors |
//! |---|---|---|
//! | `GET /cleanup/status` | 200, the snapshot | |
//! | `POST /cleanup/manual` `?target= &dry_run= &wait=` | 200 with the reports; `wait=false`: 202 with the runs' ids | 404 `unknown_target`, 409 `running`, 422 `target_disabled` |
//! | `POST /cleanup/start`, `/cleanup/stop` `?target=` | 200 | 404 `unknown_target`, 422 `target_disabled` |
//! | `POST /cleanup/reload` | 200 with what changed | 422 `config_rejected` |
//! | `GET /cleanup/explain` `?path= &target=` | 200 with the verdict on a path | 404 `unknown_target`, `no_such_path`, `not_in_target`, 422 `cannot_explain`, 503 `busy` |
//! | `POST /cleanup/runs/ID/release` `?wait=` | as manual: the held run's target is swept once without that guard | 404 `not_held`, `unknown_target`, 409 `running`, 422 `target_disabled` |
//! | `GET /healthz` | 200 while the process answers | |
//! | `GET /readyz` | 200 | 503 `shutting_down` |
//!
//! HEAD works where GET does. For every route: 400 `bad_request`, 401 `unauthorized`, 403 `forbidden_host`,
//! `forbidden_origin`, `forbidden`, 404 `not_found`, 405 `method_not_allowed`, 408 `request_timeout`,
//! 413 `body_too_large`, 414 `uri_too_long`, 431, 500 `internal`, 503 `shutting_down`, `too_many_connections`.
//!
//! A manual run of several targets leaves those that are being swept already to that, and names them under `busy`; the
//! others decide about success. If a run was not done whole, the answer is 200 with `"success":false` and
//! `"error":"run_failed"`. A client that leaves while it waits stops nothing.

mod access;
mod answer;
mod changes;
mod connection;
mod explain;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod peer;
mod query;
mod routes;
mod seldom;
mod wall;
mod wire;

#[cfg(test)]
mod tests;

use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use tokio::net::TcpStream;
use tokio::task::{JoinError, JoinSet};

pub use access::{Access, Token, TokenError};
pub use explain::Explained;

use crate::daemon::Handle;
use answer::Answer;
use connection::{Limits, Place, Places};
use peer::{Callers, Peer};
use routes::{Door, Visit};
use seldom::Seldom;
use wall::Wall;

/// How long to wait when a connection cannot be accepted, most likely for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A port that is ours, and not served yet.
#[derive(Debug)]
pub struct Bound {
    listener: TcpListener,
    address: SocketAddr,
}

impl Bound {
    /// Its address, with the port that the system chose if it was asked for port 0.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Why a port cannot be listened on.
#[derive(Debug)]
pub struct BindError {
    listen: SocketAddr,
    error: io::Error,
}

impl fmt::Display for BindError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "cannot listen on {}: ", self.listen)?;
        match self.error.kind() {
            io::ErrorKind::AddrInUse => out.write_str("address already in use (is another janitor running?)"),
            _ => write!(out, "{}", self.error),
        }
    }
}

impl std::error::Error for BindError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.error)
    }
}

/// Takes the port. From here on connections queue up; [`serve`] answers them.
///
/// # Errors
/// When the system does not give it to us.
pub fn bind(listen: SocketAddr) -> Result<Bound, BindError> {
    let bind = || {
        // The standard library sets SO_REUSEADDR, so that a restart does not wait for old connections to be forgotten.
        let listener = TcpListener::bind(listen)?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        Ok(Bound { listener, address })
    };
    bind().map_err(|error| BindError { listen, error })
}

/// Answers on the port until `shutdown` is ready. Then nothing new is accepted, and what is being worked on has one
/// second to end.
pub async fn serve(bound: Bound, handle: Handle, access: Access, shutdown: impl Future<Output = ()>) {
    // 0 twice, when the daemon is root.
    let trusted = vec![0, rustix::process::geteuid().as_raw()];
    Server { limits: Limits::DEFAULT, trusted, tables: Callers::kernel_tables() }
        .serve(bound, handle, access, shutdown)
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
    async fn serve(self, bound: Bound, handle: Handle, access: Access, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let wall = match access.is_loopback() {
            true => Wall::Loopback { port: bound.address.port() },
            false => Wall::Beyond,
        };
        let listener = match tokio::net::TcpListener::from_std(bound.listener) {
            Ok(listener) => listener,
            Err(error) => {
                tracing::error!("The admin port cannot be served: {error}");
                return shutdown.await;
            }
        };
        let limits = self.limits;
        let (callers, reader) = Callers::new(self.tables);
        let (trusted, denials) = (self.trusted, Seldom::default());
        let door = Arc::new(Door { handle, access, wall, callers, trusted, body_time: limits.body, denials });
        let places = Arc::new(Places::new(&limits));
        let graceful = GracefulShutdown::new();
        let failures = Seldom::default();
        // Dropping the set ends what is left in it.
        let mut tasks = JoinSet::new();
        let reader = tokio::spawn(reader);
        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => break,
                Some(ended) = tasks.join_next() => {
                    note_panic(ended);
                    continue;
                }
                accepted = listener.accept() => accepted,
            };
            match accepted.and_then(|(stream, address)| Ok((Peer::new(&stream, address)?, stream))) {
                Ok((peer, stream)) => {
                    let visit = Visit { door: door.clone(), peer: Arc::new(peer) };
                    let arrival = Arrival { stream, visit, limits, watcher: graceful.watcher() };
                    arrival.settle(&places, &mut tasks);
                }
                // It has gone while it waited; the next one may be there.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
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
        reader.abort();
    }
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
    stream: TcpStream,
    visit: Visit,
    limits: Limits,
    watcher: Watcher,
}

impl Arrival {
    /// Finds a place for it: while there are open ones, one of these; after that one from the reserve, for those whom
    /// it is for. Whoever finds none is turned away.
    fn settle(self, places: &Arc<Places>, tasks: &mut JoinSet<()>) {
        if let Some(place) = places.open() {
            tasks.spawn(self.serve(place));
        } else if let Some(waiting) = places.screened() {
            let places = places.clone();
            tasks.spawn(async move {
                let Door { trusted, callers, .. } = &*self.visit.door;
                let known = self.visit.peer.uid(callers).await;
                let place = known.filter(|uid| trusted.contains(uid)).and_then(|_| places.reserved());
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
