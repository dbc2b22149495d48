use super::*;
use crate::daemon::{Rejection, RunningStatus};
use serde_json::json;

#[test]
fn health_and_readiness() {
    let port = open();
    assert_eq!(port.get("/healthz").json(), json!({"success": true, "status": "ok"}));
    assert_eq!(port.get("/readyz").json(), json!({"success": true, "status": "ready"}));
    port.publish.send_modify(|status| Arc::make_mut(status).shutting_down = true);
    assert_eq!(port.get("/healthz").status, 200);
    let reply = port.get("/readyz");
    assert_eq!((reply.status, reply.code()), (503, "shutting_down".into()));
}

#[test]
fn without_a_supervisor_it_is_alive_and_not_ready() {
    let mut setup = Setup::default();
    setup.script.reload = Box::new(|_, _| panic_with("the end of the supervisor"));
    let port = setup.open();
    // Its end takes a moment, in which it seems to be there still.
    assert!(["internal", "shutting_down"].contains(&&*port.post("/cleanup/reload").code()));
    assert!((0..1000).any(|_| port.get("/readyz").status == 503), "it ends");
    for path in ["/cleanup/manual", "/cleanup/start", "/cleanup/stop", "/cleanup/reload"] {
        let reply = port.post(path);
        assert_eq!((reply.status, reply.code()), (503, "shutting_down".into()), "{path}");
    }
    assert_eq!(port.get("/readyz").status, 503);
    assert_eq!(port.get("/healthz").status, 200);
    assert_eq!(port.get("/cleanup/status").status, 200);
}

#[test]
fn the_status_is_as_scripts_know_it() {
    let port = open();
    let body = String::from_utf8(port.get("/cleanup/status").body).unwrap();
    let start = "{\"success\":true,\"scheduler_status\":{\"is_running\":true,\"next_run\":\"2024-09-25 02:00:00\",\
                 \"total_jobs\":2,\"marked_images_dir\":\"dir/marked_images\",\"targets\":[";
    assert!(body.starts_with(start), "{body}");
    let status: Value = serde_json::from_str(&body).unwrap();
    let status = &status["scheduler_status"];
    assert_eq!(
        status["targets"][0],
        json!({
            "name": "uploads", "path": "dir/uploads", "schedule": "0 2 * * *", "timezone": "local",
            "next_run": "2024-09-25 02:00:00", "state": "scheduled", "running": null, "last_run": null,
            "over_limits": [],
            "skipped_ticks": 0,
        })
    );
    assert_eq!(
        status["config"],
        json!({
            "path": "config/janitor.toml", "generation": 1, "in_force_since": "2024-09-25T00:00:00+02:00",
            "rejection": null, "needs_restart": [], "not_applied": [],
        })
    );
    assert_eq!(status["log"], json!({"lost_records": 0, "error": null}));
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert!(status["uptime_s"].is_u64());
}

