//! What a list of events shows, whatever leads to it: those that are asked for, in the order of the feed.

use std::collections::BTreeMap;

use api::ports::{AuditFilter, Cursor, Order};
use proptest::prelude::*;
use proptest::sample::subsequence;
use schemas::Timestamp;

use super::super::audit::audit;
use super::super::insert;
use super::plans::event;
use super::*;
use crate::config::tests::known_directories;
use crate::filter::register;
use crate::state::MIGRATIONS;

const DIRECTORIES: i64 = 7;

const TYPES: [EventType; 3] =
    [EventType::UserCreated, EventType::GroupCreated, EventType::InactiveUserChanged];

/// A feed, with the directory and the type of each of its events.
type Feed = Vec<(i64, EventType)>;

fn feed() -> impl Strategy<Value = Feed> {
    // Runs, so that blocks differ in what they have.
    let run = (1..=DIRECTORIES, 0..TYPES.len(), 1..40_usize);
    prop::collection::vec(run, 0..25).prop_map(|runs| {
        runs.into_iter()
            .flat_map(|(directory, kind, length)| vec![(directory, TYPES[kind]); length])
            .collect()
    })
}

fn database(feed: &Feed) -> Connection {
    let connection = Connection::open_in_memory().unwrap();
    register(&connection).unwrap();
    MIGRATIONS.iter().for_each(|migration| connection.execute_batch(migration).unwrap());
    for key in 1..=DIRECTORIES {
        let id = DirectoryId::from_bits(u128::from(key.unsigned_abs())).to_bytes();
        let sql = "INSERT INTO directories (id, partition, hash) VALUES (?1, 0, zeroblob(32))";
        connection.execute(sql, [id]).unwrap();
    }
    let mut seqs = BTreeMap::new();
    let rows = (1..).zip(feed).map(|(position, (directory, kind))| {
        let mut row = event(position, *directory, *kind);
        let seq = seqs.entry(*directory).or_insert(0);
        *seq += 1;
        row.head.seq.0 = *seq;
        row.created_at = time_of(position);
        row
    });
    for rows in rows.collect::<Vec<_>>().chunks(50) {
        insert::feed(&connection, rows).unwrap();
    }
    connection
}

/// Of every fifth event the clock was behind.
fn time_of(position: u64) -> Timestamp {
    let at = if position.is_multiple_of(5) { position.saturating_sub(200) } else { position };
    Timestamp::from_millis(at.cast_signed())
}

fn id(position: u64) -> EventId {
    EventId::from_bits(u128::from(position))
}

/// The positions of the page, found by looking at everything.
fn expected(
    feed: &Feed,
    request: &PageRequest<EventId>,
    is_shown: impl Fn(u64, i64, EventType) -> bool,
) -> Vec<EventId> {
    let shown = (1..)
        .zip(feed)
        .filter(|(position, (directory, kind))| is_shown(*position, *directory, *kind));
    let mut shown: Vec<u64> = shown.map(|(position, _)| position).collect();
    if request.order == Order::Descending {
        shown.reverse();
    }
    let rises = request.order == Order::Ascending;
    let limit = request.limit as usize;
    let page: Vec<u64> = match request.cursor {
        None => shown.into_iter().take(limit).collect(),
        Some(Cursor::After(at)) => shown
            .into_iter()
            .filter(|position| (id(*position) > at) == rises && id(*position) != at)
            .take(limit)
            .collect(),
        Some(Cursor::Before(at)) => {
            let before = shown
                .into_iter()
                .filter(|position| (id(*position) < at) == rises && id(*position) != at);
            let before: Vec<u64> = before.collect();
            before[before.len().saturating_sub(limit)..].to_vec()
        }
    };
    page.into_iter().map(id).collect()
}

prop_compose! {
    fn asked()(
        limit in 1..12_u32,
        rises: bool,
        cursor in prop::option::of((1..1_000_u64, any::<bool>())),
        of_organization: bool,
    ) -> PageRequest<EventId> {
        let cursor = cursor.map(|(at, after)| if after { Cursor::After(id(at)) } else { Cursor::Before(id(at)) });
        let order = if rises { Order::Ascending } else { Order::Descending };
        let organization = known_directories(1).directories().next().unwrap().organization_id;
        let reach = if of_organization { Reach::Organization(organization) } else { Reach::Everything };
        PageRequest { reach, limit, order, cursor }
    }
}

proptest! {
    #[test]
    fn a_page_of_events_has_what_is_asked_for_and_nothing_that_apps_never_see(
        feed in feed(),
        request in asked(),
        types in subsequence(TYPES[..2].to_vec(), 0..=2),
        from in prop::option::of(1..500_i64),
        to in prop::option::of(1..900_i64),
    ) {
        let connection = database(&feed);
        // Of the seven directories five are known.
        let known = known_directories(5);
        let (from, to) = (from.map(Timestamp::from_millis), to.map(Timestamp::from_millis));
        let filter = EventFilter { types: types.clone(), from, to, ..EventFilter::default() };
        let page = events(&connection, &known, &request, &filter).unwrap();
        let found: Vec<_> = page.items.iter().map(|event| event.id).collect();
        let expected = expected(&feed, &request, |position, directory, kind| {
            let at = time_of(position);
            let is_asked = if types.is_empty() { kind.is_told() } else { types.contains(&kind) };
            let is_within = from.is_none_or(|from| at >= from) && to.is_none_or(|to| at <= to);
            is_asked && is_within && (request.reach == Reach::Everything || directory <= 5)
        });
        prop_assert_eq!(found, expected);
    }

    #[test]
    fn a_page_of_the_history_has_what_is_asked_for(
        feed in feed(),
        request in asked(),
        types in subsequence(TYPES.to_vec(), 0..=3),
        directory in prop::option::of(1..=5_i64),
    ) {
        let connection = database(&feed);
        let known = known_directories(5);
        let of = directory.map(|key| DirectoryId::from_bits(u128::from(key.unsigned_abs())));
        let filter = AuditFilter { types: types.clone(), directory: of, ..AuditFilter::default() };
        let page = audit(&connection, &known, &request, &filter).unwrap().page;
        let found: Vec<_> = page.items.iter().map(|event| event.id).collect();
        let expected = expected(&feed, &request, |_, key, kind| {
            (types.is_empty() || types.contains(&kind))
                && directory.is_none_or(|asked| asked == key)
                && (request.reach == Reach::Everything || key <= 5)
        });
        prop_assert_eq!(found, expected);
    }
}
