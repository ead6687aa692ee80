//! What a change does to the rows of users, groups and memberships.

use std::borrow::Cow;

use directory::resource::text;
use projector::Accepted;
use rusqlite::{Connection, OptionalExtension, Transaction, params};
use schemas::{Change, ScimId, StoredChange, Timestamp};

use super::columns::{columns_of, insert_other_emails};
use super::{Counted, INSERT_GROUP, Touched};
use crate::error::DbError;
use crate::sqlite::as_sql;
use crate::state::insert::{FoundBy, UserRow};
use crate::state::pending_members;

/// The user that a record leaves behind, if it is about one.
pub(super) fn user_row(
    directory: i64,
    accepted: &Accepted,
) -> Result<Option<UserRow<'_>>, DbError> {
    let Change::User { id, user_id, name_key, created_at, attributes, shown } = &accepted.change
    else {
        return Ok(None);
    };
    Ok(Some(UserRow {
        directory,
        id: *id,
        user_id: *user_id,
        name_key: name_key.into(),
        created_at: *created_at,
        updated_at: accepted.created_at,
        version: as_sql(accepted.head.seq.0),
        found_by: FoundBy::of(attributes, shown)?,
        attributes: Cow::Borrowed(attributes),
    }))
}

/// Writes over a user that is there.
pub(super) fn update_user(
    transaction: &Transaction<'_>,
    touched: &mut Touched,
    before: Before,
    row: &UserRow<'_>,
) -> Result<(), DbError> {
    let (key, found_by) = (before.key, &row.found_by);
    forget_emails(transaction, key)?;
    let mut update = transaction.prepare_cached(
        "UPDATE users SET user_id = ?2, name_key = ?3, external_id = ?4, email = ?5,
             display = ?6, active = ?7, updated_at = ?8, version = ?9, attributes = ?10,
             hidden = ?11, mapped_email = ?12, mapped_idp_id = ?13, shown = ?14
         WHERE key = ?1",
    )?;
    update.execute(params![
        key,
        row.user_id.to_bytes(),
        row.name_key,
        found_by.external_id(),
        found_by.email,
        found_by.display(),
        found_by.active,
        row.updated_at.millis(),
        row.version,
        row.attributes.json(),
        found_by.shown.hidden,
        found_by.shown.mapped_email,
        found_by.shown.mapped_idp_id,
        found_by.shown.json,
    ])?;
    insert_other_emails(transaction, touched.key, key, &found_by.others)?;
    touched.count(before.counted, -1);
    list_as(transaction, before, seen_as(found_by.shown.hidden, row.user_id.to_bytes()))?;
    touched.count(row.counted(), 1);
    Ok(())
}

/// A user as the store has it.
#[derive(Clone, Copy)]
pub(super) struct Before {
    key: i64,
    counted: Counted,
    seen_as: Option<[u8; 16]>,
}

pub(super) fn user_before(
    transaction: &Transaction<'_>,
    id: ScimId,
) -> Result<Option<Before>, DbError> {
    let sql = "SELECT key, active, hidden, user_id FROM users WHERE scim_id = ?1";
    let found = transaction.prepare_cached(sql)?.query_row([id.to_bytes()], |row| {
        let (active, hidden) = (row.get(1)?, row.get(2)?);
        let seen_as = seen_as(hidden, row.get(3)?);
        Ok(Before { key: row.get(0)?, counted: Counted::of(active, hidden), seen_as })
    });
    Ok(found.optional()?)
}

/// Moves a user to its place in the lists of its groups, if it has another one now.
fn list_as(
    transaction: &Transaction<'_>,
    before: Before,
    seen: Option<[u8; 16]>,
) -> Result<(), DbError> {
    if seen != before.seen_as {
        let sql = "UPDATE memberships SET user_id = ?2 WHERE user_key = ?1";
        transaction.prepare_cached(sql)?.execute(params![before.key, seen])?;
    }
    Ok(())
}

/// By which id apps list a user in its groups, if they see it.
fn seen_as(hidden: bool, user_id: [u8; 16]) -> Option<[u8; 16]> {
    (!hidden).then_some(user_id)
}

pub(super) fn drop_user(
    transaction: &Transaction<'_>,
    touched: &mut Touched,
    id: ScimId,
    at: Timestamp,
    version: i64,
) -> Result<(), DbError> {
    let gone: Option<(i64, Counted)> = transaction
        .prepare_cached("DELETE FROM users WHERE scim_id = ?1 RETURNING key, active, hidden")?
        .query_row([id.to_bytes()], |row| Ok((row.get(0)?, Counted::of(row.get(1)?, row.get(2)?))))
        .optional()?;
    if let Some((key, counted)) = gone {
        transaction
            .prepare_cached(
                "UPDATE groups SET modified_at = ?2, version = ?3
                 WHERE key IN (SELECT group_key FROM memberships WHERE user_key = ?1)",
            )?
            .execute(params![key, at.millis(), version])?;
        transaction
            .prepare_cached("DELETE FROM memberships WHERE user_key = ?1")?
            .execute([key])?;
        forget_emails(transaction, key)?;
        touched.count(counted, -1);
    }
    Ok(())
}

