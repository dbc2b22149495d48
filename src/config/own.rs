//! Paths in the config, and the settings of the janitor's own files: `base`, `state_dir`, `[admin]`, `[log]`.

use std::net::SocketAddr;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::check::Checker;
use super::env::Layout;
use super::looks::PATIENCE;
use super::raw::{At, RawAdmin, RawFormat, RawLevel, RawLog, RawRotation};
use super::{AdminSettings, LogFormat, LogLevel, LogSettings, Rotation, STATE_FILE};
use crate::fsys;
use crate::names::Escaped;
use crate::units;

/// Default size at which a new log is started, in bytes.
const LOG_SIZE: u64 = 100_000_000;

/// Least size that the config may set, in bytes.
const LEAST_LOG_SIZE: u64 = 64_000;

impl Checker<'_> {
    /// Sets the base of relative paths.
    pub(super) fn find_base(&mut self, written: Option<&At<String>>) {
        // A wrongly written key is the only problem to report.
        self.has_base = written.is_some() || self.is_blamed_anywhere("base");
        let Some(value) = written else { return };
        let Some(path) = self.sound(value, value.value()) else { return };
        let mut base = PathBuf::new();
        for part in self.base.join(path).components() {
            match part {
                Component::CurDir => {}
                // `..` is resolved by text alone: a link that is changed must not move every directory.
                Component::ParentDir => drop(base.pop()),
                part => base.push(part),
            }
        }
        self.base = base;
    }

    /// Returns the text as a path, unless it holds characters that a shell would expand and janitor does not. The text
    /// is the value, or a part of it.
    pub(super) fn sound<'t>(&mut self, value: &At<String>, text: &'t str) -> Option<&'t Path> {
        let Some((message, help)) = fault_of(text) else { return Some(Path::new(text)) };
        self.problem(value.span(), message, help.map(str::to_owned));
        None
    }

    /// Returns the absolute path without `.` and doubled slashes. A relative path starts at the base.
    pub(super) fn path(&mut self, value: &At<String>) -> Option<PathBuf> {
        let written = self.sound(value, value.value())?;
        let path = absolute(written, &self.base);
        if written.is_relative() && self.is_left_behind(&path, written) {
            self.left_behind(value.span(), &path, written);
            return None;
        }
        Some(path)
    }

    /// Returns whether a relative path does not exist below the base, but does in the working directory: it may have
    /// been written for the working directory, and sweeping another directory is no way to find out.
    fn is_left_behind(&mut self, path: &Path, written: &Path) -> bool {
        let Some(here) = self.env.working_directory.as_deref().filter(|_| !self.has_base) else { return false };
        if !self.looks.of(path).is_missing {
            return false;
        }
        let meant = absolute(written, here);
        let exists = |path: PathBuf| move || path.symlink_metadata().is_ok();
        fsys::within(PATIENCE, &meant, exists(meant.clone())).unwrap_or(false)
    }

    fn left_behind(&mut self, span: Range<usize>, path: &Path, written: &Path) {
        let Some(here) = self.env.working_directory.clone() else { return };
        let shown = |path: &Path| Escaped(path.as_os_str().as_bytes()).to_string();
        let message = format!(
            "`{}` does not exist, and `{}`, in the working directory, does; only `base` says which is meant",
            shown(path),
            shown(&absolute(written, &here))
        );
        let base = if self.base.parent() == Some(&here) { "..".to_owned() } else { shown(&here) };
        let help =
            format!("write `base = \"{base}\"` at the top of the file for the second, or `base = \".\"` for the first");
        self.problem(span, message, help);
    }

    pub(super) fn state_dir(&mut self, written: Option<&At<String>>, layout: &Layout) -> PathBuf {
        if let Some(value) = written {
            return self.path(value).unwrap_or_else(|| layout.state_dir.clone());
        }
        let file = Path::new("state").join(STATE_FILE);
        if layout.is_below_base && self.is_left_behind(&layout.state_dir.join(STATE_FILE), &file) {
            self.left_behind(0..0, &layout.state_dir.join(STATE_FILE), &file);
        }
        layout.state_dir.clone()
    }

    pub(super) fn admin(&mut self, raw: Option<&RawAdmin>, layout: &Layout) -> AdminSettings {
        let token = raw.and_then(|raw| raw.token_file.as_ref());
        let token_file = token.and_then(|value| self.path(value));
        let written = raw.and_then(|raw| raw.socket.as_ref());
        let socket = match written.map(|value| (value, value.value().as_str())) {
            None | Some((_, "auto")) => Some(layout.socket.clone()),
            Some((_, "off")) => None,
            Some((value, _)) => self.path(value),
        };
        let Some(value) = raw.and_then(|raw| raw.listen.as_ref()) else {
            return AdminSettings { listen: Some(default_listen()), socket, token_file };
        };
        let written = value.value();
        let loopback = written.strip_prefix("localhost:").map(|port| format!("127.0.0.1:{port}"));
        let listen = match written.as_str() {
            "off" => None,
            _ => match loopback.as_deref().unwrap_or(written).parse::<SocketAddr>() {
                // `[::ffff:127.0.0.1]` is 127.0.0.1.
                Ok(address) => Some(SocketAddr::new(address.ip().to_canonical(), address.port())),
                Err(_) => {
                    let help = "write an address and a port, \"127.0.0.1:8000\", or \"off\"".to_owned();
                    self.problem(value.span(), format!("\"{written}\" is not an address to listen on"), help);
                    None
                }
            },
        };
        if listen.is_some_and(|address| !address.ip().is_loopback())
            && token.is_none()
            && !self.is_blamed_anywhere("token_file")
        {
            let help = "set `token_file`, and put a reverse proxy with TLS in front".to_owned();
            self.problem(value.span(), "an admin port that others can reach needs a token", help);
        }
        AdminSettings { listen, socket, token_file }
    }

    pub(super) fn log(&mut self, raw: Option<&RawLog>, layout: &Layout) -> LogSettings {
        let default = LogSettings {
            file: Some(layout.log.clone()),
            rotation: Rotation::Daily,
            max_size: Some(LOG_SIZE),
            keep: 14,
            format: LogFormat::Text,
            level: LogLevel::Info,
        };
        let Some(raw) = raw else { return default };
        let max_size = self.unit(raw.max_size.as_ref(), units::parse_size);
        let max_size = self.at_least(
            max_size,
            |size| *size < LEAST_LOG_SIZE,
            |checker, span| {
                let help = "write 64kB or more".to_owned();
                checker.problem(span, "a log of this size would be rotated all the time", help);
            },
        );
        LogSettings {
            max_size: max_size.good().or(default.max_size),
            file: match &raw.file {
                None => default.file,
                Some(value) if value.value() == "off" => None,
                Some(value) => self.path(value).or(default.file),
            },
            rotation: raw.rotation.map_or(default.rotation, |raw| match raw {
                RawRotation::Hourly => Rotation::Hourly,
                RawRotation::Daily => Rotation::Daily,
                RawRotation::Never => Rotation::Never,
            }),
            keep: raw.keep.map_or(default.keep, usize::from),
            format: raw.format.map_or(default.format, |raw| match raw {
                RawFormat::Text => LogFormat::Text,
                RawFormat::Json => LogFormat::Json,
            }),
            level: raw.level.map_or(default.level, |raw| match raw {
                RawLevel::Debug => LogLevel::Debug,
                RawLevel::Info => LogLevel::Info,
                RawLevel::Warning => LogLevel::Warning,
                RawLevel::Error => LogLevel::Error,
            }),
        }
    }
}

