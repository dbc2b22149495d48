//! Why a path goes or stays: the answer of the judge that sweeps.

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper::StatusCode;
use serde::Serialize;
use tokio::sync::Semaphore;

use super::answer::Answer;
use super::changes::{self, Change};
use super::query::Query;
use super::routes::Caller;
use super::wire::rfc3339;
use crate::clock;
use crate::daemon::{Handle, InForce};
use crate::names::{Escaped, OneLine, RunId};
use crate::report::Trigger;
use crate::sweep::{self, Control, Explanation, Guards, Order};
use crate::target::Target;
use crate::verdict::Verdict;

/// As many may be worked on at once: where limits have a say, each walks a whole tree.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// One explanation, as JSON has it: here, and printed by the command line.
#[derive(Debug, Serialize)]
pub struct Explained {
    /// The path, as it was asked for.
    pub path: String,
    /// The target that has a say.
    pub target: String,
    /// What was judged, relative to the target: the path, or the directory that it goes with.
    pub judged: String,
    /// `goes` or `stays`.
    pub verdict: &'static str,
    /// Why.
    pub because: String,
    /// The instant from which it would go, if nothing changes.
    pub from: Option<String>,
    /// Each rule that was looked at.
    pub rules: Vec<Rule>,
    /// Why no run takes anything at all.
    pub guard: Option<String>,
    /// Whether the target is ever swept.
    pub enabled: bool,
}

/// A rule, and what it says.
#[derive(Debug, Serialize)]
pub struct Rule {
    /// Its key in the config, `size` or `age`.
    pub rule: &'static str,
    /// Its value, and how far it reaches.
    pub says: String,
}

impl Explained {
    /// Puts an explanation of `path`, written as it was asked for, into words.
    #[must_use]
    pub fn new(path: String, target: &Target, explanation: &Explanation) -> Self {
        let (verdict, because) = match &explanation.verdict {
            Verdict::Goes(reason) => ("goes", reason.to_string()),
            Verdict::Stays(because) => ("stays", because.to_string()),
        };
        let rules = explanation.rules.iter().map(|(rule, says)| Rule { rule, says: says.clone() });
        Self {
            path,
            target: target.name.to_string(),
            judged: Escaped(&explanation.path).to_string(),
            verdict,
            because,
            from: explanation.from.map(|at| rfc3339(at, &target.zone.tz)),
            rules: rules.collect(),
            guard: explanation.guard.clone(),
            enabled: target.enabled,
        }
    }
}

#[derive(Debug, Serialize)]
struct Explanations {
    success: bool,
    explanations: Vec<Explained>,
}

/// Cancels the survey when the caller leaves, or the daemon ends.
struct Left(Arc<Control>);

impl Drop for Left {
    fn drop(&mut self) {
        self.0.cancel("nobody waits for the answer any more");
    }
}

/// Explains one path: relative to the root of the target that is named, or absolute.
pub(super) fn explain(handle: Handle, _: Caller, query: Query) -> Change {
    Box::pin(async move {
        let path = query.path.filter(|path| !path.is_empty());
        let path = path.ok_or_else(|| Answer::bad_request("the query parameter `path` is needed"))?;
        let Ok(_place) = AT_ONCE.try_acquire() else {
            let message = "other paths are being explained; try again later";
            return Err(Answer::error(StatusCode::SERVICE_UNAVAILABLE, "busy", message));
        };
        let in_force = handle.in_force().await.map_err(|refusal| changes::refused(&refusal))?;
        let control = Arc::new(Control::default());
        let left = Left(control.clone());
        let answer = tokio::task::spawn_blocking(move || answer(&in_force, &control, &path, query.target.as_deref()));
        let answer = answer.await;
        drop(left);
        answer.unwrap_or_else(|error| {
            tracing::error!("A request failed inside the daemon: {error}");
            Err(Answer::internal())
        })
    })
}

fn not_there(message: String) -> Answer {
    Answer::error(StatusCode::NOT_FOUND, "no_such_path", message)
}

fn answer(in_force: &InForce, control: &Control, path: &str, name: Option<&str>) -> Result<Answer, Answer> {
    let explanation = |(target, relative): (Arc<Target>, PathBuf)| {
        let now = clock::wall();
        let protected = in_force.protected.clone();
        let order = Order {
            run: RunId::new(now),
            target: target.clone(),
            trigger: Trigger::Manual,
            dry_run: true,
            protected,
            now,
            guards: Guards::default(),
        };
        let told = sweep::explain(&order, control, relative.as_os_str().as_bytes());
        let told = told.map_err(|why| {
            let message = format!("{}: {why}", target.name);
            Answer::error(StatusCode::UNPROCESSABLE_ENTITY, "cannot_explain", message)
        })?;
        Ok(Explained::new(path.to_owned(), &target, &told))
    };
    let explanations = owned(in_force, path, name)?.into_iter().map(explanation).collect::<Result<_, _>>()?;
    Ok(Answer::ok(&Explanations { success: true, explanations }))
}

/// The targets that have a say about the path, and where it lies in each.
fn owned(in_force: &InForce, path: &str, name: Option<&str>) -> Result<Vec<(Arc<Target>, PathBuf)>, Answer> {
    let targets = match name {
        None => in_force.targets.clone(),
        Some(name) => {
            let target = in_force.targets.iter().find(|target| target.name.as_str() == name);
            let refusal = || changes::refused(&crate::daemon::Refusal::UnknownTarget(name.to_owned()));
            vec![target.ok_or_else(refusal)?.clone()]
        }
    };
    let written = Path::new(path);
    if path.split('/').any(|component| matches!(component, "." | "..")) {
        return Err(Answer::bad_request("the path must be written without `.` and `..`"));
    }
    if written.is_absolute() {
        let owners = sweep::owners(&targets, written);
        let owners = owners.ok_or_else(|| not_there(format!("there is no `{}`", OneLine(path))))?;
        if owners.is_empty() {
            return Err(Answer::error(
                StatusCode::NOT_FOUND,
                "not_in_target",
                format!("`{}` lies in no target that was asked for, so it stays", OneLine(path)),
            ));
        }
        return Ok(owners);
    }
    if name.is_none() {
        return Err(Answer::bad_request("a relative path needs the target that it lies in: `target=NAME`"));
    }
    Ok(targets.into_iter().map(|target| (target, PathBuf::from(path.trim_end_matches('/')))).collect())
}
