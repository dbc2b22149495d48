//! Slots of one sweep, to which files of directories that others can write are taken aside before they are removed or
//! moved.

use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::batch::Opened;
use crate::fsys::{Destination, Dir, Found, GoOn, Refusal, Slot, Taken};

/// Slots of one sweep, one for each worker, made when they are needed.
pub(super) struct Aside<'a> {
    root: &'a Dir,
    slots: Vec<Mutex<Option<Slot>>>,
    /// Error of the first slot that was needed and could not be made.
    missing: Mutex<Option<String>>,
}

impl<'a> Aside<'a> {
    pub(super) fn new(root: &'a Dir, workers: usize) -> Self {
        Self { root, slots: (0..workers.max(1)).map(|_| Mutex::default()).collect(), missing: Mutex::default() }
    }

    /// Makes the slots now: the disk may be full later.
    pub(super) fn make(&self) {
        for worker in 0..self.slots.len() {
            // An error is reported when the slot is needed.
            drop(self.slot(worker));
        }
    }

    /// Returns the worker's slot; that of another worker, where there is no room for one of its own.
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
            // A stuck slot still serves the directory that it is stuck with.
            Err(_) if own.is_some() => Ok(own),
            Err(error) => {
                drop(own);
                let others = (1..self.slots.len()).map(|more| lock(worker + more));
                others.into_iter().find(|slot| slot.is_some()).ok_or(error)
            }
        }
    }

    /// Runs `work` with the worker's slot. Notes the error if there is no slot.
    fn with(&self, worker: usize, work: impl FnOnce(&mut Slot) -> Result<(), Refusal>) -> Result<(), Refusal> {
        let mut slot = self.slot(worker).map_err(|error| {
            let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
            missing.get_or_insert_with(|| error.to_string());
            Refusal::Unverifiable(error)
        })?;
        match slot.as_mut() {
            Some(slot) => work(slot),
            None => Err(Refusal::Unverifiable(io::ErrorKind::NotFound.into())),
        }
    }

    /// Removes a file by way of a slot.
    pub(super) fn remove(&self, worker: usize, directory: &Opened, name: &[u8], judged: &Found) -> Result<(), Refusal> {
        let from = directory.taken().map_err(Refusal::Unverifiable)?;
        self.with(worker, |slot| slot.remove(&from, name, judged))
    }

    /// Removes an empty directory by way of a slot, if it is the one that is meant.
    pub(super) fn remove_directory(
        &self,
        worker: usize,
        from: &Taken<'_>,
        name: &[u8],
        is_it: &dyn Fn(&Found) -> bool,
    ) -> Result<(), Refusal> {
        self.with(worker, |slot| slot.remove_directory(from, name, is_it))
    }

    /// Moves a file by way of a slot.
    pub(super) fn transfer(
        &self,
        worker: usize,
        directory: &Opened,
        name: &[u8],
        judged: &Found,
        (to, into): (&Destination, &Dir),
        go_on: GoOn<'_>,
    ) -> Result<(), Refusal> {
        let from = directory.taken().map_err(Refusal::Unverifiable)?;
        self.with(worker, |slot| slot.transfer(&from, name, judged, to, into, go_on))
    }

    /// Returns why files had to stay for want of a slot, if some did.
    pub(super) fn missing(&self) -> Option<String> {
        self.missing.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
