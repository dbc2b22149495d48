//! `janitor run`: the daemon with its doors.

use std::io;
use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use tracing::{error, info, warn};

use super::load::{BUILT_IN, Loaded, NO_TARGET, load_silently};
use super::output::complain;
use super::{Done, Exit};
use crate::admin::{self, Access, Bound, Bulletin, Served, Token};
use crate::clock;
use crate::config::{AdminSettings, Settings};
use crate::daemon::{Applied, Daemon, LogHealth, News, Signals, Start, Stopped, Surface, sweeper};
use crate::fsys::{self, Opening, Trust};
use crate::history::{self, Opened};
use crate::logging::{self, Logging, Terminal};
use crate::names::Escaped;

/// Time that the admin port has to finish its answers when the daemon has ended.
const LAST_ANSWERS: Duration = Duration::from_millis(200);

/// The parts that reloads and SIGHUP act upon.
struct Doors {
    logging: Logging,
    /// Values in the config at start, since a new address or socket waits for a restart.
    listen: Option<SocketAddr>,
    socket: Option<PathBuf>,
    state_dir: PathBuf,
    access: Access,
    bulletin: Bulletin,
}

impl Surface for Doors {
    fn apply(&mut self, settings: &Settings) -> Applied {
        let mut applied = Applied::default();
        if let Err(error) = self.logging.apply(&settings.log, &settings.zone.tz) {
            applied.failed.push(format!("[log]: {error}"));
        }
        if settings.admin.listen != self.listen {
            applied.needs_restart.push("admin.listen".to_owned());
        }
        if settings.admin.socket != self.socket {
            applied.needs_restart.push("admin.socket".to_owned());
        }
        if settings.state_dir != self.state_dir {
            applied.needs_restart.push("state_dir".to_owned());
        }
        match token(&settings.admin) {
            Ok(token) => self.access.set_token(token),
            Err(error) => applied.failed.push(format!("admin.token_file: {error}")),
        }
        self.bulletin.set_zone(settings.zone.tz.clone());
        applied
    }

    fn look_after_log(&mut self) {
        self.logging.look_after();
    }

    fn reopen_log(&mut self) {
        self.logging.reopen();
    }

    fn tell(&mut self, news: News<'_>) {
        self.bulletin.tell(news);
    }
}

/// Reads the token that opens the door, if the config names a file for one.
pub(super) fn token(admin: &AdminSettings) -> Result<Option<Token>, String> {
    let trust = Trust::of_process();
    admin.token_file.as_deref().map(|file| Token::read(file, &trust).map_err(|error| error.to_string())).transpose()
}

/// Runs the daemon until it is told to stop.
pub(super) fn run(config: Option<&Path>) -> Done {
    let cannot = |error: io::Error| {
        complain(format_args!("cannot start: {error}"));
        Exit::Failed
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(cannot)?;
    let config = config.map(Path::to_path_buf);
    let done = runtime.block_on(async {
        // This comes first of all: a signal may come while the config is read.
        let mut signals = Signals::listen().map_err(cannot)?;
        // The start has a thread of its own, so that a stop ends a start that waits for a disk.
        let (ready, made) = oneshot::channel();
        let start = move || drop(ready.send(start(config.as_deref())));
        std::thread::Builder::new().name("start".to_owned()).spawn(start).map_err(cannot)?;
        tokio::select! {
            started = made => serve(started.unwrap_or(Err(Exit::Failed))?, signals).await,
            () = signals.stop() => Ok(()),
        }
    });
    // A thread that hangs in a system call must not keep the process.
    runtime.shutdown_background();
    done
}

/// The parts that a daemon is made from.
struct Started {
    loaded: Loaded,
    logging: Logging,
    health: Arc<LogHealth>,
    state: Opened,
    bound: Vec<Bound>,
    access: Access,
}

/// Reads the config and the state, and opens the log and the doors.
fn start(config: Option<&Path>) -> Result<Started, Exit> {
    let loaded = load_silently(config, |_| {})?;
    let Loaded { config, source, text } = &loaded;
    let health = Arc::new(LogHealth::default());
    let settings = &config.settings;
    let logging = logging::install(&settings.log, &settings.zone.tz, health.clone(), Terminal::Shown);
    let logging = logging.map_err(|error| {
        complain(format_args!("cannot set up the log: {error}"));
        Exit::Failed
    })?;
    let from =
        if text.is_some() { Escaped(source.file.as_os_str().as_bytes()).to_string() } else { BUILT_IN.to_owned() };
    info!("janitor {} starts, config: {from}", env!("CARGO_PKG_VERSION"));
    if config.targets.is_empty() {
        warn!("{NO_TARGET}");
    }
    if fsys::opening() == Opening::Openat {
        info!("Below a target, directories are opened with {}", Opening::Openat);
    }
    if let Some(why) = fsys::unconfinable() {
        warn!("No sweep has a sandbox: {why}");
    }
    let state = history::open(&settings.state_dir).map_err(|in_use| {
        error!("{in_use}");
        Exit::Failed
    })?;
    let (bound, access) = open_doors(&settings.admin)?;
    Ok(Started { loaded, logging, health, state, bound, access })
}

/// Runs the daemon until it is told to stop.
async fn serve(started: Started, signals: Signals) -> Done {
    let Started { loaded: Loaded { config, source, text }, logging, health, state, bound, access } = started;
    let settings = &config.settings;
    let bulletin = Bulletin::new(clock::wall(), settings.zone.tz.clone());
    let state_dir = settings.state_dir.clone();
    let admin = settings.admin.clone();
    let AdminSettings { listen, socket, .. } = admin.clone();
    let sweeper = sweeper(state_dir.clone());
    let served = (state_dir.clone(), bulletin.clone());
    let surface = Box::new(Doors { logging, listen, socket, state_dir, access: access.clone(), bulletin });
    let daemon =
        Daemon::new(Start { config, source, text, surface, log: health, sweeper, state }).map_err(|error| {
            error!("Cannot start: {error}");
            Exit::Failed
        })?;
    let (state_dir, bulletin) = served;
    let served = Served { handle: daemon.handle(), bulletin, state_dir, settler: daemon.settler() };
    let doors = tokio::spawn(keep_doors(admin, bound, served, access));
    // The memory for reading the config is not needed any more.
    fsys::give_back_memory();
    // Signals are handled and the doors are open: from here on systemd may reload the daemon (`Type=notify`).
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Ready]) {
        warn!("Cannot tell systemd that the daemon is ready: {error}");
    }
    let stopped = daemon.run(signals).await;
    // Late answers are not waited for; that is no failure.
    drop(tokio::time::timeout(LAST_ANSWERS, doors).await);
    match stopped {
        Stopped::Cleanly => Ok(()),
        Stopped::Forced => Err(Exit::Failed),
    }
}

