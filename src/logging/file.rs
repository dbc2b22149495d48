//! The log file: opening, writing, rotating, finding it again, and doing without it when it cannot be had.

use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use tracing_appender::rolling::{RollingFileAppender, Rotation as AppenderRotation};

use super::rotation;
use crate::config::{LogSettings, Rotation};
use crate::daemon::LogHealth;
use crate::entry::Identity;
use crate::fsys::{self, Breach, Denied, OwnEntry, OwnFile, Purpose, Trust};
use crate::names::Escaped;

/// Interval between looks for the file, and between attempts to end an outage.
const LOOK: SignedDuration = SignedDuration::from_secs(1);

/// Delay between a failed rotation and the next attempt for the same size.
const AGAIN: SignedDuration = SignedDuration::from_secs(60);

/// Growth in bytes after which a thread that can rotate the file is asked again.
const ASK_EACH: u64 = 1 << 20;

/// Modes of a new log, and of directories that are made for it.
const FILE: u32 = 0o640;
const DIRECTORY: u32 = 0o755;

pub(super) struct LogFile {
    path: PathBuf,
    rotation: Rotation,
    max_size: Option<u64>,
    keep: usize,
    zone: TimeZone,
    health: Arc<LogHealth>,
    open: Option<Open>,
    /// Size of the file in bytes, as far as known: others may write to it.
    size: u64,
    /// Size in bytes at which another thread is asked to rotate the file, where the thread that writes cannot.
    ask_at: u64,
    /// Time of a failed rotation, which is not tried again at once.
    failed: Option<Timestamp>,
    /// Period of the records in the file.
    period: Option<String>,
    /// Time at which the file was last looked for.
    looked: Timestamp,
    /// Whether the last write ended inside a line.
    torn: bool,
    /// Number of records lost since the outage began.
    lost: u64,
    /// Reason for which the file cannot be written.
    why: String,
    /// Breaches of the rule of trust that were reported.
    warned: Vec<Breach>,
}

/// The open file, and the place at which it was opened.
struct Open {
    appender: RollingFileAppender,
    /// Size of the file when it was opened, in bytes.
    size: u64,
    identity: Identity,
    directory: Identity,
    place: OwnFile,
}

impl LogFile {
    /// Opens the file. A failure is reported, and the file tried again later.
    pub(super) fn new(
        path: &Path,
        settings: &LogSettings,
        zone: &TimeZone,
        health: Arc<LogHealth>,
        now: Timestamp,
    ) -> Self {
        let mut file = Self {
            path: path.to_path_buf(),
            rotation: settings.rotation,
            max_size: settings.max_size,
            keep: settings.keep,
            zone: zone.clone(),
            health,
            open: None,
            size: 0,
            ask_at: 0,
            failed: None,
            period: None,
            looked: now,
            torn: false,
            lost: 0,
            why: String::new(),
            warned: Vec::new(),
        };
        file.reopen(now);
        file
    }

    /// Applies new settings. Keeps the old ones when the new file cannot be opened.
    pub(super) fn apply(
        &mut self,
        path: &Path,
        settings: &LogSettings,
        zone: &TimeZone,
        now: Timestamp,
    ) -> Result<(), String> {
        if path != self.path {
            // Settings change only to a file that can be opened.
            try_open(path)?;
        }
        self.path = path.to_path_buf();
        self.rotation = settings.rotation;
        self.max_size = settings.max_size;
        self.keep = settings.keep;
        self.zone = zone.clone();
        self.reopen(now);
        Ok(())
    }

    /// Opens the file anew. Rotates it first if its records are of an earlier period.
    pub(super) fn reopen(&mut self, now: Timestamp) {
        self.open = None;
        self.looked = now;
        let current = rotation::period(self.rotation, now, &self.zone);
        match locate(&self.path) {
            Ok(place) => {
                self.period = self.period_on_disk(&place);
                if self.period.is_some() && self.period < current {
                    self.rotate(&place, now);
                }
                self.open(place, now);
            }
            Err(denied) => self.refuse(&denied),
        }
        self.period = current;
    }

