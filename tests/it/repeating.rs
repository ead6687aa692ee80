//! Requests that come again, all at once, or too often.

use std::collections::BTreeMap;
use std::net::UdpSocket;

use serde_json::{Value, json};
use tests::Server;
use tests::server::{API_KEY, PATIENCE, http_client, json_of};
use tokio::task::JoinSet;
use tokio::time::Instant;

/// How many requests are under way at once.
const AT_ONCE: usize = 8;

#[tokio::test(flavor = "multi_thread")]
async fn equal_requests_at_once_are_done_once_and_answered_alike() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let http = http_client();
    let mut asking = JoinSet::new();
    for _ in 0..AT_ONCE {
        let request = http.post(format!("{}/organizations", server.base())).bearer_auth(API_KEY);
        let request = request.header("Idempotency-Key", "at-once");
        asking.spawn(request.json(&json!({ "name": "Acme" })).send());
    }
    let (mut bodies, mut replayed) = (Vec::new(), 0);
    while let Some(answer) = asking.join_next().await {
        let answer = answer.unwrap().unwrap();
        assert_eq!(answer.status(), 201);
        replayed += usize::from(answer.headers().contains_key("idempotent-replayed"));
        bodies.push(json_of(&answer.bytes().await.unwrap()));
    }
    assert_eq!((bodies.len(), replayed), (AT_ONCE, AT_ONCE - 1));
    assert!(bodies.iter().all(|body| *body == bodies[0]), "{bodies:?}");
    let there = server.api().get("/organizations").await;
    assert_eq!(there["data"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_metadata_is_answered_with_a_key_as_without() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start(data.path());
    let entry = |number: usize| (format!("{number:x>40}"), json!("日".repeat(600)));
    let metadata: serde_json::Map<String, Value> = (0..50).map(entry).collect();
    let body = json!({ "name": "Acme", "metadata": metadata });
    let create = async || {
        let request = http_client().post(format!("{}/organizations", server.base()));
        let request = request.bearer_auth(API_KEY).header("Idempotency-Key", "large");
        let answer = request.json(&body).send().await.unwrap();
        assert_eq!(answer.status(), 201);
        answer.bytes().await.unwrap()
    };
    let first = create().await;
    assert_eq!(json_of(&first)["metadata"], body["metadata"]);
    assert_eq!(create().await, first);
    let there = server.api().get("/organizations").await;
    assert_eq!(there["data"].as_array().map(Vec::len), Some(1));
}

/// Asks for something until it is refused or so much was sent; how often, and the answer that refused.
async fn hammer(base: &str, requests_max: usize) -> (usize, Option<reqwest::Response>) {
    let http = http_client();
    let url = format!("{base}/api_keys?limit=1");
    let ask = || http.get(&url).bearer_auth(API_KEY).send();
    let (begun, mut asking, mut sent) = (Instant::now(), JoinSet::new(), 0);
    for _ in 0..AT_ONCE {
        asking.spawn(ask());
    }
    let (mut answered, mut refused) = (0, None);
    // Those that are on their way when one is refused may have been let in before it.
    while let Some(answer) = asking.join_next().await {
        let answer = answer.unwrap().unwrap();
        if answer.status() != 200 {
            refused = refused.or(Some(answer));
            continue;
        }
        answered += 1;
        sent += 1;
        if refused.is_none() && sent + AT_ONCE <= requests_max && begun.elapsed() < PATIENCE {
            asking.spawn(ask());
        }
    }
    (answered, refused)
}

async fn is_refused(answer: reqwest::Response) {
    assert_eq!(answer.status(), 429);
    let wait: u64 = answer.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!(wait >= 1);
    assert!(answer.headers().contains_key("x-request-id"));
    assert_eq!(json_of(&answer.bytes().await.unwrap()), json!({ "message": "Ratelimited" }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_limited_as_the_settings_say_also_on_this_machine() {
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &[("DSYNC_API_RATE_LIMIT", "1")]);
    // Bursts of 60, and one more each second.
    let (answered, refused) = hammer(server.base(), 1_000).await;
    assert!(answered >= 60, "{answered}");
    is_refused(refused.expect("a limit")).await;
    let url = format!("{}/organizations", server.base());
    let unknown = http_client().get(url).bearer_auth("sk_nobody").send().await.unwrap();
    assert_eq!(unknown.status(), 401, "a key of its own is nobody else's");
}

/// An address of this machine that is not its loopback; nothing is sent to find it.
fn outward_address() -> Option<std::net::IpAddr> {
    let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    let address = socket.local_addr().ok()?.ip();
    (!address.is_loopback() && !address.is_unspecified()).then_some(address)
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_word_programs_on_this_machine_are_not_limited_and_others_are() {
    let Some(outward) = outward_address() else {
        tests::not_checked(&"this machine has no address but its loopback");
        return;
    };
    let data = tempfile::tempdir().unwrap();
    let server = Server::start_with(data.path(), &[("DSYNC_LISTEN", "0.0.0.0:0")]);
    let port = server.base().rsplit(':').next().unwrap().to_owned();
    let mut counts = BTreeMap::new();
    // 6,000 at once and 100 a second.
    for address in [outward, [127, 0, 0, 1].into()] {
        let allowed = counts.values().max().map_or(100_000, |sent| *sent);
        let (answered, refused) = hammer(&format!("http://{address}:{port}"), allowed).await;
        counts.insert(address, answered);
        assert_eq!(refused.is_some(), !address.is_loopback(), "{address}: {answered} answered");
        if let Some(refused) = refused {
            assert!(answered >= 6_000, "{answered}");
            is_refused(refused).await;
        }
    }
}
