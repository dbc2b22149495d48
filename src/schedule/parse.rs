//! The parser, from text to fields.

use std::ops::Range;

use super::error::ScheduleError;
use super::field::{self, Field, Kind};
use super::{Schedule, unknown};

/// Examples of schedules, for those who wrote something else.
pub(super) const EXAMPLE: &str = "`0 2 * * *` is every day at 02:00, `*/15 * * * *` every quarter of an hour";

static SECOND: Kind = Kind { name: "second", low: 0, high: 59, names: &[], allowed: "0-59", of_clock: true };
static MINUTE: Kind = Kind { name: "minute", low: 0, high: 59, names: &[], allowed: "0-59", of_clock: true };
static HOUR: Kind = Kind { name: "hour", low: 0, high: 23, names: &[], allowed: "0-23", of_clock: true };
static DAY_OF_MONTH: Kind =
    Kind { name: "day of the month", low: 1, high: 31, names: &[], allowed: "1-31", of_clock: false };
static MONTH: Kind = Kind {
    name: "month",
    low: 1,
    high: 12,
    names: &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    allowed: "1-12 or jan-dec",
    of_clock: false,
};
static DAY_OF_WEEK: Kind = Kind {
    name: "day of the week",
    low: 0,
    high: 7,
    names: &["sun", "mon", "tue", "wed", "thu", "fri", "sat"],
    allowed: "0-7 or sun-sat (0 and 7 are Sunday)",
    of_clock: false,
};

const NICKNAMES: [(&str, &str); 7] = [
    ("@hourly", "0 * * * *"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@weekly", "0 0 * * 0"),
    ("@monthly", "0 0 1 * *"),
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
];

/// The six fields of a schedule.
pub(super) struct Fields {
    pub(super) second: Field,
    pub(super) minute: Field,
    pub(super) hour: Field,
    pub(super) day_of_month: Field,
    pub(super) month: Field,
    pub(super) day_of_week: Field,
}

/// Meaning of a text.
pub(super) struct Parsed {
    pub(super) fields: Fields,
    /// Bytes of the text that name the days and months.
    pub(super) days: Range<usize>,
}

/// A field as written, and its place.
#[derive(Clone, Copy)]
struct Token<'a> {
    at: usize,
    text: &'a str,
}

impl Token<'_> {
    fn end(&self) -> usize {
        self.at + self.text.len()
    }

    fn read(&self, kind: &Kind) -> Result<Field, ScheduleError> {
        field::parse(kind, self.text, self.at)
    }
}

pub(super) fn parse(text: &str) -> Result<Parsed, ScheduleError> {
    check_characters(text)?;
    let tokens = tokens(text);
    match tokens.as_slice() {
        [first, rest @ ..] if let Some(zone) = zone_of(*first, rest) => Err(zone),
        [first, rest @ ..] if first.text.starts_with('@') => nickname(*first, rest),
        [minute, hour, dom, month, dow] => fields(None, [*minute, *hour, *dom, *month, *dow]),
        [second, minute, hour, dom, month, dow] => fields(Some(*second), [*minute, *hour, *dom, *month, *dow]),
        other => Err(wrong_count(text, other)),
    }
}

/// Returns the error for a schedule that begins with a zone, as a line of a crontab can.
fn zone_of(first: Token<'_>, rest: &[Token<'_>]) -> Option<ScheduleError> {
    let (name, value) = first.text.split_once('=').unwrap_or((first.text, ""));
    if !["TZ", "CRON_TZ"].iter().any(|known| name.eq_ignore_ascii_case(known)) {
        return None;
    }
    // `CRON_TZ = Europe/Berlin` is recognised, too.
    let mut rest = rest.iter().skip_while(|token| token.text == "=").peekable();
    let zone = match value.trim_matches(['"', '\'']) {
        "" => rest.next().map_or("", |token| token.text.trim_start_matches('=')),
        value => value,
    };
    let zone = if zone.is_empty() { "Europe/Berlin" } else { zone };
    let fields: Vec<&str> = rest.map(|token| token.text).collect();
    let fields = if fields.is_empty() { "0 2 * * *".to_owned() } else { fields.join(" ") };
    let help = format!("write `timezone = \"{zone}\"` beside `schedule = \"{fields}\"`");
    let message = format!("`{name}=` is no part of a schedule: the zone is a key of its own");
    Some(ScheduleError::new(first.at..first.end(), message, help))
}

