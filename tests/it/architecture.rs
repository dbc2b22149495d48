//! The code stands on floors, and each module uses only modules on strictly lower ones.

use std::fs;
use std::path::{Path, PathBuf};

/// Which floor a module stands on.
const FLOORS: [(&str, u32); 23] = [
    // Of tests only.
    ("needs", 0),
    ("names", 0),
    ("units", 0),
    ("clock", 0),
    ("entry", 0),
    ("globs", 1),
    ("schedule", 1),
    ("protected", 1),
    ("verdict", 2),
    ("target", 2),
    ("report", 2),
    ("judge", 3),
    ("agenda", 3),
    ("fsys", 3),
    ("config", 4),
    ("history", 5),
    ("sweep", 5),
    ("daemon", 6),
    ("admin", 7),
    ("logging", 7),
    ("cli", 8),
    ("fuzzing", 8),
    ("lib", 9),
];

/// Where async begins.
const ASYNC: u32 = 6;

fn floor(module: &str) -> u32 {
    let found = FLOORS.iter().find(|(name, _)| *name == module);
    found.unwrap_or_else(|| panic!("the module `{module}` has no floor; give it one here and in ARCHITECTURE.md")).1
}

fn sources(below: &str) -> Vec<(PathBuf, String)> {
    fn walk(directory: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(directory).expect("readable") {
            let path = entry.expect("readable").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push((path.clone(), fs::read_to_string(path).expect("text")));
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join(below), &mut found);
    found
}

/// The module of the first level that a file belongs to.
fn module(path: &Path) -> String {
    let below = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).expect("in src");
    let first = below.components().next().expect("a name").as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The code of a file: without comments, and without the tests beside it, which may look anywhere.
fn code(text: &str) -> String {
    let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap_or(text);
    code.lines().map(|line| line.split("//").next().unwrap_or(line)).collect::<Vec<_>>().join("\n")
}

fn is_test(path: &Path) -> bool {
    // The checkout itself may lie in a directory of this name.
    let below = path.strip_prefix(env!("CARGO_MANIFEST_DIR")).expect("a source of this crate");
    below.components().any(|part| part.as_os_str() == "tests")
        || path.ends_with("tests.rs")
        || path.ends_with("fake.rs")
}

#[test]
fn imports_point_strictly_downwards() {
    let mut seen = 0;
    for (path, text) in sources("src").into_iter().filter(|(path, _)| !is_test(path) && !path.ends_with("main.rs")) {
        let own = module(&path);
        for used in code(&text).split("crate::").skip(1) {
            let used: String =
                used.chars().take_while(|character| character.is_alphanumeric() || *character == '_').collect();
            // `use crate::{a, b}` would hide what is used.
            assert!(
                !used.is_empty(),
                "{}: write each import of the crate on a line of its own",
                path.to_string_lossy()
            );
            if used != own {
                seen += 1;
                assert!(floor(&used) < floor(&own), "{}: {own} uses {used}", path.to_string_lossy());
            }
        }
    }
    assert!(seen > 60, "{seen} imports");
}

#[test]
fn async_begins_at_the_daemon() {
    for (path, text) in sources("src").into_iter().filter(|(path, _)| !path.ends_with("main.rs")) {
        if floor(&module(&path)) < ASYNC {
            for word in ["tokio", "hyper", "async fn", ".await"] {
                assert!(!code(&text).contains(word), "{}: {word}", path.to_string_lossy());
            }
        }
    }
}

#[test]
fn no_file_is_longer_than_one_can_read_in_one_sitting() {
    for (path, text) in sources("src").into_iter().chain(sources("tests")).chain(sources("examples")) {
        assert!(text.lines().count() <= 410, "{}: {} lines", path.to_string_lossy(), text.lines().count());
    }
}

#[test]
fn only_fsys_touches_what_is_swept() {
    let mut unlinks = 0;
    for (path, text) in sources("src") {
        let code = code(&text);
        let own = module(&path);
        if own == "fsys" {
            unlinks += code.matches("unlinkat(").count();
        } else if !is_test(&path) {
            for call in ["unlinkat", "openat", "statx", "remove_file", "remove_dir(", "remove_dir_all", "rename("] {
                assert!(!code.contains(call), "{}: {call}", path.to_string_lossy());
            }
        }
        assert!(!code.contains("process::exit"), "{}", path.to_string_lossy());
    }
    assert_eq!(
        unlinks, 3,
        "for what is swept one for files and one for directories, and one for the janitor's own logs"
    );
}

#[test]
fn the_preview_has_no_remover() {
    let acts = sources("src").into_iter().find(|(path, _)| path.ends_with("sweep/act.rs")).expect("it is there").1;
    let preview = acts.split("impl Act for Preview").nth(1).expect("it is there");
    assert!(!preview.contains("remove"), "{preview}");
}

#[test]
fn the_map_names_every_module() {
    let map = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/ARCHITECTURE.md")).expect("it is there");
    for (module, _) in FLOORS.iter().filter(|(name, _)| *name != "lib") {
        assert!(map.contains(&format!("`{module}`")), "{module}");
    }
}
