//! File systems on which deleting frees nothing.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// Stall: deleting freed nothing on the file system of a target with `min_free`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stalled {
    /// Time at which the stall was seen.
    pub at: Timestamp,
    /// Free space at that time, in bytes.
    pub free: u64,
    /// Whether a probe of a few files has seen the stall again.
    pub probed: bool,
}

impl Stalled {
    /// Wait from a probe that freed nothing to the next.
    const WAIT: Duration = Duration::from_secs(24 * 60 * 60);

    /// Least rise of the free space that is a reason to probe earlier, in bytes.
    const RISE: u64 = 1 << 20;

    /// Returns the time from which the next probe may be made, whatever is free.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        if self.probed { self.at.checked_add(Self::WAIT).unwrap_or(Timestamp::MAX) } else { self.at }
    }

    /// Returns whether deleting may be tried again, with `free` bytes free, and `limit` bytes to be free.
    #[must_use]
    pub fn may_probe(&self, now: Timestamp, free: u64, limit: u64) -> bool {
        // Space that comes and goes on any disk is no rise.
        let rise = (limit.saturating_sub(self.free) / 64).max(Self::RISE);
        let was_set_back = self.at.duration_since(now) > jiff::SignedDuration::try_from(Self::WAIT).unwrap_or_default();
        now >= self.until() || was_set_back || free >= self.free.saturating_add(rise)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_a_probe_that_freed_nothing_the_next_comes_a_day_later_or_once_more_is_free() {
        let at = |text: &str| text.parse::<Timestamp>().expect("an instant");
        let gb = 1_000_000_000;
        let first = Stalled { at: at("2026-11-01T00:00:00Z"), free: 10 * gb, probed: false };
        assert!(first.may_probe(at("2026-11-01T00:00:01Z"), 10 * gb, 20 * gb), "the next run probes");
        let probed = Stalled { probed: true, ..first };
        for (now, free, may) in [
            ("2026-11-01T00:00:01Z", 10 * gb, false),
            ("2026-11-01T23:59:59Z", 5 * gb, false),
            ("2026-11-02T00:00:00Z", 5 * gb, true),
            ("2026-11-01T00:00:01Z", 10 * gb + 100_000_000, false),
            ("2026-11-01T00:00:01Z", 10 * gb + 160_000_000, true),
            // A clock that was far ahead then does not keep it for years.
            ("2026-10-01T00:00:00Z", 10 * gb, true),
        ] {
            assert_eq!(probed.may_probe(at(now), free, 20 * gb), may, "{now} {free}");
        }
    }
}
