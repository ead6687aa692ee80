//! Who is in a group: one event for each member who joins or leaves.

use std::collections::BTreeMap;

use schemas::wire::{DirectoryGroup, GroupMembership, InactiveUserChange};
use schemas::{Change, Event, ScimId};

use super::users::inactive;
use super::{Commit, Undecided, pending};
use crate::Rejection;
use crate::facts::{Asking, Facts, Meant, Missing};
use crate::patch::MemberOp;
use crate::resource::{Group, UnknownMember, User, name_key};

/// How many events one commit may hold; a larger change has to come in several requests. Each carries its user and
/// group, so how many bytes they may have is limited as well ([`super::size`]).
pub(super) const CHANGES_MAX: usize = 40_000;

/// One who is a member, or is to be one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Member {
    User(ScimId),
    /// No user yet; the value that names it.
    Pending(String),
}

/// Fills a group that the same commit creates.
pub(super) fn fill(
    commit: &mut Commit<'_, '_>,
    group: &Group,
    values: &[String],
) -> Result<(), Undecided> {
    let operations = [MemberOp::Add(values.to_vec())];
    look_up(commit.facts, &operations)?;
    let wanted = Wanted::by(commit.facts, group.id, &operations)?;
    push_all(commit, group, wanted.in_order().collect())
}

/// Carries out the operations in order and notes what is different in the end: a user who is
/// removed and added again by one request did not leave.
pub(super) fn change(
    commit: &mut Commit<'_, '_>,
    group: &Group,
    operations: &[MemberOp],
) -> Result<(), Undecided> {
    look_up(commit.facts, operations)?;
    let wanted = Wanted::by(commit.facts, group.id, operations)?;
    let changes = wanted.beyond(commit.facts, group.id)?;
    push_all(commit, group, changes)
}

/// Asks for all that the values of the operations may mean.
fn look_up(facts: &Facts, operations: &[MemberOp]) -> Result<(), Missing> {
    let mut asking = Asking::default();
    for value in operations.iter().flat_map(MemberOp::named) {
        match asking.note(facts.meant_by(value)) {
            Some(Meant::User(id)) => {
                asking.note(facts.user(id));
            }
            Some(Meant::Nobody | Meant::Several) | None => {
                asking.note(facts.pending.named(value));
            }
        }
    }
    asking.done()
}

/// The member that a client means. Nothing is dropped in silence: who does not exist is named, or
/// waited for.
fn joining(facts: &Facts, value: &str) -> Result<Member, Undecided> {
    let unknown = match facts.meant_by(value)? {
        Meant::User(id) => return Ok(Member::User(id)),
        Meant::Several => Rejection::AmbiguousMember(value.to_owned()),
        Meant::Nobody => match facts.directory.scim.unknown_member {
            UnknownMember::Reject => Rejection::NoSuchMember(value.to_owned()),
            UnknownMember::Pending => {
                pending::refuse_too_long(value)?;
                return Ok(Member::Pending(value.to_owned()));
            }
        },
    };
    Err(unknown.into())
}

fn push_all(
    commit: &mut Commit<'_, '_>,
    group: &Group,
    changes: Vec<(Member, bool)>,
) -> Result<(), Undecided> {
    refuse_too_many(changes.len())?;
    pending::refuse_too_many(commit.facts, group.id, &changes)?;
    let wire = commit.shown_group(group);
    for (member, joins) in changes {
        match member {
            Member::User(user) => {
                let user = commit.facts.user(user)?.ok_or(Rejection::NoSuchUser(user))?;
                push(commit, group.id, &wire, user, joins);
            }
            Member::Pending(value) => pending::push(commit, group.id, &wire, value, joins),
        }
    }
    Ok(())
}

pub(super) fn push(
    commit: &mut Commit<'_, '_>,
    group: ScimId,
    wire: &DirectoryGroup,
    user: &User,
    joins: bool,
) {
    if user.shown.hidden {
        return push_hidden(commit, group, wire, user, joins);
    }
    let membership = GroupMembership {
        directory_id: commit.origin().directory_id,
        user: commit.shown(user),
        group: wire.clone(),
    };
    let user = user.id;
    if joins {
        commit.push(Event::GroupUserAdded(membership), Change::MemberAdded { group, user });
    } else {
        commit.push(Event::GroupUserRemoved(membership), Change::MemberRemoved { group, user });
    }
}

/// Apps are told of a membership when they are told of its user.
fn push_hidden(
    commit: &mut Commit<'_, '_>,
    group: ScimId,
    wire: &DirectoryGroup,
    user: &User,
    joins: bool,
) {
    let change = if joins { InactiveUserChange::Joined } else { InactiveUserChange::Left };
    let mut event = inactive(commit, user, change);
    event.group = Some(wire.clone());
    let user = user.id;
    let change = if joins {
        Change::MemberAdded { group, user }
    } else {
        Change::MemberRemoved { group, user }
    };
    commit.push(Event::InactiveUserChanged(event), change);
}

