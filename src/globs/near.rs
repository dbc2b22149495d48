//! Excludes that miss: they would name a path if its letters were of another case, or written in another Unicode form.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use unicode_normalization::UnicodeNormalization as _;

use super::Globs;
use super::name::{NameMatcher, matches_characters};
use super::syntax::{self, Part, Piece};

/// Excludes of one policy, as they are compared with paths that they do not name.
#[derive(Debug, Default)]
pub struct NearMisses(Vec<Near>);

/// Difference of a path from the paths that an exclude names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Difference {
    /// Only the Unicode form: `é` as one character, or as two.
    Form,
    /// The case of letters.
    Case,
}

impl fmt::Display for Difference {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(match self {
            Self::Form => "only in its Unicode form",
            Self::Case => "only in the case of its letters",
        })
    }
}

struct Near {
    text: Arc<str>,
    /// Parts of the pattern, folded for each comparison.
    parts: Vec<Part>,
    /// Matcher of the last part, for names of ASCII.
    last: NameMatcher,
    directories_only: bool,
    /// Whether the exclude holds at any depth.
    anywhere: bool,
    /// Whether nothing more is to be found out about the exclude.
    is_settled: AtomicBool,
}

impl NearMisses {
    /// Returns the excludes of a policy.
    #[must_use]
    pub fn new(globs: &Globs) -> Self {
        Self(globs.exclude.iter().filter_map(|exclude| Near::new(&exclude.text)).collect())
    }

    /// Notes that an exclude named something, and so does not miss.
    pub fn settle(&self, exclude: &str) {
        if let Some(near) = self.0.iter().find(|near| &*near.text == exclude) {
            near.is_settled.store(true, Ordering::Relaxed);
        }
    }

    /// Returns an exclude that almost names this entry of a directory, which no exclude names. Each exclude is returned
    /// once.
    pub fn missed(&self, directory: &[u8], name: &[u8], is_directory: bool) -> Option<(Arc<str>, Difference)> {
        let near = self.0.iter().find(|near| near.almost(directory, name, is_directory))?;
        near.is_settled.store(true, Ordering::Relaxed);
        let is_form = near.names(directory, name, composed);
        Some((near.text.clone(), if is_form { Difference::Form } else { Difference::Case }))
    }
}

impl Near {
    fn new(text: &Arc<str>) -> Option<Self> {
        let body = text.strip_suffix('/').unwrap_or(text);
        let mut parts = syntax::parse(body).ok()?;
        let anywhere = parts.len() == 1;
        let mut directories_only = body.len() < text.len();
        // An exclude of everything below a directory almost names that where it almost names the directory.
        while matches!(parts.last(), Some((_, Part::Any))) {
            parts.pop();
            directories_only = true;
        }
        let Some((span, Part::Name(last))) = parts.last() else { return None };
        let last = NameMatcher::ignoring_case(&body[span.clone()], last.clone()).ok()?;
        let parts = parts.into_iter().map(|(_, part)| part).collect();
        Some(Self { text: text.clone(), parts, last, directories_only, anywhere, is_settled: AtomicBool::new(false) })
    }

    fn almost(&self, directory: &[u8], name: &[u8], is_directory: bool) -> bool {
        if self.is_settled.load(Ordering::Relaxed) || (self.directories_only && !is_directory) {
            return false;
        }
        // Most names are ruled out here.
        if name.is_ascii() && !self.last.matches_ignoring_case(name) {
            return false;
        }
        self.names(directory, name, folded)
    }

    /// Returns whether the exclude names a path once both are folded.
    fn names(&self, directory: &[u8], name: &[u8], fold: fn(&str) -> String) -> bool {
        let read = |name: &[u8]| std::str::from_utf8(name).ok().map(|name| fold(name).chars().collect::<Vec<_>>());
        let above = directory.split(|byte| *byte == b'/').filter(|name| !self.anywhere && !name.is_empty());
        let Some(names) = above.chain([name]).map(read).collect::<Option<Vec<_>>>() else { return false };
        let parts: Vec<Part> = self.parts.iter().map(|part| fold_part(part, fold)).collect();
        leads(&parts, &names)
    }
}

impl fmt::Debug for Near {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, out)
    }
}

/// Returns whether the parts name the whole path. Every name is compared with every part once at most, so that nobody
/// can make this slow by the names he chooses.
fn leads(parts: &[Part], names: &[Vec<char>]) -> bool {
    // Parts that can be the next one to match.
    let mut next = vec![false; parts.len() + 1];
    next[0] = true;
    pass_any(parts, &mut next);
    for name in names {
        let mut after = vec![false; next.len()];
        for (at, part) in parts.iter().enumerate().filter(|(at, _)| next[*at]) {
            match part {
                Part::Any => after[at] = true,
                Part::Name(pieces) => after[at + 1] |= matches_characters(pieces, name),
            }
        }
        pass_any(parts, &mut after);
        next = after;
    }
    next[parts.len()]
}

