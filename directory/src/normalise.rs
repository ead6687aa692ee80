//! The directory user and group that customer apps see, made from SCIM resources.

use std::sync::Arc;

use schemas::scim::{Attributes, Value};
use schemas::wire::{DirectoryGroup, DirectoryUser, Email, GroupTag, UserState, UserTag};
use schemas::{DirectoryId, OrganizationId};

use crate::resource::{Group, User, text};

/// Whose resources they are: what every object of a directory says of its origin.
#[derive(Clone, Copy, Debug)]
pub struct Origin {
    /// The directory.
    pub directory_id: DirectoryId,
    /// Its organization.
    pub organization_id: OrganizationId,
}

/// The user as customer apps see it.
#[must_use]
pub fn directory_user(origin: Origin, user: &User) -> DirectoryUser {
    let attributes = &*user.attributes;
    let emails = emails(attributes);
    let name = attributes.get("name").and_then(Value::as_complex);
    let part = |of: &str| name.and_then(|name| text(name, of)).map(str::to_owned);
    let username = text(attributes, "userName").map(str::to_owned);
    let external_id = text(attributes, "externalId").map(str::to_owned);
    DirectoryUser {
        object: UserTag::Tag,
        id: user.user_id,
        directory_id: origin.directory_id,
        organization_id: origin.organization_id,
        idp_id: external_id.or_else(|| username.clone()).unwrap_or_default(),
        email: primary_email(&emails),
        first_name: part("givenName"),
        last_name: part("familyName"),
        name: full_name(attributes, name),
        emails,
        job_title: text(attributes, "title").map(str::to_owned),
        username,
        state: state(attributes),
        raw_attributes: Arc::clone(&user.attributes),
        custom_attributes: Attributes::default(),
        role: None,
        roles: None,
        created_at: user.created_at,
        updated_at: user.updated_at,
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
        raw_attributes: Arc::clone(&group.attributes),
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
    let value = chosen.value.as_deref()?;
    let (local, domain) = value.rsplit_once('@')?;
    let usable = !local.is_empty() && !domain.is_empty() && !value.contains(char::is_whitespace);
    usable.then(|| value.to_owned())
}

fn full_name(attributes: &Attributes, name: Option<&Attributes>) -> Option<String> {
    let formatted = name.and_then(|name| text(name, "formatted"));
    if let Some(known) = formatted.or_else(|| text(attributes, "displayName")) {
        return Some(known.to_owned());
    }
    let parts = ["givenName", "middleName", "familyName"];
    let parts: Vec<&str> = parts.iter().filter_map(|part| text(name?, part)).collect();
    (!parts.is_empty()).then(|| parts.join(" "))
}
