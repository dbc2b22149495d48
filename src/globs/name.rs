//! Matching of one name.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};

use super::GlobError;
use super::syntax::{self, Part, Piece};

/// Matcher for one name. The frequent forms need no regular expression.
#[derive(Clone)]
pub(super) enum NameMatcher {
    All,
    Literal(Box<[u8]>),
    /// `*.tmp`
    Suffix(Box<[u8]>),
    /// `core.*`
    Prefix(Box<[u8]>),
    Glob {
        bytes: Box<GlobMatcher>,
        /// Pieces of the pattern, if one of them matches one character: that is one byte to `bytes`, which is the same
        /// in ASCII alone.
        characters: Option<Box<[Piece]>>,
    },
}

impl NameMatcher {
    /// Compiles `text`, which was read as `pieces`.
    pub(super) fn new(text: &str, pieces: Vec<Piece>) -> Result<Self, GlobError> {
        let literal = |pieces: &[Piece]| -> Option<Box<[u8]>> {
            let character = |piece: &Piece| match piece {
                Piece::Literal(character) => Some(*character),
                _ => None,
            };
            let literal = pieces.iter().map(character).collect::<Option<String>>()?;
            Some(literal.into_bytes().into())
        };
        match pieces.as_slice() {
            [Piece::Star] => return Ok(Self::All),
            [Piece::Star, rest @ ..] if let Some(suffix) = literal(rest) => return Ok(Self::Suffix(suffix)),
            [rest @ .., Piece::Star] if let Some(prefix) = literal(rest) => return Ok(Self::Prefix(prefix)),
            pieces if let Some(name) = literal(pieces) => return Ok(Self::Literal(name)),
            _ => {}
        }
        let characters = counts_characters(&pieces).then(|| pieces.into());
        Ok(Self::Glob { bytes: glob(text, false)?, characters })
    }

    /// Compiles a pattern for names of ASCII, whatever the case of their letters.
    pub(super) fn ignoring_case(text: &str, pieces: Vec<Piece>) -> Result<Self, GlobError> {
        match Self::new(text, pieces)? {
            Self::Glob { .. } => {
                let bytes = glob(text, true)?;
                Ok(Self::Glob { bytes, characters: None })
            }
            plain => Ok(plain),
        }
    }

    /// Returns whether a matcher that [`Self::ignoring_case`] made matches a name of ASCII.
    pub(super) fn matches_ignoring_case(&self, name: &[u8]) -> bool {
        let has_at = |part: &[u8], at: Option<usize>| {
            at.and_then(|at| name.get(at..at + part.len())).is_some_and(|found| found.eq_ignore_ascii_case(part))
        };
        match self {
            Self::All => true,
            Self::Literal(literal) => name.eq_ignore_ascii_case(literal),
            Self::Suffix(suffix) => has_at(suffix, name.len().checked_sub(suffix.len())),
            Self::Prefix(prefix) => has_at(prefix, Some(0)),
            Self::Glob { bytes, .. } => bytes.is_match(Path::new(OsStr::from_bytes(name))),
        }
    }

    pub(super) fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Literal(literal) => **literal == *name,
            Self::Suffix(suffix) => name.ends_with(suffix),
            Self::Prefix(prefix) => name.starts_with(prefix),
            Self::Glob { characters: Some(pieces), .. }
                if !name.is_ascii()
                    && let Ok(name) = std::str::from_utf8(name) =>
            {
                matches_characters(pieces, &name.chars().collect::<Vec<_>>())
            }
            Self::Glob { bytes, .. } => bytes.is_match(Path::new(OsStr::from_bytes(name))),
        }
    }
}

fn glob(text: &str, ignores_case: bool) -> Result<Box<GlobMatcher>, GlobError> {
    let mut glob = GlobBuilder::new(text);
    glob.literal_separator(true).backslash_escape(true).empty_alternates(true).case_insensitive(ignores_case);
    match glob.build() {
        Ok(glob) => Ok(Box::new(glob.compile_matcher())),
        Err(error) => Err(GlobError { span: 0..text.len(), message: error.kind().to_string(), help: None }),
    }
}

/// Matcher for one name, for the built-in excludes.
pub(super) struct SingleName(NameMatcher);

impl SingleName {
    pub(super) fn new(text: &str) -> Option<Self> {
        match syntax::parse(text).ok()?.pop()? {
            (_, Part::Name(pieces)) => NameMatcher::new(text, pieces).ok().map(Self),
            (_, Part::Any) => None,
        }
    }

    pub(super) fn matches(&self, name: &[u8]) -> bool {
        self.0.matches(name)
    }
}

/// Returns whether a piece matches a character that may be several bytes.
fn counts_characters(pieces: &[Piece]) -> bool {
    pieces.iter().any(|piece| match piece {
        Piece::One => true,
        Piece::Class { negated, .. } => *negated,
        Piece::Either(all) => all.iter().any(|pieces| counts_characters(pieces)),
        Piece::Literal(_) | Piece::Star => false,
    })
}

/// Returns whether the pieces match all of a name, character by character.
pub(super) fn matches_characters(pieces: &[Piece], name: &[char]) -> bool {
    let mut start = vec![false; name.len() + 1];
    start[0] = true;
    after(pieces, name, start)[name.len()]
}

/// Returns the positions in the name where the pieces can end, by those where they can begin.
fn after(pieces: &[Piece], name: &[char], begin: Vec<bool>) -> Vec<bool> {
    pieces.iter().fold(begin, |begin, piece| {
        let one = |is: &dyn Fn(char) -> bool| {
            let ends = name.iter().zip(&begin).map(|(character, begins)| *begins && is(*character));
            std::iter::once(false).chain(ends).collect()
        };
        match piece {
            Piece::One => one(&|_| true),
            Piece::Literal(wanted) => one(&|character| character == *wanted),
            Piece::Class { negated, members } => {
                one(&|character| members.iter().any(|(low, high)| (*low..=*high).contains(&character)) != *negated)
            }
            Piece::Star => {
                let reached = |any: &mut bool, begins: &bool| {
                    *any |= *begins;
                    Some(*any)
                };
                begin.iter().scan(false, reached).collect()
            }
            Piece::Either(all) => {
                let none = vec![false; begin.len()];
                all.iter().fold(none, |ends, pieces| {
                    let more = after(pieces, name, begin.clone());
                    ends.iter().zip(more).map(|(one, other)| *one || other).collect()
                })
            }
        }
    })
}
