//! Action that puts files into the trash beside the root, from where they can be put back.

use std::collections::HashMap;
use std::ffi::CStr;
use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Order;
use super::act::{Act, Hands, How, Remove, Undone, Whole, move_by_name, transfer};
use super::batch::Opened;
use super::emptied::Emptied;
use crate::entry::{ActionKind, Facts, Stamp};
use crate::fsys::{Destination, Dir, Found, May, Origin, Root, Trash, TrashedRun};
use crate::names::{Escaped, RunId, TargetName};
use crate::target::Action;
use crate::units::Bytes;
use crate::verdict::Reason;

/// Most files put back that are written down; after an undo of more, every file that was changed since is protected.
const MOST_RESTORED: usize = 500_000;

/// Time for which files that were put back are not taken again.
const PROTECTED: Duration = Duration::from_secs(24 * 60 * 60);

/// Note on a run that is written before its first file goes to the trash.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Note {
    /// Run whose files these are.
    pub run: RunId,
    /// Target of the run.
    pub target: TargetName,
    /// Time at which the run began.
    pub at: Timestamp,
    /// Time for which the files are kept, in seconds.
    pub keep_s: u64,
    /// Root that the files are from: its path, escaped.
    #[serde(default)]
    pub root: String,
    /// Origin of that root: its inode and its birth time, which tell it from another directory of the same path.
    #[serde(default)]
    pub origin: String,
}

impl Note {
    /// Reads the note of a run in the trash; returns `None` when it cannot be read.
    #[must_use]
    pub fn of(run: &TrashedRun) -> Option<Self> {
        serde_json::from_str(&run.note).ok()
    }

    /// Returns the time from which the files of the run are purged.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.at.checked_add(Duration::from_secs(self.keep_s)).unwrap_or(Timestamp::MAX)
    }
}

/// Record of the files that were put back to a target.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Marks {
    undone: Vec<PutBackOnce>,
}

/// Files that one undo has put back.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct PutBackOnce {
    since: Timestamp,
    until: Timestamp,
    /// Inodes and birth times of the files, in nanoseconds; `None` when there were too many to be written down.
    files: Option<Vec<(u64, Option<i64>)>>,
}

/// Files that were put back to a target within a day, and are not taken again.
#[derive(Debug, Default)]
pub(super) struct Restored {
    files: HashMap<(u64, Option<i64>), Stamp>,
    /// Earliest change of an inode from which any file counts as put back, where there were too many.
    all_since: Option<Stamp>,
}

fn key(inode: u64, created: Option<Stamp>) -> (u64, Option<i64>) {
    (inode, created.and_then(|created| i64::try_from(created.nanoseconds()).ok()))
}

impl Restored {
    /// Returns whether a file was put back.
    pub(super) fn holds(&self, facts: &Facts) -> bool {
        let Facts { identity, stamps, .. } = facts;
        let known = self.files.get(&key(identity.inode, stamps.created));
        // Without a birth time the inode may have been given to another file since, or before.
        known.is_some_and(|since| stamps.created.is_some() || stamps.changed >= *since)
            || self.all_since.is_some_and(|since| stamps.changed >= since)
    }
}

/// Returns the name of the mark that records files put back to a target.
fn mark_of(target: &TargetName) -> String {
    // A target's name has no slash.
    format!("{target}.restored")
}

fn marks(trash: &Trash, target: &TargetName, now: Timestamp) -> Marks {
    let text = trash.read_mark(&mark_of(target));
    let mut marks: Marks = text.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or_default();
    marks.undone.retain(|once| now < once.until);
    marks
}

/// Records that the files of a run are about to be put back to a target. To be called before that.
///
/// # Errors
/// Fails with the error of the system.
pub(super) fn note_restored(trash: &Trash, run: &TrashedRun, target: &TargetName, now: Timestamp) -> io::Result<()> {
    let mut marks = marks(trash, target, now);
    let known: usize = marks.undone.iter().filter_map(|once| once.files.as_ref()).map(Vec::len).sum();
    let files = trash.inodes(run, MOST_RESTORED.saturating_sub(known))?;
    let files = files.map(|files| files.into_iter().map(|(inode, created)| key(inode, created)).collect());
    let until = now.checked_add(PROTECTED).unwrap_or(Timestamp::MAX);
    marks.undone.push(PutBackOnce { since: now, until, files });
    trash.mark(&mark_of(target), &serde_json::to_string(&marks).map_err(io::Error::other)?)
}

/// Returns the files that were put back to the target within a day; `None` when there are none.
pub(super) fn restored(order: &Order, root: &Root) -> Option<Restored> {
    let target = &order.target;
    let trash = (target.action == Action::Trash).then(|| Trash::beside(&root.path, false).ok()).flatten()?;
    let mut restored = Restored::default();
    for PutBackOnce { since, files, .. } in marks(&trash, &target.name, order.now).undone {
        // The kernel stamps from a clock that is a little behind.
        let since = Stamp::from(since.checked_sub(Duration::from_secs(1)).unwrap_or(since));
        match files {
            Some(files) => restored.files.extend(files.into_iter().map(|file| (file, since))),
            None => restored.all_since = Some(restored.all_since.map_or(since, |before| before.min(since))),
        }
    }
    (!restored.files.is_empty() || restored.all_since.is_some()).then_some(restored)
}

