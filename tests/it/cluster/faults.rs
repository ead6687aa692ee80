//! What breaks past one machine, and what holds then. These take minutes: `./test --faults` runs them.

use std::time::Duration;

use serde_json::json;
use tests::load::{Met, Replicas, create_users, read_back, user_name};
use tests::scim::user_body;
use tests::server::eventually;
use tests::{Directory, Kafka, Postgres, Receiver, Server};
use tokio::time::Instant;

use super::processes::{Cluster, Process, everything_arrives};
use crate::kafka::brokers;

/// How long an append may take before its outcome is called unknown, and its verdict after that.
const APPEND_WITHIN: Duration = Duration::from_secs(15);

/// How long a follower is held up.
const HELD_UP: Duration = Duration::from_secs(30);

/// One process for each role, and an app that listens.
struct Running {
    api: Process,
    ingest: Process,
    others: [Process; 2],
    receiver: Receiver,
    endpoint: String,
    directory: Directory,
    replicas: Replicas,
}

impl Running {
    async fn start(cluster: &Cluster) -> Self {
        let api = cluster.start("api");
        let others = [cluster.start("projector"), cluster.start("dispatcher")];
        let ingest = cluster.start("ingest");
        let receiver = Receiver::start().await;
        let (endpoint, _) = api.server.api().endpoint(receiver.url()).await;
        let directory = api.server.api().directory("azure scim v2.0", "Acme").await;
        let directory = directory.at(ingest.server.base());
        let replicas = Replicas::new(&directory, &[ingest.server.base()]);
        Self { api, ingest, others, receiver, endpoint, directory, replicas }
    }

    /// Creates users, and lets something happen when some are in and most are still to come.
    async fn meanwhile(
        &self,
        prefix: &str,
        count: usize,
        happens: impl Future<Output = ()>,
    ) -> Met {
        let before = self.replicas.met();
        let fault = async {
            self.is_in(prefix, count / 8).await;
            happens.await;
        };
        let (users, ()) = tokio::join!(create_users(&self.replicas, prefix, count, 4), fault);
        read_back(&self.replicas, 1, prefix, &users).await;
        let after = self.replicas.met();
        Met {
            answered: after.answered - before.answered,
            told_to_wait: after.told_to_wait - before.told_to_wait,
            unanswered: after.unanswered - before.unanswered,
        }
    }

    async fn is_in(&self, prefix: &str, number: usize) {
        eventually("the load", || async {
            self.replicas.find(0, &user_name(prefix, number)).await.map(drop)
        })
        .await;
    }

