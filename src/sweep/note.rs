//! Notes that a worker takes on a walk, and events that it sends, beside its counts.

use std::io;

use super::act::Act;
use super::walk::Worker;
use super::{At, Event};
use crate::verdict::Because;

impl<A: Act> Worker<'_, A> {
    /// Counts a directory that is not entered, and reports why.
    pub(super) fn skip(&mut self, at: At<'_>, because: &Because) {
        self.walked.counts.skipped_directories += 1;
        self.note(because);
        if self.acts() {
            (self.sweep.observer)(&Event::SkippedDirectory { at, because });
        }
    }

    /// Remembers an exclude that named something.
    pub(super) fn note(&mut self, because: &Because) {
        if let Because::Excluded(pattern) = because
            && !self.walked.gathered.matched.contains(pattern)
        {
            self.walked.gathered.matched.insert(pattern.clone());
            self.sweep.near.settle(pattern);
        }
    }

    /// Remembers an exclude that almost names an entry that no exclude names.
    pub(super) fn note_near(&mut self, at: At<'_>, is_directory: bool) {
        if self.acts()
            && let Some((exclude, difference)) = self.sweep.near.missed(at.directory, at.name, is_directory)
        {
            self.walked.gathered.missed.insert(exclude, (at.to_string(), difference));
        }
    }

    /// Counts an entry that cannot be read, and reports why.
    pub(super) fn unreadable(&mut self, at: At<'_>, error: &io::Error) {
        if self.acts() {
            self.walked.failures.add(error, at);
            (self.sweep.observer)(&Event::Unreadable { at, error });
        }
    }
}
