//! Killed at every system call.
//!
//! Each scene is run once to its end, which tells how many calls there are from the first on that can change anything;
//! then once for each of them, and is killed there; where there are very many, for some, unless `JANITOR_EVERY_POINT` is
//! set.

use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::needs;
use super::scenes::{
    self, Across, Again, Begun, Conflict, Damaged, Migration, OTHER, OpenToTrash, Scene, Strict, ToTrash, Undo,
    UndoWhole, Unit, Whole,
};
use super::tracer::{Then, killed_at};
use super::yard::Yard;

/// A yard for a scene, with a directory on another file system where it takes one.
fn yard(scene: &dyn Scene) -> (Yard, Option<Yard>) {
    let yard = Yard::new();
    let other = scene.needs_other().then(|| Yard::below(Path::new("/dev/shm")));
    if let Some(other) = &other {
        std::os::unix::fs::symlink(other.path(""), yard.path(OTHER)).expect("made");
    }
    (yard, other)
}

/// What came of one point.
fn point(scene: &dyn Scene, point: usize) -> Option<Result<bool, String>> {
    let (yard, _other) = yard(scene);
    let arguments = scene.lay(&yard);
    let (_, then) = killed_at(&yard, &arguments, point, |call| scene.meanwhile(&yard, call));
    let checked = scene.at_once(&yard).map_err(|wrong| format!("at once: {wrong}"));
    let afterwards = || scene.afterwards(&yard).map_err(|wrong| format!("afterwards: {wrong}"));
    let checked = checked.and_then(|caught| afterwards().map(|()| caught));
    // If it ended before, there was no such point.
    (then == Then::Kill || checked.is_err()).then_some(checked)
}

fn killed_at_each_call(scene: &dyn Scene) {
    if scene.needs_other() && needs::file_systems().len() < 2 {
        return;
    }
    let (yard, _other) = yard(scene);
    let arguments = scene.lay(&yard);
    let (calls, _) = killed_at(&yard, &arguments, usize::MAX, |call| scene.meanwhile(&yard, call));
    scene.at_once(&yard).and_then(|_| scene.afterwards(&yard)).expect("without a kill all is well");
    let calls_made = calls.values().sum::<usize>();
    // Evenly spread, where there are too many for every day.
    let step = scenes::step(calls_made).unwrap_or(1);
    let points = calls_made.div_ceil(step);
    let (next, killed, caught) = (AtomicUsize::new(0), AtomicUsize::new(0), AtomicUsize::new(0));
    let violations = Mutex::new(Vec::new());
    let workers = std::thread::available_parallelism().map_or(2, usize::from).min(4);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed) * step;
                    match point(scene, at) {
                        None if at >= calls_made => return,
                        None => {}
                        Some(Ok(aside)) => {
                            killed.fetch_add(1, Ordering::Relaxed);
                            caught.fetch_add(usize::from(aside), Ordering::Relaxed);
                        }
                        Some(Err(wrong)) => {
                            killed.fetch_add(1, Ordering::Relaxed);
                            violations.lock().expect("no panic").push(format!("at call {at}: {wrong}"));
                        }
                    }
                }
            });
        }
    });
    let violations = violations.into_inner().expect("no panic");
    let killed = killed.into_inner();
    needs::say(&format!(
        "{}: {calls_made} calls, {killed} kills, {} with a file aside, {} violations; {calls:?}",
        scene.name(),
        caught.into_inner(),
        violations.len()
    ));
    assert!(violations.is_empty(), "{violations:#?}");
    // The order of the files is that of their inodes, so a run may take some calls more or fewer than the first did.
    assert!(killed * 10 > points * 9 && killed > 20, "{killed} of {points}");
}

#[test]
fn a_verified_sweep_that_is_killed_at_any_call_loses_nothing() {
    if needs::leases() {
        killed_at_each_call(&Strict);
    }
}

#[test]
fn a_verified_sweep_that_is_killed_keeps_what_it_cannot_put_back() {
    if needs::leases() {
        killed_at_each_call(&Conflict);
    }
}

#[test]
fn a_sweep_into_the_trash_that_is_killed_at_any_call_loses_nothing() {
    killed_at_each_call(&ToTrash);
}

#[test]
fn a_verified_sweep_into_the_trash_that_is_killed_at_any_call_loses_nothing() {
    if needs::leases() {
        killed_at_each_call(&OpenToTrash);
    }
}

#[test]
fn a_move_to_another_file_system_that_is_killed_at_any_call_loses_nothing() {
    killed_at_each_call(&Across);
}

#[test]
fn a_removal_of_whole_directories_that_is_killed_at_any_call_leaves_them_whole_or_is_finished() {
    killed_at_each_call(&Whole(Unit::Deleted));
}

#[test]
fn a_move_of_whole_directories_that_is_killed_at_any_call_loses_nothing() {
    killed_at_each_call(&Whole(Unit::MovedAcross));
}

#[test]
fn an_undo_that_is_killed_at_any_call_is_done_by_the_next() {
    killed_at_each_call(&Undo);
}

#[test]
fn an_undo_of_whole_directories_that_is_killed_at_any_call_is_done_by_the_next() {
    killed_at_each_call(&UndoWhole);
}

#[test]
fn what_was_put_back_stays_protected_when_another_undo_is_killed() {
    killed_at_each_call(&Again);
}

#[test]
fn a_migration_of_the_state_that_is_killed_at_any_call_is_done_by_the_next_run() {
    killed_at_each_call(&Migration);
}

#[test]
fn a_state_that_is_begun_is_whole_wherever_the_daemon_is_killed() {
    killed_at_each_call(&Begun);
}

#[test]
fn a_damaged_state_is_kept_wherever_it_is_killed() {
    killed_at_each_call(&Damaged);
}
