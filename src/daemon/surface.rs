//! What the daemon asks of the doors around it, and what they tell it.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::Notify;

use super::news::News;
use crate::config::Settings;

/// The doors, as the supervisor sees them: it tells them of new settings, of a SIGHUP, and of what happens.
pub trait Surface: Send {
    /// Takes over what can be changed while running.
    fn apply(&mut self, settings: &Settings) -> Applied;

    /// Rotates the log when it is time; called at least twice a minute.
    fn look_after_log(&mut self);

    /// Opens the log file anew, since somebody may have moved it away.
    fn reopen_log(&mut self);

    /// Hears what happens. It must not wait for anybody.
    fn tell(&mut self, news: News<'_>);
}

/// What became of new settings.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// The keys (`admin.listen`) whose new value waits for a restart.
    pub needs_restart: Vec<String>,
    /// What could not be applied, and why; tried again with the next reload.
    pub failed: Vec<String>,
}

/// How the log is doing. Written by the log, shown in the status.
#[derive(Debug, Default)]
pub struct LogHealth {
    lost: AtomicU64,
    last_error: Mutex<Option<String>>,
    full: Notify,
}

impl LogHealth {
    /// One record could not be written to the log file.
    pub fn lost_one(&self, error: impl Into<String>) {
        self.lost.fetch_add(1, Ordering::Relaxed);
        self.broken(error);
    }

    /// The log file cannot be written, whether or not there is a record.
    pub fn broken(&self, error: impl Into<String>) {
        *self.last_error.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(error.into());
    }

    /// The log file has reached its size, and whoever wrote to it cannot begin a new one.
    pub fn fill(&self) {
        self.full.notify_one();
    }

    /// Waits until the log file has to be rotated by somebody else. Cancel safe.
    pub(super) async fn filled(&self) {
        self.full.notified().await;
    }

    /// The log file can be written again.
    pub fn recovered(&self) {
        *self.last_error.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = None;
    }

    /// How many records never reached the log file.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Why the log file cannot be written at the moment; `None` while it can.
    #[must_use]
    pub fn last_error(&self) -> Option<String> {
        self.last_error.lock().unwrap_or_else(std::sync::PoisonError::into_inner).clone()
    }
}
