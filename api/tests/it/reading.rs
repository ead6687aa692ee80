//! Users, groups and events, and the pages they come in.

use api::ports::{Permission, StoredEvent};
use axum::body::Body;
use axum::http::{Request, StatusCode};
use schemas::{DirectoryId, EventId, EventType, GroupId, OrganizationId, Timestamp, UserId};
use serde_json::{Value, json};

use crate::fake::FakeEvent;
use crate::world::{World, id};

const TIME: &str = "2026-03-02T10:15:30.123Z";

fn group(number: u64, directory: DirectoryId, organization: OrganizationId) -> Value {
    json!({
        "object": "directory_group", "id": GroupId::from_bits(id(number)), "idp_id": "g1",
        "directory_id": directory, "organization_id": organization, "name": "Engineering",
        "raw_attributes": {}, "created_at": TIME, "updated_at": TIME,
    })
}

fn user(number: u64, directory: DirectoryId, organization: OrganizationId) -> Value {
    json!({
        "object": "directory_user", "id": UserId::from_bits(id(number)), "directory_id": directory,
        "organization_id": organization, "idp_id": format!("u{number}"), "email": null,
        "first_name": null, "last_name": null, "name": null, "emails": [], "job_title": null,
        "username": null, "state": "active", "raw_attributes": {}, "custom_attributes": {},
        "created_at": TIME, "updated_at": TIME,
        "groups": [group(500, directory, organization)],
    })
}

/// A directory with users 101 to 125 and the group 500, and another one with the user 300.
async fn filled(world: &World) -> DirectoryId {
    let org = world.organization("Acme").await;
    let directory = world.directory(&org, "Okta").await.parse().unwrap();
    let other = world.directory(&org, "Entra").await.parse().unwrap();
    let org = org.parse().unwrap();
    let mut users = (101..=125).map(|number| user(number, directory, org)).collect::<Vec<_>>();
    users.push(user(300, other, org));
    let mut state = world.fake.state();
    state.users = users.into_iter().map(|user| serde_json::from_value(user).unwrap()).collect();
    state.groups = vec![serde_json::from_value(group(500, directory, org)).unwrap()];
    directory
}

fn ids(answer: &Value) -> Vec<String> {
    let data = answer["data"].as_array().unwrap();
    data.iter().map(|item| item["id"].as_str().unwrap().to_owned()).collect()
}

fn user_ids(numbers: impl Iterator<Item = u64>) -> Vec<String> {
    numbers.map(|number| UserId::from_bits(id(number)).to_string()).collect()
}

#[tokio::test]
async fn a_list_is_walked_from_new_to_old_also_when_the_filter_is_left_out_later() {
    let world = World::new();
    let directory = filled(&world).await;
    let first = world.get(&format!("/directory_users?directory={directory}&limit=10")).await.json();
    assert_eq!(ids(&first), user_ids((116..=125).rev()));
    assert_eq!(first["list_metadata"]["before"], json!(null));
    let after = first["list_metadata"]["after"].as_str().unwrap();
    let second = world.get(&format!("/directory_users?limit=10&after={after}&order=desc")).await;
    let second = second.json();
    assert_eq!(ids(&second), user_ids((106..=115).rev()));
    assert_eq!(second["list_metadata"]["before"], ids(&second)[0].as_str());
    let after = second["list_metadata"]["after"].as_str().unwrap();
    let last = world.get(&format!("/directory_users?limit=10&after={after}")).await.json();
    // The user of the other directory is older than none of these and is not among them.
    assert_eq!(ids(&last), user_ids((101..=105).rev()));
    assert_eq!(last["list_metadata"]["after"], json!(null));
    let before = ids(&last)[0].clone();
    let back = format!("/directory_users?directory={directory}&limit=10&before={before}");
    assert_eq!(ids(&world.get(&back).await.json()), ids(&second));
}

#[tokio::test]
async fn the_three_orders_and_a_cursor_to_nothing() {
    let world = World::new();
    let directory = filled(&world).await;
    let list = async |rest: &str| {
        let path = format!("/directory_users?directory={directory}&limit=2&{rest}");
        world.get(&path).await.json()
    };
    assert_eq!(ids(&list("order=asc").await), user_ids(101..=102));
    let at = UserId::from_bits(id(110));
    let normal = list(&format!("order=normal&before={at}")).await;
    assert_eq!(ids(&normal), user_ids((108..=109).rev()));
    assert_eq!(normal["list_metadata"]["before"], ids(&normal)[1].as_str());
    world.fake.state().users.retain(|found| found.user.id != at);
    let gone = list(&format!("after={at}")).await;
    assert_eq!(ids(&gone), user_ids((108..=109).rev()));
}

