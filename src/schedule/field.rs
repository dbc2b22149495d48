//! One field: a list of values, ranges and steps.

use super::error::ScheduleError;
use super::unknown;

/// Kind of a field: its name and the values it allows.
pub(super) struct Kind {
    /// Name of the field in messages.
    pub(super) name: &'static str,
    /// Least value.
    pub(super) low: u8,
    /// Greatest value, less than 64.
    pub(super) high: u8,
    /// Names of the values from `low` on, in lower case.
    pub(super) names: &'static [&'static str],
    /// Description of the values in words.
    pub(super) allowed: &'static str,
    /// Whether the field is part of the time of day, where a step beyond the range is never what was meant.
    pub(super) of_clock: bool,
}

/// Largest step that cron reads, in an `int`.
const LARGEST_STEP: usize = 2_147_483_647;

/// The values of a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// Set of the values: bit `n` for the value `n`.
    pub(super) values: u64,
    /// Whether the field is written with a `*` at its start. Cron asks for the `*`, not whether the field holds every
    /// value.
    pub(super) starred: bool,
}

/// Parses the field `text`, which begins at byte `at` and is not empty.
pub(super) fn parse(kind: &Kind, text: &str, at: usize) -> Result<Field, ScheduleError> {
    let mut values = 0;
    let mut start = at;
    for item in text.split(',') {
        if item.is_empty() {
            // The span is the comma after the empty item, or before it where the item is the last.
            let comma = start.min(at + text.len() - 1);
            let help = "write a list without spaces and without empty places, as in `1,15,30`";
            return Err(ScheduleError::new(comma..comma + 1, "a comma with nothing beside it", help));
        }
        values |= Item { kind, text: item, at: start, is_alone: item.len() == text.len() }.values()?;
        start += item.len() + 1;
    }
    Ok(Field { values, starred: text.starts_with('*') })
}

/// One item of a list.
struct Item<'a> {
    kind: &'a Kind,
    text: &'a str,
    at: usize,
    /// Whether the item is all of its field.
    is_alone: bool,
}

