//! The log file: opened, written, rotated, found again, and done without when it cannot be had.

use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tracing_appender::rolling::{RollingFileAppender, Rotation as AppenderRotation};

use super::rotation;
use crate::config::{LogSettings, Rotation};
use crate::daemon::LogHealth;
use crate::entry::Identity;
use crate::fsys;
use crate::names::Escaped;

/// How often the file is looked for, and an outage is tried to be ended.
const LOOK: SignedDuration = SignedDuration::from_secs(1);

pub(super) struct LogFile {
    path: PathBuf,
    rotation: Rotation,
    keep: usize,
    zone: TimeZone,
    health: Arc<LogHealth>,
    open: Option<Open>,
    /// The period of the records that are in the file.
    period: Option<String>,
    /// When the file was last looked for.
    looked: Timestamp,
    /// The last write ended inside a line.
    torn: bool,
    /// Records that were lost since the outage began.
    lost: u64,
    /// Why the file cannot be written.
    why: String,
}

struct Open {
    appender: RollingFileAppender,
    identity: Option<Identity>,
}

impl LogFile {
    /// Opens the file; if that fails, it is told and tried again later.
    pub(super) fn new(settings: &LogSettings, zone: &TimeZone, health: Arc<LogHealth>, now: Timestamp) -> Self {
        let mut file = Self {
            path: settings.file.clone(),
            rotation: settings.rotation,
            keep: settings.keep,
            zone: zone.clone(),
            health,
            open: None,
            period: None,
            looked: now,
            torn: false,
            lost: 0,
            why: String::new(),
        };
        file.reopen(now);
        file
    }

    /// Takes over new settings; keeps the old ones when the new file cannot be opened.
    pub(super) fn apply(&mut self, settings: &LogSettings, zone: &TimeZone, now: Timestamp) -> Result<(), String> {
        if settings.file != self.path {
            // Only what can be opened is changed to.
            open(&settings.file).map_err(|error| {
                format!("cannot open the log `{}`: {error}", Escaped(settings.file.as_os_str().as_bytes()))
            })?;
        }
        self.path.clone_from(&settings.file);
        self.rotation = settings.rotation;
        self.keep = settings.keep;
        self.zone = zone.clone();
        self.reopen(now);
        Ok(())
    }

    /// Opens the file anew, after it was rotated if what is in it is of an earlier period.
    pub(super) fn reopen(&mut self, now: Timestamp) {
        self.open = None;
        self.looked = now;
        let current = rotation::period(self.rotation, now, &self.zone);
        self.period = self.period_on_disk();
        if self.period.is_some() && self.period < current {
            self.rotate();
        }
        match open(&self.path) {
            Ok(open) => self.open = Some(open),
            Err(error) => self.outage(&error),
        }
        self.period = current;
        if self.rotation != Rotation::Never {
            self.prune();
        }
    }

    /// The period of the last record in a file that is there already. Only a regular file is ever rotated: the log may
    /// be `/dev/stdout`, or a link that somebody set up.
    fn period_on_disk(&self) -> Option<String> {
        let about = self.path.symlink_metadata().ok().filter(|about| about.is_file() && about.len() > 0)?;
        let modified = Timestamp::try_from(about.modified().ok()?).ok()?;
        rotation::period(self.rotation, modified, &self.zone)
    }

    fn rotate(&mut self) {
        let Some(period) = &self.period else { return };
        let is_file = self.path.symlink_metadata().is_ok_and(|about| about.is_file());
        if is_file && let Err(error) = rotation::rotate(&self.path, period) {
            complain(&format!("cannot rotate the log: {error}"));
        }
    }

    fn prune(&self) {
        if let Err(error) = rotation::prune(&self.path, self.keep) {
            complain(&format!("cannot remove old logs: {error}"));
        }
    }

    #[cfg(test)]
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one line. `note` makes the line that says how many were lost before it.
    pub(super) fn write(&mut self, now: Timestamp, line: &str, note: impl FnOnce(u64) -> String) {
        self.prepare(now);
        let mut bytes = Vec::with_capacity(line.len() + 2);
        if self.torn {
            bytes.push(b'\n');
        }
        if self.lost > 0 {
            bytes.extend_from_slice(note(self.lost).as_bytes());
            bytes.push(b'\n');
        }
        bytes.extend_from_slice(line.as_bytes());
        bytes.push(b'\n');
        let Some(open) = &mut self.open else {
            self.lose();
            return;
        };
        match write_all(&mut open.appender, &bytes) {
            Ok(()) => {
                self.torn = false;
                if self.lost > 0 {
                    self.lost = 0;
                    self.health.recovered();
                }
            }
            Err((written, error)) => {
                // The same file is tried with the next record: a full disk may have room again.
                self.torn = written > 0 || self.torn;
                self.outage(&error);
                self.lose();
            }
        }
    }

    /// Rotates when a new period has begun, and looks now and then whether the file is still there.
    pub(super) fn prepare(&mut self, now: Timestamp) {
        if fsys::is_confined() {
            // This thread cannot open or rename anything here; the next record of another can.
            return;
        }
        let current = rotation::period(self.rotation, now, &self.zone);
        // When the clock goes back, what belongs to an earlier hour goes into the file of the later one.
        let is_new_period = self.open.is_some() && self.period < current;
        if !is_new_period && now.duration_since(self.looked).abs() < LOOK {
            return;
        }
        self.looked = now;
        let there = fsys::identity(&self.path).ok().flatten();
        if self.lost > 0 || self.open.as_ref().is_none_or(|open| open.identity != there) {
            // It is another file by now: another process may have rotated it.
            return self.reopen(now);
        }
        if is_new_period {
            self.open = None;
            self.rotate();
            self.period = current;
            match open(&self.path) {
                Ok(open) => self.open = Some(open),
                Err(error) => self.outage(&error),
            }
            self.prune();
        }
    }

    fn lose(&mut self) {
        self.lost += 1;
        self.health.lost_one(self.why.as_str());
    }

    /// Tells of an outage once, on stderr: the log itself cannot.
    fn outage(&mut self, error: &io::Error) {
        self.why = error.to_string();
        if self.lost == 0 {
            complain(&format!("cannot write the log `{}`: {error}", Escaped(self.path.as_os_str().as_bytes())));
        }
    }
}

/// Opens the file to append to it; makes it, and the directories above it, where they are missing.
fn open(path: &Path) -> io::Result<Open> {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name().and_then(|name| name.to_str())) else {
        return Err(io::ErrorKind::InvalidInput.into());
    };
    if let Ok(about) = path.metadata() {
        let kind = about.file_type();
        if !kind.is_file() && !kind.is_char_device() {
            // Opening a FIFO would wait for its reader.
            return Err(io::Error::other("it is neither a regular file nor a terminal"));
        }
    }
    let builder = RollingFileAppender::builder().rotation(AppenderRotation::NEVER).filename_prefix(name);
    let appender = builder.build(directory).map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        io::Error::other(cause.unwrap_or_else(|| error.to_string()))
    })?;
    Ok(Open { appender, identity: fsys::identity(path)? })
}

/// Writes everything, or says how much was written before it went wrong.
fn write_all(to: &mut impl Write, bytes: &[u8]) -> Result<(), (usize, io::Error)> {
    let mut written = 0;
    while written < bytes.len() {
        match to.write(&bytes[written..]) {
            Ok(0) => return Err((written, io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err((written, error)),
        }
    }
    Ok(())
}

fn complain(message: &str) {
    // Where stderr is gone too, nobody is left to be told.
    _ = writeln!(io::stderr(), "janitor: {message}");
}
