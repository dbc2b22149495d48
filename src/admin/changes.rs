//! Requests that change something. Each is carried out once it was allowed, even if the caller leaves. Each is logged
//! with who asked for it and what came of it.

use std::sync::Arc;

use hyper::StatusCode;
use tracing::{info, warn};

use super::answer::Answer;
use super::events;
use super::query::Query;
use super::visit::{Caller, Inside};
use super::wire::{Done, ManualDone, ManualRun, Refused, ReloadDone, Run, RunRef};
use crate::daemon::{AtWork, Busy, Handle, Kept, ManualRuns, Refusal, Release, StartedRun, Switched};
use crate::names::{OneLine, RunId};
use crate::report::{Outcome, Report};

/// Work that is on its way to an answer, boxed so that all of it has one type.
pub(super) type Work = std::pin::Pin<Box<dyn Future<Output = Result<Answer, Answer>> + Send>>;

/// Consequence of an operator's word that is not written down.
const NOT_KEPT: &str = "until it can be, a restart of the daemon forgets it";

/// Message that scripts look for.
const MANUAL_DONE: &str = "Manual cleanup completed successfully";

/// Tells the supervisor something in a task of its own. A caller that leaves early ends its connection, not the task.
async fn tell<T: Send + 'static>(telling: impl Future<Output = T> + Send + 'static) -> Result<T, Answer> {
    tokio::spawn(telling).await.map_err(|error| {
        tracing::error!("A request failed inside the daemon: {error}");
        Answer::internal()
    })
}

/// Formats a target as `, target uploads`; returns nothing without a target.
fn of_target(target: Option<&str>) -> String {
    target.map(|name| format!(", target {}", OneLine(name))).unwrap_or_default()
}

/// Sweeps a target or all of them now, and waits for the runs unless told not to.
///
/// Targets that are being swept already are left to that run and named under `busy`; the others decide about success.
pub(super) fn manual(Inside { handle, .. }: Inside, caller: Caller, query: Query) -> Work {
    Box::pin(async move {
        let Query { target, dry_run, wait, .. } = query;
        let dry_run = dry_run.unwrap_or(false);
        let asked = handle.clone();
        let told = tell(async move {
            let how = if dry_run { ", dry run" } else { "" };
            info!("Manual cleanup triggered by {caller}{}{how}", of_target(target.as_deref()));
            let told = asked.manual(target, dry_run).await;
            match &told {
                Ok(runs) => info!("Manual cleanup by {caller}: {}", begun(runs)),
                Err(refusal) => warn!("Manual cleanup by {caller} refused: {}", in_words(refusal)),
            }
            told
        });
        let ManualRuns { started, busy } = told.await?.map_err(|refusal| refused(&refusal))?;
        if wait.unwrap_or(true) { Ok(ended(&handle, started, &busy).await) } else { Ok(not_awaited(&started, &busy)) }
    })
}

/// Describes the runs that a manual request set off, for the log.
fn begun(runs: &ManualRuns) -> String {
    let mut words: Vec<String> =
        runs.started.iter().map(|StartedRun { run, target, .. }| format!("started {target} ({run})")).collect();
    words.extend(runs.busy.iter().map(|Busy { target, run }| format!("already running {target} ({run})")));
    if words.is_empty() { "no target is enabled".into() } else { words.join(", ") }
}

fn references(busy: &[Busy]) -> Vec<RunRef> {
    busy.iter().map(RunRef::from).collect()
}

fn reference(started: &StartedRun) -> RunRef {
    RunRef { run: started.run.to_string(), target: started.target.to_string() }
}

fn not_awaited(started: &[StartedRun], busy: &[Busy]) -> Answer {
    let runs = started.iter().map(|started| ManualRun::Begun(reference(started))).collect();
    let message = "Manual cleanup started".into();
    let body = ManualDone { success: true, error: None, message, runs, busy: references(busy) };
    Answer::json(StatusCode::ACCEPTED, &body)
}

/// Waits for the runs to end, and answers how they ended.
async fn ended(handle: &Handle, started: Vec<StartedRun>, busy: &[Busy]) -> Answer {
    let mut reports: Vec<(RunRef, Option<Arc<Report>>)> = Vec::new();
    for started in started {
        let reference = reference(&started);
        // A missing report means that the daemon ended before the run did.
        reports.push((reference, started.done.await.ok()));
    }
    let zone = handle.status().zone.clone();
    let mut runs = Vec::new();
    let mut trouble = Vec::new();
    for (RunRef { run, target }, report) in &reports {
        trouble.extend(what_went_wrong(target, report.as_deref()));
        runs.push(match report {
            Some(report) => ManualRun::Ended(Box::new(Run::full(report, &zone))),
            None => ManualRun::Begun(RunRef { run: run.clone(), target: target.clone() }),
        });
    }
    let elsewhere = reports.iter().all(|(_, report)| report.as_ref().is_some_and(|report| report.skipped));
    if elsewhere && !reports.is_empty() && busy.is_empty() {
        let message = format!("Another process is at work: {}", trouble.join("; "));
        return Answer::error(StatusCode::CONFLICT, "running", message);
    }
    let busy = references(busy);
    if !trouble.is_empty() {
        let message = format!("Manual cleanup did not complete: {}", trouble.join("; "));
        return Answer::ok(&ManualDone { success: false, error: Some("run_failed"), message, runs, busy });
    }
    let message = if runs.is_empty() && busy.is_empty() { "No target is enabled: nothing to do" } else { MANUAL_DONE };
    Answer::ok(&ManualDone { success: true, error: None, message: message.into(), runs, busy })
}

