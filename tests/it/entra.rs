//! A provisioning cycle of Entra ID, request by request, and the webhooks it causes.

use serde_json::{Value, json};
use tests::scim::user_body;
use tests::{Directory, Receiver, Server};

const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";

#[tokio::test(flavor = "multi_thread")]
async fn an_entra_cycle_causes_exactly_these_webhooks_in_this_order() {
    let data = tempfile::tempdir().unwrap();
    cycle(Server::start(data.path())).await;
}

/// The whole cycle on a server whose history is empty.
pub(crate) async fn cycle(server: Server) {
    let receiver = Receiver::start().await;
    let api = server.api();
    let (_, secret) = api.endpoint(receiver.url()).await;
    let directory = api.directory("azure scim v2.0", "Contoso").await;

    test_connection(&directory).await;
    let (adele, boss) = provision_users(&directory).await;
    update_and_soft_delete(&directory, &adele, &boss).await;
    let group = provision_group(&directory, &adele, &boss).await;
    deprovision(&directory, &adele, &group).await;

    let expected = [
        "dsync.activated",
        "dsync.user.created",
        "dsync.user.created",
        "dsync.user.updated",
        "dsync.user.updated",
        "dsync.user.updated",
        "dsync.user.updated",
        "dsync.group.created",
        "dsync.group.user_added",
        "dsync.group.user_added",
        "dsync.group.user_removed",
        "dsync.group.updated",
        "dsync.user.deleted",
        "dsync.group.deleted",
    ];
    let arrived = receiver.wait_for(expected.len()).await;
    for delivery in &arrived {
        delivery.verify(&secret);
        assert_eq!(delivery.header("content-type"), "application/json");
        assert_eq!(delivery.header("dsync-attempt"), "1");
    }
    in_order_of_the_stream(&arrived, &expected);
    the_events_api_says_the_same(&server, &arrived, &expected).await;
    payloads_say_what_happened(&arrived, &directory);
    assert!(server.terminate().success(), "SIGTERM drains and ends with 0");
    assert_eq!(receiver.arrived().len(), expected.len(), "nothing is sent twice");
}

/// A filter for a user that does not exist: 200 and an empty list, never 404.
async fn test_connection(directory: &Directory) {
    let probe = "/Users?filter=userName+eq+%221c7d8f4e-0a5b-4f8e-9a43-2f6f1d1f0001%22";
    let answer = directory.send("GET", probe, None).await.expect(200);
    assert_eq!(answer.body["totalResults"], 0);
    assert_eq!(answer.body["Resources"].as_array().map_or(0, Vec::len), 0);
    assert_eq!(answer.content_type.as_deref(), Some("application/scim+json"));
}

async fn provision_users(directory: &Directory) -> (String, String) {
    let mut ids = Vec::new();
    for name in ["adele.vance@contoso.example", "boss@contoso.example"] {
        let probe = format!("/Users?filter=userName+eq+%22{}%22", name.replace('@', "%40"));
        let found = directory.send("GET", &probe, None).await.expect(200);
        assert_eq!(found.body["totalResults"], 0);
        let created = directory.send("POST", "/Users", Some(user_body(name))).await.expect(201);
        assert_eq!(created.body["userName"], name);
        let location = created.location.clone().expect("a Location");
        assert_eq!(created.body["meta"]["location"], location.as_str());
        let found = directory.send("GET", &probe, None).await.expect(200);
        assert_eq!(found.body["Resources"][0]["id"], created.body["id"]);
        ids.push(created.id());
    }
    (ids[0].clone(), ids[1].clone())
}

async fn update_and_soft_delete(directory: &Directory, adele: &str, boss: &str) {
    let path = format!("/Users/{adele}");
    let several = json!([
        { "op": "Replace", "path": "displayName", "value": "Adele V." },
        { "op": "Replace", "path": "emails[type eq \"work\"].value", "value": "adele.v@contoso.example" },
        { "op": "Add", "path": "phoneNumbers[type eq \"mobile\"].value", "value": "+1 425 555 0199" },
        { "op": "Replace", "path": format!("{ENTERPRISE}:department"), "value": "Sales" },
    ]);
    let updated = directory.patch(&path, several).await.expect(200);
    assert_eq!(updated.body["emails"][0]["value"], "adele.v@contoso.example");
    assert_eq!(updated.body[ENTERPRISE]["department"], "Sales");

    let manager = json!([{ "op": "Add", "path": format!("{ENTERPRISE}:manager"), "value": boss }]);
    let updated = directory.patch(&path, manager).await.expect(200);
    assert_eq!(updated.body[ENTERPRISE]["manager"]["value"], boss);

    let soft_delete = json!([{ "op": "Replace", "path": "active", "value": "False" }]);
    let disabled = directory.patch(&path, soft_delete.clone()).await.expect(200);
    assert_eq!(disabled.body["active"], json!(false));
    // Again: nothing changes, no event.
    directory.patch(&path, soft_delete).await.expect(200);
    let read = directory.send("GET", &path, None).await.expect(200);
    assert_eq!(read.body["active"], json!(false), "a disabled user can still be read");

    let restore = json!([{ "op": "Replace", "path": "active", "value": "True" }]);
    directory.patch(&path, restore).await.expect(200);
}

