//! Locks that let one process at a time sweep a target: a file for each in the state directory, which daemon and
//! `clean` share.

use std::ffi::OsString;
use std::fs::{File, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::entry::Identity;
use crate::fsys::{Purpose, Trust};
use crate::names::TargetName;

/// Maximum number of bytes read of what another process says of itself.
const LONGEST: u64 = 200;

/// The lock of one target, held until dropped.
#[derive(Debug)]
pub struct TargetLock {
    /// Open lock file. Closing it gives the lock back.
    _file: File,
}

/// Answer to a request to sweep a target.
#[derive(Debug)]
pub enum Turn {
    /// The target is ours: nobody else sweeps it, and nobody else can, as long as the lock is held.
    Ours(TargetLock),
    /// Another process sweeps the target. The text names it, in its own words.
    Busy(String),
}

/// Number of times the file is opened when somebody removes it meanwhile.
const TRIES: usize = 100;

/// Takes the lock of a target, and writes into it that `who` has it. The state directory is made where it is missing.
///
/// # Errors
/// Fails, with the reason in words, when there can be no such lock.
pub fn lock_target(state: &Path, target: &TargetName, who: &str) -> Result<Turn, String> {
    let failed =
        |error: &dyn std::fmt::Display| format!("cannot lock the target in `{}`: {error}", super::shown(state));
    let name = OsString::from(crate::config::target_lock_file(target));
    let dir = Trust::of_process().directory(Purpose::State, state, Some(0o700)).map_err(|denied| failed(&denied))?;
    for _ in 0..TRIES {
        let mut file = dir.open_or_make(&name).map_err(|denied| failed(&denied))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut said = String::new();
                // A process that has only just taken the lock has not said anything yet.
                drop(file.take(LONGEST).read_to_string(&mut said));
                let said = said.trim().to_owned();
                return Ok(Turn::Busy(if said.is_empty() { "another janitor".to_owned() } else { said }));
            }
            Err(TryLockError::Error(error)) => return Err(failed(&error)),
        }
        let write = || -> io::Result<bool> {
            let about = file.metadata()?;
            // Somebody may have removed the file before it was locked.
            let identity = Identity { device: about.dev(), inode: about.ino() };
            if dir.entry(&name)?.is_none_or(|entry| entry.identity != identity) {
                return Ok(false);
            }
            file.set_permissions(Permissions::from_mode(0o600))?;
            file.set_len(0)?;
            Ok(true)
        };
        if write().map_err(|error| failed(&error))? {
            writeln!(file, "{who}").map_err(|error| failed(&error))?;
            return Ok(Turn::Ours(TargetLock { _file: file }));
        }
    }
    Err(failed(&"it comes and goes"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_one_holders_at_a_time_and_the_other_is_told_whose() {
        let yard = tempfile::tempdir().expect("a temporary directory");
        let state = yard.path().join("missing/state");
        let name = |name: &str| TargetName::new(name).expect("a name");
        let turn = |target: &str, who| lock_target(&state, &name(target), who).expect("there is room");
        let Turn::Ours(one) = turn("a", "the first, which has much to say") else { panic!("nobody has it") };
        let Turn::Busy(who) = turn("a", "the second") else { panic!("it is held") };
        assert_eq!(who, "the first, which has much to say");
        assert!(matches!(turn("b", "the second"), Turn::Ours(_)), "another target");
        drop(one);
        let Turn::Ours(two) = turn("a", "short") else { panic!("it was given back") };
        assert!(matches!(turn("a", ""), Turn::Busy(who) if who == "short"));
        let mode = |path: &Path| path.metadata().expect("made").permissions().mode() & 0o7777;
        assert_eq!((mode(&state), mode(&state.join("target-a.lock"))), (0o700, 0o600));
        // Removed by somebody, it is made anew, and what is held is not mistaken for it.
        std::fs::rename(state.join("target-a.lock"), state.join("away")).expect("ours");
        assert!(matches!(turn("a", "third"), Turn::Ours(_)));
        drop(two);
        std::fs::rename(state.join("target-b.lock"), state.join("away")).expect("ours");
        std::os::unix::fs::symlink("/dev/null", state.join("target-b.lock")).expect("made");
        assert!(lock_target(&state, &name("b"), "").is_err(), "a link is not followed");
    }
}
