//! `min_free`: candidates are removed in order, and the free space is read again, until enough is free.

use std::io;
use std::time::Duration;

use super::act::Act;
use super::batch::Opened;
use super::meter::{FILES, Meter, PROBE, Removed};
use super::pass::{Limit, Next, Overview, Pass};
use super::queue::Queue;
use super::remarks::{self, Unmet};
use super::run::Spacious;
use super::walk::{Sweep, Worker, walk};
use super::walked::Walked;
use crate::clock::{self, Mark};
use crate::judge::limits::Cut;
use crate::report::{LimitKey, Stalled};
use crate::target::Watermark;
use crate::verdict::Reason;

/// Number of files after which the free space is read again.
const GROUP: u64 = 8;
/// Allocated bytes after which the free space is read again.
const GROUP_BYTES: u64 = 32 * 1024 * 1024;

/// Longest wait for a file system to show the bytes that were given back: some free them in the background.
const PATIENCE: Duration = Duration::from_secs(1);

/// Pause between two readings of the free space meanwhile.
const PAUSE: Duration = Duration::from_millis(50);

/// Pauses before the readings that come before any sync.
const SOON: [Duration; 3] = [Duration::from_millis(2), Duration::from_millis(8), Duration::from_millis(30)];

/// Longest time for which the work of others is watched.
const WATCHED: Duration = Duration::from_millis(100);

/// Most new searches for what goes first, when everything that was to go had become something else.
const ANEW: u32 = 8;

/// End of a run that makes room.
pub(super) struct Made {
    pub(super) unmet: Option<Unmet>,
    pub(super) stalled: Option<Stalled>,
}

impl<A: Act> Sweep<'_, A> {
    /// Removes candidates in order until enough is free, or reports that it is not.
    ///
    /// # Errors
    /// Fails when the file system does not tell how much is free.
    pub(super) fn free(
        &self,
        watermark: Watermark,
        quotas: &[Limit],
        spacious: &Spacious<'_>,
        overview: &Overview,
        walked: &mut Walked,
    ) -> io::Result<Made> {
        let queue = Queue::default();
        let known = self.order.guards.stalled;
        let mut meter = Meter::default();
        let mut stalled = known;
        let made = |unmet: Option<Unmet>, stalled: Option<Stalled>| Ok(Made { unmet, stalled });
        let stopped = |free: u64, limit: u64, why: &str| {
            let missing = limit.saturating_sub(free);
            let why = format!("{}: {why}", LimitKey::MinFree.short_of(missing));
            Some(Unmet { limit: LimitKey::MinFree, missing, why })
        };
        let (mut is_first, mut anew) = (true, 0);
        loop {
            let space = spacious(self.root)?;
            let limit = watermark.of(space.total);
            if space.free >= limit || self.control.cancelled().is_some() {
                return made(None, stalled);
            }
            if std::mem::take(&mut is_first) {
                // After a sync the removals of others show, so that they are neither needed twice nor taken for ours.
                drop(self.root.sync());
                continue;
            }
            if let Some(gave_way) = self.act.give_way() {
                walked.remarks.push(gave_way.into());
                continue;
            }
            let first = walk(self, &Pass::First(quotas.to_vec())).gathered.into_first();
            if first.is_empty() {
                return made(Some(remarks::unmet(LimitKey::MinFree, limit - space.free, overview)), stalled);
            }
            let reason = Reason::MinFree { free: space.free, limit };
            let pass = Pass::Act(vec![Limit { cut: Cut::All, reason }]);
            let mut worker = Worker::new(self, &pass, &queue, 1);
            let done = worker.free(&first, limit, spacious, &mut meter, &mut stalled);
            let (went, stale) = (worker.walked.counts.deleted, worker.walked.stale);
            walked.merge_second_look(worker.walked);
            match done? {
                Freed::Enough => return made(None, stalled.filter(|_| !meter.is_proven())),
                Freed::Nothing { free } => {
                    let seen = Stalled { at: self.order.now, free, probed: known.is_some() && stalled.is_some() };
                    return made(stopped(free, limit, remarks::NOTHING), Some(seen));
                }
                // If names have changed hands meanwhile, a new search finds what goes first.
                Freed::NotYet if went == 0 && stale > 0 && anew < ANEW => anew += 1,
                Freed::NotYet if went == 0 && self.control.cancelled().is_none() => {
                    return made(stopped(space.free, limit, "nothing more could be removed"), stalled);
                }
                Freed::NotYet => {}
            }
        }
    }
}

/// Result of removing some files to free space.
enum Freed {
    Enough,
    NotYet,
    /// The removed files gave nothing back: so many bytes are free.
    Nothing {
        free: u64,
    },
}

