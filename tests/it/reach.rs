//! A key that is limited to one organization, and everything that belongs to others. Every call of the
//! description is tried with everything of theirs that a call can name, in every place where it can be
//! named, so that a call that is added is tried as well.

mod probes;
mod world;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tests::server::http_client;
use tests::{Directory, Server};

use probes::{Probe, calls};
use world::{World, strings};

/// How many calls have to show something of one's own for the result to say something.
const SHOWING_MIN: usize = 12;

/// How many requests have to name something of others.
const PROBES_MIN: usize = 1_000;

struct Limited<'a> {
    base: &'a str,
    key: &'a str,
    http: reqwest::Client,
    /// What is of others and must not be seen.
    foreign: &'a BTreeSet<String>,
}

impl Limited<'_> {
    /// Sends it and looks whether the answer has anything of others that the caller has not named.
    async fn send(&self, probe: &Probe, known: &[String]) -> (u16, String) {
        let method = probe.method.to_uppercase().parse().unwrap();
        let mut request = self.http.request(method, format!("{}{}", self.base, probe.path));
        request = request.bearer_auth(self.key).header("accept", probe.accept.as_str());
        if let Some(body) = &probe.body {
            request = request.json(body);
        }
        let answer = request.send().await.unwrap();
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap();
        assert!(status < 500, "{probe:?}: {status} {text}");
        let leaked = self.foreign.iter().find(|foreign| {
            text.contains(foreign.as_str()) && !known.iter().any(|known| known.contains(*foreign))
        });
        assert_eq!(leaked, None, "{probe:?}: {status} {text}");
        (status, text)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_one_organization_sees_nothing_of_another() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let (acme, rival) = (World::new(&server, "acme").await, World::new(&server, "rival").await);
    let api = server.api();
    let description = api.get("/openapi.json").await;
    let calls = calls(&description);
    let own = strings(&acme.seen_by(&api, &calls).await);
    let theirs = rival.seen_by(&api, &calls).await;
    let mut foreign: BTreeSet<String> = strings(&theirs).difference(&own).cloned().collect();
    // Some are in lists of everybody's alone.
    foreign.extend(rival.ids.iter().cloned().chain(rival.texts()));
    let limited =
        Limited { base: server.base(), key: &acme.key, http: http_client(), foreign: &foreign };

    // What it may see, it sees, and nothing else.
    let (mut showing, mut closed) = (BTreeSet::new(), BTreeMap::new());
    for probe in probes::of_its_own(&calls, &acme) {
        let (status, text) = limited.send(&probe, &[]).await;
        if status == 200 && own.iter().any(|own| text.contains(own.as_str())) {
            showing.insert(probe.call);
        } else if status == 403 && !probe.call.contains('{') {
            let everything = world::without_times(api.get(&probe.path).await);
            closed.insert(probe.path, everything);
        }
    }
    assert!(closed.contains_key("/webhook_endpoints"), "they get the events of everybody");
    assert!(showing.len() >= SHOWING_MIN, "{showing:?}");

    // What is there and of others is answered like what is not there.
    let mut sent = 0;
    for (probe, twin) in probes::of_others(&calls, &acme, &rival) {
        let known = [probe.named.clone(), twin.named.clone()];
        // What one of the other requests has said is known as well.
        let known =
            if probe.is_reading() { known.to_vec() } else { [&rival.texts()[..], &known].concat() };
        let there = limited.send(&probe, &known).await;
        let nowhere = limited.send(&twin, &known).await;
        assert_eq!(there.0, nowhere.0, "{probe:?}: {}", there.1);
        // What a change of its own answers with has a time in it.
        if probe.is_reading() || there.0 >= 400 {
            let said = without(&there.1, &probe.named);
            assert_eq!(said, without(&nowhere.1, &twin.named), "{probe:?} and {twin:?}");
        }
        sent += 1;
    }
    assert!(sent >= PROBES_MIN, "only {sent} requests");
    let after = rival.seen_by(&api, &calls).await;
    for (path, before) in theirs.as_object().unwrap() {
        assert_eq!(*before, after[path], "{path}: nothing of others changes");
    }
    // The walk through all of the log counts what everybody does.
    for (path, before) in closed.into_iter().filter(|(path, _)| path != "/audit/verify") {
        let after = world::without_times(api.get(&path).await);
        assert_eq!(before, after, "{path}: what it may not read it may not change");
    }
}

