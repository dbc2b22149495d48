//! The calendar of a schedule: the civil times at which it is due, found by the `cron` crate.
//!
//! Civil times are counted in *civil seconds*: the time that the clock on the wall shows, read as if it were UTC, in
//! seconds since 1970. The crate sees nothing but these, as `Utc`, and so meets neither gap nor fold.

use std::sync::Arc;

use super::field::Field;
use super::parse::Fields;

/// The civil times of a schedule.
#[derive(Clone)]
pub(super) struct Calendar {
    /// Schedules of the crate; a time of any of them is due. There are two where both day fields are restricted, else
    /// one. They are shared because their sets take more memory than the rest of a target.
    any_of: Arc<[cron::Schedule]>,
}

impl Calendar {
    pub(super) fn new(fields: &Fields) -> Result<Self, cron::error::Error> {
        let (dom, dow) = (fields.day_of_month, fields.day_of_week);
        // Debian's entry.c: a field that starts with `*` counts as unrestricted, even `*/2`; then both have to match.
        let any_of = if dom.starred || dow.starred {
            [canonical(fields, Some(dom), Some(dow))?].into()
        } else {
            [canonical(fields, Some(dom), None)?, canonical(fields, None, Some(dow))?].into()
        };
        Ok(Self { any_of })
    }

    /// Returns the first civil second, `from` or later, at which the schedule is due; `None` past the crate's last
    /// year, 2100.
    pub(super) fn first_from(&self, from: i64) -> Option<i64> {
        // The crate's `after` is exclusive. Its years begin in 1970, and it mistakes a year before 0 for one far ahead.
        let before = chrono::DateTime::from_timestamp(from.max(0) - 1, 0)?;
        self.any_of.iter().filter_map(|schedule| schedule.after(&before).next()).map(|due| due.timestamp()).min()
    }

    /// Returns whether no day of the calendar matches, as for 30 February.
    pub(super) fn never_fires(&self) -> bool {
        self.first_from(0).is_none()
    }
}

/// Sets of all values of a field, as bits.
const SIXTY: u64 = (1 << 60) - 1;
const HOURS: u64 = (1 << 24) - 1;
const DAYS: u64 = ((1 << 31) - 1) << 1;
const MONTHS: u64 = ((1 << 12) - 1) << 1;
const WEEKDAYS: u64 = (1 << 7) - 1;

/// Writes the fields in the crate's language: plain lists, seconds first, Sunday = 1. A day field left out is
/// unrestricted.
fn canonical(fields: &Fields, dom: Option<Field>, dow: Option<Field>) -> Result<cron::Schedule, cron::error::Error> {
    let all = || "*".to_owned();
    let dom = dom.map_or_else(all, |field| list(field, DAYS, 0));
    let dow = dow.map_or_else(all, |field| list(field, WEEKDAYS, 1));
    let [second, minute] = [fields.second, fields.minute].map(|field| list(field, SIXTY, 0));
    let (hour, month) = (list(fields.hour, HOURS, 0), list(fields.month, MONTHS, 0));
    format!("{second} {minute} {hour} {dom} {month} {dow}").parse()
}

/// Lists the values of a field, each plus `shift`: `0,15,30,45`. All values together become `*`: the crate then keeps
/// no set of them.
fn list(field: Field, all: u64, shift: u32) -> String {
    if field.values == all {
        return "*".to_owned();
    }
    let values: Vec<String> = (0..u64::BITS)
        .filter(|value| field.values >> value & 1 == 1)
        .map(|value| (value + shift).to_string())
        .collect();
    values.join(",")
}
