//! `janitor history`: the runs that are remembered.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use super::args::History;
use super::client::{Daemon, Failure, PATIENCE, block_on, failed, path, text};
use super::load::load;
use super::output::{self, complain};
use super::sweeps::as_json;
use super::table::table;
use super::{Done, Exit};
use crate::history;
use crate::names::OneLine;
use crate::report::about;
use crate::units::{Bytes, Span};

/// Length of the longest page that the daemon gives.
const PAGE: usize = 1000;

/// Prints the runs, newest first: as the daemon knows them, or from the disk where there is no daemon.
pub(super) fn history(config: Option<&Path>, args: &History) -> Done {
    let json = args.client.printed.json;
    let daemon = Daemon::find(config, &args.client)?;
    let mut runs = match block_on(async { Ok(asked(&daemon, args).await) })? {
        Ok(runs) => runs,
        Err(failure) if failure.is_absent && args.client.admin.is_none() => {
            if !daemon.has_no_door() {
                complain(format_args!("no daemon answers, so it is read from the disk: {}", OneLine(&failure.message)));
            }
            here(config, args)?
        }
        Err(failure) => return Err(failed(&failure, json)),
    };
    if json {
        for run in &mut runs {
            let id = run["run"].clone();
            if let Value::Object(fields) = run {
                fields.insert("id".into(), id);
            }
        }
        return output::json(&Value::Array(runs));
    }
    if runs.is_empty() {
        return output::line("no run is remembered");
    }
    let rows: Vec<Vec<String>> = runs.iter().map(row).collect();
    let head = ["started", "run", "target", "trigger", "outcome", "deleted", "failed", "freed", "took"];
    output::print(&table(&head, &rows))
}

/// Asks the daemon, page by page.
async fn asked(daemon: &Daemon, args: &History) -> Result<Vec<Value>, Failure> {
    let count = args.count as usize;
    let mut runs = Vec::new();
    let mut before: Option<String> = None;
    loop {
        let limit = PAGE.min(count - runs.len()).max(1).to_string();
        let mut parameters = vec![("limit", limit.as_str())];
        parameters.extend(args.target.as_deref().map(|target| ("target", target)));
        parameters.extend(before.as_deref().map(|before| ("before", before)));
        let page = daemon.ask("GET", &path("/cleanup/runs", &parameters), Some(PATIENCE)).await?;
        let Some(found) = page["runs"].as_array() else {
            return Err(Failure { message: text(&page, "message").to_owned(), is_absent: false });
        };
        runs.extend(found.iter().take(count - runs.len()).cloned());
        match page["next"].as_str() {
            Some(next) if runs.len() < count => before = Some(next.to_owned()),
            _ => return Ok(runs),
        }
    }
}

/// Reads the runs from the disk, without a daemon.
fn here(config: Option<&Path>, args: &History) -> Result<Vec<Value>, Exit> {
    let loaded = load(config)?;
    let settings = &loaded.config.settings;
    if !history::exists(&settings.state_dir) {
        return Ok(Vec::new());
    }
    let runs = history::runs(&settings.state_dir, args.target.as_deref(), None, args.count as usize);
    let runs = runs.map_err(|error| {
        complain(format_args!("cannot read the history: {}", OneLine(&error)));
        Exit::Failed
    })?;
    Ok(runs.iter().map(|run| json!(as_json(run, &settings.zone.tz))).collect())
}

fn row(run: &Value) -> Vec<String> {
    let number = |key: &str| run[key].as_u64().unwrap_or_default();
    // `2024-09-25T02:00:00+02:00`, in the zone of the config.
    let local = text(run, "started").get(..19).unwrap_or_default().replace('T', " ");
    let outcome = text(run, "outcome");
    let outcome = if run["dry_run"] == true { format!("{outcome} (dry run)") } else { outcome.to_owned() };
    let is_over = run["over_limits"].as_array().is_some_and(|over| !over.is_empty());
    let outcome = if is_over { format!("{outcome} (over its limit)") } else { outcome };
    let took = Duration::try_from_secs_f64(run["took_s"].as_f64().unwrap_or_default()).unwrap_or_default();
    let cells = [
        local,
        text(run, "run").to_owned(),
        text(run, "target").to_owned(),
        text(run, "trigger").to_owned(),
        outcome,
        number("deleted").to_string(),
        number("failed").to_string(),
        format!("{}{}", about(number("estimated_bytes")), Bytes(number("freed_bytes"))),
        Span(took).to_string(),
    ];
    cells.iter().map(|cell| OneLine(cell).to_string()).collect()
}
