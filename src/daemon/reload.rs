//! Reloading the config. A task watches the file, waits for quiet, reads until the text is stable, checks it and passes
//! it on. The supervisor decides whether the config is put in force.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::handle::{Refusal, Reloaded};
use super::watch::Watcher;
use super::worker::Worker;
use crate::clock::{self, ZoneFiles};
use crate::config::{self, Config, Env};

/// Time without a change after which a save is over …
const QUIET: Duration = Duration::from_millis(250);
/// … or, when changes do not stop, longest wait.
const PATIENCE: Duration = Duration::from_secs(2);
/// Time between two equal readings that are taken for the whole file.
const SETTLE: Duration = Duration::from_millis(50);
/// Most repeated readings of a file that keeps changing; the last one is used.
const READINGS: usize = 20;
/// Time between looks at the file without a hint of a change: network and overlay file systems give no hints.
const POLL: Duration = Duration::from_secs(30);
/// Longest wait of a reload request for a file system.
const LATE: Duration = Duration::from_secs(10);

/// Origin of the config.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path of the file, absolute. The file may not exist.
    pub file: PathBuf,
    /// Path of the file as shown to people.
    pub shown: String,
    /// Environment in which the config is read, with that file.
    pub env: Env,
}

/// Content of the file, or the reason why it is not known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Text(Arc<str>),
    /// The file does not exist.
    Absent(String),
    Unreadable(String),
}

impl Source {
    pub(super) fn read(&self) -> Reading {
        match config::read(&self.file) {
            Ok(read) => Reading::Text(read.text.into()),
            Err(error) if error.is_not_found() => Reading::Absent(error.to_string()),
            Err(error) => Reading::Unreadable(error.to_string()),
        }
    }

    /// Reads until two readings in a row are equal, so that half a save is not taken for the whole.
    fn read_stable(&self) -> Reading {
        let mut reading = self.read();
        for _ in 0..READINGS {
            std::thread::sleep(SETTLE);
            let again = self.read();
            if again == reading {
                break;
            }
            reading = again;
        }
        reading
    }
}

/// Problems of a config: one line each, and all of them formatted for people.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) problems: Vec<String>,
    pub(super) shown: String,
}

/// Most bytes of the formatted problems.
const SHOWN: usize = 32 << 10;

impl From<&str> for Wrong {
    fn from(why: &str) -> Self {
        Self { problems: vec![why.to_owned()], shown: why.to_owned() }
    }
}

impl From<config::Problems> for Wrong {
    fn from(found: config::Problems) -> Self {
        let mut shown = found.render(false);
        if shown.len() > SHOWN {
            shown.truncate(shown.floor_char_boundary(SHOWN));
            shown.push('…');
        }
        Self { problems: found.lines(), shown }
    }
}

/// Channel for the result of a reload request.
pub(super) type Answer = oneshot::Sender<Result<Reloaded, Refusal>>;

/// Reading of the config, as the task passes it on.
pub(super) struct Found {
    pub(super) reading: Reading,
    /// Checked config, or its problems; `None` when there was no text to check.
    pub(super) checked: Option<Result<Config, Wrong>>,
    pub(super) answer: Option<Answer>,
}

/// Result of one round of the task.
struct Look {
    watch: Result<(), String>,
    reading: Reading,
    zones: ZoneFiles,
}

/// State of the task.
struct Reloader {
    source: Source,
    worker: Worker,
    watcher: Arc<Mutex<Watcher>>,
    asked: mpsc::Receiver<Option<Answer>>,
    /// Request that the current round serves: `Some(None)` is one that does not wait for an answer.
    request: Option<Option<Answer>>,
    last: Reading,
    /// Names of the time zones in the last good config.
    zone_names: BTreeSet<String>,
    zones: ZoneFiles,
}

/// State with which the task begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// Last reading.
    pub(super) reading: Reading,
    /// Names of the time zones in the last good config.
    pub(super) zones: BTreeSet<String>,
}

