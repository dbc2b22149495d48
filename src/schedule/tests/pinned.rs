//! Rows that were once found wrong somewhere, in this crate's neighbours or in other crons.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::schedule;
use super::zones::zone;

/// The runs after `after`, as many as `expected`, in the zone's own time.
fn check(zone_name: &str, text: &str, after: &str, expected: &[&str]) {
    let tz = zone(zone_name);
    let schedule = schedule(text);
    let mut now: Timestamp = after.parse().unwrap();
    let mut runs = Vec::new();
    for _ in expected {
        now = schedule.next_after(now, &tz).unwrap();
        runs.push(now.display_with_offset(tz.to_offset(now)).to_string());
    }
    assert_eq!(runs, expected, "`{text}` in {zone_name} after {after}");
}

#[test]
fn a_fixed_time_in_a_gap_runs_once_at_its_end() {
    let runs = ["2024-03-10T03:00:00-04:00", "2024-03-11T02:30:00-04:00"];
    check("America/New_York", "30 2 * * *", "2024-03-09T12:00:00Z", &runs);
    check(
        "America/New_York",
        "30 2 10 3 *",
        "2024-01-01T00:00:00Z",
        &["2024-03-10T03:00:00-04:00", "2025-03-10T02:30:00-04:00"],
    );
    let runs = ["2024-10-06T02:30:00+11:00", "2024-10-07T02:15:00+11:00"];
    check("Australia/Lord_Howe", "15 2 * * *", "2024-10-05T00:00:00Z", &runs);
    let runs = ["2024-03-31T01:00:00+03:00", "2024-04-01T00:00:00+03:00"];
    check("Asia/Beirut", "@daily", "2024-03-30T12:00:00Z", &runs);
    check(
        "America/Havana",
        "0 0 * * *",
        "2024-03-09T12:00:00Z",
        &["2024-03-10T01:00:00-04:00", "2024-03-11T00:00:00-04:00"],
    );
    check(
        "Africa/Cairo",
        "@midnight",
        "2024-04-25T12:00:00Z",
        &["2024-04-26T01:00:00+03:00", "2024-04-27T00:00:00+03:00"],
    );
}

#[test]
fn a_fixed_time_at_which_the_clocks_go_back_runs_when_they_are_there_again() {
    let runs = ["2024-10-27T03:00:00+01:00", "2024-10-28T03:00:00+01:00"];
    check("Europe/Berlin", "0 3 * * *", "2024-10-26T12:00:00Z", &runs);
}

#[test]
fn several_times_in_one_gap_are_one_run() {
    let runs = ["2024-03-10T03:00:00-04:00", "2024-03-11T02:15:00-04:00", "2024-03-11T02:45:00-04:00"];
    check("America/New_York", "15,45 2 * * *", "2024-03-10T00:00:00-05:00", &runs);
    // Of a time at the end of the gap as well.
    let runs = ["2024-03-10T01:30:00-05:00", "2024-03-10T03:00:00-04:00", "2024-03-10T03:30:00-04:00"];
    check("America/New_York", "0,30 1-3 * * *", "2024-03-10T01:00:00-05:00", &runs);
}

#[test]
fn a_gap_means_nothing_to_what_follows_the_clock() {
    let runs = ["2024-03-10T01:30:00-05:00", "2024-03-10T03:00:00-04:00", "2024-03-10T03:30:00-04:00"];
    check("America/New_York", "*/30 * * * *", "2024-03-10T01:00:00-05:00", &runs);
    check("America/New_York", "*/30 2 * * *", "2024-03-10T01:00:00-05:00", &["2024-03-11T02:00:00-04:00"]);
}

#[test]
fn a_fixed_time_in_the_repeated_hour_runs_in_the_first_pass() {
    let runs = ["2024-11-03T01:30:00-04:00", "2024-11-04T01:30:00-05:00"];
    check("America/New_York", "30 1 * * *", "2024-11-02T12:00:00Z", &runs);
    // A start in between, or in the second pass, does not bring it back.
    check("America/New_York", "30 1 * * *", "2024-11-03T01:45:00-04:00", &runs[1..]);
    check("America/New_York", "30 1 * * *", "2024-11-03T01:00:00-05:00", &runs[1..]);
    check("America/New_York", "30 1 * * *", "2024-11-03T01:10:00-05:00", &runs[1..]);
    // An hour before midnight comes twice; midnight itself only at the end of the second.
    check("Asia/Beirut", "0 0 * * *", "2024-10-26T12:00:00Z", &["2024-10-27T00:00:00+02:00"]);
    let runs = ["2024-10-26T23:30:00+03:00", "2024-10-27T23:30:00+02:00"];
    check("Asia/Beirut", "30 23 * * *", "2024-10-26T12:00:00Z", &runs);
}

#[test]
fn the_repeated_hour_runs_twice_in_order_for_what_follows_the_clock() {
    let runs = [
        "2024-11-03T01:00:00-04:00",
        "2024-11-03T01:30:00-04:00",
        "2024-11-03T01:00:00-05:00",
        "2024-11-03T01:30:00-05:00",
        "2024-11-03T02:00:00-05:00",
    ];
    check("America/New_York", "*/30 * * * *", "2024-11-03T00:59:59-04:00", &runs);
    // The cron crate answers this with an instant 55 minutes in the past.
    check("America/New_York", "*/15 * * * *", "2024-11-03T01:10:00-05:00", &["2024-11-03T01:15:00-05:00"]);
    check("America/New_York", "*/15 * * * *", "2024-11-03T01:50:00-04:00", &["2024-11-03T01:00:00-05:00"]);
}

