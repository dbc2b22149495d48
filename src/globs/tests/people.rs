//! What people write in patterns, and a tree of what they are matched against.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;
use tempfile::TempDir;

use super::super::{Entered, Globs, Named};

/// Directories, each after the one it lies in.
const DIRECTORIES: &[&str] =
    &["a", "a/b", "a/b/a", "a/.b", ".b", ".b/a", "é", "é/é", "A", "a.b", "a.b/b", "{a}", "1", "~"];

/// Names of files, of which each directory has some. Some hold what patterns are made of, or are no UTF-8.
const NAMES: &[&[u8]] = &[
    b"b",
    b"c",
    b"ab",
    b"ba",
    b"B",
    b".a",
    b".ab",
    b"a.c",
    b"b.b",
    b"abc",
    "ä".as_bytes(),
    "aé".as_bytes(),
    "éa".as_bytes(),
    "日".as_bytes(),
    "é日".as_bytes(),
    b"2",
    b"12",
    b"3",
    b"b-c",
    b"-",
    b"a]b",
    b"]",
    b"[",
    b"[a]",
    b"{b}",
    b"{1..3}",
    b"{a,b}",
    b"a b",
    b"~a",
    b"a~",
    b"$a",
    b"$",
    b"a,b",
    b"(a)",
    b"@(a|b)",
    b"*",
    b"?",
    b"\\",
    b"a\\b",
    b"!b",
    b"#a",
    b"^",
    b":",
    b"\xff",
    b"a\xff",
    b"\xc3",
    b"\xc3b",
    b"b\xffa",
    b"-b",
    b"a=b",
    b"a'b",
    b"a\"b",
];

/// The files and the directories below a root, relative to it.
pub(super) struct Tree {
    pub(super) root: TempDir,
    pub(super) files: Vec<Vec<u8>>,
}

impl Tree {
    pub(super) fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let mut files: Vec<Vec<u8>> = NAMES.iter().map(|name| name.to_vec()).collect();
        for (at, directory) in DIRECTORIES.iter().enumerate() {
            std::fs::create_dir(root.path().join(directory)).unwrap();
            let some = NAMES.iter().skip(at % 4).step_by(4).filter(|name| {
                let path = [directory.as_bytes(), b"/", name].concat();
                !DIRECTORIES.iter().any(|directory| directory.as_bytes() == path)
            });
            files.extend(some.map(|name| [directory.as_bytes(), b"/", name].concat()));
        }
        for file in &files {
            std::fs::write(root.path().join(Path::new(OsStr::from_bytes(file))), "").unwrap();
        }
        Self { root, files }
    }

    pub(super) fn is_directory(path: &[u8]) -> bool {
        DIRECTORIES.iter().any(|directory| directory.as_bytes() == path)
    }
}

/// Walks down to `path` as a sweep would; `true` when it would be reached and named by an include.
pub(super) fn names(globs: &Globs, path: &[u8]) -> bool {
    let mut parts: Vec<&[u8]> = path.split(|byte| *byte == b'/').collect();
    let name = parts.pop().expect("split gives at least one part");
    let mut place = globs.root();
    for directory in parts {
        match globs.directory(&place, directory) {
            Entered::Place(next) => place = next,
            _ => return false,
        }
    }
    globs.file(&place, name) == Named::Included
}

fn some(of: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(of).prop_map(str::to_owned)
}

fn class() -> impl Strategy<Value = String> {
    const MEMBERS: &[&str] = &[
        "a", "b", "c", "1", "-", ".", "a-c", "1-3", "A-B", "!", "^", "[", "~", "@", "(", " ", ",", "_", "+--", ":",
        "#", "=", "'",
    ];
    const RARE: &[&str] = &[
        "[:digit:]",
        "[:alpha:]",
        "[.-.]",
        "[=a=]",
        "\\]",
        "\\-",
        "\\\\",
        "é",
        "é-ü",
        "$",
        "{",
        "}",
        "/",
        "c-a",
        "a-b-c",
        ":digit:",
    ];
    let member = prop_oneof![20 => some(MEMBERS), 1 => some(RARE)];
    let members = prop::collection::vec(member, 1..4);
    (some(&["", "", "", "!", "^"]), some(&["", "", "", "", "]"]), members, some(&["", "", "", "-"]))
        .prop_map(|(not, first, members, last)| format!("[{not}{first}{}{last}]", members.concat()))
}

fn piece() -> impl Strategy<Value = String> {
    const LITERALS: &[&str] = &[
        "a", "a", "b", "b", "c", ".", "1", "2", "-", "A", "é", "ä", "日", "_", ",", "#", "=", "^", ":", "'", "\"", " ",
        "]", "~",
    ];
    const ESCAPES: &[&str] = &[
        "\\*", "\\?", "\\[", "\\]", "\\{", "\\}", "\\,", "\\$", "\\~", "\\a", "\\é", "\\(", "\\)", "\\!", "\\\\",
        "\\ ", "\\@",
    ];
    const RARE: &[&str] = &[
        "{1..3}", "{a..c}", "{a}", "{}", "@(a|b)", "+(a)", "!(a)", "?(b)", "*(a)", "(a)", "$a", "${a}", "[", "{", "}",
        "**", "!", "@", "+", "|", ")", "{1..3,b}", "~a",
    ];
    let plain = prop_oneof![
        8 => some(LITERALS), 3 => Just("*".to_owned()), 2 => Just("?".to_owned()), 2 => class(), 1 => some(ESCAPES),
    ];
    let rare = prop_oneof![24 => plain, 1 => some(RARE)].boxed();
    let braces = |inner: BoxedStrategy<String>| {
        let alternative = prop::collection::vec(inner, 0..3).prop_map(|pieces| pieces.concat());
        prop::collection::vec(alternative, 1..4).prop_map(|all| format!("{{{}}}", all.join(",")))
    };
    let nested = prop_oneof![8 => rare.clone(), 1 => braces(rare.clone())].boxed();
    prop_oneof![8 => rare, 2 => braces(nested)]
}

/// Text that people write where a glob is wanted.
fn pattern() -> impl Strategy<Value = String> {
    let part = prop_oneof![
        2 => Just("**".to_owned()),
        1 => some(&["*", "a", "b", ".b", "é", "a.b"]),
        5 => prop::collection::vec(piece(), 1..4).prop_map(|pieces| pieces.concat()),
    ];
    let parts = prop_oneof![3 => 1..2usize, 3 => 2..3usize, 2 => 3..5usize];
    let parts = parts.prop_flat_map(move |count| prop::collection::vec(part.clone(), count));
    (parts, some(&["", "", "", "", "", "", "", "", "", "/"])).prop_map(|(parts, end)| parts.join("/") + &end)
}

/// So many of them, the same at each call, by a `seed`.
pub(super) fn patterns(count: usize, seed: u8) -> Vec<String> {
    let rng = proptest::test_runner::TestRng::from_seed(proptest::test_runner::RngAlgorithm::ChaCha, &[seed; 32]);
    let mut runner = TestRunner::new_with_rng(ProptestConfig::default(), rng);
    let pattern = pattern();
    (0..count).map(|_| pattern.new_tree(&mut runner).expect("a pattern").current()).collect()
}
