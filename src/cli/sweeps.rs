//! `janitor preview` and `janitor clean`: sweeps in this process.

use std::fmt;
use std::io::IsTerminal;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressState, ProgressStyle};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json};

use super::args::{Clean, Client, Preview};
use super::client::{Daemon, Failure, block_on, path, print, show_runs};
use super::interrupt::Interrupts;
use super::load::{Loaded, NO_TARGET, complain_as_user, foreign_state, load, load_silently};
use super::output::{self, complain};
use super::{Done, Exit};
use crate::admin::{Listed, Previewed, Run};
use crate::clock;
use crate::config::{LogSettings, Rotation, Settings};
use crate::daemon::{LogHealth, guards_of};
use crate::history::{self, Known, TargetLock, Turn};
use crate::logging::{self, Terminal};
use crate::names::{OneLine, RunId};
use crate::report::{Outcome, Remark, Report, Trigger};
use crate::sweep::{self, Control, Event, Guards, LogLines, Order, Progress};
use crate::target::Target;
use crate::units::{self, Bytes, Span};

pub(super) fn order(loaded: &Loaded, target: &Arc<Target>, dry_run: bool) -> Order {
    let now = clock::wall();
    Order {
        run: RunId::new(now),
        target: target.clone(),
        trigger: Trigger::Manual,
        dry_run,
        protected: loaded.config.protected.clone(),
        now,
        guards: Guards::default(),
    }
}

/// Returns a report in the form of the admin port.
pub(super) fn as_json(report: &Report, zone: &TimeZone) -> Value {
    json!(Run::full(report, zone))
}

/// Reports why a run was not done completely.
fn tell_failure(report: &Report) {
    if let Some(message) = report.message.as_deref().filter(|_| report.outcome != Outcome::Done) {
        complain(format_args!("{}: {}: {message}", report.target, report.outcome));
    }
    for (class, failure) in report.failures.iter() {
        let some = failure.examples.first().map(String::as_str).unwrap_or_default();
        complain(format_args!("{}: {class}: {} time(s), first at {some}", report.target, failure.count));
    }
}

/// Returns the guards of a run of a target, as in the daemon. Where the state cannot be read, that is reported, and
/// nothing is known.
fn guards(loaded: &Loaded, target: &Target) -> Guards {
    let known = history::known(&loaded.config.settings.state_dir, &target.name).unwrap_or_else(|why| {
        complain(format_args!(
            "what is known of `{}` from its last runs cannot be read: {}",
            target.name,
            OneLine(&why)
        ));
        Known::default()
    });
    guards_of(known, clock::now())
}

/// Reports the limits that a target is over.
fn tell_over_limits(report: &Report) {
    for over in report.over_limits() {
        complain(format_args!("{}: over its limit: {}", report.target, OneLine(&over)));
    }
}

fn exit(reports: &[Report]) -> Done {
    let any = |wanted: fn(Outcome) -> bool| reports.iter().any(|report| wanted(report.outcome));
    if any(|outcome| !matches!(outcome, Outcome::Done | Outcome::Held)) {
        return Err(Exit::Failed);
    }
    if any(|outcome| outcome == Outcome::Held) { Err(Exit::Held) } else { Ok(()) }
}

/// Prints what would go, and why.
pub(super) fn preview(config: Option<&Path>, args: &Preview) -> Done {
    let loaded = load(config)?;
    let now = moment(args)?;
    let mut reports = Vec::new();
    let mut told = Vec::new();
    for target in loaded.targets(&args.targets)? {
        let mut order = Order { now, ..order(&loaded, &target, true) };
        order.guards = Guards { clock: None, ..guards(&loaded, &target) };
        let listed = args.kept.unwrap_or_default();
        let (report, seen) = if args.printed.json {
            let zone = &loaded.config.settings.zone.tz;
            let (report, seen) = Previewed::of(&order, &Control::default(), listed, usize::MAX, zone);
            (report, json!(seen))
        } else {
            (preview_text(&order, listed)?, Value::Null)
        };
        told.push(seen);
        reports.push(report);
    }
    if args.printed.json {
        let done = exit(&reports).is_ok();
        output::json(&json!({ "success": done, "targets": told }))?;
    }
    exit(&reports)
}

