use super::*;

/// What a request with these header lines (and no others) is answered.
fn with(port: &Port, line: &str, headers: &str) -> Reply {
    let headers = headers.replace("PORT", &port.address.port().to_string());
    let line = line.replace("PORT", &port.address.port().to_string());
    port.raw(format!("{line}\r\n{headers}Connection: close\r\n\r\n").as_bytes()).expect("an answer")
}

const GET: &str = "GET /cleanup/status HTTP/1.1";
const POST: &str = "POST /cleanup/stop HTTP/1.1";

#[test]
fn a_host_of_ours_is_answered() {
    let port = open();
    for host in ["127.0.0.1:PORT", "localhost:PORT", "LOCALHOST:PORT", "[::1]:PORT", "127.9.9.9:PORT"] {
        for line in [GET, POST, "GET /healthz HTTP/1.0"] {
            assert_eq!(with(&port, line, &format!("Host: {host}\r\n")).status, 200, "{host} {line}");
        }
    }
    assert_eq!(port.told().len(), 5);
}

#[test]
fn any_other_host_is_refused() {
    let port = open();
    for host in [
        "evil.com",
        "evil.com:PORT",
        "127.0.0.1.evil.com:PORT",
        "127.evil.com:PORT",
        "localhost.evil.com:PORT",
        "localhost.:PORT",
        "[::ffff:127.0.0.1]:PORT",
        "0x7f.1:PORT",
        "2130706433:PORT",
        "127.1:PORT",
        "0.0.0.0:PORT",
        "user@127.0.0.1:PORT",
        "",
        "127.0.0.1",
        "127.0.0.1:1",
        "127.0.0.1:PORT0",
        "127.0.0.1:0PORT",
        "127.0.0.1:PORT,evil.com",
        "127.0.0.1:PORT evil.com",
        "localh\u{f6}st:PORT",
    ] {
        for line in [GET, POST, "GET /healthz HTTP/1.1", "GET /nothing HTTP/1.1", "PATCH / HTTP/1.1"] {
            let reply = with(&port, line, &format!("Host: {host}\r\n"));
            assert_eq!((reply.status, reply.code()), (403, "forbidden_host".into()), "{host} {line}");
        }
    }
    assert_eq!(port.told(), Vec::<String>::new());
}

#[test]
fn there_is_exactly_one_host() {
    let port = open();
    for (line, headers) in [
        (GET, ""),
        (POST, ""),
        ("GET /healthz HTTP/1.0", ""),
        (GET, "Host: 127.0.0.1:PORT\r\nHost: evil.com\r\n"),
        (GET, "Host: evil.com\r\nHost: 127.0.0.1:PORT\r\n"),
        (GET, "Host: 127.0.0.1:PORT\r\nhost: 127.0.0.1:PORT\r\n"),
        ("GET http://127.0.0.1:PORT/cleanup/status HTTP/1.1", ""),
    ] {
        let reply = with(&port, line, headers);
        assert_eq!((reply.status, reply.code()), (400, "bad_request".into()), "{line} {headers}");
        assert!(reply.message().contains("one Host"), "{}", reply.message());
    }
}

#[test]
fn the_target_of_a_request_is_a_path_or_names_us() {
    let port = open();
    let host = "Host: 127.0.0.1:PORT\r\n";
    for (target, status) in [
        ("GET http://127.0.0.1:PORT/cleanup/status", 200),
        ("GET http://LOCALHOST:PORT/cleanup/status", 200),
        ("GET HTTP://localhost:PORT/cleanup/status", 200),
        ("GET http://evil.com/cleanup/status", 403),
        ("GET http://127.0.0.1/cleanup/status", 403),
        ("GET http://127.0.0.1:1/cleanup/status", 403),
        ("GET http://127.0.0.1.evil.com:PORT/cleanup/status", 403),
        ("GET http://user@127.0.0.1:PORT/cleanup/status", 403),
        ("POST http://evil.com/cleanup/stop", 403),
        ("GET https://127.0.0.1:PORT/cleanup/status", 400),
        ("GET ftp://127.0.0.1:PORT/cleanup/status", 400),
        ("GET 127.0.0.1:PORT", 400),
        ("CONNECT 127.0.0.1:PORT", 400),
        ("CONNECT evil.com:443", 400),
        ("OPTIONS *", 400),
        ("GET *", 400),
        ("GET //evil.com/cleanup/status", 404),
        ("GET /http://evil.com", 404),
    ] {
        let reply = with(&port, &format!("{target} HTTP/1.1"), host);
        assert_eq!(reply.status, status, "{target}");
    }
    // Our name in the target does not make up for a foreign Host.
    let reply = with(&port, "GET http://127.0.0.1:PORT/cleanup/status HTTP/1.1", "Host: evil.com\r\n");
    assert_eq!(reply.status, 403);
    assert_eq!(port.told(), Vec::<String>::new());
}

