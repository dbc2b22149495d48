//! Reading the config again: a task that watches, waits for quiet, reads until what it reads is stable, checks, and
//! hands on what it found. Whether that is put in force, the supervisor decides.

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};
use tokio::time::{sleep, timeout};
use tracing::warn;

use super::handle::{Refusal, Reloaded};
use super::watch::{self, Watch};
use crate::config::{self, Config, Env};

/// A save is over when nothing has happened for this long …
const QUIET: Duration = Duration::from_millis(250);
/// … or, when it does not come to rest, after this long.
const PATIENCE: Duration = Duration::from_secs(2);
/// Two equal readings this far apart are taken for the whole file.
const SETTLE: Duration = Duration::from_millis(50);
/// How often a file that keeps changing is read before the last reading is taken.
const READINGS: usize = 20;
/// How often the file is looked at though nothing hinted at a change: network and overlay file systems give no hints.
const POLL: Duration = Duration::from_secs(30);

/// Where the config comes from.
#[derive(Clone, Debug)]
pub struct Source {
    /// The file, absolute. It may not exist.
    pub file: PathBuf,
    /// The file as people know it.
    pub shown: String,
    /// The environment that it is read in, with that file.
    pub env: Env,
}

/// What is in the file, or why that cannot be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Text(String),
    /// There is no file.
    Absent(String),
    Unreadable(String),
}

impl Source {
    pub(super) fn read(&self) -> Reading {
        match config::read(&self.file) {
            Ok(read) => Reading::Text(read.text),
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

/// What is wrong with a config: one line for each problem, and all of it for people.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) problems: Vec<String>,
    pub(super) shown: String,
}

/// The most of it that is kept for people, in bytes.
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

/// Who asked for a reload and waits for what became of it.
pub(super) type Answer = oneshot::Sender<Result<Reloaded, Refusal>>;

/// What the task found.
pub(super) struct Found {
    pub(super) reading: Reading,
    /// The checked config, or its problems; `None` when there was no text to check.
    pub(super) checked: Option<Result<Config, Wrong>>,
    pub(super) answer: Option<Answer>,
}

/// The task. Ends when the supervisor is gone.
pub(super) async fn reloader(
    source: Source,
    in_force: Reading,
    mut asked: mpsc::Receiver<Option<Answer>>,
    found: mpsc::Sender<Found>,
) {
    let (hint, mut hints) = mpsc::channel(1);
    let mut last = in_force;
    let mut told_no_watch = false;
    let mut request: Option<Option<Answer>> = None;
    loop {
        let Some((watch, reading)) = look(&source, hint.clone(), last.clone(), request.is_some()).await else { return };
        if let Err(problem) = &watch
            && !std::mem::replace(&mut told_no_watch, true)
        {
            warn!("Cannot watch the config file, looking at it every {} s instead: {problem}", POLL.as_secs());
        }
        if request.is_some() || reading != last {
            last = reading.clone();
            let checked = check(&source, reading.clone()).await;
            let answer = request.take().flatten();
            if found.send(Found { reading, checked, answer }).await.is_err() {
                return;
            }
        }
        request = None;
        tokio::select! {
            wish = asked.recv() => match wish {
                Some(wish) => request = Some(wish),
                None => return,
            },
            _ = hints.recv() => request = wait_for_quiet(&mut hints, &mut asked).await,
            () = sleep(POLL) => {}
        }
    }
}

/// Waits until a save is over. A request that comes meanwhile is returned at once.
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

/// Arms a new watch and reads after that, so that nothing can fall between. On a thread that may block: the file may
/// lie on a file system that hangs.
async fn look(
    source: &Source,
    hint: mpsc::Sender<()>,
    last: Reading,
    settle: bool,
) -> Option<(Result<Watch, String>, Reading)> {
    let source = source.clone();
    let work = move || {
        let watch = watch::arm(&source.file, hint);
        let reading = source.read();
        // What is as it was needs no second look.
        if reading == last && !settle { (watch, reading) } else { (watch, source.read_stable()) }
    };
    tokio::task::spawn_blocking(work).await.ok()
}

/// Checks what was read; `None` when there was no text.
async fn check(source: &Source, reading: Reading) -> Option<Result<Config, Wrong>> {
    let Reading::Text(text) = reading else { return None };
    let source = source.clone();
    let work = move || config::check(&text, &source.shown, &source.env).map_err(Wrong::from);
    let checked = tokio::task::spawn_blocking(work).await;
    // A check that panicked must not pass for one that found nothing.
    Some(checked.unwrap_or_else(|error| Err(format!("the config could not be checked: {error}").as_str().into())))
}
