//! The commands that ask the daemon, and what they do where there is none.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::thread::JoinHandle;

use rustix::process::Signal;
use serde_json::{Value, json};

use super::client::request_with;
use super::daemon::{Daemon, PORT_ANY};
use super::yard::Yard;

const TRASHED: &str =
    "[[target]]\npath = \"target\"\nschedule = \"0 0 1 1 *\"\ninclude = [\"*\"]\naction = \"trash\"\n";

/// Something that answers like a daemon, with these texts in turn; and the first lines of what it was asked.
fn posing(answers: Vec<Value>) -> (SocketAddr, JoinHandle<Vec<String>>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
    let address = listener.local_addr().expect("an address");
    let serve = move || {
        let answer = |answer: Value| {
            let (mut stream, _) = listener.accept().expect("a client");
            let mut lines = BufReader::new(stream.try_clone().expect("another handle")).lines();
            let first = lines.next().expect("a line").expect("text");
            assert!(lines.any(|line| line.expect("text").is_empty()), "the head ends");
            let text = answer.to_string();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", text.len());
            stream.write_all((head + &text).as_bytes()).expect("sent");
            first
        };
        answers.into_iter().map(answer).collect()
    };
    (address, std::thread::spawn(serve))
}

#[test]
fn undo_and_history_ask_the_daemon_and_work_on_the_disk_where_there_is_none() {
    let yard = Yard::new();
    yard.config(&format!("{PORT_ANY}socket = \"admin.sock\"\n{TRASHED}"));
    let mut daemon = Daemon::start(&yard);
    for file in ["target/a", "target/b"] {
        yard.file(file);
        assert_eq!(yard.run(&["trigger"]).code, Some(0));
    }
    let told = yard.run(&["history", "--json"]);
    assert_eq!((told.code, told.err.as_str()), (Some(0), ""), "{told:?}");
    let runs = told.json();
    assert_eq!(runs.as_array().map(Vec::len), Some(2), "{runs}");
    assert_eq!((&runs[0]["run"], &runs[0]["target"]), (&runs[0]["id"], &json!("target")), "{runs}");
    let [second, first] = [0, 1].map(|index| runs[index]["id"].as_str().expect("an id").to_owned());
    assert!(yard.run(&["history", "target"]).out.contains(&first));
    assert_eq!(yard.run(&["history", "other", "--json"]).json(), json!([]));
    let undone = yard.run(&["undo", &second]);
    assert_eq!((undone.code, undone.err.as_str()), (Some(0), ""), "{undone:?}");
    assert!(undone.out.starts_with("target: 1 file(s) are back"), "{undone:?}");
    assert_eq!(daemon.count(&format!("Undo of run {second} asked for by uid ")), 1, "the daemon did it");
    let again = yard.run(&["undo", &second, "--json"]);
    assert_eq!((again.code, &again.json()["error"]), (Some(1), &json!("not_in_trash")), "{again:?}");
    daemon.signal(Signal::TERM);
    assert!(daemon.wait_for_end().success());
    let told = yard.run(&["history", "--json"]);
    assert!(told.err.contains("no daemon answers, so it is read from the disk"), "{told:?}");
    assert_eq!(told.json()[1]["id"], json!(first), "{told:?}");
    let undone = yard.run(&["undo", &first, "--json"]);
    assert_eq!((undone.code, &undone.json()["restored"]), (Some(0), &json!(1)), "{undone:?}");
    assert!(undone.err.contains("no daemon answers, so it is done here"), "{undone:?}");
    assert_eq!(yard.left("target"), ["a", "b"]);
    // Who names a daemon means that one.
    let gone = yard.path("admin.sock").to_string_lossy().into_owned();
    for command in [&["history"][..], &["undo", &first]] {
        let ran = yard.run(&[command, &["--admin", &gone]].concat());
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.err.contains("cannot reach the daemon at"), "{ran:?}");
    }
}

