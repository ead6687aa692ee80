//! Users: create, replace, patch, delete.

use schemas::scim::{Attributes, Path, ScimError, SharedAttributes, USER, Value};
use schemas::wire::{InactiveUser, InactiveUserChange, UpdatedUser};
use schemas::{Change, Event, ScimId, Shown, UserId};

use super::{Answer, Commit, Undecided, lookup, members, pending, roles};
use crate::diff::previous_user;
use crate::facts::{Asking, Missing};
use crate::patch::{self, Op, Operation};
use crate::resource::{User, name_key, schemas_as_before, text};
use crate::{Rejection, facts::Facts};

pub(super) fn create(
    commit: &mut Commit<'_, '_>,
    attributes: &SharedAttributes,
) -> Result<Answer, Undecided> {
    let attributes = with_defaults(attributes.clone());
    lookup::refuse_user(None, &attributes)?;
    let name_key = free_name(commit.facts, &attributes, None)?;
    let user = User {
        id: commit.stamp.resource_id(),
        user_id: UserId::from_bits(commit.stamp.id()),
        name_key,
        attributes,
        shown: Shown::default(),
        created_at: commit.stamp.at,
        updated_at: commit.stamp.at,
        version: commit.facts.tail.next(),
    };
    let user = tell(commit, None, user)?;
    lookup::refuse_mapped(None, &user)?;
    pending::join(commit, None, &user)?;
    Ok(Answer::User(user))
}

pub(super) fn replace(
    commit: &mut Commit<'_, '_>,
    id: ScimId,
    attributes: &SharedAttributes,
) -> Result<Answer, Undecided> {
    let before = existing(commit.facts, id)?;
    let mut attributes = attributes.clone();
    if is_disabled(&before.attributes) && !attributes.contains("active") {
        // What is left out may be cleared, take its default or stay (RFC 7644 §3.5.1). Whoever was shut out must not
        // come back because somebody said nothing of it.
        attributes.to_mut().insert("active", Value::Bool(false));
    }
    update(commit, &before, with_defaults(attributes))
}

pub(super) fn patch(
    commit: &mut Commit<'_, '_>,
    id: ScimId,
    operations: &[Operation],
) -> Result<Answer, Undecided> {
    let before = existing(commit.facts, id)?;
    let mut attributes = Attributes::clone(&before.attributes);
    commit.applied = patch::apply(
        &mut attributes,
        &USER,
        operations,
        commit.facts.directory.scim.value_path_no_match,
    )?;
    if is_disabled(&before.attributes)
        && !attributes.contains("active")
        && !operations.iter().any(removes_active)
    {
        // Absent means active: whoever was shut out must not come back by a value that says nothing.
        let detail = "The user is disabled, and \"active\" cannot be cleared; send true to enable the user again.";
        return Err(Rejection::from(ScimError::invalid_value(detail)).into());
    }
    update(commit, &before, attributes.into())
}

/// To remove `active` by name is to ask for its default (RFC 7644 §3.5.2.2). With a value, it is that value that goes.
fn removes_active(operation: &Operation) -> bool {
    let path = match &operation.path {
        Some(Path::Attribute(path)) => path,
        Some(Path::Element { .. } | Path::Extension(_)) | None => return false,
    };
    operation.op == Op::Remove
        && operation.value.is_none()
        && path.attribute.eq_ignore_ascii_case("active")
}

fn is_disabled(attributes: &Attributes) -> bool {
    attributes.get("active").and_then(Value::as_bool) == Some(false)
}

pub(super) fn delete(commit: &mut Commit<'_, '_>, id: ScimId) -> Result<Answer, Undecided> {
    let user = existing(commit.facts, id)?;
    // They get a new version with it, by which the next command may go.
    commit.facts.groups_of.of(id)?;
    let event = if user.shown.hidden {
        Event::InactiveUserChanged(inactive(commit, &user, InactiveUserChange::Deleted))
    } else {
        Event::UserDeleted(commit.shown(&user))
    };
    commit.push(event, Change::UserGone { id });
    Ok(Answer::Gone)
}

/// Tells apps what the rules in force make of users, where that is not what they were told. Doing it
/// again tells them nothing more, and neither does a request that was decided in between: each is told
/// with the difference to what was told before.
pub(super) fn refresh(commit: &mut Commit<'_, '_>, ids: &[ScimId]) -> Result<Answer, Undecided> {
    let mut asking = Asking::default();
    let mut changed = Vec::new();
    for id in ids {
        let Some(Some(user)) = asking.note(commit.facts.user(*id)) else { continue };
        if let Some(after) = asking.note(refreshed(commit, user)).flatten() {
            if user.shown.hidden && !after.shown.hidden {
                asking.note(commit.facts.groups_of.of(*id));
            }
            changed.push((user, after));
        }
    }
    asking.done()?;
    for (before, after) in changed {
        tell(commit, Some(before), after)?;
    }
    Ok(Answer::Nothing)
}

/// The user as the rules in force have it, if apps see a difference.
fn refreshed(commit: &Commit<'_, '_>, before: &User) -> Result<Option<User>, Missing> {
    let mut after = before.clone();
    after.shown = shown(commit, Some(before), &before.attributes)?;
    let differs = match (before.shown.hidden, after.shown.hidden) {
        (true, true) => false,
        (true, false) | (false, true) => true,
        (false, false) => {
            let told = commit.shown(before);
            !previous_user(&told, &commit.shown(&after)).is_empty()
        }
    };
    after.updated_at = commit.stamp.at;
    Ok(differs.then_some(after))
}

