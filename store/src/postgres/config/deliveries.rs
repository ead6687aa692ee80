//! How far lanes have come: cursors and blocked lines, written together with the attempts, for many lanes at a time.
//!
//! The epoch is compared by the very statement that moves the cursor. What is refused there writes nothing else.

use std::collections::{BTreeMap, BTreeSet};

use deadpool_postgres::{GenericClient, Transaction};
use dispatcher::ports::{
    Blocked, DisableReason, FeedPosition, Fenced, Flush, LaneId, LaneState, Outcome,
};
use schemas::{EndpointId, EndpointKind, ReplayId, Timestamp};

use super::query::{Parameters, all, execute, first, id, int};
use super::{About, Config, attempts, operational, watch};
use crate::columns::Columns as _;
use crate::config::attempts::drop_every;
use crate::config::deliveries::{distances, failed_at_the_end, line_name, line_named, positions};
use crate::config::operational::{Note, notes, tells, turned_off};
use crate::error::{DbError, unreadable};

impl Config {
    pub(super) async fn lane(&self, lane: LaneId) -> Result<Option<LaneState>, DbError> {
        let client = self.db.client().await?;
        let (sql, owner) = match lane.replay {
            None => (
                "SELECT cursor, done, failing_since, is_told FROM endpoints WHERE id = $1",
                lane.endpoint.to_bytes(),
            ),
            Some(replay) => (
                "SELECT cursor, done, NULL::bigint, false FROM replays
                 WHERE id = $1 AND finished_at IS NULL",
                replay.to_bytes(),
            ),
        };
        let Some(row) = first(&client, sql, &[&id(owner)]).await? else { return Ok(None) };
        let cursor = FeedPosition(row.count(0)?);
        Ok(Some(LaneState {
            cursor,
            done: positions(cursor, &row.bytes(1)?),
            blocked: blocked(&client, lane, owner).await?,
            failing_since: row.time_if(2)?,
            is_told: row.flag(3)?,
        }))
    }

    pub(super) async fn flush(&self, flushes: Vec<Fenced>) -> Result<Vec<LaneId>, DbError> {
        let mut client = self.db.client().await?;
        let tx = client.transaction().await?;
        let is_finished = flushes.iter().any(|fenced| fenced.flush.is_finished);
        if is_finished {
            // Locked first, as by every change.
            let sql = "UPDATE configuration SET version = version + 1, endpoints = endpoints + 1";
            execute(&tx, sql, &[]).await?;
        }
        let moved = self.moved(&tx, &flushes).await?;
        let (own, refused): (Vec<Fenced>, Vec<Fenced>) =
            flushes.into_iter().partition(|fenced| moved.contains(&fenced.flush.lane));
        let own: Vec<Flush> = own.into_iter().map(|fenced| fenced.flush).collect();
        write_lines(&tx, &own).await?;
        attempts::add(&tx, &own).await?;
        self.count_attempts(&tx, &own).await?;
        let notes = notes_of(&tx, &own).await?;
        let told = if notes.is_empty() {
            None
        } else {
            Some(operational::insert(&tx, &notes, &*self.edge).await?)
        };
        if is_finished || told.is_some() {
            self.db.notify(&tx, watch::CHANGED).await?;
        }
        tx.commit().await?;
        if let Some(told) = told {
            self.memory.told(told);
        }
        if is_finished {
            drop(client);
            // It is written. What cannot be looked at now is looked at within a second.
            if let Err(error) = self.look().await {
                tracing::debug!(%error, "the end of a replay is not known yet");
            }
        }
        Ok(refused.into_iter().map(|fenced| fenced.flush.lane).collect())
    }

    pub(super) async fn disable(
        &self,
        endpoint: EndpointId,
        reason: DisableReason,
    ) -> Result<(), DbError> {
        let mut client = self.db.client().await?;
        let change = self.begin(&mut client, About::Endpoints).await?;
        let sql = "UPDATE endpoints SET enabled = false, disabled_reason = $2
            WHERE id = $1 AND enabled RETURNING url, kind";
        let parameters: Parameters<'_> = &[&id(endpoint.to_bytes()), &reason.name()];
        if let Some(row) = first(&change.tx, sql, parameters).await?
            && row.text(1)? == EndpointKind::Directory.name()
        {
            let note = turned_off(endpoint, &row.text(0)?, reason, self.now());
            operational::insert(&change.tx, &[note], &*self.edge).await?;
        }
        self.commit(change).await
    }

