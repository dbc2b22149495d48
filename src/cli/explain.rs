//! `janitor explain`: the reasons for which a file goes or stays.

use std::path::Path;

use serde_json::json;

use super::args::Explain;
use super::load::load;
use super::output::{self, complain};
use super::sweeps::order;
use super::{Done, Exit};
use crate::admin::Explained;
use crate::names::Escaped;
use crate::sweep::{self, Control};

/// Explains each path.
pub(super) fn explain(config: Option<&Path>, args: &Explain) -> Done {
    let loaded = load(config)?;
    let mut told = Vec::new();
    let mut done = Ok(());
    for path in &args.paths {
        let shown = Escaped(path.as_os_str().as_encoded_bytes()).to_string();
        let Some(owners) = sweep::owners(&loaded.config.targets, path) else {
            complain(format_args!("`{shown}`: there is no such path"));
            done = Err(Exit::Failed);
            continue;
        };
        if owners.is_empty() {
            complain(format_args!("`{shown}` lies in no target, so it stays"));
            done = Err(Exit::Failed);
        }
        for (target, relative) in owners {
            let order = order(&loaded, &target, true);
            match sweep::explain(&order, &Control::default(), relative.as_os_str().as_encoded_bytes()) {
                Ok(explanation) => {
                    let explained = Explained::new(shown.clone(), &target, &explanation);
                    if args.printed.json { told.push(explained) } else { print(&explained)? }
                }
                Err(why) => {
                    complain(format_args!("{}: {why}", target.name));
                    done = Err(Exit::Failed);
                }
            }
        }
    }
    if args.printed.json {
        output::json(&json!({ "success": done.is_ok(), "explanations": told }))?;
    }
    done
}

fn print(explained: &Explained) -> Done {
    let Explained { path, target, judged, verdict, because, from, rules, guard, enabled } = explained;
    output::line(format_args!("{path}: {verdict}: {because}"))?;
    output::line(format_args!("  target: {target}"))?;
    if !path.ends_with(judged) {
        output::line(format_args!("  judged as: {judged}"))?;
    }
    for rule in rules {
        output::line(format_args!("  {}: {}", rule.rule, rule.says))?;
    }
    if let Some(at) = from {
        output::line(format_args!("  would go from: {at}"))?;
    }
    if let Some(guard) = guard {
        output::line(format_args!("  no run removes anything now: {guard}"))?;
    }
    if !enabled {
        output::line("  the target is not enabled: it is never swept")?;
    }
    Ok(())
}
