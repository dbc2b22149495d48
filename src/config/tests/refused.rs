//! What is refused, with place, words and help.

use super::*;

#[track_caller]
pub(super) fn refused(text: &str, expected: &[&str]) {
    assert_eq!(lines(text), expected, "{text}");
}

#[test]
fn every_value_is_refused_where_it_is_wrong() {
    for (keys, expected) in [
        (
            "include = [\"*\"]\nolder_than = \"6m\"",
            "f:5:15: `6m` can mean minutes or months; write \"6min\" for minutes; a month is not a fixed time, write days",
        ),
        (
            "older_than = \"1y\"",
            "f:4:15: `y` is not a fixed time; months and years vary in length; write days, as in \"365d\"",
        ),
        ("older_than = \"30\"", "f:4:15: `30` has no unit; write it like \"30d\""),
        (
            "older_than = 30",
            "f:4:14: invalid type: integer `30`, expected a string; write a duration in quotes, as in \"30d\"",
        ),
        ("older_than = \"0s\"", "f:4:14: `older_than` cannot be zero; leave the key out to remove files of any age"),
        ("older_than = \"-1d\"", "f:4:15: a negative value makes no sense here; write it like \"30d\""),
        (
            "older_than = \"1d\"\nlarger_than = \"5M\"",
            "f:5:16: `5M` can mean MB (powers of 1000) or MiB (powers of 1024); write \"5MB\" or \"5MiB\"",
        ),
        ("older_than = \"1d\"\nsmaller_than = \"0B\"", "f:5:16: no file is smaller than nothing"),
        (
            "older_than = \"1d\"\nlarger_than = \"5MB\"\nsmaller_than = \"5MB\"",
            "f:6:16: no file is larger than 5.0 MB and smaller than 5.0 MB",
        ),
        ("older_than = \"1d\"\nage_by = \"modifed\"", "f:5:10: unknown value \"modifed\"; did you mean \"modified\"?"),
        (
            "older_than = \"1d\"\ntimezone = \"Europe/Berln\"",
            "f:5:12: unknown time zone \"Europe/Berln\"; did you mean \"Europe/Berlin\"?",
        ),
        (
            "include = []",
            "f:4:11: an empty `include` names no file; leave the key out, or write `include = [\"**\"]` for everything",
        ),
        (
            "include = [\"*\", \"/x\"]",
            "f:4:18: the pattern is absolute; patterns are relative to the target's path; leave the leading `/` out",
        ),
        ("include = [\"*\", 7]", "f:4:17: invalid type: integer `7`, expected a string"),
        ("include = \"*\"", "f:4:11: invalid type: string \"*\", expected a list, as in [\"a\", \"b\"]"),
        (
            "include = [\"*\"]\nenabled = \"yes\"",
            "f:5:11: invalid type: string \"yes\", expected a boolean; write true or false, without quotes",
        ),
        ("include = [\"*\"]\njitter = \"5min\"", "f:5:1: `jitter` is not supported by this version; leave it out"),
        ("max_size = \"0B\"", "f:4:12: `max_size` cannot be zero; leave the key out if you mean none"),
        ("max_files = 0", "f:4:13: `max_files` cannot be zero; leave the key out if you mean none"),
        (
            "max_files = \"5\"",
            "f:4:13: invalid type: string \"5\", expected a whole number; write a number, without quotes",
        ),
        ("min_free = \"101%\"", "f:4:13: a share lies between 0.01% and 100%; write it like \"10%\""),
        (
            "min_free = 10",
            "f:4:12: invalid type: integer `10`, expected a string; write a share or a size in quotes, as in \"10%\" or \"10GB\"",
        ),
        (
            "min_free = \"10G\"",
            "f:4:13: `10G` can mean GB (powers of 1000) or GiB (powers of 1024); write \"10GB\" or \"10GiB\"",
        ),
        ("include = [\"*\"]\nkeep_newest = 100001", "f:5:15: `keep_newest` can be 100000 at most"),
        ("include = [\"*\"]\nthreads = 65", "f:5:11: `threads` can be 64 at most"),
        (
            "include = [\"*\"]\nrequire = \"a/b\"",
            "f:5:11: `require` names one entry directly below `path`; write a name, as in \".mounted\"",
        ),
        (
            "include = [\"*\"]\naction = \"bin\"",
            "f:5:10: unknown action \"bin\"; use \"delete\", \"trash\" or \"move:/dir\"",
        ),
        (
            "include = [\"*\"]\naction = \"remove\"",
            "f:5:10: unknown action \"remove\"; use \"delete\", \"trash\" or \"move:/dir\"",
        ),
        (
            "include = [\"*\"]\naction = \"move:archive\"",
            "f:5:10: where files are moved to has to be an absolute path; write it like \"move:/archive\"",
        ),
        (
            "include = [\"*\"]\naction = \"move:/srv/app/tmp/old\"",
            "f:5:10: the files would be moved to where they are swept from",
        ),
        (
            "include = [\"*\"]\naction = \"move:/etc\"",
            "f:5:10: nothing can be moved to a protected directory: `/etc` is a system directory",
        ),
        (
            "include = [\"*\"]\naction = \"move:/var\"",
            "f:5:10: nothing can be moved to a protected directory: `/var` is a system directory",
        ),
        ("inclde = [\"*\"]", "f:4:1: unknown key `inclde`; did you mean `include`?"),
        (
            "name = \"janitor\"\ninclude = [\"*\"]",
            "f:4:8: `janitor` is the name of the daemon's own log lines; choose another",
        ),
        (
            "",
            "f:1:1: this target has neither `include` nor a reason to delete; everything has to be written out: `include = [\"**\"]`, or `[\"*\"]` for the top level",
        ),
    ] {
        refused(&target(keys), &[expected]);
    }
}

