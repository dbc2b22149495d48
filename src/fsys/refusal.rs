//! Reasons why a file was not removed or moved.

use std::io;

use rustix::io::Errno;

use super::place::is;

/// Reason why a file was not removed or moved.
#[derive(Debug)]
pub enum Refusal {
    /// Some process has the file open, mapped or executing.
    InUse,
    /// Some process holds a lock on the file (flock(2)), which is how programs say that a file is to be left alone.
    Locked,
    /// The file is not, or did not stay, the judged one.
    Changed,
    /// Another file was under the name and could not be put back, since somebody has taken the name meanwhile. The
    /// other file is kept at this path relative to the root.
    Conflict(String),
    /// The file cannot be verified here: it may not be read, no slot can be used, or the file system lacks leases or such
    /// renames.
    Unverifiable(io::Error),
    /// The run was stopped while the file was copied.
    Stopped,
    /// The system refused.
    Failed(io::Error),
}

/// Maps `ESTALE`, with which this layer reports a changed file, to [`Refusal::Changed`].
impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        if is(&error, Errno::STALE) { Self::Changed } else { Self::Failed(error) }
    }
}
