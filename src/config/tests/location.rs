//! Where the config is, and what its place means for relative paths and for the janitor's own files.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use super::*;

/// An environment in a temporary directory, with `here` as the working directory.
fn yard() -> (tempfile::TempDir, PathBuf, Env) {
    let yard = tempfile::tempdir().expect("a temporary directory");
    let top = yard.path().canonicalize().expect("it exists");
    fs::create_dir(top.join("here")).expect("made");
    let env = Env {
        working_directory: Some(top.join("here")),
        config_home: Some(top.join("conf")),
        state_home: Some(top.join("st")),
        runtime_dir: Some(top.join("rt")),
        ..Env::default()
    };
    (yard, top, env)
}

fn write(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().expect("below the yard")).expect("made");
    fs::write(path, text).expect("written");
}

fn found(asked_for: Option<&Path>, env: &Env) -> Option<PathBuf> {
    locate(asked_for, env).expect("the working directory is there")
}

#[test]
fn each_place_comes_before_the_next() {
    let (_yard, top, env) = yard();
    let of_system = Some(PathBuf::from("/etc/janitor/janitor.toml")).filter(|path| path.exists());
    assert_eq!(found(None, &env), of_system);
    write(&top.join("conf/janitor/janitor.toml"), "");
    assert_eq!(found(None, &env), Some(top.join("conf/janitor/janitor.toml")));
    let root = Env { is_root: true, ..env.clone() };
    assert_eq!(found(None, &root), of_system, "root has no XDG directories");
    write(&top.join("here/config/janitor.toml"), "");
    assert_eq!(found(None, &env), Some(top.join("here/config/janitor.toml")));
    // What is asked for counts, whether it is there or not.
    let env = Env { janitor_config: Some("of/env.toml".into()), ..env };
    assert_eq!(found(None, &env), Some(top.join("here/of/env.toml")));
    assert_eq!(found(Some(Path::new("x.toml")), &env), Some(top.join("here/x.toml")));
    assert_eq!(found(Some(Path::new("/x/y.toml")), &env), Some("/x/y.toml".into()));
    let gone = Env { working_directory: None, ..env };
    assert_eq!(found(Some(Path::new("/x/y.toml")), &gone), Some("/x/y.toml".into()));
    assert!(locate(Some(Path::new("x.toml")), &gone).is_err() && locate(None, &gone).is_err());
}

#[test]
fn a_place_that_cannot_be_looked_at_was_meant() {
    let (_yard, top, env) = yard();
    let default = top.join("here").join(DEFAULT_FILE);
    fs::create_dir(top.join("here/config")).expect("made");
    symlink("nowhere", &default).expect("made");
    assert_eq!(found(None, &env).as_ref(), Some(&default), "a link to nothing");
    fs::rename(top.join("here/config"), top.join("here/old")).expect("ours");
    // A directory that is not mounted yet, and one that cannot be looked into.
    symlink("nowhere", top.join("here/config")).expect("made");
    assert_eq!(found(None, &env).as_ref(), Some(&default));
    fs::rename(top.join("here/config"), top.join("here/link")).expect("renamed");
    symlink("config", top.join("here/config")).expect("a link to itself");
    assert_eq!(found(None, &env).as_ref(), Some(&default));
    assert!(!read(&default).expect_err("it leads to itself").is_not_found());
}

#[test]
fn dots_in_a_given_path_mean_what_the_kernel_takes_them_for() {
    let (_yard, top, env) = yard();
    fs::create_dir_all(top.join("far/deep")).expect("made");
    symlink("../far/deep", top.join("here/link")).expect("made");
    assert_eq!(found(Some(Path::new("./a/../x.toml")), &env), Some(top.join("here/x.toml")));
    assert_eq!(found(Some(Path::new("link/../x.toml")), &env), Some(top.join("far/x.toml")));
    assert_eq!(found(Some(Path::new("link/x.toml")), &env), Some(top.join("here/link/x.toml")));
}

/// The base, state, log and socket of a text, as the config at this path.
fn places_of(text: &str, file: &str, env: &Env) -> [PathBuf; 4] {
    let config =
        check(text, "f", &env.clone().with_config(file.into())).unwrap_or_else(|problems| panic!("{problems}"));
    let Settings { base, state_dir, log, admin, .. } = config.settings;
    [base, state_dir, log.file.expect("a file"), admin.socket.expect("a socket")]
}

#[test]
fn relative_paths_start_at_the_base_wherever_the_command_is_run() {
    let text = |base: &str| format!("{base}timezone = \"UTC\"\n");
    for here in ["/", "/nowhere/else", "/srv/app/config"] {
        let env = Env { working_directory: Some(here.into()), ..Env::default() };
        for (base, expected) in [
            ("", "/srv/app/config"),
            ("base = \".\"\n", "/srv/app/config"),
            ("base = \"..\"\n", "/srv/app"),
            ("base = \"../../x/./y\"\n", "/srv/x/y"),
            ("base = \"/data\"\n", "/data"),
        ] {
            let expected = Path::new(expected);
            assert_eq!(
                places_of(&text(base), "/srv/app/config/janitor.toml", &env),
                [
                    expected.to_path_buf(),
                    expected.join("state"),
                    expected.join("cleanup_scheduler.log"),
                    expected.join("state/admin.sock")
                ],
                "{here} {base}"
            );
        }
    }
    let env = Env { working_directory: Some("/nowhere".into()), ..Env::default() };
    let env = env.with_config("/srv/app/config/janitor.toml".into());
    let config =
        check(&format!("base = \"..\"\n{}", target("include = [\"*\"]").replace("/srv/app/tmp", "tmp")), "f", &env);
    assert_eq!(config.expect("good").targets[0].path, Path::new("/srv/app/tmp"));
}

