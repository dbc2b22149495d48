//! The program running as a daemon in a yard.

use std::fs::{self, File};
use std::net::SocketAddr;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::client::{Answer, request};
use super::yard::{JANITOR, Yard};

/// Longer than anything takes, unless it hangs. These machines are shared.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// What every config of these tests begins with.
pub const PORT_ANY: &str = "[admin]\nlisten = \"127.0.0.1:0\"\n";

/// Waits until `found` gives something.
#[track_caller]
pub fn wait_for<T>(what: &str, mut found: impl FnMut() -> Option<T>) -> T {
    let step = Duration::from_millis(10);
    for _ in 0..PATIENCE.as_millis() / step.as_millis() {
        if let Some(found) = found() {
            return found;
        }
        std::thread::sleep(step);
    }
    panic!("waited in vain for {what}");
}

/// A daemon at work. It is killed when the test ends.
pub struct Daemon<'a> {
    pub yard: &'a Yard,
    child: Child,
    port: Option<SocketAddr>,
}

impl<'a> Daemon<'a> {
    /// Starts one with the yard's config, and waits until it is up.
    pub fn start(yard: &'a Yard) -> Self {
        Self::spawn(yard, yard.command(&["run"]))
    }

    /// Starts one with a config, whose port the system chooses.
    pub fn with(yard: &'a Yard, config: &str) -> Self {
        yard.config(&format!("{PORT_ANY}{config}"));
        Self::start(yard)
    }

    /// Starts one as somebody else.
    pub fn as_nobody(yard: &'a Yard) -> Self {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", JANITOR, "run"]);
        command.current_dir(yard.path("")).env("TZ", "UTC").env("HOME", "/nonexistent").stdin(Stdio::null());
        Self::spawn(yard, command)
    }

    /// Starts this command, and waits until the daemon says that it is up.
    pub fn spawn(yard: &'a Yard, mut command: Command) -> Self {
        let err = File::create(yard.path("stderr")).expect("made");
        let child = command.stdout(Stdio::null()).stderr(err).spawn().expect("the program starts");
        let mut daemon = Self { yard, child, port: None };
        daemon.wait_for_line("Background cleanup scheduler started successfully");
        let lines = daemon.stderr();
        let address = |line: &str| {
            let rest = line.split_once("Admin port listening on ")?.1;
            rest.split(|character: char| !character.is_ascii_digit() && !".:".contains(character)).next()?.parse().ok()
        };
        daemon.port = lines.lines().find_map(address);
        daemon
    }

    /// The address of the admin port.
    pub fn port(&self) -> SocketAddr {
        self.port.unwrap_or_else(|| panic!("no admin port: {}", self.stderr()))
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn stderr(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.yard.path("stderr")).expect("readable")).into_owned()
    }

    /// The log file.
    pub fn log(&self) -> String {
        let bytes = fs::read(self.yard.path("cleanup_scheduler.log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// How many lines of the log hold this text.
    pub fn count(&self, text: &str) -> usize {
        self.log().lines().filter(|line| line.contains(text)).count()
    }

    /// Waits until stderr holds this text.
    #[track_caller]
    pub fn wait_for_line(&mut self, text: &str) {
        let step = Duration::from_millis(10);
        for _ in 0..PATIENCE.as_millis() / step.as_millis() {
            let err = self.stderr();
            if err.contains(text) {
                return;
            }
            if let Some(status) = self.child.try_wait().expect("our child") {
                panic!("the daemon ended with {status} before it said `{text}`:\n{err}");
            }
            std::thread::sleep(step);
        }
        panic!("waited in vain for `{text}` in\n{}", self.stderr());
    }

    pub fn get(&self, path: &str) -> Answer {
        request(self.port(), "GET", path)
    }

    pub fn post(&self, path: &str) -> Answer {
        request(self.port(), "POST", path)
    }

    /// The inner part of the status.
    pub fn status(&self) -> Value {
        let answer = self.get("/cleanup/status").json();
        assert_eq!(answer["success"], true, "{answer}");
        answer["scheduler_status"].clone()
    }

    /// What the status says of one target.
    pub fn target(&self, name: &str) -> Value {
        let status = self.status();
        let targets = status["targets"].as_array().expect("a list");
        targets.iter().find(|target| target["name"] == name).cloned().unwrap_or(Value::Null)
    }

    /// Waits until the status is as wanted.
    #[track_caller]
    pub fn wait_for_status(&self, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            wait_for(what, || Some(self.status()).filter(|status| wanted(status)))
        }));
        found.unwrap_or_else(|_| panic!("waited in vain for {what}: {:#}\n{}", self.status(), self.stderr()))
    }

    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, signal).expect("it is there");
    }

    /// Whether it is still there.
    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().expect("our child").is_none()
    }

    /// Waits for its end.
    #[track_caller]
    pub fn wait_for_end(&mut self) -> ExitStatus {
        wait_for("the end of the daemon", || self.child.try_wait().expect("our child"))
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
