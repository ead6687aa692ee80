//! Directories in several partitions of the topic: the projectors share them, and a rebuild puts them together again as
//! they were.

use futures_util::future::join_all;
use serde_json::{Value, json};
use tests::scim::user_body;
use tests::server::{command, eventually, json_of, program};
use tests::{Directory, Kafka, Receiver, Server};

use super::processes::{Cluster, everything_arrives};
use crate::events::{Copy, TYPES, live};
use crate::kafka::brokers;

const PARTITIONS: u16 = 4;
const DIRECTORIES: usize = 8;

/// What a process has counted since its start.
async fn counted(server: &Server, series: &str) -> u64 {
    let metrics = reqwest::get(format!("{}/metrics", server.base())).await.unwrap();
    let metrics = metrics.text().await.unwrap();
    let value = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.map_or(0, |value| value.parse().unwrap())
}

/// Creates a user, trying again as an identity provider does.
async fn insist(directory: &Directory, name: &str) {
    eventually("a write", || async {
        let written = directory.send("POST", "/Users", Some(user_body(name))).await;
        matches!(written.status, 201 | 409).then_some(())
    })
    .await;
}

/// The feed as it is stored: position, directory and place in its stream.
async fn feed(cluster: &Cluster) -> Vec<(i64, i64, i64)> {
    let client = cluster.postgres.connect().await;
    let sql = "SELECT position, directory, seq FROM feed ORDER BY position";
    let rows = client.query(sql, &[]).await.unwrap();
    rows.iter().map(|row| (row.get(0), row.get(1), row.get(2))).collect()
}

/// Positions rise by one, and so do the places of each directory.
fn is_in_order(feed: &[(i64, i64, i64)]) {
    let mut last = std::collections::BTreeMap::new();
    for ((position, directory, seq), expected) in feed.iter().zip(1..) {
        assert_eq!(*position, expected);
        let last = last.entry(*directory).or_insert(0);
        assert_eq!(*seq, *last + 1, "directory {directory} at position {position}");
        *last = *seq;
    }
    assert_eq!(last.len(), DIRECTORIES);
}

/// What the events say is what the lists show, for each directory.
async fn events_fold_to_the_lists(api: &Server, directories: &[Directory]) {
    let mut folded = Copy::default();
    api.api().events(TYPES).await.iter().for_each(|event| folded.apply(event));
    let mut read = Copy::default();
    for directory in directories {
        let one = Copy::read(&api.api(), &directory.id).await;
        read.users.extend(one.users);
        read.groups.extend(one.groups);
        read.members.extend(one.members);
    }
    assert_eq!(folded.users, read.users);
    assert_eq!(folded.groups, read.groups);
    assert_eq!(folded.members, read.members);
}

fn rebuild(cluster: &Cluster) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let mut rebuild = command(folder.path());
    let rebuilt = rebuild.args(["rebuild", "--json"]).envs(cluster.settings()).output().unwrap();
    assert!(rebuilt.status.success(), "{}", String::from_utf8_lossy(&rebuilt.stderr));
    json_of(&rebuilt.stdout)
}