#[test]
fn every_place_of_the_settings_is_checked() {
    for (text, expected) in [
        (
            "timezone = \"Nowhere\"",
            "f:1:12: unknown time zone \"Nowhere\"; write \"local\" or an IANA name such as \"Europe/Berlin\"",
        ),
        ("state_dir = \"\"", "f:1:13: the path is empty"),
        (
            "[admin]\nlisten = \"8000\"",
            "f:2:10: \"8000\" is not an address to listen on; write an address and a port, \"127.0.0.1:8000\", or \"off\"",
        ),
        (
            "[admin]\nlisten = \"0.0.0.0:8000\"",
            "f:2:10: an admin port that others can reach needs a token; set `token_file`, and put a reverse proxy with TLS in front",
        ),
        (
            "[admin]\nlisten = 8000",
            "f:2:10: invalid type: integer `8000`, expected a string; write an address and a port, \"127.0.0.1:8000\"",
        ),
        ("[admin]\nlisten = \"[::]:8000\"\ntoken_file = 5", "f:3:14: invalid type: integer `5`, expected a string"),
        ("timezone = \"Local\"", "f:1:12: unknown time zone \"Local\"; did you mean \"local\"?"),
        ("timezone = 1979-05-27", "f:1:12: invalid type: date, expected a string"),
        (
            "[defaults]\nolder_than = \"0s\"",
            "f:2:14: `older_than` cannot be zero; leave the key out to remove files of any age",
        ),
        (
            "\"a`b`c\" = 1",
            "f:1:1: unknown key `a`b`c`; known here: base, timezone, state_dir, sweeps_per_filesystem, admin, log, defaults, target",
        ),
        ("[log]\nkeep = -1", "f:2:8: invalid value: integer `-1`, expected a number from 0 to 65535"),
        ("[log]\nlevel = \"warn\"", "f:2:9: unknown value \"warn\"; use one of debug, info, warning, error"),
        ("[log]\nrotation = \"dayly\"", "f:2:12: unknown value \"dayly\"; did you mean \"daily\"?"),
        ("[logs]\nkeep = 1", "f:1:2: unknown key `logs`; did you mean `log`?"),
        ("log = 1", "f:1:7: invalid type: integer `1`, expected a table"),
        (
            "[defaults]\npath = \"/x\"",
            "f:2:1: unknown key `path`; it is a key of [[target]]; known here: schedule, catch_up, enabled, include, exclude, older_than, age_by, larger_than, smaller_than, min_age, max_size, max_files, min_free, order, keep_newest, whole_dirs, remove_empty_dirs, skip_open, action, trash_keep, on_unverifiable, sandbox, max_deletes, require, root, missing, dry_run, threads, idle, timezone",
        ),
        (
            "socket = \"off\"",
            "f:1:1: unknown key `socket`; it is a key of [admin]; known here: base, timezone, state_dir, sweeps_per_filesystem, admin, log, defaults, target",
        ),
        (
            "max_size = \"1GB\"",
            "f:1:1: unknown key `max_size`; it is a key of [log], [[target]] and [defaults]; known here: base, timezone, state_dir, sweeps_per_filesystem, admin, log, defaults, target",
        ),
        (
            "[admin]\nbase = \"/x\"",
            "f:2:1: unknown key `base`; it is a key of the top level; known here: listen, socket, token_file",
        ),
        (
            "[defaults]\ncolour = 1",
            "f:2:1: unknown key `colour`; known here: schedule, catch_up, enabled, include, exclude, older_than, age_by, larger_than, smaller_than, min_age, max_size, max_files, min_free, order, keep_newest, whole_dirs, remove_empty_dirs, skip_open, action, trash_keep, on_unverifiable, sandbox, max_deletes, require, root, missing, dry_run, threads, idle, timezone",
        ),
        (
            "[defaults]\ntrash_keep = 7",
            "f:2:14: invalid type: integer `7`, expected a string; write a duration in quotes, as in \"30d\"",
        ),
        (
            "[log]\nmax_size = 100",
            "f:2:12: invalid type: integer `100`, expected a string; write a size in quotes, as in \"10GB\"",
        ),
        (
            "[log]\nkeep = \"14\"",
            "f:2:8: invalid type: string \"14\", expected a number from 0 to 65535; write a number, without quotes",
        ),
        (
            "[target]\npath = \"/x\"\nschedule = \"@daily\"\ninclude = [\"*\"]",
            "f:1:1: `target` is a list of tables; write `[[target]]`; each one begins a target",
        ),
        ("target = []", "f:1:10: an empty `target` names no directory; write `[[target]]`; each one begins a target"),
        // serde itself would take these, key by key in the order of ours.
        (
            "log = [\"a.log\", \"daily\", 3, \"text\", \"info\"]",
            "f:1:7: `log` is one table, not a list; write it once, as `[log]`",
        ),
        (
            "target = [[\"n\", \"/srv/n\", \"@daily\", true, [\"*\"]]]",
            "f:1:11: a target is a table; write it as `[[target]]`",
        ),
    ] {
        refused(text, &[expected]);
    }
}

