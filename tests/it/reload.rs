//! Saving the config, in every way that editors, deployments and people save it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;

use super::daemon::{Daemon, PORT_ANY, wait_for};
use super::needs;
use super::yard::Yard;

/// How often each way of saving is tried in a row.
const SAVES: u32 = 20;

/// A config that shows in the status which one it is.
fn numbered(number: u32) -> String {
    let (minute, hour) = (number % 60, number / 60);
    format!(
        "base = \"..\"\n{PORT_ANY}[[target]]\npath = \"a\"\nschedule = \"{minute} {hour} * * *\"\ninclude = [\"*\"]\n"
    )
}

#[track_caller]
fn wait_for_number(daemon: &Daemon<'_>, number: u32) {
    let (minute, hour) = (number % 60, number / 60);
    let wanted = format!("{minute} {hour} * * *");
    daemon.wait_for_status(&format!("save {number}"), |status| status["targets"][0]["schedule"] == wanted.as_str());
}

/// Saves again and again, and waits each time until the daemon has it.
fn none_is_missed(prepare: impl Fn(&Yard), save: impl Fn(&Yard, &str)) {
    let yard = Yard::new();
    yard.config(&numbered(0));
    prepare(&yard);
    let daemon = Daemon::start(&yard);
    for number in 1..=SAVES {
        save(&yard, &numbered(number));
        wait_for_number(&daemon, number);
    }
    let generation = daemon.status()["config"]["generation"].as_u64();
    assert_eq!(generation, Some(u64::from(SAVES) + 1), "each save was put in force once");
}

fn config(yard: &Yard) -> std::path::PathBuf {
    yard.path("config/janitor.toml")
}

#[test]
fn truncated_and_written_in_place() {
    none_is_missed(|_| {}, |yard, text| fs::write(config(yard), text).expect("written"));
}

#[test]
fn written_beside_and_renamed_over() {
    none_is_missed(
        |_| {},
        |yard, text| {
            fs::write(yard.path("config/.new"), text).expect("written");
            fs::rename(yard.path("config/.new"), config(yard)).expect("renamed");
        },
    );
}

#[test]
fn as_vim_does_it() {
    none_is_missed(
        |_| {},
        |yard, text| {
            let backup = yard.path("config/janitor.toml~");
            fs::rename(config(yard), &backup).expect("renamed");
            fs::write(config(yard), text).expect("written");
            remove(&backup);
        },
    );
}

#[test]
fn deleted_and_made_anew() {
    none_is_missed(
        |_| {},
        |yard, text| {
            remove(&config(yard));
            fs::write(config(yard), text).expect("written");
        },
    );
}

#[test]
fn swapped_by_kubernetes() {
    let version = std::sync::atomic::AtomicU32::new(0);
    let next = || format!("..{}", version.fetch_add(1, std::sync::atomic::Ordering::SeqCst));
    none_is_missed(
        |yard| {
            let first = next();
            fs::create_dir(yard.path("config").join(&first)).expect("made");
            fs::rename(config(yard), yard.path("config").join(&first).join("janitor.toml")).expect("renamed");
            symlink(&first, yard.path("config/..data")).expect("made");
            symlink("..data/janitor.toml", config(yard)).expect("made");
        },
        |yard, text| {
            let new = next();
            fs::create_dir(yard.path("config").join(&new)).expect("made");
            fs::write(yard.path("config").join(&new).join("janitor.toml"), text).expect("written");
            symlink(&new, yard.path("config/..data_tmp")).expect("made");
            fs::rename(yard.path("config/..data_tmp"), yard.path("config/..data")).expect("renamed");
        },
    );
}

#[test]
fn a_link_whose_target_is_edited_elsewhere() {
    none_is_missed(
        |yard| {
            yard.directory("elsewhere");
            fs::rename(config(yard), yard.path("elsewhere/real.toml")).expect("renamed");
            symlink("../elsewhere/real.toml", config(yard)).expect("made");
        },
        |yard, text| {
            fs::write(yard.path("elsewhere/.new"), text).expect("written");
            fs::rename(yard.path("elsewhere/.new"), yard.path("elsewhere/real.toml")).expect("renamed");
        },
    );
}

#[expect(clippy::disallowed_methods, reason = "the test is the one that deletes here")]
fn remove(path: &Path) {
    fs::remove_file(path).expect("removed");
}