#[test]
fn web_pages_of_other_origins_are_refused() {
    let port = open();
    for (headers, status) in [
        ("Origin: http://127.0.0.1:PORT\r\n", 200),
        ("Origin: http://127.0.0.1:PORT\r\nSec-Fetch-Site: same-origin\r\n", 200),
        ("Sec-Fetch-Site: none\r\n", 200),
        ("X-Forwarded-Host: evil.com\r\nX-Forwarded-For: 10.0.0.1\r\nForwarded: host=evil.com\r\n", 200),
        // Another name of ours, under which somebody else may have the port.
        ("Origin: http://localhost:PORT\r\n", 403),
        ("Origin: http://[::1]:PORT\r\n", 403),
        ("Origin: http://127.9.9.9:PORT\r\nSec-Fetch-Site: same-origin\r\n", 403),
        ("Origin: null\r\n", 403),
        ("Origin: \r\n", 403),
        ("Origin: http://evil.com\r\n", 403),
        ("Origin: http://127.0.0.1\r\n", 403),
        ("Origin: http://127.0.0.1:1\r\n", 403),
        ("Origin: http://127.0.0.1.evil.com:PORT\r\n", 403),
        ("Origin: https://127.0.0.1:PORT\r\n", 403),
        ("Origin: 127.0.0.1:PORT\r\n", 403),
        ("Origin: http://127.0.0.1:PORT/\r\n", 403),
        ("Origin: http://127.0.0.1:PORT http://evil.com\r\n", 403),
        ("Origin: http://127.0.0.1:PORT\r\nOrigin: http://evil.com\r\n", 403),
        ("Sec-Fetch-Site: cross-site\r\n", 403),
        ("Sec-Fetch-Site: same-site\r\n", 403),
        ("Sec-Fetch-Site: same-origin, none\r\n", 403),
        ("Sec-Fetch-Site: \r\n", 403),
        ("Sec-Fetch-Site: none\r\nSec-Fetch-Site: none\r\n", 403),
    ] {
        for line in [GET, POST] {
            let reply = with(&port, line, &format!("Host: 127.0.0.1:PORT\r\n{headers}"));
            assert_eq!(reply.status, status, "{headers} {line}");
            if status == 403 {
                assert_eq!(reply.code(), "forbidden_origin");
            }
        }
    }
    assert_eq!(port.told().len(), 4);
    for name in ["localhost", "[::1]", "LocalHost"] {
        let headers = format!("Host: {name}:PORT\r\nOrigin: http://{}:PORT\r\n", name.to_lowercase());
        assert_eq!(with(&port, POST, &headers).status, 200, "{name}");
    }
}

#[test]
fn with_the_token_any_host_is_answered_and_without_it_only_ours() {
    let port = Setup { token: true, ..Setup::default() }.open();
    let right = format!("Authorization: Bearer {TOKEN}\r\n");
    for host in ["janitor.example", "janitor.example:PORT", "10.0.0.1:PORT"] {
        for line in [GET, POST] {
            assert_eq!(with(&port, line, &format!("Host: {host}\r\n")).code(), "forbidden_host", "{host}");
            assert_eq!(with(&port, line, &format!("Host: {host}\r\n{right}")).status, 200, "{host} {line}");
        }
    }
    for (origin, status) in
        [("https://janitor.example", 200), ("http://janitor.example", 200), ("http://evil.com", 403)]
    {
        let headers = format!("Host: janitor.example\r\nOrigin: {origin}\r\n{right}");
        assert_eq!(with(&port, POST, &headers).status, status, "{origin}");
    }
    let uri = "GET http://janitor.example/cleanup/status HTTP/1.1";
    assert_eq!(with(&port, uri, &format!("Host: janitor.example\r\n{right}")).status, 200);
    // A page under a name that leads here can try tokens; that does not use up the attempts of its reader.
    for _ in 0..5 {
        let wrong = "Host: evil.com:PORT\r\nOrigin: http://evil.com:PORT\r\nAuthorization: Bearer x\r\n";
        assert_eq!(with(&port, POST, wrong).status, 401);
    }
    assert_eq!(with(&port, POST, &format!("Host: evil.com:PORT\r\n{right}")).status, 429);
    assert_eq!(with(&port, POST, &format!("Host: localhost:PORT\r\n{right}")).status, 200);
}

