//! `janitor undo`: the way back from the trash.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};

use super::args::Undo;
use super::client::{Daemon, block_on, failed, text};
use super::load::{complain_as_user, foreign_state, load};
use super::output::{self, complain};
use super::{Done, Exit};
use crate::clock;
use crate::names::{OneLine, RunId};
use crate::sweep;

/// Maximum number of lines that tell what stays in the trash.
const TOLD: usize = 20;

/// Puts the files of a run back: through the daemon, or in this process where there is no daemon.
pub(super) fn undo(config: Option<&Path>, args: &Undo) -> Done {
    let Some(run) = RunId::parse(&args.run) else {
        complain("this is not the id of a run; `janitor trash` lists those whose files can be put back");
        return Err(Exit::Usage);
    };
    let json = args.client.printed.json;
    let daemon = Daemon::find(config, &args.client)?;
    // Many files take a while.
    let asked = block_on(async { Ok(daemon.ask("POST", &format!("/cleanup/runs/{run}/undo"), None).await) })?;
    let answer = match asked {
        Ok(answer) => answer,
        Err(failure) if failure.is_absent && args.client.admin.is_none() => {
            if !daemon.has_no_door() {
                complain(format_args!("no daemon answers, so it is done here: {}", OneLine(&failure.message)));
            }
            here(config, &run)?
        }
        Err(failure) => return Err(failed(&failure, json)),
    };
    told(&answer, json)
}

/// Puts the files back without a daemon. Returns the result in the daemon's words.
fn here(config: Option<&Path>, run: &RunId) -> Result<Value, Exit> {
    let loaded = load(config)?;
    let state_dir = &loaded.config.settings.state_dir;
    if let Some(owner) = foreign_state(state_dir) {
        complain_as_user(state_dir, owner, "no daemon answers");
        return Err(Exit::Failed);
    }
    Ok(match sweep::undo(&loaded.config.targets, run, clock::wall()) {
        Ok((target, put)) => json!({
            "success": put.occupied.is_empty() && put.failed.is_empty(),
            "run": run.as_str(),
            "target": target.name.as_str(),
            "restored": put.restored,
            "occupied": put.occupied,
            "failed": put.failed,
        }),
        Err(error) => json!({ "success": false, "error": "cannot_undo", "message": error.to_string() }),
    })
}

fn told(answer: &Value, json: bool) -> Done {
    let list = |key: &str| answer[key].as_array().into_iter().flatten().filter_map(Value::as_str);
    if json {
        output::json(answer)?;
    } else if let Some(restored) = answer["restored"].as_u64() {
        let target = text(answer, "target");
        output::foreign(&format!("{target}: {restored} file(s) are back; for a day no run takes them again"))?;
        // Many files mostly have one and the same thing in their way.
        let shown: BTreeSet<&str> = list("occupied").take(TOLD).collect();
        for path in shown {
            complain(format_args!("stays in the trash, its place is taken: {}", OneLine(path)));
        }
        if let Some(more) = list("occupied").count().checked_sub(TOLD).filter(|more| *more > 0) {
            complain(format_args!("… and {more} more whose places are taken"));
        }
        for why in list("failed").take(TOLD) {
            complain(format_args!("stays in the trash: {}", OneLine(why)));
        }
    } else {
        complain(OneLine(text(answer, "message")));
    }
    if answer["success"] == true { Ok(()) } else { Err(Exit::Failed) }
}
