//! One pattern: checked, cut at its slashes, each component compiled on its own.
//!
//! Matching component by component has two reasons. The walk knows at each directory what each pattern still has to
//! match below it, so it never enters a directory in vain. And `globset`'s negated classes and ranges (`[!a]`) match a
//! slash when they are given a whole path; given a component, they meet none.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::Arc;

use globset::{GlobBuilder, GlobMatcher};

use super::built_in::{self, BuiltIns};
use super::{GlobError, List};

/// The longest pattern, in bytes.
const MAX_BYTES: usize = 1000;

/// How deep braces may stand in braces. What compiles a pattern has no room for hundreds.
const MAX_BRACES: usize = 10;

/// Positions in a pattern are bits of a word; the last bit is for "matched to the end".
const MAX_COMPONENTS: usize = 60;

/// A set of positions in a pattern: bit `i` says that the components from the `i`th on are still to be matched.
pub(super) type Positions = u64;

/// A pattern, ready to match.
#[derive(Clone)]
pub(super) struct Pattern {
    pub(super) text: Arc<str>,
    components: Vec<Component>,
    /// It ends in a slash: it means directories.
    pub(super) directories_only: bool,
}

#[derive(Clone)]
enum Component {
    /// `**`: any number of components; at the end of a pattern at least one.
    Any,
    Name {
        matcher: NameMatcher,
        /// Which built-in excludes this component spells out.
        spells: BuiltIns,
    },
}

/// Matches one name. The frequent forms need no regular expression.
#[derive(Clone)]
enum NameMatcher {
    All,
    Literal(Box<[u8]>),
    /// `*.tmp`
    Suffix(Box<[u8]>),
    /// `core.*`
    Prefix(Box<[u8]>),
    Glob(Box<GlobMatcher>),
}

impl NameMatcher {
    fn new(text: &str) -> Result<Self, GlobError> {
        let special = |text: &str| text.contains(['*', '?', '[', ']', '{', '}', '\\', ',']);
        if text == "*" {
            return Ok(Self::All);
        }
        if !special(text) {
            return Ok(Self::Literal(text.as_bytes().into()));
        }
        if let Some(suffix) = text.strip_prefix('*')
            && !special(suffix)
        {
            return Ok(Self::Suffix(suffix.as_bytes().into()));
        }
        if let Some(prefix) = text.strip_suffix('*')
            && !special(prefix)
        {
            return Ok(Self::Prefix(prefix.as_bytes().into()));
        }
        let glob = GlobBuilder::new(text).literal_separator(true).backslash_escape(true).build();
        let glob = glob.map_err(|error| GlobError { message: error.kind().to_string(), help: None })?;
        Ok(Self::Glob(Box::new(glob.compile_matcher())))
    }

    fn matches(&self, name: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Literal(literal) => **literal == *name,
            Self::Suffix(suffix) => name.ends_with(suffix),
            Self::Prefix(prefix) => name.starts_with(prefix),
            Self::Glob(glob) => glob.is_match(Path::new(OsStr::from_bytes(name))),
        }
    }
}

/// A matcher for one name, for the built-in excludes.
pub(super) struct SingleName(NameMatcher);

impl SingleName {
    pub(super) fn new(text: &str) -> Option<Self> {
        NameMatcher::new(text).ok().map(Self)
    }

    pub(super) fn matches(&self, name: &[u8]) -> bool {
        self.0.matches(name)
    }
}

fn refuse<T>(message: impl Into<String>, help: impl Into<String>) -> Result<T, GlobError> {
    Err(GlobError { message: message.into(), help: Some(help.into()) })
}

