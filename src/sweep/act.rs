//! Actions on files and directories that go.

use std::ffi::CStr;
use std::io;

use rustix::io::Errno;

use super::Control;
use super::aside::Aside;
use super::batch::Opened;
use super::emptied::{self, Emptied};
use super::walk::is_gone;
use crate::entry::{Facts, Kind};
use crate::fsys::{Claimed, Destination, Dir, Found, GoOn, May, Refusal, WholeCopy};
use crate::target::Unverifiable;
use crate::verdict::{Because, Reason};

/// Way in which a file was removed or moved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum How {
    /// By its name, in a directory where nobody else can put another file under that name; elsewhere if the target
    /// accepts it (`on_unverifiable`).
    Plain,
    /// Verified: the file was seen to be the one that was judged, and nobody had it open.
    Verified,
}

/// Reason for which a file that was to go did not.
#[derive(Debug)]
pub(super) enum Undone {
    /// The file stays, for this reason.
    Stays(Because),
    /// The run was stopped meanwhile.
    Stopped,
    /// The system refused.
    Failed(io::Error),
}

impl From<Refusal> for Undone {
    fn from(refusal: Refusal) -> Self {
        Self::Stays(match refusal {
            Refusal::Failed(error) => return Self::Failed(error),
            Refusal::Stopped => return Self::Stopped,
            Refusal::InUse => Because::InUse,
            Refusal::Locked => Because::Locked,
            Refusal::Changed => Because::Changed,
            Refusal::Conflict(kept) => Because::Conflict(kept.into()),
            Refusal::Unverifiable(error) => Because::Unverifiable(error.to_string().into()),
        })
    }
}

impl From<io::Error> for Undone {
    fn from(error: io::Error) -> Self {
        Self::Failed(error)
    }
}

/// Returns why a file could not be moved by its name, if it was seen to have the facts `judged`.
fn not_moved(directory: &Opened, name: &CStr, judged: Option<&Facts>, error: io::Error) -> Undone {
    let is_stale = error.raw_os_error() == Some(Errno::STALE.raw_os_error());
    let Some(judged) = judged.filter(|_| is_stale || is_gone(&error)) else { return Undone::Failed(error) };
    // The error may be about the file, or about its destination. A file that is no longer the one that was judged
    // stays, and the next run judges it anew.
    let what = |facts: &Facts| (facts.identity, facts.size, facts.stamps.modified);
    match directory.dir.look(name.to_bytes()) {
        Err(gone) => Undone::Failed(gone),
        Ok(now) if what(&now.facts) != what(judged) => Undone::Stays(Because::Changed),
        Ok(_) => Undone::Failed(io::Error::new(error.kind(), format!("where it was to go: {error}"))),
    }
}

/// Moves a file by its name.
pub(super) fn move_by_name(
    to: &Destination,
    directory: &Opened,
    name: &CStr,
    judged: Option<&Facts>,
    root: &Dir,
) -> Result<How, Undone> {
    let into = directory.destination(to, root)?;
    let moved = to.take_by_name(&directory.dir, name.to_bytes(), into);
    moved.map(|()| How::Plain).map_err(|error| not_moved(directory, name, judged, error))
}

/// Runs `act` on a file by its name. If `skip_open` says that nobody may use the file, it is held until that is done.
fn held<T>(
    directory: &Opened,
    name: &CStr,
    found: &Found,
    hands: Hands<'_>,
    act: impl FnOnce(Option<&Claimed>) -> Result<T, Undone>,
) -> Result<T, Undone> {
    if !hands.skip_open || found.kind != Kind::File {
        return act(None);
    }
    let own;
    let claimed = match hands.held {
        Some(held) => held,
        None => {
            own = Claimed::of(&directory.dir, name.to_bytes(), found.facts.identity)?;
            &own
        }
    };
    claimed.expect(&found.facts)?;
    act(Some(claimed))
}

