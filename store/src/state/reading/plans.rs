//! How the database finds what the lists of the API show: by an index that leads to it in order, whatever a
//! list is narrowed by. The statements are those that the lists really run.

use std::cell::RefCell;

use api::ports::{AuditFilter, Cursor, Order};
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use schemas::{Hash, Head, RequestId, Seq, Timestamp};

use super::super::audit::{Of, Range, audit};
use super::super::blocks::{self, Within};
use super::super::insert::{self, FeedRow};
use super::page::Conditions;
use super::*;
use crate::config::tests::{known_directories, two_known_directories};
use crate::filter::register;
use crate::state::MIGRATIONS;

/// What a list may walk through: the values that a statement is given, the directories where a key that reaches
/// all of them asks without naming one, and what is shown row by row from one end on, until the page is full.
///
/// The one subquery finds the event that told of a user who is gone, among a bounded number of events. Of times there
/// are few rows: one of a thousand events.
const MAY_BE_WALKED: [&str; 8] = [
    "SCAN (subquery-1)",
    "SCAN CONSTANT ROW",
    "SCAN json_each VIRTUAL TABLE INDEX 1:",
    "SCAN within VIRTUAL TABLE INDEX 1:",
    "SCAN directories",
    "SCAN users USING INDEX users_user_id",
    "SCAN groups USING INDEX groups_group_id",
    "SCAN feed_times",
];

/// What a list may sort: the few users with one address or one id, and the groups of one user.
const MAY_BE_SORTED: [&str; 2] =
    ["users.key IN (SELECT one.key", "groups.key IN (SELECT group_key"];

thread_local! {
    static STATEMENTS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn note(event: TraceEvent<'_>) {
    if let TraceEvent::Stmt(statement, _) = event {
        let sql = statement.expanded_sql().unwrap();
        STATEMENTS.with_borrow_mut(|statements| statements.push(sql));
    }
}

/// Two directories with a user and a group each.
fn database() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    register(&connection).unwrap();
    MIGRATIONS.iter().for_each(|migration| connection.execute_batch(migration).unwrap());
    for key in 1..=2_u128 {
        let id = DirectoryId::from_bits(key).to_bytes();
        let sql = "INSERT INTO directories (id, partition, hash) VALUES (?1, 0, zeroblob(32))";
        connection.execute(sql, [id]).unwrap();
        let rows = format!(
            "INSERT INTO users (key, directory, scim_id, user_id, name_key, active, created_at, updated_at,
                 version, attributes)
             VALUES ({key}, {key}, x'{key:032x}', x'{key:032x}', 'a', 1, 1, 1, 1, '{{}}');
             INSERT INTO groups (key, directory, scim_id, group_id, idp_id, name_key, created_at, updated_at,
                 modified_at, version, attributes)
             VALUES ({key}, {key}, x'{key:032x}', x'{key:032x}', 'a', 'a', 1, 1, 1, 1,
                 '{{}}');
             INSERT INTO memberships (group_key, user_key, user_id) VALUES ({key}, {key}, x'0{key}');"
        );
        connection.execute_batch(&rows).unwrap();
    }
    connection
}

/// Runs a list in both orders, with every cursor and every reach, and looks at each statement.
fn every_page<I: Copy>(
    id: I,
    known: &Known,
    list: impl Fn(&Connection, &PageRequest<I>) -> Result<(), DbError>,
) {
    let connection = database();
    for sql in statements(&connection, id, known, list) {
        leads_to_what_is_shown(&connection, &sql);
    }
}

/// What a list asks, in both orders, with every cursor and every reach.
fn statements<I: Copy>(
    connection: &Connection,
    id: I,
    known: &Known,
    list: impl Fn(&Connection, &PageRequest<I>) -> Result<(), DbError>,
) -> Vec<String> {
    connection.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(note));
    let organization = known.directories().next().unwrap().organization_id;
    for reach in [Reach::Everything, Reach::Organization(organization)] {
        for order in [Order::Ascending, Order::Descending] {
            for cursor in [None, Some(Cursor::After(id)), Some(Cursor::Before(id))] {
                list(connection, &PageRequest { reach, limit: 10, order, cursor }).unwrap();
            }
        }
    }
    connection.trace_v2(TraceEventCodes::empty(), None);
    let mut statements = STATEMENTS.take();
    assert!(!statements.is_empty());
    statements.sort();
    statements.dedup();
    statements
}

