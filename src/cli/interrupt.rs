//! Interruption: `janitor clean` stops between two files and still tells what it did.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use rustix::process::Signal;
use signal_hook::flag;

use super::Exit;
use crate::sweep::Control;

/// Signals that stop a sweep between two files, and the exit code after each. SIGQUIT keeps its default, as the way to
/// end the process at once; the usual wrappers may pass the others on twice.
const STOP: [(Signal, Exit); 3] =
    [(Signal::HUP, Exit::HungUp), (Signal::INT, Exit::Interrupted), (Signal::TERM, Exit::Terminated)];

/// Signals that were caught. They are caught until the process ends.
#[derive(Debug)]
pub(super) struct Interrupts {
    /// Number of the last signal; 0 before there was any.
    caught: Arc<AtomicUsize>,
}

impl Interrupts {
    /// Installs the handlers. A signal that the process was started to ignore (`nohup`, a job in the background) stays
    /// ignored.
    ///
    /// # Errors
    /// Fails when the system refuses a handler.
    pub(super) fn catch() -> io::Result<Self> {
        let caught = Arc::new(AtomicUsize::new(0));
        // A log that has reached a size limit is a write error, not the end of the process.
        flag::register(Signal::XFSZ.as_raw(), Arc::new(AtomicBool::new(false)))?;
        let ignored = ignored();
        for (signal, _) in STOP {
            let number = signal.as_raw();
            if ignored & (1 << (number - 1)) == 0 {
                flag::register_usize(number, caught.clone(), usize::try_from(number).unwrap_or(usize::MAX))?;
            }
        }
        Ok(Self { caught })
    }

    /// Returns a control that cancels its sweep when a signal is caught.
    pub(super) fn control(&self) -> Control {
        Control::watching(self.caught.clone())
    }

    /// Returns the exit code after the signal that was caught, if one was.
    pub(super) fn exit(&self) -> Option<Exit> {
        let caught = self.caught.load(Ordering::Relaxed);
        let of = |(signal, _): &&(Signal, Exit)| usize::try_from(signal.as_raw()).is_ok_and(|number| number == caught);
        STOP.iter().find(of).map(|(_, exit)| *exit)
    }
}

/// Returns the signals that this process ignores, as a mask: `SigIgn` of proc(5).
fn ignored() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
