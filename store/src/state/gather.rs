//! Facts for the rules, all as of one moment.

use std::collections::BTreeSet;

use directory::facts::{Pending, PendingMember, TokenRecord};
use directory::resource::{name_key, text};
use directory::{Directory, Facts, Needs};
use ingest::ports::Gathered;
use rusqlite::{Connection, Row, params};
use schemas::{Head, ScimId, Seq, TokenId};

use super::rows::{GROUP_COLUMNS, USER_COLUMNS, all, first, group, user};
use super::{State, directory_row};
use crate::error::DbError;
use crate::sqlite::as_sql;

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
        // What a directory has left behind is nobody's to see.
        key = if row.gone { 0 } else { row.key };
        stopped = row.stopped;
        facts.activated = row.activated;
        facts.gone = row.gone;
        facts.tokens = tokens(connection, row.key)?;
        facts.pending = Pending::with_total(as_count(as_sql(row.pending_members)));
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
        for id in needs.user_external_ids {
            self.users_with_external_id(id)?;
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
        for user in needs.groups_of {
            self.groups_of(user)?;
        }
        for name in needs.pending {
            self.pending_named(name)?;
        }
        for group in needs.pending_of {
            self.pending_of(group)?;
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

    fn users_with_external_id(&mut self, id: String) -> Result<(), DbError> {
        let sql =
            format!("SELECT {USER_COLUMNS} FROM users WHERE directory = ?1 AND external_id = ?2");
        let holders = all(self.connection, &sql, params![self.key, id], user)?;
        let ids = holders.iter().map(|(_, user)| user.id).collect();
        self.facts.user_external_ids.insert(id, ids);
        for (_, user) in holders {
            self.facts.users.insert(user.id, Some(user));
        }
        Ok(())
    }

    fn group(&mut self, id: ScimId) -> Result<(), DbError> {
        if self.facts.groups.contains_key(&id) {
            return Ok(());
        }
        let sql =
            format!("SELECT {GROUP_COLUMNS} FROM groups WHERE scim_id = ?1 AND directory = ?2");
        let found = first(self.connection, &sql, params![id.to_bytes(), self.key], group)?;
        if let Some((key, _)) = &found
            && self.facts.pending.total() > 0
        {
            let sql = "SELECT count(*) FROM pending_members WHERE group_key = ?1";
            let count: Option<i64> = first(self.connection, sql, [key], |row| Ok(row.get(0)?))?;
            self.facts.pending.count_of(id, as_count(count.unwrap_or_default()));
        }
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

    fn groups_of(&mut self, user: ScimId) -> Result<(), DbError> {
        let sql = "SELECT groups.scim_id FROM users
            JOIN memberships ON memberships.user_key = users.key
            JOIN groups ON groups.key = memberships.group_key
            WHERE users.scim_id = ?1 AND users.directory = ?2";
        let ids = all(self.connection, sql, params![user.to_bytes(), self.key], |row| {
            Ok(ScimId::from_bytes(row.get(0)?))
        })?;
        for group in &ids {
            self.group(*group)?;
        }
        self.facts.groups_of.all_of(user, ids.into_iter().collect());
        Ok(())
    }

    fn pending_named(&mut self, name: String) -> Result<(), DbError> {
        let parameters = params![self.key, name, name_key(&name)];
        let found = self.pending_members(PENDING_NAMED, parameters)?;
        for member in &found {
            self.group(member.group)?;
        }
        self.facts.pending.all_named(name, found);
        Ok(())
    }

    fn pending_of(&mut self, group: ScimId) -> Result<(), DbError> {
        let parameters = params![group.to_bytes(), self.key];
        let found = self.pending_members(PENDING_OF, parameters)?;
        self.facts.pending.all_of(group, found);
        Ok(())
    }

    /// Most directories have none, and none are looked for there.
    fn pending_members(
        &self,
        sql: &str,
        parameters: impl rusqlite::Params,
    ) -> Result<Vec<PendingMember>, DbError> {
        match self.facts.pending.total() {
            0 => Ok(Vec::new()),
            _ => all(self.connection, sql, parameters, pending_member),
        }
    }
}

/// Two look-ups: an OR would walk through all that are pending in the directory.
const PENDING_NAMED: &str = "SELECT groups.scim_id, value, pending_members.name_key
    FROM pending_members JOIN groups ON groups.key = pending_members.group_key
    WHERE pending_members.directory = ?1 AND value = ?2
    UNION SELECT groups.scim_id, value, pending_members.name_key
    FROM pending_members JOIN groups ON groups.key = pending_members.group_key
    WHERE pending_members.directory = ?1 AND pending_members.name_key = ?3";

const PENDING_OF: &str = "SELECT groups.scim_id, value, pending_members.name_key
    FROM groups JOIN pending_members ON pending_members.group_key = groups.key
    WHERE groups.scim_id = ?1 AND groups.directory = ?2";

fn pending_member(row: &Row<'_>) -> Result<PendingMember, DbError> {
    let group = ScimId::from_bytes(row.get(0)?);
    Ok(PendingMember { group, value: row.get(1)?, name_key: row.get(2)? })
}

fn as_count(number: i64) -> usize {
    usize::try_from(number).unwrap_or_default()
}