#[test]
fn a_schedule_is_marked_inside_its_text() {
    let with = |schedule: &str| format!("[[target]]\npath = \"/srv/a\"\ninclude = [\"*\"]\nschedule = {schedule}\n");
    refused(&with("\"0 25 * * *\""), &["f:4:15: 25 is out of range for the hour; the hour is 0-23"]);
    refused(
        &with("'0 0 30 2 *'"),
        &[
            "f:4:17: the schedule never fires: none of its months has such a day; February has 29 days at most; April, June, September and November have 30",
        ],
    );
    // Where the text is written with escapes, the whole value is marked.
    refused(&with("\"0\\u0020 25 * * *\""), &["f:4:12: 25 is out of range for the hour; the hour is 0-23"]);
    refused(
        "[[target]]\npath = \"/srv/a\"\ninclude = [\"*\"]\n",
        &["f:1:1: this target has no `schedule`; add `schedule = \"0 2 * * *\"`, here or in [defaults]"],
    );
}

#[test]
fn a_limit_needs_an_include() {
    let help = "write `include = [\"**\"]` for everything below `path`, or `[\"*\"]` for its top level";
    let why = format!("a limit (`max_size`, `max_files`, `min_free`) needs an `include`; {help}");
    for limit in ["max_size = \"1GB\"", "max_files = 5", "min_free = \"10%\""] {
        let column = limit.find('=').expect("a key") + 3;
        refused(&target(limit), &[&format!("f:4:{column}: {why}")]);
        good(&target(&format!("{limit}\ninclude = [\"*\"]")));
        good(&format!("[defaults]\ninclude = [\"**\"]\n{}", target(limit)));
        refused(&format!("[defaults]\n{limit}\n{}", target("older_than = \"1d\"")), &[&format!("f:3:1: {why}")]);
    }
}

