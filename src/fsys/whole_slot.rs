//! Slots for directories that are removed or moved whole: one rename takes the directory aside into a private directory
//! below the root.
//!
//! `.janitor-slots/whole-N` is the slot of one worker. In the slot, `aside` holds the directory while it is judged
//! again, and `going` holds it while it is removed. The directory keeps its name in both, and belongs in the root. So
//! its place says how far a killed run had come: the next run puts back everything in `aside` and removes everything in
//! `going` ([`recover_whole`]).

use std::collections::BTreeSet;
use std::io;

use rustix::fs::{Mode, RenameFlags, fchmod, fstat, readlinkat, renameat_with, symlinkat};
use rustix::io::Errno;

use super::dir::{Dir, again, path};
use super::place::{is, rename_to, under_a_free_name};
use super::private::{open_private, private_directory};
use super::slot::{open_slots, own_slots};
use super::transfer::Destination;
use super::tree::{Visit, below, remove};
use crate::entry::{Identity, Kind, Stamp};
use crate::names::Escaped;

/// Prefix of the name of a slot.
const WHOLE: &str = "whole-";

/// Name of the directory in a slot for directories that may be put back.
const ASIDE: &[u8] = b"aside";

/// Name of the directory in a slot for directories that are being removed.
const GOING: &[u8] = b"going";

/// Name of the link in a slot whose text is the mode to be restored on the directory in `aside`. A link is made in one
/// step.
const MODE: &[u8] = b"mode";

/// Number of slots tried before giving up.
const MOST: usize = 256;

/// A private directory into which one directory at a time is taken.
#[derive(Debug)]
pub struct WholeSlot {
    /// Path of the slot relative to the root, escaped.
    place: String,
    slot: Dir,
    aside: Dir,
    going: Dir,
    /// Whether the slot holds something that could not be put back.
    stuck: bool,
}

/// Reason why a directory was not taken aside, or was not put back.
#[derive(Debug)]
pub enum NotTaken {
    /// The directory is not the judged one.
    Changed,
    /// The directory could not be put back, since somebody has taken its name. It is kept at this path relative to the
    /// root.
    Conflict(String),
    /// The system refused.
    Failed(io::Error),
}

/// Result of looking for directories that earlier runs had taken aside.
#[derive(Debug, Default)]
pub struct WholeRecovered {
    /// Names of the directories that are back in the root, escaped.
    pub restored: Vec<String>,
    /// Whether there are directories whose removal is unfinished.
    pub is_unfinished: bool,
    /// Directories whose removal was finished: names, escaped, and number of files that were left in each.
    pub finished: Vec<(String, u64)>,
    /// Directories that wait in a slot: paths in the slot, escaped, and the reason.
    pub waiting: Vec<String>,
}

/// Renames a directory, and never over another.
pub(super) fn rename_free(from: &Dir, name: &[u8], to: &Dir, free: &[u8]) -> io::Result<()> {
    match rename_to(from, name, to, free) {
        // The file system cannot promise not to overwrite. A directory can replace nothing but an empty directory.
        Err(error) if is(&error, Errno::INVAL) => match to.look(free) {
            Err(missing) if is(&missing, Errno::NOENT) => {
                again(|| renameat_with(from.fd(), path(name), to.fd(), path(free), RenameFlags::empty()))
            }
            Err(error) => Err(error),
            Ok(_) => Err(Errno::EXIST.into()),
        },
        done => done,
    }
}

impl WholeSlot {
    /// Takes the first slot below this root that is free and empty, and makes one if there is none.
    ///
    /// # Errors
    /// Fails when no private directory of ours can be made there, or all slots are taken.
    pub fn take(root: &Dir) -> io::Result<Self> {
        let (slots, slots_name) = open_slots(root)?;
        for number in 0..MOST {
            let slot = private_directory(&slots, format!("{WHOLE}{number}").as_bytes())?;
            if !slot.try_lock()? {
                continue;
            }
            let (aside, going) = (private_directory(&slot, ASIDE)?, private_directory(&slot, GOING)?);
            // Directories that an earlier run could not put back, or could not remove, wait here.
            if aside.names()?.is_empty() && going.names()?.is_empty() {
                forget_mode(&slot)?;
                let place = format!("{}/{WHOLE}{number}", Escaped(&slots_name));
                return Ok(Self { place, slot, aside, going, stuck: false });
            }
        }
        Err(io::Error::other(format!("all {MOST} slots in `{}` are taken", Escaped(&slots_name))))
    }