#[test]
fn bad_good_bad_good() {
    let yard = Yard::new();
    yard.config(&numbered(0));
    let daemon = Daemon::start(&yard);
    for round in [1, 2] {
        fs::write(config(&yard), numbered(round).replace("schedule", "shedule")).expect("written");
        let status = daemon.wait_for_status("the rejection", |status| status["config"]["rejection"].is_object());
        let problem = status["config"]["rejection"]["problems"][0].as_str().expect("words").to_owned();
        assert_eq!(problem, "config/janitor.toml:6:1: unknown key `shedule`; did you mean `schedule`?");
        wait_for_number(&daemon, round - 1);
        assert!(daemon.count(&format!("ERROR - Config problem: {problem}")) >= round as usize, "{}", daemon.log());
        fs::write(config(&yard), numbered(round)).expect("written");
        wait_for_number(&daemon, round);
        assert!(daemon.status()["config"]["rejection"].is_null());
    }
}

#[test]
fn an_empty_file_is_never_put_in_force() {
    let yard = Yard::new();
    yard.config(&numbered(0));
    let daemon = Daemon::start(&yard);
    for text in ["", "\n\n", "# nothing but a remark\n", "timezone = \"UTC\"\n"] {
        fs::write(config(&yard), text).expect("written");
        daemon.wait_for_status("the rejection", |status| status["config"]["rejection"].is_object());
        wait_for_number(&daemon, 0);
        fs::write(config(&yard), numbered(0)).expect("written");
        daemon.wait_for_status("the good one", |status| status["config"]["rejection"].is_null());
    }
    // Held empty for a moment, as by an editor that takes its time.
    fs::write(config(&yard), "").expect("written");
    std::thread::sleep(Duration::from_millis(120));
    fs::write(config(&yard), numbered(7)).expect("written");
    wait_for_number(&daemon, 7);
}

#[test]
fn a_config_that_is_gone_or_unreadable_leaves_the_last_good_one() {
    let yard = Yard::new();
    yard.config(&numbered(0));
    let daemon = Daemon::start(&yard);
    fs::rename(yard.path("config"), yard.path("moved")).expect("renamed");
    let status = daemon.wait_for_status("the rejection", |status| status["config"]["rejection"].is_object());
    assert!(
        status["config"]["rejection"]["problems"][0].as_str().expect("words").contains("does not exist"),
        "{status}"
    );
    wait_for_number(&daemon, 0);
    fs::write(yard.path("moved/janitor.toml"), numbered(3)).expect("written");
    fs::rename(yard.path("moved"), yard.path("config")).expect("renamed");
    wait_for_number(&daemon, 3);
    fs::write(config(&yard), b"\xff\xfe").expect("written");
    daemon.wait_for_status("the rejection", |status| status["config"]["rejection"].is_object());
    fs::write(config(&yard), numbered(4)).expect("written");
    wait_for_number(&daemon, 4);
}

#[test]
fn by_signal_and_by_request() {
    let yard = Yard::new();
    yard.config(&numbered(0));
    let daemon = Daemon::start(&yard);
    fs::write(config(&yard), numbered(1)).expect("written");
    let answer = daemon.post("/cleanup/reload");
    assert_eq!((answer.status, &answer.json()["success"]), (200, &true.into()), "{answer:?}");
    wait_for_number(&daemon, 1);
    let again = daemon.post("/cleanup/reload").json();
    assert_eq!(again["success"], true, "{again}");
    fs::write(config(&yard), "base = \"..\"\nnonsense = 1\n").expect("written");
    let answer = daemon.post("/cleanup/reload");
    assert_eq!((answer.status, &answer.json()["error"]), (422, &"config_rejected".into()), "{answer:?}");
    assert!(answer.json()["problems"][0].as_str().expect("words").contains("unknown key `nonsense`"));
    fs::write(config(&yard), numbered(2)).expect("written");
    daemon.signal(Signal::HUP);
    wait_for_number(&daemon, 2);
    assert_eq!(daemon.count("SIGHUP: reading the config again"), 1);
    // A storm of signals is answered, not obeyed one by one.
    for _ in 0..2000 {
        daemon.signal(Signal::HUP);
    }
    assert_eq!(daemon.get("/healthz").status, 200);
    fs::write(config(&yard), numbered(3)).expect("written");
    wait_for_number(&daemon, 3);
}

