//! The attributes of CloudEvents that a record carries as Kafka headers, so that consumers can route and filter
//! without reading its value (CloudEvents 1.0, Kafka protocol binding §3.2).
//!
//! They are read from the value itself and so can never say anything else than it does. Nothing in dsync reads them.

use rdkafka::message::{Header, OwnedHeaders};
use schemas::Record;
use serde::Deserialize;

/// The version of CloudEvents.
const SPEC_VERSION: &str = "1.0";

/// The ids in an event's data that say what it is about.
#[derive(Deserialize)]
struct Data<'a> {
    #[serde(borrow, default)]
    id: Option<&'a str>,
    #[serde(borrow, default)]
    user: Option<Named<'a>>,
    #[serde(borrow, default)]
    group: Option<Named<'a>>,
}

#[derive(Deserialize)]
struct Named<'a> {
    id: &'a str,
}

/// The headers of a record. A value that is no record, which only tests append, has none.
pub(super) fn of(value: &[u8]) -> OwnedHeaders {
    let Ok(record) = Record::decode(value) else { return OwnedHeaders::new() };
    let mut headers = OwnedHeaders::new_with_capacity(7);
    let subject = subject(record.data.get());
    for (key, value) in [
        ("ce_specversion", SPEC_VERSION),
        ("ce_id", &record.id.to_string()),
        ("ce_type", record.event.name()),
        ("ce_source", &format!("/directories/{}", record.directory_id)),
        ("ce_time", &record.created_at.to_string()),
        ("content-type", "application/json"),
    ] {
        headers = headers.insert(Header { key, value: Some(value) });
    }
    match subject {
        Some(subject) => headers.insert(Header { key: "ce_subject", value: Some(subject) }),
        None => headers,
    }
}

/// The user of a membership, otherwise the resource itself, otherwise the group.
fn subject(data: &str) -> Option<&str> {
    let Data { id, user, group } = serde_json::from_str(data).ok()?;
    user.map(|user| user.id).or(id).or(group.map(|group| group.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_subject_is_the_user_of_a_membership_and_otherwise_the_resource() {
        assert_eq!(subject(r#"{"id":"directory_user_1","name":"x"}"#), Some("directory_user_1"));
        let membership = r#"{"directory_id":"d","user":{"id":"u"},"group":{"id":"g"}}"#;
        assert_eq!(subject(membership), Some("u"));
        assert_eq!(subject(r#"{"group":{"id":"g"},"member":{"value":"x"}}"#), Some("g"));
        assert_eq!(subject(r#"{"inactive_users":"keep"}"#), None);
    }
}
