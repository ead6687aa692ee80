//! Ingest's port.

use directory::matching::matches;
use directory::{Facts, Needs};
use ingest::ports::{ListQuery, Replica, ReplicaError, Start};
use log::Offset;
use projector::StoreError;
use schemas::scim::{Attributes, Filter, USER};
use schemas::{Change, Hash, Head, Seq};

use super::world::{
    P, World, group, group_with, joins, scim, time_of, user, user_gone, user_with, waits_for,
};

fn filtered(filter: &str, skip: u64, count: u32) -> ListQuery {
    let filter = Some(filter.parse().unwrap());
    ListQuery { filter, start: Start::Skip(skip), ..ListQuery::first(count) }
}

#[tokio::test]
async fn everything_that_is_asked_for_is_gathered_as_there_or_as_not_there() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let changes = vec![
        user(1),
        user(2),
        group_with(10, "Named", ""),
        group_with(11, "Other", r#","externalId":"x""#),
        joins(10, 1),
        user_with(4, "four", r#","externalId":"e""#),
        user_with(5, "five", r#","externalId":"e""#),
        waits_for(10, "Ada"),
        waits_for(11, "Ada"),
        waits_for(11, "b"),
    ];
    world.add(&mut stream, changes).await;
    let needs = Needs {
        users: [scim(2), scim(3)].into(),
        user_names: ["user1".into(), "nobody".into()].into(),
        user_external_ids: ["e".into(), "E".into()].into(),
        groups: [scim(10), scim(12)].into(),
        group_external_ids: ["x".into(), "y".into()].into(),
        group_names: ["named".into(), "other".into()].into(),
        memberships: [(scim(10), scim(1)), (scim(10), scim(2))].into(),
        members_of: [scim(10), scim(12)].into(),
        groups_of: [scim(1), scim(2), scim(3), scim(9)].into(),
        pending: ["ADA".into(), "nobody".into()].into(),
        pending_of: [scim(10)].into(),
    };
    let gathered = world.store.gather(stream.id, needs).await.unwrap().unwrap();
    let facts = gathered.facts;

    assert_eq!((gathered.head, facts.tail), (stream.head, Seq(10)));
    assert!(facts.users[&scim(2)].is_some() && facts.users[&scim(3)].is_none());
    assert_eq!(facts.user_names["user1"], Some(scim(1)));
    assert_eq!(facts.user_names["nobody"], None);
    assert!(facts.groups[&scim(10)].is_some() && facts.groups[&scim(12)].is_none());
    assert_eq!(facts.group_external_ids["x"], Some(scim(11)));
    assert_eq!(facts.group_external_ids["y"], None);
    assert_eq!(facts.group_names["named"], Some(scim(10)));
    assert_eq!(facts.group_names["other"], None, "it goes by its external id");
    assert!(facts.memberships[&(scim(10), scim(1))] && !facts.memberships[&(scim(10), scim(2))]);
    assert_eq!(facts.members_of[&scim(10)], [scim(1)].into());
    assert!(facts.members_of[&scim(12)].is_empty());
    assert!(facts.users[&scim(1)].is_some(), "members are among the users");
    assert_eq!(facts.groups_of.get(scim(1)), Some(&[scim(10)].into()));
    assert!([2, 3, 9].iter().all(|id| facts.groups_of.get(scim(*id)) == Some(&[].into())));
    assert_eq!(facts.user_external_ids["e"], [scim(4), scim(5)].into());
    assert!(facts.user_external_ids["E"].is_empty());
    assert!(facts.users[&scim(4)].is_some() && facts.users[&scim(5)].is_some());
}

#[tokio::test]
async fn pending_members_are_gathered_by_name_and_by_group_with_their_groups_and_counts() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let other = world.directory(stream.organization, 2).await;
    let changes = vec![group(10), group(11), waits_for(10, "Ada"), waits_for(11, "Ada")];
    world.add(&mut stream, changes).await;
    world.add(&mut stream, vec![waits_for(11, "b"), waits_for(11, "c")]).await;
    let needs = |pending: &[&str], pending_of: &[u128]| Needs {
        pending: pending.iter().map(|&name| name.to_owned()).collect(),
        pending_of: pending_of.iter().map(|group| scim(*group)).collect(),
        ..Needs::default()
    };
    let gather = async |id, needs: &Needs| {
        world.store.gather(id, needs.clone()).await.unwrap().unwrap().facts
    };
    let known = |facts: &Facts, needs: Needs| needs.beyond(facts) == Needs::default();

    let by_name = needs(&["ADA", "nobody"], &[]);
    let facts = gather(stream.id, &by_name).await;
    assert!(known(&facts, by_name) && !known(&facts, needs(&["b"], &[])));
    assert_eq!(facts.pending.total(), 4);
    assert!(facts.groups[&scim(10)].is_some() && facts.groups[&scim(11)].is_some());
    assert_eq!((facts.pending.total_of(scim(10)), facts.pending.total_of(scim(11))), (1, 3));

    let of_group = needs(&[], &[11]);
    let facts = gather(stream.id, &of_group).await;
    assert!(known(&facts, of_group) && !known(&facts, needs(&[], &[10])));

    let facts = gather(other.id, &needs(&["Ada"], &[])).await;
    assert_eq!((facts.pending.total(), facts.groups.len()), (0, 0));
}

#[tokio::test]
async fn a_copy_that_is_ahead_learns_of_the_store_that_nobody_is_pending_there() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![group(10)]).await;
    let needs =
        Needs { pending: ["y".into()].into(), pending_of: [scim(10)].into(), ..Needs::default() };
    let gather =
        async |needs: Needs| world.store.gather(stream.id, needs).await.unwrap().unwrap().facts;
    let mut ahead = gather(Needs { groups: [scim(10)].into(), ..Needs::default() }).await;
    ahead.apply(&waits_for(10, "x"), time_of(1));
    assert_eq!(needs.clone().beyond(&ahead), needs);
    ahead.absorb(gather(needs.clone()).await);
    assert_eq!(needs.beyond(&ahead), Needs::default());
    assert_eq!((ahead.pending.total(), ahead.pending.total_of(scim(10))), (1, 1));
}

