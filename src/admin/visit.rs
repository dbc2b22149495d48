//! One visit: the checks that every request passes before its route answers it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::{Body, Incoming};
use hyper::header::{AUTHORIZATION, HeaderMap};
use hyper::http::request::Parts;
use hyper::{Request, StatusCode};
use tokio::sync::Semaphore;

use super::access::{Access, Shown};
use super::answer::Answer;
use super::attempts::{Attempts, Judged, Name};
use super::bulletin::Bulletin;
pub(super) use super::caller::Caller;
use super::caller::Who;
use super::changes;
use super::peer::Peer;
use super::query::Query;
use super::routes::{self, Does};
use super::seldom::Seldom;
use super::wall::{Host, Wall};
use super::wire::{StatusAnswer, Well};
use crate::daemon::Handle;
use crate::history::Settler;
use crate::names::OneLine;

/// Size of the largest body that is read, in bytes.
const BODY_LIMIT: usize = 4096;

/// Maximum number of open requests of other users answered at a time. The requests share one thread with everything
/// else.
pub(super) const TURNS: usize = 2;

/// State that every request needs, on the port or on the socket.
#[derive(Debug)]
pub(super) struct Door {
    pub(super) inside: Inside,
    pub(super) access: Access,
    pub(super) attempts: Attempts,
    /// Users who may change something without the token.
    pub(super) trusted: Vec<u32>,
    /// Permits that are held while open requests of users other than the trusted are answered.
    pub(super) turns: Semaphore,
    /// Time for a body.
    pub(super) body_time: Duration,
    pub(super) denials: Seldom,
}

/// One connection at the door.
#[derive(Clone, Debug)]
pub(super) struct Visit {
    pub(super) door: Arc<Door>,
    pub(super) wall: Wall,
    pub(super) peer: Arc<Peer>,
}

/// State that the work behind the routes needs. Cheap to clone.
#[derive(Clone, Debug)]
pub(super) struct Inside {
    pub(super) handle: Handle,
    pub(super) bulletin: Bulletin,
    /// Directory in which the runs are remembered.
    pub(super) state_dir: Arc<Path>,
    pub(super) settler: Settler,
}

/// Answer that a route gives at once.
pub(super) type Told = Result<Answer, Answer>;

impl Visit {
    /// Answers one request.
    pub(super) async fn answer(&self, request: Request<Incoming>) -> Answer {
        let (head, body) = request.into_parts();
        let answer = self.decide(&head, body).await.unwrap_or_else(|refusal| refusal);
        if answer.is_denial()
            && let Some(held_back) = self.door.denials.now()
        {
            tracing::warn!(
                "Refused {} {} from {} with {}{held_back}",
                OneLine(head.method.as_str()),
                OneLine(head.uri.path()),
                self.peer,
                answer.status(),
            );
        }
        answer
    }

    async fn decide(&self, head: &Parts, body: Incoming) -> Result<Answer, Answer> {
        let door = &*self.door;
        let let_in = match (self.wall.check(head)?, self.wall.is_local()) {
            (Host::Ours, true) => None,
            (Host::Ours, false) => Some(self.need_token(&head.headers, Name::Own)?),
            // A page under a name that was bound to our address can try tokens as its reader: the page must not use up
            // the attempts of its reader.
            (Host::Foreign(_), _) if head.headers.contains_key(AUTHORIZATION) => {
                Some(self.need_token(&head.headers, Name::Foreign)?)
            }
            (Host::Foreign(refusal), _) => return Err(refusal),
        };
        let (route, captured) = routes::find(head.uri.path())
            .ok_or_else(|| Answer::error(StatusCode::NOT_FOUND, "not_found", "there is nothing at this path"))?;
        if !route.allow.split(", ").any(|allowed| allowed == head.method.as_str()) {
            return Err(Answer::method_not_allowed(route.allow));
        }
        let query = || -> Result<Query, Answer> {
            let captured = captured.map(decoded).transpose()?;
            let query = Query::parse(head.uri.query().unwrap_or(""), route.parameters).map_err(Answer::bad_request)?;
            let last_event = text_of(&head.headers, "last-event-id");
            let accept = text_of(&head.headers, "accept");
            Ok(Query { captured, last_event, accept, ..query })
        };
        // However many requests come at once, the request of a trusted user waits only for a few of them.
        let is_trusted = self.peer.uid().is_some_and(|uid| door.trusted.contains(&uid));
        let turn = || async { if is_trusted { None } else { door.turns.acquire().await.ok() } };
        match route.does {
            Does::Tell(tell) => {
                let _turn = turn().await;
                query().and_then(|_| tell(self))
            }
            Does::Look(look) => {
                // The turn is not held: the work may wait for a disk.
                drop(turn().await);
                look(door.inside.clone(), query()?).await
            }
            Does::Work(work) => {
                let caller = match let_in {
                    Some(caller) => caller,
                    None => self.let_in(&head.headers)?,
                };
                let query = query()?;
                check_body(body, door.body_time).await?;
                work(door.inside.clone(), caller, query).await
            }
        }
    }

