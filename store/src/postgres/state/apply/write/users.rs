//! Users that have come or changed, and their addresses.

use std::borrow::Cow;

use directory::resource::text;
use schemas::{Change, ScimId};

use super::super::super::super::lookup::{key, owned_key};
use super::super::super::super::query::Moment;
use super::super::super::super::rows::as_sql;
use super::super::fold::Put;
use crate::error::DbError;
use crate::state::apply::{columns_of, email_key, is_active, other_emails, shown_columns};

/// Forgets the other addresses of users who were there before.
pub(super) async fn forget_addresses(
    moment: &Moment<'_>,
    there: Vec<Vec<u8>>,
) -> Result<(), DbError> {
    if there.is_empty() {
        return Ok(());
    }
    let forget = "DELETE FROM emails USING users
        WHERE emails.user_key = users.key AND users.scim_id = ANY($1)";
    moment.execute(forget, &[&there]).await?;
    Ok(())
}

/// Rows of users, by columns.
#[derive(Default)]
pub(super) struct Users<'b> {
    directory: Vec<i64>,
    scim_id: Vec<Vec<u8>>,
    user_id: Vec<Vec<u8>>,
    name_key: Vec<Cow<'b, str>>,
    external_id: Vec<Option<String>>,
    email: Vec<Option<String>>,
    display: Vec<Option<String>>,
    active: Vec<bool>,
    hidden: Vec<bool>,
    created_at: Vec<i64>,
    updated_at: Vec<i64>,
    version: Vec<i64>,
    attributes: Vec<&'b str>,
    mapped_email: Vec<Option<String>>,
    shown: Vec<Option<String>>,
    /// Other addresses, and whose.
    other_email: Vec<String>,
    other_of: Vec<Vec<u8>>,
}

impl<'b> Users<'b> {
    pub(super) fn of(puts: &[(&ScimId, &Put<'b>)]) -> Result<Self, DbError> {
        let mut rows = Self::default();
        for (id, put) in puts {
            rows.push(**id, put)?;
        }
        Ok(rows)
    }

    fn push(&mut self, id: ScimId, put: &Put<'b>) -> Result<(), DbError> {
        let Change::User { user_id, name_key, created_at, attributes, shown, .. } = put.change
        else {
            return Ok(());
        };
        let (columns, shown) = (columns_of(attributes)?, shown_columns(shown)?);
        let owned = |name| text(&columns, name).map(str::to_owned);
        let looked_up = |name| text(&columns, name).map(|value| key(value).into_owned());
        let email = email_key(&columns);
        for other in other_emails(&columns, email.as_deref()) {
            self.other_email.push(owned_key(other));
            self.other_of.push(id.to_bytes().to_vec());
        }
        self.directory.push(put.directory);
        self.scim_id.push(id.to_bytes().to_vec());
        self.user_id.push(user_id.to_bytes().to_vec());
        self.name_key.push(key(name_key));
        self.external_id.push(looked_up("externalId"));
        self.email.push(email.map(owned_key));
        self.display.push(owned("displayName"));
        self.active.push(is_active(&columns));
        self.hidden.push(shown.hidden);
        self.created_at.push(created_at.millis());
        self.updated_at.push(put.updated_at.millis());
        self.version.push(as_sql(put.version.0));
        self.attributes.push(attributes.json());
        self.mapped_email.push(shown.mapped_email.map(owned_key));
        self.shown.push(shown.json);
        Ok(())
    }

    pub(super) async fn put(&self, moment: &Moment<'_>) -> Result<(), DbError> {
        let Self { directory, scim_id, user_id, name_key, external_id, email, display, .. } = self;
        let Self { active, hidden, created_at, updated_at, version, attributes, .. } = self;
        let Self { mapped_email, shown, .. } = self;
        moment
            .execute(
                PUT_USERS,
                &[
                    directory,
                    scim_id,
                    user_id,
                    name_key,
                    external_id,
                    email,
                    display,
                    active,
                    hidden,
                    created_at,
                    updated_at,
                    version,
                    attributes,
                    mapped_email,
                    shown,
                ],
            )
            .await?;
        if !self.other_email.is_empty() {
            let sql = "INSERT INTO emails (directory, value, user_key)
                SELECT users.directory, new.value, users.key
                FROM unnest($1::bytea[], $2::text[]) AS new (scim_id, value)
                JOIN users ON users.scim_id = new.scim_id";
            moment.execute(sql, &[&self.other_of, &self.other_email]).await?;
        }
        Ok(())
    }
}

const PUT_USERS: &str =
    "INSERT INTO users (directory, scim_id, user_id, name_key, external_id, email,
        display, active, hidden, created_at, updated_at, version, attributes, mapped_email, shown)
    SELECT directory, scim_id, user_id, name_key, external_id, email, display, active, hidden,
        created_at, updated_at, version, attributes::json, mapped_email, shown::json
    FROM unnest($1::bigint[], $2::bytea[], $3::bytea[], $4::text[], $5::text[], $6::text[],
        $7::text[], $8::boolean[], $9::boolean[], $10::bigint[], $11::bigint[], $12::bigint[],
        $13::text[], $14::text[], $15::text[]) WITH ORDINALITY
    AS new (directory, scim_id, user_id, name_key, external_id, email, display, active, hidden,
        created_at, updated_at, version, attributes, mapped_email, shown, place)
    ORDER BY place
    ON CONFLICT (scim_id) DO UPDATE SET user_id = excluded.user_id, name_key = excluded.name_key,
        external_id = excluded.external_id, email = excluded.email, display = excluded.display,
        active = excluded.active, hidden = excluded.hidden, updated_at = excluded.updated_at,
        version = excluded.version, attributes = excluded.attributes,
        mapped_email = excluded.mapped_email, shown = excluded.shown";