fn forget_emails(transaction: &Transaction<'_>, user: i64) -> Result<(), DbError> {
    transaction.prepare_cached("DELETE FROM emails WHERE user_key = ?1")?.execute([user])?;
    Ok(())
}

pub(super) fn put_group(
    transaction: &Transaction<'_>,
    touched: &mut Touched,
    change: &StoredChange,
    at: Timestamp,
    version: i64,
) -> Result<(), DbError> {
    let Change::Group { id, group_id, idp_id, name_key, created_at, attributes } = change else {
        return Ok(());
    };
    let (columns, json) = (columns_of(attributes)?, attributes.json());
    let external_id = text(&columns, "externalId");
    let display = text(&columns, "displayName");
    let updated = transaction
        .prepare_cached(
            "UPDATE groups SET name_key = ?2, external_id = ?3, display = ?4, updated_at = ?5,
                 modified_at = ?5, version = ?6, attributes = ?7 WHERE scim_id = ?1",
        )?
        .execute(params![
            id.to_bytes(),
            name_key,
            external_id,
            display,
            at.millis(),
            version,
            json
        ])?;
    if updated == 0 {
        transaction.prepare_cached(INSERT_GROUP)?.execute(params![
            touched.key,
            id.to_bytes(),
            group_id.to_bytes(),
            idp_id,
            name_key,
            external_id,
            display,
            created_at.millis(),
            at.millis(),
            at.millis(),
            version,
            json,
        ])?;
        touched.groups += 1;
    }
    Ok(())
}

pub(super) fn drop_group(
    transaction: &Transaction<'_>,
    touched: &mut Touched,
    id: ScimId,
) -> Result<(), DbError> {
    let gone: Option<i64> = transaction
        .prepare_cached("DELETE FROM groups WHERE scim_id = ?1 RETURNING key")?
        .query_row([id.to_bytes()], |row| row.get(0))
        .optional()?;
    if let Some(key) = gone {
        transaction
            .prepare_cached("DELETE FROM memberships WHERE group_key = ?1")?
            .execute([key])?;
        touched.pending(pending_members::remove_all(transaction, key)?, -1);
        touched.groups -= 1;
    }
    Ok(())
}

/// What a change does to the members of a group.
#[derive(Clone, Copy)]
pub(super) struct MemberChange {
    pub(super) group: ScimId,
    pub(super) user: ScimId,
    /// The group, then the user.
    pub(super) sql: &'static str,
    at: Timestamp,
    version: i64,
}

const ADD_MEMBER: &str = "INSERT OR IGNORE INTO memberships (group_key, user_key, user_id)
    SELECT groups.key, users.key, CASE users.hidden WHEN 0 THEN users.user_id END
    FROM groups, users WHERE groups.scim_id = ?1 AND users.scim_id = ?2";

const REMOVE_MEMBER: &str = "DELETE FROM memberships
    WHERE group_key = (SELECT key FROM groups WHERE scim_id = ?1)
      AND user_key = (SELECT key FROM users WHERE scim_id = ?2)";

/// None of what is about no membership.
pub(super) fn member_change(accepted: &Accepted) -> Option<MemberChange> {
    let (group, user, sql) = match &accepted.change {
        Change::MemberAdded { group, user } => (*group, *user, ADD_MEMBER),
        Change::MemberRemoved { group, user } => (*group, *user, REMOVE_MEMBER),
        Change::User { .. }
        | Change::UserGone { .. }
        | Change::Group { .. }
        | Change::GroupGone { .. }
        | Change::PendingMemberAdded { .. }
        | Change::PendingMemberRemoved { .. }
        | Change::DirectoryActivated
        | Change::DirectoryGone
        | Change::TokenMade { .. }
        | Change::TokenRevoked { .. } => return None,
    };
    let (at, version) = (accepted.created_at, as_sql(accepted.head.seq.0));
    Some(MemberChange { group, user, sql, at, version })
}

/// A membership touches its group's version and nothing else of it, whatever the group's size.
pub(super) fn touch_group(
    transaction: &Transaction<'_>,
    changed: MemberChange,
) -> Result<(), DbError> {
    transaction
        .prepare_cached("UPDATE groups SET modified_at = ?2, version = ?3 WHERE scim_id = ?1")?
        .execute(params![changed.group.to_bytes(), changed.at.millis(), changed.version])?;
    Ok(())
}

pub(super) fn drop_directory(
    transaction: &Transaction<'_>,
    touched: &mut Touched,
) -> Result<(), DbError> {
    // With this, nobody sees its rows any more; they are swept out later.
    transaction.execute("UPDATE directories SET gone = 1 WHERE key = ?1", [touched.key])?;
    (touched.active_users, touched.inactive_users, touched.hidden_users) = (0, 0, 0);
    (touched.groups, touched.pending_members) = (0, 0);
    Ok(())
}

pub(crate) fn token(
    connection: &Connection,
    directory: i64,
    id: [u8; 16],
    revoked: bool,
) -> Result<(), DbError> {
    connection
        .prepare_cached(
            "INSERT INTO tokens (directory, id, revoked) VALUES (?1, ?2, ?3)
             ON CONFLICT DO UPDATE SET revoked = excluded.revoked",
        )?
        .execute(params![directory, id, revoked])?;
    Ok(())
}
