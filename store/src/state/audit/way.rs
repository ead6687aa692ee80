//! How a page of the history comes from one event of a stream to the next.

use super::super::blocks::{self, Within};
use super::super::reading::page::Conditions;
use super::{Of, Range};
use crate::sqlite::as_sql;

/// How a part of a stream is read in its order.
pub(super) struct Way {
    /// The column with the places of the stream.
    pub(super) place: &'static str,
    pub(super) feed: &'static str,
    pub(super) order: &'static str,
    pub(super) conditions: Conditions,
}

impl Way {
    /// To the places behind the first of these, up to and with the second.
    pub(super) fn through(of: Of, (low, high): (u64, u64), rising: bool) -> Self {
        let mut conditions = Conditions::default();
        let (place, feed, order) = match (of.key, of.kind) {
            (Some(key), None) => {
                conditions.and("feed.directory = {}", key);
                ("feed.seq", "feed", if rising { "feed.seq ASC" } else { "feed.seq DESC" })
            }
            (None, None) => ("feed.position", "feed", blocks::order_of_positions(rising)),
            (key, kind @ Some(_)) => {
                let range = Range { first: low.saturating_add(1), last: high };
                let within = key.map_or(Within::Feed, Within::Directory);
                blocks::narrow(&mut conditions, within, kind, range);
                ("feed.position", blocks::FEED, blocks::order(rising))
            }
        };
        if of.kind.is_none() {
            conditions.and(&format!("{place} > {{}}"), as_sql(low));
            conditions.and(&format!("{place} <= {{}}"), as_sql(high));
        }
        Self { place, feed, order, conditions }
    }
}
