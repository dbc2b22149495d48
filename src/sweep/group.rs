//! Working off the entries of a directory, some at a time.
//!
//! The kernel answers one question of a kind after the other faster than questions of different kinds in turn, with all
//! that a verdict takes in between: so some entries are looked at together, judged together, and removed together
//! (measured: a fifth of the time of a scan, a sixth of that of a removal).

use std::ffi::CStr;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::act::{Act, How, Undone};
use super::batch::{Batch, Opened};
use super::sample;
use super::walk::Worker;
use crate::clock;
use crate::entry::{Asked, Kind};
use crate::fsys::Found;
use crate::judge;
use crate::verdict::{Because, Reason};

/// As many entries are worked off together.
const GROUP: usize = sample::ONE_IN;

/// What was looked at longer ago than this is looked at again before it is removed: on a slow disk others would
/// otherwise have more time to change a file between the two.
const FRESH: Duration = Duration::from_millis(2);

/// Memory for a group.
#[derive(Default)]
pub(super) struct Group {
    looked: Vec<std::io::Result<Found>>,
    /// Those that go: which of the group, and why.
    going: Vec<(usize, Found, Reason)>,
    removed: Vec<Result<(), Undone>>,
}

impl<A: Act> Worker<'_, A> {
    /// Works off these entries of a directory.
    pub(super) fn entries(&mut self, directory: &Opened, batch: &Batch, range: Range<usize>) {
        let mut names = [(c"", None); GROUP];
        let mut entries = batch.entries(range);
        let mut group = std::mem::take(&mut self.group);
        loop {
            let mut length = 0;
            for (place, entry) in names.iter_mut().zip(&mut entries) {
                *place = entry;
                length += 1;
            }
            let names = &names[..length];
            if names.is_empty() || self.is_cancelled() {
                break;
            }
            match self.by_name_alone.clone() {
                Some(reason) if self.goes_unseen(directory, names) => {
                    self.unseen(directory, names, &reason, &mut group)
                }
                _ => self.seen(directory, names, &mut group),
            }
        }
        self.group = group;
    }

    /// Whether these are all known to be regular files, which go by their names, and the run has looked at enough files
    /// to say how much the others take.
    fn goes_unseen(&self, directory: &Opened, names: &[(&CStr, Option<Kind>)]) -> bool {
        names.iter().all(|(_, kind)| *kind == Some(Kind::File))
            && self.sweep.attempts.load(Ordering::Relaxed) >= sample::EXACT
            && self.sweep.act.goes_by_name(directory)
    }

    /// Has files go by their names. One of them is looked at, so that it can be said what they take.
    fn unseen(
        &mut self,
        directory: &Opened,
        names: &[(&CStr, Option<Kind>)],
        reason: &Reason,
        Group { removed, .. }: &mut Group,
    ) {
        let looked_at = self.sample.next();
        removed.clear();
        for (at, (name, _)) in names.iter().enumerate() {
            if self.is_cancelled() {
                break;
            }
            let removal = if at == looked_at { Ok(()) } else { directory.dir.remove_listed(name) };
            removed.push(removal.map_err(Undone::Failed));
        }
        for (at, ((name, kind), removed)) in names.iter().zip(removed.drain(..)).enumerate() {
            let is_told = removed.is_ok() && at != looked_at;
            if !is_told && self.is_cancelled() {
                continue;
            }
            if at == looked_at {
                let before = self.walked.counts.freed;
                self.entry(directory, name, *kind);
                self.sample.looked(self.walked.counts.freed - before);
            } else if is_told {
                self.walked.gathered.has_candidates = true;
                self.walked.counts.candidates += 1;
                self.sample.passed();
                self.settle(directory, name, None, reason, Ok(How::Plain));
            } else {
                // Why, is found out as with any other.
                self.entry(directory, name, *kind);
            }
        }
    }

    /// Looks at entries, judges them, and has those go that are to.
    fn seen(&mut self, directory: &Opened, names: &[(&CStr, Option<Kind>)], group: &mut Group) {
        let policy = self.sweep.policy();
        let by_name = self.acts() && !policy.skip_open && self.sweep.act.goes_by_name(directory);
        let asked = if by_name { self.asked } else { Asked::ALL };
        let Group { looked, going, removed } = group;
        let began = clock::mark();
        looked.clear();
        looked.extend(names.iter().map(|(name, _)| directory.dir.look_listed(name, asked)));
        going.clear();
        for (at, ((name, kind), looked)) in names.iter().zip(looked.drain(..)).enumerate() {
            if let Some(found) = self.looked(directory, name, looked)
                && let Some(reason) = self.looked_at(directory, name, *kind, &found)
            {
                if by_name {
                    going.push((at, found, reason));
                } else if self.is_cancelled() {
                    return;
                } else {
                    self.goes(directory, name, &found.facts, &reason);
                }
            }
        }
        let is_fresh = going.is_empty() || began.elapsed() < FRESH;
        let mut rest = going.as_slice();
        while !rest.is_empty() && !self.is_cancelled() {
            removed.clear();
            for (at, found, _) in rest {
                if self.is_cancelled() {
                    break;
                }
                let name = names[*at].0;
                removed.push(if is_fresh {
                    directory.dir.remove_listed(name).map_err(Undone::Failed)
                } else {
                    self.remove_if_same(directory, name, found)
                });
                // Too many of these end the run, so they are counted at once.
                if removed.last().is_some_and(Result::is_err) {
                    break;
                }
            }
            let (done, more) = rest.split_at(removed.len());
            for ((at, found, reason), removed) in done.iter().zip(removed.drain(..)) {
                let done = removed.map(|()| How::Plain);
                self.settle(directory, names[*at].0, Some(&found.facts), reason, done);
            }
            rest = more;
        }
    }

    /// Removes a file that was judged some time ago, if it still is what was judged.
    pub(super) fn remove_if_same(&self, directory: &Opened, name: &CStr, judged: &Found) -> Result<(), Undone> {
        let now = directory.dir.look_listed(name, self.asked)?;
        let age_by = self.sweep.policy().age_by;
        let what = |Found { kind, facts, .. }: &Found| (*kind, facts.identity, facts.size, facts.stamps.by(age_by));
        if what(&now) != what(judged) {
            return Err(Undone::Stays(Because::Changed));
        }
        Ok(directory.dir.remove_listed(name)?)
    }

    /// Looks at an entry, judges it, and has it go if it is to.
    pub(super) fn entry(&mut self, directory: &Opened, name: &CStr, listed: Option<Kind>) {
        if let Some(found) = self.look(directory, name)
            && let Some(reason) = self.looked_at(directory, name, listed, &found)
        {
            self.goes(directory, name, &found.facts, &reason);
        }
    }

    /// Judges an entry that was looked at. Why it is to go; what does not is settled.
    pub(super) fn looked_at(
        &mut self,
        directory: &Opened,
        name: &CStr,
        listed: Option<Kind>,
        found: &Found,
    ) -> Option<Reason> {
        let bytes = name.to_bytes();
        if listed.is_none() {
            if found.kind == Kind::Directory {
                self.directory_late(directory, bytes);
                return None;
            }
            if let Some(because) = judge::by_name(self.sweep.policy(), &directory.place, bytes, found.kind) {
                self.stays(directory, bytes, &because);
                return None;
            }
        }
        if found.mount_point {
            self.stays(directory, bytes, &Because::MountPoint);
            return None;
        }
        if found.kind != Kind::File {
            // It was replaced after it was listed.
            self.stays(directory, bytes, &Because::NotRegular(found.kind));
            return None;
        }
        self.file(directory, bytes, &found.facts)
    }
}
