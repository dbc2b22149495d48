//! Places for connections, such that nobody can take all of them.
//!
//! The first half of the places goes to whoever comes. Of the second half each caller gets a share. The places beyond
//! that are for root and the daemon's own user.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::caller::Who;
use super::connection::Limits;

/// Places at one port, or one socket.
#[derive(Debug)]
pub(super) struct Places {
    anybody: Arc<Semaphore>,
    shared: Arc<Semaphore>,
    shares: Shares,
    reserved: Arc<Semaphore>,
}

/// A taken place, which is given back when dropped.
#[derive(Debug)]
pub(super) struct Place {
    _permit: OwnedSemaphorePermit,
    _share: Option<Share>,
}

impl Places {
    pub(super) fn new(limits: &Limits) -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        let half = limits.open / 2;
        Self {
            anybody: places(half),
            shared: places(limits.open - half),
            shares: Shares::new(limits.share),
            reserved: places(limits.reserved),
        }
    }

    /// Takes a place for this caller, if there is one.
    pub(super) fn take(&self, who: Who, is_trusted: bool) -> Option<Place> {
        take(&self.anybody).or_else(|| match is_trusted {
            true => take(&self.shared).or_else(|| take(&self.reserved)),
            false => {
                let share = self.shares.take(who)?;
                take(&self.shared).map(|place| Place { _share: Some(share), ..place })
            }
        })
    }
}

fn take(from: &Arc<Semaphore>) -> Option<Place> {
    from.clone().try_acquire_owned().ok().map(|permit| Place { _permit: permit, _share: None })
}

/// Counter of the permits that each caller holds, with a limit for each. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Shares {
    /// Maximum number of permits for one caller.
    most: usize,
    taken: Arc<Mutex<HashMap<Who, usize>>>,
}

/// A permit of one caller, which is given back when dropped.
#[derive(Debug)]
pub(super) struct Share {
    of: Shares,
    who: Who,
}

impl Shares {
    pub(super) fn new(most: usize) -> Self {
        Self { most, taken: Arc::default() }
    }

    /// Takes one more permit for this caller; `None` when the caller holds the maximum already.
    pub(super) fn take(&self, who: Who) -> Option<Share> {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(who).or_default();
        (*count < self.most).then(|| {
            *count += 1;
            Share { of: self.clone(), who }
        })
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut taken = self.of.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.who) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.who);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut take: impl FnMut() -> Option<Place>) -> Vec<Place> {
        std::iter::from_fn(&mut take).collect()
    }

    #[test]
    fn nobody_gets_all_of_the_places() {
        let places = Places::new(&Limits { open: 48, share: 8, reserved: 16, ..Limits::DEFAULT });
        let anybody = all(|| take(&places.anybody));
        let first = all(|| places.take(Who::Uid(1000), false));
        assert_eq!((anybody.len(), first.len()), (24, 8));
        let second = all(|| places.take(Who::Uid(1001), false));
        assert_eq!(second.len(), 8);
        assert_eq!(all(|| places.take(Who::Uid(0), true)).len(), 8 + 16, "what is left, and the reserve");
        // What is given back can be taken again, and nothing is remembered of those who have gone.
        drop(first);
        assert_eq!(all(|| places.take(Who::Uid(1000), false)).len(), 8);
        drop((anybody, second));
        assert!(places.shares.taken.lock().expect("not poisoned").is_empty());
    }

    #[test]
    fn who_is_known_takes_a_place_that_has_become_free_first() {
        let places = Places::new(&Limits { open: 2, share: 1, reserved: 0, ..Limits::DEFAULT });
        let one = take(&places.anybody).expect("free");
        let two = places.take(Who::Uid(7), false).expect("a share");
        assert!(places.take(Who::Uid(7), false).is_none());
        drop(one);
        assert!(places.take(Who::Uid(7), false).is_some());
        drop(two);
    }
}
