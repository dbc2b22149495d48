//! Moving between file systems: a copy that is verified, then the source goes.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{
    Advice, AtFlags, Gid, Mode, OFlags, StatxTimestamp, Timespec, Timestamps, Uid, chownat, fadvise, fchmod, fchown,
    futimens, openat, readlinkat, symlinkat, utimensat,
};
use rustix::io::Errno;

use super::dir::{Dir, again, path};
use super::pin::Pinned;
use super::place::{is, link_to, rename_to, settle, under_a_free_name, without};

/// How much is compared at a time, in bytes.
const CHUNK: usize = 128 * 1024;

/// Copies the regular file to another file system and removes it here.
pub(super) fn file(from: &Dir, name: &[u8], source: &Pinned, to: &Dir) -> io::Result<()> {
    let original = File::from(source.reopen()?);
    let (temporary, copy) = create(to)?;
    let placed =
        fill(&original, &copy, source).and_then(|()| under_a_free_name(name, |free| finish(to, &temporary, free)));
    match placed {
        Ok(placed) => settle(from, name, source, to, &placed, || source.expect_unchanged()),
        Err(error) => Err(without(to, &temporary, error)),
    }
}

/// Copies the regular file into a directory of another file system where nobody else has names.
pub(super) fn file_beside(source: &Pinned, to: &Dir, name: &[u8]) -> io::Result<()> {
    let original = File::from(source.reopen()?);
    let (temporary, copy) = create(to)?;
    let placed = fill(&original, &copy, source).and_then(|()| finish(to, &temporary, name));
    placed.map_err(|error| without(to, &temporary, error))
}

/// Makes the symbolic link in a directory of another file system where nobody else has names.
pub(super) fn symlink_beside(source: &Pinned, to: &Dir, name: &[u8]) -> io::Result<()> {
    let target = readlinkat(source.fd(), c"", Vec::new())?;
    again(|| symlinkat(&target, to.fd(), path(name)))?;
    // Neither matters to a link.
    let (owner, group) = owner(source);
    chownat(to.fd(), path(name), owner, group, AtFlags::SYMLINK_NOFOLLOW).ok();
    utimensat(to.fd(), path(name), &times(source), AtFlags::SYMLINK_NOFOLLOW).ok();
    Ok(())
}

/// Gives the copy its name.
fn finish(to: &Dir, temporary: &[u8], free: &[u8]) -> io::Result<()> {
    match rename_to(to, temporary, to, free) {
        Err(error) if is(&error, Errno::INVAL) => {}
        done => return done,
    }
    link_to(to, temporary, to, free)?;
    to.remove(temporary).map_err(|error| without(to, free, error))
}

/// Makes the symbolic link on another file system and removes it here.
pub(super) fn symlink(from: &Dir, name: &[u8], source: &Pinned, to: &Dir) -> io::Result<()> {
    let target = readlinkat(source.fd(), c"", Vec::new())?;
    let placed = under_a_free_name(name, |free| again(|| symlinkat(&target, to.fd(), path(free))))?;
    // Neither matters to a link.
    let (owner, group) = owner(source);
    chownat(to.fd(), path(&placed), owner, group, AtFlags::SYMLINK_NOFOLLOW).ok();
    utimensat(to.fd(), path(&placed), &times(source), AtFlags::SYMLINK_NOFOLLOW).ok();
    settle(from, name, source, to, &placed, || source.expect_unchanged())
}

/// A new file that only the janitor's user can read, and its name.
fn create(to: &Dir) -> io::Result<(Vec<u8>, File)> {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    loop {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!(".janitor-move-{}-{number}", std::process::id()).into_bytes();
        match again(|| openat(to.fd(), path(&name), flags, Mode::RUSR | Mode::WUSR)) {
            // Left over from a janitor that crashed and had the same process id.
            Err(error) if is(&error, Errno::EXIST) => {}
            done => return done.map(|fd| (name, File::from(fd))),
        }
    }
}

fn fill(original: &File, mut copy: &File, source: &Pinned) -> io::Result<()> {
    let size = source.stat.stx_size;
    // No more than was judged, or a file that grows would never end.
    if io::copy(&mut original.take(size), &mut copy)? != size {
        return Err(Errno::STALE.into());
    }
    match fchmod(copy, Mode::from_raw_mode(u32::from(source.stat.stx_mode) & 0o777)) {
        // The copy is ours, so this is a file system without permissions, such as FAT.
        Err(Errno::PERM | Errno::OPNOTSUPP) => {}
        done => done?,
    }
    let (owner, group) = owner(source);
    // One without the other is better than neither, and an ordinary user may give a file to a group of his.
    fchown(copy, None, group).ok();
    fchown(copy, owner, None).ok();
    copy.sync_all()?;
    // A hint, so that what is compared comes from the disk.
    fadvise(copy, 0, None, Advice::DontNeed).ok();
    if !is_equal(original, copy)? {
        source.expect_unchanged()?;
        return Err(io::Error::other("the copy reads back differently"));
    }
    futimens(copy, &times(source))?;
    copy.sync_all()?;
    source.expect_unchanged()
}

