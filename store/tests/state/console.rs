//! What the console keeps and looks for.

use api::ports::{
    Conflict, Digest, Directories, DirectoryChange, Endpoints, HoldState, OrganizationChange,
    Organizations, PortError, Reach, ScimServiceChange, Start,
};
use console::ports::{
    Counted, Lookups, PasswordHash, Proof, Role, SESSIONS_MAX, Session, Sessions,
};
use directory::resource::UnknownMember;
use dispatcher::Failure;
use dispatcher::ports::{Attempt, BrakeStore, FeedPosition, HeldEvent, Judgement, LaneId};
use schemas::{DirectoryId, EndpointId, EventId, Timestamp};

use super::deliveries::{attempt, endpoint_of, flush};
use super::world::{World, group, held, hidden, scim, user, user_with};

fn hash(text: &str) -> PasswordHash {
    PasswordHash::new(text.to_owned())
}

fn known(text: &str) -> Proof {
    Proof::Password(hash(text))
}

fn session(role: Role, millis: i64) -> Session {
    let at = Timestamp::from_millis(millis);
    Session { role, person: Some("ada@acme.example".into()), created_at: at, last_used_at: at }
}

fn digest(number: usize) -> Digest {
    let mut digest = [0; 32];
    digest[..8].copy_from_slice(&number.to_be_bytes());
    digest
}

#[tokio::test]
async fn sessions_end_when_the_password_of_their_role_changes() {
    let world = World::new().await;
    let store: &dyn Sessions = &*world.store;
    assert_eq!(store.password(Role::Admin).await.unwrap(), None);
    for role in Role::ALL {
        store.set_password(role, Some(hash(role.name()))).await.unwrap();
        let number = if role == Role::Admin { 1 } else { 2 };
        store.begin(digest(number), session(role, 1), known(role.name())).await.unwrap();
    }
    assert_eq!(store.find(digest(1)).await.unwrap(), Some(session(Role::Admin, 1)));
    store.set_password(Role::Admin, Some(hash("another"))).await.unwrap();
    assert_eq!(store.find(digest(1)).await.unwrap(), None);
    assert_eq!(store.find(digest(2)).await.unwrap(), Some(session(Role::Auditor, 1)));
    assert_eq!(store.password(Role::Admin).await.unwrap(), Some(hash("another")));
    store.set_password(Role::Auditor, None).await.unwrap();
    assert_eq!(store.find(digest(2)).await.unwrap(), None);
    assert_eq!(store.password(Role::Auditor).await.unwrap(), None);
}

#[tokio::test]
async fn a_password_that_changed_while_it_was_checked_begins_no_session() {
    let world = World::new().await;
    let store: &dyn Sessions = &*world.store;
    store.set_password(Role::Admin, Some(hash("new"))).await.unwrap();
    let begun = store.begin(digest(1), session(Role::Admin, 1), known("old")).await;
    assert!(matches!(begun, Err(PortError::NotFound)), "{begun:?}");
    assert_eq!(store.find(digest(1)).await.unwrap(), None);
}

#[tokio::test]
async fn whom_a_provider_vouches_for_needs_no_password_and_goes_with_the_others_of_the_role() {
    let world = World::new().await;
    let store: &dyn Sessions = &*world.store;
    store.begin(digest(1), session(Role::Admin, 1), Proof::Provider).await.unwrap();
    assert_eq!(store.find(digest(1)).await.unwrap(), Some(session(Role::Admin, 1)));
    store.set_password(Role::Admin, Some(hash("new"))).await.unwrap();
    assert_eq!(store.find(digest(1)).await.unwrap(), None);
}

#[tokio::test]
async fn sessions_are_touched_ended_and_limited_in_number() {
    let world = World::new().await;
    let store: &dyn Sessions = &*world.store;
    store.set_password(Role::Admin, Some(hash("x"))).await.unwrap();
    for number in 0..=SESSIONS_MAX {
        let millis = i64::try_from(number).unwrap();
        store.begin(digest(number), session(Role::Admin, millis), known("x")).await.unwrap();
    }
    assert_eq!(store.find(digest(0)).await.unwrap(), None, "the oldest has ended");
    assert!(store.find(digest(1)).await.unwrap().is_some());
    store.touch(digest(1), Timestamp::from_millis(9_000)).await.unwrap();
    let touched = store.find(digest(1)).await.unwrap().unwrap();
    assert_eq!(touched.last_used_at, Timestamp::from_millis(9_000));
    assert_eq!(touched.created_at, Timestamp::from_millis(1));
    store.end(digest(1)).await.unwrap();
    store.end(digest(1)).await.unwrap();
    assert_eq!(store.find(digest(1)).await.unwrap(), None);
}

