//! The walk: from directory to directory by handle. Each entry is judged, and entries that go are acted on while the
//! walk goes on.
//!
//! Workers share a queue of directories. A worker opens a directory beneath the root (or beneath the directory that it
//! has just read, if the next one lies in that: a deep chain then costs no more than a wide tree), collects the entries
//! that an include can name, sorts them by inode, and works them off. A large directory is handed out to the other
//! workers in chunks. The walk is iterative, with a few directories open for each worker.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rustix::io::Errno;

use super::act::Act;
use super::aside::Aside;
use super::batch::{Batch, Opened};
use super::event::{At, Event};
use super::group::Group;
use super::locks::{self, HeldAbove, Lock};
use super::nested::Nested;
use super::pass::{Gathered, Pass};
use super::queue::{Queue, Waiting, Work};
use super::sample::{Estimate, Sample};
use super::stamps_before::{StampsBefore, Then};
use super::stuck::Stuck;
use super::trash::Restored;
use super::tree::Node;
use super::walked::Walked;
use super::whole::WholeSlots;
use super::{Control, Observer, Order};
use crate::entry::{Asked, Stamp};
use crate::fsys::{self, Dir, Found, ListingBuffer, Processes};
use crate::globs::NearMisses;
use crate::judge::links::Links;
use crate::judge::{self, Kept};
use crate::report::Counts;
use crate::target::{Action, Policy};
use crate::verdict::{Because, Reason};

/// Number of locks for files with several names, and so the most of them that can be worked on at the same time.
pub(super) const TURNS: usize = 64;

/// State that the walks of one sweep share.
pub(super) struct Sweep<'a, A> {
    pub(super) order: &'a Order,
    pub(super) control: &'a Control,
    pub(super) observer: &'a Observer<'a>,
    pub(super) act: &'a A,
    pub(super) root: &'a Dir,
    /// Device number of the root's file system.
    pub(super) device: u64,
    pub(super) nested: Nested,
    /// Entries of the root that `keep_newest` holds, where directories go whole.
    pub(super) root_kept: Option<Kept>,
    /// Files of large directories that `keep_newest` holds otherwise, by the path of the directory.
    pub(super) kept: Mutex<BTreeMap<Vec<u8>, Kept>>,
    /// Inodes with several links among the candidates.
    pub(super) links: Mutex<Links>,
    /// Locks that let one worker at a time act on a name of a file that has several, by the number of its inode.
    pub(super) turns: [Mutex<()>; TURNS],
    /// Number of files that went, or were to go, while a guard counts them.
    pub(super) taken: AtomicU64,
    /// Whether the guard has kept anything that was to go.
    pub(super) over_guard: AtomicBool,
    /// Files that were put back from the trash within a day.
    pub(super) restored: Option<Restored>,
    /// Most files that may go, if the target or a release of the run says so.
    pub(super) max_deletes: Option<u64>,
    /// Number of files whose removal was tried.
    pub(super) attempts: AtomicU64,
    /// Number of files whose removal failed.
    pub(super) errors: AtomicU64,
    /// Slots to which files of directories that others can write are taken before they go.
    pub(super) aside: Aside<'a>,
    /// Whether files that go are moved within their file system, which frees no space.
    pub(super) moves_within: bool,
    /// Number of workers so far.
    pub(super) workers: AtomicUsize,
    /// Entries that were to go and could not.
    pub(super) stuck: Stuck,
    pub(super) stamps_before: StampsBefore,
    /// Time at which the sweep began.
    pub(super) began: Stamp,
    /// Whether the sticky bit of a file says that the file is to stay: below `/run/user`.
    pub(super) heeds_sticky: bool,
    /// Inodes that processes used when the run began.
    pub(super) processes: Processes,
    /// Slots to which directories that go whole are taken aside.
    pub(super) whole_slots: WholeSlots,
    /// Number of directories held locked above those that are worked in.
    pub(super) locks: Arc<AtomicUsize>,
    /// Excludes, as far as they may miss the entries that they mean.
    pub(super) near: NearMisses,
}

