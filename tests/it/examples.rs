//! What is shipped works as it stands.

use std::path::Path;

use super::yard::Yard;

fn files(directory: &str, extension: &str) -> Vec<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let entries = std::fs::read_dir(directory).expect("readable").map(|entry| entry.expect("readable").path());
    entries
        .filter(|path| path.extension().is_some_and(|known| known == extension))
        .map(|path| path.to_string_lossy().into_owned())
        .collect()
}

#[test]
fn every_config_that_is_shipped_passes_the_check() {
    let yard = Yard::new();
    let shipped = [files("examples", "toml"), files("config", "toml")].concat();
    assert!(shipped.len() >= 7, "{shipped:?}");
    for file in shipped {
        let ran = yard.run(&["check", "--config", &file]);
        assert_eq!(ran.code, Some(0), "{file}: {}", ran.err);
    }
}

/// Every config that the README shows is one.
#[test]
fn every_config_in_the_readme_passes_the_check() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("it is there");
    let mut seen = 0;
    for block in readme.split("```toml\n").skip(1) {
        let text = block.split("```").next().unwrap_or_default();
        let yard = Yard::new();
        yard.config(text);
        let ran = yard.run(&["check"]);
        assert_eq!(ran.code, Some(0), "{text}\n{}", ran.err);
        seen += 1;
    }
    assert!(seen > 0, "the README shows a config");
}

/// The README's tables of keys and the schema name the same keys.
#[test]
fn the_readme_names_every_key() {
    let readme = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).expect("it is there");
    let schema: serde_json::Value = serde_json::from_str(&Yard::new().run(&["schema"]).out).expect("JSON");
    let tables = std::iter::once(&schema).chain(schema["definitions"].as_object().expect("tables").values());
    let mut seen = 0;
    for key in tables.filter_map(|table| table["properties"].as_object()).flat_map(|properties| properties.keys()) {
        assert!(
            readme.contains(&format!("`{key}`")) || ["admin", "log", "defaults", "target"].contains(&key.as_str()),
            "{key}"
        );
        seen += 1;
    }
    assert!(seen > 25, "{seen}");
}
