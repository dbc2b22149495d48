//! The task that reads the config, kept alive: when it dies, that is told, and it is started anew.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::task::{JoinError, JoinHandle};
use tokio::time::sleep;

use super::reload::{Answer, Found, Known, Source, reloader, zone_names_of};
use crate::clock::{self, Mark};

/// How many requests to read the config again can wait: more than the admin port has connections.
const REQUESTS: usize = 256;

/// How long a task that died is left dead, at first. Each time that it dies again soon, it is twice as long.
const PAUSE: Duration = Duration::from_secs(1);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// How long a task that was started anew has to live to be taken for well.
const TRIAL: Duration = Duration::from_secs(5);

/// What comes from the task, or of it.
pub(super) enum ReaderNews {
    /// It read the config.
    Found(Box<Found>),
    /// It died: why.
    Died(String),
    /// It was started anew, and is well.
    Back,
}

/// Starts a task that takes requests and hands on what it found. It begins with what is in force.
type Spawn = Box<dyn Fn(Known, mpsc::Receiver<Option<Answer>>, mpsc::Sender<Found>) -> JoinHandle<()> + Send>;

#[derive(Clone, Copy)]
enum Life {
    Well,
    /// Started anew, since then.
    OnTrial(Mark),
    /// Dead since then.
    Dead(Mark),
}

/// The task.
pub(super) struct ConfigReader {
    spawn: Spawn,
    task: JoinHandle<()>,
    /// What it read last.
    last: Known,
    asked: mpsc::Sender<Option<Answer>>,
    found: mpsc::Receiver<Found>,
    life: Life,
    pause: Duration,
}

impl ConfigReader {
    /// Its name in the status and the log.
    pub(super) const NAME: &str = "config reader";

    /// Starts it.
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

    /// Has the config read again, and whoever asked told. A storm of signals leaves room for requests; those that wait
    /// already read the file after this one.
    pub(super) fn ask(&self, answer: Option<Answer>) {
        if answer.is_some() || self.asked.capacity() > REQUESTS / 2 {
            // Whoever asked is told by the loss of the answer.
            drop(self.asked.try_send(answer));
        }
    }

    /// The next news. Cancel safe.
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
                // What it found before it died counts.
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
        // Whoever waits for it waits no more.
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
