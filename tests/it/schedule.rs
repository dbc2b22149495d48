//! Targets are swept when they are due.

use std::process::Command;

use super::daemon::{Daemon, wait_for};
use super::needs;
use super::yard::{JANITOR, Yard};

#[test]
fn each_target_is_swept_on_its_own_schedule() {
    let yard = Yard::new();
    for name in ["often", "seldom"] {
        yard.file(format!("{name}/file"));
    }
    let daemon = Daemon::with(
        &yard,
        "[[target]]\npath = \"often\"\nschedule = \"* * * * * *\"\ninclude = [\"*\"]\n\
         [[target]]\npath = \"seldom\"\nschedule = \"0 0 1 1 *\"\ninclude = [\"*\"]\n",
    );
    wait_for("the first run", || yard.left("often").is_empty().then_some(()));
    yard.file("often/again");
    // The line follows the removal.
    wait_for("the next run", || (daemon.count(" - often - INFO - Deleted file: again") == 1).then_some(()));
    assert_eq!(yard.left("often"), [""; 0]);
    assert_eq!(yard.left("seldom"), ["file"]);
    let log = daemon.log();
    assert!(log.contains("(schedule)"), "{log}");
    assert!(!log.contains(" - seldom - INFO - Deleted"), "{log}");
}

/// The library that makes a program see another wall clock.
pub fn faketime() -> Option<std::path::PathBuf> {
    let roots = ["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(std::path::Path::new);
    let below =
        roots.iter().filter_map(|root| std::fs::read_dir(root).ok()).flatten().flatten().map(|entry| entry.path());
    let found = below.chain(roots.iter().map(|root| root.to_path_buf()));
    let library = found.map(|root| root.join("faketime/libfaketime.so.1")).find(|path| path.exists());
    library.or_else(|| needs::file("/usr/lib/…/faketime/libfaketime.so.1").then(Default::default))
}

#[test]
fn two_schedules_on_a_wall_clock_that_is_set_to_just_before_them() {
    let Some(library) = faketime() else { return };
    let yard = Yard::new();
    for name in ["two", "three"] {
        yard.file(format!("{name}/file"));
    }
    yard.config(
        "[admin]\nlisten = \"127.0.0.1:0\"\n\
         [[target]]\npath = \"two\"\nschedule = \"0 2 * * *\"\ninclude = [\"*\"]\n\
         [[target]]\npath = \"three\"\nschedule = \"0 3 * * *\"\ninclude = [\"*\"]\n",
    );
    let mut command = Command::new(JANITOR);
    command.arg("run").current_dir(yard.path("")).env("TZ", "UTC").env("HOME", "/nonexistent");
    // The library itself, not the program around it, which would stand between us and our child.
    command.env("LD_PRELOAD", library).env("FAKETIME", "@2026-06-01 01:59:57").env("DONT_FAKE_MONOTONIC", "1");
    let daemon = Daemon::spawn(&yard, command);
    assert_eq!(daemon.target("two")["next_run"], "2026-06-01 02:00:00");
    wait_for("the run at two", || yard.left("two").is_empty().then_some(()));
    let after = daemon.wait_for_status("the report", |status| status["targets"][0]["last_run"]["outcome"] == "done");
    assert_eq!(after["targets"][0]["next_run"], "2026-06-02 02:00:00");
    assert_eq!(after["next_run"], "2026-06-01 03:00:00");
    assert_eq!(yard.left("three"), ["file"]);
    assert!(daemon.log().contains("2026-06-01 02:00:0"), "{}", daemon.log());
}

#[test]
fn a_tick_during_a_sweep_is_skipped_and_counted() {
    let yard = Yard::new();
    let fifo_free = yard.directory("busy");
    for number in 0..60_000 {
        std::fs::File::create(fifo_free.join(number.to_string())).expect("made");
    }
    let daemon = Daemon::with(
        &yard,
        "[log]\nlevel = \"debug\"\n[[target]]\npath = \"busy\"\nschedule = \"* * * * * *\"\ninclude = [\"*.never\"]\n",
    );
    // With a line for each file that stays, a sweep takes longer than the second between two ticks, at least under a
    // debug build; where it does not, the directory is made larger until it does.
    let mut made = 60_000;
    wait_for("a skipped tick", || {
        if daemon.target("busy")["skipped_ticks"].as_u64() > Some(0) {
            return Some(());
        }
        for number in made..made + 2000 {
            std::fs::File::create(fifo_free.join(number.to_string())).expect("made");
        }
        made += 2000;
        None
    });
    assert!(daemon.log().contains("WARNING - Skipped a scheduled run"), "the log says so");
}
