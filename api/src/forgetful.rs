//! Clients that leave the filter out when they ask for the second page of users: version 5 of the SDK for
//! Python does. What the list is of then has to come from the cursor.
//!
//! For a list of a directory the cursor is enough, because whoever it points at is in one directory. For a
//! list of a group it is not, and going on with the whole directory would show an app people as members
//! who are none. So such a client, and no other, gets cursors that name the group behind the id:
//! `directory_user_….directory_group_…`.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;
use schemas::{GroupId, UserId};

use crate::page::{Metadata, Query};

/// What parts the id of a cursor and the group behind it. It is in no id, and needs no escape in a URL.
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
    /// The cursors of a list, for one of a group with the group behind the id.
    pub(crate) fn cursors(
        self,
        Metadata { before, after }: Metadata<UserId>,
        group: Option<GroupId>,
    ) -> Metadata<String> {
        let show = |id: UserId| match group.filter(|_| self.0) {
            Some(group) => format!("{id}{SEPARATOR}{group}"),
            None => id.to_string(),
        };
        Metadata { before: before.map(show), after: after.map(show) }
    }
}

/// Leaves the id in the cursors, and answers with the group that was behind it.
pub(crate) fn group_behind(query: &mut Query) -> Option<String> {
    let mut cut = |name| query.cut(name, SEPARATOR);
    cut("after").or_else(|| cut("before"))
}

#[cfg(test)]
mod tests {
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
    fn a_cursor_carries_the_group_there_and_back() {
        let (user, group) = (UserId::from_bits(7), GroupId::from_bits(8));
        let cursors = |group| {
            let after =
                Forgetful(true).cursors(Metadata { before: None, after: Some(user) }, group);
            after.after.unwrap()
        };
        assert_eq!(cursors(None), user.to_string());
        let mut query = Query::parse(&format!("after={}&limit=10", cursors(Some(group))));
        assert_eq!(group_behind(&mut query), Some(group.to_string()));
        assert_eq!(query.one("after"), Some(user.to_string().as_str()));
        assert_eq!(group_behind(&mut query), None);
    }

    #[test]
    fn who_remembers_gets_plain_ids() {
        let (user, group) = (UserId::from_bits(7), GroupId::from_bits(8));
        let plain = Metadata { before: Some(user), after: None };
        let cursors = Forgetful(false).cursors(plain, Some(group));
        assert_eq!((cursors.before, cursors.after), (Some(user.to_string()), None));
    }
}
