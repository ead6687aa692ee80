//! Endpoints, as the API configures them and the dispatcher reads them, and the key for their tokens.

use std::sync::Arc;

use api::ports::{Endpoint, EndpointChange, Endpoints, Secret, Start, VerificationKeys};
use dispatcher::ports::DeliveryStore;
use schemas::{DeliveryOrder, EndpointId, EndpointKind, Format, Timestamp};

use crate::world::{World, open, open_with};

const ID: EndpointId = EndpointId::from_bits(1);

fn endpoint(format: Format) -> Endpoint {
    Endpoint {
        id: ID,
        kind: EndpointKind::Directory,
        url: "https://app.example/events".to_owned(),
        secret: Secret::new("whsec_AAAA".to_owned()),
        enabled: true,
        events: Vec::new(),
        organizations: Vec::new(),
        directories: Vec::new(),
        order: DeliveryOrder::Resource,
        retry_schedule: None,
        format,
        created_at: Timestamp::from_millis(1),
        updated_at: Timestamp::from_millis(1),
    }
}

fn change(format: Option<Format>) -> EndpointChange {
    let updated_at = Timestamp::from_millis(2);
    EndpointChange { format, updated_at, ..EndpointChange::default() }
}

/// What the dispatcher reads.
async fn format_of_the_lane(store: &store::Store) -> Format {
    DeliveryStore::endpoints(store).await.unwrap().list[0].format
}

#[tokio::test]
async fn a_format_is_kept_until_another_is_chosen() {
    let world = World::new();
    Endpoints::create(&*world.store, endpoint(Format::ScimSet), Start::Now).await.unwrap();
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
