//! A file system that does not answer, as that of a dead server: its own target is unreachable, and nothing else waits.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::daemon::{Daemon, PORT_ANY, wait_for};
use super::mounts::Kind;
use super::yard::{Filter, Yard};

crate::mounts::in_namespace! {
    a_mount_that_does_not_answer_keeps_no_other_target_from_being_swept
    commands_for_other_targets_do_not_wait_for_a_mount_that_does_not_answer
    a_mount_that_stops_to_answer_leaves_one_thread_behind_and_is_swept_when_it_answers
    a_mount_below_a_target_that_does_not_answer_is_passed_by
}

/// A FUSE file system whose server can be stopped.
struct Server {
    child: Child,
    at: PathBuf,
}

impl Server {
    fn mount(yard: &Yard) -> Self {
        Self::mount_at(yard, "nas")
    }

    fn mount_at(yard: &Yard, at: &str) -> Self {
        let (from, at) = (yard.directory("behind"), yard.directory(at));
        yard.file("behind/a");
        let mut command = Command::new("bindfs");
        let child = command.arg("-f").args([&from, &at]).stdin(Stdio::null()).spawn().expect("bindfs starts");
        wait_for("the mount", || at.join("a").exists().then_some(()));
        Self { child, at }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    fn stop(&self) {
        self.signal(Signal::STOP);
        let state = || std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).expect("it runs");
        wait_for("the stop", || state().contains(") T ").then_some(()));
        // The kernel knows for a second what the server has said.
        wait_for("the silence", || {
            let mut look = Command::new("timeout");
            let answered = look.args(["-s", "KILL", "0.3", "stat"]).arg(&self.at).stdout(Stdio::null()).status();
            (!answered.expect("timeout runs").success()).then_some(())
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.signal(Signal::CONT);
        drop(Command::new("umount").arg("-l").arg(&self.at).status());
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A target on the server, and one beside it that is swept every two seconds.
fn config(more: &str) -> String {
    let target = |name: &str, schedule: &str, path: &str| {
        format!("[[target]]\nname = \"{name}\"\npath = \"{path}\"\nschedule = \"{schedule}\"\ninclude = [\"*\"]\n")
    };
    let targets = [
        target("nas", "@yearly", "nas"),
        target("deeper", "@yearly", "nas/deeper"),
        target("ok", "*/2 * * * * *", "ok"),
    ];
    format!("{PORT_ANY}{}{more}", targets.concat())
}

/// Threads of the daemon that look at paths.
fn reaching(daemon: &Daemon<'_>) -> usize {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", daemon.id())).expect("it runs");
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
    tasks.flatten().map(name).filter(|name| name.trim() == "reach").count()
}

mod private {
    use super::*;

    pub fn a_mount_that_does_not_answer_keeps_no_other_target_from_being_swept(yard: &Yard) {
        if !Kind::Fuse.is_there() {
            return;
        }
        let server = Server::mount(yard);
        server.stop();
        yard.file("ok/a");
        yard.config(&config(""));
        let daemon = Daemon::start(yard);
        wait_for("the sweep", || yard.left("ok").is_empty().then_some(()));
        assert_eq!(daemon.get("/healthz").status, 200);
        daemon.wait_for_status("the target to be unreachable", |status| status["targets"][0]["state"] == "unreachable");
        assert!(daemon.stderr().contains("nas - WARNING - Unreachable: `"), "{}", daemon.stderr());
        // A save, a signal, a request.
        yard.config(&config("[[target]]\npath = \"one\"\nschedule = \"@daily\"\ninclude = [\"*\"]\n"));
        daemon.wait_for_status("the new target", |status| status["targets"][3]["name"] == "one");
        for _ in 0..5 {
            let answer = daemon.post("/cleanup/reload");
            assert_eq!(answer.status, 200, "{answer:?}");
        }
        let run = daemon.post("/cleanup/manual?target=nas").json()["runs"][0].clone();
        assert_eq!(run["outcome"], "failed", "{run}");
        assert!(run["message"].as_str().is_some_and(|why| why.starts_with("unreachable: ")), "{run}");
        assert_eq!(daemon.get("/metrics").status, 200);
        assert_eq!(daemon.get("/cleanup/targets").status, 200);
        yard.file("ok/b");
        wait_for("the next sweep", || yard.left("ok").is_empty().then_some(()));
        // One for each of the two targets at most, and one that waits for the next question.
        assert!(reaching(&daemon) <= 3, "{}", reaching(&daemon));
        drop(server);
        daemon.wait_for_status("the target to be back", |status| status["targets"][0]["state"] == "scheduled");
    }

    pub fn commands_for_other_targets_do_not_wait_for_a_mount_that_does_not_answer(yard: &Yard) {
        if !Kind::Fuse.is_there() {
            return;
        }
        let server = Server::mount(yard);
        server.stop();
        let file = yard.file("ok/a");
        yard.config(&config(""));
        let file = file.to_str().expect("text");
        for (arguments, expected) in [
            (vec!["check"], "unreachable: "),
            (vec!["preview", "ok"], "would delete  a"),
            (vec!["explain", file], "ok/a: goes"),
            (vec!["trash"], "the trash is empty"),
            (vec!["clean", "ok"], "ok: deleted 1 file(s)"),
        ] {
            let ran = yard.run_within(Duration::from_secs(60), &arguments);
            assert_eq!(ran.code, Some(0), "{arguments:?}: {ran:?}");
            assert!(ran.out.contains(expected), "{arguments:?}: {ran:?}");
        }
        // All of them: the one fails, and the others are swept.
        yard.file("ok/b");
        let ran = yard.run_within(Duration::from_secs(60), &["clean"]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.err.contains("nas: failed: unreachable: `"), "{ran:?}");
        assert!(yard.left("ok").is_empty());
    }

    pub fn a_mount_that_stops_to_answer_leaves_one_thread_behind_and_is_swept_when_it_answers(yard: &Yard) {
        if !Kind::Fuse.is_there() {
            return;
        }
        let server = Server::mount(yard);
        yard.config(&config(""));
        let daemon = Daemon::start(yard);
        server.stop();
        for _ in 0..3 {
            let run = daemon.post("/cleanup/manual?target=nas").json()["runs"][0].clone();
            assert!(run["message"].as_str().is_some_and(|why| why.starts_with("unreachable: ")), "{run}");
        }
        assert!(reaching(&daemon) <= 2, "{}", reaching(&daemon));
        server.signal(Signal::CONT);
        let run = daemon.post("/cleanup/manual?target=nas").json()["runs"][0].clone();
        assert_eq!((&run["outcome"], &run["deleted"]), (&"done".into(), &1.into()), "{run}");
        drop(server);
    }

    pub fn a_mount_below_a_target_that_does_not_answer_is_passed_by(yard: &Yard) {
        if !Kind::Fuse.is_there() {
            return;
        }
        let server = Server::mount_at(yard, "square/nas");
        server.stop();
        yard.config("[[target]]\npath = \"square\"\nschedule = \"@daily\"\ninclude = [\"**\"]\n");
        let filtered = Yard::at(&yard.path("")).behind(Filter::NoOpenat2);
        for yard in [yard, &filtered] {
            yard.file("square/deep/a");
            let ran = yard.run_within(Duration::from_secs(60), &["clean", "--json"]);
            let run = ran.json()["runs"][0].clone();
            let told = (&run["outcome"], &run["deleted"], &run["skipped_directories"]);
            assert_eq!(told, (&"done".into(), &1.into(), &1.into()), "{ran:?}");
        }
        drop(server);
    }
}
