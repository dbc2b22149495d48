//! Durations and sizes as people write them, and as they are shown.
//!
//! Parsing is strict where a slip would delete. A number needs a unit. `m` and `M` are refused, with both readings.
//! Months and years (their length varies), negative numbers and values that overflow are refused, too.

use std::fmt;
use std::ops::Range;
use std::time::Duration;

/// Reason for which a text is not a duration or a size: what is wrong, where in the text, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitError {
    /// Bytes of the text that are wrong.
    pub span: Range<usize>,
    /// Description of the mistake, as a lowercase fragment.
    pub message: String,
    /// Advice on what to write instead.
    pub help: Option<String>,
}

impl fmt::Display for UnitError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.message)?;
        match &self.help {
            Some(help) => write!(out, " ({help})"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for UnitError {}

fn wrong<T>(span: Range<usize>, message: impl Into<String>, help: Option<String>) -> Result<T, UnitError> {
    Err(UnitError { span, message: message.into(), help })
}

/// One part of a text, such as `12 h`: its place, its number and its unit.
struct Part<'a> {
    span: Range<usize>,
    number: &'a str,
    unit: &'a str,
}

/// Splits `1h 30min` into its parts. White space may stand before each number and between a number and its unit.
fn parts<'a>(text: &'a str, example: &str) -> Result<Vec<Part<'a>>, UnitError> {
    let mut found = Vec::new();
    let mut at = 0;
    let skip =
        |from: usize, what: fn(char) -> bool| from + text[from..].find(|c| !what(c)).unwrap_or(text.len() - from);
    loop {
        at = skip(at, char::is_whitespace);
        if at == text.len() {
            break;
        }
        let start = at;
        let end = skip(start, |c| c.is_ascii_digit() || c == '.');
        if end == start {
            let word = skip(start, |c| !c.is_whitespace());
            let message = if text[start..].starts_with('-') {
                "a negative value makes no sense here".to_owned()
            } else {
                format!("expected a number, found `{}`", &text[start..word])
            };
            return wrong(start..word, message, Some(format!("write it like \"{example}\"")));
        }
        let unit_start = skip(end, char::is_whitespace);
        let unit_end = skip(unit_start, |c| !c.is_whitespace() && !c.is_ascii_digit());
        let (number, unit) = (&text[start..end], &text[unit_start..unit_end]);
        if unit.is_empty() {
            return wrong(start..end, format!("`{number}` has no unit"), Some(format!("write it like \"{example}\"")));
        }
        found.push(Part { span: start..unit_end, number, unit });
        at = unit_end;
    }
    if found.is_empty() {
        return wrong(0..text.len(), "the value is empty", Some(format!("write it like \"{example}\"")));
    }
    Ok(found)
}

/// Parses a duration: `90s`, `15min`, `12h`, `30d`, `2w`, `1h 30min`.
///
/// # Errors
/// Fails as the module says. The known units are `s`, `min`, `h`, `d`, `w` (and their English names), nothing else.
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let mut total = Duration::ZERO;
    for part in parts(text, "30d")? {
        let Part { span, number, unit } = part;
        match unit {
            "s" | "sec" | "secs" | "second" | "seconds" | "min" | "mins" | "minute" | "minutes" | "h" | "hr"
            | "hrs" | "hour" | "hours" | "d" | "day" | "days" | "w" | "week" | "weeks" => {}
            "m" | "M" => {
                let help = format!("write \"{number}min\" for minutes; a month is not a fixed time, write days");
                return wrong(span, format!("`{number}{unit}` can mean minutes or months"), Some(help));
            }
            "month" | "months" | "mo" | "y" | "yr" | "year" | "years" | "Y" => {
                let help = "months and years vary in length; write days, as in \"365d\"".to_owned();
                return wrong(span, format!("`{unit}` is not a fixed time"), Some(help));
            }
            _ => {
                let help = "use s, min, h, d or w".to_owned();
                return wrong(span, format!("`{unit}` is not a unit of time"), Some(help));
            }
        }
        if number.contains('.') {
            let help = "combine units instead, as in \"1h 30min\"".to_owned();
            return wrong(span, format!("`{number}` is not a whole number"), Some(help));
        }
        let read = humantime::parse_duration(&format!("{number}{unit}")).ok();
        match read.and_then(|duration| total.checked_add(duration)) {
            // A limit that no file can reach within the calendar is a slip of the keyboard.
            Some(sum) if sum.as_secs() <= 100_000 * 86_400 => total = sum,
            _ => return wrong(span, "the duration is too long", Some("at most 100000d".to_owned())),
        }
    }
    Ok(total)
}

/// Parses a share: `10%`, `2.5%`. Returns hundredths of a percent, from 0.01 % to 100 %.
///
/// # Errors
/// Fails when the text is not a share, has more than two decimals, or is out of range.
pub fn parse_share(text: &str) -> Result<u16, UnitError> {
    let all = 0..text.len();
    let help = || Some("write it like \"10%\"".to_owned());
    let Some(number) = text.trim().strip_suffix('%').map(str::trim_end) else {
        return wrong(all, "expected a share", help());
    };
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(decimals) || decimals.len() > 2 {
        return wrong(all, format!("`{number}` is not a number with two decimals at most"), help());
    }
    match format!("{whole}{decimals:0<2}").parse() {
        Ok(share @ 1..=10_000_u16) => Ok(share),
        _ => wrong(all, "a share lies between 0.01% and 100%", help()),
    }
}

