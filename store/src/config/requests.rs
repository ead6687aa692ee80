//! The latest SCIM requests of each directory.

use std::collections::BTreeSet;
use std::time::Duration;

use api::ports::{Cursor, Order, Page, PageRequest, ScimRequest};
use ingest::request_log::{KEPT, Requested, UNAUTHORIZED_KEPT};
use rusqlite::{Connection, params};
use schemas::{DirectoryId, RequestId};

use super::Config;
use crate::columns::Columns;
use crate::error::{DbError, unreadable};
use crate::sqlite::as_sql;
use crate::state::rows::{all, first};

impl Config {
    pub(crate) async fn keep_requests(&self, mut requests: Vec<Requested>) -> Result<(), DbError> {
        // Bodies that were on their way here when they were turned off stay away.
        let known = self.known();
        let is_off = |id| known.get(id).is_none_or(|known| known.debug_until.is_none());
        for request in requests.iter_mut().filter(|request| is_off(request.directory)) {
            (request.request_body, request.response_body) = (None, None);
        }
        self.progress
            .run(move |connection| {
                let transaction = connection.transaction()?;
                for request in &requests {
                    insert(&transaction, request)?;
                }
                let directories: BTreeSet<DirectoryId> =
                    requests.iter().map(|request| request.directory).collect();
                for directory in directories {
                    drop_old(&transaction, directory)?;
                }
                transaction.commit()?;
                Ok(())
            })
            .await
    }

    pub(crate) async fn requests(
        &self,
        directory: DirectoryId,
        page: PageRequest<RequestId>,
    ) -> Result<Page<ScimRequest>, DbError> {
        self.read(move |connection| read(connection, directory, &page)).await
    }
}

/// Nothing is kept of a directory that is being deleted.
fn insert(connection: &Connection, request: &Requested) -> Result<(), DbError> {
    let tolerated = serde_json::to_string(&request.tolerated).map_err(unreadable("request"))?;
    let duration = u64::try_from(request.duration.as_micros()).unwrap_or(u64::MAX);
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO scim_requests (directory, id, at, method, path, status, scim_type,
                 detail, duration_us, events, tolerated, request_body, response_body)
             SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13
             WHERE EXISTS (SELECT 1 FROM directories WHERE id = ?1 AND deleting = 0)",
        )?
        .execute(params![
            request.directory.to_bytes(),
            request.id.to_bytes(),
            request.at.millis(),
            request.method,
            request.path,
            request.status,
            request.scim_type.map(schemas::scim::ScimType::as_str),
            request.detail,
            as_sql(duration),
            request.events,
            tolerated,
            request.request_body,
            request.response_body,
        ])?;
    Ok(())
}

/// Drops what is older than the latest that are kept, first of those that nobody was let in with.
fn drop_old(connection: &Connection, directory: DirectoryId) -> Result<(), DbError> {
    for (which, kept) in [("status = 401", UNAUTHORIZED_KEPT), ("TRUE", KEPT)] {
        let sql = format!(
            "DELETE FROM scim_requests WHERE directory = ?1 AND {which} AND id <= (
                 SELECT id FROM scim_requests WHERE directory = ?1 AND {which}
                 ORDER BY id DESC LIMIT 1 OFFSET ?2)"
        );
        let parameters = params![directory.to_bytes(), as_sql(kept as u64)];
        connection.prepare_cached(&sql)?.execute(parameters)?;
    }
    Ok(())
}

fn read(
    connection: &Connection,
    directory: DirectoryId,
    page: &PageRequest<RequestId>,
) -> Result<Page<ScimRequest>, DbError> {
    let place = Place::of(page);
    let Place { operator, order, in_front, .. } = place;
    let sql = format!(
        "SELECT {COLUMNS}
         FROM scim_requests WHERE directory = ?1 AND id {operator} ?2 ORDER BY id {order} LIMIT ?3"
    );
    let (of, edge) = (directory.to_bytes(), place.edge());
    let parameters = params![of, edge, i64::from(page.limit) + 1];
    let items = all(connection, &sql, parameters, |row| request(row))?;
    let sql =
        format!("SELECT 1 FROM scim_requests WHERE directory = ?1 AND id {in_front} ?2 LIMIT 1");
    let anything = first(connection, &sql, params![of, edge], |_| Ok(()))?.is_some();
    Ok(place.page(items, page.limit, anything))
}

/// The columns of [`request`], in its order.
pub(crate) const COLUMNS: &str = "id, at, method, path, status, scim_type, detail, duration_us, \
    events, tolerated, request_body, response_body";

pub(crate) fn request(row: &impl Columns) -> Result<ScimRequest, DbError> {
    Ok(ScimRequest {
        id: RequestId::from_bytes(row.id(0)?),
        at: row.time(1)?,
        method: row.text(2)?,
        path: row.text(3)?,
        status: row.number(4)?,
        scim_type: row.text_if(5)?,
        detail: row.text_if(6)?,
        duration: Duration::from_micros(row.count(7)?),
        events: row.number(8)?,
        tolerated: serde_json::from_str(&row.text(9)?).map_err(unreadable("request"))?,
        request_body: row.text_if(10)?,
        response_body: row.text_if(11)?,
    })
}

/// What is behind a cursor in the order of the list, read from the cursor on.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    pub(crate) operator: &'static str,
    pub(crate) order: &'static str,
    /// What is in front of the cursor, or where it points.
    pub(crate) in_front: &'static str,
    bound: Option<RequestId>,
    backwards: bool,
    falling: bool,
}

impl Place {
    pub(crate) fn of(page: &PageRequest<RequestId>) -> Self {
        let descending = page.order == Order::Descending;
        let (bound, backwards) = match page.cursor {
            None => (None, false),
            Some(Cursor::After(id)) => (Some(id), false),
            Some(Cursor::Before(id)) => (Some(id), true),
        };
        let falling = descending != backwards;
        let (operator, order, in_front) =
            if falling { ("<", "DESC", ">=") } else { (">", "ASC", "<=") };
        Self { operator, order, in_front, bound, backwards, falling }
    }

    /// The id to begin behind; beyond all of them without a cursor.
    pub(crate) fn edge(&self) -> Vec<u8> {
        self.bound.map_or_else(
            || if self.falling { vec![0xff; size_of::<u128>() + 1] } else { Vec::new() },
            |id| id.to_bytes().to_vec(),
        )
    }

    /// The page of what was read from there, one more than it may hold, and of whether there is anything in front.
    pub(crate) fn page(
        &self,
        mut items: Vec<ScimRequest>,
        limit: u32,
        anything: bool,
    ) -> Page<ScimRequest> {
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        if self.backwards {
            items.reverse();
        }
        let (has_before, has_after) =
            if self.backwards { (more, anything) } else { (anything, more) };
        Page { items, has_before, has_after }
    }
}
