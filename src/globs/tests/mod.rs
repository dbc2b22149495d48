mod bash;
mod git;
mod oracle;
mod people;

use super::*;
use people::names;

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
    table(&["{a,b}/\\{"], &[], &["a/{", "b/{"], &["a/a", "c/{"]);
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
        (Exclude, "x[\u{e4}\u{f6}]y", "`\u{e4}` inside `[…]` is a character to some, and several bytes to others"),
        (Include, "[a-\u{e4}]", "`\u{e4}` inside `[…]` is a character to some, and several bytes to others"),
        (Exclude, "[a-c-e]", "a `-` right behind a range is ambiguous"),
        (Exclude, "[!a-c-e]", "a `-` right behind a range is ambiguous"),
        (Include, &format!("{}a{}", "{".repeat(11), "}".repeat(11)), "braces can stand 10 deep at most"),
    ] {
        let error = Globs::check(list, text).expect_err(text);
        assert_eq!(error.message, message, "{text}");
        assert!(error.help.is_some_and(|help| !help.is_empty()), "{text}");
    }
    let deep = format!("{}b{}", "{a,".repeat(10), "}".repeat(10));
    for text in ["[-a-c]", "[a-c-]", "[!a-c-]", "[a-ce-g]", "[]-a]", "[+--]", "{\u{e4},\u{f6}}", &deep] {
        assert_eq!(Globs::check(Include, text), Ok(()), "{text}");
    }
    assert!(Globs::check(Include, &"x".repeat(1000)).is_ok());
    assert!(Globs::check(Include, &"x".repeat(1001)).is_err());
    assert!(Globs::check(Include, &["a"; 61].join("/")).is_err());
    assert!(Globs::check(Include, &["a"; 60].join("/")).is_ok());
    assert!(Globs::check(Exclude, "cache/").is_ok());
}

#[test]
fn what_is_read_in_different_ways_is_refused_with_its_place_and_with_what_to_write() {
    for (text, wrong, help) in [
        ("[[:digit:]].csv", "[:digit:]", "write `[0-9]`"),
        ("report-[![:alpha:]_].csv", "[:alpha:]", "write `[A-Za-z]`"),
        ("[[:wrong:]]", "[:wrong:]", "write the characters or ranges out, as in `[0-9a-z_]`"),
        ("[a[.-.]]", "[.-.]", "write the characters or ranges out, as in `[0-9a-z_]`"),
        ("[[=a=]]", "[=a=]", "write the characters or ranges out, as in `[0-9a-z_]`"),
        ("[[:]ab]", "[:", "write the characters or ranges out, as in `[0-9a-z_]`"),
        ("x[:digit:]", "[:digit:]", "write `[0-9]`"),
        (
            r"a[\-_]b",
            r"\",
            "write `]` first and `-` last, as in `[]a-]`, all else as it is; for a backslash write `\\\\` outside",
        ),
        ("x{1..3}.txt", "1..3", "write `[1-3]`"),
        ("{a..e}", "a..e", "write `[a-e]`"),
        ("{08..10},x", "08..10", "write the alternatives out, as in `{08,09,10}`"),
        ("{0..10..2}", "0..10..2", "write the alternatives out, as in `{08,09,10}`"),
        ("{b,1..3}", "1..3", "write `[1-3]`"),
        ("x@(a|b)", "@(", "write alternatives, as in `{a,b}`; write `\\(` for a parenthesis in a name"),
        ("+(a)", "+(", "write alternatives, as in `{a,b}`; write `\\(` for a parenthesis in a name"),
        ("a!(b)", "!(", "write alternatives, as in `{a,b}`; write `\\(` for a parenthesis in a name"),
        ("?(a)", "?(", "write alternatives, as in `{a,b}`; write `\\(` for a parenthesis in a name"),
        ("d/*(1).jpg", "*(", "write alternatives, as in `{a,b}`; write `\\(` for a parenthesis in a name"),
        ("{x,@}(a)", "}(", "write alternatives, as in `{a,b}`; write `\\(` for a parenthesis in a name"),
        ("@{(a),b}", "{(", "write alternatives, as in `{a,b}`; write `\\(` for a parenthesis in a name"),
        ("~/x", "~", "patterns are relative to the target's path; write `\\~` for the character"),
        ("{x,~}/y", "~", "patterns are relative to the target's path; write `\\~` for the character"),
        ("a$b", "$", "no variable is filled in here; write `\\$` for the character"),
        ("[$]", "$", "write alternatives, as in `{\\$,a}`"),
        ("[a{]", "{", "write it outside as `\\{` or `\\}`, as an alternative: `{a,\\{}`"),
        ("{[a,b],c}", ",", "write it as an alternative: `\\,`"),
        ("{a}", "{a}", "write `a` alone, or `\\{a\\}` for braces in a name"),
        ("a{}", "{}", "write `\\{\\}` for braces in a name"),
        ("a{b,c", "{", "close it with `}`; write `\\{` for a brace in a name"),
        ("a}", "}", "write `\\}` for a brace in a name"),
        ("x[a", "[", "close it with `]`; write `\\[` for a bracket in a name"),
        ("[!]", "[", "close it with `]`; write `\\[` for a bracket in a name"),
        ("[z-a]", "z-a", "write `a-z`"),
        ("x/{,a}/y", "{,a}", "write the names out, one pattern for each"),
        ("{.,a}/y", "{.,a}", "patterns are relative to the target's path and cannot leave it"),
        (".{,.}", ".{,.}", "patterns are relative to the target's path and cannot leave it"),
        (r"\./a", r"\.", "patterns are relative to the target's path and cannot leave it"),
        ("*{,*}", "*{,*}", "write the alternatives as patterns of their own"),
        ("\u{e4}/[a\u{f6}]", "\u{f6}", "write alternatives: `{\u{f6},…}`"),
    ] {
        for list in [List::Include, List::Exclude] {
            let error = Globs::check(list, text).expect_err(text);
            assert_eq!(&text[error.span.clone()], wrong, "{text}: {error:?}");
            assert_eq!(error.help.as_deref(), Some(help), "{text}: {error:?}");
        }
    }
    let error = Globs::check(List::Exclude, "a/**/").expect_err("bash takes `a` for one of them");
    assert_eq!(
        (error.span, error.help.as_deref()),
        (2..5, Some("write `a/**` for all that is below, or `a/*/` for each directory there"))
    );
    for text in [
        "**/",
        "*~",
        "a~b",
        "{a,b}~",
        r"\~",
        r"\~\$*.docx",
        "copy (1).jpg",
        r"*\(1).jpg",
        r"\@(a)",
        "a+b",
        "[~!(@]",
        "[,]",
        "{..,a}x",
        "{a,b..}",
        "[[]",
        "[a[]",
        "[^!]",
        "[!^]",
        "x{,*}",
    ] {
        assert_eq!(Globs::check(List::Exclude, text), Ok(()), "{text}");
    }
}

