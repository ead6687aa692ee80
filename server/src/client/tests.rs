use std::collections::BTreeMap;

use axum::extract::Query;
use axum::response::IntoResponse as _;
use axum::routing::{get, post};
use axum::{Json, Router};
use http::{HeaderMap, StatusCode};

use super::*;
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
    let answer = connection.post("/organizations", &json!({"name": "Acme"})).await.unwrap();
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
    let error = connection.post("/organizations", &json!({})).await.unwrap_err();
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

#[tokio::test]
async fn a_deletion_needs_no_body_and_is_refused_like_any_call() {
    let gone = axum::routing::delete(|| async { StatusCode::NO_CONTENT });
    let connection = Connection::new(&server(Router::new().route("/here", gone)).await).unwrap();
    connection.delete("/here").await.unwrap();
    let error = connection.delete("/there").await.unwrap_err().to_string();
    assert!(error.starts_with("DELETE /there: 404 Not Found"), "{error}");
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
fn a_short_directory_type_becomes_its_slug() {
    assert_eq!(full_slug("okta"), "okta scim v2.0");
    assert_eq!(full_slug("okta scim v2.0"), "okta scim v2.0");
}
