//! Links to the setup page, and the sessions of who has opened one.

use api::ports::{
    Cursor, Digest, LINKS_KEPT, LIVE_LINKS_MAX, NewPortalLink, NewPortalSession, Opening, Order,
    Page, PageRequest, PortalLink, PortalSession, Reach,
};
use async_trait::async_trait;
use deadpool_postgres::Transaction;
use schemas::{ApiKeyId, OrganizationId, PortalLinkId, Timestamp};

use super::query::{Parameters, all, commit, execute, first, id, int};
use super::{Config, organizations};
use crate::backend::PortalBackend;
use crate::columns::Columns as _;
use crate::config::portal_links::{COLUMNS, read};
use crate::error::DbError;
use crate::ports::not_found;
use crate::state::reading::page::{finished, in_front_of, is_forwards};

/// What holds of a link that waits to be opened. `$1` is its organization, `$2` the time.
const LIVE: &str =
    "organization = $1 AND used_at IS NULL AND revoked_at IS NULL AND expires_at > $2";

#[async_trait]
impl PortalBackend for Config {
    async fn portal_links(
        &self,
        page: PageRequest<PortalLinkId>,
        organization: Option<OrganizationId>,
    ) -> Result<Page<PortalLink>, DbError> {
        let own = match page.reach {
            Reach::Everything => None,
            Reach::Organization(own) => Some(own),
        };
        let bytes = |wanted: Option<OrganizationId>| wanted.map(|one| id(one.to_bytes()));
        let rising = (page.order == Order::Ascending) == is_forwards(&page);
        let after = match page.cursor {
            Some(Cursor::After(cursor) | Cursor::Before(cursor)) => Some(id(cursor.to_bytes())),
            None => None,
        };
        let (beyond, in_front, direction) =
            if rising { (">", "<=", "ASC") } else { ("<", ">=", "DESC") };
        let wanted = "($1::bytea IS NULL OR organization = $1)
            AND ($2::bytea IS NULL OR organization = $2)";
        let sql = format!(
            "SELECT {COLUMNS} FROM portal_links
             WHERE {wanted} AND ($3::bytea IS NULL OR id {beyond} $3)
             ORDER BY id {direction} LIMIT $4"
        );
        let client = self.db.client().await?;
        let (own, organization) = (bytes(own), bytes(organization));
        let parameters: Parameters<'_> =
            &[&own, &organization, &after, &(i64::from(page.limit) + 1)];
        let rows = all(&client, &sql, parameters).await?;
        let found = rows.iter().map(read).collect::<Result<Vec<_>, _>>()?;
        let found = finished(found, &page);
        if after.is_none() {
            return Ok(found);
        }
        let sql = format!("SELECT 1 FROM portal_links WHERE {wanted} AND id {in_front} $3 LIMIT 1");
        let anything = first(&client, &sql, &[&own, &organization, &after]).await?.is_some();
        Ok(in_front_of(found, &page, anything))
    }

    async fn create_portal_link(&self, reach: Reach, new: NewPortalLink) -> Result<(), DbError> {
        if !reach.covers(new.organization_id) {
            return Err(not_found());
        }
        let mut client = self.db.client().await?;
        let tx = client.transaction().await?;
        // The organization's row stays locked, so that of links made at once each counts the others.
        let sql = "SELECT 1 FROM organizations WHERE id = $1 FOR UPDATE";
        execute(&tx, sql, &[&id(new.organization_id.to_bytes())]).await?;
        organizations::get(&tx, new.organization_id).await?;
        put(&tx, &new).await?;
        make_room(&tx, new.organization_id, new.created_at).await?;
        commit(tx).await
    }

    async fn revoke_portal_link(
        &self,
        reach: Reach,
        link: PortalLinkId,
        at: Timestamp,
    ) -> Result<(), DbError> {
        let client = self.db.client().await?;
        let sql = format!("SELECT {COLUMNS} FROM portal_links WHERE id = $1");
        let found = first(&client, &sql, &[&id(link.to_bytes())]).await?;
        let found = found.map(|row| read(&row)).transpose()?;
        found.filter(|link| reach.covers(link.organization_id)).ok_or_else(not_found)?;
        let sql = "UPDATE portal_links SET revoked_at = $2, session = NULL,
                session_expires_at = NULL
            WHERE id = $1 AND revoked_at IS NULL";
        execute(&client, sql, &[&id(link.to_bytes()), &at.millis()]).await.map(drop)
    }

