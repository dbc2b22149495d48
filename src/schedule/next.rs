//! The next run: from civil time to instants, through the changes of the clocks, as Debian's cron goes through them.

use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::calendar::Calendar;

const MINUTE: i64 = 60;

/// Gap in seconds from which on a schedule with fixed times does not make up for the times left out: three hours.
/// Debian's main loop counts `timeDiff` in minutes, from the last minute that ran to the one it wakes in. So a gap of
/// 180 minutes is a `timeDiff` of 181, which is over `3*MINUTE_COUNT` and taken for a new clock.
const FIXED_MISSES: i64 = 180 * MINUTE;

/// The same gap for a schedule that follows the clock. Up to a `timeDiff` of 5, cron believes that it overslept, and
/// runs everything. No zone has ever had so small a change, but a `TZ` rule may.
const FOLLOWER_MISSES: i64 = 5 * MINUTE;

/// Largest step back in seconds after which a fixed time does not run again: `timeDiff` is then over `-3*MINUTE_COUNT`.
/// Three hours are on the other side of the limit here than above; Casey, Antarctica, has had both.
const FIXED_REPEATS: i64 = 180 * MINUTE;

/// Returns the first instant strictly after `after` at which cron would run the schedule.
///
/// The search goes from one change of offset to the next. Between two changes, civil time and instants differ by a
/// constant, and `from` is the civil second from which on a match counts.
pub(super) fn next_after(calendar: &Calendar, follows: bool, after: Timestamp, tz: &TimeZone) -> Option<Timestamp> {
    let mut offset = tz.to_offset(after);
    let mut from = civil(whole_seconds(after), offset) + 1;
    if let Some(start) = first_match_counts_from(after, follows, tz) {
        from = from.max(start);
    }
    for change in tz.following(after) {
        let at = change.timestamp().as_second();
        let (end, begin) = (civil(at, offset), civil(at, change.offset()));
        let due = calendar.first_from(from)?;
        if due < end {
            return instant(due, offset);
        }
        if due < begin && makes_up(begin - end, follows) {
            return Some(change.timestamp());
        }
        offset = change.offset();
        from = resumes(end, begin, follows);
    }
    instant(calendar.first_from(from)?, offset)
}

/// Returns the civil second from which on matches count in the stretch of constant offset that `after` lies in, if the
/// stretch has a beginning.
fn first_match_counts_from(after: Timestamp, follows: bool, tz: &TimeZone) -> Option<i64> {
    // `preceding` is exclusive: a change at `after` itself has happened.
    let change = tz.preceding(after.checked_add(SignedDuration::from_nanos(1)).ok()?).next()?;
    let before = tz.to_offset(change.timestamp().checked_sub(SignedDuration::from_nanos(1)).ok()?);
    let at = change.timestamp().as_second();
    Some(resumes(civil(at, before), civil(at, change.offset()), follows))
}

/// Returns whether a time that a gap of so many seconds left out is run right after the gap.
fn makes_up(gap: i64, follows: bool) -> bool {
    gap < if follows { FOLLOWER_MISSES } else { FIXED_MISSES }
}

/// Returns the civil second to go on from when the clocks are set from `end` to `begin`. A fixed time waits until the
/// clocks are where they were.
fn resumes(end: i64, begin: i64, follows: bool) -> i64 {
    let back = end - begin;
    if !follows && back > 0 && back <= FIXED_REPEATS { end } else { begin }
}

/// Returns the seconds since 1970, rounded down.
fn whole_seconds(instant: Timestamp) -> i64 {
    instant.as_second() - i64::from(instant.subsec_nanosecond() < 0)
}

fn civil(second: i64, offset: Offset) -> i64 {
    second + i64::from(offset.seconds())
}

fn instant(civil: i64, offset: Offset) -> Option<Timestamp> {
    Timestamp::from_second(civil - i64::from(offset.seconds())).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_gap_left_out_is_made_up_for_until_cron_takes_it_for_a_new_clock() {
        for (minutes, follows, makes) in [(4, true, true), (5, true, false), (179, false, true), (180, false, false)] {
            assert_eq!(makes_up(minutes * MINUTE, follows), makes, "{minutes} minutes, follows: {follows}");
        }
    }
}
