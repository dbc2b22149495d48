use std::fs::{self, File, Permissions};
use std::os::fd::AsFd;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;

use super::*;
use crate::fsys::recover::{Recovered, recover};
use crate::fsys::resolve;

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

    fn file(&self, name: &str, content: &str) -> Found {
        fs::write(self.path.join(name), content).expect("written");
        self.root.look(name.as_bytes()).or_else(|_| self.sub().look(&name.as_bytes()[4..])).expect("it exists")
    }

    fn itself(&self) -> Taken<'_> {
        Taken { dir: &self.root, origin: Origin::of(&self.root).expect("ours") }
    }

    /// Where a file of `sub` is when it is in this slot, relative to the root.
    fn aside(&self, slots: &str, name: &str) -> String {
        format!("{slots}/file/{}/{name}", Origin::of(&self.sub()).expect("ours").name())
    }

    fn sub(&self) -> Dir {
        self.root.open(b"sub").expect("it exists")
    }

    /// As a run leaves it that is killed right after it has taken a file of `sub` aside.
    fn killed_with(&self, name: &str) {
        // Its directory is not empty, so it stays.
        drop(self.with(name));
    }

    /// A slot with a file of `sub` in it.
    fn with(&self, name: &str) -> Slot {
        let mut slot = Slot::take(&self.root).expect("ours");
        slot.aim(Origin::of(&self.sub()).expect("ours")).expect("made");
        rename_aside(&self.sub(), name.as_bytes(), slot.shelf().expect("made")).expect("renamed");
        slot
    }

    fn read(&self, name: &str) -> Option<String> {
        fs::read_to_string(self.path.join(name)).ok()
    }
}