/// Returns the time that a preview takes for now.
fn moment(args: &Preview) -> Result<Timestamp, Exit> {
    let now = clock::wall();
    let wrong = |what: &str, why: &dyn std::fmt::Display| {
        complain(format_args!("{what}: {why}"));
        Exit::Usage
    };
    match (&args.at, &args.ahead) {
        (Some(at), _) => super::next::moment(at),
        (None, Some(ahead)) => {
            let ahead = units::parse_duration(ahead).map_err(|error| wrong("--in", &error))?;
            now.checked_add(ahead).map_err(|error| wrong("--in", &error))
        }
        (None, None) => Ok(now),
    }
}

fn preview_text(order: &Order, listed: Listed) -> Result<Report, Exit> {
    let target = &order.target;
    output::foreign(&format!("{}: {}", target.name, target.path.to_string_lossy()))?;
    let control = Control::default();
    let printed = Mutex::new(Ok(()));
    let report = sweep::preview(order, &control, &|event| {
        let line = match event {
            Event::WouldRemove { at, facts, reason } => {
                let would = reason.action(order.target.action.kind()).told(true);
                format!("  {would}  {at}  ({}, {reason})", Bytes(facts.size))
            }
            Event::WouldRemoveDirectory { at, reason } => format!("  would delete directory  {at}  ({reason})"),
            Event::Stays { at, because } if listed.has(because) => format!("  keeps  {at}  ({because})"),
            Event::SkippedDirectory { at, because } => format!("  skips directory  {at}  ({because})"),
            _ => return,
        };
        let mut printed = printed.lock().unwrap_or_else(PoisonError::into_inner);
        if printed.is_ok() {
            *printed = output::line(line);
        }
        if printed.is_err() {
            control.cancel("nobody reads on");
        }
    });
    printed.into_inner().unwrap_or_else(PoisonError::into_inner)?;
    let counts = &report.counts;
    output::line(format_args!(
        "  {} file(s) would go and free {}{}; {} stay, {} directories skipped",
        counts.deleted,
        counts.about(),
        Bytes(counts.freed),
        counts.kept,
        counts.skipped_directories
    ))?;
    for remark in report.remarks.iter().map(Remark::text).chain(report.hints.iter().map(String::as_str)) {
        output::line(format_args!("  note: {}", OneLine(remark)))?;
    }
    if let (Some(message), Outcome::Done) = (&report.message, report.outcome) {
        output::line(format_args!("  {message}"))?;
    }
    tell_failure(&report);
    Ok(report)
}

/// Sweeps the targets now.
pub(super) fn clean(config: Option<&Path>, args: &Clean) -> Done {
    let loaded = if args.quiet { load_silently(config, |_| {})? } else { load(config)? };
    if args.quiet && loaded.config.targets.is_empty() {
        complain(NO_TARGET);
    }
    let targets = loaded.targets(&args.targets)?;
    if let Some(disabled) = targets.iter().find(|target| !target.enabled) {
        complain(format_args!("the target `{}` is not enabled", disabled.name));
        return Err(Exit::Failed);
    }
    let state_dir = &loaded.config.settings.state_dir;
    if let Some(owner) = foreign_state(state_dir) {
        return clean_in_daemon(config, args, |failure| complain_as_user(state_dir, owner, &failure.message));
    }
    // Rotating the log is the business of the daemon, which may run as somebody else.
    let settings = &Settings {
        log: LogSettings { rotation: Rotation::Never, max_size: None, ..loaded.config.settings.log.clone() },
        ..loaded.config.settings.clone()
    };
    let health = Arc::new(LogHealth::default());
    // Without its log a run by hand is still a run. That the file cannot be written has been reported.
    drop(logging::install(&settings.log, &settings.zone.tz, health, Terminal::Off));
    let interrupts = Interrupts::catch().map_err(|error| {
        complain(format_args!("cannot listen for signals: {error}"));
        Exit::Failed
    })?;
    let mut reports = Vec::new();
    // The reader may have gone; the runs that were asked for are done all the same.
    let mut printed = Ok(());
    for target in &targets {
        if interrupts.exit().is_some() {
            complain(format_args!("{}: not swept, since it was interrupted", target.name));
            continue;
        }
        let state = &settings.state_dir;
        let mut order = order(&loaded, target, args.dry_run);
        order.guards = guards(&loaded, target);
        let report = match turn(state, &order) {
            Ok(_lock) => clean_one(&order, args, &interrupts.control()),
            Err(report) => *report,
        };
        tell_failure(&report);
        tell_over_limits(&report);
        if !report.skipped
            && let Err(error) = history::add(state, &report, clock::wall())
        {
            complain(format_args!("the history does not have this run: {}", OneLine(&error)));
        }
        if !args.quiet && !args.printed.json {
            printed = printed.and(output::line(summary(&report)));
        }
        reports.push(report);
    }
    if args.printed.json {
        let runs: Vec<Value> = reports.iter().map(|report| as_json(report, &settings.zone.tz)).collect();
        printed = output::json(&json!({ "success": exit(&reports).is_ok(), "runs": runs }));
    }
    interrupts.exit().map_or(Ok(()), Err).and(exit(&reports)).and(printed)
}