/// An answer without what was named and what differs from one request to the next.
fn without(answer: &str, named: &str) -> String {
    let answer = answer.replace(named, "…");
    match serde_json::from_str::<Value>(&answer) {
        Ok(json) => world::without_times(json).to_string(),
        Err(_) => answer,
    }
}

/// So many events others have before and behind one's own: more than a page of the history looks at.
const OF_OTHERS: usize = 4_500;

/// How many users join and leave a group of theirs at once.
const MEMBERS: usize = 150;

/// Memberships that begin and end, until there are enough.
async fn busy(directory: &Directory, users: &[String], group: &str) {
    let members: Vec<Value> = users.iter().map(|id| json!({ "value": id })).collect();
    for _ in 0..OF_OTHERS.div_ceil(2 * users.len()) {
        for operation in ["add", "remove"] {
            let change = json!([{ "op": operation, "path": "members", "value": members }]);
            directory.patch(&format!("/Groups/{group}"), change).await.expect(204);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_history_of_one_organization_never_goes_on_from_an_event_of_another() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let rival = api.directory("okta scim v2.0", "Rival").await;
    let group = rival.group("Everyone").await;
    let mut users = Vec::new();
    for number in 0..MEMBERS {
        users.push(rival.user(&format!("user{number}@rival.example")).await);
    }
    busy(&rival, &users, &group).await;
    let own = api.directory("okta scim v2.0", "Acme").await;
    own.user("user@acme.example").await;
    busy(&rival, &users, &group).await;
    let of = api.get(&format!("/directories/{}", own.id)).await["organization_id"].clone();
    let key = json!({ "name": "auditor", "scope": "audit", "organization_id": of });
    let key = api.create("/api_keys", &key).await;
    let limited = api.with_key(key["key"].as_str().unwrap());
    let whole = limited.get("/audit/events?limit=100").await;
    let whole = whole["data"].as_array().unwrap().clone();
    assert!(whole.len() >= 3, "the first page has all of it");
    let at = whole[0]["created_at"].as_str().unwrap();
    for filter in [
        String::new(),
        format!("&directory={}", own.id),
        format!("&organization_id={}", of.as_str().unwrap()),
        "&actor=127.0.0.1".into(),
        "&actor=nobody".into(),
        "&q=acme".into(),
        "&q=rival".into(),
        "&events=dsync.user.created".into(),
        "&request_id=req_01K0ZC6M8Q4T6V7W8X9YABCDEF".into(),
        format!("&range_start={at}"),
    ] {
        for order in ["asc", "desc"] {
            let page = limited.get(&format!("/audit/events?limit=1&order={order}{filter}")).await;
            let text = page.to_string();
            for cursor in ["after", "before"] {
                let cursor = &page["list_metadata"][cursor];
                let is_own = whole.iter().any(|event| event["id"] == *cursor);
                assert!(cursor.is_null() || is_own, "{filter} {order}: {text}");
            }
            assert!(!text.contains(&rival.id) && !text.contains("rival.example"), "{text}");
        }
    }
    let begins = api.get(&format!("/audit/events?limit=100&directory={}", own.id)).await;
    assert_eq!(begins["data"], json!(whole));
    assert_eq!(begins["list_metadata"]["after"], Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_goes_with_the_organization_that_it_is_limited_to() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let organization = api.create("/organizations", &json!({ "name": "Acme" })).await;
    let key = json!({ "name": "acme", "scope": "full", "organization_id": organization["id"] });
    let key = api.create("/api_keys", &key).await;
    let limited = api.with_key(key["key"].as_str().unwrap());
    assert_eq!(limited.send("GET", "/organizations", None).await.0, 200);
    let path = format!("/organizations/{}", organization["id"].as_str().unwrap());
    assert_eq!(api.send("DELETE", &path, None).await.0, 202);
    assert_eq!(limited.send("GET", "/organizations", None).await.0, 401);
    assert_eq!(api.get("/api_keys").await["data"], json!([]));
}
