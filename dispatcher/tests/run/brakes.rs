//! The first brake is turned on while events come.

use std::time::Duration;

use dispatcher::ports::Braked;
use schemas::{Brake, DirectoryId, Share};

use crate::store::Store;
use crate::world::{App, start};

#[tokio::test(start_paused = true)]
async fn nothing_passes_while_directories_are_counted() {
    let store = Store::new();
    store.accept(3, 3);
    let app = App::new(|_, _| None);
    let (shutdown, run) = start(&store, &app);
    store.until(|kept| Store::cursor(kept) == 3).await;
    let rule = Brake { share: Share::of(0.2).unwrap(), window_seconds: 60, floor: 1 };
    store.brakes.send_modify(|brakes| {
        brakes.version += 1;
        let directory = DirectoryId::from_bits(3);
        brakes.list.push(Braked { directory, rule: Some(rule), release: false });
    });
    store.counting.subscribe().wait_for(|counting| *counting == 1).await.unwrap();
    store.accept(1, 3);
    // The clock of this test is not that of the wall.
    let passes = store.until(|kept| Store::cursor(kept) == 4);
    assert!(tokio::time::timeout(Duration::from_secs(10), passes).await.is_err());
    assert_eq!(app.seen.lock().unwrap().len(), 3);
    store.is_counted.send_replace(true);
    store.until(|kept| Store::cursor(kept) == 4).await;
    shutdown.cancel();
    run.await.unwrap();
}