    /// Opens the file in the place that was found, and removes old logs.
    fn open(&mut self, place: OwnFile, now: Timestamp) {
        match open(place) {
            Ok((open, warnings)) => {
                // Each warning is reported once, not with every rotation.
                for warning in warnings {
                    if self.warned.contains(&warning) {
                        continue;
                    }
                    let path = Escaped(self.path.as_os_str().as_bytes());
                    complain(&format!("warning: the log `{path}` may not be trusted: {warning}"));
                    self.warned.push(warning);
                }
                let rotates = self.rotation != Rotation::Never || self.max_size.is_some();
                if rotates && let Err(error) = rotation::prune(&open.place, self.keep, now, &self.zone) {
                    complain(&format!("cannot remove old logs: {error}"));
                }
                self.size = open.size;
                self.ask_at = self.max_size.unwrap_or(u64::MAX);
                self.open = Some(open);
                if self.lost == 0 {
                    self.why.clear();
                    self.health.recovered();
                }
            }
            Err(denied) => self.refuse(&denied),
        }
    }

    /// Returns the period of the last record in a file that exists already. Only a regular file of ours is ever
    /// rotated.
    fn period_on_disk(&self, place: &OwnFile) -> Option<String> {
        let entry = place.entry().ok().flatten().filter(|entry| entry.is_ours_alone && entry.size > 0)?;
        rotation::period(self.rotation, Timestamp::from_second(entry.modified).ok()?, &self.zone)
    }

    fn rotate(&mut self, place: &OwnFile, now: Timestamp) {
        // Without periods, a full file gets the name of the day on which it became full.
        let day = || rotation::period(Rotation::Daily, now, &self.zone);
        let Some(period) = self.period.clone().or_else(day) else { return };
        let is_ours = place.entry().is_ok_and(|entry| entry.is_some_and(|entry| entry.is_ours_alone));
        self.failed = None;
        if is_ours && let Err(error) = rotation::rotate(place, &period) {
            complain(&format!("cannot rotate the log: {error}"));
            self.failed = Some(now);
        }
    }

    /// Returns whether the file has reached its size, and it is time to begin another.
    fn is_full(&self, now: Timestamp) -> bool {
        let is_settled = self.failed.is_none_or(|failed| now.duration_since(failed).abs() >= AGAIN);
        self.open.is_some() && is_settled && self.max_size.is_some_and(|most| self.size >= most)
    }

    /// Counts bytes that were written. A thread that is confined to a target cannot rotate the file, and asks for it.
    fn grow(&mut self, bytes: usize) {
        self.size += bytes as u64;
        if self.size >= self.ask_at && fsys::is_confined() {
            // The thread does not ask again with each record from here on.
            self.ask_at = self.size.saturating_add(ASK_EACH);
            self.health.fill();
        }
    }

