use super::*;

/// A user that nobody is.
const NOBODY: u32 = u32::MAX - 7;

const CHANGES: [&str; 4] = ["/cleanup/manual", "/cleanup/start", "/cleanup/stop", "/cleanup/reload"];

#[test]
fn the_daemons_own_user_needs_nothing() {
    let port = open();
    for path in CHANGES {
        assert_eq!(port.post(path).status, 200, "{path}");
    }
    assert_eq!(port.told(), ["manual None false", "start None", "stop None", "reload"]);
    let own = rustix::process::geteuid().as_raw();
    let log = port.log.lines();
    for expected in [
        format!("Manual cleanup triggered by uid {own}"),
        format!("Cleanup scheduler started, by uid {own}"),
        format!("Cleanup scheduler stopped, by uid {own}"),
        format!("Configuration reload triggered by uid {own}"),
        format!("Configuration reload by uid {own}: generation 2 is in force"),
    ] {
        assert!(log.contains(&expected), "{expected}: {log:?}");
    }
}

#[test]
fn another_user_may_read_and_change_nothing() {
    let mut setup = Setup::default();
    setup.server.trusted = vec![NOBODY];
    let port = setup.open();
    for path in CHANGES {
        let reply = port.post(path);
        assert_eq!((reply.status, reply.code()), (403, "forbidden".into()), "{path}");
        assert!(reply.message().contains("admin.token_file"), "{}", reply.message());
    }
    assert_eq!(port.get("/cleanup/status").status, 200);
    assert_eq!(port.told(), Vec::<String>::new());
    let denied: Vec<_> = port.log.lines().into_iter().filter(|line| line.starts_with("Refused")).collect();
    assert_eq!(denied.len(), 1, "the other three wait for the minute: {denied:?}");
    assert!(denied[0].contains("POST /cleanup/manual from 127.0.0.1:"), "{denied:?}");
}

#[test]
fn another_user_with_the_token_may() {
    let mut setup = Setup { token: true, ..Setup::default() };
    setup.server.trusted = vec![NOBODY];
    let port = setup.open();
    assert_eq!(port.post("/cleanup/stop").status, 403);
    let reply = port.send("POST /cleanup/stop", &format!("Authorization: bearer {TOKEN}\r\n"));
    assert_eq!(reply.status, 200);
    let own = rustix::process::geteuid().as_raw();
    assert!(port.log.lines().contains(&format!("Cleanup scheduler stopped, by a holder of the token, uid {own}")));
    // A token that was changed counts from the next request on.
    port.access.set_token(Some(token("another-token-0123")));
    assert_eq!(port.send("POST /cleanup/stop", &format!("Authorization: Bearer {TOKEN}\r\n")).status, 401);
    assert_eq!(port.send("POST /cleanup/stop", "Authorization: Bearer another-token-0123\r\n").status, 200);
    assert_eq!(port.told().len(), 2);
    assert!(!port.log.lines().iter().any(|line| line.contains(TOKEN)));
}

#[test]
fn a_wrong_token_does_not_fall_back_to_the_user() {
    for token in [true, false] {
        let mut setup = Setup { token, ..Setup::default() };
        setup.server.limits.wrong_tokens = u32::MAX;
        let port = setup.open();
        assert_eq!(port.post("/cleanup/stop").status, 200);
        let long = format!("Bearer {}", "x".repeat(5000));
        for wrong in ["", "Bearer", "Bearer x", "Basic cm9vdDo=", &TOKEN[1..], &long] {
            let reply = port.send("POST /cleanup/stop", &format!("Authorization: {wrong}\r\n"));
            assert_eq!((reply.status, reply.code()), (401, "unauthorized".into()), "{token} {wrong}");
            assert_eq!(reply.header("www-authenticate"), Some("Bearer"));
        }
        let twice = format!("Authorization: Bearer {TOKEN}\r\nAuthorization: Bearer {TOKEN}\r\n");
        assert_eq!(port.send("POST /cleanup/stop", &twice).status, 401);
        assert_eq!(port.told().len(), 1);
    }
}

#[test]
fn where_the_kernel_does_not_tell_the_token_is_needed() {
    let empty = tempfile::NamedTempFile::new().unwrap();
    let mut setup = Setup { token: true, ..Setup::default() };
    setup.server.lookup = PeerUidLookup::by_tables(vec![empty.path().into()]);
    let port = setup.open();
    let reply = port.post("/cleanup/stop");
    assert_eq!((reply.status, reply.code()), (401, "unauthorized".into()));
    assert!(reply.message().contains("the kernel does not tell"), "{}", reply.message());
    assert_eq!(port.send("POST /cleanup/stop", &format!("Authorization: Bearer {TOKEN}\r\n")).status, 200);
    assert_eq!(port.told().len(), 1);
}

