//! The one sentence, naively: over a list in memory, with sorting, counting and nothing else. The engine has to agree
//! on random trees and policies.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::os::unix::fs::MetadataExt;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use proptest::prelude::*;

use super::Yard;
use super::forest::{Immutable, Seen, Sprout, grow, list, sprouts};
use super::held::{Held, hold};
use super::wish::{self, FREE, TOTAL, Wish, wish};
use crate::entry::AgeBy;
use crate::fsys::{Destination, Dir, Space};
use crate::report::{Outcome, Report};
use crate::sweep::act::{Act, Move, Preview, Remove};
use crate::sweep::trash::ToTrash;
use crate::sweep::{Control, Event, Order, execute, open_trash};
use crate::target::{Action, GoesFirst, Policy, Target, Unverifiable};
use crate::verdict::Because;

/// A candidate: a file, or a directory with all that is in it.
struct Candidate<'a> {
    path: &'a str,
    files: Vec<&'a Seen>,
    age: i128,
    is_held: bool,
}

fn parent(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(parent, _)| parent)
}

/// The allocated bytes, a hard-linked inode once.
fn measure<'a>(files: impl Iterator<Item = &'a Seen>) -> u64 {
    files.map(|file| (file.inode, file.allocated)).collect::<BTreeMap<_, _>>().values().sum()
}

fn freed<'a>(files: impl Iterator<Item = &'a Seen>) -> u64 {
    let mut links = BTreeMap::new();
    for file in files {
        links.entry(file.inode).or_insert((0, file)).0 += 1;
    }
    links.values().filter(|(count, file)| *count >= file.links).map(|(_, file)| file.allocated).sum()
}

impl<'a> Candidate<'a> {
    fn all(wish: &Wish, seen: &'a [Seen], held: &Held) -> Vec<Self> {
        let stays = |files: &[&Seen]| files.iter().any(|file| file.is_immutable || held.uses(wish, file));
        let sized = |size: u64| {
            wish.larger_than.is_none_or(|limit| size > limit) && wish.smaller_than.is_none_or(|limit| size < limit)
        };
        let mut found = Vec::new();
        for entry in seen.iter().filter(|entry| !(wish.require && entry.path == "sentinel")) {
            let named = wish.includes(&entry.path) && !wish.excludes(&entry.path, entry.is_directory);
            let top = !entry.path.contains('/');
            // Nobody looks into a directory that is locked.
            if held.is_locked(&entry.path) {
                continue;
            }
            if entry.is_directory && wish.whole_dirs && top && named {
                let inside: Vec<&Seen> =
                    seen.iter().filter(|other| other.path.starts_with(&format!("{}/", entry.path))).collect();
                let (excluded, inside): (Vec<&Seen>, Vec<&Seen>) = inside
                    .into_iter()
                    .partition(|other| wish.excludes(&other.path, other.is_directory) || held.is_locked(&other.path));
                let age = inside.iter().map(|other| other.age).fold(entry.age, i128::min);
                let files: Vec<&Seen> = inside.into_iter().filter(|other| !other.is_directory).collect();
                let is_held = !excluded.is_empty() || stays(&files);
                if sized(files.iter().map(|file| file.size).sum()) {
                    found.push(Self { path: &entry.path, files, age, is_held });
                }
            } else if !entry.is_directory && !entry.is_link && named && sized(entry.size) && (top || !wish.whole_dirs) {
                let is_held = stays(&[entry]);
                found.push(Self { path: &entry.path, files: vec![entry], age: entry.age, is_held });
            }
        }
        found
    }
}