    /// Nobody is missing and nobody is there twice, every event has arrived, the chain is whole.
    async fn holds(&self, cluster: &Cluster, users: usize) {
        let list = self.replicas.send(0, "GET", "/Users?count=0", None).await.0.expect(200);
        assert_eq!(list.body["totalResults"], users);
        everything_arrives(&self.api.server, &self.receiver).await;
        cluster.verify();
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: ./test --faults"]
async fn three_brokers_lose_their_leader_a_follower_their_quorum_and_everything() {
    let Some(kafka) = brokers(Kafka::start(3)) else { return };
    let Some(cluster) = Cluster::on(&kafka, Postgres::shared().await) else { return };
    let running = Running::start(&cluster).await;
    let leader = || kafka.leader(&cluster.topic, 0);
    assert_eq!(kafka.copies(&cluster.topic), 3);
    assert_eq!(kafka.setting(&cluster.topic, "min.insync.replicas").await, "2");

    let met = running.meanwhile("leader", 80, async { kafka.kill(leader()) }).await;
    assert_eq!(met.unanswered, 0, "who is not served is told so");
    let dead = (0..3).find(|node| !kafka.lives(*node)).expect("one was killed");
    kafka.start_again(dead);
    eventually("three brokers", || async { (kafka.count() == 3).then_some(()) }).await;

    let follower = (0..3).find(|node| *node != leader()).expect("there are three");
    kafka.pause(follower);
    let pause = async {
        tokio::time::sleep(HELD_UP).await;
        kafka.resume(follower);
    };
    running.meanwhile("follower", 80, pause).await;

    without_a_quorum(&running, &kafka, [(leader() + 1) % 3, (leader() + 2) % 3]).await;

    let met = running
        .meanwhile("everything", 80, async {
            (0..3).for_each(|node| kafka.kill(node));
            (0..3).for_each(|node| kafka.start_again(node));
        })
        .await;
    assert_eq!(met.unanswered, 0, "who is not served is told so");
    running.holds(&cluster, 80 * 3 + 2).await;
}

/// Two of three brokers are held up: writes are put off, reads go on, and writes resume by themselves.
async fn without_a_quorum(running: &Running, kafka: &Kafka, held_up: [usize; 2]) {
    let known = running.replicas.create_user(0, &user_name("quorum", 0)).await;
    held_up.into_iter().for_each(|node| kafka.pause(node));
    let body = user_body(&user_name("quorum", 1));
    let refused = eventually("a write that is put off", || async {
        let answer = running.directory.send("POST", "/Users", Some(body.clone())).await;
        (answer.status == 503).then_some(answer)
    })
    .await;
    assert!(refused.retry_after.is_some(), "it says when to come back");
    let begun = Instant::now();
    let again = running.directory.send("POST", "/Users", Some(body.clone())).await;
    assert_eq!(again.status, 503);
    assert!(begun.elapsed() < APPEND_WITHIN, "nobody waits behind an append that may never arrive");
    let read = running.directory.send("GET", &format!("/Users/{known}"), None).await;
    assert_eq!(read.expect(200).id(), known, "reads go on");
    let list = running.directory.send("GET", "/Users?count=0", None).await;
    list.expect(200);
    for process in [&running.ingest, &running.api] {
        let (status, ready) = process.server.api().send("GET", "/readyz", None).await;
        assert_eq!(status, 200, "no balancer takes it out: {ready}");
    }
    let before = running.receiver.arrived().len();
    let api = running.api.server.api();
    let replay = format!("/webhook_endpoints/{}", running.endpoint);
    let (replay, events) = api.replay(&replay, &json!({ "from": "2020-01-01T00:00:00Z" })).await;
    api.finished(&replay).await;
    let arrived = running.receiver.arrived().len() - before;
    assert!(events > 0 && arrived as u64 >= events, "deliveries go on: {arrived} of {events}");
    held_up.into_iter().for_each(|node| kafka.resume(node));
    // What was put off may have come in all the same, or comes in now: once in either case.
    let (answer, _) = running.replicas.send(0, "POST", "/Users", Some(&body)).await;
    assert!(matches!(answer.status, 201 | 409), "{}", answer.body);
    assert!(running.replicas.find(0, &user_name("quorum", 1)).await.is_some());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: ./test --faults"]
async fn a_database_that_is_restarted_or_cuts_its_connections_under_load_loses_nothing() {
    let Some(kafka) = brokers(Kafka::shared()) else { return };
    let Some(mut cluster) = Cluster::on(kafka, Postgres::start().await) else { return };
    let running = Running::start(&cluster).await;

    let client = cluster.postgres.connect().await;
    let cut = async {
        let sql = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
            WHERE application_name = 'dsync'";
        for _ in 0..5 {
            client.execute(sql, &[]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    };
    running.meanwhile("cut", 120, cut).await;

    let postgres = &mut cluster.postgres;
    running.meanwhile("restarted", 120, async { postgres.restart() }).await;
    running.holds(&cluster, 240).await;
    let ready = eventually("readiness", || async {
        (running.ingest.server.api().send("GET", "/readyz", None).await.0 == 200).then_some(())
    });
    ready.await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: ./test --faults"]
async fn a_projector_that_is_paused_past_its_session_is_replaced_and_does_no_harm_when_it_wakes() {
    let Some(kafka) = brokers(Kafka::shared()) else { return };
    let Some(cluster) = Cluster::on(kafka, Postgres::shared().await) else { return };
    let running = Running::start(&cluster).await;
    let second = cluster.start("projector");
    let projectors = [&running.others[0].server, &second.server];
    for round in 0..2 {
        let holder = holder(&running, projectors, &format!("before{round}")).await;
        let (paused, other) = (projectors[holder], projectors[1 - holder]);
        let before = accepted(other).await;
        let pause = async {
            paused.signal("STOP");
            // Its writes wait for the other, and go on there while it is held up.
            eventually("that the other has taken over", || async {
                (accepted(other).await > before).then_some(())
            })
            .await;
            paused.signal("CONT");
        };
        running.meanwhile(&format!("paused{round}"), 120, pause).await;
        assert!(accepted(other).await > before, "the one that was held up was replaced");
        is_ready(paused).await;
    }
    running.holds(&cluster, 242).await;
}

/// How many events a projector has accepted.
async fn accepted(projector: &Server) -> f64 {
    projector.api().metric("projector_events_total").await
}

/// Which of two has the partition: the one that accepts the next event.
async fn holder(running: &Running, projectors: [&Server; 2], name: &str) -> usize {
    let before = [accepted(projectors[0]).await, accepted(projectors[1]).await];
    running.replicas.create_user(0, &user_name(name, 0)).await;
    let after = [accepted(projectors[0]).await, accepted(projectors[1]).await];
    let rise = [0, 1].map(|number| after[number] > before[number]);
    assert_ne!(rise[0], rise[1], "one of them alone follows the partition: {before:?} {after:?}");
    usize::from(rise[1])
}

async fn is_ready(server: &Server) {
    eventually("readiness", || async {
        (server.api().send("GET", "/readyz", None).await.0 == 200).then_some(())
    })
    .await;
}
