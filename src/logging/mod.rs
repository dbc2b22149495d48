//! The log: `2024-09-25 02:00:00 - marked_images - INFO - Deleted file: x`, on the terminal and in a file.
//!
//! A record is written before the call that makes it returns, in one piece. The file is found and opened by the rule of
//! trust, and rotated by handle, which no appender at hand does. A log that cannot be written stops nothing.

mod file;
mod record;
mod rotation;
mod terminal;
#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use jiff::tz::TimeZone;
use tracing::level_filters::LevelFilter;
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, SubscriberExt};
use tracing_subscriber::{Layer, Registry};

use crate::clock;
use crate::config::{LogFormat, LogLevel, LogSettings};
use crate::daemon::LogHealth;
use file::LogFile;
use record::Record;
use terminal::TerminalWriter;

thread_local! {
    /// Whether this thread is writing a record.
    static WRITING: Cell<bool> = const { Cell::new(false) };
}

/// Guard that lets the thread write again when dropped, also after a panic.
struct Written;

impl Drop for Written {
    fn drop(&mut self) {
        WRITING.set(false);
    }
}

/// Choice whether records go to the terminal (stderr) too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminal {
    /// Records go to the terminal, too.
    Shown,
    /// Records go only to the file.
    Off,
}

/// The log of this process. Cheap to clone.
#[derive(Clone)]
pub struct Logging {
    shared: Arc<Shared>,
}

struct Shared {
    /// Least level that is written, as [`rank`] counts.
    level: AtomicU8,
    terminal: Option<TerminalWriter>,
    /// Style of the records. It is apart from the file, so that records are put into words side by side and only
    /// written one by one.
    style: RwLock<Style>,
    /// Log file; `None` where the log is only on the terminal.
    file: Mutex<Option<LogFile>>,
    health: Arc<LogHealth>,
}

/// Format and zone of the records.
#[derive(Clone)]
struct Style {
    format: LogFormat,
    zone: TimeZone,
}

impl Style {
    fn line(&self, record: &Record) -> String {
        match self.format {
            LogFormat::Text => record.text(&self.zone),
            LogFormat::Json => record.json(&self.zone),
        }
    }
}

/// Sets up the log for the whole process, and a hook that logs panics. A file that cannot be opened is reported on
/// stderr and in `health`, and tried again.
///
/// # Errors
/// Fails when the process has a log already.
pub fn install(
    settings: &LogSettings,
    zone: &TimeZone,
    health: Arc<LogHealth>,
    terminal: Terminal,
) -> Result<Logging, tracing::subscriber::SetGlobalDefaultError> {
    let logging = Logging::new(settings, zone, health, terminal);
    tracing::subscriber::set_global_default(logging.subscriber())?;
    std::panic::set_hook(Box::new(|panic| {
        let thread = std::thread::current();
        let place = panic.location().map(|place| format!(" at {}:{}", place.file(), place.line())).unwrap_or_default();
        let message = panic.payload_as_str().unwrap_or("no message");
        tracing::error!("Panic in thread {}{place}: {message}", thread.name().unwrap_or("without a name"));
    }));
    Ok(logging)
}

impl Logging {
    fn new(settings: &LogSettings, zone: &TimeZone, health: Arc<LogHealth>, terminal: Terminal) -> Self {
        let file = settings.file.as_deref();
        let file = file.map(|path| LogFile::new(path, settings, zone, health.clone(), clock::wall()));
        let style = RwLock::new(Style { format: settings.format, zone: zone.clone() });
        let level = AtomicU8::new(least(settings.level));
        let terminal = (terminal == Terminal::Shown).then(TerminalWriter::default);
        Self { shared: Arc::new(Shared { level, terminal, style, file: Mutex::new(file), health }) }
    }

    fn subscriber(&self) -> impl Subscriber + Send + Sync + 'static {
        Registry::default().with(self.clone())
    }

    fn file(&self) -> MutexGuard<'_, Option<LogFile>> {
        // A panic while writing leaves the file usable.
        self.shared.file.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Applies new settings.
    ///
    /// # Errors
    /// Fails, with the reason in words, when the new file cannot be opened; everything then stays as it was.
    pub fn apply(&self, settings: &LogSettings, zone: &TimeZone) -> Result<(), String> {
        let now = clock::wall();
        match (&mut *self.file(), &settings.file) {
            (Some(file), Some(path)) => file.apply(path, settings, zone, now)?,
            (file @ None, Some(path)) => {
                file::try_open(path)?;
                *file = Some(LogFile::new(path, settings, zone, self.shared.health.clone(), now));
            }
            (file, None) => {
                *file = None;
                self.shared.health.recovered();
            }
        }
        let style = Style { format: settings.format, zone: zone.clone() };
        *self.shared.style.write().unwrap_or_else(PoisonError::into_inner) = style;
        self.shared.level.store(least(settings.level), Ordering::Relaxed);
        // `tracing` caches the least level that anybody wants.
        tracing::callsite::rebuild_interest_cache();
        Ok(())
    }

    /// Opens the file anew, since somebody may have moved it away.
    pub fn reopen(&self) {
        if let Some(file) = &mut *self.file() {
            file.reopen(clock::wall());
        }
    }

    /// Rotates the file when it is time, since threads that are confined to a target cannot.
    pub fn look_after(&self) {
        if let Some(file) = &mut *self.file() {
            file.prepare(clock::wall());
        }
    }

    fn write(&self, record: &Record) {
        let style = self.shared.style.read().unwrap_or_else(PoisonError::into_inner).clone();
        let line = style.line(record);
        if let Some(file) = &mut *self.file() {
            file.write(record.at, &line, |lost| {
                style.line(&Record::note(record.at, format!("{lost} records could not be written to this file")))
            });
        }
        if let Some(terminal) = &self.shared.terminal {
            terminal.show(&line, |missed| {
                style.line(&Record::note(record.at, format!("{missed} records could not be shown here")))
            });
        }
    }
}

fn is_ours(about: &Metadata<'_>) -> bool {
    about.target() == "janitor" || about.target().starts_with("janitor::")
}

fn rank(level: Level) -> u8 {
    match level {
        Level::ERROR => 3,
        Level::WARN => 2,
        Level::INFO => 1,
        _ => 0,
    }
}

fn least(level: LogLevel) -> u8 {
    match level {
        LogLevel::Error => 3,
        LogLevel::Warning => 2,
        LogLevel::Info => 1,
        LogLevel::Debug => 0,
    }
}

impl<S: Subscriber> Layer<S> for Logging {
    fn register_callsite(&self, about: &'static Metadata<'static>) -> Interest {
        // An interest that is asked for only once would miss a level that changes with the config.
        if is_ours(about) { Interest::sometimes() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(match self.shared.level.load(Ordering::Relaxed) {
            3 => LevelFilter::ERROR,
            2 => LevelFilter::WARN,
            1 => LevelFilter::INFO,
            _ => LevelFilter::TRACE,
        })
    }

    fn enabled(&self, about: &Metadata<'_>, _: Context<'_, S>) -> bool {
        is_ours(about) && rank(*about.level()) >= self.shared.level.load(Ordering::Relaxed)
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        // A panic while a record is written comes back here, from the hook that logs panics. It must not wait for the
        // lock that its own thread holds.
        if !WRITING.replace(true) {
            let _done = Written;
            self.write(&Record::of(event, clock::wall()));
        }
    }
}