#[test]
fn a_key_of_an_earlier_version_is_told_what_to_write() {
    refused(
        &target("include = [\"*\"]\ncreate = true"),
        &[
            "f:5:1: unknown key `create`; write `missing = \"create\"` for true, `missing = \"fail\"` (the default) or `\"skip\"` for false",
        ],
    );
}

#[test]
fn names_are_unique() {
    let text = format!("{0}{0}", target("include = [\"*\"]"));
    refused(&text, &["f:6:8: the name `tmp` is taken by the target in line 2; give one of them a `name` of its own"]);
    // Whatever else is wrong with them.
    let text = format!("{}name = \"x\"\n{}name = \"x\"\n", target("include = []"), target("include = [\"*\"]"));
    let found = lines(&text);
    assert_eq!(found.len(), 2, "{found:#?}");
    assert!(found[1].starts_with("f:10:8: the name `x` is taken by the target in line 5"), "{found:#?}");
}

#[test]
fn a_mistake_in_the_defaults_is_said_once() {
    let targets = "[[target]]\npath = \"/srv/a\"\n[[target]]\npath = \"/srv/b\"\n";
    for (defaults, expected) in [
        (
            "[defaults]\nshedule = \"@daily\"\ninclude = [\"*\"]",
            "f:2:1: unknown key `shedule`; did you mean `schedule`?",
        ),
        ("[defaults]\nschedule = 5\ninclude = [\"*\"]", "f:2:12: invalid type: integer `5`, expected a string"),
        ("[default]\nschedule = \"@daily\"", "f:1:2: unknown key `default`; did you mean `defaults`?"),
        (
            "[[defaults]]\nschedule = \"@daily\"",
            "f:1:1: `defaults` is one table, not a list; write it once, as `[defaults]`",
        ),
        ("defaults = 5", "f:1:12: invalid type: integer `5`, expected a table"),
        (
            "[defaults]\nschedule = \"@daily\"\ninclude = [\"*\"]\njitter = \"5min\"",
            "f:4:1: `jitter` is not supported by this version; leave it out",
        ),
        (
            "[defaults]\nschedule = \"@daily\"\ninclude = [\"*\"]\nlarger_than = \"2MB\"\nsmaller_than = \"1MB\"",
            "f:5:16: no file is larger than 2.0 MB and smaller than 1.0 MB",
        ),
    ] {
        refused(&format!("{defaults}\n{targets}"), &[expected]);
    }
    // What a target makes of them is its own mistake.
    refused(
        &format!("[defaults]\nsmaller_than = \"1MB\"\n{}", target("include = [\"*\"]\nlarger_than = \"2MB\"")),
        &["f:7:15: no file is larger than 2.0 MB and smaller than 1.0 MB"],
    );
}

