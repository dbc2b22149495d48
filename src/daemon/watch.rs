//! Detection of saves of a file, however it is saved.
//!
//! Editors rename, Kubernetes swaps a link two directories up, others write in place. So the watched paths are the
//! parent directory of every symbolic link on the way to the file, the file's own directory, and the file itself (a
//! bind-mounted file only reports on itself). A watch dies with its path, so all are armed anew after each round.

use std::collections::BTreeSet;
use std::mem::ManuallyDrop;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use notify::event::{AccessKind, AccessMode, Event, EventKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::mpsc;

/// Most symbolic links that are followed; the kernel follows 40.
const MAX_LINKS: usize = 40;

/// Returns the nearest existing directory at or above `path`, so that a missing one is noticed when it appears.
fn existing(path: Option<&Path>) -> Option<PathBuf> {
    path?.ancestors().find(|directory| directory.is_dir()).map(Path::to_path_buf)
}

/// Returns the first symbolic link on the way to `path`: its directory, and the path with the link resolved.
fn first_link(path: &Path) -> Option<(PathBuf, PathBuf)> {
    let mut ways: Vec<&Path> = path.ancestors().collect();
    ways.reverse();
    ways.into_iter().find_map(|link| {
        let to = std::fs::read_link(link).ok()?;
        let directory = link.parent()?;
        let rest = path.strip_prefix(link).ok()?;
        let mut onward = directory.join(to);
        if !rest.as_os_str().is_empty() {
            onward.push(rest);
        }
        Some((directory.to_path_buf(), onward))
    })
}

/// Returns every path whose change can change the content of `file`, an absolute path.
fn places(file: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut way = Some(file.to_path_buf());
    for _ in 0..=MAX_LINKS {
        let Some(path) = way.take() else { break };
        found.extend(existing(path.parent()));
        if let Some((directory, onward)) = first_link(&path) {
            found.insert(directory);
            way = Some(onward);
        }
    }
    if file.exists() {
        found.insert(file.to_path_buf());
    }
    found
}

/// Returns whether an event is a save. Reading the file must not count, or the daemon would trigger itself for ever.
fn is_save(event: &Event) -> bool {
    match event.kind {
        EventKind::Access(AccessKind::Close(AccessMode::Write)) => true,
        EventKind::Access(_) => false,
        _ => true,
    }
}

/// The single watcher of the daemon. It is made at the start, has a thread from then on, and is not dropped: without
/// its thread, `notify` panics when called and when dropped.
pub(super) struct Watcher {
    hints: mpsc::Sender<()>,
    notify: Option<ManuallyDrop<RecommendedWatcher>>,
    /// Watched paths.
    places: BTreeSet<PathBuf>,
}

impl Watcher {
    /// Returns a watcher that puts a hint into `hints`, which may be full, at each change.
    pub(super) fn new(hints: mpsc::Sender<()>) -> Self {
        Self { hints, notify: None, places: BTreeSet::new() }
    }

    /// Watches every path that leads to `file`, and nothing else. May wait for the file system.
    ///
    /// # Errors
    /// Fails with a text when the system has no watch or no thread left; the caller looks at the file now and then
    /// anyway.
    pub(super) fn arm(&mut self, file: &Path) -> Result<(), String> {
        let Self { hints, notify, places: watched } = self;
        let watcher = match notify {
            Some(watcher) => watcher,
            None => notify.insert(ManuallyDrop::new(make(hints.clone())?)),
        };
        let wanted = places(file);
        let armed = catch_unwind(AssertUnwindSafe(|| {
            for place in watched.difference(&wanted) {
                // The watch of a path that has vanished is gone already.
                drop(watcher.unwatch(place));
            }
            watch(watcher, &wanted)
        }));
        *watched = wanted;
        armed.unwrap_or_else(|_| {
            // The watcher has lost its thread. The next round makes another.
            self.notify = None;
            Err("the thread that watches has ended".to_owned())
        })
    }
}

fn make(hints: mpsc::Sender<()>) -> Result<RecommendedWatcher, String> {
    // `notify` does not report whether it has a thread.
    let thread = std::thread::Builder::new().spawn(|| {});
    let thread = thread.map_err(|error| format!("cannot start a thread: {error}"))?;
    drop(thread.join());
    let hint = move |event: notify::Result<Event>| {
        // An error is an overflow or worse, so it counts as a change.
        if event.as_ref().map_or(true, is_save) {
            // A full channel holds a hint already.
            _ = hints.try_send(());
        }
    };
    notify::recommended_watcher(hint).map_err(|error| error.to_string())
}

/// Watches these paths, some of which may be watched already: a path that was replaced since needs a new watch.
fn watch(watcher: &mut RecommendedWatcher, places: &BTreeSet<PathBuf>) -> Result<(), String> {
    let mut problem = None;
    let mut armed = 0;
    for place in places {
        match watcher.watch(place, RecursiveMode::NonRecursive) {
            Ok(()) => armed += 1,
            // A path that vanished since it was listed has changed its parent, which is watched.
            Err(error) if matches!(error.kind, notify::ErrorKind::PathNotFound) => {}
            Err(error) => problem = Some(error.to_string()),
        }
    }
    match problem {
        Some(problem) if armed == 0 => Err(problem),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_hop_of_a_kubernetes_mount_is_watched() {
        let yard = tempfile::tempdir().expect("a temporary directory");
        let top = yard.path().canonicalize().expect("it exists");
        std::fs::create_dir_all(top.join("mount/..1")).expect("made");
        std::fs::create_dir(top.join("etc")).expect("made");
        std::fs::write(top.join("mount/..1/janitor.toml"), "").expect("written");
        symlink("..1", top.join("mount/..data")).expect("made");
        symlink("..data/janitor.toml", top.join("mount/janitor.toml")).expect("made");
        symlink(top.join("mount/janitor.toml"), top.join("etc/janitor.toml")).expect("made");
        let found = places(&top.join("etc/janitor.toml"));
        for place in ["etc", "etc/janitor.toml", "mount", "mount/..1"] {
            assert!(found.contains(&top.join(place)), "{place} in {found:?}");
        }
    }

    #[test]
    fn where_the_directory_is_missing_the_nearest_one_is_watched() {
        let yard = tempfile::tempdir().expect("a temporary directory");
        let top = yard.path().canonicalize().expect("it exists");
        assert_eq!(places(&top.join("a/b/janitor.toml")), BTreeSet::from([top]));
    }

    #[test]
    fn a_loop_of_links_ends() {
        let yard = tempfile::tempdir().expect("a temporary directory");
        let top = yard.path().canonicalize().expect("it exists");
        symlink("b", top.join("a")).expect("made");
        symlink("a", top.join("b")).expect("made");
        assert_eq!(places(&top.join("a")), BTreeSet::from([top]));
    }
}