/// Lets the daemon sweep, since the state belongs to another user. Where no daemon answers, that is reported with
/// `tell`.
fn clean_in_daemon(config: Option<&Path>, args: &Clean, tell: impl Fn(&Failure)) -> Done {
    let daemon = Daemon::find(config, &Client { admin: None, printed: args.printed })?;
    let asked: Vec<_> = match args.targets.as_slice() {
        [] => vec![None],
        targets => targets.iter().map(|target| Some(("target", target.as_str()))).collect(),
    };
    let mut done = Ok(());
    for target in asked {
        let parameters: Vec<_> = target.into_iter().chain(args.dry_run.then_some(("dry_run", "true"))).collect();
        // A run may take hours.
        let answer = block_on(async { Ok(daemon.ask("POST", &path("/cleanup/manual", &parameters), None).await) })?;
        let answer = answer.map_err(|failure| {
            tell(&failure);
            Exit::Failed
        })?;
        let show = |answer: &Value| if args.quiet { Ok(()) } else { show_runs(answer) };
        done = done.and(print(&answer, args.printed.json, show));
    }
    done
}

/// Takes the lock of an order's target; a dry run needs none.
fn turn(state: &Path, order: &Order) -> Result<Option<TargetLock>, Box<Report>> {
    if order.is_dry() {
        return Ok(None);
    }
    let who = format!("`janitor clean` (process {}), run {}", std::process::id(), order.run);
    match history::lock_target(state, &order.target.name, &who) {
        Ok(Turn::Ours(lock)) => Ok(Some(lock)),
        Ok(Turn::Busy(who)) => Err(Box::new(order.skipped(&who))),
        Err(why) => {
            complain(format_args!("a run of another process is not kept out: {}", OneLine(&why)));
            Ok(None)
        }
    }
}

/// Shows how far a sweep is, by counts that grow: how much there is to do is not known before it is done.
fn bar(order: &Order, progress: Arc<Progress>) -> ProgressBar {
    let bar = ProgressBar::new_spinner();
    let target = order.target.name.clone();
    let counts = move |_: &ProgressState, out: &mut dyn fmt::Write| {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let (examined, deleted) = (count(&progress.examined), count(&progress.deleted));
        // A terminal that cannot be written to shows nothing, and that is all.
        _ = match count(&progress.surveyed) {
            0 => write!(out, "{target}: {examined} examined, {deleted} deleted"),
            surveyed => write!(out, "{target}: {surveyed} surveyed, {examined} examined, {deleted} deleted"),
        };
    };
    if let Ok(style) = ProgressStyle::with_template("{spinner} {counts}") {
        bar.set_style(style.with_key("counts", counts));
    }
    bar.enable_steady_tick(Duration::from_millis(100));
    bar
}

fn clean_one(order: &Order, args: &Clean, control: &Control) -> Report {
    let shown = !args.quiet && !args.printed.json && std::io::stderr().is_terminal();
    let progress = if shown { bar(order, control.progress.clone()) } else { ProgressBar::hidden() };
    let lines = LogLines::begin(order);
    let report = sweep::sweep(order, control, &|event| lines.see(event));
    lines.end(&report, |_| true);
    progress.finish_and_clear();
    report
}

fn summary(report: &Report) -> String {
    let counts = &report.counts;
    let deleted = report.action.told(report.dry_run);
    let message = report.message.as_deref().filter(|_| report.outcome == Outcome::Done);
    let remark = message.map(|message| format!(" ({message})")).unwrap_or_default();
    format!(
        "{}: {deleted} {} file(s), {} failed, {} stay, freed {}{} in {}{remark}",
        report.target,
        counts.deleted,
        counts.failed,
        counts.kept,
        counts.about(),
        Bytes(counts.freed),
        Span(report.took)
    )
}
