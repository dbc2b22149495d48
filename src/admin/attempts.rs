//! The lockout of callers that show too many wrong tokens.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::caller::Who;
use crate::clock::{self, Mark};

/// Window in which wrong tokens are counted, and the lockout that follows too many of them.
pub(super) const PERIOD: Duration = Duration::from_secs(60);

/// Maximum number of callers remembered. When there are more, the caller whose time is nearest to its end is forgotten.
const CALLERS: usize = 1024;

/// Name by which a caller addresses us. Attempts under a foreign name are counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Name {
    Own,
    Foreign,
}

/// Caller for whom wrong tokens are counted, and the name that the caller used.
type Key = (Who, Name);

/// Wrong tokens of all callers.
#[derive(Debug)]
pub(super) struct Attempts {
    /// Number of wrong tokens that is too many.
    most: u32,
    wrong: Mutex<HashMap<Key, Wrong>>,
}

/// The wrong tokens of one caller.
#[derive(Clone, Copy, Debug)]
struct Wrong {
    /// Time of the first wrong token; of the last, once there were too many.
    since: Mark,
    count: u32,
}

/// Result of judging a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Judged {
    Right,
    Wrong,
    /// The token was not even compared, and no token will be for this long.
    NotHeard(Duration),
}

impl Attempts {
    pub(super) fn new(most: u32) -> Self {
        Self { most, wrong: Mutex::default() }
    }

    /// Compares a token, unless this caller has shown too many wrong ones.
    pub(super) fn judge(&self, who: Key, is_right: impl FnOnce() -> bool) -> Judged {
        // The lock is held during the comparison: of many tokens that come at once, no more are compared than of those
        // in turn.
        let mut wrong = self.wrong.lock().unwrap_or_else(PoisonError::into_inner);
        let before = wrong.get(&who).copied().filter(|known| known.since.elapsed() < PERIOD);
        if let Some(known) = before
            && known.count >= self.most
        {
            return Judged::NotHeard(PERIOD.saturating_sub(known.since.elapsed()));
        }
        if is_right() {
            return Judged::Right;
        }
        let mut now = before.unwrap_or_else(|| Wrong { since: clock::mark(), count: 0 });
        now.count = now.count.saturating_add(1);
        if now.count == self.most {
            now.since = clock::mark();
        }
        make_room(&mut wrong, who);
        wrong.insert(who, now);
        Judged::Wrong
    }
}

fn make_room(wrong: &mut HashMap<Key, Wrong>, who: Key) {
    if wrong.len() < CALLERS || wrong.contains_key(&who) {
        return;
    }
    wrong.retain(|_, known| known.since.elapsed() < PERIOD);
    while wrong.len() >= CALLERS {
        let Some(oldest) = wrong.iter().max_by_key(|(_, known)| known.since.elapsed()).map(|(who, _)| *who) else {
            return;
        };
        wrong.remove(&oldest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MOST: u32 = 5;

    fn wrong(attempts: &Attempts, who: Who) -> Judged {
        attempts.judge((who, Name::Own), || false)
    }

    #[test]
    fn after_five_wrong_ones_none_is_compared_and_others_are_heard() {
        let attempts = Attempts::new(MOST);
        assert_eq!(attempts.judge((Who::Uid(1), Name::Own), || true), Judged::Right);
        for _ in 0..MOST {
            assert_eq!(wrong(&attempts, Who::Uid(1)), Judged::Wrong);
        }
        let judged = attempts.judge((Who::Uid(1), Name::Own), || unreachable!("it is not compared"));
        let Judged::NotHeard(rest) = judged else { unreachable!("{judged:?}") };
        assert!(rest <= PERIOD && rest > PERIOD / 2, "{rest:?}");
        assert_eq!(attempts.judge((Who::Uid(2), Name::Own), || true), Judged::Right);
        assert_eq!(attempts.judge((Who::Uid(1), Name::Foreign), || true), Judged::Right);
        assert_eq!(attempts.judge((Who::at([127, 0, 0, 1].into()), Name::Own), || true), Judged::Right);
    }

    #[test]
    fn what_is_long_ago_does_not_count() {
        let attempts = Attempts { most: MOST, wrong: Mutex::default() };
        for _ in 0..MOST {
            wrong(&attempts, Who::Uid(1));
        }
        // As if the minute had passed.
        attempts.wrong.lock().expect("not poisoned").clear();
        assert_eq!(wrong(&attempts, Who::Uid(1)), Judged::Wrong);
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_newest_stay() {
        let attempts = Attempts::new(1);
        for uid in 0..CALLERS as u32 + 100 {
            assert_eq!(wrong(&attempts, Who::Uid(uid)), Judged::Wrong);
        }
        assert_eq!(attempts.wrong.lock().expect("not poisoned").len(), CALLERS);
        assert_eq!(wrong(&attempts, Who::Uid(0)), Judged::Wrong, "the oldest is forgotten");
        assert!(matches!(wrong(&attempts, Who::Uid(CALLERS as u32 + 99)), Judged::NotHeard(_)));
    }
}
