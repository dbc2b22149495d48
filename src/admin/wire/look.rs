//! Previews and explanations: the files that a run would remove, and the reasons.

use std::os::unix::ffi::OsStrExt;
use std::sync::{Mutex, PoisonError};

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Serialize;
use serde_json::Value;

use super::{Run, rfc3339};
use crate::names::Escaped;
use crate::report::Report;
use crate::sweep::{self, Control, Event, Explanation, Order};
use crate::target::Target;
use crate::verdict::{Because, Protection, Verdict};

/// One explanation, as JSON has it: here, and printed by the command line.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Explained {
    /// The path, as it was asked for.
    pub path: String,
    /// The target that has a say.
    pub target: String,
    /// Path of the judged entry, relative to the target: the asked path, or the directory that goes or stays with it.
    pub judged: String,
    /// `goes` or `stays`.
    pub verdict: &'static str,
    /// Why.
    pub because: String,
    /// The instant from which it would go, if nothing changes.
    pub from: Option<String>,
    /// Each rule that was looked at.
    pub rules: Vec<Rule>,
    /// Why no run takes anything at all.
    pub guard: Option<String>,
    /// Whether the target is ever swept.
    pub enabled: bool,
}

/// A rule, and what it says.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Rule {
    /// Key in the config, `size` or `age`.
    pub rule: &'static str,
    /// Value of the rule, and how far it reaches.
    pub says: String,
}

impl Explained {
    /// Puts an explanation of `path`, written as it was asked for, into words.
    #[must_use]
    pub fn new(path: String, target: &Target, explanation: &Explanation) -> Self {
        let (verdict, because) = match &explanation.verdict {
            Verdict::Goes(reason) => ("goes", reason.to_string()),
            Verdict::Stays(because) => ("stays", because.to_string()),
        };
        let rules = explanation.rules.iter().map(|(rule, says)| Rule { rule, says: says.clone() });
        Self {
            path,
            target: target.name.to_string(),
            judged: Escaped(&explanation.path).to_string(),
            verdict,
            because,
            from: explanation.from.map(|at| rfc3339(at, &target.zone.tz)),
            rules: rules.collect(),
            guard: explanation.guard.clone(),
            enabled: target.enabled,
        }
    }
}

/// Explanations of a path: one for each target that has a say.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::admin) struct Explanations {
    pub(in crate::admin) success: bool,
    pub(in crate::admin) explanations: Vec<Explained>,
}

/// Preview of one target, as the port and the command line give it in JSON.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Previewed {
    /// The target.
    name: String,
    /// Directory of the target.
    path: String,
    /// Entries that would go.
    would_delete: Vec<WouldGo>,
    /// Directories that would not be entered.
    skipped_directories: Vec<Skipped>,
    /// Entries that would stay because of a protection, where they were asked for.
    kept: Vec<Kept>,
    /// Whether there is more of any of the three than is listed. The report counts all of it.
    truncated: bool,
    /// The report, a `Run`.
    #[schemars(with = "Run<'static>")]
    report: Value,
}

/// Something that would go.
#[derive(Debug, Serialize, JsonSchema)]
struct WouldGo {
    /// Relative to the target, escaped.
    path: String,
    /// Apparent size in bytes, of a file.
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    /// Why it goes.
    reason: String,
    /// Set for a directory.
    #[serde(skip_serializing_if = "Option::is_none")]
    directory: Option<bool>,
}

/// A directory that would not be entered.
#[derive(Debug, Serialize, JsonSchema)]
struct Skipped {
    path: String,
    because: String,
}

/// Something that would stay.
#[derive(Debug, Serialize, JsonSchema)]
struct Kept {
    path: String,
    /// The protection's key.
    protection: Option<&'static str>,
    because: String,
}

/// Entries that stay and are listed.
#[derive(Clone, Copy, Debug, Default)]
pub enum Listed {
    /// No entry.
    #[default]
    Nothing,
    /// Entries that any protection keeps.
    All,
    /// Entries that this protection keeps.
    Only(Protection),
}

impl Listed {
    /// Whether what stays because of this is listed.
    #[must_use]
    pub fn has(self, because: &Because) -> bool {
        match (because.protection(), self) {
            (Some(_), Self::All) => true,
            (Some(protection), Self::Only(wanted)) => wanted == protection,
            _ => false,
        }
    }
}

impl Previewed {
    /// Previews one target. Each list is cut after `most`.
    pub fn of(order: &Order, control: &Control, listed: Listed, most: usize, zone: &TimeZone) -> (Report, Self) {
        let target = &order.target;
        let seen = Mutex::new(Self {
            name: target.name.to_string(),
            path: Escaped(target.path.as_os_str().as_bytes()).to_string(),
            would_delete: Vec::new(),
            skipped_directories: Vec::new(),
            kept: Vec::new(),
            truncated: false,
            report: Value::Null,
        });
        let report = sweep::preview(order, control, &|event| {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.see(event, listed, most);
        });
        let mut seen = seen.into_inner().unwrap_or_else(PoisonError::into_inner);
        seen.report = serde_json::to_value(Run::full(&report, zone)).unwrap_or_default();
        (report, seen)
    }

    fn see(&mut self, event: &Event<'_>, listed: Listed, most: usize) {
        let fits = match event {
            Event::WouldRemove { at, facts, reason } => push(&mut self.would_delete, most, || WouldGo {
                path: at.to_string(),
                size: Some(facts.size),
                reason: reason.to_string(),
                directory: None,
            }),
            Event::WouldRemoveDirectory { at, reason } => push(&mut self.would_delete, most, || WouldGo {
                path: at.to_string(),
                size: None,
                reason: reason.to_string(),
                directory: Some(true),
            }),
            Event::SkippedDirectory { at, because } => push(&mut self.skipped_directories, most, || Skipped {
                path: at.to_string(),
                because: because.to_string(),
            }),
            Event::Stays { at, because } if listed.has(because) => push(&mut self.kept, most, || Kept {
                path: at.to_string(),
                protection: because.protection().map(Protection::word),
                because: because.to_string(),
            }),
            _ => true,
        };
        self.truncated |= !fits;
    }
}

/// Adds to a list that has room, and says whether it had.
fn push<T>(list: &mut Vec<T>, most: usize, item: impl FnOnce() -> T) -> bool {
    let has_room = list.len() < most;
    if has_room {
        list.push(item());
    }
    has_room
}

/// Previews, one for each target that was asked for.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::admin) struct Previews {
    pub(in crate::admin) success: bool,
    pub(in crate::admin) targets: Vec<Previewed>,
}
