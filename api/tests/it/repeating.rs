//! Requests that come again, and requests that come too often.

use std::collections::HashMap;
use std::num::NonZeroU32;
use std::sync::Mutex;

use api::ports::{Answers, Begun, Digest, KeptAnswer, Permission, PortError};
use async_trait::async_trait;
use axum::body::Body;
use axum::http::Request;
use schemas::{RateLimit, Timestamp};
use serde_json::json;

use crate::world::{Answer, World};

/// Answers in memory, for ever.
#[derive(Default)]
pub(crate) struct FakeAnswers {
    known: Mutex<HashMap<Digest, (Digest, Option<KeptAnswer>)>>,
    /// What every request is told instead.
    pub(crate) always: Mutex<Option<Begun>>,
}

#[async_trait]
impl Answers for FakeAnswers {
    async fn begin(&self, key: Digest, request: Digest, _: Timestamp) -> Result<Begun, PortError> {
        if let Some(always) = self.always.lock().unwrap().clone() {
            return Ok(always);
        }
        let mut known = self.known.lock().unwrap();
        Ok(match known.get(&key) {
            Some((other, _)) if *other != request => Begun::OtherRequest,
            Some((_, Some(kept))) => Begun::Answered(kept.clone()),
            Some((_, None)) => Begun::Answering,
            None => {
                known.insert(key, (request, None));
                Begun::First
            }
        })
    }

    async fn end(&self, key: Digest, answer: Option<KeptAnswer>) -> Result<(), PortError> {
        let mut known = self.known.lock().unwrap();
        match (known.get_mut(&key), answer) {
            (Some((_, kept)), Some(answer)) => *kept = Some(answer),
            (Some(_), None) => {
                known.remove(&key);
            }
            (None, _) => {}
        }
        Ok(())
    }
}

async fn post(world: &World, caller: &str, key: &str, body: &str) -> Answer {
    post_to(world, "/organizations", caller, key, body).await
}

async fn post_to(world: &World, path: &str, caller: &str, key: &str, body: &str) -> Answer {
    let request = Request::post(path).header("idempotency-key", key);
    let request = request.header("authorization", format!("Bearer {caller}"));
    world.send_request(request.body(Body::from(body.to_owned())).unwrap()).await
}

fn is_replayed(answer: &Answer) -> bool {
    answer.headers.get("idempotent-replayed").is_some_and(|value| value == "true")
}

async fn organizations(world: &World) -> usize {
    world.get("/organizations").await.json()["data"].as_array().unwrap().len()
}

