//! Confining a thread to some directories, by the kernel (Landlock).
//!
//! Confinement stops our own mistakes and lost races: a handle of a directory that was moved out of the target can no
//! longer remove anything. It is no barrier against foreign code in this process, since threads share their memory.

use std::cell::Cell;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::{Mutex, PoisonError};

use landlock::{
    ABI, Access, AccessFs, BitFlags, CompatLevel, Compatible, PathBeneath, Ruleset, RulesetAttr, RulesetCreatedAttr,
    RulesetStatus,
};

use rustix::thread::{SecureComputingMode, secure_computing_mode};

use super::dir::Dir;

/// Argument with which this program tries Landlock in a process of its own, and exits.
pub const ASK_FOR_LANDLOCK: &str = "ask-for-landlock";

/// Oldest version of Landlock that is used: the first with renames between directories and truncation (Linux 6.2).
const VERSION: ABI = ABI::V3;

thread_local! {
    static CONFINED: Cell<bool> = const { Cell::new(false) };
}

/// Rights of a confined thread below a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum May {
    /// Look and read.
    Look,
    /// Remove entries, and rename entries to and from the directory.
    Change,
}

fn rights(may: May) -> BitFlags<AccessFs> {
    let look = AccessFs::ReadFile | AccessFs::ReadDir;
    match may {
        May::Look => look,
        May::Change => {
            let remove = AccessFs::RemoveFile | AccessFs::RemoveDir | AccessFs::Refer;
            // A rename makes its entry anew in the eyes of Landlock.
            let make = AccessFs::MakeReg
                | AccessFs::MakeDir
                | AccessFs::MakeSym
                | AccessFs::MakeSock
                | AccessFs::MakeFifo
                | AccessFs::MakeChar
                | AccessFs::MakeBlock;
            look | remove | make | AccessFs::WriteFile
        }
    }
}

/// Tries to confine this thread, to no directory at all. A filter of system calls may kill the process here.
pub fn ask_for_landlock() {
    // The result does not matter here; only whether the process is killed.
    drop(confine_now(&[]));
}

/// Returns why no thread can be confined, if known without trying. A filter of system calls may kill a process that
/// calls Landlock (`@system-service` of systemd 252 does), so where there is a filter another process tries first.
#[must_use]
pub fn unconfinable() -> Option<String> {
    /// Whether the filter kills a process that calls Landlock.
    static KILLS: Mutex<Option<bool>> = Mutex::new(None);
    let mut kills = KILLS.lock().unwrap_or_else(PoisonError::into_inner);
    if kills.is_none() {
        match is_killed() {
            Ok(killed) => *kills = Some(killed),
            Err(error) => return Some(format!("no process can be started to ask for Landlock: {error}")),
        }
    }
    let unit = "a unit needs SystemCallFilter=landlock_create_ruleset landlock_add_rule landlock_restrict_self";
    kills.unwrap_or_default().then(|| format!("a filter of system calls kills who asks for Landlock ({unit})"))
}

fn is_killed() -> io::Result<bool> {
    if !matches!(secure_computing_mode(), Ok(SecureComputingMode::Filter)) {
        return Ok(false);
    }
    let mut command = Command::new("/proc/self/exe");
    command.arg(ASK_FOR_LANDLOCK).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().map(|status: ExitStatus| status.signal() == Some(rustix::process::Signal::SYS.as_raw()))
}

/// Confines this thread, and every thread that it starts, to these directories: nothing outside them can be read or
/// changed any more. Confinement cannot be undone, so this is for a thread of one's own. Open files stay open.
///
/// # Errors
/// Fails with a text when the kernel does not enforce all of it; the thread is unchanged then.
pub fn confine(to: &[(&Dir, May)]) -> Result<(), String> {
    unconfinable().map_or_else(|| confine_now(to), Err)
}

fn confine_now(to: &[(&Dir, May)]) -> Result<(), String> {
    let restrict = || {
        let mut rules = Ruleset::default()
            .set_compatibility(CompatLevel::HardRequirement)
            .handle_access(AccessFs::from_all(VERSION))?
            .create()?;
        for (dir, may) in to {
            rules = rules.add_rule(PathBeneath::new(dir.fd().as_fd(), rights(*may)))?;
        }
        rules.restrict_self()
    };
    let status = restrict().map_err(|error: landlock::RulesetError| format!("Landlock: {error}"))?;
    if status.ruleset != RulesetStatus::FullyEnforced {
        return Err("Landlock: the kernel enforces only a part of it".to_owned());
    }
    note_confined(true);
    Ok(())
}

