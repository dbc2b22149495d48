//! Others who listen where the daemon would, or next to it.

use std::fs::{self, Permissions};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use super::client::{request, request_with};
use super::daemon::{Daemon, PATIENCE};
use super::needs;
use super::users::{ATTACKER, VICTIM, can_be_others};
use super::yard::Yard;

const TOKEN: &str = "0123456789abcdef0123456789abcdef";

/// A process of another user that listens on a port, answers 401 to everything, and tells what it hears.
struct Squatter {
    child: Child,
    address: SocketAddr,
    heard: Receiver<String>,
}

impl Squatter {
    fn start() -> Self {
        let mut command = ATTACKER.command(std::env::current_exe().expect("this program"));
        command.args(["--exact", "squatter::squatter", "--ignored", "--nocapture"]);
        command.env("JANITOR_SQUATTER", "1").stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let (tell, heard) = channel();
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        let mut squatter = Self { child, address: ([127, 0, 0, 1], 0).into(), heard };
        squatter.address = squatter.next("listens ").parse().expect("an address");
        squatter
    }

    /// The rest of the next line that begins so.
    fn next(&self, begins: &str) -> String {
        loop {
            let line = self.heard.recv_timeout(PATIENCE).expect("a line");
            if let Some(rest) = line.split_once(begins) {
                return rest.1.to_owned();
            }
        }
    }

    /// Everything that it has heard by now, which is known by a word that it is sent last.
    fn heard(&self) -> Vec<String> {
        let mut last = TcpStream::connect(self.address).expect("it listens");
        last.write_all(b"GET /last HTTP/1.1\r\n\r\n").expect("sent");
        let mut lines = Vec::new();
        loop {
            let line = self.heard.recv_timeout(PATIENCE).expect("a line");
            if line.contains("/last") {
                return lines;
            }
            lines.push(line);
        }
    }
}

