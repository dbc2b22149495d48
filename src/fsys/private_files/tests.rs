//! The rule of trust on real files: what each breach is, and what is done with files that pass.

use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::time::Duration;

use super::*;
use crate::fsys::Owner;

struct Yard {
    _temporary: tempfile::TempDir,
    top: PathBuf,
}

impl Yard {
    fn new() -> Self {
        let temporary = tempfile::tempdir().expect("a temporary directory");
        let top = temporary.path().canonicalize().expect("it exists");
        Self { _temporary: temporary, top }
    }

    fn at(&self, name: &str) -> PathBuf {
        self.top.join(name)
    }

    fn write(&self, name: &str) -> PathBuf {
        std::fs::create_dir_all(self.at(name).parent().expect("below")).expect("made");
        std::fs::write(self.at(name), name).expect("written");
        self.at(name)
    }

    fn mode(&self, name: &str, mode: u32) {
        std::fs::set_permissions(self.at(name), std::fs::Permissions::from_mode(mode)).expect("ours");
    }

    fn own(&self, name: &str, uid: u32, gid: u32) {
        std::os::unix::fs::lchown(self.at(name), Some(uid), Some(gid)).expect("root may");
    }

    /// Reads a file as the state of a user.
    fn read(&self, trust: &Trust, name: &str) -> Result<ReadFile, Denied> {
        trust.file(Purpose::State, &self.at(name), None)?.read(100)
    }
}

/// What root trusts, and what an ordinary user of this process's number would.
fn strict() -> Trust {
    Trust::of_process()
}

#[track_caller]
fn refused(read: Result<ReadFile, Denied>, path: &Path, says: &str) {
    let error = read.expect_err("a breach");
    let text = error.to_string();
    let shown = path.to_string_lossy();
    assert!(error.is_breach() && text.contains(&*shown) && text.contains(says), "{says}: {text}");
}

#[test]
fn only_we_can_write_a_file_and_its_directory() {
    let (yard, trust) = (Yard::new(), strict());
    yard.write("a/b/file");
    assert_eq!(yard.read(&trust, "a/b/file").expect("ours alone").bytes, b"a/b/file");
    for (name, mode, says) in [
        ("a/b/file", 0o646, "can be written by everybody; run: chmod go-w"),
        ("a/b", 0o757, "can be written by everybody"),
        // Sticky is no excuse for the last one: everybody makes files there.
        ("a/b", 0o1777, "can be written by everybody"),
        ("a", 0o757, "can be written by everybody"),
    ] {
        let before = yard.at(name).metadata().expect("there").permissions().mode();
        yard.mode(name, mode);
        refused(yard.read(&trust, "a/b/file"), &yard.at(name), says);
        yard.mode(name, before);
    }
    yard.mode("a", 0o1777);
    yard.read(&trust, "a/b/file").expect("on the way a sticky directory is fine");
    assert!(yard.read(&trust, "a/b/other").expect_err("nothing there").is_missing());
    assert!(yard.read(&trust, "a/c/other").expect_err("nothing there").is_missing());
}

#[test]
fn a_group_counts_as_others_but_for_roots_and_ours() {
    if !crate::needs::root() {
        return;
    }
    let (yard, trust) = (Yard::new(), strict());
    yard.write("a/b/file");
    for name in ["a", "a/b", "a/b/file"] {
        yard.mode(name, 0o775);
        yard.read(&trust, "a/b/file").expect("root's group");
        yard.own(name, 0, 4_000);
        refused(yard.read(&trust, "a/b/file"), &yard.at(name), "can be written by the group gid 4000; run: chmod g-w");
        let accepting = Trust { extra: Some("5000:4000".parse().expect("an owner")), ..trust };
        yard.read(&accepting, "a/b/file").expect("a group that was named");
        yard.own(name, 0, 0);
    }
    // A system group may write on the way to a directory that is ours alone: /var/log of Ubuntu.
    yard.own("a", 0, 999);
    let read = yard.read(&trust, "a/b/file").expect("a warning");
    assert_eq!(read.warnings.len(), 1, "{read:?}");
    assert!(read.warnings[0].to_string().contains("gid 999"), "{read:?}");
    yard.own("a/b", 0, 999);
    refused(yard.read(&trust, "a/b/file"), &yard.at("a"), "can be written by the group");
}

