//! Remarks on a run, beside its figures.

use std::io;

use super::Order;
use super::pass::Overview;
use super::walked::Walked;
use crate::fsys::{Recovered, WholeRecovered};
use crate::globs::Difference;
use crate::report::{Failure, Failures, LimitKey, Remark, Stalled};
use crate::units::Bytes;

/// Remarks on a run.
#[derive(Debug, Default)]
pub(super) struct Remarks {
    /// Remarks that are made after every run.
    pub(super) always: Vec<Remark>,
    /// Hints that are news only once: rules that had nothing to do.
    pub(super) once: Vec<String>,
}

/// Returns remarks on rules that had nothing to do.
pub(super) fn of(order: &Order, walked: &Walked) -> Remarks {
    let (mut always, mut once) = (Vec::new(), Vec::new());
    let globs = &order.target.policy.globs;
    let Walked { counts, gathered, .. } = walked;
    // In an empty directory there is nothing to match.
    if counts.examined > 0 && !gathered.has_candidates {
        once.push("no file matched: no include names anything here, or the filters let nothing through".to_owned());
    }
    let policy = &order.target.policy;
    if policy.has_limits() && !policy.whole_dirs && globs.is_top_level() && counts.skipped_directories > 0 {
        let directories = match counts.skipped_directories {
            1 => "1 directory is".to_owned(),
            count => format!("{count} directories are"),
        };
        once.push(format!(
            "the limits cover the top level only: {directories} neither counted nor entered; `include = [\"**\"]` means all of it"
        ));
    }
    for exclude in globs.exclude().filter(|exclude| !gathered.matched.contains(*exclude)) {
        match gathered.missed.get(exclude) {
            Some((path, difference)) => always.push(near_miss(exclude, path, *difference)),
            None => once.push(format!("the exclude `{exclude}` matched nothing")),
        }
    }
    Remarks { always, once }
}

/// Returns the remark on an exclude that matched nothing, though something is called almost that.
fn near_miss(exclude: &str, path: &str, difference: Difference) -> Remark {
    let help = "it does not protect that; write it as it is on the disk";
    Remark::Naming {
        text: format!("the exclude `{exclude}` matched nothing, but `{path}` differs from it {difference}: {help}"),
        open: format!("{}{difference}: {help}", missed(exclude)),
    }
}

fn missed(exclude: &str) -> String {
    format!("the exclude `{exclude}` matched nothing, but something differs from it ")
}

/// Returns whether a remark says that this exclude misses what it means.
#[must_use]
pub fn near_miss_of(exclude: &str, remark: &Remark) -> bool {
    remark.open().starts_with(&missed(exclude))
}

/// Returns remarks on files that earlier runs had left aside.
pub(super) fn recovered(found: &io::Result<Recovered>) -> Vec<Remark> {
    let Recovered { restored, waiting, .. } = match found {
        Ok(recovered) => recovered,
        Err(error) => {
            let open = "cannot look for what an earlier run has left aside".to_owned();
            return vec![Remark::Naming { text: format!("{open}: {error}"), open }];
        }
    };
    let restored = restored.iter().map(|path| Remark::Naming {
        text: format!("`{path}` is back: an earlier run had taken it aside"),
        open: "a file is back: an earlier run had taken it aside".to_owned(),
    });
    let waiting = waiting.iter().map(|why| Remark::Naming {
        text: format!("taken aside by an earlier run, and kept: {why}"),
        open: "a file that an earlier run has taken aside is kept".to_owned(),
    });
    restored.chain(waiting).collect()
}

/// Returns remarks on directories that earlier runs had left aside as a whole.
pub(super) fn recovered_whole(found: io::Result<WholeRecovered>) -> Vec<Remark> {
    let WholeRecovered { restored, finished, waiting, .. } = match found {
        Ok(recovered) => recovered,
        // The error has been reported for single files.
        Err(_) => return Vec::new(),
    };
    let restored = restored.iter().map(|path| Remark::Naming {
        text: format!("`{path}` is back: an earlier run had taken it aside"),
        open: "a directory is back: an earlier run had taken it aside".to_owned(),
    });
    let finished = finished.iter().map(|(path, files)| Remark::Naming {
        text: format!(
            "`{path}` is gone: a run that was killed or stopped had begun to remove it, and left {files} files"
        ),
        open: "a directory is gone that a run that was killed or stopped had begun to remove".to_owned(),
    });
    let waiting = waiting.iter().map(|why| Remark::Naming {
        text: format!("taken aside by an earlier run, and kept: {why}"),
        open: "a directory that an earlier run has taken aside is kept".to_owned(),
    });
    restored.chain(finished).chain(waiting).collect()
}

/// Returns the remark that files stay because there is no directory that they could be taken aside to, and what mends
/// it.
pub(super) fn without_slot(why: &str) -> Remark {
    format!(
        "files stay where others can write: they are taken to a private directory `.janitor-slots` in the target before \
         they go, and none can be made ({why}). Free some space or inodes there once, or make room in the quota of the \
         janitor's user; once made, the directory stays and a full disk is no hindrance"
    )
    .into()
}

/// Returns remarks on files that were to go and stayed, and why.
pub(super) fn left(left: &Failures) -> impl Iterator<Item = Remark> {
    stay(left, " that was to go")
}

/// Returns remarks on files that are immutable or append-only, or whose directory is.
pub(super) fn immutable(immutable: &Failures) -> impl Iterator<Item = Remark> {
    stay(immutable, "")
}

fn stay<'a>(files: &'a Failures, which: &'a str) -> impl Iterator<Item = Remark> + 'a {
    const EXAMPLES: usize = 3;
    files.iter().map(move |(why, Failure { count, examples })| {
        let named = examples.iter().take(EXAMPLES).map(|path| format!("`{path}`")).collect::<Vec<_>>().join(", ");
        let more = if *count > EXAMPLES as u64 { ", …" } else { "" };
        let stay = if *count == 1 { "1 file stays".to_owned() } else { format!("{count} files stay") };
        Remark::Naming { text: format!("{stay}{which} ({named}{more}): {why}"), open: format!("{stay}{which}: {why}") }
    })
}

/// Limit that could not be met.
#[derive(Debug)]
pub(super) struct Unmet {
    pub(super) limit: LimitKey,
    /// Bytes or files by which the limit is missed.
    pub(super) missing: u64,
    /// Reason, in words.
    pub(super) why: String,
}

/// Reason for which deleting is stopped.
pub(super) const NOTHING: &str = "deleting frees nothing: links, snapshots or open files hold the space";

/// Returns the missed limit of a run that does not yet try again whether deleting frees anything.
pub(super) fn waits(missing: u64, stalled: &Stalled) -> Unmet {
    let limit = LimitKey::MinFree;
    let short = limit.short_of(missing);
    let why = format!("{short}: {NOTHING}; it is tried again from {:.0} on, or when more is free", stalled.until());
    Unmet { limit, missing, why }
}

/// Returns a limit that cannot be met, with what is in its way.
pub(super) fn unmet(limit: LimitKey, missing: u64, overview: &Overview) -> Unmet {
    let by = |(protection, amount): (&&str, &crate::judge::limits::Amount)| {
        let files = if amount.files == 1 { "1 file".to_owned() } else { format!("{} files", amount.files) };
        format!("{files} ({}) protected by {protection}", Bytes(amount.bytes))
    };
    let by: Vec<String> = overview.protected.iter().map(by).collect();
    let by = if by.is_empty() { "nothing is left that may go".to_owned() } else { by.join(", ") };
    Unmet { limit, missing, why: format!("{}: {by}", limit.short_of(missing)) }
}