#[test]
fn the_user_is_known_over_ipv6_too() {
    // Nothing that could be installed brings it.
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        crate::needs::say("\n*** NOT RUN: the_user_is_known_over_ipv6_too: there is no IPv6 here ***\n");
        return;
    }
    let port = Setup { listen: "[::1]:0", ..Setup::default() }.open();
    assert_eq!(port.post("/cleanup/stop").status, 200);
}

/// Runs a bash script as another user; only root can.
fn bash_as(uid: u32, script: &str) -> std::process::Command {
    use std::os::unix::process::CommandExt;
    let mut command = std::process::Command::new("bash");
    command.args(["-c", script]).uid(uid).gid(uid);
    command
}

fn ask_as(uid: u32, port: &Port, line: &str) -> Reply {
    let script = format!(
        "exec 3<>/dev/tcp/127.0.0.1/{0}; printf '{line} HTTP/1.1\\r\\nHost: 127.0.0.1:{0}\\r\\n\
         Connection: close\\r\\n\\r\\n' >&3; cat <&3",
        port.address.port()
    );
    let output = bash_as(uid, &script).output().unwrap();
    replies(&output.stdout, true).pop().expect("an answer")
}

#[test]
fn really_another_user_is_refused() {
    if !crate::needs::root() {
        return;
    }
    let port = open();
    assert_eq!(ask_as(0, &port, "POST /cleanup/stop").status, 200);
    let reply = ask_as(65534, &port, "POST /cleanup/stop");
    assert_eq!((reply.status, reply.code()), (403, "forbidden".into()));
    assert!(reply.message().contains("65534"), "{}", reply.message());
    assert_eq!(ask_as(65534, &port, "GET /cleanup/status").status, 200);
    assert_eq!(port.told().len(), 1);
}

#[test]
fn after_five_wrong_tokens_none_is_looked_at_for_a_while() {
    for beyond in [false, true] {
        let port = Setup { token: true, beyond, ..Setup::default() }.open();
        let with = |token: &str| port.send("POST /cleanup/stop", &format!("Authorization: Bearer {token}\r\n"));
        assert_eq!(with(TOKEN).status, 200);
        for index in 0..5 {
            assert_eq!(with("0123456789abcdef").status, 401, "{beyond} {index}");
        }
        for token in ["0123456789abcdef", TOKEN] {
            let reply = with(token);
            assert_eq!((reply.status, reply.code()), (429, "too_many_attempts".into()), "{beyond} {token}");
            let rest: u64 = reply.header("retry-after").expect("a time").parse().unwrap();
            assert!((1..=61).contains(&rest), "{rest}");
        }
        // Without a token the daemon's own user may as before; and reading needs none.
        let own = port.post("/cleanup/stop").status;
        assert_eq!(own, if beyond { 401 } else { 200 });
        assert_eq!(port.get("/cleanup/status").status, if beyond { 401 } else { 200 });
        assert_eq!(port.told().len(), if beyond { 1 } else { 2 });
        let refused = port.log.lines().iter().filter(|line| line.starts_with("Refused")).count();
        assert_eq!(refused, 1, "the others wait for the minute");
    }
}

#[test]
fn wrong_tokens_of_one_user_are_not_counted_for_another() {
    if !crate::needs::root() {
        return;
    }
    let port = Setup { token: true, ..Setup::default() }.open();
    // What `ask_as` puts behind the line is the value of a header then.
    let line =
        |token: &str| format!("POST /cleanup/stop?x=y HTTP/1.1\\r\\nAuthorization: Bearer {token}\\r\\nX-Rest: y");
    for _ in 0..5 {
        assert_eq!(ask_as(65534, &port, &line("0123456789abcdef")).status, 401);
    }
    assert_eq!(ask_as(65534, &port, &line(TOKEN)).status, 429);
    assert_eq!(ask_as(65533, &port, &line(TOKEN)).code(), "bad_request", "let in, and then the query is wrong");
    let right = format!("Authorization: Bearer {TOKEN}\r\n");
    assert_eq!(port.send("POST /cleanup/stop", &right).status, 200);
}

#[test]
fn another_user_cannot_lock_root_out() {
    if !crate::needs::root() {
        return;
    }
    let mut setup = Setup::default();
    setup.server.limits.head = Duration::from_secs(60); // the crowd stays for as long as the test may take
    let port = setup.open();
    let script = format!(
        "for i in {{1..100}}; do exec {{fd}}<>/dev/tcp/127.0.0.1/{} || exit; done; echo; read -r line",
        port.address.port()
    );
    let mut crowd = bash_as(65534, &script)
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    crowd.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
    // All of its 100 connections are made, and 32 have a place.
    assert_eq!(ask_as(65534, &port, "GET /healthz").code(), "too_many_connections");
    for _ in 0..20 {
        assert_eq!(port.get("/cleanup/status").status, 200);
        assert_eq!(port.post("/cleanup/stop").status, 200);
    }
    drop(crowd.stdin.take());
    crowd.wait().unwrap();
}
