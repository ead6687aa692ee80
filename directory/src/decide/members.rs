//! Who is in a group: one event for each user who joins or leaves.

use std::collections::BTreeMap;

use schemas::wire::{DirectoryGroup, GroupMembership};
use schemas::{Change, Event, ScimId};

use super::{Commit, Undecided};
use crate::Rejection;
use crate::normalise::{directory_group, directory_user};
use crate::patch::MemberOp;
use crate::resource::Group;

/// How many events one commit may hold. Each carries its user and group, so this many are some
/// 100 MB at most; a larger change has to come in several requests.
pub(super) const CHANGES_MAX: usize = 40_000;

/// Fills a group that the same commit creates.
pub(super) fn fill(
    commit: &mut Commit<'_, '_>,
    group: &Group,
    ids: &[String],
) -> Result<(), Undecided> {
    let mut wanted = Wanted::default();
    for id in ids {
        wanted.set(member(commit, id)?, true);
    }
    wanted.refuse_too_many()?;
    let wire = directory_group(commit.origin(), group);
    for (user, _) in wanted.in_order() {
        push(commit, group.id, &wire, user, true)?;
    }
    Ok(())
}

/// Carries out the operations in order and notes what is different in the end: a user who is
/// removed and added again by one request did not leave.
pub(super) fn change(
    commit: &mut Commit<'_, '_>,
    group: &Group,
    operations: &[MemberOp],
) -> Result<(), Undecided> {
    let mut wanted = Wanted::default();
    for operation in operations {
        match operation {
            MemberOp::Add(ids) => {
                for id in ids {
                    wanted.set(member(commit, id)?, true);
                }
            }
            MemberOp::Remove(ids) => {
                // Who cannot be a member is not one: removing them is done already.
                for id in ids.iter().filter_map(|id| id.parse::<ScimId>().ok()) {
                    wanted.set(id, false);
                }
            }
            MemberOp::Clear => wanted.clear(commit, group.id)?,
            MemberOp::Replace(ids) => {
                wanted.clear(commit, group.id)?;
                for id in ids {
                    wanted.set(member(commit, id)?, true);
                }
            }
        }
    }
    let mut changes = Vec::new();
    for (user, member) in wanted.in_order() {
        if commit.facts.is_member(group.id, user)? != member {
            changes.push((user, member));
        }
    }
    refuse_too_many(changes.len())?;
    let wire = directory_group(commit.origin(), group);
    for (user, member) in changes {
        push(commit, group.id, &wire, user, member)?;
    }
    Ok(())
}

/// The user that a client means. Nothing is dropped in silence: who does not exist is named.
fn member(commit: &Commit<'_, '_>, id: &str) -> Result<ScimId, Undecided> {
    let unknown = || Rejection::NoSuchMember(id.to_owned());
    let parsed = id.parse::<ScimId>().map_err(|_| unknown())?;
    commit.facts.user(parsed)?.ok_or_else(unknown)?;
    Ok(parsed)
}

fn push(
    commit: &mut Commit<'_, '_>,
    group: ScimId,
    wire: &DirectoryGroup,
    user: ScimId,
    joins: bool,
) -> Result<(), Undecided> {
    let known = commit.facts.user(user)?.ok_or(Rejection::NoSuchUser(user))?;
    let origin = commit.origin();
    let membership = GroupMembership {
        directory_id: origin.directory_id,
        user: directory_user(origin, known),
        group: wire.clone(),
    };
    if joins {
        commit.push(Event::GroupUserAdded(membership), Change::MemberAdded { group, user });
    } else {
        commit.push(Event::GroupUserRemoved(membership), Change::MemberRemoved { group, user });
    }
    Ok(())
}

/// What a request wants of each user it touches, in the order in which it first names them.
#[derive(Default)]
struct Wanted {
    order: Vec<ScimId>,
    member: BTreeMap<ScimId, bool>,
}

impl Wanted {
    fn set(&mut self, user: ScimId, member: bool) {
        if self.member.insert(user, member).is_none() {
            self.order.push(user);
        }
    }

    fn clear(&mut self, commit: &Commit<'_, '_>, group: ScimId) -> Result<(), Undecided> {
        for member in self.member.values_mut() {
            *member = false;
        }
        for user in commit.facts.members(group)? {
            self.set(*user, false);
        }
        Ok(())
    }

    fn in_order(self) -> impl Iterator<Item = (ScimId, bool)> {
        let Self { order, member } = self;
        order.into_iter().map(move |user| (user, member[&user]))
    }

    fn refuse_too_many(&self) -> Result<(), Undecided> {
        refuse_too_many(self.order.len())
    }
}

fn refuse_too_many(changes: usize) -> Result<(), Undecided> {
    if changes > CHANGES_MAX {
        return Err(Rejection::TooManyChanges { changes, limit: CHANGES_MAX }.into());
    }
    Ok(())
}