#[test]
fn every_item_of_a_list_is_checked() {
    refused(
        &target("include = [1, \"*\", \"/x\", 2]"),
        &[
            "f:4:12: invalid type: integer `1`, expected a string",
            "f:4:21: the pattern is absolute; patterns are relative to the target's path; leave the leading `/` out",
            "f:4:26: invalid type: integer `2`, expected a string",
        ],
    );
    refused(&target("include = [1]"), &["f:4:12: invalid type: integer `1`, expected a string"]);
    refused(&target("include = [\"*\"]\ntimezone = [\"UTC\"]"), &["f:5:12: invalid type: list, expected a string"]);
}

#[test]
fn everything_is_said_at_once_and_nothing_twice() {
    let text = "\
timezone = \"Mars/Olympus\"
colour = \"blue\"

[log]
keep = \"many\"
levl = \"info\"

[defaults]
older_than = \"6m\"

[[target]]
path = 5
shedule = '0 3 * * *'

[[target]]
name = \"b\"
path = \"/etc\"
schedule = 'x'
\tincude = ['*']

[[target]]
path = \"/srv/gr\u{fc}n\"
schedule = \"@daily\"
include = ['**.log']
exclude = [\"\", '/x']
";
    let found = lines(text);
    let expected = [
        "f:1:12: unknown time zone \"Mars/Olympus\"",
        "f:2:1: unknown key `colour`; known here: base, timezone",
        "f:5:8: invalid type: string \"many\", expected a number from 0 to 65535",
        "f:6:1: unknown key `levl`; did you mean `level`?",
        "f:9:15: `6m` can mean minutes or months",
        "f:12:8: invalid type: integer `5`, expected a string",
        "f:13:1: unknown key `shedule`; did you mean `schedule`?",
        "f:17:8: this directory is protected",
        "f:18:13: a schedule has five fields",
        "f:19:2: unknown key `incude`; did you mean `include`?",
        "f:24:13: `**` must stand alone between slashes",
        "f:25:12: an empty pattern matches nothing",
        "f:25:17: the pattern is absolute",
    ];
    for (line, expected) in found.iter().zip(expected) {
        assert!(line.starts_with(expected), "{line}\n{expected}");
    }
    assert_eq!(found.len(), expected.len(), "{found:#?}");
}

#[test]
fn what_is_no_toml_is_said_with_all_its_places() {
    let found = lines("a = \nb == 2\n[x\n");
    assert!(found.len() >= 3 && found[0].starts_with("f:1:") && found[1].starts_with("f:2:"), "{found:#?}");
    // The table that a broken line should have begun is not there, so its keys seem doubled: not worth a word.
    let found = lines("[log\nkeep = 3\n[[target]]\npath = /srv\n[[target]]\npath = \"/srv\"\n");
    assert!(found.iter().all(|line| !line.contains("duplicate")), "{found:#?}");
    refused("state_dir = \"a\"\nstate_dir = \"b\"\n", &["f:2:1: duplicate key"]);
}

#[test]
fn a_problem_is_shown_with_its_line_and_a_mark() {
    refused(
        "\u{feff}colour = 1",
        &[
            "f:1:1: unknown key `colour`; known here: base, timezone, state_dir, sweeps_per_filesystem, admin, log, defaults, target",
        ],
    );
    let problems = check("# gr\u{fc}n\r\n\ttimezone = \"Europe/Berln\"\r\n", "config/janitor.toml", &env());
    let problems = problems.expect_err("no such zone");
    assert_eq!(
        problems.lines(),
        ["config/janitor.toml:2:13: unknown time zone \"Europe/Berln\"; did you mean \"Europe/Berlin\"?"]
    );
    let shown = problems.render(false);
    for part in [
        "error: unknown time zone",
        "--> config/janitor.toml:2:13",
        "timezone = \"Europe/Berln\"",
        "^^^",
        "help: did you mean",
    ] {
        assert!(shown.contains(part), "{part} in\n{shown}");
    }
}
