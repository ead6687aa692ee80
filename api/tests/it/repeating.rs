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
pub(crate) struct FakeAnswers(Mutex<HashMap<Digest, (Digest, Option<KeptAnswer>)>>);

#[async_trait]
impl Answers for FakeAnswers {
    async fn begin(&self, key: Digest, request: Digest, _: Timestamp) -> Result<Begun, PortError> {
        let mut known = self.0.lock().unwrap();
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
        let mut known = self.0.lock().unwrap();
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
    let request = Request::post("/organizations").header("idempotency-key", key);
    let request = request.header("authorization", format!("Bearer {caller}"));
    world.send_request(request.body(Body::from(body.to_owned())).unwrap()).await
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
