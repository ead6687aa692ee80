//! The setup pages, as the browser of an administrator meets them.

use serde_json::json;
use tests::server::eventually;
use tests::{Api, Directory, Server};

mod sessions;
mod visitor;

use visitor::until;
pub(crate) use visitor::{Browser, Form};

pub(crate) async fn organization(api: &Api, name: &str) -> String {
    let made = api.create("/organizations", &json!({ "name": name })).await;
    made["id"].as_str().unwrap().to_owned()
}

/// Makes a link and answers its path.
pub(crate) async fn link(api: &Api, organization: &str) -> String {
    let body = json!({ "organization": organization, "return_url": "https://app.example/settings?a=1&b=2",
        "success_url": "https://app.example/done" });
    let made = api.create("/portal/generate_link", &body).await;
    let link = made["link"].as_str().unwrap();
    link[link.find("/setup/").unwrap()..].to_owned()
}

async fn new_directory(server: &Server, organization: &str, name: &str) -> Directory {
    let body = json!({ "organization_id": organization, "type": "okta scim v2.0", "name": name });
    Directory::new(&server.api().create("/directories", &body).await, server.base())
}

/// A server on a folder, with the organization Acme and its directory.
async fn served() -> (tempfile::TempDir, Server, String, Directory) {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let acme = organization(&server.api(), "Acme").await;
    let directory = new_directory(&server, &acme, "Acme").await;
    (data, server, acme, directory)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_opens_a_link_and_makes_the_token_that_the_identity_provider_needs() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let acme = organization(&api, "Acme <script>alert(1)</script>").await;
    let directory = new_directory(&server, &acme, "Acme \"Okta\"").await;
    let path = link(&api, &acme).await;
    let own = format!("/setup/directories/{}", directory.id);
    let mut browser = Browser::new(&server);

    // Whoever follows links ahead of people, as mail filters do, uses nothing up.
    for method in ["GET", "HEAD", "GET"] {
        assert_eq!(browser.send(method, &path, &[]).await.status, 200);
    }
    browser.get(&path).await.expect(200, "Open the setup page");
    let home = browser.press(&path).await;
    home.expect(200, "Directory sync for Acme &lt;script&gt;");
    home.expect(200, "not connected yet");
    home.expect(200, "https://app.example/settings?a=1&amp;b=2");
    assert!(!home.text.contains("<script>"));
    let page = browser.get(&own).await;
    page.expect(200, &directory.endpoint);
    page.expect(200, "Waiting for a connection test");

    let (form, another) = (page.form("Make a token"), browser.get(&own).await.form("Make a token"));
    let made = browser.submit(&form).await;
    made.expect(201, "It is shown this once");
    let token = made.text_of("bearer-token");
    directory.with_token(&token).send("GET", "/Users", None).await.expect(200);
    let again = browser.submit(&form).await;
    again.expect(200, "Two tokens are live");
    assert!(!again.text.contains(&token), "a form that is sent twice makes one token");
    again.expect(200, "Connection test received");
    let refused = browser.submit(&another).await;
    refused.expect(409, "There are two tokens already");
    refused.expect(409, "href=\"/setup\"");

    let first = &directory.token[directory.token.len() - 4..];
    let tokens = api.get(&format!("/directories/{}/tokens", directory.id)).await;
    let tokens = tokens["data"].as_array().unwrap();
    let id = tokens.iter().find(|one| one["suffix"] == first).unwrap()["id"].as_str().unwrap();
    let confirm = browser.get(&format!("{own}/tokens/{id}/revoke")).await;
    confirm.expect(200, "This cannot be undone");
    browser.submit(&confirm.form("Revoke token")).await.expect(200, "Rotate the token");
    directory.send("GET", "/Users", None).await.expect(401);
    directory.with_token(&token).send("GET", "/Users", None).await.expect(200);
    browser.get(&format!("{own}/tokens/{id}/revoke")).await.expect(404, "There is no such token");
    let told = api.events("dsync.token.created,dsync.token.revoked").await;
    let own = told.iter().filter(|event| event["data"]["directory_id"] == *directory.id);
    assert_eq!(own.count(), 3, "the history tells of what an administrator did");

    let links = api.get(&format!("/portal/links?organization={acme}")).await;
    let link = links["data"][0]["id"].as_str().unwrap();
    let theirs = api.get(&format!("/audit/events?actor={link}")).await;
    let theirs = theirs["data"].as_array().unwrap();
    let kinds: Vec<_> = theirs.iter().map(|event| event["event"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["dsync.token.created", "dsync.token.revoked"], "and who it was");
    for event in theirs {
        let actor = &event["actor"];
        assert_eq!((&actor["portal_link_id"], &actor["ip"]), (&json!(link), &json!("127.0.0.1")));
        assert!(actor["request_id"].is_string(), "{actor}");
    }
    let log = std::fs::read_to_string(data.path().join("server.log")).unwrap();
    assert!(log.contains("a form of a setup page is sent") && log.contains(link), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_administrator_adds_the_directory_that_nobody_has_added() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let acme = organization(&api, "Acme").await;
    let path = link(&api, &acme).await;
    let mut browser = Browser::new(&server);
    let home = browser.press(&path).await;
    home.expect(200, "Which identity provider do you have?");
    home.expect(200, "Azure AD SCIM v2.0");
    let form = home.form("Continue").with("name", "Acme Entra");
    browser.submit(&form).await.expect(422, "Choose the identity provider");
    browser
        .submit(&form.clone().with("guide", "no such").with("name", ""))
        .await
        .expect(422, "Choose");
    let form = form.with("guide", "entra");
    let made = browser.submit(&form).await;
    made.expect(201, "Set up Microsoft Entra ID");
    let endpoint = made.text_of("endpoint");
    let token = made.text_of("bearer-token");
    let directories = api.get("/directories").await;
    let made = &directories["data"][0];
    assert_eq!(
        (made["type"].as_str(), made["name"].as_str()),
        (Some("azure scim v2.0"), Some("Acme Entra"))
    );
    let scim = json!({ "id": made["id"], "scim": { "endpoint": endpoint, "bearer_token": token } });
    let directory = Directory::new(&scim, server.base());
    directory.send("GET", "/Users", None).await.expect(200);
    let again = browser.submit(&form).await;
    again.expect(200, "Acme Entra");
    assert!(!again.text.contains(&token), "the token is shown once");
    assert_eq!(api.get("/directories").await["data"].as_array().map(Vec::len), Some(1));

    // A provider without a type of its own has its guide all the same.
    let another = browser.get("/setup/new").await.form("Continue");
    let google = browser.submit(&another.with("guide", "google").with("name", "Google")).await;
    google.expect(201, "Set up Google Workspace");
    google.expect(201, "?guide=google");
    // Whoever follows a guide comes back to it.
    let own = google.text.split("href=\"").find(|part| part.contains("/revoke?guide=google"));
    let own = own.and_then(|part| part.split('"').next()).expect("tokens are revoked from here");
    let confirm = browser.get(own).await;
    confirm.expect(200, "?guide=google");
    browser.submit(&confirm.form("Revoke token")).await.expect(200, "Set up Google Workspace");

    // An id that is somebody else's is refused, and says nothing of them.
    let foreign = api.directory("okta scim v2.0", "Rival").await;
    let form = browser.get("/setup/new").await.form("Continue").with("guide", "okta");
    let form = form.with("name", "Rival").with("id", &foreign.id);
    browser.submit(&form).await.expect(403, "This form is out of date");
    // So is a text that no database keeps.
    let form = browser.get("/setup/new").await.form("Continue").with("guide", "okta");
    let nul = form.clone().with("name", "a\0b");
    browser.submit(&nul).await.expect(403, "This form is out of date");
    // So is an id that was typed: it would come first or last in every list.
    for typed in ["directory_00000000000000000000000000", "directory_7ZZZZZZZZZZZZZZZZZZZZZZZZZ"] {
        let form = form.clone().with("id", typed);
        browser.submit(&form).await.expect(403, "This form is out of date");
    }
    for number in 2..20 {
        new_directory(&server, &acme, &format!("More {number}")).await;
    }
    let form = browser.get("/setup/new").await.form("Continue");
    let form = form.with("guide", "okta").with("name", "One too many");
    browser.submit(&form).await.expect(409, "There are enough connections");
}

#[tokio::test(flavor = "multi_thread")]
async fn users_without_an_address_are_told_of_and_get_one_with_a_press() {
    let (_data, server, acme, directory) = served().await;
    let api = server.api();
    let path = link(&api, &acme).await;
    let own = format!("/setup/directories/{}", directory.id);
    let mut browser = Browser::new(&server);
    browser.press(&path).await;
    let body = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
        "userName": "adele@acme.example" });
    directory.send("POST", "/Users", Some(body)).await.expect(201);
    let page = until(&server, &browser, &own, "Users have no e-mail address").await;
    let form = page.form("Use the user name as address");
    let mended = browser.submit(&form).await;
    mended.expect(200, "Nothing is wrong");
    eventually("apps are told", || async {
        let users = api.get(&format!("/directory_users?directory={}", directory.id)).await;
        (users["data"][0]["email"] == "adele@acme.example").then_some(())
    })
    .await;
    // The form was made from what is not so any more.
    browser.submit(&form).await.expect(409, "It has changed meanwhile");
    let map = browser.get(&format!("{own}/map")).await;
    map.expect(200, "userName");
}
