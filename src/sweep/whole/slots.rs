//! Slots of one sweep, to which directories are taken aside: one for each worker, made when they are needed.

use std::io;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use crate::fsys::{Dir, WholeSlot};

/// Slots of one sweep.
#[derive(Debug, Default)]
pub(in crate::sweep) struct WholeSlots {
    state: Mutex<State>,
    given_back: Condvar,
}

#[derive(Debug, Default)]
struct State {
    free: Vec<WholeSlot>,
    /// Number of slots in use.
    busy: usize,
}

/// Guard that counts a slot as no longer in use on drop, also when its worker panics, so that nobody waits for it.
struct InUse<'a>(&'a WholeSlots);

impl Drop for InUse<'_> {
    fn drop(&mut self) {
        self.0.state().busy -= 1;
        self.0.given_back.notify_all();
    }
}

impl WholeSlots {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a slot now: the disk may be full later.
    ///
    /// # Errors
    /// As [`WholeSlot::take`].
    pub(in crate::sweep) fn make(&self, root: &Dir) -> io::Result<()> {
        let slot = WholeSlot::take(root)?;
        self.state().free.push(slot);
        Ok(())
    }

    /// Runs `work` with a slot that is free, or a new one; where none can be made, with that of another worker once it
    /// is done.
    ///
    /// # Errors
    /// As [`WholeSlot::take`].
    pub(super) fn with<T>(&self, root: &Dir, work: impl FnOnce(&mut WholeSlot) -> T) -> io::Result<T> {
        let (mut slot, in_use) = self.take(root)?;
        let done = work(&mut slot);
        // A slot that holds something is not given back; a worker that needs one makes another.
        if !slot.is_stuck() {
            self.state().free.push(slot);
        }
        drop(in_use);
        Ok(done)
    }

    fn take(&self, root: &Dir) -> io::Result<(WholeSlot, InUse<'_>)> {
        let mut state = self.state();
        loop {
            if let Some(slot) = state.free.pop() {
                state.busy += 1;
                drop(state);
                return Ok((slot, InUse(self)));
            }
            match WholeSlot::take(root) {
                Ok(slot) => state.free.push(slot),
                Err(error) if state.busy == 0 => return Err(error),
                Err(_) => state = self.given_back.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}
