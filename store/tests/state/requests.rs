//! The log of requests of a directory.

use std::time::Duration;

use api::ports::{Directories, Order, Organizations, PageRequest, Reach, ScimRequest};
use ingest::request_log::{RequestStore, Requested, UNAUTHORIZED_KEPT};
use schemas::{DirectoryId, RequestId, Timestamp};

use super::world::World;

fn request(directory: DirectoryId, number: u128, status: u16) -> Requested {
    Requested {
        id: RequestId::from_bits(number),
        directory,
        at: Timestamp::from_millis(0),
        method: "GET".to_owned(),
        path: "/Users".to_owned(),
        status,
        scim_type: None,
        detail: None,
        duration: Duration::ZERO,
        events: 0,
        tolerated: Vec::new(),
        request_body: None,
        response_body: None,
    }
}

async fn kept(world: &World, directory: DirectoryId) -> Vec<ScimRequest> {
    let page = PageRequest {
        reach: Reach::Everything,
        cursor: None,
        order: Order::Descending,
        limit: 1_000,
    };
    world.store.requests(directory, page).await.unwrap().items
}

#[tokio::test]
async fn a_flood_of_requests_without_a_right_token_pushes_out_no_others() {
    let (world, stream) = World::with_one_directory().await;
    let good = (1..=30).map(|number| request(stream.id, number, 200)).collect();
    world.store.keep(good).await.unwrap();
    for batch in 1..40_u128 {
        let bad = (0..UNAUTHORIZED_KEPT as u128)
            .map(|number| request(stream.id, batch * 1_000 + number, 401))
            .collect();
        world.store.keep(bad).await.unwrap();
    }
    let kept = kept(&world, stream.id).await;
    let bad: Vec<_> = kept.iter().filter(|request| request.status == 401).collect();
    assert_eq!((bad.len(), kept.len() - bad.len()), (UNAUTHORIZED_KEPT, 30));
    assert_eq!(bad[0].id, RequestId::from_bits(39_049), "the latest");
}

#[tokio::test]
async fn the_requests_of_a_directory_go_with_it() {
    let (world, stream) = World::with_one_directory().await;
    world.store.keep(vec![request(stream.id, 1, 200), request(stream.id, 2, 400)]).await.unwrap();
    let now = Timestamp::from_millis(1);
    Directories::delete(&*world.store, Reach::Everything, stream.id, now).await.unwrap();
    assert_eq!(kept(&world, stream.id).await, []);
    world.store.keep(vec![request(stream.id, 4, 401)]).await.unwrap();
    assert_eq!(kept(&world, stream.id).await, [], "nor is what was under way kept");

    let (world, stream) = World::with_one_directory().await;
    world.store.keep(vec![request(stream.id, 3, 200)]).await.unwrap();
    let deleted =
        Organizations::delete(&*world.store, Reach::Everything, stream.organization, now).await;
    assert_eq!(deleted.unwrap(), [stream.id]);
    assert_eq!(kept(&world, stream.id).await, []);
}
