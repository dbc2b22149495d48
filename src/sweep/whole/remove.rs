//! Removal of a directory that was judged as one: it is taken aside and judged again, and then all of it goes, or
//! nothing.

use std::collections::BTreeSet;
use std::ffi::CString;
use std::io;
use std::ops::ControlFlow;
use std::sync::{Arc, MutexGuard, PoisonError};

use rustix::io::Errno;

use super::Unit;
use super::sum::Sum;
use crate::entry::Kind;
use crate::fsys::{Dir, Found, NotTaken, WholeSlot};
use crate::names::Escaped;
use crate::report::Remark;
use crate::sweep::act::{Act, How, Remove, Whole};
use crate::sweep::batch::Opened;
use crate::sweep::event::{At, Event};
use crate::sweep::tree::Node;
use crate::sweep::walk::{TURNS, Worker, is_gone};
use crate::verdict::{Because, Reason};

/// Number of directories held open on the way down.
const HANDLES: usize = 8;

/// Directory on the way down, with the directories in it that are still to be done.
struct Frame {
    node: Arc<Node>,
    /// Handle of the directory, as long as it is not too far up.
    dir: Option<Arc<Dir>>,
    inside: Vec<Box<[u8]>>,
}

/// Purpose of a way down.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Everything is removed, from the bottom up.
    Remove,
    /// Events are sent for everything that went, or would go.
    Tell,
}

/// Reason for which a way down ended early.
enum Stopped {
    Cancelled,
    /// Something in the directory is no longer what was judged, or somebody uses it by now.
    Changed,
    /// The system refused; the error has been reported.
    Failed,
}

/// Reason for which a directory is in its place.
enum Kept {
    Because(Because),
    /// The sweep was stopped.
    Cancelled,
    Failed(io::Error),
}

impl From<NotTaken> for Kept {
    fn from(not_taken: NotTaken) -> Self {
        match not_taken {
            NotTaken::Changed => Self::Because(Because::Changed),
            NotTaken::Conflict(kept) => Self::Because(Because::Conflict(kept.into())),
            NotTaken::Failed(error) => Self::Failed(error),
        }
    }
}

