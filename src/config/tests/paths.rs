//! Paths that are refused: what they are written like, where they lead, and whose they are.

use super::refused::refused;
use super::*;

#[test]
fn a_protected_directory_is_refused_in_words() {
    for (path, why) in [
        ("/", "`/` is a system directory"),
        ("/etc", "`/etc` is a system directory"),
        ("//etc/.", "`/etc` is a system directory"),
        ("/tmp/../etc", "`/etc` is a system directory"),
        ("/proc/self", "`/proc/self` lies in `/proc`, a system directory"),
        ("/home/keeper", "`/home/keeper` is your home directory"),
        (".", "`/srv/janitor` holds `/srv/janitor/janitor.toml`, the janitor's own config"),
        ("state", "`/srv/janitor/state` is the janitor's own state"),
        ("/srv", "`/srv` holds `/home/keeper`"),
    ] {
        let text = format!("[[target]]\npath = \"{path}\"\nname = \"x\"\nschedule = \"@daily\"\ninclude = [\"*\"]\n");
        let lines = lines(&text);
        if path == "/srv" {
            assert!(lines[0].contains("`/srv` holds `/srv/janitor/janitor.toml`"), "{lines:?}");
            continue;
        }
        assert_eq!(lines, [format!("f:2:8: this directory is protected: {why}")], "{path}");
    }
}

#[test]
fn nothing_is_expanded_in_a_path() {
    for (path, why) in [
        ("$HOME/tmp", "`$` is not expanded here; write the path out; a name with a `$` cannot be used here"),
        ("/srv/${APP}/tmp", "`$` is not expanded here; write the path out; a name with a `$` cannot be used here"),
        ("%h/tmp", "`%` is not expanded here; write the path out; a name like `%h` cannot be used here"),
        ("/run/user/%U", "`%` is not expanded here; write the path out; a name like `%h` cannot be used here"),
        (
            "/home/*/tmp",
            "`*` is not expanded here; write one target for each directory, or one for the directory above and an `include`; a name with a `*` cannot be used here",
        ),
        ("C:\\\\Temp", "this is no path of this system; a path begins with `/`, or is relative to the base"),
        ("c:/Temp", "this is no path of this system; a path begins with `/`, or is relative to the base"),
        (
            "\\\\\\\\server\\\\share",
            "this is no path of this system; a path begins with `/`, or is relative to the base",
        ),
    ] {
        let text = format!("[[target]]\npath = \"{path}\"\nname = \"x\"\nschedule = \"@daily\"\ninclude = [\"*\"]\n");
        refused(&text, &[&format!("f:2:8: {why}")]);
    }
    refused(
        &target("include = [\"*\"]\naction = \"move:/srv/$X\""),
        &["f:5:10: `$` is not expanded here; write the path out; a name with a `$` cannot be used here"],
    );
    // What only looks like it.
    for path in ["/srv/100%", "/srv/50%25", "/srv/a~b", "/srv/c:d"] {
        good(&format!("[[target]]\npath = \"{path}\"\nname = \"x\"\nschedule = \"@daily\"\ninclude = [\"*\"]\n"));
    }
}

