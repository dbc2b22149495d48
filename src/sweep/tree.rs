//! Directories of one walk, each with its parent.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use super::locks::HeldAbove;
use super::stamps_before::Then;

/// Directory that is to be read, is read, or has been.
///
/// A node knows its name and its parent, not its path: in a tree of ten thousand levels the paths would fill the
/// memory.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) parent: Option<Arc<Node>>,
    name: Box<[u8]>,
    /// Number of pieces of work still to be done: the reading of the directory itself, the directories in it, chunks of
    /// it that others work on.
    pending: AtomicUsize,
    /// Whether something in the directory stays.
    left: AtomicBool,
    /// Whether something in the directory went.
    emptied: AtomicBool,
    /// Whether the directory is immutable or append-only, so that nothing can be removed from it.
    immutable: AtomicBool,
    /// State of the directory before anything in it went.
    pub(super) then: OnceLock<Then>,
    /// Lock of the directory, held until everything below it is done.
    pub(super) lock: OnceLock<HeldAbove>,
}

impl Node {
    pub(super) fn root() -> Arc<Self> {
        Self::new(None, b"")
    }

    fn new(parent: Option<Arc<Self>>, name: &[u8]) -> Arc<Self> {
        Arc::new(Self {
            parent,
            name: name.into(),
            pending: AtomicUsize::new(1),
            left: AtomicBool::new(false),
            emptied: AtomicBool::new(false),
            immutable: AtomicBool::new(false),
            then: OnceLock::new(),
            lock: OnceLock::new(),
        })
    }

    /// Returns a directory in this one, which waits for it from now on.
    pub(super) fn child(self: &Arc<Self>, name: &[u8]) -> Arc<Self> {
        self.wait_for(1);
        Self::new(Some(self.clone()), name)
    }

    pub(super) fn name(&self) -> &[u8] {
        &self.name
    }

    /// Returns the path of an entry below this directory, which is one of the first level.
    pub(super) fn below(&self, path: &[u8]) -> Vec<u8> {
        if path.is_empty() { self.name.to_vec() } else { [&self.name, b"/".as_slice(), path].concat() }
    }

    /// Returns the path relative to the root; empty for the root.
    pub(super) fn path(&self) -> Vec<u8> {
        let mut names = Vec::new();
        let mut at = self;
        while let Some(parent) = &at.parent {
            names.push(&*at.name);
            at = parent;
        }
        names.reverse();
        names.join(&b'/')
    }

    pub(super) fn wait_for(&self, more: usize) {
        self.pending.fetch_add(more, Ordering::Relaxed);
    }

    /// Counts a piece of work in the directory as done. Returns whether it was the last.
    pub(super) fn done(&self) -> bool {
        self.pending.fetch_sub(1, Ordering::AcqRel) == 1
    }

    pub(super) fn leave(&self) {
        raise(&self.left);
    }

    pub(super) fn is_left(&self) -> bool {
        self.left.load(Ordering::Relaxed)
    }

    pub(super) fn note_immutable(&self) {
        raise(&self.immutable);
    }

    pub(super) fn is_immutable(&self) -> bool {
        self.immutable.load(Ordering::Relaxed)
    }

    pub(super) fn empty(&self) {
        raise(&self.emptied);
    }

    pub(super) fn is_emptied(&self) -> bool {
        self.emptied.load(Ordering::Relaxed)
    }
}

/// Sets a flag that several workers set again and again: only the first writes, so that the others need not take the
/// cache line from each other.
fn raise(flag: &AtomicBool) {
    if !flag.load(Ordering::Relaxed) {
        flag.store(true, Ordering::Relaxed);
    }
}

/// Drops the ancestors one after the other. Dropped by itself, a chain of ten thousand would drop each in the call that
/// drops the one below it, and overflow the stack.
impl Drop for Node {
    fn drop(&mut self) {
        let mut next = self.parent.take();
        while let Some(mut last) = next.and_then(Arc::into_inner) {
            next = last.parent.take();
        }
    }
}
