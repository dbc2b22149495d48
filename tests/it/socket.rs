//! The admin socket.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::Command;

use rustix::process::Signal;

use super::client::through;
use super::daemon::{Daemon, PORT_ANY, wait_for};
use super::needs;
use super::yard::Yard;

/// Without a port.
const SOCKET_ONLY: &str = "[admin]\nlisten = \"off\"\nsocket = \"admin.sock\"\n";

#[test]
fn without_a_port_the_socket_has_all_of_it() {
    let yard = Yard::new();
    yard.file("marked_images/a");
    yard.config(SOCKET_ONLY);
    let mut daemon = Daemon::start(&yard);
    let socket = yard.path("admin.sock");
    let about = fs::metadata(&socket).expect("there");
    assert!(about.file_type().is_socket());
    assert_eq!((about.permissions().mode() & 0o7777, about.uid()), (0o660, rustix::process::geteuid().as_raw()));
    let status = through(&socket, "GET", "/cleanup/status");
    assert_eq!((status.status, &status.json()["scheduler_status"]["total_jobs"]), (200, &1.into()));
    assert_eq!(through(&socket, "POST", "/cleanup/manual").json()["success"], true);
    assert!(yard.left("marked_images").is_empty());
    // The commands find it by themselves, and say who they are.
    let ran = yard.run(&["stop"]);
    assert_eq!((ran.code, ran.err.as_str()), (Some(0), ""), "{ran:?}");
    let by = format!("Cleanup scheduler stopped, by uid {} (pid ", about.uid());
    assert_eq!(daemon.count(&by), 1, "{}", daemon.log());
    assert!(yard.run(&["status"]).out.contains("the schedule is stopped"));
    assert!(daemon.log().contains("Admin port is off"));
    daemon.signal(Signal::TERM);
    assert!(daemon.wait_for_end().success());
    assert!(!socket.exists(), "it goes with the daemon");
    let ran = yard.run(&["status"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("there is no socket where the config has it"), "{ran:?}");
}

#[test]
fn one_that_a_killed_daemon_left_is_replaced_and_one_in_use_is_not() {
    let yard = Yard::new();
    yard.config(SOCKET_ONLY);
    let socket = yard.path("admin.sock");
    let mut daemon = Daemon::start(&yard);
    daemon.signal(Signal::KILL);
    daemon.wait_for_end();
    assert!(socket.exists());
    let absent = yard.run(&["status"]);
    assert!(absent.code == Some(1) && absent.err.contains("cannot reach the daemon at"), "{absent:?}");
    let _daemon = Daemon::start(&yard);
    let other = Yard::new();
    other.config(&format!("[admin]\nlisten = \"off\"\nsocket = \"{}\"\n", socket.to_string_lossy()));
    other.file("marked_images/a");
    let second = Daemon::start(&other);
    let why = "There is no admin socket: cannot listen on the socket ";
    assert_eq!(second.count(why), 1, "{}", second.log());
    assert!(second.log().contains("somebody listens there already (is another janitor running?)"), "{}", second.log());
    assert_eq!(through(&socket, "POST", "/cleanup/manual").json()["success"], true, "the first has it still");
    drop(second);
    assert_eq!(through(&socket, "GET", "/healthz").status, 200, "and keeps it");
    assert_eq!(other.left("marked_images"), ["a"]);
}

#[test]
fn what_somebody_put_in_its_place_before_is_left_alone() {
    let yard = Yard::new();
    yard.config(SOCKET_ONLY);
    let socket = yard.path("admin.sock");
    fs::write(&socket, "precious").expect("written");
    // It is told, and the daemon does without.
    let says = |what: &str| {
        let daemon = Daemon::start(&yard);
        let said = daemon.stderr();
        assert!(said.contains("There is no admin socket: ") && said.contains(what), "{what}: {said}");
    };
    says("admin.sock: something is there that is no socket");
    assert_eq!(fs::read_to_string(&socket).expect("there"), "precious");
    fs::rename(&socket, yard.path("away")).expect("ours");
    std::os::unix::fs::symlink(yard.path("away"), &socket).expect("made");
    says("something is there that is no socket");
    assert_eq!(fs::read_to_string(yard.path("away")).expect("there"), "precious");
    fs::rename(&socket, yard.path("link")).expect("ours");
    // One on which the attacker himself listens gets no request.
    let attacker = UnixListener::bind(&socket).expect("made");
    attacker.set_nonblocking(true).expect("set");
    says("somebody listens there already");
    drop(attacker);
    if needs::root() {
        std::os::unix::fs::chown(&socket, Some(65534), None).expect("root may");
        says("a socket of user 65534 is there");
        assert!(socket.exists());
    }
}

#[test]
fn a_socket_that_is_moved_in_the_config_waits_for_a_restart() {
    let yard = Yard::new();
    yard.config(SOCKET_ONLY);
    let _daemon = Daemon::start(&yard);
    yard.config(&SOCKET_ONLY.replace("admin.sock", "other.sock"));
    // The commands would look for it where it is to be; --admin says where it is.
    let reloaded = yard.run(&["reload", "--admin", "./admin.sock"]);
    assert_eq!(reloaded.code, Some(0), "{reloaded:?}");
    let status = through(&yard.path("admin.sock"), "GET", "/cleanup/status").json();
    assert_eq!(status["scheduler_status"]["config"]["needs_restart"][0], "admin.socket", "{status}");
    assert!(!yard.path("other.sock").exists());
}

#[test]
fn another_user_at_the_socket_may_look_but_not_touch() {
    if !needs::root() || !needs::tool("curl") {
        return;
    }
    let yard = Yard::new();
    yard.file("marked_images/a");
    yard.config(SOCKET_ONLY);
    let daemon = Daemon::start(&yard);
    let asked = |group: &str, method: &str, path: &str| {
        let mut curl = Command::new("setpriv");
        curl.args(["--reuid", "65534", "--regid", group, "--clear-groups", "curl", "-s", "-o", "/dev/null"]);
        curl.args(["--unix-socket", &yard.path("admin.sock").to_string_lossy(), "-w", "%{http_code}", "-X", method]);
        curl.arg(format!("http://localhost{path}"));
        String::from_utf8(curl.output().expect("curl runs").stdout).expect("a number")
    };
    assert_eq!(asked("65534", "GET", "/cleanup/status"), "000", "it is for the group");
    assert_eq!(asked("0", "GET", "/cleanup/status"), "200");
    for path in
        ["/cleanup/manual", "/cleanup/stop", "/cleanup/reload", "/cleanup/runs/x/undo", "/cleanup/runs/x/release"]
    {
        assert_eq!(asked("0", "POST", path), "403", "{path}");
    }
    assert_eq!(asked("0", "GET", "/cleanup/events"), "403", "it names files");
    assert_eq!(yard.left("marked_images"), ["a"]);
    assert_eq!(daemon.count("uid 65534 (pid "), 1, "refusals are told, once a minute: {}", daemon.log());
}

#[test]
fn where_the_socket_is_not_for_the_caller_the_port_is_asked() {
    if !needs::root() || !needs::tool("setpriv") {
        return;
    }
    let yard = Yard::new();
    let daemon = Daemon::with(&yard, "");
    let mut listener = format!("[admin]\nlisten = \"{}\"\nsocket = \"admin.sock\"\n", daemon.port());
    let socket = UnixListener::bind(yard.path("admin.sock")).expect("made");
    fs::set_permissions(yard.path("admin.sock"), fs::Permissions::from_mode(0o600)).expect("ours");
    yard.config(&listener);
    let ran = yard.run_as_nobody(&["status"]);
    assert!(ran.code == Some(0) && ran.out.contains("the schedule is running"), "{ran:?}");
    // With no port that could be asked it is told why, and nothing is done past the daemon.
    listener = listener.replace(&daemon.port().to_string(), "off");
    yard.config(&listener);
    let ran = yard.run_as_nobody(&["history"]);
    assert!(ran.code == Some(1) && ran.err.contains("Permission denied"), "{ran:?}");
    drop(socket);
}

#[test]
fn where_others_can_write_there_is_no_socket_and_the_sweeping_goes_on() {
    let yard = Yard::new();
    yard.file("marked_images/a");
    yard.directory("open");
    fs::set_permissions(yard.path("open"), fs::Permissions::from_mode(0o777)).expect("ours");
    yard.config(&format!("{PORT_ANY}socket = \"open/admin.sock\"\n"));
    let daemon = Daemon::start(&yard);
    assert_eq!(daemon.count("There is no admin socket: "), 1, "{}", daemon.log());
    assert!(!yard.path("open/admin.sock").exists());
    assert_eq!(daemon.post("/cleanup/manual").json()["success"], true);
    assert!(yard.left("marked_images").is_empty());
}

#[test]
fn its_path_may_be_longer_than_the_kernel_takes() {
    let yard = Yard::new();
    let path = format!("{}/{}/admin.sock", "long".repeat(30), "longer".repeat(20));
    yard.config(&format!("[admin]\nlisten = \"off\"\nsocket = \"{path}\"\n"));
    for _ in 0..2 {
        // The second finds what the first, which was killed, has left.
        let mut daemon = Daemon::start(&yard);
        let ran = yard.run(&["status"]);
        assert!(ran.code == Some(0) && ran.out.contains("the schedule is running"), "{ran:?}");
        daemon.signal(Signal::KILL);
        daemon.wait_for_end();
        assert!(yard.path(&path).exists());
    }
}

#[test]
fn its_directory_is_made_for_its_owner_alone() {
    let yard = Yard::new();
    yard.config("[admin]\nlisten = \"off\"\nsocket = \"made/for/it/admin.sock\"\n");
    let _daemon = Daemon::start(&yard);
    let mode = |path: &str| fs::metadata(yard.path(path)).expect("there").permissions().mode() & 0o7777;
    assert_eq!((mode("made/for/it"), mode("made/for/it/admin.sock")), (0o700, 0o600));
    let ran = yard.run(&["status"]);
    assert!(ran.code == Some(0) && ran.out.contains("the schedule is running"), "{ran:?}");
}

#[test]
fn a_port_that_is_flooded_leaves_the_socket_answering() {
    let yard = Yard::new();
    yard.config(&format!("{PORT_ANY}socket = \"admin.sock\"\n"));
    let daemon = Daemon::start(&yard);
    let mut flood: Vec<_> = (0..300).map(|_| std::net::TcpStream::connect(daemon.port())).collect();
    for round in 0..100 {
        let socket = yard.path("admin.sock");
        assert_eq!(through(&socket, "GET", "/cleanup/status").status, 200, "{round}");
        flood.rotate_left(3);
        flood.truncate(297);
        flood.extend((0..3).map(|_| std::net::TcpStream::connect(daemon.port())));
    }
    drop(flood);
    // The daemon has to hear that they have gone.
    wait_for("a free place at the port", || (daemon.get("/healthz").status == 200).then_some(()));
    // Those who sit at the socket do not keep the port from answering either.
    let _crowd: Vec<_> = (0..100).map(|_| UnixStream::connect(yard.path("admin.sock"))).collect();
    assert_eq!(daemon.get("/healthz").status, 200);
}

#[test]
fn one_that_was_removed_is_made_again() {
    let yard = Yard::new();
    yard.config("[admin]\nlisten = \"off\"\nsocket = \"door/admin.sock\"\n");
    let daemon = Daemon::start(&yard);
    let socket = yard.path("door/admin.sock");
    for remove in ["rm \"$1\"/admin.sock", "rm -r \"$1\""] {
        super::disk::sh(remove, &[&yard.path("door")]);
        wait_for("the socket", || UnixStream::connect(&socket).is_ok().then_some(()));
        assert_eq!(through(&socket, "GET", "/healthz").status, 200);
    }
    assert_eq!(daemon.count("The admin socket was removed, and is made again: "), 2, "{}", daemon.log());
    // What somebody else put there is left alone.
    super::disk::sh("rm \"$1\"/admin.sock && touch \"$1\"/admin.sock", &[&yard.path("door")]);
    wait_for("the warning", || (daemon.count("and cannot be made again: ") == 1).then_some(()));
    assert!(fs::metadata(&socket).expect("there").is_file());
}
