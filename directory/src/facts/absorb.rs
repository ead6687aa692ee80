//! Taking in what was gathered later.

use std::collections::{BTreeMap, BTreeSet};

use schemas::ScimId;

use super::{Facts, GroupsOf};
use crate::resource::{Group, User, text};

impl Facts {
    /// Takes in what was gathered later, when none, some or all of what was decided here had taken
    /// effect, and nothing else.
    ///
    /// What is known already stays: it may have been moved on by commands decided since. What is new
    /// is brought to the same point. The configuration is that of the later moment.
    pub fn absorb(&mut self, later: Self) {
        self.directory = later.directory;
        self.pending.absorb(later.pending, &self.groups);
        for (id, user) in later.users {
            self.users.entry(id).or_insert(user);
        }
        for (name, holder) in later.user_names {
            self.user_names.entry(name).or_insert(holder);
        }
        self.absorb_external_ids(later.user_external_ids);
        for (id, mut group) in later.groups {
            group.iter_mut().for_each(|group| self.groups_of.touch(group));
            self.groups.entry(id).or_insert(group);
        }
        for (id, holder) in later.group_external_ids {
            self.group_external_ids.entry(id).or_insert(holder);
        }
        for (name, holder) in later.group_names {
            self.group_names.entry(name).or_insert(holder);
        }
        for ((group, user), member) in later.memberships {
            let member = member && !is_gone(&self.groups, &self.users, group, user);
            self.memberships.entry((group, user)).or_insert(member);
        }
        for (group, mut everyone) in later.members_of {
            everyone.retain(|user| !is_gone(&self.groups, &self.users, group, *user));
            for ((_, user), member) in self.memberships.range(within(group)) {
                if *member {
                    everyone.insert(*user)
                } else {
                    everyone.remove(user)
                };
            }
            self.members_of.entry(group).or_insert(everyone);
        }
        let known = self.memberships_of(&later.groups_of);
        self.groups_of.absorb(later.groups_of, |user, groups| {
            for (group, member) in known.get(&user).into_iter().flatten() {
                if *member {
                    groups.insert(*group)
                } else {
                    groups.remove(group)
                };
            }
            groups.retain(|group| !is_gone(&self.groups, &self.users, *group, user));
        });
    }

    /// What is known of the groups of these users, gathered in one pass: there may be as many users as memberships.
    fn memberships_of(&self, users: &GroupsOf) -> BTreeMap<ScimId, Vec<(ScimId, bool)>> {
        let mut known: BTreeMap<_, Vec<_>> = BTreeMap::new();
        for ((group, user), member) in
            self.memberships.iter().filter(|((_, user), _)| users.knows(*user))
        {
            known.entry(*user).or_default().push((*group, *member));
        }
        known
    }

    /// All holders are among the users, which were taken in before.
    fn absorb_external_ids(&mut self, mut later: BTreeMap<String, BTreeSet<ScimId>>) {
        if later.is_empty() {
            return;
        }
        later.retain(|id, _| !self.user_external_ids.contains_key(id));
        for (user, known) in &self.users {
            let own = known.as_ref().and_then(|user| text(&user.attributes, "externalId"));
            if let Some(holders) = own.and_then(|own| later.get_mut(own)) {
                holders.insert(*user);
            }
        }
        for (id, mut holders) in later {
            holders.retain(|user| self.has_external_id(*user, &id));
            self.user_external_ids.insert(id, holders);
        }
    }

    fn has_external_id(&self, user: ScimId, id: &str) -> bool {
        let known = self.users.get(&user).and_then(Option::as_ref);
        known.and_then(|user| text(&user.attributes, "externalId")) == Some(id)
    }
}

/// Whether a command decided before has taken the group or the user away.
fn is_gone(
    groups: &BTreeMap<ScimId, Option<Group>>,
    users: &BTreeMap<ScimId, Option<User>>,
    group: ScimId,
    user: ScimId,
) -> bool {
    let gone = |known: Option<bool>| known == Some(false);
    gone(users.get(&user).map(Option::is_some)) || gone(groups.get(&group).map(Option::is_some))
}

/// Every membership of a group.
fn within(group: ScimId) -> std::ops::RangeInclusive<(ScimId, ScimId)> {
    (group, ScimId::from_bytes([0; 16]))..=(group, ScimId::from_bytes([0xff; 16]))
}
