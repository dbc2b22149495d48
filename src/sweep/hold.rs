//! Files that a process may use: asked once, or held from the verdict to the act.

use std::sync::MutexGuard;

use super::act::Act;
use super::batch::Opened;
use super::walk::{Worker, is_gone};
use crate::entry::{Facts, Kind};
use crate::fsys::{Claimed, Dir, Found, Refusal, Usage};
use crate::target::Unverifiable;
use crate::verdict::{Because, Reason};

/// A file that is to go.
pub(super) struct Going<'a> {
    pub(super) reason: Reason,
    /// Hold on the file until it is gone, where `skip_open` asks for that and the act does not hold the file by itself.
    pub(super) held: Option<Held<'a>>,
}

/// File that is held, so that nobody else uses it.
pub(super) struct Held<'a> {
    pub(super) file: Claimed,
    /// Lock for the names of the file, if it has several.
    pub(super) turn: Option<MutexGuard<'a, ()>>,
}

impl<'a, A: Act> Worker<'a, A> {
    /// Makes sure that no process uses a file. A file that may go by its name is held from here on.
    ///
    /// # Errors
    /// Returns why the file stays.
    pub(super) fn hold(&self, directory: &Opened, name: &[u8], facts: &Facts) -> Result<Option<Held<'a>>, Because> {
        // Elsewhere the act takes the file aside, and holds it by itself.
        if !(self.acts() && self.sweep.act.may_change() && directory.is_trusted()) {
            return self.used(&directory.dir, name, facts).map_or(Ok(None), Err);
        }
        let turn = self.turn(facts);
        match Claimed::of(&directory.dir, name, facts.identity) {
            Ok(file) => Ok(Some(Held { file, turn })),
            Err(Refusal::InUse) => Err(Because::InUse),
            Err(Refusal::Locked) => Err(Because::Locked),
            Err(Refusal::Failed(error)) if is_gone(&error) => Err(Because::Changed),
            Err(Refusal::Unverifiable(error) | Refusal::Failed(error)) => {
                Err(Because::UseUnknown(error.to_string().into()))
            }
            Err(Refusal::Changed | Refusal::Conflict(_) | Refusal::Stopped) => Err(Because::Changed),
        }
    }

    /// Returns why a file stays that a process may have open.
    pub(super) fn used(&self, dir: &Dir, name: &[u8], facts: &Facts) -> Option<Because> {
        // Another worker that asks the same of another name of the file has it open.
        let _turn = self.turn(facts);
        match dir.usage(name, facts.identity) {
            Ok(Usage::Free) => None,
            Ok(Usage::Open) => Some(Because::InUse),
            Ok(Usage::Locked) => Some(Because::Locked),
            Err(error) if is_gone(&error) => Some(Because::Changed),
            Err(error) => Some(Because::UseUnknown(error.to_string().into())),
        }
    }

    /// Returns why a file that a process may use holds the whole. `asks` says whether a lease is asked for.
    pub(super) fn use_in_whole(
        &self,
        dir: &Dir,
        name: &[u8],
        found: &Found,
        (asks, is_shared): (bool, bool),
    ) -> Option<Because> {
        let skip_open = self.sweep.policy().skip_open;
        if (skip_open || is_shared) && self.sweep.processes.use_it(found.facts.identity) {
            return Some(Because::InUse);
        }
        if !asks || found.kind != Kind::File {
            return None;
        }
        match self.used(dir, name, &found.facts)? {
            // If nothing can be told, the target decides, as with single files.
            Because::UseUnknown(why) if !skip_open => match self.sweep.order.target.on_unverifiable {
                Unverifiable::Skip => Some(Because::Unverifiable(why)),
                Unverifiable::Plain => None,
            },
            because => Some(because),
        }
    }
}
