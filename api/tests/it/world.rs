//! A running API without a socket, and what asks it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use api::ports::{ApiKey, KeyPair, Permission, Secret};
use api::{Api, Limits, digest, router};
use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt as _;
use schemas::{ApiKeyId, Edge, OrganizationId, RateLimit, Timestamp};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt as _;

use crate::audit::{FakeActions, FakeAudit};
use crate::described;
use crate::fake::Fake;
use crate::repeating::FakeAnswers;

/// 2026-03-02T10:15:30.123Z, when everything in these tests happens.
pub(crate) const NOW: i64 = 1_772_446_530_123;

/// Ids count up and secrets are all one byte, so that answers can be written down.
#[derive(Default)]
pub(crate) struct Counting(AtomicU64);

impl Edge for Counting {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(NOW)
    }

    fn id(&self) -> u128 {
        id(self.0.fetch_add(1, Ordering::Relaxed))
    }

    fn secret(&self) -> [u8; 32] {
        [u8::try_from(self.0.fetch_add(1, Ordering::Relaxed) % 256).unwrap(); 32]
    }

    fn dice(&self) -> f64 {
        0.0
    }
}

/// The bits of the id that [`Counting`] gives out as this number.
pub(crate) fn id(number: u64) -> u128 {
    (u128::try_from(NOW).unwrap() << 80) | u128::from(number)
}

pub(crate) struct World {
    pub(crate) fake: Arc<Fake>,
    pub(crate) answers: Arc<FakeAnswers>,
    pub(crate) actions: Arc<FakeActions>,
    router: Router,
    key: String,
}

pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        assert_eq!(self.headers.get("content-type").unwrap(), "application/json", "{}", self.text);
        serde_json::from_str(&self.text).unwrap()
    }

    pub(crate) fn is(&self, status: u16, body: &Value) {
        assert_eq!((self.status.as_u16(), &self.json()), (status, body));
    }
}

impl World {
    pub(crate) fn new() -> Self {
        Self::limited_to(None)
    }

    /// A world in which each key may be used so often.
    pub(crate) fn limited_to(limit: Option<RateLimit>) -> Self {
        let fake = Arc::new(Fake::default());
        let answers = Arc::<FakeAnswers>::default();
        let actions = Arc::<FakeActions>::default();
        let api = Api {
            keys: fake.clone(),
            organizations: fake.clone(),
            directories: fake.clone(),
            oauth_clients: fake.clone(),
            host_names: fake.clone(),
            portal_links: fake.clone(),
            endpoints: fake.clone(),
            deliveries: fake.clone(),
            trials: fake.clone(),
            reading: fake.clone(),
            audit: Arc::new(FakeAudit),
            admin_events: actions.clone(),
            verifier: Arc::new(FakeAudit),
            limits: Arc::new(Limits::new(limit, false)),
            answers: answers.clone(),
            tasks: TaskTracker::default(),
            waiting: Arc::default(),
            end: CancellationToken::new(),
            verification_keys: fake.clone(),
            streams: fake.clone(),
            edge: Arc::new(Counting::default()),
            check_url: Arc::new(|url| {
                if url.starts_with("https://") { Ok(()) } else { Err("must be https".to_owned()) }
            }),
            check_certificate: Arc::new(|chain, _| {
                if chain.starts_with("-----BEGIN") { Ok(()) } else { Err("it is none".to_owned()) }
            }),
            make_key_pair: Arc::new(|seed| KeyPair {
                private: Secret::new(format!("whsk_{}", seed[0])),
                public: format!("whpk_{}", seed[0]),
            }),
            public_url: "https://sync.example".into(),
        };
        let world = Self { fake, answers, actions, router: router(api), key: "sk_full".to_owned() };
        world.add_key("sk_full", Permission::Full, None)
    }

    /// The same world with one more key.
    pub(crate) fn add_key(
        self,
        text: &str,
        permission: Permission,
        organization_id: Option<OrganizationId>,
    ) -> Self {
        let key = ApiKey {
            id: ApiKeyId::from_bits(id(1_000_000 + u64::from(digest(text)[0]))),
            name: text.to_owned(),
            permission,
            organization_id,
            suffix: text[text.len() - 4..].to_owned(),
            created_at: Timestamp::from_millis(NOW),
            last_used_at: Some(Timestamp::from_millis(NOW)),
        };
        self.fake.state().keys.push((key, digest(text)));
        self
    }

    /// The same world as another caller sees it.
    pub(crate) fn with_key(&self, key: &str) -> Self {
        let (fake, answers) = (self.fake.clone(), self.answers.clone());
        let (actions, router) = (self.actions.clone(), self.router.clone());
        Self { fake, answers, actions, router, key: key.to_owned() }
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send(Method::GET, path, String::new()).await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send(Method::DELETE, path, String::new()).await
    }

    pub(crate) async fn post(&self, path: &str, body: Value) -> Answer {
        self.send(Method::POST, path, body.to_string()).await
    }

    pub(crate) async fn send(&self, method: Method, path: &str, body: String) -> Answer {
        let request = Request::builder().method(method).uri(path);
        let request = request.header("authorization", format!("Bearer {}", self.key));
        self.send_request(request.body(Body::from(body)).unwrap()).await
    }

    pub(crate) async fn send_request(&self, request: Request<Body>) -> Answer {
        let (asked, body) = request.into_parts();
        let sent = body.collect().await.unwrap().to_bytes();
        let (method, path) = (asked.method.clone(), asked.uri.to_string());
        let request = Request::from_parts(asked, Body::from(sent.clone()));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        let text = String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap();
        let answer = Answer { status: parts.status, headers: parts.headers, text };
        described::check(&method, &path, &sent, &answer);
        answer
    }

    /// Sends a request and reads nothing of the answer yet.
    pub(crate) async fn open(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    /// An organization, by its id in text.
    pub(crate) async fn organization(&self, name: &str) -> String {
        let answer = self.post("/organizations", json!({ "name": name })).await;
        answer.json()["id"].as_str().unwrap().to_owned()
    }

    /// A directory, by its id in text.
    pub(crate) async fn directory(&self, organization: &str, name: &str) -> String {
        let body =
            json!({ "organization_id": organization, "type": "okta scim v2.0", "name": name });
        self.post("/directories", body).await.json()["id"].as_str().unwrap().to_owned()
    }
}
