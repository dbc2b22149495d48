//! System calls of janitor that no safe crate offers: `fcntl(F_SETLEASE)`, with the `sigaction` that it needs,
//! `sched_setscheduler` for one thread, the `ioctl` for the UUID of a file system, and `malloc_trim`. They are in a
//! separate crate so that janitor itself can forbid `unsafe`.

#![deny(unsafe_op_in_unsafe_fn)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::OnceLock;

/// Returns freed memory to the system, where the C library keeps it (glibc).
pub fn give_back_memory() {
    #[cfg(target_env = "gnu")]
    // SAFETY: `malloc_trim` takes a number, and touches nothing but free memory.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// A write lease on an open file. The lease ends when the last descriptor of that open file is closed.
#[derive(Debug)]
pub struct WriteLease<'fd> {
    fd: BorrowedFd<'fd>,
}

impl WriteLease<'_> {
    /// Returns whether the lease is still held, and nobody waits to open the file. See [`holds_write_lease`].
    #[must_use]
    pub fn is_held(&self) -> bool {
        holds_write_lease(self.fd)
    }
}

/// Returns whether a write lease is held on `fd`, and nobody waits to open the file: once somebody waits, `F_GETLEASE`
/// returns the type to which the kernel wants the lease lowered.
#[must_use]
pub fn holds_write_lease(fd: BorrowedFd<'_>) -> bool {
    // SAFETY: the descriptor is open, because it is borrowed; the command takes no argument and touches no memory.
    let held = unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_GETLEASE) };
    held == libc::F_WRLCK
}

/// Takes a write lease on the regular file that `fd` has open for reading. The kernel grants a lease only while no
/// other open file description of the inode exists, in any process: not open, not mapped, not executing, by any of its
/// names. Returns `None` when another one exists. Descriptors with `O_PATH` do not count.
///
/// While the lease is held, a process that opens the file waits (with `O_NONBLOCK`: gets `EWOULDBLOCK`), for
/// `/proc/sys/fs/lease-break-time` seconds at most. So hold it briefly, and close the descriptor.
///
/// The kernel signals an attempt to open the file to the holder by `SIGIO`, which kills a process that does not handle
/// it. So the first call makes the process ignore `SIGIO`, unless it has a handler. Choosing another signal with
/// `F_SETSIG` would cost a system call for each file.
///
/// # Errors
/// `EACCES` when the process neither owns the file nor has `CAP_LEASE`, `EINVAL` when the file is not regular or the
/// file system has no leases, and any other kernel error.
pub fn try_write_lease(fd: BorrowedFd<'_>) -> io::Result<Option<WriteLease<'_>>> {
    // The signal comes first: once the lease is there, somebody may want to open the file.
    ignore_sigio()?;
    // SAFETY: the descriptor is open, because it is borrowed. The command takes an int and touches no memory of ours.
    if unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETLEASE, libc::F_WRLCK) } == 0 {
        return Ok(Some(WriteLease { fd }));
    }
    let error = io::Error::last_os_error();
    match error.raw_os_error() {
        Some(libc::EAGAIN | libc::EBUSY | libc::ETXTBSY) => Ok(None),
        _ => Err(error),
    }
}

/// Makes the process ignore `SIGIO`, once, unless it handles that signal already.
fn ignore_sigio() -> io::Result<()> {
    static DONE: OnceLock<i32> = OnceLock::new();
    let ignore = || {
        // SAFETY: sigaction is a plain C structure, for which zeroes are a valid value.
        let mut now: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: the kernel writes the present action to `now`, which is valid for the call.
        if unsafe { libc::sigaction(libc::SIGIO, std::ptr::null(), &raw mut now) } != 0 {
            return io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL);
        }
        if now.sa_sigaction != libc::SIG_DFL {
            return 0;
        }
        now.sa_sigaction = libc::SIG_IGN;
        // SAFETY: `now` is a complete action that was read from the kernel, with the handler replaced by "ignore".
        if unsafe { libc::sigaction(libc::SIGIO, &raw const now, std::ptr::null_mut()) } != 0 {
            return io::Error::last_os_error().raw_os_error().unwrap_or(libc::EINVAL);
        }
        0
    };
    match DONE.get_or_init(ignore) {
        0 => Ok(()),
        error => Err(io::Error::from_raw_os_error(*error)),
    }
}

/// Puts the calling thread, and no other, under the policy `SCHED_IDLE`: it runs when nobody else wants the processor.
/// Threads and programs that it starts are idle, too. No privilege is needed.
///
/// # Errors
/// Fails with the kernel's error: `EPERM` where a sandbox forbids it.
pub fn become_idle() -> io::Result<()> {
    // The kernel's sched_param has only this member. The system call is used instead of the function of the C library,
    // because the one of musl always fails.
    let priority: libc::c_int = 0;
    // SAFETY: sched_setscheduler reads one int through the pointer, which is valid for the call, and keeps nothing.
    match unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, libc::SCHED_IDLE, &raw const priority) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// The `struct fsuuid2` of the kernel's `linux/fs.h`.
#[repr(C)]
struct FsUuid {
    length: u8,
    uuid: [u8; 16],
}

/// Returns the UUID of the file system that `fd` is on (`FS_IOC_GETFSUUID`, Linux 6.9), in its actual length.
///
/// # Errors
/// `ENOTTY` when the kernel is older or the file system has no UUID, and any other kernel error.
pub fn file_system_uuid(fd: BorrowedFd<'_>) -> io::Result<Vec<u8>> {
    let mut found = FsUuid { length: 0, uuid: [0; 16] };
    // SAFETY: the descriptor is open, because it is borrowed. The kernel writes one `struct fsuuid2` through the pointer,
    // which is valid for the call, and any bytes are a good `FsUuid`.
    match unsafe { libc::ioctl(fd.as_raw_fd(), libc::_IOR::<FsUuid>(0x15, 0), &raw mut found) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(found.uuid[..usize::from(found.length).min(found.uuid.len())].to_vec()),
    }
}
