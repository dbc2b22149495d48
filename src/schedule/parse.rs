//! Reading a crontab expression: to sets of numbers, with the place of each mistake.

use std::ops::Range;

use jiff::civil::date;

use super::{Schedule, ScheduleError};

/// No sensible expression is longer, in bytes.
const MAX_BYTES: usize = 1000;

const EXAMPLE: &str = "write it like `0 2 * * *`: minute, hour, day of month, month, day of week";

/// One kind of field.
struct Field {
    name: &'static str,
    least: u8,
    most: u8,
    /// Names for the values, from `least` on.
    names: &'static [&'static str],
}

const MONTHS: &[&str] = &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: &[&str] = &["sun", "mon", "tue", "wed", "thu", "fri", "sat"];

const SECOND: Field = Field { name: "second", least: 0, most: 59, names: &[] };
const MINUTE: Field = Field { name: "minute", least: 0, most: 59, names: &[] };
const HOUR: Field = Field { name: "hour", least: 0, most: 23, names: &[] };
const DAY_OF_MONTH: Field = Field { name: "day of month", least: 1, most: 31, names: &[] };
const MONTH: Field = Field { name: "month", least: 1, most: 12, names: MONTHS };
/// 7 is Sunday too.
const DAY_OF_WEEK: Field = Field { name: "day of week", least: 0, most: 7, names: DAYS };

/// A piece of the expression and where it begins in the whole text.
#[derive(Clone, Copy)]
struct Piece<'a> {
    text: &'a str,
    at: usize,
}

impl Field {
    /// The last value of `*`: 7 is only another name for Sunday.
    fn last(&self) -> u8 {
        if self.is_week() { 6 } else { self.most }
    }

    fn is_week(&self) -> bool {
        self.most == DAY_OF_WEEK.most
    }
}

impl<'a> Piece<'a> {
    fn span(self) -> Range<usize> {
        self.at..self.at + self.text.len()
    }

    /// Cut in two at the first `separator`, which is left out.
    fn cut(self, separator: char) -> Option<(Self, Self)> {
        let (left, right) = self.text.split_once(separator)?;
        let at = self.at + left.len() + separator.len_utf8();
        Some((Self { text: left, at: self.at }, Self { text: right, at }))
    }

    fn split(self, separator: char) -> impl Iterator<Item = Self> {
        let mut at = self.at;
        self.text.split(separator).map(move |text| {
            let piece = Self { text, at };
            at += text.len() + separator.len_utf8();
            piece
        })
    }

    fn split_white_space(self) -> impl Iterator<Item = Self> {
        let start = self.text.as_ptr() as usize;
        // The words are slices of the text, so their addresses tell where they stand.
        self.text.split_whitespace().map(move |word| Self { text: word, at: self.at + word.as_ptr() as usize - start })
    }

    fn refuse<T>(self, message: impl Into<String>, help: Option<String>) -> Result<T, ScheduleError> {
        Err(ScheduleError { span: self.span(), message: message.into(), help })
    }
}

/// The values of one field, as bits.
type Values = u64;

/// The text as five or six fields. A nickname stands for its fields, all of them where the nickname is.
fn fields(text: &str) -> Result<Vec<Piece<'_>>, ScheduleError> {
    let trimmed = text.trim();
    let whole = Piece { text: trimmed, at: text.len() - text.trim_start().len() };
    if text.len() > MAX_BYTES {
        return whole.refuse(format!("a schedule can have {MAX_BYTES} bytes at most"), None);
    }
    if trimmed.is_empty() {
        return Err(ScheduleError {
            span: 0..text.len(),
            message: "the schedule is empty".into(),
            help: Some(EXAMPLE.into()),
        });
    }
    if trimmed.starts_with('@') {
        let meaning = match trimmed.to_ascii_lowercase().as_str() {
            "@yearly" | "@annually" => "0 0 1 1 *",
            "@monthly" => "0 0 1 * *",
            "@weekly" => "0 0 * * 0",
            "@daily" | "@midnight" => "0 0 * * *",
            "@hourly" => "0 * * * *",
            "@reboot" => {
                let help = "a janitor that starts has its schedule; for a run at boot, call `janitor clean` then";
                return whole.refuse("`@reboot` is not a time", Some(help.into()));
            }
            _ => {
                let help = "use @hourly, @daily, @midnight, @weekly, @monthly, @yearly or @annually";
                return whole.refuse(format!("unknown nickname `{trimmed}`"), Some(help.into()));
            }
        };
        return Ok(meaning.split(' ').map(|text| Piece { text, at: whole.at }).collect());
    }
    let found: Vec<Piece<'_>> = whole.split_white_space().collect();
    match found.len() {
        5 | 6 => Ok(found),
        7 => whole.refuse("a seventh field, for years, is not supported", Some(EXAMPLE.into())),
        count => {
            whole.refuse(format!("expected 5 fields (or 6, with seconds first), found {count}"), Some(EXAMPLE.into()))
        }
    }
}

/// One value: a number or a name.
fn value(field: &Field, piece: Piece<'_>) -> Result<u8, ScheduleError> {
    let Field { name, least, most, names } = field;
    let text = piece.text;
    if text.is_empty() {
        return piece.refuse(format!("a {name} is missing here"), None);
    }
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return match text.parse::<u8>() {
            Ok(number) if (*least..=*most).contains(&number) => Ok(number),
            _ => piece.refuse(format!("{text} is out of range for the {name}, which is {least} to {most}"), None),
        };
    }
    if let Some(at) = names.iter().position(|known| known.eq_ignore_ascii_case(text)) {
        return Ok(least + u8::try_from(at).unwrap_or_default());
    }
    piece.refuse(format!("`{text}` is not a {name}"), help_for(text, names))
}

