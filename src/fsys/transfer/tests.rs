use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;

use super::*;
use crate::entry::Stamp;
use crate::fsys::origin::Origin;

/// With each refusal as the error that it stands for.
pub(in crate::fsys) fn by_errno(done: Result<(), Refusal>) -> io::Result<()> {
    done.map_err(|refusal| match refusal {
        Refusal::Changed => Errno::STALE.into(),
        Refusal::Failed(error) | Refusal::Unverifiable(error) => error,
        other => io::Error::other(format!("{other:?}")),
    })
}

struct Yard {
    _root: tempfile::TempDir,
    top: PathBuf,
    from: Dir,
    to: Destination,
}

impl Yard {
    fn new() -> Self {
        let root = tempfile::tempdir().expect("a temporary directory");
        let top = root.path().canonicalize().expect("it exists");
        fs::create_dir(top.join("here")).expect("made");
        fs::create_dir(top.join("there")).expect("made");
        let from = resolve(&top.join("here"), false).expect("it exists").dir;
        let to = Destination::open(&top.join("there")).expect("it exists");
        Self { _root: root, top, from, to }
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.top.join("here").join(name), content).expect("written");
    }

    fn take(&self, directory: &str, name: &str) -> io::Result<()> {
        let found = self.from.look(name.as_bytes()).expect("it exists");
        self.take_judged(directory, name, &found)
    }

    fn take_judged(&self, directory: &str, name: &str, found: &Found) -> io::Result<()> {
        let into = self.to.directory(directory.as_bytes(), &self.from)?;
        let from = Taken { dir: &self.from, origin: Origin::of(&self.from).expect("ours") };
        by_errno(self.to.take(&from, name.as_bytes(), found, &into, &|| Ok(())))
    }

    fn read(&self, path: &str) -> String {
        fs::read_to_string(self.top.join(path)).expect(path)
    }

    fn count(&self, path: &str) -> usize {
        fs::read_dir(self.top.join(path)).expect("readable").count()
    }
}

#[test]
fn a_rename_keeps_the_inode_and_makes_the_directories() {
    let yard = Yard::new();
    yard.write("log", "text");
    let inode = yard.top.join("here/log").metadata().expect("it exists").ino();
    yard.take("a/b/c", "log").expect("moved");
    assert_eq!(yard.top.join("there/a/b/c/log").metadata().expect("it is there").ino(), inode);
    assert_eq!(yard.count("here"), 0);
    // Existing directories are used, at any depth.
    yard.write("log", "other");
    yard.take("a/b", "log").expect("moved");
    assert_eq!(yard.read("there/a/b/log"), "other");
    let itself = resolve(&yard.top.join("there"), false).expect("it exists").identity;
    assert_eq!(yard.to.identity(), itself);
}

#[test]
fn a_directory_that_another_worker_has_just_made_is_used() {
    let yard = Yard::new();
    fs::create_dir(yard.top.join("there/a")).expect("made");
    fs::write(yard.top.join("there/file"), "").expect("written");
    fs::set_permissions(yard.top.join("there/a"), fs::Permissions::from_mode(0o700)).expect("ours");
    let make = |name: &[u8]| yard.to.step(&yard.to.dir, name, None);
    let made = make(b"a").expect("it is there");
    assert_eq!(made.look_at_itself().expect("ours").0, yard.to.dir.look(b"a").expect("there").facts.identity);
    make(b"b").expect("there is room");
    assert!(yard.top.join("there/b").is_dir());
    let error = make(b"file").expect_err("a file is there");
    assert!(is(&error, Errno::NOTDIR), "{error}");
}

#[test]
fn a_directory_is_made_like_the_one_that_files_come_from() {
    let yard = Yard::new();
    for (path, mode) in [("here/shut", 0o700), ("here/shut/open", 0o755), ("here/shut/open/sticky", 0o1777)] {
        fs::create_dir(yard.top.join(path)).expect("made");
        fs::set_permissions(yard.top.join(path), fs::Permissions::from_mode(mode)).expect("ours");
    }
    for path in ["here/known", "there/known"] {
        fs::create_dir(yard.top.join(path)).expect("made");
        fs::set_permissions(yard.top.join(path), fs::Permissions::from_mode(0o750)).expect("ours");
    }
    yard.to.directory(b"shut/open/sticky", &yard.from).expect("made");
    yard.to.directory(b"known/missing", &yard.from).expect("made");
    let mode = |path: &str| yard.top.join("there").join(path).metadata().expect("there").mode() & 0o7777;
    let made = ["shut", "shut/open", "shut/open/sticky", "known", "known/missing"].map(mode);
    assert_eq!(made, [0o700, 0o755, 0o1777, 0o750, 0o700]);
}

