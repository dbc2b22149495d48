//! What is no schedule: where, why, and what to write instead.

use super::super::{Schedule, ScheduleError};

fn refusal(text: &str) -> ScheduleError {
    Schedule::parse(text).expect_err(text)
}

/// Refused with the span over `wrong`, with the message and with the help.
#[track_caller]
fn refused(text: &str, wrong: &str, message: &str, help: &str) {
    let error = refusal(text);
    assert_eq!(&text[error.span.clone()], wrong, "{text}: {error:?}");
    assert_eq!(error.message, message, "{text}");
    assert_eq!(error.help.as_deref(), Some(help), "{text}");
}

/// The same, with the help holding `help`.
#[track_caller]
fn hinted(text: &str, wrong: &str, help: &str) {
    let error = refusal(text);
    assert_eq!(&text[error.span.clone()], wrong, "{text}: {error:?}");
    assert!(error.help.as_deref().is_some_and(|words| words.contains(help)), "{text}: {error:?}");
}

const EXAMPLE: &str = "`0 2 * * *` is every day at 02:00, `*/15 * * * *` every quarter of an hour";
const FIELDS: &str =
    "a schedule has five fields (minute, hour, day of the month, month, day of the week), or six with the second first";

#[test]
fn the_number_of_fields() {
    refused("", "", "the schedule is empty", EXAMPLE);
    refused(" \t ", " \t ", "the schedule is empty", EXAMPLE);
    refused(" 0 2 * * ", "0 2 * *", &format!("{FIELDS}; this one has 4"), EXAMPLE);
    refused("daily", "daily", &format!("{FIELDS}; this one has 1"), EXAMPLE);
    let help = format!("there is no field for the year, and lists have no spaces; {EXAMPLE}");
    refused("0 0 2 * * * 2024", "2024", &format!("{FIELDS}; this one has 7"), &help);
    refused("0 3 1 , 15 * * *", "* *", &format!("{FIELDS}; this one has 8"), &help);
    // White space is what separates fields; the cron crate takes each of these for six.
    hinted("*5 * * * *", "*5", "did you mean `*/5`?");
    hinted("0 3 * * *1", "*1", "did you mean `*/1`?");
    hinted("1* 2 * * *", "1*", "`*` stands alone or before a step");
    refused("******", "******", &format!("{FIELDS}; this one has 1"), EXAMPLE);
}

#[test]
fn numbers_out_of_range() {
    refused("60 2 * * *", "60", "60 is out of range for the minute", "the minute is 0-59");
    refused("0 24 * * *", "24", "24 is out of range for the hour", "the hour is 0-23");
    refused("0 0 0 * *", "0", "0 is out of range for the day of the month", "the day of the month is 1-31");
    refused("0 0 1-32 * *", "32", "32 is out of range for the day of the month", "the day of the month is 1-31");
    refused("0 0 * 0 *", "0", "0 is out of range for the month", "the month is 1-12 or jan-dec");
    let dow = "the day of the week is 0-7 or sun-sat (0 and 7 are Sunday)";
    refused("0 0 * * 1,8", "8", "8 is out of range for the day of the week", dow);
    refused("60 0 0 * * *", "60", "60 is out of range for the second", "the second is 0-59");
    let huge = "99999999999999999999999999";
    refused(&format!("{huge} 0 * * *"), huge, &format!("{huge} is out of range for the minute"), "the minute is 0-59");
    refused("256 0 * * *", "256", "256 is out of range for the minute", "the minute is 0-59");
}

#[test]
fn values_of_no_kind() {
    refused("0 noon * * *", "noon", "`noon` is no hour", "the hour is 0-23");
    refused("0 +5 * * *", "+5", "`+5` is no hour", "the hour is 0-23");
    refused("0 0 * * monday", "monday", "`monday` is no day of the week", "did you mean `mon`?");
    refused("0 0 * * Tues-fri", "Tues", "`Tues` is no day of the week", "did you mean `tue`?");
    refused("0 0 * okt *", "okt", "`okt` is no month", "did you mean `oct`?");
    refused("0 0 * jan,agu *", "agu", "`agu` is no month", "did you mean `aug`?");
    refused("0 0 * never *", "never", "`never` is no month", "the month is 1-12 or jan-dec");
    hinted("0 0 * * mon-", "mon-", "the day of the week is 0-7 or sun-sat");
    hinted("-5 0 * * *", "-5", "the minute is 0-59");
    hinted("1-3-5 0 * * *", "3-5", "the minute is 0-59");
    hinted("*-5 0 * * *", "*", "`*` stands alone or before a step");
}