/// What goes, directories among it, whatever is done to it; `None` when the run is held.
pub(super) fn oracle(wish: &Wish, seen: &[Seen], held: &Held) -> Option<BTreeSet<String>> {
    let policy = wish.policy();
    let nanos = |limit: Duration| i128::try_from(limit.as_nanos()).expect("small");
    let candidates = Candidate::all(wish, seen, held);
    let mut newest: BTreeMap<&str, Vec<(i128, &str)>> = BTreeMap::new();
    for candidate in &candidates {
        newest.entry(parent(candidate.path)).or_default().push((-candidate.age, candidate.path));
    }
    let kept: BTreeSet<&str> = newest
        .into_values()
        .flat_map(|mut of_directory| {
            of_directory.sort_unstable();
            of_directory.into_iter().rev().take(wish.keep_newest.unwrap_or(0)).map(|(_, path)| path)
        })
        .collect();
    let is_protected = |candidate: &&Candidate<'_>| {
        let future = policy.asks_for_age() && candidate.age < 0;
        let young = policy.min_age.is_some_and(|limit| candidate.age < nanos(limit));
        future || young || candidate.is_held || kept.contains(candidate.path)
    };
    let has_reason = |candidate: &&Candidate<'_>| match policy.older_than {
        Some(limit) => candidate.age >= nanos(limit),
        None => !policy.has_limits(),
    };
    let (protected, free): (Vec<_>, Vec<_>) = candidates.iter().partition(is_protected);
    let (mut going, mut waiting): (Vec<_>, Vec<_>) = free.into_iter().partition(has_reason);
    waiting.sort_by_key(|candidate| {
        let weight = match wish.order {
            GoesFirst::Oldest => candidate.age,
            GoesFirst::Largest => measure(candidate.files.iter().copied()).into(),
        };
        (-weight, candidate.path)
    });
    // How many of those that wait go, so that this holds of what stays.
    let until = |holds: &dyn Fn(&[&Candidate<'_>]) -> bool| {
        (0..=waiting.len()).find(|count| holds(&waiting[*count..])).unwrap_or(waiting.len())
    };
    let stay = |rest: &[&Candidate<'_>]| -> Vec<Seen> {
        let files = protected.iter().chain(rest).flat_map(|candidate| candidate.files.iter().copied());
        files.cloned().collect()
    };
    let mut count = 0;
    if let Some(limit) = policy.max_size {
        count = count.max(until(&|rest| measure(stay(rest).iter()) <= limit));
    }
    if let Some(limit) = policy.max_files {
        count = count.max(until(&|rest| stay(rest).len() as u64 <= limit));
    }
    if let Some(limit) = wish.watermark() {
        let gone = |count: usize| {
            let files = going.iter().chain(&waiting[..count]).flat_map(|candidate| candidate.files.iter().copied());
            FREE + freed(files)
        };
        count = (count..=waiting.len()).find(|count| gone(*count) >= limit).unwrap_or(waiting.len());
    }
    going.extend(waiting.drain(..count));
    let files: Vec<&str> = going.iter().flat_map(|candidate| candidate.files.iter().map(|file| &*file.path)).collect();
    if wish.max_deletes.is_some_and(|most| files.len() as u64 > most) {
        return None;
    }
    let mut goes: BTreeSet<String> = files.into_iter().map(str::to_owned).collect();
    for candidate in going.iter().filter(|_| wish.whole_dirs) {
        let of_it = |entry: &&Seen| {
            entry.is_directory
                && (entry.path == candidate.path || entry.path.starts_with(&format!("{}/", candidate.path)))
        };
        goes.extend(seen.iter().filter(of_it).map(|entry| entry.path.clone()));
    }
    if wish.remove_empty_dirs && !wish.whole_dirs {
        goes.extend(empty_directories(wish, &policy, seen, held, &goes));
    }
    Some(goes)
}

fn empty_directories(
    wish: &Wish,
    policy: &Policy,
    seen: &[Seen],
    held: &Held,
    files: &BTreeSet<String>,
) -> BTreeSet<String> {
    let mut goes = files.clone();
    // The deepest first, since what is in a directory is decided before it is.
    let mut directories: Vec<&Seen> = seen.iter().filter(|entry| entry.is_directory).collect();
    directories.sort_by_key(|entry| std::cmp::Reverse(entry.path.matches('/').count()));
    for directory in directories {
        let mut reached = directory.path.as_str();
        let mut is_entered = !held.is_locked(&directory.path);
        while !reached.is_empty() {
            is_entered &= wish.reaches(reached) && !wish.excludes(reached, true);
            reached = parent(reached);
        }
        let mut inside = seen.iter().filter(|entry| parent(&entry.path) == directory.path).peekable();
        let was_empty = inside.peek().is_none();
        let is_empty = inside.all(|entry| goes.contains(&entry.path));
        let limit = policy.older_than.max(policy.min_age).unwrap_or(Duration::from_secs(600));
        let is_old = directory.age >= i128::try_from(limit.as_nanos()).expect("small");
        let is_young = |limit: Duration| directory.age < i128::try_from(limit.as_nanos()).expect("small");
        let may_go = if was_empty { is_old } else { !policy.min_age.is_some_and(is_young) };
        if is_entered && is_empty && may_go {
            goes.insert(directory.path.clone());
        }
    }
    goes
}

