//! Lists of events.
//!
//! Blocks lead through one directory in order, through one type, and through one type in one directory. What several of
//! these have to show is found by the nearest event of each:
//!
//! ```text
//!   one      3   7   8  ┊       ┐
//!   two        5        ┊12  14 ├─▶  a page of three: 3 5 7, and none is read behind 9
//!   three            9  ┊       │
//!   four                ┊11     ┘
//! ```
//!
//! The three whose events are the nearest hold a page of three, and nothing of it lies behind the last of those. So a
//! page costs a look at each, however many there are, and little more.

use std::collections::BTreeSet;

use api::ports::{Cursor, EventFilter, Page, PageRequest, StoredEvent};
use rusqlite::types::Value as Sql;
use rusqlite::{Connection, params_from_iter};
use schemas::{EventId, EventType};

use super::super::audit::{Of, Range, range};
use super::super::blocks::{self, Within};
use super::super::rows::{all, first};
use super::page::{Conditions, confined, finished, in_front_of, is_rising, map_page};
use super::{event_bound, stored_event};
use crate::config::Known;
use crate::error::{DbError, unreadable};
use crate::sqlite::{as_sql, from_sql};

/// A page of events.
pub(super) fn events(
    connection: &Connection,
    known: &Known,
    request: &PageRequest<EventId>,
    filter: &EventFilter,
) -> Result<Page<StoredEvent>, DbError> {
    let confined = confined(connection, known, request.reach, filter.organization, None)?;
    let rising = is_rising(request);
    let parts = parts(connection, filter, confined)?;
    let looking = Looking { connection, parts, rising };
    // No index has the times; what is kept of them leads to where the range lies.
    let range = range(connection, (filter.from, filter.to))?;
    let (mut ahead, mut in_front) = (range, None);
    if let Some(Cursor::After(id) | Cursor::Before(id)) = request.cursor {
        let bound = event_bound(connection, id, rising)?;
        ahead = range.behind(bound, rising);
        in_front = Some(range.up_to(bound, rising));
    }
    let places = looking.places(ahead, request.limit as usize + 1)?;
    let mut page = finished(places, request);
    if let Some(in_front) = in_front
        && !page.items.is_empty()
    {
        // The cursors of an empty page lead nowhere.
        page = in_front_of(page, request, looking.is_any(in_front)?);
    }
    // Now that the places are known, no more is read than is shown.
    let sql = "SELECT feed.position, feed.event_id, feed.event, feed.created_at, feed.data
        FROM feed WHERE feed.position = ?1";
    map_page(page, |place| first(connection, sql, [as_sql(place)], stored_event).transpose())
}

/// Those of the streams that have the nearest events of a range, up to so many: no other has any of the first so many
/// events.
pub(in crate::state) fn nearest(
    connection: &Connection,
    streams: Vec<Of>,
    range: Range,
    rising: bool,
    limit: usize,
) -> Result<Vec<Of>, DbError> {
    // Those of the whole feed are as few as there are types.
    if streams.len() <= limit || streams.iter().any(|of| of.key.is_none()) {
        return Ok(streams);
    }
    let looking = Looking { connection, parts: parts_of(&streams), rising };
    let heads = looking.nearest(range, limit)?;
    Ok(heads.into_iter().map(|head| Of { key: Some(head.directory), kind: head.of.kind }).collect())
}

/// Those of directories, by type.
fn parts_of(streams: &[Of]) -> Vec<Part> {
    let kinds: BTreeSet<Option<EventType>> = streams.iter().map(|of| of.kind).collect();
    let part = |kind: Option<EventType>| {
        let directories = streams.iter().filter(|of| of.kind == kind).filter_map(|of| of.key);
        Part::of(kind, Conditions::default(), Some(directories.collect()))
    };
    kinds.into_iter().map(part).collect()
}

/// Events that blocks lead through: of the whole feed, or of each of some directories.
struct Part {
    conditions: Conditions,
    kind: Option<EventType>,
    directories: Option<Vec<i64>>,
}

impl Part {
    fn of(kind: Option<EventType>, conditions: Conditions, directories: Option<Vec<i64>>) -> Self {
        Self { conditions, kind, directories }
    }
}

/// What a list is made of. No event is in two parts.
fn parts(
    connection: &Connection,
    filter: &EventFilter,
    confined: Option<Vec<i64>>,
) -> Result<Vec<Part>, DbError> {
    let mut conditions = Conditions::default();
    if let Some(from) = filter.from {
        conditions.and("feed.created_at >= {}", from.millis());
    }
    if let Some(to) = filter.to {
        conditions.and("feed.created_at <= {}", to.millis());
    }
    if !filter.types.is_empty() {
        return Ok(of_types(&filter.types, &conditions, confined.as_deref()));
    }
    // Most feeds hold nothing that apps never see, and are read without an eye to types. Where there is any, there may
    // be a million in a row, which no list may walk through.
    let told: Vec<EventType> =
        EventType::ALL.iter().copied().filter(|kind| kind.is_told()).collect();
    let Some(directories) = confined else {
        return Ok(if is_anything_untold(connection)? {
            of_types(&told, &conditions, None)
        } else {
            vec![Part::of(None, conditions, None)]
        });
    };
    let untold = with_untold(connection, &directories)?;
    let (mixed, plain): (Vec<i64>, Vec<i64>) =
        directories.into_iter().partition(|key| untold.contains(key));
    let mut parts = of_types(&told, &conditions, Some(&mixed));
    parts.push(Part::of(None, conditions, Some(plain)));
    parts.retain(|part| part.directories.as_ref().is_none_or(|keys| !keys.is_empty()));
    Ok(parts)
}