#[test]
fn the_status_tells_what_runs_what_ran_and_what_is_wrong() {
    let port = open();
    port.publish.send_modify(|status| {
        let status = Arc::make_mut(status);
        status.is_running = false;
        status.targets.pop();
        status.targets.push(target("old", TargetState::Disabled));
        let running = RunningStatus { run: RunId::new(instant()), started: instant(), progress: Arc::default() };
        running.progress.examined.store(u64::MAX, std::sync::atomic::Ordering::Relaxed);
        status.targets[0].running = Some(running);
        status.targets[0].last_run = Some(Arc::new(report("uploads", Outcome::Partial)));
        status.targets[0].skipped_ticks = 4;
        status.config.rejection =
            Some(Rejection { at: instant(), problems: vec!["x.toml:1:1: no".into()], shown: "no\n ^".into() });
        status.config.needs_restart = vec!["admin.listen".into()];
        status.config.path = None;
        status.log.lost_one("No space left on device");
    });
    let reply = port.get("/cleanup/status");
    let status = &reply.json()["scheduler_status"];
    assert_eq!(status["next_run"], Value::Null, "stopped");
    assert_eq!(status["total_jobs"], 1);
    assert_eq!(status["marked_images_dir"], "dir/uploads", "there is no target of that name: the first");
    let uploads = &status["targets"][0];
    assert_eq!(uploads["running"]["examined"], u64::MAX);
    assert_eq!(uploads["running"]["started"], "2024-09-25T00:00:00+02:00");
    let mut last = uploads["last_run"].clone();
    assert!(last["run"].as_str().unwrap().starts_with("20240924T220000Z-"), "{last}");
    last["run"] = Value::Null;
    let expected = json!({
        "run": null, "trigger": "manual", "dry_run": false, "started": "2024-09-25T00:00:00+02:00", "took_s": 1.5,
        "outcome": "partial", "action": "delete", "examined": 7, "candidates": 6, "eligible_bytes": 16384, "deleted": 3, "freed_bytes": 12288, "estimated_bytes": 0, "unseen": 0, "failed": 1, "kept": 2,
        "skipped_directories": 1, "held": null, "verified": 0, "sandbox": null, "vanished": 0, "directories": 0, "message": null, "unmet": {}, "over_limits": [], "remarks": [],
        "failures": [{"class": "Permission denied", "count": 1}],
    });
    assert_eq!(last, expected);
    assert_eq!(uploads["skipped_ticks"], 4);
    assert_eq!(status["targets"][1]["state"], "disabled");
    assert_eq!(status["targets"][1]["next_run"], Value::Null);
    assert_eq!(status["config"]["path"], Value::Null);
    assert_eq!(
        status["config"]["rejection"],
        json!({"at": "2024-09-25T00:00:00+02:00", "problems": ["x.toml:1:1: no"], "shown": "no\n ^"})
    );
    assert_eq!(status["config"]["needs_restart"], json!(["admin.listen"]));
    assert_eq!(status["log"], json!({"lost_records": 1, "error": "No space left on device"}));
    assert!(!String::from_utf8(reply.body).unwrap().contains("secret-name"), "the status names no files");
}

#[test]
fn a_manual_run_answers_with_its_reports() {
    let port = open();
    let reply = port.post("/cleanup/manual");
    assert_eq!(reply.status, 200);
    let body = String::from_utf8(reply.body.clone()).unwrap();
    let start = "{\"success\":true,\"message\":\"Manual cleanup completed successfully\",\"runs\":[{\"run\":\"";
    assert!(body.starts_with(start), "{body}");
    assert_eq!(reply.json()["runs"][0]["target"], "marked_images");
    assert_eq!(reply.json()["runs"][0]["outcome"], "done");
    let reply = port.post("/cleanup/manual?dry_run=true&target=gr%C3%BCn");
    assert_eq!(reply.message(), "Manual cleanup completed successfully");
    assert_eq!(port.told(), ["manual None false", "manual Some(\"grün\") true"]);
    let log = port.log.lines();
    assert!(log.iter().any(|line| line.ends_with(", target grün, dry run")), "{log:?}");
}

#[test]
fn a_manual_run_that_is_not_waited_for_is_answered_at_once() {
    let mut setup = Setup::default();
    let run = RunId::new(instant());
    let id = run.to_string();
    setup.script.manual = Box::new(move |_, _| {
        let (done, receiver) = oneshot::channel();
        std::mem::forget(done);
        let busy = vec![Busy { target: name("marked_images"), run: run.clone() }];
        let started = vec![StartedRun { run: run.clone(), target: name("uploads"), done: receiver }];
        Ok(ManualRuns { started, busy })
    });
    let port = setup.open();
    let reply = port.post("/cleanup/manual?wait=false");
    assert_eq!(reply.status, 202);
    let expected = json!({
        "success": true, "message": "Manual cleanup started",
        "runs": [{"run": id, "target": "uploads"}], "busy": [{"run": id, "target": "marked_images"}],
    });
    assert_eq!(reply.json(), expected);
}