/// Bytes of a path beyond which the kernel does not take it in one piece (`PATH_MAX`).
const LONGEST_PATH: usize = 4096;

impl<A> Sweep<'_, A> {
    pub(super) fn policy(&self) -> &Policy {
        &self.order.target.policy
    }

    /// Returns whether files that go for this reason free their space.
    pub(super) fn frees(&self, reason: &Reason) -> bool {
        !self.moves_within && super::trash::frees(self.order, reason)
    }

    /// Returns why a directory is not entered that lies on another file system than the root although nothing is
    /// mounted there: it is a subvolume or a snapshot. Directories are compared with the root. Files are not compared
    /// with their directory: on overlayfs a file may have another device number than its directory, which a directory
    /// has not.
    pub(super) fn elsewhere(&self, dir: &Dir) -> io::Result<Option<Because>> {
        let (identity, _) = dir.look_at_itself()?;
        Ok((identity.device != self.device).then_some(Because::OtherFileSystem))
    }

    /// Returns why a directory is not entered that is so deep that hardly anything but an attack makes it, and that was
    /// made after the sweep began. Without this check somebody who makes a tree deeper and deeper keeps a sweep busy
    /// for ever.
    pub(super) fn growing(&self, path: &[u8], found: impl FnOnce() -> io::Result<Found>) -> Option<Because> {
        let is_new = || found().is_ok_and(|found| found.facts.stamps.created.is_some_and(|made| made > self.began));
        (path.len() > LONGEST_PATH && is_new()).then_some(Because::Growing)
    }
}

/// Open directory, with its lock if the lock is held.
pub(super) type Locked = (Arc<Dir>, Option<Arc<Lock>>);

/// Worker of a walk, with its counts.
pub(super) struct Worker<'a, A> {
    pub(super) sweep: &'a Sweep<'a, A>,
    pub(super) pass: &'a Pass,
    pub(super) queue: &'a Queue,
    /// Number of the worker, to tell it from the others.
    pub(super) number: usize,
    /// Most chunks that may wait before the worker that reads has to work on some.
    pub(super) most_chunks: usize,
    pub(super) walked: Walked,
    /// Counts that were last added to the progress.
    published: Counts,
    /// Directories found in the directory that is read.
    pub(super) found: Vec<Waiting>,
    pub(super) buffer: ListingBuffer,
    pub(super) batch: Batch,
    /// Depth of calls in which directories of a crowded queue are worked on.
    pub(super) deep: usize,
    /// Directories held open on the way up, each lying in the one before.
    pub(super) closing: Vec<(Arc<Node>, Dir)>,
    /// Buffer for a path.
    pub(super) path: Vec<u8>,
    /// Stamps that the policy asks for.
    pub(super) asked: Asked,
    /// Reason for which a file goes by its name, if the policy asks for nothing else.
    pub(super) by_name_alone: Option<Reason>,
    /// Sample for the bytes of files that go without a look.
    pub(super) sample: Sample,
    /// Buffers for entries that are worked off together.
    pub(super) group: Group,
}

/// Walks the whole tree.
pub(super) fn walk<A: Act>(sweep: &Sweep<'_, A>, pass: &Pass) -> Walked {
    let target = &sweep.order.target;
    let threads = target.threads();
    let queue = Queue::default();
    let place = target.policy.globs.root();
    queue.add_directories(std::iter::once(Waiting { node: Node::root(), place, whole: false }));
    let confined = fsys::is_confined();
    let worker = || {
        fsys::note_confined(confined);
        Worker::new(sweep, pass, &queue, threads * 2).run()
    };
    let idle = || {
        // A thread that cannot be made idle works at the usual priority.
        drop(fsys::become_idle());
        worker()
    };
    let mut all = Walked { gathered: Gathered::new(pass), ..Walked::default() };
    std::thread::scope(|scope| {
        let spawn = |_| {
            let thread = std::thread::Builder::new().name("sweep".into());
            if target.idle { thread.spawn_scoped(scope, idle) } else { thread.spawn_scoped(scope, worker) }.ok()
        };
        // The calling thread is a worker, too, unless the workers are made idle: its priority must stay as it is. Where
        // the system gives no more threads, the existing ones do the work.
        let others: Vec<_> = (usize::from(!target.idle)..threads).map_while(spawn).collect();
        if !target.idle || others.is_empty() {
            all.merge(worker());
        }
        for other in others {
            match other.join() {
                Ok(walked) => all.merge(walked),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
    });
    all
}

/// Returns whether the error says that the entry is no longer what was listed: gone, or replaced by something else.
pub(super) fn is_gone(error: &io::Error) -> bool {
    let gone = [Errno::NOENT, Errno::NOTDIR, Errno::LOOP, Errno::ISDIR];
    gone.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Guard that marks a worker's piece of work as done on drop, also when the worker panics, so that the others do not
/// wait for it.
struct Busy<'a>(&'a Queue);

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.0.done();
    }
}

