mod oracle;

use super::*;

/// Walks down to `path` as a sweep would; `true` when it would be reached and named by an include.
fn names(globs: &Globs, path: &[u8]) -> bool {
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

fn globs(include: &[&str], exclude: &[&str]) -> Globs {
    Globs::new(include.iter().copied(), exclude.iter().copied()).expect("good patterns")
}

#[track_caller]
fn table(include: &[&str], exclude: &[&str], goes: &[&str], stays: &[&str]) {
    let globs = globs(include, exclude);
    for path in goes {
        assert!(names(&globs, path.as_bytes()), "{include:?} without {exclude:?} names {path}");
    }
    for path in stays {
        assert!(!names(&globs, path.as_bytes()), "{include:?} without {exclude:?} keeps {path}");
    }
}

#[test]
fn an_include_is_anchored() {
    table(&["*.zip"], &[], &["a.zip", ".zip"], &["d/a.zip", "a.ZIP", "a.zip.bak"]);
    table(&["**/*.zip"], &[], &["a.zip", "d/a.zip", "d/e/a.zip"], &["a.zi", "a.zip/b"]);
    table(&["cache/**"], &[], &["cache/a", "cache/b/c"], &["cache", "a/cache/b", "cached/a"]);
    table(&["cache/*/x"], &[], &["cache/b/x"], &["cache/x", "cache/b/c/x"]);
    table(&["a/**/b"], &[], &["a/b", "a/x/b", "a/x/y/b"], &["b", "a/b/c", "x/a/b"]);
    table(&["**"], &[], &["a", "d/a", ".hidden", "d/.hidden"], &[]);
    table(&["*"], &[], &["a", ".hidden"], &["d/a"]);
}

#[test]
fn the_classes_of_globset_never_cross_a_slash() {
    table(&["a[!x]b"], &[], &["ayb"], &["a/b", "axb"]);
    table(&["a[+-9]b"], &[], &["a.b", "a0b"], &["a/b"]);
    table(&["a?b"], &[], &["a.b"], &["a/b", "ab"]);
    table(&["*.{jpg,png}"], &[], &["a.jpg", ".png"], &["a.gif", "d/a.jpg"]);
    table(&["[[]*[]]"], &[], &["[x]"], &["x"]);
    table(&["{a,b}/[{]"], &[], &["a/{", "b/{"], &["a/a", "c/{"]);
    table(&["\\*", "\\!a"], &[], &["*", "!a"], &["a"]);
}

#[test]
fn an_exclude_without_an_inner_slash_holds_at_any_depth_and_prunes() {
    table(&["**"], &["keep"], &["a"], &["keep", "d/keep", "keep/a", "d/keep/a/b"]);
    table(&["**"], &["keep/"], &["a", "keep", "d/keep"], &["keep/a", "d/keep/a"]);
    table(&["**"], &["*.db"], &["a"], &["a.db", "d/a.db", "d.db/a"]);
    table(&["**"], &["d/keep"], &["keep", "e/d/keep"], &["d/keep", "d/keep/a"]);
    table(&["**"], &["d/**"], &["d", "e"], &["d/a", "d/a/b"]);
    table(&["*.zip"], &["*.zip"], &[], &["a.zip"]);
    table(&["**"], &["**"], &[], &["a", "d/a"]);
}

#[test]
fn the_built_in_excludes_hold_unless_an_include_spells_the_name() {
    let held =
        [".git/config", ".svn/x", ".hg/x", "lost+found/x", ".janitor-x", "d/.nfs0001", "a.part", "d/a.crdownload"];
    table(&["**"], &[], &[".git", "part", "x.parts", ".gitignore"], &held);
    table(&["*", ".*"], &[], &["a"], &[".janitor-x", "a.part", ".nfs1"]);
    table(&["**/*.part"], &[], &["a.part", "d/a.part"], &["a.download", "a.zip"]);
    table(&["a.part"], &[], &["a.part"], &["b.part"]);
    table(&[".git/**"], &[], &[".git/config", ".git/a/b"], &["d/.git/config", ".git/a.part", ".git/m/.git/x"]);
    table(&[".git/config", "**"], &[], &[".git/config", "a"], &[".git/index", "d/.git/config"]);
    table(&["**/.git/**"], &[], &[".git/x", "d/.git/x"], &["d/x", "d.part/.git/x"]);
    table(&["x.part", "**"], &[], &["x.part"], &["x.part/a", "y.part"]);
    table(&["**/*.part"], &["a.part"], &["b.part"], &["a.part"]);
}

#[test]
fn names_are_bytes() {
    let all = globs(&["**"], &[]);
    assert!(names(&all, b"\xff\xfe"));
    assert!(names(&globs(&["*\u{e4}*"], &[]), "x\u{e4}y".as_bytes()));
    assert!(names(&globs(&["?x"], &[]), b"\xffx"), "a byte that is no character counts as one");
    assert!(names(&all, &[b'n'; 255]));
    assert!(!names(&globs(&["a"], &[]), b"a\n"));
}

#[test]
fn what_decides_is_told() {
    let globs = globs(&["*.a", "d/**"], &["x*", "logs/"]);
    let root = globs.root();
    assert_eq!(globs.file(&root, b"xy.a"), Named::Excluded("x*".into()));
    assert_eq!(globs.file(&root, b"y.part"), Named::BuiltIn("*.part"));
    assert_eq!(globs.file(&root, b"y.b"), Named::NotIncluded);
    assert_eq!(globs.file(&root, b"logs"), Named::NotIncluded, "`logs/` means directories");
    assert!(matches!(globs.directory(&root, b"e"), Entered::Unreached));
    assert!(matches!(globs.directory(&root, b"d"), Entered::Place(_)));
    assert!(matches!(globs.directory(&root, b"logs"), Entered::Excluded(text) if &*text == "logs/"));
    assert!(matches!(globs.directory(&root, b".git"), Entered::BuiltIn(".git/")));
}

#[test]
fn what_is_no_pattern_or_an_ambiguous_one_is_refused() {
    use List::{Exclude, Include};
    for (list, text, message) in [
        (Include, "", "an empty pattern matches nothing"),
        (Include, "/tmp/x", "the pattern is absolute"),
        (Exclude, "/x", "the pattern is absolute"),
        (Include, "./x", "`.` as a component matches nothing"),
        (Include, "a/../b", "`..` as a component matches nothing"),
        (Exclude, "..", "`..` as a component matches nothing"),
        (Include, "a//b", "the pattern has an empty component"),
        (Include, "cache/", "the pattern names a directory, and only files are removed"),
        (Exclude, "cache//", "the pattern has an empty component"),
        (Include, "**.log", "`**` must stand alone between slashes, `**.log` mixes it"),
        (Include, "a/{b/c,d}", "a `/` inside `{…}` is not supported"),
        (Include, "a[/]b", "a `/` inside `[…]` matches nothing"),
        (Include, "a[]/]b", "a `/` inside `[…]` matches nothing"),
        (Include, "a[!]/]b", "a `/` inside `[…]` matches nothing"),
        (Include, "a[^]/]b", "a `/` inside `[…]` matches nothing"),
        (Exclude, "{{a,b},c/d}", "a `/` inside `{…}` is not supported"),
        (Include, "!a", "a leading `!` does not negate here"),
        (Exclude, " a", "the pattern starts or ends with white space"),
        (Include, "a\\/b", "a `/` cannot be escaped"),
        (Include, "a\\", "the backslash at the end escapes nothing"),
        (Include, "a\0b", "no file name holds a NUL"),
        (Exclude, "x[\u{e4}\u{f6}]y", "`\u{e4}` inside `[…]` would match only a part of it"),
        (Include, "[a-\u{e4}]", "`\u{e4}` inside `[…]` would match only a part of it"),
        (Exclude, "[a-c-e]", "a `-` right behind a range is ambiguous"),
        (Exclude, "[!a-c-e]", "a `-` right behind a range is ambiguous"),
        (Include, &format!("{}a{}", "{".repeat(11), "}".repeat(11)), "braces can stand 10 deep at most"),
    ] {
        let error = Globs::check(list, text).expect_err(text);
        assert_eq!(error.message, message, "{text}");
        assert!(error.help.is_some_and(|help| !help.is_empty()), "{text}");
    }
    for text in ["[a", "{a", "a}", "[z-a]"] {
        assert!(Globs::check(Include, text).is_err(), "{text}");
    }
    for text in
        ["[-a-c]", "[a-c-]", "[!a-c-]", "[a-ce-g]", "[]-a]", "[+--]", "{\u{e4},\u{f6}}", "{{{{{{{{{{a}}}}}}}}}}"]
    {
        assert_eq!(Globs::check(Include, text), Ok(()), "{text}");
    }
    assert!(Globs::check(Include, &"x".repeat(1000)).is_ok());
    assert!(Globs::check(Include, &"x".repeat(1001)).is_err());
    assert!(Globs::check(Include, &["a"; 61].join("/")).is_err());
    assert!(Globs::check(Include, &["a"; 60].join("/")).is_ok());
    assert!(Globs::check(Exclude, "cache/").is_ok());
}

#[test]
fn both_lists_are_kept_as_they_were_written() {
    let globs = globs(&["a/*.zip", "b"], &["c/", "d"]);
    assert_eq!(globs.include().collect::<Vec<_>>(), ["a/*.zip", "b"]);
    assert_eq!(globs.exclude().collect::<Vec<_>>(), ["c/", "d"]);
}

#[test]
fn globs_are_equal_when_their_texts_are() {
    let one = globs(&["a", "b"], &["c"]);
    assert_eq!(one, globs(&["a", "b"], &["c"]));
    for other in [globs(&["a", "x"], &["c"]), globs(&["a", "b"], &["x"]), globs(&["b", "a"], &["c"])] {
        assert_ne!(one, other);
    }
    assert_eq!(format!("{one:?}"), r#"Globs { include: ["a", "b"], exclude: ["c"] }"#);
}

#[test]
fn a_directory_that_an_include_names_is_not_entered_for_that() {
    let globs = globs(&["a", "b/c"], &[]);
    assert_eq!(word(&globs.directory(&globs.root(), b"a")), "unreached");
    let Entered::Place(b) = globs.directory(&globs.root(), b"b") else { panic!("an include reaches in") };
    assert_eq!(word(&globs.directory(&b, b"c")), "unreached");
}

#[test]
fn an_include_that_an_exclude_beats_whatever_is_there_is_told() {
    for (include, exclude, beaten) in [
        ("*.zip", "*.zip", true),
        ("*.zip", "*", true),
        ("*.zip", "**", true),
        ("a/*.zip", "**/*", true),
        ("a", "a", true),
        ("a/b/c", "c", true),
        ("a/b/c", "b", true),
        ("a/b/c", "b/", true),
        ("a/b/c", "c/", false),
        ("a/b/c", "a/b", true),
        ("a/b/c", "a/b/c/d", false),
        ("a/b/c", "b/c", false),
        ("a.zip", "*.zip", true),
        ("*.zip", "a.zip", false),
        ("*.zip", "*.*", false),
        ("a", "b", false),
        ("a/b", "x/", false),
    ] {
        let globs = globs(&[include], &["unrelated", exclude]);
        let told: Vec<_> = globs.shadowed().collect();
        assert_eq!(told, if beaten { vec![(include, exclude)] } else { vec![] }, "{include} without {exclude}");
    }
}

/// What is said, in a word.
fn word(entered: &Entered) -> String {
    match entered {
        Entered::Place(_) => "place".to_owned(),
        Entered::Unreached => "unreached".to_owned(),
        Entered::Excluded(text) => text.to_string(),
        Entered::BuiltIn(text) => (*text).to_owned(),
    }
}

#[test]
fn a_directory_that_goes_whole_is_named_by_an_include_and_held_by_what_holds_any_part_of_it() {
    let globs = globs(&["run*", ".git", "x/deep"], &["keep", "logs/", "a/b"]);
    let root = globs.root();
    for (name, said) in [
        ("run1", "place"),
        ("other", "unreached"),
        ("x", "unreached"),
        ("keep", "keep"),
        ("logs", "logs/"),
        (".git", "place"),
        (".svn", ".svn/"),
        ("run.part", "*.part"),
    ] {
        assert_eq!(word(&globs.whole(&root, name.as_bytes())), said, "{name}");
    }
    let Entered::Place(run) = globs.whole(&root, b"run1") else { panic!("it is named") };
    for (name, directory, said) in [
        ("anything", false, "place"),
        ("anything", true, "place"),
        ("keep", false, "keep"),
        ("keep", true, "keep"),
        ("logs", false, "place"),
        ("logs", true, "logs/"),
        (".git", false, "place"),
        (".git", true, ".git/"),
        ("a.part", false, "*.part"),
        (".nfs1", false, ".nfs*"),
        (".fuse_hidden0000000100000001", false, ".fuse_hidden*"),
    ] {
        assert_eq!(word(&globs.inside(&run, name.as_bytes(), directory)), said, "{name} {directory}");
    }
    // Anchored excludes hold at their place alone, and what is spelled is lifted at its place.
    let Entered::Place(a) = globs.inside(&root, b"a", true) else { panic!("nothing holds it") };
    assert_eq!(word(&globs.inside(&a, b"b", false)), "a/b");
    assert_eq!(word(&globs.inside(&run, b"b", false)), "place");
    let lifting = self::globs(&["run/a.part", "run/.git/x"], &[]);
    let Entered::Place(run) = lifting.directory(&lifting.root(), b"run") else { panic!("an include reaches in") };
    for (name, directory, said) in
        [("a.part", false, "place"), ("b.part", false, "*.part"), (".git", true, "place"), (".svn", true, ".svn/")]
    {
        assert_eq!(word(&lifting.inside(&run, name.as_bytes(), directory)), said, "{name}");
    }
}
