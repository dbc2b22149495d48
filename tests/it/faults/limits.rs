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
    eagain_of_a_thread_limit_ends_neither_reloads_nor_requests
    eagain_of_a_thread_limit_has_a_scheduled_run_wait
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

/// The bytes of address space of a process that watches files and all of whose threads are asleep.
fn asleep_with_a_watcher(id: u32) -> Option<u64> {
    let tasks: Vec<_> = std::fs::read_dir(format!("/proc/{id}/task")).ok()?.flatten().collect();
    let statuses: Vec<_> =
        tasks.iter().map(|task| std::fs::read_to_string(task.path().join("status"))).collect::<Result<_, _>>().ok()?;
    let field = |status: &str, key: &str| {
        status.lines().find_map(|line| line.strip_prefix(key)).map(str::trim).unwrap_or_default().to_owned()
    };
    let watches = statuses.iter().any(|status| field(status, "Name:").starts_with("notify-rs"));
    let asleep = statuses.iter().all(|status| field(status, "State:").starts_with('S'));
    let size: u64 = field(&statuses[0], "VmSize:").strip_suffix(" kB")?.parse().ok()?;
    (watches && asleep).then_some(size * 1024)
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
    let size = wait_for("a daemon that has started all its threads", || asleep_with_a_watcher(pair.0.id()));
    // Room for what it allocates, and not for the stack of another thread.
    limit(&(size + 1_900_000).to_string());
    let answer = pair.0.post("/cleanup/manual?target=bad");
    assert_eq!(answer.status, 200, "{answer:?}\n{}", pair.0.stderr());
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
    use crate::daemon::{Daemon, wait_for};
    use crate::faults::pair::script;
    use crate::yard::{JANITOR, Yard};
    use rustix::process::Signal;
    use std::process::Command;

    /// A daemon of a user of whom nobody else has processes.
    struct Alone<'a>(Pair<'a>);

    impl<'a> Alone<'a> {
        fn start(yard: &'a Yard) -> Self {
            configure(yard, super::ALL);
            lay(yard);
            script(yard, "mkdir good && chown -R 61234 .");
            let mut command = Command::new("setpriv");
            command.args(["--reuid", "61234", "--regid", "61234", "--clear-groups", JANITOR, "run"]);
            command.current_dir(yard.path("")).env("TZ", "UTC").env("HOME", "/nonexistent");
            Self(Pair(Daemon::spawn(yard, command)))
        }

        /// Only who it belongs to may do that, where root has not all its rights.
        fn limit(&self, to: &str) {
            let mut command = Command::new("setpriv");
            command.args(["--reuid", "61234", "--regid", "61234", "--clear-groups", "prlimit"]);
            let id = self.0.0.id().to_string();
            let done = command.args(["--pid", &id, &format!("--nproc={to}:")]).status();
            assert!(done.expect("setpriv runs").success());
        }

        /// The limit that it has.
        fn most(&self) -> String {
            let limits = std::fs::read_to_string(format!("/proc/{}/limits", self.0.0.id())).expect("it runs");
            let most = limits.lines().find_map(|line| line.strip_prefix("Max processes")?.split_whitespace().nth(1));
            most.expect("a limit").to_owned()
        }

        fn threads(&self) -> Vec<String> {
            let tasks = std::fs::read_dir(format!("/proc/{}/task", self.0.0.id())).expect("it runs");
            let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
            tasks.flatten().map(name).collect()
        }
    }

    pub fn eagain_of_a_thread_limit_fails_runs_and_nothing_else(yard: &Yard) {
        let mut alone = Alone::start(yard);
        let most = alone.most();
        alone.limit("1");
        let answer = alone.0.0.post("/cleanup/manual?target=bad");
        assert_eq!(answer.status, 200, "{answer:?}");
        let run = answer.json()["runs"][0].clone();
        assert_eq!(run["outcome"], "failed", "{run}");
        assert!(run["message"].as_str().expect("words").contains("thread"), "{run}");
        alone.limit(&most);
        alone.0.is_well();
        script(yard, "touch good/x && chown 61234 good/x");
        alone.0.is_mended();
    }

    /// No thread, or one more, at the moment of a save, of a signal, of every kind of request.
    pub fn eagain_of_a_thread_limit_ends_neither_reloads_nor_requests(yard: &Yard) {
        let mut alone = Alone::start(yard);
        let most = alone.most();
        for round in 0..2 {
            // A pool that starts threads on demand would have none left after a while.
            wait_for("an idle daemon", || alone.threads().iter().all(|name| !name.starts_with("tokio")).then_some(()));
            let limit = if round == 0 { "1".to_owned() } else { (alone.threads().len() + 1).to_string() };
            alone.limit(&limit);
            configure(yard, &format!("{}\nname = \"under{round}\"", super::ALL));
            alone.0.0.wait_for_status("a reload with the threads that there are", |status| {
                status["targets"][0]["name"] == format!("under{round}").as_str()
            });
            alone.0.0.signal(Signal::HUP);
            for (method, path) in [
                ("POST", "/cleanup/reload"),
                ("POST", "/cleanup/start"),
                ("GET", "/cleanup/runs"),
                ("GET", "/metrics"),
                ("GET", "/cleanup/targets"),
                ("GET", "/cleanup/preview?target=good"),
            ] {
                let answer = crate::client::request(alone.0.0.port(), method, path);
                assert!(answer.status == 200 || answer.status == 503, "{path}: {answer:?}");
                if answer.status == 503 {
                    assert_eq!(answer.json()["error"], "no_thread", "{path}: {answer:?}");
                }
            }
            alone.limit(&most);
            alone.0.is_well();
            configure(yard, super::ALL);
            alone.0.0.wait_for_status("the next save", |status| status["targets"][0]["name"] == "bad");
            for path in ["/cleanup/reload", "/cleanup/start", "/cleanup/stop", "/cleanup/start"] {
                let answer = alone.0.0.post(path);
                assert_eq!(answer.status, 200, "{path}: {answer:?}");
            }
            assert_eq!(alone.0.0.get("/readyz").status, 200);
        }
        script(yard, "touch good/x && chown 61234 good/x");
        alone.0.is_mended();
    }

    pub fn eagain_of_a_thread_limit_has_a_scheduled_run_wait(yard: &Yard) {
        let alone = Alone::start(yard);
        let most = alone.most();
        alone.limit("1");
        configure(yard, &format!("{}\nname = \"soon\"\nskip_open = true", super::ALL));
        let text = std::fs::read_to_string(yard.path("config/janitor.toml")).expect("there");
        yard.config(&text.replacen("0 0 1 1 *", "* * * * * *", 1).replacen("base = \"..\"\n", "", 1));
        wait_for("the run", || alone.0.0.stderr().contains("Cannot start a thread, the run waits").then_some(()));
        assert_eq!(super::left(yard).len(), 4);
        alone.limit(&most);
        let outcome = || alone.0.0.target("soon")["last_run"]["outcome"].as_str().map(str::to_owned);
        assert_eq!(wait_for("what waits", outcome), "done");
        assert!(super::left(yard).is_empty());
    }
}
