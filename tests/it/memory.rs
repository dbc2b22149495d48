//! What the daemon remembers beyond its own life: pauses, runs, what it missed, held runs.

use std::fs;
use std::process::Command;

use rustix::process::Signal;
use serde_json::Value;

use super::daemon::{Daemon, PORT_ANY, wait_for};
use super::needs;
use super::yard::{JANITOR, Yard};

const DAILY: &str = "[[target]]\npath = \"target\"\nschedule = \"0 2 * * *\"\n";

fn end(daemon: &mut Daemon<'_>) {
    daemon.signal(Signal::TERM);
    assert!(daemon.wait_for_end().success(), "{}", daemon.stderr());
}

/// What the history says, newest first.
fn history(yard: &Yard, arguments: &[&str]) -> Vec<Value> {
    let told = yard.run(&[&["history", "--json"], arguments].concat());
    assert_eq!(told.code, Some(0), "{told:?}");
    told.json().as_array().expect("an array").clone()
}

#[test]
fn a_stop_a_last_run_and_the_history_survive_a_restart() {
    let yard = Yard::new();
    yard.file("target/a");
    yard.file("other/a");
    let config = format!("{DAILY}include = [\"*\"]\n{}include = [\"*\"]\n", DAILY.replace("target\"\ns", "other\"\ns"));
    let mut daemon = Daemon::with(&yard, &config);
    assert_eq!(daemon.post("/cleanup/manual").json()["success"], true);
    assert_eq!(daemon.post("/cleanup/stop?target=other").status, 200);
    let before = daemon.target("target")["last_run"].clone();
    end(&mut daemon);
    let mut daemon = Daemon::start(&yard);
    assert_eq!(daemon.target("target")["last_run"], before);
    assert_eq!(daemon.target("target")["state"], "scheduled");
    assert_eq!(daemon.target("other")["state"], "paused");
    assert_eq!(daemon.count("Stopped, as before the restart: other"), 1);
    assert_eq!(daemon.post("/cleanup/stop").status, 200);
    end(&mut daemon);
    let daemon = Daemon::start(&yard);
    assert_eq!(daemon.status()["is_running"], false);
    assert_eq!(daemon.post("/cleanup/start").status, 200);
    assert_eq!(daemon.status()["is_running"], true);
    let runs = history(&yard, &[]);
    assert_eq!(runs.len(), 2, "{runs:?}");
    assert_eq!(runs.iter().filter(|run| run["id"] == before["run"]).count(), 1);
    assert_eq!(history(&yard, &["target"]).len(), 1);
    assert_eq!(history(&yard, &["--count", "1"]).len(), 1);
    // A run by hand is one too.
    assert_eq!(yard.run(&["clean", "target"]).code, Some(0));
    assert_eq!(history(&yard, &["target"]).len(), 2);
    let table = yard.run(&["history"]).out;
    assert!(table.starts_with("started ") && table.lines().count() == 4, "{table}");
}

#[test]
fn a_held_run_is_listed_and_released_by_its_id_once() {
    let yard = Yard::new();
    for number in 0..12 {
        yard.file(format!("target/{number}"));
    }
    let mut daemon = Daemon::with(&yard, &format!("{DAILY}include = [\"*\"]\nmax_deletes = 10\n"));
    let held = daemon.post("/cleanup/manual").json()["runs"][0].clone();
    assert_eq!(
        (&held["outcome"], &held["held"]["guard"], &held["held"]["files"]),
        (&"held".into(), &"max_deletes".into(), &12.into())
    );
    assert_eq!(yard.left("target").len(), 12);
    end(&mut daemon);
    let daemon = Daemon::start(&yard);
    let hold = daemon.status()["holds"][0].clone();
    assert_eq!((&hold["run"], &hold["target"]), (&held["run"], &"target".into()), "it survives a restart");
    let port = daemon.port().to_string();
    let status = yard.run(&["status", "--admin", &port]);
    let run = held["run"].as_str().expect("an id");
    assert!(status.out.contains(&format!("janitor release {run}")), "{status:?}");
    for wrong in ["19700101T000000Z-00000000", "x", "..%2f"] {
        assert_eq!(daemon.post(&format!("/cleanup/runs/{wrong}/release")).status, 404, "{wrong}");
    }
    assert_eq!(daemon.get(&format!("/cleanup/runs/{run}/release")).status, 405);
    let released = yard.run(&["release", run, "--admin", &port]);
    assert_eq!(released.code, Some(0), "{released:?}");
    assert!(yard.left("target").is_empty());
    let again = yard.run(&["release", run, "--admin", &port]);
    assert!(again.code == Some(1) && again.err.contains("released already"), "{again:?}");
    assert_eq!(daemon.status()["holds"], serde_json::json!([]));
    for (line, count) in [
        (format!("Release of run {run} asked for by uid "), 2),
        (format!("Run {run} of target released by uid "), 1),
        (format!("Release of run {run} by uid "), 1),
    ] {
        assert_eq!(daemon.count(&line), count, "{line}: {}", daemon.log());
    }
}

