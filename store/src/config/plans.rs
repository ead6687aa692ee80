//! How the database finds what lists show of what people have set up, and of what was sent.

use std::cell::RefCell;

use api::ports::{
    AdminEventFilter, AttemptFilter, AttemptStatus, Cursor, Order, OrganizationFilter, PageRequest,
    Reach,
};
use rusqlite::trace::{TraceEvent, TraceEventCodes};
use schemas::{Action, AdminEventId, AttemptId, EndpointId, EventId, OrganizationId};

use super::attempts::Walk;
use super::tests::{of_the_first_version, open};
use super::*;

thread_local! {
    static ASKED: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

fn note(event: TraceEvent<'_>) {
    if let TraceEvent::Stmt(statement, _) = event {
        let sql = statement.expanded_sql().unwrap();
        ASKED.with_borrow_mut(|asked| asked.push(sql));
    }
}

/// The plans of what is asked meanwhile. One thread reads, so that it has noted all of it.
async fn plans(config: &Config, asking: impl Future<Output = ()>) -> Vec<String> {
    let begin = |connection: &Connection| {
        connection.trace_v2(TraceEventCodes::SQLITE_TRACE_STMT, Some(note));
        Ok(())
    };
    config.read(begin).await.unwrap();
    asking.await;
    let explained = |connection: &Connection| {
        connection.trace_v2(TraceEventCodes::empty(), None);
        let explain = |sql: String| {
            let mut explained = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}"))?;
            let steps = explained.query_map([], |row| row.get::<_, String>(3))?;
            let steps = steps.collect::<Result<Vec<_>, _>>()?.join("\n");
            Ok(format!("{sql}\n{steps}"))
        };
        ASKED.take().into_iter().map(explain).collect()
    };
    let plans: Vec<String> = config.read(explained).await.unwrap();
    assert!(!plans.is_empty());
    plans
}

#[tokio::test]
async fn an_index_leads_to_the_attempts_that_a_list_shows() {
    let folder = of_the_first_version();
    let config = open(&folder);
    let any = AttemptFilter::default();
    let (since, until) = (Some(Timestamp::from_millis(5)), Some(Timestamp::from_millis(9)));
    let event = Some(EventId::from_bits(1));
    let attempt = Some(AttemptId::from_bits((7 << 80) | 3));
    for (filter, index) in [
        (any.clone(), "attempts_endpoint (endpoint=? AND at>? AND at<?)"),
        (
            AttemptFilter { since, ..any.clone() },
            "attempts_endpoint (endpoint=? AND at>? AND at<?)",
        ),
        (
            AttemptFilter { until, ..any.clone() },
            "attempts_endpoint (endpoint=? AND at>? AND at<?)",
        ),
        (
            AttemptFilter { since, status: Some(AttemptStatus::Failed), ..any.clone() },
            "attempts_failed (endpoint=? AND at>? AND at<?)",
        ),
        (AttemptFilter { event, since, ..any }, "attempts_event (<expr>=?"),
    ] {
        for falling in [true, false] {
            for from in [None, attempt] {
                let events = filter.event.map(|event| vec![event]);
                let endpoint = EndpointId::from_bits(5);
                let walk = Walk { endpoint, from, falling, limit: 10, events };
                let asking = async { drop(config.attempts(walk, filter.clone()).await.unwrap()) };
                for plan in plans(&config, asking).await {
                    assert!(
                        plan.contains(&format!("SEARCH attempts USING INDEX {index}")),
                        "{plan}"
                    );
                    // Those of one event are few.
                    assert!(event == filter.event || !plan.contains("TEMP B-TREE"), "{plan}");
                }
            }
        }
    }
}

#[tokio::test]
async fn how_an_endpoint_does_is_read_along_indexes_and_of_a_bounded_number_of_attempts() {
    let folder = of_the_first_version();
    let config = open(&folder);
    let sealed = config.sealer.seal([5; 16], "whsec_AAAA");
    let filled = config.progress.run(move |connection| {
        let sql = "INSERT INTO endpoints (id, url, events, enabled, delivery_order, secret, created_at,
            updated_at, cursor) VALUES (?1, 'https://a', '[]', 1, 'resource', ?2, 1, 1, 0)";
        connection.execute(sql, ([5_u8; 16], sealed))?;
        let sql = "INSERT INTO attempts (endpoint, event_id, position, attempt, at, duration_ms, exhausted)
            VALUES (?1, ?1, 1, 1, 500, 5, 0)";
        connection.execute(sql, [[5_u8; 16]])?;
        Ok(())
    });
    filled.await.unwrap();
    let (id, now) = (EndpointId::from_bytes([5; 16]), Timestamp::from_millis(1_000));
    let asking = async {
        let found = config.delivering(id, Some(now)).await.unwrap();
        assert_eq!((found.attempts, found.delivered), (1, 1));
    };
    let plans = plans(&config, asking).await;
    let counts = plans.iter().filter(|plan| plan.starts_with("SELECT count(*)"));
    let counts: Vec<&String> = counts.filter(|plan| plan.contains("FROM attempts")).collect();
    assert_eq!(counts.len(), 2, "{plans:?}");
    for plan in counts {
        let is_walk = |line: &str| line.starts_with("SCAN attempts");
        assert!(!plan.lines().any(is_walk), "{plan}");
        assert!(plan.contains("LIMIT"), "{plan}");
        assert!(plan.contains("SEARCH attempts USING COVERING INDEX attempts_endpoint"), "{plan}");
    }
}

