//! Attacks on the real program, by another user (where this is root), with each action, on the disk and in memory. Each
//! lasts for `JANITOR_ATTACK_SECONDS` with each action on each file system, a third of a second otherwise, and says in
//! one line what came of it: an escape is a file outside of the target that went, or one that arrived where it should not;
//! a loss is a fresh file that went, or a part of a directory that was to go whole or not at all.
//!
//! `fsys::attacks` has those on verified removal alone, which are the fastest. SAFETY.md says what they show.

mod attackers;
mod endless;
mod field;
mod files;
mod naive;
mod ways;

use std::fs::{self, Permissions};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, fstat, openat};
use serde_json::Value;

use self::field::{Action, Field, Sweeper};
use super::needs;
use super::yard::Yard;

const DAY: Duration = Duration::from_secs(86_400);

/// What came of an attack.
#[derive(Debug, Default)]
struct Told {
    rounds: u64,
    escapes: u64,
    losses: u64,
    restored: u64,
    conflicts: u64,
    removed: u64,
}

impl Told {
    /// Counts what a run says of itself.
    fn count(&mut self, run: &Value) {
        self.rounds += 1;
        let count = |key: &str| run[key].as_u64().unwrap_or(0);
        self.removed += count("deleted") + count("trashed") + count("moved");
        for remark in run["remarks"].as_array().expect("a list") {
            let remark = remark.as_str().expect("words");
            if remark.contains("changed since it was judged") {
                let many = remark.split(' ').next().and_then(|count| count.parse::<u64>().ok());
                self.restored += many.expect("a number");
            }
        }
    }
}

/// How long an attack lasts with each action on each file system, in seconds.
fn seconds() -> f64 {
    std::env::var("JANITOR_ATTACK_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(0.3)
}

/// Runs the attack with each of these actions on each file system, and says what came of it.
fn on_each_file_system(attack: &str, actions: &[Action], run: impl Fn(&Field) -> Told) {
    if needs::is_root() && !needs::tool("setpriv") {
        return;
    }
    let places = needs::file_systems();
    let sweepers = [(Sweeper::Janitor, ""), (Sweeper::WithoutOpenat2, " without openat2")];
    let each = places.iter().flat_map(|place| actions.iter().map(move |action| (place, *action)));
    for ((place, action), (sweeper, way)) in each.flat_map(|one| sweepers.map(|sweeper| (one, sweeper))) {
        let other = places.iter().find(|other| other.kind != place.kind).map(|other| &*other.path);
        if action == Action::Across && other.is_none() {
            needs::say("\n*** NOT RUN: there is no second file system to move to ***\n");
            continue;
        }
        let field = Field::new(&place.path, other, action, sweeper, Duration::from_secs_f64(seconds()));
        let told = run(&field);
        let Told { rounds, escapes, losses, restored, conflicts, removed } = told;
        let name = action.name();
        eprintln!(
            "attack: {attack} ({name}{way}) on {}: {rounds} rounds, {escapes} escapes, {losses} losses, {restored} \
             restored, {conflicts} conflicts, {removed} removed",
            place.kind
        );
        assert_eq!((escapes, losses), (0, 0), "{attack} ({name}{way}) on {}", place.kind);
        assert!(rounds > 0 && removed > 0, "{attack} ({name}{way}) on {}: the runs did nothing: {told:?}", place.kind);
    }
}

/// An attack, which is given its place and tells what came of it.
type Attack = fn(&Field) -> Told;

/// As often an attack is tried that has to succeed once.
const TRIES: usize = 5;

/// Were this not so, the attacks would show nothing: each succeeds against a sweeper that looks at a name and then acts
/// on it, whatever it does with what it takes.
#[test]
fn a_sweeper_that_acts_by_name_is_beaten_by_each_attack() {
    if needs::is_root() && !needs::tool("setpriv") {
        return;
    }
    let places = needs::file_systems();
    let (place, other) = (places.last().expect("one"), places.first().filter(|_| places.len() > 1));
    let attacks: [(&str, Attack); 6] = [
        ("fresh files exchanged for old ones", files::exchanged),
        ("old files taken away and made anew", files::made_anew),
        ("links swapped in for directories", ways::links),
        ("the root and the way to it swapped for links", ways::root),
        ("a directory moved out of the target", ways::moved_out),
        ("the destination's directories swapped for links", ways::destination),
    ];
    for (attack, run) in attacks {
        for action in Action::ALL {
            let is_kept = matches!(action, Action::Within | Action::Across);
            // Who has opened a directory that goes whole empties that one, whatever has its name by then.
            let is_none = (attack.starts_with("the destination") && !is_kept)
                || (attack.starts_with("old files taken") && action == Action::Whole);
            if is_none || (action == Action::Across && other.is_none()) {
                continue;
            }
            let other = other.map(|other| &*other.path);
            // On a busy machine the attacker may not get a turn at the right moment.
            let is_beaten = (0..TRIES).any(|_| {
                let told = run(&Field::new(&place.path, other, action, Sweeper::Naive, Duration::ZERO));
                eprintln!("proof: {attack} ({}): {} escapes, {} losses", action.name(), told.escapes, told.losses);
                told.escapes + told.losses > 0
            });
            assert!(is_beaten, "{attack} ({}) is no attack", action.name());
        }
    }
}

/// Makes a directory that everybody can write in.
fn square(yard: &Yard, path: &str) {
    fs::set_permissions(yard.directory(path), Permissions::from_mode(0o777)).expect("ours");
}

fn config(yard: &Yard, path: &str, policy: &str) {
    let log = "[log]\nfile = \"/dev/null\"\n";
    yard.config(&format!("{log}[[target]]\npath = \"{path}\"\nschedule = \"@daily\"\n{policy}\n"));
}

/// One run, which has to end.
fn cleaned(yard: &Yard) -> Value {
    let ran = yard.run_within(Duration::from_secs(120), &["clean", "--json"]);
    assert!(matches!(ran.code, Some(0 | 1)), "{ran:?}");
    ran.json()["runs"][0].clone()
}

/// Old files outside of the target that are never to go.
fn victims(yard: &Yard, directory: &str) -> Vec<PathBuf> {
    (0..20).map(|number| yard.aged(&format!("{directory}/{number}"), DAY * 30)).collect()
}

fn gone(victims: &[PathBuf]) -> u64 {
    victims.iter().filter(|victim| !victim.exists()).count() as u64
}

/// Holds a file without opening it, so that its names can be counted and it is in use by nobody.
fn watch(path: &Path) -> OwnedFd {
    openat(CWD, path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty()).expect("it is there")
}

fn is_gone(watched: &OwnedFd) -> bool {
    fstat(watched).expect("held").st_nlink == 0
}

/// Takes what could not be put back out of the slots, wherever these are by now, and counts it.
fn empty_slots(yard: &Yard, names: &[&str], kept: &mut u64) {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    for name in names {
        let Ok(slots) = openat(CWD, yard.path(name), flags, Mode::empty()) else { continue };
        for slot in fs::read_dir(format!("/proc/self/fd/{}", slots.as_raw_fd())).into_iter().flatten().flatten() {
            let entries = |path: PathBuf| fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
            // Files lie in directories that stand for those that they are from; directories that go whole in `aside`.
            let files = entries(slot.path().join("file")).flat_map(entries);
            for waiting in files.chain(entries(slot.path().join("aside"))) {
                *kept += 1;
                _ = fs::rename(waiting, yard.path(format!("kept/{kept}")));
            }
        }
    }
}
