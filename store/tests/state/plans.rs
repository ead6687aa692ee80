//! How PostgreSQL finds what is asked for: by an index, and without reading much more than it returns.
//!
//! The server writes the plan of every statement to its log, with how many rows each of its steps has seen. So what
//! is checked here is what the store really asks, with the parameters of the question.

use api::ports::{
    AdminEventFilter, AdminEvents, AttemptFilter, AttemptStatus, Audit, AuditFilter, Cursor,
    Deliveries, Directories, DirectoryFilter, Endpoints, EventFilter, GroupFilter, NewToken, Order,
    OrganizationFilter, Organizations, PageRequest, Reach, Reading, Resource, UserFilter,
};
use console::ports::{Arrivals, Looks};
use directory::Needs;
use dispatcher::ports::{DeliveryStore, FeedPosition, Line};
use ingest::ports::{Admission, ListQuery, Refreshes, Replica, Start};
use schemas::{
    Action, AdminEventId, AttemptId, Change, Edge as _, EndpointId, EventType, GroupId,
    OrganizationId, RequestId, TokenId, UserId,
};
use tests::Postgres;
use tests::server::eventually;
use tokio_postgres::Client;

use super::deliveries::endpoint_of;
use super::world::{Still, Stream, World, event_id, group, joins, scim, time_of, user};
use crate::server::Server;

/// How many users and how many events the directory has.
const MANY: i64 = 40_000;

/// How many rows any step may see: a chunk of a list, twice over, and one more.
const STEP_MAX: u64 = 4_001;

/// And of attempts, for how an endpoint does.
const RATED_MAX: u64 = 10_000;

const SETTINGS: &str = "
    ALTER DATABASE postgres SET session_preload_libraries = 'auto_explain';
    ALTER DATABASE postgres SET auto_explain.log_min_duration = 0;
    ALTER DATABASE postgres SET auto_explain.log_analyze = on;
    ALTER DATABASE postgres SET auto_explain.log_timing = off;
    ALTER DATABASE postgres SET log_min_messages = log;";

/// A large directory beside the small one of the same organization.
const FILL: &str = "
    INSERT INTO users (directory, scim_id, user_id, name_key, external_id, email, active, hidden,
        created_at, updated_at, version, attributes)
    SELECT 1, decode(lpad(to_hex(n), 32, '0'), 'hex'), decode(lpad(to_hex(n), 32, '0'), 'hex'), 'user' || n,
        'ext-' || n, 'user' || n || '@x.test', n % 1000 <> 1, n % 999 = 0, n, n, n,
        json_build_object('userName', 'User' || n, 'externalId', 'ext-' || n, 'active', n % 1000 <> 1,
            'emails', json_build_array(json_build_object('value', 'user' || n || '@x.test', 'type', 'work')))
    FROM generate_series(1000, 1000 + $1::bigint) AS n;
    INSERT INTO memberships SELECT (SELECT min(key) FROM groups), key FROM users WHERE key % 2000 = 0
        ON CONFLICT DO NOTHING;
    INSERT INTO memberships SELECT (SELECT max(key) FROM groups), key FROM users;
    INSERT INTO feed SELECT month, n, decode(lpad(to_hex(n * 10), 32, '0'), 'hex'), 1, 'dsync.user.updated', n,
        decode(lpad(to_hex(n), 64, '0'), 'hex'), decode(lpad(to_hex(n), 64, '0'), 'hex'), 10000 + n,
        decode(lpad(to_hex(1000 + n), 32, '0'), 'hex'), NULL, '{}', '{}'
    FROM feed_months, generate_series((SELECT position + 1 FROM feed_end), $1::bigint) AS n;
    UPDATE feed_end SET position = $1::bigint;
    INSERT INTO feed_times SELECT block, earliest, max(latest) OVER (ORDER BY block)
    FROM (SELECT (position - 1) / 1024 AS block, min(created_at) AS earliest, max(created_at) AS latest
          FROM feed GROUP BY 1) AS blocks
    WHERE (block + 1) * 1024 <= (SELECT position FROM feed_end);
    UPDATE directories SET active_users = $1::bigint, seq = $1::bigint WHERE key = 1;";

