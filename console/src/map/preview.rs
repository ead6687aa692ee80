//! What a map would do, user by user.

use api::{AttributeMapPreview, ChangedUser};
use maud::{Markup, html};
use schemas::scim::{self, Attributes};
use serde_json::Value;

use crate::pages::users;
use crate::parts::list::{column, table};
use crate::parts::{self, empty};

/// A preview.
pub(super) fn shown(preview: &AttributeMapPreview) -> Markup {
    let AttributeMapPreview { looked_at, changed, missing: _ } = preview;
    html! {
        section.preview aria-labelledby="preview-title" {
            h2 #preview-title { "Preview" }
            @if *looked_at == 0 {
                (empty("No users yet", &html! { p { "There is nobody whom the map could change." } }))
            } @else if changed.is_empty() {
                (empty("Nobody changes", &html! { p { "Of the " (looked_at) " latest users, all stay as they are." } }))
            } @else {
                p role="status" { "Of the " (looked_at) " latest users, these change first. Nothing has been changed yet." }
                @for user in changed { (one(user)) }
            }
        }
    }
}

fn one(user: &ChangedUser) -> Markup {
    let after = serde_json::to_value(&user.after).unwrap_or_default();
    let rows = differences(&user.previous_attributes, &after);
    let rows = rows.into_iter().map(|difference| {
        [html! { code { (difference.name) } }, value(&difference.before), value(&difference.after)]
    });
    let name = users::name(&user.before);
    html! {
        div.card {
            h3 { (parts::text(name)) }
            (table(&format!("What changes for {name}"), [column("Attribute"), column("Before"), column("After")], rows))
        }
    }
}

#[derive(Debug, PartialEq)]
struct Difference {
    name: String,
    before: Value,
    after: Value,
}

/// Custom attributes one by one.
fn differences(previous: &Attributes, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    for (name, before) in previous.iter() {
        match before {
            scim::Value::Complex(parts) if name == "custom_attributes" => {
                found.extend(parts.iter().map(|(part, before)| Difference {
                    name: part.to_owned(),
                    before: json(before),
                    after: after[name][part].clone(),
                }));
            }
            scim::Value::Null
            | scim::Value::Bool(_)
            | scim::Value::Integer(_)
            | scim::Value::Decimal(_)
            | scim::Value::String(_)
            | scim::Value::List(_)
            | scim::Value::Complex(_) => found.push(Difference {
                name: name.to_owned(),
                before: json(before),
                after: after[name].clone(),
            }),
        }
    }
    found
}

fn json(value: &scim::Value) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}

fn value(value: &Value) -> Markup {
    match value {
        Value::Null => html! { span.faint { "none" } },
        Value::String(text) => parts::text(text),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            html! { code { bdi { (value) } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn custom_attributes_are_told_one_by_one() {
        let mut custom = Attributes::default();
        custom.insert("office", scim::Value::Null);
        let mut previous = Attributes::default();
        previous.insert("email", scim::Value::Null);
        previous.insert("custom_attributes", scim::Value::Complex(custom));
        let after = json!({ "email": "a@b.example", "custom_attributes": { "office": "Oslo" } });
        let difference = |name: &str, after: &str| Difference {
            name: name.to_owned(),
            before: Value::Null,
            after: after.into(),
        };
        let expected = [difference("email", "a@b.example"), difference("office", "Oslo")];
        assert_eq!(differences(&previous, &after), expected);
    }
}
