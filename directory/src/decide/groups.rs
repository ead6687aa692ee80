//! Groups: create, replace, patch, delete. Who is in them is decided in [`super::members`].

use schemas::scim::{Attributes, GROUP, SharedAttributes};
use schemas::wire::UpdatedGroup;
use schemas::{Change, Event, GroupId, ScimId};

use super::{Answer, Commit, Undecided, lookup, members};
use crate::Rejection;
use crate::diff::previous_group;
use crate::facts::Facts;
use crate::patch::{self, MemberOp, Operation};
use crate::resource::{Group, name_key, schemas_as_before, text};

pub(super) fn create(
    commit: &mut Commit<'_, '_>,
    attributes: &Attributes,
    member_ids: &[String],
) -> Result<Answer, Undecided> {
    lookup::refuse_group(None, attributes)?;
    free_identity(commit.facts, attributes, None)?;
    let name = text(attributes, "displayName").unwrap_or_default();
    let at = commit.stamp.at;
    let group = Group {
        id: commit.stamp.resource_id(),
        group_id: GroupId::from_bits(commit.stamp.id()),
        idp_id: text(attributes, "externalId").unwrap_or(name).to_owned(),
        name_key: name_key(name),
        attributes: attributes.clone().into(),
        created_at: at,
        updated_at: at,
        modified_at: at,
        version: commit.facts.tail.next(),
    };
    let event = Event::GroupCreated(commit.shown_group(&group));
    commit.push(event, change(&group));
    members::fill(commit, &group, member_ids)?;
    Ok(Answer::Group(group))
}

pub(super) fn replace(
    commit: &mut Commit<'_, '_>,
    id: ScimId,
    attributes: &Attributes,
    members: MemberOp,
) -> Result<Answer, Undecided> {
    let before = existing(commit.facts, id)?;
    let after = update(commit, &before, attributes.clone())?;
    members::change(commit, &after, &[members])?;
    Ok(Answer::Group(after))
}

pub(super) fn patch(
    commit: &mut Commit<'_, '_>,
    id: ScimId,
    operations: &[Operation],
    member_ops: &[MemberOp],
) -> Result<Answer, Undecided> {
    let before = existing(commit.facts, id)?;
    let mut attributes = Attributes::clone(&before.attributes);
    commit.applied = patch::apply(
        &mut attributes,
        &GROUP,
        operations,
        commit.facts.directory.scim.value_path_no_match,
    )?;
    let after = update(commit, &before, attributes)?;
    members::change(commit, &after, member_ops)?;
    Ok(Answer::Group(after))
}

pub(super) fn delete(commit: &mut Commit<'_, '_>, id: ScimId) -> Result<Answer, Undecided> {
    let group = existing(commit.facts, id)?;
    let event = Event::GroupDeleted(commit.shown_group(&group));
    commit.push(event, Change::GroupGone { id });
    Ok(Answer::Gone)
}

fn update(
    commit: &mut Commit<'_, '_>,
    before: &Group,
    mut attributes: Attributes,
) -> Result<Group, Undecided> {
    if let Some(schemas) = schemas_as_before(&before.attributes, &attributes) {
        attributes.insert("schemas", schemas);
    }
    if attributes == *before.attributes {
        return Ok(before.clone());
    }
    lookup::refuse_group(Some(&before.attributes), &attributes)?;
    free_identity(commit.facts, &attributes, Some(before.id))?;
    let at = commit.stamp.at;
    let name_key = name_key(text(&attributes, "displayName").unwrap_or_default());
    let attributes = SharedAttributes::from(attributes);
    let after = Group { name_key, attributes, updated_at: at, modified_at: at, ..before.clone() };

    let (old, group) = (commit.shown_group(before), commit.shown_group(&after));
    let previous_attributes = previous_group(&old, &group);
    commit.push(Event::GroupUpdated(UpdatedGroup { group, previous_attributes }), change(&after));
    Ok(after)
}

fn existing(facts: &Facts, id: ScimId) -> Result<Group, Undecided> {
    Ok(facts.group(id)?.cloned().ok_or(Rejection::NoSuchGroup(id))?)
}

/// Identity providers find a group again by its `externalId`, or by its name where they send none.
/// Names of groups with an `externalId` may repeat: Entra ID allows two groups of one name.
fn free_identity(
    facts: &Facts,
    attributes: &Attributes,
    own: Option<ScimId>,
) -> Result<(), Undecided> {
    let (attribute, value, holder) = match text(attributes, "externalId") {
        Some(id) => ("externalId", id, facts.group_with_external_id(id)?),
        None => {
            let name = text(attributes, "displayName").unwrap_or_default();
            ("displayName", name, facts.group_named(&name_key(name))?)
        }
    };
    match holder {
        Some(holder) if Some(holder) != own => {
            Err(Rejection::GroupTaken { attribute, value: value.to_owned() }.into())
        }
        Some(_) | None => Ok(()),
    }
}

fn change(group: &Group) -> Change {
    Change::Group {
        id: group.id,
        group_id: group.group_id,
        idp_id: group.idp_id.clone(),
        name_key: group.name_key.clone(),
        created_at: group.created_at,
        attributes: group.attributes.clone(),
    }
}