#[test]
fn own_files_do_not_get_in_each_other_s_way() {
    let own = |what: &str| format!("{what}; each needs a path of its own");
    for (text, expected) in [
        ("[log]\nfile = \"./janitor.toml\"", "f:2:8: the config and the log are the same: `/srv/janitor/janitor.toml`"),
        (
            "state_dir = \"janitor.toml\"\n[admin]\nsocket = \"off\"",
            "f:1:13: the config and the state are the same: `/srv/janitor/janitor.toml`",
        ),
        (
            "[admin]\ntoken_file = \"t\"\n[log]\nfile = \"t\"",
            "f:2:14: the log and the token are the same: `/srv/janitor/t`",
        ),
        (
            "[admin]\ntoken_file = \"state/admin.sock\"",
            "f:2:14: the token and the socket are the same: `/srv/janitor/state/admin.sock`",
        ),
        (
            "[log]\nfile = \"state/janitor.sqlite\"",
            "f:2:8: the log has the name of a file of the state: `/srv/janitor/state/janitor.sqlite`",
        ),
        (
            "[admin]\ntoken_file = \"state/janitor.sqlite-wal\"",
            "f:2:14: the token has the name of a file of the state: `/srv/janitor/state/janitor.sqlite-wal`",
        ),
        (
            "[admin]\ntoken_file = \"state/target-a.lock\"",
            "f:2:14: the token has the name of a file of the state: `/srv/janitor/state/target-a.lock`",
        ),
        (
            "[log]\nfile = \"state/stops.json\"",
            "f:2:8: the log has the name of a file of the state: `/srv/janitor/state/stops.json`",
        ),
        (
            "[log]\nfile = \"state/.stops.json.7\"",
            "f:2:8: the log has the name of a file of the state: `/srv/janitor/state/.stops.json.7`",
        ),
        (
            "state_dir = \"cleanup_scheduler.log\"\n[admin]\nsocket = \"off\"",
            "f:1:13: the state and the log are the same: `/srv/janitor/cleanup_scheduler.log`",
        ),
        (
            "[admin]\ntoken_file = \"cleanup_scheduler.log/token\"",
            "f:2:14: `/srv/janitor/cleanup_scheduler.log/token` lies in `/srv/janitor/cleanup_scheduler.log`, which is the log",
        ),
        (
            "[admin]\ntoken_file = \"cleanup_scheduler.log.2026-01-01\"",
            "f:2:14: the token has the name of a rotated log: `/srv/janitor/cleanup_scheduler.log.2026-01-01`",
        ),
    ] {
        refused(text, &[&own(expected)]);
    }
    // Another name for the same file.
    let yard = tempfile::tempdir().expect("a temporary directory");
    std::fs::write(yard.path().join("token"), "secret").expect("written");
    std::fs::hard_link(yard.path().join("token"), yard.path().join("log")).expect("made");
    std::os::unix::fs::symlink("token", yard.path().join("link")).expect("made");
    for log in ["log", "link"] {
        let text = format!(
            "base = {:?}\n[admin]\ntoken_file = \"token\"\n[log]\nfile = \"{log}\"\n",
            yard.path().canonicalize().expect("there")
        );
        let found = lines(&text);
        assert!(found.len() == 1 && found[0].contains("the log and the token are the same"), "{found:?}");
    }
    good("[admin]\ntoken_file = \"state/token\"\n[log]\nfile = \"state/a.log\"");
}

#[test]
fn nothing_is_moved_to_where_programs_or_settings_are_taken_from() {
    for (to, why) in [
        ("/etc/profile.d", "`/etc/profile.d` lies in `/etc`, a place that programs or settings are taken from"),
        ("/usr/local/bin", "`/usr/local/bin` lies in `/usr`, a place that programs or settings are taken from"),
        ("/boot/x", "`/boot/x` lies in `/boot`, a system directory"),
        ("/root/archive", "`/root/archive` lies in `/root`, a place that programs or settings are taken from"),
        (
            "/var/spool/cron/crontabs",
            "`/var/spool/cron/crontabs` lies in `/var/spool/cron`, a place that programs or settings are taken from",
        ),
        (
            "/run/systemd/system",
            "`/run/systemd/system` lies in `/run/systemd`, a place that programs or settings are taken from",
        ),
        (
            "/home/keeper/.config/systemd/user",
            "`/home/keeper/.config/systemd/user` lies in `/home/keeper/.config/systemd`, a place that programs or settings are taken from",
        ),
        ("/srv/janitor/state/x", "`/srv/janitor/state/x` lies in `/srv/janitor/state`, the janitor's own state"),
        ("/srv/janitor", "`/srv/janitor` holds `/srv/janitor/janitor.toml`, the janitor's own config"),
    ] {
        let text = target(&format!("include = [\"*\"]\naction = \"move:{to}\""));
        refused(&text, &[&format!("f:5:10: nothing can be moved to a protected directory: {why}")]);
    }
    good(&target("include = [\"*\"]\naction = \"move:/home/keeper/archive\""));
}

#[test]
fn paths_are_written_out() {
    refused(
        "[[target]]\npath = \"~/Downloads\"\nschedule = \"@daily\"\ninclude = [\"*\"]\n",
        &[
            "f:2:8: `~` is not expanded here; write the home directory out; for a name that starts with `~` write `./~…`",
        ],
    );
    refused("[[target]]\nschedule = \"@daily\"\ninclude = [\"*\"]\n", &["f:1:1: this target has no `path`"]);
    refused(
        "[[target]]\npath = \"/nowhere/a/..\"\nschedule = \"@daily\"\ninclude = [\"*\"]\n",
        &["f:2:8: the target cannot be named after its path: the path has no last component; give it a `name`"],
    );
}

#[test]
fn a_socket_has_a_path() {
    refused("[admin]\nsocket = \"\"\n", &["f:2:10: the path is empty"]);
    refused("[admin]\nsocket = 7\n", &["f:2:10: invalid type: integer `7`, expected a string"]);
}
