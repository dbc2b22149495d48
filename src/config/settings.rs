//! Checked settings of the daemon itself.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::target::Zone;

/// Settings of the config outside the targets.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// Time zone of schedules, of the log and of `next_run`.
    pub zone: Zone,
    /// Base of relative paths, absolute.
    pub base: PathBuf,
    /// Directory for state that must survive the daemon.
    pub state_dir: PathBuf,
    /// `[admin]`.
    pub admin: AdminSettings,
    /// `[log]`.
    pub log: LogSettings,
    /// Number of sweeps that may work on one file system at a time.
    pub sweeps_per_filesystem: usize,
}

/// `[admin]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// Address of the admin port; `None` for `"off"`.
    pub listen: Option<SocketAddr>,
    /// Path of the admin socket, absolute; `None` for `"off"`.
    pub socket: Option<PathBuf>,
    /// Path of the file that holds the bearer token.
    pub token_file: Option<PathBuf>,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// Path of the log file, absolute; `None` for `"off"`, the terminal only.
    pub file: Option<PathBuf>,
    /// Time at which a new file is started.
    pub rotation: Rotation,
    /// Size in bytes at which a new file is started, too; `None` for no limit.
    pub max_size: Option<u64>,
    /// Number of rotated files that are kept.
    pub keep: usize,
    /// Format of a record.
    pub format: LogFormat,
    /// Least level that is logged.
    pub level: LogLevel,
}

/// Interval at which a new log file is started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// Every hour.
    Hourly,
    /// Every day.
    Daily,
    /// Never.
    Never,
}

/// Format of a log record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `2024-09-25 02:00:00 - marked_images - INFO - …`
    Text,
    /// One JSON object per line.
    Json,
}

/// Least level that is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// All records.
    Debug,
    /// Normal actions, and all more severe records.
    Info,
    /// Records that need attention, and errors.
    Warning,
    /// Errors only.
    Error,
}
