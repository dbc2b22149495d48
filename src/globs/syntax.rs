//! Parser from the text of a pattern to its components.
//!
//! An accepted text means what it means in bash with `globstar` and `dotglob`. A text that bash, git and fnmatch(3)
//! read in different ways is refused with the place in it, since any choice would delete somebody's files.

use std::ops::Range;

use super::GlobError;

/// Deepest nesting of braces. The compiler of a pattern has no room for hundreds.
const MAX_BRACES: usize = 10;

/// Part of a pattern, between two slashes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// `**`: any number of components.
    Any,
    /// A name.
    Name(Vec<Piece>),
}

/// Piece of a name's pattern; the pieces match one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    Literal(char),
    /// `?`
    One,
    /// `*`
    Star,
    /// `[a-z]`: one of these ASCII characters, or none of them.
    Class {
        negated: bool,
        members: Vec<(char, char)>,
    },
    /// `{a,b}`
    Either(Vec<Vec<Piece>>),
}

/// Cuts a pattern at its slashes and reads each part. Returns each part with its span in the text.
///
/// # Errors
/// Fails when a part is empty, `.` or `..`, mixes `**` with something else, or is ambiguous.
pub(super) fn parse(text: &str) -> Result<Vec<(Range<usize>, Part)>, GlobError> {
    let mut reader = Reader { text, at: 0, braces: 0, before: Before { word_starts: true, quantifier: false } };
    let mut parts = Vec::new();
    loop {
        let start = reader.at;
        let pieces = reader.sequence()?;
        let span = start..reader.at;
        parts.push((span.clone(), part(text, span, pieces)?));
        if reader.next().is_none() {
            return Ok(parts);
        }
        reader.before = Before::default();
    }
}

/// Returns the error for the text at `span`.
pub(super) fn refuse<T>(
    span: Range<usize>,
    message: impl Into<String>,
    help: impl Into<String>,
) -> Result<T, GlobError> {
    Err(GlobError { span, message: message.into(), help: Some(help.into()) })
}

/// Checks one part as a whole.
fn part(text: &str, span: Range<usize>, pieces: Vec<Piece>) -> Result<Part, GlobError> {
    let shown = &text[span.clone()];
    let dot = Piece::Literal('.');
    if shown.is_empty() {
        let slash = span.start.saturating_sub(1)..(span.end + 1).min(text.len());
        return refuse(slash, "the pattern has an empty component", "write one `/`, not two");
    }
    if shown == "**" {
        return Ok(Part::Any);
    }
    if can_be(&pieces, &[]) {
        let help = "write the names out, one pattern for each";
        return refuse(span, format!("one of the alternatives of `{shown}` is an empty name"), help);
    }
    if can_be(&pieces, std::slice::from_ref(&dot)) || can_be(&pieces, &[dot.clone(), dot]) {
        let help = "patterns are relative to the target's path and cannot leave it";
        let is_plain = matches!(shown, "." | "..");
        let as_component =
            if is_plain { "as a component matches nothing" } else { "can be `.` or `..`, which is no name" };
        return refuse(span, format!("`{shown}` {as_component}"), help);
    }
    if has_two_stars(&pieces) || can_be(&pieces, &[Piece::Star, Piece::Star]) {
        let help = if shown.contains("**") {
            format!("write `**/{}` for any depth", shown.replace("**", "*"))
        } else {
            "write the alternatives as patterns of their own".to_owned()
        };
        return refuse(span, format!("`**` must stand alone between slashes, `{shown}` mixes it"), help);
    }
    Ok(Part::Name(pieces))
}

fn has_two_stars(pieces: &[Piece]) -> bool {
    let inside = |piece: &Piece| matches!(piece, Piece::Either(all) if all.iter().any(|one| has_two_stars(one)));
    pieces.windows(2).any(|two| two == [Piece::Star, Piece::Star]) || pieces.iter().any(inside)
}

/// Returns whether some choice of the alternatives leaves exactly these pieces, of which there are less than eight.
fn can_be(pieces: &[Piece], wanted: &[Piece]) -> bool {
    // Bit `n`: the first `n` of the wanted pieces have been found.
    fn after(pieces: &[Piece], wanted: &[Piece], found: u8) -> u8 {
        pieces.iter().fold(found, |found, piece| match piece {
            Piece::Either(all) => all.iter().fold(0, |bits, one| bits | after(one, wanted, found)),
            piece => wanted
                .iter()
                .enumerate()
                .fold(0, |bits, (at, wanted)| if wanted == piece { bits | (found & 1 << at) << 1 } else { bits }),
        })
    }
    after(pieces, wanted, 1) >> wanted.len() & 1 == 1
}