    /// Moves the cursors of the lanes whose epochs are still these.
    async fn moved(
        &self,
        tx: &Transaction<'_>,
        flushes: &[Fenced],
    ) -> Result<BTreeSet<LaneId>, DbError> {
        let mut moved = BTreeSet::new();
        let mut flushes: Vec<&Fenced> = flushes.iter().collect();
        flushes.sort_by_key(|fenced| fenced.flush.lane);
        let (live, replays): (Vec<&Fenced>, Vec<&Fenced>) =
            flushes.into_iter().partition(|fenced| fenced.flush.lane.replay.is_none());
        if !live.is_empty() {
            for row in move_live(tx, &live).await? {
                let endpoint = EndpointId::from_bytes(row.id(0)?);
                moved.insert(LaneId { endpoint, replay: None });
            }
        }
        if !replays.is_empty() {
            // First, as whoever deletes an endpoint with its replays has them.
            let endpoints = column(&replays, |flush| id(flush.lane.endpoint.to_bytes()));
            let sql = "SELECT id FROM endpoints WHERE id = ANY($1) ORDER BY id FOR KEY SHARE";
            all(tx, sql, &[&endpoints]).await?;
            for row in move_replays(tx, &replays, self.now()).await? {
                let endpoint = EndpointId::from_bytes(row.id(0)?);
                let replay = Some(ReplayId::from_bytes(row.id(1)?));
                moved.insert(LaneId { endpoint, replay });
            }
        }
        Ok(moved)
    }

    /// Counts the attempts of each endpoint, and drops its old ones every so many.
    async fn count_attempts(&self, tx: &Transaction<'_>, own: &[Flush]) -> Result<(), DbError> {
        let mut numbers = BTreeMap::<Vec<u8>, i64>::new();
        for flush in own.iter().filter(|flush| !flush.attempts.is_empty()) {
            let number = numbers.entry(id(flush.lane.endpoint.to_bytes())).or_default();
            *number += int(flush.attempts.len() as u64);
        }
        if numbers.is_empty() {
            return Ok(());
        }
        let (endpoints, numbers): (Vec<Vec<u8>>, Vec<i64>) = numbers.into_iter().unzip();
        let sql = "UPDATE endpoints SET attempted = attempted + number
            FROM unnest($1::bytea[], $2::bigint[]) AS more (endpoint, number)
            WHERE id = endpoint RETURNING id, attempted, number";
        let retention = self.retention();
        let every = drop_every(retention);
        for row in all(tx, sql, &[&endpoints, &numbers]).await? {
            let (attempted, number) = (row.integer(1)?, row.integer(2)?);
            if (attempted - number) / every != attempted / every {
                attempts::drop_old(tx, &row.bytes(0)?, retention).await?;
            }
        }
        Ok(())
    }
}

fn column<T>(flushes: &[&Fenced], of: impl Fn(&Flush) -> T) -> Vec<T> {
    flushes.iter().map(|fenced| of(&fenced.flush)).collect()
}

fn epochs(flushes: &[&Fenced]) -> Vec<i64> {
    flushes.iter().map(|fenced| int(fenced.epoch.0)).collect()
}

async fn move_live(
    tx: &Transaction<'_>,
    flushes: &[&Fenced],
) -> Result<Vec<tokio_postgres::Row>, DbError> {
    let sql = "UPDATE endpoints SET cursor = one.cursor, failing_since = one.failing_since,
            failed_in_a_row = CASE WHEN all_failed THEN failed_in_a_row ELSE 0 END + failed,
            is_told = one.is_told, done = one.done, is_paused = one.is_paused
        FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[], $5::boolean[],
            $6::bigint[], $7::boolean[], $8::bytea[], $9::boolean[])
            AS one (lane, under, cursor, failing_since, all_failed, failed, is_told, done, is_paused)
        WHERE id = lane AND epoch = under AND holder IS NOT NULL RETURNING id";
    let parameters: Parameters<'_> = &[
        &column(flushes, |flush| id(flush.lane.endpoint.to_bytes())),
        &epochs(flushes),
        &column(flushes, |flush| int(flush.cursor.0)),
        &column(flushes, |flush| flush.failing_since.map(Timestamp::millis)),
        &column(flushes, |flush| failed_at_the_end(flush).1),
        &column(flushes, |flush| int(failed_at_the_end(flush).0 as u64)),
        &column(flushes, |flush| flush.is_told),
        &column(flushes, |flush| distances(flush.cursor, &flush.done)),
        &column(flushes, |flush| flush.is_paused),
    ];
    all(tx, sql, parameters).await
}

async fn move_replays(
    tx: &Transaction<'_>,
    flushes: &[&Fenced],
    now: Timestamp,
) -> Result<Vec<tokio_postgres::Row>, DbError> {
    let delivered = |flush: &Flush| {
        let is_delivered = |outcome: Outcome| match outcome {
            Outcome::Delivered { .. } => true,
            Outcome::Failed(_) => false,
        };
        let attempts = flush.attempts.iter();
        int(attempts.filter(|attempt| is_delivered(attempt.outcome)).count() as u64)
    };
    let exhausted = |flush: &Flush| {
        int(flush.attempts.iter().filter(|attempt| attempt.exhausted).count() as u64)
    };
    let sql =
        "UPDATE replays SET cursor = one.cursor, delivered = replays.delivered + one.delivered,
            exhausted = replays.exhausted + one.exhausted, finished_at = one.finished_at,
            done = one.done
        FROM unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[],
            $6::bigint[], $7::bytea[])
            AS one (lane, under, cursor, delivered, exhausted, finished_at, done)
        WHERE id = lane AND epoch = under AND holder IS NOT NULL AND replays.finished_at IS NULL
        RETURNING endpoint, id";
    let replay = |flush: &Flush| id(flush.lane.replay.map_or([0; 16], ReplayId::to_bytes));
    let parameters: Parameters<'_> = &[
        &column(flushes, replay),
        &epochs(flushes),
        &column(flushes, |flush| int(flush.cursor.0)),
        &column(flushes, delivered),
        &column(flushes, exhausted),
        &column(flushes, |flush| flush.is_finished.then_some(now.millis())),
        &column(flushes, |flush| distances(flush.cursor, &flush.done)),
    ];
    all(tx, sql, parameters).await
}