/// Waits for it: a test beside this one that starts a program has, for a moment, copies of all descriptors.
fn remove(yard: &Yard, slot: &mut Slot, name: &[u8], judged: &Found) -> Result<(), Refusal> {
    let mut done = slot.remove(&yard.itself(), name, judged);
    for _ in 0..500 {
        match done {
            Err(Refusal::InUse | Refusal::Locked) => std::thread::sleep(std::time::Duration::from_millis(1)),
            Err(Refusal::Unverifiable(error)) => {
                crate::needs::say(&format!("\n*** NOT RUN: the temporary directory has no leases: {error} ***\n"));
                return Ok(());
            }
            done => return done,
        }
        done = slot.remove(&yard.itself(), name, judged);
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
    let facts = yard.root.look(b"link").expect("it exists");
    slot.remove(&yard.itself(), b"link", &facts).expect("a link");
    assert!(is_empty(slot.shelf().expect("made")).expect("ours"));
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
    lease.expect("nobody else has it open");
    let refusal = slot.remove(&yard.itself(), b"leased", &facts).expect_err("open");
    assert!(matches!(refusal, Refusal::InUse), "{refusal:?}");
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
    yard.killed_with("a");
    let file = yard.path.join(".janitor-slots/0/file");
    let set = |mode| fs::set_permissions(&file, fs::Permissions::from_mode(mode)).expect("ours");
    set(0o755);
    let error = recover(&yard.root).expect_err("others can enter").to_string();
    assert!(error.contains("private"), "{error}");
    set(0o700);
    assert_eq!(recover(&yard.root).expect("ours").restored, ["sub/a"]);
    assert!(nothing(recover(&yard.root).expect("ours")));
}

#[test]
fn a_slot_that_is_in_use_is_left_alone() {
    let yard = Yard::new();
    yard.file("sub/a", "text");
    let slot = yard.with("a");
    let recovered = recover(&yard.root).expect("ours");
    assert!(recovered.restored.is_empty() && recovered.waiting.is_empty(), "{recovered:?}");
    let other = Slot::take(&yard.root).expect("another");
    assert_ne!(other.place, slot.place);
}

#[test]
fn where_the_name_is_taken_or_the_directory_another_it_waits_and_is_told() {
    let yard = Yard::new();
    yard.file("sub/a", "old");
    yard.killed_with("a");
    yard.file("sub/a", "new");
    let waiting = recover(&yard.root).expect("ours").waiting;
    let aside = yard.aside(".janitor-slots/0", "a");
    assert!(waiting.len() == 1 && waiting[0].starts_with(&format!("`{aside}`: ")), "{waiting:?}");
    assert_eq!(yard.read("sub/a").as_deref(), Some("new"), "never overwritten");
    assert_eq!(yard.read(&aside).as_deref(), Some("old"));
    assert_eq!(
        Slot::take(&yard.root).expect("another").place,
        ".janitor-slots/1",
        "it is not used while something waits in it"
    );
    fs::rename(yard.path.join("sub"), yard.path.join("moved")).expect("ours");
    fs::create_dir(yard.path.join("sub")).expect("made");
    let waiting = recover(&yard.root).expect("ours").waiting;
    // It was moved, and is found where it is now; the name is taken there.
    assert!(waiting.len() == 1 && waiting[0].ends_with("File exists (os error 17)"), "{waiting:?}");
    yard.root.remove_directory(b"sub").expect("empty");
    fs::rename(yard.path.join("moved"), yard.path.parent().expect("it has one").join("sub")).expect("ours");
    let waiting = recover(&yard.root).expect("ours").waiting;
    assert!(waiting[0].ends_with("its directory is gone, or another by now"), "{waiting:?}");
    fs::rename(yard.path.parent().expect("it has one").join("sub"), yard.path.join("moved")).expect("ours");
    fs::rename(yard.path.join("moved"), yard.path.join("sub")).expect("ours");
    yard.sub().remove(b"a").expect("ours");
    assert_eq!(recover(&yard.root).expect("ours").restored, ["sub/a"], "the name is free now");
    assert_eq!(yard.read("sub/a").as_deref(), Some("old"));
}

#[test]
fn what_does_not_say_where_it_belongs_stays_and_is_told() {
    let yard = Yard::new();
    yard.file("sub/a", "text");
    yard.killed_with("a");
    let (was, is) = (yard.aside(".janitor-slots/0", ""), yard.path.join(".janitor-slots/0/file/unknown"));
    fs::rename(yard.path.join(was), &is).expect("ours");
    let recovered = recover(&yard.root).expect("ours");
    assert_eq!((recovered.restored.len(), recovered.waiting.len()), (0, 1), "{recovered:?}");
    assert_eq!(yard.read(".janitor-slots/0/file/unknown/a").as_deref(), Some("text"));
}

/// Somebody who can write in the root makes a directory of the name that slots have, a file, or a link.
#[test]
fn a_directory_that_is_not_ours_alone_is_no_place_for_slots_and_others_are_made() {
    for prepare in [
        (|path| fs::write(path, "").expect("written")) as fn(PathBuf),
        |path| symlink("sub", path).expect("made"),
        |path| {
            fs::create_dir(&path).expect("made");
            fs::set_permissions(&path, Permissions::from_mode(0o755)).expect("ours");
        },
    ] {
        let yard = Yard::new();
        fs::set_permissions(&yard.path, Permissions::from_mode(0o777)).expect("ours");
        prepare(yard.path.join(".janitor-slots"));
        let mine = yard.path.join(".janitor-slots-mine");
        fs::create_dir(&mine).expect("made");
        fs::set_permissions(&mine, Permissions::from_mode(0o777)).expect("ours");
        assert!(recover(&yard.root).expect("none is ours").restored.is_empty());
        yard.file("sub/a", "text");
        let slot = yard.with("a");
        let place = slot.place.clone();
        assert!(place.starts_with(".janitor-slots-") && !place.starts_with(".janitor-slots-mine"), "{place}");
        assert_eq!(Slot::take(&yard.root).expect("ours").place, place.replace("/0", "/1"), "the same is used again");
        drop(slot);
        assert_eq!(yard.read(&yard.aside(&place, "a")).as_deref(), Some("text"));
        assert_eq!(recover(&yard.root).expect("ours").restored, ["sub/a"]);
        assert!(is_empty(&resolve(&mine, false).expect("there").dir).expect("readable"));
    }
}

#[test]
fn on_a_full_disk_the_spare_directory_serves_one_directory_after_the_other() {
    let yard = Yard::new();
    let mut slot = Slot::take(&yard.root).expect("ours");
    let (root, sub) = (yard.itself().origin, Origin::of(&yard.sub()).expect("ours"));
    for origin in [root, sub, root] {
        slot.leave_shelf();
        slot.aim_spare(origin, &origin.name().into_bytes()).expect("there is one");
        assert!(slot.shelf.as_ref().is_some_and(|shelf| shelf.is_spare && shelf.origin == origin));
        assert_eq!(slot.shelves.names().expect("ours"), [origin.name().into_bytes()]);
    }
    yard.file("a", "text");
    rename_aside(&yard.root, b"a", slot.shelf().expect("made")).expect("renamed");
    drop(slot);
    assert_eq!(recover(&yard.root).expect("ours").restored, ["a"]);
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
        assert_ne!(judged.facts.identity, other.facts.identity);
        let pinned = Pinned::at(&yard.root, b"a").expect("it exists");
        let mut slot = Slot::take(&yard.root).expect("ours");
        assert!(!slot.is_stuck());
        slot.aim(yard.itself().origin).expect("made");
        change(&yard);
        let shelf = slot.shelf().expect("made");
        rename_aside(&yard.root, b"a", shelf).expect("renamed");
        assert_eq!(super::is_judged(shelf, b"a", &pinned), is_judged);
        assert!(!super::is_judged(shelf, b"missing", &pinned));
    }
}

