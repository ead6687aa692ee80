//! `previous_attributes`: the old values of what changed.
//!
//! A shallow difference of the root properties, and of `raw_attributes` and `custom_attributes` one
//! level down. What was not there before appears as `null`, and between `null` and absent there
//! is no difference. `updated_at` always changes and is left out.

use schemas::scim::{Attributes, Value};
use schemas::wire::{DirectoryGroup, DirectoryUser, Email, Role, UserState};

/// What was different about the user before.
#[must_use]
pub fn previous_user(before: &DirectoryUser, after: &DirectoryUser) -> Attributes {
    let mut previous = Previous::default();
    previous.text("idp_id", Some(&before.idp_id), Some(&after.idp_id));
    previous.text("email", before.email.as_deref(), after.email.as_deref());
    previous.text("first_name", before.first_name.as_deref(), after.first_name.as_deref());
    previous.text("last_name", before.last_name.as_deref(), after.last_name.as_deref());
    previous.text("name", before.name.as_deref(), after.name.as_deref());
    if before.emails != after.emails {
        previous.note("emails", Value::List(before.emails.iter().map(email).collect()));
    }
    previous.text("job_title", before.job_title.as_deref(), after.job_title.as_deref());
    previous.text("username", before.username.as_deref(), after.username.as_deref());
    previous.text("state", Some(state(before.state)), Some(state(after.state)));
    previous.tree("raw_attributes", &before.raw_attributes, &after.raw_attributes);
    previous.tree("custom_attributes", &before.custom_attributes, &after.custom_attributes);
    if before.role != after.role {
        previous.note("role", before.role.as_ref().map_or(Value::Null, role));
    }
    if before.roles != after.roles {
        let roles = |roles: &Vec<Role>| Value::List(roles.iter().map(role).collect());
        previous.note("roles", before.roles.as_ref().map_or(Value::Null, roles));
    }
    previous.0
}

/// What was different about the group before.
#[must_use]
pub fn previous_group(before: &DirectoryGroup, after: &DirectoryGroup) -> Attributes {
    let mut previous = Previous::default();
    previous.text("name", Some(&before.name), Some(&after.name));
    previous.tree("raw_attributes", &before.raw_attributes, &after.raw_attributes);
    previous.0
}

#[derive(Default)]
struct Previous(Attributes);

impl Previous {
    fn note(&mut self, name: &str, old: Value) {
        self.0.insert(name, old);
    }

    fn text(&mut self, name: &str, before: Option<&str>, after: Option<&str>) {
        if before != after {
            self.note(name, before.map_or(Value::Null, |old| Value::String(old.to_owned())));
        }
    }

    fn tree(&mut self, name: &str, before: &Attributes, after: &Attributes) {
        let mut changed = Attributes::default();
        for (name, old) in before.iter() {
            if after.get(name).unwrap_or(&Value::Null) != old {
                changed.insert(name, old.clone());
            }
        }
        let new = |(name, value): &(&str, &Value)| **value != Value::Null && !before.contains(name);
        for (name, _) in after.iter().filter(new) {
            changed.insert(name, Value::Null);
        }
        if !changed.is_empty() {
            self.note(name, Value::Complex(changed));
        }
    }
}

fn email(email: &Email) -> Value {
    let mut old = Attributes::default();
    if let Some(primary) = email.primary {
        old.insert("primary", Value::Bool(primary));
    }
    if let Some(kind) = &email.kind {
        old.insert("type", Value::String(kind.clone()));
    }
    old.insert("value", email.value.clone().map_or(Value::Null, Value::String));
    Value::Complex(old)
}

fn role(role: &Role) -> Value {
    Value::Complex(Attributes::from([("slug", Value::from(role.slug.as_str()))]))
}

const fn state(state: UserState) -> &'static str {
    match state {
        UserState::Active => "active",
        UserState::Inactive => "inactive",
    }
}
