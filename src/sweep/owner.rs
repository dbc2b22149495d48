//! Targets that a path belongs to.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::fsys;
use crate::target::Target;

/// Longest time that a file system may take to answer.
const PATIENCE: Duration = Duration::from_secs(2);

/// Resolves every link on the way of a path, but not its last name: a link is judged itself.
fn resolved(path: &Path) -> Option<PathBuf> {
    let directory = match path.parent() {
        Some(parent) if parent.as_os_str().is_empty() => Path::new("."),
        Some(parent) => parent,
        None => return path.canonicalize().ok(),
    };
    match path.file_name() {
        Some(name) => Some(directory.canonicalize().ok()?.join(name)),
        None => path.canonicalize().ok(),
    }
}

/// Returns the targets that own a path, each with the path relative to its root: the innermost, and all of them where
/// several have the same directory. Returns `None` when the directory that the path lies in is not there.
///
/// The answer is for questions only: a sweep goes by handles, and never by such a path.
#[must_use]
pub fn owners(targets: &[Arc<Target>], path: &Path) -> Option<Vec<(Arc<Target>, PathBuf)>> {
    let path = {
        let asked = path.to_path_buf();
        fsys::within(PATIENCE, path, move || resolved(&asked)).ok().flatten()?
    };
    Some(innermost(targets, |_, root| {
        let root = root?;
        let relative = path.strip_prefix(root).ok()?.to_path_buf();
        Some((root.components().count(), relative))
    }))
}

/// Returns the same as [`owners`], by the text of the path alone. Nothing is looked at outside of the targets, so that
/// the answer tells nobody what is there.
#[must_use]
pub fn owners_by_name(targets: &[Arc<Target>], path: &Path) -> Vec<(Arc<Target>, PathBuf)> {
    innermost(targets, |target, real| {
        let mut roots = [Some(target.path.as_path()), real].into_iter().flatten();
        let relative = roots.find_map(|root| path.strip_prefix(root).ok())?.to_path_buf();
        // Roots that are written in different ways are compared by the path that is left below them.
        Some((path.components().count() - relative.components().count(), relative))
    })
}

/// Returns the targets that lie the deepest of those in which the path lies. `place` says where the path lies in a
/// target; it gets the real path of the target, if that is known.
fn innermost(
    targets: &[Arc<Target>],
    place: impl Fn(&Target, Option<&Path>) -> Option<(usize, PathBuf)>,
) -> Vec<(Arc<Target>, PathBuf)> {
    let mut below = Vec::new();
    let paths = targets.iter().map(|target| target.path.clone()).collect();
    // A target that does not answer has no real path.
    fsys::each_within(
        PATIENCE,
        paths,
        |path| path.canonicalize().ok(),
        |at, real| {
            let target = &targets[at];
            let place = place(target, real.ok().flatten().as_deref());
            below.extend(place.map(|(depth, relative)| (depth, target.clone(), relative)));
            true
        },
    );
    let innermost = below.iter().map(|(depth, ..)| *depth).max();
    let inner = below.into_iter().filter(|(depth, ..)| Some(*depth) == innermost);
    inner.map(|(_, target, relative)| (target, relative)).collect()
}
