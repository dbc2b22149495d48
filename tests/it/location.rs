//! Where the config is, and that the same config means the same from anywhere.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;

use super::daemon::{Daemon, PORT_ANY};
use super::needs;
use super::yard::{Ran, Yard};

const WEEK: Duration = Duration::from_secs(7 * 86_400);

fn target(keys: &str) -> String {
    format!("[[target]]\npath = \"tmp\"\nschedule = \"@daily\"\ninclude = [\"*\"]\n{keys}\n")
}

/// Runs the program in this directory of the yard.
fn run_in(yard: &Yard, directory: &Path, arguments: &[&str]) -> Ran {
    yard.run_as(|command| _ = command.args(arguments).current_dir(directory))
}

/// What a check says of where things are.
fn places(ran: &Ran) -> Value {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let told = ran.json();
    let target = &told["targets"][0];
    serde_json::json!([told["base"], told["state_dir"], told["log"], told["socket"], target["path"], target["name"]])
}

#[test]
fn the_same_config_means_the_same_from_anywhere() {
    let yard = Yard::new();
    let app = yard.directory("app");
    fs::create_dir(app.join("config")).expect("made");
    yard.directory("elsewhere/config");
    fs::write(app.join("config/janitor.toml"), format!("base = \"..\"\n{}", target("older_than = \"7d\"")))
        .expect("ours");
    let config = app.join("config/janitor.toml");
    let whole = config.to_str().expect("text");
    let ways: [(&Path, &[&str]); 5] = [
        (Path::new("/"), &["--config", whole]),
        (&app, &[]),
        (&app, &["--config", "config/janitor.toml"]),
        (&app.join("config"), &["--config", "janitor.toml"]),
        (&yard.path("elsewhere/config"), &["--config", "../../app/config/./janitor.toml"]),
    ];
    let shown = |below: &str| app.join(below).to_str().expect("text").to_owned();
    let base = app.to_str().expect("text");
    for (directory, arguments) in ways {
        let told = places(&run_in(&yard, directory, &[&["check", "--json"], arguments].concat()));
        let [state, log, socket] = ["state", "cleanup_scheduler.log", "state/admin.sock"].map(shown);
        assert_eq!(told, serde_json::json!([base, state, log, socket, shown("tmp"), "tmp"]), "{arguments:?}");
        yard.aged("app/tmp/old", WEEK * 2);
        let ran = run_in(&yard, directory, &[&["clean"], arguments].concat());
        assert_eq!((ran.code, ran.config.as_deref()), (Some(0), Some(whole)), "{ran:?}");
        assert!(yard.left("app/tmp").is_empty(), "{arguments:?}");
    }
    assert_eq!(yard.left("elsewhere"), [""; 0], "nothing is written where a command happens to be run");
    let log = fs::read_to_string(app.join("cleanup_scheduler.log")).expect("there");
    assert_eq!(log.matches("Deleted file: old").count(), 5, "{log}");
}

#[test]
fn every_command_says_which_config_it_goes_by() {
    let yard = Yard::new();
    yard.config(&format!("{PORT_ANY}{}", target("")));
    yard.directory("tmp");
    let shown = yard.path("config/janitor.toml");
    let shown = shown.to_str();
    for arguments in [
        &["preview"][..],
        &["preview", "--json"],
        &["explain", "tmp/x"],
        &["clean", "--json"],
        &["next"],
        &["status"],
        &["trigger"],
        &["start"],
        &["stop"],
        &["reload"],
        &["history"],
        &["trash"],
        &["token"],
    ] {
        let ran = yard.run(arguments);
        assert_eq!(ran.config.as_deref(), shown, "{arguments:?} {ran:?}");
        assert!(!ran.err.contains("config: "), "once: {arguments:?} {ran:?}");
    }
    let quiet = yard.run(&["clean", "--quiet"]);
    assert_eq!((quiet.code, quiet.config, quiet.err.as_str()), (Some(0), None, ""), "nobody mails what cron gets");
    assert!(yard.run(&["check"]).out.starts_with("config: config/janitor.toml is good, 1 target(s)\n"));
    let other = Yard::new();
    fs::write(other.path("mine.toml"), target("")).expect("written");
    let by_variable =
        |variable: &str| other.run_as(|command| _ = command.arg("next").env("JANITOR_CONFIG", variable)).config;
    assert_eq!(by_variable("mine.toml").as_deref(), other.path("mine.toml").to_str());
    let system = Path::new("/etc/janitor/janitor.toml").exists();
    if !system {
        assert_eq!(by_variable("").as_deref(), Some("built in, there is no file"));
    }
}

