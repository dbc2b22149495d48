//! Somebody puts a fresh file where an old one was.

use std::collections::BTreeMap;
use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{AtFlags, CWD, RenameFlags, renameat_with, unlinkat};

use super::attackers::{Attackers, PAIRS};
use super::{DAY, Told, cleaned, config, empty_slots, gone, is_gone, on_each_file_system, square, victims, watch};
use crate::needs;
use crate::yard::Yard;

/// Pairs of an old file and a fresh one, whose names are exchanged by somebody.
struct Pairs<'a> {
    yard: &'a Yard,
    fresh: BTreeMap<usize, OwnedFd>,
}

impl<'a> Pairs<'a> {
    fn new(yard: &'a Yard) -> Self {
        yard.directory("kept");
        Self { yard, fresh: BTreeMap::new() }
    }

    fn names(number: usize) -> [String; 2] {
        [format!("square/one-{number}"), format!("square/other-{number}")]
    }

    /// Puts an old file and a fresh one where one is missing.
    fn fill(&mut self, losses: &mut u64) {
        for number in 0..PAIRS {
            let place = |from: &Path| {
                let free = |to: &String| renameat_with(CWD, from, CWD, self.yard.path(to), RenameFlags::NOREPLACE);
                Self::names(number).iter().any(|to| free(to).is_ok())
            };
            if self.fresh.get(&number).is_some_and(is_gone) {
                *losses += 1;
                self.fresh.remove(&number);
            }
            if !self.fresh.contains_key(&number) {
                let made = self.yard.path("made");
                fs::write(&made, "").expect("written");
                let watched = watch(&made);
                if place(&made) {
                    self.fresh.insert(number, watched);
                }
            }
            if Self::names(number).iter().any(|name| !self.yard.path(name).exists()) {
                place(&self.yard.aged("aside", DAY * 30));
            }
        }
    }
}

#[test]
fn a_fresh_file_exchanged_for_an_old_one_by_another_user_is_never_lost() {
    if !needs::leases() {
        return;
    }
    on_each_file_system("fresh files exchanged for old ones", |yard, goes_on| {
        square(yard, "square");
        config(yard, "square", "include = [\"*\"]\nolder_than = \"1d\"");
        let exchanged: Vec<_> = (0..PAIRS).map(|number| Pairs::names(number).into()).collect();
        let mut told = Told::default();
        let mut pairs = Pairs::new(yard);
        pairs.fill(&mut told.losses);
        let attackers = Attackers::exchange(yard, &exchanged);
        while goes_on() || told.removed == 0 {
            told.count(&cleaned(yard));
            empty_slots(yard, &["square/.janitor-slots"], &mut told.conflicts);
            pairs.fill(&mut told.losses);
        }
        drop(attackers);
        told
    });
}

#[test]
fn slots_exchanged_for_another_directory_or_a_link_lose_nothing() {
    if !needs::leases() {
        return;
    }
    on_each_file_system("the slots exchanged for another directory and a link", |yard, goes_on| {
        let victims = victims(yard, "victim/0/file");
        square(yard, "square");
        square(yard, "square/evil");
        symlink(yard.path("victim"), yard.path("square/link")).expect("made");
        config(yard, "square", "include = [\"o*\"]\nolder_than = \"1d\"");
        let slots = "square/.janitor-slots".to_owned();
        let mut exchanged: Vec<_> = (0..PAIRS).map(|number| Pairs::names(number).into()).collect();
        exchanged.push((slots.clone(), "square/evil".to_owned()));
        exchanged.push((slots, "square/link".to_owned()));
        let mut told = Told::default();
        let mut pairs = Pairs::new(yard);
        pairs.fill(&mut told.losses);
        // The first run makes the slots.
        told.count(&cleaned(yard));
        pairs.fill(&mut told.losses);
        let attackers = Attackers::exchange(yard, &exchanged);
        while goes_on() {
            pairs.fill(&mut told.losses);
            told.count(&cleaned(yard));
            let names = ["square/.janitor-slots", "square/evil", "square/link"];
            let ours: Vec<_> = names.into_iter().filter(|name| !yard.path(name).is_symlink()).collect();
            empty_slots(yard, &ours, &mut told.conflicts);
            told.escapes = gone(&victims);
        }
        drop(attackers);
        pairs.fill(&mut told.losses);
        assert_eq!(yard.left("victim").len(), victims.len(), "nothing was put there either");
        told
    });
}

/// The attack of 2002: somebody takes the old file away, and a program makes a fresh one of the same name.
#[test]
fn a_fresh_file_that_takes_an_old_name_is_never_lost() {
    if !needs::leases() {
        return;
    }
    on_each_file_system("old files taken away and made anew", |yard, goes_on| {
        square(yard, "square");
        square(yard, "attic");
        yard.directory("kept");
        config(yard, "square", "include = [\"name-*\"]\nolder_than = \"1d\"");
        let names: Vec<_> = (0..PAIRS).map(|number| yard.path(format!("square/name-{number}"))).collect();
        let attackers = Attackers::take_away(yard);
        let (stop, losses) = (AtomicBool::new(false), AtomicU64::new(0));
        let mut told = Told::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut fresh: BTreeMap<u64, OwnedFd> = BTreeMap::new();
                let mut turn = 0_u64;
                while !stop.load(Ordering::Relaxed) {
                    // One name more each time, so that each is fresh and old in turn.
                    for name in names.iter().cycle().take(PAIRS + 1) {
                        let free = |made: &Path| renameat_with(CWD, made, CWD, name, RenameFlags::NOREPLACE).is_ok();
                        turn += 1;
                        if turn.is_multiple_of(2) {
                            free(&yard.aged("aside", DAY * 30));
                            continue;
                        }
                        let made = yard.path("made");
                        fs::write(&made, "").expect("written");
                        let (inode, watched) = (fs::metadata(&made).expect("ours").ino(), watch(&made));
                        if free(&made) {
                            fresh.insert(inode, watched);
                        }
                    }
                    // What was taken away is let go of here and nowhere else, so what is lost otherwise is lost.
                    for taken in fs::read_dir(yard.path("attic")).expect("ours").flatten() {
                        fresh.remove(&taken.metadata().expect("nobody else takes it").ino());
                        unlinkat(CWD, taken.path(), AtFlags::empty()).expect("ours");
                    }
                    let before = fresh.len();
                    fresh.retain(|_, watched| !is_gone(watched));
                    losses.fetch_add((before - fresh.len()) as u64, Ordering::Relaxed);
                }
            });
            while goes_on() || told.removed == 0 {
                told.count(&cleaned(yard));
                empty_slots(yard, &["square/.janitor-slots"], &mut told.conflicts);
            }
            stop.store(true, Ordering::Relaxed);
        });
        drop(attackers);
        told.losses = losses.into_inner();
        told
    });
}
