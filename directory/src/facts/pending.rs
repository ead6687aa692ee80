//! What is known of pending members: members of groups that are no users of the directory yet.

use std::collections::{BTreeMap, BTreeSet};

use schemas::ScimId;

use super::Missing;
use super::needs::missing;
use crate::resource::{Group, name_key};

/// A member that a group waits for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PendingMember {
    /// The group.
    pub group: ScimId,
    /// What names the user, as the identity provider sent it. A group has each value once.
    pub value: String,
    /// The value in the form of [`name_key`], fixed when it was added.
    pub name_key: String,
}

/// Who is pending, as far as it was gathered or decided.
///
/// A pending member is found by its group, and by its names: its value, and as a user name in any letter
/// case.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    total: usize,
    of_group: BTreeMap<ScimId, usize>,
    /// Of these names and groups everyone is known.
    names: BTreeSet<String>,
    groups: BTreeSet<ScimId>,
    /// `false` for those who are not pending any more: a look-up that trails behind must not bring
    /// them back.
    known: BTreeMap<PendingMember, bool>,
    /// The same by both of their names.
    by_name: BTreeMap<String, BTreeSet<PendingMember>>,
}

impl PendingMember {
    /// Whether a client that sends this text means this pending member.
    fn goes_by(&self, text: &str, key: &str) -> bool {
        self.value == text || self.name_key == key
    }

    /// What all pending members of a group come after.
    const fn first_of(group: ScimId) -> Self {
        Self { group, value: String::new(), name_key: String::new() }
    }
}

impl Pending {
    /// Nothing but how many pending members the directory has. If it has none, everything is known.
    #[must_use]
    pub fn with_total(total: usize) -> Self {
        Self { total, ..Self::default() }
    }

    /// Takes note of how many a group has.
    pub fn count_of(&mut self, group: ScimId, count: usize) {
        self.of_group.insert(group, count);
    }

    /// Takes note of everyone who goes by a name, in whatever group.
    pub fn all_named(&mut self, name: String, found: Vec<PendingMember>) {
        self.names.insert(name);
        found.into_iter().for_each(|member| self.note(member, true));
    }

    /// Takes note of everyone who is pending in a group.
    pub fn all_of(&mut self, group: ScimId, found: Vec<PendingMember>) {
        self.groups.insert(group);
        found.into_iter().for_each(|member| self.note(member, true));
    }

    /// How many the directory has.
    #[must_use]
    pub const fn total(&self) -> usize {
        self.total
    }

    /// How many a group has that is known.
    #[must_use]
    pub fn total_of(&self, group: ScimId) -> usize {
        self.of_group.get(&group).copied().unwrap_or_default()
    }

    /// Everyone who goes by a name, in whatever group.
    pub(crate) fn named(&self, name: &str) -> Result<Vec<&PendingMember>, Missing> {
        if !self.knows_name(name) {
            return missing(|needs| needs.pending.insert(name.to_owned()));
        }
        let key = name_key(name);
        let mut found: Vec<_> = self.filed(name).collect();
        if key != name {
            found.extend(self.filed(&key).filter(|member| member.value != name));
        }
        found.retain(|member| member.goes_by(name, &key) && self.known[*member]);
        Ok(found)
    }

    /// Everyone who is pending in a group.
    pub(crate) fn of(&self, group: ScimId) -> Result<Vec<&PendingMember>, Missing> {
        if !self.knows_group(group) {
            return missing(|needs| needs.pending_of.insert(group));
        }
        let of_group = self.known.range(PendingMember::first_of(group)..);
        let of_group = of_group.take_while(|(member, _)| member.group == group);
        Ok(of_group.filter(|(_, there)| **there).map(|(member, _)| member).collect())
    }

    pub(crate) fn is_pending(&self, group: ScimId, value: &str) -> Result<bool, Missing> {
        if !self.knows_group(group) {
            self.named(value)?;
        }
        let mut same = self.filed(value).filter(|member| self.known[*member]);
        Ok(same.any(|member| member.group == group && member.value == value))
    }

    pub(super) fn knows_name(&self, name: &str) -> bool {
        self.total == 0 || self.names.contains(name)
    }

    pub(super) fn knows_group(&self, group: ScimId) -> bool {
        self.total == 0 || self.groups.contains(&group)
    }

    pub(super) fn add(&mut self, member: PendingMember) {
        let group = member.group;
        self.note(member.clone(), false);
        if self.known.insert(member, true) == Some(false) {
            self.total += 1;
            *self.of_group.entry(group).or_default() += 1;
        }
    }

    pub(super) fn remove(&mut self, group: ScimId, value: &str) {
        let same = |member: &&PendingMember| member.group == group && member.value == value;
        let found = self.filed(value).find(same).cloned();
        let there = found.and_then(|member| self.known.get_mut(&member));
        if there.is_some_and(|there| std::mem::replace(there, false)) {
            self.total = self.total.saturating_sub(1);
            let of_group = self.of_group.entry(group).or_default();
            *of_group = of_group.saturating_sub(1);
        }
    }

    /// Nobody is pending in a group that was just created.
    pub(super) fn group_created(&mut self, group: ScimId) {
        self.all_of(group, Vec::new());
    }

    pub(super) fn group_gone(&mut self, group: ScimId) {
        self.total = self.total.saturating_sub(self.total_of(group));
        self.of_group.insert(group, 0);
        let of_group = self.known.range_mut(PendingMember::first_of(group)..);
        for (_, there) in of_group.take_while(|(member, _)| member.group == group) {
            *there = false;
        }
    }

    /// See [`super::Facts::absorb`]; `groups` are those that were known before.
    pub(super) fn absorb(&mut self, later: Self, groups: &BTreeMap<ScimId, Option<Group>>) {
        for (member, there) in later.known {
            let gone = matches!(groups.get(&member.group), Some(None));
            self.note(member, there && !gone);
        }
        for (group, count) in later.of_group {
            // Whatever changed it since has changed it here, because it knew the group.
            if !groups.contains_key(&group) {
                self.of_group.insert(group, count);
            }
        }
        self.names.extend(later.names);
        self.groups.extend(later.groups);
    }

    /// What is known already stays.
    fn note(&mut self, member: PendingMember, there: bool) {
        for name in [&member.value, &member.name_key] {
            self.by_name.entry(name.clone()).or_default().insert(member.clone());
        }
        self.known.entry(member).or_insert(there);
    }

    fn filed(&self, name: &str) -> impl Iterator<Item = &PendingMember> {
        self.by_name.get(name).into_iter().flatten()
    }
}
