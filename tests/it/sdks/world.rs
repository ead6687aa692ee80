//! What there is to see, and what has to be seen of it. All people and groups come in over SCIM.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use tests::scim::user_body;
use tests::server::{API_KEY, eventually};
use tests::{Api, Directory, Server};

use super::Seen;

/// How many users Acme gets. Two pages and a half of the longest.
const USERS: usize = 253;

/// How many groups: a page of the default length and a rest. The first user is in all but the last.
const GROUPS: usize = 12;

/// How many organizations have nothing but a name.
const OTHERS: usize = 11;

/// The types of events that every SDK knows.
const TYPES: [&str; 10] = [
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

/// A server with two customers: Acme, whose directory has all kinds of things in it, and Globex, of whom
/// nothing may appear among them.
pub(super) struct World {
    server: Server,
    acme: String,
    directory: Directory,
    globex: Directory,
    /// The first user of Acme, as the API calls it.
    user: String,
    /// The first group of Acme.
    group: String,
    _data: tempfile::TempDir,
}

impl World {
    pub(super) async fn new() -> Self {
        let data = tempfile::tempdir().unwrap();
        let server = Server::start(data.path());
        let api = server.api();
        let organization = json!({ "name": "Acme", "external_id": "acme-1",
            "domain_data": [{ "domain": "acme.example", "state": "verified" }] });
        let acme = api.create("/organizations", &organization).await;
        let acme = acme["id"].as_str().unwrap().to_owned();
        let new =
            json!({ "organization_id": acme, "type": "azure scim v2.0", "name": "Acme Entra" });
        let directory = Directory::new(&api.create("/directories", &new).await, server.base());
        people(&directory).await;

        let globex = api.directory("okta scim v2.0", "Globex").await;
        globex.user("hank@globex.example").await;
        globex.user("frank@globex.example").await;
        globex.group("Marketing").await;
        for number in 0..OTHERS {
            let name = format!("Other {number:02}");
            api.create("/organizations", &json!({ "name": name })).await;
        }
        settled(&api).await;
        let first = |list: &'static str| first(&api, list, &directory.id);
        let (user, group) = (first("directory_users").await, first("directory_groups").await);
        Self { server, acme, directory, globex, user, group, _data: data }
    }

    /// What a program needs to know.
    pub(super) fn config(&self) -> Value {
        let base = self.server.base();
        let (host, port) =
            base.strip_prefix("http://").and_then(|base| base.split_once(':')).unwrap();
        let nobody = format!("directory_user_{}", "0".repeat(26));
        json!({ "base": base, "host": host, "port": port.parse::<u16>().unwrap(), "key": API_KEY,
            "organization": self.acme, "external_id": "acme-1", "directory": self.directory.id,
            "user": self.user, "group": self.group, "nobody": nobody, "types": TYPES })
    }

    /// What has to be seen, whatever the language.
    pub(super) fn expected(&self) -> Seen {
        let mut expected = self.expected_of_directories();
        expected.append(&mut self.expected_of_people());
        expected.append(&mut expected_of_organizations(&self.acme));
        expected.append(&mut self.expected_of_events());
        expected.append(&mut checks(json!({
            "endpoint": {
                "created": ["https://app.example/hooks", "enabled", ["dsync.user.created"], "whsec_"],
                "again": 409,
                "listed": 1,
                "updated": ["disabled", ["dsync.group.created", "dsync.group.deleted"]],
                "after_deletion": 0,
            },
            "portal": { "link": format!("{}/setup", self.server.base()), "other": 422 },
            "nobody": "entity_not_found",
            "wrong_key": 401,
        })));
        expected
    }

    fn expected_of_directories(&self) -> Seen {
        checks(json!({
            "directories": [
                [self.globex.id, "Globex", "okta scim v2.0"],
                [self.directory.id, "Acme Entra", "azure scim v2.0"],
            ],
            "directory_states": ["linked", "linked"],
            "directories_of_organization": [self.directory.id],
            "directory": [self.directory.id, "Acme Entra", "azure scim v2.0", self.acme],
        }))
    }

    fn expected_of_people(&self) -> Seen {
        let newest_first = |of: &dyn Fn(usize) -> bool| -> Vec<String> {
            (0..USERS - 1).rev().filter(|number| of(*number)).map(idp_id).collect()
        };
        let groups: Vec<String> = (0..GROUPS).rev().map(group_name).collect();
        let of_user: Vec<String> = (0..GROUPS - 1).map(group_name).collect();
        let of_user_newest_first: Vec<&String> = of_user.iter().rev().collect();
        checks(json!({
            "users": newest_first(&|_| true),
            "users_of_group": newest_first(&is_in_the_first_group),
            "groups": groups,
            "groups_of_user": of_user_newest_first,
            "user": {
                "id": self.user, "directory": self.directory.id, "organization": self.acme,
                "idp_id": idp_id(0), "email": email(0), "username": email(0),
                "first_name": "Adele", "last_name": "Vance", "job_title": "Head of Retail",
                "state": "active", "emails": [[email(0), "work", true]],
                "raw_title": "Head of Retail", "groups": of_user,
            },
            "group": {
                "id": self.group, "directory": self.directory.id, "organization": self.acme,
                "idp_id": group_name(0), "name": group_name(0),
            },
            "user_by_idp_id": [idp_id(7)],
            "user_by_email": [idp_id(7)],
        }))
    }

    fn expected_of_events(&self) -> Seen {
        let events = counts();
        let all: usize = events.values().sum();
        let of_globex = 1 + 2 + 1;
        checks(json!({
            "events": events,
            "first_event": ["dsync.activated", self.directory.id, "active"],
            "events_after_the_hundredth": all - 100,
            "events_of_organization": all - of_globex,
            "updated_event": ["Head of Retail", "Retail Manager"],
            "added_event": [self.directory.id, email(0), group_name(0)],
        }))
    }
}

fn expected_of_organizations(acme: &str) -> Seen {
    let mut names: Vec<String> =
        (0..OTHERS).rev().map(|number| format!("Other {number:02}")).collect();
    names.extend(["Globex".to_owned(), "Acme".to_owned()]);
    checks(json!({
        "organizations": names,
        "organizations_of_domain": ["Acme"],
        "organization": [acme, "Acme", "acme-1", ["acme.example"]],
        "organization_by_external_id": acme,
        "organization_life": {
            "created": ["Initech", "initech-1", ["initech.example"]],
            "updated": ["Initrode", ["initech.example"]],
            "after_deletion": 404,
        },
    }))
}

/// The oldest in one of the lists of a directory.
async fn first(api: &Api, list: &str, directory: &str) -> String {
    let page = api.get(&format!("/{list}?directory={directory}&order=asc&limit=1")).await;
    page["data"][0]["id"].as_str().unwrap().to_owned()
}

/// The users and groups of Acme.
async fn people(directory: &Directory) {
    let (mut users, mut groups) = (Vec::new(), Vec::new());
    for number in 0..USERS {
        let created = directory.send("POST", "/Users", Some(user_body(&email(number)))).await;
        users.push(created.expect(201).id());
    }
    for number in 0..GROUPS {
        groups.push(directory.group(&group_name(number)).await);
    }
    let members: Vec<Value> = (0..USERS)
        .filter(|number| is_in_the_first_group(*number))
        .map(|number| json!({ "value": users[number] }))
        .collect();
    let add = |members| json!([{ "op": "add", "path": "members", "value": members }]);
    directory.patch(&format!("/Groups/{}", groups[0]), add(members)).await.expect(204);
    for group in &groups[1..GROUPS - 1] {
        let only = vec![json!({ "value": users[0] })];
        directory.patch(&format!("/Groups/{group}"), add(only)).await.expect(204);
    }
    let title = json!([{ "op": "replace", "path": "title", "value": "Head of Retail" }]);
    directory.patch(&format!("/Users/{}", users[0]), title).await.expect(200);
    let last = format!("/Users/{}", users[USERS - 1]);
    directory.send("DELETE", &last, None).await.expect(204);
}

/// Waits until the feed has everything.
async fn settled(api: &Api) {
    let all: usize = counts().values().sum();
    eventually("the feed has every event", || async {
        (api.events(&TYPES.join(",")).await.len() == all).then_some(())
    })
    .await;
}

/// How many events of each type there are.
fn counts() -> BTreeMap<&'static str, usize> {
    let members = (0..USERS).filter(|number| is_in_the_first_group(*number)).count();
    BTreeMap::from([
        ("dsync.activated", 2),
        ("dsync.user.created", USERS + 2),
        ("dsync.user.updated", 1),
        ("dsync.user.deleted", 1),
        ("dsync.group.created", GROUPS + 1),
        ("dsync.group.user_added", members + GROUPS - 2),
    ])
}

/// More than a page of them, and not the one that is deleted.
fn is_in_the_first_group(number: usize) -> bool {
    number.is_multiple_of(2) && number < USERS - 1
}

fn email(number: usize) -> String {
    format!("user.{number:03}@acme.example")
}

fn idp_id(number: usize) -> String {
    format!("ext-{}", email(number))
}

fn group_name(number: usize) -> String {
    format!("Group {number:02}")
}

fn checks(object: Value) -> Seen {
    serde_json::from_value(object).expect("it is an object")
}
