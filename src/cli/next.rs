//! `janitor next`: the times at which a schedule fires, so that anyone can compare.

use std::path::Path;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::args::Next;
use super::load::load;
use super::output::{self, complain};
use super::{Done, Exit};
use crate::clock;
use crate::schedule::{Schedule, ScheduleError};

/// Formats an instant: `2026-03-08T03:00:00-04:00`.
pub(super) fn instant(at: Timestamp, tz: &TimeZone) -> String {
    at.to_zoned_datetime(tz.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

fn refuse<T>(message: impl std::fmt::Display) -> Result<T, Exit> {
    complain(message);
    Err(Exit::Usage)
}

/// Parses an instant, as people write it on the command line.
pub(super) fn moment(text: &str) -> Result<Timestamp, Exit> {
    text.parse().or_else(|_| refuse(format_args!("`{text}` is not an instant; write it like 2026-03-08T00:00:00Z")))
}

fn zone(name: &str) -> Result<TimeZone, Exit> {
    let found = if name == "local" { crate::clock::local_zone() } else { crate::clock::zone(name) };
    found.or_else(|error| refuse(format_args!("unknown time zone `{name}`: {error}")))
}

fn parse(text: &str) -> Result<Schedule, Exit> {
    Schedule::parse(text).or_else(|ScheduleError { span, message, help }| {
        let before = text.get(..span.start).unwrap_or_default().chars().count();
        let marked = text.get(span).unwrap_or_default().chars().count().max(1);
        let help = help.map(|help| format!("\n  help: {help}")).unwrap_or_default();
        refuse(format_args!("{message}\n  {text}\n  {}{}{help}", " ".repeat(before), "^".repeat(marked)))
    })
}

/// Returns the schedules that are asked for, each with its zone.
fn schedules(config: Option<&Path>, args: &Next) -> Result<Vec<(Schedule, TimeZone)>, Exit> {
    let asked_for = args.timezone.as_deref().map(zone).transpose()?;
    if let Some(text) = &args.cron {
        return Ok(vec![(parse(text)?, asked_for.map_or_else(|| zone("local"), Ok)?)]);
    }
    let loaded = load(config)?;
    let names: Vec<String> = args.target.iter().cloned().collect();
    let targets = loaded.targets(&names)?;
    let of = |target: &crate::target::Target| {
        (target.schedule.clone(), asked_for.clone().unwrap_or_else(|| target.zone.tz.clone()))
    };
    Ok(targets.iter().map(|target| of(target)).collect())
}

/// Prints the next fire times of all the schedules together, in order.
pub(super) fn next(config: Option<&Path>, args: &Next) -> Done {
    let from = match &args.from {
        None => clock::wall(),
        Some(text) => moment(text)?,
    };
    let schedules = schedules(config, args)?;
    let mut due: Vec<_> = schedules.iter().map(|(schedule, tz)| schedule.next_after(from, tz)).collect();
    let mut found = Vec::new();
    while found.len() < args.count as usize {
        let first = due.iter().enumerate().filter_map(|(at, next)| next.map(|next| (next, at))).min();
        let Some((next, at)) = first else { break };
        let (schedule, tz) = &schedules[at];
        due[at] = schedule.next_after(next, tz);
        found.push(instant(next, tz));
    }
    if args.printed.json {
        return output::json(&found.into());
    }
    found.iter().try_for_each(output::line)
}
