//! Globs (interface; being written).

use std::sync::Arc;

/// `include`, `exclude` and the built-in excludes of one policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Globs;

/// Which list a pattern stands in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum List {
    /// `include`.
    Include,
    /// `exclude`.
    Exclude,
}

/// Why a pattern is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GlobError {
    /// What is wrong, as a lowercase fragment.
    pub message: String,
    /// What to write instead.
    pub help: Option<String>,
}

/// Where the walk stands, as the globs see it: what each pattern still has to match below this directory.
#[derive(Clone, Debug)]
pub struct Place;

/// What the globs say of one name in a directory, for anything but a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// An include names it, and no exclude does.
    Included,
    /// No include names it.
    NotIncluded,
    /// This exclude names it.
    Excluded(Arc<str>),
    /// This built-in exclude names it.
    BuiltIn(&'static str),
}

/// What the globs say of a directory.
#[derive(Clone, Debug)]
pub enum Entered {
    /// An include reaches into it: walk on, from this place.
    Place(Place),
    /// No include reaches into it.
    Unreached,
    /// This exclude prunes it.
    Excluded(Arc<str>),
    /// This built-in exclude prunes it.
    BuiltIn(&'static str),
}

impl Globs {
    /// Checks one pattern.
    /// # Errors
    /// When it is none, or is ambiguous.
    pub fn check(_list: List, _text: &str) -> Result<(), GlobError> {
        Ok(())
    }
    /// Compiles both lists.
    /// # Errors
    /// The first pattern that [`Globs::check`] refuses.
    pub fn new<'a>(
        _include: impl IntoIterator<Item = &'a str>,
        _exclude: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, GlobError> {
        Ok(Self)
    }
    /// The place of the target's root.
    #[must_use]
    pub fn root(&self) -> Place {
        Place
    }
    /// What is said of `name`, which is not a directory, in the directory of `place`.
    #[must_use]
    pub fn file(&self, _place: &Place, _name: &[u8]) -> Named {
        Named::Included
    }
    /// What is said of the directory `name` in the directory of `place`.
    #[must_use]
    pub fn directory(&self, _place: &Place, _name: &[u8]) -> Entered {
        Entered::Unreached
    }
}
