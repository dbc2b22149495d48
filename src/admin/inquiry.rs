//! Questions about files: why a file goes or stays, and what a run would remove. The judge that sweeps answers them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper::StatusCode;
use jiff::Timestamp;
use tokio::sync::Semaphore;

use super::answer::Answer;
use super::changes::{self, Work};
use super::query::Query;
use super::threads;
use super::visit::{Caller, Inside};
use super::wire::{Explained, Explanations, Listed, Previewed, Previews};
use crate::clock;
use crate::daemon::{InForce, Refusal, Status};
use crate::names::{OneLine, RunId};
use crate::report::{Outcome, Trigger};
use crate::sweep::{self, Control, Guards, Order};
use crate::target::Target;
use crate::units;

/// Permits for inquiries that are worked on at once: each may walk a whole tree.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// Number of entries that are listed when the request sets no limit.
const LISTED: usize = 1000;

/// Guard that cancels the walk when the caller leaves, or the daemon ends.
struct Left(Arc<Control>);

impl Drop for Left {
    fn drop(&mut self) {
        self.0.cancel("nobody waits for the answer any more");
    }
}

/// Works on an inquiry on a thread that may block.
async fn inquire(
    inside: &Inside,
    work: impl FnOnce(&InForce, &Control) -> Result<Answer, Answer> + Send + 'static,
) -> Result<Answer, Answer> {
    let Ok(place) = AT_ONCE.try_acquire() else {
        let message = "other paths are being looked at; try again later";
        return Err(Answer::error(StatusCode::SERVICE_UNAVAILABLE, "busy", message));
    };
    let in_force = inside.handle.in_force().await.map_err(|refusal| changes::refused(&refusal))?;
    let control = Arc::new(Control::default());
    let left = Left(control.clone());
    let answer = threads::run(move || {
        // The permit is held until the work has ended, also where the caller has left.
        let _place = place;
        work(&in_force, &control)
    });
    let answer = answer.await;
    drop(left);
    answer?
}

fn order(in_force: &InForce, target: &Arc<Target>, now: Timestamp) -> Order {
    Order {
        run: RunId::new(now),
        target: target.clone(),
        trigger: Trigger::Manual,
        dry_run: true,
        protected: in_force.protected.clone(),
        now,
        guards: Guards::default(),
    }
}

fn named(in_force: &InForce, name: &str) -> Result<Arc<Target>, Answer> {
    let target = in_force.targets.iter().find(|target| target.name.as_str() == name);
    target.cloned().ok_or_else(|| changes::refused(&Refusal::UnknownTarget(name.to_owned())))
}

/// Answers what a run of a target would remove, now or at another time.
pub(super) fn preview(inside: Inside, _: Caller, query: Query) -> Work {
    Box::pin(async move {
        let name = query.target.unwrap_or_default();
        let now = moment(query.at.as_deref(), query.ahead.as_deref())?;
        let listed = if query.kept == Some(true) { Listed::All } else { Listed::Nothing };
        let most = query.limit.unwrap_or(LISTED);
        let status = inside.handle.status();
        let guards = guards(&inside, &status, &name, query.released == Some(true)).await?;
        let zone = status.zone.clone();
        inquire(&inside, move |in_force, control| {
            let order = Order { guards, ..order(in_force, &named(in_force, &name)?, now) };
            let (report, previewed) = Previewed::of(&order, control, listed, most, &zone);
            let success = matches!(report.outcome, Outcome::Done | Outcome::Held);
            Ok(Answer::ok(&Previews { success, targets: vec![previewed] }))
        })
        .await
    })
}

/// Returns the guards that apply to the next run; with `released`, those left after the release of the held run.
async fn guards(inside: &Inside, status: &Status, name: &str, released: bool) -> Result<Guards, Answer> {
    // A missing target is refused later, with the words for that.
    let Some(target) = status.targets.iter().find(|target| target.name.as_str() == name) else {
        return Ok(Guards::default());
    };
    let guards = inside.handle.guards(target.name.clone()).await.map_err(|refusal| changes::refused(&refusal))?;
    if !released {
        return Ok(guards);
    }
    let hold = status
        .holds
        .iter()
        .find(|hold| hold.target == target.name)
        .ok_or_else(|| Answer::error(StatusCode::NOT_FOUND, "not_held", "no run of this target is held"))?;
    Ok(Guards { released: Some(hold.held), ..guards })
}

/// Returns the time that a preview takes for now.
fn moment(at: Option<&str>, ahead: Option<&str>) -> Result<Timestamp, Answer> {
    let wrong = |name: &str, why: &dyn std::fmt::Display| {
        Answer::bad_request(format!("the query parameter `{name}`: {}", OneLine(&why.to_string())))
    };
    let now = clock::wall();
    match (at, ahead) {
        (Some(_), Some(_)) => Err(Answer::bad_request("`at` and `in` exclude each other")),
        (Some(at), None) => at.parse().map_err(|error: jiff::Error| wrong("at", &error)),
        (None, Some(ahead)) => {
            let ahead = units::parse_duration(ahead).map_err(|error| wrong("in", &error))?;
            now.checked_add(ahead).map_err(|error| wrong("in", &error))
        }
        (None, None) => Ok(now),
    }
}

/// Explains one path: relative to the root of the target that is named, or absolute.
pub(super) fn explain(inside: Inside, caller: Caller, query: Query) -> Work {
    Box::pin(async move {
        let path = query.path.unwrap_or_default();
        inquire(&inside, move |in_force, control| {
            let name = query.target.as_deref();
            explained(in_force, control, &path, owned(in_force, &path, name, caller.by_token)?)
        })
        .await
    })
}

fn explained(
    in_force: &InForce,
    control: &Control,
    path: &str,
    owned: Vec<(Arc<Target>, PathBuf)>,
) -> Result<Answer, Answer> {
    let explanation = |(target, relative): (Arc<Target>, PathBuf)| {
        let order = order(in_force, &target, clock::wall());
        let told = sweep::explain(&order, control, relative.as_os_str().as_encoded_bytes());
        let told = told.map_err(|why| {
            let message = format!("{}: {why}", target.name);
            Answer::error(StatusCode::UNPROCESSABLE_ENTITY, "cannot_explain", message)
        })?;
        Ok(Explained::new(path.to_owned(), &target, &told))
    };
    let explanations = owned.into_iter().map(explanation).collect::<Result<_, _>>()?;
    Ok(Answer::ok(&Explanations { success: true, explanations }))
}

/// Returns the targets that have a say about the path, and where it lies in each. A caller that has only the token
/// learns nothing about what lies outside of the targets: the token is for the targets.
fn owned(
    in_force: &InForce,
    path: &str,
    name: Option<&str>,
    by_token: bool,
) -> Result<Vec<(Arc<Target>, PathBuf)>, Answer> {
    let targets = match name {
        None => in_force.targets.clone(),
        Some(name) => vec![named(in_force, name)?],
    };
    let written = Path::new(path);
    if path.split('/').any(|component| matches!(component, "." | "..")) {
        return Err(Answer::bad_request("the path must be written without `.` and `..`"));
    }
    if written.is_absolute() {
        let owners =
            if by_token { Some(sweep::owners_by_name(&targets, written)) } else { sweep::owners(&targets, written) };
        let owners = owners.ok_or_else(|| {
            let message = format!("there is no `{}`", OneLine(path));
            Answer::error(StatusCode::NOT_FOUND, "no_such_path", message)
        })?;
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