#[test]
fn who_is_named_in_an_acl_counts_too() {
    if !crate::needs::root() {
        return;
    }
    let (yard, trust) = (Yard::new(), strict());
    yard.write("a/file");
    yard.mode("a", 0o775);
    // A named user with rwx and a mask that leaves it: version 2, then tag, permissions and id of each entry.
    let entry =
        |tag: u16, allowed: u16, id: u32| [&tag.to_le_bytes()[..], &allowed.to_le_bytes(), &id.to_le_bytes()].concat();
    let nobody = u32::MAX;
    let acl = [
        2_u32.to_le_bytes().to_vec(),
        entry(1, 7, nobody),
        entry(2, 7, 4_000),
        entry(4, 5, nobody),
        entry(0x10, 7, nobody),
        entry(0x20, 5, nobody),
    ];
    let set =
        rustix::fs::setxattr(yard.at("a"), c"system.posix_acl_access", &acl.concat(), rustix::fs::XattrFlags::empty());
    if set.is_err() {
        crate::needs::say("\n*** NOT RUN: the temporary directory has no ACLs ***\n");
        return;
    }
    refused(yard.read(&trust, "a/file"), &yard.at("a"), "whom its ACL names; run: setfacl -b");
}

#[test]
fn what_belongs_to_somebody_else_is_refused_unless_he_is_named() {
    if !crate::needs::root() {
        return;
    }
    let (yard, trust) = (Yard::new(), strict());
    yard.write("a/b/file");
    for name in ["a", "a/b", "a/b/file"] {
        yard.own(name, 4_321, 4_321);
        refused(yard.read(&trust, "a/b/file"), &yard.at(name), "accept this owner with `--trust-owner 4321`");
        let named = Trust { extra: Some(Owner { uid: 4_321, gid: None }), ..trust };
        yard.read(&named, "a/b/file").expect("named");
        yard.read(&trust.in_daemon_of(4_321), "a/b/file").expect("a client of his daemon");
        yard.own(name, 0, 0);
    }
    // In the eyes of an ordinary user it is a warning for a config or a log, and a breach for the rest.
    yard.own("a", 4_321, 4_321);
    let ordinary = Trust { is_ordinary: true, ..trust };
    for (purpose, is_warning) in
        [(Purpose::Config, true), (Purpose::Log, true), (Purpose::State, false), (Purpose::Token, false)]
    {
        let file = ordinary.file(purpose, &yard.at("a/b/file"), None);
        assert_eq!(file.is_ok(), is_warning, "{purpose:?}");
        if let Ok(file) = file {
            assert_eq!(file.dir.warnings().len(), 1, "{purpose:?}");
        }
    }
}

#[test]
fn a_link_is_followed_where_nobody_else_can_replace_it() {
    let (yard, trust) = (Yard::new(), strict());
    yard.write("real/file");
    std::fs::create_dir(yard.at("links")).expect("made");
    symlink("../real/file", yard.at("links/file")).expect("made");
    symlink(yard.at("links"), yard.at("way")).expect("made");
    assert_eq!(yard.read(&trust, "way/file").expect("ours").bytes, b"real/file");
    let file = trust.file(Purpose::State, &yard.at("way/file"), None).expect("ours");
    assert_eq!(file.path(), yard.at("real/file"));
    yard.mode("links", 0o757);
    refused(yard.read(&trust, "links/file"), &yard.at("links/file"), "can be replaced by others");
    yard.mode("links", 0o1777);
    yard.read(&trust, "links/file").expect("sticky: only its owner can replace it");
    symlink("nowhere", yard.at("dangling")).expect("made");
    assert!(yard.read(&trust, "dangling").expect_err("nothing there").is_missing());
    if rustix::process::geteuid().is_root() {
        yard.own("links/file", 4_321, 4_321);
        refused(yard.read(&trust, "links/file"), &yard.at("links/file"), "can be replaced by others");
    }
}

#[test]
fn what_is_no_regular_file_is_refused_at_once() {
    let (yard, trust) = (Yard::new(), strict());
    std::fs::create_dir(yard.at("directory")).expect("made");
    let fifo = Mode::from_raw_mode(0o600);
    rustix::fs::mkfifoat(rustix::fs::CWD, yard.at("fifo"), fifo).expect("made");
    symlink("/dev/zero", yard.at("zero")).expect("made");
    let (done, ended) = std::sync::mpsc::channel();
    let top = yard.top.clone();
    std::thread::spawn(move || {
        for name in ["directory", "fifo", "zero"] {
            let file = || trust.file(Purpose::Log, &top.join(name), None);
            let read = file().and_then(|file| file.read(10)).expect_err(name);
            let appended = file().and_then(|file| file.append(0o640)).expect_err(name);
            done.send((name, read.to_string(), appended.to_string())).expect("it waits");
        }
    });
    for _ in 0..3 {
        let (name, read, appended) = ended.recv_timeout(Duration::from_secs(10)).expect("nothing blocks");
        assert!(read.contains("not a regular file"), "{name}: {read}");
        assert!(appended.contains("not a regular file"), "{name}: {appended}");
    }
}

