//! Inodes with several links among the candidates.

use std::collections::BTreeMap;

use super::limits::{Amount, Rank};
use crate::entry::Identity;

/// What is known of one inode with several links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    allocated: u64,
    links: u64,
    /// How many of its links go anyway.
    going: u64,
    /// How many may go, and the last of them.
    waiting: u64,
    last: Option<Rank>,
    /// How many stay.
    protected: u64,
}

impl Link {
    /// The candidate with which its bytes go, and what goes then.
    fn goes_with(&self) -> Option<(&Rank, Amount)> {
        let last = self.last.as_ref().filter(|_| self.protected == 0)?;
        Some((last, self.amount(self.going + self.waiting)))
    }

    /// What goes with so many of its links.
    fn amount(&self, links: u64) -> Amount {
        let freed = if links >= self.links { self.allocated } else { 0 };
        Amount { files: 0, bytes: self.allocated, freed }
    }
}

/// What becomes of one link of an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate<'a> {
    /// It goes anyway.
    Goes,
    /// A limit may take it: its weight and path.
    Waits(i128, &'a [u8]),
    /// It stays.
    Protected,
}

/// The inodes with several links among the candidates: each counts once, and its bytes go with its last link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links(BTreeMap<Identity, Link>);

impl Links {
    /// The candidates with which the bytes of inodes go that may go, and what goes then.
    pub(super) fn going(&self) -> impl Iterator<Item = (&Rank, Amount)> {
        self.0.values().filter_map(Link::goes_with)
    }

    /// More of them are not told apart; a run that meets more is refused.
    pub const MOST: usize = 1_000_000;

    /// Takes in some links (`here`) of an inode that has `links` in all. `false`: there are too many to be told apart.
    #[must_use]
    pub fn add(&mut self, identity: Identity, allocated: u64, links: u64, here: u64, fate: Fate<'_>) -> bool {
        if self.0.len() >= Self::MOST && !self.0.contains_key(&identity) {
            return false;
        }
        let new = Link { allocated, links, going: 0, waiting: 0, last: None, protected: 0 };
        let link = self.0.entry(identity).or_insert(new);
        match fate {
            Fate::Goes => link.going += here,
            Fate::Protected => link.protected += here,
            Fate::Waits(weight, path) => {
                link.waiting += here;
                if link.last.as_ref().is_none_or(|last| last.goes_before(weight, path)) {
                    link.last = Some(Rank { weight, path: path.into() });
                }
            }
        }
        true
    }

    /// What all of them are worth, each once, and what of that goes anyway.
    #[must_use]
    pub fn totals(&self) -> (Amount, Amount) {
        let mut totals = (Amount::default(), Amount::default());
        for link in self.0.values() {
            totals.0 += link.amount(0);
            if link.going > 0 && link.waiting == 0 && link.protected == 0 {
                totals.1 += link.amount(link.going);
            }
        }
        totals
    }
}
