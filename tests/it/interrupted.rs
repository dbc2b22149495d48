//! `janitor clean` interrupted: what it did is told.

use std::collections::BTreeSet;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::daemon::wait_for;
use super::needs;
use super::yard::{JANITOR, Yard};

/// Rounds, with those that are interrupted too early or too late.
const ROUNDS: u32 = 100;

/// Files of one round. `JANITOR_INTERRUPT_FILES=100000` asks for more.
fn files() -> usize {
    std::env::var("JANITOR_INTERRUPT_FILES").map_or(2000, |files| files.parse().expect("a number of files"))
}

const CONFIG: &str =
    "[admin]\nlisten = \"off\"\n[[target]]\npath = \"crowd\"\nschedule = \"@yearly\"\ninclude = [\"*\"]\n";

/// A yard in memory, if there is one: ext4 takes long to make files just after many have gone.
fn yard() -> Yard {
    let place = needs::file_systems().pop().expect("the temporary directory, at least");
    Yard::below(&place.path)
}

fn names(yard: &Yard) -> BTreeSet<String> {
    yard.left("crowd").into_iter().filter(|name| !name.starts_with('.')).collect()
}

/// Makes the files that are not there, for a round.
fn refill(yard: &Yard, round: u32) -> BTreeSet<String> {
    for number in names(yard).len()..files() {
        File::create(yard.path(format!("crowd/{round}-{number}"))).expect("made");
    }
    names(yard)
}

fn clean(yard: &Yard) -> Child {
    // Whoever started the tests (nohup, a shell in the background) may have had these signals ignored.
    let mut command = Command::new("env");
    command.arg("--default-signal=HUP,INT,TERM").args(yard.program()).arg("clean").current_dir(yard.path(""));
    command.env("TZ", "UTC").env("HOME", "/nonexistent").stdin(Stdio::null());
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts")
}

/// Names that the log tells of.
fn told(yard: &Yard) -> BTreeSet<String> {
    let log = fs::read_to_string(yard.path("cleanup_scheduler.log")).unwrap_or_default();
    let name = |line: &str| line.split_once(" - Deleted file: ").map(|(_, name)| name.to_owned());
    assert!(log.is_empty() || log.ends_with('\n'), "the last line is whole");
    log.lines().filter_map(name).collect()
}

/// How long a run takes that nobody interrupts.
fn time_of_a_clean(yard: &Yard) -> Duration {
    #[expect(clippy::disallowed_methods, reason = "it is real time that is measured")]
    let began = std::time::Instant::now();
    assert!(clean(yard).wait().expect("our child").success());
    began.elapsed()
}

/// A seeded sequence of moments of a run. The machine does other things too, now more and now less, so the time that a
/// run is taken to need follows what came of the last moment.
struct Moments {
    seed: u64,
    took: Duration,
}

impl Moments {
    fn next(&mut self) -> Duration {
        self.seed = self.seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.took.mul_f64((self.seed >> 11) as f64 / (1_u64 << 53) as f64)
    }

    fn was_too_early(&mut self) {
        self.took = self.took.mul_f64(1.25);
    }

    fn was_too_late(&mut self) {
        self.took = self.took.mul_f64(0.9);
    }
}