#[tokio::test]
async fn a_user_comes_with_groups_and_every_key() {
    let world = World::new();
    let directory = filled(&world).await;
    let id = UserId::from_bits(id(101));
    let org = world.fake.state().organizations[0].id;
    world.get(&format!("/directory_users/{id}")).await.is(200, &user(101, directory, org));
    let by_idp = format!("/directory_users?directory={directory}&idp_id=u101");
    assert_eq!(ids(&world.get(&by_idp).await.json()), [id.to_string()]);
    world.get("/directory_users/directory_user_x").await.is(
        404,
        &json!({
            "message": "Could not find directory user 'directory_user_x'.",
            "code": "entity_not_found", "entity_id": "directory_user_x",
        }),
    );
}

#[tokio::test]
async fn groups_are_listed_by_directory_or_user() {
    let world = World::new();
    let directory = filled(&world).await;
    let org = world.fake.state().organizations[0].id;
    let shown = group(500, directory, org);
    let list = json!({
        "object": "list", "data": [shown], "list_metadata": { "before": null, "after": null },
    });
    world.get(&format!("/directory_groups?directory={directory}")).await.is(200, &list);
    let group = GroupId::from_bits(id(500));
    world.get(&format!("/directory_groups/{group}")).await.is(200, &shown);
    assert_eq!(
        world.get(&format!("/directory_groups?before={group}")).await.status,
        StatusCode::OK
    );
    world
        .get("/directory_groups")
        .await
        .is(422, &json!({ "message": "directory or user is required." }));
}

#[tokio::test]
async fn a_list_never_spans_customers_and_asks_for_what_exists() {
    let world = World::new();
    let refused = json!({ "message": "directory or group is required." });
    world.get("/directory_users").await.is(422, &refused);
    let nobody = UserId::from_bits(id(7777));
    world.get(&format!("/directory_users?after={nobody}")).await.is(422, &refused);
    let nowhere = DirectoryId::from_bits(id(7777));
    let answer = world.get(&format!("/directory_users?directory={nowhere}")).await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert_eq!(answer.json()["entity_id"], json!(nowhere));
}

