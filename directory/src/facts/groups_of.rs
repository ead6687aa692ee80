//! In which groups a user is: who is deleted leaves them, which gives each a new version.

use std::collections::{BTreeMap, BTreeSet};

use schemas::{ScimId, Seq, Timestamp};

use super::Missing;
use super::needs::missing;
use crate::resource::Group;

/// The groups of users, as far as they were gathered or decided.
#[derive(Clone, Debug, Default)]
pub struct GroupsOf {
    known: BTreeMap<ScimId, BTreeSet<ScimId>>,
    /// Groups that lost a member with a user who was deleted, and where and when that was last. A group
    /// that is gathered later may be from before that.
    touched: BTreeMap<ScimId, (Seq, Timestamp)>,
}

impl GroupsOf {
    /// Takes note of all groups of a user.
    pub fn all_of(&mut self, user: ScimId, groups: BTreeSet<ScimId>) {
        self.known.insert(user, groups);
    }

    /// The groups of a user, if they are known.
    #[must_use]
    pub fn get(&self, user: ScimId) -> Option<&BTreeSet<ScimId>> {
        self.known.get(&user)
    }

    pub(crate) fn knows(&self, user: ScimId) -> bool {
        self.known.contains_key(&user)
    }

    pub(crate) fn of(&self, user: ScimId) -> Result<&BTreeSet<ScimId>, Missing> {
        match self.known.get(&user) {
            Some(groups) => Ok(groups),
            None => missing(|needs| needs.groups_of.insert(user)),
        }
    }

    pub(super) fn user_created(&mut self, user: ScimId) {
        self.known.insert(user, BTreeSet::new());
    }

    /// The groups that the user leaves.
    pub(super) fn user_gone(
        &mut self,
        user: ScimId,
        version: Seq,
        at: Timestamp,
    ) -> BTreeSet<ScimId> {
        let groups = self.known.insert(user, BTreeSet::new()).unwrap_or_default();
        self.touched.extend(groups.iter().map(|group| (*group, (version, at))));
        groups
    }

    pub(super) fn put(&mut self, group: ScimId, user: ScimId, member: bool) {
        if let Some(groups) = self.known.get_mut(&user) {
            if member {
                groups.insert(group)
            } else {
                groups.remove(&group)
            };
        }
    }

    pub(super) fn group_gone(&mut self, group: ScimId) {
        for groups in self.known.values_mut() {
            groups.remove(&group);
        }
    }

    /// Brings a group that was gathered to the point of what was decided before.
    pub(super) fn touch(&self, group: &mut Group) {
        if let Some((version, at)) = self.touched.get(&group.id)
            && *version > group.version
        {
            (group.version, group.modified_at) = (*version, *at);
        }
    }

    /// Takes in what was gathered later, after it was brought to the point of what was decided before.
    pub(super) fn absorb(&mut self, later: Self, mend: impl Fn(ScimId, &mut BTreeSet<ScimId>)) {
        for (user, mut groups) in later.known {
            self.known.entry(user).or_insert_with(|| {
                mend(user, &mut groups);
                groups
            });
        }
    }
}
