//! `janitor run`: the daemon with its doors.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info, warn};

use super::load::{Loaded, load};
use super::output::complain;
use super::{Done, Exit};
use crate::admin::{self, Access, Bound, Bulletin, Served, Token};
use crate::clock;
use crate::config::{AdminSettings, Settings};
use crate::daemon::{Applied, Daemon, LogHealth, News, Start, Stopped, Surface, sweeper};
use crate::history::Store;
use crate::logging::{self, Logging, Terminal};
use crate::names::OneLine;

/// How long the admin port may take to finish its answers when the daemon has ended.
const LAST_ANSWERS: Duration = Duration::from_millis(200);

/// What reloads and SIGHUP act upon.
struct Doors {
    logging: Logging,
    /// What the config said at start, since a new address waits for a restart.
    listen: Option<SocketAddr>,
    state_dir: PathBuf,
    access: Option<Access>,
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
        if settings.state_dir != self.state_dir {
            applied.needs_restart.push("state_dir".to_owned());
        }
        if let Some(access) = &self.access {
            match token(&settings.admin) {
                Ok(token) => access.set_token(token),
                Err(error) => applied.failed.push(format!("admin.token_file: {error}")),
            }
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
    admin.token_file.as_deref().map(|file| Token::read(file).map_err(|error| error.to_string())).transpose()
}

/// Runs the daemon until it is told to stop.
pub(super) fn run(config: Option<&Path>) -> Done {
    let Loaded { config, source, text } = load(config)?;
    let health = Arc::new(LogHealth::default());
    let settings = &config.settings;
    let logging = logging::install(&settings.log, &settings.zone.tz, health.clone(), Terminal::Shown);
    let logging = logging.map_err(|error| {
        complain(format_args!("cannot set up the log: {error}"));
        Exit::Failed
    })?;
    let from =
        if text.is_some() { OneLine(&source.shown).to_string() } else { "built in, there is no file".to_owned() };
    info!("janitor {} starts, config: {from}", env!("CARGO_PKG_VERSION"));
    let state = Store::open(&settings.state_dir, clock::wall()).map_err(|in_use| {
        error!("{in_use}");
        Exit::Failed
    })?;
    let door = open_door(&settings.admin)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|error| {
        error!("Cannot start: {error}");
        Exit::Failed
    })?;
    let access = door.as_ref().map(|(_, access)| access.clone());
    let bulletin = Bulletin::new(clock::wall(), settings.zone.tz.clone());
    let state_dir = settings.state_dir.clone();
    let served = (state_dir.clone(), bulletin.clone());
    let doors = Doors { logging, listen: settings.admin.listen, state_dir, access, bulletin };
    let surface = Box::new(doors);
    let daemon = Daemon::new(Start { config, source, text, surface, log: health, sweeper: sweeper(), state });
    let stopped = runtime.block_on(async {
        let handle = daemon.handle();
        let door = door.map(|(bound, access)| {
            let ended = handle.clone();
            let shutdown = async move { ended.shutdown_begun().await };
            let (state_dir, bulletin) = served;
            tokio::spawn(admin::serve(bound, Served { handle, bulletin, state_dir }, access, shutdown))
        });
        let stopped = daemon.run().await;
        if let Some(door) = door {
            // Answers that are late are not waited for; that is no failure.
            drop(tokio::time::timeout(LAST_ANSWERS, door).await);
        }
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

fn open_door(settings: &AdminSettings) -> Result<Option<(Bound, Access)>, Exit> {
    let token = token(settings).map_err(|error| {
        error!("{error}");
        Exit::Config
    })?;
    let Some(listen) = settings.listen else {
        info!("Admin port is off");
        return Ok(None);
    };
    let bound = admin::bind(listen).map_err(|error| {
        error!("{error}");
        Exit::Failed
    })?;
    let address = bound.address();
    info!("Admin port listening on {address}");
    if !address.ip().to_canonical().is_loopback() {
        warn!(
            "The admin port can be reached from elsewhere, and speaks plain HTTP: put a reverse proxy with TLS before it"
        );
    }
    Ok(Some((bound, Access::new(address, token))))
}
