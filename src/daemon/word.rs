//! The operator's word, what is stopped, and whether it is written down.

use std::time::Duration;

use tokio::sync::oneshot;
use tracing::{error, info};

use super::handle::{Kept, Refusal, Switched};
use super::supervisor::{Effect, Supervisor};
use crate::history::Stops;

/// How long an answer waits for the disk.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

/// Where an answer to `start` or `stop` goes: what changed, and whether that is written down.
pub(super) type SwitchAnswer = oneshot::Sender<Result<(Switched, Kept), Refusal>>;

/// Whoever waits until a word is written down.
struct Waiting {
    number: u64,
    /// By the time since the machine was started.
    since: Duration,
    switched: Switched,
    answer: SwitchAnswer,
}

/// The operator's word.
#[derive(Default)]
pub(super) struct OperatorWord {
    /// Why it is not known what is stopped. Then everything is.
    pub(super) unknown: Option<String>,
    /// Why the newest word is not written down.
    pub(super) not_kept: Option<String>,
    /// Counts the words.
    number: u64,
    /// The newest one.
    newest: Stops,
    waiting: Vec<Waiting>,
}

impl OperatorWord {
    /// Takes note of what is written down already.
    pub(super) fn told(&mut self, stops: Stops) {
        self.newest = stops;
    }

    /// Takes note of what became of the words up to a number.
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

    /// Whether somebody waits for an answer.
    pub(super) fn is_awaited(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Answers those who have waited for too long.
    pub(super) fn look(&mut self, since_boot: Duration) {
        let late = Err(format!("the disk has not answered for {} s", PATIENCE.as_secs()));
        self.answer(&late, |waiting| since_boot.saturating_sub(waiting.since) >= PATIENCE);
    }

    fn answer(&mut self, result: &Kept, which: impl Fn(&Waiting) -> bool) {
        for Waiting { switched, answer, .. } in self.waiting.extract_if(.., |waiting| which(waiting)) {
            // Whoever asked may have gone meanwhile.
            drop(answer.send(Ok((switched, result.clone()))));
        }
    }
}

impl Supervisor {
    /// What is stopped now.
    fn stops(&self) -> Stops {
        Stops { all: self.stopped, targets: self.paused.clone() }
    }

    /// Has it written down what is stopped now, because somebody has said so.
    pub(super) fn keep_word(&mut self) {
        self.word.unknown = None;
        self.word.number += 1;
        self.word.newest = self.stops();
        let effect = Effect::Keep(self.word.newest.clone(), self.word.number);
        self.effects.push(effect);
    }

    /// The same because something else has changed.
    pub(super) fn keep_word_if_changed(&mut self) {
        if self.word.unknown.is_none() && self.word.newest != self.stops() {
            self.keep_word();
        }
    }

    /// Answers a start or a stop: at once when it was refused, else when it is written down.
    pub(super) fn answer_when_kept(&mut self, switched: Result<Switched, Refusal>, answer: SwitchAnswer) {
        match switched {
            Ok(switched) => {
                let (number, since) = (self.word.number, self.now.since_boot);
                self.word.waiting.push(Waiting { number, since, switched, answer });
            }
            // Whoever asked may have gone meanwhile.
            Err(refusal) => drop(answer.send(Err(refusal))),
        }
    }
}
