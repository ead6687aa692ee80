//! Webhook endpoints, as they are configured, and what signs for them.

use api::ports::{
    Conflict, Endpoint, EndpointChange, Page, PageRequest, SIGNING_SECRETS_MAX, SecretRotation,
};
use deadpool_postgres::{GenericClient, Transaction};
use dispatcher::ports as lanes;
use schemas::{EndpointId, EndpointKind, Timestamp, Waits};

use super::query::{Parameters, all, conflict, execute, first, id, int};
use super::{About, Config, operational};
use crate::columns::Columns as _;
use crate::config::endpoints::{COLUMNS, Stored, json, read};
use crate::config::organizations::{after, is_made_from};
use crate::config::outward::{self, by_endpoint, retired};
use crate::config::replays;
use crate::error::{DbError, unreadable};
use crate::ports::paging::by_id;
use crate::ports::{conflicted, not_found};

impl Config {
    pub(super) async fn endpoints(
        &self,
        page: PageRequest<EndpointId>,
    ) -> Result<Page<Endpoint>, DbError> {
        let found = stored(&self.db.client().await?, None, self.now()).await?;
        let found = found.into_iter().map(|stored| stored.open(&self.sealer));
        let found = found.collect::<Result<Vec<_>, _>>()?;
        Ok(by_id(found, &page, |endpoint| endpoint.id))
    }

    pub(super) async fn endpoint(&self, id: EndpointId) -> Result<Endpoint, DbError> {
        let found = stored(&self.db.client().await?, Some(id), self.now()).await?.pop();
        found.ok_or_else(not_found)?.open(&self.sealer)
    }

    pub(super) async fn create_endpoint(
        &self,
        endpoint: Endpoint,
        cursor: u64,
    ) -> Result<(), DbError> {
        let owner = endpoint.id.to_bytes();
        let sealed = self.sealer.seal(owner, endpoint.secret.expose());
        let outward = outward::Sealed::seal(endpoint.outward, endpoint.id, &self.sealer);
        let mut client = self.db.client().await?;
        let change = self.begin(&mut client, About::Endpoints).await?;
        let cursor = match endpoint.kind {
            EndpointKind::Directory => int(cursor),
            EndpointKind::Operational => operational::end(&change.tx).await?,
        };
        let sql = "INSERT INTO endpoints (id, url, events, enabled, delivery_order, secret,
                created_at, updated_at, cursor, format, kind, retry_schedule, organizations,
                directories)
            VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
        let parameters: Parameters<'_> = &[
            &id(owner),
            &endpoint.url,
            &json(&endpoint.events)?,
            &endpoint.enabled,
            &endpoint.order.name(),
            &sealed,
            &endpoint.created_at.millis(),
            &endpoint.updated_at.millis(),
            &cursor,
            &endpoint.format.name(),
            &endpoint.kind.name(),
            &endpoint.retry_schedule.as_ref().map(Waits::to_string),
            &json(&endpoint.organizations)?,
            &json(&endpoint.directories)?,
        ];
        let written = execute(&change.tx, sql, parameters).await;
        written.map_err(|error| conflict(error, Conflict::EndpointUrl))?;
        write_outward(&change.tx, endpoint.id, &outward).await?;
        self.commit(change).await
    }

    pub(super) async fn update_endpoint(
        &self,
        endpoint: EndpointId,
        wanted: EndpointChange,
    ) -> Result<Endpoint, DbError> {
        {
            let mut client = self.db.client().await?;
            let change = self.begin(&mut client, About::Endpoints).await?;
            let is_enabled = wanted.enabled == Some(true);
            let outward = wanted.outward.clone();
            let before = stored(&change.tx, Some(endpoint), self.now()).await?.pop();
            let changed = before.ok_or_else(not_found)?.changed(wanted)?;
            write(&change.tx, &changed).await?;
            if is_enabled {
                let sql = "UPDATE endpoints SET disabled_reason = NULL, failing_since = NULL,
                    failed_in_a_row = 0, is_told = false, is_paused = false WHERE id = $1";
                execute(&change.tx, sql, &[&id(endpoint.to_bytes())]).await?;
            }
            let outward = outward.on(changed.outward.open(endpoint, &self.sealer)?);
            let sealed = outward::Sealed::seal(outward, endpoint, &self.sealer);
            write_outward(&change.tx, endpoint, &sealed).await?;
            self.commit(change).await?;
        }
        self.endpoint(endpoint).await.map_err(DbError::behind_commit)
    }

    pub(super) async fn delete_endpoint(&self, endpoint: EndpointId) -> Result<(), DbError> {
        let mut client = self.db.client().await?;
        let change = self.begin(&mut client, About::Endpoints).await?;
        let sql = "DELETE FROM endpoints WHERE id = $1";
        if execute(&change.tx, sql, &[&id(endpoint.to_bytes())]).await? == 0 {
            return Err(not_found());
        }
        self.commit(change).await
    }

    pub(super) async fn rotate_secret(
        &self,
        endpoint: EndpointId,
        rotation: SecretRotation,
    ) -> Result<Endpoint, DbError> {
        let sealed = self.sealer.seal(endpoint.to_bytes(), rotation.secret.expose());
        {
            let mut client = self.db.client().await?;
            let change = self.begin(&mut client, About::Endpoints).await?;
            let before = stored(&change.tx, Some(endpoint), self.now()).await?.pop();
            let before = before.ok_or_else(not_found)?.updated_at;
            is_made_from(rotation.made_from, before)?;
            retire(&change.tx, endpoint, &sealed, &rotation, before).await?;
            self.commit(change).await?;
        }
        self.endpoint(endpoint).await.map_err(DbError::behind_commit)
    }

    /// The endpoints and replays as the dispatcher needs them, and the count that they are of.
    pub(super) async fn lanes(&self) -> Result<lanes::Endpoints, DbError> {
        let client = self.db.client().await?;
        // The count first: a change in between shows as a later one, and is looked at again.
        let row = first(&client, "SELECT endpoints FROM configuration", &[]).await?;
        let version = row.ok_or_else(|| unreadable("configuration")("it is empty"))?.count(0)?;
        let found = stored(&client, None, self.now()).await?;
        let list = found.into_iter().map(|stored| stored.into_lane(&self.sealer));
        let list: Vec<lanes::Endpoint> = list.collect::<Result<_, _>>()?;
        let sql = "SELECT id, endpoint, up_to, directories, events, rate FROM replays
            WHERE finished_at IS NULL ORDER BY id";
        let replays = all(&client, sql, &[]).await?;
        let replays = replays.iter().map(replays::lane).collect::<Result<_, _>>()?;
        // Whoever waits for another count has to find this one.
        self.memory.endpoints.send_if_modified(|known| {
            let is_more = *known < version;
            *known = version.max(*known);
            is_more
        });
        Ok(lanes::Endpoints { version, list, replays })
    }

    pub(super) async fn wait_endpoints_changed(&self, version: u64) -> Result<(), DbError> {
        let mut changes = self.memory.endpoints.subscribe();
        let changed = changes.wait_for(|current| *current != version).await;
        changed.map(drop).map_err(|_| DbError::Closed)
    }
}

