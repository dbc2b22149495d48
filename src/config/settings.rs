//! The settings of the daemon itself, checked.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::target::Zone;

/// Everything in the config that is not a target.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// The zone of schedules, of the log and of `next_run`.
    pub zone: Zone,
    /// Where relative paths start, absolute.
    pub base: PathBuf,
    /// Where the daemon keeps what must survive it.
    pub state_dir: PathBuf,
    /// `[admin]`.
    pub admin: AdminSettings,
    /// `[log]`.
    pub log: LogSettings,
    /// How many sweeps may work on one file system at a time.
    pub sweeps_per_filesystem: usize,
}

/// `[admin]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminSettings {
    /// The address of the admin port; `None` for `"off"`.
    pub listen: Option<SocketAddr>,
    /// The path of the admin socket, absolute; `None` for `"off"`.
    pub socket: Option<PathBuf>,
    /// A file that holds the bearer token.
    pub token_file: Option<PathBuf>,
}

/// `[log]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogSettings {
    /// The log file, absolute; `None` for `"off"`, the terminal only.
    pub file: Option<PathBuf>,
    /// When a new file is begun.
    pub rotation: Rotation,
    /// Size in bytes at which a new file is begun, too; `None` for no such size.
    pub max_size: Option<u64>,
    /// How many rotated files are kept.
    pub keep: usize,
    /// How a record is written.
    pub format: LogFormat,
    /// The least level that is written.
    pub level: LogLevel,
}

/// When a new log file is begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// With each hour.
    Hourly,
    /// With each day.
    Daily,
    /// Never.
    Never,
}

/// How a log record is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// `2024-09-25 02:00:00 - marked_images - INFO - …`
    Text,
    /// One JSON object a line.
    Json,
}

/// The least level that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// What is done.
    Info,
    /// What needs a look.
    Warning,
    /// What went wrong.
    Error,
}
