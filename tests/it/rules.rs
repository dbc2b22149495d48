//! The rules of a policy, by the table in the README: each row is run.

use std::collections::BTreeSet;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::client::request_with;
use super::daemon::Daemon;
use super::needs;
use super::yard::Yard;

const HOUR: u64 = 3600;
const DAY: u64 = 24 * HOUR;

fn readme() -> String {
    fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("it is there")
}

/// The rows of the README's table that begins with this line, in cells.
fn table(head: &str) -> Vec<Vec<String>> {
    let readme = readme();
    let rows = readme.lines().skip_while(|line| *line != head).skip(2).take_while(|line| line.starts_with('|'));
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    let rows: Vec<Vec<String>> = rows.map(cells).collect();
    assert!(rows.len() > 5, "{head}");
    rows
}

/// What stands in backquotes.
fn quoted(cell: &str) -> Vec<String> {
    cell.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

fn seconds(age: &str) -> u64 {
    let number: u64 = age.trim_end_matches(char::is_alphabetic).parse().expect(age);
    number * [("d", DAY), ("h", HOUR), ("min", 60)].iter().find(|(unit, _)| age.ends_with(unit)).expect(age).1
}

fn sown(yard: &Yard) {
    yard.directory("target");
    yard.directory("archive");
    for row in table("| file | modified | size |") {
        let [path, age, size] = row.as_slice() else { panic!("{row:?}") };
        let age = Duration::from_secs(seconds(age.trim_end_matches(" ago")));
        let path = format!("target/{}", quoted(path)[0]);
        let file = yard.file(&path);
        fs::write(file, vec![b'x'; size.parse().expect("a number")]).expect("written");
        yard.grow_old(&path, age);
    }
    for directory in ["run1", "run2"] {
        yard.grow_old(&format!("target/{directory}"), Duration::from_secs(10 * DAY));
    }
}

fn config(yard: &Yard, keys: &[String]) {
    let archive = yard.path("archive").to_string_lossy().into_owned();
    let keys = keys.join("\n").replace("move:/archive", &format!("move:{archive}"));
    let everything = if keys.contains("include =") { "" } else { "include = [\"**\"]\n" };
    yard.config(&format!("[[target]]\npath = \"target\"\nschedule = \"@daily\"\n{everything}{keys}\n"));
}

/// The files and directories of the target.
fn entries(yard: &Yard) -> BTreeSet<String> {
    let mut found: BTreeSet<String> = yard.left("target").into_iter().collect();
    found.extend(
        ["run1/", "run2/"]
            .iter()
            .filter(|name| yard.path(format!("target/{name}")).is_dir())
            .map(|name| (*name).to_owned()),
    );
    found
}

#[test]
fn every_row_of_the_readme_s_table_holds() {
    for row in table("| keys | what goes |") {
        let [keys, goes] = row.as_slice() else { panic!("{row:?}") };
        if keys.contains("skip_open") && !needs::leases() {
            continue;
        }
        let yard = Yard::new();
        sown(&yard);
        let before = entries(&yard);
        config(&yard, &quoted(keys));
        let expected: BTreeSet<String> =
            if goes.starts_with("nothing") { BTreeSet::new() } else { quoted(goes).into_iter().collect() };
        assert!(expected.is_subset(&before), "{keys}: {goes}");
        let ran = yard.run(&["clean"]);
        let code = if goes.contains("held") { 75 } else { 0 };
        assert_eq!(ran.code, Some(code), "{keys}: {ran:?}");
        let gone: BTreeSet<String> = before.difference(&entries(&yard)).cloned().collect();
        assert_eq!(gone, expected, "{keys}: {ran:?}");
        let moved: BTreeSet<String> = yard.left("archive").into_iter().collect();
        assert_eq!(moved, if keys.contains("move:") { expected } else { BTreeSet::new() }, "{keys}");
    }
}

#[test]
fn what_is_in_use_stays_and_is_told() {
    if !needs::leases() {
        return;
    }
    let yard = Yard::new();
    sown(&yard);
    config(&yard, &["older_than = \"4d\"".into(), "skip_open = true".into()]);
    let open = fs::File::open(yard.path("target/d.db")).expect("there");
    let mut reader = Command::new("sleep").arg("60").stdin(Stdio::from(open)).spawn().expect("sleep runs");
    let ran = yard.run(&["preview", "--kept", "skip_open"]);
    assert!(ran.out.contains("keeps  d.db  (in use by a process)"), "{ran:?}");
    let ran = yard.run(&["clean"]);
    reader.kill().expect("ours");
    reader.wait().expect("ours");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(yard.path("target/d.db").exists());
    assert!(!yard.path("target/run1/x.log").exists());
    assert_eq!(yard.run(&["clean"]).code, Some(0));
    assert!(!yard.path("target/d.db").exists(), "nobody has it open any more");
}

#[test]
fn the_inner_of_two_nested_targets_owns_its_directory() {
    let yard = Yard::new();
    sown(&yard);
    let target = |path: &str, include: &str| {
        format!("[[target]]\npath = \"{path}\"\nschedule = \"@daily\"\ninclude = [\"{include}\"]\n")
    };
    let twice = target("target", "*.log").replace("path", "name = \"twice\"\npath");
    yard.config(&format!("{}{}{twice}", target("target", "**"), target("target/run1", "x.*")));
    let ran = yard.run(&["check"]);
    assert!(ran.out.contains("run1` below it belongs to the target run1 and is left to it"), "{ran:?}");
    assert!(ran.out.contains("the target twice has the same directory; both policies hold there"), "{ran:?}");
    std::os::unix::fs::symlink("target", yard.path("link")).expect("made");
    yard.config(&format!("{}{}", target("target", "**"), target("link", "*.log")));
    let through = yard.run(&["check"]);
    assert_eq!(through.out.matches("has the same directory").count(), 2, "a link leads there too: {through:?}");
    yard.config(&format!("{}{}{twice}", target("target", "**"), target("target/run1", "x.*")));
    let ran = yard.run(&["explain", "target/run1/y.log", "target/a.log"]);
    assert!(ran.out.contains("target/run1/y.log: stays: no include names it\n  target: run1\n"), "{ran:?}");
    assert_eq!(ran.out.matches("target/a.log: goes").count(), 2, "both policies: {ran:?}");
    assert_eq!(yard.run(&["clean", "target"]).code, Some(0));
    assert_eq!(yard.left("target"), ["run1/x.log", "run1/y.log"]);
    assert_eq!(yard.run(&["clean"]).code, Some(0));
    assert_eq!(yard.left("target"), ["run1/y.log"]);
}

#[test]
fn explain_says_why_and_from_when() {
    let yard = Yard::new();
    sown(&yard);
    config(&yard, &["older_than = \"4d\"".into(), "max_files = 6".into(), "exclude = [\"*.tmp\"]".into()]);
    let explained = |path: &str| yard.run(&["explain", path, "--json"]).json()["explanations"][0].clone();
    let goes = explained("target/d.db");
    assert_eq!((&goes["verdict"], &goes["from"]), (&"goes".into(), &serde_json::Value::Null), "{goes}");
    assert!(goes["because"].as_str().expect("words").contains(">= older_than 4d"), "{goes}");
    let young = explained("target/b.log");
    assert!(young["because"].as_str().expect("words").contains("< older_than 4d"), "{young}");
    assert!(young["from"].is_string(), "{young}");
    let excluded = explained("target/c.tmp");
    assert_eq!(excluded["because"], "excluded by `*.tmp`");
    assert_eq!(excluded["from"], serde_json::Value::Null, "time does not change that: {excluded}");
    let said = |rule: &str| excluded["rules"].as_array().expect("a list").iter().find(|one| one["rule"] == rule);
    assert_eq!(said("include").expect("it is there")["says"], "`**`");
    assert_eq!(said("exclude").expect("it is there")["says"], "`*.tmp`");
    // Four of eight candidates go by age, and that is enough for the quota.
    let limit = young["rules"].as_array().expect("a list").iter().find(|rule| rule["rule"] == "max_files");
    assert_eq!(limit.expect("it is there")["says"], "holds: takes nothing");
    config(&yard, &["max_files = 8".into()]);
    let cut = yard.run(&["explain", "target/d.db"]);
    assert!(cut.out.contains("max_files: 9 files > max_files 8: takes what is of an age of 40d"), "{cut:?}");
    assert!(cut.out.contains("up to `d.db`"), "{cut:?}");
    assert_eq!(yard.run(&["explain", "/etc/passwd"]).code, Some(1));
    assert_eq!(yard.run(&["explain", "target/none"]).code, Some(1));
}

#[test]
fn the_port_explains_as_the_command_does() {
    let yard = Yard::new();
    sown(&yard);
    yard.file("target/sp ace");
    let target =
        "[[target]]\npath = \"target\"\nschedule = \"@daily\"\ninclude = [\"*\"]\nolder_than = \"4d\"\nmax_files = 5\n";
    let daemon = Daemon::with(&yard, target);
    let asked = |query: &str| daemon.get(&format!("/cleanup/explain?{query}"));
    let command = yard.run(&["explain", "target/d.db", "--json"]).json();
    let mut told = asked("target=target&path=d.db").json();
    assert_eq!((&told["success"], &told["explanations"][0]["path"]), (&true.into(), &"d.db".into()), "{told}");
    // The age is that of now, and now passes.
    for one in [&mut told["explanations"][0], &mut command.clone()["explanations"][0]] {
        assert_eq!(one["verdict"], "goes", "{one}");
        assert!(one["because"].as_str().expect("words").contains(">= older_than 4d"), "{one}");
    }
    let keys = |answer: &serde_json::Value| -> Vec<String> {
        answer["explanations"][0].as_object().expect("an object").keys().cloned().collect()
    };
    assert_eq!(keys(&told), keys(&command));
    let absolute = asked(&format!("path={}", yard.path("target/b.log").to_string_lossy())).json();
    assert_eq!(absolute["explanations"][0]["verdict"], "stays", "{absolute}");
    assert!(absolute["explanations"][0]["from"].is_string(), "{absolute}");
    assert_eq!(asked("target=target&path=sp%20ace").json()["explanations"][0]["judged"], "sp ace");
    for (query, status, error) in [
        ("", 400, "bad_request"),
        ("path=", 400, "bad_request"),
        ("path=d.db", 400, "bad_request"),
        ("target=target&path=../stderr", 400, "bad_request"),
        ("target=target&path=d.db&path=b.log", 400, "bad_request"),
        ("target=nobody&path=d.db", 404, "unknown_target"),
        ("target=target&path=/etc/passwd", 404, "not_in_target"),
        ("path=/none/such", 404, "no_such_path"),
        ("target=target&path=none", 422, "cannot_explain"),
        ("target=target&path=/", 404, "not_in_target"),
        ("target=target&path=x%00y", 422, "cannot_explain"),
    ] {
        let answer = asked(query);
        assert_eq!((answer.status, &answer.json()["error"]), (status, &error.into()), "{query}: {answer:?}");
    }
    assert_eq!(daemon.post("/cleanup/explain?target=target&path=d.db").status, 405);
    let page = request_with(daemon.port(), "GET", "/cleanup/explain?target=target&path=d.db", &["Origin: http://x"]);
    assert_eq!(page.status, 403);
    assert_eq!(yard.left("target").len(), 10, "it only looks");
}

#[test]
fn a_preview_looks_ahead_and_lists_what_is_kept() {
    let yard = Yard::new();
    sown(&yard);
    config(&yard, &["older_than = \"6d\"".into(), "keep_newest = 1".into(), "exclude = [\"*.db\", \"*.nix\"]".into()]);
    let would = |arguments: &[&str]| {
        let told = yard.run(&[&["preview", "--json"], arguments].concat()).json();
        told["targets"][0]["would_delete"].as_array().expect("a list").len()
    };
    assert_eq!(would(&[]), 1);
    assert_eq!(would(&["--in", "1d"]), 2);
    assert_eq!(would(&["--in", "100d"]), 5);
    assert_eq!(would(&["--at", "2020-01-01T00:00:00Z"]), 0);
    let wrong = yard.run(&["preview", "--at", "tomorrow"]);
    assert_eq!(wrong.code, Some(64), "{wrong:?}");
    assert!(wrong.err.contains("`tomorrow` is not an instant; write it like 2026-03-08T00:00:00Z"), "{wrong:?}");
    assert_eq!(yard.run(&["preview", "--in", "6m"]).code, Some(64));
    let ran = yard.run(&["preview", "--in", "100d", "--kept", "keep_newest"]);
    assert!(ran.out.contains("keeps  new.log  (the newest of its directory (keep_newest 1))"), "{ran:?}");
    assert!(!ran.out.contains("d.db"), "{ran:?}");
    assert!(ran.out.contains("note: the exclude `*.nix` matched nothing"), "{ran:?}");
    let ran = yard.run(&["preview", "--kept"]);
    assert!(ran.out.contains("keeps  d.db  (excluded by `*.db`)"), "{ran:?}");
}

#[test]
fn what_min_free_takes_does_not_count_as_kept() {
    let yard = Yard::new();
    sown(&yard);
    config(&yard, &["min_free = \"100%\"".into()]);
    let ran = yard.run(&["clean", "--json"]).json()["runs"][0].clone();
    // Only new.log stays, which is too young.
    assert_eq!((&ran["examined"], &ran["deleted"], &ran["kept"]), (&11.into(), &8.into(), &1.into()), "{ran}");
}

#[test]
fn a_move_within_the_file_system_gives_nothing_back() {
    let yard = Yard::new();
    for (action, gives) in [("move:/archive", false), ("delete", true)] {
        sown(&yard);
        config(&yard, &["older_than = \"4d\"".into(), format!("action = \"{action}\"")]);
        let ran = yard.run(&["clean", "--json"]).json()["runs"][0].clone();
        assert_eq!(ran["deleted"], 4, "{ran}");
        assert_eq!(ran["freed_bytes"].as_u64().expect("a number") > 0, gives, "{action}: {ran}");
    }
}

#[test]
fn a_limit_that_cannot_be_met_says_what_is_in_its_way() {
    let yard = Yard::new();
    sown(&yard);
    config(&yard, &["max_files = 1".into(), "keep_newest = 2".into()]);
    let ran = yard.run(&["clean"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let log = fs::read_to_string(yard.path("cleanup_scheduler.log")).expect("there");
    assert!(log.contains("Note: still 5 files over max_files: 5 files ("), "{log}");
    assert!(log.contains("protected by keep_newest, 1 file ("), "{log}");
}

#[test]
fn a_file_with_the_sticky_bit_stays_below_run_user() {
    let base = std::path::Path::new("/run/user/64102");
    if !needs::root() {
        return;
    }
    fs::create_dir_all(base).expect("root may");
    let yard = Yard::below(base);
    let sticky = |path: &str| {
        fs::set_permissions(yard.file(path), std::os::unix::fs::PermissionsExt::from_mode(0o1644)).expect("ours");
    };
    sticky("in/a");
    sticky("in/unit/a");
    yard.file("in/b");
    yard.file("in/unit/b");
    let config = "[admin]\nlisten = \"off\"\n[[target]]\npath = \"in\"\nschedule = \"@daily\"\n";
    yard.config(&format!("{config}include = [\"**\"]\n"));
    let explained = yard.run(&["explain", "in/a"]);
    let ran = yard.run(&["clean"]);
    let left = yard.left("in");
    yard.file("in/unit/b");
    yard.config(&format!("{config}include = [\"*\"]\nwhole_dirs = true\n"));
    let whole = yard.run(&["clean"]);
    let left_whole = yard.left("in");
    drop(yard);
    let gone = std::process::Command::new("rmdir").arg(base).output().expect("rmdir runs");
    assert!(explained.out.contains("it has the sticky bit"), "{explained:?}");
    assert_eq!((ran.code, left), (Some(0), vec!["a".to_owned(), "unit/a".to_owned()]), "{ran:?}");
    assert_eq!(left_whole, ["a", "unit/a", "unit/b"], "{whole:?} {gone:?}");
}

#[test]
fn a_directory_that_was_just_made_and_the_work_directory_of_an_overlay_stay() {
    let yard = Yard::new();
    for path in ["new/old-file", "old/old-file", "work/old-file"] {
        yard.aged(&format!("in/{path}"), Duration::from_secs(864_000));
    }
    yard.directory("in/lower/work");
    for path in ["old", "lower/work", "lower", "work"] {
        yard.grow_old(&format!("in/{path}"), Duration::from_secs(864_000));
    }
    fs::set_permissions(yard.path("in/lower/work"), std::os::unix::fs::PermissionsExt::from_mode(0o0)).expect("ours");
    let config = "[admin]\nlisten = \"off\"\n[[target]]\npath = \"in\"\nschedule = \"@daily\"\n";
    let rules = "include = [\"**\"]\nolder_than = \"1d\"\nmin_age = \"10min\"\nremove_empty_dirs = true\n";
    yard.config(&format!("{config}{rules}"));
    let ran = yard.run(&["clean"]);
    // Nobody but root may look into it.
    let expected = i32::from(!needs::is_root());
    assert_eq!((ran.code, yard.left("in").len()), (Some(expected), 0), "{ran:?}");
    let there = ["new", "old", "work", "lower/work"].map(|path| yard.path(format!("in/{path}")).is_dir());
    assert_eq!(there, [true, false, false, true], "{ran:?}");
}
