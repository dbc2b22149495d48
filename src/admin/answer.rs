//! What is sent back: JSON, with the headers that every answer has.

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};
use serde::Serialize;

use super::wire::Refused;

/// An answer, on its way out.
#[derive(Debug)]
pub(super) struct Answer {
    status: StatusCode,
    body: Vec<u8>,
    /// The one header that some answers have beyond those that all have.
    header: Option<(HeaderName, &'static str)>,
}

impl Answer {
    /// JSON with a status.
    pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Self {
        match serde_json::to_vec(body) {
            Ok(body) => Self { status, body, header: None },
            // The wire types have string keys and no fallible serializers, so this does not happen.
            Err(error) => {
                tracing::error!("Cannot write an answer as JSON: {error}");
                let body = br#"{"success":false,"error":"internal","message":"the answer cannot be written"}"#.to_vec();
                Self { status: StatusCode::INTERNAL_SERVER_ERROR, body, header: None }
            }
        }
    }

    /// 200 with JSON.
    pub(super) fn ok(body: &impl Serialize) -> Self {
        Self::json(StatusCode::OK, body)
    }

    /// An error without details: its status, its code and what to say.
    pub(super) fn error(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self::json(status, &Refused::new(code, message))
    }

    /// 400: it is not a request that we understand.
    pub(super) fn bad_request(message: impl Into<String>) -> Self {
        Self::error(StatusCode::BAD_REQUEST, "bad_request", message)
    }

    /// 403, with one of its codes.
    pub(super) fn forbidden(code: &'static str, message: impl Into<String>) -> Self {
        Self::error(StatusCode::FORBIDDEN, code, message)
    }

    /// 401: the token is needed, or the one given is wrong.
    pub(super) fn unauthorized(message: impl Into<String>) -> Self {
        let header = Some((header::WWW_AUTHENTICATE, "Bearer"));
        Self { header, ..Self::error(StatusCode::UNAUTHORIZED, "unauthorized", message) }
    }

    /// 405, with the methods that the path has.
    pub(super) fn method_not_allowed(allow: &'static str) -> Self {
        let message = format!("this path answers {allow} only");
        let header = Some((header::ALLOW, allow));
        Self { header, ..Self::error(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message) }
    }

    /// The same, and the connection ends after it: what was sent is not read to its end.
    pub(super) fn closing(self) -> Self {
        Self { header: Some((header::CONNECTION, "close")), ..self }
    }

    /// 500: a mistake of ours.
    pub(super) fn internal() -> Self {
        Self::error(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the request failed inside the daemon; see its log")
    }

    /// Whether the caller was not let in.
    pub(super) fn is_denial(&self) -> bool {
        matches!(self.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN)
    }

    /// The status.
    pub(super) fn status(&self) -> StatusCode {
        self.status
    }

    /// Its JSON alone.
    pub(super) fn into_body(self) -> Vec<u8> {
        self.body
    }

    /// For hyper. The headers keep browsers from guessing, keeping, showing or running what is sent; nothing ever
    /// allows another origin to read it.
    pub(super) fn into_response(self) -> Response<Full<Bytes>> {
        let mut response = Response::new(Full::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        for (name, value) in [
            (header::CONTENT_TYPE, "application/json"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::CACHE_CONTROL, "no-store"),
            (header::CONTENT_SECURITY_POLICY, "default-src 'none'"),
        ]
        .into_iter()
        .chain(self.header)
        {
            headers.insert(name, HeaderValue::from_static(value));
        }
        response
    }
}
