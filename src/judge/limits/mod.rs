//! Limits: the effect of `max_size`, `max_files`, `min_free` and `max_deletes` on all candidates together.
//!
//! Candidates are taken in one order (see [`Rank`]) until every limit holds, so only the [`Cut`] has to be found: the
//! last candidate that goes. It is found exactly and in bounded memory. A survey adds the candidates up in the slots of
//! a [`Scale`], and holds them one by one as long as they are few ([`Tally`]). When they are many, only the slot with
//! the cut in it is surveyed again, on a finer scale, until they are few enough to be held.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::sync::Arc;

use super::links::Links;
use crate::entry::Identity;

/// Most candidates that are held one by one.
pub const HELD: usize = 32 * 1024;

/// Most bytes of paths that are held, so that long paths cannot fill the memory.
const HELD_BYTES: usize = 4 * 1024 * 1024;

/// Most candidates that are kept as a sample, from which a finer scale is made.
const SAMPLED: usize = 4096;

/// Rank of a candidate in the order in which limits take them: the heaviest first, then by path. A candidate that goes
/// before another has the lesser rank.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rank {
    /// Weight: the age in nanoseconds, or the allocated bytes.
    pub weight: i128,
    /// Path relative to the root.
    pub path: Box<[u8]>,
}

impl Rank {
    fn order(&self, weight: i128, path: &[u8]) -> Ordering {
        weight.cmp(&self.weight).then_with(|| (*self.path).cmp(path))
    }

    /// Returns whether this rank goes before the candidate of this weight and path.
    #[must_use]
    pub fn goes_before(&self, weight: i128, path: &[u8]) -> bool {
        self.order(weight, path).is_lt()
    }

    /// Returns whether this rank goes after the candidate of this weight and path.
    #[must_use]
    pub fn is_after(&self, weight: i128, path: &[u8]) -> bool {
        self.order(weight, path).is_gt()
    }
}

impl Ord for Rank {
    fn cmp(&self, other: &Self) -> Ordering {
        self.order(other.weight, &other.path)
    }
}

impl PartialOrd for Rank {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Amount of files and of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Number of files.
    pub files: u64,
    /// Allocated bytes, a hard-linked inode once.
    pub bytes: u64,
    /// Bytes that the file system gets back: those of inodes that have no other link.
    pub freed: u64,
}

impl std::ops::Add for Amount {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            files: self.files + other.files,
            bytes: self.bytes.saturating_add(other.bytes),
            freed: self.freed.saturating_add(other.freed),
        }
    }
}

impl std::ops::AddAssign for Amount {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl Amount {
    /// Returns whether this amount is as much as is needed.
    #[must_use]
    pub fn meets(self, need: Self) -> bool {
        self.files >= need.files && self.bytes >= need.bytes && self.freed >= need.freed
    }
}

/// Reach of the limits.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    /// No candidate has to go for the limits.
    #[default]
    Nothing,
    /// Every candidate up to this one goes, itself included.
    Until(Rank),
    /// Every candidate that may go goes.
    All,
}

impl Cut {
    /// Returns whether the candidate of this weight and path goes.
    #[must_use]
    pub fn takes(&self, weight: i128, path: &[u8]) -> bool {
        match self {
            Self::Nothing => false,
            Self::Until(last) => !last.goes_before(weight, path),
            Self::All => true,
        }
    }
}

/// Candidate that limits may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Rank of the candidate.
    pub rank: Rank,
    /// Amount of the candidate. The bytes of an inode with several links are left to [`Links`].
    pub amount: Amount,
}

/// Scale on which a survey tells candidates apart.
#[derive(Clone, Debug)]
pub enum Scale {
    /// Steps of weight that grow with it: each is at most 1/256 of the weight.
    Weights,
    /// Intervals between these ranks, in order.
    Between(Arc<[Rank]>),
    /// A single slot for all candidates.
    Whole,
}

impl Scale {
    /// Binary logarithm of the number of steps in which a weight doubles.
    const FINE: u32 = 8;
    const WEIGHTS: usize = ((i128::BITS - Self::FINE) << Self::FINE) as usize;

