//! The projector between a log and a store that fail when they are told to.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]

mod ahead;
mod world;

use std::num::NonZeroUsize;
use std::sync::Arc;

use log::{Entry, EventLog, Offset, ReadLimit};
use projector::judge::Reader;
use projector::run::{Progress, run};
use projector::{Error, Position, ProjectionStore, StoreError};
use schemas::record::Sealed;
use schemas::{Change, DirectoryId, Hash, Head, Seq};
use tokio_util::sync::CancellationToken;

use world::{
    LOOKS_AGAIN_WITHIN, Log, P, Store, anew, commit, commit_of, ids, open, run_to_tail, values,
};

#[tokio::test]
async fn accepted_events_reach_the_store_once_and_in_order() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    let first = commit(1, 10, 2, Head::default());
    let second = commit(1, 20, 1, first[1].head);
    log.put(values(&first));
    log.put(values(&second));
    log.put(values(&second));
    run_to_tail(&mut open(&log, &store).await.unwrap()).await.unwrap();
    assert_eq!(store.events(), [ids(10..12), ids(20..21)].concat());
}

#[tokio::test]
async fn a_restart_goes_on_before_the_half_commit_it_had_read() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    let half = commit(1, 10, 3, Head::default());
    let other = commit(2, 50, 1, Head::default());
    log.put(values(&half[..2]));
    log.put(values(&other));
    run_to_tail(&mut open(&log, &store).await.unwrap()).await.unwrap();
    assert_eq!(store.events(), ids(50..51), "another directory does not wait");
    assert_eq!(store.0.lock().unwrap().position.next, Offset(0));

    log.put(values(&half[2..]));
    run_to_tail(&mut open(&log, &store).await.unwrap()).await.unwrap();
    assert_eq!(store.events(), [ids(50..51), ids(10..13)].concat(), "each once");
}

#[tokio::test]
async fn a_full_disk_changes_nothing_and_is_made_up_for() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    log.put(values(&commit(1, 10, 2, Head::default())));
    store.0.lock().unwrap().full = true;
    let mut projector = open(&log, &store).await.unwrap();
    let written = run_to_tail(&mut projector).await;
    assert!(matches!(written, Err(Error::Store(StoreError::Full(_)))));
    assert!(store.events().is_empty());
    store.0.lock().unwrap().full = false;
    run_to_tail(&mut open(&log, &store).await.unwrap()).await.unwrap();
    assert_eq!(store.events(), ids(10..12));
}

#[tokio::test]
async fn a_store_that_does_not_take_a_record_stops_the_partition_and_is_not_asked_for_ever() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    log.put(values(&commit(1, 10, 2, Head::default())));
    {
        let mut stored = store.0.lock().unwrap();
        stored.refuses = true;
        stored.why = Some("it was so before".to_owned());
    }
    let stopped = run(log.clone(), store.clone(), P, CancellationToken::new()).await.unwrap_err();
    assert!(
        matches!(stopped, Error::Unwritable { first: Offset(0), passed: Offset(2), .. }),
        "{stopped}"
    );
    assert!(stopped.to_string().starts_with("DSYNC-012: records 0 to 1"), "{stopped}");
    assert!(store.events().is_empty(), "nothing is skipped");
    let why = store.0.lock().unwrap().why.clone();
    assert!(why.is_some(), "nobody is told that it goes on, while it has only been tried");
}

#[tokio::test]
async fn what_a_directory_leaves_behind_is_removed_slice_by_slice_between_records() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    store.0.lock().unwrap().left = 3;
    let mut projector = open(&log, &store).await.unwrap();
    assert_eq!(projector.sweep().await.unwrap(), Progress::Moved);
    let first = commit(1, 10, 1, Head::default());
    log.put(values(&first));
    run_to_tail(&mut projector).await.unwrap();
    assert_eq!(store.events(), ids(10..11), "it has not waited");
    assert_eq!(projector.sweep().await.unwrap(), Progress::Moved);
    assert_eq!(projector.sweep().await.unwrap(), Progress::AtTail);

    store.0.lock().unwrap().left = 2;
    assert_eq!(projector.sweep().await.unwrap(), Progress::AtTail, "nothing has gone since");
    log.put(values(&commit_of(1, 20, vec![Change::DirectoryGone], first[0].head)));
    run_to_tail(&mut projector).await.unwrap();
    assert_eq!(projector.sweep().await.unwrap(), Progress::Moved);
    assert_eq!(projector.sweep().await.unwrap(), Progress::AtTail);
}