/// Returns whether files that go for this reason free their space. Files that are renamed into the trash do not, so
/// files that are to make room go for good.
pub(super) fn frees(order: &Order, reason: &Reason) -> bool {
    reason.action(order.target.action.kind()) != ActionKind::Trash
}

/// Action of a target whose files go to the trash.
pub(super) struct ToTrash<'a> {
    order: &'a Order,
    trash: Trash,
    /// Directory of this run in the trash, made when the first file goes.
    run: OnceLock<Destination>,
    /// Lock that is held while that directory is made.
    making: Mutex<()>,
    /// Action on files that go to make room: a trash frees nothing.
    remove: Remove,
}

impl<'a> ToTrash<'a> {
    pub(super) fn new(order: &'a Order, trash: Trash) -> Self {
        Self {
            order,
            trash,
            run: OnceLock::new(),
            making: Mutex::default(),
            remove: Remove(order.target.on_unverifiable),
        }
    }

    fn destination(&self, root: &Dir) -> io::Result<&Destination> {
        if let Some(run) = self.run.get() {
            return Ok(run);
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(run) = self.run.get() {
            return Ok(run);
        }
        let Order { run: id, target, now, .. } = self.order;
        let keep_s = target.trash_keep.as_secs();
        let path = Escaped(target.path.as_os_str().as_encoded_bytes()).to_string();
        let origin = Origin::of(root)?.name();
        let note = Note { run: id.clone(), target: target.name.clone(), at: *now, keep_s, root: path, origin };
        let note = serde_json::to_string(&note).map_err(io::Error::other)?;
        let made = self.trash.begin(id.as_str(), &note)?;
        Ok(self.run.get_or_init(|| made))
    }

    /// Returns the other runs of this target that are in the trash, oldest first.
    fn ours(&self) -> io::Result<Vec<(TrashedRun, Note)>> {
        let mut ours = Vec::new();
        for run in self.trash.runs()? {
            match Note::of(&run) {
                Some(note) if note.target == self.order.target.name && note.run != self.order.run => {
                    ours.push((run, note));
                }
                Some(_) => {}
                // A run that was killed while it wrote its note has nothing in the trash.
                None => self.trash.forget_bare(&run)?,
            }
        }
        ours.sort_by_key(|(_, note)| note.at);
        Ok(ours)
    }
}

impl Act for ToTrash<'_> {
    fn may_change(&self) -> bool {
        true
    }

    fn also(&self) -> Option<(&Dir, May)> {
        Some((self.trash.dir(), May::Change))
    }

    fn goes_by_name(&self, directory: &Opened) -> bool {
        directory.is_trusted()
    }

    fn by_name(
        &self,
        directory: &Opened,
        name: &CStr,
        judged: Option<&Facts>,
        reason: &Reason,
        root: &Dir,
    ) -> Result<How, Undone> {
        if frees(self.order, reason) {
            return self.remove.by_name(directory, name, judged, reason, root);
        }
        move_by_name(self.destination(root)?, directory, name, judged, root)
    }

    fn act(
        &self,
        directory: &Opened,
        name: &CStr,
        found: &Found,
        reason: &Reason,
        hands: Hands<'_>,
    ) -> Result<How, Undone> {
        if frees(self.order, reason) {
            return self.remove.act(directory, name, found, reason, hands);
        }
        transfer((self.destination(hands.root)?, self.order.target.on_unverifiable), directory, name, found, hands)
    }

    fn whole(&self, aside: &Dir, name: &[u8], reason: &Reason, root: &Dir) -> io::Result<Whole> {
        if frees(self.order, reason) {
            return Ok(Whole::IsToBeRemoved);
        }
        self.destination(root)?.take_whole(aside, name).map(|()| Whole::Went)
    }

    fn directory(&self, parent: &Dir, name: &[u8], emptied: Emptied<'_>, hands: Hands<'_>) -> Result<(), Undone> {
        self.remove.directory(parent, name, emptied, hands)
    }

    fn tidy(&self) -> Vec<String> {
        // A clock that was set must not empty the trash.
        if self.order.guards.clock.is_some() {
            return Vec::new();
        }
        let purge = || {
            let mut said = Vec::new();
            for (run, note) in self.ours()? {
                if note.until() <= self.order.now {
                    let weight = self.trash.purge(&run)?;
                    let freed = Bytes(weight.bytes);
                    said.push(format!("purged from the trash: {} files of run {}, {freed}", weight.files, run.id()));
                }
            }
            Ok(said)
        };
        purge().unwrap_or_else(|error: io::Error| vec![format!("cannot purge the trash: {error}")])
    }

    fn give_way(&self) -> Option<String> {
        let (run, _) = self.ours().ok()?.into_iter().next()?;
        let weight = self.trash.purge(&run).ok()?;
        Some(format!("purged from the trash, to make room: {} files of run {}", weight.files, run.id()))
    }
}
