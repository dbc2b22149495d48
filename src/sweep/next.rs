//! Candidates that a limit takes, one after the other in the order in which they were ranked.

use std::ffi::CString;
use std::sync::Arc;

use super::act::Act;
use super::batch::Opened;
use super::locks;
use super::pass::Next;
use super::queue::Waiting;
use super::tree::Node;
use super::walk::Worker;
use crate::entry::Facts;
use crate::globs::Entered;
use crate::judge;
use crate::verdict::Because;

impl<A: Act> Worker<'_, A> {
    /// Returns whether the entry that has a name now is the one that was ranked under it.
    pub(super) fn is_still(&self, next: &Next, facts: &Facts) -> bool {
        next.is_still(facts.identity, judge::weight(self.sweep.policy(), facts, self.sweep.order.now))
    }

    /// Notes that another entry has the name of a ranked one, or that its turn is a later one by now.
    pub(super) fn went_stale(&mut self, directory: &Opened, name: &[u8]) {
        self.walked.stale += 1;
        self.walked.left.add(&Because::Changed, directory.at(name));
    }

    /// Removes a ranked candidate, if it still may go.
    pub(super) fn take(&mut self, next: &Next, last: &mut Option<Opened>) {
        let path = &next.rank.path;
        let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&b""[..], &path[..]),
        };
        if next.whole {
            let node = Node::root().child(name);
            let globs = &self.sweep.policy().globs;
            if let Entered::Place(place) = globs.whole(&globs.root(), name) {
                self.whole(&Waiting { node, place, whole: true }, Some(next));
            }
            return;
        }
        if last.as_ref().is_none_or(|last| last.path != parent) {
            // The last lock has to go first: it would look like that of somebody else.
            *last = None;
            *last = self.open_ranked(parent);
        }
        if let Some(directory) = last
            && let Ok(name) = CString::new(name)
            && let Some(found) = self.look(directory, &name)
            && found.kind == crate::entry::Kind::File
            && !found.mount_point
        {
            if !self.is_still(next, &found.facts) {
                self.went_stale(directory, name.to_bytes());
                return self.stays(directory, name.to_bytes(), &Because::Changed);
            }
            let before = self.walked.counts.deleted;
            if let Some(going) = self.file(directory, name.to_bytes(), &found.facts) {
                self.goes(directory, &name, &found, going);
            }
            if self.walked.counts.deleted > before && self.sweep.policy().remove_empty_dirs {
                self.empty_upwards(directory);
            }
        }
    }

    /// Opens the directory of a ranked candidate, if its files may still go: the directory is where it was, and nobody
    /// has locked it.
    fn open_ranked(&mut self, path: &[u8]) -> Option<Opened> {
        let dir = if path.is_empty() { self.sweep.root.open(b".") } else { self.sweep.root.open_beneath(path) };
        // A directory that is elsewhere by now is not the one that was surveyed.
        let dir = dir.ok().filter(|dir| matches!(self.sweep.elsewhere(dir), Ok(None)));
        let Some(dir) = dir.map(Arc::new) else {
            self.walked.counts.vanished += 1;
            return None;
        };
        // A directory was locked since it was surveyed: its files stay, and are counted as such already.
        let Ok(None) = self.sweep.locked_on_the_way(path) else { return None };
        let lock = match path {
            b"" => None,
            _ => match locks::ask(&dir, self.sweep.act.may_change()) {
                Ok(locks::Asked::Free(lock)) => lock,
                _ => return None,
            },
        };
        self.sweep.stamps_before.note_of(path, &dir);
        let place = self.sweep.policy().globs.root();
        // `keep_newest` held its own before, and a file does not become one of the newest when others are removed.
        Some(Opened::new(dir, Node::root(), path.to_vec(), place).holding(lock))
    }
}
