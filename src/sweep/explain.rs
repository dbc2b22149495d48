//! Explanation why one entry goes or stays, and from when it would go: the answer of the judge that sweeps, with what
//! it looked at.

use std::sync::Mutex;

use jiff::Timestamp;

use super::act::Preview;
use super::batch::Opened;
use super::pass::{Limit, Pass};
use super::queue::{Queue, Waiting};
use super::run::{Before, begin};
use super::tree::Node;
use super::walk::Worker;
use super::{At, Control, Event, Order, open_root};
use crate::entry::{Facts, Kind};
use crate::fsys::Dir;
use crate::globs::Entered;
use crate::judge::limits::Cut;
use crate::judge::{self, Standing};
use crate::names::Escaped;
use crate::units::{Bytes, Span};
use crate::verdict::{Because, Reason, Verdict};

/// Explanation why one entry goes or stays.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// The entry that was judged, relative to the root: the one that was asked for, or the directory it goes with.
    pub path: Vec<u8>,
    /// The verdict.
    pub verdict: Verdict,
    /// Rules that were looked at, each with what it says, in the order of the config reference.
    pub rules: Vec<(&'static str, String)>,
    /// Time from which a run would take the entry, if nothing about it changes and no limit or guard has a say.
    pub from: Option<Timestamp>,
    /// Reason for which no run would take anything at all, if there is one.
    pub guard: Option<String>,
}

/// End of a walk to the entry.
enum Reached {
    /// The entry: its directory, and its name in it.
    Entry(Opened, Vec<u8>),
    /// A directory that goes or stays whole.
    Whole(Waiting),
    /// An entry on the way, which stays for this reason.
    Stays(Vec<u8>, Because),
}

/// Explains the entry at `path`, relative to the root of the order's target.
///
/// # Errors
/// Returns a text: the root or the entry cannot be had, or the walk was cancelled.
pub fn explain(order: &Order, control: &Control, path: &[u8]) -> Result<Explanation, String> {
    let order = &Order { dry_run: true, ..order.clone() };
    let root = open_root(order, &Preview, &|_| {}).map_err(|(_, why)| why)?;
    let told: Mutex<Option<Verdict>> = Mutex::new(None);
    let observer = |event: &Event<'_>| {
        let verdict = match event {
            Event::WouldRemove { reason, .. } | Event::WouldRemoveDirectory { reason, .. } => {
                Verdict::Goes((*reason).clone())
            }
            Event::Stays { because, .. } | Event::SkippedDirectory { because, .. } => {
                Verdict::Stays((*because).clone())
            }
            Event::Unreadable { error, .. } => Verdict::Stays(Because::Unreadable(error.to_string().into())),
            _ => return,
        };
        // Of a directory that goes whole, the verdict on the whole comes last.
        *told.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(verdict);
    };
    let before = Before::of(order, &root);
    let mut sweep = begin(order, control, &observer, &Preview, &root, before);
    let (limits, guard) = match sweep.limits(&Dir::space) {
        Ok(limits) => (limits, None),
        Err(why) => (Vec::new(), Some(why)),
    };
    let pass = Pass::Act(limits.clone());
    let queue = Queue::default();
    let mut worker = Worker::new(&sweep, &pass, &queue, 1);
    let (at, facts, kept) = match worker.reach(path)? {
        Reached::Stays(path, because) => {
            return Ok(Explanation { path, verdict: Verdict::Stays(because), rules: Vec::new(), from: None, guard });
        }
        Reached::Entry(directory, name) => {
            let found = directory.dir.look(&name).map_err(|error| format!("`{}`: {error}", Escaped(path)))?;
            if found.kind == Kind::Directory {
                worker.directory_alone(&directory, &name);
            } else {
                worker.one(&directory, &name, found.kind);
            }
            (directory.at(&name).path(), (found.kind == Kind::File).then_some(found.facts), directory.kept)
        }
        Reached::Whole(waiting) => {
            let name = waiting.node.name().to_vec();
            let facts = worker.facts_of_whole(&waiting);
            worker.whole(&waiting, None);
            (name, facts, sweep.root_kept.clone())
        }
    };
    let verdict = told.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    // Without a verdict the entry is gone, unless nobody looked for it.
    let verdict = verdict.ok_or_else(|| match control.cancelled() {
        Some(why) => format!("cancelled: {why}"),
        None => format!("`{}` is gone", Escaped(path)),
    })?;
    let name = at.rsplit(|byte| *byte == b'/').next().unwrap_or(&at).to_vec();
    let rules = facts.as_ref().map_or(Vec::new(), |facts| rules(order, facts, &limits));
    let from = facts.and_then(|facts| from(order, &facts, &name, kept.as_ref()));
    Ok(Explanation { path: at, from: from.filter(|_| is_of_time(&verdict)), verdict, rules, guard })
}

