//! The ports on links to the setup page: what is opened once is open for one.

use std::sync::Arc;

use api::ports::{
    Cursor, LINKS_KEPT, LIVE_LINKS_MAX, NewPortalLink, NewPortalSession, Opening, Order,
    Organizations, PageRequest, PortError, Portal, PortalLink, PortalLinks, Reach, WhyVoid,
};
use schemas::{OrganizationId, PortalLinkId, Timestamp};

use tokio::task::JoinSet;

use super::world::World;

const ALL: Reach = Reach::Everything;
const MADE: i64 = 1_000;
const EXPIRES: i64 = 5_000;
const SESSION_ENDS: i64 = 9_000;

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millis(millis)
}

/// The digest of link or session `number`.
fn digest(number: u128) -> [u8; 32] {
    let mut digest = [0; 32];
    digest[..16].copy_from_slice(&number.to_be_bytes());
    digest
}

fn link(organization_id: OrganizationId, number: u128) -> NewPortalLink {
    NewPortalLink {
        id: PortalLinkId::from_bits(number),
        digest: digest(number),
        organization_id,
        return_url: Some("https://app.example/settings".to_owned()),
        success_url: None,
        created_by: None,
        created_at: at(MADE),
        expires_at: at(EXPIRES),
    }
}

fn session(number: u128) -> NewPortalSession {
    NewPortalSession { digest: digest(number), expires_at: at(SESSION_ENDS) }
}

impl World {
    async fn add_link(&self, organization: OrganizationId, number: u128) {
        PortalLinks::create(&*self.store, ALL, link(organization, number)).await.unwrap();
    }

    async fn open_link(&self, number: u128, with: u128, now: i64) -> Opening {
        self.store.open(digest(number), session(with), at(now)).await.unwrap()
    }

    async fn why_void(&self, number: u128, now: i64) -> Option<WhyVoid> {
        let Opening::Void(_, why) = self.open_link(number, 900 + number, now).await else {
            return None;
        };
        Some(why)
    }

    async fn has_session(&self, number: u128, now: i64) -> bool {
        self.store.session(digest(number), at(now)).await.unwrap().is_some()
    }

    async fn links(&self, page: PageRequest<PortalLinkId>) -> Vec<PortalLink> {
        PortalLinks::list(&*self.store, page, None).await.unwrap().items
    }

    async fn revoke_link(&self, reach: Reach, number: u128) -> Result<(), PortError> {
        self.store.revoke(reach, PortalLinkId::from_bits(number), at(2_500)).await
    }
}