impl Item<'_> {
    fn values(&self) -> Result<u64, ScheduleError> {
        let (range, step) = match self.text.split_once('/') {
            Some((range, step)) => (range, Some(step)),
            None => (self.text, None),
        };
        let (low, high) = match (range.split_once('-'), step) {
            _ if range == "*" => (self.kind.low, self.kind.high),
            (Some((from, to)), _) => self.ends(from, to)?,
            (None, None) => {
                let value = self.value(range, self.at)?;
                (value, value)
            }
            (None, Some(step)) => return Err(self.step_without_range(range, step)),
        };
        let step = match step {
            Some(step) => self.step(step, low, high)?,
            None => 1,
        };
        Ok((low..=high).step_by(step).fold(0, |values, value| values | 1 << value))
    }

    /// Parses the two ends of a range.
    fn ends(&self, from: &str, to: &str) -> Result<(u8, u8), ScheduleError> {
        if from.is_empty() || to.is_empty() {
            let span = self.at..self.at + from.len() + 1 + to.len();
            return Err(ScheduleError::new(span, "a range has two ends", self.allowed()));
        }
        let low = self.value(from, self.at)?;
        let mut high = self.value(to, self.at + from.len() + 1)?;
        // A week may end with Sunday: `fri-sun`.
        if high == 0 && low > 0 && is_name(to) {
            high = self.kind.high;
        }
        if low > high { Err(self.backwards(from, to, low, high)) } else { Ok((low, high)) }
    }

    fn backwards(&self, from: &str, to: &str, low: u8, high: u8) -> ScheduleError {
        let span = self.at..self.at + from.len() + 1 + to.len();
        let message = format!("the range `{from}-{to}` runs backwards");
        let sunday_is_seven = self.kind.high == 7;
        let help = if sunday_is_seven && high == 0 {
            format!("write `{from}-7`")
        } else if sunday_is_seven && low == 7 {
            format!("write `0-{to}`")
        } else {
            let last = self.last(from);
            let first = self.first(to);
            let join = |a: &str, b: &str| if a.eq_ignore_ascii_case(b) { a.to_owned() } else { format!("{a}-{b}") };
            format!("write `{},{}`", join(from, &last), join(&first, to))
        };
        let help = if self.text.contains('/') { format!("{help}, each range with its own step") } else { help };
        ScheduleError::new(span, message, help)
    }

    /// Returns the greatest value in its own right: for days of the week 6, since 7 is 0 again.
    fn greatest(&self) -> u8 {
        if self.kind.high == 7 { 6 } else { self.kind.high }
    }

    /// Returns the greatest value, as a number or as a name, like `beside`.
    fn last(&self, beside: &str) -> String {
        match self.kind.names.last() {
            Some(name) if is_name(beside) => (*name).to_owned(),
            _ => self.greatest().to_string(),
        }
    }

    /// Returns the least value, as a number or as a name, like `beside`.
    fn first(&self, beside: &str) -> String {
        match self.kind.names.first() {
            Some(name) if is_name(beside) => (*name).to_owned(),
            _ => self.kind.low.to_string(),
        }
    }

    /// Parses the step `text` through the range from `low` to `high`. A step beyond the range leaves `low` alone, as in
    /// Debian's cron: `*/100,1-7` with a day of the week is the first of its kind in a month.
    fn step(&self, text: &str, low: u8, high: u8) -> Result<usize, ScheduleError> {
        // `5-5/1` is pointless, but plain, and allowed.
        let greatest = usize::from(high - low).max(1);
        let end = self.at + self.text.len();
        let refuse = |message: String| {
            // With nothing after the slash, the slash is what is wrong.
            let start = (end - text.len()).min(end - 1);
            let help = format!("a step through {low}-{high} is a number from 1 to {greatest}");
            ScheduleError::new(start..end, message, help)
        };
        if text.is_empty() {
            return Err(refuse("a `/` without a step".into()));
        }
        match number(text) {
            None => Err(refuse(format!("`{text}` is not a step"))),
            Some(0) => Err(refuse("a step of 0 leads nowhere".into())),
            Some(step) if step > greatest && (self.is_alone && self.kind.of_clock || step > LARGEST_STEP) => {
                Err(refuse(format!("the step {text} is larger than the range")))
            }
            Some(step) => Ok(step),
        }
    }

    /// Returns the error for a step without a range, such as `5/10`, which other crons take for `5-59/10`.
    fn step_without_range(&self, range: &str, step: &str) -> ScheduleError {
        let span = self.at..self.at + self.text.len();
        if range.is_empty() {
            return ScheduleError::new(span, "a step without a range", format!("write `*/{step}`"));
        }
        let low = match self.value(range, self.at) {
            Ok(low) => low,
            Err(error) => return error,
        };
        let last = self.last(range);
        let help = match number(step) {
            Some(number) if number > 0 && number <= usize::from(self.greatest().saturating_sub(low)) => {
                format!("write `{range}-{last}/{step}`")
            }
            _ => "a step follows `*` or a range, as in `*/5` or `10-20/5`".into(),
        };
        ScheduleError::new(span, format!("`{}` has a step but no range", self.text), help)
    }

    /// Parses one number or name, which begins at byte `at`.
    fn value(&self, text: &str, at: usize) -> Result<u8, ScheduleError> {
        let span = at..at + text.len();
        if text.bytes().all(|byte| byte.is_ascii_digit()) {
            let value = number(text).and_then(|number| u8::try_from(number).ok());
            return value.filter(|value| (self.kind.low..=self.kind.high).contains(value)).ok_or_else(|| {
                let message = format!("{text} is out of range for the {}", self.kind.name);
                ScheduleError::new(span, message, self.allowed())
            });
        }
        let named = (self.kind.low..).zip(self.kind.names).find(|(_, name)| name.eq_ignore_ascii_case(text));
        match named {
            Some((value, _)) => Ok(value),
            None => Err(ScheduleError::new(
                span,
                format!("`{text}` is no {}", self.kind.name),
                unknown::help(text, self.kind.names).unwrap_or_else(|| self.allowed()),
            )),
        }
    }

    fn allowed(&self) -> String {
        format!("the {} is {}", self.kind.name, self.kind.allowed)
    }
}

fn is_name(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
}

/// Parses a number of digits only; `None` for `+5` and for an empty text. A number too great for its type counts as the
/// greatest.
fn number(text: &str) -> Option<usize> {
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().unwrap_or(usize::MAX))
}
