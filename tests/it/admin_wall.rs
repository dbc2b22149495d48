//! The wall before the admin port.

use std::fs::{self, Permissions};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use super::client::{Answer, raw, request, request_with};
use super::daemon::{Daemon, PORT_ANY};
use super::needs;
use super::yard::Yard;

const PATIENCE: Duration = Duration::from_secs(20);

/// Sends a head as it is, with the port where `PORT` stands.
fn head(to: SocketAddr, lines: &str) -> Answer {
    let request = lines.replace("PORT", &to.port().to_string()).replace('\n', "\r\n") + "\r\n\r\n";
    raw(to, request.as_bytes(), PATIENCE)
}

#[test]
fn only_the_daemons_own_name_is_answered() {
    let yard = Yard::new();
    let daemon = Daemon::with(&yard, "");
    let port = daemon.port();
    let with =
        |host: &str| head(port, &format!("GET /cleanup/status HTTP/1.1\nHost: {host}\nConnection: close")).status;
    for good in ["127.0.0.1:PORT", "localhost:PORT", "LOCALHOST:PORT", "[::1]:PORT", "127.9.9.9:PORT"] {
        assert_eq!(with(good), 200, "{good}");
    }
    for bad in [
        "127.0.0.1.evil.com",
        "127.0.0.1.evil.com:PORT",
        "evil.com:PORT",
        "localhost.evil.com:PORT",
        "127.evil.com:PORT",
        "localhost",
        "127.0.0.1",
        "127.0.0.1:1",
        "0x7f.1:PORT",
        "2130706433:PORT",
        "10.0.0.1:PORT",
        "user@127.0.0.1:PORT",
        "localhost.:PORT",
    ] {
        assert!(matches!(with(bad), 400 | 403), "{bad}: {}", with(bad));
    }
    assert_eq!(with("evil.com:PORT"), 403);
    for bad in [
        "GET /cleanup/status HTTP/1.1\nConnection: close",
        "GET /cleanup/status HTTP/1.1\nHost: 127.0.0.1:PORT\nHost: evil.com\nConnection: close",
        "GET /cleanup/status HTTP/1.1\nHost: evil.com\nHost: 127.0.0.1:PORT\nConnection: close",
        "GET http://evil.com/cleanup/status HTTP/1.1\nHost: 127.0.0.1:PORT\nConnection: close",
        "GET /cleanup/status HTTP/1.1\nHost:\nConnection: close",
    ] {
        let answer = head(port, bad);
        assert!(matches!(answer.status, 400 | 403), "{bad}: {answer:?}");
        assert!(!answer.body.contains("is_running"), "{bad}");
    }
}

#[test]
fn web_pages_are_kept_out() {
    let yard = Yard::new();
    yard.file("marked_images/a");
    let daemon = Daemon::with(&yard, "");
    let port = daemon.port();
    for header in ["Origin: http://evil.com", "Origin: null", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"]
    {
        assert_eq!(request_with(port, "POST", "/cleanup/manual", &[header]).status, 403, "{header}");
        assert_eq!(request_with(port, "GET", "/cleanup/status", &[header]).status, 403, "{header}");
    }
    assert_eq!(yard.left("marked_images"), ["a"]);
    let own = format!("Origin: http://{port}");
    let answer = request_with(port, "POST", "/cleanup/manual", &[&own, "Sec-Fetch-Site: same-origin"]);
    assert_eq!(answer.status, 200);
    assert!(answer.headers.iter().all(|(name, _)| !name.starts_with("access-control")), "{answer:?}");
}

#[test]
fn errors_are_json_and_get_changes_nothing() {
    let yard = Yard::new();
    yard.file("marked_images/a");
    let daemon = Daemon::with(&yard, "");
    let port = daemon.port();
    for (method, path, status, error) in [
        ("GET", "/cleanup/manual", 405, "method_not_allowed"),
        ("GET", "/cleanup/stop", 405, "method_not_allowed"),
        ("POST", "/cleanup/status", 405, "method_not_allowed"),
        ("DELETE", "/cleanup/status", 405, "method_not_allowed"),
        ("OPTIONS", "/cleanup/manual", 405, "method_not_allowed"),
        ("GET", "/x", 404, "not_found"),
        ("GET", "/cleanup/status/", 404, "not_found"),
        ("GET", "/../etc/passwd", 404, "not_found"),
        ("POST", "/cleanup/manual?target=a&target=b", 400, "bad_request"),
        ("POST", "/cleanup/manual?dry_run=yes", 400, "bad_request"),
        ("POST", "/cleanup/manual?dryrun=true", 400, "bad_request"),
        ("POST", "/cleanup/stop?target=x%0Ay", 404, "unknown_target"),
    ] {
        let answer = request(port, method, path);
        let json = answer.json();
        assert_eq!((answer.status, &json["error"]), (status, &error.into()), "{method} {path}: {json}");
        assert_eq!(json["success"], false);
        assert!(json["message"].as_str().is_some_and(|message| !message.is_empty()));
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.header("allow").is_some(), status == 405, "{method} {path}");
    }
    assert_eq!(daemon.status()["is_running"], true);
    assert_eq!(yard.left("marked_images"), ["a"]);
    assert!(daemon.log().lines().all(|line| !line.starts_with('y')), "a line break in a parameter makes no line");
    for path in ["/healthz", "/readyz", "/cleanup/status"] {
        assert_eq!(request(port, "GET", path).status, 200, "{path}");
        let answer = request(port, "HEAD", path);
        assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{path}");
    }
}

