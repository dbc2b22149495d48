//! The config: from text to a [`Config`] in which nothing is left to doubt, or to all its [`Problems`].

mod built_in;
mod check;
mod collisions;
mod env;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
mod looks;
mod own;
mod parse;
mod places;
mod problems;
mod raw;
mod schema;
mod settings;
mod source;
mod state_files;
mod target;
#[cfg(test)]
mod tests;
mod values;

pub use env::{DEFAULT_FILE, Env, locate};
pub use problems::Problems;
pub use schema::schema;
pub use settings::{AdminSettings, LogFormat, LogLevel, LogSettings, Rotation, Settings};
pub use source::{ReadConfig, ReadError, read};
pub use state_files::{LOCK_FILE, STATE_FILE, STOPS_FILE, target_lock_file};

use std::collections::BTreeMap;
use std::sync::Arc;

use check::Checker;
use parse::{Blamed, Parsed};

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
    /// The targets, in the order of the file, names unique. A config that names none sweeps nothing.
    pub targets: Vec<Arc<Target>>,
    /// Whether the text names targets; the built-in config has one, and no text.
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
pub fn check(text: &str, shown: &str, env: &Env) -> Result<Config, Problems> {
    // A byte order mark is no part of the first line.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Parsed { raw, problems, blamed } = parse::parse(text);
    let mut checker = Checker::new(text, env, &blamed, problems);
    let config = raw.map(|raw| checker.config(&raw));
    match (config, Problems::new(text, shown, checker.problems)) {
        (Some(config), None) => Ok(config),
        (_, problems) => Err(problems.unwrap_or_else(|| Problems::unreadable(text, shown))),
    }
}

/// Returns the config when there is no file: every default, and the built-in target, in the working directory.
///
/// # Errors
/// When the system does not know its time zone.
pub fn built_in(env: &Env) -> Result<Config, Problems> {
    let blamed = Blamed::new();
    let mut checker = Checker::new("", env, &blamed, Vec::new());
    checker.base = env.working_directory.clone().unwrap_or(checker.base);
    let config = checker.built_in();
    let problems = checker.problems;
    Problems::new("", "the built-in config", problems).map_or(Ok(config), Err)
}

/// Returns whether a text that can be read names no target.
#[must_use]
pub fn names_no_target(text: &str) -> bool {
    let raw = parse::recover(text).raw;
    raw.is_some_and(|raw| raw.target.is_none_or(|targets| targets.is_empty()))
}

/// Returns the settings of the admin port, as far as they can be told from a text that may be wrong: a client has to
/// find the daemon that rejected it. `None` when they cannot be told: better to ask nobody than another daemon.
#[must_use]
pub fn admin_of(text: &str, env: &Env) -> Option<AdminSettings> {
    let parsed = parse::recover(text);
    let mut checker = Checker::new(text, env, &parsed.blamed, Vec::new());
    let raw = parsed.raw.as_ref();
    checker.find_base(raw.and_then(|raw| raw.base.as_ref()));
    let knows_base = !checker.is_blamed_anywhere("base");
    let layout = env.layout(&checker.base);
    let admin = raw.and_then(|raw| raw.admin.as_ref());
    let says = admin.is_some_and(|admin| admin.listen.is_some());
    let settings = checker.admin(admin, &layout);
    // Without a word about the port it is the default, unless the word may be in what could not be read.
    (checker.problems.is_empty() && knows_base && (says || parsed.problems.is_empty())).then_some(settings)
}
