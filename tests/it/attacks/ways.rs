//! Somebody makes a way lead elsewhere, or takes a directory away.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::attackers::Attackers;
use super::{DAY, Told, cleaned, config, gone, on_each_file_system, square, victims};
use crate::needs;

#[test]
fn links_swapped_in_for_directories_lead_nowhere() {
    on_each_file_system("links swapped in for directories, 1, 5 and 50 deep", |yard, goes_on| {
        let victims = victims(yard, "victim");
        let parents = ["", "a/a/a/a/", &"a/".repeat(49)].map(|parent| format!("square/{parent}"));
        square(yard, "square");
        for depth in 1..50 {
            square(yard, &format!("square/{}", "a/".repeat(depth)));
        }
        for parent in &parents {
            symlink(yard.path("victim"), yard.path(format!("{parent}link"))).expect("made");
            square(yard, &format!("{parent}dir"));
        }
        let pairs: Vec<_> = parents.iter().map(|at| (format!("{at}dir"), format!("{at}link"))).collect();
        let attackers = Attackers::exchange(yard, &pairs);
        let mut told = Told::default();
        // A limit takes two walks: what is to go is known before the second.
        for policy in ["older_than = \"1d\"", "max_files = 1\nmin_age = \"1d\""].iter().cycle() {
            config(yard, "square", &format!("include = [\"**\"]\n{policy}"));
            for (one, other) in &pairs {
                for path in [one, other].map(|path| yard.path(path)).iter().filter(|path| !path.is_symlink()) {
                    for number in 0..5 {
                        // It may be the link by now, and then it is a file like its victims.
                        _ = fs::write(path.join(format!("bait-{number}")), "content");
                        _ = yard.try_to_grow_old(&path.join(format!("bait-{number}")), DAY * 3);
                    }
                }
            }
            told.count(&cleaned(yard));
            told.escapes = gone(&victims);
            if !goes_on() {
                break;
            }
        }
        drop(attackers);
        told
    });
}

#[test]
fn a_root_and_a_way_to_it_swapped_for_links_lead_nowhere() {
    on_each_file_system("the root and the way to it swapped for links", |yard, goes_on| {
        let mut victims = victims(yard, "victim/square");
        victims.extend(super::victims(yard, "victim"));
        for path in ["open", "open/way", "open/way/square"] {
            square(yard, path);
        }
        symlink(yard.path("victim"), yard.path("open/link")).expect("made");
        symlink(yard.path("victim"), yard.path("open/way/link")).expect("made");
        config(yard, "open/way/square", "include = [\"**\"]\nolder_than = \"1d\"\ncreate = false");
        let pairs = [("open/way", "open/link"), ("open/way/square", "open/way/link")];
        let attackers = Attackers::exchange(yard, &pairs.map(|(one, other)| (one.to_owned(), other.to_owned())));
        let mut told = Told::default();
        while goes_on() || told.removed == 0 {
            for way in ["way", "link"] {
                for end in ["square", "link"] {
                    let path = yard.path(format!("open/{way}/{end}"));
                    if path.canonicalize().is_ok_and(|real| real.starts_with(yard.path("open"))) {
                        _ = fs::write(path.join("bait"), "content");
                        _ = yard.try_to_grow_old(&path.join("bait"), DAY * 3);
                    }
                }
            }
            told.count(&cleaned(yard));
            told.escapes = gone(&victims);
        }
        drop(attackers);
        told
    });
}

#[test]
fn a_directory_moved_out_of_the_target_keeps_what_is_left_in_it() {
    on_each_file_system("a directory moved out of the target while it is swept", |yard, goes_on| {
        const FULL: usize = 400;
        let (inside, outside) = (yard.path("square/dir"), yard.path("outside/dir"));
        yard.directory("outside");
        yard.directory("square/dir");
        config(yard, "square", "include = [\"**\"]\nolder_than = \"1d\"");
        let fill = |directory: &str| {
            for number in 0..FULL {
                yard.aged(&format!("{directory}/{number}"), DAY * 3);
            }
        };
        fill("square/dir");
        let (stop, escapes) = (AtomicBool::new(false), AtomicU64::new(0));
        let mut told = Told::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let count = || fs::read_dir(&outside).expect("it is here now").count();
                while !stop.load(Ordering::Relaxed) {
                    fs::rename(&inside, &outside).expect("ours");
                    let there = count();
                    std::thread::sleep(Duration::from_millis(3));
                    let left = count();
                    escapes.fetch_add((there - left) as u64, Ordering::Relaxed);
                    if left < FULL / 2 {
                        fill("outside/dir");
                    }
                    fs::rename(&outside, &inside).expect("ours");
                    std::thread::sleep(Duration::from_millis(2));
                }
            });
            while goes_on() || told.removed == 0 {
                let run = cleaned(yard);
                told.count(&run);
                if run["sandbox"] != "landlock" {
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
    });
}
