//! Directories that go or stay whole.
//!
//! One worker looks at everything in such a directory, judges it as one, and removes it from the bottom up. Neither
//! holds more than the names on the way down.

mod remove;

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;

use super::act::Act;
use super::batch::Opened;
use super::event::{At, Event};
use super::pass::{Pass, taken};
use super::queue::Waiting;
use super::tree::Node;
use super::walk::{Worker, is_gone};
use crate::entry::{Facts, Identity, Kind, Stamps};
use crate::fsys::Dir;
use crate::globs::{Entered, Place};
use crate::judge::limits::Amount;
use crate::judge::{self, Standing};
use crate::names::Escaped;
use crate::verdict::Because;

/// All that is in such a directory, as one.
struct Sum {
    /// Of the directory and all in it: sizes added up, the newest of each stamp.
    facts: Facts,
    files: u64,
    /// What it is worth without inodes that have several links.
    amount: Amount,
    /// Those: their allocated bytes, their links in all, and those in here.
    linked: BTreeMap<Identity, (u64, u64, u64)>,
    /// Why it has to stay.
    held: Option<Because>,
}

fn newest(one: &Stamps, other: &Stamps) -> Stamps {
    Stamps {
        modified: one.modified.max(other.modified),
        accessed: one.accessed.max(other.accessed),
        changed: one.changed.max(other.changed),
        created: one.created.zip(other.created).map(|(one, other)| one.max(other)),
    }
}

impl Sum {
    fn of(facts: Facts) -> Self {
        let facts = Facts { size: 0, allocated: 0, stamps: facts.stamps.of_directory(), ..facts };
        Self { facts, files: 0, amount: Amount::default(), linked: BTreeMap::new(), held: None }
    }

    fn hold(&mut self, path: &[u8], because: Because) {
        let inside = || Because::Inside { entry: Escaped(path).to_string().into(), because: Box::new(because) };
        self.held.get_or_insert_with(inside);
    }

    fn add(&mut self, facts: &Facts) {
        self.files += 1;
        self.amount.files += 1;
        self.facts.stamps = newest(&self.facts.stamps, &facts.stamps);
        self.facts.size += facts.size;
        if facts.links > 1 {
            let (.., here) = self.linked.entry(facts.identity).or_insert((facts.allocated, facts.links.into(), 0));
            *here += 1;
            if *here > 1 {
                return;
            }
        } else {
            self.amount.bytes += facts.allocated;
            self.amount.freed += facts.allocated;
        }
        self.facts.allocated += facts.allocated;
    }

    /// The bytes that the file system gets back when all of it goes.
    fn freed(&self) -> u64 {
        let whole = self.linked.values().filter(|(_, links, here)| here >= links);
        self.amount.freed + whole.map(|(allocated, ..)| allocated).sum::<u64>()
    }
}

