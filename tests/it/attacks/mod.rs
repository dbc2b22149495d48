//! Attacks on the real program, by another user (where this is root), on the disk and in memory. Each lasts for
//! `JANITOR_ATTACK_SECONDS` on each file system, one second otherwise, and says in one line what came of it: an escape is
//! a file outside of the target that went, a loss a fresh file in it.
//!
//! `fsys::attacks` has those on verified removal alone, which are the fastest. SAFETY.md says what they show.

mod attackers;
mod endless;
mod files;
mod ways;

use std::fs::{self, Permissions};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, fstat, openat};
use serde_json::Value;

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
        self.removed += run["deleted"].as_u64().expect("a number");
        for remark in run["remarks"].as_array().expect("a list") {
            let remark = remark.as_str().expect("words");
            if remark.contains("changed since it was judged") {
                let many = remark.split(' ').next().and_then(|count| count.parse::<u64>().ok());
                self.restored += many.expect("a number");
            }
        }
    }
}

/// Runs the attack on each file system, and says what came of it.
fn on_each_file_system(attack: &str, mut run: impl FnMut(&Yard, &dyn Fn() -> bool) -> Told) {
    if needs::is_root() && !needs::tool("setpriv") {
        return;
    }
    let seconds = std::env::var("JANITOR_ATTACK_SECONDS").ok().and_then(|seconds| seconds.parse().ok()).unwrap_or(1);
    for place in needs::file_systems() {
        let yard = Yard::below(&place.path);
        #[expect(clippy::disallowed_methods, reason = "an attack has a length")]
        let began = std::time::Instant::now();
        let told = run(&yard, &|| began.elapsed() < Duration::from_secs(seconds));
        let Told { rounds, escapes, losses, restored, conflicts, removed } = told;
        eprintln!(
            "attack: {attack} on {}: {rounds} rounds, {escapes} escapes, {losses} losses, {restored} restored, \
             {conflicts} conflicts, {removed} removed",
            place.kind
        );
        assert_eq!((escapes, losses), (0, 0), "{attack} on {}", place.kind);
        assert!(rounds > 0 && removed > 0, "{attack} on {}: the runs did nothing: {told:?}", place.kind);
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
            for file in fs::read_dir(slot.path().join("file")).into_iter().flatten().flatten() {
                *kept += 1;
                _ = fs::rename(file.path(), yard.path(format!("kept/{kept}")));
            }
        }
    }
}
