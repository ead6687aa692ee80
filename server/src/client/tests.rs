use std::collections::BTreeMap;

use axum::extract::Query;
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};

use super::*;
use serde_json::json;

use crate::settings::resolve;

/// A server that answers with these routes, and the settings that lead to it.
async fn server(routes: Router) -> Settings {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    #[expect(clippy::disallowed_methods, reason = "it ends with the runtime of the test")]
    tokio::spawn(async move { axum::serve(listener, routes).await });
    settings(&address.to_string())
}

fn settings(listen: &str) -> Settings {
    // The binary does this once at its start.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let flags = BTreeMap::from([("listen", listen.to_owned()), ("api_key", "sk_1".to_owned())]);
    resolve(&flags, &BTreeMap::new(), None).unwrap().settings
}

#[tokio::test]
async fn a_call_sends_the_key_and_the_body() {
    let echo = |headers: HeaderMap, Json(body): Json<Value>| async move {
        let key = headers["authorization"].to_str().unwrap().to_owned();
        (StatusCode::CREATED, Json(json!({"key": key, "body": body})))
    };
    let settings = server(Router::new().route("/organizations", post(echo))).await;
    let connection = Connection::new(&settings).unwrap();
    let create = planned("org create Acme");
    let answer = connection.send(&create).await.unwrap();
    assert_eq!(answer, json!({"key": "Bearer sk_1", "body": {"name": "Acme"}}));
}

#[tokio::test]
async fn a_refusal_is_told_with_its_reason() {
    let refuse = || async {
        let body = json!({"message": "Validation failed.", "errors": [{"code": "required", "field": "name"}]});
        (StatusCode::UNPROCESSABLE_ENTITY, [("x-request-id", "req_1")], Json(body)).into_response()
    };
    let routes = Router::new()
        .route("/organizations", post(refuse))
        .route("/events", get(|| async { StatusCode::UNAUTHORIZED }))
        .route("/page", get(|| async { "<html>" }));
    let connection = Connection::new(&server(routes).await).unwrap();
    let error = connection.send(&planned("org create Acme")).await.unwrap_err();
    let expected = "POST /organizations: 422 Unprocessable Entity: Validation failed. (name: required) (request req_1)";
    assert_eq!(error.to_string(), expected);
    let error = connection.get("/events", &[]).await.unwrap_err().to_string();
    assert!(error.contains("(401)") && error.contains("DSYNC_API_KEY"), "{error}");
    let error = connection.get("/page", &[]).await.unwrap_err().to_string();
    assert!(error.contains("is it a dsync server? It said: <html>"), "{error}");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_asked_after() {
    // A port that was free a moment ago.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    drop(listener);
    let connection = Connection::new(&settings(&address)).unwrap();
    let error = connection.get("/events", &[]).await.unwrap_err().to_string();
    assert!(error.contains("Connection refused") && error.contains("is `dsync serve` running?"));
}

#[tokio::test]
async fn an_export_walks_every_page_and_names_a_start_only_once() {
    let page = |Query(query): Query<BTreeMap<String, String>>| async move {
        let (event, next) = match query.get("after").map(String::as_str) {
            None if query.contains_key("range_start") => ("event_1", json!("event_1")),
            Some("event_1") if !query.contains_key("range_start") => ("event_2", Value::Null),
            _ => return StatusCode::UNPROCESSABLE_ENTITY.into_response(),
        };
        let list = json!({"data": [{"id": event}], "list_metadata": {"after": next}});
        Json(list).into_response()
    };
    let settings = server(Router::new().route("/events", get(page))).await;
    let since = "2026-03-02T00:00:00.000Z".parse().unwrap();
    let connection = Connection::new(&settings).unwrap();
    events::export(&connection, None, Some(since)).await.unwrap();
}

#[test]
fn an_object_is_shown_as_aligned_pairs() {
    let object = json!({
        "object": "directory", "id": "directory_1", "domain": null,
        "scim": {"endpoint": "https://a/b", "bearer_token": "t"}, "events": ["a", "b"],
    });
    let shown = show::pairs(&object);
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines.contains(&"scim.bearer_token  t") && lines.contains(&"events             a,b"));
    assert!(!shown.contains("domain") && !shown.contains("object"), "{shown}");
}

