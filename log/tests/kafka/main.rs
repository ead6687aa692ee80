//! The log in a topic of Kafka, on real brokers: the contract here, what a topic may and may not be, and brokers that fail,
//! in one program. Most of it waits, so what takes long runs beside the rest.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, wherever that happens")]

mod faults;
mod topic;
mod transactions;

use std::num::NonZeroUsize;

use log::conformance::{self, everything, records};
use log::kafka::{Config, Kafka};
use log::{Append, EventLog as _, Offset, Partition, ReadLimit};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use schemas::chain::Head;
use schemas::record::{Draft, seal};
use schemas::{Actor, DirectoryId, Event, EventId, Timestamp};
use tests::kafka::{Missing, PASSWORD, USER};

const P: Partition = Partition(0);

const PAGE: ReadLimit = ReadLimit { records: NonZeroUsize::MAX, bytes: NonZeroUsize::MAX };

#[tokio::test(flavor = "multi_thread")]
async fn it_keeps_the_contract() {
    let Some(brokers) = brokers(tests::Kafka::shared()) else { return };
    let log = Kafka::open(config(brokers)).await.unwrap();
    assert_eq!(log.partitions(), 3);
    conformance::all(&log).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_appended_is_there_after_reopening_and_in_a_scan() {
    let Some(brokers) = brokers(tests::Kafka::shared()) else { return };
    let config = config(brokers);
    let log = Kafka::open(config.clone()).await.unwrap();
    log.append(P, records("a", 3)).await.unwrap();
    log.append(Partition(2), records("b", 2)).await.unwrap();
    let before = everything(&log, P, 10).await;
    tokio::task::spawn_blocking(move || log.close()).await.unwrap();

    let log = Kafka::open(config.clone()).await.unwrap();
    assert_eq!(everything(&log, P, 10).await, before);
    assert_eq!(log.append(Partition(2), records("c", 1)).await.unwrap(), Offset(2));
    let scanned = tokio::task::spawn_blocking(move || {
        assert_eq!(Kafka::count_partitions(&config).unwrap(), 3);
        let scan = Kafka::scan(&config, P, Offset(1)).unwrap();
        assert_eq!(scan.len_hint(), 2);
        scan.collect::<Result<Vec<_>, _>>().unwrap()
    });
    assert_eq!(scanned.await.unwrap()[..], before[1..]);
}

#[tokio::test(flavor = "multi_thread")]
async fn appends_arrive_in_the_order_in_which_they_were_begun_however_many_a_task_begins() {
    let Some(brokers) = brokers(tests::Kafka::shared()) else { return };
    let log = Kafka::open(config(brokers)).await.unwrap();
    let names: Vec<String> = (0..300).map(|number| format!("a.{number}")).collect();
    let mut appends: Vec<_> = names.iter().map(|name| log.append(P, records(name, 1))).collect();
    std::future::poll_fn(|context| {
        // Some may be there by the time the last is begun.
        appends.retain_mut(|append| append.as_mut().poll(context).map(Result::unwrap).is_pending());
        std::task::Poll::Ready(())
    })
    .await;
    for append in appends.into_iter().rev() {
        append.await.unwrap();
    }
    let found = everything(&log, P, 1_000).await;
    let found: Vec<String> =
        found.iter().map(|entry| String::from_utf8(entry.value.to_vec()).unwrap()).collect();
    let begun: Vec<String> = names.iter().map(|name| format!("{name}-0")).collect();
    assert_eq!(found, begun);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_that_appends_wakes_a_reader() {
    let Some(brokers) = brokers(tests::Kafka::shared()) else { return };
    let config = config(brokers);
    let (reader, writer) = tokio::join!(Kafka::open(config.clone()), Kafka::open(config.clone()));
    let (reader, writer) = (reader.unwrap(), writer.unwrap());
    assert_eq!(reader.read(P, Offset(0), PAGE).await.unwrap(), []);
    for number in 0..5 {
        let appends = async { writer.append(P, records(&format!("a.{number}"), 1)).await };
        let (waited, appended) = tokio::join!(reader.wait_past(P, Offset(number)), appends);
        waited.unwrap();
        assert_eq!(appended.unwrap(), Offset(number));
        assert_eq!(reader.read(P, Offset(number), PAGE).await.unwrap().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lagging_reader_reads_more_than_fits_into_memory_at_once() {
    let Some(brokers) = brokers(tests::Kafka::shared()) else { return };
    let log = Kafka::open(config(brokers)).await.unwrap();
    for number in 0..40 {
        let mut large = records(&format!("a.{number}"), 1);
        large[0].value = vec![b'x'; 700_000].into();
        log.append(P, large).await.unwrap();
    }
    assert_eq!(everything(&log, P, 7).await.len(), 40);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_carries_its_directory_as_key_and_its_attributes_as_headers() {
    let Some(brokers) = brokers(tests::Kafka::shared()) else { return };
    let config = config(brokers);
    let log = Kafka::open(config.clone()).await.unwrap();
    let directory = DirectoryId::from_bits(7);
    let event = include_str!("../../../schemas/golden/dsync.user.created.v1.json");
    let event: Event = serde_json::from_str(event).unwrap();
    let change = schemas::Change::DirectoryActivated;
    let draft =
        Draft { id: EventId::from_bits(9), at: Timestamp::from_millis(1_000), event, change };
    let sealed = seal(&[draft], directory, &Actor::default(), Head::default().seq, Head::default());
    let value = sealed[0].value.clone();
    let key = bytes::Bytes::from(directory.to_string());
    log.append(P, vec![Append::new(key.clone(), value.clone())]).await.unwrap();

    let mut client = brokers.client();
    let consumer: BaseConsumer = client.set("group.id", "a-test").create().unwrap();
    let mut list = rdkafka::TopicPartitionList::new();
    list.add_partition_offset(&config.topic, 0, rdkafka::Offset::Beginning).unwrap();
    consumer.assign(&list).unwrap();
    let message = consumer.poll(tests::server::PATIENCE).unwrap().unwrap().detach();
    assert_eq!(message.key(), Some(&key[..]));
    assert_eq!(message.payload(), Some(&value[..]));
    let headers = message.headers().unwrap();
    let header = |name: &str| {
        let header = headers.iter().find(|header| header.key == name);
        String::from_utf8(header.and_then(|header| header.value).unwrap().to_vec()).unwrap()
    };
    assert_eq!(header("ce_specversion"), "1.0");
    assert_eq!(header("ce_id"), EventId::from_bits(9).to_string());
    assert_eq!(header("ce_type"), "dsync.user.created");
    assert_eq!(header("ce_source"), format!("/directories/{directory}"));
    assert_eq!(header("ce_time"), "1970-01-01T00:00:01.000Z");
    assert!(header("ce_subject").starts_with("directory_user_"));
    assert_eq!(header("content-type"), "application/json");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_speaks_tls_and_gives_a_password() {
    let Some(brokers) = brokers(tests::Kafka::shared()) else { return };
    let Some((secured, authority)) = brokers.secured() else {
        tests::not_checked(&"brokers of somebody else's have keys and users of their own");
        return;
    };
    let with_password = |password: &str| Config {
        brokers: secured.clone(),
        further: [
            ("security.protocol", "SASL_SSL"),
            ("sasl.mechanism", "SCRAM-SHA-256"),
            ("sasl.username", USER),
            ("sasl.password", password),
            ("ssl.ca.location", authority.to_str().unwrap()),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .into(),
        ..config(brokers)
    };
    let log = Kafka::open(with_password(PASSWORD)).await.unwrap();
    log.append(P, records("a", 3)).await.unwrap();
    assert_eq!(everything(&log, P, 2).await.len(), 3);

    let refused = Kafka::open(with_password("wrong")).await.unwrap_err().to_string();
    assert!(refused.contains(&secured) && refused.contains("uthentication"), "{refused}");
    assert!(!refused.contains("wrong"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn brokers_that_do_not_answer_are_named() {
    let nobody = Config {
        brokers: "127.0.0.1:1".to_owned(),
        topic: "dsync".to_owned(),
        partitions: 1,
        copies: 1,
        further: std::collections::BTreeMap::new(),
    };
    let refused = Kafka::open(nobody).await.unwrap_err().to_string();
    assert!(refused.starts_with("no Kafka broker answers at 127.0.0.1:1: "), "{refused}");
    assert!(refused.contains("check that the brokers run"), "{refused}");
    assert!(refused.contains("security.protocol"), "{refused}");
}

/// A log of three partitions in a fresh topic, on these brokers.
fn config(brokers: &tests::Kafka) -> Config {
    Config {
        brokers: brokers.bootstrap().to_owned(),
        topic: brokers.fresh_name(),
        partitions: 3,
        copies: 1,
        further: std::collections::BTreeMap::new(),
    }
}

/// Says aloud what was not checked where there are no brokers.
fn brokers<T>(found: Result<T, Missing>) -> Option<T> {
    found.map_err(|missing| tests::not_checked(&missing)).ok()
}