#[tokio::test(flavor = "multi_thread")]
async fn projectors_share_the_partitions_of_many_directories_and_a_rebuild_moves_nothing() {
    let Some(cluster) = Cluster::of(PARTITIONS).await else { return };
    let kafka = brokers(Kafka::shared()).expect("there was one");
    let others = cluster.start("api,ingest,dispatcher");
    let projectors = [cluster.start("projector"), cluster.start("projector")];
    let receiver = Receiver::start().await;
    others.server.api().endpoint(receiver.url()).await;

    let mut directories = Vec::new();
    for number in 0..DIRECTORIES {
        let name = format!("Acme {number}");
        directories.push(others.server.api().directory("azure scim v2.0", &name).await);
    }
    for partition in 0..i32::from(PARTITIONS) {
        assert!(kafka.end(&cluster.topic, partition) > 0, "no directory in {partition}");
    }
    // Until the group has given a share to each, one of them does all the work.
    eventually("both projectors to work", || async {
        join_all(directories.iter().map(|one| insist(one, "first@acme.example"))).await;
        rename(&directories).await;
        let work = projectors.each_ref().map(|one| counted(&one.server, "projector_events_total"));
        let work = join_all(work).await;
        work.iter().all(|events| *events > 0).then_some(())
    })
    .await;
    join_all(directories.iter().map(live)).await;
    is_in_order(&feed(&cluster).await);
    events_fold_to_the_lists(&others.server, &directories).await;
    cluster.verify();

    // One is gone, and the other takes over what it had.
    let [gone, left] = projectors;
    gone.server.kill();
    join_all(directories.iter().map(|one| insist(one, "second@acme.example"))).await;
    let before = feed(&cluster).await;
    is_in_order(&before);
    everything_arrives(&others.server, &receiver).await;
    assert!(left.server.terminate().success());

    let told = receiver.arrived().len();
    let rebuilt = rebuild(&cluster);
    assert_eq!(rebuilt["events"], before.len());
    let after = feed(&cluster).await;
    let places =
        |feed: &[(i64, i64, i64)]| feed.iter().map(|one| (one.0, one.2)).collect::<Vec<_>>();
    assert_eq!(places(&after), places(&before));
    is_in_order(&after);

    let _again = cluster.start("projector");
    join_all(directories.iter().map(|one| insist(one, "third@acme.example"))).await;
    everything_arrives(&others.server, &receiver).await;
    assert_eq!(receiver.arrived().len(), told + DIRECTORIES, "nothing was sent twice or left out");
    events_fold_to_the_lists(&others.server, &directories).await;
    cluster.verify();

    let last = &directories[DIRECTORIES - 1];
    let mut example = program("rebuild-from-kafka");
    let output = example.args([kafka.bootstrap(), &cluster.topic, &last.id]).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let read = Copy::read(&others.server.api(), &last.id).await;
    assert_eq!(json_of(&output.stdout)["users"], json!(read.users), "of whichever partition");
}

/// Changes a user of each directory to something that it is not.
async fn rename(directories: &[Directory]) {
    for directory in directories {
        let found = directory.send("GET", "/Users?filter=userName eq \"first@acme.example\"", None);
        let found = found.await.expect(200);
        let user = &found.body["Resources"][0];
        let title = format!("{} and more", user["title"].as_str().unwrap_or_default());
        let change = json!([{ "op": "replace", "path": "title", "value": title }]);
        let path = format!("/Users/{}", user["id"].as_str().unwrap());
        directory.patch(&path, change).await.expect(200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_are_added_are_used_by_processes_that_run() {
    let Some(cluster) = Cluster::of(1).await else { return };
    let kafka = brokers(Kafka::shared()).expect("there was one");
    let server = cluster.start("api,ingest,projector").server;
    let first = server.api().directory("azure scim v2.0", "First").await;
    kafka.add_partitions(&cluster.topic, 2).await;
    eventually("the new partition to be known", || async {
        let metrics = reqwest::get(format!("{}/metrics", server.base())).await.unwrap();
        let metrics = metrics.text().await.unwrap();
        metrics.contains("projector_lag_records{partition=\"1\"}").then_some(())
    })
    .await;
    let second = server.api().directory("azure scim v2.0", "Second").await;
    insist(&second, "second@acme.example").await;
    insist(&first, "first@acme.example").await;
    assert!(kafka.end(&cluster.topic, 1) >= 3, "the directory, its token and its user");
    let moved = kafka.end(&cluster.topic, 0);
    insist(&first, "another@acme.example").await;
    assert_eq!(kafka.end(&cluster.topic, 0), moved + 1, "who was there stays there");
    cluster.verify();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_made_anew_with_fewer_partitions_is_refused() {
    let Some(cluster) = Cluster::of(2).await else { return };
    let kafka = brokers(Kafka::shared()).expect("there was one");
    let server = cluster.start("api,ingest,projector").server;
    for name in ["First", "Second"] {
        let directory = server.api().directory("azure scim v2.0", name).await;
        insist(&directory, "first@acme.example").await;
    }
    assert!(server.terminate().success());
    kafka.delete_topic(&cluster.topic).await;
    eventually("the topic to be gone", || async {
        let settings = [("retention.ms", "-1"), ("retention.bytes", "-1")];
        kafka.try_create_topic(&cluster.topic, 1, &settings).await.then_some(())
    })
    .await;
    for what in ["serve", "rebuild", "verify"] {
        let folder = tempfile::tempdir().unwrap();
        let mut refused = command(folder.path());
        let refused = refused.arg(what).envs(cluster.settings()).output().unwrap();
        let said = String::from_utf8_lossy(&refused.stderr);
        assert_eq!(refused.status.code(), Some(1), "{what}: {said}");
        assert!(said.contains("DSYNC-011"), "{what}: {said}");
    }
}
