//! Endpoints, as the API configures them and the dispatcher reads them, and the key for their tokens.

use std::sync::Arc;

use api::ports::{
    Conflict, Endpoint, EndpointChange, Endpoints, PortError, Rotation, Secret, VerificationKeys,
};
use dispatcher::ports::DeliveryStore;
use schemas::{Edge, EndpointId, Format, Timestamp};

use crate::world::{Still, World, open, open_with};

const ID: EndpointId = EndpointId::from_bits(1);

fn endpoint(format: Format) -> Endpoint {
    Endpoint {
        id: ID,
        url: "https://app.example/events".to_owned(),
        secret: Secret::new("whsec_AAAA".to_owned()),
        enabled: true,
        events: Vec::new(),
        format,
        created_at: Timestamp::from_millis(1),
        updated_at: Timestamp::from_millis(1),
    }
}

fn change(format: Option<Format>) -> EndpointChange {
    let updated_at = Timestamp::from_millis(2);
    EndpointChange { url: None, enabled: None, events: None, format, updated_at }
}

/// What the dispatcher reads.
async fn format_of_the_lane(store: &store::Store) -> Format {
    DeliveryStore::endpoints(store).await.unwrap().list[0].format
}

#[tokio::test]
async fn a_format_is_kept_until_another_is_chosen() {
    let world = World::new();
    Endpoints::create(&*world.store, endpoint(Format::ScimSet)).await.unwrap();
    let reopened = {
        world.store.close();
        open(world.folder.path())
    };
    assert_eq!(Endpoints::get(&reopened, ID).await.unwrap(), endpoint(Format::ScimSet));
    assert_eq!(format_of_the_lane(&reopened).await, Format::ScimSet);

    let same = Endpoints::update(&reopened, ID, change(None)).await.unwrap();
    assert_eq!(same.format, Format::ScimSet);
    let version = DeliveryStore::endpoints(&reopened).await.unwrap().version;
    let other = Endpoints::update(&reopened, ID, change(Some(Format::Webhook))).await.unwrap();
    assert_eq!(other.format, Format::Webhook);
    reopened.wait_endpoints_changed(version).await.unwrap();
    assert_eq!(format_of_the_lane(&reopened).await, Format::Webhook);
}

#[tokio::test]
async fn the_signing_key_is_made_once_and_outlives_the_process() {
    let world = World::new();
    let shown = world.store.verification_keys().await.unwrap();
    let signs = world.store.signing_key().await.unwrap();
    assert_eq!(shown.len(), 1);
    assert_eq!((&shown[0].kid, &shown[0].x), (&signs.public().kid, &signs.public().x));

    let beside = open(world.folder.path());
    assert_eq!(beside.signing_key().await.unwrap().public(), signs.public());
    world.store.close();
    beside.close();
    let reopened = open(world.folder.path());
    assert_eq!(reopened.signing_key().await.unwrap().public(), signs.public());
    assert_eq!(reopened.verification_keys().await.unwrap(), shown);
}

#[tokio::test]
async fn two_who_ask_for_the_first_key_at_once_get_the_same() {
    let world = World::new();
    let beside = open_with(world.folder.path(), Arc::clone(&world.edge));
    let (one, other) = tokio::join!(world.store.signing_key(), beside.signing_key());
    assert_eq!(one.unwrap().public(), other.unwrap().public());
}

/// A key that is made now, signs an hour later, and has the others shown for a day from then on.
fn rotation(edge: &Still) -> Rotation {
    let after = |hours: u64| edge.now().after(std::time::Duration::from_secs(hours * 3_600));
    Rotation { at: edge.now(), signs_from: after(1), shown_until: after(25) }
}

/// The names of the keys that are shown, and of the one that signs.
async fn keys(world: &World) -> (Vec<String>, String) {
    let shown = world.store.verification_keys().await.unwrap();
    let signs = world.store.signing_key().await.unwrap().public().kid.clone();
    (shown.into_iter().map(|key| key.kid).collect(), signs)
}

#[tokio::test]
async fn a_new_key_is_shown_before_it_signs_and_the_old_one_for_a_while_after() {
    let world = World::new();
    let (_, old) = keys(&world).await;
    let new = world.store.rotate(rotation(&world.edge)).await.unwrap().kid;
    let both = vec![old.clone(), new.clone()];
    assert_eq!(keys(&world).await, (both.clone(), old.clone()), "it waits");
    world.edge.pass(3_599);
    let early = world.store.rotate(rotation(&world.edge)).await;
    let waits = matches!(early, Err(PortError::Conflict(Conflict::SigningKeyWaits)));
    assert!(waits, "one waits at a time: {early:?}");
    assert_eq!(keys(&world).await.1, old);
    world.edge.pass(1);
    assert_eq!(keys(&world).await, (both.clone(), new.clone()), "it signs");

    world.store.close();
    let reopened = open_with(world.folder.path(), Arc::clone(&world.edge));
    assert_eq!(reopened.signing_key().await.unwrap().public().kid, new);
    world.edge.pass(24 * 3_600);
    let shown = reopened.verification_keys().await.unwrap();
    assert_eq!(shown.into_iter().map(|key| key.kid).collect::<Vec<_>>(), [new]);
}

#[tokio::test]
async fn a_key_that_fell_into_wrong_hands_is_replaced_at_once_and_so_is_one_that_waits() {
    let world = World::new();
    keys(&world).await;
    world.store.rotate(rotation(&world.edge)).await.unwrap();
    world.edge.pass(60);
    let at = world.edge.now();
    let at_once = Rotation { at, signs_from: at, shown_until: at };
    let new = world.store.rotate(at_once).await.unwrap().kid;
    for _ in 0..2 {
        assert_eq!(keys(&world).await, (vec![new.clone()], new.clone()));
        world.edge.pass(3_600);
    }
}

#[tokio::test]
async fn the_first_key_may_be_made_by_a_rotation_and_something_signs_until_its_turn() {
    let world = World::new();
    let new = world.store.rotate(rotation(&world.edge)).await.unwrap().kid;
    let (shown, signs) = keys(&world).await;
    assert_eq!((shown.len(), shown[1] == new, signs == shown[0]), (2, true, true));
}