/// One endpoint or all of them, with what signs beside the secret.
async fn stored(
    client: &impl GenericClient,
    one: Option<EndpointId>,
    now: Timestamp,
) -> Result<Vec<Stored>, DbError> {
    let one = one.map(EndpointId::to_bytes).map(id);
    let sql = format!(
        "SELECT {COLUMNS}, {} FROM endpoints WHERE $1::bytea IS NULL OR id = $1 ORDER BY id",
        outward::COLUMNS
    );
    let rows = all(client, &sql, &[&one]).await?;
    let mut found = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
    let sql = "SELECT endpoint, secret, until FROM retired_secrets
        WHERE until > $1 AND ($2::bytea IS NULL OR endpoint = $2) ORDER BY key DESC";
    let rows = all(client, sql, &[&now.millis(), &one]).await?;
    let rows = rows.iter().map(retired).collect::<Result<Vec<_>, _>>()?;
    let mut secrets = by_endpoint(rows);
    for stored in &mut found {
        stored.retired = secrets.remove(&stored.id).unwrap_or_default();
    }
    Ok(found)
}

async fn write(tx: &Transaction<'_>, stored: &Stored) -> Result<(), DbError> {
    let sql =
        "UPDATE endpoints SET url = $2, events = $3, enabled = $4, updated_at = $5, format = $6,
            delivery_order = $7, retry_schedule = $8, organizations = $9, directories = $10
        WHERE id = $1";
    let parameters: Parameters<'_> = &[
        &id(stored.id.to_bytes()),
        &stored.url,
        &json(&stored.events)?,
        &stored.enabled,
        &stored.updated_at.millis(),
        &stored.format.name(),
        &stored.order.name(),
        &stored.retry_schedule.as_ref().map(Waits::to_string),
        &json(&stored.organizations)?,
        &json(&stored.directories)?,
    ];
    let written = execute(tx, sql, parameters).await;
    written.map(drop).map_err(|error| conflict(error, Conflict::EndpointUrl))
}

async fn write_outward(
    tx: &Transaction<'_>,
    endpoint: EndpointId,
    sealed: &outward::Sealed,
) -> Result<(), DbError> {
    let sql = "UPDATE endpoints SET timeout_ms = $2, client_certificate = $3, client_key = $4,
            public_key = $5, private_key = $6 WHERE id = $1";
    let (certificate, pair) = (sealed.client_certificate.as_ref(), sealed.key_pair.as_ref());
    let parameters: Parameters<'_> = &[
        &id(endpoint.to_bytes()),
        &sealed.timeout_millis()?,
        &certificate.map(|(chain, _)| chain),
        &certificate.map(|(_, key)| key),
        &pair.map(|(public, _)| public),
        &pair.map(|(_, private)| private),
    ];
    execute(tx, sql, parameters).await?;
    Ok(())
}

async fn retire(
    tx: &Transaction<'_>,
    endpoint: EndpointId,
    sealed: &Vec<u8>,
    rotation: &SecretRotation,
    before: Timestamp,
) -> Result<(), DbError> {
    let (owner, end, at) = (id(endpoint.to_bytes()), rotation.until.millis(), rotation.at);
    let sql = "INSERT INTO retired_secrets (endpoint, secret, until)
        SELECT id, secret, $2 FROM endpoints WHERE id = $1";
    execute(tx, sql, &[&owner, &end]).await?;
    let sql = "UPDATE retired_secrets SET until = least(until, $2) WHERE endpoint = $1";
    execute(tx, sql, &[&owner, &end]).await?;
    let sql = "DELETE FROM retired_secrets WHERE until <= $1";
    execute(tx, sql, &[&at.millis()]).await?;
    let sql = "SELECT count(*) FROM retired_secrets WHERE endpoint = $1";
    let retired = first(tx, sql, &[&owner]).await?;
    let retired = retired.map(|row| row.integer(0)).transpose()?;
    if retired >= Some(SIGNING_SECRETS_MAX) {
        return Err(conflicted(Conflict::SigningSecrets));
    }
    let sql = "UPDATE endpoints SET secret = $2, updated_at = $3 WHERE id = $1";
    execute(tx, sql, &[&owner, sealed, &after(before, at).millis()]).await?;
    Ok(())
}
