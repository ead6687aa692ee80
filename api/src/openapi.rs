//! `/openapi.json`: the description of every call (OpenAPI 3.1), made from what serves it. `/docs` shows it
//! to people.

mod page;

use std::sync::LazyLock;

use axum::Json;
use axum::http::StatusCode;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::call::{Access, Call, Place};
use crate::calls;
pub(crate) use page::page;

static DOCUMENT: LazyLock<Value> = LazyLock::new(document);

/// `GET /openapi.json`.
pub(crate) async fn show() -> Json<&'static Value> {
    Json(&DOCUMENT)
}

/// The description itself.
#[must_use]
pub fn description() -> &'static Value {
    &DOCUMENT
}

fn document() -> Value {
    let settings = SchemaSettings::draft2020_12().for_serialize().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut generator = settings.into_generator();
    let mut paths = Map::new();
    let mut tags = Vec::new();
    for section in calls::sections() {
        tags.push(json!({ "name": section.name }));
        for call in section.calls {
            let operation = operation(&call, section.name, &mut generator);
            let path = paths.entry(call.path).or_insert_with(|| json!({}));
            path[call.method] = operation;
        }
    }
    let mut schemas = generator.take_definitions(true);
    schemas.values_mut().for_each(leave_out_what_is_not_there);
    schemas.insert("Error".to_owned(), error_schema());
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "dsync",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Directory sync: organizations, directories, users, groups, events and webhooks.",
            "license": { "name": "Apache-2.0", "identifier": "Apache-2.0" },
        },
        "tags": tags,
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": { "key": { "type": "http", "scheme": "bearer" } },
        },
        "security": [{ "key": [] }],
    })
}

/// What an answer may lack is left out where it is not there, and never `null`; a schema that follows from an `Option`
/// says both.
fn leave_out_what_is_not_there(schema: &mut Value) {
    let required = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
    let is_required = |name: &str| required.iter().any(|one| one == name);
    let properties = schema.get_mut("properties").and_then(Value::as_object_mut);
    for (name, property) in properties.into_iter().flatten() {
        if is_required(name) {
            continue;
        }
        if let Some(types) = property.get_mut("type").and_then(Value::as_array_mut) {
            types.retain(|name| name != "null");
        }
        if let Some(choices) = property.get_mut("anyOf").and_then(Value::as_array_mut) {
            choices.retain(|choice| choice["type"] != "null");
        }
    }
}

fn operation(call: &Call, section: &str, generator: &mut SchemaGenerator) -> Value {
    let parameters: Vec<Value> = call
        .parameters()
        .map(|parameter| {
            json!({
                "name": parameter.name,
                "in": match parameter.place {
                    Place::Path => "path",
                    Place::Query => "query",
                    Place::Header => "header",
                },
                "required": parameter.place == Place::Path,
                "description": parameter.says,
                "schema": parameter.schema,
            })
        })
        .collect();
    let mut operation = json!({
        "operationId": operation_id(call),
        "summary": call.says,
        "tags": [section],
        "parameters": parameters,
        "responses": responses(call, generator),
    });
    if let Some(body) = &call.body {
        let is_needed = call.method != "post" || body["required"] != json!([]);
        operation["requestBody"] =
            json!({ "required": is_needed, "content": { "application/json": { "schema": body } } });
    }
    if call.access == Access::Anyone {
        operation["security"] = json!([]);
    }
    operation
}

/// `get_directories_id_tokens`: unique, and the same as long as the path is.
fn operation_id(call: &Call) -> String {
    let words =
        call.path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(call.method.to_owned(), |id, word| id + "_" + word)
}

fn responses(call: &Call, generator: &mut SchemaGenerator) -> Value {
    let mut responses = Map::new();
    let mut good = json!({ "description": reason(call.status) });
    if let Some(answer) = call.answer {
        good["content"][call.kind] = json!({ "schema": answer(generator) });
    }
    for kind in call.streams {
        good["content"][*kind] = json!({ "schema": { "type": "string" } });
    }
    responses.insert(call.status.as_str().to_owned(), good);
    for status in refusals(call) {
        let error = json!({ "schema": { "$ref": "#/components/schemas/Error" } });
        let mut refusal =
            json!({ "description": reason(status), "content": { "application/json": error } });
        if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            refusal["headers"]["Retry-After"] = json!({ "schema": { "type": "integer" } });
        }
        responses.insert(status.as_str().to_owned(), refusal);
    }
    Value::Object(responses)
}

