//! The log of what an identity provider sent, for whoever sets it up.

use serde_json::{Value, json};
use tests::scim::{patch_body, user_body};
use tests::server::eventually;
use tests::{Directory, Server};

async fn server() -> (tempfile::TempDir, Server, Directory) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path());
    let directory = server.api().directory("generic scim v2.0", "Requests").await;
    (folder, server, directory)
}

/// What the request log of a directory says last, when it says it.
async fn last_request(server: &Server, directory: &Directory, status: u16) -> Value {
    let (api, path) = (server.api(), format!("/directories/{}/requests?limit=1", directory.id));
    eventually("the request is noted", || async {
        let page = api.get(&path).await;
        let last = page["data"][0].clone();
        (last["status"] == status).then_some(last)
    })
    .await
}

#[tokio::test]
async fn the_request_log_says_what_came_what_became_of_it_and_what_was_tolerated() {
    let (_folder, server, directory) = server().await;
    let id = directory.user("ada@x.test").await;
    let path = format!("/Users/{id}");
    let patch = patch_body(&json!([{ "op": "Replace", "path": "active", "value": "False" }]));
    directory.send("PATCH", &format!("{path}?aadOptscim062020"), Some(patch)).await.expect(200);
    let noted = last_request(&server, &directory, 200).await;
    assert_eq!(
        (&noted["method"], &noted["path"], &noted["events"]),
        (&json!("PATCH"), &json!(path), &json!(1))
    );
    let expected = json!(["unknown_parameter", "op_in_capitals", "boolean_as_text"]);
    assert_eq!(noted["tolerated"], expected);
    assert!(noted["id"].as_str().is_some_and(|id| id.starts_with("req_")), "{noted}");

    let home =
        json!([{ "op": "add", "path": "phoneNumbers[type eq \"home\"].value", "value": "1" }]);
    directory.patch(&path, home.clone()).await.expect(200);
    directory.patch(&path, home).await.expect(200);
    let probe = format!("/Users?filter=id+eq+%22{id}%22+and+manager+eq+%22{id}%22");
    directory.send("GET", &probe, None).await.expect(200);
    let noted = eventually("all are noted", || async {
        let path = format!("/directories/{}/requests?limit=3", directory.id);
        let page = server.api().get(&path).await["data"].clone();
        (page[0]["method"] == "GET").then_some(page)
    });
    let noted = noted.await;
    let expected = json!(["plus_for_space", "unqualified_extension", "reference_as_value"]);
    assert_eq!(noted[0]["tolerated"], expected);
    let upserts = [&noted[2], &noted[1]].map(|noted| noted["tolerated"].clone());
    assert_eq!(upserts, [json!(["value_path_upsert"]), json!([])], "there is one the second time");

    let wrong = patch_body(&json!([{ "op": "replace", "path": "active", "value": "maybe" }]));
    directory.send("PATCH", &path, Some(wrong)).await.expect(400);
    let noted = last_request(&server, &directory, 400).await;
    assert_eq!((&noted["scimType"], &noted["events"]), (&json!("invalidValue"), &json!(0)));
    let detail = noted["detail"].as_str().unwrap_or_default();
    assert!(
        detail.contains("\"active\" must be true or false") && detail.contains("maybe"),
        "{detail}"
    );
    assert!(!noted.to_string().contains(&directory.token[..12]), "{noted}");

    for (method, path, status) in
        [("GET", "/scim/Users", 404), ("DELETE", "/Users", 405), ("GET", "/Me", 501)]
    {
        directory.send(method, path, None).await.expect_error(status, None);
        let noted = last_request(&server, &directory, status).await;
        assert_eq!((&noted["method"], &noted["path"]), (&json!(method), &json!(path)), "{noted}");
    }

    assert!(
        server.api().metric("projector_known_total").await > 0.0,
        "it reads what it has sealed"
    );
    let metrics = reqwest::get(format!("{}/metrics", server.base())).await.expect("metrics");
    let metrics = metrics.text().await.expect("a text");
    assert!(metrics.contains("ingest_tolerated_total{what=\"op_in_capitals\"} 1"), "{metrics}");
}

