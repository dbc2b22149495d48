//! Quotas where some files cannot go.

use std::os::unix::fs::{PermissionsExt, chown};

use super::*;

fn mode(yard: &Yard, path: &str, mode: u32) {
    fs::set_permissions(yard.path(path), fs::Permissions::from_mode(mode)).expect("ours");
}

/// Twenty files of 500 kB behind a log of 5 MB, which is the oldest, in a directory that everybody can write.
fn sown(yard: &Yard) {
    yard.directory("m/t");
    mode(yard, "m/t", 0o1777);
    aged(yard, "m/t/app.log", 5_000_000, 30);
    for at in 1..=20 {
        aged(yard, &format!("m/t/a{at:02}"), 500_000, 25 - at);
    }
}

#[test]
fn the_next_ones_go_instead_of_what_is_in_use() {
    if !needs::leases() {
        return;
    }
    let yard = Yard::new();
    sown(&yard);
    let _open = fs::File::open(yard.path("m/t/app.log")).expect("there");
    configure(&yard, "include = [\"**\"]\nmax_size = \"11MB\"\nmax_deletes = 9\n");
    let ran = good(yard.run(&["clean", "--json"]));
    let run = ran.json()["runs"][0].clone();
    // 15 MB are there, and 4 MB too many: eight of 500 kB, or nine since a file takes whole blocks.
    assert!([8, 9].iter().any(|count| run["deleted"] == *count), "{run}");
    assert_eq!((&run["outcome"], &run["unmet"]), (&"done".into(), &serde_json::json!({})), "{run}");
    assert!(!ran.err.contains("over its limit"), "{ran:?}");
    assert_eq!(left(&yard, "m/t").last().expect("it is left"), "app.log");
    assert_eq!(left(&yard, "m/t")[0], if run["deleted"] == 8 { "a09" } else { "a10" }, "the oldest went");
    assert_eq!(cleaned(&yard)["deleted"], 0, "the limit holds");
}

#[test]
fn a_limit_that_is_missed_is_told_at_every_door() {
    if !needs::leases() {
        return;
    }
    let yard = Yard::new();
    sown(&yard);
    let _open = fs::File::open(yard.path("m/t/app.log")).expect("there");
    let keys = "include = [\"**\"]\nmax_size = \"4MB\"\n";
    configure(&yard, keys);
    let ran = good(yard.run(&["clean"]));
    assert!(ran.err.contains("t: over its limit: still ") && ran.err.contains(" over max_size: 1 file"), "{ran:?}");
    assert_eq!(left(&yard, "m/t"), ["app.log"], "all that can go went");
    yard.config(&format!("{PORT_ANY}[[target]]\nschedule = \"0 0 1 1 *\"\npath = \"m/t\"\n{keys}"));
    let daemon = Daemon::start(&yard);
    let answer = daemon.post("/cleanup/manual");
    let run = answer.json()["runs"][0].clone();
    assert_eq!((answer.status, &run["outcome"]), (200, &"done".into()), "{answer:?}");
    assert!(run["unmet"]["max_size"].as_u64().is_some_and(|missing| missing > 900_000), "{run}");
    assert!(run["over_limits"][0].as_str().expect("words").starts_with("still "), "{run}");
    assert_eq!(daemon.target("t")["last_run"]["over_limits"], run["over_limits"]);
    assert_eq!(daemon.target("t")["over_limits"], run["over_limits"]);
    let metric = |daemon: &Daemon| {
        daemon.get("/metrics").body.lines().any(|line| {
            line.starts_with("janitor_limit_unmet{target=\"t\",limit=\"max_size\"}") && !line.ends_with(" 0")
        })
    };
    assert!(metric(&daemon));
    // A dry run changes nothing of that, and so tells nothing of it.
    assert_eq!(daemon.post("/cleanup/manual?dry_run=true").status, 200);
    assert_eq!(daemon.target("t")["last_run"]["dry_run"], true);
    assert_eq!(daemon.target("t")["over_limits"], run["over_limits"]);
    assert!(metric(&daemon));
    let told = |arguments: &[&str]| good(yard.run(&[arguments, &["--admin", &daemon.port().to_string()]].concat()));
    for command in ["trigger", "status"] {
        let ran = told(&[command]);
        assert!(ran.err.contains("t: over its limit: still "), "{command}: {ran:?}");
    }
    let ran = good(yard.run(&["check"]));
    assert!(ran.err.contains("t: over its limit: still "), "{ran:?}");
    let ran = yard.run(&["check", "--strict"]);
    assert!(ran.code == Some(1) && ran.err.contains("t: over its limit: still "), "{ran:?}");
    let ran = yard.run(&["check", "--strict", "--json"]);
    assert!(ran.code == Some(1) && ran.json()["success"] == false, "{ran:?}");
    assert!(ran.json()["targets"][0]["last_run"][0].to_string().contains("over its limit"), "{ran:?}");
    let ran = told(&["history"]);
    assert!(ran.out.contains("done (over its limit)"), "{ran:?}");
}

#[test]
fn the_next_ones_go_instead_of_what_the_system_refuses() {
    if !needs::root() || !needs::tool("setpriv") {
        return;
    }
    let yard = Yard::new();
    sown(&yard);
    let nobody = |path: &str| chown(yard.path(path), Some(65_534), Some(65_534)).expect("root may");
    for at in 1..=20 {
        nobody(&format!("m/t/a{at:02}"));
    }
    // Another user's in a sticky directory, and some in a directory that cannot be written.
    for at in 1..=3 {
        aged(&yard, &format!("m/t/closed/b{at}"), 500_000, 40);
        nobody(&format!("m/t/closed/b{at}"));
    }
    yard.directory("state");
    for path in ["m/t/closed", "state", ""] {
        nobody(path);
    }
    mode(&yard, "m/t/closed", 0o555);
    configure(&yard, "include = [\"**\"]\nmax_files = 10\n");
    let ran = yard.run_as_nobody(&["clean", "--json"]);
    let run = ran.json()["runs"][0].clone();
    assert_eq!((&run["outcome"], &run["unmet"]), (&"partial".into(), &serde_json::json!({})), "{run}");
    assert_eq!(left(&yard, "m/t").len(), 10, "{run}");
    assert_eq!(left(&yard, "m/t")[..2], ["a15", "a16"], "{run}");
    mode(&yard, "m/t/closed", 0o755);
}

#[test]
fn a_run_that_only_fails_still_ends() {
    if !needs::root() || !needs::tool("setpriv") {
        return;
    }
    let yard = Yard::new();
    for at in 0..120 {
        aged(&yard, &format!("m/t/b{at}"), 1, 9);
    }
    yard.directory("state");
    for path in ["m/t", "state", ""] {
        chown(yard.path(path), Some(65_534), Some(65_534)).expect("root may");
    }
    mode(&yard, "m/t", 0o555);
    configure(&yard, "include = [\"**\"]\nmax_files = 10\nthreads = 1\n");
    let run = yard.run_as_nobody(&["clean", "--json"]).json()["runs"][0].clone();
    assert_eq!((&run["outcome"], &run["failed"]), (&"failed".into(), &50.into()), "{run}");
}
