//! Access with a deadline to paths that may lie on a file system that does not answer (a dead server).
//!
//! A system call on such a path cannot be interrupted by the process that made it. So it is made on another thread,
//! which is abandoned when it takes too long. While a thread is known to hang at a path, no other is sent there: at
//! most one thread hangs for each path. A thread that has not hung serves the next request.

use std::fmt;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::confine::is_confined;
use crate::clock;
use crate::names::Escaped;

/// Error of a path that could not be accessed in time.
#[derive(Debug)]
pub struct Unreachable {
    path: PathBuf,
    why: Why,
}

#[derive(Debug)]
enum Why {
    NoAnswer,
    NoThread(io::Error),
    Panicked,
}

impl fmt::Display for Unreachable {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = Escaped(self.path.as_os_str().as_encoded_bytes());
        match &self.why {
            Why::NoAnswer => write!(out, "unreachable: `{path}` does not answer (is its server dead?)"),
            Why::NoThread(error) => write!(out, "cannot start a thread to look at `{path}`: {error}"),
            Why::Panicked => write!(out, "looking at `{path}` panicked, which is a bug in the janitor"),
        }
    }
}

impl std::error::Error for Unreachable {}

/// Visit of one thread to one path.
#[derive(Debug)]
struct Visit {
    id: u64,
    /// Path that was requested.
    path: PathBuf,
    /// Path being accessed: the requested path, or a directory on the way to it.
    at: PathBuf,
    /// Whether the requester has given up.
    is_late: bool,
}

static VISITS: Mutex<Vec<Visit>> = Mutex::new(Vec::new());

/// Notified when a late thread comes back.
static BACK: Condvar = Condvar::new();

type Job = Box<dyn FnOnce() + Send>;

/// Channel to the idle thread that waits for the next job.
static IDLE: Mutex<Option<Sender<Job>>> = Mutex::new(None);

fn visits() -> MutexGuard<'static, Vec<Visit>> {
    VISITS.lock().unwrap_or_else(PoisonError::into_inner)
}

fn idle() -> MutexGuard<'static, Option<Sender<Job>>> {
    IDLE.lock().unwrap_or_else(PoisonError::into_inner)
}

fn hangs_at(visits: &[Visit], path: &Path) -> bool {
    visits.iter().any(|visit| visit.is_late && path.starts_with(&visit.at))
}

/// Returns whether a thread hangs at this path, or at a directory on the way to it, right now. Makes no system call on
/// the path.
#[must_use]
pub fn is_unreachable(path: &Path) -> bool {
    hangs_at(&visits(), path)
}

impl Visit {
    fn new(id: u64, path: &Path) -> Self {
        Self { id, path: path.to_path_buf(), at: path.to_path_buf(), is_late: false }
    }

    /// Records the start of a visit, unless it is recorded already.
    fn begin(id: u64, path: &Path) {
        let mut visits = visits();
        if visits.iter().all(|visit| visit.id != id) {
            visits.push(Self::new(id, path));
        }
    }

    fn is_at(id: u64, at: &Path) {
        if let Some(visit) = visits().iter_mut().find(|visit| visit.id == id) {
            visit.at = at.to_path_buf();
        }
    }

    fn end(id: u64) {
        visits().retain(|visit| visit.id != id);
        BACK.notify_all();
    }

    /// Gives up on a thread. Returns whether the thread is still there.
    fn give_up(id: u64, path: &Path) -> bool {
        match visits().iter_mut().find(|visit| visit.id == id && visit.path == path) {
            Some(visit) => {
                visit.is_late = true;
                true
            }
            None => false,
        }
    }
}

/// Accesses the directories on the way one by one, so that the one that does not answer is known. The walk ends at a
/// symbolic link, behind which a path leads elsewhere than its text says.
fn walk_up_to(id: u64, path: &Path) {
    let mut way: Vec<&Path> = path.ancestors().skip(1).collect();
    way.reverse();
    for directory in way {
        Visit::is_at(id, directory);
        if directory.symlink_metadata().map_or(true, |about| about.is_symlink()) {
            break;
        }
    }
    Visit::is_at(id, path);
}

/// Hands a job to the idle thread, or starts a thread.
fn hand_over(mut job: Job) -> io::Result<()> {
    if let Some(thread) = idle().take() {
        match thread.send(job) {
            Ok(()) => return Ok(()),
            Err(unsent) => job = unsent.0,
        }
    }
    let (jobs, told) = channel::<Job>();
    let work = move || {
        let mut next = Some(job);
        while let Some(job) = next {
            job();
            let mut idle = idle();
            if idle.is_some() {
                return;
            }
            *idle = Some(jobs.clone());
            drop(idle);
            next = told.recv().ok();
        }
    };
    std::thread::Builder::new().name("reach".to_owned()).spawn(work).map(drop)
}

/// Calls `work` on each of the paths and passes the results to `each`, in their order, until `each` returns `false`.
/// Each path has `limit` to answer. A thread that hangs is left behind, and another thread takes the next paths.
pub fn each_within<T: Send + 'static>(
    limit: Duration,
    paths: Vec<PathBuf>,
    work: impl Fn(&Path) -> T + Send + Sync + 'static,
    each: impl FnMut(usize, Result<T, Unreachable>) -> bool,
) {
    each_from(new_id(), limit, paths, work, each);
}

fn new_id() -> u64 {
    static IDS: AtomicU64 = AtomicU64::new(0);
    IDS.fetch_add(1, Ordering::Relaxed)
}