#[tokio::test]
async fn a_request_that_comes_again_gets_the_same_answer_and_does_nothing() {
    let world = World::new();
    let first = post(&world, "sk_full", "k1", r#"{"name":"Acme"}"#).await;
    let again = post(&world, "sk_full", "k1", r#"{"name":"Acme"}"#).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (201, 201));
    assert_eq!(first.text, again.text);
    assert!(!first.headers.contains_key("idempotent-replayed"));
    assert_eq!(again.headers["idempotent-replayed"], "true");
    assert_eq!(again.headers["content-type"], "application/json");
    assert_eq!(organizations(&world).await, 1);
}

#[tokio::test]
async fn a_key_that_comes_with_another_request_is_refused() {
    let world = World::new();
    post(&world, "sk_full", "k1", r#"{"name":"Acme"}"#).await;
    let other = post(&world, "sk_full", "k1", r#"{"name":"Other"}"#).await;
    assert_eq!(
        (other.status.as_u16(), &other.json()["code"]),
        (422, &json!("idempotency_key_reused"))
    );
    assert_eq!(organizations(&world).await, 1);
}

#[tokio::test]
async fn a_refusal_is_repeated_and_a_key_belongs_to_its_caller() {
    let world = World::new().add_key("sk_other", Permission::Full, None);
    for _ in 0..2 {
        assert_eq!(post(&world, "sk_full", "k1", "{}").await.status, 422);
    }
    assert_eq!(post(&world, "sk_other", "k1", r#"{"name":"Acme"}"#).await.status, 201);
    assert_eq!(post(&world, "sk_nobody", "k1", "{}").await.status, 401);
    let reader = world.add_key("sk_read", Permission::Read, None);
    for _ in 0..2 {
        // Not kept: the key may get the scope that it lacks.
        let refused = post(&reader, "sk_read", "k2", r#"{"name":"B"}"#).await;
        assert_eq!(refused.status, 403);
        assert!(!refused.headers.contains_key("idempotent-replayed"));
    }
    assert_eq!(post(&reader, "sk_full", &"k".repeat(256), "{}").await.status, 422);
}

#[tokio::test]
async fn the_largest_organization_is_answered_and_repeated_whole() {
    let world = World::new();
    // Six bytes for each character, as JSON writes these.
    let entry = |number| (format!("{number:\u{1}>40}"), "\u{2}".repeat(600));
    let metadata: HashMap<String, String> = (0..50).map(entry).collect();
    let domain = |number| json!({ "domain": format!("{}.{number}.example", "a".repeat(63)) });
    let domains: Vec<_> = (0..100).map(domain).collect();
    let (name, external_id) = ("\u{3}x".repeat(127), "\u{4}x".repeat(127));
    let body = json!({ "name": name, "external_id": external_id, "metadata": metadata,
        "domain_data": domains });
    let first = post(&world, "sk_full", "k1", &body.to_string()).await;
    assert_eq!(first.status, 201, "{}", &first.text[..first.text.len().min(500)]);
    assert!(first.text.len() > 200_000);
    let again = post(&world, "sk_full", "k1", &body.to_string()).await;
    assert_eq!((again.status.as_u16(), again.text == first.text), (201, true));
    assert!(is_replayed(&again));
    assert_eq!(organizations(&world).await, 1);
}

#[tokio::test]
async fn a_preview_changes_nothing_and_is_made_anew_whatever_its_key() {
    let world = World::new();
    let organization = world.organization("Acme").await;
    let directory = world.directory(&organization, "Okta").await;
    let path = format!("/directories/{directory}/attribute_map/preview");
    for _ in 0..2 {
        let body = r#"{"attribute_map":null}"#;
        let shown = post_to(&world, &path, "sk_full", "k1", body).await;
        assert_eq!((shown.status.as_u16(), is_replayed(&shown)), (200, false), "{}", shown.text);
    }
}

#[tokio::test]
async fn who_asks_again_meanwhile_waits_for_the_first_answer() {
    let world = World::new();
    let ask = || post(&world, "sk_full", "k1", r#"{"name":"Acme"}"#);
    let (one, two, three) = tokio::join!(ask(), ask(), ask());
    for answer in [&one, &two, &three] {
        assert_eq!((answer.status.as_u16(), &answer.text), (201, &one.text));
    }
    assert_eq!([&one, &two, &three].map(is_replayed), [false, true, true]);
    assert_eq!(organizations(&world).await, 1);
}

#[tokio::test(start_paused = true)]
async fn who_asks_again_does_not_wait_for_ever() {
    let world = World::new();
    *world.answers.always.lock().unwrap() = Some(Begun::Answering);
    let begun = tokio::time::Instant::now();
    let refused = post(&world, "sk_full", "k1", "{}").await;
    assert_eq!(
        (refused.status.as_u16(), &refused.json()["code"]),
        (409, &json!("idempotency_key_in_use"))
    );
    assert_eq!(refused.headers["retry-after"], "1");
    let waited = begun.elapsed().as_secs();
    assert!((10..25).contains(&waited), "{waited} s: SDKs wait for 25");
}

#[tokio::test]
async fn what_may_have_been_done_is_not_done_again() {
    let world = World::new();
    world.fake.state().failure = Some(PortError::Unsure("the connection is lost".into()));
    let first = post(&world, "sk_full", "k1", r#"{"name":"Acme"}"#).await;
    assert_eq!(
        (first.status.as_u16(), &first.json()["code"]),
        (503, &json!("outcome_unknown")),
        "{}",
        first.text
    );
    for _ in 0..2 {
        let again = post(&world, "sk_full", "k1", r#"{"name":"Acme"}"#).await;
        assert_eq!(
            (again.status.as_u16(), &again.json()["code"]),
            (409, &json!("idempotency_key_unresolved"))
        );
    }
    assert_eq!(organizations(&world).await, 1);
}

#[tokio::test]
async fn what_was_not_done_for_certain_is_done_when_it_comes_again() {
    let world = World::new();
    world.fake.state().failure = Some(PortError::Unavailable("the store is away".into()));
    let first = post(&world, "sk_full", "k1", r#"{"name":"Acme"}"#).await;
    assert_eq!((first.status.as_u16(), &first.json()["code"]), (503, &json!("unavailable")));
    let again = post(&world, "sk_full", "k1", r#"{"name":"Acme"}"#).await;
    assert_eq!((again.status.as_u16(), is_replayed(&again)), (201, false));
    assert_eq!(organizations(&world).await, 1);
}

#[tokio::test]
async fn what_may_be_there_later_is_not_refused_for_a_day() {
    let world = World::new();
    let organization = world.organization("Acme").await;
    let directory = world.directory(&organization, "Okta").await;
    let path = format!("/directories/{directory}/tokens");
    world.post(&path, json!({})).await;
    for _ in 0..2 {
        let refused = post_to(&world, &path, "sk_full", "k1", "").await;
        assert_eq!((refused.status.as_u16(), is_replayed(&refused)), (409, false));
    }
    let tokens = world.get(&path).await.json();
    let first = format!("{path}/{}", tokens["data"][0]["id"].as_str().unwrap());
    assert_eq!(world.delete(&first).await.status, 204);
    assert_eq!(post_to(&world, &path, "sk_full", "k1", "").await.status, 201);

    let nowhere = "/directories/directory_x/tokens";
    for _ in 0..2 {
        let missing = post_to(&world, nowhere, "sk_full", "k2", "").await;
        assert_eq!((missing.status.as_u16(), is_replayed(&missing)), (404, false));
    }
}

#[tokio::test]
async fn a_repeated_answer_counts_as_a_request_and_a_first_one_counts_once() {
    let one = NonZeroU32::MIN;
    let limit = RateLimit { per_second: one, burst: one.saturating_add(2) };
    let world = World::limited_to(Some(limit));
    for replayed in [false, true, true] {
        let answer = post(&world, "sk_full", "k1", r#"{"name":"Acme"}"#).await;
        assert_eq!((answer.status.as_u16(), is_replayed(&answer)), (201, replayed));
    }
    let refused = post(&world, "sk_full", "k1", r#"{"name":"Acme"}"#).await;
    refused.is(429, &json!({ "message": "Ratelimited" }));
}

#[tokio::test]
async fn who_asks_too_often_is_told_when_to_come_back() {
    let one = NonZeroU32::MIN;
    let limit = RateLimit { per_second: one, burst: one.saturating_add(1) };
    let world = World::limited_to(Some(limit)).add_key("sk_other", Permission::Full, None);
    for _ in 0..2 {
        assert_eq!(world.get("/organizations").await.status, 200);
    }
    let refused = world.get("/organizations").await;
    refused.is(429, &json!({ "message": "Ratelimited" }));
    assert_eq!(refused.headers["retry-after"], "1");
    assert_eq!(world.with_key("sk_other").get("/organizations").await.status, 200);
}