fn help_for(text: &str, names: &[&str]) -> Option<String> {
    let lower = text.to_ascii_lowercase();
    let near = |known: &&&str| lower.starts_with(**known) || strsim::damerau_levenshtein(&lower, known) <= 1;
    if let Some(known) = names.iter().find(near) {
        return Some(format!("did you mean `{known}`?"));
    }
    match text {
        "?" => Some("write `*`; either day field matches when both are restricted".into()),
        _ if text.starts_with('-') => Some("a range needs both ends".into()),
        _ if text.contains(['L', 'W', '#']) => Some("`L`, `W` and `#` of other crons are not supported".into()),
        _ if text.contains(['H', '~']) => Some("random times are not supported".into()),
        _ => None,
    }
}

/// The first and the last value of `*`, `7`, `mon-fri` and the like.
fn range(field: &Field, piece: Piece<'_>) -> Result<(u8, u8), ScheduleError> {
    if piece.text == "*" {
        return Ok((field.least, field.last()));
    }
    let Some((first, last)) = piece.cut('-') else {
        let only = value(field, piece)?;
        return Ok((only, only));
    };
    let (low, high) = (value(field, first)?, value(field, last)?);
    // Sunday may close a range: `fri-sun`, `5-0`.
    let high = if field.is_week() && high == 0 && low > 0 { 7 } else { high };
    if low > high {
        let (first, last) = (first.text, last.text);
        let help = format!("write it as two: `{first}-{},{}-{last}`", field.last(), field.least);
        return piece.refuse(format!("the range `{}` runs backwards", piece.text), Some(help));
    }
    Ok((low, high))
}

/// One item of a list: a range, with a step or without.
fn item(field: &Field, piece: Piece<'_>) -> Result<Values, ScheduleError> {
    let (of, step) = match piece.cut('/') {
        None => (piece, 1),
        Some((of, step)) => {
            let (low, high) = range(field, of)?;
            let Some(count) = step.text.parse::<u8>().ok().filter(|count| *count > 0 && !step.text.starts_with('+'))
            else {
                let place = if step.text.is_empty() { piece } else { step };
                return place.refuse(format!("a step is a positive number, not `{}`", step.text), None);
            };
            if of.text != "*" && !of.text.contains('-') {
                let help = format!("write `{}-{}/{}`", of.text, field.last(), step.text);
                return piece.refuse("a step needs a range or `*` before it", Some(help));
            }
            if count > high - low {
                let message = format!("a step of {count} leaves only the first of {low} to {high}");
                return step.refuse(message, Some(format!("write `{low}`")));
            }
            (of, count)
        }
    };
    let (low, high) = range(field, of)?;
    Ok((low..=high).step_by(step.into()).fold(0, |values, value| values | 1 << value))
}

fn values(field: &Field, piece: Piece<'_>) -> Result<Values, ScheduleError> {
    let mut values = 0;
    for part in piece.split(',') {
        if part.text.is_empty() {
            return piece.refuse(format!("an item of the list of the {} is missing", field.name), None);
        }
        values |= item(field, part)?;
    }
    if field.is_week() && values & 1 << 7 != 0 {
        values = values & !(1 << 7) | 1;
    }
    Ok(values)
}

/// The values as the `cron` crate reads them.
fn list(values: Values, shift: u8) -> String {
    let numbers = (0..64).filter(|bit| values >> bit & 1 == 1).map(|bit: u8| (bit + shift).to_string());
    numbers.collect::<Vec<_>>().join(",")
}

pub(super) fn parse(text: &str) -> Result<Schedule, ScheduleError> {
    let fields = fields(text)?;
    let (seconds, rest) = match fields.as_slice() {
        [minute, hour, day, month, weekday] => (1 << 0, [minute, hour, day, month, weekday]),
        [second, minute, hour, day, month, weekday] => (values(&SECOND, *second)?, [minute, hour, day, month, weekday]),
        // `fields` gives five or six.
        _ => return Err(ScheduleError { span: 0..text.len(), message: "not a schedule".into(), help: None }),
    };
    let [minute, hour, day, month, weekday] = rest;
    let start =
        format!("{} {} {}", list(seconds, 0), list(values(&MINUTE, *minute)?, 0), list(values(&HOUR, *hour)?, 0));
    // The crate counts days of the week from 1.
    let days = list(values(&DAY_OF_MONTH, *day)?, 0);
    let months = list(values(&MONTH, *month)?, 0);
    let weekdays = list(values(&DAY_OF_WEEK, *weekday)?, 1);
    let calendar = |days: &str, weekdays: &str| {
        format!("{start} {days} {months} {weekdays} *").parse::<cron::Schedule>().map_err(|error| ScheduleError {
            span: 0..text.len(),
            message: format!("the calendar does not take it: {error}"),
            help: None,
        })
    };
    // Debian's cron: a day field is unrestricted when it starts with `*`, so `*/2` is; two that are restricted are
    // alternatives.
    let starts_with_star = |piece: &Piece<'_>| piece.text.starts_with('*');
    let any_of = if starts_with_star(day) || starts_with_star(weekday) {
        vec![calendar(&days, &weekdays)?]
    } else {
        vec![calendar(&days, "*")?, calendar("*", &weekdays)?]
    };
    let follows_clock = starts_with_star(minute) || starts_with_star(hour);
    let schedule = Schedule { text: text.to_owned(), any_of, follows_clock };
    // Whatever fires at all fires within the 28 years in which dates and days of the week come in every combination.
    if schedule.next_civil(date(2000, 1, 1).at(0, 0, 0, 0)).is_none() {
        let message = "this never fires: no month has such a day".to_owned();
        return Err(ScheduleError { span: day.at..month.at + month.text.len(), message, help: None });
    }
    Ok(schedule)
}
