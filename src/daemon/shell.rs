//! The shell around the supervisor: it waits for clocks, signals, commands, sweeps and files, passes the events to the
//! supervisor, and carries out the effects.

use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tracing::{error, info, warn};

use super::handle::{Command, Handle};
use super::reader::{ConfigReader, ReaderNews};
use super::reload::{Known, Reading, Source, zone_names_of};
use super::signals::{Signals, Wish};
use super::status::{ConfigStatus, Status};
use super::supervisor::{Beginning, Effect, Event, Supervisor};
use super::surface::{LogHealth, Surface};
use super::sweeps::{Sweeper, Sweeps};
use crate::clock;
use crate::config::Config;
use crate::fsys;
use crate::history::{self, Opened, Settler, Store};
use crate::names::TargetName;
use crate::report::Report;

/// Time that a shutdown waits for sweeps to stop between two files.
const GRACE: Duration = Duration::from_millis(1800);

/// Initial state of a daemon.
pub struct Start {
    /// Config in force.
    pub config: Config,
    /// Origin of the config. The built-in config stands in for a file that does not exist.
    pub source: Source,
    /// Text of the file from which the config was made; `None` when there is none.
    pub text: Option<String>,
    /// Frontends of the daemon.
    pub surface: Box<dyn Surface>,
    /// Health of the log.
    pub log: Arc<LogHealth>,
    /// Function that carries out sweeps.
    pub sweeper: Sweeper,
    /// Store of the state that survives the daemon, with the state of the earlier one.
    pub state: Opened,
}

/// Way in which the daemon ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// All sweeps came to rest.
    Cleanly,
    /// A sweep was still at work at the end of the grace, a second signal forced the end, or the supervisor panicked.
    Forced,
}

/// The daemon, ready to run.
pub struct Daemon {
    supervisor: Supervisor,
    handle: Handle,
    commands: mpsc::Receiver<Command>,
    ended: mpsc::UnboundedReceiver<Report>,
    state: mpsc::UnboundedReceiver<history::Event>,
    hands: Hands,
    source: Source,
    in_force: Known,
}

/// Means of carrying out effects.
struct Hands {
    sweeps: Sweeps,
    store: Store,
    publish: watch::Sender<Arc<Status>>,
}

impl Hands {
    fn carry_out(&self, supervisor: &mut Supervisor, reader: Option<&ConfigReader>) {
        self.sweeps.retry();
        for effect in supervisor.take_effects() {
            match effect {
                Effect::Launch(order, control) => self.sweeps.launch(*order, control),
                Effect::Remember(change) => self.store.change(change),
                Effect::Keep(stops, number) => self.store.keep(stops, number),
                Effect::Read(answer) => {
                    if let Some(reader) = reader {
                        reader.ask(answer);
                    }
                }
            }
        }
        self.publish.send_replace(Arc::new(supervisor.status()));
    }
}

impl Daemon {
    /// Lays out the agenda, and starts the thread of the state.
    ///
    /// # Errors
    /// Fails when the system has no thread.
    pub fn new(start: Start) -> io::Result<Self> {
        let Start { config, source, text, surface, log, sweeper, state } = start;
        let (word, remembered, health) = (state.word.clone(), state.remembered.clone(), state.health());
        let (told, heard) = mpsc::unbounded_channel();
        // The supervisor outlives the thread.
        let store = state.start(move |event| drop(told.send(event)))?;
        let (now, mark) = (clock::now(), clock::mark());
        let about_config = ConfigStatus {
            path: text.is_some().then(|| source.file.clone()),
            generation: 1,
            in_force_since: now.wall,
            rejection: None,
            needs_restart: Vec::new(),
            not_applied: Vec::new(),
        };
        let zones = zone_names_of(&config);
        let file = source.file.clone();
        let beginning = Beginning { config, about_config, file, surface, log, word, remembered, health, mark };
        let supervisor = Supervisor::new(beginning, now);
        let (sweeps, ended) = Sweeps::new(sweeper, store.settler());
        let (publish, status) = watch::channel(Arc::new(supervisor.status()));
        let (commands, received) = mpsc::channel(64);
        let reading = text.map_or_else(|| Reading::Absent(String::new()), |text| Reading::Text(text.into()));
        let in_force = Known { reading, zones };
        let hands = Hands { sweeps, store, publish };
        let handle = Handle { commands, status };
        Ok(Self { supervisor, handle, commands: received, ended, state: heard, hands, source, in_force })
    }