#[test]
fn a_skipped_day_is_skipped() {
    check("Pacific/Apia", "0 0 30 12 *", "2011-01-01T00:00:00Z", &["2012-12-30T00:00:00+14:00"]);
    let runs = ["2011-12-29T12:00:00-10:00", "2011-12-31T12:00:00+14:00"];
    check("Pacific/Apia", "0 12 * * *", "2011-12-29T00:00:00-10:00", &runs);
    check("Pacific/Apia", "* * 30 12 *", "2011-12-29T00:00:00-10:00", &["2012-12-30T00:00:00+14:00"]);
}

#[test]
fn three_hours_are_too_many_forward_and_not_too_many_back() {
    // 02:00 to 05:00, and 02:00 to 23:00 of the day before.
    check("Antarctica/Casey", "30 3 * * *", "2009-10-17T12:00:00Z", &["2009-10-19T03:30:00+11:00"]);
    let runs = ["2010-03-05T00:30:00+11:00", "2010-03-06T00:30:00+08:00"];
    check("Antarctica/Casey", "30 0 * * *", "2010-03-04T12:00:00Z", &runs);
    // Seven hours: a new time, and what it shows is run again.
    let runs = ["1994-01-31T23:30:00+07:00", "1994-01-31T23:30:00+00:00"];
    check("Antarctica/Vostok", "30 23 * * *", "1994-01-31T12:00:00Z", &runs);
}

#[test]
fn days_combine_as_crontab_says() {
    // Either, where both are restricted.
    let runs = [
        "2024-09-06T00:00:00Z",
        "2024-09-13T00:00:00Z",
        "2024-09-20T00:00:00Z",
        "2024-09-27T00:00:00Z",
        "2024-10-04T00:00:00Z",
    ];
    check_utc("0 0 13 * 5", "2024-09-01T00:00:00Z", &runs);
    check_utc("0 0 13 * mon", "2024-09-10T00:00:00Z", &["2024-09-13T00:00:00Z", "2024-09-16T00:00:00Z"]);
    // Both, where one starts with a star: Mondays with an odd date.
    check_utc(
        "0 0 */2 * 1",
        "2024-09-01T00:00:00Z",
        &["2024-09-09T00:00:00Z", "2024-09-23T00:00:00Z", "2024-10-07T00:00:00Z"],
    );
    check_utc("0 0 1-31/2 * 1", "2024-09-01T00:00:00Z", &["2024-09-02T00:00:00Z", "2024-09-03T00:00:00Z"]);
    check_utc("0 0 1 * */3", "2024-09-01T00:00:00Z", &["2024-12-01T00:00:00Z", "2025-01-01T00:00:00Z"]);
    // Sunday, four times.
    for sunday in ["0", "7", "sun", "SUN", "0-7/7"] {
        check_utc(
            &format!("0 0 * * {sunday}"),
            "2024-09-24T00:00:00Z",
            &["2024-09-29T00:00:00Z", "2024-10-06T00:00:00Z"],
        );
    }
}

#[test]
fn the_calendar_is_followed_to_its_end() {
    check_utc("0 0 29 2 *", "2024-03-01T00:00:00Z", &["2028-02-29T00:00:00Z"]);
    assert_eq!(schedule("0 0 29 2 *").next_after("2096-03-01T00:00:00Z".parse().unwrap(), &TimeZone::UTC), None);
    check_utc("59 59 23 31 12 *", "2100-12-31T00:00:00Z", &["2100-12-31T23:59:59Z"]);
    assert_eq!(schedule("* * * * *").next_after("2100-12-31T23:59:00Z".parse().unwrap(), &TimeZone::UTC), None);
    // Leap days on a Sunday: every 28 years.
    check_utc("0 0 29 2 */7", "2024-01-01T00:00:00Z", &["2032-02-29T00:00:00Z", "2060-02-29T00:00:00Z"]);
}

#[test]
fn the_next_run_is_strictly_later() {
    check_utc("0 2 * * *", "2024-09-25T02:00:00Z", &["2024-09-26T02:00:00Z"]);
    check_utc("0 2 * * *", "2024-09-25T01:59:59.999999999Z", &["2024-09-25T02:00:00Z"]);
    check_utc("0 2 * * *", "2024-09-25T02:00:00.000000001Z", &["2024-09-26T02:00:00Z"]);
    check_utc("* * * * *", "1969-12-31T23:59:59.5Z", &["1970-01-01T00:00:00Z"]);
    check_utc("* * * * * *", "2024-09-25T01:59:58.5Z", &["2024-09-25T01:59:59Z", "2024-09-25T02:00:00Z"]);
    check_utc("*/20 30 2 * * 3", "2024-09-25T00:00:00Z", &["2024-09-25T02:30:00Z", "2024-09-25T02:30:20Z"]);
}

fn check_utc(text: &str, after: &str, expected: &[&str]) {
    let expected: Vec<String> = expected.iter().map(|at| at.replace('Z', "+00:00")).collect();
    check("UTC", text, after, &expected.iter().map(String::as_str).collect::<Vec<_>>());
}