/// Passes over each `**`, which can match nothing.
fn pass_any(parts: &[Part], next: &mut [bool]) {
    for (at, part) in parts.iter().enumerate() {
        next[at + 1] |= next[at] && *part == Part::Any;
    }
}

fn composed(text: &str) -> String {
    text.nfc().collect()
}

fn folded(text: &str) -> String {
    text.nfc().flat_map(char::to_lowercase).nfc().collect()
}

fn fold_part(part: &Part, fold: fn(&str) -> String) -> Part {
    match part {
        Part::Any => Part::Any,
        Part::Name(pieces) => Part::Name(fold_pieces(pieces, fold)),
    }
}

fn fold_pieces(pieces: &[Piece], fold: fn(&str) -> String) -> Vec<Piece> {
    let mut done = Vec::with_capacity(pieces.len());
    let mut literal = String::new();
    for piece in pieces {
        if let Piece::Literal(character) = piece {
            literal.push(*character);
            continue;
        }
        done.extend(fold(&std::mem::take(&mut literal)).chars().map(Piece::Literal));
        done.push(match piece {
            Piece::Class { negated, members } => {
                // Members are ASCII.
                let each = members.iter().flat_map(|(low, high)| *low..=*high);
                let each =
                    each.flat_map(|character| fold(character.encode_utf8(&mut [0; 4])).chars().collect::<Vec<_>>());
                Piece::Class { negated: *negated, members: each.map(|character| (character, character)).collect() }
            }
            Piece::Either(all) => Piece::Either(all.iter().map(|pieces| fold_pieces(pieces, fold)).collect()),
            other => other.clone(),
        });
    }
    done.extend(fold(&literal).chars().map(Piece::Literal));
    done
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Near miss that is told of an entry of a directory: the exclude, and whether only the form differs.
    fn told(exclude: &str, path: &str, is_directory: bool) -> Option<Difference> {
        let globs = Globs::new(["**"], [exclude]).expect("a good pattern");
        let (directory, name) = path.rsplit_once('/').unwrap_or(("", path));
        let near = NearMisses::new(&globs);
        let missed = near.missed(directory.as_bytes(), name.as_bytes(), is_directory);
        let again = near.missed(directory.as_bytes(), name.as_bytes(), is_directory);
        assert!(missed.is_none() || again.is_none(), "it is told once");
        missed.map(|(text, difference)| {
            assert_eq!(&*text, exclude);
            difference
        })
    }

    #[test]
    fn an_exclude_almost_names_what_differs_in_case_or_in_form() {
        use Difference::{Case, Form};
        for (exclude, path, is_directory, expected) in [
            ("Keep.db", "keep.db", false, Some(Case)),
            ("keep.db", "d/e/KEEP.DB", false, Some(Case)),
            ("keep.db", "keep.dbx", false, None),
            ("*.JPG", "a.jpg", false, Some(Case)),
            ("Thumbs*", "thumbs.db", false, Some(Case)),
            ("*.{JPG,PNG}", "d/a.png", false, Some(Case)),
            ("[A-C]?", "bx", false, Some(Case)),
            ("[!A]x", "ax", false, None),
            ("Cache/", "cache", true, Some(Case)),
            ("Cache/", "cache", false, None),
            ("Data/keep", "data/keep", false, Some(Case)),
            ("Data/keep", "data/kept", false, None),
            ("Data/keep", "x/data/keep", false, None),
            ("**/Data/*", "x/data/keep", false, Some(Case)),
            ("Data/**", "data", true, Some(Case)),
            ("Data/**", "data/x", false, None),
            ("**", "x", false, None),
            ("caf\u{e9}", "cafe\u{301}", false, Some(Form)),
            ("cafe\u{301}", "caf\u{e9}", true, Some(Form)),
            ("caf\u{e9}", "CAFE\u{301}", false, Some(Case)),
            ("\u{c4}*", "\u{e4}x", false, Some(Case)),
            ("?\u{c4}", "\u{65e5}a\u{308}", false, Some(Case)),
            ("caf\u{e9}", "cafe", false, None),
        ] {
            assert_eq!(told(exclude, path, is_directory), expected, "{exclude} {path}");
        }
    }

    #[test]
    fn a_deep_path_that_many_ways_lead_along_is_compared_in_no_time() {
        let exclude = "**/a/**/a/**/a/**/a/**/a/**/x/Keep";
        let deep = "a/".repeat(2000);
        assert_eq!(told(exclude, &format!("{deep}keep"), false), None);
        assert_eq!(told(exclude, &format!("{deep}x/keep"), false), Some(Difference::Case));
    }

    #[test]
    fn names_that_are_no_utf_8_and_settled_excludes_are_left_alone() {
        let globs = Globs::new(["**"], ["Keep*"]).expect("good patterns");
        let near = NearMisses::new(&globs);
        assert_eq!(near.missed(b"", b"keep\xff", false), None);
        near.settle("Keep*");
        assert_eq!(near.missed(b"", b"keep", false), None);
    }
}
