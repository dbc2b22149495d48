//! `/metrics`, and what is shipped to watch it with.

use std::collections::BTreeSet;
use std::time::Duration;

use rustix::process::Signal;

use super::client::request_with;
use super::daemon::{Daemon, PORT_ANY};
use super::yard::Yard;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A target with more to be said.
fn target(name: &str, rest: &str) -> String {
    format!("[[target]]\npath = \"{name}\"\nschedule = \"0 2 * * *\"\n{rest}\n")
}

/// The metrics as text.
fn scrape(daemon: &Daemon<'_>) -> String {
    let answer = daemon.get("/metrics");
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    answer.body
}

/// The value of a sample.
fn value(text: &str, sample: &str) -> Option<f64> {
    let found = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '))?;
    Some(found.parse().unwrap_or_else(|error| panic!("{sample} {found}: {error}")))
}

#[test]
fn metrics_count_what_was_done_and_tell_how_things_are() {
    let yard = Yard::new();
    for number in 0..3 {
        yard.aged(&format!("logs/{number}"), 9 * DAY);
        yard.file(format!("full/{number}"));
        yard.file(format!("held/{number}"));
        yard.file(format!("dry/{number}"));
    }
    let mut config = [
        target("logs", "older_than = \"3d\""),
        target("full", "include = [\"*\"]\nmax_files = 1\nmin_age = \"1h\"\nmax_size = \"1GB\""),
        target("held", "include = [\"*\"]\nmax_deletes = 1"),
        target("dry", "include = [\"*\"]"),
        target("never", "include = [\"*\"]\nmin_free = \"1%\""),
        target("off", "include = [\"*\"]\nenabled = false"),
        target("file", "include = [\"*\"]\nmissing = \"fail\""),
    ]
    .concat();
    let mut daemon = Daemon::with(&yard, &config);
    let run = |query: &str| daemon.post(&format!("/cleanup/manual?target={query}")).json()["runs"][0].clone();
    let freed = run("logs")["freed_bytes"].as_f64().expect("bytes");
    for name in ["full", "held", "file"] {
        run(name);
    }
    let eligible = run("dry&dry_run=true")["eligible_bytes"].as_f64().expect("bytes");
    assert!(freed > 0.0 && eligible > 0.0, "{freed} {eligible}");
    daemon.post("/cleanup/stop?target=never");
    let text = scrape(&daemon);
    let expected = |text: &str, wanted: &[(&str, f64)]| {
        for (sample, wanted) in wanted {
            assert_eq!(value(text, sample), Some(*wanted), "{sample} in\n{text}");
        }
    };
    expected(
        &text,
        &[
            (concat!("janitor_build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"}"), 1.0),
            ("janitor_scheduler_running", 1.0),
            ("janitor_targets{state=\"scheduled\"}", 5.0),
            ("janitor_targets{state=\"paused\"}", 1.0),
            ("janitor_targets{state=\"disabled\"}", 1.0),
            ("janitor_runs_total{target=\"logs\",outcome=\"done\"}", 1.0),
            ("janitor_runs_total{target=\"logs\",outcome=\"failed\"}", 0.0),
            ("janitor_runs_total{target=\"held\",outcome=\"held\"}", 1.0),
            ("janitor_runs_total{target=\"file\",outcome=\"failed\"}", 1.0),
            ("janitor_runs_total{target=\"dry\",outcome=\"done\"}", 0.0),
            ("janitor_dry_runs_total{target=\"dry\",outcome=\"done\"}", 1.0),
            ("janitor_removed_files_total{target=\"logs\"}", 3.0),
            ("janitor_freed_bytes_total{target=\"logs\"}", freed),
            ("janitor_removed_files_total{target=\"dry\"}", 0.0),
            ("janitor_run_duration_seconds_count", 4.0),
            ("janitor_target_held{target=\"held\"}", 1.0),
            ("janitor_target_held{target=\"logs\"}", 0.0),
            ("janitor_target_paused{target=\"never\"}", 1.0),
            ("janitor_target_enabled{target=\"off\"}", 0.0),
            ("janitor_last_run_candidates{target=\"logs\"}", 3.0),
            ("janitor_last_run_eligible_bytes{target=\"dry\"}", eligible),
            ("janitor_last_run_outcome{target=\"file\",outcome=\"failed\"}", 1.0),
            ("janitor_limit_unmet{target=\"full\",limit=\"max_files\"}", 2.0),
            ("janitor_limit_unmet{target=\"full\",limit=\"max_size\"}", 0.0),
            ("janitor_config_rejected", 0.0),
            ("janitor_config_generation", 1.0),
            ("janitor_clock_distrusted", 0.0),
            ("janitor_state_error", 0.0),
            ("janitor_log_error", 0.0),
            ("janitor_log_lost_records_total", 0.0),
        ],
    );
    let success = value(&text, "janitor_last_success_timestamp_seconds{target=\"logs\"}").expect("it was one");
    let start = value(&text, "janitor_start_time_seconds").expect("always there");
    assert!(success >= start.floor() && success < start + 3600.0, "{success} after {start}");
    for absent in [
        "janitor_last_success_timestamp_seconds{target=\"dry\"}",
        "janitor_last_success_timestamp_seconds{target=\"held\"}",
        "janitor_last_due_timestamp_seconds{target=\"logs\"}",
        "janitor_next_run_timestamp_seconds{target=\"never\"}",
        "janitor_disk_size_bytes{target=\"off\"}",
        "janitor_limit_unmet{target=\"never\",limit=\"min_free\"}",
    ] {
        assert_eq!(value(&text, absent), None, "{absent}");
    }
    let size = value(&text, "janitor_disk_size_bytes{target=\"logs\"}").expect("a disk");
    assert!(value(&text, "janitor_disk_available_bytes{target=\"logs\"}").expect("a disk") < size);
    // What `full` keeps is the same in its report.
    let run = daemon.target("full")["last_run"].clone();
    assert_eq!(run["unmet"], serde_json::json!({"max_files": 2}), "{run}");

    // A bad config, a good one without `logs`.
    yard.config(&format!("{PORT_ANY}{config}older = 1\n"));
    assert_eq!(daemon.post("/cleanup/reload").status, 422);
    expected(
        &scrape(&daemon),
        &[("janitor_config_rejected", 1.0), ("janitor_config_reloads_total{result=\"rejected\"}", 1.0)],
    );
    let rest = config.split_off(config.find("[[target]]\npath = \"full\"").expect("it is there"));
    yard.config(&format!("{PORT_ANY}{rest}"));
    assert_eq!(daemon.post("/cleanup/reload").status, 200);
    let text = scrape(&daemon);
    expected(&text, &[("janitor_config_rejected", 0.0), ("janitor_config_reloads_total{result=\"applied\"}", 1.0)]);
    assert!(!text.contains("\"logs\""), "a target that is gone is gone:\n{text}");
    yard.config(&format!("{PORT_ANY}{config}{rest}"));
    assert_eq!(daemon.post("/cleanup/reload").status, 200);
    expected(&scrape(&daemon), &[("janitor_runs_total{target=\"logs\",outcome=\"done\"}", 0.0)]);

    // A success is known after a restart, also where a failure came after it.
    daemon.post("/cleanup/manual?target=logs");
    let before = value(&scrape(&daemon), "janitor_last_success_timestamp_seconds{target=\"logs\"}");
    yard.config(&format!("{PORT_ANY}{config}missing = \"fail\"\n{rest}"));
    std::fs::rename(yard.path("logs"), yard.path("away")).expect("ours");
    assert_eq!(daemon.post("/cleanup/reload").status, 200);
    daemon.post("/cleanup/manual?target=logs");
    daemon.signal(Signal::TERM);
    assert!(daemon.wait_for_end().success());
    let daemon = Daemon::start(&yard);
    let text = scrape(&daemon);
    assert_eq!(value(&text, "janitor_last_run_outcome{target=\"logs\",outcome=\"failed\"}"), Some(1.0), "{text}");
    assert_eq!(value(&text, "janitor_last_success_timestamp_seconds{target=\"logs\"}"), before, "{text}");
    expected(&text, &[("janitor_target_held{target=\"held\"}", 1.0), ("janitor_target_paused{target=\"never\"}", 1.0)]);
}

#[test]
fn open_metrics_are_sent_to_those_who_ask_for_them() {
    let yard = Yard::new();
    let daemon = Daemon::with(&yard, &target("a \\\"quoted\\\" one", "include = [\"*\"]"));
    let accept = "Accept: application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    let open = request_with(daemon.port(), "GET", "/metrics", &[accept]);
    assert_eq!(
        open.header("content-type"),
        Some("application/openmetrics-text; version=1.0.0; charset=utf-8"),
        "{open:?}"
    );
    assert!(open.body.ends_with("\n# EOF\n") && open.body.contains("\n# TYPE janitor_runs counter\n"), "{}", open.body);
    let classic = scrape(&daemon);
    assert!(!classic.contains("# EOF") && classic.contains("\n# TYPE janitor_runs_total counter\n"), "{classic}");
    let sample = "janitor_target_enabled{target=\"a \\\"quoted\\\" one\"} 1";
    assert!(classic.contains(sample) && open.body.contains(sample), "{classic}");
    let head = request_with(daemon.port(), "HEAD", "/metrics", &[]);
    assert_eq!((head.status, &*head.body), (200, ""));
}

/// The names of metrics in a text, without what histograms add.
fn names(text: &str) -> BTreeSet<&str> {
    let is_of_name = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let words = text.split(|letter: char| !is_of_name(letter));
    words.filter(|word| word.starts_with("janitor_")).collect()
}

#[test]
fn what_is_shipped_for_monitoring_names_metrics_that_are_there() {
    let yard = Yard::new();
    let daemon = Daemon::with(&yard, &target("logs", "include = [\"*\"]"));
    let text = scrape(&daemon);
    let there: BTreeSet<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next())
        .flat_map(|name| match name {
            "janitor_run_duration_seconds" => vec![
                name,
                "janitor_run_duration_seconds_bucket",
                "janitor_run_duration_seconds_sum",
                "janitor_run_duration_seconds_count",
            ],
            name => vec![name],
        })
        .collect();
    assert!(there.len() > 35, "{there:?}");
    let top = concat!(env!("CARGO_MANIFEST_DIR"), "/");
    let read =
        |file: &str| std::fs::read_to_string(format!("{top}{file}")).unwrap_or_else(|error| panic!("{file}: {error}"));
    for (file, at_least) in [
        ("examples/monitoring/alerts.yml", 10),
        ("examples/monitoring/alerts_test.yml", 10),
        ("examples/monitoring/grafana-dashboard.json", 20),
    ] {
        let shipped = read(file);
        let named = names(&shipped);
        assert!(named.len() >= at_least, "{file}: {named:?}");
        let unknown: Vec<_> = named.difference(&there).collect();
        assert!(unknown.is_empty(), "{file} names what is not there: {unknown:?}");
    }
    let readme = read("README.md");
    for name in text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()) {
        assert!(readme.contains(&format!("`{name}`")), "the README does not name {name}");
    }
    let dashboard: serde_json::Value =
        serde_json::from_str(&read("examples/monitoring/grafana-dashboard.json")).expect("JSON");
    let panels = dashboard["panels"].as_array().expect("panels");
    assert!(panels.len() > 10, "{}", panels.len());
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64().expect("an id")), "twice: {panel}");
        assert!(panel["type"].is_string() && panel["title"].is_string() && panel["gridPos"].is_object(), "{panel}");
        if panel["type"] != "row" {
            let targets = panel["targets"].as_array().expect("queries");
            assert!(!targets.is_empty() && targets.iter().all(|query| query["expr"].is_string()), "{panel}");
        }
    }
}
