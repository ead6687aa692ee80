//! Facts for the rules, all as of one moment, with one look-up for each kind of need.
//!
//! The names of users, which every create asks for, are looked up as the beginnings of an order, which one index alone
//! has. Asked in the plain way, a planner without statistics takes any index that begins with the directory, and walks
//! through all of it: in the first minute of a customer, when nobody has counted rows yet and most of them come.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use directory::facts::{Pending, PendingMember};
use directory::resource::{name_key, text};
use directory::{Directory, Facts, Needs, User};
use ingest::ports::Gathered;
use schemas::{Head, ScimId, Seq, TokenId};
use tokio_postgres::Row;
use tokio_postgres::types::ToSql;

use super::super::lookup::key;
use super::super::query::Moment;
use super::super::rows::Columns;
use super::rows::{GROUP_COLUMNS, USER_COLUMNS, group, user};
use super::{State, directory_row, record};
use crate::error::DbError;

impl State {
    pub(super) async fn gather(
        &self,
        directory: Directory,
        needs: Needs,
    ) -> Result<Gathered, DbError> {
        let mut client = self.client().await?;
        gather(&Moment::reading(&mut client).await?, directory, needs).await
    }
}

async fn gather(
    moment: &Moment<'_>,
    directory: Directory,
    needs: Needs,
) -> Result<Gathered, DbError> {
    // One after the other on the wire, and awaited together: whoever writes waits for these.
    let id = directory.id.to_bytes();
    let tokens = &[&&id[..] as &(dyn ToSql + Sync)];
    let (row, tokens) =
        tokio::try_join!(directory_row(moment, directory.id), moment.all(TOKENS, tokens))?;
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
        for row in tokens {
            facts.tokens.insert(TokenId::from_bytes(row.id(0)?), record(row.value(1)?));
        }
        let pending = usize::try_from(row.pending_members).unwrap_or_default();
        facts.pending = Pending::with_total(pending);
    }
    let mut gathering = Gathering { moment, key, facts };
    gathering.everything(needs).await?;
    Ok(Gathered { head, stopped, facts: gathering.facts })
}

const TOKENS: &str = "SELECT id, revoked FROM tokens
    WHERE directory = (SELECT key FROM directories WHERE id = $1)";

struct Gathering<'a> {
    moment: &'a Moment<'a>,
    key: i64,
    facts: Facts,
}

