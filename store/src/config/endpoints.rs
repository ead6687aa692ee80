//! Webhook endpoints, as they are configured.

use std::str::FromStr;
use std::sync::Arc;

use api::ports::{Conflict, Endpoint, EndpointChange, Page, PageRequest, Secret};
use dispatcher::ports as lanes;
use rusqlite::{Connection, params};
use schemas::{
    DirectoryId, EndpointId, EndpointKind, EventType, Format, OrganizationId, Timestamp, Waits,
};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::organizations::{after, is_made_from};
use super::{Config, Sealer, operational, outward};
use crate::columns::Columns;
use crate::error::{DbError, unreadable};
use crate::ports::paging::by_id;
use crate::ports::{conflict, not_found};
use crate::sqlite::as_sql;
use crate::state::rows::{all, first};

pub(crate) const COLUMNS: &str = "id, url, events, enabled, delivery_order, secret, created_at, updated_at, \
    format, kind, retry_schedule, organizations, directories";

/// How many of them there are; what [`outward`] reads comes after.
const COLUMNS_LEN: usize = 13;

/// An endpoint's row; its secret still sealed.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) id: EndpointId,
    pub(crate) url: String,
    pub(crate) events: Vec<EventType>,
    pub(crate) enabled: bool,
    pub(crate) order: lanes::Order,
    pub(crate) sealed: Vec<u8>,
    pub(crate) created_at: Timestamp,
    pub(crate) updated_at: Timestamp,
    pub(crate) format: Format,
    pub(crate) kind: EndpointKind,
    pub(crate) retry_schedule: Option<Waits>,
    pub(crate) organizations: Vec<OrganizationId>,
    pub(crate) directories: Vec<DirectoryId>,
    pub(crate) outward: outward::Sealed,
    /// What signs beside the secret.
    pub(crate) retired: Vec<outward::Retired>,
}

impl Config {
    pub(crate) async fn endpoints(
        &self,
        page: PageRequest<EndpointId>,
    ) -> Result<Page<Endpoint>, DbError> {
        let found = self.stored_endpoints().await?;
        let found = found.into_iter().map(|stored| stored.open(&self.sealer));
        let found = found.collect::<Result<Vec<_>, _>>()?;
        Ok(by_id(found, &page, |endpoint| endpoint.id))
    }

    pub(crate) async fn endpoint(&self, id: EndpointId) -> Result<Endpoint, DbError> {
        let mut stored = self.read(move |connection| get(connection, id)).await?;
        stored.retired = self.retired_secrets().await?.remove(&id).unwrap_or_default();
        stored.open(&self.sealer)
    }