fn update(
    commit: &mut Commit<'_, '_>,
    before: &User,
    mut attributes: SharedAttributes,
) -> Result<Answer, Undecided> {
    if let Some(schemas) = schemas_as_before(&before.attributes, &attributes) {
        attributes.to_mut().insert("schemas", schemas);
    }
    if attributes == before.attributes {
        return Ok(Answer::User(before.clone()));
    }
    lookup::refuse_user(Some(&before.attributes), &attributes)?;
    let name_key = free_name(commit.facts, &attributes, Some(before.id))?;
    let updated_at = commit.stamp.at;
    let after = User { name_key, attributes, updated_at, ..before.clone() };
    let after = tell(commit, Some(before), after)?;
    lookup::refuse_mapped(Some(before), &after)?;
    pending::join(commit, Some(before), &after)?;
    Ok(Answer::User(after))
}

/// Tells apps what a user has become, and keeps with it what they were told. `before` is what it was.
fn tell(
    commit: &mut Commit<'_, '_>,
    before: Option<&User>,
    mut after: User,
) -> Result<User, Undecided> {
    after.shown = shown(commit, before, &after.attributes)?;
    let seen = before.filter(|before| !before.shown.hidden);
    let event = match (seen, after.shown.hidden) {
        (Some(before), false) => {
            let user = commit.shown(&after);
            let previous_attributes = previous_user(&commit.shown(before), &user);
            Event::UserUpdated(UpdatedUser { user, previous_attributes })
        }
        (Some(_), true) => Event::UserDeleted(commit.shown(&after)),
        (None, true) => {
            let created = before.is_none();
            let what =
                if created { InactiveUserChange::Created } else { InactiveUserChange::Updated };
            Event::InactiveUserChanged(inactive(commit, &after, what))
        }
        (None, false) => {
            if before.is_some() {
                // For apps the one who was deleted does not come back; this is somebody new.
                after.user_id = UserId::from_bits(commit.stamp.id());
            }
            Event::UserCreated(commit.shown(&after))
        }
    };
    if after.shown.hidden {
        // It was in the last word about the user, and nobody is shown it any more.
        (after.shown.mapped, after.shown.roles) = (None, None);
    }
    let returns = before.is_some_and(|before| before.shown.hidden && !after.shown.hidden);
    commit.push(event, change(&after));
    if returns {
        rejoin(commit, &after)?;
    }
    Ok(after)
}

/// What apps are to be shown of a user who had been `before`.
fn shown(
    commit: &Commit<'_, '_>,
    before: Option<&User>,
    attributes: &Attributes,
) -> Result<Shown, Missing> {
    let rules = &commit.facts.directory.apps;
    let mut shown = rules.shown(attributes);
    shown.roles = match before {
        // Who is hidden has none, and keeps them in the last word about it.
        Some(before) if shown.hidden => before.shown.roles.clone(),
        Some(before) => roles::of_user(commit.facts, before.id)?,
        None => rules.role_mapping.roles([]),
    };
    shown.since = match before {
        Some(before) if before.shown.hidden && !shown.hidden => Some(commit.stamp.at),
        Some(before) => before.shown.since,
        None => None,
    };
    Ok(shown)
}

/// Tells apps of the groups that a user has been in all along.
fn rejoin(commit: &mut Commit<'_, '_>, user: &User) -> Result<(), Undecided> {
    let facts = commit.facts;
    let mut asking = Asking::default();
    let mut groups = Vec::new();
    for id in facts.groups_of.of(user.id)? {
        groups.extend(asking.note(facts.group(*id)).flatten());
    }
    asking.done()?;
    for group in groups {
        let wire = commit.shown_group(group);
        members::push(commit, group.id, &wire, user, true);
    }
    Ok(())
}

pub(super) fn inactive(
    commit: &Commit<'_, '_>,
    user: &User,
    change: InactiveUserChange,
) -> InactiveUser {
    InactiveUser {
        directory_id: commit.origin().directory_id,
        scim_id: user.id,
        username: text(&user.attributes, "userName").map(str::to_owned),
        change,
        group: None,
    }
}

fn existing(facts: &Facts, id: ScimId) -> Result<User, Undecided> {
    Ok(facts.user(id)?.cloned().ok_or(Rejection::NoSuchUser(id))?)
}

/// The name in the form that is compared, if nobody but `own` has it.
fn free_name(
    facts: &Facts,
    attributes: &Attributes,
    own: Option<ScimId>,
) -> Result<String, Undecided> {
    let name = text(attributes, "userName").unwrap_or_default();
    let key = name_key(name);
    match facts.user_named(&key)? {
        Some(holder) if Some(holder) != own => {
            Err(Rejection::UserNameTaken(name.to_owned()).into())
        }
        Some(_) | None => Ok(key),
    }
}

/// A user is active unless the identity provider says otherwise, and the answer shows it. Only a PATCH that
/// removes `active` leaves it unassigned, which means the same.
fn with_defaults(mut attributes: SharedAttributes) -> SharedAttributes {
    if !attributes.contains("active") {
        attributes.to_mut().insert("active", Value::Bool(true));
    }
    attributes
}

pub(super) fn change(user: &User) -> Change {
    Change::User {
        id: user.id,
        user_id: user.user_id,
        name_key: user.name_key.clone(),
        created_at: user.created_at,
        attributes: user.attributes.clone(),
        shown: user.shown.clone(),
    }
}
