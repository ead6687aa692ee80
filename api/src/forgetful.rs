//! Clients that leave the filter out when they ask for the second page of users or groups: version 5 of the SDK
//! for Python does. What the list is of then has to come from the cursor.
//!
//! Whoever a cursor points at is in one directory; but they may be gone by then, and for a list of a group the
//! directory is not enough: going on with all of it would show an app people as members who are none. So such a
//! client, and no other, gets cursors that name what the list is limited to behind the id:
//! `directory_user_….directory_group_…`.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use schemas::id::Kind;
use schemas::{DirectoryId, Id};

use crate::page::{Metadata, Query};

/// What parts the id of a cursor and what is behind it. It is in no id, and needs no escape in a URL.
const SEPARATOR: char = '.';

/// The last version of the SDK that forgets.
const LAST_FORGETFUL: u32 = 5;

/// Whether the caller forgets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forgetful(bool);

impl<S: Sync> FromRequestParts<S> for Forgetful {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let agent = parts.headers.get(USER_AGENT).and_then(|agent| agent.to_str().ok());
        Ok(Self(agent.is_some_and(is_forgetful)))
    }
}

/// `WorkOS Python/3.11.7 Python SDK/5.46.0`.
fn is_forgetful(agent: &str) -> bool {
    let version =
        agent.split_once("Python SDK/").and_then(|(_, version)| version.split('.').next());
    let version: Option<u32> = version.and_then(|major| major.parse().ok());
    version.is_some_and(|major| major <= LAST_FORGETFUL)
}

impl Forgetful {
    /// The cursors of a list, with what it is limited to behind the id.
    pub(crate) fn cursors<K: Kind>(
        self,
        Metadata { before, after }: Metadata<Id<K>>,
        limit: Option<String>,
    ) -> Metadata<String> {
        let show = |id: Id<K>| match limit.as_ref().filter(|_| self.0) {
            Some(limit) => format!("{id}{SEPARATOR}{limit}"),
            None => id.to_string(),
        };
        Metadata { before: before.map(show), after: after.map(show) }
    }
}

/// What a list was limited to when its cursor was made.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Behind {
    pub(crate) directory: Option<DirectoryId>,
    /// The group, of a list of users; the user, of a list of groups.
    pub(crate) other: Option<String>,
}

/// Leaves the id in the cursors, and answers with what was behind it.
pub(crate) fn behind(query: &mut Query) -> Behind {
    let mut cut = |name| query.cut(name, SEPARATOR);
    let Some(text) = cut("after").or_else(|| cut("before")) else { return Behind::default() };
    match text.parse() {
        Ok(directory) => Behind { directory: Some(directory), other: None },
        Err(_) => Behind { directory: None, other: Some(text) },
    }
}

#[cfg(test)]
mod tests {
    use schemas::{GroupId, UserId};

    use super::*;

    #[test]
    fn the_old_sdk_for_python_forgets_and_nobody_else() {
        assert!(is_forgetful("WorkOS Python/3.11.7 Python SDK/5.46.0"));
        assert!(is_forgetful("WorkOS Python/3.8.1 Python SDK/4.9.0"));
        for other in
            ["WorkOS Python/3.11.7 Python SDK/10.8.0", "workos-node/8.13.0", "curl/8.0", ""]
        {
            assert!(!is_forgetful(other), "{other}");
        }
    }

    #[test]
    fn a_cursor_carries_what_the_list_is_limited_to_there_and_back() {
        let user = UserId::from_bits(7);
        let cursor = |limit| {
            let end = Metadata { before: None, after: Some(user) };
            Forgetful(true).cursors(end, limit).after.unwrap()
        };
        assert_eq!(cursor(None), user.to_string());
        let (group, directory) = (GroupId::from_bits(8), DirectoryId::from_bits(9));
        for (limit, directory, other) in [
            (group.to_string(), None, Some(group.to_string())),
            (directory.to_string(), Some(directory), None),
        ] {
            let mut query = Query::parse(&format!("after={}&limit=10", cursor(Some(limit))));
            assert_eq!(behind(&mut query), Behind { directory, other });
            assert_eq!(query.one("after"), Some(user.to_string().as_str()));
            assert_eq!(behind(&mut query), Behind::default());
        }
    }

    #[test]
    fn who_remembers_gets_plain_ids() {
        let (user, group) = (UserId::from_bits(7), GroupId::from_bits(8));
        let plain = Metadata { before: Some(user), after: None };
        let cursors = Forgetful(false).cursors(plain, Some(group.to_string()));
        assert_eq!((cursors.before, cursors.after), (Some(user.to_string()), None));
    }
}
