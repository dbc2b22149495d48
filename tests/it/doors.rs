//! The routes by which people look and scripts act: targets, runs, previews, undo.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::request_with;
use super::daemon::{Daemon, PORT_ANY, wait_for};
use super::needs;
use super::yard::Yard;

const DAY: Duration = Duration::from_secs(86_400);

fn target(name: &str, more: &str) -> String {
    format!("[[target]]\npath = \"{name}\"\nschedule = \"0 0 1 1 *\"\ninclude = [\"**\"]\n{more}\n")
}

#[test]
fn targets_are_told_with_their_policies_page_by_page() {
    let yard = Yard::new();
    let names = ["a", "b", "grün raum"];
    let config: String = names.map(|name| target(name, "older_than = \"7d\"\nmin_free = \"10%\"")).concat();
    let daemon = Daemon::with(&yard, &config);
    yard.directory("a");
    let page = daemon.get("/cleanup/targets?limit=2").json();
    assert_eq!((&page["targets"][0]["name"], &page["next"]), (&"a".into(), &"b".into()), "{page}");
    let a = &page["targets"][0];
    assert!(a["policy"].as_str().expect("words").contains("at an age of 7d"), "{a}");
    assert_eq!((&a["action"], &a["enabled"], &a["hold"]), (&"delete".into(), &true.into(), &Value::Null), "{a}");
    let disk = &a["disk"];
    let bytes = |key: &str| disk[key].as_u64().unwrap_or_else(|| panic!("{key}: {disk}"));
    assert!(bytes("available_bytes") <= bytes("total_bytes") && bytes("total_bytes") > 0);
    assert_eq!(bytes("min_free_bytes"), bytes("total_bytes") / 10);
    assert_eq!(page["targets"][1]["disk"], Value::Null, "its directory is not there yet");
    let rest = daemon.get("/cleanup/targets?limit=2&after=b").json();
    assert_eq!((rest["targets"].as_array().map(Vec::len), &rest["next"]), (Some(1), &Value::Null), "{rest}");
    let one = daemon.get("/cleanup/targets/gr%C3%BCn%20raum").json();
    assert_eq!(one["target"]["name"], "grün raum", "{one}");
    for (path, status, error) in [
        ("/cleanup/targets/nobody", 404, "unknown_target"),
        ("/cleanup/targets?after=nobody", 404, "unknown_target"),
        ("/cleanup/targets/%ff", 400, "bad_request"),
        ("/cleanup/targets?limit=0", 400, "bad_request"),
        ("/cleanup/targets?limit=1001", 400, "bad_request"),
    ] {
        let answer = daemon.get(path);
        assert_eq!((answer.status, &answer.json()["error"]), (status, &error.into()), "{path}");
    }
}

#[test]
fn runs_are_told_newest_first_page_by_page_and_survive_the_daemon() {
    let yard = Yard::new();
    let config = [target("a", ""), target("b", "")].concat();
    let mut ids = Vec::new();
    let page = |daemon: &Daemon<'_>, query: &str| daemon.get(&format!("/cleanup/runs{query}")).json();
    let told = |page: &Value| -> Vec<String> {
        let runs = page["runs"].as_array().unwrap_or_else(|| panic!("{page}"));
        runs.iter().map(|run| run["run"].as_str().expect("an id").to_owned()).collect()
    };
    {
        let daemon = Daemon::with(&yard, &config);
        for number in 0..5 {
            let name = if number % 2 == 0 { "a" } else { "b" };
            let run = daemon.post(&format!("/cleanup/manual?target={name}")).json()["runs"][0].clone();
            ids.insert(0, run["run"].as_str().expect("an id").to_owned());
            // Whoever has heard of a run finds it at once.
            assert_eq!(told(&page(&daemon, "?limit=1")), ids[..1]);
        }
        let first = page(&daemon, "?limit=2");
        assert_eq!((told(&first), &first["next"]), (ids[..2].to_vec(), &json!(ids[1])), "{first}");
        let second = page(&daemon, &format!("?limit=2&before={}", ids[1]));
        assert_eq!((told(&second), &second["next"]), (ids[2..4].to_vec(), &json!(ids[3])));
        let last = page(&daemon, &format!("?limit=2&before={}", ids[3]));
        assert_eq!((told(&last), &last["next"]), (ids[4..].to_vec(), &Value::Null));
        assert_eq!(told(&page(&daemon, "?target=b")), [ids[1].clone(), ids[3].clone()]);
        assert_eq!(told(&page(&daemon, "?target=nobody")), [""; 0]);
        for path in ["/cleanup/runs?before=x", "/cleanup/runs/x", "/cleanup/runs/20240101T000000Z-0000000000000000"] {
            assert_eq!(daemon.get(path).json()["error"], "no_such_run", "{path}");
        }
    }
    let daemon = Daemon::with(&yard, &config);
    assert_eq!(told(&page(&daemon, "")), ids);
}

