//! An organization with something of every kind, all of it marked with its name.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tests::server::eventually;
use tests::{Api, Directory, Server};

use super::probes::Call;

pub(super) struct World {
    /// A key that is limited to it.
    pub(super) key: String,
    /// Its ids, the directory first.
    pub(super) ids: Vec<String>,
    /// The id that the app has given it.
    pub(super) external: Option<String>,
    mark: &'static str,
}

impl World {
    pub(super) async fn new(server: &Server, mark: &'static str) -> Self {
        let api = server.api();
        let organization = json!({ "name": format!("{mark}-name"), "external_id": format!("{mark}-external"),
            "metadata": { "note": format!("{mark}-note") },
            "domain_data": [{ "domain": format!("{mark}-domain.example"), "state": "verified" }] });
        let organization = id(&api.create("/organizations", &organization).await);
        let name = format!("{mark}-directory");
        let new =
            json!({ "organization_id": organization, "type": "okta scim v2.0", "name": name });
        let created = api.create("/directories", &new).await;
        let directory = Directory::new(&created, server.base());
        let user = directory.user(&format!("{mark}-user@same.example")).await;
        directory.user(&format!("{mark}-colleague@same.example")).await;
        let group = directory.group(&format!("{mark}-group")).await;
        let add = json!([{ "op": "add", "path": "members", "value": [{ "value": user }] }]);
        directory.patch(&format!("/Groups/{group}"), add).await.expect(204);
        let path = format!("/directories/{}", directory.id);
        let secret = api.create(&format!("{path}/oauth_client/secrets"), &json!({})).await;
        let endpoint = format!("https://{mark}-endpoint.example/hooks");
        let endpoint = api.create("/webhook_endpoints", &json!({ "endpoint_url": endpoint })).await;
        // Nothing is sent, so that nothing is noted as sent.
        let its_path = format!("/webhook_endpoints/{}", id(&endpoint));
        let disabled = json!({ "status": "disabled" });
        assert_eq!(api.send("PATCH", &its_path, Some(&disabled)).await.0, 200);
        let key = json!({ "name": format!("{mark}-key"), "scope": "full", "organization_id": organization });
        let key = api.create("/api_keys", &key).await;
        let host =
            json!({ "host_name": format!("{mark}-host.example"), "organization_id": organization });
        let host = api.create("/host_names", &host).await;
        let link = json!({ "organization": organization, "return_url": format!("https://{mark}-return.example") });
        api.create("/portal/generate_link", &link).await;
        let links = api.get(&format!("/portal/links?organization={organization}")).await;
        let first = |list: &'static str| first(&api, list, &directory.id);
        let (user, group) = (first("directory_users").await, first("directory_groups").await);
        let tokens = api.get(&format!("{path}/tokens")).await;
        // Requests are noted a little later.
        eventually("the note of the last request", || async {
            let noted = api.get(&format!("{path}/requests?limit=1")).await;
            (noted["data"][0]["method"] == "PATCH").then_some(())
        })
        .await;
        let event = last_event(&api, &organization).await;
        let ids = vec![
            directory.id.clone(),
            organization,
            user,
            group,
            event,
            id(&tokens["data"][0]),
            secret["secret_id"].as_str().or(secret["id"].as_str()).unwrap().to_owned(),
            id(&endpoint),
            id(&key),
            id(&host),
            id(&links["data"][0]),
        ];
        let external = Some(format!("{mark}-external"));
        Self { key: key["key"].as_str().unwrap().to_owned(), ids, external, mark }
    }

    /// What of it has no id and can be named nevertheless.
    pub(super) fn texts(&self) -> Vec<String> {
        let words = ["name", "external", "note", "domain.example", "directory", "group", "key"];
        let mut texts: Vec<String> =
            words.iter().map(|word| format!("{}-{word}", self.mark)).collect();
        texts.push(format!("{}-user@same.example", self.mark));
        texts.push(format!("{}-host.example", self.mark));
        texts.push(format!("ext-{}-user@same.example", self.mark));
        texts.push(format!("https://{}-endpoint.example/hooks", self.mark));
        texts
    }

    /// Everything that every call shows of it, to a key that sees everything.
    pub(super) async fn seen_by(&self, api: &Api, calls: &[Call]) -> Value {
        let mut seen = json!({});
        for call in calls.iter().filter(|call| call.method == "get") {
            for path in call.at_any_of(self) {
                let path = match call.narrowing() {
                    Some(name) => format!("{path}?{name}={}", self.ids[0]),
                    None => path,
                };
                let (status, answer) = api.send("GET", &path, None).await;
                if status == 200 && call.is_about_one() {
                    seen[path] = without_times(answer);
                }
            }
        }
        seen
    }
}

fn id(of: &Value) -> String {
    of["id"].as_str().unwrap().to_owned()
}

async fn first(api: &Api, list: &str, directory: &str) -> String {
    eventually("the first of a list", || async {
        let page = api.get(&format!("/{list}?directory={directory}&order=asc&limit=1")).await;
        page["data"][0]["id"].as_str().map(str::to_owned)
    })
    .await
}

async fn last_event(api: &Api, organization: &str) -> String {
    eventually("the event of the membership", || async {
        let types = "dsync.group.user_added";
        let page = api.get(&format!("/events?events={types}&organization_id={organization}")).await;
        page["data"][0]["id"].as_str().map(str::to_owned)
    })
    .await
}

/// Without what changes with every look.
pub(super) fn without_times(mut value: Value) -> Value {
    match &mut value {
        Value::Object(fields) => {
            fields.remove("last_used_at");
            // How far an endpoint is behind changes with whatever happens.
            fields.remove("health");
            fields.values_mut().for_each(|value| *value = without_times(value.take()));
        }
        Value::Array(items) => {
            items.iter_mut().for_each(|value| *value = without_times(value.take()));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
    value
}

/// Every text in it that is long enough to be somebody's, and no time.
pub(super) fn strings(value: &Value) -> BTreeSet<String> {
    let mut found = BTreeSet::new();
    collect(value, &mut found);
    found
}

fn collect(value: &Value, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields) => fields.values().for_each(|value| collect(value, found)),
        Value::Array(items) => items.iter().for_each(|value| collect(value, found)),
        Value::String(text) => {
            let is_time = text.len() == 24 && text.ends_with('Z') && text.contains('T');
            if text.len() >= 8 && !is_time {
                found.insert(text.clone());
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
