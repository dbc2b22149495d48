//! The judge: the verdict on one entry. Pure, cannot fail, is told the time.
//!
//! A verdict comes in two halves, since a name costs nothing and the facts cost a system call: [`by_name`], then
//! [`by_facts`] for what the first half let through.

#[cfg(test)]
mod tests;

use jiff::Timestamp;

use crate::entry::{Facts, Kind};
use crate::globs::{Named, Place};
use crate::target::Policy;
use crate::verdict::{Because, Reason, Verdict};

/// The first half of a verdict: what name and kind alone decide, for anything but a directory. `None`: it is a
/// candidate as far as its name goes, and the facts have to be asked for.
///
/// Of several answers the one that a person can act on comes first: an exclude, then the missing include, then the
/// kind.
#[must_use]
pub fn by_name(policy: &Policy, place: &Place, name: &[u8], kind: Kind) -> Option<Because> {
    match policy.globs.file(place, name) {
        Named::Excluded(pattern) => Some(Because::Excluded(pattern)),
        Named::BuiltIn(pattern) => Some(Because::BuiltIn(pattern)),
        Named::NotIncluded => Some(Because::NotIncluded),
        Named::Included if kind != Kind::File => Some(Because::NotRegular(kind)),
        Named::Included => None,
    }
}

/// The second half: the verdict on a regular file that [`by_name`] let through.
///
/// Filters first, then what speaks for going, then what protects: a file that has no reason to go is not called
/// protected.
#[must_use]
pub fn by_facts(policy: &Policy, facts: &Facts, now: Timestamp) -> Verdict {
    match filtered(policy, facts).map_or_else(|| reason(policy, facts, now), Err) {
        Ok(reason) => Verdict::Goes(reason),
        Err(because) => Verdict::Stays(because),
    }
}

/// The filter that the file does not pass.
fn filtered(policy: &Policy, facts: &Facts) -> Option<Because> {
    let size = facts.size;
    if let Some(limit) = policy.larger_than.filter(|limit| size <= *limit) {
        return Some(Because::NotLarger { size, limit });
    }
    policy.smaller_than.filter(|limit| size >= *limit).map(|limit| Because::NotSmaller { size, limit })
}

/// The reason for which the file goes, or what holds it.
fn reason(policy: &Policy, facts: &Facts, now: Timestamp) -> Result<Reason, Because> {
    if !policy.asks_for_age() {
        return Ok(Reason::Included);
    }
    let stamp = facts.stamps.by(policy.age_by).ok_or(Because::NoBirthTime)?;
    // A file from the future has no age that could be compared, so it can be neither old nor old enough.
    let age = stamp.age(now).ok_or(Because::Future)?;
    let reason = match policy.older_than {
        Some(limit) if age < limit => return Err(Because::NotOld { age, limit }),
        Some(limit) => Reason::OlderThan { age, limit },
        None => Reason::Included,
    };
    match policy.min_age {
        Some(limit) if age < limit => Err(Because::MinAge { age, limit }),
        _ => Ok(reason),
    }
}
