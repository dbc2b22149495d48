//! `janitor trash` and `janitor undo`: what runs have put into the trash, and back from it.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use serde_json::{Value, json};

use super::args::{Trash as TrashArgs, Undo};
use super::load::{Loaded, load};
use super::output::{self, complain};
use super::table::table;
use super::{Done, Exit};
use crate::clock;
use crate::fsys::{self, PutBack, Trash, TrashedRun, Weight};
use crate::names::{OneLine, RunId};
use crate::sweep::{Note, note_restored};
use crate::target::Target;
use crate::units::Bytes;

/// One trash, and the targets whose runs may be in it.
struct Beside {
    trash: Trash,
    targets: Vec<(Arc<Target>, PathBuf)>,
}

/// The trashes of the config's targets that are there.
fn all(loaded: &Loaded) -> Vec<Beside> {
    let mut found: Vec<(PathBuf, Beside)> = Vec::new();
    for target in &loaded.config.targets {
        let Ok(root) = fsys::resolve(&target.path, false) else { continue };
        let Some(parent) = root.path.parent().map(PathBuf::from) else { continue };
        let with = (target.clone(), root.path.clone());
        if let Some((_, beside)) = found.iter_mut().find(|(known, _)| *known == parent) {
            beside.targets.push(with);
            continue;
        }
        match Trash::beside(&root.path, false) {
            Ok(trash) => found.push((parent, Beside { trash, targets: vec![with] })),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => complain(format_args!("{}: the trash cannot be used: {error}", target.name)),
        }
    }
    found.into_iter().map(|(_, beside)| beside).collect()
}

/// A run in a trash, with its note.
fn runs(beside: &Beside) -> Vec<(TrashedRun, Note)> {
    let runs = beside.trash.runs().unwrap_or_else(|error| {
        complain(format_args!("a trash cannot be read: {error}"));
        Vec::new()
    });
    runs.into_iter()
        .filter_map(|run| {
            let note = Note::of(&run);
            // A run that was killed while it wrote its note has nothing in the trash.
            if note.is_none() && !beside.trash.is_bare(&run).is_ok_and(|bare| bare) {
                complain(format_args!(
                    "the note of `{}` in the trash cannot be read; its files are left there",
                    run.id()
                ));
            }
            note.map(|note| (run, note))
        })
        .collect()
}

/// Lists what is in the trash, or empties it.
pub(super) fn trash(config: Option<&std::path::Path>, args: &TrashArgs) -> Done {
    let loaded = load(config)?;
    let zone = &loaded.config.settings.zone.tz;
    let mut done = Ok(());
    let (mut listed, mut rows, mut sum) = (Vec::<Value>::new(), Vec::new(), Weight::default());
    for beside in all(&loaded) {
        for (run, note) in runs(&beside) {
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
    for beside in all(&loaded) {
        let found = beside.trash.run(run.as_str()).map_err(|error| {
            complain(format_args!("{run}: {error}"));
            Exit::Failed
        })?;
        let Some((trashed, note)) = found.and_then(|trashed| Note::of(&trashed).map(|note| (trashed, note))) else {
            continue;
        };
        let Some((target, root)) = beside.targets.iter().find(|(target, _)| target.name == note.target) else {
            complain(format_args!("its target {} is not in the config any more", note.target));
            return Err(Exit::Failed);
        };
        let put = || {
            let root = fsys::resolve(root, false).map_err(std::io::Error::other)?;
            note_restored(&beside.trash, &target.name, clock::wall())?;
            beside.trash.put_back(&trashed, &root.dir)
        };
        let put = put().map_err(|error| {
            complain(format_args!("{run}: {error}"));
            Exit::Failed
        })?;
        return told(&run, target, &put, args.printed.json);
    }
    complain(format_args!(
        "there is nothing of run {run} in the trash: it was put back or purged, or is still at work"
    ));
    Err(Exit::Failed)
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
