//! The runs that are remembered, and what of them can be put back.

use hyper::StatusCode;
use tracing::{info, warn};

use super::answer::Answer;
use super::changes::{self, Work};
use super::query::Query;
use super::threads::Threads;
use super::visit::{Caller, Inside};
use super::wire::{InTrash, OneRun, Run, Runs, UndoDone, rfc3339};
use crate::clock;
use crate::fsys::PutBack;
use crate::history;
use crate::names::RunId;
use crate::report::Report;
use crate::sweep::{self, UndoError};

/// Length of a page when the request sets no limit.
const PAGE: usize = 50;

/// Threads that read the history or the trash for requests.
static AT_ONCE: Threads = Threads::new(4);

fn no_such_run() -> Answer {
    Answer::error(StatusCode::NOT_FOUND, "no_such_run", "no run of this id is remembered")
}

impl Inside {
    /// Returns the newest runs as the daemon itself knows them: one of each target. They may not be on the disk yet, or
    /// there may be no disk.
    fn last_runs(&self) -> Vec<std::sync::Arc<Report>> {
        self.handle.status().targets.iter().filter_map(|target| target.last_run.clone()).collect()
    }
}

/// Answers with runs, newest first.
pub(super) fn runs(inside: Inside, query: Query) -> Work {
    Box::pin(async move {
        let Query { target, limit, before, .. } = query;
        let limit = limit.unwrap_or(PAGE);
        let before = before.map(|id| RunId::parse(&id).ok_or_else(no_such_run)).transpose()?;
        let (dir, of, page) = (inside.state_dir.clone(), target.clone(), before.clone());
        let settler = inside.settler.clone();
        let found = AT_ONCE.run(move || {
            // A run that the caller has heard of may still be on its way to the disk.
            settler.wait();
            // One more than asked for tells whether there are more.
            history::runs(&dir, of.as_deref(), page.as_ref(), limit + 1)
        });
        let found = found.await?;
        // A state that cannot be read is told by the status.
        let mut runs = found.unwrap_or_default();
        if before.is_none() {
            let newest = runs.first().map(|run| run.started);
            for last in inside.last_runs() {
                let is_meant = target.as_deref().is_none_or(|name| name == last.target.as_str());
                let is_new = newest.is_none_or(|newest| last.started >= newest);
                if is_meant && is_new && runs.iter().all(|run| run.run != last.run) {
                    runs.push((*last).clone());
                }
            }
            runs.sort_by(|one, other| (other.started, other.run.as_str()).cmp(&(one.started, one.run.as_str())));
        }
        let has_more = runs.len() > limit;
        runs.truncate(limit);
        let zone = inside.handle.status().zone.clone();
        let next = runs.last().filter(|_| has_more).map(|run| run.run.as_str());
        let runs = runs.iter().map(|run| Run::open(run, &zone)).collect();
        Ok(Answer::ok(&Runs { success: true, runs, next }))
    })
}

/// Answers with one run.
pub(super) fn run(inside: Inside, _: Caller, query: Query) -> Work {
    Box::pin(async move {
        let id = query.captured.as_deref().and_then(RunId::parse).ok_or_else(no_such_run)?;
        let last = inside.last_runs().into_iter().find(|run| run.run == id);
        let targets = inside.handle.in_force().await.map_err(|refusal| changes::refused(&refusal))?.targets;
        let (dir, settler) = (inside.state_dir.clone(), inside.settler.clone());
        let found = AT_ONCE.run(move || {
            let report = match last {
                Some(report) => Some((*report).clone()),
                None => {
                    settler.wait();
                    history::run(&dir, &id).ok().flatten()
                }
            };
            report.map(|report| (report, sweep::in_trash(&targets, &id).ok()))
        });
        let (report, trashed) = found.await?.ok_or_else(no_such_run)?;
        let zone = inside.handle.status().zone.clone();
        let undo = trashed.map(|(weight, until)| InTrash {
            files: weight.files,
            bytes: weight.bytes,
            until: rfc3339(until, &zone),
        });
        Ok(Answer::ok(&OneRun { success: true, run: Run::full(&report, &zone), undo }))
    })
}

/// Puts the files of a run back from the trash.
pub(super) fn undo(inside: Inside, caller: Caller, query: Query) -> Work {
    Box::pin(async move {
        let not_in_trash = |message: String| Answer::error(StatusCode::NOT_FOUND, "not_in_trash", message);
        let run = query.captured.as_deref().and_then(RunId::parse);
        let run = run.ok_or_else(|| not_in_trash("this is not the id of a run".to_owned()))?;
        let targets = inside.handle.in_force().await.map_err(|refusal| changes::refused(&refusal))?.targets;
        info!("Undo of run {run} asked for by {caller}");
        let id = run.clone();
        // A caller that leaves stops nothing: what has begun is done.
        let done = AT_ONCE.run(move || {
            let done = sweep::undo(&targets, &id, clock::wall());
            match &done {
                Ok((target, PutBack { restored, occupied, failed })) => info!(
                    target_name = %target.name,
                    "Run {id} undone by {caller}: {restored} file(s) are back, {} stay in the trash",
                    occupied.len() + failed.len()
                ),
                Err(error) => warn!("Undo of run {id} by {caller} failed: {error}"),
            }
            done
        });
        let (target, PutBack { restored, occupied, failed }) = done.await?.map_err(|error| {
            let message = error.to_string();
            match error {
                UndoError::NotInTrash(_) => not_in_trash(message),
                UndoError::NoTarget(_) => Answer::error(StatusCode::NOT_FOUND, "unknown_target", message),
                UndoError::Failed(..) | UndoError::Elsewhere { .. } => {
                    Answer::error(StatusCode::UNPROCESSABLE_ENTITY, "cannot_undo", message)
                }
            }
        })?;
        let stay = occupied.len() + failed.len();
        let message = match stay {
            0 => format!("{restored} file(s) are back; for a day no run takes them again"),
            stay => format!("{restored} file(s) are back, {stay} stay in the trash"),
        };
        Ok(Answer::ok(&UndoDone {
            success: stay == 0,
            error: (stay > 0).then_some("undo_incomplete"),
            message,
            run: run.to_string(),
            target: target.name.to_string(),
            restored,
            occupied,
            failed,
        }))
    })
}
