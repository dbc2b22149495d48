//! Interface between the daemon and its frontends.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

use super::news::News;
use crate::config::Settings;

/// Frontends, as the supervisor sees them: it passes them new settings, SIGHUP, and events.
pub trait Surface: Send {
    /// Applies the settings that can be changed while running.
    fn apply(&mut self, settings: &Settings) -> Applied;

    /// Rotates the log when due; called at least twice a minute.
    fn look_after_log(&mut self);

    /// Reopens the log file, since somebody may have moved it away.
    fn reopen_log(&mut self);

    /// Receives an event. Must not block.
    fn tell(&mut self, news: News<'_>);
}

/// Result of applying new settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Keys, such as `admin.listen`, whose new value waits for a restart.
    pub needs_restart: Vec<String>,
    /// Settings that could not be applied, with the reason; retried at the next reload.
    pub failed: Vec<String>,
}

/// Health of the log. Written by the log, shown in the status.
#[derive(Debug, Default)]
pub struct LogHealth {
    lost: AtomicU64,
    last_error: Mutex<Option<String>>,
    full: Notify,
}

impl LogHealth {
    /// Records that one record could not be written to the log file.
    pub fn lost_one(&self, error: impl Into<String>) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.broken(error);
    }

    /// Records that the log file cannot be written, whether or not a record was lost.
    pub fn broken(&self, error: impl Into<String>) {
        *self.last_error.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(error.into());
    }

    /// Signals that the log file has reached its size limit, and its writer cannot start a new one.
    pub fn fill(&self) {
        self.full.notify_one();
    }

    /// Waits until the log file has to be rotated by somebody other than its writer. Cancel safe.
    pub(super) async fn filled(&self) {
        self.full.notified().await;
    }

    /// Records that the log file can be written again.
    pub fn recovered(&self) {
        *self.last_error.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
    }

    /// Returns the number of records that never reached the log file.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Returns the reason why the log file cannot be written at the moment; `None` while it can.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}
