//! The projector's port.

use api::ports::{Counts, Directories, GroupFilter, Order, PageRequest, Reach, UserFilter};
use directory::Needs;
use dispatcher::ports::{DeliveryStore, FeedPosition};
use ingest::ports::{ListQuery, Replica, ReplicaError};
use log::{Durable, Offset};
use projector::{Batch, Position, ProjectionStore, StoreError, StoredHead};
use schemas::{Change, GroupId, Seq, UserId};
use tokio::sync::oneshot;

use super::world::{
    P, Stream, World, group, group_gone, group_with, hidden, joins, leaves, scim, time_of, user,
    user_gone, user_with, waits_for, waits_no_more,
};

pub(super) async fn counts(world: &World, stream: &Stream) -> Counts {
    Directories::get(&*world.store, Reach::Everything, stream.id).await.unwrap().counts
}

pub(super) async fn members(world: &World, stream: &Stream, group: u128) -> Vec<u128> {
    let found = world.store.members(stream.id, scim(group), None, 1_000).await.unwrap();
    let everyone = found.into_iter().map(|member| member.user);
    everyone.map(|member| (1..100).find(|number| scim(*number) == member.id).unwrap()).collect()
}

#[tokio::test]
async fn what_was_applied_is_there_with_head_and_position() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![Change::DirectoryActivated, user(1), group(2), joins(2, 1)]).await;

    assert_eq!(world.store.position(P).await.unwrap(), world.position);
    assert_eq!(world.position.applied, Some((Offset(3), stream.head.hash)));
    let head = StoredHead { directory_id: stream.id, head: stream.head, stopped: false };
    assert_eq!(world.store.heads(P).await.unwrap(), [head]);
    let found = world.store.user(stream.id, scim(1)).await.unwrap().unwrap();
    assert_eq!((found.user.name_key.as_str(), found.user.version), ("user1", Seq(2)));
    assert_eq!(found.groups[0].display.as_deref(), Some("Group2"));
    assert_eq!(members(&world, &stream, 2).await, [1]);
    assert_eq!(world.store.feed_end().await.unwrap(), FeedPosition(4));
}

#[tokio::test]
async fn a_projector_that_was_replaced_changes_nothing() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1)]).await;
    let late = world.batch(&mut stream, vec![user(2)]);
    let to = Position { next: late.passed, applied: None };

    let refused = world.store.apply(P, Position::default(), to, late, Durable::already()).await;
    assert!(matches!(refused, Err(StoreError::Replaced)));
    assert_eq!(world.store.position(P).await.unwrap(), world.position);
    assert_eq!(world.store.user(stream.id, scim(2)).await.unwrap(), None);
    assert_eq!(world.store.feed_end().await.unwrap(), FeedPosition(1));
}

#[tokio::test]
async fn a_batch_that_fails_leaves_nothing_and_holds_writes_up_until_one_succeeds() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1)]).await;
    let mut lost = Stream { head: stream.head, ..stream };
    // In the middle of what one statement writes.
    let new = (2..=12).map(user).chain([user_with(50, "user1", "")]).chain((13..=20).map(user));
    let clash = world.batch(&mut lost, new.collect());

    assert!(matches!(world.apply(clash).await, Err(StoreError::Unwritable(_))));
    assert_eq!(world.store.position(P).await.unwrap(), world.position);
    assert_eq!(world.store.user(stream.id, scim(2)).await.unwrap(), None);
    assert_eq!(counts(&world, &stream).await.active_users, 1);
    let gathered = world.store.gather(stream.id, Needs::default()).await;
    assert!(matches!(gathered, Err(ReplicaError::Unavailable(_))));
    assert!(world.store.user(stream.id, scim(1)).await.unwrap().is_some(), "reads go on");

    world.add(&mut stream, vec![user(2)]).await;
    assert!(world.store.gather(stream.id, Needs::default()).await.unwrap().is_some());
    assert_eq!(counts(&world, &stream).await.active_users, 2);
}

#[tokio::test]
async fn who_goes_takes_every_membership_along() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let changes = vec![
        user(1),
        user_with(2, "two", r#","active":false"#),
        group(10),
        group(11),
        joins(10, 1),
        joins(10, 2),
        joins(11, 1),
    ];
    world.add(&mut stream, changes).await;
    let all = Counts { active_users: 1, inactive_users: 1, groups: 2 };
    assert_eq!(counts(&world, &stream).await, all);

    world.add(&mut stream, vec![user_gone(1)]).await;
    assert_eq!(members(&world, &stream, 10).await, [2]);
    assert_eq!(members(&world, &stream, 11).await, [] as [u128; 0]);
    world.add(&mut stream, vec![group_gone(10)]).await;
    let left = world.store.user(stream.id, scim(2)).await.unwrap().unwrap();
    assert_eq!(left.groups, []);
    let some = Counts { active_users: 0, inactive_users: 1, groups: 1 };
    assert_eq!(counts(&world, &stream).await, some);
}

