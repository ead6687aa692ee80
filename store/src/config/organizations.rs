//! Organizations.

use std::collections::BTreeMap;

use api::ports::{
    Conflict, Cursor, Domain, DomainState, METADATA_MAX, Organization, OrganizationChange,
    OrganizationFilter, Page, PageRequest, Reach,
};
use rusqlite::{Connection, params};
use schemas::{DirectoryId, OrganizationId, Timestamp};

use super::known::StoredDomain;
use super::{Config, host_names};
use crate::columns::Columns;
use crate::error::{DbError, unreadable};
use crate::ports::paging::{filled, is_rising};
use crate::ports::{conflict, conflicted, not_found};
use crate::state::rows::{all, first};

pub(crate) const COLUMNS: &str = "id, name, external_id, metadata, domains, created_at, updated_at";

impl Config {
    pub(crate) async fn organizations(
        &self,
        page: PageRequest<OrganizationId>,
        filter: OrganizationFilter,
    ) -> Result<Page<Organization>, DbError> {
        self.read(move |connection| {
            let limit = page.limit as usize + 1;
            let ahead = on_side(connection, &page, &filter, Side::Ahead, limit)?;
            let behind = on_side(connection, &page, &filter, Side::Behind, 1)?;
            Ok(filled(ahead, !behind.is_empty(), &page))
        })
        .await
    }

    pub(crate) async fn organization(
        &self,
        reach: Reach,
        id: OrganizationId,
    ) -> Result<Organization, DbError> {
        if !reach.covers(id) {
            return Err(not_found());
        }
        self.read(move |connection| get(connection, id)).await
    }

    pub(crate) async fn organization_by_external_id(
        &self,
        reach: Reach,
        external_id: String,
    ) -> Result<Organization, DbError> {
        let sql = format!("SELECT {COLUMNS} FROM organizations WHERE external_id = ?1");
        let found = self
            .read(move |connection| first(connection, &sql, [external_id], |row| read(row)))
            .await?;
        found.filter(|organization| reach.covers(organization.id)).ok_or_else(not_found)
    }

    pub(crate) async fn create_organization(
        &self,
        organization: Organization,
    ) -> Result<(), DbError> {
        self.change_beside(move |connection| put(connection, &organization)).await
    }

    pub(crate) async fn update_organization(
        &self,
        reach: Reach,
        id: OrganizationId,
        change: OrganizationChange,
    ) -> Result<Organization, DbError> {
        if !reach.covers(id) {
            return Err(not_found());
        }
        self.change_beside(move |connection| {
            let mut organization = get(connection, id)?;
            changed(&mut organization, change)?;
            put(connection, &organization)?;
            Ok(organization)
        })
        .await
    }

    /// Deletes the organization with the keys that are limited to it, and marks its directories, whose streams still
    /// have to say so.
    pub(crate) async fn delete_organization(
        &self,
        reach: Reach,
        id: OrganizationId,
        at: Timestamp,
    ) -> Result<Vec<DirectoryId>, DbError> {
        if !reach.covers(id) {
            return Err(not_found());
        }
        self.change(move |connection| {
            get(connection, id)?;
            let marked = all(
                connection,
                "UPDATE directories SET deleting = 1, updated_at = ?2
                 WHERE organization = ?1 AND deleting = 0 RETURNING id",
                params![id.to_bytes(), at.millis()],
                |row| Ok(DirectoryId::from_bytes(row.get(0)?)),
            )?;
            host_names::remove_of_organization(connection, id)?;
            for directory in &marked {
                let sql = "DELETE FROM scim_requests WHERE directory = ?1";
                connection.execute(sql, [directory.to_bytes()])?;
            }
            connection.execute("DELETE FROM api_keys WHERE organization = ?1", [id.to_bytes()])?;
            connection.execute("DELETE FROM organizations WHERE id = ?1", [id.to_bytes()])?;
            Ok(marked)
        })
        .await
    }
}

