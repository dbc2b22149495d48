//! `min_free`: what goes first is removed in order, and the file system read again, until enough is free.

use std::ffi::CString;
use std::io;
use std::sync::Arc;

use super::act::Act;
use super::batch::Opened;
use super::locks;
use super::pass::{Limit, Next, Overview, Pass};
use super::queue::{Queue, Waiting};
use super::remarks::{self, Unmet};
use super::run::Spacious;
use super::tree::Node;
use super::walk::{Sweep, Walked, Worker, walk};
use crate::fsys::Dir;
use crate::globs::Entered;
use crate::judge::limits::Cut;
use crate::report::LimitKey;
use crate::target::Watermark;
use crate::verdict::Reason;

/// After so many files, or so many bytes, the free space is read again.
const STEP: usize = 64;
const STEP_BYTES: u64 = 256 * 1024 * 1024;

impl<A: Act> Sweep<'_, A> {
    /// Removes what goes first, in order, until enough is free; or says that it is not.
    ///
    /// # Errors
    /// When the file system does not tell how much is free.
    pub(super) fn free(
        &self,
        watermark: Watermark,
        quotas: &[Limit],
        spacious: &Spacious<'_>,
        overview: &Overview,
        walked: &mut Walked,
    ) -> io::Result<Option<Unmet>> {
        let queue = Queue::default();
        loop {
            let space = spacious(self.root)?;
            let limit = watermark.of(space.total);
            if space.free >= limit || self.control.cancelled().is_some() {
                return Ok(None);
            }
            if let Some(gave_way) = self.act.give_way() {
                walked.remarks.push(gave_way.into());
                continue;
            }
            let first = walk(self, &Pass::First(quotas.to_vec())).gathered.into_first();
            if first.is_empty() {
                return Ok(Some(remarks::unmet(LimitKey::MinFree, limit - space.free, overview)));
            }
            let reason = Reason::MinFree { free: space.free, limit };
            let pass = Pass::Act(vec![Limit { cut: Cut::All, reason }]);
            let mut worker = Worker::new(self, &pass, &queue, 1);
            let done = worker.free(&first, limit, spacious);
            let went = worker.walked.counts.deleted;
            walked.merge_second_look(worker.walked);
            let stopped = |free: u64, why: &str| {
                let why = format!("stopped below min_free: {why}");
                Ok(Some(Unmet { limit: LimitKey::MinFree, missing: limit.saturating_sub(free), why }))
            };
            match done? {
                Freed::Enough => return Ok(None),
                Freed::Nothing { free } => {
                    return stopped(free, "deleting frees nothing: links, snapshots or open files hold the space");
                }
                Freed::NotYet if went == 0 && self.control.cancelled().is_none() => {
                    return stopped(space.free, "nothing more could be removed");
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
    /// What was removed gave nothing back: so much is free.
    Nothing {
        free: u64,
    },
}

impl<A: Act> Worker<'_, A> {
    /// Removes these in order, and reads again and again how much is free.
    fn free(&mut self, first: &[Next], limit: u64, spacious: &Spacious<'_>) -> io::Result<Freed> {
        let root = self.sweep.root;
        let mut steps = 0;
        let mut at = (self.walked.counts, spacious(root)?.free);
        let mut last = None;
        for next in first {
            if self.is_cancelled() {
                return Ok(Freed::NotYet);
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
            let free = read_settled(root, spacious, at.1, freed)?;
            if free >= limit {
                return Ok(Freed::Enough);
            }
            let went = self.walked.counts.deleted - at.0.deleted;
            if free <= at.1 && went >= STEP as u64 {
                return Ok(Freed::Nothing { free });
            }
            if free > at.1 || freed > 0 {
                at = (self.walked.counts, free);
            }
        }
        Ok(Freed::NotYet)
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
            // Its lock would be in the way of the question whether anybody else has one.
            *last = None;
            let dir = if parent.is_empty() { self.sweep.root.open(b".") } else { self.sweep.root.open_beneath(parent) };
            let Ok(dir) = dir.map(Arc::new) else {
                self.walked.counts.vanished += 1;
                return;
            };
            // Locked since it was surveyed: its files stay, as which they are counted already.
            let Ok(None) = self.sweep.locked_on_the_way(parent) else { return };
            let lock = match parent {
                b"" => None,
                _ => match locks::ask(&dir, self.sweep.act.may_change()) {
                    Ok(locks::Asked::Free(lock)) => lock,
                    _ => return,
                },
            };
            let place = self.sweep.policy().globs.root();
            // `keep_newest` held its own before, and what is not among the newest does not become so by removing others.
            *last = Some(Opened::new(dir, Node::root(), parent.to_vec(), place).holding(lock));
        }
        if let Some(directory) = last
            && let Ok(name) = CString::new(name)
            && let Some(found) = self.look(directory, &name)
            && found.kind == crate::entry::Kind::File
            && !found.mount_point
        {
            let before = self.walked.counts.deleted;
            if let Some(reason) = self.file(directory, name.to_bytes(), &found.facts) {
                self.goes(directory, &name, &found, &reason);
            }
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
