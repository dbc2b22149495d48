//! The commands, their output and their exit codes.

use std::time::Duration;

use serde_json::json;

use super::daemon::{Daemon, PORT_ANY};
use super::yard::Yard;

const WEEK: Duration = Duration::from_secs(7 * 86_400);

fn mixed() -> Yard {
    let yard = Yard::new();
    yard.aged("a/old.log", WEEK * 5);
    yard.aged("a/deep/older.log", WEEK * 6);
    yard.aged("a/young.log", WEEK);
    yard.aged("a/old.txt", WEEK * 5);
    yard.aged("a/skip/old.log", WEEK * 5);
    yard.config(
        "[[target]]\npath = \"a\"\nschedule = \"0 2 * * *\"\ninclude = [\"**/*.log\"]\nexclude = [\"skip/\"]\nolder_than = \"30d\"\n\
         [[target]]\nname = \"off\"\npath = \"b\"\nenabled = false\nschedule = \"@daily\"\ninclude = [\"*\"]\n",
    );
    yard
}

#[test]
fn a_preview_tells_what_a_run_then_removes() {
    let yard = mixed();
    let told = yard.run(&["preview", "--json"]);
    assert_eq!(told.code, Some(0), "{told:?}");
    let target = &told.json()["targets"][0];
    let mut paths: Vec<_> =
        target["would_delete"].as_array().expect("a list").iter().map(|one| one["path"].clone()).collect();
    paths.sort_by_key(ToString::to_string);
    assert_eq!(paths, ["deep/older.log", "old.log"]);
    assert!(target["would_delete"][0]["reason"].as_str().expect("words").contains(">= older_than 30d"), "{target}");
    assert_eq!(target["skipped_directories"][0]["because"], "excluded by `skip/`");
    let text = yard.run(&["preview", "a"]).out;
    assert!(text.contains("would delete  old.log  (7 B, age 35d >= older_than 30d)"), "{text}");
    assert_eq!(yard.left("a").len(), 5, "a preview removes nothing");
    let dry = yard.run(&["clean", "--dry-run"]);
    assert!(dry.out.contains("a: would delete 2 file(s)"), "{dry:?}");
    assert_eq!(yard.left("a").len(), 5, "nor does a dry run");
    let ran = yard.run(&["clean", "--json"]);
    assert_eq!((ran.code, &ran.json()["runs"][0]["deleted"]), (Some(0), &2.into()), "{ran:?}");
    assert_eq!(yard.left("a"), ["old.txt", "skip/old.log", "young.log"]);
    assert_eq!(yard.run(&["clean", "--quiet"]).out, "");
    assert!(
        std::fs::read_to_string(yard.path("cleanup_scheduler.log"))
            .expect("there")
            .contains("Deleted file: deep/older.log")
    );
}

#[test]
fn that_no_target_is_enabled_is_said() {
    let yard = Yard::new();
    yard.config("[[target]]\npath = \"a\"\nenabled = false\nschedule = \"@daily\"\ninclude = [\"*\"]\n");
    for command in ["preview", "clean"] {
        let ran = yard.run(&[command]);
        assert_eq!((ran.code, ran.err.as_str()), (Some(0), "janitor: no target is enabled\n"), "{ran:?}");
    }
}

