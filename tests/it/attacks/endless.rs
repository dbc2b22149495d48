//! Somebody tries to keep a run busy for ever.

use std::process::Command;

use rustix::fs::{CWD, FileType, Mode, RenameFlags, mknodat, renameat_with};

use super::attackers::{Attackers, CHAIN, PAIRS};
use super::field::{Action, Field};
use super::{DAY, Told, is_gone, on_each_file_system, square, watch};
use crate::daemon::wait_for;

pub fn fifos(field: &Field) -> Told {
    let yard = &field.yard;
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
        field.configure("square", "*", true, extra);
        field.sweep(&mut told);
        fill();
        if !field.goes_on(&told) {
            break;
        }
    }
    drop(attackers);
    told.losses = fifos.iter().filter(|fifo| is_gone(fifo)).count() as u64;
    told
}

#[test]
fn a_fifo_swapped_in_for_a_file_holds_nothing_up() {
    on_each_file_system("FIFOs swapped in for files", &Action::ALL, fifos);
}

#[test]
fn a_tree_that_somebody_makes_deeper_all_the_time_is_left_at_last() {
    let actions = [Action::Delete, Action::Across, Action::Whole];
    on_each_file_system("a tree made deeper and deeper", &actions, |field| {
        let yard = &field.yard;
        square(yard, "square");
        field.configure("square", field.action.everything(), false, "");
        yard.file("square/file");
        let attackers = Attackers::deepen(yard);
        let deep = format!("square/{}", [CHAIN; 5].join("/"));
        wait_for("the attacker", || yard.path(&deep).exists().then_some(()));
        let mut told = Told::default();
        // On a busy machine a run may be faster than the attacker for once. A directory that goes whole is taken aside,
        // and what grows in it keeps it.
        let is_left = (0..100).any(|_| {
            let run = field.sweep(&mut told);
            run["skipped_directories"] == 1 || field.action == Action::Whole
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
    let actions = [Action::Delete, Action::Trash, Action::Within, Action::Across];
    on_each_file_system("files made faster than they go", &actions, |field| {
        let yard = &field.yard;
        square(yard, "square");
        field.configure("square", "**", false, "");
        yard.file("square/file");
        let attackers = Attackers::make_files(yard);
        let mut told = Told::default();
        while field.goes_on(&told) || told.rounds == 0 {
            field.sweep(&mut told);
        }
        drop(attackers);
        told
    });
}
