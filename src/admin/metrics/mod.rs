//! `/metrics`: counters of what was told since the start, and gauges of how things are at this moment.
//!
//! The crate writes OpenMetrics. That is sent to those who ask for it, which Prometheus does; everybody else gets the
//! same in the older text format, which differs in a few lines.

mod snapshot;
mod tallies;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

use prometheus_client::registry::Registry;

use super::answer::Answer;
use super::changes::Work;
use super::query::Query;
use super::roster;
use super::visit::Inside;
use crate::target::Target;
use snapshot::Snapshot;
pub(super) use tallies::Tallies;

/// The media type of the older text format. See "Exposition formats" in the documentation of Prometheus.
pub(super) const CLASSIC: &str = "text/plain; version=0.0.4; charset=utf-8";

/// That of OpenMetrics.
pub(super) const OPEN: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What every name begins with.
const PREFIX: &str = "janitor";

/// The metrics.
pub(super) fn metrics(Inside { handle, bulletin, .. }: Inside, query: Query) -> Work {
    Box::pin(async move {
        // While the daemon shuts down, what its config says is not known any more; the rest is.
        let targets = handle.in_force().await.map(|in_force| in_force.targets).unwrap_or_default();
        // What is disabled is left alone, also by a look at its disk.
        let enabled: Vec<Arc<Target>> = targets.iter().filter(|target| target.enabled).cloned().collect();
        let disks = roster::disks(enabled).await;
        let status = handle.status();
        let tallied = bulletin.tallies().of(&status);
        let durations = bulletin.tallies().durations();
        let snapshot = Snapshot { status, targets, disks, tallied };
        let is_open = prefers_open(query.accept.as_deref().unwrap_or_default());
        // With a thousand targets it is some megabytes of text, for which nobody else is to wait.
        let written = tokio::task::spawn_blocking(move || {
            let mut registry = Registry::with_prefix(PREFIX);
            let help = "How long runs took that were no dry runs";
            registry.register("run_duration_seconds", help, durations);
            registry.register_collector(Box::new(snapshot));
            write(&registry, is_open)
        });
        match written.await {
            Ok(Ok(text)) => Ok(Answer::text(text, if is_open { OPEN } else { CLASSIC })),
            Ok(Err(fmt::Error)) => Err(Answer::internal()),
            Err(error) => {
                tracing::error!("A request failed inside the daemon: {error}");
                Err(Answer::internal())
            }
        }
    })
}

fn write(registry: &Registry, is_open: bool) -> Result<String, fmt::Error> {
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, registry)?;
    Ok(if is_open { text } else { classic(&text) })
}

/// Whether an Accept header would rather have OpenMetrics: it names its version, with at least the weight of text.
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

/// OpenMetrics as the older text format has it: there a counter has its whole name also where its help and type are
/// given, and nothing says that this is the end.
fn classic(open: &str) -> String {
    let mut text = String::with_capacity(open.len() + open.len() / 64);
    let mut lines = open.lines().peekable();
    while let Some(line) = lines.next() {
        if line == "# EOF" {
            continue;
        }
        let help = line.strip_prefix("# HELP ").and_then(|rest| rest.split_once(' '));
        let Some((name, help)) = help else {
            text.extend([line, "\n"]);
            continue;
        };
        // The type is on the next line.
        let counter = lines.next_if(|next| {
            let kind = next.strip_prefix("# TYPE ").and_then(|rest| rest.strip_prefix(name));
            kind == Some(" counter")
        });
        match counter {
            Some(_) => {
                text.extend(["# HELP ", name, "_total ", help, "\n", "# TYPE ", name, "_total counter\n"]);
            }
            None => text.extend([line, "\n"]),
        }
    }
    text
}
