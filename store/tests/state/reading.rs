//! What the API reads.

use api::ports::{
    Cursor, EventFilter, GroupFilter, Order, Page, PageRequest, PortError, Reach, Reading,
    UserFilter,
};
use dispatcher::ports::{DeliveryStore, FeedPosition, Topic};
use schemas::{EventId, EventType, GroupId, UserId};

use super::world::{
    Stream, World, event_id, group, hidden, joins, mapped, time_of, user, user_gone, user_with,
};

/// Two directories of one organization and one of another, whose users and events take turns.
async fn with_two_organizations() -> (World, [Stream; 3]) {
    let (mut world, one) = World::with_one_directory().await;
    let two = world.directory(one.organization, 2).await;
    let rival = world.organization(2).await;
    let three = world.directory(rival, 3).await;
    let mut streams = [one, two, three];
    for number in 1..=30 {
        let stream = &mut streams[usize::try_from(number % 3).unwrap()];
        world.add(stream, vec![user(number)]).await;
        if number % 5 == 0 {
            world.add(stream, vec![user_gone(number)]).await;
        }
    }
    (world, streams)
}

const ALL: Reach = Reach::Everything;

fn request<I>(reach: Reach, limit: u32, order: Order, cursor: Option<Cursor<I>>) -> PageRequest<I> {
    PageRequest { reach, limit, order, cursor }
}

/// Walks a list to its end and back again, and checks that both ways show the same.
async fn walk<I: Copy + PartialEq + std::fmt::Debug>(
    order: Order,
    read: impl AsyncFn(Option<Cursor<I>>, Order) -> Page<I>,
) -> Vec<I> {
    let mut pages = vec![read(None, order).await];
    assert!(!pages[0].has_before);
    while pages.last().unwrap().has_after {
        let last = *pages.last().unwrap().items.last().unwrap();
        let page = read(Some(Cursor::After(last)), order).await;
        assert!(page.has_before);
        pages.push(page);
    }
    let forwards: Vec<Vec<I>> = pages.into_iter().map(|page| page.items).collect();
    for (before, after) in forwards.iter().zip(forwards.iter().skip(1)) {
        let back = read(Some(Cursor::Before(after[0])), order).await;
        assert_eq!(&back.items, before);
        assert!(back.has_after);
    }
    forwards.concat()
}

#[tokio::test]
async fn users_are_paged_both_ways_within_the_callers_reach() {
    let (world, [one, two, three]) = with_two_organizations().await;
    let there = |number: &u128| !number.is_multiple_of(5);
    let own: Vec<u128> = (1..=30).filter(there).filter(|number| number % 3 != 2).collect();
    let everyone: Vec<u128> = (1..=30).filter(there).collect();
    let of_two: Vec<u128> = (1..=30).filter(there).filter(|number| number % 3 == 1).collect();
    let in_two = UserFilter { directory: Some(two.id), ..UserFilter::default() };
    let in_three = UserFilter { directory: Some(three.id), ..UserFilter::default() };
    let organization = Reach::Organization(one.organization);
    for (reach, filter, expected) in [
        (organization, UserFilter::default(), own),
        (ALL, UserFilter::default(), everyone),
        (organization, in_two.clone(), of_two.clone()),
        (ALL, in_two, of_two),
        (organization, in_three, Vec::new()),
    ] {
        let read = async |cursor, order| {
            let page = world.store.users(request(reach, 4, order, cursor), filter.clone()).await;
            let Page { items, has_before, has_after } = page.unwrap();
            let items = items.iter().map(|found| found.user.id).collect();
            Page { items, has_before, has_after }
        };
        let mut expected: Vec<UserId> = expected.into_iter().map(UserId::from_bits).collect();
        assert_eq!(walk(Order::Ascending, read).await, expected);
        expected.reverse();
        assert_eq!(walk(Order::Descending, read).await, expected);
    }
}

