//! A walk through a directory of our own, with few handles and without recursion.

use std::io;
use std::ops::ControlFlow;

use rustix::fs::{Mode, openat};
use rustix::io::Errno;

use super::dir::{Dir, ListingBuffer, READ, again};
use super::place::is;
use crate::entry::{Identity, Kind};

/// An entry or a directory met on the way.
pub(super) enum Visit<'a> {
    /// An entry that is not a directory; `path` is the path of its directory.
    Entry { dir: &'a Dir, path: &'a [u8], name: &'a [u8] },
    /// A directory, after everything in it.
    Left { parent: &'a Dir, name: &'a [u8] },
}

/// Removes the visited entry, or the visited directory after everything in it. An unwritable directory is made writable
/// first, if it is ours.
pub(super) fn remove(visit: &Visit<'_>) -> io::Result<()> {
    let (dir, remove): (_, &dyn Fn() -> io::Result<()>) = match visit {
        Visit::Entry { dir, name, .. } => (dir, &|| dir.remove(name)),
        Visit::Left { parent, name } => (parent, &|| parent.remove_directory(name)),
    };
    match remove() {
        Err(error) if is(&error, Errno::ACCESS) && dir.make_writable()?.is_some() => remove(),
        done => done,
    }
}

/// A directory on the way down to the one that is open.
struct Level {
    identity: Identity,
    /// Subdirectories that wait for their turn.
    waiting: Vec<Vec<u8>>,
}

/// Visits everything below `top`, each directory after its contents. One directory is open at a time, and each waiting
/// directory is known by its name alone: the paths of a chain of thousands would fill the memory.
pub(super) fn below(top: &Dir, each: &mut dyn FnMut(Visit<'_>) -> io::Result<()>) -> io::Result<()> {
    let mut dir = top.open(b".")?;
    let mut path = Vec::new();
    let mut buffer = ListingBuffer::new();
    let mut levels = vec![visit(&dir, &path, &mut buffer, each)?];
    while let Some(level) = levels.last_mut() {
        if let Some(name) = level.waiting.pop() {
            dir = dir.open(&name)?;
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(&name);
            levels.push(visit(&dir, &path, &mut buffer, each)?);
            continue;
        }
        levels.pop();
        let Some(above) = levels.last() else { break };
        let slash = path.iter().rposition(|byte| *byte == b'/');
        let by_path = || match slash {
            Some(slash) => top.open_beneath(&path[..slash]),
            None => top.open(b"."),
        };
        // A directory without search permission has no way up by `..`.
        dir = parent_of(&dir, above.identity).or_else(|_| by_path())?;
        each(Visit::Left { parent: &dir, name: &path[slash.map_or(0, |slash| slash + 1)..] })?;
        path.truncate(slash.unwrap_or(0));
    }
    Ok(())
}

/// Visits the entries of a directory that are not directories, and returns the directories that wait.
fn visit(
    dir: &Dir,
    path: &[u8],
    buffer: &mut ListingBuffer,
    each: &mut dyn FnMut(Visit<'_>) -> io::Result<()>,
) -> io::Result<Level> {
    let (identity, _) = dir.look_at_itself()?;
    let mut waiting = Vec::new();
    let mut names = Vec::new();
    dir.for_each(buffer, |entry| {
        names.push((entry.name.to_vec(), entry.kind));
        ControlFlow::Continue(())
    })?;
    for (name, kind) in names {
        let kind = match kind {
            Some(kind) => kind,
            None => dir.look(&name)?.kind,
        };
        if kind == Kind::Directory {
            waiting.push(name);
        } else {
            each(Visit::Entry { dir, path, name: &name })?;
        }
    }
    Ok(Level { identity, waiting })
}

/// Opens the parent of a directory, which must be `expected`: the directory may have been moved meanwhile.
pub(super) fn parent_of(dir: &Dir, expected: Identity) -> io::Result<Dir> {
    let parent = Dir::of(again(|| openat(dir.fd(), c"..", READ, Mode::empty()))?);
    match parent.look_at_itself()? {
        (identity, _) if identity == expected => Ok(parent),
        _ => Err(Errno::STALE.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fsys::resolve;

    #[test]
    fn each_is_visited_once_and_a_directory_after_what_is_in_it() {
        let yard = tempfile::tempdir().expect("a temporary directory");
        for name in ["a/b/c/1", "a/b/2", "a/d/3", "e/4", "5", "a/f"] {
            let file = yard.path().join(name);
            std::fs::create_dir_all(file.parent().expect("below the yard")).expect("made");
            std::fs::write(file, "").expect("written");
        }
        let top = resolve(yard.path(), false).expect("there").dir;
        let mut seen = Vec::new();
        below(&top, &mut |visit| {
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            match visit {
                Visit::Entry { path, name, .. } => seen.push(format!("{}|{}", text(path), text(name))),
                Visit::Left { parent, name } => {
                    parent.look(name).expect("it lies there");
                    seen.push(text(name));
                }
            }
            Ok(())
        })
        .expect("readable");
        let at = |what: &str| seen.iter().position(|seen| seen == what).unwrap_or_else(|| panic!("{what} in {seen:?}"));
        assert_eq!(seen.len(), 11);
        for [before, after] in [["a/b/c|1", "c"], ["c", "b"], ["a/b|2", "b"], ["a/d|3", "d"], ["b", "a"], ["e|4", "e"]]
        {
            assert!(at(before) < at(after), "{before} before {after} in {seen:?}");
        }
        assert!(seen.contains(&"|5".to_owned()) && seen.contains(&"a|f".to_owned()), "{seen:?}");
    }
}
