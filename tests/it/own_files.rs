//! The files that janitor opens for itself: config, log, state and token, where somebody else has got at them.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::daemon::{Daemon, PORT_ANY, wait_for};
use super::needs;
use super::users::{ATTACKER, Hold, VICTIM, can_be_others};
use super::yard::{JANITOR, Ran, Yard};

const LIMIT: Duration = Duration::from_secs(60);

/// What the message about a file of the attacker's says.
const MENDED_BY: &str = "--trust-owner 64101";

/// A directory of the attacker's.
fn theirs(yard: &Yard, name: &str) {
    ATTACKER.owns(&yard.directory(name));
}

fn fifo(path: &Path) {
    let ran = Command::new("mkfifo").arg(path).status().expect("it runs");
    assert!(ran.success());
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).expect("text")
}

#[track_caller]
fn refused(ran: &Ran, says: &str) {
    assert!(ran.code == Some(78) && ran.err.contains(says), "{says}: {ran:?}");
}

#[test]
fn a_log_in_a_directory_of_somebody_else_is_not_opened_and_the_rest_goes_on() {
    if !can_be_others() {
        return;
    }
    let yard = Yard::new();
    theirs(&yard, "app/logs");
    let own = yard.file("rootonly/bashrc");
    fs::set_permissions(&own, Permissions::from_mode(0o600)).expect("ours");
    ATTACKER.script(&yard, &format!("ln -s {} app/logs/janitor.log", own.to_string_lossy()));
    yard.file("marked_images/a");
    let daemon = Daemon::with(&yard, "[log]\nfile = \"app/logs/janitor.log\"\n");
    daemon.get("/$(id>pwned)");
    assert_eq!(daemon.post("/cleanup/manual").json()["success"], true);
    assert!(yard.left("marked_images").is_empty());
    assert_eq!(read(&own), "content");
    ATTACKER.script(&yard, "rm app/logs/janitor.log && touch app/logs/janitor.log");
    let status = daemon.wait_for_status("the error", |status| {
        status["log"]["error"].as_str().is_some_and(|why| why.contains("app/logs` belongs to"))
    });
    assert!(status["log"]["error"].as_str().is_some_and(|why| why.contains(MENDED_BY)), "{status}");
    assert!(daemon.stderr().contains("which belongs to uid 64101"), "{}", daemon.stderr());
    assert_eq!(read(&yard.path("app/logs/janitor.log")), "");
    assert!(daemon.get("/metrics").body.contains("janitor_log_error 1"));
}

#[test]
fn a_log_whose_directory_falls_to_somebody_else_is_left_alone_until_that_is_mended() {
    if !can_be_others() {
        return;
    }
    let yard = Yard::new();
    let own = yard.file("rootonly/file");
    fs::set_permissions(yard.directory("logs"), Permissions::from_mode(0o755)).expect("ours");
    let daemon = Daemon::with(&yard, "[log]\nfile = \"logs/j.log\"\n");
    for number in 1..=3 {
        yard.file(format!("logs/j.log.2020-01-0{number}"));
    }
    let is_told = |wanted: bool| {
        wait_for("the log to be left, or taken up", || {
            // Tells something in the log.
            daemon.post("/cleanup/manual?dry_run=true");
            let error = daemon.status()["log"]["error"].clone();
            (error.is_string() == wanted).then_some(())
        });
    };
    for swap in [
        &format!("mv logs/j.log logs/kept && ln -s {} logs/j.log", own.to_string_lossy()),
        "mv logs/j.log logs/kept && mkfifo logs/j.log",
        &format!("mv logs/j.log logs/kept && ln {} logs/j.log 2>/dev/null || touch logs/j.log", own.to_string_lossy()),
        "mv logs kept && mkdir logs && touch logs/j.log logs/j.log.2020-01-04",
    ] {
        ATTACKER.owns(&yard.path("logs"));
        let whole = swap.starts_with("mv logs kept");
        if whole {
            ATTACKER.owns(&yard.path(""));
        }
        ATTACKER.script(&yard, swap);
        is_told(true);
        assert_eq!(read(&own), "content", "{swap}");
        if whole {
            assert_eq!(read(&yard.path("logs/j.log")), "", "{swap}");
            std::os::unix::fs::chown(yard.path(""), Some(0), Some(0)).expect("root may");
            fs::rename(yard.path("logs"), yard.path("away")).expect("ours");
            fs::rename(yard.path("kept"), yard.path("logs")).expect("ours");
        } else {
            fs::rename(yard.path("logs/kept"), yard.path("logs/j.log")).expect("ours");
        }
        std::os::unix::fs::chown(yard.path("logs"), Some(0), Some(0)).expect("root may");
        is_told(false);
    }
    for number in 1..=3 {
        assert!(yard.path(format!("logs/j.log.2020-01-0{number}")).exists(), "{number}");
    }
}

