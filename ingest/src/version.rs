//! Versions of resources as entity tags, RFC 7644 §3.14.
//!
//! A version is the place of the resource's last change in the stream. What is derived from other
//! resources, such as the groups of a user, does not change it: the tags are weak ones.

use axum::http::HeaderMap;
use axum::http::header::{HeaderName, IF_MATCH, IF_NONE_MATCH};
use directory::Command;
use schemas::Seq;

/// The tag of a version.
pub(crate) fn tag(version: Seq) -> String {
    format!("W/\"{version}\"")
}

/// What a request says of versions: nothing, nearly always.
pub(crate) fn conditions(headers: &HeaderMap) -> HeaderMap {
    let mut conditions = HeaderMap::new();
    for name in [IF_MATCH, IF_NONE_MATCH] {
        for value in headers.get_all(&name) {
            conditions.append(name.clone(), value.clone());
        }
    }
    conditions
}

/// The command, to be carried out only on a version that `If-Match` names. `*` names any.
pub(crate) fn conditional(headers: &HeaderMap, command: Command) -> Command {
    named(headers, &IF_MATCH, command)
}

/// The command, to be carried out only on the version of a bulk operation, if it has one.
pub(crate) fn conditional_on(version: Option<&str>, command: Command) -> Command {
    let Some(version) = version else { return command };
    only_on(version, command)
}

/// Whether the client has this version already (`If-None-Match`).
pub(crate) fn is_known(headers: &HeaderMap, version: Seq) -> bool {
    let tags = headers.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    tags.flat_map(|list| list.split(',')).any(|tag| tag.trim() == "*" || read(tag) == Some(version))
}

fn named(headers: &HeaderMap, name: &HeaderName, command: Command) -> Command {
    let tags: Vec<&str> =
        headers.get_all(name).iter().filter_map(|value| value.to_str().ok()).collect();
    if tags.is_empty() { command } else { only_on(&tags.join(","), command) }
}

fn only_on(tags: &str, command: Command) -> Command {
    if tags.split(',').any(|tag| tag.trim() == "*") {
        return command;
    }
    // What is no tag of ours is no version of anything.
    let versions = tags.split(',').filter_map(read).collect();
    Command::Conditional { versions, then: Box::new(command) }
}

/// Weak or strong: clients send back either.
fn read(tag: &str) -> Option<Seq> {
    let tag = tag.trim();
    let tag = tag.strip_prefix("W/").unwrap_or(tag);
    tag.strip_prefix('"')?.strip_suffix('"')?.parse().ok().map(Seq)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use schemas::ScimId;

    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, HeaderValue::from_static(value))])
    }

    fn versions(command: Command) -> Option<Vec<Seq>> {
        if let Command::Conditional { versions, .. } = command { Some(versions) } else { None }
    }

    #[test]
    fn a_command_is_bound_to_the_versions_that_are_named() {
        let delete = || Command::DeleteUser { id: ScimId::from_bits(1) };
        let of = |value| versions(conditional(&headers(IF_MATCH, value), delete()));
        assert_eq!(of("W/\"7\""), Some(vec![Seq(7)]));
        assert_eq!(of("\"7\", W/\"8\""), Some(vec![Seq(7), Seq(8)]));
        assert_eq!(of("nonsense"), Some(Vec::new()), "it matches nothing");
        assert_eq!(of("*"), None);
        assert_eq!(versions(conditional(&HeaderMap::new(), delete())), None);
    }

    #[test]
    fn a_version_that_the_client_has_is_known() {
        let knows = |value| is_known(&headers(IF_NONE_MATCH, value), Seq(7));
        assert!(knows("W/\"7\"") && knows("\"7\"") && knows("W/\"6\", W/\"7\"") && knows("*"));
        assert!(!knows("W/\"8\"") && !knows("7"));
    }
}
