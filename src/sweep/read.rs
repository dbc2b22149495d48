//! Reading of one directory: some entries are decided by the listing, and the others have to be looked at.

use std::num::NonZeroUsize;
use std::ops::ControlFlow;
use std::sync::{Arc, PoisonError};

use super::act::Act;
use super::batch::{BATCH, Batch, CHUNK, Chunk, Opened, chunks};
use super::queue::Waiting;
use super::walk::Worker;
use crate::clock;
use crate::entry::Kind;
use crate::fsys::{self, Found, Listed, ListingBuffer};
use crate::globs::{Entered, Place};
use crate::judge::{self, Kept, Newest};
use crate::verdict::Because;

/// Most entries of a directory that is worked on by one worker, from one listing.
const SMALL: usize = 4 * CHUNK;

impl<A: Act> Worker<'_, A> {
    /// Reads a directory, and works off its entries.
    pub(super) fn read(&mut self, directory: &Arc<Opened>) {
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut batch = std::mem::take(&mut self.batch);
        let mut listed = clock::mark();
        let read = directory.dir.for_each(&mut buffer, |entry| {
            if self.is_cancelled() {
                return ControlFlow::Break(());
            }
            if entry.just_listed {
                listed = clock::mark();
            }
            batch.listed(listed);
            self.list(directory, entry, &mut batch);
            if batch.len() >= BATCH {
                self.work_off(directory, &mut batch);
            }
            if self.found.len() >= CHUNK {
                self.make_room();
            }
            ControlFlow::Continue(())
        });
        if let Err(error) = read {
            directory.node.leave();
            self.unreadable(directory.at(b""), &error);
        }
        if !self.found.is_empty() && self.queue.is_idle() {
            // The directories need not wait until this one is done, as in a chain of directories they otherwise would.
            self.queue.add_directories(self.found.drain(..));
        }
        self.work_off(directory, &mut batch);
        self.buffer = buffer;
        self.batch = batch;
    }

    /// Hands out the directories that were found so far, and works on some while too many wait.
    fn make_room(&mut self) {
        self.queue.add_directories(self.found.drain(..));
        while let Some(waiting) = self.queue.next_of_a_crowd(self.deep) {
            self.deep += 1;
            // The buffers are in use further up.
            let (buffer, batch) = (std::mem::take(&mut self.buffer), std::mem::take(&mut self.batch));
            self.buffer = ListingBuffer::new();
            self.down_from(waiting);
            (self.buffer, self.batch) = (buffer, batch);
            self.deep -= 1;
        }
    }

    /// Reads a directory of which `keep_newest` holds some files, if all of it fits into one batch. The directory is
    /// then listed once and, in a survey, looked at once. Returns `false` when this does not apply.
    pub(super) fn read_small(&mut self, directory: &mut Opened) -> bool {
        let policy = self.sweep.policy();
        let Some(count) = policy.keep_newest.filter(|_| !policy.whole_dirs) else { return false };
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut all = Batch::default();
        let read = directory.dir.for_each(&mut buffer, |entry| {
            all.push(entry.name, entry.kind, entry.inode);
            if all.len() > SMALL { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        });
        self.buffer = buffer;
        if read.is_err() || all.len() > SMALL {
            // In a directory that cannot be rewound all files are kept, as in one that cannot be read.
            directory.kept = directory.dir.rewind().err().map(|_| Kept::all(count));
            return false;
        }
        all.sort();
        let mut batch = std::mem::take(&mut self.batch);
        for (name, kind) in all.entries(0..all.len()) {
            let name = name.to_bytes();
            self.list(directory, Listed { name, kind, inode: 0, just_listed: false }, &mut batch);
        }
        let mut looked: Vec<Option<Found>> = Vec::with_capacity(batch.len());
        let mut newest = Newest::new(count);
        for (name, kind) in batch.entries(0..batch.len()) {
            if self.is_cancelled() {
                break;
            }
            let found = self.look(directory, name);
            let name = name.to_bytes();
            let by_name =
                |found: &Found| kind.is_some() || judge::by_name(policy, &directory.place, name, found.kind).is_none();
            if let Some(found) = found.as_ref().filter(|found| found.kind == Kind::File && by_name(found))
                && judge::is_candidate(policy, &found.facts)
            {
                newest.add(judge::newest_weight(policy, &found.facts, self.sweep.order.now), name);
            }
            looked.push(found);
        }
        directory.kept = Some(newest.kept());
        for ((name, kind), found) in batch.entries(0..batch.len()).zip(&looked) {
            if self.is_cancelled() {
                break;
            }
            match found {
                // A file that is to be removed is looked at right before.
                Some(_) if self.acts() => self.entry(directory, name, kind),
                // Nothing goes in a walk that does not act.
                Some(found) => drop(self.looked_at(directory, name, kind, found)),
                None => {}
            }
        }
        batch.clear();
        self.batch = batch;
        true
    }

    /// Returns the files of a directory that `keep_newest` holds. For a large directory they are found once for all
    /// walks of a sweep.
    pub(super) fn kept(&mut self, directory: &Opened) -> Option<Kept> {
        let policy = self.sweep.policy();
        let count = policy.keep_newest?;
        if policy.whole_dirs {
            return self.sweep.root_kept.clone();
        }
        if directory.kept.is_some() {
            return directory.kept.clone();
        }
        let known = || self.sweep.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(kept) = known().get(&directory.path) {
            return Some(kept.clone());
        }
        let kept = self.find_kept(directory, count);
        known().insert(directory.path.clone(), kept.clone());
        Some(kept)
    }

    fn find_kept(&mut self, directory: &Opened, count: NonZeroUsize) -> Kept {
        let policy = self.sweep.policy();
        let mut newest = Newest::new(count);
        let mut buffer = std::mem::take(&mut self.buffer);
        let read = directory.dir.for_each(&mut buffer, |entry| {
            if self.is_cancelled() {
                return ControlFlow::Break(());
            }
            let by_name = |kind| judge::by_name(policy, &directory.place, entry.name, kind).is_none();
            if entry.kind.is_none_or(by_name)
                && !self.is_required(directory, entry.name)
                && let Ok(found) = directory.dir.look(entry.name)
                && found.kind == Kind::File
                && (entry.kind.is_some() || by_name(found.kind))
                && judge::is_candidate(policy, &found.facts)
            {
                newest.add(judge::newest_weight(policy, &found.facts, self.sweep.order.now), entry.name);
            }
            ControlFlow::Continue(())
        });
        self.buffer = buffer;
        // An error is reported when the directory is read for good.
        if read.and_then(|()| directory.dir.rewind()).is_err() { Kept::all(count) } else { newest.kept() }
    }

    fn is_required(&self, directory: &Opened, name: &[u8]) -> bool {
        let required = self.sweep.order.target.require.as_deref();
        directory.path.is_empty() && required.is_some_and(|required| required.as_bytes() == name)
    }

    /// Decides an entry if the listing alone can; otherwise adds it to the batch.
    fn list(&mut self, directory: &Opened, entry: Listed<'_>, batch: &mut Batch) {
        if directory.path.is_empty() && fsys::is_slots(entry.name) {
            // The janitor's own directory of slots is no part of the target.
            return;
        }
        self.walked.counts.examined += 1;
        if self.is_required(directory, entry.name) {
            return self.stays(directory, entry.name, &Because::Required);
        }
        match entry.kind {
            Some(Kind::Directory) => self.directory(directory, entry.name),
            Some(kind) => match judge::by_name(self.sweep.policy(), &directory.place, entry.name, kind) {
                Some(because) => self.stays(directory, entry.name, &because),
                None => {
                    self.note_near(directory.at(entry.name), false);
                    batch.push(entry.name, entry.kind, entry.inode);
                }
            },
            // Not every file system tells the kind in its listing.
            None => {
                self.note_near(directory.at(entry.name), false);
                batch.push(entry.name, None, entry.inode);
            }
        }
    }

    /// Works a batch off, or hands it out in chunks if it is large.
    fn work_off(&mut self, directory: &Arc<Opened>, batch: &mut Batch) {
        batch.sort();
        if batch.len() <= CHUNK || self.most_chunks <= 2 {
            self.entries(directory, batch, 0..batch.len());
            batch.clear();
            return;
        }
        let chunks = chunks(directory, std::mem::take(batch));
        directory.node.wait_for(chunks.len());
        self.queue.add_chunks(chunks);
        while let Some(chunk) = self.queue.next_of_many(self.most_chunks) {
            self.chunk(&chunk);
        }
    }

    pub(super) fn chunk(&mut self, chunk: &Chunk) {
        self.entries(&chunk.directory, &chunk.batch, chunk.range.clone());
        self.finish(chunk.directory.node.clone());
        self.publish();
    }

    /// Judges one entry alone, as it would be judged when the directory is read.
    pub(super) fn one(&mut self, directory: &Opened, name: &[u8], kind: Kind) {
        let mut batch = Batch::default();
        self.list(directory, Listed { name, kind: Some(kind), inode: 0, just_listed: false }, &mut batch);
        self.entries(directory, &batch, 0..batch.len());
    }

    /// Queues a directory that only turned out to be one when it was looked at, maybe by another worker than the one
    /// that reads its parent.
    pub(super) fn directory_late(&mut self, parent: &Opened, name: &[u8]) {
        let before = self.found.len();
        self.directory(parent, name);
        self.queue.add_directories(self.found.drain(before..));
    }

    fn directory(&mut self, parent: &Opened, name: &[u8]) {
        let globs = &self.sweep.policy().globs;
        if self.sweep.policy().whole_dirs {
            return match judge::whole_by_name(self.sweep.policy(), &parent.place, name) {
                Ok(place) => {
                    self.note_near(parent.at(name), true);
                    self.wait(parent, name, place, true);
                }
                Err(because) => self.skip_in(parent, name, &because),
            };
        }
        match globs.directory(&parent.place, name) {
            Entered::Place(place) => {
                self.note_near(parent.at(name), true);
                self.wait(parent, name, place, false);
            }
            Entered::Unreached => self.skip_in(parent, name, &Because::Unreached),
            Entered::Excluded(pattern) => self.skip_in(parent, name, &Because::Excluded(pattern)),
            Entered::BuiltIn(pattern) => self.skip_in(parent, name, &Because::BuiltIn(pattern)),
        }
    }

    fn wait(&mut self, parent: &Opened, name: &[u8], place: Place, whole: bool) {
        self.found.push(Waiting { node: parent.node.child(name), place, whole });
    }

    fn skip_in(&mut self, parent: &Opened, name: &[u8], because: &Because) {
        parent.node.leave();
        self.skip(parent.at(name), because);
    }
}