    /// Answers `/healthz`.
    pub(super) fn health(&self) -> Told {
        Ok(Answer::ok(&Well { success: true, status: "ok" }))
    }

    /// Answers `/readyz`.
    pub(super) fn ready(&self) -> Told {
        let handle = &self.door.inside.handle;
        if !handle.is_alive() || handle.status().shutting_down {
            return Err(changes::shutting_down());
        }
        let status = handle.status();
        let not_ready = |code, message: String| Err(Answer::error(StatusCode::SERVICE_UNAVAILABLE, code, message));
        if let Some((task, _)) = status.dead_tasks.first_key_value() {
            return not_ready("task_dead", format!("a task of the daemon is dead, and is started anew: {task}"));
        }
        if status.stop_unknown.is_some() {
            let message = "the schedule is stopped, since nobody can say whether it was; the status says why";
            return not_ready("stop_unknown", message.to_owned());
        }
        Ok(Answer::ok(&Well { success: true, status: "ready" }))
    }

    /// Answers `/cleanup/status`.
    pub(super) fn status(&self) -> Told {
        Ok(Answer::ok(&StatusAnswer::new(&self.door.inside.handle.status())))
    }

    /// Returns the caller, if it may change something.
    fn let_in(&self, headers: &HeaderMap) -> Result<Caller, Answer> {
        let Door { access, trusted, .. } = &*self.door;
        // A wrong token is an answer: the check does not fall back to the uid.
        if headers.contains_key(AUTHORIZATION) {
            return self.need_token(headers, Name::Own);
        }
        let how = if access.has_token() {
            "send the token, `Authorization: Bearer …`"
        } else {
            "call as the daemon's user or root, or set admin.token_file in the config and send the token"
        };
        match self.peer.uid() {
            Some(uid) if trusted.contains(&uid) => {
                Ok(Caller { who: Who::Uid(uid), pid: self.peer.pid(), by_token: false })
            }
            Some(uid) => {
                Err(Answer::forbidden("forbidden", format!("user {uid} may not do this without the token: {how}")))
            }
            None => {
                let why = "the kernel does not tell which user is calling (is it of this machine?)";
                Err(Answer::unauthorized(format!("{why}: {how}")))
            }
        }
    }

    /// Returns the caller, if it has the token.
    fn need_token(&self, headers: &HeaderMap, name: Name) -> Result<Caller, Answer> {
        let Door { access, attempts, .. } = &*self.door;
        if !headers.contains_key(AUTHORIZATION) {
            return Err(Answer::unauthorized("the token is needed: `Authorization: Bearer …`"));
        }
        let who = self.peer.who();
        match attempts.judge((who, name), || access.shown(headers) == Shown::Right) {
            Judged::Right => Ok(Caller { who, pid: self.peer.pid(), by_token: true }),
            Judged::Wrong => Err(Answer::unauthorized("the token is wrong")),
            Judged::NotHeard(rest) => Err(Answer::too_many_attempts(rest)),
        }
    }
}

/// Decodes a component of a path as text.
fn decoded(component: &str) -> Result<String, Answer> {
    let decoded = percent_encoding::percent_decode_str(component).decode_utf8();
    decoded.map(Into::into).map_err(|_| Answer::bad_request("the path is not UTF-8"))
}

/// Returns a header, where it is text.
fn text_of(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// Reads a body to its end, and refuses it when it says anything: whoever sends parameters in a body means something by
/// them.
async fn check_body(body: Incoming, time: Duration) -> Result<(), Answer> {
    let too_large = || {
        let message = format!("a body can have {BODY_LIMIT} bytes at most");
        Answer::error(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", message).closing()
    };
    // A body that announces that it is too large is not read at all.
    if body.size_hint().lower() > BODY_LIMIT as u64 {
        return Err(too_large());
    }
    match tokio::time::timeout(time, Limited::new(body, BODY_LIMIT).collect()).await {
        Ok(Ok(body)) => match body.to_bytes().trim_ascii() {
            b"" | b"{}" => Ok(()),
            _ => {
                Err(Answer::bad_request("the body must be empty or {}: parameters go into the address, `?target=NAME`"))
            }
        },
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(_)) => Err(Answer::bad_request("the body cannot be read").closing()),
        Err(_) => {
            let message = "the body did not arrive in time";
            Err(Answer::error(StatusCode::REQUEST_TIMEOUT, "request_timeout", message).closing())
        }
    }
}
