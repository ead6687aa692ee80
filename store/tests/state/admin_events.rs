//! The audit trail of actions: it is added to, found by what it says, and never taken from.

use api::ports::{
    ACTIONS_LOOKED_AT_MAX, ActionActor, AdminEvent, AdminEventFilter, AdminEvents, Conclusion,
    Cursor, FoundActions, NewAdminEvent, Order, PageRequest, Reach,
};
use schemas::{Action, ActionOutcome, ActorKind, AdminEventId, OrganizationId, Timestamp};

use super::world::World;

const ACME: OrganizationId = OrganizationId::from_bits(1);
const RIVAL: OrganizationId = OrganizationId::from_bits(2);

/// The id that was made as the one with this number, in the millisecond of the same number.
fn id(number: u128) -> AdminEventId {
    AdminEventId::from_bits((number << 80) | number)
}

fn actor(id: &str) -> ActionActor {
    ActionActor {
        kind: ActorKind::ApiKey,
        id: Some(id.to_owned()),
        name: Some("billing".to_owned()),
        ip: Some("192.0.2.1".to_owned()),
        user_agent: None,
        request_id: Some("req_1".to_owned()),
    }
}

fn action(number: u128, of: Option<OrganizationId>, by: &str, action: Action) -> NewAdminEvent {
    NewAdminEvent {
        id: id(number),
        action,
        actor: actor(by),
        organization_id: of,
        targets: vec!["directory_1".to_owned()],
        fields: vec!["name".to_owned()],
        unrecorded: 0,
        outcome: None,
    }
}

fn page(reach: Reach, limit: u32) -> PageRequest<AdminEventId> {
    PageRequest { reach, limit, order: Order::Descending, cursor: None }
}

fn numbers(found: &FoundActions) -> Vec<u128> {
    found.page.items.iter().map(|action| action.id.bits() >> 80).collect()
}

async fn add(world: &World, action: NewAdminEvent) {
    AdminEvents::begin(&*world.store, action).await.unwrap();
}

async fn list(
    world: &World,
    page: PageRequest<AdminEventId>,
    filter: &AdminEventFilter,
) -> FoundActions {
    AdminEvents::list(&*world.store, page, filter.clone()).await.unwrap()
}

async fn first(world: &World) -> AdminEvent {
    let found = list(world, page(Reach::Everything, 1), &AdminEventFilter::default()).await;
    found.page.items.into_iter().next().unwrap()
}

fn ended(outcome: ActionOutcome) -> Conclusion {
    Conclusion { outcome, organization_id: None, made: None, fields: None }
}

#[tokio::test]
async fn an_action_is_there_before_it_is_done_and_is_told_what_came_of_it_once() {
    let world = World::new().await;
    let new = action(1, None, "api_key_1", Action::HostNameCreated);
    add(&world, new.clone()).await;
    let begun = first(&world).await;
    assert_eq!((begun.outcome, begun.organization_id), (None, None));
    assert_eq!((&begun.actor, begun.created_at()), (&new.actor, Timestamp::from_millis(1)));
    let done = Conclusion {
        organization_id: Some(ACME),
        made: Some("host_name_1".to_owned()),
        ..ended(ActionOutcome::Done)
    };
    world.store.conclude(id(1), done).await.unwrap();
    let kept = first(&world).await;
    assert_eq!((kept.outcome, kept.organization_id), (Some(ActionOutcome::Done), Some(ACME)));
    assert_eq!(kept.targets, ["directory_1", "host_name_1"]);
    assert_eq!((kept.fields.clone(), kept.unrecorded), (vec!["name".to_owned()], 0));
    // What was said first stays.
    world.store.conclude(id(1), ended(ActionOutcome::Refused)).await.unwrap();
    assert_eq!(first(&world).await, kept);
    let reopened = world.reopened().await;
    let all = AdminEventFilter::default();
    let found = AdminEvents::list(&reopened, page(Reach::Everything, 5), all).await.unwrap();
    assert_eq!(found.page.items, [kept]);
}

#[tokio::test]
async fn what_is_known_later_takes_the_place_of_what_was_thought_before() {
    let world = World::new().await;
    let new = action(1, Some(ACME), "admin", Action::WebhookEndpointUpdated);
    let refused = NewAdminEvent {
        outcome: Some(ActionOutcome::Refused),
        unrecorded: 7,
        ..action(2, None, "admin", Action::ConsoleSignInFailed)
    };
    add(&world, new).await;
    add(&world, refused).await;
    let fields = Some(vec!["events".to_owned(), "order".to_owned()]);
    world.store.conclude(id(1), Conclusion { fields, ..ended(ActionOutcome::Done) }).await.unwrap();
    world.store.conclude(id(2), ended(ActionOutcome::Done)).await.unwrap();
    let all = AdminEventFilter::default();
    let found = list(&world, page(Reach::Everything, 5), &all).await.page.items;
    assert_eq!((found[0].outcome, found[0].unrecorded), (Some(ActionOutcome::Refused), 7));
    assert_eq!(found[1].fields, ["events", "order"]);
    assert_eq!(found[1].organization_id, Some(ACME));
}

