//! A secret is changed while webhooks are under way, and no app misses one.

use std::sync::{Arc, Mutex};

use serde_json::json;
use tests::server::eventually;
use tests::{Delivery, Directory, Receiver, Server};
use tokio::task::JoinHandle;

/// How long both secrets sign. Short, since the test lives through it.
const OVERLAP_SECONDS: u32 = 3;

/// Events one after the other, until the handle is dropped.
struct Traffic(JoinHandle<()>);

impl Traffic {
    fn start(directory: Directory) -> Self {
        #[expect(clippy::disallowed_methods, reason = "it ends with the test at the latest")]
        Self(tokio::spawn(async move {
            for number in 0.. {
                directory.user(&format!("user-{number}@acme.example")).await;
            }
        }))
    }
}

impl Drop for Traffic {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// The one secret that an app knows.
type Known = Arc<Mutex<String>>;

/// An app that refuses what is not signed by the secret that it knows.
async fn app(known: &Known, is_signed: fn(&Delivery, &str) -> bool) -> Receiver {
    let known = Arc::clone(known);
    Receiver::answering(
        move |_, delivery| {
            if is_signed(delivery, &known.lock().unwrap()) { 200 } else { 401 }
        },
    )
    .await
}

fn signatures(delivery: &Delivery) -> usize {
    delivery.header("webhook-signature").split(' ').count()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_app_that_changes_its_secret_within_the_overlap_misses_nothing() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let known = Known::default();
    let app = app(&known, Delivery::is_signed_by).await;
    let (id, old) = api.endpoint(app.url()).await;
    known.lock().unwrap().clone_from(&old);
    let directory = api.directory("generic scim v2.0", "Acme").await;
    let _traffic = Traffic::start(directory);
    app.wait_for(20).await;

    let path = format!("/webhook_endpoints/{id}");
    let overlap = json!({ "overlap_seconds": OVERLAP_SECONDS });
    let (status, rotated) =
        api.send("POST", &format!("{path}/rotate_secret"), Some(&overlap)).await;
    assert_eq!(status, 200, "{rotated}");
    let new = rotated["secret"].as_str().unwrap().to_owned();
    assert_ne!(new, old);
    // The old secret is enough at first…
    let both = wait_for(&app, "both secrets sign", |delivery| signatures(delivery) == 2).await;
    assert!(both.is_signed_by(&old) && both.is_signed_by(&new));
    assert!(both.is_signed_for_workos(&old), "its header has not switched yet");
    // …and from here on the new one.
    known.lock().unwrap().clone_from(&new);
    let alone = wait_for(&app, "the new secret signs alone", |delivery| {
        signatures(delivery) == 1 && delivery.is_signed_by(&new)
    })
    .await;
    assert!(!alone.is_signed_by(&old) && alone.is_signed_for_workos(&new));

    let endpoint = api.get(&path).await;
    assert_eq!(endpoint["health"]["last_error"], json!(null), "nothing was refused");
    assert_eq!(endpoint["previous_secret_until"], json!(null));
    assert_eq!(endpoint["secret"], new.as_str());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_workos_header_switches_at_the_end_of_the_overlap() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let app = Receiver::start().await;
    let (id, old) = api.endpoint(app.url()).await;
    let directory = api.directory("generic scim v2.0", "Acme").await;
    let _traffic = Traffic::start(directory);
    app.wait_for(5).await;
    let path = format!("/webhook_endpoints/{id}/rotate_secret");
    let begin = now_millis();
    let overlap = json!({ "overlap_seconds": OVERLAP_SECONDS });
    let (_, rotated) = api.send("POST", &path, Some(&overlap)).await;
    let new = rotated["secret"].as_str().unwrap().to_owned();
    let end = now_millis() + i64::from(OVERLAP_SECONDS) * 1_000;
    let is_new = |delivery: &Delivery| delivery.is_signed_for_workos(&new);
    wait_for(&app, "the header switches", is_new).await;
    let seen = app.arrived().len();
    let arrived = app.wait_for(seen + 10).await;

    // The switch is at a moment between these two.
    let earliest = begin + i64::from(OVERLAP_SECONDS) * 1_000;
    for delivery in &arrived {
        let at = delivery.signed_at_millis();
        assert!(at >= earliest || delivery.is_signed_for_workos(&old), "at {at}");
        assert!(at < end || is_new(delivery), "at {at}");
    }
    assert!(arrived.iter().any(|delivery| signatures(delivery) == 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_overlap_the_old_secret_is_worth_nothing_at_once() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let app = Receiver::start().await;
    let (id, old) = api.endpoint(app.url()).await;
    let path = format!("/webhook_endpoints/{id}/rotate_secret");
    let (_, rotated) = api.send("POST", &path, Some(&json!({ "overlap_seconds": 0 }))).await;
    let new = rotated["secret"].as_str().unwrap();
    let directory = api.directory("generic scim v2.0", "Acme").await;
    directory.user("ada@acme.example").await;
    let is_new = |delivery: &Delivery| delivery.is_signed_by(new);
    let delivery = wait_for(&app, "the new secret signs", is_new).await;
    assert!(!delivery.is_signed_by(&old) && delivery.is_signed_for_workos(new));
}

async fn wait_for(app: &Receiver, what: &str, is: impl Fn(&Delivery) -> bool) -> Delivery {
    eventually(what, || async { app.arrived().into_iter().find(&is) }).await
}

fn now_millis() -> i64 {
    #[expect(
        clippy::disallowed_methods,
        reason = "what the server says is compared with the clock"
    )]
    let now = std::time::SystemTime::now();
    let since = now.duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(since.as_millis()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_whose_place_is_taken_ends_by_itself_and_a_restart_tells_of_it() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let api = server.api();
    let old = api.directory("generic scim v2.0", "Acme").await;
    let path = format!("/directories/{}/tokens", old.id);
    for wrong in [json!(-1), json!(2_592_001), json!("1")] {
        let asked = json!({ "overlap_seconds": wrong });
        assert_eq!(api.send("POST", &path, Some(&asked)).await.0, 422, "{asked}");
    }
    let made = api.create(&path, &json!({ "overlap_seconds": OVERLAP_SECONDS })).await;
    assert_eq!(made["expires_at"], json!(null));
    let new = old.with_token(made["token"].as_str().unwrap());
    for token in [&old, &new] {
        token.send("GET", "/Users", None).await.expect(200);
    }
    let listed = api.get(&path).await;
    assert!(
        listed["data"][0]["expires_at"].is_null() && listed["data"][1]["expires_at"].is_string()
    );
    eventually("the end of the old token", || async {
        (old.send("GET", "/Users", None).await.status == 401).then_some(())
    })
    .await;
    new.send("GET", "/Users", None).await.expect(200);
    assert_eq!(api.get(&path).await["data"].as_array().unwrap().len(), 1);

    assert!(server.terminate().success());
    let server = Server::start(data.path());
    let (api, new) = (server.api(), new.at(server.base()));
    old.at(server.base()).send("GET", "/Users", None).await.expect(401);
    new.send("GET", "/Users", None).await.expect(200);
    let suffix = &old.token[old.token.len() - 4..];
    let revoked = eventually("the event", || async {
        api.events("dsync.token.revoked").await.into_iter().next()
    })
    .await;
    assert_eq!(revoked["data"]["token_suffix"], suffix);
}
