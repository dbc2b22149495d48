//! `janitor run`: the daemon with its doors.

use std::net::SocketAddr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info, warn};

use super::load::{BUILT_IN, Loaded, NO_TARGET, load_silently};
use super::output::complain;
use super::{Done, Exit};
use crate::admin::{self, Access, Bound, Bulletin, Served, Token};
use crate::clock;
use crate::config::{AdminSettings, Settings};
use crate::daemon::{Applied, Daemon, LogHealth, News, Start, Stopped, Surface, sweeper};
use crate::fsys::Trust;
use crate::history::Store;
use crate::logging::{self, Logging, Terminal};
use crate::names::Escaped;

/// How long the admin port may take to finish its answers when the daemon has ended.
const LAST_ANSWERS: Duration = Duration::from_millis(200);

/// What reloads and SIGHUP act upon.
struct Doors {
    logging: Logging,
    /// What the config said at start, since a new address or socket waits for a restart.
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

/// The token that opens the door, if the config names a file for one.
pub(super) fn token(admin: &AdminSettings) -> Result<Option<Token>, String> {
    let trust = Trust::of_process();
    admin.token_file.as_deref().map(|file| Token::read(file, &trust).map_err(|error| error.to_string())).transpose()
}

/// Runs the daemon until it is told to stop.
pub(super) fn run(config: Option<&Path>) -> Done {
    let Loaded { config, source, text } = load_silently(config, |_| {})?;
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
    let state = Store::open(&settings.state_dir, clock::wall()).map_err(|in_use| {
        error!("{in_use}");
        Exit::Failed
    })?;
    let (bound, access) = open_doors(&settings.admin)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        error!("Cannot start: {error}");
        Exit::Failed
    })?;
    let bulletin = Bulletin::new(clock::wall(), settings.zone.tz.clone());
    let state_dir = settings.state_dir.clone();
    let served = (state_dir.clone(), bulletin.clone());
    let AdminSettings { listen, socket, .. } = settings.admin.clone();
    let sweeper = sweeper(state_dir.clone());
    let surface = Box::new(Doors { logging, listen, socket, state_dir, access: access.clone(), bulletin });
    let daemon = Daemon::new(Start { config, source, text, surface, log: health, sweeper, state });
    let stopped = runtime.block_on(async {
        let handle = daemon.handle();
        let ended = handle.clone();
        let shutdown = async move { ended.shutdown_begun().await };
        let (state_dir, bulletin) = served;
        let doors = tokio::spawn(admin::serve(bound, Served { handle, bulletin, state_dir }, access, shutdown));
        let stopped = daemon.run().await;
        // Answers that are late are not waited for; that is no failure.
        drop(tokio::time::timeout(LAST_ANSWERS, doors).await);
        stopped
    });
    // A thread that hangs in a system call must not keep the process.
    runtime.shutdown_background();
    match stopped {
        Ok(Stopped::Cleanly) => Ok(()),
        Ok(Stopped::Forced) => Err(Exit::Failed),
        Err(error) => {
            error!("Cannot listen for signals: {error}");
            Err(Exit::Failed)
        }
    }
}

/// Takes the port and the socket, as far as the config wants them.
fn open_doors(settings: &AdminSettings) -> Result<(Vec<Bound>, Access), Exit> {
    let token = token(settings).map_err(|error| {
        error!("{error}");
        Exit::Config
    })?;
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
            // The sweeping does not depend on it.
            Err(error) => warn!("There is no admin socket: {error}"),
        }
    }
    Ok((doors, Access::new(token)))
}
