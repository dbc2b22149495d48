//! The same age policy, by the installed systemd-tmpfiles: on random trees the same files survive.

use std::fs;
use std::process::Command;
use std::time::Duration;

use proptest::prelude::*;

use super::needs;
use super::yard::Yard;

const LIMIT: u64 = 3 * 3600;

/// Paths with ages in seconds, near the limit and far from it.
fn tree() -> impl Strategy<Value = Vec<(String, u64)>> {
    let name = prop::sample::select(vec!["a", "b.log", ".hidden", "c d", "e"]);
    let path = prop::collection::vec(name, 1..4).prop_map(|parts| parts.join("/"));
    // Not nearer to the limit than a slow machine may take between the two.
    let age = prop_oneof![0..LIMIT - 120, LIMIT + 1..LIMIT + 60, LIMIT..100 * LIMIT];
    prop::collection::vec((path, age), 1..25)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(60) })]

    #[test]
    fn systemd_tmpfiles_keeps_the_same_files(tree in tree()) {
        if !needs::tool("systemd-tmpfiles") {
            return Ok(());
        }
        let yard = Yard::new();
        for side in ["ours", "theirs"] {
            yard.directory(side);
            for (path, age) in &tree {
                let path = format!("{side}/{path}");
                let full = yard.path(&path);
                // A name that is a directory already, or below a file, is left out.
                if full.exists() || fs::create_dir_all(full.parent().expect("below")).is_err() {
                    continue;
                }
                yard.aged(&path, Duration::from_secs(*age));
            }
        }
        let before = yard.left("ours");
        prop_assert_eq!(&before, &yard.left("theirs"));
        // `e` cleans by age; in `m:` the small letter is about files.
        let rules = yard.path("rules.conf");
        fs::write(&rules, format!("e {} - - - m:{LIMIT}s\n", yard.path("theirs").to_string_lossy())).expect("written");
        let theirs = Command::new("systemd-tmpfiles").arg("--clean").arg(&rules).output().expect("it runs");
        prop_assert!(theirs.status.success(), "{:?}", theirs);
        yard.config(&format!(
            "[[target]]\npath = \"ours\"\nschedule = \"@daily\"\ninclude = [\"**\"]\nolder_than = \"{LIMIT}s\"\n"
        ));
        let ours = yard.run(&["clean"]);
        prop_assert_eq!(ours.code, Some(0), "{:?}", ours);
        prop_assert_eq!(yard.left("ours"), yard.left("theirs"));
    }
}
