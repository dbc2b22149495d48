//! One connection, with its limits of time and size.

use std::convert::Infallible;
use std::io;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::Watcher;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};

use super::answer::Sent;
use crate::clock::{self, Mark};

/// Limits of the port, and of the socket.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Time for the head of a request, and time for which a connection may wait for its next request.
    pub(super) head: Duration,
    /// Time for the body of a request.
    pub(super) body: Duration,
    /// Time for which nothing may happen on a connection while no request is being worked on. A client that does not
    /// read its answers is not waited for longer.
    pub(super) silence: Duration,
    /// Number of connections there may be, whoever has them.
    pub(super) open: usize,
    /// Number of connections of the second half that one caller may have.
    pub(super) share: usize,
    /// Number of further connections for root and the daemon's own user, so that nobody can lock them out.
    pub(super) reserved: usize,
    /// Number of wrong tokens of one caller that is too many.
    pub(super) wrong_tokens: u32,
    /// Time for requests that are being worked on once the daemon shuts down.
    pub(super) drain: Duration,
}

impl Limits {
    pub(super) const DEFAULT: Self = Self {
        head: Duration::from_secs(5),
        body: Duration::from_secs(10),
        silence: Duration::from_secs(15),
        open: 48,
        share: 8,
        reserved: 16,
        wrong_tokens: 5,
        drain: Duration::from_secs(1),
    };
}

/// Size of the largest head of a request, in bytes. hyper answers 431 to larger ones.
const HEAD_SIZE: usize = 16 * 1024;

/// Maximum number of headers of a request. hyper answers 431 to more.
const HEADERS: usize = 64;

/// Time at which something last happened on a connection, and whether a request is being worked on.
#[derive(Clone, Debug)]
struct Activity(Arc<Seen>);

#[derive(Debug)]
struct Seen {
    last: Mutex<Mark>,
    at_work: AtomicUsize,
}

/// Guard for the time in which a request is being worked on.
struct AtWork(Activity);

impl Activity {
    fn new() -> Self {
        Self(Arc::new(Seen { last: Mutex::new(clock::mark()), at_work: AtomicUsize::new(0) }))
    }

    fn now(&self) {
        *self.0.last.lock().unwrap_or_else(PoisonError::into_inner) = clock::mark();
    }

    fn at_work(&self) -> AtWork {
        self.0.at_work.fetch_add(1, Ordering::Relaxed);
        AtWork(self.clone())
    }

    /// Returns for how long nothing has happened.
    fn silent_for(&self) -> Duration {
        if self.0.at_work.load(Ordering::Relaxed) > 0 {
            return Duration::ZERO;
        }
        self.0.last.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Waits until nothing has happened for this long.
    async fn silence(&self, limit: Duration) {
        while let Some(rest) = limit.checked_sub(self.silent_for()).filter(|rest| !rest.is_zero()) {
            tokio::time::sleep(rest).await;
        }
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.now();
        self.0.0.at_work.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A connection as it was accepted.
#[derive(Debug)]
pub(super) enum Stream {
    Port(TcpStream),
    Socket(UnixStream),
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Port(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Socket(stream) => Pin::new(stream).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Port(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Socket(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Port(stream) => Pin::new(stream).poll_flush(cx),
            Self::Socket(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Port(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Socket(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

/// A stream that notes when bytes pass.
struct Wire {
    stream: Stream,
    activity: Activity,
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let read = ready!(Pin::new(&mut self.stream).poll_read(cx, buffer));
        self.activity.now();
        Poll::Ready(read)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = ready!(Pin::new(&mut self.stream).poll_write(cx, bytes));
        self.activity.now();
        Poll::Ready(written)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Serves one connection to its end. Errors on the connection are its client's affair.
pub(super) async fn serve<F>(
    stream: Stream,
    limits: &Limits,
    shutdown: Watcher,
    answer: impl Fn(Request<Incoming>) -> F,
) where
    F: Future<Output = Response<Sent>>,
{
    let activity = Activity::new();
    let service = service_fn(|request| {
        let at_work = activity.at_work();
        let answer = answer(request);
        async move {
            let answer = answer.await;
            drop(at_work);
            Ok::<_, Infallible>(answer)
        }
    });
    let wire = TokioIo::new(Wire { stream, activity: activity.clone() });
    let connection = http1::Builder::new()
        // Without a timer the time limit for heads would be a panic (or, left unset, no limit at all).
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(HEAD_SIZE)
        .max_headers(HEADERS)
        .serve_connection(wire, service);
    tokio::select! {
        ended = pin!(shutdown.watch(connection)) => {
            if let Err(error) = ended {
                tracing::debug!("An admin connection ended: {error}");
            }
        }
        () = activity.silence(limits.silence) => tracing::debug!("An admin connection was silent for too long"),
    }
}
