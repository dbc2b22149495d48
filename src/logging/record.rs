//! A record of the log, as a line.

use std::fmt::{self, Write};

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tracing::field::{Field, Visit};
use tracing::{Event, Level};

use crate::names::OneLine;

/// Name that stands in lines without a target: the daemon's own.
const DAEMON: &str = "janitor";

/// A record of the log.
#[derive(Debug)]
pub(super) struct Record {
    pub(super) at: Timestamp,
    level: &'static str,
    target: Option<String>,
    message: String,
    /// Further fields of the event.
    fields: Vec<(&'static str, String)>,
}

impl Record {
    pub(super) fn of(event: &Event<'_>, at: Timestamp) -> Self {
        // The words of Python's logging, which people grep for.
        let level = match *event.metadata().level() {
            Level::ERROR => "ERROR",
            Level::WARN => "WARNING",
            Level::INFO => "INFO",
            _ => "DEBUG",
        };
        let mut record = Self { at, level, target: None, message: String::new(), fields: Vec::new() };
        event.record(&mut record);
        record
    }

    /// Makes a remark of the log about itself.
    pub(super) fn note(at: Timestamp, message: String) -> Self {
        Self { at, level: "WARNING", target: None, message, fields: Vec::new() }
    }

    fn target(&self) -> &str {
        self.target.as_deref().unwrap_or(DAEMON)
    }

    /// Formats the record as `2024-09-25 02:00:00 - marked_images - INFO - Deleted file: x`, without the end of the
    /// line.
    pub(super) fn text(&self, zone: &TimeZone) -> String {
        let time = self.at.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S");
        let mut line = format!("{time} - {} - {} - {}", OneLine(self.target()), self.level, OneLine(&self.message));
        for (name, value) in &self.fields {
            // Writing to a string cannot fail.
            _ = write!(line, " {name}={}", OneLine(value));
        }
        line
    }

    /// Formats the record as a JSON object.
    pub(super) fn json(&self, zone: &TimeZone) -> String {
        let time = self.at.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%.3f%:z").to_string();
        let mut object = serde_json::Map::new();
        object.insert("time".into(), time.into());
        object.insert("target".into(), OneLine(self.target()).to_string().into());
        object.insert("level".into(), self.level.into());
        object.insert("message".into(), OneLine(&self.message).to_string().into());
        for (name, value) in &self.fields {
            object.entry(*name).or_insert_with(|| OneLine(value).to_string().into());
        }
        serde_json::Value::Object(object).to_string()
    }

    fn put(&mut self, field: &Field, value: String) {
        match field.name() {
            "message" => self.message = value,
            "target_name" => self.target = Some(value),
            name => self.fields.push((name, value)),
        }
    }
}

impl Visit for Record {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.put(field, value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.put(field, format!("{value:?}"));
    }
}
