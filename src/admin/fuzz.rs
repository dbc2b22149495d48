//! Properties of all bytes that are sent to the admin port: a request that gets past the wall is meant for us, and its
//! query says nothing but what was understood.
//!
//! hyper reads the bytes as it does on the port. A request that was let in is then looked at here once more, in the
//! bytes themselves, by rules that share no code with the wall.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Mutex;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::rt::{self, ReadBufCursor};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};

use super::query::{Kind, Parameter, Query};
use super::wall::{Host, Wall};

const PORT: u16 = 8000;

/// End of a Host of ours.
const WRITTEN_PORT: &[u8] = b":8000";

/// Parameters that are known here.
const KNOWN: [&str; 4] = ["target", "path", "dry_run", "wait"];

/// Maximum number of bytes of an input: more than the port takes, so that limits are met, too.
const MOST: usize = 20_000;

/// Checks that a request is refused, or is meant for us. Returns whether it was let in.
///
/// # Panics
/// Panics when the check fails.
#[must_use]
pub fn holds(data: &[u8]) -> bool {
    let data = &data[..data.len().min(MOST)];
    let Some(let_in) = answered(data) else { return false };
    let request = Seen::read(data).expect("what hyper reads can be read");
    request.is_for_us();
    queries_agree(&request, let_in.query.as_deref());
    true
}

/// A request that the wall let in.
struct LetIn {
    query: Option<String>,
}

/// Returns the first request in these bytes if the wall lets it in, once hyper has read it.
fn answered(data: &[u8]) -> Option<LetIn> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
    let wall = Wall::Loopback { port: PORT, localhost: true };
    let let_in = Mutex::new(None);
    let service = service_fn(|request: Request<Incoming>| {
        let (head, _) = request.into_parts();
        if matches!(wall.check(&head), Ok(Host::Ours)) {
            let query = head.uri.query().map(str::to_owned);
            *let_in.lock().expect("nobody panicked") = Some(LetIn { query });
        }
        async { Ok::<_, Infallible>(Response::new(Full::new(Bytes::new()))) }
    });
    // Errors on a connection are its client's affair.
    drop(
        runtime
            .block_on(http1::Builder::new().half_close(true).keep_alive(false).serve_connection(Sent(data), service)),
    );
    let_in.into_inner().expect("nobody panicked")
}

/// A connection on which these bytes have come, and no more will.
struct Sent<'a>(&'a [u8]);

impl rt::Read for Sent<'_> {
    fn poll_read(mut self: Pin<&mut Self>, _: &mut Context<'_>, mut room: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let (now, later) = self.0.split_at(self.0.len().min(room.remaining()));
        room.put_slice(now);
        self.0 = later;
        Poll::Ready(Ok(()))
    }
}

impl rt::Write for Sent<'_> {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// The head of a request, as it stands in the bytes.
struct Seen<'a> {
    target: &'a [u8],
    headers: Vec<(&'a [u8], &'a [u8])>,
}

impl<'a> Seen<'a> {
    fn read(data: &'a [u8]) -> Option<Self> {
        let mut lines = data.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let first = lines.find(|line| !line.is_empty())?;
        let target = first.split(|byte| *byte == b' ').nth(1)?;
        let headers = lines.take_while(|line| !line.is_empty()).map(|line| {
            let colon = line.iter().position(|byte| *byte == b':').unwrap_or(line.len());
            (&line[..colon], line.get(colon + 1..).unwrap_or_default().trim_ascii())
        });
        Some(Self { target, headers: headers.collect() })
    }

    /// Returns the values of a header.
    fn all(&self, name: &str) -> Vec<&'a [u8]> {
        let is_it = |(found, _): &&(&[u8], &[u8])| found.eq_ignore_ascii_case(name.as_bytes());
        self.headers.iter().filter(is_it).map(|(_, value)| *value).collect()
    }

    fn is_for_us(&self) {
        let shown = self.target.escape_ascii();
        match self.all("host").as_slice() {
            [host] => assert!(is_ours(host), "{shown}: {}", host.escape_ascii()),
            hosts => panics(&format!("{shown}: {} Hosts", hosts.len())),
        }
        if !self.target.starts_with(b"/") {
            let after = self.target.get(..7).filter(|scheme| scheme.eq_ignore_ascii_case(b"http://"));
            assert!(after.is_some(), "{shown}");
            let authority = self.target[7..].split(|byte| b"/?#".contains(byte)).next().unwrap_or_default();
            assert!(is_ours(authority), "{shown}");
        }
        for origin in self.all("origin") {
            let page = origin.strip_prefix(b"http://").unwrap_or_default();
            let same = self.all("host").iter().any(|host| host.eq_ignore_ascii_case(page));
            assert!(is_ours(page) && same, "{}", origin.escape_ascii());
        }
        for site in self.all("sec-fetch-site") {
            assert!(site == b"same-origin" || site == b"none", "{}", site.escape_ascii());
        }
        assert!(self.all("origin").len() < 2 && self.all("sec-fetch-site").len() < 2, "{shown}");
    }
}

