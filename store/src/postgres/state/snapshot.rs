//! The state as of one moment, for `dsync verify`: on a connection of its own, whatever else is going on.

use deadpool_postgres::{ClientWrapper, Object};
use log::Partition;
use projector::ports::BoxError;
use projector::verify::{StoredEvent, StoredPendingMember, StoredResource};
use projector::{Position, StoredHead};
use schemas::{DirectoryId, Head, ScimId, Seq};
use tokio::runtime::Handle;
use tokio_postgres::Row;

use super::super::Postgres;
use super::super::query::Parameters;
use super::super::rows::{Columns, as_sql};
use super::rows::{attributes, shown};
use super::{HEADS, POSITION, head_of, position_in};
use crate::error::{DbError, OpenError};

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
        let begin = "SET statement_timeout = 0; BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY;
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
}

impl projector::verify::Snapshot for Snapshot {
    fn position(&mut self, partition: Partition) -> Result<Position, BoxError> {
        let found = self.all(POSITION, &[&i32::from(partition.0)], position_in)?;
        Ok(found.into_iter().next().unwrap_or_default())
    }

    fn heads(&mut self, partition: Partition) -> Result<Vec<StoredHead>, BoxError> {
        self.all(HEADS, &[&i32::from(partition.0)], head_of)
    }

    fn feed(&mut self, after: u64, limit: usize) -> Result<Vec<StoredEvent>, BoxError> {
        let sql = "SELECT directories.id, feed.seq, feed.hash, feed.data::text FROM feed
            JOIN directories ON directories.key = feed.directory
            WHERE feed.position > $1 ORDER BY feed.position LIMIT $2";
        self.all(sql, &[&as_sql(after), &as_sql(limit as u64)], |row| {
            Ok(StoredEvent {
                directory_id: DirectoryId::from_bytes(row.id(0)?),
                head: Head { seq: Seq(row.number(1)?), hash: row.hash(2)? },
                data: row.value(3)?,
            })
        })
    }

    fn users(&mut self, directory: DirectoryId) -> Result<Vec<StoredResource>, BoxError> {
        let sql = "SELECT scim_id, version, attributes::text, shown::text FROM users
            WHERE directory = (SELECT key FROM directories WHERE id = $1)";
        self.all(sql, &[&&directory.to_bytes()[..]], resource)
    }

    fn groups(&mut self, directory: DirectoryId) -> Result<Vec<StoredResource>, BoxError> {
        let sql = "SELECT scim_id, version, attributes::text, NULL::text FROM groups
            WHERE directory = (SELECT key FROM directories WHERE id = $1)";
        self.all(sql, &[&&directory.to_bytes()[..]], resource)
    }

    fn memberships(&mut self, directory: DirectoryId) -> Result<Vec<(ScimId, ScimId)>, BoxError> {
        let sql = "SELECT groups.scim_id, users.scim_id FROM groups
            JOIN memberships ON memberships.group_key = groups.key
            JOIN users ON users.key = memberships.user_key
            WHERE groups.directory = (SELECT key FROM directories WHERE id = $1)";
        self.all(sql, &[&&directory.to_bytes()[..]], |row| {
            Ok((ScimId::from_bytes(row.id(0)?), ScimId::from_bytes(row.id(1)?)))
        })
    }

    fn pending_members(
        &mut self,
        directory: DirectoryId,
    ) -> Result<Vec<StoredPendingMember>, BoxError> {
        let sql = "SELECT groups.scim_id, value, pending_members.name_key FROM groups
            JOIN pending_members ON pending_members.group_key = groups.key
            WHERE groups.directory = (SELECT key FROM directories WHERE id = $1)";
        self.all(sql, &[&&directory.to_bytes()[..]], |row| {
            let group = ScimId::from_bytes(row.id(0)?);
            Ok(StoredPendingMember { group, value: row.value(1)?, name_key: row.value(2)? })
        })
    }
}

fn resource(row: &Row) -> Result<StoredResource, DbError> {
    Ok(StoredResource {
        id: ScimId::from_bytes(row.id(0)?),
        version: Seq(row.number(1)?),
        attributes: attributes(row.value(2)?)?,
        shown: shown(row.value(3)?)?,
    })
}
