//! Roles by groups, from the call that maps them to what apps see.

use serde_json::{Value, json};
use tests::Server;

use crate::attributes::{agrees, refreshed};

#[tokio::test(flavor = "multi_thread")]
async fn users_have_the_roles_of_their_groups_and_apps_are_told_when_they_change() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let directory = api.directory("okta scim v2.0", "Acme").await;
    let path = format!("/directories/{}/role_mapping", directory.id);
    let (ada, bob) = (directory.user("ada@x.test").await, directory.user("bob@x.test").await);
    let (admins, sales) = (directory.group("Admins").await, directory.group("Sales").await);
    let change = async |group: &str, op: &str, user: &str| {
        let operation = match op {
            "add" => json!([{ "op": op, "path": "members", "value": [{ "value": user }] }]),
            _ => json!([{ "op": op, "path": format!("members[value eq \"{user}\"]") }]),
        };
        directory.patch(&format!("/Groups/{group}"), operation).await.expect(204);
    };
    change(&sales, "add", &ada).await;
    let users = format!("/directory_users?directory={}&order=asc", directory.id);
    let before = api.get(&users).await;
    assert_eq!(before["data"][0].get("role"), None, "no roles are configured");

    let shown = api.get(&format!("/directory_groups?directory={}", directory.id)).await;
    let admins_id = &shown["data"][1]["id"];
    let mapping = json!({ "default_role": "member", "groups": [
        { "group": admins_id, "role": "admin" }, { "group": "sales", "role": "seller" } ] });
    let (status, set) = api.send("PUT", &path, Some(&mapping)).await;
    assert_eq!((status, &set), (200, &mapping));
    refreshed(&api, &directory.id).await;
    let slugs = async || {
        let page = api.get(&users).await;
        let slugs = page["data"].as_array().unwrap().iter().map(|user| {
            let roles = user["roles"].as_array().unwrap().iter().map(|role| role["slug"].clone());
            let roles: Vec<Value> = roles.collect();
            assert_eq!(user["role"]["slug"], roles[0]);
            roles
        });
        json!(slugs.collect::<Vec<_>>())
    };
    assert_eq!(slugs().await, json!([["seller"], ["member"]]));
    change(&admins, "add", &ada).await;
    change(&sales, "add", &bob).await;
    change(&sales, "remove", &ada).await;
    assert_eq!(slugs().await, json!([["admin"], ["seller"]]));
    directory.send("DELETE", &format!("/Groups/{admins}"), None).await.expect(204);
    assert_eq!(slugs().await, json!([["member"], ["seller"]]));

    let updates = api.events("dsync.user.updated").await;
    let role = |user: &Value| user["role"]["slug"].as_str().unwrap_or_default().to_owned();
    let told: Vec<_> = updates
        .iter()
        .map(|event| {
            let data = &event["data"];
            (role(&data["previous_attributes"]), role(data))
        })
        .collect();
    // Ada's second role while she had both is no new role of the highest priority, but one of all.
    let expected = [
        ("", "seller"),
        ("", "member"),
        ("seller", "admin"),
        ("member", "seller"),
        ("", "admin"),
        ("admin", "member"),
    ];
    assert_eq!(told, expected.map(|(old, new)| (old.to_owned(), new.to_owned())));

    let server = agrees(server, data.path());
    let (status, none) = server.api().send("PUT", &path, Some(&json!({}))).await;
    assert_eq!((status, none), (200, json!({ "default_role": null, "groups": [] })));
    refreshed(&server.api(), &directory.id).await;
    assert_eq!(server.api().get(&users).await["data"][0].get("role"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_about_a_role_mapping_is_named() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let directory = api.directory("okta scim v2.0", "Acme").await;
    let path = format!("/directories/{}/role_mapping", directory.id);
    let elsewhere = api.directory("okta scim v2.0", "Rival").await;
    elsewhere.group("Sales").await;
    let groups = api.get(&format!("/directory_groups?directory={}", elsewhere.id)).await;
    let of_other = groups["data"][0]["id"].clone();
    let nowhere = format!("directory_group_{}", "0".repeat(26));
    for (wrong, field) in [
        (
            json!({ "groups": [{ "group": "a", "role": "b" }, { "group": of_other, "role": "b" }] }),
            "groups[1].group",
        ),
        (json!({ "groups": [{ "group": nowhere, "role": "b" }] }), "groups[0].group"),
        (json!({ "default_role": "no spaces" }), "default_role"),
        (json!({ "groups": [{ "group": "a" }] }), "groups[0]"),
        (json!({ "groups": [{ "group": "a", "role": "b c" }] }), "groups[0].role"),
        (json!({ "roles": [] }), "roles"),
    ] {
        let (status, said) = api.send("PUT", &path, Some(&wrong)).await;
        assert_eq!((status, said["errors"][0]["field"].as_str()), (422, Some(field)), "{said}");
    }
    assert_eq!(api.get(&path).await, json!({ "default_role": null, "groups": [] }));
    assert_eq!(api.send("PUT", "/directories/x/role_mapping", Some(&json!({}))).await.0, 404);
}