#[test]
fn ranges_that_run_backwards() {
    refused("0 22-2 * * *", "22-2", "the range `22-2` runs backwards", "write `22-23,0-2`");
    refused("0 23-0 * * *", "23-0", "the range `23-0` runs backwards", "write `23,0`");
    refused("0 0 * nov-Feb *", "nov-Feb", "the range `nov-Feb` runs backwards", "write `nov-dec,jan-Feb`");
    refused("0 0 * * fri-mon", "fri-mon", "the range `fri-mon` runs backwards", "write `fri-sat,sun-mon`");
    refused("0 0 * * 5-1", "5-1", "the range `5-1` runs backwards", "write `5-6,0-1`");
    refused("0 0 * * 5-0", "5-0", "the range `5-0` runs backwards", "write `5-7`");
    refused("0 0 * * 7-2", "7-2", "the range `7-2` runs backwards", "write `0-2`");
    hinted("0 1,22-2/2 * * *", "22-2", "write `22-23,0-2`, each range with its own step");
}

#[test]
fn steps() {
    refused("5/10 * * * *", "5/10", "`5/10` has a step but no range", "write `5-59/10`");
    refused("0 0 * * mon/2", "mon/2", "`mon/2` has a step but no range", "write `mon-sat/2`");
    refused("0 0 * * 1/2", "1/2", "`1/2` has a step but no range", "write `1-6/2`");
    refused(
        "0,59/9 * * * *",
        "59/9",
        "`59/9` has a step but no range",
        "a step follows `*` or a range, as in `*/5` or `10-20/5`",
    );
    hinted("5/0 * * * *", "5/0", "a step follows `*` or a range");
    refused("/5 * * * *", "/5", "a step without a range", "write `*/5`");
    refused("*/0 * * * *", "0", "a step of 0 leads nowhere", "a step through 0-59 is a number from 1 to 59");
    refused(
        "*/60 * * * *",
        "60",
        "the step 60 is larger than the range",
        "a step through 0-59 is a number from 1 to 59",
    );
    refused(
        "0 8-12/5 * * *",
        "5",
        "the step 5 is larger than the range",
        "a step through 8-12 is a number from 1 to 4",
    );
    refused("0 8-8/2 * * *", "2", "the step 2 is larger than the range", "a step through 8-8 is a number from 1 to 1");
    refused("*/ * * * *", "/", "a `/` without a step", "a step through 0-59 is a number from 1 to 59");
    refused("*/x * * * *", "x", "`x` is not a step", "a step through 0-59 is a number from 1 to 59");
    hinted("*/5/5 * * * *", "5/5", "a number from 1 to 59");
    hinted("*/-5 * * * *", "-5", "a number from 1 to 59");
    hinted("*/99999999999999999999999 * * * *", "99999999999999999999999", "a number from 1 to 59");
    hinted("0 0 1,*/2147483648 * *", "2147483648", "a number from 1 to 30");
    hinted("*/90 * * * *", "90", "a number from 1 to 59");
    hinted("0 */24 * * *", "24", "a number from 1 to 23");
    hinted("*/90 0 2 * * *", "90", "a number from 1 to 59");
}

#[test]
fn empty_places() {
    let help = "write a list without spaces and without empty places, as in `1,15,30`";
    for (text, at) in [("1,,2 * * * *", 2), (",1 * * * *", 0), ("1, * * * *", 1), ("0 , * * *", 2), ("0 1,2, * * *", 5)]
    {
        let error = refusal(text);
        assert_eq!((error.span, error.help.as_deref()), (at..at + 1, Some(help)), "{text}");
        assert_eq!(error.message, "a comma with nothing beside it");
    }
}

