//! What goes is put into the trash beside the root, from where it can be put back.

use std::ffi::CStr;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Order;
use super::act::{Act, Hands, How, Remove, Undone, Whole, moved};
use super::batch::Opened;
use crate::entry::{Facts, Stamp};
use crate::fsys::{Destination, Dir, May, Root, Trash, TrashedRun};
use crate::names::{RunId, TargetName};
use crate::target::Action;
use crate::units::Bytes;
use crate::verdict::Reason;

/// For so long, what was put back is not taken again.
const PROTECTED: Duration = Duration::from_secs(24 * 60 * 60);

/// What is written down of a run before its first file goes to the trash.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Note {
    /// The run.
    pub run: RunId,
    /// Its target.
    pub target: TargetName,
    /// When it began.
    pub at: Timestamp,
    /// How long its files are kept, in seconds.
    pub keep_s: u64,
}

impl Note {
    /// That of a run in the trash; `None` when it cannot be read.
    #[must_use]
    pub fn of(run: &TrashedRun) -> Option<Self> {
        serde_json::from_str(&run.note).ok()
    }

    /// From when on its files are purged.
    #[must_use]
    pub fn until(&self) -> Timestamp {
        self.at.checked_add(Duration::from_secs(self.keep_s)).unwrap_or(Timestamp::MAX)
    }
}

/// Since when, and until when, what was put back to a target is not taken again.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Restored {
    since: Timestamp,
    until: Timestamp,
}

/// The mark that says so.
fn mark_of(target: &TargetName) -> String {
    // A target's name has no slash.
    format!("{target}.restored")
}

fn restored(trash: &Trash, target: &TargetName, now: Timestamp) -> Option<Restored> {
    let restored: Restored = serde_json::from_str(&trash.read_mark(&mark_of(target))?).ok()?;
    (now < restored.until).then_some(restored)
}

/// Says that something is about to be put back to a target. To be called before.
///
/// # Errors
/// What the system says.
pub(super) fn note_restored(trash: &Trash, target: &TargetName, now: Timestamp) -> io::Result<()> {
    let since = restored(trash, target, now).map_or(now, |before| before.since);
    let until = now.checked_add(PROTECTED).unwrap_or(Timestamp::MAX);
    let text = serde_json::to_string(&Restored { since, until }).map_err(io::Error::other)?;
    trash.mark(&mark_of(target), &text)
}

/// From which change of its inode on a file counts as put back; `None` when nothing was within a day.
pub(super) fn restored_since(order: &Order, root: &Root) -> Option<Stamp> {
    let target = &order.target;
    let trash = (target.action == Action::Trash).then(|| Trash::beside(&root.path, false).ok()).flatten()?;
    let since = restored(&trash, &target.name, order.now)?.since;
    // The kernel stamps from a clock that is a little behind.
    Some(since.checked_sub(Duration::from_secs(1)).ok()?.into())
}

/// Whether what goes for this reason gives its space back: what is renamed into the trash does not, so what is to make
/// room goes for good.
pub(super) fn frees(order: &Order, reason: &Reason) -> bool {
    order.target.action != Action::Trash || matches!(reason, Reason::MinFree { .. })
}

/// The act of a target whose files go to the trash.
pub(super) struct ToTrash<'a> {
    order: &'a Order,
    trash: Trash,
    /// Made when the first file goes.
    run: Mutex<Option<std::sync::Arc<Destination>>>,
    /// For what goes to make room: a trash frees nothing.
    remove: Remove,
}

impl<'a> ToTrash<'a> {
    pub(super) fn new(order: &'a Order, trash: Trash) -> Self {
        Self { order, trash, run: Mutex::default(), remove: Remove(order.target.on_unverifiable) }
    }

    fn destination(&self) -> io::Result<std::sync::Arc<Destination>> {
        let mut run = self.run.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(run) = &*run {
            return Ok(run.clone());
        }
        let Order { run: id, target, now, .. } = self.order;
        let keep_s = target.trash_keep.as_secs();
        let note = Note { run: id.clone(), target: target.name.clone(), at: *now, keep_s };
        let note = serde_json::to_string(&note).map_err(io::Error::other)?;
        let made = std::sync::Arc::new(self.trash.begin(id.as_str(), &note)?);
        *run = Some(made.clone());
        Ok(made)
    }

    /// The runs of this target that are in the trash, oldest first.
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

    fn act(
        &self,
        directory: &Opened,
        name: &CStr,
        facts: &Facts,
        reason: &Reason,
        hands: Hands<'_>,
    ) -> Result<How, Undone> {
        if frees(self.order, reason) {
            return self.remove.act(directory, name, facts, reason, hands);
        }
        let take = |to: std::sync::Arc<Destination>| to.take(&directory.dir, &directory.path, name.to_bytes(), facts);
        moved(directory, name, facts, self.destination().and_then(take))
    }

    fn whole(&self, aside: &Dir, name: &[u8], reason: &Reason) -> io::Result<Whole> {
        if frees(self.order, reason) {
            return Ok(Whole::IsToBeRemoved);
        }
        self.destination()?.take_whole(aside, name).map(|()| Whole::Went)
    }

    fn directory(&self, parent: &Dir, name: &[u8]) -> io::Result<()> {
        parent.remove_directory(name)
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
