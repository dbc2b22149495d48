//! The removal of a directory that was judged as one, from the bottom up.

use std::ffi::CString;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::Sum;
use crate::entry::Kind;
use crate::fsys::Dir;
use crate::sweep::act::Act;
use crate::sweep::batch::Opened;
use crate::sweep::event::{At, Event};
use crate::sweep::tree::Node;
use crate::sweep::walk::Worker;
use crate::verdict::{Because, Reason};

/// As many directories are held open on the way down.
const HANDLES: usize = 8;

/// A directory on the way down, with those in it that are still to go.
struct Frame {
    node: Arc<Node>,
    /// Open, as long as it is not too far up.
    dir: Option<Arc<Dir>>,
    inside: Vec<Box<[u8]>>,
}

/// Why the removal of a directory ended early.
enum Stopped {
    Cancelled,
    /// It is no longer what was judged.
    Changed,
    /// It has been told.
    Failed,
}

impl<A: Act> Worker<'_, A> {
    /// Removes the directory with all that is in it, or as much as can be.
    pub(super) fn remove_whole(&mut self, root: &Opened, node: &Arc<Node>, sum: &Sum, reason: &Reason) {
        let freed = self.walked.counts.freed;
        match self.remove_all(node, sum, reason) {
            Ok(()) => {
                root.node.empty();
                let frees = self.sweep.frees(reason);
                self.walked.counts.freed = freed + if frees { sum.freed() } else { 0 };
            }
            Err(stopped) => {
                root.node.leave();
                if matches!(stopped, Stopped::Changed) && self.acts() {
                    (self.sweep.observer)(&Event::Stays { at: root.at(node.name()), because: &Because::Changed });
                }
            }
        }
    }

    fn remove_all(&mut self, node: &Arc<Node>, sum: &Sum, reason: &Reason) -> Result<(), Stopped> {
        let mut frames = Vec::new();
        let parent = self.sweep.root.open(b".").map_err(|error| self.stopped(node, b"", &error))?;
        let dir = parent.open(node.name()).map_err(|error| self.stopped(node, b"", &error))?;
        frames.push(self.take_files(node.clone(), Arc::new(dir), sum, reason)?);
        while let Some(frame) = frames.last_mut() {
            if self.is_cancelled() {
                return Err(Stopped::Cancelled);
            }
            if let Some(name) = frame.inside.pop() {
                let child = frame.node.child(&name);
                let opened = match &frame.dir {
                    Some(dir) => dir.open(&name),
                    None => self.sweep.root.open_beneath(&child.path()),
                };
                let dir = opened.map_err(|error| self.stopped(&child, b"", &error))?;
                frames.push(self.take_files(child, Arc::new(dir), sum, reason)?);
                if let Some(far) = frames.len().checked_sub(HANDLES + 1) {
                    frames[far].dir = None;
                }
                continue;
            }
            let Some(Frame { node: done, .. }) = frames.pop() else { break };
            let Some(above) = &done.parent else { break };
            let path = above.path();
            let removed = match frames.last().map(|frame| &frame.dir) {
                None => self.sweep.act.directory(&parent, done.name()),
                Some(Some(dir)) => self.sweep.act.directory(dir, done.name()),
                Some(None) => {
                    let dir = self.sweep.root.open_beneath(&path);
                    dir.and_then(|dir| self.sweep.act.directory(&dir, done.name()))
                }
            };
            removed.map_err(|error| self.stopped(&done, b"", &error))?;
            self.directory_went(At { directory: &path, name: done.name() }, reason);
        }
        Ok(())
    }

    fn stopped(&mut self, node: &Node, name: &[u8], error: &io::Error) -> Stopped {
        let path = node.path();
        let at = At { directory: &path, name };
        self.walked.counts.failed += 1;
        self.walked.failures.add(error, at);
        (self.sweep.observer)(&Event::NotRemoved { at, error });
        Stopped::Failed
    }

    /// Removes what is in one directory and no directory itself; those are what is left to do.
    fn take_files(&mut self, node: Arc<Node>, dir: Arc<Dir>, sum: &Sum, reason: &Reason) -> Result<Frame, Stopped> {
        let mut names: Vec<CString> = Vec::new();
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = dir.for_each(&mut buffer, |entry| {
            // No name has a NUL in it.
            names.extend(CString::new(entry.name));
            ControlFlow::Continue(())
        });
        self.buffer = buffer;
        read.map_err(|error| self.stopped(&node, b"", &error))?;
        let path = node.path();
        let place = self.sweep.policy().globs.root();
        let opened = Opened::new(dir, node.clone(), path, place);
        let mut inside = Vec::new();
        for name in names {
            if self.is_cancelled() {
                return Err(Stopped::Cancelled);
            }
            let Some(found) = self.look(&opened, &name) else { continue };
            let (now, judged) = (&found.facts.stamps, &sum.facts.stamps);
            if found.mount_point {
                return Err(Stopped::Changed);
            }
            if found.kind == Kind::Directory {
                if self.sweep.growing(&opened.path, || Ok(found)).is_some() {
                    return Err(Stopped::Changed);
                }
                inside.push(name.to_bytes().into());
            } else if now.modified > judged.modified
                // The removal of another of its links has changed the inode of this one.
                || (now.changed > judged.changed && !sum.linked.contains_key(&found.facts.identity))
            {
                return Err(Stopped::Changed);
            } else if !self.goes(&opened, &name, &found, reason) {
                return Err(if self.is_cancelled() { Stopped::Cancelled } else { Stopped::Failed });
            }
        }
        Ok(Frame { node, dir: Some(opened.dir), inside })
    }
}
