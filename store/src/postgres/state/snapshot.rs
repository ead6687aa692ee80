//! The state as of one moment, for `dsync verify`: on a connection of its own, whatever else is going on.

use deadpool_postgres::{ClientWrapper, Object};
use log::Partition;
use projector::ports::BoxError;
use projector::verify::{
    Columns as Written, StoredDirectory, StoredEvent, StoredPendingMember, StoredResource,
    VerifyError,
};
use projector::{Position, StoredHead};
use schemas::{DirectoryId, EventId, Head, ScimId, Seq, StoredChange, Timestamp, TokenId};
use tokio::runtime::Handle;
use tokio_postgres::Row;

use super::super::Postgres;
use super::super::lookup::owned_key;
use super::super::query::Parameters;
use super::super::rows::{Columns, as_sql};
use super::rows::shown;
use super::{HEADS, POSITION, head_of, position_in};
use crate::error::{DbError, OpenError, unreadable};
use crate::written::{self, written};

/// How many rows are fetched at once.
const PAGE: usize = 1_024;

/// A block of times that are not what the feed says, or that is missing among others.
const MISLEADING_TIMES: &str = "SELECT block FROM (
        SELECT block, earliest, latest, low, max(high) OVER (ORDER BY block) AS highest
        FROM (SELECT (position - 1) / 1024 AS block, min(created_at) AS low, max(created_at) AS high
              FROM feed GROUP BY 1) AS blocks
        FULL JOIN feed_times USING (block)) AS times
    WHERE block <= (SELECT max(block) FROM feed_times)
        AND (earliest IS DISTINCT FROM low OR latest IS DISTINCT FROM highest) LIMIT 1";

/// One moment of the state, held by a transaction that only reads. Its methods block, on a thread that is not one of
/// the runtime's.
#[derive(Debug)]
pub(crate) struct Snapshot {
    runtime: Handle,
    client: ClientWrapper,
}

impl Snapshot {
    pub(crate) async fn take(postgres: &Postgres) -> Result<Self, OpenError> {
        let failed = |error| OpenError::server(postgres.settings(), error);
        let client = Object::take(postgres.client().await.map_err(failed)?);
        // The first read fixes the moment.
        let begin = "SET statement_timeout = 0; SET idle_in_transaction_session_timeout = 0;
            BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
            SELECT count(*) FROM positions";
        client.batch_execute(begin).await.map_err(|error| failed(error.into()))?;
        Ok(Self { runtime: Handle::current(), client })
    }

    fn all<T>(
        &self,
        sql: &str,
        parameters: Parameters<'_>,
        read: impl Fn(&Row) -> Result<T, DbError>,
    ) -> Result<Vec<T>, BoxError> {
        let rows = self.runtime.block_on(self.client.query(sql, parameters))?;
        Ok(rows.iter().map(read).collect::<Result<_, _>>()?)
    }

    /// What of a directory does not go with its other rows.
    fn discord(&self, key: i64) -> Result<Option<&'static str>, BoxError> {
        for (what, holds) in written::ACCORDS {
            let sql = format!("SELECT {holds} FROM directories WHERE key = $1");
            let holds = self.all(&sql, &[&key], |row| row.value::<bool>(0))?;
            if holds == [false] {
                return Ok(Some(what));
            }
        }
        Ok(None)
    }

    /// Calls for each row of a directory. A cursor fetches them page by page, so that few are held at a time.
    fn each<T>(
        &self,
        sql: &str,
        directory: DirectoryId,
        read: impl Fn(&Row) -> Result<T, DbError>,
        mut call: impl FnMut(T) -> Result<(), VerifyError>,
    ) -> Result<(), VerifyError> {
        let unread = |error: tokio_postgres::Error| VerifyError::Store(error.into());
        let declare = format!("DECLARE walked NO SCROLL CURSOR FOR {sql}");
        let directory = directory.to_bytes();
        let parameters: Parameters<'_> = &[&&directory[..]];
        self.runtime.block_on(self.client.execute(&declare, parameters)).map_err(unread)?;
        loop {
            let fetch = format!("FETCH {PAGE} FROM walked");
            let rows = self.runtime.block_on(self.client.query(&fetch, &[])).map_err(unread)?;
            for row in &rows {
                call(read(row).map_err(|error| VerifyError::Store(error.into()))?)?;
            }
            if rows.len() < PAGE {
                return self
                    .runtime
                    .block_on(self.client.batch_execute("CLOSE walked"))
                    .map_err(unread);
            }
        }
    }
}

impl projector::verify::Snapshot for Snapshot {
    fn partitions(&mut self) -> Result<Vec<Partition>, BoxError> {
        let sql = "SELECT partition FROM positions WHERE next > 0
            UNION SELECT partition FROM directories ORDER BY partition";
        self.all(sql, &[], |row| {
            let number: i32 = row.value(0)?;
            Ok(Partition(number.try_into().map_err(unreadable("partition"))?))
        })
    }