#[track_caller]
fn leads_to_what_is_shown(connection: &Connection, sql: &str) {
    let mut explained = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let steps = explained.query_map([], |row| row.get::<_, String>(3)).unwrap();
    for step in steps.map(Result::unwrap) {
        let may_be_walked = MAY_BE_WALKED.iter().any(|walked| step.starts_with(walked));
        let walks = step.starts_with("SCAN ") && !may_be_walked;
        assert!(!walks, "{step}\n{sql}");
        let sorts =
            step.contains("TEMP B-TREE") && !MAY_BE_SORTED.iter().any(|of| sql.contains(of));
        assert!(!sorts, "{step}\n{sql}");
    }
}

/// What a filter holds or not: every combination.
fn each<T: Clone>(filters: &[T], set: impl Fn(&mut T)) -> Vec<T> {
    let with = filters.iter().cloned().map(|mut filter| {
        set(&mut filter);
        filter
    });
    filters.iter().cloned().chain(with).collect()
}

const DIRECTORY: DirectoryId = DirectoryId::from_bits(1);

#[test]
fn an_index_leads_to_every_page_of_users() {
    let known = two_known_directories();
    let mut filters = vec![UserFilter::default()];
    filters = each(&filters, |filter| filter.directory = Some(DIRECTORY));
    filters = each(&filters, |filter| filter.group = Some(GroupId::from_bits(1)));
    filters = each(&filters, |filter| filter.idp_id = Some("a".into()));
    filters = each(&filters, |filter| filter.email = Some("a".into()));
    for filter in filters {
        every_page(UserId::from_bits(1), &known, |connection, request| {
            users(connection, &known, request, &filter).map(drop)
        });
    }
}

#[test]
fn an_index_leads_to_every_page_of_groups() {
    let known = two_known_directories();
    let mut filters = vec![GroupFilter::default()];
    filters = each(&filters, |filter| filter.directory = Some(DIRECTORY));
    filters = each(&filters, |filter| filter.user = Some(UserId::from_bits(1)));
    for filter in filters {
        every_page(GroupId::from_bits(1), &known, |connection, request| {
            groups(connection, &known, request, &filter).map(drop)
        });
    }
}

#[test]
fn an_index_leads_to_every_page_of_events() {
    let known = two_known_directories();
    let mut filters = vec![EventFilter::default()];
    let types = [EventType::UserCreated, EventType::GroupCreated];
    filters = each(&filters, |filter| filter.types = types.to_vec());
    let organization = known.directories().next().unwrap().organization_id;
    filters = each(&filters, |filter| filter.organization = Some(organization));
    filters = each(&filters, |filter| filter.from = Some(Timestamp::from_millis(1)));
    filters = each(&filters, |filter| filter.to = Some(Timestamp::from_millis(2)));
    for filter in filters {
        every_page(EventId::from_bits(1), &known, |connection, request| {
            events(connection, &known, request, &filter).map(drop)
        });
    }
}

#[test]
fn no_list_of_events_walks_through_what_apps_are_not_told() {
    let known = two_known_directories();
    let connection = database();
    insert::feed(&connection, &[event(1, 1, EventType::InactiveUserChanged)]).unwrap();
    let filter = EventFilter::default();
    let asked = statements(&connection, EventId::from_bits(1), &known, |connection, request| {
        events(connection, &known, request, &filter).map(drop)
    });
    assert!(asked.iter().any(|sql| sql.contains("lies.event = 'dsync.user.created'")));
    for sql in asked {
        let looks = sql.contains("feed.position ASC") || sql.contains("feed.position DESC");
        // Of the two directories one holds nothing of the kind.
        let is_plain = sql.contains("directory = 2") || sql.contains("json_each('[2]')");
        assert!(!looks || sql.contains("lies.event = 'dsync") || is_plain, "{sql}");
        leads_to_what_is_shown(&connection, &sql);
    }
}

/// An event without anything in it.
pub(super) fn event(position: u64, directory: i64, kind: EventType) -> FeedRow<'static> {
    FeedRow {
        position,
        id: EventId::from_bits(position.into()),
        directory,
        event: kind,
        head: Head { seq: Seq(position), hash: Hash([0; 32]) },
        prev: Hash([0; 32]),
        created_at: Timestamp::from_millis(position.cast_signed()),
        user: None,
        group: None,
        actor: "{}",
        data: "{}",
    }
}