#[test]
fn what_other_crons_have() {
    hinted("0 0 ? * 1", "?", "write `*`");
    hinted("0 0 L * *", "L", "crontab has no `L`");
    hinted("0 0 L-3 * *", "L", "crontab has no `L`");
    hinted("0 0 * * 5L", "5L", "crontab has no `L`");
    hinted("0 0 * * friL", "friL", "crontab has no `L`");
    hinted("0 0 15W * *", "15W", "crontab has no `W`");
    hinted("0 0 LW * *", "LW", "crontab has no `W`");
    hinted("0 0 * * 6#3", "6#3", "crontab has no `#`");
    hinted("H 0 * * *", "H", "crontab has no `H`");
    hinted("h/15 * * * *", "h", "crontab has no `H`");
    hinted("H(0-29)/10 * * * *", "H(0", "crontab has no `H`");
    hinted("0~30 * * * *", "0~30", "crontab has no `~`");
}

#[test]
fn nicknames() {
    let start = "the start of the daemon is no time of day: name one, as in `0 2 * * *` or `@daily`";
    refused("@reboot", "@reboot", "`@reboot` is not a schedule", start);
    refused(" @Reboot", "@Reboot", "`@Reboot` is not a schedule", start);
    hinted("@every 10m", "@every", "write a step, as in `*/10 * * * *`");
    hinted("@dialy", "@dialy", "did you mean `@daily`?");
    hinted("@", "@", "@hourly, @daily");
    refused("@daily 3", "@daily 3", "`@daily` stands alone, without fields", "write `@daily` or `0 0 * * *`");
    hinted("@ daily", "@", "the nicknames are");
    hinted("0 @daily * * *", "@daily", "the hour is 0-23");
}

#[test]
fn a_zone_is_a_key_of_its_own() {
    for (text, wrong, zone, fields) in [
        ("TZ=Europe/Paris 0 2 * * *", "TZ=Europe/Paris", "Europe/Paris", "0 2 * * *"),
        ("CRON_TZ=UTC @daily", "CRON_TZ=UTC", "UTC", "@daily"),
        (" cron_tz='Asia/Tokyo'  0 2 * * 1", "cron_tz='Asia/Tokyo'", "Asia/Tokyo", "0 2 * * 1"),
        ("CRON_TZ = UTC 0 2 * * *", "CRON_TZ", "UTC", "0 2 * * *"),
        ("TZ=", "TZ=", "Europe/Berlin", "0 2 * * *"),
        ("TZ", "TZ", "Europe/Berlin", "0 2 * * *"),
    ] {
        hinted(text, wrong, &format!("write `timezone = \"{zone}\"` beside `schedule = \"{fields}\"`"));
        assert!(refusal(text).message.ends_with("=` is no part of a schedule: the zone is a key of its own"), "{text}");
    }
}

#[test]
fn days_that_never_come() {
    let message = "the schedule never fires: none of its months has such a day";
    let help = "February has 29 days at most; April, June, September and November have 30";
    refused("0 0 30 2 *", "30 2", message, help);
    refused("0 0 31 4,6,9,nov *", "31 4,6,9,nov", message, help);
    refused("0  0 30-31  feb */2", "30-31  feb", message, help);
    // Either day field suffices here, and Fridays in February there are.
    assert!(Schedule::parse("0 0 30 2 5").is_ok());
    assert!(Schedule::parse("0 0 29 2 *").is_ok());
}

#[test]
fn characters_and_length() {
    let help = "a schedule is one line of plain ASCII: digits, names, `*`, `,`, `-`, `/`, spaces and tabs";
    refused("0 2 * * 1–5", "–", "`–` cannot be part of a schedule", help);
    refused("0\u{a0}2 * * *", "\u{a0}", r"`\u{a0}` cannot be part of a schedule", help);
    refused("0 2 * * *\n", "\n", r"`\n` cannot be part of a schedule", help);
    refused("0 2 * * \u{1b}[31m", "\u{1b}", r"`\u{1b}` cannot be part of a schedule", help);
    let long = format!("{} * * * *", ["0"; 500].join(","));
    assert_eq!(long.len(), 999 + 8);
    refused(&long, "* * * *", "a schedule can have 1000 bytes at most; this one has 1007", EXAMPLE);
    assert!(Schedule::parse(&format!("{} * * * *", ["0"; 496].join(","))).is_ok());
    // The cut lies between two characters.
    let euros = "€".repeat(400);
    assert_eq!(refusal(&euros).span, 999..1200);
}