/// Returns the rules of the policy that look at the facts, each with what it says.
fn rules(order: &Order, facts: &Facts, limits: &[Limit]) -> Vec<(&'static str, String)> {
    let target = &order.target;
    let policy = &target.policy;
    let listed = |globs: &mut dyn Iterator<Item = &str>| globs.map(|glob| format!("`{glob}`")).collect::<Vec<_>>();
    let mut said = vec![("include", listed(&mut policy.globs.include()).join(", "))];
    let excludes = listed(&mut policy.globs.exclude());
    if !excludes.is_empty() {
        said.push(("exclude", excludes.join(", ")));
    }
    said.push(("size", format!("{} ({} allocated)", Bytes(facts.size), Bytes(facts.allocated))));
    let age = match facts.stamps.by(policy.age_by) {
        None => "none, the file system keeps no birth time".to_owned(),
        Some(stamp) => match stamp.age(order.now) {
            None => "none, the stamp lies in the future".to_owned(),
            Some(age) => Span(age).to_string(),
        },
    };
    said.push(("age", format!("{age} ({})", policy.age_by.word())));
    let mut sized = |key, limit: Option<u64>| {
        if let Some(limit) = limit {
            said.push((key, Bytes(limit).to_string()));
        }
    };
    sized("larger_than", policy.larger_than);
    sized("smaller_than", policy.smaller_than);
    for (key, limit) in [("older_than", policy.older_than), ("min_age", policy.min_age)] {
        said.extend(limit.map(|limit| (key, Span(limit).to_string())));
    }
    said.extend(policy.keep_newest.map(|count| ("keep_newest", count.to_string())));
    said.extend(policy.skip_open.then(|| ("skip_open", "true".to_owned())));
    said.extend(target.require.as_ref().map(|name| ("require", Escaped(name.as_bytes()).to_string())));
    said.extend(target.max_deletes.map(|most| ("max_deletes", most.to_string())));
    for limit in limits {
        let key = match limit.reason {
            Reason::MaxSize { .. } => "max_size",
            Reason::MaxFiles { .. } => "max_files",
            _ => "min_free",
        };
        let reach = match &limit.cut {
            Cut::Nothing => "holds: takes nothing".to_owned(),
            Cut::All => format!("{}: takes all that is not protected", limit.reason),
            Cut::Until(last) => {
                let weight = match policy.order {
                    crate::target::GoesFirst::Oldest => {
                        let nanos = u64::try_from(last.weight / 1_000_000_000).unwrap_or(0);
                        format!("of an age of {} or more", Span(std::time::Duration::from_secs(nanos)))
                    }
                    crate::target::GoesFirst::Largest => {
                        format!("of {} or more", Bytes(u64::try_from(last.weight).unwrap_or(0)))
                    }
                };
                format!("{}: takes what is {weight}, up to `{}`", limit.reason, Escaped(&last.path))
            }
        };
        said.push((key, reach));
    }
    said
}

/// Returns whether somebody else has a directory locked. An error is reported when the directory is entered.
fn is_locked(dir: &Dir) -> bool {
    let is_locked = dir.try_lock().is_ok_and(|free| !free);
    dir.unlock();
    is_locked
}

/// Returns whether the entry stays for a reason that time alone changes.
fn is_of_time(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Stays(Because::NotOld { .. } | Because::MinAge { .. } | Because::Future))
}

/// Returns the time from which the file's own reasons take it, if it stays as it is.
fn from(order: &Order, facts: &Facts, name: &[u8], kept: Option<&judge::Kept>) -> Option<Timestamp> {
    let policy = &order.target.policy;
    let limit = policy.older_than.max(policy.min_age)?;
    let at = facts.stamps.by(policy.age_by)?.timestamp()?.checked_add(limit).ok()?;
    matches!(judge::by_facts(policy, facts, name, kept, at), Standing::Goes(_)).then_some(at)
}

