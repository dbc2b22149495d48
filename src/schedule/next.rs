//! From civil time to instants, across changes of the clock.

use chrono::{Datelike, Timelike};
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use super::Schedule;

/// Fixed times in a gap of this length or more do not fire: Debian's cron takes a jump of more than three hours, seen
/// from the minute before it, for a new time (`cron.c`, `timeDiff > 3 * MINUTE_COUNT`).
const NEW_TIME: SignedDuration = SignedDuration::from_hours(3);

const SECOND: SignedDuration = SignedDuration::from_secs(1);

impl Schedule {
    /// For a schedule of fixed times: each once.
    pub(super) fn next_fixed(&self, after: Timestamp, tz: &TimeZone) -> Option<Timestamp> {
        let mut civil = tz.to_datetime(after);
        loop {
            civil = self.next_civil(civil)?;
            let at = match tz.to_ambiguous_timestamp(civil).offset() {
                AmbiguousOffset::Unambiguous { offset } => offset.to_timestamp(civil).ok()?,
                AmbiguousOffset::Fold { before, .. } => before.to_timestamp(civil).ok()?,
                AmbiguousOffset::Gap { before, after } if gap(before, after) >= NEW_TIME => continue,
                AmbiguousOffset::Gap { before, .. } => end_of_gap(civil, before, tz)?,
            };
            // What lies in the second pass of a repeated hour maps to the first, which may be over.
            if at > after {
                return Some(at);
            }
        }
    }

    /// For a schedule that follows the clock: searched in one offset at a time, and begun anew at each change.
    pub(super) fn next_by_clock(&self, after: Timestamp, tz: &TimeZone) -> Option<Timestamp> {
        let (mut from, mut civil) = (after, tz.to_datetime(after));
        loop {
            let offset = tz.to_offset(from);
            let at = offset.to_timestamp(self.next_civil(civil)?).ok()?;
            match tz.following(from).find(|change| change.offset() != offset) {
                Some(change) if change.timestamp() <= at => {
                    from = change.timestamp();
                    // The instant of the change itself can match.
                    civil = tz.to_datetime(from).checked_sub(SECOND).ok()?;
                }
                _ => return Some(at),
            }
        }
    }
}

fn gap(before: Offset, after: Offset) -> SignedDuration {
    SignedDuration::from_secs(i64::from(after.seconds()) - i64::from(before.seconds()))
}

/// The instant of the change that skips `civil`: the last one before what `civil` would have been without it.
fn end_of_gap(civil: DateTime, before: Offset, tz: &TimeZone) -> Option<Timestamp> {
    let without = before.to_timestamp(civil).ok()?.checked_add(SECOND).ok()?;
    tz.preceding(without).next().map(|change| change.timestamp())
}

/// Civil time as the `cron` crate takes it: as if it were UTC.
pub(super) fn to_chrono(civil: DateTime) -> Option<chrono::DateTime<chrono::Utc>> {
    let part = |value: i8| u32::try_from(value).ok();
    let date = chrono::NaiveDate::from_ymd_opt(civil.year().into(), part(civil.month())?, part(civil.day())?)?;
    let time = date.and_hms_opt(part(civil.hour())?, part(civil.minute())?, part(civil.second())?)?;
    Some(time.and_utc())
}

/// And back.
pub(super) fn from_chrono(utc: chrono::DateTime<chrono::Utc>) -> Option<DateTime> {
    let part = |value: u32| i8::try_from(value).ok();
    let date = Date::new(i16::try_from(utc.year()).ok()?, part(utc.month())?, part(utc.day())?).ok()?;
    let time = Time::new(part(utc.hour())?, part(utc.minute())?, part(utc.second())?, 0).ok()?;
    Some(date.to_datetime(time))
}
