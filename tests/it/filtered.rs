//! Behind a filter of system calls, as in a hardened unit or an older container.

use std::os::unix::fs::symlink;
use std::time::Duration;

use super::daemon::{Daemon, PORT_ANY};
use super::yard::{Filter, Yard};

const DAY: Duration = Duration::from_secs(86_400);

fn yard(more: &str) -> Yard {
    let yard = Yard::new();
    for file in ["square/a", "square/deep/er/b", "square/deep/kept", "outside/precious"] {
        yard.aged(file, DAY * 3);
    }
    symlink(yard.path("outside"), yard.path("square/link")).expect("made");
    symlink(yard.path("outside"), yard.path("square/deep/link")).expect("made");
    yard.config(&format!(
        "{PORT_ANY}[[target]]\nname = \"square\"\npath = \"square\"\nschedule = \"@daily\"\ninclude = [\"**\"]\n\
         exclude = [\"**/kept\"]\nolder_than = \"1d\"\n{more}\n"
    ));
    yard
}

#[test]
fn without_openat2_the_same_goes_and_stays_and_it_is_said() {
    for more in ["", "action = \"trash\"", "skip_open = true", "whole_dirs = false\nremove_empty_dirs = true"] {
        let yard = yard(more).behind(Filter::NoOpenat2);
        let ran = yard.run(&["clean", "--json"]);
        let run = ran.json()["runs"][0].clone();
        assert_eq!((&run["outcome"], &run["sandbox"]), (&"done".into(), &"landlock".into()), "{ran:?}");
        assert_eq!(yard.left("square"), ["deep/kept", "deep/link", "link"], "{more}: {ran:?}");
        assert_eq!(yard.left("outside"), ["precious"]);
    }
    let yard = yard("");
    let said = yard.run(&["check"]).out;
    assert!(said.contains("opened with: openat2\n"), "{said}");
    let yard = yard.behind(Filter::NoOpenat2);
    let said = yard.run(&["check"]).out;
    assert!(said.contains("opened with: openat, name by name"), "{said}");
    let daemon = Daemon::start(&yard);
    assert_eq!(daemon.status()["kernel"]["opening"], "openat");
    assert_eq!(daemon.post("/cleanup/manual?target=square").json()["runs"][0]["outcome"], "done");
    assert_eq!(yard.left("square"), ["deep/kept", "deep/link", "link"]);
}

#[test]
fn a_filter_that_kills_who_asks_for_landlock_kills_no_sweep_and_no_daemon() {
    let yard = yard("").behind(Filter::LandlockKills);
    let said = yard.run(&["check"]).out;
    assert!(said.contains("sandbox: none: a filter of system calls kills who asks for Landlock"), "{said}");
    assert!(said.contains("SystemCallFilter=landlock_create_ruleset"), "{said}");
    let daemon = Daemon::start(&yard);
    assert!(daemon.stderr().contains("No sweep has a sandbox: a filter"), "{}", daemon.stderr());
    let why = daemon.status()["kernel"]["sandbox_problem"].clone();
    assert!(why.as_str().is_some_and(|why| why.contains("a filter of system calls kills")), "{why}");
    let run = daemon.post("/cleanup/manual?target=square").json()["runs"][0].clone();
    assert_eq!(run["outcome"], "done", "{run}");
    assert!(run["sandbox"].as_str().is_some_and(|sandbox| sandbox.starts_with("none: a filter")), "{run}");
    assert_eq!(yard.left("square"), ["deep/kept", "deep/link", "link"]);
    drop(daemon);
    let strict = self::yard("sandbox = \"require\"").behind(Filter::LandlockKills);
    let run = strict.run(&["clean", "--json"]).json()["runs"][0].clone();
    assert_eq!(run["outcome"], "failed", "{run}");
    assert_eq!(strict.left("square").len(), 5);
}
