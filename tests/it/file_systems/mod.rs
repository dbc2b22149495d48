//! What the file system decides: snapshots and subvolumes, overlays, attributes, access times, and space that deleting
//! does not give back. On file systems of their own, mounted from loop devices.

mod attributes;
mod quotas;
mod roots;
mod space;
mod subvolumes;

use std::fs;
use std::time::Duration;

use serde_json::Value;

use super::daemon::{Daemon, PORT_ANY};
use super::disk::sh;
use super::mounts::{Kind, mount, mount_sized};
use super::needs;
use super::yard::{Ran, Yard};

#[test]
fn targets_that_keep_space_free_on_one_disk_are_told_that_they_do_not_share_the_work() {
    let yard = Yard::new();
    let target = |name: &str, keys: &str| {
        yard.directory(name);
        format!("[[target]]\npath = \"{name}\"\nschedule = \"@daily\"\ninclude = [\"*\"]\n{keys}\n")
    };
    let free = "min_free = \"1%\"";
    yard.config(&[target("a", free), target("b", free), target("c", "older_than = \"1d\"")].concat());
    let told = good(yard.run(&["check"])).out;
    for other in ["a", "b"] {
        let remark = format!("the target {other} keeps space free on the same file system");
        assert_eq!(told.matches(&remark).count(), 1, "{told}");
    }
}

const DAY: u64 = 86_400;

/// Runs a script in a yard.
#[track_caller]
fn script(yard: &Yard, script: &str) {
    sh(&format!("set -e; cd \"$1\"; {script}"), &[&yard.path("")]);
}

/// Writes a config with one target, `m/t` if the keys do not say otherwise.
fn configure(yard: &Yard, keys: &str) {
    let path = if keys.contains("path =") { "" } else { "path = \"m/t\"\n" };
    yard.config(&format!("[admin]\nlisten = \"off\"\n[[target]]\nschedule = \"0 0 1 1 *\"\n{path}{keys}\n"));
}

/// Cleans, and gives back the one run.
#[track_caller]
fn cleaned(yard: &Yard) -> Value {
    let ran = yard.run(&["clean", "--json"]);
    ran.json()["runs"][0].clone()
}

fn remarks(run: &Value) -> String {
    run["remarks"].to_string()
}

/// The files below the target, but for the janitor's own.
fn left(yard: &Yard, directory: &str) -> Vec<String> {
    yard.left(directory).into_iter().filter(|path| !path.starts_with(".janitor-slots/")).collect()
}

/// A file of so many bytes, that was last changed so many days ago.
fn aged(yard: &Yard, path: &str, bytes: usize, days: u64) {
    let file = yard.file(path);
    fs::write(file, vec![b'x'; bytes]).expect("written");
    yard.grow_old(path, Duration::from_secs(days * DAY));
}

/// Whether a run of the program succeeded.
#[track_caller]
fn good(ran: Ran) -> Ran {
    assert_eq!(ran.code, Some(0), "{ran:?}");
    ran
}
