//! Signals: those that the daemon acts on, and those that must not kill it.
//!
//! The handlers are installed first of all. A signal that arrives before the daemon is up is remembered: SIGHUP reloads
//! as soon as there is something to reload, a signal to stop ends the start.

use std::io;

use rustix::process::{Signal as Number, WaitOptions, wait};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Action that a signal requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// Stop: SIGTERM, SIGINT or SIGQUIT.
    Stop,
    /// Reload the config and reopen the log: SIGHUP.
    Reload,
}

/// Signals without an effect, whose default would end the process. A log that hits a size limit (SIGXFSZ) is a write
/// error, a lease that somebody breaks (SIGIO) is queried anyway, and SIGUSR1 and SIGUSR2 have a meaning for other
/// daemons only. SIGPIPE is ignored by every Rust program.
const HARMLESS: [Number; 4] = [Number::XFSZ, Number::IO, Number::USR1, Number::USR2];

/// Signals that the daemon listens to.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
    /// Ends of children, for process 1 only: it inherits the orphans of its namespace.
    child: Option<Signal>,
    /// Streams held so that their handlers stay.
    _harmless: [Signal; HARMLESS.len()],
}

impl Signals {
    /// Installs the handlers. Must be called in the context of a runtime.
    ///
    /// # Errors
    /// Fails when the system refuses a handler.
    pub fn listen() -> io::Result<Self> {
        let numbered = |number: Number| signal(SignalKind::from_raw(number.as_raw()));
        let [file_size, io, user1, user2] = HARMLESS;
        let signals = Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            hangup: signal(SignalKind::hangup())?,
            child: (std::process::id() == 1).then(|| signal(SignalKind::child())).transpose()?,
            _harmless: [numbered(file_size)?, numbered(io)?, numbered(user1)?, numbered(user2)?],
        };
        signals.reap();
        Ok(signals)
    }

    /// Waits for a signal to stop; other signals are kept for later. Cancel safe.
    pub async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.quit.recv() => {}
        }
    }

    /// Waits for the next requested action. Cancel safe.
    pub(super) async fn next(&mut self) -> Wish {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => return Wish::Stop,
                _ = self.interrupt.recv() => return Wish::Stop,
                _ = self.quit.recv() => return Wish::Stop,
                _ = self.hangup.recv() => return Wish::Reload,
                Some(_) = ended(&mut self.child) => {}
            }
            self.reap();
        }
    }

    /// Reaps every child that has ended, so that none stays a zombie. The janitor has no children of its own.
    fn reap(&self) {
        while self.child.is_some() && matches!(wait(WaitOptions::NOHANG), Ok(Some(_))) {}
    }
}

/// Waits for the end of a child, or for ever where children are not listened to.
async fn ended(child: &mut Option<Signal>) -> Option<()> {
    match child {
        Some(child) => child.recv().await,
        None => std::future::pending().await,
    }
}
