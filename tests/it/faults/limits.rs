//! The process runs into its limits.

use std::net::TcpStream;
use std::os::unix::process::CommandExt;
use std::process::Command;

use serde_json::Value;

use super::pair::{Pair, configure, lay, left};
use super::with_mounts;
use crate::daemon::{Daemon, wait_for};
use crate::needs;
use crate::yard::{JANITOR, Yard};

with_mounts! {
    eagain_of_a_thread_limit_fails_runs_and_nothing_else
}

const ALL: &str = "include = [\"**\"]";

/// The daemon, started by a shell that does this before.
fn limited<'a>(yard: &'a Yard, before: &str) -> Daemon<'a> {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("{before} && exec \"$0\" run"), JANITOR]);
    command.current_dir(yard.path("")).env("TZ", "UTC").env("HOME", "/nonexistent").process_group(0);
    Daemon::spawn(yard, command)
}

#[test]
fn emfile_by_connections_passes_with_them() {
    let yard = Yard::new();
    configure(&yard, ALL);
    let mut path = "bad".to_owned();
    for _ in 0..60 {
        path.push_str("/d");
        yard.file(format!("{path}/file"));
    }
    let mut pair = Pair(limited(&yard, "ulimit -n 48"));
    let port = pair.0.port();
    let connections: Vec<_> = (0..100).filter_map(|_| TcpStream::connect(port).ok()).collect();
    assert!(connections.len() > 40);
    drop(connections);
    wait_for("an answer", || {
        std::panic::catch_unwind(|| crate::client::request(port, "GET", "/healthz"))
            .ok()
            .filter(|answer| answer.status == 200)
    });
    pair.is_mended();
}

#[test]
fn enospc_of_inotify_watches_and_emfile_of_its_instances_leave_other_ways_to_reload() {
    if !needs::tool("unshare") {
        return;
    }
    let can = Command::new("unshare").args(["-U", "-r", "true"]).status().expect("unshare runs").success();
    if !can {
        needs::say("\n*** NOT RUN: there are no user namespaces here ***\n");
        return;
    }
    for limit in ["max_inotify_watches", "max_inotify_instances"] {
        let yard = Yard::new();
        configure(&yard, ALL);
        lay(&yard);
        let mut command = Command::new("unshare");
        let script = format!("echo 0 >/proc/sys/user/{limit} && exec \"$0\" run");
        command.args(["-U", "-r", "sh", "-c", &script, JANITOR]);
        command.current_dir(yard.path("")).env("TZ", "UTC").env("HOME", "/nonexistent");
        if !needs::is_root() {
            // Root of the machine is the overflow user in a namespace of somebody else.
            command.env("JANITOR_TRUST_OWNER", "65534");
        }
        let mut pair = Pair(Daemon::spawn(&yard, command));
        pair.is_mended();
        configure(&yard, &format!("{ALL}\nname = \"other\""));
        assert_eq!(pair.0.post("/cleanup/reload").status, 200, "{limit}");
        assert_ne!(pair.0.target("other"), Value::Null, "{limit}");
    }
}

/// A file grows no more: the log loses records, the state is not written, and files go.
#[test]
fn sigxfsz_does_not_end_it() {
    let yard = Yard::new();
    configure(&yard, ALL);
    // In blocks of 512 bytes.
    let mut pair = Pair(limited(&yard, "ulimit -f 160"));
    for number in 0..1500 {
        yard.file(format!("bad/a-long-name-to-fill-the-log-with-until-it-cannot-grow-any-more-{number}"));
    }
    pair.is_mended();
    let log = pair.0.status()["log"].clone();
    assert!(log["lost_records"].as_u64() > Some(0), "{log}");
    assert!(log["error"].as_str().expect("it is told").contains("File too large"), "{log}");
}