    fn slots(&self) -> usize {
        match self {
            Self::Weights => Self::WEIGHTS,
            Self::Between(ranks) => ranks.len() + 1,
            Self::Whole => 1,
        }
    }

    /// Returns the slot of a candidate. A candidate that goes before another is in a lower slot, or in the same.
    fn slot(&self, weight: i128, path: &[u8]) -> usize {
        match self {
            Self::Weights => {
                let weight = u128::try_from(weight).unwrap_or(0);
                let bits = u128::BITS - weight.leading_zeros();
                let shift = bits.saturating_sub(Self::FINE + 1);
                let step = (weight >> shift) as usize + ((shift as usize) << Self::FINE);
                Self::WEIGHTS - 1 - step.min(Self::WEIGHTS - 1)
            }
            Self::Between(ranks) => ranks.partition_point(|rank| rank.goes_before(weight, path)),
            Self::Whole => 0,
        }
    }
}

/// Specification of a survey: its candidates, and the scale for them.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Slots of scales: only candidates in all of these slots are surveyed.
    pub range: Vec<(Scale, usize)>,
    /// Scale on which the candidates are told apart.
    pub scale: Scale,
}

impl Spec {
    /// Returns the survey of all candidates.
    #[must_use]
    pub fn all() -> Self {
        Self { range: Vec::new(), scale: Scale::Weights }
    }

    fn has(&self, weight: i128, path: &[u8]) -> bool {
        self.range.iter().all(|(scale, slot)| scale.slot(weight, path) == *slot)
    }
}

/// Sums that one worker of a survey has of the candidates that limits may take.
#[derive(Clone, Debug)]
pub struct Tally {
    spec: Arc<Spec>,
    /// Amount in each slot; empty as long as all candidates are held.
    slots: Vec<Amount>,
    /// All candidates; `None` once they have become too many.
    held: Option<Vec<Item>>,
    held_bytes: usize,
    sample: Vec<(u64, Rank)>,
    sample_bytes: usize,
    /// Highest hash of a candidate that is sampled.
    sampled_until: u64,
}

impl Tally {
    /// Returns an empty tally for a survey.
    #[must_use]
    pub fn new(spec: Arc<Spec>) -> Self {
        let (held, sample) = (Some(Vec::new()), Vec::new());
        Self { spec, slots: Vec::new(), held, held_bytes: 0, sample, sample_bytes: 0, sampled_until: u64::MAX }
    }

    /// Takes in a candidate, if the survey looks at it.
    pub fn add(&mut self, weight: i128, path: &[u8], amount: Amount, identity: Identity) {
        if !self.spec.has(weight, path) {
            return;
        }
        if self.held.is_some() {
            self.put(Item { rank: Rank { weight, path: path.into() }, amount });
        } else {
            self.slots[self.spec.scale.slot(weight, path)] += amount;
        }
        let hash = scatter(identity.inode);
        if hash <= self.sampled_until {
            self.sample_bytes += path.len();
            self.sample.push((hash, Rank { weight, path: path.into() }));
            self.thin();
        }
    }

    fn put(&mut self, item: Item) {
        let Some(held) = &mut self.held else {
            let Item { rank, amount } = item;
            self.slots[self.spec.scale.slot(rank.weight, &rank.path)] += amount;
            return;
        };
        self.held_bytes += item.rank.path.len();
        held.push(item);
        if held.len() > HELD || self.held_bytes > HELD_BYTES {
            self.spill();
        }
    }

    /// Gives up holding the candidates one by one, and adds them to the slots.
    fn spill(&mut self) {
        let Some(held) = self.held.take() else { return };
        self.slots = vec![Amount::default(); self.spec.scale.slots()];
        for Item { rank, amount } in held {
            self.slots[self.spec.scale.slot(rank.weight, &rank.path)] += amount;
        }
    }