impl<A: Act> Worker<'_, A> {
    /// Removes these candidates in order, and reads the free space again and again. A proof that this frees something
    /// ends a stall.
    fn free(
        &mut self,
        first: &[Next],
        limit: u64,
        spacious: &Spacious<'_>,
        meter: &mut Meter,
        stalled: &mut Option<Stalled>,
    ) -> io::Result<Freed> {
        let root = self.sweep.root;
        // The bytes that the disk has shown up to the last proof, and those that an earlier worker has counted already.
        let (mut proven, mut counted) = (0, meter.shown());
        // The bytes of removed files that the disk has not shown yet, since it was last given the time to.
        let mut unsettled: u64 = 0;
        let (mut last, mut rest) = (None, first.iter());
        // One reading follows the other without a gap: late bytes may show at any moment.
        let mut at = (spacious(root)?.free, clock::mark());
        loop {
            let (before, began) = at;
            let missing = limit.saturating_sub(before.saturating_add(unsettled));
            let group = self.take_group(&mut rest, &mut last, missing);
            let mut free = spacious(root)?.free;
            meter.removed(before, free, began.elapsed(), group);
            unsettled = (unsettled + group.expected).saturating_sub(free.saturating_sub(before));
            let ended = (free, clock::mark());
            let is_done = group.files == 0 || self.is_cancelled();
            let files = if stalled.is_some() { PROBE } else { FILES };
            let is_asked = meter.is_due(files) || (is_done && meter.removed.files >= PROBE);
            if is_asked && meter.is_proven() {
                // Bytes that show late are taken for the work of others here, and for ours again below.
                free = self.watch(spacious, meter, free)?;
            }
            // The disk is given time to show the bytes before the verdict that this frees nothing, or that one more
            // file has to go.
            let is_near = unsettled > 0 && free.saturating_add(unsettled) >= limit;
            if free < limit && !self.is_cancelled() && (is_near || (is_asked && !meter.is_proven())) {
                free = self.settle_disk(spacious, meter, ended)?;
                unsettled = 0;
            }
            // The disk was asked, so none of these bytes are an estimate.
            self.walked.counts.freed = (proven + meter.shown()).saturating_sub(counted);
            self.walked.counts.estimated = 0;
            if free >= limit {
                return Ok(Freed::Enough);
            }
            if self.is_cancelled() {
                return Ok(Freed::NotYet);
            }
            if is_asked && !meter.is_proven() {
                return Ok(Freed::Nothing { free });
            }
            if is_asked {
                proven += meter.shown().saturating_sub(counted);
                counted = 0;
                *meter = Meter::default();
                *stalled = None;
            }
            if is_done {
                return Ok(Freed::NotYet);
            }
            at = if free == ended.0 { ended } else { (free, clock::mark()) };
        }
    }

    /// Watches the work of others for as long as the metered removals took. Returns how much is free then.
    fn watch(&self, spacious: &Spacious<'_>, meter: &mut Meter, before: u64) -> io::Result<u64> {
        let began = clock::mark();
        std::thread::sleep(meter.busy().min(WATCHED));
        let after = spacious(self.sweep.root)?.free;
        meter.waited(before, after, began.elapsed());
        Ok(after)
    }

    /// Removes candidates until they are to give back as much as is missing, or are enough for another reading.
    fn take_group(
        &mut self,
        rest: &mut std::slice::Iter<'_, Next>,
        last: &mut Option<Opened>,
        missing: u64,
    ) -> Removed {
        let before = (self.walked.counts.deleted, self.walked.gone.allocated, self.walked.counts.freed);
        let mut removed = Removed::default();
        while removed.files < GROUP && removed.allocated < GROUP_BYTES && !self.is_cancelled() {
            let Some(next) = rest.next() else { break };
            self.take(next, last);
            removed = Removed {
                files: self.walked.counts.deleted - before.0,
                allocated: self.walked.gone.allocated - before.1,
                expected: self.walked.counts.freed.saturating_sub(before.2),
            };
            if removed.files > 0 && removed.expected >= missing {
                break;
            }
        }
        removed
    }

    /// Syncs the removals to the disk, waits until the free space shows them, and watches the work of others for as
    /// long. `ended` is the free space right after the last removal, and the time of that. Returns how much is free in
    /// the end.
    fn settle_disk(&self, spacious: &Spacious<'_>, meter: &mut Meter, ended: (u64, Mark)) -> io::Result<u64> {
        let root = self.sweep.root;
        let (before, began) = ended;
        let (mut best, mut last) = ((before, Duration::ZERO), before);
        let mut soon = SOON.iter();
        loop {
            // Some file systems remove files in the background and show it soon; a sync may take long, and somebody who
            // fills the disk goes on meanwhile. Others show it with the second sync only. If a sync fails, the reading
            // is taken as it is.
            match soon.next() {
                Some(pause) => std::thread::sleep(*pause),
                None => drop(root.sync()),
            }
            let after = spacious(root)?.free;
            if after > best.0 {
                best = (after, began.elapsed());
            }
            let rise = best.0 - before;
            let has_shown = soon.len() == 0 && meter.is_shown_by(rise) && after <= last;
            if rise >= meter.hidden() || has_shown || began.elapsed() >= PATIENCE || self.is_cancelled() {
                last = after;
                break;
            }
            last = after;
            if soon.len() == 0 && began.elapsed() > PAUSE {
                std::thread::sleep(PAUSE);
            }
        }
        // If the free space has not risen at all, somebody may have filled it by more than that.
        let ours = if best.0 > before { (before, best.0, best.1) } else { (before, last, began.elapsed()) };
        let began = clock::mark();
        std::thread::sleep(ours.2.min(WATCHED));
        drop(root.sync());
        let quiet = spacious(root)?.free;
        meter.settled(ours, (last, quiet, began.elapsed()));
        Ok(quiet)
    }
}
