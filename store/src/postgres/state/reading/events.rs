//! Lists of events. What several types and directories have to show is found by the nearest event of each, as
//! `crate::state::reading::events` explains it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use api::ports::{Cursor, EventFilter, Page, PageRequest, StoredEvent};
use schemas::{EventId, EventType};

use super::super::super::query::Moment;
use super::super::super::rows::{Columns as _, as_sql};
use super::super::State;
use super::super::feed::FROM;
use super::super::times::range;
use super::page::{array, confined, is_rising};
use super::{EVENT_COLUMNS, event_bound, stored_event};
use crate::config::Known;
use crate::error::DbError;
use crate::state::audit::{Of, Range};
use crate::state::reading::page::{finished, in_front_of, map_page};

impl State {
    pub(in crate::postgres::state) async fn api_events(
        &self,
        known: Arc<Known>,
        request: PageRequest<EventId>,
        filter: EventFilter,
    ) -> Result<Page<StoredEvent>, DbError> {
        let mut client = self.client().await?;
        let moment = Moment::reading(&mut client).await?;
        let confined = confined(&moment, &known, request.reach, filter.organization, None).await?;
        let rising = is_rising(&request);
        moment.walking().await?;
        let parts = parts(&moment, &filter, confined).await?;
        let looking = Looking { moment: &moment, parts, rising };
        // No index has the times; what is kept of them leads to where the range lies.
        let range = range(&moment, (filter.from, filter.to)).await?;
        let (mut ahead, mut in_front) = (range, None);
        if let Some(Cursor::After(id) | Cursor::Before(id)) = request.cursor {
            let bound = event_bound(&moment, id, rising).await?;
            ahead = range.behind(bound, rising);
            in_front = Some(range.up_to(bound, rising));
        }
        let places = looking.places(ahead, request.limit as usize + 1).await?;
        let mut page = finished(places, &request);
        if let Some(in_front) = in_front
            && !page.items.is_empty()
        {
            // The cursors of an empty page lead nowhere.
            page = in_front_of(page, &request, looking.is_any(in_front).await?);
        }
        let mut events = at(&moment, &page.items).await?;
        map_page(page, |place| events.remove(&place).map(Ok))
    }
}

/// The events at these places. Now that they are known, no more is read than is shown.
async fn at(moment: &Moment<'_>, places: &[i64]) -> Result<BTreeMap<i64, StoredEvent>, DbError> {
    let Some(first) = places.iter().min() else { return Ok(BTreeMap::new()) };
    let sql = format!("SELECT {EVENT_COLUMNS} FROM feed WHERE {FROM} AND feed.position = ANY($2)");
    let rows = moment.all(&sql, &[&(first - 1), &places]).await?;
    rows.iter().map(|row| Ok((row.value(0)?, stored_event(row)?))).collect()
}

/// Those of the streams that have the nearest events of a range, up to so many: no other has any of the first so many
/// events.
pub(in crate::postgres::state) async fn nearest(
    moment: &Moment<'_>,
    streams: Vec<Of>,
    range: Range,
    rising: bool,
    limit: usize,
) -> Result<Vec<Of>, DbError> {
    // Those of the whole feed are as few as there are types.
    if streams.len() <= limit || streams.iter().any(|of| of.key.is_none()) {
        return Ok(streams);
    }
    moment.walking().await?;
    let looking = Looking { moment, parts: parts_of(&streams), rising };
    let heads = looking.heads(range, limit).await?;
    let of = |head: Head| Of { key: Some(head.directory), kind: looking.parts[head.of].kind };
    Ok(heads.into_iter().map(of).collect())
}

/// Those of directories, by type.
fn parts_of(streams: &[Of]) -> Vec<Part> {
    let kinds: BTreeSet<Option<EventType>> = streams.iter().map(|of| of.kind).collect();
    let part = |kind: Option<EventType>| {
        let directories = streams.iter().filter(|of| of.kind == kind).filter_map(|of| of.key);
        let condition = "true".to_owned();
        Part { condition, kind, directories: Some(directories.collect()) }
    };
    kinds.into_iter().map(part).collect()
}

