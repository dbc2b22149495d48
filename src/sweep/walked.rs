//! Result of a walk.

use super::pass::Gathered;
use crate::judge::limits::Amount;
use crate::report::{Counts, Failures};

/// Files that a worker has removed.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Gone {
    /// Amount of the files; for inodes with other links their number alone.
    pub(super) amount: Amount,
    /// Allocated bytes of all files.
    pub(super) allocated: u64,
    /// Whether a file had other links.
    pub(super) has_links: bool,
}

/// Result of a walk.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// Files that went.
    pub(super) gone: Gone,
    pub(super) counts: Counts,
    pub(super) failures: Failures,
    /// Files that were to go, and stayed when it came to it: by the reason.
    pub(super) left: Failures,
    /// Number of candidates that were no longer what had been ranked when their turn came.
    pub(super) stale: u64,
    /// Files that stay since they are immutable or append-only, or their directory is.
    pub(super) immutable: Failures,
    /// Further remarks.
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

    /// Adds the results for files that this walk has counted already, as kept.
    pub(super) fn merge_second_look(&mut self, other: Self) {
        let Counts { deleted, failed, vanished, .. } = other.counts;
        self.counts.kept = self.counts.kept.saturating_sub(deleted + failed + vanished);
        let counts = Counts { kept: 0, examined: 0, candidates: 0, skipped_directories: 0, ..other.counts };
        self.merge(Self { counts, ..other });
    }
}
