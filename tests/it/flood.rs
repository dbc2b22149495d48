//! One user who holds and floods the port with connections, and root who calls it all the same.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::daemon::{Daemon, PATIENCE, wait_for};
use super::needs;
use super::users::{ATTACKER, can_be_others};
use super::yard::Yard;

/// Connections that the flood holds at a time.
const CONNECTIONS: usize = 1000;

/// Threads of the flood.
const THREADS: usize = 4;

/// Longest life of a flood whose test has gone.
const LONGEST: Duration = Duration::from_secs(60);

/// Calls of root during the flood.
const CALLS: usize = 26;

/// Time in which each of them has to be answered.
const LIMIT: Duration = Duration::from_secs(3);

#[expect(clippy::disallowed_methods, reason = "it is real time that is measured")]
fn now() -> Instant {
    Instant::now()
}

/// A process of another user that floods a port until this is dropped.
struct Flood(Child);

impl Flood {
    fn start(port: SocketAddr) -> Self {
        let mut command = ATTACKER.command(std::env::current_exe().expect("this program"));
        command.args(["--exact", "flood::flooder", "--ignored", "--nocapture"]);
        command.env("JANITOR_FLOODED", port.to_string()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let flood = Self(child);
        assert!(lines.map_while(Result::ok).any(|line| line.contains("flooding")), "the flood is at work");
        flood
    }
}

impl Drop for Flood {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

/// Keeps its share of the connections: some with half a request, some with one request after the other.
fn flood(port: SocketAddr, filled: &std::sync::Barrier) {
    let whole = format!("GET /cleanup/status HTTP/1.1\r\nHost: {port}\r\n\r\n");
    let half = format!("GET /cleanup/status HTTP/1.1\r\nHost: {port}");
    let begun = now();
    let mut held: Vec<Option<TcpStream>> = (0..CONNECTIONS / THREADS).map(|_| None).collect();
    let mut buffer = [0; 16 * 1024];
    let mut is_filled = false;
    while begun.elapsed() < LONGEST {
        for (number, slot) in held.iter_mut().enumerate() {
            let request = if number % 2 == 0 { &half } else { &whole };
            let Some(stream) = slot else {
                if let Ok(mut stream) = TcpStream::connect_timeout(&port, Duration::from_millis(50)) {
                    _ = stream.set_nonblocking(true);
                    _ = stream.write(request.as_bytes());
                    *slot = Some(stream);
                }
                continue;
            };
            match stream.read(&mut buffer) {
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Ok(1..) if number % 2 == 1 => _ = stream.write(request.as_bytes()),
                Ok(_) | Err(_) => *slot = None,
            }
        }
        if !is_filled {
            is_filled = true;
            filled.wait();
        }
    }
}

/// Not a test: the flood, as another user.
#[test]
#[ignore = "it is the flood of another test"]
fn flooder() {
    let Ok(port) = std::env::var("JANITOR_FLOODED") else { return };
    let port: SocketAddr = port.parse().expect("an address");
    let filled = std::sync::Barrier::new(THREADS + 1);
    std::thread::scope(|threads| {
        for _ in 0..THREADS {
            threads.spawn(|| flood(port, &filled));
        }
        filled.wait();
        writeln!(std::io::stdout(), "flooding").expect("somebody listens");
    });
}

/// Calls the port once; how long it took, when it was answered in time.
fn call(port: SocketAddr, method: &str, path: &str) -> Option<Duration> {
    let begun = now();
    let left = || LIMIT.checked_sub(begun.elapsed()).filter(|left| !left.is_zero());
    let mut stream = TcpStream::connect_timeout(&port, LIMIT).ok()?;
    let request = format!("{method} {path} HTTP/1.1\r\nHost: {port}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let (mut answer, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        stream.set_read_timeout(Some(left()?)).ok()?;
        match stream.read(&mut buffer).ok()? {
            0 => break,
            count => answer.extend_from_slice(&buffer[..count]),
        }
    }
    (answer.starts_with(b"HTTP/1.1 200 ") && left().is_some()).then(|| begun.elapsed())
}

#[test]
fn one_user_with_a_thousand_connections_does_not_keep_root_out() {
    if !can_be_others() {
        return;
    }
    let yard = Yard::new();
    let daemon = Daemon::with(&yard, "");
    let flood = Flood::start(daemon.port());
    let calls = [("GET", "/cleanup/status"), ("POST", "/cleanup/start")];
    let answers: Vec<_> =
        calls.into_iter().cycle().take(CALLS).map(|(method, path)| call(daemon.port(), method, path)).collect();
    let answered: Vec<Duration> = answers.iter().copied().flatten().collect();
    needs::say(&format!(
        "flood: {CONNECTIONS} connections of another user, {} of {CALLS} calls of root answered within {} s, the \
         slowest after {:?}",
        answered.len(),
        LIMIT.as_secs(),
        answered.iter().max(),
    ));
    assert_eq!(answered.len(), CALLS, "{answers:?}");
    drop(flood);
    let begun = now();
    wait_for("an answer after the flood", || call(daemon.port(), "GET", "/healthz"));
    assert!(begun.elapsed() < PATIENCE);
}