#[test]
fn a_user_s_own_config_comes_before_that_of_the_system() {
    let yard = Yard::new();
    fs::set_permissions(yard.directory("home"), fs::Permissions::from_mode(0o777)).expect("ours");
    yard.directory("home/.config/janitor");
    let config = yard.path("home/.config/janitor/janitor.toml");
    fs::write(&config, target("")).expect("written");
    let check = |command: &mut std::process::Command| {
        command.env("HOME", yard.path("home")).env("XDG_RUNTIME_DIR", yard.path("run")).current_dir(yard.path(""));
        for variable in ["XDG_CONFIG_HOME", "XDG_STATE_HOME", "JANITOR_CONFIG"] {
            command.env_remove(variable);
        }
    };
    let told = if needs::is_root() {
        yard.run_as_nobody_with(&["check", "--json"], check)
    } else {
        yard.run_as(|command| check(command.args(["check", "--json"])))
    };
    let expected =
        ["home/.config/janitor", "home/.local/state/janitor", "home/.local/state/janitor/cleanup_scheduler.log"];
    let expected = expected.map(|place| yard.path(place));
    let told = places(&told);
    for (place, told) in expected.iter().zip(told.as_array().expect("a list")) {
        assert_eq!(Some(place.as_path()), told.as_str().map(Path::new));
    }
    assert_eq!(told[3].as_str().map(Path::new), Some(yard.path("run/janitor/admin.sock").as_path()));
    assert_eq!(told[4].as_str().map(Path::new), Some(yard.path("home/.config/janitor/tmp").as_path()));
}

#[test]
fn an_empty_config_is_an_error_for_every_command() {
    let yard = Yard::new();
    yard.directory("config");
    yard.file("marked_images/a");
    for text in ["", "# nothing\n"] {
        fs::write(yard.path("config/janitor.toml"), text).expect("written");
        for arguments in [
            &["run"][..],
            &["check"],
            &["preview"],
            &["explain", "marked_images/a"],
            &["clean"],
            &["next"],
            &["status"],
            &["trigger"],
            &["start"],
            &["stop"],
            &["reload"],
            &["history"],
            &["trash"],
            &["token"],
        ] {
            let ran = yard.run_within(Duration::from_secs(60), arguments);
            assert_eq!(ran.code, Some(78), "{arguments:?} {ran:?}");
        }
        assert!(yard.run(&["check"]).err.contains("the file is empty"));
    }
    assert_eq!(yard.left("marked_images"), ["a"]);
}

#[test]
fn a_config_without_a_target_sweeps_nothing_and_says_so() {
    let yard = Yard::new();
    yard.file("marked_images/a");
    yard.directory("config");
    fs::write(yard.path("config/janitor.toml"), "base = \"..\"\n[admin]\nlisten = \"off\"\n").expect("written");
    let nothing = "the config names no [[target]]: nothing is swept";
    let daemon = Daemon::start(&yard);
    assert_eq!(daemon.count(nothing), 1, "{}", daemon.log());
    for arguments in [
        &["check"][..],
        &["preview"],
        &["clean"],
        &["clean", "--quiet"],
        &["next"],
        &["trash"],
        &["status"],
        &["trigger"],
    ] {
        let ran = yard.run(arguments);
        assert_eq!(ran.code, Some(0), "{arguments:?} {ran:?}");
        assert_eq!(ran.err.matches(nothing).count(), 1, "{arguments:?} {ran:?}");
    }
    assert_eq!(yard.left("marked_images"), ["a"]);
}

