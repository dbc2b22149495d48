//! Measurement whether deleting frees anything, by what the disk says.
//!
//! The free space is read right before and right after some files are removed, and then once more after an equally long
//! time in which this sweep does nothing. The rise in that time is the work of others and is taken off. So somebody who
//! fills the disk meanwhile hides nothing, and somebody who frees it proves nothing.

use std::time::Duration;

/// Number of files after which deleting is taken to free nothing, if no rise has shown.
pub(super) const FILES: u64 = 64;
/// Allocated bytes after which deleting is taken to free nothing, if no rise has shown.
pub(super) const BYTES: u64 = 256 * 1024 * 1024;

/// Number of files that a run tries after a run in which deleting freed nothing.
pub(super) const PROBE: u64 = 8;

/// Divisor of the bytes that the files were to give back: a rise counts when it is at least this part of them.
const PART: u64 = 4;

/// Files that were removed together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Removed {
    pub(super) files: u64,
    /// Bytes that the files had allocated.
    pub(super) allocated: u64,
    /// Bytes that the files were to give back: nothing where other links are left.
    pub(super) expected: u64,
}

/// Files removed since it was last proven that deleting frees something, and the rise that the disk showed for them.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Meter {
    pub(super) removed: Removed,
    /// Rise of the free space while files were removed, never more than the files so far were to give back.
    shown: u64,
    busy: Duration,
    /// Rise of the free space while this sweep did nothing.
    others: u64,
    idle: Duration,
}

