//! The log on three brokers, some of which are killed or held up: what was acknowledged stays, and it goes on by itself.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use log::conformance::{everything, records};
use log::kafka::{Config, Kafka};
use log::{AppendError, EventLog as _, Offset, ReadLimit};
use tests::server::eventually;
use tokio::time::Instant;

use crate::P;

const ONE: ReadLimit = ReadLimit { records: NonZeroUsize::MIN, bytes: NonZeroUsize::MIN };

/// How long an append may take that cannot succeed: what `log::kafka` gives it, and the time to notice.
const APPEND_ENDS: Duration = Duration::from_secs(20);

/// One cluster for both, one after the other: three JVMs are enough for a machine.
#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_loses_brokers_loses_nothing_that_was_acknowledged() {
    let brokers = match tests::Kafka::start(3) {
        Ok(brokers) => brokers,
        Err(missing) => return tests::not_checked(&missing),
    };
    let config = Config {
        brokers: brokers.bootstrap().to_owned(),
        topic: brokers.fresh_name(),
        partitions: 1,
        copies: 3,
        further: BTreeMap::new(),
    };
    let log = Arc::new(Kafka::open(config.clone()).await.unwrap());
    the_leader_is_killed(&brokers, &log, &config.topic).await;
    two_of_three_are_held_up(&brokers, &log).await;
    all_are_gone_and_come_back(&brokers, &log).await;
}

/// The broker expects another number than the producer sends next: librdkafka calls that fatal, and never sends again.
#[tokio::test(flavor = "multi_thread")]
async fn a_producer_that_a_broker_has_lost_count_of_is_replaced_and_what_it_sent_is_unknown() {
    let brokers = match tests::Kafka::start(1) {
        Ok(brokers) => brokers,
        Err(missing) => return tests::not_checked(&missing),
    };
    let config = Config {
        brokers: brokers.bootstrap().to_owned(),
        topic: brokers.fresh_name(),
        partitions: 1,
        copies: 1,
        further: BTreeMap::new(),
    };
    let log = Arc::new(Kafka::open(config.clone()).await.unwrap());
    for name in ["a", "b"] {
        log.append(P, records(name, 1)).await.unwrap();
    }
    brokers.kill(0);
    let segment = brokers.data(0).join(format!("{}-0/00000000000000000000.log", config.topic));
    cut_off_last_batch(&segment);
    brokers.start_again(0);

    // Nobody knows of any of them: the broker has refused one, and the others were behind it.
    let (first, second) = eventually("a broker that answers", || async {
        let (first, second) =
            tokio::join!(log.append(P, records("c", 1)), log.append(P, records("d", 1)));
        let is_sent = matches!(first, Err(AppendError::Indeterminate(_)));
        let is_away = matches!(first, Err(AppendError::Unavailable(_)));
        assert!(is_sent || is_away, "{first:?}");
        is_sent.then_some((first, second))
    })
    .await;
    assert!(format!("{first:?}").contains("OutOfOrderSequenceNumber"), "{first:?}");
    assert!(matches!(second, Err(AppendError::Indeterminate(_))), "{second:?}");

    // The partition rests a little, and then it is tried.
    eventually("an append", || async { log.append(P, records("e", 1)).await.ok() }).await;
    let fresh = Kafka::open(config).await.unwrap();
    let found = everything(&fresh, P, 10).await;
    let values: Vec<&[u8]> = found.iter().map(|entry| &entry.value[..]).collect();
    assert_eq!(
        values,
        [b"a-0", b"e-0"],
        "one was lost by the broker, and what it refused is not there"
    );
}

/// Takes from a partition what it had acknowledged last, as a broker that loses its power may.
fn cut_off_last_batch(segment: &std::path::Path) {
    let bytes = std::fs::read(segment).unwrap();
    let (mut last, mut next) = (0, 0);
    // Behind the offset of eight bytes stands how many follow.
    while next < bytes.len() {
        let length = bytes[next + 8..next + 12].try_into().unwrap();
        (last, next) = (next, next + 12 + u32::from_be_bytes(length) as usize);
    }
    assert!(last > 0, "there are two");
    std::fs::File::options().write(true).open(segment).unwrap().set_len(last as u64).unwrap();
}