/// Works like [`each_within`]; `id` is that of the first thread.
fn each_from<T: Send + 'static>(
    mut id: u64,
    limit: Duration,
    paths: Vec<PathBuf>,
    work: impl Fn(&Path) -> T + Send + Sync + 'static,
    mut each: impl FnMut(usize, Result<T, Unreachable>) -> bool,
) {
    if is_confined() {
        // A thread started here would be confined, too, for ever.
        let mut all = paths.iter().enumerate();
        all.all(|(at, path)| each(at, Ok(work(path))));
        return;
    }
    let (paths, work) = (Arc::new(paths), Arc::new(work));
    let mut next = 0;
    while next < paths.len() {
        let failed = |why| Err(Unreachable { path: paths[next].clone(), why });
        if is_unreachable(&paths[next]) {
            if !each(next, failed(Why::NoAnswer)) {
                return;
            }
            next += 1;
            continue;
        }
        let (done, answers) = channel();
        let (all, work, first) = (paths.clone(), work.clone(), next);
        let job = move || {
            for path in &all[first..] {
                if is_unreachable(path) {
                    return;
                }
                Visit::begin(id, path);
                walk_up_to(id, path);
                let result = catch_unwind(AssertUnwindSafe(|| work(path)));
                Visit::end(id);
                // Nobody waits for a late thread.
                if done.send(result.ok()).is_err() {
                    return;
                }
            }
        };
        if let Err(error) = hand_over(Box::new(job)) {
            Visit::end(id);
            if !each(next, failed(Why::NoThread(error))) {
                return;
            }
            next += 1;
            continue;
        }
        id = loop {
            if next == paths.len() {
                return;
            }
            let failed = |why| Err(Unreachable { path: paths[next].clone(), why });
            let (answer, goes_on) = match answers.recv_timeout(limit) {
                Ok(answer) => (answer.ok_or(()).or_else(|()| failed(Why::Panicked)), true),
                Err(RecvTimeoutError::Timeout) if Visit::give_up(id, &paths[next]) => (failed(Why::NoAnswer), false),
                // The thread is between two paths: for want of processor time, say.
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => break new_id(),
            };
            if !each(next, answer) {
                return;
            }
            next += 1;
            if !goes_on {
                break new_id();
            }
        };
    }
}

/// Calls `work`, which accesses this path. If a thread is at work there already, this waits for it first.
///
/// # Errors
/// [`Unreachable`] when work and waiting take longer than the limit.
pub fn within<T: Send + 'static>(
    limit: Duration,
    path: &Path,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Unreachable> {
    if is_confined() {
        return Ok(work());
    }
    let no_answer = || Unreachable { path: path.to_path_buf(), why: Why::NoAnswer };
    let began = clock::mark();
    let is_busy = |visits: &mut Vec<Visit>| hangs_at(visits, path) || visits.iter().any(|visit| visit.path == path);
    let waited = BACK.wait_timeout_while(visits(), limit, is_busy);
    let (mut free, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
    if timeout.timed_out() {
        return Err(no_answer());
    }
    let id = new_id();
    free.push(Visit::new(id, path));
    drop(free);
    let work = Mutex::new(Some(work));
    let once = move |_: &Path| work.lock().unwrap_or_else(PoisonError::into_inner).take().map(|work| work());
    let mut done = None;
    let rest = limit.saturating_sub(began.elapsed());
    each_from(id, rest, vec![path.to_path_buf()], once, |_, answer| {
        done = Some(answer);
        true
    });
    done.unwrap_or_else(|| Err(no_answer()))?.ok_or_else(no_answer)
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    /// A path of which looking at it waits for a test.
    fn hanging(name: &str) -> (PathBuf, mpsc::Sender<()>, impl Fn(&Path) -> u32 + Send + Sync + 'static) {
        let path = PathBuf::from(format!("/nowhere/{name}"));
        let (release, released) = mpsc::channel();
        let (released, hung) = (Mutex::new(released), path.clone());
        let work = move |path: &Path| {
            if *path == hung {
                // Until the sender is dropped.
                _ = released.lock().expect("not poisoned").recv();
            }
            1
        };
        (path, release, work)
    }

    #[test]
    fn one_path_that_does_not_answer_holds_up_no_other_and_is_left_alone_until_it_does() {
        let (dead, release, work) = hanging("dead");
        let below = dead.join("below");
        let paths = vec![PathBuf::from("/"), dead.clone(), below.clone(), PathBuf::from("/tmp")];
        let mut answers = Vec::new();
        each_within(Duration::from_millis(200), paths, work, |_, answer| {
            answers.push(answer.map_err(|error| error.to_string()));
            true
        });
        let no_answer = |path: &Path| {
            Err(format!("unreachable: `{}` does not answer (is its server dead?)", path.to_string_lossy()))
        };
        assert_eq!(answers, [Ok(1), no_answer(&dead), no_answer(&below), Ok(1)]);
        assert!(is_unreachable(&dead) && is_unreachable(&below) && !is_unreachable(Path::new("/nowhere")));
        let threads = || visits().iter().filter(|visit| visit.path == dead).count();
        for _ in 0..3 {
            within(Duration::from_millis(20), &dead, || ()).expect_err("it still hangs");
        }
        assert_eq!(threads(), 1);
        drop(release);
        within(Duration::from_secs(60), &dead, || ()).expect("it answers again");
        assert!(!is_unreachable(&dead));
        assert_eq!(threads(), 0);
    }

    #[test]
    fn a_panic_is_told_and_the_others_are_looked_at() {
        let work = |path: &Path| {
            if path == Path::new("/one") {
                std::panic::resume_unwind(Box::new("on purpose"));
            }
        };
        let mut answers = Vec::new();
        each_within(Duration::from_secs(60), vec!["/one".into(), "/two".into()], work, |_, answer| {
            answers.push(answer.is_ok());
            true
        });
        assert_eq!(answers, [false, true]);
    }
}
