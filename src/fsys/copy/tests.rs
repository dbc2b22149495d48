use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::fsys::origin::Origin;
use crate::fsys::resolve;
use crate::fsys::slot::Taken;
use crate::fsys::transfer::tests::by_errno;

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
        let found = dir.look(name.as_bytes()).expect("it exists");
        let to = Destination::open(&self.there.path().canonicalize().expect("it exists")).expect("it exists");
        let into = to.directory(directory.as_bytes(), &dir)?;
        let from = Taken { dir: &dir, origin: Origin::of(&dir).expect("ours") };
        by_errno(to.take(&from, name.as_bytes(), &found, &into, &|| Ok(())))
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
        let dir = yards.dir();
        let to = Destination::open(&yards.there.path().canonicalize().expect("it exists")).expect("it exists");
        let source = Pinned::open(&dir, b"log").expect("it exists");
        let mut changed = false;
        let meanwhile = std::cell::RefCell::new(|| {
            if !std::mem::replace(&mut changed, true) {
                change(&path);
            }
        });
        let go_on = || {
            (meanwhile.borrow_mut())();
            Ok(())
        };
        let made = make(&source, &to, to.dir(), &go_on);
        let is_seen = matches!(made, Err(Refusal::Changed)) || !source.is_at(&dir, b"log").expect("there");
        assert!(is_seen, "{left}");
        drop(made);
        assert_eq!(fs::read_to_string(&path).expect("it stays"), left);
        assert_eq!(names(yards.there.path()), Vec::<String>::new());
    }
}

/// Everything ends a copy at any time, and nothing is left of it; where the file system helps, and where it does not.
#[test]
fn a_copy_that_is_stopped_leaves_nothing() {
    let Some(yards) = Yards::new() else { return };
    fs::write(yards.here.path().join("log"), vec![7; 3 * CHUNK]).expect("written");
    let dir = yards.dir();
    let to = Destination::open(&yards.there.path().canonicalize().expect("it exists")).expect("it exists");
    let source = Pinned::open(&dir, b"log").expect("it exists");
    for after in 0..6 {
        let asked = std::cell::Cell::new(0);
        let go_on = || {
            asked.set(asked.get() + 1);
            if asked.get() > after { Err(Refusal::Stopped) } else { Ok(()) }
        };
        let Err(refusal) = make(&source, &to, to.dir(), &go_on) else { panic!("it was asked {} times", asked.get()) };
        assert!(matches!(refusal, Refusal::Stopped), "{refusal:?}");
        assert_eq!(names(yards.there.path()), Vec::<String>::new());
        let (name, file) = create(to.dir()).expect("there is room");
        let grown = Grown { file, into: to.dir(), temporary: Some((to.dir(), name)) };
        assert_eq!(names(yards.there.path()).len(), 1);
        drop(grown);
        assert_eq!(names(yards.there.path()), Vec::<String>::new());
    }
}

#[test]
fn a_copy_that_had_a_name_of_ours_gets_its_own() {
    let Some(yards) = Yards::new() else { return };
    fs::write(yards.here.path().join("log"), "text").expect("written");
    for place in [yards.here.path(), yards.there.path()] {
        fs::create_dir(place.join("sub")).expect("made");
    }
    let dir = yards.dir();
    let to = Destination::open(&yards.there.path().canonicalize().expect("it exists")).expect("it exists");
    let into = to.directory(b"sub", &dir).expect("there");
    let source = Pinned::open(&dir, b"log").expect("it exists");
    for _ in 0..2 {
        let (name, file) = create(to.dir()).expect("there is room");
        fill(&source, &file, &|| Ok(())).expect("copied");
        Copy::File(Grown { file, into: &into, temporary: Some((to.dir(), name)) }).place(b"log").expect("placed");
    }
    assert_eq!(names(&yards.there.path().join("sub")), ["log", "log (2)"]);
    assert_eq!(names(yards.there.path()), ["sub"]);
}

