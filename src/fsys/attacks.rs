//! Attacks on verified removal: somebody who can write in the directory swaps files while one is removed.
//!
//! Each runs for `JANITOR_ATTACK_SECONDS` (one second otherwise) on the disk and in memory, and says in one line what came
//! of it, as those on the whole program do (`tests/it/attacks`). A file is lost when it was fresh, and has no name any
//! more that was not taken from it by the attacker.

use std::fs::{self, File, Permissions};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime};

use rustix::fs::{CWD, Mode, OFlags, RenameFlags, fstat, openat, renameat_with, statfs};

use super::*;
use crate::clock;

const DAY: Duration = Duration::from_secs(86_400);

fn how_long() -> Duration {
    let asked = std::env::var("JANITOR_ATTACK_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(asked.unwrap_or(1))
}

/// The temporary directory, and one in memory.
fn squares() -> Vec<Square> {
    let in_memory = Path::new("/dev/shm");
    let mut squares = vec![Square::below("the disk", &std::env::temp_dir())];
    match statfs(in_memory) {
        Ok(about) if about.f_type == TMPFS => squares.push(Square::below("tmpfs", in_memory)),
        _ => drop(crate::needs::missing("a tmpfs at /dev/shm")),
    }
    squares.retain(Square::has_leases);
    squares
}

/// What statfs(2) says of one.
const TMPFS: rustix::fs::FsWord = 0x0102_1994;

/// A directory that everybody can write in.
struct Square {
    on: &'static str,
    _temporary: tempfile::TempDir,
    path: PathBuf,
    dir: Dir,
}

impl Square {
    fn below(on: &'static str, directory: &Path) -> Self {
        let temporary = tempfile::tempdir_in(directory).expect("a temporary directory");
        fs::set_permissions(temporary.path(), Permissions::from_mode(0o777)).expect("ours");
        let dir = resolve(temporary.path(), false).expect("it exists").dir;
        assert!(!dir.is_trusted().expect("ours"));
        Self { on, path: temporary.path().canonicalize().expect("it exists"), _temporary: temporary, dir }
    }

    fn old(&self, name: &str) -> PathBuf {
        let path = self.path.join(name);
        fs::write(&path, "old").expect("written");
        #[expect(clippy::disallowed_methods, reason = "real files have real ages")]
        let times = fs::FileTimes::new().set_modified(SystemTime::now() - DAY * 30);
        File::options().write(true).open(&path).expect("ours").set_times(times).expect("ours");
        path
    }

    fn itself(&self) -> Taken<'_> {
        Taken { dir: &self.dir, origin: Origin::of(&self.dir).expect("ours") }
    }

    fn has_leases(&self) -> bool {
        self.old("probe");
        let facts = self.dir.look(b"probe").expect("it exists").facts;
        match self.dir.usage(b"probe", facts.identity) {
            Ok(_) => true,
            Err(error) => {
                crate::needs::say(&format!("\n*** NOT RUN: {} has no leases: {error} ***\n", self.on));
                false
            }
        }
    }
}

/// Holds a file without opening it, so that its names can be counted and it is in use by nobody.
fn watch(path: &Path) -> Option<OwnedFd> {
    openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty()).ok()
}

fn is_lost(watched: &OwnedFd) -> bool {
    fstat(watched).expect("held").st_nlink == 0
}

#[derive(Debug, Default)]
struct Told {
    rounds: u64,
    removed: u64,
    put_back: u64,
    conflicts: u64,
    in_use: u64,
    gone: u64,
    lost: u64,
}

impl Told {
    /// Whether it goes on after this time: on a busy machine it takes longer to have tried anything.
    fn goes_on(&self, time: Duration) -> bool {
        time < how_long() || (self.rounds <= 20 && time < Duration::from_secs(60))
    }

    fn count(&mut self, done: Result<(), Refusal>) {
        *match done {
            Ok(()) => &mut self.removed,
            Err(Refusal::Changed) => &mut self.put_back,
            Err(Refusal::Conflict(_)) => &mut self.conflicts,
            Err(Refusal::InUse | Refusal::Locked) => &mut self.in_use,
            Err(Refusal::Failed(_) | Refusal::Stopped) => &mut self.gone,
            Err(Refusal::Unverifiable(why)) => panic!("{why}"),
        } += 1;
    }

    fn told(&self, attack: &str, square: &Square) {
        let Self { rounds, removed, put_back, conflicts, in_use, gone, lost } = self;
        eprintln!(
            "attack: {attack} on {}: {rounds} rounds, 0 escapes, {lost} losses, {put_back} restored, \
             {conflicts} conflicts, {removed} removed, {in_use} in use, {gone} gone",
            square.on
        );
        assert_eq!(self.lost, 0, "{attack}: a fresh file was lost: {self:?}");
        assert!(self.rounds > 20, "{attack}: it did nothing: {self:?}");
    }
}

/// What could not be put back gets names again, and the slots are free.
fn empty_slots(square: &Square, kept: &mut u64) {
    for number in 0.. {
        let Ok(waiting) = fs::read_dir(square.path.join(format!(".janitor-slots/{number}/file"))) else { return };
        for entry in waiting {
            *kept += 1;
            fs::rename(entry.expect("readable").path(), square.path.join(format!("kept-{kept}"))).expect("ours");
        }
    }
}

