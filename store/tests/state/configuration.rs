//! Organizations, API keys and kept answers, as the API configures them.

use std::time::Duration;

use api::fixtures;
use api::ports::{
    ANSWERING_MAX, ANSWERS_KEPT, Answers, ApiKey, Begun, Conflict, Directories, Directory, Domain,
    DomainState, KeptAnswer, Keys, METADATA_MAX, NewDirectory, OrganizationChange, Organizations,
    Permission, PortError, Reach,
};
use schemas::{ApiKeyId, OrganizationDomainId, OrganizationId, Timestamp};

use super::world::World;

const ALL: Reach = Reach::Everything;

fn limited_key(number: u128, organization: OrganizationId) -> ApiKey {
    ApiKey {
        id: ApiKeyId::from_bits(number),
        name: "app".to_owned(),
        permission: Permission::Full,
        organization_id: Some(organization),
        suffix: "a1b2".to_owned(),
        created_at: Timestamp::from_millis(1),
        last_used_at: None,
    }
}

#[tokio::test]
async fn no_key_is_made_for_an_organization_that_is_not_there() {
    let world = World::new().await;
    let nobody = OrganizationId::from_bits(99);
    let made = Keys::create(&*world.store, limited_key(1, nobody), [1; 32]).await;
    assert!(matches!(made, Err(PortError::NotFound)), "{made:?}");
    assert_eq!(world.store.by_digest([1; 32]).await.unwrap(), None);
    let organization = world.organization(1).await;
    Keys::create(&*world.store, limited_key(1, organization), [1; 32]).await.unwrap();
    assert!(world.store.by_digest([1; 32]).await.unwrap().is_some());
}

#[tokio::test]
async fn the_keys_of_an_organization_go_with_it() {
    let world = World::new().await;
    let organization = world.organization(1).await;
    let other = world.organization(2).await;
    Keys::create(&*world.store, limited_key(1, organization), [1; 32]).await.unwrap();
    Keys::create(&*world.store, limited_key(2, other), [2; 32]).await.unwrap();
    let at = Timestamp::from_millis(5);
    Organizations::delete(&*world.store, ALL, organization, at).await.unwrap();
    assert_eq!(world.store.by_digest([1; 32]).await.unwrap(), None);
    assert!(world.store.by_digest([2; 32]).await.unwrap().is_some());
}

#[tokio::test]
async fn metadata_stays_within_its_limit_however_often_it_is_changed() {
    let world = World::new().await;
    let id = world.organization(1).await;
    let change = async |metadata: Vec<(String, Option<String>)>| {
        let metadata = metadata.into_iter().collect();
        let change = OrganizationChange { metadata, ..OrganizationChange::default() };
        let changed = Organizations::update(&*world.store, ALL, id, change).await;
        changed.map(|organization| organization.metadata.len())
    };
    let some = |letter: char, count: usize| -> Vec<(String, Option<String>)> {
        (0..count).map(|number| (format!("{letter}{number}"), Some("v".to_owned()))).collect()
    };
    assert_eq!(change(some('a', METADATA_MAX)).await.unwrap(), METADATA_MAX);
    assert_eq!(change(some('a', 1)).await.unwrap(), METADATA_MAX, "what is there may change");
    let refused = change(some('b', 1)).await;
    assert!(matches!(refused, Err(PortError::Conflict(Conflict::Metadata))), "{refused:?}");
    let swapped = vec![("a0".to_owned(), None), ("b0".to_owned(), Some("v".to_owned()))];
    assert_eq!(change(swapped).await.unwrap(), METADATA_MAX);
}

