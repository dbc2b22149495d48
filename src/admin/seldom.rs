//! Log lines that an outsider can cause. They are written seldom, so that nobody can fill the disk with them.

use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use crate::clock::{self, Mark};

/// Time between two lines of one kind.
const APART: Duration = Duration::from_secs(60);

/// Throttle that lets one line of a kind through a minute, and counts the others.
#[derive(Debug, Default)]
pub(super) struct Seldom(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    last: Option<Mark>,
    held_back: u64,
}

/// Number of lines that were held back since the last one; shown as nothing when there are none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct HeldBack(u64);

impl Seldom {
    /// Returns the number of lines held back since the last one; `None` when no line may be written now.
    pub(super) fn now(&self) -> Option<HeldBack> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.last.is_some_and(|last| last.elapsed() < APART) {
            kept.held_back += 1;
            return None;
        }
        kept.last = Some(clock::mark());
        Some(HeldBack(std::mem::take(&mut kept.held_back)))
    }
}

impl fmt::Display for HeldBack {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            0 => Ok(()),
            n => write!(out, " (and {n} more since the last such line)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_line_goes_through_and_the_others_are_counted() {
        let seldom = Seldom::default();
        assert_eq!(seldom.now().map(|held| held.to_string()), Some(String::new()));
        assert_eq!(seldom.now(), None);
        assert_eq!(seldom.now(), None);
        seldom.0.lock().unwrap().last = None; // as if the minute had passed
        assert_eq!(seldom.now().unwrap().to_string(), " (and 2 more since the last such line)");
        assert_eq!(seldom.now(), None);
    }
}
