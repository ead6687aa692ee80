//! How the database finds what is filtered by: by an index, and by which.

use rusqlite::{Connection, params_from_iter};
use schemas::scim::Filter;

use super::kind::{Groups, Kind, Users};
use super::*;
use crate::filter::register;
use crate::state::MIGRATIONS;

const BASE: &str = "https://scim.test";
const DIRECTORY: DirectoryId = DirectoryId::from_bits(1);

fn database() -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    register(&connection).unwrap();
    MIGRATIONS.iter().for_each(|migration| connection.execute_batch(migration).unwrap());
    connection
        .execute(
            "INSERT INTO directories (id, partition, hash) VALUES (?1, 0, zeroblob(32))",
            [DIRECTORY.to_bytes()],
        )
        .unwrap();
    connection
}

/// So many users, each created a millisecond after the one before.
fn with_users(users: u64) -> Connection {
    let connection = database();
    connection
        .execute_batch(&format!(
            "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {users})
             INSERT INTO users (directory, scim_id, user_id, name_key, active, created_at, updated_at,
                 version, attributes)
             SELECT 1, CAST(printf('%016d', n) AS BLOB), CAST(printf('%016d', n) AS BLOB), n, 1, n, n, n, '{{}}' FROM n;
             UPDATE directories SET active_users = {users};"
        ))
        .unwrap();
    connection
}

fn query(filter: &str, start: Start, count: u32) -> ListQuery {
    let filter: Option<Filter> = Some(filter.parse().unwrap());
    ListQuery { filter, start, base: BASE.to_owned(), ..ListQuery::first(count) }
}

/// The plan of the database for a filter that an index serves.
fn plan<K: Kind>(connection: &Connection, kind: K, filter: &str) -> String {
    let scan = Scan::new(DIRECTORY, &query(filter, Start::Skip(0), 1), kind);
    let Condition { sql, .. } = scan.indexed.unwrap_or_else(|| panic!("nothing serves {filter}"));
    let sql = selection::<K>((K::NAME, &format!("{sql} AND ?3 IS NULL")), &scan.condition);
    explained(connection, &sql)
}

fn explained(connection: &Connection, sql: &str) -> String {
    let mut explained = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    let unbound = vec![Sql::Null; explained.parameter_count()];
    let steps =
        explained.query_map(params_from_iter(unbound), |row| row.get::<_, String>(3)).unwrap();
    steps.map(Result::unwrap).collect::<Vec<_>>().join("\n")
}

#[track_caller]
fn is_served<K: Kind>(kind: K, filter: &str, index: &str) {
    let plan = plan(&database(), kind, filter);
    assert!(
        plan.contains(&format!("USING INDEX {index} ("))
            || plan.contains(&format!("USING COVERING INDEX {index} (")),
        "{filter}: {plan}"
    );
    // Tables are walked through only where an index has said which row.
    assert!(!plan.contains(&format!("SCAN {}", K::NAME)), "{filter}: {plan}");
    assert!(!plan.contains("INDEX users_hidden"), "{filter}: {plan}");
    assert!(!plan.contains("INDEX users_seen"), "{filter}: {plan}");
}

