//! `keep_newest`: the newest names of one directory.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::num::NonZeroUsize;

use super::limits::Rank;

/// Collector of the newest candidates of one directory. It never holds more than are kept.
#[derive(Clone, Debug)]
pub struct Newest {
    count: NonZeroUsize,
    /// Newest candidates so far; the one that goes first among them is on top.
    held: BinaryHeap<Reverse<Rank>>,
}

/// Newest names of a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    count: NonZeroUsize,
    /// First candidate that is kept, in the order in which they would go; `None` when all are kept.
    from: Option<Rank>,
}

impl Newest {
    /// Returns a collector for this many candidates.
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

    /// Adds the candidates that another collector has found in the same directory.
    pub fn merge(&mut self, other: Self) {
        for Reverse(rank) in other.held {
            self.add(rank.weight, &rank.path);
        }
    }

    /// Returns the names that are kept.
    #[must_use]
    pub fn kept(mut self) -> Kept {
        let from = if self.held.len() < self.count.get() { None } else { self.held.pop().map(|Reverse(rank)| rank) };
        Kept { count: self.count, from }
    }
}

impl Kept {
    /// Returns a value that keeps all names, for a directory that could not be read to its end.
    #[must_use]
    pub fn all(count: NonZeroUsize) -> Self {
        Self { count, from: None }
    }

    /// Returns whether the candidate of this weight and name is kept.
    #[must_use]
    pub fn holds(&self, weight: i128, name: &[u8]) -> bool {
        self.from.as_ref().is_none_or(|from| !from.is_after(weight, name))
    }

    /// Returns the number of candidates to keep.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count.get()
    }
}
