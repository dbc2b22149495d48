//! A sweep from its root to its report: the guards, the surveys that limits need, the walk that acts, and the removal
//! in order until enough is free.

use std::collections::BTreeSet;
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::act::Act;
use super::aside::Aside;
use super::nested::Nested;
use super::pass::{Gathered, Limit, Overview, Pass};
use super::remarks::Unmet;
use super::stamps_before::StampsBefore;
use super::stuck::Stuck;
use super::trash::Restored;
use super::walk::{Sweep, TURNS, walk};
use super::walked::Walked;
use super::whole::WholeSlots;
use super::{Control, Observer, Order, remarks};
use crate::clock;
use crate::entry::Identity;
use crate::fsys::{self, Dir, Processes, Root, Space};
use crate::globs::NearMisses;
use crate::judge;
use crate::judge::limits::{Amount, Cut, Search, Spec, Tally};
use crate::judge::links::Links;
use crate::report::{Guard, Held, LimitKey, Outcome, Remark, Report};
use crate::target::{Action, Unverifiable};
use crate::verdict::Reason;

/// Most surveys that a search for one cut may take; two or three are enough unless paths are very long.
const SURVEYS: usize = 40;

/// Longest time that a look at all processes may take.
const PROC: Duration = Duration::from_secs(5);

/// Function by which the sweep reads the free space.
pub(super) type Spacious<'a> = dyn Fn(&Dir) -> io::Result<Space> + Sync + 'a;

/// Early end of a run, before it acts, with the reason.
pub(super) struct Refused {
    outcome: Outcome,
    why: String,
    held: Option<Held>,
}

impl Refused {
    fn failed(why: impl Into<String>) -> Self {
        Self { outcome: Outcome::Failed, why: why.into(), held: None }
    }

    /// Returns the report of the run.
    pub(super) fn report(self, order: &Order) -> Report {
        Report { held: self.held, ..order.not_run(self.outcome, self.why) }
    }

    /// Returns the report of the run with remarks that are to be made all the same.
    fn report_with(self, order: &Order, remarks: Vec<Remark>) -> Report {
        Report { remarks, ..self.report(order) }
    }

    /// Returns the refusal by a guard.
    pub(super) fn held(guard: Guard, files: Option<u64>, why: impl Into<String>) -> Self {
        Self { outcome: Outcome::Held, why: why.into(), held: Some(Held { guard, files }) }
    }
}

/// Findings of the surveys.
#[derive(Default)]
pub(super) struct Plan {
    /// Cuts of `max_size` and `max_files`.
    pub(super) quotas: Vec<Limit>,
    /// Amount that has to go for the quotas, beside what goes anyway.
    pub(super) need: Amount,
    /// Cut of `min_free` beyond the quotas, as far as it can be told beforehand.
    space: Option<Limit>,
    /// Number of files that go.
    files: u64,
    /// Limits that cannot be met.
    pub(super) unmet: Vec<Unmet>,
    pub(super) overview: Overview,
}

/// Facts that are read before a sweep is confined to its target, since they lie elsewhere.
#[derive(Debug, Default)]
pub(super) struct Before {
    /// Files that were put back from the trash within a day.
    pub(super) restored: Option<Restored>,
    /// Inodes that processes use.
    pub(super) processes: Processes,
}

impl Before {
    pub(super) fn of(order: &Order, root: &Root) -> Self {
        // For single files the kernel itself is asked, one by one.
        let processes = if order.target.policy.whole_dirs { Processes::look(PROC) } else { Processes::default() };
        Self { restored: super::trash::restored(order, root), processes }
    }
}

/// Returns the state that all walks of a sweep share, as it is before the first walk.
pub(super) fn begin<'a, A>(
    order: &'a Order,
    control: &'a Control,
    observer: &'a Observer<'a>,
    act: &'a A,
    root: &'a Root,
    before: Before,
) -> Sweep<'a, A> {
    Sweep {
        order,
        control,
        observer,
        act,
        root: &root.dir,
        device: root.identity.device,
        nested: Nested::of(&order.target, root),
        root_kept: None,
        kept: Mutex::default(),
        links: Mutex::new(Links::default()),
        turns: [const { Mutex::new(()) }; TURNS],
        taken: AtomicU64::new(0),
        over_guard: AtomicBool::new(false),
        restored: before.restored,
        max_deletes: order.guards.most_deletes(order.target.max_deletes),
        attempts: AtomicU64::new(0),
        errors: AtomicU64::new(0),
        aside: Aside::new(&root.dir, order.target.threads()),
        moves_within: moves_within(order, root),
        workers: AtomicUsize::new(0),
        heeds_sticky: root.path.starts_with("/run/user"),
        processes: before.processes,
        whole_slots: WholeSlots::default(),
        locks: super::locks::counter(),
        near: NearMisses::new(&order.target.policy.globs),
        stuck: Stuck::default(),
        stamps_before: StampsBefore::default(),
        began: clock::wall().into(),
    }
}

