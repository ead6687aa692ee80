//! Directories with a life of their own, and what apps make of what they are told.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};
use tests::server::{Api, json_of};
use tests::{Delivery, Directory, Receiver, Server};

/// A schedule that a test can wait for.
pub(crate) const QUICK: (&str, &str) = ("DSYNC_RETRY_SCHEDULE", "20ms,20ms,50ms,50ms,100ms,100ms");

/// Creates so many users, each with a name of its own.
pub(crate) async fn users(directory: &Directory, prefix: &str, count: usize) -> Vec<String> {
    let mut ids = Vec::with_capacity(count);
    for number in 0..count {
        ids.push(directory.user(&format!("{prefix}-{number}@acme.example")).await);
    }
    ids
}

/// A change of one user.
pub(crate) async fn title(directory: &Directory, user: &str, title: &str) {
    let change = json!([{ "op": "replace", "path": "title", "value": title }]);
    directory.patch(&format!("/Users/{user}"), change).await.expect(200);
}

/// Turns a user inactive.
pub(crate) async fn deactivate(directory: &Directory, user: &str) {
    let off = json!([{ "op": "replace", "path": "active", "value": false }]);
    directory.patch(&format!("/Users/{user}"), off).await.expect(200);
}

/// A change of the members of a group.
pub(crate) async fn member(directory: &Directory, group: &str, op: &str, user: &str) {
    let change = match op {
        "add" => json!([{ "op": "add", "path": "members", "value": [{ "value": user }] }]),
        _ => json!([{ "op": "remove", "path": format!("members[value eq \"{user}\"]") }]),
    };
    directory.patch(&format!("/Groups/{group}"), change).await.expect(204);
}

/// Every change there is, several times.
pub(crate) async fn history(directory: &Directory) {
    let people = users(directory, "h", 12).await;
    let one = directory.group("Engineering").await;
    let other = directory.group("Sales").await;
    for (number, user) in people.iter().enumerate() {
        title(directory, user, &format!("Title {number}")).await;
        member(directory, &one, "add", user).await;
        member(directory, &other, "add", user).await;
        if number % 3 == 0 {
            member(directory, &one, "remove", user).await;
        }
        if number % 4 == 0 {
            directory.send("DELETE", &format!("/Users/{user}"), None).await.expect(204);
        }
        if number % 5 == 1 {
            let off = json!([{ "op": "replace", "path": "active", "value": false }]);
            directory.patch(&format!("/Users/{user}"), off).await.expect(200);
        }
    }
    let rename = json!([{ "op": "replace", "path": "displayName", "value": "Engineers" }]);
    directory.patch(&format!("/Groups/{one}"), rename).await.expect(204);
    let last = directory.group("Short-lived").await;
    member(directory, &last, "add", &people[2]).await;
    directory.send("DELETE", &format!("/Groups/{last}"), None).await.expect(204);
}

/// How many events of the directory webhooks carry.
pub(crate) async fn events_of(server: &Server) -> Vec<Value> {
    server.api().events(&SUBSCRIBABLE.join(",")).await
}

pub(crate) const SUBSCRIBABLE: [&str; 10] = [
    "dsync.activated",
    "dsync.deleted",
    "dsync.user.created",
    "dsync.user.updated",
    "dsync.user.deleted",
    "dsync.group.created",
    "dsync.group.updated",
    "dsync.group.deleted",
    "dsync.group.user_added",
    "dsync.group.user_removed",
];

/// Users and groups that an event is about, by id.
pub(crate) fn keys(event: &Value) -> Vec<String> {
    let data = &event["data"];
    let id = |value: &Value| value["id"].as_str().map(str::to_owned);
    if data["user"].is_object() {
        return [id(&data["user"]), id(&data["group"])].into_iter().flatten().collect();
    }
    id(data).into_iter().collect()
}

