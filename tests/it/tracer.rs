//! A program that is held at each of its system calls (ptrace), so that it can be killed at any one of them, and so that
//! somebody else can do something just before.
//!
//! strace counts the calls of each thread for itself, so a call of the thread that sweeps could not be told from one of
//! the thread that started it. Here all threads are counted together.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Write;
use std::os::unix::ffi::OsStringExt;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::yard::{JANITOR, Yard};

/// A system call that is about to be made.
#[derive(Debug)]
pub struct Call {
    thread: Pid,
    number: i64,
    arguments: [u64; 6],
}

/// What becomes of the program.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It makes the call.
    GoOn,
    /// It is killed before it makes it.
    Kill,
}

/// The calls that are counted by name.
const NAMES: [(i64, &str); 29] = [
    (libc::SYS_openat, "openat"),
    (libc::SYS_openat2, "openat2"),
    (libc::SYS_close, "close"),
    (libc::SYS_read, "read"),
    (libc::SYS_write, "write"),
    (libc::SYS_pread64, "pread64"),
    (libc::SYS_pwrite64, "pwrite64"),
    (libc::SYS_fsync, "fsync"),
    (libc::SYS_fdatasync, "fdatasync"),
    (libc::SYS_ftruncate, "ftruncate"),
    (libc::SYS_renameat2, "renameat2"),
    (libc::SYS_unlinkat, "unlinkat"),
    (libc::SYS_mkdirat, "mkdirat"),
    (libc::SYS_linkat, "linkat"),
    (libc::SYS_statx, "statx"),
    (libc::SYS_newfstatat, "newfstatat"),
    (libc::SYS_fstat, "fstat"),
    (libc::SYS_getdents64, "getdents64"),
    (libc::SYS_flock, "flock"),
    (libc::SYS_fcntl, "fcntl"),
    (libc::SYS_lseek, "lseek"),
    (libc::SYS_mmap, "mmap"),
    (libc::SYS_munmap, "munmap"),
    (libc::SYS_futex, "futex"),
    (libc::SYS_clone3, "clone3"),
    (libc::SYS_geteuid, "geteuid"),
    (libc::SYS_fchmod, "fchmod"),
    (libc::SYS_fchmodat, "fchmodat"),
    (libc::SYS_landlock_restrict_self, "landlock_restrict_self"),
];

impl Call {
    /// Its name; `other` for those of which there are few, or that have nothing to do with files.
    pub fn name(&self) -> &'static str {
        NAMES.iter().find(|(number, _)| *number == self.number).map_or("other", |(_, name)| name)
    }

    fn text(&self, at: u64) -> Vec<u8> {
        let mut text = vec![0; 4096];
        let memory = File::open(format!("/proc/{}/mem", self.thread)).expect("it is held");
        let read = memory.read_at(&mut text, at).unwrap_or(0);
        text.truncate(text[..read].iter().position(|byte| *byte == 0).unwrap_or(read));
        text
    }

    /// The directory and the name that something is renamed from, if it is renamed by this.
    pub fn renames(&self) -> Option<(PathBuf, OsString)> {
        (self.number == libc::SYS_renameat2).then(|| {
            let handle = format!("/proc/{}/fd/{}", self.thread, self.arguments[0]);
            (std::fs::read_link(handle).expect("it is open"), OsString::from_vec(self.text(self.arguments[1])))
        })
    }

    /// Whether it can change a file: it opens one to write, makes one, or does it by name. Before the first of these
    /// nothing has been done, so that one is the first that it is worth while to be killed at.
    pub fn may_change(&self) -> bool {
        let flags = |argument: usize| i32::try_from(self.arguments[argument] & 0xffff_ffff).unwrap_or(0);
        match self.number {
            libc::SYS_openat => {
                flags(2) & (libc::O_WRONLY | libc::O_RDWR | libc::O_CREAT) != 0
                    && !self.text(self.arguments[1]).starts_with(b"/dev/")
            }
            libc::SYS_mkdirat | libc::SYS_renameat2 | libc::SYS_unlinkat | libc::SYS_linkat => true,
            #[cfg(target_arch = "x86_64")]
            libc::SYS_mkdir | libc::SYS_rename | libc::SYS_unlink | libc::SYS_rmdir | libc::SYS_link => true,
            _ => false,
        }
    }
}

