//! Printing, to a standard output that may be closed at any time.

use std::fmt::Display;
use std::io::{self, ErrorKind, Write};

use super::{Done, Exit};
use crate::names::OneLine;

/// Prints to the standard output as it is.
pub(super) fn print(text: &str) -> Done {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        // The reader has seen enough: `janitor next | head -1`.
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Exit::Ok),
        Err(error) => {
            complain(format_args!("cannot print: {error}"));
            Err(Exit::Failed)
        }
    }
}

/// Prints one line.
pub(super) fn line(text: impl Display) -> Done {
    print(&format!("{text}\n"))
}

/// Prints one line of text that may come from elsewhere, made harmless for a terminal.
pub(super) fn foreign(text: &str) -> Done {
    line(OneLine(text))
}

/// Prints JSON.
pub(super) fn json(value: &serde_json::Value) -> Done {
    line(format_args!("{value:#}"))
}

/// Reports what went wrong, on stderr.
pub(super) fn complain(message: impl Display) {
    // Where stderr is gone, the exit code has to do.
    _ = writeln!(io::stderr(), "janitor: {message}");
}