#[tokio::test]
async fn pages_lead_on_and_back_in_either_order() {
    let world = World::new().await;
    for number in 1..=5 {
        add(&world, action(number, None, "admin", Action::ApiKeyCreated)).await;
    }
    let all = AdminEventFilter::default();
    for (order, cursor, expected, before, after) in [
        (Order::Descending, None, vec![5, 4], false, true),
        (Order::Descending, Some(Cursor::After(id(4))), vec![3, 2], true, true),
        (Order::Descending, Some(Cursor::After(id(2))), vec![1], true, false),
        (Order::Descending, Some(Cursor::Before(id(2))), vec![4, 3], true, true),
        (Order::Descending, Some(Cursor::Before(id(4))), vec![5], false, true),
        (Order::Ascending, None, vec![1, 2], false, true),
        (Order::Ascending, Some(Cursor::After(id(4))), vec![5], true, false),
        (Order::Ascending, Some(Cursor::Before(id(3))), vec![1, 2], false, true),
    ] {
        let request = PageRequest { order, cursor, ..page(Reach::Everything, 2) };
        let found = list(&world, request, &all).await;
        assert_eq!(numbers(&found), expected, "{order:?} {cursor:?}");
        assert_eq!((found.page.has_before, found.page.has_after), (before, after), "{cursor:?}");
        assert_eq!(found.looked_to, None);
    }
}

#[tokio::test]
async fn actions_are_found_by_whom_what_where_and_when() {
    let world = World::new().await;
    for (number, of, by, what) in [
        (1, Some(ACME), "api_key_1", Action::DirectoryCreated),
        (2, Some(RIVAL), "api_key_1", Action::DirectoryCreated),
        (3, None, "ada@acme.example", Action::ApiKeyCreated),
        (4, Some(ACME), "ada@acme.example", Action::DirectoryDeleted),
        (5, Some(ACME), "api_key_1", Action::DirectoryDeleted),
    ] {
        add(&world, action(number, of, by, what)).await;
    }
    let any = AdminEventFilter::default();
    let by = |actor: &str| AdminEventFilter { actor: Some(actor.to_owned()), ..any.clone() };
    let what = |action| AdminEventFilter { action: Some(action), ..any.clone() };
    let at = |millis| Some(Timestamp::from_millis(millis));
    let everything = Reach::Everything;
    for (reach, filter, expected) in [
        (everything, any.clone(), vec![5, 4, 3, 2, 1]),
        (everything, by("api_key_1"), vec![5, 2, 1]),
        (everything, by("api_key"), vec![]),
        (everything, what(Action::DirectoryDeleted), vec![5, 4]),
        (everything, AdminEventFilter { organization: Some(ACME), ..any.clone() }, vec![5, 4, 1]),
        (everything, AdminEventFilter { organization: Some(ACME), ..by("api_key_1") }, vec![5, 1]),
        (
            everything,
            AdminEventFilter {
                organization: Some(ACME),
                action: Some(Action::DirectoryDeleted),
                ..by("ada@acme.example")
            },
            vec![4],
        ),
        (everything, AdminEventFilter { from: at(2), to: at(4), ..any.clone() }, vec![4, 3, 2]),
        (everything, AdminEventFilter { from: at(2), ..by("api_key_1") }, vec![5, 2]),
        (everything, AdminEventFilter { to: at(0), ..any.clone() }, vec![]),
        (Reach::Organization(ACME), any.clone(), vec![5, 4, 1]),
        (Reach::Organization(ACME), by("api_key_1"), vec![5, 1]),
        (Reach::Organization(RIVAL), what(Action::DirectoryDeleted), vec![]),
        (
            Reach::Organization(ACME),
            AdminEventFilter { organization: Some(RIVAL), ..any.clone() },
            vec![],
        ),
    ] {
        let found = list(&world, page(reach, 10), &filter).await;
        assert_eq!(numbers(&found), expected, "{reach:?} {filter:?}");
        assert!(!found.page.has_after && found.looked_to.is_none(), "{filter:?}");
    }
}

#[tokio::test]
async fn a_list_that_finds_nothing_near_goes_on_behind_what_it_has_looked_at() {
    let world = World::new().await;
    let many = u128::from(ACTIONS_LOOKED_AT_MAX) + 2;
    add(&world, action(1, None, "admin", Action::ApiKeyDeleted)).await;
    for number in 2..=many {
        add(&world, action(number, None, "admin", Action::ApiKeyCreated)).await;
    }
    let filter = AdminEventFilter {
        actor: Some("admin".to_owned()),
        action: Some(Action::ApiKeyDeleted),
        ..AdminEventFilter::default()
    };
    let first = page(Reach::Everything, 2);
    let found = list(&world, first, &filter).await;
    assert_eq!((numbers(&found), found.page.has_after), (vec![], true));
    assert_eq!(found.looked_to, Some(id(3)));
    let behind = PageRequest { cursor: found.looked_to.map(Cursor::After), ..first };
    let found = list(&world, behind, &filter).await;
    assert_eq!((numbers(&found), found.page.has_after, found.looked_to), (vec![1], false, None));
}
