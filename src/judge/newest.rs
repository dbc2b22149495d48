//! `keep_newest`: which names of one directory are the newest.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroUsize;

use super::limits::Rank;

/// Collects the newest candidates of one directory. It never holds more than are kept.
#[derive(Clone, Debug)]
pub struct Newest {
    count: NonZeroUsize,
    /// The one that goes first among them is on top.
    held: BinaryHeap<Reverse<Rank>>,
}

/// The newest of a directory, found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    count: NonZeroUsize,
    /// The first that is kept, in the order in which they would go; `None` when there are not more than are kept.
    from: Option<Rank>,
}

impl Newest {
    /// To find this many.
    #[must_use]
    pub fn new(count: NonZeroUsize) -> Self {
        Self { count, held: BinaryHeap::new() }
    }

    /// Takes in a candidate, by its weight (see [`newest_weight`](super::newest_weight)) and its name.
    pub fn add(&mut self, weight: i128, name: &[u8]) {
        if self.held.len() < self.count.get() {
            self.held.push(Reverse(Rank { weight, path: name.into() }));
        } else if let Some(mut first) = self.held.peek_mut()
            && first.0.goes_before(weight, name)
        {
            *first = Reverse(Rank { weight, path: name.into() });
        }
    }

    /// Adds what somebody else has found of the same directory.
    pub fn merge(&mut self, other: Self) {
        for Reverse(rank) in other.held {
            self.add(rank.weight, &rank.path);
        }
    }

    /// Which are kept.
    #[must_use]
    pub fn kept(mut self) -> Kept {
        let from = if self.held.len() < self.count.get() { None } else { self.held.pop().map(|Reverse(rank)| rank) };
        Kept { count: self.count, from }
    }
}

impl Kept {
    /// All of them: for a directory that could not be read to its end.
    #[must_use]
    pub fn all(count: NonZeroUsize) -> Self {
        Self { count, from: None }
    }

    /// Whether the candidate of this weight and name is kept.
    #[must_use]
    pub fn holds(&self, weight: i128, name: &[u8]) -> bool {
        self.from.as_ref().is_none_or(|from| !from.is_after(weight, name))
    }

    /// How many are kept.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.get()
    }
}
