use bytes::Bytes;
use insta::assert_json_snapshot;
use schemas::{DirectoryId, Format, RequestId};
use serde_json::{Value as Json, json};

use super::*;
use crate::ports::{FeedPosition, Topic};

const CONTEXT: Context<'_> =
    Context { issuer: "https://sync.example", audience: "https://app.example/events" };

const USER: ScimId = ScimId::from_bits(0x2819_c223_7f76_453a_919d_4138_6190_4646);
const GROUP: ScimId = ScimId::from_bits(0x176f_397e_c4c4_4b94_b2cf_cb75_9780_b8c2);

fn event(kind: EventType, user: Option<ScimId>, group: Option<ScimId>, data: &Json) -> FeedEvent {
    let id = EventId::from_bits(7);
    let body = json!({
        "object": "event", "id": id, "event": kind, "data": data,
        "created_at": "2026-03-02T10:15:30.999Z", "context": {},
    });
    FeedEvent {
        position: FeedPosition(1),
        id,
        topic: Topic::Directory(kind),
        organization_id: None,
        directory_id: DirectoryId::from_bits(9),
        seq: Seq(42),
        user,
        group,
        request: Some(RequestId::from_bits(5)),
        held: None,
        body: Bytes::from(body.to_string()),
    }
}

fn user(state: &str, raw: Json) -> Json {
    json!({
        "object": "directory_user", "id": "directory_user_01K0ZC6M8Q4T6V7W8X9YABCDEF",
        "directory_id": "directory_01K0ZC4M8Q4T6V7W8X9YABCDEF",
        "organization_id": "org_01K0ZC3M8Q4T6V7W8X9YABCDEF", "idp_id": "ext-1",
        "email": "ada@acme.example", "first_name": "Ada", "last_name": "Lovelace",
        "name": "Ada Lovelace", "emails": [], "job_title": null, "username": "ada@acme.example",
        "state": state, "raw_attributes": raw, "custom_attributes": {},
        "created_at": "2026-03-02T10:00:00.000Z", "updated_at": "2026-03-02T10:15:30.999Z",
    })
}

fn ada(active: bool) -> Json {
    let raw = json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "externalId": "ext-1",
        "userName": "ada@acme.example", "active": active,
        "emails": [{ "primary": true, "value": "ada@acme.example" }],
    });
    user(if active { "active" } else { "inactive" }, raw)
}

fn group(raw: Json) -> Json {
    json!({
        "object": "directory_group", "id": "directory_group_01K0ZC5M8Q4T6V7W8X9YABCDEF",
        "idp_id": "eng", "directory_id": "directory_01K0ZC4M8Q4T6V7W8X9YABCDEF",
        "organization_id": "org_01K0ZC3M8Q4T6V7W8X9YABCDEF", "name": "Engineering",
        "raw_attributes": raw,
        "created_at": "2026-03-02T10:00:00.000Z", "updated_at": "2026-03-02T10:15:30.999Z",
    })
}

fn engineering() -> Json {
    group(json!({
        "schemas": ["urn:ietf:params:scim:schemas:core:2.0:Group"],
        "externalId": "ext-eng", "displayName": "Engineering",
    }))
}

fn after(mut now: Json, previous: Json) -> Json {
    now["previous_attributes"] = previous;
    now
}

fn of_user(kind: EventType, data: &Json) -> FeedEvent {
    event(kind, Some(USER), None, data)
}

fn of_group(kind: EventType, data: &Json) -> FeedEvent {
    event(kind, None, Some(GROUP), data)
}

fn of_both(kind: EventType) -> FeedEvent {
    let data = json!({
        "directory_id": "directory_01K0ZC4M8Q4T6V7W8X9YABCDEF",
        "user": ada(true), "group": engineering(),
    });
    event(kind, Some(USER), Some(GROUP), &data)
}

/// One event of each type, as the feed has it.
fn one_of(kind: EventType) -> FeedEvent {
    match kind {
        EventType::UserCreated | EventType::UserDeleted => of_user(kind, &ada(true)),
        EventType::UserUpdated => of_user(kind, &after(ada(true), json!({ "last_name": null }))),
        EventType::GroupCreated | EventType::GroupDeleted => of_group(kind, &engineering()),
        EventType::GroupUpdated => {
            let previous = json!({ "raw_attributes": { "displayName": "Eng" } });
            of_group(kind, &after(engineering(), previous))
        }
        EventType::GroupUserAdded | EventType::GroupUserRemoved => of_both(kind),
        EventType::Activated
        | EventType::Deleted
        | EventType::GroupPendingMemberAdded
        | EventType::GroupPendingMemberRemoved
        | EventType::InactiveUserChanged
        | EventType::TokenCreated
        | EventType::TokenRevoked => event(kind, None, None, &json!({})),
    }
}

#[test]
fn a_new_user_is_created_with_all_that_is_known() {
    let event = of_user(EventType::UserCreated, &ada(true));
    assert_json_snapshot!(claims(&event, CONTEXT).unwrap());
}

#[test]
fn a_changed_user_is_put_whole() {
    let event = one_of(EventType::UserUpdated);
    assert_json_snapshot!(claims(&event, CONTEXT).unwrap());
}

