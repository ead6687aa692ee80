//! A directory whose store trails behind what was decided.

use std::collections::BTreeSet;

use directory::facts::{Pending, PendingMember};
use directory::patch::{parse_operations, split_members};
use directory::resource::{ScimSettings, UnknownMember, name_key, text};
use directory::{
    Answer, AppRules, Command, Decision, Directory, Facts, Needs, Rejection, Stamp, Undecided,
};
use directory::{User, decide};
use schemas::scim::{Attributes, GROUP, USER, canonicalise, parse};
use schemas::wire::DirectoryType;
use schemas::{Change, DirectoryId, EventType, OrganizationId, ScimId, Seq, Timestamp};
use serde_json::json;

/// How often a command may have to gather before it is decided.
const GATHERINGS_MAX: usize = 4;

/// A directory whose members may be pending: the store, and a working copy that is ahead of it.
pub(crate) struct World {
    /// Everything is known here, since it began empty.
    pub(crate) store: Facts,
    pub(crate) pending: BTreeSet<PendingMember>,
    pub(crate) copy: Facts,
    /// Decided on the copy; the store does not know of it yet.
    pub(crate) in_flight: Vec<(Change, Timestamp)>,
    pub(crate) promised: Option<ScimId>,
    ids: u128,
    millis: i64,
}

impl World {
    pub(crate) fn empty() -> Self {
        let directory = Directory {
            id: DirectoryId::from_bits(1),
            organization_id: OrganizationId::from_bits(2),
            external_key: "key".into(),
            scim: ScimSettings {
                unknown_member: UnknownMember::Pending,
                ..ScimSettings::default()
            },
            apps: AppRules::default(),
            kind: DirectoryType::Generic,
            name: "Acme".into(),
            domains: Vec::new(),
            tokens: Vec::new(),
            deleting: false,
            created_at: Timestamp::from_millis(0),
            updated_at: Timestamp::from_millis(0),
        };
        let store = Facts::new(directory, Seq(0));
        let (pending, copy) = (BTreeSet::new(), store.clone());
        Self { store, pending, copy, in_flight: Vec::new(), promised: None, ids: 100, millis: 0 }
    }

    pub(crate) fn ask(&mut self, command: &Command) -> Result<Decision, Rejection> {
        let mut needs = Needs::of(command);
        for _ in 0..GATHERINGS_MAX {
            let found = self.gather(needs.beyond(&self.copy));
            self.copy.absorb(found);
            self.millis += 1;
            let at = Timestamp::from_millis(self.millis);
            let ids = &mut self.ids;
            let mut fresh = || {
                *ids += 1;
                *ids
            };
            let mut stamp = Stamp { at, promised: self.promised, ids: &mut fresh };
            match decide(&mut self.copy, command, &mut stamp) {
                Ok(decision) => {
                    let changes = decision.drafts.iter();
                    self.in_flight.extend(changes.map(|draft| (draft.change.clone(), draft.at)));
                    return Ok(decision);
                }
                Err(Undecided::Rejected(rejection)) => return Err(rejection),
                Err(Undecided::Missing(missing)) => needs = *missing.0,
            }
        }
        panic!("{command:?} has to gather again and again");
    }

    /// Some of what is in flight is accepted.
    pub(crate) fn land(&mut self, count: usize) {
        for (change, at) in self.in_flight.drain(..count) {
            self.store.apply(&change, at);
            match change {
                Change::PendingMemberAdded { group, value, name_key } => {
                    assert!(self.pending.insert(PendingMember { group, value, name_key }));
                }
                Change::PendingMemberRemoved { group, value } => {
                    let before = self.pending.len();
                    self.pending.retain(|one| (one.group, &one.value) != (group, &value));
                    assert_eq!(self.pending.len() + 1, before);
                }
                Change::GroupGone { id } => self.pending.retain(|one| one.group != id),
                Change::User { .. }
                | Change::UserGone { .. }
                | Change::Group { .. }
                | Change::MemberAdded { .. }
                | Change::MemberRemoved { .. }
                | Change::DirectoryActivated
                | Change::DirectoryGone
                | Change::TokenMade { .. }
                | Change::TokenRevoked { .. } => {}
            }
        }
        assert_eq!(self.store.pending.total(), self.pending.len());
    }

    /// Everything is accepted, and the next command begins with nothing but the directory's own facts.
    pub(crate) fn settle(&mut self) {
        self.land(self.in_flight.len());
        self.copy = self.gather(Needs::default());
    }

