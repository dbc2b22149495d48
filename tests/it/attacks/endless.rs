//! Somebody tries to keep a run busy for ever.

use std::process::Command;

use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};

use super::attackers::{Attackers, CHAIN, PAIRS};
use super::{DAY, Told, cleaned, config, is_gone, on_each_file_system, square, watch};
use crate::daemon::wait_for;

#[test]
fn a_fifo_swapped_in_for_a_file_holds_nothing_up() {
    on_each_file_system("FIFOs swapped in for files", |yard, goes_on| {
        square(yard, "square");
        let pairs: Vec<_> =
            (0..PAIRS).map(|number| (format!("square/file-{number}"), format!("square/fifo-{number}"))).collect();
        let fifo = |(_, fifo): &(String, String)| {
            let path = yard.path(fifo);
            mknodat(CWD, &path, FileType::Fifo, Mode::from_raw_mode(0o666), 0).expect("made");
            watch(&path)
        };
        let fifos: Vec<_> = pairs.iter().map(fifo).collect();
        let mut told = Told::default();
        let fill = || {
            for (file, fifo) in &pairs {
                let aside = yard.aged("aside", DAY * 30);
                for name in [file, fifo] {
                    _ = renameat_with(CWD, &aside, CWD, yard.path(name), RenameFlags::NOREPLACE);
                }
            }
        };
        fill();
        let attackers = Attackers::exchange(yard, &pairs);
        for extra in ["", "skip_open = true", "on_unverifiable = \"plain\""].iter().cycle() {
            config(yard, "square", &format!("include = [\"*\"]\nolder_than = \"1d\"\n{extra}"));
            told.count(&cleaned(yard));
            fill();
            if !goes_on() && told.removed > 0 {
                break;
            }
        }
        drop(attackers);
        told.losses = fifos.iter().filter(|fifo| is_gone(fifo)).count() as u64;
        told
    });
}

#[test]
fn a_tree_that_somebody_makes_deeper_all_the_time_is_left_at_last() {
    on_each_file_system("a tree made deeper and deeper", |yard, _| {
        square(yard, "square");
        config(yard, "square", "include = [\"**\"]");
        yard.file("square/file");
        let attackers = Attackers::deepen(yard);
        let deep = format!("square/{}", [CHAIN; 5].join("/"));
        wait_for("the attacker", || yard.path(&deep).exists().then_some(()));
        let mut told = Told::default();
        // On a busy machine a run may be faster than the attacker for once.
        let is_left = (0..100).any(|_| {
            let run = cleaned(yard);
            told.count(&run);
            run["skipped_directories"] == 1
        });
        drop(attackers);
        assert!(is_left, "no run left the tree where it grew");
        let emptied = Command::new("rm").arg("-rf").arg(yard.path("square")).status().expect("rm runs");
        assert!(emptied.success());
        told
    });
}

#[test]
fn files_made_faster_than_they_go_do_not_keep_a_run_for_ever() {
    on_each_file_system("files made faster than they go", |yard, goes_on| {
        square(yard, "square");
        config(yard, "square", "include = [\"**\"]");
        yard.file("square/file");
        let attackers = Attackers::make_files(yard);
        let mut told = Told::default();
        while goes_on() || told.rounds == 0 {
            told.count(&cleaned(yard));
        }
        drop(attackers);
        told
    });
}