#[test]
fn what_did_not_change_goes_on_and_what_changed_stops() {
    let yard = Yard::new();
    for name in ["same", "changed", "removed"] {
        let directory = yard.directory(name);
        for number in 0..30_000 {
            fs::File::create(directory.join(number.to_string())).expect("made");
        }
    }
    let target = |name: &str, hour: u32| {
        format!("[[target]]\npath = \"{name}\"\nschedule = \"0 {hour} 1 1 *\"\ninclude = [\"*\"]\n")
    };
    let before = format!(
        "sweeps_per_filesystem = 8\n{PORT_ANY}{}{}{}",
        target("same", 1),
        target("changed", 2),
        target("removed", 3)
    );
    yard.config(&before);
    let daemon = Daemon::start(&yard);
    let next = daemon.target("same")["next_run"].clone();
    assert_eq!(daemon.post("/cleanup/manual?wait=false").status, 202);
    wait_for("all three at work", || {
        let at_work = |name: &str| daemon.log().contains(&format!(" - {name} - INFO - Deleted file: "));
        ["same", "changed", "removed"].iter().all(|name| at_work(name)).then_some(())
    });
    yard.config(&format!("sweeps_per_filesystem = 8\n{PORT_ANY}{}{}", target("same", 1), target("changed", 4)));
    assert_eq!(daemon.post("/cleanup/reload").status, 200);
    daemon.wait_for_status("the end of the one that did not change", |status| {
        status["targets"][0]["last_run"]["outcome"] == "done" && status["targets"][1]["state"] == "scheduled"
    });
    assert_eq!(daemon.target("same")["next_run"], next);
    assert!(yard.left("same").is_empty());
    for name in ["changed", "removed"] {
        assert_eq!(daemon.count(&format!(" - {name} - WARNING - Cleanup cancelled: the config ")), 1, "{name}");
        assert!(!yard.left(name).is_empty(), "{name} stopped in the middle");
    }
    assert_eq!(daemon.status()["targets"].as_array().expect("a list").len(), 2);
}

#[test]
fn the_log_follows_at_once_and_a_new_port_waits_for_a_restart() {
    let yard = Yard::new();
    yard.config(&numbered(0));
    let daemon = Daemon::start(&yard);
    let text = numbered(1).replace("127.0.0.1:0", "127.0.0.1:1");
    fs::write(config(&yard), format!("{text}[log]\nfile = \"other.log\"\nformat = \"json\"\n")).expect("written");
    wait_for_number(&daemon, 1);
    let status = daemon.status();
    assert_eq!(status["config"]["needs_restart"], serde_json::json!(["admin.listen"]));
    wait_for("the new log", || {
        let text = fs::read_to_string(yard.path("other.log")).ok()?;
        text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()).then_some(())
    });
    assert!(fs::read_to_string(yard.path("other.log")).expect("there").contains("admin.listen waits for a restart"));
}

#[test]
fn a_file_that_appears_replaces_the_built_in_config() {
    let yard = Yard::new();
    // The default port cannot be used in a test, so the file that is missing at first is one that was asked for by a
    // link that leads nowhere yet, which is refused: a config that was meant is never replaced by the built-in one.
    yard.directory("config");
    symlink("nowhere.toml", config(&yard)).expect("made");
    let ran = yard.run(&["check"]);
    assert_eq!(ran.code, Some(78), "{ran:?}");
    assert!(ran.err.contains("does not exist"), "{ran:?}");
}

#[test]
fn root_refuses_a_config_that_everybody_can_write() {
    use std::os::unix::fs::PermissionsExt;
    if !needs::root() {
        return;
    }
    let yard = Yard::new();
    yard.config(&numbered(0));
    let daemon = Daemon::start(&yard);
    fs::write(yard.path("config/.new"), numbered(1)).expect("written");
    fs::set_permissions(yard.path("config/.new"), fs::Permissions::from_mode(0o666)).expect("ours");
    fs::rename(yard.path("config/.new"), config(&yard)).expect("renamed");
    let status = daemon.wait_for_status("the rejection", |status| status["config"]["rejection"].is_object());
    assert!(status["config"]["rejection"]["problems"][0].as_str().expect("words").contains("chmod go-w"), "{status}");
    wait_for_number(&daemon, 0);
}
