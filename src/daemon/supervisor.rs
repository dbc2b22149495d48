//! The supervisor: one task, and the only owner of what is due, what runs and what is paused.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::{mpsc, watch};
use tracing::{info, warn};

use super::handle::{Command, Handle, InForce};
use super::memory::Memory;
use super::news::News;
use super::reload::{Answer, Found, Reading, Source, reloader};
use super::runs::{Finished, Runs, Sweeper};
use super::signals::{Signals, Wish};
use super::status::{ConfigStatus, Status};
use super::surface::{LogHealth, Surface};
use crate::agenda::Agenda;
use crate::clock::{self, Mark};
use crate::config::Config;
use crate::history::{Remembered, Store};
use crate::names::TargetName;
use crate::report::{Report, Trigger};
use crate::target::Target;
use crate::units::Span;

/// The longest sleep: a wall clock that was set, or a machine that was suspended, is noticed after this.
const LOOK: Duration = Duration::from_secs(30);

/// How long a shutdown waits for sweeps to stop between two files.
const GRACE: Duration = Duration::from_millis(1800);

/// How many requests to read the config again can wait: more than the admin port has connections.
const REQUESTS: usize = 256;

/// What a daemon starts with.
pub struct Start {
    /// The config in force.
    pub config: Config,
    /// Where it came from, or would come from: the built-in config stands in for a file that is not there.
    pub source: Source,
    /// The text of the file it was made from; `None` when there is none.
    pub text: Option<String>,
    /// The doors around the daemon.
    pub surface: Box<dyn Surface>,
    /// How the log is doing.
    pub log: Arc<LogHealth>,
    /// Does the work.
    pub sweeper: Sweeper,
    /// What must survive the daemon, and what was remembered of the one before.
    pub state: (Store, Remembered),
}

/// How the daemon came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// Everything at work came to rest.
    Cleanly,
    /// Something was still at work when the grace was over, or a second signal forced the end.
    Forced,
}

/// The daemon, ready to run.
pub struct Daemon {
    pub(super) supervisor: Supervisor,
    handle: Handle,
    commands: mpsc::Receiver<Command>,
    pub(super) ended: mpsc::UnboundedReceiver<Finished>,
    reload: ReloadTask,
}

struct ReloadTask {
    source: Source,
    in_force: Reading,
    asked: mpsc::Receiver<Option<Answer>>,
}

/// All scheduling state.
pub(super) struct Supervisor {
    pub(super) config: Config,
    pub(super) agenda: Agenda,
    pub(super) runs: Runs,
    /// Stopped as a whole: targets that a reload adds are paused too.
    pub(super) stopped: bool,
    pub(super) paused: BTreeSet<TargetName>,
    pub(super) last_runs: BTreeMap<TargetName, Arc<Report>>,
    /// The last runs that tell how their targets stand to their limits.
    pub(super) last_measured: BTreeMap<TargetName, Arc<Report>>,
    /// When runs that were a success ended last.
    pub(super) last_successes: BTreeMap<TargetName, Timestamp>,
    /// When targets were last due, or made up for that.
    pub(super) last_due: BTreeMap<TargetName, Timestamp>,
    pub(super) skipped_ticks: BTreeMap<TargetName, u64>,
    pub(super) memory: Memory,
    /// Targets that were due while no daemon was there.
    pub(super) missed: BTreeSet<TargetName>,
    pub(super) about_config: ConfigStatus,
    /// The config file, whether it is there or not.
    pub(super) file: PathBuf,
    pub(super) started: (Timestamp, Mark),
    pub(super) shutting_down: bool,
    pub(super) surface: Box<dyn Surface>,
    pub(super) log: Arc<LogHealth>,
    reload: mpsc::Sender<Option<Answer>>,
    publish: watch::Sender<Arc<Status>>,
}

