//! Sum of everything in a directory that goes or stays whole.

use std::collections::BTreeMap;

use crate::entry::{Facts, Identity, Stamp, Stamps};
use crate::judge::limits::Amount;
use crate::names::Escaped;
use crate::verdict::Because;

/// Sum of everything in such a directory, as one.
pub(super) struct Sum {
    /// Facts of the directory itself, without its content.
    pub(super) top: Facts,
    /// Facts of the directory and everything in it: sizes added up, the newest of each stamp.
    pub(super) facts: Facts,
    pub(super) files: u64,
    pub(super) directories: u64,
    /// Bytes that a copy of the directory takes at least: several links become several files.
    pub(super) copied: u64,
    /// Newest `changed` of entries that nobody changes by removing another name of theirs: directories, and files with
    /// one name.
    pub(super) changed: Stamp,
    /// Amount of the content without inodes that have several links.
    pub(super) amount: Amount,
    /// Inodes that have several links: their allocated bytes, their links in all, and their links in here.
    pub(super) linked: BTreeMap<Identity, (u64, u64, u64)>,
    /// Reason for which the directory has to stay, if there is one.
    pub(super) held: Option<Because>,
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
    pub(super) fn of(facts: Facts, before: Option<&Self>) -> Self {
        let mut stamps = facts.stamps.of_directory();
        if let Some(before) = before {
            // The rename on being taken aside has changed this stamp, and nothing else.
            stamps.changed = before.top.stamps.changed;
        }
        let top = Facts { size: 0, allocated: 0, stamps, ..facts };
        let (amount, linked) = (Amount::default(), BTreeMap::new());
        Self {
            top,
            facts: top,
            files: 0,
            directories: 0,
            copied: 0,
            changed: stamps.changed,
            amount,
            linked,
            held: None,
        }
    }

    pub(super) fn hold(&mut self, path: &[u8], because: Because) {
        let inside = || match path {
            b"" => because,
            _ => Because::Inside { entry: Escaped(path).to_string().into(), because: Box::new(because) },
        };
        self.held.get_or_insert_with(inside);
    }

    pub(super) fn add_directory(&mut self, stamps: Stamps) {
        self.directories += 1;
        self.changed = self.changed.max(stamps.changed);
        self.facts.stamps = newest(&self.facts.stamps, &stamps.of_directory());
    }

    pub(super) fn add(&mut self, facts: &Facts, before: Option<&Self>) {
        self.files += 1;
        self.amount.files += 1;
        self.facts.stamps = newest(&self.facts.stamps, &facts.stamps);
        self.facts.size += facts.size;
        self.copied += facts.allocated.min(facts.size);
        if facts.links <= 1 && before.is_none_or(|before| !before.linked.contains_key(&facts.identity)) {
            self.changed = self.changed.max(facts.stamps.changed);
        }
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

    /// Returns the bytes that the file system gets back when the whole directory goes.
    pub(super) fn freed(&self) -> u64 {
        let whole = self.linked.values().filter(|(_, links, here)| here >= links);
        self.amount.freed + whole.map(|(allocated, ..)| allocated).sum::<u64>()
    }

    /// Returns whether nothing in the directory has changed since the look before.
    pub(super) fn is_unchanged(&self, before: &Self) -> bool {
        let what = |sum: &Self| {
            let Facts { size, stamps, .. } = sum.facts;
            (sum.files, sum.directories, size, stamps.modified, stamps.created, sum.changed)
        };
        what(self) == what(before)
    }
}
