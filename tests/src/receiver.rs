//! A customer app: receives webhooks and checks their signatures with code of its own.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, UNIX_EPOCH};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, Mac};
use serde_json::Value;
use sha2::Sha256;

use crate::server::{eventually, json_of};

/// One webhook that arrived.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The event, or the claims of the token that tells of it, whose signature nobody has checked yet.
    pub event: Value,
    /// The exact bytes.
    pub body: Vec<u8>,
    /// The headers.
    pub headers: HeaderMap,
    /// What it was answered.
    pub status: u16,
    /// When it arrived, in milliseconds since the epoch.
    pub at_ms: u128,
}

impl Delivery {
    /// The type of the event.
    #[must_use]
    pub fn kind(&self) -> &str {
        self.event["event"].as_str().expect("an event has a type")
    }

    /// The id of the event.
    #[must_use]
    pub fn id(&self) -> &str {
        let key = if is_token(&self.headers) { "jti" } else { "id" };
        self.event[key].as_str().expect("an event has an id")
    }

    /// A header that has to be there.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).unwrap_or_else(|| panic!("{name} is missing"));
        value.to_str().expect("headers of ours are text")
    }

    /// Checks both signatures and that they cover the bytes that arrived.
    pub fn verify(&self, secret: &str) {
        self.verify_workos(secret);
        self.verify_standard(secret);
    }

    /// `t=<ms>, v1=<hex>`: HMAC-SHA256 with the whole secret over `<ms>.<body>`.
    fn verify_workos(&self, secret: &str) {
        let header = self.header("workos-signature");
        let (time, signature) = header.split_once(", ").expect("two parts");
        let time = time.strip_prefix("t=").expect("t= first");
        let signature = signature.strip_prefix("v1=").expect("v1= second");
        assert_eq!(time.len(), 13, "milliseconds: {time}");
        assert_eq!(signature, self.workos_signature(secret, time));
    }

    /// What an SDK would want to see, for this secret and this time.
    fn workos_signature(&self, secret: &str, time: &str) -> String {
        let signed = [time.as_bytes(), b".", &self.body].concat();
        hex::encode(mac(secret.as_bytes(), &signed))
    }

    /// Whether `WorkOS-Signature` is by this secret.
    #[must_use]
    pub fn is_signed_for_workos(&self, secret: &str) -> bool {
        let time = self.signed_at_millis().to_string();
        let expected = format!("t={time}, v1={}", self.workos_signature(secret, &time));
        self.header("workos-signature") == expected
    }

    /// When it was signed, by `WorkOS-Signature`.
    #[must_use]
    pub fn signed_at_millis(&self) -> i64 {
        let time = self.header("workos-signature").split(',').next().unwrap_or_default();
        time.strip_prefix("t=").and_then(|time| time.parse().ok()).expect("t=<ms>")
    }

    /// Standard Webhooks: HMAC-SHA256 with the decoded secret over `<id>.<seconds>.<body>`.
    pub fn verify_standard(&self, secret: &str) {
        let (id, time) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        assert_eq!(id, self.id());
        assert_eq!(time.len(), 10, "seconds: {time}");
        assert!(self.is_signed_by(secret));
    }

    /// Whether one of the signatures in `webhook-signature` is by this secret.
    #[must_use]
    pub fn is_signed_by(&self, secret: &str) -> bool {
        let (id, time) = (self.header("webhook-id"), self.header("webhook-timestamp"));
        let key = STANDARD.decode(secret.strip_prefix("whsec_").expect("whsec_")).expect("base64");
        let signed = [id.as_bytes(), b".", time.as_bytes(), b".", &self.body].concat();
        let expected = format!("v1,{}", STANDARD.encode(mac(&key, &signed)));
        self.header("webhook-signature").split(' ').any(|one| one == expected)
    }
}