#[tokio::test]
async fn a_projector_that_was_replaced_writes_nothing_more() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    let first = commit(1, 10, 1, Head::default());
    log.put(values(&first));
    let mut old = open(&log, &store).await.unwrap();
    run_to_tail(&mut open(&log, &store).await.unwrap()).await.unwrap();
    log.put(values(&commit(1, 20, 1, first[0].head)));
    assert!(matches!(run_to_tail(&mut old).await, Err(Error::Store(StoreError::Replaced))));
    assert_eq!(store.events(), ids(10..11));
}

#[tokio::test]
async fn a_log_that_lost_its_end_is_not_followed() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    log.put(values(&commit(1, 10, 2, Head::default())));
    run_to_tail(&mut open(&log, &store).await.unwrap()).await.unwrap();
    log.records.lock().unwrap().pop();
    assert!(matches!(open(&log, &store).await, Err(Error::Behind { offset: Offset(1), .. })));
}

#[tokio::test]
async fn a_gap_stops_its_directory_and_no_other() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    let first = commit(1, 10, 1, Head::default());
    log.put(values(&first));
    let elsewhere = Head { seq: first[0].head.seq, hash: Hash::of(b"another past") };
    log.put(values(&commit(1, 20, 1, elsewhere)));
    log.put(values(&commit(1, 30, 1, first[0].head)));
    log.put(values(&commit(2, 50, 1, Head::default())));
    run_to_tail(&mut open(&log, &store).await.unwrap()).await.unwrap();
    assert_eq!(store.events(), [ids(10..11), ids(50..51)].concat());
    assert!(store.0.lock().unwrap().heads.iter().any(|head| head.stopped));
}

#[tokio::test]
async fn a_record_that_cannot_be_read_stops_the_partition_and_says_where() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    log.put(values(&commit(1, 10, 2, Head::default())));
    log.change(1, b"{}");
    let error = open(&log, &store).await.unwrap().step().await.unwrap_err();
    assert!(error.to_string().contains("record 1 of partition 0"), "{error}");
    assert!(store.events().is_empty(), "nothing of the step is written");
}

#[tokio::test]
async fn a_step_is_bounded() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    let mut tail = Head::default();
    for first in 0..3_000_u128 {
        let sealed = commit(1, first, 1, tail);
        tail = sealed[0].head;
        log.put(values(&sealed));
    }
    let mut projector = open(&log, &store).await.unwrap();
    projector.step().await.unwrap();
    assert!(store.events().len() < 3_000);
    run_to_tail(&mut projector).await.unwrap();
    assert_eq!(store.events().len(), 3_000);
    let one = ReadLimit { records: NonZeroUsize::MIN, bytes: NonZeroUsize::MIN };
    assert_eq!(log.read(P, Offset(2_999), one).await.unwrap().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_projector_that_panics_is_told_as_one_that_has_stopped_and_tries_again() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    let (held, mended) = (Arc::clone(&log), Arc::clone(&log));
    let broken = std::thread::spawn(move || {
        let _held = held.records.lock().unwrap();
        panic!("whoever reads the log from now on panics too");
    });
    assert!(broken.join().is_err());
    let (_assigning, assigned) = tokio::sync::watch::channel([P].into());
    let (stopped, mut told) = tokio::sync::watch::channel(projector::Stopped::new());
    let end = tokio_util::sync::CancellationToken::new();
    let sharing = projector::share(log, store, assigned, stopped, end.clone());
    let looking = async {
        let found = told.wait_for(|stopped| !stopped.is_empty()).await.unwrap().clone();
        mended.records.clear_poison();
        told.wait_for(projector::Stopped::is_empty).await.unwrap();
        end.cancel();
        found
    };
    let both = async { tokio::join!(sharing, looking).1 };
    let found =
        tokio::time::timeout(LOOKS_AGAIN_WITHIN, both).await.expect("it does not look again");
    assert!(found[&P].contains("has panicked"), "{found:?}");
}

