//! A walk through a directory of our own, with few handles and without recursion.

use std::io;
use std::ops::ControlFlow;

use super::dir::{Dir, ListingBuffer};
use crate::entry::Kind;

/// What is met on the way.
pub(super) enum Visit<'a> {
    /// An entry that is no directory; the path is that of its directory.
    Entry { dir: &'a Dir, path: &'a [u8], name: &'a [u8] },
    /// A directory, after everything in it.
    Left { parent: &'a Dir, name: &'a [u8] },
}

fn joined(path: &[u8], name: &[u8]) -> Vec<u8> {
    if path.is_empty() { name.to_vec() } else { [path, b"/", name].concat() }
}

/// Visits everything below `top`, each directory after what is in it.
pub(super) fn below(top: &Dir, each: &mut dyn FnMut(Visit<'_>) -> io::Result<()>) -> io::Result<()> {
    // Paths that wait, and whether what is in them was visited already.
    let mut waiting: Vec<(Vec<u8>, bool)> = vec![(Vec::new(), false)];
    let open = |path: &[u8]| if path.is_empty() { top.open(b".") } else { top.open_beneath(path) };
    while let Some((path, visited)) = waiting.pop() {
        if visited {
            let (parent, name) = match path.iter().rposition(|byte| *byte == b'/') {
                Some(slash) => (&path[..slash], &path[slash + 1..]),
                None => (&path[..0], &path[..]),
            };
            if !name.is_empty() {
                each(Visit::Left { parent: &open(parent)?, name })?;
            }
            continue;
        }
        let dir = open(&path)?;
        waiting.push((path.clone(), true));
        let mut names = Vec::new();
        dir.for_each(&mut ListingBuffer::new(), |entry| {
            names.push((entry.name.to_vec(), entry.kind));
            ControlFlow::Continue(())
        })?;
        for (name, kind) in names {
            let kind = match kind {
                Some(kind) => kind,
                None => dir.look(&name)?.kind,
            };
            if kind == Kind::Directory {
                waiting.push((joined(&path, &name), false));
            } else {
                each(Visit::Entry { dir: &dir, path: &path, name: &name })?;
            }
        }
    }
    Ok(())
}
