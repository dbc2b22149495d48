//! `janitor trash`: the files that runs have put into the trash.

use std::io::{self, IsTerminal, Write};
use std::sync::Arc;

use serde_json::{Value, json};

use super::args::Trash as TrashArgs;
use super::load::{Loaded, complain_as_user, foreign_state, load};
use super::output::{self, complain};
use super::table::table;
use super::{Done, Exit};
use crate::config::{LogSettings, Rotation};
use crate::daemon::LogHealth;
use crate::fsys::{TrashedRun, Weight};
use crate::logging::{self, Terminal};
use crate::sweep::{self, Beside, Note};
use crate::units::Bytes;

/// One run in a trash.
struct Trashed<'a> {
    beside: &'a Beside,
    run: TrashedRun,
    note: Note,
    weight: Weight,
}

/// Lists what is in the trash, or empties it.
pub(super) fn trash(config: Option<&std::path::Path>, args: &TrashArgs) -> Done {
    let loaded = load(config)?;
    let state_dir = &loaded.config.settings.state_dir;
    if let Some(owner) = foreign_state(state_dir).filter(|_| args.empty) {
        complain_as_user(state_dir, owner, "its trash is emptied as that user");
        return Err(Exit::Failed);
    }
    let mut done = Ok(());
    let trashes = sweep::trashes(&loaded.config.targets, |why| {
        complain(why);
        done = Err(Exit::Failed);
    });
    let (mut found, complete) = find(&trashes, args);
    done = done.and(complete);
    if args.empty && !found.is_empty() {
        agreed(&found, args)?;
        done = done.and(purge(&loaded, &mut found));
    }
    print(&loaded, &found, args)?;
    done
}

/// Finds the runs that are asked for, and weighs them.
fn find<'a>(trashes: &'a [Beside], args: &TrashArgs) -> (Vec<Trashed<'a>>, Done) {
    let mut done = Ok(());
    let mut found = Vec::new();
    for beside in trashes {
        let runs = beside.runs(complain).unwrap_or_else(|error| {
            complain(format_args!("a trash cannot be read: {error}"));
            done = Err(Exit::Failed);
            Vec::new()
        });
        for (run, note) in runs {
            if args.target.as_deref().is_some_and(|name| name != note.target.as_str()) {
                continue;
            }
            match beside.trash.weigh(&run) {
                Ok(weight) => found.push(Trashed { beside, run, note, weight }),
                Err(error) => {
                    complain(format_args!("{}: {error}", run.id()));
                    done = Err(Exit::Failed);
                }
            }
        }
    }
    (found, done)
}

fn sum(found: &[Trashed<'_>]) -> Weight {
    found.iter().fold(Weight::default(), |sum, one| Weight {
        files: sum.files + one.weight.files,
        bytes: sum.bytes + one.weight.bytes,
    })
}

/// Asks whether the runs are to go for good, unless `--yes` has said so.
fn agreed(found: &[Trashed<'_>], args: &TrashArgs) -> Done {
    if args.yes {
        return Ok(());
    }
    let Weight { files, bytes } = sum(found);
    let what = format!("{files} file(s) of {} run(s), {}, for good", found.len(), Bytes(bytes));
    if args.printed.json || !io::stdin().is_terminal() {
        complain(format_args!("this removes {what}; nothing was removed, since nobody can be asked: add --yes"));
        return Err(Exit::Usage);
    }
    // Where stderr is gone, nobody answers either.
    _ = write!(io::stderr(), "janitor: remove {what}? [y/N] ");
    let mut answer = String::new();
    let read = io::stdin().read_line(&mut answer);
    if read.is_ok() && matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes") {
        return Ok(());
    }
    complain("nothing was removed");
    Err(Exit::Failed)
}

/// Removes the runs for good, each with a line in the log. A run that cannot be removed is reported, and left out.
fn purge(loaded: &Loaded, found: &mut Vec<Trashed<'_>>) -> Done {
    // Rotating the log is the business of the daemon, which may run as somebody else.
    let settings = &loaded.config.settings;
    let log = LogSettings { rotation: Rotation::Never, ..settings.log.clone() };
    // Without its log the work is done all the same. That the file cannot be written has been reported.
    drop(logging::install(&log, &settings.zone.tz, Arc::new(LogHealth::default()), Terminal::Off));
    let mut done = Ok(());
    found.retain_mut(|one| match one.beside.trash.purge(&one.run) {
        Ok(weight) => {
            let (target, run, size) = (&one.note.target, one.run.id(), Bytes(weight.bytes));
            tracing::info!(
                target_name = %target,
                "Purged from the trash, as `janitor trash --empty` asked: {} files of run {run}, {size}", weight.files
            );
            one.weight = weight;
            true
        }
        Err(error) => {
            tracing::error!(target_name = %one.note.target, "Failed to purge run {} from the trash: {error}", one.run.id());
            complain(format_args!("{}: {error}", one.run.id()));
            done = Err(Exit::Failed);
            false
        }
    });
    done
}

fn print(loaded: &Loaded, found: &[Trashed<'_>], args: &TrashArgs) -> Done {
    let until = |one: &Trashed<'_>| super::next::instant(one.note.until(), &loaded.config.settings.zone.tz);
    if args.printed.json {
        let listed = found.iter().map(|one| {
            json!({
                "run": one.run.id(), "target": one.note.target.as_str(), "files": one.weight.files,
                "bytes": one.weight.bytes, "until": until(one), "purged": args.empty,
            })
        });
        return output::json(&Value::Array(listed.collect()));
    }
    if found.is_empty() {
        return output::line("the trash is empty");
    }
    let row = |one: &Trashed<'_>| {
        let Weight { files, bytes } = one.weight;
        vec![
            one.run.id().to_owned(),
            one.note.target.to_string(),
            files.to_string(),
            Bytes(bytes).to_string(),
            until(one),
        ]
    };
    let rows: Vec<Vec<String>> = found.iter().map(row).collect();
    output::print(&table(&["run", "target", "files", "size", "kept until"], &rows))?;
    let what = if args.empty { "purged" } else { "in all" };
    let Weight { files, bytes } = sum(found);
    output::line(format_args!("{what}: {files} file(s), {}", Bytes(bytes)))
}
