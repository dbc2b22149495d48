//! Schedules: standard crontab meaning on top of the `cron` crate.
//!
//! The crate counts days of the week from 1, wants both day fields to match, lets white space between fields go
//! missing, skips what a spring gap swallows and goes back in time in the repeated hour of autumn. So the crate never
//! sees what the user wrote, nor a time zone: the text is parsed here (`parse`, `field`) and the crate is given plain
//! lists of numbers and civil time dressed as UTC (`calendar`). The module `next` decides when to run as the clocks
//! change.
//!
//! The rules are those of Debian's cron (`entry.c` for the fields, the main loop of `cron.c` for the clocks), which the
//! tests hold against a naive rewriting of that loop, minute by minute, over the zones of the world.

mod calendar;
#[cfg(any(test, fuzzing))]
mod debian;
mod error;
mod field;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod next;
mod parse;
#[cfg(test)]
mod tests;
mod unknown;

use std::fmt;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use calendar::Calendar;
pub use error::ScheduleError;

/// A crontab expression: when a target is due.
///
/// - Five fields: minute 0-59, hour 0-23, day of the month 1-31, month 1-12 or `jan`-`dec`, day of the week 0-7 or
///   `sun`-`sat`, where 0 and 7 are both Sunday. With six, the first is the second, 0-59, and the others mean the same.
/// - A field is a list of numbers or names, ranges `a-b`, `*`, and steps `*/n` and `a-b/n`, without spaces. Names are
///   their first three letters in any case; `fri-sun` is a range too.
/// - A step beyond its range leaves the first value, as in `0 3 */100,1-7 * mon`, the first Monday of a month; as the
///   whole of a second, minute or hour it is refused.
/// - Where both day fields are restricted, either one suffices; where one of them starts with `*`, both must match.
/// - `@hourly`, `@daily`, `@midnight`, `@weekly`, `@monthly`, `@yearly`, `@annually`, in any case.
///
/// The calendar reaches from 1970 to the end of 2100. Two schedules are equal when their texts are.
#[derive(Clone)]
pub struct Schedule {
    text: String,
    calendar: Calendar,
    follows_clock: bool,
}

impl Schedule {
    /// Length of the longest text, in bytes.
    pub const MAX: usize = 1000;

    /// Parses a crontab expression.
    ///
    /// # Errors
    /// Fails when the text is not a schedule, or is one that never fires, such as `0 0 30 2 *`. Syntax that other crons
    /// have and the standard has not (`5/10`, `?`, `L`, `W`, `#`, `H`, `~`, a year) is refused, with what to write
    /// instead.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        let parsed = parse::parse(text)?;
        let calendar = Calendar::new(&parsed.fields).map_err(|error| {
            ScheduleError::new(0..text.len(), format!("the calendar refuses it: {error}"), parse::EXAMPLE)
        })?;
        if calendar.never_fires() {
            return Err(ScheduleError::new(
                parsed.days,
                "the schedule never fires: none of its months has such a day",
                "February has 29 days at most; April, June, September and November have 30",
            ));
        }
        let follows_clock = parsed.fields.minute.starred || parsed.fields.hour.starred;
        Ok(Self { text: text.to_owned(), calendar, follows_clock })
    }

    /// Returns the text as written: printable ASCII and tabs.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Returns the first run strictly after `after`, with the clocks of `tz`; `None` when the calendar has ended.
    ///
    /// Where the clocks of `tz` change, a schedule with a fixed time runs once: right after a gap that swallowed one or
    /// more of its times, at the instant of the change, and in the first pass of a repeated hour. One that [follows the
    /// clock](Self::follows_clock) runs whenever the clock shows one of its times: twice in a repeated hour, not at all
    /// in a gap. At a gap of three hours or more (Samoa skipped all of 30 December 2011), or where more than three
    /// hours come again, both follow the clock; at a gap of less than five minutes both make up for it. This is what
    /// Debian's cron does.
    #[must_use]
    pub fn next_after(&self, after: Timestamp, tz: &TimeZone) -> Option<Timestamp> {
        next::next_after(&self.calendar, self.follows_clock, after, tz)
    }

    /// Returns whether the schedule follows the wall clock through a change of offset: its minute or its hour starts
    /// with `*`.
    #[must_use]
    pub fn follows_clock(&self) -> bool {
        self.follows_clock
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Schedule {}

impl fmt::Debug for Schedule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Schedule").field(&self.text).finish()
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.text)
    }
}