#[cfg(target_arch = "x86_64")]
fn call_of(thread: Pid) -> nix::Result<Call> {
    let registers = ptrace::getregs(thread)?;
    let arguments = [registers.rdi, registers.rsi, registers.rdx, registers.r10, registers.r8, registers.r9];
    Ok(Call { thread, number: registers.orig_rax.cast_signed(), arguments })
}

#[cfg(target_arch = "aarch64")]
fn call_of(thread: Pid) -> nix::Result<Call> {
    let registers = ptrace::getregs(thread)?;
    let arguments = std::array::from_fn(|argument| registers.regs[argument]);
    Ok(Call { thread, number: registers.regs[8].cast_signed(), arguments })
}

/// Runs the program in a yard, and asks before each system call that any of its threads makes. Whether it ended by
/// itself, or was killed.
pub fn traced(yard: &Yard, arguments: &[String], mut before: impl FnMut(&Call) -> Then) -> Then {
    // It waits for a line until it is held.
    let mut command = Command::new("sh");
    command.args(["-c", "read line && exec \"$@\" </dev/null", "sh", JANITOR]).args(arguments);
    command.current_dir(yard.path("")).env("TZ", "UTC").env("HOME", "/nonexistent");
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
    #[expect(clippy::zombie_processes, reason = "it is waited for below, by its number")]
    let mut child = command.spawn().expect("sh runs");
    let leader = Pid::from_raw(i32::try_from(child.id()).expect("a process id"));
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(leader, options).expect("our child");
    child.stdin.take().expect("piped").write_all(b"\n").expect("it reads");
    let mut then = Then::GoOn;
    let mut runs = false;
    loop {
        // Other tests have children too.
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        let (thread, signal) = match waitpid(Pid::from_raw(-1), Some(flags)) {
            Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, _, _)) if pid == leader => return then,
            Ok(WaitStatus::PtraceEvent(pid, _, event)) => {
                runs |= event == libc::PTRACE_EVENT_EXEC;
                (pid, None)
            }
            Ok(WaitStatus::PtraceSyscall(pid)) => {
                let enters = ptrace::syscall_info(pid).is_ok_and(|info| info.op == libc::PTRACE_SYSCALL_INFO_ENTRY);
                if runs
                    && enters
                    && then == Then::GoOn
                    && let Ok(call) = call_of(pid)
                {
                    then = before(&call);
                    if then == Then::Kill {
                        kill(leader, Signal::SIGKILL).expect("our child");
                    }
                }
                (pid, None)
            }
            Ok(WaitStatus::Stopped(pid, signal)) => (pid, Some(signal)),
            Ok(_) | Err(Errno::EINTR) => continue,
            Err(error) => panic!("waiting for the program that is held: {error}"),
        };
        // A thread that was killed meanwhile is not there.
        _ = ptrace::syscall(thread, signal);
    }
}

/// How often each call was made.
pub type Calls = BTreeMap<&'static str, usize>;

/// The same, but it is killed at the call number `point` of those from the first that can change anything; with
/// `usize::MAX` at none. How many of these calls there were, by name, and whether it was killed.
pub fn killed_at(yard: &Yard, arguments: &[String], point: usize, mut before: impl FnMut(&Call)) -> (Calls, Then) {
    let mut calls = Calls::new();
    let mut count = 0;
    let then = traced(yard, arguments, |call| {
        if count == 0 && !call.may_change() {
            return Then::GoOn;
        }
        before(call);
        if count == point {
            return Then::Kill;
        }
        count += 1;
        *calls.entry(call.name()).or_default() += 1;
        Then::GoOn
    });
    (calls, then)
}
