//! Links to the setup page, and the sessions of who has opened one.

use api::ports::{
    Cursor, Digest, LINKS_KEPT, LIVE_LINKS_MAX, NewPortalLink, NewPortalSession, Opening, Order,
    Page, PageRequest, PortalLink, PortalSession, Reach,
};
use async_trait::async_trait;
use rusqlite::{Connection, TransactionBehavior, params};
use schemas::{ApiKeyId, OrganizationId, PortalLinkId, Timestamp};

use super::{Config, organizations};
use crate::backend::PortalBackend;
use crate::columns::Columns;
use crate::error::DbError;
use crate::ports::not_found;
use crate::sqlite::as_sql;
use crate::state::reading::page::{Conditions, finished, in_front_of, is_forwards};
use crate::state::rows::{Time, all, first};

/// The columns of [`read`], in its order.
pub(crate) const COLUMNS: &str =
    "id, organization, return_url, success_url, created_by, created_at, expires_at,
    used_at, revoked_at";

/// What holds of a link that waits to be opened. `?1` is its organization, `?2` the time.
const LIVE: &str =
    "organization = ?1 AND used_at IS NULL AND revoked_at IS NULL AND expires_at > ?2";

#[async_trait]
impl PortalBackend for Config {
    async fn portal_links(
        &self,
        page: PageRequest<PortalLinkId>,
        organization: Option<OrganizationId>,
    ) -> Result<Page<PortalLink>, DbError> {
        let mut conditions = Conditions::default();
        let own = match page.reach {
            Reach::Everything => None,
            Reach::Organization(own) => Some(own),
        };
        // An index leads through one organization in the order of ids.
        for wanted in own.into_iter().chain(organization) {
            conditions.and("organization = {}", wanted.to_bytes().to_vec());
        }
        let rising = (page.order == Order::Ascending) == is_forwards(&page);
        let mut opposed = conditions.clone();
        if let Some(Cursor::After(id) | Cursor::Before(id)) = page.cursor {
            let (behind, in_front) =
                if rising { ("id > {}", "id <= {}") } else { ("id < {}", "id >= {}") };
            conditions.and(behind, id.to_bytes().to_vec());
            opposed.and(in_front, id.to_bytes().to_vec());
        }
        let in_front = format!("SELECT 1 FROM portal_links WHERE {} LIMIT 1", opposed.to_sql());
        let (wanted, direction) = (conditions.to_sql(), if rising { "ASC" } else { "DESC" });
        let sql = format!(
            "SELECT {COLUMNS} FROM portal_links WHERE {wanted} ORDER BY id {direction} LIMIT {}",
            page.limit + 1
        );
        self.read(move |connection| {
            let parameters = rusqlite::params_from_iter(conditions.parameters());
            let found = finished(all(connection, &sql, parameters, |row| read(row))?, &page);
            if page.cursor.is_none() {
                return Ok(found);
            }
            let parameters = rusqlite::params_from_iter(opposed.parameters());
            let anything = first(connection, &in_front, parameters, |_| Ok(()))?.is_some();
            Ok(in_front_of(found, &page, anything))
        })
        .await
    }

    async fn create_portal_link(&self, reach: Reach, new: NewPortalLink) -> Result<(), DbError> {
        if !reach.covers(new.organization_id) {
            return Err(not_found());
        }
        self.durable
            .run(move |connection| {
                let transaction =
                    connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
                organizations::get(&transaction, new.organization_id)?;
                put(&transaction, &new)?;
                make_room(&transaction, new.organization_id, new.created_at)?;
                Ok(transaction.commit()?)
            })
            .await
    }

    async fn revoke_portal_link(
        &self,
        reach: Reach,
        id: PortalLinkId,
        at: Timestamp,
    ) -> Result<(), DbError> {
        let sql = format!("SELECT {COLUMNS} FROM portal_links WHERE id = ?1");
        self.durable
            .run(move |connection| {
                let link = first(connection, &sql, [id.to_bytes()], |row| read(row))?;
                link.filter(|link| reach.covers(link.organization_id)).ok_or_else(not_found)?;
                connection.execute(
                    "UPDATE portal_links SET revoked_at = ?2, session = NULL,
                         session_expires_at = NULL
                     WHERE id = ?1 AND revoked_at IS NULL",
                    params![id.to_bytes(), at.millis()],
                )?;
                Ok(())
            })
            .await
    }

