//! What is read of users and groups that are as large as may be.

use api::ports::{
    Cursor, Directories, GroupFilter, Order, Page, PageRequest, Reach, Reading, UserFilter,
};
use console::ports::{Arrivals, Looks};
use schemas::{Change, GroupId, UserId};

use super::world::{World, group, group_with, joins, user, user_with};

/// Of these, six come to two megabytes.
fn padding() -> String {
    format!(r#","note":"{}""#, "x".repeat(400_000))
}

fn large_user(number: u128) -> Change {
    user_with(number, &format!("user{number}"), &padding())
}

fn large_group(number: u128) -> Change {
    group_with(number, &format!("group{number}"), &padding())
}

/// The pages of ten of a list, by the ids in them; read to the end, and back again.
async fn pages<I: Copy + PartialEq + std::fmt::Debug>(
    order: Order,
    read: impl AsyncFn(PageRequest<I>) -> Page<I>,
) -> Vec<Vec<I>> {
    let request = |cursor| PageRequest { reach: Reach::Everything, limit: 10, order, cursor };
    let mut pages = vec![read(request(None)).await];
    while pages.last().unwrap().has_after {
        let last = *pages.last().unwrap().items.last().unwrap();
        pages.push(read(request(Some(Cursor::After(last)))).await);
    }
    for (before, after) in pages.iter().zip(pages.iter().skip(1)) {
        let back = read(request(Some(Cursor::Before(after.items[0])))).await;
        assert_eq!((&back.items, back.has_after), (&before.items, true));
        assert_eq!(back.has_before, before.has_before);
    }
    pages.into_iter().map(|page| page.items).collect()
}

async fn users(world: &World, order: Order, filter: &UserFilter) -> Vec<Vec<u128>> {
    let read = async |request| {
        let page = world.store.users(request, filter.clone()).await.unwrap();
        let Page { items, has_before, has_after } = page;
        Page { items: items.iter().map(|found| found.user.id).collect(), has_before, has_after }
    };
    let pages = pages(order, read).await;
    pages.into_iter().map(|page| page.iter().map(|id: &UserId| id.bits()).collect()).collect()
}

async fn groups(world: &World, order: Order) -> Vec<Vec<u128>> {
    let read = async |request| {
        let page = world.store.groups(request, GroupFilter::default()).await.unwrap();
        let Page { items, has_before, has_after } = page;
        Page { items: items.iter().map(|found| found.id).collect(), has_before, has_after }
    };
    let pages = pages(order, read).await;
    pages.into_iter().map(|page| page.iter().map(|id: &GroupId| id.bits()).collect()).collect()
}

/// Fourteen as pages of six, or from the other end.
fn in_sixes(order: Order) -> Vec<Vec<u128>> {
    let mut all: Vec<u128> = (1..=14).collect();
    if order == Order::Descending {
        all.reverse();
    }
    all.chunks(6).map(<[u128]>::to_vec).collect()
}

#[tokio::test]
async fn a_page_of_large_users_or_groups_ends_early_and_the_list_goes_on_behind_it() {
    let (mut world, mut one) = World::with_one_directory().await;
    let mut two = world.directory(one.organization, 2).await;
    for number in 1..=14 {
        let stream = if number % 3 == 0 { &mut two } else { &mut one };
        world.add(stream, vec![large_user(number)]).await;
        world.add(stream, vec![large_group(number)]).await;
    }
    for order in [Order::Ascending, Order::Descending] {
        assert_eq!(users(&world, order, &UserFilter::default()).await, in_sixes(order));
        assert_eq!(groups(&world, order).await, in_sixes(order));
    }
    // Each of two directories is read for itself.
    let own = Reach::Organization(one.organization);
    let request = PageRequest { reach: own, limit: 10, order: Order::Ascending, cursor: None };
    let page = world.store.users(request, UserFilter::default()).await.unwrap();
    let shown: Vec<u128> = page.items.iter().map(|found| found.user.id.bits()).collect();
    assert_eq!((shown, page.has_after), ((1..=6).collect(), true));
}

#[tokio::test]
async fn a_page_of_users_with_large_groups_ends_early_too() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![large_group(100), group(101)]).await;
    for number in 1..=14 {
        let changes = vec![user(number), joins(100, number), joins(101, number)];
        world.add(&mut stream, changes).await;
    }
    let of_small = UserFilter { group: Some(GroupId::from_bits(101)), ..UserFilter::default() };
    for filter in [UserFilter::default(), of_small] {
        for order in [Order::Ascending, Order::Descending] {
            assert_eq!(users(&world, order, &filter).await, in_sixes(order));
        }
    }
}

#[tokio::test]
async fn few_large_users_are_looked_at_where_the_latest_are_asked_for() {
    let (mut world, mut stream) = World::with_one_directory().await;
    for number in 1..=14 {
        world.add(&mut stream, vec![large_user(number)]).await;
    }
    let sample = world.store.sample(Reach::Everything, stream.id, None, 500).await.unwrap();
    let looks = Looks { users: 100, groups: 100, memberships: 100 };
    let arrived = world.store.arrived(stream.id, looks).await.unwrap().users;
    for users in [sample, arrived] {
        let ids: Vec<u128> = users.iter().map(|user| user.user_id.bits()).collect();
        assert_eq!(ids, [14, 13, 12, 11, 10, 9, 8], "six, and the one that did not fit");
    }
    let named: Vec<UserId> = (1..=14).map(UserId::from_bits).collect();
    let named = world.store.sample(Reach::Everything, stream.id, Some(named), 500).await.unwrap();
    assert_eq!(named.len(), 14, "nobody is missing who is asked for");
}
