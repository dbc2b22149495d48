use std::fs::{self, File, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use super::*;
use crate::fsys::resolve;

fn identity(dir: &Dir) -> Identity {
    dir.look_at_itself().expect("ours").0
}

struct Yard {
    _temporary: tempfile::TempDir,
    path: PathBuf,
    root: Dir,
}

impl Yard {
    fn new() -> Self {
        let temporary = tempfile::tempdir().expect("a temporary directory");
        let path = temporary.path().canonicalize().expect("it exists");
        fs::create_dir(path.join("sub")).expect("made");
        let root = resolve(&path, false).expect("it exists").dir;
        Self { _temporary: temporary, path, root }
    }

    fn file(&self, name: &str, content: &str) -> Facts {
        fs::write(self.path.join(name), content).expect("written");
        self.root.look(name.as_bytes()).or_else(|_| self.sub().look(&name.as_bytes()[4..])).expect("it exists").facts
    }

    fn itself(&self) -> Taken<'_> {
        Taken { dir: &self.root, identity: identity(&self.root), path: b"" }
    }

    fn sub(&self) -> Dir {
        self.root.open(b"sub").expect("it exists")
    }

    /// As a run leaves it that is killed right after it has taken a file of `sub` aside.
    fn killed_with(&self, name: &str) {
        let mut slot = Slot::take(&self.root).expect("ours");
        slot.aim(identity(&self.sub()), b"sub").expect("written");
        slot.take_aside(&self.sub(), name.as_bytes()).expect("renamed");
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path.join(name)).ok()
    }
}

/// Waits for it: a test beside this one that starts a program has, for a moment, copies of all descriptors.
fn remove(yard: &Yard, slot: &mut Slot, name: &[u8], facts: &Facts) -> Result<(), Refusal> {
    let mut done = slot.remove(&yard.itself(), name, facts);
    for _ in 0..500 {
        match done {
            Err(Refusal::InUse | Refusal::Locked) => std::thread::sleep(std::time::Duration::from_millis(1)),
            Err(Refusal::Unverifiable(error)) => {
                crate::needs::say(&format!("\n*** NOT RUN: the temporary directory has no leases: {error} ***\n"));
                return Ok(());
            }
            done => return done,
        }
        done = slot.remove(&yard.itself(), name, facts);
    }
    done
}

#[test]
fn a_file_goes_and_nothing_is_left_of_it() {
    let yard = Yard::new();
    let facts = yard.file("a", "text");
    let mut slot = Slot::take(&yard.root).expect("ours");
    remove(&yard, &mut slot, b"a", &facts).expect("nobody has it open");
    symlink("nowhere", yard.path.join("link")).expect("made");
    let facts = yard.root.look(b"link").expect("it exists").facts;
    slot.remove(&yard.itself(), b"link", &facts).expect("a link");
    assert!(is_empty(&slot.file).expect("ours"));
    assert!(!yard.path.join("link").is_symlink());
}

/// Opening such a file would wait for as long as its holder may take to give the lease up, which is 45 s.
#[test]
fn what_somebody_has_a_lease_on_stays_and_nobody_waits() {
    if !crate::needs::leases() {
        return;
    }
    let yard = Yard::new();
    let mut slot = Slot::take(&yard.root).expect("ours");
    let facts = yard.file("leased", "text");
    let open = File::open(yard.path.join("leased")).expect("ours");
    // Again while a test beside this one that starts a program has a copy of the descriptor it was written through.
    let lease = (0..5000).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(1));
        janitor_lease::try_write_lease(open.as_fd()).expect("there are leases")
    });
    let lease = lease.expect("nobody else has it open");
    let refusal = slot.remove(&yard.itself(), b"leased", &facts).expect_err("open");
    assert!(matches!(refusal, Refusal::InUse), "{refusal:?}");
    assert_eq!(yard.read(".janitor-slots/0/file/leased"), None);
    drop(lease);
    drop(open);
    assert!(yard.path.join("leased").exists());
    remove(&yard, &mut slot, b"leased", &facts).expect("nobody has it any more");
}

