//! What the port answers is what `/openapi.json` says of it, field by field.

use std::time::Duration;

use serde_json::{Value, json};

use super::client::{Answer, Follower, request_with};
use super::daemon::{Daemon, PORT_ANY};
use super::yard::Yard;

const DAY: Duration = Duration::from_secs(86_400);

/// What an answer is held against. Here a field that is not described is one too many.
fn strict(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            fields.values_mut().for_each(strict);
            if fields.get("properties").is_some_and(Value::is_object) && !fields.contains_key("additionalProperties") {
                fields.insert("additionalProperties".into(), false.into());
            }
        }
        Value::Array(values) => values.iter_mut().for_each(strict),
        _ => {}
    }
}

/// What the daemon says of itself.
struct Description(Value);

impl Description {
    fn of(daemon: &Daemon<'_>) -> Self {
        let mut description = daemon.get("/openapi.json").json();
        strict(&mut description["components"]["schemas"]);
        Self(description)
    }

    fn problems(&self, schema: &Value, value: &Value) -> Vec<String> {
        assert!(schema.is_object(), "not described: {value}");
        let mut whole = schema.clone();
        whole["components"] = self.0["components"].clone();
        let validator = jsonschema::draft202012::new(&whole).expect("a schema");
        validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
    }

    /// Holds an answer against what is said of the route.
    #[track_caller]
    fn check(&self, method: &str, route: &str, answer: &Answer) -> Value {
        let response = &self.0["paths"][route][method.to_lowercase()]["responses"][answer.status.to_string()];
        let schema = &response["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{method} {route} {}: not described", answer.status);
        let body = answer.json();
        let problems = self.problems(schema, &body);
        assert!(problems.is_empty(), "{method} {route} {}: {problems:#?} in {body:#}", answer.status);
        body
    }
}

fn target(name: &str, more: &str) -> String {
    format!("[[target]]\npath = \"{name}\"\nschedule = \"0 0 1 1 *\"\n{more}\n")
}

