//! A sweep from its root to its report: the guards, the surveys that limits need, the walk that acts, and what is
//! removed in order until enough is free.

use std::io;
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, PoisonError};

use super::act::Act;
use super::batch::Opened;
use super::nested::Nested;
use super::pass::{Gathered, Limit, Next, Overview, Pass};
use super::queue::{Queue, Waiting};
use super::tree::Node;
use super::walk::{Sweep, Walked, Worker, walk};
use super::{Control, Observer, Order, remarks};
use crate::fsys::{Dir, Root, Space};
use crate::globs::Entered;
use crate::judge;
use crate::judge::limits::{Amount, Cut, Links, Search, Spec, Tally};
use crate::report::{Outcome, Report};
use crate::target::Watermark;
use crate::verdict::Reason;

/// How many surveys a search for one cut may take; two or three are enough unless paths are very long.
const SURVEYS: usize = 40;

/// After so many files, or so many bytes, the free space is read again.
const STEP: usize = 64;
const STEP_BYTES: u64 = 256 * 1024 * 1024;

/// How much space there is, as the sweep reads it.
pub(super) type Spacious<'a> = dyn Fn(&Dir) -> io::Result<Space> + Sync + 'a;

/// Why a run ends before it acts.
struct Refused(Outcome, String);

/// What the surveys have found.
#[derive(Default)]
pub(super) struct Plan {
    /// What `max_size` and `max_files` take.
    pub(super) quotas: Vec<Limit>,
    /// What `min_free` takes beyond that, as far as can be told beforehand.
    pub(super) space: Option<Limit>,
    /// Files that go.
    files: u64,
    /// Limits that cannot be met, in words.
    unmet: Vec<String>,
    overview: Overview,
}

/// Walks and acts; all of the report but the time it took.
pub(super) fn run<A: Act>(
    order: &Order,
    control: &Control,
    observer: &Observer<'_>,
    act: &A,
    root: &Root,
    spacious: &Spacious<'_>,
) -> Report {
    let mut sweep = Sweep {
        order,
        control,
        observer,
        act,
        root: &root.dir,
        nested: Nested::of(&order.target, root),
        root_kept: None,
        links: Mutex::new(Links::default()),
        taken: AtomicU64::new(0),
    };
    let plan = match sweep.prepare(spacious) {
        Ok(plan) => plan,
        Err(Refused(outcome, why)) => return order.not_run(outcome, why),
    };
    let mut limits = plan.quotas.clone();
    if !act.may_change() {
        // What a preview does not remove frees nothing, so it goes by what was found beforehand.
        limits.extend(plan.space.clone());
    }
    let mut walked = walk(&sweep, &Pass::Act(limits));
    let mut remarks = remarks::of(order, &walked.gathered);
    remarks.always.extend(plan.unmet);
    if let (true, Some(_), Some(watermark)) = (act.may_change(), &plan.space, order.target.policy.min_free) {
        let freed = sweep.free(watermark, &plan.quotas, spacious, &plan.overview, &mut walked);
        remarks.always.extend(freed);
    }
    let Walked { counts, failures, .. } = walked;
    let cancelled = control.cancelled().map(str::to_owned);
    let outcome = match (&cancelled, failures.is_empty()) {
        (Some(why), _) if why == super::settle::TOO_MANY_LINKS => Outcome::Failed,
        (Some(_), _) => Outcome::Cancelled,
        (None, true) => Outcome::Done,
        (None, false) => Outcome::Partial,
    };
    let super::remarks::Remarks { always, once } = remarks;
    Report { counts, failures, message: cancelled, remarks: always, hints: once, ..order.not_run(outcome, "") }
}

