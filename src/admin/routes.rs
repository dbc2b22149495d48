//! The routes: one table, by which requests are answered and `/openapi.json` is written.

use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::changes::{self, Work};
use super::inquiry;
use super::metrics;
use super::openapi;
use super::page;
use super::query::{Kind, Parameter, Query};
use super::records;
use super::roster;
use super::visit::{Caller, Inside, Told, Visit};
use super::wire;

/// One route.
pub(super) struct Route {
    /// Path of the route; `{id}` and `{name}` stand for one component.
    pub(super) path: &'static str,
    /// Methods, as an Allow header has them. HEAD is left out where it would be all the work for nothing.
    pub(super) allow: &'static str,
    pub(super) parameters: &'static [Parameter],
    pub(super) does: Does,
    /// Description of the route, in a few words.
    pub(super) about: &'static str,
    /// Answers of the route when all is well.
    pub(super) answers: &'static [(u16, Shape)],
    /// Errors of the route's own, beside those that every route has.
    pub(super) errors: &'static [(u16, &'static str)],
}

/// Callers that a route is open to, and the function that answers it.
#[derive(Clone, Copy)]
pub(super) enum Does {
    /// Open to everybody on loopback, and answered at once.
    Tell(fn(&Visit) -> Told),
    /// Open to everybody on loopback.
    Look(fn(Inside, Query) -> Work),
    /// Open to those who may change something. The route changes something, or names files.
    Work(fn(Inside, Caller, Query) -> Work),
}

/// Function that describes the JSON of some type.
type Described = fn(&mut SchemaGenerator) -> Schema;

/// The shape of an answer.
#[derive(Clone, Copy)]
pub(super) enum Shape {
    /// JSON of this type.
    Json(Described),
    /// Text of one of these media types.
    Text(&'static [&'static str]),
    /// Server-sent events: their names, and the type of their data.
    Events(&'static [(&'static str, Described)]),
}

fn of<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

const fn parameter(name: &'static str, kind: Kind, about: &'static str) -> Parameter {
    Parameter { name, kind, about, is_needed: false }
}

const fn needed(parameter: Parameter) -> Parameter {
    Parameter { is_needed: true, ..parameter }
}

const TARGET: Parameter = parameter("target", Kind::Text, "The name of a target; all of them without it.");
const WAIT: Parameter = parameter("wait", Kind::Flag, "Whether to answer when it is done (true), or at once.");
const UNKNOWN_TARGET: (u16, &str) = (404, "unknown_target");
const DISABLED: (u16, &str) = (422, "target_disabled");
const RUNNING: (u16, &str) = (409, "running");
const SHUTTING_DOWN: (u16, &str) = (503, "shutting_down");
const BUSY: (u16, &str) = (503, "busy");

/// Length of the longest page.
pub(super) const PAGE: usize = 1000;

const GET: &str = "GET, HEAD";

