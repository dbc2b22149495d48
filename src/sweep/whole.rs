//! Directories that go or stay whole.
//!
//! One worker looks at everything in such a directory and judges it as one. A directory that goes is taken aside,
//! judged again there, and then removed, or put back whole.

mod remove;
mod slots;
mod sum;

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

pub(super) use slots::WholeSlots;
use sum::Sum;

use super::act::Act;
use super::batch::Opened;
use super::event::{At, Event};
use super::pass::{Limit, Next, Pass, taken};
use super::queue::Waiting;
use super::tree::Node;
use super::walk::{Worker, is_gone};
use crate::clock::{self, Mark};
use crate::entry::{Facts, Kind};
use crate::fsys::Dir;
use crate::globs::{Entered, Place};
use crate::judge::{self, Standing};
use crate::verdict::{Because, Protection, Reason};

/// Longest time that a directory is aside before it is decided whether it goes.
const ASIDE: Duration = Duration::from_secs(30);

/// Options of a look at everything in a directory.
struct Look<'a> {
    /// Sum of the look before, when this is a second look.
    before: Option<&'a Sum>,
    began: Mark,
    /// Whether uses are asked for where others can write, with `skip_open` or without.
    asks_use: bool,
}

impl Look<'_> {
    fn is_late(&self) -> bool {
        self.before.is_some() && self.began.elapsed() > ASIDE
    }
}

