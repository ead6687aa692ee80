//! An event as CloudEvents 1.0 names its parts, in the binary mode of the Kafka protocol binding (§3.2): the attributes
//! are headers, and the value is the event itself. Consumers route and filter by them without reading the value.

use serde::Deserialize;

use crate::{DirectoryId, EventId, Timestamp};

/// The version of CloudEvents.
const SPEC_VERSION: &str = "1.0";

/// How events tell that they come from the installation itself.
const INSTALLATION: &str = "/operational";

/// Whose event it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A directory's.
    Directory(DirectoryId),
    /// The installation's, for its operator.
    Installation,
}

/// What the headers are made of.
#[derive(Clone, Copy, Debug)]
pub struct Attributes<'a> {
    /// The id of the event.
    pub id: EventId,
    /// Its type.
    pub kind: &'a str,
    /// Whose it is.
    pub source: Source,
    /// When it was decided.
    pub time: Option<Timestamp>,
    /// What it is about: see [`subject`].
    pub subject: Option<&'a str>,
    /// What the value is.
    pub content_type: &'a str,
}

impl Attributes<'_> {
    /// The headers, by name.
    #[must_use]
    pub fn headers(&self) -> Vec<(&'static str, String)> {
        let source = match self.source {
            Source::Directory(id) => format!("/directories/{id}"),
            Source::Installation => INSTALLATION.to_owned(),
        };
        let mut headers = vec![
            ("ce_specversion", SPEC_VERSION.to_owned()),
            ("ce_id", self.id.to_string()),
            ("ce_type", self.kind.to_owned()),
            ("ce_source", source),
            ("content-type", self.content_type.to_owned()),
        ];
        headers.extend(self.time.map(|time| ("ce_time", time.to_string())));
        headers.extend(self.subject.map(|subject| ("ce_subject", subject.to_owned())));
        headers
    }
}

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

/// What an event with this data is about: the user of a membership, otherwise the resource itself, otherwise the group.
#[must_use]
pub fn subject(data: &str) -> Option<&str> {
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

    #[test]
    fn what_is_not_known_has_no_header() {
        let attributes = Attributes {
            id: EventId::from_bits(7),
            kind: "endpoint.failing",
            source: Source::Installation,
            time: None,
            subject: None,
            content_type: "application/json",
        };
        let headers = attributes.headers();
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        let always = ["ce_specversion", "ce_id", "ce_type", "ce_source", "content-type"];
        assert_eq!(names, always);
        assert_eq!(headers[3].1, "/operational");
    }
}