fn is_token(headers: &HeaderMap) -> bool {
    headers.get("content-type").is_some_and(|kind| kind == "application/secevent+jwt")
}

/// What a token in compact serialisation says.
fn claims_of(token: &[u8]) -> Value {
    let claims = token.split(|byte| *byte == b'.').nth(1).expect("three parts");
    json_of(&URL_SAFE_NO_PAD.decode(claims).expect("base64url"))
}

fn mac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length of key");
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// What the app answers to a delivery, given how many arrived before it.
type Answer = dyn Fn(usize, &Delivery) -> u16 + Send + Sync;

/// How long the app thinks about a delivery.
type Delay = dyn Fn(&Delivery) -> Duration + Send + Sync;

/// A running app. It keeps its port and what arrived while servers come and go.
#[derive(Clone)]
pub struct Receiver {
    url: String,
    arrived: Arc<Mutex<Vec<Delivery>>>,
    answer: Arc<Answer>,
    delay: Arc<Delay>,
}

impl Receiver {
    /// An app that takes everything.
    pub async fn start() -> Self {
        Self::answering(|_, _| 200).await
    }

    /// An app that answers as told. Only what it answers with success counts as received.
    pub async fn answering(
        answer: impl Fn(usize, &Delivery) -> u16 + Send + Sync + 'static,
    ) -> Self {
        Self::answering_after(|_| Duration::ZERO, answer).await
    }

    /// The same with an app that takes its time.
    pub async fn answering_after(
        delay: impl Fn(&Delivery) -> Duration + Send + Sync + 'static,
        answer: impl Fn(usize, &Delivery) -> u16 + Send + Sync + 'static,
    ) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/webhooks", listener.local_addr().expect("it is bound"));
        let (answer, delay) = (Arc::new(answer), Arc::new(delay));
        let receiver = Self { url, arrived: Arc::default(), answer, delay };
        let app = Router::new().fallback(receive).with_state(receiver.clone());
        #[expect(clippy::disallowed_methods, reason = "the app lives as long as its test")]
        tokio::spawn(async move { axum::serve(listener, app).await });
        receiver
    }

    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Everything that arrived, in order, whatever the answer was.
    #[must_use]
    pub fn arrived(&self) -> Vec<Delivery> {
        self.arrived.lock().expect("no test panics while holding it").clone()
    }

    /// What arrived and was taken, in order.
    #[must_use]
    pub fn taken(&self) -> Vec<Delivery> {
        self.arrived().into_iter().filter(|delivery| delivery.status < 300).collect()
    }

    /// Waits until so many different events were taken.
    pub async fn wait_for_events(&self, count: usize) -> Vec<Delivery> {
        let what = format!("the arrival of {count} different events");
        eventually(&what, || async {
            let taken = self.taken();
            let ids: BTreeSet<&str> = taken.iter().map(Delivery::id).collect();
            let is_enough = ids.len() >= count;
            drop(ids);
            Some(taken).filter(|_| is_enough)
        })
        .await
    }

    /// Waits until so many have arrived.
    pub async fn wait_for(&self, count: usize) -> Vec<Delivery> {
        let what = format!("the arrival of {count} webhooks");
        eventually(&what, || async {
            Some(self.arrived()).filter(|arrived| arrived.len() >= count)
        })
        .await
    }
}

async fn receive(State(app): State<Receiver>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let event = if is_token(&headers) { claims_of(&body) } else { json_of(&body) };
    let at_ms = UNIX_EPOCH.elapsed().expect("it is past 1970").as_millis();
    let mut delivery = Delivery { event, body: body.to_vec(), headers, status: 0, at_ms };
    let delay = (app.delay)(&delivery);
    let status = {
        let mut arrived = app.arrived.lock().expect("no test panics while holding it");
        delivery.status = (app.answer)(arrived.len(), &delivery);
        arrived.push(delivery.clone());
        delivery.status
    };
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    StatusCode::from_u16(status).expect("a status")
}