#[tokio::test]
async fn a_stream_that_a_gap_has_stopped_goes_on_where_it_begins_anew_and_nowhere_else() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    let first = commit(1, 10, 1, Head::default());
    log.put(values(&first));
    let lost = Head { seq: Seq(4), hash: Hash::of(b"lost") };
    log.put(values(&commit(1, 20, 1, lost)));
    run_to_tail(&mut open(&log, &store).await.unwrap()).await.unwrap();
    assert_eq!(store.stopped_directories().await.unwrap(), [DirectoryId::from_bits(1)]);

    log.put(values(&commit(1, 30, 1, first[0].head)));
    let mark = anew(1, 40, Seq(6));
    log.put([mark.value.to_vec()]);
    log.put(values(&commit(1, 50, 1, mark.head)));
    run_to_tail(&mut open(&log, &store).await.unwrap()).await.unwrap();
    assert_eq!(store.events(), [ids(10..11), ids(40..41), ids(50..51)].concat());
    assert!(store.stopped_directories().await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_partition_that_stands_still_is_told_of_through_the_store_and_goes_on_when_it_is_mended()
{
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    log.put(values(&commit(1, 10, 2, Head::default())));
    let sound = log.records.lock().unwrap()[1].clone();
    log.change(1, b"{}");
    let (_assigning, assigned) = tokio::sync::watch::channel([P].into());
    let (stopped, mut told) = tokio::sync::watch::channel(projector::Stopped::new());
    let end = tokio_util::sync::CancellationToken::new();
    let sharing = projector::share(log.clone(), store.clone(), assigned, stopped, end.clone());
    let mending = async {
        told.wait_for(|stopped| stopped.contains_key(&P)).await.unwrap();
        tokio::task::yield_now().await;
        let why = store.0.lock().unwrap().why.clone().unwrap();
        assert!(why.starts_with("DSYNC-005: record 1 of partition 0"), "{why}");
        log.change(1, &sound);
        told.wait_for(|stopped| !stopped.contains_key(&P)).await.unwrap();
        end.cancel();
    };
    tokio::join!(sharing, mending);
    assert_eq!(store.events(), ids(10..12));
    assert_eq!(store.0.lock().unwrap().why, None);
}

#[tokio::test]
async fn a_note_of_one_that_was_replaced_is_taken_back_by_whoever_follows_the_partition() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    let end = tokio_util::sync::CancellationToken::new();
    let mut noted = store.0.lock().unwrap().noted.subscribe();
    let following = projector::run(log.clone(), store.clone(), P, end.clone());
    let replaced = async {
        // It has begun.
        noted.changed().await.unwrap();
        store.stop(P, Some("of somebody's past".to_owned())).await.unwrap();
        noted.wait_for(|()| store.0.lock().unwrap().why.is_none()).await.unwrap();
        end.cancel();
    };
    let (ran, ()) = tokio::join!(following, replaced);
    ran.unwrap();
}

#[tokio::test]
async fn a_half_commit_that_nobody_completes_is_no_lag() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    log.put(values(&commit(1, 10, 3, Head::default())[..2]));
    log.put(values(&commit(2, 50, 1, Head::default())));
    run_to_tail(&mut open(&log, &store).await.unwrap()).await.unwrap();
    assert_eq!(store.position(P).await.unwrap().next, Offset(0), "a restart begins before it");
    assert_eq!(projector::lag::lags(&*log, &*store).await, [(P, 0)]);
    log.put(values(&commit(3, 70, 1, Head::default())));
    assert_eq!(projector::lag::lags(&*log, &*store).await, [(P, 1)]);
}

#[test]
fn a_half_commit_is_told_of_until_its_directory_writes_something_else() {
    let mut reader = Reader::resume(P, Position::default(), &[]);
    let mut offset = 0;
    let mut judge = |reader: &mut Reader, sealed: &[Sealed]| {
        for value in values(sealed) {
            let entry = Entry::new(Offset(offset), value.into());
            reader.judge(&[entry]).unwrap();
            offset += 1;
        }
    };
    let whole = commit(1, 5, 1, Head::default());
    judge(&mut reader, &whole);
    assert_eq!(reader.half_commit(), None);
    judge(&mut reader, &commit(1, 10, 3, whole[0].head)[..2]);
    let mut tail = Head::default();
    for first in 50..60 {
        let other = commit(2, first, 1, tail);
        tail = other[0].head;
        judge(&mut reader, &other);
    }
    let half = reader.half_commit().unwrap();
    assert_eq!(half.directory_id, DirectoryId::from_bits(1));
    assert_eq!((half.first, half.judged_since), (Offset(1), 12));
    assert_eq!(reader.position().next, half.first, "a restart begins there");

    judge(&mut reader, &commit(1, 90, 1, whole[0].head));
    assert_eq!(reader.half_commit(), None);
    assert_eq!(reader.position().next, reader.read_to());
}
