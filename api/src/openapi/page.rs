//! The description as a page. Nothing on it is loaded from elsewhere, and nothing on it runs.

use axum::http::{HeaderName, header};
use axum::response::{Html, IntoResponse as _, Response};
use maud::{DOCTYPE, Markup, html};
use serde_json::Value;

use super::DOCUMENT;
use crate::call::{Access, Call, Place};
use crate::calls::{self, Section};

/// No script, no frame, no request to anywhere.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'; \
    base-uri 'none'; form-action 'none'";

const STYLE: &str = include_str!("page.css");

/// `GET /docs`.
pub(crate) async fn page() -> Response {
    let policy: (HeaderName, &str) = (header::CONTENT_SECURITY_POLICY, POLICY);
    ([policy], Html(render(&calls::sections()).into_string())).into_response()
}

fn render(sections: &[Section]) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "dsync API" }
                style { (maud::PreEscaped(STYLE)) }
            }
            body {
                nav aria-label="Calls" {
                    h1 { "dsync API" }
                    p { a href="/openapi.json" { "openapi.json" } }
                    @for section in sections {
                        h2 { (section.name) }
                        ul { @for call in &section.calls {
                            li { a href=(format!("#{}", super::operation_id(call))) {
                                (method(call)) " " code { (call.path) }
                            } }
                        } }
                    }
                }
                main {
                    p.intro { "JSON in UTF-8. Send an API key as " code { "Authorization: Bearer sk_…" }
                        ". Every answer carries " code { "X-Request-ID" } "; errors have a " code { "message" }
                        " for people and, where programs care, a " code { "code" } "." }
                    @for section in sections {
                        h2 { (section.name) }
                        @for call in &section.calls { (operation(call)) }
                    }
                    h2 { "Objects" }
                    @for (name, schema) in schemas() { (object(name, schema)) }
                }
            }
        }
    }
}

fn schemas() -> impl Iterator<Item = (&'static String, &'static Value)> {
    DOCUMENT["components"]["schemas"].as_object().into_iter().flatten()
}

fn method(call: &Call) -> Markup {
    html! { span class=(format!("method {}", call.method)) { (call.method.to_uppercase()) } }
}

fn operation(call: &Call) -> Markup {
    let id = super::operation_id(call);
    let shown = &DOCUMENT["paths"][call.path][call.method];
    let good = &shown["responses"][call.status.as_str()];
    let parameters: Vec<_> = call.parameters().collect();
    html! {
        section id=(id) {
            h3 { (method(call)) " " code { (call.path) } }
            p { (call.says) " " (scope(call.access)) }
            @if !parameters.is_empty() {
                table { thead { tr { th { "Parameter" } th { "In" } th { "Type" } th { "" } } } tbody {
                    @for parameter in &parameters {
                        tr {
                            td { code { (parameter.name) } }
                            td { (place(parameter.place)) }
                            td { (kind(&parameter.schema)) }
                            td { (parameter.says) }
                        }
                    }
                } }
            }
            @if let Some(body) = &call.body { h4 { "Body" } (properties(body)) }
            h4 { "Answers " (call.status.as_str()) }
            @if let Some(schema) = good.pointer(&format!("/content/{}/schema", call.kind.replace('/', "~1"))) {
                p { (kind(schema)) }
            }
            @for kind in call.streams { p { "or, if " code { "Accept" } " asks for it, " code { (kind) } } }
        }
    }
}

fn scope(access: Access) -> Markup {
    let scope = match access {
        Access::Anyone => "Needs no key.",
        Access::Read => "Needs a key that may read.",
        Access::Write => "Needs a key with full scope.",
        Access::Audit => "Needs a key that may read or audit.",
    };
    html! { span.scope { (scope) } }
}

const fn place(place: Place) -> &'static str {
    match place {
        Place::Path => "path",
        Place::Query => "query",
        Place::Header => "header",
    }
}

fn object(name: &str, schema: &Value) -> Markup {
    html! {
        section id=(format!("schema-{name}")) {
            h3 { (name) }
            @if let Some(says) = schema["description"].as_str() { p { (says) } }
            (properties(schema))
        }
    }
}

fn properties(schema: &Value) -> Markup {
    let required: Vec<&str> =
        schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let Some(properties) = schema["properties"].as_object() else {
        return html! { p { (kind(schema)) } };
    };
    html! {
        table { thead { tr { th { "Field" } th { "Type" } th { "" } } } tbody {
            @for (name, property) in properties {
                tr {
                    td { code { (name) } @if required.contains(&name.as_str()) { span.required { " required" } } }
                    td { (kind(property)) }
                    td { (property["description"].as_str().unwrap_or_default()) }
                }
            }
        } }
    }
}

/// A schema in a few words.
fn kind(schema: &Value) -> Markup {
    if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
        return html! { a href=(format!("#schema-{name}")) { (name) } };
    }
    for choice in ["oneOf", "anyOf"] {
        if let Some(list) = schema[choice].as_array() {
            return html! { @for (index, one) in list.iter().enumerate() {
                @if index > 0 { " or " } (kind(one))
            } };
        }
    }
    if let Some(constant) = schema.get("const") {
        return html! { code { (constant.to_string()) } };
    }
    if let Some(words) = schema["enum"].as_array() {
        return html! { @for (index, word) in words.iter().enumerate() {
            @if index > 0 { ", " } code { (word.as_str().map_or_else(|| word.to_string(), str::to_owned)) }
        } };
    }
    let name = match &schema["type"] {
        Value::String(name) => name.clone(),
        Value::Array(names) => {
            names.iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" or ")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::Object(_) => "anything".to_owned(),
    };
    match name.as_str() {
        "array" => html! { "list of " (kind(&schema["items"])) },
        "object" if schema["properties"]["data"]["items"].is_object() => {
            html! { "page of " (kind(&schema["properties"]["data"]["items"])) }
        }
        _ => html! { (name) },
    }
}
