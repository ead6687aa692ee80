//! The history, as auditors read it.

use api::ports::{
    Audit, AuditEvent, AuditFilter, Audited, Cursor, EventFilter, Order, PageRequest, Reach,
    Reading,
};
use schemas::{Change, EventId, EventType, RequestId, Timestamp};

use super::world::{Stream, World, user};

const ORDERS: [Order; 2] = [Order::Ascending, Order::Descending];

/// More events than a page looks at.
const MANY: usize = 4_200;

const fn request(
    reach: Reach,
    order: Order,
    cursor: Option<Cursor<EventId>>,
) -> PageRequest<EventId> {
    PageRequest { reach, limit: 2, order, cursor }
}

fn ids(events: &[AuditEvent]) -> Vec<EventId> {
    events.iter().map(|event| event.id).collect()
}

/// So many events about a user that say nothing new.
fn busy(number: u128, events: usize) -> Vec<Change> {
    vec![user(number); events]
}

/// One organization's events between those of another, which are many.
async fn with_a_busy_rival() -> (World, [Stream; 3], Vec<EventId>) {
    let (mut world, mut one) = World::with_one_directory().await;
    let mut two = world.directory(one.organization, 2).await;
    let rival = world.organization(2).await;
    let mut rival = world.directory(rival, 3).await;
    let mut own = Vec::new();
    for _ in 0..2 {
        world.add(&mut rival, busy(900, MANY)).await;
        for number in 1..=3 {
            own.extend(world.add(&mut one, vec![user(number)]).await);
            own.extend(world.add(&mut two, vec![user(100 + number)]).await);
        }
    }
    world.add(&mut rival, busy(900, MANY)).await;
    (world, [one, two, rival], own)
}

/// Walks a list to its end, page by page.
async fn walk(world: &World, reach: Reach, order: Order, filter: &AuditFilter) -> Vec<Audited> {
    let mut pages: Vec<Audited> = Vec::new();
    loop {
        let cursor = pages.last().map(|last| {
            Cursor::After(last.looked_to.unwrap_or_else(|| last.page.items.last().unwrap().id))
        });
        let page = world.store.audit(request(reach, order, cursor), filter.clone()).await.unwrap();
        let goes_on = page.page.has_after;
        pages.push(page);
        if !goes_on {
            return pages;
        }
    }
}

