//! The trash, and the way back.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use super::daemon::wait_for;
use super::needs;
use super::yard::Yard;

const DAY: Duration = Duration::from_secs(86_400);

fn config(yard: &Yard, more: &str) {
    // Without a port: no daemon of somebody else is asked.
    yard.config(&format!(
        "[admin]\nlisten = \"off\"\n[[target]]\npath = \"target\"\nschedule = \"@daily\"\ninclude = [\"**\"]\naction = \"trash\"\n{more}\n"
    ));
}

fn clean(yard: &Yard) -> Value {
    let ran = yard.run(&["clean", "--json"]);
    assert!(matches!(ran.code, Some(0 | 1)), "{ran:?}");
    ran.json()["runs"][0].clone()
}

fn id(run: &Value) -> &str {
    run["run"].as_str().expect("an id")
}

/// Files in the trash, without the notes.
fn trashed(yard: &Yard) -> Vec<String> {
    let all = if yard.path(".janitor-trash").exists() { yard.left(".janitor-trash") } else { Vec::new() };
    all.into_iter().filter(|path| path.contains('/')).collect()
}

#[test]
fn what_goes_to_the_trash_comes_back_with_undo_and_is_left_alone_for_a_day() {
    let yard = Yard::new();
    for path in ["target/a", "target/deep/er/b", "target/deep/c"] {
        yard.aged(path, DAY * 9);
    }
    config(&yard, "older_than = \"1d\"\nremove_empty_dirs = true");
    let before = fs::metadata(yard.path("target/a")).expect("there").modified().expect("there");
    let run = clean(&yard);
    assert_eq!((&run["deleted"], &run["freed_bytes"]), (&3.into(), &0.into()), "a trash frees nothing: {run}");
    assert!(yard.left("target").is_empty() && !yard.path("target/deep").exists());
    assert_eq!(
        trashed(&yard),
        [format!("{}/a", id(&run)), format!("{}/deep/c", id(&run)), format!("{}/deep/er/b", id(&run))]
    );
    let listed = yard.run(&["trash", "--json"]).json();
    assert_eq!((&listed[0]["run"], &listed[0]["files"]), (&run["run"], &3.into()), "{listed}");
    let log = fs::read_to_string(yard.path("cleanup_scheduler.log")).expect("written");
    assert!(log.contains(" - INFO - Trashed file: deep/er/b\n"), "{log}");
    let undone = yard.run(&["undo", id(&run)]);
    assert_eq!(undone.code, Some(0), "{undone:?}");
    assert_eq!(yard.left("target"), ["a", "deep/c", "deep/er/b"]);
    assert_eq!(fs::metadata(yard.path("target/a")).expect("back").modified().expect("there"), before);
    assert!(trashed(&yard).is_empty());
    let again = yard.run(&["undo", id(&run)]);
    assert!(again.code == Some(1) && again.err.contains("nothing of run"), "{again:?}");
    // The same rule would take them at once.
    let kept = yard.run(&["preview", "--kept"]);
    assert!(kept.out.contains("keeps  a  (put back from the trash within a day)"), "{kept:?}");
    assert_eq!(clean(&yard)["deleted"], 0);
    let later = yard.run(&["preview", "--in", "25h", "--json"]).json();
    let report = &later["targets"][0]["report"];
    assert_eq!((&report["deleted"], &report["freed_bytes"]), (&3.into(), &0.into()), "{later}");
}

#[test]
fn undo_never_overwrites_and_puts_back_the_rest() {
    let yard = Yard::new();
    for path in ["target/a", "target/b", "target/dir/c"] {
        yard.file(path);
    }
    config(&yard, "");
    let run = clean(&yard);
    fs::write(yard.path("target/a"), "new").expect("written");
    fs::rename(yard.path("target/dir"), yard.path("away")).expect("ours");
    fs::write(yard.path("target/dir"), "a file by now").expect("written");
    let undone = yard.run(&["undo", id(&run), "--json"]);
    assert_eq!(undone.code, Some(1), "{undone:?}");
    let told = undone.json();
    assert_eq!((&told["restored"], &told["occupied"]), (&1.into(), &serde_json::json!(["a", "dir/c"])), "{told}");
    assert_eq!(fs::read_to_string(yard.path("target/a")).expect("there"), "new");
    assert_eq!(fs::read_to_string(yard.path("target/b")).expect("back"), "content");
    assert_eq!(trashed(&yard), [format!("{}/a", id(&run)), format!("{}/dir/c", id(&run))], "they wait there");
    fs::rename(yard.path("target/a"), yard.path("away-a")).expect("ours");
    fs::rename(yard.path("target/dir"), yard.path("away-dir")).expect("ours");
    assert_eq!(yard.run(&["undo", id(&run)]).code, Some(0));
    assert_eq!(yard.left("target"), ["a", "b", "dir/c"]);
}

