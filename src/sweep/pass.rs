//! What a walk is for, and what its workers gather.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use crate::entry::{Facts, Identity};
use crate::globs::Difference;
use crate::judge::Newest;
use crate::judge::limits::{Amount, Cut, HELD, Rank, Spec, Tally};
use crate::judge::links::{Fate, Links};
use crate::verdict::{Because, Protection, Reason};

/// How far one limit reaches, and what is said of what it takes.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    pub(super) cut: Cut,
    pub(super) reason: Reason,
}

/// What a walk is for.
#[derive(Clone, Debug)]
pub(super) enum Pass {
    /// Verdicts, with what limits take, and what follows from them.
    Act(Vec<Limit>),
    /// To add up the candidates.
    Survey(Arc<Spec>),
    /// To find the newest of the root's candidates, directories that go whole among them.
    Newest(NonZeroUsize),
    /// To find those that a limit takes first, of what these limits leave.
    First(Vec<Limit>),
}

/// The reason with which the first of some limits takes a candidate.
pub(super) fn taken<'a>(limits: &'a [Limit], weight: i128, path: &[u8]) -> Option<&'a Reason> {
    limits.iter().find(|limit| limit.cut.takes(weight, path)).map(|limit| &limit.reason)
}

/// A candidate that a limit takes soon.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Next {
    pub(super) rank: Rank,
    /// Which inode has this rank: somebody may give its name to another.
    pub(super) identity: Identity,
    /// Whether it is a directory that goes whole.
    pub(super) whole: bool,
}

impl Next {
    /// Whether what has its name now is what was ranked, and its turn has not come to be a later one.
    pub(super) fn is_still(&self, identity: Identity, weight: i128) -> bool {
        identity == self.identity && weight >= self.rank.weight
    }
}

/// What is known of all candidates together.
#[derive(Clone, Debug, Default)]
pub(super) struct Overview {
    /// All of them.
    pub(super) candidates: Amount,
    /// Those that go for a reason of their own.
    pub(super) going: Amount,
    /// Those that are protected, by the protection.
    pub(super) protected: BTreeMap<&'static str, Amount>,
}

/// What a worker gathers on its way.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) overview: Overview,
    pub(super) tally: Option<Tally>,
    pub(super) newest: Option<Newest>,
    /// The last of them on top.
    pub(super) first: BinaryHeap<Next>,
    /// The excludes that named something.
    pub(super) matched: BTreeSet<Arc<str>>,
    /// Excludes that almost named something: the first such path, and in what it differs.
    pub(super) missed: BTreeMap<Arc<str>, (String, Difference)>,
    /// Whether there was a candidate at all.
    pub(super) has_candidates: bool,
}

/// A candidate, as a survey takes it in.
pub(super) struct Candidate<'a> {
    pub(super) weight: i128,
    pub(super) path: &'a [u8],
    pub(super) identity: Identity,
    /// What it is worth without its inodes that have other links.
    pub(super) amount: Amount,
    /// Those: which, their allocated bytes, how many links they have, and how many of them this candidate is.
    pub(super) linked: &'a [(Identity, u64, u64, u64)],
}

/// What a survey is told of a candidate's standing.
pub(super) enum Told<'a> {
    Goes,
    Waits,
    Protected(&'a Because),
}

/// A file, as a candidate: what it is worth, and its inode when that has other links.
pub(super) fn worth(facts: &Facts) -> (Amount, Option<(Identity, u64, u64, u64)>) {
    if facts.links > 1 {
        let linked = (facts.identity, facts.allocated, u64::from(facts.links), 1);
        return (Amount { files: 1, bytes: 0, freed: 0 }, Some(linked));
    }
    (Amount { files: 1, bytes: facts.allocated, freed: facts.allocated }, None)
}

impl Gathered {
    pub(super) fn new(pass: &Pass) -> Self {
        let mut new = Self::default();
        match pass {
            Pass::Survey(spec) => new.tally = Some(Tally::new(spec.clone())),
            Pass::Newest(count) => new.newest = Some(Newest::new(*count)),
            Pass::Act(_) | Pass::First(_) => {}
        }
        new
    }

    /// Takes in a candidate of a survey. `false`: there are too many inodes with several links.
    #[must_use]
    pub(super) fn survey(&mut self, candidate: &Candidate<'_>, told: &Told<'_>, links: &Mutex<Links>) -> bool {
        let Candidate { weight, path, identity, amount, linked } = *candidate;
        self.overview.candidates += amount;
        let fate = match told {
            Told::Goes => {
                self.overview.going += amount;
                Fate::Goes
            }
            Told::Protected(because) => {
                let bytes = linked.iter().map(|(_, allocated, ..)| allocated).sum::<u64>() + amount.bytes;
                let held = Amount { bytes, ..amount };
                *self.overview.protected.entry(because.protection().map_or("other", Protection::word)).or_default() +=
                    held;
                Fate::Protected
            }
            Told::Waits => {
                if let Some(tally) = &mut self.tally {
                    tally.add(weight, path, amount, identity);
                }
                Fate::Waits(weight, path)
            }
        };
        if linked.is_empty() {
            return true;
        }
        let mut links = links.lock().unwrap_or_else(PoisonError::into_inner);
        linked.iter().all(|(inode, allocated, all, here)| links.add(*inode, *allocated, *all, *here, fate))
    }

    /// Takes in a candidate that is to go soon.
    pub(super) fn next(&mut self, weight: i128, path: &[u8], identity: Identity, whole: bool) {
        let next = || Next { rank: Rank { weight, path: path.into() }, identity, whole };
        if self.first.len() < HELD {
            self.first.push(next());
        } else if let Some(mut last) = self.first.peek_mut()
            && last.rank.is_after(weight, path)
        {
            *last = next();
        }
    }

    /// Adds what another worker has gathered.
    pub(super) fn merge(&mut self, other: Self) {
        let Self { overview, tally, newest, first, matched, missed, has_candidates } = other;
        self.overview.candidates += overview.candidates;
        self.overview.going += overview.going;
        for (protection, amount) in overview.protected {
            *self.overview.protected.entry(protection).or_default() += amount;
        }
        match (&mut self.tally, tally) {
            (Some(ours), Some(theirs)) => ours.merge(theirs),
            (ours, theirs) => *ours = ours.take().or(theirs),
        }
        match (&mut self.newest, newest) {
            (Some(ours), Some(theirs)) => ours.merge(theirs),
            (ours, theirs) => *ours = ours.take().or(theirs),
        }
        for next in first {
            self.next(next.rank.weight, &next.rank.path, next.identity, next.whole);
        }
        self.matched.extend(matched);
        self.missed.extend(missed);
        self.has_candidates |= has_candidates;
    }

    /// Those that go first, in order.
    pub(super) fn into_first(self) -> Vec<Next> {
        self.first.into_sorted_vec()
    }
}
