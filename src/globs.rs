//! Globs (interface; being written).

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
}