#[test]
fn a_deactivated_user_is_put_and_deactivated_in_one_token() {
    let data =
        after(ada(false), json!({ "state": "active", "raw_attributes": { "active": true } }));
    let event = of_user(EventType::UserUpdated, &data);
    assert_json_snapshot!(claims(&event, CONTEXT).unwrap());
}

#[test]
fn a_user_who_is_back_is_activated() {
    let data = after(ada(true), json!({ "state": "inactive" }));
    let event = of_user(EventType::UserUpdated, &data);
    assert_json_snapshot!(claims(&event, CONTEXT).unwrap());
}

#[test]
fn a_deleted_user_is_named_and_nothing_more_is_said() {
    assert_json_snapshot!(claims(&one_of(EventType::UserDeleted), CONTEXT).unwrap());
}

#[test]
fn a_new_group_is_created_without_members() {
    assert_json_snapshot!(claims(&one_of(EventType::GroupCreated), CONTEXT).unwrap());
}

#[test]
fn a_changed_group_is_patched_where_it_changed_so_that_its_members_stay() {
    let now = group(json!({ "displayName": "Engineering", "costCentre": 7 }));
    let previous = json!({
        "name": "Eng",
        "raw_attributes": { "displayName": "Eng", "externalId": "ext-eng", "costCentre": null },
    });
    let event = of_group(EventType::GroupUpdated, &after(now, previous));
    assert_json_snapshot!(claims(&event, CONTEXT).unwrap());
}

#[test]
fn a_deleted_group_is_named_and_nothing_more_is_said() {
    assert_json_snapshot!(claims(&one_of(EventType::GroupDeleted), CONTEXT).unwrap());
}

#[test]
fn a_member_who_joins_is_a_patch_of_the_group() {
    assert_json_snapshot!(claims(&one_of(EventType::GroupUserAdded), CONTEXT).unwrap());
}

#[test]
fn a_member_who_leaves_is_a_patch_of_the_group() {
    assert_json_snapshot!(claims(&one_of(EventType::GroupUserRemoved), CONTEXT).unwrap());
}

#[test]
fn there_is_a_token_for_exactly_what_the_format_carries() {
    for kind in EventType::ALL.iter().copied() {
        let said = claims(&one_of(kind), CONTEXT);
        assert_eq!(said.is_ok(), Format::ScimSet.carries(kind), "{kind}: {said:?}");
    }
}

#[test]
fn a_removed_attribute_needs_no_replacement_beside_it() {
    let now = group(json!({ "displayName": "Engineering" }));
    let previous = json!({ "raw_attributes": { "externalId": "ext-eng" } });
    let event = of_group(EventType::GroupUpdated, &after(now, previous));
    let said = serde_json::to_value(claims(&event, CONTEXT).unwrap()).unwrap();
    let operations = &said["events"][PATCH]["data"]["Operations"];
    assert_eq!(*operations, json!([{ "op": "remove", "path": "externalId" }]));
}

#[test]
fn a_complex_attribute_is_removed_before_its_replacement_would_be_merged_into_it() {
    let now = group(json!({ "displayName": "Engineering", "urn:acme:Group": { "floor": 3 } }));
    let before = json!({ "urn:acme:Group": { "floor": 2, "wing": "B" } });
    let previous = json!({ "raw_attributes": before });
    let event = of_group(EventType::GroupUpdated, &after(now.clone(), previous));
    let said = serde_json::to_value(claims(&event, CONTEXT).unwrap()).unwrap();
    let replace = json!({ "op": "replace", "value": { "urn:acme:Group": { "floor": 3 } } });
    let operations = &said["events"][PATCH]["data"]["Operations"];
    assert_eq!(*operations, json!([{ "op": "remove", "path": "urn:acme:Group" }, replace]));

    let previous = json!({ "raw_attributes": { "urn:acme:Group": null } });
    let event = of_group(EventType::GroupUpdated, &after(now, previous));
    let said = serde_json::to_value(claims(&event, CONTEXT).unwrap()).unwrap();
    assert_eq!(said["events"][PATCH]["data"]["Operations"], json!([replace]));
}

#[test]
fn a_resource_without_an_external_id_is_known_by_its_uri_alone() {
    let event = of_user(EventType::UserDeleted, &user("active", json!({ "userName": "ada" })));
    let said = serde_json::to_value(claims(&event, CONTEXT).unwrap()).unwrap();
    assert_eq!(said["sub_id"], json!({ "format": "scim", "uri": format!("/Users/{USER}") }));
}

#[test]
fn what_no_request_caused_is_a_transaction_of_its_own() {
    let mut event = one_of(EventType::UserCreated);
    let caused = serde_json::to_value(claims(&event, CONTEXT).unwrap()).unwrap();
    assert_eq!(caused["txn"], json!(RequestId::from_bits(5)));
    event.request = None;
    let alone = serde_json::to_value(claims(&event, CONTEXT).unwrap()).unwrap();
    assert_eq!(alone["txn"], json!(event.id));
}

#[test]
fn an_event_that_cannot_be_read_has_no_token() {
    let mut event = one_of(EventType::UserCreated);
    event.user = None;
    assert!(matches!(claims(&event, CONTEXT), Err(Unsayable::NoSubject)));
    event.body = Bytes::from_static(b"{}");
    assert!(matches!(claims(&event, CONTEXT), Err(Unsayable::Malformed(_))));
}