/// Checks that the text is printable ASCII on one line, and not too long. All other code then relies on it: any byte
/// offset is good for a span, and any part of the text for a message.
fn check_characters(text: &str) -> Result<(), ScheduleError> {
    if text.len() > Schedule::MAX {
        let cut = text.floor_char_boundary(Schedule::MAX);
        let message = format!("a schedule can have {} bytes at most; this one has {}", Schedule::MAX, text.len());
        return Err(ScheduleError::new(cut..text.len(), message, EXAMPLE));
    }
    match text.char_indices().find(|(_, character)| !matches!(character, ' '..='~' | '\t')) {
        None => Ok(()),
        Some((at, character)) => Err(ScheduleError::new(
            at..at + character.len_utf8(),
            format!("`{}` cannot be part of a schedule", character.escape_debug()),
            "a schedule is one line of plain ASCII: digits, names, `*`, `,`, `-`, `/`, spaces and tabs",
        )),
    }
}

/// Splits the text at white space. Nothing else separates fields: a text without white space is one field, right or
/// wrong.
fn tokens(text: &str) -> Vec<Token<'_>> {
    let mut at = 0;
    let mut tokens = Vec::new();
    for word in text.split([' ', '\t']) {
        if !word.is_empty() {
            tokens.push(Token { at, text: word });
        }
        at += word.len() + 1;
    }
    tokens
}

fn fields(second: Option<Token<'_>>, five: [Token<'_>; 5]) -> Result<Parsed, ScheduleError> {
    let [minute, hour, day_of_month, month, day_of_week] = five;
    let fields = Fields {
        second: match second {
            Some(second) => second.read(&SECOND)?,
            None => Field { values: 1, starred: false },
        },
        minute: minute.read(&MINUTE)?,
        hour: hour.read(&HOUR)?,
        day_of_month: day_of_month.read(&DAY_OF_MONTH)?,
        month: month.read(&MONTH)?,
        day_of_week: one_sunday(day_of_week.read(&DAY_OF_WEEK)?),
    };
    Ok(Parsed { fields, days: day_of_month.at..month.end() })
}

/// Replaces 7 by 0, since both are Sunday.
fn one_sunday(field: Field) -> Field {
    Field { values: (field.values | field.values >> 7) & 0x7f, ..field }
}

fn nickname(first: Token<'_>, rest: &[Token<'_>]) -> Result<Parsed, ScheduleError> {
    let word = first.text.to_ascii_lowercase();
    let span = first.at..first.end();
    let Some((_, meaning)) = NICKNAMES.iter().find(|(name, _)| *name == word) else {
        return Err(unknown_nickname(first, &word));
    };
    if let Some(last) = rest.last() {
        let message = format!("`{}` stands alone, without fields", first.text);
        return Err(ScheduleError::new(span.start..last.end(), message, format!("write `{word}` or `{meaning}`")));
    }
    let parsed = parse(meaning)?;
    Ok(Parsed { days: span, ..parsed })
}

fn unknown_nickname(token: Token<'_>, word: &str) -> ScheduleError {
    let names = NICKNAMES.map(|(name, _)| name);
    let help = match unknown::closest(word, &names) {
        _ if word == "@reboot" => {
            "the start of the daemon is no time of day: name one, as in `0 2 * * *` or `@daily`".into()
        }
        _ if word == "@every" => "write a step, as in `*/10 * * * *` for every ten minutes".into(),
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("the nicknames are {}", names.join(", ")),
    };
    ScheduleError::new(token.at..token.end(), format!("`{}` is not a schedule", token.text), help)
}

fn wrong_count(text: &str, tokens: &[Token<'_>]) -> ScheduleError {
    let (Some(first), Some(last)) = (tokens.first(), tokens.last()) else {
        return ScheduleError::new(0..text.len(), "the schedule is empty", EXAMPLE);
    };
    let message = format!(
        "a schedule has five fields (minute, hour, day of the month, month, day of the week), or six with the second \
         first; this one has {}",
        tokens.len()
    );
    match tokens.get(6) {
        None => ScheduleError::new(first.at..last.end(), message, EXAMPLE),
        Some(extra) => {
            let help = format!("there is no field for the year, and lists have no spaces; {EXAMPLE}");
            ScheduleError::new(extra.at..last.end(), message, help)
        }
    }
}