impl<A: Act> Worker<'_, A> {
    /// Judges a directory that goes or stays whole. `ranked` is its earlier ranking by a limit, if it has one.
    pub(super) fn whole(&mut self, waiting: &Waiting, ranked: Option<&Next>) {
        let node = &waiting.node;
        let name = node.name();
        let Some((dir, _lock)) = self.open_dir(node, name, None) else { return };
        let look = Look { before: None, began: clock::mark(), asks_use: self.acts() && self.sweep.act.may_change() };
        let Some(sum) = self.sum(&dir, node, &waiting.place, &look) else { return };
        let mut standing = self.standing_of_whole(&sum, name);
        let is_candidate = !matches!(standing, Standing::Filtered(_));
        self.walked.gathered.has_candidates |= is_candidate;
        self.walked.counts.candidates += if is_candidate && self.acts() { sum.files } else { 0 };
        let Some(root) = self.root_as_opened(node, &waiting.place) else { return };
        if root.is_immutable() && matches!(standing, Standing::Goes(_) | Standing::Waits(_)) {
            standing = Standing::Protected(Because::InImmutable);
        }
        self.protect_stuck(&mut standing, &root, name, &sum.facts);
        if ranked.is_some_and(|next| !self.is_still(next, &sum.facts)) {
            self.went_stale(&root, name);
            return self.stays_whole(&root, name, &sum, &Because::Changed);
        }
        match self.pass {
            Pass::Act(limits) => {
                let verdict = self.verdict_of_whole(standing, &sum, name, limits);
                match verdict.and_then(|reason| self.within_guard(sum.files).map(|()| reason)) {
                    Ok(reason) => {
                        self.whole_goes(&root, &Unit { node, dir: &dir, place: &waiting.place, sum }, &reason)
                    }
                    Err(because) => {
                        self.note_use(&root, &sum, name, limits);
                        self.stays_whole(&root, name, &sum, &because);
                    }
                }
            }
            Pass::Survey(_) => {
                let linked = sum.linked.iter().map(|(inode, (bytes, links, here))| (*inode, *bytes, *links, *here));
                let linked: Vec<_> = linked.collect();
                self.survey(&root, name, &sum.facts, &standing, sum.amount, &linked);
            }
            Pass::Newest(_) => self.newest(&standing, name, &sum.facts),
            Pass::First(after) => self.first(&standing, &root, name, &sum.facts, after, true),
        }
    }

    /// Returns the standing of such a directory, before the limits are applied.
    fn standing_of_whole(&self, sum: &Sum, name: &[u8]) -> Standing {
        let policy = self.sweep.policy();
        let mut standing = self.standing_if_free(sum, name);
        if let (Some(held), Standing::Goes(_) | Standing::Waits(_)) = (&sum.held, &standing)
            && (policy.has_limits() || matches!(standing, Standing::Goes(_)))
        {
            standing = Standing::Protected(held.clone());
        }
        standing
    }

    /// Returns the standing of such a directory, leaving out anything in it that holds it.
    fn standing_if_free(&self, sum: &Sum, name: &[u8]) -> Standing {
        judge::by_facts(self.sweep.policy(), &sum.facts, name, self.sweep.root_kept.as_ref(), self.sweep.order.now)
    }

    /// Notes a directory that would go if nothing in it were used. A survey does not ask for uses, so it has counted on
    /// this directory.
    fn note_use(&mut self, root: &Opened, sum: &Sum, name: &[u8], limits: &[Limit]) {
        if let Some(held) = sum.held.as_ref().filter(|held| held.is_use())
            && self.verdict_of_whole(self.standing_if_free(sum, name), sum, name, limits).is_ok()
        {
            self.could_not_go(root, name, Some(&sum.facts), held);
        }
    }

    /// Returns the verdict on such a directory in a walk that acts.
    fn verdict_of_whole(
        &self,
        standing: Standing,
        sum: &Sum,
        name: &[u8],
        limits: &[Limit],
    ) -> Result<Reason, Because> {
        match standing {
            Standing::Goes(reason) => Ok(reason),
            Standing::Filtered(because) | Standing::Protected(because) => Err(because),
            Standing::Waits(because) => {
                let weight = judge::weight(self.sweep.policy(), &sum.facts, self.sweep.order.now);
                taken(limits, weight, name).cloned().ok_or(because)
            }
        }
    }

    /// Judges such a directory again once it is aside, where nobody can reach it by a name any more.
    ///
    /// # Errors
    /// Returns why the directory stays; `None` when the sweep is stopped.
    fn judge_again(&mut self, unit: &Unit<'_>) -> Result<(), Option<Because>> {
        let Pass::Act(limits) = self.pass else { return Err(None) };
        let examined = self.walked.counts.examined;
        let look = Look { before: Some(&unit.sum), began: clock::mark(), asks_use: true };
        let sum = self.sum(unit.dir, unit.node, unit.place, &look);
        // The same entries were counted as examined before.
        self.walked.counts.examined = examined;
        let sum = match sum {
            Some(sum) => sum,
            None if self.is_cancelled() => return Err(None),
            None => return Err(Some(Because::Changed)),
        };
        let standing = self.standing_of_whole(&sum, unit.node.name());
        self.verdict_of_whole(standing, &sum, unit.node.name(), limits)?;
        if sum.is_unchanged(&unit.sum) { Ok(()) } else { Err(Some(Because::Changed)) }
    }

    /// Returns the facts of such a directory as one; `None` when it cannot be looked at.
    pub(super) fn facts_of_whole(&mut self, waiting: &Waiting) -> Option<Facts> {
        let (dir, _lock) = self.open_dir(&waiting.node, waiting.node.name(), None)?;
        let look = Look { before: None, began: clock::mark(), asks_use: false };
        self.sum(&dir, &waiting.node, &waiting.place, &look).map(|sum| sum.facts)
    }

    /// Opens the root, as the directory that such a directory lies in.
    fn root_as_opened(&mut self, node: &Node, place: &Place) -> Option<Opened> {
        let (dir, parent) = (self.sweep.root.open(b"."), node.parent.clone()?);
        match dir {
            Ok(dir) => Some(Opened::new(dir, parent, Vec::new(), place.clone())),
            Err(error) => {
                self.unreadable(At { directory: b"", name: b"" }, &error);
                None
            }
        }
    }

    fn stays_whole(&mut self, root: &Opened, name: &[u8], sum: &Sum, because: &Because) {
        root.node.leave();
        self.walked.counts.kept += sum.files;
        if self.acts() {
            // The entry that holds a unit is left out of the class: there may be any number of them.
            let of_one = if let Because::Inside { because, .. } = because { because } else { because };
            if of_one.protection() == Some(Protection::Immutable) {
                self.walked.immutable.add(of_one, root.at(name));
            }
            (self.sweep.observer)(&Event::Stays { at: root.at(name), because });
        }
    }

    /// Looks at everything in the directory. Returns `None` when the directory is gone or cannot be looked at, or the
    /// sweep is cancelled.
    fn sum(&mut self, dir: &Dir, node: &Arc<Node>, place: &Place, look: &Look<'_>) -> Option<Sum> {
        let mut sum = match dir.look_at_itself() {
            Ok((_, found)) => Sum::of(found.facts, look.before),
            Err(error) => {
                self.unreadable(At { directory: b"", name: node.name() }, &error);
                return None;
            }
        };
        let in_others_hands = !self.sweep.root.is_trusted().unwrap_or(false);
        // Nodes are relative to the directory: the way down begins here.
        let top = Node::root();
        let mut waiting = vec![(top.clone(), place.clone())];
        let mut last: Option<(Arc<Node>, Dir)> = None;
        while let Some((at, place)) = waiting.pop() {
            if self.is_cancelled() {
                return None;
            }
            let path = at.path();
            let opened = match (&at.parent, &last) {
                (None, _) => dir.open(b"."),
                (Some(parent), Some((last, open))) if Arc::ptr_eq(last, parent) => open.open(at.name()),
                _ => dir.open_beneath(&path),
            };
            let opened = match opened {
                Ok(opened) => opened,
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::XDEV.raw_os_error()) => {
                    sum.hold(&path, Because::MountPoint);
                    continue;
                }
                Err(error) => {
                    self.cannot_read(&mut sum, node, &path, &error);
                    continue;
                }
            };
            match self.enter(&mut sum, node, (&at, &path), &opened, in_others_hands) {
                Ok(None) => {}
                Ok(Some(because)) => {
                    sum.hold(&path, because);
                    continue;
                }
                Err(error) => {
                    self.cannot_read(&mut sum, node, &path, &error);
                    continue;
                }
            }
            self.sum_directory(&mut sum, node, (&at, &path), &opened, &place, (look, &mut waiting));
            opened.unlock();
            last = Some((at, opened));
            if look.is_late() {
                let seconds = ASIDE.as_secs();
                sum.hold(b"", Because::Unreadable(format!("not all of it within {seconds} seconds").into()));
                break;
            }
        }
        Some(sum)
    }

    /// Takes the directory itself into the sum. Returns why it holds the whole and is not read, if it does.
    fn enter(
        &self,
        sum: &mut Sum,
        node: &Node,
        (at, path): (&Node, &[u8]),
        dir: &Dir,
        in_others_hands: bool,
    ) -> io::Result<Option<Because>> {
        let is_top = at.parent.is_none();
        let below = [node.name(), if is_top { b"" } else { b"/" }, path].concat();
        // The top directory was opened, asked for its owner and locked as any other directory is.
        if !is_top && let Some(name) = self.sweep.nested.owner(&below, dir) {
            return Ok(Some(Because::OtherTarget(name)));
        }
        if !is_top && !dir.try_lock()? {
            return Ok(Some(Because::Locked));
        }
        let (identity, found) = dir.look_at_itself()?;
        if identity.device != self.sweep.device {
            return Ok(Some(Because::OtherFileSystem));
        }
        if let Some(because) = self.sweep.growing(path, || Ok(found)) {
            return Ok(Some(because));
        }
        if !is_top {
            sum.add_directory(found.facts.stamps);
        } else if self.sweep.restored.as_ref().is_some_and(|restored| restored.holds(&found.facts)) {
            return Ok(Some(Because::Restored));
        }
        let asks = self.sweep.policy().skip_open || in_others_hands || !dir.is_trusted()?;
        if asks && self.sweep.processes.use_it(identity) {
            return Ok(Some(Because::InUse));
        }
        if found.facts.immutable {
            return Ok(Some(Because::NotAllowed("immutable or append-only")));
        }
        let is_closed = !dir.may_be_emptied()? || dir.is_sticky_for_us()?;
        Ok(is_closed.then_some(Because::NotAllowed("a directory of another user that it may not write")))
    }

    fn cannot_read(&mut self, sum: &mut Sum, node: &Node, path: &[u8], error: &io::Error) {
        sum.hold(path, Because::Unreadable(error.to_string().into()));
        let path = node.below(path);
        self.unreadable(At { directory: &path, name: b"" }, error);
    }

    fn sum_directory(
        &mut self,
        sum: &mut Sum,
        node: &Node,
        (at, path): (&Arc<Node>, &[u8]),
        dir: &Dir,
        place: &Place,
        (look, waiting): (&Look<'_>, &mut Vec<(Arc<Node>, Place)>),
    ) {
        let policy = self.sweep.policy();
        let is_shared = !dir.is_trusted().unwrap_or(false);
        let asks_use = policy.skip_open || (look.asks_use && is_shared);
        let mut buffer = std::mem::take(&mut self.buffer);
        let path_of = |name: &[u8]| At { directory: path, name }.path();
        let directory = node.below(path);
        let read = dir.for_each(&mut buffer, |entry| {
            if self.is_cancelled() || look.is_late() {
                return ControlFlow::Break(());
            }
            self.walked.counts.examined += 1;
            let found = match dir.look(entry.name) {
                Ok(found) => found,
                // Others are changing the entry, so its time has not come.
                Err(error) if is_gone(&error) => {
                    sum.hold(&path_of(entry.name), Because::Changed);
                    return ControlFlow::Continue(());
                }
                Err(error) => {
                    self.cannot_read(sum, node, &path_of(entry.name), &error);
                    return ControlFlow::Continue(());
                }
            };
            let is_directory = found.kind == Kind::Directory;
            // Excluded entries are not measured either, here as elsewhere.
            let excluded = match policy.globs.inside(place, entry.name, is_directory) {
                Entered::Excluded(pattern) => Some(Because::Excluded(pattern)),
                Entered::BuiltIn(pattern) => Some(Because::BuiltIn(pattern)),
                Entered::Place(place) if is_directory => {
                    waiting.push((at.child(entry.name), place));
                    None
                }
                Entered::Place(_) | Entered::Unreached => None,
            };
            if let Some(because) = excluded {
                self.note(&because);
                sum.hold(&path_of(entry.name), because);
                return ControlFlow::Continue(());
            }
            self.note_near(At { directory: &directory, name: entry.name }, is_directory);
            if found.mount_point {
                sum.hold(&path_of(entry.name), Because::MountPoint);
            }
            if is_directory && found.facts.identity.device != self.sweep.device {
                sum.hold(&path_of(entry.name), Because::OtherFileSystem);
            }
            if found.facts.immutable {
                sum.hold(&path_of(entry.name), Because::Immutable);
            }
            if is_directory {
                return ControlFlow::Continue(());
            }
            if found.kind == Kind::File && self.is_sticky(dir, entry.name) {
                sum.hold(&path_of(entry.name), Because::Sticky);
            }
            if self.sweep.restored.as_ref().is_some_and(|restored| restored.holds(&found.facts)) {
                sum.hold(&path_of(entry.name), Because::Restored);
            }
            if let Some(because) = self.use_in_whole(dir, entry.name, &found, (asks_use, is_shared)) {
                sum.hold(&path_of(entry.name), because);
            }
            sum.add(&found.facts, look.before);
            ControlFlow::Continue(())
        });
        self.buffer = buffer;
        if let Err(error) = read {
            self.cannot_read(sum, node, path, &error);
        }
    }
}

/// Directory that is to go whole, and the sum for which it was judged.
struct Unit<'a> {
    node: &'a Arc<Node>,
    /// Handle of the directory, held from the verdict on.
    dir: &'a Dir,
    place: &'a Place,
    sum: Sum,
}
