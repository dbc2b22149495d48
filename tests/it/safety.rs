//! SAFETY.md names a test for each promise, and each of them is there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn read(path: impl AsRef<Path>) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("text")
}

/// The full names of all tests, as `cargo test` prints them.
fn tests() -> BTreeSet<String> {
    fn walk(directory: &Path, module: &str, found: &mut BTreeSet<String>) {
        for entry in fs::read_dir(directory).expect("readable") {
            let path = entry.expect("readable").path();
            let stem = path.file_stem().expect("a name").to_string_lossy().into_owned();
            let own = match stem.as_str() {
                "mod" | "lib" | "main" => module.to_owned(),
                _ => format!("{module}{stem}::"),
            };
            if path.is_dir() {
                walk(&path, &own, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("text");
                let (beside, inside) = text.split_once("#[cfg(test)]\nmod tests {").unwrap_or((&text, ""));
                found.extend(names(beside).map(|name| format!("{own}{name}")));
                found.extend(names(inside).map(|name| format!("{own}tests::{name}")));
            }
        }
    }
    let mut found = BTreeSet::new();
    for top in ["src", "tests/it"] {
        walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(top), "", &mut found);
    }
    found
}

/// The functions that come right after `#[test]`, but for those that are ignored, and those listed for a namespace.
fn names(text: &str) -> impl Iterator<Item = &str> {
    let listed = ["\ncrate::mounts::in_namespace! {", "\nwith_mounts! {"].into_iter();
    let listed = listed.flat_map(|list| text.split(list).skip(1).filter_map(|after| after.split('}').next()));
    let listed = listed.flat_map(str::split_whitespace);
    text.split("#[test]\n")
        .skip(1)
        .filter_map(|after| {
            let line = after.lines().find(|line| !line.trim_start().starts_with("//"))?;
            let name = line.trim_start().strip_prefix("fn ")?;
            name.split(['(', '<']).next()
        })
        .chain(listed)
}

/// What stands between backquotes and has a path in it.
fn named(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2).filter(|name| name.contains("::"))
}

#[test]
fn every_test_that_is_named_exists() {
    let (safety, tests) = (read("SAFETY.md"), tests());
    assert!(tests.len() > 250, "{} tests", tests.len());
    let missing: Vec<_> = named(&safety).filter(|name| !tests.contains(*name)).collect();
    assert!(missing.is_empty(), "no such test: {missing:#?}");
    assert!(named(&safety).count() > 40);
}

#[test]
fn every_promise_names_a_test() {
    let safety = read("SAFETY.md");
    let mut promises = 0;
    let rows = safety.lines().skip_while(|line| *line != "## Promises").take_while(|line| *line != "## What remains");
    for row in rows.filter(|line| line.starts_with("| ") && !line.starts_with("| promise")) {
        assert!(named(row).count() > 0, "{row}");
        promises += 1;
    }
    assert!(promises > 15, "{promises}");
}

/// Every attack says in SAFETY.md what it shows.
#[test]
fn every_attack_is_told() {
    let safety = read("SAFETY.md");
    let told: BTreeSet<&str> = named(&safety).collect();
    for test in tests().iter().filter(|name| name.contains("attacks::")) {
        assert!(told.contains(test.as_str()), "{test}");
    }
}

#[test]
fn it_can_be_found() {
    for document in ["README.md", "CONTRIBUTING.md"] {
        assert!(read(document).contains("(SAFETY.md)"), "{document}");
    }
}