impl Daemon {
    /// Lays out the agenda.
    #[must_use]
    pub fn new(start: Start) -> Self {
        let Start { config, source, text, surface, log, sweeper, state: (store, remembered) } = start;
        let Remembered {
            last_runs,
            last_successes,
            due,
            stopped,
            paused,
            holds,
            roots,
            stalled,
            newest_run,
            clock_offset,
        } = remembered;
        // When a target was due that was never run is not known: what is remembered as due may be when it was new.
        let scheduled = last_runs.iter().filter(|(_, run)| run.trigger != Trigger::Manual);
        let last_due = scheduled.map(|(name, run)| (name.clone(), run.started)).collect();
        let measured = last_runs.iter().filter(|(_, run)| run.has_measured());
        let last_measured = measured.map(|(name, run)| (name.clone(), run.clone())).collect();
        let (runs, ended) = Runs::new(sweeper, config.settings.sweeps_per_filesystem, Arc::new(store.settler()));
        let (commands, received) = mpsc::channel(64);
        let (reload, asked) = mpsc::channel(REQUESTS);
        let now = clock::wall();
        let about_config = ConfigStatus {
            path: text.is_some().then(|| source.file.clone()),
            generation: 1,
            in_force_since: now,
            rejection: None,
            needs_restart: Vec::new(),
            not_applied: Vec::new(),
        };
        let in_force = text.map_or_else(|| Reading::Absent(String::new()), Reading::Text);
        let started = (now, clock::mark());
        let mut agenda = Agenda::default();
        agenda.look_at_clock(now);
        let supervisor = |publish| Supervisor {
            config,
            agenda,
            runs,
            stopped,
            paused,
            last_runs,
            last_measured,
            last_successes,
            last_due,
            skipped_ticks: BTreeMap::new(),
            memory: Memory::new(store, holds, roots, stalled, (clock_offset, newest_run)),
            missed: BTreeSet::new(),
            about_config,
            file: source.file.clone(),
            started,
            shutting_down: false,
            surface,
            log,
            reload,
            publish,
        };
        let (publish, status) = watch::channel(Arc::new(Status::nothing(started)));
        let mut supervisor = supervisor(publish);
        supervisor.forget_others();
        supervisor.lay_out(now);
        supervisor.find_missed(&due, now);
        supervisor.publish();
        let handle = Handle { commands, status };
        let reload = ReloadTask { source, in_force, asked };
        Self { supervisor, handle, commands: received, ended, reload }
    }

    /// A handle for the doors.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Runs until a signal says stop.
    ///
    /// # Errors
    /// When the system refuses a signal handler.
    pub async fn run(self) -> io::Result<Stopped> {
        let Self { mut supervisor, handle, mut commands, mut ended, reload } = self;
        let mut signals = Signals::listen()?;
        // Only the doors hold handles from here on; without a door, nobody sends commands, and that is no end.
        let _handle = handle;
        let (found, mut news) = mpsc::channel(1);
        let reloader = tokio::spawn(reloader(reload.source, reload.in_force, reload.asked, found));
        supervisor.say_started();
        supervisor.say_remembered();
        loop {
            let sleep = supervisor.tick(clock::wall());
            supervisor.publish();
            supervisor.tell_begun();
            tokio::select! {
                wish = signals.next() => match wish {
                    Wish::Stop => break,
                    Wish::Reload => supervisor.on_hangup(),
                },
                Some(command) = commands.recv() => supervisor.obey(command),
                Some(finished) = ended.recv() => supervisor.note_end(finished),
                Some(found) = news.recv() => supervisor.on_found(found),
                () = tokio::time::sleep(sleep) => {}
            }
        }
        reloader.abort();
        Ok(supervisor.shut_down(&mut signals, &mut commands, &mut ended).await)
    }
}

impl Supervisor {
    /// Puts what is enabled and not paused on the agenda, and takes the rest off.
    pub(super) fn lay_out(&mut self, now: Timestamp) {
        let mut wanted = BTreeSet::new();
        for target in &self.config.targets {
            if target.enabled && !self.paused.contains(&target.name) {
                self.agenda.put(&target.name, &target.schedule, &target.zone.tz, now);
                wanted.insert(target.name.clone());
            }
        }
        self.agenda.retain(|name| wanted.contains(name));
    }

    fn publish(&self) {
        self.publish.send_replace(Arc::new(Status::of(self)));
    }

    /// Starts what is due; says how long nothing will be.
    pub(super) fn tick(&mut self, now: Timestamp) -> Duration {
        self.surface.look_after_log();
        if let Some(back) = self.agenda.look_at_clock(now) {
            warn!("The wall clock was set back by {}; next runs are counted anew where they follow it", Span(back));
        }
        for name in std::mem::take(&mut self.missed) {
            self.start_scheduled(&name, Trigger::CatchUp, now);
        }
        for name in self.agenda.take_due(now) {
            self.memory.store.due(&name, now);
            self.start_scheduled(&name, Trigger::Schedule, now);
        }
        let next = self.agenda.next().and_then(|next| Duration::try_from(next.duration_since(now)).ok());
        next.unwrap_or(LOOK).min(LOOK)
    }

    fn start_scheduled(&mut self, name: &TargetName, trigger: Trigger, now: Timestamp) {
        let Some(target) = self.target(name.as_str()) else { return };
        self.last_due.insert(name.clone(), now);
        if let Some(busy) = self.runs.busy(name) {
            let skipped = self.skipped_ticks.entry(name.clone()).or_default();
            *skipped += 1;
            warn!(target_name = %name, "Skipped a scheduled run: run {} is still at work ({skipped} so far)", busy.run);
            return;
        }
        let protected = self.config.protected.clone();
        let guards = self.memory.guards(name);
        self.runs.begin(target, protected, trigger, false, Vec::new(), guards);
    }

