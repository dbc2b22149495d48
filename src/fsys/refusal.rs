//! Why something was not done to a file.

use std::io;

use rustix::io::Errno;

use super::place::is;

/// Why a file was not removed or moved.
#[derive(Debug)]
pub enum Refusal {
    /// Some process has it open, mapped or executing.
    InUse,
    /// Some process holds a lock on it (flock(2)), which is how programs say that a file is to be left alone.
    Locked,
    /// It is not, or did not stay, what was judged.
    Changed,
    /// Another file was under the name, and could not be put back: somebody has taken the name meanwhile. It is kept,
    /// at this path relative to the root.
    Conflict(String),
    /// It cannot be verified here.
    Unverifiable(io::Error),
    /// The run was stopped while it was copied.
    Stopped,
    /// The system refused.
    Failed(io::Error),
}

/// `ESTALE` is how this floor says that a file has changed.
impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        if is(&error, Errno::STALE) { Self::Changed } else { Self::Failed(error) }
    }
}
