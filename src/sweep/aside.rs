//! The slots of one sweep: where files of directories that others can write are taken aside before they are removed.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::batch::Opened;
use crate::entry::Facts;
use crate::fsys::{Dir, Refusal, Slot, Taken};

/// The slots of one sweep, one for each worker, made when they are needed.
pub(super) struct Aside<'a> {
    root: &'a Dir,
    slots: Vec<Mutex<Option<Slot>>>,
}

impl<'a> Aside<'a> {
    pub(super) fn new(root: &'a Dir, workers: usize) -> Self {
        Self { root, slots: (0..workers.max(1)).map(|_| Mutex::default()).collect() }
    }

    /// Makes the slots now: the disk may be full later.
    pub(super) fn make(&self) {
        for worker in 0..self.slots.len() {
            // What keeps one from being made is told when it is needed.
            drop(self.slot(worker));
        }
    }

    /// The worker's slot; that of another, where there is no room for one of its own.
    fn slot(&self, worker: usize) -> io::Result<MutexGuard<'_, Option<Slot>>> {
        let lock = |at: usize| self.slots[at % self.slots.len()].lock().unwrap_or_else(PoisonError::into_inner);
        let mut own = lock(worker);
        if own.as_ref().is_some_and(|slot| !slot.is_stuck()) {
            return Ok(own);
        }
        match Slot::take(self.root) {
            Ok(slot) => {
                *own = Some(slot);
                Ok(own)
            }
            // Stuck, it still serves the directory it is stuck with.
            Err(_) if own.is_some() => Ok(own),
            Err(error) => {
                drop(own);
                let others = (1..self.slots.len()).map(|more| lock(worker + more));
                others.into_iter().find(|slot| slot.is_some()).ok_or(error)
            }
        }
    }

    /// Removes a file by way of a slot.
    pub(super) fn remove(&self, worker: usize, directory: &Opened, name: &[u8], facts: &Facts) -> Result<(), Refusal> {
        let mut slot = self.slot(worker).map_err(Refusal::Unverifiable)?;
        match slot.as_mut() {
            Some(slot) => {
                let identity = directory.identity().map_err(Refusal::Unverifiable)?;
                let from = Taken { dir: &directory.dir, identity, path: &directory.path };
                slot.remove(&from, name, facts)
            }
            None => Err(Refusal::Unverifiable(io::ErrorKind::NotFound.into())),
        }
    }
}