impl Gathering<'_> {
    async fn everything(&mut self, needs: Needs) -> Result<(), DbError> {
        let (names, ids) = (owned(needs.user_names), owned(needs.user_external_ids));
        self.users_named(names).await?;
        self.users_with_external_ids(ids).await?;
        self.members_of(needs.members_of.into_iter().collect()).await?;
        self.users(needs.users.into_iter().collect()).await?;
        let (names, ids) = (owned(needs.group_names), owned(needs.group_external_ids));
        let mut groups: BTreeSet<ScimId> = needs.groups.into_iter().collect();
        groups.extend(self.groups_of(needs.groups_of.into_iter().collect()).await?);
        groups.extend(self.pending_named(owned(needs.pending)).await?);
        self.pending_of(needs.pending_of.into_iter().collect()).await?;
        self.groups(groups.into_iter().collect()).await?;
        self.groups_with_external_ids(ids).await?;
        self.groups_named(names).await?;
        self.memberships(needs.memberships.into_iter().collect()).await
    }

    fn found(&mut self, rows: &[Row]) -> Result<Vec<User>, DbError> {
        let users = rows.iter().map(|row| Ok(user(row)?.1));
        let users = users.collect::<Result<Vec<_>, DbError>>()?;
        for user in &users {
            self.facts.users.insert(user.id, Some(user.clone()));
        }
        Ok(users)
    }

    async fn users(&mut self, mut ids: Vec<ScimId>) -> Result<(), DbError> {
        ids.retain(|id| !self.facts.users.contains_key(id));
        if ids.is_empty() {
            return Ok(());
        }
        let sql =
            format!("SELECT {USER_COLUMNS} FROM users WHERE scim_id = ANY($1) AND directory = $2");
        let rows = self.moment.all(&sql, &[&bytes(&ids), &self.key]).await?;
        for id in ids {
            self.facts.users.insert(id, None);
        }
        self.found(&rows).map(drop)
    }

    /// Who is renamed frees a name, so the holder has to be known as well.
    async fn users_named(&mut self, names: Vec<String>) -> Result<(), DbError> {
        if names.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "SELECT {USER_COLUMNS} FROM unnest($2::text[]) AS wanted (name) CROSS JOIN LATERAL (
                SELECT * FROM users WHERE (directory, name_key) >= ($1, wanted.name)
                ORDER BY directory, name_key LIMIT 1) AS users
             WHERE users.directory = $1 AND users.name_key = wanted.name"
        );
        let rows = self.moment.all(&sql, &[&self.key, &keys(&names)]).await?;
        for name in names {
            self.facts.user_names.insert(name, None);
        }
        for user in self.found(&rows)? {
            self.facts.user_names.insert(user.name_key, Some(user.id));
        }
        Ok(())
    }

    async fn users_with_external_ids(&mut self, ids: Vec<String>) -> Result<(), DbError> {
        if ids.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "SELECT {USER_COLUMNS} FROM users WHERE directory = $1 AND external_id = ANY($2)"
        );
        let rows = self.moment.all(&sql, &[&self.key, &keys(&ids)]).await?;
        let mut holders: BTreeMap<String, BTreeSet<ScimId>> =
            ids.into_iter().map(|id| (id, BTreeSet::new())).collect();
        for user in self.found(&rows)? {
            let id = text(&user.attributes, "externalId").unwrap_or_default();
            holders.entry(id.to_owned()).or_default().insert(user.id);
        }
        for (id, users) in holders {
            self.facts.user_external_ids.insert(id, users.into_iter().collect());
        }
        Ok(())
    }

    async fn groups(&mut self, mut ids: Vec<ScimId>) -> Result<(), DbError> {
        ids.retain(|id| !self.facts.groups.contains_key(id));
        if ids.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "SELECT {GROUP_COLUMNS} FROM groups WHERE scim_id = ANY($1) AND directory = $2"
        );
        let rows = self.moment.all(&sql, &[&bytes(&ids), &self.key]).await?;
        for id in ids {
            self.facts.groups.insert(id, None);
        }
        let mut keys = BTreeMap::new();
        for row in &rows {
            let (key, group) = group(row)?;
            keys.insert(key, group.id);
            // A rename of this group must find its own name taken by nobody but itself.
            match text(&group.attributes, "externalId") {
                Some(id) => {
                    self.facts.group_external_ids.insert(id.to_owned(), Some(group.id));
                }
                None => {
                    self.facts.group_names.insert(group.name_key.clone(), Some(group.id));
                }
            }
            self.facts.groups.insert(group.id, Some(group));
        }
        self.count_pending(&keys).await
    }

    async fn count_pending(&mut self, groups: &BTreeMap<i64, ScimId>) -> Result<(), DbError> {
        if self.facts.pending.total() == 0 || groups.is_empty() {
            return Ok(());
        }
        let keys: Vec<i64> = groups.keys().copied().collect();
        let sql = "SELECT group_key, count(*) FROM pending_members WHERE group_key = ANY($1)
            GROUP BY group_key";
        let mut counts: BTreeMap<i64, usize> = keys.iter().map(|key| (*key, 0)).collect();
        for row in self.moment.all(sql, &[&keys]).await? {
            counts.insert(row.value(0)?, usize::try_from(row.number(1)?).unwrap_or_default());
        }
        for (key, count) in counts {
            self.facts.pending.count_of(groups[&key], count);
        }
        Ok(())
    }

    async fn groups_with_external_ids(&mut self, ids: Vec<String>) -> Result<(), DbError> {
        if ids.is_empty() {
            return Ok(());
        }
        let sql = "SELECT external_id, scim_id FROM groups
            WHERE directory = $1 AND external_id = ANY($2) ORDER BY key DESC";
        let rows = self.moment.all(sql, &[&self.key, &keys(&ids)]).await?;
        let holders = holders(&rows)?;
        for id in ids {
            let holder = holders.get(&*key(&id)).copied();
            self.facts.group_external_ids.insert(id, holder);
        }
        Ok(())
    }

    async fn groups_named(&mut self, names: Vec<String>) -> Result<(), DbError> {
        if names.is_empty() {
            return Ok(());
        }
        let sql = "SELECT name_key, scim_id FROM groups
            WHERE directory = $1 AND name_key = ANY($2) AND external_id IS NULL ORDER BY key DESC";
        let rows = self.moment.all(sql, &[&self.key, &keys(&names)]).await?;
        let holders = holders(&rows)?;
        for name in names {
            let holder = holders.get(&*key(&name)).copied();
            self.facts.group_names.insert(name, holder);
        }
        Ok(())
    }

    async fn memberships(&mut self, pairs: Vec<(ScimId, ScimId)>) -> Result<(), DbError> {
        if pairs.is_empty() {
            return Ok(());
        }
        let (of, who): (Vec<_>, Vec<_>) =
            pairs.iter().map(|(group, user)| (id_bytes(*group), id_bytes(*user))).unzip();
        let sql = "SELECT groups.scim_id, users.scim_id
            FROM unnest($1::bytea[], $2::bytea[]) AS pair (group_id, user_id)
            JOIN groups ON groups.scim_id = pair.group_id AND groups.directory = $3
            JOIN users ON users.scim_id = pair.user_id AND users.directory = $3
            JOIN memberships ON memberships.group_key = groups.key
                AND memberships.user_key = users.key";
        let rows = self.moment.all(sql, &[&of, &who, &self.key]).await?;
        for pair in pairs {
            self.facts.memberships.insert(pair, false);
        }
        for row in rows {
            let pair = (ScimId::from_bytes(row.id(0)?), ScimId::from_bytes(row.id(1)?));
            self.facts.memberships.insert(pair, true);
        }
        Ok(())
    }

    async fn members_of(&mut self, groups: Vec<ScimId>) -> Result<(), DbError> {
        if groups.is_empty() {
            return Ok(());
        }
        let sql = format!(
            "SELECT {USER_COLUMNS}, groups.scim_id FROM groups
             JOIN memberships ON memberships.group_key = groups.key
             JOIN users ON users.key = memberships.user_key
             WHERE groups.scim_id = ANY($1) AND groups.directory = $2"
        );
        let rows = self.moment.all(&sql, &[&bytes(&groups), &self.key]).await?;
        let mut members: BTreeMap<ScimId, BTreeSet<ScimId>> =
            groups.into_iter().map(|group| (group, BTreeSet::new())).collect();
        for (row, user) in rows.iter().zip(self.found(&rows)?) {
            members.entry(ScimId::from_bytes(row.id(9)?)).or_default().insert(user.id);
        }
        for (group, users) in members {
            self.facts.members_of.insert(group, users);
        }
        Ok(())
    }

    /// Returns the groups, which have to be known as well.
    async fn groups_of(&mut self, users: Vec<ScimId>) -> Result<BTreeSet<ScimId>, DbError> {
        if users.is_empty() {
            return Ok(BTreeSet::new());
        }
        let sql = "SELECT users.scim_id, groups.scim_id FROM users
            JOIN memberships ON memberships.user_key = users.key
            JOIN groups ON groups.key = memberships.group_key
            WHERE users.scim_id = ANY($1) AND users.directory = $2";
        let rows = self.moment.all(sql, &[&bytes(&users), &self.key]).await?;
        let mut groups: BTreeMap<ScimId, BTreeSet<ScimId>> =
            users.into_iter().map(|user| (user, BTreeSet::new())).collect();
        for row in rows {
            let (user, group) = (ScimId::from_bytes(row.id(0)?), ScimId::from_bytes(row.id(1)?));
            groups.entry(user).or_default().insert(group);
        }
        let all = groups.values().flatten().copied().collect();
        for (user, groups) in groups {
            self.facts.groups_of.all_of(user, groups.into_iter().collect());
        }
        Ok(all)
    }

    /// Returns the groups, which have to be known as well. Most directories have none that are pending, and none
    /// are looked for there.
    async fn pending_named(&mut self, names: Vec<String>) -> Result<BTreeSet<ScimId>, DbError> {
        let mut found = Vec::new();
        if self.facts.pending.total() > 0 && !names.is_empty() {
            let folded: Vec<String> = names.iter().map(|name| name_key(name)).collect();
            let rows = self.moment.all(PENDING_NAMED, &[&self.key, &names, &folded]).await?;
            found = rows.iter().map(pending_member).collect::<Result<Vec<_>, _>>()?;
        }
        for name in names {
            let folded = name_key(&name);
            let is = |one: &&PendingMember| one.value == name || one.name_key == folded;
            let named = found.iter().filter(is).cloned().collect();
            self.facts.pending.all_named(name, named);
        }
        Ok(found.iter().map(|member| member.group).collect())
    }

    async fn pending_of(&mut self, groups: Vec<ScimId>) -> Result<(), DbError> {
        let mut found = Vec::new();
        if self.facts.pending.total() > 0 && !groups.is_empty() {
            let rows = self.moment.all(PENDING_OF, &[&bytes(&groups), &self.key]).await?;
            found = rows.iter().map(pending_member).collect::<Result<Vec<_>, _>>()?;
        }
        for group in groups {
            let of = found.iter().filter(|member| member.group == group).cloned().collect();
            self.facts.pending.all_of(group, of);
        }
        Ok(())
    }
}