impl<A: Act> Worker<'_, A> {
    /// Judges a directory that goes or stays whole.
    pub(super) fn whole(&mut self, waiting: &Waiting) {
        let node = &waiting.node;
        let name = node.name();
        let Some((dir, _lock)) = self.open_dir(node, name, None) else { return };
        let Some(sum) = self.sum(&dir, node, &waiting.place) else { return };
        let policy = self.sweep.policy();
        let now = self.sweep.order.now;
        let mut standing = judge::by_facts(policy, &sum.facts, name, self.sweep.root_kept.as_ref(), now);
        let is_candidate = !matches!(standing, Standing::Filtered(_));
        self.walked.gathered.has_candidates |= is_candidate;
        self.walked.counts.candidates += if is_candidate && self.acts() { sum.files } else { 0 };
        if let (Some(held), Standing::Goes(_) | Standing::Waits(_)) = (&sum.held, &standing)
            && (policy.has_limits() || matches!(standing, Standing::Goes(_)))
        {
            standing = Standing::Protected(held.clone());
        }
        let Some(root) = self.root_as_opened(node, &waiting.place) else { return };
        match self.pass {
            Pass::Act(limits) => {
                let weight = judge::weight(policy, &sum.facts, now);
                let verdict = match standing {
                    Standing::Goes(reason) => Ok(reason),
                    Standing::Filtered(because) | Standing::Protected(because) => Err(because),
                    Standing::Waits(because) => taken(limits, weight, name).cloned().ok_or(because),
                };
                match verdict.and_then(|reason| self.within_guard(sum.files).map(|()| reason)) {
                    Ok(reason) => self.remove_whole(&root, node, &sum, &reason),
                    Err(because) => self.stays_whole(&root, name, &sum, &because),
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

    /// What is known of such a directory as one; `None` when it cannot be looked at.
    pub(super) fn facts_of_whole(&mut self, waiting: &Waiting) -> Option<Facts> {
        let (dir, _lock) = self.open_dir(&waiting.node, waiting.node.name(), None)?;
        self.sum(&dir, &waiting.node, &waiting.place).map(|sum| sum.facts)
    }

    /// The root, as the directory that such a directory lies in.
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
            (self.sweep.observer)(&Event::Stays { at: root.at(name), because });
        }
    }

    /// Looks at all that is in the directory. `None`: it is gone, or the sweep is cancelled.
    fn sum(&mut self, dir: &Dir, node: &Arc<Node>, place: &Place) -> Option<Sum> {
        let mut sum = match dir.look_at_itself() {
            Ok((_, found)) => Sum::of(found.facts),
            Err(error) => {
                self.unreadable(At { directory: b"", name: node.name() }, &error);
                return None;
            }
        };
        // Below the directory: the way down begins here.
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
            let below = [node.name(), b"/", &path].concat();
            if let Some(name) = self.sweep.nested.owner(&below, &opened) {
                sum.hold(&path, Because::OtherTarget(name));
                continue;
            }
            // The lock of the directory itself is held by its own handle.
            if at.parent.is_some() {
                match opened.try_lock() {
                    Ok(true) => {}
                    Ok(false) => {
                        sum.hold(&path, Because::Locked);
                        continue;
                    }
                    Err(error) => {
                        self.cannot_read(&mut sum, node, &path, &error);
                        continue;
                    }
                }
            }
            if let Ok((_, found)) = opened.look_at_itself() {
                if let Some(because) = self.sweep.growing(&path, || Ok(found)) {
                    sum.hold(&path, because);
                    continue;
                }
                sum.facts.stamps = newest(&sum.facts.stamps, &found.facts.stamps.of_directory());
            }
            self.sum_directory(&mut sum, node, (&at, &path), &opened, &place, &mut waiting);
            opened.unlock();
            last = Some((at, opened));
        }
        Some(sum)
    }

    fn cannot_read(&mut self, sum: &mut Sum, node: &Node, path: &[u8], error: &io::Error) {
        sum.hold(path, Because::Unreadable(error.to_string().into()));
        let path = if path.is_empty() { node.name().to_vec() } else { [node.name(), b"/", path].concat() };
        self.unreadable(At { directory: &path, name: b"" }, error);
    }

    fn sum_directory(
        &mut self,
        sum: &mut Sum,
        node: &Node,
        (at, path): (&Arc<Node>, &[u8]),
        dir: &Dir,
        place: &Place,
        waiting: &mut Vec<(Arc<Node>, Place)>,
    ) {
        let policy = self.sweep.policy();
        let mut buffer = std::mem::take(&mut self.buffer);
        let path_of = |name: &[u8]| At { directory: path, name }.path();
        let read = dir.for_each(&mut buffer, |entry| {
            if self.is_cancelled() {
                return ControlFlow::Break(());
            }
            self.walked.counts.examined += 1;
            let found = match dir.look(entry.name) {
                Ok(found) => found,
                // It is about to be changed by others, so its time has not come.
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
            // What is excluded is not measured either, here as elsewhere.
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
            if found.mount_point {
                sum.hold(&path_of(entry.name), Because::MountPoint);
            }
            if is_directory {
                return ControlFlow::Continue(());
            }
            if self.sweep.restored.as_ref().is_some_and(|restored| restored.holds(&found.facts)) {
                sum.hold(&path_of(entry.name), Because::Restored);
            }
            if policy.skip_open
                && found.kind == Kind::File
                && let Some(because) = self.used(dir, entry.name, &found.facts)
            {
                sum.hold(&path_of(entry.name), because);
            }
            sum.add(&found.facts);
            ControlFlow::Continue(())
        });
        self.buffer = buffer;
        if let Err(error) = read {
            self.cannot_read(sum, node, path, &error);
        }
    }
}
