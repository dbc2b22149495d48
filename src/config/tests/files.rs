//! What is read, and the files that the project ships.

use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::entry::AgeBy;
use crate::target::Missing;

#[test]
fn without_a_file_the_built_in_target_stands_in() {
    let config = built_in(&env()).expect("good");
    let [target] = config.targets.as_slice() else { panic!("one target") };
    assert_eq!((target.name.as_str(), target.written_path.as_str()), ("marked_images", "marked_images"));
    assert_eq!(target.path, Path::new("/srv/janitor/marked_images"));
    assert_eq!(target.schedule.text(), "0 2 * * *");
    assert_eq!(target.policy.globs.include().collect::<Vec<_>>(), ["*"]);
    assert_eq!(target.policy.older_than, None);
    assert!(target.enabled && !target.dry_run && !config.names_targets);
    assert_eq!(target.missing, Missing::Create);
}

#[test]
fn a_file_without_a_target_sweeps_nothing() {
    for text in ["[defaults]\nolder_than = \"1d\"\n[log]\nkeep = 1\n", "timezone = \"local\""] {
        let config = good(text);
        assert!(config.targets.is_empty() && !config.names_targets && names_no_target(text), "{text}");
    }
    assert!(!names_no_target(&target("include = [\"*\"]")));
    let settings = good("timezone = \"local\"").settings;
    assert_eq!(settings.admin.listen, Some("127.0.0.1:8000".parse().expect("an address")));
    assert_eq!((settings.log.rotation, settings.log.keep), (Rotation::Daily, 14));
}

