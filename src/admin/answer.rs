//! Answers, JSON for the most part, with the headers that every answer has.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::events::Events;
use super::wire::Refused;

/// Body of an answer: whole, or events that go on.
pub(super) type Sent = Either<Full<Bytes>, Events>;

/// An answer, on its way out.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    body: Content,
    media_type: &'static str,
    /// Content-Security-Policy: the rights of the answer in a browser.
    policy: &'static str,
    /// Header that some answers have beyond those of every answer.
    header: Option<Box<(HeaderName, HeaderValue)>>,
}

#[derive(Debug)]
enum Content {
    Whole(Bytes),
    Events(Box<Events>),
}

const JSON: &str = "application/json";

/// Policy that allows nothing at all.
const NOTHING: &str = "default-src 'none'";

impl Answer {
    fn whole(status: StatusCode, body: impl Into<Bytes>, media_type: &'static str) -> Self {
        Self { status, body: Content::Whole(body.into()), media_type, policy: NOTHING, header: None }
    }

    /// Returns JSON with a status.
    pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(body) => Self::whole(status, body, JSON),
            // The wire types have string keys and no fallible serializers, so this does not happen.
            Err(error) => {
                tracing::error!("Cannot write an answer as JSON: {error}");
                let body =
                    br#"{"success":false,"error":"internal","message":"the answer cannot be written"}"#.as_slice();
                Self::whole(StatusCode::INTERNAL_SERVER_ERROR, body, JSON)
            }
        }
    }

    /// Returns 200 with JSON.
    pub(super) fn ok(body: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, body)
    }

    /// Returns 200 with JSON that is written already.
    pub(super) fn ready(body: &'static [u8]) -> Self {
        Self::whole(StatusCode::OK, body, JSON)
    }

    /// Returns 200 with text.
    pub(super) fn text(body: String, media_type: &'static str) -> Self {
        Self::whole(StatusCode::OK, body, media_type)
    }

    /// Returns 200 with a page, and the policy of the page.
    pub(super) fn page(body: &'static [u8], policy: &'static str) -> Self {
        Self { policy, ..Self::whole(StatusCode::OK, body, "text/html; charset=utf-8") }
    }

    /// Returns 200 with events, for as long as there are any.
    pub(super) fn events(events: Events) -> Self {
        let body = Content::Events(Box::new(events));
        Self { status: StatusCode::OK, body, media_type: "text/event-stream", policy: NOTHING, header: None }
    }

    /// Returns an error without details: its status, its code and its message.
    pub(super) fn error(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self::json(status, &Refused::new(code, message))
    }

    /// Returns 400: the request is not one that we understand.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::error(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// Returns 403, with one of its codes.
    pub(super) fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        Self::error(StatusCode::FORBIDDEN, code, message)
    }

    /// Returns 401: the token is needed, or the one given is wrong.
    pub(super) fn unauthorized(message: impl Into<String>) -> Self {
        let header = Some(Box::new((header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))));
        Self { header, ..Self::error(StatusCode::UNAUTHORIZED, "unauthorized", message) }
    }

    /// Returns 429: this caller has shown too many wrong tokens, and is listened to again after `rest`.
    pub(super) fn too_many_attempts(rest: Duration) -> Self {
        let seconds = rest.as_secs() + 1;
        let message = format!("too many wrong tokens came from you; none is looked at for {seconds} s");
        let header = Some(Box::new((header::RETRY_AFTER, HeaderValue::from(seconds))));
        Self { header, ..Self::error(StatusCode::TOO_MANY_REQUESTS, "too_many_attempts", message) }
    }

    /// Returns 405, with the methods that the path has.
    pub(super) fn method_not_allowed(allow: &'static str) -> Self {
        let message = format!("this path answers {allow} only");
        let header = Some(Box::new((header::ALLOW, HeaderValue::from_static(allow))));
        Self { header, ..Self::error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message) }
    }

    /// Returns the same answer, which also ends the connection: what was sent is not read to its end.
    pub(super) fn closing(self) -> Self {
        Self { header: Some(Box::new((header::CONNECTION, HeaderValue::from_static("close")))), ..self }
    }

    /// Returns 500: a mistake of ours.
    pub(super) fn internal() -> Self {
        Self::error(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the request failed inside the daemon; see its log")
    }

    /// Returns whether the caller was refused entry.
    pub(super) fn is_denial(&self) -> bool {
        matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS)
    }

    /// Returns the status.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// Returns the text of the answer alone; of events, nothing.
    pub(super) fn into_body(self) -> Bytes {
        match self.body {
            Content::Whole(body) => body,
            Content::Events(_) => Bytes::new(),
        }
    }

    /// Converts the answer for hyper. The headers keep browsers from guessing, keeping, showing or running what is
    /// sent. Nothing ever allows another origin to read the answer.
    pub(super) fn into_response(self) -> Response<Sent> {
        let mut response = Response::new(match self.body {
            Content::Whole(body) => Either::Left(Full::new(body)),
            Content::Events(events) => Either::Right(*events),
        });
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        for (name, value) in [
            (header::CONTENT_TYPE, self.media_type),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::CACHE_CONTROL, "no-store"),
            (header::REFERRER_POLICY, "no-referrer"),
            (header::CONTENT_SECURITY_POLICY, self.policy),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        if let Some(header) = self.header {
            let (name, value) = *header;
            headers.insert(name, value);
        }
        response
    }
}