#[tokio::test]
async fn a_change_that_was_made_from_an_older_version_is_refused_and_changes_nothing() {
    let (world, one) = World::with_one_directory().await;
    let (organizations, directories): (&dyn Organizations, &dyn Directories) =
        (&*world.store, &*world.store);
    let seen = organizations.get(Reach::Everything, one.organization).await.unwrap();
    let renamed = |name: &str, made_from| OrganizationChange {
        name: Some(name.to_owned()),
        // The clock stands still, and yet no two versions have the same time.
        updated_at: seen.updated_at,
        made_from,
        ..OrganizationChange::default()
    };
    let update = |change| organizations.update(Reach::Everything, one.organization, change);
    let first = update(renamed("First", Some(seen.updated_at))).await.unwrap();
    let second = update(renamed("Second", Some(seen.updated_at))).await;
    assert!(matches!(second, Err(PortError::Conflict(Conflict::Changed))), "{second:?}");
    let third = update(renamed("Third", Some(first.updated_at))).await.unwrap();
    assert_eq!(third.name, "Third");
    assert_eq!(update(renamed("Fourth", None)).await.unwrap().name, "Fourth");

    let seen = directories.get(Reach::Everything, one.id).await.unwrap();
    let renamed = |name: &str, made_from| DirectoryChange {
        name: Some(name.to_owned()),
        made_from,
        ..DirectoryChange::default()
    };
    let update = |change| directories.update(Reach::Everything, one.id, change, seen.updated_at);
    update(renamed("First", Some(seen.updated_at))).await.unwrap();
    let second = update(renamed("Second", Some(seen.updated_at))).await;
    assert!(matches!(second, Err(PortError::Conflict(Conflict::Changed))), "{second:?}");
    assert_eq!(directories.get(Reach::Everything, one.id).await.unwrap().name, "First");
}

#[tokio::test]
async fn of_the_settings_of_a_directory_what_is_not_mentioned_stays_as_it_is_by_then() {
    let (world, one) = World::with_one_directory().await;
    let directories: &dyn Directories = &*world.store;
    let at = Timestamp::from_millis(7);
    let set = async |change| {
        directories.change_scim_settings(Reach::Everything, one.id, change, at).await.unwrap()
    };
    let nothing = ScimServiceChange::default();
    let until = Some(Timestamp::from_millis(9));
    set(ScimServiceChange { debug_until: Some(until), ..nothing }).await;
    let (off, pending) = tokio::join!(
        set(ScimServiceChange { debug_until: Some(None), ..nothing }),
        set(ScimServiceChange { unknown_member: Some(UnknownMember::Pending), ..nothing }),
    );
    assert_eq!(off.debug_until, None);
    assert_eq!(pending.settings.unknown_member, UnknownMember::Pending);
    let service = directories.scim_settings(Reach::Everything, one.id).await.unwrap();
    let (is_off, waits) = (service.debug_until, service.settings.unknown_member);
    assert_eq!((is_off, waits), (None, UnknownMember::Pending), "neither undoes the other");
    assert_eq!(set(nothing).await, service);
}

