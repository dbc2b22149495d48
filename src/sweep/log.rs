//! Log lines of a sweep. People grep for these lines, so their words stay.

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use tracing::{debug, error, info, warn};

use super::{Event, Order};
use crate::entry::ActionKind;
use crate::names::{Escaped, OneLine, TargetName};
use crate::report::{Outcome, Report};
use crate::units::{Bytes, Span};

/// Log lines of one sweep: an observer that also writes at the beginning and at the end.
#[derive(Debug)]
pub struct LogLines {
    target: TargetName,
    action: ActionKind,
    skipped: AtomicU64,
    failed: Mutex<BTreeMap<String, u64>>,
}

impl LogLines {
    /// Most skipped subdirectories that get a line of their own; the rest is counted.
    const SKIPPED: u64 = 5;

    /// Most failures of one class that get a line of their own; the rest is counted. A directory that has become
    /// read-only must not fill the disk with the log.
    const FAILED: u64 = 100;

    /// Logs the beginning of the sweep.
    #[must_use]
    pub fn begin(order: &Order) -> Self {
        let target = order.target.name.clone();
        let dry = if order.is_dry() { ", dry run" } else { "" };
        info!(target_name = %target, "Cleanup started: run {} ({}{dry})", order.run, order.trigger);
        let action = order.target.action.kind();
        Self { target, action, skipped: AtomicU64::new(0), failed: Mutex::default() }
    }

    /// Logs an event.
    pub fn see(&self, event: &Event<'_>) {
        let target = &self.target;
        match event {
            Event::Created(path) => {
                info!(target_name = %target, "Created directory: {}", Escaped(path.as_os_str().as_bytes()));
            }
            Event::Removed { at, reason } => {
                info!(target_name = %target, "{} file: {at}", capital(reason.action(self.action).done()));
                debug!(target_name = %target, "Why {at} went: {reason}");
            }
            Event::WouldRemove { at, reason, .. } => {
                info!(target_name = %target, "Would {} file: {at} ({reason})", reason.action(self.action).verb());
            }
            Event::RemovedDirectory { at, reason } => {
                info!(target_name = %target, "Deleted directory: {at}");
                debug!(target_name = %target, "Why {at} went: {reason}");
            }
            Event::WouldRemoveDirectory { at, reason } => {
                info!(target_name = %target, "Would delete directory: {at} ({reason})");
            }
            Event::Stays { at, because } => debug!(target_name = %target, "Kept {at}: {because}"),
            Event::SkippedDirectory { at, because } => {
                if self.skipped.fetch_add(1, Ordering::Relaxed) < Self::SKIPPED {
                    info!(target_name = %target, "Skipped subdirectory: {at}");
                }
                debug!(target_name = %target, "Why {at} was not entered: {because}");
            }
            Event::NotRemoved { at, error } => {
                if self.has_room(error) {
                    error!(target_name = %target, "Failed to {} {at}: {error}", self.action.verb());
                }
            }
            Event::Unreadable { at, error } => {
                if self.has_room(error) {
                    error!(target_name = %target, "Failed to read {at}: {error}");
                }
            }
        }
    }

    fn has_room(&self, error: &std::io::Error) -> bool {
        let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failed.entry(error.to_string()).or_default();
        *count += 1;
        *count <= Self::FAILED
    }

    /// Logs the end of the sweep. `is_news` says whether a hint has not been logged before.
    pub fn end(self, report: &Report, is_news: impl Fn(&str) -> bool) {
        let target = &self.target;
        let skipped = self.skipped.into_inner();
        if skipped > Self::SKIPPED {
            let more = skipped - Self::SKIPPED;
            info!(target_name = %target, "Skipped subdirectories: {more} more, {skipped} in all");
        }
        for (class, count) in self.failed.into_inner().unwrap_or_else(PoisonError::into_inner) {
            if count > Self::FAILED {
                error!(target_name = %target, "{} more failures not listed: {class}", count - Self::FAILED);
            }
        }
        for remark in &report.remarks {
            warn!(target_name = %target, "Note: {}", OneLine(remark.text()));
        }
        for hint in report.hints.iter().filter(|hint| is_news(hint)) {
            info!(target_name = %target, "Hint: {}", OneLine(hint));
        }
        let counts = &report.counts;
        let figures = format!(
            "{}: {} files, Failed: {} files, Freed: {}{}, Took: {}",
            capital(&report.action.told(report.dry_run)),
            counts.deleted,
            counts.failed,
            counts.about(),
            Bytes(counts.freed),
            Span(report.took),
        );
        let message = report.message.as_deref().unwrap_or("no reason given");
        match (report.outcome, report.dry_run) {
            (Outcome::Done | Outcome::Partial, false) => {
                info!(target_name = %target, "Cleanup completed. {figures}");
            }
            (Outcome::Done | Outcome::Partial, true) => info!(target_name = %target, "Dry run completed. {figures}"),
            (Outcome::Held, _) => {
                error!(target_name = %target, "Cleanup held, nothing was removed: {message}");
            }
            (Outcome::Cancelled, _) => warn!(target_name = %target, "Cleanup cancelled: {message}. {figures}"),
            (Outcome::Failed, _) => error!(target_name = %target, "Cleanup failed: {message}"),
        }
    }
}

/// Returns the text with a capital at its beginning.
fn capital(text: &str) -> String {
    let (first, rest) = text.split_at(1);
    first.to_uppercase() + rest
}
