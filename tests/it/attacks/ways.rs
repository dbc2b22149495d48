//! Somebody makes a way lead elsewhere, or takes a directory away.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::attackers::Attackers;
use super::field::{Action, Field};
use super::{DAY, Told, gone, on_each_file_system, square, victims};
use crate::needs;
use crate::yard::Yard;

pub fn links(field: &Field) -> Told {
    let yard = &field.yard;
    let victims = victims(yard, "victim");
    // Where directories go whole: the directory itself, and one in it.
    let parents = match field.action {
        Action::Whole => ["", "unit/"].map(|parent| format!("square/{parent}")).to_vec(),
        _ => ["", "a/a/a/a/", &"a/".repeat(49)].map(|parent| format!("square/{parent}")).to_vec(),
    };
    square(yard, "square");
    if field.action != Action::Whole {
        (1..50).for_each(|depth| square(yard, &format!("square/{}", "a/".repeat(depth))));
    }
    let pairs: Vec<_> = parents.iter().map(|at| (format!("{at}dir"), format!("{at}link"))).collect();
    let lay = || {
        for parent in &parents {
            square(yard, parent);
            // It may be there, or the other by now.
            let [dir, link] = ["dir", "link"].map(|name| yard.path(format!("{parent}{name}")));
            let is_link = |path: &Path| path.is_symlink();
            if !is_link(&dir) && !is_link(&link) {
                drop(symlink(yard.path("victim"), if dir.exists() { &link } else { &dir }));
            }
            for path in [&dir, &link] {
                if fs::create_dir(path).is_ok() {
                    drop(fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777)));
                }
            }
        }
        for path in pairs.iter().flat_map(|(one, other)| [yard.path(one), yard.path(other)]) {
            for number in (0..5).filter(|_| !path.is_symlink()) {
                // It may be the link by now, and then it is a file like its victims.
                _ = fs::write(path.join(format!("bait-{number}")), "content");
                _ = yard.try_to_grow_old(&path.join(format!("bait-{number}")), DAY * 3);
            }
        }
    };
    lay();
    let attackers = Attackers::exchange(yard, &pairs);
    let mut told = Told::default();
    // A limit takes two walks: what is to go is known before the second.
    for limited in [false, true].into_iter().cycle() {
        let (aged, more) = match (field.action, limited) {
            // A directory in which names are exchanged is never old.
            (Action::Whole, _) => (false, ""),
            (_, true) => (false, "max_files = 1\nmin_age = \"1d\""),
            (_, false) => (true, ""),
        };
        field.configure("square", field.action.everything(), aged, more);
        lay();
        field.sweep(&mut told);
        told.escapes = gone(&victims);
        if !field.goes_on(&told) {
            break;
        }
    }
    drop(attackers);
    told
}

#[test]
fn links_swapped_in_for_directories_lead_nowhere() {
    on_each_file_system("links swapped in for directories, 1, 5 and 50 deep", &Action::ALL, links);
}

pub fn root(field: &Field) -> Told {
    let yard = &field.yard;
    let mut victims = victims(yard, "victim/square");
    victims.extend(super::victims(yard, "victim"));
    for path in ["open", "open/way", "open/way/square"] {
        square(yard, path);
    }
    symlink(yard.path("victim"), yard.path("open/link")).expect("made");
    symlink(yard.path("victim"), yard.path("open/way/link")).expect("made");
    field.configure("open/way/square", field.action.everything(), true, "missing = \"fail\"");
    let pairs = [("open/way", "open/link"), ("open/way/square", "open/way/link")];
    let attackers = Attackers::exchange(yard, &pairs.map(|(one, other)| (one.to_owned(), other.to_owned())));
    let mut told = Told::default();
    while field.goes_on(&told) {
        for way in ["way", "link"] {
            for end in ["square", "link"] {
                let path = yard.path(format!("open/{way}/{end}"));
                if path.canonicalize().is_ok_and(|real| real.starts_with(yard.path("open"))) {
                    _ = fs::write(path.join("bait"), "content");
                    _ = yard.try_to_grow_old(&path.join("bait"), DAY * 3);
                }
            }
        }
        field.sweep(&mut told);
        told.escapes = gone(&victims);
    }
    drop(attackers);
    told
}

