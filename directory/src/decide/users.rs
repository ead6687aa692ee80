//! Users: create, replace, patch, delete.

use std::sync::Arc;

use schemas::scim::{Attributes, Path, ScimError, USER, Value};
use schemas::wire::UpdatedUser;
use schemas::{Change, Event, ScimId, UserId};

use super::{Answer, Commit, Undecided, pending};
use crate::diff::previous_user;
use crate::normalise::directory_user;
use crate::patch::{self, Op, Operation};
use crate::resource::{User, name_key, text};
use crate::{Rejection, facts::Facts};

pub(super) fn create(
    commit: &mut Commit<'_, '_>,
    attributes: &Arc<Attributes>,
) -> Result<Answer, Undecided> {
    let attributes = with_defaults(Arc::clone(attributes));
    let name_key = free_name(commit.facts, &attributes, None)?;
    let user = User {
        id: commit.stamp.resource_id(),
        user_id: UserId::from_bits(commit.stamp.id()),
        name_key,
        attributes,
        created_at: commit.stamp.at,
        updated_at: commit.stamp.at,
        version: commit.facts.tail.next(),
    };
    let event = Event::UserCreated(directory_user(commit.origin(), &user));
    commit.push(event, change(&user));
    pending::join(commit, None, &user)?;
    Ok(Answer::User(user))
}

pub(super) fn replace(
    commit: &mut Commit<'_, '_>,
    id: ScimId,
    attributes: &Arc<Attributes>,
) -> Result<Answer, Undecided> {
    let before = existing(commit.facts, id)?;
    update(commit, &before, with_defaults(Arc::clone(attributes)))
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
    update(commit, &before, Arc::new(attributes))
}

/// To remove `active` by name is to ask for its default (RFC 7644 §3.5.2.2).
fn removes_active(operation: &Operation) -> bool {
    let path = match &operation.path {
        Some(Path::Attribute(path)) => path,
        Some(Path::Element { .. } | Path::Extension(_)) | None => return false,
    };
    operation.op == Op::Remove && path.attribute.eq_ignore_ascii_case("active")
}

fn is_disabled(attributes: &Attributes) -> bool {
    attributes.get("active").and_then(Value::as_bool) == Some(false)
}

pub(super) fn delete(commit: &mut Commit<'_, '_>, id: ScimId) -> Result<Answer, Undecided> {
    let user = existing(commit.facts, id)?;
    // They get a new version with it, by which the next command may go.
    commit.facts.groups_of.of(id)?;
    let event = Event::UserDeleted(directory_user(commit.origin(), &user));
    commit.push(event, Change::UserGone { id });
    Ok(Answer::Gone)
}

fn update(
    commit: &mut Commit<'_, '_>,
    before: &User,
    attributes: Arc<Attributes>,
) -> Result<Answer, Undecided> {
    if attributes == before.attributes {
        return Ok(Answer::User(before.clone()));
    }
    let name_key = free_name(commit.facts, &attributes, Some(before.id))?;
    let updated_at = commit.stamp.at;
    let after = User { name_key, attributes, updated_at, ..before.clone() };

    let origin = commit.origin();
    let (old, user) = (directory_user(origin, before), directory_user(origin, &after));
    let previous_attributes = previous_user(&old, &user);
    commit.push(Event::UserUpdated(UpdatedUser { user, previous_attributes }), change(&after));
    pending::join(commit, Some(before), &after)?;
    Ok(Answer::User(after))
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
fn with_defaults(mut attributes: Arc<Attributes>) -> Arc<Attributes> {
    if !attributes.contains("active") {
        Arc::make_mut(&mut attributes).insert("active", Value::Bool(true));
    }
    attributes
}

fn change(user: &User) -> Change {
    Change::User {
        id: user.id,
        user_id: user.user_id,
        name_key: user.name_key.clone(),
        created_at: user.created_at,
        attributes: Arc::clone(&user.attributes),
    }
}
