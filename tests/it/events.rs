//! The events API as a consumer uses it: waiting for what comes next, and building a directory from
//! nothing else.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tests::server::{API_KEY, http_client, json_of};
use tests::{Api, Directory, Server};
use tokio::task::JoinSet;
use tokio::time::Instant;

pub(crate) const TYPES: &str = "dsync.user.created,dsync.user.updated,dsync.user.deleted,\
    dsync.group.created,dsync.group.updated,dsync.group.deleted,\
    dsync.group.user_added,dsync.group.user_removed";

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_events_sees_them_when_they_happen() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let directory = api.directory("okta scim v2.0", "Acme").await;
    directory.user("first@acme.example").await;
    let seen = api.events("dsync.user.created").await;
    let after = seen[0]["id"].as_str().unwrap().to_owned();
    // Nothing there: the answer is empty, and comes at the end of the wait.
    let begun = Instant::now();
    let empty = api.get(&format!("/events?events=dsync.user.created&after={after}&wait=1")).await;
    assert_eq!(empty["data"], json!([]));
    assert!(begun.elapsed() >= Duration::from_secs(1));
    // Something else happens first, and does not end the wait.
    let mut waiting = JoinSet::new();
    let waiter = api.clone();
    waiting.spawn(async move {
        waiter.get(&format!("/events?events=dsync.user.created&after={after}&wait=60")).await
    });
    directory.group("Engineering").await;
    let second = directory.user("second@acme.example").await;
    let page = waiting.join_next().await.unwrap().unwrap();
    assert_eq!(page["data"].as_array().unwrap().len(), 1);
    assert_eq!(page["data"][0]["data"]["email"], "second@acme.example");
    assert!(begun.elapsed() < Duration::from_secs(30), "{second} was seen at once");
    for wait in ["-1", "61", "soon"] {
        let (status, said) = api.send("GET", &format!("/events?wait={wait}"), None).await;
        assert_eq!((status, said["errors"][0]["field"].as_str()), (422, Some("wait")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_drains_answers_who_waits() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let url = format!("{}/events?wait=60", server.base());
    let mut waiting = JoinSet::new();
    waiting.spawn(http_client().get(url).bearer_auth(API_KEY).send());
    // The server takes requests in order: when this one is answered, the other has begun or is about to.
    api.get("/events").await;
    let begun = Instant::now();
    assert!(server.terminate().success());
    assert!(begun.elapsed() < Duration::from_secs(8));
    if let Ok(answer) = waiting.join_next().await.unwrap().unwrap() {
        let page = json_of(&answer.bytes().await.unwrap());
        assert_eq!(page["data"], json!([]));
    }
}

/// A consumer that knows nothing but the events API.
#[derive(Default)]
pub(crate) struct Copy {
    pub(crate) users: BTreeMap<String, Value>,
    pub(crate) groups: BTreeMap<String, Value>,
    pub(crate) members: BTreeMap<(String, String), ()>,
}

impl Copy {
    pub(crate) fn apply(&mut self, event: &Value) {
        let data = &event["data"];
        let id = |of: &Value| of["id"].as_str().unwrap().to_owned();
        let plain = |of: &Value| {
            let mut of = of.clone();
            of.as_object_mut().unwrap().remove("previous_attributes");
            of
        };
        match event["event"].as_str().unwrap() {
            "dsync.user.created" | "dsync.user.updated" => {
                self.users.insert(id(data), plain(data));
            }
            "dsync.user.deleted" => {
                self.users.remove(&id(data));
                self.members.retain(|(_, user), ()| *user != id(data));
            }
            "dsync.group.created" | "dsync.group.updated" => {
                self.groups.insert(id(data), plain(data));
            }
            "dsync.group.deleted" => {
                self.groups.remove(&id(data));
                self.members.retain(|(group, _), ()| *group != id(data));
            }
            "dsync.group.user_added" => {
                self.members.insert((id(&data["group"]), id(&data["user"])), ());
            }
            "dsync.group.user_removed" => {
                self.members.remove(&(id(&data["group"]), id(&data["user"])));
            }
            other => panic!("{other} was not asked for"),
        }
    }

    /// The same directory, read from its lists.
    pub(crate) async fn read(api: &Api, directory: &str) -> Self {
        let mut copy = Self::default();
        for mut user in all(api, &format!("/directory_users?directory={directory}")).await {
            let groups = user.as_object_mut().unwrap().remove("groups").unwrap();
            let id = user["id"].as_str().unwrap().to_owned();
            for group in groups.as_array().unwrap() {
                let group = group["id"].as_str().unwrap().to_owned();
                copy.members.insert((group, id.clone()), ());
            }
            copy.users.insert(id, user);
        }
        for group in all(api, &format!("/directory_groups?directory={directory}")).await {
            copy.groups.insert(group["id"].as_str().unwrap().to_owned(), group);
        }
        copy
    }
}

async fn all(api: &Api, list: &str) -> Vec<Value> {
    let (mut items, mut after) = (Vec::new(), String::new());
    loop {
        let page = api.get(&format!("{list}&limit=3{after}")).await;
        items.extend(page["data"].as_array().unwrap().iter().cloned());
        match page["list_metadata"]["after"].as_str() {
            Some(id) => after = format!("&after={id}"),
            None => return items,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_of_all_events_rebuilds_the_directory_exactly() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let directory = api.directory("azure scim v2.0", "Acme").await;
    live(&directory).await;

    let mut copy = Copy::default();
    api.events(TYPES).await.iter().for_each(|event| copy.apply(event));
    let read = Copy::read(&api, &directory.id).await;
    assert_eq!(copy.users, read.users);
    assert_eq!(copy.members, read.members);
    assert_eq!(copy.groups, read.groups);
    assert_eq!((copy.users.len(), copy.groups.len()), (11, 1));
}

/// Some of everything that happens to a directory. Eleven users and a group are left.
pub(crate) async fn live(directory: &Directory) {
    let mut users = Vec::new();
    for number in 0..12 {
        users.push(directory.user(&format!("person{number}@acme.example")).await);
    }
    let (crew, staff) = (directory.group("Crew").await, directory.group("Staff").await);
    let members = |ids: &[String]| -> Value {
        ids.iter().map(|id| json!({ "value": id })).collect::<Vec<_>>().into()
    };
    for (group, ids) in [(&crew, &users[..8]), (&staff, &users[4..])] {
        let add = json!([{ "op": "Add", "path": "members", "value": members(ids) }]);
        directory.patch(&format!("/Groups/{group}"), add).await.expect(204);
    }
    let change = json!([{ "op": "Replace", "path": "title", "value": "Chief" },
        { "op": "Replace", "path": "active", "value": "False" }]);
    directory.patch(&format!("/Users/{}", users[1]), change).await.expect(200);
    let rename = json!([{ "op": "Replace", "path": "displayName", "value": "All hands" }]);
    directory.patch(&format!("/Groups/{staff}"), rename).await.expect(204);
    let remove = json!([{ "op": "Remove", "path": "members", "value": members(&users[2..4]) }]);
    directory.patch(&format!("/Groups/{crew}"), remove).await.expect(204);
    directory.send("DELETE", &format!("/Users/{}", users[5]), None).await.expect(204);
    directory.send("DELETE", &format!("/Groups/{crew}"), None).await.expect(204);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_created_twice_with_one_key_is_created_once_also_over_a_restart() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let organization = server.api().create("/organizations", &json!({ "name": "Acme" })).await;
    let body =
        json!({ "organization_id": organization["id"], "type": "okta scim v2.0", "name": "Okta" });
    let create = async |server: &Server| {
        let request = http_client().post(format!("{}/directories", server.base()));
        let request = request.bearer_auth(API_KEY).header("Idempotency-Key", "create-okta");
        let answer = request.json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 201);
        json_of(&answer.bytes().await.unwrap())
    };
    let first = create(&server).await;
    assert!(server.terminate().success());
    let server = Server::start(data.path());
    let mut again = create(&server).await;
    // The address of the server is another one; everything else, the token too, is the same.
    again["scim"]["endpoint"] = first["scim"]["endpoint"].clone();
    assert_eq!(again, first);
    let directories = server.api().get("/directories").await;
    assert_eq!(directories["data"].as_array().unwrap().len(), 1);
}
