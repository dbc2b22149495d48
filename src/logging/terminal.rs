//! The terminal: stderr, which may be a pipe that nobody reads.

use std::io::{self, Write};
use std::sync::{Mutex, PoisonError};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Time that a record waits for a terminal that was not stuck before.
const PATIENCE: Timespec = Timespec { tv_sec: 1, tv_nsec: 0 };
const NOT_AT_ALL: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// Size in bytes of a write that fits into a pipe that says it has room, by `PIPE_BUF` of pipe(7), so that writing does
/// not wait.
const PIECE: usize = 4096;

/// Writer of lines to stderr, which does without stderr while nobody reads there: a terminal that was stopped with
/// Ctrl-S, or a journal that hangs, must not stop the sweeping.
#[derive(Debug, Default)]
pub(super) struct TerminalWriter {
    /// Number of lines that were not shown since stderr got stuck; 0 while it is not stuck.
    missed: Mutex<u64>,
}

impl TerminalWriter {
    /// Shows a line. `note` makes the line that says how many lines were not shown before it.
    pub(super) fn show(&self, line: &str, note: impl FnOnce(u64) -> String) {
        let mut missed = self.missed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut text = String::with_capacity(line.len() + 1);
        if *missed > 0 {
            text = note(*missed) + "\n";
        }
        text.push_str(line);
        text.push('\n');
        let patience = if *missed == 0 { PATIENCE } else { NOT_AT_ALL };
        if write(text.as_bytes(), patience) {
            *missed = 0;
        } else {
            *missed += 1;
        }
    }
}

/// Writes to stderr. Returns whether everything was written. A terminal that is gone counts as one that shows
/// everything: nobody misses the lines.
fn write(bytes: &[u8], patience: Timespec) -> bool {
    let mut stderr = io::stderr();
    for piece in bytes.chunks(PIECE) {
        let mut rest = piece;
        while !rest.is_empty() {
            match poll(&mut [PollFd::new(&stderr, PollFlags::OUT)], Some(&patience)) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(rustix::io::Errno::INTR) => continue,
                Err(_) => return true,
            }
            match stderr.write(rest) {
                Ok(count) => rest = rest.get(count..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return false,
                Err(_) => return true,
            }
        }
    }
    true
}
