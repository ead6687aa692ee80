//! What a command amounts to.
//!
//! A command that changes nothing amounts to no event: identity providers resend whole resources all
//! day, and a resend must not become a webhook.

mod groups;
mod lookup;
mod members;
mod pending;
mod roles;
mod size;
mod streams;
mod users;

use std::collections::BTreeSet;

use schemas::record::Draft;
use schemas::scim::ScimError;
use schemas::wire::{DirectoryGroup, DirectoryUser};
use schemas::{Change, Event, EventId, ScimId, Seq};

use crate::command::Target;
use crate::facts::{Facts, Missing};
use crate::normalise::Origin;
use crate::patch::{Applied, MemberOp};
pub use lookup::LOOKUP_BYTES_MAX;
pub use size::{COMMIT_BYTES_MAX, EVENT_BYTES_MAX};
pub use streams::begin_anew;

use crate::{Command, Group, Rejection, Stamp, User};

/// What was decided: the events of one commit, and what to answer once they are accepted.
#[derive(Clone, Debug, PartialEq)]
pub struct Decision {
    /// In order. Empty when nothing changes.
    pub drafts: Vec<Draft>,
    /// The resource afterwards.
    pub answer: Answer,
    /// What came of the operations, if it was a PATCH.
    pub applied: Applied,
}

/// What a request is answered with.
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// This user.
    User(User),
    /// This group.
    Group(Group),
    /// It is gone.
    Gone,
    /// There is no resource to show.
    Nothing,
}

/// Why there is no decision.
#[derive(Clone, Debug, PartialEq)]
pub enum Undecided {
    /// The command is refused.
    Rejected(Rejection),
    /// More has to be gathered; then decide again.
    Missing(Missing),
}

impl From<Rejection> for Undecided {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(rejection)
    }
}

impl From<Missing> for Undecided {
    fn from(missing: Missing) -> Self {
        Self::Missing(missing)
    }
}

impl From<ScimError> for Undecided {
    fn from(error: ScimError) -> Self {
        Self::Rejected(error.into())
    }
}

/// Decides a command, and moves the facts on to what holds once its events are accepted.
///
/// # Errors
///
/// [`Undecided::Rejected`] when the command is refused, [`Undecided::Missing`] when a fact was not
/// gathered. Either way the facts are untouched.
pub fn decide(
    facts: &mut Facts,
    command: &Command,
    stamp: &mut Stamp<'_>,
) -> Result<Decision, Undecided> {
    let Decision { answer, mut drafts, applied } = commit_of(facts, command, stamp)?;
    let affected = roles::affected(facts, &drafts)?;
    if size::surely_fit(facts, &drafts, &affected) {
        drafts.extend(followed(facts, &drafts, affected, stamp));
    } else {
        // What is refused leaves the facts as they were.
        size::refuse_too_large(&drafts)?;
        let mut after = facts.clone();
        drafts.extend(followed(&mut after, &drafts, affected, stamp));
        size::refuse_too_large(&drafts)?;
        *facts = after;
    }
    Ok(Decision { answer: answer.brought_to(facts), drafts, applied })
}

/// Moves the facts on by these drafts and by what roles add to them, which is returned.
fn followed(
    facts: &mut Facts,
    drafts: &[Draft],
    affected: BTreeSet<ScimId>,
    stamp: &mut Stamp<'_>,
) -> Vec<Draft> {
    take(facts, drafts);
    let following = roles::follow(facts, affected, stamp).expect("what they depend on is known");
    take(facts, &following);
    following
}

fn take(facts: &mut Facts, drafts: &[Draft]) {
    drafts.iter().for_each(|draft| facts.apply(&draft.change, draft.at));
}

/// Decides a command, and leaves the facts as they are.
fn commit_of(
    facts: &Facts,
    command: &Command,
    stamp: &mut Stamp<'_>,
) -> Result<Decision, Undecided> {
    if facts.gone {
        return Err(Rejection::DirectoryGone.into());
    }
    let mut commit = Commit { facts, stamp, drafts: Vec::new(), applied: Applied::default() };
    let answer = match command {
        Command::Conditional { versions, then } => {
            let found = version_of(facts, then)?;
            return match found.filter(|found| !versions.contains(found)) {
                Some(found) => Err(Rejection::VersionMismatch(found).into()),
                None => commit_of(facts, then, commit.stamp),
            };
        }
        Command::Activate => streams::activate(&mut commit),
        Command::Reconcile => streams::reconcile(&mut commit),
        Command::CreateUser { attributes } => users::create(&mut commit, attributes)?,
        Command::ReplaceUser { id, attributes } => users::replace(&mut commit, *id, attributes)?,
        Command::PatchUser { id, operations } => users::patch(&mut commit, *id, operations)?,
        Command::DeleteUser { id } => users::delete(&mut commit, *id)?,
        Command::RefreshUsers { ids } => users::refresh(&mut commit, ids)?,
        Command::CreateGroup { attributes, members } => {
            groups::create(&mut commit, attributes, members)?
        }
        Command::ReplaceGroup { id, attributes, members, keeps_pending } => {
            let members = members.clone();
            let members = if *keeps_pending {
                MemberOp::ReplaceShown(members)
            } else {
                MemberOp::Replace(members)
            };
            groups::replace(&mut commit, *id, attributes, members)?
        }
        Command::PatchGroup { id, operations, members } => {
            groups::patch(&mut commit, *id, operations, members)?
        }
        Command::DeleteGroup { id } => groups::delete(&mut commit, *id)?,
    };
    let Commit { drafts, applied, .. } = commit;
    Ok(Decision { drafts, answer, applied })
}

/// The version of what a command changes; none if that is not there.
fn version_of(facts: &Facts, command: &Command) -> Result<Option<Seq>, Missing> {
    Ok(match command.target() {
        Some(Target::User(id)) => facts.user(id)?.map(|user| user.version),
        Some(Target::Group(id)) => facts.group(id)?.map(|group| group.version),
        None => None,
    })
}

/// A commit in the making. The facts stay as they were until it is complete.
struct Commit<'a, 'b> {
    facts: &'a Facts,
    stamp: &'a mut Stamp<'b>,
    drafts: Vec<Draft>,
    applied: Applied,
}

impl Commit<'_, '_> {
    fn push(&mut self, event: Event, change: Change) {
        let id = EventId::from_bits(self.stamp.id());
        self.drafts.push(Draft { id, at: self.stamp.at, event, change });
    }

    const fn origin(&self) -> Origin {
        self.facts.directory.origin()
    }

    /// The user as it leaves the house.
    fn shown(&self, user: &User) -> DirectoryUser {
        self.facts.directory.apps.user(self.origin(), user)
    }

    /// The group as it leaves the house.
    fn shown_group(&self, group: &Group) -> DirectoryGroup {
        self.facts.directory.apps.group(self.origin(), group)
    }
}

impl Answer {
    /// The resource as the facts have it after the commit, with the version it then has.
    fn brought_to(self, facts: &Facts) -> Self {
        match self {
            Self::User(user) => {
                let known = facts.users.get(&user.id).cloned().flatten();
                Self::User(known.unwrap_or(user))
            }
            Self::Group(group) => {
                let known = facts.groups.get(&group.id).cloned().flatten();
                Self::Group(known.unwrap_or(group))
            }
            Self::Gone => Self::Gone,
            Self::Nothing => Self::Nothing,
        }
    }
}
