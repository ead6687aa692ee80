//! An app that knows nothing but what it is told.

use std::collections::{BTreeMap, BTreeSet};

use directory::normalise::{Origin, directory_group};
use directory::{Facts, Group};
use schemas::record::Draft;
use schemas::wire::{DirectoryGroup, DirectoryUser};
use schemas::{Event, GroupId, UserId};

/// Its copy of the directory.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct App {
    users: BTreeMap<UserId, DirectoryUser>,
    groups: BTreeMap<GroupId, DirectoryGroup>,
    members: BTreeSet<(GroupId, UserId)>,
}

impl App {
    /// Takes in events, and finds fault with what does not follow from what it was told before.
    pub(crate) fn hear(&mut self, drafts: &[Draft]) {
        drafts.iter().for_each(|draft| self.take(&draft.event));
    }

    fn take(&mut self, event: &Event) {
        match event {
            Event::UserCreated(user) => {
                assert_eq!(self.users.insert(user.id, told(user)), None, "it is new");
            }
            Event::UserUpdated(update) => {
                let before = self.users.insert(update.user.id, told(&update.user));
                assert!(before.is_some(), "it was there");
            }
            Event::UserDeleted(user) => {
                assert!(self.users.remove(&user.id).is_some(), "it was there");
                self.members.retain(|(_, member)| *member != user.id);
            }
            Event::GroupCreated(group) => {
                self.groups.insert(group.id, group.clone());
            }
            Event::GroupUpdated(update) => {
                assert!(self.groups.insert(update.group.id, update.group.clone()).is_some());
            }
            Event::GroupDeleted(group) => {
                assert!(self.groups.remove(&group.id).is_some(), "it was there");
                self.members.retain(|(of, _)| *of != group.id);
            }
            Event::GroupUserAdded(joined) => {
                let pair = (joined.group.id, joined.user.id);
                assert!(self.users.contains_key(&joined.user.id), "it is there");
                assert!(self.members.insert(pair), "it was no member");
            }
            Event::GroupUserRemoved(left) => {
                assert!(self.members.remove(&(left.group.id, left.user.id)), "it was a member");
            }
            Event::InactiveUserChanged(_)
            | Event::GroupPendingMemberAdded(_)
            | Event::GroupPendingMemberRemoved(_) => {}
            other @ (Event::Activated(_)
            | Event::Deleted(_)
            | Event::TokenCreated(_)
            | Event::TokenRevoked(_)) => panic!("{other:?} is not asked for"),
        }
    }

    /// What the rules in force make of the directory.
    pub(crate) fn read(facts: &Facts) -> Self {
        let directory = &facts.directory;
        let origin =
            Origin { directory_id: directory.id, organization_id: directory.organization_id };
        let mut app = Self::default();
        let mut ids = BTreeMap::new();
        for user in facts.users.values().flatten() {
            let rules = &directory.apps;
            let shown = rules.shown(&user.attributes);
            assert_eq!(user.shown.hidden, shown.hidden);
            if !shown.hidden {
                let mut user = user.clone();
                user.shown.mapped = shown.mapped;
                let is_in = |group: &&Group| facts.members_of[&group.id].contains(&user.id);
                let groups = facts.groups.values().flatten().filter(is_in);
                user.shown.roles = rules.role_mapping.roles(groups);
                ids.insert(user.id, user.user_id);
                app.users.insert(user.user_id, told(&rules.user(origin, &user)));
            }
        }
        for group in facts.groups.values().flatten() {
            app.groups.insert(group.group_id, directory_group(origin, group));
            let members = facts.members_of[&group.id].iter();
            app.members.extend(members.filter_map(|id| Some((group.group_id, *ids.get(id)?))));
        }
        app
    }
}

/// Null and absent are the same to an app.
fn told(user: &DirectoryUser) -> DirectoryUser {
    let mut user = user.clone();
    let custom = user.custom_attributes.iter();
    let custom = custom.filter(|(_, value)| **value != schemas::scim::Value::Null);
    user.custom_attributes = custom.map(|(name, value)| (name.to_owned(), value.clone())).collect();
    user
}
