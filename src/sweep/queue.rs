//! Queue of work, shared by the workers of one walk.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use super::batch::Chunk;
use super::tree::Node;
use crate::globs::Place;

/// Directory that waits to be read.
pub(super) struct Waiting {
    pub(super) node: Arc<Node>,
    /// State of the globs at the directory.
    pub(super) place: Place,
    /// Whether the directory goes or stays whole.
    pub(super) whole: bool,
}

/// Piece of work.
pub(super) enum Work {
    /// Directory to be read.
    Directory(Waiting),
    /// Part of a large directory that a worker reads.
    Chunk(Chunk),
}

#[derive(Default)]
struct State {
    /// Last in, first out: the tree is walked depth first, so that no more directories wait than the siblings on one
    /// path.
    directories: Vec<Waiting>,
    chunks: Vec<Chunk>,
    /// Workers that are at work, and may add to the queue.
    busy: usize,
    /// Workers that have nothing to do.
    idle: usize,
}

impl State {
    fn take(&mut self) -> Option<Work> {
        // Chunks keep a directory open and names in memory, so they go first.
        self.chunks.pop().map(Work::Chunk).or_else(|| self.directories.pop().map(Work::Directory))
    }
}

/// Queue of one walk.
#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
    added: Condvar,
}

impl Queue {
    /// Most directories that may wait before the worker that reads on has to work on some.
    const CROWDED: usize = 16 * 1024;

    fn state(&self) -> MutexGuard<'_, State> {
        // A worker that panicked did so outside of this lock, or left whole work behind.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add_directories(&self, directories: impl Iterator<Item = Waiting>) {
        let mut state = self.state();
        let before = state.directories.len();
        state.directories.extend(directories);
        let more = state.directories.len() > before;
        self.wake(state, more);
    }

    /// Adds chunks. The caller works along while too many wait ([`Queue::next_of_many`]).
    pub(super) fn add_chunks(&self, chunks: Vec<Chunk>) {
        let mut state = self.state();
        state.chunks.extend(chunks);
        self.wake(state, true);
    }

    /// Wakes the workers that have nothing to do, if there are any: the call costs more than most pieces of work.
    fn wake(&self, state: MutexGuard<'_, State>, more: bool) {
        let wake = more && state.idle > 0;
        drop(state);
        if wake {
            self.added.notify_all();
        }
    }

    /// Returns a chunk, when more than `most` wait.
    pub(super) fn next_of_many(&self, most: usize) -> Option<Chunk> {
        let mut state = self.state();
        if state.chunks.len() > most { state.chunks.pop() } else { None }
    }

    /// Returns whether a worker has nothing to do.
    pub(super) fn is_idle(&self) -> bool {
        self.state().idle > 0
    }

    /// Returns a directory, when so many wait that their names would fill the memory. A caller that is `deep` in such
    /// work already gets one only when still more wait, so that this ends.
    pub(super) fn next_of_a_crowd(&self, deep: usize) -> Option<Waiting> {
        let mut state = self.state();
        if state.directories.len() > Self::CROWDED * (deep + 1) { state.directories.pop() } else { None }
    }

    /// Returns the next piece of work; waits while others are at work that may add some. Returns `None` when all is
    /// done.
    ///
    /// A worker that takes work is busy until it calls [`Queue::done`].
    pub(super) fn next(&self) -> Option<Work> {
        let mut state = self.state();
        loop {
            if let Some(work) = state.take() {
                state.busy += 1;
                return Some(work);
            }
            if state.busy == 0 {
                return None;
            }
            state.idle += 1;
            state = self.added.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }

    pub(super) fn done(&self) {
        let mut state = self.state();
        state.busy -= 1;
        // Waiting workers have to see that nothing comes any more.
        let over = state.busy == 0;
        self.wake(state, over);
    }
}