/// Returns whether this thread is confined, or was started by a confined thread and [noted so](note_confined).
#[must_use]
pub fn is_confined() -> bool {
    CONFINED.get()
}

/// Notes whether the thread that started this one is confined.
pub fn note_confined(confined: bool) {
    CONFINED.set(confined);
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread;

    use super::*;
    use crate::fsys::resolve;

    /// In a thread of its own, since there is no way back.
    fn confined<T: Send>(to: &[(&Dir, May)], work: impl FnOnce() -> T + Send) -> Option<T> {
        thread::scope(|scope| {
            let done = scope.spawn(|| {
                confine(to).map(|()| work()).map_err(|why| {
                    // That is asked for as a whole, and refused by a kernel that has not all of it.
                    assert!(!why.contains("only a part"), "{why}");
                    crate::needs::say(&format!("\n*** NOT RUN: {why} ***\n"));
                })
            });
            done.join().expect("no panic").ok()
        })
    }

    #[test]
    fn who_may_look_reads_and_who_may_change_does_what_a_removal_or_a_move_takes_and_nothing_runs() {
        let look = [AccessFs::ReadFile, AccessFs::ReadDir];
        let change = [
            AccessFs::WriteFile,
            AccessFs::RemoveFile,
            AccessFs::RemoveDir,
            AccessFs::Refer,
            AccessFs::MakeReg,
            AccessFs::MakeDir,
            AccessFs::MakeSym,
            AccessFs::MakeSock,
            AccessFs::MakeFifo,
            AccessFs::MakeChar,
            AccessFs::MakeBlock,
        ];
        for right in AccessFs::from_all(VERSION) {
            assert_eq!(rights(May::Look).contains(right), look.contains(&right), "look: {right:?}");
            let may = look.contains(&right) || change.contains(&right);
            assert_eq!(rights(May::Change).contains(right), may, "change: {right:?}");
        }
    }

    #[test]
    fn a_confined_thread_removes_below_the_directory_and_nowhere_else() {
        let yard = tempfile::tempdir().expect("a temporary directory");
        for directory in ["in/deep", "out"] {
            fs::create_dir_all(yard.path().join(directory)).expect("made");
            fs::write(yard.path().join(directory).join("file"), "").expect("written");
        }
        let open = |name: &str| resolve(&yard.path().join(name), false).expect("it exists").dir;
        let (inside, outside) = (open("in"), open("out"));
        let deep = inside.open(b"deep").expect("it exists");
        let removed = confined(&[(&inside, May::Change)], || {
            // A handle from before does not help.
            assert!(outside.remove(b"file").is_err());
            assert!(fs::read(yard.path().join("out/file")).is_err());
            deep.remove(b"file").expect("below the directory");
            assert!(is_confined());
        });
        if removed.is_some() {
            assert!(yard.path().join("out/file").exists());
            assert!(!yard.path().join("in/deep/file").exists());
        }
        assert!(!is_confined(), "this thread is as it was");
    }

    #[test]
    fn a_directory_that_was_moved_away_is_out_of_reach_though_it_is_open() {
        let yard = tempfile::tempdir().expect("a temporary directory");
        fs::create_dir_all(yard.path().join("in/deep")).expect("made");
        fs::create_dir_all(yard.path().join("out")).expect("made");
        fs::write(yard.path().join("in/deep/file"), "").expect("written");
        let inside = resolve(&yard.path().join("in"), false).expect("it exists").dir;
        let deep = inside.open(b"deep").expect("it exists");
        fs::rename(yard.path().join("in/deep"), yard.path().join("out/deep")).expect("ours");
        if let Some(removed) = confined(&[(&inside, May::Change)], || deep.remove(b"file")) {
            assert_eq!(removed.expect_err("moved away").kind(), std::io::ErrorKind::PermissionDenied);
            assert!(yard.path().join("out/deep/file").exists());
        }
    }

    #[test]
    fn who_may_only_look_changes_nothing() {
        let yard = tempfile::tempdir().expect("a temporary directory");
        fs::write(yard.path().join("file"), "").expect("written");
        let dir = resolve(yard.path(), false).expect("it exists").dir;
        let looked = confined(&[(&dir, May::Look)], || {
            assert!(dir.look(b"file").is_ok());
            assert!(dir.remove(b"file").is_err());
            assert!(fs::write(yard.path().join("other"), "").is_err());
        });
        assert!(looked.is_none() || yard.path().join("file").exists());
    }
}
