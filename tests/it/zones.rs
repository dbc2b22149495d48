//! Time zones that change under the daemon, and machines without a zone database.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use super::daemon::{Daemon, PORT_ANY, wait_for};
use super::disk::sh;
use super::yard::Yard;

crate::mounts::in_namespace! {
    a_zone_of_the_system_that_is_changed_is_noticed_by_a_reload_and_without_one
    a_zone_database_that_is_brought_up_to_date_is_noticed_by_a_reload
    utc_needs_no_zone_database
}

const ZONEINFO: &str = "/usr/share/zoneinfo";

/// Puts a copy of a directory of the system over it, which the test may change.
fn own(yard: &Yard, directory: &str) {
    let copy = yard.directory(&format!("copy/{directory}"));
    sh("cp -a \"$1\"/. \"$2\" && mount --bind \"$2\" \"$1\"", &[Path::new(directory), &copy]);
}

fn config(zone: &str) -> String {
    let target = "[[target]]\npath = \"a\"\nschedule = \"0 2 1 7 *\"\ninclude = [\"*\"]\n";
    format!("{PORT_ANY}{target}{zone}")
}

/// The program without a zone of its own.
fn command(yard: &Yard, arguments: &[&str]) -> Command {
    let mut command = yard.command(arguments);
    command.env_remove("TZ");
    command
}

/// The hour of the next run in UTC: what the status tells is local time.
fn next_hour(daemon: &Daemon<'_>) -> u64 {
    let metrics = daemon.get("/metrics").body;
    let next = metrics.lines().find_map(|line| line.strip_prefix("janitor_next_run_timestamp_seconds{target=\"a\"} "));
    let next: f64 = next.expect("it is told").parse().expect("a number");
    (next as u64 % 86_400) / 3600
}

/// What two o'clock in July is in UTC.
const BERLIN: u64 = 0;
const NEW_YORK: u64 = 6;
const TOKYO: u64 = 17;

mod private {
    use super::*;

    pub fn a_zone_of_the_system_that_is_changed_is_noticed_by_a_reload_and_without_one(yard: &Yard) {
        own(yard, "/etc");
        let set = |zone: &str| {
            fs::rename("/etc/localtime", "/etc/localtime.old").expect("there");
            symlink(format!("{ZONEINFO}/{zone}"), "/etc/localtime").expect("made");
        };
        set("Europe/Berlin");
        yard.config(&config(""));
        let daemon = Daemon::spawn(yard, command(yard, &["run"]));
        assert_eq!(next_hour(&daemon), BERLIN);
        set("America/New_York");
        daemon.signal(Signal::HUP);
        wait_for("the reload", || (next_hour(&daemon) == NEW_YORK).then_some(()));
        assert_eq!(daemon.count("Config reloaded: 0 added, 1 changed, 0 removed"), 1, "{}", daemon.log());
        set("Asia/Tokyo");
        let waited = (0..700).any(|_| {
            std::thread::sleep(Duration::from_millis(100));
            next_hour(&daemon) == TOKYO
        });
        assert!(waited, "{}", daemon.log());
    }

    pub fn a_zone_database_that_is_brought_up_to_date_is_noticed_by_a_reload(yard: &Yard) {
        own(yard, ZONEINFO);
        yard.config(&config("timezone = \"Europe/Berlin\"\n"));
        let daemon = Daemon::spawn(yard, command(yard, &["run"]));
        assert_eq!(next_hour(&daemon), BERLIN);
        let at = |name: &str| Path::new(ZONEINFO).join(name);
        fs::copy(at("Asia/Tokyo"), at("Europe/.new")).expect("there");
        fs::rename(at("Europe/.new"), at("Europe/Berlin")).expect("ours");
        assert_eq!(daemon.post("/cleanup/reload").status, 200);
        wait_for("the new rules", || (next_hour(&daemon) == TOKYO).then_some(()));
    }

    pub fn utc_needs_no_zone_database(yard: &Yard) {
        own(yard, "/etc");
        sh("mount -t tmpfs none \"$1\"", &[Path::new(ZONEINFO)]);
        yard.config(&config(""));
        let check = |zone: Option<&str>| {
            let mut command = command(yard, &["check"]);
            if let Some(zone) = zone {
                command.env("TZ", zone);
            }
            crate::yard::Ran::of(command.output().expect("it runs"))
        };
        for zone in ["UTC", ":UTC", "Etc/UTC", "UTC0", "GMT", "Zulu", ""] {
            let ran = check(Some(zone));
            assert_eq!(ran.code, Some(0), "{zone}: {ran:?}");
            assert!(
                ran.out.contains("-07-01T02:00:00+00:00") || ran.out.contains("-07-01T02:00:00Z"),
                "{zone}: {ran:?}"
            );
        }
        for zone in ["Europe/Berlin", "UTX"] {
            let ran = check(Some(zone));
            assert_eq!(ran.code, Some(78), "{zone}: {ran:?}");
            assert!(ran.err.contains("time zone"), "{zone}: {ran:?}");
        }
        fs::rename("/etc/localtime", "/etc/localtime.old").expect("there");
        assert_eq!(check(None).code, Some(0), "no zone is UTC");
        symlink(format!("{ZONEINFO}/Etc/UTC"), "/etc/localtime").expect("made");
        assert_eq!(check(None).code, Some(0));
        yard.config(&config("timezone = \"Etc/UTC\"\n"));
        assert_eq!(check(None).code, Some(0));
        let mut command = command(yard, &["run"]);
        command.env("TZ", "UTC");
        assert_eq!(Daemon::spawn(yard, command).get("/healthz").status, 200);
    }
}
