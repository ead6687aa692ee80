//! Organizations.

use api::ports::{
    Conflict, Organization, OrganizationChange, OrganizationFilter, Page, PageRequest, Reach,
};
use deadpool_postgres::{GenericClient, Transaction};
use schemas::{DirectoryId, OrganizationId, Timestamp};

use super::query::{Parameters, all, conflict, execute, first, id};
use super::{About, Config, host_names};
use crate::columns::Columns as _;
use crate::config::organizations::{COLUMNS, Side, Walk, changed, domains_json, listed, read};
use crate::error::{DbError, unreadable};
use crate::ports::not_found;
use crate::ports::paging::filled;

/// How many are looked at with one question, where not all are shown.
const LOOKED_AT_ONCE: usize = 1_000;

impl Config {
    pub(super) async fn organizations(
        &self,
        page: PageRequest<OrganizationId>,
        filter: OrganizationFilter,
    ) -> Result<Page<Organization>, DbError> {
        let client = self.db.client().await?;
        let limit = page.limit as usize + 1;
        let ahead = on_side(&client, &page, &filter, Side::Ahead, limit).await?;
        let behind = on_side(&client, &page, &filter, Side::Behind, 1).await?;
        Ok(filled(ahead, !behind.is_empty(), &page))
    }

    pub(super) async fn organization(
        &self,
        reach: Reach,
        organization: OrganizationId,
    ) -> Result<Organization, DbError> {
        if !reach.covers(organization) {
            return Err(not_found());
        }
        get(&self.db.client().await?, organization).await
    }

    pub(super) async fn organization_by_external_id(
        &self,
        reach: Reach,
        external_id: String,
    ) -> Result<Organization, DbError> {
        let client = self.db.client().await?;
        let sql = format!("SELECT {COLUMNS} FROM organizations WHERE external_id = $1");
        let found = first(&client, &sql, &[&external_id]).await?;
        let found = found.map(|row| read(&row)).transpose()?;
        found.filter(|organization| reach.covers(organization.id)).ok_or_else(not_found)
    }

    pub(super) async fn create_organization(
        &self,
        organization: Organization,
    ) -> Result<(), DbError> {
        let mut client = self.db.client().await?;
        let change = self.begin(&mut client, About::Nothing).await?;
        put(&change.tx, &organization).await?;
        self.commit(change).await
    }

    pub(super) async fn update_organization(
        &self,
        reach: Reach,
        id: OrganizationId,
        wanted: OrganizationChange,
    ) -> Result<Organization, DbError> {
        if !reach.covers(id) {
            return Err(not_found());
        }
        let mut client = self.db.client().await?;
        let change = self.begin(&mut client, About::Nothing).await?;
        let mut organization = get(&change.tx, id).await?;
        changed(&mut organization, wanted)?;
        put(&change.tx, &organization).await?;
        self.commit(change).await?;
        Ok(organization)
    }

    pub(super) async fn delete_organization(
        &self,
        reach: Reach,
        organization: OrganizationId,
        at: Timestamp,
    ) -> Result<Vec<DirectoryId>, DbError> {
        if !reach.covers(organization) {
            return Err(not_found());
        }
        let mut client = self.db.client().await?;
        let change = self.begin(&mut client, About::Directories).await?;
        get(&change.tx, organization).await?;
        let key = id(organization.to_bytes());
        // In the order in which whoever keeps requests locks them.
        let sql = "WITH ours AS (SELECT id FROM configured_directories
                WHERE organization = $1 AND NOT deleting ORDER BY id FOR UPDATE)
            UPDATE configured_directories AS known SET deleting = true, updated_at = $2
            FROM ours WHERE known.id = ours.id RETURNING known.id";
        let rows = all(&change.tx, sql, &[&key, &at.millis()]).await?;
        let marked = rows.iter().map(|row| Ok(DirectoryId::from_bytes(row.id(0)?)));
        let mut marked = marked.collect::<Result<Vec<_>, DbError>>()?;
        marked.sort_unstable();
        host_names::remove_of_organization(&change.tx, organization).await?;
        let directories: Vec<_> = marked.iter().map(|marked| id(marked.to_bytes())).collect();
        let sql = "DELETE FROM scim_requests WHERE directory = ANY($1)";
        execute(&change.tx, sql, &[&directories]).await?;
        execute(&change.tx, "DELETE FROM api_keys WHERE organization = $1", &[&key]).await?;
        execute(&change.tx, "DELETE FROM organizations WHERE id = $1", &[&key]).await?;
        self.commit(change).await?;
        Ok(marked)
    }
}

/// The first that a list shows on one side of its cursor, looked for some at a time.
async fn on_side(
    client: &impl GenericClient,
    page: &PageRequest<OrganizationId>,
    filter: &OrganizationFilter,
    side: Side,
    limit: usize,
) -> Result<Vec<Organization>, DbError> {
    let Some(mut walk) = Walk::on(side, page) else { return Ok(Vec::new()) };
    let is_any = *filter == OrganizationFilter::default() && page.reach == Reach::Everything;
    let at_once = if is_any { limit } else { LOOKED_AT_ONCE };
    let mut found = Vec::new();
    loop {
        let condition = walk.sql("$1");
        let sql =
            format!("SELECT {COLUMNS} FROM organizations WHERE id {condition} LIMIT {at_once}");
        let rows = all(client, &sql, &[&id(walk.bound)]).await?;
        for row in &rows {
            found.extend(listed(row, page.reach, filter)?);
        }
        let last = rows.last().filter(|_| rows.len() == at_once && found.len() < limit);
        let Some(last) = last else { break };
        walk.go_on_from(last.id(0)?);
    }
    found.truncate(limit);
    Ok(found)
}

pub(super) async fn get(
    client: &impl GenericClient,
    organization: OrganizationId,
) -> Result<Organization, DbError> {
    let sql = format!("SELECT {COLUMNS} FROM organizations WHERE id = $1");
    let found = first(client, &sql, &[&id(organization.to_bytes())]).await?;
    found.map(|row| read(&row)).transpose()?.ok_or_else(not_found)
}

async fn put(tx: &Transaction<'_>, organization: &Organization) -> Result<(), DbError> {
    let metadata = serde_json::to_string(&organization.metadata).map_err(unreadable("metadata"))?;
    let sql = "INSERT INTO organizations
            (id, name, external_id, metadata, domains, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (id) DO UPDATE SET name = excluded.name, external_id = excluded.external_id,
            metadata = excluded.metadata, domains = excluded.domains,
            updated_at = excluded.updated_at";
    let parameters: Parameters<'_> = &[
        &id(organization.id.to_bytes()),
        &organization.name,
        &organization.external_id,
        &metadata,
        &domains_json(&organization.domains)?,
        &organization.created_at.millis(),
        &organization.updated_at.millis(),
    ];
    let written = execute(tx, sql, parameters).await;
    written.map(drop).map_err(|error| conflict(error, Conflict::ExternalId))
}
