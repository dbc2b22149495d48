//! What an operator has stopped stays stopped, whatever befalls the state; and where nobody can say what was stopped,
//! everything is.

mod befalls;

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};

use rustix::process::Signal;
use serde_json::Value;

use befalls::{BEFALLS, Befall, away, locked};

use super::daemon::{Daemon, PORT_ANY, wait_for};
use super::users::{ATTACKER, VICTIM, can_be_others};
use super::yard::{JANITOR, Yard};

/// Two targets that are due every second.
const EACH_SECOND: &str = "[[target]]\npath = \"a\"\nschedule = \"* * * * * *\"\ninclude = [\"*\"]\n\
    [[target]]\npath = \"b\"\nschedule = \"* * * * * *\"\ninclude = [\"*\"]\n";

fn end(daemon: &mut Daemon<'_>) {
    daemon.signal(Signal::TERM);
    assert!(daemon.wait_for_end().success(), "{}", daemon.stderr());
}

/// Two targets; the schedule of the first is stopped, or of both.
fn lay(yard: &Yard, stop: &str) {
    for name in ["a", "b"] {
        yard.directory(name);
    }
    yard.config(&format!("{PORT_ANY}{EACH_SECOND}"));
    let mut daemon = Daemon::start(yard);
    if !stop.is_empty() {
        let answer = daemon.post(stop).json();
        assert!(answer["success"] == true && answer.get("not_kept").is_none(), "{answer}");
    }
    end(&mut daemon);
    for name in ["a/precious", "b/precious"] {
        yard.file(name);
    }
}

/// A second and more passes, so that everything was due that is not stopped.
fn a_second_passes() {
    let begin = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec;
    wait_for("two seconds", || {
        (rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec >= begin + 3).then_some(())
    });
}

/// What is stopped is not swept; what is not, is.
#[track_caller]
fn is_kept(yard: &Yard, daemon: &Daemon<'_>, swept: &[&str], what: &str) {
    for name in swept {
        wait_for("a sweep of what is not stopped", || yard.left(name).is_empty().then_some(()));
    }
    a_second_passes();
    for name in ["a", "b"] {
        let left: &[&str] = if swept.contains(&name) { &[] } else { &["precious"] };
        assert_eq!(yard.left(name), left, "{what}: {name}\n{}", daemon.stderr());
        let state = if swept.contains(&name) { "scheduled" } else { "paused" };
        wait_for(state, || (daemon.target(name)["state"] == state).then_some(()));
    }
}

/// Nobody can say what was stopped: that is told at every door.
#[track_caller]
fn is_told_unknown(yard: &Yard, daemon: &Daemon<'_>, what: &str) {
    let status = daemon.status();
    assert_eq!(status["is_running"], false, "{what}");
    assert!(status["state"]["stop_unknown"].is_string(), "{what}: {status}");
    let ready = daemon.get("/readyz");
    assert_eq!((ready.status, &ready.json()["error"]), (503, &Value::from("stop_unknown")), "{what}");
    assert!(daemon.get("/metrics").body.contains("\njanitor_stop_unknown 1\n"), "{what}");
    assert_eq!(daemon.count("The schedule is stopped, since nobody can say whether it was"), 1, "{what}");
    let told = yard.run(&["status", "--admin", &daemon.port().to_string()]);
    assert!(told.out.contains("NOBODY CAN SAY WHAT WAS STOPPED"), "{what}: {told:?}");
}

#[test]
fn a_stop_of_everything_survives_whatever_befalls_the_state() {
    for Befall { name, befall, is_known, is_usable } in BEFALLS {
        let yard = Yard::new();
        lay(&yard, "/cleanup/stop");
        let held = befall(&yard);
        let daemon = Daemon::start(&yard);
        is_kept(&yard, &daemon, &[], name);
        assert_eq!(daemon.status()["state"]["error"].is_null(), is_usable, "{name}: {}", daemon.status());
        if !is_known {
            is_told_unknown(&yard, &daemon, name);
        }
        drop(held);
    }
}

#[test]
fn a_stop_of_one_target_survives_whatever_befalls_the_state() {
    for Befall { name, befall, is_known, .. } in BEFALLS {
        let yard = Yard::new();
        lay(&yard, "/cleanup/stop?target=a");
        let held = befall(&yard);
        let daemon = Daemon::start(&yard);
        is_kept(&yard, &daemon, if is_known { &["b"] } else { &[] }, name);
        drop(held);
    }
}

