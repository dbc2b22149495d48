//! The wall before every request: it must be meant for us, and must not come from a web page.
//!
//! A browser can be made to send requests to loopback by any page it shows. The Host rule stops a name that was rebound
//! to 127.0.0.1 (whose page would be of the same origin), the Origin and Sec-Fetch-Site rules stop pages of other
//! origins. `X-Forwarded-*` and the like mean nothing here.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use hyper::header::{self, HeaderMap, HeaderName};
use hyper::http::request::Parts;
use hyper::{StatusCode, Uri};

use super::answer::Answer;

/// The longest request target, in bytes.
pub(super) const URI_LIMIT: usize = 2048;

/// What a port or a socket answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wall {
    /// On the socket: to the names of loopback, which clients say for want of a better one, with any port.
    Socket,
    /// On loopback: only to its own names.
    Loopback {
        /// Its port.
        port: u16,
    },
    /// Beyond loopback the machine has names we cannot know. The token, which a browser does not send by itself,
    /// stands in for the Host rule.
    Beyond,
}

impl Wall {
    /// That of a port.
    pub(super) fn of(address: SocketAddr) -> Self {
        match address.ip().to_canonical().is_loopback() {
            true => Self::Loopback { port: address.port() },
            false => Self::Beyond,
        }
    }

    /// Whether only this machine's users can come here.
    pub(super) fn is_local(self) -> bool {
        self != Self::Beyond
    }

    /// Whether the request may be looked at.
    ///
    /// # Errors
    /// The answer to give instead: 400 for what is malformed, 403 for what is meant for or comes from somebody else.
    pub(super) fn check(self, head: &Parts) -> Result<(), Answer> {
        let length = head.uri.path_and_query().map_or(0, |text| text.as_str().len())
            + head.uri.authority().map_or(0, |text| text.as_str().len());
        if length > URI_LIMIT {
            let message = format!("a request target can have {URI_LIMIT} bytes at most");
            return Err(Answer::error(StatusCode::URI_TOO_LONG, "uri_too_long", message));
        }
        let host = only(&head.headers, header::HOST)
            .ok_or_else(|| Answer::bad_request("a request needs exactly one Host header"))?
            .ok_or_else(foreign_host)?;
        self.check_host(host)?;
        self.check_uri(&head.uri)?;
        self.check_origin(&head.headers, host)
    }

    fn check_host(self, host: &str) -> Result<(), Answer> {
        match self {
            Self::Loopback { port } => is_ours(host, Some(port)).then_some(()).ok_or_else(foreign_host),
            Self::Socket => is_ours(host, None).then_some(()).ok_or_else(foreign_host),
            Self::Beyond => Ok(()),
        }
    }

    /// A path, or an absolute `http` URI that names us.
    fn check_uri(self, uri: &Uri) -> Result<(), Answer> {
        match (uri.scheme_str(), uri.authority()) {
            (None, None) if uri.path().starts_with('/') => Ok(()),
            (Some("http"), Some(authority)) => self.check_host(authority.as_str()),
            _ => Err(Answer::bad_request("the request target must be a path")),
        }
    }

    fn check_origin(self, headers: &HeaderMap, host: &str) -> Result<(), Answer> {
        let refuse = || Answer::forbidden("forbidden_origin", "requests from web pages of other origins are refused");
        if headers.contains_key(header::ORIGIN) {
            let origin = only(headers, header::ORIGIN).flatten().ok_or_else(refuse)?;
            let own = match self {
                Self::Loopback { port } => origin.strip_prefix("http://").is_some_and(|text| is_ours(text, Some(port))),
                // Behind a proxy that speaks TLS the page's scheme is another than ours.
                Self::Beyond | Self::Socket => origin
                    .strip_prefix("http://")
                    .or_else(|| origin.strip_prefix("https://"))
                    .is_some_and(|text| text.eq_ignore_ascii_case(host)),
            };
            own.then_some(()).ok_or_else(refuse)?;
        }
        let site = HeaderName::from_static("sec-fetch-site");
        if headers.contains_key(&site) {
            let site = only(headers, site).flatten().ok_or_else(refuse)?;
            matches!(site, "same-origin" | "none").then_some(()).ok_or_else(refuse)?;
        }
        Ok(())
    }
}

fn foreign_host() -> Answer {
    let message = "the Host must be localhost or a loopback address, with the port of the daemon";
    Answer::forbidden("forbidden_host", message)
}

/// The value of a header that is there exactly once: `None` when it is not, `Some(None)` when it is not ASCII.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<Option<&str>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then(|| first.to_str().ok())
}

