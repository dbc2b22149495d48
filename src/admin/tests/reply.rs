//! Answers as they come over a connection.

use std::io::{self, Read};
use std::net::TcpStream;
use std::time::Duration;

use serde_json::Value;

/// An answer as it came.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) head: String,
    pub(super) body: Vec<u8>,
}

impl Reply {
    /// The value of a header that is there once.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.head.lines().filter_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        });
        let value = values.next();
        assert_eq!(values.next(), None, "{name} is there twice");
        value
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic_with(&format!("{error}: {self:?}")))
    }

    /// Its `error`.
    pub(super) fn code(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn message(&self) -> String {
        self.json()["message"].as_str().unwrap_or_default().to_owned()
    }
}

pub(super) fn panic_with(message: &str) -> ! {
    panic!("{message}")
}

/// Reads answers until the other end closes. A reset is an end, too.
pub(super) fn read_all(stream: &TcpStream) -> Vec<u8> {
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    read_to_end(stream)
}

pub(super) fn read_to_end(mut stream: impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {}
        Err(error) => panic_with(&format!("{error} after {:?}", String::from_utf8_lossy(&bytes))),
    }
    bytes
}

/// Splits what came into answers. `bodies`: whether answers have them (those to HEAD have not).
pub(super) fn replies(mut bytes: &[u8], bodies: bool) -> Vec<Reply> {
    let mut replies = Vec::new();
    while !bytes.is_empty() {
        let end = bytes.windows(4).position(|four| four == b"\r\n\r\n").expect("a whole head") + 4;
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let status = head.split(' ').nth(1).and_then(|text| text.parse().ok()).expect("a status");
        let mut reply = Reply { status, head, body: Vec::new() };
        let length: usize = reply.header("content-length").map_or(0, |text| text.parse().unwrap());
        let length = if bodies { length } else { 0 };
        reply.body = bytes[end..end + length].to_vec();
        bytes = &bytes[end + length..];
        replies.push(reply);
    }
    replies
}