/// Moves a file: by its name in a directory that nobody else can write, elsewhere by way of a slot.
pub(super) fn transfer(
    (to, on_unverifiable): (&Destination, Unverifiable),
    directory: &Opened,
    name: &CStr,
    found: &Found,
    hands: Hands<'_>,
) -> Result<How, Undone> {
    let trusted = directory.is_trusted();
    if trusted && !to.copies_from(directory.identity()?) {
        let by_name = |_: Option<&Claimed>| move_by_name(to, directory, name, Some(&found.facts), hands.root);
        let done = held(directory, name, found, hands, by_name);
        if done.is_ok() || !to.copies_from(directory.identity()?) {
            return done;
        }
    }
    let into = directory.destination(to, hands.root)?;
    let go_on: GoOn<'_> = &|| if hands.control.cancelled().is_some() { Err(Refusal::Stopped) } else { Ok(()) };
    if !trusted {
        match hands.aside.transfer(hands.worker, directory, name.to_bytes(), found, (to, into), go_on) {
            Ok(()) => return Ok(How::Verified),
            Err(Refusal::Unverifiable(_)) if on_unverifiable == Unverifiable::Plain => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    let from = directory.taken()?;
    held(directory, name, found, hands, |claimed| {
        to.take_held(&from, name.to_bytes(), found, into, (claimed, go_on))?;
        Ok(How::Plain)
    })
}

/// Action on files and directories that go.
pub(super) trait Act: Sync {
    /// Returns whether the action changes anything on disk.
    fn may_change(&self) -> bool;

    /// Returns the directory that the action changes beside the target, if any.
    fn also(&self) -> Option<(&Dir, May)> {
        None
    }

    /// Returns whether a file of `directory` goes by its name, whatever is known about the file.
    fn goes_by_name(&self, _directory: &Opened) -> bool {
        false
    }

    /// Acts on an entry of `directory` by its name. The entry itself is no directory.
    fn by_name(
        &self,
        directory: &Opened,
        name: &CStr,
        judged: Option<&Facts>,
        reason: &Reason,
        root: &Dir,
    ) -> Result<How, Undone>;

    /// Acts on an entry of `directory` that was found to be `found`. The entry itself is no directory.
    fn act(
        &self,
        directory: &Opened,
        name: &CStr,
        found: &Found,
        reason: &Reason,
        hands: Hands<'_>,
    ) -> Result<How, Undone>;

    /// Copies a directory that goes whole to its destination, if it cannot be renamed to there. The copy takes at least
    /// `need` bytes. The directory is still in its place.
    fn copy_whole(&self, _held: &Dir, _need: u64, _control: &Control) -> io::Result<Option<WholeCopy<'_>>> {
        Ok(None)
    }

    /// Acts on a directory that goes whole and is aside, where it has its `name` in `aside`.
    fn whole(&self, _aside: &Dir, _name: &[u8], _reason: &Reason, _root: &Dir) -> io::Result<Whole> {
        Ok(Whole::IsToBeRemoved)
    }

    /// Cleans up before a run's first file, and returns texts to report.
    fn tidy(&self) -> Vec<String> {
        Vec::new()
    }

    /// Gives up something to make room, and returns a text that says what; `None` when there is nothing to give up.
    fn give_way(&self) -> Option<String> {
        None
    }

    /// Removes the directory `name` in `parent`, which must be empty and the one that was judged.
    fn directory(&self, parent: &Dir, name: &[u8], emptied: Emptied<'_>, hands: Hands<'_>) -> Result<(), Undone>;
}

/// Result of the action on a directory that goes whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whole {
    /// The directory is at its destination.
    Went,
    /// The content of the directory is to be removed.
    IsToBeRemoved,
}

/// Worker that acts, and the means that it acts with.
#[derive(Clone, Copy)]
pub(super) struct Hands<'a> {
    pub(super) aside: &'a Aside<'a>,
    /// Root of the target.
    pub(super) root: &'a Dir,
    pub(super) control: &'a Control,
    /// Number of the worker.
    pub(super) worker: usize,
    /// Whether no process may use a file that goes, wherever the file is.
    pub(super) skip_open: bool,
    /// File that goes, if it is held from the verdict on.
    pub(super) held: Option<&'a Claimed>,
}

/// Action of a sweep that deletes.
pub(super) struct Remove(pub(super) Unverifiable);

impl Act for Remove {
    fn may_change(&self) -> bool {
        true
    }

    fn goes_by_name(&self, directory: &Opened) -> bool {
        directory.is_trusted()
    }

    #[inline(always)]
    fn by_name(&self, directory: &Opened, name: &CStr, _: Option<&Facts>, _: &Reason, _: &Dir) -> Result<How, Undone> {
        directory.dir.remove_listed(name)?;
        Ok(How::Plain)
    }