/// Whether a file stays since somebody seems to have it open.
fn is_use(because: &Because) -> bool {
    match because {
        Because::InUse | Because::Locked => true,
        Because::Inside { because, .. } => is_use(because),
        _ => false,
    }
}

/// Runs the engine with a file system that has so much space, and gives back what it says that goes.
pub(super) fn told<A: Act>(order: &Order, act: &A, allocated: u64, in_use: &AtomicBool) -> (Report, BTreeSet<String>) {
    let told = Mutex::new(BTreeSet::new());
    let root = order.target.path.clone();
    let spacious = |_: &Dir| {
        let now = list(&root, AgeBy::Modified);
        let elsewhere = root.join("../elsewhere").symlink_metadata();
        let elsewhere =
            elsewhere.map_or(BTreeMap::new(), |about| BTreeMap::from([(about.ino(), about.blocks() * 512)]));
        let mut inodes: BTreeMap<u64, u64> =
            now.iter().filter(|seen| !seen.is_directory).map(|seen| (seen.inode, seen.allocated)).collect();
        inodes.extend(elsewhere);
        Ok(Space { total: TOTAL, free: FREE + allocated - inodes.values().sum::<u64>() })
    };
    let observe = |event: &Event<'_>| match event {
        Event::WouldRemove { at, .. }
        | Event::Removed { at, .. }
        | Event::WouldRemoveDirectory { at, .. }
        | Event::RemovedDirectory { at, .. } => {
            assert!(told.lock().expect("no panic").insert(at.to_string()), "{at} goes once");
        }
        Event::Stays { because, .. } if is_use(because) => in_use.store(true, Ordering::Relaxed),
        Event::NotRemoved { at, error } | Event::Unreadable { at, error } => panic!("{at}: {error}"),
        _ => {}
    };
    let report = execute(order, &Control::default(), &observe, act, &spacious);
    (report, told.into_inner().expect("no panic"))
}

fn agrees(wish: &Wish, sprouts: &[Sprout]) -> Result<(), TestCaseError> {
    // A test beside this one that starts a program has, for a moment, copies of all descriptors: then more is open than
    // was opened here. Nothing else is tried again.
    let mut agreed = Ok(());
    for _ in 0..3 {
        let in_use = AtomicBool::new(false);
        agreed = agrees_now(wish, sprouts, &in_use);
        if agreed.is_ok() || !in_use.into_inner() {
            break;
        }
    }
    agreed
}