/// The plan of a statement.
fn plan(connection: &Connection, sql: &str) -> String {
    let mut explained = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let unbound = vec![Sql::Null; explained.parameter_count()];
    let steps =
        explained.query_map(params_from_iter(unbound), |row| row.get::<_, String>(3)).unwrap();
    steps.map(Result::unwrap).collect::<Vec<_>>().join("\n")
}

#[test]
fn no_list_of_users_walks_through_those_whom_apps_do_not_see() {
    let known = two_known_directories();
    let connection = database();
    let filter = UserFilter { directory: Some(DIRECTORY), ..UserFilter::default() };
    let asked = statements(&connection, UserId::from_bits(1), &known, |connection, request| {
        users(connection, &known, request, &filter).map(drop)
    });
    let lists: Vec<_> = asked.iter().filter(|sql| sql.contains("ORDER BY users.user_id")).collect();
    assert!(!lists.is_empty());
    for sql in lists {
        let plan = plan(&connection, sql);
        assert!(plan.contains("INDEX users_seen (directory=?"), "{plan}\n{sql}");
    }
}

#[test]
fn a_page_of_events_of_many_directories_reads_those_that_have_the_nearest() {
    let known = known_directories(300);
    let connection = database();
    for key in 3..=300_u128 {
        let sql = "INSERT INTO directories (id, partition, hash) VALUES (?1, 0, zeroblob(32))";
        connection.execute(sql, [DirectoryId::from_bits(key).to_bytes()]).unwrap();
    }
    let rows: Vec<_> = (1..=6_000_u64)
        .map(|n| event(n, 1 + i64::try_from(n % 300).unwrap(), EventType::UserCreated))
        .collect();
    insert::feed(&connection, &rows).unwrap();
    let organization = known.directories().next().unwrap().organization_id;
    let filter = EventFilter { organization: Some(organization), ..EventFilter::default() };
    let middle = EventId::from_bits(3_000);
    for cursor in [None, Some(Cursor::After(middle)), Some(Cursor::Before(middle))] {
        let request =
            PageRequest { reach: Reach::Everything, limit: 10, order: Order::Descending, cursor };
        let of_audit = AuditFilter { organization: Some(organization), ..AuditFilter::default() };
        connection.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(note));
        let listed = events(&connection, &known, &request, &filter).unwrap().items.len();
        let of_events = STATEMENTS.take();
        let looked = audit(&connection, &known, &request, &of_audit).unwrap().page.items.len();
        connection.trace_v2(TraceEventCodes::empty(), None);
        assert_eq!((listed, looked), (10, 10));
        for looks in [of_events, STATEMENTS.take()] {
            let looks: Vec<_> = looks.iter().filter(|sql| sql.contains("FROM feed")).collect();
            assert!(looks.len() < 60, "{cursor:?}: {looks:#?}");
        }
    }
}

#[test]
fn an_index_or_a_window_leads_to_every_page_of_the_history() {
    let known = two_known_directories();
    let mut filters = vec![AuditFilter::default()];
    filters = each(&filters, |filter| filter.types = vec![EventType::UserCreated]);
    filters = each(&filters, |filter| filter.directory = Some(DIRECTORY));
    filters = each(&filters, |filter| filter.user = Some(UserId::from_bits(1)));
    filters = each(&filters, |filter| filter.group = Some(GroupId::from_bits(9)));
    filters = each(&filters, |filter| filter.actor = Some("a".into()));
    filters = each(&filters, |filter| filter.request = Some(RequestId::from_bits(1)));
    filters = each(&filters, |filter| filter.text = Some("a".into()));
    filters = each(&filters, |filter| filter.from = Some(Timestamp::from_millis(1)));
    filters = each(&filters, |filter| filter.to = Some(Timestamp::from_millis(2)));
    for filter in filters {
        every_page(EventId::from_bits(1), &known, |connection, request| {
            audit(connection, &known, request, &filter).map(drop)
        });
    }
}

#[test]
fn the_history_of_a_type_is_led_by_its_blocks() {
    let known = two_known_directories();
    let connection = database();
    let organization = known.directories().next().unwrap().organization_id;
    let text = Some("a".to_owned());
    let types = vec![EventType::UserCreated, EventType::TokenRevoked];
    let typed = AuditFilter { types, ..AuditFilter::default() };
    for filter in [
        typed.clone(),
        AuditFilter { text: text.clone(), ..typed.clone() },
        AuditFilter { organization: Some(organization), ..typed.clone() },
        AuditFilter { directory: Some(DIRECTORY), text, ..typed },
    ] {
        let asked =
            statements(&connection, EventId::from_bits(1), &known, |connection, request| {
                audit(connection, &known, request, &filter).map(drop)
            });
        let of_feed = asked.iter().filter(|sql| sql.starts_with("SELECT feed.position, feed."));
        let looks: Vec<_> = of_feed.collect();
        assert!(!looks.is_empty());
        for sql in looks {
            assert!(sql.contains("lies.event = 'dsync."), "{sql}");
            is_led_by_blocks(&connection, sql);
        }
    }
}

