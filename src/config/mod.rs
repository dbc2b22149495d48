//! The config: from text to a [`Config`] in which nothing is left to doubt, or to all its [`Problems`].

mod check;
mod distinct;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod parse;
mod places;
mod problems;
mod raw;
mod schema;
mod settings;
mod source;
mod target;
#[cfg(test)]
mod tests;
mod values;

pub use problems::Problems;
pub use schema::schema;
pub use settings::{AdminSettings, LogFormat, LogLevel, LogSettings, Rotation, Settings};
pub use source::{DEFAULT_FILE, ReadConfig, ReadError, SYSTEM_FILE, Surroundings, locate, read};

use std::collections::BTreeMap;
use std::sync::Arc;

use check::Checker;
use parse::{Blamed, Parsed};
use raw::RawConfig;

use crate::names::TargetName;
use crate::protected::Protected;
use crate::target::Target;

/// Targets that have their directory in common with others: with which.
pub type Sharing = BTreeMap<TargetName, Vec<TargetName>>;

/// A config in which nothing is left to doubt.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The daemon's own settings.
    pub settings: Settings,
    /// The targets, in the order of the file; never empty, names unique.
    pub targets: Vec<Arc<Target>>,
    /// Whether the text names targets itself, or the built-in `marked_images` target stands in.
    pub names_targets: bool,
    /// Targets whose directory others have too, with those others: each applies its own policy there.
    pub sharing: Sharing,
    /// What no target may be.
    pub protected: Arc<Protected>,
}

/// Checks a text. `shown` is its file as people know it; it stands in the problems.
///
/// # Errors
/// Everything that is wrong with it, at once.
pub fn check(text: &str, shown: &str, surroundings: &Surroundings) -> Result<Config, Problems> {
    // A byte order mark is no part of the first line.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Parsed { raw, problems, blamed } = parse::parse(text);
    let mut checker = Checker { text, surroundings, blamed: &blamed, problems };
    let config = raw.map(|raw| checker.config(&raw));
    match (config, Problems::new(text, shown, checker.problems)) {
        (Some(config), None) => Ok(config),
        (_, problems) => Err(problems.unwrap_or_else(|| Problems::unreadable(text, shown))),
    }
}

/// The config when there is no file: every default, and the built-in target.
///
/// # Errors
/// When the system does not know its time zone.
pub fn built_in(surroundings: &Surroundings) -> Result<Config, Problems> {
    let mut checker = Checker { text: "", surroundings, blamed: &Blamed::new(), problems: Vec::new() };
    let config = checker.config(&RawConfig::default());
    let problems = checker.problems;
    Problems::new("", "the built-in config", problems).map_or(Ok(config), Err)
}

/// The settings of the admin port, as far as they can be told from a text that may be wrong: a client has to find the
/// daemon that rejected it. `None` when they cannot be told: better to ask nobody than another daemon.
#[must_use]
pub fn admin_of(text: &str, surroundings: &Surroundings) -> Option<AdminSettings> {
    let parsed = parse::recover(text);
    let mut checker = Checker { text, surroundings, blamed: &parsed.blamed, problems: Vec::new() };
    let admin = parsed.raw.as_ref().and_then(|raw| raw.admin.as_ref());
    let says = admin.is_some_and(|admin| admin.listen.is_some());
    let settings = checker.admin(admin);
    // Without a word about the port it is the default, unless the word may be in what could not be read.
    (checker.problems.is_empty() && (says || parsed.problems.is_empty())).then_some(settings)
}
