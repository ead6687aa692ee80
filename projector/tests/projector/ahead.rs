//! Records that are on their way while they are judged.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use projector::run::{Progress, run};
use projector::{Error, StoreError};
use schemas::Head;
use tokio_util::sync::CancellationToken;

use super::world::{LOOKS_AGAIN_WITHIN, Log, P, Store, commit, ids, open, run_to_tail, values};

#[tokio::test]
async fn what_is_on_its_way_is_judged_at_once_and_written_when_it_is_durable() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    let first = commit(1, 10, 2, Head::default());
    let durable = log.announce(values(&first));
    let mut projector = open(&log, &store).await.unwrap();
    assert_eq!(projector.step().await.unwrap(), Progress::Moved);
    assert!(store.events().is_empty());
    log.put(values(&first));
    durable.send(()).unwrap();
    log.put(values(&commit(1, 20, 1, first[1].head)));
    run_to_tail(&mut projector).await.unwrap();
    assert_eq!(store.events(), [ids(10..12), ids(20..21)].concat());
}

#[tokio::test(start_paused = true)]
async fn what_the_log_has_not_kept_leaves_no_trace_and_what_stands_there_is_judged() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    drop(log.announce(values(&commit(1, 10, 2, Head::default()))));
    let mut projector = open(&log, &store).await.unwrap();
    assert_eq!(projector.step().await.unwrap(), Progress::Moved);
    let lost = projector.step().await;
    assert!(matches!(lost, Err(Error::Store(StoreError::Withdrawn))), "{lost:?}");

    drop(log.announce(values(&commit(1, 20, 2, Head::default()))));
    log.put(values(&commit(1, 30, 1, Head::default())));
    let end = CancellationToken::new();
    let look = async {
        while store.events().is_empty() {
            tokio::time::sleep(LOOKS_AGAIN_WITHIN / 1_000).await;
        }
        end.cancel();
    };
    let ran = async { tokio::join!(run(log.clone(), store.clone(), P, end.clone()), look).0 };
    tokio::time::timeout(LOOKS_AGAIN_WITHIN, ran).await.expect("it goes on").unwrap();
    assert_eq!(store.events(), ids(30..31));
}

#[tokio::test(start_paused = true)]
async fn who_follows_after_an_error_waits_for_what_was_begun_before() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    let first = commit(1, 10, 1, Head::default());
    let second = commit(1, 20, 1, first[0].head);
    log.put(values(&first));
    let end = CancellationToken::new();
    let look = async {
        let moment = || tokio::time::sleep(LOOKS_AGAIN_WITHIN / 1_000);
        while store.events().is_empty() {
            moment().await;
        }
        let durable = log.announce(values(&second));
        while log.ahead.lock().unwrap().is_some() {
            moment().await;
        }
        log.broken.store(true, Ordering::SeqCst);
        log.grown.notify_one();
        while log.broken.load(Ordering::SeqCst) {
            moment().await;
        }
        // Whoever would look where it stands has done so by now.
        tokio::time::sleep(LOOKS_AGAIN_WITHIN / 10).await;
        durable.send(()).unwrap();
        log.put(values(&second));
        log.put(values(&commit(1, 30, 1, second[0].head)));
        while store.events().len() < 3 {
            moment().await;
        }
        end.cancel();
    };
    let ran = async {
        let run = run(log.clone(), store.clone(), P, end.clone());
        tokio::pin!(run);
        tokio::select! {
            ended = &mut run => return ended,
            () = look => {}
        }
        run.await
    };
    tokio::time::timeout(LOOKS_AGAIN_WITHIN, ran).await.expect("it goes on").unwrap();
    assert_eq!(store.events(), [ids(10..11), ids(20..21), ids(30..31)].concat());
}

#[tokio::test]
async fn what_is_judged_on_what_the_log_has_not_kept_stops_nothing() {
    let (log, store) = (Arc::new(Log::default()), Arc::new(Store::default()));
    let unreadable = || [b"{}".to_vec()];
    for first in [values(&commit(1, 10, 2, Head::default())), unreadable().to_vec()] {
        drop(log.announce(first));
        let mut projector = open(&log, &store).await.unwrap();
        let begun = projector.step().await;
        log.announce(unreadable()).send(()).unwrap();
        let lost = if begun.is_err() { begun } else { projector.step().await };
        assert!(matches!(lost, Err(Error::Store(StoreError::Withdrawn))), "{lost:?}");
    }
    let stopped = open(&log, &store).await.unwrap().step().await;
    assert!(matches!(stopped, Err(Error::Poison(_))), "this one is durable: {stopped:?}");
}
