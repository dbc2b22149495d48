//! `janitor check`: the meaning of the config, in words.

use std::collections::BTreeMap;
use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::args::Check as CheckArgs;
use super::load::{BUILT_IN, NO_TARGET, load_silently};
use super::{Done, Exit, output};
use crate::admin::{remarks, sentence};
use crate::clock;
use crate::config::Config;
use crate::fsys;
use crate::history;
use crate::judge;
use crate::names::{OneLine, TargetName};
use crate::report::{LimitKey, Remark};
use crate::sweep::near_miss_of;
use crate::target::Target;

/// Maximum number of past runs searched for one that tells how its target stands.
const RUNS_BACK: usize = 50;

/// Number of coming runs that are listed.
const RUNS: usize = 3;

fn next_runs(target: &Target, now: Timestamp, count: usize) -> Vec<String> {
    let tz = &target.zone.tz;
    let after = |at: &Timestamp| target.schedule.next_after(*at, tz);
    std::iter::successors(after(&now), after).take(count).map(|at| super::next::instant(at, tz)).collect()
}

/// Checks the config and prints its meaning.
pub(super) fn check(config: Option<&Path>, args: &CheckArgs) -> Done {
    let json = args.printed.json;
    let loaded = load_silently(config, |problems| {
        if json {
            // A failure to print has been reported on stderr by then.
            _ = output::json(&json!({ "success": false, "error": "bad_config", "problems": problems }));
        }
    })?;
    // The daemon would not start on this config either.
    if let Err(error) = super::run::token(&loaded.config.settings.admin) {
        output::complain(error);
        return Err(Exit::Config);
    }
    let now = clock::wall();
    let from = if loaded.text.is_some() { loaded.source.shown.as_str() } else { BUILT_IN };
    let Config { settings, targets, .. } = &loaded.config;
    if targets.is_empty() {
        output::complain(NO_TARGET);
    }
    let mut troubles: BTreeMap<&TargetName, Vec<String>> =
        targets.iter().map(|target| (&target.name, troubles(&settings.state_dir, target))).collect();
    troubles.retain(|_, troubles| !troubles.is_empty());
    let of = |target: &Target| troubles.get(&target.name).map(Vec::as_slice).unwrap_or_default();
    let strictly = if args.strict && !troubles.is_empty() { Err(Exit::Failed) } else { Ok(()) };
    if json {
        let target = |target: &Target| -> Value {
            json!({
                "name": target.name.as_str(),
                "path": target.path.to_string_lossy(),
                "schedule": target.schedule.text(),
                "timezone": target.zone.name,
                "enabled": target.enabled,
                "policy": sentence(target),
                "remarks": remarks(target, &loaded.config.sharing),
                "last_run": of(target),
                "next_runs": next_runs(target, now, RUNS),
            })
        };
        let targets: Vec<Value> = targets.iter().map(|one| target(one)).collect();
        let shown = |path: &Path| path.to_string_lossy().into_owned();
        let (log, socket) = (settings.log.file.as_deref().map(shown), settings.admin.socket.as_deref().map(shown));
        output::json(&json!({
            "success": strictly.is_ok(), "config": from, "base": shown(&settings.base), "state_dir": shown(&settings.state_dir),
            "log": log, "socket": socket, "opening": fsys::opening().word(),
            "sandbox_problem": fsys::unconfinable(), "targets": targets,
        }))?;
        return strictly;
    }
    output::line(format_args!("config: {} is good, {} target(s)", OneLine(from), targets.len()))?;
    for (what, path) in [
        ("relative paths start at", Some(&settings.base)),
        ("state", Some(&settings.state_dir)),
        ("log", settings.log.file.as_ref()),
        ("socket", settings.admin.socket.as_ref()),
    ] {
        output::foreign(&format!("  {what}: {}", path.map_or("off".into(), |path| path.to_string_lossy())))?;
    }
    output::line(format_args!("  below a target, directories are opened with: {}", fsys::opening()))?;
    let why = fsys::unconfinable();
    let sandbox = why.map_or("Landlock, where the kernel has it".to_owned(), |why| format!("none: {why}"));
    output::line(format_args!("  sandbox: {sandbox}"))?;
    for target in targets {
        output::foreign("")?;
        output::foreign(&format!("{}: {}", target.name, target.path.to_string_lossy()))?;
        output::foreign(&format!("  {}", sentence(target)))?;
        output::foreign(&format!("  schedule: {} ({})", target.schedule.text(), target.zone.name))?;
        for remark in remarks(target, &loaded.config.sharing) {
            output::line(format_args!("  {remark}"))?;
        }
        for trouble in of(target) {
            output::complain(format_args!("{}: {}", target.name, OneLine(trouble)));
        }
        if target.enabled {
            for run in next_runs(target, now, RUNS) {
                output::line(format_args!("  next run: {run}"))?;
            }
        }
    }
    strictly
}

/// Returns what the last run with measurements says of a target: limits that it is over, and excludes that miss. Where
/// nothing is remembered, nothing is known.
fn troubles(state_dir: &Path, target: &Target) -> Vec<String> {
    if !history::exists(state_dir) {
        return Vec::new();
    }
    let runs = match history::runs(state_dir, Some(target.name.as_str()), None, RUNS_BACK) {
        Ok(runs) => runs,
        Err(why) => {
            output::complain(format_args!("{}: its last run is not known: {}", target.name, OneLine(&why)));
            return Vec::new();
        }
    };
    let Some(last) = runs.iter().find(|run| run.has_measured()) else { return Vec::new() };
    // A limit or exclude that the config has no more is no trouble any more.
    let policy = &target.policy;
    let has = |key: &LimitKey| judge::limits_of(policy).any(|limit| limit == *key);
    let over = last.over_limits().into_iter().zip(last.unmet.keys()).filter(|(_, limit)| has(limit));
    let is_missed = |remark: &&Remark| policy.globs.exclude().any(|exclude| near_miss_of(exclude, remark));
    let missed = last.remarks.iter().filter(is_missed).map(|remark| remark.text().to_owned());
    over.map(|(over, _)| format!("over its limit: {over}")).chain(missed).collect()
}
