//! Webhook endpoints, as they are configured.

use std::sync::Arc;

use api::ports::{
    Conflict, Delivering, Endpoint, EndpointChange, LastError, Page, PageRequest, Secret,
};
use dispatcher::ports as lanes;
use rusqlite::{Connection, Row, params};
use schemas::{EndpointId, EventId, EventType, Format, Timestamp};

use super::{Config, Sealer, outward};
use crate::error::{DbError, unreadable};
use crate::ports::paging::by_id;
use crate::ports::{conflict, not_found};
use crate::sqlite::{as_sql, from_sql};
use crate::state::rows::{Time, all, first};

const COLUMNS: &str =
    "id, url, events, enabled, delivery_order, secret, created_at, updated_at, format";

/// How many of them there are; what [`outward`] reads comes after.
const COLUMNS_LEN: usize = 9;

/// What the success rate speaks of.
const RATED: std::time::Duration = std::time::Duration::from_secs(24 * 60 * 60);

/// An endpoint's row; its secret still sealed.
#[derive(Debug)]
struct Stored {
    id: EndpointId,
    url: String,
    events: Vec<EventType>,
    enabled: bool,
    order: lanes::Order,
    sealed: Vec<u8>,
    created_at: Timestamp,
    updated_at: Timestamp,
    format: Format,
    outward: outward::Sealed,
    /// What signs beside the secret.
    retired: Vec<outward::Retired>,
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