/// Returns whether files are moved to a directory on the same file system.
fn moves_within(order: &Order, root: &Root) -> bool {
    let Action::MoveTo(to) = &order.target.action else { return false };
    fsys::identity(to).is_ok_and(|there| there.is_some_and(|there| there.device == root.identity.device))
}

/// Walks and acts. Returns the report; the callers fill in the sandbox, the root and the time that the run took.
pub(super) fn run<A: Act>(
    order: &Order,
    control: &Control,
    observer: &Observer<'_>,
    act: &A,
    root: &Root,
    known: Before,
    spacious: &Spacious<'_>,
) -> Report {
    let mut sweep = begin(order, control, observer, act, root, known);
    let (mut before, unfinished) = if act.may_change() { sweep.put_back() } else { (Vec::new(), None) };
    let plan = match sweep.prepare(spacious) {
        Ok(plan) => plan,
        Err(refused) => return refused.report_with(order, before),
    };
    // Nothing is removed before every guard has let the run pass. The rest of an earlier run has to wait for that, too.
    let mut finished = 0;
    if act.may_change() {
        finished = sweep.make_ready(unfinished.as_ref(), &mut before);
        before.extend(act.tidy().into_iter().map(Remark::from));
    }
    let mut limits = plan.quotas.clone();
    if !act.may_change() {
        // A preview removes nothing and so frees nothing: it goes by the cut that was found beforehand.
        limits.extend(plan.space.clone());
    }
    let mut walked = walk(&sweep, &Pass::Act(limits));
    let mut remarks = remarks::of(order, &walked);
    if let Some(why) = &sweep.processes.unknown {
        remarks.once.push(format!("not every process is known that works in a directory that goes whole: {why}"));
    }
    remarks.always.splice(0..0, before);
    let (mut plan, mut stalled) = (plan, order.guards.stalled);
    if act.may_change() && order.target.policy.has_limits() {
        plan = sweep.make_up(plan, &mut walked, spacious);
    }
    let mut unmet = plan.unmet;
    if let (true, Some(_), Some(watermark)) = (act.may_change(), &plan.space, order.target.policy.min_free) {
        match sweep.free(watermark, &plan.quotas, spacious, &plan.overview, &mut walked) {
            Ok(made) => {
                unmet.extend(made.unmet);
                stalled = made.stalled;
            }
            Err(error) => remarks.always.push(format!("cannot tell how much space is free: {error}").into()),
        }
    }
    remarks.always.extend(unmet.iter().map(|unmet| Remark::from(unmet.why.clone())));
    let unmet = unmet.into_iter().map(|unmet| (unmet.limit, unmet.missing)).collect();
    remarks.always.append(&mut walked.remarks);
    remarks.always.extend(remarks::left(&walked.left));
    remarks.always.extend(remarks::immutable(&walked.immutable));
    let Walked { mut counts, failures, .. } = walked;
    counts.deleted += finished;
    let cancelled = control.cancelled().map(str::to_owned);
    let without_slot = sweep.aside.missing().filter(|_| order.target.on_unverifiable == Unverifiable::Skip);
    remarks.always.extend(without_slot.as_deref().map(remarks::without_slot));
    let outcome = match (&cancelled, failures.is_empty() && without_slot.is_none()) {
        (Some(why), _) if why == super::settle::TOO_MANY_LINKS || why == super::settle::TOO_MANY_ERRORS => {
            Outcome::Failed
        }
        (Some(_), _) => Outcome::Cancelled,
        (None, true) => Outcome::Done,
        (None, false) => Outcome::Partial,
    };
    let super::remarks::Remarks { always, once } = remarks;
    let report = order.not_run(outcome, "");
    Report { counts, failures, message: cancelled, stalled, unmet, remarks: always, hints: once, ..report }
}