/// Whether a page of three leads anywhere from its ends, for cursors of all kinds at ids before, among and behind them.
async fn ends<I: Copy + std::fmt::Debug>(
    [before, first, last, behind]: [I; 4],
    read: impl AsyncFn(Option<Cursor<I>>, Order) -> Page<I>,
) {
    let (rising, falling) = (Order::Ascending, Order::Descending);
    for (cursor, order, shown, expected) in [
        (Cursor::After(before), rising, 3, (false, false)),
        (Cursor::Before(behind), rising, 3, (false, false)),
        (Cursor::After(behind), falling, 3, (false, false)),
        (Cursor::Before(before), falling, 3, (false, false)),
        (Cursor::After(first), rising, 2, (true, false)),
        (Cursor::Before(last), rising, 2, (false, true)),
        (Cursor::After(last), falling, 2, (true, false)),
        (Cursor::Before(first), falling, 2, (false, true)),
    ] {
        let page = read(Some(cursor), order).await;
        let told = (page.items.len(), (page.has_before, page.has_after));
        assert_eq!(told, (shown, expected), "{cursor:?} {order:?}");
    }
}

#[tokio::test]
async fn a_page_leads_only_to_where_there_is_something() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let other = world.directory(stream.organization, 2).await;
    let changes = vec![user(11), user(12), user(13), group(11), group(12), group(13)];
    world.add(&mut stream, changes).await;
    let events = [event_id(1).bits() - 1, event_id(1).bits(), event_id(3).bits(), u128::MAX >> 1];
    let only = EventFilter { to: Some(time_of(3)), ..EventFilter::default() };
    for reach in [ALL, Reach::Organization(other.organization)] {
        let filter = UserFilter::default();
        let users = async |cursor, order| {
            let page = world.store.users(request(reach, 3, order, cursor), filter.clone()).await;
            let Page { items, has_before, has_after } = page.unwrap();
            let items = items.iter().map(|found| found.user.id).collect();
            Page { items, has_before, has_after }
        };
        ends([10, 11, 13, 99].map(UserId::from_bits), users).await;
        let filter = GroupFilter { directory: Some(stream.id), ..GroupFilter::default() };
        let groups = async |cursor, order| {
            let page = world.store.groups(request(reach, 3, order, cursor), filter.clone()).await;
            let Page { items, has_before, has_after } = page.unwrap();
            let items = items.iter().map(|found| found.id).collect();
            Page { items, has_before, has_after }
        };
        ends([10, 11, 13, 99].map(GroupId::from_bits), groups).await;
        let read = async |cursor, order| {
            let page = world.store.events(request(reach, 3, order, cursor), only.clone()).await;
            let Page { items, has_before, has_after } = page.unwrap();
            let items = items.iter().map(|found| found.id).collect();
            Page { items, has_before, has_after }
        };
        ends(events.map(EventId::from_bits), read).await;
    }
}

#[tokio::test]
async fn events_are_paged_both_ways_within_the_callers_reach() {
    let (world, [one, _, three]) = with_two_organizations().await;
    let whole = world.store.feed(FeedPosition(0), 1_000).await.unwrap();
    let of = |streams: &[&Stream], only: Option<EventType>| -> Vec<EventId> {
        let found = whole.iter().filter(|event| {
            streams.iter().any(|stream| {
                stream.organization == {
                    if event.directory_id == three.id {
                        three.organization
                    } else {
                        one.organization
                    }
                }
            }) && only.is_none_or(|only| Topic::Directory(only) == event.topic)
        });
        found.map(|event| event.id).collect()
    };
    let revoked = EventFilter { types: vec![EventType::TokenRevoked], ..EventFilter::default() };
    let of_three = EventFilter { organization: Some(three.organization), ..EventFilter::default() };
    let own = Reach::Organization(one.organization);
    for (reach, filter, expected) in [
        (ALL, EventFilter::default(), of(&[&one, &three], None)),
        (own, EventFilter::default(), of(&[&one], None)),
        (ALL, of_three.clone(), of(&[&three], None)),
        (own, of_three, Vec::new()),
        (own, revoked.clone(), of(&[&one], Some(EventType::TokenRevoked))),
        (ALL, revoked, of(&[&one, &three], Some(EventType::TokenRevoked))),
    ] {
        let read = async |cursor, order| {
            let page = world.store.events(request(reach, 4, order, cursor), filter.clone()).await;
            let Page { items, has_before, has_after } = page.unwrap();
            let items = items.iter().map(|found| found.id).collect();
            Page { items, has_before, has_after }
        };
        let mut expected = expected;
        assert_eq!(walk(Order::Ascending, read).await, expected);
        expected.reverse();
        assert_eq!(walk(Order::Descending, read).await, expected);
    }
}