async fn provision_group(directory: &Directory, adele: &str, boss: &str) -> String {
    let probe = "/Groups?excludedAttributes=members&filter=displayName+eq+%22Sales%22";
    let none = directory.send("GET", probe, None).await.expect(200);
    assert_eq!(none.body["totalResults"], 0);
    let body = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group",
            "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],
        "externalId": "0b5e7a90-1c1d-4c0b-8d6f-0a1b2c3d4e5f", "displayName": "Sales",
        "meta": { "resourceType": "Group" }
    });
    let group = directory.send("POST", "/Groups", Some(body)).await.expect(201).id();
    let path = format!("/Groups/{group}");

    let both = json!([{ "op": "Add", "path": "members",
        "value": [{ "$ref": null, "value": adele }, { "$ref": null, "value": boss }] }]);
    directory.patch(&path, both.clone()).await.expect(204);
    directory.patch(&path, both).await.expect(204);
    let remove = json!([{ "op": "Remove", "path": "members",
        "value": [{ "$ref": null, "value": boss }] }]);
    directory.patch(&path, remove).await.expect(204);
    let read = directory.send("GET", &path, None).await.expect(200);
    assert_eq!(members(&read.body), [adele]);

    let rename = json!([{ "op": "Replace", "path": "displayName", "value": "Sales EMEA" }]);
    directory.patch(&path, rename).await.expect(204);
    let read = directory.send("GET", &path, None).await.expect(200);
    assert_eq!(members(&read.body), [adele], "a rename touches no members");
    group
}

async fn deprovision(directory: &Directory, adele: &str, group: &str) {
    directory.send("DELETE", &format!("/Users/{adele}"), None).await.expect(204);
    let gone = directory.send("GET", &format!("/Users/{adele}"), None).await;
    gone.expect_error(404, None);
    let read = directory.send("GET", &format!("/Groups/{group}"), None).await.expect(200);
    assert_eq!(members(&read.body), [""; 0], "a deleted user is in no group");
    directory.send("DELETE", &format!("/Groups/{group}"), None).await.expect(204);
}

fn members(group: &Value) -> Vec<&str> {
    let members = group["members"].as_array().map(Vec::as_slice).unwrap_or_default();
    members.iter().map(|member| member["value"].as_str().expect("a value")).collect()
}

/// Webhooks keep the order of each user and of each group; over all resources together, the place
/// of an event in its stream is in `dsync-sequence`.
fn in_order_of_the_stream(arrived: &[tests::Delivery], expected: &[&str]) {
    let sequence = |delivery: &tests::Delivery| -> u64 {
        delivery.header("dsync-sequence").parse().expect("a number")
    };
    let mut sorted = arrived.to_vec();
    sorted.sort_by_key(sequence);
    let kinds: Vec<&str> = sorted.iter().map(tests::Delivery::kind).collect();
    assert_eq!(kinds, expected);
    for line in ["user", "group"] {
        let of_line = |delivery: &&tests::Delivery| delivery.kind().contains(line);
        let subject = |delivery: &tests::Delivery| {
            let data = &delivery.event["data"];
            let object = if data[line].is_object() { &data[line] } else { data };
            object["id"].as_str().expect("an id").to_owned()
        };
        let mut last = std::collections::BTreeMap::new();
        for delivery in arrived.iter().filter(of_line) {
            let before = last.insert(subject(delivery), sequence(delivery));
            assert!(before.is_none_or(|before| before < sequence(delivery)), "out of order");
        }
    }
}

async fn the_events_api_says_the_same(
    server: &Server,
    arrived: &[tests::Delivery],
    expected: &[&str],
) {
    let events = server.api().events(&expected.join(",")).await;
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!(kinds, expected);
    for event in &events {
        let sent = arrived.iter().find(|sent| Some(sent.id()) == event["id"].as_str());
        assert_eq!(&sent.expect("every event was sent").event, event);
    }
}

fn payloads_say_what_happened(arrived: &[tests::Delivery], directory: &Directory) {
    let mut of_kind: Vec<&tests::Delivery> =
        arrived.iter().filter(|delivery| delivery.kind() == "dsync.user.updated").collect();
    of_kind.sort_by_key(|delivery| delivery.header("dsync-sequence").parse::<u64>().unwrap());
    let data = |index: usize| &of_kind[index].event["data"];
    assert_eq!(data(0)["email"], "adele.v@contoso.example");
    assert_eq!(data(0)["previous_attributes"]["email"], "adele.vance@contoso.example");
    assert_eq!(data(0)["directory_id"], directory.id.as_str());
    assert_eq!(data(2)["state"], "inactive");
    assert_eq!(data(2)["previous_attributes"]["state"], "active");
    assert_eq!(data(3)["state"], "active");
    assert!(data(0).get("groups").is_none(), "events carry no groups");
    let added = arrived.iter().find(|sent| sent.kind() == "dsync.group.user_added").unwrap();
    assert_eq!(added.event["data"]["group"]["name"], "Sales");
    assert_eq!(added.event["data"]["group"]["idp_id"], "0b5e7a90-1c1d-4c0b-8d6f-0a1b2c3d4e5f");
}
