//! Schedules: standard crontab meaning on top of the `cron` crate. (Interface; being written.)
use std::ops::Range;

use jiff::Timestamp;
use jiff::tz::TimeZone;

/// A crontab expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Schedule {
    text: String,
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

impl Schedule {
    /// Parses.
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, ScheduleError> {
        Ok(Self { text: text.to_owned() })
    }
    /// The text as written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
    /// Next run strictly after `after`.
    #[must_use]
    pub fn next_after(&self, after: Timestamp, _tz: &TimeZone) -> Option<Timestamp> {
        after.checked_add(jiff::SignedDuration::from_secs(60)).ok()
    }
    /// Whether it follows the wall clock (minute or hour field starts with `*`).
    #[must_use]
    pub fn follows_clock(&self) -> bool {
        true
    }
}
