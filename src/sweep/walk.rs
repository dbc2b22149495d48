//! The walk: from directory to directory by handle, each entry judged as it is read and acted on at once.
//!
//! Iterative, with at most three directories open: the root, the one that is read, and one on the way to the next.
//! What waits is a stack of relative paths; each is opened beneath the root, or beneath the directory just read when
//! it lies in that one, so that a deep chain costs no more than a wide tree.

use std::io;
use std::ops::ControlFlow;

use rustix::io::Errno;

use super::act::Act;
use super::event::{At, Event};
use super::{Control, Observer, Order};
use crate::entry::{Facts, Kind};
use crate::fsys::{Dir, Found, ListingBuffer, Root};
use crate::globs::{Entered, Place};
use crate::judge;
use crate::report::{Counts, Failures, Outcome, Report};
use crate::verdict::{Because, Reason, Verdict};

/// A directory that waits to be read.
struct Waiting {
    /// Its path relative to the root; empty for the root.
    path: Vec<u8>,
    /// Where it stands, as the globs see it.
    place: Place,
}

struct Walk<'a, A> {
    order: &'a Order,
    control: &'a Control,
    observer: &'a mut Observer<'a>,
    act: A,
    counts: Counts,
    failures: Failures,
    waiting: Vec<Waiting>,
}

/// Walks and acts; all of the report but the time it took.
pub(super) fn walk<A: Act>(
    order: &Order,
    control: &Control,
    observer: &mut Observer<'_>,
    act: A,
    root: &Root,
) -> Report {
    // A shorter name for the borrow: the walk ends before the observer does.
    let mut observer = |event: &Event<'_>| observer(event);
    let mut walk = Walk {
        order,
        control,
        observer: &mut observer,
        act,
        counts: Counts::default(),
        failures: Failures::default(),
        waiting: vec![Waiting { path: Vec::new(), place: order.target.policy.globs.root() }],
    };
    walk.run(&root.dir);
    control.progress.publish(&walk.counts);
    let cancelled = control.cancelled().map(str::to_owned);
    let outcome = match (&cancelled, walk.failures.is_empty()) {
        (Some(_), _) => Outcome::Cancelled,
        (None, true) => Outcome::Done,
        (None, false) => Outcome::Partial,
    };
    Report { counts: walk.counts, failures: walk.failures, message: cancelled, ..order.not_run(outcome, "") }
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

impl<A: Act> Walk<'_, A> {
    fn run(&mut self, root: &Dir) {
        let mut buffer = ListingBuffer::new();
        let mut last: Option<(Vec<u8>, Dir)> = None;
        while let Some(next) = self.waiting.pop() {
            if self.control.cancelled().is_some() {
                return;
            }
            if next.path.is_empty() {
                self.read(root, &next, &mut buffer);
                continue;
            }
            let (parent, name) = split(&next.path);
            let opened = match &last {
                Some((path, dir)) if path == parent => dir.open(name),
                _ => root.open_beneath(&next.path),
            };
            match opened {
                Ok(dir) => {
                    self.read(&dir, &next, &mut buffer);
                    last = Some((next.path, dir));
                }
                Err(error) => self.not_opened(At { directory: parent, name }, &error),
            }
        }
    }

    fn not_opened(&mut self, at: At<'_>, error: &io::Error) {
        if is_gone(error) {
            self.counts.vanished += 1;
        } else if error.raw_os_error() == Some(Errno::XDEV.raw_os_error()) {
            self.skip(at, &Because::MountPoint);
        } else {
            self.unreadable(at, error);
        }
    }

    fn read(&mut self, dir: &Dir, here: &Waiting, buffer: &mut ListingBuffer) {
        let read = dir.for_each(buffer, |name, kind| {
            if self.control.cancelled().is_some() {
                return ControlFlow::Break(());
            }
            self.counts.examined += 1;
            self.entry(dir, here, name, kind);
            self.control.progress.publish(&self.counts);
            ControlFlow::Continue(())
        });
        if let Err(error) = read {
            self.unreadable(At { directory: &here.path, name: b"" }, &error);
        }
    }

    fn entry(&mut self, dir: &Dir, here: &Waiting, name: &[u8], listed: Option<Kind>) {
        let at = At { directory: &here.path, name };
        // Not every file system tells the kind in its listing.
        let (kind, found) = match listed {
            Some(kind) => (kind, None),
            None => match self.look(dir, at) {
                Some(found) => (found.kind, Some(found)),
                None => return,
            },
        };
        if kind == Kind::Directory {
            return self.directory(here, at);
        }
        let policy = &self.order.target.policy;
        if let Some(because) = judge::by_name(policy, &here.place, name, kind) {
            return self.stays(at, &because);
        }
        let Some(found) = found.or_else(|| self.look(dir, at)) else { return };
        if found.mount_point {
            return self.stays(at, &Because::MountPoint);
        }
        if found.kind != Kind::File {
            // It was replaced after it was listed.
            return self.stays(at, &Because::NotRegular(found.kind));
        }
        match judge::by_facts(policy, &found.facts, self.order.now) {
            Verdict::Stays(because) => self.stays(at, &because),
            Verdict::Goes(reason) => self.goes(dir, at, &found.facts, &reason),
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

    fn directory(&mut self, here: &Waiting, at: At<'_>) {
        match self.order.target.policy.globs.directory(&here.place, at.name) {
            Entered::Place(place) => self.waiting.push(Waiting { path: at.path(), place }),
            Entered::Unreached => self.skip(at, &Because::Unreached),
            Entered::Excluded(pattern) => self.skip(at, &Because::Excluded(pattern)),
            Entered::BuiltIn(pattern) => self.skip(at, &Because::BuiltIn(pattern)),
        }
    }

    fn goes(&mut self, dir: &Dir, at: At<'_>, facts: &Facts, reason: &Reason) {
        match self.act.act(dir, at.name) {
            Ok(()) => {
                self.counts.deleted += 1;
                if facts.links == 1 {
                    self.counts.freed += facts.allocated;
                }
                (self.observer)(&if self.act.may_change() {
                    Event::Removed { at, facts, reason }
                } else {
                    Event::WouldRemove { at, facts, reason }
                });
            }
            Err(error) if is_gone(&error) => self.counts.vanished += 1,
            Err(error) => {
                self.counts.failed += 1;
                self.failures.add(&error, at);
                (self.observer)(&Event::NotRemoved { at, error: &error });
            }
        }
    }

    fn stays(&mut self, at: At<'_>, because: &Because) {
        self.counts.kept += 1;
        (self.observer)(&Event::Stays { at, because });
    }

    fn skip(&mut self, at: At<'_>, because: &Because) {
        self.counts.skipped_directories += 1;
        (self.observer)(&Event::SkippedDirectory { at, because });
    }

    fn unreadable(&mut self, at: At<'_>, error: &io::Error) {
        self.failures.add(error, at);
        (self.observer)(&Event::Unreadable { at, error });
    }
}
