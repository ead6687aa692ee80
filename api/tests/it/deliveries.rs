//! Attempts, replays and samples.

use std::num::NonZeroU32;
use std::time::Duration;

use api::ports::{Attempt, AttemptStatus, Point, Range, Resource, Sample};
use axum::http::StatusCode;
use bytes::Bytes;
use schemas::{
    AttemptId, EventId, EventType, OperationalEvent, OrganizationId, ReplayId, Timestamp, UserId,
};
use serde_json::{Value, json};

use crate::reading::add_events;
use crate::world::{Answer, NOW, World, id};

async fn endpoint(world: &World, kind: &str) -> String {
    let body = json!({ "endpoint_url": format!("https://{kind}.example"), "kind": kind });
    let created = world.post("/webhook_endpoints", body).await.json();
    format!("/webhook_endpoints/{}", created["id"].as_str().unwrap())
}

fn attempt(number: u64) -> Attempt {
    Attempt {
        id: AttemptId::from_bits(id(number)),
        event_id: EventId::from_bits(id(100 + number)),
        event: Some("dsync.user.created".to_owned()),
        attempt: 1,
        at: Timestamp::from_millis(NOW),
        duration: Duration::from_millis(7),
        status: Some(200),
        failure: None,
        exhausted: false,
        replay: None,
        request: None,
        response: None,
    }
}

fn field(answer: &Answer) -> Value {
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{}", answer.text);
    answer.json()["errors"][0]["field"].clone()
}

#[tokio::test]
async fn attempts_are_listed_newest_first_with_what_came_back() {
    let world = World::new();
    let path = endpoint(&world, "directory").await;
    let failed = Attempt {
        status: Some(503),
        failure: Some("status".to_owned()),
        exhausted: true,
        replay: Some(ReplayId::from_bits(id(3))),
        request: Some(Bytes::from_static(b"{}")),
        response: Some(Bytes::from_static(b"busy")),
        ..attempt(2)
    };
    world.fake.state().attempts = vec![attempt(1), failed];
    let list = world.get(&format!("{path}/deliveries?limit=1")).await.json();
    let replay = ReplayId::from_bits(id(3));
    let (id, event_id) = (AttemptId::from_bits(id(2)), EventId::from_bits(id(102)));
    assert_eq!(
        list["data"],
        json!([{
            "object": "delivery_attempt", "id": id, "event_id": event_id,
            "event": "dsync.user.created", "attempt": 1, "status": "exhausted",
            "response_status": 503, "failure": "status", "at": "2026-03-02T10:15:30.123Z",
            "duration_ms": 7, "replay_id": replay, "request_body": "{}", "response_body": "busy",
        }])
    );
    let next =
        format!("{path}/deliveries?after={}", list["list_metadata"]["after"].as_str().unwrap());
    let next = world.get(&next).await.json();
    assert_eq!(next["data"][0]["status"], "delivered");
    assert_eq!(next["list_metadata"]["after"], Value::Null);
}