#[tokio::test]
async fn a_request_that_nobody_is_let_in_with_is_noted_with_the_reason_for_those_who_may_read_it() {
    let (_folder, server, directory) = server().await;
    let other = server.api().directory("generic scim v2.0", "Other").await;
    let elsewhere = directory.with_endpoint(format!("{}/scim/v2.0/nowhere", server.base()));
    let strange = directory.with_token(&other.token);
    let told = strange.send("GET", "/Users", None).await;
    told.expect_error(401, None);
    assert_eq!(elsewhere.send("GET", "/Users", None).await.body, told.body);
    let noted = last_request(&server, &directory, 401).await;
    assert_eq!((&noted["method"], &noted["path"]), (&json!("GET"), &json!("/Users")));
    assert!(noted["detail"].as_str().is_some_and(|detail| detail.contains("revoked")), "{noted}");
    assert!(!noted.to_string().contains(&other.token[..12]), "{noted}");

    // With headers of its own, it carries no token.
    let accept = [("accept", "application/scim+json")];
    let bare =
        directory.send_headers("DELETE", "/Users/7", None, &accept).await.expect("an answer");
    bare.expect_error(401, None);
    eventually("the one without a token is noted", || async {
        let noted = last_request(&server, &directory, 401).await;
        let detail = noted["detail"].as_str().unwrap_or_default().to_owned();
        (noted["method"] == "DELETE" && detail.starts_with("No bearer token")).then_some(())
    })
    .await;
    let page = server.api().get(&format!("/directories/{}/requests", other.id)).await;
    assert_eq!(page["data"], json!([]), "whose token it was learns nothing");
}

#[tokio::test]
async fn bodies_are_kept_without_secrets_while_a_directory_is_looked_into_and_not_before_or_after()
{
    let (_folder, server, directory) = server().await;
    let settings = format!("/directories/{}/scim_settings", directory.id);
    let debug = async |on: bool| {
        let change = json!({ "debug_requests": on });
        let (status, changed) = server.api().send("PATCH", &settings, Some(&change)).await;
        assert_eq!((status, &changed["debug_requests"]), (200, &json!(on)));
        assert_eq!(changed["debug_requests_until"].is_string(), on, "it ends by itself: {changed}");
    };
    let user = |name: &str| {
        let mut user = user_body(name);
        user["password"] = json!("hunter2");
        user
    };
    assert_eq!(server.api().get(&settings).await["debug_requests"], false);
    directory.send("POST", "/Users", Some(user("before@x.test"))).await.expect(201);
    let noted = last_request(&server, &directory, 201).await;
    assert_eq!((noted.get("request_body"), noted.get("response_body")), (None, None));

    debug(true).await;
    directory.send("POST", "/Users", Some(user("BEFORE@x.test"))).await.expect(409);
    let noted = last_request(&server, &directory, 409).await;
    let sent = noted["request_body"].as_str().expect("it is kept");
    assert!(sent.contains("BEFORE@x.test") && sent.contains(r#""password":"***""#), "{sent}");
    assert!(!noted.to_string().contains("hunter2"), "{noted}");
    let told = noted["response_body"].as_str().expect("it is kept");
    assert!(told.contains(r#""scimType":"uniqueness""#), "{told}");
    directory
        .send_raw("POST", "/Users", Some(b"hunter2".to_vec()), "application/json")
        .await
        .expect("an answer");
    let noted = last_request(&server, &directory, 400).await;
    assert_eq!(noted["request_body"], "(7 bytes that are no JSON object)");

    debug(false).await;
    let page = server.api().get(&format!("/directories/{}/requests", directory.id)).await;
    assert!(!page.to_string().contains("_body"), "what was kept has gone: {page}");
    directory.send("POST", "/Users", Some(user("after@x.test"))).await.expect(201);
    let noted = last_request(&server, &directory, 201).await;
    assert_eq!(noted.get("request_body"), None);
}