#[expect(clippy::panic, reason = "this is how a property fails")]
fn panics(why: &str) {
    panic!("{why}");
}

/// Returns whether the text is written as our port on `localhost`, on 127.0.0.0/8 or on `::1`.
fn is_ours(text: &[u8]) -> bool {
    let Some(host) = text.strip_suffix(WRITTEN_PORT) else { return false };
    if let Some(inside) = host.strip_prefix(b"[").and_then(|rest| rest.strip_suffix(b"]")) {
        // The digits are all zeros but for the last one.
        let digits: Vec<u8> = inside.iter().copied().filter(|byte| !b"0:.".contains(byte)).collect();
        return digits == b"1" && inside.ends_with(b"1") && inside.contains(&b':');
    }
    let parts: Vec<&[u8]> = host.split(|byte| *byte == b'.').collect();
    let is_number = |part: &&[u8]| {
        let digits = (1..=3).contains(&part.len()) && part.iter().all(u8::is_ascii_digit);
        digits && (part.len() == 1 || part[0] != b'0') && (part.len() < 3 || *part <= b"255".as_slice())
    };
    host.eq_ignore_ascii_case(b"localhost") || (parts.len() == 4 && parts[0] == b"127" && parts.iter().all(is_number))
}

/// Checks that a query is understood exactly when it says each known thing at most once, and in words that are known.
fn queries_agree(request: &Seen<'_>, query: Option<&str>) {
    let text = query.unwrap_or_default();
    let known = KNOWN.map(|name| {
        let kind = if matches!(name, "dry_run" | "wait") { Kind::Flag } else { Kind::Text };
        Parameter { name, kind, about: "", is_needed: false }
    });
    let parsed = Query::parse(text, &known);
    let written = request.target.split(|byte| *byte == b'#').next().unwrap_or_default();
    let written = written.split(|byte| *byte == b'?').skip(1).collect::<Vec<_>>().join(&b'?');
    assert_eq!(text.as_bytes(), written);
    let pairs: Option<Vec<(String, String)>> = written
        .split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let equals = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            Some((decoded(&pair[..equals])?, decoded(pair.get(equals + 1..).unwrap_or_default())?))
        })
        .collect();
    let is_good = |pairs: &Vec<(String, String)>| {
        pairs.iter().enumerate().all(|(at, (name, value))| {
            let is_flag = matches!(name.as_str(), "dry_run" | "wait");
            KNOWN.contains(&name.as_str())
                && pairs[..at].iter().all(|(earlier, _)| earlier != name)
                && (!is_flag || value == "true" || value == "false")
        })
    };
    match (parsed, pairs.filter(is_good)) {
        (Ok(query), Some(pairs)) => {
            let value = |name: &str| pairs.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str());
            assert_eq!((query.target.as_deref(), query.path.as_deref()), (value("target"), value("path")), "{text}");
            let flags = [query.dry_run, query.wait].map(|flag| flag.map(|flag| flag.to_string()));
            assert_eq!(flags.each_ref().map(Option::as_deref), [value("dry_run"), value("wait")], "{text}");
        }
        (Err(_), None) => {}
        (parsed, _) => panics(&format!("{text}: {parsed:?}")),
    }
}

/// Decodes percent signs and plusses; `None` where the result is no text.
fn decoded(text: &[u8]) -> Option<String> {
    let mut bytes = Vec::new();
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let hex = text.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        let hex = hex.filter(|hex| hex.bytes().all(|digit| digit.is_ascii_hexdigit()));
        match (byte, hex.and_then(|hex| u8::from_str_radix(hex, 16).ok())) {
            (b'%', Some(byte)) => {
                bytes.push(byte);
                at += 2;
            }
            (b'+', _) => bytes.push(b' '),
            (other, _) => bytes.push(*other),
        }
        at += 1;
    }
    String::from_utf8(bytes).ok().filter(|text| !text.contains('\u{fffd}'))
}
