//! Idle priority for threads, and returning memory to the system.

use std::io;

/// Puts the calling thread, and no other, into the idle class: under `SCHED_IDLE` for the processor, and thereby idle
/// for the disk, because a thread without an I/O class of its own gets the class of its scheduling policy
/// (`task_nice_ioclass` in the kernel's `include/linux/ioprio.h`; ioprio_set(2) describes this for `nice`). The I/O
/// class has an effect where the disk's scheduler reads it (BFQ, mq-deadline). It has none when the janitor was started
/// with a class of its own, by `ionice` or systemd's `IOSchedulingClass=`.
///
/// No privilege is needed. Threads and programs started by the thread are idle too, and without privilege there may be
/// no way back.
///
/// # Errors
/// `EPERM` where a sandbox forbids it.
pub fn become_idle() -> io::Result<()> {
    janitor_lease::become_idle()
}

/// Returns freed memory to the system. For use after work that took much memory and is rarely done.
pub fn give_back_memory() {
    janitor_lease::give_back_memory();
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::thread;

    use super::*;

    /// The 41st field of `/proc/thread-self/stat`, see proc_pid_stat(5); SCHED_IDLE is 5.
    fn policy() -> u32 {
        let stat = fs::read_to_string("/proc/thread-self/stat").expect("readable");
        // The name of the thread, the second field, may have spaces.
        let after = stat.rsplit(')').next().expect("a part");
        after.split_whitespace().nth(38).expect("a policy").parse().expect("a number")
    }

    #[test]
    fn one_thread_becomes_idle_and_no_other() {
        let before = policy();
        assert_ne!(before, 5, "the test itself is idle");
        let idle = thread::spawn(|| {
            become_idle().expect("needs no privilege");
            become_idle().expect("and can be said twice");
            policy()
        });
        assert_eq!(idle.join().expect("no panic"), 5);
        assert_eq!(policy(), before);
        assert_eq!(thread::spawn(policy).join().expect("no panic"), before);
    }
}
