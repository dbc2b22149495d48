//! The judge (interface; being written).

use jiff::Timestamp;

use crate::entry::{Facts, Kind};
use crate::globs::Place;
use crate::target::Policy;
use crate::verdict::{Because, Verdict};

/// The first half of a verdict: what name and kind alone decide. `None`: the facts have to be asked for.
#[must_use]
pub fn by_name(_policy: &Policy, _place: &Place, _name: &[u8], _kind: Kind) -> Option<Because> {
    None
}

/// The second half: the verdict on a file that [`by_name`] let through.
#[must_use]
pub fn by_facts(_policy: &Policy, _facts: &Facts, _now: Timestamp) -> Verdict {
    Verdict::Stays(Because::NotIncluded)
}