impl Drop for Squatter {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Not a test: the squatter, as another user.
#[test]
#[ignore = "it is the squatter of other tests"]
fn squatter() {
    if std::env::var_os("JANITOR_SQUATTER").is_none() {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let mut out = std::io::stdout();
    writeln!(out, "\nlistens {}", listener.local_addr().expect("an address")).expect("somebody reads");
    for stream in listener.incoming() {
        let Ok(mut stream) = stream else { continue };
        _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
        let mut request = Vec::new();
        let mut buffer = [0; 4096];
        while !request.windows(4).any(|four| four == b"\r\n\r\n") {
            match stream.read(&mut buffer) {
                Ok(0) | Err(_) => break,
                Ok(count) => request.extend_from_slice(&buffer[..count]),
            }
        }
        let told = String::from_utf8_lossy(&request).replace("\r\n", " | ");
        writeln!(out, "heard {told}").expect("somebody reads");
        let body = r#"{"success":false,"error":"unauthorized","message":"no"}"#;
        let head = "HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json\r\nConnection: close\r\n";
        _ = write!(stream, "{head}Content-Length: {}\r\n\r\n{body}", body.len());
    }
}

/// A config whose daemon would listen there, and a token.
fn config(yard: &Yard, listen: SocketAddr) {
    yard.config(&format!("[admin]\nlisten = \"{listen}\"\nsocket = \"off\"\ntoken_file = \"token\"\n"));
    fs::write(yard.path("token"), TOKEN).expect("written");
    fs::set_permissions(yard.path("token"), Permissions::from_mode(0o600)).expect("ours");
}

#[test]
fn the_token_is_shown_to_nobody_who_listens_while_the_daemon_is_down() {
    if !can_be_others() {
        return;
    }
    let yard = Yard::new();
    let squatter = Squatter::start();
    config(&yard, squatter.address);
    for command in ["status", "stop", "reload", "history"] {
        let ran = yard.run(&[command]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        let who = format!("is not the daemon: it runs as user {}", ATTACKER.id);
        assert!(ran.err.contains(&who) && ran.err.contains("is `janitor run` running?"), "{ran:?}");
    }
    assert_eq!(squatter.heard().join("\n").matches("HTTP/1.1").count(), 0, "nothing was sent");
    // Whoever names the address may ask there, and the token stays here.
    let ran = yard.run(&["stop", "--admin", &squatter.address.to_string()]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("the token was not sent to"), "{ran:?}");
    let heard = squatter.heard().join("\n");
    assert!(heard.contains("POST /cleanup/stop") && !heard.to_lowercase().contains("authorization"), "{heard}");
    // Unless he says that this user is the daemon's.
    let trusted = ATTACKER.id.to_string();
    let ran = yard.run(&["stop", "--trust-owner", &trusted]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(squatter.heard().join("\n").contains(TOKEN), "that one gets it");
}

#[test]
fn the_token_of_a_planted_config_is_shown_to_nobody() {
    if !can_be_others() {
        return;
    }
    let yard = Yard::new();
    let squatter = Squatter::start();
    config(&yard, squatter.address);
    ATTACKER.owns(&yard.path("config"));
    ATTACKER.owns(&yard.path("config/janitor.toml"));
    let ran = yard.run(&["status"]);
    assert_ne!(ran.code, Some(0), "{ran:?}");
    let heard = squatter.heard().join("\n");
    assert!(!heard.contains(TOKEN), "{heard}");
}

#[test]
fn an_ordinary_user_shows_his_token_to_the_daemon_of_root() {
    if !can_be_others() {
        return;
    }
    let yard = Yard::new();
    config(&yard, ([127, 0, 0, 1], 0).into());
    let daemon = Daemon::start(&yard);
    let own = Yard::new();
    config(&own, daemon.port());
    for path in ["", "config", "config/janitor.toml", "token"] {
        VICTIM.owns(&own.path(path));
    }
    let ran = VICTIM.janitor(&own, &["stop"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(daemon.count(&format!("stopped, by a holder of the token, uid {}", VICTIM.id)), 1, "{}", daemon.log());
    // Another token is none.
    fs::write(own.path("token"), "another-token-0123").expect("written");
    assert_eq!(VICTIM.janitor(&own, &["start"]).code, Some(1));
}

#[test]
fn both_addresses_of_localhost_are_held() {
    if TcpListener::bind("[::1]:0").is_err() {
        needs::say("\n*** NOT RUN: both_addresses_of_localhost_are_held: there is no IPv6 here ***\n");
        return;
    }
    let yard = Yard::new();
    let daemon = Daemon::with(&yard, "");
    let port = daemon.port().port();
    for address in ["127.0.0.1", "[::1]"] {
        assert_eq!(daemon.count(&format!("Admin port listening on {address}:{port}")), 1, "{}", daemon.log());
    }
    for (to, host) in [("127.0.0.1", "localhost"), ("[::1]", "localhost"), ("[::1]", "[::1]")] {
        let to: SocketAddr = format!("{to}:{port}").parse().expect("an address");
        let asked = format!("POST /cleanup/start HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n");
        assert_eq!(super::client::raw(to, asked.as_bytes(), PATIENCE).status, 200, "{to} {host}");
    }
}

#[test]
fn where_somebody_holds_the_other_address_localhost_is_refused() {
    let Ok(other) = TcpListener::bind("[::1]:0") else {
        needs::say("\n*** NOT RUN: where_somebody_holds_the_other_address…: there is no IPv6 here ***\n");
        return;
    };
    let yard = Yard::new();
    yard.file("marked_images/a");
    let port = other.local_addr().expect("an address").port();
    yard.config(&format!("[admin]\nlisten = \"127.0.0.1:{port}\"\n"));
    let daemon = Daemon::start(&yard);
    let line = format!("[::1]:{port} is not to be had (");
    assert_eq!(daemon.count(&line), 1, "{}", daemon.log());
    let asked = |host: &str, more: &str| {
        let head = format!("POST /cleanup/manual HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n{more}\r\n");
        super::client::raw(daemon.port(), head.as_bytes(), PATIENCE)
    };
    // What a page of whoever holds [::1] would send.
    let origin = format!("Origin: http://localhost:{port}\r\nSec-Fetch-Site: same-origin\r\n");
    for (host, more, error) in [
        ("localhost", "", "forbidden_host"),
        ("LOCALHOST", "", "forbidden_host"),
        ("localhost", origin.as_str(), "forbidden_host"),
        ("127.0.0.1", origin.as_str(), "forbidden_origin"),
    ] {
        let answer = asked(host, more);
        // The Origin is looked at first where both are wrong.
        assert_eq!((answer.status, &answer.json()["error"]), (403, &error.into()), "{host} {more}: {answer:?}");
    }
    assert_eq!(yard.left("marked_images"), ["a"]);
    assert_eq!(asked("127.0.0.1", "").status, 200);
    let own = format!("Origin: http://127.9.9.9:{port}");
    assert_eq!(
        request_with(daemon.port(), "POST", "/cleanup/stop", &[&own]).status,
        403,
        "his page on another address"
    );
    assert_eq!(request(daemon.port(), "POST", "/cleanup/stop").status, 200);
}

#[test]
fn a_machine_without_ipv6_has_localhost_all_the_same() {
    if !needs::root() || !["unshare", "ip", "curl"].into_iter().all(needs::tool) {
        return;
    }
    let yard = Yard::new();
    yard.config("[admin]\nlisten = \"127.0.0.1:8000\"\n");
    let script = format!(
        "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; ip link set lo up; {} run 2>/dev/null & daemon=$!
         for try in $(seq 200); do curl -s -X POST http://localhost:8000/cleanup/start && break; sleep 0.05; done
         kill $daemon; wait $daemon",
        super::yard::JANITOR
    );
    let mut command = Command::new("unshare");
    command.args(["--net", "sh", "-c", &script]).current_dir(yard.path("")).env("TZ", "UTC");
    let out = command.output().expect("unshare runs");
    let said = String::from_utf8_lossy(&out.stdout);
    assert!(said.contains("\"success\":true"), "{said} {out:?}");
}