#[tokio::test]
async fn a_key_that_is_given_out_again_inherits_no_membership() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let changes = vec![group(10), user(1), joins(10, 1), user_gone(1), user(2)];
    world.add(&mut stream, changes).await;
    assert_eq!(members(&world, &stream, 10).await, [] as [u128; 0]);
}

/// How many are pending in the directory, and in these groups.
pub(super) async fn pending(
    world: &World,
    stream: &Stream,
    groups: [u128; 2],
) -> (usize, [usize; 2]) {
    let needs = Needs { groups: groups.map(scim).into(), ..Needs::default() };
    let facts = world.store.gather(stream.id, needs).await.unwrap().unwrap().facts;
    (facts.pending.total(), groups.map(|group| facts.pending.total_of(scim(group))))
}

#[tokio::test]
async fn who_is_pending_goes_with_the_group_and_with_the_directory() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let waiting = vec![waits_for(10, "a"), waits_for(10, "b"), waits_for(11, "a")];
    world.add(&mut stream, vec![group(10), group(11)]).await;
    let version = world.store.group(stream.id, scim(10)).await.unwrap().unwrap().version;
    world.add(&mut stream, waiting).await;
    assert_eq!(pending(&world, &stream, [10, 11]).await, (3, [2, 1]));
    let after = world.store.group(stream.id, scim(10)).await.unwrap().unwrap().version;
    assert_eq!(version, after, "who is pending is not seen in the group");
    assert_eq!(members(&world, &stream, 10).await, [] as [u128; 0]);

    world.add(&mut stream, vec![waits_no_more(10, "b"), waits_no_more(10, "b")]).await;
    assert_eq!(pending(&world, &stream, [10, 11]).await, (2, [1, 1]));
    world.add(&mut stream, vec![group_gone(10), group(12), waits_for(12, "c")]).await;
    assert_eq!(pending(&world, &stream, [11, 12]).await, (2, [1, 1]));
    world.add(&mut stream, vec![Change::DirectoryGone]).await;
    assert_eq!(pending(&world, &stream, [11, 12]).await, (0, [0, 0]));
}

#[tokio::test]
async fn a_user_that_changes_is_counted_once() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1)]).await;
    world.add(&mut stream, vec![user_with(1, "renamed", r#","active":false"#)]).await;
    let expected = Counts { active_users: 0, inactive_users: 1, groups: 0 };
    assert_eq!(counts(&world, &stream).await, expected);
    // The name that it had is free.
    world.add(&mut stream, vec![user_with(2, "User1", "")]).await;
}

#[tokio::test]
async fn a_member_moves_the_version_of_its_group_and_not_its_last_change() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1), group(10)]).await;
    let read = |world: &World| {
        let (store, id) = (world.store.clone(), stream.id);
        async move {
            let found = store.group(id, scim(10)).await.unwrap().unwrap();
            (found.version, found.updated_at, found.modified_at)
        }
    };
    assert_eq!(read(&world).await, (Seq(2), time_of(2), time_of(2)));
    let mut stream = Stream { ..stream };
    world.add(&mut stream, vec![joins(10, 1)]).await;
    assert_eq!(read(&world).await, (Seq(3), time_of(2), time_of(3)));
    world.add(&mut stream, vec![leaves(10, 1)]).await;
    assert_eq!(read(&world).await, (Seq(4), time_of(2), time_of(4)));
    world.add(&mut stream, vec![group_with(10, "Renamed", "")]).await;
    assert_eq!(read(&world).await, (Seq(5), time_of(5), time_of(5)));
}

