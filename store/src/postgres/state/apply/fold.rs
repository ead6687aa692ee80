//! What the changes of a batch come to, worked out on what is there before it.

use std::collections::{BTreeMap, BTreeSet};

use projector::{Accepted, Batch};
use schemas::{Change, DirectoryId, ScimId, Seq, StoredChange, Timestamp, TokenId};

use super::super::super::query::Moment;
use super::super::super::rows::Columns;
use super::{Directories, Touched};
use crate::error::DbError;
use crate::state::apply::{Counted, columns_of, is_active};

/// What is there of the users and groups that a batch names.
#[derive(Debug, Default)]
pub(super) struct Known {
    users: BTreeMap<ScimId, (i64, Counted)>,
    groups: BTreeMap<ScimId, i64>,
    /// The groups of the users that go.
    groups_of: BTreeMap<ScimId, BTreeSet<ScimId>>,
}

impl Known {
    pub(super) async fn of(moment: &Moment<'_>, batch: &Batch) -> Result<Self, DbError> {
        let (mut users, mut groups, mut going) = (BTreeSet::new(), BTreeSet::new(), Vec::new());
        for accepted in &batch.accepted {
            match &accepted.change {
                Change::User { id, .. } => drop(users.insert(*id)),
                Change::UserGone { id } => {
                    users.insert(*id);
                    going.push(id.to_bytes().to_vec());
                }
                Change::Group { id, .. } | Change::GroupGone { id } => drop(groups.insert(*id)),
                Change::MemberAdded { group, user } | Change::MemberRemoved { group, user } => {
                    users.insert(*user);
                    groups.insert(*group);
                }
                Change::PendingMemberAdded { group, .. }
                | Change::PendingMemberRemoved { group, .. } => drop(groups.insert(*group)),
                Change::DirectoryActivated
                | Change::DirectoryGone
                | Change::TokenMade { .. }
                | Change::TokenRevoked { .. } => {}
            }
        }
        let groups_of = Self::groups_of(moment, &going).await?;
        groups.extend(groups_of.values().flatten());
        let (users, groups) =
            tokio::try_join!(Self::users(moment, &users), Self::groups(moment, &groups))?;
        Ok(Self { users, groups, groups_of })
    }

    async fn users(
        moment: &Moment<'_>,
        ids: &BTreeSet<ScimId>,
    ) -> Result<BTreeMap<ScimId, (i64, Counted)>, DbError> {
        let mut found = BTreeMap::new();
        if ids.is_empty() {
            return Ok(found);
        }
        let sql = "SELECT scim_id, key, active, hidden FROM users WHERE scim_id = ANY($1)";
        for row in moment.all(sql, &[&bytes(ids)]).await? {
            let counted = Counted::of(row.value(2)?, row.value(3)?);
            found.insert(ScimId::from_bytes(row.id(0)?), (row.value(1)?, counted));
        }
        Ok(found)
    }

    async fn groups(
        moment: &Moment<'_>,
        ids: &BTreeSet<ScimId>,
    ) -> Result<BTreeMap<ScimId, i64>, DbError> {
        let mut found = BTreeMap::new();
        if ids.is_empty() {
            return Ok(found);
        }
        let sql = "SELECT scim_id, key FROM groups WHERE scim_id = ANY($1)";
        for row in moment.all(sql, &[&bytes(ids)]).await? {
            found.insert(ScimId::from_bytes(row.id(0)?), row.value(1)?);
        }
        Ok(found)
    }

    async fn groups_of(
        moment: &Moment<'_>,
        going: &[Vec<u8>],
    ) -> Result<BTreeMap<ScimId, BTreeSet<ScimId>>, DbError> {
        let mut found = BTreeMap::<_, BTreeSet<_>>::new();
        if going.is_empty() {
            return Ok(found);
        }
        let sql = "SELECT users.scim_id, groups.scim_id FROM users
            JOIN memberships ON memberships.user_key = users.key
            JOIN groups ON groups.key = memberships.group_key WHERE users.scim_id = ANY($1)";
        for row in moment.all(sql, &[&going]).await? {
            let groups = found.entry(ScimId::from_bytes(row.id(0)?)).or_default();
            groups.insert(ScimId::from_bytes(row.id(1)?));
        }
        Ok(found)
    }
}

fn bytes(ids: &BTreeSet<ScimId>) -> Vec<Vec<u8>> {
    ids.iter().map(|id| id.to_bytes().to_vec()).collect()
}