#[test]
fn every_answer_is_as_it_is_described() {
    let yard = Yard::new();
    for number in 0..3 {
        yard.aged(&format!("trash/{number}"), 9 * DAY);
        yard.file(format!("held/{number}"));
        yard.aged(&format!("full/{number}"), DAY);
    }
    yard.file("full/deeper/new");
    let config = [
        target("trash", "older_than = \"7d\"\naction = \"trash\""),
        target("held", "include = [\"*\"]\nmax_deletes = 1"),
        target("full", "include = [\"**\"]\nmax_files = 1\nmin_age = \"1h\"\nkeep_newest = 2\nmin_free = \"1%\""),
        target("off", "include = [\"*\"]\nenabled = false"),
        target("gone", "include = [\"*\"]\nmissing = \"fail\""),
    ]
    .concat();
    let daemon = Daemon::with(&yard, &config);
    let described = Description::of(&daemon);
    let get = |route: &str, path: &str, status: u16| {
        let answer = daemon.get(path);
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        described.check("GET", route, &answer)
    };
    let post = |route: &str, path: &str, status: u16| {
        let answer = daemon.post(path);
        assert_eq!(answer.status, status, "{path}: {answer:?}");
        described.check("POST", route, &answer)
    };
    let mut follower = Follower::new(daemon.port(), &[]);
    get("/healthz", "/healthz", 200);
    get("/readyz", "/readyz", 200);
    get("/cleanup/status", "/cleanup/status", 200);
    let manual = "/cleanup/manual";
    let dry = post(manual, "/cleanup/manual?dry_run=true", 200);
    assert!(dry["runs"].as_array().expect("runs").len() == 4, "{dry}");
    let trashed = post(manual, "/cleanup/manual?target=trash", 200)["runs"][0].clone();
    let held = post(manual, "/cleanup/manual?target=held", 200)["runs"][0].clone();
    assert_eq!((&trashed["deleted"], &held["outcome"]), (&3.into(), &"held".into()), "{trashed} {held}");
    post(manual, "/cleanup/manual?target=full", 200);
    assert_eq!(post(manual, "/cleanup/manual?target=gone", 200)["success"], false);
    post(manual, "/cleanup/manual?target=full&wait=false", 202);
    post(manual, "/cleanup/manual?target=nobody", 404);
    post(manual, "/cleanup/manual?target=off", 422);
    post(manual, "/cleanup/manual?tarGet=off", 400);
    get("/cleanup/status", "/cleanup/status", 200);
    get("/cleanup/targets", "/cleanup/targets", 200);
    get("/cleanup/targets/{name}", "/cleanup/targets/held", 200);
    get("/cleanup/targets/{name}", "/cleanup/targets/nobody", 404);
    get("/cleanup/runs", "/cleanup/runs?limit=2", 200);
    get("/cleanup/runs", "/cleanup/runs?before=x", 404);
    let id = |run: &Value| run["run"].as_str().expect("an id").to_owned();
    let one = get("/cleanup/runs/{id}", &format!("/cleanup/runs/{}", id(&trashed)), 200);
    assert_eq!(one["undo"]["files"], 3, "{one}");
    get("/cleanup/runs/{id}", "/cleanup/runs/x", 404);
    yard.aged("full/again", 3 * DAY);
    let preview = get("/cleanup/preview", "/cleanup/preview?target=full&kept=true", 200);
    let previewed = &preview["targets"][0];
    for list in ["would_delete", "kept"] {
        assert!(!previewed[list].as_array().expect("a list").is_empty(), "{list}: {previewed}");
    }
    get("/cleanup/preview", "/cleanup/preview?target=nobody", 404);
    get("/cleanup/preview", "/cleanup/preview", 400);
    get("/cleanup/explain", "/cleanup/explain?target=full&path=1", 200);
    get("/cleanup/explain", "/cleanup/explain?path=/nowhere", 404);
    let undo = "/cleanup/runs/{id}/undo";
    let undone = post(undo, &format!("/cleanup/runs/{}/undo", id(&trashed)), 200);
    assert_eq!(undone["restored"], 3, "{undone}");
    post(undo, "/cleanup/runs/x/undo", 404);
    post("/cleanup/targets/{name}/release", "/cleanup/targets/nobody/release", 404);
    let release = "/cleanup/runs/{id}/release";
    post(release, &format!("/cleanup/runs/{}/release", id(&held)), 200);
    post(release, "/cleanup/runs/x/release", 404);
    post("/cleanup/stop", "/cleanup/stop?target=full", 200);
    post("/cleanup/start", "/cleanup/start?target=full", 200);
    post("/cleanup/start", "/cleanup/start?target=off", 422);
    post("/cleanup/reload", "/cleanup/reload", 200);
    yard.config(&format!("{PORT_ANY}{config}older = 1\n"));
    let rejected = post("/cleanup/reload", "/cleanup/reload", 422);
    assert!(!rejected["problems"].as_array().expect("problems").is_empty(), "{rejected}");
    get("/cleanup/status", "/cleanup/status", 200);
    yard.config(&format!("{PORT_ANY}{config}"));
    post("/cleanup/reload", "/cleanup/reload", 200);
    let from = request_with(daemon.port(), "POST", manual, &["Origin: http://example.org"]);
    assert_eq!(from.status, 403);
    described.check("POST", manual, &from);
    let wrong = request_with(daemon.port(), "POST", manual, &["Authorization: Bearer x"]);
    assert_eq!(wrong.status, 401);
    described.check("POST", manual, &wrong);

    // What was told meanwhile.
    let events = &described.0["paths"]["/cleanup/events"]["get"]["responses"]["200"]["content"]["text/event-stream"];
    let mut kinds = std::collections::BTreeSet::new();
    while !["run_started", "run_finished", "held", "released", "schedule", "config_rejected", "reload"]
        .iter()
        .all(|kind| kinds.contains(*kind))
    {
        let event = follower.next().expect("more events");
        let problems = described.problems(&events["x-events"][&event.kind], &event.data);
        assert!(problems.is_empty(), "{}: {problems:#?} in {:#}", event.kind, event.data);
        kinds.insert(event.kind);
    }
}

#[test]
fn an_answer_that_is_not_as_described_is_seen() {
    let yard = Yard::new();
    let daemon = Daemon::with(&yard, &target("a", "include = [\"*\"]"));
    let described = Description::of(&daemon);
    let schema =
        described.0["paths"]["/cleanup/status"]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
            .clone();
    let status = daemon.get("/cleanup/status").json();
    assert_eq!(described.problems(&schema, &status), [""; 0]);
    let mut wrong = status.clone();
    wrong["scheduler_status"]["total_jobs"] = json!("one");
    assert_eq!(described.problems(&schema, &wrong).len(), 1);
    let mut more = status.clone();
    more["scheduler_status"]["targets"][0]["secret"] = json!(1);
    assert_eq!(described.problems(&schema, &more).len(), 1);
    let mut less = status;
    less["scheduler_status"].as_object_mut().expect("an object").remove("version");
    assert_eq!(described.problems(&schema, &less).len(), 1);
}