fn agrees_now(wish: &Wish, sprouts: &[Sprout], in_use: &AtomicBool) -> Result<(), TestCaseError> {
    let yard = Yard::new();
    grow(&yard, wish.require, sprouts);
    let before = list(&yard.root, wish.age_by);
    let files = before.iter().filter(|entry| !entry.is_directory && !entry.is_link);
    let to_set = wish.holds.immutable.into_iter().flat_map(|one_in| files.clone().skip(1).step_by(one_in));
    let immutable = Immutable::new(to_set.map(|entry| yard.root.join(&entry.path)));
    let seen = list(&yard.root, wish.age_by);
    let mut inodes: BTreeMap<u64, u64> =
        seen.iter().filter(|seen| !seen.is_directory).map(|seen| (seen.inode, seen.allocated)).collect();
    if let Ok(about) = yard.root.join("../elsewhere").symlink_metadata() {
        inodes.insert(about.ino(), about.blocks() * 512);
    }
    let allocated = inodes.values().sum();
    let (handles, held) = hold(wish, &yard.root, &seen);
    // Whether somebody uses a file is asked when it is about to go; a preview asks where `skip_open` says so.
    let knows = wish.skip_open || !seen.iter().any(|entry| held.uses(wish, entry));
    let wish = &Wish { max_deletes: wish.max_deletes.filter(|_| knows), ..wish.clone() };
    let expected = oracle(wish, &seen, &held);
    let elsewhere = (wish.action == wish::Act::MoveAcross).then(|| tempfile::tempdir().expect("a directory"));
    let archive = match &elsewhere {
        Some(elsewhere) => elsewhere.path().canonicalize().expect("it exists").join("archive"),
        None => yard.root.with_file_name("archive"),
    };
    std::fs::create_dir_all(&archive).expect("made");
    let mut order = yard.order(wish.policy());
    order.target = std::sync::Arc::new(Target {
        threads: NonZeroUsize::new(wish.threads),
        max_deletes: wish.max_deletes,
        require: wish.require.then(|| "sentinel".into()),
        action: match wish.action {
            wish::Act::Delete => Action::Delete,
            wish::Act::Trash => Action::Trash,
            wish::Act::Move | wish::Act::MoveAcross => Action::MoveTo(archive.clone()),
        },
        ..(*order.target).clone()
    });
    let paths = |seen: &[Seen]| seen.iter().map(|entry| entry.path.clone()).collect::<BTreeSet<_>>();
    let before = paths(&seen);
    let outcome = if expected.is_some() { Outcome::Done } else { Outcome::Held };
    let expected = expected.unwrap_or_default();

    let (report, previewed) = told(&order, &Preview, allocated, in_use);
    if knows {
        prop_assert_eq!(report.outcome, outcome, "{:?}", report);
        prop_assert_eq!(&previewed, &expected, "the preview");
    }
    prop_assert_eq!(&paths(&list(&yard.root, wish.age_by)), &before, "a preview changes nothing");

    let (report, removed) = match wish.action {
        wish::Act::Delete => told(&order, &Remove(Unverifiable::Skip), allocated, in_use),
        wish::Act::Trash => {
            told(&order, &ToTrash::new(&order, open_trash(&order).expect("a trash")), allocated, in_use)
        }
        wish::Act::Move | wish::Act::MoveAcross => {
            told(&order, &Move(Destination::open(&archive).expect("it exists"), Unverifiable::Skip), allocated, in_use)
        }
    };
    drop((handles, immutable));
    prop_assert_eq!(report.outcome, outcome, "{:?}", report);
    prop_assert_eq!(&removed, &expected, "the sweep: {:?}", report);
    let survivors = paths(&list(&yard.root, wish.age_by));
    prop_assert_eq!(survivors, before.difference(&expected).cloned().collect::<BTreeSet<_>>());
    let files: BTreeSet<String> = seen
        .iter()
        .filter(|entry| !entry.is_directory && expected.contains(&entry.path))
        .map(|entry| entry.path.clone())
        .collect();
    prop_assert_eq!(report.counts.deleted as usize, files.len());
    let there = match wish.action {
        wish::Act::Delete => return Ok(()),
        wish::Act::Trash => yard.root.join("../.janitor-trash").join(order.run.as_str()),
        wish::Act::Move | wish::Act::MoveAcross => archive,
    };
    let arrived = if there.exists() { list(&there, wish.age_by) } else { Vec::new() };
    let arrived = arrived.into_iter().filter(|entry| !entry.is_directory).map(|entry| entry.path).collect();
    prop_assert_eq!(files, arrived, "what went is where it was to go");
    Ok(())
}

/// How many cases each of the tests tries; the variable `JANITOR_CASES` asks for another number.
pub(super) fn cases() -> ProptestConfig {
    let wanted = std::env::var("JANITOR_CASES").ok().and_then(|cases| cases.parse().ok());
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(wanted.unwrap_or(2_600)) }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn survivors_are_those_of_the_one_sentence(wish in wish(), sprouts in sprouts()) {
        agrees(&wish, &sprouts)?;
    }

    #[test]
    fn quotas_and_watermarks_take_what_the_full_sort_takes(wish in wish(), size in 0_u64..12, sprouts in sprouts()) {
        let wish = Wish {
            max_blocks: Some(size),
            includes: vec![1],
            larger_than: None,
            smaller_than: None,
            older_than: wish.older_than.filter(|hours| *hours > 20),
            min_age: wish.min_age.filter(|hours| *hours < 10),
            max_deletes: None,
            ..wish
        };
        agrees(&wish, &sprouts)?;
    }

    #[test]
    fn directories_that_go_whole_go_whole(wish in wish(), sprouts in sprouts()) {
        agrees(&Wish { whole_dirs: true, includes: vec![0], larger_than: None, ..wish }, &sprouts)?;
    }

    #[test]
    fn empty_directories_go_from_the_bottom_up(wish in wish(), hours in 1_u64..12, sprouts in sprouts()) {
        let wish = Wish {
            whole_dirs: false,
            remove_empty_dirs: true,
            includes: vec![1],
            older_than: Some(hours),
            larger_than: None,
            smaller_than: None,
            ..wish
        };
        agrees(&wish, &sprouts)?;
    }
}