    /// Keeps the sample small, with only the lowest of the hashes, so that the rest is as random as the hashes.
    fn thin(&mut self) {
        if self.sample.len() < 2 * SAMPLED && self.sample_bytes < HELD_BYTES / 4 {
            return;
        }
        self.sample.sort_unstable_by_key(|(hash, _)| *hash);
        let mut bytes = 0;
        let few = self.sample.iter().take_while(|(_, rank)| {
            bytes += rank.path.len();
            bytes <= HELD_BYTES / 8
        });
        let few = few.count().clamp(1, SAMPLED);
        self.sample.truncate(few);
        self.sample_bytes = self.sample.iter().map(|(_, rank)| rank.path.len()).sum();
        self.sampled_until = self.sample.last().map_or(u64::MAX, |(hash, _)| *hash);
    }

    /// Adds the tally of another worker of the same survey.
    pub fn merge(&mut self, mut other: Self) {
        match other.held.take() {
            Some(items) => items.into_iter().for_each(|item| self.put(item)),
            None => {
                self.spill();
                for (ours, theirs) in self.slots.iter_mut().zip(other.slots) {
                    *ours += theirs;
                }
            }
        }
        self.sampled_until = self.sampled_until.min(other.sampled_until);
        self.sample.extend(other.sample);
        self.sample.retain(|(hash, _)| *hash <= self.sampled_until);
        self.sample_bytes = self.sample.iter().map(|(_, rank)| rank.path.len()).sum();
        self.thin();
    }

    /// Adds the bytes of inodes with several links, which go with the last of the links that may go.
    pub fn credit(&mut self, links: &Links) {
        self.held.iter_mut().for_each(|items| items.sort_unstable_by(|one, other| one.rank.cmp(&other.rank)));
        for (last, amount) in links.going() {
            if !self.spec.has(last.weight, &last.path) {
                continue;
            }
            match &mut self.held {
                None => self.slots[self.spec.scale.slot(last.weight, &last.path)] += amount,
                Some(items) => {
                    if let Ok(at) = items.binary_search_by(|item| item.rank.cmp(last)) {
                        items[at].amount += amount;
                    }
                }
            }
        }
    }

    /// Finds the cut up to which `need` goes, or the specification of a closer survey around it.
    #[must_use]
    pub fn find(self, need: Amount) -> Search {
        if let Some(mut items) = self.held {
            items.sort_unstable_by(|one, other| one.rank.cmp(&other.rank));
            let mut sum = Amount::default();
            for item in items {
                sum += item.amount;
                if sum.meets(need) {
                    return Search::Found { cut: Cut::Until(item.rank), amount: sum };
                }
            }
            return Search::Found { cut: Cut::All, amount: sum };
        }
        let mut before = Amount::default();
        let with_cut = self.slots.iter().position(|amount| {
            let met = (before + *amount).meets(need);
            if !met {
                before += *amount;
            }
            met
        });
        let Some(slot) = with_cut else { return Search::Found { cut: Cut::All, amount: before } };
        let mut range = self.spec.range.clone();
        range.push((self.spec.scale.clone(), slot));
        let scale = if self.slots[slot].files <= HELD as u64 {
            Scale::Whole
        } else {
            let inside = |rank: &Rank| self.spec.scale.slot(rank.weight, &rank.path) == slot;
            let mut ranks: Vec<Rank> = self.sample.into_iter().map(|(_, rank)| rank).filter(inside).collect();
            ranks.sort_unstable();
            ranks.dedup();
            Scale::Between(ranks.into())
        };
        Search::Closer { spec: Spec { range, scale }, before }
    }
}

/// Result of a search.
#[derive(Clone, Debug)]
pub enum Search {
    /// The cut, and the amount that goes up to it.
    Found {
        /// The cut.
        cut: Cut,
        /// Amount that goes, of the candidates that were surveyed.
        amount: Amount,
    },
    /// Another survey is needed, of fewer candidates.
    Closer {
        /// Specification of that survey.
        spec: Spec,
        /// Amount that goes before those candidates.
        before: Amount,
    },
}

/// Spreads inode numbers, which come in rows, over all of `u64` (the finalizer of SplitMix64).
fn scatter(inode: u64) -> u64 {
    let mut hash = inode.wrapping_add(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ (hash >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ (hash >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    hash ^ (hash >> 31)
}