    /// Returns a handle for the frontends.
    #[must_use]
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// Returns a waiter for readers of the state: it waits until all events so far are persisted.
    #[must_use]
    pub fn settler(&self) -> Settler {
        self.hands.store.settler()
    }

    /// Runs until a signal to stop.
    pub async fn run(self, mut signals: Signals) -> Stopped {
        let Self { mut supervisor, handle, mut commands, mut ended, mut state, hands, source, in_force } = self;
        // Only the frontends hold handles from here on. Without a frontend nobody sends commands, and this must not end
        // the loop.
        let _handle = handle;
        let mut reader = ConfigReader::start(source, in_force);
        let log = supervisor.log.clone();
        supervisor.say_started();
        supervisor.say_remembered();
        let mut event = Event::Tick;
        loop {
            let is_found = matches!(event, Event::Found(_));
            // A supervisor interrupted halfway through an event must not be trusted with more.
            if catch_unwind(AssertUnwindSafe(|| supervisor.handle(event, clock::now()))).is_err() {
                error!("The supervisor panicked, which is a bug in the janitor; the daemon ends, to be started anew");
                return Stopped::Forced;
            }
            hands.carry_out(&mut supervisor, Some(&reader));
            if is_found {
                // The memory for reading is free now, and so is the config before, but for targets that are being swept.
                fsys::give_back_memory();
            }
            event = tokio::select! {
                wish = signals.next() => match wish {
                    Wish::Stop => break,
                    Wish::Reload => Event::Hangup,
                },
                Some(command) = commands.recv() => Event::Command(command),
                Some(report) = ended.recv() => Event::Ended(report),
                Some(happened) = state.recv() => Event::State(happened),
                news = reader.next() => match news {
                    ReaderNews::Found(found) => Event::Found(*found),
                    ReaderNews::Died(why) => Event::Task(ConfigReader::NAME, Some(why)),
                    ReaderNews::Back => Event::Task(ConfigReader::NAME, None),
                },
                // The next round handles the full log.
                () = log.filled() => Event::Tick,
                () = tokio::time::sleep(hands.sweeps.patience().min(supervisor.sleep())) => Event::Tick,
            };
        }
        drop(reader);
        commands.close();
        hands.sweeps.give_up();
        shut_down(supervisor, &hands, &mut signals, &mut ended, &mut state).await
    }
}

/// Accepts nothing more, stops the sweeps between two files, and waits for them for a short time.
async fn shut_down(
    mut supervisor: Supervisor,
    hands: &Hands,
    signals: &mut Signals,
    ended: &mut mpsc::UnboundedReceiver<Report>,
    state: &mut mpsc::UnboundedReceiver<history::Event>,
) -> Stopped {
    let mut event = Event::ShutDown;
    let grace = tokio::time::sleep(GRACE);
    tokio::pin!(grace);
    loop {
        supervisor.handle(event, clock::now());
        hands.carry_out(&mut supervisor, None);
        if supervisor.is_at_rest() {
            info!("Background cleanup scheduler stopped");
            return Stopped::Cleanly;
        }
        event = tokio::select! {
            Some(report) = ended.recv() => Event::Ended(report),
            Some(happened) = state.recv() => Event::State(happened),
            wish = signals.next() => {
                if wish == Wish::Stop {
                    warn!("Second signal: not waiting for what is at work");
                    return forced(&supervisor);
                }
                // A SIGHUP comes too late.
                Event::Tick
            },
            () = &mut grace => return forced(&supervisor),
        };
    }
}

fn forced(supervisor: &Supervisor) -> Stopped {
    let late: Vec<&str> = supervisor.runs.at_work().map(TargetName::as_str).collect();
    warn!("Ending while sweeps are still at work: {}", late.join(", "));
    Stopped::Forced
}
