//! Inodes that processes have as working directory, root or executable, or hold open, as far as `/proc` tells.

use std::collections::BTreeSet;
use std::io;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, Mode, StatxFlags, openat, readlinkat, statx};
use rustix::io::Errno;

use super::dir::{Dir, ListingBuffer, READ, path};
use super::identity_of;
use super::place::is;
use super::reach::within;
use crate::entry::Identity;

/// Inodes that processes were seen to use, at one moment.
#[derive(Debug, Default)]
pub struct Processes {
    used: BTreeSet<Identity>,
    /// Reason why the set is incomplete, in words.
    pub unknown: Option<String>,
}

impl Processes {
    /// Scans all processes, for `limit` at most: a file system that does not answer must not hold anybody up. One
    /// thread scans at a time, so that no more than one is left behind there.
    #[must_use]
    pub fn look(limit: Duration) -> Self {
        match within(limit, Path::new("/proc"), scan) {
            Ok(Ok(processes)) => processes,
            Ok(Err(error)) => Self::failed(&error),
            Err(_) => Self::failed(&io::ErrorKind::TimedOut.into()),
        }
    }

    fn failed(error: &io::Error) -> Self {
        Self { used: BTreeSet::new(), unknown: Some(format!("/proc cannot be read: {error}")) }
    }

    /// Returns whether a process was seen to use this inode.
    #[must_use]
    pub fn use_it(&self, identity: Identity) -> bool {
        self.used.contains(&identity)
    }
}

fn scan() -> io::Result<Processes> {
    let proc = Dir::of(openat(CWD, "/proc", READ, Mode::empty())?);
    let mut processes = Processes::default();
    let mut closed = 0_u64;
    let ours = std::process::id().to_string();
    for name in names(&proc, |name| name.first().is_some_and(u8::is_ascii_digit))? {
        // The process may have ended meanwhile.
        let Ok(process) = proc.open(&name) else { continue };
        let mut is_closed = false;
        for link in [&b"cwd"[..], b"root", b"exe"] {
            is_closed |= !note(&process, link, &mut processes.used);
        }
        // Our own open files say nothing.
        if name != ours.as_bytes() {
            is_closed |= !note_open(&process, &mut processes.used);
        }
        closed += u64::from(is_closed);
    }
    if closed > 0 {
        processes.unknown = Some(format!("/proc does not let us look into {closed} processes of other users"));
    }
    Ok(processes)
}

fn names(dir: &Dir, is_wanted: impl Fn(&[u8]) -> bool) -> io::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    dir.for_each(&mut ListingBuffer::new(), |entry| {
        if is_wanted(entry.name) {
            names.push(entry.name.to_vec());
        }
        ControlFlow::Continue(())
    })?;
    Ok(names)
}

/// Notes the inode that a link of a process leads to. Returns whether we may know it.
fn note(dir: &Dir, link: &[u8], used: &mut BTreeSet<Identity>) -> bool {
    // No server is asked, where there is one: cached data is enough, and the server may be dead.
    match statx(dir.fd(), path(link), AtFlags::NO_AUTOMOUNT | AtFlags::STATX_DONT_SYNC, StatxFlags::INO) {
        Ok(found) => {
            used.insert(identity_of(&found));
            true
        }
        Err(error) => !matches!(error, Errno::ACCESS | Errno::PERM),
    }
}

/// Notes the files that a process holds open. Returns whether we may know them.
fn note_open(process: &Dir, used: &mut BTreeSet<Identity>) -> bool {
    let fds = match process.open(b"fd") {
        Ok(fds) => fds,
        Err(error) => return !is(&error, Errno::ACCESS) && !is(&error, Errno::PERM),
    };
    for fd in names(&fds, |_| true).unwrap_or_default() {
        // Sockets and pipes have no path.
        let is_path = readlinkat(fds.fd(), path(&fd), Vec::new()).is_ok_and(|to| to.to_bytes().starts_with(b"/"));
        if is_path {
            note(&fds, &fd, used);
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::fsys::identity;

    #[test]
    fn a_working_directory_and_what_is_open_are_seen_and_our_own_handles_are_not() {
        let yard = tempfile::tempdir().expect("a temporary directory");
        let path = |name: &str| yard.path().join(name);
        for name in ["cwd", "open", "ours", "free"] {
            std::fs::create_dir(path(name)).expect("made");
        }
        let _ours = std::fs::File::open(path("ours")).expect("ours");
        let open = std::fs::File::open(path("open")).expect("ours");
        let mut sleep = Command::new("sleep");
        let mut sleep = sleep.arg("60").current_dir(path("cwd")).stdin(Stdio::from(open)).spawn().expect("started");
        let processes = Processes::look(Duration::from_secs(60));
        let uses = |name| processes.use_it(identity(&path(name)).expect("looked at").expect("it exists"));
        let seen = ["cwd", "open", "free"].map(uses);
        sleep.kill().expect("ours");
        sleep.wait().expect("ours");
        assert_eq!(seen, [true, true, false], "{:?}", processes.unknown);
    }
}