#[tokio::test]
async fn the_history_of_one_organization_is_whole_pages_and_names_nothing_of_others() {
    let (world, [one, ..], own) = with_a_busy_rival().await;
    let filter = AuditFilter::default();
    let of = AuditFilter { organization: Some(one.organization), ..filter.clone() };
    let directory = AuditFilter { directory: Some(one.id), ..filter.clone() };
    let of_one: Vec<EventId> = own.iter().copied().step_by(2).collect();
    let limited = Reach::Organization(one.organization);
    let actor = |of: &AuditFilter| AuditFilter { actor: Some("a1b2".into()), ..of.clone() };
    let text = |of: &AuditFilter| AuditFilter { text: Some("DIRECTORY_USER".into()), ..of.clone() };
    let typed =
        |of: &AuditFilter| AuditFilter { types: vec![EventType::UserUpdated], ..of.clone() };
    for (reach, of, expected) in [
        (Reach::Everything, &of, &own),
        (Reach::Everything, &directory, &of_one),
        (limited, &filter, &own),
        (limited, &directory, &of_one),
    ] {
        for filter in [of.clone(), actor(of), text(of), typed(of)] {
            for order in ORDERS {
                let pages = walk(&world, reach, order, &filter).await;
                assert_eq!(pages.len(), expected.len() / 2, "{filter:?} {order:?}");
                assert!(pages.iter().all(|page| page.looked_to.is_none_or(|id| own.contains(&id))));
                let mut found: Vec<EventId> =
                    pages.iter().flat_map(|page| ids(&page.page.items)).collect();
                if order == Order::Descending {
                    found.reverse();
                }
                assert_eq!(found, *expected, "{filter:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_filter_that_nothing_fits_goes_on_from_what_is_ones_own() {
    let (mut world, mut own) = World::with_one_directory().await;
    let rival = world.organization(2).await;
    let mut rival = world.directory(rival, 2).await;
    let mut ids = Vec::new();
    for _ in 0..5 {
        ids.extend(world.add(&mut own, busy(1, 1_000)).await);
        world.add(&mut rival, busy(900, 1)).await;
    }
    let limited = Reach::Organization(own.organization);
    let filter = AuditFilter { actor: Some("nobody".into()), ..AuditFilter::default() };
    for order in ORDERS {
        let pages = walk(&world, limited, order, &filter).await;
        assert_eq!(pages.len(), 2);
        assert!(pages.iter().all(|page| page.page.items.is_empty()));
        let at = if order == Order::Ascending { 3_999 } else { 1_000 };
        assert_eq!(pages[0].looked_to, Some(ids[at]));
        let back = pages[0].looked_to.map(Cursor::Before);
        let before =
            world.store.audit(request(limited, order, back), filter.clone()).await.unwrap();
        assert!(!before.page.has_before && before.page.items.is_empty(), "{order:?}");
    }
}

#[tokio::test]
async fn a_rare_type_is_found_at_once_however_old_it_is() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let mut other = world.directory(stream.organization, 2).await;
    let mut rare = Vec::new();
    for _ in 0..3 {
        world.add(&mut stream, busy(1, MANY)).await;
        for (kind, of) in
            [(EventType::Activated, &mut stream), (EventType::GroupDeleted, &mut other)]
        {
            world.samples = Some(kind);
            rare.extend(world.add(of, busy(1, 1)).await);
        }
        world.samples = None;
        world.add(&mut other, busy(900, 20)).await;
    }
    // More than a page has events.
    let never = [EventType::UserDeleted, EventType::TokenRevoked];
    let types = vec![EventType::Activated, EventType::GroupDeleted, never[0], never[1]];
    let all = AuditFilter { types, ..AuditFilter::default() };
    let own: Vec<EventId> = rare.iter().copied().step_by(2).collect();
    let text = Some("\"TYPE\"".to_owned());
    for (filter, expected) in [
        (all.clone(), &rare),
        (AuditFilter { directory: Some(stream.id), ..all.clone() }, &own),
        (AuditFilter { organization: Some(stream.organization), ..all.clone() }, &rare),
        (AuditFilter { text, ..all.clone() }, &own),
        (AuditFilter { types: vec![EventType::UserDeleted], ..all }, &Vec::new()),
    ] {
        for order in ORDERS {
            let pages = walk(&world, Reach::Everything, order, &filter).await;
            assert_eq!(pages.len(), expected.len().div_ceil(2).max(1), "{filter:?} {order:?}");
            let mut found: Vec<_> = pages.iter().flat_map(|page| ids(&page.page.items)).collect();
            if order == Order::Descending {
                found.reverse();
            }
            assert_eq!(found, *expected, "{filter:?} {order:?}");
        }
    }
}

#[tokio::test]
async fn a_list_of_one_request_begins_where_the_request_came_in() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, busy(1, 2 * MANY)).await;
    // Of the moment of the last of these.
    let came_in = super::world::time_of(2 * MANY as u128).millis().unsigned_abs();
    let id = RequestId::from_bits((u128::from(came_in) << 80) + 7);
    world.request = Some(id);
    let caused = world.add(&mut stream, vec![user(2)]).await;
    world.request = None;
    let filter = AuditFilter { request: Some(id), ..AuditFilter::default() };
    let limited = Reach::Organization(stream.organization);
    for reach in [Reach::Everything, limited] {
        for order in ORDERS {
            let pages = walk(&world, reach, order, &filter).await;
            assert_eq!(pages.len(), 1, "{order:?}");
            assert_eq!(ids(&pages[0].page.items), caused);
        }
    }
}

#[tokio::test]
async fn large_events_are_searched_in_shorter_pages() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, busy(1, 60)).await;
    let large = format!("UPDATE feed SET data = '{{\"x\":\"{}\"}}'", "x".repeat(100_000));
    assert_eq!(world.place.damage(&large).await, 60);
    let needle = "UPDATE feed SET data = '{\"x\":\"needle\"}' WHERE position = 55";
    assert_eq!(world.place.damage(needle).await, 1);
    let filter = AuditFilter { text: Some("Needle".into()), ..AuditFilter::default() };
    for reach in [Reach::Everything, Reach::Organization(stream.organization)] {
        let pages = walk(&world, reach, Order::Ascending, &filter).await;
        assert_eq!(pages.len(), 3);
        assert_eq!(pages.iter().map(|page| page.page.items.len()).sum::<usize>(), 1);
    }
}

/// Where the clocks that decide are behind, for so many events each.
const CLOCKS: [(i64, usize); 7] =
    [(0, 1_500), (900, 40), (0, 700), (-3_000, 5), (0, 900), (2_000, 300), (0, 1_200)];

