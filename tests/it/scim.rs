//! The SCIM protocol as a client sees it, beyond what identity providers use every day: versions, bulk
//! requests, searches, sorting, cursors.

use serde_json::{Value, json};
use tests::scim::{patch_body, user_body};
use tests::{Directory, Server};

async fn server() -> (tempfile::TempDir, Server, Directory) {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start(folder.path());
    let directory = server.api().directory("generic scim v2.0", "Protocol").await;
    (folder, server, directory)
}

fn names(listed: &Value) -> Vec<&str> {
    let resources = listed["Resources"].as_array().expect("a list");
    resources.iter().filter_map(|one| one["userName"].as_str()).collect()
}

fn bulk(operations: &Value) -> Value {
    json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:BulkRequest"], "Operations": operations })
}

fn search(more: &Value) -> Value {
    let mut body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:SearchRequest"] });
    let fields = more.as_object().expect("an object").clone();
    body.as_object_mut().expect("an object").extend(fields);
    body
}

#[tokio::test]
async fn a_write_is_bound_to_the_version_that_the_client_has_seen() {
    let (_folder, _server, directory) = server().await;
    let created = directory.send("POST", "/Users", Some(user_body("ada@x.test"))).await.expect(201);
    let path = format!("/Users/{}", created.id());
    let first = created.etag.clone().expect("a tag");
    assert_eq!(created.body["meta"]["version"], first);

    let title = |title: &str| {
        Some(patch_body(&json!([{ "op": "replace", "path": "title", "value": title }])))
    };
    let patched =
        directory.send_with(("if-match", &first), "PATCH", &path, title("A")).await.expect(200);
    let second = patched.etag.clone().expect("a tag");
    assert_ne!(first, second);
    for (method, body) in
        [("PATCH", title("B")), ("PUT", Some(user_body("ada@x.test"))), ("DELETE", None)]
    {
        let refused = directory.send_with(("if-match", &first), method, &path, body).await;
        refused.expect_error(412, None);
        assert!(refused.body["detail"].as_str().unwrap_or_default().contains(&second));
    }
    let now = directory.send("GET", &path, None).await.expect(200);
    assert_eq!((now.etag.as_deref(), &now.body["title"]), (Some(&*second), &json!("A")));

    let known = directory.send_with(("if-none-match", &second), "GET", &path, None).await;
    assert_eq!((known.status, known.body), (304, Value::Null));
    directory.send_with(("if-none-match", &first), "GET", &path, None).await.expect(200);
    for known in ["*", &second] {
        for (method, body) in
            [("PATCH", title("C")), ("PUT", Some(user_body("ada@x.test"))), ("DELETE", None)]
        {
            let refused = directory.send_with(("if-none-match", known), method, &path, body).await;
            refused.expect_error(412, None);
        }
    }
    let others = ("if-none-match", &*first);
    let changed = directory.send_with(others, "PATCH", &path, title("D")).await.expect(200);
    assert_eq!(changed.body["title"], "D");
    directory.send_with(("if-match", "*"), "DELETE", &path, None).await.expect(204);
    let gone = directory.send_with(("if-match", "*"), "DELETE", &path, None).await;
    gone.expect_error(404, None);
}

#[tokio::test]
async fn a_search_sorts_filters_projects_and_pages_as_its_body_says() {
    let (_folder, _server, directory) = server().await;
    for name in ["cy@x.test", "ADA@x.test", "bob@x.test"] {
        directory.user(name).await;
    }
    directory.group("Team").await;
    let body = search(&json!({ "filter": "userName co \"x.test\"", "attributes": ["userName"],
        "sortBy": "userName", "sortOrder": "descending", "startIndex": 2, "count": 2 }));
    let found = directory.send("POST", "/Users/.search", Some(body)).await.expect(200);
    assert_eq!(names(&found.body), ["bob@x.test", "ADA@x.test"]);
    assert_eq!(found.body["totalResults"], 3);
    assert!(found.body["Resources"][0].get("title").is_none(), "{}", found.body);

    let everything = directory.send("POST", "/.search", Some(search(&json!({})))).await.expect(200);
    assert_eq!(everything.body["totalResults"], 4);
    let of_users = search(&json!({ "filter": "meta.resourceType eq \"User\"" }));
    let of_users = directory.send("POST", "/.search", Some(of_users)).await.expect(200);
    assert_eq!(of_users.body["totalResults"], 3);
    let last = search(&json!({ "startIndex": 3, "count": 5 }));
    let last = directory.send("POST", "/.search", Some(last)).await.expect(200);
    assert_eq!(last.body["itemsPerPage"], 2);
    assert_eq!(last.body["Resources"][1]["displayName"], "Team");
    let groups = search(&json!({ "filter": "displayName eq \"team\"" }));
    let groups = directory.send("POST", "/Groups/.search", Some(groups)).await.expect(200);
    assert_eq!(groups.body["totalResults"], 1);
    let wrong = directory.send("POST", "/.search", Some(json!({ "filter": "userName pr" }))).await;
    wrong.expect_error(400, Some("invalidSyntax"));
}

