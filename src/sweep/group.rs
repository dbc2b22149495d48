//! Work on the entries of a directory, some at a time.
//!
//! The kernel answers many calls of one kind in a row faster than calls of different kinds in turn, with all that a
//! verdict takes in between. So some entries are looked at together, judged together, and removed together (measured: a
//! fifth of the time of a scan, a sixth of that of a removal).

use std::ffi::CStr;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::act::{Act, How, Undone};
use super::batch::{Batch, Opened};
use super::hold::Going;
use super::sample;
use super::walk::{Sweep, Worker};
use crate::clock;
use crate::entry::{Asked, Kind};
use crate::fsys::Found;
use crate::judge;
use crate::report::Counts;
use crate::verdict::{Because, Reason};

/// Number of entries that are worked off together.
const GROUP: usize = sample::ONE_IN;

/// Age of a look after which the entry is looked at again before it is removed: on a slow disk others would otherwise
/// have more time to change a file between the two.
// In the tests beside this every look is too old; tests of what users see have the real value.
const FRESH: Duration = if cfg!(test) { Duration::ZERO } else { Duration::from_millis(2) };

/// Age of a listing after which an entry is looked at before it is removed, even if the policy asks for its name only.
const LISTED: Duration = Duration::from_secs(1);

/// Buffers for a group.
#[derive(Default)]
pub(super) struct Group {
    looked: Vec<std::io::Result<Found>>,
    /// Entries that go: their index in the group, what was found, and the reason.
    going: Vec<(usize, Found, Reason)>,
    removed: Vec<Result<How, Undone>>,
}

