//! The audit trail of actions: whatever people and keys change leaves an entry, and who may see it.

use reqwest::Response;
use reqwest::header::ACCEPT;
use serde_json::{Value, json};
use tests::server::{API_KEY, command, http_client};
use tests::{Api, Directory, Server};

use crate::console::Visitor;
use crate::setup::{Browser, Form, link, organization};

const PASSWORD: &str = "black-box";

/// The latest actions, the newest first.
async fn actions(api: &Api, query: &str) -> Vec<Value> {
    let answer = api.get(&format!("/admin_events?limit=100{query}")).await;
    answer["data"].as_array().unwrap().clone()
}

async fn latest(api: &Api) -> Value {
    actions(api, "").await.into_iter().next().unwrap()
}

fn names(actions: &[Value]) -> Vec<&str> {
    actions.iter().map(|action| action["action"].as_str().unwrap()).collect()
}

fn request_of(answer: &Response) -> String {
    answer.headers()["x-request-id"].to_str().unwrap().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_call_of_the_api_that_changes_something_leaves_an_action() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let (api, http) = (server.api(), http_client());
    let description = api.get("/openapi.json").await;
    let mut called = 0;
    for (path, calls) in description["paths"].as_object().unwrap() {
        for method in calls.as_object().unwrap().keys().filter(|method| *method != "get") {
            let asked = format!("{}{}", server.base(), path.replace(['{', '}'], ""));
            let request = http.request(method.to_uppercase().parse().unwrap(), asked);
            let answer = request.bearer_auth(API_KEY).json(&json!({})).send().await.unwrap();
            let kept = latest(&api).await;
            let is_kept = kept["actor"]["request_id"] == request_of(&answer);
            // It shows what would be, and changes nothing.
            let only_looks = path.ends_with("/attribute_map/preview");
            assert_eq!(is_kept, !only_looks, "{method} {path}: {kept}");
            let outcome = if answer.status().is_success() { "done" } else { "refused" };
            assert!(only_looks || kept["outcome"] == outcome, "{method} {path}: {kept}");
            called += 1;
        }
    }
    assert!(called > 25, "{called}");
}

/// A world with one of everything that a path can name.
struct Things {
    organization: String,
    directory: Directory,
    endpoint: String,
}

impl Things {
    async fn new(api: &Api) -> Self {
        let directory = api.directory("okta scim v2.0", "Acme").await;
        let (endpoint, _) = api.endpoint("http://127.0.0.1:9/").await;
        let known = api.get(&format!("/directories/{}", directory.id)).await;
        let organization = known["organization_id"].as_str().unwrap().to_owned();
        Self { organization, directory, endpoint }
    }

