//! The periods of records, and the rotated files.

use std::ffi::OsStr;
use std::io;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use crate::config::Rotation;
use crate::fsys::OwnFile;

/// Returns the day or the hour that a record belongs to, as it stands in the name of a rotated file. Later periods sort
/// later.
pub(super) fn period(rotation: Rotation, at: Timestamp, zone: &TimeZone) -> Option<String> {
    let format = match rotation {
        Rotation::Daily => "%Y-%m-%d",
        Rotation::Hourly => "%Y-%m-%d-%H",
        Rotation::Never => return None,
    };
    Some(at.to_zoned_datetime(zone.clone()).strftime(format).to_string())
}

/// Parses the name of a rotated file into its period and number: `FILE.2026-11-22`, `FILE.2026-11-22-14`, either with
/// `.1` and so on behind it; `None` for any other name.
fn parse<'a>(name: &'a str, file: &str) -> Option<(&'a str, u32)> {
    let rest = name.strip_prefix(file)?.strip_prefix('.')?;
    let (period, number) = match rest.split_once('.') {
        Some((period, number)) => (period, number.parse::<u32>().ok().filter(|parsed| parsed.to_string() == number)?),
        None => (rest, 0),
    };
    let (date, hour) = match period.len() {
        10 => (period, None),
        13 => (&period[..10], Some(period.get(10..)?)),
        _ => return None,
    };
    let is_date = date.parse::<Date>().is_ok_and(|parsed| parsed.to_string() == date);
    let is_hour = hour.is_none_or(|hour| {
        hour.strip_prefix('-').is_some_and(|hour| hour.bytes().all(|byte| byte.is_ascii_digit()) && hour < "24")
    });
    (is_date && is_hour).then_some((period, number))
}

/// Moves the log file out of the way, to the name of its period. The name has a number above those that the period has
/// already: a file with a lower number is older.
pub(super) fn rotate(log: &OwnFile, period: &str) -> io::Result<()> {
    const TRIES: u32 = 10_000;
    let file = log.name.to_str().unwrap_or_default();
    // Files that are not ours do not count.
    let is_ours = |name: &OsStr| matches!(log.dir.entry(name), Ok(Some(entry)) if entry.is_ours_alone);
    let number_of = |name: &OsStr| match parse(name.to_str()?, file)? {
        (of, number) if of == period && is_ours(name) => Some(number),
        _ => None,
    };
    let last = log.dir.names()?.iter().filter_map(|name| number_of(name)).max();
    let first = last.map_or(0, |last| last.saturating_add(1));
    // Another process may rotate at the same time, and a file that is not ours may have the name.
    for number in first..first.saturating_add(TRIES) {
        let mut to = log.name.clone();
        to.push(format!(".{period}"));
        if number > 0 {
            to.push(format!(".{number}"));
        }
        match log.dir.rename_to(&log.name, &to) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            other => return other,
        }
    }
    Err(io::ErrorKind::AlreadyExists.into())
}

/// Removes all but the newest `keep` rotated files. A file counts as rotated only if it is a regular file of ours, with
/// no other name and no date in the future: somebody else may have put any other file there, to have rotated files
/// removed.
pub(super) fn prune(log: &OwnFile, keep: usize, now: Timestamp, zone: &TimeZone) -> io::Result<()> {
    let Some(file) = log.name.to_str() else { return Ok(()) };
    let mut rotated = Vec::new();
    for entry in log.dir.names()? {
        if let Some(name) = entry.to_str()
            && let Some((period, number)) = parse(name, file)
            && !is_future(period, now, zone)
            && log.dir.entry(&entry)?.is_some_and(|entry| entry.is_ours_alone)
        {
            rotated.push((period.to_owned(), number, name.to_owned()));
        }
    }
    rotated.sort();
    let too_many = rotated.len().saturating_sub(keep);
    for (_, _, name) in rotated.iter().take(too_many) {
        log.dir.remove(OsStr::new(name))?;
    }
    Ok(())
}

/// Returns whether the period of a rotated file is later than the current one.
fn is_future(named: &str, now: Timestamp, zone: &TimeZone) -> bool {
    let rotation = if named.len() > "2026-11-22".len() { Rotation::Hourly } else { Rotation::Daily };
    period(rotation, now, zone).is_some_and(|current| named > current.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exact_name_of_a_rotated_file_is_one() {
        let file = "cleanup_scheduler.log";
        for (rest, expected) in [
            (".2026-11-22", Some(("2026-11-22", 0))),
            (".2026-11-22.3", Some(("2026-11-22", 3))),
            (".2026-11-22-14", Some(("2026-11-22-14", 0))),
            (".2026-11-22-24", None),
            (".2026-13-22", None),
            (".2026-11-22x", None),
            (".2026-11-22.03", None),
            (".2026-11-22.gz", None),
            (".bak", None),
            ("", None),
            ("2026-11-22", None),
            (".2026-11-22-\u{e4}", None),
        ] {
            assert_eq!(parse(&format!("{file}{rest}"), file), expected, "{rest}");
        }
        assert_eq!(parse("cleanup_scheduler.toml", file), None);
    }

    #[test]
    fn a_period_is_one_of_local_time() {
        let at: Timestamp = "2026-11-22T23:30:00Z".parse().expect("an instant");
        let zone = TimeZone::fixed(jiff::tz::offset(1));
        assert_eq!(period(Rotation::Daily, at, &zone).as_deref(), Some("2026-11-23"));
        assert_eq!(period(Rotation::Hourly, at, &zone).as_deref(), Some("2026-11-23-00"));
        assert_eq!(period(Rotation::Never, at, &zone), None);
    }
}