#[test]
fn objects_in_a_list_are_numbered() {
    let object = json!({"client_id": "c", "secrets": [{"id": "1"}, {"id": "2"}]});
    let lines = show::pairs(&object);
    let lines: Vec<&str> = lines.lines().map(str::trim_end).collect();
    assert_eq!(lines, ["client_id     c", "secrets.1.id  1", "secrets.2.id  2"]);
}

#[test]
fn what_came_from_outside_is_shown_without_control_characters() {
    let object = json!({"custom_attributes": {"a\u{7}": "x\nid  forged", "b": ["\u{1b}]0;t"]}});
    let shown = show::pairs(&object);
    assert_eq!(shown.lines().count(), 2, "{shown}");
    assert!(!shown.contains(['\u{7}', '\u{1b}']), "{shown}");
}

#[tokio::test]
async fn a_deletion_needs_no_body_and_is_refused_like_any_call() {
    let gone = axum::routing::delete(|| async { StatusCode::NO_CONTENT });
    let key = format!("api_key_{ID}");
    let routes = Router::new().route(&format!("/api_keys/{key}"), gone);
    let connection = Connection::new(&server(routes).await).unwrap();
    let delete = format!("key delete {key}");
    assert_eq!(connection.send(&planned(&delete)).await.unwrap(), Value::Null);
    let other = planned(&format!("endpoint delete we_{ID}"));
    let error = connection.send(&other).await.unwrap_err().to_string();
    assert!(
        error.starts_with(&format!("DELETE /webhook_endpoints/we_{ID}: 404 Not Found")),
        "{error}"
    );
}

#[test]
fn an_event_is_one_line_with_the_names_people_know() {
    let event = json!({
        "created_at": "2026-03-02T10:15:30.123Z", "event": "dsync.group.user_added",
        "data": {"directory_id": "directory_1", "user": {"username": "ann\u{1b}@a.example"}, "group": {"name": "Eng"}},
    });
    let expected = "2026-03-02T10:15:30.123Z  dsync.group.user_added    directory_1  ann\u{fffd}@a.example in Eng";
    assert_eq!(show::event(&event), expected);
}

#[test]
fn what_is_not_mentioned_is_not_sent() {
    let update = planned(&format!("org update org_{ID} --name New"));
    assert_eq!(update.body, Some(json!({"name": "New"})));
    let update = planned(&format!("endpoint update we_{ID} --status disabled --ed25519 true"));
    assert_eq!(update.body, Some(json!({"status": "disabled", "ed25519": true})));
    let update = planned(&format!("endpoint update we_{ID} --no-client-certificate"));
    assert_eq!(update.body, Some(json!({"client_certificate": null})));
    let update = planned(&format!("directory update directory_{ID} --own-brake default"));
    assert_eq!(update.body, Some(json!({"brake": null})));
    let map = json!({"attribute_map": null});
    let update = planned(&format!("directory update directory_{ID} --attribute-map null"));
    assert_eq!(update.body, Some(map.clone()), "it is taken away");
    assert_eq!(planned(&format!("directory preview directory_{ID} null")).body, Some(map));
    let update = planned(&format!("directory update directory_{ID} --own-brake off"));
    assert_eq!(update.body, Some(json!({"brake": "off"})));
    let set = "directory settings DIR --set unknown_member=pending --set debug_requests=true";
    let body = planned(&set.replace("DIR", &format!("directory_{ID}"))).body;
    assert_eq!(body, Some(json!({"unknown_member": "pending", "debug_requests": true})));
}

#[test]
fn a_certificate_comes_from_files_and_its_key_never_shows() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let (chain, key) = (file("chain.pem", "CHAIN"), file("key.pem", "hunter2"));
    let both = format!("--client-certificate {chain} --client-key {key}");
    for line in [
        format!("endpoint create https://a.example {both}"),
        format!("endpoint update we_{ID} {both}"),
    ] {
        let body = planned(&line).body.unwrap();
        assert_eq!(body["client_certificate"], "CHAIN");
        assert_eq!(body["client_certificate_key"], "hunter2");
        let words = std::iter::once("dsync").chain(line.split(' ')).map(std::ffi::OsString::from);
        let command = format!("{:?}", crate::cli::parse(words).unwrap().cli.command);
        assert!(!command.contains("hunter2"), "{command}");
    }
    for line in [format!("--client-certificate {chain}"), format!("--client-key {key}")] {
        let line = format!("dsync endpoint create https://a.example {line}");
        let words = line.split(' ').map(std::ffi::OsString::from);
        assert!(crate::cli::parse(words).is_err(), "they come together: {line}");
    }
}

