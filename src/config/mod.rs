//! The config: from text to a checked [`Config`], or to all its [`Problems`].

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

/// Targets that share their directory with others, each with those others.
pub type Sharing = BTreeMap<TargetName, Vec<TargetName>>;

/// A fully checked config.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The daemon's own settings.
    pub settings: Settings,
    /// Targets, in the order of the file, with unique names. A config without targets sweeps nothing.
    pub targets: Vec<Arc<Target>>,
    /// Whether the text names targets; false for the built-in config, which has a target and no text.
    pub names_targets: bool,
    /// Targets that share their directory with others, each with those others: each target applies its own policy
    /// there.
    pub sharing: Sharing,
    /// Paths that no target may be.
    pub protected: Arc<Protected>,
}

/// Checks a text. `shown` is the name of its file for people, and is used in the problems.
///
/// # Errors
/// All problems of the text at once.
pub fn check(text: &str, shown: &str, env: &Env) -> Result<Config, Problems> {
    // A byte order mark does not belong to the first line.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let Parsed { raw, problems, blamed } = parse::parse(text);
    let mut checker = Checker::new(text, env, &blamed, problems);
    let config = raw.map(|raw| checker.config(&raw));
    match (config, Problems::new(text, shown, checker.problems)) {
        (Some(config), None) => Ok(config),
        (_, problems) => Err(problems.unwrap_or_else(|| Problems::unreadable(text, shown))),
    }
}

/// Returns the config for a missing file: every default, and the built-in target, in the working directory.
///
/// # Errors
/// All problems at once, such as an unknown time zone of the system or a protected built-in target.
pub fn built_in(env: &Env) -> Result<Config, Problems> {
    let blamed = Blamed::new();
    let mut checker = Checker::new("", env, &blamed, Vec::new());
    checker.base = env.working_directory.clone().unwrap_or(checker.base);
    let config = checker.built_in();
    let problems = checker.problems;
    Problems::new("", "the built-in config", problems).map_or(Ok(config), Err)
}

/// Returns whether a readable text names no target.
#[must_use]
pub fn names_no_target(text: &str) -> bool {
    let raw = parse::recover(text).raw;
    raw.is_some_and(|raw| raw.target.is_none_or(|targets| targets.is_empty()))
}

/// Returns the settings of the admin port, as far as they can be read from a text that may be wrong: a client has to
/// find the daemon that rejected the text. Returns `None` when they cannot be read: a client without an address is
/// better than one that asks another daemon.
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
    // A text that does not mention the port means the default, unless the unreadable part may mention it.
    (checker.problems.is_empty() && knows_base && (says || parsed.problems.is_empty())).then_some(settings)
}