#[tokio::test]
async fn what_apps_are_not_told_is_in_no_list_of_events_and_ends_none() {
    let (mut world, mut stream) = World::with_one_directory().await;
    for number in 1..=24 {
        world.samples = (number % 8 > 2).then_some(EventType::InactiveUserChanged);
        world.add(&mut stream, vec![user(number)]).await;
    }
    let told = (1..=24).filter(|number| number % 8 <= 2).map(event_id);
    let told: Vec<EventId> = told.collect();
    for reach in [ALL, Reach::Organization(stream.organization)] {
        let read = async |cursor, order| {
            let page = request(reach, 2, order, cursor);
            let page = world.store.events(page, EventFilter::default()).await;
            let Page { items, has_before, has_after } = page.unwrap();
            Page { items: items.iter().map(|found| found.id).collect(), has_before, has_after }
        };
        assert_eq!(walk(Order::Ascending, read).await, told);
        let reversed: Vec<EventId> = told.iter().copied().rev().collect();
        assert_eq!(walk(Order::Descending, read).await, reversed);
    }
}

#[tokio::test]
async fn a_cursor_at_an_event_that_is_not_there_stands_between_its_neighbours() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1), user(2), user(3)]).await;
    let between = EventId::from_bits(event_id(2).bits() + 1);
    let first = EventId::from_bits(1);
    let own = Reach::Organization(stream.organization);
    let (rising, falling) = (Order::Ascending, Order::Descending);
    for reach in [ALL, own] {
        for (cursor, order, expected) in [
            (Cursor::After(between), rising, vec![event_id(3)]),
            (Cursor::After(between), falling, vec![event_id(2), event_id(1)]),
            (Cursor::Before(between), rising, vec![event_id(1), event_id(2)]),
            (Cursor::Before(between), falling, vec![event_id(3)]),
            (Cursor::After(first), falling, vec![]),
            (Cursor::After(event_id(2)), falling, vec![event_id(1)]),
        ] {
            let page = request(reach, 10, order, Some(cursor));
            let page = world.store.events(page, EventFilter::default()).await.unwrap();
            let ids: Vec<EventId> = page.items.iter().map(|event| event.id).collect();
            assert_eq!(ids, expected, "{reach:?} {cursor:?} {order:?}");
        }
    }
}

#[tokio::test]
async fn a_range_of_events_includes_both_of_its_ends() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, (1..=5).map(user).collect()).await;
    let filter =
        EventFilter { from: Some(time_of(2)), to: Some(time_of(4)), ..EventFilter::default() };
    let page = request(ALL, 10, Order::Ascending, None);
    let page = world.store.events(page, filter).await.unwrap();
    let ids: Vec<EventId> = page.items.iter().map(|event| event.id).collect();
    assert_eq!(ids, [event_id(2), event_id(3), event_id(4)]);
}

#[tokio::test]
async fn an_event_is_the_same_bytes_wherever_it_is_read() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let id = world.add(&mut stream, vec![user(1)]).await[0];
    let sent = world.store.feed(FeedPosition(0), 1).await.unwrap().remove(0).body;
    assert_eq!(world.store.event(ALL, id).await.unwrap().body, sent);
    let page = request(ALL, 10, Order::Ascending, None);
    let page = world.store.events(page, EventFilter::default()).await.unwrap();
    assert_eq!(page.items[0].body, sent);
}

