//! Another user than root who may do with files what the janitor needs, and nothing else.

use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::needs;
use super::yard::{JANITOR, Yard};

const DAY: Duration = Duration::from_secs(86_400);

/// The user that the janitor runs as here, and one whose files it cleans.
const NOBODY: u32 = 65_534;
const SOMEBODY: u32 = 12_345;

const README: &str = include_str!("../../README.md");

/// The capabilities that the second unit of the README gives.
fn capabilities() -> BTreeSet<String> {
    let of = |key: &str| {
        let line = README.lines().find_map(|line| line.strip_prefix(key)).expect("it is in the README");
        line.split(' ').map(|name| name.strip_prefix("CAP_").expect("a capability").to_lowercase()).collect()
    };
    let ambient: BTreeSet<String> = of("AmbientCapabilities=");
    assert_eq!(ambient, of("CapabilityBoundingSet="));
    ambient
}

/// Runs the program as [`NOBODY`] with these capabilities and no others.
fn run(yard: &Yard, capabilities: &BTreeSet<String>, arguments: &[&str]) -> serde_json::Value {
    let list: String = capabilities.iter().map(|name| format!(",+{name}")).collect();
    let (own, nobody) = (list.trim_start_matches(','), NOBODY.to_string());
    let mut command = Command::new("setpriv");
    command.args(["--reuid", &nobody, "--regid", &nobody, "--clear-groups", "--no-new-privs"]);
    if !capabilities.is_empty() {
        command.args(["--inh-caps", own, "--ambient-caps", own]);
    }
    command.args(["--bounding-set", &format!("-all{list}"), JANITOR]).args(arguments);
    command.current_dir(yard.path("")).env("TZ", "UTC").env("HOME", "/nonexistent").stdin(Stdio::null());
    let output = command.output().expect("setpriv runs");
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn clean(yard: &Yard, capabilities: &BTreeSet<String>) -> serde_json::Value {
    run(yard, capabilities, &["clean", "--json"])
}

fn theirs(path: &Path, mode: u32) {
    chown(path, Some(SOMEBODY), Some(SOMEBODY)).expect("root may");
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("root may");
}

/// Files of another user: in a directory like /tmp, and in one that is closed to everybody else.
fn set_up() -> Yard {
    let yard = Yard::new();
    for path in ["open/a", "open/sub/b", "closed/a", "closed/sub/b"] {
        theirs(&yard.aged(path, DAY * 3), 0o600);
    }
    theirs(&yard.file("open/fresh"), 0o600);
    fs::set_permissions(yard.path("open"), Permissions::from_mode(0o1777)).expect("ours");
    for path in ["open/sub", "closed", "closed/sub"] {
        theirs(&yard.path(path), 0o700);
    }
    let target = |name: &str| {
        format!(
            "[[target]]\npath = \"{name}\"\nschedule = \"@daily\"\ninclude = [\"**\"]\nolder_than = \"1d\"\n\
             remove_empty_dirs = true\n"
        )
    };
    let logs = yard.directory("logs");
    chown(&logs, Some(NOBODY), Some(NOBODY)).expect("root may");
    yard.config(&format!(
        "state_dir = \"logs/state\"\n[log]\nfile = \"logs/log\"\n{}{}",
        target("open"),
        target("closed")
    ));
    yard
}

fn left(yard: &Yard) -> Vec<String> {
    let below = |top: &str| yard.left(top).into_iter().map(move |path| format!("{top}/{path}")).collect::<Vec<_>>();
    let all = ["open", "closed"].into_iter().flat_map(below);
    all.filter(|path| !path.contains("/.janitor-slots/")).collect()
}

#[test]
fn four_capabilities_are_enough_for_other_users_files() {
    if !needs::root() || !needs::tool("setpriv") || !needs::leases() {
        return;
    }
    let four = capabilities();
    assert_eq!(four.len(), 4);
    let yard = set_up();
    let told = clean(&yard, &four);
    assert_eq!(left(&yard), ["open/fresh"], "{told}");
    for run in told["runs"].as_array().expect("a list") {
        assert_eq!((&run["outcome"], &run["deleted"]), (&"done".into(), &2.into()), "{run}");
        // Somebody else can write in each of the directories, so that takes leases on files that are not ours.
        assert_eq!(run["verified"], 2, "{run}");
    }
}

/// One of them includes another: who may do anything may look. It is for those who only look.
#[test]
fn each_capability_is_for_what_the_readme_says() {
    if !needs::root() || !needs::tool("setpriv") || !needs::leases() {
        return;
    }
    let four = capabilities();
    for missing in &four {
        let yard = set_up();
        let told = clean(&yard, &four.iter().filter(|name| *name != missing).cloned().collect());
        assert_eq!(left(&yard).len() == 1, missing == "dac_read_search", "without {missing}: {told}");
    }
    let yard = set_up();
    let told = run(&yard, &BTreeSet::from(["dac_read_search".to_owned()]), &["preview", "--json"]);
    let seen = |target: usize| told["targets"][target]["would_delete"].as_array().map(Vec::len);
    assert_eq!((seen(0), seen(1)), (Some(3), Some(3)), "two files and a directory that would be empty: {told}");
    let told = clean(&yard, &BTreeSet::new());
    assert_eq!(left(&yard).len(), 5, "{told}");
}
