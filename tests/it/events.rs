//! What happens, as it happens.

use std::time::Duration;

use rustix::process::Signal;

use super::client::{Follower, request, request_with};
use super::daemon::{Daemon, wait_for};
use super::yard::Yard;

const TARGET: &str = "[[target]]\npath = \"a\"\nschedule = \"0 0 1 1 *\"\ninclude = [\"*\"]\n";

#[test]
fn who_follows_hears_of_runs_and_of_the_schedule() {
    let yard = Yard::new();
    yard.file("a/secret-name");
    let daemon = Daemon::with(&yard, TARGET);
    let mut follower = Follower::new(daemon.port(), &[]);
    let run = daemon.post("/cleanup/manual").json()["runs"][0].clone();
    let started = follower.wait_for("run_started");
    assert_eq!((&started.data["run"], &started.data["target"]), (&run["run"], &"a".into()), "{started:?}");
    assert_eq!((&started.data["trigger"], &started.data["dry_run"]), (&"manual".into(), &false.into()));
    let finished = follower.wait_for("run_finished").data;
    assert_eq!((&finished["run"], &finished["outcome"]), (&run["run"], &"done".into()), "{finished}");
    assert_eq!((&finished["deleted"], &finished["candidates"]), (&1.into(), &1.into()), "{finished}");
    for (path, running) in [("/cleanup/stop?target=a", false), ("/cleanup/start?target=a", true)] {
        assert_eq!(daemon.post(path).status, 200);
        let switched = follower.wait_for("schedule").data;
        assert_eq!((&switched["target"], &switched["running"]), (&"a".into(), &running.into()), "{switched}");
    }
    // What was so already is no news.
    assert_eq!(daemon.post("/cleanup/start?target=a").status, 200);
    assert_eq!(daemon.post("/cleanup/stop").status, 200);
    let all = follower.wait_for("schedule").data;
    assert_eq!((&all["target"], &all["running"]), (&serde_json::Value::Null, &false.into()), "{all}");
}

#[test]
fn who_follows_hears_of_the_config() {
    let yard = Yard::new();
    let daemon = Daemon::with(&yard, TARGET);
    let mut follower = Follower::new(daemon.port(), &[]);
    let good = std::fs::read_to_string(yard.path("config/janitor.toml")).expect("there");
    yard.config(&good.replace("include", "inclued"));
    let rejected = follower.wait_for("config_rejected").data;
    assert!(rejected["problems"][0].as_str().expect("a line").contains("janitor.toml:7:1"), "{rejected}");
    let shown = rejected["shown"].as_str().expect("text");
    assert!(shown.contains("inclued = [\"*\"]") && shown.contains("^^^^^^^"), "{shown}");
    assert_eq!(daemon.status()["config"]["rejection"]["shown"], shown);
    yard.config(&good.replace("0 0 1 1 *", "0 1 1 1 *"));
    let reloaded = follower.wait_for("reload").data;
    assert_eq!((&reloaded["changed"], &reloaded["generation"]), (&1.into(), &2.into()), "{reloaded}");
}

#[test]
fn a_held_run_is_news_and_so_is_its_release() {
    let yard = Yard::new();
    for name in ["a/1", "a/2"] {
        yard.file(name);
    }
    let daemon = Daemon::with(&yard, &format!("{TARGET}max_deletes = 1\n"));
    let mut follower = Follower::new(daemon.port(), &[]);
    daemon.post("/cleanup/manual");
    let held = follower.wait_for("held").data;
    assert_eq!((&held["guard"], &held["files"]), (&"max_deletes".into(), &2.into()), "{held}");
    let run = held["run"].as_str().expect("an id");
    assert_eq!(daemon.post(&format!("/cleanup/runs/{run}/release")).status, 200);
    assert_eq!(follower.wait_for("released").data["run"], run);
    assert_eq!(follower.wait_for("run_finished").data["deleted"], 2);
}

#[test]
fn who_was_away_goes_on_where_he_was_and_a_stranger_begins_anew() {
    let yard = Yard::new();
    let daemon = Daemon::with(&yard, TARGET);
    let mut follower = Follower::new(daemon.port(), &[]);
    daemon.post("/cleanup/manual");
    let seen = follower.wait_for("run_started").id.expect("an id");
    let missed = follower.wait_for("run_finished");
    drop(follower);
    daemon.post("/cleanup/stop");
    let mut again = Follower::new(daemon.port(), &[&format!("Last-Event-ID: {seen}")]);
    assert_eq!(again.next(), Some(missed));
    assert_eq!(again.next().expect("more").kind, "schedule");
    let mut stranger = Follower::new(daemon.port(), &["Last-Event-ID: 123-4"]);
    assert_eq!(stranger.next().expect("more").kind, "reset");
}

#[test]
fn the_progress_of_what_runs_is_told() {
    let yard = Yard::new();
    for number in 0..20_000 {
        yard.file(format!("a/{number}"));
    }
    let daemon = Daemon::with(&yard, &format!("{TARGET}threads = 1\n"));
    let mut follower = Follower::new(daemon.port(), &[]);
    // It may be over before it is first told of; then once more, with more to do.
    let told = wait_for("a run that is seen at work", || {
        daemon.post("/cleanup/manual?wait=false");
        let mut progress = None;
        loop {
            let event = follower.next().expect("more");
            match &*event.kind {
                "progress" => progress = Some(event.data),
                "run_finished" => break,
                _ => {}
            }
        }
        if progress.is_none() {
            (0..20_000).for_each(|number| drop(yard.file(format!("a/{number}"))));
        }
        progress
    });
    assert_eq!(told["target"], "a");
    assert!(told["examined"].is_u64() && told["deleted"].is_u64(), "{told}");
}

#[test]
fn events_are_for_those_who_may_and_end_with_the_daemon() {
    let yard = Yard::new();
    let mut daemon = Daemon::with(&yard, TARGET);
    let refused = request_with(daemon.port(), "GET", "/cleanup/events", &["Authorization: Bearer wrong"]);
    assert_eq!(refused.status, 401, "{refused:?}");
    assert_eq!(request(daemon.port(), "HEAD", "/cleanup/events").status, 405);
    let mut follower = Follower::new(daemon.port(), &[]);
    daemon.signal(Signal::TERM);
    assert_eq!(follower.next(), None, "the stream ends whole");
    assert!(daemon.wait_for_end().success());
}

#[test]
fn there_is_room_for_a_number_of_followers_and_a_place_is_given_back() {
    let yard = Yard::new();
    let daemon = Daemon::with(&yard, TARGET);
    // As many of one user; others have theirs.
    let mut all: Vec<Follower> = (0..8).map(|_| Follower::new(daemon.port(), &[])).collect();
    let refused = daemon.get("/cleanup/events");
    assert_eq!((refused.status, &refused.json()["error"]), (503, &"busy".into()), "{refused:?}");
    // Everything else goes on.
    assert_eq!(daemon.get("/cleanup/status").status, 200);
    all.pop();
    let free = || {
        let to = daemon.port();
        let answer = super::client::raw(
            to,
            format!("GET /cleanup/events HTTP/1.1\r\nHost: {to}\r\n\r\n").as_bytes(),
            Duration::from_millis(300),
        );
        (answer.status == 200).then_some(())
    };
    wait_for("a place", free);
}
