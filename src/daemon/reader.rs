//! Supervision of the task that reads the config: its death is reported, and the task is restarted.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::sleep;

use super::reload::{Answer, Found, Known, Source, reloader, zone_names_of};
use crate::clock::{self, Mark};

/// Most waiting requests to reload the config: more than the admin port has connections.
const REQUESTS: usize = 256;

/// First pause before a dead task is restarted. The pause doubles each time the task soon dies again.
const PAUSE: Duration = Duration::from_secs(1);

/// Longest pause before a restart.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Time that a restarted task has to live to count as well.
const TRIAL: Duration = Duration::from_secs(5);

/// Event of the task.
pub(super) enum ReaderNews {
    /// The task has read the config.
    Found(Box<Found>),
    /// The task has died, for this reason.
    Died(String),
    /// The restarted task is well.
    Back,
}

/// Function that starts a task, which takes requests and passes on its readings. The task begins with the config in
/// force.
type Spawn = Box<dyn Fn(Known, mpsc::Receiver<Option<Answer>>, mpsc::Sender<Found>) -> JoinHandle<()> + Send>;

#[derive(Clone, Copy)]
enum Life {
    Well,
    /// Restarted at this time.
    OnTrial(Mark),
    /// Dead since this time.
    Dead(Mark),
}

/// The supervised task.
pub(super) struct ConfigReader {
    spawn: Spawn,
    task: JoinHandle<()>,
    /// Last reading of the task.
    last: Known,
    asked: mpsc::Sender<Option<Answer>>,
    found: mpsc::Receiver<Found>,
    life: Life,
    pause: Duration,
}

impl ConfigReader {
    /// Name of the task in the status and the log.
    pub(super) const NAME: &str = "config reader";

    /// Starts the task.
    pub(super) fn start(source: Source, in_force: Known) -> Self {
        let spawn = move |last, asked, found| tokio::spawn(reloader(source.clone(), last, asked, found));
        Self::start_with(Box::new(spawn), in_force)
    }

    fn start_with(spawn: Spawn, last: Known) -> Self {
        let (asked, requests) = mpsc::channel(REQUESTS);
        let (tell, found) = mpsc::channel(1);
        let task = spawn(last.clone(), requests, tell);
        Self { spawn, task, last, asked, found, life: Life::Well, pause: PAUSE }
    }

    /// Requests a reload, whose result goes to `answer`. Requests of SIGHUP are dropped when the queue is at least half
    /// full, to leave room for others; the requests that wait already read the file after this one is made.
    pub(super) fn ask(&self, answer: Option<Answer>) {
        if answer.is_some() || self.asked.capacity() > REQUESTS / 2 {
            // A requester whose answer channel is dropped gets an error.
            drop(self.asked.try_send(answer));
        }
    }

    /// Waits for the next event. Cancel safe.
    pub(super) async fn next(&mut self) -> ReaderNews {
        loop {
            match self.life {
                Life::Dead(since) => {
                    sleep(self.pause.saturating_sub(since.elapsed())).await;
                    let (asked, requests) = mpsc::channel(REQUESTS);
                    let (tell, found) = mpsc::channel(1);
                    self.task = (self.spawn)(self.last.clone(), requests, tell);
                    (self.asked, self.found) = (asked, found);
                    self.life = Life::OnTrial(clock::mark());
                }
                // A reading made before the task died still counts.
                Life::Well => tokio::select! {
                    biased;
                    Some(found) = self.found.recv() => return self.note(found),
                    ended = &mut self.task => return self.bury(ended),
                },
                Life::OnTrial(since) => tokio::select! {
                    biased;
                    Some(found) = self.found.recv() => return self.note(found),
                    ended = &mut self.task => {
                        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                        return self.bury(ended);
                    }
                    () = sleep(TRIAL.saturating_sub(since.elapsed())) => {
                        self.life = Life::Well;
                        self.pause = PAUSE;
                        return ReaderNews::Back;
                    }
                },
            }
        }
    }

    fn note(&mut self, found: Found) -> ReaderNews {
        self.last.reading = found.reading.clone();
        if let Some(Ok(config)) = &found.checked {
            self.last.zones = zone_names_of(config);
        }
        ReaderNews::Found(Box::new(found))
    }

    fn bury(&mut self, ended: Result<(), JoinError>) -> ReaderNews {
        self.life = Life::Dead(clock::mark());
        // A sender that waits for room in the channel stops waiting.
        self.found.close();
        let why = ended.err().map_or_else(|| "it ended".to_owned(), |error| error.to_string());
        ReaderNews::Died(why)
    }
}

impl Drop for ConfigReader {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::daemon::reload::Reading;

    fn known(text: &str) -> Known {
        Known { reading: Reading::Text(text.into()), zones: BTreeSet::new() }
    }

    fn run<T>(test: impl Future<Output = T>) -> T {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().expect("a runtime").block_on(test)
    }

    #[test]
    fn a_reader_that_dies_is_told_started_anew_with_what_it_read_last_and_is_back() {
        run(async {
            let spawn: Spawn = Box::new(|last, mut asked, found| {
                tokio::spawn(async move {
                    while let Some(answer) = asked.recv().await {
                        // It dies of the second request: what it read by then is what is read.
                        assert!(last != known("one") || answer.is_none(), "enough");
                        let reading = Reading::Text(if answer.is_some() { "one" } else { "two" }.into());
                        let found = found.send(Found { reading, checked: None, answer }).await;
                        assert!(found.is_ok() && last != known("zero"), "dead");
                    }
                })
            });
            let mut reader = ConfigReader::start_with(spawn, known("zero"));
            let (answer, answered) = tokio::sync::oneshot::channel();
            reader.ask(Some(answer));
            assert!(
                matches!(reader.next().await, ReaderNews::Found(found) if found.reading == Reading::Text("one".into()))
            );
            assert!(matches!(reader.next().await, ReaderNews::Died(why) if why.contains("dead")));
            assert!(answered.await.is_err(), "whoever asked waits no more");
            // It is dead, so what is asked meanwhile is answered at once, by nobody.
            let (answer, answered) = tokio::sync::oneshot::channel();
            reader.ask(Some(answer));
            assert!(answered.await.is_err());
            let news = tokio::time::timeout(Duration::from_secs(20), reader.next()).await.expect("in time");
            assert!(matches!(news, ReaderNews::Back));
            reader.ask(None);
            assert!(
                matches!(reader.next().await, ReaderNews::Found(found) if found.reading == Reading::Text("two".into()))
            );
        });
    }
}