    /// Returns whether the slot holds something that could not be put back or not be removed, so that it takes nothing
    /// more.
    #[must_use]
    pub fn is_stuck(&self) -> bool {
        self.stuck
    }

    /// Returns the directory in which the directory taken aside lies.
    #[must_use]
    pub fn aside(&self) -> &Dir {
        &self.aside
    }

    /// Returns the directory in which the directory being removed lies.
    #[must_use]
    pub fn going(&self) -> &Dir {
        &self.going
    }

    fn aside_place(&self, name: &[u8]) -> String {
        format!("{}/aside/{}", self.place, Escaped(name))
    }

    /// Takes the directory `name` of the root aside, if it is the one `held` open.
    ///
    /// # Errors
    /// See [`NotTaken`]. After any error but a conflict the entry of that name is where it was.
    pub fn take_aside(&mut self, root: &Dir, name: &[u8], held: &Dir) -> Result<(), NotTaken> {
        match rename_free(root, name, &self.aside, name) {
            // The rename rewrites the `..` of the directory, which the mode of the directory may not allow.
            Err(error) if is(&error, Errno::ACCESS) => self.take_closed(root, name, held, error)?,
            done => done.map_err(NotTaken::Failed)?,
        }
        let is_it = || -> io::Result<bool> {
            Ok(self.aside.look(name)?.facts.identity == held.look_at_itself()?.1.facts.identity)
        };
        match is_it() {
            Ok(true) => Ok(()),
            _ => Err(self.put_back(root, name, held).err().unwrap_or(NotTaken::Changed)),
        }
    }

    /// Takes aside a directory that is ours but not writable for us: the mode is noted, then changed.
    fn take_closed(&self, root: &Dir, name: &[u8], held: &Dir, refused: io::Error) -> Result<(), NotTaken> {
        let mode = fstat(held.fd()).map_err(|error| NotTaken::Failed(error.into()))?.st_mode & 0o7777;
        let text = format!("{mode:o}");
        let note = || again(|| symlinkat(text.as_str(), self.slot.fd(), path(MODE)));
        note().map_err(NotTaken::Failed)?;
        let moved = match held.make_writable() {
            Ok(Some(_)) => rename_free(root, name, &self.aside, name),
            Ok(None) => Err(refused),
            Err(error) => Err(error),
        };
        moved.map_err(|error| {
            give_mode_back(&self.slot, held);
            NotTaken::Failed(error)
        })
    }

    /// Puts the directory back under its name in the root.
    ///
    /// # Errors
    /// Fails with a conflict; the directory is kept in the slot then.
    pub fn put_back(&mut self, root: &Dir, name: &[u8], held: &Dir) -> Result<(), NotTaken> {
        match rename_free(&self.aside, name, root, name) {
            Ok(()) => {
                give_mode_back(&self.slot, held);
                Ok(())
            }
            Err(_) => {
                self.stuck = true;
                Err(NotTaken::Conflict(self.aside_place(name)))
            }
        }
    }

    /// Commits to the removal: from here on the directory is removed, whatever happens.
    ///
    /// # Errors
    /// Fails with the kernel's error; the directory is still aside then.
    pub fn commit(&mut self, name: &[u8]) -> io::Result<()> {
        rename_free(&self.aside, name, &self.going, name)
    }

    /// Puts back the rest of a directory that was being removed, because there is something fresh in it.
    ///
    /// # Errors
    /// Fails with a conflict, and the directory is kept then; or with the kernel's error.
    pub fn put_rest_back(&mut self, root: &Dir, name: &[u8], held: &Dir) -> Result<(), NotTaken> {
        self.stuck = true;
        rename_free(&self.going, name, &self.aside, name).map_err(NotTaken::Failed)?;
        self.stuck = false;
        self.put_back(root, name, held)
    }

