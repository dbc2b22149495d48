//! Reading the config file.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use crate::fsys::{Denied, Purpose, Trust};
use crate::names::Escaped;

/// Most bytes of a config file.
const MAX_BYTES: u64 = 4 << 20;

/// Reason why a config cannot be read.
#[derive(Debug)]
pub struct ReadError {
    path: PathBuf,
    why: Why,
}

#[derive(Debug)]
enum Why {
    Denied(Denied),
    NotText {
        /// Line of the first wrong byte, from 1.
        line: usize,
        /// Offset of the first wrong byte in the file, from 0.
        byte: usize,
    },
}

impl ReadError {
    /// Returns whether the file does not exist.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(&self.why, Why::Denied(denied) if denied.is_missing())
    }
}

impl fmt::Display for ReadError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = Escaped(self.path.as_os_str().as_bytes());
        match &self.why {
            Why::Denied(Denied::Io(at, error)) if *at == self.path => {
                write!(out, "cannot read the config `{path}`: {error}")
            }
            Why::Denied(Denied::NotRegular(_)) => write!(out, "the config `{path}` is not a regular file"),
            Why::Denied(Denied::TooLarge(_)) => {
                write!(out, "the config `{path}` has more than {} MiB", MAX_BYTES >> 20)
            }
            Why::Denied(denied @ Denied::Breach(_)) => write!(out, "the config `{path}` is not trusted: {denied}"),
            Why::Denied(denied) => write!(out, "cannot read the config `{path}`: {denied}"),
            Why::NotText { line, byte } => {
                write!(out, "the config `{path}` is not UTF-8 text (line {line}, byte {byte})")
            }
        }
    }
}

impl std::error::Error for ReadError {}

/// A config file that was read.
#[derive(Debug)]
pub struct ReadConfig {
    /// Text of the file.
    pub text: String,
    /// Breaches of the rule of trust that are warnings, in words.
    pub warnings: Vec<String>,
}

/// Reads a config file, by the rule of trust ([`crate::fsys::Trust`]).
///
/// # Errors
/// Fails when others could have written the file, when it cannot be read, or when it is not a regular file of at most 4
/// MiB of UTF-8.
pub fn read(path: &Path) -> Result<ReadConfig, ReadError> {
    let failed = |why| ReadError { path: path.to_path_buf(), why };
    let file = Trust::of_process().file(Purpose::Config, path, None);
    let read = file.and_then(|file| file.read(MAX_BYTES)).map_err(|denied| failed(Why::Denied(denied)))?;
    let shown = Escaped(path.as_os_str().as_bytes());
    let warnings = read.warnings.iter().map(|breach| format!("the config `{shown}` may not be trusted: {breach}"));
    let warnings = warnings.collect();
    let text = String::from_utf8(read.bytes).map_err(|error| {
        let byte = error.utf8_error().valid_up_to();
        let line = error.as_bytes()[..byte].iter().filter(|byte| **byte == b'\n').count() + 1;
        failed(Why::NotText { line, byte })
    })?;
    Ok(ReadConfig { text, warnings })
}