#[test]
fn enomem_of_an_address_space_limit_fails_runs_and_nothing_else() {
    if !needs::tool("prlimit") {
        return;
    }
    let yard = Yard::new();
    configure(&yard, ALL);
    lay(&yard);
    let mut pair = Pair(limited(&yard, "true"));
    let limit = |to: &str| {
        let id = pair.0.id().to_string();
        let done = Command::new("prlimit").args(["--pid", &id, &format!("--as={to}:")]).status();
        assert!(done.expect("prlimit runs").success());
    };
    let status = std::fs::read_to_string(format!("/proc/{}/status", pair.0.id())).expect("it runs");
    let size =
        status.lines().find_map(|line| line.strip_prefix("VmSize:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    // Room for what it allocates, and not for the stack of another thread.
    limit(&(size.expect("a size") * 1024 + 1_500_000).to_string());
    let answer = pair.0.post("/cleanup/manual?target=bad");
    assert_eq!(answer.status, 200, "{answer:?}");
    let run = answer.json()["runs"][0].clone();
    assert_eq!(run["outcome"], "failed", "{run}");
    assert!(run["message"].as_str().expect("words").contains("thread"), "{run}");
    limit("unlimited");
    pair.is_well();
    pair.is_mended();
}

/// The files of the state are deleted under the daemon: another one is refused all the same.
#[test]
fn a_second_instance_is_refused_though_the_files_of_the_state_were_deleted() {
    let yard = Yard::new();
    let mut pair = Pair::start(&yard, ALL);
    let state = yard.path("state");
    crate::disk::sh("rm -rf \"$1\"/*", &[&state]);
    let second = yard.run(&["run"]);
    assert!(
        second.code == Some(1) && second.err.contains("another janitor works with the state directory"),
        "{second:?}"
    );
    lay(&yard);
    pair.is_mended();
}

/// Somebody opens files for as long as a sweep goes on, and waits for the leases on them: no signal ends the daemon.
#[test]
fn sigio_of_a_lease_that_somebody_breaks_ends_nothing() {
    use std::sync::atomic::{AtomicBool, Ordering};
    if !needs::leases() {
        return;
    }
    let yard = Yard::new();
    configure(&yard, ALL);
    std::fs::set_permissions(yard.path("bad"), std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("ours");
    for number in 0..2000 {
        yard.file(format!("bad/{number}"));
    }
    let mut pair = Pair::start(&yard, ALL);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for number in 0..2000 {
                    drop(std::fs::File::open(yard.path(format!("bad/{number}"))));
                }
            }
        });
        let run = pair.swept();
        assert_eq!((&run["outcome"], &run["failed"]), (&"done".into(), &0.into()), "{run}");
        stop.store(true, Ordering::Relaxed);
    });
    wait_for("all of them", || {
        pair.swept();
        left(&yard).is_empty().then_some(())
    });
}

mod made {
    use super::{Pair, configure, lay};
    use crate::daemon::Daemon;
    use crate::faults::pair::script;
    use crate::yard::{JANITOR, Yard};
    use std::process::Command;

    /// As a user of whom nobody else has processes.
    pub fn eagain_of_a_thread_limit_fails_runs_and_nothing_else(yard: &Yard) {
        configure(yard, super::ALL);
        lay(yard);
        script(yard, "mkdir good && chown -R 61234 .");
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "61234", "--regid", "61234", "--clear-groups", JANITOR, "run"]);
        command.current_dir(yard.path("")).env("TZ", "UTC").env("HOME", "/nonexistent");
        let mut pair = Pair(Daemon::spawn(yard, command));
        // Only who it belongs to may do that, where root has not all its rights.
        let limit = |to: &str| {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", "61234", "--regid", "61234", "--clear-groups", "prlimit"]);
            let id = pair.0.id().to_string();
            let done = command.args(["--pid", &id, &format!("--nproc={to}:")]).status();
            assert!(done.expect("setpriv runs").success());
        };
        let limits = std::fs::read_to_string(format!("/proc/{}/limits", pair.0.id())).expect("it runs");
        let most = limits.lines().find_map(|line| line.strip_prefix("Max processes")?.split_whitespace().nth(1));
        limit("1");
        let answer = pair.0.post("/cleanup/manual?target=bad");
        assert_eq!(answer.status, 200, "{answer:?}");
        let run = answer.json()["runs"][0].clone();
        assert_eq!(run["outcome"], "failed", "{run}");
        assert!(run["message"].as_str().expect("words").contains("thread"), "{run}");
        limit(most.expect("a limit"));
        pair.is_well();
        script(yard, "touch good/x && chown 61234 good/x");
        pair.is_mended();
    }
}