impl Worker<'_, Preview> {
    /// Walks to the directory that holds the entry, as a sweep would.
    fn reach(&mut self, path: &[u8]) -> Result<Reached, String> {
        let mut names: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
        let Some(last) = names.pop().filter(|last| !last.is_empty()) else {
            return Err("this is the root of the target, which never goes".to_owned());
        };
        let globs = &self.sweep.policy().globs;
        let mut waiting = Waiting { node: Node::root(), place: globs.root(), whole: false };
        for (at, name) in names.iter().copied().chain([last]).enumerate() {
            if self.sweep.policy().whole_dirs && at == 0 {
                let is_directory =
                    at < names.len() || self.sweep.root.look(name).is_ok_and(|found| found.kind == Kind::Directory);
                if is_directory {
                    return Ok(match judge::whole_by_name(self.sweep.policy(), &waiting.place, name) {
                        Ok(place) => Reached::Whole(Waiting { node: waiting.node.child(name), place, whole: true }),
                        Err(because) => Reached::Stays(name.to_vec(), because),
                    });
                }
            }
            if at == names.len() {
                break;
            }
            let here = waiting.node.child(name);
            let because = match globs.directory(&waiting.place, name) {
                Entered::Place(place) => {
                    waiting = Waiting { node: here, place, whole: false };
                    continue;
                }
                Entered::Unreached => Because::Unreached,
                Entered::Excluded(pattern) => Because::Excluded(pattern),
                Entered::BuiltIn(pattern) => Because::BuiltIn(pattern),
            };
            return Ok(Reached::Stays(here.path(), because));
        }
        let path = waiting.node.path();
        if let Some(name) = self.owner_on_the_way(&path) {
            return Ok(Reached::Stays(path, Because::OtherTarget(name)));
        }
        // An error is reported when the directory is opened for good.
        if let Ok(Some(locked)) = self.sweep.locked_on_the_way(&path) {
            return Ok(Reached::Stays(locked.to_vec(), Because::Locked));
        }
        let opened = if path.is_empty() { self.sweep.root.open(b".") } else { self.sweep.root.open_beneath(&path) };
        let dir = match opened {
            Ok(dir) => dir,
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::XDEV.raw_os_error()) => {
                return Ok(Reached::Stays(path, Because::MountPoint));
            }
            Err(error) => return Err(format!("`{}` cannot be entered: {error}", Escaped(&path))),
        };
        match self.sweep.elsewhere(&dir) {
            Ok(None) => {}
            Ok(Some(because)) => return Ok(Reached::Stays(path, because)),
            Err(error) => return Err(format!("`{}` cannot be looked at: {error}", Escaped(&path))),
        }
        let directory = Opened::new(dir, waiting.node, path, waiting.place);
        let kept = self.kept(&directory);
        Ok(Reached::Entry(directory.keeping(kept), last.to_vec()))
    }

    /// Returns the other target that owns one of the directories on the way, if any.
    fn owner_on_the_way(&self, path: &[u8]) -> Option<std::sync::Arc<str>> {
        let ends = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| at).chain([path.len()]);
        ends.map(|end| &path[..end]).filter(|part| !part.is_empty()).find_map(|part| {
            let dir = self.sweep.root.open_beneath(part).ok()?;
            self.sweep.nested.owner(part, &dir)
        })
    }

    /// Reports why a directory that is asked for itself stays.
    fn directory_alone(&mut self, parent: &Opened, name: &[u8]) {
        let path = parent.at(name).path();
        let dir = parent.dir.open(name);
        let because = match (dir, self.sweep.policy().globs.directory(&parent.place, name)) {
            (Err(error), _) if error.raw_os_error() == Some(rustix::io::Errno::XDEV.raw_os_error()) => {
                Because::MountPoint
            }
            (Ok(dir), _) if matches!(self.sweep.elsewhere(&dir), Ok(Some(_))) => Because::OtherFileSystem,
            (Ok(dir), _) if self.sweep.nested.owner(&path, &dir).is_some() => {
                Because::OtherTarget(self.sweep.nested.owner(&path, &dir).unwrap_or_default())
            }
            (Ok(dir), _) if is_locked(&dir) => Because::Locked,
            (_, Entered::Unreached) => Because::Unreached,
            (_, Entered::Excluded(pattern)) => Because::Excluded(pattern),
            (_, Entered::BuiltIn(pattern)) => Because::BuiltIn(pattern),
            (_, Entered::Place(_)) => Because::NotRegular(Kind::Directory),
        };
        (self.sweep.observer)(&Event::Stays { at: At { directory: &path, name: b"" }, because: &because });
    }
}