/// The first that a list shows on one side of its cursor. Rows are looked at one after the other until there are
/// enough, and read as a whole only if they fit.
fn on_side(
    connection: &Connection,
    page: &PageRequest<OrganizationId>,
    filter: &OrganizationFilter,
    side: Side,
    limit: usize,
) -> Result<Vec<Organization>, DbError> {
    let Some(walk) = Walk::on(side, page) else { return Ok(Vec::new()) };
    let sql = format!("SELECT {COLUMNS} FROM organizations WHERE id {}", walk.sql("?1"));
    let mut select = connection.prepare_cached(&sql)?;
    let mut rows = select.query([walk.bound])?;
    let mut found = Vec::new();
    while found.len() < limit {
        let Some(row) = rows.next()? else { break };
        found.extend(listed(row, page.reach, filter)?);
    }
    Ok(found)
}

/// A side of the cursor of a page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    /// Where the page is filled from.
    Ahead,
    /// What it goes on from, its cursor included.
    Behind,
}

/// A walk away from the cursor of a page, along the ids.
pub(crate) struct Walk {
    is_rising: bool,
    is_included: bool,
    /// Where it begins.
    pub(crate) bound: [u8; 16],
}

impl Walk {
    /// `None` if nothing lies there.
    pub(crate) fn on(side: Side, page: &PageRequest<OrganizationId>) -> Option<Self> {
        let is_rising = is_rising(page) == (side == Side::Ahead);
        let (bound, is_included) = match (page.cursor, side) {
            (None, Side::Ahead) => ([if is_rising { 0 } else { u8::MAX }; 16], true),
            (None, Side::Behind) => return None,
            (Some(Cursor::After(id) | Cursor::Before(id)), Side::Ahead) => (id.to_bytes(), false),
            (Some(Cursor::After(id) | Cursor::Before(id)), Side::Behind) => (id.to_bytes(), true),
        };
        Some(Self { is_rising, is_included, bound })
    }

    /// What follows `WHERE id` in a statement; `parameter` stands for the bound.
    pub(crate) fn sql(&self, parameter: &str) -> String {
        let (comparison, direction) = match (self.is_rising, self.is_included) {
            (true, true) => (">=", "ASC"),
            (true, false) => (">", "ASC"),
            (false, true) => ("<=", "DESC"),
            (false, false) => ("<", "DESC"),
        };
        format!("{comparison} {parameter} ORDER BY id {direction}")
    }

    /// Goes on behind this one.
    pub(crate) const fn go_on_from(&mut self, last: [u8; 16]) {
        (self.bound, self.is_included) = (last, false);
    }
}

/// The organization of a row, if a list shows it. Its JSON is read only if it may.
pub(crate) fn listed(
    row: &impl Columns,
    reach: Reach,
    filter: &OrganizationFilter,
) -> Result<Option<Organization>, DbError> {
    if let Some(part) = &filter.search
        && !is_named(&row.text(1)?, part)
    {
        return Ok(None);
    }
    if !filter.domains.is_empty() {
        let domains = row.text(4)?.to_ascii_lowercase();
        let may_have = |wanted: &String| domains.contains(&wanted.to_ascii_lowercase());
        if !filter.domains.iter().any(may_have) {
            return Ok(None);
        }
    }
    let organization = read(row)?;
    Ok(Some(organization).filter(|organization| is_listed(organization, reach, filter)))
}

fn is_named(name: &str, part: &str) -> bool {
    name.to_lowercase().contains(&part.to_lowercase())
}

/// Whether a list that asks for this shows it.
fn is_listed(organization: &Organization, reach: Reach, filter: &OrganizationFilter) -> bool {
    let has_domain = |wanted: &String| {
        organization.domains.iter().any(|one| one.domain.eq_ignore_ascii_case(wanted))
    };
    let named = |part: &String| is_named(&organization.name, part);
    reach.covers(organization.id)
        && (filter.domains.is_empty() || filter.domains.iter().any(has_domain))
        && filter.search.as_ref().is_none_or(named)
}