/// Returns the default address of the admin port.
fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8000))
}

/// Returns the path without `.` and doubled slashes. A relative path starts at the base.
pub(super) fn absolute(path: &Path, base: &Path) -> PathBuf {
    base.join(path).components().filter(|part| !matches!(part, Component::CurDir)).collect()
}

/// Returns why a text is refused as a path, and the advice on what to write.
///
/// A name that is meant literally (`$RECYCLE.BIN`) is refused, too: a directory called like a forgotten variable is
/// more often a mistake, and a mistake here deletes files.
fn fault_of(text: &str) -> Option<(&'static str, Option<&'static str>)> {
    let is_specifier = |part: &str| {
        part.strip_prefix('%').and_then(|rest| rest.chars().next()).is_some_and(|next| next.is_ascii_alphabetic())
    };
    let is_of_windows = text.starts_with(r"\\")
        || matches!(text.as_bytes(), [drive, b':', b'\\' | b'/', ..] if drive.is_ascii_alphabetic());
    if text.is_empty() {
        Some(("the path is empty", None))
    } else if text.contains('\0') {
        Some(("no path holds a NUL", None))
    } else if text.starts_with('~') {
        let help = "write the home directory out; for a name that starts with `~` write `./~…`";
        Some(("`~` is not expanded here", Some(help)))
    } else if text.contains('$') {
        Some(("`$` is not expanded here", Some("write the path out; a name with a `$` cannot be used here")))
    } else if text.split('/').any(is_specifier) {
        Some(("`%` is not expanded here", Some("write the path out; a name like `%h` cannot be used here")))
    } else if text.contains('*') {
        let help = "write one target for each directory, or one for the directory above and an `include`; a name with \
                    a `*` cannot be used here";
        Some(("`*` is not expanded here", Some(help)))
    } else if is_of_windows {
        Some(("this is no path of this system", Some("a path begins with `/`, or is relative to the base")))
    } else {
        None
    }
}
