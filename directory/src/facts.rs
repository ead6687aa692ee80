//! All that the rules may know about the world.
//!
//! [`Needs`] says what has to be gathered for a command; [`Facts`] holds what was. A fact that was
//! not gathered is not the same as a fact that something does not exist: asking for it yields
//! [`Missing`], the caller gathers it too and decides again. So a wrong guess in [`Needs::of`]
//! costs time and never an answer.

mod absorb;
mod groups_of;
mod needs;
mod pending;

use std::collections::{BTreeMap, BTreeSet};

use schemas::{Change, ScimId, Seq, Timestamp, TokenId};

use crate::Stamp;
use crate::resource::{Directory, Group, UnknownMember, User, name_key, text};
use needs::missing;

pub use groups_of::GroupsOf;
pub(crate) use needs::Asking;
pub use needs::{Missing, Needs};
pub use pending::{Pending, PendingMember};

/// Whether the stream knows of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TokenRecord {
    /// It was recorded as made.
    Made,
    /// It was recorded as revoked.
    Revoked,
}

/// What is known of one directory, moved on by each command that is decided on it.
#[derive(Clone, Debug)]
pub struct Facts {
    /// The configuration.
    pub directory: Directory,
    /// The place of the last record, decided ones included.
    pub tail: Seq,
    /// Whether the identity provider has connected.
    pub activated: bool,
    /// Whether the stream says that the directory is gone.
    pub gone: bool,
    /// The tokens that the stream knows of.
    pub tokens: BTreeMap<TokenId, TokenRecord>,
    /// Users by id; `None` where there is none.
    pub users: BTreeMap<ScimId, Option<User>>,
    /// Who holds a name.
    pub user_names: BTreeMap<String, Option<ScimId>>,
    /// Which users have an `externalId`: several may.
    pub user_external_ids: BTreeMap<String, BTreeSet<ScimId>>,
    /// Groups by id; `None` where there is none.
    pub groups: BTreeMap<ScimId, Option<Group>>,
    /// Which group has an `externalId`.
    pub group_external_ids: BTreeMap<String, Option<ScimId>>,
    /// Which group without `externalId` has a name.
    pub group_names: BTreeMap<String, Option<ScimId>>,
    /// Whether a user is in a group: `(group, user)`.
    pub memberships: BTreeMap<(ScimId, ScimId), bool>,
    /// Everyone in a group.
    pub members_of: BTreeMap<ScimId, BTreeSet<ScimId>>,
    /// Every group of a user.
    pub groups_of: GroupsOf,
    /// Members of groups that are no users yet.
    pub pending: Pending,
}

/// Whom a client means by the value of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Meant {
    /// No user of the directory.
    Nobody,
    /// This user.
    User(ScimId),
    /// It fits several users.
    Several,
}

impl Facts {
    /// Facts about a directory of which only the configuration is known.
    #[must_use]
    pub fn new(directory: Directory, tail: Seq) -> Self {
        Self {
            directory,
            tail,
            activated: false,
            gone: false,
            tokens: BTreeMap::new(),
            users: BTreeMap::new(),
            user_names: BTreeMap::new(),
            user_external_ids: BTreeMap::new(),
            groups: BTreeMap::new(),
            group_external_ids: BTreeMap::new(),
            group_names: BTreeMap::new(),
            memberships: BTreeMap::new(),
            members_of: BTreeMap::new(),
            groups_of: GroupsOf::default(),
            pending: Pending::default(),
        }
    }

    pub(crate) fn user(&self, id: ScimId) -> Result<Option<&User>, Missing> {
        match self.users.get(&id) {
            Some(user) => Ok(user.as_ref()),
            None => missing(|needs| needs.users.insert(id)),
        }
    }

    pub(crate) fn user_named(&self, key: &str) -> Result<Option<ScimId>, Missing> {
        match self.user_names.get(key) {
            Some(holder) => Ok(*holder),
            None => missing(|needs| needs.user_names.insert(key.to_owned())),
        }
    }