async fn the_leader_is_killed(brokers: &tests::Kafka, log: &Arc<Kafka>, topic: &str) {
    let load = Load::start(log, 8);
    load.reaches(500).await;
    let leader = brokers.leader(topic, 0);
    brokers.kill(leader);
    let killed = Instant::now();
    let before = load.acknowledged.load(Ordering::Relaxed);
    load.reaches(before + 500).await;
    eprintln!("appends go on {:.1} s after the leader was killed", killed.elapsed().as_secs_f64());
    let acknowledged = load.stop().await;
    assert!(acknowledged.iter().map(Vec::len).sum::<usize>() >= 1_000);

    let values: Vec<String> = everything(&**log, P, 1_000)
        .await
        .into_iter()
        .map(|entry| String::from_utf8(entry.value.to_vec()).unwrap())
        .collect();
    let places: BTreeMap<&str, usize> =
        values.iter().enumerate().map(|(place, value)| (value.as_str(), place)).collect();
    assert_eq!(places.len(), values.len(), "a record is there twice");
    for of_writer in &acknowledged {
        let found: Vec<usize> = of_writer
            .iter()
            .map(|value| *places.get(value.as_str()).unwrap_or_else(|| panic!("{value} is lost")))
            .collect();
        assert!(found.is_sorted_by(|a, b| a < b), "records of one writer are out of order");
    }
    brokers.start_again(leader);
}

async fn two_of_three_are_held_up(brokers: &tests::Kafka, log: &Arc<Kafka>) {
    eventually("three brokers", || async { (brokers.count() == 3).then_some(()) }).await;
    log_works(log).await;
    let tail = log.tail(P).await.unwrap();
    brokers.pause(1);
    brokers.pause(2);
    let begun = Instant::now();
    let held = log.append(P, records("held up", 1)).await;
    let took = begun.elapsed();
    assert!(took < APPEND_ENDS, "{took:?}");
    assert!(
        matches!(held, Err(AppendError::Unavailable(_) | AppendError::Indeterminate(_))),
        "{held:?}"
    );
    eprintln!("an append without enough brokers ends after {:.1} s: {held:?}", took.as_secs_f64());
    let last = Offset(tail.0 - 1);
    assert!(!log.read(P, last, ONE).await.unwrap().is_empty());
    brokers.resume(1);
    brokers.resume(2);
    let resumed = Instant::now();
    log_works(log).await;
    eprintln!("appends go on {:.1} s after they came back", resumed.elapsed().as_secs_f64());
}

async fn all_are_gone_and_come_back(brokers: &tests::Kafka, log: &Arc<Kafka>) {
    (0..3).for_each(|node| brokers.kill(node));
    eventually("a refusal", || async {
        let refused = log.append(P, records("nobody", 1)).await;
        matches!(refused, Err(AppendError::Unavailable(_))).then_some(())
    })
    .await;
    let begun = Instant::now();
    let refused = log.append(P, records("nobody", 1)).await.unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(3), "nobody is there, and it takes long to say");
    assert!(matches!(refused, AppendError::Unavailable(_)), "{refused:?}");
    assert!(log.tail(P).await.is_err());
    (0..3).for_each(|node| brokers.start_again(node));
    log_works(log).await;
}

/// Waits until an append succeeds and can be read.
async fn log_works(log: &Arc<Kafka>) {
    let offset =
        eventually("an append", || async { log.append(P, records("works", 1)).await.ok() }).await;
    let read = log.read(P, offset, ONE).await.unwrap();
    assert_eq!(read[0].value, records("works", 1)[0].value);
}

/// Writers that append one record after the other, and remember what was acknowledged.
struct Load {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<AtomicU64>,
    writers: Vec<tokio::task::JoinHandle<Vec<String>>>,
}

impl Load {
    fn start(log: &Arc<Kafka>, writers: usize) -> Self {
        let (stop, acknowledged) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let writer = |number: usize| {
            let (log, stop) = (Arc::clone(log), Arc::clone(&stop));
            let count: Arc<AtomicU64> = Arc::clone(&acknowledged);
            #[expect(clippy::disallowed_methods, reason = "the test awaits it")]
            tokio::spawn(async move {
                let mut mine = Vec::new();
                for turn in 0.. {
                    if stop.load(Ordering::Relaxed) {
                        break;
                    }
                    let name = format!("{number}.{turn}");
                    // What failed may be there or not, and is never tried again.
                    if log.append(P, records(&name, 1)).await.is_ok() {
                        mine.push(format!("{name}-0"));
                        count.fetch_add(1, Ordering::Relaxed);
                    } else {
                        // A partition that rests refuses at once.
                        tokio::time::sleep(Duration::from_millis(10)).await;
                    }
                }
                mine
            })
        };
        let writers = (0..writers).map(writer).collect();
        Self { stop, acknowledged, writers }
    }

    async fn reaches(&self, count: u64) {
        eventually("so many appends", || async {
            (self.acknowledged.load(Ordering::Relaxed) >= count).then_some(())
        })
        .await;
    }

    async fn stop(self) -> Vec<Vec<String>> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Vec::new();
        for writer in self.writers {
            all.push(writer.await.unwrap());
        }
        let distinct: BTreeSet<&String> = all.iter().flatten().collect();
        assert_eq!(distinct.len(), all.iter().map(Vec::len).sum::<usize>());
        all
    }
}