/// One exchanges an old file and a fresh one without pause; the old one is to go.
fn exchange(
    square: &Square,
    mut remove: impl FnMut(&Found) -> Result<(), Refusal>,
    is_enough: impl Fn(&Told, Duration) -> bool,
) -> Told {
    let (one, other) = (square.path.join("one"), square.path.join("other"));
    let stop = AtomicBool::new(false);
    let mut told = Told::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                _ = renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE);
            }
        });
        let began = clock::mark();
        let mut fresh: Option<OwnedFd> = None;
        // Puts a file where there is none.
        let place = |path: &Path| {
            renameat_with(CWD, path, CWD, &one, RenameFlags::NOREPLACE).is_ok()
                || renameat_with(CWD, path, CWD, &other, RenameFlags::NOREPLACE).is_ok()
        };
        while !is_enough(&told, began.elapsed()) {
            told.rounds += 1;
            if fresh.is_none() {
                let path = square.path.join("made");
                fs::write(&path, "").expect("written");
                fresh = watch(&path);
                assert!(place(&path));
            }
            if !one.exists() || !other.exists() {
                place(&square.old("aside"));
            }
            if let Ok(found) = square.dir.look(b"one")
                && found.facts.size == 3
            {
                told.count(remove(&found));
            }
            if fresh.as_ref().is_some_and(is_lost) {
                told.lost += 1;
                fresh = None;
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    told
}

#[test]
fn a_fresh_file_that_is_exchanged_for_the_old_one_is_never_removed() {
    for square in squares() {
        let mut slot = Slot::take(&square.dir).expect("ours");
        let remove = |found: &Found| slot.remove(&square.itself(), b"one", found);
        exchange(&square, remove, |told, time| !told.goes_on(time))
            .told("a fresh file exchanged for the old one", &square);
    }
}

/// Were this not so, the test above would show nothing.
#[test]
fn removed_by_its_name_a_fresh_file_is_lost() {
    let square = Square::below("the disk", &std::env::temp_dir());
    let patience = Duration::from_secs(60);
    let remove = |_: &Found| square.dir.remove(b"one").map_err(Refusal::Failed);
    let told = exchange(&square, remove, |told, time| told.lost > 0 || time > patience);
    assert!(told.lost > 0, "the attack does not work here: {told:?}");
}

/// The attack of 2002: the old file is taken away, and a program makes a fresh one of the same name in its place.
#[test]
fn a_fresh_file_that_takes_the_name_of_the_old_one_is_never_removed() {
    for square in squares() {
        take_and_make(&square).told("the old file taken away and made anew", &square);
    }
}

fn take_and_make(square: &Square) -> Told {
    let path = square.path.join("name");
    let stop = AtomicBool::new(false);
    let lost = AtomicU64::new(0);
    let mut told = Told::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut fresh: Vec<OwnedFd> = Vec::new();
            let mine = square.path.join("mine");
            while !stop.load(Ordering::Relaxed) {
                if fs::rename(&path, &mine).is_ok() {
                    // What is fresh is let go of here, and not before.
                    let inode = fs::metadata(&mine).expect("nobody else takes it").ino();
                    fresh.retain(|held| fstat(held).expect("held").st_ino != inode);
                    square.dir.remove(b"mine").expect("ours");
                }
                if let Ok(made) = File::options().write(true).create_new(true).open(&path) {
                    fresh.extend(watch(Path::new(&format!("/proc/self/fd/{}", made.as_raw_fd()))));
                }
            }
            lost.fetch_add(fresh.iter().filter(|held| is_lost(held)).count() as u64, Ordering::Relaxed);
        });
        let began = clock::mark();
        let mut slot = Slot::take(&square.dir).expect("ours");
        let mut kept = 0;
        while told.goes_on(began.elapsed()) {
            told.rounds += 1;
            let aside = square.old("aside");
            while renameat_with(CWD, &aside, CWD, &path, RenameFlags::NOREPLACE).is_err()
                && told.goes_on(began.elapsed())
            {}
            if let Ok(found) = square.dir.look(b"name")
                && found.facts.size == 3
            {
                told.count(slot.remove(&square.itself(), b"name", &found));
            }
            if slot.is_stuck() {
                drop(slot);
                empty_slots(square, &mut kept);
                slot = Slot::take(&square.dir).expect("ours");
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    told.lost += lost.load(Ordering::Relaxed);
    told
}

/// Somebody opens the file again and again: it goes only when nobody has it open.
#[test]
fn a_file_that_is_opened_in_the_meantime_stays() {
    for square in squares() {
        open_again(&square).told("the file opened again and again", &square);
    }
}

fn open_again(square: &Square) -> Told {
    let stop = AtomicBool::new(false);
    let (opened, deleted) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut told = Told::default();
    thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                let Ok(file) = File::open(square.path.join("name")) else { continue };
                opened.fetch_add(1, Ordering::Relaxed);
                // The file that was opened was not removed before it was; it may be after it was closed.
                let gone = fstat(&file).expect("open").st_nlink == 0;
                deleted.fetch_add(u64::from(gone), Ordering::Relaxed);
            }
        });
        let began = clock::mark();
        let mut slot = Slot::take(&square.dir).expect("ours");
        while told.goes_on(began.elapsed()) {
            told.rounds += 1;
            if !square.path.join("name").exists() {
                fs::rename(square.old("aside"), square.path.join("name")).expect("ours");
            }
            if let Ok(found) = square.dir.look(b"name") {
                told.count(slot.remove(&square.itself(), b"name", &found));
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    let (opened, deleted) = (opened.into_inner(), deleted.into_inner());
    eprintln!("opened {opened} times on {}, {deleted} of them after the file had gone", square.on);
    told
}
