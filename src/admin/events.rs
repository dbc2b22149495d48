//! Server-sent events: the events of the daemon, as they happen. See the HTML standard, "Server-sent events".

use std::pin::Pin;
use std::sync::LazyLock;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use hyper::StatusCode;
use hyper::body::{Body, Frame};
use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use tokio::time::{MissedTickBehavior, interval, timeout};

use super::answer::Answer;
use super::bulletin::Bulletin;
use super::caller::Who;
use super::feed::{Position, passing};
use super::places::{Share, Shares};
use super::wire::{Progressed, Reset};
use crate::daemon::Handle;

/// Maximum number of readers that follow at once.
const FOLLOWERS: usize = 16;
static AT_ONCE: Semaphore = Semaphore::const_new(FOLLOWERS);

/// Maximum number of these readers for one user, so that nobody keeps the others from following.
const SHARE: usize = FOLLOWERS / 2;
static SHARES: LazyLock<Shares> = LazyLock::new(|| Shares::new(SHARE));

/// Interval at which the progress of runs is sent.
const PROGRESS: Duration = Duration::from_secs(1);

/// Number of these intervals after which something is sent in any case, so that both ends know that the other is there.
const HEARTBEAT: u32 = 10;

/// Time after which a reader that takes nothing is dropped. The reader may come again, and go on where it was.
const PATIENCE: Duration = Duration::from_secs(10);

/// Maximum number of runs whose progress is sent at a time.
const RUNNING: usize = 64;

/// Maximum number of frames that wait for a reader.
const WAITING: usize = 16;

/// The body of an answer that does not end by itself.
#[derive(Debug)]
pub(super) struct Events {
    frames: mpsc::Receiver<Bytes>,
    _place: SemaphorePermit<'static>,
    _share: Share,
}

impl Body for Events {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        self.frames.poll_recv(context).map(|bytes| bytes.map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// Follows the events: after the event of an id, or from now on.
pub(super) fn follow(handle: Handle, bulletin: Bulletin, who: Who, after: Option<&str>) -> Result<Answer, Answer> {
    let busy = |message| Answer::error(StatusCode::SERVICE_UNAVAILABLE, "busy", message);
    let share = SHARES.take(who).ok_or_else(|| busy(format!("you follow the events {SHARE} times already")))?;
    let place = AT_ONCE
        .try_acquire()
        .map_err(|_| busy(format!("{FOLLOWERS} others follow the events already; try again later")))?;
    let known = after.map(|id| bulletin.feed().after(id));
    let (sender, frames) = mpsc::channel(WAITING);
    // The first frames have room, and they tell the reader that it is connected.
    let reset = known == Some(None);
    let position = known.flatten().unwrap_or_else(|| bulletin.feed().end());
    drop(sender.try_send(Bytes::from_static(b"retry: 3000\n: welcome\n\n")));
    if reset {
        drop(sender.try_send(passing("reset", &Reset {})));
    }
    tokio::spawn(feed_reader(handle, bulletin, position, sender));
    Ok(Answer::events(Events { frames, _place: place, _share: share }))
}

/// Error that the reader has gone, or takes too long.
struct Gone;

async fn send(sender: &mpsc::Sender<Bytes>, frame: Bytes) -> Result<(), Gone> {
    match timeout(PATIENCE, sender.send(frame)).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(_)) | Err(_) => Err(Gone),
    }
}

/// Sends a reader the events until the reader has gone, or the daemon shuts down.
async fn feed_reader(handle: Handle, bulletin: Bulletin, mut position: Position, sender: mpsc::Sender<Bytes>) {
    let mut changes = bulletin.feed().changes();
    let mut ticks = interval(PROGRESS);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut since_beat = 0;
    loop {
        changes.mark_unchanged();
        let Ok(sent) = send_new(&bulletin, position, &sender).await else { return };
        position = sent;
        let told = tokio::select! {
            changed = changes.changed() => changed.map_err(|_| Gone),
            _ = ticks.tick() => {
                since_beat = (since_beat + 1) % HEARTBEAT;
                tick(&handle, since_beat == 0, &sender).await
            }
            () = handle.shutdown_begun() => {
                // The events that the shutdown itself has brought about are sent, too.
                drop(send_new(&bulletin, position, &sender).await);
                return;
            }
            () = sender.closed() => return,
        };
        if told.is_err() {
            return;
        }
    }
}

async fn send_new(bulletin: &Bulletin, mut position: Position, sender: &mpsc::Sender<Bytes>) -> Result<Position, Gone> {
    loop {
        match bulletin.feed().next(position) {
            Ok(Some((frame, next))) => {
                send(sender, frame).await?;
                position = next;
            }
            Ok(None) => return Ok(position),
            Err(_) => return Err(Gone),
        }
    }
}

async fn tick(handle: &Handle, beat: bool, sender: &mpsc::Sender<Bytes>) -> Result<(), Gone> {
    let status = handle.status();
    let running = status.targets.iter().filter_map(|target| Some((&target.name, target.running.as_ref()?)));
    for (target, running) in running.take(RUNNING) {
        send(sender, passing("progress", &Progressed::new(target, running))).await?;
    }
    if beat {
        send(sender, Bytes::from_static(b": heartbeat\n\n")).await?;
    }
    Ok(())
}