#[test]
fn a_short_directory_type_becomes_its_slug() {
    assert_eq!(plan::full_slug("okta"), "okta scim v2.0");
    assert_eq!(plan::full_slug("okta scim v2.0"), "okta scim v2.0");
}

#[test]
fn a_list_is_a_table_without_control_characters() {
    let list =
        json!({"data": [{"id": "1", "name": "A\u{1b}", "events": ["a", "b"]}, {"id": "22"}]});
    assert_eq!(
        show::table(&list, &["id", "name", "events"]),
        "ID  NAME  EVENTS\n1   A\u{fffd}    a,b\n22"
    );
}

/// A command line for each call. `_` stands for what an id has behind its prefix.
const COMMANDS: &[&str] = &[
    "org create Acme",
    "org list --search a",
    "org get org__",
    "org get --external-id a/b",
    "org update org__ --name New",
    "org delete org__",
    "directory create --organization org__ --name N",
    "directory list --organization org__",
    "directory get directory__",
    "directory delete directory__",
    "directory release directory__",
    "directory update directory__ --own-brake 20%,1h,10",
    "directory requests directory__",
    "directory update directory__ --inactive-users delete",
    "directory preview directory__ {}",
    "directory roles directory__",
    "directory roles directory__ --set {}",
    "directory settings directory__",
    "directory settings directory__ --set unknown_member=pending",
    "directory token create directory__",
    "directory token create directory__ --overlap 60",
    "directory token list directory__",
    "directory token revoke directory__ directory_token__",
    "directory oauth show directory__",
    "directory oauth update directory__ --token-lifetime 3600",
    "directory oauth secret create directory__",
    "directory oauth secret delete directory__ directory_token__",
    "host-name create scim.acme.example --organization org__",
    "host-name list --directory directory__",
    "host-name get host_name__",
    "host-name delete host_name__",
    "portal-link create org__ --return-url https://app.example",
    "portal-link list --organization org__",
    "portal-link revoke portal_link__",
    "user list --directory directory__ --email a@b.example",
    "user list --group directory_group__",
    "user get directory_user__",
    "group list --user directory_user__",
    "group get directory_group__",
    "event get event__",
    "audit events --user directory_user__ --format csv",
    "audit admin-events --action api_key.created --organization org__ --format csv",
    "audit verify",
    "endpoint create https://a.example",
    "endpoint list",
    "endpoint get we__",
    "endpoint update we__ --url https://b.example",
    "endpoint delete we__",
    "endpoint rotate-secret we__ --overlap 60",
    "endpoint deliveries we__ --status failed --since 2026-03-02",
    "endpoint test we__",
    "endpoint replay start we__ --from 2026-03-02T10:15:30.123Z --directory directory__",
    "endpoint replay list we__",
    "endpoint replay get we__ replay__",
    "endpoint replay cancel we__ replay__",
    "key create N --organization org__",
    "key list",
    "key delete api_key__",
    "signing-key list",
    "signing-key rotate --compromised",
    "signing-key jwks",
];

#[test]
fn there_is_a_command_for_every_call_of_the_api() {
    let mut sent = std::collections::BTreeSet::from([events::CALL.to_owned()]);
    for line in COMMANDS {
        let request = planned(&line.replace("__", &format!("_{ID}")));
        sent.insert(format!("{} {}", request.method, request.call));
        assert!(!request.path().contains(['{', '}']), "{line}");
    }
    let mut described = std::collections::BTreeSet::new();
    for (path, methods) in api::description()["paths"].as_object().unwrap() {
        let methods = methods.as_object().unwrap().keys();
        described.extend(methods.map(|method| format!("{} {path}", method.to_uppercase())));
    }
    assert_eq!(sent, described);
}

/// What an id may have behind its prefix.
const ID: &str = "00000000000000000000000000";

fn planned(line: &str) -> Request {
    let words = std::iter::once("dsync").chain(line.split(' ')).map(std::ffi::OsString::from);
    let parsed = crate::cli::parse(words).unwrap_or_else(|error| panic!("{line}: {error}"));
    plan::plan(parsed.cli.command).unwrap()
}