#[tokio::test]
async fn a_domain_that_is_named_again_is_the_same_one() {
    let world = World::new().await;
    let id = world.organization(1).await;
    let domain = |number: u128, name: &str, state, at| Domain {
        id: OrganizationDomainId::from_bits(number),
        domain: name.to_owned(),
        state,
        created_at: Timestamp::from_millis(at),
        updated_at: Timestamp::from_millis(at),
    };
    let change = async |domains: Vec<Domain>, at| {
        let updated_at = Timestamp::from_millis(at);
        let domains = Some(domains);
        let change = OrganizationChange { domains, updated_at, ..OrganizationChange::default() };
        Organizations::update(&*world.store, ALL, id, change).await.unwrap().domains
    };
    let (pending, verified) = (DomainState::Pending, DomainState::Verified);
    let first = [domain(1, "a.example", pending, 5), domain(2, "b.example", verified, 5)];
    assert_eq!(change(first.to_vec(), 5).await, first);
    let again = vec![
        domain(3, "c.example", verified, 9),
        domain(4, "b.example", verified, 9),
        domain(5, "a.example", verified, 9),
    ];
    let shown = change(again, 9).await;
    let changed =
        Domain { state: verified, updated_at: Timestamp::from_millis(9), ..first[0].clone() };
    let expected = [domain(3, "c.example", verified, 9), first[1].clone(), changed];
    assert_eq!(shown, expected);
    assert_eq!(Organizations::get(&*world.store, ALL, id).await.unwrap().domains, expected);
}

#[tokio::test]
async fn an_answer_is_repeated_for_a_day_and_its_key_is_free_then() {
    let world = World::new().await;
    let begun = Timestamp::from_millis(1_000_000);
    // Of a key that begins with 0 the answers are counted.
    let (key, request) = ([0; 32], [8; 32]);
    assert_eq!(world.store.begin(key, request, begun).await.unwrap(), Begun::First);
    let kept = KeptAnswer { status: 201, body: "{\"id\":\"é\"}".into() };
    world.store.end(key, Some(kept.clone())).await.unwrap();
    let last = begun.after(ANSWERS_KEPT - Duration::from_millis(1));
    assert_eq!(world.store.begin(key, request, last).await.unwrap(), Begun::Answered(kept));
    assert_eq!(world.store.begin(key, [9; 32], last).await.unwrap(), Begun::OtherRequest);
    let over = begun.after(ANSWERS_KEPT);
    assert_eq!(world.store.begin(key, [9; 32], over).await.unwrap(), Begun::First);
    world.store.end(key, None).await.unwrap();
    assert_eq!(world.store.begin(key, request, over).await.unwrap(), Begun::First);
}

#[tokio::test]
async fn what_nobody_answered_is_not_done_again_until_its_key_is_forgotten() {
    let world = World::new().await;
    let begun = Timestamp::from_millis(1_000_000);
    // Of a key that begins with 0 the answers are counted.
    let (key, request) = ([0; 32], [8; 32]);
    let asked =
        async |after: Duration| world.store.begin(key, request, begun.after(after)).await.unwrap();
    assert_eq!(asked(Duration::ZERO).await, Begun::First);
    assert_eq!(asked(ANSWERING_MAX - Duration::from_millis(1)).await, Begun::Answering);
    assert_eq!(asked(ANSWERING_MAX).await, Begun::Unresolved);
    assert_eq!(asked(ANSWERS_KEPT - Duration::from_millis(1)).await, Begun::Unresolved);
    assert_eq!(world.store.begin(key, [9; 32], begun).await.unwrap(), Begun::OtherRequest);
    assert_eq!(asked(ANSWERS_KEPT).await, Begun::First);
}

#[tokio::test]
async fn an_organization_gets_no_more_directories_than_it_may_however_many_come_at_once() {
    let (world, one) = World::with_one_directory().await;
    let create = |number| {
        let new = fixtures::directory(one.organization, number);
        Directories::create(
            &*world.store,
            Reach::Everything,
            NewDirectory { among_max: Some(4), ..new },
        )
    };
    let made = futures_util::future::join_all((2..10).map(create)).await;
    let is_full = |made: &Result<Directory, PortError>| {
        matches!(made, Err(PortError::Conflict(Conflict::Directories)))
    };
    assert_eq!(made.iter().filter(|made| made.is_ok()).count(), 3, "{made:?}");
    assert_eq!(made.iter().filter(|made| is_full(made)).count(), 5, "{made:?}");
    let at = Timestamp::from_millis(2_000);
    Directories::delete(&*world.store, Reach::Everything, one.id, at).await.unwrap();
    create(20).await.unwrap();
    assert!(is_full(&create(21).await), "one that goes does not count");
    let unlimited = fixtures::directory(one.organization, 22);
    Directories::create(&*world.store, Reach::Everything, unlimited).await.unwrap();
}
