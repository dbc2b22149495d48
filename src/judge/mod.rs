//! The judge: the verdict on one entry, and on many together. Its functions are pure, cannot fail, and take the time as
//! an argument.
//!
//! A verdict on one entry comes in two halves, since a name costs nothing and the facts cost a system call:
//! [`by_name`], then [`by_facts`] for entries that the first half let through. Where a policy has limits, which look at
//! all candidates together, the second half leaves candidates open that only the limits can take ([`Standing::Waits`]),
//! and [`limits`] finds out how far they reach.

pub mod limits;
pub mod links;
mod newest;
#[cfg(test)]
mod tests;

pub use newest::{Kept, Newest};

use std::time::Duration;

use jiff::Timestamp;

use crate::entry::{Facts, Kind, Stamps};
use crate::globs::{Entered, Named, Place};
use crate::report::LimitKey;
use crate::target::{GoesFirst, Policy};
use crate::verdict::{Because, Reason};

/// Age at which a directory that was empty before goes, where the policy knows no age at all: long enough that its
/// maker has put something in.
pub const EMPTY_AGE: Duration = Duration::from_secs(600);

/// Returns the limits that a policy has.
pub fn limits_of(policy: &Policy) -> impl Iterator<Item = LimitKey> {
    let limits = [
        (LimitKey::MaxSize, policy.max_size.is_some()),
        (LimitKey::MaxFiles, policy.max_files.is_some()),
        (LimitKey::MinFree, policy.min_free.is_some()),
    ];
    limits.into_iter().filter_map(|(limit, has)| has.then_some(limit))
}

/// Standing of a file before the limits are applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No candidate: the file does not pass a filter.
    Filtered(Because),
    /// A candidate that a protection holds.
    Protected(Because),
    /// A candidate that goes for a reason of its own.
    Goes(Reason),
    /// A candidate that has no reason of its own, with the cause of that; a limit may take it.
    Waits(Because),
}

/// Returns the first half of a verdict: why an entry stays by its name and kind alone, for anything but a directory.
/// `None` means that the entry is a candidate as far as its name goes, and that the facts have to be asked for.
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

/// Returns the reason for which a regular file goes that [`by_name`] let through, where nothing else is asked of it.
/// That saves a system call for each file. `None` means that the facts have to be asked for.
#[must_use]
pub fn by_name_alone(policy: &Policy) -> Option<Reason> {
    (!policy.asks_for_facts()).then_some(Reason::Included)
}

/// Returns the first half of the verdict on a directory that goes or stays whole: its place.
///
/// # Errors
/// Returns why the directory is no candidate and stays.
pub fn whole_by_name(policy: &Policy, place: &Place, name: &[u8]) -> Result<Place, Because> {
    match policy.globs.whole(place, name) {
        Entered::Place(place) => Ok(place),
        Entered::Unreached => Err(Because::NotIncluded),
        Entered::Excluded(pattern) => Err(Because::Excluded(pattern)),
        Entered::BuiltIn(pattern) => Err(Because::BuiltIn(pattern)),
    }
}

/// Returns whether a regular file that [`by_name`] let through is a candidate.
#[must_use]
pub fn is_candidate(policy: &Policy, facts: &Facts) -> bool {
    filtered(policy, facts).is_none()
}

/// Returns the second half of a verdict: the standing, by its facts, of a regular file that [`by_name`] let through, or
/// of a directory that goes or stays whole. `kept` are the names of its directory that `keep_newest` holds.
///
/// Filters come first, then reasons to go, then protections: a file that nothing asks for is not called protected.
#[must_use]
pub fn by_facts(policy: &Policy, facts: &Facts, name: &[u8], kept: Option<&Kept>, now: Timestamp) -> Standing {
    if let Some(because) = filtered(policy, facts) {
        return Standing::Filtered(because);
    }
    let reason = match reason(policy, facts, now) {
        Ok(reason) => Ok(reason),
        Err(because) if policy.has_limits() => Err(because),
        Err(because) => return Standing::Waits(because),
    };
    match (protection(policy, facts, name, kept, now), reason) {
        (Some(because), _) => Standing::Protected(because),
        (None, Ok(reason)) => Standing::Goes(reason),
        (None, Err(because)) => Standing::Waits(because),
    }
}