    /// Marks the slot: its contents could not be removed to the end, and the next run continues.
    pub fn leave(&mut self) {
        self.stuck = true;
    }

    /// Restores the mode of the directory, which has reached its destination.
    pub fn went(&mut self, held: &Dir) {
        give_mode_back(&self.slot, held);
    }

    /// Cleans the slot after its contents are gone.
    pub fn done(&mut self) {
        // A slot with such a link and nothing else is cleaned when it is next taken.
        drop(forget_mode(&self.slot));
    }
}

fn forget_mode(slot: &Dir) -> io::Result<()> {
    match slot.remove(MODE) {
        Err(error) if is(&error, Errno::NOENT) => Ok(()),
        done => done,
    }
}

/// Restores the mode that a directory had before it was taken aside.
fn give_mode_back(slot: &Dir, held: &Dir) {
    let Ok(text) = readlinkat(slot.fd(), path(MODE), Vec::new()) else { return };
    if let Some(mode) = text.to_str().ok().and_then(|text| u32::from_str_radix(text, 8).ok()) {
        // The directory is ours. If the mode cannot be restored, its owner may write it, which he can allow himself
        // anyway.
        drop(again(|| fchmod(held.fd(), Mode::from_raw_mode(mode))));
    }
    drop(forget_mode(slot));
}

impl Destination {
    /// Moves the directory `name` of a directory that only we can enter to this destination, with everything in it,
    /// under the first free name of `name`, `name (2)` …
    ///
    /// # Errors
    /// `EXDEV` when this is another file system, and any other kernel error.
    pub fn take_whole(&self, from: &Dir, name: &[u8]) -> io::Result<()> {
        under_a_free_name(name, |free| rename_free(from, name, self.dir(), free)).map(drop)
    }
}

/// Root that earlier runs worked on, and the files that were just put back there.
type Ground<'a> = (&'a Dir, &'a BTreeSet<Identity>);

