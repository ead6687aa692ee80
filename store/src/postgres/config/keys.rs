//! API keys. They are asked for at the server with every request, so one that is gone opens nothing anywhere.

use api::ports::{ApiKey, Digest, Page, PageRequest, Reach};
use deadpool_postgres::Transaction;
use schemas::{ApiKeyId, OrganizationId, Timestamp};

use super::query::{all, execute, first, id};
use super::{About, Config, organizations};
use crate::config::TOKEN_USE_EVERY;
use crate::config::keys::{COLUMNS, reaches, read};
use crate::error::DbError;
use crate::ports::not_found;
use crate::ports::paging::by_id;

impl Config {
    pub(super) async fn key_by_digest(&self, digest: Digest) -> Result<Option<ApiKey>, DbError> {
        let client = self.db.client().await?;
        let sql = format!("SELECT {COLUMNS} FROM api_keys WHERE digest = $1");
        let found = first(&client, &sql, &[&digest.to_vec()]).await?;
        found.map(|row| read(&row)).transpose()
    }

    pub(super) async fn touch_key(&self, key: ApiKeyId, at: Timestamp) -> Result<(), DbError> {
        let client = self.db.client().await?;
        let sql = "UPDATE api_keys SET last_used_at = $2
            WHERE id = $1 AND coalesce(last_used_at, 0) < $3";
        let before = at.millis() - i64::try_from(TOKEN_USE_EVERY.as_millis()).unwrap_or(i64::MAX);
        execute(&client, sql, &[&id(key.to_bytes()), &at.millis(), &before]).await?;
        Ok(())
    }

    pub(super) async fn any_key(&self) -> Result<bool, DbError> {
        let client = self.db.client().await?;
        Ok(first(&client, "SELECT 1 FROM api_keys LIMIT 1", &[]).await?.is_some())
    }

    pub(super) async fn keys(&self, page: PageRequest<ApiKeyId>) -> Result<Page<ApiKey>, DbError> {
        let client = self.db.client().await?;
        let sql = format!("SELECT {COLUMNS} FROM api_keys ORDER BY id");
        let rows = all(&client, &sql, &[]).await?;
        let mut found = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        found.retain(|key| reaches(page.reach, key));
        Ok(by_id(found, &page, |key| key.id))
    }

    pub(super) async fn create_key(&self, key: ApiKey, digest: Digest) -> Result<(), DbError> {
        let mut client = self.db.client().await?;
        let change = self.begin(&mut client, About::Nothing).await?;
        put(&change.tx, &key, digest).await?;
        self.commit(change).await
    }

    /// Changes come one after the other, so of several replicas one makes the first key.
    pub(super) async fn create_first_key(
        &self,
        key: ApiKey,
        digest: Digest,
    ) -> Result<bool, DbError> {
        let mut client = self.db.client().await?;
        let change = self.begin(&mut client, About::Nothing).await?;
        if first(&change.tx, "SELECT 1 FROM api_keys LIMIT 1", &[]).await?.is_some() {
            return Ok(false);
        }
        put(&change.tx, &key, digest).await?;
        self.commit(change).await?;
        Ok(true)
    }

    pub(super) async fn delete_key(&self, reach: Reach, key: ApiKeyId) -> Result<(), DbError> {
        let mut client = self.db.client().await?;
        let change = self.begin(&mut client, About::Nothing).await?;
        let sql = format!("SELECT {COLUMNS} FROM api_keys WHERE id = $1");
        let found = first(&change.tx, &sql, &[&id(key.to_bytes())]).await?;
        let found = found.map(|row| read(&row)).transpose()?;
        found.filter(|key| reaches(reach, key)).ok_or_else(not_found)?;
        let sql = "DELETE FROM api_keys WHERE id = $1";
        execute(&change.tx, sql, &[&id(key.to_bytes())]).await?;
        self.commit(change).await
    }
}

async fn put(tx: &Transaction<'_>, key: &ApiKey, digest: Digest) -> Result<(), DbError> {
    if let Some(organization) = key.organization_id {
        organizations::get(tx, organization).await?;
    }
    let sql =
        "INSERT INTO api_keys (id, name, digest, suffix, permission, organization, created_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)";
    let organization = key.organization_id.map(OrganizationId::to_bytes).map(id);
    let parameters: super::query::Parameters<'_> = &[
        &id(key.id.to_bytes()),
        &key.name,
        &digest.to_vec(),
        &key.suffix,
        &key.permission.name(),
        &organization,
        &key.created_at.millis(),
    ];
    execute(tx, sql, parameters).await?;
    Ok(())
}
