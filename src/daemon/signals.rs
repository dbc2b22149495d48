//! Signals: what the daemon does on them, and which must not kill it.
//!
//! The handlers are installed before anything else is done. A signal that comes before the daemon is up is remembered: a
//! SIGHUP is a reload as soon as there is something to reload, a stop ends the start.

use std::io;

use rustix::process::{Signal as Number, WaitOptions, wait};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// What a signal asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wish {
    /// SIGTERM, SIGINT, SIGQUIT: stop.
    Stop,
    /// SIGHUP: read the config again, and open the log anew.
    Reload,
}

/// Signals without an effect, whose default would be to end the process: a log that hits a size limit (SIGXFSZ) is a
/// write error, a lease that somebody breaks (SIGIO) is asked for anyway, and SIGUSR1 and SIGUSR2 mean something to other
/// daemons only. SIGPIPE is ignored by every Rust program.
const HARMLESS: [Number; 4] = [Number::XFSZ, Number::IO, Number::USR1, Number::USR2];

/// The signals that the daemon listens to.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    quit: Signal,
    hangup: Signal,
    /// Children that ended, of process 1 only: it inherits the orphans of its namespace.
    child: Option<Signal>,
    /// Held so that their handlers stay.
    _harmless: [Signal; HARMLESS.len()],
}

impl Signals {
    /// Installs the handlers. Called in the context of a runtime.
    ///
    /// # Errors
    /// When the system refuses a handler.
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

    /// Waits for a signal that says stop; others are kept for later. Cancel safe.
    pub async fn stop(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = self.quit.recv() => {}
        }
    }

    /// The next wish. Cancel safe.
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

    /// Takes note of the end of every child, so that none stays a zombie. The janitor has no children of its own.
    fn reap(&self) {
        while self.child.is_some() && matches!(wait(WaitOptions::NOHANG), Ok(Some(_))) {}
    }
}

/// Waits for the end of a child, where that is listened to.
async fn ended(child: &mut Option<Signal>) -> Option<()> {
    match child {
        Some(child) => child.recv().await,
        None => std::future::pending().await,
    }
}