#[tokio::test]
async fn a_directory_that_is_gone_holds_nothing_and_keeps_its_events() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let organization = stream.organization;
    let mut other = world.directory(organization, 2).await;
    world.add(&mut other, vec![user(50)]).await;
    world.add(&mut stream, vec![user(1), group(10), joins(10, 1)]).await;
    world.add(&mut stream, vec![Change::DirectoryGone]).await;

    let gathered = world.store.gather(stream.id, Needs::default()).await.unwrap().unwrap();
    assert!(gathered.facts.gone);
    assert_eq!(gathered.head, stream.head);
    assert_eq!(world.store.user(stream.id, scim(1)).await.unwrap(), None);
    assert_eq!(world.store.feed(FeedPosition(0), 10).await.unwrap().len(), 5);
    assert!(world.store.user(other.id, scim(50)).await.unwrap().is_some());
}

const fn everything<I>() -> PageRequest<I> {
    PageRequest { reach: Reach::Everything, limit: 10, order: Order::Ascending, cursor: None }
}

/// What is seen of the first user and the group of a directory, by whoever looks.
async fn seen(world: &World, stream: &Stream, [user, group]: [u128; 2]) -> [bool; 8] {
    let store = &*world.store;
    let of_user = UserFilter { directory: Some(stream.id), ..UserFilter::default() };
    let users = api::ports::Reading::users(store, everything(), of_user).await.unwrap();
    let of_group = GroupFilter { directory: Some(stream.id), ..GroupFilter::default() };
    let groups = api::ports::Reading::groups(store, everything(), of_group).await.unwrap();
    let (user_id, group_id) = (UserId::from_bits(user), GroupId::from_bits(group));
    let listed = store.list_users(stream.id, ListQuery::first(10)).await.unwrap();
    let in_group = store.members(stream.id, scim(group), None, 10).await.unwrap();
    [
        !users.items.is_empty(),
        !groups.items.is_empty(),
        api::ports::Reading::user(store, Reach::Everything, user_id).await.is_ok(),
        api::ports::Reading::group(store, Reach::Everything, group_id).await.is_ok(),
        Replica::user(store, stream.id, scim(user)).await.unwrap().is_some(),
        Replica::group(store, stream.id, scim(group)).await.unwrap().is_some(),
        !listed.items.is_empty(),
        !in_group.is_empty(),
    ]
}

#[tokio::test]
async fn a_large_directory_that_is_gone_is_seen_by_nobody_and_removed_slice_by_slice() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let mut other = world.directory(stream.organization, 2).await;
    world.add(&mut other, vec![user(5_000), group(5_001), joins(5_001, 5_000)]).await;
    let mut changes: Vec<_> = (1..=2_500).map(user).collect();
    let address = r#","emails":[{"value":"a@b.test","primary":true},{"value":"other@b.test"}]"#;
    changes.extend([user_with(2_501, "one", address), group(4_000), waits_for(4_000, "x")]);
    changes.extend((1..=2_500).map(|number| joins(4_000, number)));
    world.add(&mut stream, changes).await;
    assert_eq!(seen(&world, &stream, [1, 4_000]).await, [true; 8]);

    world.add(&mut stream, vec![Change::DirectoryGone]).await;
    let rows = async |of: &str| world.place.damage(&format!("UPDATE {of}")).await;
    assert_eq!(rows("users SET active = active").await, 2_502, "nobody waits for them to go");
    let mut slices = 0;
    loop {
        assert_eq!(seen(&world, &stream, [1, 4_000]).await, [false; 8]);
        assert_eq!(counts(&world, &other).await.active_users, 1);
        if !world.store.sweep(P).await.unwrap() {
            break;
        }
        slices += 1;
    }
    assert!(slices > 3, "{slices}");
    assert_eq!(rows("users SET active = active").await, 1);
    assert_eq!(rows("groups SET version = version").await, 1);
    assert_eq!(rows("memberships SET user_key = user_key").await, 1);
    assert_eq!(rows("emails SET value = value").await, 0);
    assert_eq!(rows("pending_members SET value = value").await, 0);
    assert_eq!(seen(&world, &other, [5_000, 5_001]).await, [true; 8]);
}

#[tokio::test]
async fn a_stream_that_stopped_is_listed_until_something_of_it_is_accepted_again() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1)]).await;
    let stopped = |passed| Batch { passed, accepted: Vec::new(), stopped: vec![stream.id] };
    world.apply(stopped(Offset(2))).await.unwrap();
    assert_eq!(world.store.stopped_directories().await.unwrap(), [stream.id]);

    world.add(&mut stream, vec![user(2)]).await;
    assert!(world.store.stopped_directories().await.unwrap().is_empty());
    let mut both = world.batch(&mut stream, vec![user(3)]);
    both.stopped.push(stream.id);
    world.apply(both).await.unwrap();
    assert_eq!(world.store.stopped_directories().await.unwrap(), [stream.id], "it stopped last");
}