fn is_equal(mut original: &File, mut copy: &File) -> io::Result<bool> {
    original.rewind()?;
    copy.rewind()?;
    let (mut one, mut other) = (vec![0; CHUNK], vec![0; CHUNK]);
    loop {
        let read = match original.read(&mut one) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            done => done?,
        };
        if read == 0 {
            return Ok(copy.read(&mut other)? == 0);
        }
        match copy.read_exact(&mut other[..read]) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            done => done?,
        }
        if one[..read] != other[..read] {
            return Ok(false);
        }
    }
}

fn owner(source: &Pinned) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(source.stat.stx_uid)), Some(Gid::from_raw(source.stat.stx_gid)))
}

fn times(source: &Pinned) -> Timestamps {
    let time = |at: StatxTimestamp| Timespec { tv_sec: at.tv_sec, tv_nsec: at.tv_nsec.into() };
    Timestamps { last_access: time(source.stat.stx_atime), last_modification: time(source.stat.stx_mtime) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::ffi::OsStrExt;
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::os::unix::net::UnixListener;
    use std::path::Path;
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;
    use crate::fsys::{Destination, resolve};

    /// A source and, on another file system, a destination.
    struct Yards {
        here: tempfile::TempDir,
        there: tempfile::TempDir,
    }

    impl Yards {
        fn new() -> Option<Self> {
            let here = tempfile::tempdir().expect("a temporary directory");
            let there = crate::needs::another_file_system(here.path())?;
            Some(Self { here, there })
        }

        fn dir(&self) -> Dir {
            resolve(self.here.path(), false).expect("it exists").dir
        }

        fn take(&self, directory: &str, name: &str) -> io::Result<()> {
            let dir = self.dir();
            let facts = dir.look(name.as_bytes()).expect("it exists").facts;
            let to = Destination::open(&self.there.path().canonicalize().expect("it exists")).expect("it exists");
            to.take(&dir, directory.as_bytes(), name.as_bytes(), &facts)
        }
    }

    fn names(directory: &Path) -> Vec<String> {
        let entries = fs::read_dir(directory).expect("readable");
        let mut names: Vec<_> =
            entries.map(|entry| entry.expect("readable").file_name().into_string().expect("text")).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_arrives_whole_and_with_its_stamps() {
        let Some(yards) = Yards::new() else { return };
        let content: Vec<u8> = (0..3 * CHUNK + 1).map(|at| (at % 251) as u8).collect();
        for (round, name) in [(1, "log"), (2, "log"), (3, "log")] {
            let path = yards.here.path().join(name);
            fs::write(&path, &content).expect("written");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o4751)).expect("ours");
            let times = fs::FileTimes::new()
                .set_modified(UNIX_EPOCH + Duration::new(1_000_000_000 + round, 123_456_789))
                .set_accessed(UNIX_EPOCH + Duration::new(1_100_000_000, 987_654_321));
            File::options().write(true).open(&path).expect("ours").set_times(times).expect("ours");
            yards.take("a/b", name).expect("there is room");
            assert!(!path.exists());
        }
        let there = yards.there.path().join("a/b");
        assert_eq!(names(&there), ["log", "log (2)", "log (3)"]);
        for (round, name) in [(1, "log"), (2, "log (2)"), (3, "log (3)")] {
            let found = there.join(name).metadata().expect("it exists");
            assert_eq!((found.mtime(), found.mtime_nsec()), (1_000_000_000 + round, 123_456_789), "{name}");
            assert_eq!((found.atime(), found.atime_nsec()), (1_100_000_000, 987_654_321), "{name}");
            assert_eq!(found.mode() & 0o7777, 0o751, "{name}");
            assert!(fs::read(there.join(name)).expect("ours") == content, "{name}");
        }
        assert_eq!(names(yards.here.path()), Vec::<String>::new());
    }

    #[test]
    fn an_empty_file_and_a_link_that_leads_nowhere_are_moved_too() {
        let Some(yards) = Yards::new() else { return };
        fs::write(yards.here.path().join("empty"), "").expect("written");
        yards.take("", "empty").expect("there is room");
        for _ in 0..2 {
            std::os::unix::fs::symlink("../nowhere", yards.here.path().join("link")).expect("made");
            yards.take("", "link").expect("there is room");
        }
        assert_eq!(names(yards.there.path()), ["empty", "link", "link (2)"]);
        let target = fs::read_link(yards.there.path().join("link (2)")).expect("a link");
        assert_eq!(target.as_os_str().as_bytes(), b"../nowhere");
        assert_eq!(names(yards.here.path()), Vec::<String>::new());
    }

    #[test]
    fn a_file_keeps_its_owner_where_we_may_give_it() {
        let Some(yards) = Yards::new() else { return };
        if !crate::needs::root() {
            return;
        }
        let path = yards.here.path().join("log");
        fs::write(&path, "text").expect("written");
        std::os::unix::fs::chown(&path, Some(1234), Some(4321)).expect("root may");
        yards.take("", "log").expect("there is room");
        let found = yards.there.path().join("log").metadata().expect("it exists");
        assert_eq!((found.uid(), found.gid()), (1234, 4321));
    }

    #[test]
    fn names_of_one_file_become_files_of_their_own() {
        let Some(yards) = Yards::new() else { return };
        fs::write(yards.here.path().join("one"), "text").expect("written");
        fs::hard_link(yards.here.path().join("one"), yards.here.path().join("other")).expect("made");
        for name in ["one", "other"] {
            yards.take("", name).expect("there is room");
        }
        let found = ["one", "other"].map(|name| yards.there.path().join(name).metadata().expect("it exists"));
        assert_eq!(found.each_ref().map(|found| (found.nlink(), found.size())), [(1, 4), (1, 4)]);
        assert_ne!(found[0].ino(), found[1].ino());
        assert_eq!(names(yards.here.path()), Vec::<String>::new());
    }

    #[test]
    fn a_copy_takes_a_name_that_is_free_and_a_directory_that_is_gone_ends_it() {
        let yard = tempfile::tempdir().expect("a temporary directory");
        let dir = resolve(yard.path(), false).expect("it exists").dir;
        let (name, _) = create(&dir).expect("there is room");
        let name = String::from_utf8(name).expect("text");
        let (start, number) = name.rsplit_once('-').expect("a number");
        let number: u64 = number.parse().expect("a number");
        for left_over in number + 1..number + 50 {
            fs::write(yard.path().join(format!("{start}-{left_over}")), "left over").expect("written");
        }
        create(&dir).expect("there is a free name");
        assert_eq!(names(yard.path()).len(), 51);
        drop(yard);
        assert!(is(&create(&dir).expect_err("it is gone"), Errno::NOENT));
    }

    #[test]
    fn a_special_file_stays() {
        let Some(yards) = Yards::new() else { return };
        let _socket = UnixListener::bind(yards.here.path().join("socket")).expect("bound");
        let error = yards.take("", "socket").expect_err("a socket");
        assert!(is(&error, Errno::XDEV), "{error}");
        assert_eq!(names(yards.here.path()), ["socket"]);
        assert_eq!(names(yards.there.path()), Vec::<String>::new());
    }

    /// Each step of the copy as `take` does it, with something done to the source in between.
    #[test]
    fn a_source_that_changes_meanwhile_stays() {
        let Some(yards) = Yards::new() else { return };
        let path = yards.here.path().join("log");
        let append: fn(&Path) = |path| {
            let mut file = File::options().append(true).open(path).expect("ours");
            io::Write::write_all(&mut file, b"more").expect("written");
        };
        let shorten: fn(&Path) = |path| {
            File::options().write(true).open(path).expect("ours").set_len(2).expect("ours");
        };
        let replace: fn(&Path) = |path| {
            fs::write(path.with_extension("new"), "text").expect("written");
            fs::rename(path.with_extension("new"), path).expect("ours");
        };
        for (change, left) in [(append, "textmore"), (shorten, "te"), (replace, "text")] {
            fs::write(&path, "text").expect("written");
            let (dir, to) = (yards.dir(), resolve(yards.there.path(), false).expect("it exists").dir);
            let source = Pinned::at(&dir, b"log").expect("it exists");
            change(&path);
            let error = file(&dir, b"log", &source, &to).expect_err("it changed");
            assert!(is(&error, Errno::STALE), "{error}");
            assert_eq!(fs::read_to_string(&path).expect("it stays"), left);
            assert_eq!(names(yards.there.path()), Vec::<String>::new());
        }
    }

    #[test]
    fn a_copy_that_differs_is_seen() {
        let yard = tempfile::tempdir().expect("a temporary directory");
        let open = |name: &str, content: &[u8]| {
            let path = yard.path().join(name);
            fs::write(&path, content).expect("written");
            File::open(path).expect("ours")
        };
        let long = vec![7; CHUNK + 10];
        let mut other = long.clone();
        other[CHUNK + 3] = 8;
        let original = open("original", &long);
        assert!(is_equal(&original, &open("same", &long)).expect("readable"));
        for (name, content) in [("other", &other[..]), ("short", &long[1..]), ("long", &[&long[..], &[7]].concat())] {
            assert!(!is_equal(&original, &open(name, content)).expect("readable"), "{name}");
        }
    }
}