impl<'a, A: Act> Worker<'a, A> {
    pub(super) fn new(sweep: &'a Sweep<'a, A>, pass: &'a Pass, queue: &'a Queue, most_chunks: usize) -> Self {
        let asked = Asked::by(sweep.policy().age_by);
        let is_act = matches!(pass, Pass::Act(limits) if limits.is_empty());
        // A rename, unlike an unlink, also takes a directory that has the name by now.
        let is_more_asked = sweep.heeds_sticky
            || !is_act
            || sweep.order.target.action != Action::Delete
            || sweep.restored.is_some()
            || sweep.max_deletes.is_some();
        Self {
            sweep,
            pass,
            queue,
            number: sweep.workers.fetch_add(1, Ordering::Relaxed),
            most_chunks,
            walked: Walked { gathered: Gathered::new(pass), ..Walked::default() },
            published: Counts::default(),
            found: Vec::new(),
            buffer: ListingBuffer::new(),
            batch: Batch::default(),
            deep: 0,
            closing: Vec::new(),
            path: Vec::new(),
            asked: if sweep.restored.is_some() { Asked { changed: true, created: true, ..asked } } else { asked },
            by_name_alone: judge::by_name_alone(sweep.policy()).filter(|_| !is_more_asked),
            sample: Sample::default(),
            group: Group::default(),
        }
    }

    fn run(mut self) -> Walked {
        while let Some(work) = self.queue.next() {
            let _busy = Busy(self.queue);
            match work {
                Work::Chunk(chunk) => self.chunk(&chunk),
                Work::Directory(waiting) => self.down_from(waiting),
            }
            self.publish();
        }
        let Estimate { files, bytes } = self.sample.estimate();
        self.walked.counts +=
            Counts { unseen: files, freed: bytes, estimated: bytes, eligible: bytes, ..Counts::default() };
        self.walked
    }

    pub(super) fn is_cancelled(&self) -> bool {
        self.sweep.control.cancelled().is_some()
    }

    /// Returns whether this walk looks for verdicts, and not only at candidates.
    pub(super) fn acts(&self) -> bool {
        matches!(self.pass, Pass::Act(_))
    }

    pub(super) fn publish(&mut self) {
        let progress = &self.sweep.control.progress;
        let mut counts = self.walked.counts;
        // A better estimate may be a smaller one, but published counts only grow.
        counts.freed = (counts.freed + self.sample.estimate().bytes).max(self.published.freed);
        if self.acts() {
            progress.add(counts, self.published);
        } else {
            progress.surveyed(counts.examined - self.published.examined);
        }
        self.published = counts;
    }

    /// Reads a directory, then one of the directories in it, and so on down; the others wait in the queue for any
    /// worker.
    pub(super) fn down_from(&mut self, first: Waiting) {
        let mut last: Option<Arc<Opened>> = None;
        let mut next = Some(first);
        while let Some(waiting) = next.take() {
            if self.is_cancelled() {
                return;
            }
            let node = waiting.node.clone();
            if waiting.whole {
                self.whole(&waiting, None);
            } else if let Some(mut directory) = self.open(waiting, last.as_deref()) {
                let directory = if self.read_small(&mut directory) {
                    Arc::new(directory)
                } else {
                    let kept = self.kept(&directory);
                    let directory = Arc::new(directory.keeping(kept));
                    self.read(&directory);
                    directory
                };
                next = self.found.pop();
                self.queue.add_directories(self.found.drain(..));
                last = Some(directory);
            }
            self.finish(node);
            self.publish();
        }
    }