#[tokio::test]
async fn members_and_groups_are_found_from_either_side() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let changes = vec![user(1), user(2), group(10), group(11), joins(10, 2), joins(11, 2)];
    world.add(&mut stream, changes).await;
    let own = Reach::Organization(stream.organization);
    for reach in [ALL, own] {
        let filter = UserFilter { group: Some(GroupId::from_bits(10)), ..UserFilter::default() };
        let page = world.store.users(request(reach, 10, Order::Ascending, None), filter).await;
        let page = page.unwrap();
        assert_eq!(page.items.len(), 1);
        assert_eq!(page.items[0].user.id, UserId::from_bits(2));
        assert_eq!(page.items[0].groups.len(), 2);
        let filter = GroupFilter { user: Some(UserId::from_bits(2)), ..GroupFilter::default() };
        let page = world.store.groups(request(reach, 10, Order::Descending, None), filter).await;
        let ids: Vec<GroupId> = page.unwrap().items.iter().map(|group| group.id).collect();
        assert_eq!(ids, [GroupId::from_bits(11), GroupId::from_bits(10)]);
    }
}

#[tokio::test]
async fn the_users_of_a_page_share_the_groups_that_they_have_in_common() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let changes = vec![user(1), user(2), group(10), joins(10, 1), joins(10, 2)];
    world.add(&mut stream, changes).await;
    let filter = UserFilter { directory: Some(stream.id), ..UserFilter::default() };
    let page = world.store.users(request(ALL, 10, Order::Ascending, None), filter).await.unwrap();
    let [one, other] = &page.items[..] else { panic!("{page:?}") };
    assert!(std::ptr::eq(&raw const *one.groups[0], &raw const *other.groups[0]));
}

