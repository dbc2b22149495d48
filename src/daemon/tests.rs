mod setup;

use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::mpsc::UnboundedReceiver;

use super::reload::Reading;
use super::supervisor::{Effect, Event, Supervisor};
use super::sweeps::Sweeps;
use super::*;
use crate::clock::{self, Moment};
use crate::config::Config;
use crate::names::TargetName;
use crate::report::{Outcome, Report, Trigger};
use crate::sweep::{Control, Order};
use crate::target::Target;
pub(super) use setup::{beginning, config, target};

/// A gate that sweeps wait at, so that a test decides when they end.
#[derive(Default)]
struct Gate(Mutex<bool>, Condvar);

impl Gate {
    fn open(&self) {
        *self.0.lock().expect("not poisoned") = true;
        self.1.notify_all();
    }

    fn pass(&self, control: &Control) {
        let mut open = self.0.lock().expect("not poisoned");
        while !*open && control.cancelled().is_none() {
            open = self.1.wait_timeout(open, Duration::from_millis(5)).expect("not poisoned").0;
        }
    }
}

fn gated(gate: &Arc<Gate>) -> Sweeper {
    let gate = gate.clone();
    Arc::new(move |order: &Order, control: &Control| {
        gate.pass(control);
        match control.cancelled() {
            Some(why) => order.not_run(Outcome::Cancelled, why),
            None => Report { message: None, ..order.not_run(Outcome::Done, "") },
        }
    })
}

/// A supervisor with threads, and no shell.
struct Tested {
    supervisor: Supervisor,
    sweeps: Sweeps,
    ended: UnboundedReceiver<Report>,
}

impl std::ops::Deref for Tested {
    type Target = Supervisor;

    fn deref(&self) -> &Supervisor {
        &self.supervisor
    }
}

impl std::ops::DerefMut for Tested {
    fn deref_mut(&mut self) -> &mut Supervisor {
        &mut self.supervisor
    }
}

fn daemon(targets: Vec<Arc<Target>>, sweeper: Sweeper) -> Tested {
    let (sweeps, ended) = Sweeps::new(sweeper, crate::history::Settler::default());
    Tested { supervisor: Supervisor::new(beginning(config(targets)), clock::now()), sweeps, ended }
}

impl Tested {
    fn tick_at(&mut self, wall: Timestamp) {
        self.handle(Event::Tick, Moment { wall, since_boot: clock::since_boot() });
    }

    /// Starts what is to be started.
    fn launch(&mut self) {
        for effect in self.supervisor.take_effects() {
            if let Effect::Launch(order, control) = effect {
                self.sweeps.launch(*order, control);
            }
        }
    }

    async fn end_one(&mut self) {
        self.launch();
        let report = tokio::time::timeout(Duration::from_secs(20), self.ended.recv()).await;
        let report = report.expect("a sweep ends in time").expect("there is a sender");
        self.handle(Event::Ended(report), clock::now());
    }
}

fn run<T>(test: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(test)
}

fn state(supervisor: &Supervisor, name: &str) -> TargetStatus {
    let status = Status::of(supervisor);
    status.targets.into_iter().find(|target| target.name.as_str() == name).expect("it is there")
}

#[test]
fn one_sweep_of_a_target_at_a_time_and_a_tick_meanwhile_is_counted() {
    run(async {
        let gate = Arc::new(Gate::default());
        let mut supervisor = daemon(vec![target("a", "0 2 * * *")], gated(&gate));
        let due = supervisor.agenda.next().expect("scheduled");
        supervisor.tick_at(due);
        assert_eq!(state(&supervisor, "a").state, TargetState::Running);
        let refused = supervisor.manual(None, false).expect_err("it runs");
        let running = state(&supervisor, "a").running.expect("it runs").run;
        let name = TargetName::new("a").expect("a name");
        assert_eq!(refused, Refusal::Running(vec![Busy { target: name, run: running.clone() }]));
        let again = supervisor.agenda.next().expect("scheduled");
        assert!(again > due);
        supervisor.tick_at(again);
        assert_eq!(state(&supervisor, "a").skipped_ticks, 1);
        gate.open();
        supervisor.end_one().await;
        let status = state(&supervisor, "a");
        let report = status.last_run.expect("it ran");
        assert_eq!((status.state, report.outcome), (TargetState::Scheduled, Outcome::Done));
        assert_eq!((&report.run, report.trigger), (&running, Trigger::Schedule));
    });
}

