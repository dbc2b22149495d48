//! bash decides: its expansion of a pattern in a real tree, with `globstar` and `dotglob`, against the walk of a sweep.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::os::unix::ffi::OsStrExt;
use std::process::Command;

use super::super::{Globs, List};
use super::people::{Tree, names, patterns};

/// So many texts are tried; about two in three are accepted.
const TEXTS: usize = 2500;

/// What bash expands each pattern to, in the order of the patterns, in one process.
fn expanded(tree: &Tree, patterns: &[String]) -> Vec<BTreeSet<Vec<u8>>> {
    let mut script = String::from("shopt -s globstar dotglob nullglob\n");
    for pattern in patterns {
        // No file is called `//`.
        writeln!(script, "printf '%s\\0' {pattern} //").unwrap();
    }
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), script).unwrap();
    let mut bash = Command::new("bash");
    bash.arg("--norc").arg(file.path()).current_dir(tree.root.path()).env("LC_ALL", "C.UTF-8").env_remove("BASH_ENV");
    let output = bash.output().expect("bash has to be there: it is the judge");
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && complaints.is_empty(), "{complaints}");
    let mut all = vec![BTreeSet::new()];
    for word in output.stdout.split(|byte| *byte == 0).filter(|word| !word.is_empty()) {
        match word {
            b"//" => all.push(BTreeSet::new()),
            word => _ = all.last_mut().unwrap().insert(word.strip_suffix(b"/").unwrap_or(word).to_vec()),
        }
    }
    all.pop();
    assert_eq!(all.len(), patterns.len());
    all
}

/// A pattern as a word of a script: what is special to a shell, but not to a pattern, is quoted.
fn word(pattern: &str) -> String {
    let mut word = String::new();
    let mut characters = pattern.chars();
    while let Some(character) = characters.next() {
        if " ()|&;<>'\"`#".contains(character) {
            word.push('\\');
        }
        word.push(character);
        if character == '\\' {
            word.extend(characters.next());
        }
    }
    word
}

/// An exclude as bash would have to be asked for it: without an inner slash at any depth.
fn anywhere(exclude: &str) -> String {
    let body = exclude.strip_suffix('/').unwrap_or(exclude);
    if body.contains('/') || body == "**" { word(body) } else { format!("**/{}", word(body)) }
}

/// Whether an exclude that bash expands to these holds a file: it, or a directory on the way to it.
fn is_held(exclude: &str, expanded: &BTreeSet<Vec<u8>>, path: &[u8]) -> bool {
    let on_the_way = path.iter().enumerate().filter(|(_, byte)| **byte == b'/').map(|(at, _)| &path[..at]);
    on_the_way.into_iter().any(|directory| expanded.contains(directory))
        || (!exclude.ends_with('/') && expanded.contains(path))
}

#[test]
fn what_is_accepted_means_what_it_means_in_bash() {
    let tree = Tree::new();
    let mut refused = BTreeMap::<String, (u32, String)>::new();
    let mut accepted = |list, seed| -> Vec<String> {
        let is_good = |text: &String| match Globs::check(list, text) {
            Ok(()) => true,
            Err(error) => {
                assert!(text.get(error.span.clone()).is_some_and(|wrong| !wrong.is_empty()), "{text}: {error:?}");
                assert!(error.help.is_some_and(|help| !help.is_empty()), "{text}");
                // Without what it quotes.
                let kind = error.message.split('`').step_by(2).collect::<Vec<_>>().join("…");
                refused.entry(kind).or_insert_with(|| (0, text.clone())).0 += 1;
                false
            }
        };
        patterns(TEXTS, seed).into_iter().filter(is_good).collect()
    };
    let (includes, excludes) = (accepted(List::Include, 1), accepted(List::Exclude, 2));
    assert!(includes.len().min(excludes.len()) > TEXTS / 2, "{} {}", includes.len(), excludes.len());
    let named = expanded(&tree, &includes.iter().map(|text| word(text)).collect::<Vec<_>>());
    let held = expanded(&tree, &excludes.iter().map(|text| anywhere(text)).collect::<Vec<_>>());
    let (mut decisions, mut yes) = (0, 0);
    let mut wrong = BTreeMap::new();
    let mut compare = |include: &str, exclude: Option<&str>, expected: &dyn Fn(&[u8]) -> bool| {
        let globs = Globs::new([include], exclude).expect("it was accepted");
        for path in &tree.files {
            let (ours, bash) = (names(&globs, path), expected(path));
            decisions += 1;
            yes += u32::from(bash);
            if ours != bash {
                wrong
                    .entry(format!("{include:?} without {exclude:?}"))
                    .or_insert_with(|| format!("{:?}: bash says {bash}", path.escape_ascii().to_string()));
            }
        }
    };
    for (include, named) in includes.iter().zip(&named) {
        compare(include, None, &|path| named.contains(path));
    }
    for (exclude, held) in excludes.iter().zip(&held) {
        compare("**", Some(exclude), &|path| !is_held(exclude, held, path));
    }
    for ((include, named), (exclude, held)) in includes.iter().zip(&named).zip(excludes.iter().zip(&held)) {
        compare(include, Some(exclude), &|path| named.contains(path) && !is_held(exclude, held, path));
    }
    eprintln!("bash and the walk: {decisions} decisions, {yes} of them yes; refused of {} texts:", 2 * TEXTS);
    for (kind, (count, example)) in &refused {
        eprintln!("  {count:5} {kind}, as in {example:?}");
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(decisions > 100_000 && yes > decisions / 50, "{decisions} {yes}");
}

/// The judge is awake: these are what the tree has.
#[test]
fn bash_knows_the_whole_tree() {
    let tree = Tree::new();
    let all = expanded(&tree, &["**".to_owned()]).remove(0);
    assert!(tree.files.iter().all(|file| all.contains(file)));
    assert!(all.iter().all(|path| tree.files.contains(path) || Tree::is_directory(path)));
    assert!(tree.files.iter().any(|file| std::ffi::OsStr::from_bytes(file).to_str().is_none()));
}