    fn act(&self, directory: &Opened, name: &CStr, found: &Found, _: &Reason, hands: Hands<'_>) -> Result<How, Undone> {
        let by_name = |_: Option<&Claimed>| {
            directory.dir.remove_listed(name)?;
            Ok(How::Plain)
        };
        if self.goes_by_name(directory) {
            return held(directory, name, found, hands, by_name);
        }
        match hands.aside.remove(hands.worker, directory, name.to_bytes(), found) {
            Ok(()) => Ok(How::Verified),
            Err(Refusal::Unverifiable(_)) if self.0 == Unverifiable::Plain => {
                held(directory, name, found, hands, by_name)
            }
            Err(refusal) => Err(refusal.into()),
        }
    }

    fn directory(&self, parent: &Dir, name: &[u8], emptied: Emptied<'_>, hands: Hands<'_>) -> Result<(), Undone> {
        emptied::remove(parent, name, emptied, hands, self.0)
    }
}

/// Action of a sweep that moves files away instead of removing them.
pub(super) struct Move(pub(super) Destination, pub(super) Unverifiable);

impl Act for Move {
    fn may_change(&self) -> bool {
        true
    }

    fn also(&self) -> Option<(&Dir, May)> {
        Some((self.0.dir(), May::Change))
    }

    fn copy_whole(&self, held: &Dir, need: u64, control: &Control) -> io::Result<Option<WholeCopy<'_>>> {
        let go_on: GoOn<'_> = &|| if control.cancelled().is_some() { Err(Refusal::Stopped) } else { Ok(()) };
        if !self.0.is_apart_from(held)? {
            return Ok(None);
        }
        let copied = self.0.copy_whole(held, need, go_on).map(Some);
        copied.map_err(|error| match error.raw_os_error() == Some(Errno::XDEV.raw_os_error()) {
            true => {
                let what =
                    "something in it cannot be copied to another file system: a FIFO, a socket, a device or a mount";
                io::Error::new(error.kind(), format!("{what} ({error})"))
            }
            false => error,
        })
    }

    fn whole(&self, aside: &Dir, name: &[u8], _: &Reason, _: &Dir) -> io::Result<Whole> {
        self.0.take_whole(aside, name).map(|()| Whole::Went)
    }

    fn goes_by_name(&self, directory: &Opened) -> bool {
        directory.is_trusted() && directory.identity().is_ok_and(|from| !self.0.copies_from(from))
    }

    fn by_name(
        &self,
        directory: &Opened,
        name: &CStr,
        judged: Option<&Facts>,
        _: &Reason,
        root: &Dir,
    ) -> Result<How, Undone> {
        move_by_name(&self.0, directory, name, judged, root)
    }

    fn act(&self, directory: &Opened, name: &CStr, found: &Found, _: &Reason, hands: Hands<'_>) -> Result<How, Undone> {
        transfer((&self.0, self.1), directory, name, found, hands)
    }

    fn tidy(&self) -> Vec<String> {
        let mut said = Vec::new();
        for left in [self.0.remove_left_over(), self.0.remove_whole_left_over()] {
            match left {
                Ok(names) => {
                    said.extend(names.iter().map(|name| {
                        format!("removed from the destination what a killed move had left there: `{name}`")
                    }))
                }
                Err(error) => said.push(format!("cannot look for what a killed move has left: {error}")),
            }
        }
        said
    }

    fn directory(&self, parent: &Dir, name: &[u8], emptied: Emptied<'_>, hands: Hands<'_>) -> Result<(), Undone> {
        emptied::remove(parent, name, emptied, hands, self.1)
    }
}

/// Action of a preview: nothing.
pub(super) struct Preview;

impl Act for Preview {
    fn may_change(&self) -> bool {
        false
    }

    fn by_name(&self, _: &Opened, _: &CStr, _: Option<&Facts>, _: &Reason, _: &Dir) -> Result<How, Undone> {
        Ok(How::Plain)
    }

    fn act(&self, _: &Opened, _: &CStr, _: &Found, _: &Reason, _: Hands<'_>) -> Result<How, Undone> {
        Ok(How::Plain)
    }

    fn directory(&self, _: &Dir, _: &[u8], _: Emptied<'_>, _: Hands<'_>) -> Result<(), Undone> {
        Ok(())
    }
}
