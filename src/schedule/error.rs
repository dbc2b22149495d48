//! The error of a text that is not a schedule.

use std::fmt;
use std::ops::Range;

/// Reason for which a text is not a schedule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScheduleError {
    /// Bytes of the text that are wrong; both ends lie between two characters.
    pub span: Range<usize>,
    /// Description of the mistake, as a lowercase fragment.
    pub message: String,
    /// Advice on what to write instead.
    pub help: Option<String>,
}

impl ScheduleError {
    pub(super) fn new(span: Range<usize>, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { span, message: message.into(), help: Some(help.into()) }
    }
}

impl fmt::Display for ScheduleError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)
    }
}

impl std::error::Error for ScheduleError {}