#[test]
fn a_directory_that_lets_in_more_than_the_one_that_files_come_from_is_passed_over() {
    let yard = Yard::new();
    for (path, mode) in [("here/shut", 0o750), ("there/shut", 0o755), ("there/shut (2)", 0o770), ("there/gone", 0o755)]
    {
        fs::create_dir(yard.top.join(path)).expect("made");
        fs::set_permissions(yard.top.join(path), fs::Permissions::from_mode(mode)).expect("ours");
    }
    yard.write("log", "text");
    for _ in 0..2 {
        yard.to.directory(b"shut/deep", &yard.from).expect("made");
    }
    assert_eq!(yard.count("there"), 4, "once made, it is used again");
    let about = yard.top.join("there/shut (3)").metadata().expect("made");
    assert_eq!(about.mode() & 0o7777, 0o750);
    assert!(yard.top.join("there/shut (3)/deep").is_dir());
    // One that has gone meanwhile may have been closed.
    yard.take("gone", "log").expect("moved");
    assert_eq!(yard.read("there/gone (2)/log"), "text");
}

#[test]
fn what_only_takes_renames_copies_nothing() {
    let yard = Yard::new();
    let Some(elsewhere) = crate::needs::another_file_system(&yard.top) else { return };
    yard.write("log", "text");
    let there = resolve(elsewhere.path(), false).expect("it exists").dir;
    let yard = Yard { to: Destination::only_here(there).expect("ours"), ..yard };
    let error = yard.take("", "log").expect_err("another file system");
    assert!(is(&error, Errno::XDEV), "{error}");
    assert_eq!(yard.read("here/log"), "text");
    assert_eq!(fs::read_dir(elsewhere.path()).expect("readable").count(), 0);
}

#[test]
fn a_name_that_is_taken_is_never_overwritten() {
    let yard = Yard::new();
    for content in ["one", "two", "three"] {
        yard.write("log.txt", content);
        yard.take("", "log.txt").expect("moved");
    }
    assert_eq!(yard.read("there/log.txt"), "one");
    assert_eq!(yard.read("there/log.txt (2)"), "two");
    assert_eq!(yard.read("there/log.txt (3)"), "three");
}

#[test]
fn a_path_longer_than_the_kernel_takes_is_made() {
    let yard = Yard::new();
    let long = vec!["d".repeat(200); 30].join("/");
    for content in ["one", "two"] {
        yard.write("log", content);
        yard.take(&long, "log").expect("moved");
    }
    let deep = yard.to.dir.open_beneath(long.as_bytes()).expect("made");
    assert_eq!(deep.look(b"log").expect("moved").facts.size, 3);
    deep.look(b"log (2)").expect("moved");
}

#[test]
fn what_was_changed_since_it_was_judged_stays() {
    let yard = Yard::new();
    yard.write("log", "text");
    let found = yard.from.look(b"log").expect("it exists");
    let mut wrong = [found; 3];
    wrong[0].facts.size += 1;
    wrong[1].facts.stamps.modified = Stamp::new(1, 0);
    wrong[2].facts.stamps.changed = Stamp::new(1, 0);
    for wrong in wrong {
        let error = yard.take_judged("a", "log", &wrong).expect_err("it changed");
        assert!(is(&error, Errno::STALE), "{error}");
    }
    assert_eq!((yard.count("here"), yard.count("there/a")), (1, 0));
    let mut read_since = found;
    read_since.facts.stamps.accessed = Stamp::new(1, 0);
    yard.take_judged("a", "log", &read_since).expect("reading is no change");
}

#[test]
fn no_link_is_followed_and_no_way_out_taken_in_the_destination() {
    let yard = Yard::new();
    yard.write("log", "text");
    fs::create_dir(yard.top.join("elsewhere")).expect("made");
    std::os::unix::fs::symlink(yard.top.join("elsewhere"), yard.top.join("there/a")).expect("made");
    fs::write(yard.top.join("there/file"), "").expect("written");
    for (directory, number) in [
        ("a", Errno::NOTDIR),
        ("a/b", Errno::NOTDIR),
        ("../elsewhere", Errno::XDEV),
        ("b/../../elsewhere", Errno::XDEV),
        ("file", Errno::NOTDIR),
    ] {
        let error = yard.take(directory, "log").expect_err(directory);
        assert!(is(&error, number), "{directory}: {error}");
    }
    assert_eq!(yard.count("elsewhere"), 0);
    assert_eq!(yard.read("here/log"), "text");
}

#[test]
fn a_directory_is_refused() {
    let yard = Yard::new();
    fs::create_dir(yard.top.join("here/directory")).expect("made");
    let error = yard.take("", "directory").expect_err("a directory");
    assert!(is(&error, Errno::ISDIR), "{error}");
}

#[test]
fn a_destination_that_does_not_exist_is_not_made() {
    let yard = Yard::new();
    let error = Destination::open(&yard.top.join("mnt/archive")).expect_err("missing");
    assert_eq!(error.kind(), io::ErrorKind::NotFound);
    assert!(error.to_string().contains("mnt"), "{error}");
    assert!(!yard.top.join("mnt").exists());
}

#[test]
fn special_files_and_links_are_renamed() {
    let yard = Yard::new();
    std::os::unix::fs::symlink("nowhere", yard.top.join("here/link")).expect("made");
    let _socket = std::os::unix::net::UnixListener::bind(yard.top.join("here/socket")).expect("bound");
    yard.take("a", "link").expect("moved");
    yard.take("a", "socket").expect("moved");
    assert_eq!((yard.count("here"), yard.count("there/a")), (0, 2));
}