#[track_caller]
fn is_led_by_blocks(connection: &Connection, sql: &str) {
    let plan = plan(connection, sql);
    let steps: Vec<_> = plan.lines().map(str::trim).collect();
    let led = [
        "SEARCH lies USING PRIMARY KEY (directory=? AND event=? AND block>? AND block<?)",
        "SEARCH feed USING INTEGER PRIMARY KEY (rowid>? AND rowid<?)",
    ];
    assert!(steps.ends_with(&led), "{plan}\n{sql}");
}

#[test]
fn blocks_lead_to_the_events_of_a_type_of_a_directory_and_of_one_in_the_other() {
    let connection = database();
    let range = Range { first: 100, last: 1_000 };
    for within in [Within::Feed, Within::Directory(1), Within::Each] {
        for kind in [None, Some(EventType::UserCreated)] {
            for order in [true, false].map(blocks::order) {
                let mut conditions = Conditions::default();
                blocks::narrow(&mut conditions, within, kind, range);
                let (feed, of) = (blocks::FEED, conditions.to_sql());
                let look = format!("SELECT feed.position FROM {feed} WHERE {of} ORDER BY {order}");
                let sql = match within {
                    Within::Feed | Within::Directory(_) => look,
                    Within::Each => {
                        format!("SELECT ({look} LIMIT 1) FROM json_each('[1]') AS within")
                    }
                };
                is_led_by_blocks(&connection, &sql);
            }
        }
    }
}

#[test]
fn a_directory_behind_many_whose_clocks_were_behind_is_found_nevertheless() {
    let (connection, known) = (database(), known_directories(10));
    for key in 3..=10_u128 {
        let sql = "INSERT INTO directories (id, partition, hash) VALUES (?1, 0, zeroblob(32))";
        connection.execute(sql, [DirectoryId::from_bits(key).to_bytes()]).unwrap();
    }
    let rows = (1..=10).map(|key: i64| {
        let mut row = event(key.unsigned_abs() * 64, key, EventType::UserCreated);
        row.created_at = Timestamp::from_millis(if (2..6).contains(&key) { 0 } else { 1_000 });
        row
    });
    insert::feed(&connection, &rows.collect::<Vec<_>>()).unwrap();
    let organization = known.directories().next().map(|known| known.organization_id);
    let from = Some(Timestamp::from_millis(500));
    let filter = EventFilter { organization, from, ..EventFilter::default() };
    let request =
        PageRequest { reach: Reach::Everything, limit: 2, order: Order::Ascending, cursor: None };
    let page = events(&connection, &known, &request, &filter).unwrap();
    let found: Vec<_> = page.items.iter().map(|event| event.id).collect();
    assert_eq!(found, [64, 6 * 64].map(EventId::from_bits));
}

#[test]
fn of_many_directories_only_those_are_read_whose_blocks_are_near() {
    let directories: Vec<i64> = (1..=5_000).collect();
    let connection = database();
    // Each has one event, in a block of its own.
    let rows: Vec<_> = directories
        .iter()
        .map(|n| event(n.unsigned_abs() * 64, *n, EventType::UserCreated))
        .collect();
    insert::feed(&connection, &rows).unwrap();
    let streams = || directories.iter().map(|key| Of { key: Some(*key), kind: None }).collect();
    connection.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(note));
    let found = nearest(&connection, streams(), Range { first: 64_010, ..Range::ALL }, true, 3);
    connection.trace_v2(TraceEventCodes::empty(), None);
    let found: Vec<_> = found.unwrap().into_iter().filter_map(|of| of.key).collect();
    assert_eq!(found, [1_001, 1_002, 1_003]);
    let asked = STATEMENTS.take();
    let rows = asked.iter().find(|sql| sql.contains("feed.position")).unwrap();
    assert!(rows.contains("json_each('[1000,1001,1002,1003]')"), "{rows}");
}
