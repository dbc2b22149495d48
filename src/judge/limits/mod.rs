//! Limits: what `max_size`, `max_files`, `min_free` and `max_deletes` make of all candidates together.
//!
//! Candidates are taken in one order (see [`Rank`]) until every limit holds, so all that is to be found is the
//! [`Cut`]: the last one that goes. It is found exactly and in bounded memory. A survey adds the candidates up in the
//! slots of a [`Scale`], and holds them one by one as long as they are few ([`Tally`]). When they are not, only the slot
//! with the cut in it is surveyed again, on a finer scale, until they are few enough to be held.

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::sync::Arc;

use super::links::Links;
use crate::entry::Identity;

/// As many candidates are held one by one.
pub const HELD: usize = 32 * 1024;

/// As many bytes of paths are held at most, so that long paths cannot fill the memory.
const HELD_BYTES: usize = 4 * 1024 * 1024;

/// As many candidates are kept as a sample, from which a finer scale is made.
const SAMPLED: usize = 4096;

/// Where a candidate stands in the order in which limits take them: the heaviest first, then by path. What goes before
/// is less.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rank {
    /// Its weight: the age in nanoseconds, or the allocated bytes.
    pub weight: i128,
    /// Its path relative to the root.
    pub path: Box<[u8]>,
}

impl Rank {
    fn order(&self, weight: i128, path: &[u8]) -> Ordering {
        weight.cmp(&self.weight).then_with(|| (*self.path).cmp(path))
    }

    /// Whether this goes before the candidate of this weight and path.
    #[must_use]
    pub fn goes_before(&self, weight: i128, path: &[u8]) -> bool {
        self.order(weight, path).is_lt()
    }

    /// Whether this goes after the candidate of this weight and path.
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

/// How much something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amount {
    /// Files.
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
    /// Whether this is as much as is needed.
    #[must_use]
    pub fn meets(self, need: Self) -> bool {
        self.files >= need.files && self.bytes >= need.bytes && self.freed >= need.freed
    }
}

/// How far the limits reach.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cut {
    /// No candidate has to go for them.
    #[default]
    Nothing,
    /// Everything up to this one goes, itself included.
    Until(Rank),
    /// Everything that may go goes.
    All,
}

impl Cut {
    /// Whether the candidate of this weight and path goes.
    #[must_use]
    pub fn takes(&self, weight: i128, path: &[u8]) -> bool {
        match self {
            Self::Nothing => false,
            Self::Until(last) => !last.goes_before(weight, path),
            Self::All => true,
        }
    }
}

/// A candidate that limits may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Where it stands.
    pub rank: Rank,
    /// What it is worth. The bytes of an inode with several links are its [`Links`]' matter.
    pub amount: Amount,
}

/// How candidates are told apart in a survey.
#[derive(Clone, Debug)]
pub enum Scale {
    /// By weight, in steps that grow with it: each is at most 1/256 of the weight.
    Weights,
    /// By what lies between these ranks, in order.
    Between(Arc<[Rank]>),
    /// Not at all.
    Whole,
}

impl Scale {
    /// The binary logarithm of the number of steps in which a weight doubles.
    const FINE: u32 = 8;
    const WEIGHTS: usize = ((i128::BITS - Self::FINE) << Self::FINE) as usize;

    fn slots(&self) -> usize {
        match self {
            Self::Weights => Self::WEIGHTS,
            Self::Between(ranks) => ranks.len() + 1,
            Self::Whole => 1,
        }
    }

    /// The slot of a candidate; what goes before is in a lower slot, or in the same.
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

/// What a survey looks at, and how.
#[derive(Clone, Debug)]
pub struct Spec {
    /// Only candidates in these slots of these scales.
    pub range: Vec<(Scale, usize)>,
    /// How they are told apart.
    pub scale: Scale,
}

impl Spec {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Self { range: Vec::new(), scale: Scale::Weights }
    }

    fn has(&self, weight: i128, path: &[u8]) -> bool {
        self.range.iter().all(|(scale, slot)| scale.slot(weight, path) == *slot)
    }
}

/// What one worker of a survey has added up of the candidates that limits may take.
#[derive(Clone, Debug)]
pub struct Tally {
    spec: Arc<Spec>,
    /// What is in each slot; empty as long as all are held.
    slots: Vec<Amount>,
    /// All of them; `None` once they have become too many.
    held: Option<Vec<Item>>,
    held_bytes: usize,
    sample: Vec<(u64, Rank)>,
    sample_bytes: usize,
    /// What hashes to more than this is not sampled.
    sampled_until: u64,
}

impl Tally {
    /// For a survey.
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

    /// Gives up holding them one by one.
    fn spill(&mut self) {
        let Some(held) = self.held.take() else { return };
        self.slots = vec![Amount::default(); self.spec.scale.slots()];
        for Item { rank, amount } in held {
            self.slots[self.spec.scale.slot(rank.weight, &rank.path)] += amount;
        }
    }

    /// Keeps the sample small: of the hashes only the lowest, so that what is left is as random as the hashes.
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

    /// Adds what another worker of the same survey has.
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

    /// Gives inodes with several links their bytes, which go with the last of those that may go.
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

    /// Finds the cut, where what goes is to be `need`, or a closer look at where it lies.
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

/// What came of a search.
#[derive(Clone, Debug)]
pub enum Search {
    /// The cut, and what goes up to it.
    Found {
        /// The cut.
        cut: Cut,
        /// What goes of what was surveyed.
        amount: Amount,
    },
    /// It takes another survey, of less.
    Closer {
        /// Of what.
        spec: Spec,
        /// What goes before that.
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
