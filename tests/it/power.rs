//! Power cuts.
//!
//! A scene is played on an ext4 whose disk remembers every write ([`Disk`]); one that takes two file systems, on two
//! disks with one log. A power cut leaves the writes up to some moment, or, since a disk may put off what was not flushed,
//! any of those since its last flush. Each such disk is
//! mounted again, which is what a machine does when the power is back, and the janitor is called.

use std::collections::HashSet;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::disk::{self, Disk, Told, can_mount, in_private, sh, unmount};
use super::needs;
use super::scenes::{self, Across, Commits, OTHER, OpenToTrash, Scene, Strict, ToTrash, Undo, Unit, Whole};
use super::tracer::killed_at;
use super::yard::Yard;

/// How many disks are tried for each scene and way of mounting that lost some of the writes since the last flush.
const REORDERED: usize = 60;

const SCENES: [(&str, &dyn Scene); 8] = [
    ("strict", &Strict),
    ("trash", &ToTrash),
    ("open to trash", &OpenToTrash),
    ("undo", &Undo),
    ("commits", &Commits),
    ("across", &Across),
    ("whole", &Whole(Unit::Deleted)),
    ("whole across", &Whole(Unit::MovedAcross)),
];

/// Small, so that there is a copy of it for each cut; inodes with a birth time, a journal as small as may be.
const MAKE: &str = "truncate -s 6M \"$1\" && mkfs.ext4 -q -m 0 -b 1024 -I 256 -N 192 -J size=1 -O ^resize_inode -E \
                    lazy_itable_init=0,lazy_journal_init=0,nodiscard \"$1\"";

/// How a scene is played.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// What is written is on the disk when it suits the system.
    Usual,
    /// The same, but somebody has all of it written just before each file is removed: so what is half done gets there.
    Synced,
    /// Each change is on the disk at once, which makes the most moments.
    AtOnce,
}

impl Way {
    fn name(self) -> &'static str {
        match self {
            Self::Usual => "as usual",
            Self::Synced => "with somebody who syncs",
            Self::AtOnce => "each change at once",
        }
    }

    fn options(self) -> &'static str {
        if self == Self::AtOnce { "loop,sync,dirsync" } else { "loop" }
    }
}

/// What was written to a disk, or two, while a scene was played.
struct Recorded {
    before: Vec<u8>,
    /// Where the second disk begins; for a scene with one, the end.
    split: usize,
    log: Vec<Told>,
    /// Everything that was told until then has an end that a user has seen.
    promised_at: usize,
    /// The runs that were remembered then.
    promised: Vec<String>,
}

/// The file systems of a scene: images, and where they are mounted. The second is mounted in the first.
fn mounts(scene: &dyn Scene, images: &Path, mounted: &Path) -> Vec<(PathBuf, PathBuf)> {
    let mut all = vec![(images.join("disk.img"), mounted.to_path_buf())];
    if scene.needs_other() {
        all.push((images.join("other.img"), mounted.join(OTHER)));
    }
    all
}

fn mount(all: &[(PathBuf, PathBuf)], options: &str) {
    for (image, at) in all {
        let make = "[ -d \"$2\" ] || mkdir \"$2\"; ";
        sh(&format!("{make} mount -o {options} \"$1\" \"$2\" && chmod 755 \"$2\""), &[image, at]);
    }
}

fn unmount_all(all: &[(PathBuf, PathBuf)]) {
    all.iter().rev().for_each(|(_, at)| unmount(at));
}