fn page(reach: Reach) -> PageRequest<PortalLinkId> {
    PageRequest { reach, limit: 100, order: Order::Ascending, cursor: None }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_is_opened_once_by_whoever_comes_first() {
    let world = Arc::new(World::new().await);
    let organization = world.organization(1).await;
    world.add_link(organization, 1).await;
    let mut tries = JoinSet::new();
    for number in 100..132 {
        let world = Arc::clone(&world);
        tries.spawn(async move { (number, world.open_link(1, number, 2_000).await) });
    }
    let mut opened = Vec::new();
    while let Some(tried) = tries.join_next().await {
        let (number, opening) = tried.unwrap();
        match opening {
            Opening::Opened(session) => opened.push((number, session)),
            Opening::Void(_, why) => assert_eq!(why, WhyVoid::Used),
            Opening::Unknown => panic!("it is there"),
        }
    }
    let [(number, session)] = &opened[..] else { panic!("{opened:?}") };
    assert_eq!(
        (session.link.organization_id, session.expires_at),
        (organization, at(SESSION_ENDS))
    );
    for other in 100..132 {
        assert_eq!(world.has_session(other, 2_000).await, other == *number, "{other}");
    }
    assert_eq!(world.links(page(ALL)).await[0].used_at, Some(at(2_000)));
}

#[tokio::test]
async fn what_is_unknown_expired_or_revoked_opens_nothing() {
    let world = World::new().await;
    let organization = world.organization(1).await;
    for number in 1..=3 {
        world.add_link(organization, number).await;
    }
    assert_eq!(world.open_link(9, 100, 2_000).await, Opening::Unknown);
    assert_eq!(world.store.link(digest(9)).await.unwrap(), None);
    assert_eq!(world.why_void(1, EXPIRES).await, Some(WhyVoid::Expired));
    world.revoke_link(ALL, 2).await.unwrap();
    world.revoke_link(ALL, 2).await.unwrap();
    assert_eq!(world.why_void(2, 3_000).await, Some(WhyVoid::Revoked));
    assert!(matches!(world.open_link(3, 103, EXPIRES - 1).await, Opening::Opened(_)));
    assert_eq!(world.why_void(3, 8_000).await, Some(WhyVoid::Used), "and not expired");
    for number in [901, 902, 903] {
        assert!(!world.has_session(number, 3_000).await, "{number}");
    }
}

#[tokio::test]
async fn looking_at_a_link_does_not_use_it() {
    let world = World::new().await;
    let organization = world.organization(1).await;
    world.add_link(organization, 1).await;
    for _ in 0..3 {
        let seen = world.store.link(digest(1)).await.unwrap().unwrap();
        assert_eq!(seen.void(at(2_000)), None);
        assert_eq!(seen.return_url.as_deref(), Some("https://app.example/settings"));
    }
    assert!(matches!(world.open_link(1, 100, 2_000).await, Opening::Opened(_)));
}

#[tokio::test]
async fn a_session_ends_with_its_time_with_its_link_and_with_its_organization() {
    let world = World::new().await;
    let (one, two) = (world.organization(1).await, world.organization(2).await);
    for (number, organization) in [(1, one), (2, one), (3, two)] {
        world.add_link(organization, number).await;
        assert!(matches!(world.open_link(number, 100 + number, 2_000).await, Opening::Opened(_)));
    }
    assert!(world.has_session(101, SESSION_ENDS - 1).await);
    assert!(!world.has_session(101, SESSION_ENDS).await);
    world.revoke_link(ALL, 2).await.unwrap();
    assert!(!world.has_session(102, 3_000).await);
    Organizations::delete(&*world.store, ALL, two, at(3_000)).await.unwrap();
    assert!(!world.has_session(103, 3_000).await);
    assert_eq!(world.links(page(ALL)).await.len(), 2);
}

#[tokio::test]
async fn a_session_that_is_ended_opens_nothing_and_its_link_stays_used() {
    let world = World::new().await;
    let one = world.organization(1).await;
    for (number, with) in [(1, 101), (2, 102)] {
        world.add_link(one, number).await;
        assert!(matches!(world.open_link(number, with, 2_000).await, Opening::Opened(_)));
    }
    for _ in 0..2 {
        Portal::end(&*world.store, digest(101)).await.unwrap();
        assert!(!world.has_session(101, 3_000).await);
    }
    assert_eq!(world.why_void(1, 3_000).await, Some(WhyVoid::Used));
    assert!(world.has_session(102, 3_000).await);
}

#[tokio::test]
async fn links_are_within_the_reach_of_their_organization() {
    let world = World::new().await;
    let (one, two) = (world.organization(1).await, world.organization(2).await);
    for (number, organization) in [(1, one), (2, two), (3, one), (4, one)] {
        world.add_link(organization, number).await;
    }
    let ids = |links: Vec<PortalLink>| links.iter().map(|link| link.id.bits()).collect::<Vec<_>>();
    let own = Reach::Organization(one);
    assert_eq!(ids(world.links(page(own)).await), [1, 3, 4]);
    assert_eq!(ids(world.links(page(ALL)).await), [1, 2, 3, 4]);
    let foreign = PortalLinks::list(&*world.store, page(own), Some(two)).await.unwrap();
    assert_eq!(foreign.items, []);
    let cursor = Some(Cursor::After(PortalLinkId::from_bits(4)));
    let next = PageRequest { limit: 2, order: Order::Descending, cursor, reach: ALL };
    let next = PortalLinks::list(&*world.store, next, None).await.unwrap();
    assert_eq!((ids(next.items), next.has_before, next.has_after), (vec![3, 2], true, true));
    for (order, cursor) in [(Order::Descending, 99), (Order::Ascending, 0)] {
        let id = PortalLinkId::from_bits(cursor);
        for cursor in [Cursor::After(id), Cursor::Before(id)] {
            let page = PageRequest { limit: 10, order, cursor: Some(cursor), reach: own };
            let page = PortalLinks::list(&*world.store, page, None).await.unwrap();
            // Nothing lies on the side of the cursor that is not shown.
            assert!(!page.has_before && (page.items.is_empty() || !page.has_after), "{cursor:?}");
        }
    }
    assert!(matches!(world.revoke_link(own, 2).await, Err(PortError::NotFound)));
    let foreign = PortalLinks::create(&*world.store, own, link(two, 9)).await;
    assert!(matches!(foreign, Err(PortError::NotFound)));
    let nobody = OrganizationId::from_bits(99);
    let nowhere = PortalLinks::create(&*world.store, ALL, link(nobody, 9)).await;
    assert!(matches!(nowhere, Err(PortError::NotFound)));
}

#[tokio::test]
async fn of_too_many_that_wait_the_first_to_expire_goes_and_what_is_over_is_forgotten() {
    let world = World::new().await;
    let (one, two) = (world.organization(1).await, world.organization(2).await);
    world.add_link(two, 500).await;
    for number in 0..=LIVE_LINKS_MAX as u128 {
        world.add_link(one, number).await;
    }
    assert_eq!(world.why_void(0, 2_000).await, Some(WhyVoid::Revoked));
    assert!(matches!(world.open_link(1, 101, 2_000).await, Opening::Opened(_)));
    for number in 0..u128::from(LINKS_KEPT) {
        world.add_link(one, 1_000 + number).await;
    }
    let kept = world.links(page(Reach::Organization(one))).await;
    // The one whose session lasts is kept beyond the limit; its cursor begins the list.
    assert_eq!(kept[0].id.bits(), 1);
    assert_eq!(kept[1].id.bits(), 1_000);
    assert!(world.has_session(101, 3_000).await);
    assert_eq!(world.links(page(Reach::Organization(two))).await.len(), 1);
}
