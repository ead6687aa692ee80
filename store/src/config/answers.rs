//! Answers that are kept for who asks again.

use api::ports::{ANSWERING_MAX, ANSWERS_KEPT, ANSWERS_MAX, Begun, Digest, KeptAnswer};
use rusqlite::{Connection, params};
use schemas::Timestamp;

use super::Config;
use crate::columns::Columns;
use crate::error::DbError;
use crate::sqlite::as_sql;
use crate::state::rows::first;

/// A request as it is stored.
pub(crate) struct Stored {
    pub(crate) request: Digest,
    pub(crate) begun_at: Timestamp,
    pub(crate) answer: Option<(u16, Vec<u8>)>,
}

impl Config {
    pub(crate) async fn begin_answer(
        &self,
        key: Digest,
        request: Digest,
        now: Timestamp,
    ) -> Result<Begun, DbError> {
        let found =
            self.durable.run(move |connection| begin(connection, key, request, now)).await?;
        let Some(found) = found else { return Ok(Begun::First) };
        if found.request != request {
            return Ok(Begun::OtherRequest);
        }
        let Some((status, body)) = found.answer else { return Ok(unanswered(found.begun_at, now)) };
        let body = self.sealer.open(owner(key), &body)?.into();
        Ok(Begun::Answered(KeptAnswer { status, body }))
    }

    pub(crate) async fn end_answer(
        &self,
        key: Digest,
        answer: Option<KeptAnswer>,
    ) -> Result<(), DbError> {
        let answer = answer.map(|answer| {
            let body = String::from_utf8_lossy(&answer.body);
            (answer.status, self.sealer.seal(owner(key), &body))
        });
        self.durable
            .run(move |connection| {
                match answer {
                    Some((status, body)) => connection
                        .prepare_cached(
                            "UPDATE kept_answers SET status = ?2, body = ?3 WHERE key = ?1",
                        )?
                        .execute(params![key, status, body])?,
                    None => connection
                        .prepare_cached("DELETE FROM kept_answers WHERE key = ?1")?
                        .execute([key])?,
                };
                Ok(())
            })
            .await
    }
}

/// What the key was used for, if it still counts; otherwise the key is taken.
fn begin(
    connection: &Connection,
    key: Digest,
    request: Digest,
    now: Timestamp,
) -> Result<Option<Stored>, DbError> {
    let sql = "SELECT request, begun_at, status, body FROM kept_answers WHERE key = ?1";
    let found = first(connection, sql, [key], |row| stored(row))?;
    if let Some(found) = found.filter(|found| now.since(found.begun_at) < ANSWERS_KEPT) {
        return Ok(Some(found));
    }
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO kept_answers (key, request, begun_at) VALUES (?1, ?2, ?3)",
        )?
        .execute(params![key, request, now.millis()])?;
    // Two at a time: they go faster than they come.
    let kept = i64::try_from(ANSWERS_KEPT.as_millis()).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "DELETE FROM kept_answers WHERE key IN
                 (SELECT key FROM kept_answers WHERE begun_at < ?1 ORDER BY begun_at LIMIT 2)",
        )?
        .execute([now.millis() - kept])?;
    if counts(key) {
        drop_beyond(connection, ANSWERS_MAX)?;
    }
    Ok(None)
}

/// Whether they are counted when this key is taken. That takes as long as there are many, and keys are as good as
/// chance: one in 256 is enough for what may be a little more.
pub(crate) const fn counts(key: Digest) -> bool {
    key[0] == 0
}

/// Drops the oldest beyond so many.
fn drop_beyond(connection: &Connection, max: u64) -> Result<(), DbError> {
    let sql =
        "DELETE FROM kept_answers WHERE key IN (SELECT key FROM kept_answers ORDER BY begun_at
        LIMIT max(0, (SELECT count(*) FROM kept_answers) - ?1))";
    connection.prepare_cached(sql)?.execute([as_sql(max)])?;
    Ok(())
}

/// What is said of a request that has no answer.
pub(crate) fn unanswered(begun_at: Timestamp, now: Timestamp) -> Begun {
    if now.since(begun_at) < ANSWERING_MAX { Begun::Answering } else { Begun::Unresolved }
}

/// What is kept of its request, its time, its status and its body.
pub(crate) fn stored(row: &impl Columns) -> Result<Stored, DbError> {
    let (status, body) = (row.number_if(2)?, row.bytes_if(3)?);
    Ok(Stored { request: row.digest(0)?, begun_at: row.time(1)?, answer: status.zip(body) })
}

/// What a sealed body belongs to.
pub(crate) fn owner(key: Digest) -> [u8; 16] {
    *key.first_chunk().expect("a digest is longer")
}