/// Blocks lead through one type, and not through some of them.
fn of_types(
    types: &[EventType],
    conditions: &Conditions,
    directories: Option<&[i64]>,
) -> Vec<Part> {
    let kinds: BTreeSet<EventType> = types.iter().copied().collect();
    let of_type = |kind| Part::of(Some(kind), conditions.clone(), directories.map(<[i64]>::to_vec));
    kinds.into_iter().map(of_type).collect()
}

fn untold() -> impl Iterator<Item = EventType> {
    EventType::ALL.iter().copied().filter(|kind| !kind.is_told())
}

/// Whether the feed holds anything that apps never see.
fn is_anything_untold(connection: &Connection) -> Result<bool, DbError> {
    for kind in untold() {
        if blocks::has(connection, kind)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Those of the directories that hold such.
fn with_untold(connection: &Connection, directories: &[i64]) -> Result<BTreeSet<i64>, DbError> {
    let mut found = BTreeSet::new();
    if !is_anything_untold(connection)? {
        return Ok(found);
    }
    let keys = json(directories)?;
    for kind in untold() {
        let sql = "SELECT within.value FROM json_each(?1) AS within WHERE EXISTS
            (SELECT 1 FROM feed_blocks WHERE directory = within.value AND event = ?2)";
        let with = all(connection, sql, [&*keys, kind.name()], |row| Ok(row.get(0)?))?;
        found.extend::<Vec<i64>>(with);
    }
    Ok(found)
}

fn json(keys: &[i64]) -> Result<String, DbError> {
    serde_json::to_string(keys).map_err(unreadable("keys"))
}

/// A look at the feed, in one direction.
struct Looking<'a> {
    connection: &'a Connection,
    parts: Vec<Part>,
    rising: bool,
}

/// The nearest event that a part has in one of its directories.
struct Head<'a> {
    place: u64,
    of: &'a Part,
    directory: i64,
}