#[test]
fn too_much_is_refused() {
    let yard = Yard::new();
    let daemon = Daemon::with(&yard, "");
    let port = daemon.port();
    let header = format!("GET /cleanup/status HTTP/1.1\nHost: 127.0.0.1:PORT\nX: {}", "x".repeat(200_000));
    assert_eq!(head(port, &header).status, 431);
    let many: String = (0..200).map(|number| format!("\nX-{number}: x")).collect();
    assert_eq!(head(port, &format!("GET /cleanup/status HTTP/1.1\nHost: 127.0.0.1:PORT{many}")).status, 431);
    let long = format!("/cleanup/status?{}", "x".repeat(3000));
    assert_eq!(request(port, "GET", &long).status, 414);
    let body =
        format!("POST /cleanup/stop HTTP/1.1\r\nHost: {port}\r\nContent-Length: 10000\r\n\r\n{}", "x".repeat(10_000));
    assert_eq!(raw(port, body.as_bytes(), PATIENCE).status, 413);
    let declared = format!("POST /cleanup/stop HTTP/1.1\r\nHost: {port}\r\nContent-Length: 1000000000\r\n\r\n");
    assert_eq!(raw(port, declared.as_bytes(), PATIENCE).status, 413);
    assert_eq!(daemon.status()["is_running"], true, "none of that stopped anything");
}

#[test]
fn parameters_in_a_body_are_refused() {
    let yard = Yard::new();
    yard.file("marked_images/a");
    let daemon = Daemon::with(&yard, "");
    let port = daemon.port();
    let with = |body: &str| {
        let head = format!("POST /cleanup/manual HTTP/1.1\r\nHost: {port}\r\nConnection: close\r\n");
        raw(port, format!("{head}Content-Length: {}\r\n\r\n{body}", body.len()).as_bytes(), PATIENCE)
    };
    for body in ["{\"dry_run\": true}", "{\"target\": \"other\"}", "dry_run=true", "null"] {
        let answer = with(body);
        assert_eq!((answer.status, &answer.json()["error"]), (400, &"bad_request".into()), "{body}: {answer:?}");
    }
    assert_eq!(yard.left("marked_images"), ["a"]);
    assert_eq!(with("{}").status, 200);
    assert!(yard.left("marked_images").is_empty());
}

#[test]
fn slow_headers_are_cut_off_after_about_five_seconds() {
    let yard = Yard::new();
    let daemon = Daemon::with(&yard, "");
    for begin in ["", "GET /cleanup/status HTTP/1.1\r\nHost: 127"] {
        let mut stream = TcpStream::connect(daemon.port()).expect("the port is open");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time");
        stream.write_all(begin.as_bytes()).expect("sent");
        #[expect(clippy::disallowed_methods, reason = "it is real time that is measured")]
        let began = std::time::Instant::now();
        let mut rest = Vec::new();
        stream.read_to_end(&mut rest).expect("closed, not timed out");
        let took = began.elapsed();
        assert!(took > Duration::from_secs(4) && took < Duration::from_secs(12), "{took:?} after {begin:?}");
        assert_eq!(daemon.get("/healthz").status, 200);
    }
}

#[test]
fn another_user_may_look_but_not_touch() {
    if !needs::root() || !needs::tool("curl") {
        return;
    }
    let yard = Yard::new();
    yard.file("marked_images/a");
    let daemon = Daemon::with(&yard, "");
    let asked = |method: &str, path: &str| {
        let mut curl = Command::new("setpriv");
        curl.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "curl", "-s", "-o", "/dev/null"]);
        curl.args(["-w", "%{http_code}", "-X", method, &format!("http://{}{path}", daemon.port())]);
        String::from_utf8(curl.output().expect("curl runs").stdout).expect("a number")
    };
    assert_eq!(asked("GET", "/cleanup/status"), "200");
    for path in ["/cleanup/manual", "/cleanup/stop", "/cleanup/start", "/cleanup/reload"] {
        assert_eq!(asked("POST", path), "403", "{path}");
    }
    assert_eq!(asked("GET", "/cleanup/explain?target=marked_images&path=a"), "403", "it names files");
    assert_eq!(yard.left("marked_images"), ["a"]);
    assert_eq!(daemon.status()["is_running"], true);
}

