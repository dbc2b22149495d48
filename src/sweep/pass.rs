//! Purposes of a walk, and the results that its workers gather.

use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use crate::entry::{Facts, Identity};
use crate::globs::Difference;
use crate::judge::Newest;
use crate::judge::limits::{Amount, Cut, HELD, Rank, Spec, Tally};
use crate::judge::links::{Fate, Links};
use crate::verdict::{Because, Protection, Reason};

/// Cut of one limit, and the reason of everything that it takes.
#[derive(Clone, Debug)]
pub(super) struct Limit {
    pub(super) cut: Cut,
    pub(super) reason: Reason,
}

/// Purpose of a walk.
#[derive(Clone, Debug)]
pub(super) enum Pass {
    /// Verdicts, with what these limits take, and the actions that follow.
    Act(Vec<Limit>),
    /// Survey that adds up the candidates.
    Survey(Arc<Spec>),
    /// Search for the newest of the root's candidates, directories that go whole among them.
    Newest(NonZeroUsize),
    /// Search for the candidates that a limit takes first, of those that these limits leave.
    First(Vec<Limit>),
}

/// Returns the reason of the first limit that takes a candidate, if one does.
pub(super) fn taken<'a>(limits: &'a [Limit], weight: i128, path: &[u8]) -> Option<&'a Reason> {
    limits.iter().find(|limit| limit.cut.takes(weight, path)).map(|limit| &limit.reason)
}

/// Candidate that a limit takes soon.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Next {
    pub(super) rank: Rank,
    /// Inode that has this rank: somebody may give its name to another.
    pub(super) identity: Identity,
    /// Whether the candidate is a directory that goes whole.
    pub(super) whole: bool,
}

impl Next {
    /// Returns whether the entry that has the name now is the one that was ranked, and its turn is no later than it
    /// was.
    pub(super) fn is_still(&self, identity: Identity, weight: i128) -> bool {
        identity == self.identity && weight >= self.rank.weight
    }
}

/// Amounts of all candidates together.
#[derive(Clone, Debug, Default)]
pub(super) struct Overview {
    /// All candidates.
    pub(super) candidates: Amount,
    /// Candidates that go for a reason of their own.
    pub(super) going: Amount,
    /// Candidates that are protected, by the protection.
    pub(super) protected: BTreeMap<&'static str, Amount>,
}

/// Results that a worker gathers on its way.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) overview: Overview,
    pub(super) tally: Option<Tally>,
    pub(super) newest: Option<Newest>,
    /// Candidates that a limit takes first, the last of them on top.
    pub(super) first: BinaryHeap<Next>,
    /// Excludes that named something.
    pub(super) matched: BTreeSet<Arc<str>>,
    /// Excludes that almost named something, each with one such path and the difference.
    pub(super) missed: BTreeMap<Arc<str>, (String, Difference)>,
    /// Whether there was a candidate at all.
    pub(super) has_candidates: bool,
}

/// Candidate, as a survey takes it in.
pub(super) struct Candidate<'a> {
    pub(super) weight: i128,
    pub(super) path: &'a [u8],
    pub(super) identity: Identity,
    /// Amount of the candidate without its inodes that have other links.
    pub(super) amount: Amount,
    /// Inodes of the candidate that have other links: their allocated bytes, the number of their links, and how many of
    /// these are in this candidate.
    pub(super) linked: &'a [(Identity, u64, u64, u64)],
}

/// Standing of a candidate, as a survey needs it.
pub(super) enum Told<'a> {
    Goes,
    Waits,
    Protected(&'a Because),
}

/// Returns the amount of a file as a candidate, and its inode when that has other links.
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

    /// Takes in a candidate of a survey. Returns `false` when there are too many inodes with several links.
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

    /// Adds the results that another worker has gathered.
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

    /// Returns the candidates that go first, in order.
    pub(super) fn into_first(self) -> Vec<Next> {
        self.first.into_sorted_vec()
    }
}