/// Returns what kept a run from being done; `None` when the run was done.
fn what_went_wrong(target: &str, report: Option<&Report>) -> Option<String> {
    let Some(report) = report else {
        return Some(format!("{target} has no report, since the daemon is shutting down"));
    };
    let why = match (&report.message, report.outcome) {
        (_, Outcome::Done) => return None,
        (Some(message), _) => format!(" ({})", OneLine(message)),
        (None, Outcome::Partial) => format!(" (failures: {})", report.failures.count()),
        (None, Outcome::Held | Outcome::Cancelled | Outcome::Failed) => String::new(),
    };
    let how = match report.outcome {
        Outcome::Done | Outcome::Partial => "was done in part",
        Outcome::Held => "was held",
        Outcome::Cancelled => "was cancelled",
        Outcome::Failed => "failed",
    };
    Some(format!("{target} {how}{why}"))
}

/// Sweeps the target of a held run, once, without the guard that held it. Waits for the run unless told not to.
pub(super) fn release(inside: Inside, caller: Caller, query: Query) -> Work {
    let run = query.captured.as_deref().and_then(RunId::parse);
    let run = run.ok_or_else(|| Answer::error(StatusCode::NOT_FOUND, "not_held", "this is not the id of a run"));
    Box::pin(async move { release_one(inside, caller, Release::Run(run?), query.wait).await })
}

/// Releases a held run by the name of its target.
pub(super) fn release_target(inside: Inside, caller: Caller, query: Query) -> Work {
    let target = query.captured.unwrap_or_default();
    Box::pin(release_one(inside, caller, Release::Target(target), query.wait))
}

/// Describes the run that is to be released, for the log.
fn held(which: &Release) -> String {
    match which {
        Release::Run(run) => format!("run {run}"),
        Release::Target(target) => format!("the held run of {}", OneLine(target)),
    }
}

async fn release_one(
    Inside { handle, .. }: Inside,
    caller: Caller,
    which: Release,
    wait: Option<bool>,
) -> Result<Answer, Answer> {
    let asked = handle.clone();
    let told = tell(async move {
        let what = held(&which);
        info!("Release of {what} asked for by {caller}");
        let told = asked.release(which.clone()).await;
        match (&told, &which) {
            (Ok(started), Release::Run(run)) => {
                info!("Run {run} of {} released by {caller}: run {}", started.target, started.run);
            }
            (Ok(started), Release::Target(_)) => {
                info!("The held run of {} released by {caller}: run {}", started.target, started.run);
            }
            (Err(refusal), _) => warn!("Release of {what} by {caller} refused: {}", in_words(refusal)),
        }
        told
    });
    let started = vec![told.await?.map_err(|refusal| refused(&refusal))?];
    if wait.unwrap_or(true) { Ok(ended(&handle, started, &[]).await) } else { Ok(not_awaited(&started, &[])) }
}

/// Starts the schedule, of one target or of all.
pub(super) fn start(Inside { handle, .. }: Inside, caller: Caller, query: Query) -> Work {
    Box::pin(switch(
        caller,
        query.target,
        "started",
        "running",
        move |target| async move { handle.start(target).await },
    ))
}

/// Stops the schedule, of one target or of all. Stops running sweeps, too, if that is asked for.
pub(super) fn stop(Inside { handle, .. }: Inside, caller: Caller, query: Query) -> Work {
    let (at_work, changed) = match query.cancel {
        Some(true) => (AtWork::Stops, "stopped, and what was at work cancelled,"),
        _ => (AtWork::GoesOn, "stopped"),
    };
    let stop = move |target| async move { handle.stop(target, at_work).await };
    Box::pin(switch(caller, query.target, changed, "stopped", stop))
}

