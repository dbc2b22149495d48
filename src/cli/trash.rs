//! `janitor trash` and `janitor undo`: what runs have put into the trash, and back from it.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::args::{Trash as TrashArgs, Undo};
use super::load::load;
use super::output::{self, complain};
use super::table::table;
use super::{Done, Exit};
use crate::clock;
use crate::fsys::{PutBack, Weight};
use crate::names::{OneLine, RunId};
use crate::sweep;
use crate::target::Target;
use crate::units::Bytes;

/// Lists what is in the trash, or empties it.
pub(super) fn trash(config: Option<&std::path::Path>, args: &TrashArgs) -> Done {
    let loaded = load(config)?;
    let zone = &loaded.config.settings.zone.tz;
    let mut done = Ok(());
    let (mut listed, mut rows, mut sum) = (Vec::<Value>::new(), Vec::new(), Weight::default());
    for beside in sweep::trashes(&loaded.config.targets, complain) {
        let runs = beside.runs(complain).unwrap_or_else(|error| {
            complain(format_args!("a trash cannot be read: {error}"));
            done = Err(Exit::Failed);
            Vec::new()
        });
        for (run, note) in runs {
            if args.target.as_deref().is_some_and(|name| name != note.target.as_str()) {
                continue;
            }
            let weighed = if args.empty { beside.trash.purge(&run) } else { beside.trash.weigh(&run) };
            let weight = match weighed {
                Ok(weight) => weight,
                Err(error) => {
                    complain(format_args!("{}: {error}", run.id()));
                    done = Err(Exit::Failed);
                    continue;
                }
            };
            sum.files += weight.files;
            sum.bytes += weight.bytes;
            let until = super::next::instant(note.until(), zone);
            listed.push(json!({
                "run": run.id(), "target": note.target.as_str(), "files": weight.files, "bytes": weight.bytes,
                "until": until, "purged": args.empty,
            }));
            let files = weight.files.to_string();
            rows.push(vec![
                run.id().to_owned(),
                note.target.to_string(),
                files,
                Bytes(weight.bytes).to_string(),
                until,
            ]);
        }
    }
    if args.printed.json {
        output::json(&Value::Array(listed))?;
        return done;
    }
    if rows.is_empty() {
        output::line("the trash is empty")?;
        return done;
    }
    output::print(&table(&["run", "target", "files", "size", "kept until"], &rows))?;
    let what = if args.empty { "purged" } else { "in all" };
    output::line(format_args!("{what}: {} file(s), {}", sum.files, Bytes(sum.bytes)))?;
    done
}

/// Puts the files of a run back.
pub(super) fn undo(config: Option<&std::path::Path>, args: &Undo) -> Done {
    let Some(run) = RunId::parse(&args.run) else {
        complain("this is not the id of a run; `janitor trash` lists those whose files can be put back");
        return Err(Exit::Usage);
    };
    let loaded = load(config)?;
    let (target, put) = sweep::undo(&loaded.config.targets, &run, clock::wall()).map_err(|error| {
        complain(error);
        Exit::Failed
    })?;
    told(&run, &target, &put, args.printed.json)
}

fn told(run: &RunId, target: &Target, put: &PutBack, json: bool) -> Done {
    let PutBack { restored, occupied, failed } = put;
    let success = occupied.is_empty() && failed.is_empty();
    if json {
        output::json(&json!({
            "success": success, "run": run.as_str(), "target": target.name.as_str(), "restored": restored,
            "occupied": occupied, "failed": failed,
        }))?;
    } else {
        output::line(format_args!("{}: {restored} file(s) are back; for a day no run takes them again", target.name))?;
        // What is in the way of many files is mostly one thing.
        let shown: BTreeSet<&String> = occupied.iter().take(20).collect();
        for path in shown {
            complain(format_args!("stays in the trash, its place is taken: {path}"));
        }
        if occupied.len() > 20 {
            complain(format_args!("… and {} more whose places are taken", occupied.len() - 20));
        }
        for why in failed.iter().take(20) {
            complain(format_args!("stays in the trash: {}", OneLine(why)));
        }
    }
    if success { Ok(()) } else { Err(Exit::Failed) }
}
