//! A server whose log is a topic of Kafka, all roles in one process: nothing else about it is different.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Output;
use std::time::Duration;

use serde_json::json;
use tests::kafka::Missing;
use tests::scim::user_body;
use tests::server::{command, eventually, json_of, program};
use tests::{Directory, Kafka, Receiver, Server};
use tokio::time::Instant;

use crate::events::Copy;

/// Says aloud what was not checked where there are no brokers.
pub(crate) fn brokers<T>(found: Result<T, Missing>) -> Option<T> {
    found.map_err(|missing| tests::not_checked(&missing)).ok()
}

/// The setting of a log in a topic of these brokers.
pub(crate) fn log_in(brokers: &Kafka, topic: &str) -> String {
    format!("kafka://{}/{topic}", brokers.bootstrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entra_cycle_runs_over_a_log_in_kafka() {
    let Some(brokers) = brokers(Kafka::shared()) else { return };
    let data = tempfile::tempdir().unwrap();
    let log = log_in(brokers, &brokers.fresh_name());
    let server = Server::start_with(data.path(), &[("DSYNC_LOG", &log)]);
    crate::entra::cycle(server).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_answered_survives_kill_minus_nine_and_a_rebuild_from_the_topic() {
    let Some(brokers) = brokers(Kafka::shared()) else { return };
    let (data, topic) = (tempfile::tempdir().unwrap(), &brokers.fresh_name());
    let log = log_in(brokers, topic);
    let settings = [("DSYNC_LOG", log.as_str()), ("DSYNC_KAFKA_PARTITIONS", "3")];
    let receiver = Receiver::start().await;

    let server = Server::start_with(data.path(), &settings);
    server.api().endpoint(receiver.url()).await;
    let directory = server.api().directory("azure scim v2.0", "Contoso").await;
    let mut users = provision(&directory, 0..25).await;
    // In another partition; its events lie between the others.
    let other = server.api().directory("azure scim v2.0", "Fabrikam").await;
    provision(&other, 0..10).await;
    users.extend(provision(&directory, 25..50).await);
    assert!(brokers.end(topic, 0) > 50 && brokers.end(topic, 1) > 10, "one in each");
    server.kill();

    let server = Server::start_with(data.path(), &settings);
    let directory = directory.at(server.base());
    assert_eq!(names(&directory).await, users);
    users.extend(provision(&directory, 50..60).await);
    let verified = run(data.path(), &log, "verify");
    assert!(verified.status.success(), "{verified:?}");
    let said = String::from_utf8_lossy(&verified.stdout);
    // The users, the directories, and their tokens.
    assert!(said.contains("74 events"), "{said}");
    let feed = feed(&server).await;
    everything_arrives(&server, &receiver).await;
    assert!(server.terminate().success());

    let rebuilt = run(data.path(), &log, "rebuild");
    assert!(rebuilt.status.success(), "{rebuilt:?}");
    let server = Server::start_with(data.path(), &settings);
    assert_eq!(names(&directory.at(server.base())).await, users);
    assert_eq!(self::feed(&server).await, feed, "every event is where it was");
    let walked = server.api().get("/audit/verify").await;
    assert_eq!(walked["events"], 74, "{walked}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_example_rebuilds_a_directory_from_the_topic_alone() {
    let Some(brokers) = brokers(Kafka::shared()) else { return };
    let (data, topic) = (tempfile::tempdir().unwrap(), brokers.fresh_name());
    let server = Server::start_with(data.path(), &[("DSYNC_LOG", &log_in(brokers, &topic))]);
    let api = server.api();
    let directory = api.directory("azure scim v2.0", "Acme").await;
    let other = api.directory("okta scim v2.0", "Other").await;
    tokio::join!(crate::events::live(&directory), provision(&other, 0..20));

    let mut example = program("rebuild-from-kafka");
    let arguments = [brokers.bootstrap(), &topic, &directory.id];
    let output = example.args(arguments).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let copy = json_of(&output.stdout);
    let read = Copy::read(&api, &directory.id).await;
    assert_eq!(copy["users"], json!(read.users));
    assert_eq!(copy["groups"], json!(read.groups));
    assert_eq!(copy["members"], json!(read.members.keys().collect::<Vec<_>>()));
    assert_eq!(read.users.len(), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn while_no_broker_answers_writes_are_put_off_and_reads_go_on() {
    let Some(brokers) = brokers(Kafka::start(1)) else { return };
    let data = tempfile::tempdir().unwrap();
    let log = log_in(&brokers, &brokers.fresh_name());
    let server = Server::start_with(data.path(), &[("DSYNC_LOG", &log)]);
    let directory = server.api().directory("azure scim v2.0", "Contoso").await;
    let users = provision(&directory, 0..5).await;
    let other = server.api().directory("okta scim v2.0", "Fabrikam").await;
    assert_eq!(server.api().send("GET", "/readyz", None).await.0, 200);

    brokers.kill(0);
    let path = format!("/directories/{}", other.id);
    assert_eq!(server.api().send("DELETE", &path, None).await.0, 202);
    let refused = eventually("a refusal", || async {
        let refused = directory.send("POST", "/Users", Some(user_body("late@x.example"))).await;
        (refused.status == 503).then_some(refused)
    })
    .await;
    assert!(refused.retry_after.is_some(), "it says when to come back: {refused:?}");
    assert_eq!(names(&directory).await, users);
    let checks = server.api().readiness(200, "degraded").await;
    assert_ne!(checks["log"], "ok", "{checks}");
    assert_eq!(checks["store"], "ok", "{checks}");

    brokers.start_again(0);
    eventually("a write", || async {
        let written = directory.send("POST", "/Users", Some(user_body("back@x.example"))).await;
        matches!(written.status, 201 | 409).then_some(())
    })
    .await;
    server.api().readiness(200, "ready").await;
    eventually("apps to be told of the directory that was deleted meanwhile", || async {
        (server.api().events("dsync.deleted").await.len() == 1).then_some(())
    })
    .await;

    brokers.kill(0);
    let begun = Instant::now();
    assert!(server.terminate().success());
    assert!(begun.elapsed() < Duration::from_secs(10), "it ends without brokers too");
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_are_added_are_followed_by_a_server_that_is_alone() {
    let Some(brokers) = brokers(Kafka::shared()) else { return };
    let (data, topic) = (tempfile::tempdir().unwrap(), brokers.fresh_name());
    let settings = [("DSYNC_LOG", &*log_in(brokers, &topic)), ("DSYNC_KAFKA_PARTITIONS", "1")];
    let server = Server::start_with(data.path(), &settings);
    provision(&server.api().directory("azure scim v2.0", "Contoso").await, 0..2).await;
    brokers.add_partitions(&topic, 2).await;
    eventually("the new partition to be known", || async {
        let metrics = reqwest::get(format!("{}/metrics", server.base())).await.unwrap();
        let metrics = metrics.text().await.unwrap();
        metrics.contains("projector_lag_records{partition=\"1\"}").then_some(())
    })
    .await;
    provision(&server.api().directory("azure scim v2.0", "Fabrikam").await, 0..2).await;
    assert!(brokers.end(&topic, 1) >= 4, "the directory, its token and its users");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_cannot_be_opened_says_what_to_do() {
    let data = tempfile::tempdir().unwrap();
    let output = run(data.path(), "kafka://127.0.0.1:1/dsync", "serve");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("no Kafka broker answers at 127.0.0.1:1: "), "{said}");
    assert!(said.contains("check that the brokers run"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_would_lose_records_stops_the_start() {
    let Some(brokers) = brokers(Kafka::shared()) else { return };
    let (data, topic) = (tempfile::tempdir().unwrap(), brokers.fresh_name());
    brokers.create_topic(&topic, 1, &[("retention.ms", "604800000")]).await;
    let output = run(data.path(), &log_in(brokers, &topic), "serve");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("DSYNC-010") && said.contains("retention.ms is 604800000"), "{said}");
}

#[test]
fn secrets_for_kafka_are_not_printed() {
    let data = tempfile::tempdir().unwrap();
    let file = "log = 'kafka://a:9092/dsync'\n[kafka]\nsecurity.protocol = 'SASL_SSL'\n\
        'sasl.password' = 'hunter2'\n";
    std::fs::write(data.path().join("dsync.toml"), file).unwrap();
    let printed = command(data.path()).args(["config", "print"]).output().unwrap();
    let said = String::from_utf8_lossy(&printed.stdout);
    assert!(printed.status.success(), "{printed:?}");
    assert!(said.contains("SASL_SSL") && said.contains("kafka.sasl.password"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
}

/// Runs a command with this log, and waits for its end.
fn run(data: &Path, log: &str, what: &str) -> Output {
    command(data).arg(what).env("DSYNC_LOG", log).output().unwrap()
}

async fn provision(directory: &Directory, numbers: std::ops::Range<u32>) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for number in numbers {
        let name = format!("person{number}@contoso.example");
        directory.send("POST", "/Users", Some(user_body(&name))).await.expect(201);
        names.insert(name);
    }
    names
}

async fn names(directory: &Directory) -> BTreeSet<String> {
    let all = directory.send("GET", "/Users?count=1000", None).await.expect(200);
    let users = all.body["Resources"].as_array().unwrap();
    users.iter().map(|user| user["userName"].as_str().unwrap().to_owned()).collect()
}

/// The ids of all events, in the order of the feed.
async fn feed(server: &Server) -> Vec<String> {
    let events = server.api().events("dsync.activated,dsync.user.created").await;
    events.iter().map(|event| event["id"].as_str().unwrap().to_owned()).collect()
}

async fn everything_arrives(server: &Server, receiver: &Receiver) {
    let events = server.api().events("dsync.activated,dsync.user.created").await;
    let ids: BTreeSet<String> = events.iter().map(|event| json!(event["id"]).to_string()).collect();
    eventually("every webhook", || async {
        let arrived: BTreeSet<String> =
            receiver.arrived().iter().map(|sent| json!(sent.id()).to_string()).collect();
        ids.is_subset(&arrived).then_some(())
    })
    .await;
}
