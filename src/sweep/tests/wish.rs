//! Random policies, in the words of the oracle.

use std::num::NonZeroUsize;
use std::time::Duration;

use proptest::prelude::*;

use super::forest::BLOCK;
use crate::entry::AgeBy;
use crate::globs::Globs;
use crate::target::{GoesFirst, Policy, Watermark};

/// An include, and what it means.
struct Include {
    text: &'static str,
    names: fn(&str) -> bool,
    reaches: fn(&str) -> bool,
}

const INCLUDES: [Include; 4] = [
    Include { text: "*", names: |path| !path.contains('/'), reaches: |_| false },
    Include { text: "**", names: |_| true, reaches: |_| true },
    Include { text: "**/*.log", names: |path| path.ends_with(".log"), reaches: |_| true },
    Include {
        text: "a/**",
        names: |path| path.starts_with("a/"),
        reaches: |path| path == "a" || path.starts_with("a/"),
    },
];

/// An exclude, and what it means of one name and of whether that is a directory.
struct Exclude {
    text: &'static str,
    names: fn(&str, bool) -> bool,
}

const EXCLUDES: [Exclude; 3] = [
    Exclude { text: "keep", names: |name, _| name == "keep" },
    Exclude { text: "b/", names: |name, is_directory| name == "b" && is_directory },
    Exclude { text: "*.db", names: |name, _| name.ends_with(".db") },
];

/// What is random about a policy, as the oracle knows it.
#[derive(Clone, Debug)]
pub(super) struct Wish {
    pub(super) includes: Vec<usize>,
    pub(super) excludes: Vec<usize>,
    pub(super) larger_than: Option<u64>,
    pub(super) smaller_than: Option<u64>,
    pub(super) older_than: Option<u64>,
    pub(super) min_age: Option<u64>,
    pub(super) age_by: AgeBy,
    pub(super) max_blocks: Option<u64>,
    pub(super) max_files: Option<u64>,
    pub(super) missing_blocks: Option<u64>,
    pub(super) order: GoesFirst,
    pub(super) keep_newest: Option<usize>,
    pub(super) whole_dirs: bool,
    pub(super) remove_empty_dirs: bool,
    pub(super) max_deletes: Option<u64>,
    pub(super) require: bool,
    pub(super) threads: usize,
    pub(super) skip_open: bool,
    pub(super) holds: Holds,
    pub(super) action: Act,
}

/// What keeps entries whatever the policy says: of each, one in so many entries.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Holds {
    /// Files that a process has open, every other of them locked, too.
    pub(super) open: Option<usize>,
    /// Directories that a process has locked.
    pub(super) locked: Option<usize>,
    /// Files that are immutable or append-only. Only root makes them so.
    pub(super) immutable: Option<usize>,
}

/// What is done to what goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Delete,
    Trash,
    /// Within the file system.
    Move,
    /// To another file system.
    MoveAcross,
}

/// What is free in the beginning, and how large the file system is.
pub(super) const FREE: u64 = 1_000 * BLOCK;
pub(super) const TOTAL: u64 = 10_000 * BLOCK;

impl Wish {
    pub(super) fn has_limits(&self) -> bool {
        self.max_blocks.is_some() || self.max_files.is_some() || self.missing_blocks.is_some()
    }

    pub(super) fn watermark(&self) -> Option<u64> {
        self.missing_blocks.map(|missing| FREE + missing * BLOCK)
    }

    pub(super) fn policy(&self) -> Policy {
        let hours = |hours: u64| Duration::from_secs(hours * 3600);
        let include = self.includes.iter().map(|at| INCLUDES[*at].text);
        let exclude = self.excludes.iter().map(|at| EXCLUDES[*at].text);
        let default = self.has_limits().then(|| Duration::from_secs(600));
        Policy {
            larger_than: self.larger_than,
            smaller_than: self.smaller_than,
            older_than: self.older_than.map(hours),
            age_by: self.age_by,
            min_age: self.min_age.map(hours).or(default),
            max_size: self.max_blocks.map(|blocks| blocks * BLOCK),
            max_files: self.max_files,
            min_free: self.watermark().map(Watermark::Bytes),
            order: self.order,
            keep_newest: self.keep_newest.and_then(NonZeroUsize::new),
            whole_dirs: self.whole_dirs,
            remove_empty_dirs: self.remove_empty_dirs,
            skip_open: self.skip_open,
            ..Policy::new(Globs::new(include, exclude).expect("good patterns"))
        }
    }

    pub(super) fn includes(&self, path: &str) -> bool {
        self.includes.iter().any(|at| (INCLUDES[*at].names)(path))
    }

    pub(super) fn reaches(&self, path: &str) -> bool {
        self.includes.iter().any(|at| (INCLUDES[*at].reaches)(path))
    }

    /// Whether an exclude, or a built-in one, names the path or a directory on the way to it.
    pub(super) fn excludes(&self, path: &str, is_directory: bool) -> bool {
        let parts: Vec<&str> = path.split('/').collect();
        parts.iter().enumerate().any(|(at, name)| {
            let is_directory = is_directory || at + 1 < parts.len();
            let own = self.excludes.iter().any(|at| (EXCLUDES[*at].names)(name, is_directory));
            own || name.ends_with(".part") || (is_directory && *name == ".git")
        })
    }
}

pub(super) fn wish() -> impl Strategy<Value = Wish> {
    let some = |range: std::ops::Range<u64>| prop::option::weighted(0.3, range);
    let globs = (prop::sample::subsequence(vec![0, 1, 2, 3], 1..3), prop::sample::subsequence(vec![0, 1, 2], 0..3));
    let filters = (some(0..3 * BLOCK), some(1..3 * BLOCK));
    let ages = (prop::option::of(1_u64..30), some(0..30), prop::sample::select(vec![AgeBy::Modified, AgeBy::Accessed]));
    let limits = (some(0..12), some(0..10), some(1..12));
    let order = prop::sample::select(vec![GoesFirst::Oldest, GoesFirst::Largest]);
    let rest = (prop::option::weighted(0.3, 1_usize..4), prop::bool::weighted(0.25), any::<bool>());
    let guards = (prop::option::weighted(0.15, 1_u64..8), prop::bool::weighted(0.1), 1_usize..4);
    let acts = prop_oneof![
        8 => Just(Act::Delete), 4 => Just(Act::Trash), 4 => Just(Act::Move), 1 => Just(Act::MoveAcross)
    ];
    let hold = |chance| prop::option::weighted(chance, 1_usize..5);
    let holds = (hold(0.2), hold(0.1), hold(0.1));
    let holds = holds.prop_map(|(open, locked, immutable)| Holds { open, locked, immutable });
    let acts = (acts, prop::bool::weighted(0.2), holds);
    (globs, filters, ages, limits, order, rest, guards, acts).prop_map(
        |(globs, filters, ages, limits, order, rest, guards, (action, skip_open, holds))| Wish {
            includes: globs.0,
            excludes: globs.1,
            larger_than: filters.0,
            smaller_than: filters.1,
            older_than: ages.0,
            min_age: ages.1,
            age_by: ages.2,
            max_blocks: limits.0,
            max_files: limits.1,
            // What is moved or trashed frees nothing, of which these trees know nothing.
            missing_blocks: limits.2.filter(|_| action == Act::Delete),
            order,
            keep_newest: rest.0,
            whole_dirs: rest.1,
            remove_empty_dirs: rest.2,
            max_deletes: guards.0,
            require: guards.1,
            threads: guards.2,
            skip_open,
            holds,
            action,
        },
    )
}