/// Where the lines of a lane are.
const fn lines_of(is_replay: bool) -> &'static str {
    if is_replay { "replay_lines" } else { "blocked_lines" }
}

async fn blocked(
    client: &impl GenericClient,
    lane: LaneId,
    owner: [u8; 16],
) -> Result<Vec<Blocked>, DbError> {
    let sql = format!(
        "SELECT line, from_position, failures, due_at FROM {} WHERE owner = $1 ORDER BY line",
        lines_of(lane.replay.is_some())
    );
    let rows = all(client, &sql, &[&id(owner)]).await?;
    let blocked = rows.iter().map(|row| {
        let line = row.text(0)?;
        Ok(Blocked {
            line: line_named(&line).ok_or_else(|| unreadable("line")(line.as_str()))?,
            from: FeedPosition(row.count(1)?),
            failures: row.number(2)?,
            due: row.time_if(3)?,
        })
    });
    blocked.collect()
}

async fn write_lines(tx: &Transaction<'_>, own: &[Flush]) -> Result<(), DbError> {
    for is_replay in [false, true] {
        let of = own.iter().filter(|flush| flush.lane.replay.is_some() == is_replay);
        let owner = |flush: &Flush| {
            id(flush.lane.replay.map_or(flush.lane.endpoint.to_bytes(), ReplayId::to_bytes))
        };
        let table = lines_of(is_replay);
        let gone = of.clone().flat_map(|flush| {
            flush.unblocked.iter().map(move |line| (owner(flush), line_name(*line)))
        });
        let (owners, lines): (Vec<Vec<u8>>, Vec<String>) = gone.unzip();
        if !owners.is_empty() {
            let sql = format!(
                "DELETE FROM {table} AS lines USING unnest($1::bytea[], $2::text[])
                     AS gone (owner, line)
                 WHERE lines.owner = gone.owner AND lines.line = gone.line"
            );
            execute(tx, &sql, &[&owners, &lines]).await?;
        }
        let new: Vec<(Vec<u8>, &Blocked)> =
            of.flat_map(|flush| flush.blocked.iter().map(move |one| (owner(flush), one))).collect();
        if !new.is_empty() {
            block(tx, table, &new).await?;
        }
    }
    Ok(())
}

async fn block(
    tx: &Transaction<'_>,
    table: &str,
    new: &[(Vec<u8>, &Blocked)],
) -> Result<(), DbError> {
    let sql = format!(
        "INSERT INTO {table} (owner, line, from_position, failures, due_at)
         SELECT * FROM unnest($1::bytea[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[])
         ON CONFLICT (owner, line) DO UPDATE SET from_position = excluded.from_position,
             failures = excluded.failures, due_at = excluded.due_at"
    );
    let parameters: Parameters<'_> = &[
        &new.iter().map(|(owner, _)| owner).collect::<Vec<_>>(),
        &new.iter().map(|(_, one)| line_name(one.line)).collect::<Vec<_>>(),
        &new.iter().map(|(_, one)| int(one.from.0)).collect::<Vec<_>>(),
        &new.iter().map(|(_, one)| i64::from(one.failures)).collect::<Vec<_>>(),
        &new.iter().map(|(_, one)| one.due.map(Timestamp::millis)).collect::<Vec<_>>(),
    ];
    execute(tx, &sql, parameters).await?;
    Ok(())
}

/// What these flushes have to tell the operator. Nothing of an operational endpoint.
async fn notes_of(tx: &Transaction<'_>, own: &[Flush]) -> Result<Vec<Note>, DbError> {
    let telling: Vec<&Flush> = own.iter().filter(|flush| tells(flush)).collect();
    if telling.is_empty() {
        return Ok(Vec::new());
    }
    let ids: Vec<Vec<u8>> =
        telling.iter().map(|flush| id(flush.lane.endpoint.to_bytes())).collect();
    let sql = "SELECT id, url FROM endpoints WHERE id = ANY($1) AND kind = $2";
    let rows = all(tx, sql, &[&ids, &EndpointKind::Directory.name()]).await?;
    let urls = rows.iter().map(|row| Ok((EndpointId::from_bytes(row.id(0)?), row.text(1)?)));
    let urls = urls.collect::<Result<BTreeMap<_, _>, DbError>>()?;
    let of = |flush: &&Flush| {
        urls.get(&flush.lane.endpoint).map(|url| notes(flush, url)).unwrap_or_default()
    };
    Ok(telling.iter().flat_map(of).collect())
}