impl Looking<'_> {
    /// The places in a range, the nearest first.
    fn places(&self, range: Range, limit: usize) -> Result<Vec<u64>, DbError> {
        let mut places = Vec::new();
        for part in self.parts.iter().filter(|part| part.directories.is_none()) {
            places.extend(self.read(part, None, range, limit)?);
        }
        let heads = self.nearest(range, limit)?;
        let last = heads.last().filter(|_| heads.len() == limit);
        let range = last.map_or(range, |last| range.up_to(last.place, self.rising));
        for Head { of, directory, .. } in heads {
            places.extend(self.read(of, Some(directory), range, limit)?);
        }
        places.sort_unstable_by_key(|place| self.distance(*place));
        places.truncate(limit);
        Ok(places)
    }

    /// The nearest of all directories, up to so many.
    fn nearest(&self, range: Range, limit: usize) -> Result<Vec<Head<'_>>, DbError> {
        let mut heads = Vec::new();
        for part in &self.parts {
            if let Some(directories) = &part.directories {
                heads.extend(self.nearest_of(part, directories, range, limit)?);
            }
        }
        heads.sort_unstable_by_key(|head| self.distance(head.place));
        heads.truncate(limit);
        Ok(heads)
    }

    /// What rises with the distance from where the look begins.
    const fn distance(&self, place: u64) -> u64 {
        if self.rising { place } else { u64::MAX - place }
    }

    /// Whether there is anything in a range.
    fn is_any(&self, range: Range) -> Result<bool, DbError> {
        for part in &self.parts {
            let is_any = match &part.directories {
                None => !self.read(part, None, range, 1)?.is_empty(),
                Some(directories) => {
                    let (look, keys, parameters) = self.of_each(part, directories, range)?;
                    let sql = format!(
                        "SELECT 1 FROM json_each(?{keys}) AS within WHERE EXISTS ({look}) LIMIT 1"
                    );
                    first(self.connection, &sql, params_from_iter(parameters), |_| Ok(()))?
                        .is_some()
                }
            };
            if is_any {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The nearest of the directories of a part, at least so many if there are so many. A block between the ends of the range
    /// most likely has one, so that rows are read of those directories alone whose first block lies no further than so
    /// many of these, however many there are. Where times narrow the part, it may have none after all.
    fn nearest_of<'a>(
        &self,
        part: &'a Part,
        directories: &[i64],
        range: Range,
        limit: usize,
    ) -> Result<Vec<Head<'a>>, DbError> {
        if directories.len() <= limit {
            return self.heads(part, directories, range);
        }
        let nearest = self.nearest_blocks(part, directories, range)?;
        let (first, last) = blocks::blocks_of(range);
        let between = nearest.iter().filter(|(_, block)| *block != first && *block != last);
        let mut between: Vec<u64> = between.map(|(_, block)| self.distance(*block)).collect();
        between.sort_unstable();
        let far = between.get(limit.saturating_sub(1)).copied().unwrap_or(u64::MAX);
        let (near, others): (Vec<_>, Vec<_>) =
            nearest.into_iter().partition(|(_, block)| self.distance(*block) <= far);
        let keys = |of: Vec<(i64, u64)>| of.into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        let mut heads = self.heads(part, &keys(near), range)?;
        let is_near = |head: &&Head<'_>| self.distance(blocks::block_of(head.place)) <= far;
        if heads.iter().filter(is_near).count() < limit && !others.is_empty() {
            heads.extend(self.heads(part, &keys(others), range)?);
        }
        Ok(heads)
    }

    /// The directories that have a block in a range, each with the nearest.
    fn nearest_blocks(
        &self,
        part: &Part,
        directories: &[i64],
        range: Range,
    ) -> Result<Vec<(i64, u64)>, DbError> {
        let mut conditions = Conditions::default();
        blocks::narrow_blocks(&mut conditions, Within::Each, part.kind, range);
        let end = if self.rising { "min" } else { "max" };
        let sql = format!(
            "SELECT within.value, (SELECT {end}(lies.block) FROM feed_blocks AS lies WHERE {of})
             FROM json_each(?{keys}) AS within",
            of = conditions.to_sql(),
            keys = conditions.parameters().len() + 1
        );
        let keys = Sql::from(json(directories)?);
        let parameters = conditions.parameters().iter().chain([&keys]);
        let blocks = all(self.connection, &sql, params_from_iter(parameters), |row| {
            let block: Option<i64> = row.get(1)?;
            let directory = row.get(0)?;
            Ok(block.map(|block| (directory, from_sql(block))))
        })?;
        Ok(blocks.into_iter().flatten().collect())
    }

    fn heads<'a>(
        &self,
        part: &'a Part,
        directories: &[i64],
        range: Range,
    ) -> Result<Vec<Head<'a>>, DbError> {
        let (look, keys, parameters) = self.of_each(part, directories, range)?;
        // One statement for all of them.
        let sql = format!("SELECT within.value, ({look}) FROM json_each(?{keys}) AS within");
        let heads = all(self.connection, &sql, params_from_iter(parameters), |row| {
            let place: Option<i64> = row.get(1)?;
            let directory = row.get(0)?;
            Ok(place.map(|place| Head { place: from_sql(place), of: part, directory }))
        })?;
        Ok(heads.into_iter().flatten().collect())
    }

    /// The places of a part in a range, in one directory or in the whole feed.
    fn read(
        &self,
        part: &Part,
        directory: Option<i64>,
        range: Range,
        limit: usize,
    ) -> Result<Vec<u64>, DbError> {
        let within = directory.map_or(Within::Feed, Within::Directory);
        let (look, conditions) = self.look(part, within, range, limit);
        let parameters = params_from_iter(conditions.parameters());
        all(self.connection, &look, parameters, |row| Ok(from_sql(row.get(0)?)))
    }

    /// The same for the nearest in each of the directories of a part, whose keys are the last parameter.
    fn of_each(
        &self,
        part: &Part,
        directories: &[i64],
        range: Range,
    ) -> Result<(String, usize, Vec<Sql>), DbError> {
        let (look, conditions) = self.look(part, Within::Each, range, 1);
        let mut parameters = conditions.parameters().to_vec();
        parameters.push(json(directories)?.into());
        Ok((look, parameters.len(), parameters))
    }

    /// The statement that finds the nearest places in a range.
    fn look(
        &self,
        part: &Part,
        within: Within,
        range: Range,
        limit: usize,
    ) -> (String, Conditions) {
        let mut conditions = part.conditions.clone();
        let (feed, order) = match (within, part.kind) {
            (Within::Feed, None) => {
                conditions.and("feed.position >= {}", as_sql(range.first));
                conditions.and("feed.position <= {}", as_sql(range.last));
                ("feed", blocks::order_of_positions(self.rising))
            }
            (Within::Feed | Within::Directory(_) | Within::Each, kind) => {
                blocks::narrow(&mut conditions, within, kind, range);
                (blocks::FEED, blocks::order(self.rising))
            }
        };
        let of = conditions.to_sql();
        let sql =
            format!("SELECT feed.position FROM {feed} WHERE {of} ORDER BY {order} LIMIT {limit}");
        (sql, conditions)
    }
}
