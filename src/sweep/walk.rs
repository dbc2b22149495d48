//! The walk: from directory to directory by handle, each entry judged, and what goes acted on while the walk goes on.
//!
//! Workers share a queue of directories. Each opens one beneath the root (or beneath the directory it has just read,
//! when it lies in that one: a deep chain then costs no more than a wide tree), collects what an include can name, puts
//! it in the order of the inodes, and works it off; a large directory is handed out to the others in chunks. Iterative,
//! with at most three directories open for each worker.

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use rustix::io::Errno;

use super::act::Act;
use super::batch::{BATCH, Batch, CHUNK, Chunk, Opened, chunks};
use super::event::{At, Event};
use super::queue::{Queue, Waiting, Work};
use super::{Control, Observer, Order};
use crate::entry::{Facts, Kind};
use crate::fsys::{Dir, Found, Listed, ListingBuffer, Root};
use crate::globs::Entered;
use crate::judge;
use crate::report::{Counts, Failures, Outcome, Report};
use crate::verdict::{Because, Reason, Verdict};

/// What the workers of a sweep share.
struct Shared<'a, A> {
    order: &'a Order,
    control: &'a Control,
    observer: &'a Observer<'a>,
    act: &'a A,
    root: &'a Dir,
    queue: Queue,
    /// As many chunks may wait before who reads has to work on some.
    most_chunks: usize,
}

/// One worker, with what it has counted.
struct Worker<'a, A> {
    shared: &'a Shared<'a, A>,
    counts: Counts,
    /// What others have been told of the counts.
    published: Counts,
    failures: Failures,
    /// Directories found in the one that is read.
    found: Vec<Waiting>,
    buffer: ListingBuffer,
    batch: Batch,
}