/// Runs the task, until its request channel is closed.
pub(super) async fn reloader(
    source: Source,
    in_force: Known,
    asked: mpsc::Receiver<Option<Answer>>,
    found: mpsc::Sender<Found>,
) {
    let Known { reading: last, zones: zone_names } = in_force;
    let zones = ZoneFiles::look(zone_names.iter().map(String::as_str));
    let worker = Worker::start("config");
    let (hint, mut hints) = mpsc::channel(1);
    let watcher = Arc::new(Mutex::new(Watcher::new(hint)));
    let mut task = Reloader { source, worker, watcher, asked, request: None, last, zone_names, zones };
    let mut told_no_watch = false;
    loop {
        let Look { watch, reading, zones } = task.look().await;
        if let Err(problem) = &watch
            && !std::mem::replace(&mut told_no_watch, true)
        {
            warn!("Cannot watch the config file, looking at it every {} s instead: {problem}", POLL.as_secs());
        }
        if task.request.is_some() || reading != task.last || zones != task.zones {
            task.last = reading.clone();
            let checked = task.check(reading.clone()).await;
            task.zones = zones;
            if let Some(Ok(config)) = &checked {
                task.go_by_zones_of(config).await;
            }
            let answer = task.request.take().flatten();
            if found.send(Found { reading, checked, answer }).await.is_err() {
                return;
            }
        }
        task.request = None;
        tokio::select! {
            wish = task.asked.recv() => match wish {
                Some(wish) => task.request = Some(wish),
                None => return,
            },
            _ = hints.recv() => task.request = wait_for_quiet(&mut hints, &mut task.asked).await,
            () = sleep(POLL) => {}
        }
    }
}

/// Returns the names of the time zones that a config uses.
pub(super) fn zone_names_of(config: &Config) -> BTreeSet<String> {
    let zones = config.targets.iter().map(|target| &target.zone).chain([&config.settings.zone]);
    zones.map(|zone| zone.name.clone()).collect()
}

/// Waits until a save is over. A request that arrives meanwhile is returned at once.
async fn wait_for_quiet(
    hints: &mut mpsc::Receiver<()>,
    asked: &mut mpsc::Receiver<Option<Answer>>,
) -> Option<Option<Answer>> {
    let quiet = async { while timeout(QUIET, hints.recv()).await.is_ok() {} };
    tokio::select! {
        wish = asked.recv() => wish,
        _ = timeout(PATIENCE, quiet) => None,
    }
}

impl Reloader {
    /// Arms a new watch and reads after that, so that no change can fall between.
    async fn look(&mut self) -> Look {
        let (source, last, settle) = (self.source.clone(), self.last.clone(), self.request.is_some());
        let (names, watcher) = (self.zone_names.clone(), self.watcher.clone());
        let work = move || {
            let watch = watcher.lock().unwrap_or_else(PoisonError::into_inner).arm(&source.file);
            let zones = ZoneFiles::look(names.iter().map(String::as_str));
            let reading = source.read();
            // An unchanged reading needs no second look.
            let reading = if reading == last && !settle { reading } else { source.read_stable() };
            Look { watch, reading, zones }
        };
        self.patiently(work).await.unwrap_or_else(|why| {
            let reading = Reading::Unreadable(format!("the config cannot be read: {why}"));
            Look { watch: Err(why), reading, zones: self.zones.clone() }
        })
    }

    /// Checks a reading; `None` when it has no text.
    async fn check(&mut self, reading: Reading) -> Option<Result<Config, Wrong>> {
        let Reading::Text(text) = reading else { return None };
        let source = self.source.clone();
        let work = move || {
            clock::forget_zones();
            config::check(&text, &source.shown, &source.env).map_err(Wrong::from)
        };
        let checked = self.patiently(work).await;
        // A check that panicked must not pass for one that found no problem.
        Some(checked.unwrap_or_else(|why| Err(format!("the config could not be checked: {why}").as_str().into())))
    }

    /// Watches the files of the time zones of this config from now on.
    async fn go_by_zones_of(&mut self, config: &Config) {
        let names = zone_names_of(config);
        if names == self.zone_names {
            return;
        }
        self.zone_names.clone_from(&names);
        let looked = self.patiently(move || ZoneFiles::look(names.iter().map(String::as_str))).await;
        // If the look failed, the next one differs, and the config is checked once more.
        self.zones = looked.unwrap_or_default();
    }

    /// Runs `work` on the worker thread, which may wait for a disk. If that takes long, reload requests are refused
    /// instead of waiting, too.
    async fn patiently<T: Send + 'static>(&mut self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, String> {
        let Self { worker, asked, request, source, .. } = self;
        let mut work = std::pin::pin!(worker.run(work));
        let mut late = false;
        loop {
            tokio::select! {
                done = &mut work => return done,
                () = sleep(LATE), if !late => {
                    late = true;
                    warn!("`{}` or what it names does not answer: the config is still being read", source.shown);
                    refuse(request.take());
                }
                Some(wish) = asked.recv(), if late => match wish {
                    Some(answer) => refuse(Some(Some(answer))),
                    None => *request = Some(None),
                },
            }
        }
    }
}

/// Refuses a reload request as late.
fn refuse(request: Option<Option<Answer>>) {
    if let Some(answer) = request.flatten() {
        // The requester may have gone.
        drop(answer.send(Err(Refusal::Late)));
    }
}
