//! Globs as users meet them: what misses by a little is told at every door.

use std::fs;

use super::daemon::{Daemon, PORT_ANY};
use super::yard::Yard;

fn config(yard: &Yard, keys: &str) -> String {
    let text = format!("[[target]]\npath = \"t\"\nschedule = \"0 0 1 1 *\"\n{keys}\n");
    yard.config(&text);
    text
}

#[test]
fn an_exclude_that_misses_by_case_or_form_is_told_at_every_door() {
    for (exclude, file, difference) in [
        ("Keep.db", "keep.db", "only in the case of its letters"),
        ("*.JPG", "deep/er/a.jpg", "only in the case of its letters"),
        ("Cache/", "cache/x", "only in the case of its letters"),
        ("Deep/er/*", "deep/er/x", "only in the case of its letters"),
        ("caf\u{e9}", "cafe\u{301}", "only in its Unicode form"),
    ] {
        let yard = Yard::new();
        yard.file(format!("t/{file}"));
        yard.file("t/other");
        let text = config(&yard, &format!("include = [\"**\"]\nexclude = [\"{exclude}\"]"));
        let said = |text: &str| {
            let begin = format!("the exclude `{exclude}` matched nothing, but `");
            assert!(text.contains(&begin) && text.contains(difference), "{exclude}: {text}");
        };
        said(&yard.run(&["preview"]).out);
        said(&yard.run(&["preview", "--json"]).json()["targets"][0]["report"]["remarks"].to_string());
        yard.config(&format!("{PORT_ANY}{text}"));
        let daemon = Daemon::start(&yard);
        let run = daemon.post("/cleanup/manual?dry_run=true").json()["runs"][0].clone();
        said(&run["remarks"].to_string());
        // The status is for everybody.
        let open = daemon.target("t")["last_run"]["remarks"].to_string();
        assert!(open.contains("matched nothing, but something differs from it only in"), "{open}");
        drop(daemon);
        let cleaned = yard.run(&["clean"]);
        assert_eq!(cleaned.code, Some(0), "{cleaned:?}");
        let log = fs::read_to_string(yard.path("cleanup_scheduler.log")).expect("written");
        let is_loud = |line: &str| line.contains(" - t - WARNING - Note: the exclude `") && line.contains(difference);
        assert!(log.lines().any(is_loud), "{log}");
        said(&yard.run(&["check"]).err);
        let strict = yard.run(&["check", "--strict"]);
        assert_eq!(strict.code, Some(1), "{strict:?}");
        // Mended, it is no trouble any more.
        config(&yard, "include = [\"**\"]\nexclude = [\"else\"]");
        let strict = yard.run(&["check", "--strict"]);
        assert_eq!(strict.code, Some(0), "{strict:?}");
    }
}

#[test]
fn an_exclude_that_names_something_or_nothing_like_it_is_no_near_miss() {
    let yard = Yard::new();
    for file in ["Keep", "keep", "deep/keep", "other"] {
        yard.file(format!("t/{file}"));
    }
    config(&yard, "include = [\"**\"]\nexclude = [\"Keep\", \"elsewhere\"]");
    let seen = yard.run(&["preview"]);
    assert!(!seen.out.contains("differs from it"), "{seen:?}");
    assert!(seen.out.contains("the exclude `elsewhere` matched nothing"), "{seen:?}");
}

#[test]
fn an_exclude_that_misses_in_a_directory_that_goes_whole_is_told() {
    let yard = Yard::new();
    yard.file("t/run/deep/keep");
    config(&yard, "include = [\"*\"]\nwhole_dirs = true\nexclude = [\"Keep\"]");
    let seen = yard.run(&["preview"]);
    assert!(seen.out.contains("matched nothing, but `run/deep/keep` differs from it only in the case"), "{seen:?}");
}

#[test]
fn a_limit_that_covers_the_top_level_alone_is_told() {
    let yard = Yard::new();
    yard.file("t/a");
    yard.file("t/deep/b");
    config(&yard, "include = [\"*\"]\nmax_size = \"1GB\"");
    let said = "max_size covers the top level only: no include (`*`) reaches into directories; `**` means all of it";
    let checked = yard.run(&["check"]);
    assert!(checked.out.contains(said), "{checked:?}");
    let seen = yard.run(&["preview"]);
    let run =
        "the limits cover the top level only: 1 directory is neither counted nor entered; `include = [\"**\"]` means";
    assert!(seen.out.contains(run), "{seen:?}");
    config(&yard, "include = [\"**\"]\nmax_size = \"1GB\"");
    assert!(!yard.run(&["check"]).out.contains("top level only"));
    assert!(!yard.run(&["preview"]).out.contains("top level only"));
}

#[test]
fn what_bash_reads_in_another_way_is_refused_with_a_caret() {
    let yard = Yard::new();
    yard.file("t/1.csv");
    config(&yard, "include = [\"[[:digit:]].csv\"]");
    let checked = yard.run(&["check"]);
    assert_eq!(checked.code, Some(78), "{checked:?}");
    let caret = checked.err.lines().find(|line| line.contains("^^^^^^^^^")).expect("a caret");
    let line = checked.err.lines().find(|line| line.contains("[[:digit:]]")).expect("the line");
    assert_eq!(caret.find('^'), line.find("[:digit:]"), "{checked:?}");
    assert!(checked.err.contains("write `[0-9]`"), "{checked:?}");
}
