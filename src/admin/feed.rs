//! Events, kept for a while, so that a reader who was away goes on where it was.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize;
use tokio::sync::watch;

/// Maximum number of events kept …
const EVENTS: usize = 4096;
/// … and of their bytes.
const BYTES: usize = 2 << 20;

/// The events of one life of the daemon.
#[derive(Debug)]
pub(super) struct Feed {
    /// Name of this life of the daemon, so that no reader goes on after an event of another life.
    life: String,
    kept: Mutex<Kept>,
    /// Number of events that there were.
    newest: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Kept {
    /// Number of the first event that is kept.
    first: u64,
    bytes: usize,
    frames: VecDeque<Bytes>,
}

/// Position of a reader: the number of the first event that the reader has not seen yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position(u64);

/// Formats an event as it is sent. The id is left out of events that nobody goes on after.
fn frame(id: Option<&str>, kind: &str, data: &impl Serialize) -> Bytes {
    // The types of events have string keys and no fallible serializers; and JSON is one line.
    let data = serde_json::to_string(data).unwrap_or_default();
    let id = id.map(|id| format!("id: {id}\n")).unwrap_or_default();
    Bytes::from(format!("{id}event: {kind}\ndata: {data}\n\n"))
}

/// Formats an event that is not kept.
pub(super) fn passing(kind: &str, data: &impl Serialize) -> Bytes {
    frame(None, kind, data)
}

impl Feed {
    pub(super) fn new(started: Timestamp) -> Self {
        let (newest, _) = watch::channel(0);
        Self { life: format!("{:x}", started.as_nanosecond()), kept: Mutex::default(), newest }
    }

    /// Adds an event.
    pub(super) fn add(&self, kind: &str, data: &impl Serialize) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let number = kept.first + kept.frames.len() as u64;
        let frame = frame(Some(&format!("{}-{number}", self.life)), kind, data);
        kept.bytes += frame.len();
        kept.frames.push_back(frame);
        while kept.frames.len() > EVENTS || kept.bytes > BYTES {
            let Some(oldest) = kept.frames.pop_front() else { break };
            kept.bytes -= oldest.len();
            kept.first += 1;
        }
        self.newest.send_replace(number + 1);
    }

    /// Returns a receiver that changes with each event.
    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.newest.subscribe()
    }

    /// Returns the position after the newest event.
    pub(super) fn end(&self) -> Position {
        Position(*self.newest.borrow())
    }

    /// Returns the position after the event of this id; `None` when the events since then are not all kept, or the
    /// event is of another life.
    pub(super) fn after(&self, id: &str) -> Option<Position> {
        let number: u64 = id.strip_prefix(&self.life)?.strip_prefix('-')?.parse().ok()?;
        let position = Position(number.checked_add(1)?);
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let known = kept.first..=kept.first + kept.frames.len() as u64;
        known.contains(&position.0).then_some(position)
    }

    /// Returns the next event of a reader, and the position after it. Fails when the reader was too slow for what is
    /// kept.
    pub(super) fn next(&self, Position(at): Position) -> Result<Option<(Bytes, Position)>, TooSlow> {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let index = at.checked_sub(kept.first).ok_or(TooSlow)?;
        let index = usize::try_from(index).map_err(|_| TooSlow)?;
        Ok(kept.frames.get(index).map(|frame| (frame.clone(), Position(at + 1))))
    }
}

/// Error that events which a reader has not seen are not kept any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooSlow;

#[cfg(test)]
mod tests {
    use super::*;

    fn feed() -> Feed {
        Feed::new(Timestamp::UNIX_EPOCH)
    }

    fn all(feed: &Feed, mut position: Position) -> Vec<String> {
        let mut seen = Vec::new();
        while let Some((frame, next)) = feed.next(position).expect("not too slow") {
            seen.push(String::from_utf8(frame.to_vec()).expect("text"));
            position = next;
        }
        seen
    }

    #[test]
    fn a_reader_goes_on_after_the_last_event_it_has_seen() {
        let feed = feed();
        let start = feed.end();
        for number in 0..3 {
            feed.add("counted", &number);
        }
        assert_eq!(
            all(&feed, start),
            [
                "id: 0-0\nevent: counted\ndata: 0\n\n",
                "id: 0-1\nevent: counted\ndata: 1\n\n",
                "id: 0-2\nevent: counted\ndata: 2\n\n"
            ]
        );
        assert_eq!(all(&feed, feed.after("0-1").expect("known")), ["id: 0-2\nevent: counted\ndata: 2\n\n"]);
        assert_eq!(all(&feed, feed.after("0-2").expect("the newest")), [""; 0]);
        assert_eq!(feed.after("0-2"), Some(feed.end()));
        for foreign in ["0-3", "1-1", "0-", "-1", "", "0", "0--1", "0-18446744073709551615", "x"] {
            assert_eq!(feed.after(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn what_is_kept_is_bounded_and_a_slow_reader_is_told() {
        let feed = feed();
        let start = feed.end();
        for number in 0..EVENTS + 10 {
            feed.add("counted", &number);
        }
        assert_eq!(feed.next(start), Err(TooSlow));
        assert_eq!(feed.after("0-3"), None, "it is not kept any more");
        assert_eq!(all(&feed, feed.after("0-9").expect("the last that is gone")).len(), EVENTS);
        let large = "x".repeat(BYTES / 4);
        for _ in 0..10 {
            feed.add("large", &large);
        }
        let kept = feed.kept.lock().expect("not poisoned");
        assert!(kept.bytes <= BYTES && kept.frames.len() == 3, "{} frames", kept.frames.len());
    }

    #[test]
    fn an_event_is_one_line_of_data() {
        let frame = passing("told", &"a\nb\r\u{2028}");
        assert_eq!(frame.iter().filter(|byte| **byte == b'\n').count(), 3, "{frame:?}");
    }
}