    /// A new endpoint gets what comes after the feed's present end.
    pub(crate) async fn create_endpoint(
        &self,
        endpoint: Endpoint,
        feed_end: u64,
    ) -> Result<(), DbError> {
        let sealed = self.sealer.seal(endpoint.id.to_bytes(), endpoint.secret.expose());
        let outward = outward::Sealed::seal(endpoint.outward, endpoint.id, &self.sealer);
        self.change(move |connection| {
            let written = connection.execute(
                "INSERT INTO endpoints (id, url, events, enabled, delivery_order, secret,
                     created_at, updated_at, cursor, format)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
                params![
                    endpoint.id.to_bytes(),
                    endpoint.url,
                    names(&endpoint.events)?,
                    endpoint.enabled,
                    lanes::Order::default().name(),
                    sealed,
                    endpoint.created_at.millis(),
                    endpoint.updated_at.millis(),
                    as_sql(feed_end),
                    endpoint.format.name(),
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
        self.change(move |connection| {
            let mut stored = get(connection, id)?;
            stored.url = change.url.unwrap_or(stored.url);
            stored.events = change.events.unwrap_or(stored.events);
            stored.format = change.format.unwrap_or(stored.format);
            stored.updated_at = change.updated_at;
            if let Some(enabled) = change.enabled {
                stored.enabled = enabled;
            }
            let written = connection.execute(
                "UPDATE endpoints SET url = ?2, events = ?3, enabled = ?4, updated_at = ?5,
                         format = ?6 WHERE id = ?1",
                params![
                    id.to_bytes(),
                    stored.url,
                    names(&stored.events)?,
                    stored.enabled,
                    stored.updated_at.millis(),
                    stored.format.name(),
                ],
            );
            written.map_err(|error| conflict(error, Conflict::EndpointUrl))?;
            if change.enabled == Some(true) {
                connection.execute(
                    "UPDATE endpoints SET disabled_reason = NULL, failing_since = NULL,
                             failed_in_a_row = 0 WHERE id = ?1",
                    [id.to_bytes()],
                )?;
            }
            let outward = change.outward.on(stored.outward.open(id, &sealer)?);
            outward::Sealed::seal(outward, id, &sealer).write(connection, id)
        })
        .await?;
        self.endpoints_changed();
        self.endpoint(id).await
    }

    pub(crate) async fn delete_endpoint(&self, id: EndpointId) -> Result<(), DbError> {
        self.change(move |connection| {
            let deleted =
                connection.execute("DELETE FROM endpoints WHERE id = ?1", [id.to_bytes()])?;
            if deleted == 0 { Err(not_found()) } else { Ok(()) }
        })
        .await?;
        self.endpoints_changed();
        Ok(())
    }

    /// How deliveries go, but for what only the feed tells.
    pub(crate) async fn delivering(
        &self,
        id: EndpointId,
        now: Timestamp,
        feed_end: u64,
    ) -> Result<(Delivering, u64), DbError> {
        let since = now.millis() - i64::try_from(RATED.as_millis()).unwrap_or(i64::MAX);
        self.read(move |connection| delivering(connection, id, since, feed_end)).await
    }

    /// The endpoints as the dispatcher needs them.
    pub(crate) async fn lanes(&self) -> Result<lanes::Endpoints, DbError> {
        // The version first: a change in between shows as a later version, and is looked at again.
        let version = *self.endpoints_version.borrow();
        let found = self.stored_endpoints().await?;
        let list = found.into_iter().map(|stored| stored.into_lane(&self.sealer));
        Ok(lanes::Endpoints { version, list: list.collect::<Result<_, _>>()? })
    }

    async fn stored_endpoints(&self) -> Result<Vec<Stored>, DbError> {
        let sql = format!("SELECT {COLUMNS}, {} FROM endpoints ORDER BY id", outward::COLUMNS);
        let mut found = self.read(move |connection| all(connection, &sql, [], read)).await?;
        let mut retired = self.retired_secrets().await?;
        for stored in &mut found {
            stored.retired = retired.remove(&stored.id).unwrap_or_default();
        }
        Ok(found)
    }
}

impl Stored {
    fn open(self, sealer: &Sealer) -> Result<Endpoint, DbError> {
        Ok(Endpoint {
            secret: Secret::new(sealer.open(self.id.to_bytes(), &self.sealed)?),
            id: self.id,
            url: self.url,
            enabled: self.enabled,
            events: self.events,
            format: self.format,
            created_at: self.created_at,
            updated_at: self.updated_at,
            outward: self.outward.open(self.id, sealer)?,
            previous_secret_until: outward::until(&self.retired),
        })
    }

    fn into_lane(self, sealer: &Sealer) -> Result<lanes::Endpoint, DbError> {
        let outward = self.outward.open(self.id, sealer)?;
        Ok(lanes::Endpoint {
            secrets: outward::signing(self.id, &self.sealed, &self.retired, &outward, sealer)?,
            identity: outward::identity(&outward)?,
            timeout: outward.timeout,
            id: self.id,
            url: self.url,
            events: self.events,
            enabled: self.enabled,
            order: self.order,
            format: self.format,
            created_at: self.created_at,
        })
    }
}

fn get(connection: &Connection, id: EndpointId) -> Result<Stored, DbError> {
    let sql = format!("SELECT {COLUMNS}, {} FROM endpoints WHERE id = ?1", outward::COLUMNS);
    first(connection, &sql, [id.to_bytes()], read)?.ok_or_else(not_found)
}

fn read(row: &Row<'_>) -> Result<Stored, DbError> {
    let events: String = row.get(2)?;
    let order: String = row.get(4)?;
    let format: String = row.get(8)?;
    Ok(Stored {
        id: EndpointId::from_bytes(row.get(0)?),
        url: row.get(1)?,
        events: serde_json::from_str(&events).map_err(unreadable("event types"))?,
        enabled: row.get(3)?,
        order: lanes::Order::named(&order).ok_or_else(|| unreadable("order")(order.as_str()))?,
        sealed: row.get(5)?,
        created_at: row.get::<_, Time>(6)?.0,
        updated_at: row.get::<_, Time>(7)?.0,
        format: format.parse().map_err(unreadable("format"))?,
        outward: outward::Sealed::read(row, COLUMNS_LEN)?,
        retired: Vec::new(),
    })
}

fn names(events: &[EventType]) -> Result<String, DbError> {
    serde_json::to_string(events).map_err(unreadable("event types"))
}

/// What is known here, and the position before the first event that waits.
fn delivering(
    connection: &Connection,
    id: EndpointId,
    since: i64,
    feed_end: u64,
) -> Result<(Delivering, u64), DbError> {
    let sql = "SELECT cursor, failing_since, failed_in_a_row, disabled_reason,
        (SELECT count(*) FROM blocked_lines WHERE endpoint = id),
        (SELECT min(from_position) FROM blocked_lines WHERE endpoint = id),
        (SELECT count(*) FROM attempts WHERE endpoint = id AND at >= ?2),
        (SELECT count(*) FROM attempts WHERE endpoint = id AND at >= ?2 AND failure IS NULL)
        FROM endpoints WHERE id = ?1";
    let found = first(connection, sql, params![id.to_bytes(), since], |row| {
        let cursor = from_sql(row.get(0)?);
        let blocked: Option<i64> = row.get(5)?;
        let first_waiting = blocked.map_or(cursor, |at| from_sql(at).saturating_sub(1).min(cursor));
        let delivering = Delivering {
            // Of a blocked line just the first event is counted: the rest has no row of its own.
            lag_events: feed_end.saturating_sub(cursor) + from_sql(row.get(4)?),
            oldest_waiting: None,
            attempts: from_sql(row.get(6)?),
            delivered: from_sql(row.get(7)?),
            failing_since: row.get::<_, Option<Time>>(1)?.map(|time| time.0),
            failed_in_a_row: from_sql(row.get(2)?),
            last_error: last_error(connection, id)?,
            disabled_reason: row.get(3)?,
        };
        Ok((delivering, first_waiting))
    })?;
    found.ok_or_else(not_found)
}

fn last_error(connection: &Connection, id: EndpointId) -> Result<Option<LastError>, DbError> {
    let sql = "SELECT at, event_id, failure, status FROM attempts
        WHERE endpoint = ?1 AND failure IS NOT NULL ORDER BY key DESC LIMIT 1";
    first(connection, sql, [id.to_bytes()], |row| {
        let failure: String = row.get(2)?;
        let name = failure.split(' ').next().unwrap_or_default().to_owned();
        Ok(LastError {
            at: row.get::<_, Time>(0)?.0,
            event_id: EventId::from_bytes(row.get(1)?),
            failure: name,
            status: row.get(3)?,
        })
    })
}