impl<'a, A: Act> Worker<'a, A> {
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
            let by_name = !self.sweep.policy().skip_open && self.sweep.act.goes_by_name(directory);
            match self.by_name_alone.clone() {
                Some(reason) if by_name && self.is_enough_seen(names) && batch.age() < LISTED => {
                    self.unseen(directory, names, &reason);
                }
                _ if by_name || !self.acts() || !self.sweep.act.may_change() => {
                    self.seen(directory, names, by_name, &mut group);
                }
                // An action that compares a file with what was judged needs a verdict from right before.
                _ => self.one_by_one(directory, names),
            }
        }
        self.group = group;
    }

    fn one_by_one(&mut self, directory: &Opened, names: &[(&CStr, Option<Kind>)]) {
        for (name, kind) in names {
            if self.is_cancelled() {
                return;
            }
            self.entry(directory, name, *kind);
        }
    }

    /// Returns whether all entries are known to be regular files, and the run has looked at enough of them to estimate
    /// the bytes of the others.
    fn is_enough_seen(&self, names: &[(&CStr, Option<Kind>)]) -> bool {
        names.iter().all(|(_, kind)| *kind == Some(Kind::File))
            && self.sweep.attempts.load(Ordering::Relaxed) >= sample::EXACT
    }

    /// Acts on files by their names. One of them is looked at when its turn comes, as a sample of the bytes that they
    /// take.
    fn unseen(&mut self, directory: &Opened, names: &[(&CStr, Option<Kind>)], reason: &Reason) {
        let Sweep { act, root, .. } = self.sweep;
        let sampled = self.sample.next();
        let mut at = 0;
        while at < names.len() && !self.is_cancelled() {
            let end = if at < sampled { sampled.min(names.len()) } else { names.len() };
            let mut gone = 0;
            let mut has_failed = at == sampled;
            while !has_failed && at + gone < end && !self.is_cancelled() {
                has_failed = act.by_name(directory, names[at + gone].0, None, reason, root).is_err();
                gone += usize::from(!has_failed);
            }
            for (name, _) in &names[at..at + gone] {
                self.walked.gathered.has_candidates = true;
                self.walked.counts.candidates += 1;
                self.sample.passed();
                self.settle(directory, name, None, reason, Ok(How::Plain));
            }
            at += gone;
            if has_failed {
                let Counts { deleted, freed, .. } = self.walked.counts;
                // The usual way takes the sampled file, and finds out why another could not be removed.
                self.entry(directory, names[at].0, names[at].1);
                if at == sampled && self.walked.counts.deleted > deleted {
                    self.sample.looked(self.walked.counts.freed - freed);
                }
                at += 1;
            }
        }
    }

    /// Looks at entries, judges them, and acts on those that are to go.
    fn seen(&mut self, directory: &Opened, names: &[(&CStr, Option<Kind>)], by_name: bool, group: &mut Group) {
        let removes = by_name && self.acts();
        let asked = if by_name { self.asked } else { Asked::ALL };
        let Group { looked, going, removed } = group;
        let began = clock::mark();
        looked.clear();
        for (name, _) in names {
            if self.is_cancelled() {
                return;
            }
            looked.push(directory.dir.look_listed(name, asked));
        }
        going.clear();
        for (at, ((name, kind), looked)) in names.iter().zip(looked.drain(..)).enumerate() {
            let Some(found) = self.looked(directory, name, looked) else { continue };
            if removes && found.facts.links > 1 {
                // After the removal of another name, this file is not what it was. And not everything that is compared
                // when its turn comes was asked for here.
                self.entry(directory, name, *kind);
            } else if let Some(goes) = self.looked_at(directory, name, *kind, &found) {
                if removes {
                    going.push((at, found, goes.reason));
                } else {
                    self.goes(directory, name, &found, goes);
                }
            }
            if self.is_cancelled() {
                return;
            }
        }
        let mut rest = going.as_slice();
        while !rest.is_empty() && !self.is_cancelled() {
            removed.clear();
            let Sweep { act, root, .. } = self.sweep;
            for (at, found, reason) in rest {
                if self.is_cancelled() {
                    break;
                }
                let name = names[*at].0;
                let same = if began.elapsed() < FRESH { Ok(()) } else { self.is_same(directory, name, found) };
                removed.push(same.and_then(|()| act.by_name(directory, name, Some(&found.facts), reason, root)));
                // Too many errors end the run, so they are counted at once.
                if removed.last().is_some_and(Result::is_err) {
                    break;
                }
            }
            let (done, more) = rest.split_at(removed.len());
            for ((at, found, reason), removed) in done.iter().zip(removed.drain(..)) {
                if matches!(removed, Err(Undone::Failed(_))) && !act.goes_by_name(directory) {
                    // The file has turned out to need a copy.
                    let going = Going { reason: reason.clone(), held: None };
                    self.goes(directory, names[*at].0, found, going);
                    continue;
                }
                self.settle(directory, names[*at].0, Some(&found.facts), reason, removed);
            }
            rest = more;
        }
    }

    /// Checks that a file that was judged some time ago still is what was judged.
    pub(super) fn is_same(&self, directory: &Opened, name: &CStr, judged: &Found) -> Result<(), Undone> {
        let now = directory.dir.look_listed(name, self.asked)?;
        let age_by = self.sweep.policy().age_by;
        let what = |Found { kind, facts, .. }: &Found| (*kind, facts.identity, facts.size, facts.stamps.by(age_by));
        if what(&now) == what(judged) { Ok(()) } else { Err(Undone::Stays(Because::Changed)) }
    }

    /// Looks at an entry, judges it, and acts on it if it is to go.
    pub(super) fn entry(&mut self, directory: &Opened, name: &CStr, listed: Option<Kind>) {
        if let Some(found) = self.look(directory, name)
            && let Some(going) = self.looked_at(directory, name, listed, &found)
        {
            self.goes(directory, name, &found, going);
        }
    }

    /// Judges an entry that was looked at. Returns it if it is to go; an entry that stays is recorded.
    pub(super) fn looked_at(
        &mut self,
        directory: &Opened,
        name: &CStr,
        listed: Option<Kind>,
        found: &Found,
    ) -> Option<Going<'a>> {
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
            // The entry was replaced after it was listed.
            self.stays(directory, bytes, &Because::NotRegular(found.kind));
            return None;
        }
        self.file(directory, bytes, &found.facts)
    }
}