#[test]
fn what_a_daemon_refuses_is_not_done_past_it() {
    let yard = Yard::new();
    let refusal = json!({ "success": false, "error": "forbidden", "message": "user 7 may not do this" });
    let (address, asked) = posing(vec![refusal]);
    yard.config(&format!("[admin]\nlisten = \"{address}\"\n{TRASHED}"));
    let ran = yard.run(&["undo", "20240924T220000Z-00000000"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("user 7 may not do this") && !ran.err.contains("done here"), "{ran:?}");
    let asked = asked.join().expect("served");
    assert_eq!(asked, ["POST /cleanup/runs/20240924T220000Z-00000000/undo HTTP/1.1"]);
}

#[test]
fn history_is_asked_for_page_by_page() {
    let run = |id: &str| json!({ "run": id, "target": "a", "outcome": "done" });
    let page = |ids: &[&str], next: Option<&str>| -> Value {
        json!({ "success": true, "runs": ids.iter().map(|id| run(id)).collect::<Vec<_>>(), "next": next })
    };
    let (address, asked) = posing(vec![page(&["5", "4"], Some("4")), page(&["3", "2", "1"], Some("1"))]);
    let ran = Yard::new().run(&["history", "a", "--count", "1003", "--json", "--admin", &address.to_string()]);
    assert_eq!(ran.code, Some(1), "the third page is not answered: {ran:?}");
    let (first, second) = ("GET /cleanup/runs?limit=1000&target=a", "GET /cleanup/runs?limit=1000&target=a&before=4");
    assert_eq!(asked.join().expect("served"), [first, second].map(|line| format!("{line} HTTP/1.1")));
    let (address, asked) = posing(vec![page(&["5", "4"], Some("4")), page(&["3", "2", "1"], Some("1"))]);
    let ran = Yard::new().run(&["history", "--count", "4", "--json", "--admin", &address.to_string()]);
    let ids: Vec<_> = ran.json().as_array().expect("a list").iter().map(|run| run["id"].clone()).collect();
    assert_eq!(ids, ["5", "4", "3", "2"], "{ran:?}");
    let limits = ["GET /cleanup/runs?limit=4 HTTP/1.1", "GET /cleanup/runs?limit=2&before=4 HTTP/1.1"];
    assert_eq!(asked.join().expect("served"), limits);
}

#[test]
fn a_stop_can_stop_what_is_being_swept_too() {
    for (arguments, path) in [
        (&["stop"][..], "/cleanup/stop"),
        (&["stop", "--cancel"], "/cleanup/stop?cancel=true"),
        (&["stop", "a b", "--cancel"], "/cleanup/stop?target=a+b&cancel=true"),
        (&["start", "a"], "/cleanup/start?target=a"),
    ] {
        let (address, asked) = posing(vec![json!({ "success": true, "message": "done" })]);
        let ran = Yard::new().run(&[arguments, &["--admin", &address.to_string()]].concat());
        assert_eq!((ran.code, ran.out.as_str()), (Some(0), "done\n"), "{ran:?}");
        assert_eq!(asked.join().expect("served"), [format!("POST {path} HTTP/1.1")]);
    }
    assert_eq!(Yard::new().run(&["start", "--cancel"]).code, Some(64));
}

#[test]
fn the_status_shows_disks_holds_and_what_is_wrong_with_the_config() {
    let yard = Yard::new();
    for number in 0..3 {
        yard.file(format!("target/{number}"));
    }
    let target = "[[target]]\npath = \"target\"\nschedule = \"0 0 1 1 *\"\ninclude = [\"*\"]\nmax_deletes = 1\nmin_age = \"0s\"\n";
    let config = format!("{PORT_ANY}socket = \"admin.sock\"\n{target}");
    yard.config(&format!(
        "{config}[[target]]\nname = \"full\"\npath = \"target\"\nschedule = \"@yearly\"\ninclude = [\"*\"]\nmin_free = \"100%\"\n"
    ));
    let _daemon = Daemon::start(&yard);
    assert_eq!(yard.run(&["trigger", "target"]).code, Some(1));
    let status = yard.run(&["status"]);
    let line =
        |name: &str| status.out.lines().find(|line| line.starts_with(name)).unwrap_or_else(|| panic!("{status:?}"));
    assert!(line("HELD: target: ").contains("janitor release "), "{status:?}");
    assert!(line("target  scheduled").trim_end().ends_with('B'), "what is free: {status:?}");
    assert!(line("full ").contains(", BELOW min_free "), "{status:?}");
    yard.config(&format!("{config}nonsense = 1\n"));
    assert_eq!(yard.run(&["reload"]).code, Some(1));
    let status = yard.run(&["status"]).out;
    assert!(
        status.contains("CONFIG REJECTED") && status.contains("nonsense = 1") && status.contains("^^^^"),
        "{status}"
    );
}

#[test]
fn a_token_is_made_once_and_replaced_only_when_asked() {
    let yard = Yard::new();
    yard.config(PORT_ANY);
    let ran = yard.run(&["token"]);
    assert_eq!(ran.code, Some(78), "{ran:?}");
    assert!(ran.err.contains("token_file = \""), "it says what to write: {ran:?}");
    assert_eq!(yard.run(&["token", "--json"]).json()["error"], "no_token_file");
    yard.config(&PORT_ANY.replace("[admin]", "[admin]\ntoken_file = \"a token\""));
    let made = yard.run(&["token"]);
    assert_eq!(made.code, Some(0), "{made:?}");
    let path = yard.path("a token");
    let token = fs::read_to_string(&path).expect("made");
    assert_eq!(fs::metadata(&path).expect("made").permissions().mode() & 0o7777, 0o600);
    assert!(token.trim().len() == 64 && token.trim().bytes().all(|byte| byte.is_ascii_hexdigit()), "{token}");
    assert!(made.out.contains("curl -H @-") && made.out.contains("a token'"), "{made:?}");
    assert!(!made.out.contains(token.trim()), "it is not shown");
    let again = yard.run(&["token", "--json"]);
    assert_eq!((&again.json()["created"], &again.json()["rotated"]), (&json!(false), &json!(false)), "{again:?}");
    assert_eq!(fs::read_to_string(&path).expect("there"), token);
    let daemon = Daemon::start(&yard);
    let with = |token: &str| {
        request_with(daemon.port(), "POST", "/cleanup/stop", &[&format!("Authorization: Bearer {}", token.trim())])
            .status
    };
    assert_eq!(with(&token), 200);
    let rotated = yard.run(&["token", "--rotate", "--json"]);
    assert_eq!((&rotated.json()["created"], &rotated.json()["rotated"]), (&json!(false), &json!(true)), "{rotated:?}");
    let new = fs::read_to_string(&path).expect("there");
    assert_ne!(new, token);
    assert_eq!((with(&token), with(&new)), (200, 401), "until it is read");
    // The daemon does not know the new one yet, and lets its own user have it read all the same.
    let port = daemon.port().to_string();
    let reloaded = yard.run(&["reload", "--admin", &port]);
    assert_eq!(reloaded.code, Some(0), "{reloaded:?}");
    assert_eq!((with(&token), with(&new)), (401, 200));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).expect("ours");
    let exposed = yard.run(&["token"]);
    assert!(exposed.code == Some(78) && exposed.err.contains("chmod it to 600"), "{exposed:?}");
    drop(daemon);
    // A link is neither followed nor replaced.
    fs::rename(&path, yard.path("elsewhere")).expect("ours");
    std::os::unix::fs::symlink(yard.path("elsewhere"), &path).expect("made");
    assert_eq!(yard.run(&["token", "--rotate"]).code, Some(1));
    assert_eq!(fs::read_to_string(yard.path("elsewhere")).expect("there"), new);
}

#[test]
fn the_way_that_is_shown_for_curl_works() {
    if !super::needs::tool("curl") {
        return;
    }
    let yard = Yard::new();
    yard.config("[admin]\nlisten = \"off\"\nsocket = \"admin.sock\"\ntoken_file = \"it's a token\"\n");
    let shown = yard.run(&["token"]).out;
    let _daemon = Daemon::start(&yard);
    let line = shown.lines().last().expect("the example").trim().to_owned();
    let mut shell = std::process::Command::new("sh");
    let said = shell.args(["-c", &line]).current_dir(yard.path("")).output().expect("sh runs");
    let mut text = String::new();
    said.stdout.as_slice().read_to_string(&mut text).expect("text");
    assert!(text.contains("Manual cleanup completed successfully"), "{line}: {text}");
}