/// Whether `HOST` or `HOST:PORT` is this very port on loopback, or any port there. Nothing is normalized: what is not written the way a
/// client writes it is not ours.
fn is_ours(text: &str, port: Option<u16>) -> bool {
    let (host, written) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((address, rest)) = rest.split_once(']') else { return false };
            let ours = address.parse::<Ipv6Addr>().is_ok_and(|ip| ip.is_loopback());
            (ours, rest)
        }
        None => {
            let (host, rest) = text.split_at(text.find(':').unwrap_or(text.len()));
            let ours =
                host.eq_ignore_ascii_case("localhost") || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback());
            (ours, rest)
        }
    };
    let is_port = |text: &str| text.parse::<u16>().is_ok_and(|port| port.to_string() == text);
    // Without a port it is the default of http.
    host && match port {
        Some(port) => written == format!(":{port}") || (written.is_empty() && port == 80),
        None => written.is_empty() || written.strip_prefix(':').is_some_and(is_port),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_and_our_port_are_ours() {
        for ours in [
            "127.0.0.1:8000",
            "127.1.2.3:8000",
            "127.255.255.255:8000",
            "localhost:8000",
            "LOCALHOST:8000",
            "LocalHost:8000",
            "[::1]:8000",
            "[0:0:0:0:0:0:0:1]:8000",
            "[0000::0001]:8000",
        ] {
            assert!(is_ours(ours, Some(8000)), "{ours}");
            let bare = ours.strip_suffix(":8000").unwrap();
            assert!(!is_ours(bare, Some(8000)), "{bare}: no port means port 80");
            assert!(is_ours(bare, Some(80)), "{bare}");
        }
        for foreign in [
            "",
            ":",
            ":8000",
            "evil.com",
            "evil.com:8000",
            "127.0.0.1.evil.com",
            "127.0.0.1.evil.com:8000",
            "127.evil.com:8000",
            "localhost.evil.com:8000",
            "evil.localhost:8000",
            "localhost.:8000",
            "127.0.0.1.:8000",
            "localhost :8000",
            " localhost:8000",
            "localhost:8000 ",
            "127.1:8000",
            "127.0.1:8000",
            "0x7f.1:8000",
            "0x7f000001:8000",
            "2130706433:8000",
            "0177.0.0.1:8000",
            "127.0.0.01:8000",
            "127.0.0.256:8000",
            "128.0.0.1:8000",
            "126.255.255.255:8000",
            "0.0.0.0:8000",
            "10.0.0.1:8000",
            "::1:8000",
            "[::1:8000",
            "::1]:8000",
            "[]:8000",
            "[::]:8000",
            "[::2]:8000",
            "[::1%25lo]:8000",
            "[::1%lo]:8000",
            "[::ffff:127.0.0.1]:8000",
            "[::127.0.0.1]:8000",
            "[127.0.0.1]:8000",
            "[localhost]:8000",
            "[::1]x:8000",
            "[::1]8000",
            "[[::1]]:8000",
            "[v1.x]:8000",
            "user@localhost:8000",
            "user:pass@127.0.0.1:8000",
            "127.0.0.1:8000@evil.com",
            "evil.com#@127.0.0.1:8000",
            "127.0.0.1:8000/x",
            "127.0.0.1:8000?x",
            "127.0.0.1:8000,evil.com",
            "127.0.0.1:80",
            "127.0.0.1:8001",
            "127.0.0.1:",
            "127.0.0.1:+8000",
            "127.0.0.1:08000",
            "127.0.0.1:8000:8000",
            "127.0.0.1:73536",
            "localhost:https",
            "loc\u{212a}alhost:8000",
            "localho\u{17f}t:8000",
            "http://localhost:8000",
        ] {
            assert!(!is_ours(foreign, Some(8000)), "{foreign}");
        }
        assert!(is_ours("localhost:80", Some(80)));
        assert!(!is_ours("localhost:", Some(80)));
    }
    #[test]
    fn on_the_socket_any_port_of_loopback_is_ours() {
        for ours in ["localhost", "LOCALHOST:80", "127.0.0.1", "127.0.0.1:8000", "[::1]", "[::1]:65535", "localhost:0"]
        {
            assert!(is_ours(ours, None), "{ours}");
        }
        for foreign in [
            "",
            ":",
            ":80",
            "evil.com",
            "127.0.0.1.evil.com",
            "localhost.",
            "localhost:",
            "localhost:x",
            "localhost:080",
            "localhost:+80",
            "localhost:65536",
            "localhost:80:80",
            "localhost\u{e9}80",
            "[::1]\u{e9}",
            "[::1]80",
            "127.1",
            "0.0.0.0",
            "[::ffff:127.0.0.1]",
        ] {
            assert!(!is_ours(foreign, None), "{foreign}");
        }
    }
}