/// Attempts to send all of it, of which the early ones failed, and more customers.
const FILL_CONFIGURATION: &str = "
    INSERT INTO attempts (endpoint, event_id, position, attempt, at, duration_ms, status, failure, exhausted)
    SELECT (SELECT id FROM endpoints LIMIT 1), decode(lpad(to_hex(n * 10), 32, '0'), 'hex'), n, 1, 10000 + n, 5,
        CASE WHEN n < 100 THEN 500 ELSE 200 END, CASE WHEN n < 100 THEN 'status' END, false
    FROM generate_series(1, $1::bigint) AS n;
    INSERT INTO organizations (id, name, metadata, domains, created_at, updated_at)
    SELECT decode(lpad(to_hex(1000 + n), 32, '0'), 'hex'), 'Customer ' || n, '{}', '[]', n, n
    FROM generate_series(1, $1::bigint) AS n;
    INSERT INTO refreshes (directory, version, finished) SELECT id, 1, true FROM configured_directories;
    INSERT INTO admin_events (id, action, actor_kind, actor, organization, targets, fields, unrecorded, outcome)
    SELECT decode(lpad(to_hex(n), 12, '0') || repeat('0', 20), 'hex'),
        CASE n WHEN 1 THEN 'api_key.deleted' ELSE 'api_key.created' END, 'console',
        CASE n % 2 WHEN 0 THEN 'admin' ELSE 'ada@acme.example' END,
        CASE n % 3 WHEN 0 THEN decode(lpad(to_hex(n % 100), 32, '0'), 'hex') END, '[]', '[]', 0, 'done'
    FROM generate_series(1, $1::bigint) AS n;";

struct Plans {
    world: World,
    client: Client,
    read: usize,
}

impl Plans {
    async fn fill(&mut self) {
        self.run(FILL).await;
    }

    async fn run(&mut self, script: &str) {
        for sql in script.split(';').filter(|sql| !sql.trim().is_empty()) {
            if sql.contains("$1") {
                self.client.execute(sql, &[&MANY]).await.unwrap();
            } else {
                self.client.execute(sql, &[]).await.unwrap();
            }
        }
        self.read().await;
    }

    async fn read(&mut self) -> Vec<String> {
        // What the server has sent, it has written before.
        self.client.simple_query("SELECT 1").await.unwrap();
        let log = self.world.place.log().unwrap();
        let new = log[self.read..].to_owned();
        self.read = log.len();
        new.split("duration: ").filter(|part| part.contains("plan:")).map(str::to_owned).collect()
    }

    /// What was asked since the last time has read little.
    async fn are_frugal(&mut self, what: &str) {
        let plans = self.read().await;
        assert!(!plans.is_empty(), "{what}: nothing was asked");
        for plan in plans {
            for line in plan.lines() {
                let walks = [
                    "users",
                    "groups",
                    "memberships",
                    "emails",
                    "feed_1970_01",
                    "attempts",
                    "organizations",
                    "admin_events",
                ];
                let is_walk = |table: &&str| line.contains(&format!("Seq Scan on {table}"));
                assert!(!walks.iter().any(is_walk), "{what}:\n{plan}");
                assert!(seen(line) <= STEP_MAX, "{what}: {line}\n{plan}");
            }
        }
    }

    /// What was asked since the last time was led by this index.
    async fn are_led_by(&mut self, index: &str, what: &str) {
        let plans = self.read().await;
        let is_led = |plan: &String| plan.contains(&format!("using {index} on "));
        assert!(plans.iter().any(is_led), "{what}:\n{}", plans.join("\n"));
    }
}

/// How many rows the step in this line of a plan has seen.
fn seen(line: &str) -> u64 {
    let number = |before: &str| {
        let (_, behind) = line.rsplit_once(before)?;
        let end = behind.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(behind.len());
        behind[..end].parse::<u64>().ok()
    };
    if line.contains("Rows Removed by") {
        return number(": ").unwrap_or(0);
    }
    let loops = number("loops=").unwrap_or(1);
    let rows = if line.contains("(actual rows=") { number("(actual rows=") } else { None };
    rows.unwrap_or(0) * loops
}

async fn filled() -> Option<(Plans, Stream)> {
    let (mut plans, stream) = small().await?;
    plans.fill().await;
    Some((plans, stream))
}