    pub(super) fn target(&self, name: &str) -> Option<Arc<Target>> {
        self.config.targets.iter().find(|target| target.name.as_str() == name).cloned()
    }

    fn obey(&mut self, command: Command) {
        // Whoever asked may have stopped waiting for the answer; what was asked is done all the same.
        match command {
            Command::Manual { target, dry_run, answer } => drop(answer.send(self.manual(target.as_deref(), dry_run))),
            Command::Start { target, answer } => drop(answer.send(self.start(target.as_deref()))),
            Command::Stop { target, at_work, answer } => drop(answer.send(self.stop(target.as_deref(), at_work))),
            Command::Release { run, answer } => drop(answer.send(self.release(&run))),
            Command::InForce { answer } => {
                let Config { targets, sharing, protected, .. } = self.config.clone();
                drop(answer.send(Ok(InForce { targets, sharing, protected })));
            }
            Command::Guards { target, answer } => drop(answer.send(Ok(self.memory.guards(&target)))),
            Command::Reload { answer } => drop(self.reload.try_send(Some(answer))),
        }
    }

    fn on_hangup(&mut self) {
        self.surface.reopen_log();
        info!("SIGHUP: reading the config again");
        // A storm of signals leaves room for requests; those that wait already read the file after this one.
        if self.reload.capacity() > REQUESTS / 2 {
            drop(self.reload.try_send(None));
        }
    }

    fn on_found(&mut self, found: Found) {
        let Found { reading, checked, answer } = found;
        let outcome = self.take_over(&reading, checked);
        if let Some(answer) = answer {
            drop(answer.send(outcome));
        }
    }

    pub(super) fn note_end(&mut self, finished: Finished) {
        let report = self.runs.end(finished);
        self.note_report(report);
    }

    /// Tells the doors of the runs that have begun.
    fn tell_begun(&mut self) {
        for order in self.runs.take_begun() {
            self.surface.tell(News::RunStarted(&order));
        }
    }

    /// Keeps the last report of a target that is still there.
    pub(super) fn note_report(&mut self, report: Arc<Report>) {
        self.tell_begun();
        self.memory.ended(&report);
        self.surface.tell(News::RunFinished(&report));
        if self.target(report.target.as_str()).is_some() {
            if report.is_success() {
                self.last_successes.insert(report.target.clone(), report.ended());
            }
            if report.has_measured() {
                self.last_measured.insert(report.target.clone(), report.clone());
            }
            self.last_runs.insert(report.target.clone(), report);
        }
    }

    fn say_started(&self) {
        const SAID: usize = 20;
        info!("Background cleanup scheduler started successfully");
        for target in self.config.targets.iter().take(SAID) {
            let next = self.agenda.next_of(&target.name);
            let next = next.map(|next| {
                next.to_zoned_datetime(target.zone.tz.clone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
            });
            let next = next.as_deref().unwrap_or(if target.enabled { "never" } else { "never, it is disabled" });
            info!(target_name = %target.name, "Next run: {next} ({})", target.schedule.text());
        }
        if let Some(more) = self.config.targets.len().checked_sub(SAID).filter(|more| *more > 0) {
            info!("… and {more} more targets");
        }
    }

    /// Takes in nothing more, stops the sweeps between two files, waits for them a little.
    async fn shut_down(
        &mut self,
        signals: &mut Signals,
        commands: &mut mpsc::Receiver<Command>,
        ended: &mut mpsc::UnboundedReceiver<Finished>,
    ) -> Stopped {
        info!("Shutting down");
        self.shutting_down = true;
        self.runs.cancel_all("the daemon shuts down");
        self.publish();
        commands.close();
        let grace = tokio::time::sleep(GRACE);
        tokio::pin!(grace);
        while !self.runs.is_idle() {
            tokio::select! {
                Some(finished) = ended.recv() => self.note_end(finished),
                wish = signals.next() => if wish == Wish::Stop {
                    warn!("Second signal: not waiting for what is at work");
                    return self.forced();
                },
                () = &mut grace => return self.forced(),
            }
            self.publish();
        }
        info!("Background cleanup scheduler stopped");
        Stopped::Cleanly
    }

    fn forced(&self) -> Stopped {
        let late: Vec<&str> = self.runs.at_work().map(TargetName::as_str).collect();
        warn!("Ending while sweeps are still at work: {}", late.join(", "));
        Stopped::Forced
    }
}
