use super::*;

const HOST: &str = "Host: localhost\r\n";

fn uid() -> u32 {
    rustix::process::geteuid().as_raw()
}

#[test]
fn the_socket_has_the_routes_of_the_port_and_knows_who_calls() {
    let port = open();
    let reply = port.through_socket("GET /cleanup/status", HOST);
    assert_eq!(reply.status, 200);
    assert_eq!(reply.json()["scheduler_status"]["total_jobs"], 2);
    for path in ["/cleanup/manual", "/cleanup/start", "/cleanup/stop", "/cleanup/reload"] {
        assert_eq!(port.through_socket(&format!("POST {path}"), HOST).status, 200, "{path}");
    }
    assert_eq!(port.told(), ["manual None false", "start None", "stop None", "reload"]);
    let pid = std::process::id();
    let log = port.log.lines();
    for expected in [
        format!("Manual cleanup triggered by uid {} (pid {pid})", uid()),
        format!("Cleanup scheduler started, by uid {} (pid {pid})", uid()),
        format!("Cleanup scheduler stopped, by uid {} (pid {pid})", uid()),
        format!("Configuration reload by uid {} (pid {pid}): generation 2 is in force", uid()),
    ] {
        assert!(log.contains(&expected), "{expected}: {log:?}");
    }
}

#[test]
fn the_wall_of_the_socket_is_that_of_the_port_for_any_number() {
    let port = open();
    for (headers, status) in [
        ("Host: localhost\r\n", 200),
        ("Host: LOCALHOST:1\r\n", 200),
        ("Host: 127.0.0.1:8000\r\n", 200),
        ("Host: [::1]\r\n", 200),
        ("Host: localhost\r\nOrigin: http://localhost\r\n", 200),
        ("Host: localhost\r\nSec-Fetch-Site: same-origin\r\n", 200),
        ("", 400),
        ("Host: localhost\r\nHost: localhost\r\n", 400),
        ("Host: evil.com\r\n", 403),
        ("Host: 127.0.0.1.evil.com\r\n", 403),
        ("Host: \r\n", 403),
        ("Host: localhost\r\nOrigin: http://evil.com\r\n", 403),
        ("Host: localhost\r\nOrigin: http://localhost:1\r\n", 403),
        ("Host: localhost\r\nOrigin: null\r\n", 403),
        ("Host: localhost\r\nSec-Fetch-Site: cross-site\r\n", 403),
    ] {
        for line in ["GET /cleanup/status", "POST /cleanup/stop"] {
            assert_eq!(port.through_socket(line, headers).status, status, "{headers:?} {line}");
        }
    }
    assert_eq!(port.told().len(), 6);
}

#[test]
fn another_user_at_the_socket_needs_the_token() {
    let mut setup = Setup { token: true, ..Setup::default() };
    setup.server.trusted = vec![u32::MAX - 7];
    let port = setup.open();
    let reply = port.through_socket("POST /cleanup/stop", HOST);
    assert_eq!((reply.status, reply.code()), (403, "forbidden".into()));
    assert!(reply.message().contains(&format!("user {}", uid())), "{}", reply.message());
    assert_eq!(port.through_socket("GET /cleanup/status", HOST).status, 200);
    let refused = port.log.lines().into_iter().find(|line| line.starts_with("Refused")).expect("a line");
    let from = format!("from the socket, uid {} (pid {})", uid(), std::process::id());
    assert!(refused.contains(&from), "{refused}");
    let right = format!("{HOST}Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(port.through_socket("POST /cleanup/stop", &right).status, 200);
    let by = format!("by a holder of the token, uid {} (pid {})", uid(), std::process::id());
    assert!(port.log.lines().iter().any(|line| line.ends_with(&by)), "{:?}", port.log.lines());
    // Wrong ones are counted for the user, wherever they are shown.
    for _ in 0..5 {
        assert_eq!(port.send("POST /cleanup/stop", "Authorization: Bearer x\r\n").status, 401);
    }
    assert_eq!(port.through_socket("POST /cleanup/stop", &right).status, 429);
}

#[test]
fn beside_a_port_beyond_loopback_the_socket_knows_its_users_all_the_same() {
    let port = Setup { beyond: true, token: true, ..Setup::default() }.open();
    assert_eq!(port.get("/cleanup/status").status, 401);
    assert_eq!(port.through_socket("GET /cleanup/status", HOST).status, 200);
    assert_eq!(port.through_socket("POST /cleanup/stop", HOST).status, 200);
    assert_eq!(port.through_socket("GET /cleanup/status", "Host: janitor.example\r\n").status, 403);
}

#[test]
fn a_port_that_is_full_leaves_the_socket_answering() {
    let mut setup = Setup::default();
    setup.server.limits.open = 2;
    setup.server.limits.reserved = 0;
    let port = setup.open();
    let _held: Vec<TcpStream> = (0..20).map(|_| port.connect()).collect();
    let reply = replies(&read_all(&port.connect()), true).pop().expect("an answer");
    assert_eq!(reply.code(), "too_many_connections");
    for _ in 0..20 {
        assert_eq!(port.through_socket("GET /cleanup/status", HOST).status, 200);
    }
}

#[test]
fn a_client_of_the_socket_that_sends_nothing_is_closed() {
    let mut setup = Setup::default();
    setup.server.limits.head = Duration::from_millis(200);
    let port = setup.open();
    let stream = UnixStream::connect(&port.socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    assert_eq!(read_to_end(&stream), b"");
}
