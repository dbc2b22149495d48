//! `janitor check`: what the config says, in words.

use std::path::Path;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::args::Printed;
use super::load::{BUILT_IN, NO_TARGET, load_silently};
use super::{Done, Exit, output};
use crate::admin::{remarks, sentence};
use crate::clock;
use crate::config::Config;
use crate::names::OneLine;
use crate::target::Target;

/// How many runs ahead are told.
const RUNS: usize = 3;

fn next_runs(target: &Target, now: Timestamp, count: usize) -> Vec<String> {
    let tz = &target.zone.tz;
    let after = |at: &Timestamp| target.schedule.next_after(*at, tz);
    std::iter::successors(after(&now), after).take(count).map(|at| super::next::instant(at, tz)).collect()
}

/// Checks and prints.
pub(super) fn check(config: Option<&Path>, args: &Printed) -> Done {
    let loaded = load_silently(config, |problems| {
        if args.json {
            // What cannot be printed either has been told on stderr.
            _ = output::json(&json!({ "success": false, "error": "bad_config", "problems": problems }));
        }
    })?;
    // The daemon would not start on it either.
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
    if args.json {
        let target = |target: &Target| -> Value {
            json!({
                "name": target.name.as_str(),
                "path": target.path.to_string_lossy(),
                "schedule": target.schedule.text(),
                "timezone": target.zone.name,
                "enabled": target.enabled,
                "policy": sentence(target),
                "remarks": remarks(target, &loaded.config.sharing),
                "next_runs": next_runs(target, now, RUNS),
            })
        };
        let targets: Vec<Value> = targets.iter().map(|one| target(one)).collect();
        let shown = |path: &Path| path.to_string_lossy().into_owned();
        let (log, socket) = (settings.log.file.as_deref().map(shown), settings.admin.socket.as_deref().map(shown));
        return output::json(&json!({
            "success": true, "config": from, "base": shown(&settings.base), "state_dir": shown(&settings.state_dir),
            "log": log, "socket": socket, "targets": targets,
        }));
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
    for target in targets {
        output::foreign("")?;
        output::foreign(&format!("{}: {}", target.name, target.path.to_string_lossy()))?;
        output::foreign(&format!("  {}", sentence(target)))?;
        output::foreign(&format!("  schedule: {} ({})", target.schedule.text(), target.zone.name))?;
        for remark in remarks(target, &loaded.config.sharing) {
            output::line(format_args!("  {remark}"))?;
        }
        if target.enabled {
            for run in next_runs(target, now, RUNS) {
                output::line(format_args!("  next run: {run}"))?;
            }
        }
    }
    Ok(())
}