/// What a request wants of each member it touches, in the order in which it first names them.
#[derive(Default)]
struct Wanted {
    order: Vec<Member>,
    /// Who was named last to leave is not wanted; who was named last to join is wanted unless everyone
    /// had to leave since.
    member: BTreeMap<Member, Wish>,
    /// How often everyone had to leave. Only the first time are they looked up: a request may say so a
    /// thousand times, of a hundred thousand members.
    clears: usize,
    /// Pending members that are wanted so far, by the form in which user names are compared.
    pending: BTreeMap<String, Vec<String>>,
}

/// What was said of a member last.
#[derive(Clone, Copy)]
enum Wish {
    Leaves,
    /// It joins, after everyone had to leave so many times.
    Joins(usize),
}

impl Wanted {
    fn by(facts: &Facts, group: ScimId, operations: &[MemberOp]) -> Result<Self, Undecided> {
        let mut wanted = Self::default();
        for operation in operations {
            match operation {
                MemberOp::Add(values) => wanted.add(facts, values)?,
                MemberOp::Remove(values) => {
                    for value in values {
                        wanted.remove(facts, group, value)?;
                    }
                }
                MemberOp::Clear => wanted.clear(facts, group)?,
                MemberOp::ReplaceShown(values) => {
                    wanted.clear_users(facts, group)?;
                    wanted.add(facts, values)?;
                }
                MemberOp::Replace(values) => {
                    wanted.clear(facts, group)?;
                    wanted.add(facts, values)?;
                }
            }
        }
        Ok(wanted)
    }

    fn set(&mut self, member: Member, wanted: bool) {
        if let (Member::Pending(value), true) = (&member, wanted) {
            self.pending.entry(name_key(value)).or_default().push(value.clone());
        }
        let wish = if wanted { Wish::Joins(self.clears) } else { Wish::Leaves };
        if self.member.insert(member.clone(), wish).is_none() {
            self.order.push(member);
        }
    }

    fn add(&mut self, facts: &Facts, values: &[String]) -> Result<(), Undecided> {
        for value in values {
            self.set(joining(facts, value)?, true);
        }
        Ok(())
    }

    /// Who is pending is removed in any letter case, as a user of that name would be. Who is no member
    /// is removed already.
    fn remove(&mut self, facts: &Facts, group: ScimId, value: &str) -> Result<(), Undecided> {
        match facts.meant_by(value)? {
            Meant::User(id) => self.set(Member::User(id), false),
            Meant::Several => return Err(Rejection::AmbiguousMember(value.to_owned()).into()),
            Meant::Nobody => {}
        }
        for pending in self.pending.remove(&name_key(value)).unwrap_or_default() {
            self.set(Member::Pending(pending), false);
        }
        for pending in facts.pending.named(value)? {
            if pending.group == group {
                self.set(Member::Pending(pending.value.clone()), false);
            }
        }
        Ok(())
    }

    fn clear(&mut self, facts: &Facts, group: ScimId) -> Result<(), Missing> {
        self.clears += 1;
        self.pending.clear();
        if self.clears > 1 {
            return Ok(());
        }
        let mut asking = Asking::default();
        let users = asking.note(facts.members(group));
        let pending = asking.note(facts.pending.of(group));
        asking.done()?;
        for user in users.into_iter().flatten() {
            self.set(Member::User(*user), false);
        }
        for member in pending.into_iter().flatten() {
            self.set(Member::Pending(member.value.clone()), false);
        }
        Ok(())
    }

    fn clear_users(&mut self, facts: &Facts, group: ScimId) -> Result<(), Missing> {
        for user in facts.members(group)? {
            self.set(Member::User(*user), false);
        }
        Ok(())
    }

    fn in_order(self) -> impl Iterator<Item = (Member, bool)> {
        let Self { order, member, clears, .. } = self;
        order.into_iter().map(move |one| {
            let wanted = matches!(member[&one], Wish::Joins(after) if after == clears);
            (one, wanted)
        })
    }

    /// What of it is not so already.
    fn beyond(self, facts: &Facts, group: ScimId) -> Result<Vec<(Member, bool)>, Missing> {
        let mut asking = Asking::default();
        let mut changes = Vec::new();
        for (member, wanted) in self.in_order() {
            let is_one = asking.note(match &member {
                Member::User(user) => facts.is_member(group, *user),
                Member::Pending(value) => facts.pending.is_pending(group, value),
            });
            if is_one.is_some_and(|is_one| is_one != wanted) {
                changes.push((member, wanted));
            }
        }
        asking.done()?;
        Ok(changes)
    }
}

fn refuse_too_many(changes: usize) -> Result<(), Undecided> {
    if changes > CHANGES_MAX {
        return Err(Rejection::TooManyChanges { changes, limit: CHANGES_MAX }.into());
    }
    Ok(())
}
