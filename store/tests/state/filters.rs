//! The filter that runs in the database against the one that runs in memory, and the order of lists.

pub(super) mod generated;

use directory::sorting::{compare, sort_key};
use ingest::ports::{ListQuery, Listed, Place, Replica, Sort, Start, UserView};
use proptest::test_runner::TestRunner;
use schemas::ScimId;
use schemas::scim::{Filter, USER};

use super::world::{Stream, World, hidden, scim, user};
use generated::{BASE, Case, Generated, ON_GROUPS, ON_USERS, generated, user_subject};

async fn list(world: &World, stream: &Stream, query: ListQuery) -> Listed<UserView> {
    world.store.list_users(stream.id, query).await.unwrap()
}

fn ids(listed: &Listed<UserView>) -> Vec<ScimId> {
    listed.items.iter().map(|view| view.user.id).collect()
}

/// All of a list in one page.
fn whole(filter: Option<Filter>) -> ListQuery {
    ListQuery { filter, base: BASE.to_owned(), ..ListQuery::first(1_000) }
}

#[tokio::test]
async fn a_filter_finds_in_the_database_what_it_finds_in_memory() {
    let mut runner = TestRunner::deterministic();
    let generated = generated(&mut runner).await;
    let Generated { world, stream, .. } = &generated;
    let found = |total: u64, ids: Vec<ScimId>, case: &Case| {
        assert_eq!(ids, case.expected, "{}", case.text);
        assert_eq!(total, case.expected.len() as u64, "{}", case.text);
    };
    for case in generated.filters(&ON_USERS, &mut runner) {
        let listed = list(world, stream, whole(Some(case.filter.clone()))).await;
        found(listed.total, ids(&listed), &case);
    }
    for case in generated.filters(&ON_GROUPS, &mut runner) {
        let query = whole(Some(case.filter.clone()));
        let listed = world.store.list_groups(stream.id, query).await.unwrap();
        found(listed.total, listed.items.iter().map(|group| group.id).collect(), &case);
    }
}

#[tokio::test]
async fn a_sorted_list_shows_everyone_once_by_number_and_by_cursor() {
    let Generated { world, stream, users: everyone, .. } =
        generated(&mut TestRunner::deterministic()).await;
    for (by, descending) in [
        ("userName", false),
        ("title", false),
        ("title", true),
        ("emails.value", false),
        ("meta.created", true),
        ("meta.location", true),
    ] {
        let sort = Sort { by: by.parse().unwrap(), descending };
        let mut expected: Vec<_> = everyone.iter().collect();
        expected.sort_by(|one, other| {
            let key = |view: &&UserView| sort_key(&user_subject(view), &sort.by, &USER);
            let order = compare(key(one).as_ref(), key(other).as_ref());
            if descending { order.reverse() } else { order }
        });
        let expected: Vec<_> = expected.into_iter().map(|view| view.user.id).collect();
        let page = async |start| {
            list(
                &world,
                &stream,
                ListQuery { sort: Some(sort.clone()), start, count: 7, ..whole(None) },
            )
            .await
        };
        let mut by_number = Vec::new();
        while by_number.len() < expected.len() {
            let listed = page(Start::Skip(by_number.len() as u64)).await;
            assert_eq!(listed.total, expected.len() as u64);
            by_number.extend(ids(&listed));
        }
        assert_eq!(by_number, expected, "{by} {descending}");
        let (mut by_cursor, mut next) = (Vec::new(), Start::Skip(0));
        loop {
            let listed = page(next).await;
            by_cursor.extend(ids(&listed));
            match listed.next {
                Some(place) => next = Start::After(place),
                None => break,
            }
        }
        assert_eq!(by_cursor, expected, "{by} {descending}");
    }
}