    async fn portal_link(&self, token: Digest) -> Result<Option<PortalLink>, DbError> {
        self.read(move |connection| by_digest(connection, token)).await
    }

    async fn open_portal_link(
        &self,
        token: Digest,
        session: NewPortalSession,
        now: Timestamp,
    ) -> Result<Opening, DbError> {
        self.durable
            .run(move |connection| {
                // One statement decides, so that of those who come at once one is the first.
                let opened = connection.execute(
                    "UPDATE portal_links SET used_at = ?2, session = ?3, session_expires_at = ?4
                     WHERE digest = ?1 AND used_at IS NULL AND revoked_at IS NULL
                         AND expires_at > ?2",
                    params![token, now.millis(), session.digest, session.expires_at.millis()],
                )?;
                let Some(link) = by_digest(connection, token)? else { return Ok(Opening::Unknown) };
                if opened > 0 {
                    let expires_at = session.expires_at;
                    return Ok(Opening::Opened(PortalSession { link, expires_at }));
                }
                let void = link.void(now);
                Ok(void.map_or(Opening::Unknown, |why| Opening::Void(link, why)))
            })
            .await
    }

    async fn portal_session(
        &self,
        session: Digest,
        now: Timestamp,
    ) -> Result<Option<PortalSession>, DbError> {
        let sql = format!(
            "SELECT {COLUMNS}, session_expires_at FROM portal_links
             WHERE session = ?1 AND session_expires_at > ?2"
        );
        self.read(move |connection| {
            first(connection, &sql, params![session, now.millis()], |row| {
                Ok(PortalSession { link: read(row)?, expires_at: row.get::<_, Time>(9)?.0 })
            })
        })
        .await
    }

    async fn end_portal_session(&self, session: Digest) -> Result<(), DbError> {
        self.durable
            .run(move |connection| {
                let sql = "UPDATE portal_links SET session = NULL, session_expires_at = NULL
                    WHERE session = ?1";
                connection.execute(sql, [session])?;
                Ok(())
            })
            .await
    }
}

fn by_digest(connection: &Connection, token: Digest) -> Result<Option<PortalLink>, DbError> {
    let sql = format!("SELECT {COLUMNS} FROM portal_links WHERE digest = ?1");
    first(connection, &sql, [token], |row| read(row))
}

fn put(connection: &Connection, new: &NewPortalLink) -> Result<(), DbError> {
    connection.execute(
        "INSERT INTO portal_links (id, digest, organization, return_url, success_url, created_by,
             created_at, expires_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
        params![
            new.id.to_bytes(),
            new.digest,
            new.organization_id.to_bytes(),
            new.return_url,
            new.success_url,
            new.created_by.map(ApiKeyId::to_bytes),
            new.created_at.millis(),
            new.expires_at.millis(),
        ],
    )?;
    Ok(())
}

/// Revokes the live links beyond the limit, and forgets those beyond the other that open nothing any more.
fn make_room(
    connection: &Connection,
    organization: OrganizationId,
    now: Timestamp,
) -> Result<(), DbError> {
    let (organization, now) = (organization.to_bytes(), now.millis());
    let sql = format!(
        "UPDATE portal_links SET revoked_at = ?2 WHERE id IN (SELECT id FROM portal_links
             WHERE {LIVE} ORDER BY expires_at DESC, id DESC LIMIT -1 OFFSET ?3)"
    );
    connection.execute(&sql, params![organization, now, as_sql(LIVE_LINKS_MAX as u64)])?;
    let sql = format!(
        "DELETE FROM portal_links WHERE id IN (SELECT id FROM portal_links
             WHERE organization = ?1 ORDER BY id DESC LIMIT -1 OFFSET ?3)
         AND NOT ({LIVE}) AND coalesce(session_expires_at, 0) <= ?2"
    );
    connection.execute(&sql, params![organization, now, LINKS_KEPT])?;
    Ok(())
}

pub(crate) fn read(row: &impl Columns) -> Result<PortalLink, DbError> {
    Ok(PortalLink {
        id: PortalLinkId::from_bytes(row.id(0)?),
        organization_id: OrganizationId::from_bytes(row.id(1)?),
        return_url: row.text_if(2)?,
        success_url: row.text_if(3)?,
        created_by: row.id_if(4)?.map(ApiKeyId::from_bytes),
        created_at: row.time(5)?,
        expires_at: row.time(6)?,
        used_at: row.time_if(7)?,
        revoked_at: row.time_if(8)?,
    })
}
