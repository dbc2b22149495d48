//! The two system calls of janitor that no safe crate offers: `fcntl(F_SETLEASE)` and `sched_setscheduler` for one
//! thread. They are in a crate of their own so that janitor itself can forbid `unsafe`.

#![deny(unsafe_op_in_unsafe_fn)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// From the kernel's `asm-generic/fcntl.h`: the libc crate has it not. Only parisc has another number.
const F_SETSIG: libc::c_int = 10;

/// A write lease that is held. Dropping it releases it.
#[derive(Debug)]
pub struct WriteLease<'fd> {
    fd: BorrowedFd<'fd>,
}

impl WriteLease<'_> {
    /// Whether it is held still, and nobody waits to open the file. Once somebody does, the kernel says here that it
    /// wants the lease back.
    #[must_use]
    pub fn is_held(&self) -> bool {
        // SAFETY: the descriptor is open, because it is borrowed; the command takes no argument and touches no memory.
        let held = unsafe { libc::fcntl(self.fd.as_raw_fd(), libc::F_GETLEASE) };
        held == libc::F_WRLCK
    }
}

impl Drop for WriteLease<'_> {
    fn drop(&mut self) {
        // Closing the descriptor releases it too, but not while a child that was forked meanwhile has a copy of it, and
        // somebody may be waiting. An unlock that fails has nothing left to unlock.
        fcntl(self.fd, libc::F_SETLEASE, libc::F_UNLCK).ok();
    }
}

/// Takes a write lease on the regular file that `fd` has open for reading. The kernel gives one only while no other
/// open file description of the inode exists, in any process: not open, not mapped, not executing, by any of its names.
/// `None` means that there is one. Descriptors with `O_PATH` do not count.
///
/// While it is held, whoever opens the file waits (with `O_NONBLOCK`: gets `EWOULDBLOCK`), at the most
/// `/proc/sys/fs/lease-break-time` seconds. So hold it shortly.
///
/// The kernel tells the holder of a wish to open by `SIGIO`, which kills a process that does not handle it. This asks
/// for `SIGURG` on this descriptor instead, whose default is to be ignored (signal(7)). Ignoring `SIGIO` would do as
/// well, but that is a setting of the whole process: others may change it, and programs that are started inherit it.
///
/// # Errors
/// `EACCES` when the process neither owns the file nor has `CAP_LEASE`, `EINVAL` where it is no regular file or the
/// file system has no leases, and what else the kernel says.
pub fn try_write_lease(fd: BorrowedFd<'_>) -> io::Result<Option<WriteLease<'_>>> {
    // First the signal: from the moment the lease is there somebody may want to open the file.
    fcntl(fd, F_SETSIG, libc::SIGURG)?;
    match fcntl(fd, libc::F_SETLEASE, libc::F_WRLCK) {
        Ok(()) => Ok(Some(WriteLease { fd })),
        Err(error) if matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EBUSY | libc::ETXTBSY)) => Ok(None),
        Err(error) => Err(error),
    }
}

fn fcntl(fd: BorrowedFd<'_>, command: libc::c_int, argument: libc::c_int) -> io::Result<()> {
    // SAFETY: the descriptor is open, because it is borrowed. The commands used here (F_SETSIG, F_SETLEASE) take an int
    // and touch no memory of ours.
    match unsafe { libc::fcntl(fd.as_raw_fd(), command, argument) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Puts the calling thread, and no other, under the policy `SCHED_IDLE`: it runs when nobody else wants the processor.
/// Threads and programs that it starts are idle too. It needs no privilege.
///
/// # Errors
/// What the kernel says: `EPERM` where a sandbox forbids it.
pub fn become_idle() -> io::Result<()> {
    // The kernel's sched_param has this one member. The system call is used and not the function of the C library,
    // because that of musl always fails.
    let priority: libc::c_int = 0;
    // SAFETY: sched_setscheduler reads one int through the pointer, which is valid for the call, and keeps nothing.
    match unsafe { libc::syscall(libc::SYS_sched_setscheduler, 0, libc::SCHED_IDLE, &raw const priority) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
