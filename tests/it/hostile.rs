//! Names and files that somebody made with bad intentions.

use std::fs;
use std::os::unix::fs::symlink;
use std::process::Command;

use super::daemon::Daemon;
use super::yard::Yard;

const NAMES: [&[u8]; 17] = [
    b"new\nline",
    b"2024-09-25 02:00:00 - janitor - INFO - forged\n2024-09-25 02:00:00 - janitor - INFO - Deleted file: forged",
    b"escape\x1b[31mred",
    b"return\rover",
    b"bell\x07",
    "bidi\u{202e}gnp.exe".as_bytes(),
    "line\u{2028}separator".as_bytes(),
    b"invalid\xff\xfe",
    b"-rf",
    b"--",
    b"*",
    b"[a-z]{x,y}?",
    b"$(touch pwned)",
    b"`id`; echo",
    b" leading and trailing ",
    b"back\\slash\\n",
    b"quote'\"",
];

#[test]
fn hostile_names_are_removed_and_each_is_one_harmless_line() {
    let yard = Yard::new();
    for name in NAMES {
        yard.file_of_bytes("target", name);
    }
    yard.file_of_bytes("target", &[b'n'; 255]);
    yard.file_of_bytes("target", b"kept\n.part");
    let daemon = Daemon::with(&yard, "[[target]]\npath = \"target\"\nschedule = \"@daily\"\ninclude = [\"*\"]\n");
    let json = daemon.post("/cleanup/manual").json();
    assert_eq!((&json["success"], &json["runs"][0]["deleted"]), (&true.into(), &(NAMES.len() + 1).into()), "{json}");
    assert_eq!(yard.left("target"), ["kept\n.part"]);
    let log = fs::read(yard.path("cleanup_scheduler.log")).expect("readable");
    let log = String::from_utf8(log).expect("what is no UTF-8 is escaped");
    assert!(
        log.chars()
            .all(|character| character == '\n' || !(character.is_control() || "\u{202e}\u{2028}".contains(character)))
    );
    let told: Vec<&str> = log.lines().filter(|line| line.contains(" - target - INFO - Deleted file: ")).collect();
    assert_eq!(told.len(), NAMES.len() + 1, "{log}");
    assert!(log.lines().all(|line| line.as_bytes().get(4) == Some(&b'-') && line.contains(" - ")), "{log}");
    for shown in
        ["new\\nline", "escape\\u{1b}[31mred", "bidi\\u{202e}gnp.exe", "invalid\\xFF\\xFE", "-rf", "back\\\\slash\\\\n"]
    {
        assert!(told.iter().any(|line| line.ends_with(shown)), "{shown} in {told:#?}");
    }
    assert!(!yard.path("pwned").exists() && !yard.path("target/pwned").exists());
}

#[test]
fn a_terminal_is_safe_from_names_too() {
    let yard = Yard::new();
    yard.file_of_bytes("target", b"escape\x1b[31m\nred\xff");
    yard.config("[[target]]\npath = \"target\"\nschedule = \"@daily\"\ninclude = [\"*\"]\n");
    let ran = yard.run(&["preview"]);
    assert!(ran.out.contains("escape\\u{1b}[31m\\nred\\xFF") && !ran.out.contains('\x1b'), "{ran:?}");
    assert_eq!(
        yard.run(&["preview", "--json"]).json()["targets"][0]["would_delete"][0]["path"],
        "escape\\u{1b}[31m\\nred\\xFF"
    );
}

#[test]
fn only_regular_files_go_and_links_are_never_followed() {
    let yard = Yard::new();
    yard.file("outside/precious");
    yard.file("target/plain");
    symlink("../outside", yard.path("target/to-directory")).expect("made");
    symlink("../outside/precious", yard.path("target/to-file")).expect("made");
    symlink("nowhere", yard.path("target/dangling")).expect("made");
    symlink("/proc/self/root", yard.path("target/magic")).expect("made");
    fs::hard_link(yard.path("outside/precious"), yard.path("target/hard")).expect("made");
    let fifo = Command::new("mkfifo").arg(yard.path("target/fifo")).status().expect("mkfifo runs");
    assert!(fifo.success());
    let _socket = std::os::unix::net::UnixListener::bind(yard.path("target/socket")).expect("bound");
    yard.config("[[target]]\npath = \"target\"\nschedule = \"@daily\"\ninclude = [\"**\"]\n");
    let ran = yard.run(&["clean"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(yard.left("target"), ["dangling", "fifo", "magic", "socket", "to-directory", "to-file"]);
    assert_eq!(yard.left("outside"), ["precious"]);
}

#[test]
fn a_target_behind_a_link_of_ours_is_swept_where_it_leads() {
    let yard = Yard::new();
    yard.file("real/file");
    symlink("real", yard.path("link")).expect("made");
    yard.config("[[target]]\npath = \"link\"\nschedule = \"@daily\"\ninclude = [\"*\"]\n");
    assert_eq!(yard.run(&["clean"]).code, Some(0));
    assert!(yard.left("real").is_empty() && yard.path("link").is_symlink());
}

#[test]
fn directories_swapped_for_links_during_a_sweep_lead_nowhere() {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    use std::sync::atomic::{AtomicBool, Ordering};
    let yard = Yard::new();
    for number in 0..200 {
        yard.file(format!("victim/file-{number}"));
    }
    yard.directory("target/a/b");
    symlink(yard.path("victim"), yard.path("target/link")).expect("made");
    yard.config(
        "[[target]]\npath = \"target\"\nschedule = \"@daily\"\ninclude = [\"**\"]\n[log]\nfile = \"/dev/null\"\n",
    );
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (one, other) = (yard.path("target/a/b"), yard.path("target/link"));
            while !stop.load(Ordering::Relaxed) {
                renameat_with(CWD, &one, CWD, &other, RenameFlags::EXCHANGE).expect("both are there");
            }
        });
        for _ in 0..15 {
            for number in 0..20 {
                yard.file(format!("target/bait-{number}"));
            }
            let ran = yard.run(&["clean", "--quiet"]);
            assert_eq!(ran.code, Some(0), "{ran:?}");
        }
        stop.store(true, Ordering::Relaxed);
    });
    assert_eq!(yard.left("victim").len(), 200, "not one file behind the link is lost");
}
