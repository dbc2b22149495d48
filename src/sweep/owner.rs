//! Which target a path belongs to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::target::Target;

/// The path with every link on the way resolved, but not the last name: a link is judged itself.
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

/// The targets that own a path, each with the path relative to its root: the innermost, and all of them where several
/// have the same directory. `None`: the directory that the path lies in is not there.
///
/// Only for asking: a sweep goes by handles, and never by such a path.
#[must_use]
pub fn owners(targets: &[Arc<Target>], path: &Path) -> Option<Vec<(Arc<Target>, PathBuf)>> {
    let path = resolved(path)?;
    let below = targets.iter().filter_map(|target| {
        let root = target.path.canonicalize().ok()?;
        let relative = path.strip_prefix(&root).ok()?.to_path_buf();
        Some((root.components().count(), target.clone(), relative))
    });
    let below: Vec<_> = below.collect();
    let innermost = below.iter().map(|(depth, ..)| *depth).max();
    let inner = below.into_iter().filter(|(depth, ..)| Some(*depth) == innermost);
    Some(inner.map(|(_, target, relative)| (target, relative)).collect())
}
