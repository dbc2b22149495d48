//! Being told to stop.

use std::fs::File;
use std::process::Child;
use std::time::Duration;

use rusqlite::Connection;
use rustix::process::{Pid, Signal, kill_process};

use super::daemon::{Daemon, PORT_ANY, wait_for};
use super::needs;
use super::yard::{JANITOR, Yard};

const FILES: usize = 50_000;

fn crowded() -> Yard {
    let yard = Yard::new();
    let directory = yard.directory("crowd");
    for number in 0..FILES {
        File::create(directory.join(format!("file-{number}"))).expect("made");
    }
    yard
}

const CROWD: &str = "[[target]]\npath = \"crowd\"\nschedule = \"0 0 1 1 *\"\ninclude = [\"*\"]\n";

fn stopped_by(signal: Signal) {
    let yard = crowded();
    let mut daemon = Daemon::with(&yard, CROWD);
    assert_eq!(daemon.post("/cleanup/manual?wait=false").status, 202);
    wait_for("the first removal", || (daemon.count("Deleted file: ") > 0).then_some(()));
    #[expect(clippy::disallowed_methods, reason = "it is real time that is measured")]
    let began = std::time::Instant::now();
    daemon.signal(signal);
    let status = daemon.wait_for_end();
    let took = began.elapsed();
    assert_eq!(status.code(), Some(0), "{}", daemon.stderr());
    // Two seconds are promised; a machine that does other things is given as much again.
    assert!(took < Duration::from_secs(4), "{took:?}");
    let left = yard.left("crowd").len();
    assert!(left > 0 && left < FILES, "{left} left: it was in the middle");
    let log = daemon.log();
    assert!(log.ends_with('\n'));
    let told = log.lines().filter(|line| line.contains(" - crowd - INFO - Deleted file: file-")).count();
    assert_eq!(told, FILES - left, "one line for each file that went, and none is lost");
    assert!(log.contains(" - crowd - WARNING - Cleanup cancelled: the daemon shuts down."), "{}", tail(&log));
    assert!(log.lines().last().expect("lines").ends_with("Background cleanup scheduler stopped"), "{}", tail(&log));
}

fn tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().collect();
    lines[lines.len().saturating_sub(5)..].join("\n")
}

#[test]
fn sigterm_stops_a_sweep_between_two_files() {
    stopped_by(Signal::TERM);
}

#[test]
fn sigint_does_the_same() {
    stopped_by(Signal::INT);
}

#[test]
fn sigquit_does_the_same() {
    stopped_by(Signal::QUIT);
}

/// A daemon that has begun to start, and waits for its state.
struct Starting<'a> {
    yard: &'a Yard,
    child: Child,
    busy: Option<Connection>,
}

impl<'a> Starting<'a> {
    fn new(yard: &'a Yard) -> Self {
        yard.config(PORT_ANY);
        let mut daemon = Daemon::start(yard);
        daemon.signal(Signal::TERM);
        daemon.wait_for_end();
        let busy = Connection::open(yard.path("state/janitor.sqlite")).expect("there");
        busy.execute_batch("BEGIN EXCLUSIVE").expect("nobody has it");
        let err = File::create(yard.path("stderr")).expect("made");
        let child = yard.command(&["run"]).stderr(err).spawn().expect("it starts");
        let starting = Self { yard, child, busy: Some(busy) };
        wait_for("the start", || starting.stderr().contains(" starts, config: ").then_some(()));
        starting
    }

    fn stderr(&self) -> String {
        std::fs::read_to_string(self.yard.path("stderr")).expect("there")
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it is there");
    }
}

impl Drop for Starting<'_> {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[test]
fn a_sighup_before_the_daemon_is_up_is_a_reload_once_it_is() {
    let yard = Yard::new();
    let mut starting = Starting::new(&yard);
    starting.signal(Signal::HUP);
    drop(starting.busy.take());
    wait_for("the reload", || {
        let ended = starting.child.try_wait().expect("our child");
        assert!(ended.is_none(), "{ended:?}: {}", starting.stderr());
        starting.stderr().contains("SIGHUP: reading the config again").then_some(())
    });
    let told = starting.stderr();
    let at = |text: &str| told.find(text).unwrap_or_else(|| panic!("no `{text}` in {told}"));
    assert!(at("scheduler started successfully") < at("SIGHUP: reading the config again"), "{told}");
}