impl<A: Act> Sweep<'_, A> {
    /// The guards and the surveys: everything that comes before the first file.
    fn prepare(&mut self, spacious: &Spacious<'_>) -> Result<Plan, Refused> {
        let target = self.order.target.clone();
        if let Some(name) = &target.require {
            match self.root.look(name.as_bytes()) {
                Ok(_) => {}
                Err(error) => {
                    let why = format!("`{}`, which `require` asks for, is not there: {error}", crate::names::Escaped(name.as_bytes()));
                    return Err(Refused(Outcome::Held, why));
                }
            }
        }
        let policy = &target.policy;
        if let (Some(count), true) = (policy.keep_newest, policy.whole_dirs) {
            let newest = walk(self, &Pass::Newest(count)).gathered.newest;
            self.not_cancelled()?;
            self.root_kept = newest.map(judge::Newest::kept);
        }
        if !policy.has_limits() && target.max_deletes.is_none() {
            return Ok(Plan::default());
        }
        let plan = self.plan(spacious)?;
        match target.max_deletes {
            Some(most) if plan.files > most => {
                let why = format!("{} files would go, more than max_deletes {most}", plan.files);
                Err(Refused(Outcome::Held, why))
            }
            _ => Ok(plan),
        }
    }

    fn not_cancelled(&self) -> Result<(), Refused> {
        match self.control.cancelled() {
            Some(why) if why == super::settle::TOO_MANY_LINKS => Err(Refused(Outcome::Failed, why.to_owned())),
            Some(why) => Err(Refused(Outcome::Cancelled, why.to_owned())),
            None => Ok(()),
        }
    }

    /// Surveys all candidates and finds how far each limit reaches.
    pub(super) fn plan_for(&mut self, spacious: &Spacious<'_>) -> Result<Plan, String> {
        self.prepare(spacious).map_err(|Refused(_, why)| why)
    }

    fn plan(&self, spacious: &Spacious<'_>) -> Result<Plan, Refused> {
        let policy = &self.order.target.policy;
        let Gathered { mut overview, tally, .. } = walk(self, &Pass::Survey(Arc::new(Spec::all()))).gathered;
        self.not_cancelled()?;
        let links = std::mem::take(&mut *self.links.lock().unwrap_or_else(PoisonError::into_inner));
        let (all, going) = links.totals();
        overview.candidates += all;
        overview.going += going;
        let Some(mut tally) = tally else { return Ok(Plan::default()) };
        tally.credit(&links);
        let mut plan = Plan { files: overview.going.files, ..Plan::default() };
        let stay = Amount {
            files: overview.candidates.files - overview.going.files,
            bytes: overview.candidates.bytes.saturating_sub(overview.going.bytes),
            freed: 0,
        };
        let mut most = Amount::default();
        if let Some(limit) = policy.max_size {
            let over = stay.bytes.saturating_sub(limit);
            let need = Amount { bytes: over, ..Amount::default() };
            let (cut, amount) = self.search(tally.clone(), need, &links)?;
            if amount.bytes < over {
                plan.unmet.push(remarks::unmet("max_size", &remarks::bytes(over - amount.bytes), &overview));
            }
            most = if amount.meets(most) { amount } else { most };
            let reason = Reason::MaxSize { total: overview.candidates.bytes, limit };
            plan.quotas.push(Limit { cut, reason });
        }
        if let Some(limit) = policy.max_files {
            let over = stay.files.saturating_sub(limit);
            let need = Amount { files: over, ..Amount::default() };
            let (cut, amount) = self.search(tally.clone(), need, &links)?;
            if amount.files < over {
                plan.unmet.push(remarks::unmet("max_files", &format!("{} files", over - amount.files), &overview));
            }
            most = if amount.meets(most) { amount } else { most };
            plan.quotas.push(Limit { cut, reason: Reason::MaxFiles { total: overview.candidates.files, limit } });
        }
        if let Some(watermark) = policy.min_free {
            let Space { total, free } = spacious(self.root)
                .map_err(|error| Refused(Outcome::Failed, format!("cannot tell how much space is free: {error}")))?;
            let limit = watermark.of(total);
            let without = free.saturating_add(overview.going.freed).saturating_add(most.freed);
            let over = limit.saturating_sub(without);
            if over > 0 {
                let need = Amount { freed: most.freed + over, ..Amount::default() };
                let (cut, amount) = self.search(tally, need, &links)?;
                if amount.freed < need.freed && !self.act.may_change() {
                    let short = remarks::bytes(need.freed - amount.freed);
                    plan.unmet.push(remarks::unmet("min_free", &short, &overview));
                }
                most = if amount.meets(most) { amount } else { most };
                plan.space = Some(Limit { cut, reason: Reason::MinFree { free, limit } });
            }
        }
        plan.files += most.files;
        plan.overview = overview;
        Ok(plan)
    }

    /// Finds how far one limit reaches, with as many surveys as it takes, and what goes up to there.
    fn search(&self, tally: Tally, need: Amount, links: &Links) -> Result<(Cut, Amount), Refused> {
        if need == Amount::default() {
            return Ok((Cut::Nothing, need));
        }
        let mut tally = tally;
        let mut before = Amount::default();
        for _ in 0..SURVEYS {
            let left = Amount {
                files: need.files.saturating_sub(before.files),
                bytes: need.bytes.saturating_sub(before.bytes),
                freed: need.freed.saturating_sub(before.freed),
            };
            match tally.find(left) {
                Search::Found { cut, amount } => return Ok((cut, before + amount)),
                Search::Closer { spec, before: more } => {
                    before += more;
                    let spec = Arc::new(spec);
                    let again = walk(self, &Pass::Survey(spec.clone())).gathered.tally;
                    self.not_cancelled()?;
                    // These links are known already.
                    drop(std::mem::take(&mut *self.links.lock().unwrap_or_else(PoisonError::into_inner)));
                    tally = again.unwrap_or_else(|| Tally::new(spec));
                    tally.credit(links);
                }
            }
        }
        let why = "the paths are too long for the limits to be measured in bounded memory".to_owned();
        Err(Refused(Outcome::Failed, why))
    }

    /// Removes what goes first, in order, until enough is free. What is to be said of it.
    fn free(
        &self,
        watermark: Watermark,
        quotas: &[Limit],
        spacious: &Spacious<'_>,
        overview: &Overview,
        walked: &mut Walked,
    ) -> Option<String> {
        let queue = Queue::default();
        loop {
            let space = match spacious(self.root) {
                Ok(space) => space,
                Err(error) => return Some(format!("cannot tell how much space is free: {error}")),
            };
            let limit = watermark.of(space.total);
            if space.free >= limit || self.control.cancelled().is_some() {
                return None;
            }
            let first = walk(self, &Pass::First(quotas.to_vec())).gathered.into_first();
            if first.is_empty() {
                return Some(remarks::unmet("min_free", &remarks::bytes(limit - space.free), overview));
            }
            let reason = Reason::MinFree { free: space.free, limit };
            let pass = Pass::Act(vec![Limit { cut: Cut::All, reason }]);
            let mut worker = Worker::new(self, &pass, &queue, 1);
            let done = worker.free(&first, limit, spacious);
            let went = worker.walked.counts.deleted;
            walked.merge(worker.walked);
            match done {
                Freed::Enough => return None,
                Freed::Nothing => {
                    let why = "deleting frees nothing: links, snapshots or open files hold the space";
                    return Some(format!("stopped below min_free: {why}"));
                }
                Freed::Unknown(error) => return Some(format!("cannot tell how much space is free: {error}")),
                Freed::NotYet if went == 0 => {
                    return Some("stopped below min_free: nothing more could be removed".to_owned());
                }
                Freed::NotYet => {}
            }
        }
    }
}