#[tokio::test]
async fn users_and_groups_are_found_by_how_they_begin_within_their_directory() {
    let (mut world, mut one) = World::with_one_directory().await;
    let mut two = world.directory(one.organization, 2).await;
    for number in 1..=12 {
        world.add(&mut one, vec![user(number), group(100 + number)]).await;
    }
    let more = r#","externalId":"E-7","emails":[{"type":"work","value":"Zoë@Acme.example"}]"#;
    world.add(&mut one, vec![user_with(20, "other", more)]).await;
    world.add(&mut one, vec![hidden(21)]).await;
    world.add(&mut two, vec![user(31), group(131)]).await;
    let lookups: &dyn Lookups = &*world.store;
    let users = async |directory: DirectoryId, beginning: &str, limit| {
        let found = lookups.users(directory, beginning, limit).await.unwrap();
        found.into_iter().map(|user| user.username.unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(users(one.id, "USER1", 50).await, ["User1", "User10", "User11", "User12"]);
    assert_eq!(users(one.id, "user1", 2).await, ["User1", "User10"]);
    assert_eq!(users(one.id, "zoë@", 50).await, ["other"]);
    assert_eq!(users(one.id, "E-7", 50).await, ["other"]);
    assert_eq!(users(one.id, "e", 50).await, [""; 0], "ids are found as a whole");
    assert_eq!(users(one.id, "%", 50).await, [""; 0]);
    assert_eq!(users(one.id, "User21", 50).await, [""; 0], "apps are told that it is gone");
    assert_eq!(users(two.id, "user", 50).await, ["User31"]);
    assert_eq!(users(DirectoryId::from_bits(99), "user", 50).await, [""; 0]);
    let groups = lookups.groups(one.id, "group10", 50).await.unwrap();
    assert_eq!(groups.len(), 9);
    assert_eq!(groups[0].name, "Group101");
}

#[tokio::test]
async fn an_event_is_found_with_who_caused_it_and_one_that_is_not_there_is_not() {
    let (mut world, mut one) = World::with_one_directory().await;
    world.add(&mut one, vec![user(1)]).await;
    let lookups: &dyn Lookups = &*world.store;
    let end = api::ports::Reading::feed_end(&*world.store).await.unwrap().event.unwrap();
    assert_eq!(lookups.event(end).await.unwrap().directory_id, one.id);
    let missing = lookups.event(EventId::from_bits(u128::MAX)).await;
    assert!(matches!(missing, Err(PortError::NotFound)), "{missing:?}");
    assert_eq!(lookups.failing_endpoints(10).await.unwrap(), []);
}

#[tokio::test]
async fn the_latest_attempts_of_an_endpoint_are_counted_as_far_as_they_are_asked_for() {
    let (mut world, mut one) = World::with_one_directory().await;
    world.samples = Some(schemas::EventType::UserCreated);
    world.add(&mut one, (1..=5).map(user).collect()).await;
    for id in [1, 2] {
        Endpoints::create(&*world.store, endpoint_of(id), Start::Beginning).await.unwrap();
    }
    let lane = |id| LaneId { endpoint: EndpointId::from_bits(id), replay: None };
    let at = |position: u64, millis, failure| Attempt {
        at: Timestamp::from_millis(millis),
        ..attempt(position, failure)
    };
    let attempts = vec![at(1, 10, None), at(2, 20, Some(Failure::Status(503))), at(2, 30, None)];
    world.flush(vec![flush(lane(1), 2, attempts), flush(lane(2), 1, vec![at(1, 40, None)])]).await;
    let lookups: &dyn Lookups = &*world.store;
    let latest = async |since, limit| {
        let since = Timestamp::from_millis(since);
        lookups.latest_attempts(EndpointId::from_bits(1), since, limit).await.unwrap()
    };
    let times = |found: Vec<Counted>| found.iter().map(|one| one.at.millis()).collect::<Vec<_>>();
    let all = latest(0, 10).await;
    assert_eq!(all[1].failure.as_deref(), Some("status"));
    assert_eq!((&all[0].failure, all[0].duration.as_millis()), (&None, 3));
    assert!(all[0].id > all[1].id);
    assert_eq!(times(all), [30, 20, 10]);
    assert_eq!(times(latest(20, 10).await), [30, 20]);
    assert_eq!(times(latest(0, 2).await), [30, 20], "the latest");
    assert_eq!(times(latest(31, 10).await), [0; 0]);

    // What needs no counting is as the API has it.
    let id = EndpointId::from_bits(1);
    let whole = Endpoints::delivering(&*world.store, id, Timestamp::from_millis(50)).await.unwrap();
    assert_eq!((whole.attempts, whole.delivered, whole.lag_events), (3, 2, 3));
    assert!(whole.last_error.is_some());
    let standing = lookups.standing(id).await.unwrap();
    let uncounted = api::ports::Delivering { attempts: 0, delivered: 0, last_error: None, ..whole };
    assert_eq!(standing, uncounted);
    let missing = lookups.standing(EndpointId::from_bits(9)).await;
    assert!(matches!(missing, Err(PortError::NotFound)), "{missing:?}");
}

#[tokio::test]
async fn directories_of_which_something_is_held_are_found_among_others() {
    let (mut world, mut one) = World::with_one_directory().await;
    let mut two = world.directory(one.organization, 2).await;
    world.add(&mut one, vec![user(1), user(2)]).await;
    world.add(&mut two, vec![user(3)]).await;
    let lookups: &dyn Lookups = &*world.store;
    assert_eq!(lookups.held_directories(10).await.unwrap(), []);
    let kept = world.store.kept().await.unwrap();
    let event = |position| HeldEvent {
        directory: one.id,
        position: FeedPosition(position),
        hold: FeedPosition(1),
        subjects: vec![scim(u128::from(position))],
    };
    let judgement = Judgement {
        revision: kept.revision,
        judged: FeedPosition(3),
        watches: vec![(one.id, held())],
        held: vec![event(1), event(2)],
        ..Judgement::default()
    };
    world.store.judge(judgement).await.unwrap().unwrap();
    let found = lookups.held_directories(10).await.unwrap();
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].id, one.id);
    assert_eq!(found[0].hold.unwrap().state, HoldState::Held);
    assert_eq!(lookups.held_directories(0).await.unwrap(), []);
}