/// A user or a group as the batch leaves it.
#[derive(Debug)]
pub(super) struct Put<'b> {
    pub(super) directory: i64,
    pub(super) change: &'b StoredChange,
    pub(super) updated_at: Timestamp,
    /// For a group, when it or its members last changed.
    pub(super) modified_at: Timestamp,
    pub(super) version: Seq,
    /// Who comes later gets the later key.
    pub(super) order: usize,
}

/// All that a batch comes to.
#[derive(Debug, Default)]
pub(super) struct Delta<'b> {
    known: Known,
    /// Keys of directories that have gone with everything in them.
    pub(super) gone: Vec<i64>,
    pub(super) activated: Vec<i64>,
    pub(super) users: BTreeMap<ScimId, Put<'b>>,
    pub(super) groups: BTreeMap<ScimId, Put<'b>>,
    /// Keys of users and of groups that were there and have gone.
    pub(super) users_gone: Vec<i64>,
    pub(super) groups_gone: Vec<i64>,
    /// Groups whose members alone have changed.
    pub(super) touched: BTreeMap<i64, (Timestamp, Seq)>,
    /// By group and user: whether the last word is that it is one. All of them are taken back first, but for
    /// those that were only added.
    pub(super) memberships: BTreeMap<(ScimId, ScimId), Last>,
    /// By group and value: the name by which it is found, if the last word is that it waits.
    pub(super) pending: BTreeMap<(ScimId, String), (Last, String, i64)>,
    pub(super) tokens: BTreeMap<(i64, TokenId), bool>,
}

/// The last word on something that is there or not, and whether it was taken back before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Last {
    pub(super) is_there: bool,
    pub(super) taken_back: bool,
}

impl Last {
    const fn after(before: Option<Self>, is_there: bool) -> Self {
        let taken_back = match before {
            Some(before) => before.taken_back || !is_there,
            None => !is_there,
        };
        Self { is_there, taken_back }
    }
}

impl<'b> Delta<'b> {
    pub(super) fn of(
        batch: &'b Batch,
        known: Known,
        directories: &mut Directories,
    ) -> Result<Self, DbError> {
        let mut delta = Self { known, ..Self::default() };
        for (accepted, order) in batch.accepted.iter().zip(0..) {
            if let Some(touched) = directories.get_mut(&accepted.directory_id) {
                delta.take(accepted, order, touched)?;
                touched.head = accepted.head;
            }
        }
        Ok(delta)
    }

    fn take(
        &mut self,
        accepted: &'b Accepted,
        order: usize,
        touched: &mut Touched,
    ) -> Result<(), DbError> {
        let (at, version) = (accepted.created_at, accepted.head.seq);
        let put = || Put {
            directory: touched.key,
            change: &accepted.change,
            updated_at: at,
            modified_at: at,
            version,
            order,
        };
        match &accepted.change {
            Change::User { id, attributes, shown, .. } => {
                let active = is_active(&*columns_of(attributes)?);
                let counted = Counted::of(active, shown.hidden);
                self.put_user(*id, put(), counted, touched);
            }
            Change::UserGone { id } => self.drop_user(*id, (at, version), touched),
            Change::Group { id, .. } => self.put_group(*id, put(), touched),
            Change::GroupGone { id } => self.drop_group(*id, touched),
            Change::MemberAdded { group, user } => {
                self.member(*group, *user, true, (at, version));
            }
            Change::MemberRemoved { group, user } => {
                self.member(*group, *user, false, (at, version));
            }
            Change::PendingMemberAdded { group, value, name_key } => {
                self.pending(*group, value, Some(name_key), touched.key);
            }
            Change::PendingMemberRemoved { group, value } => {
                self.pending(*group, value, None, touched.key);
            }
            Change::DirectoryActivated => self.activated.push(touched.key),
            Change::DirectoryGone => self.drop_directory(touched),
            Change::TokenMade { id } => drop(self.tokens.insert((touched.key, *id), false)),
            Change::TokenRevoked { id } => drop(self.tokens.insert((touched.key, *id), true)),
        }
        Ok(())
    }

    /// Whether a user was there before the batch and is still the same.
    pub(super) fn was_there(&self, id: ScimId) -> bool {
        self.known.users.get(&id).is_some_and(|(key, _)| *key > 0)
    }

    fn put_user(&mut self, id: ScimId, put: Put<'b>, counted: Counted, touched: &mut Touched) {
        // What has a key is there; anything else will get one.
        let key = self.known.users.get(&id).map_or(0, |(key, _)| *key);
        if let Some((_, before)) = self.known.users.insert(id, (key, counted)) {
            touched.count(before, -1);
        }
        touched.count(counted, 1);
        let order = self.users.get(&id).map_or(put.order, |before| before.order);
        self.users.insert(id, Put { order, ..put });
    }

