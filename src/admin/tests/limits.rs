use super::*;

/// What has come by the time the server closes, and how long that took.
fn until_closed(stream: &TcpStream) -> (Vec<u8>, Duration) {
    let begun = clock::mark();
    let bytes = read_all(stream);
    (bytes, begun.elapsed())
}

/// The port with short times, so that tests need not wait.
fn impatient() -> Setup {
    let mut setup = Setup::default();
    setup.server.limits.head = Duration::from_millis(300);
    setup.server.limits.body = Duration::from_millis(300);
    setup
}

#[test]
fn a_slow_head_and_an_idle_connection_are_closed_after_five_seconds() {
    let port = open();
    let silent = port.connect();
    let mut half = port.connect();
    write!(half, "GET /healthz HTTP/1.1\r\nHost: 127").unwrap();
    let mut idle = port.connect();
    write!(idle, "GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", port.address).unwrap();
    let mut dripping = port.connect();
    let dripped = dripping.try_clone().unwrap();
    let drip = std::thread::spawn(move || {
        for byte in b"GET /healthz HTTP/1.1\r\nX: ".iter().chain(std::iter::repeat_n(&b'x', 200)) {
            if dripping.write_all(&[*byte]).is_err() {
                break;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    });
    for (what, stream) in [("silent", silent), ("half", half), ("idle", idle), ("dripping", dripped)] {
        let (bytes, took) = until_closed(&stream);
        // The first waits for all of the time, the others closed while it did.
        assert!(took < Duration::from_secs(9), "{what}: {took:?}");
        if what == "silent" {
            assert!(took > Duration::from_secs(4), "{what}: {took:?}");
        }
        assert_eq!(replies(&bytes, true).len(), usize::from(what == "idle"), "{what}");
    }
    drip.join().unwrap();
}

#[test]
fn a_slow_body_is_not_waited_for() {
    let port = impatient().open();
    for framing in ["Content-Length: 10", "Transfer-Encoding: chunked"] {
        let mut stream = port.connect();
        let head = format!("POST /cleanup/stop HTTP/1.1\r\nHost: {}\r\n{framing}\r\n\r\n", port.address);
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(if framing.contains("chunked") { b"5\r\nab" } else { b"ab" }).unwrap();
        let (bytes, took) = until_closed(&stream);
        let reply = replies(&bytes, true).pop().expect("an answer");
        assert_eq!((reply.status, reply.code()), (408, "request_timeout".into()));
        assert_eq!(reply.header("connection"), Some("close"));
        assert!(took < Duration::from_secs(5), "{took:?}");
    }
    assert_eq!(port.told(), Vec::<String>::new());
}

#[test]
fn a_body_says_nothing_and_is_small() {
    let port = open();
    let with = |body: &str| {
        let headers = format!("Content-Length: {}\r\n\r\n{body}", body.len());
        let request =
            format!("POST /cleanup/stop HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{headers}", port.address);
        port.raw(request.as_bytes()).unwrap()
    };
    for body in ["", "{}", " \r\n{}\n"] {
        assert_eq!(with(body).status, 200, "{body}");
    }
    let largest = "x".repeat(4096);
    for body in ["target=uploads", "{\"dry_run\": true}", "{\"target\":", "[]", "null", "{}{}", &largest] {
        let reply = with(body);
        assert_eq!((reply.status, reply.code()), (400, "bad_request".into()), "{body}");
        assert!(reply.message().contains("parameters go into the address"), "{}", reply.message());
    }
    assert_eq!(port.told(), vec!["stop None"; 3]);
    let chunked = |length: usize| {
        let body = format!("{length:x}\r\n{}\r\n0\r\n\r\n", " ".repeat(length));
        let head = format!("POST /cleanup/stop HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n", port.address);
        port.raw(format!("{head}Transfer-Encoding: chunked\r\n\r\n{body}").as_bytes()).unwrap()
    };
    assert_eq!(chunked(4096).status, 200);
    assert_eq!(port.told(), ["stop None"]);
    let reply = chunked(4097);
    assert_eq!((reply.status, reply.code()), (413, "body_too_large".into()));
    for length in ["4097", "1000000000", "18446744073709551615"] {
        let reply = port.send("POST /cleanup/stop", &format!("Content-Length: {length}\r\n"));
        assert_ne!(reply.status, 200, "{length}");
        if length != "18446744073709551615" {
            assert_eq!((reply.status, reply.code()), (413, "body_too_large".into()), "{length}");
        }
    }
    // A client that asks first is told before it sends.
    let reply = port.send("POST /cleanup/stop", "Content-Length: 5000\r\nExpect: 100-continue\r\n");
    assert_eq!(reply.status, 413);
    assert_eq!(port.told(), Vec::<String>::new());
}

#[test]
fn large_heads_are_refused() {
    let port = open();
    // Two more are sent with each request.
    let many = |count: usize| (2..count).map(|index| format!("X-{index}: y\r\n")).collect::<String>();
    assert_eq!(port.send("GET /healthz", &many(64)).status, 200);
    for headers in
        [format!("X: {}\r\n", "y".repeat(200_000)), format!("X: {}\r\n", "y".repeat(17_000)), many(65), many(200)]
    {
        assert_eq!(port.send("GET /healthz", &headers).status, 431);
    }
    assert_eq!(port.send("GET /healthz", &format!("X: {}\r\n", "y".repeat(8_000))).status, 200);
    let path = |length: usize| port.get(&format!("/{}", "x".repeat(length - 1)));
    assert_eq!(path(2048).status, 404);
    assert_eq!((path(2049).status, path(2049).code()), (414, "uri_too_long".into()));
    assert_eq!(port.get(&format!("/healthz?{}", "x".repeat(2040))).status, 414);
    assert!([414, 431].contains(&path(70_000).status));
}

#[test]
fn what_is_not_http_is_refused() {
    let port = impatient().open();
    let host = format!("Host: {}\r\n\r\n", port.address);
    for bytes in [
        format!("GET /\0healthz HTTP/1.1\r\n{host}"),
        format!("GET /\rhealthz HTTP/1.1\r\n{host}"),
        format!("GET /health z HTTP/1.1\r\n{host}"),
        format!("GET /healthz HTTP/1.1\r\nX: a\0b\r\n{host}"),
        format!("GET /healthz HTTP/1.1\r\nX : b\r\n{host}"),
        format!("GET healthz HTTP/1.1\r\n{host}"),
        format!("G\u{e9}T /healthz HTTP/1.1\r\n{host}"),
        format!("POST /cleanup/stop HTTP/1.1\r\nContent-Length: -1\r\n{host}"),
        format!("POST /cleanup/stop HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n{host}"),
        format!("POST /cleanup/stop HTTP/1.1\r\nTransfer-Encoding: gzip\r\n{host}"),
    ] {
        assert_eq!(port.raw(bytes.as_bytes()).map(|reply| reply.status), Some(400), "{bytes:?}");
    }
    // Another protocol: closed, whatever is said before.
    for bytes in
        [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET /\r\n\r\n"]
    {
        let reply = port.raw(bytes);
        assert!(reply.as_ref().is_none_or(|reply| reply.status >= 400), "{reply:?}");
    }
    assert_eq!(port.told(), Vec::<String>::new());
}

#[test]
fn requests_in_one_go_are_answered_in_order() {
    let port = open();
    let mut stream = port.connect();
    let one = |line: &str, headers: &str| format!("{line} HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", port.address);
    let mut all = String::new();
    for index in 0..50 {
        all += &one("GET /healthz", "");
        all += &one(&format!("POST /cleanup/stop?target={index}"), "Content-Length: 2\r\n");
        all += "{}";
        all += &one("GET /nothing", "");
    }
    all += &one("GET /healthz", "Connection: close\r\n");
    stream.write_all(all.as_bytes()).unwrap();
    let statuses: Vec<u16> = replies(&read_all(&stream), true).iter().map(|reply| reply.status).collect();
    let expected: Vec<u16> = [200, 200, 404].repeat(50).into_iter().chain([200]).collect();
    assert_eq!(statuses, expected);
    assert_eq!(port.told().len(), 50);
}

#[test]
fn a_client_that_does_not_read_is_dropped() {
    let mut setup = Setup::default();
    setup.server.limits.silence = Duration::from_millis(500);
    setup.server.limits.open = 1;
    setup.server.limits.reserved = 0;
    setup.status.targets = (0..2000).map(|index| target(&format!("target-{index}"), TargetState::Scheduled)).collect();
    let port = setup.open();
    let mut stream = port.connect();
    stream.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let request = format!("GET /cleanup/status HTTP/1.1\r\nHost: {}\r\n\r\n", port.address).repeat(100);
    // Until nothing more fits into the buffers of both ends.
    while stream.write_all(request.as_bytes()).is_ok() {}
    let begun = clock::mark();
    // Its place is free again when another client is answered.
    while port
        .raw(request.replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").as_bytes())
        .is_none_or(|reply| reply.status != 200)
    {
        assert!(begun.elapsed() < Duration::from_secs(4), "the place is still taken");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Connections that are known to be served.
fn hold(port: &Port, count: usize) -> Vec<TcpStream> {
    let hold = |_| {
        let mut stream = port.connect();
        write!(stream, "GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", port.address).unwrap();
        stream.peek(&mut [0]).unwrap();
        stream
    };
    (0..count).map(hold).collect()
}

#[test]
fn the_reserve_is_for_those_who_are_trusted() {
    for trusted in [true, false] {
        let mut setup = Setup::default();
        setup.server.limits.open = 2;
        setup.server.limits.reserved = 1;
        if !trusted {
            setup.server.trusted.clear();
        }
        let port = setup.open();
        let mut held = hold(&port, 2);
        if trusted {
            held.extend(hold(&port, 1));
        }
        let turned_away = replies(&read_all(&port.connect()), true).pop().expect("an answer");
        assert_eq!((turned_away.status, turned_away.code()), (503, "too_many_connections".into()), "{trusted}");
        // A place is free again when a connection ends.
        drop(held.pop());
        let begun = clock::mark();
        loop {
            let mut stream = port.connect();
            let request = format!("GET /healthz HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", port.address);
            stream.write_all(request.as_bytes()).ok();
            if read_all(&stream).starts_with(b"HTTP/1.1 200") {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(4), "the place is still taken");
        }
    }
}

#[test]
fn a_panic_ends_its_own_connection_only() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let graceful = GracefulShutdown::new();
        let watcher = graceful.watcher();
        let limits = Limits { open: 1, ..Limits::DEFAULT };
        let places = Places::new(&limits);
        let place = places.take(Who::Uid(7), false).unwrap();
        assert!(places.take(Who::Uid(7), false).is_none());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let _place = place;
            connection::serve(Stream::Port(stream), &limits, watcher, |_| async {
                panic_with("a mistake in a handler")
            })
            .await;
        });
        let ended = tasks.join_next().await.unwrap();
        assert!(ended.as_ref().unwrap_err().is_panic());
        note_panic(ended);
        assert!(places.take(Who::Uid(7), false).is_some(), "its place is free again");
        assert_eq!(read_all(&client), b"");
    });
}