#[test]
fn the_trash_is_purged_when_its_time_has_come_and_emptied_when_asked() {
    let yard = Yard::new();
    yard.file("target/a");
    config(&yard, "trash_keep = \"0s\"");
    let first = clean(&yard);
    assert_eq!(trashed(&yard).len(), 1, "its own run does not purge it");
    yard.file("target/b");
    let second = clean(&yard);
    let said = second["remarks"].to_string();
    assert!(said.contains(&format!("purged from the trash: 1 files of run {}", id(&first))), "{said}");
    assert_eq!(trashed(&yard), [format!("{}/b", id(&second))]);
    // How long a run is kept was decided when it ran.
    config(&yard, "trash_keep = \"1h\"");
    yard.file("target/c");
    let third = clean(&yard);
    yard.file("target/d");
    clean(&yard);
    assert!(trashed(&yard).contains(&format!("{}/c", id(&third))));
    assert!(!trashed(&yard).contains(&format!("{}/b", id(&second))));
    for asked in [&["trash", "--empty"][..], &["trash", "--empty", "--json"]] {
        let refused = yard.run(asked);
        assert!(refused.code == Some(64) && refused.err.contains("2 file(s) of 2 run(s)"), "{refused:?}");
        assert!(refused.err.contains("add --yes"), "{refused:?}");
    }
    assert_eq!(trashed(&yard).len(), 2, "nobody has said yes");
    assert_eq!(yard.run(&["trash", "--yes"]).code, Some(64), "it says nothing alone");
    let emptied = yard.run(&["trash", "--empty", "--yes"]);
    assert!(emptied.code == Some(0) && emptied.out.contains("purged: 2 file(s)"), "{emptied:?}");
    assert!(trashed(&yard).is_empty());
    let log = fs::read_to_string(yard.path("cleanup_scheduler.log")).expect("written");
    let line = format!(
        "target - INFO - Purged from the trash, as `janitor trash --empty` asked: 1 files of run {}",
        id(&third)
    );
    assert!(log.contains(&line), "{log}");
    assert_eq!(yard.run(&["trash"]).out, "the trash is empty\n");
}

#[test]
fn for_want_of_space_the_trash_goes_first_and_then_files_for_good() {
    let yard = Yard::new();
    yard.aged("target/a", DAY);
    config(&yard, "older_than = \"1h\"");
    clean(&yard);
    yard.aged("target/b", DAY);
    // No disk is as empty as this asks for.
    config(&yard, "min_free = \"100%\"");
    assert!(yard.run(&["check"]).out.contains("; files that make room for `min_free` are deleted for good"));
    let preview = yard.run(&["preview"]);
    assert!(preview.out.contains("  would delete  b  ("), "{preview:?}");
    yard.run(&["clean", "--dry-run"]);
    let run = clean(&yard);
    assert!(run["remarks"].to_string().contains("to make room"), "{run}");
    assert!(trashed(&yard).is_empty() && yard.left("target").is_empty(), "{run}");
    let log = fs::read_to_string(yard.path("cleanup_scheduler.log")).expect("written");
    assert!(log.contains("Would delete file: b ("), "{log}");
    assert!(log.contains("Deleted file: b"), "what makes room is gone: {log}");
}

#[test]
fn a_trash_that_is_not_ours_is_refused_and_nothing_goes() {
    let yard = Yard::new();
    yard.file("target/a");
    yard.directory("elsewhere");
    std::os::unix::fs::symlink("elsewhere", yard.path(".janitor-trash")).expect("made");
    config(&yard, "");
    let run = clean(&yard);
    assert_eq!(run["outcome"], "failed", "{run}");
    let said = run["message"].as_str().expect("words");
    assert!(said.contains("there is no trash: `.janitor-trash` is no directory; move it away"), "{said}");
    assert_eq!((yard.left("target").len(), yard.left("elsewhere").len()), (1, 0));
}

