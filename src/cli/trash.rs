//! `janitor trash`: what runs have put into the trash.

use serde_json::{Value, json};

use super::args::Trash as TrashArgs;
use super::load::load;
use super::output::{self, complain};
use super::table::table;
use super::{Done, Exit};
use crate::fsys::Weight;
use crate::sweep;
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
