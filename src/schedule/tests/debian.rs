//! Against Debian's cron: its main loop, minute by minute, with a parser of its own (none: the tests make the fields).
//!
//! Debian counts local time in minutes. Each minute it compares the local time with the last one it has dealt with and,
//! when they are not one apart, because clocks changed, decides by how far they are (`cron.c`, `main`):
//! up to five minutes ahead, it goes through the missed minutes with all jobs; up to three hours ahead, it runs the jobs
//! of fixed times of all the missed minutes, and of those with a `*` minute or hour only what matches now; up to three
//! hours back, it runs only the latter until it has caught up; beyond that, it begins anew. All of what it makes up for
//! runs in the minute it wakes in, which is what "right after the gap" means.

use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::super::Schedule;
use super::zone;

/// Zones with what is special about them, and a year with a change in it.
const ZONES: [(&str, &str); 17] = [
    ("America/New_York", "2026-01-01"),
    ("Europe/Berlin", "2026-01-01"),
    ("Europe/Dublin", "2026-01-01"),       // winter time is the one that is "saving"
    ("Australia/Lord_Howe", "2026-01-01"), // half an hour
    ("Asia/Beirut", "2026-01-01"),         // midnight is skipped
    ("America/Havana", "2026-01-01"),      // midnight is skipped
    ("Africa/Cairo", "2026-01-01"),        // midnight is skipped, on a Friday
    ("Pacific/Chatham", "2026-01-01"),     // 02:45
    ("America/St_Johns", "2010-01-01"),    // 00:01
    ("Antarctica/Troll", "2026-01-01"),    // two hours
    ("Pacific/Apia", "2011-09-01"),        // 30 December 2011 does not exist
    ("Pacific/Kwajalein", "1993-06-01"),   // 21 August 1993 does not exist
    ("Asia/Kathmandu", "1985-06-01"),      // a quarter of an hour, once
    ("America/Caracas", "2007-09-01"),     // half an hour back
    ("Asia/Pyongyang", "2018-01-01"),      // half an hour ahead, for good
    ("Africa/Casablanca", "2026-01-01"),   // back for Ramadan
    ("UTC", "2026-01-01"),                 // nothing
];

/// One field: its text, and the values it stands for.
#[derive(Clone, Debug)]
struct Field {
    text: String,
    values: BTreeSet<i64>,
}

fn field(least: i64, most: i64) -> impl Strategy<Value = Field> {
    let every = Just(Field { text: "*".into(), values: (least..=most).collect() });
    let steps = (2..=(most - least) / 2).prop_map(move |step| Field {
        text: format!("*/{step}"),
        values: (least..=most).filter(|value| (value - least) % step == 0).collect(),
    });
    let some = prop::collection::btree_set(least..=most, 1..4)
        .prop_map(|values| Field { text: values.iter().map(i64::to_string).collect::<Vec<_>>().join(","), values });
    let range = (least..=most, least..=most).prop_map(|(one, other)| {
        let (low, high) = (one.min(other), one.max(other));
        Field { text: format!("{low}-{high}"), values: (low..=high).collect() }
    });
    prop_oneof![2 => every, 1 => steps, 3 => some, 1 => range]
}

/// Hours around which clocks change, more often than others.
fn hour() -> impl Strategy<Value = Field> {
    let night = prop::collection::btree_set(0_i64..4, 1..4)
        .prop_map(|values| Field { text: values.iter().map(i64::to_string).collect::<Vec<_>>().join(","), values });
    prop_oneof![1 => night, 1 => field(0, 23)]
}

#[derive(Clone, Debug)]
struct Job {
    minute: Field,
    hour: Field,
    day: Field,
    month: Field,
    weekday: Field,
}

impl Job {
    fn text(&self) -> String {
        let Self { minute, hour, day, month, weekday } = self;
        [minute, hour, day, month, weekday].map(|field| field.text.as_str()).join(" ")
    }

    fn is_wild(&self) -> bool {
        self.minute.text.starts_with('*') || self.hour.text.starts_with('*')
    }