    fn users_with_external_id(&self, id: &str) -> Result<&BTreeSet<ScimId>, Missing> {
        match self.user_external_ids.get(id) {
            Some(holders) => Ok(holders),
            None => missing(|needs| needs.user_external_ids.insert(id.to_owned())),
        }
    }

    /// Whom the value of a member means: the user with this id; where members may be pending, the one
    /// with this `externalId` or `userName` as well.
    pub(crate) fn meant_by(&self, value: &str) -> Result<Meant, Missing> {
        if let Ok(id) = value.parse::<ScimId>()
            && self.user(id)?.is_some()
        {
            return Ok(Meant::User(id));
        }
        match self.directory.scim.unknown_member {
            UnknownMember::Reject => return Ok(Meant::Nobody),
            UnknownMember::Pending => {}
        }
        let mut asking = Asking::default();
        let named = asking.note(self.user_named(&name_key(value)));
        let holders = asking.note(self.users_with_external_id(value));
        asking.done()?;
        let mut fitting: BTreeSet<ScimId> = holders.into_iter().flatten().copied().collect();
        fitting.extend(named.flatten());
        Ok(match (fitting.pop_first(), fitting.is_empty()) {
            (None, _) => Meant::Nobody,
            (Some(id), true) => Meant::User(id),
            (Some(_), false) => Meant::Several,
        })
    }

    pub(crate) fn group(&self, id: ScimId) -> Result<Option<&Group>, Missing> {
        match self.groups.get(&id) {
            Some(group) => Ok(group.as_ref()),
            None => missing(|needs| needs.groups.insert(id)),
        }
    }

    pub(crate) fn group_with_external_id(&self, id: &str) -> Result<Option<ScimId>, Missing> {
        match self.group_external_ids.get(id) {
            Some(holder) => Ok(*holder),
            None => missing(|needs| needs.group_external_ids.insert(id.to_owned())),
        }
    }

    pub(crate) fn group_named(&self, key: &str) -> Result<Option<ScimId>, Missing> {
        match self.group_names.get(key) {
            Some(holder) => Ok(*holder),
            None => missing(|needs| needs.group_names.insert(key.to_owned())),
        }
    }

    pub(crate) fn is_member(&self, group: ScimId, user: ScimId) -> Result<bool, Missing> {
        if let Some(everyone) = self.members_of.get(&group) {
            return Ok(everyone.contains(&user));
        }
        match self.memberships.get(&(group, user)) {
            Some(member) => Ok(*member),
            None => missing(|needs| needs.memberships.insert((group, user))),
        }
    }

    pub(crate) fn members(&self, group: ScimId) -> Result<&BTreeSet<ScimId>, Missing> {
        match self.members_of.get(&group) {
            Some(everyone) => Ok(everyone),
            None => missing(|needs| needs.members_of.insert(group)),
        }
    }

    /// Takes note of a change, as the state will once its record is accepted.
    pub fn apply(&mut self, change: &Change, at: Timestamp) {
        self.tail = self.tail.next();
        match change {
            Change::User { id, user_id, name_key, created_at, attributes, shown } => {
                self.put_user(User {
                    id: *id,
                    user_id: *user_id,
                    name_key: name_key.clone(),
                    attributes: attributes.clone(),
                    shown: shown.clone(),
                    created_at: *created_at,
                    updated_at: at,
                    version: self.tail,
                });
            }
            Change::UserGone { id } => self.drop_user(*id, at),
            Change::Group { id, group_id, idp_id, name_key, created_at, attributes } => {
                self.put_group(Group {
                    id: *id,
                    group_id: *group_id,
                    idp_id: idp_id.clone(),
                    name_key: name_key.clone(),
                    attributes: attributes.clone(),
                    created_at: *created_at,
                    updated_at: at,
                    modified_at: at,
                    version: self.tail,
                });
            }
            Change::GroupGone { id } => self.drop_group(*id),
            Change::MemberAdded { group, user } => self.put_member(*group, *user, true, at),
            Change::MemberRemoved { group, user } => self.put_member(*group, *user, false, at),
            Change::PendingMemberAdded { group, value, name_key } => {
                let (value, name_key) = (value.clone(), name_key.clone());
                self.pending.add(PendingMember { group: *group, value, name_key });
            }
            Change::PendingMemberRemoved { group, value } => self.pending.remove(*group, value),
            Change::DirectoryActivated => self.activated = true,
            Change::DirectoryGone => self.gone = true,
            Change::TokenMade { id } => {
                self.tokens.insert(*id, TokenRecord::Made);
            }
            Change::TokenRevoked { id } => {
                self.tokens.insert(*id, TokenRecord::Revoked);
            }
        }
    }

