//! git decides where it reads a pattern as bash does: its wildmatch, asked by way of attributes, against the walk.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Stdio};

use super::super::{Globs, List};
use super::people::{Tree, names, patterns};

/// Which patterns name which paths, by the numbers of both; `None` where there is no git.
fn named(patterns: &[&str], tree: &Tree) -> Option<BTreeSet<(usize, usize)>> {
    let directory = tempfile::tempdir().unwrap();
    let git = |directory: &Path| {
        let mut git = Command::new("git");
        git.current_dir(directory).env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_SYSTEM", "/dev/null");
        git.env("GIT_CEILING_DIRECTORIES", "/").env_remove("GIT_DIR");
        git
    };
    if !git(directory.path()).args(["init", "-q"]).status().is_ok_and(|status| status.success()) {
        return None;
    }
    let mut attributes = String::new();
    for (at, pattern) in patterns.iter().enumerate() {
        let quoted = pattern.replace('\\', "\\\\").replace('"', "\\\"");
        writeln!(attributes, "\"/{quoted}\" n{at}").unwrap();
    }
    std::fs::create_dir_all(directory.path().join(".git/info")).unwrap();
    std::fs::write(directory.path().join(".git/info/attributes"), attributes).unwrap();
    let mut child = git(directory.path());
    child.args(["check-attr", "-a", "-z", "--stdin"]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = child.spawn().unwrap();
    let paths = tree.files.join(&0);
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(&paths).and_then(|()| stdin.write_all(&[0])));
    let output = child.wait_with_output().unwrap();
    writer.join().unwrap().unwrap();
    assert!(output.status.success());
    let fields: Vec<&[u8]> = output.stdout.split(|byte| *byte == 0).collect();
    let pair = |of: &[&[u8]]| -> (usize, usize) {
        let path = tree.files.iter().position(|file| file == of[0]).expect("a path that was asked for");
        let number = std::str::from_utf8(of[1]).unwrap().trim_start_matches('n').parse().expect("a number");
        (number, path)
    };
    Some(fields.chunks_exact(3).map(pair).collect())
}

/// Where git goes by bytes, or has no such thing.
fn reads_otherwise(pattern: &str, path: &[u8]) -> bool {
    pattern.contains('{') || (!path.is_ascii() && pattern.contains(['?', '[']))
}

#[test]
fn what_is_accepted_means_what_it_means_to_wildmatch_where_git_has_it() {
    let tree = Tree::new();
    let texts = patterns(2000, 3);
    let good: Vec<&str> =
        texts.iter().map(String::as_str).filter(|text| Globs::check(List::Include, text).is_ok()).collect();
    let Some(named) = named(&good, &tree) else {
        assert!(std::env::var_os("JANITOR_REQUIRE_ALL").is_none(), "git has to be there");
        eprintln!("NOT RUN: wildmatch is not asked, since there is no git");
        return;
    };
    let (mut decisions, mut yes) = (0, 0);
    let mut wrong = Vec::new();
    for (number, pattern) in good.iter().enumerate() {
        let globs = Globs::new([*pattern], []).expect("it was accepted");
        for (at, path) in tree.files.iter().enumerate().filter(|(_, path)| !reads_otherwise(pattern, path)) {
            let git = named.contains(&(number, at));
            decisions += 1;
            yes += u32::from(git);
            if names(&globs, path) != git {
                wrong.push(format!("{pattern:?}: {:?}: git says {git}", path.escape_ascii().to_string()));
            }
        }
    }
    eprintln!("git and the walk: {decisions} decisions, {yes} of them yes");
    wrong.truncate(20);
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(decisions > 100_000 && yes > decisions / 50, "{decisions} {yes}");
}