async fn switch<F>(
    caller: Caller,
    target: Option<String>,
    changed: &'static str,
    state: &'static str,
    act: impl FnOnce(Option<String>) -> F + Send + 'static,
) -> Result<Answer, Answer>
where
    F: Future<Output = Result<(Switched, Kept), Refusal>> + Send,
{
    let told = tell(async move {
        let whose = target.as_deref().map(|name| format!(" for {}", OneLine(name))).unwrap_or_default();
        let told = act(target).await.map(|(switched, kept)| {
            let message = match switched {
                Switched::Changed => format!("Cleanup scheduler {changed}{whose}"),
                Switched::Already => format!("Cleanup scheduler is already {state}{whose}"),
            };
            match kept {
                Ok(()) => (message, None),
                Err(why) => (format!("{message}, but this cannot be written down: {NOT_KEPT}: {why}"), Some(why)),
            }
        });
        match &told {
            Ok((message, None)) => info!("{message}, by {caller}"),
            Ok((message, Some(_))) => warn!("{message}, by {caller}"),
            Err(refusal) => warn!("Cleanup scheduler not {changed}{whose}, by {caller}: {}", in_words(refusal)),
        }
        told
    });
    let (message, not_kept) = told.await?.map_err(|refusal| refused(&refusal))?;
    Ok(Answer::ok(&Done { success: true, message, not_kept }))
}

/// Follows the events of the daemon.
pub(super) fn events(Inside { handle, bulletin, .. }: Inside, caller: Caller, query: Query) -> Work {
    Box::pin(async move {
        if handle.status().shutting_down {
            return Err(shutting_down());
        }
        let after = query.after.as_deref().or(query.last_event.as_deref());
        events::follow(handle, bulletin, caller.who, after)
    })
}

/// Reads the config again, now.
pub(super) fn reload(Inside { handle, .. }: Inside, caller: Caller, _: Query) -> Work {
    Box::pin(async move {
        let told = tell(async move {
            info!("Configuration reload triggered by {caller}");
            let told = handle.reload().await;
            match &told {
                Ok(done) => info!("Configuration reload by {caller}: generation {} is in force", done.generation),
                Err(refusal) => warn!("Configuration reload by {caller} refused: {}", in_words(refusal)),
            }
            told
        });
        let done = told.await?.map_err(|refusal| refused(&refusal))?;
        Ok(Answer::ok(&ReloadDone {
            success: true,
            message: if done.any_change { "Configuration reloaded" } else { "Configuration is unchanged" },
            generation: done.generation,
            added: done.added,
            changed: done.changed,
            removed: done.removed,
            changed_anything: done.any_change,
        }))
    })
}

fn in_words(refusal: &Refusal) -> String {
    match refusal {
        Refusal::NotHeld(Release::Run(run)) => {
            format!("no run {run} is held: it was released already, or a later one took its place")
        }
        Refusal::NotHeld(Release::Target(target)) => {
            format!("no run of {} is held: it was released already, or the last run was not held", OneLine(target))
        }
        Refusal::UnknownTarget(name) => format!("no target is named `{}`", OneLine(name)),
        Refusal::Disabled(name) => format!("the target {name} is not enabled"),
        Refusal::Running(busy) => {
            let busy: Vec<String> = busy.iter().map(|Busy { target, run }| format!("{target} ({run})")).collect();
            format!("already running: {}", busy.join(", "))
        }
        Refusal::Rejected(_) => "the new configuration is not valid; the one in force stays".into(),
        Refusal::Late => {
            "the config is still being read, since a file system does not answer; it takes effect once that is done"
                .into()
        }
        Refusal::ShuttingDown => "the daemon is shutting down".into(),
        Refusal::Died => "the part of the daemon that was to do this has died, and is started anew; try again".into(),
    }
}

pub(super) fn refused(refusal: &Refusal) -> Answer {
    let message = in_words(refusal);
    match refusal {
        Refusal::NotHeld(_) => Answer::error(StatusCode::NOT_FOUND, "not_held", message),
        Refusal::UnknownTarget(_) => Answer::error(StatusCode::NOT_FOUND, "unknown_target", message),
        Refusal::Disabled(_) => Answer::error(StatusCode::UNPROCESSABLE_ENTITY, "target_disabled", message),
        Refusal::Running(busy) => Answer::json(StatusCode::CONFLICT, &Refused::new("running", message).with_runs(busy)),
        Refusal::Rejected(rejection) => {
            let body = Refused::new("config_rejected", message).with_problems(&rejection.problems);
            Answer::json(StatusCode::UNPROCESSABLE_ENTITY, &body)
        }
        Refusal::Late => Answer::error(StatusCode::SERVICE_UNAVAILABLE, "not_answering", message),
        Refusal::ShuttingDown => Answer::error(StatusCode::SERVICE_UNAVAILABLE, "shutting_down", message),
        Refusal::Died => Answer::error(StatusCode::INTERNAL_SERVER_ERROR, "internal", message),
    }
}

/// Returns 503: the supervisor is not there any more, or will soon not be.
pub(super) fn shutting_down() -> Answer {
    refused(&Refusal::ShuttingDown)
}