#[test]
fn what_everybody_may_read_names_no_file() {
    let yard = Yard::new();
    yard.aged("a/secret-name", DAY);
    std::fs::set_permissions(yard.path("a"), std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("ours");
    let open = std::fs::File::open(yard.path("a/secret-name")).expect("ours");
    let daemon = Daemon::with(&yard, &target("a", ""));
    let run = daemon.post("/cleanup/manual").json()["runs"][0].clone();
    if !needs::leases() {
        return;
    }
    assert!(run["remarks"].to_string().contains("1 file stays that was to go (`secret-name`): in use"), "{run}");
    let id = run["run"].as_str().expect("an id");
    let whole = daemon.get(&format!("/cleanup/runs/{id}"));
    assert!(whole.body.contains("secret-name"), "{whole:?}");
    for path in ["/cleanup/status", "/cleanup/targets", "/cleanup/targets/a", "/cleanup/runs", "/", "/openapi.json"] {
        let answer = daemon.get(path);
        assert!(answer.status == 200 && !answer.body.contains("secret-name"), "{path}: {answer:?}");
    }
    assert!(
        daemon.get("/cleanup/runs").body.contains("1 file stays that was to go: in use"),
        "it is told all the same"
    );
    drop(open);
    // The others need what a POST needs.
    let wrong = &["Authorization: Bearer wrong"];
    for path in
        [&format!("/cleanup/runs/{id}"), "/cleanup/preview?target=a", "/cleanup/explain?path=/x", "/cleanup/events"]
    {
        assert_eq!(request_with(daemon.port(), "GET", path, wrong).status, 401, "{path}");
    }
}

/// The name that no open answer may hold.
const PLANTED: &str = "planted-4711";

#[test]
fn no_open_route_names_a_file_however_the_name_got_into_a_report() {
    let yard = Yard::new();
    // In use; a unit that is kept for what is in it; left aside by a run that was killed; not to be removed; changed while
    // it was judged is told by the log alone.
    let planted = |directory: &str| yard.aged(&format!("{directory}/{PLANTED}"), 9 * DAY);
    for directory in ["used", "whole/unit", "aside/.janitor-slots/0/file", "stuck", "excluded", "guarded"] {
        planted(directory);
    }
    std::fs::set_permissions(yard.path("used"), std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("ours");
    for private in ["aside/.janitor-slots", "aside/.janitor-slots/0", "aside/.janitor-slots/0/file"] {
        std::fs::set_permissions(yard.path(private), std::os::unix::fs::PermissionsExt::from_mode(0o700))
            .expect("ours");
    }
    let open = std::fs::File::open(yard.path(format!("used/{PLANTED}"))).expect("ours");
    let in_unit = std::fs::File::open(yard.path(format!("whole/unit/{PLANTED}"))).expect("ours");
    let is_stuck = needs::is_root()
        && std::process::Command::new("chattr")
            .args(["+i".as_ref(), yard.path(format!("stuck/{PLANTED}")).as_os_str()])
            .status()
            .is_ok_and(|status| status.success());
    let config = [
        target("used", ""),
        target("whole", "whole_dirs = true\nskip_open = true"),
        target("aside", ""),
        target("stuck", ""),
        target("excluded", "exclude = [\"nothing\"]"),
        target("guarded", "require = \"sentinel\""),
    ];
    let daemon = Daemon::with(&yard, &config.concat());
    let ran = daemon.post("/cleanup/manual");
    assert!(ran.body.contains(PLANTED), "those who may see it are told: {ran:?}");
    let described = daemon.get("/openapi.json").json();
    let paths = described["paths"].as_object().expect("paths");
    let mut scanned = Vec::new();
    for path in paths.iter().filter(|(_, methods)| methods["get"].is_object()).map(|(path, _)| path) {
        let address =
            path.replace("{name}", "used").replace("{id}", ran.json()["runs"][0]["run"].as_str().expect("an id"));
        // Whoever shows a wrong token is refused where anything is refused to anybody.
        let answer = request_with(daemon.port(), "GET", &address, &["Authorization: Bearer wrong"]);
        if answer.status == 200 {
            assert!(!answer.body.contains(PLANTED), "{path}: {answer:?}");
            scanned.push(path.as_str());
        }
    }
    let open_routes = [
        "/",
        "/cleanup/runs",
        "/cleanup/status",
        "/cleanup/targets",
        "/cleanup/targets/{name}",
        "/healthz",
        "/metrics",
        "/openapi.json",
        "/readyz",
    ];
    assert_eq!(scanned, open_routes);
    drop((open, in_unit));
    if is_stuck {
        let mut chattr = std::process::Command::new("chattr");
        chattr.args(["-i".as_ref(), yard.path(format!("stuck/{PLANTED}")).as_os_str()]).status().expect("it runs");
    }
}

#[test]
fn the_token_tells_nothing_of_what_lies_outside_of_the_targets() {
    let yard = Yard::new();
    yard.file("a/1");
    yard.file("outside/there/1");
    std::os::unix::fs::symlink(yard.path("outside"), yard.path("a/link")).expect("made");
    std::fs::write(yard.path("token"), "0123456789abcdef0123456789abcdef").expect("written");
    std::fs::set_permissions(yard.path("token"), std::os::unix::fs::PermissionsExt::from_mode(0o600)).expect("ours");
    let config = format!("{}{}", PORT_ANY.replace("[admin]", "[admin]\ntoken_file = \"token\""), target("a", ""));
    yard.config(&config);
    let daemon = Daemon::start(&yard);
    let token = &["Authorization: Bearer 0123456789abcdef0123456789abcdef"];
    let explained = |path: &str| {
        let path = yard.path(path).to_string_lossy().into_owned();
        let answer = request_with(daemon.port(), "GET", &format!("/cleanup/explain?path={path}"), token);
        (answer.status, answer.json().to_string().replace(&path, "PATH"))
    };
    assert_eq!(explained("a/1").0, 200);
    let nowhere = explained("nowhere/at/all");
    assert!(nowhere.0 == 404 && nowhere.1.contains("not_in_target"), "{nowhere:?}");
    for path in ["outside/there/1", "outside/there", "outside/there/none", "outside", "outside/none/1"] {
        assert_eq!(explained(path), nowhere, "{path}");
    }
    let through = |path: &str| explained(path).1.replace("none", "there");
    assert_eq!(through("a/link/there/1"), through("a/link/none/1"), "nor through a link in a target");
    // The daemon's own user may know.
    let missing = format!("/cleanup/explain?path={}", yard.path("nowhere/at/all").to_string_lossy());
    assert_eq!(daemon.get(&missing).json()["error"], "no_such_path");
}

#[test]
fn a_preview_tells_what_would_go_and_what_would_stay_at_any_time() {
    let yard = Yard::new();
    for (name, age) in [("a/old", 9), ("a/older", 20), ("a/new", 0)] {
        yard.aged(name, DAY * age);
    }
    let daemon = Daemon::with(&yard, &target("a", "older_than = \"7d\"\nkeep_newest = 1"));
    let paths = |list: &Value| -> Vec<String> {
        let entries = list.as_array().unwrap_or_else(|| panic!("{list}"));
        let mut paths: Vec<_> = entries.iter().map(|entry| entry["path"].as_str().expect("text").to_owned()).collect();
        paths.sort();
        paths
    };
    let preview = |query: &str| {
        let answer = daemon.get(&format!("/cleanup/preview?target=a{query}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()["targets"][0].clone()
    };
    let now = preview("");
    assert_eq!(paths(&now["would_delete"]), ["old", "older"], "{now}");
    assert_eq!(
        (&now["truncated"], &now["report"]["deleted"], paths(&now["kept"]).len()),
        (&false.into(), &2.into(), 0)
    );
    let kept = preview("&kept=true&in=30d");
    assert_eq!((paths(&kept["kept"]), &kept["kept"][0]["protection"]), (vec!["new".into()], &"keep_newest".into()));
    let short = preview("&limit=1");
    assert_eq!((paths(&short["would_delete"]).len(), &short["truncated"]), (1, &true.into()), "{short}");
    assert_eq!(short["report"]["deleted"], 2, "the report counts all of it");
    assert_eq!(paths(&preview("&at=2000-01-01T00:00:00Z")["would_delete"]).len(), 0);
    assert_eq!(yard.left("a").len(), 3, "a preview removes nothing");
    for query in
        ["", "?target=nobody", "?target=a&in=6m", "?target=a&at=soon", "?target=a&in=1d&at=2000-01-01T00:00:00Z"]
    {
        let answer = daemon.get(&format!("/cleanup/preview{query}"));
        assert_eq!(answer.status, if query.contains("nobody") { 404 } else { 400 }, "{query}: {answer:?}");
    }
}

#[test]
fn a_run_is_undone_by_the_port() {
    let yard = Yard::new();
    for name in ["a/1", "a/2"] {
        yard.file(name);
    }
    let daemon = Daemon::with(&yard, &target("a", "action = \"trash\""));
    let run = daemon.post("/cleanup/manual").json()["runs"][0]["run"].as_str().expect("an id").to_owned();
    let whole = daemon.get(&format!("/cleanup/runs/{run}")).json();
    assert_eq!(whole["undo"]["files"], 2, "{whole}");
    yard.file("a/1");
    let undone = daemon.post(&format!("/cleanup/runs/{run}/undo")).json();
    assert_eq!((&undone["success"], &undone["error"]), (&false.into(), &"undo_incomplete".into()), "{undone}");
    assert_eq!((&undone["restored"], &undone["occupied"]), (&1.into(), &json!(["1"])), "{undone}");
    assert_eq!(yard.left("a"), ["1", "2"]);
    assert_eq!(daemon.count(&format!(" - a - INFO - Run {run} undone by uid ")), 1, "{}", daemon.log());
    std::fs::rename(yard.path("a/1"), yard.path("aside")).expect("ours");
    assert_eq!(daemon.post(&format!("/cleanup/runs/{run}/undo")).json()["success"], true);
    let again = daemon.post(&format!("/cleanup/runs/{run}/undo"));
    assert_eq!((again.status, &again.json()["error"]), (404, &"not_in_trash".into()), "{again:?}");
    assert_eq!(daemon.get(&format!("/cleanup/runs/{run}")).json()["undo"], Value::Null);
    assert_eq!(daemon.post("/cleanup/runs/x/undo").status, 404);
}

#[test]
fn a_stop_can_cancel_what_is_at_work() {
    let yard = Yard::new();
    for number in 0..5000 {
        yard.file(format!("a/{number}"));
    }
    let daemon = Daemon::with(&yard, &target("a", "threads = 1"));
    let outcome = wait_for("a run that is stopped at its work", || {
        let run = daemon.post("/cleanup/manual?wait=false").json()["runs"][0]["run"].clone();
        let stopped = daemon.post("/cleanup/stop?cancel=true").json();
        assert_eq!(stopped["success"], true, "{stopped}");
        let ended = daemon.wait_for_status("its end", |status| {
            let last = &status["targets"][0]["last_run"];
            last["run"] == run && status["targets"][0]["state"] == "paused"
        });
        daemon.post("/cleanup/start");
        Some(ended["targets"][0]["last_run"].clone()).filter(|run| run["outcome"] == "cancelled")
    });
    assert_eq!(outcome["message"], "the schedule was stopped", "{outcome}");
    assert!(!yard.left("a").is_empty(), "it was stopped between two files");
}

#[test]
fn a_preview_of_a_held_target_tells_what_its_release_would_take() {
    let yard = Yard::new();
    for name in ["a/1", "a/2"] {
        yard.file(name);
    }
    let daemon = Daemon::with(&yard, &target("a", "max_deletes = 1"));
    assert_eq!(daemon.get("/cleanup/preview?target=a&released=true").json()["error"], "not_held");
    daemon.post("/cleanup/manual");
    let held = daemon.get("/cleanup/preview?target=a").json()["targets"][0]["report"].clone();
    assert_eq!((&held["outcome"], &held["held"]["files"]), (&"held".into(), &2.into()), "{held}");
    let released = daemon.get("/cleanup/preview?target=a&released=true").json()["targets"][0].clone();
    assert_eq!(released["would_delete"].as_array().map(Vec::len), Some(2), "{released}");
    assert_eq!(yard.left("a").len(), 2);
    // What was seen is what then happens.
    let run = daemon.status()["holds"][0]["run"].as_str().expect("an id").to_owned();
    daemon.post(&format!("/cleanup/runs/{run}/release"));
    assert!(yard.left("a").is_empty());
}