/// Walks and acts; all of the report but the time it took.
pub(super) fn walk<A: Act>(
    order: &Order,
    control: &Control,
    observer: &Observer<'_>,
    act: &A,
    root: &Root,
    threads: usize,
) -> Report {
    let queue = Queue::default();
    let place = order.target.policy.globs.root();
    queue.add_directories(std::iter::once(Waiting { path: Vec::new(), place }));
    let shared = Shared { order, control, observer, act, root: &root.dir, queue, most_chunks: threads * 2 };
    let mut counts = Counts::default();
    let mut failures = Failures::default();
    let mut merge = |worker: (Counts, Failures)| {
        counts += worker.0;
        failures.merge(worker.1);
    };
    std::thread::scope(|scope| {
        let spawn =
            |_| std::thread::Builder::new().name("sweep".into()).spawn_scoped(scope, || Worker::new(&shared).run());
        // The thread that was asked to sweep is a worker too. Where the system gives no more threads, it works alone.
        let others: Vec<_> = (1..threads).map_while(|thread| spawn(thread).ok()).collect();
        merge(Worker::new(&shared).run());
        for other in others {
            match other.join() {
                Ok(counted) => merge(counted),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    let cancelled = control.cancelled().map(str::to_owned);
    let outcome = match (&cancelled, failures.is_empty()) {
        (Some(_), _) => Outcome::Cancelled,
        (None, true) => Outcome::Done,
        (None, false) => Outcome::Partial,
    };
    Report { counts, failures, message: cancelled, ..order.not_run(outcome, "") }
}

/// The path of the directory that holds `path`, and the last name in it.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// Whether the error says that the entry is no longer what was listed: gone, or replaced by something else.
fn is_gone(error: &io::Error) -> bool {
    let gone = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP, Errno::ISDIR];
    gone.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Says that a worker is done, also when it panics, so that the others do not wait for it.
struct Busy<'a>(&'a Queue);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.done();
    }
}

impl<'a, A: Act> Worker<'a, A> {
    fn new(shared: &'a Shared<'a, A>) -> Self {
        Self {
            shared,
            counts: Counts::default(),
            published: Counts::default(),
            failures: Failures::default(),
            found: Vec::new(),
            buffer: ListingBuffer::new(),
            batch: Batch::default(),
        }
    }

    fn run(mut self) -> (Counts, Failures) {
        while let Some(work) = self.shared.queue.next() {
            let _busy = Busy(&self.shared.queue);
            match work {
                Work::Chunk(chunk) => self.chunk(&chunk),
                Work::Directory(waiting) => self.down_from(waiting),
            }
            self.publish();
        }
        (self.counts, self.failures)
    }

    fn is_cancelled(&self) -> bool {
        self.shared.control.cancelled().is_some()
    }

    fn publish(&mut self) {
        self.shared.control.progress.add(self.counts, self.published);
        self.published = self.counts;
    }

    /// Reads a directory, then one of those in it, and so on down; the others wait for whoever has time.
    fn down_from(&mut self, first: Waiting) {
        let mut last: Option<Arc<Opened>> = None;
        let mut next = Some(first);
        while let Some(waiting) = next.take() {
            if self.is_cancelled() {
                return;
            }
            let Some(dir) = self.open(&waiting, last.as_deref()) else { return };
            let directory = Arc::new(Opened { dir, path: waiting.path, place: waiting.place });
            self.read(&directory);
            next = self.found.pop();
            self.shared.queue.add_directories(self.found.drain(..));
            last = Some(directory);
            self.publish();
        }
    }

    fn open(&mut self, waiting: &Waiting, last: Option<&Opened>) -> Option<Dir> {
        let (parent, name) = split(&waiting.path);
        let opened = match last {
            _ if waiting.path.is_empty() => self.shared.root.open(b"."),
            Some(last) if last.path == parent => last.dir.open(name),
            _ => self.shared.root.open_beneath(&waiting.path),
        };
        let error = match opened {
            Ok(dir) => return Some(dir),
            Err(error) => error,
        };
        let at = At { directory: parent, name };
        if is_gone(&error) {
            self.counts.vanished += 1;
        } else if error.raw_os_error() == Some(Errno::XDEV.raw_os_error()) {
            self.skip(at, &Because::MountPoint);
        } else {
            self.unreadable(at, &error);
        }
        None
    }

    /// Reads a directory, and works off what is in it.
    fn read(&mut self, directory: &Arc<Opened>) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut batch = std::mem::take(&mut self.batch);
        let read = directory.dir.for_each(&mut buffer, |entry| {
            if self.is_cancelled() {
                return ControlFlow::Break(());
            }
            self.list(directory, entry, &mut batch);
            if batch.len() >= BATCH {
                self.work_off(directory, &mut batch);
            }
            ControlFlow::Continue(())
        });
        if let Err(error) = read {
            self.unreadable(At { directory: &directory.path, name: b"" }, &error);
        }
        self.work_off(directory, &mut batch);
        self.buffer = buffer;
        self.batch = batch;
    }

    /// What the listing alone decides; the rest goes into the batch.
    fn list(&mut self, directory: &Opened, entry: Listed<'_>, batch: &mut Batch) {
        self.counts.examined += 1;
        let at = At { directory: &directory.path, name: entry.name };
        match entry.kind {
            Some(Kind::Directory) => self.directory(directory, at),
            Some(kind) => {
                let policy = &self.shared.order.target.policy;
                match judge::by_name(policy, &directory.place, entry.name, kind) {
                    Some(because) => self.stays(at, &because),
                    None => batch.push(entry.name, entry.kind, entry.inode),
                }
            }
            // Not every file system tells the kind in its listing.
            None => batch.push(entry.name, None, entry.inode),
        }
    }

    /// Works a batch off, or hands it out where it is a large one.
    fn work_off(&mut self, directory: &Arc<Opened>, batch: &mut Batch) {
        batch.sort();
        if batch.len() <= CHUNK || self.shared.most_chunks <= 2 {
            self.entries(directory, batch, 0..batch.len());
            batch.clear();
            return;
        }
        for chunk in self.shared.queue.add_chunks(chunks(directory, std::mem::take(batch)), self.shared.most_chunks) {
            self.chunk(&chunk);
        }
    }

    fn chunk(&mut self, chunk: &Chunk) {
        self.entries(&chunk.directory, &chunk.batch, chunk.range.clone());
        self.publish();
    }

    fn entries(&mut self, directory: &Opened, batch: &Batch, range: std::ops::Range<usize>) {
        for (name, kind) in batch.entries(range) {
            if self.is_cancelled() {
                return;
            }
            self.entry(directory, At { directory: &directory.path, name }, kind);
        }
    }

    fn entry(&mut self, directory: &Opened, at: At<'_>, listed: Option<Kind>) {
        let Some(found) = self.look(&directory.dir, at) else { return };
        let policy = &self.shared.order.target.policy;
        if listed.is_none() {
            if found.kind == Kind::Directory {
                return self.directory_late(directory, at);
            }
            if let Some(because) = judge::by_name(policy, &directory.place, at.name, found.kind) {
                return self.stays(at, &because);
            }
        }
        if found.mount_point {
            return self.stays(at, &Because::MountPoint);
        }
        if found.kind != Kind::File {
            // It was replaced after it was listed.
            return self.stays(at, &Because::NotRegular(found.kind));
        }
        match judge::by_facts(policy, &found.facts, self.shared.order.now) {
            Verdict::Stays(because) => self.stays(at, &because),
            Verdict::Goes(reason) => self.goes(&directory.dir, at, &found.facts, &reason),
        }
    }

    fn look(&mut self, dir: &Dir, at: At<'_>) -> Option<Found> {
        match dir.look(at.name) {
            Ok(found) => Some(found),
            Err(error) if is_gone(&error) => {
                self.counts.vanished += 1;
                None
            }
            Err(error) => {
                self.unreadable(at, &error);
                None
            }
        }
    }

    /// A directory that only turned out to be one when it was looked at, maybe by another worker than the one that
    /// reads its parent.
    fn directory_late(&mut self, parent: &Opened, at: At<'_>) {
        let before = self.found.len();
        self.directory(parent, at);
        self.shared.queue.add_directories(self.found.drain(before..));
    }

    fn directory(&mut self, parent: &Opened, at: At<'_>) {
        match self.shared.order.target.policy.globs.directory(&parent.place, at.name) {
            Entered::Place(place) => self.found.push(Waiting { path: at.path(), place }),
            Entered::Unreached => self.skip(at, &Because::Unreached),
            Entered::Excluded(pattern) => self.skip(at, &Because::Excluded(pattern)),
            Entered::BuiltIn(pattern) => self.skip(at, &Because::BuiltIn(pattern)),
        }
    }

    fn goes(&mut self, dir: &Dir, at: At<'_>, facts: &Facts, reason: &Reason) {
        match self.shared.act.act(dir, at.name) {
            Ok(()) => {
                self.counts.deleted += 1;
                if facts.links == 1 {
                    self.counts.freed += facts.allocated;
                }
                let event = if self.shared.act.may_change() {
                    Event::Removed { at, facts, reason }
                } else {
                    Event::WouldRemove { at, facts, reason }
                };
                (self.shared.observer)(&event);
            }
            Err(error) if is_gone(&error) => self.counts.vanished += 1,
            Err(error) => {
                self.counts.failed += 1;
                self.failures.add(&error, at);
                (self.shared.observer)(&Event::NotRemoved { at, error: &error });
            }
        }
    }

    fn stays(&mut self, at: At<'_>, because: &Because) {
        self.counts.kept += 1;
        (self.shared.observer)(&Event::Stays { at, because });
    }

    fn skip(&mut self, at: At<'_>, because: &Because) {
        self.counts.skipped_directories += 1;
        (self.shared.observer)(&Event::SkippedDirectory { at, because });
    }

    fn unreadable(&mut self, at: At<'_>, error: &io::Error) {
        self.failures.add(error, at);
        (self.shared.observer)(&Event::Unreadable { at, error });
    }
}