#[tokio::test]
async fn what_was_sent_of_an_event_is_found_at_whichever_endpoint_it_was_sent_to() {
    let (mut world, mut one) = World::with_one_directory().await;
    world.add(&mut one, (1..=3).map(user).collect()).await;
    // More than a list of endpoints shows at once.
    for id in 1..=120 {
        Endpoints::create(&*world.store, endpoint_of(id), Start::Beginning).await.unwrap();
    }
    let lane = |id| LaneId { endpoint: EndpointId::from_bits(id), replay: None };
    let first = vec![attempt(1, Some(Failure::Status(503))), attempt(2, None), attempt(1, None)];
    let flushes = vec![flush(lane(1), 2, first), flush(lane(120), 1, vec![attempt(1, None)])];
    world.flush(flushes).await;
    let lookups: &dyn Lookups = &*world.store;
    let event = attempt(1, None).event_id;
    let found = lookups.attempts_of(event, 10).await.unwrap();
    assert_eq!(found.len(), 3);
    assert!(found.iter().all(|one| one.attempt.event_id == event));
    let endpoints: Vec<EndpointId> = found.iter().map(|one| one.endpoint).collect();
    assert!(endpoints.contains(&EndpointId::from_bits(1)));
    assert!(endpoints.contains(&EndpointId::from_bits(120)));
    assert!(found.iter().all(|one| one.url == endpoint_of(one.endpoint.bits()).url));
    assert_eq!(lookups.attempts_of(event, 1).await.unwrap(), found[..1], "the latest");
    assert_eq!(lookups.attempts_of(EventId::from_bits(u128::MAX), 10).await.unwrap(), []);
}

#[tokio::test]
async fn endpoints_of_one_organization_are_found_among_many_others() {
    let (world, one) = World::with_one_directory().await;
    let own =
        |id| api::ports::Endpoint { organizations: vec![one.organization], ..endpoint_of(id) };
    let all = [own(1), own(2)].into_iter().chain((3..=150).map(endpoint_of));
    for endpoint in all {
        Endpoints::create(&*world.store, endpoint, Start::Beginning).await.unwrap();
    }
    let lookups: &dyn Lookups = &*world.store;
    let found = lookups.endpoints_of(one.organization, 10).await.unwrap();
    let ids: Vec<u128> = found.iter().map(|endpoint| endpoint.id.bits()).collect();
    assert_eq!(ids, [2, 1]);
    assert_eq!(lookups.endpoints_of(one.organization, 1).await.unwrap().len(), 1);
    let other = schemas::OrganizationId::from_bits(99);
    assert_eq!(lookups.endpoints_of(other, 10).await.unwrap().len(), 0);
}

#[tokio::test]
async fn the_endpoint_that_is_furthest_behind_says_how_far_apps_are() {
    let (mut world, mut one) = World::with_one_directory().await;
    world.samples = Some(schemas::EventType::UserCreated);
    world.add(&mut one, (1..=5).map(user).collect()).await;
    let lookups: &dyn Lookups = &*world.store;
    assert_eq!(lookups.furthest_behind().await.unwrap(), 0, "there is none");
    for id in [1, 2] {
        Endpoints::create(&*world.store, endpoint_of(id), Start::Beginning).await.unwrap();
    }
    let lane = |id| LaneId { endpoint: EndpointId::from_bits(id), replay: None };
    world.flush(vec![flush(lane(1), 3, Vec::new()), flush(lane(2), 1, Vec::new())]).await;
    let behind = |id| async move {
        let id = EndpointId::from_bits(id);
        lookups.standing(id).await.unwrap().lag_events
    };
    assert!(behind(2).await > behind(1).await);
    assert_eq!(lookups.furthest_behind().await.unwrap(), behind(2).await);

    // A failure or two are no news; five in a row are.
    let refused = |count| {
        let attempts = (0..count).map(|_| attempt(2, Some(Failure::Status(503)))).collect();
        let failing_since = Some(Timestamp::from_millis(1_000));
        dispatcher::ports::Flush { failing_since, ..flush(lane(2), 1, attempts) }
    };
    world.flush(vec![refused(4)]).await;
    assert_eq!(lookups.failing_endpoints(10).await.unwrap(), []);
    world.flush(vec![refused(1)]).await;
    let failing = lookups.failing_endpoints(10).await.unwrap();
    assert_eq!(failing.iter().map(|one| one.failed_in_a_row).collect::<Vec<_>>(), [5]);

    // One that somebody has turned off is told of, and holds nobody up.
    let off = api::ports::EndpointChange {
        enabled: Some(false),
        updated_at: Timestamp::from_millis(99),
        ..Default::default()
    };
    Endpoints::update(&*world.store, EndpointId::from_bits(2), off).await.unwrap();
    assert_eq!(lookups.furthest_behind().await.unwrap(), behind(1).await);
    let failing = lookups.failing_endpoints(10).await.unwrap();
    let told: Vec<_> = failing.iter().map(|one| (one.id.bits(), one.enabled)).collect();
    assert_eq!(told, [(2, false)]);
}
