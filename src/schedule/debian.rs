//! Debian's cron, rewritten naively from its rules: the oracle of the tests.
//!
//! Nothing here is shared with the code under test: not the parser, not the calendar, not the way through the changes
//! of the clocks. The oracle knows no transitions at all. It looks at the clock on the wall once a tick, as the daemon
//! does, and acts on how far the clock is from where it was expected.
//!
//! The oracle differs from the C program in three ways, all deliberate:
//! - Debian asks for the offset again only when `tm_isdst` changes, and so overlooks a zone that redefines its standard
//!   time (Samoa's skipped day) until it is restarted. Here the offset is always right.
//! - Debian runs the missed fixed jobs of a gap one *virtual* minute after the other, with pauses, from the moment it
//!   wakes after the gap. Here all of that takes no time: a virtual minute fires at the instant of the tick, which is
//!   the instant of the transition. A job that matches several of them is then one run: the instants are a set.
//! - A tick may be a second, for schedules with six fields: the same loop with its constants in seconds.

use std::collections::BTreeSet;

use jiff::tz::{Offset, TimeZone};
use jiff::{SignedDuration, Timestamp};

/// A parsed crontab line.
pub(super) struct Job {
    second: Vec<u8>,
    minute: Vec<u8>,
    hour: Vec<u8>,
    dom: Vec<u8>,
    month: Vec<u8>,
    dow: Vec<u8>,
    min_star_or_hr_star: bool,
    dom_star_or_dow_star: bool,
}

const MONTHS: &str = "janfebmaraprmayjunjulaugsepoctnovdec";
const DAYS: &str = "sunmontuewedthufrisat";

/// Reason for which every value of a calendar fits into a `u8`.
const SMALL: &str = "less than 256";

impl Job {
    /// Reads five or six valid fields.
    pub(super) fn new(text: &str) -> Self {
        let lower = text.to_lowercase();
        let mut words: Vec<&str> = lower.split_whitespace().collect();
        if words.len() == 5 {
            words.insert(0, "0");
        }
        let mut dow = values(words[5], 0, 7, DAYS, 0);
        if dow.contains(&7) {
            dow.push(0);
        }
        Self {
            second: values(words[0], 0, 59, "", 0),
            minute: values(words[1], 0, 59, "", 0),
            hour: values(words[2], 0, 23, "", 0),
            dom: values(words[3], 1, 31, "", 0),
            month: values(words[4], 1, 12, MONTHS, 1),
            dow,
            min_star_or_hr_star: words[1].starts_with('*') || words[2].starts_with('*'),
            dom_star_or_dow_star: words[3].starts_with('*') || words[5].starts_with('*'),
        }
    }

    /// Returns whether a day of some year matches. Months and days are few enough to try them all.
    pub(super) fn ever_fires(&self) -> bool {
        const DAYS_IN_MONTH: [u8; 12] = [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
        !self.dom_star_or_dow_star
            || self.month.iter().any(|month| self.dom.iter().any(|dom| *dom <= DAYS_IN_MONTH[usize::from(*month) - 1]))
    }

    /// Evaluates the condition in `find_jobs`, at `clock` seconds of local time.
    fn matches(&self, clock: i64) -> bool {
        let of = |unit: i64, wrap: i64| u8::try_from((clock / unit) % wrap).expect(SMALL);
        if !self.second.contains(&of(1, 60)) || !self.minute.contains(&of(60, 60)) || !self.hour.contains(&of(3600, 24))
        {
            return false;
        }
        let date = Offset::UTC.to_datetime(Timestamp::from_second(clock).expect("a time of the calendar")).date();
        let dom = self.dom.contains(&u8::try_from(date.day()).expect(SMALL));
        let dow = self.dow.contains(&u8::try_from(date.weekday().to_sunday_zero_offset()).expect(SMALL));
        self.month.contains(&u8::try_from(date.month()).expect(SMALL))
            && if self.dom_star_or_dow_star { dom && dow } else { dom || dow }
    }
}

/// Returns the values of a field that any item of its list lets through.
fn values(field: &str, low: u8, high: u8, names: &str, first: u8) -> Vec<u8> {
    let number = |text: &str| match names.find(text) {
        Some(at) if text.len() == 3 => u8::try_from(at / 3).expect(SMALL) + first,
        _ => text.parse().expect("a number that was read before"),
    };
    let lets_through = |item: &str, value: u8| {
        let (range, step) = item.split_once('/').unwrap_or((item, "1"));
        let (from, to) = match range.split_once('-') {
            Some((from, to)) => (number(from), number(to)),
            None if range == "*" => (low, high),
            None => (number(range), number(range)),
        };
        // This is the only extension of ours: `fri-sun`.
        let to = if to < from { high } else { to };
        let step: u64 = step.parse().expect("a step that was read before");
        from <= value && value <= to && u64::from(value - from).is_multiple_of(step)
    };
    (low..=high).filter(|value| field.split(',').any(|item| lets_through(item, *value))).collect()
}

/// Readings of the clock on the wall at each tick of a while: (instant, ticks of local time since 1970).
pub(super) struct Wall {
    pub(super) ticks: Vec<(Timestamp, i64)>,
    seconds_per_tick: i64,
}

impl Wall {
    pub(super) fn new(tz: &TimeZone, from: Timestamp, to: Timestamp, seconds_per_tick: i64) -> Self {
        let mut ticks = Vec::new();
        let mut now = from;
        while now <= to {
            let offset = tz.to_offset(now);
            ticks.push((now, (now.as_second() + i64::from(offset.seconds())).div_euclid(seconds_per_tick)));
            now += SignedDuration::from_secs(seconds_per_tick);
        }
        Self { ticks, seconds_per_tick }
    }
}

/// Runs `main()` of cron.c from the first tick on. Returns the instants at which it runs the job.
pub(super) fn runs(job: &Job, wall: &Wall) -> BTreeSet<Timestamp> {
    let minute = 60 / wall.seconds_per_tick;
    let mut runs = BTreeSet::new();
    let (_, mut virtual_time) = wall.ticks[0];
    for (now, clock_time) in wall.ticks.iter().skip(1).copied() {
        let mut find_jobs = |time: i64, do_wild: bool, do_non_wild: bool| {
            let wanted = if job.min_star_or_hr_star { do_wild } else { do_non_wild };
            if wanted && job.matches(time * wall.seconds_per_tick) {
                runs.insert(now);
            }
        };
        let time_running = clock_time;
        let time_diff = time_running - virtual_time;
        if time_diff == 1 {
            virtual_time = time_running;
            find_jobs(virtual_time, true, true);
        } else if time_diff > 3 * 60 * minute || time_diff <= -(3 * 60 * minute) {
            // The clock jumped: take the new time as it is.
            virtual_time = time_running;
            find_jobs(time_running, true, true);
        } else if time_diff > 5 * minute {
            // DST begins: wildcard jobs for this minute, fixed-time jobs for each minute missed.
            find_jobs(time_running, true, false);
            while virtual_time < time_running {
                virtual_time += 1;
                find_jobs(virtual_time, false, true);
            }
        } else if time_diff > 0 {
            // Woke late: everything, minute by minute.
            while virtual_time < time_running {
                virtual_time += 1;
                find_jobs(virtual_time, true, true);
            }
        } else {
            // DST ends: wildcard jobs only, until the clock has caught up with virtual time.
            find_jobs(time_running, true, false);
        }
    }
    runs
}
