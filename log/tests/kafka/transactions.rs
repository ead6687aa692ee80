//! Beside others who write into the topic, in transactions.

use std::num::NonZeroUsize;
use std::time::Duration;

use log::conformance::records;
use log::kafka::Kafka;
use log::{EventLog as _, Offset, ReadLimit};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _};

use crate::{P, PAGE, brokers, config};

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