#[tokio::test]
async fn a_range_of_times_is_exact_whatever_clocks_do() {
    let (mut world, mut one) = World::with_one_directory().await;
    let mut two = world.directory(one.organization, 2).await;
    for (behind, events) in CLOCKS {
        world.behind = behind;
        world.add(&mut one, busy(1, events / 2)).await;
        world.add(&mut two, busy(2, events - events / 2)).await;
    }
    let organization = Some(one.organization);
    let large =
        |order, cursor| PageRequest { reach: Reach::Everything, limit: 10_000, order, cursor };
    let all = Reading::events(&*world.store, large(Order::Ascending, None), EventFilter::default());
    let all = all.await.unwrap().items;
    let audited = async |filter: AuditFilter| {
        let mut found = Vec::new();
        let mut cursor = None;
        loop {
            let page = world.store.audit(large(Order::Ascending, cursor), filter.clone()).await;
            let Audited { page, looked_to } = page.unwrap();
            found.extend(ids(&page.items));
            if !page.has_after {
                return found;
            }
            cursor = Some(Cursor::After(looked_to.unwrap_or_else(|| found[found.len() - 1])));
        }
    };
    let times: Vec<i64> = {
        let whole = audited_times(&world).await;
        assert_eq!(whole.len(), all.len());
        whole
    };
    let end = times.iter().max().unwrap() + 10;
    for (from, to) in [(0, 0), (0, end), (end, end), (0, 10_001), (10_001, 10_001)]
        .into_iter()
        .chain((9_000..end).step_by(517).map(|at| (at, at + 300)))
        .chain((9_000..end).step_by(1_931).map(|at| (at, end)))
    {
        let expected: Vec<EventId> = all
            .iter()
            .zip(&times)
            .filter(|(_, time)| (from..=to).contains(*time))
            .map(|(event, _)| event.id)
            .collect();
        let (from, to) = (Timestamp::from_millis(from), Timestamp::from_millis(to));
        for organization in [None, organization] {
            let (from, to) = (Some(from), Some(to));
            let filter = EventFilter { from, to, organization, ..EventFilter::default() };
            for order in ORDERS {
                let found = Reading::events(&*world.store, large(order, None), filter.clone());
                let mut found: Vec<_> =
                    found.await.unwrap().items.iter().map(|event| event.id).collect();
                if order == Order::Descending {
                    found.reverse();
                }
                assert_eq!(found, expected, "{from:?} to {to:?} of {organization:?}, {order:?}");
            }
            let filter = AuditFilter { from, to, organization, ..AuditFilter::default() };
            assert_eq!(audited(filter).await, expected, "{from:?} to {to:?} of {organization:?}");
        }
    }
}

/// When each event of the feed was decided, in its order.
async fn audited_times(world: &World) -> Vec<i64> {
    let mut times = Vec::new();
    let mut cursor = None;
    loop {
        let page = PageRequest {
            reach: Reach::Everything,
            limit: 1_000,
            order: Order::Ascending,
            cursor: cursor.map(Cursor::After),
        };
        let page = world.store.audit(page, AuditFilter::default()).await.unwrap().page;
        times.extend(page.items.iter().map(|event| event.created_at.millis()));
        cursor = page.items.last().map(|last| last.id);
        if !page.has_after {
            return times;
        }
    }
}

#[tokio::test]
async fn a_range_ends_its_list() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let first = world.add(&mut stream, busy(1, 3)).await;
    let mut last = Vec::new();
    for _ in 0..3 {
        last = world.add(&mut stream, busy(1, MANY)).await;
    }
    let end = *last.last().unwrap();
    let until = AuditFilter { to: Some(super::world::time_of(3)), ..AuditFilter::default() };
    let since = AuditFilter {
        from: Some(super::world::time_of(3 + 3 * MANY as u128)),
        ..AuditFilter::default()
    };
    for order in ORDERS {
        let pages = walk(&world, Reach::Everything, order, &until).await;
        assert_eq!(pages.iter().map(|page| page.page.items.len()).collect::<Vec<_>>(), [2, 1]);
        assert!(first.contains(&pages[1].page.items[0].id));
        let pages = walk(&world, Reach::Everything, order, &since).await;
        assert_eq!(pages.len(), 1, "{order:?}");
        assert_eq!(ids(&pages[0].page.items), [end]);
    }
}

#[tokio::test]
async fn what_is_in_front_of_an_event_is_read_from_the_beginning() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let all = world.add(&mut stream, busy(1, 9)).await;
    let directory = Some(stream.id);
    let filter = AuditFilter { in_front_of: Some(all[5]), ..AuditFilter::default() };
    for filter in [filter.clone(), AuditFilter { directory, ..filter }] {
        for (order, expected) in [
            (Order::Ascending, all[..5].to_vec()),
            (Order::Descending, all[6..].iter().rev().copied().collect()),
        ] {
            let pages = walk(&world, Reach::Everything, order, &filter).await;
            let found: Vec<EventId> = pages.iter().flat_map(|page| ids(&page.page.items)).collect();
            assert_eq!(found, expected, "{order:?}");
        }
    }
}
