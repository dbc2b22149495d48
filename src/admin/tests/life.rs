use super::*;

#[test]
fn a_port_that_is_taken_is_said_to_be() {
    let bound = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = bound.address().unwrap();
    assert_ne!(address.port(), 0);
    let error = bind(address).unwrap_err();
    let said = format!("cannot listen on {address}: address already in use (is another janitor running?)");
    assert_eq!(error.to_string(), said);
    assert!(std::error::Error::source(&error).is_some());
    // An address that no machine has.
    let error = bind("192.0.2.1:0".parse().unwrap()).unwrap_err().to_string();
    assert!(error.starts_with("cannot listen on 192.0.2.1:0: "), "{error}");
    drop(bound);
    assert!(bind(address).is_ok());
}

#[test]
fn a_shutdown_lets_what_is_being_worked_on_end() {
    let (release, released) = std::sync::mpsc::channel::<oneshot::Sender<Arc<Report>>>();
    let mut setup = Setup::default();
    setup.server.limits.drain = Duration::from_secs(20);
    setup.script.manual = Box::new(move |_, _| {
        let (done, receiver) = oneshot::channel();
        release.send(done).unwrap();
        let started = vec![StartedRun { run: RunId::new(instant()), target: name("uploads"), done: receiver }];
        Ok(ManualRuns { started, busy: Vec::new() })
    });
    let mut port = setup.open();
    let mut waiting = port.connect();
    write!(waiting, "POST /cleanup/manual HTTP/1.1\r\nHost: {}\r\n\r\n", port.address).unwrap();
    let done = released.recv().unwrap();
    let mut idle = port.connect();
    write!(idle, "GET /healthz HTTP/1.1\r\nHost: {}\r\n\r\n", port.address).unwrap();
    idle.peek(&mut [0]).unwrap();
    port.stop.take();
    // The idle connection is closed, and no new one is accepted; the run's answer still arrives.
    assert_eq!(replies(&read_all(&idle), true).len(), 1);
    // The run takes a while yet; a port that did not wait would be gone by then.
    std::thread::sleep(Duration::from_millis(100));
    done.send(Arc::new(report("uploads", Outcome::Cancelled))).unwrap();
    let replies = replies(&read_all(&waiting), true);
    assert_eq!(replies[0].code(), "run_failed");
    port.thread.take().unwrap().join().unwrap();
    assert!(TcpStream::connect(port.address).is_err());
    assert!(!port.socket.exists(), "a socket that nobody serves is removed");
    port.thread = Some(std::thread::spawn(|| {}));
}

#[test]
fn a_shutdown_does_not_wait_for_ever() {
    let mut setup = Setup::default();
    setup.script.manual = Box::new(move |_, _| {
        let (done, receiver) = oneshot::channel();
        std::mem::forget(done);
        let started = vec![StartedRun { run: RunId::new(instant()), target: name("uploads"), done: receiver }];
        Ok(ManualRuns { started, busy: Vec::new() })
    });
    let port = setup.open();
    let mut waiting = port.connect();
    write!(waiting, "POST /cleanup/manual HTTP/1.1\r\nHost: {}\r\n\r\n", port.address).unwrap();
    while port.told().is_empty() {
        std::thread::yield_now();
    }
    let begun = clock::mark();
    drop(port);
    let took = begun.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    assert_eq!(read_all(&waiting), b"");
    waiting.shutdown(Shutdown::Both).ok();
}

/// Waits for something that is to come about soon.
fn soon(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = clock::mark();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_client_that_leaves_while_it_waits_stops_nothing() {
    let (release, released) = std::sync::mpsc::channel::<oneshot::Sender<Arc<Report>>>();
    let mut setup = Setup::default();
    setup.script.manual = Box::new(move |_, _| {
        let (done, receiver) = oneshot::channel();
        release.send(done).unwrap();
        let started = vec![StartedRun { run: RunId::new(instant()), target: name("uploads"), done: receiver }];
        Ok(ManualRuns { started, busy: Vec::new() })
    });
    let port = setup.open();
    let mut client = port.connect();
    write!(client, "POST /cleanup/manual HTTP/1.1\r\nHost: {}\r\n\r\n", port.address).unwrap();
    let done = released.recv().unwrap();
    drop(client);
    soon("the port does not notice", || done.is_closed());
    assert_eq!(port.get("/healthz").status, 200);
}

#[test]
fn what_was_allowed_is_carried_out_and_logged_though_the_client_left() {
    let (go_on, wait) = std::sync::mpsc::channel::<()>();
    let mut setup = Setup::default();
    setup.server.limits.open = 1;
    setup.server.limits.reserved = 0;
    setup.script.manual = Box::new(move |_, _| {
        wait.recv().unwrap();
        Ok(ManualRuns { started: vec![ran(report("uploads", Outcome::Done))], busy: Vec::new() })
    });
    let port = setup.open();
    let mut client = port.connect();
    write!(client, "POST /cleanup/manual HTTP/1.1\r\nHost: {}\r\n\r\n", port.address).unwrap();
    soon("the supervisor is not told", || !port.told().is_empty());
    drop(client);
    // Its place is free: the connection is gone, while the supervisor has not answered yet.
    soon("the place is still taken", || port.get("/healthz").status == 200);
    assert!(!port.log.lines().iter().any(|line| line.contains("started uploads")));
    go_on.send(()).unwrap();
    soon("the outcome is not logged", || port.log.lines().iter().any(|line| line.contains("started uploads (")));
}