#[test]
fn an_index_serves_what_identity_providers_look_users_up_by() {
    for (filter, index) in [
        (r#"userName eq "a""#, "users_name"),
        (r#"externalId eq "a""#, "users_external_id"),
        (r#"emails eq "a""#, "users_email"),
        (r#"emails[type eq "work"].value eq "a""#, "users_email"),
        (r#"id eq "a""#, "users_scim_id"),
        (r#"meta.location eq "a""#, "users_scim_id"),
        (r#"groups.$ref eq "a""#, "groups_scim_id"),
        ("active eq false", "users_inactive"),
        (r#"meta.lastModified gt "2026-01-01T00:00:00Z""#, "users_updated_at"),
        (r#"meta.created ge "2026-01-01T00:00:00Z""#, "users_updated_at"),
        (r#"active eq true and meta.created eq "2026-01-01T00:00:00Z""#, "users_updated_at"),
        (r#"active eq true and userName eq "a""#, "users_name"),
    ] {
        is_served(Users, filter, index);
    }
}

#[test]
fn an_index_serves_what_identity_providers_look_groups_up_by() {
    for (filter, index) in [
        (r#"displayName eq "a""#, "groups_name"),
        (r#"externalId eq "a""#, "groups_external_id"),
        (r#"id eq "a" and members eq "b""#, "groups_scim_id"),
        (r#"meta.location eq "a""#, "groups_scim_id"),
        (r#"members.$ref eq "a""#, "users_scim_id"),
    ] {
        is_served(Groups, filter, index);
    }
}

#[test]
fn the_run_of_a_directory_is_read_from_its_indexes_in_order() {
    let connection = database();
    let run = |run| explained(&connection, &format!("{run} ORDER BY place LIMIT ?4 OFFSET ?5"));
    let users = run(Users::RUN);
    let of_users = [
        "MERGE (UNION ALL)",
        "LEFT",
        "SEARCH users USING COVERING INDEX users_seen (directory=? AND user_id>? AND user_id<?)",
        "RIGHT",
        "SEARCH users USING COVERING INDEX users_hidden (directory=? AND user_id>? AND user_id<?)",
    ];
    assert_eq!(users, of_users.join("\n"));
    let groups = run(Groups::RUN);
    let index = "groups_directory (directory=? AND group_id>? AND group_id<?)";
    assert_eq!(groups, format!("SEARCH groups USING COVERING INDEX {index}"));
}

#[test]
fn what_no_index_serves_is_read_by_the_run_and_nothing_else() {
    let scan = Scan::new(DIRECTORY, &query(r#"title eq "a""#, Start::Skip(0), 1), Users);
    assert!(scan.indexed.is_none());
    let sql = selection::<Users>((&of_run::<Users>(), "TRUE"), &scan.condition);
    let plan = explained(&database(), &sql);
    let steps = plan.lines().filter(|step| step.contains(" users "));
    let by_what: Vec<_> = steps.map(|step| step.split(" (").next().unwrap()).collect();
    let rows = "SEARCH users USING INTEGER PRIMARY KEY";
    let [seen, hidden] =
        ["seen", "hidden"].map(|run| format!("SEARCH users USING COVERING INDEX users_{run}"));
    assert_eq!(by_what, [&*seen, &*hidden, rows], "{plan}");
}

/// Reads to the end, and says how much was read.
fn read(
    connection: &Connection,
    filter: &str,
    start: Start,
    count: u32,
) -> (u64, Listed<UserView>) {
    let mut scan = Scan::new(DIRECTORY, &query(filter, start, count), Users);
    while !scan.ended {
        scan = scan.step(connection).unwrap();
    }
    (scan.read, scan.finish(connection).unwrap())
}

#[test]
fn who_is_active_is_read_page_by_page_and_counted_without_reading() {
    let connection = with_users(10_000);
    for filter in ["active eq true", "active ne false", r#"ACTIVE eq "True""#] {
        let (rows, listed) = read(&connection, filter, Start::Skip(0), 100);
        assert_eq!((listed.total, listed.items.len()), (10_000, 100), "{filter}");
        assert_eq!(rows, u64::from(SCAN_ROWS), "no more than one step");
        let mut shown = listed.items;
        let mut next = listed.next;
        while let Some(place) = next {
            let (rows, listed) = read(&connection, filter, Start::After(place), 1_000);
            assert!(rows <= u64::from(SCAN_ROWS), "it goes on where it was");
            shown.extend(listed.items);
            next = listed.next;
        }
        assert_eq!(shown.len(), 10_000);
        assert!(shown.is_sorted_by_key(|view| view.user.user_id));
        let (_, listed) = read(&connection, filter, Start::Skip(9_990), 100);
        assert_eq!((listed.total, listed.items.len(), listed.next), (10_000, 10, None));
    }
    let (rows, listed) = read(&connection, "active eq true", Start::Skip(0), 0);
    assert_eq!((rows <= u64::from(SCAN_ROWS), listed.total), (true, 10_000));
}

#[test]
fn a_range_is_read_only_if_it_is_no_wider_than_a_list_may_be() {
    let connection = with_users(SCAN_MAX + 10);
    let step = |after: u64| {
        let moment = schemas::Timestamp::from_millis(i64::try_from(after).unwrap());
        let filter = format!("meta.lastModified gt \"{moment}\"");
        let scan = Scan::new(DIRECTORY, &query(&filter, Start::Skip(0), 1), Users);
        scan.step(&connection).unwrap()
    };
    let wide = step(0);
    assert!(!wide.ended && wide.read > SCAN_MAX, "it is refused");
    let narrow = step(SCAN_MAX);
    assert!(narrow.ended);
    assert_eq!(narrow.finish(&connection).unwrap().total, 10);
}
