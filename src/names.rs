//! Names: of targets, of runs, and of files as they are shown.
//!
//! File names are bytes and may be hostile. Nothing here interprets them; [`Escaped`] only makes them fit to print.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::hash::{BuildHasher, Hasher};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Returns whether a character breaks a line, reorders it, steers a terminal or cannot be seen: the control and format
/// characters of Unicode (Cc, Cf) and its line separators (Zl, Zp).
fn is_harmful(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{890}' | '\u{891}' | '\u{8e2}'
            | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{fff9}'..='\u{fffb}' | '\u{110bd}' | '\u{110cd}' | '\u{13430}'..='\u{1343f}'
            | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0001}' | '\u{e0020}'..='\u{e007f}')
}

/// Bytes of a file name or path, printed so that one record stays one line and no two names look alike.
///
/// Printable characters stand for themselves, in any script. Control characters, line separators, bidirectional
/// overrides and other invisible characters, and the backslash, are escaped as Rust escapes them (`\n`, `\u{202e}`,
/// `\\`), bytes that are not UTF-8 as `\xFF`.
#[derive(Clone, Copy)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        for chunk in self.0.utf8_chunks() {
            for character in chunk.valid().chars() {
                match character {
                    '\\' => out.write_str("\\\\")?,
                    _ if is_harmful(character) => write!(out, "{}", character.escape_default())?,
                    _ => out.write_char(character)?,
                }
            }
            for byte in chunk.invalid() {
                write!(out, "\\x{byte:02X}")?;
            }
        }
        Ok(())
    }
}

impl Escaped<'_> {
    /// Calls `each` for every character or invalid byte, with the offset at which it ends and the length of its printed
    /// form, in bytes.
    fn each_length(bytes: &[u8], mut each: impl FnMut(usize, usize)) {
        let mut end = 0;
        for chunk in bytes.utf8_chunks() {
            for character in chunk.valid().chars() {
                end += character.len_utf8();
                each(
                    end,
                    match character {
                        '\\' => 2,
                        _ if is_harmful(character) => character.escape_default().len(),
                        _ => character.len_utf8(),
                    },
                );
            }
            for _ in chunk.invalid() {
                end += 1;
                each(end, 4);
            }
        }
    }
}

/// A path or a name, printed as [`Escaped`]. A long one is printed without its middle: `a/b/\[2555904 bytes]/y/z`. (A
/// backslash in a name is printed as two.) Otherwise, whoever may write in a target could fill the disk of the log with
/// names of which each byte is printed as six, or with a chain of directories, each line longer than the one before.
#[derive(Clone, Copy)]
pub struct Shortened<'a> {
    bytes: &'a [u8],
    /// Length in printed bytes up to which the text is shown whole.
    longest: usize,
    /// Length in printed bytes of either end, when the middle is left out.
    shown: usize,
}

impl<'a> Shortened<'a> {
    /// Shortens a path. A path that the kernel accepts and that needs no escapes is printed whole.
    #[must_use]
    pub fn path(bytes: &'a [u8]) -> Self {
        Self { bytes, longest: 4096, shown: 512 }
    }

    /// Shortens a name. A name that needs no escapes is printed whole, too.
    #[must_use]
    pub fn name(bytes: &'a [u8]) -> Self {
        Self { bytes, longest: 512, shown: 160 }
    }
}

impl fmt::Display for Shortened<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bytes, longest, shown } = *self;
        let mut length = 0;
        Escaped::each_length(bytes, |_, printed| length += printed);
        if length <= longest {
            return write!(out, "{}", Escaped(bytes));
        }
        // The cut lies between two components, where there is such a place; else between two characters.
        let (mut start, mut end) = ((0, 0), (bytes.len(), bytes.len()));
        let mut printed = 0;
        let mut at = 0;
        Escaped::each_length(bytes, |next, more| {
            let is_slash = bytes[at..next] == *b"/";
            if is_slash && printed <= shown {
                start.0 = at;
            }
            if is_slash && length - printed <= shown {
                end.0 = end.0.min(at);
            }
            if length - printed <= shown {
                end.1 = end.1.min(at);
            }
            printed += more;
            at = next;
            if printed <= shown {
                start.1 = at;
            }
        });
        let start = if start.0 > 0 { start.0 } else { start.1 };
        let end = if end.0 < bytes.len() { end.0 } else { end.1 };
        let slash = if bytes.contains(&b'/') { "/" } else { "" };
        write!(out, "{}{slash}\\[{} bytes]{}", Escaped(&bytes[..start]), end - start, Escaped(&bytes[end..]))
    }
}

/// Text made fit for one line. Characters that could break or reorder the line are escaped. Everything else stays,
/// backslashes too, so that text which already holds an [`Escaped`] name is not escaped twice.
#[derive(Clone, Copy)]
pub struct OneLine<'a>(pub &'a str);

impl fmt::Display for OneLine<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        use fmt::Write;
        for character in self.0.chars() {
            if is_harmful(character) {
                write!(out, "{}", character.escape_default())?;
            } else {
                out.write_char(character)?;
            }
        }
        Ok(())
    }
}

/// The name of a target: unique in a config, shown in the log, used in routes and on the command line.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetName(Arc<str>);

impl TargetName {
    /// Length of the longest name, in bytes.
    pub const MAX: usize = 100;