/// Name of the task that answers, in the status and the log.
const DOORS: &str = "admin port and socket";

/// Pauses before an answering task that died is started anew: the first one, and the longest.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// Answers on the port and the socket until the daemon ends. The answering task is started anew when it dies.
async fn keep_doors(settings: AdminSettings, mut bound: Vec<Bound>, served: Served, access: Access) {
    let [mut pause, longest] = PAUSES;
    loop {
        let ended = served.handle.clone();
        let shutdown = async move { ended.shutdown_begun().await };
        let serving = tokio::spawn(admin::serve(bound, served.clone(), access.clone(), shutdown));
        let why = match serving.await {
            Ok(Ok(())) => return,
            Ok(Err(why)) => why,
            Err(panic) => panic.to_string(),
        };
        if !served.handle.is_alive() {
            return;
        }
        served.handle.note_task(DOORS, Some(why)).await;
        bound = loop {
            tokio::select! {
                () = tokio::time::sleep(pause) => {}
                () = served.handle.shutdown_begun() => return,
            }
            pause = (pause * 2).min(longest);
            if let Ok(bound) = take_doors(&settings) {
                break bound;
            }
        };
        served.handle.note_task(DOORS, None).await;
    }
}

/// Takes the port and the socket, as far as the config wants them, and reads the token.
fn open_doors(settings: &AdminSettings) -> Result<(Vec<Bound>, Access), Exit> {
    let token = token(settings).map_err(|error| {
        error!("{error}");
        Exit::Config
    })?;
    Ok((take_doors(settings)?, Access::new(token)))
}

/// Takes the port and the socket, as far as the config wants them.
fn take_doors(settings: &AdminSettings) -> Result<Vec<Bound>, Exit> {
    let taken = |bound: Result<Bound, admin::BindError>| {
        bound.map_err(|error| {
            error!("{error}");
            Exit::Failed
        })
    };
    let mut doors = Vec::new();
    if let Some(listen) = settings.listen {
        let bound = taken(admin::bind(listen))?;
        for address in bound.addresses() {
            info!("Admin port listening on {address}");
        }
        if let Some(why) = bound.no_localhost() {
            warn!("{why}");
        }
        if bound.is_beyond_loopback() {
            warn!(
                "The admin port can be reached from elsewhere, and speaks plain HTTP: put a reverse proxy with TLS \
                 before it"
            );
        }
        doors.push(bound);
    } else {
        info!("Admin port is off");
    }
    if let Some(path) = &settings.socket {
        match admin::bind_socket(path) {
            Ok(bound) => {
                doors.push(bound);
                info!("Admin socket listening on {}", Escaped(path.as_os_str().as_bytes()));
            }
            // The sweeping does not depend on the socket.
            Err(error) => warn!("There is no admin socket: {error}"),
        }
    }
    Ok(doors)
}
