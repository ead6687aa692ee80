//! The contract of [`EventLog`] as functions. Each implementation calls [`all`].
#![expect(clippy::missing_panics_doc, reason = "these are checks: they fail by panicking")]

use std::num::NonZeroUsize;

use bytes::Bytes;

use crate::contract::{
    Append, AppendError, Entry, EventLog, Offset, Partition, RECORD_BYTES_MAX, ReadLimit,
};

const P: Partition = Partition(0);

/// Every check, on a log that is empty or holds what earlier checks left. It needs two partitions.
pub async fn all(log: &dyn EventLog) {
    appends_read_back_in_order(log).await;
    every_reader_agrees_on_interleaved_writers(log).await;
    what_was_read_is_read_again(log).await;
    limits_are_respected_and_one_record_is_always_returned(log).await;
    reading_at_the_tail_does_not_wait(log).await;
    waiting_ends_with_a_racing_append(log).await;
    what_is_read_ahead_is_there_once_it_is_durable(log).await;
    a_record_that_is_too_large_is_refused_and_nothing_is_written(log).await;
    partitions_are_independent(log).await;
}

/// Records to append, told apart by their names.
#[must_use]
pub fn records(name: &str, count: usize) -> Vec<Append> {
    let value = |number| Bytes::from(format!("{name}-{number}"));
    let record = |number| Append::new(Bytes::from_static(b"key"), value(number));
    (0..count).map(record).collect()
}

/// Everything in a partition, page by page.
pub async fn everything(log: &dyn EventLog, partition: Partition, page: usize) -> Vec<Entry> {
    let (mut all, mut next) = (Vec::new(), Offset(0));
    loop {
        let entries = log.read(partition, next, limit(page, 1 << 20)).await.expect("it reads");
        let Some(last) = entries.last() else { return all };
        next = last.offset.next();
        all.extend(entries);
    }
}

fn limit(records: usize, bytes: usize) -> ReadLimit {
    let positive = |number| NonZeroUsize::new(number).expect("not zero");
    ReadLimit { records: positive(records), bytes: positive(bytes) }
}

/// Order and bytes: what was appended is read back, in the order given.
pub async fn appends_read_back_in_order(log: &dyn EventLog) {
    let from = log.tail(P).await.expect("it has a tail");
    let appended = records("order", 5);
    let last = log.append(P, appended.clone()).await.expect("it appends");
    let read = log.read(P, from, limit(100, 1 << 20)).await.expect("it reads");
    assert!(read.is_sorted_by(|a, b| a.offset < b.offset));
    assert_eq!(read.last().map(|entry| entry.offset), Some(last));
    assert!(read.iter().map(|entry| &entry.value).eq(appended.iter().map(|record| &record.value)));
    assert_eq!(log.tail(P).await.expect("it has a tail"), last.next());
}

/// Order: two writers interleave as they like, and every reader sees the same.
pub async fn every_reader_agrees_on_interleaved_writers(log: &dyn EventLog) {
    let write = async |name: &str| {
        for number in 0..20 {
            let records = records(&format!("{name}.{number}"), 3);
            log.append(P, records).await.expect("it appends");
        }
    };
    tokio::join!(write("one"), write("two"));
    let (whole, by_one) = (everything(log, P, 1_000).await, everything(log, P, 1).await);
    assert_eq!(whole, by_one);
    let place = |name: &str| {
        whole.iter().position(|entry| entry.value == name.as_bytes()).expect("it was appended")
    };
    for writer in ["one", "two"] {
        let places: Vec<usize> = (0..20)
            .flat_map(|a| (0..3).map(move |b| (a, b)))
            .map(|(append, record)| place(&format!("{writer}.{append}-{record}")))
            .collect();
        assert!(places.is_sorted_by(|a, b| a < b), "{writer} is out of order");
    }
}

/// Prefix: later appends change nothing before them.
pub async fn what_was_read_is_read_again(log: &dyn EventLog) {
    let before = everything(log, P, 7).await;
    log.append(P, records("later", 3)).await.expect("it appends");
    let after = everything(log, P, 100).await;
    assert_eq!(after[..before.len()], before[..]);
}

