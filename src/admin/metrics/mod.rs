//! `/metrics`: counters of events since the start, and gauges of the state at this moment.
//!
//! The crate writes OpenMetrics. Clients that ask for OpenMetrics get it, which Prometheus does. All others get the
//! same in the older text format, which differs in a few lines.

mod snapshot;
mod tallies;
#[cfg(test)]
mod tests;

use std::fmt::{self, Write};
use std::sync::Arc;

use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use super::answer::Answer;
use super::changes::Work;
use super::query::Query;
use super::roster;
use super::threads::Threads;
use super::visit::Inside;
use crate::target::Target;
use snapshot::Snapshot;
pub(super) use tallies::Tallies;

/// Media type of the older text format. See "Exposition formats" in the documentation of Prometheus.
pub(super) const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Media type of OpenMetrics.
pub(super) const OPEN: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Prefix of every name.
const PREFIX: &str = "janitor";

/// Approximate size in bytes of the text without any target …
const HEAD: usize = 8 * 1024;
/// … and of the text for each target.
const OF_TARGET: usize = 1536;

/// Threads that write the metrics, two at a time.
static AT_ONCE: Threads = Threads::new(2);

/// Answers with the metrics.
pub(super) fn metrics(Inside { handle, bulletin, .. }: Inside, query: Query) -> Work {
    Box::pin(async move {
        // While the daemon shuts down, the targets of its config are not known any more; the rest is.
        let targets = handle.in_force().await.map(|in_force| in_force.targets).unwrap_or_default();
        // A disabled target is left alone, also by a look at its disk.
        let enabled: Vec<Arc<Target>> = targets.iter().filter(|target| target.enabled).cloned().collect();
        let disks = roster::disks(enabled).await;
        let status = handle.status();
        let tallied = bulletin.tallies().of(&status);
        let durations = bulletin.tallies().durations();
        let size = HEAD + OF_TARGET * status.targets.len();
        let snapshot = Snapshot { status, targets, disks, tallied };
        let is_open = prefers_open(query.accept.as_deref().unwrap_or_default());
        // With a thousand targets the text has some megabytes, and nobody else is to wait for it.
        let written = AT_ONCE.run(move || {
            let mut registry = Registry::with_prefix(PREFIX);
            let help = "How long runs took that were no dry runs";
            registry.register("run_duration_seconds", help, durations);
            registry.register_collector(Box::new(snapshot));
            write(&registry, is_open, size)
        });
        match written.await? {
            Ok(text) => Ok(Answer::text(text, if is_open { OPEN } else { CLASSIC })),
            Err(fmt::Error) => Err(Answer::internal()),
        }
    })
}

/// Writes the text. `size` is its approximate length, so that the text need not be moved as it grows.
fn write(registry: &Registry, is_open: bool, size: usize) -> Result<String, fmt::Error> {
    let mut text = String::with_capacity(size);
    if is_open {
        encode(&mut text, registry)?;
        return Ok(text);
    }
    let mut classic = Classic { text, ..Classic::default() };
    encode(&mut classic, registry)?;
    Ok(classic.text)
}

/// Returns whether an Accept header prefers OpenMetrics: it names its version, with at least the weight of text.
fn prefers_open(accept: &str) -> bool {
    let (mut open, mut text) = (0.0_f64, 0.0_f64);
    for range in accept.split(',') {
        let mut parts = range.split(';').map(str::trim);
        let media_type = parts.next().unwrap_or_default().to_ascii_lowercase();
        let (mut weight, mut version) = (1.0_f64, None);
        for (key, value) in parts.filter_map(|part| part.split_once('=')) {
            match key.trim() {
                "q" => weight = value.trim().parse().unwrap_or(0.0),
                "version" => version = Some(value.trim()),
                _ => {}
            }
        }
        match &*media_type {
            "application/openmetrics-text" if matches!(version, None | Some("1.0.0")) => open = weight.max(open),
            "text/plain" if matches!(version, None | Some("0.0.4")) => text = weight.max(text),
            _ => {}
        }
    }
    open > 0.0 && open >= text
}

/// Writer that turns OpenMetrics into the older text format. There a counter has its whole name also where its help and
/// type are given, and no line marks the end.
#[derive(Default)]
struct Classic {
    text: String,
    /// Text of the next line so far.
    line: String,
    /// Line of the help, while the type that comes after it is not known.
    help: String,
}

impl Write for Classic {
    fn write_str(&mut self, mut more: &str) -> fmt::Result {
        while let Some((end, rest)) = more.split_once('\n') {
            self.line.push_str(end);
            self.end_line();
            more = rest;
        }
        self.line.push_str(more);
        Ok(())
    }
}

impl Classic {
    fn end_line(&mut self) {
        let Self { text, line, help } = self;
        if line.starts_with("# HELP ") {
            std::mem::swap(help, line);
        } else if line != "# EOF" {
            let counter = line.strip_prefix("# TYPE ").and_then(|rest| rest.strip_suffix(" counter"));
            match (counter, help.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' '))) {
                (Some(name), Some((_, about))) => {
                    text.extend(["# HELP ", name, "_total ", about, "\n# TYPE ", name, "_total counter\n"]);
                }
                _ if help.is_empty() => text.extend([line.as_str(), "\n"]),
                _ => text.extend([help.as_str(), "\n", line.as_str(), "\n"]),
            }
            help.clear();
        }
        line.clear();
    }
}
