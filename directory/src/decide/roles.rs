//! Roles follow groups: whoever joins or leaves a group that gives a role is told of with the roles that it
//! has then, in the same commit.
//!
//! An app that copies users from events would have wrong roles otherwise; and a role is an attribute of the
//! user, so its change is told like any other.

use std::collections::BTreeSet;

use schemas::record::Draft;
use schemas::wire::{Role, UpdatedUser};
use schemas::{Change, Event, ScimId};

use super::members::CHANGES_MAX;
use super::{Commit, Undecided, users};
use crate::diff::previous_user;
use crate::facts::{Asking, Facts, Missing};
use crate::patch::Applied;
use crate::role_mapping::ByGroup;
use crate::{Group, Rejection, Stamp};

/// The roles that a user has by the groups that it is in.
pub(super) fn of_user(facts: &Facts, user: ScimId) -> Result<Option<Vec<Role>>, Missing> {
    let mapping = &facts.directory.apps.role_mapping;
    if mapping.is_empty() {
        return Ok(None);
    }
    given(facts, &mapping.by_group(), user)
}

fn given(facts: &Facts, mapping: &ByGroup<'_>, user: ScimId) -> Result<Option<Vec<Role>>, Missing> {
    let mut asking = Asking::default();
    let mut groups = Vec::new();
    for id in facts.groups_of.of(user)? {
        groups.extend(asking.note(facts.group(*id)).flatten());
    }
    asking.done()?;
    Ok(mapping.roles(groups))
}

/// Whose roles may be others after these drafts. All that their roles depend on is known then.
pub(super) fn affected(facts: &Facts, drafts: &[Draft]) -> Result<BTreeSet<ScimId>, Undecided> {
    let mapping = &facts.directory.apps.role_mapping;
    let mut affected = BTreeSet::new();
    if mapping.is_empty() {
        return Ok(affected);
    }
    let mapping = mapping.by_group();
    let mut asking = Asking::default();
    // A group that the drafts create is not known yet, and may give a role.
    let known = |id: &ScimId| facts.groups.get(id).and_then(Option::as_ref);
    let gives_role = |id: &ScimId| known(id).is_none_or(|group| !mapping.places(group).is_empty());
    for draft in drafts {
        let everyone_in = match &draft.change {
            Change::MemberAdded { group, user } | Change::MemberRemoved { group, user } => {
                if gives_role(group) {
                    affected.insert(*user);
                }
                None
            }
            Change::Group { id, name_key, .. } => known(id).and_then(|before| {
                let after = Group { name_key: name_key.clone(), ..before.clone() };
                (mapping.places(before) != mapping.places(&after)).then_some(id)
            }),
            Change::GroupGone { id } => Some(id).filter(|id| gives_role(id)),
            Change::User { .. }
            | Change::UserGone { .. }
            | Change::PendingMemberAdded { .. }
            | Change::PendingMemberRemoved { .. }
            | Change::DirectoryActivated
            | Change::DirectoryGone
            | Change::TokenMade { .. }
            | Change::TokenRevoked { .. } => None,
        };
        if let Some(group) = everyone_in {
            affected.extend(asking.note(facts.members(*group)).into_iter().flatten());
        }
    }
    if affected.len() > CHANGES_MAX {
        let changes = affected.len();
        return Err(Rejection::TooManyChanges { changes, limit: CHANGES_MAX }.into());
    }
    // Who is created by the drafts is in no group before, and nothing is known of it.
    let written: BTreeSet<&ScimId> = drafts.iter().filter_map(|draft| user_of(draft)).collect();
    let exists = |user: &ScimId| facts.users.get(user).is_some_and(Option::is_some);
    for user in affected.iter().filter(|user| exists(user) || !written.contains(user)) {
        asking.note(facts.user(*user));
        asking.note(given(facts, &mapping, *user));
    }
    asking.done()?;
    Ok(affected)
}

/// The user that a draft writes.
const fn user_of(draft: &Draft) -> Option<&ScimId> {
    if let Change::User { id, .. } = &draft.change { Some(id) } else { None }
}

/// Tells of those whose roles are others now; the facts are as the drafts before have left them.
pub(super) fn follow(
    facts: &Facts,
    affected: BTreeSet<ScimId>,
    stamp: &mut Stamp<'_>,
) -> Result<Vec<Draft>, Missing> {
    let mapping = facts.directory.apps.role_mapping.by_group();
    let mut commit = Commit { facts, stamp, drafts: Vec::new(), applied: Applied::default() };
    for id in affected {
        let Some(before) = facts.user(id)?.filter(|user| !user.shown.hidden) else { continue };
        let roles = given(facts, &mapping, id)?;
        if roles == before.shown.roles {
            continue;
        }
        let mut after = before.clone();
        after.shown.roles = roles;
        after.updated_at = commit.stamp.at;
        let user = commit.shown(&after);
        let previous_attributes = previous_user(&commit.shown(before), &user);
        let event = Event::UserUpdated(UpdatedUser { user, previous_attributes });
        commit.push(event, users::change(&after));
    }
    Ok(commit.drafts)
}