#[test]
fn what_is_in_use_locked_or_changed_stays() {
    let yard = Yard::new();
    let mut slot = Slot::take(&yard.root).expect("ours");
    let facts = yard.file("open", "text");
    let open = File::open(yard.path.join("open")).expect("ours");
    let refusal = slot.remove(&yard.itself(), b"open", &facts).expect_err("open");
    assert!(matches!(refusal, Refusal::InUse | Refusal::Unverifiable(_)), "{refusal:?}");
    open.lock_shared().expect("ours");
    let refusal = slot.remove(&yard.itself(), b"open", &facts).expect_err("locked");
    assert!(matches!(refusal, Refusal::Locked), "{refusal:?}");
    let facts = yard.file("changed", "text");
    fs::write(yard.path.join("changed"), "more text").expect("written");
    let refusal = slot.remove(&yard.itself(), b"changed", &facts).expect_err("changed");
    assert!(matches!(refusal, Refusal::Changed), "{refusal:?}");
    assert_eq!((yard.read("open"), yard.read("changed")), (Some("text".into()), Some("more text".into())));
}

#[test]
fn what_a_killed_run_had_taken_aside_is_back() {
    let yard = Yard::new();
    yard.file("sub/a", "text");
    yard.killed_with("a");
    assert_eq!(yard.read("sub/a"), None);
    let recovered = recover(&yard.root).expect("ours");
    assert_eq!((recovered.restored, recovered.waiting), (vec!["sub/a".to_owned()], Vec::new()));
    assert_eq!(yard.read("sub/a").as_deref(), Some("text"));
    assert!(recover(&yard.root).expect("ours").restored.is_empty(), "once");
}

#[test]
fn a_slot_that_was_not_made_to_the_end_is_none_and_one_that_is_open_to_others_is_refused() {
    let yard = Yard::new();
    let nothing = |recovered: Recovered| recovered.restored.is_empty() && recovered.waiting.is_empty();
    assert!(nothing(recover(&yard.root).expect("no slots at all")));
    yard.file("sub/a", "text");
    yard.killed_with("a");
    let slots = yard.root.open(SLOTS).expect("there");
    drop(super::super::private::private_directory(&slots, b"7").expect("made"));
    assert_eq!(recover(&yard.root).expect("one slot is half made").restored, ["sub/a"]);
    let file = yard.path.join(".janitor-slots/0/file");
    let set = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("ours");
    set(0o755);
    let error = recover(&yard.root).expect_err("others can enter").to_string();
    assert!(error.contains("private"), "{error}");
    set(0o700);
    assert!(nothing(recover(&yard.root).expect("ours")));
}

#[test]
fn a_slot_that_is_in_use_is_left_alone() {
    let yard = Yard::new();
    yard.file("sub/a", "text");
    let mut slot = Slot::take(&yard.root).expect("ours");
    slot.aim(identity(&yard.sub()), b"sub").expect("written");
    slot.take_aside(&yard.sub(), b"a").expect("renamed");
    let recovered = recover(&yard.root).expect("ours");
    assert!(recovered.restored.is_empty() && recovered.waiting.is_empty(), "{recovered:?}");
    let other = Slot::take(&yard.root).expect("another");
    assert_ne!(other.number, slot.number);
}

#[test]
fn where_the_name_is_taken_or_the_directory_another_it_waits_and_is_told() {
    let yard = Yard::new();
    yard.file("sub/a", "old");
    yard.killed_with("a");
    yard.file("sub/a", "new");
    let waiting = recover(&yard.root).expect("ours").waiting;
    assert!(waiting.len() == 1 && waiting[0].starts_with("`.janitor-slots/0/file/a`: "), "{waiting:?}");
    assert_eq!(yard.read("sub/a").as_deref(), Some("new"), "never overwritten");
    assert_eq!(yard.read(".janitor-slots/0/file/a").as_deref(), Some("old"));
    assert_eq!(Slot::take(&yard.root).expect("another").number, 1, "it is not used while something waits in it");
    fs::rename(yard.path.join("sub"), yard.path.join("moved")).expect("ours");
    fs::create_dir(yard.path.join("sub")).expect("made");
    let waiting = recover(&yard.root).expect("ours").waiting;
    assert!(waiting[0].ends_with("its directory has been replaced"), "{waiting:?}");
    yard.root.remove_directory(b"sub").expect("empty");
    fs::rename(yard.path.join("moved"), yard.path.join("sub")).expect("ours");
    yard.sub().remove(b"a").expect("ours");
    assert_eq!(recover(&yard.root).expect("ours").restored, ["sub/a"], "the name is free now");
    assert_eq!(yard.read("sub/a").as_deref(), Some("old"));
}

