//! A day as the users of the script that this replaces know it: its routes, its answers, its log lines.

use super::daemon::{Daemon, wait_for};
use super::yard::Yard;

/// `2024-09-25 02:00:00 - NAME - LEVEL - MESSAGE`, in parts.
fn parts(line: &str) -> (&str, &str, &str) {
    let (time, rest) = line.split_at(19);
    let pattern: String =
        time.chars().map(|character| if character.is_ascii_digit() { '0' } else { character }).collect();
    assert_eq!(pattern, "0000-00-00 00:00:00", "{line}");
    let mut parts = rest.strip_prefix(" - ").expect(line).splitn(3, " - ");
    (parts.next().expect(line), parts.next().expect(line), parts.next().expect(line))
}

#[test]
fn a_day_with_the_shipped_target() {
    let yard = Yard::new();
    for name in ["tmp11ypg1rb_marked.png", "b_marked.png", "c_marked.png", "sub/stays.png"] {
        yard.file(format!("marked_images/{name}"));
    }
    let daemon = Daemon::with(&yard, "");
    let status = daemon.status();
    assert_eq!(status["is_running"], true);
    assert_eq!(status["total_jobs"], 1);
    assert_eq!(status["marked_images_dir"], "marked_images");
    let next = status["next_run"].as_str().expect("a time");
    assert!(next.ends_with(" 02:00:00") && next.len() == 19, "{next}");

    let answer = daemon.post("/cleanup/manual");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let json = answer.json();
    assert_eq!(json["success"], true);
    assert_eq!(json["message"], "Manual cleanup completed successfully");
    assert_eq!((&json["runs"][0]["deleted"], &json["runs"][0]["outcome"]), (&3.into(), &"done".into()));
    assert_eq!(yard.left("marked_images"), ["sub/stays.png"]);

    let log = daemon.log();
    let told: Vec<_> = log.lines().map(parts).filter(|(name, ..)| *name == "marked_images").collect();
    let has = |level: &str, message: &str| told.iter().any(|(_, known, said)| *known == level && *said == message);
    assert!(has("INFO", "Deleted file: tmp11ypg1rb_marked.png"), "{log}");
    assert!(has("INFO", "Skipped subdirectory: sub"), "{log}");
    let end = told.iter().find(|(.., said)| said.starts_with("Cleanup completed. Deleted: 3 files, Failed: 0 files"));
    assert!(end.is_some(), "{log}");
    for line in ["Background cleanup scheduler started successfully", "Manual cleanup triggered"] {
        assert_eq!(daemon.count(line), 1, "{line} in {log}");
    }
    // Two threads that log at once may get to the file in one order and to the terminal in the other.
    let sorted = |text: &str| {
        let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
        lines.sort_unstable();
        lines
    };
    wait_for("the same lines on the terminal", || (sorted(&daemon.stderr()) == sorted(&log)).then_some(()));
    assert_eq!(daemon.target("marked_images")["last_run"]["deleted"], 3);
}

#[test]
fn the_schedule_is_stopped_and_started_and_saying_it_twice_is_no_error() {
    let yard = Yard::new();
    yard.file("marked_images/a");
    let daemon = Daemon::with(&yard, "");
    for again in [false, true] {
        let stopped = daemon.post("/cleanup/stop").json();
        assert_eq!(stopped["success"], true);
        assert_eq!(stopped["message"].as_str().expect("words").contains("already"), again, "{stopped}");
    }
    let status = daemon.status();
    assert_eq!((&status["is_running"], &status["next_run"]), (&false.into(), &serde_json::Value::Null));
    assert_eq!(status["total_jobs"], 1);
    assert_eq!(daemon.post("/cleanup/manual").json()["success"], true, "manual works while stopped");
    assert!(yard.left("marked_images").is_empty());
    for again in [false, true] {
        let started = daemon.post("/cleanup/start").json();
        assert_eq!(started["success"], true);
        assert_eq!(started["message"].as_str().expect("words").contains("already"), again, "{started}");
    }
    let status = daemon.status();
    assert!(status["is_running"] == true && status["next_run"].is_string(), "{status}");
    assert_eq!(daemon.count("Background cleanup scheduler started successfully"), 2);
}

#[test]
fn a_missing_directory_is_made() {
    let yard = Yard::new();
    let daemon = Daemon::with(&yard, "");
    assert_eq!(daemon.post("/cleanup/manual").json()["success"], true);
    assert!(yard.path("marked_images").is_dir());
    assert_eq!(daemon.count("Created directory: "), 1);
}

#[test]
fn one_target_of_several_is_swept_by_name() {
    let yard = Yard::new();
    for name in ["one", "two", "off"] {
        yard.file(format!("{name}/file"));
    }
    let target = |name: &str, more: &str| {
        format!("[[target]]\npath = \"{name}\"\nschedule = \"0 2 * * *\"\ninclude = [\"*\"]\n{more}")
    };
    let config = [target("one", ""), target("two", ""), target("off", "enabled = false\n")].concat();
    let daemon = Daemon::with(&yard, &config);
    let dry = daemon.post("/cleanup/manual?target=one&dry_run=true").json();
    assert_eq!((&dry["success"], &dry["runs"][0]["deleted"]), (&true.into(), &1.into()));
    assert_eq!(yard.left("one"), ["file"], "a dry run removes nothing");
    assert_eq!(daemon.count("Would delete file: file"), 1);
    assert_eq!(daemon.post("/cleanup/manual?target=one").json()["runs"].as_array().expect("a list").len(), 1);
    assert_eq!((yard.left("one").len(), yard.left("two").len()), (0, 1));
    let unknown = daemon.post("/cleanup/manual?target=nobody");
    assert_eq!((unknown.status, &unknown.json()["error"]), (404, &"unknown_target".into()));
    assert_eq!(daemon.post("/cleanup/manual?target=off").status, 422);
    let later = daemon.post("/cleanup/manual?target=two&wait=false");
    assert_eq!(later.status, 202);
    daemon.wait_for_status("the end of the run", |status| status["targets"][1]["last_run"]["outcome"] == "done");
    assert_eq!(yard.left("off"), ["file"], "what is not enabled is never swept");
    assert_eq!(daemon.status()["total_jobs"], 2);
}