#[test]
fn where_nobody_can_say_what_was_stopped_everything_is_until_somebody_starts_it() {
    for Befall { name, befall, is_known, .. } in BEFALLS {
        let yard = Yard::new();
        lay(&yard, "");
        let held = befall(&yard);
        let mut daemon = Daemon::start(&yard);
        if is_known {
            is_kept(&yard, &daemon, &["a", "b"], name);
            continue;
        }
        is_kept(&yard, &daemon, &[], name);
        is_told_unknown(&yard, &daemon, name);
        let manual = daemon.post("/cleanup/manual?target=a").json();
        assert_eq!(manual["success"], true, "{name}: {manual}");
        yard.file("a/precious");
        let started = daemon.post("/cleanup/start?target=b").json();
        assert_eq!(started["success"], true, "{name}: {started}");
        is_kept(&yard, &daemon, &["b"], name);
        assert_eq!(daemon.status()["state"]["stop_unknown"], Value::Null, "{name}");
        // It was written down, or it was told that it could not be.
        end(&mut daemon);
        yard.file("b/precious");
        drop(held);
        let daemon = Daemon::start(&yard);
        if started.get("not_kept").is_none() {
            let is_known = daemon.status()["state"]["stop_unknown"].is_null();
            is_kept(&yard, &daemon, if is_known { &["b"] } else { &[] }, name);
        }
    }
}

/// A daemon as an ordinary user, whom modes bind.
fn as_victim(yard: &Yard) -> Daemon<'_> {
    let mut command = VICTIM.command(JANITOR);
    command.arg("run").current_dir(yard.path("")).env("TZ", "UTC").env("HOME", "/nonexistent");
    Daemon::spawn(yard, command)
}

#[test]
fn a_stop_survives_a_state_that_is_read_only_closed_or_of_another_owner() {
    if !can_be_others() {
        return;
    }
    type Change = fn(&Yard);
    let changes: [(&str, Change, bool); 5] = [
        ("a directory that cannot be written", |yard| chmod(yard, "state", 0o500), true),
        ("a database that cannot be written", |yard| chmod(yard, "state/janitor.sqlite", 0o400), true),
        ("a directory that is closed", |yard| chmod(yard, "state", 0), false),
        ("a database of another owner", |yard| attackers(yard, "state/janitor.sqlite"), false),
        ("what is stopped, of another owner", |yard| attackers(yard, "state/stops.json"), false),
    ];
    for (name, change, is_known) in changes {
        let yard = Yard::new();
        for path in ["state", "a", "b", "log"] {
            VICTIM.owns(&yard.directory(path));
        }
        yard.config(&format!("{PORT_ANY}[log]\nfile = \"log/log\"\n{EACH_SECOND}"));
        let mut daemon = as_victim(&yard);
        let stop = |daemon: &Daemon<'_>| daemon.post("/cleanup/stop?target=a").json();
        let answer = stop(&daemon);
        assert!(answer["success"] == true && answer.get("not_kept").is_none(), "{answer}");
        end(&mut daemon);
        for path in ["a/precious", "b/precious"] {
            VICTIM.owns(&yard.file(path));
        }
        change(&yard);
        let daemon = as_victim(&yard);
        is_kept(&yard, &daemon, if is_known { &["b"] } else { &[] }, name);
        assert_eq!(daemon.status()["state"]["stop_unknown"].is_null(), is_known, "{name}");
    }

    fn chmod(yard: &Yard, path: &str, mode: u32) {
        fs::set_permissions(yard.path(path), Permissions::from_mode(mode)).expect("root may");
    }

    fn attackers(yard: &Yard, path: &str) {
        chown(yard.path(path), Some(ATTACKER.id), None).expect("root may");
    }
}

#[test]
fn the_state_is_tried_again_and_the_history_goes_on() {
    let yard = Yard::new();
    lay(&yard, "/cleanup/stop?target=a");
    let backup = locked(&yard);
    let daemon = Daemon::start(&yard);
    is_kept(&yard, &daemon, &["b"], "locked");
    assert!(
        daemon.status()["state"]["error"].as_str().is_some_and(|why| why.contains("locked")),
        "{}",
        daemon.status()
    );
    let run = daemon.post("/cleanup/manual?target=a").json()["runs"][0].clone();
    // What is said meanwhile is kept beside the database.
    let answer = daemon.post("/cleanup/stop?target=b").json();
    assert!(answer["success"] == true && answer.get("not_kept").is_none(), "{answer}");
    drop(backup);
    daemon.wait_for_status("the state", |status| status["state"]["error"].is_null());
    let told = yard.run(&["history", "a", "--json", "--admin", &daemon.port().to_string()]).json();
    assert!(told.as_array().expect("a list").iter().any(|known| known["id"] == run["run"]), "{run} in {told}");
}