#[test]
fn each_file_that_is_gone_has_its_line_whenever_it_is_interrupted() {
    let yard = yard();
    yard.config(CONFIG);
    let crowd = yard.directory("crowd");
    refill(&yard, 0);
    let mut moments = Moments { seed: 1, took: time_of_a_clean(&yard) };
    let mut in_the_middle = 0;
    for round in 1..=ROUNDS {
        // In turn where names are enough, and where each file is verified.
        let mode = if round % 2 == 0 { 0o777 } else { 0o755 };
        fs::set_permissions(&crowd, Permissions::from_mode(mode)).expect("ours");
        let before = refill(&yard, round);
        // The log of this round alone: all of them would be rotated away, and take long to read.
        File::create(yard.path("cleanup_scheduler.log")).expect("made");
        let (signal, code) = if round % 3 == 0 { (Signal::TERM, 143) } else { (Signal::INT, 130) };
        let child = clean(&yard);
        std::thread::sleep(moments.next());
        // It may have ended by itself.
        _ = kill_process(Pid::from_child(&child), signal);
        let output = child.wait_with_output().expect("our child");
        let left = names(&yard);
        let gone: BTreeSet<&String> = before.difference(&left).collect();
        match (gone.is_empty(), left.is_empty()) {
            (true, _) => moments.was_too_early(),
            (_, true) => moments.was_too_late(),
            _ => {}
        }
        let told = told(&yard);
        let untold: Vec<_> = gone.iter().filter(|name| !told.contains(**name)).collect();
        assert!(untold.is_empty(), "round {round}: {} of {} are not told of: {output:?}", untold.len(), gone.len());
        let out = String::from_utf8_lossy(&output.stdout).into_owned();
        match (output.status.code(), output.status.signal()) {
            (Some(0), None) => assert!(left.is_empty(), "round {round}: {output:?}"),
            (Some(ended), None) => {
                assert_eq!(ended, code, "round {round}: {output:?}");
                if !left.is_empty() {
                    in_the_middle += u32::from(!gone.is_empty());
                    let report = format!("crowd: deleted {} file(s)", gone.len());
                    assert!(out.contains(&report), "round {round}: {report}: {output:?}");
                }
            }
            // Before it had begun to sweep.
            _ => assert!(gone.is_empty(), "round {round}: {output:?}"),
        }
    }
    assert!(in_the_middle >= ROUNDS / 10, "only {in_the_middle} rounds were interrupted in the middle");
}

#[test]
fn the_targets_that_it_did_not_come_to_are_named() {
    let yard = yard();
    yard.config(&format!("{CONFIG}[[target]]\npath = \"other\"\nschedule = \"@yearly\"\ninclude = [\"*\"]\n"));
    let crowd = yard.directory("crowd");
    fs::set_permissions(&crowd, Permissions::from_mode(0o777)).expect("ours");
    yard.file("other/a");
    let err = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    refill(&yard, 0);
    let mut moments = Moments { seed: 2, took: time_of_a_clean(&yard) };
    // It can be done with this target, or with both, before the signal comes, or not have begun.
    let interrupted = (1..=ROUNDS).find_map(|round| {
        yard.file("other/a");
        refill(&yard, round);
        let child = clean(&yard);
        std::thread::sleep(moments.next());
        _ = kill_process(Pid::from_child(&child), Signal::HUP);
        let output = child.wait_with_output().expect("our child");
        if output.status.success() || yard.left("other").is_empty() {
            moments.was_too_late();
        } else if output.status.signal().is_some() {
            moments.was_too_early();
        }
        err(&output).contains("crowd: cancelled: it was interrupted").then_some(output)
    });
    let output = interrupted.expect("one of them is interrupted");
    assert_eq!(output.status.code(), Some(129), "{output:?}");
    let err = err(&output);
    assert!(err.contains("other: not swept, since it was interrupted"), "{err}");
    assert_eq!(yard.left("other"), ["a"]);
}

#[test]
fn a_signal_that_it_was_started_to_ignore_stays_ignored() {
    let yard = yard();
    yard.config(CONFIG);
    yard.directory("crowd");
    refill(&yard, 0);
    let mut command = Command::new("sh");
    command.args(["-c", "trap '' HUP INT && exec \"$0\" clean", JANITOR]);
    command.current_dir(yard.path("")).env("TZ", "UTC").env("HOME", "/nonexistent").stdout(Stdio::null());
    let mut child = command.spawn().expect("sh starts");
    wait_for("the first removal", || (!told(&yard).is_empty()).then_some(()));
    for signal in [Signal::HUP, Signal::INT] {
        _ = kill_process(Pid::from_child(&child), signal);
    }
    assert!(child.wait().expect("our child").success());
    assert!(names(&yard).is_empty());
}