fn record(scene: &dyn Scene, way: Way, work: &Path) -> Recorded {
    let (images, served, mounted) = (work.join("images"), work.join("served"), work.join("mounted"));
    for directory in [&images, &served, &mounted] {
        fs::create_dir_all(directory).expect("made");
    }
    let plain = mounts(scene, &images, &mounted);
    plain.iter().for_each(|(image, _)| sh(MAKE, &[image]));
    mount(&plain, "loop");
    let arguments = scene.lay(&Yard::at(&mounted));
    unmount_all(&plain);
    let parts: Vec<_> = plain.iter().map(|(image, _)| fs::read(image).expect("there")).collect();
    let (split, before) = (parts[0].len(), parts.concat());
    let disk = Disk::split_at(before.clone(), split);
    let session = disk.serve(&served);
    let recorded = mounts(scene, &served, &mounted);
    mount(&recorded, way.options());
    let _unmounted = disk.mounted(&mounted);
    let yard = Yard::at(&mounted);
    killed_at(&yard, &arguments, usize::MAX, |call| {
        scene.meanwhile(&yard, call);
        if way == Way::Synced && call.name() == "unlinkat" {
            for (_, at) in &recorded {
                rustix::fs::syncfs(File::open(at).expect("it is there")).expect("written");
            }
        }
    });
    let promised_at = disk.told();
    let promised = scenes::history(&yard).expect("it is remembered");
    unmount_all(&recorded);
    drop(session);
    Recorded { before, split, log: disk.log(), promised_at, promised }
}

/// Random, and the same each time.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, below: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % (below.max(1) as u64)).unwrap_or(0)
    }
}

/// A disk that a power cut has left: which of the writes are on it.
struct Cut {
    kept: Vec<usize>,
    /// Whether what had been promised by then has to be there.
    promised: bool,
}

fn cuts(recorded: &Recorded) -> Vec<Cut> {
    let log = &recorded.log;
    let is_flush = |at: usize| matches!(log[at], Told::Flush(_));
    let last_flush = |end: usize, disk| (0..end).rev().find(|at| log[*at] == Told::Flush(disk)).map_or(0, |at| at + 1);
    // The state is on the first disk.
    let promise = last_flush(recorded.promised_at, 0);
    let writes = |from: usize, to: usize| (from..to).filter(|at| !is_flush(*at));
    let mut cuts: Vec<Cut> = (0..=log.len())
        .filter(|end| *end == 0 || !is_flush(end - 1))
        .map(|end| Cut { kept: writes(0, end).collect(), promised: end >= promise })
        .collect();
    // Evenly spread, where there are too many for every day; the last is the whole run.
    if let Some(step) = scenes::step(cuts.len()) {
        let last = cuts.len() - 1;
        let mut at = 0..;
        cuts.retain(|_| at.next().is_some_and(|at| at % step == 0 || at == last));
    }
    let mut dice = Dice(0x6a61_6e69_746f_7221);
    for _ in 0..REORDERED {
        let end = dice.roll(log.len() + 1);
        let flushed = [last_flush(end, 0), last_flush(end, 1)];
        let is_kept = |at: &usize| *at < flushed[disk_of(recorded, &log[*at])] || dice.roll(2) == 0;
        let kept = writes(0, end).filter(is_kept).collect();
        cuts.push(Cut { kept, promised: flushed[0] >= promise });
    }
    cuts
}

/// Which disk was told something.
fn disk_of(recorded: &Recorded, told: &Told) -> usize {
    match told {
        Told::Write { offset, .. } => usize::from(*offset >= recorded.split),
        Told::Flush(disk) => *disk,
    }
}

fn image(recorded: &Recorded, cut: &Cut) -> Vec<u8> {
    let mut image = recorded.before.clone();
    for at in &cut.kept {
        if let Told::Write { offset, data } = &recorded.log[*at] {
            image[*offset..offset + data.len()].copy_from_slice(data);
        }
    }
    image
}

/// What is there when the power is back.
fn after(scene: &dyn Scene, recorded: &Recorded, cut: &Cut, images: &Path, mounted: &Path) -> Result<bool, String> {
    let all = mounts(scene, images, mounted);
    std::panic::catch_unwind(|| mount(&all, "loop")).map_err(|_| "it cannot be mounted".to_owned())?;
    let yard = Yard::at(mounted);
    let checked = || {
        let caught = scene.at_once(&yard).map_err(|wrong| format!("at once: {wrong}"))?;
        let runs = scenes::history(&yard)?;
        if let Some(run) = recorded.promised.iter().find(|run| cut.promised && !runs.contains(*run)) {
            return Err(format!("the run {run} was remembered, and is forgotten: {runs:?}"));
        }
        scene.afterwards(&yard).map_err(|wrong| format!("afterwards: {wrong}"))?;
        Ok(caught)
    };
    let checked = checked();
    unmount_all(&all);
    checked
}