    /// A new endpoint gets what comes after `cursor`; if it is the operator's, what he is told next.
    pub(crate) async fn create_endpoint(
        &self,
        endpoint: Endpoint,
        cursor: u64,
    ) -> Result<(), DbError> {
        let sealed = self.sealer.seal(endpoint.id.to_bytes(), endpoint.secret.expose());
        let outward = outward::Sealed::seal(endpoint.outward, endpoint.id, &self.sealer);
        self.change_beside(move |connection| {
            let cursor = match endpoint.kind {
                EndpointKind::Directory => cursor,
                EndpointKind::Operational => operational::end(connection)?,
            };
            let written = connection.execute(
                "INSERT INTO endpoints (id, url, events, enabled, delivery_order, secret,
                     created_at, updated_at, cursor, format, kind, retry_schedule, organizations,
                     directories)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)",
                params![
                    endpoint.id.to_bytes(),
                    endpoint.url,
                    json(&endpoint.events)?,
                    endpoint.enabled,
                    endpoint.order.name(),
                    sealed,
                    endpoint.created_at.millis(),
                    endpoint.updated_at.millis(),
                    as_sql(cursor),
                    endpoint.format.name(),
                    endpoint.kind.name(),
                    endpoint.retry_schedule.as_ref().map(Waits::to_string),
                    json(&endpoint.organizations)?,
                    json(&endpoint.directories)?,
                ],
            );
            written.map_err(|error| conflict(error, Conflict::EndpointUrl))?;
            outward.write(connection, endpoint.id)
        })
        .await?;
        self.endpoints_changed();
        Ok(())
    }

    pub(crate) async fn update_endpoint(
        &self,
        id: EndpointId,
        change: EndpointChange,
    ) -> Result<Endpoint, DbError> {
        let sealer = Arc::clone(&self.sealer);
        self.change_beside(move |connection| {
            let is_enabled = change.enabled == Some(true);
            let outward = change.outward.clone();
            let stored = get(connection, id)?.changed(change)?;
            stored.write(connection)?;
            if is_enabled {
                connection.execute(
                    "UPDATE endpoints SET disabled_reason = NULL, failing_since = NULL,
                         failed_in_a_row = 0, is_told = 0, is_paused = 0 WHERE id = ?1",
                    [id.to_bytes()],
                )?;
            }
            let outward = outward.on(stored.outward.open(id, &sealer)?);
            outward::Sealed::seal(outward, id, &sealer).write(connection, id)
        })
        .await?;
        self.endpoints_changed();
        self.endpoint(id).await.map_err(DbError::behind_commit)
    }

    pub(crate) async fn delete_endpoint(&self, id: EndpointId) -> Result<(), DbError> {
        self.change_beside(move |connection| {
            let deleted =
                connection.execute("DELETE FROM endpoints WHERE id = ?1", [id.to_bytes()])?;
            if deleted == 0 { Err(not_found()) } else { Ok(()) }
        })
        .await?;
        self.endpoints_changed();
        Ok(())
    }

    /// The endpoints as the dispatcher needs them.
    pub(crate) async fn lanes(&self) -> Result<lanes::Endpoints, DbError> {
        // The version first: a change in between shows as a later version, and is looked at again.
        let version = *self.endpoints_version.borrow();
        let found = self.stored_endpoints().await?;
        let list = found.into_iter().map(|stored| stored.into_lane(&self.sealer));
        let list = list.collect::<Result<_, _>>()?;
        Ok(lanes::Endpoints { version, list, replays: self.live_replays().await? })
    }

    async fn stored_endpoints(&self) -> Result<Vec<Stored>, DbError> {
        let sql = format!("SELECT {COLUMNS}, {} FROM endpoints ORDER BY id", outward::COLUMNS);
        let mut found =
            self.read(move |connection| all(connection, &sql, [], |row| read(row))).await?;
        let mut retired = self.retired_secrets().await?;
        for stored in &mut found {
            stored.retired = retired.remove(&stored.id).unwrap_or_default();
        }
        Ok(found)
    }
}

impl Stored {
    pub(crate) fn changed(mut self, change: EndpointChange) -> Result<Self, DbError> {
        is_made_from(change.made_from, self.updated_at)?;
        self.url = change.url.unwrap_or(self.url);
        self.events = change.events.unwrap_or(self.events);
        self.enabled = change.enabled.unwrap_or(self.enabled);
        self.format = change.format.unwrap_or(self.format);
        self.order = change.order.unwrap_or(self.order);
        self.retry_schedule = change.retry_schedule.unwrap_or(self.retry_schedule);
        self.organizations = change.organizations.unwrap_or(self.organizations);
        self.directories = change.directories.unwrap_or(self.directories);
        self.updated_at = after(self.updated_at, change.updated_at);
        Ok(self)
    }

