use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::fsys::resolve;

fn yard() -> (tempfile::TempDir, Dir) {
    let yard = tempfile::tempdir().expect("a temporary directory");
    let dir = resolve(yard.path(), false).expect("it exists").dir;
    (yard, dir)
}

/// Tries a step that says this in turn, and then that all is well; how often it was tried, and what came of it.
fn tried(says: &[Errno]) -> (usize, Option<i32>) {
    let mut times = 0;
    let done = again(|| {
        times += 1;
        says.get(times - 1).map_or(Ok(()), |errno| Err(*errno))
    });
    (times, done.err().and_then(|error| error.raw_os_error()))
}

#[test]
fn a_step_is_tried_again_while_the_kernel_asks_for_it_and_not_for_ever() {
    assert_eq!(tried(&[]), (1, None));
    assert_eq!(tried(&[Errno::AGAIN, Errno::INTR, Errno::AGAIN]), (4, None));
    assert_eq!(tried(&[Errno::NOENT]), (1, Some(Errno::NOENT.raw_os_error())));
    assert_eq!(tried(&[Errno::AGAIN, Errno::PERM]), (2, Some(Errno::PERM.raw_os_error())));
    assert_eq!(tried(&[Errno::AGAIN; TRIES]), (TRIES + 1, None));
    assert_eq!(tried(&[Errno::AGAIN; 2 * TRIES]), (TRIES + 1, Some(Errno::AGAIN.raw_os_error())));
}

#[test]
fn a_directory_is_trusted_when_only_root_and_we_can_change_its_names() {
    let (yard, dir) = yard();
    for (mode, is_trusted) in [
        (0o755, true),
        (0o700, true),
        (0o775, false),
        (0o757, false),
        (0o777, false),
        (0o1777, false),
        (0o2755, true),
        (0o720, false),
        (0o702, false),
    ] {
        fs::set_permissions(yard.path(), fs::Permissions::from_mode(mode)).expect("ours");
        assert_eq!(dir.is_trusted().expect("readable"), is_trusted, "{mode:o}");
    }
    fs::set_permissions(yard.path(), fs::Permissions::from_mode(0o755)).expect("ours");
    if rustix::process::geteuid().is_root() {
        let other = rustix::fs::Uid::from_raw(65_534);
        rustix::fs::fchown(dir.fd(), Some(other), None).expect("root may");
        assert!(!dir.is_trusted().expect("readable"), "somebody else owns it");
    } else {
        let root = resolve(Path::new("/"), false).expect("it exists").dir;
        assert!(root.is_trusted().expect("readable"), "root is trusted by everybody");
    }
}

#[test]
fn only_what_is_asked_for_is_told_of_stamps_that_may_be_missing() {
    let (yard, dir) = yard();
    fs::write(yard.path().join("file"), [1; 5000]).expect("written");
    let all = dir.look(b"file").expect("it exists");
    assert_eq!((all.kind, all.facts.size, all.facts.links, all.mount_point), (Kind::File, 5000, 1, false));
    let modified = Asked { modified: true, accessed: false, changed: false, created: false };
    let some = dir.look_listed(c"file", modified).expect("it exists");
    assert_eq!(some.facts.stamps.modified, all.facts.stamps.modified);
    assert_eq!(Facts { stamps: all.facts.stamps, ..some.facts }, all.facts);
    // These have birth times, and tell them only to who asks.
    let is_one_of_these = all.facts.stamps.created.is_some() && dir.is_in_memory().expect("readable");
    assert!(!is_one_of_these || some.facts.stamps.created.is_none());
    let changed = dir.look_listed(c"file", Asked::by(crate::entry::AgeBy::Changed)).expect("it exists");
    assert_eq!(changed.facts.stamps.changed, all.facts.stamps.changed);
}

#[test]
fn a_kind_that_the_listing_does_not_tell_is_not_made_up() {
    let kinds = [FileType::Unknown, FileType::RegularFile, FileType::Directory, FileType::Symlink, FileType::Fifo];
    let expected = [None, Some(Kind::File), Some(Kind::Directory), Some(Kind::Symlink), Some(Kind::Special)];
    assert_eq!(kinds.map(kind_of), expected);
}

#[test]
fn a_directory_is_read_once_and_again_when_it_is_rewound() {
    let (yard, dir) = yard();
    for name in ["a", "b"] {
        fs::write(yard.path().join(name), "").expect("written");
    }
    let mut buffer = ListingBuffer::new();
    let mut read = || {
        let mut names = Vec::new();
        let each = |entry: Listed<'_>| {
            names.push(entry.name.to_vec());
            ControlFlow::Continue(())
        };
        dir.for_each(&mut buffer, each).expect("readable");
        names.sort();
        names
    };
    let all = [b"a".to_vec(), b"b".to_vec()];
    assert_eq!(read(), all);
    assert_eq!(read(), Vec::<Vec<u8>>::new(), "it was read to its end");
    dir.rewind().expect("a directory");
    assert_eq!(read(), all);
}

#[test]
fn the_first_entry_of_each_answer_of_the_kernel_is_marked() {
    let (yard, dir) = yard();
    for number in 0..3000 {
        fs::write(yard.path().join(format!("{number:0>200}")), "").expect("written");
    }
    let mut marked = Vec::new();
    let mut at = 0;
    let each = |entry: Listed<'_>| {
        if entry.just_listed {
            marked.push(at);
        }
        at += 1;
        ControlFlow::Continue(())
    };
    dir.for_each(&mut ListingBuffer::new(), each).expect("readable");
    assert_eq!(at, 3000);
    // 256 KiB hold some 1,150 of them.
    assert!((3..6).contains(&marked.len()) && marked[0] == 0, "{marked:?}");
    assert!(marked.windows(2).all(|pair| pair[1] - pair[0] > 500), "{marked:?}");
}

#[test]
fn a_name_goes_a_full_directory_stays() {
    let (yard, dir) = yard();
    fs::create_dir(yard.path().join("sub")).expect("made");
    for name in ["one", "two", "sub/three"] {
        fs::write(yard.path().join(name), "").expect("written");
    }
    dir.remove(b"one").expect("ours");
    dir.remove_listed(c"two").expect("ours");
    assert!(!yard.path().join("one").exists() && !yard.path().join("two").exists());
    assert!(dir.remove_listed(c"sub").is_err() && dir.remove_directory(b"sub").is_err());
    assert!(yard.path().join("sub/three").exists());
    dir.open(b"sub").expect("it exists").remove(b"three").expect("ours");
    dir.remove_directory(b"sub").expect("empty");
    assert!(!yard.path().join("sub").exists());
    assert!(dir.remove_listed(c"two").is_err(), "it is gone");
}

#[test]
fn memory_is_told_from_what_lasts() {
    let known = |path: &str| resolve(Path::new(path), false).ok()?.dir.is_in_memory().ok();
    assert_eq!(known("/proc"), Some(false));
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    if mounts.lines().any(|line| line.split(' ').skip(1).take(2).eq(["/dev/shm", "tmpfs"])) {
        assert_eq!(known("/dev/shm"), Some(true));
    }
}
