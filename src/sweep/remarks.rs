//! What is said of a run beside its figures.

use super::Order;
use super::pass::Overview;
use super::walk::Walked;
use crate::units::Bytes;

/// What is said of a run.
#[derive(Debug, Default)]
pub(super) struct Remarks {
    /// After every run.
    pub(super) always: Vec<String>,
    /// What is news only once: a rule that had nothing to do.
    pub(super) once: Vec<String>,
}

/// Rules that had nothing to do.
pub(super) fn of(order: &Order, walked: &Walked) -> Remarks {
    let mut once = Vec::new();
    let globs = &order.target.policy.globs;
    let Walked { counts, gathered, .. } = walked;
    // In an empty directory there is nothing to match.
    if counts.examined > 0 && !gathered.has_candidates {
        once.push("no file matched: no include names anything here, or the filters let nothing through".to_owned());
    }
    for exclude in globs.exclude().filter(|exclude| !gathered.matched.contains(*exclude)) {
        once.push(format!("the exclude `{exclude}` matched nothing"));
    }
    Remarks { always: Vec::new(), once }
}

pub(super) fn bytes(bytes: u64) -> String {
    Bytes(bytes).to_string()
}

/// That a limit cannot be met, and what is in its way.
pub(super) fn unmet(key: &str, short: &str, overview: &Overview) -> String {
    let by = |(protection, amount): (&&str, &crate::judge::limits::Amount)| {
        let files = if amount.files == 1 { "1 file".to_owned() } else { format!("{} files", amount.files) };
        format!("{files} ({}) protected by {protection}", Bytes(amount.bytes))
    };
    let by: Vec<String> = overview.protected.iter().map(by).collect();
    let by = if by.is_empty() { "nothing is left that may go".to_owned() } else { by.join(", ") };
    let over = if key == "min_free" { "below" } else { "over" };
    format!("still {short} {over} {key}: {by}")
}
