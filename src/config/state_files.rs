//! Names of janitor's files in its state directory, in one place: no other file may have them.

use crate::names::TargetName;

/// Name of the database. Names that begin with it belong to its journal and to damaged databases.
pub const STATE_FILE: &str = "janitor.sqlite";

/// Name of the file that the daemon holds locked.
pub const LOCK_FILE: &str = "janitor.lock";

/// Name of the file of the stopped schedules.
pub const STOPS_FILE: &str = "stops.json";

/// Prefix and suffix of the name of the lock file of a target.
const TARGET_LOCK: (&str, &str) = ("target-", ".lock");

/// Returns the name of the file that is locked while this target is swept.
#[must_use]
pub fn target_lock_file(target: &TargetName) -> String {
    let (begin, end) = TARGET_LOCK;
    format!("{begin}{target}{end}")
}

/// Returns whether a name belongs to one of these files, or to a temporary file that becomes one.
pub(super) fn is_of_state(name: &[u8]) -> bool {
    // A temporary file lies beside the real one, under its name with a dot before it and a suffix.
    let name = name.strip_prefix(b".").unwrap_or(name);
    let (begin, end) = TARGET_LOCK;
    [STATE_FILE, LOCK_FILE, STOPS_FILE].iter().any(|known| name.starts_with(known.as_bytes()))
        || (name.starts_with(begin.as_bytes()) && name.ends_with(end.as_bytes()))
}