#[tokio::test]
async fn cursors_lead_from_the_first_page_to_the_last() {
    let (_folder, _server, directory) = server().await;
    for number in 0..7 {
        directory.user(&format!("user{number}@x.test")).await;
    }
    directory.group("Team").await;
    for path in ["/Users?count=3&filter=userName+sw+%22user%22", "/Users?count=3&sortBy=userName"] {
        let (mut seen, mut cursor) = (Vec::new(), String::new());
        loop {
            let page =
                directory.send("GET", &format!("{path}&cursor={cursor}"), None).await.expect(200);
            assert_eq!(page.body["totalResults"], 7);
            assert!(page.body.get("startIndex").is_none());
            seen.extend(names(&page.body).into_iter().map(str::to_owned));
            match page.body["nextCursor"].as_str() {
                Some(next) => cursor = next.to_owned(),
                None => break,
            }
        }
        let expected: Vec<_> = (0..7).map(|number| format!("user{number}@x.test")).collect();
        assert_eq!(seen, expected);
    }
    let page = directory.send("GET", "/Users?count=3&cursor", None).await.expect(200);
    let cursor = page.body["nextCursor"].as_str().expect("a cursor").to_owned();
    let other = format!("/Users?filter=active+eq+true&cursor={cursor}");
    directory.send("GET", &other, None).await.expect_error(400, Some("invalidCursor"));
    directory.send("GET", "/Users?cursor=x", None).await.expect_error(400, Some("invalidCursor"));

    let (mut seen, mut cursor) = (0, String::new());
    loop {
        let page =
            directory.send("GET", &format!("/?count=7&cursor={cursor}"), None).await.expect(200);
        seen += page.body["itemsPerPage"].as_u64().expect("a number");
        match page.body["nextCursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen, 8, "users and groups");
}

#[tokio::test]
async fn a_resource_is_found_by_its_address_and_by_those_it_refers_to() {
    let (_folder, _server, directory) = server().await;
    let (ada, team) = (directory.user("ada@x.test").await, directory.group("Team").await);
    let member = json!([{ "op": "add", "path": "members", "value": [{ "value": ada }] }]);
    directory.patch(&format!("/Groups/{team}"), member).await.expect(204);
    let read = async |path: String| directory.send("GET", &path, None).await.expect(200).body;
    let (user, group) =
        (read(format!("/Users/{ada}")).await, read(format!("/Groups/{team}")).await);
    for (place, filter, of) in [
        ("/Users", "meta.location eq", &user["meta"]["location"]),
        ("/Users", "groups.$ref eq", &user["groups"][0]["$ref"]),
        ("/Groups", "meta.location eq", &group["meta"]["location"]),
        ("/Groups", "members.$ref eq", &group["members"][0]["$ref"]),
        ("/Groups", "members.$ref sw", &json!(directory.endpoint)),
    ] {
        let found = async |filter: String| {
            let body = search(&json!({ "filter": filter }));
            let path = format!("{place}/.search");
            directory.send("POST", &path, Some(body)).await.expect(200).body["totalResults"].clone()
        };
        assert_eq!(found(format!("{filter} {of}")).await, 1, "{filter} {of}");
        assert_eq!(found(format!("not ({filter} {of})")).await, 0, "{filter} {of}");
    }
}

#[tokio::test]
async fn who_asks_for_plain_json_is_answered_in_it() {
    let (_folder, _server, directory) = server().await;
    directory.user("ada@x.test").await;
    let token = format!("Bearer {}", directory.token);
    for (path, accept, expected) in [
        ("/Users", "application/json", "application/json"),
        ("/Users/nobody", "application/json", "application/json"),
        ("/Users", "application/json, application/scim+json", "application/scim+json"),
        ("/Users", "*/*", "application/scim+json"),
    ] {
        let headers = [("accept", accept), ("authorization", token.as_str())];
        let answer = directory.send_headers("GET", path, None, &headers).await.expect("an answer");
        assert_eq!(answer.content_type.as_deref(), Some(expected), "{path} {accept}");
    }
    let headers = [("accept", "application/json")];
    let refused = directory.send_headers("GET", "/Users", None, &headers).await.expect("an answer");
    assert_eq!((refused.status, refused.content_type.as_deref()), (401, Some("application/json")));
}

#[tokio::test]
async fn a_write_is_not_refused_for_what_only_lists_are_asked_for() {
    let (_folder, _server, directory) = server().await;
    let id = directory.user("ada@x.test").await;
    let body = patch_body(&json!([{ "op": "replace", "path": "title", "value": "T" }]));
    let path = format!("/Users/{id}?count=x&filter=(&attributes=title");
    let patched = directory.send("PATCH", &path, Some(body)).await.expect(200);
    assert_eq!((&patched.body["title"], patched.body.get("userName")), (&json!("T"), None));
    directory.send("GET", "/Users?count=x", None).await.expect_error(400, Some("invalidValue"));
    directory.send("DELETE", &format!("/Users/{id}?startIndex=x"), None).await.expect(204);
}

#[tokio::test]
async fn a_user_shows_no_active_after_a_patch_removed_it_and_is_still_active() {
    let (_folder, server, directory) = server().await;
    let id = directory.user("ada@x.test").await;
    let removed = directory
        .patch(&format!("/Users/{id}"), json!([{ "op": "remove", "path": "active" }]))
        .await;
    assert!(removed.expect(200).body.get("active").is_none());
    let found = directory.send("GET", "/Users?filter=active%20eq%20true", None).await.expect(200);
    assert_eq!(found.body["Resources"][0]["id"], json!(id));
    let found = directory.send("GET", "/Users?filter=active%20eq%20false", None).await.expect(200);
    assert_eq!(found.body["totalResults"], json!(0));
    let users = server.api().get(&format!("/directory_users?directory={}", directory.id)).await;
    assert_eq!(users["data"][0]["state"], "active");
}

#[tokio::test]
async fn a_disabled_user_comes_back_by_true_or_by_the_removal_of_active_and_by_nothing_else() {
    let (_folder, server, directory) = server().await;
    let id = directory.user("ada@x.test").await;
    let path = format!("/Users/{id}");
    let active =
        async || directory.send("GET", &path, None).await.expect(200).body["active"].clone();
    let set = async |operation: Value| directory.patch(&path, json!([operation])).await;
    let disable = json!({ "op": "replace", "path": "active", "value": false });
    set(disable).await.expect(200);
    let remove = |value: Value| json!({ "op": "remove", "path": "active", "value": value });
    for value in [json!(""), json!(null), json!([]), json!(false), json!("False")] {
        set(remove(value)).await.expect_error(400, Some("invalidValue"));
        assert_eq!(active().await, json!(false));
    }
    set(remove(json!(true))).await.expect(200);
    assert_eq!(active().await, json!(false), "it is not true that goes");
    for said in [json!(""), json!(null)] {
        let mut body = user_body("ada@x.test");
        body["active"] = said;
        directory.send("PUT", &path, Some(body)).await.expect(200);
        assert_eq!(active().await, json!(false));
    }
    let mut silent = user_body("ada@x.test");
    silent.as_object_mut().unwrap().remove("active");
    directory.send("PUT", &path, Some(silent)).await.expect(200);
    assert_eq!(active().await, json!(false));
    let users = server.api().get(&format!("/directory_users?directory={}", directory.id)).await;
    assert_eq!(users["data"][0]["state"], "inactive");
    set(json!({ "op": "remove", "path": "active" })).await.expect(200);
    let users = server.api().get(&format!("/directory_users?directory={}", directory.id)).await;
    assert_eq!(users["data"][0]["state"], "active");
}

#[tokio::test]
async fn members_who_are_not_named_stay_and_null_names_nobody() {
    let (_folder, _server, directory) = server().await;
    let ada = directory.user("ada@x.test").await;
    let group = directory.group("Crew").await;
    let add = json!([{ "op": "add", "path": "members", "value": [{ "value": ada }] }]);
    directory.patch(&format!("/Groups/{group}"), add).await.expect(204);
    for (op, nothing, status) in [
        ("remove", json!(""), 204),
        ("remove", json!([]), 204),
        ("remove", json!(null), 400),
        ("replace", json!(null), 400),
    ] {
        let change = json!([{ "op": op, "path": "members", "value": nothing }]);
        directory.patch(&format!("/Groups/{group}"), change).await.expect(status);
        let read = directory.send("GET", &format!("/Groups/{group}"), None).await.expect(200);
        assert_eq!(read.body["members"][0]["value"], json!(ada), "{nothing}");
    }
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back_and_others_are_not_held_up() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = Server::start_with(folder.path(), &[("DSYNC_SCIM_RATE_LIMIT", "2")]);
    let hasty = server.api().directory("generic scim v2.0", "Hasty").await;
    let calm = server.api().directory("generic scim v2.0", "Calm").await;
    let mut refused = None;
    for _ in 0..12 {
        let answer = hasty.send("GET", "/Users?count=0", None).await;
        if answer.status != 200 {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("a burst is 10 requests");
    refused.expect_error(429, None);
    assert_eq!(refused.retry_after.as_deref(), Some("1"), "whole seconds");
    calm.send("GET", "/Users?count=0", None).await.expect(200);
}

#[tokio::test]
async fn an_address_that_lacks_a_part_is_answered_in_scims_words() {
    let (_folder, server, directory) = server().await;
    for path in ["/scim", "/scim/", "/scim/v2.0", "/scim/v2.0/", "/scim/v2/Users"] {
        for method in ["GET", "POST"] {
            let at = directory.with_endpoint(format!("{}{path}", server.base()));
            let answer = at.send(method, "", None).await;
            answer.expect_error(404, None);
            let detail = answer.body["detail"].as_str().unwrap_or_default().to_owned();
            assert!(detail.contains("/scim/v2.0/{endpoint_id}"), "{detail}");
        }
    }
}

#[tokio::test]
async fn a_directory_can_have_the_scim_service_behave_otherwise() {
    let (_folder, server, directory) = server().await;
    let settings = format!("/directories/{}/scim_settings", directory.id);
    let change = json!({ "patch_group_response": 200, "value_path_no_match": "noTarget",
        "unknown_schema": "reject" });
    let (status, changed) = server.api().send("PATCH", &settings, Some(&change)).await;
    assert_eq!((status, &changed["patch_group_response"]), (200, &json!("200")));
    assert_eq!(server.api().get(&settings).await, changed);
    let misspelt = json!({ "unknown_member": "pending", "unknown_shema": "ignore" });
    let (status, refused) = server.api().send("PATCH", &settings, Some(&misspelt)).await;
    assert_eq!((status, &refused["errors"][0]["field"]), (422, &json!("unknown_shema")));
    let message = refused["errors"][0]["message"].as_str().unwrap_or_default();
    assert!(message.contains("unknown_schema"), "it names the nearest: {message}");
    assert_eq!(server.api().get(&settings).await, changed, "nothing has changed");

    let group = directory.group("Team").await;
    let rename = json!([{ "op": "replace", "path": "displayName", "value": "Crew" }]);
    let renamed = directory.patch(&format!("/Groups/{group}"), rename).await.expect(200);
    assert_eq!(renamed.body["displayName"], "Crew");
    let user = directory.user("ada@x.test").await;
    let home = json!([{ "op": "replace", "path": "emails[type eq \"home\"].value", "value": "h" }]);
    directory.patch(&format!("/Users/{user}"), home).await.expect_error(400, Some("noTarget"));
    let body = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group", "urn:example:X"],
        "displayName": "Other" });
    directory.send("POST", "/Groups", Some(body)).await.expect_error(400, Some("invalidValue"));
    let badge = json!([{ "op": "add", "path": "urn:example:2.0:Badge:number", "value": 7 }]);
    let path = format!("/Users/{user}");
    directory.patch(&path, badge).await.expect_error(400, Some("invalidValue"));
}

/// More than are read at once, twice over, and longer than what is sent in one piece.
const MEMBERS: usize = 2_500;

#[tokio::test(flavor = "multi_thread")]
async fn a_large_group_shows_each_member_once_however_it_is_asked_for() {
    let (_folder, _server, directory) = server().await;
    let mut ids = Vec::with_capacity(MEMBERS);
    for from in (0..MEMBERS).step_by(500) {
        let operations: Vec<_> = (from..from + 500)
            .map(|number| {
                json!({ "method": "POST", "path": "/Users", "bulkId": number.to_string(), "data": {
                    "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"],
                    "userName": format!("user{number}"), "displayName": format!("User {number}") } })
            })
            .collect();
        let done =
            directory.send("POST", "/Bulk", Some(bulk(&json!(operations)))).await.expect(200);
        for operation in done.body["Operations"].as_array().expect("a list") {
            let location = operation["location"].as_str().expect("a place");
            ids.push(location.rsplit('/').next().expect("an id").to_owned());
        }
    }
    let members: Vec<_> = ids.iter().map(|id| json!({ "value": id })).collect();
    let body = json!({ "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "displayName": "Everyone", "members": members });
    let group = directory.send("POST", "/Groups", Some(body)).await.expect(201);
    let path = format!("/Groups/{}", group.id());
    let expected: std::collections::BTreeSet<_> = ids.iter().map(String::as_str).collect();
    let check = |shown: &Value| {
        let shown = shown["members"].as_array().expect("members");
        let values: std::collections::BTreeSet<_> =
            shown.iter().map(|member| member["value"].as_str().expect("an id")).collect();
        assert_eq!((shown.len(), &values), (MEMBERS, &expected));
    };
    check(&group.body);
    let read = directory.send("GET", &path, None).await.expect(200);
    check(&read.body);
    assert!(
        read.body["members"][0]["$ref"].is_string()
            && read.body["members"][0]["display"].is_string()
    );
    let listed = directory.send("GET", "/Groups", None).await.expect(200);
    check(&listed.body["Resources"][0]);
    let values = directory.send("GET", &format!("{path}?attributes=members.value"), None).await;
    check(&values.expect(200).body);
    for without in [
        "excludedAttributes=members",
        "attributes=displayName",
        "attributes=displayName,members.nothing",
    ] {
        let read = directory.send("GET", &format!("{path}?{without}"), None).await.expect(200);
        assert!(read.body.get("members").is_none(), "{without}");
        assert_eq!(read.body["displayName"].as_str(), Some("Everyone"));
    }
    let probe =
        format!("/Groups?filter=id+eq+%22{}%22+and+members+eq+%22{}%22", group.id(), ids[7]);
    let found = directory.send("GET", &format!("{probe}&attributes=id"), None).await.expect(200);
    assert_eq!(found.body["totalResults"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn two_directories_with_the_same_names_never_see_each_other() {
    let (_folder, server, ours) = server().await;
    let theirs = server.api().directory("okta scim v2.0", "Others").await;
    let mut working = tokio::task::JoinSet::new();
    for worker in 0..64 {
        let (own, other) = if worker % 2 == 0 { (&ours, &theirs) } else { (&theirs, &ours) };
        let (own, other) = (own.clone(), other.clone());
        working.spawn(async move {
            let name = format!("same{}@x.test", worker / 2);
            let id = own.user(&name).await;
            let group = own.group(&format!("Group {}", worker / 2)).await;
            let member = json!([{ "op": "add", "path": "members", "value": [{ "value": id }] }]);
            own.patch(&format!("/Groups/{group}"), member.clone()).await.expect(204);
            for path in [format!("/Users/{id}"), format!("/Groups/{group}")] {
                other.send("GET", &path, None).await.expect_error(404, None);
                other.send("DELETE", &path, None).await.expect_error(404, None);
                let title = json!([{ "op": "replace", "path": "displayName", "value": "X" }]);
                other.patch(&path, title).await.expect_error(404, None);
            }
            let foreign = other.group(&format!("Foreign {worker}")).await;
            let answer = other.patch(&format!("/Groups/{foreign}"), member).await;
            answer.expect_error(400, Some("invalidValue"));
            let operations = json!([{ "method": "DELETE", "path": format!("/Users/{id}") }]);
            let answer = other.send("POST", "/Bulk", Some(bulk(&operations))).await.expect(200);
            assert_eq!(answer.body["Operations"][0]["status"], "404");
            for filter in [
                format!("id eq \"{id}\""),
                format!("groups.value eq \"{group}\""),
                format!("externalId eq \"ext-{name}\" and id eq \"{id}\""),
            ] {
                let body = search(&json!({ "filter": filter }));
                let found = other.send("POST", "/.search", Some(body)).await.expect(200);
                assert_eq!(found.body["totalResults"], 0, "{filter}");
            }
            (own.id.clone(), id)
        });
    }
    let mut made = Vec::new();
    while let Some(done) = working.join_next().await {
        made.push(done.expect("no worker fails"));
    }
    for directory in [&ours, &theirs] {
        let everyone = directory.send("GET", "/Users?count=1000", None).await.expect(200);
        let everyone = everyone.body["Resources"].as_array().expect("a list").clone();
        assert_eq!(everyone.len(), 32);
        for user in everyone {
            let id = user["id"].as_str().expect("an id").to_owned();
            assert!(made.contains(&(directory.id.clone(), id)), "{user}");
        }
    }
}