    fn path(&self, route: &str) -> String {
        route
            .replace("{organization}", &self.organization)
            .replace("{directory}", &self.directory.id)
            .replace("{endpoint}", &self.endpoint)
            .replace(['{', '}'], "")
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_the_console_leaves_an_action_and_looking_leaves_none() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let things = Things::new(&api).await;
    let visitor = Visitor::signed_in(&server).await;
    let csrf = visitor.field("/console", "csrf").await;
    let before = actions(&api, "").await.len();
    let looks = [("csrf", csrf.as_str()), ("do", "preview"), ("made_from", "2026-01-01T00:00:00Z")];
    let map = things.path("/console/directories/{directory}/map/edit");
    assert_eq!(visitor.post(&map, &looks).await.status(), 200);
    assert_eq!(actions(&api, "").await.len(), before, "a preview changes nothing");
    let routes = include_str!("console_routes.txt");
    // Signing in has a test of its own, and signing out ends this one.
    let sign = |route: &&str| route.starts_with("/console/sign-");
    let (out, others): (Vec<&str>, Vec<&str>) = routes.lines().partition(sign);
    assert_eq!(out, ["/console/sign-in", "/console/sign-out"]);
    let mut sent = 0;
    for route in others.into_iter().chain(["/console/sign-out"]) {
        // Only the map has something to look at first; elsewhere the word is nothing but a word.
        let wish = if route.ends_with("/map/edit") { "apply" } else { "preview" };
        let answer = visitor.post(&things.path(route), &[("csrf", &csrf), ("do", wish)]).await;
        if answer.status() == 405 {
            continue;
        }
        let kept = latest(&api).await;
        assert_eq!(kept["actor"]["request_id"], request_of(&answer), "{route}: {kept}");
        assert_eq!(kept["actor"]["type"], "console", "{route}");
        assert_eq!(kept["actor"]["id"], "admin", "{route}");
        let outcome = if answer.status().is_client_error() { "refused" } else { "done" };
        assert_eq!(kept["outcome"], outcome, "{route}: {kept}");
        let is_about = !route.contains("{endpoint}") && route.contains('{');
        let is_about = is_about && !route.contains("{key}");
        assert!(!is_about || kept["organization_id"] == *things.organization, "{route}: {kept}");
        sent += 1;
    }
    assert!(sent > 25, "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_form_of_a_setup_page_leaves_an_action_of_its_link() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let acme = organization(&api, "Acme").await;
    let body = json!({ "organization_id": acme, "type": "okta scim v2.0", "name": "Okta" });
    let directory = api.create("/directories", &body).await;
    let path = link(&api, &acme).await;
    let mut browser = Browser::new(&server);
    browser.get(&path).await;
    assert_eq!(latest(&api).await["action"], "portal_link.created", "looking opens nothing");
    let home = browser.press(&path).await;
    let opened = latest(&api).await;
    assert_eq!(opened["action"], "portal_link.opened");
    assert_eq!((&opened["organization_id"], &opened["outcome"]), (&json!(acme), &json!("done")));
    assert!(!opened.to_string().contains(&path["/setup/".len()..]), "{opened}");
    let link = opened["targets"][0].clone();
    assert_eq!(opened["actor"]["id"], link);
    browser.press(&path).await;
    assert_eq!(latest(&api).await["id"], opened["id"], "one that was used does nothing");
    let csrf = home.form("Sign out").fields.into_iter().find(|(name, _)| name == "csrf").unwrap();
    let routes = include_str!("setup_routes.txt");
    let (out, others): (Vec<&str>, Vec<&str>) = routes
        .lines()
        .filter(|route| *route != "/setup/{token}")
        .partition(|route| route.ends_with("sign-out"));
    let mut sent = Vec::new();
    for route in others.into_iter().chain(out) {
        let before = latest(&api).await;
        let directory = directory["id"].as_str().unwrap();
        let action = route.replace("{directory}", directory).replace(['{', '}'], "");
        let shown = browser.submit(&Form { action, fields: vec![csrf.clone()] }).await;
        if shown.status == 405 {
            continue;
        }
        let kept = latest(&api).await;
        assert_ne!(kept["id"], before["id"], "{route}: {}", shown.text);
        assert_eq!(kept["actor"]["type"], "portal_link", "{route}");
        assert_eq!((&kept["actor"]["id"], &kept["organization_id"]), (&link, &json!(acme)));
        sent.push(kept["action"].clone());
    }
    assert_eq!(sent.len(), 7, "{sent:?}");
    assert_eq!(sent.last().unwrap(), "portal_link.signed_out");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_signs_in_and_who_fails_to_is_told_with_where_from() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let started = actions(&api, "&action=console.password_changed").await;
    assert_eq!(started[0]["fields"], json!(["console_password"]));
    assert_eq!(started[0]["actor"]["type"], "settings");
    let stranger = Visitor::new(&server);
    let failed = stranger.sign_in("not-it").await;
    assert_eq!(failed.status(), 401);
    let kept = latest(&api).await;
    assert_eq!(kept["action"], "console.sign_in_failed");
    assert_eq!((&kept["outcome"], &kept["unrecorded"]), (&json!("refused"), &json!(0)));
    let actor = &kept["actor"];
    assert_eq!((&actor["type"], &actor["id"]), (&json!("anonymous"), &Value::Null));
    assert_eq!(actor["ip"], "127.0.0.1");
    assert_eq!(actor["request_id"], request_of(&failed));
    let text = kept.to_string();
    assert!(!text.contains("not-it") && !text.contains(PASSWORD), "{text}");
    assert_eq!(stranger.sign_in(PASSWORD).await.status(), 303);
    let kept = latest(&api).await;
    assert_eq!(kept["action"], "console.signed_in");
    assert_eq!((&kept["outcome"], &kept["actor"]["id"]), (&json!("done"), &json!("admin")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_action_says_who_did_what_to_what_and_never_a_secret() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let things = Things::new(&api).await;
    let key = json!({ "name": "billing", "scope": "full" });
    let key = api.create("/api_keys", &key).await;
    let made = latest(&api).await;
    assert_eq!(made["action"], "api_key.created");
    assert_eq!(
        (&made["targets"], &made["fields"]),
        (&json!([key["id"]]), &json!(["name", "scope"]))
    );
    let text = key["key"].as_str().unwrap();
    let billing = api.with_key(text);
    let path = format!("/directories/{}", things.directory.id);
    let token = billing.create(&format!("{path}/tokens"), &json!({})).await;
    let kept = latest(&api).await;
    assert_eq!(kept["action"], "directory.token_created");
    assert_eq!(kept["targets"], json!([things.directory.id, token["id"]]));
    assert_eq!(kept["organization_id"], *things.organization);
    assert_eq!(kept["actor"]["id"], key["id"]);
    assert_eq!(kept["actor"]["name"], "billing");
    let map = json!({ "attribute_map": { "custom": { "site": "title" } } });
    assert_eq!(billing.send("PATCH", &path, Some(&map)).await.0, 200);
    assert_eq!(latest(&api).await["fields"], json!(["attribute_map"]));
    let by_billing = actions(&api, &format!("&actor={}", key["id"].as_str().unwrap())).await;
    assert_eq!(names(&by_billing), ["directory.updated", "directory.token_created"]);
    let all = json!(actions(&api, "").await).to_string();
    let token = token["token"].as_str().unwrap();
    assert!(!all.contains(text) && !all.contains(token) && !all.contains(API_KEY), "{all}");
    // A form that changes one thing says so.
    let visitor = Visitor::signed_in(&server).await;
    let edit = things.path("/console/endpoints/{endpoint}/edit");
    let page = visitor.page(&edit).await;
    let field = |name: &str| {
        let from = page.rfind(&format!("name=\"{name}\" value=\"")).unwrap();
        page[from..].split('"').nth(3).unwrap().to_owned()
    };
    let csrf = field("csrf");
    let mut fields = vec![
        ("csrf", csrf.clone()),
        ("made_from", field("made_from")),
        ("endpoint_url", "http://127.0.0.1:9/moved".to_owned()),
        ("order", "resource".to_owned()),
        ("format", "webhook".to_owned()),
    ];
    let endpoint = api.get(&format!("/webhook_endpoints/{}", things.endpoint)).await;
    for event in endpoint["events"].as_array().unwrap() {
        fields.push(("events", event.as_str().unwrap().to_owned()));
    }
    let fields: Vec<(&str, &str)> =
        fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
    assert_eq!(visitor.post(&edit, &fields).await.status(), 303);
    let kept = latest(&api).await;
    assert_eq!(kept["action"], "webhook_endpoint.updated");
    assert_eq!(kept["fields"], json!(["endpoint_url"]), "{kept}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_one_organization_sees_the_actions_about_it_and_no_others() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let (acme, rival) = (organization(&api, "Acme").await, organization(&api, "Rival").await);
    let auditor = json!({ "name": "auditor", "scope": "audit", "organization_id": acme });
    let auditor = api.create("/api_keys", &auditor).await;
    let limited = api.with_key(auditor["key"].as_str().unwrap());
    for of in [&acme, &rival] {
        link(&api, of).await;
    }
    let seen = actions(&limited, "").await;
    assert_eq!(names(&seen), ["portal_link.created", "api_key.created", "organization.created"]);
    assert!(seen.iter().all(|action| action["organization_id"] == *acme));
    let page = limited.get("/admin_events?limit=1&action=organization.created").await;
    assert_eq!(names(page["data"].as_array().unwrap()), ["organization.created"]);
    assert_eq!(page["list_metadata"], json!({ "before": null, "after": null }));
    let foreign = actions(&limited, &format!("&organization_id={rival}")).await;
    assert!(foreign.is_empty(), "{foreign:?}");
    let all = actions(&api, "&action=portal_link.created").await;
    assert_eq!(all.len(), 2);
    // What it is refused is about its own organization.
    let (status, _) = limited.send("DELETE", &format!("/organizations/{rival}"), None).await;
    assert_eq!(status, 403);
    let refused = latest(&api).await;
    assert_eq!(
        (&refused["outcome"], &refused["organization_id"]),
        (&json!("refused"), &json!(acme))
    );
    let (status, said) = api.send("GET", "/admin_events?action=nothing", None).await;
    assert_eq!(status, 422);
    assert_eq!(said["message"], "action is not the name of an action: \"nothing\".");
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_are_exported_by_the_api_and_by_a_command_and_shown_in_the_console() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &[("DSYNC_CONSOLE_AUDITOR_PASSWORD", "looks")]);
    let api = server.api();
    let acme = organization(&api, "Acme").await;
    let url = format!("{}/admin_events?organization_id={acme}&order=asc", server.base());
    let request = http_client().get(url).bearer_auth(API_KEY).header(ACCEPT, "text/csv");
    let table = request.send().await.unwrap().text().await.unwrap();
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows.len(), 2, "{table}");
    assert!(rows[1].contains(",organization.created,") && rows[1].contains(&acme), "{table}");

    let mut shell = command(data.path());
    shell.env("DSYNC_LISTEN", server.base().strip_prefix("http://").unwrap());
    shell.args(["audit", "admin-events", "--action", "organization.created"]);
    let output = shell.output().unwrap();
    let line: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        (&line["action"], &line["targets"][0]),
        (&json!("organization.created"), &json!(acme))
    );

    let mut auditor = Visitor::new(&server);
    let answer = auditor.sign_in("looks").await;
    auditor.keep_cookie(&answer);
    let page = auditor.page(&format!("/console/audit?organization={acme}")).await;
    assert!(page.contains("<code>organization.<wbr>created<wbr></code>"), "{page}");
    assert!(!page.contains("<code>console."), "it is narrowed to the organization");
    let page = auditor.page("/console/audit?actor=auditor").await;
    assert!(page.contains("<code>console.<wbr>signed_<wbr>in<wbr></code>"), "{page}");
    assert!(auditor.page("/console/audit?actor=nobody").await.contains("No action fits"));
}