/// What came of removing some files to free space.
enum Freed {
    Enough,
    NotYet,
    Nothing,
    Unknown(io::Error),
}

impl<A: Act> Worker<'_, A> {
    /// Removes these in order, and reads again and again how much is free.
    fn free(&mut self, first: &[Next], limit: u64, spacious: &Spacious<'_>) -> Freed {
        let root = self.sweep.root;
        let mut steps = 0;
        let mut at = (self.walked.counts, match spacious(root) {
            Ok(space) => space.free,
            Err(error) => return Freed::Unknown(error),
        });
        let mut last = None;
        for next in first {
            if self.is_cancelled() {
                return Freed::NotYet;
            }
            self.take(next, &mut last);
            steps += 1;
            let freed = self.walked.counts.freed - at.0.freed;
            // Near the limit each file is looked at, so that none goes that need not.
            let is_near = at.1.saturating_add(freed) >= limit;
            if !is_near && steps < STEP && freed < STEP_BYTES {
                continue;
            }
            steps = 0;
            let free = match read_settled(root, spacious, at.1, freed) {
                Ok(free) => free,
                Err(error) => return Freed::Unknown(error),
            };
            if free >= limit {
                return Freed::Enough;
            }
            let went = self.walked.counts.deleted - at.0.deleted;
            if free <= at.1 && went >= STEP as u64 {
                return Freed::Nothing;
            }
            if free > at.1 || freed > 0 {
                at = (self.walked.counts, free);
            }
        }
        Freed::NotYet
    }

    /// Removes one of them, if it still may go.
    fn take(&mut self, next: &Next, last: &mut Option<Opened>) {
        let path = &next.rank.path;
        let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&b""[..], &path[..]),
        };
        if next.whole {
            let node = Node::root().child(name);
            let globs = &self.sweep.policy().globs;
            if let Entered::Place(place) = globs.whole(&globs.root(), name) {
                self.whole(&Waiting { node, place, whole: true });
            }
            return;
        }
        if last.as_ref().is_none_or(|last| last.path != parent) {
            let dir = if parent.is_empty() { self.sweep.root.open(b".") } else { self.sweep.root.open_beneath(parent) };
            let Ok(dir) = dir else {
                self.walked.counts.vanished += 1;
                return;
            };
            let place = self.sweep.policy().globs.root();
            // `keep_newest` held its own before, and what is not among the newest does not become so by removing others.
            *last = Some(Opened { dir, node: Node::root(), path: parent.to_vec(), place, kept: None });
        }
        if let Some(directory) = last
            && let Some(found) = self.look(directory, name)
            && found.kind == crate::entry::Kind::File
            && !found.mount_point
        {
            let before = self.walked.counts.deleted;
            self.file(directory, name, &found.facts);
            if self.walked.counts.deleted > before && self.sweep.policy().remove_empty_dirs {
                self.empty_upwards(parent);
            }
        }
    }

    /// Removes the directory, if it is empty now, and then the one it lay in, and so on.
    fn empty_upwards(&mut self, path: &[u8]) {
        let mut path = path;
        while !path.is_empty() {
            let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
                Some(slash) => (&path[..slash], &path[slash + 1..]),
                None => (&b""[..], path),
            };
            let dir = if parent.is_empty() { self.sweep.root.open(b".") } else { self.sweep.root.open_beneath(parent) };
            match dir.and_then(|dir| self.sweep.act.directory(&dir, name)) {
                Ok(()) => self.directory_went(super::At { directory: parent, name }, &Reason::Emptied),
                // Mostly because it is not empty.
                Err(_) => return,
            }
            path = parent;
        }
    }
}

/// The free space, where some file systems say so only after they have written down what was removed.
fn read_settled(root: &Dir, spacious: &Spacious<'_>, before: u64, freed: u64) -> io::Result<u64> {
    let now = spacious(root)?.free;
    if now > before || freed == 0 {
        return Ok(now);
    }
    // A file system that cannot be synced tells what it tells.
    drop(root.sync());
    Ok(spacious(root)?.free)
}