#[test]
fn the_outcomes_of_all_runs_decide() {
    for (outcomes, message) in [
        (vec![Outcome::Done, Outcome::Done], None),
        (vec![Outcome::Done, Outcome::Partial], Some("t1 was done in part (failures: 1)")),
        (vec![Outcome::Cancelled, Outcome::Done], Some("t0 was cancelled")),
        (
            vec![Outcome::Failed, Outcome::Partial],
            Some("t0 failed (the directory is gone); t1 was done in part (failures: 1)"),
        ),
    ] {
        let mut setup = Setup::default();
        let given = outcomes.clone();
        setup.script.manual = Box::new(move |_, _| {
            let started =
                given.iter().enumerate().map(|(index, outcome)| ran(report(&format!("t{index}"), *outcome))).collect();
            Ok(ManualRuns { started, busy: vec![Busy { target: name("other"), run: RunId::new(instant()) }] })
        });
        let port = setup.open();
        let reply = port.post("/cleanup/manual");
        assert_eq!(reply.status, 200, "{outcomes:?}");
        let body = reply.json();
        assert_eq!(body["runs"].as_array().unwrap().len(), 2);
        assert_eq!(body["busy"][0]["target"], "other", "one that was busy does not spoil the others");
        match message {
            None => assert_eq!(body["message"], "Manual cleanup completed successfully"),
            Some(words) => {
                assert_eq!(body["success"], false);
                assert_eq!(body["error"], "run_failed");
                assert_eq!(body["message"], format!("Manual cleanup did not complete: {words}"));
            }
        }
        if outcomes[1] == Outcome::Partial {
            assert_eq!(body["runs"][1]["failures"][0]["examples"], json!(["secret-name.png"]));
        }
    }
}

#[test]
fn a_run_whose_report_never_comes_is_not_done() {
    let mut setup = Setup::default();
    setup.script.manual = Box::new(|_, _| {
        let done = oneshot::channel().1;
        let started = vec![StartedRun { run: RunId::new(instant()), target: name("uploads"), done }];
        Ok(ManualRuns { started, busy: Vec::new() })
    });
    let reply = setup.open().post("/cleanup/manual");
    assert_eq!(reply.code(), "run_failed");
    assert!(reply.message().contains("uploads has no report"), "{}", reply.message());
    let mut setup = Setup::default();
    setup.script.manual = Box::new(|_, _| Ok(ManualRuns { started: Vec::new(), busy: Vec::new() }));
    assert_eq!(setup.open().post("/cleanup/manual").message(), "No target is enabled: nothing to do");
}

#[test]
fn start_and_stop_say_what_they_changed() {
    let mut setup = Setup::default();
    let mut running = true;
    setup.script.switch = Box::new(move |_, wanted| {
        let before = std::mem::replace(&mut running, wanted);
        Ok(if before == wanted { Switched::Already } else { Switched::Changed })
    });
    let port = setup.open();
    for (path, message) in [
        ("/cleanup/stop", "Cleanup scheduler stopped"),
        ("/cleanup/stop", "Cleanup scheduler is already stopped"),
        ("/cleanup/start", "Cleanup scheduler started"),
        ("/cleanup/start", "Cleanup scheduler is already running"),
        ("/cleanup/stop?target=a+b", "Cleanup scheduler stopped for a b"),
        ("/cleanup/start?target=a%0Ab", "Cleanup scheduler started for a\\nb"),
    ] {
        let reply = port.post(path);
        assert_eq!(reply.status, 200);
        assert_eq!(reply.json(), json!({"success": true, "message": message}));
    }
    assert!(port.log.lines().iter().all(|line| !line.contains('\n')));
}

#[test]
fn refusals_have_their_codes() {
    let busy = || vec![Busy { target: name("uploads"), run: RunId::new(instant()) }];
    let problems = vec!["config/janitor.toml:7:1: unknown key `older`".to_owned()];
    let rejection = Rejection { at: instant(), problems: problems.clone(), shown: String::new() };
    for (refusal, status, code) in [
        (Refusal::UnknownTarget("x\u{202e}\n".into()), 404, "unknown_target"),
        (Refusal::Disabled(name("old")), 422, "target_disabled"),
        (Refusal::Running(busy()), 409, "running"),
        (Refusal::Rejected(rejection), 422, "config_rejected"),
        (Refusal::ShuttingDown, 503, "shutting_down"),
    ] {
        let mut setup = Setup::default();
        let (one, two, three) = (refusal.clone(), refusal.clone(), refusal.clone());
        setup.script.manual = Box::new(move |_, _| Err(one.clone()));
        setup.script.switch = Box::new(move |_, _| Err(two.clone()));
        setup.script.reload = Box::new(move |_, _| Err(three.clone()));
        let port = setup.open();
        for path in ["/cleanup/manual", "/cleanup/start", "/cleanup/stop", "/cleanup/reload"] {
            let reply = port.post(path);
            assert_eq!((reply.status, reply.code()), (status, code.into()), "{path}");
            let body = reply.json();
            assert_eq!(body["success"], false);
            assert!(!reply.message().is_empty() && !reply.message().contains(['\n', '\u{202e}']), "{body}");
            if code == "running" {
                assert_eq!(body["runs"][0]["target"], "uploads");
                assert!(body["runs"][0]["run"].is_string());
            }
            if code == "config_rejected" {
                assert_eq!(body["problems"], json!(problems));
            }
        }
        // Each is logged with what came of it.
        let log = port.log.lines();
        assert!(log.iter().filter(|line| line.contains("refused") || line.contains("not st")).count() >= 4, "{log:?}");
    }
}