#[tokio::test]
async fn a_cursor_shows_who_was_there_once_whoever_comes_or_goes() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, (1..=30).map(user).collect()).await;
    let page = async |world: &World, start| {
        let query = ListQuery { start, ..ListQuery::first(10) };
        world.store.list_users(stream.id, query).await.unwrap()
    };
    let first = page(&world, Start::Skip(0)).await;
    let place: Place = first.next.clone().unwrap();
    let mut moved = Stream { id: stream.id, organization: stream.organization, head: stream.head };
    world.add(&mut moved, (1..=5).map(super::world::user_gone).collect()).await;
    let second = page(&world, Start::After(place)).await;
    assert_eq!(ids(&second), (11..=20).map(scim).collect::<Vec<_>>());
    let third = page(&world, Start::After(second.next.unwrap())).await;
    assert_eq!(ids(&third), (21..=30).map(scim).collect::<Vec<_>>());
    assert_eq!(third.next, None);
}

/// Users with so many addresses, and a filter with so many terms about them.
async fn laborious(users: u128, addresses: usize, terms: usize) -> (World, Stream, Filter) {
    let (mut world, mut stream) = World::with_one_directory().await;
    let one = |number: u128| {
        let addresses = (0..addresses).map(|at| format!(r#"{{"value":"a{at}.{number}@x.test"}}"#));
        let addresses: Vec<_> = addresses.collect();
        let more = format!(r#","emails":[{}]"#, addresses.join(","));
        super::world::user_with(number, &format!("user{number}"), &more)
    };
    for number in 1..=users {
        world.add(&mut stream, vec![one(number)]).await;
    }
    let terms: Vec<_> = (0..terms).map(|at| format!(r#"emails co "q{at}""#)).collect();
    (world, stream, terms.join(" or ").parse().unwrap())
}

#[tokio::test]
async fn who_looks_somebody_up_does_not_wait_for_lists_that_take_long() {
    let (world, stream, filter) = laborious(5, 500, 100).await;
    let slow = async || {
        let found = world.store.list_users(stream.id, whole(Some(filter.clone()))).await;
        assert!(found.is_ok_and(|listed| listed.items.is_empty()));
    };
    let lists = async { tokio::join!(slow(), slow(), slow()) };
    tokio::pin!(lists);
    let by_name: Option<Filter> = Some(r#"userName eq "user1""#.parse().unwrap());
    let mut looked_up = 0;
    loop {
        tokio::select! {
            biased;
            _ = &mut lists => break,
            found = world.store.list_users(stream.id, whole(by_name.clone())) => {
                looked_up += found.unwrap().items.len();
            }
        }
    }
    assert!(looked_up > 50, "{looked_up}");
}

#[tokio::test]
async fn users_whom_apps_do_not_see_stand_where_they_belong() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let is_hidden = |number: u128| number.is_multiple_of(3) || number > 25;
    let one = |number| if is_hidden(number) { hidden(number) } else { user(number) };
    world.add(&mut stream, (1..=30).map(one).collect()).await;
    let everyone: Vec<_> = (1..=30).map(scim).collect();
    let unserved = Some(r#"userName sw "u""#.parse().unwrap());
    let sort = Some(Sort { by: "meta.created".parse().unwrap(), descending: false });
    for (filter, sort) in [(None, None), (unserved, None), (None, sort)] {
        let query = ListQuery { sort, count: 7, ..whole(filter) };
        let (mut by_number, mut by_cursor, mut next) = (Vec::new(), Vec::new(), Start::Skip(0));
        loop {
            let skip = Start::Skip(by_number.len() as u64);
            let listed = list(&world, &stream, ListQuery { start: skip, ..query.clone() }).await;
            assert_eq!(listed.total, 30);
            by_number.extend(ids(&listed));
            let listed = list(&world, &stream, ListQuery { start: next, ..query.clone() }).await;
            by_cursor.extend(ids(&listed));
            let Some(place) = listed.next else { break };
            next = Start::After(place);
        }
        assert_eq!((&by_number, &by_cursor), (&everyone, &everyone), "{query:?}");
    }
}
