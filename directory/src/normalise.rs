//! The directory user and group that customer apps see, made from SCIM resources.

use schemas::scim::{Attributes, Value};
use schemas::wire::{DirectoryGroup, DirectoryUser, Email, GroupTag, UserState, UserTag};
use schemas::{DirectoryId, Mapped, OrganizationId, Shown};

use crate::resource::{Group, User, text};

/// Whose resources they are: what every object of a directory says of its origin.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The directory.
    pub directory_id: DirectoryId,
    /// Its organization.
    pub organization_id: OrganizationId,
}

/// The user as customer apps see it: what was made of its attributes when its record was written.
#[must_use]
pub fn directory_user(origin: Origin, user: &User) -> DirectoryUser {
    let attributes = &user.attributes;
    let Shown { since, mapped, roles, hidden: _ } = &user.shown;
    let mapped = match mapped {
        Some(mapped) => Mapped::clone(mapped),
        None => by_default(attributes),
    };
    DirectoryUser {
        object: UserTag::Tag,
        id: user.user_id,
        directory_id: origin.directory_id,
        organization_id: origin.organization_id,
        idp_id: mapped.idp_id,
        email: mapped.email,
        first_name: mapped.first_name,
        last_name: mapped.last_name,
        name: mapped.name,
        emails: emails(attributes),
        job_title: mapped.job_title,
        username: mapped.username,
        state: state(attributes),
        raw_attributes: user.attributes.clone(),
        custom_attributes: mapped.custom_attributes,
        role: roles.as_ref().and_then(|roles| roles.first().cloned()),
        roles: roles.clone(),
        created_at: since.unwrap_or(user.created_at),
        updated_at: user.updated_at,
    }
}

/// What is made of attributes without an attribute map.
#[must_use]
pub fn by_default(attributes: &Attributes) -> Mapped {
    let name = attributes.get("name").and_then(Value::as_complex);
    let part = |of: &str| name.and_then(|name| text(name, of)).map(str::to_owned);
    let username = text(attributes, "userName").map(str::to_owned);
    let external_id = text(attributes, "externalId").map(str::to_owned);
    Mapped {
        idp_id: external_id.or_else(|| username.clone()).unwrap_or_default(),
        email: primary_email(&emails(attributes)),
        first_name: part("givenName"),
        last_name: part("familyName"),
        name: full_name(attributes, name),
        job_title: text(attributes, "title").map(str::to_owned),
        username,
        custom_attributes: Attributes::default(),
    }
}

/// The group as customer apps see it.
#[must_use]
pub fn directory_group(origin: Origin, group: &Group) -> DirectoryGroup {
    DirectoryGroup {
        object: GroupTag::Tag,
        id: group.group_id,
        idp_id: group.idp_id.clone(),
        directory_id: origin.directory_id,
        organization_id: origin.organization_id,
        name: text(&group.attributes, "displayName").unwrap_or_default().to_owned(),
        raw_attributes: group.attributes.clone(),
        created_at: group.created_at,
        updated_at: group.updated_at,
    }
}

/// A user of whom the identity provider says nothing is active.
#[must_use]
pub fn state(attributes: &Attributes) -> UserState {
    match attributes.get("active").and_then(Value::as_bool) {
        Some(false) => UserState::Inactive,
        Some(true) | None => UserState::Active,
    }
}

fn emails(attributes: &Attributes) -> Vec<Email> {
    let values = attributes.get("emails").and_then(Value::as_list).unwrap_or_default();
    let emails = values.iter().filter_map(Value::as_complex).map(|email| Email {
        primary: email.get("primary").and_then(Value::as_bool),
        kind: text(email, "type").map(str::to_owned),
        value: text(email, "value").map(str::to_owned),
    });
    emails.collect()
}

/// The primary address, else the first one for work, else the first for home, else the first. What
/// cannot be an address is none: apps send mail to it.
fn primary_email(emails: &[Email]) -> Option<String> {
    let of_type = |kind: &'static str| {
        move |email: &&Email| email.kind.as_deref().is_some_and(|is| is.eq_ignore_ascii_case(kind))
    };
    let chosen = (emails.iter().find(|email| email.primary == Some(true)))
        .or_else(|| emails.iter().find(of_type("work")))
        .or_else(|| emails.iter().find(of_type("home")))
        .or_else(|| emails.first())?;
    chosen.value.clone().filter(|value| is_address(value))
}

/// Whether a text can be an address at all.
pub(crate) fn is_address(text: &str) -> bool {
    let parts = text.rsplit_once('@');
    parts.is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
        && !text.contains(char::is_whitespace)
}

fn full_name(attributes: &Attributes, name: Option<&Attributes>) -> Option<String> {
    let formatted = name.and_then(|name| text(name, "formatted"));
    if let Some(known) = formatted.or_else(|| text(attributes, "displayName")) {
        return Some(known.to_owned());
    }
    composed_name(name?)
}

/// A name as it is formatted, else put together of its parts.
pub(crate) fn composed_name(name: &Attributes) -> Option<String> {
    if let Some(formatted) = text(name, "formatted") {
        return Some(formatted.to_owned());
    }
    let parts = ["givenName", "middleName", "familyName"];
    let parts: Vec<&str> = parts.iter().filter_map(|part| text(name, part)).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}
