//! Rows as the rules know them.

use directory::resource::{name_key, text};
use directory::{Group, User};
use schemas::scim::{Attributes, SharedAttributes};
use schemas::{GroupId, ScimId, Seq, Shown, UserId};
use tokio_postgres::Row;

use super::super::lookup::whole;
use super::super::rows::Columns;
use crate::error::{DbError, unreadable};

/// The columns of [`user`], in its order.
pub(super) const USER_COLUMNS: &str = "users.key, users.scim_id, users.user_id, users.name_key, users.created_at, users.updated_at, \
     users.version, users.attributes::text, users.shown::text";

/// The columns of [`group`], in its order.
pub(super) const GROUP_COLUMNS: &str = "groups.key, groups.scim_id, groups.group_id, groups.idp_id, groups.name_key, \
     groups.created_at, groups.updated_at, groups.modified_at, groups.version, groups.attributes::text";

/// A row's key and the user in it.
pub(super) fn user(row: &Row) -> Result<(i64, User), DbError> {
    let attributes = SharedAttributes::from(attributes(row.value(7)?)?);
    let user = User {
        id: ScimId::from_bytes(row.id(1)?),
        user_id: UserId::from_bytes(row.id(2)?),
        name_key: name(row.value(3)?, &attributes, "userName"),
        created_at: row.time(4)?,
        updated_at: row.time(5)?,
        version: Seq(row.number(6)?),
        attributes,
        shown: shown(row.value(8)?)?,
    };
    Ok((row.value(0)?, user))
}

/// A row's key and the group in it.
pub(super) fn group(row: &Row) -> Result<(i64, Group), DbError> {
    let attributes = SharedAttributes::from(attributes(row.value(9)?)?);
    let group = Group {
        id: ScimId::from_bytes(row.id(1)?),
        group_id: GroupId::from_bytes(row.id(2)?),
        idp_id: row.value(3)?,
        name_key: name(row.value(4)?, &attributes, "displayName"),
        created_at: row.time(5)?,
        updated_at: row.time(6)?,
        modified_at: row.time(7)?,
        version: Seq(row.number(8)?),
        attributes,
    };
    Ok((row.value(0)?, group))
}

/// How large the row of a user is.
pub(super) fn user_bytes(row: &Row) -> Result<usize, DbError> {
    let (attributes, shown): (&str, Option<&str>) = (row.value(7)?, row.value(8)?);
    Ok(attributes.len() + shown.map_or(0, str::len))
}

/// How large the row of a group is.
pub(super) fn group_bytes(row: &Row) -> Result<usize, DbError> {
    let attributes: &str = row.value(9)?;
    Ok(attributes.len())
}

/// The name in the form that is compared, all of it.
fn name(column: &str, attributes: &Attributes, of: &str) -> String {
    whole(column, || name_key(text(attributes, of).unwrap_or_default())).into_owned()
}

pub(super) fn attributes(text: &str) -> Result<Attributes, DbError> {
    serde_json::from_str(text).map_err(unreadable("attributes"))
}

/// What apps are shown of a user; of most of them, what the attributes say.
pub(super) fn shown(text: Option<&str>) -> Result<Shown, DbError> {
    match text {
        None => Ok(Shown::default()),
        Some(text) => serde_json::from_str(text).map_err(unreadable("what apps are shown")),
    }
}
