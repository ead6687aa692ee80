//! Which dispatcher holds which lane: a row for each dispatcher that lives, and with each lane its holder and its epoch.
//!
//! Time is the server's. Whoever takes lanes locks the dispatchers first and removes those whose time is over, so a
//! renewal that came too late finds itself removed, and none is overtaken by one that was about to renew.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use deadpool_postgres::{GenericClient, Transaction};
use dispatcher::ports::{DispatcherId, Epoch, LaneId, Lease, Standing};
use schemas::{EndpointId, ReplayId};
use tokio_postgres::Row;

use super::query::{all, execute, id, int};
use super::{Config, watch};
use crate::columns::Columns as _;
use crate::error::DbError;

/// Where lanes are: those that follow the feed with their endpoints, the others with their replays.
const TABLES: [&str; 2] = ["endpoints", "replays"];

impl Config {
    pub(super) async fn join(
        &self,
        dispatcher: DispatcherId,
        lasts: Duration,
    ) -> Result<(), DbError> {
        let mut client = self.db.client().await?;
        let tx = client.transaction().await?;
        let sql = "INSERT INTO dispatchers (id, expires_at)
            VALUES ($1, clock_timestamp() + $2 * interval '1 second')";
        execute(&tx, sql, &[&key(dispatcher), &lasts.as_secs_f64()]).await?;
        self.db.notify(&tx, watch::MOVED).await?;
        Ok(tx.commit().await?)
    }

    pub(super) async fn renew(
        &self,
        dispatcher: DispatcherId,
        lasts: Duration,
    ) -> Result<Option<Standing>, DbError> {
        let client = self.db.client().await?;
        let own = key(dispatcher);
        let sql = "UPDATE dispatchers SET expires_at = clock_timestamp() + $2 * interval '1 second'
            WHERE id = $1 AND expires_at > clock_timestamp()";
        if execute(&client, sql, &[&own, &lasts.as_secs_f64()]).await? == 0 {
            return Ok(None);
        }
        let sql = "SELECT id FROM dispatchers WHERE id <> $1 AND expires_at > clock_timestamp()";
        let others = all(&client, sql, &[&own]).await?;
        let others = others.iter().map(|row| dispatcher_of(row, 0));
        let others = others.collect::<Result<BTreeSet<_>, _>>()?;
        let sql = "SELECT endpoints.id, NULL::bytea, holder FROM endpoints
                JOIN dispatchers ON dispatchers.id = holder
                WHERE holder <> $1 AND expires_at > clock_timestamp()
            UNION ALL SELECT endpoint, replays.id, holder FROM replays
                JOIN dispatchers ON dispatchers.id = holder
                WHERE holder <> $1 AND expires_at > clock_timestamp() AND finished_at IS NULL";
        let held = all(&client, sql, &[&own]).await?;
        let held = held.iter().map(|row| Ok((lane_of(row)?, dispatcher_of(row, 2)?)));
        Ok(Some(Standing { others, held: held.collect::<Result<BTreeMap<_, _>, DbError>>()? }))
    }

    /// Whoever asks for what is theirs has not heard that they got it, and gets it once more, under the next epoch.
    pub(super) async fn lease(
        &self,
        dispatcher: DispatcherId,
        lanes: Vec<LaneId>,
    ) -> Result<Vec<Lease>, DbError> {
        let mut client = self.db.client().await?;
        let tx = client.transaction().await?;
        all(&tx, "SELECT id FROM dispatchers ORDER BY id FOR UPDATE", &[]).await?;
        let dead = "DELETE FROM dispatchers WHERE expires_at <= clock_timestamp()";
        execute(&tx, dead, &[]).await?;
        let mut leases = Vec::with_capacity(lanes.len());
        for (table, lanes) in TABLES.into_iter().zip(by_table(&lanes)) {
            let lane = if table == "replays" { "endpoint, id" } else { "id, NULL::bytea" };
            let sql = format!(
                "UPDATE {table} SET holder = $1, epoch = epoch + 1
                 WHERE id = ANY($2)
                     AND (holder = $1
                         OR NOT EXISTS (SELECT FROM dispatchers WHERE dispatchers.id = holder))
                     AND EXISTS (SELECT FROM dispatchers WHERE dispatchers.id = $1)
                 RETURNING {lane}, epoch"
            );
            for row in all(&tx, &sql, &[&key(dispatcher), &lanes]).await? {
                leases.push(Lease { lane: lane_of(&row)?, epoch: Epoch(row.count(2)?) });
            }
        }
        tx.commit().await?;
        Ok(leases)
    }

