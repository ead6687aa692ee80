//! Who runs which lane, and what becomes of whoever does so no more.

use std::time::Duration;

use api::ports::{Endpoints, Start};
use dispatcher::ports::{DeliveryStore, DispatcherId, Epoch, FeedPosition, Fenced, Lease, Leases};
use dispatcher::ports::{Flush, LaneId};
use schemas::EndpointId;

use super::world::World;

const LONG: Duration = Duration::from_secs(600);
const ONE: DispatcherId = DispatcherId::from_bits(11);
const TWO: DispatcherId = DispatcherId::from_bits(12);

fn lane(number: u128) -> LaneId {
    LaneId { endpoint: EndpointId::from_bits(number), replay: None }
}

fn at(cursor: u64, lane: LaneId, epoch: Epoch) -> Fenced {
    let flush = Flush {
        lane,
        cursor: FeedPosition(cursor),
        done: Vec::new(),
        blocked: Vec::new(),
        unblocked: Vec::new(),
        failing_since: None,
        is_told: false,
        is_paused: false,
        notices: Vec::new(),
        attempts: Vec::new(),
        is_finished: false,
    };
    Fenced { epoch, flush }
}

async fn with_endpoints(count: u128) -> World {
    let world = World::new().await;
    for number in 1..=count {
        let endpoint = super::deliveries::endpoint_of(number);
        Endpoints::create(&*world.store, endpoint, Start::Beginning).await.unwrap();
    }
    world
}

async fn cursor(world: &World, lane: LaneId) -> u64 {
    world.store.lane(lane).await.unwrap().unwrap().cursor.0
}

#[tokio::test]
async fn what_a_replaced_dispatcher_writes_is_refused() {
    let world = with_endpoints(2).await;
    let store = &*world.store;
    store.join(ONE, LONG).await.unwrap();
    let old = store.lease(ONE, vec![lane(1), lane(2)]).await.unwrap();
    assert_eq!(old.len(), 2);
    let flushes = old.iter().map(|lease| at(3, lease.lane, lease.epoch)).collect();
    assert_eq!(store.flush(flushes).await.unwrap(), []);

    store.leave(ONE).await.unwrap();
    store.join(TWO, LONG).await.unwrap();
    let new = store.lease(TWO, vec![lane(1), lane(2)]).await.unwrap();
    assert_eq!(new.len(), 2);
    assert!(old.iter().zip(&new).all(|(old, new)| old.epoch < new.epoch), "{old:?} {new:?}");
    let flushes = vec![at(9, lane(1), old[0].epoch), at(4, lane(2), new[1].epoch)];
    assert_eq!(store.flush(flushes).await.unwrap(), [lane(1)], "one is refused, one is written");
    assert_eq!((cursor(&world, lane(1)).await, cursor(&world, lane(2)).await), (3, 4));

    assert_eq!(store.renew(ONE, LONG).await.unwrap(), None);
    assert_eq!(store.lease(ONE, vec![lane(1)]).await.unwrap(), []);
    let standing = store.renew(TWO, LONG).await.unwrap().unwrap();
    assert!(standing.others.is_empty() && standing.held.is_empty());
}

#[tokio::test]
async fn who_has_not_heard_of_a_lease_gets_it_when_they_ask_again() {
    let world = with_endpoints(1).await;
    let store = &*world.store;
    store.join(ONE, LONG).await.unwrap();
    let lost = store.lease(ONE, vec![lane(1)]).await.unwrap()[0];
    let again = store.lease(ONE, vec![lane(1)]).await.unwrap()[0];
    assert!(lost.epoch <= again.epoch, "{lost:?} {again:?}");
    let flushes = vec![at(5, lane(1), again.epoch)];
    assert_eq!(store.flush(flushes).await.unwrap(), []);
    assert_eq!(cursor(&world, lane(1)).await, 5);
}

#[tokio::test]
async fn a_lane_that_was_given_back_can_be_taken_and_the_others_cannot() {
    let world = with_endpoints(2).await;
    if world.place.client().await.is_none() {
        // One process has no others.
        return;
    }
    let store = &*world.store;
    store.join(ONE, LONG).await.unwrap();
    store.join(TWO, LONG).await.unwrap();
    let leases = store.lease(ONE, vec![lane(1), lane(2)]).await.unwrap();
    assert_eq!(store.lease(TWO, vec![lane(1), lane(2)]).await.unwrap(), []);
    let standing = store.renew(TWO, LONG).await.unwrap().unwrap();
    assert_eq!(standing.others, [ONE].into());
    assert_eq!(standing.held, [(lane(1), ONE), (lane(2), ONE)].into());

    let stale = Lease { epoch: Epoch(0), ..leases[1] };
    store.release(ONE, vec![leases[0], stale]).await.unwrap();
    let taken = store.lease(TWO, vec![lane(1), lane(2)]).await.unwrap();
    assert_eq!(taken.iter().map(|lease| lease.lane).collect::<Vec<_>>(), [lane(1)]);
}

#[tokio::test]
async fn who_does_not_renew_in_time_has_lost_everything() {
    let world = with_endpoints(1).await;
    if world.place.client().await.is_none() {
        return;
    }
    let store = &*world.store;
    store.join(ONE, Duration::from_millis(300)).await.unwrap();
    let old = store.lease(ONE, vec![lane(1)]).await.unwrap()[0];
    store.join(TWO, LONG).await.unwrap();
    let new = tests::server::eventually("the end of a lease", async || {
        store.lease(TWO, vec![lane(1)]).await.unwrap().pop()
    });
    let new = new.await;
    assert_eq!(store.renew(ONE, LONG).await.unwrap(), None, "it came too late");
    assert_eq!(store.flush(vec![at(5, lane(1), old.epoch)]).await.unwrap(), [lane(1)]);
    assert_eq!(store.flush(vec![at(5, lane(1), new.epoch)]).await.unwrap(), []);
}

#[tokio::test]
async fn of_many_who_want_the_same_lanes_at_once_each_lane_goes_to_one() {
    let world = with_endpoints(8).await;
    if world.place.client().await.is_none() {
        return;
    }
    let store = &*world.store;
    for _ in 0..5 {
        let ids: Vec<DispatcherId> = (20..24).map(DispatcherId::from_bits).collect();
        for id in &ids {
            store.join(*id, LONG).await.unwrap();
        }
        let lanes: Vec<LaneId> = (1..=8).map(lane).collect();
        let want = |id| store.lease(id, lanes.clone());
        let (a, b, c, d) = tokio::join!(want(ids[0]), want(ids[1]), want(ids[2]), want(ids[3]));
        let all = [a, b, c, d].map(Result::unwrap).concat();
        let mut taken: Vec<LaneId> = all.iter().map(|lease| lease.lane).collect();
        taken.sort_unstable();
        assert_eq!(taken, lanes);
        for id in ids {
            store.leave(id).await.unwrap();
        }
    }
}
