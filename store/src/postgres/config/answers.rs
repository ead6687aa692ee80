//! Answers that are kept for who asks again.

use api::ports::{ANSWERS_KEPT, ANSWERS_MAX, Begun, Digest, KeptAnswer};
use schemas::Timestamp;

use super::Config;
use super::query::{execute, first, int};
use crate::config::answers::{counts, owner, stored, unanswered};
use crate::error::{DbError, unreadable};

impl Config {
    /// One statement takes the key, so of two replicas that are asked the same at once one is the first.
    pub(super) async fn begin_answer(
        &self,
        key: Digest,
        request: Digest,
        now: Timestamp,
    ) -> Result<Begun, DbError> {
        let client = self.db.client().await?;
        let oldest = now.millis() - i64::try_from(ANSWERS_KEPT.as_millis()).unwrap_or(i64::MAX);
        let sql = "INSERT INTO kept_answers AS old (key, request, begun_at) VALUES ($1, $2, $3)
            ON CONFLICT (key) DO UPDATE
            SET request = excluded.request, begun_at = excluded.begun_at, status = NULL, body = NULL
            WHERE old.begun_at <= $4";
        let counted = counts(key);
        let (key, request) = (key.to_vec(), request.to_vec());
        let parameters: super::query::Parameters<'_> = &[&key, &request, &now.millis(), &oldest];
        if execute(&client, sql, parameters).await? > 0 {
            // Two at a time: they go faster than they come.
            let sql = "DELETE FROM kept_answers WHERE key IN (SELECT key FROM kept_answers
                WHERE begun_at < $1 ORDER BY begun_at LIMIT 2 FOR UPDATE SKIP LOCKED)";
            execute(&client, sql, &[&oldest]).await?;
            if counted {
                let sql = "DELETE FROM kept_answers WHERE key IN (SELECT key FROM kept_answers
                    ORDER BY begun_at LIMIT greatest(0, (SELECT count(*) FROM kept_answers) - $1)
                    FOR UPDATE SKIP LOCKED)";
                execute(&client, sql, &[&int(ANSWERS_MAX)]).await?;
            }
            return Ok(Begun::First);
        }
        let sql = "SELECT request, begun_at, status, body FROM kept_answers WHERE key = $1";
        let found = first(&client, sql, &[&key]).await?;
        // It may have gone since. Whoever asks again then is the first.
        let Some(found) = found.map(|row| stored(&row)).transpose()? else {
            return Ok(Begun::Answering);
        };
        if found.request[..] != request {
            return Ok(Begun::OtherRequest);
        }
        let Some((status, body)) = found.answer else { return Ok(unanswered(found.begun_at, now)) };
        let key: Digest = key.try_into().map_err(|_| unreadable("key")("it has another length"))?;
        let body = self.sealer.open(owner(key), &body)?.into();
        Ok(Begun::Answered(KeptAnswer { status, body }))
    }

    pub(super) async fn end_answer(
        &self,
        key: Digest,
        answer: Option<KeptAnswer>,
    ) -> Result<(), DbError> {
        let client = self.db.client().await?;
        match answer {
            Some(answer) => {
                let text = String::from_utf8_lossy(&answer.body);
                let body = self.sealer.seal(owner(key), &text);
                let sql = "UPDATE kept_answers SET status = $2, body = $3 WHERE key = $1";
                let status = i64::from(answer.status);
                execute(&client, sql, &[&key.to_vec(), &status, &body]).await?
            }
            None => {
                let sql = "DELETE FROM kept_answers WHERE key = $1";
                execute(&client, sql, &[&key.to_vec()]).await?
            }
        };
        Ok(())
    }
}
