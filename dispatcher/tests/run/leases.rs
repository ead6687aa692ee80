//! Lanes that change hands.

use std::time::Duration;

use crate::store::Store;
use crate::world::{App, start, start_with};

#[tokio::test]
async fn what_a_replaced_dispatcher_wrote_is_refused_and_it_begins_anew() {
    let store = Store::new();
    store.accept(10, 10);
    let app = App::new(|_, _| None);
    let (shutdown, run) = start(&store, &app);
    store.until(|kept| Store::cursor(kept) == 10).await;
    {
        let mut inner = store.inner.lock().unwrap();
        inner.dispatcher = None;
        inner.epoch.0 += 1;
    }
    // Its next flush is refused, so its lane ends; and it hears of it when it renews.
    store.accept(10, 10);
    store.moves.send_modify(|moves| *moves += 1);
    store.until(|kept| Store::cursor(kept) == 20).await;
    shutdown.cancel();
    run.await.unwrap();
    let seen: std::collections::BTreeSet<String> = app.seen.lock().unwrap().drain(..).collect();
    assert_eq!(seen.len(), 20);
}

#[tokio::test]
async fn who_cannot_renew_gives_up_what_is_in_flight_before_its_lease_ends() {
    let store = Store::new();
    store.accept(1, 1);
    let app = App::with(|_, _| None, true);
    let lease = Duration::from_secs(2);
    let (shutdown, run) = start_with(&store, &app, lease);
    let mut begun = app.begun.subscribe();
    begun.wait_for(|count| *count == 1).await.unwrap();
    let last_renewed = tokio::time::Instant::now();
    {
        let mut inner = store.inner.lock().unwrap();
        inner.is_mute = true;
        inner.fails = u32::MAX;
    }
    let mut given_up = app.given_up.subscribe();
    let dropped = given_up.wait_for(|count| *count == 1);
    tokio::time::timeout(Duration::from_secs(20), dropped).await.unwrap().unwrap();
    assert!(last_renewed.elapsed() < lease * 2, "{:?}", last_renewed.elapsed());
    shutdown.cancel();
    run.await.unwrap();
}

#[tokio::test]
async fn who_ends_gives_its_lanes_back() {
    let store = Store::new();
    store.accept(5, 5);
    let app = App::new(|_, _| None);
    let (shutdown, run) = start(&store, &app);
    store.until(|kept| Store::cursor(kept) == 5).await;
    shutdown.cancel();
    run.await.unwrap();
    assert_eq!(store.inner.lock().unwrap().dispatcher, None);
}