/// Plays a scene, and cuts the power wherever it can be cut. How many different disks that made.
fn cut(scene: &dyn Scene, way: Way, work: &Path) -> usize {
    let recorded = record(scene, way, work);
    let cuts = cuts(&recorded);
    let (next, caught) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let (seen, violations) = (Mutex::new(HashSet::new()), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for worker in 0..std::thread::available_parallelism().map_or(2, usize::from).min(4) {
            let (recorded, cuts, seen, violations) = (&recorded, &cuts, &seen, &violations);
            let (next, caught) = (&next, &caught);
            let (images, mounted) = (work.join(format!("{worker}-images")), work.join(format!("{worker}")));
            for directory in [&images, &mounted] {
                fs::create_dir_all(directory).expect("made");
            }
            scope.spawn(move || {
                while let Some(cut) = cuts.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let image = image(recorded, cut);
                    let mut hasher = DefaultHasher::new();
                    (&image, cut.promised).hash(&mut hasher);
                    if !seen.lock().expect("no panic").insert(hasher.finish()) {
                        continue;
                    }
                    let (first, second) = image.split_at(recorded.split);
                    fs::write(images.join("disk.img"), first).expect("written");
                    fs::write(images.join("other.img"), second).expect("written");
                    match after(scene, recorded, cut, &images, &mounted) {
                        Ok(aside) => caught.fetch_add(usize::from(aside), Ordering::Relaxed),
                        Err(wrong) => {
                            let kept = (cut.kept.len(), cut.kept.last());
                            violations.lock().expect("no panic").push(format!("{kept:?}: {wrong}"));
                            0
                        }
                    };
                }
            });
        }
    });
    let violations = violations.into_inner().expect("no panic");
    let cuts = seen.into_inner().expect("no panic").len();
    let writes = recorded.log.iter().filter(|told| matches!(told, Told::Write { .. })).count();
    needs::say(&format!(
        "{}, {}: {writes} writes, {} flushes, {cuts} power cuts, {} with a file aside, {} violations",
        scene.name(),
        way.name(),
        recorded.log.len() - writes,
        caught.into_inner(),
        violations.len()
    ));
    assert!(violations.is_empty(), "{violations:#?}");
    cuts
}

/// Not a test: what the tests below start in a mount namespace.
#[test]
#[ignore = "it is a part of other tests"]
fn played() {
    let Some(about) = disk::about() else { return };
    let (_, scene) = SCENES.into_iter().find(|(name, _)| *name == about).expect("a scene");
    let yard = Yard::new();
    sh("mount -t tmpfs -o mode=755 none \"$1\"", &[&yard.path("")]);
    let mut total = 0;
    for (number, way) in [Way::Usual, Way::Synced, Way::AtOnce].into_iter().enumerate() {
        total += cut(scene, way, &yard.directory(&number.to_string()));
    }
    sh("umount -l \"$1\"", &[&yard.path("")]);
    assert!(total > 60, "{total}");
}

fn power_is_cut(scene: &str) {
    if can_mount() {
        in_private("power::played", scene);
    }
}

#[test]
fn a_power_cut_in_a_verified_sweep_loses_nothing() {
    if needs::leases() {
        power_is_cut("strict");
    }
}

#[test]
fn a_power_cut_in_a_sweep_into_the_trash_loses_nothing() {
    power_is_cut("trash");
}

#[test]
fn a_power_cut_in_an_undo_loses_nothing() {
    power_is_cut("undo");
}

#[test]
fn a_power_cut_in_a_verified_sweep_into_the_trash_loses_nothing() {
    if needs::leases() {
        power_is_cut("open to trash");
    }
}

#[test]
fn a_power_cut_in_a_move_to_another_file_system_loses_nothing() {
    power_is_cut("across");
}

#[test]
fn a_power_cut_in_the_removal_of_whole_directories_leaves_them_whole() {
    power_is_cut("whole");
}

#[test]
fn a_power_cut_in_a_move_of_whole_directories_loses_nothing() {
    power_is_cut("whole across");
}

#[test]
fn a_power_cut_forgets_no_run_that_was_remembered() {
    power_is_cut("commits");
}