    /// Checks that a name can stand in a log line and in a URL, and returns it as a target's name.
    ///
    /// # Errors
    /// Fails, with the reason in words, when the name is empty, longer than [`TargetName::MAX`], starts or ends with
    /// white space, holds a slash or a character that would have to be escaped in a log line, or is `janitor`, which
    /// the daemon's own log lines carry.
    pub fn new(text: &str) -> Result<Self, String> {
        if text.is_empty() {
            return Err("a target's name cannot be empty".into());
        }
        if text.len() > Self::MAX {
            return Err(format!("a target's name can have {} bytes at most", Self::MAX));
        }
        if text.trim() != text {
            return Err("a target's name cannot start or end with white space".into());
        }
        if text.contains('/') {
            return Err("a target's name cannot hold a `/`".into());
        }
        if OneLine(text).to_string() != text {
            return Err("a target's name cannot hold control or invisible characters".into());
        }
        if text == "janitor" {
            return Err("`janitor` is the name of the daemon's own log lines; choose another".into());
        }
        Ok(Self(text.into()))
    }

    /// Returns the name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TargetName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

impl fmt::Debug for TargetName {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&*self.0, out)
    }
}

impl std::borrow::Borrow<str> for TargetName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl Serialize for TargetName {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TargetName {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Self::new(&String::deserialize(from)?).map_err(serde::de::Error::custom)
    }
}

/// The id of one run: the time at which it began, in UTC, and eight random hexadecimal digits:
/// `20240925T000000Z-3f9a2c1b`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RunId(Arc<str>);

impl RunId {
    /// Returns a new id for a run that begins at `now`.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        // A fresh RandomState is keyed by the system's random numbers: enough for an id that only has to be unique.
        let random = RandomState::new().build_hasher().finish() as u32;
        Self(format!("{}-{random:08x}", now.strftime("%Y%m%dT%H%M%SZ")).into())
    }

    /// Parses an id that somebody has written; `None` when the text is not an id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let shape = |(at, byte): (usize, u8)| match at {
            8 => byte == b'T',
            15 => byte == b'Z',
            16 => byte == b'-',
            17.. => byte.is_ascii_hexdigit(),
            _ => byte.is_ascii_digit(),
        };
        (text.len() == 25 && text.bytes().enumerate().all(shape)).then(|| Self(text.into()))
    }

    /// Returns the id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Serialize for RunId {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RunId {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("not the id of a run"))
    }
}

impl fmt::Display for RunId {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hostile_name_prints_on_one_line_and_unambiguously() {
        for (name, shown) in [
            (&b"plain.png"[..], "plain.png"),
            (b"it's \"fine\".png", "it's \"fine\".png"),
            (b"a\nb", "a\\nb"),
            (b"a\\nb", "a\\\\nb"),
            (b"\x1b[31m", "\\u{1b}[31m"),
            (b"x\xff", "x\\xFF"),
            ("a\u{202e}b".as_bytes(), "a\\u{202e}b"),
            ("grün".as_bytes(), "grün"),
            ("cafe\u{301} हिन्दी".as_bytes(), "cafe\u{301} हिन्दी"),
            ("zero\u{200b}width".as_bytes(), "zero\\u{200b}width"),
        ] {
            assert_eq!(Escaped(name).to_string(), shown);
        }
    }

    #[test]
    fn what_would_be_long_is_printed_without_its_middle() {
        let whole = vec!["d".repeat(255); 16].join("/");
        assert_eq!(Shortened::path(whole.as_bytes()).to_string(), whole);
        assert_eq!(Shortened::name("ü".repeat(127).as_bytes()).to_string(), "ü".repeat(127));
        let hostile = "\u{1b}".repeat(255);
        let name = Shortened::name(hostile.as_bytes()).to_string();
        assert_eq!(name, format!("{0}\\[203 bytes]{0}", "\\u{1b}".repeat(26)));
        let not_utf8 = Shortened::name(&[0xff; 255]).to_string();
        assert_eq!(not_utf8, format!("{0}\\[175 bytes]{0}", "\\xFF".repeat(40)));
        let deep = vec![hostile; 4].join("/");
        let path = Shortened::path(deep.as_bytes()).to_string();
        assert!(path.len() < 1100 && path.contains("bytes]"), "{path}");
    }

    #[test]
    fn text_for_one_line_keeps_what_is_escaped_already() {
        assert_eq!(OneLine("a\\nb\nc").to_string(), "a\\nb\\nc");
    }

    #[test]
    fn a_target_name_fits_a_log_line_and_a_url() {
        for good in ["marked_images", "Bilder 2024", "a-b.c"] {
            assert!(TargetName::new(good).is_ok(), "{good}");
        }
        for bad in ["", " a", "a/b", "a\nb", "a\u{202e}", "janitor", &"x".repeat(101)] {
            assert!(TargetName::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn run_ids_of_one_instant_differ() {
        let now = Timestamp::UNIX_EPOCH;
        let (one, two) = (RunId::new(now), RunId::new(now));
        assert_ne!(one, two);
        assert_eq!(RunId::parse(one.as_str()), Some(one.clone()));
        for bad in ["", "19700101T000000Z-0123456", "19700101T000000Z-0123456g", "../../../../../../etc/pass"] {
            assert_eq!(RunId::parse(bad), None, "{bad}");
        }
        assert!(one.as_str().starts_with("19700101T000000Z-"), "{one}");
    }
}