    async fn portal_link(&self, token: Digest) -> Result<Option<PortalLink>, DbError> {
        by_digest(&self.db.client().await?, token).await
    }

    async fn open_portal_link(
        &self,
        token: Digest,
        session: NewPortalSession,
        now: Timestamp,
    ) -> Result<Opening, DbError> {
        let client = self.db.client().await?;
        // One statement decides, so that of those who come at once one is the first.
        let sql = "UPDATE portal_links SET used_at = $2, session = $3, session_expires_at = $4
            WHERE digest = $1 AND used_at IS NULL AND revoked_at IS NULL AND expires_at > $2";
        let parameters: Parameters<'_> = &[
            &token.to_vec(),
            &now.millis(),
            &session.digest.to_vec(),
            &session.expires_at.millis(),
        ];
        let opened = execute(&client, sql, parameters).await?;
        let Some(link) = by_digest(&client, token).await? else { return Ok(Opening::Unknown) };
        if opened > 0 {
            return Ok(Opening::Opened(PortalSession { link, expires_at: session.expires_at }));
        }
        let void = link.void(now);
        Ok(void.map_or(Opening::Unknown, |why| Opening::Void(link, why)))
    }

    async fn portal_session(
        &self,
        session: Digest,
        now: Timestamp,
    ) -> Result<Option<PortalSession>, DbError> {
        let sql = format!(
            "SELECT {COLUMNS}, session_expires_at FROM portal_links
             WHERE session = $1 AND session_expires_at > $2"
        );
        let client = self.db.client().await?;
        let found = first(&client, &sql, &[&session.to_vec(), &now.millis()]).await?;
        let session = |row: tokio_postgres::Row| {
            Ok(PortalSession { link: read(&row)?, expires_at: row.time(9)? })
        };
        found.map(session).transpose()
    }

    async fn end_portal_session(&self, session: Digest) -> Result<(), DbError> {
        let sql = "UPDATE portal_links SET session = NULL, session_expires_at = NULL
            WHERE session = $1";
        let client = self.db.client().await?;
        execute(&client, sql, &[&session.to_vec()]).await.map(drop)
    }
}

async fn by_digest(
    client: &impl deadpool_postgres::GenericClient,
    token: Digest,
) -> Result<Option<PortalLink>, DbError> {
    let sql = format!("SELECT {COLUMNS} FROM portal_links WHERE digest = $1");
    first(client, &sql, &[&token.to_vec()]).await?.map(|row| read(&row)).transpose()
}

async fn put(tx: &Transaction<'_>, new: &NewPortalLink) -> Result<(), DbError> {
    let sql = "INSERT INTO portal_links (id, digest, organization, return_url, success_url,
            created_by, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)";
    let parameters: Parameters<'_> = &[
        &id(new.id.to_bytes()),
        &new.digest.to_vec(),
        &id(new.organization_id.to_bytes()),
        &new.return_url,
        &new.success_url,
        &new.created_by.map(ApiKeyId::to_bytes).map(id),
        &new.created_at.millis(),
        &new.expires_at.millis(),
    ];
    execute(tx, sql, parameters).await.map(drop)
}

/// Revokes the live links beyond the limit, and forgets those beyond the other that open nothing any more.
async fn make_room(
    tx: &Transaction<'_>,
    organization: OrganizationId,
    now: Timestamp,
) -> Result<(), DbError> {
    let (organization, now) = (id(organization.to_bytes()), now.millis());
    let sql = format!(
        "UPDATE portal_links SET revoked_at = $2 WHERE id IN (SELECT id FROM portal_links
             WHERE {LIVE} ORDER BY expires_at DESC, id DESC OFFSET $3)"
    );
    execute(tx, &sql, &[&organization, &now, &int(LIVE_LINKS_MAX as u64)]).await?;
    let sql = format!(
        "DELETE FROM portal_links WHERE id IN (SELECT id FROM portal_links
             WHERE organization = $1 ORDER BY id DESC OFFSET $3)
         AND NOT ({LIVE}) AND coalesce(session_expires_at, 0) <= $2"
    );
    execute(tx, &sql, &[&organization, &now, &i64::from(LINKS_KEPT)]).await.map(drop)
}