#[test]
fn a_check_prints_what_will_happen_or_all_that_is_wrong() {
    let yard = mixed();
    let ran = yard.run(&["check"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(
        ran.out.contains("files named by `**/*.log` go at an age of 30d (modified), except `skip/`"),
        "{}",
        ran.out
    );
    assert_eq!(ran.out.matches("T02:00:00+00:00").count(), 3, "{}", ran.out);
    assert_eq!(yard.run(&["check", "--json"]).json()["targets"][1]["remarks"][0], "not enabled: never swept");
    yard.config("[[target]]\npath = \"a\"\nshedule = \"0 2 * * *\"\nolder_than = \"6m\"\n[log]\nkeep = \"x\"\n");
    let ran = yard.run(&["check"]);
    assert_eq!(ran.code, Some(78), "{ran:?}");
    for part in [
        "the config has 3 problems",
        "config/janitor.toml:4:1",
        "did you mean `schedule`?",
        "config/janitor.toml:5:15",
        "^^",
        "config/janitor.toml:7:8",
    ] {
        assert!(ran.err.contains(part), "{part} in {}", ran.err);
    }
    assert_eq!(yard.run(&["run"]).code, Some(78), "nor does a daemon start on it");
}

#[test]
fn a_check_and_the_port_tell_of_every_key_that_makes_a_target_less_safe() {
    let yard = Yard::new();
    let target = |name: &str, keys: &str| {
        format!(
            "[[target]]\npath = \"{name}\"\nmissing = \"create\"\nschedule = \"@yearly\"\ninclude = [\"*\"]\n{keys}"
        )
    };
    let unsafe_keys = "on_unverifiable = \"plain\"\nsandbox = \"off\"\nroot = \"any\"\ncatch_up = \"none\"\n";
    let config = format!("{}{}", target("safe", ""), target("unsafe", unsafe_keys));
    let daemon = Daemon::with(&yard, &config);
    let of = |targets: &serde_json::Value, at: usize| targets[at]["remarks"].to_string();
    for targets in [
        yard.run(&["check", "--json"]).json()["targets"].clone(),
        daemon.get("/cleanup/targets").json()["targets"].clone(),
    ] {
        for key in ["on_unverifiable", "sandbox", "root"] {
            assert!(of(&targets, 1).contains(&format!("less safe: `{key} = ")), "{key} in {targets}");
        }
        assert!(of(&targets, 1).contains("is not made up for"), "{targets}");
        assert!(!of(&targets, 0).contains("less safe"), "{targets}");
    }
}

#[test]
fn a_protection_that_is_none_is_refused_and_the_others_are_listed() {
    let yard = Yard::new();
    yard.config("[[target]]\npath = \"a\"\nschedule = \"@daily\"\ninclude = [\"*\"]\nexclude = [\"kept\"]\n");
    yard.file("a/kept");
    for (asked, is_listed) in
        [("--kept", true), ("--kept=all", true), ("--kept=exclude", true), ("--kept=min_age", false)]
    {
        let ran = yard.run(&["preview", asked]);
        assert_eq!((ran.code, ran.out.contains("kept")), (Some(0), is_listed), "{asked}: {ran:?}");
    }
    let ran = yard.run(&["preview", "--kept=exclud"]);
    assert_eq!(ran.code, Some(64), "{ran:?}");
    for word in ["exclude", "built-in exclude", "min_age", "all"] {
        assert!(ran.err.contains(word), "{word}: {}", ran.err);
    }
}

#[test]
fn fire_times_can_be_compared() {
    let yard = Yard::new();
    for (cron, zone, from, expected) in [
        (
            "30 2 * * *",
            "America/New_York",
            "2026-03-07T12:00:00Z",
            "2026-03-08T03:00:00-04:00\n2026-03-09T02:30:00-04:00\n",
        ),
        ("0 0 13 * 5", "UTC", "2026-02-01T00:00:00Z", "2026-02-06T00:00:00+00:00\n2026-02-13T00:00:00+00:00\n"),
        (
            "*/30 1 * * *",
            "America/New_York",
            "2026-11-01T05:29:00Z",
            "2026-11-01T01:30:00-04:00\n2026-11-01T01:00:00-05:00\n",
        ),
    ] {
        let ran = yard.run(&["next", "--cron", cron, "--timezone", zone, "--from", from, "--count", "2"]);
        assert_eq!((ran.code, ran.out.as_str()), (Some(0), expected), "{cron}");
    }
    yard.config(
        "timezone = \"Europe/Berlin\"\n[[target]]\npath = \"a\"\nschedule = \"0 2 * * *\"\ninclude = [\"*\"]\n",
    );
    let ran = yard.run(&["next", "--target", "a", "--from", "2026-06-01T00:00:00Z", "--count", "1", "--json"]);
    assert_eq!(ran.json(), json!(["2026-06-02T02:00:00+02:00"]));
    for bad in [["--cron", "0 0 30 2 *"], ["--from", "yesterday"], ["--timezone", "Mars"], ["--target", "b"]] {
        assert_eq!(yard.run(&["next", bad[0], bad[1]]).code, Some(64), "{bad:?}");
    }
    let error = yard.run(&["next", "--cron", "0 25 * * *"]).err;
    assert!(error.contains("  0 25 * * *\n    ^^"), "{error}");
}

#[test]
fn asking_wrongly_is_told_apart() {
    let yard = Yard::new();
    assert_eq!(yard.run(&["--version"]).code, Some(0));
    assert_eq!(yard.run(&["--help"]).code, Some(0));
    for wrong in [&[][..], &["sweep"], &["clean", "--fast"], &["next", "--count", "0"], &["clean", "nobody"]] {
        assert_eq!(yard.run(wrong).code, Some(64), "{wrong:?}");
    }
    assert_eq!(yard.run(&["check", "--config", "nowhere.toml"]).code, Some(78));
    assert!(yard.run(&["--help"]).out.contains("Exit codes:"));
}

#[test]
fn the_schema_that_is_printed_is_the_one_that_is_shipped() {
    let shipped = concat!(env!("CARGO_MANIFEST_DIR"), "/schema/janitor.schema.json");
    let shipped = std::fs::read_to_string(shipped).expect("it is shipped");
    assert_eq!(Yard::new().run(&["schema"]).out, shipped);
}

#[test]
fn the_daemon_is_steered_from_the_shell() {
    let yard = Yard::new();
    yard.file("marked_images/a");
    let daemon = Daemon::with(&yard, "");
    let port = daemon.port().to_string();
    let ask = |arguments: &[&str]| yard.run(&[arguments, &["--admin", &port]].concat());
    let status = ask(&["status"]);
    assert!(
        status.out.contains("the schedule is running, next run") && status.out.contains("marked_images  scheduled"),
        "{status:?}"
    );
    let ran = ask(&["trigger", "--dry-run"]);
    assert!(ran.out.contains("marked_images: done, would delete 1 file(s)"), "{ran:?}");
    assert_eq!(ask(&["trigger", "marked_images"]).code, Some(0));
    assert!(yard.left("marked_images").is_empty());
    assert_eq!(ask(&["stop"]).code, Some(0));
    assert_eq!(ask(&["status", "--json"]).json()["scheduler_status"]["is_running"], false);
    assert!(ask(&["status"]).out.contains("the schedule is stopped"));
    assert_eq!(ask(&["start"]).code, Some(0));
    assert_eq!(ask(&["reload"]).code, Some(0));
    let unknown = ask(&["trigger", "nobody"]);
    assert_eq!(unknown.code, Some(64));
    assert!(unknown.err.contains("nobody"), "{unknown:?}");
    yard.config(&format!("{PORT_ANY}nonsense = 1\n"));
    let rejected = ask(&["reload"]);
    assert_eq!(rejected.code, Some(1));
    assert!(rejected.err.contains("unknown key `nonsense`"), "{rejected:?}");
    let status = ask(&["status"]);
    assert!(status.out.contains("CONFIG REJECTED") && status.out.contains("unknown key `nonsense`"), "{status:?}");
}

#[test]
fn a_daemon_that_is_not_there_is_told() {
    let yard = Yard::new();
    // A port that was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("bound").local_addr().expect("an address").to_string();
    for command in ["status", "trigger", "start", "stop", "reload"] {
        let ran = yard.run(&[command, "--admin", &free]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.err.contains(&format!("cannot reach the daemon at {free}")), "{ran:?}");
    }
    yard.config("[admin]\nlisten = \"off\"\nsocket = \"off\"\n");
    assert!(yard.run(&["status"]).err.contains("turns the admin port and the socket off"));
    // A config that is wrong is searched for the port all the same, and no other daemon is asked.
    yard.config(&format!("[admin]\nlisten = \"{free}\"\n[[target\n"));
    assert!(yard.run(&["status"]).err.contains(&format!("cannot reach the daemon at {free}")));
    yard.config("[admin]\nlisten = \"nonsense\"\n");
    let ran = yard.run(&["stop"]);
    assert_eq!(ran.code, Some(78), "{ran:?}");
    assert!(ran.err.contains("--admin"), "{ran:?}");
    assert_eq!(yard.run(&["status", "--json", "--admin", &free]).json()["success"], false);
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let yard = Yard::new();
    let janitor = super::yard::JANITOR;
    let script = format!("({janitor} next --cron '* * * * *' --count 100000; echo $? >code) | head -1");
    let output =
        std::process::Command::new("sh").args(["-c", &script]).current_dir(yard.path("")).output().expect("sh runs");
    assert_eq!(output.stdout.iter().filter(|byte| **byte == b'\n').count(), 1);
    assert_eq!(std::fs::read_to_string(yard.path("code")).expect("written").trim(), "0");
}

#[test]
fn a_run_says_what_was_done_with_the_files_whatever_the_action() {
    for (action, done, would) in
        [("delete", "deleted", "would delete"), ("trash", "trashed", "would trash"), ("move", "moved", "would move")]
    {
        let yard = Yard::new();
        let archive = yard.directory("archive");
        yard.file("crowd/a");
        let target = "[[target]]\npath = \"crowd\"\nschedule = \"@yearly\"\ninclude = [\"*\"]\n";
        let to = if action == "move" { format!(":{}", archive.to_string_lossy()) } else { String::new() };
        let daemon = Daemon::with(&yard, &format!("{target}action = \"{action}{to}\"\n"));
        let port = daemon.port().to_string();
        let ask = |arguments: &[&str]| yard.run(&[arguments, &["--admin", &port]].concat()).out;
        let said = ask(&["trigger", "--dry-run"]);
        assert!(said.contains(&format!("crowd: done, {would} 1 file(s)")), "{said}");
        let said = ask(&["trigger"]);
        assert!(said.contains(&format!("crowd: done, {done} 1 file(s)")), "{said}");
        assert_eq!(daemon.target("crowd")["last_run"]["action"], action, "the directory is not for everybody");
        drop(daemon);
        yard.file("crowd/b");
        let said = yard.run(&["clean"]).out;
        assert!(said.contains(&format!("crowd: {done} 1 file(s)")), "{said}");
    }
}
