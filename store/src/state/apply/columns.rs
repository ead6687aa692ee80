//! What users and groups are found by, read out of their attributes.

use std::borrow::Cow;
use std::collections::BTreeSet;

use directory::resource::text;
use rusqlite::{Connection, params};
use schemas::scim::{Attributes, Value};

use crate::error::{DbError, unreadable};
use schemas::{Shown, StoredAttributes};

/// What users and groups are found by, and whether a user is active; read out of the attributes, which
/// are kept as the text they are.
pub(crate) fn columns_of(attributes: &StoredAttributes) -> Result<Cow<'_, Attributes>, DbError> {
    let names = ["externalId", "displayName", "active", "emails"];
    attributes.pick(&names).map_err(unreadable("attributes"))
}

pub(crate) fn is_active(attributes: &Attributes) -> bool {
    attributes.get("active").and_then(Value::as_bool) != Some(false)
}

/// The address that apps are shown, folded for look-ups: as [`directory::normalise`] chooses it.
pub(crate) fn email_key(attributes: &Attributes) -> Option<String> {
    let emails = attributes.get("emails")?.as_list()?;
    let emails: Vec<&Attributes> = emails.iter().filter_map(Value::as_complex).collect();
    let is_primary =
        |email: &Attributes| email.get("primary").and_then(Value::as_bool) == Some(true);
    let is_of = |email: &Attributes, kind: &str| {
        text(email, "type").is_some_and(|is| is.eq_ignore_ascii_case(kind))
    };
    let chosen = (emails.iter().find(|email| is_primary(email)))
        .or_else(|| emails.iter().find(|email| is_of(email, "work")))
        .or_else(|| emails.iter().find(|email| is_of(email, "home")))
        .or_else(|| emails.first())?;
    let address = text(chosen, "value")?;
    let (local, domain) = address.rsplit_once('@')?;
    let usable = !local.is_empty() && !domain.is_empty() && !address.contains(char::is_whitespace);
    usable.then(|| address.to_lowercase())
}

/// What is kept of [`Shown`]: the text that it is in the record, and what users are looked up by, the address folded.
pub(crate) struct ShownColumns {
    pub(crate) hidden: bool,
    pub(crate) mapped_email: Option<String>,
    pub(crate) mapped_idp_id: Option<String>,
    pub(crate) json: Option<String>,
}

/// The columns of what apps are shown. None is written where the attributes say it.
pub(crate) fn shown_columns(shown: &Shown) -> Result<ShownColumns, DbError> {
    let json = (!shown.is_default()).then(|| serde_json::to_string(shown)).transpose();
    let mapped = shown.mapped.as_ref();
    let email = mapped.and_then(|mapped| mapped.email.as_deref());
    Ok(ShownColumns {
        hidden: shown.hidden,
        mapped_email: email.map(str::to_lowercase),
        mapped_idp_id: mapped.map(|mapped| mapped.idp_id.clone()),
        json: json.map_err(unreadable("what apps are shown"))?,
    })
}

/// The other addresses, folded for look-ups.
pub(crate) fn other_emails(attributes: &Attributes, email: Option<&str>) -> BTreeSet<String> {
    let emails = attributes.get("emails").and_then(Value::as_list).unwrap_or_default();
    let values = emails.iter().filter_map(|one| one.as_complex()?.get("value")?.as_str());
    values.map(str::to_lowercase).filter(|value| Some(value.as_str()) != email).collect()
}

pub(crate) fn insert_other_emails(
    connection: &Connection,
    directory: i64,
    user: i64,
    emails: &BTreeSet<String>,
) -> Result<(), DbError> {
    for email in emails {
        connection
            .prepare_cached("INSERT INTO emails (directory, value, user_key) VALUES (?1, ?2, ?3)")?
            .execute(params![directory, email, user])?;
    }
    Ok(())
}