/// Cuts a pattern at its slashes; refuses those inside braces and classes, where they mean nothing.
fn cut(text: &str) -> Result<Vec<&str>, GlobError> {
    let mut found = Vec::new();
    let mut start = 0;
    let (mut braces, mut class) = (0_usize, None::<usize>);
    let mut escaped = false;
    for (at, character) in text.char_indices() {
        if std::mem::take(&mut escaped) {
            if character == '/' {
                return refuse("a `/` cannot be escaped", "write `/` without the backslash");
            }
            continue;
        }
        match (character, class) {
            ('/', Some(_)) => return refuse("a `/` inside `[…]` matches nothing", "write the directories out"),
            // The first `]` in a class, also after its `!` or `^`, is a member.
            (']', Some(open)) if at > open && !matches!(&text[open..at], "!" | "^") => {
                check_class(&text[open..at])?;
                class = None;
            }
            (_, Some(_)) => {}
            ('\\', None) => escaped = true,
            ('[', None) => class = Some(at + 1),
            ('{', None) if braces == MAX_BRACES => {
                return refuse(format!("braces can stand {MAX_BRACES} deep at most"), "write several patterns");
            }
            ('{', None) => braces += 1,
            ('}', None) => braces = braces.saturating_sub(1),
            ('/', None) if braces > 0 => {
                return refuse("a `/` inside `{…}` is not supported", "write one pattern for each alternative");
            }
            ('/', None) => {
                found.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    if escaped {
        return refuse("the backslash at the end escapes nothing", "write `\\\\` for a backslash");
    }
    found.push(&text[start..]);
    Ok(found)
}

/// What can be said against what stands between `[` and `]`. A class matches one byte, so of a character that is several
/// it would match a part; and behind a range a `-` could be itself or make the range longer.
fn check_class(inside: &str) -> Result<(), GlobError> {
    if let Some(character) = inside.chars().find(|character| !character.is_ascii()) {
        let message = format!("`{character}` inside `[…]` would match only a part of it");
        return refuse(message, format!("write alternatives: `{{{character},…}}`"));
    }
    let mut members = inside.trim_start_matches(['!', '^']);
    while let Some((_, rest)) = members.split_at_checked(1) {
        members = match rest.strip_prefix('-').filter(|rest| !rest.is_empty()) {
            Some(behind) => {
                let behind = &behind[1..];
                if behind.len() > 1 && behind.starts_with('-') {
                    return refuse("a `-` right behind a range is ambiguous", "put the `-` first, as in `[-a-z]`");
                }
                behind
            }
            None => rest,
        };
    }
    Ok(())
}

/// What can be said against the pattern as a whole.
fn check_whole(list: List, text: &str) -> Result<(), GlobError> {
    if text.is_empty() {
        return refuse("an empty pattern matches nothing", "leave it out, or write `*`");
    }
    if text.len() > MAX_BYTES {
        return refuse(format!("a pattern can have {MAX_BYTES} bytes at most"), "make it shorter");
    }
    if text.contains('\0') {
        return refuse("no file name holds a NUL", "leave it out");
    }
    if text.trim() != text {
        return refuse("the pattern starts or ends with white space", "if a name really does, write `[ ]` for it");
    }
    if text.starts_with('!') {
        let help = match list {
            List::Include => {
                "what is to stay goes into `exclude`; for a name that starts with `!` write `[!]…` as `\\!`"
            }
            List::Exclude => {
                "`exclude` always wins, nothing is taken back; for a name that starts with `!` write `\\!`"
            }
        };
        return refuse("a leading `!` does not negate here", help);
    }
    if text.starts_with('/') {
        return refuse(
            "the pattern is absolute",
            "patterns are relative to the target's path; leave the leading `/` out",
        );
    }
    if list == List::Include && text.ends_with('/') {
        return refuse(
            "the pattern names a directory, and only files are removed",
            format!("write `{text}**` for what is in it"),
        );
    }
    Ok(())
}

impl Pattern {
    /// Whether it names one path, without wildcards or escapes.
    pub(super) fn is_literal(&self) -> bool {
        !self.text.contains(['*', '?', '[', ']', '{', '}', '\\', ','])
    }

    /// Checks and compiles.
    pub(super) fn new(list: List, text: &str) -> Result<Self, GlobError> {
        check_whole(list, text)?;
        let (body, directories_only) = match text.strip_suffix('/') {
            Some(body) => (body, true),
            None => (text, false),
        };
        let parts = cut(body)?;
        if parts.len() > MAX_COMPONENTS {
            return refuse(format!("a pattern can have {MAX_COMPONENTS} components at most"), "use `**`");
        }
        let mut components = Vec::with_capacity(parts.len() + 1);
        if list == List::Exclude && parts.len() == 1 && parts != ["**"] {
            // Without an inner slash it matches that name at any depth.
            components.push(Component::Any);
        }
        for part in parts {
            components.push(component(part)?);
        }
        Ok(Self { text: text.into(), components, directories_only })
    }

    fn end(&self) -> usize {
        self.components.len()
    }

    /// Adds the positions that are reached without consuming a component: those behind a `**` that is not the last.
    fn close(&self, mut positions: Positions) -> Positions {
        for at in 0..self.end().saturating_sub(1) {
            if positions & (1 << at) != 0 && matches!(self.components[at], Component::Any) {
                positions |= 1 << (at + 1);
            }
        }
        positions
    }

    /// The positions at the target's root.
    pub(super) fn start(&self) -> Positions {
        self.close(1)
    }

    /// The positions after one more component. `held` are the built-in excludes that name the entry: only a component
    /// that spells them all out takes it.
    pub(super) fn step(&self, positions: Positions, name: &[u8], held: BuiltIns) -> Positions {
        let mut next = 0;
        let mut rest = positions & !(1 << self.end());
        while rest != 0 {
            let at = rest.trailing_zeros() as usize;
            rest &= rest - 1;
            match &self.components[at] {
                Component::Any if held == 0 => {
                    next |= 1 << at;
                    if at + 1 == self.end() {
                        next |= 1 << self.end();
                    }
                }
                Component::Name { matcher, spells } if held & !spells == 0 && matcher.matches(name) => {
                    next |= 1 << (at + 1);
                }
                Component::Any | Component::Name { .. } => {}
            }
        }
        self.close(next)
    }

    /// Whether the whole pattern has been matched.
    pub(super) fn is_matched(&self, positions: Positions) -> bool {
        positions & (1 << self.end()) != 0
    }

    /// Whether something below can still be matched.
    pub(super) fn goes_on(&self, positions: Positions) -> bool {
        positions & !(1 << self.end()) != 0
    }
}

fn component(text: &str) -> Result<Component, GlobError> {
    match text {
        "" => refuse("the pattern has an empty component", "write one `/`, not two"),
        "." | ".." => refuse(
            format!("`{text}` as a component matches nothing"),
            "patterns are relative to the target's path and cannot leave it",
        ),
        "**" => Ok(Component::Any),
        _ if text.contains("**") => refuse(
            format!("`**` must stand alone between slashes, `{text}` mixes it"),
            format!("write `**/{}` for any depth", text.replace("**", "*")),
        ),
        _ => Ok(Component::Name { matcher: NameMatcher::new(text)?, spells: built_in::spelled_by(text) }),
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.text, out)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}
