//! Removal of a directory once everything in it is done.

use std::io;
use std::sync::Arc;

use rustix::io::Errno;

use super::act::{Act, Hands, Undone};
use super::batch::Opened;
use super::emptied::Emptied;
use super::event::{At, Event};
use super::locks::HeldAbove;
use super::stamps_before::Then;
use super::tree::Node;
use super::walk::{Worker, is_gone};
use crate::judge;
use crate::verdict::{Because, Reason};

/// Number of directories held open on the way up.
const HANDLES: usize = 4;

impl<A: Act> Worker<'_, A> {
    /// Counts a piece of work in a directory as done. After the last one the directory may be empty, and then its
    /// parent, and so on up.
    pub(super) fn finish(&mut self, node: Arc<Node>) {
        let mut node = node;
        while node.done() {
            let Some(parent) = node.parent.clone() else { return };
            let closes = self.acts() && self.sweep.policy().remove_empty_dirs && !self.is_cancelled();
            if closes {
                self.close(&node, &parent);
            }
            node = parent;
        }
    }

    fn close(&mut self, node: &Node, parent: &Arc<Node>) {
        if node.is_emptied()
            && self.sweep.policy().has_limits()
            && let Some(then) = node.then.get()
        {
            // More files may go from the directory before this run ends.
            self.sweep.stamps_before.note(&node.path(), *then);
        }
        // A directory that goes whole has no stamps here: it is gone, or stays.
        let (false, Some(then)) = (node.is_left() || parent.is_immutable(), node.then.get()) else {
            return parent.leave();
        };
        match judge::empty_directory(self.sweep.policy(), &then.stamps, node.is_emptied(), self.sweep.order.now) {
            Ok(reason) => self.remove_directory(node, parent, then, &reason),
            Err(because) => {
                parent.leave();
                let path = node.path();
                let at = At { directory: &path, name: b"" };
                (self.sweep.observer)(&Event::Stays { at, because: &because });
            }
        }
    }

    fn remove_directory(&mut self, node: &Node, parent: &Arc<Node>, then: &Then, reason: &Reason) {
        let path = parent.path();
        let opened = self.open_to_close(parent, &path).map_err(Undone::Failed);
        let held = node.lock.get().map(HeldAbove::dir);
        // If it is not held, the worker that has read the directory may still have the lock.
        let emptied = Emptied { then: then.origin, held, asks_lock: false };
        let removed = opened.and_then(|()| match self.closing.last() {
            Some((_, dir)) => self.sweep.act.directory(dir, node.name(), emptied, self.bare_hands()),
            None => Ok(()),
        });
        let at = At { directory: &path, name: node.name() };
        let filled = [Errno::NOTEMPTY, Errno::EXIST, Errno::BUSY, Errno::XDEV];
        match removed {
            Ok(()) => {
                parent.empty();
                self.directory_went(at, reason);
            }
            Err(Undone::Failed(error)) if is_gone(&error) => {}
            // Somebody has put something into the directory, or mounted something on it.
            Err(Undone::Failed(error))
                if filled.iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error())) =>
            {
                parent.leave();
            }
            Err(Undone::Failed(error)) => {
                parent.leave();
                self.walked.failures.add(&error, at);
                (self.sweep.observer)(&Event::NotRemoved { at, error: &error });
            }
            Err(Undone::Stopped) => parent.leave(),
            Err(Undone::Stays(because)) => {
                parent.leave();
                self.directory_stays(at, &because);
            }
        }
    }

    /// Reports that another directory has the name of the one that was to go, or that this one is in use by now.
    fn directory_stays(&mut self, at: At<'_>, because: &Because) {
        if let Some(named) = because.named() {
            self.walked.left.add(because.without_names(), format!("{at}: {named}"));
        }
        let path = at.path();
        (self.sweep.observer)(&Event::Stays { at: At { directory: &path, name: b"" }, because });
    }

    /// Returns the means of this worker, with no file held.
    fn bare_hands(&self) -> Hands<'_> {
        let sweep = self.sweep;
        let (aside, root, control) = (&sweep.aside, sweep.root, sweep.control);
        Hands { aside, root, control, worker: self.number, skip_open: false, held: None }
    }

    /// Opens the directory, as the last of those that are open on the way up. A few above it are opened with it, since
    /// the way from the root is long where a chain of many directories is removed.
    fn open_to_close(&mut self, directory: &Arc<Node>, path: &[u8]) -> io::Result<()> {
        if let Some(at) = self.closing.iter().position(|(open, _)| Arc::ptr_eq(open, directory)) {
            self.closing.truncate(at + 1);
            return Ok(());
        }
        self.closing.clear();
        let up = std::iter::successors(Some(directory), |node| node.parent.as_ref());
        let mut chain: Vec<_> = up.take(HANDLES).cloned().collect();
        let below: usize = chain.iter().rev().skip(1).map(|node| node.name().len() + 1).sum();
        while let Some(node) = chain.pop() {
            let opened = match self.closing.last() {
                Some((_, above)) => above.open(node.name()),
                None if below >= path.len() => self.sweep.root.open(b"."),
                None => self.sweep.root.open_beneath(&path[..path.len() - below]),
            };
            self.closing.push((node, opened?));
        }
        Ok(())
    }

    pub(super) fn directory_went(&mut self, at: At<'_>, reason: &Reason) {
        self.walked.counts.directories += 1;
        let event = if self.sweep.act.may_change() {
            Event::RemovedDirectory { at, reason }
        } else {
            Event::WouldRemoveDirectory { at, reason }
        };
        (self.sweep.observer)(&event);
    }

    /// Removes the directory that was worked in last, if it is empty now and old enough, and then its parent, and so
    /// on.
    pub(super) fn empty_upwards(&mut self, last: &Opened) {
        let mut path = &last.path[..];
        while !path.is_empty() {
            let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
                Some(slash) => (&path[..slash], &path[slash + 1..]),
                None => (&b""[..], path),
            };
            // A directory of unknown age stays.
            let Some(then) = self.sweep.stamps_before.get(path) else { return };
            let judged = judge::empty_directory(self.sweep.policy(), &then.stamps, true, self.sweep.order.now);
            let Ok(reason) = judged else { return };
            let dir = if parent.is_empty() { self.sweep.root.open(b".") } else { self.sweep.root.open_beneath(parent) };
            let held = (path.len() == last.path.len()).then_some(&*last.dir);
            let emptied = Emptied { then: then.origin, held, asks_lock: true };
            let removed = dir.map_err(Undone::Failed).and_then(|dir| {
                self.sweep.stamps_before.note_of(parent, &dir);
                self.sweep.act.directory(&dir, name, emptied, self.bare_hands())
            });
            let at = At { directory: parent, name };
            match removed {
                Ok(()) => self.directory_went(at, &reason),
                Err(Undone::Stays(because)) => return self.directory_stays(at, &because),
                // Mostly because the directory is not empty.
                Err(_) => return,
            }
            path = parent;
        }
    }
}