#[test]
fn a_trash_of_another_user_is_never_told_to_be_removed_but_whose_it_is() {
    if !needs::root() {
        return;
    }
    let yard = Yard::new();
    yard.file("target/a");
    config(&yard, "");
    let run = clean(&yard);
    let trash = yard.path(".janitor-trash");
    std::os::unix::fs::chown(&trash, Some(65_534), Some(65_534)).expect("root may");
    yard.file("target/b");
    let told = |said: &str| {
        for wanted in [
            "`.janitor-trash` belongs to `nobody`, and not to `root`",
            "run janitor as `nobody` again",
            "janitor undo RUN",
        ] {
            assert!(said.contains(wanted), "{wanted}: {said}");
        }
        assert!(!said.contains("remove"), "{said}");
    };
    let failed = clean(&yard);
    told(failed["message"].as_str().expect("words"));
    assert_eq!(yard.left("target"), ["b"], "nothing goes without a trash");
    let listed = yard.run(&["trash"]);
    assert_eq!(listed.code, Some(1), "{listed:?}");
    told(&listed.err);
    // As its user again.
    std::os::unix::fs::chown(&trash, Some(0), Some(0)).expect("root may");
    fs::set_permissions(&trash, std::os::unix::fs::PermissionsExt::from_mode(0o755)).expect("ours");
    let said = clean(&yard)["message"].as_str().expect("words").to_owned();
    assert!(
        said.contains("is not private, others can enter it (mode 0755)") && said.contains("`chmod 700` it"),
        "{said}"
    );
    fs::set_permissions(&trash, std::os::unix::fs::PermissionsExt::from_mode(0o700)).expect("ours");
    assert_eq!(yard.run(&["undo", id(&run)]).code, Some(0));
    assert_eq!(yard.left("target"), ["a", "b"]);
}

#[test]
fn a_directory_that_goes_whole_comes_back_whole() {
    let yard = Yard::new();
    for path in ["target/one/a", "target/one/deep/b"] {
        yard.file(path);
    }
    config(&yard, "whole_dirs = true");
    let text = fs::read_to_string(yard.path("config/janitor.toml")).expect("there").replace("\"**\"", "\"*\"");
    yard.config(&text);
    let run = clean(&yard);
    assert!(yard.left("target").is_empty(), "{run}");
    assert_eq!(yard.run(&["undo", id(&run)]).code, Some(0));
    assert_eq!(yard.left("target"), ["one/a", "one/deep/b"]);
}

#[test]
fn two_targets_in_one_directory_keep_their_runs_apart() {
    let yard = Yard::new();
    yard.file("target/a");
    yard.file("other/a");
    let other = "[[target]]\npath = \"other\"\nschedule = \"@daily\"\ninclude = [\"*\"]\naction = \"trash\"\ntrash_keep = \"0s\"\n";
    config(&yard, other);
    let runs = yard.run(&["clean", "--json"]).json()["runs"].clone();
    yard.file("target/b");
    assert_eq!(yard.run(&["clean", "target"]).code, Some(0));
    assert!(trashed(&yard).contains(&format!("{}/a", id(&runs[1]))), "it is not this target's to purge");
    let listed = yard.run(&["trash", "other", "--json"]).json();
    assert_eq!(listed.as_array().expect("a list").len(), 1);
    assert_eq!(yard.run(&["undo", id(&runs[1])]).code, Some(0));
    assert_eq!((yard.left("target").len(), yard.left("other").len()), (0, 1));
}

/// Each level of a chain has its name in memory, not its path: those of three thousand levels would be two gigabytes.
#[test]
fn a_chain_of_three_thousand_directories_in_the_trash_is_purged_in_little_memory() {
    use rustix::fs::{CWD, Mode, OFlags, mkdirat, openat};
    const LEVELS: usize = 3000;
    let yard = Yard::new();
    let config = |keep: &str| {
        let target = "[[target]]\npath = \"uploads\"\nschedule = \"@yearly\"\ninclude = [\"**\"]\naction = \"trash\"\n";
        yard.config(&format!("[admin]\nlisten = \"off\"\n{target}trash_keep = \"{keep}\"\n"));
    };
    let flags = OFlags::DIRECTORY | OFlags::CLOEXEC;
    let mut at = openat(CWD, yard.directory("uploads"), flags, Mode::empty()).expect("there");
    let name = "d".repeat(250);
    for _ in 0..LEVELS {
        mkdirat(&at, &name, Mode::RWXU).expect("made");
        at = openat(&at, &name, flags, Mode::empty()).expect("there");
    }
    drop(openat(&at, "file", OFlags::CREATE | OFlags::WRONLY, Mode::RUSR | Mode::WUSR).expect("made"));
    let limited = |command: &str| {
        let script = format!("ulimit -v 700000; exec \"$0\" {command}");
        let ran = yard.run_as(|janitor| {
            *janitor = std::process::Command::new("sh");
            janitor.args(["-c", &script, super::yard::JANITOR]);
            janitor.current_dir(yard.path("")).env("TZ", "UTC").env("HOME", "/nonexistent");
        });
        assert_eq!(ran.code, Some(0), "{command}: {ran:?}");
        ran.out
    };
    config("1s");
    limited("clean");
    assert!(yard.path(".janitor-trash").exists() && limited("trash").contains("1 file(s)"));
    wait_for("its time in the trash", || {
        limited("clean");
        limited("trash").contains("the trash is empty").then_some(())
    });
    // The library would hold a handle for each level.
    super::disk::sh("rm -rf \"$1\"", &[&yard.path("uploads")]);
}
