//! The targets with their policies and their file systems.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use super::answer::Answer;
use super::changes::{self, Work};
use super::policy::{remarks, sentence};
use super::query::Query;
use super::visit::Inside;
use super::wire::{Disk, OneTarget, TargetDetail, Targets};
use crate::config::Sharing;
use crate::daemon::{InForce, Refusal, Status};
use crate::fsys;
use crate::names::TargetName;
use crate::target::Target;

/// Length of a page when the request sets no limit.
const PAGE: usize = 100;

/// Time in which file systems have to say how full they are. A file system that hangs is left out.
const PATIENCE: Duration = Duration::from_millis(500);

/// Time for one of the file systems.
const ANSWER: Duration = Duration::from_millis(200);

/// Permit to ask the file systems, for one thread at a time: where a file system hangs, no more threads wait for it.
static ASKING: Semaphore = Semaphore::const_new(1);

/// Facts about a target that have to be looked up outside of the daemon.
struct LookedUp {
    disk: Option<Disk>,
    remarks: Vec<String>,
}

/// Looks targets up on their file systems. Targets that do not answer in time are left out.
async fn look_up(sharing: Sharing, wanted: Vec<Arc<Target>>) -> HashMap<TargetName, LookedUp> {
    let Ok(Ok(place)) = tokio::time::timeout(PATIENCE, ASKING.acquire()).await else { return HashMap::new() };
    let (sender, mut found) = tokio::sync::mpsc::unbounded_channel();
    let asked = wanted.len();
    let work = move || {
        let _place = place;
        let paths = wanted.iter().map(|target| target.path.clone()).collect();
        let space = |path: &Path| fsys::resolve_now(path, false).ok().and_then(|root| root.dir.space().ok());
        fsys::each_within(ANSWER, paths, space, |at, space| {
            let target = &wanted[at];
            let disk = space.ok().flatten().map(|space| Disk::new(target, space));
            let looked_up = LookedUp { disk, remarks: remarks(target, &sharing) };
            sender.send((target.name.clone(), looked_up)).is_ok()
        });
    };
    if let Err(error) = std::thread::Builder::new().name("admin-disks".to_owned()).spawn(work) {
        tracing::debug!("The targets' file systems are not asked: cannot start a thread: {error}");
        return HashMap::new();
    }
    let mut all = HashMap::new();
    let collect = async {
        while let Some((name, looked_up)) = found.recv().await {
            all.insert(name, looked_up);
        }
    };
    if tokio::time::timeout(PATIENCE, collect).await.is_err() {
        tracing::debug!("{} of {asked} targets' file systems did not answer in time", asked - all.len());
    }
    all
}

/// Returns how full the file system of each target is, as far as that can be told soon.
pub(super) async fn disks(targets: Vec<Arc<Target>>) -> HashMap<TargetName, Disk> {
    let looked_up = look_up(Sharing::new(), targets).await;
    looked_up.into_iter().filter_map(|(name, found)| Some((name, found.disk?))).collect()
}

/// Returns the details of some of the targets, in their order.
async fn details<'a>(status: &'a Status, sharing: Sharing, wanted: &[Arc<Target>]) -> Vec<TargetDetail<'a>> {
    let mut looked_up = look_up(sharing, wanted.to_vec()).await;
    let known: HashMap<_, _> = status.targets.iter().map(|target| (&target.name, target)).collect();
    let detail = |target: &Arc<Target>| {
        // A reload may have come between the reads of the targets and of the status.
        let of = known.get(&target.name)?;
        let LookedUp { disk, remarks } =
            looked_up.remove(&target.name).unwrap_or(LookedUp { disk: None, remarks: Vec::new() });
        let hold = status.holds.iter().find(|hold| hold.target == target.name);
        Some(TargetDetail::new(of, target, (sentence(target), remarks), disk, hold, &status.zone))
    };
    wanted.iter().filter_map(detail).collect()
}

fn unknown(name: &str) -> Answer {
    changes::refused(&Refusal::UnknownTarget(name.to_owned()))
}

/// Answers with a page of targets.
pub(super) fn targets(inside: Inside, query: Query) -> Work {
    Box::pin(async move {
        let in_force = inside.handle.in_force().await.map_err(|refusal| changes::refused(&refusal))?;
        let InForce { targets: all, sharing, .. } = in_force;
        let first = match &query.after {
            None => 0,
            Some(name) => all.iter().position(|target| target.name.as_str() == name).ok_or_else(|| unknown(name))? + 1,
        };
        let wanted: Vec<_> = all[first..].iter().take(query.limit.unwrap_or(PAGE)).cloned().collect();
        let next = wanted.last().filter(|_| first + wanted.len() < all.len()).map(|target| target.name.as_str());
        let status = inside.handle.status();
        let targets = details(&status, sharing, &wanted).await;
        Ok(Answer::ok(&Targets { success: true, targets, next }))
    })
}

/// Answers with one target.
pub(super) fn target(inside: Inside, query: Query) -> Work {
    Box::pin(async move {
        let name = query.captured.unwrap_or_default();
        let in_force = inside.handle.in_force().await.map_err(|refusal| changes::refused(&refusal))?;
        let InForce { targets: all, sharing, .. } = in_force;
        let wanted: Vec<_> = all.iter().filter(|target| target.name.as_str() == name).cloned().collect();
        let status = inside.handle.status();
        let target = details(&status, sharing, &wanted).await.pop().ok_or_else(|| unknown(&name))?;
        Ok(Answer::ok(&OneTarget { success: true, target }))
    })
}
