//! An endpoint that is changed while something is under way.

use std::time::Duration;

use dispatcher::Secret;

use crate::store::Store;
use crate::world::{App, start};

/// Its secret is rotated.
fn rotate(store: &Store) {
    store.endpoints.send_modify(|endpoints| {
        endpoints.version += 1;
        endpoints.list[0].secrets.insert(0, Secret::new("whsec_BBBB".to_owned()));
    });
}

#[tokio::test(start_paused = true)]
async fn a_lane_begins_only_when_the_one_before_has_written_its_last() {
    let store = Store::new();
    store.accept(3, 3);
    let app = App::new(|_, _| None);
    // The store is away for longer than requests and the last write may take at shutdown.
    store.inner.lock().unwrap().fails = 10;
    let (shutdown, run) = start(&store, &app);
    app.begun.subscribe().wait_for(|begun| *begun == 3).await.unwrap();
    rotate(&store);
    store.until(|kept| Store::cursor(kept) == 3).await;
    store.accept(1, 3);
    store.until(|kept| Store::cursor(kept) == 4).await;
    shutdown.cancel();
    run.await.unwrap();
    let seen = app.seen.lock().unwrap().clone();
    assert_eq!(seen.len(), 4, "{seen:?}");
}

#[tokio::test(start_paused = true)]
async fn requests_in_flight_may_end_when_their_endpoint_is_changed() {
    let store = Store::new();
    store.accept(3, 3);
    let app = App::thinking(Duration::from_secs(25));
    let (shutdown, run) = start(&store, &app);
    app.begun.subscribe().wait_for(|begun| *begun == 3).await.unwrap();
    rotate(&store);
    store.until_within(Duration::from_secs(60), |kept| Store::cursor(kept) == 3).await;
    shutdown.cancel();
    run.await.unwrap();
    assert_eq!((app.seen.lock().unwrap().len(), *app.begun.borrow()), (3, 3), "each once");
}
