//! The property that every text taken for a schedule has.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use super::Schedule;
use super::debian::{self, Job, Wall};

/// Zones with changes of every kind: an hour, half an hour, two hours, a whole day, at midnight, twice a year more.
const ZONES: [&str; 10] = [
    "UTC",
    "Europe/Berlin",
    "America/New_York",
    "Australia/Lord_Howe",
    "Antarctica/Troll",
    "Pacific/Apia",
    "Asia/Beirut",
    "America/Havana",
    "Africa/Casablanca",
    "Pacific/Chatham",
];

/// Time that Debian's cron needs at most to run as usual again after the clocks jumped by less than three hours. Where
/// they jumped by three hours or more, schedules of both kinds follow the clock at once.
const SETTLED: SignedDuration = SignedDuration::from_hours(4);

/// Checks that the first line is refused with the place of what is wrong, or runs as it does in Debian's cron, after
/// the instant and in the zone that the rest names. Returns whether the line was accepted.
///
/// # Panics
/// Panics when the check fails.
#[must_use]
pub fn holds(data: &[u8]) -> bool {
    let end = data.iter().position(|byte| *byte == b'\n').unwrap_or(data.len());
    let (text, rest) = data.split_at(end);
    let Ok(text) = std::str::from_utf8(text) else { return false };
    let schedule = match Schedule::parse(text) {
        Ok(schedule) => schedule,
        Err(error) => {
            assert!(text.get(error.span.clone()).is_some(), "{:?} of {text:?}", error.span);
            assert!(!error.message.is_empty() && !error.message.contains(char::is_control), "{error:?}");
            if error.message.contains("never fires") {
                assert!(!Job::new(text).ever_fires(), "{text:?}");
            }
            return false;
        }
    };
    let byte = |at: usize| rest.get(at + 1).copied().unwrap_or_default();
    let zone = ZONES[usize::from(byte(0)) % ZONES.len()];
    let tz = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    // From 1972 on every offset is a whole number of minutes; the calendar ends with 2100.
    let second = 64_000_000 + i64::from(u32::from_be_bytes([byte(1), byte(2), byte(3), byte(4)])) % 4_000_000_000;
    let from = Timestamp::from_second(second / 60 * 60).expect("in the calendar");
    agrees(text, &schedule, zone, &tz, from);
    true
}

fn agrees(text: &str, schedule: &Schedule, zone: &str, tz: &TimeZone, from: Timestamp) {
    let by_second = !text.contains('@') && text.split_whitespace().count() == 6;
    let (tick, ahead) = if by_second { (1, 1) } else { (60, 30) };
    let wall = Wall::new(tz, from - SETTLED, from + SignedDuration::from_hours(ahead), tick);
    let end = wall.ticks.last().expect("there are some").0;
    let debians: BTreeSet<Timestamp> =
        debian::runs(&Job::new(spelled_out(text)), &wall).into_iter().filter(|run| *run > from).collect();
    let mut ours = BTreeSet::new();
    let mut last = from;
    while let Some(next) = schedule.next_after(last, tz) {
        assert!(next > last, "`{text}` in {zone}: {next} is not after {last}");
        last = next;
        if next > end {
            break;
        }
        ours.insert(next);
    }
    assert_eq!(ours, debians, "`{text}` in {zone} after {from}");
}

fn spelled_out(text: &str) -> &str {
    match text.trim().to_ascii_lowercase().as_str() {
        "@hourly" => "0 * * * *",
        "@daily" | "@midnight" => "0 0 * * *",
        "@weekly" => "0 0 * * 0",
        "@monthly" => "0 0 1 * *",
        "@yearly" | "@annually" => "0 0 1 1 *",
        _ => text,
    }
}