#[test]
fn a_reload_says_what_it_changed() {
    let mut setup = Setup::default();
    let mut generation = 1;
    setup.script.reload = Box::new(move |_, _| {
        generation += 1;
        let any_change = generation == 2;
        Ok(Reloaded { generation: 2, added: 3, changed: 2, removed: 1, any_change })
    });
    let port = setup.open();
    let expected = json!({
        "success": true, "message": "Configuration reloaded", "generation": 2, "added": 3, "changed": 2, "removed": 1,
        "changed_anything": true,
    });
    assert_eq!(port.post("/cleanup/reload").json(), expected);
    assert_eq!(port.post("/cleanup/reload").message(), "Configuration is unchanged");
}

#[test]
fn a_slip_in_the_query_changes_nothing() {
    let port = open();
    for (line, named) in [
        ("POST /cleanup/manual?targte=uploads", "targte"),
        ("POST /cleanup/manual?target=a&target=b", "target"),
        ("POST /cleanup/manual?dry_run=yes", "dry_run"),
        ("POST /cleanup/manual?target=%FF", "UTF-8"),
        ("POST /cleanup/start?dry_run=true", "dry_run"),
        ("POST /cleanup/reload?target=uploads", "target"),
        ("GET /cleanup/status?target=uploads", "target"),
        ("GET /healthz?x", "x"),
        ("GET /readyz?x", "x"),
    ] {
        let reply = port.send(line, "");
        assert_eq!((reply.status, reply.code()), (400, "bad_request".into()), "{line}");
        assert!(reply.message().contains(named), "{}", reply.message());
    }
    assert_eq!(port.told(), Vec::<String>::new());
}

#[test]
fn paths_and_methods_are_exact() {
    let port = open();
    for path in ["/x", "/cleanup", "/cleanup/", "/cleanup/status/", "/Cleanup/status", "/cleanup/%73tatus", "//healthz"]
    {
        let reply = port.get(path);
        assert_eq!((reply.status, reply.code()), (404, "not_found".into()), "{path}");
    }
    for route in &crate::admin::routes::ROUTES {
        let (path, allow) = (route.path.replace("{id}", "x").replace("{name}", "x"), route.allow);
        for method in ["GET", "POST", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "BREW", "get", "post"] {
            if allow.split(", ").any(|allowed| allowed == method) {
                continue;
            }
            let reply = port.send(&format!("{method} {path}"), "");
            assert_eq!((reply.status, reply.code()), (405, "method_not_allowed".into()), "{method} {path}");
            assert_eq!(reply.header("allow"), Some(allow));
        }
    }
    assert_eq!(port.send("GET /cleanup/stop", "X-HTTP-Method-Override: POST\r\n").status, 405);
    assert_eq!(port.told(), Vec::<String>::new());
}

#[test]
fn head_is_get_without_the_body() {
    let port = open();
    for path in ["/healthz", "/cleanup/status", "/nothing", "/cleanup/stop"] {
        let mut stream = port.connect();
        write!(stream, "HEAD {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", port.address).unwrap();
        let replies = replies(&read_all(&stream), false);
        assert_eq!(replies.len(), 1, "{path}: nothing follows the head");
        let got = port.get(path);
        assert_eq!(replies[0].status, got.status, "{path}");
        assert_eq!(replies[0].header("content-type"), Some("application/json"));
        if path != "/cleanup/status" {
            assert_eq!(replies[0].header("content-length"), got.header("content-length"));
        }
    }
    assert_eq!(port.told(), Vec::<String>::new());
}

#[test]
fn a_long_status_arrives_whole() {
    let port = open();
    port.publish.send_modify(|status| {
        let many = (0..2000).map(|index| target(&format!("target-{index}"), TargetState::Scheduled));
        Arc::make_mut(status).targets = many.collect();
    });
    let reply = port.get("/cleanup/status");
    assert_eq!(reply.json()["scheduler_status"]["targets"].as_array().unwrap().len(), 2000);
}
