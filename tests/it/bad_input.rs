//! Whatever a client sends, it gets a SCIM error with the right status, and nothing changes.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{Directory, Server};

/// Method, path, body, and the status and scimType of the answer.
type BadBody = (&'static str, &'static str, Vec<u8>, u16, Option<&'static str>);

#[tokio::test(flavor = "multi_thread")]
async fn bad_bodies_are_refused_and_change_nothing() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let directory = server.api().directory("generic scim v2.0", "Acme").await;
    let user = directory.user("ada@acme.example").await;
    let before = directory.send("GET", "/Users", None).await.expect(200).body;

    let deep = format!("{}1{}", r#"{"a":"#.repeat(70), "}".repeat(70));
    let large = json!({ "userName": "x", "title": "t".repeat(2 * 1024 * 1024) }).to_string();
    let long = json!({ "userName": "x".repeat(1_025) }).to_string();
    let cases: [BadBody; 10] = [
        ("POST", "/Users", b"{not json".to_vec(), 400, Some("invalidSyntax")),
        ("POST", "/Users", b"[]".to_vec(), 400, Some("invalidSyntax")),
        ("POST", "/Users", b"\xff\xfe".to_vec(), 400, Some("invalidSyntax")),
        ("POST", "/Users", deep.into_bytes(), 400, Some("invalidSyntax")),
        ("POST", "/Users", br#"{"userName":7}"#.to_vec(), 400, Some("invalidValue")),
        ("POST", "/Users", br#"{"displayName":"no name"}"#.to_vec(), 400, Some("invalidValue")),
        (
            "POST",
            "/Users",
            br#"{"userName":"x","emails":"a@b"}"#.to_vec(),
            400,
            Some("invalidValue"),
        ),
        ("POST", "/Users", large.into_bytes(), 413, None),
        ("POST", "/Users", long.into_bytes(), 400, Some("invalidValue")),
        ("POST", "/Groups", br#"{"members":[]}"#.to_vec(), 400, Some("invalidValue")),
    ];
    for (method, path, body, status, scim_type) in cases {
        let answer = directory.send_raw(method, path, Some(body), "application/scim+json").await;
        answer.unwrap().expect_error(status, scim_type);
    }
    let form = directory.send_raw("POST", "/Users", Some(b"a=b".to_vec()), "text/plain").await;
    form.unwrap().expect_error(415, None);

    bad_patches(&directory, &user).await;
    assert_eq!(directory.send("GET", "/Users", None).await.expect(200).body, before);
}

async fn bad_patches(directory: &Directory, user: &str) {
    let half = json!([{ "op": "replace", "path": "displayName", "value": "CHANGED" },
        { "op": "replace", "path": "nosuch[", "value": "x" }]);
    let cases: [(Value, u16, Option<&str>); 6] = [
        (half, 400, Some("invalidPath")),
        (json!([{ "op": "remove" }]), 400, Some("noTarget")),
        (
            json!([{ "op": "frobnicate", "path": "title", "value": "x" }]),
            400,
            Some("invalidSyntax"),
        ),
        (json!([]), 400, Some("invalidSyntax")),
        (json!([{ "op": "remove", "path": "userName" }]), 400, Some("mutability")),
        (
            json!([{ "op": "replace", "path": "active", "value": "perhaps" }]),
            400,
            Some("invalidValue"),
        ),
    ];
    for (operations, status, scim_type) in cases {
        let answer = directory.patch(&format!("/Users/{user}"), operations.clone()).await;
        assert_eq!(answer.status, status, "{operations}: {}", answer.body);
        if operations[0]["path"] != "userName" {
            answer.expect_error(status, scim_type);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_full_of_values_for_one_attribute_holds_nobody_up() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let directory = server.api().directory("generic scim v2.0", "Acme").await;
    let user = directory.user("ada@acme.example").await;
    let values: Vec<_> = (0..1_000).map(|at| json!({ "value": format!("{at}") })).collect();
    let add = json!({ "op": "add", "path": "roles", "value": values });
    let path = format!("/Users/{user}");
    let answer = directory.patch(&path, vec![add; 119].into());
    let answer = tokio::time::timeout(Duration::from_secs(8), answer).await.expect("in time");
    assert_eq!(answer.expect(200).body["roles"].as_array().map(Vec::len), Some(1_000));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_queries_and_unknown_places_are_refused() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let directory = server.api().directory("generic scim v2.0", "Acme").await;
    let long = format!("/Users?filter=userName%20eq%20%22{}%22", "x".repeat(5_000));
    let deep = format!("/Users?filter={}title%20pr{}", "(".repeat(100), ")".repeat(100));
    let cases: [(&str, &str, u16, Option<&str>); 11] = [
        ("GET", "/Users?filter=userName%20eq", 400, Some("invalidFilter")),
        ("GET", "/Users?filter=userName%20zz%20%22x%22", 400, Some("invalidFilter")),
        ("GET", &long, 400, Some("invalidFilter")),
        ("GET", &deep, 400, Some("invalidFilter")),
        ("GET", "/Users?count=many", 400, Some("invalidValue")),
        ("GET", "/Users/no-such-id", 404, None),
        ("GET", "/Users/01980000-0000-7000-8000-000000000000", 404, None),
        ("DELETE", "/Groups/01980000-0000-7000-8000-000000000000", 404, None),
        ("GET", "/Nowhere", 404, None),
        ("GET", "/Users/%FF", 404, None),
        ("GET", "/Nowhere/%FF", 404, None),
    ];
    for (method, path, status, scim_type) in cases {
        directory.send(method, path, None).await.expect_error(status, scim_type);
    }
    directory.send("PUT", "/Users", Some(json!({}))).await.expect_error(405, None);
    directory.send("GET", "/Me", None).await.expect_error(501, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_token_and_a_wrong_endpoint_look_the_same() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let directory = server.api().directory("generic scim v2.0", "Acme").await;
    let wrong_token = directory.with_token("wrong");
    let elsewhere = format!("{}/scim/v2.0/nowhere", server.base());
    let wrong_endpoint = directory.with_endpoint(elsewhere);
    // Nor is anybody told what there is behind an endpoint.
    for path in ["/Users", "/Users/", "", "/Nowhere", "/Users/%FF", "/Nowhere/%FF", "/Me"] {
        let one = wrong_token.send("GET", path, None).await;
        let other = wrong_endpoint.send("GET", path, None).await;
        one.expect_error(401, None);
        assert_eq!(one.body, other.body, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn discovery_answers_in_the_form_of_the_rfc() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let directory = server.api().directory("sailpoint scim v2.0", "Acme").await;
    let config = directory.send("GET", "/ServiceProviderConfig", None).await.expect(200).body;
    assert_eq!(config["patch"]["supported"], json!(true));
    assert_eq!(config["filter"]["supported"], json!(true));
    for path in ["/ResourceTypes", "/Schemas"] {
        let list = directory.send("GET", path, None).await.expect(200).body;
        assert_eq!(list["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:ListResponse"]));
        let total = list["totalResults"].as_u64().unwrap() as usize;
        assert_eq!(list["Resources"].as_array().unwrap().len(), total);
        for item in list["Resources"].as_array().unwrap() {
            let one = format!("{path}/{}", item["id"].as_str().unwrap());
            assert_eq!(&directory.send("GET", &one, None).await.expect(200).body, item);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_text_with_the_character_zero_is_refused_by_the_api_too() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let organization = api.create("/organizations", &json!({ "name": "Acme" })).await;
    let of = &organization["id"];
    let path = format!("/organizations/{}", of.as_str().unwrap());
    for (method, path, body) in [
        ("POST", "/organizations", json!({ "name": "a\u{0}" })),
        ("POST", "/organizations", json!({ "name": "a", "metadata": { "a\u{0}": "b" } })),
        ("PUT", path.as_str(), json!({ "name": "a\u{0}" })),
        (
            "POST",
            "/directories",
            json!({ "organization_id": of, "type": "okta scim v2.0", "name": "\u{0}" }),
        ),
        ("POST", "/api_keys", json!({ "name": "a\u{0}", "scope": "read" })),
    ] {
        let (status, said) = api.send(method, path, Some(&body)).await;
        assert_eq!(status, 422, "{method} {path}: {said}");
        assert!(said.to_string().contains("U+0000"), "{said}");
    }
    for (path, status) in [
        ("/directory_users?email=%00", 422),
        ("/audit/events?q=%00", 422),
        ("/events?events=%00", 422),
        ("/organizations/external_id/%00", 404),
    ] {
        let (found, said) = api.send("GET", path, None).await;
        assert_eq!(found, status, "{path}: {said}");
    }
    let named = api.get("/organizations").await;
    assert_eq!(named["data"].as_array().unwrap().len(), 1);
}