#[test]
fn a_record_that_was_written_in_part_sends_nothing_anywhere() {
    let yard = Yard::new();
    yard.file("sub/a", "text");
    yard.killed_with("a");
    let path = yard.path.join(".janitor-slots/0/origin");
    let whole = fs::read(&path).expect("ours");
    for at in [0, 9, 17, 25, 33, 41] {
        let mut torn = whole.clone();
        torn[at] ^= 1;
        fs::write(&path, &torn).expect("ours");
        let recovered = recover(&yard.root).expect("ours");
        // The device may be another after a restart; the checksum tells that it was not written like that.
        assert_eq!((recovered.restored.len(), recovered.waiting.len()), (0, 1), "byte {at}: {recovered:?}");
    }
    fs::write(&path, &whole).expect("ours");
    assert_eq!(recover(&yard.root).expect("ours").restored, ["sub/a"]);
}

#[test]
fn a_directory_that_is_not_ours_alone_is_no_place_for_slots() {
    for prepare in [
        (|path| fs::write(path, "").expect("written")) as fn(PathBuf),
        |path| symlink("sub", path).expect("made"),
        |path| {
            fs::create_dir(&path).expect("made");
            fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("ours");
        },
    ] {
        let yard = Yard::new();
        prepare(yard.path.join(".janitor-slots"));
        for error in [Slot::take(&yard.root).expect_err("not ours"), recover(&yard.root).expect_err("not ours")] {
            assert!(error.to_string().contains("not a private directory"), "{error}");
        }
    }
}

#[test]
fn what_was_taken_aside_is_compared_with_what_was_judged() {
    let replaced: fn(&Yard) = |yard| fs::rename(yard.path.join("other"), yard.path.join("a")).expect("ours");
    let written: fn(&Yard) = |yard| fs::write(yard.path.join("a"), "text, and more").expect("ours");
    let touched: fn(&Yard) = |yard| {
        let file = File::options().write(true).open(yard.path.join("a")).expect("ours");
        file.set_modified(std::time::UNIX_EPOCH).expect("ours");
    };
    let linked: fn(&Yard) = |yard| fs::hard_link(yard.path.join("a"), yard.path.join("link")).expect("ours");
    let untouched: fn(&Yard) = |_| {};
    for (change, is_judged) in
        [(untouched, true), (replaced, false), (written, false), (touched, false), (linked, false)]
    {
        let yard = Yard::new();
        let judged = yard.file("a", "text");
        let other = yard.file("other", "text");
        assert_ne!(judged.identity, other.identity);
        let pinned = Pinned::at(&yard.root, b"a").expect("it exists");
        let mut slot = Slot::take(&yard.root).expect("ours");
        assert!(!slot.is_stuck());
        slot.aim(identity(&yard.root), b"").expect("written");
        change(&yard);
        slot.take_aside(&yard.root, b"a").expect("renamed");
        assert_eq!(slot.is_judged(b"a", &pinned), is_judged);
        assert!(!slot.is_judged(b"missing", &pinned));
    }
}

#[test]
fn another_file_under_the_name_is_put_back_or_kept() {
    let yard = Yard::new();
    yard.file("a", "fresh");
    let mut slot = Slot::take(&yard.root).expect("ours");
    slot.aim(identity(&yard.root), b"").expect("written");
    slot.take_aside(&yard.root, b"a").expect("renamed");
    assert!(matches!(slot.put_back(&yard.root, b"a", Refusal::Changed), Refusal::Changed));
    assert_eq!(yard.read("a").as_deref(), Some("fresh"));
    slot.take_aside(&yard.root, b"a").expect("renamed");
    yard.file("a", "newer");
    let refusal = slot.put_back(&yard.root, b"a", Refusal::Changed);
    assert!(matches!(&refusal, Refusal::Conflict(path) if path == ".janitor-slots/0/file/a"), "{refusal:?}");
    assert!(slot.is_stuck());
    assert!(slot.aim(identity(&yard.sub()), b"sub").is_err(), "it is good for this directory only");
    assert_eq!(yard.read(".janitor-slots/0/file/a").as_deref(), Some("fresh"));
}

/// Paths of any length find their way back.
#[test]
fn a_long_path_is_written_down_whole() {
    let yard = Yard::new();
    let slot = Slot::take(&yard.root).expect("ours");
    let long = vec![b'x'; 100_000];
    let identity = yard.root.look_at_itself().expect("ours").0;
    let lock = yard.root.open(SLOTS).and_then(|slots| slots.open(b"0")).expect("ours");
    let mut origin = Origin::open(&lock).expect("ours");
    origin.write(identity, &long).expect("written");
    assert_eq!(Origin::read(&lock).expect("whole"), (identity, long));
    origin.write(identity, b"short").expect("written");
    assert_eq!(Origin::read(&lock).expect("whole"), (identity, b"short".to_vec()));
    drop(slot);
}