#[test]
fn what_a_killed_copy_has_left_is_removed_and_nothing_else() {
    let yard = tempfile::tempdir().expect("a temporary directory");
    let dir = resolve(yard.path(), false).expect("it exists").dir;
    let (_at_work, held) = create(&dir).expect("there is room");
    fs::write(yard.path().join(".janitor-move-1-0"), "left over").expect("written");
    fs::create_dir(yard.path().join(".janitor-move-directory")).expect("made");
    fs::write(yard.path().join("file"), "").expect("written");
    fs::hard_link(yard.path().join("file"), yard.path().join(".janitor-move-link")).expect("made");
    remove_named(&dir).expect("readable");
    let left = names(yard.path());
    assert_eq!(left.len(), 4, "{left:?}");
    assert!(!left.contains(&".janitor-move-1-0".to_owned()), "{left:?}");
    drop(held);
    remove_named(&dir).expect("readable");
    assert_eq!(names(yard.path()), [".janitor-move-directory", ".janitor-move-link", "file"]);
}

#[test]
fn a_sparse_file_is_copied_sparse_and_what_does_not_fit_is_not_begun() {
    let Some(yards) = Yards::new() else { return };
    let size = 1 << 40;
    let path = yards.here.path().join("sparse");
    let file = File::create(&path).expect("made");
    file.set_len(size).expect("ours");
    file.write_all_at(b"begin", 0).expect("written");
    file.write_all_at(b"middle", size / 2 + 3).expect("written");
    drop(file);
    yards.take("", "sparse").expect("it takes next to nothing");
    let copy = File::open(yards.there.path().join("sparse")).expect("there");
    let about = copy.metadata().expect("there");
    assert_eq!(about.len(), size);
    assert!(about.blocks() * 512 < 1 << 20, "{}", about.blocks());
    let mut read = [0; 6];
    copy.read_exact_at(&mut read, size / 2 + 3).expect("there");
    assert_eq!(&read, b"middle");
    let free = resolve(yards.there.path(), false).expect("there").dir.space().expect("known").free;
    let path = yards.here.path().join("large");
    fs::write(&path, "text").expect("written");
    let dir = yards.dir();
    let mut source = Pinned::open(&dir, b"large").expect("there");
    source.stat.stx_size = free;
    source.stat.stx_blocks = free / 512;
    let to = Destination::open(&yards.there.path().canonicalize().expect("it exists")).expect("it exists");
    match make(&source, &to, to.dir(), &|| panic!("it was begun")) {
        Err(Refusal::Failed(error)) => assert!(error.to_string().contains("do not fit"), "{error}"),
        _ => panic!("it cannot fit"),
    }
}

/// A link that somebody has put in the place of the one that was made is not given away, nor is a file.
#[test]
fn what_is_not_the_link_that_was_made_keeps_its_owner() {
    if !crate::needs::root() {
        return;
    }
    let yard = tempfile::tempdir().expect("a temporary directory");
    let dir = resolve(yard.path(), false).expect("it exists").dir;
    std::os::unix::fs::symlink("text", yard.path().join("source")).expect("made");
    std::os::unix::fs::lchown(yard.path().join("source"), Some(1234), Some(1234)).expect("root may");
    let source = Pinned::at(&dir, b"source").expect("there");
    std::os::unix::fs::symlink("text", yard.path().join("made")).expect("made");
    give(c"text", &source, &dir, b"made").expect("it is the link");
    let owner = |name: &str| yard.path().join(name).symlink_metadata().expect("there").uid();
    assert_eq!(owner("made"), 1234);
    fs::write(yard.path().join("file"), "").expect("written");
    std::os::unix::fs::symlink("other", yard.path().join("other")).expect("made");
    for name in ["file", "other", "made"] {
        let before = owner(name);
        give(c"text", &source, &dir, name.as_bytes()).expect_err(name);
        assert_eq!(owner(name), before, "{name}");
    }
}