/// As version 5 of the SDK for Python asks.
async fn get_forgetful(world: &World, path: &str) -> Value {
    let request = Request::get(path).header("authorization", "Bearer sk_full");
    let request = request.header("user-agent", "WorkOS Python/3.11.7 Python SDK/5.46.0");
    let answer = world.send_request(request.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    answer.json()
}

#[tokio::test]
async fn a_walk_without_its_filter_goes_on_when_whoever_the_cursor_points_at_is_gone() {
    let world = World::new();
    let directory = filled(&world).await;
    let first = format!("/directory_users?directory={directory}&limit=10");
    let first = get_forgetful(&world, &first).await;
    let after = first["list_metadata"]["after"].as_str().unwrap();
    let last = ids(&first)[9].clone();
    world.fake.state().users.retain(|found| found.user.id.to_string() != last);
    let second = format!("/directory_users?limit=10&after={after}&order=desc");
    assert_eq!(ids(&get_forgetful(&world, &second).await), user_ids((106..=115).rev()));
    // The same from a cursor that nothing was put behind.
    let before = world.get(&format!("/directory_users?directory={directory}&before={last}")).await;
    assert_eq!(ids(&before.json()).len(), 9);

    let organization = world.fake.state().organizations[0].id;
    let more = serde_json::from_value(group(501, directory, organization)).unwrap();
    world.fake.state().groups.push(more);
    let first = format!("/directory_groups?directory={directory}&limit=1");
    let first = get_forgetful(&world, &first).await;
    let after = first["list_metadata"]["after"].as_str().unwrap();
    world.fake.state().groups.pop();
    let second = get_forgetful(&world, &format!("/directory_groups?limit=1&after={after}")).await;
    assert_eq!(ids(&second), [GroupId::from_bits(id(500)).to_string()]);
}

#[tokio::test]
async fn what_cannot_be_an_id_is_a_wrong_value_and_named() {
    let world = World::new();
    filled(&world).await;
    for (path, names) in [
        ("/directory_users", &["directory", "group"][..]),
        ("/directory_groups", &["directory", "user"]),
        ("/directories", &["organization_id"]),
        ("/events", &["organization_id"]),
        ("/audit/events", &["organization_id", "directory", "user", "group"]),
        ("/audit/verify", &["directory"]),
        ("/host_names", &["organization_id", "directory"]),
        ("/portal/links", &["organization"]),
    ] {
        for name in names {
            let answer = world.get(&format!("{path}?{name}=x")).await;
            let told = format!("{path}?{name}=x: {}", answer.text);
            assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{told}");
            assert!(answer.text.contains(&format!("{name} is not an id of the form")), "{told}");
        }
    }
    // One that could be is a matter of what is there.
    let nowhere = DirectoryId::from_bits(id(7777));
    for path in ["/directory_users", "/host_names", "/audit/events"] {
        let answer = world.get(&format!("{path}?directory={nowhere}")).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
    }
}

#[tokio::test]
async fn a_limit_or_order_that_is_none_is_refused() {
    let world = World::new();
    for limit in ["0", "101", "-1", "ten", "1e1"] {
        world
            .get(&format!("/organizations?limit={limit}"))
            .await
            .is(422, &json!({ "message": "limit must be a whole number from 1 to 100." }));
    }
    world
        .get("/organizations?order=up")
        .await
        .is(422, &json!({ "message": "order must be one of asc, desc, normal." }));
    let answer = world.get("/organizations?after=org_1").await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(world.get("/organizations?limit=&limits=7&x[]=1").await.status, StatusCode::OK);
}

pub(crate) fn add_events(world: &World, organization: OrganizationId) {
    let kinds = [EventType::Activated, EventType::UserCreated, EventType::UserDeleted];
    for (number, kind) in (1_u64..).zip(kinds) {
        let id = EventId::from_bits(id(number));
        // Spaces, so that a rewritten event would show.
        let body = format!(r#"{{"object": "event","id":"{id}","event":"{kind}"}}"#).into();
        let stored = StoredEvent { id, body };
        world.fake.state().events.push(FakeEvent { stored, kind, organization });
    }
}

#[tokio::test]
async fn events_run_from_old_to_new_byte_for_byte() {
    let world = World::new();
    let org = OrganizationId::from_bits(id(0));
    add_events(&world, org);
    let [first, second, third] = [1, 2, 3].map(|number| EventId::from_bits(id(number)));
    let answer = world.get("/events?events=dsync.activated%2Cdsync.user.created").await;
    assert_eq!(answer.json()["list_metadata"], json!({ "before": null, "after": null }));
    assert_eq!(
        answer.text,
        format!(
            r#"{{"object":"list","data":[{{"object": "event","id":"{first}","event":"dsync.activated"}},{{"object": "event","id":"{second}","event":"dsync.user.created"}}],"list_metadata":{{"before":null,"after":null}}}}"#
        )
    );
    for events in [
        "events=dsync.user.deleted&events=dsync.activated",
        "events[]=dsync.user.deleted&events[]=dsync.activated",
    ] {
        let newest = world.get(&format!("/events?{events}&order=desc&limit=1")).await.json();
        assert_eq!(ids(&newest), [third.to_string()]);
        assert_eq!(newest["list_metadata"]["after"], json!(third));
    }
    let rest = world.get(&format!("/events?after={first}&organization_id={org}")).await.json();
    assert_eq!(ids(&rest), [second.to_string(), third.to_string()]);
    let one = world.get(&format!("/events/{second}")).await;
    assert_eq!(
        one.text,
        format!(r#"{{"object": "event","id":"{second}","event":"dsync.user.created"}}"#)
    );
    assert_eq!(one.json()["id"], json!(second));
    let nothing = EventId::from_bits(id(9));
    assert_eq!(world.get(&format!("/events/{nothing}")).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_range_of_events_is_read_in_utc() {
    let world = World::new();
    let path = "/events?range_start=2026-03-02T10:15:30Z&range_end=2026-03-03T00:00:00.000Z";
    assert_eq!(world.get(path).await.status, StatusCode::OK);
    let filter = world.fake.state().event_filters.pop().unwrap();
    assert_eq!(filter.from, Some(Timestamp::from_millis(1_772_446_530_000)));
    assert!(filter.to > filter.from);
}

#[tokio::test]
async fn wrong_parameters_of_events_are_named_in_a_list() {
    let world = World::new();
    world.get("/events?events=").await.is(
        422,
        &json!({
            "message": "Validation failed.", "errors": [{ "code": "required", "field": "events" }],
        }),
    );
    let event = EventId::from_bits(id(1));
    for (query, code, field) in [
        ("events=dsync.deactivated".to_owned(), "unknown_event_type", "events"),
        (format!("after={event}&range_start=2026-03-02T10:15:30Z"), "invalid", "range_start"),
        ("range_start=2026-03-02T10:15:30%2B01:00".to_owned(), "invalid", "range_start"),
        (
            "range_start=2026-03-02T10:15:30Z&range_end=2026-03-01T10:15:30Z".to_owned(),
            "invalid",
            "range_end",
        ),
        ("limit=0".to_owned(), "invalid", "limit"),
        ("after=event_x".to_owned(), "invalid", "after"),
    ] {
        let answer = world.get(&format!("/events?{query}")).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{query}");
        let answer = answer.json();
        assert_eq!(answer["message"], "Validation failed.");
        assert_eq!(answer["errors"][0]["code"], code, "{query}");
        assert_eq!(answer["errors"][0]["field"], field, "{query}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_waits_very_often_is_answered_at_once_and_others_find_room() {
    let world = World::new().add_key("sk_other", Permission::Read, None);
    let mut held: Vec<_> = (0..100).map(|_| Box::pin(world.get("/events?wait=30"))).collect();
    for answer in &mut held {
        assert!(futures_util::poll!(answer).is_pending());
    }
    let waited = async |key: &str| {
        let begun = tokio::time::Instant::now();
        let answer = world.with_key(key).get("/events?wait=30").await;
        assert_eq!(answer.json()["data"], json!([]));
        begun.elapsed().as_secs()
    };
    assert_eq!((waited("sk_full").await, waited("sk_other").await), (0, 30));
}
