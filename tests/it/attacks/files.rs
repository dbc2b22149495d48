//! Somebody puts a fresh file, or a fresh directory where these go whole, in the place of an old one.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD, RenameFlags, fstat, renameat_with, unlinkat};

use super::attackers::{Attackers, PAIRS};
use super::field::{Action, Field, IN_UNIT, Maker, files_below, inodes};
use super::{Told, empty_slots, gone, is_gone, on_each_file_system, square, victims};
use crate::needs;

/// The actions that keep to what was judged, file by file.
const IN_PLACE: [Action; 5] = Action::ALL;

/// Pairs of something old and something fresh, whose names are exchanged by somebody.
struct Pairs<'a> {
    field: &'a Field,
    fresh: BTreeMap<usize, OwnedFd>,
}

impl<'a> Pairs<'a> {
    fn new(field: &'a Field) -> Self {
        Self { field, fresh: BTreeMap::new() }
    }

    fn names(number: usize) -> [String; 2] {
        [format!("square/one-{number}"), format!("square/other-{number}")]
    }

    /// Puts something old and something fresh where one is missing. Counts what was lost.
    fn fill(&mut self, told: &mut Told) {
        let yard = &self.field.yard;
        for number in 0..PAIRS {
            let place = |from: &Path| {
                let free = |to: &String| renameat_with(CWD, from, CWD, yard.path(to), RenameFlags::NOREPLACE);
                Self::names(number).iter().any(|to| free(to).is_ok())
            };
            if self.fresh.get(&number).is_some_and(is_gone) {
                told.losses += 1;
                self.fresh.remove(&number);
            }
            if !self.fresh.contains_key(&number) {
                let (made, watched) = self.field.fresh();
                if place(&made) {
                    self.fresh.insert(number, watched);
                }
            }
            if Self::names(number).iter().any(|name| !yard.path(name).exists()) {
                place(&self.field.old());
            }
        }
    }

    /// Counts directories of which a part has gone: they go whole, or stay whole. To be called while nobody exchanges
    /// and nobody sweeps.
    fn count_torn(&self, told: &mut Told) {
        if self.field.action != Action::Whole {
            return;
        }
        for path in (0..PAIRS).flat_map(Self::names).map(|name| self.field.yard.path(name)) {
            let inside = files_below(&path).len();
            told.losses += u64::from(path.is_dir() && inside != IN_UNIT);
        }
    }
}

pub fn exchanged(field: &Field) -> Told {
    square(&field.yard, "square");
    field.configure("square", "*", true, "");
    let names: Vec<_> = (0..PAIRS).map(|number| Pairs::names(number).into()).collect();
    let mut told = Told::default();
    let mut pairs = Pairs::new(field);
    pairs.fill(&mut told);
    let attackers = Attackers::exchange(&field.yard, &names);
    while field.goes_on(&told) {
        field.sweep(&mut told);
        empty_slots(&field.yard, &["square/.janitor-slots"], &mut told.conflicts);
        pairs.fill(&mut told);
    }
    drop(attackers);
    pairs.count_torn(&mut told);
    told
}

#[test]
fn a_fresh_file_exchanged_for_an_old_one_by_another_user_is_never_lost() {
    if needs::leases() {
        on_each_file_system("fresh files exchanged for old ones", &IN_PLACE, exchanged);
    }
}

