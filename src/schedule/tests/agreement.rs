//! The schedule against Debian's cron, run for run.

use std::sync::LazyLock;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use proptest::sample::Index;

use super::debian::{self, Job, Wall};
use super::zones::{Change, changes, zone};
use super::{Schedule, cases, field, five_fields, schedule};

/// Expressions that have something to do where clocks change.
const EXPRESSIONS: &[&str] = &[
    "* * * * *",
    "*/7 * * * *",
    "*/30 * * * *",
    "0 * * * *",
    "15 */2 * * *",
    "* 2 * * *",
    "*/20 0-3 * * *",
    "30 2 * * *",
    "15,45 2 * * *",
    "0 0 * * *",
    "30 0 * * *",
    "0 1 * * *",
    "30 1 * * *",
    "0 3 * * *",
    "2-4 0,2,23 * * *",
    "0,30 1-3 * * *",
    "15-55/20 0-23/1 * * *",
    "59 23 * * *",
    "1 0 * * 0",
    "0 0 1,15 * sun",
    "30 1,2 */2 * sun",
    "0 0 30,31 12 *",
    "0-59/13 0-4,23 * * sat-sun",
    "30 1,2 */100,1-7 * sun",
    "15 2 */40 * *",
    "*/90,30 1-3 * * sun",
    "30 2-3/9,4 * * */8",
    "@daily",
    "@hourly",
    "@weekly",
];

/// A day before the change and a bit more than one after, so that a skipped day and both midnights are within.
fn around(change: &Change) -> Wall {
    let hour = SignedDuration::from_hours(1);
    // Ticks fall on whole minutes, and so does every change of an offset since 1972. What does not is an entry that
    // changes nothing, as some databases have at the end of 32-bit time.
    let minute = Timestamp::from_second(change.at.as_second().div_euclid(60) * 60).unwrap();
    Wall::new(&change.tz, minute - hour * 25, minute + hour * 27, 60)
}

/// Each change with its wall, made once: asking a zone for its offset is what takes the time.
static WALLS: LazyLock<Vec<(Change, Wall)>> = LazyLock::new(|| {
    changes().into_iter().map(|change| (around(&change), change)).map(|(wall, change)| (change, wall)).collect()
});

/// All that `schedule` runs after the first tick of `wall`, up to its last.
fn ours(schedule: &Schedule, tz: &TimeZone, wall: &Wall) -> Vec<Timestamp> {
    let (start, end) = (wall.ticks[0].0, wall.ticks[wall.ticks.len() - 1].0);
    let next = |last: &Timestamp| {
        let due = schedule.next_after(*last, tz)?;
        assert!(due > *last, "{due} is not after {last}");
        Some(due).filter(|due| *due <= end)
    };
    std::iter::successors(next(&start), next).collect()
}

fn debians(text: &str, wall: &Wall) -> Vec<Timestamp> {
    let spelled_out = match text {
        "@daily" => "0 0 * * *",
        "@hourly" => "0 * * * *",
        "@weekly" => "0 0 * * 0",
        other => other,
    };
    debian::runs(&Job::new(spelled_out), wall).into_iter().collect()
}

/// How the two differ, in words; `None` when they agree: on all runs, one after the other, and on which is the next when
/// asked afresh, by a daemon that has just started, at some tick within four hours of the change.
fn difference(text: &str, schedule: &Schedule, change: &Change, wall: &Wall) -> Option<String> {
    let (ours, debians) = (ours(schedule, &change.tz, wall), debians(text, wall));
    let place = || format!("`{text}` in {} around {}", change.name, change.at);
    if ours != debians {
        let only = |these: &[Timestamp], those: &[Timestamp]| these.iter().find(|run| !those.contains(run)).copied();
        let (ours, debians) = (only(&ours, &debians), only(&debians, &ours));
        return Some(format!("{}: first run of ours alone {ours:?}, of Debian's alone {debians:?}", place()));
    }
    let end = wall.ticks[wall.ticks.len() - 1].0;
    let near = wall.ticks.iter().map(|tick| tick.0).filter(|tick| tick.duration_since(change.at).abs().as_hours() < 4);
    near.step_by(wall.ticks.len() / 450).find_map(|start| {
        let ours = schedule.next_after(start, &change.tz).filter(|due| *due <= end);
        let debians = debians.iter().copied().find(|due| *due > start);
        (ours != debians).then(|| format!("{}: from {start} ours is {ours:?}, Debian's {debians:?}", place()))
    })
}