/// Two look-ups: an OR would walk through all that are pending in the directory.
const PENDING_NAMED: &str = "SELECT groups.scim_id, value, pending_members.name_key
    FROM pending_members JOIN groups ON groups.key = pending_members.group_key
    WHERE pending_members.directory = $1 AND value = ANY($2)
    UNION SELECT groups.scim_id, value, pending_members.name_key
    FROM pending_members JOIN groups ON groups.key = pending_members.group_key
    WHERE pending_members.directory = $1 AND pending_members.name_key = ANY($3)";

const PENDING_OF: &str = "SELECT groups.scim_id, value, pending_members.name_key
    FROM groups JOIN pending_members ON pending_members.group_key = groups.key
    WHERE groups.scim_id = ANY($1) AND groups.directory = $2";

fn pending_member(row: &Row) -> Result<PendingMember, DbError> {
    let group = ScimId::from_bytes(row.id(0)?);
    Ok(PendingMember { group, value: row.value(1)?, name_key: row.value(2)? })
}

/// Values as they stand in the columns that are looked into.
fn keys(values: &[String]) -> Vec<Cow<'_, str>> {
    values.iter().map(|value| key(value)).collect()
}

/// Whose a value is. Of several the last row tells.
fn holders(rows: &[Row]) -> Result<BTreeMap<&str, ScimId>, DbError> {
    rows.iter().map(|row| Ok((row.value(0)?, ScimId::from_bytes(row.id(1)?)))).collect()
}

fn owned(texts: impl IntoIterator<Item = String>) -> Vec<String> {
    texts.into_iter().collect()
}

fn id_bytes(id: ScimId) -> Vec<u8> {
    id.to_bytes().to_vec()
}

fn bytes(ids: &[ScimId]) -> Vec<Vec<u8>> {
    ids.iter().map(|id| id_bytes(*id)).collect()
}