    fn position(&mut self, partition: Partition) -> Result<Position, BoxError> {
        let found = self.all(POSITION, &[&i32::from(partition.0)], position_in)?;
        Ok(found.into_iter().next().unwrap_or_default())
    }

    fn heads(&mut self, partition: Partition) -> Result<Vec<StoredHead>, BoxError> {
        self.all(HEADS, &[&i32::from(partition.0)], head_of)
    }

    fn feed(&mut self, after: u64, limit: usize) -> Result<Vec<StoredEvent>, BoxError> {
        let sql = "SELECT directories.id, feed.seq, feed.hash, feed.data::text, feed.position, feed.prev,
                feed.event_id, feed.event, feed.created_at, feed.actor::text, feed.user_id, feed.group_id
            FROM feed JOIN directories ON directories.key = feed.directory
            WHERE feed.position > $1 ORDER BY feed.position LIMIT $2";
        self.all(sql, &[&as_sql(after), &as_sql(limit as u64)], |row| {
            Ok(StoredEvent {
                directory_id: DirectoryId::from_bytes(row.id(0)?),
                head: Head { seq: Seq(row.number(1)?), hash: row.hash(2)? },
                data: row.value(3)?,
                position: row.number(4)?,
                prev: row.hash(5)?,
                id: EventId::from_bytes(row.id(6)?),
                event: row.value(7)?,
                created_at: row.time(8)?,
                actor: row.value(9)?,
                user: row.id_if_any(10)?.map(ScimId::from_bytes),
                group: row.id_if_any(11)?.map(ScimId::from_bytes),
                // Indexes alone lead there.
                is_listed: true,
            })
        })
    }

    fn count_events(&mut self) -> Result<u64, BoxError> {
        let counted = self.all("SELECT count(*) FROM feed", &[], |row| row.number(0))?;
        Ok(counted.first().copied().unwrap_or_default())
    }

    fn disorder(&mut self) -> Result<Option<String>, BoxError> {
        let misled = self.all(MISLEADING_TIMES, &[], |row| row.number(0))?.pop();
        let what = "what leads to the events of a range of times is wrong in the store";
        Ok(misled.map(|_: u64| what.to_owned()))
    }

    fn columns(&self, change: &StoredChange, at: Timestamp) -> Result<Written, BoxError> {
        Ok(written(change, at, owned_key)?)
    }

    fn directory(&mut self, id: DirectoryId) -> Result<Option<StoredDirectory>, BoxError> {
        let sql = "SELECT key, activated, gone FROM directories WHERE id = $1";
        let of = |row: &Row| Ok((row.value(0)?, row.value(1)?, row.value(2)?));
        let found: Option<(i64, bool, bool)> = self.all(sql, &[&&id.to_bytes()[..]], of)?.pop();
        let Some((key, activated, gone)) = found else { return Ok(None) };
        let sql = "SELECT id, revoked FROM tokens WHERE directory = $1";
        let token = |row: &Row| Ok((TokenId::from_bytes(row.id(0)?), row.value(1)?));
        let tokens = self.all(sql, &[&key], token)?.into_iter().collect();
        Ok(Some(StoredDirectory { activated, gone, tokens, discord: self.discord(key)? }))
    }

    fn version_of_user(
        &mut self,
        directory: DirectoryId,
        id: ScimId,
    ) -> Result<Option<Seq>, BoxError> {
        let sql = "SELECT version FROM users
            WHERE scim_id = $1 AND directory = (SELECT key FROM directories WHERE id = $2 AND NOT gone)";
        let parameters: Parameters<'_> = &[&&id.to_bytes()[..], &&directory.to_bytes()[..]];
        Ok(self.all(sql, parameters, |row| Ok(Seq(row.number(0)?)))?.pop())
    }

    fn user(
        &mut self,
        directory: DirectoryId,
        id: ScimId,
    ) -> Result<Option<StoredResource>, BoxError> {
        let sql = "SELECT scim_id, version, attributes::text, shown::text, encode(user_id, 'hex'), name_key,
                external_id, email, display, active::integer::text, created_at::text, updated_at::text,
                (SELECT string_agg(value, chr(10) ORDER BY value) FROM
                    (SELECT CASE emails.directory WHEN users.directory THEN value ELSE 'elsewhere' END AS value
                     FROM emails WHERE user_key = users.key) AS others),
                hidden::integer::text, mapped_email FROM users
            WHERE scim_id = $1 AND directory = (SELECT key FROM directories WHERE id = $2 AND NOT gone)";
        let parameters: Parameters<'_> = &[&&id.to_bytes()[..], &&directory.to_bytes()[..]];
        let names: Vec<&str> = written::USERS.into_iter().chain(written::SHOWN).collect();
        Ok(self.all(sql, parameters, |row| resource(row, &names))?.pop())
    }

