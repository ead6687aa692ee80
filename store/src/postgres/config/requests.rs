//! The latest SCIM requests of each directory.

use std::collections::{BTreeMap, BTreeSet};

use api::ports::{Page, PageRequest, ScimRequest};
use deadpool_postgres::Transaction;
use ingest::request_log::{KEPT, Requested, UNAUTHORIZED_KEPT};
use schemas::{DirectoryId, RequestId};
use tokio_postgres::Row;

use super::Config;
use super::query::{Parameters, all, execute, first, id, int};
use crate::columns::Columns as _;
use crate::config::requests::{COLUMNS, Place, request};
use crate::error::{DbError, unreadable};

impl Config {
    /// Replicas write the requests of one directory at the same time. What is too old is dropped by whoever gets
    /// at it; nobody waits for another.
    pub(super) async fn keep_requests(&self, mut requests: Vec<Requested>) -> Result<(), DbError> {
        let mut client = self.db.client().await?;
        let tx = client.transaction().await?;
        let directories = requests.iter().map(|request| request.directory).collect();
        let keeps_bodies = held(&tx, directories).await?;
        requests.retain(|request| keeps_bodies.contains_key(&request.directory));
        // Bodies that were on their way here when they were turned off stay away.
        let is_off = |id| keeps_bodies.get(&id) != Some(&true);
        for request in requests.iter_mut().filter(|request| is_off(request.directory)) {
            (request.request_body, request.response_body) = (None, None);
        }
        insert(&tx, &requests).await?;
        for directory in keeps_bodies.into_keys() {
            drop_old(&tx, directory).await?;
        }
        Ok(tx.commit().await?)
    }

    pub(super) async fn requests(
        &self,
        directory: DirectoryId,
        page: PageRequest<RequestId>,
    ) -> Result<Page<ScimRequest>, DbError> {
        let client = self.db.client().await?;
        let place = Place::of(&page);
        let Place { operator, order, in_front, .. } = place;
        let sql = format!(
            "SELECT {COLUMNS} FROM scim_requests WHERE directory = $1 AND id {operator} $2
             ORDER BY id {order} LIMIT $3"
        );
        let (of, edge) = (id(directory.to_bytes()), place.edge());
        let limit = i64::from(page.limit) + 1;
        let rows = all(&client, &sql, &[&of, &edge, &limit]).await?;
        let items = rows.iter().map(request).collect::<Result<Vec<_>, _>>()?;
        let sql = format!(
            "SELECT 1 FROM scim_requests WHERE directory = $1 AND id {in_front} $2 LIMIT 1"
        );
        let anything = first(&client, &sql, &[&of, &edge]).await?.is_some();
        Ok(place.page(items, page.limit, anything))
    }
}

/// Those of the directories of which something is kept, and whether bodies are. Until the end of the transaction none of
/// them is deleted, and no bodies are turned off: whoever does that finds what was kept before, and removes it.
async fn held(
    tx: &Transaction<'_>,
    directories: BTreeSet<DirectoryId>,
) -> Result<BTreeMap<DirectoryId, bool>, DbError> {
    let ids: Vec<_> = directories.into_iter().map(|directory| id(directory.to_bytes())).collect();
    let sql = "SELECT id, debug_until IS NOT NULL FROM configured_directories
        WHERE id = ANY($1) AND NOT deleting ORDER BY id FOR SHARE";
    let rows = all(tx, sql, &[&ids]).await?;
    let read = |row: &Row| Ok((DirectoryId::from_bytes(row.id(0)?), row.flag(1)?));
    rows.iter().map(read).collect()
}

async fn insert(tx: &Transaction<'_>, requests: &[Requested]) -> Result<(), DbError> {
    fn column<'a, T>(requests: &'a [Requested], of: impl Fn(&'a Requested) -> T) -> Vec<T> {
        requests.iter().map(of).collect()
    }
    let tolerated = requests.iter().map(|request| serde_json::to_string(&request.tolerated));
    let tolerated: Vec<String> =
        tolerated.collect::<Result<_, _>>().map_err(unreadable("request"))?;
    let micros =
        |request: &Requested| i64::try_from(request.duration.as_micros()).unwrap_or(i64::MAX);
    let scim_type = |request: &Requested| request.scim_type.map(schemas::scim::ScimType::as_str);
    let sql =
        "INSERT INTO scim_requests (directory, id, at, method, path, status, scim_type, detail,
            duration_us, events, tolerated, request_body, response_body)
        SELECT * FROM unnest($1::bytea[], $2::bytea[], $3::bigint[], $4::text[], $5::text[],
            $6::bigint[], $7::text[], $8::text[], $9::bigint[], $10::bigint[], $11::text[],
            $12::text[], $13::text[])
        ON CONFLICT DO NOTHING";
    let parameters: Parameters<'_> = &[
        &column(requests, |one| id(one.directory.to_bytes())),
        &column(requests, |one| id(one.id.to_bytes())),
        &column(requests, |one| one.at.millis()),
        &column(requests, |one| one.method.as_str()),
        &column(requests, |one| one.path.as_str()),
        &column(requests, |one| i64::from(one.status)),
        &column(requests, scim_type),
        &column(requests, |one| one.detail.as_deref()),
        &column(requests, micros),
        &column(requests, |one| i64::from(one.events)),
        &tolerated,
        &column(requests, |one| one.request_body.as_deref()),
        &column(requests, |one| one.response_body.as_deref()),
    ];
    execute(tx, sql, parameters).await?;
    Ok(())
}

/// Drops what is older than the latest that are kept, first of those that nobody was let in with.
async fn drop_old(tx: &Transaction<'_>, directory: DirectoryId) -> Result<(), DbError> {
    for (which, kept) in [("status = 401", UNAUTHORIZED_KEPT), ("true", KEPT)] {
        let sql = format!(
            "DELETE FROM scim_requests WHERE directory = $1 AND id IN (
                 SELECT id FROM scim_requests WHERE directory = $1 AND {which} AND id <= (
                     SELECT id FROM scim_requests WHERE directory = $1 AND {which}
                     ORDER BY id DESC LIMIT 1 OFFSET $2)
                 FOR UPDATE SKIP LOCKED)"
        );
        execute(tx, &sql, &[&id(directory.to_bytes()), &int(kept as u64)]).await?;
    }
    Ok(())
}
