//! Host names of organizations and directories. They are read from memory: every request asks for them.

use std::collections::BTreeMap;

use api::ports::{
    Conflict, HOST_NAMES_MAX, Host, HostFilter, HostOwner, NewHost, Page, PageRequest, Reach,
};
use async_trait::async_trait;
use rusqlite::{Connection, params};
use schemas::{DirectoryId, HostName, HostNameId, OrganizationId};

use super::{Config, Known, directories, organizations};
use crate::backend::HostBackend;
use crate::columns::Columns;
use crate::error::{DbError, unreadable};
use crate::ports::paging::by_id;
use crate::ports::{conflict, conflicted, not_found};
use crate::state::rows::{all, first};

#[async_trait]
impl HostBackend for Config {
    fn host_names(&self, page: &PageRequest<HostNameId>, filter: HostFilter) -> Page<Host> {
        listed(&self.known(), page, filter)
    }

    fn host_name(&self, reach: Reach, id: HostNameId) -> Result<Host, DbError> {
        one(&self.known(), reach, id)
    }

    async fn add_host_name(&self, reach: Reach, new: NewHost) -> Result<Host, DbError> {
        self.change(move |connection| {
            let organization = organization_of(connection, new.owner)?;
            if !reach.covers(organization) {
                return Err(not_found());
            }
            let NewHost { id, name, owner, created_at } = new;
            if count(connection, organization, owner)? >= HOST_NAMES_MAX {
                return Err(conflicted(Conflict::HostNames));
            }
            let host = Host { id, name, owner, organization_id: organization, created_at };
            put(connection, &host)?;
            Ok(host)
        })
        .await
    }

    async fn remove_host_name(&self, reach: Reach, id: HostNameId) -> Result<(), DbError> {
        self.host_name(reach, id)?;
        self.change(move |connection| {
            let removed =
                connection.execute("DELETE FROM host_names WHERE id = ?1", [id.to_bytes()])?;
            if removed == 0 { Err(not_found()) } else { Ok(()) }
        })
        .await
    }
}

/// Every host name there is, by its name.
pub(super) fn load(connection: &Connection) -> Result<BTreeMap<HostName, Host>, DbError> {
    let sql = format!("SELECT {COLUMNS} FROM host_names");
    let hosts = all(connection, &sql, [], |row| read(row))?;
    Ok(hosts.into_iter().map(|host| (host.name.clone(), host)).collect())
}

/// Frees the names of a directory that goes.
pub(super) fn remove_of_directory(connection: &Connection, id: DirectoryId) -> Result<(), DbError> {
    connection.execute("DELETE FROM host_names WHERE directory = ?1", [id.to_bytes()])?;
    Ok(())
}

/// Frees the names of an organization that goes, and of its directories.
pub(super) fn remove_of_organization(
    connection: &Connection,
    id: OrganizationId,
) -> Result<(), DbError> {
    connection.execute("DELETE FROM host_names WHERE organization = ?1", [id.to_bytes()])?;
    Ok(())
}

fn organization_of(connection: &Connection, owner: HostOwner) -> Result<OrganizationId, DbError> {
    match owner {
        HostOwner::Organization(id) => organizations::get(connection, id).map(|found| found.id),
        HostOwner::Directory(id) => {
            directories::check_lives(connection, id)?;
            let sql = "SELECT organization FROM directories WHERE id = ?1";
            let found = first(connection, sql, [id.to_bytes()], |row| Ok(row.get(0)?))?;
            found.map(OrganizationId::from_bytes).ok_or_else(not_found)
        }
    }
}

/// How many names this owner has.
fn count(
    connection: &Connection,
    organization: OrganizationId,
    owner: HostOwner,
) -> Result<usize, DbError> {
    let sql = "SELECT 1 FROM host_names WHERE organization = ?1 AND directory IS ?2";
    let parameters = params![organization.to_bytes(), directory(owner)];
    Ok(all(connection, sql, parameters, |_| Ok(()))?.len())
}

fn put(connection: &Connection, host: &Host) -> Result<(), DbError> {
    let written = connection.execute(
        "INSERT INTO host_names (id, name, organization, directory, created_at)
         VALUES (?1, ?2, ?3, ?4, ?5)",
        params![
            host.id.to_bytes(),
            host.name.as_str(),
            host.organization_id.to_bytes(),
            directory(host.owner),
            host.created_at.millis(),
        ],
    );
    written.map(drop).map_err(|error| conflict(error, Conflict::HostName))
}

fn directory(owner: HostOwner) -> Option<[u8; 16]> {
    match owner {
        HostOwner::Organization(_) => None,
        HostOwner::Directory(id) => Some(id.to_bytes()),
    }
}

/// A page of those that are within reach and fit.
pub(crate) fn listed(
    known: &Known,
    page: &PageRequest<HostNameId>,
    filter: HostFilter,
) -> Page<Host> {
    let fits = |host: &&Host| {
        page.reach.covers(host.organization_id)
            && filter.organization.is_none_or(|id| id == host.organization_id)
            && filter.directory.is_none_or(|id| host.owner == HostOwner::Directory(id))
    };
    let mut found: Vec<Host> = known.hosts().filter(fits).cloned().collect();
    found.sort_by_key(|host| host.id);
    by_id(found, page, |host| host.id)
}

/// One that is within reach.
pub(crate) fn one(known: &Known, reach: Reach, id: HostNameId) -> Result<Host, DbError> {
    let mut hosts = known.hosts().filter(|host| reach.covers(host.organization_id));
    hosts.find(|host| host.id == id).cloned().ok_or_else(not_found)
}

/// The columns of [`read`], in its order.
pub(crate) const COLUMNS: &str = "id, name, organization, directory, created_at";

pub(crate) fn read(row: &impl Columns) -> Result<Host, DbError> {
    let organization_id = OrganizationId::from_bytes(row.id(2)?);
    Ok(Host {
        id: HostNameId::from_bytes(row.id(0)?),
        name: row.text(1)?.parse().map_err(unreadable("host name"))?,
        owner: row.id_if(3)?.map_or(HostOwner::Organization(organization_id), |id| {
            HostOwner::Directory(DirectoryId::from_bytes(id))
        }),
        organization_id,
        created_at: row.time(4)?,
    })
}
