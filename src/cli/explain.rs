//! `janitor explain`: why a file goes or stays.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value, json};

use super::args::Explain;
use super::load::{Loaded, load};
use super::output::{self, complain};
use super::sweeps::order;
use super::{Done, Exit};
use crate::names::Escaped;
use crate::sweep::{self, Control, Explanation};
use crate::target::Target;
use crate::verdict::Verdict;

/// The path with every link on the way resolved, but not the last name: a link is judged itself.
fn resolved(path: &Path) -> Option<PathBuf> {
    let directory = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return path.canonicalize().ok(),
    };
    match path.file_name() {
        Some(name) => Some(directory.canonicalize().ok()?.join(name)),
        None => path.canonicalize().ok(),
    }
}

/// The targets that own the path, with the path relative to their root: the innermost, all of them if several targets
/// have the same directory.
fn owners(loaded: &Loaded, path: &Path) -> Vec<(Arc<Target>, PathBuf)> {
    let below = loaded.config.targets.iter().filter_map(|target| {
        let root = target.path.canonicalize().ok()?;
        let relative = path.strip_prefix(&root).ok()?.to_path_buf();
        Some((root.components().count(), target.clone(), relative))
    });
    let below: Vec<_> = below.collect();
    let innermost = below.iter().map(|(depth, ..)| *depth).max();
    let inner = below.into_iter().filter(|(depth, ..)| Some(*depth) == innermost);
    inner.map(|(_, target, relative)| (target, relative)).collect()
}

/// Explains each path.
pub(super) fn explain(config: Option<&Path>, args: &Explain) -> Done {
    let loaded = load(config)?;
    let mut told = Vec::new();
    let mut done = Ok(());
    for path in &args.paths {
        let shown = Escaped(path.as_os_str().as_encoded_bytes()).to_string();
        let Some(path) = resolved(path) else {
            complain(format_args!("`{shown}`: there is no such path"));
            done = Err(Exit::Failed);
            continue;
        };
        let owners = owners(&loaded, &path);
        if owners.is_empty() {
            complain(format_args!("`{shown}` lies in no target, so it stays"));
            done = Err(Exit::Failed);
        }
        for (target, relative) in owners {
            let order = order(&loaded, &target, true);
            match sweep::explain(&order, &Control::default(), relative.as_os_str().as_encoded_bytes()) {
                Ok(explanation) if args.printed.json => told.push(as_json(&shown, &target, &explanation)),
                Ok(explanation) => print(&shown, &target, &explanation)?,
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

fn verdict(verdict: &Verdict) -> (&'static str, String) {
    match verdict {
        Verdict::Goes(reason) => ("goes", reason.to_string()),
        Verdict::Stays(because) => ("stays", because.to_string()),
    }
}

fn from(target: &Target, explanation: &Explanation) -> Option<String> {
    explanation.from.map(|at| super::next::instant(at, &target.zone.tz))
}

fn as_json(path: &str, target: &Target, explanation: &Explanation) -> Value {
    let (goes, because) = verdict(&explanation.verdict);
    let rules: Vec<Value> =
        explanation.rules.iter().map(|(rule, says)| json!({ "rule": rule, "says": says })).collect();
    json!({
        "path": path,
        "target": target.name.as_str(),
        "judged": Escaped(&explanation.path).to_string(),
        "verdict": goes,
        "because": because,
        "from": from(target, explanation),
        "rules": rules,
        "guard": explanation.guard,
    })
}

fn print(path: &str, target: &Target, explanation: &Explanation) -> Done {
    let (goes, because) = verdict(&explanation.verdict);
    output::line(format_args!("{path}: {goes}: {because}"))?;
    output::line(format_args!("  target: {}", target.name))?;
    if !path.ends_with(&Escaped(&explanation.path).to_string()) {
        output::line(format_args!("  judged as: {}", Escaped(&explanation.path)))?;
    }
    for (rule, says) in &explanation.rules {
        output::line(format_args!("  {rule}: {says}"))?;
    }
    if let Some(at) = from(target, explanation) {
        output::line(format_args!("  would go from: {at}"))?;
    }
    if let Some(guard) = &explanation.guard {
        output::line(format_args!("  no run removes anything now: {guard}"))?;
    }
    if !target.enabled {
        output::line("  the target is not enabled: it is never swept")?;
    }
    Ok(())
}
