//! Whether a file is in use.

use std::io;

use rustix::io::Errno;

use super::claimed::Claimed;
use super::dir::Dir;
use super::refusal::Refusal;
use crate::entry::Identity;

/// Use of a file by processes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// No process uses the file.
    Free,
    /// Some process has the file open, mapped or executing.
    Open,
    /// Some process holds a lock on the file.
    Locked,
}

impl Dir {
    /// Returns whether any process, this one included, uses the regular file `name`, by this name or another.
    /// `identity` is the file that is meant. Only for a name just seen to be a regular file.
    ///
    /// The kernel is asked for a lock (flock(2)) and a write lease (`F_SETLEASE` in fcntl(2)), which it grants only
    /// when nobody else has the file locked or open. Both are released at once. A process that opens the file in that
    /// moment waits for it; with `O_NONBLOCK` it may get `EWOULDBLOCK`. A program that holds a lease of its own on the
    /// file is asked to give it up.
    ///
    /// Descriptors with `O_PATH`, which cannot read, and other machines on a network file system are not seen.
    ///
    /// # Errors
    /// Each error means that the use cannot be told: `ESTALE` when the name is another file by now or not a regular
    /// file, `EINVAL` when the file system has no leases, `EACCES` or `EPERM` when the janitor may not read the file,
    /// or neither owns it nor has `CAP_LEASE`, `ENOENT` when it is gone, and any other kernel error.
    pub fn usage(&self, name: &[u8], identity: Identity) -> io::Result<Usage> {
        match Claimed::of(self, name, identity) {
            Ok(_) => Ok(Usage::Free),
            Err(Refusal::InUse) => Ok(Usage::Open),
            Err(Refusal::Locked) => Ok(Usage::Locked),
            Err(Refusal::Unverifiable(error) | Refusal::Failed(error)) => Err(error),
            Err(Refusal::Changed | Refusal::Conflict(_) | Refusal::Stopped) => Err(Errno::STALE.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::{BufRead, BufReader};
    use std::os::unix::fs::{MetadataExt, symlink};
    use std::path::Path;
    use std::process::{Child, Command, Stdio};
    use std::thread;
    use std::time::Duration;

    use rustix::fs::{FileType, Mode, mknodat};

    use super::*;
    use crate::fsys::pin::Pinned;
    use crate::fsys::{identity, resolve};

    /// A directory, if its file system has leases.
    fn yard() -> Option<(tempfile::TempDir, Dir)> {
        // Asked past what is tested here: whatever that answers must not skip its own test.
        if !crate::needs::leases() {
            return None;
        }
        let yard = tempfile::tempdir().expect("a temporary directory");
        let dir = resolve(yard.path(), false).expect("it exists").dir;
        Some((yard, dir))
    }

    fn in_use(dir: &Dir, path: &Path) -> io::Result<bool> {
        let name = path.file_name().expect("a name").as_encoded_bytes();
        let itself = fs::symlink_metadata(path).expect("it exists");
        dir.usage(name, Identity { device: itself.dev(), inode: itself.ino() }).map(|usage| usage == Usage::Open)
    }

    /// Waits for it: a test beside this one that starts a program has, for a moment, copies of all descriptors.
    fn falls_out_of_use(dir: &Dir, path: &Path) -> bool {
        (0..500).any(|_| {
            thread::sleep(Duration::from_millis(1));
            !in_use(dir, path).expect("a local file")
        })
    }

    fn end(mut child: Child) {
        child.kill().expect("ours");
        child.wait().expect("ours");
    }

    #[test]
    fn a_file_that_nobody_has_open_is_not_in_use() {
        let Some((yard, dir)) = yard() else { return };
        let path = yard.path().join("file");
        fs::write(&path, "text").expect("written");
        for _ in 0..3 {
            assert!(falls_out_of_use(&dir, &path), "and asking leaves no trace");
        }
    }

    #[test]
    fn our_own_reading_and_writing_counts_by_any_name() {
        let Some((yard, dir)) = yard() else { return };
        let (path, other) = (yard.path().join("file"), yard.path().join("other"));
        fs::write(&path, "text").expect("written");
        fs::hard_link(&path, &other).expect("linked");
        for write in [false, true] {
            let open = File::options().read(true).write(write).open(&other).expect("ours");
            assert!(in_use(&dir, &path).expect("a local file"));
            open.lock_shared().expect("ours");
            assert_eq!(
                dir.usage(b"file", identity(&path).expect("ours").expect("there")).expect("local"),
                Usage::Locked
            );
            drop(open);
            assert!(falls_out_of_use(&dir, &path));
        }
    }

    #[test]
    fn another_process_that_has_it_open_counts() {
        let Some((yard, dir)) = yard() else { return };
        let path = yard.path().join("file");
        fs::write(&path, "text").expect("written");
        let stdin = File::open(&path).expect("ours");
        let child = Command::new("sleep").arg("60").stdin(stdin).spawn().expect("started");
        assert!(in_use(&dir, &path).expect("a local file"));
        end(child);
        assert!(falls_out_of_use(&dir, &path));
    }

    #[test]
    fn a_running_program_counts() {
        let Some((yard, dir)) = yard() else { return };
        let path = yard.path().join("program");
        let sleep = ["/usr/bin/sleep", "/bin/sleep"].into_iter().find(|path| Path::new(path).exists());
        // Copied by a process of its own, so that no test forks while the copy is open for writing (ETXTBSY).
        let copied = Command::new("cp").arg(sleep.expect("there is one")).arg(&path).status().expect("started");
        assert!(copied.success());
        let child = Command::new(&path).arg("60").spawn().expect("started");
        assert!(in_use(&dir, &path).expect("a local file"));
        end(child);
        assert!(falls_out_of_use(&dir, &path));
    }

    #[test]
    fn a_mapping_counts_when_the_file_is_closed() {
        if !crate::needs::tool("python3") {
            return;
        }
        let Some((yard, dir)) = yard() else { return };
        let path = yard.path().join("file");
        fs::write(&path, "text").expect("written");
        // The module mmap keeps a descriptor of its own, so the C library is called.
        let script = "import ctypes, os, sys, time\n\
            fd = os.open(sys.argv[1], os.O_RDONLY)\n\
            libc = ctypes.CDLL(None, use_errno=True)\n\
            libc.mmap.restype = ctypes.c_void_p\n\
            libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]\n\
            assert libc.mmap(None, 4096, 1, 2, fd, 0) != ctypes.c_void_p(-1).value\n\
            os.close(fd)\n\
            print('mapped', flush=True)\n\
            time.sleep(60)\n";
        let mut child =
            Command::new("python3").args(["-c", script]).arg(&path).stdout(Stdio::piped()).spawn().expect("started");
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("piped")).read_line(&mut line).expect("text");
        assert_eq!(line, "mapped\n");
        assert!(in_use(&dir, &path).expect("a local file"));
        end(child);
        assert!(falls_out_of_use(&dir, &path));
    }

    #[test]
    fn another_file_under_the_name_is_stale() {
        let Some((yard, dir)) = yard() else { return };
        let path = yard.path().join("file");
        fs::write(&path, "old").expect("written");
        let old = identity(&path).expect("looked at").expect("it exists");
        fs::write(yard.path().join("new"), "new").expect("written");
        fs::rename(yard.path().join("new"), &path).expect("ours");
        let error = dir.usage(b"file", old).expect_err("another file");
        assert_eq!(error.raw_os_error(), Some(Errno::STALE.raw_os_error()));
    }

    #[test]
    fn what_is_no_regular_file_is_refused_and_nothing_blocks() {
        let Some((yard, dir)) = yard() else { return };
        mknodat(dir.fd(), "fifo", FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("made");
        fs::write(yard.path().join("file"), "text").expect("written");
        symlink("file", yard.path().join("link")).expect("made");
        fs::create_dir(yard.path().join("directory")).expect("made");
        for name in ["fifo", "link", "directory"] {
            let error = in_use(&dir, &yard.path().join(name)).expect_err(name);
            assert_eq!(error.raw_os_error(), Some(Errno::STALE.raw_os_error()), "{name}");
        }
        assert!(in_use(&dir, &yard.path().join("file")).is_ok());
    }

    /// The holder gets a signal when somebody opens the file. Were that SIGIO, this test would not end.
    #[test]
    fn who_opens_the_file_meanwhile_waits_and_nobody_is_harmed() {
        let Some((yard, dir)) = yard() else { return };
        let path = yard.path().join("file");
        fs::write(&path, "text").expect("written");
        let itself = fs::metadata(&path).expect("it exists");
        let held = Pinned::open(&dir, b"file").expect("it exists");
        held.claim().expect("nobody has it open");
        let opener = Command::new("cat").arg(&path).stdout(Stdio::piped()).spawn().expect("started");
        let wanted = format!(":{} ", itself.ino());
        let mut waits = false;
        for _ in 0..500 {
            let locks = fs::read_to_string("/proc/locks").expect("readable");
            waits = locks.lines().any(|line| line.contains("LEASE  BREAKING") && line.contains(&wanted));
            if waits {
                break;
            }
            thread::sleep(Duration::from_millis(10));
        }
        assert!(waits, "the opener was never seen to wait");
        assert!(!held.is_claimed(), "somebody wants to open it");
        drop(held);
        let output = opener.wait_with_output().expect("it goes on");
        assert!(output.status.success());
        assert_eq!(output.stdout, b"text");
    }
}