#[test]
fn slots_exchanged_for_another_directory_or_a_link_lose_nothing() {
    if !needs::leases() {
        return;
    }
    on_each_file_system("the slots exchanged for another directory and a link", &IN_PLACE, |field| {
        let yard = &field.yard;
        let victims = victims(yard, "victim/0/file");
        square(yard, "square");
        square(yard, "square/evil");
        symlink(yard.path("victim"), yard.path("square/link")).expect("made");
        field.configure("square", "o*", true, "");
        let slots = "square/.janitor-slots".to_owned();
        let mut names: Vec<_> = (0..PAIRS).map(|number| Pairs::names(number).into()).collect();
        names.push((slots.clone(), "square/evil".to_owned()));
        names.push((slots, "square/link".to_owned()));
        let mut told = Told::default();
        let mut pairs = Pairs::new(field);
        pairs.fill(&mut told);
        // The first run makes the slots.
        field.sweep(&mut told);
        pairs.fill(&mut told);
        let attackers = Attackers::exchange(yard, &names);
        while field.goes_on(&told) {
            pairs.fill(&mut told);
            field.sweep(&mut told);
            let names = ["square/.janitor-slots", "square/evil", "square/link"];
            let ours: Vec<_> = names.into_iter().filter(|name| !yard.path(name).is_symlink()).collect();
            empty_slots(yard, &ours, &mut told.conflicts);
            told.escapes = gone(&victims);
        }
        drop(attackers);
        pairs.fill(&mut told);
        assert_eq!(yard.left("victim").len(), victims.len(), "nothing was put there either");
        told
    });
}

/// The attack of 2002: somebody takes what is old away, and a program makes something fresh of the same name.
pub fn made_anew(field: &Field) -> Told {
    let yard = &field.yard;
    square(yard, "square");
    square(yard, "attic");
    field.configure("square", "name-*", true, "");
    let names: Vec<_> = (0..PAIRS).map(|number| yard.path(format!("square/name-{number}"))).collect();
    let attackers = Attackers::take_away(yard);
    let (stop, losses) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut told = Told::default();
    let owner = Owner { field: field.maker(), names, stop: &stop, losses: &losses };
    std::thread::scope(|scope| {
        scope.spawn(move || owner.work());
        while field.goes_on(&told) {
            field.sweep(&mut told);
            empty_slots(yard, &["square/.janitor-slots"], &mut told.conflicts);
            told.losses = losses.load(Ordering::Relaxed);
        }
        stop.store(true, Ordering::Relaxed);
    });
    drop(attackers);
    told.losses = losses.into_inner();
    told
}

/// Whose program makes files anew.
struct Owner<'a> {
    field: Maker,
    names: Vec<std::path::PathBuf>,
    stop: &'a AtomicBool,
    losses: &'a AtomicU64,
}

impl Owner<'_> {
    fn work(&self) {
        let mut fresh: BTreeMap<u64, OwnedFd> = BTreeMap::new();
        let mut turn = 0_u64;
        while !self.stop.load(Ordering::Relaxed) {
            // One name more each time, so that each is fresh and old in turn.
            for name in self.names.iter().cycle().take(PAIRS + 1) {
                let free = |made: &Path| renameat_with(CWD, made, CWD, name, RenameFlags::NOREPLACE).is_ok();
                turn += 1;
                if turn.is_multiple_of(2) {
                    free(&self.field.old());
                    continue;
                }
                let (made, watched) = self.field.fresh();
                let inode = fstat(&watched).expect("held").st_ino;
                if free(&made) {
                    fresh.insert(inode, watched);
                }
            }
            // What was taken away is let go of here and nowhere else, so what is lost otherwise is lost.
            for taken in fs::read_dir(self.field.yard.path("attic")).expect("ours").flatten() {
                for inode in inodes(&taken.path()) {
                    fresh.remove(&inode);
                }
                for file in files_below(&taken.path()) {
                    _ = unlinkat(CWD, file, AtFlags::empty());
                }
                let flags = if taken.path().is_dir() { AtFlags::REMOVEDIR } else { AtFlags::empty() };
                _ = unlinkat(CWD, taken.path(), flags);
            }
            let before = fresh.len();
            fresh.retain(|_, watched| !is_gone(watched));
            self.losses.fetch_add((before - fresh.len()) as u64, Ordering::Relaxed);
        }
    }
}

#[test]
fn a_fresh_file_that_takes_an_old_name_is_never_lost() {
    if needs::leases() {
        on_each_file_system("old files taken away and made anew", &Action::ALL, made_anew);
    }
}
