//! What a topic has to be, and what becomes of it.

use log::conformance::{everything, records};
use log::kafka::{Config, Kafka};
use log::{EventLog as _, Offset, Partition, ReadError};

use crate::{P, PAGE, brokers, config};

#[tokio::test(flavor = "multi_thread")]
async fn the_topic_is_made_as_a_log_has_to_be() {
    let Some(brokers) = brokers(tests::Kafka::shared()) else { return };
    let config = config(brokers);
    Kafka::open(config.clone()).await.unwrap();
    let topic = rdkafka::admin::ResourceSpecifier::Topic(&config.topic);
    let options = rdkafka::admin::AdminOptions::new();
    let described = brokers.admin().describe_configs([&topic], &options).await.unwrap();
    let described = described[0].as_ref().unwrap().entry_map();
    for (setting, value) in [
        ("cleanup.policy", "delete"),
        ("retention.ms", "-1"),
        ("retention.bytes", "-1"),
        ("unclean.leader.election.enable", "false"),
    ] {
        assert_eq!(described[setting].value.as_deref(), Some(value), "{setting}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_would_lose_records_is_refused_with_all_its_reasons() {
    let Some(brokers) = brokers(tests::Kafka::shared()) else { return };
    let config = config(brokers);
    let settings = [
        ("cleanup.policy", "compact"),
        ("retention.ms", "604800000"),
        ("retention.bytes", "1073741824"),
        ("unclean.leader.election.enable", "true"),
        ("max.message.bytes", "65536"),
    ];
    brokers.create_topic(&config.topic, 1, &settings).await;
    let refused = Kafka::open(config.clone()).await.unwrap_err().to_string();
    let start = format!("DSYNC-010: the topic {} would lose records: ", config.topic);
    assert!(refused.starts_with(&start), "{refused}");
    for (name, value) in settings {
        assert!(refused.contains(&format!("{name} is {value}: ")), "{name} in {refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_there_keeps_its_partitions() {
    let Some(brokers) = brokers(tests::Kafka::shared()) else { return };
    let config = config(brokers);
    let sound = [("retention.ms", "-1"), ("retention.bytes", "-1")];
    brokers.create_topic(&config.topic, 2, &sound).await;
    let log = Kafka::open(config).await.unwrap();
    assert_eq!(log.partitions(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn partitions_that_are_added_while_the_log_is_open_are_used_at_once() {
    let Some(brokers) = brokers(tests::Kafka::shared()) else { return };
    let config = config(brokers);
    let (one, two) = tokio::join!(Kafka::open(config.clone()), Kafka::open(config.clone()));
    let (one, two) = (one.unwrap(), two.unwrap());
    assert_eq!(one.look_for_partitions().await.unwrap(), 3);
    brokers.add_partitions(&config.topic, 5).await;
    tests::server::eventually("the brokers to tell of it", || async {
        // While a leader is being chosen there is no answer.
        (one.look_for_partitions().await.ok() == Some(5)).then_some(())
    })
    .await;
    assert_eq!(one.partitions(), 5);
    let added = Partition(4);
    assert_eq!(one.append(added, records("a", 2)).await.unwrap(), Offset(1));
    assert_eq!(everything(&one, added, 10).await.len(), 2);
    // Another that has not looked yet reads it all the same, when it is told of it by somebody.
    assert_eq!(two.partitions(), 3);
    two.wait_past(added, Offset(1)).await.unwrap();
    assert_eq!(everything(&two, added, 10).await.len(), 2);
}

/// How many records there are from an offset on. One read answers some of them.
async fn count_from(log: &Kafka, from: Offset) -> u64 {
    let mut next = from;
    while let Some(last) = log.read(P, next, PAGE).await.expect("it is there").last() {
        next = last.offset.next();
    }
    next.0 - from.0
}

#[tokio::test(flavor = "multi_thread")]
async fn records_that_were_deleted_are_missed_and_never_skipped() {
    let Some(brokers) = brokers(tests::Kafka::shared()) else { return };
    let config = config(brokers);
    let log = Kafka::open(config.clone()).await.unwrap();
    log.append(P, records("a", 10)).await.unwrap();
    assert_eq!(log.read(P, Offset(0), PAGE).await.unwrap().len(), 10);
    brokers.delete_records(&config.topic, 0, 4).await;

    let log = Kafka::open(config.clone()).await.unwrap();
    assert_eq!(count_from(&log, Offset(4)).await, 6);
    let lost = log.read(P, Offset(3), PAGE).await.unwrap_err();
    assert_eq!(
        lost.to_string(),
        "DSYNC-003: the log has lost records: offset 3 of partition 0 was asked for, and it holds 4 up to 10"
    );
    let scan = tokio::task::spawn_blocking(move || Kafka::scan(&config, P, Offset(0)).map(drop));
    let lost = scan.await.unwrap().unwrap_err();
    assert!(lost.to_string().contains("it holds 4 up to 10"), "{lost}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_is_not_made_with_fewer_copies_than_are_asked_for() {
    let Some(brokers) = brokers(tests::Kafka::shared()) else { return };
    let config = Config { copies: 3, ..config(brokers) };
    let refused = Kafka::open(config.clone()).await.unwrap_err().to_string();
    assert!(
        refused.contains("of the 3 brokers that are to have a copy of each record 1 are there")
    );
    assert!(refused.contains("set kafka_copies"), "{refused}");
    let made = Kafka::open(Config { copies: 1, ..config }).await.unwrap();
    assert_eq!(made.partitions(), 3, "nothing was made before");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_was_made_anew_is_not_taken_for_the_old_one() {
    let Some(brokers) = brokers(tests::Kafka::shared()) else { return };
    let config = config(brokers);
    let log = Kafka::open(config.clone()).await.unwrap();
    log.append(P, records("a", 10)).await.unwrap();
    assert_eq!(log.read(P, Offset(0), PAGE).await.unwrap().len(), 10);
    brokers.delete_topic(&config.topic).await;
    let fresh = Kafka::open(config.clone()).await.unwrap();
    fresh.append(P, records("b", 1)).await.unwrap();
    let waited = log.wait_past(P, Offset(10));
    let waited = tokio::time::timeout(tests::server::PATIENCE, waited).await.unwrap();
    assert!(matches!(waited, Err(ReadError::Lost { .. })), "{waited:?}");
}
