//! Globs: the files that a policy names, and the directories that the walk has to enter for them.
//!
//! An accepted pattern means what it means in bash with `globstar` and `dotglob`, matched against the path relative to
//! the target's root, case-sensitively. `*` does not cross a `/`, `**` does; `?` and `[!a]` match one character of a
//! name that is UTF-8, and one byte of one that is not. Every ambiguity resolves toward keeping: an include is anchored
//! at the root, an exclude without an inner slash matches at any depth, an excluded directory is pruned whole, and
//! exclude beats include.

mod built_in;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod name;
mod near;
mod pattern;
mod syntax;
#[cfg(test)]
mod tests;

use std::ops::Range;
use std::sync::Arc;

pub use near::{Difference, NearMisses};
use pattern::{Pattern, Positions};

/// `include`, `exclude` and the built-in excludes of one policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Globs {
    include: Vec<Pattern>,
    exclude: Vec<Pattern>,
}

/// List that a pattern stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// `include`.
    Include,
    /// `exclude`.
    Exclude,
}

/// Error of a pattern that is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobError {
    /// Bytes of the pattern that are wrong; both ends lie between two characters.
    pub span: Range<usize>,
    /// Message that says what is wrong, as a lowercase fragment.
    pub message: String,
    /// Advice on what to write instead.
    pub help: Option<String>,
}

/// State of the globs at a directory of the walk: what each pattern still has to match below it.
#[derive(Clone, Debug)]
pub struct Place {
    include: Box<[Positions]>,
    exclude: Box<[Positions]>,
}

/// Match of one name in a directory, for anything but a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// An include names the entry, and no exclude does.
    Included,
    /// No include names the entry.
    NotIncluded,
    /// An exclude, this one, names the entry.
    Excluded(Arc<str>),
    /// A built-in exclude, this one, names the entry.
    BuiltIn(&'static str),
}

/// Match of a directory.
#[derive(Clone, Debug)]
pub enum Entered {
    /// An include reaches into the directory: the walk goes on from this place.
    Place(Place),
    /// No include reaches into the directory.
    Unreached,
    /// An exclude, this one, prunes the directory.
    Excluded(Arc<str>),
    /// A built-in exclude, this one, prunes the directory.
    BuiltIn(&'static str),
}

impl Globs {
    /// Checks one pattern.
    ///
    /// # Errors
    /// Fails when the text is no pattern, could never match, or is ambiguous: empty, absolute, with `.`, `..` or an
    /// empty component, with `**` inside a component, with a slash inside braces or a class, with a leading `!`, with
    /// white space at an end, a directory (`cache/`) in an include, or with what bash, git and fnmatch(3) read in
    /// different ways.
    pub fn check(list: List, text: &str) -> Result<(), GlobError> {
        Pattern::new(list, text).map(drop)
    }

    /// Compiles both lists.
    ///
    /// # Errors
    /// Fails with the error of the first pattern that [`Globs::check`] refuses.
    pub fn new<'a>(
        include: impl IntoIterator<Item = &'a str>,
        exclude: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, GlobError> {
        let include = include.into_iter().map(|text| Pattern::new(List::Include, text)).collect::<Result<_, _>>()?;
        let exclude = exclude.into_iter().map(|text| Pattern::new(List::Exclude, text)).collect::<Result<_, _>>()?;
        Ok(Self { include, exclude })
    }

    /// Returns the includes, as written.
    pub fn include(&self) -> impl Iterator<Item = &str> {
        self.include.iter().map(|pattern| &*pattern.text)
    }

    /// Returns the excludes, as written, without the built-in ones.
    pub fn exclude(&self) -> impl Iterator<Item = &str> {
        self.exclude.iter().map(|pattern| &*pattern.text)
    }

    /// Returns whether no include reaches below the directories in the target's root.
    #[must_use]
    pub fn is_top_level(&self) -> bool {
        !self.include.iter().any(Pattern::reaches_below)
    }

    /// Returns the includes that can name nothing directly in the target's root, and lift no built-in exclude.
    pub fn below_first_level(&self) -> impl Iterator<Item = &str> {
        let is_below = |include: &&Pattern| !include.names_first_level() && !include.lifts_built_in();
        self.include.iter().filter(is_below).map(|include| &*include.text)
    }

    /// Returns the includes that an exclude beats whatever is there, each with that exclude: the same pattern, a name
    /// without wildcards that the exclude names, or an exclude of everything.
    pub fn shadowed(&self) -> impl Iterator<Item = (&str, &str)> {
        self.include.iter().filter_map(|include| {
            let beats = |exclude: &&Pattern| {
                let all = ["*", "**", "**/*"].contains(&&*exclude.text);
                all || exclude.text == include.text || (include.is_literal() && self.excludes(exclude, include))
            };
            self.exclude.iter().find(beats).map(|exclude| (&*include.text, &*exclude.text))
        })
    }