#[test]
fn a_missing_directory_fails_is_skipped_or_is_made() {
    for (keys, code, outcome) in [
        ("", 1, "failed"),
        ("missing = \"fail\"", 1, "failed"),
        ("missing = \"skip\"", 0, "done"),
        ("missing = \"create\"", 0, "done"),
    ] {
        for action in ["", "\naction = \"trash\""] {
            let yard = Yard::new();
            yard.config(&target(&format!("{keys}{action}")));
            let ran = yard.run(&["clean", "--json"]);
            let run = &ran.json()["runs"][0];
            assert_eq!((ran.code, run["outcome"].as_str()), (Some(code), Some(outcome)), "{keys}{action} {ran:?}");
            assert_eq!(yard.path("tmp").exists(), keys.ends_with("\"create\""), "{keys}{action}");
            let message = run["message"].as_str().unwrap_or_default();
            assert_eq!(message.contains("does not exist"), !keys.ends_with("\"create\""), "{keys}{action} {run}");
        }
    }
    // A file system that is not mounted is not made.
    let yard = Yard::new();
    yard.config(&target("missing = \"create\"").replace("\"tmp\"", "\"mount/tmp\""));
    let ran = yard.run(&["clean"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.err.contains("makes the last directory of a path") && !yard.path("mount").exists(), "{ran:?}");
}

#[test]
fn the_socket_is_there_by_default_and_a_daemon_that_cannot_have_it_does_without() {
    let yard = Yard::new();
    yard.directory("tmp");
    yard.config(&format!("[admin]\nlisten = \"off\"\n[log]\nfile = \"off\"\n{}", target("")));
    let mut daemon = Daemon::start(&yard);
    assert!(fs::metadata(yard.path("state/admin.sock")).expect("there").file_type().is_socket());
    let ran = yard.run(&["trigger"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(daemon.stderr().contains("Cleanup completed"), "{}", daemon.stderr());
    assert!(!yard.path("cleanup_scheduler.log").exists(), "the log is on the terminal only");
    daemon.signal(Signal::TERM);
    assert!(daemon.wait_for_end().success());

    // There is something else in its place.
    yard.file("state/admin.sock");
    yard.config(&format!("{PORT_ANY}{}", target("")));
    let daemon = Daemon::start(&yard);
    assert_eq!(daemon.count("WARNING - There is no admin socket: "), 1, "{}", daemon.log());
    assert_eq!(daemon.status()["total_jobs"], 1);
    assert_eq!(fs::read_to_string(yard.path("state/admin.sock")).expect("left alone"), "content");
}

#[test]
fn a_destination_that_becomes_a_way_to_a_protected_directory_is_refused_at_its_run() {
    if !needs::root() {
        return;
    }
    let yard = Yard::new();
    yard.file("tmp/a");
    yard.directory("archive");
    yard.config(
        &target("action = \"move:/TOP/archive\"")
            .replace("/TOP", yard.path("").to_str().expect("text").trim_end_matches('/')),
    );
    let ran = yard.run(&["clean"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    // The daemon has read its config; what the path leads to is another matter.
    yard.file("tmp/b");
    let daemon = Daemon::start(&yard);
    fs::rename(yard.path("archive"), yard.path("old")).expect("ours");
    std::os::unix::fs::symlink("/etc/profile.d", yard.path("archive")).expect("made");
    let answer = daemon.post("/cleanup/manual").json();
    let message = answer["runs"][0]["message"].as_str().unwrap_or_default();
    assert!(message.contains("`/etc/profile.d` lies in `/etc`"), "{answer}");
    assert!(!Path::new("/etc/profile.d/b").exists() && yard.path("tmp/b").exists());
    drop(daemon);
    // A bind mount has no path in /etc.
    if !needs::tool("unshare") {
        return;
    }
    fs::rename(yard.path("archive"), yard.path("link")).expect("ours");
    yard.directory("archive");
    let text = fs::read_to_string(yard.path("config/janitor.toml")).expect("there");
    yard.config(&text.replace("/archive", "/archive/profile.d"));
    let script = format!("mount --bind /etc archive && exec {} clean --json", super::yard::JANITOR);
    let mut shell = std::process::Command::new("unshare");
    shell.args(["-m", "--propagation", "private", "sh", "-c", &script]).current_dir(yard.path("")).env("TZ", "UTC");
    let output = shell.output().expect("unshare runs");
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(told.contains("lies in `/etc`") && !Path::new("/etc/profile.d/b").exists(), "{output:?}");
}
