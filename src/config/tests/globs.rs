//! Globs that are refused, at their very place.

use super::refused::refused;
use super::*;

#[test]
fn a_glob_that_is_read_in_different_ways_is_refused_at_its_very_place() {
    for (keys, expected) in [
        (
            "include = [\"*\", \"report-[[:digit:]].csv\"]",
            "f:4:26: `[:digit:]` inside `[…]` is not supported; write `[0-9]`",
        ),
        (
            "include = [\"*\"]\nexclude = ['[\\-_]*']",
            "f:5:14: a backslash inside `[…]` is a member to some and an escape to others; write `]` first and `-` last, as \
             in `[]a-]`, all else as it is; for a backslash write `\\\\` outside",
        ),
        ("include = [\"\u{e4}{1..3}.txt\"]", "f:4:15: `{1..3}` counts in bash, and is a name elsewhere; write `[1-3]`"),
        (
            "include = [\"*.@(jpg|png)\"]",
            "f:4:15: extended globs, as in `@(a|b)`, are not supported; write alternatives, as in `{a,b}`; write `\\(` for a \
             parenthesis in a name",
        ),
        (
            "include = [\"~/x\"]",
            "f:4:13: a leading `~` is a home directory to a shell, and a character elsewhere; patterns are relative to the \
             target's path; write `\\~` for the character",
        ),
        (
            "include = [\"$HOME/x\"]",
            "f:4:13: a `$` is a variable to a shell, and a character elsewhere; no variable is filled in here; write `\\$` \
             for the character",
        ),
    ] {
        refused(&target(keys), &[expected]);
    }
}

#[test]
fn an_include_that_names_no_directory_that_goes_whole_is_refused() {
    let text = |keys: &str| target(&format!("whole_dirs = true\n{keys}"));
    let said = |include: &str| {
        format!(
            "with `whole_dirs` the include `{include}` never names anything; directories directly in `path` go or stay whole: \
             name them, as in `*` or `build-*`"
        )
    };
    for (include, column) in [("[\"*\", \"a/b\"]", 17), ("[\"a/b\", \"**\"]", 12)] {
        refused(&text(&format!("include = {include}")), &[&format!("f:5:{column}: {}", said("a/b"))]);
    }
    refused(&text("include = [\"cache/**\"]"), &[&format!("f:5:12: {}", said("cache/**"))]);
    let inherited = "[defaults]\ninclude = [\"*/tmp\"]\n";
    refused(&format!("{inherited}{}", text("")), &[&format!("f:3:1: {}", said("*/tmp"))]);
    assert_eq!(lines(&format!("{inherited}{}", target(""))), Vec::<String>::new());
    for include in ["[\"*\"]", "[\"**\"]", "[\"**/run-*\"]", "[\"run\", \"run/.git/**\"]"] {
        assert_eq!(lines(&text(&format!("include = {include}"))), Vec::<String>::new(), "{include}");
    }
    assert_eq!(lines(&text("older_than = \"1d\"")), Vec::<String>::new(), "the top level is the default");
}