#[tokio::test]
async fn filters_of_attempts_are_read_or_refused_by_name() {
    let world = World::new();
    let path = endpoint(&world, "directory").await;
    let (event, user) = (EventId::from_bits(id(5)), UserId::from_bits(id(6)));
    world.get(&format!("{path}/deliveries?event={event}&status=503&resource={user}")).await;
    world
        .get(&format!(
            "{path}/deliveries?event=dsync.deleted&status=exhausted&since=2026-03-02T10:15:30.123Z"
        ))
        .await;
    let filters = world.fake.state().attempt_filters.clone();
    assert_eq!(filters[0].event, Some(event));
    assert_eq!(filters[0].status, Some(AttemptStatus::Answered(503)));
    assert_eq!(filters[0].resource, Some(Resource::User(user)));
    assert_eq!(filters[1].kind, Some(EventType::Deleted));
    assert_eq!(filters[1].status, Some(AttemptStatus::Exhausted));
    assert_eq!(filters[1].since, Some(Timestamp::from_millis(NOW)));
    for wrong in ["event=x", "status=999", "resource=org_1", "since=x", "until=x", "after=x"] {
        let refused = world.get(&format!("{path}/deliveries?{wrong}")).await;
        let name = wrong.split('=').next().unwrap();
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{wrong}");
        assert!(refused.json()["message"].as_str().unwrap().starts_with(name), "{}", refused.text);
    }
    let nothing = "/webhook_endpoints/we_00000000000000000000000000/deliveries";
    assert_eq!(world.get(nothing).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_replay_is_asked_for_and_followed() {
    let world = World::new();
    let path = endpoint(&world, "directory").await;
    let organization = world.organization("Acme").await;
    let directory = world.directory(&organization, "Okta").await;
    let body = json!({ "from": "2026-03-02T10:15:30.123Z", "directory": directory,
        "events": ["dsync.user.*"], "rate": 20 });
    let started = world.post(&format!("{path}/replay"), body).await;
    assert_eq!(started.status, StatusCode::ACCEPTED);
    let started = started.json();
    assert_eq!(started["events"], 7);
    let new = world.fake.state().new_replays[0].clone();
    let from = Point::At(Timestamp::from_millis(NOW));
    assert_eq!(new.range, Range { from, to: None });
    assert_eq!((new.events.len(), new.rate), (3, NonZeroU32::new(20).unwrap()));

    let one = format!("{path}/replays/{}", started["replay_id"].as_str().unwrap());
    let shown = world.get(&one).await.json();
    assert_eq!((&shown["status"], &shown["events"]), (&json!("running"), &json!(7)));
    assert_eq!(shown["directory"], json!(directory));
    assert_eq!(world.get(&format!("{path}/replays")).await.json()["data"], json!([shown]));
    assert_eq!(world.delete(&one).await.status, StatusCode::NO_CONTENT);
    assert_eq!(world.get(&one).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_replay_of_what_is_not_there_is_refused_by_name() {
    let world = World::new();
    let path = format!("{}/replay", endpoint(&world, "directory").await);
    let nothing = EventId::from_bits(id(5));
    for (body, wrong) in [
        (json!({}), "from"),
        (json!({ "from": "yesterday" }), "from"),
        (json!({ "from": nothing }), "from"),
        (json!({ "event_id": nothing }), "event_id"),
        (json!({ "event_id": "event_1" }), "event_id"),
        (json!({ "event_id": nothing, "to": nothing }), "to"),
        (json!({ "from": "2026-03-02T00:00:00Z", "to": "2026-03-01T00:00:00Z" }), "to"),
        (json!({ "from": "2026-03-02T00:00:00Z", "rate": 0 }), "rate"),
        (json!({ "from": "2026-03-02T00:00:00Z", "events": ["x"] }), "events[0]"),
        (
            json!({ "from": "2026-03-02T00:00:00Z", "directory": "directory_00000000000000000000000000" }),
            "directory",
        ),
    ] {
        assert_eq!(field(&world.post(&path, body.clone()).await), wrong, "{body}");
    }
    let operational = format!("{}/replay", endpoint(&world, "operational").await);
    let body = json!({ "from": "2026-03-02T00:00:00Z" });
    assert_eq!(field(&world.post(&operational, body).await), "id");
    assert!(world.fake.state().replays.is_empty());
}

#[tokio::test]
async fn a_replay_that_would_end_before_the_event_it_begins_with_is_refused() {
    let world = World::new();
    let path = format!("{}/replay", endpoint(&world, "directory").await);
    add_events(&world, OrganizationId::from_bits(id(0)));
    let ask = async |from, to| {
        let event = |number| EventId::from_bits(id(number));
        world.post(&path, json!({ "from": event(from), "to": event(to) })).await
    };
    let refused = ask(3, 2).await;
    assert_eq!(field(&refused), "to");
    assert_eq!(refused.json()["errors"][0]["message"], "to lies before from.");
    assert!(world.fake.state().replays.is_empty());
    assert_eq!(ask(2, 3).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn an_event_that_an_endpoint_does_not_get_is_not_sent_to_it_again() {
    let world = World::new();
    let body = json!({ "endpoint_url": "https://a.example", "events": ["dsync.user.deleted"] });
    let made = world.post("/webhook_endpoints", body).await.json();
    let path = format!("/webhook_endpoints/{}/replay", made["id"].as_str().unwrap());
    add_events(&world, OrganizationId::from_bits(id(0)));
    let ask = async |number| {
        world.post(&path, json!({ "event_id": EventId::from_bits(id(number)) })).await
    };
    let refused = ask(2).await;
    assert_eq!(field(&refused), "event_id");
    let said = &refused.json()["errors"][0]["message"];
    assert_eq!(said, "The endpoint does not get dsync.user.created: it is not among its events.");
    assert_eq!(ask(3).await.status, StatusCode::ACCEPTED);
}

#[tokio::test]
async fn no_more_than_four_replays_are_under_way() {
    let world = World::new();
    let path = format!("{}/replay", endpoint(&world, "directory").await);
    let start = async || world.post(&path, json!({ "from": "2026-03-02T00:00:00Z" })).await;
    for _ in 0..4 {
        assert_eq!(start().await.status, StatusCode::ACCEPTED);
    }
    let refused = start().await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert_eq!(refused.json()["code"], "too_many_replays");
}

#[tokio::test]
async fn a_sample_answers_with_what_came_back() {
    let world = World::new();
    let path = format!("{}/test", endpoint(&world, "directory").await);
    let tried = world.post(&path, json!({ "event": "dsync.user.created" })).await;
    tried.is(
        200,
        &json!({
            "object": "webhook_test", "event_id": EventId::from_bits(9),
            "event": "dsync.user.created", "delivered": false, "response_status": 503,
            "failure": "status", "duration_ms": 12, "request_headers": { "webhook-id": "event_9" },
            "request_body": "{}", "response_body": "busy \u{fffd}",
        }),
    );
    world.post(&path, json!({ "event": "endpoint.failing" })).await;
    let samples = world.fake.state().samples.clone();
    assert_eq!(samples[0], Sample::Directory(EventType::UserCreated));
    assert_eq!(samples[1], Sample::Operational(OperationalEvent::EndpointFailing));
    for wrong in
        [json!({}), json!({ "event": "dsync.token.created" }), json!({ "event": "dsync.deleted" })]
    {
        assert_eq!(field(&world.post(&path, wrong).await), "event");
    }
    for wrong in [json!(5), json!(["dsync.user.created"]), json!({})] {
        let refused = world.post(&path, json!({ "event": wrong })).await.json();
        let said = &refused["errors"][0]["message"];
        assert_eq!(said, "event must be a text, the name of an event type.", "{wrong}");
    }
}
