//! What the row of a user or group has beside its attributes, as text: what a change makes of it, for holding a row
//! against.

use std::collections::BTreeSet;

use directory::resource::text;
use projector::verify::Columns;
use schemas::{Change, StoredChange, Timestamp};

use crate::error::DbError;
use crate::state::apply::{columns_of, email_key, is_active, other_emails, shown_columns};

/// The columns of users that every version of the state has, in the order of [`written`].
pub(crate) const USERS: [&str; 9] = [
    "user_id",
    "name_key",
    "external_id",
    "email",
    "display",
    "active",
    "created_at",
    "updated_at",
    "emails",
];

/// Those that go with what apps are shown.
pub(crate) const SHOWN: [&str; 2] = ["hidden", "mapped_email"];

/// The columns of groups.
pub(crate) const GROUPS: [&str; 7] =
    ["group_id", "idp_id", "name_key", "external_id", "display", "created_at", "updated_at"];

/// What has to hold of a directory and its other rows, and what is wrong where it does not. Of one that is gone nothing
/// is counted, whatever is still to be swept out.
pub(crate) const ACCORDS: [(&str, &str); 6] = [
    (
        "the number of active users is wrong",
        "active_users = (SELECT count(*) FROM users WHERE users.directory = directories.key
             AND users.active AND NOT users.hidden AND NOT directories.gone)",
    ),
    (
        "the number of inactive users is wrong",
        "inactive_users = (SELECT count(*) FROM users WHERE users.directory = directories.key
             AND NOT users.active AND NOT users.hidden AND NOT directories.gone)",
    ),
    (
        "the number of hidden users is wrong",
        "hidden_users = (SELECT count(*) FROM users WHERE users.directory = directories.key
             AND users.hidden AND NOT directories.gone)",
    ),
    (
        "the number of groups is wrong",
        "directories.groups = (SELECT count(*) FROM groups WHERE groups.directory = directories.key
             AND NOT directories.gone)",
    ),
    (
        "the number of pending members is wrong",
        "directories.pending_members = (SELECT count(*) FROM pending_members
             WHERE pending_members.directory = directories.key AND NOT directories.gone)",
    ),
    (
        "the list of the members of a group is wrong",
        "NOT EXISTS (SELECT 1 FROM groups JOIN memberships ON memberships.group_key = groups.key
             JOIN users ON users.key = memberships.user_key
             WHERE groups.directory = directories.key AND NOT directories.gone
               AND memberships.user_id IS DISTINCT FROM CASE WHEN users.hidden THEN NULL ELSE users.user_id END)",
    ),
];

/// The columns as a change of this time leaves them; `key` is what the database looks values up by.
pub(crate) fn written(
    change: &StoredChange,
    at: Timestamp,
    key: impl Fn(String) -> String,
) -> Result<Columns, DbError> {
    match change {
        Change::User { user_id, name_key, created_at, attributes, shown, .. } => {
            let (columns, shown) = (columns_of(attributes)?, shown_columns(shown)?);
            let email = email_key(&columns);
            let others = other_emails(&columns, email.as_deref()).into_iter().map(&key);
            let others: BTreeSet<String> = others.collect();
            let values = [
                Some(hex::encode(user_id.to_bytes())),
                Some(key(name_key.clone())),
                text(&columns, "externalId").map(str::to_owned).map(&key),
                email.map(&key),
                text(&columns, "displayName").map(str::to_owned),
                Some(flag(is_active(&columns))),
                Some(created_at.millis().to_string()),
                Some(at.millis().to_string()),
                (!others.is_empty()).then(|| others.into_iter().collect::<Vec<_>>().join("\n")),
                Some(flag(shown.hidden)),
                shown.mapped_email.map(&key),
            ];
            Ok(USERS.into_iter().chain(SHOWN).zip(values).collect())
        }
        Change::Group { group_id, idp_id, name_key, created_at, attributes, .. } => {
            let columns = columns_of(attributes)?;
            let values = [
                Some(hex::encode(group_id.to_bytes())),
                Some(idp_id.clone()),
                Some(key(name_key.clone())),
                text(&columns, "externalId").map(str::to_owned).map(&key),
                text(&columns, "displayName").map(str::to_owned),
                Some(created_at.millis().to_string()),
                Some(at.millis().to_string()),
            ];
            Ok(GROUPS.into_iter().zip(values).collect())
        }
        Change::UserGone { .. }
        | Change::GroupGone { .. }
        | Change::MemberAdded { .. }
        | Change::MemberRemoved { .. }
        | Change::PendingMemberAdded { .. }
        | Change::PendingMemberRemoved { .. }
        | Change::DirectoryActivated
        | Change::DirectoryGone
        | Change::TokenMade { .. }
        | Change::TokenRevoked { .. } => Ok(Columns::new()),
    }
}

/// As a database writes a flag that it is asked for as a number.
fn flag(is: bool) -> String {
    u8::from(is).to_string()
}