#[test]
fn a_wrong_token_does_not_open_and_after_five_none_is_looked_at() {
    let yard = Yard::new();
    yard.file("token");
    fs::write(yard.path("token"), "0123456789abcdef0123456789abcdef\n").expect("written");
    fs::set_permissions(yard.path("token"), Permissions::from_mode(0o600)).expect("ours");
    yard.config(&PORT_ANY.replace("[admin]", "[admin]\ntoken_file = \"token\""));
    let daemon = Daemon::start(&yard);
    let with = |token: &str| {
        request_with(daemon.port(), "POST", "/cleanup/stop", &[&format!("Authorization: Bearer {token}")])
    };
    for wrong in ["0123456789abcdef0123456789abcdeF", "0123456789abcdef", "", "0123456789abcdef0123456789abcdef0", "x"]
    {
        let answer = with(wrong);
        assert_eq!((answer.status, &answer.json()["error"]), (401, &"unauthorized".into()), "{wrong}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    let answer = with("0123456789abcdef0123456789abcdef");
    assert_eq!((answer.status, &answer.json()["error"]), (429, &"too_many_attempts".into()));
    assert!(answer.header("retry-after").is_some_and(|rest| rest.parse::<u64>().is_ok()), "{answer:?}");
    assert_eq!(daemon.post("/cleanup/stop").status, 200, "the daemon's own user needs none");
}

#[test]
fn a_token_opens_and_a_wrong_one_does_not() {
    let yard = Yard::new();
    yard.file("token");
    fs::write(yard.path("token"), "0123456789abcdef0123456789abcdef\n").expect("written");
    fs::set_permissions(yard.path("token"), Permissions::from_mode(0o600)).expect("ours");
    yard.config(&PORT_ANY.replace("[admin]", "[admin]\ntoken_file = \"token\""));
    let daemon = Daemon::start(&yard);
    let with = |token: &str| {
        request_with(daemon.port(), "POST", "/cleanup/stop", &[&format!("Authorization: Bearer {token}")])
    };
    assert_eq!(with("0123456789abcdef0123456789abcdef").status, 200);
    // A new token is taken over with the next reload.
    fs::write(yard.path("token"), "fedcba9876543210fedcba9876543210\n").expect("written");
    let text = fs::read_to_string(yard.path("config/janitor.toml")).expect("there");
    yard.config(&format!("{text}[log]\nkeep = 3\n"));
    assert_eq!(daemon.post("/cleanup/reload").status, 200);
    assert_eq!(with("0123456789abcdef0123456789abcdef").status, 401);
    assert_eq!(with("fedcba9876543210fedcba9876543210").status, 200);
    // Also where the config itself did not change.
    fs::write(yard.path("token"), "00112233445566778899aabbccddeeff\n").expect("written");
    assert_eq!(daemon.post("/cleanup/reload").status, 200);
    assert_eq!(with("fedcba9876543210fedcba9876543210").status, 401);
    // One that cannot be read leaves the one before, and the status says so.
    fs::set_permissions(yard.path("token"), Permissions::from_mode(0o644)).expect("ours");
    assert_eq!(daemon.post("/cleanup/reload").status, 200);
    assert_eq!(with("00112233445566778899aabbccddeeff").status, 200);
    let not_applied = daemon.status()["config"]["not_applied"].clone();
    assert!(not_applied[0].as_str().is_some_and(|why| why.starts_with("admin.token_file: ")), "{not_applied}");
}

#[test]
fn a_token_that_others_can_read_is_refused() {
    let yard = Yard::new();
    yard.file("token");
    fs::write(yard.path("token"), "0123456789abcdef0123456789abcdef\n").expect("written");
    fs::set_permissions(yard.path("token"), Permissions::from_mode(0o644)).expect("ours");
    yard.config(&PORT_ANY.replace("[admin]", "[admin]\ntoken_file = \"token\""));
    for command in ["run", "check"] {
        let ran = yard.run(&[command]);
        assert_eq!(ran.code, Some(78), "{ran:?}");
        assert!(ran.err.contains("token"), "{ran:?}");
    }
}
