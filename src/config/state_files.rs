//! The names of what janitor keeps in its state directory, in one place: nothing else may have them.

use crate::names::TargetName;

/// The database. Names that begin with it are those of its journal and of what was damaged.
pub const STATE_FILE: &str = "janitor.sqlite";

/// What the daemon holds locked.
pub const LOCK_FILE: &str = "janitor.lock";

/// What says what is stopped.
pub const STOPS_FILE: &str = "stops.json";

/// Beginning and end of the name of what is locked while a target is swept.
const TARGET_LOCK: (&str, &str) = ("target-", ".lock");

/// Returns the name of what is locked while this target is swept.
#[must_use]
pub fn target_lock_file(target: &TargetName) -> String {
    let (begin, end) = TARGET_LOCK;
    format!("{begin}{target}{end}")
}

/// Returns whether a name is that of one of these, or of a file that becomes one.
pub(super) fn is_of_state(name: &[u8]) -> bool {
    // A file is written beside its place, under its name with a dot before it and more behind it.
    let name = name.strip_prefix(b".").unwrap_or(name);
    let (begin, end) = TARGET_LOCK;
    [STATE_FILE, LOCK_FILE, STOPS_FILE].iter().any(|known| name.starts_with(known.as_bytes()))
        || (name.starts_with(begin.as_bytes()) && name.ends_with(end.as_bytes()))
}
