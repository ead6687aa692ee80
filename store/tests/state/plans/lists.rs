//! Lists, whatever they are filtered by and wherever their pages begin.

use api::ports::{
    AdminEventFilter, AdminEvents, AttemptFilter, AttemptStatus, Audit, AuditFilter, Cursor,
    Deliveries, Directories, DirectoryFilter, Endpoints, EventFilter, GroupFilter, Order,
    OrganizationFilter, Organizations, PageRequest, Reach, Reading, Resource, UserFilter,
};
use console::ports::{Arrivals, Looks};
use dispatcher::ports::{DeliveryStore, FeedPosition, Line};
use ingest::ports::{ListQuery, Refreshes, Replica, Start};
use schemas::{
    Action, AdminEventId, AttemptId, EndpointId, EventType, GroupId, OrganizationId, RequestId,
    UserId,
};

use super::super::deliveries::endpoint_of;
use super::super::world::{Stream, event_id, scim, time_of};
use super::{FILL_CONFIGURATION, MANY, Plans, RATED_MAX, filled, seen};

fn page<I>(order: Order, cursor: Option<Cursor<I>>) -> PageRequest<I> {
    PageRequest { reach: Reach::Everything, limit: 10, order, cursor }
}

async fn scim_lists(plans: &mut Plans, stream: &Stream) {
    let store = plans.world.store.clone();
    let filtered = |filter: &str| {
        let filter = Some(filter.parse().unwrap());
        ListQuery { filter, base: "https://scim.test".into(), ..ListQuery::first(100) }
    };
    let id = scim(5_000);
    for filter in [
        r#"userName eq "user5000""#.to_owned(),
        r#"externalId eq "ext-5000""#.to_owned(),
        r#"emails eq "user5000@x.test""#.to_owned(),
        r#"emails[type eq "work"].value eq "user5000@x.test""#.to_owned(),
        format!(r#"id eq "{id}""#),
        format!(r#"meta.location eq "https://scim.test/Users/{id}""#),
        format!(r#"groups.value eq "{}""#, scim(10)),
        "active eq false".to_owned(),
        "active eq true".to_owned(),
        format!(r#"meta.lastModified gt "{}""#, schemas::Timestamp::from_millis(MANY)),
        r#"active eq true and userName eq "user5000""#.to_owned(),
    ] {
        let listed = store.list_users(stream.id, filtered(&filter)).await.unwrap();
        assert!(listed.total > 0, "{filter}");
        plans.are_frugal(&filter).await;
    }
    for filter in [r#"displayName eq "Group10""#.to_owned(), format!(r#"members eq "{}""#, scim(1))]
    {
        assert!(store.list_groups(stream.id, filtered(&filter)).await.unwrap().total > 0);
        plans.are_frugal(&filter).await;
    }
    store.list_users(stream.id, ListQuery::first(100)).await.unwrap();
    plans.are_frugal("the first users").await;
    let start = Start::Skip(100);
    store.list_users(stream.id, ListQuery { start, ..ListQuery::first(100) }).await.unwrap();
    plans.are_frugal("the users behind them").await;
    store.members(stream.id, scim(11), None, 100).await.unwrap();
    plans.are_frugal("members of a large group").await;
    Refreshes::users(&*store, stream.id, None, 100).await.unwrap();
    plans.are_frugal("users to refresh").await;
}

async fn api_lists(plans: &mut Plans, stream: &Stream) {
    let store = plans.world.store.clone();
    let directory = Some(stream.id);
    let middle = UserId::from_bits(20_000);
    let everyone = UserFilter::default();
    for filter in [
        everyone.clone(),
        UserFilter { directory, ..everyone.clone() },
        UserFilter { group: Some(GroupId::from_bits(10)), ..everyone.clone() },
        UserFilter { group: Some(GroupId::from_bits(11)), ..everyone.clone() },
        UserFilter { group: Some(GroupId::from_bits(11)), directory, ..everyone.clone() },
        UserFilter { idp_id: Some("ext-5000".into()), ..everyone.clone() },
        UserFilter { idp_id: Some("ext-5000".into()), directory, ..everyone.clone() },
        UserFilter { email: Some("user5000@x.test".into()), ..everyone.clone() },
        UserFilter { email: Some("user5000@x.test".into()), directory, ..everyone.clone() },
        UserFilter {
            email: Some("user5000@x.test".into()),
            group: Some(GroupId::from_bits(11)),
            ..everyone
        },
    ] {
        for order in [Order::Ascending, Order::Descending] {
            for cursor in [None, Some(Cursor::After(middle)), Some(Cursor::Before(middle))] {
                let what = format!("{filter:?} {order:?} {cursor:?}");
                Reading::users(&*store, page(order, cursor), filter.clone()).await.unwrap();
                plans.are_frugal(&what).await;
            }
        }
    }
    for order in [Order::Ascending, Order::Descending] {
        let of = UserFilter { directory, ..UserFilter::default() };
        Reading::users(&*store, page(order, Some(Cursor::After(middle))), of).await.unwrap();
        // Of those whom apps see, so that no run of others is walked through.
        plans.are_led_by("users_seen", "users of a directory").await;
    }
    let of = GroupFilter { user: Some(UserId::from_bits(1)), ..GroupFilter::default() };
    for filter in [GroupFilter::default(), of] {
        Reading::groups(&*store, page(Order::Descending, None), filter).await.unwrap();
        plans.are_frugal("groups").await;
    }
}

async fn arrivals(plans: &mut Plans, stream: &Stream) {
    let store = plans.world.store.clone();
    let looks = Looks { users: 100, groups: 100, memberships: 1_000 };
    let arrived = store.arrived(stream.id, looks).await.unwrap();
    assert_eq!((arrived.groups, arrived.memberships), (2, 1_000));
    plans.are_frugal("what has arrived").await;
}

async fn events(plans: &mut Plans, stream: &Stream) {
    let store = plans.world.store.clone();
    let all = EventFilter::default();
    let of = EventFilter { organization: Some(stream.organization), ..all.clone() };
    let some = EventFilter { types: vec![EventType::UserUpdated], ..all.clone() };
    let (from, to) = (Some(time_of(20_000)), Some(time_of(20_100)));
    let within = EventFilter { from, to, ..all.clone() };
    let within_of = EventFilter { from, to, ..of.clone() };
    let rare = EventFilter { types: vec![EventType::TokenCreated], ..all.clone() };
    let rare_of = EventFilter { types: vec![EventType::TokenCreated], ..of.clone() };
    let none = EventFilter { types: vec![EventType::Deleted], ..all.clone() };
    let none_of = EventFilter { types: vec![EventType::Deleted], ..of.clone() };
    for filter in [all, of, some, within, within_of, rare, rare_of, none, none_of] {
        for order in [Order::Ascending, Order::Descending] {
            for cursor in [None, Some(Cursor::After(event_id(20_000)))] {
                let what = format!("{filter:?} {order:?} {cursor:?}");
                Reading::events(&*store, page(order, cursor), filter.clone()).await.unwrap();
                plans.are_frugal(&what).await;
            }
        }
    }
    Reading::event(&*store, Reach::Everything, event_id(3)).await.unwrap();
    plans.are_frugal("an event").await;
    history(plans, stream).await;
    for position in [0, 20_000, MANY.unsigned_abs() - 10] {
        store.feed(FeedPosition(position), 100).await.unwrap();
        plans.are_frugal("the feed").await;
        for line in [
            Line::User(scim(5_000)),
            Line::Group(scim(10)),
            Line::Event(event_id(20_000)),
            Line::Directory(stream.id),
            Line::Stream(stream.id),
        ] {
            let (from, to) = (FeedPosition(position), FeedPosition(MANY.unsigned_abs()));
            store.line(line, from, to, 100).await.unwrap();
            plans.are_frugal(&format!("{line:?} from {position}")).await;
        }
    }
}

async fn history(plans: &mut Plans, stream: &Stream) {
    let store = plans.world.store.clone();
    let (directory, organization) = (Some(stream.id), Some(stream.organization));
    let any = AuditFilter::default();
    let (from, to) = (Some(time_of(20_000)), Some(time_of(20_100)));
    let nobody = Some("nobody".to_owned());
    let typed = |types: &[EventType]| AuditFilter { types: types.to_vec(), ..any.clone() };
    let frequent = typed(&[EventType::UserUpdated]);
    let rare = typed(&[EventType::TokenCreated]);
    let several = typed(&[EventType::UserUpdated, EventType::TokenCreated, EventType::Deleted]);
    for filter in [
        any.clone(),
        frequent.clone(),
        AuditFilter { directory, ..frequent.clone() },
        AuditFilter { organization, from, to, ..frequent },
        rare.clone(),
        AuditFilter { directory, ..rare.clone() },
        AuditFilter { organization, ..rare.clone() },
        AuditFilter { text: nobody.clone(), ..rare },
        several.clone(),
        AuditFilter { organization, text: nobody.clone(), ..several.clone() },
        AuditFilter { directory, actor: nobody.clone(), ..several },
        typed(&[EventType::Deleted]),
        AuditFilter { user: Some(UserId::from_bits(5_000)), ..any.clone() },
        AuditFilter { user: Some(UserId::from_bits(5_000)), directory, ..any.clone() },
        AuditFilter { directory, ..any.clone() },
        AuditFilter { organization, ..any.clone() },
        AuditFilter { directory, actor: nobody.clone(), ..any.clone() },
        AuditFilter { organization, actor: nobody.clone(), ..any.clone() },
        AuditFilter { organization, text: nobody.clone(), ..any.clone() },
        AuditFilter { text: nobody, ..any.clone() },
        AuditFilter { from, to, ..any.clone() },
        AuditFilter { from, to, organization, ..any.clone() },
        AuditFilter { request: Some(RequestId::from_bits(1 << 80)), ..any },
    ] {
        for order in [Order::Ascending, Order::Descending] {
            for cursor in [None, Some(Cursor::After(event_id(20_000)))] {
                let what = format!("{filter:?} {order:?} {cursor:?}");
                store.audit(page(order, cursor), filter.clone()).await.unwrap();
                plans.are_frugal(&what).await;
            }
        }
    }
}

#[tokio::test]
async fn no_list_walks_through_a_directory_or_the_feed() {
    let Some((mut plans, stream)) = filled().await else {
        tests::not_checked(&"there is no PostgreSQL of our own here");
        return;
    };
    for statistics in ["SELECT 1", "ANALYZE"] {
        plans.client.batch_execute(statistics).await.unwrap();
        plans.read().await;
        scim_lists(&mut plans, &stream).await;
        api_lists(&mut plans, &stream).await;
        arrivals(&mut plans, &stream).await;
        events(&mut plans, &stream).await;
    }
}

#[tokio::test]
async fn no_list_walks_through_the_deliveries_or_the_customers() {
    let Some((mut plans, stream)) = filled().await else {
        tests::not_checked(&"there is no PostgreSQL of our own here");
        return;
    };
    let store = plans.world.store.clone();
    Endpoints::create(&*store, endpoint_of(1), api::ports::Start::Now).await.unwrap();
    plans.run(FILL_CONFIGURATION).await;
    for statistics in ["SELECT 1", "ANALYZE"] {
        plans.client.batch_execute(statistics).await.unwrap();
        plans.read().await;
        deliveries(&mut plans).await;
        actions(&mut plans).await;
        customers(&mut plans, &stream).await;
    }
}

async fn deliveries(plans: &mut Plans) {
    let store = plans.world.store.clone();
    let id = EndpointId::from_bits(1);
    let any = AttemptFilter::default();
    let middle = AttemptId::from_bits((30_000 << 80) | 20_000);
    for filter in [
        any.clone(),
        AttemptFilter { event: Some(event_id(20_000)), ..any.clone() },
        AttemptFilter { event: Some(event_id(1 << 40)), ..any.clone() },
        AttemptFilter { since: Some(time_of(MANY.unsigned_abs().into())), ..any.clone() },
        AttemptFilter { until: Some(time_of(1)), ..any.clone() },
        AttemptFilter { status: Some(AttemptStatus::Failed), ..any.clone() },
        AttemptFilter { kind: Some(EventType::UserUpdated), ..any.clone() },
        AttemptFilter { kind: Some(EventType::TokenCreated), ..any.clone() },
        AttemptFilter { kind: Some(EventType::Deleted), ..any.clone() },
        AttemptFilter { resource: Some(Resource::User(UserId::from_bits(1))), ..any.clone() },
        AttemptFilter { resource: Some(Resource::Group(GroupId::from_bits(10))), ..any },
    ] {
        for order in [Order::Ascending, Order::Descending] {
            for cursor in [None, Some(Cursor::After(middle))] {
                let what = format!("{filter:?} {order:?} {cursor:?}");
                Deliveries::attempts(&*store, id, page(order, cursor), filter.clone())
                    .await
                    .unwrap();
                plans.are_frugal(&what).await;
            }
        }
    }
    Endpoints::delivering(&*store, id, time_of(MANY.unsigned_abs().into())).await.unwrap();
    let asked = plans.read().await;
    let of_attempts: Vec<_> = asked.iter().filter(|plan| plan.contains("FROM attempts")).collect();
    assert!(!of_attempts.is_empty());
    for plan in of_attempts {
        assert!(!plan.contains("Seq Scan on attempts"), "{plan}");
        assert!(plan.lines().all(|line| seen(line) <= RATED_MAX), "{plan}");
    }
}

async fn actions(plans: &mut Plans) {
    let store = plans.world.store.clone();
    let any = AdminEventFilter::default();
    let by = AdminEventFilter { actor: Some("admin".into()), ..any.clone() };
    let rare = Some(Action::ApiKeyDeleted);
    let organization = Some(OrganizationId::from_bits(3));
    let middle = AdminEventId::from_bits(20_000 << 80);
    let times = (Some(time_of(10_000)), Some(time_of(10_500)));
    for filter in [
        any.clone(),
        by.clone(),
        AdminEventFilter { action: rare, ..any.clone() },
        AdminEventFilter { action: rare, ..by.clone() },
        AdminEventFilter { organization, ..any.clone() },
        AdminEventFilter { organization, action: rare, ..by },
        AdminEventFilter { from: times.0, to: times.1, ..any },
    ] {
        for order in [Order::Ascending, Order::Descending] {
            for cursor in [None, Some(Cursor::After(middle)), Some(Cursor::Before(middle))] {
                let what = format!("{filter:?} {order:?} {cursor:?}");
                AdminEvents::list(&*store, page(order, cursor), filter.clone()).await.unwrap();
                plans.are_frugal(&what).await;
            }
        }
    }
}

async fn customers(plans: &mut Plans, stream: &Stream) {
    let store = plans.world.store.clone();
    let any = OrganizationFilter::default();
    for filter in [
        any.clone(),
        OrganizationFilter { search: Some("customer 20000".into()), ..any.clone() },
        OrganizationFilter { domains: vec!["nowhere.test".into()], ..any },
    ] {
        for order in [Order::Ascending, Order::Descending] {
            Organizations::list(&*store, page(order, None), filter.clone()).await.unwrap();
            plans.are_frugal(&format!("{filter:?} {order:?}")).await;
        }
    }
    let any = DirectoryFilter::default();
    let organization = Some(stream.organization);
    for filter in [
        DirectoryFilter { organization, ..any.clone() },
        DirectoryFilter { search: Some("directory".into()), ..any.clone() },
        any,
    ] {
        Directories::list(&*store, page(Order::Descending, None), filter.clone()).await.unwrap();
        plans.are_frugal(&format!("{filter:?}")).await;
    }
}
