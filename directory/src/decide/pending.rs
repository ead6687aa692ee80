//! Members of groups that are no users yet: until the user arrives, they are pending.

use std::collections::{BTreeMap, BTreeSet};

use schemas::scim::MEMBERS_MAX;
use schemas::wire::{DirectoryGroup, PendingMember as Wire, PendingMembership};
use schemas::{Change, Event, ScimId};

use super::members::{self, Member};
use super::{Commit, Undecided};
use crate::Rejection;
use crate::facts::{Asking, Facts, PendingMember};
use crate::resource::{User, name_key, text};

/// How long a value may be for which a group waits. Identity providers keep ids and user names within 256
/// characters.
const VALUE_BYTES_MAX: usize = 1_024;

/// How many pending members a group may have: as many as one request may name.
const OF_GROUP_MAX: usize = MEMBERS_MAX;

/// How many a directory may have. They may be of users that never arrive, and must not grow without end;
/// this many take some 20 MB.
const OF_DIRECTORY_MAX: usize = 100_000;

/// How many groups may wait for one name. Its user joins all of them in the commit that brings it, which
/// must not be refused for that. In Active Directory a user is in 1,015 groups at most.
const OF_NAME_MAX: usize = 1_024;

/// Makes a user a member of the groups that wait for it, in the commit that brings it or one of its names.
/// `before` is what it was; what it was called already, nobody waits for.
pub(super) fn join(
    commit: &mut Commit<'_, '_>,
    before: Option<&User>,
    user: &User,
) -> Result<(), Undecided> {
    let facts = commit.facts;
    if facts.pending.total() == 0 {
        return Ok(());
    }
    let waiting = waiting_for(facts, &new_names(commit, before, user), user)?;
    let mut asking = Asking::default();
    let mut joins = Vec::with_capacity(waiting.len());
    for (group, values) in waiting {
        let found = asking.note(facts.group(group)).flatten();
        let is_member = match before {
            Some(_) => asking.note(facts.is_member(group, user.id)),
            None => Some(false),
        };
        if let (Some(group), Some(is_member)) = (found, is_member) {
            joins.push((group, is_member, values));
        }
    }
    asking.done()?;
    for (group, is_member, values) in joins {
        let wire = commit.shown_group(group);
        if !is_member {
            members::push(commit, group.id, &wire, user, true);
        }
        for value in values {
            push(commit, group.id, &wire, value, false);
        }
    }
    Ok(())
}

/// Names that the user had not before.
fn new_names(commit: &Commit<'_, '_>, before: Option<&User>, user: &User) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    if before.is_none_or(|before| before.name_key != user.name_key) {
        names.extend(text(&user.attributes, "userName"));
    }
    let external_id = text(&user.attributes, "externalId");
    if before.is_none_or(|before| text(&before.attributes, "externalId") != external_id) {
        names.extend(external_id);
    }
    let promised = commit.stamp.promised.filter(|_| before.is_none());
    let names = names.into_iter().map(str::to_owned);
    names.chain(promised.map(|id| id.to_string())).collect()
}

/// The values that mean the user, by the group that waits for them.
fn waiting_for(
    facts: &Facts,
    names: &BTreeSet<String>,
    user: &User,
) -> Result<BTreeMap<ScimId, BTreeSet<String>>, Undecided> {
    let mut asking = Asking::default();
    let mut waiting = BTreeMap::<_, BTreeSet<_>>::new();
    for name in names {
        let pending = asking.note(facts.pending.named(name)).unwrap_or_default();
        for member in pending.into_iter().filter(|member| means(member, user)) {
            waiting.entry(member.group).or_default().insert(member.value.clone());
        }
    }
    asking.done()?;
    Ok(waiting)
}

/// User names are compared without letter case, the other names as they are (RFC 7643 §3.1).
fn means(member: &PendingMember, user: &User) -> bool {
    member.name_key == user.name_key
        || text(&user.attributes, "externalId") == Some(&member.value)
        || member.value.parse::<ScimId>().ok() == Some(user.id)
}

pub(super) fn push(
    commit: &mut Commit<'_, '_>,
    group: ScimId,
    wire: &DirectoryGroup,
    value: String,
    begins: bool,
) {
    let membership = PendingMembership {
        directory_id: commit.origin().directory_id,
        group: wire.clone(),
        member: Wire { value: value.clone() },
    };
    if begins {
        let name_key = name_key(&value);
        let change = Change::PendingMemberAdded { group, value, name_key };
        commit.push(Event::GroupPendingMemberAdded(membership), change);
    } else {
        let change = Change::PendingMemberRemoved { group, value };
        commit.push(Event::GroupPendingMemberRemoved(membership), change);
    }
}

pub(super) fn refuse_too_long(value: &str) -> Result<(), Rejection> {
    if value.len() > VALUE_BYTES_MAX {
        return Err(Rejection::PendingMemberTooLong { bytes: value.len(), limit: VALUE_BYTES_MAX });
    }
    Ok(())
}

/// Whoever begins to wait must find room. A request that ends as much waiting as it begins always does.
pub(super) fn refuse_too_many(
    facts: &Facts,
    group: ScimId,
    changes: &[(Member, bool)],
) -> Result<(), Undecided> {
    let (mut begins, mut ends) = (0, 0);
    let mut named = BTreeMap::<String, usize>::new();
    for (member, joins) in changes {
        match (member, joins) {
            (Member::Pending(value), true) => {
                begins += 1;
                *named.entry(name_key(value)).or_default() += 1;
                let same = facts.pending.named(value)?.len() + named[&name_key(value)];
                within(same, OF_NAME_MAX, "for one user")?;
            }
            (Member::Pending(_), false) => ends += 1,
            (Member::User(_), _) => {}
        }
    }
    if begins > ends {
        within(facts.pending.total_of(group) + begins - ends, OF_GROUP_MAX, "in one group")?;
        within(facts.pending.total() + begins - ends, OF_DIRECTORY_MAX, "in one directory")?;
    }
    Ok(())
}

fn within(count: usize, limit: usize, of: &'static str) -> Result<(), Rejection> {
    if count > limit { Err(Rejection::TooManyPending { of, limit }) } else { Ok(()) }
}