#[test]
fn a_target_takes_what_it_does_not_say_from_the_defaults() {
    let config = good(
        "timezone = \"Europe/Berlin\"\n[defaults]\nschedule = \"@daily\"\nolder_than = \"2d\"\nexclude = [\"a\", \"b\"]\nage_by = \"newest\"\nmissing = \"skip\"\n\
         [[target]]\npath = \"/srv/one\"\n\
         [[target]]\npath = \"two/./deep//\"\nname = \"second\"\nolder_than = \"1h 30min\"\nexclude = [\"c\"]\nmissing = \"create\"\ntimezone = \"Asia/Tokyo\"\nenabled = false\n",
    );
    let [one, two] = config.targets.as_slice() else { panic!("two targets") };
    assert_eq!((one.name.as_str(), two.name.as_str()), ("one", "second"));
    assert_eq!(two.path, Path::new("/srv/janitor/two/deep"));
    assert_eq!(
        (one.policy.older_than, two.policy.older_than),
        (Some(Duration::from_secs(172_800)), Some(Duration::from_secs(5400)))
    );
    assert_eq!(one.policy.globs.exclude().collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(two.policy.globs.exclude().collect::<Vec<_>>(), ["c"]);
    assert_eq!(one.policy.globs.include().collect::<Vec<_>>(), ["*"], "an age alone applies to the top level");
    assert_eq!((one.policy.age_by, two.policy.age_by), (AgeBy::Newest, AgeBy::Newest));
    assert_eq!((one.missing, two.missing), (Missing::Skip, Missing::Create));
    assert_eq!((one.enabled, two.enabled), (true, false));
    assert_eq!((one.zone.name.as_str(), two.zone.name.as_str()), ("Europe/Berlin", "Asia/Tokyo"));
    assert!(config.names_targets);
}

#[test]
fn the_admin_port_can_be_off_anywhere_on_loopback_or_behind_a_token() {
    let listen =
        |text: &str| good(&format!("[admin]\nlisten = \"{text}\"\n")).settings.admin.listen.map(|at| at.to_string());
    assert_eq!(listen("off"), None);
    assert_eq!(listen("localhost:81").as_deref(), Some("127.0.0.1:81"));
    assert_eq!(listen("[::1]:0").as_deref(), Some("[::1]:0"));
    let socket = |text: &str| good(&format!("[admin]\nsocket = \"{text}\"\n")).settings.admin.socket;
    assert_eq!(socket("off"), None);
    assert_eq!(socket("state/admin.sock").as_deref(), Some(Path::new("/srv/janitor/state/admin.sock")));
    assert_eq!(socket("./off").as_deref(), Some(Path::new("/srv/janitor/off")));
    let longest = format!("/{}", "x".repeat(106));
    assert_eq!(socket(&longest).as_deref(), Some(Path::new(&longest)));
    let open = good("[admin]\nlisten = \"0.0.0.0:80\"\ntoken_file = \"secret\"\n").settings.admin;
    assert_eq!(open.token_file.as_deref(), Some(Path::new("/srv/janitor/secret")));
}

#[test]
fn equal_texts_give_equal_configs() {
    let text = target("include = [\"**/*.tmp\"]\nolder_than = \"3d\"\ntimezone = \"Europe/Berlin\"");
    assert_eq!(good(&text), good(&format!("{text}# a remark\n")));
    assert_ne!(good(&text), good(&text.replace("3d", "4d")));
}

#[test]
fn a_link_to_a_protected_directory_is_refused() {
    let yard = tempfile::tempdir().expect("a temporary directory");
    symlink("/etc", yard.path().join("innocent")).expect("made");
    let path = yard.path().join("innocent");
    let text = format!("[[target]]\npath = {path:?}\nschedule = \"@daily\"\ninclude = [\"*\"]\n");
    let problems = check(&text, "f", &env()).expect_err("it leads to /etc");
    assert!(problems.to_string().contains("`/etc`"), "{problems}");
}

#[test]
fn a_file_that_is_none_is_refused() {
    let yard = tempfile::tempdir().expect("a temporary directory");
    let path = yard.path().join("janitor.toml");
    let error = read(&path).expect_err("not there");
    assert!(error.is_not_found() && error.to_string().contains("does not exist"), "{error}");
    std::fs::create_dir(yard.path().join("directory")).expect("made");
    let error = read(&yard.path().join("directory")).expect_err("a directory");
    assert!(!error.is_not_found() && error.to_string().contains("not a regular file"), "{error}");
    std::fs::write(&path, b"\na = \xff").expect("written");
    assert!(read(&path).expect_err("not text").to_string().contains("not UTF-8 text (line 2, byte 5)"));
    std::fs::write(&path, vec![b'#'; (4 << 20) + 1]).expect("written");
    assert!(read(&path).expect_err("too large").to_string().contains("more than 4 MiB"));
    std::fs::write(&path, "timezone = \"UTC\"").expect("written");
    assert_eq!(read(&path).expect("fine").text, "timezone = \"UTC\"");
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).expect("ours");
    let everybody = read(&path);
    assert_eq!(everybody.is_err(), rustix::process::geteuid().is_root(), "{everybody:?}");
}

#[test]
fn a_path_that_leads_back_is_refused_where_it_leads() {
    for path in ["/nonexistent/../etc", "/tmp/../nonexistent/x/../../usr/lib"] {
        let text = format!("[[target]]\npath = {path:?}\nname = \"x\"\nschedule = \"@daily\"\ninclude = [\"*\"]\n");
        let problems = check(&text, "f", &env()).expect_err(path);
        assert!(problems.to_string().contains("is a system directory"), "{problems}");
    }
}

#[test]
fn a_fifo_is_refused_without_waiting_for_a_writer() {
    let yard = tempfile::tempdir().expect("a temporary directory");
    let path = yard.path().join("janitor.toml");
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, 0o600.into(), 0).expect("made");
    assert!(read(&path).expect_err("a FIFO").to_string().contains("not a regular file"));
}

fn shipped(directory: &str) -> Vec<std::path::PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let entries = std::fs::read_dir(&directory).expect("it is there");
    let paths = entries.map(|entry| entry.expect("readable").path());
    let mut found: Vec<_> =
        paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect();
    found.sort();
    found
}

