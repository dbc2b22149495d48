//! What nobody reads must not stop the daemon.

use std::fs::File;
use std::process::Stdio;

use super::client::request;
use super::daemon::{PORT_ANY, wait_for};
use super::yard::Yard;

#[test]
fn a_terminal_that_nobody_reads_stops_nothing() {
    let yard = Yard::new();
    for number in 0..3000 {
        let path = yard.directory("crowd").join(format!("file-with-a-long-name-to-fill-the-pipe-{number}"));
        File::create(path).expect("made");
    }
    yard.config(&format!("{PORT_ANY}[[target]]\npath = \"crowd\"\nschedule = \"@yearly\"\ninclude = [\"*\"]\n"));
    let mut child = yard.command(&["run"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("it starts");
    let log = || std::fs::read_to_string(yard.path("cleanup_scheduler.log")).unwrap_or_default();
    let port = wait_for("the port", || {
        log().lines().find_map(|line| line.split_once("Admin port listening on ")?.1.trim().parse().ok())
    });
    let answer = request(port, "POST", "/cleanup/manual");
    assert_eq!(answer.json()["runs"][0]["deleted"], 3000, "{answer:?}");
    assert_eq!(log().matches("Deleted file: ").count(), 3000, "the file has them all");
    assert_eq!(request(port, "GET", "/healthz").status, 200);
    rustix::process::kill_process(rustix::process::Pid::from_child(&child), rustix::process::Signal::TERM)
        .expect("there");
    assert_eq!(wait_for("the end", || child.try_wait().expect("ours")).code(), Some(0));
}

#[test]
fn a_clean_whose_output_nobody_reads_is_done_to_the_end() {
    let yard = Yard::new();
    let mut config = String::new();
    for name in ["a", "b", "c"] {
        yard.file(format!("{name}/file"));
        config += &format!("[[target]]\npath = \"{name}\"\nschedule = \"@daily\"\ninclude = [\"*\"]\n");
    }
    yard.config(&config);
    let mut child = yard.command(&["clean"]).stdout(Stdio::piped()).spawn().expect("it starts");
    drop(child.stdout.take());
    assert_eq!(child.wait().expect("ours").code(), Some(0));
    for name in ["a", "b", "c"] {
        assert!(yard.left(name).is_empty(), "{name}");
    }
}
