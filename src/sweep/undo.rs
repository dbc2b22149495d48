//! Runs in the trashes of a config, and the way back for their files.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use jiff::Timestamp;

use super::trash::{Note, note_restored};
use crate::fsys::{self, Origin, PutBack, Trash, TrashedRun, Weight};
use crate::names::{Escaped, RunId, TargetName};
use crate::target::Target;

/// Trash, and the targets beside it, whose runs may be in it.
#[derive(Debug)]
pub struct Beside {
    /// The trash.
    pub trash: Trash,
    /// Targets beside the trash, with their roots.
    pub targets: Vec<(Arc<Target>, PathBuf)>,
}

/// Returns the existing trashes of these targets. Reports those that cannot be used to `complain`.
pub fn trashes(targets: &[Arc<Target>], mut complain: impl FnMut(String)) -> Vec<Beside> {
    let mut found: Vec<(PathBuf, Beside)> = Vec::new();
    for target in targets {
        let Ok(root) = fsys::resolve(&target.path, false) else { continue };
        let Some(parent) = root.path.parent().map(PathBuf::from) else { continue };
        let with = (target.clone(), root.path.clone());
        if let Some((_, beside)) = found.iter_mut().find(|(known, _)| *known == parent) {
            beside.targets.push(with);
            continue;
        }
        match Trash::beside(&root.path, false) {
            Ok(trash) => found.push((parent, Beside { trash, targets: vec![with] })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => complain(format!("{}: the trash cannot be used: {error}", target.name)),
        }
    }
    found.into_iter().map(|(_, beside)| beside).collect()
}

impl Beside {
    /// Returns the runs in the trash, with their notes.
    ///
    /// # Errors
    /// Fails when the trash cannot be read. A run whose note cannot be read is reported to `complain`, and left alone.
    pub fn runs(&self, mut complain: impl FnMut(String)) -> io::Result<Vec<(TrashedRun, Note)>> {
        let with_note = |run: TrashedRun| {
            let note = Note::of(&run);
            // A run that was killed while it wrote its note has nothing in the trash.
            if note.is_none() && !self.trash.is_bare(&run).is_ok_and(|bare| bare) {
                complain(format!("the note of `{}` in the trash cannot be read; its files are left there", run.id()));
            }
            note.map(|note| (run, note))
        };
        Ok(self.trash.runs()?.into_iter().filter_map(with_note).collect())
    }
}

/// Reason for which a run cannot be undone.
#[derive(Debug)]
pub enum UndoError {
    /// Nothing of the run is in a trash: it was put back or purged, or is still at work.
    NotInTrash(RunId),
    /// The target of the run is not in the config any more.
    NoTarget(TargetName),
    /// The directory of the target is not the one that the files came from.
    Elsewhere {
        /// The run.
        run: RunId,
        /// Path that the files came from, escaped.
        was: String,
        /// Path of the target now, escaped.
        now: String,
        /// Path where the files are, escaped.
        kept: String,
    },
    /// The system refused.
    Failed(RunId, io::Error),
}

impl fmt::Display for UndoError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotInTrash(run) => write!(
                out,
                "there is nothing of run {run} in the trash: it was put back or purged, or is still at work"
            ),
            Self::NoTarget(target) => write!(out, "its target {target} is not in the config any more"),
            Self::Elsewhere { run, was, now, kept } => {
                let was = if was.is_empty() { "a directory that was not written down" } else { was };
                write!(
                    out,
                    "the files of run {run} came from `{was}`, and `{now}`, which the target has now, is another \
                     directory: nothing was put back. They are in `{kept}`, from where they can be moved by hand"
                )
            }
            Self::Failed(run, error) => write!(out, "{run}: {error}"),
        }
    }
}

impl std::error::Error for UndoError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Failed(_, error) => Some(error),
            Self::NotInTrash(_) | Self::NoTarget(_) | Self::Elsewhere { .. } => None,
        }
    }
}

/// Files of a run in a trash, with the trash they are in and their note.
struct Trashed {
    beside: Beside,
    files: TrashedRun,
    note: Note,
}

fn find(targets: &[Arc<Target>], run: &RunId) -> Result<Trashed, UndoError> {
    // A trash that cannot be used holds nothing that could be put back; a run of its target and `janitor trash` report
    // it.
    for beside in trashes(targets, |_| {}) {
        let found = beside.trash.run(run.as_str()).map_err(|error| UndoError::Failed(run.clone(), error))?;
        if let Some((files, note)) = found.and_then(|files| Note::of(&files).map(|note| (files, note))) {
            return Ok(Trashed { beside, files, note });
        }
    }
    Err(UndoError::NotInTrash(run.clone()))
}

/// Returns how much of a run is in the trash, and until when.
///
/// # Errors
/// See [`UndoError`].
pub fn in_trash(targets: &[Arc<Target>], run: &RunId) -> Result<(Weight, Timestamp), UndoError> {
    let Trashed { beside, files, note } = find(targets, run)?;
    let weight = beside.trash.weigh(&files).map_err(|error| UndoError::Failed(run.clone(), error))?;
    Ok((weight, note.until()))
}

/// Puts the files of a run back, file by file, never over another, and never into another directory than the one they
/// came from. For a day no run takes them again.
///
/// # Errors
/// See [`UndoError`]. Files that stay in the trash although the run is there are no error, but part of the result.
pub fn undo(targets: &[Arc<Target>], run: &RunId, now: Timestamp) -> Result<(Arc<Target>, PutBack), UndoError> {
    let Trashed { beside, files, note } = find(targets, run)?;
    let target = beside.targets.iter().find(|(target, _)| target.name == note.target);
    let (target, root) = target.ok_or_else(|| UndoError::NoTarget(note.target.clone()))?;
    let failed = |error| UndoError::Failed(run.clone(), error);
    let opened = fsys::resolve(root, false).map_err(|error| failed(io::Error::other(error)))?;
    if Origin::of(&opened.dir).map_err(failed)?.name() != note.origin {
        let now = Escaped(root.as_os_str().as_encoded_bytes()).to_string();
        let kept = root.with_file_name(".janitor-trash").join(run.as_str());
        let kept = Escaped(kept.as_os_str().as_encoded_bytes()).to_string();
        return Err(UndoError::Elsewhere { run: run.clone(), was: note.root, now, kept });
    }
    note_restored(&beside.trash, &files, &target.name, now).map_err(failed)?;
    let put = beside.trash.put_back(&files, &opened.dir).map_err(failed)?;
    Ok((target.clone(), put))
}