    fn write(&self, connection: &Connection) -> Result<(), DbError> {
        let written = connection.execute(
            "UPDATE endpoints SET url = ?2, events = ?3, enabled = ?4, updated_at = ?5, format = ?6,
                 delivery_order = ?7, retry_schedule = ?8, organizations = ?9, directories = ?10
             WHERE id = ?1",
            params![
                self.id.to_bytes(),
                self.url,
                json(&self.events)?,
                self.enabled,
                self.updated_at.millis(),
                self.format.name(),
                self.order.name(),
                self.retry_schedule.as_ref().map(Waits::to_string),
                json(&self.organizations)?,
                json(&self.directories)?,
            ],
        );
        written.map(drop).map_err(|error| conflict(error, Conflict::EndpointUrl))
    }

    pub(crate) fn open(self, sealer: &Sealer) -> Result<Endpoint, DbError> {
        Ok(Endpoint {
            secret: Secret::new(sealer.open(self.id.to_bytes(), &self.sealed)?),
            id: self.id,
            url: self.url,
            kind: self.kind,
            enabled: self.enabled,
            events: self.events,
            organizations: self.organizations,
            directories: self.directories,
            order: self.order,
            retry_schedule: self.retry_schedule,
            format: self.format,
            created_at: self.created_at,
            updated_at: self.updated_at,
            outward: self.outward.open(self.id, sealer)?,
            previous_secret_until: outward::until(&self.retired),
        })
    }

    pub(crate) fn into_lane(self, sealer: &Sealer) -> Result<lanes::Endpoint, DbError> {
        let outward = self.outward.open(self.id, sealer)?;
        Ok(lanes::Endpoint {
            secrets: outward::signing(self.id, &self.sealed, &self.retired, &outward, sealer)?,
            identity: outward::identity(&outward)?,
            timeout: outward.timeout,
            id: self.id,
            url: self.url,
            kind: self.kind,
            filter: lanes::Filter {
                events: self.events,
                organizations: self.organizations,
                directories: self.directories,
            },
            enabled: self.enabled,
            order: self.order,
            retry_schedule: self.retry_schedule,
            format: self.format,
            created_at: self.created_at,
        })
    }
}

pub(super) fn get(connection: &Connection, id: EndpointId) -> Result<Stored, DbError> {
    let sql = format!("SELECT {COLUMNS}, {} FROM endpoints WHERE id = ?1", outward::COLUMNS);
    first(connection, &sql, [id.to_bytes()], |row| read(row))?.ok_or_else(not_found)
}

/// An endpoint of the [`COLUMNS`] and those of [`outward`].
pub(crate) fn read(row: &impl Columns) -> Result<Stored, DbError> {
    Ok(Stored {
        id: EndpointId::from_bytes(row.id(0)?),
        url: row.text(1)?,
        events: list(row, 2, "event types")?,
        enabled: row.flag(3)?,
        order: named(row, 4, "order")?,
        sealed: row.bytes(5)?,
        created_at: row.time(6)?,
        updated_at: row.time(7)?,
        format: named(row, 8, "format")?,
        kind: named(row, 9, "kind of endpoint")?,
        retry_schedule: row
            .text_if(10)?
            .map(|text| text.parse().map_err(unreadable("retry schedule")))
            .transpose()?,
        organizations: list(row, 11, "organizations")?,
        directories: list(row, 12, "directories")?,
        outward: outward::Sealed::read(row, COLUMNS_LEN)?,
        retired: Vec::new(),
    })
}

/// One of our words.
fn named<T>(row: &impl Columns, column: usize, what: &'static str) -> Result<T, DbError>
where
    T: FromStr<Err: std::error::Error + Send + Sync + 'static>,
{
    row.text(column)?.parse().map_err(unreadable(what))
}

/// A list as it is kept: JSON.
pub(crate) fn list<T: DeserializeOwned>(
    row: &impl Columns,
    column: usize,
    what: &'static str,
) -> Result<Vec<T>, DbError> {
    serde_json::from_str(&row.text(column)?).map_err(unreadable(what))
}

pub(crate) fn json<T: Serialize>(list: &[T]) -> Result<String, DbError> {
    serde_json::to_string(list).map_err(unreadable("list"))
}
