//! The admin port under abuse, beyond what `admin_wall` and the tests beside the code send: many connections, many
//! requests, and too few descriptors. What needs tools (slowhttptest, wrk) is in `tests/abuse/run.py`.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;

use super::client::raw;
use super::daemon::{Daemon, PATIENCE, PORT_ANY, wait_for};
use super::yard::{JANITOR, Yard};

fn descriptors(daemon: &Daemon<'_>) -> usize {
    fs::read_dir(format!("/proc/{}/fd", daemon.id())).expect("readable").count()
}

/// The processor time that the daemon has used, in ticks of 10 ms.
fn ticks(daemon: &Daemon<'_>) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{}/stat", daemon.id())).expect("readable");
    let fields: Vec<&str> = stat.rsplit(") ").next().expect("fields").split(' ').collect();
    fields[11..13].iter().map(|field| field.parse::<u64>().expect("a number")).sum()
}

/// The memory that the daemon has, in kB.
fn memory(daemon: &Daemon<'_>) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", daemon.id())).expect("readable");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("there");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}

/// Waits until no connection is held any more. The daemon itself opens a few files after it says that it is up.
fn settled(daemon: &Daemon<'_>, before: usize) {
    wait_for("the descriptors to be given back", || (descriptors(daemon) <= before + 10).then_some(()));
}

fn get(daemon: &Daemon<'_>, headers: &str) -> String {
    format!("GET /healthz HTTP/1.1\r\nHost: {}\r\n{headers}\r\n", daemon.port())
}

#[test]
fn ten_thousand_connections_one_after_the_other_leave_nothing_behind() {
    let yard = Yard::new();
    let daemon = Daemon::with(&yard, "");
    let before = descriptors(&daemon);
    for number in 0..10_000 {
        let mut stream = TcpStream::connect(daemon.port()).unwrap_or_else(|error| panic!("{number}: {error}"));
        if number % 100 == 0 {
            stream.write_all(get(&daemon, "Connection: close\r\n").as_bytes()).expect("sent");
            let mut answer = String::new();
            // Some of those before may not have been noticed to be gone, and there may be no place just now.
            drop(stream.read_to_string(&mut answer));
            assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 "), "{number}: {answer}");
        }
    }
    settled(&daemon, before);
    assert_eq!(daemon.get("/cleanup/status").status, 200);
}

#[test]
fn a_storm_of_resets_leaves_nothing_behind() {
    let yard = Yard::new();
    let daemon = Daemon::with(&yard, "");
    let before = descriptors(&daemon);
    for number in 0..3000 {
        let mut stream = TcpStream::connect(daemon.port()).unwrap_or_else(|error| panic!("{number}: {error}"));
        set_socket_linger(&stream, Some(Duration::ZERO)).expect("set");
        match number % 3 {
            0 => {}
            1 => drop(stream.write_all(b"POST /cleanup/stop HTTP/1.1\r\nHost: 127")),
            _ => drop(stream.write_all(get(&daemon, "").repeat(20).as_bytes())),
        }
        // With this time of none, closing is a reset.
        drop(stream);
    }
    settled(&daemon, before);
    assert_eq!(daemon.status()["is_running"], true);
    assert!(!daemon.log().contains("panicked") && daemon.count("failed inside the daemon") == 0, "{}", daemon.log());
}

#[test]
fn a_thousand_requests_in_one_go_are_answered_in_order() {
    let yard = Yard::new();
    let daemon = Daemon::with(&yard, "");
    let mut stream = TcpStream::connect(daemon.port()).expect("open");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time");
    let mut sending = stream.try_clone().expect("another handle");
    let all = get(&daemon, "").repeat(999) + &get(&daemon, "Connection: close\r\n");
    // Whoever sends so much without reading would wait for ever where the other side does not read on.
    let sent = std::thread::spawn(move || sending.write_all(all.as_bytes()));
    let mut answers = String::new();
    stream.read_to_string(&mut answers).expect("read to its end");
    sent.join().expect("no panic").expect("sent");
    assert_eq!(answers.matches("HTTP/1.1 200 OK\r\n").count(), 1000);
    assert_eq!(answers.matches("HTTP/1.1 ").count(), 1000);
}

#[test]
fn a_body_without_end_is_neither_read_nor_kept() {
    let yard = Yard::new();
    let daemon = Daemon::with(&yard, "");
    let before = memory(&daemon);
    let head = format!("POST /cleanup/stop HTTP/1.1\r\nHost: {}\r\nTransfer-Encoding: chunked\r\n\r\n", daemon.port());
    // Large chunks, very many small ones, one that says it is enormous, and an extension of a chunk without end.
    let large = format!("10000\r\n{}\r\n", "x".repeat(0x10000)).repeat(500);
    let small = "1\r\nx\r\n".repeat(2_000_000);
    let enormous = format!("FFFFFFFFFFFFFFF0\r\n{}", "x".repeat(30_000_000));
    let extension = format!("1;{}", "x".repeat(30_000_000));
    for (what, body) in [("large", large), ("small", small), ("enormous", enormous), ("extension", extension)] {
        let answer = raw(daemon.port(), (head.clone() + &body).as_bytes(), PATIENCE);
        // It may be cut off before the answer is read.
        assert!(matches!(answer.status, 0 | 400 | 413), "{what}: {answer:?}");
        let grown = memory(&daemon).saturating_sub(before);
        assert!(grown < 16_000, "{what}: {grown} kB more");
    }
    assert_eq!(daemon.status()["is_running"], true, "none of that stopped anything");
}

#[test]
fn two_lengths_of_one_body_hide_no_request() {
    let yard = Yard::new();
    let daemon = Daemon::with(&yard, "");
    let hidden = format!("POST /cleanup/stop HTTP/1.1\r\nHost: {}\r\n\r\n", daemon.port());
    let size = format!("{:x}\r\n", hidden.len());
    let chunked = format!("{size}{hidden}\r\n0\r\n\r\n");
    let length = format!("Content-Length: {}\r\n", size.len());
    let whole = format!("Content-Length: {}\r\n", chunked.len());
    let te = "Transfer-Encoding: chunked\r\n";
    for (lengths, statuses) in [
        // Chunks are chunks, whatever the other header says: what is in one is no request.
        (format!("{te}{length}"), [200, 400]),
        (format!("{length}{te}"), [200, 400]),
        (format!("{te}{te}{length}"), [200, 400]),
        (format!("{length}{whole}"), [400, 400]),
        (format!("{length}Transfer-Encoding: identity\r\n"), [400, 400]),
        (format!("{length}Transfer-Encoding: xchunked\r\n"), [400, 400]),
        (format!("{length}Transfer-Encoding: chunked, identity\r\n"), [400, 400]),
        (format!("{length}Transfer-Encoding : chunked\r\n"), [400, 400]),
    ] {
        let host = daemon.port();
        let head = format!("POST /cleanup/start HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n{lengths}\r\n");
        let keeping = head.replace("Connection: close\r\n", "");
        for head in [head, keeping] {
            let answer = raw(host, (head + &chunked).as_bytes(), PATIENCE);
            assert!(statuses.contains(&answer.status), "{lengths}: {answer:?}");
            assert!(!answer.body.contains("HTTP/1.1 200"), "one answer: {answer:?}");
        }
        assert_eq!(daemon.status()["is_running"], true, "{lengths}");
    }
}

#[test]
fn without_descriptors_it_waits_and_goes_on_afterwards() {
    let yard = Yard::new();
    yard.config(PORT_ANY);
    let mut command = Command::new("sh");
    command.args(["-c", &format!("ulimit -n 60 && exec {JANITOR} run")]);
    command.current_dir(yard.path("")).env("TZ", "UTC").env("HOME", "/nonexistent");
    let mut daemon = Daemon::spawn(&yard, command);
    let crowd: Vec<TcpStream> = (0..150).map(|_| TcpStream::connect(daemon.port()).expect("queued")).collect();
    daemon.wait_for_line("Cannot accept an admin connection: ");
    let used = ticks(&daemon);
    std::thread::sleep(Duration::from_secs(2));
    let used = ticks(&daemon) - used;
    assert!(used < 100, "{used} ticks of processor time in two seconds: it spins");
    assert_eq!(daemon.count("Cannot accept an admin connection"), 1, "it is told once a minute");
    drop(crowd);
    // What waits in the queue has to be got through first.
    wait_for("an answer", || {
        let mut stream = TcpStream::connect(daemon.port()).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        stream.write_all(get(&daemon, "Connection: close\r\n").as_bytes()).ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).ok()?;
        answer.starts_with("HTTP/1.1 200").then_some(())
    });
    assert!(daemon.is_running());
}