#[test]
fn a_held_run_keeps_its_id_while_the_cause_is_the_same_and_is_released_by_its_target_once() {
    let yard = Yard::new();
    for number in 0..20 {
        yard.file(format!("target/{number}"));
    }
    let mut daemon = Daemon::with(&yard, &format!("{DAILY}include = [\"*\"]\nmax_deletes = 10\n"));
    let held = |daemon: &Daemon<'_>| daemon.post("/cleanup/manual").json()["runs"][0]["run"].clone();
    let hold = |daemon: &Daemon<'_>| daemon.status()["holds"][0]["run"].clone();
    let first = held(&daemon);
    let second = held(&daemon);
    yard.file("target/20");
    assert!(first != second && held(&daemon) != first, "each run has an id of its own");
    assert_eq!(hold(&daemon), first);
    end(&mut daemon);
    let daemon = Daemon::start(&yard);
    assert_eq!(hold(&daemon), first, "after a restart");
    held(&daemon);
    assert_eq!(hold(&daemon), first, "and a run after that");
    // Many more files are another cause.
    for number in 30..40 {
        yard.file(format!("target/{number}"));
    }
    let other = held(&daemon);
    assert_eq!(hold(&daemon), other);
    assert_eq!(daemon.post(&format!("/cleanup/runs/{}/release", first.as_str().expect("an id"))).status, 404);
    // The id of a later run that was held by the same cause means the hold, too.
    let later = held(&daemon);
    assert_eq!(hold(&daemon), other);
    let port = daemon.port().to_string();
    for wrong in ["nobody", "target2"] {
        let told = yard.run(&["release", wrong, "--admin", &port]);
        assert!(told.code == Some(64) && told.err.contains("no target is named"), "{told:?}");
    }
    let released = yard.run(&["release", "target", "--admin", &port]);
    assert_eq!(released.code, Some(0), "{released:?}");
    assert!(yard.left("target").is_empty());
    let again = yard.run(&["release", "target", "--admin", &port]);
    assert!(again.code == Some(1) && again.err.contains("no run of target is held"), "{again:?}");
    assert_eq!(daemon.post(&format!("/cleanup/runs/{}/release", later.as_str().expect("an id"))).status, 404);
    assert_eq!(daemon.get("/cleanup/targets/target/release").status, 405);
    assert_eq!(daemon.count("The held run of target released by uid "), 1);
}

#[test]
fn a_clean_without_a_daemon_is_in_the_history_and_is_held_by_what_the_daemon_is_held_by() {
    let yard = Yard::new();
    yard.file("target/a");
    yard.config(&format!("{PORT_ANY}{DAILY}include = [\"*\"]\nmax_deletes = 10\n"));
    let cleaned = |code| {
        let ran = yard.run(&["clean", "--json"]);
        assert_eq!(ran.code, Some(code), "{ran:?}");
        ran.json()["runs"][0].clone()
    };
    let run = cleaned(0);
    let known = history(&yard, &[]);
    assert_eq!((known.len(), &known[0]["id"], &known[0]["outcome"]), (1, &run["run"], &"done".into()), "{known:?}");
    for number in 0..20 {
        yard.file(format!("target/{number}"));
    }
    let held = cleaned(75);
    assert_eq!((&held["outcome"], &held["held"]["guard"]), (&"held".into(), &"max_deletes".into()), "{held}");
    assert_eq!(yard.left("target").len(), 20);
    assert_eq!(history(&yard, &[]).len(), 2);
    // A state that only `clean` has made is whole: a daemon takes it over, with what is held.
    let daemon = Daemon::start(&yard);
    let status = daemon.status();
    assert_eq!((&status["is_running"], &status["holds"][0]["run"]), (&true.into(), &held["run"]), "{status}");
    assert_eq!(daemon.post("/cleanup/targets/target/release").json()["success"], true);
    assert!(yard.left("target").is_empty());
}

#[test]
fn a_released_run_takes_not_much_more_than_was_held() {
    let yard = Yard::new();
    for number in 0..12 {
        yard.file(format!("target/{number}"));
    }
    let daemon = Daemon::with(&yard, &format!("{DAILY}include = [\"*\"]\nmax_deletes = 10\n"));
    let held = daemon.post("/cleanup/manual").json()["runs"][0]["run"].clone();
    for number in 12..30 {
        yard.file(format!("target/{number}"));
    }
    let route = format!("/cleanup/runs/{}/release", held.as_str().expect("an id"));
    let run = daemon.post(&route).json()["runs"][0].clone();
    assert_eq!((&run["outcome"], &run["held"]["files"]), (&"held".into(), &30.into()), "{run}");
    assert_eq!(yard.left("target").len(), 30);
}

#[test]
fn a_root_that_was_made_anew_on_the_same_file_system_is_only_noted() {
    let yard = Yard::new();
    yard.file("target/a");
    let daemon = Daemon::with(&yard, &format!("{DAILY}include = [\"*\"]\n"));
    let swept = || daemon.post("/cleanup/manual").json()["runs"][0].clone();
    assert_eq!(swept()["outcome"], "done");
    fs::rename(yard.path("target"), yard.path("away")).expect("ours");
    yard.file("target/b");
    let run = swept();
    assert_eq!((&run["outcome"], &run["deleted"]), (&"done".into(), &1.into()), "{run}");
    assert!(daemon.log().contains("is another directory than in the last run, on the same file system"));
}