/// Function that works on the contents of a slot that an earlier run has left.
type Rest = fn(&mut WholeSlot, Ground<'_>, &mut WholeRecovered) -> io::Result<()>;

/// Puts back the directories that killed runs had taken aside below this root. Removes nothing.
///
/// # Errors
/// Fails when a directory of slots cannot be read, or something in it is not a private directory of ours.
pub fn recover_whole(root: &Dir) -> io::Result<WholeRecovered> {
    with_the_rest((root, &BTreeSet::new()), WholeSlot::recover)
}

/// Finishes the removal of directories that killed or stopped runs had begun to remove below this root. `back` are
/// files that were just put back there.
///
/// # Errors
/// Same as [`recover_whole`].
pub fn finish_whole(root: &Dir, back: &BTreeSet<Identity>) -> io::Result<WholeRecovered> {
    with_the_rest((root, back), WholeSlot::finish)
}

fn with_the_rest(ground: Ground<'_>, work: Rest) -> io::Result<WholeRecovered> {
    let mut recovered = WholeRecovered::default();
    for (slots, slots_name) in own_slots(ground.0)? {
        recover_slots(ground, (&slots, &slots_name), work, &mut recovered)?;
    }
    Ok(recovered)
}

fn recover_slots(
    ground: Ground<'_>,
    (slots, slots_name): (&Dir, &[u8]),
    work: Rest,
    recovered: &mut WholeRecovered,
) -> io::Result<()> {
    for name in slots.names()? {
        let number = std::str::from_utf8(&name).ok().and_then(|name| name.strip_prefix(WHOLE)?.parse::<usize>().ok());
        let Some(number) = number else { continue };
        let slot = open_private(slots, &name)?;
        if !slot.try_lock()? {
            continue;
        }
        let (aside, going) = match (open_private(&slot, ASIDE), open_private(&slot, GOING)) {
            (Ok(aside), Ok(going)) => (aside, going),
            // It was killed while it was made.
            (Err(error), _) | (_, Err(error)) if is(&error, Errno::NOENT) => continue,
            (Err(error), _) | (_, Err(error)) => return Err(error),
        };
        let place = format!("{}/{WHOLE}{number}", Escaped(slots_name));
        work(&mut WholeSlot { place, slot, aside, going, stuck: false }, ground, recovered)?;
    }
    Ok(())
}

/// Text of the error with which finishing a removal ends early.
const FRESH: &str = "something in it is newer than its removal";

impl WholeSlot {
    fn recover(&mut self, (root, _): Ground<'_>, recovered: &mut WholeRecovered) -> io::Result<()> {
        for name in self.aside.names()? {
            let put =
                self.aside.open(&name).map_err(NotTaken::Failed).and_then(|held| self.put_back(root, &name, &held));
            self.told(&name, put, recovered);
        }
        recovered.is_unfinished |= !self.going.names()?.is_empty();
        Ok(())
    }

    fn finish(&mut self, (root, back): Ground<'_>, recovered: &mut WholeRecovered) -> io::Result<()> {
        // Time at which the last directory was moved here.
        let since = self.going.look_at_itself()?.1.facts.stamps.modified;
        for name in self.going.names()? {
            match finish(&self.going, &name, (since, back)) {
                Ok(files) => recovered.finished.push((Escaped(&name).to_string(), files)),
                Err(error) if error.to_string() == FRESH => {
                    let put = self.going.open(&name).map_err(NotTaken::Failed);
                    let put = put.and_then(|held| self.put_rest_back(root, &name, &held));
                    self.told(&name, put, recovered);
                }
                Err(error) => {
                    let at = format!("{}/going/{}", self.place, Escaped(&name));
                    recovered.waiting.push(format!("`{at}`: {error}"));
                }
            }
        }
        Ok(())
    }

    fn told(&self, name: &[u8], put: Result<(), NotTaken>, recovered: &mut WholeRecovered) {
        let why = match put {
            Ok(()) => return recovered.restored.push(Escaped(name).to_string()),
            Err(NotTaken::Failed(error)) => error.to_string(),
            Err(NotTaken::Changed | NotTaken::Conflict(_)) => "its name is taken".to_owned(),
        };
        recovered.waiting.push(format!("`{}`: {why}", self.aside_place(name)));
    }
}

/// Removes a directory that a killed run has removed in part. Returns the number of files that were left.
fn finish(going: &Dir, name: &[u8], since: (Stamp, &BTreeSet<Identity>)) -> io::Result<u64> {
    let dir = going.open(name)?;
    let stop = |is_fresh| if is_fresh { Err(io::Error::other(FRESH)) } else { Ok(()) };
    // The check runs before anything more is removed.
    below(&dir, &mut |visit| stop(is_fresh(&visit, since)?))?;
    let mut files = 0;
    below(&dir, &mut |visit| {
        if matches!(visit, Visit::Entry { .. }) {
            stop(is_fresh(&visit, since)?)?;
            files += 1;
        }
        remove(&visit)
    })?;
    going.remove_directory(name)?;
    Ok(files)
}

/// Returns whether the entry was made, changed or moved there after the removal was committed; files put `back` do not
/// count.
fn is_fresh(visit: &Visit<'_>, (since, back): (Stamp, &BTreeSet<Identity>)) -> io::Result<bool> {
    let (dir, name) = match visit {
        Visit::Entry { dir, name, .. } => (dir, name),
        Visit::Left { parent, name } => (parent, name),
    };
    let found = dir.look(name)?;
    let stamps = found.facts.stamps;
    if found.mount_point || stamps.created.is_some_and(|made| made > since) {
        return Ok(true);
    }
    let (is_modified, is_changed) = (stamps.modified > since, stamps.changed > since);
    if found.kind != Kind::Directory {
        // The removal of another link to the inode changes its ctime, too.
        let is_moved = is_changed && found.facts.links <= 1 && !back.contains(&found.facts.identity);
        return Ok(is_modified || is_moved);
    }
    // The removal of its contents has modified the directory, or it was made writable for that removal.
    Ok(is_changed && !is_modified && !dir.has_sticky_bit(name)?)
}