#[test]
fn how_deep_includes_reach_is_known() {
    for (include, first_level, below) in [
        ("*", true, false),
        ("a.{b,c}", true, false),
        ("**", true, true),
        ("**/a", true, true),
        ("**/**/a", true, true),
        ("**/*", true, true),
        ("a/b", false, true),
        ("a/**", false, true),
        ("*/a", false, true),
        ("**/a/b", false, true),
    ] {
        let globs = globs(&[include], &[]);
        assert_eq!(globs.below_first_level().next().is_none(), first_level, "{include}");
        assert_eq!(!globs.is_top_level(), below, "{include}");
    }
    assert_eq!(globs(&["run*/.git/**"], &[]).below_first_level().next(), None, "it lifts a built-in exclude");
}

#[test]
fn an_empty_alternative_is_one() {
    table(&["*.db*"], &["app.db{,-wal,-shm}"], &["b.db", "app.db-x"], &["app.db", "app.db-wal", "app.db-shm"]);
    table(&["*.log{,.gz}"], &[], &["x.log", "x.log.gz"], &["x.log.", "x.lo"]);
    table(&["a{,b{,c}}d"], &[], &["ad", "abd", "abcd"], &["acd"]);
}

#[test]
fn one_character_is_one_character_where_the_name_is_utf_8() {
    table(&["*.jpg"], &["?.jpg"], &["ab.jpg", "\u{e9}\u{e9}.jpg"], &["a.jpg", "\u{e9}.jpg", "\u{65e5}.jpg"]);
    table(&["??.jpg"], &[], &["ab.jpg", "\u{e9}a.jpg", "\u{65e5}\u{65e5}.jpg"], &["\u{e9}.jpg", "\u{65e5}.jpg"]);
    table(&["[!a]?"], &[], &["\u{e4}\u{e4}", "b\u{e4}"], &["\u{e4}", "a\u{e4}", "ab"]);
    table(
        &["{?,x*}[^b]\u{e4}"],
        &[],
        &["\u{e4}\u{e9}\u{e4}", "x\u{e9}\u{e9}\u{e4}"],
        &["\u{e4}b\u{e4}", "\u{e9}\u{e4}"],
    );
    let two = globs(&["??"], &[]);
    assert!(names(&two, b"\xff\xc3"), "a byte where the name is no UTF-8");
    assert!(!names(&two, b"\xff\xc3\xa4"), "three bytes, since they are no UTF-8 together");
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