#[test]
fn another_file_under_the_name_is_put_back_or_kept() {
    let yard = Yard::new();
    yard.file("a", "fresh");
    let mut slot = Slot::take(&yard.root).expect("ours");
    slot.aim(yard.itself().origin).expect("made");
    let aside = |slot: &Slot| rename_aside(&yard.root, b"a", slot.shelf().expect("made")).expect("renamed");
    aside(&slot);
    assert!(matches!(slot.put_back(&yard.itself(), b"a", Refusal::Changed), Refusal::Changed));
    assert_eq!(yard.read("a").as_deref(), Some("fresh"));
    aside(&slot);
    yard.file("a", "newer");
    let refusal = slot.put_back(&yard.itself(), b"a", Refusal::Changed);
    let kept = format!(".janitor-slots/0/file/{}/a", yard.itself().origin.name());
    assert!(matches!(&refusal, Refusal::Conflict(path) if *path == kept), "{refusal:?}");
    assert!(slot.is_stuck());
    assert_eq!(yard.read(&kept).as_deref(), Some("fresh"));
}

/// The moves of files that others may exchange meanwhile, within the file system and to another.
#[test]
fn what_is_moved_is_what_was_judged_and_what_is_used_stays() {
    let yard = Yard::new();
    let Some(elsewhere) = crate::needs::another_file_system(&yard.path) else { return };
    let near = tempfile::tempdir_in(yard.path.parent().expect("it has one")).expect("made");
    for there in [near.path(), elsewhere.path()] {
        let to = Destination::open(&there.canonicalize().expect("there")).expect("there");
        let mut slot = Slot::take(&yard.root).expect("ours");
        let mut go = |name: &str, judged: &Found| {
            let mut done = Ok(());
            for _ in 0..500 {
                done = slot.transfer(&yard.itself(), name.as_bytes(), judged, &to, to.dir(), &|| Ok(()));
                match done {
                    // A test beside this one that starts a program has copies of all descriptors for a moment.
                    Err(Refusal::InUse | Refusal::Locked) if name == "free" => {
                        std::thread::sleep(std::time::Duration::from_millis(1));
                    }
                    _ => break,
                }
            }
            done
        };
        let judged = yard.file("free", "text");
        match go("free", &judged) {
            Err(Refusal::Unverifiable(error)) => {
                crate::needs::say(&format!("\n*** NOT RUN: the temporary directory has no leases: {error} ***\n"));
                return;
            }
            done => done.expect("nobody uses it"),
        }
        assert_eq!(fs::read_to_string(there.join("free")).expect("moved"), "text");
        assert_eq!(yard.read("free"), None);
        let judged = yard.file("open", "text");
        let open = File::open(yard.path.join("open")).expect("ours");
        assert!(matches!(go("open", &judged), Err(Refusal::InUse)));
        open.lock().expect("ours");
        assert!(matches!(go("open", &judged), Err(Refusal::Locked)));
        drop(open);
        let judged = yard.file("changed", "text");
        yard.file("changed", "text, and more");
        assert!(matches!(go("changed", &judged), Err(Refusal::Changed)));
        assert_eq!(yard.read("changed").as_deref(), Some("text, and more"));
        assert_eq!(fs::read_dir(there).expect("readable").count(), 1);
    }
}