    #[cfg(test)]
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Writes one line. `note` makes the line that says how many records were lost before it.
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
                self.grow(bytes.len());
                self.torn = false;
                self.why.clear();
                if self.lost > 0 {
                    self.lost = 0;
                    self.health.recovered();
                }
            }
            Err((written, error)) => {
                // The same file is tried with the next record: a full disk may have room again.
                self.torn = written > 0 || self.torn;
                let denied = Denied::Io(self.path.clone(), error);
                self.refuse(&denied);
                self.lose();
            }
        }
    }

    /// Rotates when a new period has begun or the file is full. Looks now and then whether the file is still there.
    pub(super) fn prepare(&mut self, now: Timestamp) {
        if fsys::is_confined() {
            // This thread cannot open or rename anything here; the next record of another thread can.
            return;
        }
        let current = rotation::period(self.rotation, now, &self.zone);
        // When the clock goes back, records of an earlier hour go into the file of the later one.
        let is_new_period = self.open.is_some() && self.period < current;
        let is_over = is_new_period || self.is_full(now);
        if !is_over && now.duration_since(self.looked).abs() < LOOK {
            return;
        }
        self.looked = now;
        let place = match locate(&self.path) {
            Ok(place) => place,
            // The file is gone, as when another process has rotated it away with its directory.
            Err(Denied::Missing(_)) => return self.reopen(now),
            Err(denied) if denied.is_breach() || self.open.is_none() => {
                // Others may have got at the file by now: nothing more is written there.
                self.open = None;
                return self.refuse(&denied);
            }
            // Handles may have run out, say. The open file is the right one as far as is known.
            Err(_) => return,
        };
        if self.lost > 0 || !self.open.as_ref().is_some_and(|open| open.is_at(&place)) {
            // The path leads to another file by now: another process may have rotated ours.
            return self.reopen(now);
        }
        self.size = place.entry().ok().flatten().map_or(self.size, |entry| entry.size);
        if is_over {
            self.open = None;
            self.rotate(&place, now);
            self.period = current;
            self.open(place, now);
        }
    }

    fn lose(&mut self) {
        self.lost += 1;
        self.health.lost_one(self.why.as_str());
    }

    fn refuse(&mut self, denied: &Denied) {
        self.outage(&cannot("write", &self.path, denied));
    }

    /// Reports an outage once, on stderr: the log itself cannot.
    fn outage(&mut self, why: &str) {
        if self.lost == 0 && self.why != why {
            complain(why);
        }
        self.why = why.to_owned();
        self.health.broken(why);
    }
}

/// Checks that a log can be opened. Fails with the reason in words.
pub(super) fn try_open(path: &Path) -> Result<(), String> {
    locate(path).and_then(open).map(drop).map_err(|denied| cannot("open", path, &denied))
}

impl Open {
    /// Returns whether the path leads to this file, in this directory.
    fn is_at(&self, place: &OwnFile) -> bool {
        let is_same = |entry: OwnEntry| entry.identity == self.identity;
        place.dir.identity().is_ok_and(|directory| directory == self.directory)
            && place.entry().is_ok_and(|entry| entry.is_some_and(is_same))
    }
}

/// Finds the directory of the log by the rule of trust. Makes it, and the directories above it, where they are missing.
fn locate(path: &Path) -> Result<OwnFile, Denied> {
    Trust::of_process().file(Purpose::Log, path, Some(DIRECTORY))
}

/// Opens the file to append to it, and makes it where it is missing. Returns it with the breaches that are only
/// warnings.
fn open(place: OwnFile) -> Result<(Open, Vec<Breach>), Denied> {
    let (file, warning) = place.append(FILE)?;
    let failed = |error| Denied::Io(place.path(), error);
    let about = file.metadata().map_err(failed)?;
    let identity = Identity { device: about.dev(), inode: about.ino() };
    let directory = place.dir.identity().map_err(failed)?;
    let warnings = place.dir.warnings().iter().cloned().chain(warning).collect();
    // An appender opens by path. This path leads to the file that was judged, whatever has its name by now.
    let builder = RollingFileAppender::builder().rotation(AppenderRotation::NEVER);
    let appender = builder.filename_prefix(file.as_raw_fd().to_string()).build("/proc/self/fd").map_err(|error| {
        let cause = std::error::Error::source(&error).map(ToString::to_string);
        failed(io::Error::other(cause.unwrap_or_else(|| error.to_string())))
    })?;
    Ok((Open { appender, size: about.size(), identity, directory, place }, warnings))
}

fn cannot(what: &str, path: &Path, denied: &Denied) -> String {
    let shown = Escaped(path.as_os_str().as_bytes());
    match denied {
        Denied::Io(at, error) if at == path => format!("cannot {what} the log `{shown}`: {error}"),
        denied => format!("cannot {what} the log `{shown}`: {denied}"),
    }
}

/// Writes everything. Fails with the number of bytes that were written before the error.
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