    /// `find_jobs`: whether it is to run in this minute of local time.
    fn matches(&self, local_minute: i64) -> bool {
        let (minute, hour) = (local_minute.rem_euclid(60), local_minute.div_euclid(60).rem_euclid(24));
        if !self.minute.values.contains(&minute) || !self.hour.values.contains(&hour) {
            return false;
        }
        let local = Timestamp::from_second(local_minute * 60).expect("in range").to_zoned_datetime(TimeZone::UTC);
        let star = self.day.text.starts_with('*') || self.weekday.text.starts_with('*');
        let day = self.day.values.contains(&local.day().into());
        let weekday = self.weekday.values.contains(&local.weekday().to_sunday_zero_offset().into());
        self.month.values.contains(&local.month().into()) && if star { day && weekday } else { day || weekday }
    }
}

const THREE_HOURS: i64 = 180;

/// The instants, in minutes, at which Debian's cron would run the job, after `start`.
fn debian(job: &Job, tz: &TimeZone, start: i64, end: i64) -> Vec<i64> {
    let local = |minute: i64| {
        let at = Timestamp::from_second(minute * 60).expect("in range");
        minute + i64::from(tz.to_offset(at).seconds()) / 60
    };
    let mut found = Vec::new();
    let mut dealt_with = local(start);
    for minute in start + 1..=end {
        let running = local(minute);
        let ahead = running - dealt_with;
        let now_if_wild = job.is_wild() && job.matches(running);
        let missed = dealt_with + 1..=running;
        let runs = match ahead {
            1..=5 => {
                dealt_with = running;
                missed.into_iter().any(|minute| job.matches(minute))
            }
            6..=THREE_HOURS => {
                dealt_with = running;
                now_if_wild || (!job.is_wild() && missed.into_iter().any(|minute| job.matches(minute)))
            }
            _ if (-THREE_HOURS + 1..=0).contains(&ahead) => now_if_wild,
            _ => {
                dealt_with = running;
                job.matches(running)
            }
        };
        if runs {
            found.push(minute);
        }
    }
    found
}

fn job() -> impl Strategy<Value = Job> {
    (field(0, 59), hour(), field(1, 31), field(1, 12), field(0, 6))
        .prop_map(|(minute, hour, day, month, weekday)| Job { minute, hour, day, month, weekday })
}

/// A few days round a change of the zone's clock, in minutes.
fn window(zone_name: &str, from: &str, change: usize) -> (TimeZone, i64, i64) {
    let tz = zone(zone_name);
    let from: Timestamp = format!("{from}T00:00:00Z").parse().expect("an instant");
    let centre = tz.following(from).nth(change).map_or(from, |change| change.timestamp());
    let start = (centre - SignedDuration::from_hours(40)).as_second().div_euclid(60);
    let end = (centre + SignedDuration::from_hours(40)).as_second().div_euclid(60);
    (tz, start, end)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn it_fires_when_debians_cron_fires(job in job(), at in 0..ZONES.len(), change in 0_usize..2) {
        let (zone_name, from) = ZONES[at];
        let (tz, start, end) = window(zone_name, from, change);
        let expected = debian(&job, &tz, start, end);
        let Ok(schedule) = Schedule::parse(&job.text()) else {
            prop_assert!(expected.is_empty(), "{} is refused and Debian runs it", job.text());
            return Ok(());
        };
        let mut found = Vec::new();
        let mut last = Timestamp::from_second(start * 60).expect("in range");
        while let Some(next) = schedule.next_after(last, &tz) {
            prop_assert!(next > last, "{} after {}", next, last);
            if next.as_second() > end * 60 {
                break;
            }
            prop_assert_eq!(next.as_second() % 60, 0);
            found.push(next.as_second() / 60);
            last = next;
        }
        prop_assert_eq!(found, expected, "{} in {}", job.text(), zone_name);
    }

    #[test]
    fn a_later_question_never_has_an_earlier_answer(job in job(), at in 0..ZONES.len(), change in 0_usize..2, seconds in prop::array::uniform2(0_i64..288_000)) {
        let (zone_name, from) = ZONES[at];
        let (tz, start, _) = window(zone_name, from, change);
        let Ok(schedule) = Schedule::parse(&job.text()) else { return Ok(()) };
        let [one, other] = seconds.map(|second| Timestamp::from_second(start * 60 + second).expect("in range"));
        let (one, other) = (one.min(other), one.max(other));
        let (first, second) = (schedule.next_after(one, &tz), schedule.next_after(other, &tz));
        prop_assert!(first <= second, "{} in {}: {:?} after {}, {:?} after {}", job.text(), zone_name, first, one, second, other);
        prop_assert!(second.is_none_or(|second| second > other));
    }
}