#[tokio::test]
async fn a_page_of_organizations_is_read_along_their_ids_and_one_of_directories_by_them() {
    let folder = of_the_first_version();
    let config = open(&folder);
    let id = OrganizationId::from_bits(5);
    for order in [Order::Ascending, Order::Descending] {
        for cursor in [None, Some(Cursor::After(id)), Some(Cursor::Before(id))] {
            let request = PageRequest { reach: Reach::Everything, limit: 10, order, cursor };
            let search = OrganizationFilter { search: Some("a".into()), ..Default::default() };
            for filter in [OrganizationFilter::default(), search] {
                let asking = async { drop(config.organizations(request, filter).await.unwrap()) };
                for plan in plans(&config, asking).await {
                    assert!(plan.contains("SEARCH organizations USING PRIMARY KEY (id"), "{plan}");
                    assert!(!plan.contains("TEMP B-TREE"), "{plan}");
                }
            }
        }
    }
    let ids = [1, 2].map(DirectoryId::from_bits);
    let asking = async { drop(config.refresh_progress(ids.to_vec()).await.unwrap()) };
    for plan in plans(&config, asking).await {
        assert!(plan.contains("SEARCH refreshes USING PRIMARY KEY (directory=?)"), "{plan}");
    }
}

#[tokio::test]
async fn a_page_of_actions_is_read_along_an_index_whatever_it_is_narrowed_to() {
    let folder = of_the_first_version();
    let config = open(&folder);
    let any = AdminEventFilter::default();
    let (actor, action) = (Some("admin".to_owned()), Some(Action::ApiKeyCreated));
    let (from, own) = (Some(Timestamp::from_millis(5)), OrganizationId::from_bits(3));
    let by = AdminEventFilter { actor, ..any.clone() };
    let everything = Reach::Everything;
    for (reach, filter, index) in [
        (everything, any.clone(), "PRIMARY KEY"),
        (everything, AdminEventFilter { from, ..any.clone() }, "PRIMARY KEY (id>?"),
        (everything, by.clone(), "INDEX admin_events_actor (actor=?"),
        (everything, AdminEventFilter { action, ..by.clone() }, "INDEX admin_events_actor"),
        (everything, AdminEventFilter { action, ..any.clone() }, "INDEX admin_events_action"),
        (Reach::Organization(own), by, "INDEX admin_events_organization (organization=?"),
        (
            everything,
            AdminEventFilter { organization: Some(own), from, ..any },
            "INDEX admin_events_organization (organization=? AND id>?",
        ),
    ] {
        for order in [Order::Ascending, Order::Descending] {
            let id = AdminEventId::from_bits(7 << 80);
            for cursor in [None, Some(Cursor::After(id)), Some(Cursor::Before(id))] {
                let request = PageRequest { reach, limit: 10, order, cursor };
                let (config, filter) = (&config, filter.clone());
                let asking = async {
                    use crate::backend::AdminEventsBackend as _;
                    drop(config.admin_events(request, filter).await.unwrap());
                };
                for plan in plans(config, asking).await {
                    // Without any bound the primary key is walked, and no further than the page.
                    let walks = plan.contains("SCAN admin_events") && index == "PRIMARY KEY";
                    assert!(plan.contains(index) || walks, "{index}: {plan}");
                    assert!(!plan.contains("TEMP B-TREE"), "{plan}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_database_itself_keeps_the_audit_trail_from_being_changed() {
    let folder = of_the_first_version();
    let config = open(&folder);
    let done = config.durable.run(|connection| {
        connection.execute(
            "INSERT INTO admin_events VALUES (x'01', 'api_key.created', 'console', 'admin', NULL,
                 NULL, NULL, NULL, NULL, '[]', NULL, '[]', 0, NULL)",
            [],
        )?;
        let refused = |sql: &str| connection.execute(sql, []).is_err();
        assert!(refused("DELETE FROM admin_events"));
        assert!(refused("UPDATE admin_events SET actor = 'auditor', outcome = 'done'"));
        assert!(refused("UPDATE admin_events SET fields = '[1]'"));
        connection.execute("UPDATE admin_events SET outcome = 'done'", [])?;
        assert!(refused("UPDATE admin_events SET outcome = 'refused'"));
        assert!(refused("UPDATE admin_events SET outcome = NULL"));
        Ok(())
    });
    done.await.unwrap();
}
