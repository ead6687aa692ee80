//! What has to be gathered for a command.

use std::collections::BTreeSet;

use schemas::ScimId;
use schemas::scim::{Attributes, Value};

use super::Facts;
use crate::Command;
use crate::patch::{MemberOp, Operation};
use crate::resource::{name_key, text};

/// What to gather.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// These users.
    pub users: BTreeSet<ScimId>,
    /// The holders of these user names, in the form of [`name_key`].
    pub user_names: BTreeSet<String>,
    /// All users that have these `externalId`s, with each of them.
    pub user_external_ids: BTreeSet<String>,
    /// These groups, with how many pending members they have.
    pub groups: BTreeSet<ScimId>,
    /// The groups that have these `externalId`s.
    pub group_external_ids: BTreeSet<String>,
    /// The groups without `externalId` that have these names, in the form of [`name_key`].
    pub group_names: BTreeSet<String>,
    /// Whether these users are members of these groups: `(group, user)`.
    pub memberships: BTreeSet<(ScimId, ScimId)>,
    /// Everyone who is a member of these groups, as users.
    pub members_of: BTreeSet<ScimId>,
    /// The groups of which these users are members.
    pub groups_of: BTreeSet<ScimId>,
    /// Everyone who is pending under these names, in whatever group, with those groups.
    pub pending: BTreeSet<String>,
    /// Everyone who is pending in these groups.
    pub pending_of: BTreeSet<ScimId>,
}

/// Something the rules asked for that was not gathered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing(pub Box<Needs>);

impl Needs {
    /// What a command will most likely ask for.
    #[must_use]
    pub fn of(command: &Command) -> Self {
        let mut needs = Self::default();
        match command {
            Command::Activate | Command::Reconcile => {}
            Command::CreateUser { attributes } => needs.user_names(attributes),
            Command::ReplaceUser { id, attributes } => {
                needs.users.insert(*id);
                needs.user_names(attributes);
            }
            Command::PatchUser { id, operations } => {
                needs.users.insert(*id);
                needs.patched_user_names(operations);
            }
            Command::DeleteUser { id } => {
                needs.users.insert(*id);
                needs.groups_of.insert(*id);
            }
            Command::RefreshUsers { ids } => needs.users.extend(ids),
            Command::CreateGroup { attributes, members } => {
                needs.group_identity(attributes);
                members.iter().for_each(|text| needs.member(None, text));
            }
            Command::ReplaceGroup { id, attributes, members, .. } => {
                needs.groups.insert(*id);
                needs.group_identity(attributes);
                needs.everyone_in(*id);
                members.iter().for_each(|text| needs.member(None, text));
            }
            Command::PatchGroup { id, members, .. } => {
                needs.groups.insert(*id);
                members.iter().for_each(|op| needs.member_op(*id, op));
            }
            Command::DeleteGroup { id } => {
                needs.groups.insert(*id);
            }
            Command::Conditional { then, .. } => needs = Self::of(then),
        }
        needs
    }

    /// Adds what `other` needs.
    pub fn merge(&mut self, other: Self) {
        self.users.extend(other.users);
        self.user_names.extend(other.user_names);
        self.user_external_ids.extend(other.user_external_ids);
        self.groups.extend(other.groups);
        self.group_external_ids.extend(other.group_external_ids);
        self.group_names.extend(other.group_names);
        self.memberships.extend(other.memberships);
        self.members_of.extend(other.members_of);
        self.groups_of.extend(other.groups_of);
        self.pending.extend(other.pending);
        self.pending_of.extend(other.pending_of);
    }

    /// What of it is not among the facts.
    #[must_use]
    pub fn beyond(mut self, facts: &Facts) -> Self {
        self.users.retain(|id| !facts.users.contains_key(id));
        self.user_names.retain(|name| !facts.user_names.contains_key(name));
        self.user_external_ids.retain(|id| !facts.user_external_ids.contains_key(id));
        self.groups.retain(|id| !facts.groups.contains_key(id));
        self.group_external_ids.retain(|id| !facts.group_external_ids.contains_key(id));
        self.group_names.retain(|name| !facts.group_names.contains_key(name));
        self.memberships.retain(|(group, user)| facts.is_member(*group, *user).is_err());
        self.members_of.retain(|group| !facts.members_of.contains_key(group));
        self.groups_of.retain(|user| !facts.groups_of.knows(*user));
        self.pending.retain(|name| !facts.pending.knows_name(name));
        self.pending_of.retain(|group| !facts.pending.knows_group(*group));
        self
    }

    /// What a user is to be called must be free, and groups may wait for it.
    fn user_names(&mut self, attributes: &Attributes) {
        if let Some(name) = text(attributes, "userName") {
            self.user_names.insert(name_key(name));
            self.pending.insert(name.to_owned());
        }
        self.pending.extend(text(attributes, "externalId").map(str::to_owned));
    }

    fn group_identity(&mut self, attributes: &Attributes) {
        match text(attributes, "externalId") {
            Some(id) => self.group_external_ids.insert(id.to_owned()),
            None => text(attributes, "displayName")
                .is_some_and(|name| self.group_names.insert(name_key(name))),
        };
    }

    fn patched_user_names(&mut self, operations: &[Operation]) {
        for operation in operations {
            match &operation.value {
                Some(Value::Complex(values)) => self.user_names(values),
                Some(Value::String(name)) if operation.names("userName") => {
                    self.user_names.insert(name_key(name));
                    self.pending.insert(name.clone());
                }
                Some(Value::String(id)) if operation.names("externalId") => {
                    self.pending.insert(id.clone());
                }
                Some(
                    Value::String(_)
                    | Value::Null
                    | Value::Bool(_)
                    | Value::Integer(_)
                    | Value::Decimal(_)
                    | Value::List(_),
                )
                | None => {}
            }
        }
    }

    fn member_op(&mut self, group: ScimId, op: &MemberOp) {
        if op.is_about_everyone() {
            self.everyone_in(group);
        }
        op.named().iter().for_each(|text| self.member(Some(group), text));
    }

    fn everyone_in(&mut self, group: ScimId) {
        self.members_of.insert(group);
        self.pending_of.insert(group);
    }

    /// What reads as an id is one, nearly always.
    fn member(&mut self, group: Option<ScimId>, text: &str) {
        if let Ok(id) = text.parse::<ScimId>() {
            self.users.insert(id);
            self.memberships.extend(group.map(|group| (group, id)));
        } else {
            self.user_names.insert(name_key(text));
            self.user_external_ids.insert(text.to_owned());
            self.pending.insert(text.to_owned());
        }
    }
}

/// Takes answers of the facts, so that all that are missing are gathered at once.
#[derive(Debug, Default)]
pub(crate) struct Asking(Needs);

impl Asking {
    pub(crate) fn note<T>(&mut self, answer: Result<T, Missing>) -> Option<T> {
        match answer {
            Ok(answer) => Some(answer),
            Err(Missing(needs)) => {
                self.0.merge(*needs);
                None
            }
        }
    }

    pub(crate) fn done(self) -> Result<(), Missing> {
        if self.0 == Needs::default() { Ok(()) } else { Err(Missing(Box::new(self.0))) }
    }
}

pub(super) fn missing<T>(name: impl FnOnce(&mut Needs) -> bool) -> Result<T, Missing> {
    let mut needs = Needs::default();
    name(&mut needs);
    Err(Missing(Box::new(needs)))
}
