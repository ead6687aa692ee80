//! Host names of organizations and directories. They are read from memory: every request asks for them.

use std::collections::BTreeMap;

use api::ports::{
    Conflict, HOST_NAMES_MAX, Host, HostFilter, HostOwner, NewHost, Page, PageRequest, Reach,
};
use async_trait::async_trait;
use deadpool_postgres::Transaction;
use schemas::{DirectoryId, HostName, HostNameId, OrganizationId};
use tokio_postgres::GenericClient;

use super::directories::check_lives;
use super::query::{Parameters, conflict, execute, first, id};
use super::{About, Config, organizations};
use crate::backend::HostBackend;
use crate::columns::Columns as _;
use crate::config::host_names::{COLUMNS, listed, one, read};
use crate::error::DbError;
use crate::ports::{conflicted, not_found};

#[async_trait]
impl HostBackend for Config {
    fn host_names(&self, page: &PageRequest<HostNameId>, filter: HostFilter) -> Page<Host> {
        listed(&self.known(), page, filter)
    }

    fn host_name(&self, reach: Reach, id: HostNameId) -> Result<Host, DbError> {
        one(&self.known(), reach, id)
    }

    async fn add_host_name(&self, reach: Reach, new: NewHost) -> Result<Host, DbError> {
        let NewHost { id, name, owner, created_at } = new;
        let mut client = self.db.client().await?;
        let change = self.begin(&mut client, About::Directories).await?;
        let organization_id = organization_of(&change.tx, owner).await?;
        if !reach.covers(organization_id) {
            return Err(not_found());
        }
        if count(&change.tx, organization_id, owner).await? >= HOST_NAMES_MAX as u64 {
            return Err(conflicted(Conflict::HostNames));
        }
        let host = Host { id, name, owner, organization_id, created_at };
        put(&change.tx, &host).await?;
        self.commit(change).await?;
        Ok(host)
    }

    async fn remove_host_name(&self, reach: Reach, name: HostNameId) -> Result<(), DbError> {
        self.host_name(reach, name)?;
        let mut client = self.db.client().await?;
        let change = self.begin(&mut client, About::Directories).await?;
        let sql = "DELETE FROM host_names WHERE id = $1";
        if execute(&change.tx, sql, &[&id(name.to_bytes())]).await? == 0 {
            return Err(not_found());
        }
        self.commit(change).await
    }
}

/// All of them.
pub(super) async fn load(client: &impl GenericClient) -> Result<BTreeMap<HostName, Host>, DbError> {
    let sql = format!("SELECT {COLUMNS} FROM host_names");
    let rows = client.query(&sql, &[]).await?;
    let hosts = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    Ok(hosts.into_iter().map(|host| (host.name.clone(), host)).collect())
}

/// Frees the names of a directory that goes.
pub(super) async fn remove_of_directory(
    tx: &Transaction<'_>,
    directory: DirectoryId,
) -> Result<(), DbError> {
    let sql = "DELETE FROM host_names WHERE directory = $1";
    execute(tx, sql, &[&id(directory.to_bytes())]).await.map(drop)
}

/// Frees the names of an organization that goes, and of its directories.
pub(super) async fn remove_of_organization(
    tx: &Transaction<'_>,
    organization: OrganizationId,
) -> Result<(), DbError> {
    let sql = "DELETE FROM host_names WHERE organization = $1";
    execute(tx, sql, &[&id(organization.to_bytes())]).await.map(drop)
}

async fn organization_of(
    tx: &Transaction<'_>,
    owner: HostOwner,
) -> Result<OrganizationId, DbError> {
    match owner {
        HostOwner::Organization(id) => organizations::get(tx, id).await.map(|found| found.id),
        HostOwner::Directory(directory) => {
            check_lives(tx, directory).await?;
            let sql = "SELECT organization FROM configured_directories WHERE id = $1";
            let found = first(tx, sql, &[&id(directory.to_bytes())]).await?;
            Ok(OrganizationId::from_bytes(found.ok_or_else(not_found)?.id(0)?))
        }
    }
}

/// How many names this owner has.
async fn count(
    tx: &Transaction<'_>,
    organization: OrganizationId,
    owner: HostOwner,
) -> Result<u64, DbError> {
    let sql = "SELECT count(*) FROM host_names
        WHERE organization = $1 AND directory IS NOT DISTINCT FROM $2";
    let parameters: Parameters<'_> = &[&id(organization.to_bytes()), &directory_of(owner)];
    first(tx, sql, parameters).await?.map_or(Ok(0), |row| row.count(0))
}

async fn put(tx: &Transaction<'_>, host: &Host) -> Result<(), DbError> {
    let sql = "INSERT INTO host_names (id, name, organization, directory, created_at)
        VALUES ($1, $2, $3, $4, $5)";
    let parameters: Parameters<'_> = &[
        &id(host.id.to_bytes()),
        &host.name.as_str(),
        &id(host.organization_id.to_bytes()),
        &directory_of(host.owner),
        &host.created_at.millis(),
    ];
    let written = execute(tx, sql, parameters).await;
    written.map(drop).map_err(|error| conflict(error, Conflict::HostName))
}

fn directory_of(owner: HostOwner) -> Option<Vec<u8>> {
    match owner {
        HostOwner::Organization(_) => None,
        HostOwner::Directory(directory) => Some(id(directory.to_bytes())),
    }
}