#[test]
fn a_panic_ends_that_sweep_only() {
    run(async {
        let sweeper: Sweeper = Arc::new(|order, _| match order.target.name.as_str() {
            "bad" => std::panic::panic_any("out of cheese"),
            _ => Report { message: None, ..order.not_run(Outcome::Done, "") },
        });
        let targets = vec![target("bad", "0 2 * * *"), target("good", "0 2 * * *")];
        let mut supervisor = daemon(targets, sweeper);
        let runs = supervisor.manual(None, false).expect("both begin");
        assert_eq!(runs.started.len(), 2);
        supervisor.end_one().await;
        supervisor.end_one().await;
        let mut outcomes = Vec::new();
        for run in runs.started {
            let report = run.done.await.expect("reported");
            outcomes.push((report.outcome, report.message.clone().unwrap_or_default()));
        }
        assert_eq!(outcomes[0].0, Outcome::Failed);
        // The words may name a file, and the message is for everybody.
        let message = &outcomes[0].1;
        assert!(message.contains("the log has its words") && !message.contains("out of cheese"), "{outcomes:?}");
        assert_eq!(outcomes[1].0, Outcome::Done);
        assert!(supervisor.manual(Some("bad"), false).is_ok(), "it may be tried again");
    });
}

#[test]
fn more_sweeps_than_threads_wait_and_all_run() {
    run(async {
        let gate = Arc::new(Gate::default());
        let targets = (0..40).map(|number| target(&format!("t{number}"), "0 2 * * *")).collect();
        let mut supervisor = daemon(targets, gated(&gate));
        assert_eq!(supervisor.manual(None, true).expect("all begin").started.len(), 40);
        let states: Vec<_> = Status::of(&supervisor).targets.iter().map(|target| target.state).collect();
        let running = states.iter().filter(|state| **state == TargetState::Running).count();
        assert!((4..=8).contains(&running), "{running}");
        assert_eq!(states.iter().filter(|state| **state == TargetState::Queued).count(), 40 - running);
        gate.open();
        for _ in 0..40 {
            supervisor.end_one().await;
        }
        assert!(supervisor.runs.is_idle());
        assert!(Status::of(&supervisor).targets.iter().all(|target| target.last_run.is_some()));
    });
}

#[test]
fn a_stop_is_in_time_for_what_waits_for_a_thread_and_leaves_alone_what_is_at_work() {
    run(async {
        let gate = Arc::new(Gate::default());
        let targets = (0..40).map(|number| target(&format!("t{number}"), "0 2 * * *")).collect();
        let mut supervisor = daemon(targets, gated(&gate));
        let due = supervisor.agenda.next().expect("scheduled");
        supervisor.tick_at(due);
        let in_state = |supervisor: &Supervisor, wanted| {
            Status::of(supervisor).targets.iter().filter(|target| target.state == wanted).count()
        };
        let running = in_state(&supervisor, TargetState::Running);
        assert!(running >= 1 && in_state(&supervisor, TargetState::Queued) == 40 - running);
        supervisor.stop(None, AtWork::GoesOn).expect("stopped");
        assert_eq!(in_state(&supervisor, TargetState::Queued), 0);
        supervisor.launch();
        gate.open();
        for _ in 0..running {
            supervisor.end_one().await;
        }
        assert!(supervisor.runs.is_idle());
        let last = Status::of(&supervisor).targets.into_iter().filter_map(|target| target.last_run);
        let done = last.filter(|report| report.outcome == Outcome::Done).count();
        assert_eq!(done, running);
    });
}

#[test]
fn a_stop_takes_everything_off_the_agenda_and_manual_still_works() {
    run(async {
        let gate = Arc::new(Gate::default());
        gate.open();
        let targets = vec![target("a", "0 2 * * *"), target("b", "0 3 * * *")];
        let mut supervisor = daemon(targets, gated(&gate));
        assert_eq!(supervisor.stop(None, AtWork::GoesOn), Ok(Switched::Changed));
        assert_eq!(supervisor.stop(None, AtWork::GoesOn), Ok(Switched::Already));
        let status = Status::of(&supervisor);
        assert_eq!((status.is_running, status.next_run(), status.total_jobs()), (false, None, 2));
        assert_eq!(state(&supervisor, "a").state, TargetState::Paused);
        supervisor.manual(Some("a"), false).expect("manual works");
        supervisor.end_one().await;
        assert_eq!(supervisor.start(Some("b")), Ok(Switched::Changed));
        let status = Status::of(&supervisor);
        assert!(status.is_running && status.next_run().is_some());
        assert_eq!(state(&supervisor, "a").state, TargetState::Paused);
        assert_eq!(supervisor.start(None), Ok(Switched::Changed));
        assert_eq!(supervisor.start(None), Ok(Switched::Already));
        assert_eq!(state(&supervisor, "a").state, TargetState::Scheduled);
        assert_eq!(supervisor.stop(Some("nobody"), AtWork::GoesOn), Err(Refusal::UnknownTarget("nobody".into())));
    });
}

fn take_over(supervisor: &mut Supervisor, config: Config) -> Result<Reloaded, Refusal> {
    supervisor.take_over(&Reading::Text("some text".into()), Some(Ok(config)))
}