#[test]
fn a_stop_survives_a_state_that_is_removed_under_the_daemon() {
    let yard = Yard::new();
    for name in ["a", "b"] {
        yard.directory(name);
    }
    for is_stopped_before in [true, false] {
        yard.config(&format!("{PORT_ANY}{EACH_SECOND}"));
        let mut daemon = Daemon::start(&yard);
        assert_eq!(daemon.post("/cleanup/start").status, 200);
        let stop = || daemon.post("/cleanup/stop?target=a").json();
        let remove = || fs::rename(yard.path("state"), yard.path(format!("away {is_stopped_before}"))).expect("ours");
        let answer = if is_stopped_before {
            let answer = stop();
            remove();
            answer
        } else {
            remove();
            stop()
        };
        assert!(answer["success"] == true && answer.get("not_kept").is_none(), "{answer}");
        let run = daemon.post("/cleanup/manual?target=b").json()["runs"][0].clone();
        assert_eq!(run["outcome"], "done");
        end(&mut daemon);
        for name in ["a/precious", "b/precious"] {
            yard.file(name);
        }
        let daemon = Daemon::start(&yard);
        is_kept(&yard, &daemon, &["b"], "removed under the daemon");
        let told = yard.run(&["history", "b", "--json", "--admin", &daemon.port().to_string()]).json();
        assert!(told.as_array().expect("a list").iter().any(|known| known["id"] == run["run"]), "{run} in {told}");
    }
}

#[test]
fn a_stop_that_cannot_be_written_down_is_told_and_written_once_it_can_be() {
    let yard = Yard::new();
    for name in ["a", "b"] {
        yard.directory(name);
    }
    yard.config(&format!("{PORT_ANY}{EACH_SECOND}"));
    let mut daemon = Daemon::start(&yard);
    away(&yard, "stops.json");
    yard.directory("state/stops.json");
    let port = daemon.port().to_string();
    let told = yard.run(&["stop", "a", "--admin", &port]);
    assert!(told.code == Some(0) && told.err.contains("cannot be written down"), "{told:?}");
    assert_eq!(daemon.target("a")["state"], "paused");
    assert!(daemon.status()["state"]["stop_not_kept"].is_string(), "{}", daemon.status());
    assert!(daemon.get("/metrics").body.contains("\njanitor_stop_not_kept 1\n"));
    let shown = yard.run(&["status", "--admin", &port]);
    assert!(shown.out.contains("WHAT IS STOPPED IS NOT WRITTEN DOWN"), "{shown:?}");
    fs::rename(yard.path("state/stops.json"), yard.path("away/directory")).expect("ours");
    daemon.wait_for_status("another try", |status| status["state"]["stop_not_kept"].is_null());
    end(&mut daemon);
    for name in ["a/precious", "b/precious"] {
        yard.file(name);
    }
    let daemon = Daemon::start(&yard);
    is_kept(&yard, &daemon, &["b"], "written late");
}

#[test]
fn a_stop_of_a_target_that_leaves_the_config_is_there_when_it_comes_back() {
    let yard = Yard::new();
    lay(&yard, "/cleanup/stop?target=a");
    let (_, only_b) = EACH_SECOND.split_at(EACH_SECOND.len() / 2);
    yard.config(&format!("{PORT_ANY}{only_b}"));
    end(&mut Daemon::start(&yard));
    yard.config(&format!("{PORT_ANY}{EACH_SECOND}"));
    let daemon = Daemon::start(&yard);
    is_kept(&yard, &daemon, &["b"], "it was away");
}

crate::mounts::in_namespace! {
    a_stop_survives_a_state_on_a_full_disk
    a_stop_survives_a_state_on_a_disk_that_is_read_only
}

mod private {
    use super::super::disk::sh;
    use super::*;

    fn script(yard: &Yard, script: &str) {
        sh(&format!("cd \"$1\" && {script}"), &[&yard.path("")]);
    }

    pub fn a_stop_survives_a_state_on_a_full_disk(yard: &Yard) {
        script(yard, "mkdir state && mount -t tmpfs -o mode=700,size=512k none state");
        lay(yard, "/cleanup/stop?target=a");
        script(yard, "head -c 1M /dev/zero >state/fill 2>/dev/null; true");
        let mut daemon = Daemon::start(yard);
        is_kept(yard, &daemon, &["b"], "full");
        // A word that finds no room is told to be forgotten, or it is kept.
        let answer = daemon.post("/cleanup/stop?target=b").json();
        assert_eq!(answer["success"], true, "{answer}");
        end(&mut daemon);
        yard.file("b/precious");
        let daemon = Daemon::start(yard);
        if answer.get("not_kept").is_none() {
            is_kept(yard, &daemon, &[], "full");
        } else {
            is_kept(yard, &daemon, &["b"], "full");
        }
    }

    pub fn a_stop_survives_a_state_on_a_disk_that_is_read_only(yard: &Yard) {
        yard.directory("state");
        lay(yard, "/cleanup/stop?target=a");
        script(yard, "mount --bind state state && mount -o remount,bind,ro state");
        let mut daemon = Daemon::start(yard);
        is_kept(yard, &daemon, &["b"], "read-only");
        let answer = daemon.post("/cleanup/stop?target=b").json();
        assert!(answer["success"] == true && answer["not_kept"].is_string(), "{answer}");
        end(&mut daemon);
        script(yard, "umount state");
    }
}