    fn open(&mut self, waiting: Waiting, last: Option<&Opened>) -> Option<Opened> {
        let Waiting { node, place, .. } = waiting;
        let path = node.path();
        let (dir, lock) = self.open_dir(&node, &path, last)?;
        if self.sweep.policy().remove_empty_dirs
            && let Ok((identity, found)) = dir.look_at_itself()
        {
            // Nobody else has read the directory yet, so the cell is empty.
            _ = node.then.set(Then::found(identity, &found));
            if [&b"work"[..], b"index"].contains(&node.name()) && dir.is_closed_to_all().unwrap_or(true) {
                node.leave();
                let at = At { directory: &path, name: b"" };
                if self.acts() {
                    (self.sweep.observer)(&Event::Stays { at, because: &Because::OverlayWork });
                }
            }
            if found.facts.immutable {
                // The directory itself cannot go either.
                node.note_immutable();
                node.leave();
            }
        }
        Some(Opened::new(dir, node, path, place).holding(lock))
    }

    /// Opens a directory, if it may be entered: the root, or a directory below it that nobody else has locked.
    pub(super) fn open_dir(&mut self, node: &Arc<Node>, path: &[u8], last: Option<&Opened>) -> Option<Locked> {
        let parent = node.parent.as_ref();
        let opened = match (parent, last) {
            (None, _) => self.sweep.root.open(b"."),
            (Some(parent), Some(last)) if Arc::ptr_eq(&last.node, parent) => last.dir.open(node.name()),
            _ => self.sweep.root.open_beneath(path),
        };
        let at = At { directory: path, name: b"" };
        let refused = match opened {
            Ok(dir) => {
                let elsewhere = self.sweep.elsewhere(&dir);
                let growing = || self.sweep.growing(path, || dir.look_at_itself().map(|(_, found)| found));
                match elsewhere.map(|elsewhere| {
                    elsewhere.or_else(|| self.sweep.nested.owner(path, &dir).map(Because::OtherTarget)).or_else(growing)
                }) {
                    Ok(None) => match self.lock(node, dir) {
                        Ok(Some(locked)) => return Some(locked),
                        Ok(None) => Ok(Because::Locked),
                        Err(error) => Err(error),
                    },
                    Ok(Some(because)) => Ok(because),
                    Err(error) => Err(error),
                }
            }
            Err(error) if error.raw_os_error() == Some(Errno::XDEV.raw_os_error()) => Ok(Because::MountPoint),
            Err(error) => Err(error),
        };
        if let Some(parent) = parent {
            parent.leave();
        }
        match refused {
            Ok(because) => self.skip(at, &because),
            Err(error) if is_gone(&error) => self.walked.counts.vanished += 1,
            Err(error) => self.unreadable(at, &error),
        }
        None
    }

    /// Takes the lock of a directory that was opened; returns `None` when somebody else has it locked.
    fn lock(&self, node: &Node, dir: Dir) -> io::Result<Option<Locked>> {
        let dir = Arc::new(dir);
        if node.parent.is_none() {
            return Ok(Some((dir, None)));
        }
        let lock = match locks::ask(&dir, self.acts() && self.sweep.act.may_change())? {
            locks::Asked::Locked => return Ok(None),
            locks::Asked::Free(lock) => lock,
        };
        if let Some(held) = lock.as_ref().and_then(|lock| HeldAbove::keep(lock, &self.sweep.locks)) {
            // Nobody else has opened the directory yet, so the cell is empty.
            _ = node.lock.set(held);
        }
        Ok(Some((dir, lock)))
    }
}
