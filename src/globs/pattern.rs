//! One pattern: checked, cut at its slashes, each component compiled on its own.
//!
//! Matching component by component has two reasons. The walk knows at each directory what each pattern still has to
//! match below it, so it never enters a directory in vain. And `globset`'s negated classes and ranges (`[!a]`) match a
//! slash when they are given a whole path; given a component, they meet none.

use std::fmt;
use std::sync::Arc;

use super::built_in::{self, BuiltIns};
use super::name::NameMatcher;
use super::syntax::{self, Part, refuse};
use super::{GlobError, List};

/// Longest pattern, in bytes.
const MAX_BYTES: usize = 1000;

/// Most components of a pattern. Positions in a pattern are bits of a word; the last bit is for "matched to the end".
const MAX_COMPONENTS: usize = 60;

/// Set of positions in a pattern: bit `i` says that the components from the `i`th on are still to be matched.
pub(super) type Positions = u64;

/// Pattern, ready to match.
#[derive(Clone)]
pub(super) struct Pattern {
    pub(super) text: Arc<str>,
    components: Vec<Component>,
    /// Whether the pattern ends in a slash, and so means directories.
    pub(super) directories_only: bool,
}

#[derive(Clone)]
enum Component {
    /// `**`: any number of components; at the end of a pattern at least one.
    Any,
    Name {
        matcher: NameMatcher,
        /// Built-in excludes that this component spells out.
        spells: BuiltIns,
    },
}

/// Refuses a pattern that is wrong as a whole.
fn check_whole(list: List, text: &str) -> Result<(), GlobError> {
    let all = 0..text.len();
    if text.is_empty() {
        return refuse(all, "an empty pattern matches nothing", "leave it out, or write `*`");
    }
    if text.len() > MAX_BYTES {
        return refuse(all, format!("a pattern can have {MAX_BYTES} bytes at most"), "make it shorter");
    }
    if let Some(at) = text.find('\0') {
        return refuse(at..at + 1, "no file name holds a NUL", "leave it out");
    }
    if text.trim() != text {
        let help = "if a name really does, write `[ ]` for it";
        return refuse(all, "the pattern starts or ends with white space", help);
    }
    if text.starts_with('!') {
        let help = match list {
            List::Include => "what is to stay goes into `exclude`; for a name that starts with `!` write `\\!`",
            List::Exclude => {
                "`exclude` always wins, nothing is taken back; for a name that starts with `!` write `\\!`"
            }
        };
        return refuse(0..1, "a leading `!` does not negate here", help);
    }
    if text.starts_with('/') {
        let help = "patterns are relative to the target's path; leave the leading `/` out";
        return refuse(0..1, "the pattern is absolute", help);
    }
    if list == List::Include && text.ends_with('/') {
        let help = format!("write `{text}**` for what is in it");
        return refuse(all, "the pattern names a directory, and only files are removed", help);
    }
    Ok(())
}

impl Pattern {
    /// Returns whether the pattern names one path, without wildcards or escapes.
    pub(super) fn is_literal(&self) -> bool {
        !self.text.contains(['*', '?', '[', ']', '{', '}', '\\', ','])
    }

    /// Checks and compiles a pattern.
    pub(super) fn new(list: List, text: &str) -> Result<Self, GlobError> {
        check_whole(list, text)?;
        let (body, directories_only) = match text.strip_suffix('/') {
            Some(body) => (body, true),
            None => (text, false),
        };
        let parts = syntax::parse(body)?;
        if parts.len() > MAX_COMPONENTS {
            let message = format!("a pattern can have {MAX_COMPONENTS} components at most");
            return refuse(0..text.len(), message, "use `**`");
        }
        if directories_only && let [.., _, (span, Part::Any)] = parts.as_slice() {
            let above = &body[..span.start];
            let help = format!("write `{above}**` for all that is below, or `{above}*/` for each directory there");
            return refuse(span.start..text.len(), "a `**/` at the end is the directory above it, too, in bash", help);
        }
        let mut components = Vec::with_capacity(parts.len() + 1);
        if list == List::Exclude && matches!(parts.as_slice(), [(_, Part::Name(_))]) {
            // An exclude without an inner slash matches its name at any depth.
            components.push(Component::Any);
        }
        for (span, part) in parts {
            let text = &body[span];
            components.push(match part {
                Part::Any => Component::Any,
                Part::Name(pieces) => {
                    Component::Name { matcher: NameMatcher::new(text, pieces)?, spells: built_in::spelled_by(text) }
                }
            });
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

    /// Returns the positions at the target's root.
    pub(super) fn start(&self) -> Positions {
        self.close(1)
    }

    /// Returns whether the pattern can name something directly in the target's root.
    pub(super) fn names_first_level(&self) -> bool {
        self.start() & (1 << (self.end() - 1)) != 0
    }

    /// Returns whether the pattern can name something below a directory in the target's root.
    pub(super) fn reaches_below(&self) -> bool {
        self.end() > 1 || matches!(self.components.as_slice(), [Component::Any])
    }

    /// Returns whether the pattern spells the name of a built-in exclude, and so lifts that.
    pub(super) fn lifts_built_in(&self) -> bool {
        self.components.iter().any(|component| matches!(component, Component::Name { spells, .. } if *spells != 0))
    }

    /// Returns the positions after one more component. `held` are the built-in excludes that name the entry: only a
    /// component that spells them all out takes the entry.
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

    /// Returns whether the whole pattern has been matched.
    pub(super) fn is_matched(&self, positions: Positions) -> bool {
        positions & (1 << self.end()) != 0
    }

    /// Returns whether something below can still be matched.
    pub(super) fn goes_on(&self, positions: Positions) -> bool {
        positions & !(1 << self.end()) != 0
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
