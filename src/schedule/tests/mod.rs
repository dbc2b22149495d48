mod debian;
mod text;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::Schedule;

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).unwrap_or_else(|error| panic!("{name}: {error}; on Debian: apt-get install tzdata"))
}

/// The first instants at which `text` fires strictly after `after`, as `TIME±OFFSET`.
fn fires(text: &str, zone_name: &str, after: &str, count: usize) -> Vec<String> {
    let schedule = Schedule::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let tz = zone(zone_name);
    let mut at: Timestamp = after.parse().expect("an instant");
    let mut found = Vec::new();
    for _ in 0..count {
        let next = schedule.next_after(at, &tz).expect("it fires");
        assert!(next > at, "{text} after {at}");
        found.push(next.to_zoned_datetime(tz.clone()).strftime("%Y-%m-%d %H:%M:%S%:z").to_string());
        at = next;
    }
    found
}

#[test]
fn times_that_a_gap_skips_run_once_right_after_it() {
    for (text, zone, after, expected) in [
        (
            "30 2 * * *",
            "America/New_York",
            "2026-03-07T12:00:00Z",
            ["2026-03-08 03:00:00-04:00", "2026-03-09 02:30:00-04:00"],
        ),
        (
            "30 2 8 3 *",
            "America/New_York",
            "2026-01-01T00:00:00Z",
            ["2026-03-08 03:00:00-04:00", "2027-03-08 02:30:00-05:00"],
        ),
        (
            "0,30 2 * * *",
            "America/New_York",
            "2026-03-08T00:00:00Z",
            ["2026-03-08 03:00:00-04:00", "2026-03-09 02:00:00-04:00"],
        ),
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-03T00:00:00Z",
            ["2026-10-04 02:30:00+11:00", "2026-10-05 02:15:00+11:00"],
        ),
        (
            "0 0 * * *",
            "Asia/Beirut",
            "2026-03-28T12:00:00Z",
            ["2026-03-29 01:00:00+03:00", "2026-03-30 00:00:00+03:00"],
        ),
        (
            "@daily",
            "America/Havana",
            "2026-03-07T12:00:00Z",
            ["2026-03-08 01:00:00-04:00", "2026-03-09 00:00:00-04:00"],
        ),
        (
            "0 3 * * *",
            "Europe/Berlin",
            "2026-03-28T12:00:00Z",
            ["2026-03-29 03:00:00+02:00", "2026-03-30 03:00:00+02:00"],
        ),
        (
            "0 0 30 12 *",
            "Pacific/Apia",
            "2011-06-01T00:00:00Z",
            ["2012-12-30 00:00:00+14:00", "2013-12-30 00:00:00+14:00"],
        ),
    ] {
        assert_eq!(fires(text, zone, after, 2), expected, "{text} in {zone}");
    }
}

#[test]
fn a_fixed_time_that_comes_twice_runs_once_and_a_star_follows_the_clock() {
    assert_eq!(
        fires("30 1 * * *", "America/New_York", "2026-11-01T00:00:00Z", 2),
        ["2026-11-01 01:30:00-04:00", "2026-11-02 01:30:00-05:00"]
    );
    assert_eq!(
        fires("*/30 * * * *", "America/New_York", "2026-11-01T04:59:59Z", 5),
        [
            "2026-11-01 01:00:00-04:00",
            "2026-11-01 01:30:00-04:00",
            "2026-11-01 01:00:00-05:00",
            "2026-11-01 01:30:00-05:00",
            "2026-11-01 02:00:00-05:00"
        ]
    );
    assert_eq!(
        fires("30 * * * *", "Australia/Lord_Howe", "2026-04-04T14:29:59Z", 3)[..2],
        ["2026-04-05 01:30:00+11:00", "2026-04-05 01:30:00+10:30"]
    );
    // From inside the second pass, nothing may lie in the past.
    assert_eq!(fires("30 1 * * *", "America/New_York", "2026-11-01T06:05:00Z", 1), ["2026-11-02 01:30:00-05:00"]);
    assert_eq!(fires("*/15 * * * *", "America/New_York", "2026-11-01T06:05:00Z", 1), ["2026-11-01 01:15:00-05:00"]);
}

#[test]
fn the_day_fields_mean_what_crontab_means() {
    let days = |text: &str, count| {
        let days = fires(text, "UTC", "2026-02-01T00:00:00Z", count);
        days.into_iter().map(|at| at[5..10].to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(days("0 0 13 * 5", 4), ["02-06", "02-13", "02-20", "02-27"], "Fridays or the 13th");
    assert_eq!(days("0 0 13 3 fri", 5), ["03-06", "03-13", "03-20", "03-27", "03-05"], "and in March only");
    assert_eq!(days("0 0 */10 * 1", 2), ["05-11", "06-01"], "a field that starts with a star restricts nothing: both");
    assert_eq!(days("0 0 * * 0", 1), days("0 0 * * 7", 1));
    assert_eq!(days("0 0 * * 1-5", 5), ["02-02", "02-03", "02-04", "02-05", "02-06"]);
    assert_eq!(days("0 0 * * fri-sun", 3), ["02-06", "02-07", "02-08"]);
    assert_eq!(days("0 0 29 2 *", 2), ["02-29", "02-29"]);
}

#[test]
fn six_fields_begin_with_seconds_and_mean_the_same_otherwise() {
    assert_eq!(
        fires("*/20 59 23 * * 0", "UTC", "2026-02-01T00:00:00Z", 4),
        [
            "2026-02-01 23:59:00+00:00",
            "2026-02-01 23:59:20+00:00",
            "2026-02-01 23:59:40+00:00",
            "2026-02-08 23:59:00+00:00"
        ]
    );
    assert_eq!(
        fires("* * * * * *", "UTC", "2026-02-01T00:00:00.999Z", 2),
        ["2026-02-01 00:00:01+00:00", "2026-02-01 00:00:02+00:00"]
    );
    assert_eq!(fires("15 30 2 * * *", "America/New_York", "2026-03-08T00:00:00Z", 1), ["2026-03-08 03:00:00-04:00"]);
}

#[test]
fn the_calendar_ends_in_2100() {
    let daily = Schedule::parse("@daily").expect("good");
    assert!(daily.next_after("2100-12-30T12:00:00Z".parse().expect("good"), &TimeZone::UTC).is_some());
    assert_eq!(daily.next_after("2101-01-01T12:00:00Z".parse().expect("good"), &TimeZone::UTC), None);
    assert_eq!(daily.next_after(Timestamp::MAX, &TimeZone::UTC), None);
    assert!(daily.next_after(Timestamp::MIN, &TimeZone::UTC).is_some());
}
