//! What a walk has come to.

use super::pass::Gathered;
use crate::judge::limits::Amount;
use crate::report::{Counts, Failures};

/// What a worker has removed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gone {
    /// Of inodes with other links, files alone.
    pub(super) amount: Amount,
    /// What all of them had allocated.
    pub(super) allocated: u64,
    /// Whether one had other links.
    pub(super) has_links: bool,
}

/// What a walk has come to.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// What went.
    pub(super) gone: Gone,
    pub(super) counts: Counts,
    pub(super) failures: Failures,
    /// Files that were to go, and stayed when it came to it: by the reason.
    pub(super) left: Failures,
    /// How many were no longer what had been ranked when their turn came.
    pub(super) stale: u64,
    /// Files that stay since they are immutable or append-only, or their directory is.
    pub(super) immutable: Failures,
    /// What else is to be said.
    pub(super) remarks: Vec<crate::report::Remark>,
    pub(super) gathered: Gathered,
}

impl Walked {
    pub(super) fn merge(&mut self, other: Self) {
        self.counts += other.counts;
        self.gone.amount += other.gone.amount;
        self.gone.allocated += other.gone.allocated;
        self.gone.has_links |= other.gone.has_links;
        self.failures.merge(other.failures);
        self.left.merge(other.left);
        self.stale += other.stale;
        self.immutable.merge(other.immutable);
        self.remarks.extend(other.remarks);
        self.gathered.merge(other.gathered);
    }

    /// Adds what came of files that this walk has counted already, as kept.
    pub(super) fn merge_second_look(&mut self, other: Self) {
        let Counts { deleted, failed, vanished, .. } = other.counts;
        self.counts.kept = self.counts.kept.saturating_sub(deleted + failed + vanished);
        let counts = Counts { kept: 0, examined: 0, candidates: 0, skipped_directories: 0, ..other.counts };
        self.merge(Self { counts, ..other });
    }
}