#[test]
fn where_localhost_may_be_somebody_else_it_is_refused() {
    let mut setup = Setup { token: true, ..Setup::default() };
    setup.localhost = false;
    let port = setup.open();
    for host in ["localhost:PORT", "LOCALHOST:PORT"] {
        let reply = with(&port, POST, &format!("Host: {host}\r\n"));
        assert_eq!((reply.status, reply.code()), (403, "forbidden_host".into()), "{host}");
        assert!(reply.message().contains("use the address of the daemon"), "{}", reply.message());
    }
    assert_eq!(with(&port, POST, "Host: 127.0.0.1:PORT\r\n").status, 200);
    assert_eq!(port.told().len(), 1);
}

#[test]
fn a_forged_host_does_not_open_another_port() {
    let port = open();
    let reply = with(&port, GET, "Host: evil.com\r\nX-Forwarded-Host: 127.0.0.1:PORT\r\n");
    assert_eq!(reply.code(), "forbidden_host");
}

#[test]
fn every_answer_has_the_headers_that_keep_browsers_off() {
    let port = open();
    for (line, status) in [
        ("GET /cleanup/status", 200),
        ("GET /nothing", 404),
        ("OPTIONS /cleanup/status", 405),
        ("POST /cleanup/stop", 200),
        ("GET http://evil.com/", 403),
    ] {
        let reply = port.send(line, "");
        assert_eq!(reply.status, status);
        assert_eq!(reply.header("content-type"), Some("application/json"));
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("content-security-policy"), Some("default-src 'none'"));
        assert!(!reply.head.to_ascii_lowercase().contains("access-control-"), "{}", reply.head);
    }
}

#[test]
fn beyond_loopback_everything_needs_the_token() {
    let mut setup = Setup { beyond: true, token: true, ..Setup::default() };
    setup.server.limits.wrong_tokens = u32::MAX;
    let port = setup.open();
    let right = format!("Authorization: Bearer {TOKEN}\r\n");
    for line in [GET, POST, "GET /healthz HTTP/1.1", "GET /nothing HTTP/1.1", "PATCH /cleanup/stop HTTP/1.1"] {
        for shown in ["", "Authorization: Bearer 0123456789abcdef\r\n", "Authorization: Basic x\r\n"] {
            let reply = with(&port, line, &format!("Host: janitor.example\r\n{shown}"));
            assert_eq!((reply.status, reply.code()), (401, "unauthorized".into()), "{line} {shown}");
            assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
        }
    }
    assert_eq!(port.told(), Vec::<String>::new());
    for (headers, status) in [
        ("Host: janitor.example\r\n", 200),
        ("Host: 192.0.2.1:8000\r\n", 200),
        ("Host: janitor.example\r\nOrigin: https://JANITOR.example\r\n", 200),
        ("Host: janitor.example\r\nOrigin: http://janitor.example\r\n", 200),
        ("Host: janitor.example\r\nOrigin: https://evil.com\r\n", 403),
        ("Host: janitor.example\r\nOrigin: null\r\n", 403),
        ("Host: janitor.example\r\nSec-Fetch-Site: cross-site\r\n", 403),
        ("", 400),
        ("Host: a\r\nHost: a\r\n", 400),
    ] {
        for line in [GET, POST] {
            assert_eq!(with(&port, line, &format!("{headers}{right}")).status, status, "{headers} {line}");
        }
    }
    assert_eq!(port.told().len(), 4);
    port.access.set_token(None);
    let reply = with(&port, GET, &format!("Host: janitor.example\r\n{right}"));
    assert_eq!(reply.status, 401, "without a token nobody is let in");
}