#[test]
fn two_daemons_do_not_share_a_state() {
    let yard = Yard::new();
    let _daemon = Daemon::with(&yard, &format!("{DAILY}include = [\"*\"]\n"));
    let second = yard.run(&["run"]);
    assert_eq!(second.code, Some(1), "{second:?}");
    assert!(second.err.contains("another janitor works with the state directory"), "{second:?}");
}

#[test]
fn a_state_that_cannot_be_used_is_told_and_everything_goes_on() {
    let yard = Yard::new();
    yard.file("target/a");
    yard.file("state");
    let daemon = Daemon::with(&yard, &format!("{DAILY}include = [\"*\"]\n"));
    assert_eq!(daemon.post("/cleanup/manual").json()["success"], true);
    assert!(yard.left("target").is_empty());
    let error = daemon.status()["state"]["error"].as_str().map(str::to_owned).expect("it is told");
    assert!(error.contains("state directory"), "{error}");
    assert_eq!(daemon.count("Nothing will be remembered"), 1);
}

/// The daemon is there, ends, and is away over 02:00; its clock is set by libfaketime.
#[test]
fn what_was_missed_while_no_daemon_was_there_runs_once_and_a_clock_that_was_set_holds_runs_by_age() {
    let Some(library) = super::schedule::faketime() else { return };
    if !needs::file("/proc/sys/kernel/random/boot_id") {
        return;
    }
    let yard = Yard::new();
    yard.file("target/a");
    yard.file("quiet/a");
    yard.file("aged/a");
    let config = format!(
        "{PORT_ANY}{DAILY}include = [\"*\"]\n{}include = [\"*\"]\ncatch_up = \"none\"\n{}older_than = \"30d\"\ncatch_up = \"none\"\n",
        DAILY.replace("target\"\ns", "quiet\"\ns"),
        DAILY.replace("target\"\ns", "aged\"\ns"),
    );
    yard.config(&config);
    let at = |offset: &str| {
        let mut command = Command::new(JANITOR);
        command.arg("run").current_dir(yard.path("")).env("TZ", "UTC").env("HOME", "/nonexistent");
        command.env("LD_PRELOAD", &library).env("FAKETIME", offset).env("DONT_FAKE_MONOTONIC", "1");
        Daemon::spawn(&yard, command)
    };
    let mut daemon = at("+0");
    end(&mut daemon);
    // Two days later, on the wall clock. It was due twice, and the clock moved more than a day in one boot.
    let mut daemon = at("+2d");
    wait_for("the run that was missed", || yard.left("target").is_empty().then_some(()));
    let caught =
        daemon.wait_for_status("its report", |status| status["targets"][0]["last_run"]["trigger"] == "catch-up");
    assert_eq!(caught["targets"][0]["last_run"]["outcome"], "done", "it asks for no age");
    assert_eq!(yard.left("quiet"), ["a"], "catch_up = none");
    let problem = daemon.status()["clock_problem"].as_str().map(str::to_owned).expect("it is told");
    assert!(problem.contains("set forward by"), "{problem}");
    let held = daemon.post("/cleanup/manual?target=aged").json()["runs"][0].clone();
    assert_eq!((&held["outcome"], &held["held"]["guard"]), (&"held".into(), &"clock".into()), "{held}");
    let route = format!("/cleanup/runs/{}/release", held["run"].as_str().expect("an id"));
    assert_eq!(daemon.post(&route).json()["runs"][0]["outcome"], "done");
    assert_eq!(daemon.status()["clock_problem"], Value::Null, "who releases it says that the clock is right");
    end(&mut daemon);
    let daemon = at("+2d");
    assert_eq!(daemon.post("/cleanup/manual?target=aged").json()["runs"][0]["outcome"], "done");
    assert_eq!(history(&yard, &["target"]).len(), 1, "once");
}

#[test]
fn a_run_that_fails_on_and_on_is_ended() {
    if !needs::root() || !needs::tool("setpriv") {
        return;
    }
    let yard = Yard::new();
    for number in 0..400 {
        yard.file(format!("target/{number:03}"));
    }
    yard.config("[log]\nfile = \"/dev/null\"\n[[target]]\npath = \"target\"\nschedule = \"@daily\"\ninclude = [\"*\"]\nthreads = 1\n");
    // Root's directory, and nobody has no right in it.
    let ran = yard.run_as_nobody(&["clean", "--json"]);
    let run = ran.json()["runs"][0].clone();
    assert_eq!((&run["outcome"], &run["failed"]), (&"failed".into(), &50.into()), "{run}");
    assert!(run["message"].as_str().expect("words").contains("50 files could not be removed"), "{run}");
    assert_eq!(yard.left("target").len(), 400);
}