    fn drop_user(&mut self, id: ScimId, at: (Timestamp, Seq), touched: &mut Touched) {
        let Some((key, counted)) = self.known.users.remove(&id) else { return };
        touched.count(counted, -1);
        self.users.remove(&id);
        if key > 0 {
            self.users_gone.push(key);
        }
        let mut groups = self.known.groups_of.remove(&id).unwrap_or_default();
        for ((group, user), last) in &self.memberships {
            if *user == id {
                if last.is_there {
                    groups.insert(*group)
                } else {
                    groups.remove(group)
                };
            }
        }
        self.memberships.retain(|(_, user), _| *user != id);
        for group in groups {
            self.touch(group, at);
        }
    }

    fn put_group(&mut self, id: ScimId, put: Put<'b>, touched: &mut Touched) {
        match self.known.groups.get(&id) {
            Some(key) => drop(self.touched.remove(key)),
            None => {
                self.known.groups.insert(id, 0);
                touched.groups += 1;
            }
        }
        let order = self.groups.get(&id).map_or(put.order, |before| before.order);
        self.groups.insert(id, Put { order, ..put });
    }

    fn drop_group(&mut self, id: ScimId, touched: &mut Touched) {
        let Some(key) = self.known.groups.remove(&id) else { return };
        touched.groups -= 1;
        self.groups.remove(&id);
        self.touched.remove(&key);
        if key > 0 {
            self.groups_gone.push(key);
        }
        self.memberships.retain(|(group, _), _| *group != id);
        self.pending.retain(|(group, _), _| *group != id);
        for groups in self.known.groups_of.values_mut() {
            groups.remove(&id);
        }
    }

    /// A membership touches its group's version and nothing else of it, whatever the group's size.
    fn member(&mut self, group: ScimId, user: ScimId, is_there: bool, at: (Timestamp, Seq)) {
        if !self.known.groups.contains_key(&group) {
            return;
        }
        if self.known.users.contains_key(&user) {
            let before = self.memberships.get(&(group, user)).copied();
            self.memberships.insert((group, user), Last::after(before, is_there));
        }
        self.touch(group, at);
    }

    fn touch(&mut self, group: ScimId, (at, version): (Timestamp, Seq)) {
        if let Some(put) = self.groups.get_mut(&group) {
            (put.modified_at, put.version) = (at, version);
        } else if let Some(key) = self.known.groups.get(&group) {
            self.touched.insert(*key, (at, version));
        }
    }

    fn pending(&mut self, group: ScimId, value: &str, name: Option<&String>, directory: i64) {
        if !self.known.groups.contains_key(&group) {
            return;
        }
        let of = (group, value.to_owned());
        let before = self.pending.get(&of);
        let last = Last::after(before.map(|before| before.0), name.is_some());
        // Who waits already is not asked for its name again.
        let kept = before.filter(|before| before.0.is_there).map(|before| before.1.clone());
        let name = kept.or_else(|| name.cloned()).unwrap_or_default();
        self.pending.insert(of, (last, name, directory));
    }

    fn drop_directory(&mut self, touched: &mut Touched) {
        let key = touched.key;
        self.gone.push(key);
        (touched.active_users, touched.inactive_users, touched.hidden_users) = (0, 0, 0);
        (touched.groups, touched.pending_members) = (0, 0);
        // What the batch made of it goes with it.
        let users: Vec<ScimId> = ids_in(&self.users, key);
        let groups: Vec<ScimId> = ids_in(&self.groups, key);
        self.users.retain(|_, put| put.directory != key);
        self.groups.retain(|_, put| put.directory != key);
        self.pending.retain(|_, (_, _, directory)| *directory != key);
        for id in &users {
            self.known.users.remove(id);
        }
        for id in &groups {
            self.known.groups.remove(id);
        }
        let Known { users, groups, .. } = &self.known;
        self.memberships
            .retain(|(group, user), _| groups.contains_key(group) && users.contains_key(user));
    }
}

fn ids_in(puts: &BTreeMap<ScimId, Put<'_>>, directory: i64) -> Vec<ScimId> {
    puts.iter().filter(|(_, put)| put.directory == directory).map(|(id, _)| *id).collect()
}

/// The directories that an event of a batch may name.
pub(super) fn key_of(directories: &Directories, id: DirectoryId) -> i64 {
    directories.get(&id).map_or(0, |touched| touched.key)
}

impl Touched {
    const fn count(&mut self, user: Counted, by: i64) {
        match user {
            Counted::Active => self.active_users += by,
            Counted::Inactive => self.inactive_users += by,
            Counted::Hidden => self.hidden_users += by,
        }
    }
}
