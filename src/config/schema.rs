//! The JSON schema of the config, for editors.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::raw::{DURATION, RawConfig, SHARE_OR_SIZE, SIZE};

/// How the value of a key is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    Duration,
    Size,
    ShareOrSize,
    Number,
    Flag,
    Other,
}

/// A key in one table of the config.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Known {
    /// The table as it is written; `None` for the top level.
    pub(super) table: Option<&'static str>,
    pub(super) form: Form,
}

/// Tables of the config: the name in the schema, and how it is written.
const TABLES: [(&str, &str); 4] =
    [("admin", "[admin]"), ("log", "[log]"), ("target", "[[target]]"), ("defaults", "[defaults]")];

/// Returns the tables that know a key.
pub(super) fn known(key: &str) -> &'static [Known] {
    static KEYS: LazyLock<BTreeMap<String, Vec<Known>>> = LazyLock::new(|| {
        let schema = value();
        let mut keys = BTreeMap::<String, Vec<Known>>::new();
        let tables = TABLES.iter().map(|(name, written)| (Some(*written), &schema["definitions"][name]));
        for (table, schema) in [(None, &schema)].into_iter().chain(tables) {
            for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
                keys.entry(key.clone()).or_default().push(Known { table, form: form(schema) });
            }
        }
        keys
    });
    KEYS.get(key).map_or(&[], Vec::as_slice)
}

fn form(schema: &Value) -> Form {
    match (schema["type"].as_str(), schema["pattern"].as_str()) {
        (_, Some(DURATION)) => Form::Duration,
        (_, Some(SIZE)) => Form::Size,
        (_, Some(SHARE_OR_SIZE)) => Form::ShareOrSize,
        (Some("integer"), _) => Form::Number,
        (Some("boolean"), _) => Form::Flag,
        _ => Form::Other,
    }
}

/// Returns the schema (draft 7, which editors know).
fn value() -> Value {
    let root = SchemaSettings::draft07().into_generator().into_root_schema_for::<RawConfig>();
    let mut schema = root.to_value();
    tidy(&mut schema);
    schema
}

/// Returns the schema (draft 7, which editors know), as pretty JSON with a newline at the end.
#[must_use]
pub fn schema() -> String {
    let mut text = serde_json::to_string_pretty(&value()).unwrap_or_default();
    text.push('\n');
    text
}

/// Adapts the schema from Rust types to editors. A key that may be left out is an `Option` in Rust and `null` in a
/// schema, but TOML has no null. The lines of a doc comment become one paragraph. Formats such as `uint16` are removed,
/// since other tools do not know them.
fn tidy(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            if let Some(Value::String(description)) = object.get_mut("description") {
                *description = description.replace('\n', " ");
            }
            if object.get("format").is_some_and(Value::is_string) {
                object.remove("format");
            }
            if let Some(Value::Array(types)) = object.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    object.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(values)) = object.get_mut("enum") {
                values.retain(|value| !value.is_null());
            }
            if let Some(Value::Array(choices)) = object.get_mut("anyOf") {
                choices.retain(|choice| choice != &serde_json::json!({ "type": "null" }));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    object.remove("anyOf");
                    for (key, value) in only {
                        object.entry(key).or_insert(value);
                    }
                }
            }
            object.values_mut().for_each(tidy);
        }
        Value::Array(values) => values.iter_mut().for_each(tidy),
        _ => {}
    }
}