/// Events that an index leads through: of the whole feed, or of each of some directories. The condition is made of
/// numbers.
struct Part {
    condition: String,
    kind: Option<EventType>,
    directories: Option<Vec<i64>>,
}

/// What a list is made of. No event is in two parts.
async fn parts(
    moment: &Moment<'_>,
    filter: &EventFilter,
    confined: Option<Vec<i64>>,
) -> Result<Vec<Part>, DbError> {
    let mut condition = "true".to_owned();
    if let Some(from) = filter.from {
        condition.push_str(&format!(" AND feed.created_at >= {}", from.millis()));
    }
    if let Some(to) = filter.to {
        condition.push_str(&format!(" AND feed.created_at <= {}", to.millis()));
    }
    if !filter.types.is_empty() {
        return Ok(of_types(&filter.types, &condition, confined.as_deref()));
    }
    // Most feeds hold nothing that apps never see, and are read without an eye to types. Where there is any, there may
    // be a million in a row, which no list may walk through.
    let told: Vec<EventType> =
        EventType::ALL.iter().copied().filter(|kind| kind.is_told()).collect();
    let Some(directories) = confined else {
        return Ok(if is_anything_untold(moment).await? {
            of_types(&told, &condition, None)
        } else {
            vec![Part { condition, kind: None, directories: None }]
        });
    };
    let untold = with_untold(moment, &directories).await?;
    let (mixed, plain): (Vec<i64>, Vec<i64>) =
        directories.into_iter().partition(|key| untold.contains(key));
    let mut parts = of_types(&told, &condition, Some(&mixed));
    parts.push(Part { condition, kind: None, directories: Some(plain) });
    parts.retain(|part| part.directories.as_ref().is_none_or(|keys| !keys.is_empty()));
    Ok(parts)
}

/// An index leads through one type, and none through some of them.
fn of_types(types: &[EventType], condition: &str, directories: Option<&[i64]>) -> Vec<Part> {
    let kinds: BTreeSet<EventType> = types.iter().copied().collect();
    let of_type = |kind: EventType| Part {
        condition: condition.to_owned(),
        kind: Some(kind),
        directories: directories.map(<[i64]>::to_vec),
    };
    kinds.into_iter().map(of_type).collect()
}

/// What apps never see, of the whole feed or of some directories.
fn untold(directories: Option<&[i64]>) -> Vec<Part> {
    let untold: Vec<EventType> =
        EventType::ALL.iter().copied().filter(|kind| !kind.is_told()).collect();
    of_types(&untold, "true", directories)
}

async fn is_anything_untold(moment: &Moment<'_>) -> Result<bool, DbError> {
    Looking { moment, parts: untold(None), rising: true }.is_any(Range::ALL).await
}

/// Those of the directories that hold such.
async fn with_untold(moment: &Moment<'_>, directories: &[i64]) -> Result<BTreeSet<i64>, DbError> {
    if !is_anything_untold(moment).await? {
        return Ok(BTreeSet::new());
    }
    let looking = Looking { moment, parts: untold(Some(directories)), rising: true };
    let heads = looking.heads(Range::ALL, directories.len() * looking.parts.len()).await?;
    Ok(heads.into_iter().map(|head| head.directory).collect())
}

/// A look at the feed, in one direction.
struct Looking<'a> {
    moment: &'a Moment<'a>,
    parts: Vec<Part>,
    rising: bool,
}

/// The nearest event that a part has in one of its directories.
struct Head {
    place: i64,
    of: usize,
    directory: i64,
}

