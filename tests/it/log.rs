//! The log, seen from outside.

use std::fs;
use std::time::{Duration, SystemTime};

use rustix::process::Signal;

use super::daemon::{Daemon, wait_for};
use super::yard::Yard;

#[test]
fn json_has_the_same_fields() {
    let yard = Yard::new();
    yard.file("marked_images/a\nb");
    let daemon = Daemon::with(&yard, "[log]\nformat = \"json\"\n");
    assert_eq!(daemon.post("/cleanup/manual").json()["success"], true);
    let lines: Vec<serde_json::Value> =
        daemon.log().lines().map(|line| serde_json::from_str(line).expect("one object a line")).collect();
    let deleted = lines.iter().find(|line| line["message"] == "Deleted file: a\\nb").expect("it is told");
    assert_eq!((&deleted["target"], &deleted["level"]), (&"marked_images".into(), &"INFO".into()));
    assert!(deleted["time"].as_str().is_some_and(|time| time.parse::<jiff::Timestamp>().is_ok()), "{deleted}");
}

#[test]
fn a_log_that_cannot_be_written_stops_nothing_and_is_told() {
    let yard = Yard::new();
    yard.file("marked_images/a");
    let daemon = Daemon::with(&yard, "[log]\nmax_size = \"9223000TB\"\n");
    // As long as the file system lets a file be, so that nothing can be appended to it.
    let log = fs::File::options().write(true).open(yard.path("cleanup_scheduler.log")).expect("there");
    let (mut fits, mut too_long) = (0, u64::MAX >> 1);
    while fits + 1 < too_long {
        let middle = fits + (too_long - fits) / 2;
        if log.set_len(middle).is_ok() { fits = middle } else { too_long = middle }
    }
    log.set_len(fits).expect("it fits");
    assert_eq!(daemon.post("/cleanup/manual").json()["success"], true);
    assert!(yard.left("marked_images").is_empty());
    let told = daemon.status()["log"].clone();
    assert!(
        told["lost_records"].as_u64() > Some(1) && told["error"].as_str().is_some_and(|why| why.contains("too large")),
        "{told}"
    );
    assert!(daemon.stderr().contains("Deleted file: a"), "the terminal has it");
    log.set_len(0).expect("ours");
    daemon.wait_for_status("the log to be written again", |status| {
        daemon.post("/cleanup/manual?dry_run=true");
        status["log"]["error"].is_null()
    });
}

#[test]
fn a_log_of_yesterday_is_rotated_and_old_ones_go() {
    let yard = Yard::new();
    for (name, days) in [("", 2), (".2020-01-01", 0), (".2020-01-02", 0), (".keep", 0)] {
        let path = yard.file(format!("cleanup_scheduler.log{name}"));
        #[expect(clippy::disallowed_methods, reason = "real files have real ages")]
        let modified = SystemTime::now() - Duration::from_secs(days * 86_400);
        fs::File::options().write(true).open(path).expect("there").set_modified(modified).expect("ours");
    }
    let daemon = Daemon::with(&yard, "[log]\nkeep = 2\n");
    assert!(daemon.log().lines().next().expect("lines").contains("starts, config"), "a new file");
    let logs = yard.left("").into_iter().filter(|name| name.starts_with("cleanup_scheduler.log"));
    let logs: Vec<String> = logs.collect();
    assert_eq!(logs.len(), 4, "{logs:?}");
    for name in ["cleanup_scheduler.log", "cleanup_scheduler.log.2020-01-02", "cleanup_scheduler.log.keep"] {
        assert!(logs.iter().any(|known| known == name), "{name} in {logs:?}");
    }
}

#[test]
fn after_an_outside_rotation_a_new_file_is_begun() {
    let yard = Yard::new();
    let daemon = Daemon::with(&yard, "");
    fs::rename(yard.path("cleanup_scheduler.log"), yard.path("rotated")).expect("renamed");
    daemon.signal(Signal::HUP);
    wait_for("the new file", || daemon.log().contains("reading the config again").then_some(()));
    assert!(fs::read_to_string(yard.path("rotated")).expect("there").contains("started successfully"));
}

