//! A thread that is started once and runs jobs one after the other.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;

use tokio::sync::oneshot;

type Job = Box<dyn FnOnce() + Send>;

/// Thread for work that may wait for a disk. A pool, which starts its threads on demand, would have none when the limit
/// of threads is reached.
#[derive(Debug)]
pub(super) struct Worker {
    name: &'static str,
    /// Channel to the thread; `None` while the thread could not be started.
    jobs: Option<mpsc::Sender<Job>>,
}

impl Worker {
    /// Starts the thread. If that fails, each job tries again.
    pub(super) fn start(name: &'static str) -> Self {
        Self { name, jobs: spawn(name).ok() }
    }

    /// Runs the work on the thread, after the jobs before it.
    ///
    /// # Errors
    /// Fails with a text when the system has no thread, or the work panicked.
    pub(super) async fn run<T: Send + 'static>(
        &mut self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, String> {
        let (done, result) = oneshot::channel();
        // A panic ends this job, not the thread. The requester may have gone.
        let job = move || drop(done.send(catch_unwind(AssertUnwindSafe(work))));
        let jobs = match self.jobs.take() {
            Some(jobs) => jobs,
            None => spawn(self.name).map_err(|error| format!("cannot start a thread: {error}"))?,
        };
        let gone = || format!("the thread `{}` has ended", self.name);
        let sent = jobs.send(Box::new(job));
        self.jobs = sent.is_ok().then_some(jobs);
        match result.await {
            Ok(Ok(done)) => Ok(done),
            Ok(Err(_)) => Err("it panicked, which is a bug in the janitor; the log has its words".to_owned()),
            Err(_) => Err(gone()),
        }
    }
}

fn spawn(name: &'static str) -> io::Result<mpsc::Sender<Job>> {
    let (jobs, told) = mpsc::channel::<Job>();
    std::thread::Builder::new().name(name.to_owned()).spawn(move || told.into_iter().for_each(|job| job()))?;
    Ok(jobs)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(work)
    }

    #[test]
    fn a_job_that_panics_ends_neither_the_thread_nor_the_next_job() {
        let mut worker = Worker::start("test");
        let id = || std::thread::current().id();
        let before = block_on(worker.run(id)).expect("done");
        let failed = block_on(worker.run(|| std::panic::resume_unwind(Box::new("on purpose"))));
        let failed: Result<(), String> = failed;
        assert!(failed.expect_err("it panicked").contains("panicked"));
        assert_eq!(block_on(worker.run(id)), Ok(before));
    }
}
