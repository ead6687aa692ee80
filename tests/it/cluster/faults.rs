//! What breaks past one machine, and what holds then. These take minutes: `./test --faults` runs them.

use std::time::Duration;

use tests::load::{Met, Replicas, create_users, read_back, user_name};
use tests::scim::user_body;
use tests::server::eventually;
use tests::{Directory, Kafka, Postgres, Receiver, Server};

use super::processes::{Cluster, Process, everything_arrives};
use crate::kafka::brokers;

/// Longer than a member of the group may be silent before its partitions go to another.
const PAST_THE_SESSION: Duration = Duration::from_secs(9);

/// How long a follower is held up.
const HELD_UP: Duration = Duration::from_secs(30);

/// One process for each role, and an app that listens.
struct Running {
    api: Process,
    ingest: Process,
    others: [Process; 2],
    receiver: Receiver,
    directory: Directory,
    replicas: Replicas,
}

impl Running {
    async fn start(cluster: &Cluster) -> Self {
        let api = cluster.start("api");
        let others = [cluster.start("projector"), cluster.start("dispatcher")];
        let ingest = cluster.start("ingest");
        let receiver = Receiver::start().await;
        api.server.api().endpoint(receiver.url()).await;
        let directory = api.server.api().directory("azure scim v2.0", "Acme").await;
        let directory = directory.at(ingest.server.base());
        let replicas = Replicas::new(&directory, &[ingest.server.base()]);
        Self { api, ingest, others, receiver, directory, replicas }
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

    running.meanwhile("leader", 80, async { kafka.kill(leader()) }).await;
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

    running
        .meanwhile("everything", 80, async {
            (0..3).for_each(|node| kafka.kill(node));
            (0..3).for_each(|node| kafka.start_again(node));
        })
        .await;
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
    let read = running.directory.send("GET", &format!("/Users/{known}"), None).await;
    assert_eq!(read.expect(200).id(), known, "reads go on");
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
    for (number, paused) in projectors.into_iter().enumerate() {
        let pause = async {
            paused.signal("STOP");
            tokio::time::sleep(PAST_THE_SESSION).await;
            paused.signal("CONT");
        };
        // One of the two has the partition: its writes wait for the other, and go on.
        running.meanwhile(&format!("paused{number}"), 120, pause).await;
        is_ready(paused).await;
    }
    running.holds(&cluster, 240).await;
}

async fn is_ready(server: &Server) {
    eventually("readiness", || async {
        (server.api().send("GET", "/readyz", None).await.0 == 200).then_some(())
    })
    .await;
}
