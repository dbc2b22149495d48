//! The port as its clients see it: bytes over real connections, with a supervisor that does what a test says.

mod callers;
mod life;
mod limits;
mod log;
mod reply;
mod routes;
mod socket;
mod wall;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::Value;
use tokio::sync::{oneshot, watch};
use tracing_subscriber::layer::SubscriberExt;

use log::Log;
use reply::{Reply, panic_with, read_all, read_to_end, replies};

use hyper_util::server::graceful::GracefulShutdown;

use super::caller::Who;
use super::places::Places;
use super::wall::Wall;
use super::*;
use crate::clock;
use crate::daemon::fake::{self, Supervisor};
use crate::daemon::{
    AtWork, Busy, ConfigStatus, LogHealth, ManualRuns, Refusal, Reloaded, StartedRun, Status, Switched, TargetState,
    TargetStatus,
};
use crate::entry::ActionKind;
use crate::names::{RunId, TargetName};
use crate::report::{Counts, Failures, Outcome, Report, Trigger};

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// 2024-09-24 22:00 in UTC.
const INSTANT: i64 = 1_727_215_200;

fn instant() -> Timestamp {
    Timestamp::from_second(INSTANT).unwrap()
}

fn name(text: &str) -> TargetName {
    TargetName::new(text).unwrap()
}

/// A target as the status has it.
fn target(text: &str, state: TargetState) -> TargetStatus {
    TargetStatus {
        name: name(text),
        written_path: format!("dir/{text}"),
        schedule: "0 2 * * *".into(),
        zone_name: "local".into(),
        enabled: state != TargetState::Disabled,
        next_run: (state != TargetState::Disabled).then(|| instant() + jiff::SignedDuration::from_hours(2)),
        is_paused: state == TargetState::Paused,
        state,
        running: None,
        last_run: None,
        last_success: None,
        last_due: None,
        last_measured: None,
        skipped_ticks: 0,
    }
}

fn status() -> Status {
    Status {
        started: instant(),
        started_mark: clock::mark(),
        zone: TimeZone::fixed(jiff::tz::offset(2)),
        is_running: true,
        shutting_down: false,
        targets: vec![target("uploads", TargetState::Scheduled), target("marked_images", TargetState::Scheduled)],
        config: ConfigStatus {
            path: Some("config/janitor.toml".into()),
            generation: 1,
            in_force_since: instant(),
            rejection: None,
            needs_restart: Vec::new(),
            not_applied: Vec::new(),
        },
        state: Arc::default(),
        holds: Vec::new(),
        clock: None,
        stop_unknown: None,
        stop_not_kept: None,
        dead_tasks: Default::default(),
        log: Arc::new(LogHealth::default()),
    }
}

fn report(target: &str, outcome: Outcome) -> Report {
    let mut failures = Failures::default();
    if outcome == Outcome::Partial {
        failures.add("Permission denied", "secret-name.png");
    }
    Report {
        run: RunId::new(instant()),
        target: name(target),
        trigger: Trigger::Manual,
        action: ActionKind::Delete,
        dry_run: false,
        started: instant(),
        took: Duration::from_millis(1500),
        outcome,
        counts: Counts {
            verified: 0,
            examined: 7,
            candidates: 6,
            eligible: 16_384,
            deleted: 3,
            freed: 12_288,
            estimated: 0,
            unseen: 0,
            failed: 1,
            kept: 2,
            skipped_directories: 1,
            vanished: 0,
            directories: 0,
        },
        failures,
        held: None,
        root: None,
        sandbox: None,
        stalled: None,
        message: (outcome == Outcome::Failed).then(|| "the directory is gone".into()),
        skipped: false,
        unmet: std::collections::BTreeMap::new(),
        remarks: Vec::new(),
        hints: Vec::new(),
    }
}

/// A run that has ended already.
fn ran(report: Report) -> StartedRun {
    let (done, receiver) = oneshot::channel();
    let (run, target) = (report.run.clone(), report.target.clone());
    done.send(Arc::new(report)).unwrap();
    StartedRun { run, target, done: receiver }
}

type Answers<T> = Box<dyn FnMut(Option<String>, bool) -> Result<T, Refusal> + Send>;

/// A supervisor that answers as a test says, and notes what it was told.
struct Script {
    told: Arc<Mutex<Vec<String>>>,
    manual: Answers<ManualRuns>,
    switch: Answers<Switched>,
    reload: Answers<Reloaded>,
}

impl Script {
    fn note(&self, line: String) {
        self.told.lock().unwrap().push(line);
    }
}

