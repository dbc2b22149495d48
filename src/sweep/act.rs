//! What is done to what goes.

use std::ffi::CStr;
use std::io;

use rustix::io::Errno;

use super::Control;
use super::aside::Aside;
use super::batch::Opened;
use super::walk::is_gone;
use crate::entry::Facts;
use crate::fsys::{Destination, Dir, May, Refusal, WholeCopy, is_unchanged};
use crate::target::Unverifiable;
use crate::verdict::{Because, Reason};

/// How a file went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// By its name, in a directory where nobody else can put another file under it.
    Plain,
    /// It was seen to be the one that was judged, and that nobody had it open.
    Verified,
}

/// Why a file that was to go did not.
#[derive(Debug)]
pub(super) enum Undone {
    /// It stays, because of this.
    Stays(Because),
    /// The system refused.
    Failed(io::Error),
}

impl From<io::Error> for Undone {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// What came of a move.
pub(super) fn moved(directory: &Opened, name: &CStr, judged: &Facts, done: io::Result<()>) -> Result<How, Undone> {
    let Err(error) = done else { return Ok(How::Verified) };
    let is_stale = error.raw_os_error() == Some(Errno::STALE.raw_os_error());
    if !is_stale && !is_gone(&error) {
        return Err(Undone::Failed(error));
    }
    // That may be said of the file, or of where it was to go. What is not what was judged stays, and the next run judges
    // it anew.
    match directory.dir.look(name.to_bytes()) {
        Err(gone) => Err(Undone::Failed(gone)),
        Ok(now) if !is_unchanged(&now.facts, judged) => Err(Undone::Stays(Because::Changed)),
        Ok(_) => Err(Undone::Failed(io::Error::new(error.kind(), format!("where it was to go: {error}")))),
    }
}

/// What is done to what goes.
pub(super) trait Act: Sync {
    /// Whether this changes anything on disk.
    fn may_change(&self) -> bool;

    /// What else it changes than the target.
    fn also(&self) -> Option<(&Dir, May)> {
        None
    }

    /// Whether all that it does to a file of `directory` is to remove its name, whatever is known about the file.
    fn goes_by_name(&self, _directory: &Opened) -> bool {
        false
    }

    /// Does it to an entry of `directory` that is none itself.
    fn act(
        &self,
        directory: &Opened,
        name: &CStr,
        facts: &Facts,
        reason: &Reason,
        hands: Hands<'_>,
    ) -> Result<How, Undone>;

    /// Copies a directory that goes whole to where it will be, if it cannot be renamed to there. It is still in its place.
    fn copy_whole(&self, _held: &Dir, _control: &Control) -> io::Result<Option<WholeCopy<'_>>> {
        Ok(None)
    }

    /// Does it to a directory that goes whole and is aside: `held`, which has its `name` in `aside`.
    fn whole(&self, _aside: &Dir, _name: &[u8], _reason: &Reason) -> io::Result<Whole> {
        Ok(Whole::IsToBeRemoved)
    }

    /// What is to be done before a run's first file, and what is to be said of it.
    fn tidy(&self) -> Vec<String> {
        Vec::new()
    }

    /// Gives up something to make room, and says what; `None` when there is nothing to give up.
    fn give_way(&self) -> Option<String> {
        None
    }

    /// Removes the directory `name` in `parent`, which must be empty.
    fn directory(&self, parent: &Dir, name: &[u8]) -> io::Result<()>;
}

/// What became of a directory that goes whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whole {
    /// It is where it was to go.
    Went,
    /// What is in it is to be removed.
    IsToBeRemoved,
}

/// Who does it, and what with.
#[derive(Clone, Copy)]
pub(super) struct Hands<'a> {
    pub(super) aside: &'a Aside<'a>,
    /// The number of the worker.
    pub(super) worker: usize,
}

/// The sweep's: it goes.
pub(super) struct Remove(pub(super) Unverifiable);

impl Act for Remove {
    fn may_change(&self) -> bool {
        true
    }

    fn goes_by_name(&self, directory: &Opened) -> bool {
        directory.is_trusted()
    }

    fn act(&self, directory: &Opened, name: &CStr, facts: &Facts, _: &Reason, hands: Hands<'_>) -> Result<How, Undone> {
        if self.goes_by_name(directory) {
            directory.dir.remove_listed(name)?;
            return Ok(How::Plain);
        }
        let because = match hands.aside.remove(hands.worker, directory, name.to_bytes(), facts) {
            Ok(()) => return Ok(How::Verified),
            Err(Refusal::Unverifiable(_)) if self.0 == Unverifiable::Plain => {
                directory.dir.remove_listed(name)?;
                return Ok(How::Plain);
            }
            Err(Refusal::Failed(error)) => return Err(Undone::Failed(error)),
            Err(Refusal::InUse) => Because::InUse,
            Err(Refusal::Locked) => Because::Locked,
            Err(Refusal::Changed) => Because::Changed,
            Err(Refusal::Conflict(kept)) => Because::Conflict(kept.into()),
            Err(Refusal::Unverifiable(error)) => Because::Unverifiable(error.to_string().into()),
        };
        Err(Undone::Stays(because))
    }

    fn directory(&self, parent: &Dir, name: &[u8]) -> io::Result<()> {
        parent.remove_directory(name)
    }
}

/// The sweep's, where files are not removed but moved away. That compares what it moved, whatever the directory.
pub(super) struct Move(pub(super) Destination);

impl Act for Move {
    fn may_change(&self) -> bool {
        true
    }

    fn also(&self) -> Option<(&Dir, May)> {
        Some((self.0.dir(), May::Change))
    }

    fn copy_whole(&self, held: &Dir, control: &Control) -> io::Result<Option<WholeCopy<'_>>> {
        let go_on = || match control.cancelled() {
            Some(why) => Err(io::Error::other(why.to_owned())),
            None => Ok(()),
        };
        if self.0.is_apart_from(held)? { self.0.copy_whole(held, &go_on).map(Some) } else { Ok(None) }
    }

    fn whole(&self, aside: &Dir, name: &[u8], _: &Reason) -> io::Result<Whole> {
        self.0.take_whole(aside, name).map(|()| Whole::Went)
    }

    fn tidy(&self) -> Vec<String> {
        let tidied = self.0.remove_whole_left_over();
        tidied.err().map(|error| format!("cannot look for what a killed move has left: {error}")).into_iter().collect()
    }

    fn act(&self, directory: &Opened, name: &CStr, facts: &Facts, _: &Reason, _: Hands<'_>) -> Result<How, Undone> {
        moved(directory, name, facts, self.0.take(&directory.dir, &directory.path, name.to_bytes(), facts))
    }

    fn directory(&self, parent: &Dir, name: &[u8]) -> io::Result<()> {
        parent.remove_directory(name)
    }
}

/// The preview's: nothing.
pub(super) struct Preview;

impl Act for Preview {
    fn may_change(&self) -> bool {
        false
    }

    fn act(&self, _: &Opened, _: &CStr, _: &Facts, _: &Reason, _: Hands<'_>) -> Result<How, Undone> {
        Ok(How::Plain)
    }

    fn directory(&self, _: &Dir, _: &[u8]) -> io::Result<()> {
        Ok(())
    }
}
