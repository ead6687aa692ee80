//! Facts for the rules, all as of one moment.

use std::collections::BTreeSet;

use directory::facts::TokenRecord;
use directory::resource::text;
use directory::{Directory, Facts, Needs};
use ingest::ports::Gathered;
use rusqlite::{Connection, params};
use schemas::{Head, ScimId, Seq, TokenId};

use super::rows::{GROUP_COLUMNS, USER_COLUMNS, all, first, group, user};
use super::{State, directory_row};
use crate::error::DbError;

impl State {
    pub(crate) async fn gather(
        &self,
        directory: Directory,
        needs: Needs,
    ) -> Result<Gathered, DbError> {
        self.read(move |connection| gather(connection, directory, needs)).await
    }
}

fn gather(
    connection: &Connection,
    directory: Directory,
    needs: Needs,
) -> Result<Gathered, DbError> {
    let row = directory_row(connection, directory.id)?;
    let head = row.map_or_else(Head::default, |row| row.head);
    let mut facts = Facts::new(directory, Seq(head.seq.0));
    let mut stopped = false;
    // No row has this key: a directory without a stream has nothing.
    let mut key = 0;
    if let Some(row) = row {
        key = row.key;
        stopped = row.stopped;
        facts.activated = row.activated;
        facts.gone = row.gone;
        facts.tokens = tokens(connection, key)?;
    }
    let mut gathering = Gathering { connection, key, facts };
    gathering.everything(needs)?;
    Ok(Gathered { head, stopped, facts: gathering.facts })
}

fn tokens(
    connection: &Connection,
    directory: i64,
) -> Result<std::collections::BTreeMap<TokenId, TokenRecord>, DbError> {
    let sql = "SELECT id, revoked FROM tokens WHERE directory = ?1";
    let found = all(connection, sql, [directory], |row| {
        let record = if row.get(1)? { TokenRecord::Revoked } else { TokenRecord::Made };
        Ok((TokenId::from_bytes(row.get(0)?), record))
    })?;
    Ok(found.into_iter().collect())
}

struct Gathering<'a> {
    connection: &'a Connection,
    key: i64,
    facts: Facts,
}

impl Gathering<'_> {
    fn everything(&mut self, needs: Needs) -> Result<(), DbError> {
        for id in needs.users {
            self.user(id)?;
        }
        for name in needs.user_names {
            self.user_named(name)?;
        }
        for id in needs.groups {
            self.group(id)?;
        }
        for id in needs.group_external_ids {
            self.group_with_external_id(id)?;
        }
        for name in needs.group_names {
            self.group_named(name)?;
        }
        for (group, user) in needs.memberships {
            self.membership(group, user)?;
        }
        for group in needs.members_of {
            self.members_of(group)?;
        }
        Ok(())
    }

    fn user(&mut self, id: ScimId) -> Result<(), DbError> {
        if self.facts.users.contains_key(&id) {
            return Ok(());
        }
        let sql = format!("SELECT {USER_COLUMNS} FROM users WHERE scim_id = ?1 AND directory = ?2");
        let found = first(self.connection, &sql, params![id.to_bytes(), self.key], user)?;
        self.facts.users.insert(id, found.map(|(_, user)| user));
        Ok(())
    }

    fn user_named(&mut self, name: String) -> Result<(), DbError> {
        let sql = "SELECT scim_id FROM users WHERE directory = ?1 AND name_key = ?2";
        let holder = first(self.connection, sql, params![self.key, name], |row| {
            Ok(ScimId::from_bytes(row.get(0)?))
        })?;
        self.facts.user_names.insert(name, holder);
        // Who is renamed frees a name, so the holder has to be known as well.
        holder.map_or(Ok(()), |id| self.user(id))
    }

    fn group(&mut self, id: ScimId) -> Result<(), DbError> {
        if self.facts.groups.contains_key(&id) {
            return Ok(());
        }
        let sql =
            format!("SELECT {GROUP_COLUMNS} FROM groups WHERE scim_id = ?1 AND directory = ?2");
        let found = first(self.connection, &sql, params![id.to_bytes(), self.key], group)?;
        let found = found.map(|(_, group)| group);
        // A rename of this group must find its own name taken by nobody but itself.
        if let Some(group) = &found {
            match text(&group.attributes, "externalId") {
                Some(id) => {
                    self.facts.group_external_ids.insert(id.to_owned(), Some(group.id));
                }
                None => {
                    self.facts.group_names.insert(group.name_key.clone(), Some(group.id));
                }
            }
        }
        self.facts.groups.insert(id, found);
        Ok(())
    }

    fn group_with_external_id(&mut self, id: String) -> Result<(), DbError> {
        let sql = "SELECT scim_id FROM groups WHERE directory = ?1 AND external_id = ?2";
        let holder = first(self.connection, sql, params![self.key, id], |row| {
            Ok(ScimId::from_bytes(row.get(0)?))
        })?;
        self.facts.group_external_ids.insert(id, holder);
        Ok(())
    }

    fn group_named(&mut self, name: String) -> Result<(), DbError> {
        let sql = "SELECT scim_id FROM groups
            WHERE directory = ?1 AND name_key = ?2 AND external_id IS NULL";
        let holder = first(self.connection, sql, params![self.key, name], |row| {
            Ok(ScimId::from_bytes(row.get(0)?))
        })?;
        self.facts.group_names.insert(name, holder);
        Ok(())
    }

    fn membership(&mut self, group: ScimId, user: ScimId) -> Result<(), DbError> {
        let sql = "SELECT 1 FROM memberships
            WHERE group_key = (SELECT key FROM groups WHERE scim_id = ?1 AND directory = ?3)
              AND user_key = (SELECT key FROM users WHERE scim_id = ?2 AND directory = ?3)";
        let parameters = params![group.to_bytes(), user.to_bytes(), self.key];
        let found = first(self.connection, sql, parameters, |_| Ok(()))?;
        self.facts.memberships.insert((group, user), found.is_some());
        Ok(())
    }

    fn members_of(&mut self, group: ScimId) -> Result<(), DbError> {
        let sql = format!(
            "SELECT {USER_COLUMNS} FROM groups
             JOIN memberships ON memberships.group_key = groups.key
             JOIN users ON users.key = memberships.user_key
             WHERE groups.scim_id = ?1 AND groups.directory = ?2"
        );
        let parameters = params![group.to_bytes(), self.key];
        let members = all(self.connection, &sql, parameters, user)?;
        let ids: BTreeSet<ScimId> = members.iter().map(|(_, user)| user.id).collect();
        self.facts.members_of.insert(group, ids);
        for (_, user) in members {
            self.facts.users.insert(user.id, Some(user));
        }
        Ok(())
    }
}