/// Returns the part of `amount` that falls into `time`, if all of it took the time `of`.
fn in_time(amount: u64, time: Duration, of: Duration) -> u64 {
    if of.is_zero() {
        return 0;
    }
    let scaled = u128::from(amount) * time.as_nanos() / of.as_nanos();
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

impl Meter {
    /// Adds files that were removed, the free space before and after that, and the time it took.
    pub(super) fn removed(&mut self, before: u64, after: u64, took: Duration, removed: Removed) {
        self.removed.files += removed.files;
        self.removed.allocated += removed.allocated;
        self.removed.expected += removed.expected;
        // The rise may be from files that were removed earlier.
        self.shown += after.saturating_sub(before).min(self.removed.expected - self.shown);
        self.busy += took;
    }

    /// Adds a time in which this sweep did nothing, with the free space before and after.
    pub(super) fn waited(&mut self, before: u64, after: u64, took: Duration) {
        self.others += after.saturating_sub(before);
        self.idle += took;
    }

    /// Returns the time during which files were removed.
    pub(super) fn busy(&self) -> Duration {
        self.busy
    }

    /// Returns the rise that the disk has shown, without the work of others.
    pub(super) fn shown(&self) -> u64 {
        self.shown.saturating_sub(in_time(self.others, self.busy, self.idle))
    }

    /// Returns the bytes that the disk has not shown yet.
    pub(super) fn hidden(&self) -> u64 {
        self.removed.expected.saturating_sub(self.shown())
    }

    /// Adds a wait in which the disk had time to show the rest. `ours` is the free space before and after that wait,
    /// and its time; `others` is the same for a time right after it, in which there was nothing left to show.
    pub(super) fn settled(&mut self, ours: (u64, u64, Duration), others: (u64, u64, Duration)) {
        let rise = |(before, after, _): (u64, u64, Duration)| i128::from(after) - i128::from(before);
        let background = match others.2.as_nanos() {
            0 => 0,
            time => {
                rise(others) * i128::try_from(ours.2.as_nanos()).unwrap_or(i128::MAX)
                    / i128::try_from(time).unwrap_or(1)
            }
        };
        let rise = u64::try_from(rise(ours).saturating_sub(background)).unwrap_or(0);
        let shown = self.shown().saturating_add(rise.min(self.hidden()));
        *self = Self { removed: self.removed, shown, ..Self::default() };
    }

    /// Returns whether a further rise like this is enough to show that deleting frees something.
    pub(super) fn is_shown_by(&self, rise: u64) -> bool {
        self.shown().saturating_add(rise).saturating_mul(PART) >= self.removed.expected
    }

    /// Returns whether enough was removed that it has to show: so many files, or [`BYTES`].
    pub(super) fn is_due(&self, files: u64) -> bool {
        self.removed.files >= files || self.removed.allocated >= BYTES
    }

    /// Returns whether the disk has shown that deleting frees something.
    pub(super) fn is_proven(&self) -> bool {
        self.removed.expected > 0 && self.is_shown_by(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MB: u64 = 1_000_000;
    const SHORT: Duration = Duration::from_micros(100);

    fn one(expected: u64) -> Removed {
        Removed { files: 1, allocated: MB, expected }
    }

    /// Removes files of 1 MB, each of which frees so much, while others change the free space by so much in each
    /// window and each pause.
    fn metered(count: u64, frees: i64, by_others: i64) -> Meter {
        let mut meter = Meter::default();
        let mut free: u64 = 1 << 40;
        let mut change = |by: i64| {
            let before = free;
            free = free.saturating_add_signed(by);
            (before, free)
        };
        for _ in 0..count {
            let (before, after) = change(frees + by_others);
            meter.removed(before, after, SHORT, one(MB));
        }
        let (before, after) = change(by_others * count as i64);
        meter.waited(before, after, SHORT * u32::try_from(count).expect("few"));
        meter
    }

    #[test]
    fn a_rise_proves_that_deleting_frees_something_whatever_others_do() {
        let mb = MB as i64;
        for (frees, by_others, is_proven) in [
            (mb, 0, true),
            (0, 0, false),
            // Who fills it hides nothing, and who frees it proves nothing.
            (mb, -mb / 2, true),
            (0, mb, false),
            (0, mb / 3, false),
            (0, -mb, false),
            (mb / 2, 0, true),
            (mb / 100, 0, false),
        ] {
            let meter = metered(64, frees, by_others);
            assert_eq!(meter.is_proven(), is_proven, "{frees} {by_others}: {meter:?}");
            assert!(meter.is_due(FILES) && !meter.is_due(65));
        }
    }

    #[test]
    fn it_is_due_after_few_large_files_and_links_that_give_nothing_back_prove_nothing() {
        let mut meter = Meter::default();
        meter.removed(0, 0, SHORT, Removed { files: 1, allocated: BYTES, expected: BYTES });
        assert!(meter.is_due(FILES) && !meter.is_proven());
        let mut linked = Meter::default();
        linked.removed(0, 10 * MB, SHORT, Removed { files: 64, allocated: 64 * MB, expected: 0 });
        assert!(linked.is_due(FILES) && !linked.is_proven());
    }

    #[test]
    fn what_shows_while_the_next_ones_go_is_that_of_those_before() {
        let mut meter = metered(10, 0, 0);
        meter.removed(0, 15 * MB, SHORT, one(MB));
        assert_eq!((meter.shown(), meter.hidden()), (11 * MB, 0));
    }

    #[test]
    fn what_shows_late_counts_without_what_others_did_meanwhile() {
        let late = |ours: (u64, u64), others: (u64, u64)| {
            let mut meter = metered(64, 0, 0);
            let second = Duration::from_secs(1);
            meter.settled((ours.0, ours.1, second), (others.0, others.1, second / 10));
            meter
        };
        let free = 1000 * MB;
        for (ours, others, is_proven) in [
            ((free, free + 64 * MB), (free, free), true),
            ((free, free), (free, free), false),
            // Somebody fills it with 40 MB/s, or 100 MB/s, and more is gone in the end.
            ((free, free + 24 * MB), (free, free - 4 * MB), true),
            ((free, free - 36 * MB), (free, free - 10 * MB), true),
            // Somebody frees 64 MB/s.
            ((free, free + 64 * MB), (free, free + 64 * MB / 10), false),
        ] {
            let meter = late(ours, others);
            assert_eq!(meter.is_proven(), is_proven, "{ours:?} {others:?}: {meter:?}");
        }
        assert_eq!(late((free, free + 900 * MB), (free, free)).shown(), 64 * MB, "not more than was removed");
    }
}