impl<A: Act> Sweep<'_, A> {
    /// Puts back the files and directories that a killed run has left aside. Returns the remarks on them and, if such a
    /// run has left a removal unfinished, the files that were put back.
    fn put_back(&self) -> (Vec<Remark>, Option<BTreeSet<Identity>>) {
        let recovered = fsys::recover(self.root);
        let mut said = remarks::recovered(&recovered);
        let whole = fsys::recover_whole(self.root);
        let is_unfinished = whole.as_ref().is_ok_and(|whole| whole.is_unfinished);
        said.extend(remarks::recovered_whole(whole));
        (said, is_unfinished.then(|| recovered.map(|recovered| recovered.back).unwrap_or_default()))
    }

    /// Removes the rest of what a killed or stopped run had begun to remove, if there is any, and makes slots while
    /// there is room for them. Returns the number of files that went, and adds the remarks on them to `said`.
    fn make_ready(&self, unfinished: Option<&BTreeSet<Identity>>, said: &mut Vec<Remark>) -> u64 {
        let rest = unfinished.map(|back| fsys::finish_whole(self.root, back));
        let finished = rest.iter().flatten().flat_map(|whole| &whole.finished).map(|(_, files)| files).sum();
        said.extend(rest.into_iter().flat_map(remarks::recovered_whole));
        if self.policy().whole_dirs {
            // An error is reported when the slot is needed.
            drop(self.whole_slots.make(self.root));
        }
        if matches!(self.root.is_trusted(), Ok(false)) {
            self.aside.make();
        }
        finished
    }

    /// Checks the guards and runs the surveys: everything that comes before the first file.
    fn prepare(&mut self, spacious: &Spacious<'_>) -> Result<Plan, Refused> {
        let target = self.order.target.clone();
        if let Some(name) = &target.require
            && !self.order.guards.is_released(Guard::Require)
        {
            match self.root.look(name.as_bytes()) {
                Ok(_) => {}
                Err(error) => {
                    let why = format!(
                        "`{}`, which `require` asks for, is not there: {error}",
                        crate::names::Escaped(name.as_bytes())
                    );
                    return Err(Refused::held(Guard::Require, None, why));
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
        match self.max_deletes {
            Some(most) if plan.files > most => {
                let why = format!("{} files would go, more than max_deletes {most}", plan.files);
                Err(Refused::held(Guard::MaxDeletes, Some(plan.files), why))
            }
            _ => Ok(plan),
        }
    }

    fn not_cancelled(&self) -> Result<(), Refused> {
        match self.control.cancelled() {
            Some(why) if why == super::settle::TOO_MANY_LINKS => Err(Refused::failed(why)),
            Some(why) => Err(Refused { outcome: Outcome::Cancelled, why: why.to_owned(), held: None }),
            None => Ok(()),
        }
    }

    /// Returns the cut of each limit, or the reason for which no run would take anything.
    pub(super) fn limits(&mut self, spacious: &Spacious<'_>) -> Result<Vec<Limit>, String> {
        let Plan { quotas, space, .. } = self.prepare(spacious).map_err(|refused| refused.why)?;
        Ok(quotas.into_iter().chain(space).collect())
    }

    /// Surveys all candidates and finds the cut of each limit.
    pub(super) fn plan(&self, spacious: &Spacious<'_>) -> Result<Plan, Refused> {
        let policy = &self.order.target.policy;
        if let (Some(watermark), None, None, None) =
            (policy.min_free, policy.max_size, policy.max_files, self.max_deletes)
            && spacious(self.root).is_ok_and(|space| space.free >= watermark.of(space.total))
        {
            // The watermark holds, and nothing else asks for a survey.
            return Ok(Plan::default());
        }
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
            plan.need.bytes = over;
            let need = Amount { bytes: over, ..Amount::default() };
            let (cut, amount) = self.search(tally.clone(), need, &links)?;
            if amount.bytes < over {
                plan.unmet.push(remarks::unmet(LimitKey::MaxSize, over - amount.bytes, &overview));
            }
            most = if amount.meets(most) { amount } else { most };
            let reason = Reason::MaxSize { total: overview.candidates.bytes, limit };
            plan.quotas.push(Limit { cut, reason });
        }
        if let Some(limit) = policy.max_files {
            let over = stay.files.saturating_sub(limit);
            plan.need.files = over;
            let need = Amount { files: over, ..Amount::default() };
            let (cut, amount) = self.search(tally.clone(), need, &links)?;
            if amount.files < over {
                plan.unmet.push(remarks::unmet(LimitKey::MaxFiles, over - amount.files, &overview));
            }
            most = if amount.meets(most) { amount } else { most };
            plan.quotas.push(Limit { cut, reason: Reason::MaxFiles { total: overview.candidates.files, limit } });
        }
        if let Some(watermark) = policy.min_free {
            let Space { total, free } = spacious(self.root)
                .map_err(|error| Refused::failed(format!("cannot tell how much space is free: {error}")))?;
            let limit = watermark.of(total);
            let without = free.saturating_add(overview.going.freed).saturating_add(most.freed);
            let over = limit.saturating_sub(without);
            let waits = self.order.guards.stalled.filter(|stalled| !stalled.may_probe(self.order.now, free, limit));
            if let (Some(stalled), true) = (waits, over > 0) {
                plan.unmet.push(remarks::waits(limit.saturating_sub(free), &stalled));
            } else if over > 0 {
                let need = Amount { freed: most.freed + over, ..Amount::default() };
                let (cut, amount) = self.search(tally, need, &links)?;
                if amount.freed < need.freed && !self.act.may_change() {
                    plan.unmet.push(remarks::unmet(LimitKey::MinFree, need.freed - amount.freed, &overview));
                }
                most = if amount.meets(most) { amount } else { most };
                plan.space = Some(Limit { cut, reason: Reason::MinFree { free, limit } });
            }
        }
        plan.files += most.files;
        plan.overview = overview;
        Ok(plan)
    }

    /// Finds the cut of one limit, with as many surveys as that takes. Returns the cut and the amount up to it.
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
                    // The links of this survey are known already.
                    drop(std::mem::take(&mut *self.links.lock().unwrap_or_else(PoisonError::into_inner)));
                    tally = again.unwrap_or_else(|| Tally::new(spec));
                    tally.credit(links);
                }
            }
        }
        let why = "the paths are too long for the limits to be measured in bounded memory".to_owned();
        Err(Refused::failed(why))
    }
}
