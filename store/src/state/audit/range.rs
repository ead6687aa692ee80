//! Where in the feed a list looks: the positions between its times, behind its cursor, within its window.

use std::time::Duration;

use rusqlite::Connection;
use schemas::{EventId, RequestId, Timestamp};

use super::super::feed::seq_up_to;
use super::super::rows::first;
use super::super::times::{not_after, not_before};
use super::{LOOKED_AT_MAX, later};
use crate::error::DbError;
use crate::sqlite::from_sql;

/// How long after a request came in the last event is decided that it causes: requests are given up long before.
const CAUSED_WITHIN: Duration = Duration::from_secs(600);

/// By how much a clock may have been set back while a request was under way.
const SET_BACK: Duration = Duration::from_secs(1);

/// When what a request causes is decided.
pub(crate) fn caused_between(request: RequestId) -> (Option<Timestamp>, Option<Timestamp>) {
    let at = request.made_at();
    let since = at.millis().saturating_sub(millis(SET_BACK));
    (Some(Timestamp::from_millis(since)), Some(at.after(CAUSED_WITHIN)))
}

/// The ids that events have which a request causes. Ids of one process rise, whatever its clock does.
pub(crate) fn caused_ids(request: RequestId) -> ([u8; 16], [u8; 16]) {
    (request.to_bytes(), later(EventId::from_bits(request.bits()), CAUSED_WITHIN))
}

/// Positions of the feed from the first to the last, both of them included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Range {
    pub(crate) first: u64,
    pub(crate) last: u64,
}

impl Range {
    pub(crate) const ALL: Self = Self { first: 1, last: u64::MAX };

    /// What a page of it looks at that begins at one of its ends, and where that part ends, if the feed goes on
    /// there. The feed itself has a lowest and a highest position.
    pub(crate) fn window(self, rising: bool, (low, high): (u64, u64)) -> (Self, Option<u64>) {
        let (low, high) = (self.first.max(low), self.last.min(high));
        let ends_at = if rising {
            Some(low.saturating_add(LOOKED_AT_MAX - 1)).filter(|end| *end < high)
        } else {
            Some(high.saturating_sub(LOOKED_AT_MAX - 1)).filter(|end| *end > low)
        };
        let window = match (rising, ends_at) {
            (true, Some(last)) => Self { first: low, last },
            (false, Some(first)) => Self { first, last: high },
            (_, None) => Self { first: low, last: high },
        };
        (window, ends_at)
    }

    /// What lies in both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { first: self.first.max(other.first), last: self.last.min(other.last) }
    }

    /// The least that holds both.
    pub(crate) fn or(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last) }
    }

    /// What of it comes up to a place, the place included.
    pub(crate) fn up_to(self, place: u64, rising: bool) -> Self {
        if rising {
            Self { last: self.last.min(place), ..self }
        } else {
            Self { first: self.first.max(place), ..self }
        }
    }

    /// What of it comes behind a cursor: greater than this, or smaller.
    pub(crate) fn behind(self, bound: u64, rising: bool) -> Self {
        if rising {
            Self { first: self.first.max(bound.saturating_add(1)), ..self }
        } else {
            Self { last: self.last.min(bound.saturating_sub(1)), ..self }
        }
    }
}

/// Where a range of times is in the feed.
pub(in crate::state) fn range(
    connection: &Connection,
    (from, to): (Option<Timestamp>, Option<Timestamp>),
) -> Result<Range, DbError> {
    let first = from.map(|from| not_before(connection, from)).transpose()?;
    let last = to.map(|to| not_after(connection, to)).transpose()?;
    Ok(Range { first: first.unwrap_or(1), last: last.unwrap_or(u64::MAX) })
}

/// Where in the feed is what a request caused.
pub(super) fn caused_by(connection: &Connection, request: RequestId) -> Result<Range, DbError> {
    let (low, high) = caused_ids(request);
    let position =
        |sql, id: [u8; 16]| first(connection, sql, [id], |row| Ok(from_sql(row.get(0)?)));
    let sql = "SELECT position FROM feed WHERE event_id >= ?1 ORDER BY event_id LIMIT 1";
    let first = position(sql, low)?.unwrap_or(u64::MAX);
    let sql = "SELECT position FROM feed WHERE event_id <= ?1 ORDER BY event_id DESC LIMIT 1";
    let last = position(sql, high)?.unwrap_or(0);
    Ok(range(connection, caused_between(request))?.or(Range { first, last }))
}

/// The places of a stream that lie in a range: those behind the first of these, up to and with the second.
pub(in crate::state) fn within(
    connection: &Connection,
    key: i64,
    range: Range,
) -> Result<(u64, u64), DbError> {
    let up_to = |position| Ok::<_, DbError>(seq_up_to(connection, key, position)?.0);
    let low = if range.first > 1 { up_to(range.first - 1)? } else { 0 };
    let high = if range.last < u64::MAX { up_to(range.last)? } else { u64::MAX };
    Ok((low, high))
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