    fn put_user(&mut self, user: User) {
        if !self.users.get(&user.id).is_some_and(Option::is_some) {
            self.groups_of.user_created(user.id);
        }
        self.free_names_of_user(user.id);
        self.user_names.insert(user.name_key.clone(), Some(user.id));
        let external_id = text(&user.attributes, "externalId");
        if let Some(holders) = external_id.and_then(|id| self.user_external_ids.get_mut(id)) {
            holders.insert(user.id);
        }
        self.users.insert(user.id, Some(user));
    }

    fn drop_user(&mut self, id: ScimId, at: Timestamp) {
        self.free_names_of_user(id);
        self.users.insert(id, None);
        for group in self.groups_of.user_gone(id, self.tail, at) {
            self.touch(group, at);
        }
        for ((_, user), member) in &mut self.memberships {
            *member &= *user != id;
        }
        for everyone in self.members_of.values_mut() {
            everyone.remove(&id);
        }
    }

    fn free_names_of_user(&mut self, id: ScimId) {
        let Some(Some(before)) = self.users.get(&id) else { return };
        self.user_names.insert(before.name_key.clone(), None);
        let external_id = text(&before.attributes, "externalId");
        if let Some(holders) = external_id.and_then(|id| self.user_external_ids.get_mut(id)) {
            holders.remove(&id);
        }
    }

    fn put_group(&mut self, group: Group) {
        let created = !self.groups.get(&group.id).is_some_and(Option::is_some);
        self.free_identity_of_group(group.id);
        match text(&group.attributes, "externalId") {
            Some(id) => self.group_external_ids.insert(id.to_owned(), Some(group.id)),
            None => self.group_names.insert(group.name_key.clone(), Some(group.id)),
        };
        if created {
            self.members_of.insert(group.id, BTreeSet::new());
            self.pending.group_created(group.id);
        }
        self.groups.insert(group.id, Some(group));
    }

    fn drop_group(&mut self, id: ScimId) {
        self.free_identity_of_group(id);
        self.groups.insert(id, None);
        self.members_of.insert(id, BTreeSet::new());
        self.groups_of.group_gone(id);
        self.pending.group_gone(id);
    }

    fn free_identity_of_group(&mut self, id: ScimId) {
        if let Some(Some(before)) = self.groups.get(&id) {
            match text(&before.attributes, "externalId") {
                Some(id) => self.group_external_ids.insert(id.to_owned(), None),
                None => self.group_names.insert(before.name_key.clone(), None),
            };
        }
    }

    fn put_member(&mut self, group: ScimId, user: ScimId, member: bool, at: Timestamp) {
        self.memberships.insert((group, user), member);
        if let Some(everyone) = self.members_of.get_mut(&group) {
            if member {
                everyone.insert(user)
            } else {
                everyone.remove(&user)
            };
        }
        self.groups_of.put(group, user, member);
        self.touch(group, at);
    }

    /// Who joins or leaves a group changes it.
    fn touch(&mut self, group: ScimId, at: Timestamp) {
        if let Some(Some(group)) = self.groups.get_mut(&group) {
            group.version = self.tail;
            group.modified_at = at;
        }
    }
}

impl Stamp<'_> {
    /// Fresh bits for an id.
    pub(crate) fn id(&mut self) -> u128 {
        (self.ids)()
    }

    /// The id of a resource that the command creates.
    pub(crate) fn resource_id(&mut self) -> ScimId {
        self.promised.unwrap_or_else(|| ScimId::from_bits(self.id()))
    }
}