#[tokio::test]
async fn a_user_is_found_by_the_address_and_the_id_that_it_shows() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let home = r#"{"type":"home","value":"home@example.com"}"#;
    let work = r#"{"type":"work","value":"Work@Example.com"}"#;
    let other = r#"{"value":"other@example.com"}"#;
    let primary = r#"{"value":"primary@example.com","primary":true}"#;
    let emails = [
        vec![home, work],
        vec![home, work, primary],
        vec![other, home],
        vec![other],
        vec![r#"{"value":"no address"}"#, other],
        vec![],
    ];
    let users = (1..).zip(&emails).map(|(number, emails)| {
        let more = format!(r#","emails":[{}],"externalId":"e{number}""#, emails.join(","));
        user_with(number, &format!("user{number}"), &more)
    });
    world.add(&mut stream, users.collect()).await;
    let everyone = request(ALL, 100, Order::Ascending, None);
    let everyone = world.store.users(everyone, UserFilter::default()).await.unwrap().items;
    assert_eq!(everyone.len(), emails.len());
    assert_eq!(everyone[0].user.email.as_deref(), Some("Work@Example.com"));
    for address in ["home", "work", "WORK", "other", "primary", "no address"] {
        let address =
            if address.contains(' ') { address.into() } else { format!("{address}@example.com") };
        let filter = UserFilter { email: Some(address.clone()), ..UserFilter::default() };
        let found = world.store.users(request(ALL, 100, Order::Ascending, None), filter).await;
        let shows = |email: &Option<String>| {
            email.as_ref().is_some_and(|email| email.eq_ignore_ascii_case(&address))
        };
        let expected: Vec<_> =
            everyone.iter().filter(|found| shows(&found.user.email)).cloned().collect();
        assert_eq!(found.unwrap().items, expected, "{address}");
    }
    let filter = UserFilter { idp_id: Some("e3".into()), ..UserFilter::default() };
    let found = world.store.users(request(ALL, 10, Order::Ascending, None), filter).await.unwrap();
    assert_eq!(found.items.len(), 1);
    assert_eq!(found.items[0].user.id, UserId::from_bits(3));
}

#[tokio::test]
async fn whoever_has_no_external_id_is_found_by_the_exact_name() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let named = user_with(2, "ext-1", "");
    let has_another = user_with(1, "Name", r#","externalId":"ext-1""#);
    let plain = user_with(3, "Plain", "");
    world.add(&mut stream, vec![has_another, named, plain, group(10), joins(10, 3)]).await;
    let directory = Some(stream.id);
    for (idp_id, group, expected) in [
        ("ext-1", None, &[1, 2][..]),
        ("Name", None, &[]),
        ("Plain", None, &[3]),
        ("plain", None, &[]),
        ("Plain", Some(GroupId::from_bits(10)), &[3]),
        ("ext-1", Some(GroupId::from_bits(10)), &[]),
    ] {
        for directory in [directory, None] {
            let filter = UserFilter { directory, group, idp_id: Some(idp_id.into()), email: None };
            let found = world.store.users(request(ALL, 10, Order::Ascending, None), filter).await;
            let ids: Vec<UserId> = found.unwrap().items.iter().map(|found| found.user.id).collect();
            let expected: Vec<UserId> =
                expected.iter().map(|bits| UserId::from_bits(*bits)).collect();
            assert_eq!(ids, expected, "{idp_id}");
        }
    }
}

#[tokio::test]
async fn what_lies_outside_of_the_reach_does_not_exist() {
    let (world, [one, ..]) = with_two_organizations().await;
    let own = Reach::Organization(one.organization);
    // User 2 is of the other organization, and its event is the second.
    let user = world.store.user(own, UserId::from_bits(2)).await;
    assert!(matches!(user, Err(PortError::NotFound)));
    assert!(world.store.user(ALL, UserId::from_bits(2)).await.is_ok());
    assert!(matches!(world.store.event(own, event_id(2)).await, Err(PortError::NotFound)));
    assert!(world.store.event(ALL, event_id(2)).await.is_ok());
    assert_eq!(world.store.directory_of_user(own, UserId::from_bits(2)).await.unwrap(), None);
}

#[tokio::test]
async fn apps_see_what_they_were_told_and_nobody_who_is_hidden() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let email = r#","emails":[{"value":"a@x.test"}],"externalId":"e1""#;
    let users = vec![user_with(1, "user1", email), hidden(2), user(3), group(10)];
    world.add(&mut stream, users).await;
    world.add(&mut stream, vec![joins(10, 1), joins(10, 2), mapped(3, "Three@x.test")]).await;
    let found = async |filter: UserFilter| {
        let request = request(ALL, 100, Order::Ascending, None);
        let page = world.store.users(request, filter).await.unwrap();
        page.items.into_iter().map(|found| found.user.id).collect::<Vec<_>>()
    };
    let ids = |ids: &[u128]| ids.iter().copied().map(UserId::from_bits).collect::<Vec<_>>();
    let any = UserFilter::default();
    assert_eq!(found(any.clone()).await, ids(&[1, 3]));
    let of_directory = UserFilter { directory: Some(stream.id), ..any.clone() };
    assert_eq!(found(of_directory).await, ids(&[1, 3]));
    let of_group = UserFilter { group: Some(GroupId::from_bits(10)), ..any.clone() };
    assert_eq!(found(of_group).await, ids(&[1]));
    let with_email = |email: &str| UserFilter { email: Some(email.into()), ..any.clone() };
    assert_eq!(found(with_email("A@x.test")).await, ids(&[1]));
    assert_eq!(found(with_email("three@x.test")).await, ids(&[3]));
    for (email, id) in [("A@x.test", 1), ("three@x.test", 3)] {
        let filter = UserFilter { directory: Some(stream.id), ..with_email(email) };
        assert_eq!(found(filter).await, ids(&[id]));
    }
    let with_id = |id: &str| UserFilter { idp_id: Some(id.into()), ..any.clone() };
    assert_eq!(found(with_id("mapped")).await, ids(&[3]));
    assert_eq!(found(with_id("user3")).await, ids(&[]));
    assert_eq!(found(with_id("e1")).await, ids(&[1]));

    let three = world.store.user(ALL, UserId::from_bits(3)).await.unwrap().user;
    assert_eq!(three.email.as_deref(), Some("Three@x.test"));
    assert_eq!(three.custom_attributes.len(), 1);
    let two = UserId::from_bits(2);
    assert!(matches!(world.store.user(ALL, two).await, Err(PortError::NotFound)));
    assert_eq!(world.store.directory_of_user(ALL, two).await.unwrap(), None);
    let groups = GroupFilter { user: Some(two), ..GroupFilter::default() };
    let groups = world.store.groups(request(ALL, 10, Order::Ascending, None), groups).await;
    assert_eq!(groups.unwrap().items, []);
}
