//! Endpoints, as the API configures them and the dispatcher reads them, and the key for their tokens.

use std::sync::Arc;
use std::time::Duration;

use api::ports::{
    ClientCertificate, Conflict, Endpoint, EndpointChange, Endpoints, KeyPair, Outward,
    OutwardChange, PortError, Rotation, Secret, SecretRotation, Start, VerificationKeys,
};
use dispatcher::ports::{self as lanes, DeliveryStore};
use schemas::{DeliveryOrder, Edge, EndpointId, EndpointKind, Format, Timestamp};

use super::world::{Still, World};

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
        outward: Outward::default(),
        previous_secret_until: None,
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
    let world = World::new().await;
    Endpoints::create(&*world.store, endpoint(Format::ScimSet), Start::Now).await.unwrap();
    let reopened = {
        world.store.close();
        world.reopened().await
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
    let world = World::new().await;
    let shown = world.store.verification_keys().await.unwrap();
    let signs = world.store.signing_key().await.unwrap();
    assert_eq!(shown.len(), 1);
    assert_eq!((&shown[0].kid, &shown[0].x), (&signs.public().kid, &signs.public().x));

    let beside = world.reopened().await;
    assert_eq!(beside.signing_key().await.unwrap().public(), signs.public());
    world.store.close();
    beside.close();
    let reopened = world.reopened().await;
    assert_eq!(reopened.signing_key().await.unwrap().public(), signs.public());
    assert_eq!(reopened.verification_keys().await.unwrap(), shown);
}

#[tokio::test]
async fn two_who_ask_for_the_first_key_at_once_get_the_same() {
    let world = World::new().await;
    let beside = world.open(Arc::clone(&world.edge)).await;
    let (one, other) = tokio::join!(world.store.signing_key(), beside.signing_key());
    assert_eq!(one.unwrap().public(), other.unwrap().public());
}

fn outward() -> Outward {
    let made = rcgen::generate_simple_self_signed(["dsync".to_owned()]).unwrap();
    let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    Outward {
        timeout: Some(Duration::from_secs(5)),
        client_certificate: Some(ClientCertificate { chain, key: Secret::new(key) }),
        key_pair: Some(KeyPair {
            private: Secret::new(PRIVATE_KEY.to_owned()),
            public: "whpk_BBBB".to_owned(),
        }),
    }
}

/// 32 bytes of 7.
const PRIVATE_KEY: &str = "whsk_BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";

#[tokio::test]
async fn how_requests_leave_is_kept_and_reaches_the_dispatcher() {
    let world = World::new().await;
    let made = Endpoint { outward: outward(), ..endpoint(Format::Webhook) };
    Endpoints::create(&*world.store, made.clone(), Start::Now).await.unwrap();
    world.store.close();
    let reopened = world.reopened().await;
    assert_eq!(Endpoints::get(&reopened, ID).await.unwrap(), made);
    let lane = DeliveryStore::endpoints(&reopened).await.unwrap().list.remove(0);
    assert_eq!(lane.timeout, Some(Duration::from_secs(5)));
    assert!(lane.identity.is_some());
    let signing: Vec<&str> = lane.secrets.iter().map(lanes::Secret::expose).collect();
    assert_eq!(signing, ["whsec_AAAA", PRIVATE_KEY]);

    let nothing =
        OutwardChange { timeout: Some(None), client_certificate: Some(None), key_pair: Some(None) };
    let change = EndpointChange { outward: nothing, ..change(None) };
    let bare = Endpoints::update(&reopened, ID, change).await.unwrap();
    assert_eq!(bare.outward, Outward::default());
}

#[tokio::test]
async fn no_key_and_no_secret_can_be_read_where_they_are_kept() {
    let world = World::new().await;
    let secret = Secret::new("whsec_c2VhbGVkLWF0LXJlc3Q=".to_owned());
    let made = Endpoint { secret, outward: outward(), ..endpoint(Format::Webhook) };
    Endpoints::create(&*world.store, made, Start::Now).await.unwrap();
    rotate(&world.store, "whsec_bmV4dA==", 1, 1_000_000_000_000_000).await.unwrap();
    world.store.close();
    let bytes = world.place.contents().await;
    let holds = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(holds("BEGIN CERTIFICATE"), "this is the right place");
    for text in ["c2VhbGVkLWF0LXJlc3Q", "bmV4dA==", "PRIVATE KEY", "whsk_", "whsec_"] {
        assert!(!holds(text), "{text}");
    }
}

async fn rotate(
    store: &store::Store,
    to: &str,
    at: i64,
    until: i64,
) -> Result<Endpoint, PortError> {
    let rotation = SecretRotation {
        secret: Secret::new(to.to_owned()),
        at: Timestamp::from_millis(at),
        until: Timestamp::from_millis(until),
        made_from: None,
    };
    Endpoints::rotate_secret(store, ID, rotation).await
}

/// What the dispatcher signs with, and until when.
async fn signing(store: &store::Store) -> Vec<(String, Option<i64>)> {
    let lane = DeliveryStore::endpoints(store).await.unwrap().list.remove(0);
    let end = |secret: &lanes::Secret| secret.ends().map(Timestamp::millis);
    lane.secrets.iter().map(|secret| (secret.expose().to_owned(), end(secret))).collect()
}

