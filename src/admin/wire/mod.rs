//! The JSON of the admin port. Each type is declared here once: it is what is sent, and what `/openapi.json` says.
//!
//! Instants are RFC 3339 with an offset, in the zone of the daemon; only the `next_run`s are written as scripts know
//! them, local time without one. What is open to everybody names no files; what needs a caller who may change
//! something may.

mod event;
mod look;
mod run;
mod status;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Serialize;

pub(super) use event::{
    ConfigRejected, HeldEvent, Progressed, Released, ReloadEvent, Reset, ScheduleSwitched, Started,
};
pub use look::{Explained, Listed, Previewed, Rule};
pub(super) use look::{Explanations, Previews};
pub use run::Run;
pub(super) use run::{InTrash, ManualDone, ManualRun, OneRun, RunFinished, RunRef, Runs, UndoDone, Waiting};
pub(super) use status::{Disk, OneTarget, StatusAnswer, TargetDetail, Targets};

use crate::daemon::Busy;

/// `2024-09-25 02:00:00`.
pub(super) fn local(instant: Timestamp, zone: &TimeZone) -> String {
    instant.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// `2024-09-25T02:00:00+02:00`.
pub(super) fn rfc3339(instant: Timestamp, zone: &TimeZone) -> String {
    instant.to_zoned_datetime(zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
}

/// An error.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Error")]
pub(super) struct Refused<'a> {
    /// Always false.
    success: bool,
    /// Name of the error, for programs.
    error: &'static str,
    /// The same for people.
    message: String,
    /// The runs that are in the way.
    #[serde(skip_serializing_if = "Option::is_none")]
    runs: Option<Vec<RunRef>>,
    /// Problems of the config, one line each.
    #[serde(skip_serializing_if = "Option::is_none")]
    problems: Option<&'a [String]>,
}

impl<'a> Refused<'a> {
    pub(super) fn new(error: &'static str, message: impl Into<String>) -> Self {
        Self { success: false, error, message: message.into(), runs: None, problems: None }
    }

    pub(super) fn with_runs(self, busy: &[Busy]) -> Self {
        Self { runs: Some(busy.iter().map(RunRef::from).collect()), ..self }
    }

    pub(super) fn with_problems(self, problems: &'a [String]) -> Self {
        Self { problems: Some(problems), ..self }
    }
}

/// Something was done.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Done {
    pub(super) success: bool,
    /// The change, in words for people.
    pub(super) message: String,
    /// Why that cannot be written down, so that a restart of the daemon forgets it; only there where that is so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) not_kept: Option<String>,
}

/// `/healthz` and `/readyz`.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Well {
    pub(super) success: bool,
    /// `ok` or `ready`.
    pub(super) status: &'static str,
}

/// Changes that a reload made.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct ReloadDone {
    pub(super) success: bool,
    pub(super) message: &'static str,
    /// The generation in force now.
    pub(super) generation: u64,
    /// Targets that are new.
    pub(super) added: usize,
    /// Targets whose policy or schedule changed.
    pub(super) changed: usize,
    /// Targets that are gone.
    pub(super) removed: usize,
    /// Whether anything differed at all.
    pub(super) changed_anything: bool,
}
