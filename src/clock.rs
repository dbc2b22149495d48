//! The clocks. Only this module reads the time; everything else is told.

use std::time::Duration;

use jiff::Timestamp;

/// The wall clock.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub fn wall() -> Timestamp {
    Timestamp::now()
}

/// A point on the clock that is never set.
#[derive(Clone, Copy, Debug)]
pub struct Mark(std::time::Instant);

/// A mark to measure from.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
pub fn mark() -> Mark {
    Mark(std::time::Instant::now())
}

impl Mark {
    /// The time since the mark was made, without the time the machine was suspended.
    #[must_use]
    #[expect(clippy::disallowed_methods, reason = "this is the one place that reads the clock")]
    pub fn elapsed(self) -> Duration {
        std::time::Instant::now().saturating_duration_since(self.0)
    }
}