#[tokio::test]
async fn a_secret_signs_on_until_its_overlap_ends() {
    let world = World::new().await;
    let store = &world.store;
    Endpoints::create(&**store, endpoint(Format::Webhook), Start::Now).await.unwrap();
    let version = DeliveryStore::endpoints(&**store).await.unwrap().version;
    let far = i64::from(u32::MAX) * 1_000;
    let rotated = rotate(store, "whsec_BBBB", 1, far).await.unwrap();
    assert_eq!(rotated.secret.expose(), "whsec_BBBB");
    assert_eq!(rotated.previous_secret_until.map(Timestamp::millis), Some(far));
    store.wait_endpoints_changed(version).await.unwrap();
    let own = |list: &[(&str, Option<i64>)]| -> Vec<(String, Option<i64>)> {
        list.iter().map(|(text, end)| ((*text).to_owned(), *end)).collect()
    };
    assert_eq!(signing(store).await, own(&[("whsec_BBBB", None), ("whsec_AAAA", Some(far))]));

    // A later rotation ends nothing later than it would have ended, and may end it earlier.
    rotate(store, "whsec_CCCC", 2, far + 5).await.unwrap();
    let expected = [("whsec_CCCC", None), ("whsec_BBBB", Some(far + 5)), ("whsec_AAAA", Some(far))];
    assert_eq!(signing(store).await, own(&expected));
    rotate(store, "whsec_DDDD", 3, far - 5).await.unwrap();
    let ends = |list: Vec<(String, Option<i64>)>| list.into_iter().map(|(_, end)| end);
    let end = Some(far - 5);
    assert!(ends(signing(store).await).eq([None, end, end, end]));

    let full = rotate(store, "whsec_EEEE", 4, far).await.unwrap_err();
    assert!(matches!(full, PortError::Conflict(Conflict::SigningSecrets)));
    assert_eq!(signing(store).await[0].0, "whsec_DDDD");
    rotate(store, "whsec_FFFF", 5, 5).await.unwrap();
    assert_eq!(signing(store).await, own(&[("whsec_FFFF", None)]), "without an overlap");
}

#[tokio::test]
async fn an_endpoint_that_is_not_there_has_no_secret_to_rotate() {
    let world = World::new().await;
    let missing = rotate(&world.store, "whsec_BBBB", 1, 2).await.unwrap_err();
    assert!(matches!(missing, PortError::NotFound));
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
    let world = World::new().await;
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
    let reopened = world.open(Arc::clone(&world.edge)).await;
    assert_eq!(reopened.signing_key().await.unwrap().public().kid, new);
    world.edge.pass(24 * 3_600);
    let shown = reopened.verification_keys().await.unwrap();
    assert_eq!(shown.into_iter().map(|key| key.kid).collect::<Vec<_>>(), [new]);
}

#[tokio::test]
async fn a_key_that_fell_into_wrong_hands_is_replaced_at_once_and_so_is_one_that_waits() {
    let world = World::new().await;
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
    let world = World::new().await;
    let new = world.store.rotate(rotation(&world.edge)).await.unwrap().kid;
    let (shown, signs) = keys(&world).await;
    assert_eq!((shown.len(), shown[1] == new, signs == shown[0]), (2, true, true));
}

#[tokio::test]
async fn a_change_of_an_endpoint_that_was_made_from_an_older_version_is_refused() {
    let world = World::new().await;
    let store: &dyn Endpoints = &*world.store;
    store.create(endpoint(Format::Webhook), Start::Now).await.unwrap();
    let seen = store.get(ID).await.unwrap();
    let made_from = |made_from: Timestamp| EndpointChange {
        url: Some("https://app.example/other".to_owned()),
        // The clock stands still, and yet no two versions have the same time.
        updated_at: seen.updated_at,
        made_from: Some(made_from),
        ..EndpointChange::default()
    };
    let changed = store.update(ID, made_from(seen.updated_at)).await.unwrap();
    let refused = store.update(ID, made_from(seen.updated_at)).await;
    assert!(matches!(refused, Err(PortError::Conflict(Conflict::Changed))), "{refused:?}");
    let rotation = |made_from| SecretRotation {
        secret: Secret::new("whsec_BBBB".to_owned()),
        at: seen.updated_at,
        until: Timestamp::from_millis(i64::from(u32::MAX) * 1_000),
        made_from: Some(made_from),
    };
    let refused = store.rotate_secret(ID, rotation(seen.updated_at)).await;
    assert!(matches!(refused, Err(PortError::Conflict(Conflict::Changed))), "{refused:?}");
    assert_eq!(store.get(ID).await.unwrap(), changed, "nothing was changed");
    let rotated = store.rotate_secret(ID, rotation(changed.updated_at)).await.unwrap();
    assert!(rotated.updated_at > changed.updated_at);
    let refused = store.update(ID, made_from(changed.updated_at)).await;
    assert!(matches!(refused, Err(PortError::Conflict(Conflict::Changed))), "{refused:?}");
}
