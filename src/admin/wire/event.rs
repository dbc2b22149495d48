//! The data of server-sent events.

use std::sync::atomic::Ordering;

use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Serialize;

use super::rfc3339;
use crate::daemon::{Rejection, Reloaded, RunningStatus};
use crate::history::Hold;
use crate::names::TargetName;
use crate::sweep::Order;

/// `run_started`: a run has begun.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "RunStarted")]
pub(in crate::admin) struct Started<'a> {
    at: String,
    run: &'a str,
    target: &'a str,
    /// `schedule`, `catch-up` or `manual`.
    trigger: String,
    dry_run: bool,
}

impl<'a> Started<'a> {
    pub(in crate::admin) fn new(order: &'a Order, zone: &TimeZone) -> Self {
        Self {
            at: rfc3339(order.now, zone),
            run: order.run.as_str(),
            target: order.target.name.as_str(),
            trigger: order.trigger.to_string(),
            dry_run: order.is_dry(),
        }
    }
}

/// `progress`: what a run has counted so far.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Progress")]
pub(in crate::admin) struct Progressed<'a> {
    run: &'a str,
    target: &'a str,
    /// Entries read in surveys, before anything is removed.
    surveyed: u64,
    examined: u64,
    deleted: u64,
    freed_bytes: u64,
    failed: u64,
}

impl<'a> Progressed<'a> {
    pub(in crate::admin) fn new(target: &'a TargetName, running: &'a RunningStatus) -> Self {
        let progress = &running.progress;
        Self {
            run: running.run.as_str(),
            target: target.as_str(),
            surveyed: progress.surveyed.load(Ordering::Relaxed),
            examined: progress.examined.load(Ordering::Relaxed),
            deleted: progress.deleted.load(Ordering::Relaxed),
            freed_bytes: progress.freed.load(Ordering::Relaxed),
            failed: progress.failed.load(Ordering::Relaxed),
        }
    }
}

/// `held`: a guard has refused a run as a whole.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Held")]
pub(in crate::admin) struct HeldEvent<'a>(super::Waiting<'a>);

impl<'a> HeldEvent<'a> {
    pub(in crate::admin) fn new(hold: &'a Hold, zone: &TimeZone) -> Self {
        Self(super::Waiting::new(hold, zone))
    }
}

/// `released`: a held run was released.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::admin) struct Released<'a> {
    pub(in crate::admin) at: String,
    pub(in crate::admin) run: &'a str,
    pub(in crate::admin) target: &'a str,
}

/// `reload`: the config was read, and is in force.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "Reload")]
pub(in crate::admin) struct ReloadEvent {
    at: String,
    generation: u64,
    added: usize,
    changed: usize,
    removed: usize,
    changed_anything: bool,
}

impl ReloadEvent {
    pub(in crate::admin) fn new(at: String, reloaded: &Reloaded) -> Self {
        let Reloaded { generation, added, changed, removed, any_change } = *reloaded;
        Self { at, generation, added, changed, removed, changed_anything: any_change }
    }
}

/// `config_rejected`: the config was read, and is not put in force.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::admin) struct ConfigRejected<'a> {
    at: String,
    problems: &'a [String],
    shown: &'a str,
}

impl<'a> ConfigRejected<'a> {
    pub(in crate::admin) fn new(rejection: &'a Rejection, zone: &TimeZone) -> Self {
        Self { at: rfc3339(rejection.at, zone), problems: &rejection.problems, shown: &rejection.shown }
    }
}

/// `schedule`: it was started or stopped.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::admin) struct ScheduleSwitched<'a> {
    pub(in crate::admin) at: String,
    /// The target; null for all of them.
    pub(in crate::admin) target: Option<&'a str>,
    /// Whether it runs now.
    pub(in crate::admin) running: bool,
}

/// `reset`: what came since the last event that was seen is not known any more, so everything is to be fetched anew.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::admin) struct Reset {}
