//! A daemon that can start no thread for a while is red, lives, and comes back.

use std::fs;
use std::io;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use super::daemon::{Daemon, PORT_ANY, wait_for};
use super::needs;
use super::users::can_be_others;
use super::yard::{JANITOR, Yard};

/// A user who has no other processes.
const LONELY: &str = "64103";

fn config(schedule: &str) -> String {
    let target = |name: &str| format!("[[target]]\npath = \"{name}\"\nschedule = \"{schedule}\"\ninclude = [\"*\"]\n");
    format!("{PORT_ANY}[log]\nfile = \"log/log\"\n{}{}", target("a"), target("b"))
}

fn lay(yard: &Yard) {
    for path in ["", "state", "a", "b", "log"] {
        yard.directory(path);
    }
    yard.config(&config("@daily"));
}

/// Has the daemon reload while no thread can start, and again when they can.
#[track_caller]
fn runs_out_of_threads(yard: &Yard, daemon: &Daemon<'_>, limit: impl Fn(bool)) {
    assert_eq!(daemon.get("/readyz").status, 200);
    yard.file("b/file");
    limit(true);
    yard.config(&config("@weekly"));
    daemon.signal(Signal::HUP);
    wait_for("a dead task, or a reload without new threads", || {
        let ready = daemon.get("/readyz");
        (ready.status == 503 || daemon.target("a")["schedule"] == "@weekly").then_some(())
    });
    // Requests that change something are answered, one way or the other, and nobody is taken for a stranger.
    let answer = daemon.post("/cleanup/reload");
    assert!(![401, 403, 500].contains(&answer.status), "{answer:?}");
    // A sweep takes a thread of its own, so this one says that it cannot, and removes nothing.
    let run = daemon.post("/cleanup/manual?target=b").json()["runs"][0].clone();
    assert_eq!(run["outcome"], "failed", "{run}");
    assert!(run["message"].as_str().is_some_and(|why| why.contains("thread")), "{run}");
    assert_eq!(yard.left("b"), ["file"]);
    limit(false);
    wait_for("the daemon to be ready", || (daemon.get("/readyz").status == 200).then_some(()));
    yard.config(&config("@monthly"));
    wait_for("a reload", || (daemon.target("a")["schedule"] == "@monthly").then_some(()));
    assert_eq!(daemon.post("/cleanup/reload").status, 200);
    let run = daemon.post("/cleanup/manual?target=b").json()["runs"][0].clone();
    assert_eq!((&run["outcome"], &run["deleted"]), (&"done".into(), &1.into()), "{run}");
}

#[test]
fn a_daemon_whose_user_may_have_no_more_threads_is_red_and_comes_back() {
    if !can_be_others() || !needs::tool("prlimit") {
        return;
    }
    let yard = Yard::new();
    lay(&yard);
    let id = LONELY.parse().ok();
    for path in ["", "state", "a", "b", "log"] {
        chown(yard.path(path), id, id).expect("root may");
    }
    let as_them = |program: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", LONELY, "--regid", LONELY, "--clear-groups", program]);
        command
    };
    let mut command = as_them(JANITOR);
    command.arg("run").current_dir(yard.path("")).env("TZ", "UTC").env("HOME", "/nonexistent");
    let daemon = Daemon::spawn(&yard, command);
    let limits = fs::read_to_string(format!("/proc/{}/limits", daemon.id())).expect("it runs");
    let most = limits.lines().find_map(|line| line.strip_prefix("Max processes")?.split_whitespace().nth(1));
    let most = most.expect("a limit").to_owned();
    runs_out_of_threads(&yard, &daemon, |none| {
        let limit = format!("--nproc={}:", if none { "1" } else { &most });
        // Only who it belongs to may do that, where root has not all its rights.
        let done = as_them("prlimit").args(["--pid", &daemon.id().to_string(), &limit]).status();
        assert!(done.expect("prlimit runs").success());
    });
}

/// A cgroup whose processes and threads are counted. It is removed at the end, after its processes.
struct Pids(PathBuf);

impl Pids {
    fn new() -> io::Result<Self> {
        let first = Path::new("/sys/fs/cgroup/pids");
        // The first version of cgroups has a tree for each controller.
        let parent = if first.exists() { first } else { Path::new("/sys/fs/cgroup") };
        if parent != first {
            // The controller stays enabled for the children of the root group, which changes nothing for groups without a limit.
            fs::write(parent.join("cgroup.subtree_control"), "+pids")?;
        }
        let group = parent.join(format!("janitor-test-{}", std::process::id()));
        fs::create_dir(&group)?;
        Ok(Self(group))
    }

    fn write(&self, file: &str, value: &str) {
        fs::write(self.0.join(file), value).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
}

impl Drop for Pids {
    #[expect(clippy::disallowed_methods, reason = "a cgroup of the test's own")]
    fn drop(&mut self) {
        drop(fs::remove_dir(&self.0));
    }
}

#[test]
fn a_daemon_whose_pids_cgroup_is_full_is_red_and_comes_back() {
    if !needs::root() {
        return;
    }
    let pids = match Pids::new() {
        Ok(pids) => pids,
        Err(error) => {
            needs::missing(&format!("a cgroup with the pids controller ({error})"));
            return;
        }
    };
    let yard = Yard::new();
    lay(&yard);
    let daemon = Daemon::start(&yard);
    pids.write("cgroup.procs", &daemon.id().to_string());
    runs_out_of_threads(&yard, &daemon, |none| pids.write("pids.max", if none { "1" } else { "max" }));
}
