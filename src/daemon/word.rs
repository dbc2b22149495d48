//! The operator's word: the stopped schedules, and whether they are persisted.

use std::time::Duration;

use tokio::sync::oneshot;
use tracing::{error, info};

use super::handle::{Kept, Refusal, Switched};
use super::supervisor::{Effect, Supervisor};
use crate::history::Stops;

/// Longest wait of an answer for the disk.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Channel for the answer to `start` or `stop`: the change, and whether it is persisted.
pub(super) type SwitchAnswer = oneshot::Sender<Result<(Switched, Kept), Refusal>>;

/// A requester that waits until the operator's word is persisted.
struct Waiting {
    number: u64,
    /// Start of the wait, as time since the machine was started.
    since: Duration,
    switched: Switched,
    answer: SwitchAnswer,
}

/// The operator's word.
#[derive(Default)]
pub(super) struct OperatorWord {
    /// Reason why the stopped schedules are unknown. All are stopped then.
    pub(super) unknown: Option<String>,
    /// Reason why the newest word is not persisted.
    pub(super) not_kept: Option<String>,
    /// Number of words so far.
    number: u64,
    /// Newest word.
    newest: Stops,
    waiting: Vec<Waiting>,
}

impl OperatorWord {
    /// Notes the word that is persisted already.
    pub(super) fn told(&mut self, stops: Stops) {
        self.newest = stops;
    }

    /// Notes whether the words up to a number are persisted.
    pub(super) fn kept(&mut self, number: u64, result: &Kept) {
        if number == self.number {
            match (&self.not_kept, result) {
                (None, Err(why)) => error!("What is stopped will be forgotten when the daemon ends: {why}"),
                (Some(_), Ok(())) => info!("What is stopped is written down now"),
                _ => {}
            }
            self.not_kept = result.clone().err();
        }
        self.answer(result, |waiting| waiting.number <= number);
    }

    /// Returns whether somebody waits for an answer.
    pub(super) fn is_awaited(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Answers requesters that have waited too long.
    pub(super) fn look(&mut self, since_boot: Duration) {
        let late = Err(format!("the disk has not answered for {} s", PATIENCE.as_secs()));
        self.answer(&late, |waiting| since_boot.saturating_sub(waiting.since) >= PATIENCE);
    }

    fn answer(&mut self, result: &Kept, which: impl Fn(&Waiting) -> bool) {
        for Waiting { switched, answer, .. } in self.waiting.extract_if(.., |waiting| which(waiting)) {
            // The requester may have gone meanwhile.
            drop(answer.send(Ok((switched, result.clone()))));
        }
    }
}

impl Supervisor {
    /// Returns the schedules stopped now.
    fn stops(&self) -> Stops {
        Stops { all: self.stopped, targets: self.paused.clone() }
    }

    /// Persists the schedules stopped now, because the operator has changed them.
    pub(super) fn keep_word(&mut self) {
        self.word.unknown = None;
        self.word.number += 1;
        self.word.newest = self.stops();
        let effect = Effect::Keep(self.word.newest.clone(), self.word.number);
        self.effects.push(effect);
    }

    /// Persists the schedules stopped now, if another event has changed them.
    pub(super) fn keep_word_if_changed(&mut self) {
        if self.word.unknown.is_none() && self.word.newest != self.stops() {
            self.keep_word();
        }
    }

    /// Answers a start or a stop: a refusal at once, a change once it is persisted.
    pub(super) fn answer_when_kept(&mut self, switched: Result<Switched, Refusal>, answer: SwitchAnswer) {
        match switched {
            Ok(switched) => {
                let (number, since) = (self.word.number, self.now.since_boot);
                self.word.waiting.push(Waiting { number, since, switched, answer });
            }
            // The requester may have gone meanwhile.
            Err(refusal) => drop(answer.send(Err(refusal))),
        }
    }
}