#[test]
fn a_root_and_a_way_to_it_swapped_for_links_lead_nowhere() {
    on_each_file_system("the root and the way to it swapped for links", &Action::ALL, root);
}

/// How many files are in the directory that is moved out.
const FULL: usize = 400;

/// Moves a directory out of the target and back, and counts what goes from it outside.
struct Mover<'a> {
    yard: Yard,
    stop: &'a AtomicBool,
    escapes: &'a AtomicU64,
}

impl Mover<'_> {
    /// Whoever sweeps may take a file, or the directory, meanwhile.
    fn fill(&self, directory: &str) {
        let directory = self.yard.path(directory);
        for number in 0..FULL {
            let path = directory.join(number.to_string());
            _ = fs::write(&path, "content");
            _ = self.yard.try_to_grow_old(&path, DAY * 3);
        }
        _ = self.yard.try_to_grow_old(&directory, DAY * 3);
    }

    fn work(&self) {
        let (inside, outside) = (self.yard.path("square/dir"), self.yard.path("outside/dir"));
        let count = || fs::read_dir(&outside).map_or(0, Iterator::count);
        while !self.stop.load(Ordering::Relaxed) {
            if fs::rename(&inside, &outside).is_err() {
                // It has gone, or is just aside: there is another.
                self.yard.directory("outside/dir");
                self.fill("outside/dir");
            }
            let there = count();
            std::thread::sleep(Duration::from_millis(3));
            let left = count();
            self.escapes.fetch_add((there - left) as u64, Ordering::Relaxed);
            if left < FULL / 2 {
                self.fill("outside/dir");
            }
            // The other may have been put back.
            drop(fs::rename(&outside, &inside));
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

pub fn moved_out(field: &Field) -> Told {
    let yard = &field.yard;
    yard.directory("outside");
    yard.directory("square/dir");
    field.configure("square", field.action.everything(), true, "");
    let (stop, escapes) = (AtomicBool::new(false), AtomicU64::new(0));
    let mut told = Told::default();
    let mover = Mover { yard: Yard::at(&yard.path("")), stop: &stop, escapes: &escapes };
    mover.fill("square/dir");
    std::thread::scope(|scope| {
        scope.spawn(move || mover.work());
        while field.goes_on(&told) {
            let run = field.sweep(&mut told);
            told.escapes = escapes.load(Ordering::Relaxed);
            if field.is_janitor() && run["sandbox"] != "landlock" {
                needs::say("\n*** NOT RUN: this kernel has no Landlock ***\n");
                told.removed += 1;
                escapes.store(0, Ordering::Relaxed);
                break;
            }
        }
        stop.store(true, Ordering::Relaxed);
    });
    told.escapes = escapes.into_inner();
    told
}

#[test]
fn a_directory_moved_out_of_the_target_keeps_what_is_left_in_it() {
    on_each_file_system("a directory moved out of the target while it is swept", &Action::ALL, moved_out);
}

/// The destination of a move belongs to the attacker, who makes its directories lead elsewhere.
pub fn destination(field: &Field) -> Told {
    let (yard, to) = (&field.yard, field.destination());
    let there = Yard::at(&to);
    let elsewhere = Yard::below(to.parent().expect("it has one"));
    let victim = elsewhere.directory("victim");
    square(&there, "dir");
    symlink(&victim, there.path("link")).expect("made");
    fs::set_permissions(&to, std::os::unix::fs::PermissionsExt::from_mode(0o777)).expect("ours");
    field.configure("square", "**", true, "");
    let attackers = Attackers::exchange(&there, &[("dir".to_owned(), "link".to_owned())]);
    let mut told = Told::default();
    while field.goes_on(&told) {
        for number in 0..20 {
            yard.aged(&format!("square/dir/{number}"), DAY * 3);
        }
        field.sweep(&mut told);
        told.escapes = elsewhere.left("victim").len() as u64;
    }
    drop(attackers);
    told
}

#[test]
fn a_destination_whose_directories_are_swapped_for_links_gets_all_or_nothing() {
    let actions = [Action::Within, Action::Across];
    on_each_file_system("the destination's directories swapped for links", &actions, destination);
}
