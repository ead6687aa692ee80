//! Answers of the API as people read them.

use serde_json::Value;

use crate::print::Table;

/// The width of the longest event type, so that what follows lines up.
const TYPE_WIDTH: usize = "dsync.group.user_removed".len();

/// Every plain value of an object, a line each; what lies deeper under its path.
pub(super) fn pairs(object: &Value) -> String {
    let mut table = Table::of_pairs();
    collect("", object, &mut table);
    table.to_string()
}

/// A row for each item of a list, with these of its fields.
pub(super) fn table(list: &Value, columns: &[&str]) -> String {
    let mut table = Table::new(columns);
    for item in list.get("data").and_then(Value::as_array).into_iter().flatten() {
        let cell = |name: &&str| match item.get(*name) {
            Some(Value::Array(items)) => items.iter().map(plain).collect::<Vec<_>>().join(","),
            Some(value) => plain(value),
            None => String::new(),
        };
        table.row(columns.iter().map(cell).map(|cell| printable(&cell)).collect());
    }
    table.to_string()
}

fn collect(path: &str, value: &Value, table: &mut Table) {
    let text = match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                collect(&path, value, table);
            }
            return;
        }
        Value::Array(items) if items.iter().any(Value::is_object) => {
            for (number, item) in (1..).zip(items) {
                collect(&format!("{path}.{number}"), item, table);
            }
            return;
        }
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(plain).collect();
            items.join(",")
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => plain(value),
    };
    // What is not there, and the tag that only programs need, say nothing.
    if !text.is_empty() && path != "object" {
        table.row(vec![printable(path), printable(&text)]);
    }
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

/// Time, type, directory and subject of an event.
pub(super) fn event(event: &Value) -> String {
    let text = |key| event.get(key).and_then(Value::as_str).unwrap_or("-");
    let (time, kind) = (text("created_at"), text("event"));
    let directory = directory(event).unwrap_or("-");
    format!("{time}  {kind:<TYPE_WIDTH$}  {directory}  {}", subject(event))
}

/// The directory that an event is about.
pub(super) fn directory(event: &Value) -> Option<&str> {
    let data = event.get("data")?;
    let id = match data.get("directory_id") {
        Some(id) => id,
        None => data.get("id")?,
    };
    id.as_str()
}

/// Whom or what an event is about, by the name that people know.
fn subject(event: &Value) -> String {
    let Some(data) = event.get("data") else { return "-".to_owned() };
    match (data.get("user"), data.get("group")) {
        (Some(user), Some(group)) => format!("{} in {}", name(user), name(group)),
        (Some(_), None) | (None, Some(_)) | (None, None) => name(data),
    }
}

fn name(thing: &Value) -> String {
    let keys = ["username", "email", "name", "token_suffix", "id"];
    let found = keys.iter().find_map(|key| thing.get(key).and_then(Value::as_str));
    printable(found.unwrap_or("-"))
}

/// Names come from outside; a control character must not reach the terminal.
fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