    fn count_users(&mut self, directory: DirectoryId) -> Result<u64, BoxError> {
        let sql = "SELECT count(*) FROM users
            WHERE directory = (SELECT key FROM directories WHERE id = $1 AND NOT gone)";
        let counted = self.all(sql, &[&&directory.to_bytes()[..]], |row| row.number(0))?;
        Ok(counted.first().copied().unwrap_or_default())
    }

    fn stray_user(&mut self, directory: DirectoryId) -> Result<Option<ScimId>, BoxError> {
        let sql = "SELECT scim_id FROM users
            WHERE directory = (SELECT key FROM directories WHERE id = $1 AND NOT gone)
              AND NOT EXISTS (SELECT 1 FROM feed WHERE feed.directory = users.directory
                  AND feed.seq = users.version AND feed.user_id = users.scim_id)
            LIMIT 1";
        let read = |row: &Row| Ok(ScimId::from_bytes(row.id(0)?));
        Ok(self.all(sql, &[&&directory.to_bytes()[..]], read)?.pop())
    }

    fn group(
        &mut self,
        directory: DirectoryId,
        id: ScimId,
    ) -> Result<Option<StoredResource>, BoxError> {
        let sql = "SELECT scim_id, version, attributes::text, NULL::text, encode(group_id, 'hex'), idp_id, name_key,
                external_id, display, created_at::text, updated_at::text FROM groups
            WHERE scim_id = $1 AND directory = (SELECT key FROM directories WHERE id = $2 AND NOT gone)";
        let parameters: Parameters<'_> = &[&&id.to_bytes()[..], &&directory.to_bytes()[..]];
        Ok(self.all(sql, parameters, |row| resource(row, &written::GROUPS))?.pop())
    }

    fn groups(
        &mut self,
        directory: DirectoryId,
        each: &mut dyn FnMut(ScimId, Seq, Timestamp) -> Result<(), VerifyError>,
    ) -> Result<(), VerifyError> {
        let sql = "SELECT scim_id, version, modified_at FROM groups
            WHERE directory = (SELECT key FROM directories WHERE id = $1 AND NOT gone)";
        let read =
            |row: &Row| Ok((ScimId::from_bytes(row.id(0)?), Seq(row.number(1)?), row.time(2)?));
        self.each(sql, directory, read, |(id, version, at)| each(id, version, at))
    }

    fn memberships(
        &mut self,
        directory: DirectoryId,
        each: &mut dyn FnMut(ScimId, ScimId) -> Result<(), VerifyError>,
    ) -> Result<(), VerifyError> {
        let sql = "SELECT groups.scim_id, users.scim_id FROM groups
            JOIN memberships ON memberships.group_key = groups.key
            JOIN users ON users.key = memberships.user_key
            WHERE groups.directory = (SELECT key FROM directories WHERE id = $1 AND NOT gone)";
        let read = |row: &Row| Ok((ScimId::from_bytes(row.id(0)?), ScimId::from_bytes(row.id(1)?)));
        self.each(sql, directory, read, |(group, user)| each(group, user))
    }

    fn pending_members(
        &mut self,
        directory: DirectoryId,
        each: &mut dyn FnMut(StoredPendingMember) -> Result<(), VerifyError>,
    ) -> Result<(), VerifyError> {
        let sql = "SELECT groups.scim_id, value,
                CASE pending_members.directory WHEN groups.directory THEN pending_members.name_key END FROM groups
            JOIN pending_members ON pending_members.group_key = groups.key
            WHERE groups.directory = (SELECT key FROM directories WHERE id = $1 AND NOT gone)";
        let read = |row: &Row| {
            let group = ScimId::from_bytes(row.id(0)?);
            // Of one that lies in another directory nobody finds it.
            let name_key: Option<String> = row.value(2)?;
            let name_key = name_key.unwrap_or_default();
            Ok(StoredPendingMember { group, value: row.value(1)?, name_key })
        };
        self.each(sql, directory, read, each)
    }
}

/// A row: the resource, and behind it the columns of these names.
fn resource(row: &Row, names: &[&'static str]) -> Result<StoredResource, DbError> {
    let column = |(at, name): (usize, &&'static str)| Ok((*name, row.value(at)?));
    Ok(StoredResource {
        id: ScimId::from_bytes(row.id(0)?),
        version: Seq(row.number(1)?),
        attributes: row.value(2)?,
        shown: shown(row.value(3)?)?,
        columns: (4..).zip(names).map(column).collect::<Result<_, DbError>>()?,
    })
}