#[tokio::test]
async fn to_a_partition_that_stands_still_nothing_is_appended_until_it_is_followed_again() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1)]).await;
    let why = "DSYNC-003: the log is behind";
    world.store.stop(P, Some(why.to_owned())).await.unwrap();
    let refused = world.store.gather(stream.id, Needs::default()).await.unwrap_err();
    let ReplicaError::Halted(cause) = &refused else { panic!("{refused:?}") };
    assert_eq!(cause.to_string(), why);
    let waited = world.store.wait_applied(P, Offset(1_000)).await;
    assert!(matches!(waited, Err(ReplicaError::Halted(_))), "nobody will judge it");
    assert!(world.store.user(stream.id, scim(1)).await.unwrap().is_some(), "reads go on");

    world.store.stop(P, None).await.unwrap();
    assert!(world.store.gather(stream.id, Needs::default()).await.unwrap().is_some());
    world.store.stop(P, Some(why.to_owned())).await.unwrap();
    world.add(&mut stream, vec![user(2)]).await;
    assert!(world.store.gather(stream.id, Needs::default()).await.unwrap().is_some(), "it moves");
}

/// Records that are being flushed, and what tells that they are durable.
fn on_their_way() -> (oneshot::Sender<()>, Durable) {
    let (tells, told) = oneshot::channel();
    (tells, Durable::once(told))
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_sees_what_is_written_before_its_records_are_durable() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1)]).await;
    let batch = world.batch(&mut stream, vec![user(2)]);
    let last = batch.accepted[0].offset;
    let to = Position { next: batch.passed, applied: None };
    let (tells, durable) = on_their_way();
    let apply = world.store.apply(P, world.position, to, batch, durable);
    let look = async {
        let waits = world.store.wait_applied(P, last);
        tokio::pin!(waits);
        assert!(futures_util::poll!(&mut waits).is_pending());
        for _ in 0..20 {
            assert_eq!(world.store.user(stream.id, scim(2)).await.unwrap(), None);
            assert_eq!(world.store.feed_end().await.unwrap(), FeedPosition(1));
        }
        tells.send(()).unwrap();
        waits.await.unwrap();
        assert!(world.store.user(stream.id, scim(2)).await.unwrap().is_some());
    };
    let (applied, ()) = tokio::join!(apply, look);
    applied.unwrap();
    assert_eq!(world.store.feed_end().await.unwrap(), FeedPosition(2));
}

#[tokio::test]
async fn of_records_that_the_log_has_not_kept_nothing_is_written_whatever_is_wrong_with_them() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1)]).await;
    let mut lost = Stream { head: stream.head, ..stream };
    let from = world.position;
    for changes in [vec![user(2)], vec![user(3), user_with(50, "user1", "")]] {
        let batch = world.batch(&mut lost, changes);
        let to = Position { next: batch.passed, applied: None };
        let (tells, durable) = on_their_way();
        drop(tells);
        let applied = world.store.apply(P, from, to, batch, durable).await;
        assert!(matches!(applied, Err(StoreError::Withdrawn)), "{applied:?}");
        assert_eq!(world.store.position(P).await.unwrap(), from);
        assert_eq!(world.store.feed_end().await.unwrap(), FeedPosition(1));
        let gathered = world.store.gather(stream.id, Needs::default()).await;
        assert!(gathered.unwrap().is_some(), "nothing is wrong with the store");
    }
    world.add(&mut stream, vec![user(2)]).await;
    assert_eq!(counts(&world, &stream).await.active_users, 2);
}

#[tokio::test]
async fn what_was_passed_is_told_beyond_a_half_commit_that_holds_the_position_back() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1)]).await;
    let next = world.position.next;
    let passed = Batch { passed: Offset(7), ..Batch::default() };
    let (at, durable) = (world.position, Durable::already());
    world.store.apply(P, at, at, passed, durable).await.unwrap();
    assert_eq!(world.store.position(P).await.unwrap().next, next);
    assert_eq!(world.store.passed(P).await.unwrap(), Offset(7));
}

#[tokio::test]
async fn a_stream_that_stopped_is_remembered() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1)]).await;
    let stopped = Batch { passed: Offset(2), accepted: Vec::new(), stopped: vec![stream.id] };
    world.apply(stopped).await.unwrap();

    let head = StoredHead { directory_id: stream.id, head: stream.head, stopped: true };
    assert_eq!(world.store.heads(P).await.unwrap(), [head]);
    let gathered = world.store.gather(stream.id, Needs::default()).await.unwrap().unwrap();
    assert!(gathered.stopped);
    assert_eq!(gathered.head, stream.head);
}

