//! Turns events of the daemon into server-sent events and metric counters.

use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::feed::Feed;
use super::metrics::Tallies;
use super::wire::{
    ConfigRejected, HeldEvent, Released, ReloadEvent, Run, RunFinished, ScheduleSwitched, Started, rfc3339,
};
use crate::clock;
use crate::daemon::News;
use crate::history::Hold;
use crate::names::TargetName;

/// Listener that hands events of the daemon on to those who follow them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Bulletin(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    feed: Feed,
    tallies: Tallies,
    zone: Mutex<TimeZone>,
}

impl Bulletin {
    /// Returns a bulletin that has heard nothing yet. `started` tells this life of the daemon from others.
    #[must_use]
    pub fn new(started: Timestamp, zone: TimeZone) -> Self {
        Self(Arc::new(Inner { feed: Feed::new(started), tallies: Tallies::default(), zone: Mutex::new(zone) }))
    }

    /// Sets the zone in which times are shown from now on.
    pub fn set_zone(&self, zone: TimeZone) {
        *self.0.zone.lock().unwrap_or_else(PoisonError::into_inner) = zone;
    }

    pub(super) fn feed(&self) -> &Feed {
        &self.0.feed
    }

    pub(super) fn tallies(&self) -> &Tallies {
        &self.0.tallies
    }

    /// Records an event of the daemon.
    pub fn tell(&self, news: News<'_>) {
        self.0.tallies.tell(news);
        let feed = &self.0.feed;
        let zone = self.0.zone.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let at = || rfc3339(clock::wall(), &zone);
        match news {
            News::RunStarted(order) => feed.add("run_started", &Started::new(order, &zone)),
            News::RunFinished(report) => {
                feed.add("run_finished", &RunFinished { at: at(), run: Run::open(report, &zone) });
                if let Some(hold) = Hold::of(report) {
                    feed.add("held", &HeldEvent::new(&hold, &zone));
                }
            }
            News::Reloaded(reloaded) => feed.add("reload", &ReloadEvent::new(at(), reloaded)),
            News::Rejected(rejection) => feed.add("config_rejected", &ConfigRejected::new(rejection, &zone)),
            News::Switched { target, is_running } => {
                let target = target.map(TargetName::as_str);
                feed.add("schedule", &ScheduleSwitched { at: at(), target, running: is_running });
            }
            News::Released { run, target } => {
                let (run, target) = (run.as_str(), target.as_str());
                feed.add("released", &Released { at: at(), run, target });
            }
        }
    }
}