#[tokio::test]
async fn directories_do_not_see_one_another() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let other = world.directory(stream.organization, 2).await;
    world.add(&mut stream, vec![user(1), group(10), joins(10, 1)]).await;

    assert_eq!(world.store.user(other.id, scim(1)).await.unwrap(), None);
    assert_eq!(world.store.group(other.id, scim(10)).await.unwrap(), None);
    assert_eq!(world.store.members(other.id, scim(10), None, 10).await.unwrap(), []);
    let needs = Needs {
        users: [scim(1)].into(),
        user_names: ["user1".into()].into(),
        members_of: [scim(10)].into(),
        ..Needs::default()
    };
    let facts = world.store.gather(other.id, needs).await.unwrap().unwrap().facts;
    assert_eq!(facts.users[&scim(1)], None);
    assert_eq!(facts.user_names["user1"], None);
    assert!(facts.members_of[&scim(10)].is_empty());
}

#[tokio::test]
async fn waiting_ends_when_the_record_has_been_passed() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let store = world.store.clone();
    let (waited, _) =
        tokio::join!(store.wait_applied(P, Offset(0)), world.add(&mut stream, vec![user(1)]));
    waited.unwrap();
    store.wait_applied(P, Offset(0)).await.unwrap();
}

#[tokio::test]
async fn waiting_ends_when_the_projection_cannot_be_written() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let clash = world.batch(&mut stream, vec![user_with(1, "same", ""), user_with(2, "same", "")]);
    let store = world.store.clone();
    let (waited, applied) = tokio::join!(store.wait_applied(P, Offset(1)), world.apply(clash));
    assert!(matches!(waited, Err(ReplicaError::Unavailable(_))));
    assert!(matches!(applied, Err(StoreError::Unwritable(_))));
}

#[tokio::test]
async fn a_record_counts_as_accepted_by_its_hash() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1)]).await;
    let rival = Head { seq: Seq(1), hash: Hash([1; 32]) };
    let next = Head { seq: Seq(2), hash: stream.head.hash };
    let accepted = world.store.accepted(stream.id, vec![stream.head, rival, next]).await;
    assert_eq!(accepted.unwrap(), [true, false, false]);
}

/// More than are read at once, twice over.
const MANY: u128 = 4_203;

async fn with_many_users() -> (World, super::world::Stream) {
    let (mut world, mut stream) = World::with_one_directory().await;
    let users = (1..=MANY).map(|number| {
        let more = format!(
            r#","externalId":"ext-{}","title":"t{}","active":{}"#,
            number / 2,
            number % 7,
            number % 3 == 0
        );
        user_with(number, &format!("User{number}"), &more)
    });
    world.add(&mut stream, users.collect()).await;
    (world, stream)
}

