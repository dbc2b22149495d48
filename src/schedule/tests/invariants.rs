//! What holds for every schedule, zone and instant.

use std::sync::LazyLock;

use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::sample::Index;

use super::zones::{Change, changes};
use super::{Schedule, cases, five_fields};

static CHANGES: LazyLock<Vec<Change>> = LazyLock::new(changes);

/// An instant: half of them within six hours of a change, all with fractions of a second.
fn instant(change: &Change, near: Option<i64>, anywhere: i64, nanosecond: i32) -> Timestamp {
    let second = near.map_or(anywhere, |near| change.at.as_second() + near);
    Timestamp::new(second, nanosecond).unwrap()
}

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn runs_lie_ahead_and_nothing_lies_between(
        text in five_fields(),
        which in any::<Index>(),
        near in prop::option::of(-21_600..21_600i64),
        anywhere in -100_000_000..4_000_000_000i64,
        nanosecond in prop_oneof![Just(0), 1..1_000_000_000i32],
        part in 0.0..1.0f64,
    ) {
        let Ok(schedule) = Schedule::parse(&text) else { return Ok(()) };
        let change = &CHANGES[which.index(CHANGES.len())];
        let after = instant(change, near, anywhere, nanosecond);
        let next = |after| schedule.next_after(after, &change.tz);
        let Some(due) = next(after) else {
            prop_assert!(after.as_second() > 3_900_000_000, "`{}` ends after {}", text, after);
            return Ok(());
        };
        prop_assert!(due > after, "`{}` in {}: {} after {}", text, change.name, due, after);
        prop_assert_eq!(due.subsec_nanosecond(), 0);
        // From anywhere before it, it is still the next one; with the above, next_after is monotone.
        let between = after + SignedDuration::from_secs_f64((due - after).as_secs_f64() * part);
        prop_assert!(between < due);
        prop_assert_eq!(next(between), Some(due), "`{}` in {} from {}", text, change.name, between);
        prop_assert_eq!(next(due - SignedDuration::from_nanos(1)), Some(due), "`{}` in {}", text, change.name);
        prop_assert!(next(due).is_none_or(|second| second > due), "`{}` in {} at {}", text, change.name, due);
    }

    #[test]
    fn a_later_start_is_never_followed_by_an_earlier_run(
        text in five_fields(),
        which in any::<Index>(),
        near in prop::option::of(-21_600..21_600i64),
        anywhere in 0..4_000_000_000i64,
        later in 0..200_000i64,
    ) {
        let Ok(schedule) = Schedule::parse(&text) else { return Ok(()) };
        let change = &CHANGES[which.index(CHANGES.len())];
        let a = instant(change, near, anywhere, 0);
        let b = a + SignedDuration::from_secs(later);
        let (Some(first), Some(second)) = (schedule.next_after(a, &change.tz), schedule.next_after(b, &change.tz)) else {
            return Ok(());
        };
        prop_assert!(first <= second, "`{}` in {}: {} from {}, {} from {}", text, change.name, first, a, second, b);
    }
}

#[test]
fn the_ends_of_time_are_no_trouble() {
    let utc = jiff::tz::TimeZone::UTC;
    for tz in [utc, super::zones::zone("America/New_York"), super::zones::zone("Asia/Kathmandu")] {
        for text in ["* * * * *", "30 2 * * *", "0 0 29 2 *", "0 0 1 1 0"] {
            let schedule = super::schedule(text);
            assert_eq!(schedule.next_after(Timestamp::MAX, &tz), None, "{text}");
            let first = schedule.next_after(Timestamp::MIN, &tz).unwrap();
            assert_eq!(tz.to_datetime(first).year().clamp(1970, 1972), tz.to_datetime(first).year(), "{text}");
        }
    }
}
