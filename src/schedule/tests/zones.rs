//! Zones, and changes of their clocks that have happened.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// The zone `name`; without it the tests prove nothing, so they fail.
pub(super) fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).expect("these tests need the system's time zone database: install the package tzdata")
}

/// A change of a zone's offset.
pub(super) struct Change {
    pub(super) tz: TimeZone,
    pub(super) name: String,
    pub(super) at: Timestamp,
}

/// Zone, instant, minutes forward. All in the past, where no government can change them any more.
const CHANGES: &[(&str, &str, i64)] = &[
    ("America/New_York", "2024-03-10T07:00:00Z", 60),
    ("America/New_York", "2024-11-03T06:00:00Z", -60),
    ("Europe/Berlin", "2024-03-31T01:00:00Z", 60),
    ("Europe/Berlin", "2024-10-27T01:00:00Z", -60),
    // Half an hour; a quarter; three quarters; one and a half.
    ("Australia/Lord_Howe", "2024-04-06T15:00:00Z", -30),
    ("Australia/Lord_Howe", "2024-10-05T15:30:00Z", 30),
    ("Asia/Pyongyang", "2015-08-14T15:00:00Z", -30),
    ("Asia/Pyongyang", "2018-05-04T15:00:00Z", 30),
    ("America/Caracas", "2007-12-09T07:00:00Z", -30),
    ("America/Caracas", "2016-05-01T07:00:00Z", 30),
    ("Asia/Kathmandu", "1985-12-31T18:30:00Z", 15),
    ("America/Guyana", "1975-08-01T03:45:00Z", 45),
    ("Pacific/Kiritimati", "1979-10-01T10:40:00Z", 40),
    ("America/Montevideo", "1974-01-13T03:00:00Z", 90),
    // Offsets with 45 minutes.
    ("Pacific/Chatham", "2024-04-06T14:00:00Z", -60),
    ("Pacific/Chatham", "2024-09-28T14:00:00Z", 60),
    // A midnight that is skipped or comes twice.
    ("Asia/Beirut", "2024-03-30T22:00:00Z", 60),
    ("Asia/Beirut", "2024-10-26T21:00:00Z", -60),
    ("America/Havana", "2024-03-10T05:00:00Z", 60),
    ("America/Havana", "2024-11-03T05:00:00Z", -60),
    ("Africa/Cairo", "2024-04-25T22:00:00Z", 60),
    ("Africa/Cairo", "2024-10-31T21:00:00Z", -60),
    ("America/Sao_Paulo", "2018-02-18T02:00:00Z", -60),
    ("America/Sao_Paulo", "2018-11-04T03:00:00Z", 60),
    // At one minute past midnight; once by two hours.
    ("America/St_Johns", "2006-04-02T03:31:00Z", 60),
    ("America/St_Johns", "2006-10-29T02:31:00Z", -60),
    ("America/St_Johns", "1988-04-03T03:31:00Z", 120),
    ("America/St_Johns", "1988-10-30T01:31:00Z", -120),
    ("Antarctica/Troll", "2024-03-31T01:00:00Z", 120),
    ("Antarctica/Troll", "2024-10-27T01:00:00Z", -120),
    // Winter time as the exception.
    ("Europe/Dublin", "2024-03-31T01:00:00Z", 60),
    ("Europe/Dublin", "2024-10-27T01:00:00Z", -60),
    // Three hours: over the limit forward, within it backward. Seven hours. A day.
    ("Antarctica/Casey", "2009-10-17T18:00:00Z", 180),
    ("Antarctica/Casey", "2010-03-04T15:00:00Z", -180),
    ("Antarctica/Vostok", "1994-01-31T17:00:00Z", -420),
    ("Antarctica/Vostok", "1994-11-01T00:00:00Z", 420),
    ("Pacific/Apia", "2011-12-30T10:00:00Z", 1440),
    ("Pacific/Kwajalein", "1993-08-21T12:00:00Z", 1440),
    ("Pacific/Kiritimati", "1994-12-31T10:00:00Z", 1440),
    // A change of name only, and none at all.
    ("Europe/Lisbon", "1992-09-27T01:00:00Z", 0),
    ("UTC", "2024-03-10T00:00:00Z", 0),
];

/// No zone has these, but a `TZ` rule may: changes around the limits of 5 minutes and of 3 hours.
const RULES: &[(&str, i64)] = &[
    ("AAA0BBB-0:04,M3.2.0,M11.1.0", 4),
    ("AAA0BBB-0:05,M3.2.0,M11.1.0", 5),
    ("AAA0BBB-0:06,M3.2.0,M11.1.0", 6),
    ("AAA0BBB-2:59,M3.2.0/4,M11.1.0/4", 179),
    ("AAA0BBB-3,M3.2.0/4,M11.1.0/4", 180),
    ("AAA0BBB-3:01,M3.2.0/4,M11.1.0/4", 181),
];

/// All of the above, each with the offset really changing by as much as it says.
pub(super) fn changes() -> Vec<Change> {
    let mut changes = Vec::new();
    for (name, at, minutes) in CHANGES {
        let change = Change { tz: zone(name), name: (*name).to_owned(), at: at.parse().unwrap() };
        assert_eq!(forward(&change), *minutes, "{name} at {at}: is the time zone database complete?");
        changes.push(change);
    }
    for (rule, minutes) in RULES {
        let tz = TimeZone::posix(rule).unwrap();
        let start: Timestamp = "2080-01-01T00:00:00Z".parse().unwrap();
        let both: Vec<Timestamp> = tz.following(start).take(2).map(|transition| transition.timestamp()).collect();
        for (at, minutes) in both.into_iter().zip([*minutes, -minutes]) {
            let change = Change { tz: tz.clone(), name: (*rule).to_owned(), at };
            assert_eq!(forward(&change), minutes, "{rule} at {at}");
            changes.push(change);
        }
    }
    changes
}

/// By how many minutes the clocks go forward.
fn forward(change: &Change) -> i64 {
    let before = change.tz.to_offset(change.at - SignedDuration::from_secs(1));
    i64::from(change.tz.to_offset(change.at).seconds() - before.seconds()) / 60
}
