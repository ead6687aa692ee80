//! The description against what is really accepted and answered: every exchange of these tests is held
//! against it, so that nothing is said in a test that `/openapi.json` does not tell.

use axum::http::header::CONTENT_TYPE;
use axum::http::{Method, StatusCode};
use serde_json::{Map, Value, json};

use crate::world::{Answer, World};

/// Notes every way in which an exchange is not the one described.
pub(crate) fn check(method: &Method, path: &str, sent: &[u8], answer: &Answer) {
    let (status, text) = (answer.status, &answer.text);
    let Some(call) = call(method, path) else { return };
    let mut wrong = Vec::new();
    if status.is_success()
        && let Some(schema) = call.pointer("/requestBody/content/application~1json/schema")
        && let Ok(sent) = serde_json::from_slice(sent)
    {
        compare(schema, &sent, "request", &mut wrong);
    }
    let Some(described) = call["responses"].get(status.as_str()) else {
        panic!("{method} {path} answered {status}, which is not described: {text}");
    };
    if answer.headers.get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json") {
        let schema = described.pointer("/content/application~1json/schema").unwrap();
        compare(schema, &answer.json(), "answer", &mut wrong);
    }
    assert!(wrong.is_empty(), "{method} {path} {status}: {wrong:#?}");
}

/// The call as it is described. Events of these tests are made up and are not held against anything.
fn call(method: &Method, path: &str) -> Option<&'static Value> {
    let path = path.split('?').next()?;
    if path.starts_with("/events") {
        return None;
    }
    let wanted: Vec<&str> = path.split('/').collect();
    let is_name = |part: &str| part.starts_with('{');
    let fits = |template: &str| {
        let parts: Vec<&str> = template.split('/').collect();
        parts.len() == wanted.len()
            && parts.iter().zip(&wanted).all(|(part, given)| part == given || is_name(part))
    };
    let paths = api::description()["paths"].as_object()?.iter();
    let found = paths.filter(|(template, _)| fits(template));
    let (_, found) = found
        .min_by_key(|(template, _)| template.split('/').filter(|part| is_name(part)).count())?;
    found.get(method.as_str().to_ascii_lowercase())
}

fn compare(schema: &Value, value: &Value, at: &str, wrong: &mut Vec<String>) {
    if let Some(reference) = schema["$ref"].as_str() {
        let pointer = reference.strip_prefix('#').unwrap();
        return compare(api::description().pointer(pointer).unwrap(), value, at, wrong);
    }
    for choice in ["anyOf", "oneOf"] {
        let Some(choices) = schema[choice].as_array() else { continue };
        let tried = choices.iter().map(|one| {
            let mut wrong = Vec::new();
            compare(one, value, at, &mut wrong);
            wrong
        });
        let tried: Vec<Vec<String>> = tried.collect();
        if tried.iter().all(|wrong| !wrong.is_empty()) {
            wrong.extend(tried.into_iter().flatten());
        }
    }
    if schema.get("const").is_some_and(|only| only != value)
        || schema["enum"].as_array().is_some_and(|words| !words.contains(value))
        || !is_of_type(&schema["type"], value)
    {
        wrong.push(format!("{at} is {value}, and described as {schema}"));
    }
    match value {
        Value::Array(items) if schema["items"].is_object() => {
            items
                .iter()
                .for_each(|item| compare(&schema["items"], item, &format!("{at}[]"), wrong));
        }
        Value::Object(fields) => fields_of(schema, fields, at, wrong),
        Value::Array(_) | Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// An object whose fields are described has these and no others.
fn fields_of(schema: &Value, fields: &Map<String, Value>, at: &str, wrong: &mut Vec<String>) {
    for required in schema["required"].as_array().into_iter().flatten() {
        if !fields.contains_key(required.as_str().unwrap()) {
            wrong.push(format!("{at} has no {required}, which is described as required"));
        }
    }
    let Some(described) = schema["properties"].as_object() else { return };
    for (name, value) in fields {
        match described.get(name) {
            Some(schema) => compare(schema, value, &format!("{at}.{name}"), wrong),
            None if schema["additionalProperties"].is_null() => {
                wrong.push(format!("{at}.{name} is not described"));
            }
            None => {}
        }
    }
}

fn is_of_type(described: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str() {
        Some("null") => value.is_null(),
        Some("boolean") => value.is_boolean(),
        Some("string") => value.is_string(),
        Some("integer") => value.is_u64() || value.is_i64(),
        Some("number") => value.is_number(),
        Some("array") => value.is_array(),
        Some("object") => value.is_object(),
        Some(_) | None => false,
    };
    match described.as_array() {
        Some(names) => names.iter().any(is),
        None => described.is_null() || is(described),
    }
}

#[tokio::test]
async fn what_older_clients_and_people_at_a_shell_send_is_described_too() {
    let world = World::new();
    let old = json!({ "name": "Acme", "domains": ["acme.example"] });
    let organization = world.post("/organizations", old).await.json();
    assert_eq!(organization["domains"][0]["state"], "verified");
    let id = organization["id"].as_str().unwrap();
    let directory = world.directory(id, "Okta").await;
    let settings = format!("/directories/{directory}/scim_settings");
    let debugged = json!({ "debug_requests": true, "patch_group_response": "204" }).to_string();
    let shown = world.send(Method::PATCH, &settings, debugged).await.json();
    assert_eq!(shown["debug_requests"], true);
    assert!(shown["debug_requests_until"].is_string());
    let shown = world.get(&settings).await.json();
    assert_eq!(shown["debug_requests"], true);

    let hooks = json!({ "endpoint_url": "https://app.example/hooks" });
    let hooks = world.post("/webhook_endpoints", hooks).await.json();
    let path = format!("/webhook_endpoints/{}/deliveries", hooks["id"].as_str().unwrap());
    let status = call(&Method::GET, &path).unwrap()["parameters"].as_array().unwrap().iter();
    let status = status.filter(|parameter| parameter["name"] == "status");
    let status = status.map(|parameter| parameter["schema"].clone()).next().unwrap();
    // A number in a query is read as one where the description has a number.
    for value in [json!("delivered"), json!("failed"), json!("exhausted"), json!(503), json!(600)] {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let is_accepted =
            world.get(&format!("{path}?status={text}")).await.status == StatusCode::OK;
        let mut wrong = Vec::new();
        compare(&status, &value, "status", &mut wrong);
        let bounds = status["anyOf"].as_array().into_iter().flatten();
        let is_within = |bounds: &Value| {
            let number = value.as_i64();
            number.is_none_or(|number| {
                (bounds["minimum"].as_i64()..=bounds["maximum"].as_i64()).contains(&Some(number))
            })
        };
        let is_described =
            wrong.is_empty() && bounds.filter(|one| !one["minimum"].is_null()).all(is_within);
        assert_eq!(is_accepted, is_described, "{text}: {wrong:?}");
    }
}