/// Meaning of the text before a place for the text that follows.
#[derive(Clone, Copy, Default)]
struct Before {
    /// Whether nothing comes before: a `~` would be somebody's home.
    word_starts: bool,
    /// Whether one of `@ + ! ? *` comes before: a `(` would begin an extended glob.
    quantifier: bool,
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    braces: usize,
    before: Before,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += next.len_utf8();
        Some(next)
    }

    /// Reads up to a slash or the end; inside of braces up to the end of an alternative.
    fn sequence(&mut self) -> Result<Vec<Piece>, GlobError> {
        let mut pieces = Vec::new();
        while let Some(character) = self.peek() {
            match character {
                '/' if self.braces > 0 => {
                    let help = "write one pattern for each alternative";
                    return refuse(self.at..self.at + 1, "a `/` inside `{…}` is not supported", help);
                }
                '/' => break,
                ',' | '}' if self.braces > 0 => break,
                _ => pieces.push(self.piece(character)?),
            }
        }
        Ok(pieces)
    }

    fn piece(&mut self, character: char) -> Result<Piece, GlobError> {
        let start = self.at;
        let here = start..start + character.len_utf8();
        let before = std::mem::take(&mut self.before);
        self.before.quantifier = matches!(character, '@' | '+' | '!' | '?' | '*');
        self.next();
        match character {
            '?' => Ok(Piece::One),
            '*' => Ok(Piece::Star),
            '\\' => self.escaped(start),
            '[' => self.class(start),
            '{' => self.either(start, before),
            '}' => refuse(here, "a `}` without a `{` before it", "write `\\}` for a brace in a name"),
            '$' => refuse(
                here,
                "a `$` is a variable to a shell, and a character elsewhere",
                "no variable is filled in here; write `\\$` for the character",
            ),
            '~' if before.word_starts => refuse(
                here,
                "a leading `~` is a home directory to a shell, and a character elsewhere",
                "patterns are relative to the target's path; write `\\~` for the character",
            ),
            '(' if before.quantifier => {
                let operator = start.saturating_sub(1);
                let operator = if self.text.is_char_boundary(operator) { operator } else { start };
                let help = "write alternatives, as in `{a,b}`; write `\\(` for a parenthesis in a name";
                refuse(operator..start + 1, "extended globs, as in `@(a|b)`, are not supported", help)
            }
            other => Ok(Piece::Literal(other)),
        }
    }

    fn escaped(&mut self, start: usize) -> Result<Piece, GlobError> {
        match self.next() {
            None => refuse(start..self.at, "the backslash at the end escapes nothing", "write `\\\\` for a backslash"),
            Some('/') => refuse(start..self.at, "a `/` cannot be escaped", "write `/` without the backslash"),
            Some(character) => Ok(Piece::Literal(character)),
        }
    }

    /// Reads the rest of `{…}`.
    fn either(&mut self, start: usize, before: Before) -> Result<Piece, GlobError> {
        if self.braces == MAX_BRACES {
            let message = format!("braces can stand {MAX_BRACES} deep at most");
            return refuse(start..self.at, message, "write several patterns");
        }
        self.braces += 1;
        let mut all = Vec::new();
        let mut after = Before::default();
        loop {
            self.before = before;
            let from = self.at;
            all.push(self.sequence()?);
            after.word_starts |= self.before.word_starts;
            after.quantifier |= self.before.quantifier;
            if let Some((low, high)) = sequence_ends(&self.text[from..self.at]) {
                let written = &self.text[from..self.at];
                let message = format!("`{{{written}}}` counts in bash, and is a name elsewhere");
                let help = if low.len() == 1 && high.len() == 1 && low <= high {
                    format!("write `[{low}-{high}]`")
                } else {
                    "write the alternatives out, as in `{08,09,10}`".to_owned()
                };
                return refuse(from..self.at, message, help);
            }
            match self.next() {
                Some(',') => {}
                Some(_) => break,
                None => {
                    let help = "close it with `}`; write `\\{` for a brace in a name";
                    return refuse(start..start + 1, "a `{` that nothing closes", help);
                }
            }
        }
        self.braces -= 1;
        self.before = after;
        if all.len() == 1 {
            let inside = &self.text[start + 1..self.at - 1];
            let help = if inside.is_empty() {
                "write `\\{\\}` for braces in a name".to_owned()
            } else {
                format!("write `{inside}` alone, or `\\{{{inside}\\}}` for braces in a name")
            };
            return refuse(start..self.at, "braces with one alternative are a name in bash", help);
        }
        Ok(Piece::Either(all))
    }

    /// Reads the rest of `[…]`.
    fn class(&mut self, start: usize) -> Result<Piece, GlobError> {
        let negated = matches!(self.peek(), Some('!' | '^'));
        if negated {
            self.next();
        }
        let first = self.at;
        let mut members = Vec::new();
        loop {
            let at = self.at;
            match self.peek() {
                None => {
                    let help = "close it with `]`; write `\\[` for a bracket in a name";
                    return refuse(start..start + 1, "a `[` that nothing closes", help);
                }
                // A `]` at the start is a member.
                Some(']') if at > first => {
                    self.next();
                    break;
                }
                Some(_) => {}
            }
            let low = self.member(start)?;
            let mut rest = self.text[self.at..].chars();
            if (rest.next(), rest.next().is_some_and(|next| next != ']')) != (Some('-'), true) {
                members.push((low, low));
                continue;
            }
            self.next();
            let high = self.member(start)?;
            let written = &self.text[at..self.at];
            if low > high {
                let help = format!("write `{high}-{low}`");
                return refuse(at..self.at, format!("the range `{written}` runs backwards"), help);
            }
            let mut rest = self.text[self.at..].chars();
            if (rest.next(), rest.next().is_some_and(|next| next != ']')) == (Some('-'), true) {
                let help = "put the `-` first, as in `[-a-z]`";
                return refuse(self.at..self.at + 1, "a `-` right behind a range is ambiguous", help);
            }
            members.push((low, high));
        }
        let inside = &self.text[start + 1..self.at - 1];
        if inside.len() > 2 && inside.starts_with(':') && inside.ends_with(':') {
            return refuse(start..self.at, format!("`[{inside}]` is one of these letters, not a kind"), kind(inside));
        }
        Ok(Piece::Class { negated, members })
    }

    /// Reads one character of the class that begins at `start`.
    fn member(&mut self, start: usize) -> Result<char, GlobError> {
        let at = self.at;
        let Some(character) = self.next() else {
            return refuse(start..start + 1, "a `[` that nothing closes", "close it with `]`");
        };
        let here = at..self.at;
        match (character, self.peek()) {
            ('/', _) => refuse(here, "a `/` inside `[…]` matches nothing", "write the directories out"),
            ('\\', _) => refuse(
                here,
                "a backslash inside `[…]` is a member to some and an escape to others",
                "write `]` first and `-` last, as in `[]a-]`, all else as it is; for a backslash write `\\\\` outside",
            ),
            ('[', Some(sign @ (':' | '.' | '='))) => {
                let closing = format!("{sign}]");
                let rest = &self.text[at + 1..];
                let end = rest[1..].find(&closing).map_or(at + 2, |found| at + 2 + found + closing.len());
                let written = &self.text[at..end];
                let help = kind(written.trim_start_matches('[').trim_end_matches(']'));
                refuse(at..end, format!("`{written}` inside `[…]` is not supported"), help)
            }
            ('$', _) => refuse(
                here,
                "a `$` is a variable to a shell, and a character elsewhere",
                "write alternatives, as in `{\\$,a}`",
            ),
            ('{' | '}', _) => refuse(
                here,
                "a brace inside `[…]` is read as one of `{…}` by bash",
                "write it outside as `\\{` or `\\}`, as an alternative: `{a,\\{}`",
            ),
            (',', _) if self.braces > 0 => refuse(
                here,
                "a `,` inside `[…]` inside `{…}` ends the alternative in bash",
                "write it as an alternative: `\\,`",
            ),
            (character, _) if !character.is_ascii() => refuse(
                here,
                format!("`{character}` inside `[…]` is a character to some, and several bytes to others"),
                format!("write alternatives: `{{{character},…}}`"),
            ),
            (character, _) => Ok(character),
        }
    }
}

/// Returns the advice for a kind of characters such as `:digit:`.
fn kind(name: &str) -> String {
    let range = match name.trim_matches(':') {
        "digit" => "0-9",
        "lower" => "a-z",
        "upper" => "A-Z",
        "alpha" => "A-Za-z",
        "alnum" => "0-9A-Za-z",
        "xdigit" => "0-9A-Fa-f",
        _ => return "write the characters or ranges out, as in `[0-9a-z_]`".to_owned(),
    };
    format!("write `[{range}]`")
}

/// Returns the ends of `1..3`, `a..e` or `1..9..2`, if an alternative is such a sequence.
fn sequence_ends(text: &str) -> Option<(&str, &str)> {
    let mut ends = text.splitn(3, "..");
    let (low, high, step) = (ends.next()?, ends.next()?, ends.next());
    let digits = |text: &str| {
        let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit())
    };
    let letter = |text: &str| text.len() == 1 && text.as_bytes()[0].is_ascii_alphabetic();
    let counts = (digits(low) && digits(high)) || (letter(low) && letter(high));
    (counts && step.is_none_or(digits)).then_some((low, high))
}