async fn small() -> Option<(Plans, Stream)> {
    let postgres = Postgres::start().await.ok()?;
    postgres.log()?;
    let client = postgres.connect().await;
    client.batch_execute(SETTINGS).await.unwrap();
    drop(client);
    let mut world = World::at(Server::on(Ok(postgres)).await).await;
    let organization = world.organization(1).await;
    let mut stream = world.directory(organization, 1).await;
    let mut other = world.directory(organization, 2).await;
    let changes = vec![Change::DirectoryActivated, user(1), group(10), group(11), joins(10, 1)];
    world.add(&mut stream, changes).await;
    world.add(&mut other, vec![user(900)]).await;
    let client = world.place.client().await.unwrap();
    Some((Plans { world, client, read: 0 }, stream))
}

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

#[tokio::test]
async fn a_replica_reads_again_what_another_has_changed_and_no_more() {
    let Some((mut plans, stream)) = small().await else {
        tests::not_checked(&"there is no PostgreSQL of our own here");
        return;
    };
    let store = plans.world.store.clone();
    let edge = std::sync::Arc::<Still>::default();
    for _ in 0..100 {
        edge.id();
        edge.secret();
    }
    let other = plans.world.open(edge).await;
    plans.read().await;
    let (id, digest) = (TokenId::from_bits(1_000), [100; 32]);
    let created_at = schemas::Timestamp::from_millis(1);
    let token = NewToken { id, digest, suffix: "c3d4".into(), created_at };
    let directory = Directories::get(&*store, Reach::Everything, stream.id).await.unwrap();
    let is_let_in = async |wanted: bool| {
        let admission = other.access(&directory.endpoint_id, digest, None).await.unwrap();
        (matches!(admission, Admission::Granted(_)) == wanted).then_some(())
    };
    // It may have been looking just as it was opened.
    store.add_token(Reach::Everything, stream.id, token, None).await.unwrap();
    eventually("the token at the other", async || is_let_in(true).await).await;
    plans.read().await;
    store.revoke_token(Reach::Everything, stream.id, id, created_at).await.unwrap();
    eventually("that it is void", async || is_let_in(false).await).await;
    let asked = plans.read().await;
    let reads = |plan: &&String| plan.contains("FROM configured_directories");
    let reads: Vec<&String> = asked.iter().filter(reads).collect();
    assert!(reads.len() > 1, "both replicas have read what has changed");
    for plan in reads {
        assert!(plan.contains("WHERE id = $1"), "all of them were read:\n{plan}");
    }
}

#[tokio::test]
async fn a_page_of_events_of_many_directories_takes_a_few_questions() {
    let Some((mut plans, stream)) = small().await else {
        tests::not_checked(&"there is no PostgreSQL of our own here");
        return;
    };
    for number in 3..33 {
        let mut one = plans.world.directory(stream.organization, number).await;
        plans.world.add(&mut one, vec![user(1_000 + u128::from(number))]).await;
    }
    let store = plans.world.store.clone();
    let of = EventFilter { organization: Some(stream.organization), ..EventFilter::default() };
    for cursor in [None, Some(Cursor::After(event_id(20)))] {
        plans.read().await;
        let found = Reading::events(&*store, page(Order::Descending, cursor), of.clone()).await;
        assert_eq!(found.unwrap().items.len(), 10);
        let asked = plans.read().await;
        assert!(asked.len() < 12, "{} questions for {cursor:?}", asked.len());
    }
}

/// The first customers are there within a minute, and nobody has counted rows by then.
#[tokio::test]
async fn names_are_found_at_once_where_their_plans_were_made_when_the_directory_was_small() {
    let Some((mut plans, stream)) = small().await else {
        tests::not_checked(&"there is no PostgreSQL of our own here");
        return;
    };
    let store = plans.world.store.clone();
    let needs = || Needs {
        user_names: ["user5000".to_owned(), "nobody".to_owned()].into(),
        ..Needs::default()
    };
    // So often a statement is planned anew before its plan is kept.
    for _ in 0..10 {
        Replica::gather(&*store, stream.id, needs()).await.unwrap();
    }
    plans.fill().await;
    let gathered = Replica::gather(&*store, stream.id, needs()).await.unwrap().unwrap().facts;
    assert_eq!(gathered.user_names["user5000"], Some(scim(5_000)));
    assert_eq!(gathered.user_names["nobody"], None);
    plans.are_frugal("names").await;
}
