//! Schedules: standard crontab meaning on top of the `cron` crate.
//!
//! The crate counts Sunday as 1, wants both day fields to match, takes `0 3 * * *1` for six fields, and skips or
//! repeats times where clocks change. So it is used as a calendar only: `parse` reads the text, the crate gets each
//! field back as a plain list of numbers, and it is only ever shown civil time as if it were UTC, where nothing is
//! skipped or repeated. Between civil time and instants, `next` goes by the rules of Debian's cron.

mod next;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;

use jiff::Timestamp;
use jiff::civil::{DateTime, date};
use jiff::tz::TimeZone;

/// A crontab expression: five fields (minute, hour, day of month, month, day of week), six with seconds first, or a
/// nickname such as `@daily`.
///
/// Its calendar ends with the year 2100.
#[derive(Clone)]
pub struct Schedule {
    text: String,
    /// It fires when any of these does: two where both day fields are restricted, else one.
    any_of: Vec<cron::Schedule>,
    follows_clock: bool,
}

/// Why a text is no schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleError {
    /// The bytes of the text that are wrong.
    pub span: Range<usize>,
    /// What is wrong, as a lowercase fragment.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(out, " ({help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for ScheduleError {}

impl Schedule {
    /// Reads an expression.
    ///
    /// # Errors
    /// When it is none, or one that never fires, such as the 30th of February.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        parse::parse(text).map_err(|error| {
            let Range { start, end } = error.span;
            let span = text.floor_char_boundary(start)..text.ceil_char_boundary(end);
            ScheduleError { span, ..error }
        })
    }

    /// The text as it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// When it fires next, strictly after `after`, in this zone; `None` when that lies beyond the year 2100.
    ///
    /// As Debian's cron does it: a fixed time that a gap of less than three hours skips (clocks go forward) fires once,
    /// right after the gap; in a longer gap (a zone that skips a day) it does not fire. A fixed time that comes twice
    /// (clocks go back) fires the first time. A schedule that [follows the clock](Schedule::follows_clock) fires
    /// whenever the clock shows a matching time.
    #[must_use]
    pub fn next_after(&self, after: Timestamp, tz: &TimeZone) -> Option<Timestamp> {
        if self.follows_clock { self.next_by_clock(after, tz) } else { self.next_fixed(after, tz) }
    }

    /// Whether its minute or its hour starts with `*`, so that it follows the wall clock where that is changed.
    #[must_use]
    pub fn follows_clock(&self) -> bool {
        self.follows_clock
    }

    /// The next matching civil time strictly after `after`.
    fn next_civil(&self, after: DateTime) -> Option<DateTime> {
        // The crate's calendar begins in 1970.
        let after = next::to_chrono(after.max(date(1969, 12, 31).at(0, 0, 0, 0)))?;
        self.any_of.iter().filter_map(|one| one.after(&after).next()).min().and_then(next::from_chrono)
    }
}

/// Two schedules are equal when they are written alike.
impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Debug for Schedule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Schedule").field(&self.text).finish()
    }
}
