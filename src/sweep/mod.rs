//! One execution for one target (interface; being written).
use std::sync::atomic::AtomicU64;

/// What a sweep has counted so far; read while it is at work.
#[derive(Debug, Default)]
pub struct Progress {
    /// Entries that were read.
    pub examined: AtomicU64,
    /// Files removed (in a dry run: that would be).
    pub deleted: AtomicU64,
    /// Bytes given back.
    pub freed: AtomicU64,
    /// Files that could not be removed.
    pub failed: AtomicU64,
}