#[tokio::test]
async fn filters_find_what_matching_each_user_finds() {
    let (world, stream) = with_many_users().await;
    let everyone = ListQuery::first(10_000);
    let everyone = world.store.list_users(stream.id, everyone).await.unwrap();
    assert_eq!((everyone.total, everyone.items.len()), (4_203, 4_203));

    for text in [
        r#"userName eq "uSER77""#,
        r#"externalId eq "ext-300""#,
        r#"externalId eq "EXT-300""#,
        r#"title eq "t3""#,
        r#"title eq "t3" and externalId eq "ext-300""#,
        r#"userName eq "user5" or title eq "t6""#,
        r#"not (active eq true)"#,
        r#"active eq true and userName sw "user1""#,
        r#"nickName pr"#,
        &format!(r#"id eq "{}""#, scim(9)),
        &format!(r#"id eq "{}" and userName eq "user10""#, scim(9)),
        r#"id eq "no id at all""#,
    ] {
        let filter: Filter = text.parse().unwrap();
        let expected: Vec<_> = (everyone.items.iter())
            .filter(|view| {
                let mut subject = Attributes::clone(&view.user.attributes);
                subject.insert("id", view.user.id.to_string());
                matches(&filter, &subject, &USER).unwrap()
            })
            .map(|view| view.user.id)
            .collect();
        for (skip, count) in [(0, 10_000), (3, 100), (0, 0), (50_000, 10)] {
            let page = world.store.list_users(stream.id, filtered(text, skip, count)).await;
            let page = page.unwrap();
            let ids: Vec<_> = page.items.iter().map(|view| view.user.id).collect();
            assert_eq!(page.total, expected.len() as u64, "{text}");
            let shown = expected.iter().skip(usize::try_from(skip).unwrap()).take(count as usize);
            assert_eq!(ids, shown.copied().collect::<Vec<_>>(), "{text} {skip} {count}");
        }
    }
}

#[tokio::test]
async fn pages_show_everyone_once_in_order_of_creation() {
    let (world, stream) = with_many_users().await;
    for filter in [None, Some(r#"userName pr"#.parse::<Filter>().unwrap())] {
        let mut seen = Vec::new();
        while seen.len() < usize::try_from(MANY).unwrap() {
            let skip = seen.len() as u64;
            let start = Start::Skip(skip);
            let query = ListQuery { filter: filter.clone(), start, ..ListQuery::first(100) };
            let page = world.store.list_users(stream.id, query).await.unwrap();
            assert_eq!(page.total, 4_203);
            assert!(!page.items.is_empty());
            seen.extend(page.items.into_iter().map(|view| view.user.id));
        }
        assert_eq!(seen, (1..=MANY).map(scim).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn groups_are_found_by_name_and_by_member() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let changes = vec![
        user(1),
        user(2),
        group_with(10, "Staff", ""),
        group_with(11, "staff", r#","externalId":"s""#),
        group_with(12, "Others", ""),
        joins(10, 1),
        joins(12, 1),
        joins(12, 2),
    ];
    world.add(&mut stream, changes).await;
    let find = async |filter: &str| {
        let listed = world.store.list_groups(stream.id, filtered(filter, 0, 10)).await;
        let listed = listed.unwrap();
        assert_eq!(listed.total, listed.items.len() as u64);
        listed.items.into_iter().map(|one| one.id).collect::<Vec<_>>()
    };
    {
        assert_eq!(find(r#"displayName eq "STAFF""#).await, [scim(10), scim(11)]);
        assert_eq!(find(r#"externalId eq "s""#).await, [scim(11)]);
        let of = |number| format!(r#"members.value eq "{}""#, scim(number));
        assert_eq!(find(&of(1)).await, [scim(10), scim(12)]);
        assert_eq!(find(&of(3)).await, []);
        let of = format!(r#"members eq "{}" and displayName eq "others""#, scim(2));
        assert_eq!(find(&of).await, [scim(12)]);
        let of = format!(r#"members[value eq "{}"]"#, scim(2));
        assert_eq!(find(&of).await, [scim(12)]);
        assert_eq!(find(r#"members eq "no id at all""#).await, []);
        let of = format!(r#"not (members.value eq "{}")"#, scim(2));
        assert_eq!(find(&of).await, [scim(10), scim(11)]);
        let of = format!(r#"members.value ne "{}""#, scim(1));
        assert_eq!(find(&of).await, [scim(11), scim(12)]);
        let of = format!(r#"members.value eq "{}" and members.value ne "{}""#, scim(2), scim(2));
        assert_eq!(find(&of).await, [scim(12)]);
        assert_eq!(find("members pr").await, [scim(10), scim(12)]);
        assert_eq!(find("not (members pr)").await, [scim(11)]);
    }
}

#[tokio::test]
async fn a_filter_that_the_schema_forbids_is_refused_even_where_nothing_is() {
    let (world, stream) = World::with_one_directory().await;
    let refused = world.store.list_users(stream.id, filtered("active gt 3", 0, 10)).await;
    assert!(matches!(refused, Err(ReplicaError::Filter(_))));
    let nothing = world.store.list_users(stream.id, filtered("title pr", 0, 10)).await.unwrap();
    assert_eq!((nothing.total, nothing.items.len()), (0, 0));
}

#[tokio::test]
async fn users_are_found_by_their_groups() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1), user(2), group(10), joins(10, 2)]).await;
    let filter = format!(r#"groups.value eq "{}""#, scim(10));
    let found = world.store.list_users(stream.id, filtered(&filter, 0, 10)).await.unwrap();
    assert_eq!(found.items.iter().map(|view| view.user.id).collect::<Vec<_>>(), [scim(2)]);
    world.add(&mut stream, vec![user_gone(2), Change::DirectoryActivated]).await;
    let found = world.store.list_users(stream.id, filtered(&filter, 0, 10)).await.unwrap();
    assert_eq!(found.total, 0);
}
