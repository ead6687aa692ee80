//! The folded state as rows, each kind on its way into a table of its own.

use std::collections::BTreeMap;

use deadpool_postgres::ClientWrapper;
use directory::resource::text;
use log::Partition;
use projector::fold::FoldedDirectory;
use schemas::{Change, DirectoryId, ScimId, UserId};

use super::super::super::copy::Rows;
use super::super::super::lookup::key as lookup_key;
use super::super::super::rows::as_sql;
use crate::error::DbError;
use crate::state::apply::{Counted, columns_of, email_key, is_active, other_emails, shown_columns};
use crate::state::bulk::{change, in_order_of_creation};

/// The last keys that were given out.
#[derive(Debug, Default)]
pub(super) struct Keys {
    users: i64,
    groups: i64,
}

/// A user that has a row.
struct Given {
    key: i64,
    /// None if apps do not see it.
    shown_as: Option<UserId>,
}

/// Rows of the folded tables.
#[derive(Debug)]
pub(super) struct Tables {
    directories: Rows,
    tokens: Rows,
    users: Rows,
    emails: Rows,
    groups: Rows,
    memberships: Rows,
    pending_members: Rows,
}

impl Default for Tables {
    fn default() -> Self {
        Self {
            directories: Rows::new(
                "directories (key, id, partition, activated, gone, stopped, seq, hash, active_users,
                 inactive_users, hidden_users, groups, pending_members)",
            ),
            tokens: Rows::new("tokens (directory, id, revoked)"),
            users: Rows::new(
                "users (key, directory, scim_id, user_id, name_key, external_id, email, display, active,
                 hidden, created_at, updated_at, version, attributes, mapped_email, shown)",
            ),
            emails: Rows::new("emails (directory, value, user_key)"),
            groups: Rows::new(
                "groups (key, directory, scim_id, group_id, idp_id, name_key, external_id, display,
                 created_at, updated_at, modified_at, version, attributes)",
            ),
            memberships: Rows::new("memberships (group_key, user_key, user_id)"),
            pending_members: Rows::new("pending_members (group_key, value, name_key, directory)"),
        }
    }
}

impl Tables {
    /// Sends what has become large, or everything.
    pub(super) async fn send(&mut self, client: &ClientWrapper, all: bool) -> Result<(), DbError> {
        for rows in [
            &mut self.directories,
            &mut self.tokens,
            &mut self.users,
            &mut self.emails,
            &mut self.groups,
            &mut self.memberships,
            &mut self.pending_members,
        ] {
            if all || rows.is_full() {
                rows.send(client).await?;
            }
        }
        Ok(())
    }

    pub(super) fn directory(
        &mut self,
        keys: &mut Keys,
        partition: Partition,
        (key, id): (i64, DirectoryId),
        folded: &FoldedDirectory,
    ) -> Result<(), DbError> {
        let (users, counted) = self.users(keys, key, folded)?;
        let groups = self.groups(keys, key, folded)?;
        for (group, members) in &folded.members {
            for user in members {
                let (Some(group), Some(user)) = (groups.get(group), users.get(user)) else {
                    continue;
                };
                self.memberships.number(*group);
                self.memberships.number(user.key);
                self.memberships
                    .bytes_if_any(user.shown_as.map(UserId::to_bytes).as_ref().map(|id| &id[..]));
                self.memberships.end();
            }
        }
        let pending = self.pending_members(key, folded, &groups);
        for (token, revoked) in &folded.tokens {
            self.tokens.number(key);
            self.tokens.bytes(&token.to_bytes());
            self.tokens.truth(*revoked);
            self.tokens.end();
        }
        let count = |number: usize| as_sql(number as u64);
        let users_that_are = |kind| count(counted.iter().filter(|one| **one == kind).count());
        let rows = &mut self.directories;
        rows.number(key);
        rows.bytes(&id.to_bytes());
        rows.number(partition.0);
        rows.truth(folded.activated);
        rows.truth(folded.gone);
        rows.truth(folded.stopped);
        rows.number(as_sql(folded.head.seq.0));
        rows.bytes(&folded.head.hash.0);
        rows.number(users_that_are(Counted::Active));
        rows.number(users_that_are(Counted::Inactive));
        rows.number(users_that_are(Counted::Hidden));
        rows.number(count(groups.len()));
        rows.number(count(pending));
        rows.end();
        Ok(())
    }