/// The members of group 10 as apps list them.
pub(super) async fn listed(world: &World) -> Vec<UserId> {
    let filter = UserFilter { group: Some(GroupId::from_bits(10)), ..UserFilter::default() };
    found(world, filter).await
}

/// The users that apps find.
pub(super) async fn found(world: &World, filter: UserFilter) -> Vec<UserId> {
    let request =
        PageRequest { reach: Reach::Everything, limit: 100, order: Order::Ascending, cursor: None };
    let page = api::ports::Reading::users(&*world.store, request, filter).await.unwrap();
    page.items.into_iter().map(|found| found.user.id).collect()
}

#[tokio::test]
async fn a_group_has_the_version_of_its_last_member_change_whatever_stands_between() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let joined = vec![joins(10, 1), joins(11, 1), joins(10, 2), user(3), joins(11, 3)];
    let all = vec![user(1), user(2), group(10), group(11)];
    world.add(&mut stream, [all, joined].concat()).await;
    assert_eq!(versions(&world, &stream).await, [7, 9]);
    world.add(&mut stream, vec![leaves(11, 3), user_gone(1), joins(10, 3), group(10)]).await;
    assert_eq!(versions(&world, &stream).await, [13, 11]);
    assert_eq!(members(&world, &stream, 10).await, [2, 3]);
    assert_eq!(members(&world, &stream, 11).await, Vec::<u128>::new());
}

async fn versions(world: &World, stream: &Stream) -> [u64; 2] {
    let [ten, eleven] = [10, 11].map(|number| world.store.group(stream.id, scim(number)));
    [ten.await, eleven.await].map(|found| found.unwrap().unwrap().version.0)
}

#[tokio::test]
async fn users_that_come_and_go_in_one_step_are_what_was_said_last() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let renamed = user_with(1, "Another", "");
    let taken = user_with(3, "User1", "");
    let changes = vec![user(1), user(2), renamed, taken, user_gone(2), user_with(4, "User2", "")];
    world.add(&mut stream, changes).await;
    let mut names = Vec::new();
    for number in 1..=4 {
        let found = world.store.user(stream.id, scim(number)).await.unwrap();
        names.push(found.map(|found| (found.user.name_key, found.user.version.0)));
    }
    let named = |name: &str, version| Some((name.to_owned(), version));
    let expected = [named("another", 3), None, named("user1", 4), named("user2", 6)];
    assert_eq!(names, expected);
    let expected = Counts { active_users: 3, inactive_users: 0, groups: 0 };
    assert_eq!(counts(&world, &stream).await, expected);
}

#[tokio::test]
async fn a_user_that_returns_under_another_id_is_listed_by_it_in_its_groups() {
    let (mut world, mut stream) = World::with_one_directory().await;
    let members = vec![user(1), user(2), group(10), joins(10, 1), joins(10, 2)];
    world.add(&mut stream, members).await;
    world.add(&mut stream, vec![hidden(1)]).await;
    assert_eq!(listed(&world).await, [UserId::from_bits(2)]);
    let mut returned = user(1);
    let Change::User { user_id, .. } = &mut returned else { panic!("it is a user") };
    *user_id = UserId::from_bits(3);
    world.add(&mut stream, vec![returned]).await;
    assert_eq!(listed(&world).await, [2, 3].map(UserId::from_bits));
    world.add(&mut stream, vec![leaves(10, 2)]).await;
    assert_eq!(listed(&world).await, [UserId::from_bits(3)]);
}

#[tokio::test]
async fn who_is_hidden_is_counted_for_the_identity_provider_alone() {
    let (mut world, mut stream) = World::with_one_directory().await;
    world.add(&mut stream, vec![user(1), hidden(2), user(3), hidden(3), hidden(4), user(4)]).await;
    let expected = Counts { active_users: 2, inactive_users: 0, groups: 0 };
    assert_eq!(counts(&world, &stream).await, expected);
    let all = ListQuery::first(0);
    assert_eq!(world.store.list_users(stream.id, all).await.unwrap().total, 4);
    world.add(&mut stream, vec![user_gone(2), user_gone(3), user_gone(4)]).await;
    let expected = Counts { active_users: 1, inactive_users: 0, groups: 0 };
    assert_eq!(counts(&world, &stream).await, expected);
}
