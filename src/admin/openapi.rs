//! `/openapi.json`: the routes, described by their own table and types. See the OpenAPI Specification 3.1.

use std::sync::LazyLock;

use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::answer::Answer;
use super::query::{Kind, Parameter};
use super::routes::{Does, ROUTES, Route, Shape};
use super::visit::{Told, Visit};
use super::wire::Refused;

/// Errors that any request can be answered with instead. Those of hyper itself carry no JSON.
const ALWAYS: [(u16, &str); 10] = [
    (400, "bad_request, or no HTTP"),
    (401, "unauthorized"),
    (403, "forbidden_host, forbidden_origin, forbidden"),
    (405, "method_not_allowed"),
    (408, "request_timeout"),
    (413, "body_too_large"),
    (414, "uri_too_long"),
    (429, "too_many_attempts"),
    (500, "internal"),
    (503, "shutting_down, too_many_connections"),
];

static TEXT: LazyLock<Vec<u8>> = LazyLock::new(|| serde_json::to_vec(&description()).unwrap_or_default());

/// Answers `/openapi.json`.
pub(super) fn openapi(_: &Visit) -> Told {
    Ok(Answer::ready(&TEXT))
}

/// Returns the whole description.
pub(super) fn description() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let error = json!(generator.subschema_for::<Refused<'static>>());
    let mut paths = Map::new();
    for route in &ROUTES {
        let methods = route
            .allow
            .split(", ")
            .map(|method| (method.to_ascii_lowercase(), operation(route, method, &error, &mut generator)));
        paths.insert(route.path.to_owned(), Value::Object(methods.collect()));
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "janitor",
            "description": "The admin port of a daemon that keeps many directories clean.",
            "version": env!("CARGO_PKG_VERSION"),
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": { "token": { "type": "http", "scheme": "bearer" } },
        },
    })
}

fn operation(route: &Route, method: &str, error: &Value, generator: &mut SchemaGenerator) -> Value {
    let mut responses = Map::new();
    for (status, shape) in route.answers {
        let mut answer = json!({ "description": route.about });
        // An answer to HEAD has no body.
        if method != "HEAD" {
            answer["content"] = content(*shape, generator);
        }
        responses.insert(status.to_string(), answer);
    }
    for (status, code) in ALWAYS.iter().chain(route.errors) {
        let entry = responses.entry(status.to_string()).or_insert_with(|| {
            let mut answer = json!({ "description": "" });
            if method != "HEAD" {
                answer["content"] = json!({ "application/json": { "schema": error } });
            }
            answer
        });
        let before = entry["description"].as_str().filter(|text| !text.is_empty());
        entry["description"] = before.map_or_else(|| (*code).to_owned(), |before| format!("{before}, {code}")).into();
    }
    responses.insert("431".to_owned(), json!({ "description": "the head is too large; no JSON" }));
    let captured = route.path.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
    let captured = captured.map(|(name, _)| {
        json!({ "name": name, "in": "path", "required": true, "schema": { "type": "string", "minLength": 1 } })
    });
    let parameters: Vec<Value> = captured.into_iter().chain(route.parameters.iter().map(parameter)).collect();
    let mut operation = json!({
        "summary": route.about,
        "operationId": operation_id(route, method),
        "parameters": parameters,
        "responses": responses,
    });
    if matches!(route.does, Does::Work(_)) {
        // The daemon's own user and root need no token.
        operation["security"] = json!([{}, { "token": [] }]);
    }
    operation
}

/// Returns the id of an operation: `get_cleanup_runs_id`.
fn operation_id(route: &Route, method: &str) -> String {
    let words = route.path.split(|letter: char| !letter.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    std::iter::once(method.to_ascii_lowercase()).chain(words.map(str::to_owned)).collect::<Vec<_>>().join("_")
}

fn parameter(parameter: &Parameter) -> Value {
    let schema = match parameter.kind {
        Kind::Text => json!({ "type": "string" }),
        Kind::Flag => json!({ "type": "boolean" }),
        Kind::Count(most) => json!({ "type": "integer", "minimum": 1, "maximum": most }),
    };
    json!({
        "name": parameter.name, "in": "query", "required": parameter.is_needed, "description": parameter.about,
        "schema": schema,
    })
}

fn content(shape: Shape, generator: &mut SchemaGenerator) -> Value {
    match shape {
        Shape::Json(schema) => json!({ "application/json": { "schema": schema(generator) } }),
        Shape::Text(media_types) => {
            media_types.iter().map(|media_type| ((*media_type).to_owned(), json!({}))).collect()
        }
        Shape::Events(kinds) => {
            let kinds: Map<String, Value> =
                kinds.iter().map(|(name, schema)| ((*name).to_owned(), json!(schema(generator)))).collect();
            json!({ "text/event-stream": { "schema": { "type": "string" }, "x-events": kinds } })
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn references(value: &Value, found: &mut BTreeSet<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(values) => values.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_route_is_described_and_every_reference_leads_somewhere() {
        let text: Value = serde_json::from_slice(&TEXT).expect("JSON");
        let paths = text["paths"].as_object().expect("paths");
        assert_eq!(paths.len(), ROUTES.len());
        let mut ids = BTreeSet::new();
        for route in &ROUTES {
            for method in route.allow.split(", ") {
                let operation = &text["paths"][route.path][method.to_ascii_lowercase()];
                assert!(!operation["responses"]["200"].is_null(), "{method} {}", route.path);
                assert!(ids.insert(operation["operationId"].as_str().expect("an id").to_owned()), "{}", route.path);
                assert_eq!(
                    operation["parameters"].as_array().expect("a list").len(),
                    route.parameters.len() + usize::from(route.path.contains('{'))
                );
            }
        }
        let mut found = BTreeSet::new();
        references(&text, &mut found);
        assert!(found.len() > 20, "{found:?}");
        for reference in found {
            let pointer = reference.strip_prefix('#').expect("into this text");
            assert!(text.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn the_name_of_each_type_is_its_own() {
        let text: Value = serde_json::from_slice(&TEXT).expect("JSON");
        let schemas = text["components"]["schemas"].as_object().expect("schemas");
        // Two types of one name would be told apart by a number.
        let numbered: Vec<_> =
            schemas.keys().filter(|name| name.ends_with(|last: char| last.is_ascii_digit())).collect();
        assert!(numbered.is_empty(), "{numbered:?}");
    }
}
