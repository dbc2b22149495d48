//! The wall before every request: a request must be meant for us, and must not come from a web page.
//!
//! A browser can be made to send requests to loopback by any page it shows. The Host rule stops a name that was rebound
//! to 127.0.0.1 (whose page would be of the same origin). The Origin and Sec-Fetch-Site rules stop pages of other
//! origins. `X-Forwarded-*` and the like mean nothing here.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderName};
use hyper::http::request::Parts;

use super::answer::Answer;

/// Length of the longest request target, in bytes.
pub(super) const URI_LIMIT: usize = 2048;

/// Names that a port or a socket answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wall {
    /// The socket answers to the names of loopback, which clients say for want of a better one, with any port.
    Socket,
    /// A port on loopback answers only to its own names.
    Loopback {
        /// Number of the port.
        port: u16,
        /// Whether `localhost` means us, on 127.0.0.1 and on ::1.
        localhost: bool,
    },
    /// Beyond loopback the machine has names that we cannot know. The token, which a browser does not send by itself,
    /// stands in for the Host rule.
    Beyond,
}

impl Wall {
    /// Returns the wall of a port. `localhost` says whether that name means the port, and nobody else.
    pub(super) fn of(address: SocketAddr, localhost: bool) -> Self {
        match address.ip().to_canonical().is_loopback() {
            true => Self::Loopback { port: address.port(), localhost },
            false => Self::Beyond,
        }
    }

    /// Returns whether only users of this machine can come here.
    pub(super) fn is_local(self) -> bool {
        self != Self::Beyond
    }

    /// Checks whether the request may be looked at. Returns whose name the request has for us.
    ///
    /// # Errors
    /// Fails with the answer to give instead: 400 for a malformed request, 403 for a request from somebody else's page.
    pub(super) fn check(self, head: &Parts) -> Result<Host, Answer> {
        let length = head.uri.path_and_query().map_or(0, |text| text.as_str().len())
            + head.uri.authority().map_or(0, |text| text.as_str().len());
        if length > URI_LIMIT {
            let message = format!("a request target can have {URI_LIMIT} bytes at most");
            return Err(Answer::error(StatusCode::URI_TOO_LONG, "uri_too_long", message));
        }
        let host = only(&head.headers, header::HOST)
            .ok_or_else(|| Answer::bad_request("a request needs exactly one Host header"))?
            .ok_or_else(|| foreign_host(FOREIGN))?;
        // The target is a path, or an absolute `http` URI.
        let authority = match (head.uri.scheme_str(), head.uri.authority()) {
            (None, None) if head.uri.path().starts_with('/') => None,
            (Some("http"), Some(authority)) => Some(authority.as_str()),
            _ => return Err(Answer::bad_request("the request target must be a path")),
        };
        let named = self.check_host(host).and_then(|()| authority.map_or(Ok(()), |name| self.check_host(name)));
        self.check_origin(&head.headers, host, named.is_ok())?;
        Ok(named.map_or_else(Host::Foreign, |()| Host::Ours))
    }

    fn check_host(self, host: &str) -> Result<(), Answer> {
        match self {
            Self::Loopback { port, .. } if !is_ours(host, Some(port)) => Err(foreign_host(FOREIGN)),
            Self::Loopback { localhost: false, .. } if is_localhost(host) => Err(foreign_host(
                "somebody else may be meant by localhost here: use the address of the daemon, as its log has it",
            )),
            Self::Socket if !is_ours(host, None) => Err(foreign_host(FOREIGN)),
            Self::Loopback { .. } | Self::Socket | Self::Beyond => Ok(()),
        }
    }

    fn check_origin(self, headers: &HeaderMap, host: &str, is_ours: bool) -> Result<(), Answer> {
        let refuse = || Answer::forbidden("forbidden_origin", "requests from web pages of other origins are refused");
        if headers.contains_key(header::ORIGIN) {
            let origin = only(headers, header::ORIGIN).flatten().ok_or_else(refuse)?;
            // Behind a proxy that speaks TLS, the scheme of the page is another than ours.
            let is_behind_proxy = !(is_ours && matches!(self, Self::Loopback { .. }));
            let page = match origin.strip_prefix("https://") {
                Some(page) if is_behind_proxy => Some(page),
                _ => origin.strip_prefix("http://"),
            };
            // Another name of ours is another origin: somebody else may have the port under that name.
            page.is_some_and(|page| page.eq_ignore_ascii_case(host)).then_some(()).ok_or_else(refuse)?;
        }
        let site = HeaderName::from_static("sec-fetch-site");
        if headers.contains_key(&site) {
            let site = only(headers, site).flatten().ok_or_else(refuse)?;
            matches!(site, "same-origin" | "none").then_some(()).ok_or_else(refuse)?;
        }
        Ok(())
    }
}

/// Owner of the name that a request has for us.
#[derive(Debug)]
pub(super) enum Host {
    /// The name is our own.
    Ours,
    /// The name is another one, under which only a holder of the token is answered. Everybody else gets this answer.
    Foreign(Answer),
}

const FOREIGN: &str = "the Host must be localhost or a loopback address, with the port of the daemon";

fn foreign_host(message: &str) -> Answer {
    Answer::forbidden("forbidden_host", message)
}

/// Returns whether a `HOST:PORT` of ours is written with the name `localhost`.
fn is_localhost(host: &str) -> bool {
    host.get(..LOCALHOST.len()).is_some_and(|name| name.eq_ignore_ascii_case(LOCALHOST))
}

const LOCALHOST: &str = "localhost";

/// Returns the value of a header that is there exactly once: `None` when it is not, `Some(None)` when it is not ASCII.
fn only(headers: &HeaderMap, name: HeaderName) -> Option<Option<&str>> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then(|| first.to_str().ok())
}

/// Returns whether `HOST` or `HOST:PORT` is this very port on loopback, or any port there. Nothing is normalized: a
/// text that is not written the way a client writes it is not ours.
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
                host.eq_ignore_ascii_case(LOCALHOST) || host.parse::<Ipv4Addr>().is_ok_and(|ip| ip.is_loopback());
            (ours, rest)
        }
    };
    let is_port = |text: &str| text.parse::<u16>().is_ok_and(|port| port.to_string() == text);
    // Without a port, the default of http is meant.
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