    /// Returns the users, and among whom each is counted.
    fn users(
        &mut self,
        keys: &mut Keys,
        directory: i64,
        folded: &FoldedDirectory,
    ) -> Result<(BTreeMap<ScimId, Given>, Vec<Counted>), DbError> {
        let mut given = BTreeMap::new();
        let mut counted = Vec::with_capacity(folded.users.len());
        for (id, user) in in_order_of_creation(&folded.users) {
            let Change::User { user_id, name_key, created_at, attributes, shown, .. } =
                change(user)?
            else {
                continue;
            };
            keys.users += 1;
            let (shown, columns) = (shown_columns(&shown)?, columns_of(&attributes)?);
            let (active, email) = (is_active(&columns), email_key(&columns));
            counted.push(Counted::of(active, shown.hidden));
            for other in other_emails(&columns, email.as_deref()) {
                self.emails.number(directory);
                self.emails.text(&lookup_key(&other));
                self.emails.number(keys.users);
                self.emails.end();
            }
            let rows = &mut self.users;
            rows.number(keys.users);
            rows.number(directory);
            rows.bytes(&id.to_bytes());
            rows.bytes(&user_id.to_bytes());
            rows.text(&lookup_key(&name_key));
            rows.text_if_any(text(&columns, "externalId").map(lookup_key).as_deref());
            rows.text_if_any(email.as_deref().map(lookup_key).as_deref());
            rows.text_if_any(text(&columns, "displayName"));
            rows.truth(active);
            rows.truth(shown.hidden);
            rows.number(created_at.millis());
            rows.number(user.updated_at.millis());
            rows.number(as_sql(user.version.0));
            rows.text(attributes.json());
            rows.text_if_any(shown.mapped_email.as_deref().map(lookup_key).as_deref());
            rows.text_if_any(shown.json.as_deref());
            rows.end();
            let shown_as = (!shown.hidden).then_some(user_id);
            given.insert(*id, Given { key: keys.users, shown_as });
        }
        Ok((given, counted))
    }

    fn groups(
        &mut self,
        keys: &mut Keys,
        directory: i64,
        folded: &FoldedDirectory,
    ) -> Result<BTreeMap<ScimId, i64>, DbError> {
        let mut given = BTreeMap::new();
        for (id, group) in in_order_of_creation(&folded.groups) {
            let Change::Group { group_id, idp_id, name_key, created_at, attributes, .. } =
                change(group)?
            else {
                continue;
            };
            keys.groups += 1;
            let columns = columns_of(&attributes)?;
            let changed = group.members_changed.filter(|(_, seq)| *seq > group.version);
            let (modified_at, version) = changed.unwrap_or((group.updated_at, group.version));
            let rows = &mut self.groups;
            rows.number(keys.groups);
            rows.number(directory);
            rows.bytes(&id.to_bytes());
            rows.bytes(&group_id.to_bytes());
            rows.text(&idp_id);
            rows.text(&lookup_key(&name_key));
            rows.text_if_any(text(&columns, "externalId").map(lookup_key).as_deref());
            rows.text_if_any(text(&columns, "displayName"));
            rows.number(created_at.millis());
            rows.number(group.updated_at.millis());
            rows.number(modified_at.millis());
            rows.number(as_sql(version.0));
            rows.text(attributes.json());
            rows.end();
            given.insert(*id, keys.groups);
        }
        Ok(given)
    }

    /// Returns how many there are.
    fn pending_members(
        &mut self,
        directory: i64,
        folded: &FoldedDirectory,
        groups: &BTreeMap<ScimId, i64>,
    ) -> usize {
        let mut count = 0;
        for (group, pending) in &folded.pending_members {
            let Some(group) = groups.get(group) else { continue };
            for (value, name_key) in pending {
                let rows = &mut self.pending_members;
                rows.number(*group);
                rows.text(value);
                rows.text(name_key);
                rows.number(directory);
                rows.end();
                count += 1;
            }
        }
        count
    }
}
