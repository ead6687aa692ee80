//! How long a value may be by which users and groups are looked up.

use schemas::Mapped;
use schemas::scim::{Attributes, ScimError, Value};

use crate::resource::{User, text};

/// How many bytes a value may have that an index holds: far more than any identity provider sends, and so few that
/// every database takes the entry whole. That of PostgreSQL has room for 2,704 bytes, and a text may grow by half
/// when it loses its letter case.
pub const LOOKUP_BYTES_MAX: usize = 1_024;

/// What users are looked up by, beside their addresses.
const OF_USERS: [&str; 2] = ["userName", "externalId"];

/// What groups are looked up by.
const OF_GROUPS: [&str; 2] = ["externalId", "displayName"];

/// Refuses a user with such a value that is too long. What it has had all along it may keep: whoever is to be
/// disabled must not stay because of a name.
pub(super) fn refuse_user(
    before: Option<&Attributes>,
    after: &Attributes,
) -> Result<(), ScimError> {
    refuse(before, after, OF_USERS)?;
    let kept = before.map(addresses).unwrap_or_default();
    for address in addresses(after) {
        if address.len() > LOOKUP_BYTES_MAX && !kept.contains(&address) {
            return Err(too_long("\"emails.value\"", address));
        }
    }
    Ok(())
}

/// Refuses a group with such a value that is too long, unless it has had it all along.
pub(super) fn refuse_group(
    before: Option<&Attributes>,
    after: &Attributes,
) -> Result<(), ScimError> {
    refuse(before, after, OF_GROUPS)
}

/// Refuses what the attribute map has made of a user, by which apps look it up.
pub(super) fn refuse_mapped(before: Option<&User>, after: &User) -> Result<(), ScimError> {
    let Some(mapped) = after.shown.mapped.as_deref() else { return Ok(()) };
    let before = before.and_then(|before| before.shown.mapped.as_deref());
    let looked_up =
        |of: &Mapped| [("idp_id", Some(of.idp_id.clone())), ("email", of.email.clone())];
    let kept = before.map(looked_up);
    for made in looked_up(mapped) {
        let is_kept = kept.as_ref().is_some_and(|kept| kept.contains(&made));
        if let (name, Some(value)) = &made
            && value.len() > LOOKUP_BYTES_MAX
            && !is_kept
        {
            return Err(too_long(&format!("\"{name}\", as the attribute map makes it,"), value));
        }
    }
    Ok(())
}

fn refuse(
    before: Option<&Attributes>,
    after: &Attributes,
    names: [&str; 2],
) -> Result<(), ScimError> {
    for name in names {
        let kept = before.and_then(|before| text(before, name));
        match text(after, name) {
            Some(value) if value.len() > LOOKUP_BYTES_MAX && kept != Some(value) => {
                return Err(too_long(&format!("\"{name}\""), value));
            }
            Some(_) | None => {}
        }
    }
    Ok(())
}

fn addresses(attributes: &Attributes) -> Vec<&str> {
    let emails = attributes.get("emails").and_then(Value::as_list).unwrap_or_default();
    emails.iter().filter_map(|email| text(email.as_complex()?, "value")).collect()
}

fn too_long(what: &str, value: &str) -> ScimError {
    ScimError::invalid_value(format!(
        "{what} has {} bytes, and what resources are looked up by has at most {LOOKUP_BYTES_MAX}. \
         Send a shorter one.",
        value.len()
    ))
}