#[test]
fn the_link_that_leads_to_a_config_is_not_where_its_paths_start() {
    let (_yard, top, env) = yard();
    write(&top.join("..v1/janitor.toml"), "timezone = \"UTC\"");
    symlink("..v1", top.join("..data")).expect("made");
    fs::create_dir(top.join("mount")).expect("made");
    symlink("../..data/janitor.toml", top.join("mount/janitor.toml")).expect("made");
    let file = found(Some(&top.join("mount/janitor.toml")), &env).expect("asked for");
    assert_eq!(env.with_config(file).directory(), top.join("mount"));
}

#[test]
fn a_config_of_the_system_or_of_a_user_has_its_state_where_that_belongs() {
    let (_yard, top, env) = yard();
    let text = "timezone = \"UTC\"";
    let of_system =
        ["/etc/janitor", "/var/lib/janitor", "/var/log/janitor/cleanup_scheduler.log", "/run/janitor/admin.sock"];
    assert_eq!(places_of(text, "/etc/janitor/other.toml", &env), of_system.map(PathBuf::from));

    let of_user = top.join("conf/janitor/janitor.toml");
    write(&of_user, text);
    let shown = of_user.to_str().expect("text");
    let state = top.join("st/janitor");
    let expected = [top.join("conf/janitor"), state.clone(), state.join("cleanup_scheduler.log")];
    let [base, state_dir, log, socket] = places_of(text, shown, &env);
    assert_eq!([base, state_dir, log], expected);
    assert_eq!(socket, top.join("rt/janitor/admin.sock"));
    let [.., socket] = places_of(text, shown, &Env { runtime_dir: None, ..env.clone() });
    assert_eq!(socket, state.join("admin.sock"));

    // Somebody else's, as root sees it.
    write(&top.join("alice/.config/janitor/janitor.toml"), text);
    let of_alice = top.join("alice/.config/janitor/janitor.toml");
    let [_, state_dir, ..] = places_of(text, of_alice.to_str().expect("text"), &Env { is_root: true, ..env });
    assert_eq!(state_dir, top.join("alice/.local/state/janitor"));
}

#[test]
fn a_path_that_was_relative_to_the_working_directory_needs_a_base() {
    let (_yard, top, env) = yard();
    let file = top.join("here/config/janitor.toml");
    write(&file, "");
    fs::create_dir(top.join("here/tmp")).expect("made");
    let env = env.with_config(file);
    let text = "[[target]]\npath = \"tmp\"\nschedule = \"@daily\"\ninclude = [\"*\"]\n";
    let problems = check(text, "f", &env).expect_err("which one?").lines();
    let (below, here) = (top.join("here/config/tmp"), top.join("here/tmp"));
    let expected = format!(
        "f:2:8: `{}` does not exist, and `{}`, in the working directory, does; only `base` says which is meant; write \
         `base = \"..\"` at the top of the file for the second, or `base = \".\"` for the first",
        below.to_str().expect("text"),
        here.to_str().expect("text"),
    );
    assert_eq!(problems, [expected]);
    for (base, path) in [("..", &here), (".", &below)] {
        let config = check(&format!("base = \"{base}\"\n{text}"), "f", &env).expect("it is said");
        assert_eq!(&config.targets[0].path, path);
    }
    // From elsewhere there is no doubt.
    let elsewhere = Env { working_directory: Some(top.clone()), ..env.clone() };
    assert_eq!(check(text, "f", &elsewhere).expect("good").targets[0].path, below);
    // So it is with a state that a daemon has left, but not with any directory of that name.
    fs::create_dir(top.join("here/state")).expect("made");
    let text = "timezone = \"UTC\"";
    assert!(check(text, "f", &env).is_ok());
    write(&top.join("here/state/janitor.sqlite"), "");
    let problems = check(text, "f", &env).expect_err("a state was left").to_string();
    assert!(problems.starts_with("f:1:1: ") && problems.contains("here/config/state/janitor.sqlite"), "{problems}");
    // There is no default place that could have moved.
    let of_system = env.with_config("/etc/janitor/janitor.toml".into());
    assert!(check(text, "f", &of_system).is_ok());
}

#[test]
fn a_base_that_is_none_is_told_once() {
    for (base, why) in [
        ("\"~/x\"", "f:1:8: `~` is not expanded here"),
        ("5", "f:1:8: invalid type: integer `5`"),
        ("\"\"", "f:1:8: the path is empty"),
    ] {
        let found = lines(&format!("base = {base}\nstate_dir = \"s\"\n"));
        assert!(found.len() == 1 && found[0].starts_with(why), "{found:?}");
    }
}

#[test]
fn an_empty_file_is_an_error() {
    for text in ["", " \n", "# only\n# remarks\n", "\u{feff}"] {
        let help = "write a `[[target]]`; to stop a target, set `enabled = false`";
        assert_eq!(lines(text), [format!("f:1:1: the file is empty; {help}")], "{text:?}");
        assert_eq!(admin_of(text, &env()), None, "{text:?}");
    }
}