#[test]
fn the_schema_that_is_shipped_is_that_of_the_types() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("schema/janitor.schema.json");
    let shipped = std::fs::read_to_string(file).unwrap_or_default();
    assert!(shipped == schema(), "run: cargo run -- schema > schema/janitor.schema.json");
}

#[test]
fn every_example_loads_and_fits_the_schema() {
    let schema = serde_json::from_str(&schema()).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let mut seen = 0;
    for file in shipped("examples").into_iter().chain(shipped("config")) {
        let text = std::fs::read_to_string(&file).expect("text");
        assert!(text.starts_with("#:schema ../schema/janitor.schema.json\n"), "{file:?} names its schema");
        let config = good(&text);
        assert!(config.names_targets, "{file:?}");
        let value: serde_json::Value = toml::from_str(&text).expect("TOML");
        let errors: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{file:?}: {errors:?}");
        seen += 1;
    }
    assert!(seen >= 7, "{seen}");
    let shipped = std::fs::read_to_string(&shipped("config")[0]).expect("text");
    let place = env().with_config("/srv/janitor/config/janitor.toml".into());
    let of_project = check(&shipped, "f", &place).expect("good");
    let built_in = built_in(&env()).expect("good");
    assert_eq!((of_project.targets, of_project.settings), (built_in.targets, built_in.settings));
}

#[test]
fn the_schema_refuses_what_the_config_refuses() {
    let schema = serde_json::from_str(&schema()).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    for text in [
        "colour = 1",
        "timezone = 1",
        "[log]\nkeep = -1",
        "[log]\nlevel = \"warn\"",
        "[[target]]\nschedule = \"@daily\"",
        "[[target]]\npath = \"/x\"\nmax_size = \"1G\"",
        "[[target]]\npath = \"/x\"\nmin_free = \"ten\"",
        "[[target]]\npath = \"/x\"\nkeep_newest = 0",
        "[[target]]\npath = \"/x\"\naction = \"bin\"",
        "[[target]]\npath = \"/x\"\njitter = \"5min\"",
        "[[target]]\npath = \"/x\"\ninclude = \"*\"",
        "[[target]]\npath = \"/x\"\nage_by = \"birth\"",
        "[defaults]\npath = \"/x\"",
        "[defaults]\nolder_than = \"6m\"",
        "[defaults]\nlarger_than = \"10M\"",
        "[defaults]\ninclude = []",
        "[target]\npath = \"/x\"",
        "log = [\"a.log\"]",
    ] {
        assert_eq!(both(&validator, text), (false, false), "{text}");
    }
    assert!(validator.is_valid(&serde_json::json!({ "timezone": "UTC" })));
}

/// What the schema says of a text, and what the config says.
fn both(validator: &jsonschema::Validator, text: &str) -> (bool, bool) {
    let value: serde_json::Value = toml::from_str(text).expect("TOML");
    (validator.is_valid(&value), check(text, "f", &env()).is_ok())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn an_editor_marks_no_duration_or_size_that_is_one(
        duration in " ?[0-9]{1,3} ?(s|sec|secs|second|seconds|min|mins|minute|minutes|h|hr|hrs|hour|hours|d|day|days|w|week|weeks) ?([1-9]h)?",
        size in " ?([1-9][0-9]?B|([1-9][0-9]?|[0-9]\\.[1-9]|\\.[1-9]) ?[kKMG][iI]?[bB]) ?",
    ) {
        let schema = serde_json::from_str(&schema()).expect("JSON");
        let validator = jsonschema::validator_for(&schema).expect("a schema");
        let text = target(&format!("include = [\"*\"]\nmin_age = \"{duration}\"\nlarger_than = \"{size}\""));
        prop_assert_eq!(both(&validator, &text), (true, true), "{}", text);
    }
}
