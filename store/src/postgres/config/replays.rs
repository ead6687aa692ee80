//! Replays: lanes that walk part of the feed once more.

use api::ports::{Conflict, LIVE_REPLAYS_MAX, NewReplay, Page, PageRequest, Replay};
use deadpool_postgres::{GenericClient, Transaction};
use schemas::{DirectoryId, EndpointId, ReplayId};

use super::query::{Parameters, all, execute, first, id, int};
use super::{About, Config};
use crate::columns::Columns as _;
use crate::config::endpoints::json;
use crate::config::replays::{COLUMNS, Extent, FINISHED_KEPT, read};
use crate::error::DbError;
use crate::ports::paging::by_id;
use crate::ports::{conflicted, not_found};

impl Config {
    pub(super) async fn create_replay(
        &self,
        new: NewReplay,
        extent: Extent,
    ) -> Result<Replay, DbError> {
        let mut client = self.db.client().await?;
        let change = self.begin(&mut client, About::Endpoints).await?;
        let replay = create(&change.tx, &new, extent).await?;
        self.commit(change).await?;
        Ok(replay)
    }

    pub(super) async fn replays(
        &self,
        endpoint: EndpointId,
        page: PageRequest<ReplayId>,
    ) -> Result<Page<Replay>, DbError> {
        let client = self.db.client().await?;
        exists(&client, endpoint).await?;
        let sql = format!("SELECT {COLUMNS} FROM replays WHERE endpoint = $1 ORDER BY id");
        let rows = all(&client, &sql, &[&id(endpoint.to_bytes())]).await?;
        let found = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        Ok(by_id(found, &page, |replay| replay.id))
    }

    pub(super) async fn replay(
        &self,
        endpoint: EndpointId,
        replay: ReplayId,
    ) -> Result<Replay, DbError> {
        get(&self.db.client().await?, endpoint, replay).await
    }

    pub(super) async fn cancel_replay(
        &self,
        endpoint: EndpointId,
        replay: ReplayId,
    ) -> Result<(), DbError> {
        let mut client = self.db.client().await?;
        let change = self.begin(&mut client, About::Endpoints).await?;
        let sql = "DELETE FROM replays WHERE id = $1 AND endpoint = $2";
        let parameters: Parameters<'_> = &[&id(replay.to_bytes()), &id(endpoint.to_bytes())];
        if execute(&change.tx, sql, parameters).await? == 0 {
            return Err(not_found());
        }
        self.commit(change).await
    }
}

async fn create(tx: &Transaction<'_>, new: &NewReplay, extent: Extent) -> Result<Replay, DbError> {
    let endpoint = id(new.endpoint.to_bytes());
    exists(tx, new.endpoint).await?;
    let sql = "SELECT count(*) FROM replays WHERE endpoint = $1 AND finished_at IS NULL";
    let live = first(tx, sql, &[&endpoint]).await?.map(|row| row.count(0)).transpose()?;
    if live >= Some(LIVE_REPLAYS_MAX as u64) {
        return Err(conflicted(Conflict::LiveReplays));
    }
    let directories: Vec<DirectoryId> = new.directory.into_iter().collect();
    // Where there is nothing to send there is no lane either.
    let finished_at = (extent.total == 0).then_some(new.created_at.millis());
    let sql = "INSERT INTO replays (id, endpoint, directories, events, rate, cursor, up_to, total,
            created_at, finished_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)";
    let parameters: Parameters<'_> = &[
        &id(new.id.to_bytes()),
        &endpoint,
        &json(&directories)?,
        &json(&new.events)?,
        &i64::from(new.rate.get()),
        &int(extent.after),
        &int(extent.up_to),
        &int(extent.total),
        &new.created_at.millis(),
        &finished_at,
    ];
    execute(tx, sql, parameters).await?;
    let sql = "DELETE FROM replays WHERE endpoint = $1 AND finished_at IS NOT NULL AND id <= (
        SELECT id FROM replays WHERE endpoint = $1 AND finished_at IS NOT NULL
        ORDER BY id DESC LIMIT 1 OFFSET $2)";
    execute(tx, sql, &[&endpoint, &FINISHED_KEPT]).await?;
    get(tx, new.endpoint, new.id).await
}

async fn exists(client: &impl GenericClient, endpoint: EndpointId) -> Result<(), DbError> {
    let sql = "SELECT 1 FROM endpoints WHERE id = $1";
    let found = first(client, sql, &[&id(endpoint.to_bytes())]).await?;
    found.map(drop).ok_or_else(not_found)
}

async fn get(
    client: &impl GenericClient,
    endpoint: EndpointId,
    replay: ReplayId,
) -> Result<Replay, DbError> {
    let sql = format!("SELECT {COLUMNS} FROM replays WHERE id = $1 AND endpoint = $2");
    let parameters: Parameters<'_> = &[&id(replay.to_bytes()), &id(endpoint.to_bytes())];
    let found = first(client, &sql, parameters).await?;
    found.map(|row| read(&row)).transpose()?.ok_or_else(not_found)
}