/// Returns the filter that the file does not pass, if any.
fn filtered(policy: &Policy, facts: &Facts) -> Option<Because> {
    let size = facts.size;
    if let Some(limit) = policy.larger_than.filter(|limit| size <= *limit) {
        return Some(Because::NotLarger { size, limit });
    }
    policy.smaller_than.filter(|limit| size >= *limit).map(|limit| Because::NotSmaller { size, limit })
}

/// Returns the age of something with these stamps, or why it has none.
fn age(policy: &Policy, stamps: &Stamps, now: Timestamp) -> Result<Duration, Because> {
    let stamp = stamps.by(policy.age_by).ok_or(Because::NoBirthTime)?;
    // A file from the future has no age that could be compared, so it can be neither old nor old enough.
    stamp.age(now).ok_or(Because::Future)
}

/// Returns the file's own reason to go, or why it has none.
fn reason(policy: &Policy, facts: &Facts, now: Timestamp) -> Result<Reason, Because> {
    match policy.older_than {
        None if policy.has_limits() => Err(Because::WithinLimits),
        None => Ok(Reason::Included),
        Some(limit) => match age(policy, &facts.stamps, now)? {
            age if age < limit => Err(Because::NotOld { age, limit }),
            age => Ok(Reason::OlderThan { age, limit }),
        },
    }
}

/// Returns the protection of the file, as far as its facts tell.
fn protection(policy: &Policy, facts: &Facts, name: &[u8], kept: Option<&Kept>, now: Timestamp) -> Option<Because> {
    if facts.immutable {
        return Some(Because::Immutable);
    }
    if policy.asks_for_age() {
        match (age(policy, &facts.stamps, now), policy.min_age) {
            (Err(because), _) => return Some(because),
            (Ok(age), Some(limit)) if age < limit => return Some(Because::MinAge { age, limit }),
            _ => {}
        }
    }
    let kept = kept.filter(|kept| kept.holds(newest_weight(policy, facts, now), name))?;
    Some(Because::KeepNewest(kept.count()))
}

/// Returns the weight of a candidate. A limit takes the heaviest first.
#[must_use]
pub fn weight(policy: &Policy, facts: &Facts, now: Timestamp) -> i128 {
    match policy.order {
        GoesFirst::Oldest => newest_weight(policy, facts, now),
        GoesFirst::Largest => i128::from(facts.allocated),
    }
}

/// Returns the age of a candidate, as its distance from being the newest, in nanoseconds. A candidate without an age
/// counts as the newest of all.
#[must_use]
pub fn newest_weight(policy: &Policy, facts: &Facts, now: Timestamp) -> i128 {
    facts.stamps.by(policy.age_by).map_or(i128::MIN, |stamp| stamp.before(now))
}

/// Returns the reason for which an empty directory goes. `emptied` says that this run took its content. The stamps are
/// those from before.
///
/// A directory that is younger than `min_age` stays in any case. One that was empty before may just have been made by
/// somebody who is about to fill it, so it needs the age that a file would need.
///
/// # Errors
/// Returns why the directory stays.
pub fn empty_directory(policy: &Policy, stamps: &Stamps, emptied: bool, now: Timestamp) -> Result<Reason, Because> {
    if emptied {
        // Files that came with old stamps say nothing about the directory that somebody has just made for them.
        return match policy.min_age {
            Some(limit) => match age(policy, stamps, now)? {
                age if age < limit => Err(Because::MinAge { age, limit }),
                _ => Ok(Reason::Emptied),
            },
            None => Ok(Reason::Emptied),
        };
    }
    let limit = policy.older_than.max(policy.min_age).unwrap_or(EMPTY_AGE);
    match age(policy, stamps, now)? {
        age if age < limit => Err(Because::MinAge { age, limit }),
        age => Ok(Reason::Empty { age, limit }),
    }
}