    pub(super) async fn release(
        &self,
        dispatcher: DispatcherId,
        leases: Vec<Lease>,
    ) -> Result<(), DbError> {
        let mut client = self.db.client().await?;
        let tx = client.transaction().await?;
        let lanes: Vec<LaneId> = leases.iter().map(|lease| lease.lane).collect();
        let epochs: BTreeMap<Vec<u8>, i64> =
            leases.iter().map(|lease| (row_of(lease.lane), int(lease.epoch.0))).collect();
        for (table, rows) in TABLES.into_iter().zip(by_table(&lanes)) {
            let epochs: Vec<i64> = rows.iter().filter_map(|row| epochs.get(row).copied()).collect();
            let sql = format!(
                "UPDATE {table} SET holder = NULL
                 FROM unnest($2::bytea[], $3::bigint[]) AS given (lane, under)
                 WHERE id = lane AND epoch = under AND holder = $1"
            );
            execute(&tx, &sql, &[&key(dispatcher), &rows, &epochs]).await?;
        }
        self.db.notify(&tx, watch::MOVED).await?;
        Ok(tx.commit().await?)
    }

    pub(super) async fn leave(&self, dispatcher: DispatcherId) -> Result<(), DbError> {
        let mut client = self.db.client().await?;
        let tx = client.transaction().await?;
        give_up(&tx, &key(dispatcher)).await?;
        self.db.notify(&tx, watch::MOVED).await?;
        Ok(tx.commit().await?)
    }
}

async fn give_up(tx: &Transaction<'_>, dispatcher: &Vec<u8>) -> Result<(), DbError> {
    execute(tx, "DELETE FROM dispatchers WHERE id = $1", &[dispatcher]).await?;
    for table in TABLES {
        let sql = format!("UPDATE {table} SET holder = NULL WHERE holder = $1");
        execute(tx, &sql, &[dispatcher]).await?;
    }
    Ok(())
}

fn key(dispatcher: DispatcherId) -> Vec<u8> {
    id(dispatcher.bits().to_be_bytes())
}

fn dispatcher_of(row: &Row, column: usize) -> Result<DispatcherId, DbError> {
    Ok(DispatcherId::from_bits(u128::from_be_bytes(row.id(column)?)))
}

fn lane_of(row: &Row) -> Result<LaneId, DbError> {
    let replay = row.id_if(1)?.map(ReplayId::from_bytes);
    Ok(LaneId { endpoint: EndpointId::from_bytes(row.id(0)?), replay })
}

/// The row that a lane is kept in.
fn row_of(lane: LaneId) -> Vec<u8> {
    id(lane.replay.map_or(lane.endpoint.to_bytes(), ReplayId::to_bytes))
}

/// The rows of lanes, for each of the tables. They are locked in this order, whoever does it.
fn by_table(lanes: &[LaneId]) -> [Vec<Vec<u8>>; 2] {
    let of = |is_replay: bool| {
        let lanes = lanes.iter().filter(|lane| lane.replay.is_some() == is_replay);
        let mut rows: Vec<Vec<u8>> = lanes.map(|lane| row_of(*lane)).collect();
        rows.sort_unstable();
        rows
    };
    [of(false), of(true)]
}