#[test]
fn telling_expressions_agree_at_every_change() {
    for (change, wall) in WALLS.iter() {
        for text in EXPRESSIONS {
            assert_eq!(difference(text, &schedule(text), change, wall), None);
        }
    }
}

#[test]
fn the_oracle_is_awake() {
    for text in EXPRESSIONS {
        let runs: usize = WALLS.iter().map(|(_, wall)| debians(text, wall).len()).sum();
        assert!(runs > 0, "`{text}` never ran, so its agreement proves nothing");
    }
}

#[test]
fn a_year_agrees() {
    let (from, to) = ("2024-01-01T00:00:00Z".parse().unwrap(), "2025-01-01T00:00:00Z".parse().unwrap());
    for name in ["America/New_York", "Australia/Lord_Howe", "Antarctica/Troll"] {
        let change = Change { tz: zone(name), name: name.to_owned(), at: from };
        let wall = Wall::new(&change.tz, from, to, 60);
        for text in ["30 2 * * *", "0 0 13 * 5", "15 1-3 */10 * mon-fri", "*/45 */5 29 feb *", "30 1 * 3,4,10,11 0"] {
            assert_eq!(difference(text, &schedule(text), &change, &wall), None);
        }
    }
}

/// Compares, or, where the text is refused, asks the oracle whether it never fires.
fn compare(text: &str, change: &Change, wall: &Wall) -> Result<(), TestCaseError> {
    match Schedule::parse(text) {
        Ok(schedule) => prop_assert_eq!(difference(text, &schedule, change, wall), None),
        Err(error) => {
            prop_assert!(error.message.contains("never fires"), "`{}`: {:?}", text, error);
            prop_assert!(!Job::new(text).ever_fires(), "`{}`", text);
        }
    }
    Ok(())
}

/// Every name in the system's database.
static NAMES: LazyLock<Vec<String>> = LazyLock::new(|| {
    let names: Vec<String> = jiff::tz::db().available().map(|name| name.to_string()).collect();
    assert!(names.len() > 300, "only {} zones: install the package tzdata", names.len());
    names
});

proptest! {
    #![proptest_config(cases(600))]

    #[test]
    fn random_expressions_agree_at_the_changes_of_the_table(text in five_fields(), which in any::<Index>()) {
        let (change, wall) = &WALLS[which.index(WALLS.len())];
        compare(&text, change, wall)?;
    }
}

proptest! {
    #![proptest_config(cases(150))]

    /// The change of some zone of the world that follows some second between 1972 and 2098.
    #[test]
    fn random_expressions_agree_anywhere(text in five_fields(), name in any::<Index>(), second in 64_000_000..4_070_908_800i64) {
        let name = &NAMES[name.index(NAMES.len())];
        let tz = zone(name);
        let second = Timestamp::from_second(second / 60 * 60).unwrap();
        let at = tz.following(second).next().map_or(second, |transition| transition.timestamp());
        let change = Change { tz, name: name.clone(), at };
        compare(&text, &change, &around(&change))?;
    }
}

proptest! {
    #![proptest_config(cases(60))]

    /// Seconds: four hours on either side of a change, tick by tick.
    #[test]
    fn six_fields_agree_by_the_second(
        second in field(0, 59),
        minute in field(0, 59),
        hour in prop_oneof![field(0, 23), Just("0-4,23".to_owned())],
        which in any::<Index>(),
    ) {
        let (change, _) = &WALLS[which.index(WALLS.len())];
        let hours = SignedDuration::from_hours(4);
        let wall = Wall::new(&change.tz, change.at - hours, change.at + hours, 1);
        compare(&format!("{second} {minute} {hour} * * *"), change, &wall)?;
    }
}
