//! What every identity provider may rely on: nothing happens twice, nothing is lost in a race, and
//! what was written can be read at once.

use serde_json::json;
use tests::scim::user_body;
use tests::server::eventually;
use tests::{Receiver, Server};

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_changes_nothing_makes_no_event() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let directory = server.api().directory("okta scim v2.0", "Acme").await;
    let user = directory.user("ada@acme.example").await;
    let group = directory.group("Engineering").await;
    let path = format!("/Groups/{group}");
    let add = json!([{ "op": "add", "path": "members", "value": [{ "value": user }] }]);
    directory.patch(&path, add.clone()).await.expect(204);
    let all = "dsync.user.created,dsync.user.updated,dsync.group.created,dsync.group.updated,\
        dsync.group.user_added,dsync.group.user_removed";
    let before = server.api().events(all).await.len();

    let same = user_body("ada@acme.example");
    directory.send("PUT", &format!("/Users/{user}"), Some(same)).await.expect(200);
    let title = json!([{ "op": "replace", "path": "title", "value": "Retail Manager" }]);
    directory.patch(&format!("/Users/{user}"), title).await.expect(200);
    directory.patch(&path, add).await.expect(204);
    let rename =
        json!([{ "op": "replace", "value": { "id": group, "displayName": "Engineering" } }]);
    directory.patch(&path, rename).await.expect(204);
    let stranger = json!([{ "op": "remove", "path": "members[value eq \"nobody\"]" }]);
    directory.patch(&path, stranger).await.expect(204);

    assert_eq!(server.api().events(all).await.len(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_simultaneous_creates_of_one_name_in_any_letter_case_one_wins() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let directory = server.api().directory("generic scim v2.0", "Acme").await;
    for round in 0..10 {
        let names = (0..16).map(|one| {
            let name = format!("ada.{round}@acme.example");
            if one % 2 == 0 { name } else { name.to_uppercase() }
        });
        let racing = names.map(|name| {
            let directory = directory.clone();
            async move { directory.send("POST", "/Users", Some(user_body(&name))).await }
        });
        let answers = join_all(racing).await;
        assert_eq!(answers.iter().filter(|answer| answer.status == 201).count(), 1);
        for answer in answers.iter().filter(|answer| answer.status != 201) {
            answer.expect_error(409, Some("uniqueness"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn simultaneous_patches_of_different_attributes_all_take_effect() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let directory = server.api().directory("generic scim v2.0", "Acme").await;
    let attributes = ["title", "displayName", "preferredLanguage", "nickName"];
    for round in 0..10 {
        let user = directory.user(&format!("ada.{round}@acme.example")).await;
        let racing = attributes.map(|attribute| {
            let (directory, user) = (directory.clone(), user.clone());
            async move {
                let set = json!([{ "op": "replace", "path": attribute, "value": format!("now {attribute}") }]);
                directory.patch(&format!("/Users/{user}"), set).await.expect(200)
            }
        });
        join_all(racing).await;
        let read = directory.send("GET", &format!("/Users/{user}"), None).await.expect(200);
        for attribute in attributes {
            assert_eq!(read.body[attribute], format!("now {attribute}"));
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_straight_after_a_write_sees_it() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let directory = server.api().directory("generic scim v2.0", "Acme").await;
    for number in 0..100 {
        let name = format!("ada.{number}@acme.example");
        let user = directory.user(&name).await;
        let path = format!("/Users/{user}");
        assert_eq!(directory.send("GET", &path, None).await.expect(200).body["userName"], name);
        let found = format!("/Users?filter=userName%20eq%20%22{name}%22");
        let found = directory.send("GET", &found, None).await.expect(200);
        assert_eq!(found.body["totalResults"], 1);
        directory.send("DELETE", &path, None).await.expect(204);
        directory.send("GET", &path, None).await.expect_error(404, None);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_directory_never_sees_another() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let acme = server.api().directory("generic scim v2.0", "Acme").await;
    let rival = server.api().directory("generic scim v2.0", "Rival").await;
    let user = acme.user("ada@acme.example").await;
    rival.send("GET", &format!("/Users/{user}"), None).await.expect_error(404, None);
    rival.send("DELETE", &format!("/Users/{user}"), None).await.expect_error(404, None);
    let group = rival.group("Spies").await;
    let add = json!([{ "op": "add", "path": "members", "value": [{ "value": user }] }]);
    let refused = rival.patch(&format!("/Groups/{group}"), add).await;
    refused.expect_error(400, Some("invalidValue"));
    assert!(refused.body["detail"].as_str().unwrap().contains(&user), "the member is named");
    let mixed = acme.with_token(&rival.token);
    mixed.send("GET", "/Users", None).await.expect_error(401, None);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_directory_says_so_once_and_opens_no_more() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let receiver = Receiver::start().await;
    let api = server.api();
    api.endpoint(receiver.url()).await;
    let directory = api.directory("okta scim v2.0", "Acme").await;
    directory.user("ada@acme.example").await;
    let (status, _) = api.send("DELETE", &format!("/directories/{}", directory.id), None).await;
    assert_eq!(status, 202);
    let arrived = receiver.wait_for(3).await;
    let mut kinds: Vec<&str> = arrived.iter().map(tests::Delivery::kind).collect();
    kinds.sort_unstable();
    assert_eq!(kinds, ["dsync.activated", "dsync.deleted", "dsync.user.created"]);
    directory.send("GET", "/Users", None).await.expect_error(401, None);
    let path = format!("/directories/{}", directory.id);
    eventually("the directory is gone", || async {
        (api.send("GET", &path, None).await.0 == 404).then_some(())
    })
    .await;
    let settings = format!("{path}/scim_settings");
    assert_eq!(api.send("GET", &settings, None).await.0, 404);
    let debug = json!({ "debug_requests": true });
    assert_eq!(api.send("PATCH", &settings, Some(&debug)).await.0, 404);
}

async fn join_all<F>(futures: impl IntoIterator<Item = F>) -> Vec<F::Output>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    #[expect(clippy::disallowed_methods, reason = "the test awaits every task")]
    let tasks: Vec<_> = futures.into_iter().map(tokio::spawn).collect();
    let mut outputs = Vec::new();
    for task in tasks {
        outputs.push(task.await.unwrap());
    }
    outputs
}