impl Supervisor for Script {
    fn manual(&mut self, target: Option<String>, dry_run: bool) -> Result<ManualRuns, Refusal> {
        self.note(format!("manual {target:?} {dry_run}"));
        (self.manual)(target, dry_run)
    }
    fn start(&mut self, target: Option<String>) -> Result<Switched, Refusal> {
        self.note(format!("start {target:?}"));
        (self.switch)(target, true)
    }
    fn stop(&mut self, target: Option<String>, at_work: AtWork) -> Result<Switched, Refusal> {
        let cancels = if at_work == AtWork::Stops { " cancel" } else { "" };
        self.note(format!("stop {target:?}{cancels}"));
        (self.switch)(target, false)
    }
    fn reload(&mut self) -> Result<Reloaded, Refusal> {
        self.note("reload".into());
        (self.reload)(None, false)
    }
}

/// How a test wants the port.
struct Setup {
    server: Server,
    listen: &'static str,
    /// Treats the port as one that is not on loopback.
    beyond: bool,
    /// Whether `localhost` means the port.
    localhost: bool,
    token: bool,
    status: Status,
    script: Script,
}

impl Default for Setup {
    fn default() -> Self {
        let trusted = vec![0, rustix::process::geteuid().as_raw()];
        let script = Script {
            told: Arc::default(),
            manual: Box::new(|target, _| {
                let started = vec![ran(report(target.as_deref().unwrap_or("marked_images"), Outcome::Done))];
                Ok(ManualRuns { started, busy: Vec::new() })
            }),
            switch: Box::new(|_, _| Ok(Switched::Changed)),
            reload: Box::new(|_, _| Ok(Reloaded { generation: 2, added: 1, any_change: true, ..Reloaded::default() })),
        };
        Self {
            server: Server { limits: Limits::DEFAULT, trusted, lookup: PeerUidLookup::new() },
            listen: "127.0.0.1:0",
            beyond: false,
            localhost: true,
            token: false,
            status: status(),
            script,
        }
    }
}

/// A port that is served on a thread of its own, until this is dropped.
struct Port {
    address: SocketAddr,
    socket: PathBuf,
    access: Access,
    told: Arc<Mutex<Vec<String>>>,
    log: Log,
    publish: watch::Sender<Arc<Status>>,
    _state: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Setup {
    fn open(self) -> Port {
        let mut port = bind(self.listen.parse().unwrap()).unwrap();
        let address = port.address().unwrap();
        if self.beyond {
            port.wall = Wall::Beyond;
        } else if !self.localhost {
            port.wall = Wall::of(address, false);
        }
        let access = Access::new(self.token.then(|| token(TOKEN)));
        let told = self.script.told.clone();
        let (handle, publish) = fake::handle(self.status, self.script);
        let (stop, stopped) = oneshot::channel();
        let (log, state) = (Log::default(), tempfile::tempdir().unwrap());
        let bulletin = Bulletin::new(instant(), TimeZone::UTC);
        let state_dir = state.path().to_path_buf();
        let socket = state_dir.join("admin.sock");
        let bound = vec![port, bind_socket(&socket).unwrap()];
        let served = Served { handle, bulletin, state_dir, settler: Default::default() };
        let also = access.clone();
        let subscriber = tracing_subscriber::registry().with(log.clone());
        let thread = std::thread::spawn(move || {
            tracing::subscriber::with_default(subscriber, || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime
                    .block_on(self.server.serve(bound, served, also, async { stopped.await.unwrap_or(()) }))
                    .expect("it serves to its end");
            });
        });
        Port { address, socket, access, told, log, publish, _state: state, stop: Some(stop), thread: Some(thread) }
    }
}

fn open() -> Port {
    Setup::default().open()
}

fn token(text: &str) -> Token {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, text).unwrap();
    std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).unwrap();
    Token::read(&file, &crate::fsys::Trust::of_process()).unwrap()
}

impl Drop for Port {
    fn drop(&mut self) {
        self.stop.take();
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking(), "the server panicked");
    }
}

impl Port {
    fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).unwrap()
    }

    /// Sends bytes and reads the one answer. The server must close, be it because the request asks for that.
    fn raw(&self, bytes: &[u8]) -> Option<Reply> {
        let mut stream = self.connect();
        // It may have closed before everything was sent.
        stream.write_all(bytes).ok();
        let mut replies = replies(&read_all(&stream), true);
        assert!(replies.len() <= 1, "{replies:?}");
        replies.pop()
    }

    /// Sends `GET /path` with our Host and these headers.
    fn send(&self, line: &str, headers: &str) -> Reply {
        let request = format!("{line} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}\r\n", self.address);
        self.raw(request.as_bytes()).expect("an answer")
    }

    /// The same over the socket, with exactly these headers.
    fn through_socket(&self, line: &str, headers: &str) -> Reply {
        let mut stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        stream.write_all(format!("{line} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n").as_bytes()).ok();
        replies(&read_to_end(&stream), true).pop().expect("an answer")
    }

    fn get(&self, path: &str) -> Reply {
        self.send(&format!("GET {path}"), "")
    }

    fn post(&self, path: &str) -> Reply {
        self.send(&format!("POST {path}"), "")
    }

    fn told(&self) -> Vec<String> {
        std::mem::take(&mut *self.told.lock().unwrap())
    }
}
