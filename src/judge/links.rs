//! Inodes with several links among the candidates.

use std::collections::BTreeMap;

use super::limits::{Amount, Rank};
use crate::entry::Identity;

/// State of one inode with several links.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    allocated: u64,
    links: u64,
    /// Number of its links that go anyway.
    going: u64,
    /// Number of its links that may go.
    waiting: u64,
    /// Last of the links that may go.
    last: Option<Rank>,
    /// Number of its links that stay.
    protected: u64,
}

impl Link {
    /// Returns the candidate with which the bytes of the inode go, and the amount that goes then.
    fn goes_with(&self) -> Option<(&Rank, Amount)> {
        let last = self.last.as_ref().filter(|_| self.protected == 0)?;
        Some((last, self.amount(self.going + self.waiting)))
    }

    /// Returns the amount that goes with so many of the links.
    fn amount(&self, links: u64) -> Amount {
        let freed = if links >= self.links { self.allocated } else { 0 };
        Amount { files: 0, bytes: self.allocated, freed }
    }
}

/// Fate of one link of an inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate<'a> {
    /// The link goes anyway.
    Goes,
    /// A limit may take the link, which has this weight and path.
    Waits(i128, &'a [u8]),
    /// The link stays.
    Protected,
}

/// Inodes with several links among the candidates: each counts once, and its bytes go with its last link.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Links(BTreeMap<Identity, Link>);

impl Links {
    /// Returns the candidates with which the bytes of inodes go that may go, and the amounts that go then.
    pub(super) fn going(&self) -> impl Iterator<Item = (&Rank, Amount)> {
        self.0.values().filter_map(Link::goes_with)
    }

    /// Most hard-linked inodes tracked; a run that meets more fails.
    pub const MOST: usize = 1_000_000;

    /// Takes in some links (`here`) of an inode that has `links` in all. Returns `false` when there are too many inodes
    /// to be told apart.
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

    /// Returns the amount of all inodes, each once, and the part of it that goes anyway.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn identity(inode: u64) -> Identity {
        Identity { device: 1, inode }
    }

    fn amount(bytes: u64, freed: u64) -> Amount {
        Amount { files: 0, bytes, freed }
    }

    /// One inode of 100 bytes with three links, and what became of those that were met.
    fn met(fates: &[(u64, Fate<'_>)]) -> Links {
        let mut links = Links::default();
        for (here, fate) in fates {
            assert!(links.add(identity(1), 100, 3, *here, *fate));
        }
        links
    }

    fn waits(weight: i128, path: &str) -> Fate<'_> {
        Fate::Waits(weight, path.as_bytes())
    }

    #[test]
    fn its_bytes_go_with_the_last_of_its_links_and_are_freed_with_all_of_them() {
        for (fates, expected) in [
            (vec![(1, waits(5, "a")), (1, waits(3, "b")), (1, waits(3, "a"))], Some((3, "b", amount(100, 100)))),
            (vec![(1, waits(5, "a")), (1, waits(3, "b"))], Some((3, "b", amount(100, 0)))),
            (vec![(2, Fate::Goes), (1, waits(5, "a"))], Some((5, "a", amount(100, 100)))),
            (vec![(1, Fate::Goes), (1, Fate::Goes), (1, waits(5, "a"))], Some((5, "a", amount(100, 100)))),
            (vec![(1, Fate::Goes), (1, waits(5, "a"))], Some((5, "a", amount(100, 0)))),
            (vec![(1, Fate::Protected), (1, waits(5, "a")), (1, waits(3, "b"))], None),
            (vec![(3, Fate::Goes)], None),
        ] {
            let links = met(&fates);
            let going: Vec<_> = links.going().collect();
            let expected: Vec<_> = expected
                .map(|(weight, path, amount)| (Rank { weight, path: path.as_bytes().into() }, amount))
                .into_iter()
                .collect();
            assert_eq!(going, expected.iter().map(|(rank, amount)| (rank, *amount)).collect::<Vec<_>>(), "{fates:?}");
        }
    }

    #[test]
    fn each_counts_once_and_goes_anyway_only_when_none_of_its_links_stays() {
        for (fates, goes) in [
            (vec![(3, Fate::Goes)], amount(100, 100)),
            (vec![(1, Fate::Goes), (1, Fate::Goes)], amount(100, 0)),
            (vec![(1, Fate::Goes), (1, waits(5, "a"))], amount(0, 0)),
            (vec![(1, Fate::Goes), (1, Fate::Protected)], amount(0, 0)),
            (vec![(1, Fate::Protected)], amount(0, 0)),
            (vec![(1, waits(5, "a"))], amount(0, 0)),
        ] {
            assert_eq!(met(&fates).totals(), (amount(100, 0), goes), "{fates:?}");
        }
        let mut two = met(&[(3, Fate::Goes)]);
        assert!(two.add(identity(2), 20, 2, 2, Fate::Goes));
        assert_eq!(two.totals(), (amount(120, 0), amount(120, 120)));
    }

    #[test]
    fn of_more_than_a_million_none_is_forgotten_in_silence() {
        let mut links = Links::default();
        assert!((0..Links::MOST as u64).all(|inode| links.add(identity(inode), 1, 2, 1, Fate::Goes)));
        assert!(!links.add(identity(u64::MAX), 1, 2, 1, Fate::Goes));
        assert!(links.add(identity(7), 1, 2, 1, Fate::Goes), "this one is known");
        assert_eq!(links.totals().1, amount(1_000_000, 1));
    }
}
