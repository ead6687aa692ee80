//! The log in a topic of Kafka: the contract, and what a topic may and may not be, on a real broker.

use std::num::NonZeroUsize;
use std::time::Duration;

use log::conformance::{self, everything, records};
use log::kafka::{Config, Kafka};
use log::{Append, EventLog as _, Offset, Partition, ReadError, ReadLimit};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{Headers as _, Message as _};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};
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
    let event = include_str!("../../schemas/golden/dsync.user.created.v1.json");
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

/// Transactions of somebody else on the topic of the log.
async fn foreign(brokers: &tests::Kafka, topic: &str) -> FutureProducer {
    let mut settings = brokers.client();
    settings.set("transactional.id", topic);
    let begun = tokio::task::spawn_blocking(move || {
        let foreign: FutureProducer = settings.create()?;
        foreign.init_transactions(tests::server::PATIENCE).map(|()| foreign)
    });
    begun.await.expect("it does not panic").expect("the broker takes transactions")
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_of_somebody_elses_transactions_at_the_tail_keep_nobody_waiting() {
    let Some(brokers) = brokers(tests::Kafka::shared()) else { return };
    let config = config(brokers);
    let log = Kafka::open(config.clone()).await.unwrap();
    log.append(P, records("a", 2)).await.unwrap();
    let within = tests::server::PATIENCE;
    let foreign = foreign(brokers, &config.topic).await;
    // One that is taken back: its records are there, and nobody is shown them.
    foreign.begin_transaction().unwrap();
    let record = FutureRecord::<str, str>::to(&config.topic).partition(0).payload("theirs");
    foreign.send(record, within).await.unwrap();
    tokio::task::spawn_blocking(move || foreign.abort_transaction(within)).await.unwrap().unwrap();
    let tail = tests::server::eventually("the mark", || async {
        log.tail(P).await.ok().filter(|tail| *tail == Offset(4))
    });
    tail.await;

    // One who was there before, and one who comes.
    let late = Kafka::open(config.clone()).await.unwrap();
    for log in [&log, &late] {
        let asked = tokio::time::Instant::now();
        assert_eq!(log.tail(P).await.unwrap(), Offset(4));
        assert_eq!(log.read(P, Offset(0), PAGE).await.unwrap().len(), 2);
        assert_eq!(log.read(P, Offset(2), PAGE).await.unwrap(), []);
        assert!(asked.elapsed() < Duration::from_secs(8), "{:?}", asked.elapsed());
    }
    let waits = late.wait_past(P, Offset(2));
    tokio::pin!(waits);
    tokio::select! {
        biased;
        _ = &mut waits => panic!("there is nothing"),
        () = std::future::ready(()) => {}
    }
    assert_eq!(log.append(P, records("b", 1)).await.unwrap(), Offset(4));
    waits.await.unwrap();
    let read = late.read(P, Offset(2), PAGE).await.unwrap();
    assert_eq!(read.iter().map(|entry| entry.offset).collect::<Vec<_>>(), [Offset(4)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_transaction_of_somebody_elses_that_is_open_is_no_loss() {
    let Some(brokers) = brokers(tests::Kafka::shared()) else { return };
    let config = config(brokers);
    let log = Kafka::open(config.clone()).await.unwrap();
    log.append(P, records("a", 2)).await.unwrap();
    let within = tests::server::PATIENCE;
    let foreign = foreign(brokers, &config.topic).await;
    foreign.begin_transaction().unwrap();
    let record = FutureRecord::<str, str>::to(&config.topic).partition(0).payload("theirs");
    foreign.send(record, within).await.unwrap();

    // Behind what is open nothing is shown yet, ours neither; but it is there.
    assert_eq!(log.append(P, records("b", 1)).await.unwrap(), Offset(3));
    assert_eq!(log.tail(P).await.unwrap(), Offset(4));
    let fresh = log.read(P, Offset(0), ReadLimit { records: NonZeroUsize::MIN, ..PAGE }).await;
    assert_eq!(fresh.unwrap().len(), 1, "nothing is lost");
    tokio::task::spawn_blocking(move || foreign.abort_transaction(within)).await.unwrap().unwrap();
    let shown = tests::server::eventually("ours behind it", || async {
        let read = log.read(P, Offset(2), PAGE).await.ok()?;
        Some(read).filter(|read| !read.is_empty())
    });
    assert_eq!(shown.await[0].offset, Offset(3));
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
