//! `janitor status`: the state of the daemon and its targets.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::time::sleep;

use super::args::Status;
use super::client::{Daemon, PATIENCE, block_on, failed, path, print, text};
use super::output;
use super::table::table;
use super::{Done, Exit};
use crate::names::OneLine;
use crate::report::about;
use crate::units::Bytes;

/// Interval at which `status --watch` asks.
const WATCH: Duration = Duration::from_secs(30);

/// File systems of targets, by the names of the targets.
type Disks = BTreeMap<String, Value>;

/// Asks how full the file systems are. Where the daemon does not tell, the status goes without them.
async fn disks(daemon: &Daemon) -> Disks {
    let mut disks = Disks::new();
    let mut after: Option<String> = None;
    loop {
        let from = after.as_deref().map(|after| ("after", after));
        let parameters: Vec<_> = [("limit", "1000")].into_iter().chain(from).collect();
        let page = daemon.ask("GET", &path("/cleanup/targets", &parameters), Some(PATIENCE)).await;
        let Ok(page) = page else { return disks };
        for target in page["targets"].as_array().into_iter().flatten().filter(|target| target["disk"].is_object()) {
            disks.insert(text(target, "name").to_owned(), target["disk"].clone());
        }
        match page["next"].as_str() {
            Some(next) if after.as_deref() != Some(next) => after = Some(next.to_owned()),
            _ => return disks,
        }
    }
}

/// Formats the space that is free, against the watermark.
fn free(disk: &Value) -> String {
    let bytes = |key: &str| disk[key].as_u64();
    let available = bytes("available_bytes").unwrap_or_default();
    match bytes("min_free_bytes") {
        Some(least) if available < least => format!("{}, BELOW min_free {}", Bytes(available), Bytes(least)),
        Some(least) => format!("{} (min_free {})", Bytes(available), Bytes(least)),
        None => Bytes(available).to_string(),
    }
}

/// Formats the state of a target, and how far its run is.
fn state(target: &Value) -> String {
    let state = text(target, "state");
    match target["running"]["deleted"].as_u64() {
        Some(deleted) => format!("{state}, {deleted} gone"),
        None => state.to_owned(),
    }
}

/// Runs `janitor status`.
pub(super) fn status(config: Option<&Path>, args: &Status) -> Done {
    let daemon = Daemon::find(config, &args.client)?;
    let json = args.client.printed.json;
    block_on(async {
        loop {
            let done = match daemon.ask("GET", "/cleanup/status", Some(PATIENCE)).await {
                Ok(answer) => {
                    let disks = if json { Disks::new() } else { disks(&daemon).await };
                    print(&answer, json, |answer| show_status(answer, &disks))
                }
                Err(failure) => Err(failed(&failure, json)),
            };
            // Whoever watches wants to see the daemon come back.
            if !args.watch || done == Err(Exit::Ok) {
                return done;
            }
            sleep(WATCH).await;
            output::line("")?;
        }
    })
}

fn show_status(answer: &Value, disks: &Disks) -> Done {
    let status = &answer["scheduler_status"];
    let running = if status["is_running"] == true { "the schedule is running" } else { "the schedule is stopped" };
    let next = status["next_run"].as_str().map(|next| format!(", next run {next}")).unwrap_or_default();
    output::foreign(&format!("janitor {}: {running}{next}", text(status, "version")))?;
    let config = &status["config"];
    if let Some(problems) = config["rejection"]["problems"].as_array() {
        output::foreign(&format!(
            "CONFIG REJECTED at {}, the last good one is in force since {}:",
            text(&config["rejection"], "at"),
            text(config, "in_force_since")
        ))?;
        // The text has each line of the config, with a caret below what is wrong.
        match config["rejection"]["shown"].as_str() {
            Some(shown) => shown.lines().try_for_each(|line| output::foreign(&format!("  {line}")))?,
            None => {
                let mut problems = problems.iter().filter_map(Value::as_str);
                problems.try_for_each(|problem| output::foreign(&format!("  {problem}")))?;
            }
        }
    }
    for key in config["needs_restart"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        output::foreign(&format!("{key} has a new value that waits for a restart"))?;
    }
    for failure in config["not_applied"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        output::foreign(&format!("COULD NOT BE APPLIED: {failure}"))?;
    }
    for hold in status["holds"].as_array().into_iter().flatten() {
        let (target, run, why) = (text(hold, "target"), text(hold, "run"), text(hold, "why"));
        output::foreign(&format!("HELD: {target}: {why}; to run it all the same: janitor release {run}"))?;
    }
    if let Some(why) = status["clock_problem"].as_str() {
        output::foreign(&format!("THE CLOCK IS NOT TRUSTED, runs that ask for ages are held: {why}"))?;
    }
    if let Some(why) = status["state"]["stop_unknown"].as_str() {
        output::foreign(&format!(
            "NOBODY CAN SAY WHAT WAS STOPPED, so everything is; to start it: janitor start: {why}"
        ))?;
    }
    if let Some(why) = status["state"]["stop_not_kept"].as_str() {
        output::foreign(&format!("WHAT IS STOPPED IS NOT WRITTEN DOWN, a restart forgets it: {why}"))?;
    }
    for task in status["dead_tasks"].as_array().into_iter().flatten() {
        output::foreign(&format!("DEAD, and started anew: {}: {}", text(task, "name"), text(task, "why")))?;
    }
    if let Some(why) = status["kernel"]["sandbox_problem"].as_str() {
        output::foreign(&format!("NO SWEEP HAS A SANDBOX: {why}"))?;
    }
    if let Some(error) = status["state"]["error"].as_str() {
        output::foreign(&format!("NOTHING IS REMEMBERED: {error}"))?;
    }
    if let Some(error) = status["log"]["error"].as_str() {
        output::foreign(&format!(
            "THE LOG CANNOT BE WRITTEN ({} records lost): {error}",
            status["log"]["lost_records"]
        ))?;
    }
    if let Some(owner) = status["trusted_owner"].as_str() {
        output::foreign(&format!("files of owner {owner} are trusted (--trust-owner)"))?;
    }
    for target in status["targets"].as_array().into_iter().flatten() {
        let over = target["over_limits"].as_array().into_iter().flatten().filter_map(Value::as_str);
        for over in over {
            output::complain(format_args!("{}: over its limit: {}", OneLine(text(target, "name")), OneLine(over)));
        }
    }
    let row = |target: &Value| {
        let last = &target["last_run"];
        let bytes = |value: &Value| value.as_u64().map(|bytes| Bytes(bytes).to_string());
        let number = |value: &Value| value.as_u64().map(|number| number.to_string());
        let cells = [
            Some(text(target, "name").to_owned()),
            Some(state(target)),
            target["next_run"].as_str().map(str::to_owned),
            last["outcome"].as_str().map(str::to_owned),
            number(&last["deleted"]),
            bytes(&last["freed_bytes"])
                .map(|freed| about(last["estimated_bytes"].as_u64().unwrap_or_default()).to_owned() + &freed),
            disks.get(text(target, "name")).map(free),
        ];
        cells.into_iter().map(|cell| OneLine(&cell.unwrap_or_else(|| "-".to_owned())).to_string()).collect()
    };
    let rows: Vec<Vec<String>> = status["targets"].as_array().into_iter().flatten().map(row).collect();
    output::print(&table(&["target", "state", "next run", "last run", "deleted", "freed", "free on disk"], &rows))
}