/// Parses a size in decimal or binary units: `500MB`, `1.5 GiB`, `0B`. Returns bytes.
///
/// # Errors
/// Fails as the module says. A bare `K`, `M`, `G` or `T` is refused, since 10M means 10,000,000 to some and 10,485,760
/// to others.
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let found = parts(text, "10GB")?;
    let [Part { span, number, unit }] = found.as_slice() else {
        return wrong(0..text.len(), "a size is one number and one unit", Some("write it like \"10GB\"".to_owned()));
    };
    let span = span.clone();
    match unit.to_ascii_uppercase().as_str() {
        "B" | "KB" | "MB" | "GB" | "TB" | "PB" | "KIB" | "MIB" | "GIB" | "TIB" | "PIB" => {}
        letter @ ("K" | "M" | "G" | "T" | "P") => {
            let (decimal, binary) = (format!("{letter}B"), format!("{letter}iB"));
            let message = format!("`{number}{unit}` can mean {decimal} (powers of 1000) or {binary} (powers of 1024)");
            return wrong(span, message, Some(format!("write \"{number}{decimal}\" or \"{number}{binary}\"")));
        }
        _ => {
            let help = "use B, kB, MB, GB, TB, or KiB, MiB, GiB, TiB".to_owned();
            return wrong(span, format!("`{unit}` is not a unit of size"), Some(help));
        }
    }
    if number.contains('.') && unit.eq_ignore_ascii_case("B") {
        // bytesize would round the number down in silence.
        let help = "write a whole number, or a larger unit, as in \"1.5kB\"".to_owned();
        return wrong(span, format!("`{number}` is not a whole number of bytes"), Some(help));
    }
    // bytesize saturates in silence (measured), so the size is checked against `i64::MAX`.
    match format!("{number}{unit}").parse::<bytesize::ByteSize>() {
        Ok(size) if size.as_u64() <= i64::MAX as u64 => Ok(size.as_u64()),
        Ok(_) => wrong(span, "the size is too large", Some("at most 9223PB".to_owned())),
        Err(_) => wrong(span, format!("`{number}` is not a number"), Some("write it like \"10GB\"".to_owned())),
    }
}

/// A number of bytes, shown in decimal units: `1.2 GB`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bytes(pub u64);

impl fmt::Display for Bytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", bytesize::ByteSize::b(self.0).display().si())
    }
}

/// A duration, shown by its two largest units: `41d 3h`, `12min`, `1.234s` below a minute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(pub Duration);

impl fmt::Display for Span {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        if seconds < 60 {
            return match self.0.subsec_millis() {
                0 => write!(out, "{seconds}s"),
                milliseconds => write!(out, "{seconds}.{milliseconds:03}s"),
            };
        }
        let mut shown = 0;
        let mut rest = seconds;
        for (unit, length) in [("d", 86_400), ("h", 3_600), ("min", 60), ("s", 1)] {
            let count = rest / length;
            rest %= length;
            if count > 0 && shown < 2 {
                write!(out, "{}{count}{unit}", if shown > 0 { " " } else { "" })?;
            }
            // Two units in a row at the most: `41d 3h`, never `41d 12s`.
            shown += u32::from(count > 0 || shown > 0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read() {
        for (text, seconds) in [
            ("90s", 90),
            ("15min", 900),
            ("12h", 43_200),
            ("30d", 2_592_000),
            ("2w", 1_209_600),
            ("1h 30min", 5_400),
            ("1h30min", 5_400),
            (" 2 days ", 172_800),
            ("0s", 0),
        ] {
            assert_eq!(parse_duration(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn ambiguous_and_senseless_durations_are_refused_with_help() {
        for (text, part) in [
            ("6m", "minutes or months"),
            ("6M", "minutes or months"),
            ("1month", "not a fixed time"),
            ("1y", "not a fixed time"),
            ("30", "no unit"),
            ("", "empty"),
            ("-5d", "negative"),
            ("5 dogs", "not a unit"),
            ("1.5h", "whole number"),
            ("99999999999999999999d", "too long"),
            ("9999999w", "too long"),
            ("d", "expected a number"),
            ("1d 2", "no unit"),
            ("5\u{e4}", "not a unit"),
        ] {
            let error = parse_duration(text).expect_err(text);
            assert!(error.message.contains(part), "{text}: {error}");
            assert!(error.help.is_some(), "{text}");
            assert!(text.get(error.span.clone()).is_some(), "{text}: {:?}", error.span);
        }
    }

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("500MB", 500_000_000),
            ("10GB", 10_000_000_000),
            ("1GiB", 1 << 30),
            ("1.5 KiB", 1536),
            ("0B", 0),
            ("12kB", 12_000),
        ] {
            assert_eq!(parse_size(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn ambiguous_and_senseless_sizes_are_refused_with_help() {
        for (text, part) in [
            ("10M", "can mean MB"),
            ("10g", "can mean GB"),
            ("10", "no unit"),
            ("-1GB", "negative"),
            ("10 apples", "not a unit"),
            ("9999999999999TB", "too large"),
            ("1GB 2MB", "one number"),
            ("1.2.3GB", "not a number"),
            ("1.5B", "not a whole number"),
        ] {
            let error = parse_size(text).expect_err(text);
            assert!(error.message.contains(part), "{text}: {error}");
            assert!(error.help.is_some(), "{text}");
        }
    }

    #[test]
    fn values_are_shown_short() {
        for (seconds, shown) in
            [(41 * 86_400 + 3 * 3_600 + 5, "41d 3h"), (720, "12min"), (86_400 + 5, "1d"), (61, "1min 1s")]
        {
            assert_eq!(Span(Duration::from_secs(seconds)).to_string(), shown);
        }
        assert_eq!(Span(Duration::from_millis(1_234)).to_string(), "1.234s");
        assert_eq!(Bytes(1_200_000_000).to_string(), "1.2 GB");
        assert_eq!(Bytes(12).to_string(), "12 B");
    }
}
