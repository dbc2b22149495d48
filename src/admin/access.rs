//! The bearer token.

use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use hyper::header::{AUTHORIZATION, HeaderMap};
use subtle::ConstantTimeEq;

use crate::fsys::{Denied, Purpose, Trust};
use crate::names::Escaped;

/// The secret that lets a caller in. It is never shown.
#[derive(Clone)]
pub struct Token(Box<[u8]>);

/// Length of the shortest token, in bytes. Shorter tokens could be guessed.
const SHORTEST: usize = 16;

/// Length of the longest token, in bytes.
const LONGEST: usize = 512;

/// Size of the largest token file, in bytes: the token and whatever white space is around it.
const LARGEST_FILE: u64 = 4096;

impl Token {
    /// Reads a token from a file, by the rule of trust: 16 to 512 visible ASCII characters, with nothing but white
    /// space around them.
    ///
    /// # Errors
    /// Fails when others could have written the file, or when the file cannot be read, is not a regular file, is open
    /// to its group or to others, or holds no token.
    pub fn read(path: &Path, trust: &Trust) -> Result<Self, TokenError> {
        let read = || -> Result<Self, Why> {
            let read = trust.file(Purpose::Token, path, None).and_then(|file| file.read(LARGEST_FILE));
            let read = read.map_err(|denied| match denied {
                Denied::TooLarge(_) => Why::Length,
                denied => Why::Denied(denied),
            })?;
            if read.mode & 0o077 != 0 {
                return Err(Why::Exposed(read.mode));
            }
            Self::new(read.bytes.trim_ascii())
        };
        read().map_err(|why| TokenError { path: path.into(), why })
    }

    /// Returns the value of an `Authorization` header that shows the token.
    #[must_use]
    pub fn bearer(&self) -> String {
        format!("Bearer {}", String::from_utf8_lossy(&self.0))
    }

    fn new(text: &[u8]) -> Result<Self, Why> {
        if !(SHORTEST..=LONGEST).contains(&text.len()) {
            return Err(Why::Length);
        }
        if !text.iter().all(u8::is_ascii_graphic) {
            return Err(Why::Characters);
        }
        Ok(Self(text.into()))
    }

    /// Returns whether `given` is this token. The time this takes does not depend on where the two differ.
    fn is(&self, given: &[u8]) -> bool {
        self.0.ct_eq(given).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[REDACTED]")
    }
}

/// Reason for which a file gives no token.
#[derive(Debug)]
pub struct TokenError {
    path: PathBuf,
    why: Why,
}

#[derive(Debug)]
enum Why {
    Denied(Denied),
    Exposed(u32),
    Length,
    Characters,
}

impl TokenError {
    /// Returns whether somebody else could have written the file.
    #[must_use]
    pub fn is_breach(&self) -> bool {
        matches!(&self.why, Why::Denied(denied) if denied.is_breach())
    }
}

impl fmt::Display for TokenError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "cannot use the token file {}: ", Escaped(self.path.as_os_str().as_bytes()))?;
        match &self.why {
            Why::Denied(Denied::Io(at, error)) if *at == self.path => write!(out, "{error}"),
            Why::Denied(Denied::NotRegular(_)) => out.write_str("it is not a regular file"),
            Why::Denied(denied) => write!(out, "{denied}"),
            Why::Exposed(mode) => {
                write!(out, "others than its owner have access to it (mode {mode:04o}); chmod it to 600")
            }
            Why::Length => write!(out, "a token has {SHORTEST} to {LONGEST} characters"),
            Why::Characters => out.write_str("a token has visible ASCII characters only, without spaces"),
        }
    }
}

impl std::error::Error for TokenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.why {
            Why::Denied(denied) => Some(denied),
            _ => None,
        }
    }
}

/// The token that is right. It is shared by the port, the socket and whoever may set another token while they are
/// served. Cheap to clone.
///
/// On loopback and on the socket, reading is open, and a request that changes something needs the daemon's user, root
/// or the token. Beyond loopback, everything needs the token; while there is no token, nobody is let in there.
#[derive(Clone, Debug)]
pub struct Access(Arc<RwLock<Option<Token>>>);

/// Credential that a caller shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shown {
    /// No Authorization header.
    Nothing,
    /// The token.
    Right,
    /// Anything else.
    Wrong,
}

impl Access {
    /// Returns the access with this token, or without any.
    #[must_use]
    pub fn new(token: Option<Token>) -> Self {
        Self(Arc::new(RwLock::new(token)))
    }

    /// Sets the token that is right from now on, or none.
    pub fn set_token(&self, token: Option<Token>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = token;
    }

    /// Returns whether there is a token at all.
    pub(super) fn has_token(&self) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Returns the credential that the headers of a request show.
    pub(super) fn shown(&self, headers: &HeaderMap) -> Shown {
        let mut given = headers.get_all(AUTHORIZATION).iter();
        let Some(first) = given.next() else { return Shown::Nothing };
        let token = self.0.read().unwrap_or_else(PoisonError::into_inner);
        match (given.next(), bearer(first.as_bytes()), &*token) {
            (None, Some(given), Some(token)) if token.is(given) => Shown::Right,
            _ => Shown::Wrong,
        }
    }
}

/// Returns the token of `Bearer TOKEN`; the scheme may be in any case, as RFC 9110 has it.
fn bearer(value: &[u8]) -> Option<&[u8]> {
    let (scheme, rest) = value.split_at_checked("Bearer ".len())?;
    scheme.eq_ignore_ascii_case(b"Bearer ").then(|| rest.trim_ascii())
}

#[cfg(test)]
mod tests;
