//! Giving an entry a new name, and never over another entry.

use std::io::{self, Write};

use rustix::fs::{AtFlags, RenameFlags, fsync, linkat, renameat_with};
use rustix::io::Errno;

use super::dir::{Dir, again, path};
use super::pin::Pinned;

/// Number that the last name has which is tried before a file stays where it is; the first is 2.
const MOST_NAMES: u32 = 10_000;

pub(super) fn is(error: &io::Error, number: Errno) -> bool {
    error.raw_os_error() == Some(number.raw_os_error())
}

/// Writes the names in a directory to the disk.
pub(super) fn write_down(dir: &Dir) -> io::Result<()> {
    match again(|| fsync(dir.fd())) {
        // The file system does not support `fsync` on directories.
        Err(error) if is(&error, Errno::INVAL) => Ok(()),
        done => done,
    }
}

/// Places an entry under the first free name of `name`, `name (2)`, `name (3)` … and returns that name.
pub(super) fn under_a_free_name(name: &[u8], mut place: impl FnMut(&[u8]) -> io::Result<()>) -> io::Result<Vec<u8>> {
    let mut free = name.to_vec();
    for number in 2..=MOST_NAMES {
        match place(&free) {
            Err(error) if is(&error, Errno::EXIST) => {}
            done => return done.map(|()| free),
        }
        free.truncate(name.len());
        write!(free, " ({number})")?;
    }
    Err(Errno::EXIST.into())
}

/// Renames an entry, and never over another. Fails with `EEXIST` when the new name is taken, and with `EINVAL` where
/// the file system cannot promise not to overwrite: NFS and some of FUSE.
pub(super) fn rename_to(from: &Dir, name: &[u8], to: &Dir, free: &[u8]) -> io::Result<()> {
    again(|| renameat_with(from.fd(), path(name), to.fd(), path(free), RenameFlags::NOREPLACE))
}

/// Gives an entry a second name, which never replaces another entry either.
pub(super) fn link_to(from: &Dir, name: &[u8], to: &Dir, free: &[u8]) -> io::Result<()> {
    again(|| linkat(from.fd(), path(name), to.fd(), path(free), AtFlags::empty()))
}

/// Renames an entry to the first free name like its own. By name, so only where nobody else can change which entry has
/// the name.
pub(super) fn put(from: &Dir, name: &[u8], to: &Dir) -> io::Result<()> {
    match rename_to(from, name, to, name) {
        Err(error) if is(&error, Errno::EXIST) => {
            under_a_free_name(name, |free| rename_to(from, name, to, free)).map(drop)
        }
        Err(error) if is(&error, Errno::INVAL) => {
            let free = under_a_free_name(name, |free| link_to(from, name, to, free))?;
            from.remove(name).map_err(|error| without(to, &free, error))
        }
        done => done,
    }
}

/// Renames the pinned entry, and puts a different entry back.
pub(super) fn rename(from: &Dir, name: &[u8], source: &Pinned, to: &Dir) -> io::Result<()> {
    let free = match under_a_free_name(name, |free| rename_to(from, name, to, free)) {
        Err(error) if is(&error, Errno::INVAL) => return relink(from, name, source, to),
        done => done?,
    };
    if source.is_at(to, &free)? {
        return Ok(());
    }
    // Between the look and the rename somebody put another file under the name.
    match rename_to(to, &free, from, name) {
        Ok(()) => Err(Errno::STALE.into()),
        Err(error) => Err(io::Error::other(format!(
            "another file took the name just before it was moved; that one is in the destination now and cannot be put \
             back: {error}"
        ))),
    }
}

/// Moves the pinned entry in two steps: a link to the new name, then removal of the old one.
fn relink(from: &Dir, name: &[u8], source: &Pinned, to: &Dir) -> io::Result<()> {
    let free = under_a_free_name(name, |free| link_to(from, name, to, free))?;
    if !source.is_at(to, &free)? {
        to.remove(&free)?;
        return Err(Errno::STALE.into());
    }
    settle(from, name, source, to, &free)
}

