//! API keys.

use api::ports::{ApiKey, Digest, Page, PageRequest, Permission, Reach};
use rusqlite::{Connection, params};
use schemas::{ApiKeyId, OrganizationId, Timestamp};

use super::{Config, organizations};
use crate::columns::Columns;
use crate::error::{DbError, unreadable};
use crate::ports::not_found;
use crate::ports::paging::by_id;
use crate::state::rows::{all, first};

pub(crate) const COLUMNS: &str =
    "id, name, permission, organization, suffix, created_at, last_used_at";

impl Config {
    pub(crate) async fn key_by_digest(&self, digest: Digest) -> Result<Option<ApiKey>, DbError> {
        let sql = format!("SELECT {COLUMNS} FROM api_keys WHERE digest = ?1");
        self.read(move |connection| first(connection, &sql, [digest], |row| read(row))).await
    }

    pub(crate) async fn touch_key(&self, id: ApiKeyId, at: Timestamp) -> Result<(), DbError> {
        let before =
            at.millis() - i64::try_from(super::TOKEN_USE_EVERY.as_millis()).unwrap_or(i64::MAX);
        self.progress
            .run(move |connection| {
                connection
                    .prepare_cached(
                        "UPDATE api_keys SET last_used_at = ?2
                         WHERE id = ?1 AND coalesce(last_used_at, 0) < ?3",
                    )?
                    .execute(params![id.to_bytes(), at.millis(), before])?;
                Ok(())
            })
            .await
    }

    pub(crate) async fn any_key(&self) -> Result<bool, DbError> {
        let sql = "SELECT 1 FROM api_keys LIMIT 1";
        let found = self.read(move |connection| first(connection, sql, [], |_| Ok(()))).await?;
        Ok(found.is_some())
    }

    pub(crate) async fn keys(&self, page: PageRequest<ApiKeyId>) -> Result<Page<ApiKey>, DbError> {
        let sql = format!("SELECT {COLUMNS} FROM api_keys ORDER BY id");
        let mut found =
            self.read(move |connection| all(connection, &sql, [], |row| read(row))).await?;
        found.retain(|key| reaches(page.reach, key));
        Ok(by_id(found, &page, |key| key.id))
    }

    pub(crate) async fn create_key(&self, key: ApiKey, digest: Digest) -> Result<(), DbError> {
        self.change_beside(move |connection| put(connection, &key, digest)).await
    }

    pub(crate) async fn create_first_key(
        &self,
        key: ApiKey,
        digest: Digest,
    ) -> Result<bool, DbError> {
        self.change_beside(move |connection| {
            if first(connection, "SELECT 1 FROM api_keys LIMIT 1", [], |_| Ok(()))?.is_some() {
                return Ok(false);
            }
            put(connection, &key, digest)?;
            Ok(true)
        })
        .await
    }

    pub(crate) async fn delete_key(&self, reach: Reach, id: ApiKeyId) -> Result<(), DbError> {
        let sql = format!("SELECT {COLUMNS} FROM api_keys WHERE id = ?1");
        self.change_beside(move |connection| {
            let key = first(connection, &sql, [id.to_bytes()], |row| read(row))?;
            key.filter(|key| reaches(reach, key)).ok_or_else(not_found)?;
            connection.execute("DELETE FROM api_keys WHERE id = ?1", [id.to_bytes()])?;
            Ok(())
        })
        .await
    }
}

fn put(connection: &Connection, key: &ApiKey, digest: Digest) -> Result<(), DbError> {
    if let Some(organization) = key.organization_id {
        organizations::get(connection, organization)?;
    }
    connection.execute(
        "INSERT INTO api_keys (id, name, digest, suffix, permission, organization, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            key.id.to_bytes(),
            key.name,
            digest,
            key.suffix,
            key.permission.name(),
            key.organization_id.map(OrganizationId::to_bytes),
            key.created_at.millis(),
        ],
    )?;
    Ok(())
}

/// A key limited to an organization knows of that organization's keys alone.
pub(crate) fn reaches(reach: Reach, key: &ApiKey) -> bool {
    match (reach, key.organization_id) {
        (Reach::Everything, _) => true,
        (Reach::Organization(own), organization) => organization == Some(own),
    }
}

/// A key of the [`COLUMNS`].
pub(crate) fn read(row: &impl Columns) -> Result<ApiKey, DbError> {
    let permission = row.text(2)?;
    Ok(ApiKey {
        id: ApiKeyId::from_bytes(row.id(0)?),
        name: row.text(1)?,
        permission: Permission::named(&permission)
            .ok_or_else(|| unreadable("scope")(permission.as_str()))?,
        organization_id: row.id_if(3)?.map(OrganizationId::from_bytes),
        suffix: row.text(4)?,
        created_at: row.time(5)?,
        last_used_at: row.time_if(6)?,
    })
}
