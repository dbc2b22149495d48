//! Threads for requests that may have to wait for a disk, so that nobody else waits with them.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use hyper::StatusCode;
use tokio::sync::{Semaphore, oneshot};

use super::answer::Answer;

/// Time that a request waits for one of the others to be done.
const PATIENCE: Duration = Duration::from_secs(5);

/// Threads for one kind of request. A few run at once, so that no number of requests fills the process with threads
/// that hang.
#[derive(Debug)]
pub(super) struct Threads(Semaphore);

impl Threads {
    pub(super) const fn new(most: usize) -> Self {
        Self(Semaphore::const_new(most))
    }

    /// Runs the work on a thread of its own. A caller that leaves stops nothing.
    ///
    /// # Errors
    /// Fails with 503 when as many are at work as may be, or the system has no thread; with 500 when the work panicked.
    pub(super) async fn run<T: Send + 'static>(
        &'static self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Answer> {
        let Ok(Ok(place)) = tokio::time::timeout(PATIENCE, self.0.acquire()).await else {
            let message = "other requests of this kind wait for a disk; try again later";
            return Err(Answer::error(StatusCode::SERVICE_UNAVAILABLE, "busy", message));
        };
        run(move || {
            // The permit is held until the work has ended, also where the caller has left.
            let _place = place;
            work()
        })
        .await
    }
}

/// Runs the work on a thread of its own, however many there are.
///
/// # Errors
/// Fails with 503 when the system has no thread; with 500 when the work panicked.
pub(super) async fn run<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Answer> {
    let (done, result) = oneshot::channel();
    let work = move || drop(done.send(catch_unwind(AssertUnwindSafe(work)).ok()));
    if let Err(error) = std::thread::Builder::new().name("admin-work".to_owned()).spawn(work) {
        let message = format!("cannot start a thread: {error}; try again later");
        return Err(Answer::error(StatusCode::SERVICE_UNAVAILABLE, "no_thread", message));
    }
    // The hook for panics has logged the message of the panic.
    result.await.ok().flatten().ok_or_else(Answer::internal)
}