#[test]
fn a_fifo_in_the_place_of_the_log_blocks_nothing() {
    let yard = Yard::new();
    fifo(&yard.path("cleanup_scheduler.log"));
    yard.file("marked_images/a");
    let daemon = Daemon::with(&yard, "");
    assert_eq!(daemon.post("/cleanup/manual").json()["success"], true);
    let error = daemon.status()["log"]["error"].clone();
    assert!(error.as_str().is_some_and(|why| why.contains("not a regular file")), "{error}");
    drop(daemon);
    let ran = yard.run_within(LIMIT, &["clean"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

/// A config of the attacker's that has root remove the victim's file.
fn plant(yard: &Yard) {
    VICTIM.owns(&yard.file("victim/db"));
    theirs(yard, "shared");
    let target = yard.path("victim");
    let text = format!(
        "{PORT_ANY}[log]\nfile = \"{0}/made-by-root\"\n[[target]]\npath = {target:?}\nschedule = \"@daily\"\ninclude = [\"**\"]\n",
        yard.path("").to_string_lossy()
    );
    ATTACKER.script(yard, &format!("mkdir shared/config && cat >shared/config/janitor.toml <<'T'\n{text}T"));
}

#[test]
fn root_takes_no_config_from_somebody_else() {
    if !can_be_others() {
        return;
    }
    let yard = Yard::new();
    plant(&yard);
    for arguments in [&["check"][..], &["clean"], &["run"], &["preview"]] {
        let mut command = yard.command(arguments);
        let output = command.current_dir(yard.path("shared")).output().expect("the program runs");
        refused(&Ran::of(output), MENDED_BY);
    }
    assert!(yard.path("victim/db").exists() && !yard.path("made-by-root").exists());
    // Each part of the way counts, and the file itself.
    std::os::unix::fs::chown(yard.path("shared"), Some(0), Some(0)).expect("root may");
    let config = "shared/config/janitor.toml";
    refused(&yard.run(&["check", "--config", config]), "shared/config` belongs to");
    std::os::unix::fs::chown(yard.path("shared/config"), Some(0), Some(0)).expect("root may");
    refused(&yard.run(&["check", "--config", config]), "janitor.toml` belongs to");
    std::os::unix::fs::chown(yard.path(config), Some(0), Some(ATTACKER.id)).expect("root may");
    fs::set_permissions(yard.path(config), Permissions::from_mode(0o664)).expect("ours");
    refused(&yard.run(&["check", "--config", config]), "can be written by the group gid 64101; run: chmod g-w");
    fs::set_permissions(yard.path(config), Permissions::from_mode(0o644)).expect("ours");
    assert_eq!(yard.run(&["check", "--config", config]).code, Some(0));
    // An ordinary user is warned.
    VICTIM.owns(&yard.path("shared/config"));
    let ran = ATTACKER.janitor(&yard, &["check", "--config", config]);
    assert!(ran.code == Some(0) && ran.err.contains("warning: the config"), "{ran:?}");
}

#[test]
fn a_running_daemon_takes_no_config_that_somebody_else_moved_in() {
    if !can_be_others() {
        return;
    }
    let yard = Yard::new();
    plant(&yard);
    let mut daemon = Daemon::with(&yard, "");
    fs::rename(yard.path("shared/config/janitor.toml"), yard.path("config/janitor.toml")).expect("ours");
    let status = daemon.wait_for_status("the rejection", |status| status["config"]["rejection"].is_object());
    let problem = status["config"]["rejection"]["problems"][0].as_str().expect("words").to_owned();
    assert!(problem.contains(MENDED_BY), "{problem}");
    assert_eq!((&status["targets"][0]["name"], &status["config"]["generation"]), (&"marked_images".into(), &1.into()));
    let swept = daemon.post("/cleanup/manual").json();
    assert_eq!(swept["success"], true, "{swept}");
    assert!(yard.path("victim/db").exists() && daemon.is_running());
}

#[test]
fn one_more_owner_is_trusted_when_he_is_named() {
    if !can_be_others() {
        return;
    }
    let yard = Yard::new();
    theirs(&yard, "app");
    let text = format!(
        "base = \"..\"\n{PORT_ANY}[log]\nfile = \"log\"\n[[target]]\npath = \"up\"\nschedule = \"@daily\"\ninclude = [\"*\"]\n"
    );
    ATTACKER.script(&yard, &format!("mkdir app/up app/config && cat >app/config/janitor.toml <<'T'\n{text}T"));
    let run = |arguments: &[&str]| {
        let mut command = yard.command(&[&["run"], arguments].concat());
        command.current_dir(yard.path("app"));
        command
    };
    let output = run(&[]).output().expect("the program runs");
    refused(&Ran::of(output), MENDED_BY);
    for named in ["64101", "64101:64101"] {
        let daemon = Daemon::spawn(&yard, run(&["--trust-owner", named]));
        let status = daemon.status();
        assert_eq!(status["trusted_owner"], named, "{status}");
        assert_eq!((&status["is_running"], &status["state"]["error"]), (&true.into(), &serde_json::Value::Null));
    }
    let mut command = run(&[]);
    command.env("JANITOR_TRUST_OWNER", "64101");
    let daemon = Daemon::spawn(&yard, command);
    assert_eq!(daemon.status()["trusted_owner"], "64101");
    let output = run(&["--trust-owner", "alice"]).output().expect("the program runs");
    assert_eq!(output.status.code(), Some(64));
}

#[test]
fn what_lies_on_a_read_only_mount_can_be_written_by_nobody() {
    if !can_be_others() || !needs::tool("unshare") {
        return;
    }
    let yard = Yard::new();
    yard.config("[[target]]\npath = \"a\"\nschedule = \"@daily\"\ninclude = [\"*\"]\n");
    // As a ConfigMap is mounted: open to everybody, with links, and read-only.
    fs::create_dir(yard.path("map")).expect("made");
    fs::rename(yard.path("config"), yard.path("map/..1")).expect("ours");
    symlink("..1", yard.path("map/..data")).expect("made");
    symlink("..data/janitor.toml", yard.path("map/janitor.toml")).expect("made");
    fs::set_permissions(yard.path("map"), Permissions::from_mode(0o777)).expect("ours");
    let check = |options: &str| {
        let script = format!("mount --bind map map && mount -o remount,bind,{options} map && exec \"$@\"");
        let mut command = Command::new("unshare");
        command.args(["-m", "sh", "-c", &script, "sh", JANITOR, "check", "--config", "map/janitor.toml"]);
        Ran::of(command.current_dir(yard.path("")).env("TZ", "UTC").output().expect("unshare runs"))
    };
    refused(&check("rw"), "can be replaced by others");
    let ran = check("ro");
    assert_eq!(ran.code, Some(0), "{ran:?}");
}

#[test]
fn a_token_that_is_none_neither_hangs_nor_fills_anything() {
    let yard = Yard::new();
    yard.config(&format!("{PORT_ANY}token_file = \"token\"\n"));
    let zero = |path: &Path| symlink("/dev/zero", path).expect("made");
    for make in [&fifo as &dyn Fn(&Path), &zero] {
        make(&yard.path("token"));
        for command in ["run", "check", "token"] {
            refused(&yard.run_within(LIMIT, &[command]), "not a regular file");
        }
        let ran = yard.run_within(LIMIT, &["status", "--admin", "127.0.0.1:9"]);
        assert!(ran.code == Some(1) && ran.err.contains("no token is sent"), "{ran:?}");
        let ran = yard.run_within(LIMIT, &["token", "--rotate"]);
        assert!(ran.code != Some(0), "{ran:?}");
        fs::rename(yard.path("token"), yard.path("away")).expect("ours");
    }
}

#[test]
fn a_token_of_somebody_else_opens_no_door_and_is_sent_to_nobody() {
    if !can_be_others() {
        return;
    }
    let yard = Yard::new();
    theirs(&yard, "app");
    ATTACKER.script(&yard, "umask 077; echo 0123456789abcdef0123456789abcdef >app/token");
    yard.config(&format!("{PORT_ANY}token_file = \"app/token\"\n"));
    for command in ["run", "check", "token"] {
        refused(&yard.run_within(LIMIT, &[command]), MENDED_BY);
    }
    let ran = yard.run_within(LIMIT, &["status", "--admin", "127.0.0.1:9"]);
    assert!(ran.err.contains("no token is sent") && ran.err.contains(MENDED_BY), "{ran:?}");
    assert_eq!(yard.run(&["check", "--trust-owner", "64101"]).code, Some(0));
}

#[test]
fn nobody_elses_lock_keeps_the_daemon_from_starting() {
    if !can_be_others() || !needs::tool("flock") {
        return;
    }
    let yard = Yard::new();
    drop(Daemon::with(&yard, ""));
    fs::set_permissions(yard.path("state"), Permissions::from_mode(0o755)).expect("ours");
    let mode = fs::metadata(yard.path("state/janitor.lock")).expect("it stays").permissions().mode();
    assert_eq!(mode & 0o7777, 0o600);
    let locked = ATTACKER.try_script(&yard, "flock -n state/janitor.lock true");
    assert!(locked.code != Some(0), "{locked:?}");
    let held = ATTACKER.holds(&yard, Hold::Lock, "state");
    let daemon = Daemon::start(&yard);
    assert_eq!(daemon.status()["state"]["error"], serde_json::Value::Null);
    let second = yard.run_within(LIMIT, &["run"]);
    assert!(second.code == Some(1) && second.err.contains("another janitor"), "{second:?}");
    drop(held);
}

/// The schedule is stopped, the status says so and why, and what is run by hand works.
#[track_caller]
fn is_stopped_for_want_of_state(yard: &Yard, daemon: &Daemon<'_>, says: &str) {
    let status = daemon.status();
    assert_eq!(status["is_running"], false, "{status}");
    assert!(status["state"]["error"].as_str().is_some_and(|why| why.contains(says)), "{says}: {status}");
    assert!(daemon.stderr().contains("The schedule is stopped, since nobody can say whether it was"));
    let ran = yard.run(&["status", "--admin", &daemon.port().to_string()]);
    assert!(ran.out.contains("the schedule is stopped") && ran.out.contains(says), "{ran:?}");
    assert_eq!(daemon.post("/cleanup/manual").json()["success"], true);
}

#[test]
fn a_linked_state_gets_no_tables_and_the_schedule_is_stopped() {
    let yard = Yard::new();
    drop(Daemon::with(&yard, ""));
    for end in ["", "-wal", "-shm", "-journal"] {
        for is_hard in [false, true] {
            let name = yard.path(format!("state/janitor.sqlite{end}"));
            let theirs = yard.path("theirs");
            fs::write(&theirs, "").expect("written");
            if name.exists() {
                fs::rename(&name, yard.path("away")).expect("ours");
            }
            if is_hard {
                fs::hard_link(&theirs, &name).expect("made");
            } else {
                symlink(&theirs, &name).expect("made");
            }
            let daemon = Daemon::start(&yard);
            let says = if is_hard { "has other names" } else { "is not a regular file" };
            is_stopped_for_want_of_state(&yard, &daemon, says);
            assert_eq!(read(&theirs), "", "{end}");
            drop(daemon);
            fs::rename(&name, yard.path("link")).expect("ours");
            if yard.path("away").exists() {
                fs::rename(yard.path("away"), &name).expect("ours");
            }
        }
    }
    assert_eq!(Daemon::start(&yard).status()["is_running"], true);
}

#[test]
fn a_state_in_a_directory_of_somebody_else_is_not_opened_and_the_schedule_is_stopped() {
    if !can_be_others() {
        return;
    }
    let yard = Yard::new();
    theirs(&yard, "app");
    yard.config(&format!("state_dir = \"app/state\"\n{PORT_ANY}"));
    let daemon = Daemon::start(&yard);
    is_stopped_for_want_of_state(&yard, &daemon, MENDED_BY);
    assert!(!yard.path("app/state").exists(), "nothing is made there");
}

#[test]
fn root_cleans_with_the_state_of_another_user_through_his_daemon_or_names_the_command() {
    if !can_be_others() {
        return;
    }
    let yard = Yard::new();
    for name in ["state", "up", "logs"] {
        VICTIM.owns(&yard.directory(name));
    }
    VICTIM.owns(&yard.file("up/a"));
    let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a port");
    yard.config(&format!(
        "[admin]\nlisten = \"{port}\"\n[log]\nfile = \"logs/log\"\n[[target]]\npath = \"up\"\nschedule = \"@daily\"\ninclude = [\"*\"]\n"
    ));
    let ran = yard.run(&["clean"]);
    assert!(ran.code == Some(1) && ran.err.contains("sudo -u '#64102' janitor clean"), "{ran:?}");
    let ran = yard.run(&["undo", "20260101-000000-000"]);
    assert!(ran.code != Some(0), "{ran:?}");
    assert_eq!(yard.left("up"), ["a"]);
    let mut command = VICTIM.command(JANITOR);
    command.arg("run").current_dir(yard.path("")).env("TZ", "UTC").env("HOME", "/nonexistent");
    let daemon = Daemon::spawn(&yard, command);
    let ran = yard.run(&["clean", "up"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(yard.left("up").is_empty());
    assert_eq!(daemon.target("up")["last_run"]["deleted"], 1);
}