impl<A: Act> Worker<'_, A> {
    /// Acts on a directory that goes whole.
    pub(super) fn whole_goes(&mut self, root: &Opened, unit: &Unit<'_>, reason: &Reason) {
        if !self.sweep.act.may_change() {
            if self.way_down(root, unit, reason, (unit.dir, root), Way::Tell).is_ok() {
                self.went_whole(root, &unit.sum, reason, self.walked.counts.freed);
            }
            return;
        }
        let sweep = self.sweep;
        let (freed, deleted) = (self.walked.counts.freed, self.walked.counts.deleted);
        let done = sweep.whole_slots.with(sweep.root, |slot| self.by_way_of(slot, root, unit, reason));
        let name = unit.node.name();
        // `max_deletes` has counted all files of the directory before.
        let went = self.walked.counts.deleted - deleted;
        self.give_back_guard(unit.sum.files.saturating_sub(went));
        match done.unwrap_or_else(|error| Err(Kept::Failed(error))) {
            Ok(true) => self.went_whole(root, &unit.sum, reason, freed),
            // Everything has been reported already.
            Ok(false) => root.node.leave(),
            Err(Kept::Because(because)) => {
                self.walked.left.add(&because, root.at(name));
                self.could_not_go(root, name, Some(&unit.sum.facts), &because);
                self.stays_whole(root, name, &unit.sum, &because);
            }
            Err(Kept::Cancelled) => root.node.leave(),
            Err(Kept::Failed(error)) if is_gone(&error) => self.walked.counts.vanished += 1,
            Err(Kept::Failed(error)) => {
                root.node.leave();
                self.not_removed(root.at(name), &error);
                let refused = Because::Refused(error.to_string().into());
                self.could_not_go(root, name, Some(&unit.sum.facts), &refused);
            }
        }
    }

    fn went_whole(&mut self, root: &Opened, sum: &Sum, reason: &Reason, freed_before: u64) {
        root.node.empty();
        let frees = self.sweep.frees(reason);
        let freed = if frees { sum.freed() } else { 0 };
        let counts = &mut self.walked.counts;
        // The files have been counted one by one, and those with several links with no bytes at all.
        counts.estimated = counts.estimated.saturating_sub(counts.freed.saturating_sub(freed_before)) + freed;
        counts.freed = freed_before + freed;
    }

    fn not_removed(&mut self, at: At<'_>, error: &io::Error) {
        self.walked.counts.failed += 1;
        self.walked.failures.add(error, at);
        (self.sweep.observer)(&Event::NotRemoved { at, error });
    }

    /// Takes the directory aside, judges it again, and acts on it. Returns whether all of it went.
    fn by_way_of(
        &mut self,
        slot: &mut WholeSlot,
        root: &Opened,
        unit: &Unit<'_>,
        reason: &Reason,
    ) -> Result<bool, Kept> {
        let name = unit.node.name();
        let sweep = self.sweep;
        // The directory stays in its place meanwhile: a copy may take long.
        let copy = {
            // A file that is being read seems to be in use under its other names.
            let _turns = self.turns(&unit.sum);
            sweep.act.copy_whole(unit.dir, unit.sum.copied, sweep.control)
        };
        let copy = copy.map_err(|error| match self.is_cancelled() {
            true => Kept::Cancelled,
            false => Kept::Failed(error),
        })?;
        slot.take_aside(&root.dir, name, unit.dir)?;
        let again = self.judge_again(unit).map_err(|because| because.map_or(Kept::Cancelled, Kept::Because));
        let done = again.and_then(|()| {
            let done = match copy {
                Some(copy) => copy.place(name).map(|()| Whole::IsToBeRemoved),
                None => sweep.act.whole(slot.aside(), name, reason, sweep.root),
            };
            done.map_err(Kept::Failed)
        });
        let whole = match done {
            Ok(whole) => whole,
            Err(kept) => {
                slot.put_back(&root.dir, name, unit.dir)?;
                return Err(kept);
            }
        };
        if whole == Whole::Went {
            slot.went(unit.dir);
            // The directory has gone, whether or not all of its events can be sent.
            drop(self.way_down(root, unit, reason, (unit.dir, root), Way::Tell));
            return Ok(true);
        }
        if let Err(error) = slot.commit(name) {
            slot.put_back(&root.dir, name, unit.dir)?;
            return Err(Kept::Failed(error));
        }
        let going = slot.going().open(b".").map(|dir| {
            let (node, path, place) = (root.node.clone(), Vec::new(), unit.place.clone());
            Opened::new(dir, node, path, place)
        });
        let done = match going {
            Ok(going) => self.way_down(root, unit, reason, (unit.dir, &going), Way::Remove),
            Err(error) => {
                self.not_removed(root.at(name), &error);
                Err(Stopped::Failed)
            }
        };
        match done {
            Ok(()) => {
                slot.done();
                Ok(true)
            }
            Err(Stopped::Changed) => {
                slot.put_rest_back(&root.dir, name, unit.dir)?;
                self.say(name, "was changed or opened while it was removed: what is left of it is back");
                Err(Kept::Because(Because::Changed))
            }
            Err(stopped) => {
                slot.leave();
                if matches!(stopped, Stopped::Cancelled) {
                    self.say(name, "was being removed when the run was stopped: the next one removes the rest");
                } else {
                    self.say(name, "went in part: the next run removes the rest");
                }
                Ok(false)
            }
        }
    }

    /// Waits until no worker acts on any name of the files with several, and holds their locks.
    fn turns(&self, sum: &Sum) -> Vec<MutexGuard<'_, ()>> {
        // Every holder of several locks takes them in this order.
        let turns: BTreeSet<usize> = sum.linked.keys().map(|identity| identity.inode as usize % TURNS).collect();
        turns.into_iter().map(|turn| self.sweep.turns[turn].lock().unwrap_or_else(PoisonError::into_inner)).collect()
    }

    fn say(&mut self, name: &[u8], what: &str) {
        let text = format!("`{}` {what}", Escaped(name));
        self.walked.remarks.push(Remark::Naming { text, open: format!("a directory {what}") });
    }

    /// Goes down the directory, which is held as `dir` and has its name in `parent`. Acts on each file, and on the way
    /// up on each directory.
    fn way_down(
        &mut self,
        root: &Opened,
        unit: &Unit<'_>,
        reason: &Reason,
        (dir, parent): (&Dir, &Opened),
        way: Way,
    ) -> Result<(), Stopped> {
        let name = unit.node.name();
        let mut frames = Vec::new();
        let top = dir.open(b".").map_err(|error| self.stopped(unit.node, &error))?;
        frames.push(self.do_files(unit.node.clone(), top, unit, reason, way)?);
        while let Some(frame) = frames.last_mut() {
            if self.is_cancelled() && !self.has_gone(way) {
                return Err(Stopped::Cancelled);
            }
            if let Some(name) = frame.inside.pop() {
                let child = frame.node.child(&name);
                let opened = match &frame.dir {
                    Some(above) => above.open(&name),
                    None => dir.open_beneath(&beneath(unit, &child)),
                };
                let opened = opened.map_err(|error| self.stopped(&child, &error))?;
                frames.push(self.do_files(child, opened, unit, reason, way)?);
                if let Some(far) = frames.len().checked_sub(HANDLES + 1) {
                    frames[far].dir = None;
                }
                continue;
            }
            let Some(Frame { node: done, .. }) = frames.pop() else { break };
            let Some(above) = &done.parent else { break };
            let path = above.path();
            if way == Way::Remove {
                let removed = match frames.last().map(|frame| &frame.dir) {
                    None => parent.dir.remove_directory(name),
                    Some(Some(dir)) => dir.remove_directory(done.name()),
                    Some(None) => {
                        let above = dir.open_beneath(&beneath(unit, above));
                        above.and_then(|above| above.remove_directory(done.name()))
                    }
                };
                removed.map_err(|error| match filled(&error) {
                    true => Stopped::Changed,
                    false => self.stopped(&done, &error),
                })?;
            }
            self.directory_went(At { directory: &path, name: done.name() }, reason);
        }
        _ = root;
        Ok(())
    }

    /// Returns whether the events are of something that has happened already, so that all of them are sent.
    fn has_gone(&self, way: Way) -> bool {
        way == Way::Tell && self.sweep.act.may_change()
    }

    fn stopped(&mut self, node: &Node, error: &io::Error) -> Stopped {
        let path = node.path();
        self.not_removed(At { directory: &path, name: b"" }, error);
        Stopped::Failed
    }

    /// Acts on the entries of one directory that are no directories themselves. The directories are left in the frame.
    fn do_files(
        &mut self,
        node: Arc<Node>,
        dir: Dir,
        unit: &Unit<'_>,
        reason: &Reason,
        way: Way,
    ) -> Result<Frame, Stopped> {
        if way == Way::Remove
            && let Err(error) = dir.make_writable()
        {
            return Err(self.stopped(&node, &error));
        }
        let mut names: Vec<CString> = Vec::new();
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = dir.for_each(&mut buffer, |entry| {
            // No name has a NUL in it.
            names.extend(CString::new(entry.name));
            ControlFlow::Continue(())
        });
        self.buffer = buffer;
        read.map_err(|error| self.stopped(&node, &error))?;
        let path = node.path();
        let opened = Opened::new(dir, node.clone(), path, self.sweep.policy().globs.root());
        let mut inside = Vec::new();
        for name in names {
            if self.is_cancelled() && !self.has_gone(way) {
                return Err(Stopped::Cancelled);
            }
            let Some(found) = self.look(&opened, &name) else { continue };
            if found.kind == Kind::Directory && !found.mount_point {
                if way == Way::Remove && found.facts.stamps.changed > unit.sum.changed {
                    // The directory was moved there, and nothing in it has gone yet.
                    return Err(Stopped::Changed);
                }
                inside.push(name.to_bytes().into());
            } else if way == Way::Tell {
                self.settle(&opened, &name, Some(&found.facts), reason, Ok(How::Plain));
            } else if is_fresh(&found, &unit.sum) {
                return Err(Stopped::Changed);
            } else {
                self.remove_one(&opened, &name, &found, reason)?;
            }
        }
        Ok(Frame { node, dir: Some(opened.dir), inside })
    }

    /// Removes a file, whatever the action of the target: the file was moved as a copy, or is to go for good.
    fn remove_one(&mut self, opened: &Opened, name: &CString, found: &Found, reason: &Reason) -> Result<(), Stopped> {
        let before = (self.walked.counts.failed, self.walked.counts.kept);
        let remove = Remove(self.sweep.order.target.on_unverifiable);
        if self.goes_by(&remove, opened, name, found, (reason, None)) {
            return Ok(());
        }
        // The share of the file in the guard is given back with that of the whole.
        self.take_guard_again();
        if self.walked.counts.failed > before.0 {
            return Err(Stopped::Failed);
        }
        if self.walked.counts.kept > before.1 {
            // The file is counted with the whole.
            self.walked.counts.kept = before.1;
            return Err(Stopped::Changed);
        }
        if self.is_cancelled() { Err(Stopped::Cancelled) } else { Ok(()) }
    }
}

/// Returns the path of a directory relative to the directory that goes whole.
fn beneath(unit: &Unit<'_>, node: &Node) -> Vec<u8> {
    node.path().get(unit.node.name().len() + 1..).unwrap_or_default().to_vec()
}

/// Returns whether the error says that somebody has put something in, or mounted something on the directory.
fn filled(error: &io::Error) -> bool {
    [Errno::NOTEMPTY, Errno::EXIST, Errno::BUSY].iter().any(|errno| error.raw_os_error() == Some(errno.raw_os_error()))
}

/// Returns whether a file is not what was judged: it is newer than everything there was.
fn is_fresh(found: &Found, judged: &Sum) -> bool {
    let (now, then) = (&found.facts.stamps, &judged.facts.stamps);
    found.mount_point
        || now.modified > then.modified
        // The removal of another name of this file has changed its inode.
        || (now.changed > then.changed.max(judged.changed) && !judged.linked.contains_key(&found.facts.identity))
}