impl Looking<'_> {
    /// The places in a range, the nearest first.
    async fn places(&self, range: Range, limit: usize) -> Result<Vec<i64>, DbError> {
        let heads = self.heads(range, limit).await?;
        let last = heads.last().filter(|_| heads.len() == limit);
        let near = last.map_or(range, |last| range.up_to(last.place.unsigned_abs(), self.rising));
        let mut of_each: BTreeMap<usize, Vec<i64>> = BTreeMap::new();
        for head in heads {
            of_each.entry(head.of).or_default().push(head.directory);
        }
        let mut looks = Vec::new();
        for (of, part) in self.parts.iter().enumerate() {
            if part.directories.is_none() {
                looks.push(format!("({})", self.look(part, None, range, limit)));
            } else if let Some(keys) = of_each.get(&of) {
                let of_each = self.looks(part, keys, near, limit);
                looks.push(format!("SELECT position FROM ({of_each}) AS of_each"));
            }
        }
        if looks.is_empty() {
            return Ok(Vec::new());
        }
        let all = looks.join(" UNION ALL ");
        let sql = format!("SELECT position FROM ({all}) AS places {}", self.order(limit));
        self.moment.once(&sql, &[]).await?.iter().map(|row| row.value(0)).collect()
    }

    /// Whether there is anything in a range.
    async fn is_any(&self, range: Range) -> Result<bool, DbError> {
        let look = |part: &Part| match &part.directories {
            None => format!("({})", self.look(part, None, range, 1)),
            Some(keys) => {
                let of_each = self.looks(part, keys, range, 1);
                format!("(SELECT position FROM ({of_each}) AS of_each LIMIT 1)")
            }
        };
        let looks: Vec<String> = self.parts.iter().map(look).collect();
        if looks.is_empty() {
            return Ok(false);
        }
        let sql = format!("SELECT 1 FROM ({}) AS places LIMIT 1", looks.join(" UNION ALL "));
        Ok(!self.moment.once(&sql, &[]).await?.is_empty())
    }

    /// The nearest of all directories, up to so many.
    async fn heads(&self, range: Range, limit: usize) -> Result<Vec<Head>, DbError> {
        let mut looks = Vec::new();
        for (of, part) in self.parts.iter().enumerate() {
            let Some(keys) = &part.directories else { continue };
            let of_each = self.looks(part, keys, range, 1);
            looks.push(format!(
                "SELECT {of}::bigint AS part, key, position FROM ({of_each}) AS nearest"
            ));
        }
        if looks.is_empty() {
            return Ok(Vec::new());
        }
        let all = looks.join(" UNION ALL ");
        let sql = format!("SELECT position, part, key FROM ({all}) AS heads {}", self.order(limit));
        let rows = self.moment.once(&sql, &[]).await?;
        let head = |row: &tokio_postgres::Row| {
            let of: i64 = row.value(1)?;
            let of = usize::try_from(of).unwrap_or(usize::MAX);
            Ok(Head { place: row.value(0)?, of, directory: row.value(2)? })
        };
        rows.iter().map(head).collect()
    }

    /// The places in a range: of the whole feed, or of the directory with this key.
    fn look(&self, part: &Part, directory: Option<&str>, range: Range, limit: usize) -> String {
        let direction = if self.rising { "ASC" } else { "DESC" };
        // A range of directories, types and positions: so nothing leads there but the index of these.
        let (mut columns, mut values) = (Vec::new(), String::new());
        if let Some(key) = directory {
            columns.push("feed.directory");
            values.push_str(&format!("{key}, "));
        }
        if let Some(kind) = part.kind {
            columns.push("feed.event");
            values.push_str(&format!("'{}', ", kind.name()));
        }
        columns.push("feed.position");
        let (row, condition) = (columns.join(", "), &part.condition);
        let order: Vec<_> = columns.iter().map(|column| format!("{column} {direction}")).collect();
        format!(
            "SELECT feed.position FROM feed WHERE {condition}
                 AND ({row}) >= ({values}{}) AND ({row}) <= ({values}{})
             ORDER BY {} LIMIT {limit}",
            as_sql(range.first),
            as_sql(range.last),
            order.join(", ")
        )
    }

    /// So many places of each of these directories, which are looked at one after the other.
    fn looks(&self, part: &Part, keys: &[i64], range: Range, limit: usize) -> String {
        format!(
            "SELECT within.key, of.position FROM unnest({}) AS within (key)
             CROSS JOIN LATERAL ({}) AS of",
            array(keys),
            self.look(part, Some("within.key"), range, limit)
        )
    }

    fn order(&self, limit: usize) -> String {
        let direction = if self.rising { "ASC" } else { "DESC" };
        format!("ORDER BY position {direction} LIMIT {limit}")
    }
}