/// Checks that what was taken came in order for each user and group, each event for the first time.
pub(crate) fn in_order(taken: &[Delivery]) {
    let mut last: BTreeMap<String, u64> = BTreeMap::new();
    let mut seen = BTreeSet::new();
    for delivery in taken.iter().filter(|delivery| seen.insert(delivery.id().to_owned())) {
        let sequence: u64 = delivery.header("dsync-sequence").parse().unwrap();
        for key in keys(&delivery.event) {
            let before = last.insert(key.clone(), sequence).unwrap_or(0);
            assert!(before < sequence, "{key}: {sequence} after {before}");
        }
    }
}

/// Checks that a sample of what the operator was told looks the same.
pub(crate) async fn sample_is_like(api: &Api, told: &Delivery) {
    let app = Receiver::start().await;
    let (endpoint, _) = api.endpoint_with(app.url(), json!({ "kind": "operational" })).await;
    let asked = json!({ "event": told.kind() });
    let (status, answer) = api.send("POST", &format!("{endpoint}/test"), Some(&asked)).await;
    assert_eq!(status, 200, "{answer}");
    let sample = json_of(answer["request_body"].as_str().unwrap().as_bytes());
    let fields = |event: &Value| -> BTreeSet<String> {
        let fields = event["data"].as_object().unwrap().iter();
        fields.map(|(name, value)| format!("{name}: {}", kind_of(value))).collect()
    };
    assert_eq!(fields(&sample), fields(&told.event), "{}", told.kind());
}

/// The type of a value, and of an object its fields; of what may be absent nothing.
fn kind_of(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::Bool(_) => "truth".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(_) => "text".to_owned(),
        Value::Array(_) => "list".to_owned(),
        Value::Object(fields) => format!("{:?}", fields.keys().collect::<BTreeSet<_>>()),
    }
}

/// A directory as an app keeps it that does nothing but follow webhooks.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Folded {
    pub(crate) users: BTreeMap<String, Value>,
    pub(crate) groups: BTreeMap<String, Value>,
    pub(crate) members: BTreeSet<(String, String)>,
}

impl Folded {
    pub(crate) fn take(&mut self, event: &Value) {
        let data = &event["data"];
        let id = |value: &Value| value["id"].as_str().unwrap().to_owned();
        match event["event"].as_str().unwrap() {
            "dsync.user.created" | "dsync.user.updated" => {
                self.users.insert(id(data), plain(data));
            }
            "dsync.user.deleted" => {
                self.users.remove(&id(data));
                self.members.retain(|(_, user)| *user != id(data));
            }
            "dsync.group.created" | "dsync.group.updated" => {
                self.groups.insert(id(data), plain(data));
            }
            "dsync.group.deleted" => {
                self.groups.remove(&id(data));
                self.members.retain(|(group, _)| *group != id(data));
            }
            "dsync.group.user_added" => {
                self.members.insert((id(&data["group"]), id(&data["user"])));
            }
            "dsync.group.user_removed" => {
                self.members.remove(&(id(&data["group"]), id(&data["user"])));
            }
            _ => {}
        }
    }

    /// The same as the API has it.
    pub(crate) async fn of_api(server: &Server, directory: &str) -> Self {
        let mut folded = Self::default();
        let api = server.api();
        for user in all(&api, &format!("/directory_users?directory={directory}")).await {
            let id = user["id"].as_str().unwrap().to_owned();
            for group in user["groups"].as_array().unwrap() {
                folded.members.insert((group["id"].as_str().unwrap().to_owned(), id.clone()));
            }
            folded.users.insert(id, plain(&user));
        }
        for group in all(&api, &format!("/directory_groups?directory={directory}")).await {
            folded.groups.insert(group["id"].as_str().unwrap().to_owned(), plain(&group));
        }
        folded
    }
}

/// Without what events and answers of the API say in ways of their own.
fn plain(resource: &Value) -> Value {
    let mut resource = resource.clone();
    let fields = resource.as_object_mut().unwrap();
    fields.remove("previous_attributes");
    fields.remove("groups");
    resource
}

async fn all(api: &tests::Api, path: &str) -> Vec<Value> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("{path}&limit=100{after}")).await;
        found.extend(page["data"].as_array().unwrap().clone());
        let Some(next) = page["list_metadata"]["after"].as_str() else { return found };
        after = format!("&after={next}");
    }
}
