//! `janitor history`: what the state remembers of runs.

use std::path::Path;

use serde_json::{Value, json};

use super::args::History;
use super::load::load;
use super::output::{self, complain};
use super::sweeps::as_json;
use super::table::table;
use super::{Done, Exit};
use crate::history;
use crate::names::OneLine;
use crate::report::Report;
use crate::units::{Bytes, Span};

/// Prints the runs, newest first.
pub(super) fn history(config: Option<&Path>, args: &History) -> Done {
    let loaded = load(config)?;
    let settings = &loaded.config.settings;
    let target = args.target.as_deref();
    let runs = if history::exists(&settings.state_dir) {
        history::runs(&settings.state_dir, target, None, args.count as usize).map_err(|error| {
            complain(format_args!("cannot read the history: {}", OneLine(&error)));
            Exit::Failed
        })?
    } else {
        Vec::new()
    };
    if args.printed.json {
        let with = |run: &Report| {
            let mut value = as_json(run, &settings.zone.tz);
            if let Value::Object(fields) = &mut value {
                fields.insert("id".into(), json!(run.run.as_str()));
            }
            value
        };
        return output::json(&Value::Array(runs.iter().map(with).collect()));
    }
    if runs.is_empty() {
        return output::line("no run is remembered");
    }
    let row = |run: &Report| {
        let local = run.started.to_zoned_datetime(settings.zone.tz.clone()).strftime("%Y-%m-%d %H:%M:%S").to_string();
        let what = if run.dry_run { format!("{} (dry run)", run.outcome) } else { run.outcome.to_string() };
        vec![
            local,
            run.run.to_string(),
            run.target.to_string(),
            run.trigger.to_string(),
            what,
            run.counts.deleted.to_string(),
            run.counts.failed.to_string(),
            Bytes(run.counts.freed).to_string(),
            Span(run.took).to_string(),
        ]
    };
    let rows: Vec<Vec<String>> = runs.iter().map(row).collect();
    let head = ["started", "run", "target", "trigger", "outcome", "deleted", "failed", "freed", "took"];
    output::print(&table(&head, &rows))
}