fn reason(status: StatusCode) -> &'static str {
    status.canonical_reason().unwrap_or_default()
}

/// The ways in which a call may say no.
fn refusals(call: &Call) -> Vec<StatusCode> {
    let mut refusals = vec![StatusCode::SERVICE_UNAVAILABLE, StatusCode::INSUFFICIENT_STORAGE];
    if call.access != Access::Anyone {
        refusals.extend([
            StatusCode::UNAUTHORIZED,
            StatusCode::FORBIDDEN,
            StatusCode::NOT_FOUND,
            StatusCode::UNPROCESSABLE_ENTITY,
            StatusCode::TOO_MANY_REQUESTS,
        ]);
    }
    if call.method != "get" {
        refusals.extend([
            StatusCode::BAD_REQUEST,
            StatusCode::CONFLICT,
            StatusCode::PAYLOAD_TOO_LARGE,
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ]);
    }
    refusals
}

fn error_schema() -> Value {
    json!({
        "type": "object",
        "required": ["message"],
        "properties": {
            "message": { "type": "string", "description": "For people." },
            "code": { "type": "string", "description": "For programs." },
            "entity_id": { "type": "string", "description": "What could not be found." },
            "errors": { "type": "array", "items": {
                "type": "object",
                "required": ["code"],
                "properties": {
                    "code": { "type": "string" },
                    "field": { "type": "string" },
                    "message": { "type": "string" },
                },
            } },
        },
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_call_is_described_once_and_every_reference_leads_somewhere() {
        let calls: Vec<Call> =
            calls::sections().into_iter().flat_map(|section| section.calls).collect();
        let ids: BTreeSet<String> = calls.iter().map(operation_id).collect();
        assert_eq!(ids.len(), calls.len());
        for call in &calls {
            assert!(call.says.ends_with('.'), "{} {}: {}", call.method, call.path, call.says);
        }
        let mut references = Vec::new();
        collect(&DOCUMENT, &mut references);
        assert!(!references.is_empty());
        for reference in references {
            let pointer = reference.strip_prefix('#').unwrap();
            assert!(DOCUMENT.pointer(pointer).is_some(), "{reference}");
        }
    }

    #[test]
    fn what_an_answer_may_leave_out_is_never_null_in_it() {
        let mut schemas: Vec<(String, &Value)> = Vec::new();
        for (name, schema) in DOCUMENT["components"]["schemas"].as_object().unwrap() {
            schemas.push((name.clone(), schema));
        }
        for (path, methods) in DOCUMENT["paths"].as_object().unwrap() {
            let responses = methods.as_object().unwrap().values();
            for response in
                responses.flat_map(|call| call["responses"].as_object().unwrap().values())
            {
                if let Some(schema) = response.pointer("/content/application~1json/schema") {
                    schemas.push((path.clone(), schema));
                }
            }
        }
        let mut wrong = Vec::new();
        for (name, schema) in schemas {
            optional_and_null(schema, &name, &mut wrong);
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }

    fn optional_and_null(schema: &Value, at: &str, wrong: &mut Vec<String>) {
        let is_null = |schema: &Value| schema["type"] == "null";
        for (name, property) in schema["properties"].as_object().into_iter().flatten() {
            let required = schema["required"].as_array();
            let is_required = required.is_some_and(|names| names.iter().any(|one| one == name));
            let types = property["type"].as_array();
            let choices = property["anyOf"].as_array();
            let may_be_null = types.is_some_and(|types| types.iter().any(|one| one == "null"))
                || choices.is_some_and(|choices| choices.iter().any(is_null));
            if may_be_null && !is_required {
                wrong.push(format!("{at}.{name}"));
            }
            optional_and_null(property, &format!("{at}.{name}"), wrong);
        }
        if let Some(items) = schema.get("items") {
            optional_and_null(items, at, wrong);
        }
    }

    fn collect(value: &Value, references: &mut Vec<String>) {
        match value {
            Value::Object(object) => {
                let reference = object.get("$ref").and_then(Value::as_str);
                references.extend(reference.map(str::to_owned));
                object.values().for_each(|value| collect(value, references));
            }
            Value::Array(list) => list.iter().for_each(|value| collect(value, references)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}