const EVENTS: Shape = Shape::Events(&[
    ("run_started", of::<wire::Started<'static>>),
    ("progress", of::<wire::Progressed<'static>>),
    ("run_finished", of::<wire::RunFinished<'static>>),
    ("held", of::<wire::HeldEvent<'static>>),
    ("released", of::<wire::Released<'static>>),
    ("reload", of::<wire::ReloadEvent>),
    ("config_rejected", of::<wire::ConfigRejected<'static>>),
    ("schedule", of::<wire::ScheduleSwitched<'static>>),
    ("reset", of::<wire::Reset>),
]);

/// All routes.
pub(super) const ROUTES: [Route; 20] = [
    Route {
        path: "/",
        allow: GET,
        parameters: &[],
        does: Does::Tell(page::page),
        about: "The dashboard.",
        answers: &[(200, Shape::Text(&["text/html; charset=utf-8"]))],
        errors: &[],
    },
    Route {
        path: "/healthz",
        allow: GET,
        parameters: &[],
        does: Does::Tell(Visit::health),
        about: "200 while the process answers.",
        answers: &[(200, Shape::Json(of::<wire::Well>))],
        errors: &[],
    },
    Route {
        path: "/readyz",
        allow: GET,
        parameters: &[],
        does: Does::Tell(Visit::ready),
        about: "200 while the daemon does its work.",
        answers: &[(200, Shape::Json(of::<wire::Well>))],
        errors: &[SHUTTING_DOWN, (503, "task_dead"), (503, "stop_unknown")],
    },
    Route {
        path: "/metrics",
        allow: GET,
        parameters: &[],
        does: Does::Look(metrics::metrics),
        about: "Metrics for Prometheus: text, or OpenMetrics where Accept asks for it.",
        answers: &[(200, Shape::Text(&[metrics::CLASSIC, metrics::OPEN]))],
        errors: &[],
    },
    Route {
        path: "/openapi.json",
        allow: GET,
        parameters: &[],
        does: Does::Tell(openapi::openapi),
        about: "This description.",
        answers: &[(200, Shape::Text(&["application/json"]))],
        errors: &[],
    },
    Route {
        path: "/cleanup/status",
        allow: GET,
        parameters: &[],
        does: Does::Tell(Visit::status),
        about: "The daemon, its config and its targets, without names of files.",
        answers: &[(200, Shape::Json(of::<wire::StatusAnswer<'static>>))],
        errors: &[],
    },
    Route {
        path: "/cleanup/targets",
        allow: GET,
        parameters: &[
            parameter("limit", Kind::Count(PAGE), "The length of the page; 100 without it."),
            parameter("after", Kind::Text, "The `next` of the page before."),
        ],
        does: Does::Look(roster::targets),
        about: "The targets with their policies, in the order of the config.",
        answers: &[(200, Shape::Json(of::<wire::Targets<'static>>))],
        errors: &[UNKNOWN_TARGET, SHUTTING_DOWN],
    },
    Route {
        path: "/cleanup/targets/{name}",
        allow: GET,
        parameters: &[],
        does: Does::Look(roster::target),
        about: "One target with its policy.",
        answers: &[(200, Shape::Json(of::<wire::OneTarget<'static>>))],
        errors: &[UNKNOWN_TARGET, SHUTTING_DOWN],
    },
    Route {
        path: "/cleanup/targets/{name}/release",
        allow: "POST",
        parameters: &[WAIT],
        does: Does::Work(changes::release_target),
        about: "Sweeps the target once, without the guard that holds its run.",
        answers: &[
            (200, Shape::Json(of::<wire::ManualDone<'static>>)),
            (202, Shape::Json(of::<wire::ManualDone<'static>>)),
        ],
        errors: &[(404, "not_held"), UNKNOWN_TARGET, RUNNING, DISABLED, SHUTTING_DOWN],
    },
    Route {
        path: "/cleanup/runs",
        allow: GET,
        parameters: &[
            TARGET,
            parameter("limit", Kind::Count(PAGE), "The length of the page; 50 without it."),
            parameter("before", Kind::Text, "The `next` of the page before."),
        ],
        does: Does::Look(records::runs),
        about: "The runs that are remembered, newest first, without names of files.",
        answers: &[(200, Shape::Json(of::<wire::Runs<'static>>))],
        errors: &[(404, "no_such_run")],
    },
    Route {
        path: "/cleanup/runs/{id}",
        allow: "GET",
        parameters: &[],
        does: Does::Work(records::run),
        about: "One run with its whole report, and what of it is in the trash.",
        answers: &[(200, Shape::Json(of::<wire::OneRun<'static>>))],
        errors: &[(404, "no_such_run"), SHUTTING_DOWN],
    },
    Route {
        path: "/cleanup/runs/{id}/release",
        allow: "POST",
        parameters: &[WAIT],
        does: Does::Work(changes::release),
        about: "Sweeps the target of a held run once, without the guard that held it.",
        answers: &[
            (200, Shape::Json(of::<wire::ManualDone<'static>>)),
            (202, Shape::Json(of::<wire::ManualDone<'static>>)),
        ],
        errors: &[(404, "not_held"), UNKNOWN_TARGET, RUNNING, DISABLED, SHUTTING_DOWN],
    },
    Route {
        path: "/cleanup/runs/{id}/undo",
        allow: "POST",
        parameters: &[],
        does: Does::Work(records::undo),
        about: "Puts the files of a run back from the trash, never over others.",
        answers: &[(200, Shape::Json(of::<wire::UndoDone>))],
        errors: &[(404, "not_in_trash"), UNKNOWN_TARGET, (422, "cannot_undo"), SHUTTING_DOWN],
    },
    Route {
        path: "/cleanup/preview",
        allow: "GET",
        parameters: &[
            needed(parameter("target", Kind::Text, "The name of the target.")),
            parameter("at", Kind::Text, "As if it were this time, RFC 3339."),
            parameter("in", Kind::Text, "As if so much time had passed, `14d`."),
            parameter("released", Kind::Flag, "As if its held run was released; 404 when none is held."),
            parameter("kept", Kind::Flag, "Whether to list what stays because of a protection, too."),
            parameter("limit", Kind::Count(10 * PAGE), "How many entries are listed; 1000 without it."),
        ],
        does: Does::Work(inquiry::preview),
        about: "What a run would remove, and why.",
        answers: &[(200, Shape::Json(of::<wire::Previews>))],
        errors: &[UNKNOWN_TARGET, (404, "not_held"), BUSY, SHUTTING_DOWN],
    },
    Route {
        path: "/cleanup/explain",
        allow: "GET",
        parameters: &[
            needed(parameter("path", Kind::Text, "The path: absolute, or relative to the target that is named.")),
            parameter("target", Kind::Text, "The target that the path lies in."),
        ],
        does: Does::Work(inquiry::explain),
        about: "Why a path goes or stays, and from when it would go.",
        answers: &[(200, Shape::Json(of::<wire::Explanations>))],
        errors: &[
            UNKNOWN_TARGET,
            (404, "no_such_path"),
            (404, "not_in_target"),
            (422, "cannot_explain"),
            BUSY,
            SHUTTING_DOWN,
        ],
    },
    Route {
        path: "/cleanup/events",
        allow: "GET",
        parameters: &[parameter("after", Kind::Text, "The id of the last event that was seen, as Last-Event-ID.")],
        does: Does::Work(changes::events),
        about: "What happens, as it happens: server-sent events.",
        answers: &[(200, EVENTS)],
        errors: &[BUSY, SHUTTING_DOWN],
    },
    Route {
        path: "/cleanup/manual",
        allow: "POST",
        parameters: &[TARGET, parameter("dry_run", Kind::Flag, "Whether it only says what it would remove."), WAIT],
        does: Does::Work(changes::manual),
        about: "Sweeps every enabled target now, or one.",
        answers: &[
            (200, Shape::Json(of::<wire::ManualDone<'static>>)),
            (202, Shape::Json(of::<wire::ManualDone<'static>>)),
        ],
        errors: &[UNKNOWN_TARGET, RUNNING, DISABLED, SHUTTING_DOWN],
    },
    Route {
        path: "/cleanup/start",
        allow: "POST",
        parameters: &[TARGET],
        does: Does::Work(changes::start),
        about: "Starts the schedule of all targets, or of one.",
        answers: &[(200, Shape::Json(of::<wire::Done>))],
        errors: &[UNKNOWN_TARGET, DISABLED, SHUTTING_DOWN],
    },
    Route {
        path: "/cleanup/stop",
        allow: "POST",
        parameters: &[TARGET, parameter("cancel", Kind::Flag, "Whether to stop what is being swept, too.")],
        does: Does::Work(changes::stop),
        about: "Stops the schedule of all targets, or of one.",
        answers: &[(200, Shape::Json(of::<wire::Done>))],
        errors: &[UNKNOWN_TARGET, DISABLED, SHUTTING_DOWN],
    },
    Route {
        path: "/cleanup/reload",
        allow: "POST",
        parameters: &[],
        does: Does::Work(changes::reload),
        about: "Reads the config again, now.",
        answers: &[(200, Shape::Json(of::<wire::ReloadDone>))],
        errors: &[(422, "config_rejected"), SHUTTING_DOWN],
    },
];

/// Returns the route of a path, and the component that stands for `{id}` or `{name}` in it.
pub(super) fn find(path: &str) -> Option<(&'static Route, Option<&str>)> {
    ROUTES.iter().find_map(|route| Some((route, captured(route.path, path)?)))
}

/// Returns the component that `{id}` or `{name}` stands for, if there is any; `None` when the path is not of this form.
fn captured<'a>(form: &str, path: &'a str) -> Option<Option<&'a str>> {
    let Some((before, rest)) = form.split_once('{') else {
        return (form == path).then_some(None);
    };
    let (_, after) = rest.split_once('}')?;
    let component = path.strip_prefix(before)?.strip_suffix(after)?;
    (!component.is_empty() && !component.contains('/')).then_some(Some(component))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_finds_its_route_and_no_other() {
        for (path, form, captured) in [
            ("/", "/", None),
            ("/cleanup/runs", "/cleanup/runs", None),
            ("/cleanup/runs/x", "/cleanup/runs/{id}", Some("x")),
            ("/cleanup/runs/x/undo", "/cleanup/runs/{id}/undo", Some("x")),
            ("/cleanup/runs/undo", "/cleanup/runs/{id}", Some("undo")),
            ("/cleanup/targets/a%2Fb", "/cleanup/targets/{name}", Some("a%2Fb")),
        ] {
            let (route, found) = find(path).expect(path);
            assert_eq!((route.path, found), (form, captured), "{path}");
        }
        for path in ["", "/x", "/cleanup", "/cleanup/", "/cleanup/runs/", "/cleanup/runs//undo", "/cleanup/runs/a/b"] {
            assert!(find(path).is_none(), "{path}");
        }
    }
}
