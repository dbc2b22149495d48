//! What talks to the admin port: plain bytes over a plain socket, so that it can also say what no library would.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

/// An answer.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    fn parse(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).and_then(|code| code.parse().ok());
        let header = |line: &str| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned()));
        Self { status: status.unwrap_or(0), headers: lines.filter_map(header).collect(), body: body.to_owned() }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Sends bytes and reads until the other side closes, or nothing comes for `patience`.
pub fn raw(to: SocketAddr, request: &[u8], patience: Duration) -> Answer {
    let stream = TcpStream::connect(to).expect("the port is open");
    stream.set_read_timeout(Some(patience)).expect("a time");
    exchange(stream, request)
}

/// A request over the admin socket.
pub fn through(socket: &Path, method: &str, path: &str) -> Answer {
    let stream = UnixStream::connect(socket).expect("the socket is there");
    stream.set_read_timeout(Some(Duration::from_secs(60))).expect("a time");
    let request = format!("{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    exchange(stream, request.as_bytes())
}

fn exchange(mut stream: impl Read + Write, request: &[u8]) -> Answer {
    // The other side may close before it has read everything; what it said counts.
    drop(stream.write_all(request));
    let mut answer = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(count) = stream.read(&mut buffer) {
        if count == 0 {
            break;
        }
        answer.extend_from_slice(&buffer[..count]);
    }
    Answer::parse(&answer)
}

/// A request as any sane client sends it.
pub fn request(to: SocketAddr, method: &str, path: &str) -> Answer {
    request_with(to, method, path, &[])
}

/// The same with more headers.
pub fn request_with(to: SocketAddr, method: &str, path: &str, headers: &[&str]) -> Answer {
    let more: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: {to}\r\nConnection: close\r\nContent-Length: 0\r\n{more}\r\n");
    raw(to, request.as_bytes(), Duration::from_secs(60))
}

/// A server-sent event.
#[derive(Clone, Debug, PartialEq)]
pub struct Event {
    pub id: Option<String>,
    pub kind: String,
    pub data: Value,
}

/// One who follows the events.
pub struct Follower {
    lines: std::io::Lines<BufReader<TcpStream>>,
}

impl Follower {
    /// Connects, and waits until the daemon has taken note of that.
    pub fn new(to: SocketAddr, headers: &[&str]) -> Self {
        let mut stream = TcpStream::connect(to).expect("the port is open");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time");
        let more: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        write!(stream, "GET /cleanup/events HTTP/1.1\r\nHost: {to}\r\n{more}\r\n").expect("sent");
        let mut follower = Self { lines: BufReader::new(stream).lines() };
        let first = follower.line();
        assert_eq!(first.as_deref(), Some("HTTP/1.1 200 OK"));
        while follower.line().expect("more") != ": welcome" {}
        follower
    }

    /// The next line; `None` at the end.
    pub fn line(&mut self) -> Option<String> {
        self.lines.next().map(|line| line.expect("in time"))
    }

    /// The next event; `None` at the end.
    pub fn next(&mut self) -> Option<Event> {
        let (mut id, mut kind) = (None, None);
        while let Some(line) = self.line() {
            match line.split_once(": ") {
                Some(("id", text)) => id = Some(text.to_owned()),
                Some(("event", text)) => kind = Some(text.to_owned()),
                Some(("data", text)) => {
                    let data = serde_json::from_str(text).expect("JSON");
                    return Some(Event { id, kind: kind.expect("a kind"), data });
                }
                // Sizes of chunks, comments, and what ends an event.
                _ => {}
            }
        }
        None
    }

    /// The next event of this kind.
    pub fn wait_for(&mut self, kind: &str) -> Event {
        let mut others = Vec::new();
        while let Some(event) = self.next() {
            if event.kind == kind {
                return event;
            }
            others.push(event);
        }
        panic!("no {kind} before the end: {others:?}")
    }
}