#[test]
fn what_is_read_has_a_bound() {
    let (yard, trust) = (Yard::new(), strict());
    std::fs::write(yard.at("file"), [b'x'; 100]).expect("written");
    assert_eq!(yard.read(&trust, "file").expect("it fits").bytes.len(), 100);
    std::fs::write(yard.at("file"), [b'x'; 101]).expect("written");
    assert!(matches!(yard.read(&trust, "file"), Err(Denied::TooLarge(_))));
}

#[test]
fn directories_are_made_only_in_places_that_pass() {
    let (yard, trust) = (Yard::new(), strict());
    std::fs::create_dir(yard.at("open")).expect("made");
    yard.mode("open", 0o757);
    let error = trust.directory(Purpose::State, &yard.at("open/a/b"), Some(0o700)).expect_err("a breach");
    assert!(error.is_breach(), "{error}");
    assert!(!yard.at("open/a").exists(), "nothing was made there");
    yard.mode("open", 0o755);
    let made = trust.directory(Purpose::State, &yard.at("open/a/b"), Some(0o700)).expect("made");
    assert_eq!(made.path(), yard.at("open/a/b"));
    for name in ["open/a", "open/a/b"] {
        assert_eq!(yard.at(name).metadata().expect("there").permissions().mode() & 0o777, 0o700, "{name}");
    }
}

#[test]
fn a_file_with_other_names_is_no_state() {
    let (yard, trust) = (Yard::new(), strict());
    yard.write("theirs");
    std::fs::hard_link(yard.at("theirs"), yard.at("state")).expect("made");
    refused(yard.read(&trust, "state"), &yard.at("state"), "has other names");
    let entry = trust.directory(Purpose::Log, &yard.top, None).expect("ours").entry(OsStr::new("state"));
    assert!(!entry.expect("readable").expect("there").is_ours_alone);
}

fn token(path: &Path) -> OwnFile {
    strict().file(Purpose::Token, path, None).expect("ours alone")
}

#[test]
fn a_private_file_is_made_once_and_replaced_at_once() {
    let yard = Yard::new();
    let path = yard.at("token");
    token(&path).create(b"one").expect("made");
    assert_eq!(path.metadata().expect("there").permissions().mode() & 0o7777, 0o600);
    let again = token(&path).create(b"two").expect_err("it is there");
    assert_eq!(again.kind(), io::ErrorKind::AlreadyExists);
    assert_eq!(std::fs::read(&path).expect("readable"), b"one");
    let before = path.metadata().expect("there").ino();
    token(&path).replace(b"two").expect("replaced");
    let after = path.metadata().expect("there");
    assert_ne!(after.ino(), before, "another file");
    assert_eq!((std::fs::read(&path).expect("readable").as_slice(), after.mode() & 0o7777), (&b"two"[..], 0o600));
    assert_eq!(std::fs::read_dir(&yard.top).expect("readable").count(), 1);
}

#[test]
fn a_log_is_renamed_over_nothing_and_removed() {
    let yard = Yard::new();
    for name in ["log", "log.1"] {
        yard.write(name);
    }
    let dir = strict().directory(Purpose::Log, &yard.top, None).expect("ours alone");
    let rename = |to: &str| dir.rename_to(OsStr::new("log"), OsStr::new(to));
    assert_eq!(rename("log.1").expect_err("it is taken").kind(), io::ErrorKind::AlreadyExists);
    rename("log.2").expect("it is free");
    assert_eq!(std::fs::read(yard.at("log.2")).expect("readable"), b"log");
    dir.remove(OsStr::new("log.1")).expect("it is there");
    assert_eq!(dir.names().expect("readable"), ["log.2"]);
    dir.remove(OsStr::new("log.1")).expect_err("it is gone");
}

#[test]
fn a_private_file_goes_over_nothing_and_in_the_place_of_a_file_only() {
    let yard = Yard::new();
    std::fs::create_dir(yard.at("directory")).expect("made");
    symlink(yard.at("elsewhere"), yard.at("link")).expect("made");
    let dir = strict().directory(Purpose::Token, &yard.top, None).expect("ours alone");
    let link = OwnFile { dir, name: "link".into() };
    link.create(b"x").expect_err("a link is there");
    assert!(!yard.at("elsewhere").exists());
    link.replace(b"x").expect_err("a link is there");
    token(&yard.at("directory")).replace(b"x").expect_err("a directory is there");
    token(&yard.at("missing")).replace(b"x").expect_err("nothing is there");
    assert_eq!(std::fs::read_dir(&yard.top).expect("readable").count(), 2);
}

#[test]
fn who_owned_the_old_file_owns_the_new_one() {
    if !crate::needs::root() {
        return;
    }
    let yard = Yard::new();
    let path = yard.at("token");
    token(&path).create(b"one").expect("made");
    chown(&path, Some(65534), Some(65534)).expect("root may");
    token(&path).replace(b"two").expect("replaced");
    let about = path.metadata().expect("there");
    assert_eq!((about.uid(), about.gid()), (65534, 65534));
}
