//! How large an event may be, and a commit.

use std::collections::BTreeSet;
use std::io::{self, Write};

use schemas::record::Draft;
use schemas::scim::{Attributes, ScimError, Value, echo};
use schemas::{Change, Event, ScimId};
use serde::Serialize;

use crate::{Facts, Rejection, User};

/// How many bytes an event may have with what it does to the state, each written in full: what a record need not say twice
/// counts twice. The log takes records of 900 KiB; the rest is what stands around an event in its record.
pub const EVENT_BYTES_MAX: usize = 888 * 1024;

/// How many bytes the events of a commit may have together. All of them are in memory at once where they are
/// written and where they are read, and in one transaction of the database. It is enough for the 40,000 memberships
/// that one request may change of users with 3 KB of attributes.
pub const COMMIT_BYTES_MAX: usize = 128 << 20;

/// How often an event holds a part of a tree at most: as it is, for the state, and in what is made of it
/// for customer apps. A `userName` may be the `idp_id` too, and the key by which it is found.
const COPIES_MAX: usize = 6;

/// In how many bytes JSON writes one byte of a text at most.
const ESCAPE_MAX: usize = 6;

/// What an event has beside its trees: ids, times, names of fields.
const REST_MAX: usize = 4 * 1024;

/// Whether there is nothing to refuse, which goes for nearly all commits: they need not be written to be measured.
/// What roles add is an event for each user at most, of what is known of it or is in these drafts.
pub(super) fn surely_fit(facts: &Facts, drafts: &[Draft], affected: &BTreeSet<ScimId>) -> bool {
    let (mut together, mut largest) = (0, 0);
    let mut add = |bytes: usize| {
        together += bytes;
        largest = largest.max(bytes);
    };
    drafts.iter().for_each(|draft| add(bound(draft)));
    for id in affected {
        match facts.users.get(id).and_then(Option::as_ref) {
            Some(user) => add(bound_of_update(user)),
            None => {
                drafts.iter().filter(|draft| writes(draft, *id)).for_each(|draft| add(bound(draft)))
            }
        }
    }
    largest <= EVENT_BYTES_MAX && together <= COMMIT_BYTES_MAX
}

fn writes(draft: &Draft, user: ScimId) -> bool {
    matches!(&draft.change, Change::User { id, .. } if *id == user)
}

/// More bytes than an event has that tells of this user with other roles.
fn bound_of_update(user: &User) -> usize {
    let mapped = user.shown.mapped.as_ref().map_or(0, |mapped| size(&mapped.custom_attributes));
    (2 * size(&user.attributes) + mapped) * COPIES_MAX * ESCAPE_MAX + REST_MAX
}

/// Refuses what the log would not take, before others are written together with it; and what would be too much of
/// it at once.
pub(super) fn refuse_too_large(drafts: &[Draft]) -> Result<(), Rejection> {
    let mut commit = 0;
    for draft in drafts {
        let bytes = written(&draft.event) + written(&draft.change);
        if bytes > EVENT_BYTES_MAX {
            return Err(too_large(bytes, held(draft)).into());
        }
        commit += bytes;
        if commit > COMMIT_BYTES_MAX {
            return Err(too_much(drafts.len()).into());
        }
    }
    Ok(())
}

/// More bytes than the event has in any case.
fn bound(draft: &Draft) -> usize {
    let trees: usize = held(draft).iter().flatten().map(|(_, tree)| size(tree)).sum();
    trees * COPIES_MAX * ESCAPE_MAX + REST_MAX
}

fn too_much(events: usize) -> ScimError {
    let detail = format!(
        "The change would take {events} events, which have more than {COMMIT_BYTES_MAX} bytes together. Split it: \
         name fewer members in one request, or send less of each user and group."
    );
    ScimError::with_status(413, detail)
}

/// A tree, and what it is of.
type Held<'t> = Option<(&'static str, &'t Attributes)>;

/// The trees in an event and in what it does to the state. Apps may be sent less than there is, and more.
fn held(draft: &Draft) -> [Held<'_>; 4] {
    let [first, second] = in_event(&draft.event);
    [first, second, mapped(&draft.event), in_change(&draft.change)]
}

/// What the state keeps of a user or a group.
fn in_change(change: &Change) -> Held<'_> {
    let name = if matches!(change, Change::Group { .. }) { "group" } else { "user" };
    change.attributes().map(|attributes| (name, &**attributes))
}