#[test]
fn a_stop_ends_a_start_that_waits_for_a_disk() {
    for signal in [Signal::TERM, Signal::INT, Signal::QUIT] {
        let yard = Yard::new();
        let mut starting = Starting::new(&yard);
        starting.signal(signal);
        let ended = wait_for("its end", || starting.child.try_wait().expect("our child"));
        assert_eq!(ended.code(), Some(0), "{ended:?}: {}", starting.stderr());
        assert!(starting.busy.is_some() && !starting.stderr().contains("started successfully"));
    }
}

/// The log has the size that files may have at most, before the daemon writes its first line.
#[test]
fn sigxfsz_at_the_start_does_not_end_it() {
    let yard = Yard::new();
    yard.config(PORT_ANY);
    std::fs::write(yard.path("cleanup_scheduler.log"), vec![b'x'; 32 << 10]).expect("written");
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "ulimit -f 64 && exec \"$0\" run", JANITOR]);
    command.current_dir(yard.path("")).env("TZ", "UTC").env("HOME", "/nonexistent");
    let mut daemon = Daemon::spawn(&yard, command);
    assert!(daemon.is_running());
    assert!(daemon.status()["log"]["lost_records"].as_u64() > Some(0));
}

/// Processes that this one has as children.
fn children(process: u32) -> Vec<i32> {
    let text = std::fs::read_to_string(format!("/proc/{process}/task/{process}/children")).unwrap_or_default();
    text.split_whitespace().map(|id| id.parse().expect("a number")).collect()
}

#[test]
fn as_process_1_it_takes_note_of_the_end_of_orphans() {
    if !needs::root() || !needs::tool("unshare") || !needs::tool("nsenter") {
        return;
    }
    let yard = Yard::new();
    yard.config(PORT_ANY);
    let mut command = std::process::Command::new("unshare");
    command.args(["--pid", "--fork", "--kill-child", "--mount-proc", JANITOR, "run"]);
    command.current_dir(yard.path("")).env("TZ", "UTC").env("HOME", "/nonexistent");
    let daemon = Daemon::spawn(&yard, command);
    let janitor = children(daemon.id())[0].cast_unsigned();
    let mut enter = std::process::Command::new("nsenter");
    enter.args(["-t", &janitor.to_string(), "-p", "-m", "sh", "-c", "sleep 1000 & sleep 1000 &"]);
    assert!(enter.status().expect("nsenter runs").success());
    let orphans = wait_for("its orphans", || Some(children(janitor)).filter(|orphans| orphans.len() == 2));
    for orphan in orphans {
        kill_process(Pid::from_raw(orphan).expect("a process"), Signal::KILL).expect("it sleeps");
    }
    wait_for("their end", || children(janitor).is_empty().then_some(()));
    assert_eq!(daemon.get("/healthz").status, 200);
}

#[test]
fn an_idle_daemon_ends_at_once() {
    let yard = Yard::new();
    let mut daemon = Daemon::with(&yard, "");
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait_for_end().code(), Some(0));
    assert!(daemon.log().contains("Shutting down"));
}

#[test]
fn who_waits_for_a_run_is_told_that_it_was_cancelled() {
    let yard = crowded();
    let daemon = Daemon::with(&yard, CROWD);
    let port = daemon.port();
    let waiting = std::thread::spawn(move || super::client::request(port, "POST", "/cleanup/manual"));
    wait_for("the first removal", || (daemon.count("Deleted file: ") > 0).then_some(()));
    daemon.signal(Signal::TERM);
    let answer = waiting.join().expect("no panic");
    assert_eq!(answer.status, 200, "{answer:?}");
    let json = answer.json();
    assert_eq!((&json["success"], &json["error"]), (&false.into(), &"run_failed".into()));
    assert_eq!(json["runs"][0]["outcome"], "cancelled");
}

#[test]
fn signals_that_would_kill_do_not() {
    let yard = Yard::new();
    let mut daemon = Daemon::with(&yard, "");
    for signal in [Signal::XFSZ, Signal::IO, Signal::PIPE, Signal::USR1, Signal::USR2] {
        daemon.signal(signal);
    }
    assert_eq!(daemon.get("/healthz").status, 200);
    assert!(daemon.is_running());
}