    fn gather(&self, needs: Needs) -> Facts {
        let mut facts = Facts::new(self.store.directory.clone(), self.store.tail);
        facts.pending = Pending::with_total(self.pending.len());
        let users = || self.store.users.values().flatten();
        for id in &needs.users {
            facts.users.insert(*id, self.store.users.get(id).cloned().flatten());
        }
        let know = |facts: &mut Facts, user: &User| {
            facts.users.insert(user.id, Some(user.clone()));
            user.id
        };
        for name in needs.user_names {
            let holder = users().find(|user| user.name_key == name);
            let holder = holder.map(|user| know(&mut facts, user));
            facts.user_names.insert(name, holder);
        }
        for id in needs.user_external_ids {
            let holders = users().filter(|user| text(&user.attributes, "externalId") == Some(&id));
            let holders = holders.map(|user| know(&mut facts, user)).collect();
            facts.user_external_ids.insert(id, holders);
        }
        for name in needs.group_names {
            facts.group_names.insert(name, None);
        }
        for id in needs.group_external_ids {
            facts.group_external_ids.insert(id, None);
        }
        for (group, user) in needs.memberships {
            let member = self.members(group).contains(&user);
            facts.memberships.insert((group, user), member);
        }
        for group in needs.members_of {
            let members = self.members(group);
            for user in users().filter(|user| members.contains(&user.id)) {
                know(&mut facts, user);
            }
            facts.members_of.insert(group, members);
        }
        for user in needs.groups_of {
            let groups = self.store.groups_of.get(user).cloned().unwrap_or_default();
            facts.groups_of.all_of(user, groups);
        }
        let mut groups = needs.groups;
        for name in needs.pending {
            let same = |one: &&PendingMember| one.value == name || one.name_key == name_key(&name);
            let found: Vec<_> = self.pending.iter().filter(same).cloned().collect();
            groups.extend(found.iter().map(|one| one.group));
            facts.pending.all_named(name, found);
        }
        for group in needs.pending_of {
            let found = self.pending.iter().filter(|one| one.group == group).cloned();
            facts.pending.all_of(group, found.collect());
        }
        for id in groups {
            let count = self.pending.iter().filter(|one| one.group == id).count();
            facts.pending.count_of(id, count);
            facts.groups.insert(id, self.store.groups.get(&id).cloned().flatten());
        }
        facts
    }

    pub(crate) fn members(&self, group: ScimId) -> BTreeSet<ScimId> {
        self.store.members_of.get(&group).cloned().unwrap_or_default()
    }

    pub(crate) fn kinds(&mut self, command: &Command) -> Vec<EventType> {
        let decision = self.ask(command).unwrap();
        decision.drafts.iter().map(|draft| draft.event.kind()).collect()
    }

    pub(crate) fn user(&mut self, name: &str, external_id: Option<&str>) -> ScimId {
        match self.ask(&create_user(name, external_id)).unwrap().answer {
            Answer::User(user) => user.id,
            other @ (Answer::Group(_) | Answer::Gone | Answer::Nothing) => panic!("{other:?}"),
        }
    }

    pub(crate) fn group(&mut self, name: &str, members: &[&str]) -> ScimId {
        match self.ask(&create_group(name, members)).unwrap().answer {
            Answer::Group(group) => group.id,
            other @ (Answer::User(_) | Answer::Gone | Answer::Nothing) => panic!("{other:?}"),
        }
    }

    pub(crate) fn waiting(&mut self) -> Vec<String> {
        self.settle();
        self.pending.iter().map(|one| one.value.clone()).collect()
    }

    pub(crate) fn everyone_in(&mut self, group: ScimId) -> Vec<ScimId> {
        self.settle();
        self.members(group).into_iter().collect()
    }
}

pub(crate) fn user_body(name: &str, external_id: Option<&str>) -> Attributes {
    let body = json!({ "userName": name, "externalId": external_id });
    canonicalise(&USER, parse(body.to_string().as_bytes()).unwrap()).unwrap()
}

pub(crate) fn create_user(name: &str, external_id: Option<&str>) -> Command {
    Command::CreateUser { attributes: user_body(name, external_id).into() }
}

pub(crate) fn group_body(name: &str) -> Attributes {
    let body = json!({ "displayName": name }).to_string();
    canonicalise(&GROUP, parse(body.as_bytes()).unwrap()).unwrap()
}

pub(crate) fn create_group(name: &str, members: &[&str]) -> Command {
    let members = members.iter().map(|&member| member.to_owned()).collect();
    Command::CreateGroup { attributes: group_body(name), members }
}

fn operations_of(operations: &serde_json::Value) -> Vec<directory::patch::Operation> {
    let body = json!({ "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
        "Operations": operations });
    parse_operations(&parse(body.to_string().as_bytes()).unwrap()).unwrap()
}

pub(crate) fn patch_user(id: ScimId, name: &str, value: serde_json::Value) -> Command {
    let operations = json!([{ "op": "replace", "path": name, "value": value }]);
    Command::PatchUser { id, operations: operations_of(&operations) }
}

pub(crate) fn patch_group(id: ScimId, operations: &serde_json::Value) -> Command {
    let (operations, members) = split_members(operations_of(operations)).unwrap();
    Command::PatchGroup { id, operations, members }
}

pub(crate) fn on_members(id: ScimId, op: &str, values: &[&str]) -> Command {
    let values: Vec<_> = values.iter().map(|value| json!({ "value": value })).collect();
    patch_group(id, &json!([{ "op": op, "path": "members", "value": values }]))
}