#[test]
fn a_reload_leaves_alone_what_did_not_change() {
    run(async {
        let gate = Arc::new(Gate::default());
        let targets = ["same", "changed", "removed"].map(|name| target(name, "0 2 * * *"));
        let mut supervisor = daemon(targets.to_vec(), gated(&gate));
        let runs = supervisor.manual(None, false).expect("all begin").started;
        let next = state(&supervisor, "same").next_run;
        let new = vec![target("same", "0 2 * * *"), target("changed", "0 4 * * *"), target("added", "0 5 * * *")];
        let reloaded = take_over(&mut supervisor, config(new)).expect("good");
        assert_eq!((reloaded.added, reloaded.changed, reloaded.removed, reloaded.generation), (1, 1, 1, 2));
        // The gate is closed, so only what was cancelled can end.
        supervisor.end_one().await;
        supervisor.end_one().await;
        assert_eq!(state(&supervisor, "same").state, TargetState::Running);
        assert_eq!(state(&supervisor, "same").next_run, next);
        assert_eq!(supervisor.about_config.needs_restart, ["admin.listen"]);
        gate.open();
        supervisor.end_one().await;
        let mut outcomes = Vec::new();
        for run in runs {
            outcomes.push(run.done.await.expect("reported").outcome);
        }
        assert_eq!(outcomes, [Outcome::Done, Outcome::Cancelled, Outcome::Cancelled]);
        assert_eq!(Status::of(&supervisor).targets.len(), 3);
    });
}

#[test]
fn what_is_not_fit_changes_nothing_and_a_good_one_always_loads() {
    run(async {
        let mut supervisor = daemon(vec![target("a", "0 2 * * *")], gated(&Arc::default()));
        let none = Config { names_targets: false, ..config(vec![target("marked_images", "0 2 * * *")]) };
        assert!(matches!(take_over(&mut supervisor, none), Err(Refusal::Rejected(_))));
        let bad = supervisor.take_over(&Reading::Text("x".into()), Some(Err("line 1".into())));
        assert!(matches!(bad, Err(Refusal::Rejected(_))));
        let gone = supervisor.take_over(&Reading::Absent("it is gone".into()), None);
        assert!(matches!(gone, Err(Refusal::Rejected(_))));
        assert_eq!(Status::of(&supervisor).config.rejection.expect("kept").problems, ["it is gone"]);
        assert_eq!(state(&supervisor, "a").state, TargetState::Scheduled);
        assert_eq!(supervisor.about_config.generation, 1);
        let same = take_over(&mut supervisor, config(vec![target("a", "0 2 * * *")])).expect("good");
        assert!(!same.any_change);
        assert_eq!(Status::of(&supervisor).config.rejection, None);
        let new = take_over(&mut supervisor, config(vec![target("a", "0 3 * * *")])).expect("good");
        assert_eq!((new.changed, new.generation), (1, 2));
    });
}

#[test]
fn a_file_that_appears_replaces_the_built_in_config_and_is_missed_when_it_goes() {
    run(async {
        let mut supervisor = daemon(vec![target("marked_images", "0 2 * * *")], gated(&Arc::default()));
        supervisor.about_config.path = None;
        supervisor.config.names_targets = false;
        let absent = Reading::Absent("it is gone".into());
        assert!(supervisor.take_over(&absent, None).is_ok(), "there never was one");
        assert_eq!(Status::of(&supervisor).config.rejection, None);
        take_over(&mut supervisor, config(vec![target("a", "0 3 * * *")])).expect("good");
        assert!(Status::of(&supervisor).config.path.is_some());
        assert!(supervisor.take_over(&absent, None).is_err());
        assert!(Status::of(&supervisor).config.rejection.is_some());
    });
}

#[test]
fn a_target_that_is_added_while_all_is_stopped_stays_paused() {
    run(async {
        let mut supervisor = daemon(vec![target("a", "0 2 * * *")], gated(&Arc::default()));
        supervisor.stop(None, AtWork::GoesOn).expect("stopped");
        let off = Arc::new(Target { enabled: false, ..(*target("off", "0 2 * * *")).clone() });
        let added = vec![target("a", "0 2 * * *"), target("b", "0 2 * * *"), off];
        take_over(&mut supervisor, config(added)).expect("good");
        assert_eq!(state(&supervisor, "b").state, TargetState::Paused);
        let enabled = vec![target("a", "0 2 * * *"), target("b", "0 2 * * *"), target("off", "0 2 * * *")];
        take_over(&mut supervisor, config(enabled)).expect("good");
        assert_eq!(state(&supervisor, "off").state, TargetState::Paused, "enabled while all is stopped");
        assert_eq!(Status::of(&supervisor).next_run(), None);
    });
}

#[test]
fn the_sleep_is_short_enough_to_notice_a_clock_that_was_set() {
    run(async {
        let mut supervisor = daemon(vec![target("a", "0 2 * * *")], gated(&Arc::default()));
        let now: Timestamp = supervisor.started.0;
        supervisor.tick_at(now);
        assert!(supervisor.sleep() <= Duration::from_secs(30));
        let next = supervisor.agenda.next().expect("scheduled");
        let just_before = next.checked_sub(jiff::SignedDuration::from_millis(40)).expect("in range");
        supervisor.tick_at(just_before);
        assert_eq!(supervisor.sleep(), Duration::from_millis(40));
    });
}