pub(crate) fn changed(
    organization: &mut Organization,
    change: OrganizationChange,
) -> Result<(), DbError> {
    is_made_from(change.made_from, organization.updated_at)?;
    if let Some(name) = change.name {
        organization.name = name;
    }
    if let Some(external_id) = change.external_id {
        organization.external_id = external_id;
    }
    let entries = organization.metadata.len();
    for (key, value) in change.metadata {
        match value {
            Some(value) => organization.metadata.insert(key, value),
            None => organization.metadata.remove(&key),
        };
    }
    if organization.metadata.len() > METADATA_MAX.max(entries) {
        return Err(conflicted(Conflict::Metadata));
    }
    if let Some(domains) = change.domains {
        organization.domains = named_again(&organization.domains, domains);
    }
    organization.updated_at = after(organization.updated_at, change.updated_at);
    Ok(())
}

/// Domains that are there already stay the same ones, but for their state.
fn named_again(known: &[Domain], named: Vec<Domain>) -> Vec<Domain> {
    let same = |new: Domain| match known.iter().find(|known| known.domain == new.domain) {
        None => new,
        Some(known) if known.state == new.state => known.clone(),
        Some(known) => Domain { state: new.state, updated_at: new.updated_at, ..known.clone() },
    };
    named.into_iter().map(same).collect()
}

/// Refuses what was made from something else than what is there.
pub(crate) fn is_made_from(
    made_from: Option<Timestamp>,
    updated_at: Timestamp,
) -> Result<(), DbError> {
    if made_from.is_none_or(|made_from| made_from == updated_at) {
        Ok(())
    } else {
        Err(conflicted(Conflict::Changed))
    }
}

/// The time of a change: later than that of the one before, whatever the clock says, so that no two
/// versions have the same.
pub(crate) fn after(before: Timestamp, now: Timestamp) -> Timestamp {
    now.max(Timestamp::from_millis(before.millis().saturating_add(1)))
}

pub(super) fn get(connection: &Connection, id: OrganizationId) -> Result<Organization, DbError> {
    let sql = format!("SELECT {COLUMNS} FROM organizations WHERE id = ?1");
    first(connection, &sql, [id.to_bytes()], |row| read(row))?.ok_or_else(not_found)
}

fn put(connection: &Connection, organization: &Organization) -> Result<(), DbError> {
    let metadata = serde_json::to_string(&organization.metadata).map_err(unreadable("metadata"))?;
    let written = connection.execute(
        "INSERT INTO organizations (id, name, external_id, metadata, domains, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, external_id = excluded.external_id,
             metadata = excluded.metadata, domains = excluded.domains,
             updated_at = excluded.updated_at",
        params![
            organization.id.to_bytes(),
            organization.name,
            organization.external_id,
            metadata,
            domains_json(&organization.domains)?,
            organization.created_at.millis(),
            organization.updated_at.millis(),
        ],
    );
    written.map(drop).map_err(|error| conflict(error, Conflict::ExternalId))
}

pub(crate) fn domains_json(domains: &[Domain]) -> Result<String, DbError> {
    let domains = domains.iter().map(|domain| StoredDomain {
        id: domain.id,
        domain: domain.domain.clone(),
        state: domain.state.name().to_owned(),
        created_at: domain.created_at,
        updated_at: domain.updated_at,
    });
    serde_json::to_string(&domains.collect::<Vec<_>>()).map_err(unreadable("domains"))
}

/// An organization of the [`COLUMNS`].
pub(crate) fn read(row: &impl Columns) -> Result<Organization, DbError> {
    let metadata = row.text(3)?;
    let metadata: BTreeMap<String, String> =
        serde_json::from_str(&metadata).map_err(unreadable("metadata"))?;
    let domains = row.text(4)?;
    let domains: Vec<StoredDomain> =
        serde_json::from_str(&domains).map_err(unreadable("domains"))?;
    let domains = domains.into_iter().map(|domain| {
        Ok(Domain {
            id: domain.id,
            state: DomainState::named(&domain.state)
                .ok_or_else(|| unreadable("domain state")(domain.state.as_str()))?,
            domain: domain.domain,
            created_at: domain.created_at,
            updated_at: domain.updated_at,
        })
    });
    Ok(Organization {
        id: OrganizationId::from_bytes(row.id(0)?),
        name: row.text(1)?,
        external_id: row.text_if(2)?,
        metadata,
        domains: domains.collect::<Result<_, DbError>>()?,
        created_at: row.time(5)?,
        updated_at: row.time(6)?,
    })
}