#[test]
fn debug_says_of_each_file_why_it_went_or_stayed() {
    let yard = Yard::new();
    yard.aged("a/old.log", Duration::from_secs(86_400 * 40));
    yard.file("a/young.log");
    yard.file("a/other");
    yard.file("a/keep.log");
    yard.config(
        "[log]\nlevel = \"debug\"\n[[target]]\npath = \"a\"\nschedule = \"@daily\"\ninclude = [\"*.log\"]\nexclude = [\"keep*\"]\nolder_than = \"30d\"\n",
    );
    assert_eq!(yard.run(&["clean"]).code, Some(0));
    let log = fs::read_to_string(yard.path("cleanup_scheduler.log")).expect("there");
    for line in [
        "INFO - Deleted file: old.log",
        "DEBUG - Why old.log went: age 40d >= older_than 30d",
        "DEBUG - Kept young.log: age 0",
        "DEBUG - Kept other: no include names it",
        "DEBUG - Kept keep.log: excluded by `keep*`",
    ] {
        assert!(log.contains(line), "{line} in {log}");
    }
}

/// Whoever may write in a target chooses the names that are logged.
#[test]
fn hostile_names_take_no_more_of_the_log_than_long_ones() {
    const FILES: usize = 300;
    let yard = Yard::new();
    let hostile = "\u{1b}".repeat(250);
    let directory = format!("marked_images/{}", [hostile.as_str(); 8].join("/"));
    for number in 0..FILES {
        yard.file(format!("{directory}/{number:04}{hostile}"));
    }
    let target = "[[target]]\npath = \"marked_images\"\nschedule = \"@yearly\"\ninclude = [\"**\"]\n";
    yard.config(&format!("[admin]\nlisten = \"off\"\n{target}"));
    assert_eq!(yard.run(&["clean", "--quiet"]).code, Some(0));
    assert!(yard.left("marked_images").is_empty());
    let log = fs::read_to_string(yard.path("cleanup_scheduler.log")).expect("there");
    let lines: Vec<&str> = log.lines().filter(|line| line.contains("Deleted file: ")).collect();
    assert_eq!(lines.len(), FILES);
    let longest = lines.iter().map(|line| line.len()).max();
    assert!(longest < Some(2048), "{longest:?}");
    for number in 0..FILES {
        assert!(
            lines.iter().any(|line| line.contains(&format!("/{number:04}\\u{{1b}}"))),
            "each is told apart: {number}"
        );
    }
}

#[test]
fn a_log_that_is_full_is_rotated_while_a_sweep_writes_it_and_no_line_is_lost() {
    const FILES: usize = 5000;
    let yard = Yard::new();
    for number in 0..FILES {
        yard.file(format!("marked_images/{number}-{}", "x".repeat(100)));
    }
    let daemon = Daemon::with(&yard, "[log]\nmax_size = \"64kB\"\nrotation = \"never\"\nkeep = 1000\n");
    assert_eq!(daemon.post("/cleanup/manual").json()["success"], true);
    assert!(yard.left("marked_images").is_empty());
    wait_for("the last rotation", || {
        (yard.path("cleanup_scheduler.log").metadata().ok()?.len() < 64_000).then_some(())
    });
    let names: Vec<String> =
        yard.left("").into_iter().filter(|name| name.starts_with("cleanup_scheduler.log")).collect();
    assert!(names.len() > 2, "{names:?}");
    let told = |name: &String| {
        let text = fs::read_to_string(yard.path(name)).expect("readable");
        assert!(text.ends_with('\n'), "{name} ends with a line");
        text.lines().filter(|line| line.contains(" - Deleted file: ")).count()
    };
    assert_eq!(names.iter().map(told).sum::<usize>(), FILES);
}