/// Finishes the move of an entry that is in both places, by removing the old name. If this fails, the new name is
/// removed again; otherwise each sweep would add another.
fn settle(from: &Dir, name: &[u8], source: &Pinned, to: &Dir, placed: &[u8]) -> io::Result<()> {
    let moved = write_down(to)
        .and_then(|()| if source.is_at(from, name)? { from.remove(name) } else { Err(Errno::STALE.into()) });
    let Err(error) = moved else { return Ok(()) };
    // The new name is removed only while the source is seen: over a network, a removal may be reported as failed and
    // have happened.
    match source.is_at(from, name) {
        Ok(true) => Err(without(to, placed, error)),
        Err(gone) if is(&gone, Errno::NOENT) => Ok(()),
        _ => Err(error),
    }
}

/// Removes a name that was made, and returns `why`.
fn without(to: &Dir, made: &[u8], why: io::Error) -> io::Error {
    match to.remove(made) {
        Ok(()) => why,
        Err(error) => io::Error::new(why.kind(), format!("{why}; and the copy cannot be removed again: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::fsys::resolve;

    struct Yard {
        root: tempfile::TempDir,
        from: Dir,
        to: Dir,
    }

    impl Yard {
        fn new() -> Self {
            let root = tempfile::tempdir().expect("a temporary directory");
            let make = |name| {
                fs::create_dir(root.path().join(name)).expect("made");
                resolve(&root.path().join(name), false).expect("it exists").dir
            };
            let (from, to) = (make("here"), make("there"));
            Self { root, from, to }
        }

        fn write(&self, name: &str, content: &str) {
            fs::write(self.root.path().join("here").join(name), content).expect("written");
        }

        fn read(&self, path: &str) -> String {
            fs::read_to_string(self.root.path().join(path)).expect(path)
        }

        fn count(&self, path: &str) -> usize {
            fs::read_dir(self.root.path().join(path)).expect("readable").count()
        }
    }

    #[test]
    fn another_file_under_the_name_is_put_back() {
        let yard = Yard::new();
        yard.write("log", "judged");
        let source = Pinned::at(&yard.from, b"log").expect("it exists");
        yard.write("new", "fresh");
        fs::rename(yard.root.path().join("here/new"), yard.root.path().join("here/log")).expect("ours");
        for way in [rename, relink] {
            let error = way(&yard.from, b"log", &source, &yard.to).expect_err("another file");
            assert!(is(&error, Errno::STALE), "{error}");
            assert_eq!(yard.read("here/log"), "fresh");
            assert_eq!(yard.count("there"), 0);
        }
    }

    #[test]
    fn where_a_rename_might_overwrite_it_is_done_by_a_link() {
        let yard = Yard::new();
        for content in ["one", "two"] {
            yard.write("log", content);
            let source = Pinned::at(&yard.from, b"log").expect("it exists");
            relink(&yard.from, b"log", &source, &yard.to).expect("moved");
        }
        assert_eq!(yard.read("there/log"), "one");
        assert_eq!(yard.read("there/log (2)"), "two");
        assert_eq!(yard.count("here"), 0);
    }

    #[test]
    fn a_source_that_is_another_leaves_nothing_in_the_new_place() {
        let yard = Yard::new();
        yard.write("log", "text");
        let source = Pinned::at(&yard.from, b"log").expect("it exists");
        link_to(&yard.from, b"log", &yard.to, b"log").expect("made");
        yard.from.remove(b"log").expect("ours");
        // Where the source is gone, the other name is all there is.
        settle(&yard.from, b"log", &source, &yard.to, b"log").expect("it is there");
        assert_eq!(yard.read("there/log"), "text");
        yard.write("log", "fresh");
        let error = settle(&yard.from, b"log", &source, &yard.to, b"log").expect_err("another file");
        assert!(is(&error, Errno::STALE), "{error}");
        assert_eq!(yard.read("here/log"), "fresh");
    }

    #[test]
    fn what_is_put_is_never_over_another() {
        let yard = Yard::new();
        for content in ["one", "two", "three"] {
            yard.write("log", content);
            put(&yard.from, b"log", &yard.to).expect("renamed");
        }
        assert_eq!(
            [yard.read("there/log"), yard.read("there/log (2)"), yard.read("there/log (3)")],
            ["one", "two", "three"]
        );
        assert_eq!(yard.count("here"), 0);
    }
}
