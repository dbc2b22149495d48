//! Identity of the directory that files were taken from, as the name of the directory that they are taken to.
//!
//! This name and the files below it always stay together, whatever the order in which a file system writes them to the
//! disk.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::ControlFlow;

use super::dir::{Dir, ListingBuffer};
use super::way::Way;
use crate::clock;
use crate::entry::{Identity, Kind, Stamp};

/// Length of a path in bytes, beyond which a directory known to be made after the search began is not entered: somebody
/// may make a tree deeper as fast as it is read.
const LONG: usize = 4096;

/// Identity of a directory, unique on its file system.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin {
    /// Device and inode number.
    pub identity: Identity,
    /// Birth time, if the file system keeps one: inode numbers are used again.
    pub created: Option<Stamp>,
}

impl Origin {
    /// Returns the identity of a directory.
    ///
    /// # Errors
    /// Fails with the kernel's error.
    pub fn of(dir: &Dir) -> io::Result<Self> {
        let (identity, found) = dir.look_at_itself()?;
        Ok(Self { identity, created: found.facts.stamps.created })
    }

    /// Returns the name that stands for this directory. The device is left out, since its number may differ after a
    /// restart.
    #[must_use]
    pub fn name(&self) -> String {
        match self.created {
            Some(created) => format!("{}-{}", self.identity.inode, created.nanoseconds()),
            None => self.identity.inode.to_string(),
        }
    }
}

/// Returns whether a name may have come from [`Origin::name`].
pub(super) fn is_name(name: &[u8]) -> bool {
    name.first().is_some_and(u8::is_ascii_digit) && name.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-')
}

/// Searches below `root` for the directories with these names, and returns their paths relative to `root`. Directories
/// that cannot be opened are skipped.
pub(super) fn find(root: &Dir, wanted: &BTreeSet<Vec<u8>>) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut found = BTreeMap::new();
    let began = Stamp::from(clock::wall());
    let mut waiting = vec![Way::default()];
    let mut buffer = ListingBuffer::new();
    while found.len() < wanted.len()
        && let Some(way) = waiting.pop()
    {
        let path = way.path();
        let opened = if path.is_empty() { root.open(b".") } else { root.open_beneath(&path) };
        let Ok(dir) = opened else { continue };
        let Ok(origin) = Origin::of(&dir) else { continue };
        if path.len() > LONG && origin.created.is_some_and(|created| created > began) {
            continue;
        }
        let name = origin.name().into_bytes();
        if wanted.contains(&name) {
            found.insert(name, path.clone());
        }
        let listed = dir.for_each(&mut buffer, |entry| {
            let is_directory = match entry.kind {
                Some(kind) => kind == Kind::Directory,
                None => dir.look(entry.name).is_ok_and(|found| found.kind == Kind::Directory),
            };
            // Slots are searched, too: a directory that is removed whole lies in a slot meanwhile.
            if is_directory {
                waiting.push(way.to(entry.name));
            }
            ControlFlow::Continue(())
        });
        // Entries listed before the error are searched all the same.
        drop(listed);
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::fsys::resolve;

    #[test]
    fn a_directory_is_found_by_its_name_at_any_depth_and_another_in_its_place_is_not() {
        let yard = tempfile::tempdir().expect("a temporary directory");
        let root = resolve(yard.path(), false).expect("it exists").dir;
        fs::create_dir_all(yard.path().join("a/b/c")).expect("made");
        fs::create_dir_all(yard.path().join("d")).expect("made");
        let name =
            |path: &[u8]| Origin::of(&root.open_beneath(path).expect("there")).expect("ours").name().into_bytes();
        let wanted: BTreeSet<_> =
            [name(b"a/b/c"), name(b"d"), Origin::of(&root).expect("ours").name().into_bytes()].into();
        assert!(wanted.iter().all(|name| is_name(name)));
        let found = find(&root, &wanted);
        let paths: BTreeSet<_> = found.values().map(Vec::as_slice).collect();
        assert_eq!(paths, [&b""[..], b"a/b/c", b"d"].into());
        fs::rename(yard.path().join("d"), yard.path().join("a/moved")).expect("ours");
        assert_eq!(find(&root, &wanted).get(&name(b"a/moved")).map(Vec::as_slice), Some(&b"a/moved"[..]));
        let before = name(b"a/b/c");
        root.open_beneath(b"a/b").expect("there").remove_directory(b"c").expect("empty");
        fs::create_dir(yard.path().join("a/b/c")).expect("made");
        let is_told_apart = Origin::of(&root).expect("ours").created.is_some();
        if is_told_apart {
            assert!(!find(&root, &wanted).contains_key(&before), "it may have the same inode, and is another");
        }
    }

    #[test]
    fn a_name_is_that_of_an_origin_or_not() {
        for (name, is) in [("12-34", true), ("12", true), ("12--34", true), ("file", false), ("", false), ("-1", false)]
        {
            assert_eq!(is_name(name.as_bytes()), is, "{name}");
        }
    }
}