/// Bounds: never more than asked for, and never nothing where there is something.
pub async fn limits_are_respected_and_one_record_is_always_returned(log: &dyn EventLog) {
    let from = log.tail(P).await.expect("it has a tail");
    log.append(P, records("limit", 10)).await.expect("it appends");
    assert_eq!(log.read(P, from, limit(3, 1 << 20)).await.expect("it reads").len(), 3);
    assert_eq!(log.read(P, from, limit(10, 1)).await.expect("it reads").len(), 1);
    let two = "limit-0".len() * 2;
    assert_eq!(log.read(P, from, limit(10, two)).await.expect("it reads").len(), 2);
}

/// No waiting at the tail.
pub async fn reading_at_the_tail_does_not_wait(log: &dyn EventLog) {
    let tail = log.tail(P).await.expect("it has a tail");
    assert_eq!(log.read(P, tail, limit(1, 1)).await.expect("it reads"), []);
}

/// No missed wake-up: at once if the tail is past already, and with the append that passes it.
pub async fn waiting_ends_with_a_racing_append(log: &dyn EventLog) {
    for number in 0..50 {
        let tail = log.tail(P).await.expect("it has a tail");
        let append = async { log.append(P, records(&format!("race.{number}"), 1)).await };
        let (waited, appended) = tokio::join!(log.wait_past(P, tail), append);
        waited.expect("it waits");
        appended.expect("it appends");
        log.wait_past(P, tail).await.expect("it is past already");
    }
}

/// Ahead: a reader that goes as far as it is let sees each entry once, and all of them are there to be read.
pub async fn what_is_read_ahead_is_there_once_it_is_durable(log: &dyn EventLog) {
    let from = log.tail(P).await.expect("it has a tail");
    let append = async {
        for number in 0..50 {
            log.append(P, records(&format!("ahead.{number}"), 3)).await.expect("it appends");
        }
    };
    let read = async {
        let (mut seen, mut next) = (Vec::new(), from);
        while seen.len() < 150 {
            let ahead = log.read_ahead(P, next, limit(2, 1 << 20)).await.expect("it reads");
            let Some(last) = ahead.entries.last() else {
                log.wait_ahead(P, next).await.expect("it waits");
                continue;
            };
            next = last.offset.next();
            assert!(ahead.durable.wait().await, "nothing has failed");
            let found = log.read(P, ahead.entries[0].offset, limit(2, 1 << 20)).await;
            assert_eq!(found.expect("it reads")[..ahead.entries.len()], ahead.entries);
            seen.extend(ahead.entries);
        }
        seen
    };
    let (seen, ()) = tokio::join!(read, append);
    let all = everything(log, P, 100).await;
    assert_eq!(seen, all[all.len() - 150..]);
}

/// Too large is refused as a whole.
pub async fn a_record_that_is_too_large_is_refused_and_nothing_is_written(log: &dyn EventLog) {
    let tail = log.tail(P).await.expect("it has a tail");
    let mut appended = records("large", 1);
    let value = Bytes::from(vec![b'x'; RECORD_BYTES_MAX + 1]);
    appended.push(Append::new(Bytes::from_static(b"key"), value));
    let refused = log.append(P, appended).await;
    assert!(matches!(refused, Err(AppendError::TooLarge { .. })), "{refused:?}");
    assert_eq!(log.tail(P).await.expect("it has a tail"), tail);
}

/// A partition knows nothing of another.
pub async fn partitions_are_independent(log: &dyn EventLog) {
    let before = everything(log, P, 100).await;
    let other = Partition(1);
    let last = log.append(other, records("other", 2)).await.expect("it appends");
    assert_eq!(last, Offset(1), "offsets of a partition begin at 0");
    assert_eq!(everything(log, other, 10).await.len(), 2);
    assert_eq!(everything(log, P, 100).await, before);
}
