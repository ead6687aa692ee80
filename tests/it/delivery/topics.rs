//! Endpoints that are topics of Kafka: what holds of a URL holds of them.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use tests::kafka::{PASSWORD, Record, USER};
use tests::server::eventually;
use tests::{Api, Delivery, Kafka, Receiver, Server};

use super::world::{Folded, QUICK, events_of, history, in_order, title, users};
use crate::kafka::{brokers, log_in as topic_at};

/// The endpoint's own time: brokers that are away are given up after this.
const SOON: u32 = 1;

/// A server that may write to these brokers.
fn server(data: &Path, kafka: &Kafka) -> Server {
    Server::start_with(data, &[QUICK, ("DSYNC_KAFKA_ENDPOINTS", kafka.bootstrap())])
}

fn deliveries(records: &[Record]) -> Vec<Delivery> {
    records.iter().map(|record| record.delivery.clone()).collect()
}

async fn attempts(api: &Api, endpoint: &str, filter: &str) -> Vec<Value> {
    let page = api.get(&format!("{endpoint}/deliveries?limit=100&{filter}")).await;
    page["data"].as_array().unwrap().clone()
}

async fn failure(api: &Api, endpoint: &str, failure: &str) -> Value {
    eventually(&format!("an attempt that failed with {failure}"), || async {
        let failed = attempts(api, endpoint, "status=failed").await;
        failed.into_iter().find(|attempt| attempt["failure"] == failure)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_gets_every_event_in_order_as_a_cloud_event() {
    let Some(kafka) = brokers(Kafka::shared()) else { return };
    let (data, topic) = (tempfile::tempdir().unwrap(), kafka.fresh_name());
    kafka.create_topic(&topic, 4, &[]).await;
    let server = server(data.path(), kafka);
    let api = server.api();
    let (endpoint, secret) =
        api.endpoint_with(&topic_at(kafka, &topic), json!({ "start": "beginning" })).await;
    let directory = api.directory("okta scim v2.0", "Acme").await;
    let other = api.directory("okta scim v2.0", "Rival").await;
    history(&directory).await;
    users(&other, "r", 5).await;

    let events = events_of(&server).await;
    let records = kafka.wait_for_records(&topic, events.len()).await;
    assert_eq!(records.len(), events.len(), "each is there once");
    let taken = deliveries(&records);
    in_order(&taken);
    let mut folded = Folded::default();
    for Record { delivery, key, partition } in &records {
        delivery.verify_standard(&secret);
        let id = delivery.header("ce_source").strip_prefix("/directories/").unwrap();
        assert_eq!((key.as_str(), delivery.header("ce_id")), (id, delivery.id()));
        assert_eq!(delivery.header("ce_specversion"), "1.0");
        assert_eq!(delivery.header("content-type"), "application/json");
        assert_eq!(delivery.header("ce_type"), delivery.kind());
        assert_eq!(delivery.header("ce_time"), delivery.event["created_at"]);
        let data = &delivery.event["data"];
        let subject = if data["user"].is_object() { &data["user"]["id"] } else { &data["id"] };
        assert_eq!(delivery.header("ce_subject"), subject.as_str().unwrap());
        assert!(!delivery.headers.contains_key("workos-signature"));
        let of_directory = records.iter().filter(|record| record.key == *key);
        assert!(of_directory.map(|record| record.partition).all(|other| other == *partition));
        if key == &directory.id {
            folded.take(&delivery.event);
        }
    }
    assert_eq!(folded, Folded::of_api(&server, &directory.id).await);
    let delivered = attempts(&api, &endpoint, "status=delivered").await;
    assert_eq!(
        (&delivered[0]["response_status"], &delivered[0]["failure"]),
        (&json!(null), &json!(null))
    );
    assert_eq!(api.get(&endpoint).await["health"]["state"], "healthy");
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_were_away_get_everything_in_order_when_they_are_back() {
    let Some(kafka) = brokers(Kafka::start(1)) else { return };
    let (data, topic) = (tempfile::tempdir().unwrap(), kafka.fresh_name());
    kafka.create_topic(&topic, 2, &[]).await;
    let server = server(data.path(), &kafka);
    let api = server.api();
    let waits = ["200ms"; 30].join(",");
    let fields = json!({ "start": "beginning", "timeout_seconds": SOON, "retry_schedule": waits });
    let (endpoint, _) = api.endpoint_with(&topic_at(&kafka, &topic), fields).await;
    let directory = api.directory("okta scim v2.0", "Acme").await;
    let people = users(&directory, "k", 10).await;
    kafka.wait_for_records(&topic, 11).await;

    kafka.kill(0);
    for round in 0..5 {
        for user in &people {
            title(&directory, user, &format!("Round {round}")).await;
        }
    }
    failure(&api, &endpoint, "connect").await;
    kafka.start_again(0);
    let taken = deliveries(&wait_for(&kafka, &topic, 61).await);
    in_order(&taken);
    eventually("health", || async {
        (api.get(&endpoint).await["health"]["state"] == "healthy").then_some(())
    })
    .await;
}

/// As the one of [`Kafka`], for brokers that are starting and may not answer yet.
async fn wait_for(kafka: &Kafka, topic: &str, count: usize) -> Vec<Record> {
    eventually("that the brokers answer", || async {
        tokio::task::block_in_place(|| kafka.count() > 0).then_some(())
    })
    .await;
    kafka.wait_for_records(topic, count).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_there_is_given_up_sooner_and_gets_all_of_it_by_a_replay() {
    let Some(kafka) = brokers(Kafka::shared()) else { return };
    let (data, topic) = (tempfile::tempdir().unwrap(), kafka.fresh_name());
    let server = server(data.path(), kafka);
    let api = server.api();
    let (endpoint, _) = api.endpoint_with(&topic_at(kafka, &topic), json!({})).await;
    let directory = api.directory("okta scim v2.0", "Acme").await;
    // Fewer than would make it stand still.
    users(&directory, "u", 2).await;
    let exhausted = eventually("that an event is given up", || async {
        attempts(&api, &endpoint, "status=exhausted").await.into_iter().next()
    })
    .await;
    assert_eq!(
        (&exhausted["failure"], &exhausted["attempt"]),
        (&json!("unknown_topic"), &json!(4))
    );
    let said = exhausted["response_body"].as_str().unwrap();
    assert!(said.contains("Unknown topic"), "{said}");

    kafka.create_topic(&topic, 1, &[]).await;
    eventually("that the topic is seen", || async {
        let body = json!({ "event": "dsync.user.created" });
        let (_, answer) = api.send("POST", &format!("{endpoint}/test"), Some(&body)).await;
        (answer["delivered"] == true).then_some(())
    })
    .await;
    let from = json!({ "from": "2020-01-01T00:00:00Z", "rate": 1000 });
    let (replay, events) = api.replay(&endpoint, &from).await;
    assert_eq!(api.finished(&replay).await["delivered"], json!(events));
    let records = kafka.wait_for_records(&topic, 1 + 3).await;
    let replayed: BTreeSet<&str> = records
        .iter()
        .filter(|record| record.delivery.headers.contains_key("dsync-replay"))
        .map(|record| record.delivery.id())
        .collect();
    assert_eq!(replayed.len() as u64, events);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_is_too_large_holds_up_no_other() {
    let Some(kafka) = brokers(Kafka::shared()) else { return };
    let (data, topic) = (tempfile::tempdir().unwrap(), kafka.fresh_name());
    kafka.create_topic(&topic, 1, &[("max.message.bytes", "12000")]).await;
    let server = server(data.path(), kafka);
    let api = server.api();
    let (endpoint, _) =
        api.endpoint_with(&topic_at(kafka, &topic), json!({ "events": ["dsync.user.*"] })).await;
    let directory = api.directory("okta scim v2.0", "Acme").await;
    let people = users(&directory, "l", 2).await;
    // Random enough to be as large when it is compressed.
    let noise: String = (0..1_500_u64)
        .map(|number| {
            format!("{:016x}", number.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29))
        })
        .collect();
    title(&directory, &people[0], &noise).await;
    title(&directory, &people[1], "Chief").await;
    let large = failure(&api, &endpoint, "too_large").await;
    assert_eq!(large["event"], "dsync.user.updated");
    let records = kafka.wait_for_records(&topic, 3).await;
    assert_eq!(records[2].delivery.event["data"]["job_title"], "Chief");
    assert_eq!(api.get(&endpoint).await["status"], "enabled");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endpoint_moves_to_a_topic_and_back_and_misses_nothing() {
    let Some(kafka) = brokers(Kafka::shared()) else { return };
    let (data, topic) = (tempfile::tempdir().unwrap(), kafka.fresh_name());
    kafka.create_topic(&topic, 1, &[]).await;
    let server = server(data.path(), kafka);
    let api = server.api();
    let receiver = Receiver::start().await;
    let (endpoint, _) =
        api.endpoint_with(receiver.url(), json!({ "events": ["dsync.user.*"] })).await;
    let directory = api.directory("okta scim v2.0", "Acme").await;
    let to = async |url: &str| {
        let (status, answer) =
            api.send("PATCH", &endpoint, Some(&json!({ "endpoint_url": url }))).await;
        assert_eq!((status, &answer["endpoint_url"]), (200, &json!(url)));
    };
    users(&directory, "a", 5).await;
    receiver.wait_for_events(5).await;
    to(&topic_at(kafka, &topic)).await;
    users(&directory, "b", 5).await;
    let records = kafka.wait_for_records(&topic, 5).await;
    to(receiver.url()).await;
    users(&directory, "c", 5).await;
    let taken = receiver.wait_for_events(10).await;
    let posted: BTreeSet<&str> = taken.iter().map(Delivery::id).collect();
    let written: BTreeSet<&str> = records.iter().map(|record| record.delivery.id()).collect();
    assert_eq!(posted.union(&written).count(), 15, "every event was somewhere");
    assert_eq!(server.terminate().code(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_brokers_that_the_operator_names_are_written_to() {
    let Some(kafka) = brokers(Kafka::shared()) else { return };
    let (data, topic) = (tempfile::tempdir().unwrap(), kafka.fresh_name());
    let url = topic_at(kafka, &topic);
    let refused = async |api: &Api, url: &str, why: &str| {
        let body = json!({ "endpoint_url": url });
        let (status, answer) = api.send("POST", "/webhook_endpoints", Some(&body)).await;
        assert_eq!((status, &answer["code"]), (422, &json!("invalid_url")), "{url}: {answer}");
        let message = answer["message"].as_str().unwrap();
        assert!(message.contains(why), "{url}: {message}");
    };
    let closed = Server::start(data.path());
    refused(&closed.api(), &url, "is not in the setting kafka_endpoints").await;
    assert!(closed.terminate().success());

    let open = server(data.path(), kafka);
    let api = open.api();
    let broker = kafka.bootstrap().split(',').next().unwrap();
    for (url, why) in [
        (format!("kafka://{broker},10.0.0.1:9092/t"), "10.0.0.1:9092 is not in the setting"),
        (format!("kafka://me:hunter2@{broker}/t"), "must not hold a user name or a password"),
        (format!("kafka://{broker}"), "kafka://host:port,host:port/topic"),
        (format!("kafka://{broker}/a topic"), "kafka://host:port,host:port/topic"),
    ] {
        refused(&api, &url, why).await;
    }
    let (endpoint, _) = api.endpoint_with(&url, json!({})).await;
    let away = json!({ "endpoint_url": "kafka://10.0.0.1:9092/t" });
    assert_eq!(api.send("PATCH", &endpoint, Some(&away)).await.0, 422);
    assert!(open.terminate().success());

    // What the setting does not name any more is not written to either.
    let closed = Server::start_with(data.path(), &[QUICK]);
    let api = closed.api();
    let directory = api.directory("okta scim v2.0", "Acme").await;
    directory.user("ada@acme.example").await;
    failure(&api, &endpoint, "refused").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_ask_for_tls_and_a_password_are_given_them_by_the_operator() {
    let Some(kafka) = brokers(Kafka::shared()) else { return };
    let Some((secured, authority)) = kafka.secured() else { return };
    let topic = kafka.fresh_name();
    kafka.create_topic(&topic, 1, &[]).await;
    for (password, trouble) in [(PASSWORD, None), ("hunter2", Some("not_authorized"))] {
        let data = tempfile::tempdir().unwrap();
        let file = format!(
            "kafka_endpoints = ['{secured}']\n[endpoint_kafka]\nsecurity.protocol = 'SASL_SSL'\n\
             sasl.mechanism = 'SCRAM-SHA-256'\nsasl.username = '{USER}'\n\
             sasl.password = '{password}'\nssl.ca.location = '{}'\n",
            authority.display()
        );
        std::fs::write(data.path().join("dsync.toml"), file).unwrap();
        let server = Server::start(data.path());
        let api = server.api();
        let fields = json!({ "timeout_seconds": 5 });
        let (endpoint, _) = api.endpoint_with(&format!("kafka://{secured}/{topic}"), fields).await;
        let body = json!({ "event": "dsync.user.created" });
        let (status, answer) = api.send("POST", &format!("{endpoint}/test"), Some(&body)).await;
        assert_eq!((status, &answer["failure"]), (200, &json!(trouble)), "{answer}");
        assert!(!answer.to_string().contains(password), "{answer}");
        assert_eq!(answer["request_headers"]["ce_type"], "dsync.user.created");
        assert_eq!(answer["request_headers"]["dsync-test"], "true");
    }
    assert_eq!(kafka.records(&topic).len(), 1);
}