    /// Returns whether an exclude names the file of an include without wildcards, or a directory on the way to it.
    fn excludes(&self, exclude: &Pattern, include: &Pattern) -> bool {
        let names: Vec<&[u8]> = include.text.as_bytes().split(|byte| *byte == b'/').collect();
        let mut positions = exclude.start();
        names.iter().enumerate().any(|(at, name)| {
            positions = exclude.step(positions, name, 0);
            (at + 1 < names.len() || !exclude.directories_only) && exclude.is_matched(positions)
        })
    }

    /// Returns the place of the target's root.
    #[must_use]
    pub fn root(&self) -> Place {
        Place {
            include: self.include.iter().map(Pattern::start).collect(),
            exclude: self.exclude.iter().map(Pattern::start).collect(),
        }
    }

    /// Matches `name`, which is not a directory, in the directory of `place`. Protections come first.
    #[must_use]
    pub fn file(&self, place: &Place, name: &[u8]) -> Named {
        for (pattern, positions) in self.exclude.iter().zip(&place.exclude) {
            if !pattern.directories_only && pattern.is_matched(pattern.step(*positions, name, 0)) {
                return Named::Excluded(pattern.text.clone());
            }
        }
        let held = built_in::holding(name, false);
        let mut includes = self.include.iter().zip(&place.include);
        if includes.any(|(pattern, positions)| pattern.is_matched(pattern.step(*positions, name, held))) {
            return Named::Included;
        }
        built_in::text(held).map_or(Named::NotIncluded, Named::BuiltIn)
    }

    /// Matches the directory `name` in the directory of `place`.
    #[must_use]
    pub fn directory(&self, place: &Place, name: &[u8]) -> Entered {
        let mut exclude = Vec::with_capacity(self.exclude.len());
        for (pattern, positions) in self.exclude.iter().zip(&place.exclude) {
            let positions = pattern.step(*positions, name, 0);
            if pattern.is_matched(positions) {
                return Entered::Excluded(pattern.text.clone());
            }
            exclude.push(positions);
        }
        // Below a directory that a built-in exclude names, only the includes that spell that name go on.
        let held = built_in::holding(name, true);
        let step = |(pattern, positions): (&Pattern, &Positions)| pattern.step(*positions, name, held);
        let include: Box<[Positions]> = self.include.iter().zip(&place.include).map(step).collect();
        if self.include.iter().zip(&include).any(|(pattern, positions)| pattern.goes_on(*positions)) {
            return Entered::Place(Place { include, exclude: exclude.into() });
        }
        built_in::text(held).map_or(Entered::Unreached, Entered::BuiltIn)
    }

    /// Matches the directory `name` where directories go or stay whole: [`Entered::Place`] when an include names it and
    /// nothing excludes it.
    #[must_use]
    pub fn whole(&self, place: &Place, name: &[u8]) -> Entered {
        let held = built_in::holding(name, true);
        let mut includes = self.include.iter().zip(&place.include);
        let is_named = includes.any(|(pattern, positions)| pattern.is_matched(pattern.step(*positions, name, held)));
        match self.inside(place, name, true) {
            Entered::Place(_) if !is_named => Entered::Unreached,
            said => said,
        }
    }

    /// Matches an entry in a directory that goes or stays whole: [`Entered::Place`] when nothing excludes it. No
    /// include has to name the entry, but a built-in exclude is lifted only by an include that spells its name.
    #[must_use]
    pub fn inside(&self, place: &Place, name: &[u8], directory: bool) -> Entered {
        let mut exclude = Vec::with_capacity(self.exclude.len());
        for (pattern, positions) in self.exclude.iter().zip(&place.exclude) {
            let positions = pattern.step(*positions, name, 0);
            if (directory || !pattern.directories_only) && pattern.is_matched(positions) {
                return Entered::Excluded(pattern.text.clone());
            }
            exclude.push(positions);
        }
        let held = built_in::holding(name, directory);
        let step = |(pattern, positions): (&Pattern, &Positions)| pattern.step(*positions, name, held);
        let include: Box<[Positions]> = self.include.iter().zip(&place.include).map(step).collect();
        let mut includes = self.include.iter().zip(&include);
        let mut is_lifted = || includes.any(|(pattern, at)| pattern.is_matched(*at) || pattern.goes_on(*at));
        match built_in::text(held) {
            Some(text) if !is_lifted() => Entered::BuiltIn(text),
            _ => Entered::Place(Place { include, exclude: exclude.into() }),
        }
    }
}