/// What the attribute map made of a user.
const fn mapped(event: &Event) -> Held<'_> {
    let user = match event {
        Event::UserCreated(user) | Event::UserDeleted(user) => user,
        Event::UserUpdated(updated) => &updated.user,
        Event::GroupUserAdded(membership) | Event::GroupUserRemoved(membership) => &membership.user,
        Event::GroupCreated(_)
        | Event::GroupDeleted(_)
        | Event::GroupUpdated(_)
        | Event::GroupPendingMemberAdded(_)
        | Event::GroupPendingMemberRemoved(_)
        | Event::InactiveUserChanged(_)
        | Event::Activated(_)
        | Event::Deleted(_)
        | Event::TokenCreated(_)
        | Event::TokenRevoked(_) => return None,
    };
    Some(("user as apps see it", &user.custom_attributes))
}

/// The trees in an event.
fn in_event(event: &Event) -> [Held<'_>; 2] {
    match event {
        Event::UserCreated(user) | Event::UserDeleted(user) => {
            [Some(("user", &user.raw_attributes)), None]
        }
        Event::UserUpdated(updated) => [
            Some(("user", &updated.user.raw_attributes)),
            Some(("user before", &updated.previous_attributes)),
        ],
        Event::GroupCreated(group) | Event::GroupDeleted(group) => {
            [Some(("group", &group.raw_attributes)), None]
        }
        Event::GroupUpdated(updated) => [
            Some(("group", &updated.group.raw_attributes)),
            Some(("group before", &updated.previous_attributes)),
        ],
        Event::GroupUserAdded(membership) | Event::GroupUserRemoved(membership) => [
            Some(("user", &membership.user.raw_attributes)),
            Some(("group", &membership.group.raw_attributes)),
        ],
        Event::GroupPendingMemberAdded(pending) | Event::GroupPendingMemberRemoved(pending) => {
            [Some(("group", &pending.group.raw_attributes)), None]
        }
        Event::InactiveUserChanged(_)
        | Event::Activated(_)
        | Event::Deleted(_)
        | Event::TokenCreated(_)
        | Event::TokenRevoked(_) => [None, None],
    }
}

/// A size that grows with that of the JSON: its texts as they are, and some bytes for everything else.
fn size(tree: &Attributes) -> usize {
    const OTHER: usize = 32;
    fn of(value: &Value) -> usize {
        match value {
            Value::Null | Value::Bool(_) | Value::Integer(_) | Value::Decimal(_) => OTHER,
            Value::String(text) => OTHER + text.len(),
            Value::List(items) => OTHER + items.iter().map(of).sum::<usize>(),
            Value::Complex(parts) => OTHER + size(parts),
        }
    }
    tree.iter().map(|(name, value)| name.len() + of(value)).sum()
}

fn too_large(bytes: usize, held: [Held<'_>; 4]) -> ScimError {
    let all = held.into_iter().flatten();
    let all = all.flat_map(|(what, tree)| tree.iter().map(move |(name, part)| (what, name, part)));
    let largest = all.max_by_key(|(_, _, part)| written(part));
    let what = largest.map(|(what, name, part)| {
        let (name, part) = within(name, part);
        let bytes = written(part);
        format!("; \"{}\" of the {what} is the largest with {bytes}", echo(&name))
    });
    let detail = format!(
        "The change would take {bytes} bytes in one event, more than {EVENT_BYTES_MAX}{}. Send less of it.",
        what.unwrap_or_default()
    );
    ScimError::with_status(413, detail)
}

/// The largest attribute of an extension, or what is no extension.
fn within<'t>(name: &str, value: &'t Value) -> (String, &'t Value) {
    let parts = value.as_complex().filter(|_| name.contains(':'));
    match parts.and_then(|parts| parts.iter().max_by_key(|(_, part)| written(part))) {
        Some((part, value)) => (format!("{name}:{part}"), value),
        None => (name.to_owned(), value),
    }
}

/// How many bytes this is as JSON.
fn written(value: &impl Serialize) -> usize {
    let mut bytes = Counted(0);
    serde_json::to_writer(&mut bytes, value).expect("events hold nothing that JSON cannot");
    bytes.0
}

struct Counted(usize);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
