//! An initial cycle of Entra ID: 40,000 users, each looked up and created, at 25 requests a second. Entra ID
//! puts a job into quarantine when too many requests fail (learn.microsoft.com, "Application provisioning in
//! quarantine status"), so none may.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tests::scim::user_body;
use tests::{Directory, Server};
use tokio::task::JoinSet;
use tokio::time::Instant;

const USERS: usize = 40_000;

/// How many times faster than life it is played, and the limit with it.
const FASTER: u32 = 80;
const REQUESTS_PER_SECOND: u32 = 25;

/// The default of `scim_rate_limit`.
const LIMIT_PER_SECOND: u32 = 200;

/// Entra ID works on so many users at once.
const WORKERS: usize = 40;

#[tokio::test(flavor = "multi_thread")]
async fn an_initial_cycle_of_entra_id_is_never_slowed_down_by_a_limit() {
    let data = tempfile::tempdir().unwrap();
    let limit = (LIMIT_PER_SECOND * FASTER).to_string();
    let server = Server::start_with(data.path(), &[("DSYNC_SCIM_RATE_LIMIT", &limit)]);
    let directory = server.api().directory("azure scim v2.0", "Large").await;
    let pace = Duration::from_secs(1) / (REQUESTS_PER_SECOND * FASTER);
    let (next, begun) = (Arc::new(AtomicUsize::new(0)), Instant::now());
    let mut workers = JoinSet::new();
    for _ in 0..WORKERS {
        workers.spawn(provision(directory.clone(), Arc::clone(&next), begun, pace));
    }
    while let Some(worker) = workers.join_next().await {
        worker.unwrap();
    }
    let all = directory.send("GET", "/Users?count=0", None).await.expect(200);
    assert_eq!(all.body["totalResults"], USERS);
}

async fn provision(directory: Directory, next: Arc<AtomicUsize>, begun: Instant, pace: Duration) {
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        if number >= USERS {
            return;
        }
        // When this user's two requests are due; a slow machine is behind, and never ahead.
        let due = begun + pace * u32::try_from(2 * number).unwrap();
        tokio::time::sleep_until(due).await;
        let name = format!("person{number}@large.example");
        let probe = format!("/Users?filter=userName+eq+%22{name}%22");
        let found = directory.send("GET", &probe, None).await.expect(200);
        assert_eq!(found.body["totalResults"], 0);
        directory.send("POST", "/Users", Some(user_body(&name))).await.expect(201);
    }
}
